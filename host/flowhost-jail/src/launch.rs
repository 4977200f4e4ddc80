//! The host's end: starts the warden, hands it the wish, and holds the streams of what came of it.
//!
//! The attack: a program that has freed itself from dying with its parent, which every process may do, and lives on when
//! the warden is killed. So the warden is not killed but left: it sees that nobody reads what it tells, ends the program and
//! all below it, and goes. Dropping a [`Running`] leaves it, and so does the end of this process, whatever ends it.

use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::JAIL_COMMAND;
use crate::spec::{Refusal, Spec};
use crate::told::{End, LOG_LINE_MAX, Told};

/// Longest time until the program begins. Laying out the sandbox takes milliseconds; hashing a large
/// program some more.
const BEGIN: Duration = Duration::from_secs(20);
/// Longest line that the warden writes: a line of the program's with its JSON around it, escaped.
const LINE_MAX: u64 = 16 * 1024;
/// How long an end is waited for: of the program once its input is closed, and of the warden once it is left, which takes
/// it a twentieth of a second. A process in a system call that cannot be interrupted ends after that.
const GRACE: Duration = Duration::from_secs(2);
/// Last lines of the program's standard error that are kept for the message of its end. The reason of a crash
/// stands in them, and all lines stand in the log.
const LAST_WORDS: usize = 8;

/// A process in the sandbox.
pub struct Running {
    /// Where it reads. None once taken.
    pub stdin: Option<ChildStdin>,
    /// Where it writes. None once taken.
    pub stdout: Option<ChildStdout>,
    warden: Child,
    end: watch::Receiver<Option<End>>,
    words: Arc<Mutex<Vec<String>>>,
    hearing: JoinHandle<()>,
}

/// Starts the process of `spec` by `program`, an executable that calls [`crate::jail_child_main`].
///
/// # Errors
/// [`Refusal`] when it did not begin; nothing of it is left then.
pub async fn launch(program: &Path, spec: &Spec) -> Result<Running, Refusal> {
    if !cfg!(target_os = "linux") {
        let why = "processes run on Linux only: no other system has a sandbox that is enforced from outside";
        return Err(Refusal::Unconfined(why.to_owned()));
    }
    spec.check()?;
    let failed = |error: &dyn std::fmt::Display| Refusal::Warden(error.to_string());
    let mut wish = serde_json::to_vec(spec).map_err(|error| failed(&error))?;
    wish.push(b'\n');
    let mut warden = spawn(program).map_err(|error| failed(&error))?;
    let (Some(mut stdin), Some(stdout), Some(stderr)) = (
        warden.stdin.take(),
        warden.stdout.take(),
        warden.stderr.take(),
    ) else {
        return Err(failed(&"it has no streams"));
    };
    // A warden that ends early says why on its standard error.
    let _closed = stdin.write_all(&wish).await;
    let mut lines = Lines(BufReader::new(stderr));
    let first = tokio::time::timeout(BEGIN, lines.next()).await;
    let refusal = match first {
        Ok(Some(Told::Ready)) => None,
        Ok(Some(Told::Unconfined(why))) => Some(Refusal::Unconfined(why)),
        Ok(Some(Told::Program(why))) => Some(Refusal::Program(why)),
        Ok(Some(Told::Folder(why))) => Some(Refusal::Folder(why)),
        Ok(Some(other)) => Some(failed(&format_args!("it began with {other:?}"))),
        Ok(None) => Some(failed(&"it ended before it began")),
        Err(_) => Some(failed(&"it did not begin in time")),
    };
    if let Some(refusal) = refusal {
        // Closed first: that nobody reads what it tells is what makes the warden go.
        drop((lines, stdin, stdout));
        left(&mut warden).await;
        return Err(refusal);
    }
    let words = Arc::new(Mutex::new(Vec::new()));
    let (tell, end) = watch::channel(None);
    let kept = words.clone();
    let hearing = tokio::spawn(async move {
        while let Some(told) = lines.next().await {
            match told {
                Told::Log(line) => {
                    tracing::debug!(target: "flowhost::process", %line, "standard error");
                    keep(&kept, line);
                }
                Told::Ended(how) => drop(tell.send_replace(Some(how))),
                // The other words are of a beginning, which is over.
                _ => {}
            }
        }
        // A warden that was ended itself tells nothing.
        tell.send_if_modified(|end| {
            let silent = end.is_none();
            if silent {
                *end = Some(End::Stopped);
            }
            silent
        });
    });
    Ok(Running {
        stdin: Some(stdin),
        stdout: Some(stdout),
        warden,
        end,
        words,
        hearing,
    })
}

impl Running {
    /// How it ended; waits until it has.
    pub async fn ended(&mut self) -> End {
        match self.end.wait_for(Option::is_some).await {
            Ok(end) => end.clone().unwrap_or(End::Stopped),
            // The task that hears was ended, and with it whoever could tell how it ended.
            Err(_) => End::Stopped,
        }
    }

    /// How it ended, if it has.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        self.end.borrow().clone()
    }

    /// The last that it wrote to its standard error, for a message, also when it is over.
    #[must_use]
    pub fn words(&self) -> LastWords {
        LastWords(self.words.clone())
    }

    /// Ends it: its input is closed, it has a moment to go by itself, and is ended with all below it.
    pub async fn stop(mut self) -> End {
        // How a server over standard streams is told to go.
        self.stdin = None;
        // Whatever came of it, nothing is left of it after that.
        let _ended_by_itself = tokio::time::timeout(GRACE, self.ended()).await;
        self.kill().await
    }

    /// Ends it at once; it may have ended before.
    pub async fn kill(mut self) -> End {
        self.hearing.abort();
        // Waited for, because the pipe is closed only when the task is gone.
        let _closed = (&mut self.hearing).await;
        left(&mut self.warden).await;
        self.end().unwrap_or(End::Stopped)
    }
}

/// Waits until a warden has gone that nobody listens to any more, and everything below it with it.
async fn left(warden: &mut Child) {
    if tokio::time::timeout(GRACE, warden.wait()).await.is_err() {
        // It is stuck before the program: the inmate, which is this executable up to there, dies with it.
        let _gone = warden.kill().await;
    }
}

/// What a process wrote last to its standard error: as it came, to be shown with care.
#[derive(Clone)]
pub struct LastWords(Arc<Mutex<Vec<String>>>);

impl LastWords {
    /// The lines, the last one last.
    #[must_use]
    pub fn last(&self) -> Vec<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.hearing.abort();
    }
}

fn keep(words: &Mutex<Vec<String>>, line: String) {
    let mut words = words.lock().unwrap_or_else(PoisonError::into_inner);
    if words.len() == LAST_WORDS {
        // Eight lines are moved; a ring would save nothing that can be measured.
        words.remove(0);
    }
    words.push(line);
}

/// The warden's lines.
struct Lines(BufReader<ChildStderr>);

impl Lines {
    /// The next line; none when there are no more, or what came is none of the warden's.
    async fn next(&mut self) -> Option<Told> {
        let mut line = Vec::new();
        let mut bounded = (&mut self.0).take(LINE_MAX);
        let read = bounded.read_until(b'\n', &mut line).await.ok()?;
        debug_assert!(
            LOG_LINE_MAX * 7 < LINE_MAX as usize,
            "a line of the program's, each byte escaped, has to fit"
        );
        if read == 0 {
            return None;
        }
        serde_json::from_slice(&line).ok()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the warden is one of the few processes that are started, by absolute path"
)]
fn spawn(program: &Path) -> std::io::Result<Child> {
    Command::new(program)
        .arg(JAIL_COMMAND)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A terminal's interrupt goes to a whole group: whether to go on is the host's decision.
        .process_group(0)
        .spawn()
}
