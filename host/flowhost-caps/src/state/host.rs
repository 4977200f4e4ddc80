//! `flowhost:state`. What is read goes into the record's payload, what is written into its own, and what
//! came of a write into one behind it, so that a replay needs no disk and an erasure reaches all of them.

use std::sync::Arc;

use flowhost_engine::{Bytes, CallScope, Fault, HostState, Told, bindings::types, neutralise};
use flowhost_ledger::records::{Asked, HostCall};
use flowhost_policy::decide_state;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use wasmtime::component::Linker;

use crate::shared::bindings;
use crate::shared::support::{HasStore, Refusal, bytes, heard, kill, settle, told};
use crate::state::OpenState;
use crate::state::store::{Expected, KEY_BYTES_MAX, Slot, StateError, StateStore};

bindings!("import flowhost:state/state@0.1.0;", "../../wit/state/0.1.0", async | trappable, types);

pub(super) use bindings::flowhost::state::state as wit;

pub(super) const INTERFACE: &str = "flowhost:state/state@0.1.0";

/// Longest namespace or key that a record holds, in characters. A refused name may be anything, and what a guest
/// says at will must not swell the ledger.
const NAME_CHARS: usize = 256;

type Answer<T> = wasmtime::Result<Result<T, types::Error>>;

pub(super) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    wit::add_to_linker::<_, HasStore>(linker, |state| state)
}

/// A value that was read, as its record has it.
#[derive(Serialize, Deserialize)]
struct Found {
    value: Bytes,
    revision: String,
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
            access
                .put("set", &key, value, Expected::Any)
                .await?
                .ok_or_else(|| Fault::Host("a write without a condition failed".into()).into())
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
        let look = told(async {
            let entry = self
                .store
                .get(&self.slot, key)
                .await
                .map_err(|error| self.refuse(error))?;
            Ok(entry.map(|entry| Found {
                value: entry.value.into(),
                revision: entry.revision.to_string(),
            }))
        });
        let (record, wanted) = (HostCall::default(), self.wanted("get", key));
        let seen = self.scope.look(record, INTERFACE, &self.rule, wanted, look);
        let entry = heard(&self.scope, seen.await)?;
        entry
            .map(|Found { value, revision }| {
                let value = bytes(value)?;
                Ok(wit::Entry { value, revision })
            })
            .transpose()
    }

    /// The record stands before the write: what is on disk is never without one. What came of it is a
    /// record of its own.
    async fn put(
        &self,
        verb: &str,
        key: &str,
        value: Vec<u8>,
        expected: Expected,
    ) -> Result<Option<String>, Refusal> {
        let key = checked(key)?;
        self.intend(verb, key, Some(value.clone())).await?;
        let bytes_max = self.scope.effective.grants.state.bytes;
        let write = told(async {
            let revision = self
                .store
                .put(&self.slot, key, value, expected, bytes_max)
                .await
                .map_err(|error| self.refuse(error))?;
            Ok(revision.map(|revision| revision.to_string()))
        });
        self.done(verb, key, write).await
    }

    async fn delete(&self, key: &str) -> Result<bool, Refusal> {
        let key = checked(key)?;
        self.intend("delete", key, None).await?;
        let delete = told(async {
            self.store
                .delete(&self.slot, key)
                .await
                .map_err(|error| self.refuse(error))
        });
        self.done("delete", key, delete).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, Refusal> {
        let look = told(async {
            self.store
                .list(&self.slot, prefix)
                .await
                .map_err(|error| self.refuse(error))
        });
        let (record, wanted) = (HostCall::default(), self.wanted("list", prefix));
        let seen = self.scope.look(record, INTERFACE, &self.rule, wanted, look);
        heard(&self.scope, seen.await)
    }

    /// Records what came of a write.
    async fn done<T: Serialize + DeserializeOwned>(
        &self,
        verb: &str,
        key: &str,
        write: impl Future<Output = Result<Result<T, Told>, Fault>>,
    ) -> Result<T, Refusal> {
        let wanted = self.wanted(verb, key);
        let written = self.scope.outside(INTERFACE, verb, &wanted, write);
        heard(&self.scope, written.await)
    }

    fn wanted(&self, verb: &str, key: &str) -> String {
        let (namespace, key) = (&self.slot.namespace, neutralise(key, NAME_CHARS));
        format!("{verb} {namespace}/{key}")
    }

    /// Records what is meant, and waits until that is on disk: the store writes through, and after a crash
    /// a value must not stand there that no record speaks of.
    async fn intend(&self, verb: &str, key: &str, value: Option<Vec<u8>>) -> Result<(), Fault> {
        let asked = Asked::for_what(self.wanted(verb, key));
        let asked = match value {
            Some(value) => asked.with_value(value),
            None => asked,
        };
        let call = HostCall::default();
        let fact = self.scope.allowed(call, INTERFACE, &self.rule, &asked);
        self.scope.record_durable(fact).await?;
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
