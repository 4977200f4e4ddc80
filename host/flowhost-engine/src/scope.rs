//! What a call carries with it: who, for which step, under which rights, until when, and where its
//! facts go. Capabilities read it; guests see only `flowhost:types/context`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flowhost_ledger::{Fact, Kind, Recorder};
use flowhost_policy::{Denied, Effective};

use crate::fault::Fault;

/// What all calls of a run share.
#[derive(Clone)]
pub struct RunScope {
    /// Tenant, `default` on one machine.
    pub tenant: Arc<str>,
    /// ULID of the run.
    pub run: Arc<str>,
    /// The run's seed.
    pub seed: [u8; 32],
    /// Start of the run in milliseconds since the Unix epoch: the origin of every virtual clock.
    pub started_ms: u64,
    /// Where facts go.
    pub recorder: Arc<dyn Recorder>,
}

/// What one call used so far. Shared with the report, so counters are atomic.
#[derive(Debug, Default)]
pub struct Meter {
    /// Guest-to-host calls.
    pub host_calls: AtomicU64,
    /// Bytes of log lines taken.
    pub log_bytes: AtomicU64,
    /// Bytes of log lines dropped.
    pub log_dropped: AtomicU64,
    /// Peak bytes of memories and tables.
    pub memory_bytes: AtomicU64,
    /// Fuel consumed.
    pub fuel: AtomicU64,
    /// Bytes handed back.
    pub output_bytes: AtomicU64,
}

/// One call of one plugin.
#[derive(Clone)]
pub struct CallScope {
    /// The run it belongs to.
    pub run: RunScope,
    /// Deterministic id of the step.
    pub step: Arc<str>,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// The plugin's name in the plan.
    pub plugin: Arc<str>,
    /// SHA-256 of the component, `sha256:…`.
    pub digest: Arc<str>,
    /// Effective rights and limits of this call.
    pub effective: Arc<Effective>,
    /// The plugin's `config:` as one JSON document.
    pub config: Arc<str>,
    /// W3C `traceparent`.
    pub traceparent: Arc<str>,
    /// When the call must be over.
    pub deadline: tokio::time::Instant,
    /// The plugins that wait for this call, outermost first: attenuation and cycle detection.
    pub callers: Arc<[Arc<str>]>,
    /// Used so far.
    pub meter: Arc<Meter>,
}

impl CallScope {
    /// `<tenant>/<plugin>`.
    #[must_use]
    pub fn actor(&self) -> String {
        format!("{}/{}", self.run.tenant, self.plugin)
    }

    /// Time left until the deadline; zero when it has passed.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.deadline
            .saturating_duration_since(tokio::time::Instant::now())
    }

    /// Counts one guest-to-host call. Every host function calls this first.
    ///
    /// # Errors
    /// [`Fault::Limit`] `host_calls`, which kills the call.
    pub fn charge_host_call(&self) -> Result<(), Fault> {
        let used = self.meter.host_calls.fetch_add(1, Ordering::Relaxed) + 1;
        let allowed = self.effective.limits.host_calls;
        if used > allowed {
            return Err(Fault::Limit {
                name: "host_calls",
                used,
                allowed,
            });
        }
        Ok(())
    }

    /// A fact of this call: actor, step, attempt, component and profile are filled in.
    #[must_use]
    pub fn fact(&self, kind: Kind) -> Fact {
        Fact::new(kind, self.actor())
            .with("step", self.step.as_ref())
            .with("attempt", u64::from(self.attempt))
            .with("component", self.digest.as_ref())
            .with("profile", self.effective.hash.as_str())
    }

    /// Records that a right was used.
    ///
    /// # Errors
    /// [`Fault::Ledger`], which kills the call: what cannot be recorded does not happen.
    pub fn record_allow(
        &self,
        kind: Kind,
        interface: &str,
        rule: &str,
        wanted: &str,
    ) -> Result<u64, Fault> {
        let fact = self
            .fact(kind)
            .with("interface", interface)
            .with("decision", "allow");
        Ok(self
            .run
            .recorder
            .append(fact.with("rule", rule).with("wanted", wanted))?)
    }

    /// Records a refusal. The caller hands the guest `types::Error::from(&denied)`.
    ///
    /// # Errors
    /// [`Fault::Ledger`], which kills the call.
    pub fn record_deny(&self, kind: Kind, interface: &str, denied: &Denied) -> Result<u64, Fault> {
        let mut fact = self
            .fact(kind)
            .with("interface", interface)
            .with("decision", "deny");
        if let Some(cure) = &denied.cure {
            fact = fact.with("cure", cure.as_str());
        }
        let fact = fact
            .with("right", denied.right)
            .with("rule", denied.rule.as_str())
            .with("wanted", denied.wanted.as_str());
        Ok(self.run.recorder.append(fact)?)
    }

    /// Records a fact and waits until it is on disk: an effect's intent before the effect.
    ///
    /// # Errors
    /// [`Fault::Ledger`], which kills the call.
    pub async fn record_durable(&self, fact: Fact) -> Result<u64, Fault> {
        let seq = self.run.recorder.append(fact)?;
        self.run.recorder.durable(seq).await?;
        Ok(seq)
    }
}
