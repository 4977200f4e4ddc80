//! What agents say to each other, said afresh by a process that takes a run up.
//!
//! The attack is the memory of a carrier that outlives the processes of a run. A message keeps its id and its topic,
//! whichever process sends it: by the id an agent knows what it has read, and what it does for it has one key. To a
//! carrier that remembers what a process that is gone had sent, the same message is a repetition, which it drops, or a
//! forgery, which it refuses; and a worker that outlived its driver still reads the topics of the run, so that it would
//! take what is sent to the next process, and could record nothing of it. Either way a message that was recorded would
//! be read by nobody.
//!
//! So a process that takes a run up sends each message within an envelope of its own, under an id of its own, below the
//! subjects of its channel, and takes it out where it arrives. Above this bus a message is what it always was, to the
//! bit of its hash; below it nothing of one process is anything of another's. The process that begins a run has nothing
//! before it, and uses the carrier as it is.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flowhost_bus::{
    Bus, BusError, Delivery, Envelope, EnvelopeError, Head, Pattern, Receipt, Settle, Subject,
    SubscribeOptions, Subscription,
};

use crate::calls::channel::Channel;

/// The `type` of the envelopes that hold a message.
const AFRESH: &str = "message.afresh";

/// The carrier as the process of `channel` uses it.
///
/// # Errors
/// When the run has a name that no subject can hold.
pub(crate) fn afresh(bus: Arc<dyn Bus>, channel: &Channel) -> Result<Arc<dyn Bus>, BusError> {
    if channel.is_first() {
        return Ok(bus);
    }
    let below = |subject: &Subject| format!("{subject}.");
    let way = Way {
        topics: below(&channel.topics().map_err(carrier)?),
        own: below(&channel.subject(&["topic"]).map_err(carrier)?),
        channel: channel.clone(),
    };
    Ok(Arc::new(Afresh {
        carrier: bus,
        way: Arc::new(way),
    }))
}

/// See the module.
struct Afresh {
    carrier: Arc<dyn Bus>,
    way: Arc<Way>,
}

/// From what is sent to what the carrier carries, and back.
struct Way {
    channel: Channel,
    /// What the subjects of topics begin with, dot included.
    topics: String,
    /// What they begin with below the channel.
    own: String,
}

impl Way {
    /// What a subject or a pattern is below the channel; none where it is not that of a topic.
    fn below(&self, text: &str) -> Option<String> {
        let rest = text.strip_prefix(&self.topics)?;
        Some(format!("{}{rest}", self.own))
    }

    /// The topic's own subject.
    fn above(&self, subject: &Subject) -> Result<Subject, BusError> {
        match subject.as_str().strip_prefix(&self.own) {
            Some(rest) => Subject::parse(&format!("{}{rest}", self.topics)).map_err(carrier),
            None => Ok(subject.clone()),
        }
    }

    /// The envelope that holds this one; an answer names what the carrier knows for its cause.
    fn put_in(&self, said: &Envelope, causation: String) -> Result<Arc<Envelope>, BusError> {
        let whole = said.to_json().map_err(carrier)?;
        let holds = Head {
            id: self.channel.afresh(said.id),
            causation,
            kind: AFRESH.to_owned(),
            ..Head::clone(said)
        };
        holds.seal(whole).map(Arc::new).map_err(carrier)
    }

    /// The envelope that this one holds, which has the content and so the hash that it was sent with.
    fn taken_out(&self, holds: &Envelope) -> Result<Arc<Envelope>, EnvelopeError> {
        let wrong = |what: &str| EnvelopeError::Payload(what.to_owned());
        if holds.kind != AFRESH {
            return Err(wrong("it holds no message"));
        }
        let said = Envelope::from_json(holds.payload()?)?;
        // The carrier has compared the outer names with the subject, and whoever reads relies on that.
        if (&said.tenant, &said.run) != (&holds.tenant, &holds.run) {
            return Err(wrong("it holds the message of another run"));
        }
        if self.channel.afresh(said.id) != holds.id {
            return Err(wrong("its id is not that of what it holds"));
        }
        Ok(Arc::new(said))
    }

    /// What went wrong, in the words of whoever sent `envelope` to `subject`.
    fn told(&self, error: BusError, subject: &Subject, envelope: &Envelope) -> BusError {
        let (id, subject) = (envelope.id, subject.to_string());
        match error {
            BusError::NoListener { .. } => BusError::NoListener { subject },
            BusError::Unanswered { .. } => BusError::Unanswered { subject },
            BusError::Timeout { waited_ms, .. } => BusError::Timeout { subject, waited_ms },
            BusError::Misplaced { .. } => BusError::Misplaced { id, subject },
            BusError::Conflict { .. } => BusError::Conflict { id },
            BusError::Repeated { .. } => BusError::Repeated { id },
            other => other,
        }
    }
}

fn carrier(error: impl std::fmt::Display) -> BusError {
    BusError::Carrier(error.to_string())
}

#[async_trait]
impl Bus for Afresh {
    async fn publish(
        &self,
        subject: &Subject,
        envelope: Arc<Envelope>,
    ) -> Result<Receipt, BusError> {
        let Some(below) = self.way.below(subject.as_str()) else {
            return self.carrier.publish(subject, envelope).await;
        };
        let below = Subject::parse(&below).map_err(carrier)?;
        let holds = self.way.put_in(&envelope, String::new())?;
        let sent = self.carrier.publish(&below, holds).await;
        sent.map_err(|error| self.way.told(error, subject, &envelope))
    }

    async fn try_publish(
        &self,
        subject: &Subject,
        envelope: Arc<Envelope>,
    ) -> Result<Receipt, BusError> {
        let Some(below) = self.way.below(subject.as_str()) else {
            return self.carrier.try_publish(subject, envelope).await;
        };
        let below = Subject::parse(&below).map_err(carrier)?;
        let holds = self.way.put_in(&envelope, String::new())?;
        let sent = self.carrier.try_publish(&below, holds).await;
        sent.map_err(|error| self.way.told(error, subject, &envelope))
    }

    async fn request(
        &self,
        subject: &Subject,
        envelope: Arc<Envelope>,
        timeout: Duration,
    ) -> Result<Arc<Envelope>, BusError> {
        let Some(below) = self.way.below(subject.as_str()) else {
            return self.carrier.request(subject, envelope, timeout).await;
        };
        let below = Subject::parse(&below).map_err(carrier)?;
        let holds = self.way.put_in(&envelope, String::new())?;
        let answer = self.carrier.request(&below, holds, timeout).await;
        let answer = answer.map_err(|error| self.way.told(error, subject, &envelope))?;
        self.way.taken_out(&answer).map_err(carrier)
    }

    async fn subscribe(
        &self,
        pattern: Pattern,
        options: SubscribeOptions,
    ) -> Result<Box<dyn Subscription>, BusError> {
        let Some(below) = self.way.below(pattern.as_str()) else {
            return self.carrier.subscribe(pattern, options).await;
        };
        let below = Pattern::parse(&below).map_err(carrier)?;
        Ok(Box::new(Reader {
            carried: self.carrier.subscribe(below, options).await?,
            way: self.way.clone(),
        }))
    }
}

struct Reader {
    carried: Box<dyn Subscription>,
    way: Arc<Way>,
}

#[async_trait]
impl Subscription for Reader {
    async fn next(&mut self) -> Result<Delivery, BusError> {
        loop {
            let carried = self.carried.next().await?;
            let (subject, attempt) = (self.way.above(&carried.subject)?, carried.attempt);
            match self.way.taken_out(&carried.envelope) {
                Ok(envelope) => {
                    let way = self.way.clone();
                    let settle = Box::new(Held { carried, way });
                    return Ok(Delivery::new(subject, envelope, attempt, settle));
                }
                Err(error) => {
                    let subject = subject.as_str();
                    tracing::error!(subject, %error, "a message cannot be read");
                    // Nobody could read it the next time either.
                    carried.ack().await?;
                }
            }
        }
    }
}

/// A message in a reader's hands, and the delivery that held it.
struct Held {
    carried: Delivery,
    way: Arc<Way>,
}

#[async_trait]
impl Settle for Held {
    fn wants_answer(&self) -> bool {
        self.carried.wants_answer()
    }

    async fn ack(self: Box<Self>) -> Result<(), BusError> {
        self.carried.ack().await
    }

    async fn progress(&self) -> Result<(), BusError> {
        self.carried.progress().await
    }

    async fn answer(self: Box<Self>, answer: Arc<Envelope>) -> Result<(), BusError> {
        let cause = self.carried.envelope.id.to_string();
        let holds = self.way.put_in(&answer, cause)?;
        self.carried.answer(holds).await
    }
}

#[cfg(test)]
mod tests {
    use flowhost_bus::{LocalBus, LocalConfig};
    use flowhost_caps::messaging::{MESSAGE, REPLY};
    use flowhost_ledger::MemoryRecorder;
    use serde_json::json;
    use tokio::time::timeout;

    use super::*;
    use crate::standin::testing::{RUN, envelope, scope};

    const SOON: Duration = Duration::from_secs(1);

    /// The carrier as the process has it that comes after so many others.
    fn process(carrier: &Arc<LocalBus>, before: u64) -> Arc<dyn Bus> {
        let channel = Channel::of(&scope(Arc::new(MemoryRecorder::default())), before);
        afresh(carrier.clone(), &channel).unwrap()
    }

    fn carrier() -> Arc<LocalBus> {
        Arc::new(LocalBus::new(LocalConfig::default()))
    }

    fn subject() -> Subject {
        Subject::topic("default", RUN, "news.today").unwrap()
    }

    fn message(text: &str) -> Arc<Envelope> {
        Arc::new(envelope("bob", MESSAGE, json!({ "text": text })))
    }

    /// The mailbox of an agent, which all processes of the run have by the same name.
    async fn mailbox(bus: &Arc<dyn Bus>) -> Box<dyn Subscription> {
        let pattern = Pattern::topics("default", RUN, "news.>").unwrap();
        let options = SubscribeOptions {
            group: "ann news.>".to_owned(),
            ..SubscribeOptions::default()
        };
        bus.subscribe(pattern, options).await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_sent_to_the_agents_of_another_process_reaches_nobody() {
        let carrier = carrier();
        let (gone, next) = (process(&carrier, 0), process(&carrier, 1));
        let mut heard = mailbox(&next).await;
        gone.publish(&subject(), message("old")).await.unwrap();
        assert!(timeout(SOON, heard.next()).await.is_err());
        // A worker that outlived its driver still reads, and takes nothing of the next process.
        let mut outlived = mailbox(&gone).await;
        next.publish(&subject(), message("new")).await.unwrap();
        assert!(timeout(SOON, outlived.next()).await.is_err());
        let taken = heard.next().await.unwrap();
        assert_eq!(taken.envelope.payload().unwrap(), &json!({ "text": "new" }));
    }

    #[tokio::test]
    async fn what_the_carrier_remembers_of_another_process_is_no_repetition_and_no_forgery() {
        let carrier = carrier();
        let gone = process(&carrier, 0);
        let sent = gone.publish(&subject(), message("said")).await;
        assert!(!sent.unwrap().duplicate);
        for (before, text) in [(1, "said"), (2, "said otherwise")] {
            let process = process(&carrier, before);
            let mut heard = mailbox(&process).await;
            let sent = process.publish(&subject(), message(text)).await;
            assert!(!sent.unwrap().duplicate, "{text}");
            let taken = heard.next().await.unwrap();
            assert_eq!(taken.envelope.hash(), message(text).hash());
            assert_eq!(taken.subject, subject());
            // Within one process it is what it was.
            let again = process.publish(&subject(), message(text)).await;
            assert!(again.unwrap().duplicate, "{text}");
            let id = message(text).id;
            let forged = process.publish(&subject(), message("forged")).await;
            assert_eq!(forged, Err(BusError::Conflict { id }));
        }
    }

    #[tokio::test]
    async fn an_answer_comes_back_as_it_was_given() {
        let carrier = carrier();
        let process = process(&carrier, 1);
        let mut heard = mailbox(&process).await;
        let question = message("how are you");
        let answers = async {
            let taken = heard.next().await.unwrap();
            assert!(taken.wants_answer());
            let id = flowhost_bus::Ulid::from_parts(1, 2);
            let (by, payload) = ("default/ann", json!({ "text": "well" }));
            let answer = Head::answer(&taken.envelope, id, by, REPLY);
            let answer = Arc::new(answer.seal(payload).unwrap());
            taken.answer(answer.clone()).await.unwrap();
            answer
        };
        let asks = subject();
        let asked = process.request(&asks, question.clone(), SOON);
        let (asked, answer) = tokio::join!(asked, answers);
        assert_eq!(asked.unwrap().hash(), answer.hash());
        assert_eq!(answer.causation, question.id.to_string());
    }

    #[tokio::test]
    async fn what_goes_wrong_is_told_of_the_topic_that_was_asked() {
        let process = process(&carrier(), 1);
        let asked = process.request(&subject(), message("anybody?"), SOON).await;
        let subject = subject().to_string();
        assert_eq!(asked, Err(BusError::NoListener { subject }));
    }

    #[tokio::test(start_paused = true)]
    async fn what_holds_no_message_of_this_process_is_taken_out_of_the_way() {
        let carrier = carrier();
        let process = process(&carrier, 1);
        let mut heard = mailbox(&process).await;
        let own = ["by-1", "topic", "news", "today"];
        let own = Subject::of("default", RUN, &own).unwrap();
        carrier.publish(&own, message("bare")).await.unwrap();
        // The envelope of another process, on a subject of this one.
        let others = Channel::of(&scope(Arc::new(MemoryRecorder::default())), 2);
        let others = Way {
            topics: String::new(),
            own: String::new(),
            channel: others,
        };
        let strange = others.put_in(&message("strange"), String::new()).unwrap();
        carrier.publish(&own, strange).await.unwrap();
        assert!(timeout(SOON, heard.next()).await.is_err());
    }
}
