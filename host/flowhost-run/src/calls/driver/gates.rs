//! The driver's part in gates and in messages that steps emit.
//!
//! A gate's time is the wall's: it runs on while no process does. So the driver keeps it, and feeds the
//! planner what came of it. When nothing else goes on the run lets go of its process.

use std::sync::Arc;
use std::time::Duration;

use flowhost_bus::{Head, Subject};
use flowhost_caps::messaging::{MESSAGE, MessagePayload};
use flowhost_flow::plan::Wants;
use flowhost_flow::planner::{GateAnswer, GateId, Note, OpenGate};
use flowhost_flow::{Event, Exit};
use flowhost_ledger::trace;
use flowhost_words::shell_word;
use tokio::time::Instant;

use crate::calls::driver::Driver;
use crate::earlier::resume::gate::when;
use crate::kept::journal::emitted_id;

impl Driver {
    /// Whether nothing goes on until somebody outside speaks.
    pub(super) fn rests(&self) -> bool {
        // Whoever wants the run to end does not wait for the person that it waits for.
        let ends = self.pausing.is_some() || self.winding.is_some() || self.run.is_asked_to_stop();
        self.open.is_empty() && !ends && self.planner.rests()
    }

    /// Opens a gate, from now on.
    pub(super) fn open_gate(&mut self, gate: OpenGate) {
        let until_ms = self.world.now_ms().saturating_add(gate.timeout_ms);
        if let Err(error) = self.journal.gate_opened(&gate, until_ms) {
            return self.ledger_broken(&error);
        }
        self.gates.insert(gate.id, (gate, until_ms));
    }

    /// A gate whose time is up.
    pub(super) fn overdue(&self) -> Option<GateId> {
        let now = self.world.now_ms();
        let mut gates = self.gates.iter();
        gates
            .find(|(_, (_, until_ms))| *until_ms <= now)
            .map(|(gate, _)| *gate)
    }

    /// When the first of them closes.
    pub(super) fn closing(&self) -> Option<Instant> {
        let first = self.gates.values().map(|(_, until_ms)| *until_ms).min()?;
        // By what is left on the wall's clock, each time anew: that may be set while the run waits.
        let left = first.saturating_sub(self.world.now_ms());
        Instant::now().checked_add(Duration::from_millis(left))
    }

    pub(super) async fn time_out(&mut self, gate: GateId) {
        self.gates.remove(&gate);
        let answer = GateAnswer::TimedOut;
        self.feed(Event::GateAnswered { gate, answer }).await;
    }

    /// Nothing goes on but by a word from outside.
    pub(super) fn waits_at_gates(&mut self) {
        let run = self.scope.run.clone();
        let (mut waits, mut hints, mut steps) = (Vec::new(), Vec::new(), Vec::new());
        for (gate, until_ms) in self.gates.values() {
            let path = &gate.path;
            waits.push(format!(
                "{} at `{path}` until {}",
                gate.wants.word(),
                when(*until_ms)
            ));
            let typed = shell_word(path);
            hints.push(match gate.wants {
                Wants::Approval => {
                    format!("`flowhost runs approve {run} {typed} --by NAME` (or `reject`)")
                }
                Wants::Signal => format!("`flowhost runs signal {run} {typed} --payload JSON`"),
            });
            steps.push(path.clone());
        }
        let message = format!("waits for {}", waits.join(", "));
        let goes_on = self.run.resume_command();
        let hint = format!("{}, then `{goes_on}`", hints.join("; "));
        self.pause(Exit::Waiting, &message, hint, steps);
    }

    /// Sends what a step emits, under the id that its record has.
    pub(super) async fn emit(&mut self, note: &Note) {
        let Note::Emitted {
            step_id,
            subject,
            payload,
            ..
        } = note
        else {
            debug_assert!(false, "only what is emitted is sent");
            return;
        };
        if let Err(message) = self.publish_emitted(step_id, subject, payload).await {
            self.warnings.push(format!(
                "the message to `{subject}` was not sent: {message}"
            ));
        }
    }

    async fn publish_emitted(
        &mut self,
        step_id: &str,
        topic: &str,
        payload: &serde_json::Value,
    ) -> Result<(), String> {
        let run = &self.scope;
        let text = flowhost_bus::canonical_text(payload).map_err(|error| error.to_string())?;
        let payload = MessagePayload {
            topic: topic.to_owned(),
            payload: text,
            waiting: Vec::new(),
            root: "0".to_owned(),
        };
        let head = Head {
            id: emitted_id(step_id),
            tenant: run.tenant.to_string(),
            run: run.run.to_string(),
            step: step_id.to_owned(),
            actor: format!("{}/host", run.tenant),
            correlation: String::new(),
            causation: String::new(),
            traceparent: trace::traceparent(&self.trace, trace::step_span(step_id)),
            kind: MESSAGE.to_owned(),
        };
        let payload = serde_json::to_value(payload).map_err(|error| error.to_string())?;
        let envelope = head.seal(payload).map_err(|error| error.to_string())?;
        let subject = Subject::topic(&run.tenant, &run.run, topic);
        let subject = subject.map_err(|error| error.to_string())?;
        let sent = self.bus.try_publish(&subject, Arc::new(envelope)).await;
        match sent {
            // Nobody has to listen.
            Ok(_) | Err(flowhost_bus::BusError::NoListener { .. }) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }
}
