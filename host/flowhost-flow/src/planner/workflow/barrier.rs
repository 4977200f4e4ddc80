//! Barriers: they count the items of what they need and end as soon as it is decided.
//!
//! A `foreach` counts by its items, any other step as one, a skipped step not at all. A barrier does
//! not wait for what it does not need any more: `any` ends with the first one that is ok.

use serde_json::{Value, json};

use crate::exit::{Failure, FailureClass, StepStatus};
use crate::plan::{Barrier, OnTimeout, Require, Work};
use crate::planner::workflow::Workflow;
use crate::planner::workflow::state::{BarrierState, Job, Purpose, StepRef, is_barrier};

impl Workflow {
    fn barrier_of(&self, at: StepRef) -> Option<Barrier> {
        match &self.scopes.get(at.scope.0)?.step(at.index)?.work {
            Work::Barrier(barrier) => Some(barrier.clone()),
            _ => None,
        }
    }

    /// Counts what is known before anything runs: every need that is not a `foreach` is one.
    pub(super) fn arm_barrier(&mut self, at: StepRef) {
        let Some(scope) = self.scopes.get_mut(at.scope.0) else {
            return;
        };
        let needs = scope.graph.needs.get(at.index).cloned().unwrap_or_default();
        let plain = needs
            .iter()
            .filter(|need| {
                scope
                    .plan
                    .steps
                    .get(**need)
                    .is_some_and(|step| step.foreach.is_none())
            })
            .count();
        if let Some(state) = scope.steps.get_mut(at.index) {
            state.barrier = BarrierState {
                known: plain,
                total: plain,
                ..BarrierState::default()
            };
        }
        self.jobs.push_back(Job::Barrier(at));
    }

    fn barriers_after(&self, at: StepRef) -> Vec<StepRef> {
        let Some(scope) = self.scopes.get(at.scope.0) else {
            return Vec::new();
        };
        let dependents = scope.graph.dependents_of(at.index).iter();
        dependents
            .filter(|index| scope.step(**index).is_some_and(is_barrier))
            .map(|index| StepRef {
                scope: at.scope,
                index: *index,
            })
            .collect()
    }

    /// The first need has begun: the barrier's time runs.
    pub(super) fn start_barriers_after(&mut self, at: StepRef) {
        for barrier in self.barriers_after(at) {
            let pending = self
                .state(barrier)
                .is_some_and(|state| state.status == StepStatus::Pending);
            let Some(spec) = self.barrier_of(barrier).filter(|_| pending) else {
                continue;
            };
            let now = self.now;
            let timer = self.set_timer(now.after(spec.timeout_ms), Purpose::Barrier(barrier));
            if let Some(state) = self.state_mut(barrier) {
                state.status = StepStatus::Running;
                state.started = now;
                state.barrier.timer = Some(timer);
            }
        }
    }

    /// A `foreach` knows how many items it has.
    pub(super) fn count_items(&mut self, at: StepRef, items: usize) {
        for barrier in self.barriers_after(at) {
            if let Some(state) = self.state_mut(barrier) {
                state.barrier.known += 1;
                state.barrier.total += items;
            }
            self.jobs.push_back(Job::Barrier(barrier));
        }
    }

    /// An item of a `foreach` has ended.
    pub(super) fn count_item(&mut self, at: StepRef, ok: bool) {
        for barrier in self.barriers_after(at) {
            if let Some(state) = self.state_mut(barrier) {
                state.barrier.ok += usize::from(ok);
                state.barrier.failed += usize::from(!ok);
            }
            self.jobs.push_back(Job::Barrier(barrier));
        }
    }

    /// The step `ended`, which the barrier needs, is final.
    pub(super) fn count_end(
        &mut self,
        barrier: StepRef,
        plain: bool,
        ended: StepRef,
        status: StepStatus,
    ) {
        let (started, unstarted) = self
            .state(ended)
            .map_or((0, 0), |state| (state.next_item, state.items.len()));
        let Some(state) = self.state_mut(barrier) else {
            return;
        };
        let counts = &mut state.barrier;
        if plain {
            match status {
                StepStatus::Ok => counts.ok += 1,
                StepStatus::Skipped => counts.total = counts.total.saturating_sub(1),
                _ => counts.failed += 1,
            }
        } else if started + unstarted == 0 && status != StepStatus::Ok {
            // Ended before its items were known: skipped counts nothing, a failure counts as one.
            let failed = usize::from(status != StepStatus::Skipped);
            counts.known += 1;
            counts.total += failed;
            counts.failed += failed;
        } else {
            // Items that were never started, because the first failure stopped the others.
            counts.failed += unstarted;
        }
        self.jobs.push_back(Job::Barrier(barrier));
    }

    /// Ends the barrier if its counts decide.
    pub(super) fn judge_barrier(&mut self, at: StepRef) {
        if self.is_final(at) || self.is_stopping(at.scope) {
            return;
        }
        let Some(Barrier { require, .. }) = self.barrier_of(at) else {
            return;
        };
        let Some(state) = self.state(at).filter(|state| state.failure.is_none()) else {
            return;
        };
        let counts = state.barrier;
        let needs = self
            .scopes
            .get(at.scope.0)
            .and_then(|scope| scope.graph.needs.get(at.index));
        let all_known = counts.known >= needs.map_or(0, Vec::len);
        let required = match require {
            Require::Any => 1,
            Require::Count(count) => count as usize,
            Require::All | Require::Percent(_) if !all_known => return,
            Require::All => counts.total,
            Require::Percent(percent) => (counts.total * usize::from(percent)).div_ceil(100),
        };
        if counts.ok >= required {
            self.end_if_wanted(at, outcome(&counts, required));
        } else if all_known && counts.total - counts.failed.min(counts.total) < required {
            let message = format!(
                "the barrier requires {required} of {}, and {} failed",
                counts.total, counts.failed
            );
            self.step_failed(at, Failure::new(FailureClass::Barrier, message));
        }
    }

    pub(super) fn barrier_timed_out(&mut self, at: StepRef) {
        if self.is_final(at) || self.is_stopping(at.scope) {
            return;
        }
        let Some(barrier) = self.barrier_of(at) else {
            return;
        };
        let waiting = self.state(at).filter(|state| state.failure.is_none());
        let Some(counts) = waiting.map(|state| state.barrier) else {
            return;
        };
        let message = format!(
            "after {} ms {} of {} were ok, which is not what the barrier requires",
            barrier.timeout_ms, counts.ok, counts.total
        );
        match barrier.on_timeout {
            OnTimeout::Halt => {
                self.step_failed(at, Failure::new(FailureClass::Timeout, message));
            }
            OnTimeout::Continue => {
                let path = self.path_of(at);
                self.warn(&path, "barrier", message);
                self.end_if_wanted(at, outcome(&counts, counts.ok));
            }
        }
    }
}

/// A barrier's output.
fn outcome(counts: &BarrierState, required: usize) -> Value {
    json!({
        "required": required,
        "ok": counts.ok,
        "failed": counts.failed,
        "total": counts.total,
    })
}
