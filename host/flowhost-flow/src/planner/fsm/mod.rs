//! The body of a state machine: one state after the other.
//!
//! Owns which state comes next and the end of it all; how a state does its work is the unit's. Every
//! visit of a state is work of its own: the second has another path (`search#2`), and with it another
//! step id, seed and idempotency key. Must never have two states at work.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::effort;
use crate::exit::{Failure, FailureClass, StepStatus};
use crate::expr::Expr;
use crate::plan::{Fsm, Step, Work};
use crate::planner::arena::{Arena, Slot, slot};
use crate::planner::core::UNITS;
use crate::planner::scope::{Ctx, skipped, visit_path};
use crate::planner::unit::{Ended, Role, Seat, Start};
use crate::planner::{Note, StepSummary};

#[cfg(test)]
mod tests;

slot! {
    /// Names a state.
    StateIx
}

/// A state with its ways resolved.
#[derive(Debug)]
struct State {
    id: String,
    work: Option<Arc<Step>>,
    transitions: Vec<(Expr, StateIx)>,
    on_success: Option<StateIx>,
    on_error: Option<StateIx>,
    on_timeout: Option<StateIx>,
    is_final: bool,
    visits: u32,
}

/// A state machine at work.
#[derive(Debug)]
pub(in crate::planner) struct Machine {
    states: Arena<StateIx, State>,
    initial: StateIx,
    transitions: u32,
    max_transitions: u32,
    over: bool,
}

impl Machine {
    pub(in crate::planner) fn new(machine: &Fsm) -> Self {
        let states = machine.states.iter().map(|state| state.id.as_str());
        let places: BTreeMap<&str, StateIx> = states
            .enumerate()
            .map(|(place, id)| (id, StateIx::of(place)))
            .collect();
        let place = |id: &str| {
            let place = places.get(id).copied();
            debug_assert!(
                place.is_some(),
                "the checks of a plan let no unknown state pass"
            );
            place.unwrap_or(StateIx::of(0))
        };
        let states = machine.states.iter().map(|state| State {
            id: state.id.clone(),
            work: state.work.clone(),
            transitions: state
                .transitions
                .iter()
                .map(|way| (way.when.clone(), place(&way.to)))
                .collect(),
            on_success: state.on_success.as_deref().map(place),
            on_error: state.on_error.as_deref().map(place),
            on_timeout: state.on_timeout.as_deref().map(place),
            is_final: machine.is_final(&state.id),
            visits: 0,
        });
        Self {
            states: states.collect(),
            initial: place(&machine.initial_state),
            transitions: 0,
            max_transitions: machine.max_transitions,
            over: false,
        }
    }

    pub(in crate::planner) const fn is_over(&self) -> bool {
        self.over
    }

    pub(in crate::planner) fn start(&mut self, ctx: &mut Ctx<'_>) {
        self.enter(ctx, self.initial);
    }

    /// Enters states until one has work to do, or the machine is over. A loop of states that only
    /// decide ends at `max_transitions`.
    fn enter(&mut self, ctx: &mut Ctx<'_>, at: StateIx) {
        let mut next = Some(at);
        while let Some(at) = next {
            if !effort::goes_on(UNITS) {
                return;
            }
            self.states[at].visits += 1;
            next = match self.states[at].work.clone() {
                Some(step) => {
                    self.begin(ctx, at, step);
                    None
                }
                None => {
                    self.pass(ctx, at);
                    self.leave(ctx, at, Ok(Value::Null))
                }
            };
        }
    }

    fn path(&self, ctx: &Ctx<'_>, at: StateIx) -> String {
        let state = &self.states[at];
        visit_path(&ctx.scope.path(&state.id), state.visits)
    }

    fn begin(&self, ctx: &mut Ctx<'_>, at: StateIx, step: Arc<Step>) {
        let account = ctx.core.account(ctx.scope.account.id, step.budget.as_ref());
        ctx.start(Start {
            seat: Seat {
                scope: ctx.scope.id,
                slot: at.place(),
                role: Role::Whole,
            },
            path: self.path(ctx, at),
            spec: step,
            account,
            names: Vec::new(),
        });
    }

    /// Says that a state was passed which only decides.
    fn pass(&self, ctx: &mut Ctx<'_>, at: StateIx) {
        let path = self.path(ctx, at);
        let step_id = ctx.core.step_id(&path);
        ctx.core.note(Note::StepStarted {
            step_id: step_id.clone(),
            path: path.clone(),
            stage: None,
            attempt: 1,
        });
        ctx.core.note(Note::StepEnded(StepSummary {
            step_id,
            path,
            stage: None,
            status: StepStatus::Ok,
            attempts: 1,
            duration_ms: 0,
            used: crate::Amounts::default(),
            failure: None,
        }));
    }

    /// The work of the state is done.
    pub(in crate::planner) fn ended(&mut self, ctx: &mut Ctx<'_>, ended: Ended) {
        let at = StateIx::of(ended.seat.slot);
        ctx.core.close_account(ended.account, &ended.path);
        ended.note(ctx.core);
        ctx.scope.used.add(&ended.used);
        if ctx.scope.is_stopping() {
            let status = ended.status();
            let id = &self.states[at].id;
            ctx.scope.set_result(id, "output", status, Value::Null);
            return self.end(ctx);
        }
        if let Some(next) = self.leave(ctx, at, ended.result) {
            self.enter(ctx, next);
        }
    }

    /// Decides what comes after a state.
    fn leave(
        &mut self,
        ctx: &mut Ctx<'_>,
        at: StateIx,
        result: Result<Value, Failure>,
    ) -> Option<StateIx> {
        let way = match result {
            Ok(output) => self.after_success(ctx, at, output),
            Err(failure) => Err(failure),
        };
        let next = match way {
            Ok(next) => next,
            Err(failure) => self.after_failure(ctx, at, failure),
        };
        let Some(next) = next else {
            self.end(ctx);
            return None;
        };
        self.transitions += 1;
        if self.transitions > self.max_transitions {
            let most = self.max_transitions;
            let message = format!("the state machine made more than {most} transitions");
            let failure = Failure::new(FailureClass::Limit, message)
                .with_hint("raise `max_transitions`, or look for the loop in the record");
            self.halt(ctx, failure);
            return None;
        }
        Some(next)
    }

    /// The way out after success; `None` is the end.
    fn after_success(
        &self,
        ctx: &mut Ctx<'_>,
        at: StateIx,
        output: Value,
    ) -> Result<Option<StateIx>, Failure> {
        let state = &self.states[at];
        let is_gate = |step: &Arc<Step>| matches!(step.work, Work::Gate(_));
        let gate = state.work.as_ref().is_some_and(is_gate);
        if gate
            && output.get("timed_out") == Some(&Value::Bool(true))
            && let Some(to) = state.on_timeout
        {
            ctx.scope
                .set_result(&state.id, "output", StepStatus::Ok, output);
            return Ok(Some(to));
        }
        // Null for a gate that waits for a signal: nobody approves one.
        let approval = output.get("approved").cloned().unwrap_or(Value::Null);
        let names: &[(&str, &Value)] = match gate {
            true => &[("output", &output), ("approval", &approval)],
            false => &[("output", &output)],
        };
        // Before the result of this visit is set: `output` is this visit's, and the state's own name is the visit
        // before, so that a loop can tell whether anything has changed.
        let taken = state.transitions.iter().find_map(|(when, to)| {
            match ctx.scope.holds(ctx.core, when, names) {
                Ok(true) => Some(Ok(*to)),
                Ok(false) => None,
                Err(error) => {
                    let message = format!("state `{}`: transition: {error}", state.id);
                    Some(Err(Failure::new(FailureClass::Expression, message)))
                }
            }
        });
        ctx.scope
            .set_result(&state.id, "output", StepStatus::Ok, output);
        match taken {
            Some(Ok(to)) => Ok(Some(to)),
            Some(Err(failure)) => Err(failure),
            None if state.is_final => Ok(None),
            None => {
                debug_assert!(
                    state.on_success.is_some(),
                    "the checks of a plan want a way out that always holds"
                );
                Ok(state.on_success)
            }
        }
    }

    /// The way out after failure; `None` when the failure is the end.
    fn after_failure(
        &self,
        ctx: &mut Ctx<'_>,
        at: StateIx,
        mut failure: Failure,
    ) -> Option<StateIx> {
        let state = &self.states[at];
        if failure.step.is_empty() {
            failure.step = self.path(ctx, at);
        }
        ctx.scope
            .set_result(&state.id, "output", StepStatus::Failed, Value::Null);
        match state.on_error.filter(|_| !failure.class.halts()) {
            Some(next) => {
                let message = format!("the state failed and the run goes on: {}", failure.message);
                ctx.core.warn(&failure.step, "continued", message);
                let told = serde_json::to_value(&failure);
                debug_assert!(told.is_ok(), "a failure holds what JSON can carry");
                ctx.scope.last_failure = told.unwrap_or_default();
                Some(next)
            }
            None => {
                ctx.scope.failure = Some(failure);
                None
            }
        }
    }

    /// Ends the machine early. The first reason stays.
    pub(in crate::planner) fn halt(&mut self, ctx: &mut Ctx<'_>, failure: Failure) {
        if ctx.scope.failure.is_some() {
            return;
        }
        ctx.scope.failure = Some(failure);
        match ctx.scope.live {
            0 => self.end(ctx),
            _ => ctx.stop_all(),
        }
    }

    fn end(&mut self, ctx: &mut Ctx<'_>) {
        // The run's time may be up between this end and that of the scope: a halt then ends the machine once more.
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        let unvisited = self.states.iter().filter(|(_, state)| state.visits == 0);
        for (_, state) in unvisited {
            let stage = state.work.as_ref().and_then(|step| step.stage.clone());
            skipped(ctx, &state.id, stage);
        }
    }
}
