//! Which runs there were, and what happened in one: read from the run index and from a run's ledger.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use flowhost_flow::RunStatus;
use flowhost_ledger::records::{Asked, Record};
use flowhost_ledger::{Payloads, RealDisk, RunIndex, Source, StoredRecord, Value, read_run_in};
use serde::Serialize;

use crate::Unreadable;
use crate::told::Told;

/// The status of a run that is at work, and of a step of which no record says how it ended.
pub const UNFINISHED: &str = "unfinished";
/// The status of a run, and of a step of it, that waits for somebody's word.
pub const WAITING: &str = RunStatus::Waiting.word();
/// The status of a run that let go of its process before its end.
pub const INTERRUPTED: &str = RunStatus::Interrupted.word();
/// The status of a run that the index has, whose folder is gone, and that nobody removed on purpose.
pub const GONE: &str = "gone";

/// One run as the index knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunEntry {
    /// ULID.
    pub run_id: String,
    /// When it was entered, RFC 3339.
    pub started: String,
    /// When its end was entered; none while it runs, or after it was killed.
    pub ended: Option<String>,
    /// The status it ended with; `unfinished` without an end.
    pub status: String,
    /// The plan's name; empty if the index does not say.
    pub plan: String,
    /// `sha256:…` of the resolved plan; empty if the index does not say.
    pub plan_hash: String,
    /// Records in its ledger when it ended.
    pub records: Option<u64>,
    /// The plan's labels, as they were for this run.
    pub labels: BTreeMap<String, String>,
    /// Whose evidence its stages left, if the plan says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spec: Option<String>,
    /// Set once it was removed on purpose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removed: Option<Removed>,
    /// What is wrong with its ledger, where whoever lists runs has looked and found something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

/// What the index says of a run that was removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Removed {
    /// When, RFC 3339.
    pub at: String,
    /// SHA-256 of the archive that it was put into; none where it was not.
    pub archive: Option<String>,
    /// Bytes of that archive.
    pub archive_bytes: Option<u64>,
}

/// A record as `runs show` prints it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecordEntry {
    /// Sequence number.
    pub seq: u64,
    /// Informational time, RFC 3339.
    pub ts: String,
    /// `<tenant>/<plugin>` or `<tenant>/host`.
    pub actor: String,
    /// The kind's word.
    pub kind: String,
    /// The kind's own fields.
    pub fields: BTreeMap<String, serde_json::Value>,
    /// The same, typed; none when its kind is not known, or it is not what its kind says.
    #[serde(skip)]
    pub said: Option<Record>,
    /// What was asked for, if the record is about a right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked: Option<Asked>,
    /// What a guardrail, a check or a message is about, in a line; its own fields do not say it.
    #[serde(skip)]
    pub told: Option<String>,
    /// Commitment to a payload, if there is one.
    pub commit: Option<String>,
}

/// All runs of `tenant` below the state folder `root`, oldest first.
///
/// # Errors
/// [`Unreadable`] when the index cannot be read or is not sound.
pub fn list(root: &Path, tenant: &str) -> Result<Vec<RunEntry>, Unreadable> {
    let Some(records) = RunIndex::read(root, tenant)? else {
        return Ok(Vec::new());
    };
    let mut listing = Listing::default();
    for record in records {
        listing.enter(&record?);
    }
    Ok(listing.runs)
}

/// The newest runs of `tenant`, oldest first: some hundred, at the same cost whatever their number.
/// Unchecked, so only for what decides nothing.
///
/// # Errors
/// What the disk says.
pub fn newest(root: &Path, tenant: &str) -> std::io::Result<Vec<RunEntry>> {
    let mut listing = Listing::default();
    for record in RunIndex::newest(root, tenant)? {
        listing.enter(&record);
    }
    Ok(listing.runs)
}

/// Runs in the order in which they began, and where each is: thousands of them may be open at once.
#[derive(Default)]
struct Listing {
    runs: Vec<RunEntry>,
    places: HashMap<String, usize>,
}

impl Listing {
    fn of(&mut self, run_id: Option<&str>) -> Option<&mut RunEntry> {
        let place = self.places.get(run_id?)?;
        self.runs.get_mut(*place)
    }

    fn enter(&mut self, record: &StoredRecord) {
        match record.read() {
            Ok(Some(Record::RunStart(start))) => {
                let run_id = start.run_id.unwrap_or_default();
                self.places.insert(run_id.clone(), self.runs.len());
                self.runs.push(RunEntry {
                    run_id,
                    started: record.ts.clone(),
                    ended: None,
                    status: UNFINISHED.to_owned(),
                    plan: start.plan.unwrap_or_default(),
                    plan_hash: start.plan_hash.unwrap_or_default(),
                    records: None,
                    labels: start.labels.unwrap_or_default(),
                    spec: start.spec,
                    removed: None,
                    warning: None,
                });
            }
            Ok(Some(Record::RunEnd(end))) => {
                if let Some(run) = self.of(end.run_id.as_deref()) {
                    run.ended = Some(record.ts.clone());
                    run.status = end.status;
                    run.records = end.size;
                }
            }
            Ok(Some(Record::RunResume(resume))) => {
                if let Some(run) = self.of(resume.run_id.as_deref()) {
                    run.ended = None;
                    run.status = UNFINISHED.to_owned();
                    run.records = None;
                }
            }
            Ok(Some(Record::RunRemove(remove))) => {
                if let Some(run) = self.of(Some(&remove.run_id)) {
                    run.removed = Some(Removed {
                        at: record.ts.clone(),
                        archive: remove.archive,
                        archive_bytes: remove.archive_bytes,
                    });
                }
            }
            Ok(Some(Record::RunRestore(restored))) => {
                if let Some(run) = self.of(Some(&restored.run_id)) {
                    run.removed = None;
                }
            }
            // Whoever checks the index tells of a record that it should not have; a list shows what it can.
            _ => {}
        }
    }
}

/// Every record of the run whose ledger is in `dir`, in order.
///
/// # Errors
/// [`Unreadable`] when the ledger cannot be read or its chain is broken.
pub fn show(dir: &Path) -> Result<Vec<RecordEntry>, Unreadable> {
    show_in(&RealDisk, dir)
}

/// As [`show`], from any source of files: an archive, too.
///
/// # Errors
/// As [`show`].
pub fn show_in(source: &dyn Source, dir: &Path) -> Result<Vec<RecordEntry>, Unreadable> {
    let payloads = Payloads::open(source, dir)?;
    let mut entries: Vec<RecordEntry> = read_run_in(source, dir)?
        .map(|record| {
            let entry = RecordEntry::from(record?);
            let asked = asked(&entry, &payloads);
            Ok(RecordEntry { asked, ..entry })
        })
        .collect::<Result<_, Unreadable>>()?;
    let told = Told::of(&entries);
    for entry in &mut entries {
        entry.told = told.line(entry, || payload_of(entry, &payloads));
    }
    Ok(entries)
}

/// What the record holds; none when it holds nothing, and when that is not there.
fn payload_of(entry: &RecordEntry, payloads: &Payloads<'_>) -> Option<Vec<u8>> {
    let commit = entry.commit.as_deref()?;
    payloads.get(entry.seq, commit).ok()?
}

/// What the record says was asked for; none when it is not about a right, or when its payload is not
/// there.
fn asked(entry: &RecordEntry, payloads: &Payloads<'_>) -> Option<Asked> {
    let decided = entry.said.as_ref()?.decided();
    let decided = decided.filter(|it| it.decision.is_some())?;
    let payload = payload_of(entry, payloads);
    let asked = Asked::of(decided, payload.as_deref());
    (!asked.wanted.is_empty()).then_some(asked)
}

impl From<StoredRecord> for RecordEntry {
    fn from(record: StoredRecord) -> Self {
        let fields = record.fields.iter();
        Self {
            seq: record.seq,
            ts: record.ts.clone(),
            actor: record.actor.clone(),
            kind: record.kind_text.to_string(),
            fields: fields
                .map(|(name, value)| (name.to_owned(), json(value)))
                .collect(),
            said: record.read().ok().flatten(),
            asked: None,
            told: None,
            commit: record.commit.clone(),
        }
    }
}

fn json(value: &Value) -> serde_json::Value {
    match value {
        Value::Text(text) => text.as_str().into(),
        Value::List(list) => list.clone().into(),
        Value::Map(map) => serde_json::json!(map),
    }
}

impl RecordEntry {
    /// The fields that say most about a record, in one line.
    #[must_use]
    pub fn summary(&self) -> String {
        const SHOWN: [&str; 16] = [
            "decision",
            "right",
            "rule",
            "interface",
            "path",
            "event",
            "plugin",
            "how",
            "bound",
            "tool",
            "guardrail",
            "action",
            "status",
            "outcome",
            "address",
            "message",
        ];
        if let Some(told) = &self.told {
            return told.clone();
        }
        // What a plugin was, and under which rights, is what these are there to say.
        let shown: &[&str] = match &self.said {
            Some(Record::ComponentLoad(_)) => &["plugin", "file", "revision", "component"],
            Some(Record::PolicyLoad(_)) => &["plugin", "name", "file", "profile"],
            Some(Record::Reload(_)) => &["plugin", "revision", "component", "profile"],
            _ => &SHOWN,
        };
        let shown = shown.iter().filter_map(|name| {
            let value = self.fields.get(*name)?.as_str()?;
            Some(match *name {
                "decision" | "interface" => value.to_owned(),
                _ => format!("{name}={value}"),
            })
        });
        let asked = self.asked.as_ref().map(|asked| asked.wanted.clone());
        shown.chain(asked).collect::<Vec<_>>().join("  ")
    }
}

/// What became of one step, as its records say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct StepEntry {
    /// Its path in the plan.
    pub path: String,
    /// How it ended; `waiting` where the run waits at it, `unfinished` when no record says.
    pub status: String,
    /// Attempts begun; of a `foreach`, the most that one of its items took.
    pub attempts: u64,
    /// Milliseconds; none when it has not ended.
    pub duration_ms: Option<u64>,
    /// Fuel units of all its calls.
    pub fuel: u64,
    /// Model tokens.
    pub tokens: u64,
    /// Millionths of a US dollar.
    pub micro_usd: u64,
    /// The class of its failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// The record that says why it failed, with the commitment to its payload.
    #[serde(skip)]
    pub why: Option<(u64, String)>,
    /// Who took back by hand, behind the end of the run, what this compensation could not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settled: Option<Settled>,
}

/// Whose word it is that something was done by hand.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Settled {
    /// The name that they gave.
    pub by: String,
    /// When it was recorded, RFC 3339.
    pub at: String,
}

/// The steps of a run, in the order in which they began.
#[must_use]
pub fn steps(records: &[RecordEntry]) -> Vec<StepEntry> {
    let mut steps: Vec<StepEntry> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut over = false;
    for record in records {
        let Some(said) = &record.said else { continue };
        over |= matches!(said, Record::RunEnd(_));
        if let Record::RunSettle(word) = said
            && over
            && let Some(place) = places.get(&word.path)
            && let Some(step) = steps.get_mut(*place)
        {
            step.settled = Some(Settled {
                by: word.by.clone().unwrap_or_default(),
                at: record.ts.clone(),
            });
        }
        // Everything else is about a step that one of these has begun or ended.
        if !matches!(
            said,
            Record::StepStart(_) | Record::AttemptStart(_) | Record::StepEnd(_)
        ) {
            continue;
        }
        let place = *places.entry(said.path().to_owned()).or_insert_with(|| {
            steps.push(StepEntry {
                path: said.path().to_owned(),
                status: "unfinished".to_owned(),
                ..StepEntry::default()
            });
            steps.len() - 1
        });
        let Some(step) = steps.get_mut(place) else {
            continue;
        };
        match said {
            // The first one begins with its step; older hosts recorded it, too.
            Record::StepStart(_) => step.attempts = step.attempts.max(1),
            Record::AttemptStart(start) => step.attempts = step.attempts.max(start.attempt),
            Record::StepEnd(end) => {
                step.status.clone_from(&end.status);
                step.duration_ms = end.duration_ms;
                step.fuel = end.spent.fuel.unwrap_or(0);
                step.tokens = end.spent.tokens.unwrap_or(0);
                step.micro_usd = end.spent.micro_usd.unwrap_or(0);
                step.class.clone_from(&end.class);
                let commit = record.commit.clone().filter(|_| end.class.is_some());
                step.why = commit.map(|commit| (record.seq, commit));
            }
            _ => {}
        }
    }
    // A `foreach` makes no attempt by itself: it took as many as the item that took most.
    let of_item = |step: &StepEntry| {
        let (of, _) = step.path.strip_suffix(']')?.rsplit_once('[')?;
        Some((*places.get(of)?, step.attempts))
    };
    let of_items: Vec<(usize, u64)> = steps.iter().filter_map(of_item).collect();
    for (place, attempts) in of_items {
        if let Some(step) = steps.get_mut(place) {
            step.attempts = step.attempts.max(attempts);
        }
    }
    let waits = waiting_at(records);
    for step in &mut steps {
        if step.status == UNFINISHED && waits.contains(&step.path.as_str()) {
            step.status = WAITING.to_owned();
        }
    }
    steps
}

/// The steps at which the run waits for somebody's word, if that is how it stands.
fn waiting_at(records: &[RecordEntry]) -> Vec<&str> {
    let mut last = records
        .iter()
        .rev()
        .filter_map(|record| match &record.said {
            Some(Record::RunPause(pause)) => Some(Some(pause)),
            Some(Record::RunResume(_) | Record::RunEnd(_)) => Some(None),
            _ => None,
        });
    let pause = last
        .next()
        .flatten()
        .filter(|pause| pause.status == WAITING);
    let steps = pause.and_then(|pause| pause.steps.as_ref());
    steps.into_iter().flatten().map(String::as_str).collect()
}

#[cfg(test)]
mod tests {
    use flowhost_ledger::records::{ComponentLoad, PolicyLoad};

    use super::*;

    #[test]
    fn a_summary_leads_with_the_decision_and_skips_what_says_little() {
        let field = |name: &str, value: &str| (name.to_owned(), value.into());
        let record = RecordEntry {
            seq: 4,
            ts: String::new(),
            actor: "default/fetch".to_owned(),
            kind: "net.decision".to_owned(),
            fields: BTreeMap::from([
                field("rule", "http#none"),
                field("decision", "deny"),
                field("component", "sha256:00"),
            ]),
            said: None,
            asked: Some(Asked::for_what("GET https://a.example/")),
            told: None,
            commit: None,
        };
        assert_eq!(
            record.summary(),
            "deny  rule=http#none  GET https://a.example/"
        );
    }

    #[test]
    fn a_summary_says_of_a_plugin_which_file_and_build_it_was_and_which_profile_it_had() {
        let entry = |said: Record, fields: &[(&str, &str)]| {
            let fields = fields.iter();
            let fields = fields.map(|(name, value)| ((*name).to_owned(), (*value).into()));
            RecordEntry {
                seq: 1,
                ts: String::new(),
                actor: "default/host".to_owned(),
                kind: String::new(),
                fields: fields.collect(),
                said: Some(said),
                asked: None,
                told: None,
                commit: None,
            }
        };
        let component = [
            ("component", "sha256:00"),
            ("file", "builtin:markdown"),
            ("plugin", "markdown"),
            ("revision", "1"),
            ("role", "tool"),
        ];
        let policy = [
            ("component", "sha256:00"),
            ("file", "policies/pure.toml"),
            ("name", "pure"),
            ("plugin", "markdown"),
            ("profile", "sha256:11"),
        ];
        assert_eq!(
            entry(Record::ComponentLoad(ComponentLoad::default()), &component).summary(),
            "plugin=markdown  file=builtin:markdown  revision=1  component=sha256:00"
        );
        assert_eq!(
            entry(Record::PolicyLoad(PolicyLoad::default()), &policy).summary(),
            "plugin=markdown  name=pure  file=policies/pure.toml  profile=sha256:11"
        );
    }
}
