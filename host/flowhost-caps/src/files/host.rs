//! `flowhost:files`: whole files at absolute guest paths.

use cap_std::fs::DirEntry;
use flowhost_engine::{Bytes, CallScope, HostState, bindings::types};
use flowhost_policy::Access;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use wasmtime::component::{HasData, Linker};

use super::{
    FilesState, Operation, blocking,
    error::{FileError, is_escape, recordable},
    forbidden::DirId,
    hash, live,
    path::Below,
    root::{Folder, Kind, OpenFile, Opened, Wish},
};
use crate::shared::bindings;

bindings!("import flowhost:files/files@0.1.0;", "../../wit/files/0.1.0", async | trappable, types);

pub(super) use bindings::flowhost::files::files as wit;

pub(super) const INTERFACE: &str = "flowhost:files/files@0.1.0";

/// Letters of a path that an error repeats: it stays one line.
const PATH_SHOWN_MAX: usize = 256;

/// Most entries of one listing: it is held whole, for the guest and for the record.
const LIST_MAX: usize = 10_000;

struct HasFiles;

impl HasData for HasFiles {
    type Data<'a> = &'a mut HostState;
}

pub(super) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    wit::add_to_linker::<_, HasFiles>(linker, |state| state)
}

type Answer<T> = wasmtime::Result<Result<T, types::Error>>;

/// What the guest is told. What the system says of a file names it: a person who reads `not found` does not
/// see what the plugin asked for.
fn answer<T>(scope: &CallScope, path: &str, result: Result<T, FileError>) -> Answer<T> {
    let error = match result {
        Ok(value) => return Ok(Ok(value)),
        Err(error) => error,
    };
    let why = match &error {
        // Named by `into_guest` already, with the reason that a guest can do something about.
        FileError::Io(error) if is_escape(error) => None,
        FileError::Io(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Some("no such file or folder".to_owned())
        }
        FileError::Io(error) => Some(error.kind().to_string()),
        _ => None,
    };
    let told = error.into_guest(scope).map_err(wasmtime::Error::new)?;
    Ok(Err(match (told, why) {
        (types::Error::Invalid(_), Some(why)) => {
            let path: String = path.escape_debug().take(PATH_SHOWN_MAX).collect();
            types::Error::Invalid(format!("`{path}`: {why}"))
        }
        (told, _) => told,
    }))
}

impl wit::Host for &mut HostState {
    async fn roots(&mut self) -> wasmtime::Result<Vec<String>> {
        self.scope()
            .charge_host_call()
            .map_err(wasmtime::Error::new)?;
        let granted = &self.parts::<FilesState>().state.granted;
        // Sorted: the order of rules in a profile is the operator's and says nothing to a guest.
        let mut roots: Vec<String> = granted.iter().map(|one| one.guest.clone()).collect();
        roots.sort();
        Ok(roots)
    }

    async fn read(&mut self, path: String) -> Answer<Vec<u8>> {
        let done = Request::new(self)?.read(&path).await;
        answer(self.scope(), &path, done)
    }

    async fn read_range(&mut self, path: String, offset: String, length: i32) -> Answer<Vec<u8>> {
        let done = Request::new(self)?.read_range(&path, &offset, length).await;
        answer(self.scope(), &path, done)
    }

    async fn list(&mut self, path: String) -> Answer<Vec<wit::Entry>> {
        let done = Request::new(self)?.list(&path).await;
        answer(self.scope(), &path, done)
    }

    async fn stat(&mut self, path: String) -> Answer<wit::Entry> {
        let done = Request::new(self)?.stat(&path).await;
        answer(self.scope(), &path, done)
    }

    async fn write(&mut self, path: String, contents: Vec<u8>) -> Answer<()> {
        let asked = hash(&contents);
        let put = move |file: &OpenFile| file.replace(&contents);
        let done = Request::new(self)?.put("write", &path, &asked, put).await;
        answer(self.scope(), &path, done)
    }

    async fn append(&mut self, path: String, contents: Vec<u8>) -> Answer<()> {
        let asked = hash(&contents);
        let put = move |file: &OpenFile| file.append(&contents);
        let done = Request::new(self)?.put("append", &path, &asked, put).await;
        answer(self.scope(), &path, done)
    }

    async fn make_directory(&mut self, path: String) -> Answer<()> {
        let done = Request::new(self)?.make_directory(&path).await;
        answer(self.scope(), &path, done)
    }

    async fn remove(&mut self, path: String) -> Answer<()> {
        let done = Request::new(self)?.remove(&path).await;
        answer(self.scope(), &path, done)
    }
}

/// One call: who asks, and the folders of this store.
struct Request {
    scope: CallScope,
    granted: std::sync::Arc<[super::Granted]>,
}

impl Request {
    fn new(state: &mut HostState) -> wasmtime::Result<Self> {
        let parts = state.parts::<FilesState>();
        parts
            .scope
            .charge_host_call()
            .map_err(wasmtime::Error::new)?;
        Ok(Self {
            scope: parts.scope.clone(),
            granted: parts.state.granted.clone(),
        })
    }

    /// Decides, looks, and records what was seen.
    async fn see<T: Serialize + DeserializeOwned + Send + 'static>(
        &self,
        name: &'static str,
        path: &str,
        act: impl FnOnce(&Folder, &Below) -> Result<T, FileError> + Send + 'static,
    ) -> Result<T, FileError> {
        let operation = self.operation(name);
        let index = operation.decide(path, Access::Read)?;
        let place = self.place(index, path);
        let look = blocking(move || {
            let (folder, below) = place?;
            act(&folder, &below)
        });
        operation.see(index, path, look).await
    }

    /// Decides, records what is meant, does it, and records what came of it.
    async fn change(
        &self,
        name: &'static str,
        path: &str,
        asked: &str,
        act: impl FnOnce(&Folder, &Below) -> Result<(), FileError> + Send + 'static,
    ) -> Result<(), FileError> {
        let operation = self.operation(name);
        let index = operation.decide(path, Access::Write)?;
        let place = self.place(index, path);
        let act = blocking(move || {
            let (folder, below) = place?;
            act(&folder, &below)
        });
        operation.change(index, path, asked, act).await
    }

    fn operation(&self, name: &'static str) -> Operation<'_> {
        Operation {
            scope: &self.scope,
            interface: INTERFACE,
            name,
        }
    }

    /// The folder of a grant, and what the guest path names below it.
    fn place(&self, index: usize, path: &str) -> Result<(Folder, Below), FileError> {
        let missing = FileError::Refused("the folder is not open");
        let granted = self.granted.get(index).ok_or(missing)?;
        // Zero names so far: a grant's handle is the granted folder itself.
        let below = Below::new(&rest(&granted.guest, path), 0)?;
        Ok((live(granted.folder.clone())?, below))
    }

    async fn read(&self, path: &str) -> Result<Vec<u8>, FileError> {
        let most = self.scope.effective.limits.output_bytes;
        let read = self.see("read", path, move |folder, below| {
            whole(folder, below, most)
        });
        self.bytes(read.await?)
    }

    async fn read_range(
        &self,
        path: &str,
        offset: &str,
        length: i32,
    ) -> Result<Vec<u8>, FileError> {
        let not_decimal = FileError::Refused("the offset is not a decimal number of bytes");
        let offset: u64 = offset.parse().map_err(|_| not_decimal)?;
        let negative = FileError::Refused("the length is below 0");
        let length = u64::try_from(length).map_err(|_| negative)?;
        // The output limit serves as the bound: a plugin that reads more than it may hand back has
        // to read it in ranges.
        let most = length.min(self.scope.effective.limits.output_bytes);
        let read = self.see("read-range", path, move |folder, below| {
            let bytes = file(folder.open(below, READING)?)?.read_range(most, offset)?;
            Ok(Bytes::from(bytes))
        });
        self.bytes(read.await?)
    }

    fn bytes(&self, bytes: Bytes) -> Result<Vec<u8>, FileError> {
        bytes
            .into_vec()
            .ok_or_else(|| FileError::Fault(self.scope.missed(INTERFACE, "bytes")))
    }

    async fn list(&self, path: &str) -> Result<Vec<wit::Entry>, FileError> {
        let listed = self.see("list", path, listing).await?;
        Ok(listed.into_iter().map(wit::Entry::from).collect())
    }

    async fn stat(&self, path: &str) -> Result<wit::Entry, FileError> {
        let name = last(path);
        let seen = self.see("stat", path, move |folder, below| {
            stated(folder, below, name)
        });
        Ok(seen.await?.into())
    }

    async fn put(
        &self,
        name: &'static str,
        path: &str,
        asked: &str,
        act: impl FnOnce(&OpenFile) -> Result<(), FileError> + Send + 'static,
    ) -> Result<(), FileError> {
        let wish = Wish {
            write: true,
            create: true,
            follow: true,
            ..Wish::default()
        };
        self.change(name, path, asked, move |folder, below| {
            act(&file(folder.open(below, wish)?)?)
        })
        .await
    }

    async fn make_directory(&self, path: &str) -> Result<(), FileError> {
        self.change("make-directory", path, "", |folder, below| {
            // Name by name, so that each one is counted and its mount looked at; cap-std's
            // `create_dir_all` would make all of them before anything is.
            let ends = below.as_str().match_indices('/').map(|(end, _)| end);
            for end in ends.chain([below.as_str().len()]) {
                let part = Below::new(below.as_str().get(..end).unwrap_or_default(), 0)?;
                match folder.make_dir(&part) {
                    Err(FileError::Io(error))
                        if error.kind() == std::io::ErrorKind::AlreadyExists =>
                    {
                        // What is there already has to be a folder: a file of that name is told
                        // here, not with the next name.
                        folder.open_folder(&part)?;
                    }
                    other => other?,
                }
            }
            Ok(())
        })
        .await
    }

    async fn remove(&self, path: &str) -> Result<(), FileError> {
        self.change("remove", path, "", |folder, below| {
            // Not followed: to remove a link removes the link.
            let metadata = folder.stat(below, false)?;
            if metadata.is_dir() {
                folder.remove_dir(below)
            } else {
                folder.remove_file(below)
            }
        })
        .await
    }
}

/// How a file is opened that is read whole.
const READING: Wish = Wish {
    read: true,
    write: false,
    create: false,
    exclusive: false,
    truncate: false,
    directory: false,
    follow: true,
};

/// An entry as its record has it.
#[derive(Debug, Serialize, Deserialize)]
struct Seen {
    name: String,
    kind: Is,
    size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Is {
    File,
    Directory,
    Other,
}

impl From<Seen> for wit::Entry {
    fn from(seen: Seen) -> Self {
        Self {
            name: seen.name,
            kind: match seen.kind {
                Is::File => wit::Kind::File,
                Is::Directory => wit::Kind::Directory,
                Is::Other => wit::Kind::Other,
            },
            size: seen.size.to_string(),
            target: seen.target,
        }
    }
}

/// Whether looking again shows what it showed; false where the record does not say all that was asked.
pub(super) fn shows(
    folder: &Folder,
    guest: &str,
    op: &str,
    path: &str,
    most: u64,
    answer: &serde_json::Value,
) -> bool {
    let Ok(below) = Below::new(&rest(guest, path), 0) else {
        return false;
    };
    let now = match op {
        // Ranges are left out: a record has no offset, so there is nothing to look at again.
        "read" => recorded(whole(folder, &below, most)),
        "list" => recorded(listing(folder, &below)),
        "stat" => recorded(stated(folder, &below, last(path))),
        _ => None,
    };
    now.is_some_and(|now| now == *answer)
}

fn recorded<T: Serialize>(done: Result<T, FileError>) -> Option<serde_json::Value> {
    serde_json::to_value(recordable(done).ok()?).ok()
}

fn last(path: &str) -> String {
    path.trim_end_matches('/')
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .to_owned()
}

fn whole(folder: &Folder, below: &Below, most: u64) -> Result<Bytes, FileError> {
    let bytes = file(folder.open(below, READING)?)?.read_all(most)?;
    Ok(Bytes::from(bytes))
}

fn stated(folder: &Folder, below: &Below, name: String) -> Result<Seen, FileError> {
    let metadata = folder.stat(below, true)?;
    let kind = Kind::from(metadata.file_type());
    match entry(name, kind, metadata.len(), folder.target(below)) {
        entry if entry.kind == Is::Other => {
            Err(FileError::Refused("not a regular file or directory"))
        }
        entry => Ok(entry),
    }
}

/// `path` below `guest`; the policy has found it there. Both may hold `.` and double slashes.
fn rest(guest: &str, path: &str) -> String {
    let depth = guest.split('/').filter(|name| !name.is_empty()).count();
    let names = path
        .split('/')
        .filter(|name| !matches!(*name, "" | "."))
        // By the number of names and not by the text: both may hold `.` and double slashes.
        .skip(depth);
    let mut below = names.collect::<Vec<_>>().join("/");
    if path.ends_with('/') && !below.is_empty() {
        below.push('/');
    }
    below
}

fn file(opened: Opened) -> Result<OpenFile, FileError> {
    match opened {
        Opened::File(file) => Ok(file),
        Opened::Folder(_) => Err(FileError::os(rustix::io::Errno::ISDIR)),
    }
}

fn entry(name: String, kind: Kind, size: u64, target: Option<String>) -> Seen {
    let (kind, size) = match kind {
        Kind::File => (Is::File, size),
        Kind::Directory => (Is::Directory, 0),
        Kind::Link | Kind::Special => (Is::Other, 0),
    };
    Seen {
        name,
        kind,
        size,
        target,
    }
}

/// Everything in a directory but what the grant does not show. Links count as what they lead to, also
/// upwards within the grant; what cannot be opened is named all the same, because a listing that leaves
/// something out cannot be told from a whole one.
fn listing(granted: &Folder, below: &Below) -> Result<Vec<Seen>, FileError> {
    if !granted.stat(below, true)?.is_dir() {
        return Err(FileError::os(rustix::io::Errno::NOTDIR));
    }
    let folder = granted.open_folder(below)?;
    let mut entries = Vec::new();
    for found in folder.entries()? {
        entries.extend(listed(granted, below, &found?));
        // Counted while it is read: a folder of millions is refused after ten thousand.
        if entries.len() > LIST_MAX {
            let (used, allowed) = (entries.len() as u64, LIST_MAX as u64);
            return Err(FileError::Limit {
                name: "files.list",
                used,
                allowed,
            });
        }
    }
    // File systems give any order, and another one after a restore: a guest's work must not hang on
    // it.
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

fn listed(granted: &Folder, around: &Below, found: &DirEntry) -> Option<Seen> {
    let name = match found.file_name().into_string() {
        Ok(name) => name,
        Err(name) => {
            // It cannot be asked for by this name, so it is told as something that cannot be
            // opened.
            let name = name.to_string_lossy().into_owned();
            return Some(entry(name, Kind::Special, 0, None));
        }
    };
    // What has gone meanwhile is not there.
    let metadata = found.metadata().ok()?;
    if granted.root.hides(DirId::from(&metadata)) {
        return None;
    }
    let kind = Kind::from(metadata.file_type());
    if kind != Kind::Link {
        return Some(entry(name, kind, metadata.len(), None));
    }
    // From the granted folder, so that a link may lead up and stay inside.
    let place = Below::new(
        format!("{}/{name}", around.as_str()).trim_start_matches('/'),
        0,
    );
    let led = place.and_then(|place| Ok((granted.stat(&place, true)?, granted.target(&place))));
    Some(match led {
        Ok((metadata, target)) => entry(name, metadata.file_type().into(), metadata.len(), target),
        Err(_) => entry(name, Kind::Link, 0, None),
    })
}
