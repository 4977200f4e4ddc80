//! The life of a unit: render the input, guardrails before, the work, guardrails after, schema and
//! checks; again after a failed attempt, as the retry policy says.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::Amounts;
use crate::budget::AccountId;
use crate::exit::{Failure, FailureClass, StepStatus};
use crate::expr::{EvalError, Names, Template};
use crate::hash::{derive_seed, step_id};
use crate::plan::{OnFail, Plan, Step, Work, limits};
use crate::planner::workflow::state::{Job, Phase, Purpose, ScopeId, StepRef, Stop, Unit, UnitId};
use crate::planner::workflow::{GRACE_MS, Workflow};
use crate::planner::{Action, Note, Part, StepSummary, Time};

impl Workflow {
    /// Starts the unit of a plain step, or of one item.
    pub(super) fn start_unit(&mut self, at: StepRef, item_index: Option<usize>, item: Value) {
        let mut path = self.path_of(at);
        if let Some(index) = item_index {
            path = format!("{path}[{index}]");
        }
        let unit = self.new_unit(at, path, item_index, item, None);
        if let Some(state) = self.state_mut(at) {
            state.running.push(unit);
        }
        self.begin_attempt(unit);
        let rendered = self.render_input(unit, None);
        self.with_input(unit, rendered);
    }

    /// Starts the handler of a failed step.
    pub(super) fn start_handler(&mut self, at: StepRef, name: String, failure: &Failure) {
        let path = format!("{}!{name}", self.path_of(at));
        let unit = self.new_unit(at, path, None, Value::Null, Some(name));
        self.begin_attempt(unit);
        let failure = serde_json::to_value(failure).unwrap_or(Value::Null);
        let rendered = self.render_input(unit, Some(&failure));
        self.with_input(unit, rendered);
    }

    fn new_unit(
        &mut self,
        at: StepRef,
        path: String,
        item_index: Option<usize>,
        item: Value,
        handler: Option<String>,
    ) -> UnitId {
        self.next_unit += 1;
        let name = UnitId(self.next_unit);
        let nothing = Arc::new(Value::Null);
        let unit = Unit {
            at,
            handler,
            item_index,
            item,
            step_id: step_id(&self.setup.plan_hash, &path),
            path,
            attempt: 0,
            phase: Phase::Backoff,
            rendered: Arc::clone(&nothing),
            subject: nothing,
            started: self.now,
            deadline: Time::default(),
            timer: None,
            call: None,
            reservation: None,
            used: Amounts::default(),
            stop: None,
        };
        self.units.insert(name, unit);
        if let Some(scope) = self.scopes.get_mut(at.scope.0) {
            scope.live += 1;
        }
        name
    }

    /// Counts the attempt, sets its deadline and says so.
    fn begin_attempt(&mut self, name: UnitId) {
        let Some((plan, step)) = self.spec_of(name) else {
            return;
        };
        let Some(spec) = step_spec(&plan, &step) else {
            return;
        };
        let deadline = self.now.after(spec.timeout_ms);
        let stage = spec.stage.clone();
        let timer = self.set_timer(deadline, Purpose::Attempt(name));
        let Some(unit) = self.units.get_mut(&name) else {
            return;
        };
        unit.attempt += 1;
        unit.deadline = deadline;
        unit.timer = Some(timer);
        unit.subject = Arc::clone(&unit.rendered);
        unit.phase = Phase::At(first_part(spec));
        let (attempt, at) = (unit.attempt, unit.at);
        let (step_id, path) = (unit.step_id.clone(), unit.path.clone());
        let is_handler = unit.handler.is_some();
        if let Some(state) = self.state_mut(at).filter(|_| !is_handler) {
            state.attempts = state.attempts.max(attempt);
        }
        self.note(Note::StepStarted {
            step_id,
            path,
            stage,
            attempt,
        });
    }

    /// The unit's plan and which step or handler of it it performs.
    pub(super) fn spec_of(&self, name: UnitId) -> Option<(Arc<Plan>, SpecRef)> {
        let unit = self.units.get(&name)?;
        let plan = self.plan_of(unit.at.scope)?;
        Some((
            plan,
            SpecRef {
                handler: unit.handler.clone(),
                index: unit.at.index,
            },
        ))
    }

    fn render_input(&self, name: UnitId, failure: Option<&Value>) -> Result<Value, Failure> {
        let Some((plan, step)) = self.spec_of(name) else {
            return Ok(Value::Null);
        };
        let Some(spec) = step_spec(&plan, &step) else {
            return Ok(Value::Null);
        };
        let result = self.with_item(name, failure, |more, scope| {
            self.render(scope, &spec.with, more)
        });
        result.map_err(|error| Failure::new(FailureClass::Expression, format!("with: {error}")))
    }

    /// Calls `evaluate` with the names that the unit has besides those of its scope.
    fn with_item<T>(
        &self,
        name: UnitId,
        extra: Option<&Value>,
        evaluate: impl FnOnce(&[(&str, &Value)], ScopeId) -> Result<T, EvalError>,
    ) -> Result<T, EvalError> {
        let Some(unit) = self.units.get(&name) else {
            return Err(EvalError::Value("the step has ended".to_owned()));
        };
        let scope = unit.at.scope;
        let index = unit.item_index.map_or(Value::Null, Value::from);
        let plan = self.plan_of(scope);
        let foreach = plan
            .as_ref()
            .and_then(|plan| plan.steps.get(unit.at.index))
            .and_then(|step| step.foreach.as_ref());
        let mut more: Vec<(&str, &Value)> = Vec::with_capacity(4);
        if let (Some(foreach), None) = (foreach, &unit.handler) {
            more.push(("item", &unit.item));
            more.push(("index", &index));
            more.push((&foreach.name, &unit.item));
        }
        if let Some(extra) = extra {
            more.push((
                if unit.handler.is_some() {
                    "failure"
                } else {
                    "output"
                },
                extra,
            ));
        }
        evaluate(&more, scope)
    }

    /// A guardrail's `with`, rendered.
    pub(super) fn guard_config(&self, name: UnitId, with: &Template) -> Result<Value, EvalError> {
        self.with_item(name, None, |more, scope| self.render(scope, with, more))
    }

    fn with_input(&mut self, name: UnitId, rendered: Result<Value, Failure>) {
        match rendered {
            Ok(input) => {
                if let Some(unit) = self.units.get_mut(&name) {
                    unit.rendered = Arc::new(input);
                    unit.subject = Arc::clone(&unit.rendered);
                }
                self.jobs.push_back(Job::Advance(name));
            }
            Err(failure) => self.unit_failed(name, failure),
        }
    }

    /// Does what the unit's phase says.
    pub(super) fn advance(&mut self, name: UnitId) {
        let Some(unit) = self.units.get(&name) else {
            return;
        };
        if unit.call.is_some() || unit.stop.is_some() {
            return;
        }
        let Phase::At(part) = unit.phase else { return };
        let Some((plan, step)) = self.spec_of(name) else {
            return;
        };
        let Some(spec) = step_spec(&plan, &step) else {
            return;
        };
        if let (Part::Work, Work::Plan { reference }) = (part, &spec.work) {
            return self.run_sub_plan(name, reference);
        }
        self.call_part(name, part, spec);
    }

    fn run_sub_plan(&mut self, name: UnitId, reference: &str) {
        let Some(unit) = self.units.get(&name) else {
            return;
        };
        let Some(scope) = self.scopes.get(unit.at.scope.0) else {
            return;
        };
        let Some(child) = scope.plan.sub_plan(reference).cloned() else {
            let message = format!("the plan `{reference}` was not attached");
            return self.unit_failed(name, Failure::new(FailureClass::Internal, message));
        };
        let key_prefix = format!("{}{reference}::", scope.key_prefix);
        if key_prefix.matches("::").count() > limits::SUB_PLAN_DEPTH_MAX {
            let message = "plans within plans nest too deeply";
            return self.unit_failed(name, Failure::new(FailureClass::Limit, message));
        }
        let path_prefix = format!("{}/", unit.path);
        let given = match unit.subject.as_ref() {
            Value::Object(given) => given.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
            _ => std::collections::BTreeMap::new(),
        };
        match child.bind_inputs(&given) {
            Ok(inputs) => {
                let inputs = Value::Object(inputs);
                let sub = self.open_scope(&child, Some(name), key_prefix, path_prefix, inputs);
                if let Some(unit) = self.units.get_mut(&name) {
                    unit.phase = Phase::Sub(sub);
                }
            }
            Err(problems) => {
                let messages: Vec<_> = problems
                    .into_iter()
                    .map(|problem| problem.message)
                    .collect();
                let failure = Failure::new(FailureClass::Invalid, messages.join("; "));
                self.unit_failed(name, failure);
            }
        }
    }

    /// The sub-plan of a unit has ended.
    pub(super) fn sub_plan_ended(
        &mut self,
        name: UnitId,
        result: Result<Map<String, Value>, Failure>,
        used: &Amounts,
    ) {
        let Some(unit) = self.units.get_mut(&name) else {
            return;
        };
        unit.used.add(used);
        unit.phase = Phase::At(Part::Work);
        if unit.stop.is_some() {
            return self.stopped(name);
        }
        match result {
            Ok(outputs) => self.work_done(name, Value::Object(outputs)),
            Err(failure) => self.unit_failed(name, failure),
        }
    }

    /// The work has an output: guardrails after it, or the end.
    pub(super) fn work_done(&mut self, name: UnitId, output: Value) {
        let Some((plan, step)) = self.spec_of(name) else {
            return;
        };
        let Some(spec) = step_spec(&plan, &step) else {
            return;
        };
        let Some(unit) = self.units.get_mut(&name) else {
            return;
        };
        unit.subject = Arc::new(output);
        if spec.after.is_empty() {
            return self.judge_output(name);
        }
        unit.phase = Phase::At(Part::After(0));
        self.jobs.push_back(Job::Advance(name));
    }

    /// The guardrail at `part` let the subject through.
    pub(super) fn guard_done(&mut self, name: UnitId, part: Part) {
        let Some((plan, step)) = self.spec_of(name) else {
            return;
        };
        let Some(spec) = step_spec(&plan, &step) else {
            return;
        };
        let Some(unit) = self.units.get_mut(&name) else {
            return;
        };
        let next = match part {
            Part::Before(index) if (index as usize) + 1 < spec.before.len() => {
                Part::Before(index + 1)
            }
            Part::Before(_) => Part::Work,
            Part::After(index) if (index as usize) + 1 < spec.after.len() => Part::After(index + 1),
            _ => return self.judge_output(name),
        };
        unit.phase = Phase::At(next);
        self.jobs.push_back(Job::Advance(name));
    }

    /// Schema and checks, on the output as the guardrails left it.
    fn judge_output(&mut self, name: UnitId) {
        let Some((plan, step)) = self.spec_of(name) else {
            return;
        };
        let Some(spec) = step_spec(&plan, &step) else {
            return;
        };
        let Some(unit) = self.units.get_mut(&name) else {
            return;
        };
        let nothing = Arc::new(Value::Null);
        let output = std::mem::replace(&mut unit.subject, nothing);
        let violations = plan
            .schema_of(spec)
            .and_then(|schema| schema.violations(&output));
        if let Some(violations) = violations {
            let message = format!("the output does not match its schema: {violations}");
            return self.unit_failed(name, Failure::new(FailureClass::Output, message));
        }
        if let Err(failure) = self.run_checks(name, spec, &output) {
            return self.unit_failed(name, failure);
        }
        let output = Arc::try_unwrap(output).unwrap_or_else(|shared| shared.as_ref().clone());
        self.end_unit(name, Ok(output));
    }

    fn run_checks(&mut self, name: UnitId, spec: &Step, output: &Value) -> Result<(), Failure> {
        if spec.checks.is_empty() {
            return Ok(());
        }
        let run = self.run_value();
        let mut first = None;
        for check in &spec.checks {
            let id = &check.id;
            let holds = self.with_item(name, Some(output), |more, scope| {
                self.with_names(scope, &run, more, |names: &Names<'_>| {
                    check.that.holds(names)
                })
            });
            let Some(unit) = self.units.get(&name) else {
                return Ok(());
            };
            let (step_id, path) = (unit.step_id.clone(), unit.path.clone());
            let message = match &holds {
                Ok(true) => None,
                Ok(false) => Some(format!(
                    "the check `{id}` does not hold: {}",
                    check.that.source()
                )),
                Err(error) => Some(format!("the check `{id}` cannot be evaluated: {error}")),
            };
            let holds = message.is_none();
            self.note(Note::Check {
                step_id,
                path: path.clone(),
                id: id.clone(),
                holds,
            });
            match (message, check.on_fail) {
                (Some(message), OnFail::Warn) => self.warn(&path, "check", message),
                (Some(message), OnFail::Halt) if first.is_none() => {
                    first = Some(Failure::new(FailureClass::Check, message));
                }
                _ => {}
            }
        }
        first.map_or(Ok(()), Err)
    }

    /// The attempt failed: another one, or the end.
    pub(super) fn unit_failed(&mut self, name: UnitId, mut failure: Failure) {
        let Some((plan, step)) = self.spec_of(name) else {
            return;
        };
        let Some(spec) = step_spec(&plan, &step) else {
            return;
        };
        let Some(unit) = self.units.get_mut(&name) else {
            return;
        };
        if failure.step.is_empty() {
            failure.step.clone_from(&unit.path);
        }
        let (attempt, scope) = (unit.attempt, unit.at.scope);
        let (step_id, path) = (unit.step_id.clone(), unit.path.clone());
        let seed = derive_seed(
            self.setup.seed,
            &[&step_id, &attempt.to_string(), "backoff"],
        );
        let wait = spec.retry.next(attempt, failure.class, seed);
        let Some(wait) = wait.filter(|_| !self.is_stopping(scope)) else {
            return self.end_unit(name, Err(failure));
        };
        let at = self.now.after(wait);
        self.note(Note::Retrying {
            step_id,
            path,
            attempt,
            failure,
            at,
        });
        let old = self.units.get_mut(&name).and_then(|unit| unit.timer.take());
        self.clear_timer(old);
        let timer = self.set_timer(at, Purpose::Backoff(name));
        if let Some(unit) = self.units.get_mut(&name) {
            unit.phase = Phase::Backoff;
            unit.timer = Some(timer);
            unit.stop = None;
        }
    }

    pub(super) fn next_attempt(&mut self, name: UnitId) {
        if self
            .units
            .get(&name)
            .is_some_and(|unit| unit.phase == Phase::Backoff)
        {
            self.begin_attempt(name);
            self.jobs.push_back(Job::Advance(name));
        }
    }

    /// Stops a unit: at once if nothing of it is out, else when its call or sub-plan has answered.
    pub(super) fn stop_unit(&mut self, name: UnitId, stop: Stop) {
        let Some(unit) = self.units.get_mut(&name) else {
            return;
        };
        if unit.stop.is_some() {
            return;
        }
        unit.stop = Some(stop);
        let reason = match stop {
            Stop::Timeout => "its time is up",
            Stop::Cancelled => "it is not wanted any more",
        };
        let timer = unit.timer.take();
        match (unit.call, unit.phase) {
            (Some(call), _) => {
                self.clear_timer(timer);
                self.out.push(Action::Cancel {
                    call,
                    reason: reason.to_owned(),
                });
                let grace = self.set_timer(self.now.after(GRACE_MS), Purpose::Grace(name));
                if let Some(unit) = self.units.get_mut(&name) {
                    unit.timer = Some(grace);
                }
            }
            (None, Phase::Sub(sub)) => {
                self.clear_timer(timer);
                let failure = Failure::new(FailureClass::Cancelled, reason);
                self.halt_scope(sub, failure);
            }
            _ => {
                self.clear_timer(timer);
                self.hungry.retain(|hungry| *hungry != name);
                self.stopped(name);
            }
        }
    }

    /// A unit that was to stop has stopped.
    pub(super) fn stopped(&mut self, name: UnitId) {
        let Some(unit) = self.units.get(&name) else {
            return;
        };
        let Some((plan, step)) = self.spec_of(name) else {
            return;
        };
        let limit = step_spec(&plan, &step).map_or(0, |spec| spec.timeout_ms);
        match unit.stop {
            Some(Stop::Timeout) => {
                let message = format!("the attempt took longer than its timeout of {limit} ms");
                let failure = Failure::new(FailureClass::Timeout, message)
                    .with_hint("raise the step's `timeout:`");
                self.unit_failed(name, failure);
            }
            _ => {
                let failure = Failure::new(FailureClass::Cancelled, "stopped before its end");
                self.end_unit(name, Err(failure));
            }
        }
    }

    /// The unit is over. Its step decides what follows.
    fn end_unit(&mut self, name: UnitId, result: Result<Value, Failure>) {
        let Some(unit) = self.units.remove(&name) else {
            return;
        };
        self.clear_timer(unit.timer);
        let at = unit.at;
        if let Some(scope) = self.scopes.get_mut(at.scope.0) {
            scope.live = scope.live.saturating_sub(1);
        }
        self.jobs.push_back(Job::Scope(at.scope));
        if let Some(state) = self.state_mut(at) {
            state.used.add(&unit.used);
            state.running.retain(|running| *running != name);
        }
        if unit.handler.is_some() || unit.item_index.is_some() {
            self.note_end(&unit, &result);
        }
        if unit.handler.is_some() {
            if let Err(failure) = result {
                self.warn(
                    &unit.path,
                    "handler",
                    format!("the handler failed: {}", failure.message),
                );
            }
            return self.after_failure(at);
        }
        match (unit.item_index, result) {
            (None, Ok(output)) => self.end_step(at, StepStatus::Ok, output),
            (None, Err(failure)) => self.step_failed(at, failure),
            (Some(index), result) => self.item_ended(at, index, result),
        }
    }

    fn note_end(&mut self, unit: &Unit, result: &Result<Value, Failure>) {
        let plan = self.plan_of(unit.at.scope);
        let stage = plan.and_then(|plan| unit.spec(&plan)?.stage.clone());
        let status = match result {
            Ok(_) => StepStatus::Ok,
            Err(failure) if failure.class == FailureClass::Cancelled => StepStatus::Cancelled,
            Err(_) => StepStatus::Failed,
        };
        let summary = StepSummary {
            step_id: unit.step_id.clone(),
            path: unit.path.clone(),
            stage,
            status,
            attempts: unit.attempt,
            duration_ms: self.now.since(unit.started),
            used: unit.used,
            failure: result.as_ref().err().cloned(),
        };
        self.note(Note::StepEnded(summary));
    }

    fn item_ended(&mut self, at: StepRef, index: usize, result: Result<Value, Failure>) {
        self.count_item(at, result.is_ok());
        let Some(plan) = self.plan_of(at.scope) else {
            return;
        };
        let foreach = plan
            .steps
            .get(at.index)
            .and_then(|step| step.foreach.as_ref());
        let fail_fast = foreach.is_none_or(|foreach| foreach.fail_fast);
        let Some(state) = self.state_mut(at) else {
            return;
        };
        let mut stop = Vec::new();
        match result {
            Ok(output) => {
                if let Some(place) = state.outputs.get_mut(index) {
                    *place = output;
                }
            }
            Err(failure) if state.failure.is_none() => {
                state.failure = Some(failure);
                if fail_fast {
                    stop.clone_from(&state.running);
                }
            }
            Err(_) => {}
        }
        for unit in stop {
            self.stop_unit(unit, Stop::Cancelled);
        }
        self.jobs.push_back(Job::Items(at));
    }

    /// The account that a unit spends from.
    pub(super) fn account_of(&self, name: UnitId) -> Option<AccountId> {
        let unit = self.units.get(&name)?;
        self.state(unit.at).map(|state| state.account)
    }
}

/// Which step or handler of a plan a unit performs.
#[derive(Clone, Debug)]
pub(super) struct SpecRef {
    handler: Option<String>,
    index: usize,
}

/// The step or handler itself.
pub(super) fn step_spec<'p>(plan: &'p Plan, spec: &SpecRef) -> Option<&'p Step> {
    match &spec.handler {
        Some(name) => plan.handlers.get(name),
        None => plan.steps.get(spec.index),
    }
}

fn first_part(spec: &Step) -> Part {
    if spec.before.is_empty() {
        Part::Work
    } else {
        Part::Before(0)
    }
}
