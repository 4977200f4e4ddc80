//! The record of a run as the script of its replay: it answers for the world, and it is what the replay must
//! say again.
//!
//! Records have one order, but a replay need not find it: what two calls did at the same time may come in
//! any order again. So each call has a lane of its own, in the order of its records, and the host has one
//! for what follows from the planner. A fact that is appended must be the next record of its lane, byte for
//! byte; its number is then that record's, so that everything that is made of numbers comes out the same.
//! Times are the record's. Must never write anything.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};

use flowhost_caps::messaging::MESSAGE;
use flowhost_engine::{Cut, Fault, Memory, NO_TIME_LEFT, Used};
use flowhost_flow::planner::CallId;
use flowhost_ledger::{Fact, Kind, LedgerError, Recorder, StoredRecord, Value};
use serde_json::json;

use super::Difference;
use super::lives::{self, Build, Lives};

/// A record with its payload.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The record.
    pub record: StoredRecord,
    /// Its payload, which has been compared with its commitment; none where it was erased, or never was.
    pub payload: Option<Vec<u8>>,
    /// What that was before it was redacted, where the host can still read it.
    pub exact: Option<Vec<u8>>,
}

/// Which records follow each other.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Lane {
    /// What the host says of what the planner decided.
    Host,
    /// What one call did.
    Call(String),
    /// What one call did beside its guest: requests that it sends while it goes on.
    Beside(String),
    /// That one gate was opened. A kill may come between the planner's word and the record, and then the
    /// next process opens it, after what the planner said besides.
    Gate(String),
}

/// See the module.
pub(crate) struct Script {
    entries: Vec<Entry>,
    /// Plugins that another build stands in for: their components and what they use may differ.
    swapped: Vec<String>,
    told_ms: HashMap<String, u64>,
    cuts: HashMap<String, Cut>,
    /// Calls whose request to be performed is on record, and those whose result is.
    intents: HashSet<String>,
    results: HashSet<String>,
    lives: Lives,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    lanes: HashMap<Lane, VecDeque<usize>>,
    matched: u64,
    differs: Option<Difference>,
}

impl Script {
    pub(crate) fn new(entries: Vec<Entry>, swapped: Vec<String>) -> Self {
        let mut state = State::default();
        let (mut told_ms, mut cuts) = (HashMap::new(), HashMap::new());
        let lives = Lives::of(&entries);
        let (mut intents, mut results) = (HashSet::new(), HashSet::new());
        for (index, entry) in entries.iter().enumerate() {
            match (entry.record.kind(), entry.record.text("call")) {
                (Some(Kind::ToolCall), Some(call)) => {
                    intents.insert(call.to_owned());
                }
                (Some(Kind::ToolResult), Some(call)) => {
                    results.insert(call.to_owned());
                }
                _ => {}
            }
            if lives.let_go.contains(&index) {
                continue;
            }
            if let Some(lane) = lane_of(&entry.record) {
                state.lanes.entry(lane).or_default().push_back(index);
            }
            let call = entry.record.text("call").unwrap_or_default();
            if let Some(told) = entry.record.number("told_ms") {
                // A result comes first, and says it of the call itself.
                told_ms.entry(call.to_owned()).or_insert(told);
            }
            if let Some(cut) = cut_of(entry) {
                cuts.insert(call.to_owned(), cut);
            }
        }
        Self {
            entries,
            swapped,
            told_ms,
            cuts,
            intents,
            results,
            lives,
            state: Mutex::new(state),
        }
    }

    /// Whether a process began this call and ended before the call did.
    pub(crate) fn interrupted(&self, call: &str) -> bool {
        self.lives.interrupted.contains(call)
    }

    /// Whether another run made this call.
    pub(crate) fn made_elsewhere(&self, call: &str) -> bool {
        self.lives.made_elsewhere.contains(call)
    }

    /// Whether a person said what became of this call.
    pub(crate) fn settled_by_word(&self, call: &str) -> bool {
        self.lives.settled.contains(call)
    }

    /// Which build of each plugin performed a call, and those that it made in turn.
    pub(super) fn builds(&self) -> BTreeMap<String, BTreeMap<&str, Build>> {
        lives::builds(&self.entries, &self.lives)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the replay differed first.
    pub(crate) fn difference(&self) -> Option<Difference> {
        self.state().differs.clone()
    }

    /// Records that the replay said again.
    pub(crate) fn matched(&self) -> u64 {
        self.state().matched
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether the record has anything of this call.
    pub(crate) fn knows(&self, call: CallId) -> bool {
        let lane = Lane::Call(call.0.to_string());
        self.state().lanes.contains_key(&lane)
    }

    /// Whether the record of this call holds its result: one that was stopped in the middle has none.
    pub(crate) fn has_result(&self, call: &str) -> bool {
        self.results.contains(call)
    }

    /// Whether the record has a request to perform this call: a guardrail has none.
    pub(crate) fn has_intent(&self, call: &str) -> bool {
        self.intents.contains(call)
    }

    /// The event is what the planner is fed: its record is taken as it is.
    pub(crate) fn event(&self, seq: u64) {
        let mut state = self.state();
        let lane = state.lanes.entry(Lane::Host).or_default();
        let front = lane.front().and_then(|index| self.entries.get(*index));
        if front.is_some_and(|entry| entry.record.seq == seq) {
            lane.pop_front();
            state.matched += 1;
            return;
        }
        let expected = front.map(shown);
        let seq = front.map_or(seq, |entry| entry.record.seq);
        let what = "the planner wants less than it did";
        state.note(Difference::new(Some(seq), what, expected, None));
    }

    /// What is left of a call's records, or of those that follow from the planner, once it has ended.
    pub(crate) fn ended(&self, call: Option<&str>) {
        let mut state = self.state();
        let front = match call {
            Some(call) => state.lanes.get(&Lane::Call(call.to_owned())),
            None => state.lanes.iter().find_map(|(lane, rest)| {
                let of_planner = matches!(lane, Lane::Host | Lane::Gate(_));
                (of_planner && !rest.is_empty()).then_some(rest)
            }),
        };
        let front = front.and_then(VecDeque::front).copied();
        // The lane is used up: the call ended where its record does.
        let Some(entry) = front.and_then(|index| self.entries.get(index)) else {
            return;
        };
        let what = match call {
            Some(call) => format!("call {call} ends here, and its record goes on"),
            None => "the run ends here, and its record goes on".to_owned(),
        };
        let seq = Some(entry.record.seq);
        state.note(Difference::new(seq, &what, Some(shown(entry)), None));
    }

    /// Notes a difference that somebody else found; the first one counts.
    pub(crate) fn note(&self, difference: Difference) {
        self.state().note(difference);
    }

    /// The fact as the record would have it: what depends on the clock and on how fast the machine is, is the
    /// record's.
    fn settled(&self, mut fact: Fact, record: &StoredRecord) -> Fact {
        let plugin = fact.actor.split_once('/').map_or("", |(_, plugin)| plugin);
        let swapped = self.swapped.iter().any(|it| it == plugin);
        let mut taken: Vec<&str> = Vec::new();
        if fact.kind == Kind::ToolResult {
            taken.push("duration_ms");
        }
        if fact.kind == Kind::Gate {
            taken.push("until_ms");
        }
        if swapped {
            taken.extend(SWAPPED);
        }
        for name in taken {
            // A field that is missing says something, too: a count of none is not written.
            match record.fields.get(name) {
                Some(value) => fact.fields.insert(name.to_owned(), value.clone()),
                None => fact.fields.remove(name),
            };
        }
        fact
    }
}

/// What another build of a component may say otherwise without doing anything else.
const SWAPPED: &[&str] = &[
    "component",
    "profile",
    "fuel",
    "memory_bytes",
    "host_calls",
    "evidence_bytes",
];

impl State {
    fn note(&mut self, difference: Difference) {
        self.differs.get_or_insert(difference);
    }
}

impl Recorder for Script {
    fn append(&self, fact: Fact) -> Result<u64, LedgerError> {
        let mut state = self.state();
        if state.differs.is_some() {
            return Err(LedgerError::Differs);
        }
        if fact.kind == Kind::SecretUse && is_host(&fact.actor) {
            // Says that a revealed secret was kept out of the record that follows, whichever came first.
            return Ok(0);
        }
        let lane = lane_of_fact(&fact);
        let of_planner = matches!(lane, Lane::Host | Lane::Gate(_));
        let queue = state.lanes.entry(lane).or_default();
        if of_planner && queue.is_empty() && !self.lives.complete {
            // A kill took what the planner said last; nothing refers to the number of such a record.
            return Ok(0);
        }
        let Some(entry) = queue.front().and_then(|index| self.entries.get(*index)) else {
            let what = "the replay says more than the record";
            let got = Some(shown_fact(&fact));
            state.note(Difference::new(None, what, None, got));
            return Err(LedgerError::Differs);
        };
        let record = &entry.record;
        let fact = self.settled(fact, record);
        let erased = record.commit.is_some() && entry.payload.is_none();
        let same = record.line_of(&fact) == record.line;
        if erased && same {
            // The line says that there was as much; nobody can say any more whether it was this.
            let what = "its payload was erased: whether the replay says the same cannot be told";
            state.note(Difference::new(Some(record.seq), what, None, None));
            return Err(LedgerError::Differs);
        }
        let differs = fact.payload != entry.payload;
        if !same || differs || fact.sealed != entry.exact {
            let (expected, got) = (Some(shown(entry)), Some(shown_fact(&fact)));
            let what = "the replay says otherwise";
            state.note(Difference::new(Some(record.seq), what, expected, got));
            return Err(LedgerError::Differs);
        }
        queue.pop_front();
        state.matched += 1;
        Ok(record.seq)
    }

    fn durable(&self, _: u64) -> Pin<Box<dyn Future<Output = Result<(), LedgerError>> + Send>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

impl Memory for Script {
    fn next(&self, call: &str, interface: &str) -> Option<Fact> {
        let state = self.state();
        let index = *state.lanes.get(&lane(call, interface))?.front()?;
        self.entries.get(index).and_then(fact_of)
    }

    fn ahead(&self, call: &str, interface: &str) -> Option<Fact> {
        let state = self.state();
        let mut rest = state.lanes.get(&lane(call, interface))?.iter();
        rest.find_map(|index| {
            let entry = self.entries.get(*index)?;
            let answers = entry.record.kind() == Some(Kind::HostAnswer)
                && entry.record.text("interface") == Some(interface);
            answers.then(|| fact_of(entry)).flatten()
        })
    }

    fn told_ms(&self, call: &str) -> Option<u64> {
        self.told_ms.get(call).copied()
    }

    fn cut(&self, call: &str) -> Option<Cut> {
        self.cuts.get(call).cloned()
    }

    fn missed(&self, call: &str, interface: &str, asked: &str) -> LedgerError {
        let mut state = self.state();
        let front = state.lanes.get(&lane(call, interface));
        let front = front.and_then(VecDeque::front).copied();
        let entry = front.and_then(|index| self.entries.get(index));
        let erased = entry.is_some_and(|it| it.record.commit.is_some() && it.payload.is_none());
        let what = match erased {
            true => "its payload was erased, and the guest is answered from it".to_owned(),
            false => format!("call {call} asks for what the record has no answer to"),
        };
        let got = json!({ "call": call, "interface": interface, "asked": asked });
        let seq = entry.map(|entry| entry.record.seq);
        state.note(Difference::new(seq, &what, entry.map(shown), Some(got)));
        LedgerError::Differs
    }
}

fn lane(call: &str, interface: &str) -> Lane {
    match interface.starts_with("wasi:http/") {
        true => Lane::Beside(call.to_owned()),
        false => Lane::Call(call.to_owned()),
    }
}

pub(super) fn is_host(actor: &str) -> bool {
    actor.ends_with("/host")
}

/// The lane of a record; none for what is not said again: what the run was made of, views, signatures,
/// envelopes, which say how much time was left, and the ends of processes, of which a replay starts none.
fn lane_of(record: &StoredRecord) -> Option<Lane> {
    let kind = record.kind()?;
    if kind == Kind::ProcessEnd {
        return None;
    }
    if is_host(&record.actor) {
        let follows = match kind {
            Kind::StepStart
            | Kind::StepEnd
            | Kind::AttemptStart
            | Kind::AttemptEnd
            | Kind::GuardVerdict
            | Kind::Consensus
            | Kind::PlannerEvent => true,
            Kind::Budget => record.text("warning").is_some(),
            // What a step emits; the others are envelopes of orders.
            Kind::Message => record.text("type") == Some(MESSAGE),
            Kind::Gate if record.text("event") == Some("opened") => {
                return record.text("gate").map(|gate| Lane::Gate(gate.to_owned()));
            }
            _ => false,
        };
        return follows.then_some(Lane::Host);
    }
    let call = record.text("call")?;
    Some(lane(call, record.text("interface").unwrap_or_default()))
}

fn lane_of_fact(fact: &Fact) -> Lane {
    let text = |name: &str| fact.fields.get(name).and_then(Value::as_text);
    if let (Kind::Gate, Some(gate)) = (fact.kind, text("gate")) {
        return Lane::Gate(gate.to_owned());
    }
    match text("call") {
        Some(call) if !is_host(&fact.actor) => lane(call, text("interface").unwrap_or_default()),
        _ => Lane::Host,
    }
}

/// The record as the fact that it was made of; none where its payload is gone.
fn fact_of(entry: &Entry) -> Option<Fact> {
    let record = &entry.record;
    let mut fields = record.fields.clone();
    // The ledger adds the payload's length where the kind has no field of that name.
    if record.kind() != Some(Kind::HostCall) {
        fields.remove("bytes");
    }
    fields.remove("sealed");
    let kept = record.commit.is_none() || entry.payload.is_some();
    kept.then_some(Fact {
        kind: record.kind()?,
        actor: record.actor.clone(),
        fields,
        payload: entry.exact.clone().or_else(|| entry.payload.clone()),
        sealed: None,
    })
}

/// How a call ended that does not end so again by itself.
fn cut_of(entry: &Entry) -> Option<Cut> {
    let record = &entry.record;
    let failed = record.kind() == Some(Kind::ToolResult) && record.text("status") == Some("failed");
    if !failed {
        return None;
    }
    let text = String::from_utf8_lossy(entry.payload.as_deref()?).into_owned();
    let fault = match (record.text("owner")?, deadline(&text)) {
        (_, Some((used, allowed))) => Fault::Limit {
            name: "deadline",
            used,
            allowed,
        },
        ("host", None) => Fault::Host(text.trim_start_matches("host failure: ").to_owned()),
        _ => return None,
    };
    let number = |name| record.number(name).unwrap_or(0);
    let used = Used {
        fuel: number("fuel"),
        memory_bytes: number("memory_bytes"),
        host_calls: number("host_calls"),
        output_bytes: number("output_bytes"),
        log_bytes: number("log_bytes"),
        log_dropped: 0,
        evidence_bytes: number("evidence_bytes"),
        duration_ms: number("duration_ms"),
        told_ms: number("told_ms"),
    };
    Some(Cut { fault, used })
}

/// The numbers of a limit of time, as [`Fault`] writes them.
fn deadline(text: &str) -> Option<(u64, u64)> {
    if text == NO_TIME_LEFT {
        return Some((0, 0));
    }
    let rest = text.strip_prefix("the limit `deadline` was reached: used ")?;
    let (used, allowed) = rest.split_once(", allowed ")?;
    Some((used.parse().ok()?, allowed.parse().ok()?))
}

/// A record as a person compares it.
fn shown(entry: &Entry) -> serde_json::Value {
    let record = &entry.record;
    shown_fields(
        &record.kind_text,
        &record.actor,
        &record.fields,
        entry.payload.as_deref(),
    )
}

fn shown_fact(fact: &Fact) -> serde_json::Value {
    let payload = fact.payload.as_deref();
    shown_fields(fact.kind.as_str(), &fact.actor, &fact.fields, payload)
}

fn shown_fields(
    kind: &str,
    actor: &str,
    fields: &flowhost_ledger::records::Fields,
    payload: Option<&[u8]>,
) -> serde_json::Value {
    let mut shown = serde_json::Map::new();
    shown.insert("kind".to_owned(), kind.into());
    shown.insert("actor".to_owned(), actor.into());
    for (name, value) in fields.iter().filter(|(name, _)| *name != "bytes") {
        let value = match value {
            Value::Text(text) => json!(text),
            Value::List(items) => json!(items),
            Value::Map(items) => json!(items),
        };
        shown.insert(name.to_owned(), value);
    }
    if let Some(payload) = payload {
        let text = String::from_utf8_lossy(payload);
        let value = serde_json::from_str(&text).unwrap_or_else(|_| json!(text));
        shown.insert("payload".to_owned(), value);
    }
    shown.into()
}

#[cfg(test)]
mod tests;
