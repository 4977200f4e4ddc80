//! Compiled code between the cache and the engine, where nobody can change it any more.
//!
//! What was authenticated must be what is run, so the bytes are taken out of the cache's file while
//! the MAC is made and never read from there again. On Linux they go into a sealed file in memory
//! (memfd_create(2), fcntl(2) `F_SEAL_WRITE`), which the engine maps instead of copying.

use std::io;
use std::sync::{Mutex, PoisonError};

#[cfg(target_os = "linux")]
use std::fs::File;
#[cfg(target_os = "linux")]
use std::os::fd::AsRawFd;
#[cfg(target_os = "linux")]
use std::os::unix::fs::FileExt as _;
#[cfg(target_os = "linux")]
use std::path::PathBuf;

#[cfg(target_os = "linux")]
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

/// Takes code piece by piece, in any order and from several threads.
pub(crate) enum Sink {
    #[cfg(target_os = "linux")]
    Memory(File),
    Bytes(Mutex<Vec<u8>>),
}

/// Code that stays as it is.
pub(crate) enum Code {
    #[cfg(target_os = "linux")]
    Sealed(File),
    Bytes(Vec<u8>),
}

impl Sink {
    /// Memory for `bytes` of code.
    pub(crate) fn new(bytes: usize) -> io::Result<Self> {
        #[cfg(target_os = "linux")]
        {
            let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
            // Sandboxes and old kernels have none; then the copy below serves, which costs memory
            // and no safety.
            if let Ok(file) = memfd_create("flowhost-code", flags) {
                let file = File::from(file);
                file.set_len(bytes as u64)?;
                return Ok(Self::Memory(file));
            }
        }
        Ok(Self::Bytes(Mutex::new(vec![0; bytes])))
    }

    /// Puts a piece at its place, which is within what the memory was made for.
    pub(crate) fn put(&self, at: usize, piece: &[u8]) -> io::Result<()> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Memory(file) => file.write_all_at(piece, at as u64),
            Self::Bytes(bytes) => {
                let mut bytes = bytes.lock().unwrap_or_else(PoisonError::into_inner);
                let place = bytes
                    .get_mut(at..at.saturating_add(piece.len()))
                    .ok_or_else(|| io::Error::other("code beyond its end"))?;
                place.copy_from_slice(piece);
                Ok(())
            }
        }
    }

    /// From here on nobody can change it, whoever else may hold the file.
    pub(crate) fn seal(self) -> io::Result<Code> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Memory(file) => {
                // The last seal keeps the others: without it one could be put on and no more be
                // relied on. Length counts too, because what is mapped beyond the end kills the
                // process.
                let all = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
                fcntl_add_seals(&file, all)?;
                Ok(Code::Sealed(file))
            }
            Self::Bytes(bytes) => Ok(Code::Bytes(
                bytes.into_inner().unwrap_or_else(PoisonError::into_inner),
            )),
        }
    }
}

impl Code {
    /// Where the engine can map it from, if it can; the path holds as long as this value does.
    #[cfg(target_os = "linux")]
    pub(crate) fn path(&self) -> Option<PathBuf> {
        match self {
            Self::Sealed(file) => Some(format!("/proc/self/fd/{}", file.as_raw_fd()).into()),
            Self::Bytes(_) => None,
        }
    }

    /// The bytes themselves.
    pub(crate) fn into_bytes(self) -> io::Result<Vec<u8>> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Sealed(mut file) => {
                use std::io::{Read as _, Seek as _};
                let mut bytes = Vec::new();
                file.rewind()?;
                file.read_to_end(&mut bytes)?;
                Ok(bytes)
            }
            Self::Bytes(bytes) => Ok(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn sealed() -> Code {
        let sink = Sink::new(6).unwrap();
        sink.put(3, b"two").unwrap();
        sink.put(0, b"one").unwrap();
        sink.seal().unwrap()
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn code_cannot_be_changed_once_it_is_sealed() {
        let code = sealed();
        let path = code.path().expect("Linux has files in memory");
        let mut file = std::fs::File::options().write(true).open(path).unwrap();
        let denied = file.write_all(b"x").unwrap_err();
        assert_eq!(denied.kind(), io::ErrorKind::PermissionDenied);
        assert!(file.set_len(0).is_err());
        assert_eq!(code.into_bytes().unwrap(), b"onetwo");
    }

    #[test]
    fn gives_back_what_was_put_in() {
        assert_eq!(sealed().into_bytes().unwrap(), b"onetwo");
    }
}
