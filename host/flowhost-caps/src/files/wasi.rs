//! `wasi:filesystem` 0.2 over the same handles, decisions and quota.
//!
//! wasmtime's own implementation is not used: it opens paths of this machine, knows no quota and
//! records nothing. Its generated bindings are, and their resource types only as labels: what the
//! table holds under them is ours. Time stamps are absent, and setting them is not supported.

use std::{hash::BuildHasher, sync::Arc};

use cap_std::fs::{Metadata, MetadataExt, ReadDir};
use flowhost_engine::{CallScope, Fault, HostState};
use flowhost_policy::{Access, Denied};
use rustix::io::Errno;
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
    forbidden::DirId,
    path::Below,
    root::{Folder, Kind, OpenFile, Opened, Root, Wish},
    streams::{CHUNK, Place, Reader, Writer},
};

pub(super) const INTERFACE: &str = "wasi:filesystem/types@0.2.12";
pub(super) const PREOPENS: &str = "wasi:filesystem/preopens@0.2.12";

/// Longest path that is looked at, in bytes.
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

/// What stands in the table under a descriptor's number.
#[derive(Clone)]
struct Node {
    what: What,
    /// Index of the grant it came from.
    grant: usize,
    /// The guest path it was opened by.
    path: Arc<str>,
    /// Counts as a live descriptor.
    _ticket: Arc<()>,
}

#[derive(Clone)]
enum What {
    Folder(Folder),
    File(Arc<OpenFile>),
}

impl Node {
    fn file(&self) -> Result<&Arc<OpenFile>, FileError> {
        match &self.what {
            What::File(file) => Ok(file),
            What::Folder(_) => Err(FileError::os(Errno::ISDIR)),
        }
    }

    fn folder(&self) -> Result<&Folder, FileError> {
        match &self.what {
            What::Folder(folder) => Ok(folder),
            What::File(_) => Err(FileError::os(Errno::NOTDIR)),
        }
    }

    fn metadata(&self) -> Result<Metadata, FileError> {
        match &self.what {
            What::Folder(folder) => folder.stat(&Below::new("", 0)?, false),
            What::File(file) => file.metadata(),
        }
    }

    fn writable(&self) -> bool {
        match &self.what {
            What::Folder(folder) => folder.root.usage.is_some(),
            What::File(file) => file.write,
        }
    }
}

/// A directory that is being read; holds one buffer of the kernel's, not its entries.
struct Listing {
    entries: ReadDir,
    /// Whose entries these are.
    root: Arc<Root>,
    _ticket: Arc<()>,
}

/// One operation on a path below a descriptor, decided.
struct At {
    folder: Folder,
    below: Below,
    node: Node,
    path: String,
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
    async fn at(
        &mut self,
        label: &Resource<Label>,
        name: &'static str,
        path: &str,
        access: Access,
    ) -> FsResult<At> {
        let node = self.node(label)?;
        let scope = self.0.scope().clone();
        Ok(locate(&scope, node, name, path, access).await?)
    }
}

async fn locate(
    scope: &CallScope,
    node: Node,
    name: &'static str,
    path: &str,
    access: Access,
) -> Result<At, FileError> {
    let folder = node.folder()?.clone();
    let operation = Operation {
        scope,
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
    operation.decide_below(node.grant, &guest, access).await?;
    let below = Below::new(path, folder.depth)?;
    Ok(At {
        folder,
        below,
        node,
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
                what: What::Folder(one.folder.clone()),
                grant,
                path: one.guest.as_str().into(),
                _ticket: ticket,
            };
            let label = self.push(node).map_err(|_| Fault::Limit {
                name: "handles",
                used: granted.len() as u64,
                allowed: self.0.scope().effective.limits.handles,
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
        let file = Arc::clone(node.file()?);
        if !file.read {
            return Err(ErrorCode::BadDescriptor.into());
        }
        let reader: DynInputStream = Box::new(Reader::new(file, offset, self.ticket()?));
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
        let (read, write) = match &node.what {
            What::Folder(_) => (true, DescriptorFlags::MUTATE_DIRECTORY),
            What::File(file) => (file.read, DescriptorFlags::WRITE),
        };
        let mut flags = DescriptorFlags::empty();
        if read {
            flags |= DescriptorFlags::READ;
        }
        if node.writable() {
            flags |= write;
        }
        Ok(flags)
    }

    async fn get_type(&mut self, fd: Resource<Label>) -> FsResult<DescriptorType> {
        Ok(match self.node(&fd)?.what {
            What::Folder(_) => DescriptorType::Directory,
            What::File(_) => DescriptorType::RegularFile,
        })
    }

    async fn set_size(&mut self, fd: Resource<Label>, size: Filesize) -> FsResult<()> {
        let node = self.node(&fd)?;
        let file = Arc::clone(node.file()?);
        Ok(blocking(move || file.set_size(size)).await?)
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
        let file = Arc::clone(node.file()?);
        let most = usize::try_from(length).unwrap_or(CHUNK).min(CHUNK);
        let bytes = blocking(move || file.read_at(most, offset)).await?;
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
        let file = Arc::clone(node.file()?);
        let length = bytes.len() as u64;
        blocking(move || file.write_at(&bytes, offset)).await?;
        Ok(length)
    }

    async fn read_directory(&mut self, fd: Resource<Label>) -> FsResult<Resource<ListingLabel>> {
        let node = self.node(&fd)?;
        let folder = node.folder()?.clone();
        let scope = self.0.scope().clone();
        let operation = Operation {
            scope: &scope,
            interface: INTERFACE,
            name: "list",
        };
        operation
            .decide_below(node.grant, &node.path, Access::Read)
            .await?;
        let _ticket = self.ticket()?;
        let root = Arc::clone(&folder.root);
        let entries = blocking(move || folder.entries()).await?;
        self.push(Listing {
            entries,
            root,
            _ticket,
        })
    }

    async fn create_directory_at(&mut self, fd: Resource<Label>, path: String) -> FsResult<()> {
        let at = self.at(&fd, "make-directory", &path, Access::Write).await?;
        Ok(blocking(move || at.folder.make_dir(&at.below)).await?)
    }

    async fn stat(&mut self, fd: Resource<Label>) -> FsResult<DescriptorStat> {
        let node = self.node(&fd)?;
        Ok(described(&blocking(move || node.metadata()).await?))
    }

    async fn stat_at(
        &mut self,
        fd: Resource<Label>,
        flags: PathFlags,
        path: String,
    ) -> FsResult<DescriptorStat> {
        let at = self.at(&fd, "stat", &path, Access::Read).await?;
        let follow = follows(flags) || at.below.means_directory();
        Ok(described(
            &blocking(move || at.folder.stat(&at.below, follow)).await?,
        ))
    }

    async fn set_times_at(
        &mut self,
        fd: Resource<Label>,
        _flags: PathFlags,
        path: String,
        _accessed: NewTimestamp,
        _modified: NewTimestamp,
    ) -> FsResult<()> {
        self.at(&fd, "set-times", &path, Access::Write).await?;
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
        let from = self.at(&fd, "link", &path, Access::Write).await?;
        let to = self.at(&new_fd, "link", &new_path, Access::Write).await?;
        if follows(flags) {
            return Err(ErrorCode::Invalid.into());
        }
        Ok(blocking(move || from.folder.link(&from.below, &to.folder, &to.below)).await?)
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
        let at = self.at(&fd, "open", &path, access).await?;
        let ticket = self.ticket()?;
        let (grant, path) = (at.node.grant, at.path.as_str().into());
        let what = match blocking(move || at.folder.open(&at.below, wish)).await? {
            Opened::File(file) => What::File(Arc::new(file)),
            Opened::Folder(folder) => What::Folder(folder),
        };
        self.push(Node {
            what,
            grant,
            path,
            _ticket: ticket,
        })
    }

    async fn readlink_at(&mut self, fd: Resource<Label>, path: String) -> FsResult<String> {
        let at = self.at(&fd, "read-link", &path, Access::Read).await?;
        Ok(blocking(move || at.folder.read_link(&at.below)).await?)
    }

    async fn remove_directory_at(&mut self, fd: Resource<Label>, path: String) -> FsResult<()> {
        let at = self.at(&fd, "remove", &path, Access::Write).await?;
        Ok(blocking(move || at.folder.remove_dir(&at.below)).await?)
    }

    async fn rename_at(
        &mut self,
        fd: Resource<Label>,
        path: String,
        new_fd: Resource<Label>,
        new_path: String,
    ) -> FsResult<()> {
        let from = self.at(&fd, "rename", &path, Access::Write).await?;
        let to = self.at(&new_fd, "rename", &new_path, Access::Write).await?;
        Ok(blocking(move || from.folder.rename(&from.below, &to.folder, &to.below)).await?)
    }

    async fn symlink_at(
        &mut self,
        fd: Resource<Label>,
        target: String,
        path: String,
    ) -> FsResult<()> {
        let at = self.at(&fd, "symlink", &path, Access::Write).await?;
        Ok(blocking(move || at.folder.symlink(&target, &at.below)).await?)
    }

    async fn unlink_file_at(&mut self, fd: Resource<Label>, path: String) -> FsResult<()> {
        let at = self.at(&fd, "remove", &path, Access::Write).await?;
        Ok(blocking(move || at.folder.remove_file(&at.below)).await?)
    }

    async fn is_same_object(
        &mut self,
        a: Resource<Label>,
        b: Resource<Label>,
    ) -> wasmtime::Result<bool> {
        let (a, b) = (self.node(&a)?, self.node(&b)?);
        let same = move || Ok(identity(&a.metadata()?) == identity(&b.metadata()?));
        Ok(blocking(same).await.unwrap_or(false))
    }

    async fn metadata_hash(&mut self, fd: Resource<Label>) -> FsResult<MetadataHashValue> {
        let node = self.node(&fd)?;
        let metadata = blocking(move || node.metadata()).await?;
        Ok(self.hashed(&metadata))
    }

    async fn metadata_hash_at(
        &mut self,
        fd: Resource<Label>,
        flags: PathFlags,
        path: String,
    ) -> FsResult<MetadataHashValue> {
        let at = self.at(&fd, "stat", &path, Access::Read).await?;
        let follow = follows(flags) || at.below.means_directory();
        let metadata = blocking(move || at.folder.stat(&at.below, follow)).await?;
        Ok(self.hashed(&metadata))
    }

    fn drop(&mut self, fd: Resource<Label>) -> wasmtime::Result<()> {
        let own = Resource::<Node>::new_own(fd.rep());
        self.0.parts::<FilesState>().table.delete(own)?;
        Ok(())
    }
}

impl View<'_> {
    /// Differs when the file or its length differs; a change that keeps both is not seen, because the
    /// times that would show it are not the guest's to know. Keyed, because device and inode are no secret
    /// that a search would not find.
    fn hashed(&mut self, metadata: &Metadata) -> MetadataHashValue {
        let key = &self.0.parts::<FilesState>().state.key;
        let half = |salt: u8| key.hash_one((salt, identity(metadata), metadata.len()));
        MetadataHashValue {
            lower: half(0),
            upper: half(1),
        }
    }

    fn writer(
        &mut self,
        fd: &Resource<Label>,
        place: Place,
    ) -> FsResult<Resource<DynOutputStream>> {
        let node = self.node(fd)?;
        let file = Arc::clone(node.file()?);
        if !file.write {
            return Err(ErrorCode::NotPermitted.into());
        }
        let writer: DynOutputStream = Box::new(Writer::new(file, place, self.ticket()?));
        self.push(writer)
    }

    async fn sync_now(&mut self, fd: &Resource<Label>) -> FsResult<()> {
        match self.node(fd)?.what {
            What::Folder(_) => Ok(()),
            What::File(file) => Ok(blocking(move || file.sync()).await?),
        }
    }
}

impl types::HostDirectoryEntryStream for View<'_> {
    async fn read_directory_entry(
        &mut self,
        stream: Resource<ListingLabel>,
    ) -> FsResult<Option<DirectoryEntry>> {
        self.charge().map_err(FsError::trap)?;
        let own = Resource::<Listing>::new_borrow(stream.rep());
        let listing = self.0.parts::<FilesState>().table.get_mut(&own)?;
        // One entry of a buffer that the kernel filled: short enough for the executor.
        let entry = loop {
            let Some(entry) = listing.entries.next() else {
                return Ok(None);
            };
            let entry = entry?;
            let is_hidden = listing.root.hidden.is_some()
                && entry
                    .metadata()
                    .is_ok_and(|metadata| listing.root.hides(DirId::from(&metadata)));
            if !is_hidden {
                break entry;
            }
        };
        let type_ = entry
            .file_type()
            .map_or(DescriptorType::Unknown, |kind| labelled(kind.into()));
        let name = entry
            .file_name()
            .into_string()
            .map_err(|_| ErrorCode::IllegalByteSequence)?;
        Ok(Some(DirectoryEntry { type_, name }))
    }

    fn drop(&mut self, stream: Resource<ListingLabel>) -> wasmtime::Result<()> {
        let own = Resource::<Listing>::new_own(stream.rep());
        self.0.parts::<FilesState>().table.delete(own)?;
        Ok(())
    }
}

fn follows(flags: PathFlags) -> bool {
    flags.contains(PathFlags::SYMLINK_FOLLOW)
}

fn wish(path: PathFlags, open: OpenFlags, flags: DescriptorFlags) -> Wish {
    Wish {
        read: flags.contains(DescriptorFlags::READ),
        write: flags.contains(DescriptorFlags::WRITE),
        create: open.contains(OpenFlags::CREATE),
        exclusive: open.contains(OpenFlags::EXCLUSIVE),
        truncate: open.contains(OpenFlags::TRUNCATE),
        directory: open.contains(OpenFlags::DIRECTORY),
        follow: follows(path),
    }
}

fn labelled(kind: Kind) -> DescriptorType {
    match kind {
        Kind::File => DescriptorType::RegularFile,
        Kind::Directory => DescriptorType::Directory,
        Kind::Link => DescriptorType::SymbolicLink,
        Kind::Special => DescriptorType::Unknown,
    }
}

fn described(metadata: &Metadata) -> DescriptorStat {
    DescriptorStat {
        type_: labelled(metadata.file_type().into()),
        link_count: metadata.nlink(),
        size: metadata.len(),
        data_access_timestamp: None,
        data_modification_timestamp: None,
        status_change_timestamp: None,
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}
