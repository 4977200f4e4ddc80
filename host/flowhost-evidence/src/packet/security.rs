//! Security reviews: which tasks need one, by the tasks' own flag, and what was said of each.

use serde::Serialize;
use serde_json::{Value, json};

use super::Files;
use super::read::word;
use crate::stage::{Form, Judged, judge};

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
    /// The file.
    #[serde(skip)]
    pub path: Option<String>,
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
    let stamp: String = recorded_at
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect();
    Finding {
        path: format!("commands/{spec}/{}_{stamp}_{by}_security.json", item.task),
        document: json!({
            "schemaVersion": 1, "spec_id": spec, "task": item.task, "title": item.title,
            "status": says, "by": by, "note": note, "recorded_at": recorded_at,
        }),
    }
}

/// The tasks that need a review, in their order, and what was said of each.
pub(super) fn items(spec: &str, tasks: Option<&Value>, files: &Files) -> Vec<Item> {
    let listed = tasks
        .and_then(|it| it.get("tasks")?.as_array())
        .into_iter()
        .flatten();
    let flagged = listed.filter(|it| it.get("security_review") == Some(&Value::Bool(true)));
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
            path: None,
        })
        .collect();
    let folder = format!("commands/{spec}/");
    for (path, bytes) in files.iter().filter(|(path, _)| path.starts_with(&folder)) {
        if judge(path, bytes) != Judged::Valid(Form::Security) {
            continue;
        }
        let Ok(said) = serde_json::from_slice::<Value>(bytes) else {
            continue;
        };
        let (task, at) = (word(&said, "task"), word(&said, "recorded_at"));
        let item = items
            .iter_mut()
            .find(|it| it.task == task && it.recorded_at < at);
        if let (Some(item), Some(says)) = (item, Says::named(&word(&said, "status"))) {
            item.says = says;
            item.by = word(&said, "by");
            item.note = word(&said, "note");
            item.recorded_at = at;
            let run = said.pointer("/recorded_by/run_id").and_then(Value::as_str);
            item.run_id = run.unwrap_or_default().to_owned();
            item.path = Some(path.clone());
        }
    }
    items
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
