//! How far a call is, for whoever waits. The profile says `log = true`, the manifest `log = true` in
//! `[needs]`: it is words for people, as a log line is.
//!
//! ```
//! use flowhost_sdk::testing::Fakes;
//!
//! let fakes = Fakes::new();
//! fakes.run(|| flowhost_sdk::progress::report(1.0, Some(3.0), "reading"));
//! assert_eq!(fakes.progress(), [(1.0, Some(3.0), "reading".to_owned())]);
//! ```

#[cfg(target_arch = "wasm32")]
use crate::bindings::flowhost::progress::progress as import;
use crate::host::host_call;

/// Tells whoever waits how far the call is: `done` of `total`, and what it is at. Reports that come
/// faster than people read cost a host call each and are not shown.
pub fn report(done: f64, total: Option<f64>, message: &str) {
    host_call!(import::report(done, total, message), |fakes| fakes
        .report(done, total, message));
}
