//! Who may do what: profiles, manifests, their intersection, and every allow/deny decision.
//!
//! This crate is pure. It never reads a file, a clock or the network, never logs, and knows no
//! runtime, so that a reviewer can check a decision without the rest of the program. It must never
//! grow a dependency on wasmtime, tokio or another flowhost crate.

mod ask;
mod canonical;
pub mod cases;
mod decide;
mod decision;
mod effective;
pub mod egress;
mod grant;
mod limit;
mod manifest;
mod meet;
mod narrow;
mod pattern;
mod problem;
mod profile;
mod read;
mod right;
mod stranger;
pub mod suggest;
mod text;
mod tool;
mod trace;
mod unit;
mod walk;

pub use ask::{Ask, Asks, EnvAsk, FileAsk, HttpAsk, InjectAsk};
pub use decide::{
    Direction, decide_file, decide_model, decide_reveal, decide_secret, decide_state, decide_tool,
    decide_topic,
};
pub use decision::{Allowed, Denied, Verdict};
pub use effective::effective;
pub use grant::{
    Access, ClockMode, Effective, EnvValue, FileGrant, Grants, HttpRule, Inject, Limits,
    MessagesGrant, ModelGrant, RandomSource, SecretsGrant, StateGrant, ToolsGrant,
};
pub use limit::{LIMITS, LimitSpec};
pub use manifest::{Manifest, Prompts};
pub use narrow::Narrowing;
pub use problem::{Position, Problem};
pub use profile::Profile;
pub use read::{depth::too_deep_at as toml_too_deep_at, grants::host_input};
pub use right::{MissingRight, RIGHTS, Right, missing_rights};
pub use stranger::Lent;
pub use text::{is_hidden, shown};
pub use tool::{
    DESCRIPTION_BYTES_MAX, Effects, SCHEMA_BYTES_MAX, ToolAnnotations, ToolDescriptor,
    descriptor_faults,
};
pub use trace::{Layer, Outcome, TraceEntry};
pub use unit::Unit;
