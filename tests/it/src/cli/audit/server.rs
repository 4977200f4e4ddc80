//! A server on loopback that speaks the streamed chat completions of OpenAI, with a model behind it that
//! follows instructions to the letter: it reads the document it is told to, and finds the word
//! `currently`. Source of the format: OpenAI's API reference.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

/// Requests that came with the right key.
type Asked = Arc<Mutex<Vec<Value>>>;

pub(super) struct Server {
    address: SocketAddr,
    asked: Asked,
}

impl Server {
    /// Answers until the test ends; whoever has another key gets a 401.
    pub(super) fn start(key: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Asked::default();
        let seen = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let seen = seen.clone();
                std::thread::spawn(move || serve(stream.unwrap(), key, &seen));
            }
        });
        Self { address, asked }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn asked(&self) -> Vec<Value> {
        self.asked.lock().unwrap().clone()
    }
}

/// The requests of one connection.
fn serve(mut stream: TcpStream, key: &str, asked: &Asked) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some((head, body)) = request(&mut reader) {
        let right = head.starts_with("POST /v1/chat/completions HTTP/1.1")
            && head.contains(&format!("authorization: Bearer {key}\r\n"));
        if !right {
            let error = json!({ "error": { "message": "Incorrect API key provided", "type": "invalid_request_error",
                "param": null, "code": "invalid_api_key" } });
            let answer = format!(
                "HTTP/1.1 401 Unauthorized\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{error}",
                error.to_string().len()
            );
            stream.write_all(answer.as_bytes()).unwrap();
            continue;
        }
        let answer = think(&body);
        asked.lock().unwrap().push(body);
        stream.write_all(streamed(&answer).as_bytes()).unwrap();
    }
}

fn request(reader: &mut BufReader<TcpStream>) -> Option<(String, Value)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|line| {
        line.to_lowercase()
            .strip_prefix("content-length: ")?
            .parse()
            .ok()
    });
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    Some((head, serde_json::from_slice(&body).unwrap()))
}

/// What the model says.
enum Said {
    Calls(String, Value),
    Answer(Value),
}

/// Reads the document first, with whatever name the tool has on the wire; then judges what it was given.
fn think(body: &Value) -> Said {
    let messages = body["messages"].as_array().unwrap();
    let task = messages.iter().find(|it| it["role"] == "user").unwrap();
    let path = task["content"].as_str().unwrap().split('`').nth(1).unwrap();
    let Some(result) = messages.iter().find(|it| it["role"] == "tool") else {
        let tools = body["tools"].as_array().unwrap();
        let mut names = tools
            .iter()
            .map(|tool| tool["function"]["name"].as_str().unwrap());
        let read = names.find(|name| name.contains("read")).unwrap();
        return Said::Calls(read.to_owned(), json!({ "path": path }));
    };
    let read: Value = serde_json::from_str(result["content"].as_str().unwrap()).unwrap();
    let lines = read["text"].as_str().unwrap().lines().enumerate();
    let findings: Vec<Value> = lines
        .filter(|(_, line)| line.contains("currently"))
        .map(|(number, line)| json!({ "rule": "undated-claim", "line": number + 1, "quote": line, "message": "Say since when." }))
        .collect();
    Said::Answer(json!({ "path": path, "findings": findings }))
}

/// A whole response: chunks of an event stream, arguments and text in two pieces, usage at the end.
fn streamed(said: &Said) -> String {
    let chunk = |delta: Value, finish: Option<&str>| {
        json!({ "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "test-1-2026-11",
            "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }] })
    };
    let halves = |text: &str| {
        let at = text.floor_char_boundary(text.len() / 2);
        (text[..at].to_owned(), text[at..].to_owned())
    };
    let mut events = match said {
        Said::Calls(name, arguments) => {
            let (first, rest) = halves(&arguments.to_string());
            let call = json!({ "index": 0, "id": "call_abc", "type": "function", "function": { "name": name, "arguments": first } });
            vec![
                chunk(
                    json!({ "role": "assistant", "content": null, "tool_calls": [call] }),
                    None,
                ),
                chunk(
                    json!({ "tool_calls": [{ "index": 0, "function": { "arguments": rest } }] }),
                    None,
                ),
                chunk(json!({}), Some("tool_calls")),
            ]
        }
        Said::Answer(value) => {
            let (first, rest) = halves(&value.to_string());
            vec![
                chunk(json!({ "role": "assistant", "content": first }), None),
                chunk(json!({ "content": rest }), None),
                chunk(json!({}), Some("stop")),
            ]
        }
    };
    events.push(json!({ "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "test-1-2026-11",
        "choices": [], "usage": { "prompt_tokens": 1_000, "completion_tokens": 100, "total_tokens": 1_100 } }));
    let mut text = String::from(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
    );
    for event in events
        .iter()
        .map(Value::to_string)
        .chain(["[DONE]".to_owned()])
    {
        let event = format!("data: {event}\n\n");
        text.push_str(&format!("{:x}\r\n{event}\r\n", event.len()));
    }
    text.push_str("0\r\n\r\n");
    text
}
