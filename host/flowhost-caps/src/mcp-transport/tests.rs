//! Refusals first: whatever is refused is on record and nothing was started for it. Processes themselves are
//! started by the built executable (`tests/it/src/mcp/process.rs`).

use std::sync::Arc;

use flowhost_engine::{CallScope, HostState, bindings::types};
use flowhost_ledger::Kind;
use flowhost_policy::{Grants, Profile};

use super::host::wit::{Header, Host as _};
use super::{McpTransport, ProcessServices};
use crate::shared::outward::{Answer, Ask, Outward};
use crate::shared::support::Refusal;
use crate::testing::{Call, denied, invalid, limited};

const PING: &str = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}";

fn granted() -> Call {
    let text = "version = 1\nname = \"p\"\n[[process]]\ncommand = [\"true\"]\n";
    let profile = Profile::parse(text, "p.toml").unwrap();
    Call::granted(profile.grants)
}

fn store(call: &Call, allowed: bool) -> HostState {
    let services = ProcessServices {
        allowed,
        ..ProcessServices::none()
    };
    call.store(&McpTransport::new(services, Arc::new(Nowhere)))
}

/// Sends nothing.
struct Nowhere;

#[async_trait::async_trait]
impl Outward for Nowhere {
    fn may(&self, _: &CallScope, _: &'static str, _: &str) -> bool {
        false
    }

    async fn send(&self, _: &CallScope, _: &'static str, _: Ask<'_>) -> Result<Answer, Refusal> {
        let why = "nothing is sent here".to_owned();
        Err(types::Error::Transient(why).into())
    }
}

async fn open(mut store: &mut HostState, frame: &str) -> Result<String, types::Error> {
    store.open(frame.to_owned(), Vec::new()).await.unwrap()
}

#[tokio::test]
async fn without_a_table_and_without_the_option_nothing_begins() {
    let call = Call::granted(Grants::default());
    assert_eq!(
        denied(open(&mut store(&call, true), PING).await),
        "process#none"
    );
    let call = granted();
    assert_eq!(
        denied(open(&mut store(&call, false), PING).await),
        "process.option"
    );
    let facts = call.facts();
    assert_eq!(facts.len(), 1);
    assert_eq!(facts[0].kind, Kind::ProcessStart);
    assert_eq!(call.last("decision"), "deny");
}

#[tokio::test]
async fn what_is_no_request_is_refused_before_anything_begins() {
    let call = granted();
    let mut store = store(&call, true);
    for frame in [
        "hello",
        "[]",
        "{\"jsonrpc\":\"2.0\",\"method\":\"ping\"}",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}",
        "{\"jsonrpc\":\"2.0\",\n\"id\":1,\"method\":\"ping\"}",
    ] {
        invalid(open(&mut store, frame).await);
    }
    let mut borrowed = &mut store;
    let header = Header {
        name: "x".to_owned(),
        value: "y".to_owned(),
    };
    let with = borrowed.open(PING.to_owned(), vec![header]).await;
    assert!(invalid(with.unwrap()).contains("no headers"));
    assert!(
        call.facts().is_empty(),
        "nothing was decided, because nothing was asked"
    );
}

#[tokio::test]
async fn a_frame_of_another_size_than_a_frame_has_is_a_limit() {
    let call = granted();
    let frame = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"{}\"}}",
        "x".repeat(4 << 20)
    );
    assert_eq!(
        limited(open(&mut store(&call, true), &frame).await),
        "mcp.frame"
    );
}

#[tokio::test]
async fn a_stream_of_another_call_is_none_of_this_one() {
    let call = granted();
    let mut store = store(&call, true);
    let mut borrowed = &mut store;
    for stream in ["8-1", "7-1", "7-", "", "7-0"] {
        let next = borrowed.next(vec![stream.to_owned()], 0.0).await.unwrap();
        assert!(
            invalid(next).contains("not a stream of this call"),
            "{stream}"
        );
    }
}
