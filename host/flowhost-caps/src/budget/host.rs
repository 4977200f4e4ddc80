//! `flowhost:budget`. Linked by hand, because the fuel that is left is known to the store only. What
//! others have left of tokens and money, and what is left of time, are recorded: the guest may go by them.

use std::sync::atomic::Ordering;

use flowhost_engine::HostState;
use serde::{Deserialize, Serialize};
use wasmtime::StoreContextMut;
use wasmtime::component::Linker;

use crate::budget::BudgetState;
use crate::shared::bindings;
use crate::shared::support::kill;

bindings!(
    "import flowhost:budget/budget@0.1.0;",
    "../../wit/budget/0.1.0",
    trappable
);

pub(super) use bindings::flowhost::budget::budget::Remaining;

pub(super) const INTERFACE: &str = "flowhost:budget/budget@0.1.0";

pub(super) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    let mut instance = linker.instance(INTERFACE)?;
    instance.func_wrap(
        "left",
        |mut store: StoreContextMut<'_, HostState>, (): ()| {
            // A store without fuel metering has used nothing.
            let fuel = store.get_fuel().ok();
            Ok((left(store.data_mut(), fuel)?,))
        },
    )
}

pub(super) fn left(state: &mut HostState, fuel: Option<u64>) -> wasmtime::Result<Remaining> {
    state.scope().charge_host_call().map_err(kill)?;
    let parts = state.parts::<BudgetState>();
    let (scope, limits) = (parts.scope, &parts.scope.effective.limits);
    let calls = scope.meter.host_calls.load(Ordering::Relaxed);
    let outside = scope.at_once(INTERFACE, "left", "", || {
        let money = parts.state.view.left(scope);
        Outside {
            deadline_ms: u64::try_from(scope.remaining().as_millis()).unwrap_or(u64::MAX),
            tokens: money.tokens,
            micro_usd: money.micro_usd,
        }
    });
    let outside = outside.map_err(kill)?;
    Ok(Remaining {
        fuel: fuel.unwrap_or(limits.fuel).to_string(),
        host_calls: limits.host_calls.saturating_sub(calls).to_string(),
        #[expect(clippy::cast_precision_loss, reason = "exact up to 285,000 years")]
        deadline_ms: outside.deadline_ms as f64,
        tokens: outside.tokens.to_string(),
        micro_usd: outside.micro_usd.to_string(),
    })
}

/// What neither the call's rights nor its store say.
#[derive(Serialize, Deserialize)]
struct Outside {
    deadline_ms: u64,
    tokens: u64,
    micro_usd: u64,
}
