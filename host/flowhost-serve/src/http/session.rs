//! Sessions of legacy clients over HTTP: an unguessable id for what `initialize` agreed on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::peer::Peer;

/// Sessions at once. A new client beyond them takes the place of the one that was idle longest, if that
/// one has nothing at work; if all are at work, it is asked to come again.
const SESSIONS_MAX: usize = 256;
/// How long a session lasts without a request.
const IDLE_MAX: Duration = Duration::from_secs(3_600);

#[derive(Default)]
pub(super) struct Sessions(Mutex<HashMap<String, Held>>);

struct Held {
    peer: Arc<Peer>,
    seen: Instant,
}

impl Sessions {
    /// A new session; none when every place is at work, or the system gives no randomness.
    pub(super) fn open(&self, version: &'static str) -> Option<String> {
        // 128 bits: who guesses an id has the session, if they have the token as well.
        let mut random = [0_u8; 16];
        getrandom::fill(&mut random).ok()?;
        let id = hex::encode(random);
        let mut held = self.lock();
        let now = Instant::now();
        held.retain(|_, it| now.duration_since(it.seen) < IDLE_MAX || !it.peer.is_idle());
        if held.len() >= SESSIONS_MAX {
            let idle = held.iter().filter(|(_, it)| it.peer.is_idle());
            let oldest = idle
                .min_by_key(|(_, it)| it.seen)
                .map(|(id, _)| id.clone())?;
            // Without a word to its run: that ends by itself when nobody has called for a while.
            held.remove(&oldest);
        }
        let peer = Arc::new(Peer::agreed(version));
        held.insert(id.clone(), Held { peer, seen: now });
        Some(id)
    }

    /// The session of an id; none when it has ended or never was.
    pub(super) fn find(&self, id: &str) -> Option<Arc<Peer>> {
        let mut held = self.lock();
        let it = held.get_mut(id)?;
        it.seen = Instant::now();
        Some(it.peer.clone())
    }

    /// Ends a session, and what is at work in it.
    pub(super) fn close(&self, id: &str) -> bool {
        let ended = self.lock().remove(id);
        if let Some(it) = &ended {
            it.peer.cancel_all();
            let peer = it.peer.clone();
            // The run is signed beside the answer: its calls have to come to their end first.
            tokio::spawn(async move { peer.session.end().await });
        }
        ended.is_some()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use flowhost_mcp::{Id, Request};

    use super::*;

    #[tokio::test]
    async fn a_flood_of_clients_costs_the_idle_their_place_and_nobody_else() {
        // MCP-018
        let sessions = Sessions::default();
        let busy = sessions.open("2025-11-25").unwrap();
        let peer = sessions.find(&busy).unwrap();
        let request = Request {
            id: Id::Number(1),
            method: "tools/call".to_owned(),
            params: serde_json::Map::new(),
        };
        let _at_work = peer.begin(&request).ok().unwrap();
        for _ in 0..SESSIONS_MAX * 2 {
            assert!(sessions.open("2025-11-25").is_some());
        }
        assert!(sessions.find(&busy).is_some());
        assert_eq!(sessions.lock().len(), SESSIONS_MAX);
    }

    #[tokio::test]
    async fn a_session_that_ended_is_not_found() {
        let sessions = Sessions::default();
        let id = sessions.open("2025-11-25").unwrap();
        assert!(sessions.close(&id));
        assert!(!sessions.close(&id));
        assert!(sessions.find(&id).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_ends_when_nobody_uses_it() {
        let sessions = Sessions::default();
        let id = sessions.open("2025-11-25").unwrap();
        tokio::time::advance(IDLE_MAX).await;
        assert!(sessions.open("2025-11-25").is_some());
        assert!(sessions.find(&id).is_none());
    }
}
