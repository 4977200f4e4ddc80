//! Work that is seen to its end, whoever still waits for it.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::runtime::Handle;

/// Dropped before it is done, the work goes on in a task of its own. Mostly somebody waits, and then a task would be no
/// more than another turn of the scheduler.
pub(crate) struct SeenThrough<T: Send + 'static>(Option<BoxFuture<'static, Result<T, Panicked>>>);

/// The work failed in a way that is a bug of the host.
#[derive(Debug)]
pub(crate) struct Panicked;

impl<T: Send + 'static> SeenThrough<T> {
    pub(crate) fn new(work: impl Future<Output = T> + Send + 'static) -> Self {
        let work = AssertUnwindSafe(work).catch_unwind();
        // Who panics has told of it already; the one that waits goes on.
        Self(Some(work.map(|done| done.map_err(|_| Panicked)).boxed()))
    }
}

impl<T: Send + 'static> Future for SeenThrough<T> {
    type Output = Result<T, Panicked>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(work) = &mut self.0 else {
            debug_assert!(false, "what is done is not asked again");
            return Poll::Pending;
        };
        let polled = work.poll_unpin(task);
        if polled.is_ready() {
            self.0 = None;
        }
        polled
    }
}

impl<T: Send + 'static> Drop for SeenThrough<T> {
    fn drop(&mut self) {
        // Without a runtime the process ends.
        if let Some(work) = self.0.take()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(work);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::sync::Arc;

    use tokio::sync::{Notify, oneshot};

    use super::*;

    #[tokio::test]
    async fn what_nobody_waits_for_goes_on() {
        let (go, (done, end)) = (Arc::new(Notify::new()), oneshot::channel());
        let begun = go.clone();
        let mut work = SeenThrough::new(async move {
            begun.notified().await;
            let _ = done.send(());
        });
        assert!(futures::poll!(&mut work).is_pending());
        drop(work);
        go.notify_one();
        assert!(end.await.is_ok());
    }

    #[tokio::test]
    async fn what_panics_is_told_to_who_waits() {
        assert_eq!(SeenThrough::new(ready(7)).await.ok(), Some(7));
        let fails = SeenThrough::new(async { panic!("a bug") });
        let told: Result<(), Panicked> = fails.await;
        assert!(told.is_err());
    }
}
