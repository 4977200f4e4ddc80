//! Refusals first: whatever is refused is on record and nothing was started for it. Processes themselves are
//! started by the built executable (`tests/it/src/mcp/process.rs`), and servers at an address answer as real ones do in
//! `tests/it/src/mcp/streams.rs`; here a script answers.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flowhost_engine::{CallScope, HostState, Provider as _, bindings::types};
use flowhost_ledger::Kind;
use flowhost_policy::{Grants, Profile};

use super::host::wit::{self, Header, Host as _};
use super::{McpTransport, ProcessServices, TransportState};
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

#[tokio::test(start_paused = true)]
async fn what_is_denied_is_no_start_and_is_denied_as_often_as_it_is_tried() {
    let call = granted();
    let mut store = store(&call, false);
    let began = tokio::time::Instant::now();
    for _ in 0..10 {
        assert_eq!(denied(open(&mut store, PING).await), "process.option");
    }
    assert_eq!(began.elapsed(), Duration::ZERO, "nothing was waited for");
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

/// Method and headers of a request.
type Sent = (&'static str, Vec<(String, String)>);
/// Status, kind, session and body of an answer.
type Said = (u16, &'static str, Option<&'static str>, &'static str);

/// Answers as it is told, and keeps what it was asked: method, headers.
#[derive(Default)]
struct Scripted {
    asked: Mutex<Vec<Sent>>,
    answers: Mutex<VecDeque<Said>>,
}

impl Scripted {
    fn answering(answers: impl IntoIterator<Item = Said>) -> Arc<Self> {
        Arc::new(Self {
            asked: Mutex::default(),
            answers: Mutex::new(answers.into_iter().collect()),
        })
    }

    /// The values of a header, request by request.
    fn sent(&self, name: &str) -> Vec<Option<String>> {
        let asked = self.asked.lock().unwrap();
        let of = |headers: &Vec<(String, String)>| {
            let mut found = headers.iter().filter(|(it, _)| it == name);
            found.next().map(|(_, value)| value.clone())
        };
        asked.iter().map(|(_, headers)| of(headers)).collect()
    }

    fn methods(&self) -> Vec<&'static str> {
        let asked = self.asked.lock().unwrap();
        asked.iter().map(|(method, _)| *method).collect()
    }
}

#[async_trait::async_trait]
impl Outward for Scripted {
    fn may(&self, _: &CallScope, _: &'static str, _: &str) -> bool {
        true
    }

    async fn send(&self, _: &CallScope, _: &'static str, ask: Ask<'_>) -> Result<Answer, Refusal> {
        let headers = ask.headers.iter();
        let headers = headers.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let asked = (ask.method, headers.collect());
        self.asked.lock().unwrap().push(asked);
        let next = self.answers.lock().unwrap().pop_front();
        let Some((status, kind, session, body)) = next else {
            return Err(Refusal::Unanswered("nobody is there".to_owned()));
        };
        let mut headers = vec![("content-type".to_owned(), kind.to_owned())];
        headers.extend(session.map(|id| ("mcp-session-id".to_owned(), id.to_owned())));
        let body = Ok(bytes::Bytes::from_static(body.as_bytes()));
        Ok(Answer {
            status,
            headers,
            body: Box::pin(futures::stream::iter([body])),
            echoes: None,
        })
    }
}

const URL: &str = "http://127.0.0.1:1/mcp";
const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";
const INITIALIZE: &str = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\"}";
const DONE: &str = "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}";

/// What comes on the stream of one request, to its end.
async fn answer(store: &mut HostState, frame: &str) -> Vec<wit::Event> {
    let stream = open(store, frame).await.unwrap();
    all_of(store, &stream).await
}

async fn all_of(store: &mut HostState, stream: &str) -> Vec<wit::Event> {
    let mut all = Vec::new();
    let mut borrowed = &mut *store;
    loop {
        let next = borrowed
            .next(vec![stream.to_owned()], 60_000.0)
            .await
            .unwrap();
        let event = next.unwrap().expect("something comes").event;
        let is_end = matches!(event, wit::Event::End(_));
        all.push(event);
        if is_end {
            return all;
        }
    }
}

async fn at(call: &Call, script: &Arc<Scripted>) -> (HostState, McpTransport) {
    let transport = McpTransport::new(ProcessServices::none(), script.clone());
    let mut store = call.store(&transport);
    let mut borrowed = &mut store;
    borrowed.at(URL.to_owned()).await.unwrap().unwrap();
    (store, transport)
}

#[tokio::test(start_paused = true)]
async fn a_header_that_is_the_hosts_is_refused_before_anything_is_sent() {
    let (call, script) = (granted(), Scripted::answering([]));
    let (mut store, _transport) = at(&call, &script).await;
    for name in [
        "Mcp-Session-Id",
        "authorization",
        "Cookie",
        "last-event-id",
        "accept",
    ] {
        let header = Header {
            name: name.to_owned(),
            value: "x".to_owned(),
        };
        let mut borrowed = &mut store;
        let sent = borrowed.open(PING.to_owned(), vec![header]).await.unwrap();
        assert!(invalid(sent).contains("by the host alone"), "{name}");
    }
    assert!(script.methods().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_session_is_the_hosts_from_its_beginning_to_the_end_of_the_run() {
    let call = granted();
    let script = Scripted::answering([
        (200, JSON, Some("s-1"), DONE),
        (200, JSON, None, DONE),
        (404, "text/plain", None, "gone"),
        (200, JSON, Some("s-2"), DONE),
        (200, JSON, None, DONE),
        (204, "", None, ""),
    ]);
    let (mut store, transport) = at(&call, &script).await;
    let opened = answer(&mut store, INITIALIZE).await;
    let wit::Event::Head(head) = &opened[0] else {
        panic!("{opened:?}")
    };
    assert!(head.headers.iter().all(|it| it.name != "mcp-session-id"));
    answer(&mut store, PING).await;
    answer(&mut store, PING).await;
    answer(&mut store, INITIALIZE).await;
    answer(&mut store, PING).await;
    let sessions = script.sent("mcp-session-id");
    let (first, second) = (Some("s-1".to_owned()), Some("s-2".to_owned()));
    assert_eq!(sessions, [None, first.clone(), first, None, second.clone()]);
    drop(store);
    transport.end().await;
    assert_eq!(script.methods().last(), Some(&"DELETE"));
    assert_eq!(script.sent("mcp-session-id").last(), Some(&second));
    assert_eq!(
        script.methods().len(),
        6,
        "what the server no longer finds is not ended"
    );
}

#[tokio::test(start_paused = true)]
async fn a_session_that_another_takes_the_place_of_is_ended_while_the_run_goes_on() {
    let call = granted();
    let script = Scripted::answering([
        (200, JSON, Some("s-1"), DONE),
        (200, JSON, Some("s-2"), DONE),
        (204, "", None, ""),
        (200, JSON, None, DONE),
        (204, "", None, ""),
    ]);
    let (mut store, transport) = at(&call, &script).await;
    answer(&mut store, INITIALIZE).await;
    answer(&mut store, INITIALIZE).await;
    // It is said beside the call.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let ended = |id: &str| Some(Some(id.to_owned()));
    assert_eq!(script.methods(), ["POST", "POST", "DELETE"]);
    assert_eq!(script.sent("mcp-session-id").last().cloned(), ended("s-1"));
    answer(&mut store, PING).await;
    assert_eq!(script.sent("mcp-session-id").last().cloned(), ended("s-2"));
    drop(store);
    transport.end().await;
    assert_eq!(
        script.methods(),
        ["POST", "POST", "DELETE", "POST", "DELETE"]
    );
    assert_eq!(script.sent("mcp-session-id").last().cloned(), ended("s-2"));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_off_is_gone_on_with_or_said_to_be_broken() {
    let call = granted();
    let script = Scripted::answering([
        (200, EVENTS, None, "id: 7\nretry: 10\ndata:\n\n"),
        (
            200,
            EVENTS,
            None,
            "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n",
        ),
        (200, EVENTS, None, "id: 8\ndata:\n\n"),
        (405, "", None, ""),
        (200, EVENTS, None, ": nothing\n\n"),
    ]);
    let (mut store, _transport) = at(&call, &script).await;
    let told = answer(&mut store, PING).await;
    assert!(matches!(
        &told[..],
        [
            wit::Event::Head(_),
            wit::Event::Frame(_),
            wit::Event::End(wit::End::Closed)
        ]
    ));
    assert_eq!(script.methods(), ["POST", "GET"]);
    assert_eq!(script.sent("last-event-id")[1].as_deref(), Some("7"));
    let told = answer(&mut store, PING).await;
    let broken = matches!(&told[..], [wit::Event::Head(_), wit::Event::End(wit::End::Broken(why))] if why.contains("HTTP 405"));
    assert!(broken, "{told:?}");
    // Without an event that has an id there is no place to go on from.
    let told = answer(&mut store, PING).await;
    assert!(matches!(
        &told[..],
        [wit::Event::Head(_), wit::Event::End(wit::End::Closed)]
    ));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_away_is_waited_for_and_then_no_longer() {
    let (call, script) = (granted(), Scripted::answering([]));
    let (mut store, _transport) = at(&call, &script).await;
    let mut said = Vec::new();
    for _ in 0..6 {
        let told = answer(&mut store, PING).await;
        let [wit::Event::End(wit::End::Failed(types::Error::Transient(why)))] = &told[..] else {
            panic!("{told:?}")
        };
        said.push(why.clone());
    }
    assert_eq!(said[4], "nobody is there");
    assert!(said[5].contains("5 times in a row"), "{}", said[5]);
    assert_eq!(script.methods().len(), 5, "the sixth was not sent");
}

#[tokio::test(start_paused = true)]
async fn only_a_tool_that_was_called_and_did_not_answer_leaves_something_in_doubt() {
    let (call, script) = (granted(), Scripted::answering([]));
    let (mut store, _transport) = at(&call, &script).await;
    let notification = "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}";
    let mut borrowed = &mut store;
    let said = borrowed.send(notification.to_owned(), Vec::new()).await;
    assert!(matches!(said, Ok(Err(types::Error::Transient(_)))));
    answer(&mut store, INITIALIZE).await;
    assert!(!call.scope.is_unanswered());
    let tool =
        "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"tools/call\",\"params\":{\"name\":\"pay\"}}";
    answer(&mut store, tool).await;
    assert!(call.scope.is_unanswered());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_answers_is_asked_without_a_pause() {
    let call = granted();
    let script = Scripted::answering([(200, JSON, None, DONE)]);
    let (mut store, _transport) = at(&call, &script).await;
    let began = tokio::time::Instant::now();
    let told = answer(&mut store, PING).await;
    assert!(
        matches!(&told[..], [_, wit::Event::Frame(frame), _] if frame.json == DONE),
        "{told:?}"
    );
    // This clock stands still unless everybody waits for a timer.
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_frame_over_the_size_of_a_piece_comes_in_pieces() {
    let call = granted();
    let large: &'static str = Box::leak(format!("\"{}\"", "x".repeat(600 << 10)).into_boxed_str());
    let script = Scripted::answering([(200, JSON, None, large)]);
    let (mut store, _transport) = at(&call, &script).await;
    let told = answer(&mut store, PING).await;
    let frames: Vec<(usize, bool)> = told
        .iter()
        .filter_map(|event| match event {
            wit::Event::Frame(frame) => Some((frame.json.len(), frame.more)),
            _ => None,
        })
        .collect();
    let piece = 256 << 10;
    assert_eq!(
        frames,
        [(piece, true), (piece, true), ((88 << 10) + 2, false)]
    );
}

#[tokio::test(start_paused = true)]
async fn what_comes_on_a_stream_that_was_cancelled_is_not_kept() {
    let call = granted();
    let script = Scripted::answering((0..100).map(|_| (200, JSON, None, DONE)));
    let (mut store, _transport) = at(&call, &script).await;
    for _ in 0..100 {
        let stream = open(&mut store, PING).await.unwrap();
        // The answer is there before anybody asks for it, and nobody ever does.
        tokio::time::sleep(Duration::from_millis(1)).await;
        let mut borrowed = &mut store;
        borrowed.cancel(stream).await.unwrap();
    }
    assert_eq!(script.methods().len(), 100);
    let state = store.parts::<TransportState>().state;
    assert_eq!((state.inbox.len(), state.later.len()), (0, 0));
    assert!(state.readers.is_empty() && state.reading.len() <= 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_read_when_there_is_room_for_it() {
    let call = granted();
    let large: &'static str = Box::leak(format!("\"{}\"", "x".repeat(9 << 20)).into_boxed_str());
    let script = Scripted::answering([(200, JSON, None, large), (200, JSON, None, large)]);
    let (mut store, _transport) = at(&call, &script).await;
    let first = open(&mut store, PING).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let second = open(&mut store, PING).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let state = store.parts::<TransportState>().state;
    assert_eq!(
        state.inbox.len(),
        4,
        "of the second no more than its head, as long as nobody has read the first"
    );
    for stream in [first, second] {
        let told = all_of(&mut store, &stream).await;
        assert!(matches!(
            told.last(),
            Some(wit::Event::End(wit::End::Closed))
        ));
    }
}

#[tokio::test(start_paused = true)]
async fn an_adapter_that_speaks_with_ever_new_addresses_is_stopped() {
    let (call, script) = (granted(), Scripted::answering([]));
    let (mut store, _transport) = at(&call, &script).await;
    let mut borrowed = &mut store;
    for number in 0..7 {
        borrowed
            .at(format!("{URL}/{number}"))
            .await
            .unwrap()
            .unwrap();
    }
    assert_eq!(
        limited(borrowed.at(format!("{URL}/8")).await.unwrap()),
        "mcp.addresses"
    );
}
