//! What a guest's descriptors and listings are under their numbers, and what records hold of them. A replay has
//! the records and no handles.

use std::collections::VecDeque;
use std::sync::Arc;

use cap_std::fs::{DirEntry, Metadata, MetadataExt, ReadDir};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use wasmtime_wasi::p2::bindings::filesystem::types::{DescriptorStat, DescriptorType};

use crate::files::error::{Failed, FileError, recordable};
use crate::files::forbidden::DirId;
use crate::files::live;
use crate::files::path::Below;
use crate::files::root::{Folder, Kind, OpenFile, Opened, Root};

/// What stands in the table under a descriptor's number.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) what: What,
    /// Index of the grant it came from.
    pub(super) grant: usize,
    /// The guest path it was opened by.
    pub(super) path: Arc<str>,
    /// Counts as a live descriptor.
    pub(super) _ticket: Arc<()>,
}

/// An open folder or file. The handles are there in a live run only: a replay answers from the record.
#[derive(Clone)]
pub(super) enum What {
    Folder {
        at: Option<Folder>,
        write: bool,
    },
    File {
        at: Option<Arc<OpenFile>>,
        read: bool,
        write: bool,
    },
}

/// What an open gave, as its record has it.
#[derive(Serialize, Deserialize)]
pub(super) enum Gave {
    Folder { write: bool },
    File { read: bool, write: bool },
}

impl Gave {
    pub(super) fn of(opened: &Opened) -> Self {
        match opened {
            Opened::Folder(folder) => Self::Folder {
                write: folder.root.usage.is_some(),
            },
            Opened::File(file) => Self::File {
                read: file.read,
                write: file.write,
            },
        }
    }

    pub(super) fn with(self, opened: Option<Opened>) -> What {
        let (folder, file) = match opened {
            Some(Opened::Folder(folder)) => (Some(folder), None),
            Some(Opened::File(file)) => (None, Some(Arc::new(file))),
            None => (None, None),
        };
        match self {
            Self::Folder { write } => What::Folder { at: folder, write },
            Self::File { read, write } => What::File {
                at: file,
                read,
                write,
            },
        }
    }
}

impl Node {
    pub(super) fn file(&self) -> Result<Option<Arc<OpenFile>>, FileError> {
        match &self.what {
            What::File { at, .. } => Ok(at.clone()),
            What::Folder { .. } => Err(FileError::os(Errno::ISDIR)),
        }
    }

    pub(super) fn folder(&self) -> Result<Option<Folder>, FileError> {
        match &self.what {
            What::Folder { at, .. } => Ok(at.clone()),
            What::File { .. } => Err(FileError::os(Errno::NOTDIR)),
        }
    }

    pub(super) fn metadata(&self) -> Result<Metadata, FileError> {
        match &self.what {
            What::Folder { at, .. } => live(at.as_ref())?.stat(&Below::new("", 0)?, false),
            What::File { at, .. } => live(at.as_ref())?.metadata(),
        }
    }

    pub(super) const fn writable(&self) -> bool {
        match &self.what {
            What::Folder { write, .. } | What::File { write, .. } => *write,
        }
    }

    pub(super) const fn readable(&self) -> bool {
        match &self.what {
            // A grant to write holds one to read; there is no folder that can be written to only.
            What::Folder { .. } => true,
            What::File { read, .. } => *read,
        }
    }
}

/// Entries that are read at a time, so that a folder of any size takes little memory and few records.
pub(super) const BATCH: usize = 256;

/// A directory that is being read; holds one batch, not its entries.
pub(super) struct Listing {
    /// None in a replay.
    pub(super) entries: Option<ReadDir>,
    /// Whose entries these are.
    pub(super) root: Option<Arc<Root>>,
    pub(super) path: Arc<str>,
    pub(super) batch: VecDeque<Listed>,
    pub(super) ended: bool,
    pub(super) _ticket: Arc<()>,
}

/// One entry, as its record has it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Listed {
    Entry {
        name: String,
        kind: Is,
    },
    /// Its name is no text.
    Illegal,
    Failed(Failed),
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Is {
    File,
    Directory,
    Link,
    Special,
}

impl From<Kind> for Is {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::File => Self::File,
            Kind::Directory => Self::Directory,
            Kind::Link => Self::Link,
            Kind::Special => Self::Special,
        }
    }
}

impl From<Is> for DescriptorType {
    fn from(kind: Is) -> Self {
        match kind {
            Is::File => Self::RegularFile,
            Is::Directory => Self::Directory,
            Is::Link => Self::SymbolicLink,
            Is::Special => Self::Unknown,
        }
    }
}

/// What is told of a file, as its record has it.
#[derive(Serialize, Deserialize)]
pub(super) struct Described {
    pub(super) kind: Is,
    pub(super) links: u64,
    pub(super) size: u64,
}

impl Described {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            kind: Kind::from(metadata.file_type()).into(),
            links: metadata.nlink(),
            size: metadata.len(),
        }
    }
}

impl From<Described> for DescriptorStat {
    fn from(it: Described) -> Self {
        Self {
            type_: it.kind.into(),
            link_count: it.links,
            size: it.size,
            data_access_timestamp: None,
            data_modification_timestamp: None,
            status_change_timestamp: None,
        }
    }
}

impl Listing {
    pub(super) fn read_batch(&mut self) -> VecDeque<Listed> {
        let Some(entries) = &mut self.entries else {
            debug_assert!(false, "a replay reads its listings from the record");
            return VecDeque::new();
        };
        let hides = |entry: &DirEntry| {
            let root = self.root.as_ref().filter(|root| root.hidden.is_some());
            root.is_some_and(|root| {
                let metadata = entry.metadata();
                metadata.is_ok_and(|metadata| root.hides(DirId::from(&metadata)))
            })
        };
        entries
            .filter(|entry| !entry.as_ref().is_ok_and(hides))
            .take(BATCH)
            .map(listed)
            .collect()
    }
}

fn listed(entry: std::io::Result<DirEntry>) -> Listed {
    let entry = match recordable(entry.map_err(FileError::from)) {
        Ok(Ok(entry)) => entry,
        Ok(Err(failed)) => return Listed::Failed(failed),
        // An entry's error is the system's: `recordable` gives a fault for nothing but a fault.
        Err(fault) => return Listed::Failed(Failed::Kind(fault.to_string())),
    };
    // Gone meanwhile, perhaps: it is named all the same, as something that cannot be opened.
    let kind = entry.file_type().map_or(Kind::Special, Kind::from);
    match entry.file_name().into_string() {
        Ok(name) => Listed::Entry {
            name,
            kind: kind.into(),
        },
        Err(_) => Listed::Illegal,
    }
}
