//! Chat completions and embeddings as OpenAI defines them, and as vLLM, TGI and Ollama speak them.
//!
//! Source: OpenAI's API reference. Where servers differ, the reading is the wider one: a missing index
//! or id of a tool call, a stream without `[DONE]`, a body instead of a stream, usage in every event
//! (each replaces the one before) or in none.

use serde_json::{Map, Value, json};

use crate::{
    answer::{Finish, Usage},
    backend::Raw,
    config::OutputLimit,
    fault::Fault,
    name::ModelName,
    progress::Progress,
    prompt::{Prompt, Speaker, Turn},
    sse::Event,
};

use super::{
    Decoder, Request,
    classify::{Refusal, classify},
    gather::Gather,
    json, list, number, odd, text,
    tool_names::ToolNames,
};

/// Integers that every JSON reader keeps.
const SEED_MASK: u64 = (1 << 53) - 1;
/// Numbers of one vector: four times the longest in use.
const DIMENSIONS_MAX: usize = 16_384;

pub(super) fn complete(
    model: &ModelName,
    prompt: &Prompt,
    limit: OutputLimit,
) -> (Request, Box<dyn Decoder>) {
    let names = ToolNames::new(prompt);
    let request = Request {
        path: "chat/completions",
        body: body(model, prompt, limit, &names),
    };
    let decoder = Chat {
        gather: Gather::new(prompt.max_tokens, names),
        places: Vec::new(),
        usage: None,
        done: false,
        refused: false,
    };
    (request, Box::new(decoder))
}

fn body(model: &ModelName, prompt: &Prompt, limit: OutputLimit, names: &ToolNames) -> Value {
    let mut body = Map::new();
    let mut set = |key: &str, value: Value| body.insert(key.to_owned(), value);
    set("model", json!(model.name));
    let messages = prompt.turns.iter().map(|turn| message(turn, names));
    set("messages", messages.collect());
    set("stream", json!(true));
    set("stream_options", json!({"include_usage": true}));
    let field = match limit {
        OutputLimit::MaxTokens => "max_tokens",
        OutputLimit::MaxCompletionTokens => "max_completion_tokens",
    };
    set(field, json!(prompt.max_tokens));
    if let Some(temperature) = prompt.temperature {
        set("temperature", json!(temperature));
    }
    if let Some(seed) = prompt.seed {
        set("seed", json!(seed & SEED_MASK));
    }
    if !prompt.stop.is_empty() {
        set("stop", json!(prompt.stop));
    }
    if !prompt.tools.is_empty() {
        let tools = prompt.tools.iter().map(|tool| {
            let function = json!({
                "name": names.wire(&tool.name),
                "description": tool.description,
                "parameters": tool.input_schema,
            });
            json!({"type": "function", "function": function})
        });
        set("tools", tools.collect());
    }
    if let Some(schema) = &prompt.answer_schema {
        let format = json!({"name": "answer", "schema": schema, "strict": is_strict(schema)});
        set(
            "response_format",
            json!({"type": "json_schema", "json_schema": format}),
        );
    }
    Value::Object(body)
}

fn message(turn: &Turn, names: &ToolNames) -> Value {
    let role = turn.speaker.as_str();
    if turn.speaker == Speaker::Tool {
        return json!({"role": role, "tool_call_id": turn.answers, "content": turn.content});
    }
    if turn.tool_calls.is_empty() {
        return json!({"role": role, "content": turn.content});
    }
    let content = match turn.content.as_str() {
        "" => Value::Null,
        content => json!(content),
    };
    let calls = turn.tool_calls.iter().map(|call| {
        let function = json!({"name": names.wire(&call.name), "arguments": call.arguments});
        json!({"id": call.id, "type": "function", "function": function})
    });
    json!({"role": role, "content": content, "tool_calls": calls.collect::<Value>()})
}

/// Whether a schema is of the subset that OpenAI guarantees: every object closed, every property
/// required, plain keywords only. Any other is asked for without `strict`, which would be refused.
fn is_strict(schema: &Value) -> bool {
    const PLAIN: [&str; 9] = [
        "type",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "enum",
        "const",
        "description",
        "title",
    ];
    let Some(map) = schema.as_object() else {
        return false;
    };
    if !map.keys().all(|key| PLAIN.contains(&key.as_str())) {
        return false;
    }
    let properties = map.get("properties").and_then(Value::as_object);
    let required = list(schema, "required");
    let closed = map.get("type") != Some(&json!("object"))
        || (map.get("additionalProperties") == Some(&json!(false))
            && properties.is_some_and(|properties| {
                properties
                    .keys()
                    .all(|name| required.contains(&json!(name)))
            }));
    closed
        && properties.is_none_or(|properties| properties.values().all(is_strict))
        && map.get("items").is_none_or(is_strict)
}

struct Chat {
    gather: Gather,
    /// The server's index of each call, by our place.
    places: Vec<u64>,
    usage: Option<Usage>,
    done: bool,
    refused: bool,
}

impl Decoder for Chat {
    fn event(&mut self, event: &Event, progress: &mut Progress) -> Result<(), Fault> {
        if event.data.trim() == "[DONE]" {
            self.done = true;
            return Ok(());
        }
        let chunk = json(event)?;
        if chunk.get("error").is_some_and(|error| !error.is_null()) {
            return Err(classify(&Refusal {
                body: event.data.clone().into_bytes(),
                ..Refusal::default()
            }));
        }
        self.chunk(&chunk, "delta", progress)
    }

    fn ended(&self) -> bool {
        self.done
    }

    fn body(&mut self, body: &Value, progress: &mut Progress) -> Result<(), Fault> {
        if list(body, "choices").is_empty() {
            return Err(odd("the provider's answer has no `choices`"));
        }
        self.chunk(body, "message", progress)
    }

    fn finish(self: Box<Self>, progress: &mut Progress) -> Result<Raw, Fault> {
        let mut gather = self.gather;
        if self.refused && gather.finish.is_some() {
            gather.finish = Some(Finish::ContentFilter);
        }
        if let (Some(usage), Some(_)) = (self.usage, gather.finish) {
            progress.reported(usage);
        }
        gather.finished()
    }
}

impl Chat {
    /// A piece of a stream, or a whole body: both hold a message, under another name.
    fn chunk(&mut self, chunk: &Value, part: &str, progress: &mut Progress) -> Result<(), Fault> {
        self.gather.answered_by(text(chunk, "model"));
        if let Some(usage) = chunk.get("usage").and_then(usage) {
            self.usage = Some(usage);
            progress.reported_so_far(usage);
        }
        // One answer was asked for; others would be counted and never read.
        let Some(choice) = list(chunk, "choices").first() else {
            return Ok(());
        };
        if let Some(message) = choice.get(part) {
            self.message(message, progress)?;
        }
        if let Some(reason) = text(choice, "finish_reason") {
            self.gather.finish = Some(finish(reason));
        }
        Ok(())
    }

    fn message(&mut self, message: &Value, progress: &mut Progress) -> Result<(), Fault> {
        self.gather
            .content(text(message, "content").unwrap_or_default(), progress)?;
        if let Some(refusal) = text(message, "refusal").filter(|it| !it.is_empty()) {
            self.refused = true;
            self.gather.content(refusal, progress)?;
        }
        for key in ["reasoning_content", "reasoning"] {
            self.gather
                .silent(text(message, key).unwrap_or_default(), progress)?;
        }
        for call in list(message, "tool_calls") {
            self.call(call, progress)?;
        }
        Ok(())
    }

    fn call(&mut self, call: &Value, progress: &mut Progress) -> Result<(), Fault> {
        let id = text(call, "id").filter(|id| !id.is_empty());
        let function = call.get("function").unwrap_or(&Value::Null);
        let name = text(function, "name");
        let known = self.place(number(call, "index"), id, name);
        let at = match known {
            Some(at) => {
                self.gather.describe(at, id, name, progress)?;
                at
            }
            None => {
                let at = self.gather.call(id, name, progress)?;
                self.places.push(number(call, "index").unwrap_or(u64::MAX));
                at
            }
        };
        match function.get("arguments") {
            // Ollama's older versions send an object where OpenAI sends its text.
            Some(Value::Object(object)) => {
                let arguments = Value::Object(object.clone()).to_string();
                self.gather.arguments(at, &arguments, progress)
            }
            Some(Value::String(piece)) => self.gather.arguments(at, piece, progress),
            _ => Ok(()),
        }
    }

    /// Which call a piece belongs to: by index, else by id, else the one before when it brings no name.
    fn place(&self, index: Option<u64>, id: Option<&str>, name: Option<&str>) -> Option<usize> {
        let calls = self.gather.calls();
        let by_id = |id: &str| calls.iter().position(|call| call.id == id);
        match (index, id) {
            (Some(index), id) => {
                let at = self.places.iter().rposition(|place| *place == index)?;
                // Some servers give every call the index 0 and tell them apart by id.
                let other = |id: &str| {
                    calls
                        .get(at)
                        .is_some_and(|it| !it.id.is_empty() && it.id != id)
                };
                if id.is_some_and(other) {
                    id.and_then(by_id)
                } else {
                    Some(at)
                }
            }
            (None, Some(id)) => by_id(id),
            (None, None) if name.is_some() => None,
            (None, None) => calls.len().checked_sub(1),
        }
    }
}

/// An unknown reason is taken as `length`: the answer may not be whole.
fn finish(reason: &str) -> Finish {
    match reason {
        "stop" | "eos_token" | "stop_sequence" | "eos" => Finish::Stop,
        "tool_calls" | "function_call" => Finish::ToolCalls,
        "content_filter" => Finish::ContentFilter,
        _ => Finish::Length,
    }
}

fn usage(value: &Value) -> Option<Usage> {
    let detail = |group: &str, key: &str| value.get(group).and_then(|it| number(it, key));
    Some(Usage {
        prompt_tokens: number(value, "prompt_tokens")?,
        cached_tokens: detail("prompt_tokens_details", "cached_tokens").unwrap_or(0),
        completion_tokens: number(value, "completion_tokens").unwrap_or(0),
        reasoning_tokens: detail("completion_tokens_details", "reasoning_tokens").unwrap_or(0),
    })
}

pub(super) fn embed(model: &ModelName, texts: &[String]) -> (Request, Box<dyn Decoder>) {
    let request = Request {
        path: "embeddings",
        body: json!({"model": model.name, "input": texts, "encoding_format": "float"}),
    };
    let decoder = Embed {
        wanted: texts.len(),
        vectors: Vec::new(),
        answered_by: String::new(),
    };
    (request, Box::new(decoder))
}

struct Embed {
    wanted: usize,
    vectors: Vec<Vec<f64>>,
    answered_by: String,
}

impl Decoder for Embed {
    fn event(&mut self, _: &Event, _: &mut Progress) -> Result<(), Fault> {
        Err(odd(
            "the provider streamed an answer that cannot be streamed",
        ))
    }

    fn ended(&self) -> bool {
        false
    }

    fn body(&mut self, body: &Value, progress: &mut Progress) -> Result<(), Fault> {
        if let Some(usage) = body.get("usage").and_then(usage) {
            progress.reported(usage);
        }
        let mut found: Vec<(u64, Vec<f64>)> = Vec::new();
        for (place, item) in (0_u64..).zip(list(body, "data")) {
            let vector = vector(item).ok_or_else(|| odd("an embedding is no list of numbers"))?;
            found.push((number(item, "index").unwrap_or(place), vector));
        }
        found.sort_by_key(|(index, _)| *index);
        let in_order = (0_u64..)
            .zip(&found)
            .all(|(place, (index, _))| place == *index);
        let length = found.first().map_or(0, |(_, vector)| vector.len());
        let even = found.iter().all(|(_, vector)| vector.len() == length);
        if found.len() != self.wanted || !in_order || !even {
            return Err(odd(
                "the provider did not give one embedding of one length for each text",
            ));
        }
        self.vectors = found.into_iter().map(|(_, vector)| vector).collect();
        self.answered_by = text(body, "model").unwrap_or_default().to_owned();
        Ok(())
    }

    fn finish(self: Box<Self>, _: &mut Progress) -> Result<Raw, Fault> {
        Ok(Raw::Embeddings {
            vectors: self.vectors,
            answered_by: crate::text::harmless(&self.answered_by, 256),
        })
    }
}

fn vector(item: &Value) -> Option<Vec<f64>> {
    let numbers = list(item, "embedding");
    let fits = (1..=DIMENSIONS_MAX).contains(&numbers.len());
    fits.then(|| numbers.iter().map(Value::as_f64).collect())?
}

#[cfg(test)]
#[path = "openai_tests.rs"]
mod tests;
