//! What `random` refuses, then what it gives: the host's side, with doubles where the world would be.

use std::sync::Arc;

use flowhost_engine::{Fault, Provider, bindings::types};
use flowhost_policy::{Grants, RandomSource};
use wasmtime_wasi::p2::bindings::random::{insecure, insecure_seed, random};

use super::host::wit::Host as _;
use super::{DRAW_BYTES_MAX, Entropy, Random};
use crate::shared::support::View;
use crate::testing::{Call, fault};

struct Nines;

impl Entropy for Nines {
    fn fill(&self, bytes: &mut [u8]) -> std::io::Result<()> {
        bytes.fill(9);
        Ok(())
    }
}

struct Broken;

impl Entropy for Broken {
    fn fill(&self, _bytes: &mut [u8]) -> std::io::Result<()> {
        Err(std::io::ErrorKind::Other.into())
    }
}

fn call(source: RandomSource) -> Call {
    Call::granted(Grants {
        random: source,
        ..Grants::default()
    })
}

fn draw(call: &Call, length: i32) -> Vec<u8> {
    let mut store = call.store(&Random::new(Arc::new(Nines)));
    (&mut &mut store).bytes(length).unwrap().unwrap()
}

#[tokio::test]
async fn without_the_right_runtimes_get_seeded_bytes_only() {
    let call = call(RandomSource::Denied);
    let capability = Random::new(Arc::new(Broken));
    assert!(!capability.capability().granted(&call.scope.effective));
    let mut store = call.store(&capability);
    let mut view = View(&mut store);
    let bytes = random::Host::get_random_bytes(&mut view, 32).unwrap();
    let mut again = call.store(&capability);
    let same = random::Host::get_random_bytes(&mut View(&mut again), 32).unwrap();
    assert_eq!(bytes, same);
    insecure::Host::get_insecure_random_u64(&mut view).unwrap();
    insecure_seed::Host::insecure_seed(&mut view).unwrap();
    assert!(call.facts().is_empty());
}

#[tokio::test]
async fn refuses_more_than_64_kib_at_once() {
    let call = call(RandomSource::Seeded);
    let mut store = call.store(&Random::new(Arc::new(Nines)));
    let most = DRAW_BYTES_MAX as i32;
    assert_eq!(
        (&mut &mut store).bytes(most).unwrap().unwrap().len(),
        DRAW_BYTES_MAX
    );
    let over = (&mut &mut store).bytes(most + 1).unwrap();
    assert!(matches!(over, Err(types::Error::Limit(_))));
    let negative = (&mut &mut store).bytes(-1).unwrap();
    assert!(matches!(negative, Err(types::Error::Invalid(_))));
    for length in [DRAW_BYTES_MAX as u64 + 1, u64::MAX] {
        let over = random::Host::get_random_bytes(&mut View(&mut store), length);
        assert!(matches!(fault(over), Fault::Limit { name: "random", .. }));
    }
}

#[tokio::test]
async fn seeded_bytes_are_the_same_in_every_attempt_and_differ_by_step_plugin_and_run() {
    let first = draw(&call(RandomSource::Seeded), 32);
    let mut retry = call(RandomSource::Seeded);
    retry.scope.attempt = 2;
    assert_eq!(draw(&retry, 32), first);
    assert_ne!(first, vec![0; 32]);
    let mut step = call(RandomSource::Seeded);
    step.scope.step = "s2".into();
    let mut plugin = call(RandomSource::Seeded);
    plugin.scope.plugin = "q".into();
    let mut run = call(RandomSource::Seeded);
    run.scope.run.seed = [8; 32];
    for other in [step, plugin, run] {
        assert_ne!(draw(&other, 32), first);
    }
}

#[tokio::test]
async fn bytes_of_the_system_are_recorded_with_their_payload() {
    let call = call(RandomSource::Os);
    assert_eq!(draw(&call, 3), [9, 9, 9]);
    assert_eq!(call.last("bytes"), "3");
    assert_eq!(
        call.facts()[0].payload.as_deref(),
        Some([9, 9, 9].as_slice())
    );
}

#[tokio::test]
async fn a_broken_system_ends_the_call_instead_of_giving_zeroes() {
    let mut store = call(RandomSource::Os).store(&Random::new(Arc::new(Broken)));
    assert!(matches!(fault((&mut &mut store).bytes(3)), Fault::Host(_)));
}
