//! Which names are in reach of an expression, by where it stands.

use crate::plan::Step;

/// Which names an expression may use.
pub(super) enum Reach<'a> {
    /// `inputs`: labels and plugins' configurations are rendered before the run has an id or a step.
    Inputs,
    /// `inputs`, `run` and all steps, states or nodes: what is rendered at the end.
    All,
    /// As `All`; what works in a state machine or a tree may go back, so nothing is known of order.
    Work {
        failure: bool,
        output: bool,
        /// The work that it belongs to; a state may have none.
        step: Option<&'a Step>,
    },
    /// As `Work` in a state machine, and `approval`: the ways out of a gate. Of its own, because only a gate has an
    /// answer to decide by, and only its ways out are tried when the answer is there.
    Gate,
    /// `inputs`, `run` and what this step needs.
    Step {
        step: &'a Step,
        item: bool,
        output: bool,
    },
    /// As `All`, and `failure`. Any step may have named it, so that no order is known: what a step has not handed on
    /// by then is null.
    Handler,
    /// As `All`, `failure` and the step's `output`: it runs when the run has failed and all steps have ended.
    Compensation,
}

impl Reach<'_> {
    /// The step whose output is `output`.
    pub(super) const fn own(&self) -> Option<&Step> {
        match self {
            Reach::Step {
                step, output: true, ..
            } => Some(*step),
            Reach::Work {
                output: true, step, ..
            } => *step,
            _ => None,
        }
    }

    /// The step whose item is `item`.
    pub(super) const fn each(&self) -> Option<&Step> {
        match self {
            Reach::Step {
                step, item: true, ..
            } => Some(*step),
            _ => None,
        }
    }
}
