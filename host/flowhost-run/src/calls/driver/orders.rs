//! How calls leave the driver: what waits for room, what is ordered, and what is told to stop.
//!
//! An order that has left is kept until it is answered; one that could not leave is answered for here, so
//! that the planner hears of every call exactly once.

use std::sync::Arc;

use flowhost_bus::{BusError, Envelope, EnvelopeError, Head};
use flowhost_flow::planner::CallId;
use flowhost_flow::{Amounts, Call, CallResult, Event, FailureClass};
use flowhost_ledger::trace;
use tokio::time::Instant;

use super::doubt::may_last;
use super::{Begun, Driver, Out};
use crate::calls::order::{Cancel, Order};
use crate::earlier::reuse::Made;
use crate::kept::stages::Stages;
use crate::plugins::registry::not_of_this_run;

impl Driver {
    /// Sends what waits, as far as the bus has room.
    pub(super) async fn drain(&mut self) {
        let held = self.held || self.pausing.is_some() || self.winding.is_some();
        if held || self.end.is_some() {
            return;
        }
        while let Some(call) = self.waiting.pop_front() {
            match self.send(&call).await {
                Ok(()) => {}
                Err(SendError::Full) => return self.waiting.push_front(call),
                Err(SendError::Made(made)) => self.made.push_back((call, *made)),
                Err(SendError::Cannot(failure)) => {
                    let failure = match self.was_doubtful(call.id.0) {
                        true => failure.left_in_doubt(),
                        false => failure,
                    };
                    let used = self.used_before(&call);
                    self.unsent(call.id, CallResult::Failed(failure), used);
                }
            }
        }
    }

    async fn send(&mut self, call: &Call) -> Result<(), SendError> {
        let cannot =
            |class, message: String| SendError::Cannot(flowhost_flow::Failure::new(class, message));
        let subject = self.channel.subject(&["step", &call.step_id, "start"]);
        let subject = subject.map_err(|error| cannot(FailureClass::Internal, error.to_string()))?;
        // Asked anew for each: what the stages before it left may have filled the folder meanwhile.
        if call.stage.is_some()
            && let Some(failure) = self.stages.as_ref().and_then(Stages::refuses)
        {
            return Err(SendError::Cannot(failure));
        }
        if self.broken.is_some() {
            // A turn's later actions come after the one in which the host failed.
            let message = "the host cannot go on".to_owned();
            return Err(cannot(FailureClass::Internal, message));
        }
        let installed = self
            .registry
            .current(&call.plugin)
            .ok_or_else(|| cannot(FailureClass::Internal, not_of_this_run(&call.plugin)))?;
        if let Some(reuse) = &self.reuse
            && let Some(made) = reuse.find(call, &self.registry).await
        {
            return Err(SendError::Made(Box::new(made)));
        }
        let mut order = Order::new(call, &installed, self.clock.now());
        order.whole = self.asked.is_some();
        let envelope = self.envelope(call, order).map_err(|error| {
            cannot(
                FailureClass::Invalid,
                format!("the input cannot travel: {error}"),
            )
        })?;
        // Before the order leaves: whoever takes it may spend at once.
        let number = call.id.0.to_string();
        self.purse.begin(&number, call.ceilings);
        let at = Instant::now();
        let sent = self.bus.try_publish(&subject, Arc::new(envelope)).await;
        if sent.is_err() {
            self.purse.unbegun(&number);
        }
        match sent {
            Ok(_) => {
                // Nothing is recorded of the order itself: whoever performs it records what it begins.
                let lasts = may_last(call, &installed);
                let out = Out {
                    pinned: installed,
                    sent: at,
                    lasting: lasts.then(|| call.path.clone()),
                };
                self.open.insert(call.id.0, Some(out));
                Ok(())
            }
            Err(BusError::Full { .. }) => Err(SendError::Full),
            Err(error) => Err(cannot(FailureClass::Internal, error.to_string())),
        }
    }

    fn envelope(&self, call: &Call, order: Order) -> Result<Envelope, EnvelopeError> {
        let run = &self.scope;
        let head = Head {
            id: self.channel.id(call.id.0, "start"),
            tenant: run.tenant.to_string(),
            run: run.run.to_string(),
            step: call.step_id.clone(),
            actor: format!("{}/host", run.tenant),
            correlation: call.path.clone(),
            causation: String::new(),
            traceparent: trace::traceparent(&self.trace, trace::step_span(&call.step_id)),
            kind: "step.start".to_owned(),
        };
        head.carry(Arc::new(order))
    }

    /// A call that nobody performs is answered for here: its planner hears of it once the turn at hand is over.
    fn unsent(&mut self, call: CallId, result: CallResult, used: Amounts) {
        self.open.remove(&call.0);
        self.arisen
            .push_back(Event::CallFinished { call, result, used });
    }

    /// A call was stopped before it was made. Another process of the run may have begun it.
    fn not_made(&mut self, call: &Call, reason: String) {
        self.recording.heard(call.id.0);
        let failure = match self.was_doubtful(call.id.0) {
            true => flowhost_flow::Failure::in_doubt(),
            false => flowhost_flow::Failure::new(FailureClass::Cancelled, reason),
        };
        let used = self.used_before(call);
        self.unsent(call.id, CallResult::Failed(failure), used);
    }

    /// What a call that is not made again has used all the same.
    fn used_before(&mut self, call: &Call) -> Amounts {
        let spent = self.purse.carried(&call.id.0.to_string());
        let mut used = Amounts {
            tokens: spent.tokens,
            micro_usd: spent.micro_usd,
            ..Amounts::default()
        };
        if let Some(Begun { routed, .. }) = self.begun.remove(&call.id.0) {
            used.calls = routed.calls.saturating_add(1);
            used.fuel = routed.detail.fuel;
            let of_step = self.used.entry(call.path.clone()).or_default();
            of_step.add(&routed.detail);
        }
        self.spent.add(&used);
        used
    }

    /// Tells whoever performs a call to stop it. A call that still waits here is answered for.
    pub(super) async fn cancel(&mut self, call: CallId, reason: String) {
        let at = self.waiting.iter().position(|it| it.id == call);
        if let Some(waiting) = at.and_then(|at| self.waiting.remove(at)) {
            return self.not_made(&waiting, reason);
        }
        if let Some(used) = self.doubtful.remove(&call.0) {
            self.recording.heard(call.0);
            let result = CallResult::Failed(flowhost_flow::Failure::in_doubt());
            return self.unsent(call, result, used);
        }
        if let Err(message) = self.publish_cancel(call, reason).await {
            // The planner's own time limit for a stopped call still holds.
            tracing::warn!(call = call.0, message, "a call cannot be told to stop");
        }
    }

    pub(super) async fn publish_cancel(
        &mut self,
        call: CallId,
        reason: String,
    ) -> Result<(), String> {
        let run = &self.scope;
        let number = call.0.to_string();
        let subject = self.channel.subject(&["step", &number, "cancel"]);
        let subject = subject.map_err(|error| error.to_string())?;
        let cancel = Cancel {
            call: call.0,
            reason,
        };
        let head = Head {
            id: self.channel.id(call.0, "cancel"),
            tenant: run.tenant.to_string(),
            run: run.run.to_string(),
            step: String::new(),
            actor: format!("{}/host", run.tenant),
            correlation: number,
            causation: String::new(),
            traceparent: String::new(),
            kind: "step.cancel".to_owned(),
        };
        let payload = serde_json::to_value(cancel).map_err(|error| error.to_string())?;
        let envelope = head.seal(payload).map_err(|error| error.to_string())?;
        self.bus
            .try_publish(&subject, Arc::new(envelope))
            .await
            .map(drop)
            .map_err(|error| error.to_string())
    }
}

enum SendError {
    /// An earlier run has made it.
    Made(Box<Made>),
    Full,
    Cannot(flowhost_flow::Failure),
}
