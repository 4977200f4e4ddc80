//! The one place that dials: HTTP/1.1 over TCP or rustls, one pool of connections per provider.
//!
//! Takes no proxy from the environment, follows no redirect, speaks no HTTP/2 and trusts the Mozilla
//! roots, or those that the configuration names instead; there is no switch that skips verification. A
//! proxy that is configured is asked for a tunnel, also for plain HTTP: it sees where, and never what. [`Transport`] is the seam: tests put a
//! double there and prove a refusal by what was *not* handed to it.

use std::{
    future::Future,
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use async_trait::async_trait;
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{
        Client,
        connect::{
            HttpConnector,
            dns::{GaiResolver, Name},
            proxy::Tunnel,
        },
    },
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tower_service::Service;
use zeroize::Zeroizing;

use crate::{ports::KeySource, settings::Proxy};

/// Idle connections are closed before servers do it: most wait a minute.
const POOL_IDLE: Duration = Duration::from_secs(30);
/// Headers of a response. hyper's own default, said here because the answers of strangers rely on it.
const HEADERS_MAX: usize = 100;
/// Bytes of a response's head, and of what is read ahead of the body. A server could else send a head without an
/// end.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// A response's body, read as it comes.
pub type Body = UnsyncBoxBody<Bytes, TransportError>;

/// Why no response came, or not all of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// No connection: nothing was sent.
    #[error("no connection: {0}")]
    Connect(String),
    /// The connection broke after the request was on its way.
    #[error("the connection broke: {0}")]
    Broke(String),
    /// What came was not HTTP, or its head was too large.
    #[error("the answer is not HTTP that can be read: {0}")]
    Malformed(String),
}

/// Sends one request and gives the response's head.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Sends `request`, whose address is absolute. Redirects are handed back, not followed.
    ///
    /// # Errors
    /// As [`TransportError`] says.
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Body>, TransportError>;
}

/// Real connections.
pub struct HttpTransport {
    client: Client<Timed<HttpsConnector<Road>>, Full<Bytes>>,
}

impl HttpTransport {
    /// Connections to servers that the Mozilla roots vouch for. None is opened yet.
    ///
    /// # Errors
    /// When the cryptographic provider lacks a protocol version, which is a bug of the build.
    pub fn web(connect_timeout: Duration, idle_max: usize) -> Result<Self, rustls::Error> {
        Self::with_roots(mozilla(), connect_timeout, idle_max)
    }

    /// Connections to servers that the authorities of a PEM file vouch for, and no others.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn vouched(pem: &str, connect_timeout: Duration, idle_max: usize) -> Result<Self, String> {
        let roots = crate::dial::authorities(pem)?;
        Self::with_roots(roots, connect_timeout, idle_max)
            .map_err(|error| format!("cannot be used for TLS: {error}"))
    }

    /// Roots of the caller's choice: a private authority, or a test's.
    ///
    /// # Errors
    /// As [`HttpTransport::web`].
    pub fn with_roots(
        roots: RootCertStore,
        connect_timeout: Duration,
        idle_max: usize,
    ) -> Result<Self, rustls::Error> {
        Self::dialling(roots, connect_timeout, idle_max, None)
    }

    pub(crate) fn dialling(
        roots: RootCertStore,
        connect_timeout: Duration,
        idle_max: usize,
        through: Option<Through>,
    ) -> Result<Self, rustls::Error> {
        // Named, since rustls' process-wide default is whatever some other crate of the binary
        // installed first.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            // Providers know a client by its key.
            .with_no_client_auth();
        let mut tcp = HttpConnector::new_with_resolver(Addresses(GaiResolver::new()));
        // The connector under TLS is asked for `https` addresses, too.
        tcp.enforce_http(false);
        // A request is one write and waits for its answer: there is nothing to collect it with.
        tcp.set_nodelay(true);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            // Whether plain HTTP may be spoken to an address was decided when the configuration was
            // read (`settings.rs`).
            .https_or_http()
            .enable_http1()
            .wrap_connector(Road { tcp, through });
        let client = Client::builder(TokioExecutor::new())
            // Without a timer the pool closes idle connections only when it looks for one.
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE)
            // As many as may be in use at once, so that a burst does not close what the next one
            // needs.
            .pool_max_idle_per_host(idle_max)
            .http1_max_headers(HEADERS_MAX)
            .http1_max_buf_size(HEAD_BYTES_MAX)
            .build(Timed {
                inner: connector,
                limit: connect_timeout,
            });
        Ok(Self { client })
    }
}

#[async_trait]
impl Transport for HttpTransport {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Body>, TransportError> {
        let response = self.client.request(request.map(Full::new)).await;
        // Only where no connection came about is it sure that the server has seen and counted
        // nothing.
        let response = response.map_err(|error| match error.is_connect() {
            true => TransportError::Connect(innermost(&error)),
            false => broke(&error),
        })?;
        Ok(response.map(|body| body.map_err(|error| broke(&error)).boxed_unsync()))
    }
}

/// The roots that Mozilla trusts, as of this build.
pub(crate) fn mozilla() -> RootCertStore {
    RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned())
}

fn broke(error: &(dyn std::error::Error + 'static)) -> TransportError {
    let mut cause = Some(error);
    while let Some(inner) = cause {
        if inner.downcast_ref().is_some_and(hyper::Error::is_parse) {
            // hyper wraps a parser's error at several depths, so the whole chain is looked through.
            return TransportError::Malformed(innermost(error));
        }
        cause = inner.source();
    }
    TransportError::Broke(innermost(error))
}

/// The last cause: the ones around it say only where it was noticed.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(inner) = last.source() {
        last = inner;
    }
    last.to_string()
}

/// Names by the system's resolver; `localhost` without asking anyone, since plain HTTP is spoken to it.
#[derive(Clone)]
struct Addresses(GaiResolver);

type Pending<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

impl Service<Name> for Addresses {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pending<Self::Response, io::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        if name.as_str() == "localhost" {
            let both = vec![
                // Port 0 is replaced by the address's own.
                SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
                SocketAddr::from((Ipv6Addr::LOCALHOST, 0)),
            ];
            return Box::pin(async { Ok(both.into_iter()) });
        }
        let asked = self.0.call(name);
        Box::pin(async { Ok(asked.await?.collect::<Vec<_>>().into_iter()) })
    }
}

/// A proxy, and who knows its password.
#[derive(Clone)]
pub(crate) struct Through {
    pub(crate) proxy: Proxy,
    pub(crate) keys: Arc<dyn KeySource>,
}

/// The way to a server: straight, or through a proxy.
#[derive(Clone)]
struct Road {
    tcp: HttpConnector<Addresses>,
    through: Option<Through>,
}

type AnyError = Box<dyn std::error::Error + Send + Sync>;

impl Service<Uri> for Road {
    type Response = TokioIo<TcpStream>;
    type Error = AnyError;
    type Future = Pending<Self::Response, Self::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), AnyError>> {
        self.tcp.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, address: Uri) -> Self::Future {
        let Some(through) = &self.through else {
            let connecting = self.tcp.call(address);
            return Box::pin(async { connecting.await.map_err(Into::into) });
        };
        let tunnel = match through.tunnel(self.tcp.clone()) {
            Ok(tunnel) => tunnel,
            Err(why) => return Box::pin(async { Err(why.into()) }),
        };
        let name = through.proxy.address.to_string();
        Box::pin(async move {
            let mut tunnel = tunnel;
            tunnel
                .call(with_port(address))
                .await
                .map_err(|error| format!("through the proxy {name}: {}", innermost(&error)).into())
        })
    }
}

impl Through {
    fn tunnel(
        &self,
        tcp: HttpConnector<Addresses>,
    ) -> Result<Tunnel<HttpConnector<Addresses>>, String> {
        let tunnel = Tunnel::new(self.proxy.address.clone(), tcp);
        let Some(name) = &self.proxy.key else {
            return Ok(tunnel);
        };
        // At every connection, so that a changed password is taken without a restart.
        let value = self.keys.key(name).filter(|value| !value.is_empty());
        let value = value.ok_or_else(|| format!("the secret {name} of the proxy has no value"))?;
        let basic = Zeroizing::new(format!("Basic {}", STANDARD.encode(value.as_bytes())));
        let header = HeaderValue::from_str(&basic);
        let header =
            header.map_err(|_| format!("the secret {name} of the proxy cannot be sent"))?;
        Ok(tunnel.with_auth(header))
    }
}

/// A tunnel is asked for by host and port.
fn with_port(address: Uri) -> Uri {
    if address.port().is_some() {
        return address;
    }
    // hyper's tunnel takes 443 where no port is written, for plain HTTP as well.
    let port = if address.scheme_str() == Some("http") {
        80
    } else {
        443
    };
    let Some(host) = address.host() else {
        return address;
    };
    let mut parts = address.clone().into_parts();
    parts.authority = format!("{host}:{port}").parse().ok();
    // A host that was parsed is an authority with a port, too.
    Uri::from_parts(parts).unwrap_or(address)
}

/// A limit on connecting, TLS included.
#[derive(Clone)]
struct Timed<C> {
    inner: C,
    limit: Duration,
}

impl<C> Service<Uri> for Timed<C>
where
    C: Service<Uri>,
    C::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    C::Future: Send + 'static,
{
    type Response = C::Response;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = Pending<Self::Response, Self::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, address: Uri) -> Self::Future {
        let connecting = tokio::time::timeout(self.limit, self.inner.call(address));
        Box::pin(async {
            match connecting.await {
                Ok(connected) => connected.map_err(Into::into),
                Err(_) => Err("connecting took longer than connect_timeout".into()),
            }
        })
    }
}
