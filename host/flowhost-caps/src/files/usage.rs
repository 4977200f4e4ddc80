//! What stands below a writable folder, in bytes and entries, against its quota.
//!
//! One lock per folder: a write measures, reserves and writes under it, so two writers cannot both
//! use the last byte. Bytes are lengths, not blocks: a hole costs what it claims to hold. A file
//! that is removed while it is open keeps counting until its last handle is closed.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::error::FileError;

/// The most that may stand below a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Quota {
    pub(super) bytes: u64,
    pub(super) entries: u64,
}

/// One writable folder's account.
#[derive(Debug)]
pub(super) struct Usage {
    account: Mutex<Account>,
}

impl Usage {
    /// With what already stood there.
    pub(super) fn new(quota: Quota, bytes: u64, entries: u64) -> Self {
        let account = Account {
            quota,
            bytes,
            entries,
            open: HashMap::new(),
        };
        Self {
            account: Mutex::new(account),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Account> {
        // A panic between two of its numbers leaves one of them wrong by one entry, which is better
        // than a folder that is closed for good.
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The numbers, under the lock.
#[derive(Debug)]
pub(super) struct Account {
    quota: Quota,
    bytes: u64,
    entries: u64,
    /// Open files by inode.
    open: HashMap<u64, Open>,
}

#[derive(Debug, Default)]
struct Open {
    handles: u64,
    removed: bool,
}

impl Account {
    #[cfg(test)]
    pub(super) const fn used(&self) -> (u64, u64) {
        (self.bytes, self.entries)
    }

    /// Whether a length may change from `from` to `to`.
    pub(super) fn may_resize(&self, from: u64, to: u64) -> Result<(), FileError> {
        let used = self.bytes.saturating_add(to.saturating_sub(from));
        // Shrinking is let through also where the folder stood above its quota when the run began:
        // that is how it gets below.
        if to > from && used > self.quota.bytes {
            let allowed = self.quota.bytes;
            return Err(FileError::Limit {
                name: "files.quota",
                used,
                allowed,
            });
        }
        Ok(())
    }

    /// A length did change.
    pub(super) fn resized(&mut self, from: u64, to: u64) {
        self.bytes = self.bytes.saturating_add(to).saturating_sub(from);
    }

    /// Whether one more entry may be made.
    pub(super) fn may_add(&self) -> Result<(), FileError> {
        let used = self.entries.saturating_add(1);
        if used > self.quota.entries {
            let allowed = self.quota.entries;
            return Err(FileError::Limit {
                name: "files.entries",
                used,
                allowed,
            });
        }
        Ok(())
    }

    /// An entry was made.
    pub(super) fn added(&mut self) {
        self.entries = self.entries.saturating_add(1);
    }

    /// An entry is gone; `file` is its inode and length when that was its last name.
    pub(super) fn removed(&mut self, file: Option<(u64, u64)>) {
        self.entries = self.entries.saturating_sub(1);
        // A folder, or a file that has another name still: its bytes stay where they are.
        let Some((inode, length)) = file else { return };
        match self.open.get_mut(&inode) {
            // The disk keeps them until the last handle is closed; `closed` gives them back.
            Some(open) => open.removed = true,
            None => self.bytes = self.bytes.saturating_sub(length),
        }
    }

    /// A handle was opened.
    pub(super) fn opened(&mut self, inode: u64) {
        self.open.entry(inode).or_default().handles += 1;
    }

    /// A handle is closed; `length` is the file's last one.
    pub(super) fn closed(&mut self, inode: u64, length: u64) {
        let Some(open) = self.open.get_mut(&inode) else {
            debug_assert!(false, "a handle that is closed was opened");
            return;
        };
        open.handles = open.handles.saturating_sub(1);
        if open.handles > 0 {
            return;
        }
        let removed = open.removed;
        self.open.remove(&inode);
        if removed {
            self.bytes = self.bytes.saturating_sub(length);
        }
    }
}
