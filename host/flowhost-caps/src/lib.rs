//! Host capabilities, one folder each; none knows another.
//!
//! This file owns the list and what the binary must bring ([`Services`]). It must never decide a
//! right or act: policy decides, a folder's `host.rs` acts, and the engine links what is granted.

pub mod files;
pub mod http;
pub mod secrets;

use std::sync::Arc;

use flowhost_engine::Capability;

/// What capabilities need from the process that hosts them. Every field is a trait of the folder
/// that uses it, so that a test brings doubles and the binary brings the world.
pub struct Services {}

/// Every capability there is, in the order in which they are linked.
#[must_use]
pub fn all(services: Services) -> Vec<Arc<dyn Capability>> {
    let Services {} = services;
    vec![]
}
