//! Which ids were sent lately, and with what content.
//!
//! The window is a count, not a time: it is bounded in memory by construction, and the bus knows no
//! clock. A sender that comes back after more than the window relies on its reader's own inbox
//! (MSG-004).

use std::collections::{HashMap, VecDeque};

use ulid::Ulid;

use crate::bus::BusError;
use crate::envelope::Envelope;
use crate::subject::Subject;

/// The last ids.
#[derive(Debug)]
pub(super) struct Dedupe {
    window: usize,
    /// Where each went, and what tells its content from another's.
    seen: HashMap<Ulid, (Subject, Option<[u8; 32]>)>,
    order: VecDeque<Ulid>,
}

impl Dedupe {
    pub(super) fn new(window: usize) -> Self {
        Self {
            window,
            seen: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    /// Whether exactly this was sent before.
    pub(super) fn is_duplicate(
        &self,
        subject: &Subject,
        envelope: &Envelope,
    ) -> Result<bool, BusError> {
        match self.seen.get(&envelope.id) {
            None => Ok(false),
            // The subject as well: the same content elsewhere would reach other readers, so it
            // cannot be passed over as sent.
            Some((on, mark)) if on == subject && *mark == envelope.mark() => Ok(true),
            Some(_) => Err(BusError::Conflict { id: envelope.id }),
        }
    }

    /// Remembers an envelope that was sent, and forgets the oldest.
    pub(super) fn remember(&mut self, subject: &Subject, envelope: &Envelope) {
        if self.order.len() >= self.window
            && let Some(oldest) = self.order.pop_front()
        {
            self.seen.remove(&oldest);
        }
        self.seen
            .insert(envelope.id, (subject.clone(), envelope.mark()));
        self.order.push_back(envelope.id);
    }
}
