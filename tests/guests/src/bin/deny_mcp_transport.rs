//! Imports `flowhost:mcp-transport` and uses it once: without the grant it must not even be
//! instantiated (CAP-001).

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::host::mcp_transport;
use flowhost_test_guests::{Answer, Context, Error, answer};

fn run(_: &Context, _: &str) -> Result<Answer, Error> {
    let came = mcp_transport::next(&[], 1.0)?;
    answer(&came.is_some())
}

flowhost_test_guests::guest!(run);
