//! The way to the collector: one request, one connection, one bound on its time.
//!
//! The exporters' own clients bring a second TLS library; this one is hyper with the TLS that plugins'
//! requests use. Redirects are not followed: headers hold credentials.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use flowhost_caps::http::{Stream, Tls};
use http::header::HOST;
use http::{HeaderName, HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use opentelemetry_http::{HttpClient, HttpError};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::ambient::Ambient;
use crate::config::OnTelemetryFailure;

/// Bytes of a collector's answer; the protocol's are some hundred.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// What went wrong with the export, told once however often it happens.
#[derive(Debug)]
pub(super) struct Trouble {
    first: watch::Sender<Option<String>>,
    /// What becomes of a run then.
    then: OnTelemetryFailure,
}

impl Trouble {
    pub(super) fn new(then: OnTelemetryFailure) -> Self {
        Self {
            first: watch::Sender::new(None),
            then,
        }
    }

    /// The one warning.
    pub(super) fn tell(&self, what: &str) {
        let is_first = self.first.send_if_modified(|first| {
            let none = first.is_none();
            first.get_or_insert_with(|| what.to_owned());
            none
        });
        if is_first {
            let then = match self.then {
                OnTelemetryFailure::Warn => "the run goes on",
                OnTelemetryFailure::Halt => "the run is halted, as `[telemetry] on_failure` says",
            };
            tracing::warn!("telemetry does not reach the collector: {what}; {then}");
        }
    }

    /// What went wrong first; nothing so far.
    pub(super) fn first(&self) -> watch::Receiver<Option<String>> {
        self.first.subscribe()
    }
}

/// Sends what exporters have encoded.
#[derive(Clone)]
pub(super) struct Collector {
    pub(super) ambient: Ambient,
    pub(super) tls: Tls,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) timeout: Duration,
    pub(super) trouble: Arc<Trouble>,
    /// The metrics' exporter calls from a thread of its own, where there is no runtime.
    pub(super) runtime: Handle,
}

impl std::fmt::Debug for Collector {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Collector").finish_non_exhaustive()
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let collector = self.clone();
        let sending = self.runtime.spawn(async move {
            let exchange = collector.exchange(request);
            match tokio::time::timeout(collector.timeout, exchange).await {
                Ok(answer) => answer,
                Err(_) => Err("it takes too long to answer".into()),
            }
        });
        let answer = sending.await.map_err(HttpError::from)?;
        match &answer {
            Ok(answer) if answer.status().is_success() => {}
            Ok(answer) => self
                .trouble
                .tell(&format!("it answers {}", answer.status())),
            Err(error) => self.trouble.tell(&error.to_string()),
        }
        answer
    }
}

impl Collector {
    async fn exchange(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (request, stream) = (self.prepare(&request)?, self.open(request.uri()).await?);
        let (mut sending, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Ends with this call, whatever the other side does.
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        let (parts, body) = sending.send_request(request).await?.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await?;
        Ok(Response::from_parts(parts, body.to_bytes()))
    }

    async fn open(&self, uri: &Uri) -> Result<Box<dyn Stream>, HttpError> {
        let secure = uri.scheme_str() == Some("https");
        let host = uri.host().ok_or("its URL names no host")?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let stream: Box<dyn Stream> = Box::new(self.ambient.dial(host, port).await?);
        if secure {
            return Ok(self.tls.connect(host, stream).await?);
        }
        Ok(stream)
    }

    /// The request as it goes over a connection of its own: path only, host as a header.
    fn prepare(&self, request: &Request<Bytes>) -> Result<Request<Full<Bytes>>, HttpError> {
        let uri = request.uri();
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let mut prepared = Request::builder()
            .method(request.method().clone())
            .uri(path)
            .body(Full::new(request.body().clone()))?;
        let headers = prepared.headers_mut();
        headers.extend(request.headers().clone());
        for (name, value) in &self.headers {
            headers.insert(name.clone(), value.clone());
        }
        let authority = uri.authority().ok_or("its URL names no host")?;
        headers.insert(HOST, HeaderValue::from_str(authority.as_str())?);
        Ok(prepared)
    }
}
