//! The workflow planner.

use std::sync::Arc;

use crate::plan::Plan;
use crate::planner::{Action, CallId, Event, Planner, RunSetup, Time};

/// Runs `kind: workflow`.
pub struct Workflow {
    plan: Arc<Plan>,
    setup: RunSetup,
}

impl Workflow {
    pub(crate) fn new(plan: Arc<Plan>, setup: RunSetup) -> Self {
        Self { plan, setup }
    }
}

impl Planner for Workflow {
    fn on(&mut self, _event: Event, _now: Time) -> Vec<Action> {
        let _ = (&self.plan, &self.setup);
        Vec::new()
    }

    fn is_finished(&self) -> bool {
        false
    }

    fn open_calls(&self) -> Vec<CallId> {
        Vec::new()
    }
}
