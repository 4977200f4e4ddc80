//! `clock`: time, as the profile gives it, as `flowhost:clock` and as `wasi:clocks`.
//!
//! Without the right, language runtimes get a clock that stands still at the run's start. A virtual
//! one starts there and moves only when the host moves it; a real one tells the time, and every
//! reading is a record, so that a replay tells it again. Sleeping is not a reading: it is bounded by
//! the call's deadline and shows nothing (DOS-029).

mod host;
#[cfg(test)]
mod tests;
mod wasi;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use flowhost_engine::{CallScope, Capability, Fault, HostState, Provider};
use flowhost_ledger::Fact;
use flowhost_ledger::records::{Decision, DecisionPart, HostCall};
use flowhost_policy::ClockMode;
use wasmtime::component::Linker;

/// Where time comes from.
pub trait TimeSource: Send + Sync + 'static {
    /// Time since the Unix epoch.
    fn now(&self) -> Duration;

    /// How far the host has moved the run's virtual clock since the run's start.
    fn moved(&self, _caller: &CallScope) -> Duration {
        Duration::ZERO
    }
}

/// The capability.
pub struct Clock {
    source: Arc<dyn TimeSource>,
}

impl Clock {
    /// With the time of `source`.
    #[must_use]
    pub fn new(source: Arc<dyn TimeSource>) -> Self {
        Self { source }
    }
}

/// What a store holds.
pub(crate) struct ClockState {
    source: Arc<dyn TimeSource>,
    mode: ClockMode,
    /// The wall clock when the call began, in its own mode.
    began: Duration,
    started: tokio::time::Instant,
}

impl ClockState {
    fn new(source: Arc<dyn TimeSource>, scope: &CallScope) -> Self {
        let mode = scope.effective.grants.clock;
        let mut state = Self {
            source,
            mode,
            began: Duration::ZERO,
            started: tokio::time::Instant::now(),
        };
        state.began = state.look(scope);
        state
    }

    fn look(&self, scope: &CallScope) -> Duration {
        let start = Duration::from_millis(scope.run.started_ms);
        match self.mode {
            ClockMode::Denied => start,
            ClockMode::Virtual => start + self.source.moved(scope),
            ClockMode::Real => self.source.now(),
        }
    }

    /// Time since the Unix epoch, recorded if it is real.
    fn wall(&self, scope: &CallScope, interface: &str) -> Result<Duration, Fault> {
        self.told(scope, interface, || self.look(scope))
    }

    /// Time since the call began, recorded if it is real.
    fn elapsed(&self, scope: &CallScope, interface: &str) -> Result<Duration, Fault> {
        self.told(scope, interface, || match self.mode {
            // Not the wall clock's difference: that one may be set back while the call runs. Of the
            // runtime, so that a test's paused time moves it.
            ClockMode::Real => self.started.elapsed(),
            ClockMode::Denied | ClockMode::Virtual => self.look(scope).saturating_sub(self.began),
        })
    }

    /// What the guest is told; of a real clock, what its record says where there is one already.
    fn told(
        &self,
        scope: &CallScope,
        interface: &str,
        look: impl FnOnce() -> Duration,
    ) -> Result<Duration, Fault> {
        if self.mode != ClockMode::Real {
            return Ok(look());
        }
        let value = match scope.recalled(interface)? {
            Some(fact) => told_before(&fact).ok_or_else(|| scope.missed(interface, "time"))?,
            // Recorded below as it is told, whether it was looked at now or came from the record: a
            // replay writes the same ledger.
            None => look(),
        };
        let fact = scope.said(HostCall {
            decided: DecisionPart {
                interface: Some(interface.to_owned()),
                decision: Some(Decision::Allow),
                rule: Some("clock.wall".to_owned()),
                ..DecisionPart::default()
            },
            answer_ns: Some(value.as_nanos().to_string()),
            ..HostCall::default()
        });
        scope.run.recorder.append(fact)?;
        Ok(value)
    }
}

fn told_before(fact: &Fact) -> Option<Duration> {
    // Nanoseconds as text: they fit 64 bits until the year 2554, and a record has no numbers.
    let nanos = fact.fields.get("answer_ns")?.as_text()?.parse().ok()?;
    Some(Duration::from_nanos(nanos))
}

/// What is linked, for every run alike.
pub struct Seam;

impl Capability for Seam {
    fn name(&self) -> &'static str {
        "clock"
    }

    fn interfaces(&self) -> &'static [&'static str] {
        &[host::INTERFACE]
    }

    fn runtime_interfaces(&self) -> &'static [&'static str] {
        &[wasi::WALL, wasi::MONOTONIC]
    }

    fn link(&self, linker: &mut Linker<HostState>, granted: bool) -> wasmtime::Result<()> {
        if granted {
            host::link(linker)?;
        }
        wasi::link(linker)
    }
}

impl Provider for Clock {
    fn capability(&self) -> &dyn Capability {
        &Seam
    }

    fn open(&self, scope: &CallScope, _granted: bool) -> Result<Box<dyn Any + Send>, Fault> {
        Ok(Box::new(ClockState::new(Arc::clone(&self.source), scope)))
    }
}
