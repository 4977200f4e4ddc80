//! Files below granted folders. The profile says which:
//!
//! ```toml
//! [[files]]
//! guest = "/docs"      # what the plugin sees
//! host = "docs"        # where it is, relative to the plan
//! access = "read"      # or "write", which also needs a quota
//! ```
//!
//! and the manifest `files = "granted"` in `[needs]`. Paths are absolute guest paths; what leads out of a
//! grant is refused by the host.
//!
//! ```
//! use flowhost_sdk::files;
//! use flowhost_sdk::testing::Fakes;
//!
//! Fakes::new().file("/docs/a.md", "# A").run(|| {
//!     assert_eq!(files::read_text("/docs/a.md").unwrap(), "# A");
//!     assert!(files::read_text("/etc/passwd").is_err());
//! });
//! ```

use crate::Error;
use crate::bindings::flowhost::files::files as import;
use crate::host::host_call;

pub use import::{Entry, Kind};

/// The granted guest paths, sorted.
#[must_use]
pub fn roots() -> Vec<String> {
    host_call!(import::roots(), |fakes| fakes.roots())
}

/// Reads a file of at most `limits.output` bytes.
///
/// # Errors
/// Denied, invalid (not a file, not there), limit.
pub fn read(path: &str) -> Result<Vec<u8>, Error> {
    host_call!(import::read(path), |fakes| fakes.read(path))
}

/// Reads a file of UTF-8 text.
///
/// # Errors
/// As [`read`], and [`Error::Invalid`] when it is not UTF-8.
pub fn read_text(path: &str) -> Result<String, Error> {
    String::from_utf8(read(path)?)
        .map_err(|_| Error::invalid(format_args!("`{path}` is not UTF-8 text")))
}

/// Reads at most `length` bytes from `offset` (decimal) on; fewer at the file's end.
///
/// # Errors
/// As [`read`], and invalid (an offset that is not a number).
pub fn read_range(path: &str, offset: &str, length: i32) -> Result<Vec<u8>, Error> {
    host_call!(import::read_range(path, offset, length), |fakes| fakes
        .read_range(path, offset, length))
}

/// Lists a directory, sorted by name.
///
/// # Errors
/// Denied, invalid, limit (over 10,000 entries).
pub fn list(path: &str) -> Result<Vec<Entry>, Error> {
    host_call!(import::list(path), |fakes| fakes.list_files(path))
}

/// Describes a path.
///
/// # Errors
/// Denied, invalid (not there).
pub fn stat(path: &str) -> Result<Entry, Error> {
    host_call!(import::stat(path), |fakes| fakes.stat(path))
}

/// Creates or replaces a file. Needs `access = "write"`.
///
/// # Errors
/// Denied, limit (quota), invalid.
pub fn write(path: &str, contents: &[u8]) -> Result<(), Error> {
    host_call!(import::write(path, contents), |fakes| fakes
        .write(path, contents, false))
}

/// Appends to a file, creating it where it is not there. Needs `access = "write"`.
///
/// # Errors
/// As [`write`].
pub fn append(path: &str, contents: &[u8]) -> Result<(), Error> {
    host_call!(import::append(path, contents), |fakes| fakes
        .write(path, contents, true))
}

/// Creates a directory and its parents. Needs `access = "write"`.
///
/// # Errors
/// As [`write`].
pub fn make_directory(path: &str) -> Result<(), Error> {
    host_call!(import::make_directory(path), |fakes| fakes
        .make_directory(path))
}

/// Removes a file or an empty directory. Needs `access = "write"`.
///
/// # Errors
/// Denied, invalid (not there, not empty).
pub fn remove(path: &str) -> Result<(), Error> {
    host_call!(import::remove(path), |fakes| fakes.remove(path))
}
