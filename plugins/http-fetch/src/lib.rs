//! The tool `http-fetch`: one request that the profile allows.
//!
//! It reads only, so it can be retried; it follows nothing, so that every address is decided by the
//! host; and it repeats no header that would carry a secret, because secrets are the host's to inject.

mod body;

use std::collections::BTreeMap;

use flowhost_sdk::host::http::{self, Header, Request};
use flowhost_sdk::{Answer, Context, Error, Tool, answer, parse};
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fetch {
    url: String,
    #[serde(default)]
    method: Method,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    timeout_ms: f64,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "UPPERCASE")]
enum Method {
    #[default]
    Get,
    Head,
}

#[derive(Serialize)]
struct Fetched {
    status: i32,
    headers: BTreeMap<String, String>,
    body: Value,
    kind: &'static str,
}

fn fetch(input: Fetch) -> Result<Fetched, Error> {
    let headers = input
        .headers
        .into_iter()
        .map(|(name, value)| Header { name, value });
    let response = http::send(&Request {
        method: match input.method {
            Method::Get => "GET".to_owned(),
            Method::Head => "HEAD".to_owned(),
        },
        url: input.url,
        headers: headers.collect(),
        body: Vec::new(),
        timeout_ms: input.timeout_ms,
    })?;
    if response.status == 429 || (500..=599).contains(&response.status) {
        return Err(Error::transient(format_args!(
            "the server answered {}",
            response.status
        )));
    }
    let headers = body::headers(response.headers.into_iter().map(|it| (it.name, it.value)));
    let (kind, body) = body::read(
        headers.get("content-type").map_or("", String::as_str),
        &response.body,
    );
    Ok(Fetched {
        status: response.status,
        headers,
        body,
        kind,
    })
}

struct HttpFetch;

impl Tool for HttpFetch {
    fn call(_: &Context, name: &str, input: &str) -> Result<Answer, Error> {
        match name {
            "fetch" => answer(&fetch(parse(input)?)?),
            other => Err(Error::unknown_tool(other)),
        }
    }
}

flowhost_sdk::export_tool!(HttpFetch);
