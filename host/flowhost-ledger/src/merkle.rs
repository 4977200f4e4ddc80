//! The Merkle tree of RFC 6962 §2.1 over the stored lines: roots, inclusion, consistency.
//!
//! Leaf = SHA-256(0x00 ‖ line without LF), node = SHA-256(0x01 ‖ left ‖ right). Pure; the growing
//! tree keeps only its peaks, so that a writer or a verifier needs at most 64 hashes for any log.

use sha2::{Digest, Sha256};

/// A SHA-256 value.
pub type Hash = [u8; 32];

/// The `prev` of the first record: 32 zero bytes.
pub const NO_PREVIOUS: Hash = [0; 32];

/// The hash of a leaf: of the line's bytes as stored, without the LF.
#[must_use]
pub fn leaf_hash(line: &[u8]) -> Hash {
    Sha256::new()
        .chain_update([0])
        .chain_update(line)
        .finalize()
        .into()
}

/// The hash of an inner node.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut joined = [1_u8; 65];
    for (to, from) in joined.iter_mut().skip(1).zip(left.iter().chain(right)) {
        *to = *from;
    }
    Sha256::digest(joined).into()
}

/// The root of a tree without leaves.
#[must_use]
pub(crate) fn empty_root() -> Hash {
    Sha256::digest([]).into()
}

/// A perfect subtree: the root over `2^height` leaves that stand beside each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Subtree {
    pub(crate) height: u32,
    pub(crate) root: Hash,
}

/// Joins leaves that stand beside each other somewhere in a tree, without the leaves before them: what
/// of a tree's nodes can be made from one piece of a log alone.
#[derive(Debug, Default)]
pub(crate) struct Joins {
    /// The index of the leaf that comes next.
    next: u64,
    /// The subtrees so far that no other was joined to, in the order of their leaves.
    open: Vec<Subtree>,
}

impl Joins {
    /// Takes the leaf `index`, and gives the largest whole subtree that ends with it and lies among the leaves
    /// since the last gap.
    pub(crate) fn take(&mut self, index: u64, leaf: Hash) -> Subtree {
        if index != self.next {
            self.forget();
        }
        self.next = index.wrapping_add(1);
        let mut whole = Subtree {
            height: 0,
            root: leaf,
        };
        // As many times as the index ends in ones, a leaf is the last of a right half; the left half is the
        // subtree just before, if it began in this piece. It is aligned, so that its height tells.
        while whole.height < index.trailing_ones() {
            let Some(left) = self.open.pop_if(|left| left.height == whole.height) else {
                break;
            };
            whole = Subtree {
                height: whole.height + 1,
                root: node_hash(&left.root, &whole.root),
            };
        }
        self.open.push(whole);
        whole
    }

    /// What comes next does not stand beside what came before.
    pub(crate) fn forget(&mut self) {
        self.open.clear();
    }
}

/// A tree that grows at its end and remembers its peaks only.
///
/// # Examples
///
/// ```
/// use flowhost_ledger::merkle::{Tree, leaf_hash};
/// let mut tree = Tree::default();
/// tree.push(leaf_hash(b""));
/// assert_eq!(tree.root(), leaf_hash(b""));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    size: u64,
    /// Roots of the perfect subtrees, the largest first; one for each set bit of `size`.
    peaks: Vec<Hash>,
}

impl Tree {
    /// A tree of which only the peaks are left; `None` if there are not as many as the size has bits.
    #[must_use]
    pub(crate) fn from_peaks(size: u64, peaks: Vec<Hash>) -> Option<Self> {
        (peaks.len() as u64 == u64::from(size.count_ones())).then_some(Self { size, peaks })
    }

    /// Roots of the perfect subtrees, the largest first.
    #[must_use]
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// How many leaves there are.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf.
    pub fn push(&mut self, leaf: Hash) {
        self.close(&Subtree {
            height: 0,
            root: leaf,
        });
    }

    /// Adds the last leaf of `whole`, whose other leaves were added one by one before it, by
    /// [`Joins`] over the same leaves: the nodes within it need not be made again.
    pub(crate) fn close(&mut self, whole: &Subtree) {
        debug_assert!(
            whole.height <= self.size.trailing_ones(),
            "the subtree would begin in the middle of another: its index was not this tree's size"
        );
        let open = self.peaks.len().saturating_sub(whole.height as usize);
        self.peaks.truncate(open);
        let mut node = whole.root;
        for _ in whole.height..self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                node = node_hash(&left, &node);
            }
        }
        self.peaks.push(node);
        self.size += 1;
    }

    /// The root over all leaves so far.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        let Some(last) = peaks.next() else {
            return empty_root();
        };
        peaks.fold(*last, |right, left| node_hash(left, &right))
    }
}

/// The largest power of two below `size` (which must be at least 2).
const fn split(size: u64) -> u64 {
    1 << (63 - (size - 1).leading_zeros())
}

fn subtree(leaves: &[Hash]) -> Hash {
    let mut tree = Tree::default();
    for leaf in leaves {
        tree.push(*leaf);
    }
    tree.root()
}

fn halves(leaves: &[Hash]) -> (&[Hash], &[Hash]) {
    let at = usize::try_from(split(leaves.len() as u64)).unwrap_or(leaves.len());
    leaves.split_at_checked(at).unwrap_or((leaves, &[]))
}

/// The audit path of the leaf `index` (RFC 6962 §2.1.1), nearest sibling first; `None` if there
/// is no such leaf.
#[must_use]
pub fn inclusion_proof(leaves: &[Hash], index: u64) -> Option<Vec<Hash>> {
    if index >= leaves.len() as u64 {
        return None;
    }
    let mut path = Vec::new();
    let (mut rest, mut index) = (leaves, index);
    while rest.len() > 1 {
        let (left, right) = halves(rest);
        if index < left.len() as u64 {
            path.push(subtree(right));
            rest = left;
        } else {
            path.push(subtree(left));
            index -= left.len() as u64;
            rest = right;
        }
    }
    path.reverse();
    Some(path)
}

/// The root that `leaf` at `index` and its audit path lead to in a tree of `size` leaves; `None`
/// if the path has not the length that this position needs.
#[must_use]
pub fn root_from_inclusion(index: u64, size: u64, leaf: Hash, path: &[Hash]) -> Option<Hash> {
    if index >= size {
        return None;
    }
    let (mut node, mut index, mut last) = (leaf, index, size - 1);
    for sibling in path {
        if last == 0 {
            return None;
        }
        if index & 1 == 1 || index == last {
            node = node_hash(sibling, &node);
            while index & 1 == 0 && index != 0 {
                index >>= 1;
                last >>= 1;
            }
        } else {
            node = node_hash(&node, sibling);
        }
        index >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(node)
}

/// The proof that the tree of the first `old` leaves is a prefix of all of them (RFC 6962
/// §2.1.2); `None` unless 0 < `old` ≤ the number of leaves.
#[must_use]
pub fn consistency_proof(leaves: &[Hash], old: u64) -> Option<Vec<Hash>> {
    if old == 0 || old > leaves.len() as u64 {
        return None;
    }
    let mut path = Vec::new();
    // Whether the old root is a node of the way so far, which then need not be told.
    let (mut rest, mut old, mut known) = (leaves, old, true);
    while old < rest.len() as u64 {
        let (left, right) = halves(rest);
        if old <= left.len() as u64 {
            path.push(subtree(right));
            rest = left;
        } else {
            path.push(subtree(left));
            old -= left.len() as u64;
            rest = right;
            known = false;
        }
    }
    if !known {
        path.push(subtree(rest));
    }
    path.reverse();
    Some(path)
}

/// Whether the tree of size `old` with root `old_root` is a prefix of the one of size `new` with
/// `new_root` (RFC 9162 §2.1.4.2).
#[must_use]
pub fn verify_consistency(
    old: u64,
    new: u64,
    old_root: &Hash,
    new_root: &Hash,
    path: &[Hash],
) -> bool {
    if old == new {
        return path.is_empty() && old_root == new_root;
    }
    if old == 0 || old > new {
        return false;
    }
    let mut path = path.iter();
    let first = if old.is_power_of_two() {
        Some(old_root)
    } else {
        path.next()
    };
    let Some(first) = first else { return false };
    let (mut index, mut last) = (old - 1, new - 1);
    while index & 1 == 1 {
        index >>= 1;
        last >>= 1;
    }
    let (mut old_node, mut new_node) = (*first, *first);
    for sibling in path {
        if last == 0 {
            return false;
        }
        if index & 1 == 1 || index == last {
            old_node = node_hash(sibling, &old_node);
            new_node = node_hash(sibling, &new_node);
            while index & 1 == 0 && index != 0 {
                index >>= 1;
                last >>= 1;
            }
        } else {
            new_node = node_hash(&new_node, sibling);
        }
        index >>= 1;
        last >>= 1;
    }
    last == 0 && old_node == *old_root && new_node == *new_root
}

#[cfg(test)]
mod tests;
