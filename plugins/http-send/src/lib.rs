//! The tool `http-send`: one request that changes something, to what the profile allows.
//!
//! It sends once and repeats nothing: whether a request may be repeated is the plan's to say (`effects`,
//! `retry`), and the host gives each the key by which a receiver drops a repetition. An answer from 400 on is an
//! error, so that a plan takes back what went before.

// How an answer is read is the same for both tools that speak HTTP.
#[path = "../../http-fetch/src/body.rs"]
mod body;

use std::collections::BTreeMap;

use flowhost_sdk::host::http::{self, Header, Request};
use flowhost_sdk::{Answer, Context, Error, Tool, answer, parse};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Characters of an answer that an error repeats.
const TOLD_CHARS: usize = 200;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Send {
    url: String,
    #[serde(default)]
    method: Method,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: Option<Value>,
    #[serde(default)]
    timeout_ms: f64,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "UPPERCASE")]
enum Method {
    #[default]
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    const fn word(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

#[derive(Serialize)]
struct Sent {
    status: i32,
    headers: BTreeMap<String, String>,
    body: Value,
    kind: &'static str,
}

fn send(input: Send) -> Result<Sent, Error> {
    let headers = input.headers.into_iter();
    let mut headers: Vec<Header> = headers
        .map(|(name, value)| Header { name, value })
        .collect();
    let typed = headers
        .iter()
        .any(|it| it.name.eq_ignore_ascii_case("content-type"));
    if input.body.is_some() && !typed {
        headers.push(Header {
            name: "content-type".to_owned(),
            value: "application/json".to_owned(),
        });
    }
    let response = http::send(&Request {
        method: input.method.word().to_owned(),
        url: input.url,
        headers,
        body: input
            .body
            .map_or_else(Vec::new, |body| body.to_string().into_bytes()),
        timeout_ms: input.timeout_ms,
    })?;
    let headers = body::headers(response.headers.into_iter().map(|it| (it.name, it.value)));
    let content_type = headers.get("content-type").map_or("", String::as_str);
    let (kind, body) = body::read(content_type, &response.body);
    if response.status >= 400 {
        return Err(refused(response.status, &body));
    }
    Ok(Sent {
        status: response.status,
        headers,
        body,
        kind,
    })
}

fn refused(status: i32, body: &Value) -> Error {
    let told = match body {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let told: String = told.chars().take(TOLD_CHARS).collect();
    let message = format!("the server answered {status}: {told}");
    match status {
        // It may be otherwise a moment later.
        429 | 500..=599 => Error::transient(message),
        // The world is not as the request needs it.
        409 | 412 => Error::conflict(message),
        _ => Error::failed(message),
    }
}

struct HttpSend;

impl Tool for HttpSend {
    fn call(_: &Context, name: &str, input: &str) -> Result<Answer, Error> {
        match name {
            "send" => answer(&send(parse(input)?)?),
            other => Err(Error::unknown_tool(other)),
        }
    }
}

flowhost_sdk::export_tool!(HttpSend);
