//! The gateway against servers on loopback that speak the real wire formats, rightly and wrongly.
//!
//! Nothing here waits for a time to pass: where timers matter, time is paused (`timing.rs`).

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests say what must be by failing where it is not"
)]

mod answers;
mod costs;
mod failures;
mod harness;
mod mock;
mod order;
mod proxy;
mod refusals;
mod server;
mod shapes;
mod streams;
mod timing;
mod tls;
mod words;
