//! The sandbox: wasmtime lives here and nowhere else. It admits components, compiles them in a child
//! process, runs each call in a fresh store under all its limits, and links exactly the capabilities
//! that the effective profile grants.
//!
//! It must never open a file on a guest's behalf, dial, or decide a right: capabilities act, policy
//! decides, this crate confines.

pub mod bindings;
mod capability;
mod fault;
mod scope;

pub use capability::{Capability, HostState, Parts};
pub use fault::{Fault, Owner};
pub use scope::{CallScope, Meter, RunScope};
