//! What the guests share: how a case comes in and how its outcome goes out. Each guest is one file in
//! `src/bin`, named `<suite>_<behaviour>`, and becomes one component.
//!
//! Suites: `ok_` does what it should, `limit_` walks into one limit, `deny_` asks for what it may not
//! have, `fault_` breaks, `compat_` was built another way. A guest never decides whether it was right:
//! it tells what happened, and the test judges.

pub mod cases;
pub mod talk;

pub use cases::{Case, each, error_of, told};
pub use flowhost_sdk::*;
pub use serde_json::{Value, json};

/// Makes a tool component with one tool, `run`, of a function from context and input to an answer.
#[macro_export]
macro_rules! guest {
    ($work:path) => {
        struct TestGuest;

        impl $crate::Tool for TestGuest {
            fn call(
                ctx: &$crate::Context,
                _name: &str,
                input: &str,
            ) -> Result<$crate::Answer, $crate::Error> {
                $work(ctx, input)
            }
        }

        ::flowhost_sdk::export_tool!(TestGuest, &[$crate::ToolSpec::any("run")]);

        #[cfg(not(target_arch = "wasm32"))]
        fn main() {}
    };
}
