//! The end of a run beside its planner: agents read what was published last, and are told how it went; then it is
//! reported.
//!
//! What agents do is asked of the run's worker by envelopes, wherever it is.

use std::sync::Arc;
use std::time::Duration;

use flowhost_bus::{Envelope, Head};
use flowhost_flow::planner::RunEnd;
use flowhost_flow::{Exit, FailureClass, RunStatus};
use serde_json::Value;
use tokio::time::Instant;

use super::{Driver, Outcome};
use crate::base::failure::Failure;
use crate::calls::order::{Ending, Settled};

/// Longest wait for agents that are told that the run is over, all together: each has its profile's
/// deadline, and a run that has ended must not hang on them.
const FINISH_MAX: Duration = Duration::from_secs(60);

/// Longest wait for a worker that lets its agents read what was published: longer than a worker waits for
/// them, so that only one that is gone is given up.
const SETTLE_MAX: Duration = Duration::from_secs(90);

impl Driver {
    /// The run's end, once its agents have read what was published and know how it went.
    pub(super) async fn conclude(&mut self) -> Result<RunEnd, Failure> {
        // A run that goes on elsewhere is not over for its agents.
        let over = self.paused.is_none();
        if over {
            self.unanswered();
            self.settle(self.deadline).await;
        }
        let end = self.end.take().ok_or_else(|| {
            Failure::new(Exit::Internal, "the run ended without a result")
                .hint("this is a bug; report it")
        })?;
        if over {
            self.finish_agents(&end).await;
        }
        Ok(end)
    }

    /// What is reported of a run that came to this end.
    pub(super) fn outcome(mut self, mut end: RunEnd) -> Outcome {
        // What was spent while no step was at work: messages that were read later, and ends of agents.
        let rest = self.purse.rest();
        end.used.tokens = end.used.tokens.saturating_add(rest.tokens);
        end.used.micro_usd = end.used.micro_usd.saturating_add(rest.micro_usd);
        let refused = self.purse.rest_refused();
        if refused > 0 {
            let message =
                format!("the budget refused {refused} model calls of agents that read messages");
            self.warnings.push(message);
        }
        let steps = self.steps.into_iter();
        Outcome {
            end,
            steps: steps.map(|(path, step)| (path, *step)).collect(),
            denials: self.journal.denials(),
            warnings: self.warnings,
            checks: self.checks,
            duration_ms: self.clock.now().0.saturating_sub(self.scope.started_ms),
            paused: self.paused,
            reused: self.reused,
            before: self.before,
        }
    }

    /// Lets the agents of a run that went well read what was published.
    pub(super) async fn settle(&mut self, deadline: Instant) {
        let went_well = self
            .end
            .as_ref()
            .is_some_and(|end| matches!(end.status, RunStatus::Ok | RunStatus::Degraded));
        if !went_well || !self.registry.anybody_reads() {
            return;
        }
        let run = self.run.clone();
        let settled = tokio::select! {
            biased;
            _reason = run.asked_to_stop() => {
                return self.ended_by(FailureClass::Cancelled, "interrupted");
            }
            () = tokio::time::sleep_until(deadline) => {
                let message = "the run's time was up while agents were reading messages";
                return self.ended_by(FailureClass::Timeout, message);
            }
            settled = self.ask_to_settle() => settled,
        };
        match settled {
            Ok(Settled::Quiet) => {}
            Ok(Settled::Busy) => {
                let message =
                    "agents were still sending messages when the run ended; the rest was dropped";
                self.warnings.push(message.to_owned());
            }
            Err(why) => {
                let message = "no worker let the agents read their last messages";
                tracing::warn!(why, "{message}");
                self.warnings.push(message.to_owned());
            }
        }
    }

    async fn ask_to_settle(&mut self) -> Result<Settled, String> {
        let answer = self.request("settle", Value::Null, SETTLE_MAX).await?;
        answer.read().map_err(|error| error.to_string())
    }

    /// What ended the run after its last step.
    fn ended_by(&mut self, class: FailureClass, message: &str) {
        let failure = flowhost_flow::Failure::new(class, message);
        if let Some(end) = &mut self.end {
            end.exit = failure.class.exit();
            end.status = end.exit.status();
            end.outputs.clear();
            end.failure = Some(failure);
        }
    }

    /// Tells the agents that were started how the run ended, and waits until they know.
    pub(super) async fn finish_agents(&mut self, end: &RunEnd) {
        if let Err(message) = self.tell_the_end(end).await {
            tracing::warn!(message, "the agents were not told that the run is over");
        }
    }

    async fn tell_the_end(&mut self, end: &RunEnd) -> Result<(), String> {
        let failure = end.failure.as_ref();
        let ending = Ending {
            status: end.status.word().to_owned(),
            reason: failure.map_or_else(String::new, |it| it.message.clone()),
        };
        let payload = serde_json::to_value(ending).map_err(|error| error.to_string())?;
        self.request("finish", payload, FINISH_MAX).await.map(drop)
    }

    /// Asks the run's worker for something that is about the whole run.
    async fn request(
        &mut self,
        what: &str,
        payload: Value,
        longest: Duration,
    ) -> Result<Arc<Envelope>, String> {
        let run = &self.scope;
        let subject = self.channel.subject(&["run", what]);
        let subject = subject.map_err(|error| error.to_string())?;
        let head = Head {
            id: self.channel.id(0, what),
            tenant: run.tenant.to_string(),
            run: run.run.to_string(),
            step: String::new(),
            actor: format!("{}/host", run.tenant),
            correlation: String::new(),
            causation: String::new(),
            traceparent: String::new(),
            kind: format!("run.{what}"),
        };
        let envelope = head.seal(payload).map_err(|error| error.to_string())?;
        let answer = self.bus.request(&subject, Arc::new(envelope), longest);
        answer.await.map_err(|error| error.to_string())
    }
}
