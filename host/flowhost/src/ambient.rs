//! The only file with ambient authority: environment, working directory, clock, entropy, and the
//! paths, ports and services that a person named.
//!
//! Everything else is handed what it needs. A guest path must never arrive here (rule F6): what
//! guests touch goes through the handles of the `files` capability.

#![expect(
    clippy::disallowed_methods,
    reason = "ambient authority is taken in this file and nowhere else in the crate"
)]

mod found;
mod guarded;
mod pins;
mod scratch;
#[cfg(test)]
mod tests;
mod tool;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{ErrorKind, IsTerminal as _, Read as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{SystemTime, UNIX_EPOCH};

use flowhost_engine::Inspected;
use flowhost_flow::Exit;
use flowhost_run::{Failure, Finding};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Child;

pub(crate) use pins::Unusable;
pub use tool::{Ran, Shown};

/// The world as it was when the process started.
#[derive(Debug, Clone)]
pub struct Ambient {
    env: BTreeMap<String, String>,
    cwd: PathBuf,
    exe: Option<PathBuf>,
    /// Components that were read before. Clones share them, whatever their working directory.
    pins: Arc<pins::Pins>,
    /// What earlier processes found in components. Clones share it.
    found: Arc<found::Found>,
}

/// What tells that a file is another one than before, without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Bytes.
    pub len: u64,
    modified: SystemTime,
    /// A file that was replaced within one tick of the file system's clock is another file.
    inode: u64,
}

/// A file that could not be read or written, with the path as it was asked for.
#[derive(Debug, thiserror::Error)]
#[error("cannot {verb} `{path}`")]
pub struct FileError {
    /// What was tried: `read`, `write`, `list`, `create`, `run`.
    pub verb: &'static str,
    /// The path.
    pub path: String,
    /// Why not.
    #[source]
    pub source: std::io::Error,
}

impl FileError {
    pub(crate) fn new(verb: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self {
            verb,
            path: path.display().to_string(),
            source,
        }
    }

    /// Whether there is nothing at the path.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(
            self.source.kind(),
            // A path below a file leads to nothing either.
            ErrorKind::NotFound | ErrorKind::NotADirectory
        )
    }

    /// Whether what was to be made is there.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.source.kind() == ErrorKind::AlreadyExists
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        Self::new(Exit::Internal, error.to_string()).because(error.source.to_string())
    }
}

impl From<&FileError> for Finding {
    fn from(error: &FileError) -> Self {
        Self::new(
            error.path.clone(),
            format!("cannot {}: {}", error.verb, error.source),
        )
    }
}

impl Ambient {
    /// Reads the environment, the working directory and the executable's path, once.
    ///
    /// # Errors
    /// When the working directory is gone.
    pub fn take() -> Result<Self, FileError> {
        let cwd = std::env::current_dir()
            .map_err(|source| FileError::new("find", Path::new("."), source))?;
        Ok(Self {
            // What is no text can be no setting of ours; a variable in another encoding must not stop every command.
            env: std::env::vars_os()
                .filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                })
                .collect(),
            cwd,
            exe: std::env::current_exe().ok(),
            pins: Arc::default(),
            found: Arc::default(),
        })
    }

    /// An environment made by a test.
    #[must_use]
    pub fn with(env: BTreeMap<String, String>, cwd: PathBuf, exe: Option<PathBuf>) -> Self {
        Self {
            env,
            cwd,
            exe,
            pins: Arc::default(),
            found: Arc::default(),
        }
    }

    /// The same person in another working directory.
    #[must_use]
    pub fn at(&self, cwd: PathBuf) -> Self {
        Self {
            cwd,
            ..self.clone()
        }
    }

    /// A variable's value; empty counts as not set.
    #[must_use]
    pub fn var(&self, name: &str) -> Option<&str> {
        self.env
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// The working directory.
    #[must_use]
    pub fn cwd(&self) -> &Path {
        &self.cwd
    }

    /// This executable.
    #[must_use]
    pub fn exe(&self) -> Option<&Path> {
        self.exe.as_deref()
    }

    /// `path` as seen from the working directory.
    #[must_use]
    pub fn resolve(&self, path: &Path) -> PathBuf {
        self.cwd.join(path)
    }

    /// Where a program is, by the directories of `PATH`.
    #[must_use]
    pub fn program(&self, name: &str) -> Option<PathBuf> {
        use std::os::unix::fs::PermissionsExt as _;
        let runs = |path: &PathBuf| {
            std::fs::metadata(path)
                // Anybody's bit: whether it is ours to start, the start says, with a better message than "not found".
                .is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
        };
        let folders = std::env::split_paths(self.var("PATH")?);
        folders
            .map(|folder| self.resolve(&folder.join(name)))
            .find(runs)
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        let since = SystemTime::now()
            // A clock that stands before 1970 is wrong, and no reason to fail: ledgers order records by number.
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    /// Random bytes of the operating system.
    ///
    /// # Errors
    /// When the system gives none.
    pub fn entropy<const N: usize>(&self) -> Result<[u8; N], getrandom::Error> {
        let mut bytes = [0; N];
        getrandom::fill(&mut bytes)?;
        Ok(bytes)
    }

    /// Fills `bytes` with randomness of the operating system.
    ///
    /// # Errors
    /// When the system gives none.
    pub fn fill(&self, bytes: &mut [u8]) -> std::io::Result<()> {
        getrandom::fill(bytes).map_err(|error| std::io::Error::other(error.to_string()))
    }

    /// Opens a port for others on this machine. Callers have checked the address.
    ///
    /// # Errors
    /// When the address is taken or not to be had.
    pub async fn listen(&self, address: SocketAddr) -> std::io::Result<TcpListener> {
        TcpListener::bind(address).await
    }

    /// Connects to a service that the operator named, by the system's resolver; never to what a
    /// plugin names.
    ///
    /// # Errors
    /// When the name has no address or nobody answers there.
    pub async fn dial(&self, host: &str, port: u16) -> std::io::Result<TcpStream> {
        TcpStream::connect((host, port)).await
    }

    /// Reads a file of at most `max` bytes.
    ///
    /// # Errors
    /// When it is not there, not a regular file or larger.
    pub fn read(&self, path: &Path, max: u64) -> Result<Vec<u8>, FileError> {
        let path = self.resolve(path);
        read_bounded(&path, max).map_err(|source| FileError::new("read", &path, source))
    }

    /// Reads and inspects a component of at most `max` bytes, or hands out what an earlier reading gave while
    /// its file is as it was.
    ///
    /// # Errors
    /// As [`Ambient::read`], and when inspection refuses what stands there.
    pub(crate) fn component(&self, path: &Path, max: u64) -> Result<Inspected, Unusable> {
        let inspect = |bytes| self.inspect(bytes);
        self.pins
            .component(&self.resolve(path), max, SystemTime::now(), &inspect)
    }

    /// Reads a UTF-8 file of at most `max` bytes.
    ///
    /// # Errors
    /// As [`Ambient::read`], and when it is not UTF-8.
    pub fn read_text(&self, path: &Path, max: u64) -> Result<String, FileError> {
        let bytes = self.read(path, max)?;
        String::from_utf8(bytes).map_err(|_| {
            let source = std::io::Error::new(ErrorKind::InvalidData, "it is not UTF-8 text");
            FileError::new("read", &self.resolve(path), source)
        })
    }

    /// Whether a regular file stands at the path.
    #[must_use]
    pub fn is_file(&self, path: &Path) -> bool {
        self.resolve(path).is_file()
    }

    /// Whether a symbolic link stands at the path.
    #[must_use]
    pub fn is_link(&self, path: &Path) -> bool {
        self.resolve(path).is_symlink()
    }

    /// Whether a directory stands at the path.
    #[must_use]
    pub fn is_dir(&self, path: &Path) -> bool {
        self.resolve(path).is_dir()
    }

    /// Whether two paths belong to one user; false where one of them cannot be looked at.
    #[must_use]
    pub fn same_owner(&self, a: &Path, b: &Path) -> bool {
        use std::os::unix::fs::MetadataExt as _;
        let owner = |path: &Path| self.resolve(path).metadata().map(|it| it.uid());
        matches!((owner(a), owner(b)), (Ok(a), Ok(b)) if a == b)
    }

    /// The path without symbolic links and dots.
    ///
    /// # Errors
    /// When it does not exist.
    pub fn canonical(&self, path: &Path) -> Result<PathBuf, FileError> {
        let path = self.resolve(path);
        path.canonicalize()
            .map_err(|source| FileError::new("find", &path, source))
    }

    /// What a plan names by a path: relative, and below `folder` after every link and dot is
    /// resolved, so that a hostile plan cannot make the host read (and quote) other files.
    ///
    /// # Errors
    /// When it does not exist, or leaves the folder.
    pub fn below(&self, folder: &Path, path: &Path) -> Result<PathBuf, FileError> {
        let named = self.resolve(&folder.join(path));
        // Most of what is looked for in several places is not there, and to follow links takes a question for each
        // folder above it.
        named
            .symlink_metadata()
            .map_err(|source| FileError::new("find", &named, source))?;
        let folder = self.canonical(folder)?;
        let found = self.canonical(&named)?;
        if path.is_absolute() || !found.starts_with(&folder) {
            let source =
                std::io::Error::new(ErrorKind::PermissionDenied, "it leaves the plan's folder");
            return Err(FileError::new("use", path, source));
        }
        Ok(found)
    }

    /// Refuses a file whose links lead out of the folder that it stands in: what is found beside a
    /// stranger's plan must not make the host read (and quote) other files. What is not there is no
    /// link.
    ///
    /// # Errors
    /// When it leads out, or its folder is gone.
    pub fn stays(&self, path: &Path) -> Result<(), FileError> {
        let path = self.resolve(path);
        let folder = self.canonical(path.parent().unwrap_or(Path::new("/")))?;
        let found = match self.canonical(&path) {
            Ok(found) => found,
            Err(error) if error.is_missing() => return Ok(()),
            Err(error) => return Err(error),
        };
        if found.starts_with(&folder) {
            return Ok(());
        }
        let what = "it is a link that leaves its folder; put the file itself there";
        let source = std::io::Error::new(ErrorKind::PermissionDenied, what);
        Err(FileError::new("use", &path, source))
    }

    /// The certificates (DER) that this system trusts, wherever it keeps them.
    ///
    /// # Errors
    /// What kept all of them from being read.
    pub fn system_certificates(&self) -> Result<Vec<Vec<u8>>, String> {
        let found = rustls_native_certs::load_native_certs();
        match (found.certs.is_empty(), found.errors.first()) {
            (true, Some(error)) => Err(error.to_string()),
            _ => Ok(found.certs.iter().map(|it| it.to_vec()).collect()),
        }
    }

    /// Names in a directory, sorted; those that are not UTF-8 are left out.
    ///
    /// # Errors
    /// When it cannot be listed.
    pub fn list(&self, path: &Path) -> Result<Vec<String>, FileError> {
        let path = self.resolve(path);
        let entries =
            std::fs::read_dir(&path).map_err(|source| FileError::new("list", &path, source))?;
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect();
        names.sort();
        Ok(names)
    }

    /// The process that holds the lock of a folder, where the system says it.
    #[must_use]
    pub fn lock_holder(&self, dir: &Path) -> Option<u32> {
        let inode = std::fs::metadata(dir).ok()?.ino();
        let locks = std::fs::read_to_string("/proc/locks").ok()?;
        crate::locks::holder(&locks, inode)
    }

    /// Waits for the lock of a file and takes it; the file is made where it is not there. The lock ends when what this
    /// gives is dropped, and with the process.
    ///
    /// # Errors
    /// When the file cannot be opened or locked.
    pub fn lock(&self, path: &Path) -> Result<std::fs::File, FileError> {
        let path = self.resolve(path);
        let mut options = std::fs::OpenOptions::new();
        // Opened for writing because some file systems lock nothing else, and never emptied: the lock is taken after
        // the opening, so that another process may be at work with what stands in it.
        options.read(true).write(true).create(true).truncate(false);
        let taken = options.open(&path).and_then(|file| {
            file.lock()?;
            Ok(file)
        });
        taken.map_err(|source| FileError::new("lock", &path, source))
    }

    /// Creates a directory and its parents, for the owner only.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn create_dir(&self, path: &Path) -> Result<(), FileError> {
        use std::os::unix::fs::DirBuilderExt as _;
        let path = self.resolve(path);
        let mut builder = std::fs::DirBuilder::new();
        // State, keys and payloads go below it. What is there already keeps its mode: it may be shared on purpose.
        builder.recursive(true).mode(0o700);
        builder
            .create(&path)
            .map_err(|source| FileError::new("create", &path, source))
    }

    /// A directory as a handle, made where it is not there.
    ///
    /// # Errors
    /// When it cannot be created or opened.
    pub fn open_dir(&self, path: &Path) -> Result<cap_std::fs::Dir, FileError> {
        self.create_dir(path)?;
        let path = self.resolve(path);
        cap_std::fs::Dir::open_ambient_dir(&path, cap_std::ambient_authority())
            .map_err(|source| FileError::new("open", &path, source))
    }

    /// Removes a file of the host's own.
    ///
    /// # Errors
    /// When it cannot be removed, and when it is not there.
    pub fn remove(&self, path: &Path) -> Result<(), FileError> {
        let path = self.resolve(path);
        std::fs::remove_file(&path).map_err(|source| FileError::new("remove", &path, source))
    }

    /// Writes a file so that a reader sees the old or the new content, never half of it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), FileError> {
        let path = self.resolve(path);
        write_atomic(&path, Synced::Yes, |file| file.write_all(bytes))
            .map(drop)
            .map_err(|source| FileError::new("write", &path, source))
    }

    /// As [`Ambient::write`], without waiting for the disk: a loss of power may take the file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_unsynced(&self, path: &Path, bytes: &[u8]) -> Result<(), FileError> {
        let path = self.resolve(path);
        write_atomic(&path, Synced::No, |file| file.write_all(bytes))
            .map(drop)
            .map_err(|source| FileError::new("write", &path, source))
    }

    /// As [`Ambient::write`], for what is too large to be held: `fill` writes it. Returns how many bytes
    /// the file has.
    ///
    /// # Errors
    /// When it cannot be written, or `fill` fails; nothing has changed then.
    pub fn write_with(
        &self,
        path: &Path,
        fill: impl FnOnce(&mut dyn std::io::Write) -> std::io::Result<()>,
    ) -> Result<u64, FileError> {
        let path = self.resolve(path);
        write_atomic(&path, Synced::Yes, fill)
            .map_err(|source| FileError::new("write", &path, source))
    }

    /// As [`Ambient::write`], and never over what is there, whatever it is and whoever put it there meanwhile.
    ///
    /// # Errors
    /// When something is there, or it cannot be written.
    pub fn create(&self, path: &Path, bytes: &[u8]) -> Result<(), FileError> {
        let path = self.resolve(path);
        let mut builder = tempfile::Builder::new();
        create(&path, bytes, builder.permissions(less_umask()))
            .map_err(|source| FileError::new("create", &path, source))
    }

    /// Creates a file that only its owner may read. An existing one is an error.
    ///
    /// # Errors
    /// When it exists or cannot be written.
    pub fn create_secret(&self, path: &Path, bytes: &[u8]) -> Result<(), FileError> {
        let path = self.resolve(path);
        create(&path, bytes, &mut tempfile::Builder::new())
            .map_err(|source| FileError::new("create", &path, source))
    }

    /// Makes a file that would grow over this process's size limit (`ulimit -f`) an error of the write,
    /// as a full disk is, where the system's way is to kill the process. It is enough that somebody hears the
    /// signal: nobody looks at the flag.
    ///
    /// # Errors
    /// When the system takes no handler.
    pub fn survive_file_size_limit(&self) -> std::io::Result<()> {
        let heard = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(signal_hook::consts::SIGXFSZ, heard).map(drop)
    }

    /// Whether whoever started this process had it ignore hang-ups. Only Linux tells; elsewhere they are
    /// taken for heard.
    #[must_use]
    pub fn hangup_is_ignored(&self) -> bool {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let mask = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        // Signal 1 is the lowest bit.
        mask.is_some_and(|mask| mask & 1 == 1)
    }

    /// Ends the process at once, for the one who asked twice.
    pub fn exit(&self, code: u8) -> ! {
        // No destructor runs: whoever asked twice wants no more cleaning up, and the ledger is such that a kill
        // leaves it whole.
        std::process::exit(i32::from(code))
    }

    /// The file's stamp; none when there is no file at the path.
    #[must_use]
    pub fn stamp(&self, path: &Path) -> Option<Stamp> {
        let meta = std::fs::metadata(path).ok()?;
        meta.is_file().then_some(())?;
        Some(Stamp {
            len: meta.len(),
            modified: meta.modified().ok()?,
            inode: meta.ino(),
        })
    }

    /// When the file system last changed what it keeps about a file, in seconds with nine decimals. Nobody can set
    /// it, and no archive brings it along.
    ///
    /// # Errors
    /// When the path names nothing that can be asked about.
    pub fn changed_at(&self, path: &Path) -> Result<String, FileError> {
        let path = self.resolve(path);
        // Of a link itself: what it leads to may have come from anywhere.
        let about = std::fs::symlink_metadata(&path)
            .map_err(|source| FileError::new("read", &path, source))?;
        Ok(format!("{}.{:09}", about.ctime(), about.ctime_nsec()))
    }

    /// A process of this executable that was asked to do `arguments` in `folder`, with its output piped
    /// and nothing on standard input. It leads a group of its own and dies with the handle.
    ///
    /// # Errors
    /// When the path of this executable is not known, or the process cannot be started.
    pub fn child(&self, arguments: &[&OsStr], folder: &Path) -> std::io::Result<Child> {
        let exe = self
            .exe
            .as_ref()
            .ok_or_else(|| std::io::Error::other("the path of this executable is not known"))?;
        let mut command = tokio::process::Command::new(exe);
        command.args(arguments).current_dir(folder);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // A group of its own: a compiler starts others, and all of them end together.
        command.process_group(0).kill_on_drop(true);
        command.spawn()
    }

    /// Shows a page in the person's browser, where the desktop knows how; else nothing happens. No shell reads its
    /// name.
    pub fn open_page(&self, page: impl AsRef<OsStr>) {
        let mut command = std::process::Command::new("xdg-open");
        command.arg(page);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // Nobody waits for it: what is left of it in the table of processes goes with this one.
        let _no_desktop = command.spawn();
    }

    /// Whether standard input is a terminal.
    #[must_use]
    pub fn stdin_is_terminal(&self) -> bool {
        std::io::stdin().is_terminal()
    }

    /// Whether standard output is a terminal.
    #[must_use]
    pub fn stdout_is_terminal(&self) -> bool {
        std::io::stdout().is_terminal()
    }

    /// Whether standard error is a terminal.
    #[must_use]
    pub fn stderr_is_terminal(&self) -> bool {
        std::io::stderr().is_terminal()
    }
}

fn read_bounded(path: &Path, max: u64) -> std::io::Result<Vec<u8>> {
    let (mut file, about) = open_regular(path)?;
    read_open(&mut file, &about, max)
}

/// Opens a file that may be read to its end; a pipe would have to be waited for already to be opened.
fn open_regular(path: &Path) -> std::io::Result<(std::fs::File, std::fs::Metadata)> {
    let refused = || std::io::Error::new(ErrorKind::InvalidInput, "it is not a regular file");
    // By its name before it is opened: to open a pipe waits for somebody who writes.
    let there = std::fs::metadata(path)?;
    if there.is_dir() {
        let words = "it is a folder, and a file is wanted";
        return Err(std::io::Error::new(ErrorKind::IsADirectory, words));
    }
    if !there.is_file() {
        return Err(refused());
    }
    let file = std::fs::File::open(path)?;
    // And again of what was opened: another file may have taken the name meanwhile.
    let about = file.metadata()?;
    match about.is_file() {
        true => Ok((file, about)),
        false => Err(refused()),
    }
}

fn read_open(
    file: &mut std::fs::File,
    about: &std::fs::Metadata,
    max: u64,
) -> std::io::Result<Vec<u8>> {
    // No more room at once than may be filled: a length is what the file system says, and a file in `/proc` has none.
    let mut bytes = Vec::with_capacity(usize::try_from(about.len().min(max)).unwrap_or(0));
    // One byte more than is allowed tells a file that is too large from one that just fits. A file can grow while it
    // is read, so that its length decides nothing.
    file.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        let message = format!("it is larger than {max} bytes");
        return Err(std::io::Error::new(ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}

/// Whole or not at all: a reader never sees half of it, and neither does a crash.
fn write_atomic(
    path: &Path,
    synced: Synced,
    fill: impl FnOnce(&mut dyn std::io::Write) -> std::io::Result<()>,
) -> std::io::Result<u64> {
    let mut builder = tempfile::Builder::new();
    // A rename takes the place of what is there at once. The folder is not synced: after a loss of power the old file
    // may stand there again, which is whole as well.
    let file = written_beside(path, synced, fill, builder.permissions(less_umask()))?;
    let file = file.persist(path).map_err(|error| error.error)?;
    Ok(file.metadata()?.len())
}

/// Of a file that is no secret: the system takes from it what the umask says.
fn less_umask() -> std::fs::Permissions {
    use std::os::unix::fs::PermissionsExt as _;
    // The maker of temporary files would make it for its owner alone.
    std::fs::Permissions::from_mode(0o666)
}

/// As [`write_atomic`], and never over what is there: of two processes that make the same secret, one wins and the
/// other reads the winner's. A builder without permissions makes it for the owner only.
fn create(
    path: &Path,
    bytes: &[u8],
    builder: &mut tempfile::Builder<'_, '_>,
) -> std::io::Result<()> {
    let fill = |file: &mut dyn std::io::Write| file.write_all(bytes);
    let file = written_beside(path, Synced::Yes, fill, builder)?;
    file.persist_noclobber(path)
        .map(drop)
        .map_err(|error| error.error)
}

/// Whether what is written is waited for until the disk has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Synced {
    Yes,
    No,
}

/// A file of the same folder, with this content, under a name of its own.
fn written_beside(
    path: &Path,
    synced: Synced,
    fill: impl FnOnce(&mut dyn std::io::Write) -> std::io::Result<()>,
    builder: &mut tempfile::Builder<'_, '_>,
) -> std::io::Result<tempfile::NamedTempFile> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let mut file = builder
        // In the same folder, because a rename crosses no file system; with a dot, so that who lists the folder
        // meanwhile passes it by.
        .prefix(".new-")
        .tempfile_in(folder.unwrap_or(Path::new(".")))?;
    let mut buffered = std::io::BufWriter::new(file.as_file_mut());
    // On an error the file is dropped with its name, and nothing of it stays.
    fill(&mut buffered)?;
    buffered.flush()?;
    drop(buffered);
    if synced == Synced::Yes {
        file.as_file().sync_all()?;
    }
    Ok(file)
}
