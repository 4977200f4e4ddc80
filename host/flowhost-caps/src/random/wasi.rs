//! `wasi:random` 0.2 over the same source; what WASI calls insecure is drawn the same way. There is
//! no error to hand out here, so a draw over the limit ends the call.

use flowhost_engine::{Fault, HostState};
use wasmtime::component::Linker;
use wasmtime_wasi::p2::bindings::random::{insecure, insecure_seed, random};

use crate::random::{DRAW_BYTES_MAX, RandomState};
use crate::shared::support::{HasView, View, kill};

pub(super) const RANDOM: &str = "wasi:random/random@0.2.12";
pub(super) const INSECURE: &str = "wasi:random/insecure@0.2.12";
pub(super) const INSECURE_SEED: &str = "wasi:random/insecure-seed@0.2.12";

pub(super) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    random::add_to_linker::<_, HasView>(linker, |state| View(state))?;
    insecure::add_to_linker::<_, HasView>(linker, |state| View(state))?;
    insecure_seed::add_to_linker::<_, HasView>(linker, |state| View(state))
}

impl View<'_> {
    fn draw(&mut self, interface: &str, length: u64) -> wasmtime::Result<Vec<u8>> {
        self.0.scope().charge_host_call().map_err(kill)?;
        let allowed = DRAW_BYTES_MAX as u64;
        let fits = usize::try_from(length).ok().filter(|_| length <= allowed);
        let over = || {
            kill(Fault::Limit {
                name: "random",
                used: length,
                allowed,
            })
        };
        let length = fits.ok_or_else(over)?;
        let parts = self.0.parts::<RandomState>();
        parts
            .state
            .draw(parts.scope, interface, length)
            .map_err(kill)
    }

    fn draw_u64(&mut self, interface: &str) -> wasmtime::Result<u64> {
        let bytes = self.draw(interface, 8)?;
        bytes
            .first_chunk::<8>()
            .map(|bytes| u64::from_le_bytes(*bytes))
            .ok_or_else(|| kill(Fault::Host("a draw came short".to_owned())))
    }
}

impl random::Host for View<'_> {
    fn get_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.draw(RANDOM, len)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.draw_u64(RANDOM)
    }
}

impl insecure::Host for View<'_> {
    fn get_insecure_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.draw(INSECURE, len)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.draw_u64(INSECURE)
    }
}

impl insecure_seed::Host for View<'_> {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        // Two host calls, as two draws are two records.
        Ok((self.draw_u64(INSECURE_SEED)?, self.draw_u64(INSECURE_SEED)?))
    }
}
