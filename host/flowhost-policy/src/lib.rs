//! Who may do what: profiles, manifests, their intersection, and every allow/deny decision.
//!
//! This crate is pure. It never reads a file, a clock or the network, never logs, and knows no
//! runtime, so that a reviewer can check a decision without the rest of the program. It must never
//! grow a dependency on wasmtime, tokio or another flowhost crate.

mod decide;
mod decision;
pub mod egress;
mod grant;
mod pattern;
mod problem;
mod text;

pub use decide::{
    Direction, decide_file, decide_model, decide_reveal, decide_secret, decide_state, decide_tool,
    decide_topic,
};
pub use decision::{Allowed, Denied, Verdict};
pub use grant::{
    Access, ClockMode, Effective, EnvValue, FileGrant, Grants, HttpRule, Inject, Limits,
    MessagesGrant, ModelGrant, RandomSource, SecretsGrant, StateGrant, ToolsGrant,
};
pub use problem::{Position, Problem};
