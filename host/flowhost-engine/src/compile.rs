//! Turns a component into native code, away from everything else: in a child process that inherits
//! two pipes and nothing more, under limits it sets itself before it reads a byte, few at a time.
//!
//! Why a child: a compiler is large and its input is hostile. A blow-up in time or memory ends the
//! child and not the runs of others (DOS-042). The parent never compiles, except in tests.

use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;

use crate::text::{MESSAGE_CHARS, neutralise};

/// The hidden subcommand that the child runs.
pub const COMPILE_COMMAND: &str = "__compile";

/// Compilations at once; more would take the processors from running plans.
const AT_ONCE: usize = 2;

/// Threads and allocator arenas of the child: bounded so that many processors do not turn into a
/// large address space.
const CHILD_ENVIRONMENT: [(&str, &str); 2] =
    [("RAYON_NUM_THREADS", "4"), ("MALLOC_ARENA_MAX", "4")];

/// Wall clock for one compilation: what a machine takes that has ten other things to do for each of its processors.
const WALL: Duration = Duration::from_secs(300);

/// Seconds of processor time for one compilation. The largest honest guest, CPython, takes some 30.
pub(crate) const CPU_SECS: u64 = 120;

/// Largest code that is taken from a child: it is as large as the largest entry that the cache reads back.
const CODE_BYTES_MAX: u64 = 1 << 30;

/// Who compiles.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compiler {
    /// This process. For tests: a hostile component can take all of its memory.
    InProcess,
    /// A child process: this executable with the argument [`COMPILE_COMMAND`].
    Child {
        /// Absolute path of an executable that calls [`crate::compile_child_main`].
        program: PathBuf,
    },
}

/// Why a component was not compiled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// The compiler refused it: invalid code, or a proposal that is off.
    #[error("the component does not compile: {message}")]
    Refused {
        /// Its words, neutralised.
        message: String,
    },
    /// It took too long, too much memory or crashed the compiler.
    #[error("compiling the component was stopped: {what}")]
    Stopped {
        /// Which limit, or how the child ended.
        what: String,
    },
    /// It did not come to its turn on a machine that has other things to do: it has not taken its processor time.
    #[error(
        "the component was not compiled within {seconds} s, because the machine has too much else to do\n\nhint: \
         run it again when there is less"
    )]
    Late {
        /// How long was waited.
        seconds: u64,
    },
    /// The child could not be started or spoken to.
    #[error("the compile process failed")]
    Child(#[source] std::io::Error),
}

/// First words of what is kept of a refusal, and of a compilation that was stopped.
const KEPT_REFUSED: &str = "refused: ";
const KEPT_STOPPED: &str = "stopped: ";

impl CompileError {
    /// What the next run has to know of it; nothing of a child that was late or could not be spoken to, which
    /// says nothing of the component.
    pub(crate) fn to_be_kept(&self) -> Option<String> {
        match self {
            Self::Refused { message } => Some(format!("{KEPT_REFUSED}{message}")),
            Self::Stopped { what } => Some(format!("{KEPT_STOPPED}{what}")),
            Self::Late { .. } | Self::Child(_) => None,
        }
    }

    /// The error that was kept in `file`, which is how to be rid of it: a machine with more memory or
    /// less to do may compile what was stopped here.
    pub(crate) fn recall(kept: &[u8], file: &std::path::Path) -> Option<Self> {
        let kept = std::str::from_utf8(kept).ok()?;
        let hint = format!(
            "it is not compiled again on this machine\n\nhint: to try once more, delete `{}`",
            file.display()
        );
        if let Some(message) = kept.strip_prefix(KEPT_REFUSED) {
            let message = format!("{message}; {hint}");
            return Some(Self::Refused { message });
        }
        let what = kept.strip_prefix(KEPT_STOPPED)?;
        let what = format!("{what}; {hint}");
        Some(Self::Stopped { what })
    }
}

/// Compiles, a few at a time.
pub(crate) struct CompileService {
    compiler: Compiler,
    slots: Semaphore,
    ready: Mutex<Ready>,
}

/// A child that has started and waits for its component: to start one takes as long as to compile a small component.
#[derive(Default)]
struct Ready {
    /// Whether there is to be one. It holds memory, so only who compiles again and again wants it.
    wanted: bool,
    child: Option<Child>,
}

impl CompileService {
    pub(crate) fn new(compiler: Compiler) -> Self {
        Self {
            compiler,
            slots: Semaphore::new(AT_ONCE),
            ready: Mutex::default(),
        }
    }

    /// From now on a child waits for the next component. Within a runtime only.
    pub(crate) fn keep_ready(&self) {
        self.ready().wanted = true;
        self.make_ready();
    }

    /// The native code of `bytes`, for [`wasmtime::component::Component::deserialize`].
    pub(crate) async fn compile(
        &self,
        engine: &wasmtime::Engine,
        bytes: Arc<[u8]>,
    ) -> Result<Vec<u8>, CompileError> {
        // Never closed, so there is always one.
        let _slot = self.slots.acquire().await;
        match &self.compiler {
            Compiler::InProcess => in_process(engine.clone(), bytes).await,
            Compiler::Child { program } => {
                let compiled = self.by_child(program, &bytes).await;
                // When the processors are free again.
                self.make_ready();
                compiled
            }
        }
    }

    async fn by_child(&self, program: &PathBuf, bytes: &[u8]) -> Result<Vec<u8>, CompileError> {
        let waiting = self.ready().child.take();
        // One that ended while it waited says nothing of this component.
        let waiting = waiting.and_then(|mut child| match child.try_wait() {
            Ok(None) => Some(child),
            Ok(Some(_)) | Err(_) => None,
        });
        let child = match waiting {
            Some(child) => child,
            None => spawn(program).map_err(CompileError::Child)?,
        };
        in_child(child, bytes, WALL).await
    }

    fn make_ready(&self) {
        // In this process there is nothing that could wait.
        let Compiler::Child { program } = &self.compiler else {
            return;
        };
        let mut ready = self.ready();
        if ready.wanted && ready.child.is_none() {
            // Where none starts now, the next compilation says why.
            ready.child = spawn(program).ok();
        }
    }

    fn ready(&self) -> std::sync::MutexGuard<'_, Ready> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn in_process(engine: wasmtime::Engine, bytes: Arc<[u8]>) -> Result<Vec<u8>, CompileError> {
    let work = tokio::task::spawn_blocking(move || engine.precompile_component(&bytes));
    match work.await {
        Ok(Ok(code)) => Ok(code),
        Ok(Err(error)) => Err(refused(&format!("{error:#}"))),
        Err(_) => Err(CompileError::Stopped {
            what: "the compiler panicked".to_owned(),
        }),
    }
}

async fn in_child(mut child: Child, bytes: &[u8], wall: Duration) -> Result<Vec<u8>, CompileError> {
    match tokio::time::timeout(wall, converse(&mut child, bytes)).await {
        Ok(answer) => answer,
        Err(_) => {
            // It may have ended by itself meanwhile; late it is either way.
            drop(child.kill().await);
            Err(CompileError::Late {
                seconds: wall.as_secs(),
            })
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the compile child is one of the few processes that are started, by absolute path"
)]
fn spawn(program: &PathBuf) -> std::io::Result<Child> {
    Command::new(program)
        .arg(COMPILE_COMMAND)
        // A compiler needs no variable, and those of the host hold secrets.
        .env_clear()
        .envs(CHILD_ENVIRONMENT)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // What a crashing compiler writes there is made of hostile input, and nobody reads it.
        .stderr(Stdio::null())
        // A terminal's interrupt goes to a whole group: whether to go on is the parent's decision.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}

/// Writes the component, reads the answer, and judges how the child ended.
async fn converse(child: &mut Child, bytes: &[u8]) -> Result<Vec<u8>, CompileError> {
    let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(CompileError::Child(std::io::Error::other("no pipes")));
    };
    let send = async {
        // A child that ends early closes the pipe; how it ended says more than the broken pipe.
        drop(stdin.write_all(bytes).await);
        drop(stdin);
    };
    let mut answer = Vec::new();
    // A child that has more to say finds the pipe closed, and ends with a failure of its own.
    let mut stdout = stdout.take(CODE_BYTES_MAX);
    // Both at once: a child that answers before it has read all would else wait for us as we for
    // it.
    let (read, ()) = tokio::join!(stdout.read_to_end(&mut answer), send);
    read.map_err(CompileError::Child)?;
    drop(stdout);
    let status = child.wait().await.map_err(CompileError::Child)?;
    match status.code() {
        Some(0) => Ok(answer),
        Some(REFUSED) => Err(refused(&String::from_utf8_lossy(&answer))),
        _ if took_its_time(&status) => Err(CompileError::Stopped {
            what: format!("it took more than {CPU_SECS} s of processor time"),
        }),
        _ => Err(CompileError::Stopped {
            what: format!("the compiler ended with {status}"),
        }),
    }
}

/// Whether the kernel ended it for its processor time.
fn took_its_time(status: &ExitStatus) -> bool {
    status.signal() == Some(Signal::XCPU.as_raw())
}

/// Exit code of a child that says why it refused, on its standard output: `EX_DATAERR`, which neither a
/// panic nor a signal gives.
pub(crate) const REFUSED: i32 = 65;

fn refused(message: &str) -> CompileError {
    CompileError::Refused {
        message: neutralise(message, MESSAGE_CHARS),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// A compiler that does what the line says.
    #[expect(
        clippy::disallowed_methods,
        reason = "the test writes the program that is its compiler"
    )]
    fn program(dir: &tempfile::TempDir, line: &str) -> PathBuf {
        let program = dir.path().join("compiler");
        fs::write(&program, format!("#!/bin/sh\n{line}\n")).expect("a file");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).expect("its mode");
        program
    }

    /// Such a compiler, of which one waits, and the number of that.
    fn waiting(dir: &tempfile::TempDir, line: &str) -> (CompileService, u32) {
        let program = program(dir, line);
        let service = CompileService::new(Compiler::Child { program });
        service.keep_ready();
        let child = service.ready().child.as_ref().and_then(Child::id);
        (service, child.expect("a child waits"))
    }

    async fn compiled(service: &CompileService) -> String {
        let engine = wasmtime::Engine::new(&crate::knobs::compiling()).expect("an engine");
        let code = service.compile(&engine, Arc::from(*b"")).await;
        String::from_utf8(code.expect("it is compiled")).expect("it is text")
    }

    /// What comes of a compiler that does what the line says.
    async fn compiled_by(line: &str, longest: Duration) -> Result<Vec<u8>, CompileError> {
        let dir = tempfile::tempdir().expect("a folder");
        let child = spawn(&program(&dir, line)).expect("a child");
        in_child(child, b"", longest).await
    }

    #[tokio::test]
    async fn a_child_that_is_late_says_nothing_of_the_component() {
        let late = compiled_by("exec sleep 60", Duration::from_millis(50)).await;
        assert!(matches!(late, Err(CompileError::Late { .. })), "{late:?}");
        assert!(late.is_err_and(|error| error.to_be_kept().is_none()));
    }

    #[tokio::test]
    async fn a_child_that_took_its_processor_time_is_told_so_and_kept() {
        let stopped = compiled_by("kill -XCPU $$", Duration::from_secs(60)).await;
        let kept = stopped.expect_err("it was stopped").to_be_kept();
        let kept = kept.expect("it is kept");
        assert!(kept.contains("processor time"), "{kept}");
    }

    #[tokio::test]
    async fn who_compiles_often_has_a_child_that_waits_and_each_takes_one_component() {
        let dir = tempfile::tempdir().expect("a folder");
        let (service, first) = waiting(&dir, "cat >&2; printf %s $$");
        assert_eq!(compiled(&service).await, first.to_string());
        let second = service.ready().child.as_ref().and_then(Child::id);
        let second = second.expect("the next one waits");
        assert_ne!(second, first);
        assert_eq!(compiled(&service).await, second.to_string());
    }

    #[tokio::test]
    async fn a_child_that_ended_while_it_waited_is_not_asked() {
        let dir = tempfile::tempdir().expect("a folder");
        let first_ends =
            "[ -e \"$0.ended\" ] || { : > \"$0.ended\"; exit 1; }; cat >&2; printf code";
        let (service, _) = waiting(&dir, first_ends);
        let mut first = service.ready().child.take().expect("a child waits");
        first.wait().await.expect("it ends");
        service.ready().child = Some(first);
        assert_eq!(compiled(&service).await, "code");
    }
}
