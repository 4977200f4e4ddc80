//! `GET /metrics` on a loopback address, as long as the run lasts, and nothing else.
//!
//! Whoever is on this machine may read what plugins and models are called and how often; nobody else,
//! and no web page that a browser on this machine shows: a name that resolves to loopback is refused
//! by its `Host` header.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, ALLOW, CONTENT_TYPE, HOST};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::prometheus::{Format, Prometheus};

/// Connections at once; scrapers use one.
const CONNECTIONS_MAX: usize = 16;
/// Milliseconds until a connection has sent its header, or is closed.
const HEADER_MS: u64 = 5_000;

/// Serves until it is dropped.
pub(super) async fn serve(listener: TcpListener, metrics: Arc<Prometheus>) {
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
        let metrics = metrics.clone();
        let answer = service_fn(move |request| {
            let answer = answer(&request, &metrics);
            std::future::ready(Ok::<_, Infallible>(answer))
        });
        connections.spawn(async move {
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(Duration::from_millis(HEADER_MS))
                .serve_connection(TokioIo::new(stream), answer)
                .await;
            if let Err(error) = served {
                tracing::debug!(%error, "a reader of metrics went away");
            }
            drop(permit);
        });
    }
}

fn answer(request: &Request<Incoming>, metrics: &Prometheus) -> Response<Full<Bytes>> {
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
    if request.uri().path() != "/metrics" {
        return plain(
            StatusCode::NOT_FOUND,
            "there is /metrics and nothing else\n",
        );
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refused = plain(StatusCode::METHOD_NOT_ALLOWED, "metrics can be read only\n");
        let get = hyper::header::HeaderValue::from_static("GET, HEAD");
        refused.headers_mut().insert(ALLOW, get);
        return refused;
    }
    let accept = request.headers().get_all(ACCEPT).iter();
    let accept: Vec<&str> = accept.filter_map(|it| it.to_str().ok()).collect();
    let format = Format::accepted(&accept.join(","));
    match metrics.text(format) {
        Ok(text) => typed(StatusCode::OK, format.content_type(), text),
        Err(_) => plain(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the metrics cannot be written\n",
        ),
    }
}

fn plain(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    typed(status, "text/plain; charset=utf-8", text.to_owned())
}

fn typed(status: StatusCode, kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let kind = hyper::header::HeaderValue::from_static(kind);
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
