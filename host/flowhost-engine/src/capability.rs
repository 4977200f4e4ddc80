//! The seam: what a host capability is, what a run brings for it, and the state of a store that it
//! works on.
//!
//! A capability is the process's: its names and its host functions are the same for every run. What
//! it acts on (folders, budget, bus, secrets) is a run's, and comes with the run's scope as a
//! [`Provider`]. So one engine serves all runs, and a run cannot reach what another brought. One loop
//! fills linker and state (`open` is called exactly for what was linked), so "linked but no state"
//! cannot be.

use std::any::{Any, TypeId, type_name};
use std::pin::Pin;

use flowhost_policy::{Effective, Limits, Right};
use wasmtime::component::{Linker, ResourceTable};

use crate::fault::Fault;
use crate::instance::Deadline;
use crate::limits::Limiter;
use crate::scope::CallScope;

/// One power of the host that a profile can grant.
pub trait Capability: Send + Sync + 'static {
    /// The profile key and the prefix of its records: `files`.
    fn name(&self) -> &'static str;

    /// The interfaces that need the grant, versioned: `flowhost:files/files@0.1.0`.
    fn interfaces(&self) -> &'static [&'static str];

    /// WASI interfaces that language runtimes drag in; linked to an empty, bounded implementation
    /// when the grant is missing and to the granted one when it is there.
    fn runtime_interfaces(&self) -> &'static [&'static str] {
        &[]
    }

    /// The right behind it, as its interfaces say; `None` for what every component gets.
    fn right(&self) -> Option<&'static Right> {
        let mut interfaces = self.interfaces().iter().chain(self.runtime_interfaces());
        interfaces.find_map(|interface| Right::behind(interface).map(|(right, _)| right))
    }

    /// Whether its interfaces are linked under `effective`.
    fn granted(&self, effective: &Effective) -> bool {
        self.right().is_none_or(|right| right.is_linked(effective))
    }

    /// The profile lines that would grant it, for the message of a refusal.
    fn cure(&self) -> &'static str {
        self.right().map_or("", |right| right.lines)
    }

    /// Links its interfaces: all of them when `granted`, else only the runtime interfaces. Called
    /// when the component imports at least one of them.
    ///
    /// # Errors
    /// When a name is linked twice, which is a bug.
    fn link(&self, linker: &mut Linker<HostState>, granted: bool) -> wasmtime::Result<()>;
}

/// What a run brings for one capability.
pub trait Provider: Send + Sync + 'static {
    /// The capability that it opens.
    fn capability(&self) -> &dyn Capability;

    /// The state that its host functions find through [`HostState::parts`]; opened for every call
    /// of a component that it was linked for, and dropped with the store. `granted` as in
    /// [`Capability::link`].
    ///
    /// # Errors
    /// A [`Fault`] that ends the call before the guest runs.
    fn open(&self, scope: &CallScope, granted: bool) -> Result<Box<dyn Any + Send>, Fault>;

    /// Ends what it holds for the run, when the last call is over and before the ledger is sealed.
    fn end(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::ready(()))
    }
}

/// The data of a store: scope, handles, and one state per linked capability.
pub struct HostState {
    scope: CallScope,
    table: ResourceTable,
    states: Vec<(TypeId, Box<dyn Any + Send>)>,
    limiter: Limiter,
    deadline: Option<Deadline>,
}

/// What a host function works on, borrowed at once.
pub struct Parts<'a, S> {
    /// The capability's own state.
    pub state: &'a mut S,
    /// Who calls, under which rights.
    pub scope: &'a CallScope,
    /// Handles of this store.
    pub table: &'a mut ResourceTable,
}

impl HostState {
    /// A state without capabilities, under the limits of the scope's effective rights.
    #[must_use]
    pub fn new(scope: CallScope) -> Self {
        let limits = scope.effective.limits.clone();
        Self::with(scope, &limits, None)
    }

    /// The state of a call that the engine runs.
    pub(crate) fn confined(scope: CallScope, limits: &Limits, deadline: Deadline) -> Self {
        Self::with(scope, limits, Some(deadline))
    }

    fn with(scope: CallScope, limits: &Limits, deadline: Option<Deadline>) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(usize::try_from(limits.handles).unwrap_or(usize::MAX));
        let limiter = Limiter::new(limits);
        Self {
            scope,
            table,
            states: Vec::new(),
            limiter,
            deadline,
        }
    }

    pub(crate) fn limiter(&self) -> &Limiter {
        &self.limiter
    }

    pub(crate) fn limiter_mut(&mut self) -> &mut Limiter {
        &mut self.limiter
    }

    pub(crate) fn deadline(&self) -> Option<Deadline> {
        self.deadline
    }

    /// Adds a capability's state. The box holds the concrete type that its host functions ask for.
    pub fn insert(&mut self, state: Box<dyn Any + Send>) {
        self.states.push(((*state).type_id(), state));
    }

    /// The call's scope.
    #[must_use]
    pub fn scope(&self) -> &CallScope {
        &self.scope
    }

    /// A capability's state with scope and table.
    ///
    /// # Panics
    /// Never for a linked interface: linker and states are filled by the same loop.
    #[must_use]
    pub fn parts<S: 'static>(&mut self) -> Parts<'_, S> {
        let state = self
            .states
            .iter_mut()
            // A search and no map: a component links a handful of capabilities.
            .find(|(id, _)| *id == TypeId::of::<S>())
            .and_then(|(_, state)| state.downcast_mut::<S>())
            .unwrap_or_else(|| unreachable_state(type_name::<S>()));
        Parts {
            state,
            scope: &self.scope,
            table: &mut self.table,
        }
    }
}

#[expect(
    clippy::panic,
    reason = "a linked interface without state is a bug of the seam"
)]
fn unreachable_state(name: &str) -> ! {
    panic!("no state `{name}` in this store")
}
