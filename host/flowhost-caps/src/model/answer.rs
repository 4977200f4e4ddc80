//! What a model answered a guest, as its record has it. Prices and counts are whole numbers, and vectors
//! are bytes: what is read back is what was told, to the last bit.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use flowhost_engine::{Fault, bindings::types};
use flowhost_ledger::LedgerError;
use serde::{Deserialize, Serialize};

use super::host::wit;
use crate::shared::support::Refusal;

/// A completion.
#[derive(Serialize, Deserialize)]
pub(super) struct Completed {
    content: String,
    tool_calls: Vec<Call>,
    finish: Finish,
    usage: Usage,
    model: String,
}

#[derive(Serialize, Deserialize)]
struct Call {
    id: String,
    name: String,
    arguments: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Finish {
    Stop,
    Length,
    ToolCalls,
    ContentFilter,
}

#[derive(Serialize, Deserialize)]
struct Usage {
    prompt_tokens: i32,
    completion_tokens: i32,
    micro_usd: u64,
}

impl From<types::Usage> for Usage {
    fn from(usage: types::Usage) -> Self {
        Self {
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "the host made it of a whole number"
            )]
            micro_usd: usage.cost_micro_usd as u64,
        }
    }
}

impl From<Usage> for types::Usage {
    fn from(usage: Usage) -> Self {
        Self {
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            #[expect(
                clippy::cast_precision_loss,
                reason = "exact up to nine billion dollars"
            )]
            cost_micro_usd: usage.micro_usd as f64,
        }
    }
}

impl From<wit::Completion> for Completed {
    fn from(answer: wit::Completion) -> Self {
        let calls = answer.tool_calls.into_iter();
        Self {
            content: answer.content,
            tool_calls: calls
                .map(|it| Call {
                    id: it.id,
                    name: it.name,
                    arguments: it.arguments,
                })
                .collect(),
            finish: match answer.finish {
                wit::Finish::Stop => Finish::Stop,
                wit::Finish::Length => Finish::Length,
                wit::Finish::ToolCalls => Finish::ToolCalls,
                wit::Finish::ContentFilter => Finish::ContentFilter,
            },
            usage: answer.usage.into(),
            model: answer.model,
        }
    }
}

impl From<Completed> for wit::Completion {
    fn from(answer: Completed) -> Self {
        let calls = answer.tool_calls.into_iter();
        Self {
            content: answer.content,
            tool_calls: calls
                .map(|it| wit::ToolCall {
                    id: it.id,
                    name: it.name,
                    arguments: it.arguments,
                })
                .collect(),
            finish: match answer.finish {
                Finish::Stop => wit::Finish::Stop,
                Finish::Length => wit::Finish::Length,
                Finish::ToolCalls => wit::Finish::ToolCalls,
                Finish::ContentFilter => wit::Finish::ContentFilter,
            },
            usage: answer.usage.into(),
            model: answer.model,
        }
    }
}

/// Vectors of texts.
#[derive(Serialize, Deserialize)]
pub(super) struct Embedded {
    /// Base64 of the numbers' eight bytes each, the lowest first.
    vectors: Vec<String>,
    usage: Usage,
}

impl From<wit::Embeddings> for Embedded {
    fn from(answer: wit::Embeddings) -> Self {
        let vectors = answer.vectors.iter().map(|vector| {
            let bytes = vector.iter().flat_map(|number| number.to_le_bytes());
            BASE64.encode(bytes.collect::<Vec<u8>>())
        });
        Self {
            vectors: vectors.collect(),
            usage: answer.usage.into(),
        }
    }
}

impl Embedded {
    /// As the guest is told.
    pub(super) fn told(self) -> Result<wit::Embeddings, Refusal> {
        let vectors = self.vectors.iter().map(|text| {
            let bytes = BASE64.decode(text).ok()?;
            let (numbers, rest) = bytes.as_chunks::<8>();
            let numbers = numbers.iter().map(|bytes| f64::from_le_bytes(*bytes));
            // A record that was cut has bytes over, and is no answer.
            rest.is_empty().then(|| numbers.collect())
        });
        let vectors: Option<Vec<Vec<f64>>> = vectors.collect();
        Ok(wit::Embeddings {
            vectors: vectors.ok_or(Refusal::Fault(Fault::Ledger(LedgerError::Differs)))?,
            usage: self.usage.into(),
        })
    }
}
