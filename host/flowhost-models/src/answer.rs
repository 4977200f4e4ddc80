//! What comes back from a model, and what it cost.
//!
//! Values only. An answer is foreign text: bounded by the gateway, believed by nobody.

use crate::{name::ModelName, prompt::ToolCall};

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The model was done, or met a stop sequence.
    Stop,
    /// `max_tokens` was reached.
    Length,
    /// The model waits for its tool calls.
    ToolCalls,
    /// The provider withheld the answer or a part of it.
    ContentFilter,
}

impl Finish {
    /// The word in records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
        }
    }
}

/// Tokens of one call or of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// All tokens that went in.
    pub prompt_tokens: u64,
    /// Those of them that the provider had in its cache.
    pub cached_tokens: u64,
    /// Those of them that the provider wrote into its cache, where that has a price of its own.
    pub cache_write_tokens: u64,
    /// All tokens that came out.
    pub completion_tokens: u64,
    /// Those of them that the model thought in silence.
    pub reasoning_tokens: u64,
}

impl Usage {
    /// Tokens in and out.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.prompt_tokens.saturating_add(self.completion_tokens)
    }
}

/// What a provider itself said about one try, number by number; none where it said nothing.
///
/// For evidence: it stands there as it came, also where it cannot be true and [`Spent`] rests on our
/// own count instead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reported {
    /// As [`Usage::prompt_tokens`].
    pub prompt_tokens: Option<u64>,
    /// As [`Usage::cached_tokens`].
    pub cached_tokens: Option<u64>,
    /// As [`Usage::cache_write_tokens`].
    pub cache_write_tokens: Option<u64>,
    /// As [`Usage::completion_tokens`].
    pub completion_tokens: Option<u64>,
    /// As [`Usage::reasoning_tokens`].
    pub reasoning_tokens: Option<u64>,
}

impl From<Usage> for Reported {
    fn from(usage: Usage) -> Self {
        Self {
            prompt_tokens: Some(usage.prompt_tokens),
            cached_tokens: Some(usage.cached_tokens),
            cache_write_tokens: Some(usage.cache_write_tokens),
            completion_tokens: Some(usage.completion_tokens),
            reasoning_tokens: Some(usage.reasoning_tokens),
        }
    }
}

impl Reported {
    /// A later word of the same try. Servers that count in every event begin with zeros, and some end
    /// with them: a zero never takes a count back.
    pub(crate) fn replaced_by(&mut self, later: Self) {
        let newer = |old: Option<u64>, new: Option<u64>| match (old, new) {
            (Some(old), Some(0) | None) => Some(old),
            // Not the larger of both: a server that corrects its count downwards is believed.
            (_, new) => new,
        };
        self.prompt_tokens = newer(self.prompt_tokens, later.prompt_tokens);
        self.cached_tokens = newer(self.cached_tokens, later.cached_tokens);
        self.cache_write_tokens = newer(self.cache_write_tokens, later.cache_write_tokens);
        self.completion_tokens = newer(self.completion_tokens, later.completion_tokens);
        self.reasoning_tokens = newer(self.reasoning_tokens, later.reasoning_tokens);
    }
}

/// What was spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Tokens.
    pub usage: Usage,
    /// Millionths of a US dollar, rounded up once per try.
    pub micro_usd: u64,
    /// Whether we counted, because the provider gave no usage or one that cannot be.
    pub estimated: bool,
}

impl Spent {
    /// Both together; an estimate makes the sum one.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let (a, b) = (self.usage, other.usage);
        Self {
            usage: Usage {
                prompt_tokens: a.prompt_tokens.saturating_add(b.prompt_tokens),
                cached_tokens: a.cached_tokens.saturating_add(b.cached_tokens),
                cache_write_tokens: a.cache_write_tokens.saturating_add(b.cache_write_tokens),
                completion_tokens: a.completion_tokens.saturating_add(b.completion_tokens),
                reasoning_tokens: a.reasoning_tokens.saturating_add(b.reasoning_tokens),
            },
            micro_usd: self.micro_usd.saturating_add(other.micro_usd),
            estimated: self.estimated || other.estimated,
        }
    }
}

/// What a try costs at most, to be reserved before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Estimate {
    /// Tokens in; see [`crate::tokens`] for what the bound rests on.
    pub prompt_tokens: u64,
    /// Tokens out: the prompt's `max_tokens`.
    pub completion_tokens: u64,
    /// Millionths of a US dollar at the dearest hour.
    pub micro_usd: u64,
}

impl Estimate {
    /// Tokens in and out.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.prompt_tokens.saturating_add(self.completion_tokens)
    }

    /// The larger of both, number by number.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            prompt_tokens: self.prompt_tokens.max(other.prompt_tokens),
            completion_tokens: self.completion_tokens.max(other.completion_tokens),
            micro_usd: self.micro_usd.max(other.micro_usd),
        }
    }
}

/// A completed conversation.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// The text, or the JSON that the answer's schema asked for.
    pub content: String,
    /// Whether the model said more around it (its thoughts, a fence, a sentence), which was left out.
    pub taken_out: bool,
    /// What the model asks to be called, in its order.
    pub tool_calls: Vec<ToolCall>,
    /// Why it ended.
    pub finish: Finish,
    /// Over all tries when returned by the gateway; of one try in a [`crate::TryOutcome`].
    pub spent: Spent,
    /// The model that was asked: after a fail-over another than the prompt's.
    pub model: ModelName,
    /// The model that answered, as the provider names it.
    pub answered_by: String,
}

/// Embedded texts.
#[derive(Clone, Debug, PartialEq)]
pub struct Embeddings {
    /// One vector for each text, in order, all of one length.
    pub vectors: Vec<Vec<f64>>,
    /// As in [`Completion::spent`].
    pub spent: Spent,
    /// As in [`Completion::model`].
    pub model: ModelName,
    /// As in [`Completion::answered_by`].
    pub answered_by: String,
}

/// What one try gave.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Of `complete`.
    Completion(Completion),
    /// Of `embed`.
    Embeddings(Embeddings),
}

impl Answer {
    /// What was spent for it.
    #[must_use]
    pub fn spent(&self) -> Spent {
        match self {
            Self::Completion(it) => it.spent,
            Self::Embeddings(it) => it.spent,
        }
    }

    /// The model that answered, as the provider names it.
    #[must_use]
    pub fn answered_by(&self) -> &str {
        match self {
            Self::Completion(it) => &it.answered_by,
            Self::Embeddings(it) => &it.answered_by,
        }
    }

    pub(crate) fn set_spent(&mut self, spent: Spent) {
        match self {
            Self::Completion(it) => it.spent = spent,
            Self::Embeddings(it) => it.spent = spent,
        }
    }
}
