//! What is outside of the host in a simulation: the disk, the wall's clock, chance, and whoever the
//! effects happen to. It remembers what happened, for the invariants.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use flowhost_bus::{Envelope, Pattern, Subject, Ulid};
use flowhost_ledger::{Clock, Durability, Entropy, Fact, Ledger, LedgerError, Recorder};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::disk::{Rng, SimDisk};
use super::random::Mood;

/// When simulated runs begin: 2026-11-26, in milliseconds.
pub(super) const BEGINNING_MS: u64 = 1_795_651_200_000;

/// Something that a stand-in did to the world.
#[derive(Debug, Clone)]
pub(super) struct Effect {
    pub(super) call: u64,
    pub(super) key: String,
}

/// An answer that a client got.
#[derive(Debug)]
pub(super) struct Answered {
    /// Where the work of its request stands.
    pub(super) path: String,
    /// Where the answer says that it stood.
    pub(super) told: String,
    /// The whole content, or the class of the failure.
    pub(super) result: Result<serde_json::Value, &'static str>,
}

/// What happened.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) effects: Vec<Effect>,
    /// Calls that say `effects: once`.
    pub(super) once: BTreeMap<u64, bool>,
    /// Where the order of each call was sent, and what it was.
    pub(super) orders: BTreeMap<u64, (Subject, Arc<Envelope>)>,
    /// What drivers and workers said, by id: a carrier may keep any of it.
    pub(super) said: BTreeMap<Ulid, (Subject, Arc<Envelope>)>,
    /// Calls that had ended before the process at work began.
    pub(super) over: BTreeSet<u64>,
    /// Those of them that had an effect in it.
    pub(super) late: Vec<u64>,
    /// Messages that were read: by whom, and how many were to follow it.
    pub(super) reads: BTreeSet<(String, u64)>,
    /// Tokens that the provider charges for.
    pub(super) charged: u64,
    /// Tools give more than a value, which only the client of a session is told.
    pub(super) gives_parts: bool,
    /// What the client of a session was answered.
    pub(super) answers: Vec<Answered>,
    /// Paths of the requests of which it was told that nothing is on record.
    pub(super) unheard: BTreeSet<String>,
    /// What the ledger was handed, by number: kind, call and step.
    pub(super) handed: BTreeMap<u64, String>,
    /// Records below this number were said to be on the disk.
    pub(super) acknowledged: u64,
}

/// The world of one seed.
pub(super) struct World {
    pub(super) seed: u64,
    pub(super) mood: Mood,
    pub(super) disk: SimDisk,
    chance: Mutex<Rng>,
    seen: Mutex<Seen>,
    /// Milliseconds before the process at work.
    passed_ms: AtomicU64,
    began: Mutex<Option<Instant>>,
    /// How far the wall's clock is ahead.
    ahead_ms: AtomicU64,
    /// Calls in the middle of which a worker died, while the driver lives.
    dead: Mutex<BTreeSet<u64>>,
    died: Notify,
}

impl World {
    pub(super) fn new(seed: u64, mood: Mood) -> Arc<Self> {
        Arc::new(Self {
            seed,
            mood,
            disk: SimDisk::default(),
            chance: Mutex::new(Rng::new(seed ^ 0x00c4_a5ce)),
            seen: Mutex::default(),
            passed_ms: AtomicU64::new(0),
            began: Mutex::default(),
            ahead_ms: AtomicU64::new(0),
            dead: Mutex::default(),
            died: Notify::new(),
        })
    }

    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }

    /// A number below `end`, by chance.
    pub(super) fn below(&self, end: u64) -> u64 {
        self.chance.lock().unwrap().below(end)
    }

    /// A number below 100 that follows from the seed and from what is asked, and from nothing else.
    pub(super) fn fate(&self, what: &[&str]) -> u64 {
        let mut hash = DefaultHasher::new();
        (self.seed, what).hash(&mut hash);
        hash.finish() % 100
    }

    /// A process begins, on a runtime of its own.
    pub(super) fn begins(&self) {
        *self.began.lock().unwrap() = Some(Instant::now());
        self.dead.lock().unwrap().clear();
        // The wall's clock is set anew, forwards or back.
        if self.below(4) == 0 {
            self.ahead_ms.store(self.below(3_600_000), Relaxed);
        }
    }

    /// The process is gone.
    pub(super) fn over(&self) {
        let began = self.began.lock().unwrap().take();
        let worked = began.map_or(Duration::ZERO, |began| began.elapsed());
        let worked = u64::try_from(worked.as_millis()).unwrap();
        self.passed_ms
            .fetch_add(worked + 1 + self.below(60_000), Relaxed);
    }

    /// Lets some time pass, as host calls and carriers do. In a calm world little, so that no time limit
    /// of a plan decides anything.
    pub(super) async fn pause(&self) {
        let ms = match (self.mood, self.below(50)) {
            (Mood::Calm, it) => u64::from(it < 5),
            (Mood::Wild, 0) => self.below(10_000),
            (Mood::Wild, it) => it % 12,
        };
        if self.mood == Mood::Wild && self.below(500) == 0 {
            // Set anew while a process is at work, too.
            self.ahead_ms.store(self.below(3_600_000), Relaxed);
        }
        if ms > 0 {
            tokio::time::sleep(Duration::from_millis(ms)).await;
        }
        self.alive().await;
    }

    /// The worker of this call is gone, and says nothing any more.
    pub(super) async fn dies(&self, call: u64) {
        self.dead.lock().unwrap().insert(call);
        self.died.notify_waiters();
        std::future::pending().await
    }

    /// The order of a call whose worker is gone, for whoever takes orders like it.
    pub(super) async fn abandoned(&self, pattern: &Pattern) -> (Subject, Arc<Envelope>) {
        loop {
            let died = self.died.notified();
            let order = {
                let (mut dead, seen) = (self.dead.lock().unwrap(), self.seen());
                let of = |call: &u64| seen.orders.get(call).filter(|it| pattern.matches(&it.0));
                let found = dead
                    .iter()
                    .find_map(|call| Some((*call, of(call)?.clone())));
                found.map(|(call, order)| {
                    dead.remove(&call);
                    order
                })
            };
            match order {
                Some(order) => return order,
                None => died.await,
            }
        }
    }

    /// Nothing happens any more once the power is gone.
    pub(super) async fn alive(&self) {
        if self.disk.is_off() {
            std::future::pending::<()>().await;
        }
    }

    pub(super) fn now_ms(&self) -> u64 {
        let began = *self.began.lock().unwrap();
        let since = began.map_or(Duration::ZERO, |began| began.elapsed());
        BEGINNING_MS
            + self.passed_ms.load(Relaxed)
            + self.ahead_ms.load(Relaxed)
            + u64::try_from(since.as_millis()).unwrap()
    }
}

/// The world as the host sees it.
pub(super) struct Lent(pub(super) Arc<World>);

impl crate::World for Lent {
    fn now_ms(&self) -> u64 {
        self.0.now_ms()
    }

    fn fill(&self, _: &mut [u8]) -> io::Result<()> {
        Err(io::Error::other("a run asks for no randomness of its own"))
    }

    fn write(&self, _: &Path, _: &[u8], _: flowhost_ledger::Durability) -> io::Result<()> {
        Err(io::Error::other("a driver writes no file"))
    }

    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Err(io::Error::other("a driver reads no file"))
    }

    fn is_file(&self, _: &Path) -> bool {
        false
    }

    fn folder(&self, _: &Path) -> io::Result<cap_std::fs::Dir> {
        Err(io::Error::other("a driver opens no folder"))
    }
}

impl Clock for Lent {
    fn now_us(&self) -> u64 {
        self.0.now_ms() * 1_000
    }
}

impl Entropy for Lent {
    fn fill(&self, bytes: &mut [u8]) -> io::Result<()> {
        bytes.fill_with(|| u8::try_from(self.0.below(256)).unwrap());
        Ok(())
    }
}

/// The run's ledger, which takes its time, and is remembered.
pub(super) struct Slow {
    pub(super) ledger: Ledger,
    pub(super) world: Arc<World>,
}

impl Recorder for Slow {
    fn append(&self, fact: Fact) -> Result<u64, LedgerError> {
        let text = |name: &str| {
            let value = fact.fields.get(name);
            value
                .and_then(|value| value.as_text())
                .unwrap_or_default()
                .to_owned()
        };
        let told = told(fact.kind.as_str(), &text("call"), &text("step"));
        let seq = self.ledger.append(fact)?;
        self.world.seen().handed.insert(seq, told);
        Ok(seq)
    }

    fn durable(&self, seq: u64) -> Pin<Box<dyn Future<Output = Result<(), LedgerError>> + Send>> {
        let (ledger, world) = (self.ledger.clone(), self.world.clone());
        Box::pin(async move {
            world.pause().await;
            ledger.durable(seq).await?;
            world.alive().await;
            if ledger.durability() == Durability::Durable {
                let mut seen = world.seen();
                seen.acknowledged = seen.acknowledged.max(seq + 1);
            }
            Ok(())
        })
    }
}

/// A record, as far as it is compared with what was handed in.
pub(super) fn told(kind: &str, call: &str, step: &str) -> String {
    format!("{kind} call {call} step {step}")
}
