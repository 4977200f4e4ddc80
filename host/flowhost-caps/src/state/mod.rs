//! `state`: small values that the host keeps for a plugin, so that they outlive its instances, a
//! reload and the process. A plugin sees its own namespaces only, never another's of the same name.

mod folder;
mod host;
mod namespace;
mod store;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::sync::Arc;

use flowhost_engine::{CallScope, Capability, Fault, HostState, Provider};
use wasmtime::component::Linker;

pub use folder::FolderStore;
pub use store::{Entry, Expected, KEY_BYTES_MAX, KEYS_LISTED_MAX, Slot, StateError, StateStore};

/// The capability.
pub struct State {
    store: Arc<dyn StateStore>,
}

impl State {
    /// With values kept in `store`.
    #[must_use]
    pub fn new(store: Arc<dyn StateStore>) -> Self {
        Self { store }
    }
}

/// What a store holds.
pub(crate) struct OpenState {
    store: Arc<dyn StateStore>,
}

/// What is linked, for every run alike.
pub struct Seam;

impl Capability for Seam {
    fn name(&self) -> &'static str {
        "state"
    }

    fn interfaces(&self) -> &'static [&'static str] {
        &[host::INTERFACE]
    }

    fn link(&self, linker: &mut Linker<HostState>, granted: bool) -> wasmtime::Result<()> {
        if granted { host::link(linker) } else { Ok(()) }
    }
}

impl Provider for State {
    fn capability(&self) -> &dyn Capability {
        &Seam
    }

    fn open(&self, _scope: &CallScope, _granted: bool) -> Result<Box<dyn Any + Send>, Fault> {
        let store = Arc::clone(&self.store);
        Ok(Box::new(OpenState { store }))
    }
}
