//! One page on a loopback address, for whoever is on this machine, and nothing else.
//!
//! Nobody else may read it, and no web page that a browser on this machine shows: a name that resolves to loopback is
//! refused by its `Host` header.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HOST, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Connections at once; a scraper uses one, a browser some.
const CONNECTIONS_MAX: usize = 16;
/// Milliseconds until a connection has sent its header, or is closed.
const HEADER_MS: u64 = 5_000;

/// Makes the answer to a request.
pub type Answer = dyn Fn(&Request<Incoming>) -> Response<Full<Bytes>> + Send + Sync;

/// What is served, and where.
#[derive(Clone)]
pub struct Page {
    /// Its path, and the only one.
    pub path: &'static str,
    /// Is asked when host, path and method are right. Quick, or it holds up a thread.
    pub answer: Arc<Answer>,
}

/// Serves until it is dropped.
pub async fn serve(listener: TcpListener, page: Page) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok(permit) = room.clone().acquire_owned().await else {
            debug_assert!(false, "nobody closes the room of connections");
            return;
        };
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file handles, most likely; some may be free in a moment.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let page = page.clone();
        let answer = service_fn(move |request| {
            let answer = answer(&request, &page);
            std::future::ready(Ok::<_, Infallible>(answer))
        });
        connections.spawn(async move {
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(Duration::from_millis(HEADER_MS))
                .serve_connection(TokioIo::new(stream), answer)
                .await;
            if let Err(error) = served {
                tracing::debug!(%error, "a reader went away");
            }
            drop(permit);
        });
    }
}

fn answer(request: &Request<Incoming>, page: &Page) -> Response<Full<Bytes>> {
    // Of two hosts a proxy on the way may have read the other one (RFC 9112, section 3.2: a request with two is
    // refused), and a target with a host of its own is what is asked for, whatever the header says.
    let hosts = request.headers().get_all(HOST).iter();
    let hosts: Vec<&str> = hosts.map(|it| it.to_str().unwrap_or_default()).collect();
    if hosts.len() > 1 {
        return plain(StatusCode::BAD_REQUEST, "name one host\n");
    }
    let target = request.uri().authority().map(|it| it.as_str());
    let mut named = hosts.iter().copied().chain(target);
    if hosts.is_empty() || !named.all(is_this_machine) {
        return plain(
            StatusCode::MISDIRECTED_REQUEST,
            "ask for 127.0.0.1 or localhost\n",
        );
    }
    if request.uri().path() != page.path {
        let text = format!("there is {} and nothing else\n", page.path);
        return typed(StatusCode::NOT_FOUND, PLAIN, text);
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refused = plain(StatusCode::METHOD_NOT_ALLOWED, "it can be read only\n");
        let read = HeaderValue::from_static("GET, HEAD");
        refused.headers_mut().insert(ALLOW, read);
        return refused;
    }
    (page.answer)(request)
}

const PLAIN: &str = "text/plain; charset=utf-8";

/// An answer of a line of text.
pub(crate) fn plain(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    typed(status, PLAIN, text.to_owned())
}

/// An answer of this content type.
#[must_use]
pub fn typed(status: StatusCode, kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// Whether a `Host` header names a loopback address or `localhost`.
fn is_this_machine(host: &str) -> bool {
    if let Ok(address) = host.parse::<SocketAddr>() {
        return address.ip().is_loopback();
    }
    let name = host.rsplit_once(':').map_or(host, |(name, port)| {
        if port.bytes().all(|byte| byte.is_ascii_digit()) {
            name
        } else {
            host
        }
    });
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || bare
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_a_name_that_only_resolves_to_this_machine() {
        for host in [
            "evil.example",
            "evil.example:9464",
            "10.0.0.1",
            "127.0.0.1.evil.example",
            "",
        ] {
            assert!(!is_this_machine(host), "{host}");
        }
    }

    #[test]
    fn knows_this_machine_by_its_addresses_and_its_name() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:9464",
            "[::1]:1",
            "[::1]",
            "LocalHost",
            "localhost:9",
        ] {
            assert!(is_this_machine(host), "{host}");
        }
    }
}
