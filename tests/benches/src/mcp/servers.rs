//! One tool, which gives back what it is given, as three MCP servers: a Rust component behind `flowhost mcp serve`, a script for
//! Node without dependencies, and a native program with the official Rust library. Each over stdio and over HTTP.

use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

use crate::calls::sibling;
use crate::host::repository;
use crate::peers::LinePeer;

/// What clients show; the two others look at none.
pub(super) const TOKEN: &str = "a-token-of-the-benchmark";

/// The three.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Flowhost,
    Node,
    Rmcp,
}

impl Kind {
    pub(super) fn named(self) -> &'static str {
        match self {
            Self::Flowhost => "`mcp serve`",
            Self::Node => "Node MCP server",
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
        let node = self.node.map(|_| Kind::Node);
        [Some(Kind::Flowhost), node, Some(Kind::Rmcp)]
            .into_iter()
            .flatten()
            .collect()
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
        let script = |name: &str| repository().join("tests/benches/node").join(name);
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
            Kind::Node => {
                let mut command = Command::new(self.node.context("Node is not installed")?);
                command.arg(script(if http {
                    "mcp-http.mjs"
                } else {
                    "mcp-server.mjs"
                }));
                command
            }
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

/// Where `cargo xtask mcp-peers` has put the TypeScript SDK, if it has.
pub(super) fn sdk() -> Option<PathBuf> {
    let folder = repository().join("target/mcp-peers");
    let package = folder.join("node_modules/@modelcontextprotocol/client/package.json");
    package.is_file().then_some(folder)
}
