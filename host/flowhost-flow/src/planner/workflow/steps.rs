//! The life of a step: it begins when its needs are final, works through its units, ends, and lets
//! those begin that need it. What a failure does to the run is decided here and nowhere else.

use std::sync::Arc;

use serde_json::Value;

use crate::exit::{Failure, FailureClass, StepStatus};
use crate::hash::step_id;
use crate::plan::{Foreach, Step, Then, limits};
use crate::planner::workflow::Workflow;
use crate::planner::workflow::state::{Job, ScopeId, StepRef, StepState, Stop, is_barrier};
use crate::planner::{Note, StepSummary};

impl Workflow {
    pub(super) fn begin_step(&mut self, at: StepRef) {
        if self.is_final(at) || self.is_running(at) {
            return;
        }
        let Some(plan) = self.plan_of(at.scope) else {
            return;
        };
        let Some(step) = plan.steps.get(at.index) else {
            return;
        };
        match self.when(at, step) {
            Ok(true) => {}
            Ok(false) => return self.end_step(at, StepStatus::Skipped, Value::Null),
            Err(failure) => return self.step_failed(at, failure),
        }
        let above = self.scopes.get(at.scope.0).map(|scope| scope.account);
        let above = above.unwrap_or(self.budget.root());
        let (account, owns_account) = self.sub_account(above, step.budget.as_ref());
        let now = self.now;
        if let Some(state) = self.state_mut(at) {
            state.status = StepStatus::Running;
            state.started = now;
            (state.account, state.owns_account) = (account, owns_account);
        }
        self.start_barriers_after(at);
        match &step.foreach {
            Some(foreach) => self.expand(at, foreach),
            None => self.start_unit(at, None, Value::Null),
        }
    }

    fn when(&self, at: StepRef, step: &Step) -> Result<bool, Failure> {
        let Some(when) = &step.when else {
            return Ok(true);
        };
        let run = if when.mentions("run") {
            self.run_value()
        } else {
            Value::Null
        };
        let result = self.with_names(at.scope, &run, &[], |names| when.holds(names));
        result.map_err(|error| Failure::new(FailureClass::Expression, format!("when: {error}")))
    }

    /// Ends a barrier that got what it requires, unless its `when` says otherwise.
    pub(super) fn end_if_wanted(&mut self, at: StepRef, output: Value) {
        let Some(plan) = self.plan_of(at.scope) else {
            return;
        };
        let Some(step) = plan.steps.get(at.index) else {
            return;
        };
        match self.when(at, step) {
            Ok(true) => self.end_step(at, StepStatus::Ok, output),
            Ok(false) => self.end_step(at, StepStatus::Skipped, Value::Null),
            Err(failure) => self.step_failed(at, failure),
        }
    }

    fn expand(&mut self, at: StepRef, foreach: &Foreach) {
        let items = match self.render(at.scope, &foreach.items, &[]) {
            Ok(Value::Array(items)) => items,
            Ok(_) => {
                let message = "foreach: `items` gives no list";
                return self.step_failed(at, Failure::new(FailureClass::Expression, message));
            }
            Err(error) => {
                let message = format!("foreach: {error}");
                return self.step_failed(at, Failure::new(FailureClass::Expression, message));
            }
        };
        if items.len() > limits::ITEMS_MAX {
            let message = format!(
                "foreach: {} items; {} are allowed",
                items.len(),
                limits::ITEMS_MAX
            );
            return self.step_failed(at, Failure::new(FailureClass::Limit, message));
        }
        let path = self.path_of(at);
        self.note(Note::Expanded {
            path,
            items: items.len(),
        });
        self.count_items(at, items.len());
        if let Some(state) = self.state_mut(at) {
            state.outputs = vec![Value::Null; items.len()];
            state.items = items.into_iter();
        }
        self.jobs.push_back(Job::Items(at));
    }

    /// Starts items while there is room, and ends the step when the last one has ended.
    pub(super) fn more_items(&mut self, at: StepRef) {
        if !self.is_running(at) {
            return;
        }
        let Some(plan) = self.plan_of(at.scope) else {
            return;
        };
        let Some(step) = plan.steps.get(at.index) else {
            return;
        };
        let Some(foreach) = &step.foreach else { return };
        let stopping = self.is_stopping(at.scope);
        loop {
            let Some(state) = self.state_mut(at) else {
                return;
            };
            let stopped = stopping || (state.failure.is_some() && foreach.fail_fast);
            if stopped || state.running.len() >= foreach.max_parallel as usize {
                break;
            }
            let Some(item) = state.items.next() else {
                break;
            };
            let index = state.next_item;
            state.next_item += 1;
            self.start_unit(at, Some(index), item);
        }
        self.end_items(at, foreach.fail_fast);
    }

    fn end_items(&mut self, at: StepRef, fail_fast: bool) {
        let stopping = self.is_stopping(at.scope);
        let Some(state) = self.state_mut(at) else {
            return;
        };
        let stopped = stopping || (state.failure.is_some() && fail_fast);
        if !state.running.is_empty() || (state.items.len() > 0 && !stopped) {
            return;
        }
        let all_ended = state.items.len() == 0;
        let outputs = Value::Array(std::mem::take(&mut state.outputs));
        match state.failure.clone() {
            None if all_ended => self.end_step(at, StepStatus::Ok, outputs),
            None => self.end_step(at, StepStatus::Cancelled, outputs),
            Some(failure) => {
                if let (Some(state), Value::Array(outputs)) = (self.state_mut(at), outputs) {
                    state.outputs = outputs;
                }
                self.step_failed(at, failure);
            }
        }
    }

    /// The step has failed for good: its handler first, then what the plan says.
    pub(super) fn step_failed(&mut self, at: StepRef, mut failure: Failure) {
        if failure.step.is_empty() {
            failure.step = self.path_of(at);
        }
        let Some(plan) = self.plan_of(at.scope) else {
            return;
        };
        let stopping = self.is_stopping(at.scope);
        let now = self.now;
        if let Some(state) = self.state_mut(at) {
            state.failure = Some(failure.clone());
            if state.status == StepStatus::Pending {
                state.status = StepStatus::Running;
                state.started = now;
            }
        }
        let handler = plan
            .steps
            .get(at.index)
            .and_then(|step| step.on_failure.run.clone());
        match handler {
            Some(handler) if !stopping => {
                let path = self.path_of(at);
                self.note(Note::HandlerStarted {
                    path,
                    handler: handler.clone(),
                });
                self.start_handler(at, handler, &failure);
            }
            _ => self.after_failure(at),
        }
    }

    /// Goes on, jumps or halts, after the handler if there was one.
    pub(super) fn after_failure(&mut self, at: StepRef) {
        let Some(plan) = self.plan_of(at.scope) else {
            return;
        };
        let Some(step) = plan.steps.get(at.index) else {
            return;
        };
        let Some(state) = self.state_mut(at) else {
            return;
        };
        let Some(failure) = state.failure.clone() else {
            return;
        };
        let output = match std::mem::take(&mut state.outputs) {
            outputs if step.foreach.is_some() => Value::Array(outputs),
            _ => Value::Null,
        };
        // A guardrail, a check and a budget say "halt" themselves; nothing in the plan outvotes them.
        let halts = matches!(
            failure.class,
            FailureClass::Guardrail | FailureClass::Check | FailureClass::Budget
        );
        let then = if step.continue_on_error {
            &Then::Continue
        } else {
            &step.on_failure.then
        };
        if halts || *then == Then::Halt || self.is_stopping(at.scope) {
            let cancelled = failure.class == FailureClass::Cancelled;
            let status = if cancelled {
                StepStatus::Cancelled
            } else {
                StepStatus::Failed
            };
            self.end_step(at, status, output);
            return self.halt_scope(at.scope, failure);
        }
        let message = format!("the step failed and the run goes on: {}", failure.message);
        self.warn(&failure.step, "continued", message);
        if let Then::Goto(target) = then {
            self.skip_until(at, target);
        }
        self.end_step(at, StepStatus::Failed, output);
    }

    /// Skips what comes after the step, except the target and what comes after that.
    fn skip_until(&mut self, at: StepRef, target: &str) {
        let Some(scope) = self.scopes.get(at.scope.0) else {
            return;
        };
        let steps = &scope.plan.steps;
        let Some(target) = steps.iter().position(|step| step.id == *target) else {
            return;
        };
        let graph = Arc::clone(&scope.graph);
        let (after, kept) = (graph.after(at.index), graph.after(target));
        for (index, (after, kept)) in after.into_iter().zip(kept).enumerate() {
            let between = StepRef {
                scope: at.scope,
                index,
            };
            if after && !kept && index != target && !self.is_final(between) {
                self.end_step(between, StepStatus::Skipped, Value::Null);
            }
        }
    }

    /// Makes a step final and lets those begin that waited for it.
    pub(super) fn end_step(&mut self, at: StepRef, status: StepStatus, output: Value) {
        if self.is_final(at) {
            return;
        }
        let Some(plan) = self.plan_of(at.scope) else {
            return;
        };
        let Some(step) = plan.steps.get(at.index) else {
            return;
        };
        let path = self.path_of(at);
        let now = self.now;
        let Some(state) = self.state_mut(at) else {
            return;
        };
        let never_ran = state.status == StepStatus::Pending;
        state.status = status;
        let summary = StepSummary {
            step_id: String::new(),
            path,
            stage: step.stage.clone(),
            status,
            attempts: state.attempts,
            duration_ms: if never_ran {
                0
            } else {
                now.since(state.started)
            },
            used: state.used,
            failure: state.failure.clone(),
        };
        let (account, owns, used) = (state.account, state.owns_account, state.used);
        let timer = state.barrier.timer.take();
        self.clear_timer(timer);
        if owns {
            let settled = self.budget.close(account);
            self.warn_of(&settled, &summary.path);
            self.feed_hungry();
        }
        let step_id = step_id(&self.setup.plan_hash, &summary.path);
        self.note(Note::StepEnded(StepSummary { step_id, ..summary }));
        let Some(scope) = self.scopes.get_mut(at.scope.0) else {
            return;
        };
        scope.set_result(at.index, status, output);
        scope.open = scope.open.saturating_sub(1);
        scope.used.add(&used);
        self.release(at, step.foreach.is_none(), status);
        self.jobs.push_back(Job::Scope(at.scope));
    }

    fn release(&mut self, at: StepRef, plain: bool, status: StepStatus) {
        let Some(scope) = self.scopes.get(at.scope.0) else {
            return;
        };
        let graph = Arc::clone(&scope.graph);
        let stopping = scope.failure.is_some();
        for index in graph.dependents_of(at.index) {
            let next = StepRef {
                scope: at.scope,
                index: *index,
            };
            let waits = self.plan_of(at.scope).and_then(|plan| {
                let step = plan.steps.get(*index)?;
                Some(is_barrier(step))
            });
            if waits == Some(true) {
                self.count_end(next, plain, at, status);
                continue;
            }
            if let Some(state) = self.state_mut(next) {
                state.waiting = state.waiting.saturating_sub(1);
                if state.waiting == 0 && state.status == StepStatus::Pending && !stopping {
                    self.jobs.push_back(Job::Begin(next));
                }
            }
        }
    }

    /// Whether nothing of the step is at work: it waits for its needs, or is a waiting barrier.
    fn is_idle(&self, at: StepRef) -> bool {
        let waits = |state: &StepState| match state.status {
            StepStatus::Pending => true,
            StepStatus::Running => state.barrier.timer.is_some() && state.failure.is_none(),
            _ => false,
        };
        self.state(at).is_some_and(waits)
    }

    pub(super) fn is_stopping(&self, id: ScopeId) -> bool {
        self.scopes
            .get(id.0)
            .is_none_or(|scope| scope.failure.is_some())
    }

    /// Ends a scope early: what waits is cancelled, what works is stopped. The first reason stays.
    pub(super) fn halt_scope(&mut self, id: ScopeId, failure: Failure) {
        let Some(scope) = self.scopes.get_mut(id.0) else {
            return;
        };
        if scope.done || scope.failure.is_some() {
            return;
        }
        scope.failure = Some(failure);
        let count = scope.steps.len();
        let working: Vec<_> = self
            .units
            .iter()
            .filter(|(_, unit)| unit.at.scope == id)
            .map(|(name, _)| *name)
            .collect();
        for index in 0..count {
            let at = StepRef { scope: id, index };
            if self.is_idle(at) {
                self.end_step(at, StepStatus::Cancelled, Value::Null);
            } else if self.is_running(at) {
                self.jobs.push_back(Job::Items(at));
            }
        }
        for unit in working {
            self.stop_unit(unit, Stop::Cancelled);
        }
        self.jobs.push_back(Job::Scope(id));
    }
}
