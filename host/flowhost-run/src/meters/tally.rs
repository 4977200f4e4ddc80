//! What calls between plugins use, kept by the call that they are made for until that one ends.
//!
//! A call is counted however it ends, also when its caller is stopped in the middle: the account is
//! closed by dropping it.

use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use flowhost_caps::model::Origin;
use flowhost_engine::{CallScope, Meter};

use crate::meters::detail::Detail;

/// The sum of the calls that were made for one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Routed {
    pub(crate) calls: u64,
    pub(crate) detail: Detail,
}

/// Sums by the outermost call's id.
#[derive(Default)]
pub(crate) struct Tally(Mutex<HashMap<Arc<str>, Routed>>);

impl Tally {
    /// Counts a call from now on; what it used is added when the account is dropped.
    pub(crate) fn open(self: &Arc<Self>, scope: &CallScope) -> Account {
        Account {
            tally: self.clone(),
            root: scope.root.clone(),
            meter: scope.meter.clone(),
        }
    }

    /// Takes up what an open call had called before this process.
    pub(crate) fn restore(&self, root: &str, routed: Routed) {
        let mut sums = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sums.insert(root.into(), routed);
    }

    /// The sum of a call so far, which is forgotten here.
    pub(crate) fn take(&self, root: &str) -> Routed {
        let mut sums = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sums.remove(root).unwrap_or_default()
    }

    fn add(&self, root: &Arc<str>, detail: &Detail) {
        let mut sums = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = sums.entry(root.clone()).or_default();
        sum.calls = sum.calls.saturating_add(1);
        sum.detail.add(detail);
    }
}

/// What the plan says of the planner's calls that are at work, for the records of their model calls.
#[derive(Default)]
pub(crate) struct Origins {
    at_work: Mutex<HashMap<String, Origin>>,
    /// Id of the estimate that the run was started with.
    estimate: OnceLock<String>,
}

impl Origins {
    /// Told once, before the first call.
    pub(crate) fn set_estimate(&self, id: &str) {
        let set = self.estimate.set(id.to_owned());
        debug_assert!(set.is_ok(), "a run is started with one estimate");
    }

    pub(crate) fn begin(&self, call: &str, origin: Origin) {
        // What is not kept is as empty as what most steps say.
        if origin != Origin::default() {
            self.at_work().insert(call.to_owned(), origin);
        }
    }

    pub(crate) fn end(&self, call: &str) {
        self.at_work().remove(call);
    }

    /// Stage and prompt are empty for what no step asked for.
    pub(crate) fn of(&self, call: &str) -> Origin {
        let origin = self.at_work().get(call).cloned().unwrap_or_default();
        Origin {
            estimate: self.estimate.get().cloned().unwrap_or_default(),
            ..origin
        }
    }

    fn at_work(&self) -> MutexGuard<'_, HashMap<String, Origin>> {
        self.at_work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One call that is being counted.
pub(crate) struct Account {
    tally: Arc<Tally>,
    root: Arc<str>,
    meter: Arc<Meter>,
}

impl Drop for Account {
    fn drop(&mut self) {
        self.tally.add(&self.root, &metered(&self.meter));
    }
}

/// What a meter shows. Relaxed, because whoever reads it has waited for the call or dropped it: either orders the two.
pub(crate) fn metered(meter: &Meter) -> Detail {
    Detail {
        fuel: meter.fuel.load(Relaxed),
        memory_bytes: meter.memory_bytes.load(Relaxed),
        host_calls: meter.host_calls.load(Relaxed),
        output_bytes: meter.output_bytes.load(Relaxed),
        log_bytes: meter.log_bytes.load(Relaxed),
        evidence_bytes: meter.evidence_bytes.load(Relaxed),
        told_ms: meter.told_ms.load(Relaxed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_a_call_when_its_account_is_dropped_and_forgets_what_was_taken() {
        let tally = Arc::new(Tally::default());
        let meter = Arc::new(Meter::default());
        let account = Account {
            tally: tally.clone(),
            root: "s".into(),
            meter: meter.clone(),
        };
        meter.fuel.store(7, Relaxed);
        assert_eq!(tally.take("s").calls, 0);
        drop(account);
        let sum = tally.take("s");
        assert_eq!((sum.calls, sum.detail.fuel), (1, 7));
        assert_eq!(tally.take("s"), Routed::default());
    }

    #[test]
    fn what_no_step_asked_for_names_the_estimate_and_nothing_else() {
        let origins = Origins::default();
        origins.set_estimate("sha256:e");
        let plan = Origin {
            stage: "plan".to_owned(),
            ..Origin::default()
        };
        origins.begin("7", plan);
        assert_eq!(origins.of("7").stage, "plan");
        origins.end("7");
        for call in ["7", "0.1"] {
            let origin = origins.of(call);
            assert_eq!((&*origin.stage, &*origin.estimate), ("", "sha256:e"));
        }
    }
}
