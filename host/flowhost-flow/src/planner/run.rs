//! The planner of a run: takes events, hands them to the unit or body they are for, and gives back
//! the actions that follow. Plans of all kinds run here, within each other too.
//!
//! What follows from an event is a queue of jobs that is emptied before the answer is given, so that
//! no chain of steps nests calls. Must never look at a clock, perform anything, or keep state that
//! does not follow from its events.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::Amounts;
use crate::budget::AccountId;
use crate::effort;
use crate::exit::{Exit, Failure, FailureClass};
use crate::plan::{self, Plan};
use crate::planner::arena::Arena;
use crate::planner::core::{Core, Job, Opening, Purpose, ROOT, ScopeId, UNITS};
use crate::planner::fsm::Machine;
use crate::planner::requests::Requests;
use crate::planner::scope::{Ctx, Scope, pending_results};
use crate::planner::tree::Tree;
use crate::planner::unit::{Ended, UnitId, Units};
use crate::planner::workflow::{Flow, Graph};
use crate::planner::{Action, CallId, Event, Planner, RunEnd, RunSetup, Time, TimerId};

#[cfg(test)]
mod tests;

/// The body of a plan at work, by kind.
#[derive(Debug)]
enum Body {
    Workflow(Flow),
    Requests(Requests),
    Fsm(Machine),
    Tree(Tree),
}

impl Body {
    fn start(&mut self, ctx: &mut Ctx<'_>) {
        match self {
            Self::Workflow(flow) => flow.start(ctx),
            // Somebody has to ask first.
            Self::Requests(_) => {}
            Self::Fsm(machine) => machine.start(ctx),
            Self::Tree(tree) => tree.start(ctx),
        }
    }

    fn ended(&mut self, ctx: &mut Ctx<'_>, ended: Ended) {
        match self {
            Self::Workflow(flow) => flow.ended(ctx, ended),
            Self::Requests(requests) => requests.ended(ctx, ended),
            Self::Fsm(machine) => machine.ended(ctx, ended),
            Self::Tree(tree) => tree.ended(ctx, ended),
        }
    }

    fn timer(&mut self, ctx: &mut Ctx<'_>, slot: usize) {
        match self {
            Self::Workflow(flow) => flow.timer(ctx, slot),
            Self::Tree(tree) => tree.timer(ctx, slot),
            Self::Fsm(_) | Self::Requests(_) => {
                debug_assert!(false, "only workflows and trees set timers of their own");
            }
        }
    }

    fn halt(&mut self, ctx: &mut Ctx<'_>, failure: Failure) {
        match self {
            Self::Workflow(flow) => flow.halt(ctx, failure),
            Self::Requests(requests) => requests.halt(ctx, failure),
            Self::Fsm(machine) => machine.halt(ctx, failure),
            Self::Tree(tree) => tree.halt(ctx, failure),
        }
    }

    const fn is_over(&self) -> bool {
        match self {
            Self::Workflow(flow) => flow.is_over(),
            Self::Requests(requests) => requests.is_over(),
            Self::Fsm(machine) => machine.is_over(),
            Self::Tree(tree) => tree.is_over(),
        }
    }
}

#[derive(Debug)]
struct Running {
    scope: Scope,
    /// `None` once the scope has ended: nothing of it is needed any more.
    body: Option<Body>,
}

/// Runs a plan.
#[derive(Debug)]
pub(super) struct Run {
    core: Core,
    units: Units,
    scopes: Arena<ScopeId, Running>,
    /// Who needs whom, by prefix of the plan's keys: a `foreach` opens the same plan many times.
    graphs: BTreeMap<String, Arc<Graph>>,
    plan: Arc<Plan>,
    cancelled: bool,
    finished: bool,
}

impl Run {
    /// A planner before its first event.
    pub(super) fn new(plan: &Arc<Plan>, setup: RunSetup) -> Self {
        Self {
            core: Core::new(plan, setup),
            units: Units::default(),
            scopes: Arena::new(),
            graphs: BTreeMap::new(),
            plan: Arc::clone(plan),
            cancelled: false,
            finished: false,
        }
    }

    fn start(&mut self) {
        // Fed twice, the second says nothing new: the driver's log may hold it again after a crash.
        if !self.scopes.is_empty() {
            return;
        }
        let end = self.core.now.after(self.plan.timeout_ms);
        self.core.set_timer(end, Purpose::Run);
        let opening = Opening {
            account: self.core.budget.root(),
            plan: Arc::clone(&self.plan),
            key_prefix: String::new(),
            path_prefix: String::new(),
            tries: String::new(),
            inputs: Value::Object(std::mem::take(&mut self.core.setup.inputs)),
        };
        self.open_scope(opening, None);
    }

    /// Begins one run of a plan.
    fn open_scope(&mut self, opening: Opening, parent: Option<UnitId>) {
        let plan = opening.plan;
        // Each step has a place in the results before anything of it runs.
        effort::goes_on(UNITS.saturating_mul(plan.steps().len() as u64));
        let account = self
            .core
            .account(opening.account, parent.map(|_| &plan.budget));
        let on_request = parent.is_none() && self.core.setup.on_request;
        let body = match &plan.body {
            plan::Body::Workflow { steps } if on_request => Body::Requests(Requests::new(steps)),
            plan::Body::Workflow { steps } => {
                let graph = self.graphs.entry(opening.key_prefix.clone());
                let graph = graph.or_insert_with(|| Arc::new(Graph::new(steps)));
                Body::Workflow(Flow::new(Arc::clone(graph), account))
            }
            plan::Body::Fsm(machine) => Body::Fsm(Machine::new(machine)),
            plan::Body::BehaviorTree(tree) => Body::Tree(Tree::new(tree)),
        };
        let id = self.scopes.push(Running {
            scope: Scope {
                id: ScopeId(self.scopes.len()),
                results: pending_results(&plan),
                plan,
                key_prefix: opening.key_prefix,
                path_prefix: opening.path_prefix,
                tries: opening.tries,
                parent,
                inputs: opening.inputs,
                last_failure: Value::Null,
                live: 0,
                account,
                used: Amounts::default(),
                failure: None,
            },
            body: Some(body),
        });
        self.with_body(id, Body::start);
    }

    /// Lets the body of a scope act, and ends the scope if that was its end.
    fn with_body(&mut self, id: ScopeId, act: impl FnOnce(&mut Body, &mut Ctx<'_>)) {
        let running = &mut self.scopes[id];
        // A scope that has ended hears no more: a halt may come in the same event.
        let Some(body) = &mut running.body else {
            return;
        };
        let mut ctx = Ctx {
            core: &mut self.core,
            units: &mut self.units,
            scope: &mut running.scope,
        };
        act(body, &mut ctx);
        if body.is_over() && running.scope.live == 0 {
            self.end_scope(id);
        }
    }

    fn end_scope(&mut self, id: ScopeId) {
        let running = &mut self.scopes[id];
        running.body = None;
        let scope = &mut running.scope;
        let result = match scope.failure.take() {
            Some(failure) => Err(failure),
            None => scope.render_outputs(&self.core),
        };
        self.core.close_account(scope.account, "");
        scope.free();
        let used = scope.used;
        match scope.parent {
            Some(unit) => {
                let Some(above) = self.units.scope_of(unit) else {
                    debug_assert!(false, "a unit does not end before its sub-plan");
                    return;
                };
                let (above, result) = (&self.scopes[above].scope, result.map(Value::Object));
                self.units
                    .sub_ended(&mut self.core, above, unit, result, &used);
            }
            None => self.finish(result),
        }
    }

    fn finish(&mut self, result: Result<Map<String, Value>, Failure>) {
        self.core.clear_all_timers();
        // What is left of this turn is for scopes that nobody hears any more.
        self.core.jobs.clear();
        let (outputs, failure) = match result {
            Ok(outputs) => (outputs, None),
            Err(failure) => (Map::new(), Some(failure)),
        };
        let exit = failure
            .as_ref()
            .map_or(Exit::Ok, |failure| failure.class.exit());
        let end = RunEnd {
            exit,
            status: exit.status(),
            outputs,
            failure,
            used: *self.core.budget.used(),
        };
        self.finished = true;
        self.core.act(Action::Finish(Box::new(end)));
    }

    fn work_off(&mut self) {
        loop {
            while let Some(job) = self.core.jobs.pop_front() {
                if !effort::goes_on(UNITS) {
                    return;
                }
                match job {
                    Job::Ended(ended) => {
                        let scope = ended.seat.scope;
                        // Before the body hears of it: a body that halts now ends at once if this was the last.
                        self.scopes[scope].scope.live -= 1;
                        self.with_body(scope, |body, ctx| body.ended(ctx, *ended));
                    }
                    Job::Open(unit, opening) => {
                        if self.units.opened(unit, ScopeId(self.scopes.len())) {
                            self.open_scope(*opening, Some(unit));
                        }
                    }
                    Job::Halt(scope, failure) => {
                        self.with_body(scope, |body, ctx| body.halt(ctx, failure));
                    }
                }
                if self.finished {
                    return;
                }
            }
            if !std::mem::take(&mut self.core.freed) {
                return;
            }
            self.feed_hungry();
        }
    }

    /// Lets those try again that wait for budget. Who is refused again keeps its place, and with it
    /// everyone behind who spends from the same account.
    fn feed_hungry(&mut self) {
        // Hashed, because each that waits looks for its account; the order in it is never asked.
        let mut refused: HashSet<AccountId> = HashSet::new();
        // Counted once: whoever is refused goes to the end of the line, and is not asked twice.
        for _ in 0..self.units.waiting() {
            if !effort::goes_on(UNITS) {
                return;
            }
            let Some(scope) = self.units.next_waiting(&refused) else {
                continue;
            };
            let scope = &self.scopes[scope].scope;
            refused.extend(self.units.try_again(&mut self.core, scope));
        }
    }

    fn call_finished(&mut self, call: CallId, result: crate::CallResult, used: &Amounts) {
        // An unknown call was given up before, and its late answer is not needed any more.
        if let Some(answer) = self.units.settle(&mut self.core, call, result, used) {
            self.hear(answer);
        }
    }

    fn hear(&mut self, answer: crate::planner::unit::Answer) {
        // Who waits for budget comes before what the answer leads to, else a step that asks again and again
        // would take what comes back each time, and the others would wait for its end.
        self.core.freed = false;
        self.feed_hungry();
        let scope = &self.scopes[answer.scope].scope;
        self.units.hear(&mut self.core, scope, answer);
    }

    fn timer_fired(&mut self, timer: TimerId) {
        // A timer that was cleared may fire all the same and means nothing.
        let Some(purpose) = self.core.timer_fired(timer) else {
            return;
        };
        match purpose {
            Purpose::Run => {
                let limit = self.plan.timeout_ms;
                let message = format!("the run took longer than its timeout of {limit} ms");
                let failure = Failure::new(FailureClass::Timeout, message)
                    .with_hint("raise the plan's `timeout:`");
                self.stop_run(failure);
            }
            Purpose::Attempt(unit) | Purpose::Backoff(unit) | Purpose::Later(unit, _) => {
                let Some(scope) = self.units.scope_of(unit) else {
                    debug_assert!(false, "a unit clears its timer when it ends");
                    return;
                };
                let scope = &self.scopes[scope].scope;
                self.units.timer(&mut self.core, scope, purpose);
            }
            Purpose::Grace(call) => {
                let answer = self.units.give_up(&mut self.core, call);
                debug_assert!(answer.is_some(), "an answer clears the timer of its call");
                if let Some(answer) = answer {
                    self.hear(answer);
                }
            }
            Purpose::Late(call) => self.units.late(&mut self.core, call),
            Purpose::Body(scope, slot) => {
                self.with_body(scope, |body, ctx| body.timer(ctx, slot));
            }
        }
    }

    /// Lets the body of a run that is open to requests hear of one. No other run is asked for anything.
    fn with_requests(&mut self, act: impl FnOnce(&mut Requests, &mut Ctx<'_>)) {
        if self.scopes.is_empty() {
            debug_assert!(false, "nobody asks before the run began");
            return;
        }
        self.with_body(ROOT, |body, ctx| match body {
            Body::Requests(requests) => act(requests, ctx),
            Body::Workflow(_) | Body::Fsm(_) | Body::Tree(_) => {
                debug_assert!(false, "the run is not open to requests");
            }
        });
    }

    /// Ends the run: what works is stopped and awaited. Asked twice, it is over at once.
    fn stop_run(&mut self, failure: Failure) {
        if self.scopes.is_empty() || self.cancelled {
            let first = match self.scopes.is_empty() {
                true => None,
                false => self.scopes[ROOT].scope.failure.take(),
            };
            return self.finish(Err(first.unwrap_or(failure)));
        }
        self.cancelled = true;
        self.with_body(ROOT, |body, ctx| body.halt(ctx, failure));
    }
}

impl Planner for Run {
    fn on(&mut self, event: Event, now: Time) -> Vec<Action> {
        self.core.now = self.core.now.max(now);
        if self.finished {
            return Vec::new();
        }
        match event {
            Event::Started => self.start(),
            Event::CallFinished { call, result, used } => self.call_finished(call, result, &used),
            Event::TimerFired { timer } => self.timer_fired(timer),
            Event::GateAnswered { gate, answer } => {
                // One that was closed may be spoken to all the same, and it means nothing.
                if let Some(scope) = self.units.at_gate(gate) {
                    let scope = &self.scopes[scope].scope;
                    self.units.gate(&mut self.core, scope, gate, answer);
                }
            }
            Event::Requested {
                request,
                step,
                input,
            } => self.with_requests(|it, ctx| it.requested(ctx, request, &step, input)),
            Event::Withdrawn { request } => {
                self.with_requests(|it, ctx| it.withdrawn(ctx, request));
            }
            Event::Closed { stops } => {
                self.with_requests(|it, ctx| it.closed(ctx, stops.is_some()));
            }
            Event::Cancelled { reason } => {
                self.stop_run(Failure::new(FailureClass::Cancelled, reason));
            }
            Event::HostFailed { failure } => self.stop_run(failure),
        }
        if !self.finished {
            self.work_off();
        }
        self.core.answer()
    }

    fn is_finished(&self) -> bool {
        self.finished
    }

    fn open_calls(&self) -> Vec<CallId> {
        self.units.open_calls()
    }

    fn rests(&self) -> bool {
        let ticks = |(_, running): (ScopeId, &Running)| matches!(&running.body, Some(Body::Tree(tree)) if tree.waits_for_time());
        !self.finished && self.units.rest() && !self.scopes.iter().any(ticks)
    }

    fn calls_asked(&self) -> u64 {
        self.core.calls_asked()
    }
}
