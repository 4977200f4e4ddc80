//! The driver's side of the desk: answers the workers of other processes from the one ledger and the one
//! purse of the run.

use std::sync::Arc;

use flowhost_bus::{Bus, BusError, Delivery, Draft, Subscription, Ulid};
use flowhost_caps::budget::Left;
use flowhost_caps::model::HoldId;
use flowhost_caps::secrets::SecretStore;
use flowhost_engine::RunScope;
use flowhost_ledger::{Fact, LedgerError};
use serde::{Deserialize, Serialize};

use super::recall::Recording;
use super::wire::{self, Amount, Question, Reply};
use super::{Funds as _, Recall as _};
use crate::base::tasks;
use crate::calls::worker::listen;
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
    /// Calls that the host has made by itself so far.
    pub(crate) own_calls: u64,
    /// Id of the estimate that the run was started with.
    pub(crate) estimate: String,
}

/// Answers from one run.
pub(crate) struct Desk {
    pub(crate) scope: RunScope,
    pub(crate) greeting: Greeting,
    pub(crate) recording: Arc<Recording>,
    pub(crate) purse: Arc<Purse>,
    /// Where this process finds what a worker's guest was told.
    pub(crate) secrets: Arc<dyn SecretStore>,
    pub(crate) revealed: Arc<Revealed>,
}

impl Desk {
    /// Subscribes to the questions of the run's workers.
    pub(crate) async fn open(
        bus: &dyn Bus,
        run: &RunScope,
    ) -> Result<Box<dyn Subscription>, BusError> {
        listen(bus, run, "desk.*").await
    }

    /// Answers until the bus is gone.
    pub(crate) async fn serve(self: Arc<Self>, mut questions: Box<dyn Subscription>) {
        while let Ok(delivery) = questions.next().await {
            let question = wire::read(&delivery.envelope.payload);
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
                Err(short) => {
                    let which = match short.name {
                        "usd" => Amount::Usd,
                        _ => Amount::Tokens,
                    };
                    Reply::Short(which, short.used, short.allowed)
                }
            },
            Question::Settle(hold, spent) => {
                self.purse.settle(HoldId(hold), amount(spent));
                Reply::Done
            }
            Question::Found(call) => Reply::Found(self.recording.found(call)),
            Question::Started => Reply::Started(self.recording.started()),
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
            let draft = Draft::answer(&delivery.envelope, id, &actor, "desk.reply", payload);
            draft.seal().map_err(|error| error.to_string())
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
