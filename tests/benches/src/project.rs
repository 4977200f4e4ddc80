//! A project folder of the benchmark's own and the built executable: a run is started as a user starts
//! it, and measured from start to exit. State and compile cache are in the folder.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::calls::sibling;

/// The variable that turns the export of telemetry on.
pub(crate) const COLLECTOR: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// Between two looks at a run's metrics: rare enough that they cost it nothing that is seen.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A folder with plans.
pub(crate) struct Project {
    folder: PathBuf,
    executable: PathBuf,
}

impl Project {
    /// An empty one at `folder`.
    ///
    /// # Errors
    /// When this program does not know its own place.
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        Ok(Self {
            folder: folder.to_owned(),
            executable: sibling("flowhost")?,
        })
    }

    /// Writes a file, with its folders.
    ///
    /// # Errors
    /// When it cannot be written.
    #[expect(
        clippy::disallowed_methods,
        reason = "the benchmark's own scratch folder"
    )]
    pub(crate) fn file(&self, relative: &str, contents: impl AsRef<[u8]>) -> Result<()> {
        let path = self.folder.join(relative);
        std::fs::create_dir_all(path.parent().context("a file is in a folder")?)?;
        Ok(std::fs::write(path, contents)?)
    }

    /// Runs a plan with `variables` beside this process's own; telemetry is off unless they turn it on.
    ///
    /// # Errors
    /// When the executable is missing, or the run does not succeed.
    #[expect(
        clippy::disallowed_methods,
        reason = "the program under test, built beside this one"
    )]
    pub(crate) fn run(
        &self,
        plan: &str,
        durability: &str,
        variables: &[(&str, &str)],
    ) -> Result<Duration> {
        let arguments = ["run", plan, "--durability", durability, "--json"];
        let mut command = Command::new(&self.executable);
        command.args(arguments).envs(variables.iter().copied());
        Ok(self.measured(command, &arguments, 0)?.1)
    }

    /// The last page of metrics that a run of a plan gave before it ended.
    ///
    /// # Errors
    /// When the executable is missing, the run does not succeed, or it ended before a look.
    #[expect(
        clippy::disallowed_methods,
        reason = "the program under test, built beside this one, and its port on loopback"
    )]
    pub(crate) fn scraped(&self, plan: &str) -> Result<String> {
        // Free a moment ago: whoever takes it in between makes the run fail, and that is told.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let listen = address.to_string();
        let mut command = Command::new(&self.executable);
        command
            .args(["run", plan, "--durability", "relaxed", "--json"])
            .args(["--metrics-listen", &listen])
            .env_remove(COLLECTOR)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut run = command.spawn()?;
        let mut page = None;
        let ended = loop {
            if let Some(ended) = run.try_wait()? {
                break ended;
            }
            // Before it listens and once it has stopped, a look fails: the last one that did not counts.
            if let Ok(seen) = look(address) {
                page = Some(seen);
            }
            std::thread::sleep(LOOK_EVERY);
        };
        ensure!(ended.success(), "the run of {plan} ended with {ended}");
        page.context("the run ended before anybody looked at its metrics")
    }

    /// Runs any command that has to end with `code`: what it prints, and how long it takes.
    ///
    /// # Errors
    /// When the executable is missing, or the command ends in another way.
    #[expect(
        clippy::disallowed_methods,
        reason = "the program under test, built beside this one"
    )]
    pub(crate) fn flowhost(&self, arguments: &[&str], code: i32) -> Result<(Vec<u8>, Duration)> {
        let mut command = Command::new(&self.executable);
        command.args(arguments);
        self.measured(command, arguments, code)
    }

    fn measured(
        &self,
        mut command: Command,
        arguments: &[&str],
        code: i32,
    ) -> Result<(Vec<u8>, Duration)> {
        let telemetry = command.get_envs().any(|(name, _)| name == COLLECTOR);
        if !telemetry {
            command.env_remove(COLLECTOR);
        }
        command.current_dir(&self.folder).stdin(Stdio::null());
        let start = Instant::now();
        let output = command.output()?;
        let time = start.elapsed();
        let said = String::from_utf8_lossy(&output.stderr);
        let ended = output.status.code();
        ensure!(
            ended == Some(code),
            "flowhost {} ended with {ended:?}: {said}",
            arguments.join(" ")
        );
        Ok((output.stdout, time))
    }
}

/// One page of metrics.
fn look(address: SocketAddr) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, LOOK_EVERY)?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    write!(
        stream,
        "GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut page = String::new();
    stream.read_to_string(&mut page)?;
    ensure!(page.starts_with("HTTP/1.1 200"), "not a page: {page}");
    Ok(page)
}
