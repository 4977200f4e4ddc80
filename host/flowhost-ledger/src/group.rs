//! Entries of the index that go in together: whoever gets the turn writes for all that wait.
//!
//! An entry costs an opened ledger, a signature and the wait for the disk, however many records it brings.
//! A thousand runs that begin at once would queue for that a thousand times; so they hand in what they
//! have to say, and the first whose turn it is writes all of it under one signature. Nobody returns before
//! its own entry is durable. Must not know what an entry means.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::fact::Fact;
use crate::index::IndexError;
use crate::writer::Sealed;

type Done = Result<Sealed, Arc<IndexError>>;

/// What waits for its turn.
#[derive(Debug, Default)]
pub(crate) struct Group {
    waiting: Mutex<Vec<Arc<Entry>>>,
    turn: Mutex<()>,
}

#[derive(Debug)]
struct Entry {
    fact: Fact,
    done: OnceLock<Done>,
}

impl Group {
    /// Hands `fact` in and returns when it was written, by this thread or by another. `write` is given
    /// everything that waits, and says for each of them how it went.
    pub(crate) fn enter(
        &self,
        fact: Fact,
        write: impl FnOnce(&[&Fact]) -> Vec<Result<Sealed, Arc<IndexError>>>,
    ) -> Result<Sealed, IndexError> {
        let entry = Arc::new(Entry {
            fact,
            done: OnceLock::new(),
        });
        self.waiting().push(entry.clone());
        {
            let _turn = self.turn();
            // Whoever had the turn before has mostly written it already.
            if entry.done.get().is_none() {
                let together = std::mem::take(&mut *self.waiting());
                let facts: Vec<&Fact> = together.iter().map(|entry| &entry.fact).collect();
                let written = write(&facts);
                debug_assert_eq!(written.len(), together.len(), "each entry has its outcome");
                for (entry, done) in together.iter().zip(written) {
                    let _only_once = entry.done.set(done);
                }
            }
        }
        match entry.done.get() {
            Some(Ok(sealed)) => Ok(sealed.clone()),
            Some(Err(error)) => Err(IndexError::Together(error.clone())),
            None => {
                debug_assert!(
                    false,
                    "an entry is written in this turn, or was in an earlier one"
                );
                Err(IndexError::Lost)
            }
        }
    }

    /// Keeps everybody else from the files.
    pub(crate) fn turn(&self) -> MutexGuard<'_, ()> {
        // It guards files, and those are put in order whenever they are opened.
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Arc<Entry>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(crate) fn waits(&self) -> usize {
        self.waiting().len()
    }
}
