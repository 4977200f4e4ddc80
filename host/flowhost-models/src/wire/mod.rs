//! What providers speak, as pure functions: a request's body out of a prompt, an answer out of
//! events or a body, a class out of an error's body.
//!
//! A codec knows no socket, no key and no price, and believes nothing that it reads: every text and
//! list it gathers has a bound (`gather.rs`).

mod anthropic;
mod classify;
mod gather;
mod openai;
mod tool_names;

use serde_json::Value;

use crate::{
    backend::{Ask, Raw},
    error::ErrorClass,
    fault::Fault,
    progress::Progress,
    settings::ProviderSettings,
    sse::Event,
};

pub(crate) use classify::{Refusal, classify};
pub(crate) use gather::wire_bytes_max;

/// What is posted where, below the provider's address.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) path: &'static str,
    pub(crate) body: Value,
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
    fn finish(self: Box<Self>, progress: &mut Progress) -> Result<Raw, Fault>;
}

/// The two languages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    OpenAi,
    Anthropic,
}

impl Wire {
    /// The request, and what will read its answer.
    pub(crate) fn encode(
        self,
        ask: Ask<'_>,
        settings: &ProviderSettings,
    ) -> Result<(Request, Box<dyn Decoder>), Fault> {
        match (self, ask) {
            (Self::OpenAi, Ask::Complete { model, prompt }) => {
                Ok(openai::complete(model, prompt, settings.output_limit))
            }
            (Self::OpenAi, Ask::Embed { model, texts }) => Ok(openai::embed(model, texts)),
            (Self::Anthropic, Ask::Complete { model, prompt }) => {
                anthropic::complete(model, prompt)
            }
            (Self::Anthropic, Ask::Embed { .. }) => Err(Fault::new(
                ErrorClass::Invalid,
                "this provider embeds nothing",
                "embed with a model of an OpenAI-compatible provider",
            )),
        }
    }
}

/// A text of an answer, or nothing.
fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

/// The items of a list of an answer; none when it is no list.
fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// A count of an answer; what is no whole number is none.
fn number(value: &Value, key: &str) -> Option<u64> {
    value.get(key).and_then(Value::as_u64)
}

/// What an event holds.
fn json(event: &Event) -> Result<Value, Fault> {
    serde_json::from_str(&event.data).map_err(|error| {
        let message = format!("the provider sent an event that is not JSON: {error}");
        Fault::new(ErrorClass::Provider, message, "")
    })
}

fn odd(message: &str) -> Fault {
    Fault::new(
        ErrorClass::Provider,
        message,
        "is the address that of a compatible server?",
    )
}
