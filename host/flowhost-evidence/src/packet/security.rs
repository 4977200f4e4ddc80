//! Security reviews: which tasks need one, by the tasks' own flag, and what was said of each.

use std::collections::BTreeMap;

use flowhost_flow::hash::run_began_ms;
use flowhost_ledger::timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Files;
use super::read::word;
use crate::stage::{Form, Judged, judge};

/// Microseconds by which a word may be older or younger than its run: it is said just before the run begins, and a clock may be set
/// in between.
const APART_US_MAX: u64 = 600_000_000;

/// What is known of a word from the run that is said to have it on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// The run is here and has it on record.
    Recorded,
    /// The run is not here, or cannot be read: it may be on the machine of somebody else.
    Unverified,
    /// It does not count, and why.
    Refused(String),
}

/// Asks the run of this id about a document, which is given as it was recorded. The id is that of a run, and so no path.
pub type Witness<'w> = dyn Fn(&str, &Value) -> Proof + 'w;

/// What a reviewer says of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Says {
    /// Nobody has said anything, or it is to be looked at again.
    Open,
    /// Nothing was found that matters.
    Passed,
    /// Something was found, and somebody takes the risk.
    Accepted,
    /// It must not go on like this.
    Failed,
}

impl Says {
    /// The words of files and of the command line.
    pub const WORDS: [(&'static str, Self); 4] = [
        ("open", Self::Open),
        ("passed", Self::Passed),
        ("accepted", Self::Accepted),
        ("failed", Self::Failed),
    ];

    /// The one of this word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        let mut all = Self::WORDS.into_iter();
        all.find(|(known, _)| *known == word).map(|(_, says)| says)
    }

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        let mut all = Self::WORDS.into_iter();
        all.find(|(_, says)| *says == self)
            .map_or("open", |(word, _)| word)
    }
}

/// A task that needs a review, with the latest that was said of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Item {
    /// Its id.
    pub task: String,
    /// Its title.
    pub title: String,
    /// Who owns it.
    pub owner: String,
    /// What was said last.
    pub says: Says,
    /// By whom; empty while nobody has said anything.
    pub by: String,
    /// With which words.
    pub note: String,
    /// When.
    pub recorded_at: String,
    /// The run that has it on record.
    pub run_id: String,
    /// Whether that run is here and has it on record.
    pub verified: bool,
    /// The file.
    #[serde(skip)]
    pub path: Option<String>,
}

impl Item {
    /// What was said, and that nobody can check it where that is so.
    #[must_use]
    pub fn shown(&self) -> String {
        match self.is_unverified() {
            true => format!("{} (unverified)", self.says.word()),
            false => self.says.word().to_owned(),
        }
    }

    /// Whether something was said of which no run here knows.
    #[must_use]
    pub(crate) fn is_unverified(&self) -> bool {
        !self.by.is_empty() && !self.verified
    }
}

/// Something that is said of a task, before it is on record.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// Below the evidence root.
    pub path: String,
    /// What is recorded.
    pub document: Value,
}

impl Finding {
    /// The file, once it is on record in a run's ledger.
    #[must_use]
    pub fn file(&self, run_id: &str) -> Vec<u8> {
        let mut document = self.document.clone();
        if let Value::Object(fields) = &mut document {
            fields.insert("recorded_by".to_owned(), json!({ "run_id": run_id }));
        }
        let mut bytes = serde_json::to_vec_pretty(&document).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }
}

/// What `by` says of a task at `recorded_at` (`2026-11-26T09:00:00.000000Z`).
#[must_use]
pub fn finding(
    spec: &str,
    item: &Item,
    says: Says,
    by: &str,
    note: &str,
    recorded_at: &str,
) -> Finding {
    Finding {
        path: path_of(spec, &item.task, recorded_at, by),
        document: json!({
            "schemaVersion": 1, "spec_id": spec, "task": item.task, "title": item.title,
            "status": says, "by": by, "note": note, "recorded_at": recorded_at,
        }),
    }
}

fn path_of(spec: &str, task: &str, recorded_at: &str, by: &str) -> String {
    let stamp = recorded_at.chars().filter(char::is_ascii_alphanumeric);
    let stamp: String = stamp.collect();
    format!("commands/{spec}/{task}_{stamp}_{by}_security.json")
}

/// The tasks that need a review, in their order, and what was said of each. What does not count is put into `refused`, with why.
pub(super) fn items(
    spec: &str,
    tasks: Option<&Value>,
    files: &Files,
    witness: &Witness<'_>,
    refused: &mut BTreeMap<String, String>,
) -> Vec<Item> {
    let flagged = tasks
        .and_then(|it| it.get("tasks")?.as_array())
        .into_iter()
        .flatten()
        .filter(|it| it.get("security_review") == Some(&Value::Bool(true)));
    let mut items: Vec<Item> = flagged
        .map(|task| Item {
            task: word(task, "id"),
            title: word(task, "title"),
            owner: word(task, "owner_role"),
            says: Says::Open,
            by: String::new(),
            note: String::new(),
            recorded_at: String::new(),
            run_id: String::new(),
            verified: false,
            path: None,
        })
        .collect();
    let mut unverified = Vec::new();
    let folder = format!("commands/{spec}/");
    for (path, bytes) in files.iter().filter(|(path, _)| path.starts_with(&folder)) {
        if judge(path, bytes) != Judged::Valid(Form::Security) {
            continue;
        }
        let Ok(said) = serde_json::from_slice::<Value>(bytes) else {
            continue;
        };
        match proof(spec, path, &said, witness) {
            Proof::Recorded => take(&mut items, path, &said, true),
            Proof::Unverified => unverified.push((path, said)),
            Proof::Refused(why) => {
                refused.insert(path.clone(), why);
            }
        }
    }
    // After the others: what nobody here can check must not take the place of what is on record.
    for (path, said) in unverified {
        let task = word(&said, "task");
        if items.iter().any(|it| it.verified && it.task == task) {
            let why = "the run that is to have it on record is not in this state folder, so that it does not take the place \
                       of what another run here has on record";
            refused.insert(path.clone(), why.to_owned());
        } else {
            take(&mut items, path, &said, false);
        }
    }
    items
}

/// Lets a word count for its task, if it is the latest.
fn take(items: &mut [Item], path: &str, said: &Value, verified: bool) {
    let (task, at) = (word(said, "task"), word(said, "recorded_at"));
    let item = items
        .iter_mut()
        .find(|it| it.task == task && it.recorded_at < at);
    if let (Some(item), Some(says)) = (item, Says::named(&word(said, "status"))) {
        item.says = says;
        item.by = word(said, "by");
        item.note = word(said, "note");
        item.recorded_at = at;
        item.run_id = run_of(said).to_owned();
        item.verified = verified;
        item.path = Some(path.to_owned());
    }
}

/// The run that is said to have it on record; empty where none is.
pub(super) fn run_of(said: &Value) -> &str {
    let run = said.pointer("/recorded_by/run_id").and_then(Value::as_str);
    run.unwrap_or_default()
}

/// What is to be held of a file: it may come with a clone, and say anything in anybody's name.
fn proof(spec: &str, path: &str, said: &Value, witness: &Witness<'_>) -> Proof {
    let at = word(said, "recorded_at");
    if word(said, "spec_id") != spec
        || path_of(spec, &word(said, "task"), &at, &word(said, "by")) != path
    {
        let why =
            "its name is not that of what it says: spec, task, time and reviewer stand in both";
        return Proof::Refused(why.to_owned());
    }
    let run = run_of(said);
    let Some(began_ms) = run_began_ms(run) else {
        return Proof::Refused(format!("`{run}` is not the id of a run"));
    };
    let fits =
        micros(&at).is_some_and(|at| at.abs_diff(began_ms.saturating_mul(1_000)) <= APART_US_MAX);
    if !fits {
        let began = timestamp(began_ms.saturating_mul(1_000));
        return Proof::Refused(format!(
            "`{at}` is not the time of the run {run} that is to have it on record, which began at {began}"
        ));
    }
    let mut recorded = said.clone();
    if let Value::Object(fields) = &mut recorded {
        fields.remove("recorded_by");
    }
    witness(run, &recorded)
}

/// Microseconds of a time in the one form in which times are in order as texts.
fn micros(at: &str) -> Option<u64> {
    let parsed = OffsetDateTime::parse(at, &Rfc3339).ok()?;
    let us = u64::try_from(parsed.unix_timestamp_nanos() / 1_000).ok()?;
    (timestamp(us) == at).then_some(us)
}

/// What a reviewer goes through, for each task.
pub(super) const QUESTIONS: [&str; 8] = [
    "Who may call it, and how is that checked at the place where it happens?",
    "What comes from outside, and what becomes of the longest, the emptiest and the falsest of it?",
    "What is stored, for how long, and who deletes it?",
    "Which secrets does it use, where are they, and what reads them?",
    "What can one customer see, change or slow down of another?",
    "What is logged, and does a log line hold what it must not?",
    "What happens when what it calls is away, slow or lying?",
    "How would somebody notice that it was abused, and what is done then?",
];
