//! What a worker listens to, and the calls that it can be told to stop.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use flowhost_bus::{Bus, BusError, Pattern, SubscribeOptions, Subscription};
use flowhost_engine::RunScope;
use futures::future::AbortHandle;

/// What a worker listens to.
pub(crate) struct Inbox {
    pub(crate) orders: Box<dyn Subscription>,
    pub(crate) cancels: Box<dyn Subscription>,
    pub(crate) ends: Box<dyn Subscription>,
}

impl Inbox {
    /// Subscribes to the orders of a run.
    pub(crate) async fn open(bus: &dyn Bus, run: &RunScope) -> Result<Self, BusError> {
        Ok(Self {
            orders: listen(bus, run, "step.*.start").await?,
            cancels: listen(bus, run, "step.*.cancel").await?,
            ends: listen(bus, run, "run.finish").await?,
        })
    }
}

/// Orders, answers and cancellations that may wait or be at work at once; more wait in the driver. Above
/// the most that a plan can have at work ([`flowhost_flow::plan::limits::PARALLEL_MAX`]).
const ORDERS_MAX: usize = 2_048;

/// Deliveries of an order before it is set aside: one that takes its worker down with it must not take
/// all of them.
const DELIVERIES_MAX: u32 = 3;

/// Listens to what the two sides of a run say to each other.
pub(crate) async fn listen(
    bus: &dyn Bus,
    run: &RunScope,
    subjects: &str,
) -> Result<Box<dyn Subscription>, BusError> {
    let pattern = Pattern::of(&run.tenant, &run.run, subjects);
    let pattern = pattern.map_err(|error| BusError::Carrier(error.to_string()))?;
    let options = SubscribeOptions {
        group: "host".to_owned(),
        messages_max: ORDERS_MAX,
        deliveries_max: DELIVERIES_MAX,
    };
    bus.subscribe(pattern, options).await
}

/// The calls at work, so that they can be stopped.
#[derive(Default)]
pub(crate) struct Calls(Mutex<HashMap<u64, Slot>>);

#[derive(Default)]
struct Slot {
    cancelled: bool,
    abort: Option<AbortHandle>,
}

impl Calls {
    /// Stops a call, also one that is still on its way.
    pub(crate) fn cancel(&self, call: u64) {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = calls.entry(call).or_default();
        slot.cancelled = true;
        if let Some(abort) = &slot.abort {
            abort.abort();
        }
    }

    pub(super) fn begin(&self, call: u64, abort: AbortHandle) {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = calls.entry(call).or_default();
        if slot.cancelled {
            abort.abort();
        }
        slot.abort = Some(abort);
    }

    pub(super) fn end(&self, call: u64) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&call);
    }
}
