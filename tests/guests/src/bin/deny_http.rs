//! Imports `flowhost:http` and uses it once: without the grant it must not even be instantiated
//! (CAP-001).

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::host::http::{self, Request};
use flowhost_test_guests::{Answer, Context, Error, answer};

fn run(_: &Context, _: &str) -> Result<Answer, Error> {
    let response = http::send(&Request {
        method: "GET".to_owned(),
        url: "http://127.0.0.1/".to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
        timeout_ms: 0.0,
    })?;
    answer(&response.status)
}

flowhost_test_guests::guest!(run);
