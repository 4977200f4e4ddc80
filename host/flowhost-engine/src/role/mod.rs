//! The four roles: typed bindings of their exports, and what the host demands of each answer.
//!
//! A role's file states its calls; `instance` runs them. Nothing here knows limits or stores.

pub(crate) mod agent;
pub(crate) mod guardrail;
pub(crate) mod mcp_adapter;
pub(crate) mod tool;

use wasmtime::Store;
use wasmtime::component::InstancePre;

use crate::bindings::types;
use crate::capability::HostState;
use crate::inspect::Role;
use crate::json::{JsonLimits, check_json};

/// One call of one export.
pub(crate) trait Invocation: Send {
    /// What it hands back.
    type Output: Send;

    /// Instantiates and calls.
    fn invoke(
        self,
        role: &RolePre,
        store: &mut Store<HostState>,
        context: &types::Context,
    ) -> impl Future<Output = wasmtime::Result<Result<Self::Output, types::Error>>> + Send;

    /// Bytes handed back.
    fn size(output: &Self::Output) -> u64;

    /// What is wrong with an answer that fits its type: not JSON, too deep.
    fn check(output: &Self::Output) -> Result<(), String>;
}

/// A component's exports, looked up once.
pub(crate) enum RolePre {
    Agent(agent::bindings::AgentRolePre<HostState>),
    Tool(tool::bindings::ToolRolePre<HostState>),
    Guardrail(guardrail::bindings::GuardrailRolePre<HostState>),
    McpAdapter(mcp_adapter::bindings::McpAdapterRolePre<HostState>),
}

impl RolePre {
    pub(crate) fn new(role: Role, pre: InstancePre<HostState>) -> wasmtime::Result<Self> {
        Ok(match role {
            Role::Agent => Self::Agent(agent::bindings::AgentRolePre::new(pre)?),
            Role::Tool => Self::Tool(tool::bindings::ToolRolePre::new(pre)?),
            Role::Guardrail => Self::Guardrail(guardrail::bindings::GuardrailRolePre::new(pre)?),
            Role::McpAdapter => {
                Self::McpAdapter(mcp_adapter::bindings::McpAdapterRolePre::new(pre)?)
            }
        })
    }

    /// A fresh instance of an agent.
    pub(crate) async fn agent(
        &self,
        store: &mut Store<HostState>,
    ) -> wasmtime::Result<agent::bindings::AgentRole> {
        match self {
            Self::Agent(pre) => pre.instantiate_async(store).await,
            other => Err(other.mismatch(Role::Agent)),
        }
    }

    /// A fresh instance of a tool.
    pub(crate) async fn tool(
        &self,
        store: &mut Store<HostState>,
    ) -> wasmtime::Result<tool::bindings::ToolRole> {
        match self {
            Self::Tool(pre) => pre.instantiate_async(store).await,
            other => Err(other.mismatch(Role::Tool)),
        }
    }

    /// A fresh instance of a guardrail.
    pub(crate) async fn guardrail(
        &self,
        store: &mut Store<HostState>,
    ) -> wasmtime::Result<guardrail::bindings::GuardrailRole> {
        match self {
            Self::Guardrail(pre) => pre.instantiate_async(store).await,
            other => Err(other.mismatch(Role::Guardrail)),
        }
    }

    /// A fresh instance of an MCP adapter.
    pub(crate) async fn mcp_adapter(
        &self,
        store: &mut Store<HostState>,
    ) -> wasmtime::Result<mcp_adapter::bindings::McpAdapterRole> {
        match self {
            Self::McpAdapter(pre) => pre.instantiate_async(store).await,
            other => Err(other.mismatch(Role::McpAdapter)),
        }
    }

    /// The error of calling a component for a role that it does not take.
    fn mismatch(&self, wanted: Role) -> wasmtime::Error {
        let role = match self {
            Self::Agent(_) => Role::Agent,
            Self::Tool(_) => Role::Tool,
            Self::Guardrail(_) => Role::Guardrail,
            Self::McpAdapter(_) => Role::McpAdapter,
        };
        wasmtime::Error::new(crate::fault::Fault::Host(format!(
            "a component of role `{role}` was called as `{wanted}`"
        )))
    }
}

/// Checks one JSON document of an answer; `what` names it in the message.
fn json(what: &str, text: &str) -> Result<(), String> {
    check_json(text, &JsonLimits::default()).map_err(|error| format!("its {what}: {error}"))
}

/// The same, where empty stands for none.
fn json_or_empty(what: &str, text: &str) -> Result<(), String> {
    if text.is_empty() {
        Ok(())
    } else {
        json(what, text)
    }
}

fn length(parts: &[&str]) -> u64 {
    parts.iter().map(|part| part.len() as u64).sum()
}

fn descriptor_size(descriptor: &types::Descriptor) -> u64 {
    length(&[
        &descriptor.name,
        &descriptor.title,
        &descriptor.description,
        &descriptor.input_schema,
        &descriptor.output_schema,
    ])
}

fn check_descriptors(descriptors: &[types::Descriptor]) -> Result<(), String> {
    for descriptor in descriptors {
        json("input schema", &descriptor.input_schema)?;
        json_or_empty("output schema", &descriptor.output_schema)?;
    }
    Ok(())
}
