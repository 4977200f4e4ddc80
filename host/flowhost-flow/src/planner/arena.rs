//! Slots that are added and never taken away, so that a name of one always finds it.
//!
//! A name is made by [`Arena::push`] (or counted over the arena's own length) and never leaves the
//! arena's owner: that is why looking one up cannot fail, and why nothing here returns an `Option`.

use std::marker::PhantomData;
use std::ops::{Index, IndexMut};

/// The name of a slot: a number with a type of its own, so that names of two arenas cannot be mixed.
pub(super) trait Slot: Copy {
    /// The name of the slot at this place.
    fn of(place: usize) -> Self;
    /// The place of the slot.
    fn place(self) -> usize;
}

/// Declares the name of an arena's slots.
macro_rules! slot {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(in crate::planner) struct $name(pub(in crate::planner) usize);

        impl $crate::planner::arena::Slot for $name {
            fn of(place: usize) -> Self {
                Self(place)
            }

            fn place(self) -> usize {
                self.0
            }
        }
    };
}
pub(super) use slot;

/// Slots of one kind.
#[derive(Clone, Debug)]
pub(super) struct Arena<K, T> {
    slots: Vec<T>,
    names: PhantomData<fn(K)>,
}

impl<K: Slot, T> Arena<K, T> {
    pub(super) const fn new() -> Self {
        Self {
            slots: Vec::new(),
            names: PhantomData,
        }
    }

    pub(super) fn push(&mut self, value: T) -> K {
        self.slots.push(value);
        K::of(self.slots.len() - 1)
    }

    pub(super) const fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = K> + use<K, T> {
        (0..self.slots.len()).map(K::of)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (K, &T)> {
        self.slots
            .iter()
            .enumerate()
            .map(|(place, value)| (K::of(place), value))
    }
}

impl<K: Slot, T> FromIterator<T> for Arena<K, T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        Self {
            slots: values.into_iter().collect(),
            names: PhantomData,
        }
    }
}

impl<K: Slot, T> Index<K> for Arena<K, T> {
    type Output = T;

    #[expect(
        clippy::indexing_slicing,
        reason = "a name is only made by its arena, whose slots are never taken away"
    )]
    fn index(&self, name: K) -> &T {
        &self.slots[name.place()]
    }
}

impl<K: Slot, T> IndexMut<K> for Arena<K, T> {
    #[expect(
        clippy::indexing_slicing,
        reason = "a name is only made by its arena, whose slots are never taken away"
    )]
    fn index_mut(&mut self, name: K) -> &mut T {
        &mut self.slots[name.place()]
    }
}
