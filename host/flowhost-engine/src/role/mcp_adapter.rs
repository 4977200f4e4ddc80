//! The role `mcp-adapter`: speaks MCP inside the sandbox. `connect` gives a session that each later call is
//! handed: the host keeps it for the run, so that each call is a fresh store and the server sees one
//! conversation. Its resources and prompts have no caller in this host yet.

use wasmtime::Store;

use super::{Invocation, canonical_descriptors, descriptor_size, json, length};
use crate::bindings::types::{self, Content};
use crate::capability::HostState;
use crate::content;
use crate::fault::Fault;
use crate::instance::{CallReport, Plugin};
use crate::json::canonical_json;
use crate::role::tool::invalid_input;
use crate::scope::CallScope;

bindings! {
    #[expect(
        missing_docs,
        reason = "generated from wit/, where the documentation stands"
    )]
    "flowhost:roles/mcp-adapter-role"
}

pub use bindings::exports::flowhost::roles::mcp_adapter::Session as McpSession;

/// Pages of one list that are asked for; a server whose list does not end by then never ends it.
const PAGES_MAX: usize = 64;
/// Tools of one server; more than a model or a person can choose from.
const TOOLS_MAX: usize = 1_024;

/// A server's tools, and how long it says that the list holds.
#[derive(Debug, Clone)]
pub struct McpTools {
    /// All pages.
    pub tools: Vec<types::Descriptor>,
    /// Milliseconds; the shortest of any page. None where a page does not say.
    pub ttl_ms: Option<f64>,
}

/// Connects and lists the server's tools.
struct Open {
    config: String,
}

/// Lists them again.
struct List<'a> {
    session: &'a McpSession,
}

/// Calls one tool.
struct CallTool<'a> {
    session: &'a McpSession,
    name: &'a str,
    input: String,
}

/// Ends the conversation.
struct Close<'a> {
    session: &'a McpSession,
}

impl Invocation for Open {
    type Role = bindings::McpAdapterRole;
    type Output = (McpSession, McpTools);

    async fn invoke(
        self,
        role: &bindings::McpAdapterRole,
        store: &mut Store<HostState>,
        context: &types::Context,
    ) -> wasmtime::Result<Result<Self::Output, types::Error>> {
        let adapter = role.flowhost_roles_mcp_adapter();
        let connected = adapter.call_connect(&mut *store, context, &self.config);
        let session = match connected.await? {
            Ok(session) => session,
            Err(error) => return Ok(Err(error)),
        };
        let listed = listed(adapter, store, context, &session).await?;
        Ok(listed.map(|tools| (session, tools)))
    }

    fn size((session, listed): &Self::Output) -> u64 {
        List::size(listed).saturating_add(session_size(session))
    }

    fn canonical((mut session, listed): Self::Output) -> Result<Self::Output, String> {
        session.capabilities = json("server's capabilities", &session.capabilities)?;
        Ok((session, List::canonical(listed)?))
    }
}

impl Invocation for List<'_> {
    type Role = bindings::McpAdapterRole;
    type Output = McpTools;

    async fn invoke(
        self,
        role: &bindings::McpAdapterRole,
        store: &mut Store<HostState>,
        context: &types::Context,
    ) -> wasmtime::Result<Result<McpTools, types::Error>> {
        let adapter = role.flowhost_roles_mcp_adapter();
        listed(adapter, store, context, self.session).await
    }

    fn size(output: &McpTools) -> u64 {
        output.tools.iter().map(descriptor_size).sum()
    }

    fn canonical(output: McpTools) -> Result<McpTools, String> {
        Ok(McpTools {
            tools: canonical_descriptors(output.tools)?,
            ttl_ms: output.ttl_ms,
        })
    }
}

/// All pages of the list.
async fn listed(
    adapter: &bindings::exports::flowhost::roles::mcp_adapter::Guest,
    store: &mut Store<HostState>,
    context: &types::Context,
    session: &McpSession,
) -> wasmtime::Result<Result<McpTools, types::Error>> {
    let (mut tools, mut cursor) = (Vec::new(), String::new());
    // The beginning of a minimum, and none as soon as one page says nothing: the list as a whole
    // holds no longer than that.
    let mut ttl_ms = Some(f64::INFINITY);
    let allowed = store.data().scope().effective.limits.output_bytes;
    for _ in 0..PAGES_MAX {
        let page = adapter.call_list_tools(&mut *store, context, session, &cursor);
        let page = match page.await? {
            Ok(page) => page,
            Err(error) => return Ok(Err(error)),
        };
        take(&mut tools, page.tools, allowed).map_err(wasmtime::Error::new)?;
        ttl_ms = ttl_ms
            .zip(page.more.ttl_ms)
            .map(|(all, page)| all.min(page));
        cursor = page.more.next;
        // Looked at page by page, as their bytes are, so that the host never holds more than one page above the bound.
        if cursor.is_empty() || tools.len() > TOOLS_MAX {
            break;
        }
    }
    if !cursor.is_empty() || tools.len() > TOOLS_MAX {
        return Ok(Err(types::Error::Failed(format!(
            "the server's list of tools does not end: {} tools, {TOOLS_MAX} on {PAGES_MAX} pages are \
             allowed",
            tools.len()
        ))));
    }
    Ok(Ok(McpTools { tools, ttl_ms }))
}

/// Adds the tools of a page, unless all together are more than the call may hand back: a page has the allowance of
/// wasmtime to itself, which by a grant is far more, and there are many pages.
fn take(
    tools: &mut Vec<types::Descriptor>,
    page: Vec<types::Descriptor>,
    allowed: u64,
) -> Result<(), Fault> {
    tools.extend(page);
    let used: u64 = tools.iter().map(descriptor_size).sum();
    if used > allowed {
        return Err(Fault::Limit {
            name: "output",
            used,
            allowed,
        });
    }
    Ok(())
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
    type Role = bindings::McpAdapterRole;
    type Output = Content;

    async fn invoke(
        self,
        role: &bindings::McpAdapterRole,
        store: &mut Store<HostState>,
        context: &types::Context,
    ) -> wasmtime::Result<Result<Content, types::Error>> {
        let adapter = role.flowhost_roles_mcp_adapter();
        adapter
            .call_call_tool(store, context, self.session, self.name, &self.input)
            .await
    }

    fn size(output: &Content) -> u64 {
        content::size(output)
    }

    fn canonical(output: Content) -> Result<Content, String> {
        content::canonical(output)
    }
}

impl Invocation for Close<'_> {
    type Role = bindings::McpAdapterRole;
    type Output = ();

    async fn invoke(
        self,
        role: &bindings::McpAdapterRole,
        store: &mut Store<HostState>,
        _: &types::Context,
    ) -> wasmtime::Result<Result<(), types::Error>> {
        let adapter = role.flowhost_roles_mcp_adapter();
        adapter.call_close(store, self.session).await.map(Ok)
    }

    fn size(_: &()) -> u64 {
        0
    }

    fn canonical((): ()) -> Result<(), String> {
        Ok(())
    }
}

impl Plugin {
    /// Connects to the MCP server and lists its tools. Nobody may see them before they are checked and
    /// approved.
    pub async fn mcp_open(
        &self,
        scope: CallScope,
        config: &str,
    ) -> CallReport<(McpSession, McpTools)> {
        let config = config.to_owned();
        self.run(scope, Open { config }).await
    }

    /// Lists the server's tools again.
    pub async fn mcp_list(&self, scope: CallScope, session: &McpSession) -> CallReport<McpTools> {
        self.run(scope, List { session }).await
    }

    /// Calls one of the server's tools.
    pub async fn mcp_call_tool(
        &self,
        scope: CallScope,
        session: &McpSession,
        name: &str,
        input: &str,
    ) -> CallReport<Content> {
        let input = match canonical_json(input) {
            Ok(input) => input,
            Err(error) => return CallReport::refused(invalid_input(&error)),
        };
        let call = CallTool {
            session,
            name,
            input,
        };
        self.run(scope, call).await
    }

    /// Ends the conversation.
    pub async fn mcp_close(&self, scope: CallScope, session: &McpSession) -> CallReport<()> {
        self.run(scope, Close { session }).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::types::{Annotations, Descriptor, Effects};

    fn tool(bytes: usize) -> Descriptor {
        Descriptor {
            name: "tool".to_owned(),
            title: String::new(),
            description: "x".repeat(bytes),
            input_schema: String::new(),
            output_schema: String::new(),
            effects: Effects::Once,
            annotations: Annotations {
                read_only: None,
                destructive: None,
                idempotent: None,
                open_world: None,
            },
        }
    }

    #[test]
    fn pages_are_no_way_around_the_output_limit() {
        let mut tools = Vec::new();
        take(&mut tools, vec![tool(400)], 1_000).unwrap();
        take(&mut tools, vec![tool(400)], 1_000).unwrap();
        let over = take(&mut tools, vec![tool(400)], 1_000);
        assert!(
            matches!(over, Err(Fault::Limit { name: "output", used, allowed: 1_000 }) if used > 1_000),
            "{over:?}"
        );
    }
}
