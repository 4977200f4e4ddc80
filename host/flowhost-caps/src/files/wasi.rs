//! `wasi:filesystem` 0.2 over the same handles, decisions and quota.
//!
//! wasmtime's own implementation is not used: it opens paths of this machine, knows no quota and
//! records nothing. Its generated bindings are, and their resource types only as labels: what the
//! table holds under them is ours. Time stamps are absent, and setting them is not supported.

use std::{collections::VecDeque, hash::RandomState, sync::Arc};

use flowhost_engine::{Bytes, CallScope, Fault, HostState};
use flowhost_policy::{Access, Denied};
use rustix::io::Errno;
use serde::{Serialize, de::DeserializeOwned};
use wasmtime::component::{HasData, Linker, Resource};
use wasmtime_wasi::{
    filesystem::Descriptor as Label,
    p2::{
        DynInputStream, DynOutputStream, FsError, FsResult, ReaddirIterator as ListingLabel,
        bindings::filesystem::{
            preopens,
            types::{
                self, Advice, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry,
                ErrorCode, Filesize, MetadataHashValue, NewTimestamp, OpenFlags, PathFlags,
            },
        },
    },
};

use super::{
    FilesState, Operation, blocking,
    error::FileError,
    hash, live,
    path::Below,
    root::{Folder, OpenFile},
    streams::{CHUNK, Place, Reader, Stream, Writer},
};

mod asked;
mod node;
mod same;

use asked::{follows, wish};
use node::{BATCH, Described, Gave, Listed, Listing, Node, What};
use same::{hashed, identity};

pub(super) const INTERFACE: &str = "wasi:filesystem/types@0.2.12";
pub(super) const PREOPENS: &str = "wasi:filesystem/preopens@0.2.12";

/// Longest path that is looked at, in bytes. Linux takes no longer one in a call (`PATH_MAX`), and a guest's path
/// is copied before it is looked at.
const PATH_MAX: usize = 4096;

struct HasWasiFiles;

impl HasData for HasWasiFiles {
    type Data<'a> = View<'a>;
}

/// The store, as these interfaces see it.
pub(super) struct View<'a>(pub(super) &'a mut HostState);

pub(super) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    types::add_to_linker::<_, HasWasiFiles>(linker, |state| View(state))?;
    preopens::add_to_linker::<_, HasWasiFiles>(linker, |state| View(state))
}

/// One operation on a path below a descriptor, decided.
struct At {
    scope: CallScope,
    name: &'static str,
    access: Access,
    folder: Option<Folder>,
    node: Node,
    /// Below the descriptor, as the guest wrote it.
    below: String,
    path: String,
}

impl At {
    fn operation(&self) -> Operation<'_> {
        Operation {
            scope: &self.scope,
            interface: INTERFACE,
            name: self.name,
        }
    }

    /// The folder and what is below it.
    fn place(&self) -> Result<(Folder, Below), FileError> {
        let folder = live(self.folder.clone())?;
        let below = Below::new(&self.below, folder.depth)?;
        Ok((folder, below))
    }

    /// Looks or changes, as was decided, and records it.
    async fn perform<T: Serialize + DeserializeOwned + Send + 'static>(
        &self,
        act: impl FnOnce(&Folder, &Below) -> Result<T, FileError> + Send + 'static,
    ) -> Result<T, FileError> {
        let place = self.place();
        let act = blocking(move || {
            let (folder, below) = place?;
            act(&folder, &below)
        });
        let operation = self.operation();
        operation
            .perform(self.node.grant, &self.path, self.access, act)
            .await
    }
}

impl View<'_> {
    fn charge(&self) -> Result<CallScope, Fault> {
        let scope = self.0.scope();
        scope.charge_host_call()?;
        Ok(scope.clone())
    }

    fn node(&mut self, label: &Resource<Label>) -> FsResult<Node> {
        self.0.scope().charge_host_call().map_err(FsError::trap)?;
        let own = Resource::<Node>::new_borrow(label.rep());
        Ok(self.0.parts::<FilesState>().table.get(&own)?.clone())
    }

    fn push<T: Send + 'static, L: 'static>(&mut self, value: T) -> FsResult<Resource<L>> {
        let parts = self.0.parts::<FilesState>();
        let allowed = parts.scope.effective.limits.handles;
        let full = |_| {
            FsError::trap(Fault::Limit {
                name: "handles",
                used: allowed + 1,
                allowed,
            })
        };
        let own = parts.table.push(value).map_err(full)?;
        Ok(Resource::new_own(own.rep()))
    }

    fn ticket(&mut self) -> Result<Arc<()>, FileError> {
        self.0.parts::<FilesState>().state.ticket()
    }

    /// Decides about `path` below `label` and says where it is.
    fn at(
        &mut self,
        label: &Resource<Label>,
        name: &'static str,
        path: &str,
        access: Access,
    ) -> FsResult<At> {
        let node = self.node(label)?;
        let scope = self.0.scope().clone();
        Ok(locate(scope, node, name, path, access)?)
    }

    /// Does something with an open file or folder, and records what came of it.
    async fn on<T: Serialize + DeserializeOwned + Send + 'static>(
        &mut self,
        node: &Node,
        name: &'static str,
        asked: &str,
        act: impl FnOnce() -> Result<T, FileError> + Send + 'static,
    ) -> FsResult<T> {
        let scope = self.0.scope().clone();
        let operation = Operation {
            scope: &scope,
            interface: INTERFACE,
            name,
        };
        Ok(operation.done(&node.path, asked, blocking(act)).await?)
    }
}

fn locate(
    scope: CallScope,
    node: Node,
    name: &'static str,
    path: &str,
    access: Access,
) -> Result<At, FileError> {
    let folder = node.folder()?;
    let operation = Operation {
        scope: &scope,
        interface: INTERFACE,
        name,
    };
    if path.is_empty() {
        return Err(FileError::os(Errno::NOENT));
    }
    if path.starts_with('/') || path.len() > PATH_MAX {
        // Relative to nothing of ours; the text is cut so that the record stays one line.
        let wanted = format!(
            "{} {}",
            super::verb(access),
            path.escape_debug().take(256).collect::<String>()
        );
        let denied = Denied {
            right: "files",
            wanted,
            rule: "files.path".to_owned(),
            cure: None,
        };
        return Err(operation.deny(denied)?);
    }
    let guest = format!("{}/{path}", node.path.trim_end_matches('/'));
    operation.decide_below(node.grant, &guest, access)?;
    Ok(At {
        scope,
        name,
        access,
        folder,
        node,
        below: path.to_owned(),
        path: guest,
    })
}

impl preopens::Host for View<'_> {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Resource<Label>, String)>> {
        self.charge()?;
        let state = &self.0.parts::<FilesState>().state;
        let granted = Arc::clone(&state.granted);
        let mut found = Vec::with_capacity(granted.len());
        for (grant, one) in granted.iter().enumerate() {
            let allowed = super::OPEN_MAX as u64;
            let full = |_| Fault::Limit {
                name: "files.open",
                used: allowed + 1,
                allowed,
            };
            let ticket = self.ticket().map_err(full)?;
            let node = Node {
                what: What::Folder {
                    at: one.folder.clone(),
                    write: one.write,
                },
                grant,
                path: one.guest.as_str().into(),
                _ticket: ticket,
            };
            // This function has no code to answer with: whatever keeps a handle back ends the call.
            let label = self.push(node).map_err(|error| match error.downcast() {
                Err(trap) => trap,
                Ok(code) => wasmtime::Error::new(code),
            })?;
            found.push((label, one.guest.clone()));
        }
        Ok(found)
    }
}

impl types::Host for View<'_> {
    fn convert_error_code(&mut self, error: FsError) -> wasmtime::Result<ErrorCode> {
        error.downcast()
    }

    fn filesystem_error_code(
        &mut self,
        error: Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        self.charge()?;
        let error = self.0.parts::<FilesState>().table.get(&error)?;
        Ok(error.downcast_ref::<ErrorCode>().copied())
    }
}

impl types::HostDescriptor for View<'_> {
    fn read_via_stream(
        &mut self,
        fd: Resource<Label>,
        offset: Filesize,
    ) -> FsResult<Resource<DynInputStream>> {
        let node = self.node(&fd)?;
        let file = node.file()?;
        if !node.readable() {
            return Err(ErrorCode::BadDescriptor.into());
        }
        let stream = self.stream(&node, file)?;
        let reader: DynInputStream = Box::new(Reader::new(stream, offset));
        self.push(reader)
    }

    fn write_via_stream(
        &mut self,
        fd: Resource<Label>,
        offset: Filesize,
    ) -> FsResult<Resource<DynOutputStream>> {
        self.writer(&fd, Place::At(offset))
    }

    fn append_via_stream(&mut self, fd: Resource<Label>) -> FsResult<Resource<DynOutputStream>> {
        self.writer(&fd, Place::End)
    }

    async fn advise(
        &mut self,
        fd: Resource<Label>,
        _offset: Filesize,
        _length: Filesize,
        _advice: Advice,
    ) -> FsResult<()> {
        let node = self.node(&fd)?;
        node.file()?;
        if node.writable() {
            Ok(())
        } else {
            Err(ErrorCode::NotPermitted.into())
        }
    }

    async fn sync_data(&mut self, fd: Resource<Label>) -> FsResult<()> {
        self.sync_now(&fd).await
    }

    async fn sync(&mut self, fd: Resource<Label>) -> FsResult<()> {
        self.sync_now(&fd).await
    }

    async fn get_flags(&mut self, fd: Resource<Label>) -> FsResult<DescriptorFlags> {
        let node = self.node(&fd)?;
        let write = match &node.what {
            What::Folder { .. } => DescriptorFlags::MUTATE_DIRECTORY,
            What::File { .. } => DescriptorFlags::WRITE,
        };
        let mut flags = DescriptorFlags::empty();
        if node.readable() {
            flags |= DescriptorFlags::READ;
        }
        if node.writable() {
            flags |= write;
        }
        Ok(flags)
    }

    async fn get_type(&mut self, fd: Resource<Label>) -> FsResult<DescriptorType> {
        Ok(match self.node(&fd)?.what {
            What::Folder { .. } => DescriptorType::Directory,
            What::File { .. } => DescriptorType::RegularFile,
        })
    }

    async fn set_size(&mut self, fd: Resource<Label>, size: Filesize) -> FsResult<()> {
        let node = self.node(&fd)?;
        let file = node.file()?;
        let act = move || live(file)?.set_size(size);
        self.on(&node, "set-size", &size.to_string(), act).await
    }

    async fn set_times(
        &mut self,
        fd: Resource<Label>,
        _accessed: NewTimestamp,
        _modified: NewTimestamp,
    ) -> FsResult<()> {
        let node = self.node(&fd)?;
        let code = if node.writable() {
            ErrorCode::Unsupported
        } else {
            ErrorCode::NotPermitted
        };
        Err(code.into())
    }

    async fn read(
        &mut self,
        fd: Resource<Label>,
        length: Filesize,
        offset: Filesize,
    ) -> FsResult<(Vec<u8>, bool)> {
        let node = self.node(&fd)?;
        let file = node.file()?;
        let most = usize::try_from(length).unwrap_or(CHUNK).min(CHUNK);
        let read = move || live(file)?.read_at(most, offset).map(Bytes::from);
        let asked = format!("{offset} {most}");
        let bytes = self.on(&node, "read", &asked, read).await?;
        let bytes = bytes
            .into_vec()
            .ok_or_else(|| FsError::trap(self.0.scope().missed(INTERFACE, &asked)))?;
        let ended = bytes.is_empty() && most > 0;
        Ok((bytes, ended))
    }

    async fn write(
        &mut self,
        fd: Resource<Label>,
        bytes: Vec<u8>,
        offset: Filesize,
    ) -> FsResult<Filesize> {
        let node = self.node(&fd)?;
        let file = node.file()?;
        let length = bytes.len() as u64;
        let asked = format!("{offset} {}", hash(&bytes));
        let act = move || live(file)?.write_at(&bytes, offset);
        self.on(&node, "write", &asked, act).await?;
        Ok(length)
    }

    async fn read_directory(&mut self, fd: Resource<Label>) -> FsResult<Resource<ListingLabel>> {
        let node = self.node(&fd)?;
        let folder = node.folder()?;
        let scope = self.0.scope().clone();
        let operation = Operation {
            scope: &scope,
            interface: INTERFACE,
            name: "list",
        };
        operation.decide_below(node.grant, &node.path, Access::Read)?;
        let _ticket = self.ticket()?;
        let root = folder.as_ref().map(|folder| Arc::clone(&folder.root));
        let mut entries = None;
        let look = async {
            entries = Some(blocking(move || live(folder)?.entries()).await?);
            Ok(())
        };
        operation.see(node.grant, &node.path, look).await?;
        self.push(Listing {
            entries,
            root,
            path: node.path.clone(),
            batch: VecDeque::new(),
            ended: false,
            _ticket,
        })
    }

    async fn create_directory_at(&mut self, fd: Resource<Label>, path: String) -> FsResult<()> {
        let at = self.at(&fd, "make-directory", &path, Access::Write)?;
        Ok(at.perform(Folder::make_dir).await?)
    }

    async fn stat(&mut self, fd: Resource<Label>) -> FsResult<DescriptorStat> {
        let node = self.node(&fd)?;
        let seen = node.clone();
        let look = move || seen.metadata().map(|it| Described::of(&it));
        Ok(self.on(&node, "stat", "", look).await?.into())
    }

    async fn stat_at(
        &mut self,
        fd: Resource<Label>,
        flags: PathFlags,
        path: String,
    ) -> FsResult<DescriptorStat> {
        let at = self.at(&fd, "stat", &path, Access::Read)?;
        let look = move |folder: &Folder, below: &Below| {
            let follow = follows(flags) || below.means_directory();
            folder.stat(below, follow).map(|it| Described::of(&it))
        };
        Ok(at.perform(look).await?.into())
    }

    async fn set_times_at(
        &mut self,
        fd: Resource<Label>,
        _flags: PathFlags,
        path: String,
        _accessed: NewTimestamp,
        _modified: NewTimestamp,
    ) -> FsResult<()> {
        let at = self.at(&fd, "set-times", &path, Access::Write)?;
        at.perform(|_, _| Ok(())).await?;
        Err(ErrorCode::Unsupported.into())
    }

    async fn link_at(
        &mut self,
        fd: Resource<Label>,
        flags: PathFlags,
        path: String,
        new_fd: Resource<Label>,
        new_path: String,
    ) -> FsResult<()> {
        let from = self.at(&fd, "link", &path, Access::Write)?;
        let to = self.at(&new_fd, "link", &new_path, Access::Write)?;
        if follows(flags) {
            return Err(ErrorCode::Invalid.into());
        }
        Ok(both(from, to, Folder::link).await?)
    }

    async fn open_at(
        &mut self,
        fd: Resource<Label>,
        path_flags: PathFlags,
        path: String,
        open: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Resource<Label>> {
        let wish = wish(path_flags, open, flags);
        let mutates = flags.contains(DescriptorFlags::MUTATE_DIRECTORY);
        let access = if wish.changes() || mutates {
            Access::Write
        } else {
            Access::Read
        };
        let at = self.at(&fd, "open", &path, access)?;
        let ticket = self.ticket()?;
        let (grant, path) = (at.node.grant, at.path.as_str().into());
        let (place, mut opened) = (at.place(), None);
        let open = async {
            let made = blocking(move || {
                let (folder, below) = place?;
                folder.open(&below, wish)
            });
            let made = made.await?;
            let gave = Gave::of(&made);
            opened = Some(made);
            Ok(gave)
        };
        let gave = at
            .operation()
            .perform(grant, &at.path, access, open)
            .await?;
        self.push(Node {
            what: gave.with(opened),
            grant,
            path,
            _ticket: ticket,
        })
    }

    async fn readlink_at(&mut self, fd: Resource<Label>, path: String) -> FsResult<String> {
        let at = self.at(&fd, "read-link", &path, Access::Read)?;
        Ok(at.perform(Folder::read_link).await?)
    }

    async fn remove_directory_at(&mut self, fd: Resource<Label>, path: String) -> FsResult<()> {
        let at = self.at(&fd, "remove", &path, Access::Write)?;
        Ok(at.perform(Folder::remove_dir).await?)
    }

    async fn rename_at(
        &mut self,
        fd: Resource<Label>,
        path: String,
        new_fd: Resource<Label>,
        new_path: String,
    ) -> FsResult<()> {
        let from = self.at(&fd, "rename", &path, Access::Write)?;
        let to = self.at(&new_fd, "rename", &new_path, Access::Write)?;
        Ok(both(from, to, Folder::rename).await?)
    }

    async fn symlink_at(
        &mut self,
        fd: Resource<Label>,
        target: String,
        path: String,
    ) -> FsResult<()> {
        let at = self.at(&fd, "symlink", &path, Access::Write)?;
        let act = move |folder: &Folder, below: &Below| folder.symlink(&target, below);
        Ok(at.perform(act).await?)
    }

    async fn unlink_file_at(&mut self, fd: Resource<Label>, path: String) -> FsResult<()> {
        let at = self.at(&fd, "remove", &path, Access::Write)?;
        Ok(at.perform(Folder::remove_file).await?)
    }

    async fn is_same_object(
        &mut self,
        a: Resource<Label>,
        b: Resource<Label>,
    ) -> wasmtime::Result<bool> {
        let (a, b) = (self.node(&a)?, self.node(&b)?);
        let (node, other) = (a.clone(), b.path.clone());
        let same = move || {
            let of = |node: &Node| node.metadata().map(|it| identity(&it)).ok();
            Ok(of(&a).is_some_and(|id| of(&b) == Some(id)))
        };
        let same = self.on(&node, "is-same", &other, same).await;
        same.map_err(|error| match error.downcast() {
            Err(trap) => trap,
            // Looking gives no code here: one can only stand in the record of another question.
            Ok(_code) => wasmtime::Error::new(self.0.scope().missed(INTERFACE, "is-same")),
        })
    }

    async fn metadata_hash(&mut self, fd: Resource<Label>) -> FsResult<MetadataHashValue> {
        let node = self.node(&fd)?;
        let (key, seen) = (self.key(), node.clone());
        let look = move || seen.metadata().map(|it| hashed(&key, &it));
        let (lower, upper) = self.on(&node, "hash", "", look).await?;
        Ok(MetadataHashValue { lower, upper })
    }

    async fn metadata_hash_at(
        &mut self,
        fd: Resource<Label>,
        flags: PathFlags,
        path: String,
    ) -> FsResult<MetadataHashValue> {
        let at = self.at(&fd, "stat", &path, Access::Read)?;
        let key = self.key();
        let look = move |folder: &Folder, below: &Below| {
            let follow = follows(flags) || below.means_directory();
            folder.stat(below, follow).map(|it| hashed(&key, &it))
        };
        let (lower, upper) = at.perform(look).await?;
        Ok(MetadataHashValue { lower, upper })
    }

    fn drop(&mut self, fd: Resource<Label>) -> wasmtime::Result<()> {
        let own = Resource::<Node>::new_own(fd.rep());
        self.0.parts::<FilesState>().table.delete(own)?;
        Ok(())
    }
}

impl View<'_> {
    /// The key of what tells files apart.
    fn key(&mut self) -> RandomState {
        self.0.parts::<FilesState>().state.key.clone()
    }

    /// What a stream over an open file works on.
    fn stream(&mut self, node: &Node, file: Option<Arc<OpenFile>>) -> FsResult<Stream> {
        let ticket = self.ticket()?;
        Ok(Stream {
            scope: self.0.scope().clone(),
            path: node.path.clone(),
            file,
            _ticket: ticket,
        })
    }

    fn writer(
        &mut self,
        fd: &Resource<Label>,
        place: Place,
    ) -> FsResult<Resource<DynOutputStream>> {
        let node = self.node(fd)?;
        let file = node.file()?;
        if !node.writable() {
            return Err(ErrorCode::NotPermitted.into());
        }
        let stream = self.stream(&node, file)?;
        let writer: DynOutputStream = Box::new(Writer::new(stream, place));
        self.push(writer)
    }

    async fn sync_now(&mut self, fd: &Resource<Label>) -> FsResult<()> {
        let node = self.node(fd)?;
        match &node.what {
            What::Folder { .. } => Ok(()),
            What::File { at, .. } => {
                let file = at.clone();
                self.on(&node, "sync", "", move || live(file)?.sync()).await
            }
        }
    }
}

impl types::HostDirectoryEntryStream for View<'_> {
    async fn read_directory_entry(
        &mut self,
        stream: Resource<ListingLabel>,
    ) -> FsResult<Option<DirectoryEntry>> {
        let scope = self.charge().map_err(FsError::trap)?;
        let own = Resource::<Listing>::new_borrow(stream.rep());
        let listing = self.0.parts::<FilesState>().table.get_mut(&own)?;
        if listing.batch.is_empty() && !listing.ended {
            let path = listing.path.to_string();
            // A batch of a buffer that the kernel filled: short enough for the executor.
            let read = scope.at_once(INTERFACE, "entries", &path, || listing.read_batch());
            listing.batch = read.map_err(FsError::trap)?;
            listing.ended = listing.batch.len() < BATCH;
        }
        match listing.batch.pop_front() {
            None => Ok(None),
            Some(Listed::Entry { name, kind }) => Ok(Some(DirectoryEntry {
                type_: kind.into(),
                name,
            })),
            Some(Listed::Illegal) => Err(ErrorCode::IllegalByteSequence.into()),
            Some(Listed::Failed(failed)) => Err(FileError::from(failed).into()),
        }
    }

    fn drop(&mut self, stream: Resource<ListingLabel>) -> wasmtime::Result<()> {
        let own = Resource::<Listing>::new_own(stream.rep());
        self.0.parts::<FilesState>().table.delete(own)?;
        Ok(())
    }
}

/// Does something with two places: what is meant with both is on record before, what came of it behind.
async fn both(
    from: At,
    to: At,
    act: fn(&Folder, &Below, &Folder, &Below) -> Result<(), FileError>,
) -> Result<(), FileError> {
    from.operation().intend(from.node.grant, &from.path).await?;
    let places = from.place().and_then(|one| Ok((one, to.place()?)));
    let work = blocking(move || {
        let ((folder, below), (other, new)) = places?;
        act(&folder, &below, &other, &new)
    });
    to.operation()
        .change(to.node.grant, &to.path, &from.path, work)
        .await
}
