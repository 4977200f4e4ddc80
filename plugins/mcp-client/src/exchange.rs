//! One question and its answer: the frame of the era, over HTTP with its headers, and what the server made
//! of it.

use std::cell::Cell;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use flowhost_mcp::{Code, Id, Request, RpcError};
use flowhost_sdk::host::mcp_transport::{self as transport, Header};
use flowhost_sdk::{Context, Error};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::config::Config;
use crate::session::{Era, State};
use crate::talk::{self, Asked, Listening, Trip};

/// What the modern era asks to hear what a server says by itself.
const LISTEN: &str = "subscriptions/listen";

/// Characters of what a server says that an error repeats; the host shows it to people and models.
const SAID_CHARS: usize = 300;

/// Milliseconds that a process has to answer the first question of all, where its era is to be found out: some
/// of the older one never answer what they do not know. HTTP answers with a status.
const PROBE_MS: f64 = 5_000.0;

/// The server at the other end.
pub(crate) struct Server {
    way: Way,
    /// What begins the ids of this call's questions: its id in the run, and what it asks where several calls of this
    /// adapter have one.
    call: String,
    asked: Cell<u32>,
    /// Milliseconds that this call may take.
    time_ms: f64,
}

/// How it is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Way {
    /// At an address.
    Http(String),
    /// Over the standard streams of its process.
    Stdio,
}

/// An answer as it came.
pub(crate) struct Got {
    /// Of HTTP; over the standard streams 200 for an answer.
    pub(crate) status: i32,
    /// What was answered to the question, if a frame did.
    pub(crate) outcome: Option<Result<Value, RpcError>>,
    /// Why the question was not sent, over the standard streams.
    pub(crate) unsent: Option<Error>,
}

impl Got {
    /// Why there is no answer.
    pub(crate) fn refused(&self) -> Error {
        self.unsent.clone().unwrap_or_else(|| refused(self.status))
    }
}

impl Server {
    pub(crate) fn of(config: &Config, ctx: &Context) -> Result<Self, Error> {
        let way = match config.url.as_deref() {
            Some("") => {
                return Err(Error::invalid(
                    "config: `url` is empty; it is the address of the server's endpoint",
                ));
            }
            Some(url) => Way::Http(url.to_owned()),
            None => Way::Stdio,
        };
        Self::at(way, &ctx.call, ctx.deadline_ms)
    }

    pub(crate) fn at(way: Way, call: &str, time_ms: f64) -> Result<Self, Error> {
        if let Way::Http(url) = &way {
            transport::at(url)?;
        }
        Ok(Self {
            way,
            call: call.to_owned(),
            asked: Cell::new(0),
            time_ms,
        })
    }

    /// The same, for one page of a list: all pages are asked for under one id, each by an instance of its own, and
    /// no two questions of a session may have the same.
    pub(crate) fn for_page(self, cursor: &str) -> Self {
        let mut hash = DefaultHasher::new();
        cursor.hash(&mut hash);
        let call = format!("{}.{:x}", self.call, hash.finish());
        Self { call, ..self }
    }

    pub(crate) fn way(&self) -> &Way {
        &self.way
    }

    /// Asks within a session; an error of the server is an error.
    pub(crate) fn ask(
        &self,
        state: &mut State,
        method: &str,
        params: Map<String, Value>,
        headers: &[(String, String)],
    ) -> Result<Value, Error> {
        self.try_ask(state, method, params, headers)?
            .map_err(|error| told(&error))
    }

    /// Asks within a session, and begins a new one when the server has ended the old one: what it did not
    /// find it has not done.
    pub(crate) fn try_ask(
        &self,
        state: &mut State,
        method: &str,
        params: Map<String, Value>,
        headers: &[(String, String)],
    ) -> Result<Result<Value, RpcError>, Error> {
        let got = self.send(state, method, params.clone(), headers)?;
        let ended = got.status == 404 && got.outcome.is_none() && state.era == Era::Legacy;
        let ended = ended || got.unsent.is_some();
        let got = match ended {
            false => got,
            true => {
                state.begin_again(self)?;
                self.send(state, method, params, headers)?
            }
        };
        match got.outcome {
            Some(outcome) => Ok(outcome.and_then(complete)),
            None => Err(got.refused()),
        }
    }

    /// Sends a request in the session's era.
    pub(crate) fn send(
        &self,
        state: &State,
        method: &str,
        mut params: Map<String, Value>,
        headers: &[(String, String)],
    ) -> Result<Got, Error> {
        let mut all = state.headers(method, &params);
        all.extend(headers.iter().map(|(name, value)| header(name, value)));
        state.sign(&mut params);
        if self.is_http() && state.listens {
            let frame = self.subscription(state);
            let headers = state.headers(LISTEN, &Map::new());
            let listening = Listening {
                frame: &frame,
                headers: &headers,
            };
            return self.request(method, params, &all, state.era, Some(listening));
        }
        self.request(method, params, &all, state.era, None)
    }

    /// Sends a request with these headers.
    pub(crate) fn request(
        &self,
        method: &str,
        params: Map<String, Value>,
        headers: &[Header],
        era: Era,
        listening: Option<Listening<'_>>,
    ) -> Result<Got, Error> {
        let mut frame = Request {
            id: self.id(),
            method: method.to_owned(),
            params,
        };
        wants_progress(&mut frame);
        let is_modern_http = self.is_http() && era == Era::Modern;
        let by_itself = Listening {
            frame: "",
            headers: &[],
        };
        let trip = Trip {
            headers: if self.is_http() { headers } else { &[] },
            // A process says everything on the one stream that it has.
            listening: match self.is_http() {
                true => listening,
                false => Some(by_itself),
            },
            may_answer: !is_modern_http,
            // What begins a session cannot be called off.
            tells_of_end: !is_modern_http && method != "initialize",
            wait_ms: match method {
                "server/discover" if !self.is_http() => self.time_ms.min(PROBE_MS),
                _ => self.time_ms,
            },
            // Over HTTP it takes a request of its own to tell.
            parting_ms: match self.is_http() && !is_modern_http {
                true => (self.time_ms / 4.0).min(1_000.0),
                false => 250.0,
            },
        };
        let (status, outcome, unsent) = match talk::ask(&frame, &trip)? {
            Asked::Answered(head, outcome) => {
                let status = head.map_or(200, |head| head.status);
                (status, Some(outcome), None)
            }
            Asked::Refused(head) => (head.status, None, None),
            Asked::Gone(why) => (404, None, Some(why)),
        };
        Ok(Got {
            status,
            outcome,
            unsent,
        })
    }

    fn is_http(&self) -> bool {
        matches!(self.way, Way::Http(_))
    }

    /// What asks to hear of changes, in the era that has a request for it.
    fn subscription(&self, state: &State) -> String {
        if state.era == Era::Legacy {
            return String::new();
        }
        let wanted = json!({ "toolsListChanged": true });
        let mut params = Map::from_iter([("notifications".to_owned(), wanted)]);
        state.sign(&mut params);
        let request = Request {
            // It outlives the call, and there is one of it.
            id: Id::Text("listen".to_owned()),
            method: LISTEN.to_owned(),
            params,
        };
        request.value().to_string()
    }

    /// Begins to hear what the server says by itself, so that it is heard between calls as well.
    pub(crate) fn listen(&self, state: &State) -> Result<(), Error> {
        if !state.listens {
            return Ok(());
        }
        let frame = self.subscription(state);
        if !self.is_http() {
            // A process says it on the one stream that it has, in the modern era where it was asked for; what it answers to
            // that is nobody's.
            if !frame.is_empty() {
                transport::cancel(&transport::open(&frame, &[])?);
            }
            return Ok(());
        }
        let headers = state.headers(LISTEN, &Map::new());
        let listening = Listening {
            frame: &frame,
            headers: &headers,
        };
        transport::cancel(&listening.open()?);
        Ok(())
    }

    /// An id for a question: a session and the standard streams are shared by all calls of the run.
    fn id(&self) -> Id {
        let number = self.asked.get() + 1;
        self.asked.set(number);
        Id::Text(format!("{}-{number}", self.call))
    }

    /// Sends what has no answer.
    pub(crate) fn notify(&self, state: &State, method: &str) -> Result<(), Error> {
        let headers = match self.is_http() {
            true => state.headers(method, &Map::new()),
            false => Vec::new(),
        };
        match talk::notify(method, &json!({}), &headers)? {
            Some(head) if !(200..300).contains(&head.status) => Err(refused(head.status)),
            _ => Ok(()),
        }
    }
}

/// A call says under which token its progress may be told: its own id, by which the host routes it.
fn wants_progress(request: &mut Request) {
    if request.method != "tools/call" {
        return;
    }
    let token = request.id.value();
    let meta = request.params.entry("_meta").or_insert_with(|| json!({}));
    if let Value::Object(meta) = meta {
        meta.insert("progressToken".to_owned(), token);
    }
}

pub(crate) fn header(name: &str, value: &str) -> Header {
    Header {
        name: name.to_owned(),
        value: value.to_owned(),
    }
}

/// What this client calls itself.
pub(crate) fn client() -> Value {
    json!({ "name": "flowhost", "version": env!("CARGO_PKG_VERSION") })
}

/// A result that is whole: one that asks for more is refused.
fn complete(result: Value) -> Result<Value, RpcError> {
    let kind = result.get("resultType").and_then(Value::as_str);
    match kind.map(str::to_owned).as_deref() {
        None | Some("complete") if result.is_object() => Ok(result),
        None | Some("complete") => Err(RpcError::new(
            Code::Internal,
            "the server's result is not an object",
        )),
        Some("input_required") => Err(RpcError::new(
            Code::MissingClientCapability,
            "the server wants to ask a person or a model, which this host grants to no server",
        )),
        Some(other) => Err(RpcError::new(
            Code::Internal,
            format!(
                "the server's result is of the unknown type `{}`",
                said(other)
            ),
        )),
    }
}

/// An error of the server in the words of a plugin.
pub(crate) fn told(error: &RpcError) -> Error {
    let message = said(&error.message);
    match error.code {
        Code::InvalidParams => Error::invalid(format_args!("the server refuses: {message}")),
        _ => Error::failed(format_args!(
            "the server answered with error {}: {message}",
            error.code.number()
        )),
    }
}

/// A status without an answer.
pub(crate) fn refused(status: i32) -> Error {
    match status {
        401 | 403 => Error::failed(format_args!(
            "the server wants credentials (HTTP {status}): log in with `flowhost mcp login`, or name a secret, and give it by `inject` in the profile's [[http]]"
        )),
        404 | 405 | 410 => Error::failed(format_args!(
            "the address is not an MCP endpoint (HTTP {status})"
        )),
        429 => Error::transient("the server asks for a pause (HTTP 429)"),
        500..=599 => Error::transient(format_args!("the server failed (HTTP {status})")),
        300..=399 => Error::failed(format_args!(
            "the server is elsewhere (HTTP {status}); redirects are not followed: name its new address"
        )),
        _ => Error::failed(format_args!(
            "the server refused the request (HTTP {status})"
        )),
    }
}

/// What a server says, as far as an error repeats it.
pub(crate) fn said(text: &str) -> String {
    text.chars()
        .filter(|it| !it.is_control())
        .take(SAID_CHARS)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_asks_for_more_is_refused() {
        // MCP-026
        let error =
            complete(json!({ "resultType": "input_required", "inputRequests": {} })).unwrap_err();
        assert!(
            error.message.contains("grants to no server"),
            "{}",
            error.message
        );
        assert!(complete(json!({ "resultType": "task" })).is_err());
        assert!(complete(json!([1])).is_err());
        assert!(complete(json!({})).is_ok());
    }
}
