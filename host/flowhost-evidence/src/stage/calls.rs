//! What one agent used in a stage: all its calls and the models that they asked.

use flowhost_ledger::records::{ModelIntent, ModelResult};
use serde_json::{Map, Value, json};

/// A record that has a payload: its number, and what it commits to.
pub(super) type Seen = (u64, Option<String>);

/// One call of an agent.
#[derive(Debug, Clone, Default)]
pub(super) struct Call {
    pub(super) agent: String,
    pub(super) seat: Option<u32>,
    pub(super) prompt_version: Option<String>,
    pub(super) prompt_sha256: Option<String>,
    /// Records that hold what it was given and what it handed back.
    pub(super) asked: Seen,
    pub(super) answered: Option<Seen>,
    pub(super) ok: bool,
    pub(super) duration_ms: Option<u64>,
    pub(super) usage: Usage,
    /// The record that holds what its first model was asked.
    pub(super) prompt: Option<Seen>,
}

/// What models used, as far as it is known.
#[derive(Debug, Clone, Default)]
pub(super) struct Usage {
    pub(super) model_id: Option<String>,
    pub(super) model_release: Option<String>,
    pub(super) calls: u64,
    prompt: Known,
    completion: Known,
    reasoning: Known,
    cached: Known,
    micro_usd: Known,
    latency_ms: Known,
}

/// A sum of which a part may not be known: then the sum is not.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Known {
    sum: u64,
    counted: u64,
    unknown: bool,
}

impl Known {
    pub(super) const fn add(&mut self, value: Option<u64>) {
        match value {
            Some(value) => {
                self.sum = self.sum.saturating_add(value);
                self.counted += 1;
            }
            None => self.unknown = true,
        }
    }

    pub(super) const fn join(&mut self, other: &Self) {
        self.sum = self.sum.saturating_add(other.sum);
        self.counted += other.counted;
        self.unknown |= other.unknown;
    }

    pub(super) const fn value(&self) -> Option<u64> {
        match self.unknown || self.counted == 0 {
            true => None,
            false => Some(self.sum),
        }
    }
}

impl Usage {
    pub(super) fn asked(&mut self, intent: &ModelIntent) {
        if self.model_id.is_none() {
            self.model_id.clone_from(&intent.of_try.model);
        }
    }

    pub(super) fn answered(&mut self, result: &ModelResult) {
        self.calls += 1;
        self.model_release = result.answered_by.clone().or(self.model_release.take());
        if result.status != "ok" {
            // A try that failed cost what was booked for it, and used no tokens that anybody counted.
            self.micro_usd.add(Some(result.micro_usd.unwrap_or(0)));
            self.latency_ms.add(result.duration_ms);
            return;
        }
        self.prompt
            .add(result.prompt_tokens.or(result.counted_prompt_tokens));
        self.completion.add(
            result
                .completion_tokens
                .or(result.counted_completion_tokens),
        );
        self.reasoning.add(result.reasoning_tokens);
        self.cached.add(result.cached_tokens);
        self.micro_usd.add(result.micro_usd);
        self.latency_ms.add(result.duration_ms);
    }

    pub(super) fn join(&mut self, other: &Self) {
        if self.model_id.is_none() {
            self.model_id.clone_from(&other.model_id);
        }
        if other.model_release.is_some() {
            self.model_release.clone_from(&other.model_release);
        }
        self.calls += other.calls;
        self.prompt.join(&other.prompt);
        self.completion.join(&other.completion);
        self.reasoning.join(&other.reasoning);
        self.cached.join(&other.cached);
        self.micro_usd.join(&other.micro_usd);
        self.latency_ms.join(&other.latency_ms);
    }

    pub(super) const fn prompt_tokens(&self) -> Option<u64> {
        self.prompt.value()
    }

    pub(super) const fn completion_tokens(&self) -> Option<u64> {
        self.completion.value()
    }

    pub(super) const fn total_tokens(&self) -> Option<u64> {
        match (self.prompt.value(), self.completion.value()) {
            (Some(prompt), Some(completion)) => Some(prompt.saturating_add(completion)),
            _ => None,
        }
    }

    pub(super) const fn latency_ms(&self) -> Option<u64> {
        self.latency_ms.value()
    }

    pub(super) const fn micro_usd(&self) -> Option<u64> {
        self.micro_usd.value()
    }

    /// The numbers by the names of the format.
    pub(super) fn fields(&self) -> Map<String, Value> {
        let fields = json!({
            "model_id": self.model_id,
            "model_release": self.model_release,
            "prompt_tokens": self.prompt_tokens(),
            "completion_tokens": self.completion_tokens(),
            "reasoning_tokens": self.reasoning.value(),
            "total_tokens": self.total_tokens(),
            "cache_hit": self.cached.value().map(|tokens| tokens > 0),
            "cost_usd": usd(self.micro_usd()),
        });
        match fields {
            Value::Object(fields) => fields,
            _ => Map::new(),
        }
    }
}

/// Dollars with the six places that money is counted in.
pub(super) fn usd(micro_usd: Option<u64>) -> Option<f64> {
    micro_usd.map(flowhost_flow::units::micro_usd_to_usd)
}
