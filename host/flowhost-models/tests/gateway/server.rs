//! A server on loopback that answers from a script, byte by byte where it must be wrong.
//!
//! Written on bare TCP, because a well-behaved HTTP library would not cut a chunk in half.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
};

/// What the server does after a request.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Send(Vec<u8>),
    Pause(Duration),
    /// Sends the bytes until the client is gone.
    Forever(Vec<u8>),
    Close,
}

/// One answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply(pub(crate) Vec<Act>);

impl Reply {
    /// A whole answer with a body.
    pub(crate) fn new(status: u16, headers: &[(&str, &str)], body: &str) -> Self {
        let mut head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        Self(vec![Act::Send(format!("{head}\r\n{body}").into_bytes())])
    }

    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::new(
            status,
            &[("content-type", "application/json")],
            &body.to_string(),
        )
    }

    /// An event stream, one chunk for each event, ended as it should be.
    pub(crate) fn events(events: &[String]) -> Self {
        let mut reply = Self::cut(events);
        reply.0.pop();
        reply.0.push(Act::Send(b"0\r\n\r\n".to_vec()));
        reply
    }

    /// An event stream whose connection closes after the last event.
    pub(crate) fn cut(events: &[String]) -> Self {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\
                    transfer-encoding: chunked\r\n\r\n";
        let mut acts = vec![Act::Send(head.as_bytes().to_vec())];
        acts.extend(events.iter().map(|event| Act::Send(chunk(event))));
        acts.push(Act::Close);
        Self(acts)
    }

    pub(crate) fn raw(bytes: &str) -> Self {
        Self(vec![Act::Send(bytes.as_bytes().to_vec()), Act::Close])
    }

    pub(crate) fn after(mut self, pause: Duration) -> Self {
        self.0.insert(0, Act::Pause(pause));
        self
    }
}

pub(crate) fn chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) head: String,
    pub(crate) body: Value,
}

#[derive(Default)]
struct State {
    replies: Mutex<VecDeque<Reply>>,
    asked: Mutex<Vec<Asked>>,
    connections: Mutex<usize>,
}

pub(crate) struct Server {
    pub(crate) address: String,
    state: Arc<State>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Server {
    /// Answers with the replies in order; the last one repeats.
    pub(crate) async fn start(replies: Vec<Reply>) -> Self {
        Self::start_with(replies, None).await
    }

    pub(crate) async fn start_with(
        replies: Vec<Reply>,
        tls: Option<tokio_rustls::TlsAcceptor>,
    ) -> Self {
        #[expect(clippy::disallowed_methods, reason = "a test's own server on loopback")]
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::new(State {
            replies: Mutex::new(replies.into()),
            ..State::default()
        });
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *lock(&shared.connections) += 1;
                let (state, tls) = (Arc::clone(&shared), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, &state).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, &state).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, state }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        lock(&self.state.asked).clone()
    }

    pub(crate) fn connections(&self) -> usize {
        *lock(&self.state.connections)
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, state: &State) {
    let mut buffer = Vec::new();
    while let Some(asked) = request(&mut stream, &mut buffer).await {
        lock(&state.asked).push(asked);
        let reply = {
            let mut replies = lock(&state.replies);
            if replies.len() > 1 {
                replies.pop_front()
            } else {
                replies.front().cloned()
            }
        };
        for act in reply.unwrap().0 {
            match act {
                Act::Send(bytes) => {
                    if stream.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
                Act::Pause(pause) => tokio::time::sleep(pause).await,
                Act::Forever(bytes) => while stream.write_all(&bytes).await.is_ok() {},
                Act::Close => {
                    let _ = stream.shutdown().await;
                    return;
                }
            }
        }
        let _ = stream.flush().await;
    }
}

async fn request(stream: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> Option<Asked> {
    loop {
        if let Some(end) = buffer.windows(4).position(|it| it == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                (name.eq_ignore_ascii_case("content-length"))
                    .then(|| value.parse::<usize>().ok())?
            });
            let whole = end + 4 + length.unwrap_or(0);
            if buffer.len() >= whole {
                let body = serde_json::from_slice(&buffer[end + 4..whole]).unwrap_or(Value::Null);
                buffer.drain(..whole);
                return Some(Asked { head, body });
            }
        }
        let mut piece = [0_u8; 16 << 10];
        let read = stream.read(&mut piece).await.ok()?;
        if read == 0 {
            return None;
        }
        buffer.extend_from_slice(&piece[..read]);
    }
}
