//! What a user would pick instead: a child process over stdio, native or Node. Each call is one line
//! out and one line in, over one long-lived process; a cold call starts the process first.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, ensure};

/// A child process that answers line by line.
pub(crate) struct LinePeer {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
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
        self.input.write_all(request.as_bytes())?;
        self.input.write_all(b"\n")?;
        Ok(self.input.flush()?)
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

/// A JSON-RPC request as an MCP client sends it.
#[must_use]
pub(crate) fn mcp_call(arguments: &serde_json::Value) -> String {
    let params = serde_json::json!({ "name": "echo", "arguments": arguments });
    let request =
        serde_json::json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
    request.to_string()
}
