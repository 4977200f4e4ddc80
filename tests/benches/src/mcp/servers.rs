//! One tool, which gives back what it is given, as four MCP servers: a Rust component behind `flowhost mcp serve`, a script for
//! Node with the official TypeScript SDK, one without any library, and a native program with the official Rust library. Each
//! over stdio and over HTTP.

use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

use crate::calls::sibling;
use crate::peers::{LinePeer, NodePeer};
use crate::report::Row;

/// What clients show; the others look at none.
pub(super) const TOKEN: &str = "a-token-of-the-benchmark";

/// The four.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Flowhost,
    Node(NodePeer),
    Rmcp,
}

impl Kind {
    pub(super) fn named(self) -> &'static str {
        match self {
            Self::Flowhost => "`mcp serve`",
            Self::Node(peer) => peer.named(),
            Self::Rmcp => "rmcp server",
        }
    }
}

/// Where they are started from.
pub(super) struct Servers<'a> {
    /// A folder with `echo.wasm` and its manifest, and with the state of `mcp serve`.
    pub(super) folder: &'a Path,
    pub(super) node: Option<&'a Path>,
}

impl Servers<'_> {
    /// Those that this machine has.
    pub(super) fn kinds(&self) -> Vec<Kind> {
        let here = |peer: &NodePeer| peer.lacks(self.node).is_none();
        let nodes = NodePeer::ALL.into_iter().filter(here).map(Kind::Node);
        [Kind::Flowhost]
            .into_iter()
            .chain(nodes)
            .chain([Kind::Rmcp])
            .collect()
    }

    /// A row for each that it has not.
    pub(super) fn missing(&self) -> Vec<Row> {
        let row = |peer: NodePeer| {
            let what = format!(
                "`mcp serve` against {}: calls, memory and start",
                peer.named()
            );
            Some(Row::missing("mcp", what, peer.lacks(self.node)?))
        };
        NodePeer::ALL.into_iter().filter_map(row).collect()
    }

    pub(super) fn over_stdio(&self, kind: Kind) -> Result<LinePeer> {
        LinePeer::spawn(self.command(kind, false)?)
    }

    pub(super) fn over_http(&self, kind: Kind) -> Result<HttpPeer> {
        HttpPeer::start(self.command(kind, true)?, kind == Kind::Flowhost)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the benchmark's own peers, by explicit path"
    )]
    fn command(&self, kind: Kind, http: bool) -> Result<Command> {
        let mut command = match kind {
            Kind::Flowhost => {
                let mut command = Command::new(sibling("flowhost")?);
                command
                    .args(["mcp", "serve", "--plugin", "echo.wasm"])
                    .args(["--durability", "relaxed"])
                    .env("FLOWHOST_MCP_TOKEN", TOKEN)
                    .current_dir(self.folder);
                if http {
                    command.args(["--listen", "127.0.0.1:0"]);
                }
                command
            }
            Kind::Node(peer) => peer.command(self.node, http)?,
            Kind::Rmcp => {
                let mut command = Command::new(sibling("rmcp-tool")?);
                command.args(http.then_some("http"));
                command
            }
        };
        command.stderr(Stdio::null());
        Ok(command)
    }
}

/// A server over HTTP until it is dropped.
pub(super) struct HttpPeer {
    child: Child,
    pub(super) address: SocketAddr,
}

impl HttpPeer {
    /// `on_stderr`: it says its address there, and not on its standard output.
    fn start(mut command: Command, on_stderr: bool) -> Result<Self> {
        command.stdin(Stdio::null());
        match on_stderr {
            true => command.stdout(Stdio::null()).stderr(Stdio::piped()),
            false => command.stdout(Stdio::piped()),
        };
        let mut child = command.spawn().context("an MCP server did not start")?;
        let said: Box<dyn Read + Send> = match on_stderr {
            true => Box::new(child.stderr.take().context("no stderr")?),
            false => Box::new(child.stdout.take().context("no stdout")?),
        };
        let mut said = BufReader::new(said);
        let mut line = String::new();
        said.read_line(&mut line)?;
        let address = line
            .trim()
            .strip_prefix("mcp: http://")
            .and_then(|rest| rest.strip_suffix("/mcp"))
            .with_context(|| format!("an MCP server began with {line:?}"))?;
        let address = address.parse()?;
        // What else it says is read, so that it never waits for a reader.
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        Ok(Self { child, address })
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for HttpPeer {
    fn drop(&mut self) {
        // Our own child, by its handle; it may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
