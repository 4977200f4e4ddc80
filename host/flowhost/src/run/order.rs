//! What travels on the bus for one call: the order and its result, both complete, so that a worker
//! elsewhere could take it.

use flowhost_caps::budget::Left;
use flowhost_flow::budget::Ceiling;
use flowhost_flow::planner::Part;
use flowhost_flow::{Amounts, Call, CallResult, PluginKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The payload of a `step.start` envelope.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) call: u64,
    pub(super) step_id: String,
    pub(super) path: String,
    pub(super) attempt: u32,
    pub(super) part: Part,
    pub(super) plugin: String,
    pub(super) kind: PluginKind,
    pub(super) function: Option<String>,
    pub(super) input: Value,
    pub(super) config: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) prompt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) prompt_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) schema: Option<Value>,
    pub(super) stage: Option<String>,
    pub(super) deadline_ms: u64,
    pub(super) allowance: Amounts,
    pub(super) ceilings: [Ceiling; 2],
    pub(super) idempotency_key: String,
}

impl From<&Call> for Order {
    fn from(call: &Call) -> Self {
        Self {
            call: call.id.0,
            step_id: call.step_id.clone(),
            path: call.path.clone(),
            attempt: call.attempt,
            part: call.part,
            plugin: call.plugin.clone(),
            kind: call.kind,
            function: call.function.clone(),
            input: (*call.input).clone(),
            config: call.config.clone(),
            prompt: call.prompt.as_deref().map(str::to_owned),
            prompt_version: call.prompt_version.clone(),
            schema: call.schema.as_deref().cloned(),
            stage: call.stage.clone(),
            deadline_ms: call.deadline.0,
            allowance: call.allowance,
            ceilings: call.ceilings,
            idempotency_key: call.idempotency_key.clone(),
        }
    }
}

/// What one call used, beyond what budgets count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detail {
    /// Fuel units.
    pub fuel: u64,
    /// Peak bytes of memories and tables.
    pub memory_bytes: u64,
    /// Calls from guest to host.
    pub host_calls: u64,
    /// Bytes handed back.
    pub output_bytes: u64,
    /// Bytes of log lines.
    pub log_bytes: u64,
}

impl Detail {
    /// Sums what adds up and keeps the peak of what does not.
    pub(super) fn add(&mut self, other: &Self) {
        self.fuel = self.fuel.saturating_add(other.fuel);
        self.memory_bytes = self.memory_bytes.max(other.memory_bytes);
        self.host_calls = self.host_calls.saturating_add(other.host_calls);
        self.output_bytes = self.output_bytes.saturating_add(other.output_bytes);
        self.log_bytes = self.log_bytes.saturating_add(other.log_bytes);
    }
}

impl From<flowhost_engine::Used> for Detail {
    fn from(used: flowhost_engine::Used) -> Self {
        Self {
            fuel: used.fuel,
            memory_bytes: used.memory_bytes,
            host_calls: used.host_calls,
            output_bytes: used.output_bytes,
            log_bytes: used.log_bytes,
        }
    }
}

/// The payload of a `step.end` envelope.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) call: u64,
    pub(super) path: String,
    pub(super) result: CallResult,
    pub(super) used: Amounts,
    pub(super) detail: Detail,
}

impl Answer {
    /// The result of a call, with what the calls that it made in turn have used, and what models
    /// have cost in it.
    pub(super) fn new(
        order: &Order,
        result: CallResult,
        mut detail: Detail,
        routed: &super::tally::Routed,
        spent: Left,
    ) -> Self {
        detail.add(&routed.detail);
        let used = Amounts {
            calls: routed.calls.saturating_add(1),
            fuel: detail.fuel,
            tokens: spent.tokens,
            micro_usd: spent.micro_usd,
        };
        Self {
            call: order.call,
            path: order.path.clone(),
            result,
            used,
            detail,
        }
    }
}
