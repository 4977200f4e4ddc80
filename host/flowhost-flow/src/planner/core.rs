//! What all machines of one run share: its time, its timers, its budget and the actions of the answer
//! that is being given. Must hold nothing that does not follow from plan, setup and events.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::budget::{AccountId, Budget, BudgetSpec, Settled};
use crate::exit::{Failure, FailureClass};
use crate::hash::step_id;
use crate::plan::{Plan, limits};
use crate::planner::arena::slot;
use crate::planner::unit::{Ended, UnitId};
use crate::planner::{Action, CallId, GateId, Note, RunSetup, Time, TimerId};
use crate::units::micro_usd_to_usd;

slot! {
    /// Names a scope: one run of one plan. The root is 0.
    ScopeId
}

/// The run of the plan itself.
pub(super) const ROOT: ScopeId = ScopeId(0);

/// What a timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The run's time is up.
    Run,
    /// An attempt's time is up.
    Attempt(UnitId),
    /// The next attempt begins.
    Backoff(UnitId),
    /// A stopped call did not answer.
    Grace(CallId),
    /// A call's own time is up, before that of its attempt.
    Late(CallId),
    /// A question of a unit is asked now: the seat that it is for.
    Later(UnitId, u32),
    /// A part of a plan's body waited for this: a barrier, a node with a timeout.
    Body(ScopeId, usize),
}

/// What follows from an event and is done after it, so that long chains do not nest calls.
#[derive(Debug)]
pub(super) enum Job {
    /// A unit is over: the body of its plan decides what follows.
    Ended(Box<Ended>),
    /// The work of a unit is another plan.
    Open(UnitId, Box<Opening>),
    /// A unit does not want its sub-plan any more.
    Halt(ScopeId, Failure),
}

/// A sub-plan that is to run.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) account: AccountId,
    pub(super) plan: Arc<Plan>,
    pub(super) key_prefix: String,
    pub(super) path_prefix: String,
    pub(super) tries: String,
    pub(super) inputs: Value,
}

/// What a step of the planner's own work costs beside the expressions in it, in the units of [`crate::effort`]:
/// ids are hashes, paths are texts, and each has places in a few trees.
pub(super) const UNITS: u64 = 64;

/// The shared part of a run.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) setup: RunSetup,
    pub(super) now: Time,
    pub(super) budget: Budget,
    pub(super) jobs: VecDeque<Job>,
    /// Budget came back since those who wait for it were last asked.
    pub(super) freed: bool,
    /// Checks of the whole run that did not hold, warnings and repeated attempts included.
    failed_checks: u64,
    /// How many there may be; a plan that leaves no evidence of stages is no pipeline, and has no bound.
    failed_checks_max: Option<u64>,
    /// Plans within plans in which a step that must not be done twice may have been done.
    pub(super) doubtful: BTreeSet<ScopeId>,
    /// Steps, items and visits of the whole run that have ended, and how many may.
    steps_ended: u64,
    pub(super) steps_max: u64,
    out: Vec<Action>,
    timers: BTreeMap<TimerId, Purpose>,
    last_timer: u64,
    last_call: u64,
    last_gate: u64,
}

impl Core {
    pub(super) fn new(plan: &Plan, setup: RunSetup) -> Self {
        Self {
            setup,
            now: Time::default(),
            budget: Budget::new(&plan.budget),
            jobs: VecDeque::new(),
            freed: false,
            failed_checks: 0,
            failed_checks_max: plan.evidence.as_ref().map(|it| it.max_failed_checks),
            doubtful: BTreeSet::new(),
            steps_ended: 0,
            steps_max: limits::RUN_STEPS_MAX,
            out: Vec::new(),
            timers: BTreeMap::new(),
            last_timer: 0,
            last_call: 0,
            last_gate: 0,
        }
    }

    pub(super) fn act(&mut self, action: Action) {
        self.out.push(action);
    }

    pub(super) fn answer(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.out)
    }

    pub(super) fn note(&mut self, note: Note) {
        if matches!(note, Note::StepEnded(_)) {
            self.step_ended();
        }
        self.out.push(Action::Note(note));
    }

    /// Plans within plans multiply, and what never calls a plugin is bounded by no budget: with one step too
    /// many the run is halted.
    fn step_ended(&mut self) {
        self.steps_ended += 1;
        let max = self.steps_max;
        // Told once, and before all that waits: what is halted may have as many steps again.
        if self.steps_ended == max.saturating_add(1) {
            let message = format!(
                "the run has more than {max} steps, those of its plans in plans and the items of each `foreach` included"
            );
            let failure = Failure::new(FailureClass::Limit, message)
                .with_hint("make several runs of it (docs/limits.md)");
            self.jobs.push_front(Job::Halt(ROOT, failure));
        }
    }

    pub(super) fn warn(&mut self, path: &str, about: &'static str, message: impl Into<String>) {
        self.note(Note::Warning {
            path: path.to_owned(),
            about,
            message: message.into(),
        });
    }

    /// A check did not hold. With one too many the run is halted, whatever its steps would do about it. Counted here
    /// and not by whoever reads the evidence, so that a replay halts at the same place (ADR 0031).
    pub(super) fn check_failed(&mut self) {
        self.failed_checks += 1;
        // The plan leaves no evidence of stages: it is no pipeline, and each check decides for itself.
        let Some(max) = self.failed_checks_max else {
            return;
        };
        // Told once: at the first that is too many.
        if self.failed_checks == max.saturating_add(1) {
            let message = format!(
                "{} checks of the run did not hold, and its plan allows {max}",
                self.failed_checks
            );
            let failure = Failure::new(FailureClass::Check, message).with_hint(
                "mend what the checks say, or raise `evidence.max_failed_checks` (docs/runbooks/alerts.md)",
            );
            self.jobs.push_back(Job::Halt(ROOT, failure));
        }
    }

    pub(super) const fn next_call(&mut self) -> CallId {
        self.last_call += 1;
        CallId(self.last_call)
    }

    pub(super) const fn next_gate(&mut self) -> GateId {
        self.last_gate += 1;
        GateId(self.last_gate)
    }

    pub(super) const fn calls_asked(&self) -> u64 {
        self.last_call
    }

    pub(super) fn set_timer(&mut self, at: Time, purpose: Purpose) -> TimerId {
        self.last_timer += 1;
        let timer = TimerId(self.last_timer);
        self.timers.insert(timer, purpose);
        self.out.push(Action::SetTimer { timer, at });
        timer
    }

    pub(super) fn clear_timer(&mut self, timer: Option<TimerId>) {
        if let Some(timer) = timer
            && self.timers.remove(&timer).is_some()
        {
            self.out.push(Action::ClearTimer { timer });
        }
    }

    /// What the timer was for; `None` for one that was cleared or never set, which means nothing.
    pub(super) fn timer_fired(&mut self, timer: TimerId) -> Option<Purpose> {
        self.timers.remove(&timer)
    }

    pub(super) fn clear_all_timers(&mut self) {
        for timer in std::mem::take(&mut self.timers).into_keys() {
            self.out.push(Action::ClearTimer { timer });
        }
    }

    /// Says which thresholds a settlement crossed.
    pub(super) fn warn_of(&mut self, settled: &Settled, path: &str) {
        for crossed in &settled.crossed {
            let (spent, limit) = (crossed.spent, crossed.limit);
            let (word, percent) = (crossed.currency.word(), crossed.at_milli / 10);
            let message = format!("{percent} % of the budget is used: {spent} of {limit} {word}");
            self.warn(path, "budget", message);
        }
    }

    /// The account for what states a budget of its own, else the one above it.
    pub(super) fn account(&mut self, above: AccountId, spec: Option<&BudgetSpec>) -> Account {
        match spec.filter(|spec| !spec.is_unstated()) {
            Some(spec) => Account {
                id: self.budget.open(above, spec),
                owned: true,
            },
            None => Account {
                id: above,
                owned: false,
            },
        }
    }

    /// Gives back what an account of one's own has left.
    pub(super) fn close_account(&mut self, account: Account, path: &str) {
        if account.owned {
            let settled = self.budget.close(account.id);
            self.warn_of(&settled, path);
            self.freed = true;
        }
    }

    pub(super) fn step_id(&self, path: &str) -> String {
        step_id(&self.setup.plan_hash, path)
    }

    /// `run` in expressions.
    pub(super) fn run_value(&self) -> Value {
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
}

/// Whose budget is spent, and whether it ends with its spender.
#[derive(Clone, Copy, Debug)]
pub(super) struct Account {
    pub(super) id: AccountId,
    pub(super) owned: bool,
}
