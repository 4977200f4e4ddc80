//! The four roles: typed bindings of their exports, and what the host demands of each answer.
//!
//! A role's file states its calls; `instance` runs them. Nothing here knows limits or stores.

pub(crate) mod agent;
pub(crate) mod guardrail;
pub(crate) mod mcp_adapter;
pub(crate) mod tool;

use flowhost_words::PluginKind;
use wasmtime::Store;
use wasmtime::component::InstancePre;

use crate::bindings::types;
use crate::capability::HostState;
use crate::json::canonical_json;

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

    /// The answer with every JSON document in it in canonical form, so that whoever reads it next reads
    /// what was checked; or what is wrong with an answer that fits its type: not JSON, too deep.
    fn canonical(output: Self::Output) -> Result<Self::Output, String>;
}

/// A component's exports, looked up once.
pub(crate) enum RolePre {
    Agent(agent::bindings::AgentRolePre<HostState>),
    Tool(tool::bindings::ToolRolePre<HostState>),
    Guardrail(guardrail::bindings::GuardrailRolePre<HostState>),
    McpAdapter(mcp_adapter::bindings::McpAdapterRolePre<HostState>),
}

impl RolePre {
    pub(crate) fn new(kind: PluginKind, pre: InstancePre<HostState>) -> wasmtime::Result<Self> {
        Ok(match kind {
            PluginKind::Agent => Self::Agent(agent::bindings::AgentRolePre::new(pre)?),
            PluginKind::Tool => Self::Tool(tool::bindings::ToolRolePre::new(pre)?),
            PluginKind::Guardrail => {
                Self::Guardrail(guardrail::bindings::GuardrailRolePre::new(pre)?)
            }
            PluginKind::McpAdapter => {
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
            other => Err(other.mismatch(PluginKind::Agent)),
        }
    }

    /// A fresh instance of a tool.
    pub(crate) async fn tool(
        &self,
        store: &mut Store<HostState>,
    ) -> wasmtime::Result<tool::bindings::ToolRole> {
        match self {
            Self::Tool(pre) => pre.instantiate_async(store).await,
            other => Err(other.mismatch(PluginKind::Tool)),
        }
    }

    /// A fresh instance of a guardrail.
    pub(crate) async fn guardrail(
        &self,
        store: &mut Store<HostState>,
    ) -> wasmtime::Result<guardrail::bindings::GuardrailRole> {
        match self {
            Self::Guardrail(pre) => pre.instantiate_async(store).await,
            other => Err(other.mismatch(PluginKind::Guardrail)),
        }
    }

    /// A fresh instance of an MCP adapter.
    pub(crate) async fn mcp_adapter(
        &self,
        store: &mut Store<HostState>,
    ) -> wasmtime::Result<mcp_adapter::bindings::McpAdapterRole> {
        match self {
            Self::McpAdapter(pre) => pre.instantiate_async(store).await,
            other => Err(other.mismatch(PluginKind::McpAdapter)),
        }
    }

    /// The error of calling a component for a role that it does not take.
    fn mismatch(&self, wanted: PluginKind) -> wasmtime::Error {
        let role = match self {
            Self::Agent(_) => PluginKind::Agent,
            Self::Tool(_) => PluginKind::Tool,
            Self::Guardrail(_) => PluginKind::Guardrail,
            Self::McpAdapter(_) => PluginKind::McpAdapter,
        };
        wasmtime::Error::new(crate::fault::Fault::Host(format!(
            "a component of role `{role}` was called as `{wanted}`"
        )))
    }
}

/// One JSON document of an answer in canonical form; `what` names it in the message.
pub(crate) fn json(what: &str, text: &str) -> Result<String, String> {
    canonical_json(text).map_err(|error| format!("its {what}: {error}"))
}

/// The same, where empty stands for none.
fn json_or_empty(what: &str, text: &str) -> Result<String, String> {
    if text.is_empty() {
        Ok(String::new())
    } else {
        json(what, text)
    }
}

pub(crate) fn length(parts: &[&str]) -> u64 {
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

/// Schemas in canonical form; what else a descriptor may hold is the policy's to say.
fn canonical_descriptors(
    descriptors: Vec<types::Descriptor>,
) -> Result<Vec<types::Descriptor>, String> {
    let canonical = |mut descriptor: types::Descriptor| {
        descriptor.input_schema = json_or_empty("input schema", &descriptor.input_schema)?;
        descriptor.output_schema = json_or_empty("output schema", &descriptor.output_schema)?;
        Ok(descriptor)
    };
    descriptors.into_iter().map(canonical).collect()
}
