//! Builds a plugin from its sources, one at a time, the newest wish first.
//!
//! The work is `flowhost plugin build FOLDER`, as a process: a build that never ends is ended with all
//! that it started, and a newer change ends an older build, whose result nobody wants any more.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Child;
use tokio::time::{Instant, timeout};

use crate::ambient::Ambient;
use crate::plugin::Lang;

/// A build may fetch and compile everything that a fresh project depends on. Longer than that it waits for a
/// network that is not there.
const BUILD_MAX: Duration = Duration::from_secs(600);
/// What is kept of a build's output: its end, where compilers say what is wrong.
const OUTPUT_MAX: usize = 64 << 10;
/// What makes a folder the project of a plugin, beside its language's own file.
const MANIFEST: &str = "plugin.toml";
/// How far above a component its project may be: `target/plugin/x.wasm` and one more.
const ABOVE_MAX: usize = 4;

/// The folder of sources that a component is built from: the nearest one above it, not above `root`, that
/// is an author's project.
#[must_use]
pub(super) fn project_of(ambient: &Ambient, component: &Path, root: &Path) -> Option<PathBuf> {
    let above = component.ancestors().skip(1).take(ABOVE_MAX);
    let mut above = above.take_while(|folder| folder.starts_with(root));
    above
        .find(|folder| {
            ambient.is_file(&folder.join(MANIFEST)) && Lang::of(ambient, folder).is_some()
        })
        .map(Path::to_owned)
}

/// How a build ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// The plugin's folder.
    pub(super) folder: PathBuf,
    /// From its start to its end.
    pub(super) took_ms: u64,
    /// What went wrong, in the compiler's own words.
    pub(super) result: Result<(), String>,
}

/// The build that is at work, and those that wait.
pub(super) struct Builds {
    ambient: Ambient,
    waiting: BTreeSet<PathBuf>,
    working: Option<Working>,
}

struct Working {
    folder: PathBuf,
    started: Instant,
    done: tokio::task::JoinHandle<Result<(), String>>,
}

impl Drop for Working {
    fn drop(&mut self) {
        // The task owns the process, and ends its group when it goes.
        self.done.abort();
    }
}

impl Builds {
    /// Nothing is built.
    #[must_use]
    pub(super) fn new(ambient: &Ambient) -> Self {
        Self {
            ambient: ambient.clone(),
            waiting: BTreeSet::new(),
            working: None,
        }
    }

    /// Builds this folder: now, or after the build that is at work. A build of the same folder is ended
    /// first, because what it reads has changed under it. Gives the folder whose build begins now.
    pub(super) fn want(&mut self, folder: PathBuf) -> Option<PathBuf> {
        // Another folder's build is waited for instead: two compilers at once take longer than one after the other.
        if self.working.as_ref().is_some_and(|it| it.folder == folder) {
            self.working = None;
        }
        self.waiting.insert(folder);
        self.begin()
    }

    /// Begins the next build if none is at work.
    pub(super) fn begin(&mut self) -> Option<PathBuf> {
        if self.working.is_some() {
            return None;
        }
        let folder = self.waiting.pop_first()?;
        let ambient = self.ambient.clone();
        let of = folder.clone();
        let done = tokio::spawn(async move { build(&ambient, &of).await });
        let started = Instant::now();
        self.working = Some(Working {
            folder: folder.clone(),
            started,
            done,
        });
        Some(folder)
    }

    /// Waits for the end of the build that is at work; for ever if none is.
    ///
    /// May be dropped and asked again at any point; an end is given once.
    pub(super) async fn ended(&mut self) -> Ended {
        let Some(working) = &mut self.working else {
            return std::future::pending().await;
        };
        let result = (&mut working.done).await;
        let ended = Ended {
            folder: working.folder.clone(),
            took_ms: u64::try_from(working.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            result: result.unwrap_or_else(|error| Err(format!("the build was lost: {error}"))),
        };
        self.working = None;
        ended
    }
}

/// A process with all that it started.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        // It leads its group. Gone already is what we want.
        if let Some(pid) = self.0.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
            let _gone = kill_process_group(pid, Signal::KILL);
        }
    }
}

async fn build(ambient: &Ambient, folder: &Path) -> Result<(), String> {
    let arguments = ["plugin", "build"].map(OsStr::new);
    let child = ambient
        .child(&arguments, folder)
        .map_err(|error| format!("the build cannot be started: {error}"))?;
    let mut group = Group(child);
    match timeout(BUILD_MAX, finish(&mut group.0)).await {
        Ok(Ok((status, _))) if status.success() => Ok(()),
        Ok(Ok((status, output))) if output.trim().is_empty() => {
            Err(format!("the build ended with {status} and said nothing"))
        }
        Ok(Ok((_, output))) => Err(output),
        Ok(Err(error)) => Err(format!("the build's output cannot be read: {error}")),
        Err(_elapsed) => Err(format!(
            "the build did not end within {} s and was ended; run `flowhost plugin build` in its folder to see why",
            BUILD_MAX.as_secs()
        )),
    }
}

async fn finish(child: &mut Child) -> io::Result<(ExitStatus, String)> {
    let (out, err) = (child.stdout.take(), child.stderr.take());
    // Both at once: a pipe that nobody reads fills up, and its writer waits for ever. Before the end is waited for,
    // for the same reason.
    let (out, err) = tokio::join!(tail(out), tail(err));
    // Compilers speak on standard error; what the rest says comes after it.
    let mut said = err?;
    said.extend(out?);
    let status = child.wait().await?;
    Ok((status, String::from_utf8_lossy(&said).into_owned()))
}

/// The last bytes of a stream.
async fn tail(stream: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut kept = Vec::new();
    let Some(mut stream) = stream else {
        return Ok(kept);
    };
    let mut part = [0; 4_096];
    loop {
        let read = stream.read(&mut part).await?;
        if read == 0 {
            return Ok(kept);
        }
        kept.extend(part.iter().take(read));
        // Cut when there is twice as much, so that not every part moves all that is kept.
        if kept.len() > 2 * OUTPUT_MAX {
            kept.drain(..kept.len() - OUTPUT_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Builds whose program is the shell, which takes the file `plugin` of the folder for its script.
    fn builds(folder: &Path) -> (Ambient, Builds) {
        let shell = Some(PathBuf::from("/bin/sh"));
        let ambient = Ambient::with(BTreeMap::new(), folder.to_owned(), shell);
        let builds = Builds::new(&ambient);
        (ambient, builds)
    }

    /// Whether a process is at work; one that was ended and not yet waited for is not.
    fn is_at_work(ambient: &Ambient, process: &str) -> bool {
        let status = Path::new("/proc").join(process).join("stat");
        let status = ambient.read_text(&status, 4_096).unwrap_or_default();
        let state = status.rsplit(") ").next().unwrap_or_default();
        !(state.is_empty() || state.starts_with('Z') || state.starts_with('X'))
    }

    async fn until(what: &str, mut holds: impl FnMut() -> bool) {
        let since = Instant::now();
        while !holds() {
            assert!(since.elapsed() < Duration::from_secs(60), "never: {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn a_build_that_never_ends_is_ended_by_the_next_change_with_all_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let (ambient, mut builds) = builds(folder.path());
        let script = folder.path().join("plugin");
        let endless = "sleep 1000 &\necho $$ $! >> at-work\nwait\n";
        ambient.write(&script, endless.as_bytes()).unwrap();
        let list = folder.path().join("at-work");
        let listed = || ambient.read_text(&list, 4_096).unwrap_or_default();
        // One that has begun, then saves as fast as they come.
        for save in 0..50 {
            assert_eq!(
                builds.want(folder.path().to_owned()).as_deref(),
                Some(folder.path())
            );
            if save == 0 {
                until("the build begins", || listed().ends_with('\n')).await;
            }
        }
        ambient.write(&script, b"exit 0\n").unwrap();
        builds.want(folder.path().to_owned());
        let ended = builds.ended().await;
        assert_eq!(ended.result, Ok(()));
        let processes = listed();
        assert!(!processes.is_empty());
        for process in processes.split_whitespace() {
            until("what a build started is ended", || {
                !is_at_work(&ambient, process)
            })
            .await;
        }
    }

    #[tokio::test]
    async fn a_build_that_fails_without_a_word_is_told_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let (ambient, mut builds) = builds(folder.path());
        let script = folder.path().join("plugin");
        ambient.write(&script, b"exit 3\n").unwrap();
        builds.want(folder.path().to_owned());
        let why = builds.ended().await.result.unwrap_err();
        assert!(why.contains("exit status: 3"), "{why}");
    }
}
