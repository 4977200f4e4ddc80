//! What agents said of a stage, kept beyond its run: one file for each, in the state folder.
//!
//! A store for people and later runs, and no evidence: the record of a run says what was remembered of it, by
//! hash. What is kept outlives the run and is found by whoever may read the state folder, so keys and personal
//! data are taken out always, whatever the plan says of its payloads. Nothing is ever changed here; an entry that
//! is written again (a run that was killed in between) is the same.

use std::sync::Arc;

use flowhost_flow::Exit;
use flowhost_flow::plan::Remember;
use flowhost_flow::planner::StepSummary;
use flowhost_ledger::Durability;
use serde::{Deserialize, Serialize};

use crate::base::failure::Failure;
use crate::given::process::Process;
use crate::given::world::Said;
use crate::kept::journal::{CUT, Journal, clean};

/// Entries of a tenant: three agents in six stages, five hundred times. Over it nothing more is remembered, and
/// the run says so.
pub const ENTRIES_MAX: usize = 10_000;
/// Bytes of an answer that are kept: four thousand tokens, a stage's usual output.
pub const TEXT_BYTES_MAX: usize = 16 << 10;
/// Bytes of an entry's file, for whoever reads it: text, tags and names, escaped.
pub const ENTRY_BYTES_MAX: u64 = 256 << 10;

/// What one agent said of a stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Names it: run, step and agent.
    pub id: String,
    /// When the stage had ended, RFC 3339.
    pub at: String,
    /// The run.
    pub run: String,
    /// Whose evidence it belongs to.
    pub spec: String,
    /// The stage.
    pub stage: String,
    /// Who said it.
    pub agent: String,
    /// What the stage came to: a consensus' status, or the step's.
    pub status: String,
    /// The share of points that agreed; none where nobody compared.
    pub agreement_ratio: Option<f64>,
    /// For whom it is kept.
    pub domain: String,
    /// From 1 to 10.
    pub importance: u64,
    /// What it is found by: `spec:…`, `stage:…`, `agent:…`, and the plan's own.
    pub tags: Vec<String>,
    /// What was said, without keys and personal data, and cut at [`TEXT_BYTES_MAX`].
    pub text: String,
    /// Whether it was cut.
    pub cut: bool,
}

impl Entry {
    /// Whether it has all of the tags.
    #[must_use]
    pub fn has(&self, tags: &[String]) -> bool {
        tags.iter().all(|tag| self.tags.contains(tag))
    }
}

/// A stage of which something is remembered.
pub(crate) struct Stage<'a> {
    pub(crate) run: &'a str,
    pub(crate) spec: &'a str,
    pub(crate) step: &'a StepSummary,
    pub(crate) wanted: &'a Remember,
}

impl Stage<'_> {
    /// The id of what this agent said.
    pub(crate) fn entry(&self, agent: &str) -> String {
        format!(
            "{}.{}.{}",
            self.run,
            plain(&self.step.step_id),
            plain(agent)
        )
    }
}

/// Keeps what was said of the stage, each with its record. Gives what a person should know.
///
/// # Errors
/// When an entry cannot be written.
pub(crate) fn keep(
    host: &Arc<Process>,
    journal: &Journal,
    stage: &Stage<'_>,
    said: Vec<Said>,
) -> Result<Option<String>, Failure> {
    let world = &host.config.world;
    let dir = host.config.state.memory_dir();
    let unwritten = |error: std::io::Error| {
        let message = format!("the store `{}` cannot be written", dir.display());
        Failure::new(Exit::Internal, message).because(error.to_string())
    };
    world.folder(&dir).map_err(unwritten)?;
    let held = world.list(&dir).map_err(unwritten)?;
    if held.len().saturating_add(said.len()) > ENTRIES_MAX {
        return Ok(Some(format!(
            "nothing is remembered of it: `{}` holds {} entries, and {ENTRIES_MAX} are the most; move old ones away",
            dir.display(),
            held.len()
        )));
    }
    for said in said {
        let entry = entry(journal, stage, said);
        let bytes = serde_json::to_vec_pretty(&entry).map_err(|error| {
            Failure::new(Exit::Internal, "an entry of the memory cannot be made").caused_by(&error)
        })?;
        let path = dir.join(format!("{}.json", entry.id));
        // Durable, also in a relaxed run: it outlives the run, and its record must not name what is not there.
        world
            .write(&path, &bytes, Durability::Durable)
            .map_err(unwritten)?;
        journal.remembered(stage.step, &entry, &bytes)?;
    }
    Ok(None)
}

fn entry(journal: &Journal, stage: &Stage<'_>, said: Said) -> Entry {
    let Said {
        agent,
        status,
        agreement_ratio,
        at,
        mut text,
    } = said;
    // Before it is cut: of a key that is cut in two, no half is found.
    journal.keep_out(&mut text);
    clean(&mut text);
    let cut = text.len() > TEXT_BYTES_MAX;
    if cut {
        let kept = text.floor_char_boundary(TEXT_BYTES_MAX);
        text.truncate(kept);
        text.push(CUT);
    }
    let step = stage.step;
    let name = step.stage.clone().unwrap_or_default();
    let own = [
        format!("spec:{}", stage.spec),
        format!("stage:{name}"),
        format!("agent:{agent}"),
    ];
    let mut tags = own.to_vec();
    tags.extend(stage.wanted.tags.iter().cloned());
    tags.sort();
    tags.dedup();
    Entry {
        id: stage.entry(&agent),
        at,
        run: stage.run.to_owned(),
        spec: stage.spec.to_owned(),
        stage: name,
        agent,
        status,
        agreement_ratio,
        domain: stage.wanted.domain.clone(),
        importance: stage.wanted.importance,
        tags,
        text,
        cut,
    }
}

/// A name as a part of a file's: a sub-plan's has signs that do not belong there.
fn plain(name: &str) -> String {
    let keep = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    name.chars()
        .map(|c| if keep(c) { c } else { '_' })
        .collect()
}
