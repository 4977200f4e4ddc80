//! What the record says of the calls that are at work: whether a call's intent stands there, and its
//! result.
//!
//! The attack is a crash at the wrong moment: a worker that has paid, written its result and died before
//! it could answer must not be followed by one that pays again. So the answer to an order that comes
//! twice is looked for in what the ledger has accepted, and nowhere else; whoever rebuilds a run from
//! its ledger comes to the same. Holds results only until the planner has heard of them.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flowhost_ledger::{Fact, Kind, LedgerError, Recorder};
use serde::{Deserialize, Serialize};

use super::Recall;
use crate::meters::detail::Detail;
use crate::meters::purse::Purse;

/// The agent's function that runs before all others, as its records name it.
pub(crate) const ON_START: &str = "on-start";

/// How far a call came, as the record has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Found {
    /// No intent: its guest has not begun, because an intent is on the disk before the guest runs.
    Nothing,
    /// An intent and no result: nobody knows how far it came.
    Begun,
    /// Its result.
    Ended(Recalled),
    /// The planner has heard how it ended: whoever answered died before the order was acknowledged.
    Heard,
}

/// A call's result, from its record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Recalled {
    /// Who owns the failure; empty when the call went well.
    pub(crate) owner: String,
    /// Its class.
    pub(crate) class: String,
    /// Whether something that it had asked had not answered.
    pub(crate) in_doubt: bool,
    /// What it answered, or how it failed.
    pub(crate) text: String,
    pub(crate) used: Detail,
}

#[derive(Default)]
struct Calls {
    /// By the planner's number, as records write it.
    found: HashMap<String, Found>,
    /// Calls whose end the planner has heard.
    heard: HashSet<u64>,
    agents: BTreeSet<(String, u64)>,
    /// Messages that each agent had read when another process of the run ended, and how often: one for each of its
    /// patterns.
    read: HashMap<(String, String), u32>,
    finished: Vec<String>,
}

/// A run's ledger that remembers what it was told of calls.
pub(crate) struct Recording {
    ledger: Arc<dyn Recorder>,
    /// The number of the last call that the host made by itself: a worker that takes the place of one
    /// that died goes on counting from it.
    own_calls: Arc<std::sync::atomic::AtomicU64>,
    purse: Arc<Purse>,
    calls: Mutex<Calls>,
}

impl Recording {
    pub(crate) fn new(
        ledger: Arc<dyn Recorder>,
        own_calls: Arc<std::sync::atomic::AtomicU64>,
        purse: Arc<Purse>,
    ) -> Self {
        Self {
            ledger,
            own_calls,
            purse,
            calls: Mutex::default(),
        }
    }

    /// The planner has heard how the call ended: its result is not needed again, and an order that still
    /// comes is not performed.
    pub(crate) fn heard(&self, call: u64) {
        let mut calls = self.calls();
        calls.found.remove(&call.to_string());
        calls.heard.insert(call);
    }

    /// Whether the record has the call's intent and not its result: nobody knows how far it came.
    pub(crate) fn begun(&self, call: u64) -> bool {
        matches!(
            self.calls().found.get(&call.to_string()),
            Some(Found::Begun)
        )
    }

    /// Whether the record has the call's intent, and maybe its result.
    pub(crate) fn had_begun(&self, call: u64) -> bool {
        matches!(
            self.calls().found.get(&call.to_string()),
            Some(Found::Begun | Found::Ended(_))
        )
    }

    /// Agents that were started by another process of this run.
    pub(crate) fn knows(&self, agents: impl IntoIterator<Item = (String, u64)>) {
        self.calls().agents.extend(agents);
    }

    /// What agents had heard when another process of this run ended: the messages that each has read and how often, and
    /// who knows that the run is over.
    pub(crate) fn agents_heard(
        &self,
        read: HashMap<(String, String), u32>,
        finished: impl IntoIterator<Item = String>,
    ) {
        let mut calls = self.calls();
        calls.read = read;
        calls.finished.extend(finished);
    }

    pub(crate) fn own_calls(&self) -> u64 {
        self.own_calls.load(Relaxed)
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, said: Said) {
        match said {
            Said::Own(number) => {
                self.own_calls.fetch_max(number, Relaxed);
            }
            Said::Call(call, found) => {
                self.calls().found.insert(call, found);
            }
            Said::Agent(agent) => {
                self.calls().agents.insert(agent);
            }
            Said::Nothing => {}
        }
    }
}

/// What a fact says of a call.
enum Said {
    Nothing,
    /// The host made its own call of this number.
    Own(u64),
    Call(String, Found),
    Agent((String, u64)),
}

fn said(fact: &Fact) -> Said {
    let text = |name: &str| fact.fields.get(name).and_then(|value| value.as_text());
    let number = |name: &str| text(name).and_then(|it| it.parse::<u64>().ok());
    let Some(call) = text("call") else {
        return Said::Nothing;
    };
    if let (Kind::ToolResult, Some(ON_START), Some("ok")) =
        (fact.kind, text("tool"), text("status"))
        && let (Some((_, key)), Some(revision)) = (fact.actor.split_once('/'), number("revision"))
    {
        return Said::Agent((key.to_owned(), revision));
    }
    // Below a call of the planner's stand the calls that it made in turn: `12.1`.
    match (call.split_once('.'), fact.kind) {
        (Some(("0", rest)), _) => {
            let own = rest.split('.').next().and_then(|it| it.parse().ok());
            own.map_or(Said::Nothing, Said::Own)
        }
        (None, Kind::ToolCall) => Said::Call(call.to_owned(), Found::Begun),
        (None, Kind::ToolResult) => {
            let payload = fact.payload.as_deref().unwrap_or_default();
            let ended = Recalled {
                owner: text("owner").unwrap_or_default().to_owned(),
                class: text("class").unwrap_or_default().to_owned(),
                in_doubt: fact.fields.contains_key("in_doubt"),
                text: String::from_utf8_lossy(payload).into_owned(),
                used: Detail {
                    fuel: number("fuel").unwrap_or_default(),
                    memory_bytes: number("memory_bytes").unwrap_or_default(),
                    host_calls: number("host_calls").unwrap_or_default(),
                    output_bytes: number("output_bytes").unwrap_or_default(),
                    log_bytes: number("log_bytes").unwrap_or_default(),
                    evidence_bytes: number("evidence_bytes").unwrap_or_default(),
                    told_ms: number("told_ms").unwrap_or_default(),
                },
            };
            Said::Call(call.to_owned(), Found::Ended(ended))
        }
        _ => Said::Nothing,
    }
}

impl Recorder for Recording {
    fn append(&self, fact: Fact) -> Result<u64, LedgerError> {
        let said = said(&fact);
        let seq = self.ledger.append(fact)?;
        // Only what the ledger has taken: a result that it refused is not one.
        self.remember(said);
        Ok(seq)
    }

    fn durable(&self, seq: u64) -> Pin<Box<dyn Future<Output = Result<(), LedgerError>> + Send>> {
        self.ledger.durable(seq)
    }
}

impl Recall for Recording {
    fn found(&self, call: u64) -> Found {
        let name = call.to_string();
        self.purse.abandon(&name);
        let calls = self.calls();
        match calls.found.get(&name) {
            Some(found) => found.clone(),
            None if calls.heard.contains(&call) => Found::Heard,
            None => Found::Nothing,
        }
    }

    fn started(&self) -> Vec<(String, u64)> {
        self.calls().agents.iter().cloned().collect()
    }

    fn had_read(&self, agent: &str, message: &str) -> bool {
        let key = (agent.to_owned(), message.to_owned());
        match self.calls().read.get_mut(&key) {
            Some(times) if *times > 0 => {
                *times -= 1;
                true
            }
            _ => false,
        }
    }

    fn finished(&self) -> Vec<String> {
        self.calls().finished.clone()
    }
}

#[cfg(test)]
mod tests {
    use flowhost_caps::budget::Left;
    use flowhost_ledger::MemoryRecorder;

    use super::*;
    use crate::meters::purse::Ceiling;
    use crate::standin::free::Free as _;

    fn recording() -> Recording {
        let purse = Purse::new(Ceiling {
            limit: Left::default(),
            halts: false,
        });
        let ledger = Arc::new(MemoryRecorder::default());
        Recording::new(ledger, Arc::default(), Arc::new(purse))
    }

    fn fact(kind: Kind, call: &str) -> Fact {
        Fact::new(kind, "default/shop").with("call", call)
    }

    #[test]
    fn a_call_without_an_intent_has_not_begun_whatever_it_has_asked_others_for() {
        let record = recording();
        record.append(fact(Kind::NetDecision, "7")).unwrap();
        record.append(fact(Kind::ToolCall, "7.1")).unwrap();
        assert_eq!(record.found(7), Found::Nothing);
        record.append(fact(Kind::ToolCall, "7")).unwrap();
        assert_eq!(record.found(7), Found::Begun);
    }

    #[test]
    fn a_result_is_kept_until_the_planner_has_heard_of_it() {
        let record = recording();
        let result = fact(Kind::ToolResult, "7").with("fuel", 12);
        record.append(result.payload(b"{}".to_vec())).unwrap();
        let Found::Ended(ended) = record.found(7) else {
            panic!("{:?}", record.found(7));
        };
        assert_eq!((ended.text.as_str(), ended.used.fuel), ("{}", 12));
        record.heard(7);
        assert_eq!(record.found(7), Found::Heard);
    }

    #[test]
    fn what_was_read_before_another_process_ended_is_told_once_for_each_pattern() {
        let record = recording();
        let read = [(("ann".to_owned(), "m".to_owned()), 2)];
        record.agents_heard(read.into(), []);
        assert!(record.had_read("ann", "m"), "its first pattern");
        assert!(record.had_read("ann", "m"), "its second pattern");
        assert!(!record.had_read("ann", "m"), "a third never read it");
        assert!(!record.had_read("bob", "m"), "somebody else's reading");
    }

    #[test]
    fn an_agent_has_started_when_its_on_start_went_well() {
        let record = recording();
        let start = |status| {
            let fact = fact(Kind::ToolResult, "7.1").with("tool", ON_START);
            fact.with("revision", 2).with("status", status)
        };
        record.append(start("failed")).unwrap();
        assert_eq!(record.started(), []);
        record.append(start("ok")).unwrap();
        assert_eq!(record.started(), [("shop".to_owned(), 2)]);
    }

    #[test]
    fn whoever_comes_next_counts_the_hosts_own_calls_from_where_the_last_one_was() {
        let record = recording();
        record.append(fact(Kind::ToolCall, "0.4")).unwrap();
        record.append(fact(Kind::ToolCall, "0.3.9")).unwrap();
        assert_eq!(record.own_calls(), 4);
    }
}
