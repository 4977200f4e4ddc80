//! Names of secrets and, by a right of its own, their values. The profile says:
//!
//! ```toml
//! [secrets]
//! names = ["TOKEN"]
//! reveal = ["TOKEN"]   # only where injecting it into a request will not do
//! ```
//!
//! and the manifest `secrets = "granted"` in `[needs]`.
//!
//! ```
//! use flowhost_sdk::secrets;
//! use flowhost_sdk::testing::Fakes;
//!
//! Fakes::new().secret("TOKEN", "s3cret").run(|| {
//!     assert_eq!(secrets::names(), ["TOKEN"]);
//!     assert_eq!(secrets::reveal("TOKEN").unwrap(), "s3cret");
//! });
//! ```

use crate::Error;
#[cfg(target_arch = "wasm32")]
use crate::bindings::flowhost::secrets::secrets as import;
use crate::host::host_call;

/// The names that the profile lists, sorted.
#[must_use]
pub fn names() -> Vec<String> {
    host_call!(import::names(), |fakes| fakes.secret_names())
}

/// The value of a secret.
///
/// # Errors
/// Denied, failed (the host has no value).
pub fn reveal(name: &str) -> Result<String, Error> {
    host_call!(import::reveal(name), |fakes| fakes.reveal(name))
}
