//! Chat completions as OpenAI defines them, and as vLLM, TGI, Ollama, Gemini and routers speak them.
//!
//! Source: OpenAI's API reference. Where servers differ, the reading is the wider one: content as a list of
//! parts, calls whose marks drift (`calls.rs`), a body instead of a stream, blank reasons to end, usage in
//! every event or in none. Optional fields are sent only where the caller set them, and not where the
//! server is known to refuse them.

use serde_json::{Map, Value, json};

use crate::{
    answer::Finish,
    backend::Raw,
    compat::{Feature, Features},
    config::{AnswerFormat, OutputLimit, ProviderKind},
    fault::Fault,
    name::ModelName,
    progress::Progress,
    prompt::{Prompt, Speaker, ToolCall, ToolSpec, Turn},
    sse::Event,
};

use super::{
    Decoder, Request, Shape,
    calls::Piece,
    classify,
    gather::{Ended, Gather},
    json, plain,
    read::{list, number, odd, some, text, usage, word},
    schema_told,
    tool_names::ToolNames,
};

/// Integers that every JSON reader keeps.
pub(super) const SEED_MASK: u64 = (1 << 53) - 1;
/// What Google documents for a call whose signature is not there (it came from another model, or from
/// another process): newer Gemini models refuse a call without any.
const NO_SIGNATURE: &str = "skip_thought_signature_validator";

pub(super) fn complete(
    model: &ModelName,
    prompt: &Prompt,
    shape: &Shape<'_>,
) -> (Request, Box<dyn Decoder>) {
    let names = ToolNames::new(prompt);
    let mut asking = Asking {
        prompt,
        shape,
        names: &names,
        sent: Features::NONE,
    };
    let body = asking.body(model);
    let request = Request {
        path: "chat/completions",
        body,
        sent: asking.sent,
    };
    let mut gather = Gather::new(prompt, names);
    if shape.left_out.has(Feature::Stop) {
        gather.stop_at(&prompt.stop);
    }
    let decoder = Chat {
        gather,
        done: false,
        counted_last: false,
        refused: false,
    };
    (request, Box::new(decoder))
}

/// Whether tools and an answer's format are sent; shared by OpenAI's two wires.
pub(super) struct Wants<'a> {
    pub(super) tools: &'a [ToolSpec],
    pub(super) format: Option<&'a Value>,
    /// The schema, where it must be told in the prompt.
    pub(super) told: Option<String>,
}

impl<'a> Wants<'a> {
    pub(super) fn of(prompt: &'a Prompt, shape: &Shape<'_>, sent: &mut Features) -> Self {
        let out = shape.left_out;
        let schema = prompt.answer_schema.as_ref();
        let no_tools = schema.is_some() && out.has(Feature::ToolsWithFormat);
        let tools: &[ToolSpec] = if no_tools { &[] } else { &prompt.tools };
        let together = !tools.is_empty() && out.has(Feature::FormatWithTools);
        let format = schema.filter(|_| !together && !out.has(Feature::Format));
        if format.is_some() {
            sent.add(Feature::Format);
        }
        if schema.is_some() && !tools.is_empty() {
            sent.add(Feature::ToolsWithFormat);
        }
        if format.is_some() && !tools.is_empty() {
            sent.add(Feature::FormatWithTools);
        }
        let tell = format.is_none() || shape.settings.answer_format == AnswerFormat::JsonObject;
        let told = schema.filter(|_| tell).map(schema_told);
        Self {
            tools,
            format,
            told,
        }
    }
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
        let mut body = Map::new();
        let mut set = |key: &str, value: Value| body.insert(key.to_owned(), value);
        let wants = Wants::of(prompt, self.shape, &mut self.sent);
        set("model", json!(model.name));
        set("messages", self.messages(wants.told.as_deref()));
        if self.send(Feature::Stream) {
            set("stream", json!(true));
            if self.send(Feature::StreamOptions) {
                set("stream_options", json!({"include_usage": true}));
            }
        }
        set(self.limit(), json!(prompt.max_tokens));
        if let Some(temperature) = prompt.temperature
            && self.send(Feature::Temperature)
        {
            set("temperature", json!(temperature));
        }
        if let Some(seed) = prompt.seed
            && self.send(Feature::Seed)
        {
            // Cut the same way each time, so that a call stays as repeatable as the server makes
            // it.
            set("seed", json!(seed & SEED_MASK));
        }
        if !prompt.stop.is_empty() && self.send(Feature::Stop) {
            set("stop", json!(prompt.stop));
        }
        if !wants.tools.is_empty() {
            let tools = wants.tools.iter().map(|it| self.tool(it));
            set("tools", tools.collect());
        }
        if let Some(schema) = wants.format {
            set(
                "response_format",
                match self.shape.settings.answer_format {
                    AnswerFormat::JsonSchema => format(schema),
                    AnswerFormat::JsonObject => json!({"type": "json_object"}),
                },
            );
        }
        Value::Object(body)
    }

    /// The field that limits the answer; after a refusal the other one.
    fn limit(&mut self) -> &'static str {
        let usual = self.shape.settings.output_limit == OutputLimit::MaxTokens;
        match usual == self.send(Feature::OutputLimit) {
            true => "max_tokens",
            false => "max_completion_tokens",
        }
    }

    fn tool(&self, tool: &ToolSpec) -> Value {
        let mut function = Map::new();
        function.insert("name".to_owned(), json!(self.names.wire(&tool.name)));
        if !tool.description.is_empty() {
            function.insert("description".to_owned(), json!(tool.description));
        }
        function.insert("parameters".to_owned(), tool.input_schema.clone());
        json!({"type": "function", "function": function})
    }

    fn messages(&self, told: Option<&str>) -> Value {
        let mut messages: Vec<Value> = self
            .prompt
            .turns
            .iter()
            .map(|it| self.message(it))
            .collect();
        let Some(told) = told else {
            return Value::Array(messages);
        };
        // Some templates take one system message, and only as the first.
        match (self.prompt.turns.first(), messages.first_mut()) {
            (Some(turn), Some(first)) if turn.speaker == Speaker::System => {
                if let Some(content) = first.get_mut("content") {
                    *content = json!(format!("{}\n\n{told}", turn.content));
                }
            }
            _ => messages.insert(0, json!({"role": "system", "content": told})),
        }
        Value::Array(messages)
    }

    fn message(&self, turn: &Turn) -> Value {
        let role = turn.speaker.as_str();
        if turn.speaker == Speaker::Tool {
            return json!({"role": role, "tool_call_id": turn.answers, "content": turn.content});
        }
        if turn.tool_calls.is_empty() {
            return json!({"role": role, "content": turn.content});
        }
        let content = match turn.content.as_str() {
            // OpenAI's form for a turn of calls alone.
            "" => Value::Null,
            content => json!(content),
        };
        let calls = turn
            .tool_calls
            .iter()
            .enumerate()
            .map(|(place, call)| self.said_call(place, call));
        json!({"role": role, "content": content, "tool_calls": calls.collect::<Value>()})
    }

    fn said_call(&self, place: usize, call: &ToolCall) -> Value {
        let function = json!({"name": self.names.wire(&call.name), "arguments": call.arguments});
        let mut said = json!({"id": call.id, "type": "function", "function": function});
        let gemini = self.shape.settings.kind == ProviderKind::Gemini;
        // Google asks for a signature with the first call of a turn only.
        let none = || json!({"google": {"thought_signature": NO_SIGNATURE}});
        let kept = (self.shape.kept)(&call.id).or_else(|| (gemini && place == 0).then(none));
        if let (Some(kept), Some(said)) = (kept, said.as_object_mut()) {
            said.insert("extra_content".to_owned(), kept);
        }
        said
    }
}

fn format(schema: &Value) -> Value {
    let mut format = Map::new();
    format.insert("name".to_owned(), json!("answer"));
    format.insert("schema".to_owned(), schema.clone());
    // Left out rather than `false`, as every field that a server may not know.
    if is_strict(schema) {
        format.insert("strict".to_owned(), json!(true));
    }
    json!({"type": "json_schema", "json_schema": format})
}

/// Whether a schema is of the subset that OpenAI guarantees: every object closed, every property
/// required, plain keywords only. Any other is asked for without `strict`, which would be refused.
pub(super) fn is_strict(schema: &Value) -> bool {
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
    /// `[DONE]` came, or the answer came as a whole body with its count.
    done: bool,
    /// A count came without a piece of the answer, which only follows an answer.
    counted_last: bool,
    refused: bool,
}

impl Decoder for Chat {
    fn event(&mut self, event: &Event, progress: &mut Progress) -> Result<(), Fault> {
        if event.data.trim() == "[DONE]" {
            self.done = true;
            return Ok(());
        }
        if event.name != "error"
            && let Some(piece) = plain::piece(&event.data)
        {
            let model = piece.model.as_deref().map(str::trim);
            self.gather.answered_by(model.filter(|it| !it.is_empty()));
            return self.gather.content(&piece.content, progress);
        }
        let chunk = json(event)?;
        if let Some(fault) = error(&chunk, &event.name) {
            return Err(fault);
        }
        self.chunk(&chunk, ["delta", "message"], progress)
    }

    fn ended(&self) -> bool {
        self.done
    }

    fn body(&mut self, body: &Value, progress: &mut Progress) -> Result<(), Fault> {
        if let Some(fault) = error(body, "") {
            return Err(fault);
        }
        if list(body, "choices").is_empty() {
            return Err(odd("the provider's answer has no `choices`"));
        }
        self.chunk(body, ["message", "delta"], progress)?;
        self.counted_last = progress.completion_reported();
        Ok(())
    }

    fn finish(self: Box<Self>, mut ended: Ended, progress: &mut Progress) -> Result<Raw, Fault> {
        let mut gather = self.gather;
        ended.said |= self.done || self.counted_last;
        if self.refused {
            gather.withheld();
        }
        gather.finished(ended, progress)
    }
}

/// An error that came as an answer. Without `choices` also `detail`, `message` or a list is one.
fn error(value: &Value, event: &str) -> Option<Fault> {
    let told = some(value, "error").is_some();
    let no_answer = value.get("choices").is_none() && value.get("usage").is_none();
    let other = ["detail", "message", "errors"];
    let other = no_answer && other.iter().any(|key| some(value, key).is_some());
    (told || other || event == "error" || value.is_array()).then(|| classify::in_answer(value))
}

impl Chat {
    /// A piece of a stream, or a whole body: both hold a message, under another name.
    fn chunk(
        &mut self,
        chunk: &Value,
        parts: [&str; 2],
        progress: &mut Progress,
    ) -> Result<(), Fault> {
        self.gather.answered_by(word(chunk, "model"));
        let choice = list(chunk, "choices").first();
        // Some count beside the answer's pieces, some in an extension of their own.
        let counts = [Some(chunk), chunk.get("x_groq"), choice];
        for counted in counts.into_iter().flatten() {
            if let Some(word) = some(counted, "usage") {
                progress.reported_so_far(usage(word));
                self.counted_last |= choice.is_none() && self.gather.has_begun();
            }
        }
        // One answer was asked for; others would be counted and never read.
        let Some(choice) = choice else {
            return Ok(());
        };
        let reason = word(choice, "finish_reason").filter(|it| *it != "null");
        // Routers put an upstream's refusal where the answer would go on.
        if let Some(refused) = some(choice, "error") {
            return Err(classify::in_answer(refused));
        }
        if reason == Some("error") {
            return Err(classify::in_answer(&Value::Null));
        }
        let message = parts.iter().find_map(|part| some(choice, part));
        self.message(message.unwrap_or(choice), progress)?;
        if let Some(reason) = reason {
            self.gather.ends(finish(reason));
        }
        Ok(())
    }

    fn message(&mut self, message: &Value, progress: &mut Progress) -> Result<(), Fault> {
        // `text` is what the older completions call it.
        for key in ["content", "text"] {
            if let Some(content) = some(message, key) {
                self.content(content, progress)?;
            }
        }
        if let Some(refusal) = text(message, "refusal").filter(|it| !it.is_empty()) {
            self.refusal(refusal, progress)?;
        }
        // Routers send the same thought under both names.
        let thought = ["reasoning_content", "reasoning"];
        let thought = thought.iter().find_map(|key| text(message, key));
        self.gather.silent(thought.unwrap_or_default(), progress)?;
        match some(message, "tool_calls") {
            Some(Value::Array(calls)) => {
                calls
                    .iter()
                    .try_for_each(|call| self.call(call, progress))?;
            }
            // One that its server did not put into a list.
            Some(call) if call.is_object() => self.call(call, progress)?,
            _ => {}
        }
        if let Some(function) = some(message, "function_call") {
            let call = json!({"index": 0, "function": function});
            self.call(&call, progress)?;
        }
        Ok(())
    }

    /// A text, or a list of parts of which some are thoughts.
    fn content(&mut self, content: &Value, progress: &mut Progress) -> Result<(), Fault> {
        let part = match content {
            Value::String(piece) => return self.gather.content(piece, progress),
            Value::Array(parts) => {
                // The depth is that of the JSON reader, which ends at 128.
                return parts
                    .iter()
                    .try_for_each(|part| self.content(part, progress));
            }
            // A server that was asked for JSON and answers with it, not with its text.
            part if part.is_object()
                && part.get("type").is_none()
                && part.get("text").is_none() =>
            {
                return self.gather.content(&part.to_string(), progress);
            }
            part => part,
        };
        let said = |key: &str| {
            let value = part.get(key)?;
            value.as_str().or_else(|| text(value, "value"))
        };
        match text(part, "type").unwrap_or("text") {
            "text" | "output_text" => self
                .gather
                .content(said("text").unwrap_or_default(), progress),
            "refusal" => self.refusal(said("refusal").unwrap_or_default(), progress),
            kind => self.thought(part.get(kind).or_else(|| part.get("text")), progress),
        }
    }

    fn refusal(&mut self, refusal: &str, progress: &mut Progress) -> Result<(), Fault> {
        self.refused = true;
        self.gather.content(refusal, progress)
    }

    /// A thought is a text or a list of parts; only its size is of interest.
    fn thought(&mut self, thought: Option<&Value>, progress: &mut Progress) -> Result<(), Fault> {
        match thought {
            Some(Value::String(piece)) => self.gather.silent(piece, progress),
            Some(Value::Array(parts)) => {
                let mut pieces = parts.iter().filter_map(|part| text(part, "text"));
                pieces.try_for_each(|piece| self.gather.silent(piece, progress))
            }
            _ => Ok(()),
        }
    }

    fn call(&mut self, call: &Value, progress: &mut Progress) -> Result<(), Fault> {
        let function = call.get("function").unwrap_or(&Value::Null);
        // Ollama's older versions send an object where OpenAI sends its text.
        let object = function
            .get("arguments")
            .filter(|it| it.is_object())
            .map(Value::to_string);
        let piece = Piece {
            index: number(call, "index"),
            id: word(call, "id").unwrap_or_default(),
            name: word(function, "name").unwrap_or_default(),
            arguments: match &object {
                Some(object) => object,
                None => text(function, "arguments").unwrap_or_default(),
            },
        };
        let at = self.gather.call(piece, progress)?;
        if let Some(extra) = some(call, "extra_content") {
            self.gather.keep(at, extra.clone());
        }
        Ok(())
    }
}

/// An unknown reason is taken as `length`: the answer may not be whole.
fn finish(reason: &str) -> Finish {
    match reason.to_ascii_lowercase().as_str() {
        "stop" | "eos_token" | "stop_sequence" | "eos" | "end_turn" | "complete" | "completed" => {
            Finish::Stop
        }
        "tool_calls" | "function_call" | "tool_call" | "tool_use" => Finish::ToolCalls,
        "content_filter" | "content_filtered" | "safety" => Finish::ContentFilter,
        _ => Finish::Length,
    }
}

#[cfg(test)]
mod tests;
