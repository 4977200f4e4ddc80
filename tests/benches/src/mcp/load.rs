//! Clients that ask without a pause: over stdio requests in flight on the one stream, over HTTP a connection each.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::servers::TOKEN;
use super::words::{OPENED, answered, call, opening};
use crate::measure::{Figure, duration};
use crate::peers::LinePeer;

/// How many calls were answered in which time, and how long each took.
#[derive(Default)]
pub(super) struct Load {
    samples: Vec<f64>,
    time: Duration,
}

impl Load {
    fn took(&mut self, time: Duration) {
        self.samples.push(time.as_nanos() as f64);
    }

    /// How many were answered.
    pub(super) fn calls(&self) -> usize {
        self.samples.len()
    }

    pub(super) fn add(&mut self, other: Self) {
        self.samples.extend(other.samples);
        self.time += other.time;
    }

    /// Calls a second.
    pub(super) fn rate(&self) -> f64 {
        self.samples.len() as f64 / self.time.as_secs_f64()
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let figure = Figure::from_samples(self.samples.clone());
        format!(
            "p50 {}, p99 {}, {:.0} calls/s",
            duration(figure.median_ns),
            duration(figure.p99_ns),
            self.rate()
        )
    }
}

/// Asks for `time` with so many requests in flight. Ids go on from `next`.
///
/// What is counted is a round trip: each request has an id of its own, its answer names that id and holds what was sent, and
/// no id counts twice. The time ends when the last one is answered. One thread asks and reads, so that a rate can never be
/// more than it manages.
pub(super) fn on_stream(
    peer: &mut LinePeer,
    next: &mut u64,
    in_flight: usize,
    time: Duration,
) -> Result<Load> {
    let (mut load, mut open) = (Load::default(), HashMap::new());
    let begun = Instant::now();
    let mut ask = |peer: &mut LinePeer, open: &mut HashMap<u64, Instant>| {
        *next += 1;
        let request = call(*next);
        open.insert(*next, Instant::now());
        peer.send(&request)
    };
    for _ in 0..in_flight {
        ask(peer, &mut open)?;
    }
    while !open.is_empty() {
        let answer = peer.receive()?;
        let arrived = Instant::now();
        let id = answered(&serde_json::from_str(answer)?)?;
        let from = open
            .remove(&id)
            .context("an answer to what was not asked")?;
        load.took(arrived - from);
        if begun.elapsed() < time {
            ask(peer, &mut open)?;
        }
    }
    load.time = begun.elapsed();
    Ok(load)
}

/// Asks for `time` with so many clients.
pub(super) fn over_http(
    runtime: &Runtime,
    address: SocketAddr,
    clients: usize,
    time: Duration,
) -> Result<Load> {
    runtime.block_on(async {
        let mut ready = Vec::new();
        for _ in 0..clients {
            ready.push(Client::connect(address).await?);
        }
        let (mut load, begun) = (Load::default(), Instant::now());
        let mut working = JoinSet::new();
        for mut client in ready {
            working.spawn(async move {
                let mut load = Load::default();
                while begun.elapsed() < time {
                    load.took(client.ask().await?);
                }
                // The end of its session, which a server bounds, is no call.
                load.time = begun.elapsed();
                client.close().await?;
                anyhow::Ok(load)
            });
        }
        while let Some(done) = working.join_next().await {
            let Load { samples, time } = done??;
            load.samples.extend(samples);
            load.time = load.time.max(time);
        }
        Ok(load)
    })
}

/// One client with a connection of its own.
struct Client {
    address: SocketAddr,
    session: Option<String>,
    /// The id of its last call.
    last: u64,
    sender: SendRequest<Full<Bytes>>,
    _connection: JoinSet<hyper::Result<()>>,
}

impl Client {
    #[expect(
        clippy::disallowed_methods,
        reason = "the benchmark's own client, to its peers on loopback"
    )]
    async fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let mut task = JoinSet::new();
        task.spawn(connection);
        let mut client = Self {
            address,
            session: None,
            last: 0,
            sender,
            _connection: task,
        };
        let opened = client.send(Method::POST, opening()).await?;
        let session = opened.headers().get("mcp-session-id");
        client.session = session
            .map(|id| id.to_str().map(str::to_owned))
            .transpose()?;
        opened.into_body().collect().await?;
        let told = client.send(Method::POST, OPENED.to_owned()).await?;
        told.into_body().collect().await?;
        Ok(client)
    }

    /// One call of the tool, from the request to the end of its answer.
    async fn ask(&mut self) -> Result<Duration> {
        self.last += 1;
        let request = call(self.last);
        let from = Instant::now();
        let answer = self.send(Method::POST, request).await?;
        let body = answer.into_body().collect().await?.to_bytes();
        let time = from.elapsed();
        let text = std::str::from_utf8(&body)?;
        // A stream of events has the answer as the data of its last one.
        let data = text
            .lines()
            .rev()
            .find_map(|line| line.strip_prefix("data: "));
        let answer: Value = serde_json::from_str(data.unwrap_or(text))?;
        ensure!(
            answered(&answer)? == self.last,
            "an answer to another call: {answer}"
        );
        Ok(time)
    }

    /// Ends the session, if the server gave one.
    async fn close(mut self) -> Result<()> {
        if self.session.is_some() {
            let ended = self.send(Method::DELETE, String::new()).await?;
            ended.into_body().collect().await?;
        }
        Ok(())
    }

    async fn send(&mut self, method: Method, body: String) -> Result<Response<Incoming>> {
        let mut request = Request::builder()
            .method(method)
            .uri("/mcp")
            .header(header::HOST, self.address.to_string())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json, text/event-stream")
            .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
            .header("mcp-protocol-version", "2025-11-25");
        if let Some(session) = &self.session {
            request = request.header("mcp-session-id", session);
        }
        self.sender.ready().await?;
        let answer = self
            .sender
            .send_request(request.body(Full::from(body))?)
            .await?;
        ensure!(answer.status().is_success(), "HTTP {}", answer.status());
        Ok(answer)
    }
}
