//! Many words in one pass (Aho and Corasick, 1975).
//!
//! Written here and not taken from a crate because what it holds are secrets: all of its memory is plain
//! vectors that are overwritten when it is dropped.

use std::collections::VecDeque;
use std::ops::Range;

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// The root, and what no state follows: nothing leads to the root but a failure.
const ROOT: u32 = 0;

/// A trie with failure links; the children of a state are a list, because there is seldom more than one.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct Automaton {
    byte: Vec<u8>,
    child: Vec<u32>,
    sibling: Vec<u32>,
    failure: Vec<u32>,
    /// Bytes of the longest word that ends in the state; 0 where none does.
    word: Vec<u32>,
    /// From the root by each byte: most of a text is read there.
    start: Vec<u32>,
}

impl Automaton {
    pub(super) fn new(words: &[Zeroizing<Vec<u8>>]) -> Self {
        let mut automaton = Self {
            byte: vec![0],
            child: vec![ROOT],
            sibling: vec![ROOT],
            failure: vec![ROOT],
            word: vec![0],
            start: vec![ROOT; 256],
        };
        for word in words.iter().filter(|word| !word.is_empty()) {
            automaton.insert(word);
        }
        automaton.link();
        automaton
    }

    pub(super) fn is_empty(&self) -> bool {
        self.byte.len() == 1
    }

    /// For each place where a word ends, the longest that does.
    pub(super) fn find(&self, text: &[u8]) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        if self.is_empty() {
            return found;
        }
        let mut state = ROOT;
        for (at, byte) in text.iter().enumerate() {
            state = self.next(state, *byte);
            let length = get(&self.word, state) as usize;
            if length > 0 {
                found.push(at + 1 - length..at + 1);
            }
        }
        found
    }

    fn insert(&mut self, word: &[u8]) {
        let mut state = ROOT;
        for byte in word {
            state = match self.follow(state, *byte) {
                ROOT => self.grow(state, *byte),
                next => next,
            };
        }
        set(
            &mut self.word,
            state,
            u32::try_from(word.len()).unwrap_or(u32::MAX),
        );
    }

    fn grow(&mut self, state: u32, byte: u8) -> u32 {
        let new = u32::try_from(self.byte.len()).unwrap_or(u32::MAX);
        self.byte.push(byte);
        self.child.push(ROOT);
        self.sibling.push(get(&self.child, state));
        self.failure.push(ROOT);
        self.word.push(0);
        set(&mut self.child, state, new);
        if state == ROOT {
            set(&mut self.start, u32::from(byte), new);
        }
        new
    }

    /// The child by a byte; the root where there is none.
    fn follow(&self, state: u32, byte: u8) -> u32 {
        if state == ROOT {
            return get(&self.start, u32::from(byte));
        }
        let mut child = get(&self.child, state);
        while child != ROOT && self.byte.get(child as usize) != Some(&byte) {
            child = get(&self.sibling, child);
        }
        child
    }

    /// A failure leads to a shorter beginning, so over a whole text there are fewer than bytes.
    fn next(&self, mut state: u32, byte: u8) -> u32 {
        loop {
            let next = self.follow(state, byte);
            if next != ROOT || state == ROOT {
                return next;
            }
            state = get(&self.failure, state);
        }
    }

    fn link(&mut self) {
        let mut queue = VecDeque::from([ROOT]);
        while let Some(state) = queue.pop_front() {
            let mut child = get(&self.child, state);
            while child != ROOT {
                if state != ROOT {
                    let byte = self.byte.get(child as usize).copied().unwrap_or_default();
                    let failure = self.next(get(&self.failure, state), byte);
                    set(&mut self.failure, child, failure);
                    // A word of its own is longer than any that ends where it fails to.
                    if get(&self.word, child) == 0 {
                        let inherited = get(&self.word, failure);
                        set(&mut self.word, child, inherited);
                    }
                }
                queue.push_back(child);
                child = get(&self.sibling, child);
            }
        }
    }
}

/// States are numbers of rows that exist.
fn get(rows: &[u32], state: u32) -> u32 {
    debug_assert!((state as usize) < rows.len());
    rows.get(state as usize).copied().unwrap_or(ROOT)
}

fn set(rows: &mut [u32], state: u32, value: u32) {
    debug_assert!((state as usize) < rows.len());
    if let Some(row) = rows.get_mut(state as usize) {
        *row = value;
    }
}
