//! A server on loopback inside this process that gives everyone the same answer: the model of the
//! gateway's benchmark, and the collector of telemetry's. It does as little as a server can, so that
//! what is measured is not it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use bytes::Bytes;
use futures::stream;
use http::{Request, Response, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::task::{JoinHandle, JoinSet};

/// What everyone is given.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// `content-type`.
    pub content: &'static str,
    /// The body, a chunk each.
    pub pieces: Arc<[Bytes]>,
}

/// A server until it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    asked: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Server {
    /// Answers on a free port of 127.0.0.1, and counts the requests for `path`.
    ///
    /// # Errors
    /// When no port can be had.
    #[expect(
        clippy::disallowed_methods,
        reason = "the benchmark's own server on loopback"
    )]
    pub(crate) fn start(runtime: &Runtime, path: &'static str, answer: Answer) -> Result<Self> {
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?;
        let asked = Arc::<AtomicU64>::default();
        let task = runtime.spawn(serve(listener, path, answer, asked.clone()));
        Ok(Self {
            address,
            asked,
            task,
        })
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub(crate) fn address(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Requests for the path so far.
    #[must_use]
    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, path: &'static str, answer: Answer, asked: Arc<AtomicU64>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        // Without it an answer in two segments waits for an acknowledgement, 40 ms later.
        let _ = stream.set_nodelay(true);
        let (answer, asked) = (answer.clone(), asked.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            asked.fetch_add(u64::from(request.uri().path() == path), Ordering::Relaxed);
            give(request, answer.clone())
        });
        // A client that goes away is no concern of ours.
        connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn give(
    request: Request<Incoming>,
    answer: Answer,
) -> Result<Response<BoxBody<Bytes, Infallible>>, http::Error> {
    let mut body = request.into_body();
    while let Some(Ok(_)) = body.frame().await {}
    let pieces = answer.pieces.iter().cloned();
    let frames: Vec<_> = pieces.map(|piece| Ok(Frame::data(piece))).collect();
    Response::builder()
        .header(header::CONTENT_TYPE, answer.content)
        .body(StreamBody::new(stream::iter(frames)).boxed())
}
