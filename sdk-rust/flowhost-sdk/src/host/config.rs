//! This plugin's `config:` in the plan. The profile says `config = true`, the manifest `config = true`
//! in `[needs]`.
//!
//! ```
//! use flowhost_sdk::config;
//! use flowhost_sdk::testing::Fakes;
//!
//! #[derive(serde::Deserialize)]
//! struct Config { language: String }
//!
//! Fakes::new().config(r#"{"language":"en"}"#).run(|| {
//!     let config: Config = config::read().unwrap();
//!     assert_eq!(config.language, "en");
//! });
//! ```

use serde::de::DeserializeOwned;

use crate::Error;
#[cfg(target_arch = "wasm32")]
use crate::bindings::flowhost::config::config as import;
use crate::host::host_call;
use crate::json::parse_named;

/// One top-level key as JSON; `None` where the plan does not set it.
#[must_use]
pub fn get(key: &str) -> Option<String> {
    host_call!(import::get(key), |fakes| fakes.config_key(key))
}

/// The whole configuration as JSON; `{}` where there is none.
#[must_use]
pub fn all() -> String {
    host_call!(import::all(), |fakes| fakes.config_text())
}

/// The whole configuration as a type of yours.
///
/// # Errors
/// [`Error::Invalid`] with the line and column of what does not fit.
pub fn read<T: DeserializeOwned>() -> Result<T, Error> {
    parse_named("config", &all())
}
