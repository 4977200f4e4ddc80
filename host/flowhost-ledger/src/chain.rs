//! The chain: each record names the hash of the one before, and a tree grows over all of them.
//!
//! Writer, recovery, reader and verifier advance the same type, so that "what belongs next" is
//! decided in one place. Pure.

use crate::merkle::{Hash, NO_PREVIOUS, Tree, leaf_hash};
use crate::record::{LineFault, Owner, View};
use crate::rows::Plain;

/// Where a chain stands.
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    tree: Tree,
    prev: Hash,
}

impl Default for Chain {
    fn default() -> Self {
        Self {
            tree: Tree::default(),
            prev: NO_PREVIOUS,
        }
    }
}

impl Chain {
    /// Takes up a chain where it was left; `None` if there are not as many peaks as the size has.
    pub(crate) fn from_parts(size: u64, peaks: Vec<Hash>, prev: Hash) -> Option<Self> {
        let tree = Tree::from_peaks(size, peaks)?;
        Some(Self { tree, prev })
    }

    pub(crate) fn peaks(&self) -> &[Hash] {
        self.tree.peaks()
    }

    /// How many records there are; also the next sequence number.
    pub(crate) const fn size(&self) -> u64 {
        self.tree.size()
    }

    pub(crate) const fn prev(&self) -> &Hash {
        &self.prev
    }

    pub(crate) fn root(&self) -> Hash {
        self.tree.root()
    }

    /// Takes a line that this program just made for this place.
    pub(crate) fn extend(&mut self, line: &[u8]) {
        self.prev = leaf_hash(line);
        self.tree.push(self.prev);
    }

    /// Takes a line that was looked at before; false if it does not follow.
    pub(crate) fn take(&mut self, plain: &Plain) -> bool {
        let follows = plain.seq == self.size() && plain.prev == self.prev;
        if follows {
            self.prev = plain.leaf;
            self.tree.close(&plain.whole);
        }
        follows
    }

    /// Takes a stored line, if it is the record that belongs here.
    pub(crate) fn check<'a>(
        &mut self,
        line: &'a [u8],
        owner: &Owner,
    ) -> Result<View<'a>, LineFault> {
        let view = View::parse(line)?;
        if view.seq != self.size() {
            return Err(LineFault::Seq {
                expected: self.size(),
                found: view.seq,
            });
        }
        if view.tenant != owner.tenant {
            return Err(LineFault::Owner("tenant"));
        }
        if view.run != owner.run {
            return Err(LineFault::Owner("run"));
        }
        let mut prev = [0_u8; 64];
        if hex::encode_to_slice(self.prev, &mut prev).is_err() || view.prev.as_bytes() != prev {
            return Err(LineFault::Prev);
        }
        self.extend(line);
        Ok(view)
    }
}
