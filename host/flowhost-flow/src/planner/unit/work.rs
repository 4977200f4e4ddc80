//! What the work of one attempt asks: a machine that asks, hears and ends.
//!
//! A plain step asks once. Work that asks several plugins, one after the other or all at once, is
//! another machine behind the same three words; the unit keeps budget, cancellation, retry and records
//! for all of them. Must never see a call's name: seats are counted by the work itself.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::exit::Failure;
use crate::plan::{Step, Work as Spec};
use crate::planner::Part;

/// One question to a plugin.
#[derive(Clone, Debug)]
pub(in crate::planner) struct Ask {
    /// Which part of the step this is: [`Part::Work`], or [`Part::Seat`] where there are several.
    pub(in crate::planner) part: Part,
    /// Name under `plugins:`.
    pub(in crate::planner) plugin: String,
    /// The function of a tool.
    pub(in crate::planner) function: Option<String>,
    /// What it is given.
    pub(in crate::planner) input: Arc<Value>,
}

/// What came back.
#[derive(Debug)]
pub(in crate::planner) struct Heard {
    /// The part that was asked.
    #[cfg_attr(
        not(test),
        expect(
            dead_code,
            reason = "a plain step hears one answer; consensus and race tell them apart, as the tests do"
        )
    )]
    pub(in crate::planner) part: Part,
    /// What it answered.
    pub(in crate::planner) result: Result<Value, Failure>,
}

/// What follows from an answer.
#[derive(Debug)]
pub(in crate::planner) enum Move {
    /// Ask these as well; none waits for what is still out.
    #[cfg_attr(
        not(test),
        expect(
            dead_code,
            reason = "a plain step asks once; consensus and race go on asking, as the tests do"
        )
    )]
    Ask(Vec<Ask>),
    /// The work is over; whatever is still out is cancelled and awaited.
    End(Result<Value, Failure>),
}

/// The work of one attempt.
pub(in crate::planner) trait Work: fmt::Debug + Send {
    /// What is asked first: one question at least.
    fn begin(&mut self) -> Vec<Ask>;

    /// Takes an answer.
    fn heard(&mut self, heard: Heard) -> Move;
}

/// The work of a step that calls one plugin.
#[derive(Debug)]
pub(super) struct Single {
    ask: Ask,
}

impl Single {
    /// For a step that calls a plugin; `None` for one that does not.
    pub(super) fn of(step: &Step, part: Part, input: &Arc<Value>) -> Option<Self> {
        match &step.work {
            Spec::Call { plugin, function } => Some(Self {
                ask: Ask {
                    part,
                    plugin: plugin.clone(),
                    function: function.clone(),
                    input: Arc::clone(input),
                },
            }),
            Spec::Plan { .. } | Spec::Barrier(_) | Spec::Gate(_) | Spec::Emit { .. } => None,
        }
    }
}

impl Work for Single {
    fn begin(&mut self) -> Vec<Ask> {
        vec![self.ask.clone()]
    }

    fn heard(&mut self, heard: Heard) -> Move {
        Move::End(heard.result)
    }
}
