//! `flowhost:model`.

use std::sync::Arc;

use flowhost_engine::{CallScope, Fault, HostState, Shortfall, bindings::types, neutralise};
use flowhost_ledger::records::{Budget, ModelIntent, RecordKind as _};
use flowhost_ledger::trace;
use flowhost_models::{
    Completion, ErrorClass, Estimate, Finish, ModelError, ModelName, Spent, Who,
};
use flowhost_policy::{Denied, decide_model};
use serde_json::json;
use wasmtime::component::Linker;

use super::answer::{Completed, Embedded};
use super::log::Records;
use super::prompt::{self, TEXTS_MAX};
use super::{HoldId, ModelServices, ModelState, Spending};
use crate::shared::bindings;
use crate::shared::money::Left;
use crate::shared::support::{HasStore, Refusal, heard, kill, settle, told};

bindings!("import flowhost:model/model@0.1.0;", "../../wit/model/0.1.0", async | trappable, types);

pub(super) use bindings::flowhost::model::model as wit;

pub(super) const INTERFACE: &str = "flowhost:model/model@0.1.0";

/// Longest model name that a record holds, in characters. A refused name may be anything, and what a guest says
/// at will must not swell the ledger.
const NAME_CHARS: usize = 256;

pub(super) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    wit::add_to_linker::<_, HasStore>(linker, |state| state)
}

impl wit::Host for &mut HostState {
    async fn complete(
        &mut self,
        prompt: wit::Prompt,
    ) -> wasmtime::Result<Result<wit::Completion, types::Error>> {
        let (scope, services, number) = parts(self);
        scope.charge_host_call().map_err(kill)?;
        // Of the guest's own prompt, before redaction: a replay asks with that.
        let asked = prompt::hash(&prompt);
        let ask = told(async {
            let answer = complete(&services, &scope, number, prompt).await?;
            Ok(Completed::from(answer))
        });
        let answer = scope.outside(INTERFACE, "complete", &asked, ask).await;
        settle(heard(&scope, answer).map(wit::Completion::from))
    }

    async fn embed(
        &mut self,
        model: String,
        texts: Vec<String>,
    ) -> wasmtime::Result<Result<wit::Embeddings, types::Error>> {
        let (scope, services, number) = parts(self);
        scope.charge_host_call().map_err(kill)?;
        let asked = format!("{model} {}", prompt::hash_of(texts.iter()));
        let ask = told(async {
            let answer = embed(&services, &scope, number, &model, texts).await?;
            Ok(Embedded::from(answer))
        });
        let answer = scope.outside(INTERFACE, "embed", &asked, ask).await;
        settle(heard(&scope, answer).and_then(Embedded::told))
    }
}

/// The call, its services, and which of its model calls this is.
fn parts(state: &mut HostState) -> (CallScope, ModelServices, u64) {
    let scope = state.scope().clone();
    let own = state.parts::<ModelState>().state;
    // Counted before it is charged or decided, so that the number of a call does not hang on what
    // became of others.
    own.calls = own.calls.saturating_add(1);
    (scope, own.services.clone(), own.calls)
}

async fn complete(
    services: &ModelServices,
    scope: &CallScope,
    number: u64,
    prompt: wit::Prompt,
) -> Result<wit::Completion, Refusal> {
    let (model, rule) = allowed(services, scope, &prompt.model)?;
    let mut prompt = prompt::checked(prompt, model.clone(), own_seed(scope)).map_err(invalid)?;
    let redacted = if services.redact {
        prompt::redact(&mut prompt)
    } else {
        0
    };
    let estimate = services.gateway.estimate(&prompt).map_err(as_guest_reads)?;
    // Held before the intent is recorded: what cannot be paid was never meant.
    let held = hold(&*services.spending, scope, &estimate)?;
    let spending = Arc::clone(&services.spending);
    let mut records = Records::new(scope, spending, held, &model, &prompt::request(&prompt));
    records.rule = rule;
    records.origin = services.spending.origin(scope);
    records.max_tokens = u64::from(prompt.max_tokens);
    records.turns = prompt.turns.len() as u64;
    records.redacted = redacted;
    records.redact = services.redact;
    let stage = records.origin.stage.clone();
    let span = span(scope, held);
    let who = who(
        scope,
        &stage,
        &span,
        number,
        prompt.seed.unwrap_or_default(),
    );
    let may = |name: &ModelName| may_ask(scope, name);
    let answer = services
        .gateway
        .complete(&prompt, &who, &may, scope.deadline, &records)
        .await;
    let answer = settled(&records, answer, |it| it.spent)?;
    Ok(handed_over(answer, services.redact))
}

async fn embed(
    services: &ModelServices,
    scope: &CallScope,
    number: u64,
    model: &str,
    mut texts: Vec<String>,
) -> Result<wit::Embeddings, Refusal> {
    let (model, rule) = allowed(services, scope, model)?;
    prompt::bounded("texts", texts.len(), TEXTS_MAX).map_err(invalid)?;
    let redacted = if services.redact {
        texts.iter_mut().map(prompt::redact_text).sum()
    } else {
        0
    };
    let estimate = services.gateway.estimate_embed(&model, &texts);
    let held = hold(
        &*services.spending,
        scope,
        &estimate.map_err(as_guest_reads)?,
    )?;
    let spending = Arc::clone(&services.spending);
    let request = json!({ "texts": texts });
    let mut records = Records::new(scope, spending, held, &model, &request);
    records.rule = rule;
    records.origin = services.spending.origin(scope);
    // `redact` stays off for the answer: numbers hold nobody's words, and digits that look like a
    // card's would be cut out of a vector.
    records.turns = texts.len() as u64;
    records.redacted = redacted;
    let stage = records.origin.stage.clone();
    let span = span(scope, held);
    let who = who(scope, &stage, &span, number, own_seed(scope));
    let may = |name: &ModelName| may_ask(scope, name);
    let answer = services
        .gateway
        .embed(&model, &texts, &who, &may, scope.deadline, &records)
        .await;
    let answer = settled(&records, answer, |it| it.spent)?;
    Ok(wit::Embeddings {
        usage: usage(&answer.spent),
        vectors: answer.vectors,
    })
}

/// The model that the guest asks, and the rule that allows it.
fn allowed(
    services: &ModelServices,
    scope: &CallScope,
    asked: &str,
) -> Result<(ModelName, String), Refusal> {
    let deny = |denied: Denied| -> Refusal {
        match scope.record_deny::<ModelIntent>(INTERFACE, &denied) {
            Ok(_) => types::Error::from(&denied).into(),
            Err(fault) => fault.into(),
        }
    };
    let rule = match decide_model(&scope.effective.grants.model, asked) {
        Ok(allowed) => format!("model.allow[{}]", allowed.index),
        Err(mut denied) => {
            denied.wanted = neutralise(&denied.wanted, NAME_CHARS);
            return Err(deny(denied));
        }
    };
    let model: ModelName = asked.parse().map_err(|_| {
        let text = neutralise(asked, NAME_CHARS);
        invalid(format!(
            "`{text}` does not name a model: write `provider/name`"
        ))
    })?;
    match services.gateway.knows(&model) {
        Ok(()) => Ok((model, rule)),
        Err(error) if error.class == ErrorClass::Residency => Err(deny(Denied {
            right: "model.residency",
            wanted: model.to_string(),
            rule: "models.residency".to_owned(),
            cure: None,
        })),
        Err(error) => Err(as_guest_reads(error)),
    }
}

/// Whether a model that is tried instead is granted too.
fn may_ask(scope: &CallScope, model: &ModelName) -> bool {
    decide_model(&scope.effective.grants.model, &model.to_string()).is_ok()
}

/// The answer, with its cost booked.
fn settled<T>(
    records: &Records<'_>,
    answer: Result<T, ModelError>,
    spent: impl Fn(&T) -> Spent,
) -> Result<T, Refusal> {
    let cost = match &answer {
        Ok(answer) => spent(answer),
        Err(error) => error.spent,
    };
    // Also where it failed: a provider charges for what it has read.
    records.settle(amount(&cost));
    answer.map_err(|error| records.stopped().unwrap_or_else(|| as_guest_reads(error)))
}

/// Holds what one try costs at most; a refusal is recorded.
pub(super) fn hold(
    spending: &dyn Spending,
    scope: &CallScope,
    estimate: &Estimate,
) -> Result<HoldId, Refusal> {
    let want = Left {
        tokens: estimate.tokens(),
        micro_usd: estimate.micro_usd,
    };
    spending
        .hold(scope, want)
        .map_err(|short| match refused(scope, &want, &short) {
            Ok(()) => scope.refuse_budget(short).into(),
            Err(fault) => fault,
        })
}

/// A refusal of the budget is a fact; nothing was asked and nothing is spent.
fn refused(scope: &CallScope, want: &Left, short: &Shortfall) -> Result<(), Refusal> {
    let refusal = Budget {
        place: scope.place(),
        tokens: Some(want.tokens),
        micro_usd: Some(want.micro_usd),
        ..Budget::from(short)
    };
    scope
        .run
        .recorder
        .append(refusal.by(scope.actor()))
        .map_err(flowhost_engine::Fault::from)?;
    Ok(())
}

/// The trace context that the provider hears of: the span of this call's first try.
fn span(scope: &CallScope, held: HoldId) -> String {
    let run = &scope.run.run;
    let span = trace::model_span(run, &held.0.to_string(), "1");
    trace::traceparent(&trace::trace_id(run), &span)
}

fn who<'a>(
    scope: &'a CallScope,
    stage: &'a str,
    traceparent: &'a str,
    call: u64,
    seed: u64,
) -> Who<'a> {
    Who {
        stage,
        agent: &scope.plugin,
        step: &scope.step,
        seed,
        call,
        traceparent,
    }
}

/// The step's seed in 53 bits: a number that every provider's JSON carries.
fn own_seed(scope: &CallScope) -> u64 {
    let seed = scope.step_seed();
    let first = seed.first_chunk::<8>().copied().unwrap_or_default();
    u64::from_be_bytes(first) >> 11
}

/// Tokens and money of what was spent.
pub(super) fn amount(spent: &Spent) -> Left {
    Left {
        tokens: spent
            .usage
            .prompt_tokens
            .saturating_add(spent.usage.completion_tokens),
        micro_usd: spent.micro_usd,
    }
}

fn invalid(message: String) -> Refusal {
    types::Error::Invalid(message).into()
}

/// The provider's class in the guest's words. What the host alone should know (addresses, keys) is
/// not in the message.
fn as_guest_reads(error: ModelError) -> Refusal {
    use ErrorClass as C;
    let ModelError {
        class,
        message,
        hint,
        ..
    } = error;
    let told = match hint.as_str() {
        "" => message.clone(),
        hint => format!("{message}; {hint}"),
    };
    match class {
        C::Transient | C::RateLimited | C::Provider | C::Deadline | C::Unreachable | C::Cut => {
            types::Error::Transient(told).into()
        }
        C::Invalid => types::Error::Invalid(told).into(),
        // Nothing that the guest could change, and nothing that passes while it waits.
        C::Auth | C::Quota | C::Residency | C::Refused => types::Error::Failed(told).into(),
        // The guest could only hand it on, as if it were its own failure.
        C::Script => Refusal::Fault(Fault::Folder { message, hint }),
    }
}

fn handed_over(mut answer: Completion, redact: bool) -> wit::Completion {
    if redact {
        prompt::redact_text(&mut answer.content);
        // A provider's word, as the rest is: a gateway between may write anything there.
        prompt::redact_text(&mut answer.answered_by);
        for call in &mut answer.tool_calls {
            prompt::redact_text(&mut call.arguments);
            prompt::redact_text(&mut call.name);
        }
    }
    wit::Completion {
        usage: usage(&answer.spent),
        content: answer.content,
        tool_calls: answer
            .tool_calls
            .into_iter()
            .map(|call| wit::ToolCall {
                id: call.id,
                name: call.name,
                arguments: call.arguments,
            })
            .collect(),
        finish: match answer.finish {
            Finish::Stop => wit::Finish::Stop,
            Finish::Length => wit::Finish::Length,
            Finish::ToolCalls => wit::Finish::ToolCalls,
            Finish::ContentFilter => wit::Finish::ContentFilter,
        },
        model: answer.answered_by,
    }
}

fn usage(spent: &Spent) -> types::Usage {
    // The contract has 32 bits, and a prompt of two thousand million tokens does not exist.
    let small = |tokens: u64| i32::try_from(tokens).unwrap_or(i32::MAX);
    types::Usage {
        prompt_tokens: small(spent.usage.prompt_tokens),
        completion_tokens: small(spent.usage.completion_tokens),
        #[expect(
            clippy::cast_precision_loss,
            reason = "exact up to nine billion dollars"
        )]
        cost_micro_usd: spent.micro_usd as f64,
    }
}
