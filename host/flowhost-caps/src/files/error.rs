//! What a file operation can end with, and what each of the two interfaces tells the guest.

use std::io;

use flowhost_engine::{CallScope, Fault, bindings::types, interned};
use flowhost_policy::Denied;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use wasmtime_wasi::p2::{FsError, bindings::filesystem::types::ErrorCode};

/// Why an operation did not happen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    /// A rule said no; already recorded.
    #[error("denied by {}", .0.rule)]
    Denied(Denied),
    /// A quota or cap was reached.
    #[error("the limit `{name}` was reached: used {used}, allowed {allowed}")]
    Limit {
        /// `files.quota`, `files.entries`, `files.read`, `files.list`, `files.open`.
        name: &'static str,
        /// Used, or asked for.
        used: u64,
        /// Allowed.
        allowed: u64,
    },
    /// The tree leads out of itself: a link, a mount, a device, a pipe, a socket.
    #[error("{0}")]
    Refused(&'static str),
    /// What the file system said.
    #[error("{}", .0.kind())]
    Io(#[from] io::Error),
    /// A host fault; the call must end.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl FileError {
    pub(super) fn os(errno: Errno) -> Self {
        Self::Io(errno.into())
    }

    /// For `flowhost:files`. A refusal of what the tree holds is `invalid`: no rule would allow it. A
    /// limit is remembered, so that a guest that ends with it is believed.
    pub(super) fn into_guest(self, scope: &CallScope) -> Result<types::Error, Fault> {
        Ok(match self {
            Self::Denied(denied) => types::Error::from(&denied),
            Self::Limit {
                name,
                used,
                allowed,
            } => scope.refuse_limit(name, used, allowed),
            Self::Refused(why) => types::Error::Invalid(why.to_owned()),
            Self::Io(error) if is_escape(&error) => types::Error::Invalid(LEAVES.to_owned()),
            // The kind and not the system's text, which may name paths of this machine.
            Self::Io(error) if is_ours(&error) => types::Error::Failed(error.kind().to_string()),
            Self::Io(error) => types::Error::Invalid(error.kind().to_string()),
            Self::Fault(fault) => return Err(fault),
        })
    }

    /// For streams of `wasi:filesystem`, whose errors are codes.
    pub(super) fn code(&self) -> ErrorCode {
        match self {
            Self::Denied(_) | Self::Refused(_) => ErrorCode::NotPermitted,
            Self::Limit {
                name: "files.open", ..
            } => ErrorCode::Busy,
            // The codes have no second word for a limit; of descriptors another try helps once one
            // is closed, of the others it does not.
            Self::Limit { .. } => ErrorCode::Quota,
            Self::Io(error) if is_escape(error) => ErrorCode::NotPermitted,
            // wasmtime's table has no line for it.
            Self::Io(error) if error.raw_os_error() == Some(Errno::XDEV.raw_os_error()) => {
                ErrorCode::CrossDevice
            }
            Self::Io(error) => ErrorCode::from(error),
            Self::Fault(_) => ErrorCode::Io,
        }
    }
}

/// [`FileError`] as a record has it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Failed {
    Limit {
        name: String,
        used: u64,
        allowed: u64,
    },
    Refused(String),
    /// The number of the operating system's error.
    Os(i32),
    /// What is wrong, where no number says it.
    Kind(String),
}

/// What an operation came to, as its record has it; a fault ends the call without a record.
pub(super) fn recordable<T>(done: Result<T, FileError>) -> Result<Result<T, Failed>, Fault> {
    let error = match done {
        Ok(value) => return Ok(Ok(value)),
        Err(error) => error,
    };
    Ok(Err(match error {
        FileError::Limit {
            name,
            used,
            allowed,
        } => Failed::Limit {
            name: name.to_owned(),
            used,
            allowed,
        },
        FileError::Refused(why) => Failed::Refused(why.to_owned()),
        FileError::Io(error) => match error.raw_os_error() {
            Some(number) => Failed::Os(number),
            None => Failed::Kind(error.kind().to_string()),
        },
        FileError::Denied(denied) => {
            debug_assert!(
                false,
                "a rule is asked before anything is done: {}",
                denied.rule
            );
            Failed::Refused("a rule said no".to_owned())
        }
        FileError::Fault(fault) => return Err(fault),
    }))
}

/// Kinds of errors that cap-std and std make without a number.
const KINDS: &[io::ErrorKind] = &[
    io::ErrorKind::PermissionDenied,
    io::ErrorKind::NotFound,
    io::ErrorKind::AlreadyExists,
    io::ErrorKind::InvalidInput,
    io::ErrorKind::InvalidData,
    io::ErrorKind::UnexpectedEof,
    io::ErrorKind::WriteZero,
    io::ErrorKind::Interrupted,
    io::ErrorKind::Unsupported,
    io::ErrorKind::OutOfMemory,
];

impl From<Failed> for FileError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Limit {
                name,
                used,
                allowed,
            } => Self::Limit {
                name: interned(&name),
                used,
                allowed,
            },
            Failed::Refused(why) => Self::Refused(interned(&why)),
            Failed::Os(number) => Self::Io(io::Error::from_raw_os_error(number)),
            Failed::Kind(text) => {
                // A kind has no number that lasts, so a record has its words. One that is missing in the
                // list would be told as `failed` in a replay, whatever it was told as live.
                let known = KINDS.iter().find(|kind| kind.to_string() == text);
                Self::Io(known.copied().unwrap_or(io::ErrorKind::Other).into())
            }
        }
    }
}

/// For `wasi:filesystem`: a code, or a fault that kills the call.
impl From<FileError> for FsError {
    fn from(error: FileError) -> Self {
        match error {
            FileError::Fault(fault) => Self::trap(fault),
            error => error.code().into(),
        }
    }
}

const LEAVES: &str = "the path leaves its folder through a link";

/// cap-std's own refusal carries no error number.
pub(super) fn is_escape(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied && error.raw_os_error().is_none()
}

/// A full or failing disk is not the guest's mistake.
fn is_ours(error: &io::Error) -> bool {
    use io::ErrorKind::{Other, OutOfMemory, ReadOnlyFilesystem, StorageFull};
    matches!(
        error.kind(),
        StorageFull | OutOfMemory | ReadOnlyFilesystem | Other
    )
}
