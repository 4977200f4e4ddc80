//! Answers of model servers, streamed and whole, as a hostile server would send them: through the
//! gateway's public door, over a transport that hands the bytes back in small pieces.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "the set-up of a target: what fails in it is a fault of the target"
)]

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use flowhost_models::{
    Body, CallLog, Clock, Config, Feature, Gateway, KeySource, ModelError, Prompt, ScriptFiles,
    Speaker, ToolSpec, Transport, TransportError, Try, TryOutcome, Turn, Who,
};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use tokio::runtime::Runtime;
use zeroize::Zeroizing;

use crate::{Outcome, Target};

const WORDS: &[&str] = &[
    "data: ",
    "data: [DONE]\n\n",
    "event: message_start\n",
    "event: content_block_delta\n",
    "event: message_delta\n",
    "\n\n",
    "\r\n",
    "{\"choices\":[{\"delta\":{\"content\":\"x\"}}]}",
    "\"finish_reason\":\"stop\"",
    "\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"t\",\"arguments\":\"{\"}}]",
    "\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}",
    "\"output_tokens\":",
    "18446744073709551616",
    "-1",
    "1e309",
    "300.0",
    "null",
    "\"content\":[{\"type\":\"text\",\"text\":\"x\"}]",
    "\"index\":1",
    "<think>",
    "</think>",
    "```json\n",
    "{\"error\":{\"code\":402,\"message\":\"seed is not supported\"}}",
    "{\"detail\":[{\"loc\":[\"body\",\"response_format\"],\"msg\":\"x\"}]}",
    "\"type\":\"response.output_item.done\"",
    "\"type\":\"response.function_call_arguments.delta\",\"output_index\":1,\"delta\":\"{\"",
    "\"type\":\"response.completed\",\"response\":{\"status\":\"completed\",\"output\":[",
    "{\"type\":\"signature_delta\",\"signature\":\"x\"}",
    "\"cache_creation_input_tokens\":1",
    "\u{202e}",
];

pub(crate) const OPENAI: Target = Target {
    name: "openai",
    run: |bytes| answer("openai", "chat", bytes),
    words: WORDS,
};

pub(crate) const RESPONSES: Target = Target {
    name: "responses",
    run: |bytes| answer("openai", "responses", bytes),
    words: WORDS,
};

pub(crate) const ANTHROPIC: Target = Target {
    name: "anthropic",
    run: |bytes| answer("anthropic", "chat", bytes),
    words: WORDS,
};

/// Longest answer in tokens that the target asks for; the gateway bounds the rest by it.
const MAX_TOKENS: u32 = 64;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().start_paused(true).build().unwrap()
});

struct World;

impl KeySource for World {
    fn key(&self, _: &str) -> Option<Zeroizing<String>> {
        Some(Zeroizing::new("sk-secret".to_owned()))
    }
}

impl ScriptFiles for World {
    fn read(&self, _: &str) -> Result<Option<String>, String> {
        Ok(None)
    }
}

impl Clock for World {
    fn now_ms(&self) -> u64 {
        0
    }
}

#[async_trait]
impl CallLog for World {
    async fn before(&self, _: &Try<'_>) -> Result<(), String> {
        Ok(())
    }

    async fn after(&self, attempt: &Try<'_>, outcome: &TryOutcome<'_>) -> Result<(), String> {
        let usage = outcome.spent.usage;
        let from_cache = usage.cached_tokens.checked_add(usage.cache_write_tokens);
        assert!(from_cache.is_some_and(|it| it <= usage.prompt_tokens));
        assert!(usage.reasoning_tokens <= usage.completion_tokens);
        // One try, and one more for each part of the request that can be left out.
        assert!(usize::try_from(attempt.number).unwrap() <= 1 + Feature::ALL.len());
        Ok(())
    }
}

/// The first byte of an input is the response's kind and what is asked, the rest its body.
struct Server(Vec<u8>);

/// Types that a server names, rightly or wrongly.
const KINDS: [&str; 5] = [
    "text/event-stream",
    "application/json",
    "text/plain",
    "application/octet-stream",
    "",
];

#[async_trait]
impl Transport for Server {
    async fn send(&self, _: Request<Bytes>) -> Result<Response<Body>, TransportError> {
        let (head, body) = self.0.split_first().unwrap_or((&0, &[]));
        let status = [200, 200, 200, 400, 429, 529][usize::from(*head) % 6];
        let kind = KINDS[usize::from(*head / 6) % KINDS.len()];
        let body = Full::from(body.to_vec()).map_err(|never| match never {});
        let response = Response::builder()
            .status(status)
            .header("content-type", kind);
        Ok(response.body(body.boxed_unsync()).unwrap())
    }
}

fn gateway(kind: &str, api: &str, bytes: &[u8]) -> Gateway {
    let config = serde_json::json!({
        "retry": { "max_attempts": 1 },
        "providers": { "p": { "kind": kind, "api": api, "url": "https://models.example/v1", "key": "K" } },
        "prices": { "p/*": { "input": 1.0, "output": 1.0 } },
    });
    let config: Config = serde_json::from_value(config).unwrap();
    let (world, server) = (Arc::new(World), Arc::new(Server(bytes.to_vec())));
    Gateway::with_transport(config, world.clone(), world.clone(), world, server).unwrap()
}

/// Whether the input asks for a schema and offers a tool.
fn asks_for_json(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|head| head / 30 % 2 == 1)
}

/// Whatever comes: an answer within its bounds, or an error that names no key; and what was spent is
/// what the tokens cost, to the micro-dollar.
fn answer(kind: &str, api: &str, bytes: &[u8]) -> Outcome {
    let gateway = gateway(kind, api, bytes);
    let rich = asks_for_json(bytes);
    let tool = ToolSpec {
        name: "t".to_owned(),
        description: String::new(),
        input_schema: serde_json::json!({}),
    };
    let prompt = Prompt {
        model: "p/m".parse().unwrap(),
        turns: vec![Turn {
            speaker: Speaker::User,
            content: "hello".to_owned(),
            tool_calls: Vec::new(),
            answers: String::new(),
        }],
        tools: rich.then_some(tool).into_iter().collect(),
        answer_schema: rich.then(|| serde_json::json!({"type": "object", "required": ["n"]})),
        temperature: rich.then_some(0.5),
        max_tokens: MAX_TOKENS,
        seed: Some(1),
        stop: Vec::new(),
    };
    let who = Who {
        stage: "",
        agent: "a",
        step: "s",
        seed: 1,
        call: 1,
        traceparent: "",
    };
    let result = RUNTIME.block_on(async {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        let complete = gateway.complete(&prompt, &who, &|_| true, deadline, &World);
        complete.await
    });
    let spent = match &result {
        Ok(answer) => {
            assert!(answer.content.len() <= 1 << 20);
            assert!(!answer.content.contains("sk-secret"));
            answer.spent
        }
        Err(error) => harmless(error),
    };
    // A dollar for a million of tokens, either way.
    assert_eq!(spent.micro_usd, spent.usage.tokens());
    Outcome::of(&result)
}

fn harmless(error: &ModelError) -> flowhost_models::Spent {
    assert!(!error.message.contains("sk-secret"), "{}", error.message);
    assert!(!error.message.contains('\u{1b}') && error.message.len() <= 4_096);
    error.spent
}
