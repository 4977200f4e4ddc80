//! `log`: lines that a plugin writes for people.
//!
//! A guest's text never reaches a terminal as it came: it is cut, redacted and neutralised here,
//! before any sink sees it. Lines are not records each; what is dropped over `limits.log` is one.

mod host;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::sync::Arc;

use flowhost_engine::{CallScope, Capability, Fault, HostState, Provider};
use wasmtime::component::Linker;

pub use crate::shared::line::{Level, LogLine, LogSink, MemoryLog, ProgressLine, Stream};

use crate::shared::line::Gate;
use crate::shared::secret::SecretStore;

/// The capability.
pub struct Log {
    sink: Arc<dyn LogSink>,
    secrets: Arc<dyn SecretStore>,
}

impl Log {
    /// Lines go to `sink`, without any value of `secrets` that the plugin may have seen.
    #[must_use]
    pub fn new(sink: Arc<dyn LogSink>, secrets: Arc<dyn SecretStore>) -> Self {
        Self { sink, secrets }
    }
}

/// What a store holds.
pub(crate) struct LogState {
    gate: Gate,
}

/// What is linked, for every run alike.
pub struct Seam;

impl Capability for Seam {
    fn name(&self) -> &'static str {
        "log"
    }

    fn interfaces(&self) -> &'static [&'static str] {
        &[host::INTERFACE]
    }

    fn link(&self, linker: &mut Linker<HostState>, granted: bool) -> wasmtime::Result<()> {
        if granted { host::link(linker) } else { Ok(()) }
    }
}

impl Provider for Log {
    fn capability(&self) -> &dyn Capability {
        &Seam
    }

    fn open(&self, scope: &CallScope, _granted: bool) -> Result<Box<dyn Any + Send>, Fault> {
        let gate = Gate::open(scope, &self.sink, &*self.secrets, host::INTERFACE);
        Ok(Box::new(LogState { gate }))
    }
}
