//! One HTTP request: its body as a frame, the frame's answer as JSON or, when it takes a while or has
//! something to tell meanwhile, as a stream of events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flowhost_mcp::{
    Code, Message, Reply, Request as Call, RpcError, check_headers, is_modern, is_supported,
    modern, read, unspoken,
};
use futures::{FutureExt as _, stream};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use serde_json::Value;
use tokio::sync::{mpsc, watch};

use super::guard::{Front, Turned};
use super::session::Sessions;
use crate::peer::Peer;
use crate::server::{Era, Server};
use crate::session::Session;
use crate::stdio::heard;
use crate::through::SeenThrough;

/// Bytes of a body: a frame as large as over the standard streams.
const BODY_MAX: usize = 4 << 20;
/// Until a body has come whole: half a request holds its connection no longer.
const BODY_WAIT_MAX: Duration = Duration::from_secs(30);
/// How long an answer is waited for before its stream begins: shorter ones are one small response.
const PATIENCE: Duration = Duration::from_millis(500);
/// Between comments on a stream without news, so that nobody takes it for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Frames beside the answer that wait for the client; more of them are dropped.
const TOLD_MAX: usize = 64;

const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// The endpoint.
pub(super) struct Endpoint {
    pub(super) server: Arc<Server>,
    pub(super) front: Front,
    pub(super) sessions: Sessions,
    /// What calls of the modern era have in common, in which no client has a session of its own: whoever shows the
    /// token is the operator's.
    pub(super) modern: Arc<Session>,
}

impl Endpoint {
    pub(super) async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        if let Err(turned) = self.front.admit(request.uri(), request.headers()) {
            return turned_away(turned);
        }
        match *request.method() {
            Method::POST => self.post(request).await,
            Method::DELETE => self.delete(request.headers()),
            // This server says nothing that was not asked for, so that there is no stream to open.
            _ => {
                let mut refused = plain(
                    StatusCode::METHOD_NOT_ALLOWED,
                    "POST a message, or DELETE a session",
                );
                refused
                    .headers_mut()
                    .insert(ALLOW, HeaderValue::from_static("POST, DELETE"));
                refused
            }
        }
    }

    fn delete(&self, headers: &HeaderMap) -> Response<Body> {
        match value(headers, &SESSION) {
            Some(id) if self.sessions.close(id) => empty(StatusCode::NO_CONTENT),
            Some(_) => plain(StatusCode::NOT_FOUND, "the session is unknown or has ended"),
            None => plain(
                StatusCode::BAD_REQUEST,
                "which session? the header Mcp-Session-Id is missing",
            ),
        }
    }

    async fn post(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        if !is_json(request.headers()) {
            return plain(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "a message is application/json",
            );
        }
        if !accepts(request.headers()) {
            return plain(
                StatusCode::NOT_ACCEPTABLE,
                "an answer is application/json or text/event-stream: accept both",
            );
        }
        let (head, body) = request.into_parts();
        let body = match body_of(body).await {
            Ok(body) => body,
            Err(refused) => return turned_away(refused),
        };
        match read(&body) {
            Err(refusal) => frame(StatusCode::BAD_REQUEST, &Reply::from(refusal)),
            Ok(Message::Request(call)) => self.call(call, &head.headers).await,
            Ok(Message::Notification(note)) => match self.peer(&head.headers) {
                Ok(peer) => {
                    heard(&peer, &note);
                    empty(StatusCode::ACCEPTED)
                }
                // In the modern era a client has nothing to notify of over HTTP; it costs nothing.
                Err(_) if is_modern(value(&head.headers, &VERSION).unwrap_or_default()) => {
                    empty(StatusCode::ACCEPTED)
                }
                Err(refused) => turned_away(refused),
            },
            Ok(Message::Reply(_)) => {
                let error = RpcError::new(
                    Code::InvalidRequest,
                    "this server asks nothing, so nothing can be answered",
                );
                frame(
                    StatusCode::BAD_REQUEST,
                    &Reply {
                        id: None,
                        outcome: Err(error),
                    },
                )
            }
        }
    }

    async fn call(self: Arc<Self>, call: Call, headers: &HeaderMap) -> Response<Body> {
        let refused = |status, error| {
            let id = Some(call.id.clone());
            frame(
                status,
                &Reply {
                    id,
                    outcome: Err(error),
                },
            )
        };
        if call.method == "initialize" {
            return self.initialize(&call);
        }
        let modern = match modern(&call.params) {
            Ok(modern) => modern,
            Err(error) => return refused(StatusCode::BAD_REQUEST, error),
        };
        let Some(modern) = modern else {
            // The header came with 2025-06-18, which says what to take a client for that does not send it.
            let version = value(headers, &VERSION).unwrap_or("2025-03-26");
            // Before what such a revision would have to say of itself: nobody here knows that.
            if !is_supported(version) {
                let code = match is_modern(version) {
                    true => Code::UnsupportedVersion,
                    // A code that clients of the time before do not know.
                    false => Code::InvalidRequest,
                };
                let error = RpcError {
                    code,
                    ..unspoken(version)
                };
                return refused(StatusCode::BAD_REQUEST, error);
            }
            if is_modern(version) || call.method == "server/discover" {
                let message = format!("`_meta` has no `{}`", flowhost_mcp::PROTOCOL_VERSION);
                return refused(
                    StatusCode::BAD_REQUEST,
                    RpcError::new(Code::InvalidParams, message),
                );
            }
            return match self.peer(headers) {
                Ok(peer) => self.legacy(call, peer).await,
                Err(refused) => turned_away(refused),
            };
        };
        if let Err(error) = check_headers(&call, modern.version, |name| only(headers, name)) {
            return refused(StatusCode::BAD_REQUEST, error);
        }
        self.modern(call).await
    }

    fn initialize(&self, call: &Call) -> Response<Body> {
        let id = Some(call.id.clone());
        let (result, version) = match self.server.initialize(&call.params) {
            Ok(agreed) => agreed,
            Err(error) => {
                return frame(
                    StatusCode::BAD_REQUEST,
                    &Reply {
                        id,
                        outcome: Err(error),
                    },
                );
            }
        };
        let Some(session) = self.sessions.open(version) else {
            let mut busy = plain(
                StatusCode::SERVICE_UNAVAILABLE,
                "every session is at work; come again",
            );
            busy.headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from_static("10"));
            return busy;
        };
        let mut response = frame(
            StatusCode::OK,
            &Reply {
                id,
                outcome: Ok(result),
            },
        );
        if let Ok(session) = HeaderValue::from_str(&session) {
            response.headers_mut().insert(SESSION, session);
        }
        response
    }

    /// The session that a request names.
    fn peer(&self, headers: &HeaderMap) -> Result<Arc<Peer>, Turned> {
        let Some(id) = value(headers, &SESSION) else {
            let why = "begin with `initialize`: the header Mcp-Session-Id is missing";
            let status = StatusCode::BAD_REQUEST;
            return Err(Turned { status, why });
        };
        self.sessions.find(id).ok_or(Turned {
            status: StatusCode::NOT_FOUND,
            why: "the session has ended: begin anew with `initialize`",
        })
    }

    /// A call that goes on when its connection is lost: in this era only a notification cancels.
    async fn legacy(self: Arc<Self>, call: Call, peer: Arc<Peer>) -> Response<Body> {
        let (told, news) = mpsc::channel(TOLD_MAX);
        let answer = SeenThrough::new(async move {
            let outcome = match peer.begin(&call) {
                Err(error) => Err(error),
                Ok(work) => {
                    let stop = work.stopped.clone();
                    self.server
                        .answer(&call, Era::Legacy, &peer.session, Some(told), stop)
                        .await
                }
            };
            Reply {
                id: Some(call.id),
                outcome,
            }
        });
        respond(news, answer.map(Result::ok), |_| StatusCode::OK).await
    }

    /// A call that ends with its connection.
    async fn modern(self: Arc<Self>, call: Call) -> Response<Body> {
        let (told, news) = mpsc::channel(TOLD_MAX);
        let answer = async move {
            // Dropped with this future, which is how a client of this era cancels.
            let (_held, stop) = watch::channel(false);
            let outcome = self
                .server
                .answer(&call, Era::Modern, &self.modern, Some(told), stop)
                .await;
            Some(Reply {
                id: Some(call.id),
                outcome,
            })
        };
        respond(news, answer, status).await
    }
}

/// The status of an answer in the modern era.
fn status(reply: &Reply) -> StatusCode {
    match &reply.outcome {
        Err(error) if error.code == Code::MethodNotFound => StatusCode::NOT_FOUND,
        Err(error) if error.code.is_modern() => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    }
}

/// What can come of a call that is waited for.
enum Come {
    Answer(Option<Reply>),
    News(Value),
    Nothing,
}

async fn respond<A>(
    mut news: mpsc::Receiver<Value>,
    answer: A,
    status: fn(&Reply) -> StatusCode,
) -> Response<Body>
where
    A: Future<Output = Option<Reply>> + Send + 'static,
{
    let mut answer = Box::pin(answer);
    // News first, here and below: what was told before the answer is read before it, and behind it nothing is.
    let first = tokio::select! {
        biased;
        Some(first) = news.recv() => Come::News(first),
        reply = &mut answer => Come::Answer(reply),
        () = tokio::time::sleep(PATIENCE) => Come::Nothing,
    };
    let first = match first {
        Come::Answer(Some(reply)) => return frame(status(&reply), &reply),
        Come::Answer(None) => {
            return plain(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the call was lost; this is a bug",
            );
        }
        Come::News(value) => Some(value),
        Come::Nothing => None,
    };
    let events = stream::unfold(Some((news, answer, first)), |state| async move {
        let (mut news, mut answer, first) = state?;
        if let Some(first) = first {
            return Some((event(&first), Some((news, answer, None))));
        }
        let come = tokio::select! {
            biased;
            Some(value) = news.recv() => Come::News(value),
            reply = &mut answer => Come::Answer(reply),
            () = tokio::time::sleep(KEEP_ALIVE) => Come::Nothing,
        };
        Some(match come {
            Come::News(value) => (event(&value), Some((news, answer, None))),
            Come::Nothing => (Bytes::from_static(b":\n\n"), Some((news, answer, None))),
            Come::Answer(Some(reply)) => (event(&reply.value()), None),
            Come::Answer(None) => return None,
        })
    });
    let frames = futures::StreamExt::map(events, |bytes| Ok(Frame::data(bytes)));
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // nginx in front of this would else keep events back until it has a buffer full.
    headers.insert(
        HeaderName::from_static("x-accel-buffering"),
        HeaderValue::from_static("no"),
    );
    response
}

fn event(value: &Value) -> Bytes {
    Bytes::from(format!("event: message\ndata: {value}\n\n"))
}

async fn body_of(body: Incoming) -> Result<Bytes, Turned> {
    let whole = Limited::new(body, BODY_MAX).collect();
    let (status, why) = match tokio::time::timeout(BODY_WAIT_MAX, whole).await {
        Ok(Ok(whole)) => return Ok(whole.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            (StatusCode::PAYLOAD_TOO_LARGE, "a message has at most 4 MiB")
        }
        Ok(Err(_)) => (StatusCode::BAD_REQUEST, "the body did not come whole"),
        Err(_) => (StatusCode::REQUEST_TIMEOUT, "the body did not come in time"),
    };
    Err(Turned { status, why })
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = value(headers, &CONTENT_TYPE).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("application/json")
}

fn accepts(headers: &HeaderMap) -> bool {
    let said = headers.get_all(header::ACCEPT).iter();
    let said: Vec<String> = said
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|range| {
            range
                .split(';')
                .next()
                .unwrap_or_default()
                .trim()
                .to_ascii_lowercase()
        })
        .collect();
    let takes = |kind: &str, group: &str| {
        said.iter()
            .any(|it| it == kind || it == group || it == "*/*")
    };
    takes("application/json", "application/*") && takes("text/event-stream", "text/*")
}

fn value<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn only<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

fn frame(status: StatusCode, reply: &Reply) -> Response<Body> {
    typed(
        status,
        "application/json",
        Bytes::from(reply.value().to_string()),
    )
}

fn plain(status: StatusCode, text: &str) -> Response<Body> {
    typed(
        status,
        "text/plain; charset=utf-8",
        Bytes::from(format!("{text}\n")),
    )
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::new()).boxed_unsync());
    *response.status_mut() = status;
    response
}

fn typed(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Full::new(body).boxed_unsync());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn turned_away(turned: Turned) -> Response<Body> {
    let mut response = plain(turned.status, turned.why);
    if turned.status == StatusCode::UNAUTHORIZED {
        response
            .headers_mut()
            .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}
