//! What a step costs that has not run before: its prompt as far as it is known, times the items, turns and
//! attempts that the plan allows.
//!
//! The low end is what the step costs if it runs at all: one attempt, one turn, an answer of one token; and
//! nothing if it may not run. The high end is the most that the plan allows, and is not known where the
//! number of items is not, nor for an agent that may ask others: how often it does is its own. What lies
//! between is a guess that says so: half of the longest answer, two turns for an agent with tools or
//! peers, and one answer of each of these.

use flowhost_flow::plan::{Body, Then};
use flowhost_models::{Gateway, ModelName, Prompt};
use serde_json::Value;

use super::opening::{Asks, Opening, Sent, TURNS};
use super::{Amount, First, Range};

/// Tokens of an answer when the configuration does not say: what `llm-agent` asks for then.
pub(in crate::before) const ANSWER_TOKENS: u32 = 1_024;
/// As `plugins/llm-agent/src/config.rs` has them.
const CONTEXT_TOKENS: u64 = 32_000;
/// Turns of an agent with tools: one that asks for a tool, and one that answers.
const LIKELY_TURNS: u64 = 2;
/// Bytes that `llm-agent` takes for a token, when it asks itself what it can pay for.
const BYTES_PER_TOKEN: u64 = 4;

/// An agent that another may ask while it works.
struct Peer {
    model: ModelName,
    /// With a question as long as what the step gives to the one who asks: nobody knows better.
    sent: Sent,
    max_tokens: u32,
}

impl Peer {
    fn of(asks: Asks<'_>, name: &str) -> Option<Self> {
        let member = asks
            .project
            .members
            .get(&format!("{}{name}", asks.prefix))?;
        let config: Value = serde_json::from_str(&member.config).unwrap_or_default();
        let max_tokens = config.get("max_tokens").and_then(Value::as_u64);
        let max_tokens = max_tokens.and_then(|it| u32::try_from(it).ok());
        let asked = Asks {
            name: &member.decl.name,
            member,
            ..asks
        };
        Some(Self {
            model: config.get("model").and_then(Value::as_str)?.parse().ok()?,
            sent: Opening::of(asked).likely,
            max_tokens: max_tokens.unwrap_or(ANSWER_TOKENS),
        })
    }

    /// One answer, half as long as it may be.
    fn answer(&self, gateway: &Gateway) -> Amount {
        let half = self.max_tokens.div_ceil(2);
        call(gateway, &self.model, &self.sent, half).unwrap_or_default()
    }
}

/// A step's prompt as far as it is known before the run.
pub(super) struct Weight {
    pub(super) model: ModelName,
    opening: Opening,
    max_tokens: u32,
    /// Whether the agent may ask others.
    talks: bool,
    /// What those are asked whose models are known.
    peers: Vec<Peer>,
    /// Tokens of the largest request; a later turn repeats what was said before it.
    context_tokens: u64,
    /// Model calls of one attempt.
    turns: u64,
    attempts: u64,
    /// None where only the run will know.
    pub(super) items: Option<u64>,
    /// Whether the step runs whenever the plan does.
    certain: bool,
    /// Whether the run fails where the step does: one that goes on needs no budget for it.
    must_succeed: bool,
}

impl Weight {
    /// By the names that agents use: `model`, `max_tokens`, `max_turns`, `tools`, `system`, `prompt` of
    /// their configuration. None where the model is not named.
    pub(super) fn of(asks: Asks<'_>, certain: bool) -> Option<Self> {
        let Asks {
            plan,
            step,
            member,
            inputs,
            ..
        } = asks;
        let config: Value = serde_json::from_str(&member.config).unwrap_or_default();
        let number = |name: &str| config.get(name).and_then(Value::as_u64);
        let model = config.get("model").and_then(Value::as_str)?.parse().ok()?;
        let max_tokens = number("max_tokens").and_then(|it| u32::try_from(it).ok());
        let chosen = config.get("tools").and_then(Value::as_array);
        let has_tools = !member.effective.grants.tools.call.is_empty()
            && chosen.is_none_or(|it| !it.is_empty());
        let turns = number("max_turns").unwrap_or(TURNS);
        // Without a turn that is left for their answers nobody is asked.
        let peers = config.get("peers").and_then(Value::as_array);
        let peers = peers.filter(|it| turns > 1 && !it.is_empty());
        let names = peers.into_iter().flatten().filter_map(Value::as_str);
        Some(Self {
            talks: peers.is_some(),
            peers: names.filter_map(|name| Peer::of(asks, name)).collect(),
            model,
            opening: Opening::of(asks),
            max_tokens: max_tokens.unwrap_or(ANSWER_TOKENS),
            context_tokens: number("context_tokens").unwrap_or(CONTEXT_TOKENS),
            turns: match has_tools || peers.is_some() {
                true => turns,
                false => 1,
            },
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

    /// With what those cost whom the agent asks.
    pub(super) fn weigh_all(&self, gateway: &Gateway) -> Option<Range> {
        let own = self.weigh(gateway)?;
        let mut likely = own.likely;
        for peer in &self.peers {
            likely.add(peer.answer(gateway).times(self.items.unwrap_or(1)));
        }
        Some(Range {
            likely,
            high: own.high.filter(|_| !self.talks),
            ..own
        })
    }

    /// What its own calls cost. None where the model has no price or cannot be asked.
    pub(super) fn weigh(&self, gateway: &Gateway) -> Option<Range> {
        let Opening { least, likely, .. } = &self.opening;
        let smallest = self.one_call(gateway, least, 1)?;
        let half = self.one_call(gateway, likely, self.max_tokens.div_ceil(2))?;
        let whole = self.one_call(gateway, likely, self.max_tokens)?;
        let largest = self.largest(whole, self.one_call(gateway, likely, 1)?);
        // What only the agent knows of its request is in it from the first call on.
        let largest = largest.most(self.one_first(gateway)?.enough);
        let calls = self.turns.saturating_mul(self.attempts);
        Some(Range {
            low: match (self.certain, self.items) {
                (true, Some(items)) => smallest.times(items),
                _ => Amount::default(),
            },
            // Where the number of items is not known, one of them is told of: nobody knows better.
            likely: half.times(self.turns.min(LIKELY_TURNS) * self.items.unwrap_or(1)),
            high: self
                .items
                .map(|items| largest.times(calls.saturating_mul(items))),
        })
    }

    /// What is held for the first model calls of a step that is certain to make them: prompt and longest answer of
    /// each, whatever comes of it.
    pub(super) fn first(&self, gateway: &Gateway) -> Option<First> {
        let must = self.certain && self.must_succeed;
        let items = self.items.filter(|items| must && *items > 0)?;
        let First { least, enough } = self.one_first(gateway)?;
        Some(First {
            least,
            enough: enough.times(items),
        })
    }

    /// What is held for one first model call, if the step makes any.
    pub(super) fn one_first(&self, gateway: &Gateway) -> Option<First> {
        let Opening { least, likely, .. } = &self.opening;
        let least = self.one_call(gateway, least, self.max_tokens)?;
        let likely = self.one_call(gateway, likely, self.max_tokens)?;
        let more = match self.opening.more {
            0 if self.would_keep_tools(least) => self.opening.tools,
            more => more,
        };
        // A token of what is not known is taken to cost what the call's tokens do on average; a word of the prompt is
        // not dearer than one of the answer.
        let micro_usd = u128::from(likely.micro_usd) * u128::from(more);
        let micro_usd = micro_usd.div_ceil(u128::from(likely.tokens.max(1)));
        let mut enough = likely;
        enough.add(Amount {
            tokens: more,
            micro_usd: u64::try_from(micro_usd).unwrap_or(u64::MAX),
        });
        Some(First {
            least,
            enough: enough.most(least),
        })
    }

    /// Whether `llm-agent` would think that `held` pays for two calls. Where it does not, it asks for its answer at once and
    /// leaves its tools out.
    fn would_keep_tools(&self, held: Amount) -> bool {
        let Sent { turns, schema } = &self.opening.least;
        let schema = schema.as_ref().map_or(0, |it| it.to_string().len());
        let bytes = turns.iter().map(|turn| turn.content.len()).sum::<usize>() + schema;
        let prompt = u64::try_from(bytes).unwrap_or(u64::MAX) / BYTES_PER_TOKEN;
        held.tokens >= 2 * prompt.saturating_add(u64::from(self.max_tokens))
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

    fn one_call(&self, gateway: &Gateway, sent: &Sent, answer_tokens: u32) -> Option<Amount> {
        call(gateway, &self.model, sent, answer_tokens)
    }
}

fn call(gateway: &Gateway, model: &ModelName, sent: &Sent, answer_tokens: u32) -> Option<Amount> {
    let prompt = Prompt {
        answer_schema: sent.schema.clone(),
        ..Prompt::new(model.clone(), sent.turns.clone(), answer_tokens)
    };
    let estimate = gateway.estimate(&prompt).ok()?;
    Some(Amount {
        tokens: estimate.tokens(),
        micro_usd: estimate.micro_usd,
    })
}
