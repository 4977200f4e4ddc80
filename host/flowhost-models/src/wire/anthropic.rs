//! Anthropic messages.
//!
//! Source: Anthropic's API reference, version 2023-06-01. What differs from ours: instructions stand
//! beside the conversation; results of tools are the user's; turns of one speaker are joined; there
//! is no seed (it is left out); the temperature ends at 1. An answer's schema is the input of a tool that the
//! model must call, which is the documented way to get JSON from every model; a model that thinks, or a
//! server that lets no tool be demanded, is told to call it in the prompt.
//!
//! A model that thinks wants its thoughts back with the calls that followed them. They come in blocks with
//! a signature, are kept beside the call (`memory.rs`) and sent with it again; where one is not there any
//! more, the request asks for no thinking, which is then what the reference requires.

use serde_json::{Map, Value, json};

use crate::{
    answer::{Finish, Reported},
    backend::Raw,
    compat::{Feature, Features},
    config::CacheTtl,
    error::ErrorClass,
    fault::Fault,
    name::ModelName,
    progress::Progress,
    prompt::{Prompt, Speaker, ToolCall, Turn},
    settings::{THINKING_MIN, Thinking},
    sse::Event,
};

use super::{
    Decoder, Request, Shape,
    calls::Piece,
    classify,
    gather::{Ended, Gather},
    json,
    read::{list, number, odd, some, text, word},
    schema_told,
    tool_names::ToolNames,
};

/// The tool by which the model answers a schema.
const ANSWER_TOOL: &str = "flowhost_answer";
/// Where a schema that is not an object's stands in that tool's input.
const WRAPPED: &str = "answer";
/// Blocks of thinking of one answer; one or a few are usual.
const THOUGHTS_MAX: usize = 64;

pub(super) fn complete(
    model: &ModelName,
    prompt: &Prompt,
    shape: &Shape<'_>,
) -> Result<(Request, Box<dyn Decoder>), Fault> {
    if prompt.tools.iter().any(|tool| tool.name == ANSWER_TOOL) {
        let message = format!("a tool cannot be named {ANSWER_TOOL}: the answer's schema is");
        return Err(Fault::new(ErrorClass::Invalid, message, "rename the tool"));
    }
    let names = ToolNames::new(prompt);
    let mut asking = Asking {
        prompt,
        shape,
        names: &names,
        sent: Features::NONE,
    };
    let body = asking.body(model);
    let request = Request {
        path: "messages",
        body,
        sent: asking.sent,
    };
    let mut gather = Gather::new(prompt, names);
    if shape.left_out.has(Feature::Stop) {
        gather.stop_at(&prompt.stop);
    }
    let decoder = Messages {
        gather,
        answers: prompt.answer_schema.as_ref().map(wrapped),
        calls: Vec::new(),
        thoughts: Vec::new(),
        stopped: false,
    };
    Ok((request, Box::new(decoder)))
}

/// One request while it is written.
struct Asking<'a> {
    prompt: &'a Prompt,
    shape: &'a Shape<'a>,
    names: &'a ToolNames,
    sent: Features,
}

impl Asking<'_> {
    /// Whether to send an optional part; notes that it was.
    fn send(&mut self, feature: Feature) -> bool {
        let send = !self.shape.left_out.has(feature);
        if send {
            self.sent.add(feature);
        }
        send
    }

    fn body(&mut self, model: &ModelName) -> Value {
        let prompt = self.prompt;
        let thinking = self.thinking();
        let mut body = Map::new();
        let mut set = |key: &str, value: Value| body.insert(key.to_owned(), value);
        set("model", json!(model.name));
        set("max_tokens", json!(prompt.max_tokens));
        if self.send(Feature::Stream) {
            set("stream", json!(true));
        }
        // The API takes no temperature from a model that thinks.
        if let (Some(temperature), None) = (prompt.temperature, &thinking)
            && self.send(Feature::Temperature)
        {
            // The API refuses more; whoever asked for 2 wanted as much as there is.
            set("temperature", json!(temperature.min(1.0)));
        }
        if !prompt.stop.is_empty() && self.send(Feature::Stop) {
            set("stop_sequences", json!(prompt.stop));
        }
        // After `thinking`: a model that thinks takes no demand for a tool, and is told in the
        // prompt instead.
        let choice = self.choice(thinking.is_some());
        let told = prompt
            .answer_schema
            .as_ref()
            .filter(|_| choice.is_none())
            .map(|schema| {
                format!(
                    "{} Give it by calling the tool {ANSWER_TOOL}.",
                    schema_told(schema)
                )
            });
        let mut system = self.system(told);
        let mut tools = self.tools();
        let mut messages = self.messages(thinking.is_some());
        if let Some(ttl) = self.shape.settings.cache
            && self.send(Feature::Cache)
        {
            mark(tools.last_mut(), ttl);
            mark(system.last_mut(), ttl);
            mark(last_block(&mut messages), ttl);
            set("system", json!(system));
        } else if let [text] = system.as_slice() {
            set("system", text.get("text").cloned().unwrap_or_default());
        }
        if system.is_empty() {
            body.remove("system");
        }
        let mut set = |key: &str, value: Value| body.insert(key.to_owned(), value);
        set("messages", Value::Array(messages));
        if let Some(thinking) = thinking {
            set("thinking", thinking);
        }
        if let Some(choice) = choice {
            set("tool_choice", choice);
        }
        if !tools.is_empty() {
            set("tools", json!(tools));
        }
        Value::Object(body)
    }

    /// The demand for the answer's tool; none without a schema, and none that the API would refuse.
    fn choice(&mut self, thinks: bool) -> Option<Value> {
        self.prompt.answer_schema.as_ref()?;
        if thinks || !self.send(Feature::ToolChoice) {
            return None;
        }
        Some(match self.prompt.tools.is_empty() {
            true => json!({"type": "tool", "name": ANSWER_TOOL}),
            // With tools of the caller's, the model may still need one of them before it answers.
            false => json!({"type": "any"}),
        })
    }

    /// How the model is asked to think: not where the answer would have no room beside it, and not where
    /// the thoughts before a call are gone.
    fn thinking(&mut self) -> Option<Value> {
        let wanted = self.shape.settings.thinking?;
        // The API counts thoughts as output: half of the limit is left for the answer itself.
        let room = self.prompt.max_tokens / 2;
        let turns = self.prompt.turns.iter();
        let mut calls = turns.filter(|turn| !turn.tool_calls.is_empty());
        let remembered = calls.all(|turn| self.thoughts(turn).is_some());
        if room < THINKING_MIN || !remembered || !self.send(Feature::Thinking) {
            return None;
        }
        Some(match wanted {
            Thinking::Adaptive => json!({"type": "adaptive"}),
            Thinking::Tokens(tokens) => {
                json!({"type": "enabled", "budget_tokens": tokens.min(room)})
            }
        })
    }

    /// The blocks of thinking that led to the calls of a turn.
    fn thoughts(&self, turn: &Turn) -> Option<Vec<Value>> {
        let kept = (self.shape.kept)(&turn.tool_calls.first()?.id)?;
        kept.as_array().cloned()
    }

    fn system(&self, told: Option<String>) -> Vec<Value> {
        let turns = self.prompt.turns.iter();
        let instructions = turns
            .filter(|turn| turn.speaker == Speaker::System && !turn.content.is_empty())
            .map(|turn| turn.content.as_str());
        let all: Vec<&str> = instructions.chain(told.as_deref()).collect();
        if all.is_empty() {
            return Vec::new();
        }
        vec![json!({"type": "text", "text": all.join("\n\n")})]
    }

    fn tools(&self) -> Vec<Value> {
        let tool = |tool: &crate::prompt::ToolSpec| {
            json!({
                "name": self.names.wire(&tool.name),
                "description": tool.description,
                "input_schema": tool.input_schema,
            })
        };
        let answer = self.prompt.answer_schema.as_ref().map(answer_tool);
        self.prompt.tools.iter().map(tool).chain(answer).collect()
    }

    /// The conversation: turns of one speaker joined, empty ones left out.
    fn messages(&self, thinks: bool) -> Vec<Value> {
        let mut messages: Vec<(&str, Vec<Value>)> = Vec::new();
        for turn in &self.prompt.turns {
            let role = match turn.speaker {
                Speaker::System => continue,
                Speaker::User | Speaker::Tool => "user",
                Speaker::Assistant => "assistant",
            };
            let thoughts = self.thoughts(turn).filter(|_| thinks);
            let mut blocks = thoughts.unwrap_or_default();
            blocks.extend(said(turn, self.names));
            match messages.last_mut() {
                Some((last, before)) if *last == role => before.extend(blocks),
                // A message without content is refused.
                _ if blocks.is_empty() => {}
                _ => messages.push((role, blocks)),
            }
        }
        if let Some(("assistant", blocks)) = messages.last_mut().map(|(role, it)| (*role, it)) {
            trim_last(blocks);
        }
        let message = |(role, content)| json!({"role": role, "content": content});
        messages.into_iter().map(message).collect()
    }
}

/// Marks the end of what the provider may keep in its cache.
fn mark(block: Option<&mut Value>, ttl: CacheTtl) {
    if let Some(block) = block.and_then(Value::as_object_mut) {
        let mark = match ttl {
            CacheTtl::FiveMinutes => json!({"type": "ephemeral"}),
            CacheTtl::Hour => json!({"type": "ephemeral", "ttl": "1h"}),
        };
        block.insert("cache_control".to_owned(), mark);
    }
}

/// The end of the conversation, so that the next turn finds all of it in the cache.
fn last_block(messages: &mut [Value]) -> Option<&mut Value> {
    let content = messages.last_mut()?.get_mut("content")?;
    content.as_array_mut()?.last_mut()
}

fn answer_tool(schema: &Value) -> Value {
    let input = if wrapped(schema) {
        json!({"type": "object", "properties": {WRAPPED: schema}, "required": [WRAPPED]})
    } else {
        schema.clone()
    };
    json!({
        "name": ANSWER_TOOL,
        "description": "Gives the final answer. Call it once, when nothing else is left to do.",
        "input_schema": input,
    })
}

/// A tool's input is an object; any other schema needs one around it.
fn wrapped(schema: &Value) -> bool {
    schema.get("type") != Some(&json!("object"))
}

/// A conversation must not end with blanks of the assistant.
fn trim_last(blocks: &mut [Value]) {
    if let Some(text) = blocks.last_mut().and_then(|block| block.get_mut("text"))
        && let Some(trimmed) = text.as_str().map(|it| it.trim_end().to_owned())
        && !trimmed.is_empty()
    {
        *text = json!(trimmed);
    }
}

fn said(turn: &Turn, names: &ToolNames) -> Vec<Value> {
    if turn.speaker == Speaker::Tool {
        let id = wire_id(&turn.answers);
        return vec![json!({"type": "tool_result", "tool_use_id": id, "content": turn.content})];
    }
    let text =
        (!turn.content.trim().is_empty()).then(|| json!({"type": "text", "text": turn.content}));
    let calls = turn.tool_calls.iter().map(|call| {
        let name = names.wire(&call.name);
        json!({"type": "tool_use", "id": wire_id(&call.id), "name": name, "input": input(call)})
    });
    text.into_iter().chain(calls).collect()
}

/// Arguments must be an object here; what a model wrote instead is kept as its text.
fn input(call: &ToolCall) -> Value {
    match serde_json::from_str::<Value>(&call.arguments) {
        Ok(Value::Object(object)) => Value::Object(object),
        _ => json!({"arguments": call.arguments}),
    }
}

/// Ids of other providers hold characters that this one refuses.
fn wire_id(id: &str) -> String {
    let keep = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    id.chars().map(|c| if keep(c) { c } else { '_' }).collect()
}

struct Messages {
    gather: Gather,
    /// Whether the answer comes as a tool call, and whether it is wrapped.
    answers: Option<bool>,
    /// The server's indexes of blocks that are tool calls.
    calls: Vec<u64>,
    /// Blocks of thinking with the server's index, as they are sent back.
    thoughts: Vec<(u64, Value)>,
    stopped: bool,
}

impl Decoder for Messages {
    fn event(&mut self, event: &Event, progress: &mut Progress) -> Result<(), Fault> {
        let value = json(event)?;
        match text(&value, "type").unwrap_or(&event.name) {
            "message_start" => {
                let message = value.get("message").unwrap_or(&Value::Null);
                self.gather.answered_by(word(message, "model"));
                count(message.get("usage"), progress);
            }
            "content_block_start" => {
                let block = value.get("content_block").unwrap_or(&Value::Null);
                // Not 0, which is a block of its own: pieces without an index belong to the last
                // block without one.
                let index = number(&value, "index").unwrap_or(u64::MAX);
                self.start(index, block, progress)?;
            }
            "content_block_delta" => self.delta(&value, progress)?,
            "message_delta" => {
                let delta = value.get("delta").unwrap_or(&Value::Null);
                self.stop_reason(delta);
                count(value.get("usage"), progress);
            }
            "message_stop" => self.stopped = true,
            "error" => return Err(classify::in_answer(&value)),
            _ if some(&value, "error").is_some() => return Err(classify::in_answer(&value)),
            // `ping`, the end of a block, and what later versions add.
            _ => {}
        }
        Ok(())
    }

    fn ended(&self) -> bool {
        self.stopped
    }

    fn body(&mut self, body: &Value, progress: &mut Progress) -> Result<(), Fault> {
        if !body.get("content").is_some_and(Value::is_array) {
            return Err(odd("the provider's answer has no `content`"));
        }
        self.gather.answered_by(word(body, "model"));
        for (index, block) in (0_u64..).zip(list(body, "content")) {
            self.start(index, block, progress)?;
        }
        self.stop_reason(body);
        count(body.get("usage"), progress);
        Ok(())
    }

    fn finish(self: Box<Self>, mut ended: Ended, progress: &mut Progress) -> Result<Raw, Fault> {
        let mut gather = self.gather;
        ended.said |= self.stopped;
        if let Some(wrapped) = self.answers
            && let Some(call) = gather.take_call(ANSWER_TOOL)
        {
            gather.set_content(answer(&call.arguments, wrapped));
        }
        // Also none: that a model has called without a thought is worth knowing.
        let thoughts = self.thoughts.into_iter().map(|(_, block)| block);
        gather.keep(0, thoughts.collect());
        gather.finished(ended, progress)
    }
}

/// The answer in the tool's input, without what we wrapped around it. An input that is not whole is
/// given as it came: the finish says that it was cut.
fn answer(arguments: &str, wrapped: bool) -> String {
    let value = serde_json::from_str::<Value>(arguments);
    match value {
        Ok(Value::Object(mut object)) if wrapped => match object.remove(WRAPPED) {
            Some(answer) => answer.to_string(),
            None => arguments.to_owned(),
        },
        _ => arguments.to_owned(),
    }
}

impl Messages {
    /// A block begins; in a body it is whole.
    fn start(&mut self, index: u64, block: &Value, progress: &mut Progress) -> Result<(), Fault> {
        let piece = |key: &str| text(block, key).unwrap_or_default();
        match text(block, "type") {
            Some("tool_use") => {
                let input = some(block, "input").filter(|it| **it != json!({}));
                let input = input.map(Value::to_string).unwrap_or_default();
                let call = Piece {
                    index: Some(index),
                    id: piece("id"),
                    name: piece("name"),
                    arguments: &input,
                };
                // Beside `gather`'s own: input of a block that never began as a tool would else be
                // added to another call, or begin one without a name.
                self.calls.push(index);
                self.gather.begin_call(call, progress).map(drop)
            }
            Some("text") => self.gather.content(piece("text"), progress),
            Some("thinking" | "redacted_thinking") => {
                self.gather.silent(piece("thinking"), progress)?;
                if self.thoughts.len() < THOUGHTS_MAX {
                    self.thoughts.push((index, block.clone()));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn delta(&mut self, value: &Value, progress: &mut Progress) -> Result<(), Fault> {
        let delta = value.get("delta").unwrap_or(&Value::Null);
        let index = number(value, "index").unwrap_or(u64::MAX);
        let piece = |key: &str| text(delta, key).unwrap_or_default();
        match text(delta, "type") {
            Some("text_delta") => self.gather.content(piece("text"), progress),
            Some("thinking_delta") => {
                self.gather.silent(piece("thinking"), progress)?;
                self.think(index, "thinking", piece("thinking"));
                Ok(())
            }
            Some("signature_delta") => {
                self.think(index, "signature", piece("signature"));
                Ok(())
            }
            Some("input_json_delta") => {
                if !self.calls.contains(&index) {
                    return Err(odd("a tool's input came before its tool"));
                }
                let piece = Piece {
                    index: Some(index),
                    arguments: piece("partial_json"),
                    ..Piece::default()
                };
                self.gather.call(piece, progress).map(drop)
            }
            _ => Ok(()),
        }
    }

    fn think(&mut self, index: u64, key: &str, piece: &str) {
        let block = self.thoughts.iter_mut().rfind(|(at, _)| *at == index);
        // A piece of a block that never began: thoughts are kept to be handed back whole, or not at all.
        let Some((_, Value::Object(block))) = block else {
            return;
        };
        match block.get_mut(key) {
            Some(Value::String(text)) => text.push_str(piece),
            _ => drop(block.insert(key.to_owned(), json!(piece))),
        }
    }

    fn stop_reason(&mut self, value: &Value) {
        if let Some(reason) = word(value, "stop_reason") {
            self.gather.ends(finish(reason));
        }
    }
}

/// Counts are cumulative: a later word replaces an earlier one. What went in stands in three fields, of
/// which two are missing when nothing was cached.
fn count(usage: Option<&Value>, progress: &mut Progress) {
    // Not every event of the stream carries counts.
    let Some(usage) = usage else {
        return;
    };
    let read = number(usage, "cache_read_input_tokens");
    let written = number(usage, "cache_creation_input_tokens");
    let input = number(usage, "input_tokens").map(|input| {
        let cached = read.unwrap_or(0).saturating_add(written.unwrap_or(0));
        input.saturating_add(cached)
    });
    progress.reported_so_far(Reported {
        prompt_tokens: input,
        // Parts of a whole that is not told mean nothing.
        cached_tokens: read.filter(|_| input.is_some()),
        cache_write_tokens: written.filter(|_| input.is_some()),
        completion_tokens: number(usage, "output_tokens"),
        reasoning_tokens: usage
            .get("output_tokens_details")
            .and_then(|it| number(it, "thinking_tokens")),
    });
}

/// An unknown reason is taken as `length`: the answer may not be whole.
fn finish(reason: &str) -> Finish {
    match reason {
        "end_turn" | "stop_sequence" => Finish::Stop,
        "tool_use" => Finish::ToolCalls,
        "refusal" => Finish::ContentFilter,
        _ => Finish::Length,
    }
}

#[cfg(test)]
mod tests;
