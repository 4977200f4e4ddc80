//! A worker's side of the desk, in another process than the driver: every question is an envelope.
//!
//! Most callers cannot wait in a future: a host function that records a decision needs the record's
//! number before it goes on, because later records name it. So those questions block their thread, on a
//! runtime of several threads, which hands the others' work over meanwhile.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use flowhost_bus::{Bus, Head, Subject, Ulid};
use flowhost_caps::budget::Left;
use flowhost_caps::model::HoldId;
use flowhost_engine::{Amount, Shortfall, Whose};
use flowhost_ledger::{Fact, LedgerError, Recorder};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::time::Instant;

use super::recall::Found;
use super::wire::{self, Question, Reply};
use super::{Funds, Greeting, Payer, Recall};
use crate::calls::channel::Channel;
use crate::given::process::Process;

/// Longest wait for an answer. The driver answers in microseconds and waits for a disk at most; one that
/// is silent for so long is gone, and what it does not record must not happen.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// Longest wait for a driver that is not there yet, and how often it is asked: compiling the largest
/// components takes a minute.
const GREET_MAX: Duration = Duration::from_secs(180);
const GREET_AGAIN: Duration = Duration::from_millis(50);

/// A worker's way to the driver of its run. Clones are the same.
#[derive(Clone)]
pub(crate) struct Remote(Arc<Shared>);

struct Shared {
    bus: Arc<dyn Bus>,
    tenant: String,
    run: String,
    /// Where it asks which run this is.
    greets: Subject,
    /// Where it asks everything else: on the channel of the process that greeted it.
    asks: OnceLock<Subject>,
    /// Names this worker's questions; nobody else's have the same beginning.
    nonce: u64,
    asked: AtomicU64,
    /// The desk refused something that the worker cannot take back: nothing more is recorded.
    broken: AtomicBool,
}

impl Remote {
    pub(crate) fn new(
        host: &Process,
        bus: Arc<dyn Bus>,
        tenant: &str,
        run: &str,
    ) -> Result<Self, String> {
        let nonce = host.entropy().map_err(|failure| failure.message)?;
        let greets = Subject::of(tenant, run, &["desk", "greet"]);
        Ok(Self(Arc::new(Shared {
            bus,
            tenant: tenant.to_owned(),
            run: run.to_owned(),
            greets: greets.map_err(|error| error.to_string())?,
            asks: OnceLock::new(),
            nonce: u64::from_be_bytes(nonce),
            asked: AtomicU64::new(0),
            broken: AtomicBool::new(false),
        })))
    }

    /// What run this is. A worker may be there before its driver, which first compiles and checks: it is
    /// asked until it answers.
    pub(crate) async fn greet(&self) -> Result<Greeting, String> {
        let until = Instant::now() + GREET_MAX;
        loop {
            match self.0.ask(&Question::Greet).await {
                Ok(Reply::Greeting(greeting)) => return Ok(greeting),
                Ok(other) => return Err(unexpected(&other)),
                Err(why) if Instant::now() > until => return Err(why),
                Err(_nobody_listens_yet) => tokio::time::sleep(GREET_AGAIN).await,
            }
        }
    }

    /// From now on it asks the process that drives the run on this channel.
    pub(crate) fn speaks_on(&self, channel: &Channel) -> Result<(), String> {
        let asks = channel.subject(&["desk", "ask"]);
        let asks = asks.map_err(|error| error.to_string())?;
        let first = self.0.asks.set(asks);
        debug_assert!(first.is_ok(), "a worker is greeted once");
        Ok(())
    }

    /// A guest was told a secret: whoever writes the record has to know before the guest can use it.
    pub(crate) fn revealed(&self, name: &str) {
        let answer = self.wait(&Question::Revealed(name.to_owned()));
        if !matches!(answer, Ok(Reply::Done)) {
            tracing::error!(name, "the driver cannot keep a secret out of the record");
            // Before the guest goes on, on whichever thread it records next.
            self.0.broken.store(true, Ordering::Release);
        }
    }

    fn wait(&self, question: &Question) -> Result<Reply, String> {
        let runtime = Handle::try_current().map_err(|error| error.to_string())?;
        if runtime.runtime_flavor() == RuntimeFlavor::CurrentThread {
            return Err("a worker needs a runtime of several threads".to_owned());
        }
        tokio::task::block_in_place(|| runtime.block_on(self.0.ask(question)))
    }
}

impl Shared {
    async fn ask(&self, question: &Question) -> Result<Reply, String> {
        // Only that no two have the same number counts.
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        // 80 bits are a ULID's own: 48 of this worker and 31 of the question; the last is the answer's.
        let own = u128::from(self.nonce >> 16) << 32;
        let id = Ulid::from_parts(0, own | u128::from(number & 0x7fff_ffff) << 1);
        let head = Head {
            id,
            tenant: self.tenant.clone(),
            run: self.run.clone(),
            step: String::new(),
            actor: format!("{}/worker", self.tenant),
            correlation: String::new(),
            causation: String::new(),
            traceparent: String::new(),
            kind: "desk.ask".to_owned(),
        };
        let envelope = head
            .seal(wire::write(question)?)
            .map_err(|error| error.to_string())?;
        let subject = match question {
            Question::Greet => &self.greets,
            _ => self.asks.get().ok_or("the driver has not said who it is")?,
        };
        let answer = self.bus.request(subject, Arc::new(envelope), ANSWER_MAX);
        let answer = answer.await.map_err(|error| error.to_string())?;
        wire::of(&answer)
    }
}

fn unexpected(reply: &Reply) -> String {
    match reply {
        Reply::Refused(why) => why.clone(),
        _ => "the driver answered another question".to_owned(),
    }
}

fn recorded(reply: Result<Reply, String>) -> Result<Option<u64>, LedgerError> {
    match reply {
        Ok(Reply::Seq(seq)) => Ok(Some(seq)),
        Ok(Reply::Done) => Ok(None),
        Ok(Reply::Ledger(refusal)) => Err(refusal.into()),
        Ok(other) => Err(LedgerError::Refused(unexpected(&other))),
        Err(why) => Err(LedgerError::Poisoned(why)),
    }
}

impl Recorder for Remote {
    fn append(&self, fact: Fact) -> Result<u64, LedgerError> {
        if self.0.broken.load(Ordering::Acquire) {
            return Err(LedgerError::Closed);
        }
        let seq = recorded(self.wait(&Question::Append(fact.into())))?;
        seq.ok_or_else(|| LedgerError::Refused("the record has no number".to_owned()))
    }

    fn durable(&self, seq: u64) -> Pin<Box<dyn Future<Output = Result<(), LedgerError>> + Send>> {
        let shared = self.0.clone();
        Box::pin(async move {
            let reply = shared.ask(&Question::Durable(seq)).await;
            recorded(reply).map(drop)
        })
    }
}

impl Funds for Remote {
    fn left(&self, payer: &Payer) -> Left {
        match self.wait(&Question::Left(payer.clone())) {
            Ok(Reply::Left([tokens, micro_usd])) => Left { tokens, micro_usd },
            // Who cannot ask may spend nothing.
            _ => Left::default(),
        }
    }

    fn hold(&self, payer: &Payer, want: Left) -> Result<HoldId, Shortfall> {
        let wanted = [want.tokens, want.micro_usd];
        match self.wait(&Question::Hold(payer.clone(), wanted)) {
            Ok(Reply::Held(number)) => Ok(HoldId(number)),
            Ok(Reply::Short(short)) => Err(short),
            other => {
                let why = other.map_or_else(|why| why, |reply| unexpected(&reply));
                tracing::error!(why, "the budget cannot be asked; nothing is spent");
                Err(Shortfall {
                    amount: Amount::Tokens,
                    whose: Whose::Plan,
                    spent: 0,
                    held: 0,
                    asked: want.tokens,
                    allowed: 0,
                })
            }
        }
    }

    fn settle(&self, hold: HoldId, spent: Left) {
        let spent = [spent.tokens, spent.micro_usd];
        if let Err(why) = self.wait(&Question::Settle(hold.0, spent)) {
            // The driver books the whole hold when it gives the order to somebody else.
            tracing::error!(why, "what was spent could not be told");
        }
    }
}

impl Recall for Remote {
    fn found(&self, call: u64) -> Found {
        match self.wait(&Question::Found(call)) {
            Ok(Reply::Found(found)) => found,
            // The careful answer: what may not be done twice is not done again.
            _ => Found::Begun,
        }
    }

    fn started(&self) -> Vec<(String, u64)> {
        match self.wait(&Question::Started) {
            Ok(Reply::Started(agents)) => agents,
            // Started once more, an agent does what it did; not started, it could do nothing.
            _ => Vec::new(),
        }
    }

    fn had_read(&self, agent: &str, message: &str) -> bool {
        let question = Question::HadRead(agent.to_owned(), message.to_owned());
        // Who cannot ask reads it: at least once is what is promised.
        matches!(self.wait(&question), Ok(Reply::HadRead(true)))
    }

    fn finished(&self) -> Vec<String> {
        match self.wait(&Question::Finished) {
            Ok(Reply::Finished(agents)) => agents,
            // Told twice that the run is over is better than never.
            _ => Vec::new(),
        }
    }
}
