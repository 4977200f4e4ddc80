//! The driver's side of the desk: answers the workers of other processes from the one ledger and the one
//! purse of the run.

use std::sync::Arc;

use flowhost_bus::{Bus, BusError, Delivery, Head, Subscription, Ulid};
use flowhost_caps::budget::Left;
use flowhost_caps::model::HoldId;
use flowhost_caps::secrets::SecretStore;
use flowhost_engine::RunScope;
use flowhost_ledger::{Fact, LedgerError};
use serde::{Deserialize, Serialize};

use super::recall::Recording;
use super::wire::{self, Question, Reply};
use super::{Funds as _, Recall as _};
use crate::base::tasks;
use crate::calls::channel::{self, Channel};
use crate::kept::revealed::Revealed;
use crate::meters::purse::Purse;

/// What a worker is told of the run that it takes orders of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Greeting {
    /// The plan with its components and rights: a worker that has others would do other work.
    pub(crate) plan_hash: String,
    /// The run's seed, hexadecimal.
    pub(crate) seed: String,
    pub(crate) started_ms: u64,
    pub(crate) allow_private_network: bool,
    /// How many processes had driven the run before this one: on its channel it speaks to its workers.
    pub(crate) before: u64,
    /// Calls that the host has made by itself so far.
    pub(crate) own_calls: u64,
    /// Id of the estimate that the run was started with.
    pub(crate) estimate: String,
}

/// Where a worker asks which run this is: before it has heard that, it knows no channel.
const GREETINGS: &str = "desk.greet";

/// What workers ask.
pub(crate) struct Questions {
    greetings: Box<dyn Subscription>,
    asked: Box<dyn Subscription>,
}

impl Questions {
    async fn next(&mut self) -> Result<Delivery, BusError> {
        // A worker greets once, and has nothing else to ask before it is answered: it holds up nobody.
        tokio::select! {
            biased;
            greeting = self.greetings.next() => greeting,
            asked = self.asked.next() => asked,
        }
    }
}

/// Answers from one run.
pub(crate) struct Desk {
    pub(crate) scope: RunScope,
    pub(crate) channel: Channel,
    pub(crate) greeting: Greeting,
    pub(crate) recording: Arc<Recording>,
    pub(crate) purse: Arc<Purse>,
    /// Where this process finds what a worker's guest was told.
    pub(crate) secrets: Arc<dyn SecretStore>,
    pub(crate) revealed: Arc<Revealed>,
}

impl Desk {
    /// Subscribes to the questions of the run's workers. A worker of another process of the run asks on that one's
    /// channel and gets no answer: what it does not have on record it does not do.
    pub(crate) async fn open(&self, bus: &dyn Bus) -> Result<Questions, BusError> {
        let (tenant, run) = (&self.scope.tenant, &self.scope.run);
        Ok(Questions {
            greetings: channel::listen(bus, tenant, run, GREETINGS).await?,
            asked: self.channel.listen(bus, "desk.ask").await?,
        })
    }

    /// Answers until the bus is gone.
    pub(crate) async fn serve(self: Arc<Self>, mut questions: Questions) {
        while let Ok(delivery) = questions.next().await {
            let question = wire::of(&delivery.envelope);
            let desk = self.clone();
            match question {
                // Only this one waits, for the disk; the others are answered in the order in which they
                // come, which is the order of records.
                Ok(Question::Durable(seq)) => drop(tasks::spawn(async move {
                    let durable = desk.scope.recorder.durable(seq).await;
                    let reply = durable.map_or_else(refused, |()| Reply::Done);
                    desk.send(delivery, &reply).await;
                })),
                Ok(question) => {
                    let reply = self.answer(question);
                    self.send(delivery, &reply).await;
                }
                Err(why) => self.send(delivery, &Reply::Refused(why)).await,
            }
        }
    }

    fn answer(&self, question: Question) -> Reply {
        match question {
            Question::Greet => Reply::Greeting(Greeting {
                own_calls: self.recording.own_calls(),
                ..self.greeting.clone()
            }),
            Question::Append(told) => match Fact::try_from(told) {
                Ok(fact) => self
                    .scope
                    .recorder
                    .append(fact)
                    .map_or_else(refused, Reply::Seq),
                Err(why) => Reply::Refused(why),
            },
            Question::Durable(_) => Reply::Refused("this is answered when it is so".to_owned()),
            Question::Left(payer) => {
                let left = self.purse.left(&payer);
                Reply::Left([left.tokens, left.micro_usd])
            }
            Question::Hold(payer, want) => match self.purse.hold(&payer, amount(want)) {
                Ok(HoldId(number)) => Reply::Held(number),
                Err(short) => Reply::Short(short),
            },
            Question::Settle(hold, spent) => {
                self.purse.settle(HoldId(hold), amount(spent));
                Reply::Done
            }
            Question::Found(call) => Reply::Found(self.recording.found(call)),
            Question::Started => Reply::Started(self.recording.started()),
            Question::HadRead(agent, message) => {
                Reply::HadRead(self.recording.had_read(&agent, &message))
            }
            Question::Finished => Reply::Finished(self.recording.finished()),
            Question::Revealed(name) => match self.secrets.get(&name) {
                Some(value) => {
                    self.revealed.add(&name, &value);
                    Reply::Done
                }
                None => Reply::Refused(format!(
                    "the host that drives the run has no secret `{name}`, and could not keep it out \
                     of the record"
                )),
            },
        }
    }

    async fn send(&self, delivery: Delivery, reply: &Reply) {
        let payload = wire::write(reply);
        let asked = u128::from(delivery.envelope.id);
        // One bit beside the question's: an id of its own that repeats when the question does.
        let id = Ulid::from_parts(self.scope.started_ms, asked ^ 1);
        let actor = format!("{}/host", self.scope.tenant);
        let sealed = payload.and_then(|payload| {
            let head = Head::answer(&delivery.envelope, id, &actor, "desk.reply");
            head.seal(payload).map_err(|error| error.to_string())
        });
        match sealed {
            Ok(envelope) => {
                // Whoever asked may be gone; what was recorded stays recorded.
                let _gone = delivery.answer(Arc::new(envelope)).await;
            }
            Err(error) => tracing::error!(%error, "a worker's question cannot be answered"),
        }
    }
}

fn amount([tokens, micro_usd]: [u64; 2]) -> Left {
    Left { tokens, micro_usd }
}

fn refused(error: LedgerError) -> Reply {
    Reply::Ledger(error.into())
}
