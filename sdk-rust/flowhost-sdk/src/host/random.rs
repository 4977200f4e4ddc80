//! Randomness, as the profile gives it: `[random]` with `source = "seeded"` (the same in every attempt
//! and replay of a step) or `source = "os"` (recorded); the manifest says `random = "granted"` in
//! `[needs]`.
//!
//! ```
//! use flowhost_sdk::random;
//! use flowhost_sdk::testing::Fakes;
//!
//! let roll = || random::bytes(4).unwrap();
//! assert_eq!(Fakes::new().seed(7).run(roll), Fakes::new().seed(7).run(roll));
//! assert_ne!(Fakes::new().seed(7).run(roll), Fakes::new().seed(8).run(roll));
//! ```

use crate::Error;
#[cfg(target_arch = "wasm32")]
use crate::bindings::flowhost::random::random as import;
use crate::host::host_call;

/// `length` random bytes, at most 64 KiB a call.
///
/// # Errors
/// Limit.
pub fn bytes(length: i32) -> Result<Vec<u8>, Error> {
    host_call!(import::bytes(length), |fakes| fakes.random(length))
}
