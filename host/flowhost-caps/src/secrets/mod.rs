//! `secrets`: values that the host holds so that a guest need not.
//!
//! A value is injected into a request after the decision, or, by a right of its own, revealed. Every
//! use is a record that names the secret and never holds it. What a plugin may know is redacted from
//! its log and from the responses it reads.

mod host;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::sync::Arc;

use flowhost_engine::{CallScope, Capability, Fault, HostState, Provider};
use wasmtime::component::Linker;

pub use crate::shared::redact::{REDACTED, Redacted, Redactor};
pub use crate::shared::secret::SecretStore;

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
