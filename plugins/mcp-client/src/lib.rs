//! The adapter `mcp-client`: one MCP server, asked over HTTP or over the standard streams of its process, in
//! the era that it speaks.
//!
//! Every byte of the server is read in here, inside the sandbox, with the same words as the host's own
//! server reads its clients. What comes out is typed, and the host holds it to its rules before anyone
//! sees it. It asks for nothing but requests to the server's address, or for the server's process, and speaks to
//! either through the host's transport; sessions and credentials are the host's.

mod config;
mod content;
mod exchange;
mod extra;
mod mirror;
mod session;
mod talk;
mod tools;

use flowhost_mcp::Code;
use flowhost_sdk::host::log;
use flowhost_sdk::{Answer, Context, Error, McpAdapter, Session, ToolPage, parse};
use serde_json::{Map, Value};

use config::Config;
use exchange::Server;
use extra::Own;
use session::State;

struct Client;

impl McpAdapter for Client {
    fn connect(ctx: &Context, config: &str) -> Result<Session, Error> {
        let config: Config = parse(config)?;
        session::open(&Server::of(&config, ctx)?, &config)
    }

    fn list_tools(ctx: &Context, session: &Session, cursor: &str) -> Result<ToolPage, Error> {
        let (server, mut state) = State::of(session, ctx)?;
        let server = server.for_page(cursor);
        let mut params = Map::new();
        if !cursor.is_empty() {
            params.insert("cursor".to_owned(), Value::from(cursor));
        }
        let result = server.ask(&mut state, "tools/list", params, &[])?;
        let (mut page, without) = tools::page(&result)?;
        if !without.is_empty() {
            log::warn(&without);
        }
        if cursor.is_empty() {
            // First, so that a tool of the server's with such a name is refused as one of two.
            page.tools = extra::descriptors(&state.offer).chain(page.tools).collect();
        }
        Ok(page)
    }

    fn call_tool(
        ctx: &Context,
        session: &Session,
        name: &str,
        input: &str,
    ) -> Result<Answer, Error> {
        let (server, mut state) = State::of(session, ctx)?;
        if let Some(own) = Own::named(name, &state.offer) {
            return own.call(&server, &mut state, input);
        }
        let arguments: Value = parse(input)?;
        let params = Map::from_iter([
            ("name".to_owned(), Value::from(name)),
            ("arguments".to_owned(), arguments.clone()),
        ]);
        let mut headers = Vec::new();
        let mut asked = server.try_ask(&mut state, "tools/call", params.clone(), &headers)?;
        // Some servers want arguments in headers too; which ones is in the tool's schema, and only such
        // a server refuses a call for it.
        if matches!(&asked, Err(error) if error.code == Code::HeaderMismatch) {
            let schema = tools::schema_of(&server, &mut state, name)?;
            headers = mirror::headers(&schema, &arguments)?;
            asked = server.try_ask(&mut state, "tools/call", params, &headers)?;
        }
        content::answer(&asked.map_err(|error| exchange::told(&error))?)
    }

    /// A process and a session at an address are the host's: it ends them with the run.
    fn close(_: &Session) {}
}

flowhost_sdk::export_mcp_adapter!(Client);
