//! A model's server on loopback, in plain text or behind TLS, and a proxy that tunnels to it. Both keep what
//! came, so that a test can say who saw what.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

/// Longest silence of a client before a test gives up on it.
const SILENCE: Duration = Duration::from_secs(60);

/// One request as it came.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// Its first line and its headers, names in small letters.
    pub(super) head: String,
    pub(super) body: Value,
}

/// What a server says, and what it heard.
#[derive(Default)]
struct Script {
    answers: Mutex<VecDeque<String>>,
    asked: Mutex<Vec<Asked>>,
}

impl Script {
    /// The next answer; the last one repeats.
    fn answer(&self) -> String {
        let mut answers = self.answers.lock().unwrap();
        match answers.len() {
            1 => answers[0].clone(),
            _ => answers.pop_front().unwrap(),
        }
    }
}

pub(super) struct Server {
    address: SocketAddr,
    script: Arc<Script>,
}

impl Server {
    /// Gives these whole responses in order, until the test ends.
    pub(super) fn start(answers: Vec<String>, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let script = Arc::new(Script {
            answers: Mutex::new(answers.into()),
            ..Script::default()
        });
        let shared = script.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (script, tls) = (shared.clone(), tls.clone());
                let stream = stream.unwrap();
                stream.set_read_timeout(Some(SILENCE)).unwrap();
                std::thread::spawn(move || match tls {
                    None => talk(stream, &script),
                    Some(tls) => {
                        let connection = ServerConnection::new(tls).unwrap();
                        talk(StreamOwned::new(connection, stream), &script);
                    }
                });
            }
        });
        Self { address, script }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.script.asked.lock().unwrap().clone()
    }
}

/// The requests of one connection, until the client is gone or breaks off, as one does that does not believe
/// the server's certificate.
fn talk(mut stream: impl Read + Write, script: &Script) {
    while let Some(asked) = request(&mut stream) {
        script.asked.lock().unwrap().push(asked);
        let said = stream.write_all(script.answer().as_bytes());
        if said.and_then(|()| stream.flush()).is_err() {
            break;
        }
    }
}

fn request(stream: &mut impl Read) -> Option<Asked> {
    let head = head(stream)?;
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).ok()?;
    let body = serde_json::from_slice(&body).unwrap();
    Some(Asked { head, body })
}

/// A head, names of headers in small letters; none when the other side is gone.
fn head(stream: &mut impl Read) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.extend(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let line = |line: &str| match line.split_once(": ") {
        Some((name, value)) => format!("{}: {value}\n", name.to_lowercase()),
        None => format!("{line}\n"),
    };
    Some(head.lines().map(line).collect())
}

/// A whole response: an event stream, one chunk for each event.
pub(super) fn streamed(events: &[String]) -> String {
    let mut text = String::from(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
    );
    for event in events {
        text.push_str(&format!("{:x}\r\n{event}\r\n", event.len()));
    }
    text.push_str("0\r\n\r\n");
    text
}

/// A proxy that knows `CONNECT`.
pub(super) struct Proxy {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    carried: Arc<Mutex<Vec<u8>>>,
}

impl Proxy {
    /// Answers with this status, and tunnels when it is a 200.
    pub(super) fn start(status: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (heads, carried) = (Arc::default(), Arc::default());
        let proxy = Self {
            address,
            heads: Arc::clone(&heads),
            carried: Arc::clone(&carried),
        };
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (heads, carried) = (Arc::clone(&heads), Arc::clone(&carried));
                let stream = stream.unwrap();
                stream.set_read_timeout(Some(SILENCE)).unwrap();
                std::thread::spawn(move || tunnel(stream, status, &heads, carried));
            }
        });
        proxy
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it was asked for.
    pub(super) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    /// What it carried to the server.
    pub(super) fn carried(&self) -> Vec<u8> {
        self.carried.lock().unwrap().clone()
    }
}

fn tunnel(
    mut client: TcpStream,
    status: &str,
    heads: &Mutex<Vec<String>>,
    carried: Arc<Mutex<Vec<u8>>>,
) {
    // A client that asks for nothing is gone.
    let Some(head) = head(&mut client) else {
        return;
    };
    let target = head.split(' ').nth(1).unwrap().to_owned();
    heads.lock().unwrap().push(head);
    let answer = format!("HTTP/1.1 {status}\r\n\r\n");
    client.write_all(answer.as_bytes()).unwrap();
    if !status.starts_with("200") {
        return;
    }
    assert!(target.starts_with("127.0.0.1:"), "{target}");
    let mut server = TcpStream::connect(target).unwrap();
    let (mut from_client, mut to_server) =
        (client.try_clone().unwrap(), server.try_clone().unwrap());
    std::thread::spawn(move || {
        let mut piece = [0; 4_096];
        while let Ok(read @ 1..) = from_client.read(&mut piece) {
            carried.lock().unwrap().extend_from_slice(&piece[..read]);
            if to_server.write_all(&piece[..read]).is_err() {
                break;
            }
        }
        let _gone = to_server.shutdown(Shutdown::Write);
    });
    let _gone = std::io::copy(&mut server, &mut client);
    let _gone = client.shutdown(Shutdown::Write);
}
