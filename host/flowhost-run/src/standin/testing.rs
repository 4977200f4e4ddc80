//! What unit tests of a run are made of: a run without plugins, a ledger in memory, and a planner that
//! says what a test wants and remembers what it heard.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use flowhost_bus::{Bus, Envelope, Head, LocalBus, LocalConfig, Ulid};
use flowhost_caps::budget::Left;
use flowhost_engine::RunScope;
use flowhost_flow::planner::CallId;
use flowhost_flow::{Action, Event, Planner, Time};
use flowhost_ledger::{MemoryRecorder, Recorder};
use serde_json::Value;

use crate::given::world::World;
use crate::meters::purse::{Ceiling, Purse};
use crate::meters::tally::{Origins, Tally};
use crate::plugins::wiring::Machinery;

/// The run of every unit test.
pub(crate) const RUN: &str = "01JD00000000000000000000AA";

/// The scope of a run that recorded into `recorder` from its start at 0.
pub(crate) fn scope(recorder: Arc<dyn Recorder>) -> RunScope {
    RunScope {
        tenant: "default".into(),
        run: RUN.into(),
        seed: [7; 32],
        started_ms: 0,
        recorder,
        providers: Arc::new([]),
        own_calls: Arc::default(),
        memory: None,
    }
}

/// A run without plugins, on a bus of its own.
pub(crate) fn machinery() -> Machinery {
    let bus: Arc<dyn Bus> = Arc::new(LocalBus::new(LocalConfig::default()));
    Machinery {
        bus,
        tally: Arc::new(Tally::default()),
        origins: Arc::new(Origins::default()),
        plugins: Arc::default(),
        crowd: None,
    }
}

/// A purse that no test empties.
pub(crate) fn purse() -> Arc<Purse> {
    let limit = Left {
        tokens: 1_000_000,
        micro_usd: 1_000_000,
    };
    Arc::new(Purse::new(Ceiling { limit, halts: true }))
}

/// An envelope of the run, with this payload.
pub(crate) fn envelope(actor: &str, kind: &str, payload: Value) -> Envelope {
    head(actor, kind).seal(payload).unwrap()
}

/// The head of such an envelope.
pub(crate) fn head(actor: &str, kind: &str) -> Head {
    Head {
        id: Ulid::from_string(RUN).unwrap(),
        tenant: "default".to_owned(),
        run: RUN.to_owned(),
        step: "s".to_owned(),
        actor: format!("default/{actor}"),
        correlation: String::new(),
        causation: String::new(),
        traceparent: String::new(),
        kind: kind.to_owned(),
    }
}

/// A world in which nothing can be had.
pub(crate) struct NoWorld;

impl World for NoWorld {
    fn now_ms(&self) -> u64 {
        0
    }

    fn fill(&self, _: &mut [u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn write(&self, _: &Path, _: &[u8], _: flowhost_ledger::Durability) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn is_file(&self, _: &Path) -> bool {
        false
    }

    fn folder(&self, _: &Path) -> io::Result<cap_std::fs::Dir> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// An event as a planner heard it.
#[derive(Debug, Clone)]
pub(crate) struct HeardEvent {
    pub(crate) event: Event,
    /// How many records the ledger held then.
    pub(crate) records: usize,
}

/// What a [`Scripted`] planner heard, for the test that wrote it.
#[derive(Clone, Default)]
pub(crate) struct Ear(Arc<Mutex<Vec<HeardEvent>>>);

impl Ear {
    pub(crate) fn all(&self) -> Vec<HeardEvent> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.all().into_iter().map(|heard| heard.event).collect()
    }
}

/// A planner that answers its events with what a test wrote, one turn after the other, and then with
/// nothing.
pub(crate) struct Scripted {
    turns: VecDeque<Vec<Action>>,
    ear: Ear,
    ledger: Arc<MemoryRecorder>,
}

impl Scripted {
    pub(crate) fn new(turns: Vec<Vec<Action>>, ledger: &Arc<MemoryRecorder>) -> (Self, Ear) {
        let ear = Ear::default();
        let planner = Self {
            turns: turns.into(),
            ear: ear.clone(),
            ledger: ledger.clone(),
        };
        (planner, ear)
    }
}

impl Planner for Scripted {
    fn on(&mut self, event: Event, _: Time) -> Vec<Action> {
        let records = self.ledger.facts().len();
        let mut heard = self.ear.0.lock().unwrap_or_else(PoisonError::into_inner);
        heard.push(HeardEvent { event, records });
        self.turns.pop_front().unwrap_or_default()
    }

    fn is_finished(&self) -> bool {
        false
    }

    fn open_calls(&self) -> Vec<CallId> {
        Vec::new()
    }

    fn rests(&self) -> bool {
        false
    }

    fn calls_asked(&self) -> u64 {
        0
    }
}
