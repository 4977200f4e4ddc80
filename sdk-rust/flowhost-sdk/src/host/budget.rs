//! What is left to spend. The profile says `budget = true`, the manifest `budget = true` in `[needs]`.
//!
//! ```
//! use flowhost_sdk::budget;
//! use flowhost_sdk::testing::Fakes;
//!
//! Fakes::new().budget(1_000, 5_000).run(|| {
//!     assert_eq!(budget::left().tokens, "1000");
//! });
//! ```

use crate::bindings::flowhost::budget::budget as import;
use crate::host::host_call;

pub use import::Remaining;

/// The amounts that are left, as decimal strings; money in millionths of a US dollar.
#[must_use]
pub fn left() -> Remaining {
    host_call!(import::left(), |fakes| fakes.left())
}
