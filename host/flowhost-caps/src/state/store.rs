//! What a place for state promises, wherever it is.

use async_trait::async_trait;

/// Longest key in bytes. A key's file is named by its hexadecimal digits after a `k`: 241 of the 255 bytes that
/// file systems take.
pub const KEY_BYTES_MAX: usize = 120;

/// Keys that one listing gives at most: it is one record, and a guest that has more asks by prefix.
pub const KEYS_LISTED_MAX: usize = 1_000;

/// Whose namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    /// Tenant.
    pub tenant: String,
    /// The plugin's name in the plan.
    pub plugin: String,
    /// The namespace.
    pub namespace: String,
}

/// A value and its revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The value.
    pub value: Vec<u8>,
    /// Larger for every later write to the namespace, never used twice, not even after a delete.
    pub revision: u64,
}

/// Why state was not read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// Keys and values of the namespace would be more than the quota.
    #[error("the namespace is full: {used} bytes wanted, {allowed} allowed")]
    Quota {
        /// Bytes after the write.
        used: u64,
        /// Bytes allowed.
        allowed: u64,
    },
    /// The place itself failed.
    #[error("state could not be kept: {0}")]
    Storage(String),
}

/// Keeps state. A write that returned is durable.
#[async_trait]
pub trait StateStore: Send + Sync + 'static {
    /// Reads a key.
    ///
    /// # Errors
    /// [`StateError::Storage`].
    async fn get(&self, slot: &Slot, key: &str) -> Result<Option<Entry>, StateError>;

    /// Writes a key if its revision is `expected`: any, absent, or exactly one. Returns the new
    /// revision, or none when another write came first. Keys and values of the namespace together
    /// stay below `bytes_max`.
    ///
    /// # Errors
    /// [`StateError`].
    async fn put(
        &self,
        slot: &Slot,
        key: &str,
        value: Vec<u8>,
        expected: Expected,
        bytes_max: u64,
    ) -> Result<Option<u64>, StateError>;

    /// Removes a key; true if it was there.
    ///
    /// # Errors
    /// [`StateError::Storage`].
    async fn delete(&self, slot: &Slot, key: &str) -> Result<bool, StateError>;

    /// The first [`KEYS_LISTED_MAX`] keys that start with `prefix`, sorted.
    ///
    /// # Errors
    /// [`StateError::Storage`].
    async fn list(&self, slot: &Slot, prefix: &str) -> Result<Vec<String>, StateError>;
}

/// What must be there for a write to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Anything or nothing.
    Any,
    /// Nothing.
    Absent,
    /// Exactly this revision.
    Revision(u64),
}
