//! The body of a workflow: steps that need each other.
//!
//! Owns the order of a workflow's steps and what a failure of one does to the others; how a step does
//! its work is the unit's. Must never ask a plugin itself.

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::Value;

use crate::Amounts;
use crate::consensus::Verdict;
use crate::effort;
use crate::exit::{Failure, StepStatus};
use crate::planner::arena::{Arena, Slot};
use crate::planner::core::{Account, UNITS};
use crate::planner::scope::Ctx;
use crate::planner::unit::{Ended, Role, Seat, Start, UnitId};
use crate::planner::{Time, TimerId};

mod barrier;
mod compensate;
mod graph;
mod steps;
#[cfg(test)]
mod tests;

pub(super) use graph::Graph;
use graph::StepIx;

/// A workflow at work.
#[derive(Debug)]
pub(super) struct Flow {
    graph: Arc<Graph>,
    steps: Arena<StepIx, StepState>,
    /// Steps that are not final.
    open: usize,
    /// What follows from an event and is done after it, so that a long chain does not nest calls.
    todo: VecDeque<Todo>,
    /// Steps that are done and can be taken back, in the order in which they ended.
    done: Vec<(StepIx, Value)>,
    /// One is being taken back.
    taking_back: bool,
}

/// Work that follows from an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Todo {
    /// A step has all it needs.
    Begin(StepIx),
    /// A `foreach` may start more items, or has ended.
    Items(StepIx),
    /// A barrier's counts changed.
    Barrier(StepIx),
}

/// How a step stands.
#[derive(Debug)]
struct StepState {
    status: StepStatus,
    /// Needs that are not final.
    waiting: usize,
    started: Time,
    account: Account,
    /// Items of a `foreach` that were not started, in order; taken from the front.
    items: std::vec::IntoIter<Value>,
    next_item: usize,
    outputs: Vec<Value>,
    running: Vec<UnitId>,
    attempts: u32,
    used: Amounts,
    /// The first failure of an item, or of the step.
    failure: Option<Failure>,
    /// What its consensus came to.
    consensus: Option<Arc<Verdict>>,
    barrier: BarrierState,
}

/// What a barrier has counted.
#[derive(Clone, Copy, Debug, Default)]
struct BarrierState {
    /// Needs whose number of items is known.
    known: usize,
    total: usize,
    ok: usize,
    failed: usize,
    timer: Option<TimerId>,
}

impl StepState {
    fn new(waiting: usize, above: Account) -> Self {
        Self {
            status: StepStatus::Pending,
            waiting,
            started: Time::default(),
            // Until the step begins; then its own, if it states a budget.
            account: Account {
                owned: false,
                ..above
            },
            items: Vec::new().into_iter(),
            next_item: 0,
            outputs: Vec::new(),
            running: Vec::new(),
            attempts: 0,
            used: Amounts::default(),
            failure: None,
            consensus: None,
            barrier: BarrierState::default(),
        }
    }
}

impl Flow {
    pub(super) fn new(graph: Arc<Graph>, above: Account) -> Self {
        let states = graph
            .steps
            .iter()
            .map(|(_, node)| StepState::new(node.needs.len(), above));
        Self {
            open: graph.steps.len(),
            steps: states.collect(),
            graph,
            todo: VecDeque::new(),
            done: Vec::new(),
            taking_back: false,
        }
    }

    pub(super) const fn is_over(&self) -> bool {
        self.open == 0 && !self.taking_back
    }

    pub(super) fn start(&mut self, ctx: &mut Ctx<'_>) {
        let graph = Arc::clone(&self.graph);
        for (at, node) in graph.steps.iter() {
            if node.is_barrier() {
                self.arm_barrier(at);
            } else if node.needs.is_empty() {
                self.todo.push_back(Todo::Begin(at));
            }
        }
        self.leave_out(ctx);
        self.work_off(ctx);
    }

    /// Skips what a run of one step does without. Nothing has begun yet, so nothing is stopped.
    fn leave_out(&mut self, ctx: &mut Ctx<'_>) {
        let only = match ctx.scope.parent {
            None => ctx.core.setup.only.as_deref(),
            // A sub-plan belongs to a step, which runs whole.
            Some(_) => None,
        };
        if let Some(only) = only.and_then(|id| self.graph.place(id)) {
            let wanted = self.graph.with_needs(only);
            for at in self.steps.names() {
                if !wanted[at] {
                    self.end_step(ctx, at, StepStatus::Skipped, Value::Null);
                }
            }
        }
    }

    /// A unit of the workflow is over.
    pub(super) fn ended(&mut self, ctx: &mut Ctx<'_>, ended: Ended) {
        let at = StepIx::of(ended.seat.slot);
        let state = &mut self.steps[at];
        state.used.add(&ended.used);
        state.running.retain(|running| *running != ended.unit);
        if matches!(ended.seat.role, Role::Whole | Role::Item(_)) {
            state.attempts = state.attempts.max(ended.attempts);
            state.consensus.clone_from(&ended.consensus);
        }
        match ended.seat.role {
            Role::Whole => match ended.result {
                Ok(output) => self.end_step(ctx, at, StepStatus::Ok, output),
                Err(failure) => self.step_failed(ctx, at, failure),
            },
            Role::Item(index) => {
                ended.note(ctx.core);
                self.item_ended(ctx, at, index, ended.result);
            }
            Role::Compensation => self.taken_back(ctx, &ended),
            Role::Handler => {
                ended.note(ctx.core);
                if let Err(failure) = ended.result {
                    let message = format!("the handler failed: {}", failure.message);
                    ctx.core.warn(&ended.path, "handler", message);
                }
                self.after_failure(ctx, at);
            }
        }
        self.work_off(ctx);
    }

    pub(super) fn timer(&mut self, ctx: &mut Ctx<'_>, slot: usize) {
        self.barrier_timed_out(ctx, StepIx::of(slot));
        self.work_off(ctx);
    }

    /// Ends the workflow early: what waits is cancelled, what works is stopped. The first reason stays.
    pub(super) fn halt(&mut self, ctx: &mut Ctx<'_>, failure: Failure) {
        if ctx.scope.failure.is_some() {
            return;
        }
        ctx.scope.failure = Some(failure);
        for at in self.steps.names() {
            if self.is_idle(at) {
                self.end_step(ctx, at, StepStatus::Cancelled, Value::Null);
            } else if self.steps[at].status == StepStatus::Running {
                self.todo.push_back(Todo::Items(at));
            }
        }
        ctx.stop_all();
        self.work_off(ctx);
    }

    fn work_off(&mut self, ctx: &mut Ctx<'_>) {
        while let Some(todo) = self.todo.pop_front() {
            if !effort::goes_on(UNITS) {
                return;
            }
            match todo {
                Todo::Begin(at) => self.begin_step(ctx, at),
                Todo::Items(at) => self.more_items(ctx, at),
                Todo::Barrier(at) => self.judge_barrier(ctx, at),
            }
        }
        self.take_back(ctx);
    }

    fn start_unit(&mut self, ctx: &mut Ctx<'_>, at: StepIx, role: Role, start: Begin) {
        // The account of a step that has ended is closed; what takes it back spends from the plan's.
        let account = match role {
            Role::Compensation => ctx.scope.account,
            Role::Whole | Role::Item(_) | Role::Handler => self.steps[at].account,
        };
        let account = Account {
            owned: false,
            ..account
        };
        let unit = ctx.start(Start {
            seat: Seat {
                scope: ctx.scope.id,
                slot: at.place(),
                role,
            },
            spec: start.spec,
            path: start.path,
            account,
            names: start.names,
        });
        if matches!(role, Role::Whole | Role::Item(_)) {
            self.steps[at].running.push(unit);
        }
    }
}

/// What a unit of a step begins with.
struct Begin {
    spec: Arc<crate::plan::Step>,
    path: String,
    names: Vec<(String, Value)>,
}
