//! Small values that the host keeps for a plugin: they outlive its instances, a reload and the run. The
//! profile says:
//!
//! ```toml
//! [state]
//! namespaces = ["notes"]
//! bytes = "1MiB"
//! ```
//!
//! and the manifest `state = { namespaces = ["notes"] }` in `[needs]`.
//!
//! ```
//! use flowhost_sdk::state;
//! use flowhost_sdk::testing::Fakes;
//!
//! Fakes::new().namespace("notes").run(|| {
//!     state::set("notes", "count", b"1").unwrap();
//!     assert_eq!(state::get("notes", "count").unwrap().unwrap().value, b"1");
//!     assert!(state::set("other", "count", b"1").is_err());
//! });
//! ```

use crate::Error;
use crate::bindings::flowhost::state::state as import;
use crate::host::host_call;

pub use import::Entry;

/// Reads a key.
///
/// # Errors
/// Denied (namespace).
pub fn get(namespace: &str, key: &str) -> Result<Option<Entry>, Error> {
    host_call!(import::get(namespace, key), |fakes| fakes
        .state_get(namespace, key))
}

/// Writes a key and returns its new revision.
///
/// # Errors
/// Denied, limit (`state.bytes`), invalid (key).
pub fn set(namespace: &str, key: &str, value: &[u8]) -> Result<String, Error> {
    host_call!(import::set(namespace, key, value), |fakes| fakes
        .state_set(namespace, key, value))
}

/// Writes a key only if its revision is still `expected` (empty: only if it is absent). Returns the new
/// revision, or `None` if another write came first.
///
/// # Errors
/// As [`set`].
pub fn compare_and_swap(
    namespace: &str,
    key: &str,
    expected: &str,
    value: &[u8],
) -> Result<Option<String>, Error> {
    host_call!(
        import::compare_and_swap(namespace, key, expected, value),
        |fakes| fakes.state_swap(namespace, key, expected, value)
    )
}

/// Removes a key; `true` if it was there.
///
/// # Errors
/// Denied.
pub fn delete(namespace: &str, key: &str) -> Result<bool, Error> {
    host_call!(import::delete(namespace, key), |fakes| fakes
        .state_delete(namespace, key))
}

/// Keys that start with `prefix`, sorted, at most 1,000.
///
/// # Errors
/// Denied.
pub fn list(namespace: &str, prefix: &str) -> Result<Vec<String>, Error> {
    host_call!(import::list(namespace, prefix), |fakes| fakes
        .state_list(namespace, prefix))
}
