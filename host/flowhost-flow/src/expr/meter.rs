//! The prices of an evaluation, in units.
//!
//! One unit is at most about a quarter of a microsecond of an unoptimised build and 40 bytes of
//! memory: `tests/expression_cost.rs` measures both. So the bound on the cost bounds time and memory,
//! whatever the expression is. Must be asked before the work, not after.

use crate::effort::{Meter, Spent};
use crate::expr::value::Val;

/// Bytes that are read one by one (searching, counting, case) for one unit. So many
/// take a unit's quarter of a microsecond, unoptimised.
const BYTES_SCANNED: usize = 8;
/// Bytes that are allocated and filled for one unit. The bound of 40 bytes of memory a unit leaves no more.
const BYTES_COPIED: usize = 32;
/// Bytes that are compared in one go for one unit. `memcmp` takes many at once; a unit is what the shortest
/// comparison takes all the same.
const BYTES_COMPARED: usize = 64;
/// A text or a list of its own: the allocations around its contents.
const NEW: u64 = 3;
/// An object of JSON: a tree node has room for eleven members, used or not.
const OBJECT: u64 = 18;
/// A member of such an object, its key aside. It has its place in the node already; what is added is its value.
const MEMBER: u64 = 2;

impl Meter<'_> {
    /// Reading so many bytes one by one.
    pub(super) fn scan(&mut self, bytes: usize) -> Result<(), Spent> {
        self.charge(1 + (bytes / BYTES_SCANNED) as u64)
    }

    /// Comparing so many bytes.
    pub(super) fn compare(&mut self, bytes: usize) -> Result<(), Spent> {
        self.charge((bytes / BYTES_COMPARED) as u64)
    }

    /// A new text of so many bytes.
    pub(super) fn text(&mut self, bytes: usize) -> Result<(), Spent> {
        self.charge(NEW + (bytes / BYTES_COPIED) as u64)
    }

    /// A new list, or a map, of so many values.
    pub(super) fn list(&mut self, values: usize) -> Result<(), Spent> {
        self.charge(NEW + values as u64)
    }

    /// Looking for a key of so many bytes in an object: a comparison for each halving.
    pub(super) fn look_up(&mut self, object: &Val<'_>, key_bytes: usize) -> Result<(), Spent> {
        let halvings = object.len().unwrap_or(0).checked_ilog2().unwrap_or(0) as usize + 1;
        self.compare(key_bytes.saturating_mul(halvings))?;
        self.charge(halvings as u64 / 4)
    }

    /// A text of JSON, with what is around it.
    pub(super) fn json_text(&mut self, bytes: usize) -> Result<(), Spent> {
        self.charge(1 + (bytes / BYTES_COPIED) as u64)
    }

    /// An object of JSON with so many members, their keys and values aside.
    pub(super) fn json_object(&mut self, members: usize) -> Result<(), Spent> {
        self.charge(OBJECT + MEMBER * members as u64)
    }
}
