//! One agent of a panel: how often it was asked, and what counts of its answers.

use serde_json::Value;

use crate::exit::{Failure, FailureClass};

/// How an agent stands in its round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// To be asked.
    Waiting,
    /// Asked, or about to be asked again.
    Asked,
    /// Its output counts.
    Answered,
    /// Its last try failed.
    Failed,
    /// The same as another; never asked.
    Duplicate,
    /// The work is not worth so many; never asked.
    Spare,
}

/// An agent.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) agent: String,
    pub(super) state: State,
    /// Questions in this attempt of the step.
    pub(super) asked: u32,
    /// Questions in this round.
    pub(super) tries: u32,
    /// The seat of its latest question.
    pub(super) seat: Option<u32>,
    pub(super) output: Option<Value>,
    pub(super) error: Option<String>,
    /// Whether its last failure is that its time was up.
    pub(super) late: bool,
    /// What it will be told of its last failure.
    pub(super) told: Option<String>,
    pub(super) effort: &'static str,
}

impl Member {
    pub(super) fn new(agent: &str, state: State) -> Self {
        Self {
            agent: agent.to_owned(),
            state,
            asked: 0,
            tries: 0,
            seat: None,
            output: None,
            error: None,
            late: false,
            told: None,
            effort: "",
        }
    }

    pub(super) const fn ask(&mut self, seat: u32) {
        self.state = State::Asked;
        self.asked += 1;
        self.tries += 1;
        self.seat = Some(seat);
    }

    pub(super) fn answered(&mut self, output: Value) {
        self.state = State::Answered;
        self.output = Some(output);
        self.error = None;
        self.late = false;
    }

    pub(super) fn failed(&mut self, failure: &Failure) {
        self.state = State::Failed;
        self.output = None;
        self.error = Some(format!("{}: {}", failure.class.word(), failure.message));
        self.late = failure.class == FailureClass::Timeout;
    }

    /// Whether it was to answer and did not.
    pub(super) fn is_absent(&self) -> bool {
        self.state == State::Failed
    }

    /// Whether it counts among those that were to answer.
    pub(super) fn is_expected(&self) -> bool {
        !matches!(self.state, State::Duplicate | State::Spare)
    }

    /// Fresh: nothing of the round before is kept but the reason.
    pub(super) fn begin_round(&mut self, why: Option<String>) {
        if !self.is_expected() {
            return;
        }
        self.state = State::Waiting;
        self.tries = 0;
        self.output = None;
        self.told = why;
    }
}
