//! Serves clients over HTTP on this machine: one endpoint, both eras.
//!
//! What is not asked by a program of this machine's user is turned away before a body is read: by its
//! `Host`, its `Origin` and its token ([`guard`]). Connections, headers, bodies, waiting and sessions are
//! bounded.

mod guard;
mod post;
mod session;

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::server::Server;
use post::Endpoint;
use session::Sessions;

pub use guard::{Front, Token};

/// Connections at once: a client has one or two for each request that it waits for.
const CONNECTIONS_MAX: usize = 256;
/// Until a connection has sent its header, or is closed: nobody holds one of the places by sending a
/// byte a second.
const HEADER_MAX: Duration = Duration::from_secs(10);
/// Headers of one request, and bytes of all of them: MCP's are eight short ones.
const HEADERS_MAX: usize = 64;
const HEADER_BYTES_MAX: usize = 16 << 10;

/// A place where clients are served.
pub struct HttpServer {
    listener: TcpListener,
    address: SocketAddr,
    endpoint: Arc<Endpoint>,
}

impl HttpServer {
    /// Serves whoever comes to the listener, as far as the front lets them in.
    ///
    /// # Errors
    /// What the system says of the listener.
    pub fn new(server: Arc<Server>, listener: TcpListener, front: Front) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let endpoint = Endpoint {
            server,
            front: front.on(address.port()),
            sessions: Sessions::default(),
            modern: Arc::default(),
        };
        Ok(Self {
            listener,
            address,
            endpoint: Arc::new(endpoint),
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the server has ended, and then until the last answers are handed out. Calls that are at work when it
    /// is dropped are stopped with their connections.
    pub async fn serve(self) {
        let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut connections = tokio::task::JoinSet::new();
        let mut over = pin!(self.endpoint.server.over());
        loop {
            while connections.try_join_next().is_some() {}
            let next = async {
                // A place before the connection: beyond the number, clients wait in the system's queue and cost nothing
                // here. The places are never closed.
                let place = room.clone().acquire_owned().await.ok()?;
                Some((self.listener.accept().await, place))
            };
            let next = tokio::select! {
                () = &mut over => None,
                next = next => next,
            };
            let Some((accepted, place)) = next else { break };
            let Ok((stream, _)) = accepted else {
                // Out of file handles, most likely; some may be free in a moment, and to ask again at once would only
                // keep the processor from those who could free them.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let endpoint = self.endpoint.clone();
            connections.spawn(async move {
                connected(stream, endpoint).await;
                drop(place);
            });
        }
        while connections.join_next().await.is_some() {}
    }
}

/// Serves one connection. Once the server has ended, it ends with the answer that it waits for.
async fn connected(stream: TcpStream, endpoint: Arc<Endpoint>) {
    let _slower = stream.set_nodelay(true); // answers are single small writes
    let server = endpoint.server.clone();
    let answer = service_fn(move |request| {
        let endpoint = endpoint.clone();
        async move { Ok::<_, std::convert::Infallible>(endpoint.answer(request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_MAX)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), answer);
    let mut connection = pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = server.over() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a client went away");
    }
}
