//! `budget`: a plugin asks what it may still spend. Reading changes nothing.

mod host;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::sync::Arc;

use flowhost_engine::{CallScope, Capability, Fault, HostState, Provider};
use wasmtime::component::Linker;

pub use crate::shared::money::Left;

/// Where the run's budget is kept.
pub trait BudgetView: Send + Sync + 'static {
    /// What the caller may still spend: the smallest of its own, the step's and the run's.
    fn left(&self, caller: &CallScope) -> Left;
}

/// The capability.
pub struct Budget {
    view: Arc<dyn BudgetView>,
}

impl Budget {
    /// With the amounts of `view`.
    #[must_use]
    pub fn new(view: Arc<dyn BudgetView>) -> Self {
        Self { view }
    }
}

/// What a store holds.
pub(crate) struct BudgetState {
    view: Arc<dyn BudgetView>,
}

/// What is linked, for every run alike.
pub struct Seam;

impl Capability for Seam {
    fn name(&self) -> &'static str {
        "budget"
    }

    fn interfaces(&self) -> &'static [&'static str] {
        &[host::INTERFACE]
    }

    fn link(&self, linker: &mut Linker<HostState>, granted: bool) -> wasmtime::Result<()> {
        if granted { host::link(linker) } else { Ok(()) }
    }
}

impl Provider for Budget {
    fn capability(&self) -> &dyn Capability {
        &Seam
    }

    fn open(&self, _scope: &CallScope, _granted: bool) -> Result<Box<dyn Any + Send>, Fault> {
        let view = Arc::clone(&self.view);
        Ok(Box::new(BudgetState { view }))
    }
}
