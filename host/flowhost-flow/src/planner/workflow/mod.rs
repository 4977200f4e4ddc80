//! The workflow planner: steps that need each other.
//!
//! Owns the order of a workflow's work. Events are taken one at a time; what follows from one is a
//! queue of jobs that is emptied before the answer is given, so that no chain of steps nests calls.
//! Must never look at a clock, perform anything, or keep state that does not follow from its events.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::budget::{Budget, BudgetSpec, Settled};
use crate::exit::{Exit, Failure, FailureClass, StepStatus};
use crate::expr::{EvalError, Names, Template};
use crate::plan::Plan;
use crate::planner::{Action, CallId, Event, Note, Planner, RunEnd, RunSetup, Time, TimerId};
use crate::units::micro_usd_to_usd;

mod barrier;
mod calls;
mod state;
mod steps;
#[cfg(test)]
mod tests;
mod units;

use state::{Graph, Job, Purpose, Scope, ScopeId, StepRef, StepState, Unit, UnitId, is_barrier};

/// How long a cancelled call may take to answer, in milliseconds, before it is given up: the engine
/// ends a call within tens of milliseconds, so this only passes when the driver is broken.
const GRACE_MS: u64 = 5_000;

/// Runs `kind: workflow`.
#[derive(Debug)]
pub struct Workflow {
    setup: RunSetup,
    now: Time,
    scopes: Vec<Scope>,
    graphs: BTreeMap<String, Arc<Graph>>,
    units: BTreeMap<UnitId, Unit>,
    next_unit: u64,
    calls: BTreeMap<CallId, UnitId>,
    next_call: u64,
    timers: BTreeMap<TimerId, Purpose>,
    next_timer: u64,
    budget: Budget,
    /// Units whose next call waits for budget, in order.
    hungry: VecDeque<UnitId>,
    jobs: VecDeque<Job>,
    out: Vec<Action>,
    plan: Arc<Plan>,
    cancelled: bool,
    finished: bool,
}

impl Workflow {
    /// A planner before its first event.
    #[must_use]
    pub(crate) fn new(plan: &Arc<Plan>, setup: RunSetup) -> Self {
        Self {
            budget: Budget::new(&plan.budget),
            setup,
            now: Time::default(),
            scopes: Vec::new(),
            graphs: BTreeMap::new(),
            units: BTreeMap::new(),
            next_unit: 0,
            calls: BTreeMap::new(),
            next_call: 0,
            timers: BTreeMap::new(),
            next_timer: 0,
            hungry: VecDeque::new(),
            jobs: VecDeque::new(),
            out: Vec::new(),
            plan: Arc::clone(plan),
            cancelled: false,
            finished: false,
        }
    }

    fn start(&mut self) {
        if !self.scopes.is_empty() {
            return;
        }
        self.set_timer(self.now.after(self.plan.timeout_ms), Purpose::Run);
        let inputs = Value::Object(std::mem::take(&mut self.setup.inputs));
        let plan = Arc::clone(&self.plan);
        self.open_scope(&plan, None, String::new(), String::new(), inputs);
    }

    /// Begins one run of a plan and returns its name.
    fn open_scope(
        &mut self,
        plan: &Arc<Plan>,
        parent: Option<UnitId>,
        key_prefix: String,
        path_prefix: String,
        inputs: Value,
    ) -> ScopeId {
        let graph = Arc::clone(
            self.graphs
                .entry(key_prefix.clone())
                .or_insert_with(|| Arc::new(Graph::new(plan))),
        );
        let above = parent
            .and_then(|unit| self.account_of(unit))
            .unwrap_or(self.budget.root());
        let (account, owns_account) = match parent {
            Some(_) => self.sub_account(above, Some(&plan.budget)),
            None => (above, false),
        };
        let steps: Vec<StepState> = graph
            .needs
            .iter()
            .map(|needs| StepState::new(needs.len(), account))
            .collect();
        let id = ScopeId(self.scopes.len());
        self.scopes.push(Scope {
            plan: Arc::clone(plan),
            graph: Arc::clone(&graph),
            key_prefix,
            path_prefix,
            parent,
            inputs,
            results: Scope::pending_results(plan),
            open: steps.len(),
            steps,
            live: 0,
            account,
            owns_account,
            used: crate::Amounts::default(),
            failure: None,
            done: false,
        });
        for (index, step) in plan.steps.iter().enumerate() {
            let at = StepRef { scope: id, index };
            if is_barrier(step) {
                self.arm_barrier(at);
            } else if step.needs.is_empty() {
                self.jobs.push_back(Job::Begin(at));
            }
        }
        self.jobs.push_back(Job::Scope(id));
        id
    }

    fn work_off(&mut self) {
        while let Some(job) = self.jobs.pop_front() {
            if self.finished {
                self.jobs.clear();
                return;
            }
            match job {
                Job::Begin(at) => self.begin_step(at),
                Job::Items(at) => self.more_items(at),
                Job::Barrier(at) => self.judge_barrier(at),
                Job::Scope(id) => self.judge_scope(id),
                Job::Advance(unit) => self.advance(unit),
            }
        }
    }

    /// Ends a scope whose steps are all final and whose units are all gone.
    fn judge_scope(&mut self, id: ScopeId) {
        let Some(scope) = self.scopes.get_mut(id.0) else {
            return;
        };
        if scope.done || scope.open > 0 || scope.live > 0 {
            return;
        }
        scope.done = true;
        let (parent, used) = (scope.parent, scope.used);
        let (account, owns) = (scope.account, scope.owns_account);
        let result = match scope.failure.take() {
            Some(failure) => Err(failure),
            None => self.render_outputs(id),
        };
        if owns {
            let settled = self.budget.close(account);
            self.warn_of(&settled, "");
        }
        match parent {
            Some(unit) => {
                self.free_scope(id);
                self.sub_plan_ended(unit, result, &used);
            }
            None => self.finish(result),
        }
    }

    /// A finished sub-plan's values are not needed any more.
    fn free_scope(&mut self, id: ScopeId) {
        if let Some(scope) = self.scopes.get_mut(id.0) {
            scope.results = Value::Null;
            scope.inputs = Value::Null;
            scope.steps = Vec::new();
        }
    }

    fn render_outputs(&self, id: ScopeId) -> Result<Map<String, Value>, Failure> {
        let Some(scope) = self.scopes.get(id.0) else {
            return Ok(Map::new());
        };
        let mut outputs = Map::new();
        for (name, template) in &scope.plan.outputs {
            let value = self.render(id, template, &[]).map_err(|error| {
                Failure::new(
                    FailureClass::Expression,
                    format!("output `{name}`: {error}"),
                )
            })?;
            outputs.insert(name.clone(), value);
        }
        Ok(outputs)
    }

    fn finish(&mut self, result: Result<Map<String, Value>, Failure>) {
        for timer in std::mem::take(&mut self.timers).into_keys() {
            self.out.push(Action::ClearTimer { timer });
        }
        let (outputs, failure) = match result {
            Ok(outputs) => (outputs, None),
            Err(failure) => (Map::new(), Some(failure)),
        };
        let exit = failure
            .as_ref()
            .map_or(Exit::Ok, |failure| failure.class.exit());
        let used = *self.budget.used();
        let end = RunEnd {
            exit,
            status: exit.status(),
            outputs,
            failure,
            used,
        };
        self.out.push(Action::Finish(Box::new(end)));
        self.finished = true;
    }

    /// Stops the whole run. The second time there is no waiting for calls to answer.
    fn stop_run(&mut self, failure: Failure) {
        if self.cancelled {
            let first = self
                .scopes
                .first_mut()
                .and_then(|scope| scope.failure.take());
            return self.finish(Err(first.unwrap_or(failure)));
        }
        self.cancelled = true;
        match self.scopes.is_empty() {
            true => self.finish(Err(failure)),
            false => self.halt_scope(ScopeId(0), failure),
        }
    }

    fn timer_fired(&mut self, timer: TimerId) {
        match self.timers.remove(&timer) {
            Some(Purpose::Run) => {
                let limit = self.plan.timeout_ms;
                let message = format!("the run took longer than its timeout of {limit} ms");
                let failure = Failure::new(FailureClass::Timeout, message)
                    .with_hint("raise the plan's `timeout:`");
                self.stop_run(failure);
            }
            Some(Purpose::Attempt(unit)) => self.stop_unit(unit, state::Stop::Timeout),
            Some(Purpose::Backoff(unit)) => self.next_attempt(unit),
            Some(Purpose::Grace(unit)) => self.give_up(unit),
            Some(Purpose::Barrier(at)) => self.barrier_timed_out(at),
            None => {}
        }
    }

    fn set_timer(&mut self, at: Time, purpose: Purpose) -> TimerId {
        self.next_timer += 1;
        let timer = TimerId(self.next_timer);
        self.timers.insert(timer, purpose);
        self.out.push(Action::SetTimer { timer, at });
        timer
    }

    fn clear_timer(&mut self, timer: Option<TimerId>) {
        if let Some(timer) = timer
            && self.timers.remove(&timer).is_some()
        {
            self.out.push(Action::ClearTimer { timer });
        }
    }

    fn note(&mut self, note: Note) {
        self.out.push(Action::Note(note));
    }

    fn warn(&mut self, path: &str, about: &'static str, message: impl Into<String>) {
        self.note(Note::Warning {
            path: path.to_owned(),
            about,
            message: message.into(),
        });
    }

    fn warn_of(&mut self, settled: &Settled, path: &str) {
        for crossed in &settled.crossed {
            let (spent, limit) = (crossed.spent, crossed.limit);
            let (word, percent) = (crossed.currency.word(), crossed.at_milli / 10);
            let message = format!("{percent} % of the budget is used: {spent} of {limit} {word}");
            self.warn(path, "budget", message);
        }
    }

    /// Opens an account below `above` if the budget states anything.
    fn sub_account(
        &mut self,
        above: crate::budget::AccountId,
        spec: Option<&BudgetSpec>,
    ) -> (crate::budget::AccountId, bool) {
        match spec.filter(|spec| !spec.is_unstated()) {
            Some(spec) => (self.budget.open(above, spec), true),
            None => (above, false),
        }
    }

    /// The value of a template in a scope, with `more` names in reach.
    fn render(
        &self,
        id: ScopeId,
        template: &Template,
        more: &[(&str, &Value)],
    ) -> Result<Value, EvalError> {
        let run = if template.mentions("run") {
            self.run_value()
        } else {
            Value::Null
        };
        self.with_names(id, &run, more, |names| template.render(names))
    }

    fn with_names<T>(
        &self,
        id: ScopeId,
        run: &Value,
        more: &[(&str, &Value)],
        evaluate: impl FnOnce(&Names<'_>) -> Result<T, EvalError>,
    ) -> Result<T, EvalError> {
        let Some(scope) = self.scopes.get(id.0) else {
            return Err(EvalError::Value("the plan has ended".to_owned()));
        };
        let mut names = Vec::with_capacity(3 + more.len());
        names.extend([
            ("inputs", &scope.inputs),
            ("steps", &scope.results),
            ("run", run),
        ]);
        names.extend_from_slice(more);
        evaluate(&Names::new(&names))
    }

    /// `run` in expressions.
    fn run_value(&self) -> Value {
        let used = self.budget.used();
        json!({
            "id": self.setup.run_id,
            "plan_hash": self.setup.plan_hash,
            "cost": {
                "total_usd": micro_usd_to_usd(used.micro_usd),
                "tokens": used.tokens,
                "calls": used.calls,
                "fuel": used.fuel,
            },
        })
    }

    fn state(&self, at: StepRef) -> Option<&StepState> {
        self.scopes.get(at.scope.0)?.steps.get(at.index)
    }

    fn state_mut(&mut self, at: StepRef) -> Option<&mut StepState> {
        self.scopes.get_mut(at.scope.0)?.steps.get_mut(at.index)
    }

    fn plan_of(&self, id: ScopeId) -> Option<Arc<Plan>> {
        self.scopes.get(id.0).map(|scope| Arc::clone(&scope.plan))
    }

    fn path_of(&self, at: StepRef) -> String {
        self.scopes
            .get(at.scope.0)
            .and_then(|scope| Some(format!("{}{}", scope.path_prefix, scope.step(at.index)?.id)))
            .unwrap_or_default()
    }

    fn is_final(&self, at: StepRef) -> bool {
        self.state(at).is_none_or(|state| state.status.is_final())
    }

    fn is_running(&self, at: StepRef) -> bool {
        self.state(at)
            .is_some_and(|state| state.status == StepStatus::Running)
    }
}

impl Planner for Workflow {
    fn on(&mut self, event: Event, now: Time) -> Vec<Action> {
        self.now = self.now.max(now);
        if self.finished {
            return Vec::new();
        }
        match event {
            Event::Started => self.start(),
            Event::CallFinished { call, result, used } => self.call_finished(call, result, &used),
            Event::TimerFired { timer } => self.timer_fired(timer),
            Event::Cancelled { reason } => {
                self.stop_run(Failure::new(FailureClass::Cancelled, reason));
            }
            Event::HostFailed { failure } => self.stop_run(failure),
        }
        self.work_off();
        std::mem::take(&mut self.out)
    }

    fn is_finished(&self) -> bool {
        self.finished
    }

    fn open_calls(&self) -> Vec<CallId> {
        self.calls.keys().copied().collect()
    }
}
