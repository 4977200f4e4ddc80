//! The four roles, one file each: generated bindings, the trait that authors implement, and the macro
//! that connects the two. A component takes exactly one.

pub(crate) mod agent;
pub(crate) mod guardrail;
pub(crate) mod mcp_adapter;
pub(crate) mod tool;
