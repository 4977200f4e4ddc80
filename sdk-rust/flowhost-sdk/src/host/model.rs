//! Language models. The host holds the keys; the profile says which models and how much:
//!
//! ```toml
//! [model]
//! allow = ["mock/*", "openai/gpt-*"]
//! tokens = 20_000
//! usd = 0.50
//! ```
//!
//! and the manifest `model = "granted"` in `[needs]`.
//!
//! ```
//! use flowhost_sdk::model;
//! use flowhost_sdk::testing::Fakes;
//!
//! Fakes::new().model("Paris").run(|| {
//!     let answer = model::ask("mock/any", "The capital of France, in one word?").unwrap();
//!     assert_eq!(answer, "Paris");
//! });
//! ```

use crate::Error;
use crate::bindings::flowhost::model::model as import;
use crate::host::host_call;

pub use import::{Completion, Embeddings, Finish, Prompt, Speaker, ToolCall, ToolSpec, Turn};

/// Completes a conversation.
///
/// # Errors
/// Denied (model, budget), limit (tokens, usd), invalid, transient (rate limit, provider), failed.
pub fn complete(prompt: &Prompt) -> Result<Completion, Error> {
    host_call!(import::complete(prompt), |fakes| fakes.complete(prompt))
}

/// Embeds texts.
///
/// # Errors
/// As [`complete`].
pub fn embed(model: &str, texts: &[String]) -> Result<Embeddings, Error> {
    host_call!(import::embed(model, texts), |fakes| fakes
        .embed(model, texts))
}

/// Asks one question and returns the text of the answer, of at most 1,024 tokens.
///
/// # Errors
/// As [`complete`].
pub fn ask(model: &str, question: &str) -> Result<String, Error> {
    let prompt = Prompt::new(model).user(question);
    complete(&prompt).map(|answer| answer.content)
}

impl Prompt {
    /// A conversation without turns: at most 1,024 tokens of free text, the provider's own temperature,
    /// the run's own seed.
    pub fn new(model: impl Into<String>) -> Self {
        Self {
            model: model.into(),
            turns: Vec::new(),
            tools: Vec::new(),
            answer_schema: String::new(),
            temperature: -1.0,
            max_tokens: 1_024,
            seed: String::new(),
            stop: Vec::new(),
        }
    }

    /// With what the model is to be.
    #[must_use]
    pub fn system(self, content: impl Into<String>) -> Self {
        self.turn(Speaker::System, content)
    }

    /// With what is asked of it.
    #[must_use]
    pub fn user(self, content: impl Into<String>) -> Self {
        self.turn(Speaker::User, content)
    }

    fn turn(mut self, speaker: Speaker, content: impl Into<String>) -> Self {
        self.turns.push(Turn {
            speaker,
            content: content.into(),
            tool_calls: Vec::new(),
            answers: String::new(),
        });
        self
    }
}
