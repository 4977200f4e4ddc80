//! What came back of a request, as it stands in a record: head, pieces of the body, and why there was no
//! more. `wasi:http` reads a body while it comes, so each piece has a record of its own, written before
//! the guest sees it: a response is never held whole, and a replay hands out the same pieces.

use std::pin::Pin;
use std::task::{Context, Poll};

use flowhost_engine::{Bytes as Kept, CallScope, Fault};
use flowhost_ledger::LedgerError;
use flowhost_policy::Denied;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use serde::{Deserialize, Serialize};

use super::body::AnyBody;
use super::error::SendError;
use super::resolve::ResolveError;
use super::wasi::INTERFACE;

/// The head of a response, or why there is none.
pub(super) type Head = Result<Came, Unsent>;

/// A response's status and headers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Came {
    status: u16,
    headers: Vec<(String, Kept)>,
    /// The body's length where the server said it.
    length: Option<u64>,
}

impl Came {
    pub(super) fn of(response: &Response<AnyBody>) -> Self {
        let headers = response.headers().iter();
        let pair = |(name, value): (&HeaderName, &HeaderValue)| {
            (name.to_string(), Kept::from(value.as_bytes().to_vec()))
        };
        Self {
            status: response.status().as_u16(),
            headers: headers.map(pair).collect(),
            length: response.body().size_hint().exact(),
        }
    }

    /// The response with `body`.
    pub(super) fn with(self, body: AnyBody) -> Result<Response<AnyBody>, SendError> {
        let mut response = Response::new(body);
        let unknown = || SendError::Fault(Fault::Ledger(LedgerError::Differs));
        *response.status_mut() = StatusCode::from_u16(self.status).map_err(|_| unknown())?;
        let mut headers = HeaderMap::new();
        for (name, value) in self.headers {
            let value = value.into_vec().ok_or_else(unknown)?;
            let value = HeaderValue::from_bytes(&value).map_err(|_| unknown())?;
            headers.append(
                HeaderName::try_from(name.as_str()).map_err(|_| unknown())?,
                value,
            );
        }
        *response.headers_mut() = headers;
        Ok(response)
    }

    pub(super) const fn length(&self) -> Option<u64> {
        self.length
    }
}

/// [`SendError`] as a record has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Unsent {
    Denied {
        wanted: String,
        rule: String,
    },
    Limit {
        name: String,
        used: u64,
        allowed: u64,
    },
    Invalid(String),
    NoAddress,
    ResolverSlow,
    ResolverFailed(String),
    Connect(String),
    Timeout(String),
    Tls(String),
    Protocol(String),
    Broken(String),
    Login(String),
    LoginAway(String),
}

/// What is recorded, and the fault where the call ends without a record.
pub(super) fn unsent(error: SendError) -> Result<Unsent, Fault> {
    Ok(match error {
        SendError::Denied(denied) => Unsent::Denied {
            wanted: denied.wanted,
            rule: denied.rule,
        },
        SendError::Limit {
            name,
            used,
            allowed,
        } => Unsent::Limit {
            name: name.to_owned(),
            used,
            allowed,
        },
        SendError::Invalid(text) => Unsent::Invalid(text),
        SendError::Resolve(ResolveError::NotFound) => Unsent::NoAddress,
        SendError::Resolve(ResolveError::Timeout) => Unsent::ResolverSlow,
        SendError::Resolve(ResolveError::Failed(text)) => Unsent::ResolverFailed(text),
        SendError::Connect(text) => Unsent::Connect(text),
        SendError::Timeout(part) => Unsent::Timeout(part.to_owned()),
        SendError::Tls(text) => Unsent::Tls(text),
        SendError::Protocol(text) => Unsent::Protocol(text),
        SendError::Broken(text) => Unsent::Broken(text),
        SendError::Login(text) => Unsent::Login(text),
        SendError::LoginAway(text) => Unsent::LoginAway(text),
        SendError::Fault(fault) => return Err(fault),
    })
}

/// The limits and parts that [`SendError`] names.
const NAMES: &[&str] = &[
    "http.request",
    "http.response",
    "http.headers",
    "http.run",
    "http.lookups",
    "slot",
    "connect",
    "first byte",
    "read",
    "body",
    "deadline",
];

fn known(name: &str) -> &'static str {
    let found = NAMES.iter().find(|known| **known == name);
    debug_assert!(found.is_some(), "`{name}` is missing in the list of names");
    found.copied().unwrap_or("http")
}

impl From<Unsent> for SendError {
    fn from(unsent: Unsent) -> Self {
        match unsent {
            Unsent::Denied { wanted, rule } => Self::Denied(Denied {
                right: "http",
                wanted,
                rule,
                cure: None,
            }),
            Unsent::Limit {
                name,
                used,
                allowed,
            } => Self::Limit {
                name: known(&name),
                used,
                allowed,
            },
            Unsent::Invalid(text) => Self::Invalid(text),
            Unsent::NoAddress => Self::Resolve(ResolveError::NotFound),
            Unsent::ResolverSlow => Self::Resolve(ResolveError::Timeout),
            Unsent::ResolverFailed(text) => Self::Resolve(ResolveError::Failed(text)),
            Unsent::Connect(text) => Self::Connect(text),
            Unsent::Timeout(part) => Self::Timeout(known(&part)),
            Unsent::Tls(text) => Self::Tls(text),
            Unsent::Protocol(text) => Self::Protocol(text),
            Unsent::Broken(text) => Self::Broken(text),
            Unsent::Login(text) => Self::Login(text),
            Unsent::LoginAway(text) => Self::LoginAway(text),
        }
    }
}

/// One piece of a body.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Piece {
    Data(Kept),
    /// Names and values of trailers.
    Trailers(Vec<(String, Kept)>),
    End,
    Broke(Unsent),
}

/// A body whose pieces are recorded as they pass, or come from the record.
pub(super) struct Recorded {
    scope: CallScope,
    /// None in a replay.
    inner: Option<AnyBody>,
    length: Option<u64>,
    used: u64,
    ended: bool,
}

impl Recorded {
    pub(super) fn new(scope: &CallScope, inner: Option<AnyBody>, length: Option<u64>) -> Self {
        Self {
            scope: scope.clone(),
            inner,
            length,
            used: 0,
            ended: false,
        }
    }

    fn told(&mut self, piece: Piece) -> Result<Option<Frame<bytes::Bytes>>, SendError> {
        // In a replay this gives the record's piece, whatever came in.
        let piece = self.scope.at_once(INTERFACE, "body", "", || piece)?;
        let unknown = || SendError::Fault(Fault::Ledger(LedgerError::Differs));
        match piece {
            Piece::Data(bytes) => {
                let bytes = bytes.into_vec().ok_or_else(unknown)?;
                self.used = self.used.saturating_add(bytes.len() as u64);
                Ok(Some(Frame::data(bytes.into())))
            }
            Piece::Trailers(pairs) => {
                let mut trailers = HeaderMap::new();
                for (name, value) in pairs {
                    let value = value.into_vec().ok_or_else(unknown)?;
                    trailers.append(
                        HeaderName::try_from(name.as_str()).map_err(|_| unknown())?,
                        HeaderValue::from_bytes(&value).map_err(|_| unknown())?,
                    );
                }
                Ok(Some(Frame::trailers(trailers)))
            }
            Piece::End => {
                self.ended = true;
                Ok(None)
            }
            Piece::Broke(why) => {
                self.ended = true;
                Err(why.into())
            }
        }
    }
}

fn piece(frame: Option<Result<Frame<bytes::Bytes>, SendError>>) -> Result<Piece, SendError> {
    let frame = match frame {
        None => return Ok(Piece::End),
        Some(Err(error)) => return Ok(Piece::Broke(unsent(error)?)),
        Some(Ok(frame)) => frame,
    };
    Ok(match frame.into_data() {
        // Copied, so that the record does not keep the connection's whole buffer alive.
        Ok(data) => Piece::Data(data.to_vec().into()),
        Err(frame) => {
            let trailers = frame.into_trailers().unwrap_or_default();
            let pair = |(name, value): (&HeaderName, &HeaderValue)| {
                (name.to_string(), Kept::from(value.as_bytes().to_vec()))
            };
            Piece::Trailers(trailers.iter().map(pair).collect())
        }
    })
}

impl Body for Recorded {
    type Data = bytes::Bytes;
    type Error = SendError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<bytes::Bytes>, SendError>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let came = match &mut self.inner {
            Some(inner) => match Pin::new(inner).poll_frame(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(frame) => piece(frame),
            },
            None => Ok(Piece::End), // the record says it
        };
        let told = came.and_then(|piece| self.told(piece));
        Poll::Ready(told.transpose())
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        match self.length {
            Some(length) => SizeHint::with_exact(length.saturating_sub(self.used)),
            None => SizeHint::default(),
        }
    }
}
