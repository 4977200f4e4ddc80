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
/// Milliseconds until a connection has sent its header, or is closed. A connection that says nothing would hold a
/// place for as long as it likes.
const HEADER_MS: u64 = 5_000;
/// Longest life of a connection: a reader on this machine takes the largest page in a second or two, and one that never
/// reads would keep its place from the others for good.
const CONNECTION_MAX: Duration = Duration::from_secs(30);

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
    serve_each_for(listener, page, CONNECTION_MAX).await;
}

async fn serve_each_for(listener: TcpListener, page: Page, longest: Duration) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok(permit) = room.clone().acquire_owned().await else {
            debug_assert!(false, "nobody closes the room of connections");
            return;
        };
        // What has ended is let go of, or a server of weeks would keep a little of each.
        while connections.try_join_next().is_some() {}
        // The place is taken before the connection: who finds none waits in the system's own queue.
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
            // One answer a connection: requests that are sent ahead make no work.
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(Duration::from_millis(HEADER_MS))
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), answer);
            match tokio::time::timeout(longest, served).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "a reader went away"),
                Err(_) => tracing::debug!("a reader took too long, and its connection was closed"),
            }
            // Behind the end, not behind the answer: a reader who does not read holds its place.
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
#[expect(clippy::disallowed_methods, reason = "a test is server and reader")]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;

    const ASKED: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

    /// A server of a page with so many bytes, and where it is.
    async fn served(bytes: usize, longest: Duration) -> (tokio::task::JoinSet<()>, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let body = Bytes::from(vec![b'x'; bytes]);
        let page = Page {
            path: "/",
            answer: Arc::new(move |_: &Request<Incoming>| Response::new(Full::new(body.clone()))),
        };
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(serve_each_for(listener, page, longest));
        (tasks, address)
    }

    #[tokio::test]
    async fn readers_that_never_read_give_their_places_back() {
        // More than what the system takes for a socket that nobody reads.
        let (_server, address) = served(64 << 20, Duration::from_millis(300)).await;
        let mut idle = Vec::new();
        for _ in 0..CONNECTIONS_MAX {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(&ASKED.repeat(50)).await.unwrap();
            idle.push(stream);
        }
        let mut reader = TcpStream::connect(address).await.unwrap();
        reader.write_all(ASKED).await.unwrap();
        let mut start = [0; 12];
        let read = reader.read_exact(&mut start);
        tokio::time::timeout(Duration::from_secs(60), read)
            .await
            .expect("the reader is served")
            .unwrap();
        assert_eq!(&start, b"HTTP/1.1 200");
    }

    #[tokio::test]
    async fn a_connection_has_one_answer() {
        let (_server, address) = served(3, CONNECTION_MAX).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(ASKED).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert!(text.starts_with("HTTP/1.1 200"), "{text}");
        assert!(text.ends_with("\r\n\r\nxxx"), "{text}");
    }

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
