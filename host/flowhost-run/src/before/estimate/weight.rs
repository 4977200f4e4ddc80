//! What a step costs that has not run before: its prompt as far as it is known, times the items, turns and
//! attempts that the plan allows.
//!
//! The low end is what the step costs if it runs at all: one attempt, one turn, an answer of one token; and
//! nothing if it may not run. The high end is the most that the plan allows, and is not known where the
//! number of items is not. What lies between is a guess that says so: half of the longest answer, and
//! two turns for an agent with tools.

use flowhost_flow::Plan;
use flowhost_flow::plan::{Body, Step, Then};
use flowhost_models::{Gateway, ModelName, Prompt, Speaker, Turn};
use serde_json::{Map, Value};

use super::{Amount, First, Range};
use crate::given::project::Member;

/// Tokens of an answer when the configuration does not say: what `llm-agent` asks for then.
pub(in crate::before) const ANSWER_TOKENS: u32 = 1_024;
/// Turns and tokens of a request that `llm-agent` takes when its configuration does not say.
const TURNS: u64 = 8;
/// As `plugins/llm-agent/src/config.rs` has them.
const CONTEXT_TOKENS: u64 = 32_000;
/// Tokens that an agent adds of its own to what the plan says: who it is, and its rules. `llm-agent` adds about
/// 150, and more where the answer has a schema.
const OWN_TOKENS: u64 = 512;
/// Tokens of what it may call, described to the model: some dozen tools.
const TOOLS_TOKENS: u64 = 2_048;
/// Turns of an agent with tools: one that asks for a tool, and one that answers.
const LIKELY_TURNS: u64 = 2;

/// A step's prompt as far as it is known before the run.
pub(super) struct Weight {
    pub(super) model: ModelName,
    text: String,
    max_tokens: u32,
    /// Tokens of the largest request; a later turn repeats what was said before it.
    context_tokens: u64,
    /// Model calls of one attempt.
    turns: u64,
    has_tools: bool,
    attempts: u64,
    /// None where only the run will know.
    items: Option<u64>,
    /// Whether the step runs whenever the plan does.
    certain: bool,
    /// Whether the run fails where the step does: one that goes on needs no budget for it.
    must_succeed: bool,
}

impl Weight {
    /// By the names that agents use: `model`, `max_tokens`, `max_turns`, `tools`, `system`, `prompt` of
    /// their configuration. None where the model is not named.
    pub(super) fn of(
        plan: &Plan,
        step: &Step,
        member: &Member,
        inputs: &Map<String, Value>,
        certain: bool,
    ) -> Option<Self> {
        let config: Value = serde_json::from_str(&member.config).unwrap_or_default();
        let said = |name: &str| config.get(name).and_then(Value::as_str).unwrap_or_default();
        let number = |name: &str| config.get(name).and_then(Value::as_u64);
        let model = said("model").parse().ok()?;
        let prompt = plan
            .prompt_of(step)
            .map_or_else(|| said("prompt"), |text| &**text);
        let text = format!("{}\n{prompt}\n{}", said("system"), step.with.source());
        let max_tokens = number("max_tokens").and_then(|it| u32::try_from(it).ok());
        let chosen = config.get("tools").and_then(Value::as_array);
        let has_tools = !member.effective.grants.tools.call.is_empty()
            && chosen.is_none_or(|it| !it.is_empty());
        Some(Self {
            model,
            text,
            max_tokens: max_tokens.unwrap_or(ANSWER_TOKENS),
            context_tokens: number("context_tokens").unwrap_or(CONTEXT_TOKENS),
            turns: match has_tools {
                true => number("max_turns").unwrap_or(TURNS),
                false => 1,
            },
            has_tools,
            attempts: u64::from(step.retry.max_attempts),
            items: match &step.foreach {
                None => Some(1),
                Some(each) => plan
                    .known(&each.items, inputs)
                    .and_then(|items| Some(items.as_array()?.len() as u64)),
            },
            certain: certain && step.when.is_none() && matches!(plan.body, Body::Workflow { .. }),
            must_succeed: !step.continue_on_error && step.on_failure.then == Then::Halt,
        })
    }

    /// None where the model has no price or cannot be asked.
    pub(super) fn weigh(&self, gateway: &Gateway) -> Option<Range> {
        let call = |answer| self.one_call(gateway, answer);
        let smallest = call(1)?;
        let likely = call(self.max_tokens.div_ceil(2))?;
        let largest = self.largest(call(self.max_tokens)?, smallest);
        let calls = self.turns.saturating_mul(self.attempts);
        Some(Range {
            low: match (self.certain, self.items) {
                (true, Some(items)) => smallest.times(items),
                _ => Amount::default(),
            },
            // Where the number of items is not known, one of them is told of: nobody knows better.
            likely: likely.times(self.turns.min(LIKELY_TURNS) * self.items.unwrap_or(1)),
            high: self
                .items
                .map(|items| largest.times(calls.saturating_mul(items))),
        })
    }

    /// What is held for the first model call of a step that is certain to make one: its prompt and the longest
    /// answer, whatever comes of it.
    pub(super) fn first(&self, gateway: &Gateway) -> Option<First> {
        let must = self.certain && self.must_succeed;
        let items = self.items.filter(|items| must && *items > 0)?;
        let least = self.one_call(gateway, self.max_tokens)?;
        let more = match self.has_tools {
            true => OWN_TOKENS + TOOLS_TOKENS,
            false => OWN_TOKENS,
        };
        // A token of these words is taken to cost what the call's tokens do on average; a word of the prompt is
        // not dearer than one of the answer.
        let micro_usd = u128::from(least.micro_usd) * u128::from(more);
        let micro_usd = micro_usd.div_ceil(u128::from(least.tokens.max(1)));
        let mut each = least;
        each.add(Amount {
            tokens: more,
            micro_usd: u64::try_from(micro_usd).unwrap_or(u64::MAX),
        });
        Some(First {
            least,
            enough: each.times(items),
        })
    }

    /// A call whose prompt has grown to what an agent sends at most. Money grows with the prompt.
    fn largest(&self, call: Amount, smallest: Amount) -> Amount {
        let prompt = smallest.tokens.max(1);
        if self.turns == 1 || prompt >= self.context_tokens {
            return call;
        }
        let more = self.context_tokens - prompt;
        let money = u128::from(smallest.micro_usd) * u128::from(more) / u128::from(prompt);
        Amount {
            tokens: call.tokens.saturating_add(more),
            micro_usd: call
                .micro_usd
                .saturating_add(u64::try_from(money).unwrap_or(u64::MAX)),
        }
    }

    fn one_call(&self, gateway: &Gateway, answer_tokens: u32) -> Option<Amount> {
        let prompt = Prompt {
            model: self.model.clone(),
            turns: vec![Turn {
                speaker: Speaker::User,
                content: self.text.clone(),
                tool_calls: Vec::new(),
                answers: String::new(),
            }],
            tools: Vec::new(),
            answer_schema: None,
            temperature: None,
            max_tokens: answer_tokens,
            seed: None,
            stop: Vec::new(),
        };
        let estimate = gateway.estimate(&prompt).ok()?;
        Some(Amount {
            tokens: estimate.tokens(),
            micro_usd: estimate.micro_usd,
        })
    }
}
