//! The role `tool`: described functions, called one at a time.

use std::sync::Arc;

use wasmtime::Store;

use super::foreign::ForeignPre;
use super::{Invocation, Role, RolePre, canonical_descriptors, descriptor_size, places};
use crate::bindings::types::{self, Content};
use crate::capability::HostState;
use crate::content;
use crate::fault::Fault;
use crate::instance::{CallReport, Plugin};
use crate::json::canonical_json;
use crate::scope::CallScope;

bindings!("flowhost:roles/tool-role");

/// Who answers for a tool.
pub(crate) enum Tool {
    /// An instance that takes the role.
    Ours(bindings::ToolRole),
    /// Functions of a stranger's, which are instantiated when one is called.
    Foreign(Arc<ForeignPre>),
}

impl Role for Tool {
    async fn fresh(pre: &RolePre, store: &mut Store<HostState>) -> wasmtime::Result<Self> {
        match pre {
            RolePre::Foreign(functions) => Ok(Self::Foreign(functions.clone())),
            pre => bindings::ToolRole::fresh(pre, store).await.map(Self::Ours),
        }
    }
}

struct Call<'a> {
    name: &'a str,
    input: String,
}

impl Invocation for Call<'_> {
    type Role = Tool;
    type Output = Content;

    async fn invoke(
        self,
        role: &Tool,
        store: &mut Store<HostState>,
        context: &types::Context,
    ) -> wasmtime::Result<Result<Content, types::Error>> {
        match role {
            Tool::Foreign(functions) => functions.call(store, self.name, &self.input).await,
            Tool::Ours(role) => {
                role.flowhost_roles_tool()
                    .call_call(store, context, self.name, &self.input)
                    .await
            }
        }
    }

    fn size(output: &Content) -> u64 {
        content::size(output)
    }

    fn canonical(output: Content) -> Result<Content, String> {
        content::canonical(output)
    }
}

struct Describe;

impl Invocation for Describe {
    type Role = Tool;
    type Output = Vec<types::Descriptor>;

    async fn invoke(
        self,
        role: &Tool,
        store: &mut Store<HostState>,
        _context: &types::Context,
    ) -> wasmtime::Result<Result<Self::Output, types::Error>> {
        match role {
            Tool::Foreign(functions) => Ok(Ok(functions.descriptors())),
            Tool::Ours(role) => role
                .flowhost_roles_tool()
                .call_describe(store)
                .await
                .map(Ok),
        }
    }

    fn size(output: &Self::Output) -> u64 {
        output.iter().map(descriptor_size).sum()
    }

    fn held(output: &Self::Output) -> u64 {
        Self::size(output).saturating_add(places(output))
    }

    fn canonical(output: Self::Output) -> Result<Self::Output, String> {
        canonical_descriptors(output)
    }
}

impl Plugin {
    /// Calls the tool `name` with one JSON document. The caller has checked it against the tool's
    /// schema; the guest gets its canonical text, which says what was checked and nothing else.
    pub async fn call_tool(
        &self,
        scope: CallScope,
        name: &str,
        input: &str,
    ) -> CallReport<Content> {
        match canonical_json(input) {
            Ok(input) => self.run(scope, Call { name, input }).await,
            Err(error) => CallReport::refused(invalid_input(&error)),
        }
    }

    /// Asks a tool component what it offers. The manifest is what counts; this must agree with it.
    pub async fn describe_tools(&self, scope: CallScope) -> CallReport<Vec<types::Descriptor>> {
        self.run(scope, Describe).await
    }
}

/// Input that no guest should have to read.
pub(super) fn invalid_input(error: &crate::json::JsonError) -> Fault {
    Fault::Guest {
        class: "invalid",
        message: format!("the input was not handed over: {error}"),
    }
}
