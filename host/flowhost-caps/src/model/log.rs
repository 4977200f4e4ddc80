//! The records of one model call, an intent and a result for each try, and what is held for them.
//!
//! What is held covers one try; a try after one that cost something is held anew before it is made. A
//! try that is dropped in the middle (a deadline, Ctrl-C) still gets its result, from `Drop`, and is
//! booked with what it had held: the ledger must not hold an intent that nobody accounts for.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use flowhost_engine::CallScope;
use flowhost_ledger::{Fact, Kind};
use flowhost_models::{
    Answer, CallLog, Estimate, ModelError, ModelName, Operation, Spent, Try, TryOutcome,
};
use serde_json::{Value, json};

use super::host::{INTERFACE, amount, hold};
use super::prompt::redact_text;
use super::{HoldId, Origin, Spending};
use crate::budget::Left;
use crate::support::Refusal;

/// What the tries of one call share.
pub(super) struct Records<'a> {
    pub(super) scope: &'a CallScope,
    pub(super) call: u64,
    pub(super) asked: &'a ModelName,
    /// The rule of the grant that allowed what was asked.
    pub(super) rule: String,
    pub(super) origin: Origin,
    /// What the ledger keeps of the request.
    pub(super) request: Vec<u8>,
    pub(super) max_tokens: u64,
    pub(super) turns: u64,
    /// Findings that were taken out of the request.
    pub(super) redacted: u64,
    /// Whether answers are redacted too.
    pub(super) redact: bool,
    open: Mutex<Option<Open>>,
    /// Why a try could not be made: a record that was not taken, or nothing left for it.
    stopped: Mutex<Option<Refusal>>,
    spending: Arc<dyn Spending>,
    books: Mutex<Books>,
}

/// What is held for this call, and what its tries have cost so far.
#[derive(Default)]
struct Books {
    holds: Vec<HoldId>,
    spent: Left,
}

/// A try without a result.
struct Open {
    seq: u64,
    number: u32,
    model: ModelName,
    operation: Operation,
    estimate: Estimate,
}

impl<'a> Records<'a> {
    pub(super) fn new(
        scope: &'a CallScope,
        spending: Arc<dyn Spending>,
        held: HoldId,
        asked: &'a ModelName,
        request: &Value,
    ) -> Self {
        let books = Books {
            holds: vec![held],
            spent: Left::default(),
        };
        Self {
            scope,
            call: held.0,
            asked,
            rule: String::new(),
            origin: Origin::default(),
            request: serde_json::to_vec(request).unwrap_or_default(),
            max_tokens: 0,
            turns: 0,
            redacted: 0,
            redact: false,
            open: Mutex::default(),
            stopped: Mutex::default(),
            spending,
            books: Mutex::new(books),
        }
    }

    /// Books what the whole call cost and returns the rest.
    pub(super) fn settle(&self, spent: Left) {
        let holds = std::mem::take(&mut self.books().holds);
        for (index, hold) in holds.into_iter().enumerate() {
            let spent = if index == 0 { spent } else { Left::default() };
            self.spending.settle(hold, spent);
        }
    }

    /// What kept a try from being made.
    pub(super) fn stopped(&self) -> Option<Refusal> {
        self.stopped
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    fn stop(&self, refusal: impl Into<Refusal>) {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = Some(refusal.into());
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spent(&self, cost: Left) {
        let spent = &mut self.books().spent;
        spent.tokens = spent.tokens.saturating_add(cost.tokens);
        spent.micro_usd = spent.micro_usd.saturating_add(cost.micro_usd);
    }

    /// Holds for one more try, if those before it have cost something.
    fn hold_again(&self, estimate: &Estimate) -> Result<(), String> {
        if self.books().spent == Left::default() {
            return Ok(());
        }
        match hold(&*self.spending, self.scope, estimate) {
            Ok(held) => self.books().holds.push(held),
            Err(refusal) => {
                self.stop(refusal);
                return Err("the budget has nothing left for another try".to_owned());
            }
        }
        Ok(())
    }

    async fn record(&self, fact: Fact) -> Result<u64, String> {
        self.scope.record_durable(fact).await.map_err(|fault| {
            let text = fault.to_string();
            self.stop(fault);
            text
        })
    }

    fn take(&self) -> Option<Open> {
        self.open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    fn intent(&self, attempt: &Try<'_>) -> Fact {
        self.named(
            Kind::ModelIntent,
            attempt.number,
            attempt.model,
            attempt.operation,
        )
        .with("interface", INTERFACE)
        .with("decision", "allow")
        .with("rule", self.rule.as_str())
        .with("wanted", self.asked.to_string())
        .with("stage", self.origin.stage.as_str())
        .with("prompt_version", self.origin.prompt_version.as_str())
        .with("max_tokens", self.max_tokens)
        .with("turns", self.turns)
        .with("redacted", self.redacted)
        .with("reserved_tokens", attempt.estimate.tokens())
        .with("reserved_micro_usd", attempt.estimate.micro_usd)
        .payload(self.request.clone())
    }

    fn named(&self, kind: Kind, number: u32, model: &ModelName, operation: Operation) -> Fact {
        self.scope
            .fact(kind)
            .with("call", self.call)
            .with("try", u64::from(number))
            .with("asked", self.asked.to_string())
            .with("model", model.to_string())
            .with("operation", operation.as_str())
    }

    fn result(&self, open: &Open, spent: &Spent) -> Fact {
        self.named(Kind::ModelResult, open.number, &open.model, open.operation)
            .with("intent", open.seq)
            .with("prompt_tokens", spent.usage.prompt_tokens)
            .with("cached_tokens", spent.usage.cached_tokens)
            .with("completion_tokens", spent.usage.completion_tokens)
            .with("reasoning_tokens", spent.usage.reasoning_tokens)
            .with("micro_usd", spent.micro_usd)
            .with("estimated", if spent.estimated { "true" } else { "false" })
    }

    fn answered(&self, fact: Fact, answer: &Answer) -> Fact {
        let (fact, mut payload) = match answer {
            Answer::Completion(completion) => {
                let calls: Vec<Value> = completion
                    .tool_calls
                    .iter()
                    .map(|it| json!({"id": it.id, "name": it.name, "arguments": it.arguments}))
                    .collect();
                let fact = fact
                    .with("answered_by", completion.answered_by.as_str())
                    .with("finish", completion.finish.as_str());
                let value = json!({ "content": completion.content, "tool_calls": calls });
                (fact, value.to_string())
            }
            Answer::Embeddings(embeddings) => {
                let value = json!({ "vectors": embeddings.vectors });
                let by = embeddings.answered_by.as_str();
                (fact.with("answered_by", by), value.to_string())
            }
        };
        if self.redact {
            redact_text(&mut payload);
        }
        fact.with("status", "ok").payload(payload.into_bytes())
    }
}

#[async_trait]
impl CallLog for Records<'_> {
    async fn before(&self, attempt: &Try<'_>) -> Result<(), String> {
        self.hold_again(&attempt.estimate)?;
        let seq = self.record(self.intent(attempt)).await?;
        let open = Open {
            seq,
            number: attempt.number,
            model: attempt.model.clone(),
            operation: attempt.operation,
            estimate: attempt.estimate,
        };
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = Some(open);
        Ok(())
    }

    async fn after(&self, _attempt: &Try<'_>, outcome: &TryOutcome<'_>) -> Result<(), String> {
        let Some(open) = self.take() else {
            return Ok(());
        };
        self.spent(amount(&outcome.spent));
        let fact = self
            .result(&open, &outcome.spent)
            .with("duration_ms", outcome.duration_ms);
        let fact = match outcome.first_token_ms {
            Some(first) => fact.with("first_token_ms", first),
            None => fact,
        };
        let fact = match outcome.result {
            Ok(answer) => self.answered(fact, answer),
            Err(error) => failed(fact, error),
        };
        self.record(fact).await.map(drop)
    }
}

fn failed(fact: Fact, error: &ModelError) -> Fact {
    let fact = match error.hint.as_str() {
        "" => fact,
        hint => fact.with("hint", hint),
    };
    fact.with("status", "error")
        .with("class", error.class.as_str())
        .payload(error.message.clone().into_bytes())
}

impl Drop for Records<'_> {
    fn drop(&mut self) {
        let Some(open) = self.take() else {
            // Settled already, or stopped between two tries.
            let spent = self.books().spent;
            return self.settle(spent);
        };
        let mut all = self.books().spent;
        all.tokens = all.tokens.saturating_add(open.estimate.tokens());
        all.micro_usd = all.micro_usd.saturating_add(open.estimate.micro_usd);
        self.settle(all);
        let spent = Spent {
            usage: flowhost_models::Usage {
                prompt_tokens: open.estimate.prompt_tokens,
                completion_tokens: open.estimate.completion_tokens,
                ..flowhost_models::Usage::default()
            },
            micro_usd: open.estimate.micro_usd,
            estimated: true,
        };
        let fact = self
            .result(&open, &spent)
            .with("status", "error")
            .with("class", "cut")
            .payload(b"the call was stopped before the answer was there".to_vec());
        if let Err(error) = self.scope.run.recorder.append(fact) {
            tracing::error!(%error, "a stopped model call could not be recorded");
        }
    }
}
