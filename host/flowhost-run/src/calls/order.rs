//! What travels on the bus for one call: the order and its result, both complete, so that a worker
//! elsewhere could take it.

use flowhost_bus::Body;
use flowhost_flow::budget::Ceiling;
use flowhost_flow::plan::Effects;
use flowhost_flow::planner::{CallId, Part, Verdict};
use flowhost_flow::{Amounts, Call, CallResult, Time};
use flowhost_ledger::records::PlannerEvent;
use flowhost_words::PluginKind;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::meters::detail::Detail;
use crate::plugins::installed::Installed;

/// The payload of a `step.start` envelope.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) call: u64,
    pub(crate) step_id: String,
    pub(crate) path: String,
    pub(crate) attempt: u32,
    pub(crate) part: Part,
    pub(crate) plugin: String,
    /// The revision that this call takes.
    pub(crate) revision: u64,
    /// SHA-256 of that revision's component and of its effective rights: a worker elsewhere takes the
    /// component from its store by the one, and refuses a profile whose rights have another hash.
    pub(crate) component: String,
    pub(crate) rights: String,
    pub(crate) kind: PluginKind,
    pub(crate) function: Option<String>,
    pub(crate) input: Value,
    pub(crate) config: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) prompt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) prompt_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) schema: Option<Value>,
    pub(crate) stage: Option<String>,
    /// Milliseconds that are left from when the order was sent: a worker's clock need not agree with the
    /// driver's.
    pub(crate) remaining_ms: u64,
    pub(crate) allowance: Amounts,
    pub(crate) ceilings: [Ceiling; 2],
    pub(crate) effects: Effects,
    pub(crate) idempotency_key: String,
    /// Whether the answer is to be the whole content of a tool, and not the part of it that a step hands on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) whole: bool,
}

impl Order {
    /// The order for a call, of the revision of its plugin that is current now.
    pub(crate) fn new(call: &Call, installed: &Installed, now: Time) -> Self {
        Self {
            call: call.id.0,
            step_id: call.step_id.clone(),
            path: call.path.clone(),
            attempt: call.attempt,
            part: call.part,
            plugin: call.plugin.clone(),
            revision: installed.revision,
            component: installed.plugin.digest().to_string(),
            rights: installed.plugin.effective().hash.clone(),
            kind: call.kind,
            function: call.function.clone(),
            input: (*call.input).clone(),
            config: call.config.clone(),
            prompt: call.prompt.as_deref().map(str::to_owned),
            prompt_version: call.prompt_version.clone(),
            schema: call.schema.as_deref().cloned(),
            stage: call.stage.clone(),
            remaining_ms: call.deadline.since(now),
            allowance: call.allowance,
            ceilings: call.ceilings,
            effects: call.effects,
            idempotency_key: call.idempotency_key.clone(),
            whole: false,
        }
    }
}

impl Body for Order {
    fn json(&self) -> Result<Value, serde_json::Error> {
        serde_json::to_value(self)
    }

    fn values(&self) -> Vec<(&Value, usize)> {
        let schema = self.schema.as_ref();
        let values = [&self.input, &self.config].into_iter().chain(schema);
        values.map(|value| (value, 1)).collect()
    }

    fn bytes(&self) -> usize {
        let prompt = self.prompt.as_ref().map_or(0, String::len);
        ORDER_BYTES.saturating_add(prompt)
    }
}

/// What an order has beside its values and its prompt: names, numbers and digests, none of them long.
const ORDER_BYTES: usize = 1_024;

/// The payload of a `step.cancel` envelope.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Cancel {
    pub(crate) call: u64,
    pub(crate) reason: String,
}

/// The payload of a `run.settled` envelope: how the talk after the last step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Settled {
    /// Every message was read.
    Quiet,
    /// The agents did not stop talking.
    Busy,
}

/// The payload of a `run.finish` envelope.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Ending {
    /// The run's status word.
    pub(crate) status: String,
    /// Why it did not go well; empty when it did.
    pub(crate) reason: String,
}

/// The payload of a `step.end` envelope.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) call: u64,
    pub(crate) path: String,
    pub(crate) result: CallResult,
    pub(crate) stands: Stands,
    /// Calls and fuel; tokens and money are the driver's to fill in.
    pub(crate) used: Amounts,
    pub(crate) detail: Detail,
    /// Whether the result is a tool's whole content, because the order wanted that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) whole: bool,
}

/// Where a result stands that no record of its call has.
const HERE: &str = "here";

/// What the record of a call's end says beside the end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answered {
    pub(crate) stands: Stands,
    /// Milliseconds that its guest was told it had.
    pub(crate) told_ms: u64,
    /// Who was asked; none where nobody was.
    pub(crate) plugin: Option<String>,
    /// From the order to the answer; none where this process has sent no order.
    pub(crate) took_us: Option<u64>,
}

impl Answered {
    /// The record of the end. What the call's own result says, too, is left to it.
    pub(crate) fn record(
        &self,
        call: CallId,
        used: &Amounts,
        record: PlannerEvent,
    ) -> PlannerEvent {
        let own = self.stands != Stands::Nowhere;
        let alone = own && used.calls == 1;
        let some = |amount: u64| (amount > 0).then_some(amount);
        PlannerEvent {
            call: Some(call.0),
            result: (!own).then(|| HERE.to_owned()),
            plugin: self.plugin.clone().filter(|_| !own),
            took_us: self.took_us,
            calls: (!alone).then_some(used.calls),
            fuel: (!alone).then_some(used.fuel),
            tokens: some(used.tokens),
            micro_usd: some(used.micro_usd),
            told_ms: (!own).then_some(self.told_ms),
            ..record
        }
    }
}

/// Where the ledger has the result of a call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stands {
    /// In the call's own result record: the whole content of a tool, of which the step hands on a part.
    Content,
    /// In the call's own result record, as it is.
    Own,
    /// Nowhere yet: a verdict, or a failure. Whoever records the event has it in that record.
    #[default]
    Nowhere,
}

impl Stands {
    fn of(order: &Order, result: &CallResult) -> Self {
        match (result, order.kind) {
            (CallResult::Output(_), PluginKind::Tool | PluginKind::McpAdapter) => Self::Content,
            (CallResult::Output(_), PluginKind::Agent | PluginKind::Guardrail) => Self::Own,
            (CallResult::Verdict(_) | CallResult::Failed(_), _) => Self::Nowhere,
        }
    }
}

impl Body for Answer {
    fn json(&self) -> Result<Value, serde_json::Error> {
        serde_json::to_value(self)
    }

    fn values(&self) -> Vec<(&Value, usize)> {
        match &self.result {
            // `result`, and in it `output`.
            CallResult::Output(output) => vec![(output, 2)],
            CallResult::Verdict(Verdict::Rewrite { subject, findings }) => {
                of_guard(Some(subject), findings)
            }
            CallResult::Verdict(Verdict::Pass { findings } | Verdict::Deny { findings, .. }) => {
                of_guard(None, findings)
            }
            CallResult::Failed(_) => Vec::new(),
        }
    }

    fn bytes(&self) -> usize {
        let told = match &self.result {
            CallResult::Failed(failure) => failure.message.len().saturating_add(failure.hint.len()),
            CallResult::Verdict(Verdict::Deny { reason, .. }) => reason.len(),
            CallResult::Output(_) | CallResult::Verdict(_) => 0,
        };
        ANSWER_BYTES.saturating_add(told)
    }
}

/// What a verdict holds. `result`, `verdict`, the verdict's own word, and in it `subject` or `findings`.
fn of_guard<'a>(subject: Option<&'a Value>, findings: &'a [Value]) -> Vec<(&'a Value, usize)> {
    const DEPTH: usize = 4;
    let subject = subject.into_iter().map(|subject| (subject, DEPTH));
    let findings = findings.iter().map(|finding| (finding, DEPTH + 1));
    subject.chain(findings).collect()
}

/// What an answer has beside its result: a path and numbers.
const ANSWER_BYTES: usize = 512;

impl Answer {
    /// The result of a call, with what the calls that it made in turn have used. What models have cost in
    /// it is known to whoever holds the purse.
    pub(crate) fn new(
        order: &Order,
        result: CallResult,
        mut detail: Detail,
        routed: &crate::meters::tally::Routed,
    ) -> Self {
        detail.add(&routed.detail);
        let used = Amounts {
            calls: routed.calls.saturating_add(1),
            fuel: detail.fuel,
            tokens: 0,
            micro_usd: 0,
        };
        Self {
            call: order.call,
            path: order.path.clone(),
            stands: Stands::of(order, &result),
            result,
            used,
            detail,
            whole: false,
        }
    }
}
