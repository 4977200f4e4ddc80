//! `flowhost:mcp-transport`: over the streams of a process, or over HTTP for a call that says where its server is.

use std::time::Duration;

use flowhost_engine::{CallScope, Fault, HostState, Told, bindings::types};
use flowhost_mcp::route;
use serde::{Deserialize, Serialize};
use wasmtime::component::Linker;

use super::TransportState;
use super::mailbox::{Arrival, Came, Head, Waiter};
use super::peer::{FRAME_MAX, Unsent};
use super::remote::{Header, Question, check_headers};
use super::start::gone;
use crate::shared::bindings;
use crate::shared::support::{HasStore, Refusal, bytes, heard, kill, settle, told};

bindings!("import flowhost:mcp-transport/mcp-transport@0.1.0;", "../../wit/mcp-transport/0.1.0", async | trappable, types);

pub(super) use bindings::flowhost::mcp_transport::mcp_transport as wit;

pub(super) const INTERFACE: &str = "flowhost:mcp-transport/mcp-transport@0.1.0";

/// Streams of one call that are open at once.
const STREAMS_MAX: u64 = 64;
/// Bytes of a frame that are handed over at once. A larger frame comes in pieces, each of which is counted and on
/// record, so that neither a record nor a copy is as large as a server likes.
const PIECE_MAX: usize = 256 << 10;

pub(super) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    wit::add_to_linker::<_, HasStore>(linker, |state| state)
}

impl wit::Host for &mut HostState {
    async fn at(&mut self, url: String) -> wasmtime::Result<Result<(), types::Error>> {
        let (scope, state) = charge(self)?;
        settle(at(state, &scope, &url))
    }

    async fn open(
        &mut self,
        frame: String,
        headers: Vec<wit::Header>,
    ) -> wasmtime::Result<Result<String, types::Error>> {
        let (scope, state) = charge(self)?;
        settle(open(state, &scope, &frame, pairs(headers)).await)
    }

    async fn send(
        &mut self,
        frame: String,
        headers: Vec<wit::Header>,
    ) -> wasmtime::Result<Result<Option<wit::Head>, types::Error>> {
        let (scope, state) = charge(self)?;
        settle(send(state, &scope, &frame, pairs(headers)).await)
    }

    async fn listen(
        &mut self,
        frame: String,
        headers: Vec<wit::Header>,
    ) -> wasmtime::Result<Result<String, types::Error>> {
        let (scope, state) = charge(self)?;
        settle(listen(state, &scope, &frame, pairs(headers)).await)
    }

    async fn next(
        &mut self,
        streams: Vec<String>,
        timeout_ms: f64,
    ) -> wasmtime::Result<Result<Option<wit::Arrival>, types::Error>> {
        let (scope, state) = charge(self)?;
        settle(next(state, &scope, &streams, timeout_ms).await)
    }

    async fn cancel(&mut self, stream: String) -> wasmtime::Result<()> {
        let (scope, state) = charge(self)?;
        state.open.remove(&stream);
        // A replay has neither reader nor server.
        if scope.is_replayed() {
            return Ok(());
        }
        if let Some(reader) = state.readers.remove(&stream) {
            reader.abort();
        }
        if let Some(remote) = &state.remote {
            remote.forget(&stream);
        } else if let Some(peer) = state.seat.peer().await {
            peer.forget(&stream);
        }
        state.drop_cancelled();
        Ok(())
    }
}

fn charge(store: &mut HostState) -> wasmtime::Result<(CallScope, &mut TransportState)> {
    store.scope().charge_host_call().map_err(kill)?;
    let parts = store.parts::<TransportState>();
    Ok((parts.scope.clone(), parts.state))
}

fn pairs(headers: Vec<wit::Header>) -> Vec<Header> {
    headers.into_iter().map(|it| (it.name, it.value)).collect()
}

/// Longest address, as of a request of `http`.
const URL_MAX: usize = 8 << 10;

fn at(state: &mut TransportState, scope: &CallScope, url: &str) -> Result<(), Refusal> {
    if url.is_empty() || url.len() > URL_MAX {
        let why = format!("the server's address is a text of 1 to {URL_MAX} bytes");
        return Err(types::Error::Invalid(why).into());
    }
    let (changes, plugin) = (state.services.changes.clone(), scope.plugin.clone());
    let changed = move || changes.note(&plugin);
    state.remote = Some(state.remotes.at(url, scope, changed)?);
    Ok(())
}

/// What a frame and its headers have to be, before anything is started for them.
fn check(
    state: &TransportState,
    scope: &CallScope,
    frame: &str,
    headers: &[Header],
) -> Result<(), Refusal> {
    if frame.len() > FRAME_MAX {
        let (used, allowed) = (frame.len() as u64, FRAME_MAX as u64);
        return Err(scope.refuse_limit("mcp.frame", used, allowed).into());
    }
    if state.remote.is_some() {
        return check_headers(headers);
    }
    // Of a process alone: over HTTP a body may have lines.
    if frame.contains('\n') {
        let why = "a frame is one line: a line break within would make two of it".to_owned();
        return Err(types::Error::Invalid(why).into());
    }
    match headers.first() {
        None => Ok(()),
        Some((name, _)) => {
            let name = flowhost_engine::neutralise(name, 64);
            let why = format!("`{name}`: the standard streams carry no headers");
            Err(types::Error::Invalid(why).into())
        }
    }
}

async fn open(
    state: &mut TransportState,
    scope: &CallScope,
    frame: &str,
    headers: Vec<Header>,
) -> Result<String, Refusal> {
    check(state, scope, frame, &headers)?;
    let asks = route(frame.as_bytes()).filter(|it| it.id.is_some() && !it.answers);
    let Some(asks) = asks else {
        let why = "what is opened is a JSON-RPC request with an id of its own".to_owned();
        return Err(types::Error::Invalid(why).into());
    };
    let stream = number(state, scope)?;
    let calls = asks.calls;
    if let Some(remote) = state.remote.clone() {
        // Nothing is waited for: what comes of it comes on the stream.
        // On record before it is asked, so that what comes of it can only stand behind.
        scope.at_once(INTERFACE, "open", frame, || ())?;
        if !scope.is_replayed() {
            let waiter = waiter(state, &stream);
            let frame = frame.to_owned();
            let question = Question {
                frame,
                headers,
                route: asks,
            };
            // What has ended is let go: a call may ask as often as it may call the host.
            while state.reading.try_join_next().is_some() {}
            let reader = state.reading.spawn(remote.ask(scope, question, waiter));
            state.readers.insert(stream.clone(), reader);
        }
        if calls {
            state.asked(scope, &stream);
        }
        return Ok(stream);
    }
    let (seat, services) = (state.seat.clone(), state.services.clone());
    let sender = state.sender.clone();
    let work = told(async {
        let peer = seat.taken(&services, scope).await?;
        peer.ask(frame, asks, &stream, &sender)
            .await
            .map_err(unsent)
    });
    let opened = heard(scope, scope.outside(INTERFACE, "open", frame, work).await);
    if calls && opened.is_ok() {
        state.asked(scope, &stream);
    }
    counted(state, stream, opened)
}

impl TransportState {
    /// A tool is asked to do something. Until it has said what became of it nobody knows whether it has.
    fn asked(&mut self, scope: &CallScope, stream: &str) {
        scope.asks();
        self.acting.insert(stream.to_owned());
    }

    /// Whether what came says what became of it: its answer, also one that is no answer as it should be; that the server
    /// did not take the request; or that it was never sent.
    fn hears(&mut self, scope: &CallScope, next: &Next) {
        let says = match &next.came {
            // The last piece of a large frame is no frame by itself. What a server says before its answer is small.
            Came::Frame(json) => route(json.as_bytes()).is_none_or(|it| it.answers),
            Came::Head(head) => head.status >= 300,
            // An answer that is larger than may be taken has come, and nobody has read it.
            Came::Failed(Told::Limit { name, .. }) => {
                name != "http.response" && name != "mcp.frame"
            }
            Came::Failed(told) => !matches!(told, Told::Unanswered(_)),
            // Over the standard streams it comes behind the answer.
            Came::Piece(_) | Came::Closed | Came::Broken(_) => false,
        };
        if says && self.acting.remove(&next.stream) {
            scope.hears();
        }
    }
}

async fn send(
    state: &mut TransportState,
    scope: &CallScope,
    frame: &str,
    headers: Vec<Header>,
) -> Result<Option<wit::Head>, Refusal> {
    check(state, scope, frame, &headers)?;
    if route(frame.as_bytes()).is_none_or(|it| it.id.is_some() && !it.answers) {
        let why =
            "what is sent is a JSON-RPC notification or an answer; a request is opened".to_owned();
        return Err(types::Error::Invalid(why).into());
    }
    let (seat, services, remote) = (
        state.seat.clone(),
        state.services.clone(),
        state.remote.clone(),
    );
    let work = told(async {
        if let Some(remote) = remote {
            let said = remote.send(scope, frame, &headers).await;
            return said.map(Some).map_err(asks_nothing);
        }
        let peer = seat.taken(&services, scope).await?;
        peer.write(frame).await.map_err(unsent)?;
        Ok(None)
    });
    let said: Option<Head> = heard(scope, scope.outside(INTERFACE, "send", frame, work).await)?;
    said.map(head).transpose()
}

/// A notification and an answer ask nobody to do something: where nothing says that they came, no effect is in doubt.
fn asks_nothing(error: Refusal) -> Refusal {
    match error {
        Refusal::Unanswered(why) => types::Error::Transient(why).into(),
        error => error,
    }
}

async fn listen(
    state: &mut TransportState,
    scope: &CallScope,
    frame: &str,
    headers: Vec<Header>,
) -> Result<String, Refusal> {
    check(state, scope, frame, &headers)?;
    if state.remote.is_none() && !frame.is_empty() {
        let why = "over the standard streams nothing has to be sent to hear what a server says"
            .to_owned();
        return Err(types::Error::Invalid(why).into());
    }
    let stream = number(state, scope)?;
    let (seat, services, remote) = (
        state.seat.clone(),
        state.services.clone(),
        state.remote.clone(),
    );
    let waiter = waiter(state, &stream);
    let work = told(async {
        match remote {
            Some(remote) => remote.listen(scope, frame, &headers, waiter),
            None => seat.taken(&services, scope).await?.listen(waiter),
        }
        Ok(())
    });
    let opened = heard(scope, scope.outside(INTERFACE, "listen", frame, work).await);
    counted(state, stream, opened)
}

/// Whoever waits for what comes on `stream`.
fn waiter(state: &TransportState, stream: &str) -> Waiter {
    Waiter {
        stream: stream.to_owned(),
        sender: state.sender.clone(),
    }
}

fn head(head: Head) -> Result<wit::Head, Refusal> {
    let headers = head.headers.into_iter();
    Ok(wit::Head {
        status: i32::from(head.status),
        headers: headers
            .map(|(name, value)| wit::Header { name, value })
            .collect(),
        body: bytes(head.body)?,
    })
}

/// The next stream's name: its number within the call, behind the call's own id, because the server's
/// process is shared by calls.
fn number(state: &mut TransportState, scope: &CallScope) -> Result<String, Refusal> {
    if state.open.len() as u64 == STREAMS_MAX {
        let refused = scope.refuse_limit("mcp.streams", STREAMS_MAX + 1, STREAMS_MAX);
        return Err(refused.into());
    }
    state.opened += 1;
    let stream = format!("{}-{}", scope.call, state.opened);
    state.open.insert(stream.clone());
    Ok(stream)
}

/// A stream that was not opened counts for nothing.
fn counted(
    state: &mut TransportState,
    stream: String,
    opened: Result<(), Refusal>,
) -> Result<String, Refusal> {
    if opened.is_err() {
        state.open.remove(&stream);
    }
    opened.map(|()| stream)
}

/// One arrival, as its record has it.
#[derive(Serialize, Deserialize)]
struct Next {
    stream: String,
    came: Came,
}

async fn next(
    state: &mut TransportState,
    scope: &CallScope,
    streams: &[String],
    timeout_ms: f64,
) -> Result<Option<wit::Arrival>, Refusal> {
    let own = format!("{}-", scope.call);
    let known = |stream: &String| {
        let number = stream
            .strip_prefix(&own)
            .and_then(|it| it.parse::<u64>().ok());
        // By its number and not by what is open: an end that has come may be asked for after the
        // stream was closed.
        number.is_some_and(|number| (1..=state.opened).contains(&number))
    };
    if let Some(unknown) = streams.iter().find(|stream| !known(stream)) {
        let name = flowhost_engine::neutralise(unknown, 64);
        let why = format!("`{name}` is not a stream of this call");
        return Err(types::Error::Invalid(why).into());
    }
    let wait = match Duration::try_from_secs_f64(timeout_ms / 1_000.0) {
        Ok(wait) => wait.min(scope.remaining()),
        // Longer than a duration can be is as long as the call may take.
        Err(_) if timeout_ms > 0.0 => scope.remaining(),
        Err(_) => {
            let why = "`timeout-ms` is a number of 0 or more".to_owned();
            return Err(types::Error::Invalid(why).into());
        }
    };
    let asked = streams.join(" ");
    let came = scope.outside(INTERFACE, "next", &asked, async {
        let Some(mut arrival) = arrival(state, streams, wait).await else {
            return Ok(None);
        };
        let stream = arrival.stream.clone();
        if let Some(piece) = arrival.piece(PIECE_MAX) {
            // In front, so that the next piece of it comes before whatever the server wrote behind
            // it.
            state.later.push_front(arrival);
            let came = Came::Piece(piece);
            return Ok(Some(Next { stream, came }));
        }
        let came = arrival.take()?;
        Ok::<_, Fault>(Some(Next { stream, came }))
    });
    let Some(next) = came.await? else {
        return Ok(None);
    };
    state.hears(scope, &next);
    if !next.came.goes_on() {
        state.open.remove(&next.stream);
        state.readers.remove(&next.stream);
    }
    let frame = |json, more| wit::Event::Frame(wit::Frame { json, more });
    let event = match next.came {
        Came::Head(came) => wit::Event::Head(head(came)?),
        Came::Piece(json) => frame(json, true),
        Came::Frame(json) => frame(json, false),
        Came::Closed => wit::Event::End(wit::End::Closed),
        Came::Broken(why) => wit::Event::End(wit::End::Broken(why)),
        // Counted above, where it was a tool that was asked.
        Came::Failed(Told::Unanswered(why)) => {
            wit::Event::End(wit::End::Failed(types::Error::Transient(why)))
        }
        Came::Failed(told) => wit::Event::End(wit::End::Failed(scope.again(told))),
    };
    Ok(Some(wit::Arrival {
        stream: next.stream,
        event,
    }))
}

/// The next thing on any of these streams.
async fn arrival(
    state: &mut TransportState,
    streams: &[String],
    wait: Duration,
) -> Option<Arrival> {
    let wanted = |arrival: &Arrival| streams.contains(&arrival.stream);
    if let Some(at) = state.later.iter().position(wanted) {
        return state.later.remove(at);
    }
    // One moment for the whole loop: a server that talks on other streams must not prolong the
    // wait.
    let until = tokio::time::Instant::now() + wait;
    loop {
        let arrival = tokio::time::timeout_at(until, state.inbox.recv())
            .await
            .ok()
            .flatten()?;
        if !state.open.contains(&arrival.stream) {
            continue; // it was cancelled while this was on its way
        }
        if wanted(&arrival) {
            return Some(arrival);
        }
        state.later.push_back(arrival);
    }
}

fn unsent(why: Unsent) -> Refusal {
    match why {
        Unsent::Gone(why) => gone(&why),
        Unsent::Twice => {
            let why = "a request with this id is not answered yet".to_owned();
            types::Error::Invalid(why).into()
        }
        Unsent::NoRequest => {
            let why = "what is opened is a JSON-RPC request with an id of its own".to_owned();
            types::Error::Invalid(why).into()
        }
    }
}
