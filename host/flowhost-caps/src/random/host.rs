//! `flowhost:random`.

use flowhost_engine::{CallScope, HostState, bindings::types};
use wasmtime::component::Linker;

use crate::random::{DRAW_BYTES_MAX, RandomState};
use crate::shared::bindings;
use crate::shared::support::{HasStore, Refusal, kill, settle};

bindings!(
    "import flowhost:random/random@0.1.0;",
    "../../wit/random/0.1.0",
    trappable,
    types
);

pub(super) use bindings::flowhost::random::random as wit;

pub(super) const INTERFACE: &str = "flowhost:random/random@0.1.0";

pub(super) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    wit::add_to_linker::<_, HasStore>(linker, |state| state)
}

impl wit::Host for &mut HostState {
    fn bytes(&mut self, length: i32) -> wasmtime::Result<Result<Vec<u8>, types::Error>> {
        self.scope().charge_host_call().map_err(kill)?;
        let parts = self.parts::<RandomState>();
        settle(draw(parts.state, parts.scope, length))
    }
}

fn draw(state: &mut RandomState, scope: &CallScope, length: i32) -> Result<Vec<u8>, Refusal> {
    let negative = |_| types::Error::Invalid("`length` is 0 or more".to_owned());
    let length = usize::try_from(length).map_err(negative)?;
    if length > DRAW_BYTES_MAX {
        let refused = scope.refuse_limit("random", length as u64, DRAW_BYTES_MAX as u64);
        return Err(refused.into());
    }
    Ok(state.draw(scope, INTERFACE, length)?)
}
