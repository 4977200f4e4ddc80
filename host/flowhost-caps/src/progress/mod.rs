//! `progress`: how far a call is, for whoever waits for it.
//!
//! The right is `log`: progress is words for people, as a log line is. It reaches nobody else, counts
//! against the same cap and passes the same redaction, so a key of its own would grant nothing that
//! `log` does not. A plugin may report as often as its host calls allow; what people see and what
//! records keep does not grow with it.

mod host;
mod pace;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::sync::Arc;

use flowhost_engine::{CallScope, Capability, Fault, HostState, Provider};
use wasmtime::component::Linker;

use crate::shared::line::{Gate, LogSink};
use crate::shared::secret::SecretStore;

use pace::Pace;

/// The capability.
pub struct Progress {
    sink: Arc<dyn LogSink>,
    secrets: Arc<dyn SecretStore>,
}

impl Progress {
    /// Progress goes to `sink`, without any value of `secrets` that the plugin may have seen.
    #[must_use]
    pub fn new(sink: Arc<dyn LogSink>, secrets: Arc<dyn SecretStore>) -> Self {
        Self { sink, secrets }
    }
}

/// What a store holds.
pub(crate) struct ProgressState {
    gate: Gate,
    pace: Pace,
}

/// What is linked, for every run alike.
pub struct Seam;

impl Capability for Seam {
    fn name(&self) -> &'static str {
        "progress"
    }

    fn interfaces(&self) -> &'static [&'static str] {
        &[host::INTERFACE]
    }

    fn link(&self, linker: &mut Linker<HostState>, granted: bool) -> wasmtime::Result<()> {
        if granted { host::link(linker) } else { Ok(()) }
    }
}

impl Provider for Progress {
    fn capability(&self) -> &dyn Capability {
        &Seam
    }

    fn open(&self, scope: &CallScope, _granted: bool) -> Result<Box<dyn Any + Send>, Fault> {
        let gate = Gate::open(scope, &self.sink, &*self.secrets, host::INTERFACE);
        let pace = Pace::default();
        Ok(Box::new(ProgressState { gate, pace }))
    }
}
