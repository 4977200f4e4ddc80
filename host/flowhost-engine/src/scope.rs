//! What a call carries with it: who, for which step, under which rights, until when, and where its
//! facts go. Capabilities read it; guests see only `flowhost:types/context`.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use data_encoding::HEXLOWER;
use flowhost_ledger::records::{
    Asked, CallPart, Decides, Decision, DecisionPart, OfCall, PlacePart,
};
use flowhost_ledger::{Fact, Recorder};
use flowhost_policy::{Denied, Effective};
use sha2::{Digest, Sha256};

use crate::bindings::types;
use crate::capability::Provider;
use crate::fault::Fault;
use crate::instance::Used;
use crate::outside::Memory;
use crate::shortfall::Shortfall;

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
    /// What the run brings for each of the engine's capabilities.
    pub providers: Providers,
    /// Calls that the host has made by itself: agents that are handed a message, tools that are asked
    /// what they offer.
    pub own_calls: Arc<AtomicU64>,
    /// The record that answers for the world; none where the run is live.
    pub memory: Option<Arc<dyn Memory>>,
}

impl RunScope {
    /// The id of the next call that the host makes by itself: `0.1`.
    #[must_use]
    pub fn own_call(&self) -> Arc<str> {
        let number = self.own_calls.fetch_add(1, Ordering::Relaxed) + 1;
        format!("0.{number}").into()
    }

    /// The effect key of work that no plan step or call gives one: the same parts, the same key.
    #[must_use]
    pub fn effect_key(&self, parts: &[&str]) -> Arc<str> {
        let mut hash = Sha256::new();
        hash.update(b"flowhost effect key\n");
        absorb(&mut hash, &self.run);
        parts.iter().for_each(|part| absorb(&mut hash, part));
        key_of(hash)
    }
}

fn absorb(hash: &mut Sha256, part: &str) {
    // With its length: parts that follow each other would else be one text, and two calls could
    // have one key.
    hash.update((part.len() as u64).to_le_bytes());
    hash.update(part.as_bytes());
}

/// 32 hexadecimal digits, as the keys of steps have.
fn key_of(hash: Sha256) -> Arc<str> {
    let digest: [u8; 32] = hash.finalize().into();
    // Half of the digest: receivers bound the length of a key, and 128 bits never meet by chance.
    let (key, _) = digest.split_at(16);
    HEXLOWER.encode(key).into()
}

/// What a run brings for the capabilities of its engine, in the order of
/// [`crate::EngineConfig::capabilities`].
pub type Providers = Arc<[Arc<dyn Provider>]>;

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
    /// Milliseconds that the guest was told it had.
    pub told_ms: AtomicU64,
    /// Bytes handed back.
    pub output_bytes: AtomicU64,
    /// Bytes of records and payloads that the call and what it called have left.
    pub evidence_bytes: AtomicU64,
    /// Requests that carried the call's key.
    keyed_requests: AtomicU64,
    /// See [`CallScope::asks`].
    unanswered: AtomicU64,
    /// What the host refused the guest in this call. A guest that ends with one of these passes it
    /// on; one that names another makes it up.
    refused: Mutex<Vec<Refused>>,
    /// How often each tool was called with the same input. `limits.host_calls` bounds it.
    same: Mutex<HashMap<[u8; 32], u32>>,
    /// See [`CallScope::doom`].
    doomed: OnceLock<Fault>,
}

/// Refusals remembered per call; a guest that goes on after this many is not believed any more.
const REFUSED_MAX: usize = 64;

#[derive(Debug, Clone)]
enum Refused {
    Denied(Denied),
    Limit {
        name: &'static str,
        used: u64,
        allowed: u64,
    },
    Budget(Shortfall),
}

impl Meter {
    /// How often the same was counted before.
    fn again(&self, what: [u8; 32]) -> u32 {
        let mut same = self.same.lock().unwrap_or_else(PoisonError::into_inner);
        let times = same.entry(what).or_default();
        let before = *times;
        *times = before.saturating_add(1);
        before
    }

    /// What a call had used whose end comes from the record; evidence counts itself.
    pub(crate) fn take(&self, used: &Used) {
        for (counter, value) in [
            (&self.fuel, used.fuel),
            (&self.memory_bytes, used.memory_bytes),
            (&self.host_calls, used.host_calls),
            (&self.output_bytes, used.output_bytes),
            (&self.log_bytes, used.log_bytes),
            (&self.told_ms, used.told_ms),
        ] {
            counter.store(value, Ordering::Relaxed);
        }
    }

    /// Why the call ends, where a host function could not say it.
    pub(crate) fn doomed(&self) -> Option<Fault> {
        self.doomed.get().cloned()
    }

    pub(crate) fn remember_denial(&self, denied: Denied) {
        self.remember(Refused::Denied(denied));
    }

    fn remember(&self, refused: Refused) {
        let mut all = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() < REFUSED_MAX {
            all.push(refused);
        }
    }

    /// The number of the next request that carries the call's key, from 1.
    #[must_use]
    pub fn next_keyed(&self) -> u64 {
        self.keyed_requests.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The refusal that a guest's `denied` repeats, if the host made it in this call.
    pub(crate) fn denial(&self, claim: &types::Denial) -> Option<Denied> {
        let all = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().find_map(|refused| match refused {
            Refused::Denied(it)
                if it.right == claim.right
                    && it.wanted == claim.wanted
                    && it.rule == claim.rule =>
            {
                Some(it.clone())
            }
            _ => None,
        })
    }

    /// The limit that a guest's `limit` repeats, if the host raised it in this call.
    pub(crate) fn limit(&self, claim: &types::Limit) -> Option<Fault> {
        let all = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().find_map(|refused| match refused {
            Refused::Limit {
                name,
                used,
                allowed,
            } if *name == claim.name
                && used.to_string() == claim.used
                && allowed.to_string() == claim.allowed =>
            {
                Some(Fault::Limit {
                    name,
                    used: *used,
                    allowed: *allowed,
                })
            }
            Refused::Budget(it)
                if it.amount.key() == claim.name
                    && it.used().to_string() == claim.used
                    && it.allowed.to_string() == claim.allowed =>
            {
                Some(Fault::Budget(*it))
            }
            _ => None,
        })
    }
}

/// One call of one plugin.
#[derive(Clone)]
pub struct CallScope {
    /// The run it belongs to.
    pub run: RunScope,
    /// Names the call within its run: the planner's number, and for a call that another made that one's
    /// id with a number of its own behind: `12`, `12.1`. What the host does by itself begins with `0`.
    /// Numbers count what one caller did, so they are the same however calls at work together overlap.
    pub call: Arc<str>,
    /// The call that all of this is done for, itself or the outermost caller: budgets are held by it.
    pub root: Arc<str>,
    /// Calls that this one has made.
    pub made: Arc<AtomicU64>,
    /// The key of what this call does to the world: the same for every attempt and replay of the same
    /// work. See [`CallScope::effect_key`] for a call that a plugin makes.
    pub key: Arc<str>,
    /// Whether `key` is what its receivers drop a repetition by (`effects: keyed`): requests that change
    /// something then carry it.
    pub keyed: bool,
    /// Deterministic id of the step.
    pub step: Arc<str>,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// The plugin's name in the plan.
    pub plugin: Arc<str>,
    /// SHA-256 of the component, `sha256:…`.
    pub digest: Arc<str>,
    /// The plugin's revision in this run, from 1: the call keeps it to its end.
    pub revision: u64,
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

    /// The id of the next call that this one makes.
    #[must_use]
    pub fn next_call(&self) -> Arc<str> {
        let number = self.made.fetch_add(1, Ordering::Relaxed) + 1;
        format!("{}.{number}", self.call).into()
    }

    /// Time left until the deadline; zero when it has passed.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.deadline
            .saturating_duration_since(tokio::time::Instant::now())
    }

    /// Ends the call with this fault at its next host function, and at its answer at the latest: for
    /// interfaces whose functions have no way to raise one (`wasi:http` knows codes alone). The first
    /// fault stands; what follows is its consequence.
    pub fn doom(&self, fault: Fault) {
        let _first_stands = self.meter.doomed.set(fault);
    }

    /// Counts one guest-to-host call. Every host function calls this first.
    ///
    /// # Errors
    /// [`Fault::Limit`] `host_calls`, or what [`CallScope::doom`] was told; both kill the call.
    pub fn charge_host_call(&self) -> Result<(), Fault> {
        if let Some(fault) = self.meter.doomed() {
            return Err(fault);
        }
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

    /// The effect key of the next call that this call makes of the tool `name` with `input`. It follows
    /// from what is called and how often, not from when: an attempt that comes to the same call by
    /// another way has the same key, and the same call made twice on purpose has two.
    #[must_use]
    pub fn effect_key(&self, name: &str, input: &str) -> Arc<str> {
        let mut hash = Sha256::new();
        hash.update(b"flowhost nested effect key\n");
        for part in [&*self.key, name, input] {
            absorb(&mut hash, part);
        }
        let same: [u8; 32] = hash.clone().finalize().into();
        hash.update(self.meter.again(same).to_le_bytes());
        key_of(hash)
    }

    /// Which call this is, in records.
    #[must_use]
    pub fn part(&self) -> CallPart {
        CallPart {
            step: self.step.to_string(),
            attempt: Some(u64::from(self.attempt)),
            call: Some(self.call.to_string()),
            component: self.digest.to_string(),
            revision: Some(self.revision),
            profile: self.effective.hash.clone(),
        }
    }

    /// The same, for records that may belong to no call.
    #[must_use]
    pub fn place(&self) -> PlacePart {
        let CallPart {
            step,
            attempt,
            call,
            component,
            revision,
            profile,
        } = self.part();
        PlacePart {
            step: Some(step),
            path: None,
            attempt,
            call,
            component: Some(component),
            revision,
            profile: Some(profile),
        }
    }

    /// A fact of this call.
    #[must_use]
    pub fn said(&self, record: impl OfCall) -> Fact {
        record.of(self.part()).by(self.actor())
    }

    /// The fact that this call used a right, with what it asked for.
    #[must_use]
    pub fn allowed<R: Decides>(
        &self,
        record: R,
        interface: &str,
        rule: &str,
        asked: &Asked,
    ) -> Fact {
        let decided = DecisionPart {
            interface: Some(interface.to_owned()),
            decision: Some(Decision::Allow),
            rule: Some(rule.to_owned()),
            ..DecisionPart::default()
        };
        self.said(record.decided(decided))
            .payload(asked.to_payload())
    }

    /// The step's own seed: the same for every attempt and every replay, different for every step
    /// and plugin. SHA-256 over the run's seed, the plugin's name and the step's id.
    #[must_use]
    pub fn step_seed(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(b"flowhost step seed\n");
        hash.update(self.run.seed);
        hash.update((self.plugin.len() as u64).to_le_bytes());
        hash.update(self.plugin.as_bytes());
        hash.update(self.step.as_bytes());
        hash.finalize().into()
    }

    /// Something outside was asked to do something. Until it has answered, nobody knows whether it has.
    pub fn asks(&self) {
        self.meter.unanswered.fetch_add(1, Ordering::Relaxed);
    }

    /// It has answered, or was not asked after all.
    pub fn hears(&self) {
        let before = self.meter.unanswered.fetch_sub(1, Ordering::Relaxed);
        debug_assert!(before > 0, "only what was asked is heard");
    }

    /// Whether something that was asked in this call to do something has not answered.
    #[must_use]
    pub fn is_unanswered(&self) -> bool {
        self.meter.unanswered.load(Ordering::Relaxed) > 0
    }

    /// A limit as the guest reads it, where the guest may go on (a full quota, a full mailbox). What
    /// must kill the call is raised as [`Fault::Limit`] instead.
    #[must_use]
    pub fn refuse_limit(&self, name: &'static str, used: u64, allowed: u64) -> types::Error {
        self.meter.remember(Refused::Limit {
            name,
            used,
            allowed,
        });
        types::Error::Limit(types::Limit {
            name: name.to_owned(),
            used: used.to_string(),
            allowed: allowed.to_string(),
        })
    }

    /// A budget that does not pay, as the guest reads it: it may go on, and end with less.
    #[must_use]
    pub fn refuse_budget(&self, short: Shortfall) -> types::Error {
        self.meter.remember(Refused::Budget(short));
        types::Error::Limit(types::Limit {
            name: short.amount.key().to_owned(),
            used: short.used().to_string(),
            allowed: short.allowed.to_string(),
        })
    }

    /// Takes from a record that a replay passes what the guest may end with.
    pub(crate) fn remember_refusal(&self, fact: &Fact) {
        if let Some(short) = Shortfall::of_record(fact) {
            self.meter.remember(Refused::Budget(short));
        }
    }

    /// Records that a right was used.
    ///
    /// # Errors
    /// [`Fault::Ledger`], which kills the call: what cannot be recorded does not happen.
    pub fn record_allow<R: Decides>(
        &self,
        interface: &str,
        rule: &str,
        wanted: &str,
    ) -> Result<u64, Fault> {
        let fact = self.allowed(R::default(), interface, rule, &Asked::for_what(wanted));
        Ok(self.run.recorder.append(fact)?)
    }

    /// Records a refusal. The caller hands the guest `types::Error::from(&denied)`. What was wanted and
    /// what would allow it are the guest's words and stand in the payload.
    ///
    /// # Errors
    /// [`Fault::Ledger`], which kills the call.
    pub fn record_deny<R: Decides>(&self, interface: &str, denied: &Denied) -> Result<u64, Fault> {
        self.meter.remember(Refused::Denied(denied.clone()));
        let decided = DecisionPart {
            interface: Some(interface.to_owned()),
            decision: Some(Decision::Deny),
            right: Some(denied.right.to_owned()),
            rule: Some(denied.rule.clone()),
            ..DecisionPart::default()
        };
        let asked = Asked {
            wanted: denied.wanted.clone(),
            cure: denied.cure.clone(),
            ..Asked::default()
        };
        let fact = self.said(R::default().decided(decided));
        Ok(self.run.recorder.append(fact.payload(asked.to_payload()))?)
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
