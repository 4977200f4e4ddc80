//! One question and its answer over the standard streams of a process that the host owns.
//!
//! The stream is shared by all calls of the run, so that ids are this call's own. While the answer is waited
//! for, what the server asks is answered: it is alive (`ping`), and nothing else is granted to it. How far it is,
//! it may say under the question's own id.

use flowhost_mcp::{Code, Id, Message, Notification, Request, RpcError, read};
use flowhost_sdk::Error;
use flowhost_sdk::host::mcp_transport::{self as transport, End, Event};
use flowhost_sdk::host::progress;
use serde_json::{Value, json};

use crate::exchange::said;

/// Milliseconds that are kept back of a call's time, so that a server that does not answer can be told that
/// nobody waits any more.
const PARTING_MS: f64 = 250.0;

/// What came of a question.
pub(crate) enum Asked {
    /// It was answered.
    Answered(Result<Value, RpcError>),
    /// It was not sent, because the process had gone before: it may be asked again, of a new one.
    Gone(Error),
}

/// Asks, and waits at most `wait_ms`.
pub(crate) fn ask(request: &Request, wait_ms: f64) -> Result<Asked, Error> {
    let stream = match transport::open(&request.value().to_string(), &[]) {
        Ok(stream) => stream,
        Err(gone @ Error::Transient(_)) => return Ok(Asked::Gone(gone)),
        Err(error) => return Err(error),
    };
    // What the server says by itself meanwhile is heard, too: it may ask whether anybody is there.
    let streams = [stream, transport::listen(&[], "")?];
    let [own, other] = &streams;
    let answer = wait(own, &streams, &request.id, (wait_ms - PARTING_MS).max(1.0));
    if let Ok(None) = answer {
        let params = json!({ "requestId": request.id.value(), "reason": "nobody waits any more" });
        notify("notifications/cancelled", &params)?;
    }
    transport::cancel(own);
    transport::cancel(other);
    match answer? {
        Some(outcome) => Ok(Asked::Answered(outcome)),
        None => Err(Error::transient("the server did not answer in time")),
    }
}

/// None when the time is over.
fn wait(
    own: &str,
    streams: &[String],
    id: &Id,
    wait_ms: f64,
) -> Result<Option<Result<Value, RpcError>>, Error> {
    while let Some(arrival) = transport::next(streams, wait_ms)? {
        match arrival.event {
            Event::Head(_) => {}
            Event::End(End::Broken(why)) => {
                return Err(Error::transient(format_args!(
                    "the server is gone before it answered: {why}"
                )));
            }
            Event::End(_) if arrival.stream == own => {
                return Err(Error::failed(
                    "the server ended its answer before it gave one",
                ));
            }
            Event::End(_) => {}
            Event::Frame(frame) => {
                if let Some(outcome) = heard(&frame.json, id)? {
                    return Ok(Some(outcome));
                }
            }
        }
    }
    Ok(None)
}

/// What a frame says; an outcome if it answers the question.
fn heard(frame: &str, id: &Id) -> Result<Option<Result<Value, RpcError>>, Error> {
    let message = read(frame.as_bytes()).map_err(|refusal| {
        Error::failed(format_args!(
            "the server's answer: {}",
            refusal.error.message
        ))
    })?;
    match message {
        Message::Reply(reply) if reply.id.as_ref() == Some(id) => Ok(Some(reply.outcome)),
        Message::Reply(_) => Err(Error::failed(
            "the server answered a question that was not asked",
        )),
        Message::Notification(note) => {
            if let Some(Progress { done, total, said }) = progress(&note, id) {
                progress::report(done, total, said);
            }
            Ok(None)
        }
        Message::Request(request) => {
            transport::send(&answer_to(&request).to_string(), &[])?;
            Ok(None)
        }
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

/// Says what has no answer.
pub(crate) fn notify(method: &str, params: &Value) -> Result<(), Error> {
    let frame = json!({ "jsonrpc": "2.0", "method": method, "params": params });
    transport::send(&frame.to_string(), &[]).map(drop)
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

    #[test]
    fn another_answer_than_the_one_to_this_question_is_none() {
        let id = Id::Text("1-1".to_owned());
        let of = |frame: &str| heard(frame, &id);
        assert!(of("{\"jsonrpc\":\"2.0\",\"id\":\"1-2\",\"result\":{}}").is_err());
        let told = "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{}}";
        assert!(of(told).unwrap().is_none());
        let answer = of("{\"jsonrpc\":\"2.0\",\"id\":\"1-1\",\"result\":{\"a\":1}}").unwrap();
        assert_eq!(answer, Some(Ok(json!({ "a": 1 }))));
    }
}
