//! Tools of other plugins; every call goes back through policy and guardrails. The profile says
//! `[tools]` with `call = ["files/*"]`, the manifest `tools = "granted"` in `[needs]`.
//!
//! ```
//! use flowhost_sdk::testing::Fakes;
//! use flowhost_sdk::tools;
//!
//! let fakes = Fakes::new().tool("clock/now", |_input| Ok("12".to_owned()));
//! fakes.run(|| {
//!     assert_eq!(tools::call("clock/now", "{}").unwrap().value, "12");
//!     assert!(tools::call("clock/set", "{}").is_err());
//! });
//! ```

#[cfg(target_arch = "wasm32")]
use crate::bindings::flowhost::tools::tools as import;
use crate::host::host_call;
use crate::{Answer, Descriptor, Error};

/// The tools that this plugin may call, named `plugin/tool`.
#[must_use]
pub fn list() -> Vec<Descriptor> {
    host_call!(import::list(), |fakes| fakes.tool_list())
}

/// Calls `plugin/tool` with a JSON document.
///
/// # Errors
/// Denied, invalid (against the tool's schema), and whatever the tool answers.
pub fn call(name: &str, input: &str) -> Result<Answer, Error> {
    host_call!(import::call(name, input), |fakes| fakes
        .call_tool(name, input))
}
