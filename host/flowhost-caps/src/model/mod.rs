//! `model`: a plugin asks a language model, through the host's gateway.
//!
//! The host holds the keys, decides the model by the plugin's grant (again for every model that a
//! fail-over would take instead), reserves what the answer can cost before anything leaves, and
//! settles what it did cost. Each try is a pair of records, the intent on disk before the request. A
//! call that is stopped in the middle is booked with all that it had reserved, because nobody knows
//! what the provider will charge.

mod answer;
mod host;
mod log;
mod prompt;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::sync::Arc;

use flowhost_engine::{CallScope, Capability, Fault, HostState, Provider, Shortfall};
use flowhost_models::Gateway;
use wasmtime::component::Linker;

use crate::shared::money::Left;

/// Names what was held for one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HoldId(pub u64);

/// What the host knows of a call beyond its scope.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The step's stage; empty for none.
    pub stage: String,
    /// Version of the step's prompt; empty for none.
    pub prompt_version: String,
    /// Id of the estimate that the run was started with; empty for none.
    pub estimate: String,
}

/// Where a run's tokens and money are kept.
pub trait Spending: Send + Sync + 'static {
    /// Holds `want` for the caller until it is settled, if the plugin's own ceiling, the step's
    /// allowance and the run's budget all have room; the id counts the model calls of the run.
    ///
    /// # Errors
    /// The first ceiling that has no room. Nothing is held then.
    fn hold(&self, caller: &CallScope, want: Left) -> Result<HoldId, Shortfall>;

    /// Books what was spent and returns the rest; exactly once for each hold.
    fn settle(&self, hold: HoldId, spent: Left);

    /// What the plan says of the caller's step.
    fn origin(&self, caller: &CallScope) -> Origin;
}

/// What the capability needs from the host.
#[derive(Clone)]
pub struct ModelServices {
    /// Asks providers.
    pub gateway: Gateway,
    /// Keeps the budget.
    pub spending: Arc<dyn Spending>,
    /// Whether keys and personal data are taken out of prompts and answers.
    pub redact: bool,
}

/// The capability.
pub struct Model {
    services: ModelServices,
}

impl Model {
    /// With the models of `services`.
    #[must_use]
    pub const fn new(services: ModelServices) -> Self {
        Self { services }
    }
}

/// What a store holds.
pub(crate) struct ModelState {
    services: ModelServices,
    /// Model calls of this call so far.
    calls: u64,
}

/// What is linked, for every run alike.
pub struct Seam;

impl Capability for Seam {
    fn name(&self) -> &'static str {
        "model"
    }

    fn interfaces(&self) -> &'static [&'static str] {
        &[host::INTERFACE]
    }

    fn link(&self, linker: &mut Linker<HostState>, granted: bool) -> wasmtime::Result<()> {
        if granted { host::link(linker) } else { Ok(()) }
    }
}

impl Provider for Model {
    fn capability(&self) -> &dyn Capability {
        &Seam
    }

    fn open(&self, _scope: &CallScope, _granted: bool) -> Result<Box<dyn Any + Send>, Fault> {
        let services = self.services.clone();
        Ok(Box::new(ModelState { services, calls: 0 }))
    }
}
