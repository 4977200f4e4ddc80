//! What providers speak, as pure functions: a request's body out of a prompt, an answer out of
//! events or a body, a class out of an error's body.
//!
//! A codec knows no socket, no key and no price, and believes nothing that it reads: every text and
//! list it gathers has a bound (`gather.rs`).

mod anthropic;
mod balance;
mod calls;
mod classify;
mod document;
mod embed;
mod gather;
mod openai;
mod plain;
mod read;
mod responses;
#[cfg(test)]
mod testing;
mod tool_names;
mod words;

use serde_json::Value;

use crate::{
    backend::{Ask, Raw},
    compat::Features,
    config::{Api, ProviderKind},
    error::ErrorClass,
    fault::Fault,
    progress::Progress,
    prompt::Prompt,
    settings::ProviderSettings,
    sse::Event,
};

pub(crate) use classify::{Refusal, classify};
pub(crate) use gather::{Ended, wire_bytes_max};

/// What is posted where, below the provider's address.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) path: &'static str,
    pub(crate) body: Value,
    /// The parts of it that a server may refuse.
    pub(crate) sent: Features,
}

/// How a provider is asked.
pub(crate) struct Shape<'a> {
    pub(crate) settings: &'a ProviderSettings,
    /// Parts that are not sent.
    pub(crate) left_out: Features,
    /// What the provider gave with the call of that id, to be sent back with it.
    pub(crate) kept: &'a (dyn Fn(&str) -> Option<Value> + Sync),
}

/// Reads one answer.
pub(crate) trait Decoder: Send {
    /// Takes the next event of a stream.
    fn event(&mut self, event: &Event, progress: &mut Progress) -> Result<(), Fault>;

    /// Whether the stream's own end has come.
    fn ended(&self) -> bool;

    /// Takes an answer that came as one body.
    fn body(&mut self, body: &Value, progress: &mut Progress) -> Result<(), Fault>;

    /// The answer, when nothing more will come.
    fn finish(self: Box<Self>, ended: Ended, progress: &mut Progress) -> Result<Raw, Fault>;
}

/// The three languages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    Chat,
    Responses,
    Anthropic,
}

impl Wire {
    /// What a provider of this kind speaks; none for `mock`.
    pub(crate) fn of(settings: &ProviderSettings) -> Option<Self> {
        match (settings.kind, settings.api) {
            (ProviderKind::Mock, _) => None,
            (ProviderKind::Anthropic, _) => Some(Self::Anthropic),
            (ProviderKind::OpenAi, Api::Responses) => Some(Self::Responses),
            (ProviderKind::OpenAi | ProviderKind::Gemini, _) => Some(Self::Chat),
        }
    }

    /// The request, and what will read its answer.
    pub(crate) fn encode(
        self,
        ask: Ask<'_>,
        shape: &Shape<'_>,
    ) -> Result<(Request, Box<dyn Decoder>), Fault> {
        match (self, ask) {
            (Self::Chat, Ask::Complete { model, prompt }) => {
                Ok(openai::complete(model, prompt, shape))
            }
            (Self::Responses, Ask::Complete { model, prompt }) => {
                Ok(responses::complete(model, prompt, shape))
            }
            (Self::Chat | Self::Responses, Ask::Embed { model, texts }) => {
                Ok(embed::embed(model, texts))
            }
            (Self::Anthropic, Ask::Complete { model, prompt }) => {
                anthropic::complete(model, prompt, shape)
            }
            (Self::Anthropic, Ask::Embed { .. }) => Err(Fault::new(
                ErrorClass::Invalid,
                "this provider embeds nothing",
                "embed with a model of an OpenAI-compatible provider",
            )),
        }
    }
}

/// The answer without what the model said around it; see [`document`].
pub(crate) fn without_wrapping(raw: &mut Raw, prompt: &Prompt) {
    // Embeddings and tool calls have nothing said around them.
    let Raw::Completion {
        content, taken_out, ..
    } = raw
    else {
        return;
    };
    if let Some(answer) = document::taken(content, prompt.answer_schema.as_ref()) {
        *content = answer.to_owned();
        *taken_out = true;
    }
}

/// A schema for a model whose server takes none.
fn schema_told(schema: &Value) -> String {
    format!(
        "Give your final answer as one JSON document that fits this JSON Schema, with nothing before or \
         after it:\n{schema}"
    )
}

/// Tokens of [`schema_told`] beside the schema, by our own count: a request may need them.
pub(crate) const SCHEMA_TOLD_TOKENS: u64 = 96;

/// What an event holds. What is not JSON is taken as the server's own words: proxies end streams so.
fn json(event: &Event) -> Result<Value, Fault> {
    let text = event.data.trim();
    serde_json::from_str(text).map_err(|error| {
        // What begins as JSON and is none is a broken event, and says nothing about its server's
        // reason.
        if !text.is_empty() && !text.starts_with(['{', '[', '"']) {
            return classify::in_answer_text(text);
        }
        let message = format!("the provider sent an event that is not JSON: {error}");
        Fault::new(ErrorClass::Provider, message, "")
    })
}

/// Whether the data of an event is all there.
pub(crate) fn is_whole(data: &str) -> bool {
    data.trim() == "[DONE]" || serde_json::from_str::<serde::de::IgnoredAny>(data).is_ok()
}

/// The events that stand in one: some servers end them with one line break, not with two.
pub(crate) fn apart(event: Event) -> Vec<Event> {
    let many = event.data.contains('\n') && !is_whole(&event.data);
    let each = |line: &str| line.trim().is_empty() || is_whole(line);
    if !many || !event.data.lines().all(each) {
        return vec![event];
    }
    let lines = event.data.lines().filter(|it| !it.trim().is_empty());
    let one = |line: &str| Event {
        name: event.name.clone(),
        data: line.to_owned(),
    };
    lines.map(one).collect()
}
