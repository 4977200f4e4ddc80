//! `env`: the variables that the profile's `[env]` names, and never the host's own environment.
//!
//! `wasi:cli/environment` is dragged in by language runtimes: without the right it is empty. There are
//! no arguments and no working folder, whatever the profile says.

mod host;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use flowhost_engine::{CallScope, Capability, Fault, HostState, Provider};
use flowhost_policy::EnvValue;
use wasmtime::component::Linker;

/// Variables of the host that a profile may name with `from`, read once when the process starts.
pub trait HostVariables: Send + Sync + 'static {
    /// The value of `name`, if it is set and UTF-8.
    fn get(&self, name: &str) -> Option<String>;
}

/// The capability.
pub struct Env {
    host: Arc<dyn HostVariables>,
}

impl Env {
    /// With `host` for values that the profile takes from there.
    #[must_use]
    pub fn new(host: Arc<dyn HostVariables>) -> Self {
        Self { host }
    }
}

/// What a store holds.
pub(crate) struct EnvState {
    variables: Vec<(String, String)>,
    /// Those of them that come from the host: what the profile says itself needs no record.
    foreign: Vec<String>,
}

impl EnvState {
    /// Records which variables of the host the guest is told, and the commitment to each value: a replay
    /// takes them from the host again, and finds a value that is another.
    fn commit(&self, scope: &CallScope, interface: &'static str) -> Result<(), Fault> {
        if self.foreign.is_empty() {
            return Ok(());
        }
        let commitments: BTreeMap<&str, String> = self
            .variables
            .iter()
            .filter(|(name, _)| self.foreign.contains(name))
            .map(|(name, value)| (name.as_str(), scope.commitment(value)))
            .collect();
        let names = self.foreign.join(" ");
        scope.committed(interface, "get-environment", &names, &commitments)
    }
}

/// What is linked, for every run alike.
pub struct Seam;

impl Capability for Seam {
    fn name(&self) -> &'static str {
        "env"
    }

    fn interfaces(&self) -> &'static [&'static str] {
        &[]
    }

    fn runtime_interfaces(&self) -> &'static [&'static str] {
        &[host::ENVIRONMENT]
    }

    fn link(&self, linker: &mut Linker<HostState>, _granted: bool) -> wasmtime::Result<()> {
        host::link(linker)
    }
}

impl Provider for Env {
    fn capability(&self) -> &dyn Capability {
        &Seam
    }

    fn open(&self, scope: &CallScope, _granted: bool) -> Result<Box<dyn Any + Send>, Fault> {
        let granted = &scope.effective.grants.env;
        let mut variables = Vec::new();
        for (name, value) in granted {
            // One that the host does not have is not set for the guest either, as in a shell: an empty
            // text would be a value.
            let value = match value {
                EnvValue::Literal(value) => Some(value.clone()),
                EnvValue::From(source) => self.host.get(source),
            };
            variables.extend(value.map(|value| (name.clone(), value)));
        }
        variables.iter().try_for_each(check)?;
        let foreign = granted
            .iter()
            .filter(|(_, value)| matches!(value, EnvValue::From(_)))
            .map(|(name, _)| name.clone())
            .collect();
        Ok(Box::new(EnvState { variables, foreign }))
    }
}

/// What no environment can hold (CAP-008). Profiles are checked when they are read; this is for
/// values that come from the host.
fn check((name, value): &(String, String)) -> Result<(), Fault> {
    if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
        let name = flowhost_engine::neutralise(name, 64);
        return Err(Fault::Host(format!("`[env] {name}` cannot be a variable")));
    }
    Ok(())
}
