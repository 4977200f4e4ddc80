//! What a plugin written in Rust is made of: attributes that make a component of functions and `impl`
//! blocks, the host functions it may ask for, and fakes of the host for its tests.
//!
//! It depends on nothing of the host but the interfaces in `wit/`, which it carries, and it never asks for
//! a right by itself: a host function that a plugin does not call is not among the imports of its
//! component, so the import list of what is built here *is* the plugin's request.
//!
//! With the feature `derive`, which a project of `flowhost plugin new` has, [`macro@tool`] makes a tool of a
//! function and [`macro@agent`], [`macro@guardrail`] and [`macro@mcp_adapter`] the other roles of `impl`
//! blocks. Without it there are the traits [`Tool`], [`Agent`], [`Guardrail`] and [`McpAdapter`] with one
//! export macro each, which is what the attributes write.

mod bindings;
mod content;
mod error;
#[cfg(any(test, all(target_arch = "wasm32", feature = "heap")))]
mod heap;
pub mod host;
mod json;
#[cfg(feature = "derive")]
mod output;
mod role;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

pub use bindings::flowhost::types::types::{
    Annotations, Body, Content as Answer, Context, Denial, Descriptor, Effects, Error, Hints,
    Limit, Media, Message, Part, Reader, ResourceContents, ResourceData, ResourceInfo, Usage,
};
pub use host::progress::report as progress;
pub use host::{
    budget, clock, config, files, http, log, messages, model, progress, random, secrets, state,
    tools,
};
pub use json::{Empty, answer, answer_with_text, parse};
#[cfg(feature = "derive")]
pub use output::{Reply, ToolOutput};
pub use role::agent::{Agent, Outcome, Outgoing, Output, Task};
pub use role::guardrail::{Action, Finding, Guardrail, Phase, Severity, Subject, Verdict};
pub use role::mcp_adapter::{
    McpAdapter, More, Prompt, PromptArgument, PromptPage, PromptText, PromptTurn, ResourcePage,
    ResourceTemplate, Session, TemplatePage, ToolPage,
};
pub use role::tool::{Tool, ToolSpec};
#[cfg(feature = "derive")]
pub use schemars;

/// Makes a tool of a function, which [`export_tools!`] puts into the component.
///
/// The function takes at most a `&Context` and one input, a type with `serde::Deserialize` and
/// `schemars::JsonSchema`; it hands back a [`ToolOutput`], or a `Result` of one and an error that
/// converts into [`Error`]. Its doc comment is the description that models choose by.
///
/// | word | meaning | without it |
/// |---|---|---|
/// | `name = "…"` | the tool's name | the function's |
/// | `title = "…"` | a short title | the name |
/// | `effects = "none"` | what repeating a call does: `none`, `idempotent`, `keyed`, `once` | `once` |
/// | `read_only`, `destructive`, `idempotent`, `open_world` | what people and models are told; `= false` says the opposite | not said |
///
/// ```
/// use flowhost_sdk as flowhost;
///
/// use flowhost::Error;
/// use schemars::JsonSchema;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Deserialize, JsonSchema)]
/// #[serde(deny_unknown_fields)]
/// struct Text {
///     /// What is to be counted.
///     text: String,
/// }
///
/// #[derive(Serialize, JsonSchema)]
/// struct Counted {
///     words: usize,
/// }
///
/// /// Counts the words of a text.
/// #[flowhost::tool(effects = "none", read_only)]
/// fn count(input: Text) -> Result<Counted, Error> {
///     Ok(Counted { words: input.text.split_whitespace().count() })
/// }
///
/// /// Says what the step is called.
/// #[flowhost::tool(name = "which-step", title = "Which step", effects = "none", open_world = false)]
/// fn which_step(ctx: &flowhost::Context) -> String {
///     ctx.step.clone()
/// }
///
/// flowhost::export_tools!(count, which_step);
/// # fn main() {}
/// ```
#[cfg(feature = "derive")]
pub use flowhost_sdk_macros::tool;

/// Makes an agent of an `impl` block with the contract's functions `on_start`, `on_plan` (required),
/// `on_message` and `on_finish`.
///
/// Each takes what it needs of what the host hands over: `&Context`, the record (`&Task`, `&Message`,
/// `&Outcome`), and the JSON in it (the step's input, the message's payload, the configuration) as a type
/// with `serde::Deserialize` or as `&str`.
///
/// ```
/// use flowhost_sdk as flowhost;
///
/// #[derive(serde::Deserialize)]
/// struct Question { question: String }
///
/// struct Oracle;
///
/// #[flowhost::agent]
/// impl Oracle {
///     fn on_plan(input: Question) -> Result<String, flowhost::Error> {
///         flowhost::model::ask("mock/any", &input.question)
///     }
/// }
/// # fn main() {}
/// ```
#[cfg(feature = "derive")]
pub use flowhost_sdk_macros::agent;

/// Makes a guardrail of an `impl` block with the contract's function `check`, which takes what it needs of
/// `&Context`, `&Subject` and the configuration (`with:` in the plan) as a type of yours.
///
/// ```
/// use flowhost_sdk as flowhost;
///
/// use flowhost::{Error, Subject, Verdict};
///
/// #[derive(serde::Deserialize)]
/// struct Config { longest: usize }
///
/// struct Short;
///
/// #[flowhost::guardrail]
/// impl Short {
///     fn check(subject: &Subject, config: Config) -> Result<Verdict, Error> {
///         Ok(match subject.value.len() > config.longest {
///             true => Verdict::deny(Vec::new()),
///             false => Verdict::pass(),
///         })
///     }
/// }
/// # fn main() {}
/// ```
#[cfg(feature = "derive")]
pub use flowhost_sdk_macros::guardrail;

/// Makes an MCP adapter of an `impl` block with the contract's functions: `connect`, `list_tools`,
/// `call_tool` are required; resources, prompts and `close` are not. Texts of JSON may be taken as types of
/// yours.
#[cfg(feature = "derive")]
pub use flowhost_sdk_macros::mcp_adapter;

/// What the macros need to name. Not part of the interface.
#[doc(hidden)]
pub mod internal {
    #[cfg(feature = "derive")]
    pub use crate::output::{
        Function, Returned, input_schema, into_outgoing, into_output, output_schema, parse_named,
    };
    pub use crate::role::agent::bindings as agent;
    pub use crate::role::guardrail::bindings as guardrail;
    pub use crate::role::mcp_adapter::bindings as mcp_adapter;
    pub use crate::role::tool::bindings as tool;
    pub use serde_json;
}
