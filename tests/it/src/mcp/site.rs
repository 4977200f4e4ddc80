//! A server at an address that streams as it likes: a thread for each connection, and answers that are written as they
//! come.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

/// A request that came in.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) method: String,
    /// Path and query.
    pub(super) path: String,
    headers: String,
    /// The body, where it is JSON.
    pub(super) body: Value,
    /// The body as it came.
    pub(super) text: String,
}

impl Asked {
    pub(super) fn what(&self) -> &str {
        self.body["method"].as_str().unwrap_or_default()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let line = self.headers.lines();
        line.filter_map(|line| line.split_once(": "))
            .find_map(|(it, value)| (it == name).then_some(value))
    }
}

/// A server with a thread for each connection, whose answers are written as they come.
pub(super) struct Site {
    pub(super) address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Site {
    pub(super) fn start(answer: impl Fn(&Asked, &mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (log, answer) = (asked.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let (log, answer) = (log.clone(), answer.clone());
                std::thread::spawn(move || {
                    let Some(request) = read(&stream) else { return };
                    log.lock().unwrap().push(request.clone());
                    answer(&request, &mut stream);
                });
            }
        });
        Self { address, asked }
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub(super) fn count(&self, is: impl Fn(&Asked) -> bool) -> usize {
        self.asked().iter().filter(|it| is(it)).count()
    }
}

fn read(stream: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (mut headers, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? <= 2 {
            break;
        }
        let (name, value) = line.trim_end().split_once(':')?;
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok()?;
        }
        headers.push_str(&format!(
            "{}: {}\n",
            name.to_ascii_lowercase(),
            value.trim()
        ));
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Asked {
        method,
        path,
        headers,
        body: serde_json::from_slice(&body).unwrap_or_default(),
        text: String::from_utf8_lossy(&body).into_owned(),
    })
}

/// A client that has seen enough closes before all of it is written: that is no error here.
pub(super) fn write(stream: &mut TcpStream, text: &str) -> bool {
    stream
        .write_all(text.as_bytes())
        .and_then(|()| stream.flush())
        .is_ok()
}

pub(super) fn reply(stream: &mut TcpStream, status: u16, headers: &str, body: &str) {
    let length = body.len();
    write(
        stream,
        &format!(
            "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
        ),
    );
}

pub(super) fn result(asked: &Asked, stream: &mut TcpStream, headers: &str, result: &Value) {
    let body = json!({ "jsonrpc": "2.0", "id": asked.body["id"], "result": result });
    let headers = format!("content-type: application/json\r\n{headers}");
    reply(stream, 200, &headers, &body.to_string());
}

/// Opens a stream of events, which ends with its connection.
pub(super) fn events(stream: &mut TcpStream) {
    write(
        stream,
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: text/event-stream\r\n\r\n",
    );
}

pub(super) fn event(stream: &mut TcpStream, id: &str, frame: &Value) -> bool {
    let id = if id.is_empty() {
        String::new()
    } else {
        format!("id: {id}\n")
    };
    write(stream, &format!("{id}data: {frame}\n\n"))
}

pub(super) fn note(method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "method": method, "params": params })
}

pub(super) fn shouted(asked: &Asked) -> Value {
    let text = asked.body["params"]["arguments"]["text"].as_str();
    let text = text.unwrap_or_default().to_uppercase();
    let answer = json!({ "resultType": "complete", "content": [{ "type": "text", "text": text }],
        "structuredContent": { "text": text } });
    json!({ "jsonrpc": "2.0", "id": asked.body["id"], "result": answer })
}

pub(super) fn tools(description: &str) -> Value {
    let input = json!({ "type": "object", "properties": { "text": { "type": "string" } } });
    let shout = json!({ "name": "shout", "description": description, "inputSchema": input });
    json!({ "resultType": "complete", "tools": [shout], "ttlMs": 60_000, "cacheScope": "private" })
}

/// What a server of the modern era answers but calls; whether it did.
pub(super) fn modern(asked: &Asked, stream: &mut TcpStream) -> bool {
    let said = json!({ "resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": { "tools": { "listChanged": true } } });
    match asked.what() {
        "server/discover" => result(asked, stream, "", &said),
        "tools/list" => result(asked, stream, "", &tools("Says it louder.")),
        _ => return false,
    }
    true
}

/// The same of the legacy era, with a session.
pub(super) fn legacy(asked: &Asked, stream: &mut TcpStream) -> bool {
    let said = json!({ "protocolVersion": "2025-11-25", "capabilities": { "tools": { "listChanged": true } },
        "serverInfo": { "name": "old", "version": "1" } });
    match asked.what() {
        _ if asked.header("mcp-protocol-version") == Some("2026-07-28") => {
            reply(stream, 400, "content-type: text/plain\r\n", "Bad Request");
        }
        "initialize" => {
            assert_eq!(asked.header("mcp-session-id"), None);
            result(asked, stream, "mcp-session-id: s-1\r\n", &said);
        }
        _ if asked.header("mcp-session-id") != Some("s-1") => reply(stream, 400, "", ""),
        "notifications/initialized" | "notifications/cancelled" => reply(stream, 202, "", ""),
        _ if asked.method == "DELETE" => reply(stream, 204, "", ""),
        "tools/list" => result(asked, stream, "", &tools("Says it louder.")),
        _ => return false,
    }
    true
}
