//! What a plugin written in Rust is made of: one trait per role, the host functions it may ask for,
//! and one macro that turns a type into a component.
//!
//! It depends on `wit/` and nothing else of the host, and it never asks for a right by itself: a
//! host function that a plugin does not call is not among the imports of its component, so the
//! import list of what is built here *is* the plugin's request.
//!
//! # Examples
//!
//! A whole tool. With a `plugin.toml` and a one-line `build.rs` (see `flowhost-sdk-build`) the list of
//! tools comes from the manifest; [`export_tool!`] also takes it as its second argument.
//!
//! ```
//! use flowhost_sdk::{Answer, Context, Error, Tool, ToolSpec, answer, parse};
//!
//! #[derive(serde::Deserialize)]
//! struct Input { text: String }
//!
//! struct Shout;
//!
//! impl Tool for Shout {
//!     fn call(_: &Context, _name: &str, input: &str) -> Result<Answer, Error> {
//!         let input: Input = parse(input)?;
//!         answer(&serde_json::json!({ "text": input.text.to_uppercase() }))
//!     }
//! }
//!
//! flowhost_sdk::export_tool!(Shout, &[ToolSpec::any("shout")]);
//! # fn main() {}
//! ```

mod bindings;
mod content;
mod error;
mod json;
mod log;
mod progress;
mod role;

pub use bindings::flowhost::types::types::{
    Annotations, Body, Content as Answer, Context, Denial, Descriptor, Effects, Error, Hints,
    Limit, Media, Message, Part, Reader, ResourceContents, ResourceData, ResourceInfo, Usage,
};
pub use json::{Empty, answer, answer_with_text, parse};
pub use progress::progress;
pub use role::agent::{Agent, Outcome, Outgoing, Output, Task};
pub use role::guardrail::{Action, Finding, Guardrail, Phase, Severity, Subject, Verdict};
pub use role::mcp_adapter::{
    McpAdapter, More, Prompt, PromptArgument, PromptPage, PromptText, PromptTurn, ResourcePage,
    ResourceTemplate, Session, TemplatePage, ToolPage,
};
pub use role::tool::{Tool, ToolSpec};

/// The host functions, one module per right. Using one makes the plugin ask for its right.
pub mod host {
    pub use crate::bindings::flowhost::budget::budget;
    pub use crate::bindings::flowhost::clock::clock;
    pub use crate::bindings::flowhost::config::config;
    pub use crate::bindings::flowhost::files::files;
    pub use crate::bindings::flowhost::http::http;
    pub use crate::bindings::flowhost::log::log;
    pub use crate::bindings::flowhost::mcp_transport::mcp_transport;
    pub use crate::bindings::flowhost::messaging::messaging;
    pub use crate::bindings::flowhost::model::model;
    pub use crate::bindings::flowhost::progress::progress;
    pub use crate::bindings::flowhost::random::random;
    pub use crate::bindings::flowhost::secrets::secrets;
    pub use crate::bindings::flowhost::state::state;
    pub use crate::bindings::flowhost::tools::tools;
}

/// What the export macros need to name. Not part of the interface.
#[doc(hidden)]
pub mod internal {
    pub use crate::role::agent::bindings as agent;
    pub use crate::role::guardrail::bindings as guardrail;
    pub use crate::role::mcp_adapter::bindings as mcp_adapter;
    pub use crate::role::tool::bindings as tool;
    pub use serde_json;
}
