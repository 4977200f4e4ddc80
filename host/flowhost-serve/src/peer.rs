//! One conversation: what a legacy client agreed on in `initialize`, and which of its requests are at
//! work, so that they can be cancelled by their ids.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flowhost_mcp::{Code, Id, Request, RpcError};
use tokio::sync::watch;

use crate::session::Session;

/// Requests of one peer at work at once: several times what an editor has open, and few enough that
/// one client cannot take every place of the others.
const AT_WORK_MAX: usize = 64;
/// The code of a request that is one too many: nothing is wrong with it, nor with this side.
const BUSY: Code = Code::Other(-32_005);

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

    /// Enters a request. Whether anybody is there (`ping`) is answered however much is at work: who hears nothing takes
    /// this server for dead.
    pub(crate) fn begin(&self, request: &Request) -> Result<Work<'_>, RpcError> {
        let (id, peer) = (&request.id, self);
        let (stop, stopped) = watch::channel(false);
        if request.method == "ping" {
            let entered = None;
            return Ok(Work {
                peer,
                entered,
                stopped,
            });
        }
        let mut at_work = lock(&self.at_work);
        if at_work.contains_key(id) {
            let message = "a request with this id is at work already";
            return Err(RpcError::new(Code::InvalidRequest, message));
        }
        if at_work.len() >= AT_WORK_MAX {
            let message = format!(
                "at most {AT_WORK_MAX} requests of one client may be at work, and as many are: ask again when one of \
                 them has been answered"
            );
            return Err(RpcError::new(BUSY, message));
        }
        at_work.insert(id.clone(), stop);
        let entered = Some(id.clone());
        Ok(Work {
            peer,
            entered,
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
    /// None of one that is not on the list.
    entered: Option<Id>,
    pub(crate) stopped: Stop,
}

impl Drop for Work<'_> {
    fn drop(&mut self) {
        if let Some(id) = &self.entered {
            lock(&self.peer.at_work).remove(id);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(id: Id, method: &str) -> Request {
        Request {
            id,
            method: method.to_owned(),
            params: serde_json::Map::new(),
        }
    }

    #[test]
    fn refuses_an_id_that_is_at_work_and_takes_it_again_afterwards() {
        // MCP-020
        let peer = Peer::default();
        let one = asks(Id::Number(1), "tools/call");
        let work = peer.begin(&one).map(drop);
        assert!(work.is_ok());
        let held = peer
            .begin(&one)
            .unwrap_or_else(|_| panic!("it was answered"));
        assert!(peer.begin(&one).is_err());
        let other = asks(Id::Text("1".to_owned()), "tools/call");
        assert!(peer.begin(&other).is_ok());
        peer.cancel(&Id::Number(1));
        assert!(*held.stopped.borrow());
        drop(held);
        assert!(peer.is_idle());
    }

    #[test]
    fn refuses_more_than_one_client_may_have_at_work_and_says_still_that_it_is_there() {
        let peer = Peer::default();
        let begin = |id| peer.begin(&asks(Id::Number(id), "tools/call"));
        let held: Vec<_> = (0..64).map(|id| begin(id).ok()).collect();
        assert!(held.iter().all(Option::is_some));
        let refused = begin(64).map(drop).unwrap_err();
        assert_ne!(refused.code, Code::Internal);
        let message = refused.message;
        assert!(message.contains("at most 64 requests"), "{message}");
        let ping = asks(Id::Number(64), "ping");
        assert!(peer.begin(&ping).map(drop).is_ok());
        // Also under an id that is at work, which it does not take away.
        let ping = asks(Id::Number(0), "ping");
        assert!(peer.begin(&ping).map(drop).is_ok());
        assert!(begin(0).is_err());
    }
}
