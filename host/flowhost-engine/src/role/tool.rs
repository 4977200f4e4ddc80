//! The role `tool`: described functions, called one at a time.

use wasmtime::Store;

use super::{Invocation, canonical_descriptors, descriptor_size};
use crate::bindings::types::{self, Content};
use crate::capability::HostState;
use crate::content;
use crate::fault::Fault;
use crate::instance::{CallReport, Plugin};
use crate::json::canonical_json;
use crate::scope::CallScope;

bindings!("flowhost:roles/tool-role");

struct Call<'a> {
    name: &'a str,
    input: String,
}

impl Invocation for Call<'_> {
    type Role = bindings::ToolRole;
    type Output = Content;

    async fn invoke(
        self,
        role: &bindings::ToolRole,
        store: &mut Store<HostState>,
        context: &types::Context,
    ) -> wasmtime::Result<Result<Content, types::Error>> {
        role.flowhost_roles_tool()
            .call_call(store, context, self.name, &self.input)
            .await
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
    type Role = bindings::ToolRole;
    type Output = Vec<types::Descriptor>;

    async fn invoke(
        self,
        role: &bindings::ToolRole,
        store: &mut Store<HostState>,
        _context: &types::Context,
    ) -> wasmtime::Result<Result<Self::Output, types::Error>> {
        role.flowhost_roles_tool()
            .call_describe(store)
            .await
            .map(Ok)
    }

    fn size(output: &Self::Output) -> u64 {
        output.iter().map(descriptor_size).sum()
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
