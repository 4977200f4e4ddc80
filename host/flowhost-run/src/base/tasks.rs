//! The one place where this crate starts a task, or leaves the runtime's threads for one that may wait.
//!
//! On a runtime of one thread, with tokio's clock paused, tasks then take their turns in the same order
//! every time: that is what a simulation needs of a host.

use flowhost_flow::Exit;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tracing::Instrument as _;

use crate::base::failure::Failure;

/// Starts `work` beside the caller, whose log fields it keeps.
pub(crate) fn spawn<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> JoinHandle<T> {
    tokio::spawn(work.in_current_span())
}

/// Starts `work` beside the caller, whose log fields it keeps, on threads of another runtime.
pub(crate) fn spawn_in<T: Send + 'static>(
    crowd: &Handle,
    work: impl Future<Output = T> + Send + 'static,
) {
    crowd.spawn(work.in_current_span());
}

/// Whether the runtime has no thread beside this one, so that nothing goes on sooner in a task of its own.
pub(crate) fn is_alone() -> bool {
    Handle::current().metrics().num_workers() == 1
}

/// Does what waits for the disk on a thread that may wait.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| {
            Err(Failure::new(
                Exit::Internal,
                "the host failed while it waited for the disk",
            )
            .because(error.to_string())
            .hint("this is a bug; report it"))
        })
}
