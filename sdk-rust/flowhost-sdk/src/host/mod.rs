//! The host functions, one module per right, under the contract's names. Calling one puts its interface
//! into the component's import list, and nothing else does: the list of imports is what a plugin asks
//! for. The `[needs]` of `plugin.toml` says the same for people, and the profile decides.
//!
//! On the build machine, where tests run, the functions answer from [`crate::testing::Fakes`].

pub mod budget;
pub mod clock;
pub mod config;
pub mod files;
pub mod http;
pub mod log;
pub mod messages;
pub mod model;
pub mod progress;
pub mod random;
pub mod secrets;
pub mod state;
pub mod tools;

pub use crate::bindings::flowhost::mcp_transport::mcp_transport;
/// The same module under the name of its WIT package.
pub use messages as messaging;

/// The import inside the sandbox, a fake outside of it.
macro_rules! host_call {
    ($import:expr, |$fakes:ident| $fake:expr) => {{
        #[cfg(target_arch = "wasm32")]
        let answer = $import;
        #[cfg(not(target_arch = "wasm32"))]
        let answer = $crate::testing::with(|$fakes| $fake);
        answer
    }};
}
pub(crate) use host_call;
