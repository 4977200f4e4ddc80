//! What a run's planner was fed, as its records have it: fed to a new planner of the same plan, it gives
//! the same actions.
//!
//! The events stand in `planner.event` records, in their order; the result of a call stands in the call's
//! own `tool.result` record, or in the event's payload where there is none. Nothing is performed here.

use std::collections::BTreeMap;
use std::path::Path;

use flowhost_flow::planner::{CallEnd, CallId, EventRecord, GateId, Recorded, TimerId};
use flowhost_flow::{Amounts, CallResult, Failure, RunSetup, Time};
use flowhost_ledger::records::{FieldError, PlannerEvent, Record};
use flowhost_ledger::{DataKey, Payloads, RealDisk, Source, StoredRecord, read_run_in};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::Unreadable;

/// A run as its planner saw it.
#[derive(Debug, Clone)]
pub struct Events {
    /// What the planner was made with, beside the plan.
    pub setup: RunSetup,
    /// What it was fed, in that order.
    pub events: Vec<EventRecord>,
    /// How each call ended that an event names.
    pub ends: BTreeMap<CallId, CallEnd>,
}

/// Why the events of a run cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EventsError {
    /// The ledger cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// A record is not what its kind says.
    #[error("record {seq} is not what its kind says")]
    Field {
        /// Its number.
        seq: u64,
        /// What is wrong.
        #[source]
        source: FieldError,
    },
    /// A payload that is needed is not there, or is not what it has to be.
    #[error("the payload of record {seq} {what}")]
    Payload {
        /// The record's number.
        seq: u64,
        /// What is wrong with it.
        what: String,
    },
    /// The run has no first record: its process was gone before it began anything.
    #[error("it was killed before its first step, and nothing of it is on record")]
    NotBegun,
    /// The run was recorded by a host that did not write down what its planner was fed.
    #[error("the run has no records of what its planner was fed; a host of the first wave made it")]
    NoEvents,
}

/// Reads the events of the run in `dir`.
///
/// # Errors
/// [`EventsError`]; a payload that was erased or redacted to something else cannot be fed.
pub fn read(dir: &Path) -> Result<Events, EventsError> {
    read_exact(dir, None)
}

/// As [`read`], with what payloads were before they were redacted, as far as `key` opens it.
///
/// # Errors
/// As [`read`].
pub fn read_exact(dir: &Path, key: Option<&DataKey>) -> Result<Events, EventsError> {
    read_exact_in(&RealDisk, dir, key)
}

/// As [`read_exact`], on any disk.
///
/// # Errors
/// As [`read`].
pub fn read_exact_in(
    disk: &dyn Source,
    dir: &Path,
    key: Option<&DataKey>,
) -> Result<Events, EventsError> {
    let payloads = Payloads::open(disk, dir).map_err(Unreadable::from)?;
    let mut reader = Reader {
        payloads,
        key: key.cloned(),
        setup: None,
        events: Vec::new(),
        ends: BTreeMap::new(),
        results: BTreeMap::new(),
        records_events: false,
    };
    for record in read_run_in(disk, dir).map_err(Unreadable::from)? {
        reader.take(&record.map_err(Unreadable::from)?)?;
    }
    match reader.setup {
        None => Err(EventsError::NotBegun),
        // A run that was killed before its first event has none, and began nothing.
        Some(setup) if reader.records_events => Ok(Events {
            setup,
            events: reader.events,
            ends: reader.ends,
        }),
        _ => Err(EventsError::NoEvents),
    }
}

/// The function of an agent that does a step's work.
const ON_PLAN: &str = "on-plan";

struct Reader<'d> {
    payloads: Payloads<'d>,
    key: Option<DataKey>,
    setup: Option<RunSetup>,
    events: Vec<EventRecord>,
    ends: BTreeMap<CallId, CallEnd>,
    /// The result records of planner's calls, until an event asks for one.
    results: BTreeMap<u64, StoredRecord>,
    /// The host that made it writes events down: it says which version its records have.
    records_events: bool,
}

impl Reader<'_> {
    fn take(&mut self, record: &StoredRecord) -> Result<(), EventsError> {
        let said = record.read().map_err(|source| EventsError::Field {
            seq: record.seq,
            source,
        })?;
        match said {
            Some(Record::RunStart(start)) => {
                self.records_events = start.schema.is_some();
                self.setup = Some(self.payload(record)?);
            }
            Some(Record::ToolResult(result)) => {
                // An id with a dot is a call that another call made; the planner has not asked for it.
                let call = result.call_of.call.as_deref();
                if let Some(call) = call.and_then(|call| call.parse().ok()) {
                    self.results.insert(call, record.clone());
                }
            }
            Some(Record::PlannerEvent(event)) => self.event(record, &event)?,
            _ => {}
        }
        Ok(())
    }

    fn event(&mut self, record: &StoredRecord, said: &PlannerEvent) -> Result<(), EventsError> {
        let wrong = |what: &str| EventsError::Payload {
            seq: record.seq,
            what: what.to_owned(),
        };
        let event = match said.event.as_str() {
            "started" => Recorded::Started,
            "call_finished" => {
                let call = CallId(said.call.ok_or_else(|| wrong("names no call"))?);
                let end = self.end(record, said, call)?;
                self.ends.insert(call, end);
                Recorded::CallFinished { call }
            }
            "timer_fired" => Recorded::TimerFired {
                timer: TimerId(said.timer.ok_or_else(|| wrong("names no timer"))?),
            },
            "gate_answered" => Recorded::GateAnswered {
                gate: GateId(said.gate.ok_or_else(|| wrong("names no gate"))?),
                answer: self.payload(record)?,
            },
            "cancelled" => Recorded::Cancelled {
                reason: self.text(record)?,
            },
            "host_failed" => Recorded::HostFailed {
                failure: self.payload::<Failure>(record)?,
            },
            other => return Err(wrong(&format!("belongs to an unknown event, `{other}`"))),
        };
        self.events.push(EventRecord {
            at: Time(said.time_ms),
            event,
        });
        Ok(())
    }

    fn end(
        &mut self,
        record: &StoredRecord,
        said: &PlannerEvent,
        call: CallId,
    ) -> Result<CallEnd, EventsError> {
        let own = self.results.remove(&call.0);
        let (mut calls, mut fuel) = (0, 0);
        if let Some(own) = &own {
            // An end that says nothing of its own has nothing to add to its call's result.
            (calls, fuel) = (1, own.number("fuel").unwrap_or(0));
        }
        let stands = said.result.as_deref().or_else(|| {
            // An agent hands on what it said, a tool a part of its content.
            let own = own.as_ref()?.text("tool")?;
            Some(if own == ON_PLAN { "own" } else { "content" })
        });
        let result = match (stands, own) {
            (Some("own"), Some(own)) => CallResult::Output(self.payload(&own)?),
            (Some("content"), Some(own)) => CallResult::Output(handed_on(self.payload(&own)?)),
            (None | Some("own" | "content"), None) => {
                let what = format!("is that of call {}, whose result is not recorded", call.0);
                let seq = record.seq;
                return Err(EventsError::Payload { seq, what });
            }
            _ => self.payload(record)?,
        };
        let used = Amounts {
            calls: said.calls.unwrap_or(calls),
            fuel: said.fuel.unwrap_or(fuel),
            tokens: said.tokens.unwrap_or(0),
            micro_usd: said.micro_usd.unwrap_or(0),
        };
        Ok(CallEnd { result, used })
    }

    fn payload<T: DeserializeOwned>(&self, record: &StoredRecord) -> Result<T, EventsError> {
        let text = self.text(record)?;
        serde_json::from_str(&text).map_err(|error| EventsError::Payload {
            seq: record.seq,
            what: format!("is not what it has to be: {error}"),
        })
    }

    fn text(&self, record: &StoredRecord) -> Result<String, EventsError> {
        let wrong = |what: &str| EventsError::Payload {
            seq: record.seq,
            what: what.to_owned(),
        };
        let commit = record.commit.as_deref();
        let commit = commit.ok_or_else(|| wrong("was never written"))?;
        let exact = self.key.as_ref();
        let exact = exact.map(|key| self.payloads.exact(record, key));
        let found = match exact.transpose().map_err(Unreadable::from)?.flatten() {
            Some(exact) => Some(exact),
            None => self
                .payloads
                .get(record.seq, commit)
                .map_err(Unreadable::from)?,
        };
        let bytes = found.ok_or_else(|| wrong("was erased or lost"))?;
        String::from_utf8(bytes).map_err(|_| wrong("is not text"))
    }
}

/// What a step hands on of a tool's whole content: the value, or all of it where there is no value but
/// parts. The engine does the same before it answers (`flowhost_engine::handed_on`); the test that
/// replays the examples holds the two against each other.
fn handed_on(mut content: Value) -> Value {
    let value = content
        .get_mut("value")
        .map(Value::take)
        .unwrap_or_default();
    let has_parts = content
        .get("parts")
        .and_then(Value::as_array)
        .is_some_and(|parts| !parts.is_empty());
    if value.is_null() && has_parts {
        return content;
    }
    value
}
