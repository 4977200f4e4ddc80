//! Where a call begins: at once, or on a thread that has nothing else to do.
//!
//! On a runtime of one thread a call begins where its order is taken: to hand it over costs more than many calls take. But
//! one that computes would keep its run, and all others, from hearing anything, so that it goes on in a crowd where the
//! host has one; and the next one begins there, until one was brief again.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::base::tasks;
use crate::given::world::Crowd;

/// Longest that a call is at work before it waits for something, or is done, and is brief: a few times of what it takes to
/// hand it to another thread and to hear of its end.
const BRIEF: Duration = Duration::from_micros(200);

/// How a worker begins calls.
pub(super) struct Manner {
    crowd: Option<Crowd>,
    /// The last call was brief.
    brief: Arc<AtomicBool>,
}

impl Manner {
    pub(super) fn new(crowd: Option<Crowd>) -> Self {
        Self {
            crowd,
            brief: Arc::new(AtomicBool::new(true)),
        }
    }

    /// Begins a call; what is left of it goes on beside the worker.
    pub(super) async fn begin(&self, call: impl Future<Output = ()> + Send + 'static) {
        if !tasks::is_alone() {
            drop(tasks::spawn(call));
            return;
        }
        // A call whose host fails is what it would be in a task of its own: it is given back, and delivered again.
        let mut call = Box::pin(AssertUnwindSafe(call).catch_unwind());
        let brief = self.brief.clone();
        if !brief.load(Ordering::Relaxed)
            && let Some(crowd) = self.crowd()
        {
            return tasks::spawn_in(&crowd, async move {
                if looked_at(&mut call, &brief).await {
                    let _given_back = call.await;
                }
            });
        }
        if looked_at(&mut call, &brief).await {
            match self.crowd() {
                Some(crowd) => tasks::spawn_in(&crowd, call),
                None => drop(tasks::spawn(call)),
            }
        }
    }

    fn crowd(&self) -> Option<Handle> {
        self.crowd.as_ref().and_then(|crowd| crowd())
    }
}

/// Does what of a call can be done at once, which is all of most calls of tools; whether something is left.
async fn looked_at(call: &mut (impl Future + Unpin), brief: &AtomicBool) -> bool {
    let began = Instant::now();
    let left = futures::poll!(call).is_pending();
    brief.store(began.elapsed() < BRIEF, Ordering::Relaxed);
    left
}

#[cfg(test)]
mod tests {
    use tokio::runtime::{Builder, Runtime};
    use tokio::sync::oneshot;

    use super::*;

    fn of_one_thread() -> Runtime {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).enable_all().build().unwrap()
    }

    /// Whether a call that is at work for so many milliseconds begins at once.
    fn at_once(own: &Runtime, manner: &Manner, ms: u64) -> bool {
        own.block_on(async {
            let (told, heard) = oneshot::channel();
            let call = async move {
                std::thread::sleep(Duration::from_millis(ms));
                let _ = told.send(std::thread::current().id());
            };
            manner.begin(call).await;
            heard.await.unwrap() == std::thread::current().id()
        })
    }

    #[test]
    fn what_computes_for_long_sends_the_next_call_elsewhere_until_one_is_brief_again() {
        let (own, crowd) = (of_one_thread(), of_one_thread());
        let among = crowd.handle().clone();
        let manner = Manner::new(Some(Arc::new(move || Some(among.clone()))));
        assert!(at_once(&own, &manner, 0));
        // On a machine that is busy the one before may not have been brief.
        let is_long = |_| at_once(&own, &manner, 0) && at_once(&own, &manner, 5);
        assert!((0..1_000).any(is_long));
        assert!(!at_once(&own, &manner, 0));
        assert!((0..1_000).any(|_| at_once(&own, &manner, 0)));
    }

    #[test]
    fn without_a_crowd_every_call_begins_at_once() {
        let (own, manner) = (of_one_thread(), Manner::new(None));
        assert!([0, 5, 0].into_iter().all(|ms| at_once(&own, &manner, ms)));
    }
}
