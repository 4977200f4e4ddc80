//! The role `tool`: described functions, called one at a time.

use wasmtime::Store;

use super::{Invocation, RolePre, check_descriptors, descriptor_size, json, length};
use crate::bindings::types;
use crate::capability::HostState;
use crate::fault::Fault;
use crate::instance::{CallReport, Plugin};
use crate::json::{JsonLimits, check_json};
use crate::scope::CallScope;

pub(crate) mod bindings {
    wasmtime::component::bindgen!({
        path: ["../../wit/types/0.1.0", "../../wit/roles/0.1.0"],
        world: "flowhost:roles/tool-role",
        with: { "flowhost:types/types": crate::bindings::types },
        exports: { default: async },
    });
}

pub use bindings::exports::flowhost::roles::tool::Content as ToolContent;

struct Call<'a> {
    name: &'a str,
    input: String,
}

impl Invocation for Call<'_> {
    type Output = ToolContent;

    async fn invoke(
        self,
        role: &RolePre,
        store: &mut Store<HostState>,
        context: &types::Context,
    ) -> wasmtime::Result<Result<ToolContent, types::Error>> {
        let instance = role.tool(&mut *store).await?;
        instance
            .flowhost_roles_tool()
            .call_call(store, context, self.name, &self.input)
            .await
    }

    fn size(output: &ToolContent) -> u64 {
        length(&[&output.value, &output.text])
    }

    fn check(output: &ToolContent) -> Result<(), String> {
        json("value", &output.value)
    }
}

struct Describe;

impl Invocation for Describe {
    type Output = Vec<types::Descriptor>;

    async fn invoke(
        self,
        role: &RolePre,
        store: &mut Store<HostState>,
        _context: &types::Context,
    ) -> wasmtime::Result<Result<Self::Output, types::Error>> {
        let instance = role.tool(&mut *store).await?;
        instance
            .flowhost_roles_tool()
            .call_describe(store)
            .await
            .map(Ok)
    }

    fn size(output: &Self::Output) -> u64 {
        output.iter().map(descriptor_size).sum()
    }

    fn check(output: &Self::Output) -> Result<(), String> {
        check_descriptors(output)
    }
}

impl Plugin {
    /// Calls the tool `name` with one JSON document. The caller has checked it against the tool's
    /// schema; decode limits are checked here again, before the guest sees it.
    pub async fn call_tool(
        &self,
        scope: CallScope,
        name: &str,
        input: &str,
    ) -> CallReport<ToolContent> {
        if let Err(error) = check_json(input, &JsonLimits::default()) {
            return CallReport::refused(invalid_input(&error));
        }
        self.run(
            scope,
            Call {
                name,
                input: input.to_owned(),
            },
        )
        .await
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
