//! Who may do what: profiles, manifests, their intersection, and every allow/deny decision.
//!
//! This crate is pure. It never reads a file, a clock or the network, never logs, and knows no
//! runtime, so that a reviewer can check a decision without the rest of the program. It must never
//! grow a dependency on wasmtime, tokio or a flowhost crate that knows more than texts.
//!
//! A right is one folder below `rights`, and one line of the list there.

mod ask;
mod canonical;
pub mod cases;
mod decision;
mod effective;
mod grant;
mod limit;
mod manifest;
mod narrow;
mod pattern;
mod placed;
mod problem;
mod profile;
mod read;
mod rights;
mod stranger;
pub mod suggest;
mod text;
mod tool;
mod trace;
mod unit;
mod walk;

pub use ask::Ask;
pub use decision::{Allowed, Denied, Verdict};
pub use effective::effective;
// The cure of a denial where it is no line of a profile.
pub use flowhost_words::{PROCESS_OPTION, is_second_key};
pub use grant::{Effective, Limits};
pub use limit::{LIMITS, LimitSpec};
pub use manifest::{Manifest, Prompts};
pub use narrow::Narrowing;
pub use problem::{Position, Problem};
pub use profile::Profile;
pub use read::depth::too_deep_at as toml_too_deep_at;
pub use rights::{
    Asks, Grants, MissingRight, Question, RIGHTS, Right,
    clock::ClockMode,
    env::{EnvAsk, EnvValue},
    files::{Access, FOLDER_ENTRIES_MAX, FileAsk, FileGrant, decide_file, host_input},
    http::{HttpAsk, HttpRule, Inject, LentAsk, egress, is_login_name},
    messages::{Direction, MessagesGrant, decide_topic},
    missing_rights,
    model::{ModelGrant, decide_model},
    process::ProcessGrant,
    random::RandomSource,
    secrets::{SecretsGrant, decide_reveal, decide_secret},
    state::{StateGrant, decide_state},
    tools::{ToolsGrant, decide_tool},
};
pub use stranger::{Lent, Own, TakenOwn};
pub use text::{is_hidden, shown};
pub use tool::{
    DESCRIPTION_BYTES_MAX, Effects, SCHEMA_BYTES_MAX, ToolAnnotations, ToolDescriptor,
    description_fault, descriptor_faults,
};
pub use trace::{Layer, Outcome, TraceEntry};
pub use unit::Unit;
