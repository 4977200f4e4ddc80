//! What a run's planner was fed, as its records have it: fed to a new planner of the same plan, it gives
//! the same actions.
//!
//! The events stand in `planner.event` records, in their order; the result of a call stands in the call's
//! own `tool.result` record, or in the event's payload where there is none. Nothing is performed here.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use flowhost_engine::handed_on_of;
use flowhost_flow::planner::{CallEnd, CallId, EventRecord, GateId, Recorded, RequestId, TimerId};
use flowhost_flow::{Amounts, CallResult, Exit, RunSetup, Time};
use flowhost_ledger::records::FieldError;
use flowhost_ledger::records::lent::{PlannerEvent, Record, RunStart};
use flowhost_ledger::{
    DataKey, Kind, LentRecord, PayloadError, PayloadOf, Payloads, ReadError, RealDisk, Source,
    StoredRecord, check_run, read_run_in, signed_size,
};
use serde::de::DeserializeOwned;

use crate::base::failure::Failure;

/// What the planner of a run was made with and fed, as its records have it.
#[derive(Debug, Clone)]
pub struct Fed {
    /// What it was made with, beside the plan.
    pub setup: RunSetup,
    /// What it was fed, in that order.
    pub events: Vec<EventRecord>,
    /// How each call ended that an event names.
    pub ends: BTreeMap<CallId, CallEnd>,
}

/// Why the events of a run cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FedError {
    /// The records cannot be read, or their chain is broken.
    #[error("the ledger cannot be read")]
    Records(#[from] ReadError),
    /// The payload files cannot be read.
    #[error("the ledger cannot be read")]
    Payloads(#[from] PayloadError),
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
    /// Records are gone that were signed: what is left of a run is not what it was, and what it took back may look as if
    /// it had been done.
    #[error("its ledger was cut: {signed} records were signed, and {there} of them are there")]
    Cut {
        /// How many were signed.
        signed: u64,
        /// How many are there.
        there: u64,
    },
    /// The run has no first record: its process was gone before it began anything, or has not come to it yet.
    #[error("nothing of it is on record: it was killed before its first step, or has just begun")]
    NotBegun,
    /// The run was recorded by a host that did not write down what its planner was fed.
    #[error("the run has no records of what its planner was fed; a host of the first wave made it")]
    NoEvents,
}

/// What to do about a folder that holds another run.
const NOT_ITS_OWN: &str =
    "bring the run's own folder back to its place; `flowhost verify RUN` says what lies there now";

/// That the ledger in a run's folder, `TENANT/runs/RUN`, is that run's.
fn is_its_own(dir: &Path) -> Result<(), ReadError> {
    let name = |path: Option<&Path>| Some(path?.file_name()?.to_str()?.to_owned());
    let tenant = dir.parent().and_then(Path::parent);
    match (name(tenant), name(Some(dir))) {
        (Some(tenant), Some(run)) => check_run(&RealDisk, dir, &tenant, &run),
        // A folder of that kind has both.
        _ => Ok(()),
    }
}

/// What to do about a ledger that cannot be read.
pub(super) const DAMAGED: &str =
    "`flowhost verify RUN` shows the whole of it; a damaged ledger is never repaired";

impl From<FedError> for Failure {
    fn from(error: FedError) -> Self {
        let failure = Self::new(Exit::Internal, super::NOT_RESUMED).caused_by(&error);
        match error {
            FedError::NotBegun => failure.hint(
                "if it was killed, start its plan again with `flowhost run PLAN`: nothing was done",
            ),
            FedError::Records(ReadError::OtherRun { .. }) => failure.hint(NOT_ITS_OWN),
            FedError::Records(_) | FedError::Cut { .. } => failure.hint(DAMAGED),
            _ => failure,
        }
    }
}

impl Fed {
    /// Reads it from the run in `dir`, with what payloads were before they were redacted, as far as `key`
    /// opens it. Blocks on the disk.
    ///
    /// # Errors
    /// [`FedError`]; a payload that was erased or redacted to something else cannot be fed.
    pub fn read(dir: &Path, key: Option<&DataKey>) -> Result<Self, FedError> {
        Self::read_whole(dir, key, &mut |_, _| Ok(()))
    }

    /// As [`Fed::read_beside`], and nothing of a ledger that was cut: for whoever does something because of what a run
    /// has done.
    ///
    /// # Errors
    /// As [`Fed::read`]; what `each` says.
    pub fn read_whole(
        dir: &Path,
        key: Option<&DataKey>,
        each: &mut dyn FnMut(&StoredRecord, &Payloads<'_>) -> Result<(), PayloadError>,
    ) -> Result<Self, FedError> {
        // Before the records are read, so that those of a writer at work are not missed.
        let signed = signed_size(&RealDisk, dir);
        let mut there = 0_u64;
        let fed = Self::read_beside(dir, key, &mut |record, payloads| {
            there += 1;
            each(record, payloads)
        })?;
        match signed {
            Some(signed) if there < signed => Err(FedError::Cut { signed, there }),
            _ => Ok(fed),
        }
    }

    /// As [`Fed::read`] of a ledger that may have been cut, for somebody who wants the records themselves as well: `each` is handed each of them, with
    /// the payloads of all.
    ///
    /// # Errors
    /// As [`Fed::read`]; what `each` says.
    pub fn read_beside(
        dir: &Path,
        key: Option<&DataKey>,
        each: &mut dyn FnMut(&StoredRecord, &Payloads<'_>) -> Result<(), PayloadError>,
    ) -> Result<Self, FedError> {
        is_its_own(dir)?;
        let payloads = Payloads::open(&RealDisk, dir)?;
        let mut reader = Reader::new(&payloads, key);
        for record in read_run_in(&RealDisk, dir)? {
            let record = record?;
            let lent = record.lent();
            if let Some(said) = said(&lent)? {
                reader.take(&lent, &said);
            }
            each(&record, &payloads)?;
        }
        reader.done()
    }

    /// Only what the planner was made with: that stands in the first record, and nothing else is read.
    ///
    /// # Errors
    /// As [`Fed::read`].
    pub fn setup(dir: &Path, key: Option<&DataKey>) -> Result<RunSetup, FedError> {
        is_its_own(dir)?;
        let disk: &dyn Source = &RealDisk;
        for record in read_run_in(disk, dir)? {
            let record = record?;
            let record = record.lent();
            if let Some(Record::RunStart(start)) = said(&record)? {
                let payloads = Payloads::open_to(disk, dir, record.seq)?;
                return Texts {
                    payloads: &payloads,
                    key,
                }
                .setup(&record, &start);
            }
        }
        Err(FedError::NotBegun)
    }
}

/// What a record says.
///
/// # Errors
/// [`FedError::Field`].
fn said<'a>(record: &LentRecord<'a>) -> Result<Option<Record<'a>>, FedError> {
    let seq = record.seq;
    record
        .read()
        .map_err(|source| FedError::Field { seq, source })
}

/// The function of an agent that does a step's work.
const ON_PLAN: &str = "on-plan";

/// Whether a record is one of those that a planner is fed again with.
pub(super) const fn matters(record: &LentRecord<'_>) -> bool {
    matches!(
        record.kind,
        Some(Kind::RunStart | Kind::ToolResult | Kind::PlannerEvent)
    )
}

/// What is kept of the result of a call that the planner asked for, until an event asks for it.
struct Own {
    payload: PayloadOf,
    fuel: u64,
    /// An agent hands on what it said, a tool a part of its content.
    whole: bool,
}

/// What was gathered so far: the setup, the events, and how the calls ended that they name.
pub(super) type SoFar<'r> = (
    &'r RunSetup,
    &'r [EventRecord],
    &'r BTreeMap<CallId, CallEnd>,
);

/// Gathers it from records that somebody reads.
pub(super) struct Reader<'p> {
    texts: Texts<'p>,
    setup: Option<RunSetup>,
    events: Vec<EventRecord>,
    ends: BTreeMap<CallId, CallEnd>,
    /// The result records of planner's calls, until an event asks for one.
    results: HashMap<u64, Own>,
    /// The first thing that was wrong. Whoever reads goes on: other things of the run are told before it.
    wrong: Option<FedError>,
}

impl<'p> Reader<'p> {
    pub(super) fn new(payloads: &'p Payloads<'p>, key: Option<&'p DataKey>) -> Self {
        Self {
            texts: Texts { payloads, key },
            setup: None,
            events: Vec::new(),
            ends: BTreeMap::new(),
            results: HashMap::new(),
            wrong: None,
        }
    }

    /// Takes the next record, which says this.
    pub(super) fn take(&mut self, record: &LentRecord<'_>, said: &Record<'_>) {
        if self.wrong.is_none() {
            self.wrong = self.gathered(record, said).err();
        }
    }

    /// What was gathered so far; none before the first record, and none once something is wrong.
    pub(super) fn so_far(&self) -> Option<SoFar<'_>> {
        let setup = self.setup.as_ref().filter(|_| self.wrong.is_none())?;
        Some((setup, self.events.as_slice(), &self.ends))
    }

    /// All that was gathered.
    ///
    /// # Errors
    /// The first thing that was wrong.
    pub(super) fn done(self) -> Result<Fed, FedError> {
        match (self.wrong, self.setup) {
            (Some(wrong), _) => Err(wrong),
            (None, None) => Err(FedError::NotBegun),
            (None, Some(setup)) => Ok(Fed {
                setup,
                events: self.events,
                ends: self.ends,
            }),
        }
    }

    fn gathered(&mut self, record: &LentRecord<'_>, said: &Record<'_>) -> Result<(), FedError> {
        match said {
            Record::RunStart(start) => self.setup = Some(self.texts.setup(record, start)?),
            Record::ToolResult(result) => {
                // An id with a dot is a call that another call made; the planner has not asked for it.
                let call = result.call_of.call.as_deref();
                if let Some(call) = call.and_then(|call| call.parse().ok()) {
                    let own = Own {
                        payload: record.into(),
                        fuel: result.used.fuel.unwrap_or(0),
                        whole: result.tool == ON_PLAN,
                    };
                    self.results.insert(call, own);
                }
            }
            Record::PlannerEvent(event) => self.event(record, event)?,
            _ => {}
        }
        Ok(())
    }

    fn event(&mut self, record: &LentRecord<'_>, said: &PlannerEvent<'_>) -> Result<(), FedError> {
        let wrong = |what: &str| FedError::Payload {
            seq: record.seq,
            what: what.to_owned(),
        };
        let texts = &self.texts;
        let payload = || PayloadOf::from(record);
        let event = match &*said.event {
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
                answer: texts.payload(&payload())?,
            },
            "requested" => Recorded::Requested {
                request: RequestId(said.request.ok_or_else(|| wrong("names no request"))?),
                step: match &said.of {
                    Some(step) => step.to_string(),
                    None => return Err(wrong("names no step")),
                },
                input: texts.payload(&payload())?,
            },
            "withdrawn" => Recorded::Withdrawn {
                request: RequestId(said.request.ok_or_else(|| wrong("names no request"))?),
            },
            "closed" => Recorded::Closed {
                stops: match record.commit {
                    Some(_) => Some(texts.text(&payload())?),
                    None => None,
                },
            },
            "cancelled" => Recorded::Cancelled {
                reason: texts.text(&payload())?,
            },
            "host_failed" => Recorded::HostFailed {
                failure: texts.payload::<flowhost_flow::Failure>(&payload())?,
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
        record: &LentRecord<'_>,
        said: &PlannerEvent<'_>,
        call: CallId,
    ) -> Result<CallEnd, FedError> {
        let own = self.results.remove(&call.0);
        let own = own.as_ref();
        // An end that says nothing of its own has nothing to add to its call's result.
        let (calls, fuel) = own.map_or((0, 0), |own| (1, own.fuel));
        let stands = said.result.as_deref();
        let stands = stands.or_else(|| Some(if own?.whole { "own" } else { "content" }));
        let texts = &self.texts;
        let result = match (stands, own) {
            (Some("own"), Some(own)) => CallResult::Output(texts.payload(&own.payload)?),
            (Some("content"), Some(own)) => {
                CallResult::Output(handed_on_of(texts.payload(&own.payload)?))
            }
            (None | Some("own" | "content"), None) => {
                let what = format!("is that of call {}, whose result is not recorded", call.0);
                let seq = record.seq;
                return Err(FedError::Payload { seq, what });
            }
            _ => texts.payload(&record.into())?,
        };
        let used = Amounts {
            calls: said.calls.unwrap_or(calls),
            fuel: said.fuel.unwrap_or(fuel),
            tokens: said.tokens.unwrap_or(0),
            micro_usd: said.micro_usd.unwrap_or(0),
        };
        Ok(CallEnd { result, used })
    }
}

/// The payloads of records as they were before anything was taken out of them.
struct Texts<'p> {
    payloads: &'p Payloads<'p>,
    key: Option<&'p DataKey>,
}

impl Texts<'_> {
    fn setup(&self, record: &LentRecord<'_>, start: &RunStart<'_>) -> Result<RunSetup, FedError> {
        // A host that writes events down says which version its records have.
        match start.schema {
            Some(_) => self.payload(&record.into()),
            None => Err(FedError::NoEvents),
        }
    }

    fn payload<T: DeserializeOwned>(&self, of: &PayloadOf) -> Result<T, FedError> {
        let text = self.text(of)?;
        serde_json::from_str(&text).map_err(|error| FedError::Payload {
            seq: of.seq,
            what: format!("is not what it has to be: {error}"),
        })
    }

    fn text(&self, of: &PayloadOf) -> Result<String, FedError> {
        let wrong = |what: &str| FedError::Payload {
            seq: of.seq,
            what: what.to_owned(),
        };
        let commit = of.commit.as_deref();
        let commit = commit.ok_or_else(|| wrong("was never written"))?;
        let exact = self.key.map(|key| self.payloads.exact_of(of, key));
        let found = match exact.transpose()?.flatten() {
            Some(exact) => Some(exact),
            None => self.payloads.get(of.seq, commit)?,
        };
        let bytes = found.ok_or_else(|| wrong("was erased or lost"))?;
        String::from_utf8(bytes).map_err(|_| wrong("is not text"))
    }
}
