//! Serves one client over a pair of streams, a frame a line: what an editor starts.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use flowhost_mcp::{
    Code, Id, Message, Notification, Refusal, Reply, Request, RpcError, modern, read,
};
use futures::FutureExt as _;
use serde_json::Value;
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::peer::Peer;
use crate::server::{Era, Server};

/// Bytes of one frame from a client: as much as one over HTTP.
const LINE_MAX: usize = 4 << 20;
/// Frames that wait for a client to read them; the next one waits with its call.
const WAITING_MAX: usize = 64;
/// Bytes of frames that go out together, and of room for them that is kept from one write to the next: answers are mostly
/// small, and one that was not should not cost memory for ever.
const LINES_KEPT: usize = 64 << 10;
/// Requests that are held, those included whose answer waits to be read: four times what may be at work. A client that
/// asks and does not read is read no further, so that it fills its own pipe and not this process.
const HELD_MAX: usize = 256;
/// How long calls at work may take to end when the client is gone: each was told to stop, and its
/// evidence is to be sealed.
const END_MAX: Duration = Duration::from_secs(30);

/// Serves until the client closes one of its streams, then stops what is at work and waits for its end; or until the
/// server has ended.
pub async fn serve_streams<R, W>(server: Arc<Server>, from: R, into: W)
where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let peer = Arc::new(Peer::default());
    let (frames, waiting) = mpsc::channel(WAITING_MAX);
    let writer = tokio::spawn(write(waiting, into));
    let mut calls = JoinSet::new();
    let mut lines = BufReader::new(from);
    let mut over = pin!(server.over());
    loop {
        let line = tokio::select! {
            biased;
            // Half a line that has come is dropped with it: nothing would be done of it any more.
            () = &mut over => None,
            // Nobody hears an answer any more: what is asked from now on would be done for nobody.
            () = frames.closed() => None,
            line = next_line(&mut lines) => line,
        };
        let Some(line) = line else { break };
        while calls.try_join_next().is_some() {}
        // Fewer are at work, so that some of these wait to be read, or end by themselves: a word to stop a call may wait
        // behind that.
        while calls.len() >= HELD_MAX {
            calls.join_next().await;
        }
        let message = match line {
            Line::Blank => continue,
            Line::Frame(text) => read(&text),
            Line::TooLong => Err(too_long()),
        };
        match message {
            // At once, because what comes after it counts on it.
            Ok(Message::Request(request)) if request.method == "initialize" => {
                let agreed = server.initialize(&request.params);
                let outcome = agreed.map(|(result, version)| {
                    peer.agree(version);
                    result
                });
                let id = Some(request.id);
                let _gone = frames.send(Reply { id, outcome }.value()).await;
            }
            Ok(Message::Request(request)) => {
                let (server, peer, frames) = (server.clone(), peer.clone(), frames.clone());
                let answered = async move {
                    if let Some(outcome) = answer(&server, &peer, &request, &frames).await {
                        let id = Some(request.id);
                        let _gone = frames.send(Reply { id, outcome }.value()).await;
                    }
                };
                // Who panics has told of it, and is no reason to read no further.
                let answered = AssertUnwindSafe(answered).catch_unwind();
                let mut answered = Box::pin(answered.map(drop));
                // Begun here, so that requests begin in the order in which they came: a run numbers its calls by it, and
                // a task that is new may come before the one that was new just before.
                if futures::poll!(answered.as_mut()).is_pending() {
                    calls.spawn(answered);
                }
            }
            Ok(Message::Notification(note)) => heard(&peer, &note),
            // This server asks its client nothing, so nothing is answered.
            Ok(Message::Reply(_)) => tracing::debug!("an answer to no question was dropped"),
            Err(refusal) => {
                let _gone = frames.send(Reply::from(refusal).value()).await;
            }
        }
    }
    // Stopped, then waited for: each call sees its end into the record. The run is signed when none of them is left, and
    // what they still say is written last. Those that the server has ended are answered.
    if !server.is_over() {
        peer.cancel_all();
    }
    let ended = async { while calls.join_next().await.is_some() {} };
    if tokio::time::timeout(END_MAX, ended).await.is_err() {
        tracing::warn!("calls did not end in time; `flowhost runs list` signs what they left");
    }
    if let Some(run) = peer.session.end().await
        && tokio::time::timeout(END_MAX, run.outcome()).await.is_err()
    {
        tracing::warn!("the run did not end in time; `flowhost runs list` signs what it left");
    }
    // The writer ends when nobody can send any more: calls that did not end in time hold a sender each.
    drop(frames);
    calls.abort_all();
    let _written = tokio::time::timeout(END_MAX, writer).await;
}

/// The answer; none when the client cancelled it and wants none.
async fn answer(
    server: &Arc<Server>,
    peer: &Peer,
    request: &Request,
    frames: &mpsc::Sender<Value>,
) -> Option<Result<Value, RpcError>> {
    let era = match era(peer, request) {
        Ok(era) => era,
        Err(error) => return Some(Err(error)),
    };
    let work = match peer.begin(request) {
        Ok(work) => work,
        Err(error) => return Some(Err(error)),
    };
    let stop = work.stopped.clone();
    let outcome = server
        .answer(request, era, &peer.session, Some(frames.clone()), stop)
        .await;
    (!*work.stopped.borrow()).then_some(outcome)
}

fn era(peer: &Peer, request: &Request) -> Result<Era, RpcError> {
    if modern(&request.params)?.is_some() {
        return Ok(Era::Modern);
    }
    match request.method.as_str() {
        "ping" => Ok(Era::Legacy),
        "server/discover" => Err(RpcError::new(
            Code::InvalidParams,
            format!("`_meta` has no `{}`", flowhost_mcp::PROTOCOL_VERSION),
        )),
        _ if peer.version().is_some() => Ok(Era::Legacy),
        _ => Err(RpcError::new(
            Code::InvalidRequest,
            "begin with `initialize`, or say the revision in `_meta` of each request",
        )),
    }
}

/// A notification of the client.
pub(crate) fn heard(peer: &Peer, note: &Notification) {
    if note.method != "notifications/cancelled" {
        return;
    }
    let id = match note.params.get("requestId") {
        Some(Value::String(text)) => Id::Text(text.clone()),
        Some(Value::Number(number)) => match number.as_i64() {
            Some(number) => Id::Number(number),
            None => return,
        },
        _ => return,
    };
    peer.cancel(&id);
}

enum Line {
    Blank,
    Frame(Vec<u8>),
    TooLong,
}

/// The next line; of one that is too long no more is kept than the bound.
async fn next_line(lines: &mut (impl AsyncBufRead + Unpin)) -> Option<Line> {
    let mut line = Vec::new();
    let mut too_long = false;
    loop {
        let held = match lines.fill_buf().await {
            Ok([]) => break,
            Ok(held) => held,
            Err(error) => {
                tracing::debug!(%error, "the client is heard no more");
                break;
            }
        };
        let end = held.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(held.len(), |end| end + 1);
        if line.len() + taken > LINE_MAX {
            too_long = true;
            line.clear();
        } else if !too_long {
            line.extend_from_slice(held.get(..taken).unwrap_or_default());
        }
        lines.consume(taken);
        if end.is_some() {
            let blank = line.iter().all(u8::is_ascii_whitespace);
            return Some(match (too_long, blank) {
                (true, _) => Line::TooLong,
                (false, true) => Line::Blank,
                (false, false) => Line::Frame(line),
            });
        }
    }
    // Half a frame at the end of a stream was never sent whole: it is no message.
    None
}

fn too_long() -> Refusal {
    let message = format!("a message has more than {LINE_MAX} bytes");
    Refusal {
        id: None,
        error: RpcError::new(Code::InvalidRequest, message),
    }
}

async fn write(mut frames: mpsc::Receiver<Value>, mut into: impl AsyncWrite + Unpin) {
    let (mut held, mut lines) = (Vec::with_capacity(WAITING_MAX), Vec::new());
    while frames.recv_many(&mut held, WAITING_MAX).await > 0 {
        let mut next = held.drain(..).peekable();
        while let Some(frame) = next.next() {
            let written = serde_json::to_writer(&mut lines, &frame);
            debug_assert!(written.is_ok(), "a value has a text, and memory takes it");
            lines.push(b'\n');
            // Not kept beside its text, for which the client may take its time.
            drop(frame);
            // Small ones that wait go out together; a document goes out before the text of the next one is made.
            if lines.len() < LINES_KEPT && next.peek().is_some() {
                continue;
            }
            let written = async {
                into.write_all(&lines).await?;
                into.flush().await
            };
            if let Err(error) = written.await {
                tracing::debug!(%error, "the client reads no more");
                return;
            }
            lines.clear();
            lines.shrink_to(LINES_KEPT);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::pin::Pin;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll};

    use flowhost_flow::Exit;
    use flowhost_run::{Failure, Run};
    use serde_json::{Map, json};
    use tokio::io::AsyncReadExt as _;

    use super::*;
    use crate::shelf::{Document, Handed, Offer, PromptText, Shelf};

    async fn lines(text: &[u8]) -> Vec<String> {
        let mut reader = BufReader::new(text);
        let mut found = Vec::new();
        while let Some(line) = next_line(&mut reader).await {
            found.push(match line {
                Line::Blank => "blank".to_owned(),
                Line::TooLong => "too long".to_owned(),
                Line::Frame(text) => String::from_utf8_lossy(&text).trim().to_owned(),
            });
        }
        found
    }

    /// Offers nothing, and fails when it is asked for prompts.
    struct Bare;

    impl Shelf for Bare {
        fn offers(&self) -> &[Offer] {
            &[]
        }

        fn prompts(&self) -> &[PromptText] {
            panic!("a bug")
        }

        fn start(&self, _: &Offer, _: Map<String, Value>) -> Result<Run, Failure> {
            Err(Failure::new(Exit::Internal, "there is nothing to start"))
        }

        fn open(&self) -> Result<Run, Failure> {
            Err(Failure::new(Exit::Internal, "there is nothing to open"))
        }

        fn document(&self, _: &str, _: Document) -> Result<Handed, Failure> {
            Err(Failure::new(Exit::Internal, "there is nothing to read"))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_asks_and_reads_nothing_is_read_no_further() {
        let server = Server::new(Box::new(Bare), "0.0.0");
        let (mut client, own) = tokio::io::duplex(1_024);
        let (from, into) = tokio::io::split(own);
        let mut asked = 0;
        let ask = async {
            while asked < 10_000 {
                let ping = json!({ "jsonrpc": "2.0", "id": asked, "method": "ping" });
                client
                    .write_all(format!("{ping}\n").as_bytes())
                    .await
                    .unwrap();
                asked += 1;
            }
        };
        tokio::select! {
            () = serve_streams(server, from, into) => panic!("its client is still there"),
            all = tokio::time::timeout(Duration::from_secs(60), ask) => assert!(all.is_err()),
        }
        // Those that are held, and what lies in between in buffers.
        assert!((HELD_MAX..4 * HELD_MAX).contains(&asked), "{asked}");
    }

    #[tokio::test]
    async fn a_request_at_which_the_host_fails_is_answered_and_so_is_the_next_one() {
        let server = Server::new(Box::new(Bare), "0.0.0");
        let (mut client, own) = tokio::io::duplex(1_024);
        let (from, into) = tokio::io::split(own);
        let serving = tokio::spawn(serve_streams(server, from, into));
        let version = json!({ "protocolVersion": "2025-11-25" });
        let asked = [
            json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": version }),
            json!({ "jsonrpc": "2.0", "id": 2, "method": "prompts/list", "params": {} }),
            json!({ "jsonrpc": "2.0", "id": 3, "method": "ping", "params": {} }),
        ];
        for frame in asked {
            let line = format!("{frame}\n");
            client.write_all(line.as_bytes()).await.unwrap();
        }
        client.shutdown().await.unwrap();
        let mut told = String::new();
        client.read_to_string(&mut told).await.unwrap();
        serving.await.unwrap();
        let told: Vec<Value> = told
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let ids: Vec<i64> = told.iter().filter_map(|it| it["id"].as_i64()).collect();
        assert_eq!(ids, [1, 2, 3], "{told:?}");
        assert_eq!(told[1]["error"]["code"], -32_603);
    }

    #[tokio::test]
    async fn a_server_that_has_ended_serves_no_further_though_its_client_is_there() {
        let server = Server::new(Box::new(Bare), "0.0.0");
        let (client, own) = tokio::io::duplex(1_024);
        let (from, into) = tokio::io::split(own);
        let serving = tokio::spawn(serve_streams(server.clone(), from, into));
        server.end().await;
        let served = tokio::time::timeout(Duration::from_secs(60), serving).await;
        assert!(served.is_ok_and(|it| it.is_ok()));
        drop(client);
    }

    /// Who reads no more.
    struct Deaf;

    impl AsyncWrite for Deaf {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_no_more_is_served_no_further_though_it_could_ask() {
        let server = Server::new(Box::new(Bare), "0.0.0");
        let (mut client, own) = tokio::io::duplex(1_024);
        let serving = tokio::spawn(serve_streams(server, own, Deaf));
        let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
        let line = format!("{ping}\n");
        client.write_all(line.as_bytes()).await.unwrap();
        let served = tokio::time::timeout(Duration::from_secs(60), serving).await;
        assert!(served.is_ok_and(|it| it.is_ok()));
    }

    /// The most that was ever written to it at once.
    struct Widest(Arc<AtomicUsize>);

    impl AsyncWrite for Widest {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.0.fetch_max(bytes.len(), Ordering::Relaxed);
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn large_frames_that_wait_are_not_all_in_memory_as_text_at_once() {
        let (frames, waiting) = mpsc::channel(WAITING_MAX);
        for _ in 0..WAITING_MAX {
            frames.try_send(json!("x".repeat(LINES_KEPT))).unwrap();
        }
        drop(frames);
        let widest = Arc::new(AtomicUsize::new(0));
        write(waiting, Widest(widest.clone())).await;
        let widest = widest.load(Ordering::Relaxed);
        assert!((LINES_KEPT..3 * LINES_KEPT).contains(&widest), "{widest}");
    }

    #[tokio::test]
    async fn a_line_without_an_end_costs_no_more_than_the_bound_and_what_follows_is_read() {
        let mut text = vec![b'x'; LINE_MAX + 10];
        text.extend(b"\n\r\n{}\n{\"half\":");
        assert_eq!(lines(&text).await, ["too long", "blank", "{}"]);
    }
}
