//! The host's own HTTP requests, to services that the operator named: a collector of telemetry, a listener for alerts.
//!
//! One request, one connection, and the caller's bound on its time. It is hyper with the TLS that plugins' requests use,
//! because exporters' own clients bring a second TLS library. Redirects are not followed: headers hold credentials, and
//! who answers was named. What a plugin names must never arrive here.

use std::time::Duration;

use bytes::Bytes;
use flowhost_caps::http::{Stream, Tls};
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, Response, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;

use crate::ambient::Ambient;

/// Bytes of an answer; those of a collector are some hundred.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// How long a listener may take to answer. Whoever reads must not keep the run from ending.
const POST_MAX: Duration = Duration::from_secs(10);

/// Why a request was not answered.
pub type SendError = Box<dyn std::error::Error + Send + Sync>;

/// Sends requests.
#[derive(Clone)]
pub struct Sender {
    ambient: Ambient,
    tls: Tls,
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Sender").finish_non_exhaustive()
    }
}

impl Sender {
    /// One that trusts what plugins' requests trust.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(ambient: &Ambient) -> Result<Self, String> {
        Ok(Self {
            ambient: ambient.clone(),
            // The web's authorities alone: [[tls]] is about servers that plugins reach.
            tls: Tls::web().map_err(|error| error.to_string())?,
        })
    }

    /// Sends a request with a whole URL, and reads its answer.
    ///
    /// # Errors
    /// When nobody answers there, or not as HTTP wants it.
    pub async fn exchange(&self, request: &Request<Bytes>) -> Result<Response<Bytes>, SendError> {
        let stream = self.open(request.uri()).await?;
        speak(stream, request, Some(ANSWER_BYTES_MAX)).await
    }

    /// Posts a JSON document, and waits until it was taken.
    ///
    /// # Errors
    /// What was answered, or why nothing was.
    pub async fn post_json(&self, to: &Uri, document: Vec<u8>) -> Result<(), SendError> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(to.clone())
            .header(CONTENT_TYPE, "application/json")
            .body(Bytes::from(document))?;
        let answer = tokio::time::timeout(POST_MAX, self.exchange(&request)).await;
        let answer = answer.map_err(|_| "it takes too long to answer")??;
        // What it says beside is not read out: it is a stranger's text, and the operator has its log.
        match answer.status() {
            status if status.is_success() => Ok(()),
            status => Err(format!("it answers {status}").into()),
        }
    }

    async fn open(&self, uri: &Uri) -> Result<Box<dyn Stream>, SendError> {
        let secure = uri.scheme_str() == Some("https");
        let host = uri.host().ok_or("its URL names no host")?;
        // An IPv6 address stands in brackets in a URL, and without them in a name that is dialled or certified.
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let stream: Box<dyn Stream> = Box::new(self.ambient.dial(host, port).await?);
        if secure {
            return Ok(self.tls.connect(host, stream).await?);
        }
        Ok(stream)
    }
}

/// One request over a connection that is open, and its answer of so many bytes; without a bound its head alone.
pub(crate) async fn speak(
    stream: Box<dyn Stream>,
    request: &Request<Bytes>,
    bytes_max: Option<usize>,
) -> Result<Response<Bytes>, SendError> {
    let prepared = prepare(request)?;
    // HTTP/1.1, which every collector and listener speaks; for one request HTTP/2 has nothing to offer.
    let (mut sending, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends with this call, whatever the other side does.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let (parts, body) = sending.send_request(prepared).await?.into_parts();
    let body = match bytes_max {
        Some(most) => Limited::new(body, most).collect().await?.to_bytes(),
        // The body is not read at all: it ends with the connection, when `driver` is dropped.
        None => Bytes::new(),
    };
    Ok(Response::from_parts(parts, body))
}

/// The request as it goes over a connection of its own: path only, host as a header.
fn prepare(request: &Request<Bytes>) -> Result<Request<Full<Bytes>>, SendError> {
    let uri = request.uri();
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut prepared = Request::builder()
        .method(request.method().clone())
        .uri(path)
        .body(Full::new(request.body().clone()))?;
    let headers = prepared.headers_mut();
    headers.extend(request.headers().clone());
    // Not the whole authority: a name and a password may stand before the host, and belong into no `Host` header
    // (RFC 9110, section 7.2), where proxies and logs show it.
    let host = uri.host().ok_or("its URL names no host")?;
    let host = match uri.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    headers.insert(HOST, HeaderValue::from_str(&host)?);
    Ok(prepared)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_header_has_host_and_port_and_no_password() {
        for (url, wanted) in [
            ("https://jane:s3cret@hooks.example/a?b", "hooks.example"),
            ("http://jane:s3cret@127.0.0.1:8080/a", "127.0.0.1:8080"),
            ("http://[::1]:9/", "[::1]:9"),
            ("https://hooks.example", "hooks.example"),
        ] {
            let request = Request::builder().uri(url).body(Bytes::new()).unwrap();
            let prepared = prepare(&request).unwrap();
            assert_eq!(prepared.headers().get(HOST).unwrap(), wanted, "{url}");
            let sent = format!("{prepared:?}");
            assert!(!sent.contains("s3cret"), "{sent}");
        }
    }
}
