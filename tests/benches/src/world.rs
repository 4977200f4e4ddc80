//! What stands around the gateway while it is measured: one provider on loopback, no keys, a budget
//! without an end, a log that keeps nothing. Cheap on purpose: the gateway is measured, not these.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, anyhow};
use async_trait::async_trait;
use bytes::Bytes;
use flowhost_caps::budget::Left;
use flowhost_caps::model::{HoldId, Model, ModelServices, Origin, Spending};
use flowhost_engine::{CallScope, Shortfall};
use flowhost_models::{
    Body, CallLog, Clock, Config, Gateway, HttpTransport, KeySource, ProviderConfig, ProviderKind,
    ScriptFiles, Transport, TransportError, Try, TryOutcome,
};
use flowhost_policy::{Effective, Grants};
use http::{Request, Response};
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use crate::loopback::Server;

/// The provider's name.
const PROVIDER: &str = "bench";

/// Keeps the last request beside sending it.
pub(crate) struct Recording {
    /// What sends.
    pub inner: Arc<HttpTransport>,
    /// What was sent.
    pub seen: Mutex<Option<Request<Bytes>>>,
}

#[async_trait]
impl Transport for Recording {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Body>, TransportError> {
        *self.seen.lock().await = Some(request.clone());
        self.inner.send(request).await
    }
}

/// A gateway whose one provider is `server`.
///
/// # Errors
/// When its configuration is wrong.
pub(crate) fn gateway(server: &Server, transport: Arc<dyn Transport>) -> Result<Gateway> {
    let mut provider = ProviderConfig::new(ProviderKind::OpenAi);
    provider.url = Some(format!("{}/v1", server.address()));
    provider.unpriced = true;
    provider.requests_per_minute = Some(1_000_000);
    let mut config = Config::default();
    config.providers.insert(PROVIDER.to_owned(), provider);
    let world = Arc::new(Nothing);
    Gateway::with_transport(config, world.clone(), world.clone(), world, transport)
        .map_err(|problems| anyhow!("{problems:?}"))
}

/// The capability as a run has it: redaction is on.
#[must_use]
pub(crate) fn capability(gateway: Gateway) -> Arc<Model> {
    Arc::new(Model::new(ModelServices {
        gateway,
        spending: Arc::new(Open::default()),
        redact: true,
    }))
}

/// May ask the provider, and nothing else.
#[must_use]
pub(crate) fn effective() -> Effective {
    let mut grants = Grants::default();
    grants.model.allow = vec![format!("{PROVIDER}/*")];
    Effective {
        grants,
        ..Effective::default()
    }
}

/// A host that has no keys, no scripts and no hour.
struct Nothing;

impl KeySource for Nothing {
    fn key(&self, _: &str) -> Option<Zeroizing<String>> {
        None
    }
}

impl ScriptFiles for Nothing {
    fn read(&self, _: &str) -> Result<Option<String>, String> {
        Ok(None)
    }
}

impl Clock for Nothing {
    fn now_ms(&self) -> u64 {
        0
    }
}

/// Lets every try pass and keeps nothing.
pub(crate) struct Silent;

#[async_trait]
impl CallLog for Silent {
    async fn before(&self, _: &Try<'_>) -> Result<(), String> {
        Ok(())
    }

    async fn after(&self, _: &Try<'_>, _: &TryOutcome<'_>) -> Result<(), String> {
        Ok(())
    }
}

/// A budget without an end.
#[derive(Default)]
struct Open(AtomicU64);

impl Spending for Open {
    fn hold(&self, _: &CallScope, _: Left) -> Result<HoldId, Shortfall> {
        Ok(HoldId(self.0.fetch_add(1, Ordering::Relaxed)))
    }

    fn settle(&self, _: HoldId, _: Left) {}

    fn origin(&self, _: &CallScope) -> Origin {
        Origin::default()
    }
}
