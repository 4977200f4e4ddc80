//! The four roles: typed bindings of their exports, and what the host demands of each answer.
//!
//! A role's file states its calls; `instance` runs them. Nothing here knows limits or stores.

/// Bindings of one role's world, with the shared types in their one place.
macro_rules! bindings {
    ($(#[$attribute:meta])* $world:literal) => {
        $(#[$attribute])*
        pub(crate) mod bindings {
            wasmtime::component::bindgen!({
                path: ["../../wit/types/0.1.0", "../../wit/roles/0.1.0"],
                world: $world,
                with: { "flowhost:types/types": crate::bindings::types },
                exports: { default: async },
            });
        }
    };
}

pub(crate) mod agent;
pub(crate) mod foreign;
pub(crate) mod guardrail;
pub(crate) mod mcp_adapter;
pub(crate) mod tool;

use std::sync::Arc;

use flowhost_words::PluginKind;
use wasmtime::Store;
use wasmtime::component::InstancePre;

use crate::bindings::types;
use crate::capability::HostState;
use crate::inspect::Inspection;
use crate::json::canonical_json;

/// One call of one export.
pub(crate) trait Invocation: Send {
    /// The role that has the export.
    type Role: Role;
    /// What it hands back.
    type Output: Send;

    /// Calls the export of a fresh instance.
    fn invoke(
        self,
        role: &Self::Role,
        store: &mut Store<HostState>,
        context: &types::Context,
    ) -> impl Future<Output = wasmtime::Result<Result<Self::Output, types::Error>>> + Send;

    /// Bytes handed back.
    fn size(output: &Self::Output) -> u64;

    /// Bytes that the host holds for it: more than [`Invocation::size`] where there are lists, in which an empty item is a
    /// place as well.
    fn held(output: &Self::Output) -> u64 {
        Self::size(output)
    }

    /// The answer with every JSON document in it in canonical form, so that whoever reads it next reads
    /// what was checked; or what is wrong with an answer that fits its type: not JSON, too deep.
    fn canonical(output: Self::Output) -> Result<Self::Output, String>;
}

/// A fresh instance of a component, by its role.
pub(crate) trait Role: Sized + Send + Sync {
    /// Instantiates it.
    fn fresh(
        pre: &RolePre,
        store: &mut Store<HostState>,
    ) -> impl Future<Output = wasmtime::Result<Self>> + Send;
}

/// Makes [`RolePre`] and a [`Role`] of each kind of plugin from one line for each.
macro_rules! roles {
    ($($kind:ident: $folder:ident, $role:ident, $pre:ident;)+) => {
        /// A component's exports, looked up once.
        pub(crate) enum RolePre {
            $($kind($folder::bindings::$pre<HostState>),)+
            /// Plain functions of a stranger's, called as tools.
            Foreign(Arc<foreign::ForeignPre>),
        }

        impl RolePre {
            pub(crate) fn new(
                inspection: &Inspection,
                pre: InstancePre<HostState>,
            ) -> wasmtime::Result<Self> {
                if inspection.foreign {
                    let functions = foreign::ForeignPre::new(inspection, pre)?;
                    return Ok(Self::Foreign(Arc::new(functions)));
                }
                Ok(match inspection.role {
                    $(PluginKind::$kind => Self::$kind($folder::bindings::$pre::new(pre)?),)+
                })
            }

            fn kind(&self) -> PluginKind {
                match self {
                    $(Self::$kind(_) => PluginKind::$kind,)+
                    Self::Foreign(_) => PluginKind::Tool,
                }
            }
        }

        $(impl Role for $folder::bindings::$role {
            async fn fresh(pre: &RolePre, store: &mut Store<HostState>) -> wasmtime::Result<Self> {
                match pre {
                    RolePre::$kind(pre) => pre.instantiate_async(store).await,
                    other => Err(mismatch(other.kind(), PluginKind::$kind)),
                }
            }
        })+
    };
}

roles! {
    Agent: agent, AgentRole, AgentRolePre;
    Tool: tool, ToolRole, ToolRolePre;
    Guardrail: guardrail, GuardrailRole, GuardrailRolePre;
    McpAdapter: mcp_adapter, McpAdapterRole, McpAdapterRolePre;
}

/// The error of calling a component for a role that it does not take.
fn mismatch(role: PluginKind, wanted: PluginKind) -> wasmtime::Error {
    wasmtime::Error::new(crate::fault::Fault::Host(format!(
        "a component of role `{role}` was called as `{wanted}`"
    )))
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

/// Bytes of a list's own places, whatever its items hold.
fn places<T>(items: &[T]) -> u64 {
    size_of_val(items) as u64
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
