//! What a worker listens to, and the calls that it can be told to stop.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use flowhost_bus::{Bus, BusError, Delivery, Subscription};
use futures::future::AbortHandle;
use futures::stream::{FusedStream, unfold};

use crate::calls::channel::Channel;

/// What a worker listens to.
pub(crate) struct Inbox {
    pub(crate) orders: Box<dyn Subscription>,
    pub(crate) cancels: Box<dyn Subscription>,
    pub(crate) settles: Box<dyn Subscription>,
    pub(crate) ends: Box<dyn Subscription>,
}

impl Inbox {
    /// Subscribes to what the driver of a channel says.
    pub(crate) async fn open(bus: &dyn Bus, channel: &Channel) -> Result<Self, BusError> {
        Ok(Self {
            orders: channel.listen(bus, "step.*.start").await?,
            cancels: channel.listen(bus, "step.*.cancel").await?,
            settles: channel.listen(bus, "run.settle").await?,
            ends: channel.listen(bus, "run.finish").await?,
        })
    }
}

/// The deliveries of a subscription, without an end. One that is waited for stays so while others are looked at.
pub(super) fn deliveries(
    from: Box<dyn Subscription>,
) -> impl FusedStream<Item = Result<Delivery, BusError>> {
    unfold(from, |mut from| async move {
        let next = from.next().await;
        Some((next, from))
    })
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
    /// Stops a call, also one that is still on its way. One that has ended leaves its number here for as long as the run
    /// lasts: which of the two it is nobody can tell, and few calls are stopped.
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
        // Cancellations are taken before orders, so that one may be here first.
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

#[cfg(test)]
mod tests {
    use futures::future::{Aborted, abortable, pending};

    use super::*;

    #[tokio::test]
    async fn a_call_that_was_cancelled_on_its_way_is_stopped_when_it_begins() {
        let calls = Calls::default();
        calls.cancel(7);
        let (work, abort) = abortable(pending::<()>());
        calls.begin(7, abort);
        assert_eq!(work.await, Err(Aborted));
    }

    #[tokio::test]
    async fn a_call_at_work_is_stopped_and_no_other() {
        let calls = Calls::default();
        let (work, abort) = abortable(pending::<()>());
        let (other, not_aborted) = abortable(async { "done" });
        calls.begin(7, abort);
        calls.begin(8, not_aborted);
        calls.cancel(7);
        assert_eq!(work.await, Err(Aborted));
        assert_eq!(other.await, Ok("done"));
    }

    #[tokio::test]
    async fn a_number_that_comes_again_is_not_stopped_for_what_was_said_of_the_one_before() {
        let calls = Calls::default();
        calls.cancel(7);
        calls.end(7);
        let (work, abort) = abortable(async { "done" });
        calls.begin(7, abort);
        assert_eq!(work.await, Ok("done"));
    }
}
