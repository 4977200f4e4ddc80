//! The life of a step: it begins when its needs are final, works through its units, ends, and lets
//! those begin that need it. What a failure does to the run is decided here and nowhere else.

use std::sync::Arc;

use serde_json::Value;

use crate::effort;
use crate::exit::{Failure, FailureClass, StepStatus};
use crate::plan::{Foreach, Step, Then, Work, limits};
use crate::planner::core::UNITS;
use crate::planner::scope::Ctx;
use crate::planner::unit::{Role, Stop};
use crate::planner::workflow::graph::StepIx;
use crate::planner::workflow::{Begin, Flow, Todo};
use crate::planner::{Note, StepSummary};

impl Flow {
    pub(super) fn step(&self, at: StepIx) -> Arc<Step> {
        Arc::clone(&self.graph.steps[at].step)
    }

    pub(super) fn path(&self, ctx: &Ctx<'_>, at: StepIx) -> String {
        ctx.scope.path(&self.graph.steps[at].step.id)
    }

    pub(super) fn is_final(&self, at: StepIx) -> bool {
        self.steps[at].status.is_final()
    }

    pub(super) fn begin_step(&mut self, ctx: &mut Ctx<'_>, at: StepIx) {
        if self.steps[at].status != StepStatus::Pending || ctx.scope.is_stopping() {
            // A jump went past it, or the run was halted, before its turn came.
            return;
        }
        let step = self.step(at);
        match when(ctx, &step) {
            Ok(true) => {}
            Ok(false) => return self.end_step(ctx, at, StepStatus::Skipped, Value::Null),
            Err(failure) => return self.step_failed(ctx, at, failure),
        }
        let account = ctx.core.account(ctx.scope.account.id, step.budget.as_ref());
        let state = &mut self.steps[at];
        state.status = StepStatus::Running;
        state.started = ctx.core.now;
        state.account = account;
        self.start_barriers_after(ctx, at);
        match &step.foreach {
            Some(foreach) => self.expand(ctx, at, foreach),
            None => {
                let begin = Begin {
                    path: self.path(ctx, at),
                    spec: step,
                    names: Vec::new(),
                };
                self.start_unit(ctx, at, Role::Whole, begin);
            }
        }
    }

    /// Ends a barrier that got what it requires, unless its `when` says otherwise.
    pub(super) fn end_if_wanted(&mut self, ctx: &mut Ctx<'_>, at: StepIx, output: Value) {
        match when(ctx, &self.step(at)) {
            Ok(true) => self.end_step(ctx, at, StepStatus::Ok, output),
            Ok(false) => self.end_step(ctx, at, StepStatus::Skipped, Value::Null),
            Err(failure) => self.step_failed(ctx, at, failure),
        }
    }

    fn expand(&mut self, ctx: &mut Ctx<'_>, at: StepIx, foreach: &Foreach) {
        let items = match items(ctx, foreach) {
            Ok(items) => items,
            Err(failure) => return self.step_failed(ctx, at, failure),
        };
        ctx.core.note(Note::Expanded {
            path: self.path(ctx, at),
            items: items.len(),
        });
        self.count_items(at, items.len());
        let state = &mut self.steps[at];
        state.outputs = vec![Value::Null; items.len()];
        state.items = items.into_iter();
        self.todo.push_back(Todo::Items(at));
    }

    /// Starts items while there is room, and ends the step when the last one has ended.
    pub(super) fn more_items(&mut self, ctx: &mut Ctx<'_>, at: StepIx) {
        if self.steps[at].status != StepStatus::Running {
            return;
        }
        let step = self.step(at);
        // A halt asks every running step whether it has ended; only a `foreach` can have.
        let Some(foreach) = &step.foreach else { return };
        loop {
            let stopping = ctx.scope.is_stopping();
            let state = &mut self.steps[at];
            let stopped = stopping || (state.failure.is_some() && foreach.fail_fast);
            if stopped || state.running.len() >= foreach.max_parallel as usize {
                break;
            }
            let Some(item) = state.items.next() else {
                break;
            };
            if !effort::goes_on(UNITS) {
                return;
            }
            let index = state.next_item;
            state.next_item += 1;
            let mut names = vec![
                ("item".to_owned(), item.clone()),
                ("index".to_owned(), Value::from(index)),
            ];
            if foreach.name != "item" {
                names.push((foreach.name.clone(), item));
            }
            let begin = Begin {
                path: format!("{}[{index}]", self.path(ctx, at)),
                spec: Arc::clone(&step),
                names,
            };
            self.start_unit(ctx, at, Role::Item(index), begin);
        }
        self.end_items(ctx, at, foreach.fail_fast);
    }

    fn end_items(&mut self, ctx: &mut Ctx<'_>, at: StepIx, fail_fast: bool) {
        let stopping = ctx.scope.is_stopping();
        let state = &mut self.steps[at];
        let stopped = stopping || (state.failure.is_some() && fail_fast);
        if !state.running.is_empty() || (state.items.len() > 0 && !stopped) {
            return;
        }
        let all_ended = state.items.len() == 0;
        match state.failure.clone() {
            None => {
                let outputs = Value::Array(std::mem::take(&mut state.outputs));
                let status = match all_ended {
                    true => StepStatus::Ok,
                    false => StepStatus::Cancelled,
                };
                self.end_step(ctx, at, status, outputs);
            }
            Some(failure) => self.step_failed(ctx, at, failure),
        }
    }

    pub(super) fn item_ended(
        &mut self,
        ctx: &mut Ctx<'_>,
        at: StepIx,
        index: usize,
        result: Result<Value, Failure>,
    ) {
        self.count_item(at, result.is_ok());
        let step = self.step(at);
        let fail_fast = step
            .foreach
            .as_ref()
            .is_some_and(|foreach| foreach.fail_fast);
        let state = &mut self.steps[at];
        let mut stop = Vec::new();
        match result {
            Ok(output) => {
                let place = state.outputs.get_mut(index);
                debug_assert!(place.is_some(), "items are counted over the outputs");
                if let Some(place) = place {
                    *place = output;
                }
            }
            Err(failure) if state.failure.is_none() => {
                state.failure = Some(failure);
                if fail_fast {
                    stop.clone_from(&state.running);
                }
            }
            // The step fails with the first; this one is told by its own note.
            Err(_) => {}
        }
        for unit in stop {
            ctx.stop(unit, Stop::Cancelled);
        }
        self.todo.push_back(Todo::Items(at));
    }

    /// The step has failed for good: its handler first, then what the plan says.
    pub(super) fn step_failed(&mut self, ctx: &mut Ctx<'_>, at: StepIx, mut failure: Failure) {
        let path = self.path(ctx, at);
        if failure.step.is_empty() {
            failure.step.clone_from(&path);
        }
        let state = &mut self.steps[at];
        state.failure = Some(failure.clone());
        // Else a halt would take it for one that still waits, and end it while its handler is at work.
        if state.status == StepStatus::Pending {
            state.status = StepStatus::Running;
            state.started = ctx.core.now;
        }
        let step = self.step(at);
        let name = step.on_failure.run.as_ref();
        let handler = name.and_then(|name| ctx.scope.plan.handlers.get(name));
        debug_assert_eq!(
            name.is_some(),
            handler.is_some(),
            "the checks of a plan let no unknown handler pass"
        );
        let Some(spec) = handler.filter(|_| !ctx.scope.is_stopping()).cloned() else {
            return self.after_failure(ctx, at);
        };
        ctx.core.note(Note::HandlerStarted {
            path: path.clone(),
            handler: spec.id.clone(),
        });
        let failure = serde_json::to_value(&failure).unwrap_or(Value::Null);
        let begin = Begin {
            path: format!("{path}!{}", spec.id),
            spec,
            names: vec![("failure".to_owned(), failure)],
        };
        self.start_unit(ctx, at, Role::Handler, begin);
    }

    /// Goes on, jumps or halts, after the handler if there was one.
    pub(super) fn after_failure(&mut self, ctx: &mut Ctx<'_>, at: StepIx) {
        let step = self.step(at);
        let state = &mut self.steps[at];
        let output = match std::mem::take(&mut state.outputs) {
            outputs if step.foreach.is_some() => Value::Array(outputs),
            _ => Value::Null,
        };
        let Some(failure) = state.failure.clone() else {
            debug_assert!(false, "only what failed comes here");
            return self.end_step(ctx, at, StepStatus::Failed, output);
        };
        let then = if step.continue_on_error {
            &Then::Continue
        } else {
            &step.on_failure.then
        };
        if failure.class.halts() || *then == Then::Halt || ctx.scope.is_stopping() {
            let status = match failure.class {
                FailureClass::Cancelled => StepStatus::Cancelled,
                _ => StepStatus::Failed,
            };
            self.end_step(ctx, at, status, output);
            return self.halt(ctx, failure);
        }
        let message = format!("the step failed and the run goes on: {}", failure.message);
        ctx.core.warn(&failure.step, "continued", message);
        if let Then::Goto(target) = then
            && let Some(target) = self.graph.place(target)
        {
            // Before the step ends, which lets begin what waits for it: the jump goes past some of that.
            self.skip_until(ctx, at, target);
        }
        self.end_step(ctx, at, StepStatus::Failed, output);
    }

    /// Skips what comes after the step, except the target and what comes after that.
    fn skip_until(&mut self, ctx: &mut Ctx<'_>, at: StepIx, target: StepIx) {
        let (after, kept) = (self.graph.after(at), self.graph.after(target));
        for between in self.steps.names() {
            let skipped = after[between] && !kept[between] && between != target;
            if skipped && !self.is_final(between) {
                self.end_step(ctx, between, StepStatus::Skipped, Value::Null);
            }
        }
    }

    /// Makes a step final and lets those begin that waited for it.
    pub(super) fn end_step(
        &mut self,
        ctx: &mut Ctx<'_>,
        at: StepIx,
        status: StepStatus,
        output: Value,
    ) {
        if self.is_final(at) {
            // A jump may have skipped a barrier whose counts decide in the same event.
            return;
        }
        let step = self.step(at);
        let path = self.path(ctx, at);
        let state = &mut self.steps[at];
        let duration_ms = match state.status {
            StepStatus::Pending => 0,
            _ => ctx.core.now.since(state.started),
        };
        state.status = status;
        ctx.core.clear_timer(state.barrier.timer.take());
        ctx.core.close_account(state.account, &path);
        ctx.core.note(Note::StepEnded(StepSummary {
            step_id: ctx.core.step_id(&path),
            path,
            stage: step.stage.clone(),
            status,
            attempts: state.attempts,
            duration_ms,
            used: state.used,
            failure: state.failure.clone(),
        }));
        ctx.scope.used.add(&state.used);
        if status == StepStatus::Ok && step.compensate.is_some() {
            self.done.push((at, output.clone()));
        }
        let consensus = state.consensus.take();
        ctx.scope
            .set_result(&step.id, step.output_name(), status, output);
        if matches!(step.work, Work::Consensus(_)) {
            ctx.scope.set_consensus(&step.id, consensus.as_deref());
        }
        self.open -= 1;
        self.release(ctx, at, step.foreach.is_none(), status);
    }

    fn release(&mut self, ctx: &Ctx<'_>, at: StepIx, plain: bool, status: StepStatus) {
        let graph = Arc::clone(&self.graph);
        for next in &graph.steps[at].dependents {
            if graph.steps[*next].is_barrier() {
                self.count_end(*next, plain, at, status);
                continue;
            }
            let state = &mut self.steps[*next];
            state.waiting -= 1;
            let ready = state.waiting == 0 && state.status == StepStatus::Pending;
            if ready && !ctx.scope.is_stopping() {
                self.todo.push_back(Todo::Begin(*next));
            }
        }
    }

    /// Whether nothing of the step is at work: it waits for its needs, or is a waiting barrier.
    pub(super) fn is_idle(&self, at: StepIx) -> bool {
        let state = &self.steps[at];
        match state.status {
            StepStatus::Pending => true,
            StepStatus::Running => state.barrier.timer.is_some() && state.failure.is_none(),
            _ => false,
        }
    }
}

fn when(ctx: &Ctx<'_>, step: &Step) -> Result<bool, Failure> {
    let Some(when) = &step.when else {
        return Ok(true);
    };
    let result = ctx.scope.holds(ctx.core, when, &[]);
    result.map_err(|error| Failure::new(FailureClass::Expression, format!("when: {error}")))
}

fn items(ctx: &Ctx<'_>, foreach: &Foreach) -> Result<Vec<Value>, Failure> {
    let expression = |message: String| Failure::new(FailureClass::Expression, message);
    let items = match ctx.scope.render(ctx.core, &foreach.items, &[]) {
        Ok(Value::Array(items)) => items,
        Ok(_) => {
            return Err(expression(
                "foreach: `items` does not give a list".to_owned(),
            ));
        }
        Err(error) => return Err(expression(format!("foreach: {error}"))),
    };
    match items.len() {
        count if count > limits::ITEMS_MAX => {
            let most = limits::ITEMS_MAX;
            let message = format!("foreach: {count} items; {most} are allowed");
            Err(Failure::new(FailureClass::Limit, message))
        }
        _ => Ok(items),
    }
}
