//! What the work of one attempt asks: a machine that asks, hears and ends.
//!
//! A plain step asks once. Work that asks several plugins, one after the other or all at once, is
//! another machine behind the same three words; the unit keeps budget, cancellation, retry and records
//! for all of them. Must never see a call's name: seats are counted by the work itself.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::consensus::Verdict;
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
    /// What the answer must look like, instead of the step's own schema.
    pub(in crate::planner) schema: Option<Arc<Value>>,
    /// Milliseconds that it may take; without it the attempt's time is the only bound.
    pub(in crate::planner) timeout_ms: Option<u64>,
    /// Milliseconds to wait before it is asked.
    pub(in crate::planner) after_ms: u64,
}

impl Ask {
    /// A question that is asked at once, with the step's own schema and within its own time.
    pub(in crate::planner) fn plain(
        part: Part,
        plugin: &str,
        function: Option<String>,
        input: Arc<Value>,
    ) -> Self {
        Self {
            part,
            plugin: plugin.to_owned(),
            function,
            input,
            schema: None,
            timeout_ms: None,
            after_ms: 0,
        }
    }
}

/// What the work wants recorded.
#[derive(Clone, Debug)]
pub(in crate::planner) enum Remark {
    /// A consensus came to this.
    Verdict(Arc<Verdict>),
    /// The user should know.
    Warning(String),
}

/// What came back.
#[derive(Debug)]
pub(in crate::planner) struct Heard {
    /// The part that was asked.
    pub(in crate::planner) part: Part,
    /// What it answered.
    pub(in crate::planner) result: Result<Value, Failure>,
}

/// What follows from an answer.
#[derive(Debug)]
pub(in crate::planner) enum Move {
    /// Ask these as well; none waits for what is still out.
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

    /// What is to be recorded since it was last asked for.
    fn remarks(&mut self) -> Vec<Remark> {
        Vec::new()
    }
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
                ask: Ask::plain(part, plugin, function.clone(), Arc::clone(input)),
            }),
            Spec::Plan { .. }
            | Spec::Barrier(_)
            | Spec::Gate(_)
            | Spec::Emit { .. }
            | Spec::Consensus(_) => None,
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
