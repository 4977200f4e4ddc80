//! The way to the collector: its headers, one bound on the time of a request, and what is told when it fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response};
use opentelemetry_http::{HttpClient, HttpError};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::config::OnTelemetryFailure;
use crate::sender::Sender;

/// What went wrong with the export, told once however often it happens.
#[derive(Debug)]
pub(super) struct Trouble {
    first: watch::Sender<Option<String>>,
    /// What becomes of a run then.
    then: OnTelemetryFailure,
    /// Whether there may be a run by now.
    has_begun: AtomicBool,
}

impl Trouble {
    pub(super) fn new(then: OnTelemetryFailure) -> Self {
        Self {
            first: watch::Sender::new(None),
            then,
            has_begun: AtomicBool::new(false),
        }
    }

    /// Hears that the collector has answered, and that a run begins.
    pub(super) fn begin(&self) {
        self.has_begun.store(true, Relaxed);
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
                OnTelemetryFailure::Halt if self.has_begun.load(Relaxed) => {
                    "the run is halted, as `[telemetry] on_failure` says"
                }
                OnTelemetryFailure::Halt => "no run was begun, as `[telemetry] on_failure` says",
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
    pub(super) sender: Sender,
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
    async fn send_bytes(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        for (name, value) in &self.headers {
            // `insert`: the operator's word stands in the place of the exporter's own header of that name.
            request.headers_mut().insert(name.clone(), value.clone());
        }
        let collector = self.clone();
        let answer = self
            .runtime
            .spawn(async move {
                let exchange = collector.sender.exchange(&request);
                // Bounded here, since the exporter's own timeout belongs to the client that this one stands in for.
                match tokio::time::timeout(collector.timeout, exchange).await {
                    Ok(answer) => answer,
                    Err(_) => Err("it takes too long to answer".into()),
                }
            })
            .await
            .map_err(HttpError::from)?;
        match &answer {
            Ok(answer) if answer.status().is_success() => {}
            Ok(answer) => self
                .trouble
                .tell(&format!("it answers {}", answer.status())),
            // Told here and not where the exporter returns: its own error type hides what the server answered.
            Err(error) => self.trouble.tell(&error.to_string()),
        }
        answer
    }
}
