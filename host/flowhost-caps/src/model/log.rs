//! The records of one model call, an intent and a result for each try, and what is held for them.
//!
//! What is held covers one try; a try after one that cost something is held anew before it is made. A
//! try that is dropped in the middle (a deadline, Ctrl-C) still gets its result, from `Drop`, and is
//! booked with what it had held: the ledger must not hold an intent that nobody accounts for.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use flowhost_engine::CallScope;
use flowhost_ledger::Fact;
use flowhost_ledger::records::{
    Decision, DecisionPart, ModelIntent, ModelResult, Owner, RecordKind as _, TryPart,
};
use flowhost_models::{
    Answer, CallLog, ErrorClass, Estimate, ModelError, ModelName, Operation, Spent, Try, TryOutcome,
};
use serde_json::{Value, json};

use super::host::{INTERFACE, amount, hold};
use super::prompt::redact_text;
use super::{HoldId, Origin, Spending};
use crate::shared::money::Left;
use crate::shared::support::Refusal;

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
            request: request.to_string().into_bytes(),
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
            // On the first hold, whichever try it was for: the budget adds them up, and each hold
            // is settled once.
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
        // What is held for the first try still covers this one.
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
        let intent = ModelIntent {
            call_of: self.scope.part(),
            decided: DecisionPart {
                interface: Some(INTERFACE.to_owned()),
                decision: Some(Decision::Allow),
                rule: Some(self.rule.clone()),
                ..DecisionPart::default()
            },
            of_try: self.of_try(attempt.number, attempt.model, attempt.operation),
            stage: Some(self.origin.stage.clone()),
            prompt_version: Some(self.origin.prompt_version.clone()),
            max_tokens: Some(self.max_tokens),
            turns: Some(self.turns),
            redacted: Some(self.redacted),
            reserved_tokens: Some(attempt.estimate.tokens()),
            reserved_micro_usd: Some(attempt.estimate.micro_usd),
        };
        intent.by(self.scope.actor()).payload(self.request.clone())
    }

    fn of_try(&self, number: u32, model: &ModelName, operation: Operation) -> TryPart {
        TryPart {
            request: Some(self.call),
            r#try: Some(u64::from(number)),
            asked: Some(self.asked.to_string()),
            model: Some(model.to_string()),
            operation: Some(operation.as_str().to_owned()),
            estimate: Some(&self.origin.estimate)
                .filter(|it| !it.is_empty())
                .cloned(),
        }
    }

    /// What the provider does not count, the host does: then the provider's fields are missing, so that
    /// nobody takes our count for theirs.
    fn result(&self, open: &Open, spent: &Spent) -> ModelResult {
        let usage = spent.usage;
        let theirs = |count: u64| (!spent.estimated).then_some(count);
        let ours = |count: u64| spent.estimated.then_some(count);
        ModelResult {
            call_of: self.scope.part(),
            of_try: self.of_try(open.number, &open.model, open.operation),
            intent: Some(open.seq),
            prompt_tokens: theirs(usage.prompt_tokens),
            cached_tokens: theirs(usage.cached_tokens),
            completion_tokens: theirs(usage.completion_tokens),
            reasoning_tokens: theirs(usage.reasoning_tokens),
            counted_prompt_tokens: ours(usage.prompt_tokens),
            counted_completion_tokens: ours(usage.completion_tokens),
            micro_usd: Some(spent.micro_usd),
            estimated: Some(spent.estimated),
            ..ModelResult::default()
        }
    }

    /// The result with what was answered, and the answer as it is stored.
    fn answered(&self, result: ModelResult, answer: &Answer) -> (ModelResult, Vec<u8>) {
        let (finish, by, value) = match answer {
            Answer::Completion(completion) => {
                let calls: Vec<Value> = completion
                    .tool_calls
                    .iter()
                    .map(|it| json!({"id": it.id, "name": it.name, "arguments": it.arguments}))
                    .collect();
                let value = json!({ "content": completion.content, "tool_calls": calls });
                let finish = completion.finish.as_str().to_owned();
                (Some(finish), completion.answered_by.clone(), value)
            }
            Answer::Embeddings(embeddings) => {
                let value = json!({ "vectors": embeddings.vectors });
                (None, embeddings.answered_by.clone(), value)
            }
        };
        let mut payload = value.to_string();
        if self.redact {
            redact_text(&mut payload);
        }
        let result = ModelResult {
            status: "ok".to_owned(),
            answered_by: Some(by),
            finish,
            ..result
        };
        (result, payload.into_bytes())
    }
}

/// Who has to change something: the guest its request, the folder its script, an operator a rule, a limit, or what the
/// host is connected to.
const fn owner(class: ErrorClass) -> Owner {
    match class {
        ErrorClass::Invalid => Owner::Guest,
        ErrorClass::Script => Owner::Plan,
        ErrorClass::Residency | ErrorClass::Refused => Owner::Policy,
        ErrorClass::RateLimited | ErrorClass::Quota | ErrorClass::Deadline | ErrorClass::Cut => {
            Owner::Limit
        }
        ErrorClass::Transient
        | ErrorClass::Auth
        | ErrorClass::Provider
        | ErrorClass::Unreachable => Owner::Host,
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
            debug_assert!(false, "a try that ends was recorded when it began");
            return Ok(());
        };
        // Before the record, which may not be taken: what was spent is spent.
        self.spent(amount(&outcome.spent));
        let result = ModelResult {
            duration_ms: Some(outcome.duration_ms),
            first_token_ms: outcome.first_token_ms,
            ..self.result(&open, &outcome.spent)
        };
        let (result, payload) = match outcome.result {
            Ok(answer) => self.answered(result, answer),
            Err(error) => failed(result, error),
        };
        let fact = result.by(self.scope.actor()).payload(payload);
        self.record(fact).await.map(drop)
    }
}

fn failed(result: ModelResult, error: &ModelError) -> (ModelResult, Vec<u8>) {
    let result = ModelResult {
        status: "error".to_owned(),
        class: Some(error.class.as_str().to_owned()),
        owner: Some(owner(error.class)),
        hint: (!error.hint.is_empty()).then(|| error.hint.clone()),
        ..result
    };
    (result, error.message.clone().into_bytes())
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
        // Before the record, for the same reason.
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
        let result = ModelResult {
            status: "error".to_owned(),
            class: Some("cut".to_owned()),
            owner: Some(Owner::Limit),
            ..self.result(&open, &spent)
        };
        let fact = result
            .by(self.scope.actor())
            .payload(b"the call was stopped before the answer was there".to_vec());
        if let Err(error) = self.scope.run.recorder.append(fact) {
            tracing::error!(%error, "a stopped model call could not be recorded");
        }
    }
}
