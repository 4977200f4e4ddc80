//! Calls of models: what was asked, what was answered, by whom, for how much.
//!
//! A call has one or more tries (the next model of a fail-over list, or the same one again); each is
//! an intent and a result. What a refused call asked for stands among the decisions.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use flowhost_ledger::LentRecord;
use flowhost_ledger::records::lent::{ModelIntent, ModelResult};
use serde_json::Value as Json;

use super::stored::{Held, Shelf, plugin_of, short, text};
use super::{CALLS_MAX, GROUPS_MAX, PAYLOAD_CHARS_MAX, Shown, Steps, Stored};

/// Tries of which anything but the sums is kept while reading.
const KEPT_MAX: usize = 20_000;
/// Turns of one prompt that are shown: the first and the last.
const TURNS_MAX: usize = 40;

/// The calls of models in a run.
#[derive(Debug, Clone, Default)]
pub struct Models {
    /// The first of them, and those of which no try succeeded.
    pub listed: Shown<ModelCall>,
    /// All of them together.
    pub all: Sums,
    /// By path of the step, the dearest first.
    pub by_step: Shown<(String, Sums)>,
    /// By agent.
    pub by_agent: Shown<(String, Sums)>,
    /// By `provider/name`.
    pub by_model: Shown<(String, Sums)>,
}

/// What calls used together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sums {
    /// Tries, each a request to a provider.
    pub tries: u64,
    /// Tries that failed.
    pub failed: u64,
    /// Prompt tokens, cached ones included.
    pub prompt: u64,
    /// Prompt tokens that the provider had seen before.
    pub cached: u64,
    /// Completion tokens, reasoning included.
    pub completion: u64,
    /// Completion tokens that nobody reads.
    pub reasoning: u64,
    /// Millionths of a US dollar.
    pub micro_usd: u64,
    /// Milliseconds of waiting.
    pub duration_ms: u64,
    /// Tries whose tokens were estimated because the provider did not say.
    pub estimated: u64,
    /// Tries of which no record says how they ended: what they cost is not known.
    pub unknown: u64,
    /// Tokens that were held for those: the most that they can have used.
    pub held_tokens: u64,
    /// Millionths of a US dollar that were held for those.
    pub held_micro_usd: u64,
}

/// One call of a model.
#[derive(Debug, Clone, Default)]
pub struct ModelCall {
    /// Its number in the run.
    pub call: String,
    /// Who asked.
    pub agent: String,
    /// Path of the step.
    pub step: String,
    /// `complete` or `embed`.
    pub operation: String,
    /// The model that was asked for.
    pub asked: String,
    /// Version of the plan's prompt; empty for none.
    pub prompt_version: String,
    /// Keys and personal data that were taken out of the request.
    pub redacted: u64,
    /// What was asked, in the first try.
    pub request: Request,
    /// Its tries, in order.
    pub tries: Vec<Try>,
}

/// One request to a provider.
#[derive(Debug, Clone, Default)]
pub struct Try {
    /// The record of the intent.
    pub seq: u64,
    /// From 1.
    pub number: String,
    /// The model that was tried.
    pub model: String,
    /// `ok`, `error`, or `unfinished` when no record says.
    pub status: String,
    /// The class of the error; empty for none.
    pub class: String,
    /// The model that the provider says it was.
    pub answered_by: String,
    /// Why the answer ended.
    pub finish: String,
    /// What it used.
    pub sums: Sums,
    /// Milliseconds to the first token.
    pub first_token_ms: Option<u64>,
    /// When it began.
    pub start_us: u64,
    /// When its result was recorded.
    pub end_us: Option<u64>,
    /// The answer's text, or the error's message.
    pub answer: Stored,
    /// Calls of tools that the answer asks for, as `name arguments`.
    pub tool_calls: Vec<Stored>,
}

/// What a model was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Turns in order, and how many between the first and the last ones are not shown.
    Turns(Vec<Message>, usize),
    /// Something else, as it was stored, or why it cannot be shown.
    Other(Stored),
}

impl Default for Request {
    fn default() -> Self {
        Self::Other(Stored::None)
    }
}

/// One turn of a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// `system`, `user`, `assistant` or `tool`.
    pub speaker: String,
    /// What it says.
    pub content: Stored,
    /// Calls of tools that it asks for.
    pub tool_calls: Vec<Stored>,
}

impl ModelCall {
    /// All tries together.
    #[must_use]
    pub fn sums(&self) -> Sums {
        let mut sums = Sums::default();
        for attempt in &self.tries {
            sums.add(&attempt.sums);
        }
        sums
    }
}

#[derive(Default)]
pub(super) struct ModelsOf {
    calls: Vec<Building>,
    places: HashMap<String, usize>,
    intents: HashMap<u64, (usize, usize)>,
    /// Tries without a result so far, by their intent.
    open: BTreeMap<u64, Open>,
    tries: usize,
    total: u64,
    all: Sums,
    by_step: BTreeMap<String, Sums>,
    by_agent: BTreeMap<String, Sums>,
    by_model: BTreeMap<String, Sums>,
}

/// Whose a try is, and what is held for it.
struct Open {
    step: String,
    agent: String,
    model: String,
    held: Sums,
}

#[derive(Default)]
struct Building {
    call: ModelCall,
    request: Held,
    answers: Vec<Held>,
}

impl ModelsOf {
    /// A request is about to be made; a refused one stands among the decisions.
    pub(super) fn intent(&mut self, record: &LentRecord<'_>, intent: &ModelIntent<'_>, at_us: u64) {
        let of_try = &intent.of_try;
        let number = of_try.number(&intent.call_of);
        let number = number.map_or_else(String::new, |number| number.to_string());
        let id = format!("{} {number}", record.actor);
        let next = self.calls.len();
        // Beyond the bound no call is added, so that the next place says of none whether it is new.
        let (at, is_new) = match self.places.entry(id) {
            Entry::Occupied(known) => (*known.get(), false),
            Entry::Vacant(new) => (*new.insert(next), true),
        };
        if is_new {
            self.total = self.total.saturating_add(1);
        }
        let held = Sums::held(intent);
        // Before the bound on what is shown: what is held for a try without an outcome belongs to the sums, listed or not.
        if self.open.len() < KEPT_MAX {
            let open = Open {
                step: short(&intent.call_of.step),
                agent: plugin_of(record),
                model: text(of_try.model.as_ref()),
                held,
            };
            self.open.insert(record.seq, open);
        }
        if self.tries >= KEPT_MAX {
            return;
        }
        if is_new {
            self.calls.push(Building {
                call: ModelCall {
                    call: number,
                    agent: plugin_of(record),
                    step: short(&intent.call_of.step),
                    operation: text(of_try.operation.as_ref()),
                    asked: text(of_try.asked.as_ref()),
                    prompt_version: text(intent.prompt_version.as_ref()),
                    redacted: intent.redacted.unwrap_or(0),
                    ..ModelCall::default()
                },
                request: Held::of(record),
                answers: Vec::new(),
            });
        }
        // Of a call beyond those that a page has room for.
        let Some(building) = self.calls.get_mut(at) else {
            return;
        };
        self.intents
            .insert(record.seq, (at, building.call.tries.len()));
        building.answers.push(Held::default());
        building.call.tries.push(Try {
            seq: record.seq,
            number: of_try.r#try.map_or_else(String::new, |it| it.to_string()),
            model: text(of_try.model.as_ref()),
            status: "unfinished".to_owned(),
            sums: held,
            start_us: at_us,
            ..Try::default()
        });
        self.tries += 1;
    }

    pub(super) fn result(&mut self, record: &LentRecord<'_>, result: &ModelResult<'_>, at_us: u64) {
        let sums = Sums::of(result);
        let step = short(&result.call_of.step);
        let model = text(result.of_try.model.as_ref());
        self.count(&sums, step, plugin_of(record), model);
        if let Some(intent) = result.intent {
            self.open.remove(&intent);
        }
        let place = result.intent.and_then(|seq| self.intents.get(&seq));
        // Its beginning was left out, or stands in a part of the record that cannot be read; the sums have it.
        let Some((call, at)) = place.copied() else {
            return;
        };
        let Some(building) = self.calls.get_mut(call) else {
            debug_assert!(false, "a place is that of a call that was taken down");
            return;
        };
        if let (Some(attempt), Some(answer)) = (
            building.call.tries.get_mut(at),
            building.answers.get_mut(at),
        ) {
            attempt.status = short(&result.status);
            attempt.class = text(result.class.as_ref());
            attempt.answered_by = text(result.answered_by.as_ref());
            attempt.finish = text(result.finish.as_ref());
            attempt.sums = sums;
            attempt.first_token_ms = result.first_token_ms;
            attempt.end_us = Some(at_us);
            *answer = Held::of(record);
        }
    }

    fn count(&mut self, sums: &Sums, step: String, agent: String, model: String) {
        self.all.add(sums);
        for (map, key) in [
            (&mut self.by_step, step),
            (&mut self.by_agent, agent),
            (&mut self.by_model, model),
        ] {
            if map.len() < KEPT_MAX || map.contains_key(&key) {
                map.entry(key).or_default().add(sums);
            }
        }
    }

    pub(super) fn finish(mut self, shelf: &mut Shelf<'_>, steps: &Steps) -> Models {
        for open in std::mem::take(&mut self.open).into_values() {
            self.count(&open.held, open.step, open.agent, open.model);
        }
        let by_step = self.by_step.into_iter();
        let by_step = by_step.map(|(id, sums)| (steps.path(&id), sums));
        // Each has a room of its own: failures at the end of a long run would find none left.
        let (mut room, mut room_failed) = (CALLS_MAX, CALLS_MAX);
        let keep = |building: &Building| {
            let well = building.call.tries.iter().any(|it| it.status == "ok");
            let room = if well { &mut room } else { &mut room_failed };
            let has = *room > 0;
            *room = room.saturating_sub(1);
            has
        };
        let items = self.calls.into_iter().filter(keep).map(|building| {
            let Building {
                mut call,
                request: asked,
                answers,
            } = building;
            call.step = steps.path(&call.step);
            call.request = request(shelf, &asked);
            for (attempt, held) in call.tries.iter_mut().zip(&answers) {
                (attempt.answer, attempt.tool_calls) = answer(shelf, held);
            }
            call
        });
        Models {
            listed: Shown {
                items: items.collect(),
                total: self.total,
            },
            all: self.all,
            by_step: dearest(by_step.collect()),
            by_agent: dearest(self.by_agent.into_iter().collect()),
            by_model: dearest(self.by_model.into_iter().collect()),
        }
    }
}

impl Sums {
    /// What the provider counted, else what the host did.
    fn of(result: &ModelResult<'_>) -> Self {
        let prompt = result.prompt_tokens.or(result.counted_prompt_tokens);
        let completion = result
            .completion_tokens
            .or(result.counted_completion_tokens);
        Self {
            tries: 1,
            failed: u64::from(result.status != "ok"),
            prompt: prompt.unwrap_or(0),
            cached: result.cached_tokens.unwrap_or(0),
            completion: completion.unwrap_or(0),
            reasoning: result.reasoning_tokens.unwrap_or(0),
            micro_usd: result.micro_usd.unwrap_or(0),
            duration_ms: result.duration_ms.unwrap_or(0),
            estimated: u64::from(result.estimated == Some(true)),
            ..Self::default()
        }
    }

    /// What a try holds until its result is there.
    fn held(intent: &ModelIntent<'_>) -> Self {
        Self {
            tries: 1,
            unknown: 1,
            held_tokens: intent.reserved_tokens.unwrap_or(0),
            held_micro_usd: intent.reserved_micro_usd.unwrap_or(0),
            ..Self::default()
        }
    }

    fn add(&mut self, other: &Self) {
        for (sum, more) in [
            (&mut self.tries, other.tries),
            (&mut self.failed, other.failed),
            (&mut self.prompt, other.prompt),
            (&mut self.cached, other.cached),
            (&mut self.completion, other.completion),
            (&mut self.reasoning, other.reasoning),
            (&mut self.micro_usd, other.micro_usd),
            (&mut self.duration_ms, other.duration_ms),
            (&mut self.estimated, other.estimated),
            (&mut self.unknown, other.unknown),
            (&mut self.held_tokens, other.held_tokens),
            (&mut self.held_micro_usd, other.held_micro_usd),
        ] {
            *sum = sum.saturating_add(more);
        }
    }

    /// Prompt and completion tokens.
    #[must_use]
    pub const fn tokens(&self) -> u64 {
        self.prompt.saturating_add(self.completion)
    }
}

/// The dearest first, then those with the most tokens, then by name.
fn dearest(mut all: Vec<(String, Sums)>) -> Shown<(String, Sums)> {
    all.sort_by(|(a_name, a), (b_name, b)| {
        let by_cost = b.micro_usd.cmp(&a.micro_usd);
        let by_tokens = by_cost.then_with(|| b.tokens().cmp(&a.tokens()));
        by_tokens.then_with(|| a_name.cmp(b_name))
    });
    Shown::first(all, GROUPS_MAX)
}

fn request(shelf: &mut Shelf<'_>, held: &Held) -> Request {
    let text = match shelf.text(held) {
        Ok(text) => text,
        Err(stored) => return Request::Other(stored),
    };
    let parsed = serde_json::from_str::<Json>(&text).ok();
    let turns = parsed.as_ref().and_then(|all| all.get("turns")?.as_array());
    let Some(turns) = turns else {
        return Request::Other(shelf.cut(&text, PAYLOAD_CHARS_MAX));
    };
    let left_out = turns.len().saturating_sub(TURNS_MAX);
    let half = TURNS_MAX / 2;
    let (head, tail) = match left_out {
        0 => (turns.len(), turns.len()),
        _ => (half, turns.len() - half),
    };
    let shown = turns.iter().take(head).chain(turns.iter().skip(tail));
    Request::Turns(shown.map(|turn| message(shelf, turn)).collect(), left_out)
}

fn message(shelf: &mut Shelf<'_>, turn: &Json) -> Message {
    let said = |name: &str| turn.get(name).and_then(Json::as_str).unwrap_or_default();
    Message {
        speaker: short(said("speaker")),
        content: shelf.cut(said("content"), PAYLOAD_CHARS_MAX),
        tool_calls: tool_calls(shelf, turn),
    }
}

fn answer(shelf: &mut Shelf<'_>, held: &Held) -> (Stored, Vec<Stored>) {
    let text = match shelf.text(held) {
        Ok(text) => text,
        Err(stored) => return (stored, Vec::new()),
    };
    let parsed = serde_json::from_str::<Json>(&text).ok();
    let content = parsed.as_ref().and_then(|all| all.get("content")?.as_str());
    match (content, &parsed) {
        (Some(content), Some(all)) => {
            let content = shelf.cut(content, PAYLOAD_CHARS_MAX);
            (content, tool_calls(shelf, all))
        }
        _ => (shelf.cut(&text, PAYLOAD_CHARS_MAX), Vec::new()),
    }
}

/// `name arguments` of each; at most as many as there may be turns.
fn tool_calls(shelf: &mut Shelf<'_>, of: &Json) -> Vec<Stored> {
    let all = of.get("tool_calls").and_then(Json::as_array);
    let all = all.map(Vec::as_slice).unwrap_or_default().iter();
    let call = |call: &Json| {
        let text = |name: &str| match call.get(name) {
            Some(Json::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => String::new(),
        };
        let line = format!("{} {}", text("name"), text("arguments"));
        shelf.cut(&line, PAYLOAD_CHARS_MAX)
    };
    all.take(TURNS_MAX).map(call).collect()
}
