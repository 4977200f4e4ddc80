//! What a process is to be: told to the warden as one line of JSON, before anything of it runs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where programs are looked for, in this order. Not the person's own: what runs must not depend on who
/// started it from where.
pub const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Folders of the sandbox that are the host's to lay out; nothing is granted at or below them.
const TAKEN: [&str; 12] = [
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc", "/proc", "/sys", "/dev", "/tmp",
    "/.old",
];

/// One process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// The program and its arguments, never a shell's line. A name without `/` is looked for in [`PATH`].
    pub command: Vec<String>,
    /// SHA-256 of the program's file, hexadecimal; empty: any.
    pub sha256: String,
    /// All of its environment beside `PATH`, `HOME` and `TMPDIR`.
    pub environment: BTreeMap<String, String>,
    /// Where it starts, as it sees it.
    pub folder: String,
    /// What it sees of this machine beside programs and libraries.
    pub folders: Vec<Folder>,
    /// What it may use.
    pub bounds: Bounds,
}

/// One folder of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Folder {
    /// Absolute, without links on the way.
    pub host: PathBuf,
    /// Where the process sees it.
    pub guest: String,
    /// Whether it may change what is below.
    pub write: bool,
    /// Most bytes below it; looked at every second, because no kernel counts them.
    pub quota_bytes: u64,
    /// Most entries below it.
    pub quota_entries: u64,
}

/// What a process may use, each a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    /// Bytes of memory: of each of its processes by the kernel (private writable memory), of all together by
    /// the warden, which looks twenty times a second (resident memory).
    pub memory_bytes: u64,
    /// Seconds of processor time of all its processes together.
    pub cpu_seconds: u64,
    /// Processes and threads at once.
    pub processes: u64,
    /// Open files of each process.
    pub open_files: u64,
    /// Bytes of one file that it writes, and of all that it keeps in `/tmp`.
    pub file_bytes: u64,
    /// Seconds from start to end.
    pub wall_seconds: u64,
}

/// Why a process was not begun.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// This machine cannot enforce a part of the sandbox.
    #[error("this machine cannot confine a process: {0}")]
    Unconfined(String),
    /// The program is not there, or is another one.
    #[error("{0}")]
    Program(String),
    /// A folder cannot be shown to it.
    #[error("{0}")]
    Folder(String),
    /// The host could not start or hear the warden.
    #[error("the sandbox's own process failed: {0}")]
    Warden(String),
}

/// Whether a guest path is the host's to lay out.
///
/// # Examples
///
/// ```
/// assert!(flowhost_jail::is_taken("/usr/share"));
/// assert!(!flowhost_jail::is_taken("/docs"));
/// ```
#[must_use]
pub fn is_taken(guest: &str) -> bool {
    let at_or_below = |taken: &&str| {
        guest
            .strip_prefix(*taken)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    guest == "/" || TAKEN.iter().any(at_or_below)
}

impl Spec {
    /// What is wrong with it before anything is tried.
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        let no_zero = |text: &String| !text.contains('\0');
        let program = self.command.first().filter(|it| !it.is_empty());
        if program.is_none() || !self.command.iter().all(no_zero) {
            let what = "`command` has to name a program, and no part of it may hold a zero byte";
            return Err(Refusal::Program(what.to_owned()));
        }
        let taken = self.folders.iter().find(|it| is_taken(&it.guest));
        match taken {
            Some(folder) => Err(Refusal::Folder(format!(
                "`{}` cannot be shown to a process there: the sandbox has a folder of its own; give the grant \
                 another guest path",
                folder.guest
            ))),
            None => Ok(()),
        }
    }
}
