//! The body of a behaviour tree: ticks it whenever something happened, and lets its actions work.
//!
//! A tick follows every end of an action and every timer, never the mere passing of time: between two
//! of them nothing that a condition reads can change. Every start of an action is work of its own: the
//! second has another path (`classify#2`). How nodes answer is [`ticks`]' matter, how an action works
//! the unit's.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::effort;
use crate::exit::{Failure, FailureClass, StepStatus};
use crate::expr::Expr;
use crate::plan::{self, NodeKind, Step, limits};
use crate::planner::arena::Slot;
use crate::planner::core::{Purpose, UNITS};
use crate::planner::scope::{Ctx, never_ran, visit_path};
use crate::planner::unit::{Ended, Role, Seat, Start, Stop, UnitId};
use crate::planner::{Time, TimerId};

#[cfg(test)]
mod tests;
mod ticks;

use ticks::{Leaves, NodeIx, Status, Ticks};

/// A behaviour tree at work.
#[derive(Debug)]
pub(in crate::planner) struct Tree {
    ticks: Ticks,
    leaves: State,
    ticked: u32,
    over: bool,
}

/// The leaves of the tree, and its timers.
#[derive(Debug)]
struct State {
    actions: BTreeMap<NodeIx, Action>,
    conditions: BTreeMap<NodeIx, Expr>,
    timers: BTreeMap<NodeIx, TimerId>,
    /// Why a leaf answered failure last: what the run ends with if the root does.
    failure: Option<Failure>,
}

#[derive(Debug)]
struct Action {
    step: Arc<Step>,
    visits: u32,
    /// The unit that works for it now; one that was stopped is awaited, but not for the tree.
    unit: Option<UnitId>,
    /// How that unit ended, until the next tick reads it.
    ended: Option<Status>,
}

impl Tree {
    pub(in crate::planner) fn new(tree: &plan::Tree) -> Self {
        let (mut actions, mut conditions) = (BTreeMap::new(), BTreeMap::new());
        let ticks = Ticks::new(&tree.root, |at, node| match &node.node {
            NodeKind::Action(step) => {
                let action = Action {
                    step: Arc::clone(step),
                    visits: 0,
                    unit: None,
                    ended: None,
                };
                actions.insert(at, action);
            }
            NodeKind::Condition(check) => {
                conditions.insert(at, check.clone());
            }
            _ => {}
        });
        Self {
            ticks,
            leaves: State {
                actions,
                conditions,
                timers: BTreeMap::new(),
                failure: None,
            },
            ticked: 0,
            over: false,
        }
    }

    pub(in crate::planner) const fn is_over(&self) -> bool {
        self.over
    }

    /// Whether a `timeout` node waits for its time. A `cooldown` sets no timer: it only answers differently when
    /// it is ticked next.
    pub(in crate::planner) fn waits_for_time(&self) -> bool {
        !self.leaves.timers.is_empty()
    }

    pub(in crate::planner) fn start(&mut self, ctx: &mut Ctx<'_>) {
        self.tick(ctx);
    }

    /// The work of an action is done.
    pub(in crate::planner) fn ended(&mut self, ctx: &mut Ctx<'_>, ended: Ended) {
        ctx.core.close_account(ended.account, &ended.path);
        ended.note(ctx.core);
        ctx.scope.used.add(&ended.used);
        let at = NodeIx::of(ended.seat.slot);
        let Some(action) = self.leaves.actions.get_mut(&at) else {
            debug_assert!(false, "only actions start units");
            return;
        };
        // One that was stopped, by its tree or with it, says nothing any more.
        let wanted = action.unit == Some(ended.unit) && !self.over;
        if !wanted {
            return;
        }
        action.unit = None;
        let status = ended.status();
        let id = action.step.id.clone();
        let halts = match ended.result {
            Ok(output) => {
                action.ended = Some(Status::Success);
                ctx.scope.set_result(&id, "output", status, output);
                None
            }
            Err(failure) => {
                action.ended = Some(Status::Failure);
                ctx.scope.set_result(&id, "output", status, Value::Null);
                self.leaves.failure = Some(failure.clone());
                Some(failure).filter(|failure| failure.class.halts())
            }
        };
        match halts {
            Some(failure) => self.halt(ctx, failure),
            None => self.tick(ctx),
        }
    }

    pub(in crate::planner) fn timer(&mut self, ctx: &mut Ctx<'_>, slot: usize) {
        self.leaves.timers.remove(&NodeIx::of(slot));
        if !self.over {
            self.leaves.failure = Some(Failure::new(
                FailureClass::Timeout,
                "a `timeout` node stopped what it decorates",
            ));
            self.tick(ctx);
        }
    }

    /// Ends the tree early. The first reason stays.
    pub(in crate::planner) fn halt(&mut self, ctx: &mut Ctx<'_>, failure: Failure) {
        self.failed(ctx, failure, StepStatus::Cancelled);
    }

    /// Ends the tree with a failure; `unvisited` is what its actions are that it never ticked.
    fn failed(&mut self, ctx: &mut Ctx<'_>, failure: Failure, unvisited: StepStatus) {
        if ctx.scope.failure.is_some() || self.over {
            return;
        }
        ctx.scope.failure = Some(failure);
        self.end(ctx, unvisited);
    }

    fn tick(&mut self, ctx: &mut Ctx<'_>) {
        loop {
            if !effort::goes_on(UNITS) {
                return;
            }
            self.ticked += 1;
            if self.ticked > limits::TICKS_MAX {
                let most = limits::TICKS_MAX;
                let message = format!("the tree was ticked more than {most} times");
                let failure = Failure::new(FailureClass::Limit, message)
                    .with_hint("bound its `repeat` and `retry` nodes lower");
                return self.halt(ctx, failure);
            }
            let mut hands = Hands {
                state: &mut self.leaves,
                ctx,
            };
            let ticked = self.ticks.tick(&mut hands);
            match ticked.status {
                Status::Running if ticked.again => {}
                Status::Running | Status::Idle => return,
                Status::Success => return self.end(ctx, StepStatus::Skipped),
                Status::Failure => {
                    let failure = self.leaves.failure.take();
                    let failure = failure.unwrap_or_else(|| {
                        Failure::new(FailureClass::Check, "the root of the tree failed")
                    });
                    // It has answered as it is written: what it passed over nobody has cancelled.
                    return self.failed(ctx, failure, StepStatus::Skipped);
                }
            }
        }
    }

    fn end(&mut self, ctx: &mut Ctx<'_>, unvisited: StepStatus) {
        self.over = true;
        self.ticks.stop(&mut Hands {
            state: &mut self.leaves,
            ctx,
        });
        let actions = self.leaves.actions.values().filter(|it| it.visits == 0);
        for action in actions {
            never_ran(ctx, &action.step.id, action.step.stage.clone(), unvisited);
        }
    }
}

/// Lets a tick reach leaves and timers.
struct Hands<'a, 'c> {
    state: &'a mut State,
    ctx: &'a mut Ctx<'c>,
}

impl Hands<'_, '_> {
    fn action(&mut self, at: NodeIx) -> Option<&mut Action> {
        let action = self.state.actions.get_mut(&at);
        debug_assert!(action.is_some(), "only actions are started and stopped");
        action
    }
}

impl Leaves for Hands<'_, '_> {
    fn start(&mut self, at: NodeIx) -> Status {
        let Some(action) = self.action(at) else {
            return Status::Failure;
        };
        action.visits += 1;
        action.ended = None;
        let (spec, visits) = (Arc::clone(&action.step), action.visits);
        let account = self.ctx.scope.account.id;
        let account = self.ctx.core.account(account, spec.budget.as_ref());
        let unit = self.ctx.start(Start {
            seat: Seat {
                scope: self.ctx.scope.id,
                slot: at.place(),
                role: Role::Whole,
            },
            path: visit_path(&self.ctx.scope.path(&spec.id), visits),
            spec,
            account,
            names: Vec::new(),
        });
        if let Some(action) = self.action(at) {
            action.unit = Some(unit);
        }
        // Also where the unit is over at once: its end is heard as a job, and brings the next tick.
        Status::Running
    }

    fn poll(&mut self, at: NodeIx) -> Status {
        self.action(at)
            .and_then(|action| action.ended.take())
            .unwrap_or(Status::Running)
    }

    fn stop(&mut self, at: NodeIx) {
        let unit = self.action(at).and_then(|action| {
            action.ended = None;
            action.unit.take()
        });
        if let Some(unit) = unit {
            self.ctx.stop(unit, Stop::Cancelled);
        }
    }

    fn check(&mut self, at: NodeIx) -> bool {
        let Some(check) = self.state.conditions.get(&at) else {
            debug_assert!(false, "only conditions are checked");
            return false;
        };
        let source = check.source();
        let (class, message) = match self.ctx.scope.holds(self.ctx.core, check, &[]) {
            Ok(true) => return true,
            Ok(false) => {
                let message = format!("the condition `{source}` does not hold");
                (FailureClass::Check, message)
            }
            Err(error) => {
                // A failed action has no output to look at: that is a failure, and said.
                let message = format!("the condition `{source}` cannot be evaluated: {error}");
                self.ctx.core.warn("", "check", message.clone());
                (FailureClass::Expression, message)
            }
        };
        self.state.failure = Some(Failure::new(class, message));
        false
    }

    fn now(&self) -> Time {
        self.ctx.core.now
    }

    fn set_timer(&mut self, at: NodeIx, due: Time) {
        let purpose = Purpose::Body(self.ctx.scope.id, at.place());
        let timer = self.ctx.core.set_timer(due, purpose);
        self.state.timers.insert(at, timer);
    }

    fn clear_timer(&mut self, at: NodeIx) {
        let timer = self.state.timers.remove(&at);
        self.ctx.core.clear_timer(timer);
    }
}
