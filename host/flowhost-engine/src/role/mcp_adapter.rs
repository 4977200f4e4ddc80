//! The role `mcp-adapter`: speaks MCP inside the sandbox. A conversation is one store from `connect`
//! to `close`, so its calls are made by one function and not one by one.

use wasmtime::Store;

use super::{Invocation, RolePre, check_descriptors, descriptor_size, json, length};
use crate::bindings::types;
use crate::capability::HostState;
use crate::instance::{CallReport, Plugin};
use crate::json::{JsonLimits, check_json};
use crate::role::tool::{ToolContent, invalid_input};
use crate::scope::CallScope;

#[expect(
    missing_docs,
    reason = "generated from wit/, where the documentation stands"
)]
pub(crate) mod bindings {
    wasmtime::component::bindgen!({
        path: ["../../wit/types/0.1.0", "../../wit/roles/0.1.0"],
        world: "flowhost:roles/mcp-adapter-role",
        with: { "flowhost:types/types": crate::bindings::types },
        exports: { default: async },
    });
}

pub use bindings::exports::flowhost::roles::mcp_adapter::ServerInfo as McpServerInfo;

/// Connects, lists the server's tools and closes.
struct List {
    config: String,
}

/// Connects, calls one tool and closes.
struct CallTool<'a> {
    config: String,
    name: &'a str,
    input: String,
}

impl Invocation for List {
    type Output = (McpServerInfo, Vec<types::Descriptor>);

    async fn invoke(
        self,
        role: &RolePre,
        store: &mut Store<HostState>,
        context: &types::Context,
    ) -> wasmtime::Result<Result<Self::Output, types::Error>> {
        let instance = role.mcp_adapter(&mut *store).await?;
        let adapter = instance.flowhost_roles_mcp_adapter();
        let server = match adapter
            .call_connect(&mut *store, context, &self.config)
            .await?
        {
            Ok(server) => server,
            Err(error) => return Ok(Err(error)),
        };
        let tools = adapter.call_list_tools(&mut *store, context).await?;
        adapter.call_close(store).await?;
        Ok(tools.map(|tools| (server, tools)))
    }

    fn size((server, tools): &Self::Output) -> u64 {
        let server = length(&[
            &server.name,
            &server.version,
            &server.protocol,
            &server.capabilities,
        ]);
        tools
            .iter()
            .map(descriptor_size)
            .sum::<u64>()
            .saturating_add(server)
    }

    fn check((server, tools): &Self::Output) -> Result<(), String> {
        json("server's capabilities", &server.capabilities)?;
        check_descriptors(tools)
    }
}

impl Invocation for CallTool<'_> {
    type Output = ToolContent;

    async fn invoke(
        self,
        role: &RolePre,
        store: &mut Store<HostState>,
        context: &types::Context,
    ) -> wasmtime::Result<Result<ToolContent, types::Error>> {
        let instance = role.mcp_adapter(&mut *store).await?;
        let adapter = instance.flowhost_roles_mcp_adapter();
        if let Err(error) = adapter
            .call_connect(&mut *store, context, &self.config)
            .await?
        {
            return Ok(Err(error));
        }
        let called = adapter
            .call_call_tool(&mut *store, context, self.name, &self.input)
            .await?;
        adapter.call_close(store).await?;
        Ok(called.map(|content| ToolContent {
            value: content.value,
            text: content.text,
        }))
    }

    fn size(output: &ToolContent) -> u64 {
        length(&[&output.value, &output.text])
    }

    fn check(output: &ToolContent) -> Result<(), String> {
        json("value", &output.value)
    }
}

impl Plugin {
    /// Connects to the MCP server, lists its tools and closes. Nobody may see the tools before they
    /// are checked and approved.
    pub async fn mcp_list(
        &self,
        scope: CallScope,
        config: &str,
    ) -> CallReport<(McpServerInfo, Vec<types::Descriptor>)> {
        self.run(
            scope,
            List {
                config: config.to_owned(),
            },
        )
        .await
    }

    /// Connects to the MCP server, calls one of its tools and closes.
    pub async fn mcp_call_tool(
        &self,
        scope: CallScope,
        config: &str,
        name: &str,
        input: &str,
    ) -> CallReport<ToolContent> {
        if let Err(error) = check_json(input, &JsonLimits::default()) {
            return CallReport::refused(invalid_input(&error));
        }
        let (config, input) = (config.to_owned(), input.to_owned());
        self.run(
            scope,
            CallTool {
                config,
                name,
                input,
            },
        )
        .await
    }
}
