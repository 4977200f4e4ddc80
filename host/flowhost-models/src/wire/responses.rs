//! Responses as OpenAI defines them: the wire beside chat completions.
//!
//! Source: OpenAI's API reference. What differs: turns and calls are items of one list; instructions are
//! items too; there is no seed (it is left out) and no stop sequence (the answer is cut at them here);
//! nothing is stored at the provider (`store: false`), so nothing of an answer has to be sent back by its
//! id. Some servers send only whole items, or only the whole response at the end: each item is read once,
//! from what came first.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::{
    answer::Finish,
    backend::Raw,
    compat::{Feature, Features},
    config::AnswerFormat,
    fault::Fault,
    name::ModelName,
    progress::Progress,
    prompt::{Prompt, Speaker, Turn},
    sse::Event,
};

use super::{
    Decoder, Request, Shape,
    calls::Piece,
    classify,
    gather::{Ended, Gather},
    json,
    openai::{Wants, is_strict},
    read::{list, number, odd, some, text, usage, word},
    tool_names::ToolNames,
};

/// Items of one response that are followed: calls have a bound of their own, the rest is text.
const ITEMS_MAX: usize = 1_024;

pub(super) fn complete(
    model: &ModelName,
    prompt: &Prompt,
    shape: &Shape<'_>,
) -> (Request, Box<dyn Decoder>) {
    let names = ToolNames::new(prompt);
    let mut sent = Features::NONE;
    let body = body(model, prompt, shape, &names, &mut sent);
    let request = Request {
        path: "responses",
        body,
        sent,
    };
    let mut gather = Gather::new(prompt, names);
    // Always: this wire has no field for them.
    gather.stop_at(&prompt.stop);
    let decoder = Responses {
        gather,
        items: BTreeMap::new(),
        ended: false,
    };
    (request, Box::new(decoder))
}

fn body(
    model: &ModelName,
    prompt: &Prompt,
    shape: &Shape<'_>,
    names: &ToolNames,
    sent: &mut Features,
) -> Value {
    let mut body = Map::new();
    let wants = Wants::of(prompt, shape, sent);
    let mut set = |key: &str, value: Value| body.insert(key.to_owned(), value);
    set("model", json!(model.name));
    let told = wants
        .told
        .as_deref()
        .map(|it| json!({"role": "system", "content": it}));
    let items = prompt.turns.iter().flat_map(|turn| items(turn, names));
    set("input", told.into_iter().chain(items).collect());
    set("store", json!(false));
    set("max_output_tokens", json!(prompt.max_tokens));
    if !shape.left_out.has(Feature::Stream) {
        sent.add(Feature::Stream);
        set("stream", json!(true));
    }
    if let Some(temperature) = prompt.temperature
        && !shape.left_out.has(Feature::Temperature)
    {
        sent.add(Feature::Temperature);
        set("temperature", json!(temperature));
    }
    if !wants.tools.is_empty() {
        // Functions are strict here unless one says otherwise, and a strict one refuses most schemas.
        let tools = wants.tools.iter().map(|tool| {
            json!({
                "type": "function",
                "name": names.wire(&tool.name),
                "description": tool.description,
                "parameters": tool.input_schema,
                "strict": false,
            })
        });
        set("tools", tools.collect());
    }
    if let Some(schema) = wants.format {
        let format = match shape.settings.answer_format {
            AnswerFormat::JsonObject => json!({"type": "json_object"}),
            AnswerFormat::JsonSchema => json!({"type": "json_schema", "name": "answer",
                "schema": schema, "strict": is_strict(schema)}),
        };
        set("text", json!({"format": format}));
    }
    Value::Object(body)
}

/// A turn as items: its text, its calls, or the result of one.
fn items(turn: &Turn, names: &ToolNames) -> Vec<Value> {
    if turn.speaker == Speaker::Tool {
        let output = &turn.content;
        return vec![
            json!({"type": "function_call_output", "call_id": turn.answers, "output": output}),
        ];
    }
    let said = !turn.content.is_empty() || turn.tool_calls.is_empty();
    let role = turn.speaker.as_str();
    let said = said.then(|| json!({"role": role, "content": turn.content}));
    let calls = turn.tool_calls.iter().map(|call| {
        let name = names.wire(&call.name);
        json!({"type": "function_call", "call_id": call.id, "name": name,
            "arguments": call.arguments})
    });
    said.into_iter().chain(calls).collect()
}

/// What is known of an item of the response.
#[derive(Clone, Copy, Debug, Default)]
struct Item {
    /// Its place among the calls, if it is one.
    call: Option<usize>,
    /// Whether its text or its arguments have come, so that they are not read again from the whole.
    heard: bool,
}

struct Responses {
    gather: Gather,
    /// By the server's index.
    items: BTreeMap<u64, Item>,
    ended: bool,
}

impl Decoder for Responses {
    fn event(&mut self, event: &Event, progress: &mut Progress) -> Result<(), Fault> {
        if event.data.trim() == "[DONE]" {
            self.ended = true;
            return Ok(());
        }
        let value = json(event)?;
        let kind = text(&value, "type").unwrap_or(&event.name);
        let piece = text(&value, "delta").unwrap_or_default();
        // One that is missing means the first: a server with a single item has nothing to tell
        // apart.
        let index = number(&value, "output_index").unwrap_or(0);
        match kind {
            "response.output_item.added" => self.added(index, &value, progress)?,
            "response.output_text.delta" | "response.refusal.delta" => {
                self.item(index)?.heard = true;
                self.said(kind, piece, progress)?;
            }
            "response.function_call_arguments.delta" => self.arguments(index, piece, progress)?,
            "response.output_item.done" => {
                let item = value.get("item").unwrap_or(&Value::Null);
                self.whole(index, item, progress)?;
            }
            "response.completed" | "response.incomplete" | "response.failed" => {
                let response = value.get("response").unwrap_or(&Value::Null);
                self.response(response, progress)?;
                self.ended = true;
            }
            "error" => return Err(classify::in_answer(&value)),
            kind if kind.starts_with("response.reasoning") && kind.ends_with(".delta") => {
                self.gather.silent(piece, progress)?;
            }
            _ if some(&value, "error").is_some() => return Err(classify::in_answer(&value)),
            // The beginning, parts that begin and end, and what later versions add.
            _ => {}
        }
        Ok(())
    }

    fn ended(&self) -> bool {
        self.ended
    }

    fn body(&mut self, body: &Value, progress: &mut Progress) -> Result<(), Fault> {
        if !body.get("output").is_some_and(Value::is_array) && some(body, "error").is_none() {
            return Err(odd("the provider's answer has no `output`"));
        }
        self.response(body, progress)?;
        Ok(())
    }

    fn finish(self: Box<Self>, mut ended: Ended, progress: &mut Progress) -> Result<Raw, Fault> {
        ended.said |= self.ended;
        self.gather.finished(ended, progress)
    }
}

impl Responses {
    fn item(&mut self, index: u64) -> Result<&mut Item, Fault> {
        if self.items.len() >= ITEMS_MAX && !self.items.contains_key(&index) {
            return Err(super::gather::cut(&format!(
                "has more than {ITEMS_MAX} items"
            )));
        }
        Ok(self.items.entry(index).or_default())
    }

    fn said(&mut self, kind: &str, piece: &str, progress: &mut Progress) -> Result<(), Fault> {
        if kind.contains("refusal") && !piece.is_empty() {
            self.gather.withheld();
        }
        self.gather.content(piece, progress)
    }

    fn added(&mut self, index: u64, value: &Value, progress: &mut Progress) -> Result<(), Fault> {
        let item = value.get("item").unwrap_or(&Value::Null);
        if text(item, "type") == Some("function_call") {
            self.begin(index, item, progress)?;
        }
        Ok(())
    }

    fn begin(&mut self, index: u64, item: &Value, progress: &mut Progress) -> Result<usize, Fault> {
        if let Some(at) = self.item(index)?.call {
            return Ok(at);
        }
        let piece = Piece {
            index: Some(index),
            id: word(item, "call_id")
                // The item's own id only in need: a result is sent back by `call_id`.
                .or(word(item, "id"))
                .unwrap_or_default(),
            name: word(item, "name").unwrap_or_default(),
            arguments: "",
        };
        let at = self.gather.begin_call(piece, progress)?;
        self.item(index)?.call = Some(at);
        Ok(at)
    }

    fn arguments(&mut self, index: u64, piece: &str, progress: &mut Progress) -> Result<(), Fault> {
        let item = self.item(index)?;
        item.heard = true;
        if item.call.is_none() {
            return Err(odd("a tool's arguments came before its tool"));
        }
        let piece = Piece {
            index: Some(index),
            arguments: piece,
            ..Piece::default()
        };
        self.gather.call(piece, progress).map(drop)
    }

    /// An item as a whole: read, unless it was read in pieces.
    fn whole(&mut self, index: u64, item: &Value, progress: &mut Progress) -> Result<(), Fault> {
        match text(item, "type") {
            Some("function_call") => {
                self.begin(index, item, progress)?;
                if !self.item(index)?.heard {
                    let arguments = text(item, "arguments").unwrap_or_default();
                    self.arguments(index, arguments, progress)?;
                }
            }
            Some("message") if !self.item(index)?.heard => {
                self.item(index)?.heard = true;
                for part in list(item, "content") {
                    let kind = text(part, "type").unwrap_or_default();
                    let piece = text(part, "text").or(text(part, "refusal"));
                    self.said(kind, piece.unwrap_or_default(), progress)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The whole response, as it stands in the last event or in a body of its own.
    fn response(&mut self, response: &Value, progress: &mut Progress) -> Result<(), Fault> {
        self.gather.answered_by(word(response, "model"));
        if let Some(word) = some(response, "usage") {
            progress.reported_so_far(usage(word));
        }
        let status = word(response, "status").unwrap_or_default();
        if status == "failed" || some(response, "error").is_some() {
            return Err(classify::in_answer(
                response.get("error").unwrap_or(response),
            ));
        }
        for (index, item) in (0_u64..).zip(list(response, "output")) {
            self.whole(index, item, progress)?;
        }
        match status {
            // With calls in it as well; `finished` makes it the reason that it is.
            "completed" => self.gather.ends(Finish::Stop),
            "incomplete" => {
                let details = response.get("incomplete_details").unwrap_or(&Value::Null);
                self.gather.ends(match word(details, "reason") {
                    Some("content_filter") => Finish::ContentFilter,
                    _ => Finish::Length,
                });
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
