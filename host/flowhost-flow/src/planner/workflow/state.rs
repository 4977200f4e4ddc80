//! What a running workflow remembers. All of it follows from the plan, the setup and the events so
//! far; nothing else may live here, or a replay would differ.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::budget::{AccountId, Amounts, Reservation};
use crate::exit::{Failure, StepStatus};
use crate::plan::{Plan, Step, Work};
use crate::planner::{CallId, Part, Time, TimerId};

/// Names a scope: one run of one plan. The root is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ScopeId(pub(super) usize);

/// Names a unit: one item of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct UnitId(pub(super) u64);

/// Names a step within a scope, by its place in the sorted list of steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct StepRef {
    pub(super) scope: ScopeId,
    pub(super) index: usize,
}

/// Who needs whom, by place in the sorted list of steps.
#[derive(Debug)]
pub(super) struct Graph {
    pub(super) needs: Vec<Vec<usize>>,
    pub(super) dependents: Vec<Vec<usize>>,
}

impl Graph {
    pub(super) fn new(plan: &Plan) -> Self {
        let places: BTreeMap<&str, usize> = plan
            .steps
            .iter()
            .enumerate()
            .map(|(place, step)| (step.id.as_str(), place))
            .collect();
        let mut dependents = vec![Vec::new(); plan.steps.len()];
        let mut needs = Vec::with_capacity(plan.steps.len());
        for (place, step) in plan.steps.iter().enumerate() {
            let of_step: Vec<usize> = step
                .needs
                .iter()
                .filter_map(|need| places.get(need.as_str()).copied())
                .collect();
            for need in &of_step {
                if let Some(list) = dependents.get_mut(*need) {
                    list.push(place);
                }
            }
            needs.push(of_step);
        }
        Self { needs, dependents }
    }

    pub(super) fn dependents_of(&self, index: usize) -> &[usize] {
        self.dependents
            .get(index)
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// All that come after `index`, directly or not, by place.
    pub(super) fn after(&self, index: usize) -> Vec<bool> {
        let mut found = vec![false; self.dependents.len()];
        let mut open = vec![index];
        while let Some(current) = open.pop() {
            for next in self.dependents_of(current) {
                if let Some(seen @ false) = found.get_mut(*next) {
                    *seen = true;
                    open.push(*next);
                }
            }
        }
        found
    }
}

/// One run of one plan: the root, or a step that runs a sub-plan.
#[derive(Debug)]
pub(super) struct Scope {
    pub(super) plan: Arc<Plan>,
    pub(super) graph: Arc<Graph>,
    /// In front of plugin names: empty, or `a.yaml::`.
    pub(super) key_prefix: String,
    /// In front of step paths: empty, or `package/`.
    pub(super) path_prefix: String,
    pub(super) parent: Option<UnitId>,
    pub(super) inputs: Value,
    /// `steps` in expressions.
    pub(super) results: Value,
    pub(super) steps: Vec<StepState>,
    /// Steps that are not final.
    pub(super) open: usize,
    /// Units at work, handlers included.
    pub(super) live: usize,
    pub(super) account: AccountId,
    pub(super) owns_account: bool,
    pub(super) used: Amounts,
    /// Why it stops; the first reason stays.
    pub(super) failure: Option<Failure>,
    pub(super) done: bool,
}

impl Scope {
    pub(super) fn step(&self, index: usize) -> Option<&Step> {
        self.plan.steps.get(index)
    }

    pub(super) fn set_result(&mut self, index: usize, status: StepStatus, output: Value) {
        let Some(step) = self.plan.steps.get(index) else {
            return;
        };
        let name = if step.foreach.is_some() {
            "outputs"
        } else {
            "output"
        };
        let mut result = Map::new();
        result.insert(name.to_owned(), output);
        result.insert("status".to_owned(), Value::from(status.word()));
        if let Value::Object(results) = &mut self.results {
            results.insert(step.id.clone(), Value::Object(result));
        }
    }

    /// Every step as it stands before anything ran.
    pub(super) fn pending_results(plan: &Plan) -> Value {
        let pending = plan.steps.iter().map(|step| {
            let name = if step.foreach.is_some() {
                "outputs"
            } else {
                "output"
            };
            (
                step.id.clone(),
                json!({ name: null, "status": StepStatus::Pending.word() }),
            )
        });
        Value::Object(pending.collect())
    }
}

/// How a step stands.
#[derive(Debug)]
pub(super) struct StepState {
    pub(super) status: StepStatus,
    /// Needs that are not final.
    pub(super) waiting: usize,
    pub(super) started: Time,
    pub(super) account: AccountId,
    pub(super) owns_account: bool,
    /// Items of a `foreach` that were not started, in order; taken from the front.
    pub(super) items: std::vec::IntoIter<Value>,
    pub(super) next_item: usize,
    pub(super) outputs: Vec<Value>,
    pub(super) running: Vec<UnitId>,
    pub(super) attempts: u32,
    pub(super) used: Amounts,
    /// The first failure of an item, or of the step.
    pub(super) failure: Option<Failure>,
    pub(super) barrier: BarrierState,
}

impl StepState {
    pub(super) fn new(waiting: usize, account: AccountId) -> Self {
        Self {
            status: StepStatus::Pending,
            waiting,
            started: Time::default(),
            account,
            owns_account: false,
            items: Vec::new().into_iter(),
            next_item: 0,
            outputs: Vec::new(),
            running: Vec::new(),
            attempts: 0,
            used: Amounts::default(),
            failure: None,
            barrier: BarrierState::default(),
        }
    }
}

/// What a barrier has counted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct BarrierState {
    /// Needs whose number of items is known.
    pub(super) known: usize,
    pub(super) total: usize,
    pub(super) ok: usize,
    pub(super) failed: usize,
    pub(super) timer: Option<TimerId>,
}

/// Where a unit is in its attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// At this part: its call is out, or waits for budget.
    At(Part),
    /// Its sub-plan runs.
    Sub(ScopeId),
    /// Between two attempts.
    Backoff,
}

/// Why a unit is being stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// Its time is up.
    Timeout,
    /// It is not wanted any more.
    Cancelled,
}

/// One item of one step at work (a plain step has one), or a handler.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) at: StepRef,
    /// The handler's name, if this is one.
    pub(super) handler: Option<String>,
    /// Place in the `foreach`.
    pub(super) item_index: Option<usize>,
    pub(super) item: Value,
    pub(super) path: String,
    pub(super) step_id: String,
    pub(super) attempt: u32,
    pub(super) phase: Phase,
    /// As rendered; every attempt begins with it.
    pub(super) rendered: Arc<Value>,
    /// As the guardrails left it.
    pub(super) subject: Arc<Value>,
    pub(super) started: Time,
    pub(super) deadline: Time,
    pub(super) timer: Option<TimerId>,
    pub(super) call: Option<CallId>,
    pub(super) reservation: Option<Reservation>,
    pub(super) used: Amounts,
    pub(super) stop: Option<Stop>,
}

impl Unit {
    /// The step or handler that this unit performs.
    pub(super) fn spec<'p>(&self, plan: &'p Plan) -> Option<&'p Step> {
        match &self.handler {
            Some(name) => plan.handlers.get(name),
            None => plan.steps.get(self.at.index),
        }
    }
}

/// Whether the step is a barrier.
pub(super) const fn is_barrier(step: &Step) -> bool {
    matches!(step.work, Work::Barrier(_))
}

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
    Grace(UnitId),
    /// A barrier's time is up.
    Barrier(StepRef),
}

/// Work that follows from an event and is done after it, so that long chains do not nest calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Job {
    /// A step has all it needs.
    Begin(StepRef),
    /// A `foreach` may start more items, or has ended.
    Items(StepRef),
    /// A barrier's counts changed.
    Barrier(StepRef),
    /// A scope may be at its end.
    Scope(ScopeId),
    /// A unit has its part done.
    Advance(UnitId),
}
