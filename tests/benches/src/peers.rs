//! What a user would pick instead: a child process over stdio, native or Node. Each call is one line
//! out and one line in, over one long-lived process; a cold call starts the process first.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::host::repository;

/// An MCP server in Node. Goals are held against the first, as docs/adr/0051 says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NodePeer {
    /// What a user would write, with the official TypeScript SDK.
    Sdk,
    /// The least that answers at all, without any protocol library: what Node itself needs.
    ByHand,
}

impl NodePeer {
    pub(crate) const ALL: [Self; 2] = [Self::Sdk, Self::ByHand];

    /// As the table names it.
    #[must_use]
    pub(crate) fn named(self) -> &'static str {
        match self {
            Self::Sdk => "Node MCP server, TypeScript SDK",
            Self::ByHand => "Node, by hand, no protocol library",
        }
    }

    /// What it lacks on this machine, if anything, and how it gets there.
    #[must_use]
    pub(crate) fn lacks(self, node: Option<&Path>) -> Option<&'static str> {
        let packages = scripts().join("node_modules/@modelcontextprotocol/sdk/package.json");
        match self {
            _ if node.is_none() => Some("Node is not on this machine: install Node 20 or later"),
            Self::Sdk if !packages.is_file() => Some(
                "the TypeScript SDK is not in tests/benches/node: `cargo xtask bench` installs it where there is npm and \
                 its registry",
            ),
            Self::Sdk | Self::ByHand => None,
        }
    }

    /// The server over stdio or over HTTP, which is not started.
    ///
    /// # Errors
    /// When there is no Node.
    pub(crate) fn command(self, node: Option<&Path>, http: bool) -> Result<Command> {
        script(
            node,
            match (self, http) {
                (Self::Sdk, false) => "sdk-stdio.mjs",
                (Self::Sdk, true) => "sdk-http.mjs",
                (Self::ByHand, false) => "by-hand-stdio.mjs",
                (Self::ByHand, true) => "by-hand-http.mjs",
            },
        )
    }
}

/// One of the scripts for Node.
///
/// # Errors
/// When there is no Node.
#[expect(
    clippy::disallowed_methods,
    reason = "the benchmark's own peers, by explicit path"
)]
pub(crate) fn script(node: Option<&Path>, name: &str) -> Result<Command> {
    let mut command = Command::new(node.context("Node is not installed")?);
    command
        .arg(scripts().join(name))
        // As whoever serves others would set it: the SDK's web framework does less then.
        .env("NODE_ENV", "production");
    Ok(command)
}

fn scripts() -> PathBuf {
    repository().join("tests/benches/node")
}

/// A child process that answers line by line.
pub(crate) struct LinePeer {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    sent: Vec<u8>,
    line: String,
}

impl LinePeer {
    /// Starts `program` with `arguments`.
    ///
    /// # Errors
    /// When it cannot be started.
    #[expect(
        clippy::disallowed_methods,
        reason = "the benchmark's own peers, by explicit path"
    )]
    pub(crate) fn start(program: &Path, arguments: &[&str]) -> Result<Self> {
        let mut command = Command::new(program);
        command.args(arguments);
        Self::spawn(command)
    }

    /// Starts a command.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn spawn(mut command: Command) -> Result<Self> {
        let program = command.get_program().to_owned();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("could not start {}", program.display()))?;
        let input = child.stdin.take().context("no stdin")?;
        let output = BufReader::new(child.stdout.take().context("no stdout")?);
        Ok(Self {
            child,
            input,
            output,
            sent: Vec::new(),
            line: String::new(),
        })
    }

    /// One line out, one line in.
    ///
    /// # Errors
    /// When the peer went away.
    pub(crate) fn call(&mut self, request: &str) -> Result<&str> {
        self.send(request)?;
        self.receive()
    }

    /// One line out.
    ///
    /// # Errors
    /// When the peer went away.
    pub(crate) fn send(&mut self, request: &str) -> Result<()> {
        // In one write: a line that comes in two wakes its reader twice, and the peer would pay for that.
        self.sent.clear();
        self.sent.extend_from_slice(request.as_bytes());
        self.sent.push(b'\n');
        Ok(self.input.write_all(&self.sent)?)
    }

    /// The process.
    #[must_use]
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// One line in.
    ///
    /// # Errors
    /// When the peer went away.
    pub(crate) fn receive(&mut self) -> Result<&str> {
        self.line.clear();
        ensure!(
            self.output.read_line(&mut self.line)? > 0,
            "the peer closed its output"
        );
        Ok(&self.line)
    }
}

impl Drop for LinePeer {
    fn drop(&mut self) {
        // Our own child, by its handle; it may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
