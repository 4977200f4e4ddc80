//! The model gateway: language models behind one door, with keys, prices, limits and evidence.
//!
//! Owns what is sent to a provider and what an answer costs. It must never know the runtime, a
//! ledger, a budget or a plan: a [`CallLog`] is told of every try before and after it, and says
//! whether it may be. Ambient authority (keys, files, wall time) comes in through traits.
//!
//! The cores are pure and know no socket: codecs, event streams, prices, retries, the breaker. One
//! module dials, and only after rights, residency and leave were asked.

mod answer;
mod backend;
mod breaker;
mod compat;
mod config;
mod dial;
mod error;
mod fault;
mod gateway;
mod http;
mod memory;
mod mock;
mod name;
mod ports;
mod price;
mod progress;
mod prompt;
mod provider;
mod rate;
mod remote;
mod retry;
mod settings;
mod sse;
mod text;
pub mod tokens;
mod units;
mod wire;

pub use answer::{Answer, Completion, Embeddings, Estimate, Finish, Reported, Spent, Usage};
pub use compat::{Feature, Features};
pub use config::{
    AnswerFormat, Api, BreakerConfig, CacheTtl, Config, ConfigProblem, HoursConfig, OutputLimit,
    PriceConfig, ProviderConfig, ProviderKind, Residency, RetryConfig, ThinkingConfig,
};
pub use error::{ErrorClass, ModelError};
pub use gateway::{Allowed, Gateway};
pub use http::{Body, HttpTransport, Transport, TransportError};
pub use name::{ModelName, ModelNameError};
pub use ports::{CallLog, Clock, KeySource, Operation, ScriptFiles, Try, TryOutcome, Who};
pub use price::Price;
pub use prompt::{
    EMBED_TEXTS_MAX, MAX_TOKENS_MAX, PROMPT_BYTES_MAX, Prompt, STOPS_MAX, Speaker, TOOLS_MAX,
    TURNS_MAX, ToolCall, ToolSpec, Turn,
};
