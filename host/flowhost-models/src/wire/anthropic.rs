//! Anthropic messages.
//!
//! Source: Anthropic's API reference, version 2023-06-01. What differs from ours: instructions stand
//! beside the conversation; results of tools are the user's; turns of one speaker are joined; there
//! is no seed (it is left out); the temperature ends at 1. An answer's schema is the input of a tool that the
//! model must call, which is the documented way to get JSON from every model.

use serde_json::{Map, Value, json};

use crate::{
    answer::{Finish, Usage},
    backend::Raw,
    error::ErrorClass,
    fault::Fault,
    name::ModelName,
    progress::Progress,
    prompt::{Prompt, Speaker, ToolCall, Turn},
    sse::Event,
};

use super::{
    Decoder, Request,
    classify::{Refusal, classify},
    gather::Gather,
    json, list, number, odd, text,
    tool_names::ToolNames,
};

/// The tool by which the model answers a schema.
const ANSWER_TOOL: &str = "flowhost_answer";
/// Where a schema that is no object's stands in that tool's input.
const WRAPPED: &str = "answer";

pub(super) fn complete(
    model: &ModelName,
    prompt: &Prompt,
) -> Result<(Request, Box<dyn Decoder>), Fault> {
    if prompt.tools.iter().any(|tool| tool.name == ANSWER_TOOL) {
        let message = format!("a tool cannot be named {ANSWER_TOOL}: the answer's schema is");
        return Err(Fault::new(ErrorClass::Invalid, message, "rename the tool"));
    }
    let names = ToolNames::new(prompt);
    let request = Request {
        path: "messages",
        body: body(model, prompt, &names),
    };
    let decoder = Messages {
        gather: Gather::new(prompt.max_tokens, names),
        answers: prompt.answer_schema.as_ref().map(wrapped),
        blocks: Vec::new(),
        usage: Usage::default(),
        counted: false,
        stopped: false,
    };
    Ok((request, Box::new(decoder)))
}

fn body(model: &ModelName, prompt: &Prompt, names: &ToolNames) -> Value {
    let mut body = Map::new();
    let mut set = |key: &str, value: Value| body.insert(key.to_owned(), value);
    set("model", json!(model.name));
    set("max_tokens", json!(prompt.max_tokens));
    set("messages", messages(prompt, names));
    set("stream", json!(true));
    let instructions: Vec<&str> = prompt
        .turns
        .iter()
        .filter(|turn| turn.speaker == Speaker::System && !turn.content.is_empty())
        .map(|turn| turn.content.as_str())
        .collect();
    if !instructions.is_empty() {
        set("system", json!(instructions.join("\n\n")));
    }
    if let Some(temperature) = prompt.temperature {
        set("temperature", json!(temperature.min(1.0)));
    }
    if !prompt.stop.is_empty() {
        set("stop_sequences", json!(prompt.stop));
    }
    let mut tools: Vec<Value> = prompt
        .tools
        .iter()
        .map(|tool| {
            json!({
                "name": names.wire(&tool.name),
                "description": tool.description,
                "input_schema": tool.input_schema,
            })
        })
        .collect();
    if let Some(schema) = &prompt.answer_schema {
        let choice = match tools.is_empty() {
            true => json!({"type": "tool", "name": ANSWER_TOOL}),
            false => json!({"type": "any"}),
        };
        set("tool_choice", choice);
        tools.push(answer_tool(schema));
    }
    if !tools.is_empty() {
        set("tools", json!(tools));
    }
    Value::Object(body)
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

/// The conversation: turns of one speaker joined, empty ones left out.
fn messages(prompt: &Prompt, names: &ToolNames) -> Value {
    let mut messages: Vec<(&str, Vec<Value>)> = Vec::new();
    for turn in &prompt.turns {
        let role = match turn.speaker {
            Speaker::System => continue,
            Speaker::User | Speaker::Tool => "user",
            Speaker::Assistant => "assistant",
        };
        let blocks = blocks(turn, names);
        match messages.last_mut() {
            Some((last, before)) if *last == role => before.extend(blocks),
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

/// A conversation must not end with blanks of the assistant.
fn trim_last(blocks: &mut [Value]) {
    if let Some(text) = blocks.last_mut().and_then(|block| block.get_mut("text"))
        && let Some(trimmed) = text.as_str().map(|it| it.trim_end().to_owned())
        && !trimmed.is_empty()
    {
        *text = json!(trimmed);
    }
}

fn blocks(turn: &Turn, names: &ToolNames) -> Vec<Value> {
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
    /// Blocks of the stream that are tool calls: the server's index and our place.
    blocks: Vec<(u64, usize)>,
    usage: Usage,
    counted: bool,
    stopped: bool,
}

impl Decoder for Messages {
    fn event(&mut self, event: &Event, progress: &mut Progress) -> Result<(), Fault> {
        let value = json(event)?;
        match text(&value, "type").unwrap_or(&event.name) {
            "message_start" => {
                let message = value.get("message").unwrap_or(&Value::Null);
                self.gather.answered_by(text(message, "model"));
                self.count(message.get("usage"), progress);
            }
            "content_block_start" => self.start(&value, progress)?,
            "content_block_delta" => self.delta(&value, progress)?,
            "message_delta" => {
                let delta = value.get("delta").unwrap_or(&Value::Null);
                self.stop_reason(delta);
                self.count(value.get("usage"), progress);
            }
            "message_stop" => self.stopped = true,
            "error" => {
                return Err(classify(&Refusal {
                    body: event.data.clone().into_bytes(),
                    ..Refusal::default()
                }));
            }
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
        self.gather.answered_by(text(body, "model"));
        for block in list(body, "content") {
            match text(block, "type") {
                Some("text") => {
                    let piece = text(block, "text").unwrap_or_default();
                    self.gather.content(piece, progress)?;
                }
                Some("tool_use") => {
                    let at = self.call(block, progress)?;
                    let input = block.get("input").unwrap_or(&Value::Null);
                    self.gather.arguments(at, &input.to_string(), progress)?;
                }
                _ => {}
            }
        }
        self.stop_reason(body);
        self.count(body.get("usage"), progress);
        Ok(())
    }

    fn finish(self: Box<Self>, progress: &mut Progress) -> Result<Raw, Fault> {
        let mut gather = self.gather;
        if self.counted && gather.finish.is_some() {
            progress.reported(self.usage);
        }
        if let Some(wrapped) = self.answers
            && let Some(call) = gather.take_call(ANSWER_TOOL)
        {
            gather.set_content(answer(&call.arguments, wrapped));
        }
        gather.finished()
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
    fn start(&mut self, value: &Value, progress: &mut Progress) -> Result<(), Fault> {
        let block = value.get("content_block").unwrap_or(&Value::Null);
        match text(block, "type") {
            Some("tool_use") => {
                let at = self.call(block, progress)?;
                let index = number(value, "index").unwrap_or(u64::MAX);
                self.blocks.push((index, at));
                Ok(())
            }
            Some("text") => {
                let piece = text(block, "text").unwrap_or_default();
                self.gather.content(piece, progress)
            }
            _ => Ok(()),
        }
    }

    fn call(&mut self, block: &Value, progress: &mut Progress) -> Result<usize, Fault> {
        self.gather
            .call(text(block, "id"), text(block, "name"), progress)
    }

    fn delta(&mut self, value: &Value, progress: &mut Progress) -> Result<(), Fault> {
        let delta = value.get("delta").unwrap_or(&Value::Null);
        let piece = |key: &str| text(delta, key).unwrap_or_default();
        match text(delta, "type") {
            Some("text_delta") => self.gather.content(piece("text"), progress),
            Some("thinking_delta") => self.gather.silent(piece("thinking"), progress),
            Some("input_json_delta") => {
                let index = number(value, "index").unwrap_or(u64::MAX);
                let block = self.blocks.iter().rfind(|(place, _)| *place == index);
                let Some((_, at)) = block else {
                    return Err(odd("a tool's input came before its tool"));
                };
                self.gather.arguments(*at, piece("partial_json"), progress)
            }
            _ => Ok(()),
        }
    }

    fn stop_reason(&mut self, value: &Value) {
        if let Some(reason) = text(value, "stop_reason") {
            self.gather.finish = Some(finish(reason));
        }
    }

    /// Counts are cumulative: a later word replaces an earlier one. What went in stands in three
    /// fields, of which two are missing when nothing was cached.
    fn count(&mut self, usage: Option<&Value>, progress: &mut Progress) {
        let Some(usage) = usage else {
            return;
        };
        if let Some(input) = number(usage, "input_tokens") {
            let read = number(usage, "cache_read_input_tokens").unwrap_or(0);
            let written = number(usage, "cache_creation_input_tokens").unwrap_or(0);
            self.usage.cached_tokens = read;
            self.usage.prompt_tokens = input.saturating_add(read).saturating_add(written);
            self.counted = true;
        }
        if let Some(output) = number(usage, "output_tokens") {
            self.usage.completion_tokens = output;
        }
        if self.counted {
            progress.reported_so_far(self.usage);
        }
    }
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
#[path = "anthropic_tests.rs"]
mod tests;
