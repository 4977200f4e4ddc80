//! `config`: a plugin reads its own `config:` from the plan, and nobody else's.

mod host;
#[cfg(test)]
mod tests;

use std::any::Any;

use flowhost_engine::{CallScope, Capability, Fault, HostState, Provider};
use serde_json::{Map, Value};
use wasmtime::component::Linker;

/// The capability.
pub struct Config;

/// What a store holds: the document, read once the guest asks for a key.
pub(crate) struct ConfigState {
    parsed: Option<Map<String, Value>>,
}

/// What is linked, for every run alike.
pub struct Seam;

impl Capability for Seam {
    fn name(&self) -> &'static str {
        "config"
    }

    fn interfaces(&self) -> &'static [&'static str] {
        &[host::INTERFACE]
    }

    fn link(&self, linker: &mut Linker<HostState>, granted: bool) -> wasmtime::Result<()> {
        if granted { host::link(linker) } else { Ok(()) }
    }
}

impl Provider for Config {
    fn capability(&self) -> &dyn Capability {
        &Seam
    }

    fn open(&self, _scope: &CallScope, _granted: bool) -> Result<Box<dyn Any + Send>, Fault> {
        Ok(Box::new(ConfigState { parsed: None }))
    }
}
