//! A server at an address: one for each run and plugin, for all calls of it.
//!
//! It keeps what a call cannot, because each call is a fresh store: the session that the server gave, the
//! stream of what it says by itself, and how it did lately. Requests leave through the one sender, each under
//! the rights of the call that asks; what the host asks by itself (a stream that is gone on with, the end of a
//! session) it asks only where the profile grants such a request.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flowhost_engine::{CallScope, Fault, Told, bindings::types};
use flowhost_mcp::{Id, Route};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::answer::{self, Kind, Place, SESSION, Stream};
use super::health::{Health, Turn, pause};
use super::host::INTERFACE;
use super::mailbox::{Came, Head, Unasked, Waiter, Waiting};
use super::sessions::{Session, Sessions};
use crate::shared::outward::{Answer, Ask, Outward};
use crate::shared::support::Refusal;

/// Addresses that one plugin of a run speaks with. Each may have a stream open that takes no place among the requests in
/// flight, so that nothing but this number bounds those streams.
const REMOTES_MAX: u64 = 8;
/// Tries in a row, without an event among them, to go on with a stream that broke off. With the pauses between them
/// they take a quarter of a minute, in which a server that is started again is back.
const TRIES_MAX: u32 = 6;
/// The longest that a server may want to be left alone: a run must hear of a change while it lasts.
const RETRY_MAX: Duration = Duration::from_secs(30);
/// The shortest: one that closes after each event would have the host open streams, and record it, without end.
const RETRY_MIN: Duration = Duration::from_millis(100);
/// How often the stream of what a server says by itself is opened in one run. Each opening is a decision on record:
/// a server whose streams end at once must not fill the ledger.
const OPENED_MAX: u32 = 1_000;
/// How long the stream of what a server says by itself may stay open. A run has an hour unless its plan says more; in one
/// of more than a day a change is from then on seen when the server's list is asked for again.
const LASTING: Duration = Duration::from_secs(24 * 3_600);
/// How long the ends of sessions may take together, while a run goes on and when it ends.
const PARTING: Duration = Duration::from_secs(3);

/// Headers that are the host's here, beside those of every request.
const OWN: [&str; 6] = [
    "accept",
    "authorization",
    "content-type",
    "cookie",
    "last-event-id",
    SESSION,
];
/// What a request that goes on with a stream repeats of the one that opened it.
const VERSION: &str = "mcp-protocol-version";

/// A header as an adapter gives it.
pub(super) type Header = (String, String);

/// Refuses a header that is the host's.
pub(super) fn check_headers(headers: &[Header]) -> Result<(), Refusal> {
    let own = |name: &str| OWN.iter().any(|own| name.eq_ignore_ascii_case(own));
    match headers.iter().find(|(name, _)| own(name)) {
        None => Ok(()),
        Some((name, _)) => {
            let why = format!("the header `{name}` is set by the host alone");
            Err(types::Error::Invalid(why).into())
        }
    }
}

/// Plugin and address.
type Key = (Arc<str>, String);

/// The servers of one run.
pub(super) struct Remotes {
    outward: Arc<dyn Outward>,
    all: Mutex<BTreeMap<Key, Arc<Remote>>>,
}

impl Remotes {
    pub(super) fn new(outward: Arc<dyn Outward>) -> Self {
        Self {
            outward,
            all: Mutex::default(),
        }
    }

    /// The server at this address. `changed` hears each time that it says it has other tools.
    pub(super) fn at(
        &self,
        url: &str,
        scope: &CallScope,
        changed: impl Fn() + Send + Sync + 'static,
    ) -> Result<Arc<Remote>, Refusal> {
        let mut all = lock(&self.all);
        let key = (scope.plugin.clone(), url.to_owned());
        if let Some(remote) = all.get(&key) {
            return Ok(remote.clone());
        }
        let others = all.keys().filter(|(plugin, _)| *plugin == scope.plugin);
        if others.count() as u64 == REMOTES_MAX {
            let refused = scope.refuse_limit("mcp.addresses", REMOTES_MAX + 1, REMOTES_MAX);
            return Err(refused.into());
        }
        let remote = Arc::new(Remote {
            line: Arc::new(Line {
                url: url.to_owned(),
                outward: self.outward.clone(),
                own: of_the_run(scope),
                changed: Box::new(changed),
                sessions: Mutex::default(),
                health: Mutex::default(),
                unasked: Mutex::default(),
                waiting: Waiting::default(),
                parting: Mutex::default(),
            }),
            standing: Mutex::default(),
        });
        all.insert(key, remote.clone());
        Ok(remote)
    }

    /// Ends all sessions.
    pub(super) async fn end(&self) {
        let all = std::mem::take(&mut *lock(&self.all));
        let ends = all.values().map(|remote| remote.end());
        // A server that does not want to hear of the end keeps its session, which it would end some time anyway.
        let _late = tokio::time::timeout(PARTING, futures::future::join_all(ends)).await;
    }
}

/// The scope of what the host asks by itself. It outlives the call, so it holds nothing that holds the run.
fn of_the_run(scope: &CallScope) -> CallScope {
    let mut scope = scope.clone();
    // The providers hold these servers, and these would hold them: neither would ever go.
    scope.run.providers = Arc::new([]);
    scope
}

/// One server.
pub(super) struct Remote {
    line: Arc<Line>,
    standing: Mutex<Standing>,
}

/// The stream of what a server says by itself.
#[derive(Default)]
struct Standing {
    /// Reads it, for as long as this is kept.
    task: JoinSet<()>,
    /// The session that it was opened for; none: it was not opened.
    of: Option<Option<Session>>,
}

impl Remote {
    /// Asks, and reads the answer to its end: what comes of it comes to `waiter`.
    pub(super) fn ask(
        &self,
        scope: &CallScope,
        question: Question,
        waiter: Waiter,
    ) -> impl Future<Output = ()> + Send + use<> {
        let (line, scope) = (self.line.clone(), scope.clone());
        async move {
            let end = line.answer(&scope, question, &waiter).await;
            waiter.tell(came(end));
            line.part();
        }
    }

    /// Sends what has no answer.
    pub(super) async fn send(
        &self,
        scope: &CallScope,
        frame: &str,
        headers: &[Header],
    ) -> Result<Head, Refusal> {
        let session = self.line.session();
        let what = What::post(frame, headers, session.as_deref());
        let mut answer = self.line.send(scope, &what, scope.deadline).await?;
        // Before its words are read, which may take the rest of the call's time.
        self.line.heard_status(answer.status, session.as_deref());
        let words = answer::words(&mut answer).await?;
        Ok(answer::head(&answer, words))
    }

    /// From now on what the server says by itself comes to `waiter`. The first that listens in a session opens the
    /// stream.
    pub(super) fn listen(
        &self,
        scope: &CallScope,
        frame: &str,
        headers: &[Header],
        waiter: Waiter,
    ) {
        let line = &self.line;
        lock(&line.unasked).listen(waiter, &line.waiting);
        let session = line.session();
        let mut standing = lock(&self.standing);
        // It is being read already. A second one would hear everything twice.
        if standing.of.as_ref() == Some(&session) {
            return;
        }
        standing.task.abort_all();
        standing.of = Some(session.clone());
        // A GET where the transport has one stream for all, a POST where an adapter subscribes by a
        // frame (`subscriptions/listen`).
        let method = if frame.is_empty() { "GET" } else { "POST" };
        if !line.outward.may(scope, method, &line.url) {
            return;
        }
        let stream = Lasting {
            frame: frame.to_owned(),
            headers: headers.to_vec(),
            session,
        };
        let (line, mut scope) = (line.clone(), of_the_run(scope));
        scope.deadline = Instant::now() + LASTING;
        standing
            .task
            .spawn(async move { line.stand(&scope, &stream).await });
    }

    /// Nobody listens on `stream` any more.
    pub(super) fn forget(&self, stream: &str) {
        lock(&self.line.unasked).forget(stream);
    }

    async fn end(&self) {
        let mut reading = std::mem::take(&mut lock(&self.standing).task);
        // First: a stream that is still read would take the session's end for a failure and open
        // itself again.
        reading.shutdown().await;
        let mut parting = std::mem::take(&mut *lock(&self.line.parting));
        while parting.join_next().await.is_some() {}
        let all = lock(&self.line.sessions).all();
        self.line.leave(all).await;
    }
}

/// A request of an adapter's that has an answer.
pub(super) struct Question {
    pub(super) frame: String,
    pub(super) headers: Vec<Header>,
    pub(super) route: Route,
}

/// The request of a stream that stays open.
struct Lasting {
    /// Empty for a GET.
    frame: String,
    headers: Vec<Header>,
    session: Option<Session>,
}

/// One request, before it has a sender.
struct What<'a> {
    method: &'static str,
    frame: &'a str,
    headers: &'a [Header],
    session: Option<&'a str>,
    /// The event to go on after; empty for none.
    after: &'a str,
    lasting: bool,
}

impl<'a> What<'a> {
    fn post(frame: &'a str, headers: &'a [Header], session: Option<&'a str>) -> Self {
        Self {
            method: "POST",
            frame,
            headers,
            session,
            after: "",
            lasting: false,
        }
    }

    fn get(headers: &'a [Header], session: Option<&'a str>, after: &'a str) -> Self {
        Self {
            method: "GET",
            after,
            ..Self::post("", headers, session)
        }
    }

    /// The adapter's headers beside the host's. What is got repeats the revision and nothing else of them: the
    /// others are of the frame.
    fn all_headers(&self) -> Vec<(&'a str, &'a str)> {
        let posts = self.method == "POST";
        let accepts = match posts {
            true => "application/json, text/event-stream",
            false => "text/event-stream",
        };
        let mut all = vec![("accept", accepts)];
        if posts {
            all.push(("content-type", "application/json"));
        }
        all.extend(self.session.map(|session| (SESSION, session)));
        if !self.after.is_empty() {
            all.push(("last-event-id", self.after));
        }
        let given = self
            .headers
            .iter()
            .filter(|(name, _)| posts || name.eq_ignore_ascii_case(VERSION));
        all.extend(given.map(|(name, value)| (name.as_str(), value.as_str())));
        all
    }
}

/// What calls and the standing stream share.
struct Line {
    url: String,
    outward: Arc<dyn Outward>,
    /// For what the host asks when nobody else does.
    own: CallScope,
    changed: Box<dyn Fn() + Send + Sync>,
    sessions: Mutex<Sessions>,
    health: Mutex<Health>,
    unasked: Mutex<Unasked>,
    waiting: Waiting,
    /// What tells the server that sessions are over.
    parting: Mutex<JoinSet<()>>,
}

impl Line {
    fn session(&self) -> Option<Session> {
        lock(&self.sessions).current()
    }

    /// Sends when it is the server's turn, and remembers how it did.
    async fn send(
        &self,
        scope: &CallScope,
        what: &What<'_>,
        deadline: Instant,
    ) -> Result<Answer, Refusal> {
        let turn = lock(&self.health).turn(Instant::now());
        match turn {
            // Nearly always, and then no timer is asked: its ticks are milliseconds, and to sleep for no time lasts to the
            // end of one.
            Turn::Now => {}
            Turn::After(wait) if wait < scope.remaining() => tokio::time::sleep(wait).await,
            Turn::After(wait) => return Err(away(wait, 0)),
            Turn::Not(wait, failures) => return Err(away(wait, failures)),
        }
        let began = Instant::now();
        let ask = Ask {
            method: what.method,
            url: &self.url,
            headers: what.all_headers(),
            body: what.frame.as_bytes().to_vec(),
            deadline,
            lasting: what.lasting,
        };
        let sent = self.outward.send(scope, INTERFACE, ask).await;
        let mut health = lock(&self.health);
        match &sent {
            Ok(answer) if !is_away(answer.status) => health.answered(),
            // The rules or the host said no: it says nothing of the server.
            Err(error) if !error.is_transient() => {}
            _ => health.failed(began, Instant::now()),
        }
        // Not held over what the caller does with the answer.
        drop(health);
        sent
    }

    /// A session that the server does not find is gone.
    fn heard_status(&self, status: u16, session: Option<&str>) {
        if let (404, Some(session)) = (status, session) {
            lock(&self.sessions).gone(session);
        }
    }

    /// The answer to a question, told to `waiter` as it comes; what ends it is given.
    async fn answer(
        &self,
        scope: &CallScope,
        question: Question,
        waiter: &Waiter,
    ) -> Result<Came, Refusal> {
        let Question {
            frame,
            headers,
            route,
        } = question;
        // What begins a session must not name an old one: a server would take it for a part of
        // that.
        let session = self.session().filter(|_| !route.begins);
        let session = session.as_deref();
        let what = What::post(&frame, &headers, session);
        let mut answer = self.send(scope, &what, scope.deadline).await?;
        // It may be megabytes, and the answer may take an hour.
        drop(frame);
        let is_well = (200..300).contains(&answer.status);
        if route.begins && is_well {
            lock(&self.sessions).begin(&answer)?;
        }
        self.heard_status(answer.status, session);
        match answer::kind(&answer.headers) {
            Kind::Json => {
                waiter.tell(Ok(Came::Head(answer::head(&answer, Vec::new()))));
                self.waiting.room().await;
                if let Some(frame) = answer::frame(&mut answer).await? {
                    waiter.deliver(frame, &self.waiting);
                }
                Ok(Came::Closed)
            }
            Kind::Events if is_well => {
                waiter.tell(Ok(Came::Head(answer::head(&answer, Vec::new()))));
                // What began a session goes on in it.
                let session = self.session();
                self.follow(
                    scope,
                    answer,
                    &headers,
                    session.as_deref(),
                    route.id,
                    waiter,
                )
                .await
            }
            Kind::Events | Kind::Other => {
                let words = answer::words(&mut answer).await?;
                waiter.tell(Ok(Came::Head(answer::head(&answer, words))));
                Ok(Came::Closed)
            }
        }
    }

    /// A stream of events until the answer to `id` has come. One that breaks off before is gone on with after its
    /// last event, if it said one.
    async fn follow(
        &self,
        scope: &CallScope,
        answer: Answer,
        headers: &[Header],
        session: Option<&str>,
        id: Option<Id>,
        waiter: &Waiter,
    ) -> Result<Came, Refusal> {
        let mut place = Place::default();
        let mut stream = Stream::of(answer);
        let mut tries = 0;
        loop {
            let before = place.after.clone();
            let broke = match self
                .told(&mut stream, &mut place, id.as_ref(), waiter)
                .await
            {
                Ok(true) => return Ok(Came::Closed),
                Ok(false) => None,
                Err(error) if error.is_transient() => Some(error),
                Err(error) => return Err(error),
            };
            let may = self.outward.may(scope, "GET", &self.url);
            if place.after.is_empty() || !may {
                return broke.map_or(Ok(Came::Closed), Err);
            }
            // A stream that brought an event before it broke is one that works.
            tries = if place.after == before { tries + 1 } else { 1 };
            stream = loop {
                if tries > TRIES_MAX {
                    let why = "the stream of its answer broke off and is not gone on with";
                    return Ok(Came::Broken(why.to_owned()));
                }
                tokio::time::sleep(wait(&place, tries)).await;
                let what = What::get(headers, session, &place.after);
                match self.send(scope, &what, scope.deadline).await {
                    Ok(answer) if answer.status == 200 && is_events(&answer) => {
                        break Stream::of(answer);
                    }
                    Ok(answer) if is_away(answer.status) => tries += 1,
                    Ok(answer) => {
                        let why = format!(
                            "the stream of its answer broke off, and the server does not go on with it (HTTP {})",
                            answer.status
                        );
                        return Ok(Came::Broken(why));
                    }
                    Err(error) if error.is_transient() => tries += 1,
                    Err(error) => return Err(error),
                }
            };
        }
    }

    /// Hands over what comes on a stream. Gives whether the answer has come.
    async fn told(
        &self,
        stream: &mut Stream,
        place: &mut Place,
        id: Option<&Id>,
        waiter: &Waiter,
    ) -> Result<bool, Refusal> {
        while let Some((frame, route)) = stream.next(place).await? {
            if route.changes_tools {
                (self.changed)();
            }
            let answers = route.answers;
            // An error that could not read the question has no id of it.
            let ours = route.id.is_none() || route.id.as_ref() == id;
            waiter.deliver(frame, &self.waiting);
            if answers && ours {
                return Ok(true);
            }
            self.waiting.room().await;
        }
        Ok(false)
    }

    /// Reads what the server says by itself, for as long as there is such a stream.
    async fn stand(&self, scope: &CallScope, of: &Lasting) {
        let mut place = Place::default();
        let mut tries = 0;
        let mut was_open = false;
        for _ in 0..OPENED_MAX {
            if tries > TRIES_MAX {
                break;
            }
            let session = of.session.as_deref();
            let what = match of.frame.as_str() {
                "" => What::get(&of.headers, session, &place.after),
                frame => What::post(frame, &of.headers, session),
            };
            let what = What {
                lasting: true,
                ..what
            };
            let goes_on_after = !place.after.is_empty() && of.frame.is_empty();
            match self.send(scope, &what, scope.deadline).await {
                Ok(answer) if answer.status == 200 && is_events(&answer) => {
                    // Nobody has heard what was said in between, unless the server says it again.
                    if was_open && !goes_on_after {
                        (self.changed)();
                    }
                    was_open = true;
                    if self.overhear(Stream::of(answer), &mut place).await {
                        tries = 0;
                    }
                }
                Ok(answer) if is_away(answer.status) => {}
                // It has no such stream (405, as a rule), which a server may.
                Ok(answer) => return self.heard_status(answer.status, session),
                Err(error) if error.is_transient() => {}
                // The rules or the host said no, and would say so again; the decision is on record.
                Err(_) => return,
            }
            tries += 1;
            tokio::time::sleep(wait(&place, tries)).await;
        }
        tracing::debug!(target: "flowhost::mcp", url = %self.url, "a server no longer says anything by itself");
    }

    /// Reads the stream to its end. Gives whether something came and nothing was wrong with it: a server that floods
    /// until the rule's cap is not one that merely closed.
    async fn overhear(&self, mut stream: Stream, place: &mut Place) -> bool {
        let mut any = false;
        loop {
            match stream.next(place).await {
                Ok(Some((frame, route))) => {
                    any = true;
                    if route.changes_tools {
                        (self.changed)();
                    }
                    lock(&self.unasked).hear(frame, &self.waiting);
                    self.waiting.room().await;
                }
                Ok(None) => return any,
                Err(error) => return any && error.is_transient(),
            }
        }
    }

    /// Ends sessions that another has taken the place of, once nothing goes on in them: an adapter begins one anew where it
    /// finds the old one gone, and where another build of it takes its place.
    fn part(self: &Arc<Self>) {
        let over = lock(&self.sessions).over();
        if over.is_empty() {
            return;
        }
        let line = self.clone();
        let mut parting = lock(&self.parting);
        while parting.try_join_next().is_some() {}
        // Beside the call, which does not wait for it and may end before it.
        parting.spawn(async move { line.leave(over).await });
    }

    /// Ends these sessions, where the profile lets it be said.
    async fn leave(&self, sessions: Vec<Session>) {
        if sessions.is_empty() || !self.outward.may(&self.own, "DELETE", &self.url) {
            return;
        }
        let mut scope = self.own.clone();
        scope.deadline = Instant::now() + PARTING;
        let ends = sessions.iter().map(|session| {
            let ask = Ask {
                method: "DELETE",
                url: &self.url,
                headers: vec![(SESSION, &**session)],
                body: Vec::new(),
                deadline: scope.deadline,
                lasting: false,
            };
            self.outward.send(&scope, INTERFACE, ask)
        });
        futures::future::join_all(ends).await;
    }
}

/// How a stream ended.
fn came(end: Result<Came, Refusal>) -> Result<Came, Fault> {
    match end {
        Ok(end) => Ok(end),
        Err(Refusal::Guest(error)) => Ok(Came::Failed(error.into())),
        Err(Refusal::Unanswered(why)) => Ok(Came::Failed(Told::Unanswered(why))),
        Err(Refusal::Fault(fault)) => Err(fault),
    }
}

fn is_events(answer: &Answer) -> bool {
    answer::kind(&answer.headers) == Kind::Events
}

/// What a server, or what stands before it, says while it is away for a while.
fn is_away(status: u16) -> bool {
    matches!(status, 429 | 502..=504)
}

/// How long a stream is left alone before it is gone on with.
fn wait(place: &Place, tries: u32) -> Duration {
    place
        .retry_ms
        .map(Duration::from_millis)
        .map_or_else(|| pause(tries), |said| said.clamp(RETRY_MIN, RETRY_MAX))
}

fn away(wait: Duration, failures: u32) -> Refusal {
    let ms = wait.as_millis();
    let why = match failures {
        0 => format!(
            "the server did not answer and is asked again in {ms} ms, later than this call may wait"
        ),
        _ => format!(
            "the server did not answer {failures} times in a row and is asked again in {ms} ms"
        ),
    };
    types::Error::Transient(why).into()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
