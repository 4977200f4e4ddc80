//! `flowhost:config`. Reading it is no effect and always gives the same, so it is not a record:
//! the plan's hash already says what a plugin was given.

use flowhost_engine::{Fault, HostState};
use serde_json::{Map, Value};
use wasmtime::component::Linker;

use crate::config::ConfigState;
use crate::shared::bindings;
use crate::shared::support::{HasStore, kill};

bindings!(
    "import flowhost:config/config@0.1.0;",
    "../../wit/config/0.1.0",
    trappable,
    types
);

pub(super) use bindings::flowhost::config::config as wit;

pub(super) const INTERFACE: &str = "flowhost:config/config@0.1.0";

pub(super) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    wit::add_to_linker::<_, HasStore>(linker, |state| state)
}

impl wit::Host for &mut HostState {
    fn get(&mut self, key: String) -> wasmtime::Result<Option<String>> {
        self.scope().charge_host_call().map_err(kill)?;
        let parts = self.parts::<ConfigState>();
        // Parsed with the first key: who asks for the whole document, or for nothing, needs none of it.
        if parts.state.parsed.is_none() {
            parts.state.parsed = Some(parse(&parts.scope.config).map_err(kill)?);
        }
        let parsed = parts.state.parsed.as_ref();
        Ok(parsed.and_then(|map| map.get(&key)).map(Value::to_string))
    }

    fn all(&mut self) -> wasmtime::Result<String> {
        self.scope().charge_host_call().map_err(kill)?;
        let config = &self.scope().config;
        // A guest parses what it gets: no text at all would be no JSON.
        Ok(if config.is_empty() { "{}" } else { config }.to_owned())
    }
}

/// The plan is checked before a run, so anything but an object here is the host's mistake.
fn parse(config: &str) -> Result<Map<String, Value>, Fault> {
    if config.is_empty() {
        return Ok(Map::new());
    }
    serde_json::from_str(config).map_err(|error| Fault::Host(format!("config: {error}")))
}
