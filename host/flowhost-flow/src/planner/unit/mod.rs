//! The unit: guardrails, work, guardrails, schema, checks, and again after a failed attempt.
//!
//! A step, an item of a `foreach`, a handler, a state of a state machine and an action of a behaviour
//! tree are each performed by a unit; bodies of plans start them, stop them and hear how they ended.
//! What the work asks is a machine of its own ([`Work`]), so that one unit may have several calls out
//! at once. A unit must never decide what its end means for the plan, and never end while a call of
//! its own is out: only then is its budget exact.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::ControlFlow;
use std::sync::Arc;

use serde_json::Value;

use crate::Amounts;
use crate::budget::{AccountId, Reservation};
use crate::consensus::Verdict;
use crate::exit::{Failure, StepStatus};
use crate::plan::Step;
use crate::planner::core::{Account, Core, Job, Purpose, ScopeId};
use crate::planner::scope::Scope;
use crate::planner::{CallId, CallResult, GateId, Note, Part, StepSummary, Time, TimerId};

mod attempt;
mod calls;
mod doubt;
mod gate;
mod panel;
#[cfg(test)]
mod tests;
mod work;

pub(super) use attempt::as_value;
use doubt::Doubt;
use work::{Ask, Heard, Move, Work};

/// How long a cancelled call may take to answer, in milliseconds, before it is given up: the engine
/// ends a call within tens of milliseconds, so this only passes when the driver is broken.
const GRACE_MS: u64 = 5_000;

/// Names a unit: one step, item, handler, state or action at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct UnitId(u64);

/// For whom a unit works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seat {
    /// The run of a plan.
    pub(super) scope: ScopeId,
    /// The part of that plan, as its body counts them.
    pub(super) slot: usize,
    /// As what.
    pub(super) role: Role,
}

/// As what a unit works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The whole of a step, state or action.
    Whole,
    /// One item of a `foreach`.
    Item(usize),
    /// The handler of a step that failed.
    Handler,
    /// What takes the effect of a step back.
    Compensation,
}

/// What a unit is started with.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) seat: Seat,
    pub(super) spec: Arc<Step>,
    pub(super) path: String,
    pub(super) account: Account,
    /// Names in reach besides those of the scope: `item`, `index`, `failure`.
    pub(super) names: Vec<(String, Value)>,
}

/// Why a unit is being stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// Its time is up.
    Timeout,
    /// It is not wanted any more.
    Cancelled,
}

impl Stop {
    const fn reason(self) -> &'static str {
        match self {
            Self::Timeout => "its time is up",
            Self::Cancelled => "it is not wanted any more",
        }
    }
}

/// How a unit ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) unit: UnitId,
    pub(super) seat: Seat,
    pub(super) account: Account,
    pub(super) result: Result<Value, Failure>,
    pub(super) used: Amounts,
    pub(super) attempts: u32,
    pub(super) path: String,
    /// What a consensus came to, also where it was not enough.
    pub(super) consensus: Option<Arc<Verdict>>,
    step_id: String,
    stage: Option<String>,
    started: Time,
}

impl Ended {
    pub(super) fn status(&self) -> StepStatus {
        match &self.result {
            Ok(_) => StepStatus::Ok,
            Err(failure) if failure.class == crate::FailureClass::Cancelled => {
                StepStatus::Cancelled
            }
            Err(_) => StepStatus::Failed,
        }
    }

    /// Says that the unit ended, where the end of a unit is more than a part of its step's.
    pub(super) fn note(&self, core: &mut Core) {
        let summary = StepSummary {
            step_id: self.step_id.clone(),
            path: self.path.clone(),
            stage: self.stage.clone(),
            status: self.status(),
            attempts: self.attempts,
            duration_ms: core.now.since(self.started),
            used: self.used,
            failure: self.result.as_ref().err().cloned(),
        };
        core.note(Note::StepEnded(summary));
    }
}

/// What ends an attempt as soon as no call of it is out any more.
#[derive(Debug)]
enum End {
    /// The work has an output.
    Done(Value),
    /// The attempt failed.
    Failed(Failure),
    /// It was stopped.
    Stopped(Stop),
}

/// Where a unit is in its attempt.
#[derive(Debug)]
enum Phase {
    /// A guardrail looks.
    Guarding(Part),
    /// The work asks and hears.
    Working(Box<dyn Work>),
    /// Its sub-plan is about to run.
    Opening,
    /// Its sub-plan runs; stopped, it is awaited.
    Sub { scope: ScopeId, stop: Option<Stop> },
    /// Somebody outside has to speak.
    Waiting(GateId),
    /// It is decided how the attempt ends, and calls of it are still out.
    Ending(End),
    /// Between two attempts.
    Backoff,
}

/// A call that is out.
#[derive(Debug)]
struct Open {
    part: Part,
    reservation: Reservation,
    /// Set once the call was cancelled: when it is given up.
    grace: Option<TimerId>,
    /// When its own time is up, where that is before the attempt's; in how many milliseconds it was.
    due: Option<(TimerId, u64)>,
    /// Its own time was up: whatever it answers is too late.
    late: bool,
}

#[derive(Debug)]
struct Unit {
    id: UnitId,
    seat: Seat,
    spec: Arc<Step>,
    names: Vec<(String, Value)>,
    path: String,
    step_id: String,
    account: Account,
    attempt: u32,
    phase: Phase,
    /// As rendered; every attempt begins with it.
    rendered: Arc<Value>,
    /// As the guardrails left it.
    subject: Arc<Value>,
    started: Time,
    deadline: Time,
    /// Of the attempt, or of the wait for the next one.
    timer: Option<TimerId>,
    open: BTreeMap<CallId, Open>,
    /// Questions that are asked a little later, by seat.
    later: BTreeMap<u32, (TimerId, Ask)>,
    /// What the consensus of this attempt came to so far.
    consensus: Option<Arc<Verdict>>,
    /// Whether a question of it may wait for budget.
    waits: bool,
    doubt: Doubt,
    used: Amounts,
}

/// How a transition of a unit ends: it goes on, or is over.
type Turn = ControlFlow<Result<Value, Failure>>;

/// What a unit may reach in a transition.
struct Desk<'a> {
    core: &'a mut Core,
    scope: &'a Scope,
    calls: &'a mut BTreeMap<CallId, UnitId>,
    gates: &'a mut BTreeMap<GateId, UnitId>,
    hungry: &'a mut VecDeque<Hungry>,
}

/// A call that waits for budget, complete but for its reservation.
#[derive(Debug)]
struct Hungry {
    unit: UnitId,
    account: AccountId,
    ask: calls::Ready,
}

/// The answer of a call, booked.
#[derive(Debug)]
pub(super) struct Answer {
    unit: UnitId,
    pub(super) scope: ScopeId,
    part: Part,
    result: CallResult,
    /// The call spent more than the budget had.
    exceeded: Option<Failure>,
}

/// All units of a run, their calls and who waits for budget.
#[derive(Debug, Default)]
pub(super) struct Units {
    units: BTreeMap<UnitId, Unit>,
    /// The units of each scope: ten thousand sub-plans that are stopped at once must not look through all units
    /// of the run each.
    by_scope: BTreeSet<(ScopeId, UnitId)>,
    calls: BTreeMap<CallId, UnitId>,
    gates: BTreeMap<GateId, UnitId>,
    hungry: VecDeque<Hungry>,
    last: u64,
}

impl Units {
    /// Starts a unit. It may be over at once; its end is heard through [`Job::Ended`] all the same.
    pub(super) fn start(&mut self, core: &mut Core, scope: &Scope, start: Start) -> UnitId {
        let id = self.add(core, start);
        self.turn(core, scope, id, Unit::begin);
        id
    }

    /// Starts a unit whose first attempt does this work.
    #[cfg(test)]
    fn start_with(&mut self, core: &mut Core, scope: &Scope, start: Start, work: Box<dyn Work>) {
        let id = self.add(core, start);
        self.turn(core, scope, id, |unit, desk| {
            unit.count_attempt(desk);
            unit.begin_work(desk, work)
        });
    }

    fn add(&mut self, core: &Core, start: Start) -> UnitId {
        self.last += 1;
        let id = UnitId(self.last);
        let nothing = Arc::new(Value::Null);
        let unit = Unit {
            id,
            seat: start.seat,
            spec: start.spec,
            names: start.names,
            step_id: core.step_id(&start.path),
            path: start.path,
            account: start.account,
            attempt: 0,
            phase: Phase::Backoff,
            rendered: Arc::clone(&nothing),
            subject: nothing,
            started: core.now,
            deadline: Time::default(),
            timer: None,
            open: BTreeMap::new(),
            later: BTreeMap::new(),
            consensus: None,
            waits: false,
            doubt: Doubt::default(),
            used: Amounts::default(),
        };
        self.by_scope.insert((unit.seat.scope, id));
        self.units.insert(id, unit);
        id
    }

    /// Stops a unit: at once if nothing of it is out, else when its calls or sub-plan have answered.
    pub(super) fn stop(&mut self, core: &mut Core, scope: &Scope, id: UnitId, stop: Stop) {
        // A body may stop what ended in the same event and of which it has not heard yet.
        if self.units.contains_key(&id) {
            self.turn(core, scope, id, |unit, desk| unit.stop(desk, stop));
        }
    }

    /// An attempt's time is up, the next attempt begins, or a question's time has come.
    pub(super) fn timer(&mut self, core: &mut Core, scope: &Scope, purpose: Purpose) {
        match purpose {
            Purpose::Attempt(id) => self.stop(core, scope, id, Stop::Timeout),
            Purpose::Backoff(id) => self.turn(core, scope, id, Unit::next_attempt),
            Purpose::Later(id, seat) => {
                self.turn(core, scope, id, |unit, desk| unit.ask_later(desk, seat));
            }
            Purpose::Run | Purpose::Grace(_) | Purpose::Late(_) | Purpose::Body(..) => {
                debug_assert!(false, "these timers belong to no unit");
            }
        }
    }

    /// The scope of the unit that a timer is for.
    pub(super) fn scope_of(&self, id: UnitId) -> Option<ScopeId> {
        self.units.get(&id).map(|unit| unit.seat.scope)
    }

    /// The sub-plan of a unit runs now; `false` when the unit was stopped before its turn came.
    pub(super) fn opened(&mut self, id: UnitId, sub: ScopeId) -> bool {
        match self.units.get_mut(&id) {
            Some(unit) if matches!(unit.phase, Phase::Opening) => {
                unit.phase = Phase::Sub {
                    scope: sub,
                    stop: None,
                };
                true
            }
            _ => false,
        }
    }

    /// The sub-plan of a unit has ended.
    pub(super) fn sub_ended(
        &mut self,
        core: &mut Core,
        scope: &Scope,
        id: UnitId,
        result: Result<Value, Failure>,
        used: &Amounts,
    ) {
        self.turn(core, scope, id, |unit, desk| {
            unit.used.add(used);
            unit.sub_ended(desk, result)
        });
    }

    /// Units at work for a scope.
    pub(super) fn of_scope(&self, scope: ScopeId) -> Vec<UnitId> {
        let of_scope = (scope, UnitId(0))..=(scope, UnitId(u64::MAX));
        let of_scope = self.by_scope.range(of_scope);
        of_scope.map(|(_, unit)| *unit).collect()
    }

    /// Calls that were asked for and not yet answered.
    pub(super) fn open_calls(&self) -> Vec<CallId> {
        self.calls.keys().copied().collect()
    }

    fn turn(
        &mut self,
        core: &mut Core,
        scope: &Scope,
        id: UnitId,
        turn: impl FnOnce(&mut Unit, &mut Desk<'_>) -> Turn,
    ) {
        let Some(unit) = self.units.get_mut(&id) else {
            debug_assert!(false, "whoever names a unit has not heard of its end");
            return;
        };
        let mut desk = Desk {
            core,
            scope,
            calls: &mut self.calls,
            gates: &mut self.gates,
            hungry: &mut self.hungry,
        };
        if let ControlFlow::Break(result) = turn(unit, &mut desk) {
            self.end(core, id, result);
        }
    }

    fn end(&mut self, core: &mut Core, id: UnitId, result: Result<Value, Failure>) {
        let Some(unit) = self.units.remove(&id) else {
            debug_assert!(false, "the unit had its turn just now");
            return;
        };
        self.by_scope.remove(&(unit.seat.scope, id));
        debug_assert!(
            unit.open.is_empty(),
            "no unit ends while a call of it is out"
        );
        core.clear_timer(unit.timer);
        core.jobs.push_back(Job::Ended(Box::new(Ended {
            unit: id,
            seat: unit.seat,
            account: unit.account,
            result,
            used: unit.used,
            attempts: unit.attempt,
            path: unit.path,
            consensus: unit.consensus,
            step_id: unit.step_id,
            stage: unit.spec.stage.clone(),
            started: unit.started,
        })));
    }
}
