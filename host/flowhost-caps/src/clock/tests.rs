//! What `clock` refuses, then what it gives: the host's side, with doubles where the world would be.

use std::sync::Arc;
use std::time::Duration;

use flowhost_engine::{CallScope, Fault, Provider};
use flowhost_policy::{ClockMode, Grants, Limits};
use wasmtime_wasi::p2::bindings::clocks::{monotonic_clock, wall_clock};

use super::host::wit::Host as _;
use super::{Clock, TimeSource};
use crate::shared::support::View;
use crate::testing::{Call, fault};

struct Fixed;

impl TimeSource for Fixed {
    fn now(&self) -> Duration {
        Duration::from_millis(1_800_000_000_123)
    }

    fn moved(&self, _caller: &CallScope) -> Duration {
        Duration::from_secs(60)
    }
}

fn clock() -> Clock {
    Clock::new(Arc::new(Fixed))
}

fn call(mode: ClockMode) -> Call {
    Call::granted(Grants {
        clock: mode,
        ..Grants::default()
    })
}

#[tokio::test]
async fn is_not_granted_unless_the_profile_says_so_and_then_stands_still_at_the_run_s_start() {
    let call = call(ClockMode::Denied);
    assert!(!clock().capability().granted(&call.scope.effective));
    let mut store = call.store(&clock());
    let mut view = View(&mut store);
    for _ in 0..2 {
        let now = wall_clock::Host::now(&mut view).unwrap();
        assert_eq!((now.seconds, now.nanoseconds), (1_700_000_000, 0));
        assert_eq!(monotonic_clock::Host::now(&mut view).unwrap(), 0);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(call.facts().is_empty());
}

#[tokio::test]
async fn a_virtual_clock_moves_only_by_the_host_s_doing_and_needs_no_record() {
    let call = call(ClockMode::Virtual);
    let mut store = call.store(&clock());
    for _ in 0..2 {
        assert_eq!((&mut &mut store).now_ms().unwrap(), 1_700_000_060_000.0);
        assert_eq!((&mut &mut store).elapsed_ms().unwrap(), 0.0);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(call.facts().is_empty());
}

#[tokio::test]
async fn every_reading_of_a_real_clock_is_a_record_with_its_answer() {
    let call = call(ClockMode::Real);
    let mut store = call.store(&clock());
    assert_eq!((&mut &mut store).now_ms().unwrap(), 1_800_000_000_123.0);
    assert_eq!(call.last("answer_ns"), "1800000000123000000");
    let now = wall_clock::Host::now(&mut View(&mut store)).unwrap();
    assert_eq!((now.seconds, now.nanoseconds), (1_800_000_000, 123_000_000));
    assert_eq!(call.last("interface"), "wasi:clocks/wall-clock@0.2.12");
    (&mut &mut store).elapsed_ms().unwrap();
    monotonic_clock::Host::now(&mut View(&mut store)).unwrap();
    assert_eq!(call.facts().len(), 4);
}

#[tokio::test]
async fn the_clocks_are_too_coarse_to_measure_caches() {
    let mut store = call(ClockMode::Real).store(&clock());
    let mut view = View(&mut store);
    tokio::time::sleep(Duration::from_micros(1_500)).await;
    let now = monotonic_clock::Host::now(&mut view).unwrap();
    assert!(now > 0 && now % 1_000_000 == 0, "{now}");
    let elapsed = (&mut &mut store).elapsed_ms().unwrap();
    assert!(elapsed > 0.0 && elapsed.fract() == 0.0, "{elapsed}");
    let mut view = View(&mut store);
    assert_eq!(
        monotonic_clock::Host::resolution(&mut view).unwrap(),
        1_000_000
    );
}

#[tokio::test]
async fn dos_029_timers_are_handles_and_host_calls() {
    let limits = Limits {
        handles: 4,
        host_calls: 1_000,
        ..Limits::default()
    };
    let call = Call::new(Grants::default(), limits);
    let mut store = call.store(&clock());
    let mut view = View(&mut store);
    let timers = (0..100).map(|_| monotonic_clock::Host::subscribe_duration(&mut view, 0));
    let made = timers.filter(Result::is_ok).count();
    assert_eq!(made, 2, "a timer and its pollable take a handle each");
    let limits = Limits {
        host_calls: 1,
        ..Limits::default()
    };
    let mut store = Call::new(Grants::default(), limits).store(&clock());
    let mut view = View(&mut store);
    monotonic_clock::Host::subscribe_duration(&mut view, u64::MAX).unwrap();
    let second = monotonic_clock::Host::subscribe_instant(&mut view, u64::MAX);
    assert!(matches!(fault(second), Fault::Limit { .. }));
}
