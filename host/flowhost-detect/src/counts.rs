//! How much of each kind was found.

use std::ops::AddAssign;

use crate::{Found, Kind};

/// How many places of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    by_kind: [u64; Kind::ALL.len()],
}

impl Counts {
    /// The places of one kind.
    #[must_use]
    pub fn of(&self, kind: Kind) -> u64 {
        self.iter()
            .find_map(|(it, count)| (it == kind).then_some(count))
            .unwrap_or_default()
    }

    /// The places of all kinds.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.by_kind.iter().sum()
    }

    /// Each kind with its places, in the order of [`Kind::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Kind, u64)> + '_ {
        Kind::ALL.into_iter().zip(self.by_kind)
    }

    pub(crate) fn add(&mut self, found: &Found) {
        let counts = Kind::ALL.into_iter().zip(&mut self.by_kind);
        for (kind, count) in counts {
            *count += u64::from(kind == found.kind);
        }
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        for (count, more) in self.by_kind.iter_mut().zip(other.by_kind) {
            *count += more;
        }
    }
}
