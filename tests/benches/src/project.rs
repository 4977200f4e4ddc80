//! A project folder of the benchmark's own and the built executable: a run is started as a user starts
//! it, and measured from start to exit. State and compile cache are in the folder.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::calls::sibling;

/// The variable that turns the export of telemetry on.
pub(crate) const COLLECTOR: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

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
        let start = Instant::now();
        let output = Command::new(&self.executable)
            .args(["run", plan, "--durability", durability, "--json"])
            .current_dir(&self.folder)
            .env_remove(COLLECTOR)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .output()?;
        let time = start.elapsed();
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "flowhost run {plan}: {said}");
        Ok(time)
    }
}
