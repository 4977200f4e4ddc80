//! Takes a server at its word: that it is there, and that it sends what it says. It panics where that does not
//! hold.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::host::http::{self, Request};
use flowhost_test_guests::{Answer, Context, Error, Value, answer};

#[expect(
    clippy::panic,
    reason = "not bearing a server that errs is what this guest does"
)]
fn run(_: &Context, _: &str) -> Result<Answer, Error> {
    let response = http::send(&Request {
        method: "GET".to_owned(),
        url: "http://server.example/".to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
        timeout_ms: 0.0,
    })?;
    match serde_json::from_slice::<Value>(&response.body) {
        Ok(document) => answer(&document),
        Err(error) => panic!("the server said that it sends JSON: {error}"),
    }
}

flowhost_test_guests::guest!(run);
