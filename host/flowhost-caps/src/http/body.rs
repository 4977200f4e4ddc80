//! Bodies with a cap and a deadline, counted as they pass and never held whole.

use std::{
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use tokio::{task::JoinSet, time::Instant};

use super::{error::SendError, traffic::Traffic};

/// A body on its way in or out.
pub(super) type AnyBody = UnsyncBoxBody<Bytes, SendError>;

/// Why a body stopped, for whoever holds the other end of the request.
pub(super) type Stopped = Arc<OnceLock<SendError>>;

/// What a body may do.
pub(super) struct Caps {
    /// Limit's name: `http.request` or `http.response`.
    pub(super) name: &'static str,
    /// Bytes.
    pub(super) bytes: u64,
    /// When it must be over.
    pub(super) deadline: Instant,
    /// The run's counter.
    pub(super) traffic: Arc<Traffic>,
}

/// A body that counts.
pub(super) struct Capped<B> {
    inner: Pin<Box<B>>,
    caps: Caps,
    used: u64,
    declared: Option<u64>,
    timer: Pin<Box<tokio::time::Sleep>>,
    stopped: Stopped,
    /// Keeps the connection going as long as its body is read, and ends it with the body.
    _connection: JoinSet<()>,
}

impl<B> Capped<B> {
    /// `declared` is the exact length where the sender promised one.
    pub(super) fn new(inner: B, caps: Caps, declared: Option<u64>) -> Self {
        let timer = Box::pin(tokio::time::sleep_until(caps.deadline));
        Self {
            inner: Box::pin(inner),
            caps,
            used: 0,
            declared,
            timer,
            stopped: Stopped::default(),
            _connection: JoinSet::new(),
        }
    }

    /// Ties a connection's task to this body.
    pub(super) fn holding(mut self, connection: JoinSet<()>) -> Self {
        self._connection = connection;
        self
    }

    /// Where the reason stands once the body has stopped.
    pub(super) fn stopped(&self) -> Stopped {
        Arc::clone(&self.stopped)
    }

    fn stop(&self, error: SendError) -> SendError {
        // The first reason stands: what a body gives after it has stopped is a consequence of that.
        let _ = self.stopped.set(error.clone());
        error
    }

    fn count(&mut self, bytes: usize) -> Result<(), SendError> {
        self.used = self.used.saturating_add(bytes as u64);
        if self.used > self.caps.bytes {
            let Caps { name, bytes, .. } = self.caps;
            return Err(self.stop(SendError::Limit {
                name,
                used: self.used,
                allowed: bytes,
            }));
        }
        self.caps
            .traffic
            .count(bytes as u64)
            .map_err(|error| self.stop(error))
    }
}

impl<B> Body for Capped<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<SendError>,
{
    type Data = Bytes;
    type Error = SendError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, SendError>>> {
        // Before the data: a server that always has some must not read on past the deadline.
        if self.timer.as_mut().poll(context).is_ready() {
            return Poll::Ready(Some(Err(self.stop(SendError::Timeout("body")))));
        }
        let Poll::Ready(frame) = self.inner.as_mut().poll_frame(context) else {
            return Poll::Pending;
        };
        Poll::Ready(match frame {
            None => None,
            Some(Err(error)) => Some(Err(self.stop(error.into()))),
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                Some(self.count(bytes).map(|()| frame))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match self.declared {
            // hyper frames the body by it, as `content-length` and not in chunks.
            Some(length) => SizeHint::with_exact(length.saturating_sub(self.used)),
            None => self.inner.size_hint(),
        }
    }
}

/// Reads a body whole; the caps have bounded it. Each piece is copied and let go: a piece is a view into
/// the connection's buffer, and a server that sends single bytes would have a buffer held for each.
pub(super) async fn collect(mut body: AnyBody) -> Result<Vec<u8>, SendError> {
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Ok(piece) = frame?.into_data() {
            whole.extend_from_slice(&piece);
        }
    }
    Ok(whole)
}

/// Time until `deadline`, never more than `most`.
pub(super) fn no_later(deadline: Instant, most: Duration) -> Instant {
    // A time that no instant can hold is later than any deadline.
    let soonest = Instant::now().checked_add(most).unwrap_or(deadline);
    deadline.min(soonest)
}
