//! `secrets`: values that the host holds so that a guest need not.
//!
//! A value is injected into a request after the decision, or, by a right of its own, revealed. Every
//! use is a record that names the secret and never holds it. What a plugin may know is redacted from
//! its log and from the responses it reads.

mod host;
mod redact;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::sync::Arc;

use flowhost_engine::{CallScope, Capability, Fault, HostState, Provider};
use flowhost_policy::Effective;
use wasmtime::component::Linker;
use zeroize::Zeroizing;

pub use redact::{REDACTED, Redacted, Redactor};

/// Where secret values come from.
pub trait SecretStore: Send + Sync + 'static {
    /// The value of `name`, if this host has one.
    fn get(&self, name: &str) -> Option<Zeroizing<String>>;

    /// A guest is about to be told this value: whoever keeps what guests write can look for it from now on.
    fn revealed(&self, _name: &str, _value: &str) {}
}

/// The capability.
pub struct Secrets {
    store: Arc<dyn SecretStore>,
}

impl Secrets {
    /// With the values of `store`.
    #[must_use]
    pub fn new(store: Arc<dyn SecretStore>) -> Self {
        Self { store }
    }
}

/// What a store holds.
pub(crate) struct SecretsState {
    store: Arc<dyn SecretStore>,
}

/// What is linked, for every run alike.
pub struct Seam;

impl Capability for Seam {
    fn name(&self) -> &'static str {
        "secrets"
    }

    fn interfaces(&self) -> &'static [&'static str] {
        &[host::INTERFACE]
    }

    fn granted(&self, effective: &Effective) -> bool {
        let granted = &effective.grants.secrets;
        !granted.names.is_empty() || !granted.reveal.is_empty()
    }

    fn cure(&self) -> &'static str {
        "[secrets]\nnames = [\"NAME\"]"
    }

    fn link(&self, linker: &mut Linker<HostState>, granted: bool) -> wasmtime::Result<()> {
        if granted { host::link(linker) } else { Ok(()) }
    }
}

impl Provider for Secrets {
    fn capability(&self) -> &dyn Capability {
        &Seam
    }

    fn open(&self, _scope: &CallScope, _granted: bool) -> Result<Box<dyn Any + Send>, Fault> {
        let store = Arc::clone(&self.store);
        Ok(Box::new(SecretsState { store }))
    }
}
