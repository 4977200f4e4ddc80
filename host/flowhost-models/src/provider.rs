//! A provider while the host runs: its limits, its health and its way to answer.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, sleep_until, timeout_at},
};

use crate::{
    backend::Backend,
    breaker::{Breaker, speaks_of_health},
    compat::Features,
    error::{ErrorClass, ModelError},
    fault::Fault,
    name::ModelName,
    rate::Rate,
    settings::ProviderSettings,
};

/// Models whose refusals are kept.
const MODELS_MAX: usize = 1_024;

pub(crate) struct Provider {
    pub(crate) settings: ProviderSettings,
    pub(crate) backend: Backend,
    breaker: Mutex<Breaker>,
    /// How the last try failed that spoke of the provider's health, in our words.
    last: Mutex<Option<String>>,
    rate: Mutex<Rate>,
    slots: Semaphore,
    /// What the server refused, by model.
    refused: Mutex<BTreeMap<String, Features>>,
}

/// Leave to make one try. Dropped without a verdict, it makes room for the next.
pub(crate) struct Place<'a> {
    provider: &'a Provider,
    _slot: SemaphorePermit<'a>,
    settled: bool,
}

impl Provider {
    pub(crate) fn new(settings: ProviderSettings, backend: Backend) -> Self {
        Self {
            breaker: Mutex::new(Breaker::new(settings.breaker)),
            last: Mutex::new(None),
            rate: Mutex::new(Rate::new(settings.requests_per_minute)),
            slots: Semaphore::new(settings.parallel),
            refused: Mutex::default(),
            settings,
            backend,
        }
    }

    /// What is not sent to a model: what the configuration says, and what was refused before.
    pub(crate) fn left_out(&self, model: &ModelName) -> Features {
        let refused = locked(&self.refused).get(&model.name).copied();
        self.settings.leave_out.and(refused.unwrap_or_default())
    }

    /// Keeps what a model answers without.
    pub(crate) fn learn(&self, model: &ModelName, refused: Features) {
        let mut known = locked(&self.refused);
        // A plugin can make up names of models: when there are too many, the server is asked anew.
        if known.len() >= MODELS_MAX && !known.contains_key(&model.name) {
            known.clear();
        }
        let all = known.entry(model.name.clone()).or_default();
        *all = all.and(refused);
    }

    /// Waits until the provider's limits allow a try, or says why they will not.
    pub(crate) async fn enter(&self, deadline: Instant) -> Result<Place<'_>, Fault> {
        if Instant::now() >= deadline {
            return Err(Fault::deadline());
        }
        // A slot before a place in the schedule: places pass with time, and one that waits for a
        // slot would let its own pass.
        let slot = match timeout_at(deadline, self.slots.acquire()).await {
            Ok(Ok(slot)) => slot,
            // The semaphore lives as long as the provider and is never closed.
            Ok(Err(_)) | Err(_) => return Err(self.crowded("parallel")),
        };
        let now = Instant::now();
        let Some(begins) = locked(&self.rate).take(now, deadline) else {
            return Err(self.crowded("requests_per_minute"));
        };
        // The timer's ticks are milliseconds: also a sleep until now lasts to the end of one.
        if begins > now {
            sleep_until(begins).await;
        }
        // Last, so that a probe is not out while it waits.
        if let Err(wait) = locked(&self.breaker).enter(Instant::now()) {
            let (name, most) = (&self.settings.name, self.settings.breaker.failures);
            // "0 s more" would be wrong about a wait that is not over.
            let seconds = wait.as_secs().max(1);
            let last = locked(&self.last).clone().unwrap_or_default();
            let message = format!(
                "provider `{name}` failed {most} times in a row and is not asked for {seconds} s more; \
                 the last failure was {last}"
            );
            let hint = format!(
                "cure that failure; `breaker` of [models.providers.{name}] says when a provider is \
                 left alone"
            );
            // To another model at once: that is what the circuit is opened for.
            return Err(Fault::new(ErrorClass::Unreachable, message, hint).hopeless());
        }
        Ok(Place {
            provider: self,
            _slot: slot,
            settled: false,
        })
    }

    fn crowded(&self, limit: &str) -> Fault {
        let name = &self.settings.name;
        let message = format!("no room at provider `{name}` before the deadline: `{limit}`");
        let hint = format!("raise {limit} of [models.providers.{name}], or ask for less at once");
        // The time for trying again has been waited for already.
        Fault::new(ErrorClass::RateLimited, message, hint).hopeless()
    }
}

impl Place<'_> {
    /// Tells the provider's health how the try ended.
    pub(crate) fn settle(mut self, failed: Option<&ModelError>) {
        self.settled = true;
        if let Some(error) = failed.filter(|error| speaks_of_health(error.class)) {
            *locked(&self.provider.last) = Some(in_our_words(error));
        }
        let class = failed.map(|error| error.class);
        locked(&self.provider.breaker).leave(class, Instant::now());
    }
}

/// What others may be told of a failure: a server's words can quote the prompt that it failed on, and
/// that is another agent's. They are in the record of that try.
fn in_our_words(error: &ModelError) -> String {
    match error.class {
        ErrorClass::Unreachable => error.to_string(),
        class => format!("of class `{}`", class.as_str()),
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if !self.settled {
            // The call was dropped or leave was refused: a probe that nobody ends would keep all
            // others out for an interval.
            locked(&self.provider.breaker).abandon(Instant::now());
        }
    }
}

/// These locks are held for a few instructions that cannot panic half-way.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
