//! `runtime`: what language runtimes drag in and no right stands behind: `wasi:cli` and `wasi:io`.
//!
//! Nothing to see and nothing to reach: standard input is at its end, standard output and error
//! become log lines of the plugin within `limits.log`, there is no terminal, and leaving ends the
//! call. Streams and pollables are wasmtime's own, each call of them counted and bounded. Sockets are
//! not here: no runtime needs them to start, and a component that imports one is refused.

mod cli;
mod io;
mod stdio;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::sync::{Arc, Mutex};

use flowhost_engine::{CallScope, Capability, Fault, HostState, Provider};
use wasmtime::component::Linker;

use crate::shared::line::{Gate, LogSink};
use crate::shared::secret::SecretStore;
use stdio::Stdio;

/// The capability; every component may import it.
pub struct Runtime {
    sink: Arc<dyn LogSink>,
    secrets: Arc<dyn SecretStore>,
}

impl Runtime {
    /// What is written goes to `sink`, without any value of `secrets` that the plugin may have seen.
    #[must_use]
    pub fn new(sink: Arc<dyn LogSink>, secrets: Arc<dyn SecretStore>) -> Self {
        Self { sink, secrets }
    }
}

/// What a store holds.
pub(crate) struct RuntimeState {
    stdio: Arc<Mutex<Stdio>>,
}

/// What is linked, for every run alike.
pub struct Seam;

impl Capability for Seam {
    fn name(&self) -> &'static str {
        "runtime"
    }

    fn interfaces(&self) -> &'static [&'static str] {
        &[]
    }

    fn runtime_interfaces(&self) -> &'static [&'static str] {
        &[
            cli::STDIN,
            cli::STDOUT,
            cli::STDERR,
            cli::EXIT,
            cli::TERMINAL_INPUT,
            cli::TERMINAL_OUTPUT,
            cli::TERMINAL_STDIN,
            cli::TERMINAL_STDOUT,
            cli::TERMINAL_STDERR,
            io::ERROR,
            io::POLL,
            io::STREAMS,
        ]
    }

    fn link(&self, linker: &mut Linker<HostState>, _granted: bool) -> wasmtime::Result<()> {
        io::link(linker)?;
        cli::link(linker)
    }
}

impl Provider for Runtime {
    fn capability(&self) -> &dyn Capability {
        &Seam
    }

    fn open(&self, scope: &CallScope, _granted: bool) -> Result<Box<dyn Any + Send>, Fault> {
        let gate = Gate::open(scope, &self.sink, &*self.secrets, cli::STDOUT);
        let stdio = Arc::new(Mutex::new(Stdio::new(gate)));
        Ok(Box::new(RuntimeState { stdio }))
    }
}
