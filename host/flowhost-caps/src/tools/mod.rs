//! `tools`: a plugin calls tools of other plugins, through the host.
//!
//! Nothing is passed on: a tool runs under its own effective rights, never under its caller's, and
//! the caller learns only what the tool answers. Rights can therefore only shrink along a chain of
//! calls: what may be called is decided for each link of it, by that link's own grant (CAP-014). A
//! chain that comes back to one of its own links is refused, because all of them wait (DOS-032).

mod host;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::sync::Arc;

use async_trait::async_trait;
use flowhost_engine::{CallScope, Capability, Descriptor, Fault, HostState, Provider, ToolContent};
use wasmtime::component::Linker;

/// Plugins that may wait for each other at once: each holds an instance while it waits, and a chain that is
/// longer is a loop that nobody saw.
pub const CHAIN_MAX: usize = 8;

/// Finds tools and calls them; the host's own.
#[async_trait]
pub trait ToolRouter: Send + Sync + 'static {
    /// Every tool of the plan, named `plugin/tool`, whoever asks: what the caller may see is
    /// decided here, not there.
    fn list(&self, caller: &CallScope) -> Vec<Descriptor>;

    /// The name under which the plugin that `caller` calls `plugin` waits in
    /// [`CallScope::callers`]; another one where plugins are known by more than their plan's name.
    fn key(&self, _caller: &CallScope, plugin: &str) -> String {
        plugin.to_owned()
    }

    /// Calls `plugin/tool` with a canonical document. The router checks `input` against the tool's schema
    /// before the tool's guest runs ([`Fault::Guest`] `invalid`), applies guardrails, records the call and its result,
    /// and gives the tool a scope of its own whose `callers` are the caller's and the caller, and
    /// whose deadline is no later than the caller's.
    ///
    /// # Errors
    /// How the tool's call ended. [`Fault::Ledger`], [`Fault::Host`] and [`Fault::Cancelled`] end
    /// the caller's call too; every other fault the caller reads as an error and goes on.
    async fn call(&self, caller: &CallScope, name: &str, input: &str)
    -> Result<ToolContent, Fault>;
}

/// The capability.
pub struct Tools {
    router: Arc<dyn ToolRouter>,
}

impl Tools {
    /// With the tools of `router`.
    #[must_use]
    pub fn new(router: Arc<dyn ToolRouter>) -> Self {
        Self { router }
    }
}

/// What a store holds.
pub(crate) struct ToolsState {
    router: Arc<dyn ToolRouter>,
}

/// What is linked, for every run alike.
pub struct Seam;

impl Capability for Seam {
    fn name(&self) -> &'static str {
        "tools"
    }

    fn interfaces(&self) -> &'static [&'static str] {
        &[host::INTERFACE]
    }

    fn link(&self, linker: &mut Linker<HostState>, granted: bool) -> wasmtime::Result<()> {
        if granted { host::link(linker) } else { Ok(()) }
    }
}

impl Provider for Tools {
    fn capability(&self) -> &dyn Capability {
        &Seam
    }

    fn open(&self, _scope: &CallScope, _granted: bool) -> Result<Box<dyn Any + Send>, Fault> {
        let router = Arc::clone(&self.router);
        Ok(Box::new(ToolsState { router }))
    }
}
