//! Which payloads of a file have the same bytes, while it is written.
//!
//! A plan asks three agents the same long question, tries a step again, reads one file for each of a thousand
//! items: the bytes stand in the file once. Whether two payloads are equal can be seen in the payload file
//! alone, which is as private as they are; their records commit to them with salts of their own. Lines that
//! are in a file when it is opened again are not looked at: what a resumed run repeats stands there once more.

use std::collections::HashMap;

use sha2::{Digest as _, Sha256};

use crate::merkle::Hash;

/// Fewest bytes of a payload that is shared: 1 KiB. The line that names another one has over a hundred bytes
/// itself, and most payloads are small and met once.
pub(crate) const SHARED_BYTES_MIN: usize = 1024;

/// Most bytes of one file that are stored elsewhere in it: 1 GiB. Whoever verifies reads and hashes them as if
/// they stood there, so that without a bound a small file could keep a verifier busy for days. What comes
/// after it is stored again.
pub(crate) const SHARED_BYTES_MAX: u64 = 1 << 30;

/// Most payloads that are remembered: 64 Ki at 40 bytes are 2.6 MiB, and hold 64 MiB at least.
const REMEMBERED_MAX: usize = 64 * 1024;

/// The payloads of one file.
pub(crate) struct Shared {
    seen: HashMap<Hash, u64>,
    left: u64,
}

impl Shared {
    /// Of a file that is new.
    pub(crate) fn new() -> Self {
        Self {
            seen: HashMap::new(),
            left: SHARED_BYTES_MAX,
        }
    }

    /// Of a file of which nobody knows how much it shares already.
    pub(crate) fn nothing() -> Self {
        Self {
            left: 0,
            ..Self::new()
        }
    }

    /// The record whose payload has these bytes; where there is none yet, later ones are told of `seq`.
    pub(crate) fn with(&mut self, seq: u64, payload: &[u8]) -> Option<u64> {
        let len = payload.len() as u64;
        if payload.len() < SHARED_BYTES_MIN || self.left < len {
            return None;
        }
        let digest = Hash::from(Sha256::digest(payload));
        if let Some(of) = self.seen.get(&digest) {
            self.left -= len;
            return Some(*of);
        }
        if self.seen.len() < REMEMBERED_MAX {
            self.seen.insert(digest, seq);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_payloads_are_stored_each_and_large_ones_once() {
        let mut shared = Shared::new();
        let (small, large) = ([b'x'; SHARED_BYTES_MIN - 1], [b'x'; SHARED_BYTES_MIN]);
        assert_eq!(shared.with(0, &small), None);
        assert_eq!(shared.with(1, &small), None);
        assert_eq!(shared.with(2, &large), None);
        assert_eq!(shared.with(3, &large), Some(2));
        assert_eq!(shared.with(4, &[b'y'; SHARED_BYTES_MIN]), None);
        assert_eq!(shared.with(5, &large), Some(2));
        assert_eq!(Shared::nothing().with(6, &large), None);
    }

    #[test]
    fn no_more_is_shared_than_a_verifier_reads() {
        let mut shared = Shared::new();
        shared.left = 3 * SHARED_BYTES_MIN as u64 - 1;
        let large = [b'x'; SHARED_BYTES_MIN];
        let all: Vec<_> = (0..5).map(|seq| shared.with(seq, &large)).collect();
        assert_eq!(all, [None, Some(0), Some(0), None, None]);
    }
}
