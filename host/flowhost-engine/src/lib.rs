//! The sandbox: wasmtime lives here and nowhere else. It admits components, compiles them in a child
//! process, runs each call in a fresh store under all its limits, and links exactly the capabilities
//! that the effective profile grants.
//!
//! It must never open a file on a guest's behalf, dial, or decide a right: capabilities act, policy
//! decides, this crate confines.

pub mod bindings;
mod cache;
mod capability;
mod child;
mod code;
mod compile;
mod content;
mod engine;
mod fault;
mod inspect;
mod instance;
mod json;
mod knobs;
mod limits;
mod outside;
mod prepare;
mod role;
mod scope;
mod shortfall;
mod text;
mod ticker;

pub use bindings::types::{Annotations, Content as ToolContent, Descriptor, Effects, Message};
pub use cache::{CacheConfig, CacheError};
pub use capability::{Capability, HostState, Parts, Provider};
pub use child::compile_child_main;
pub use compile::{COMPILE_COMMAND, CompileError, Compiler};
pub use content::{
    content_error_of, content_error_value, content_of, content_value, handed_on, handed_on_of,
};
pub use engine::{Engine, EngineConfig, EngineError, LoadError, LoadedComponent, Origin};
pub use fault::{BUILD_ANEW, EARLIER_CONTRACT, Fault, NO_TIME_LEFT, Owner};
pub use inspect::{
    Import, InspectError, Inspected, Inspection, Inspections, InterfaceName, MANIFEST_SECTION,
    ShapeLimits, Version, digest, inspect,
};
pub use instance::{CallReport, Plugin, Used};
pub use json::{JsonError, JsonLimits, canonical_json, check_json, parse_json};
pub use knobs::PoolConfig;
pub use outside::{Bytes, Cut, Memory, Told, interned};
pub use prepare::{MissingRight, unanswered};
pub use role::agent::{AgentOutcome, AgentOutput, AgentTask, Outgoing};
pub use role::guardrail::{Finding, GuardAction, GuardVerdict, Phase, Severity};
pub use role::mcp_adapter::{McpSession, McpTools};
pub use scope::{CallScope, Meter, Providers, RunScope};
pub use shortfall::{Amount, Shortfall, Whose};
pub use text::neutralise;

/// The engine below, for `doctor`; a test compares it with the pin in the root `Cargo.toml`.
pub const ENGINE_VERSION: &str = "wasmtime 48.0.8";

#[cfg(test)]
mod version {
    #[test]
    fn the_named_engine_is_the_pinned_one() {
        let manifest = include_str!("../../../Cargo.toml");
        let version = super::ENGINE_VERSION.trim_start_matches("wasmtime ");
        assert!(manifest.contains(&format!("wasmtime = {{ version = \"={version}\"")));
    }
}
