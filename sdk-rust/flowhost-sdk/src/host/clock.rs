//! The time, as the profile gives it: `[clock]` with `wall = "real"` or `wall = "virtual"`; the manifest
//! says `clock = "granted"` in `[needs]`. A virtual clock starts with the run and stands still, so that a
//! replay reads the same times.
//!
//! ```
//! use flowhost_sdk::clock;
//! use flowhost_sdk::testing::Fakes;
//!
//! Fakes::new().now_ms(1_790_000_000_000.0).run(|| {
//!     assert_eq!(clock::now_ms(), 1_790_000_000_000.0);
//! });
//! ```

#[cfg(target_arch = "wasm32")]
use crate::bindings::flowhost::clock::clock as import;
use crate::host::host_call;

/// Milliseconds since the Unix epoch.
#[must_use]
pub fn now_ms() -> f64 {
    host_call!(import::now_ms(), |fakes| fakes.time())
}

/// Milliseconds since this call began.
#[must_use]
pub fn elapsed_ms() -> f64 {
    host_call!(import::elapsed_ms(), |fakes| fakes.elapsed())
}
