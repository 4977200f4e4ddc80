//! Barriers: they count the items of what they need and end as soon as it is decided.
//!
//! A `foreach` counts by its items, any other step as one, a skipped step not at all. A barrier does
//! not wait for what it does not need any more: `any` ends with the first one that is ok.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::exit::{Failure, FailureClass, StepStatus};
use crate::plan::{OnTimeout, Require};
use crate::planner::arena::Slot;
use crate::planner::core::Purpose;
use crate::planner::scope::Ctx;
use crate::planner::workflow::graph::StepIx;
use crate::planner::workflow::{BarrierState, Flow, Todo};

impl Flow {
    /// Counts what is known before anything runs: every need that is not a `foreach` is one.
    pub(super) fn arm_barrier(&mut self, at: StepIx) {
        let steps = &self.graph.steps;
        let needs = steps[at].needs.iter();
        let plain = needs.filter(|need| steps[**need].step.foreach.is_none());
        let plain = plain.count();
        self.steps[at].barrier = BarrierState {
            known: plain,
            total: plain,
            ..BarrierState::default()
        };
        self.todo.push_back(Todo::Barrier(at));
    }

    fn barriers_after(&self, at: StepIx) -> Vec<StepIx> {
        let steps = &self.graph.steps;
        let dependents = steps[at].dependents.iter().copied();
        dependents
            .filter(|next| steps[*next].is_barrier())
            .collect()
    }

    /// The first need has begun: the barrier's time runs.
    pub(super) fn start_barriers_after(&mut self, ctx: &mut Ctx<'_>, at: StepIx) {
        let graph = Arc::clone(&self.graph);
        for next in self.barriers_after(at) {
            let state = &mut self.steps[next];
            let Some(barrier) = graph.steps[next].barrier() else {
                continue;
            };
            if state.status == StepStatus::Pending {
                let due = ctx.core.now.after(barrier.timeout_ms);
                let purpose = Purpose::Body(ctx.scope.id, next.place());
                state.status = StepStatus::Running;
                state.started = ctx.core.now;
                state.barrier.timer = Some(ctx.core.set_timer(due, purpose));
            }
        }
    }

    /// A `foreach` knows how many items it has.
    pub(super) fn count_items(&mut self, at: StepIx, items: usize) {
        for barrier in self.barriers_after(at) {
            let counts = &mut self.steps[barrier].barrier;
            counts.known += 1;
            counts.total += items;
            self.todo.push_back(Todo::Barrier(barrier));
        }
    }

    /// An item of a `foreach` has ended.
    pub(super) fn count_item(&mut self, at: StepIx, ok: bool) {
        for barrier in self.barriers_after(at) {
            let counts = &mut self.steps[barrier].barrier;
            counts.ok += usize::from(ok);
            counts.failed += usize::from(!ok);
            self.todo.push_back(Todo::Barrier(barrier));
        }
    }

    /// The step `ended`, which the barrier needs, is final.
    pub(super) fn count_end(
        &mut self,
        barrier: StepIx,
        plain: bool,
        ended: StepIx,
        status: StepStatus,
    ) {
        let need = &self.steps[ended];
        let (started, unstarted) = (need.next_item, need.items.len());
        let counts = &mut self.steps[barrier].barrier;
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
        self.todo.push_back(Todo::Barrier(barrier));
    }

    /// Ends the barrier if its counts decide.
    pub(super) fn judge_barrier(&mut self, ctx: &mut Ctx<'_>, at: StepIx) {
        let state = &self.steps[at];
        if state.status.is_final() || state.failure.is_some() || ctx.scope.is_stopping() {
            return;
        }
        let graph = Arc::clone(&self.graph);
        let node = &graph.steps[at];
        let Some(barrier) = node.barrier() else {
            debug_assert!(false, "only barriers are judged as such");
            return;
        };
        let counts = state.barrier;
        let all_known = counts.known >= node.needs.len();
        let required = match barrier.require {
            // A number can be reached before all is known, and then stays reached; a share of what is not known cannot.
            Require::Any => 1,
            Require::Count(count) => count as usize,
            Require::All | Require::Percent(_) if !all_known => return,
            Require::All => counts.total,
            // Rounded up: fewer than the share are never enough.
            Require::Percent(percent) => (counts.total * usize::from(percent)).div_ceil(100),
        };
        if counts.ok >= required {
            self.end_if_wanted(ctx, at, outcome(&counts, required));
        } else if all_known && counts.total - counts.failed.min(counts.total) < required {
            let message = format!(
                "the barrier requires {required} of {}, and {} failed",
                counts.total, counts.failed
            );
            self.step_failed(ctx, at, Failure::new(FailureClass::Barrier, message));
        }
    }

    pub(super) fn barrier_timed_out(&mut self, ctx: &mut Ctx<'_>, at: StepIx) {
        let state = &mut self.steps[at];
        // Its handler may be at work when the time is up: then it has failed before.
        if state.status.is_final() || state.failure.is_some() || ctx.scope.is_stopping() {
            return;
        }
        let graph = Arc::clone(&self.graph);
        let Some(barrier) = graph.steps[at].barrier() else {
            debug_assert!(false, "only barriers set timers");
            return;
        };
        let counts = state.barrier;
        let message = format!(
            "after {} ms {} of {} were ok, which is not what the barrier requires",
            barrier.timeout_ms, counts.ok, counts.total
        );
        match barrier.on_timeout {
            OnTimeout::Halt => {
                self.step_failed(ctx, at, Failure::new(FailureClass::Timeout, message));
            }
            OnTimeout::Continue => {
                let path = self.path(ctx, at);
                ctx.core.warn(&path, "barrier", message);
                self.end_if_wanted(ctx, at, outcome(&counts, counts.ok));
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
