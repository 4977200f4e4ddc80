//! How many agents are asked, where the plan lets the size of the work decide.

use super::Convened;
use crate::consensus::select::Signals;

/// What was chosen.
#[derive(Debug, Default)]
pub(super) struct Choice {
    /// So many of the plan's agents, the first ones; none where all are.
    pub(super) agents: Option<usize>,
    /// For the verdict.
    pub(super) note: Option<String>,
    /// Why nothing could be chosen.
    pub(super) warning: Option<String>,
}

impl Choice {
    /// By the signals in the step's input. Where they say nothing, all are asked: an answer too many costs money, one
    /// too few costs trust.
    pub(super) fn of(convened: &Convened) -> Self {
        let Some(pointer) = &convened.spec.select else {
            return Self::default();
        };
        let found = convened.input.pointer(pointer);
        let found = found.ok_or_else(|| "the step's input has nothing there".to_owned());
        let all = convened.spec.agents.len() - convened.duplicates.len();
        match found.and_then(Signals::read) {
            Ok(signals) => {
                let complexity = signals.complexity();
                let agents = complexity.agents(all);
                let (word, tasks) = (complexity.word(), signals.tasks);
                let note = format!("selection: {word}, {tasks} tasks: {agents} of {all} agents");
                Self {
                    agents: Some(agents),
                    note: Some(note),
                    warning: None,
                }
            }
            Err(why) => Self {
                warning: Some(format!("`select: {pointer}`: {why}; all agents are asked")),
                ..Self::default()
            },
        }
    }
}
