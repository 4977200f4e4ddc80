//! Sends requests: `method`, `url`, `headers` (pairs), `body`, `timeout_ms`; takes a table of
//! `cases`, so one component walks all of the network attacks.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::host::http::{self, Header, Request};
use flowhost_test_guests::{Answer, Context, Error, Value, each, json};

#[derive(serde::Deserialize)]
struct Input {
    #[serde(default = "get")]
    method: String,
    url: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
    #[serde(default)]
    body: String,
    #[serde(default)]
    timeout_ms: f64,
}

fn get() -> String {
    "GET".to_owned()
}

fn work(input: Input) -> Result<Value, Error> {
    let headers = input
        .headers
        .into_iter()
        .map(|(name, value)| Header { name, value });
    let response = http::send(&Request {
        method: input.method,
        url: input.url,
        headers: headers.collect(),
        body: input.body.into_bytes(),
        timeout_ms: input.timeout_ms,
    })?;
    let headers: Vec<(String, String)> = response
        .headers
        .into_iter()
        .map(|header| (header.name, header.value))
        .collect();
    Ok(json!({
        "status": response.status, "headers": headers,
        "body": String::from_utf8_lossy(&response.body),
    }))
}

fn run(_: &Context, input: &str) -> Result<Answer, Error> {
    each(input, work)
}

flowhost_test_guests::guest!(run);
