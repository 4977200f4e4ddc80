//! The one place where this crate starts a task.
//!
//! On a runtime of one thread, with tokio's clock paused, tasks then take their turns in the same order
//! every time: that is what a simulation needs of a host.

use tokio::task::JoinHandle;
use tracing::Instrument as _;

/// Starts `work` beside the caller, whose log fields it keeps.
pub(crate) fn spawn<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> JoinHandle<T> {
    tokio::spawn(work.in_current_span())
}
