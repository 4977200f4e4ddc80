//! One question and its answer over the transport that the host owns: the standard streams of a process, or HTTP.
//!
//! What the host hands over is read here, frame by frame, as it comes. While the answer is waited for, what the
//! server asks is answered: it is alive (`ping`), and nothing else is granted to it. How far it is, it may say
//! under the question's own id.

use flowhost_mcp::{Code, Id, Message, Notification, Request, RpcError, read};
use flowhost_sdk::Error;
use flowhost_sdk::host::mcp_transport::{self as transport, End, Event, Head, Header};
use flowhost_sdk::host::progress;
use serde_json::{Value, json};

use crate::exchange::said;

/// What came of a question.
pub(crate) enum Asked {
    /// It was answered; over HTTP with this head.
    Answered(Option<Head>, Result<Value, RpcError>),
    /// HTTP said this and nothing else.
    Refused(Head),
    /// It was not sent, because the process had gone before: it may be asked again, of a new one.
    Gone(Error),
}

/// How a question travels.
pub(crate) struct Trip<'a> {
    /// Headers of its own, over HTTP.
    pub(crate) headers: &'a [Header],
    /// How what the server says by itself is heard; none where it is not.
    pub(crate) listening: Option<Listening<'a>>,
    /// Whether this side may answer what it is asked meanwhile. Over HTTP the modern era sends no answers.
    pub(crate) may_answer: bool,
    /// Whether a server is told that nobody waits any more; where it is not, the end of the stream says so.
    pub(crate) tells_of_end: bool,
    /// The longest wait, in milliseconds.
    pub(crate) wait_ms: f64,
    /// Milliseconds that are kept back of it, so that a server that does not answer can be told that nobody waits
    /// any more.
    pub(crate) parting_ms: f64,
}

/// What is sent to hear what a server says by itself.
#[derive(Clone, Copy)]
pub(crate) struct Listening<'a> {
    /// The request of the era that has one; empty else.
    pub(crate) frame: &'a str,
    pub(crate) headers: &'a [Header],
}

impl Listening<'_> {
    pub(crate) fn open(self) -> Result<String, Error> {
        transport::listen(self.frame, self.headers)
    }
}

/// Asks, and waits for the answer.
pub(crate) fn ask(request: &Request, trip: &Trip<'_>) -> Result<Asked, Error> {
    let own = match transport::open(&request.value().to_string(), trip.headers) {
        Ok(stream) => stream,
        Err(gone @ Error::Transient(_)) => return Ok(Asked::Gone(gone)),
        Err(error) => return Err(error),
    };
    let mut streams = vec![own];
    if let Some(listening) = &trip.listening {
        streams.push(listening.open()?);
    }
    let came = wait(&streams, request, trip);
    if let (Ok(None), true) = (&came, trip.tells_of_end) {
        let params = json!({ "requestId": request.id.value(), "reason": "nobody waits any more" });
        // It is told as far as it listens; what this call ends with is another matter.
        let _whatever_it_says = notify("notifications/cancelled", &params, trip.headers);
    }
    for stream in &streams {
        transport::cancel(stream);
    }
    came?.ok_or_else(|| Error::transient("the server did not answer in time"))
}

/// None when the time is over.
fn wait(streams: &[String], request: &Request, trip: &Trip<'_>) -> Result<Option<Asked>, Error> {
    let own = streams.first().map_or("", String::as_str);
    let wait_ms = (trip.wait_ms - trip.parting_ms).max(1.0);
    let (mut head, mut pieces) = (None::<Head>, Pieces::default());
    while let Some(arrival) = transport::next(streams, wait_ms)? {
        let is_own = arrival.stream == own;
        match arrival.event {
            Event::Head(came) if is_own => head = Some(came),
            Event::Head(_) => {}
            Event::End(end) if is_own => return ended(end, head).map(Some),
            Event::End(End::Broken(why)) => return Err(gone(&why)),
            Event::End(_) => {}
            Event::Frame(frame) => {
                let Some(whole) = pieces.join(is_own, frame.json, frame.more) else {
                    continue;
                };
                let status = head.as_ref().map_or(200, |head| head.status);
                match heard(&whole, request, trip, is_own) {
                    // What a proxy or an older server says of an error need not be a frame.
                    Err(_) if is_own && status >= 300 => {}
                    outcome => {
                        if let Some(outcome) = outcome? {
                            return Ok(Some(Asked::Answered(head, outcome)));
                        }
                    }
                }
            }
        }
    }
    Ok(None)
}

fn gone(why: &str) -> Error {
    Error::transient(format_args!("the server is gone before it answered: {why}"))
}

/// What the end of the answer's stream says when no answer came on it.
fn ended(end: End, head: Option<Head>) -> Result<Asked, Error> {
    match (end, head) {
        (End::Failed(error), _) => Err(error),
        (End::Broken(why), _) => Err(gone(&why)),
        (_, Some(head)) if head.status >= 300 => Ok(Asked::Refused(head)),
        (_, Some(head)) => Err(unanswered(&head)),
        (_, None) => Err(Error::failed(
            "the server ended its answer before it gave one",
        )),
    }
}

/// Why a status that is well came without an answer.
fn unanswered(head: &Head) -> Error {
    let kind = head
        .headers
        .iter()
        .find(|it| it.name.eq_ignore_ascii_case("content-type"));
    let kind = kind.map_or("", |it| it.value.split(';').next().unwrap_or_default());
    match kind.trim().to_ascii_lowercase().as_str() {
        "application/json" | "text/event-stream" => {
            Error::transient("the server ended its answer before it gave one")
        }
        other => Error::failed(format_args!(
            "the server answered with `{}`, which is neither JSON nor a stream of events",
            said(other)
        )),
    }
}

/// Frames that come in pieces, on the own stream and on the other.
#[derive(Default)]
struct Pieces {
    own: String,
    other: String,
}

impl Pieces {
    /// The whole frame, when its last piece has come.
    fn join(&mut self, is_own: bool, piece: String, more: bool) -> Option<String> {
        let begun = match is_own {
            true => &mut self.own,
            false => &mut self.other,
        };
        if begun.is_empty() && !more {
            return Some(piece); // most frames are one piece
        }
        begun.push_str(&piece);
        (!more).then(|| std::mem::take(begun))
    }
}

/// What a frame says; an outcome if it answers the question.
fn heard(
    frame: &str,
    request: &Request,
    trip: &Trip<'_>,
    is_own: bool,
) -> Result<Option<Result<Value, RpcError>>, Error> {
    let message = read(frame.as_bytes()).map_err(|refusal| {
        Error::failed(format_args!(
            "the server's answer: {}",
            refusal.error.message
        ))
    })?;
    match message {
        // The end of a request for what a server says by itself.
        Message::Reply(_) if !is_own => Ok(None),
        Message::Reply(reply) => {
            // An error that could not read the question has no id of it.
            let ours = match &reply.id {
                Some(answered) => *answered == request.id,
                None => reply.outcome.is_err(),
            };
            match ours {
                true => Ok(Some(reply.outcome)),
                false => Err(Error::failed(
                    "the server answered a question that was not asked",
                )),
            }
        }
        Message::Notification(note) => {
            if let Some(Progress { done, total, said }) = progress(&note, &request.id) {
                progress::report(done, total, said);
            }
            Ok(None)
        }
        Message::Request(asked) if trip.may_answer => {
            transport::send(&answer_to(&asked).to_string(), trip.headers)?;
            Ok(None)
        }
        Message::Request(asked) => Err(Error::failed(format_args!(
            "the server asks for `{}` in return, which this host grants to no server",
            said(&asked.method)
        ))),
    }
}

/// How far a server says it is.
#[derive(Debug, PartialEq)]
struct Progress<'a> {
    done: f64,
    total: Option<f64>,
    said: &'a str,
}

/// What a notification says of the work on this question; what is not of the form says nothing.
fn progress<'a>(note: &'a Notification, id: &Id) -> Option<Progress<'a>> {
    let params = &note.params;
    let is_ours = params.get("progressToken") == Some(&id.value());
    if note.method != "notifications/progress" || !is_ours {
        return None;
    }
    Some(Progress {
        done: params.get("progress")?.as_f64()?,
        total: params.get("total").and_then(Value::as_f64),
        said: params
            .get("message")
            .and_then(Value::as_str)
            .unwrap_or_default(),
    })
}

/// What a server hears that asks: it gets a sign of life, and nothing else (MCP-026).
fn answer_to(request: &Request) -> Value {
    let id = request.id.value();
    match request.method.as_str() {
        "ping" => json!({ "jsonrpc": "2.0", "id": id, "result": {} }),
        method => {
            let message = format!("`{}` is granted to no server", said(method));
            let code = Code::MethodNotFound.number();
            json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } })
        }
    }
}

/// Says what has no answer. Gives what HTTP said to it.
pub(crate) fn notify(
    method: &str,
    params: &Value,
    headers: &[Header],
) -> Result<Option<Head>, Error> {
    let frame = json!({ "jsonrpc": "2.0", "method": method, "params": params });
    transport::send(&frame.to_string(), headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_asks_hears_no_and_one_that_pings_is_answered() {
        // MCP-026
        let request = |method: &str| Request {
            id: Id::Text("s-1".to_owned()),
            method: method.to_owned(),
            params: serde_json::Map::new(),
        };
        let refused = answer_to(&request("sampling/createMessage"));
        assert_eq!(refused["error"]["code"], -32_601);
        assert_eq!(refused["id"], "s-1");
        assert!(answer_to(&request("ping"))["result"].is_object());
    }

    #[test]
    fn progress_of_another_question_or_without_a_number_says_nothing() {
        let id = Id::Text("1-1".to_owned());
        let of = |params: Value| {
            let frame =
                json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": params });
            match read(frame.to_string().as_bytes()) {
                Ok(Message::Notification(note)) => {
                    progress(&note, &id).map(|it| (it.done, it.total, it.said.to_owned()))
                }
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(of(json!({ "progressToken": "2-1", "progress": 1 })), None);
        assert_eq!(of(json!({ "progressToken": "1-1", "progress": "1" })), None);
        assert_eq!(of(json!({ "progress": 1 })), None);
        let said = json!({ "progressToken": "1-1", "progress": 1, "total": 2, "message": "half" });
        assert_eq!(of(said), Some((1.0, Some(2.0), "half".to_owned())));
    }

    fn asked(frame: &str, is_own: bool) -> Result<Option<Result<Value, RpcError>>, String> {
        let request = Request {
            id: Id::Text("1-1".to_owned()),
            method: "tools/call".to_owned(),
            params: serde_json::Map::new(),
        };
        let trip = Trip {
            headers: &[],
            listening: None,
            may_answer: false,
            tells_of_end: false,
            wait_ms: 1.0,
            parting_ms: 0.0,
        };
        heard(frame, &request, &trip, is_own).map_err(|error| match error {
            Error::Failed(why) => why,
            other => format!("{other:?}"),
        })
    }

    #[test]
    fn takes_no_answer_for_this_one_that_is_another() {
        // MCP-022: out of order, not JSON, NaN, batches, another id.
        for (frame, says) in [
            (
                r#"{"jsonrpc":"2.0","id":"1-2","result":{}}"#,
                "was not asked",
            ),
            (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, "was not asked"),
            (r#"[{"jsonrpc":"2.0","id":"1-1","result":{}}]"#, "batches"),
            ("log line", "not JSON"),
            (
                r#"{"jsonrpc":"2.0","id":"1-1","result":{"n":NaN}}"#,
                "not JSON",
            ),
            (
                r#"{"jsonrpc":"2.0","id":7,"method":"sampling/createMessage"}"#,
                "grants to no server",
            ),
        ] {
            let error = asked(frame, true).unwrap_err();
            assert!(error.contains(says), "{frame}: {error}");
        }
        let told = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{}}"#;
        assert_eq!(asked(told, true), Ok(None));
        let answer = asked(r#"{"jsonrpc":"2.0","id":"1-1","result":{"a":1}}"#, true);
        assert_eq!(answer, Ok(Some(Ok(json!({ "a": 1 })))));
        let unread = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32022,"message":"m"}}"#;
        assert!(
            matches!(asked(unread, true), Ok(Some(Err(error))) if error.code == Code::UnsupportedVersion)
        );
    }

    #[test]
    fn the_end_of_another_stream_answers_nothing() {
        let reply = r#"{"jsonrpc":"2.0","id":"1-1","result":{}}"#;
        assert_eq!(asked(reply, false), Ok(None));
    }

    #[test]
    fn pieces_of_two_streams_are_not_mixed() {
        let mut pieces = Pieces::default();
        assert_eq!(pieces.join(true, "{\"a\"".to_owned(), true), None);
        assert_eq!(
            pieces.join(false, "{}".to_owned(), false),
            Some("{}".to_owned())
        );
        assert_eq!(pieces.join(true, ":".to_owned(), true), None);
        let whole = pieces.join(true, "1}".to_owned(), false);
        assert_eq!(whole.as_deref(), Some("{\"a\":1}"));
        assert_eq!(
            pieces.join(true, "{}".to_owned(), false),
            Some("{}".to_owned())
        );
    }

    #[test]
    fn a_status_without_an_answer_says_what_it_is() {
        let head = |status, kind: &str| Head {
            status,
            headers: vec![Header {
                name: "Content-Type".to_owned(),
                value: kind.to_owned(),
            }],
            body: Vec::new(),
        };
        let end = |head| ended(End::Closed, Some(head));
        assert!(
            matches!(end(head(404, "text/plain")), Ok(Asked::Refused(head)) if head.status == 404)
        );
        assert!(matches!(
            end(head(200, "text/event-stream")),
            Err(Error::Transient(_))
        ));
        assert!(
            matches!(end(head(200, "text/html")), Err(Error::Failed(why)) if why.contains("neither JSON nor"))
        );
    }
}
