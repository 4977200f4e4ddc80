//! `flowhost:log`.

use flowhost_engine::HostState;
use wasmtime::component::Linker;

use crate::log::{Level, LogState, Stream};
use crate::shared::bindings;
use crate::shared::support::{HasStore, kill};

bindings!(
    "import flowhost:log/log@0.1.0;",
    "../../wit/log/0.1.0",
    trappable
);

pub(super) use bindings::flowhost::log::log as wit;

pub(super) const INTERFACE: &str = "flowhost:log/log@0.1.0";

pub(super) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    wit::add_to_linker::<_, HasStore>(linker, |state| state)
}

impl wit::Host for &mut HostState {
    fn write(
        &mut self,
        level: wit::Level,
        message: String,
        fields: Vec<wit::Field>,
    ) -> wasmtime::Result<()> {
        self.scope().charge_host_call().map_err(kill)?;
        // A plugin that can do without the right is linked without it, and is silent.
        if !self.scope().effective.grants.log {
            return Ok(());
        }
        let fields: Vec<_> = fields
            .iter()
            .map(|field| (field.key.as_str(), field.value.as_str()))
            .collect();
        let gate = &mut self.parts::<LogState>().state.gate;
        gate.write(Stream::Log, level.into(), &message, &fields);
        Ok(())
    }
}

impl From<wit::Level> for Level {
    fn from(level: wit::Level) -> Self {
        match level {
            wit::Level::Trace => Self::Trace,
            wit::Level::Debug => Self::Debug,
            wit::Level::Info => Self::Info,
            wit::Level::Warn => Self::Warn,
            wit::Level::Error => Self::Error,
        }
    }
}
