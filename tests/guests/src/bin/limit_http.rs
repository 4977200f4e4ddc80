//! Sends a body of `bytes` to `url` until the host says no, at most `requests`.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::host::http::{self, Request};
use flowhost_test_guests::{Answer, Context, Error, answer, error_of, json, parse};

#[derive(serde::Deserialize)]
struct Input {
    url: String,
    #[serde(default)]
    bytes: usize,
    #[serde(default)]
    headers: usize,
    requests: usize,
}

fn send(input: &Input) -> Result<(), Error> {
    let header = |name: usize| http::Header {
        name: format!("x-{name}"),
        value: "1".to_owned(),
    };
    let request = Request {
        method: "POST".to_owned(),
        url: input.url.clone(),
        headers: (0..input.headers).map(header).collect(),
        body: vec![b'x'; input.bytes],
        timeout_ms: 0.0,
    };
    http::send(&request).map(|_| ())
}

fn run(_: &Context, input: &str) -> Result<Answer, Error> {
    let input: Input = parse(input)?;
    for sent in 0..input.requests {
        if let Err(error) = send(&input) {
            return answer(&json!({ "sent": sent, "stopped": error_of(&error) }));
        }
    }
    answer(&json!({ "sent": input.requests, "stopped": null }))
}

flowhost_test_guests::guest!(run);
