//! `random`: bytes from the run's seed or from the operating system, as `flowhost:random` and as
//! `wasi:random`.
//!
//! Seeded bytes are a ChaCha20 stream of the step's seed: the same for every attempt and every replay,
//! different for every step and plugin. Bytes of the operating system are recorded with their
//! payload, so that a replay draws them again. Without the right, language runtimes that insist on
//! randomness (hash tables) get seeded bytes, which are nothing that the guest could not compute.

mod host;
#[cfg(test)]
mod tests;
mod wasi;

use std::any::Any;
use std::sync::Arc;

use flowhost_engine::{CallScope, Capability, Fault, HostState, Provider};
use flowhost_ledger::records::{Decision, DecisionPart, HostCall};
use flowhost_policy::RandomSource;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use wasmtime::component::Linker;

/// Most bytes that one draw gives: enough for a key of any kind, too little to be a burden.
pub const DRAW_BYTES_MAX: usize = 64 << 10;

/// Where real randomness comes from.
pub trait Entropy: Send + Sync + 'static {
    /// Fills `bytes`.
    ///
    /// # Errors
    /// What the operating system says.
    fn fill(&self, bytes: &mut [u8]) -> std::io::Result<()>;
}

/// The capability.
pub struct Random {
    entropy: Arc<dyn Entropy>,
}

impl Random {
    /// With `entropy` for profiles that say `os`.
    #[must_use]
    pub fn new(entropy: Arc<dyn Entropy>) -> Self {
        Self { entropy }
    }
}

/// What a store holds.
pub(crate) struct RandomState {
    source: RandomSource,
    entropy: Arc<dyn Entropy>,
    seeded: ChaCha20Rng,
}

impl RandomState {
    fn draw(
        &mut self,
        scope: &CallScope,
        interface: &str,
        length: usize,
    ) -> Result<Vec<u8>, Fault> {
        let mut bytes = vec![0; length];
        match self.source {
            // Not recorded: the seed is in the record of the run, and gives the same again.
            RandomSource::Denied | RandomSource::Seeded => self.seeded.fill_bytes(&mut bytes),
            RandomSource::Os => {
                match scope.recalled(interface)? {
                    Some(fact) => {
                        // Another length is another question than the recorded one.
                        let drawn = fact.payload.filter(|drawn| drawn.len() == length);
                        bytes = drawn.ok_or_else(|| scope.missed(interface, "random bytes"))?;
                    }
                    None => {
                        self.entropy
                            .fill(&mut bytes)
                            .map_err(|error| Fault::Host(format!("randomness: {error}")))?;
                    }
                }
                let drawn = HostCall {
                    decided: DecisionPart {
                        interface: Some(interface.to_owned()),
                        decision: Some(Decision::Allow),
                        rule: Some("random.source".to_owned()),
                        ..DecisionPart::default()
                    },
                    bytes: Some(length as u64),
                    ..HostCall::default()
                };
                let fact = scope.said(drawn).payload(bytes.clone());
                scope.run.recorder.append(fact)?;
            }
        }
        Ok(bytes)
    }
}

/// What is linked, for every run alike.
pub struct Seam;

impl Capability for Seam {
    fn name(&self) -> &'static str {
        "random"
    }

    fn interfaces(&self) -> &'static [&'static str] {
        &[host::INTERFACE]
    }

    fn runtime_interfaces(&self) -> &'static [&'static str] {
        &[wasi::RANDOM, wasi::INSECURE, wasi::INSECURE_SEED]
    }

    fn link(&self, linker: &mut Linker<HostState>, granted: bool) -> wasmtime::Result<()> {
        if granted {
            host::link(linker)?;
        }
        wasi::link(linker)
    }
}

impl Provider for Random {
    fn capability(&self) -> &dyn Capability {
        &Seam
    }

    fn open(&self, scope: &CallScope, _granted: bool) -> Result<Box<dyn Any + Send>, Fault> {
        Ok(Box::new(RandomState {
            source: scope.effective.grants.random,
            entropy: Arc::clone(&self.entropy),
            seeded: ChaCha20Rng::from_seed(scope.step_seed()),
        }))
    }
}
