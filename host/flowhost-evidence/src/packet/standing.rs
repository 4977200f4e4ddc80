//! How a spec stands beyond the verdicts of its stages: how its newest run ended, which stages are of runs before it, and what
//! was asked of one agent, of an arbiter or of a person.
//!
//! A run can end badly though every stage that it left is ok: a person rejected it at a gate, or a step that is no stage
//! failed. No evidence file says so; the state folder does, where the run is here.

use serde_json::Value;

use super::read::word;
use super::{Spec, StageState};
use crate::text::one_line;

/// How the newest run of a spec stands, by the index of runs of this state folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newest {
    /// The run.
    pub run_id: String,
    /// As `runs list` has it: `ok`, `halted`, `waiting` and the like.
    pub status: String,
}

/// Who was asked, and what came of it, where the verdict's status does not say it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// One agent alone: there is no consensus, and its output is in no file.
    pub alone: bool,
    /// Why the arbiter's answer does not count.
    pub arbiter_error: Option<String>,
    /// The arbiter was asked to decide.
    pub decided: bool,
    /// Ids of issues that are left to a person; none where the stage lists no issues.
    pub open: Option<Vec<String>>,
}

impl Asked {
    /// By a line of telemetry, and what the stage made.
    pub(super) fn of(line: &Value, output: Option<&Value>) -> Self {
        let agents = line.pointer("/consensus/agents").and_then(Value::as_array);
        let agents: Vec<&Value> = agents.into_iter().flatten().collect();
        let is = |agent: &Value, name: &str, wanted: &str| word(agent, name) == wanted;
        let arbiter = agents.iter().find(|it| is(it, "role", "arbiter"));
        let why = line.pointer("/consensus/escalation_reason");
        let open = output.and_then(|it| it.get("open")?.as_array());
        let open = open.map(|all| all.iter().map(|it| word(it, "id")).collect());
        Self {
            alone: !agents.is_empty() && agents.iter().all(|it| is(it, "rule", "single")),
            arbiter_error: arbiter
                .and_then(|it| Some(it.get("error")?.as_str()?.to_owned()))
                .filter(|it| !it.is_empty()),
            decided: why
                .and_then(Value::as_str)
                .is_some_and(|it| it.starts_with("the arbiter is to decide")),
            open: open.filter(|_| agents.iter().any(|it| is(it, "rule", "issues"))),
        }
    }
}

impl Spec<'_> {
    /// The newest run: by the index of runs, else the run of the stage that ended last.
    fn newest_run(&self) -> Option<&str> {
        let by_index = self.newest.as_ref().map(|it| it.run_id.as_str());
        by_index.or_else(|| {
            let last = self.stages.iter().max_by(|a, b| a.ended.cmp(&b.ended))?;
            Some(last.run_id.as_str())
        })
    }

    /// Stages that stand as a run before the newest has left them: the newest did not come to them, or was not asked to.
    #[must_use]
    pub fn older(&self) -> Vec<&str> {
        let newest = self.newest_run();
        // Telemetry that cannot be read does not say which run it is of, and that it cannot be read is told.
        let of_another =
            |it: &&StageState| !it.run_id.is_empty() && Some(it.run_id.as_str()) != newest;
        let older = self.stages.iter().filter(of_another);
        older.map(|it| it.stage.as_str()).collect()
    }

    /// Whether the newest run is known not to have ended well.
    #[must_use]
    pub fn ended_badly(&self) -> bool {
        self.newest.as_ref().is_some_and(|it| it.status != "ok")
    }

    /// Stages of which nobody here can say that their runs wrote their files.
    #[must_use]
    pub fn unverified(&self) -> Vec<&str> {
        let unverified = self.stages.iter().filter(|it| it.unverified);
        unverified.map(|it| it.stage.as_str()).collect()
    }

    /// Issues that are left to a person, of all stages.
    #[must_use]
    pub fn open_issues(&self) -> usize {
        let open = self.stages.iter().filter_map(|it| it.asked.open.as_ref());
        open.map(Vec::len).sum()
    }

    /// The newest run with how it stands, in words.
    pub(super) fn newest_word(&self) -> String {
        match &self.newest {
            Some(it) => format!("{}, {}", it.run_id, it.status),
            None => "unknown, it is not in this state folder".to_owned(),
        }
    }
}

impl StageState {
    /// What to do about a conflict: what was done already is not advised again.
    pub(super) fn about_conflict(&self) -> String {
        const SETTLE: &str = "settle the points below in the specification or the prompt";
        match (&self.asked.arbiter_error, self.asked.decided) {
            (Some(error), _) => format!(
                "Agents contradict each other. An arbiter was asked, and its answer does not count: {}. Mend that (its model, \
                 its profile, its script) and try again, or {SETTLE}.",
                one_line(error).trim_end_matches('.'),
            ),
            (None, true) => format!(
                "Agents contradict each other, and the arbiter, who was asked to decide, left the points open: {SETTLE}."
            ),
            (None, false) => format!(
                "Agents contradict each other, and another try would only repeat it: {SETTLE}, or let an arbiter decide \
                 (`on_conflict: [arbiter, halt]`)."
            ),
        }
    }
}
