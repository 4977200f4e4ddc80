//! Log lines. The profile says `log = true`, the manifest `log = true` in `[needs]`; they are bounded by
//! `limits.log`.
//!
//! ```
//! use flowhost_sdk::log;
//! use flowhost_sdk::testing::Fakes;
//!
//! let fakes = Fakes::new();
//! fakes.run(|| {
//!     log::info("starting");
//!     flowhost_sdk::log!(Warn, "slow", files = 12, path = "/docs");
//! });
//! assert_eq!(fakes.logged(), ["info: starting", "warn: slow files=12 path=/docs"]);
//! ```

use crate::bindings::flowhost::log::log as import;
use crate::host::host_call;

pub use import::{Field, Level};

/// Writes one line. Never fails: lines over the limit are dropped, with one record that says how many.
pub fn write(level: Level, message: &str, fields: &[Field]) {
    host_call!(import::write(level, message, fields), |fakes| fakes
        .log(level, message, fields));
}

/// For whoever follows every step.
pub fn debug(message: &str) {
    write(Level::Debug, message, &[]);
}

/// What is worth knowing afterwards.
pub fn info(message: &str) {
    write(Level::Info, message, &[]);
}

/// What somebody should look at.
pub fn warn(message: &str) {
    write(Level::Warn, message, &[]);
}

/// What went wrong.
pub fn error(message: &str) {
    write(Level::Error, message, &[]);
}

/// Writes a log line with a level and optional `key = value` fields after the message. Using it makes
/// the plugin ask for the right `log`.
///
/// ```
/// # flowhost_sdk::testing::Fakes::new().run(|| {
/// flowhost_sdk::log!(Info, "read a folder", files = 12, path = "/docs");
/// # });
/// ```
#[macro_export]
macro_rules! log {
    ($level:ident, $message:expr $(, $key:ident = $value:expr)* $(,)?) => {
        $crate::host::log::write(
            $crate::host::log::Level::$level,
            &::std::string::ToString::to_string(&$message),
            &[$($crate::host::log::Field {
                key: ::std::string::String::from(stringify!($key)),
                value: ::std::string::ToString::to_string(&$value),
            }),*],
        )
    };
}
