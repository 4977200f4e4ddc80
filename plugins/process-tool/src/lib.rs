//! The tool behind `source: process:NAME`: hands each call to a native program as a line of JSON, and reads the line that
//! comes back.
//!
//! The program is a stranger: what it answers is read in here, in the sandbox, and not in the host, which carries lines
//! by their ids. Which tools it offers the manifest beside the plan says, and never the program.

use flowhost_mcp::{Code, Id, Message, Reply, Request, RpcError, read};
use flowhost_sdk::host::mcp_transport::{self as transport, End, Event};
use flowhost_sdk::{Answer, Context, Error, Tool, answer, parse};
use serde_json::{Map, Value};

/// Milliseconds of a call that are kept back to say that no answer came.
const PARTING_MS: f64 = 250.0;
/// Characters of what the program says that an error repeats; the host shows it to people and models.
const SAID_CHARS: usize = 300;

struct Program;

impl Tool for Program {
    fn call(ctx: &Context, name: &str, input: &str) -> Result<Answer, Error> {
        let request = request(ctx, name, parse(input)?);
        let stream = open(&request.value().to_string())?;
        let line = wait(&stream, (ctx.deadline_ms - PARTING_MS).max(1.0));
        transport::cancel(&stream);
        answer(&outcome(&line?, &request.id)?)
    }
}

/// The input stands below a name of its own, so that no key of it is read as one of the protocol's.
fn request(ctx: &Context, name: &str, input: Value) -> Request {
    Request {
        id: Id::Text(ctx.call.clone()),
        method: name.to_owned(),
        params: Map::from_iter([
            ("input".to_owned(), input),
            ("key".to_owned(), Value::from(ctx.key.as_str())),
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

/// The line that answers, whose pieces come in their order.
fn wait(stream: &str, wait_ms: f64) -> Result<String, Error> {
    let (streams, mut line) = ([stream.to_owned()], String::new());
    while let Some(arrival) = transport::next(&streams, wait_ms)? {
        match arrival.event {
            Event::Frame(frame) => {
                line.push_str(&frame.json);
                if !frame.more {
                    return Ok(line);
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

/// What the line says.
fn outcome(line: &str, id: &Id) -> Result<Value, Error> {
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
        }) if answered == *id => outcome.map_err(|error| refused(&error)),
        _ => Err(Error::failed(
            "the program's answer is not one to this call",
        )),
    }
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

    fn heard(line: &str) -> Result<Value, String> {
        let outcome = outcome(line, &Id::Text("7".to_owned()));
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
            assert_eq!(heard(&line).unwrap().to_string(), result);
        }
    }

    #[test]
    fn an_error_says_what_is_wrong_with_the_input_or_with_the_program() {
        let line = |code: i32| {
            format!(
                "{{\"jsonrpc\":\"2.0\",\"id\":\"7\",\"error\":{{\"code\":{code},\"message\":\"no\\u0007 text\"}}}}"
            )
        };
        assert_eq!(heard(&line(-32_602)).unwrap_err(), "invalid: no text");
        assert_eq!(heard(&line(-32_000)).unwrap_err(), "failed: no text");
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
            assert!(heard(line).unwrap_err().starts_with("failed: "), "{line}");
        }
    }
}
