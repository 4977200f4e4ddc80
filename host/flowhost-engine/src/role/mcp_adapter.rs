//! The role `mcp-adapter`: speaks MCP inside the sandbox. `connect` gives a session that each later call
//! is handed; here a conversation is one store from `connect` to `close`. Its resources and prompts
//! have no caller in this host yet.

use wasmtime::Store;

use super::{Invocation, RolePre, canonical_descriptors, descriptor_size, json, length};
use crate::bindings::types::{self, Content};
use crate::capability::HostState;
use crate::content;
use crate::instance::{CallReport, Plugin};
use crate::json::canonical_json;
use crate::role::tool::invalid_input;
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

pub use bindings::exports::flowhost::roles::mcp_adapter::Session as McpSession;

/// Pages of one list that are asked for; a server whose list does not end by then never ends it.
const PAGES_MAX: usize = 64;
/// Tools of one server; more than a model or a person can choose from.
const TOOLS_MAX: usize = 1_024;

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
    type Output = (McpSession, Vec<types::Descriptor>);

    async fn invoke(
        self,
        role: &RolePre,
        store: &mut Store<HostState>,
        context: &types::Context,
    ) -> wasmtime::Result<Result<Self::Output, types::Error>> {
        let instance = role.mcp_adapter(&mut *store).await?;
        let adapter = instance.flowhost_roles_mcp_adapter();
        let session = match adapter
            .call_connect(&mut *store, context, &self.config)
            .await?
        {
            Ok(session) => session,
            Err(error) => return Ok(Err(error)),
        };
        let (mut tools, mut cursor) = (Vec::new(), String::new());
        for _ in 0..PAGES_MAX {
            let page = adapter.call_list_tools(&mut *store, context, &session, &cursor);
            let page = match page.await? {
                Ok(page) => page,
                Err(error) => return Ok(Err(error)),
            };
            tools.extend(page.tools);
            cursor = page.more.next;
            if cursor.is_empty() || tools.len() > TOOLS_MAX {
                break;
            }
        }
        if !cursor.is_empty() || tools.len() > TOOLS_MAX {
            return Ok(Err(types::Error::Failed(format!(
                "the server's list of tools does not end: {} tools, {TOOLS_MAX} on {PAGES_MAX} pages \
                 are allowed",
                tools.len()
            ))));
        }
        adapter.call_close(store, &session).await?;
        Ok(Ok((session, tools)))
    }

    fn size((session, tools): &Self::Output) -> u64 {
        let tools: u64 = tools.iter().map(descriptor_size).sum();
        tools.saturating_add(session_size(session))
    }

    fn canonical((mut session, tools): Self::Output) -> Result<Self::Output, String> {
        session.capabilities = json("server's capabilities", &session.capabilities)?;
        Ok((session, canonical_descriptors(tools)?))
    }
}

fn session_size(session: &McpSession) -> u64 {
    length(&[
        &session.name,
        &session.version,
        &session.protocol,
        &session.capabilities,
        &session.instructions,
        &session.state,
    ])
}

impl Invocation for CallTool<'_> {
    type Output = Content;

    async fn invoke(
        self,
        role: &RolePre,
        store: &mut Store<HostState>,
        context: &types::Context,
    ) -> wasmtime::Result<Result<Content, types::Error>> {
        let instance = role.mcp_adapter(&mut *store).await?;
        let adapter = instance.flowhost_roles_mcp_adapter();
        let session = match adapter
            .call_connect(&mut *store, context, &self.config)
            .await?
        {
            Ok(session) => session,
            Err(error) => return Ok(Err(error)),
        };
        let called = adapter
            .call_call_tool(&mut *store, context, &session, self.name, &self.input)
            .await?;
        adapter.call_close(store, &session).await?;
        Ok(called)
    }

    fn size(output: &Content) -> u64 {
        content::size(output)
    }

    fn canonical(output: Content) -> Result<Content, String> {
        content::canonical(output)
    }
}

impl Plugin {
    /// Connects to the MCP server, lists its tools and closes. Nobody may see the tools before they
    /// are checked and approved.
    pub async fn mcp_list(
        &self,
        scope: CallScope,
        config: &str,
    ) -> CallReport<(McpSession, Vec<types::Descriptor>)> {
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
    ) -> CallReport<Content> {
        let input = match canonical_json(input) {
            Ok(input) => input,
            Err(error) => return CallReport::refused(invalid_input(&error)),
        };
        let config = config.to_owned();
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
