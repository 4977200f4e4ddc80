//! `flowhost:secrets`. What is asked for is decided before the store is: a name that is not granted
//! is never looked up, so that a refusal tells nothing about what the host has (CAP-010).

use flowhost_engine::{CallScope, HostState, bindings::types, neutralise};
use flowhost_ledger::records::{HostCall, SecretUse};
use flowhost_policy::decide_reveal;
use wasmtime::component::Linker;

use crate::secrets::{SecretStore, SecretsState};
use crate::shared::bindings;
use crate::shared::support::{HasStore, Refusal, kill, settle};

bindings!(
    "import flowhost:secrets/secrets@0.1.0;",
    "../../wit/secrets/0.1.0",
    trappable,
    types
);

pub(super) use bindings::flowhost::secrets::secrets as wit;

pub(super) const INTERFACE: &str = "flowhost:secrets/secrets@0.1.0";

/// Longest name that a record holds, in characters. A refused name may be anything, and what a guest says at will
/// must not swell the ledger.
const NAME_CHARS: usize = 128;

pub(super) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    wit::add_to_linker::<_, HasStore>(linker, |state| state)
}

impl wit::Host for &mut HostState {
    fn names(&mut self) -> wasmtime::Result<Vec<String>> {
        let scope = self.scope();
        scope.charge_host_call().map_err(kill)?;
        let mut names = scope.effective.grants.secrets.names.clone();
        // The order of a profile is the operator's and says nothing to a guest.
        names.sort_unstable();
        names.dedup();
        scope
            .record_allow::<HostCall>(INTERFACE, "secrets.names", "names")
            .map_err(kill)?;
        Ok(names)
    }

    fn reveal(&mut self, name: String) -> wasmtime::Result<Result<String, types::Error>> {
        let scope = self.scope();
        scope.charge_host_call().map_err(kill)?;
        let parts = self.parts::<SecretsState>();
        settle(reveal(&*parts.state.store, parts.scope, &name))
    }
}

fn reveal(store: &dyn SecretStore, scope: &CallScope, name: &str) -> Result<String, Refusal> {
    let rule = match decide_reveal(&scope.effective.grants.secrets, name) {
        Ok(allowed) => format!("secrets.reveal[{}]", allowed.index),
        Err(mut denied) => {
            denied.wanted = neutralise(&denied.wanted, NAME_CHARS);
            scope.record_deny::<SecretUse>(INTERFACE, &denied)?;
            return Err(types::Error::from(&denied).into());
        }
    };
    // Before the store is asked: what is told is never without a record, also where there is no
    // value.
    scope.record_allow::<SecretUse>(INTERFACE, &rule, name)?;
    let value = store.get(name);
    let missing = || types::Error::Failed(format!("the host has no value for `{name}`"));
    let told = value.as_deref().map(|value| scope.commitment(value));
    scope.committed(INTERFACE, "reveal", name, &told)?;
    let value = value.ok_or_else(missing)?;
    // Before the guest has it, so that no log line of it comes first.
    store.revealed(name, &value);
    Ok(value.as_str().to_owned())
}
