//! `wasi:clocks` 0.2 over the same clock. Sleeping takes real time and ends with the call at the
//! latest; it does not tell how long it took.

use std::time::Duration;

use flowhost_engine::HostState;
use tokio::time::Instant;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::p2::bindings::clocks::{monotonic_clock, wall_clock};
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};

use crate::clock::ClockState;
use crate::shared::support::{HasView, View, kill};

pub(super) const WALL: &str = "wasi:clocks/wall-clock@0.2.12";
pub(super) const MONOTONIC: &str = "wasi:clocks/monotonic-clock@0.2.12";

/// What the clocks can tell apart, in nanoseconds: a millisecond, so that they measure no caches.
const RESOLUTION_NS: u32 = 1_000_000;

pub(super) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    wall_clock::add_to_linker::<_, HasView>(linker, |state| View(state))?;
    monotonic_clock::add_to_linker::<_, HasView>(linker, |state| View(state))
}

impl wall_clock::Host for View<'_> {
    fn now(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        self.0.scope().charge_host_call().map_err(kill)?;
        let parts = self.0.parts::<ClockState>();
        let now = parts.state.wall(parts.scope, WALL).map_err(kill)?;
        Ok(wall_clock::Datetime {
            seconds: now.as_secs(),
            // Cut here and not where it is read: the record keeps what the clock said.
            nanoseconds: now.subsec_nanos() - now.subsec_nanos() % RESOLUTION_NS,
        })
    }

    fn resolution(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        self.0.scope().charge_host_call().map_err(kill)?;
        Ok(wall_clock::Datetime {
            seconds: 0,
            nanoseconds: RESOLUTION_NS,
        })
    }
}

impl monotonic_clock::Host for View<'_> {
    fn now(&mut self) -> wasmtime::Result<u64> {
        self.0.scope().charge_host_call().map_err(kill)?;
        let parts = self.0.parts::<ClockState>();
        let elapsed = parts.state.elapsed(parts.scope, MONOTONIC).map_err(kill)?;
        Ok(coarse(nanos(elapsed)))
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        self.0.scope().charge_host_call().map_err(kill)?;
        Ok(u64::from(RESOLUTION_NS))
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        // Asked as the guest would, so that of a real clock the reading is on record: how long is
        // slept depends on it.
        let now = monotonic_clock::Host::now(self)?;
        self.sleep(Duration::from_nanos(when.saturating_sub(now)))
    }

    fn subscribe_duration(&mut self, duration: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.0.scope().charge_host_call().map_err(kill)?;
        self.sleep(Duration::from_nanos(duration))
    }
}

impl View<'_> {
    fn sleep(&mut self, duration: Duration) -> wasmtime::Result<Resource<DynPollable>> {
        let parts = self.0.parts::<ClockState>();
        // The call is over at its deadline: a later timer would only be one more to keep.
        // A second behind it, so that it is the deadline that ends such a guest and not a timer
        // that wakes it a moment before.
        let longest = parts.scope.remaining() + Duration::from_secs(1);
        let until = match parts.scope.is_replayed() {
            true => Instant::now(), // the record has no time that could pass
            false => Instant::now() + duration.min(longest),
        };
        let sleep = parts.table.push(Sleep {
            until,
            gave_way: false,
        })?;
        subscribe(parts.table, sleep)
    }
}

/// A timer.
struct Sleep {
    until: Instant,
    gave_way: bool,
}

#[wasmtime_wasi::async_trait]
impl Pollable for Sleep {
    async fn ready(&mut self) {
        // A timer of zero gives way once, so that a loop of them cannot starve the others.
        if !self.gave_way && self.until <= Instant::now() {
            self.gave_way = true;
            tokio::task::yield_now().await;
        }
        tokio::time::sleep_until(self.until).await;
    }
}

fn coarse(nanos: u64) -> u64 {
    nanos - nanos % u64::from(RESOLUTION_NS)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
