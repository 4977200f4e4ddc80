//! `flowhost:state`. What is read goes into the record's payload and what is written into its own,
//! so that a replay needs no disk and an erasure reaches both.

use std::sync::Arc;

use flowhost_engine::{CallScope, Fault, HostState, bindings::types, neutralise};
use flowhost_ledger::records::{Asked, HostCall};
use flowhost_policy::decide_state;
use wasmtime::component::Linker;

use crate::shared::support::{HasStore, Refusal, kill, settle};
use crate::state::OpenState;
use crate::state::store::{Expected, KEY_BYTES_MAX, Slot, StateError, StateStore};

mod bindings {
    wasmtime::component::bindgen!({
        inline: "
            package flowhost:host-state;
            world state { import flowhost:state/state@0.1.0; }
        ",
        path: ["../../wit/types/0.1.0", "../../wit/state/0.1.0"],
        world: "flowhost:host-state/state",
        imports: { default: async | trappable },
        with: { "flowhost:types/types@0.1.0": flowhost_engine::bindings::types },
    });
}

pub(super) use bindings::flowhost::state::state as wit;

pub(super) const INTERFACE: &str = "flowhost:state/state@0.1.0";

/// Longest namespace or key that a record holds, in characters.
const NAME_CHARS: usize = 256;

type Answer<T> = wasmtime::Result<Result<T, types::Error>>;

pub(super) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    wit::add_to_linker::<_, HasStore>(linker, |state| state)
}

/// One decided access.
struct Access {
    scope: CallScope,
    store: Arc<dyn StateStore>,
    slot: Slot,
    rule: String,
}

impl wit::Host for &mut HostState {
    async fn get(&mut self, namespace: String, key: String) -> Answer<Option<wit::Entry>> {
        let (scope, store) = charge(self)?;
        settle(async { open(scope, store, &namespace)?.get(&key).await }.await)
    }

    async fn set(&mut self, namespace: String, key: String, value: Vec<u8>) -> Answer<String> {
        let (scope, store) = charge(self)?;
        let set = async {
            let access = open(scope, store, &namespace)?;
            let revision = access.put("set", &key, value, Expected::Any).await?;
            revision.ok_or_else(|| Fault::Host("a write without a condition failed".into()).into())
        };
        settle(set.await)
    }

    async fn compare_and_swap(
        &mut self,
        namespace: String,
        key: String,
        expected: String,
        value: Vec<u8>,
    ) -> Answer<Option<String>> {
        let (scope, store) = charge(self)?;
        let swap = async {
            let access = open(scope, store, &namespace)?;
            let expected = revision(&expected)?;
            access.put("compare-and-swap", &key, value, expected).await
        };
        settle(swap.await)
    }

    async fn delete(&mut self, namespace: String, key: String) -> Answer<bool> {
        let (scope, store) = charge(self)?;
        settle(async { open(scope, store, &namespace)?.delete(&key).await }.await)
    }

    async fn list(&mut self, namespace: String, prefix: String) -> Answer<Vec<String>> {
        let (scope, store) = charge(self)?;
        settle(async { open(scope, store, &namespace)?.list(&prefix).await }.await)
    }
}

fn charge(state: &mut HostState) -> wasmtime::Result<(CallScope, Arc<dyn StateStore>)> {
    state.scope().charge_host_call().map_err(kill)?;
    let parts = state.parts::<OpenState>();
    Ok((parts.scope.clone(), Arc::clone(&parts.state.store)))
}

fn open(scope: CallScope, store: Arc<dyn StateStore>, namespace: &str) -> Result<Access, Refusal> {
    let rule = match decide_state(&scope.effective.grants.state, namespace) {
        Ok(allowed) => format!("state.namespaces[{}]", allowed.index),
        Err(mut denied) => {
            denied.wanted = neutralise(&denied.wanted, NAME_CHARS);
            scope.record_deny::<HostCall>(INTERFACE, &denied)?;
            return Err(types::Error::from(&denied).into());
        }
    };
    let slot = Slot {
        tenant: scope.run.tenant.to_string(),
        plugin: scope.plugin.to_string(),
        namespace: namespace.to_owned(),
    };
    Ok(Access {
        scope,
        store,
        slot,
        rule,
    })
}

impl Access {
    async fn get(&self, key: &str) -> Result<Option<wit::Entry>, Refusal> {
        let key = checked(key)?;
        let entry = self.store.get(&self.slot, key).await;
        let entry = entry.map_err(|error| self.refuse(error))?;
        let payload = entry.as_ref().map(|entry| entry.value.clone());
        self.record("get", key, payload)?;
        Ok(entry.map(|entry| wit::Entry {
            value: entry.value,
            revision: entry.revision.to_string(),
        }))
    }

    /// The record stands before the write: what is on disk is never without one.
    async fn put(
        &self,
        verb: &str,
        key: &str,
        value: Vec<u8>,
        expected: Expected,
    ) -> Result<Option<String>, Refusal> {
        let key = checked(key)?;
        self.record(verb, key, Some(value.clone()))?;
        let bytes_max = self.scope.effective.grants.state.bytes;
        let written = self.store.put(&self.slot, key, value, expected, bytes_max);
        let revision = written.await.map_err(|error| self.refuse(error))?;
        Ok(revision.map(|revision| revision.to_string()))
    }

    async fn delete(&self, key: &str) -> Result<bool, Refusal> {
        let key = checked(key)?;
        self.record("delete", key, None)?;
        let deleted = self.store.delete(&self.slot, key).await;
        deleted.map_err(|error| self.refuse(error))
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, Refusal> {
        let keys = self.store.list(&self.slot, prefix).await;
        let keys = keys.map_err(|error| self.refuse(error))?;
        self.record("list", prefix, Some(keys.join("\n").into_bytes()))?;
        Ok(keys)
    }

    fn record(&self, verb: &str, key: &str, value: Option<Vec<u8>>) -> Result<(), Fault> {
        let wanted = format!(
            "{verb} {}/{}",
            self.slot.namespace,
            neutralise(key, NAME_CHARS)
        );
        let asked = Asked::for_what(wanted);
        let asked = match value {
            Some(value) => asked.with_value(value),
            None => asked,
        };
        let call = HostCall::default();
        let fact = self.scope.allowed(call, INTERFACE, &self.rule, &asked);
        self.scope.run.recorder.append(fact)?;
        Ok(())
    }

    fn refuse(&self, error: StateError) -> Refusal {
        match error {
            StateError::Quota { used, allowed } => {
                self.scope.refuse_limit("state.bytes", used, allowed).into()
            }
            StateError::Storage(message) => Fault::Host(format!("state: {message}")).into(),
        }
    }
}

fn checked(key: &str) -> Result<&str, types::Error> {
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        let text = format!(
            "a key has 1 to {KEY_BYTES_MAX} bytes, this one {}",
            key.len()
        );
        return Err(types::Error::Invalid(text));
    }
    Ok(key)
}

fn revision(expected: &str) -> Result<Expected, types::Error> {
    if expected.is_empty() {
        return Ok(Expected::Absent);
    }
    let wrong =
        |_| types::Error::Invalid("`expected` is not a revision that this host gave".to_owned());
    expected.parse().map(Expected::Revision).map_err(wrong)
}
