//! What the model gateway adds to a call: the same request to the same server on loopback by the bare
//! HTTP client, by the gateway, and by a guest through the whole capability.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use flowhost_ledger::Durability;
use flowhost_models::{Gateway, HttpTransport, Prompt, Speaker, Transport, Turn, Who};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::host::{Host, engine, guest, inspected, ledger};
use crate::loopback::{Answer, Server};
use crate::measure::{Effort, Figure, Side, duration, samples_in_turns};
use crate::report::Row;
use crate::world::{Recording, Silent, capability, effective, gateway};

const MODEL: &str = "bench/model";
const PROMPT_BYTES: usize = 4 << 10;
const PIECES: usize = 64;
const MAX_TOKENS: u32 = 512;
const GOAL_NS: f64 = 300_000.0;
const EFFORT: Effort = Effort {
    time: Duration::from_secs(3),
    batch: 8,
};

/// The gateway and the capability, each on top of the bare client.
///
/// # Errors
/// When the guest is missing or a side fails.
pub(crate) fn rows(runtime: &Runtime, folder: &Path) -> Result<Vec<Row>> {
    let server = Server::start(runtime, "/v1/chat/completions", answer())?;
    let transport = Arc::new(HttpTransport::web(Duration::from_secs(5), 16)?);
    let request = runtime.block_on(recorded(&server, transport.clone()))?;
    let gateway = gateway(&server, transport.clone())?;
    let ledger = ledger(&folder.join("models"), Durability::Relaxed)?;
    let recorder = Arc::new(ledger.clone());
    let engine = engine(None, 64, vec![Arc::new(flowhost_caps::model::Seam)])?;
    let path = guest("ok_model");
    let host = {
        let providers =
            Arc::new([capability(gateway.clone()) as Arc<dyn flowhost_engine::Provider>]);
        runtime.block_on(Host::new(
            &engine,
            &inspected(&path)?,
            effective(),
            recorder,
            providers,
        ))?
    };
    let (host, prompt, input) = (Arc::new(host), Arc::new(prompt()?), input());
    // As tasks, as the host runs its calls: on a thread of its own each piece would be a hand-over
    // between threads, and that is what would be measured.
    let mut sides: Vec<Side<'_>> = vec![
        Box::new(|batch| {
            let calls = bare_calls(transport.clone(), request.clone(), batch);
            runtime.block_on(runtime.spawn(calls))?
        }),
        Box::new(|batch| {
            let calls = gateway_calls(gateway.clone(), prompt.clone(), batch);
            runtime.block_on(runtime.spawn(calls))?
        }),
        Box::new(|batch| {
            let calls = guest_calls(host.clone(), input.clone(), batch);
            runtime.block_on(runtime.spawn(calls))?
        }),
    ];
    let samples = samples_in_turns(EFFORT, &mut sides)?;
    drop(sides);
    ledger.close_blocking()?;
    let [bare, gateway, guest] = samples.as_slice() else {
        return Ok(Vec::new());
    };
    let added = Figure::added(bare, gateway);
    let row = |what: &str, side: &[f64]| on_top(what, bare, side);
    Ok(vec![
        row("the gateway, on top of the bare HTTP client", gateway)
            .goal("≤ 0.3 ms a call", added.median_ns <= GOAL_NS),
        row(
            "a guest's model call, on top of it: instance, budget, redaction, ledger and gateway",
            guest,
        ),
    ])
}

fn on_top(what: &str, bare: &[f64], side: &[f64]) -> Row {
    let added = Figure::added(bare, side);
    let (bare, side) = (
        Figure::from_samples(bare.to_vec()),
        Figure::from_samples(side.to_vec()),
    );
    let what = format!("{what} (prompt of 4 KiB, answer in {PIECES} pieces)");
    let ratio = side.median_ns / bare.median_ns;
    Row::new("model", what, added.text(), added.median_ns).against(
        "the bare call to the same server",
        duration(bare.median_ns),
        ratio,
    )
}

async fn bare_calls(
    transport: Arc<HttpTransport>,
    request: Request<Bytes>,
    batch: u32,
) -> Result<()> {
    for _ in 0..batch {
        let response = transport.send(request.clone()).await?;
        ensure!(response.status() == StatusCode::OK, "refused");
        let body = response.into_body().collect().await?.to_bytes();
        ensure!(body.ends_with(b"[DONE]\n\n"), "the answer was cut");
    }
    Ok(())
}

async fn gateway_calls(gateway: Gateway, prompt: Arc<Prompt>, batch: u32) -> Result<()> {
    for _ in 0..batch {
        complete(&gateway, &prompt).await?;
    }
    Ok(())
}

async fn guest_calls(host: Arc<Host>, input: String, batch: u32) -> Result<()> {
    for _ in 0..batch {
        host.call(&input).await?;
    }
    Ok(())
}

async fn complete(gateway: &Gateway, prompt: &Prompt) -> Result<()> {
    let who = Who {
        stage: "",
        agent: "guest",
        step: "0123456789abcdef",
        seed: 7,
        call: 1,
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    let answer = gateway.complete(prompt, &who, &|_| true, deadline, &Silent);
    let answer = answer.await?;
    ensure!(!answer.spent.estimated, "the usage was not read");
    ensure!(answer.content == text(), "the answer was not read");
    Ok(())
}

/// The request as the gateway sends it, so that the bare client sends the same bytes.
async fn recorded(server: &Server, inner: Arc<HttpTransport>) -> Result<Request<Bytes>> {
    let seen = Mutex::default();
    let recording = Arc::new(Recording { inner, seen });
    complete(&gateway(server, recording.clone())?, &prompt()?).await?;
    let seen = recording.seen.lock().await.take();
    seen.context("the gateway sent nothing")
}

fn prompt() -> Result<Prompt> {
    let turn = Turn::new(Speaker::User, question());
    Ok(Prompt::new(MODEL.parse()?, vec![turn], MAX_TOKENS))
}

/// The same prompt, asked by the guest.
fn input() -> String {
    let input = json!({
        "op": "complete", "model": MODEL, "prompt": question(), "max_tokens": MAX_TOKENS
    });
    input.to_string()
}

fn question() -> String {
    let words = "The quick brown fox jumps over the lazy dog, 7 times a day. ";
    let times = PROMPT_BYTES.div_ceil(words.len());
    words.repeat(times)
}

const PIECE: &str = " words";

fn text() -> String {
    PIECE.repeat(PIECES)
}

/// Chat completions as a stream of events, usage in the last one. Source: OpenAI's API reference.
fn answer() -> Answer {
    let event = |choices: Value, usage: Value| {
        let event = json!({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1,
            "model": "model", "choices": choices, "usage": usage,
        });
        Bytes::from(format!("data: {event}\n\n"))
    };
    let choice = |delta: Value, finish: Value| {
        let choices = json!([{ "index": 0, "delta": delta, "finish_reason": finish }]);
        event(choices, Value::Null)
    };
    let words = (0..PIECES).map(|_| choice(json!({ "content": PIECE }), Value::Null));
    let usage = json!({ "prompt_tokens": 1_000, "completion_tokens": PIECES, "total_tokens": 1_000 + PIECES });
    let end = [
        choice(json!({}), json!("stop")),
        event(json!([]), usage),
        Bytes::from_static(b"data: [DONE]\n\n"),
    ];
    Answer {
        content: "text/event-stream",
        pieces: words.chain(end).collect(),
    }
}
