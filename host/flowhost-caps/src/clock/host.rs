//! `flowhost:clock`.

use flowhost_engine::HostState;
use wasmtime::component::Linker;

use crate::clock::ClockState;
use crate::shared::bindings;
use crate::shared::support::{HasStore, kill};

bindings!(
    "import flowhost:clock/clock@0.1.0;",
    "../../wit/clock/0.1.0",
    trappable
);

pub(super) use bindings::flowhost::clock::clock as wit;

pub(super) const INTERFACE: &str = "flowhost:clock/clock@0.1.0";

pub(super) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    wit::add_to_linker::<_, HasStore>(linker, |state| state)
}

impl wit::Host for &mut HostState {
    fn now_ms(&mut self) -> wasmtime::Result<f64> {
        self.scope().charge_host_call().map_err(kill)?;
        let parts = self.parts::<ClockState>();
        let now = parts.state.wall(parts.scope, INTERFACE).map_err(kill)?;
        // Whole milliseconds: a fraction would be lost or not, depending on the magnitude.
        Ok((now.as_secs_f64() * 1_000.0).floor())
    }

    fn elapsed_ms(&mut self) -> wasmtime::Result<f64> {
        self.scope().charge_host_call().map_err(kill)?;
        let parts = self.parts::<ClockState>();
        let elapsed = parts.state.elapsed(parts.scope, INTERFACE).map_err(kill)?;
        // As coarse as the clock of WASI, and for its reason: a finer one would measure caches.
        Ok((elapsed.as_secs_f64() * 1_000.0).floor())
    }
}
