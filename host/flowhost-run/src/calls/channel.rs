//! Where the two sides of a run speak to each other: the subjects of what they say, and the ids of it.
//!
//! The attack is a carrier that outlives the host. It may still hold an order, an answer or a word to stop of a process
//! that is gone, and hand it to the process that took the run up: a call would be made beside the one that is made
//! again, or stopped though nobody wants it stopped; and an order that is sent again with less time left would be
//! refused as a forgery of the first. So each process that drives a run speaks on subjects of its own and under ids of
//! its own, and what was said to another reaches nobody. What a run has to know of the time before it stands in its
//! ledger, and nowhere else.

use std::sync::Arc;

use flowhost_bus::{
    Bus, BusError, Pattern, Subject, SubjectError, SubscribeOptions, Subscription, Ulid,
};
use flowhost_engine::RunScope;
use sha2::{Digest as _, Sha256};

/// Orders, answers and cancellations that may wait or be at work at once; more wait in the driver. Above
/// the most that a plan can have at work ([`flowhost_flow::plan::limits::PARALLEL_MAX`]).
const ORDERS_MAX: usize = 2_048;

/// Deliveries of an order before it is set aside: one that takes its worker down with it must not take
/// all of them.
const DELIVERIES_MAX: u32 = 3;

/// What one driver and its workers speak on.
#[derive(Debug, Clone)]
pub(crate) struct Channel {
    tenant: Arc<str>,
    run: Arc<str>,
    started_ms: u64,
    /// How many processes had driven the run before.
    before: u64,
    /// The token of the channel in its subjects.
    name: String,
}

impl Channel {
    /// The channel of the process that drives `run` after `before` others.
    pub(crate) fn of(run: &RunScope, before: u64) -> Self {
        Self::named((&run.tenant, &run.run), run.started_ms, before)
    }

    /// The same for whoever knows tenant and run by name only.
    pub(crate) fn named((tenant, run): (&str, &str), started_ms: u64, before: u64) -> Self {
        Self {
            tenant: tenant.into(),
            run: run.into(),
            started_ms,
            before,
            name: format!("by-{before}"),
        }
    }

    /// Whether no other process drove the run before.
    pub(crate) fn is_first(&self) -> bool {
        self.before == 0
    }

    /// The subject of `names` in this channel.
    pub(crate) fn subject(&self, names: &[&str]) -> Result<Subject, SubjectError> {
        let names: Vec<&str> = std::iter::once(&*self.name)
            .chain(names.iter().copied())
            .collect();
        Subject::of(&self.tenant, &self.run, &names)
    }

    /// What the subjects of all topics of the run lie below, whichever process sends to them.
    pub(crate) fn topics(&self) -> Result<Subject, SubjectError> {
        Subject::of(&self.tenant, &self.run, &["topic"])
    }

    /// Listens to what is said in this channel, as one of those who share it.
    pub(crate) async fn listen(
        &self,
        bus: &dyn Bus,
        subjects: &str,
    ) -> Result<Box<dyn Subscription>, BusError> {
        let subjects = format!("{}.{subjects}", self.name);
        listen(bus, &self.tenant, &self.run, &subjects).await
    }

    /// The id of what is said of a call in one direction: the same thing said twice has the same.
    pub(crate) fn id(&self, call: u64, direction: &str) -> Ulid {
        let said = format!("{}/{direction}", self.name);
        id_of(&self.run, self.started_ms, &call.to_be_bytes(), &said)
    }

    /// The id under which this process sends what has an id of its own already
    /// ([`afresh`](mod@crate::calls::afresh)).
    pub(crate) fn afresh(&self, id: Ulid) -> Ulid {
        let said = format!("{}/afresh", self.name);
        id_of(&self.run, self.started_ms, &id.to_bytes(), &said)
    }
}

/// Listens to `subjects` of a run, as one of those who share them.
pub(crate) async fn listen(
    bus: &dyn Bus,
    tenant: &str,
    run: &str,
    subjects: &str,
) -> Result<Box<dyn Subscription>, BusError> {
    let pattern =
        Pattern::of(tenant, run, subjects).map_err(|error| BusError::Carrier(error.to_string()))?;
    let options = SubscribeOptions {
        group: "host".to_owned(),
        messages_max: ORDERS_MAX,
        deliveries_max: DELIVERIES_MAX,
    };
    bus.subscribe(pattern, options).await
}

/// The id of a message that an agent hands back, by the number of its record: whoever sends it again, in whichever
/// process, sends the same.
pub(crate) fn message_id(run: &RunScope, record: u64) -> Ulid {
    id_of(&run.run, run.started_ms, &record.to_be_bytes(), "message")
}

/// The run's start and 80 bits of run, of what it is said, and what is said of it.
fn id_of(run: &str, started_ms: u64, of: &[u8], said: &str) -> Ulid {
    let mut hash = Sha256::new();
    for part in [run.as_bytes(), b"/", of, b"/", said.as_bytes()] {
        hash.update(part);
    }
    // Ten bytes are the 80 bits of a ULID beside its time; in a run nobody finds two of the same.
    let bits = hash
        .finalize()
        .iter()
        .take(10)
        .fold(0_u128, |sum, byte| (sum << 8) | u128::from(*byte));
    Ulid::from_parts(started_ms, bits)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use flowhost_bus::{Head, LocalBus, LocalConfig};
    use flowhost_ledger::MemoryRecorder;
    use serde_json::json;
    use tokio::time::timeout;

    use super::*;
    use crate::standin::testing::{head, scope};

    fn channel(before: u64) -> Channel {
        Channel::of(&scope(Arc::new(MemoryRecorder::default())), before)
    }

    /// Orders call 7 on a channel; gives how many listen there.
    async fn ordered(bus: &LocalBus, channel: &Channel) -> usize {
        let head = Head {
            id: channel.id(7, "start"),
            ..head("host", "step.start")
        };
        let subject = channel.subject(&["step", "greet", "start"]).unwrap();
        let sent = bus.publish(&subject, Arc::new(head.seal(json!({})).unwrap()));
        sent.await.unwrap().queues
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_said_to_another_process_of_the_run_reaches_nobody() {
        let bus = LocalBus::new(LocalConfig::default());
        let (gone, next) = (channel(0), channel(1));
        let mut heard = next.listen(&bus, "step.*.start").await.unwrap();
        assert_eq!(ordered(&bus, &gone).await, 0);
        let soon = Duration::from_secs(1);
        assert!(timeout(soon, heard.next()).await.is_err());
        assert_eq!(ordered(&bus, &next).await, 1);
        assert!(timeout(soon, heard.next()).await.is_ok());
    }

    #[test]
    fn the_same_word_has_the_same_id_in_one_channel_and_another_in_the_next() {
        let (gone, next) = (channel(0), channel(1));
        assert_eq!(gone.id(7, "start"), channel(0).id(7, "start"));
        assert_ne!(gone.id(7, "start"), next.id(7, "start"));
        assert_ne!(gone.id(7, "start"), gone.id(7, "cancel"));
        assert_ne!(gone.id(7, "start"), gone.id(8, "start"));
    }
}
