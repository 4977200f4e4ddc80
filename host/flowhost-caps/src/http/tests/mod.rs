//! Denials are proved by what the doubles were not handed; servers are in memory or on 127.0.0.1.

mod address;
mod decision;
mod identity;
mod injection;
mod keyed;
mod login;
mod loopback;
mod traffic;
mod transport;
mod wasi;

use std::{convert::Infallible, future::Future, net::SocketAddr, sync::Arc};

use flowhost_engine::{CallScope, bindings::types};
use flowhost_ledger::MemoryRecorder;
use flowhost_policy::{Grants, HttpRule, Limits};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use zeroize::Zeroizing;

use super::{
    HttpServices, Resolver, Tls,
    host::{self, wit},
    sender::Sender,
    testing::{RecordingConnector, ScriptedResolver},
};
use crate::shared::secret::SecretStore;
use crate::testing;
pub(super) use crate::testing::{denied as denied_rule, field};

pub(super) const PUBLIC: &str = "93.184.215.14";
pub(super) const API: &str = "https://api.example.com/";
pub(super) const PLAIN: &str = "http://api.example.com/";

pub(super) struct Vault;

impl SecretStore for Vault {
    fn get(&self, name: &str) -> Option<Zeroizing<String>> {
        (name == "TOKEN").then(|| Zeroizing::new("s3cr/t-value".to_owned()))
    }
}

/// A sender with doubles, a scope with rules, and the records.
pub(super) struct Bench {
    pub(super) sender: Arc<Sender>,
    pub(super) resolver: Arc<ScriptedResolver>,
    pub(super) connector: Arc<RecordingConnector>,
    pub(super) recorder: Arc<MemoryRecorder>,
    pub(super) scope: CallScope,
}

impl Bench {
    pub(super) fn new(rules: Vec<HttpRule>) -> Self {
        Self::with(
            rules,
            ScriptedResolver::default(),
            RecordingConnector::default(),
            |_| {},
        )
    }

    pub(super) fn with(
        rules: Vec<HttpRule>,
        resolver: ScriptedResolver,
        connector: RecordingConnector,
        change: impl FnOnce(&mut HttpServices),
    ) -> Self {
        let (resolver, connector) = (Arc::new(resolver), Arc::new(connector));
        let mut services = HttpServices {
            resolver: Arc::clone(&resolver) as Arc<dyn Resolver>,
            connector: Arc::clone(&connector) as Arc<dyn super::Connector>,
            tls: Tls::web().unwrap(),
            roots: Arc::default(),
            identities: Arc::default(),
            secrets: Arc::new(Vault),
            logins: Arc::new(super::NoLogins),
            own_addresses: vec!["198.18.7.7".parse().unwrap(), "8.8.4.4".parse().unwrap()],
            allow_private_network: false,
        };
        change(&mut services);
        let recorder = Arc::new(MemoryRecorder::default());
        let scope = scope(rules, &recorder);
        let sender = Arc::new(Sender::new(services));
        Self {
            sender,
            resolver,
            connector,
            recorder,
            scope,
        }
    }

    pub(super) async fn get(&self, url: &str) -> Result<wit::Response, types::Error> {
        self.send(request("GET", url)).await
    }

    pub(super) async fn send(&self, request: wit::Request) -> Result<wit::Response, types::Error> {
        let sent = host::send(&self.sender, &self.scope, request).await;
        sent.map_err(|error| error.into_guest().unwrap())
    }

    /// Nothing was dialled, and the last record is a refusal by `rule`.
    pub(super) fn nothing_left(&self, rule: &str) {
        assert_eq!(self.connector.dialled(), []);
        let last = crate::testing::decided(&self.recorder).pop().unwrap();
        assert_eq!(field(&last, "decision"), "deny", "{last:?}");
        assert_eq!(field(&last, "rule"), rule, "{last:?}");
    }
}

pub(super) fn scope(rules: Vec<HttpRule>, recorder: &Arc<MemoryRecorder>) -> CallScope {
    let mut grants = Grants {
        http: rules,
        ..Grants::default()
    };
    grants.secrets.names = vec!["TOKEN".to_owned()];
    testing::scope(grants, Limits::default(), recorder)
}

pub(super) fn rule(url: &str) -> HttpRule {
    HttpRule::new(url, &["GET", "POST", "HEAD"]).unwrap()
}

pub(super) fn request(method: &str, url: &str) -> wit::Request {
    wit::Request {
        method: method.to_owned(),
        url: url.to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
        timeout_ms: 0.0,
    }
}

pub(super) fn header(name: &str, value: &str) -> wit::Header {
    wit::Header {
        name: name.to_owned(),
        value: value.to_owned(),
    }
}

/// Answers every address with `answer`, over HTTP/1.1 in memory.
pub(super) fn serving<F, R>(answer: F) -> RecordingConnector
where
    F: Fn(Request<Incoming>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Response<Full<bytes::Bytes>>> + Send + 'static,
{
    RecordingConnector::serving(move |_, stream| {
        let answer = answer.clone();
        tokio::spawn(async move { serve(TokioIo::new(stream), answer).await });
    })
}

pub(super) async fn serve<I, F, R>(io: I, answer: F)
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    F: Fn(Request<Incoming>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Response<Full<bytes::Bytes>>> + Send + 'static,
{
    let service = hyper::service::service_fn(move |request| {
        let answer = answer.clone();
        async move { Ok::<_, Infallible>(answer(request).await) }
    });
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(io, service)
        .await;
}

pub(super) fn text(body: impl Into<bytes::Bytes>) -> Response<Full<bytes::Bytes>> {
    Response::new(Full::new(body.into()))
}

/// The request's body, and what it said about itself.
pub(super) async fn echo(request: Request<Incoming>) -> Response<Full<bytes::Bytes>> {
    let head = format!(
        "{} {} {:?}\n",
        request.method(),
        request.uri(),
        request.headers()
    );
    let body = request
        .into_body()
        .collect()
        .await
        .map(|body| body.to_bytes());
    let mut all = head.into_bytes();
    all.extend_from_slice(&body.unwrap_or_default());
    text(all)
}

/// Reads the request's head, then writes `bytes` as they are and keeps the stream open.
pub(super) fn raw(bytes: impl Into<Vec<u8>>) -> RecordingConnector {
    let bytes: Arc<[u8]> = bytes.into().into();
    RecordingConnector::serving(move |_: SocketAddr, mut stream: DuplexStream| {
        let bytes = Arc::clone(&bytes);
        tokio::spawn(async move {
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(&bytes).await;
            std::future::pending::<()>().await;
        });
    })
}

/// The one name of most tests, at a public address that is never dialled.
pub(super) fn public() -> ScriptedResolver {
    ScriptedResolver::default().answer("api.example.com", &[PUBLIC])
}
