//! The sessions that one server gave in one run: the one that requests carry, and those before it.
//!
//! A session is over when another has taken its place and nothing goes on in it. An adapter never sees one.

use std::sync::Arc;

use flowhost_engine::bindings::types;

use super::answer::SESSION;
use crate::shared::outward::Answer;
use crate::shared::support::Refusal;

/// Sessions that one server begins in one run: one that keeps none is not a server. Each build of its adapter that takes
/// the place of another begins one, too.
const SESSIONS_MAX: usize = 16;
/// Bytes of a session's id: servers make up texts of some forty.
const SESSION_BYTES_MAX: usize = 512;

/// A session's id. Who asks in a session, or reads what comes of it, holds it for as long.
pub(super) type Session = Arc<str>;

/// Sessions that a server gave.
#[derive(Default)]
pub(super) struct Sessions {
    /// Which requests carry.
    current: Option<Session>,
    /// All that may still stand, each once.
    begun: Vec<Session>,
    /// How many there were.
    count: usize,
}

impl Sessions {
    /// Which requests carry from now on.
    pub(super) fn current(&self) -> Option<Session> {
        self.current.clone()
    }

    /// The server does not find this one.
    pub(super) fn gone(&mut self, session: &str) {
        // Only if it is still the current one: calls in an older session hear of its end later.
        if self.current.as_deref() == Some(session) {
            self.begun.retain(|it| **it != *session);
            self.current = None;
        }
    }

    /// Takes the session that a server gave.
    pub(super) fn begin(&mut self, answer: &Answer) -> Result<(), Refusal> {
        let given: Vec<&String> = answer
            .headers
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case(SESSION))
            .map(|(_, value)| value)
            .collect();
        let refuse = |why: String| Err(types::Error::Failed(why).into());
        // It goes back in a header, so it holds nothing that could end one.
        let fits = |id: &str| {
            !id.is_empty()
                && id.len() <= SESSION_BYTES_MAX
                && id.bytes().all(|byte| byte.is_ascii_graphic())
        };
        let id = match given.as_slice() {
            [] => {
                self.current = None;
                return Ok(());
            }
            [id] if fits(id) => id.as_str(),
            _ => {
                let most = SESSION_BYTES_MAX;
                return refuse(format!(
                    "the server's session id is not one visible text of at most {most} bytes"
                ));
            }
        };
        if self.count == SESSIONS_MAX {
            return refuse(format!(
                "the server began {SESSIONS_MAX} sessions in this run, and more are not taken: it begins one whenever it \
                 does not find the one before, and for each build of its adapter that takes the place of another"
            ));
        }
        self.count += 1;
        // A server may give the one that it gave before: as two, the first would be ended under the second.
        let known = self.begun.iter().find(|it| ***it == *id).cloned();
        let session = known.unwrap_or_else(|| {
            let session = Session::from(id);
            self.begun.push(session.clone());
            session
        });
        self.current = Some(session);
        Ok(())
    }

    /// Those that are over, each once.
    pub(super) fn over(&mut self) -> Vec<Session> {
        let begun = std::mem::take(&mut self.begun);
        // The current one is held here twice, and whoever is at work in another holds that.
        let (over, kept) = begun.into_iter().partition(|it| Arc::strong_count(it) == 1);
        self.begun = kept;
        over
    }

    /// All that may still stand, when nobody asks any more.
    pub(super) fn all(&mut self) -> Vec<Session> {
        std::mem::take(self).begun
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(id: &str) -> Answer {
        Answer {
            status: 200,
            headers: vec![(SESSION.to_owned(), id.to_owned())],
            body: Box::pin(futures::stream::empty()),
            echoes: None,
        }
    }

    #[test]
    fn a_session_is_not_over_while_it_is_the_current_one_or_something_goes_on_in_it() {
        let mut sessions = Sessions::default();
        assert!(sessions.begin(&given("s-1")).is_ok());
        assert!(sessions.over().is_empty());
        let at_work = sessions.current();
        assert_eq!(at_work.as_deref(), Some("s-1"));
        assert!(sessions.begin(&given("s-2")).is_ok());
        assert!(sessions.over().is_empty());
        drop(at_work);
        assert_eq!(sessions.over(), [Session::from("s-1")]);
        assert!(sessions.over().is_empty(), "it is told once");
        // Given again, it is one session, and the current one.
        assert!(sessions.begin(&given("s-2")).is_ok());
        assert!(sessions.over().is_empty());
        assert_eq!(sessions.all(), [Session::from("s-2")]);
    }

    #[test]
    fn one_session_too_many_is_refused_in_words_that_hold_for_a_server_that_keeps_them_all() {
        let mut sessions = Sessions::default();
        for number in 0..SESSIONS_MAX {
            assert!(sessions.begin(&given(&format!("s-{number}"))).is_ok());
        }
        let Err(Refusal::Guest(types::Error::Failed(why))) = sessions.begin(&given("more")) else {
            panic!("it was taken, or refused as something else");
        };
        assert!(why.contains("began 16 sessions in this run"), "{why}");
        assert!(why.contains("each build of its adapter"), "{why}");
        assert!(!why.contains("keeps none"), "{why}");
    }
}
