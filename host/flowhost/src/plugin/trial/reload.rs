//! A reload in the middle of a call: the first revision is held where it has just told the record something,
//! the second is called to its end in the same state, and the first goes on.
//!
//! The record is where it is held, because all that a plugin does to its world passes there.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use flowhost_engine::LoadError;
use flowhost_flow::Exit;
use flowhost_ledger::{Fact, LedgerError, MemoryRecorder, Recorder};
use tokio::sync::oneshot;

use super::{Ask, Ended, Terms, Trial, asked, unable};
use crate::failure::Failure;

/// Longer than any deadline of a trial: a call is held no longer than that whatever happens.
const HELD_MAX: Duration = Duration::from_secs(600);

/// Holds its call at one record.
struct Holding {
    facts: MemoryRecorder,
    /// Which, from 1.
    at: u64,
    reached: Mutex<Option<oneshot::Sender<()>>>,
    go_on: Mutex<mpsc::Receiver<()>>,
}

impl Recorder for Holding {
    fn append(&self, fact: Fact) -> Result<u64, LedgerError> {
        let seq = self.facts.append(fact)?;
        // Records count from 0.
        if seq + 1 == self.at {
            let mut reached = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(reached) = reached.take() {
                let _nobody_waits = reached.send(());
            }
            let go_on = self.go_on.lock().unwrap_or_else(PoisonError::into_inner);
            // The trait is not asynchronous; the runtime of a trial has other threads for the other call.
            let _too_long = tokio::task::block_in_place(|| go_on.recv_timeout(HELD_MAX));
        }
        Ok(seq)
    }

    fn durable(&self, seq: u64) -> Pin<Box<dyn Future<Output = Result<(), LedgerError>> + Send>> {
        self.facts.durable(seq)
    }
}

impl Trial {
    /// Asks, holds the call at its `at`th record, asks the same of a second revision, and lets the first go on.
    /// How both ended; none where the call has fewer records.
    ///
    /// # Errors
    /// As [`Trial::ask`].
    pub(in crate::plugin) fn ask_across_a_reload(
        &self,
        terms: &Terms<'_>,
        ask: &Ask,
        at: u64,
    ) -> Result<Option<(Ended, Ended)>, Failure> {
        let refused = |error: LoadError| {
            Failure::new(Exit::Plugin, "the component cannot be linked").caused_by(&error)
        };
        let old = self.prepared(&terms.rights).map_err(refused)?;
        // The same component under a second revision: what is asked is whether its state survives being used by two
        // at once, and for that they need not differ.
        let new = self.prepared(&terms.rights).map_err(refused)?;
        let (reached, has_reached) = oneshot::channel();
        let (go_on, may_go_on) = mpsc::channel();
        let mut scope = self.scope(terms)?;
        scope.run.recorder = Arc::new(Holding {
            facts: MemoryRecorder::default(),
            at,
            reached: Mutex::new(Some(reached)),
            go_on: Mutex::new(may_go_on),
        });
        let mut next = self.scope(terms)?;
        // Another call as well, as a host numbers them.
        (next.revision, next.call, next.root) = (2, "2".into(), "2".into());
        let held = ask.clone();
        self.runtime.block_on(async move {
            let lost = |error: tokio::task::JoinError| unable("a call was lost", &error);
            let mut old = tokio::spawn(async move { asked(&old, scope, &held).await });
            let new = tokio::select! {
                // Whichever comes first: a call that has fewer records than `at` ends without reaching it. An error
                // of the channel (the sender is gone) disables this branch, and the other one tells.
                Ok(()) = has_reached => asked(&new, next, ask).await,
                ended = &mut old => return ended.map(|_| None).map_err(lost),
            };
            let _it_waits = go_on.send(());
            Ok(Some((old.await.map_err(lost)?, new)))
        })
    }
}
