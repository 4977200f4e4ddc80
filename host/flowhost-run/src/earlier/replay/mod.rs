//! A run that is done again from its record: guests really run, and everything outside of them is the record.
//!
//! Guests are deterministic, planners are pure, and what the world answered is recorded. So a replay has to
//! say every record again, byte for byte, with the record's own times; where it does not, it stops and
//! tells which record it was. Calls are replayed in the order in which the planner was told of their ends,
//! each with its own lane of records ([`script`]), so that it does not matter how calls overlapped. What is
//! taken as it stands is said in [`Replayed::taken`].
//!
//! Must never reach the network, a model, a disk of the project or a clock, and never write.

mod builds;
mod drive;
mod lives;
mod messages;
mod nowhere;
mod script;

use std::collections::BTreeMap;

use flowhost_flow::planner::{CallEnd, CallId, EventRecord};
use flowhost_flow::{Exit, RunSetup};
use flowhost_ledger::Kind;
use serde::Serialize;
use serde_json::Value;

use crate::base::failure::Failure;
use crate::given::project::{Member, Project};
use crate::given::redaction::{redaction, seals};
use crate::host::Host;

pub(crate) use nowhere::{Nowhere, gateway};
pub use script::Entry;
pub(crate) use script::Script;

/// A run as its folder has it.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// All records, in order.
    pub entries: Vec<Entry>,
    /// What the planner was made with.
    pub setup: RunSetup,
    /// What it was fed.
    pub events: Vec<EventRecord>,
    /// How the calls ended that the events name.
    pub ends: BTreeMap<CallId, CallEnd>,
    /// Builds of plugins that took the place of those that the run began with, by the plugins' keys.
    pub later: Vec<(String, Member)>,
}

/// How to replay.
#[derive(Debug, Clone, Default)]
pub struct ReplayOptions {
    /// Only the planner: no guest runs, and the results of calls are the record's.
    pub steps_only: bool,
    /// Plugins that another build stands in for, by their keys: its component and what it uses may differ,
    /// and what it does may not.
    pub swapped: Vec<String>,
}

/// Where a replay was not what the record says.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// The record's number; none where the record has nothing at this place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<u64>,
    /// What is wrong, in words.
    pub what: String,
    /// The record, with its payload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<Value>,
    /// What the replay said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub got: Option<Value>,
}

impl Difference {
    pub(crate) fn new(
        record: Option<u64>,
        what: &str,
        expected: Option<Value>,
        got: Option<Value>,
    ) -> Self {
        Self {
            record,
            what: what.to_owned(),
            expected,
            got,
        }
    }
}

/// What a replay came to.
#[derive(Debug, Clone, Serialize)]
pub struct Replayed {
    /// Whether it said all that the record says.
    pub same: bool,
    /// Records of the run.
    pub records: u64,
    /// Those that the replay said again.
    pub matched: u64,
    /// Calls whose guests ran.
    pub calls: u64,
    /// Calls that are taken as they ended, with the reason: they were stopped from outside.
    pub taken: BTreeMap<String, String>,
    /// The hash of the last record, which holds those of all others.
    pub last: String,
    /// The first difference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<Difference>,
}

impl Host {
    /// Replays a run. `project` is what it was made of ([`crate::given::bundle`]).
    ///
    /// # Errors
    /// When the run cannot be replayed at all: it swapped a plugin for one with fewer rights, or a component of it
    /// cannot be loaded. A replay that differs is no error.
    pub async fn replay(
        &self,
        project: Project,
        recorded: Recorded,
        options: ReplayOptions,
    ) -> Result<Replayed, Failure> {
        if redaction(&project).payloads && !seals(&project) {
            let what = "this run cannot be replayed";
            return Err(Failure::new(Exit::Internal, what)
                .because("its plan says `sealed: none`, so that its record is not exact"));
        }
        replayable(&recorded)?;
        drive::replay(self.process(), project, recorded, options).await
    }
}

/// The version of records that this host says again, byte for byte: an older one said the same in other
/// records.
const REPLAYABLE: u64 = flowhost_ledger::records::SCHEMA;

fn replayable(recorded: &Recorded) -> Result<(), Failure> {
    let cannot = |why: &str| {
        let what = "this run cannot be replayed";
        Err(Failure::new(Exit::Internal, what).because(why))
    };
    let start = recorded.entries.first().map(|entry| &entry.record);
    let schema = start
        .and_then(|record| record.number("schema"))
        .unwrap_or(1); // the first had no number
    if schema < REPLAYABLE {
        return cannot("an older host made it, whose records are not those that this one writes");
    }
    let unreadable = |entry: &&Entry| {
        entry.record.text("sealed").is_some() && entry.payload.is_some() && entry.exact.is_none()
    };
    if let Some(entry) = recorded.entries.iter().find(unreadable) {
        let seq = entry.record.seq;
        return cannot(&format!(
            "the exact payload of record {seq} is sealed with a key that was erased, or is another host's"
        ));
    }
    // Of rights the record has the hash, under which nobody can run a guest.
    let narrowed = recorded.entries.iter().find(|entry| {
        let record = &entry.record;
        let reload = record.kind() == Some(Kind::Reload);
        reload && record.text("profile") != record.text("profile_before")
    });
    match narrowed {
        Some(entry) => cannot(&format!(
            "record {} swaps a plugin for a build with fewer rights, and those are not kept",
            entry.record.seq
        )),
        None => Ok(()),
    }
}
