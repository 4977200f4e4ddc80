//! The chain: each record names the hash of the one before, and a tree grows over all of them.
//!
//! Writer, recovery, reader and verifier advance the same type, so that "what belongs next" is
//! decided in one place. Pure.

use crate::merkle::{Hash, NO_PREVIOUS, Tree, leaf_hash};
use crate::record::{LineFault, Owner, View};
use crate::rows::{Plain, small_hex};

/// What a line says of its place in a chain: all that can be known of that from the line alone.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    seq: u64,
    /// Which field names somebody else than the ledger's owner.
    stranger: Option<&'static str>,
    prev: Hash,
    leaf: Hash,
}

impl Claim {
    pub(crate) fn of(view: &View<'_>, owner: &Owner, leaf: Hash) -> Self {
        Self::new(view.seq, [&view.tenant, &view.run], view.prev, owner, leaf)
    }

    /// Of a record of this run of this tenant.
    pub(crate) fn new(
        seq: u64,
        [tenant, run]: [&str; 2],
        prev: &str,
        owner: &Owner,
        leaf: Hash,
    ) -> Self {
        let prev = small_hex(prev);
        debug_assert!(prev.is_some(), "a view's `prev` is a hash in small digits");
        let stranger = if tenant != owner.tenant {
            Some("tenant")
        } else if run != owner.run {
            Some("run")
        } else {
            None
        };
        Self {
            seq,
            stranger,
            prev: prev.unwrap_or_default(),
            leaf,
        }
    }
}

/// Where a chain stands, for whoever only reads it: the tree over its records is for those that sign it, and for
/// those that hold it against what was signed.
#[derive(Debug, Clone)]
pub(crate) struct Links {
    size: u64,
    prev: Hash,
}

impl Default for Links {
    fn default() -> Self {
        Self {
            size: 0,
            prev: NO_PREVIOUS,
        }
    }
}

impl Links {
    /// How many records there are; also the next sequence number.
    pub(crate) const fn size(&self) -> u64 {
        self.size
    }

    pub(crate) const fn prev(&self) -> &Hash {
        &self.prev
    }

    /// Takes a stored line, if it is the record that belongs here.
    pub(crate) fn check<'a>(
        &mut self,
        line: &'a [u8],
        owner: &Owner,
    ) -> Result<View<'a>, LineFault> {
        let view = View::parse(line)?;
        self.take(&Claim::of(&view, owner, leaf_hash(line)))?;
        Ok(view)
    }

    /// Takes a line that was read before, by what it says of its place.
    pub(crate) fn take(&mut self, claim: &Claim) -> Result<(), LineFault> {
        if claim.seq != self.size {
            return Err(LineFault::Seq {
                expected: self.size,
                found: claim.seq,
            });
        }
        if let Some(whose) = claim.stranger {
            return Err(LineFault::Owner(whose));
        }
        if claim.prev != self.prev {
            return Err(LineFault::Prev);
        }
        self.follow(claim.leaf);
        Ok(())
    }

    const fn follow(&mut self, leaf: Hash) {
        self.prev = leaf;
        self.size += 1;
    }
}

/// Where a chain stands.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chain {
    tree: Tree,
    links: Links,
}

impl Chain {
    /// Takes up a chain where it was left; `None` if there are not as many peaks as the size has.
    pub(crate) fn from_parts(size: u64, peaks: Vec<Hash>, prev: Hash) -> Option<Self> {
        let tree = Tree::from_peaks(size, peaks)?;
        let links = Links { size, prev };
        Some(Self { tree, links })
    }

    pub(crate) fn peaks(&self) -> &[Hash] {
        self.tree.peaks()
    }

    /// How many records there are; also the next sequence number.
    pub(crate) const fn size(&self) -> u64 {
        debug_assert!(
            self.tree.size() == self.links.size(),
            "each record is taken into both"
        );
        self.links.size()
    }

    pub(crate) const fn prev(&self) -> &Hash {
        self.links.prev()
    }

    pub(crate) fn root(&self) -> Hash {
        self.tree.root()
    }

    /// Takes a line that this program just made for this place.
    pub(crate) fn extend(&mut self, line: &[u8]) {
        let leaf = leaf_hash(line);
        self.links.follow(leaf);
        self.tree.push(leaf);
    }

    /// Takes a line that was looked at before; false if it does not follow.
    pub(crate) fn take(&mut self, plain: &Plain) -> bool {
        let follows = plain.seq == self.size() && plain.prev == *self.prev();
        if follows {
            self.links.follow(plain.leaf);
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
        let view = self.links.check(line, owner)?;
        self.tree.push(*self.links.prev());
        Ok(view)
    }
}
