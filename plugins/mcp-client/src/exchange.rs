//! One question and its answer: the frame of the era, over HTTP with its headers, and what the server made
//! of it. What does not answer exactly this question is no answer.

use std::cell::Cell;

use flowhost_mcp::{
    CLIENT_CAPABILITIES, CLIENT_INFO, Code, Id, Message, PROTOCOL_VERSION, Request, RpcError,
    encode_header, name_of, read,
};
use flowhost_sdk::host::http::{self, Header, Response};
use flowhost_sdk::{Context, Error};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::config::Config;
use crate::session::{Era, State};
use crate::sse;
use crate::stdio::{self, Asked};

/// Characters of what a server says that an error repeats; the host shows it to people and models.
const SAID_CHARS: usize = 300;

/// Milliseconds that a server has to answer the first question of all, where its era is to be found out: some
/// of the older one never answer what they do not know.
const PROBE_MS: f64 = 5_000.0;

/// The server at the other end.
pub(crate) struct Server {
    way: Way,
    /// This call's id in the run, which begins the ids of its questions.
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
    pub(crate) headers: Vec<Header>,
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

    /// The only value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self
            .headers
            .iter()
            .filter(|it| it.name.eq_ignore_ascii_case(name));
        match (found.next(), found.next()) {
            (Some(header), None) => Some(header.value.as_str()),
            _ => None,
        }
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
        Ok(Self::at(way, &ctx.call, ctx.deadline_ms))
    }

    pub(crate) fn at(way: Way, call: &str, time_ms: f64) -> Self {
        Self {
            way,
            call: call.to_owned(),
            asked: Cell::new(0),
            time_ms,
        }
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
        let ended = got.status == 404 && got.outcome.is_none() && state.has_session();
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
        let mut all = vec![("MCP-Protocol-Version", state.version.clone())];
        match state.era {
            Era::Modern => {
                all.push(("Mcp-Method", method.to_owned()));
                if let Some(name) = name_of(method, &params) {
                    all.push(("Mcp-Name", encode_header(name)));
                }
                let meta = json!({
                    PROTOCOL_VERSION: state.version,
                    CLIENT_INFO: client(),
                    CLIENT_CAPABILITIES: {},
                });
                params.insert("_meta".to_owned(), meta);
            }
            Era::Legacy => {
                if let Some(session) = &state.session {
                    all.push(("Mcp-Session-Id", session.clone()));
                }
            }
        }
        all.extend(
            headers
                .iter()
                .map(|(name, value)| (name.as_str(), value.clone())),
        );
        self.request(method, params, &all)
    }

    /// Sends a request with these headers.
    pub(crate) fn request(
        &self,
        method: &str,
        params: Map<String, Value>,
        headers: &[(&str, String)],
    ) -> Result<Got, Error> {
        let id = self.id();
        let mut frame = Request {
            id: id.clone(),
            method: method.to_owned(),
            params,
        };
        let Way::Http(url) = &self.way else {
            wants_progress(&mut frame);
            return self.over_streams(&frame);
        };
        let response = self.http("POST", url, headers, frame.value().to_string())?;
        let outcome = answer(&response, &id)?;
        Ok(Got {
            status: response.status,
            headers: response.headers,
            outcome,
            unsent: None,
        })
    }

    fn over_streams(&self, frame: &Request) -> Result<Got, Error> {
        let wait_ms = match frame.method.as_str() {
            "server/discover" => self.time_ms.min(PROBE_MS),
            _ => self.time_ms,
        };
        let (status, outcome, unsent) = match stdio::ask(frame, wait_ms)? {
            Asked::Answered(outcome) => (200, Some(outcome), None),
            Asked::Gone(why) => (404, None, Some(why)),
        };
        Ok(Got {
            status,
            headers: Vec::new(),
            outcome,
            unsent,
        })
    }

    /// An id for a question. Over HTTP one connection has one answer and there is nobody to tell it from; the
    /// standard streams are shared by all calls of the run.
    fn id(&self) -> Id {
        if let Way::Http(_) = self.way {
            return Id::Number(1);
        }
        let number = self.asked.get() + 1;
        self.asked.set(number);
        Id::Text(format!("{}-{number}", self.call))
    }

    /// Sends what has no answer.
    pub(crate) fn notify(&self, state: &State, method: &str) -> Result<(), Error> {
        let Way::Http(url) = &self.way else {
            return stdio::notify(method, &json!({}));
        };
        let frame = json!({ "jsonrpc": "2.0", "method": method });
        let mut headers = vec![("MCP-Protocol-Version", state.version.clone())];
        headers.extend(
            state
                .session
                .clone()
                .map(|session| ("Mcp-Session-Id", session)),
        );
        let response = self.http("POST", url, &headers, frame.to_string())?;
        match response.status {
            200..=299 => Ok(()),
            status => Err(refused(status)),
        }
    }

    /// Ends a session, as far as the server lets itself be told. A process is ended by the host.
    pub(crate) fn leave(&self, state: &State) {
        if let (Way::Http(url), Some(session)) = (&self.way, &state.session) {
            let headers = [
                ("MCP-Protocol-Version", state.version.clone()),
                ("Mcp-Session-Id", session.clone()),
            ];
            let _whatever_it_says = self.http("DELETE", url, &headers, String::new());
        }
    }

    fn http(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, String)],
        body: String,
    ) -> Result<Response, Error> {
        let usual = [
            ("Content-Type", "application/json".to_owned()),
            ("Accept", "application/json, text/event-stream".to_owned()),
        ];
        let all = usual.iter().chain(headers).map(|(name, value)| Header {
            name: (*name).to_owned(),
            value: value.clone(),
        });
        http::send(&http::Request {
            method: method.to_owned(),
            url: url.to_owned(),
            headers: all.collect(),
            body: body.into_bytes(),
            timeout_ms: 0.0,
        })
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

/// What this client calls itself.
pub(crate) fn client() -> Value {
    json!({ "name": "flowhost", "version": env!("CARGO_PKG_VERSION") })
}

/// The answer to a question among what a response holds.
fn answer(response: &Response, id: &Id) -> Result<Option<Result<Value, RpcError>>, Error> {
    let kind = response
        .headers
        .iter()
        .find(|it| it.name.eq_ignore_ascii_case("content-type"));
    let kind = kind.map_or("", |header| {
        header.value.split(';').next().unwrap_or_default()
    });
    let kind = kind.trim().to_ascii_lowercase();
    let frames = match kind.as_str() {
        "application/json" => vec![response.body.clone()],
        "text/event-stream" => {
            let text = std::str::from_utf8(&response.body)
                .map_err(|_| Error::failed("the server's events are not UTF-8"))?;
            sse::data(text)
                .into_iter()
                .map(String::into_bytes)
                .collect()
        }
        // What a proxy or an older server says of an error is for people.
        _ if response.status >= 300 => return Ok(None),
        _ => {
            return Err(Error::failed(format_args!(
                "the server answered with `{}`, which is neither JSON nor a stream of events",
                said(&kind)
            )));
        }
    };
    let mut found = None;
    for frame in frames {
        let message = match read(&frame) {
            Ok(message) => message,
            // A body of an error need not be a frame; an answer must be one.
            Err(_) if response.status >= 300 => return Ok(None),
            Err(refusal) => {
                return Err(Error::failed(format_args!(
                    "the server's answer: {}",
                    refusal.error.message
                )));
            }
        };
        let reply = match message {
            Message::Reply(reply) => reply,
            Message::Notification(_) => continue,
            Message::Request(request) => {
                return Err(Error::failed(format_args!(
                    "the server asks for `{}` in return, which this host grants to no server",
                    said(&request.method)
                )));
            }
        };
        // An error that could not read the question has no id of it.
        let ours = match &reply.id {
            Some(answered) => answered == id,
            None => reply.outcome.is_err(),
        };
        if !ours {
            return Err(Error::failed(
                "the server answered a question that was not asked",
            ));
        }
        if found.replace(reply.outcome).is_some() {
            return Err(Error::failed("the server answered twice"));
        }
    }
    match found {
        None if response.status < 300 => Err(Error::transient(
            "the server ended its answer before it gave one",
        )),
        found => Ok(found),
    }
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
            "the server wants credentials (HTTP {status}): give them by `inject` in the profile's [[http]]"
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

    fn response(status: i32, kind: &str, body: &str) -> Response {
        Response {
            status,
            headers: vec![Header {
                name: "Content-Type".to_owned(),
                value: kind.to_owned(),
            }],
            body: body.as_bytes().to_vec(),
        }
    }

    fn outcome(
        status: i32,
        kind: &str,
        body: &str,
    ) -> Result<Option<Result<Value, RpcError>>, String> {
        answer(&response(status, kind, body), &Id::Number(1)).map_err(|error| match error {
            Error::Failed(message) | Error::Transient(message) | Error::Invalid(message) => message,
            other => format!("{other:?}"),
        })
    }

    const JSON: &str = "application/json; charset=utf-8";
    const EVENTS: &str = "text/event-stream";

    #[test]
    fn takes_no_answer_for_this_one_that_is_another() {
        // MCP-022: out of order, twice, never, not JSON, NaN, batches, another id.
        for (kind, body, says) in [
            (
                JSON,
                r#"{"jsonrpc":"2.0","id":2,"result":{}}"#,
                "was not asked",
            ),
            (JSON, r#"[{"jsonrpc":"2.0","id":1,"result":{}}]"#, "batches"),
            (JSON, "log line", "not JSON"),
            (
                JSON,
                r#"{"jsonrpc":"2.0","id":1,"result":{"n":NaN}}"#,
                "not JSON",
            ),
            (
                JSON,
                r#"{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage"}"#,
                "grants to no server",
            ),
            (
                EVENTS,
                "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n",
                "twice",
            ),
            (EVENTS, ": nothing\n\n", "before it gave one"),
            (
                EVENTS,
                "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}",
                "before it gave one",
            ),
            ("text/html", "<html>", "neither JSON nor"),
        ] {
            let error = outcome(200, kind, body).unwrap_err();
            assert!(error.contains(says), "{body}: {error}");
        }
    }

    #[test]
    fn an_answer_that_is_utf_16_is_none() {
        let utf16: Vec<u8> = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let mut response = response(200, JSON, "");
        response.body = utf16;
        assert!(answer(&response, &Id::Number(1)).is_err());
    }

    #[test]
    fn finds_the_answer_among_what_is_told_meanwhile() {
        let body = "event: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{}}\n\n\
            data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"a\":1}}\n\n";
        assert_eq!(outcome(200, EVENTS, body), Ok(Some(Ok(json!({ "a": 1 })))));
    }

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

    #[test]
    fn a_body_of_an_error_need_not_be_a_frame() {
        assert_eq!(outcome(404, "text/plain", "Not Found"), Ok(None));
        assert_eq!(outcome(400, JSON, r#"{"error":"bad"}"#), Ok(None));
        let body = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32022,"message":"m"}}"#;
        assert!(
            matches!(outcome(400, JSON, body), Ok(Some(Err(error))) if error.code == Code::UnsupportedVersion)
        );
    }
}
