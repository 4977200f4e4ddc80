//! Whether two handles are of the same file, without telling a guest which one that is on this machine.

use std::hash::{BuildHasher as _, RandomState};

use cap_std::fs::{Metadata, MetadataExt as _};

/// Differs when the file or its length differs; a change that keeps both is not seen, because the
/// times that would show it are not the guest's to know. Keyed, because device and inode are no secret
/// that a search would not find.
pub(super) fn hashed(key: &RandomState, metadata: &Metadata) -> (u64, u64) {
    // WASI wants 128 bits and std's hash gives 64: two with another salt each.
    let half = |salt: u8| key.hash_one((salt, identity(metadata), metadata.len()));
    (half(0), half(1))
}

pub(super) fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}
