//! `evidence:` of a plan: whose evidence its stages leave, where, how much of it there may be, and the
//! documents that it is about.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::plan::Step;
use crate::plan::parse::{optional, text};
use crate::plan::tree::Node;
use crate::problem::{At, Problems};

/// Files that stages leave for people and programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// Whose evidence it is: names folders and files.
    pub spec_id: String,
    /// A folder below the plan's.
    pub root: String,
    /// Over so many megabytes of the spec there is a warning.
    pub warn_mb: u64,
    /// Over so many no stage starts.
    pub max_mb: u64,
    /// Before a run begins, the files of all earlier runs but so many are put into archives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_runs: Option<u64>,
    /// What the evidence is about, by what each is for ([`ROLES`]): path and hash are in the run's record.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub documents: BTreeMap<String, Document>,
    /// Whether the plan and what it names must be as they were committed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub require_clean: bool,
    /// When more checks of the run do not hold than this, it is halted. Not in the hash where it is the default: plans
    /// that do not say it keep theirs.
    #[serde(skip_serializing_if = "is_usual_failed_checks")]
    pub max_failed_checks: u64,
}

/// Failed checks that a run of a pipeline may have when its plan does not say: a stage or two that warn are ordinary,
/// more is a pipeline that makes what nobody can use.
const FAILED_CHECKS_MAX: u64 = 3;

const fn is_usual_failed_checks(max: &u64) -> bool {
    *max == FAILED_CHECKS_MAX
}

/// A document that the evidence is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Document {
    /// The file, relative to the plan.
    pub path: String,
    /// Its version, as its owners count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Where it is named.
    #[serde(skip)]
    pub at: At,
}

/// What is kept of a stage beyond its run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Remember {
    /// How much it is worth, from 1 to 10.
    pub importance: u64,
    /// For whom it is kept.
    pub domain: String,
    /// What it is found by, beside spec, stage and agent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

/// What an entry is worth where the plan does not say: a verdict is worth keeping.
const IMPORTANCE: u64 = 8;
/// For whom it is kept where the plan does not say.
const DOMAIN: &str = "spec-tracker";
/// Tags of a stage: more are a text, and not what something is found by.
const TAGS_MAX: usize = 20;
/// Characters of a tag. A tag is a word to sort by, not a text.
const TAG_CHARS_MAX: usize = 64;

/// What a document can be for; each is a key of `evidence:`.
pub const ROLES: [&str; 3] = ["spec", "prd", "governance"];

/// Megabytes of a spec's evidence over which there is a warning, and over which no stage starts, when a
/// plan does not say: a stage of three agents leaves some 100 kB.
const EVIDENCE_MB: (u64, u64) = (15, 25);

pub(super) fn read(node: &Node, problems: &mut Problems) -> Evidence {
    let number = |key: &str, default| {
        node.get(key)
            .and_then(|node| node.json().as_u64())
            .unwrap_or(default)
    };
    let documents = ROLES.iter().filter_map(|role| {
        let named = node.get(role)?;
        let document = Document {
            // The walk has told of one without a path, and there is no file to look for.
            path: optional(named, "path")?,
            version: optional(named, "version"),
            at: named.at,
        };
        Some(((*role).to_owned(), document))
    });
    let evidence = Evidence {
        spec_id: text(node, "spec_id"),
        root: optional(node, "root").unwrap_or_else(|| "evidence".to_owned()),
        warn_mb: number("warn_mb", EVIDENCE_MB.0),
        max_mb: number("max_mb", EVIDENCE_MB.1),
        keep_runs: node.get("keep_runs").and_then(|it| it.json().as_u64()),
        documents: documents.collect(),
        require_clean: node
            .get("require_clean")
            .is_some_and(|node| node.json().as_bool() == Some(true)),
        max_failed_checks: number("max_failed_checks", FAILED_CHECKS_MAX),
    };
    let at = |key: &str| node.get(key).map_or(node.at, |node| node.at);
    let plain = |part: &str| !matches!(part, "" | "." | "..");
    if !evidence.root.split('/').all(plain) || evidence.root.contains('\\') {
        let message = format!("root: `{}` is not a folder below the plan's", evidence.root);
        problems.add(at("root"), message, "for example `root: evidence`");
    }
    if evidence.warn_mb > evidence.max_mb {
        let message = format!(
            "`warn_mb` is {} and `max_mb` is {}: nobody would be warned",
            evidence.warn_mb, evidence.max_mb
        );
        problems.add(at("warn_mb"), message, "warn before it is too much");
    }
    evidence
}

/// `remember:` of the step.
pub(super) fn remember(step: &str, node: &Node, problems: &mut Problems) -> Remember {
    let tags = node.get("tags").map(Node::elements).unwrap_or_default();
    if tags.len() > TAGS_MAX {
        let message = format!(
            "step `{step}`: {} tags; {TAGS_MAX} are the most",
            tags.len()
        );
        problems.add(node.at, message, "keep those that it is looked for by");
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | ':' | '.' | '/');
    let mut kept = Vec::new();
    for tag in tags {
        // The walk has told of what is no text.
        let Some(text) = tag.text() else { continue };
        if text.len() > TAG_CHARS_MAX || !text.chars().all(plain) {
            let message = format!("step `{step}`: `{text}` is not a tag");
            let hint = format!(
                "letters, digits, `-`, `_`, `:`, `.` or `/`, at most {TAG_CHARS_MAX}, for example `team:sync`"
            );
            problems.add(tag.at, message, &hint);
        }
        kept.push(text.to_owned());
    }
    let stated = node.get("importance").and_then(|it| it.json().as_u64());
    Remember {
        importance: stated.unwrap_or(IMPORTANCE),
        domain: optional(node, "domain").unwrap_or_else(|| DOMAIN.to_owned()),
        tags: kept,
    }
}

/// What is remembered is the answer of a stage whose evidence the plan leaves.
pub(super) fn check_remembered(root: &Node, steps: &[Arc<Step>], problems: &mut Problems) {
    for step in steps.iter().filter(|step| step.remember.is_some()) {
        let id = &step.id;
        if step.stage.is_none() || root.get("evidence").is_none() {
            let message =
                format!("step `{id}`: `remember` is about a stage whose evidence the plan leaves");
            problems.add(
                step.at,
                message,
                "add `stage:` to it and `evidence:` to the plan",
            );
        }
        if step.foreach.is_some() {
            let message = format!("step `{id}`: `remember` has no meaning for a `foreach`");
            problems.add(
                step.at,
                message,
                "give it to the step that puts the items together",
            );
        }
    }
}
