//! `wasi:cli/environment` 0.2.

use flowhost_engine::HostState;
use wasmtime::component::Linker;
use wasmtime_wasi::p2::bindings::cli::environment;

use crate::env::EnvState;
use crate::shared::support::{HasView, View, kill};

pub(super) const ENVIRONMENT: &str = "wasi:cli/environment@0.2.12";

pub(super) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    environment::add_to_linker::<_, HasView>(linker, |state| View(state))
}

impl environment::Host for View<'_> {
    fn get_environment(&mut self) -> wasmtime::Result<Vec<(String, String)>> {
        self.0.scope().charge_host_call().map_err(kill)?;
        let parts = self.0.parts::<EnvState>();
        parts.state.commit(parts.scope, ENVIRONMENT).map_err(kill)?;
        Ok(parts.state.variables.clone())
    }

    fn get_arguments(&mut self) -> wasmtime::Result<Vec<String>> {
        self.0.scope().charge_host_call().map_err(kill)?;
        Ok(Vec::new())
    }

    fn initial_cwd(&mut self) -> wasmtime::Result<Option<String>> {
        self.0.scope().charge_host_call().map_err(kill)?;
        Ok(None)
    }
}
