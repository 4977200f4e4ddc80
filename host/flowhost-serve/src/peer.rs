//! One conversation: what a legacy client agreed on in `initialize`, and which of its requests are at
//! work, so that they can be cancelled by their ids.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flowhost_mcp::{Code, Id, RpcError};
use tokio::sync::watch;

use crate::session::Session;

/// Requests of one peer at work at once: several times what an editor has open, and few enough that
/// one client cannot take every place of the others.
const AT_WORK_MAX: usize = 64;

/// Becomes true when nobody wants the answer any more.
pub(crate) type Stop = watch::Receiver<bool>;

/// A peer.
#[derive(Default)]
pub(crate) struct Peer {
    version: Mutex<Option<&'static str>>,
    at_work: Mutex<HashMap<Id, watch::Sender<bool>>>,
    /// What its calls of tools have in common.
    pub(crate) session: Arc<Session>,
}

impl Peer {
    /// A peer that has agreed on a revision.
    pub(crate) fn agreed(version: &'static str) -> Self {
        let peer = Self::default();
        peer.agree(version);
        peer
    }

    /// Remembers what `initialize` agreed on.
    pub(crate) fn agree(&self, version: &'static str) {
        *lock(&self.version) = Some(version);
    }

    /// What was agreed on.
    pub(crate) fn version(&self) -> Option<&'static str> {
        *lock(&self.version)
    }

    /// Enters a request.
    pub(crate) fn begin(&self, id: &Id) -> Result<Work<'_>, RpcError> {
        let mut at_work = lock(&self.at_work);
        if at_work.contains_key(id) {
            let message = "a request with this id is at work already";
            return Err(RpcError::new(Code::InvalidRequest, message));
        }
        if at_work.len() >= AT_WORK_MAX {
            let message =
                format!("{AT_WORK_MAX} requests are at work; ask again when one has been answered");
            return Err(RpcError::new(Code::Internal, message));
        }
        let (stop, stopped) = watch::channel(false);
        at_work.insert(id.clone(), stop);
        Ok(Work {
            peer: self,
            id: id.clone(),
            stopped,
        })
    }

    /// Stops a request; one that is not at work has been answered already.
    pub(crate) fn cancel(&self, id: &Id) {
        if let Some(stop) = lock(&self.at_work).get(id) {
            stop.send_replace(true);
        }
    }

    /// Stops all of them: the client is gone. Each leaves the list by itself, when it has ended.
    pub(crate) fn cancel_all(&self) {
        for stop in lock(&self.at_work).values() {
            stop.send_replace(true);
        }
    }

    /// Whether nothing is at work.
    pub(crate) fn is_idle(&self) -> bool {
        lock(&self.at_work).is_empty()
    }
}

/// A request at work, until it is dropped.
pub(crate) struct Work<'p> {
    peer: &'p Peer,
    id: Id,
    pub(crate) stopped: Stop,
}

impl Drop for Work<'_> {
    fn drop(&mut self) {
        lock(&self.peer.at_work).remove(&self.id);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_an_id_that_is_at_work_and_takes_it_again_afterwards() {
        // MCP-020
        let peer = Peer::default();
        let work = peer.begin(&Id::Number(1)).map(drop);
        assert!(work.is_ok());
        let held = peer
            .begin(&Id::Number(1))
            .unwrap_or_else(|_| panic!("it was answered"));
        assert!(peer.begin(&Id::Number(1)).is_err());
        assert!(peer.begin(&Id::Text("1".to_owned())).is_ok());
        peer.cancel(&Id::Number(1));
        assert!(*held.stopped.borrow());
        drop(held);
        assert!(peer.is_idle());
    }

    #[test]
    fn refuses_more_than_one_client_may_have_at_work() {
        let peer = Peer::default();
        let held: Vec<_> = (0..64).map(|id| peer.begin(&Id::Number(id)).ok()).collect();
        assert!(held.iter().all(Option::is_some));
        assert!(peer.begin(&Id::Number(64)).is_err());
    }
}
