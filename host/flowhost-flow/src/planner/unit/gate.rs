//! Work that no plugin does: waiting for somebody outside, and telling somebody.

use std::ops::ControlFlow::Continue;

use serde_json::{Value, json};

use crate::exit::{Failure, FailureClass};
use crate::expr::Template;
use crate::plan::{Gate, OnTimeout, Wants, Work as Spec};
use crate::planner::core::Core;
use crate::planner::scope::Scope;
use crate::planner::unit::{Desk, End, Phase, Turn, Unit, Units};
use crate::planner::{Action, GateAnswer, GateId, Note, OpenGate};

impl Unit {
    /// Opens a gate. Its time is the wall's and so the driver's: the attempt has none of its own.
    pub(super) fn wait(&mut self, desk: &mut Desk<'_>, gate: &Gate) -> Turn {
        let id = desk.core.next_gate();
        desk.core.clear_timer(self.timer.take());
        desk.core.act(Action::OpenGate(Box::new(OpenGate {
            id,
            step_id: self.step_id.clone(),
            path: self.path.clone(),
            wants: gate.wants,
            timeout_ms: gate.timeout_ms,
        })));
        desk.gates.insert(id, self.id);
        self.phase = Phase::Waiting(id);
        Continue(())
    }

    pub(super) fn close(&mut self, desk: &mut Desk<'_>, gate: GateId) {
        desk.gates.remove(&gate);
        desk.core.act(Action::CloseGate { gate });
    }

    fn opened(&mut self, desk: &mut Desk<'_>, answer: GateAnswer) -> Turn {
        let spec = std::sync::Arc::clone(&self.spec);
        let Spec::Gate(gate) = &spec.work else {
            debug_assert!(false, "only gates are answered");
            return self.fail(
                desk,
                Failure::new(FailureClass::Internal, "this step is not a gate"),
            );
        };
        let approval = |approved: bool, by: &str, note: &str, timed_out: bool| json!({ "approved": approved, "by": by, "note": note, "timed_out": timed_out });
        match (answer, gate.wants) {
            (GateAnswer::Approval { approved, by, note }, Wants::Approval) => {
                if !approved && gate.rejection_fails {
                    let message = match note.is_empty() {
                        true => format!("`{by}` said no"),
                        false => format!("`{by}` said no: {note}"),
                    };
                    return self.fail(desk, Failure::new(FailureClass::Rejected, message));
                }
                self.wind_down(desk, End::Done(approval(approved, &by, &note, false)))
            }
            (GateAnswer::Signal { payload }, Wants::Signal) => {
                let output = json!({ "payload": payload, "timed_out": false });
                self.wind_down(desk, End::Done(output))
            }
            (GateAnswer::TimedOut, wants) => {
                let message = format!("nobody spoke to the gate in {} ms", gate.timeout_ms);
                if gate.on_timeout == OnTimeout::Halt {
                    let failure = Failure::new(FailureClass::Timeout, message)
                        .with_hint("raise its `timeout:`, or say what follows with `on_timeout:`");
                    return self.fail(desk, failure);
                }
                desk.core.warn(&self.path, "gate", message);
                let output = match wants {
                    Wants::Approval => approval(false, "", "", true),
                    Wants::Signal => json!({ "payload": null, "timed_out": true }),
                };
                self.wind_down(desk, End::Done(output))
            }
            _ => {
                let message = "the driver answered a gate with what it does not want";
                self.fail(desk, Failure::new(FailureClass::Internal, message))
            }
        }
    }

    /// Sends a message; whoever hears it is nothing to the run.
    pub(super) fn emit(&mut self, desk: &mut Desk<'_>, subject: &str, payload: &Template) -> Turn {
        let payload = match self.render(desk, payload) {
            Ok(payload) => payload,
            Err(error) => {
                let message = format!("emit: {error}");
                return self.fail(desk, Failure::new(FailureClass::Expression, message));
            }
        };
        desk.core.note(Note::Emitted {
            step_id: self.step_id.clone(),
            path: self.path.clone(),
            subject: subject.to_owned(),
            payload: payload.clone(),
        });
        let output: Value = json!({ "subject": subject, "payload": payload });
        self.wind_down(desk, End::Done(output))
    }
}

impl Units {
    /// Whether all that is at work waits for somebody outside, or for a plan within that does.
    pub(in crate::planner) fn rest(&self) -> bool {
        let rests = |unit: &Unit| matches!(unit.phase, Phase::Waiting(_) | Phase::Sub { .. });
        !self.gates.is_empty() && self.hungry.is_empty() && self.units.values().all(rests)
    }

    /// The scope of the unit that waits at a gate; none for one that was closed.
    pub(in crate::planner) fn at_gate(
        &self,
        gate: GateId,
    ) -> Option<crate::planner::core::ScopeId> {
        self.scope_of(*self.gates.get(&gate)?)
    }

    /// Somebody spoke to a gate, or its time is up.
    pub(in crate::planner) fn gate(
        &mut self,
        core: &mut Core,
        scope: &Scope,
        gate: GateId,
        answer: GateAnswer,
    ) {
        let Some(unit) = self.gates.remove(&gate) else {
            debug_assert!(false, "whoever answers has looked who waits");
            return;
        };
        self.turn(core, scope, unit, |unit, desk| unit.opened(desk, answer));
    }
}
