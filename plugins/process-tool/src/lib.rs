//! The tool behind `source: process:NAME`: hands each call to a native program as a line of JSON, and reads the line that
//! comes back.
//!
//! The program is a stranger: what it answers is read in here, in the sandbox, and not in the host, which carries lines
//! by their ids. Which tools it offers the manifest beside the plan says, and never the program. How far a call is it may
//! say meanwhile, as servers of MCP do.

use flowhost_mcp::{Code, Id, Message, Notification, Reply, Request, RpcError, read};
use flowhost_sdk::host::mcp_transport::{self as transport, End, Event};
use flowhost_sdk::host::progress;
use flowhost_sdk::{Answer, Context, Error, Tool, answer, parse};
use serde_json::{Map, Value, json};

/// Milliseconds of a call that are kept back to say that no answer came.
const PARTING_MS: f64 = 250.0;
/// Characters of what the program says that an error repeats; the host shows it to people and models.
const SAID_CHARS: usize = 300;

struct Program;

impl Tool for Program {
    fn call(ctx: &Context, name: &str, input: &str) -> Result<Answer, Error> {
        let request = request(ctx, name, parse(input)?);
        let stream = open(&request.value().to_string())?;
        let wait_ms = (ctx.deadline_ms - PARTING_MS).max(1.0);
        let came = wait(&stream, &request.id, wait_ms);
        transport::cancel(&stream);
        answer(&came?)
    }
}

/// The input stands below a name of its own, so that no key of it is read as one of the protocol's. The host hands what is
/// said under the token to this call.
fn request(ctx: &Context, name: &str, input: Value) -> Request {
    let id = Id::Text(ctx.call.clone());
    let token = id.value();
    Request {
        id,
        method: name.to_owned(),
        params: Map::from_iter([
            ("input".to_owned(), input),
            ("key".to_owned(), Value::from(ctx.key.as_str())),
            ("_meta".to_owned(), json!({ "progressToken": token })),
        ]),
    }
}

/// Sends the question, and gives the stream of its answer. A program that has gone since the last call has heard nothing
/// of this one: it is started again.
fn open(frame: &str) -> Result<String, Error> {
    match transport::open(frame, &[]) {
        Err(Error::Transient(_)) => transport::open(frame, &[]),
        other => other,
    }
}

/// What the program answers. Lines come in pieces, in their order; those before the answer say how far it is.
fn wait(stream: &str, id: &Id, wait_ms: f64) -> Result<Value, Error> {
    let (streams, mut line) = ([stream.to_owned()], String::new());
    while let Some(arrival) = transport::next(&streams, wait_ms)? {
        match arrival.event {
            Event::Frame(frame) => {
                line.push_str(&frame.json);
                if frame.more {
                    continue;
                }
                match heard(&std::mem::take(&mut line), id)? {
                    Heard::Answer(outcome) => return outcome.map_err(|error| refused(&error)),
                    Heard::Progress(it) => progress::report(it.done, it.total, &it.said),
                    Heard::Nothing => {}
                }
            }
            Event::End(end) => return Err(ended(end)),
            // Over the standard streams nothing has a head.
            Event::Head(_) => {}
        }
    }
    Err(Error::transient("the program did not answer in time"))
}

fn ended(end: End) -> Error {
    match end {
        End::Failed(error) => error,
        End::Broken(why) => Error::transient(format_args!(
            "the program is gone before it answered: {}",
            said(&why)
        )),
        End::Closed | End::Cancelled => Error::transient("the program ended its answer early"),
    }
}

/// What a line says to this call.
#[derive(Debug, PartialEq)]
enum Heard {
    Answer(Result<Value, RpcError>),
    Progress(Progress),
    /// A notification that is no business of this host's.
    Nothing,
}

/// How far the program says it is.
#[derive(Debug, PartialEq)]
struct Progress {
    done: f64,
    total: Option<f64>,
    said: String,
}

fn heard(line: &str, id: &Id) -> Result<Heard, Error> {
    let message = read(line.as_bytes()).map_err(|refusal| {
        Error::failed(format_args!(
            "the program's answer: {}",
            refusal.error.message
        ))
    })?;
    match message {
        Message::Reply(Reply {
            id: Some(answered),
            outcome,
        }) if answered == *id => Ok(Heard::Answer(outcome)),
        Message::Notification(note) => Ok(told(&note, id).map_or(Heard::Nothing, Heard::Progress)),
        _ => Err(Error::failed(
            "the program's answer is not one to this call",
        )),
    }
}

/// What a notification says of this call; one that is not of the form says nothing.
fn told(note: &Notification, id: &Id) -> Option<Progress> {
    let params = &note.params;
    let is_ours = params.get("progressToken") == Some(&id.value());
    if note.method != "notifications/progress" || !is_ours {
        return None;
    }
    let message = params.get("message").and_then(Value::as_str);
    Some(Progress {
        done: params.get("progress")?.as_f64()?,
        total: params.get("total").and_then(Value::as_f64),
        said: message.unwrap_or_default().to_owned(),
    })
}

fn refused(error: &RpcError) -> Error {
    let message = said(&error.message);
    match error.code {
        Code::InvalidParams => Error::invalid(message),
        _ => Error::failed(message),
    }
}

fn said(text: &str) -> String {
    let shown = text.chars().filter(|it| !it.is_control());
    shown.take(SAID_CHARS).collect()
}

// What the tools are the manifest beside the plan says; the component itself has none to show.
flowhost_sdk::export_tool!(Program, &[]);

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Result<Heard, Error> {
        heard(line, &Id::Text("7".to_owned()))
    }

    fn answered(line: &str) -> Result<Value, String> {
        let outcome = match of(line) {
            Ok(Heard::Answer(outcome)) => outcome.map_err(|error| refused(&error)),
            Ok(other) => return Err(format!("{other:?}")),
            Err(error) => Err(error),
        };
        outcome.map_err(|error| match error {
            Error::Failed(why) => format!("failed: {why}"),
            Error::Invalid(why) => format!("invalid: {why}"),
            other => format!("{other:?}"),
        })
    }

    #[test]
    fn a_result_is_the_answer_whatever_it_is() {
        for result in ["{\"words\":2}", "[1]", "null", "\"a\""] {
            let line = format!("{{\"jsonrpc\":\"2.0\",\"id\":\"7\",\"result\":{result}}}");
            assert_eq!(answered(&line).unwrap().to_string(), result);
        }
    }

    #[test]
    fn an_error_says_what_is_wrong_with_the_input_or_with_the_program() {
        let line = |code: i32| {
            format!(
                "{{\"jsonrpc\":\"2.0\",\"id\":\"7\",\"error\":{{\"code\":{code},\"message\":\"no\\u0007 text\"}}}}"
            )
        };
        assert_eq!(answered(&line(-32_602)).unwrap_err(), "invalid: no text");
        assert_eq!(answered(&line(-32_000)).unwrap_err(), "failed: no text");
    }

    #[test]
    fn what_is_no_answer_to_this_call_is_none() {
        for line in [
            r#"{"jsonrpc":"2.0","id":"8","result":{}}"#,
            r#"{"jsonrpc":"2.0","id":7,"result":{}}"#,
            r#"{"jsonrpc":"2.0","id":"7","method":"count"}"#,
            r#"{"jsonrpc":"2.0","id":"7","result":{},"result":{}}"#,
            "7",
        ] {
            assert!(
                answered(line).unwrap_err().starts_with("failed: "),
                "{line}"
            );
        }
    }

    #[test]
    fn progress_of_another_call_or_without_a_number_says_nothing() {
        let note = |params: &str| {
            format!(
                "{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{params}}}"
            )
        };
        for params in [
            r#"{"progressToken":"8","progress":1}"#,
            r#"{"progressToken":7,"progress":1}"#,
            r#"{"progressToken":"7","progress":"1"}"#,
            r#"{"progressToken":"7"}"#,
            "{}",
        ] {
            assert_eq!(of(&note(params)).unwrap(), Heard::Nothing, "{params}");
        }
        let half = r#"{"progressToken":"7","progress":1,"total":2,"message":"half"}"#;
        let progress = Progress {
            done: 1.0,
            total: Some(2.0),
            said: "half".to_owned(),
        };
        assert_eq!(of(&note(half)).unwrap(), Heard::Progress(progress));
    }
}
