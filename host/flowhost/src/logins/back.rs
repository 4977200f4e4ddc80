//! Where a browser comes back to after a login: one page on a loopback address (RFC 8252), for as long as the login
//! takes.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use flowhost_oauth::{Attempt, OauthError, Secret};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::ambient::Ambient;
use crate::loopback::{Page, plain, serve};

/// The page's path.
const PATH: &str = "/callback";

/// A page that a browser can come back to.
pub(super) struct Back {
    listener: TcpListener,
    /// Its address, as the authority is told it.
    pub(super) address: String,
}

impl Back {
    /// Opens a port of this machine, `0` for a free one. By its number and not by `localhost`, which other programs
    /// may answer to (RFC 8252, section 8.3).
    pub(super) async fn open(ambient: &Ambient, port: u16) -> io::Result<Self> {
        let here = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let listener = ambient.listen(here).await?;
        let address = format!("http://{}{PATH}", listener.local_addr()?);
        Ok(Self { listener, address })
    }

    /// Waits for the answer. The first decides, whatever it is: who could send a second after a wrong one could try as
    /// often as he likes. The page is served until the second value is dropped.
    pub(super) async fn answer(
        self,
        attempt: Arc<Attempt>,
    ) -> (Option<Result<Secret, OauthError>>, JoinSet<()>) {
        // One place: the first answer decides.
        let (told, mut heard) = mpsc::channel(1);
        let page = Page {
            path: PATH,
            answer: Arc::new(move |request: &Request<Incoming>| answer(request, &attempt, &told)),
        };
        let mut serving = JoinSet::new();
        serving.spawn(serve(self.listener, page));
        (heard.recv().await, serving)
    }
}

fn answer(
    request: &Request<Incoming>,
    attempt: &Attempt,
    told: &mpsc::Sender<Result<Secret, OauthError>>,
) -> Response<Full<Bytes>> {
    // Browsers and those who look at addresses for people may ask for the head first: the code is spent once.
    if request.method() != Method::GET {
        return plain(StatusCode::OK, "");
    }
    let outcome = attempt.answered(request.uri().query().unwrap_or_default());
    let (status, text) = match &outcome {
        Ok(_) => (
            StatusCode::OK,
            "flowhost has the answer. How it went stands in the terminal; this page can be closed.\n".to_owned(),
        ),
        Err(error) => (
            StatusCode::BAD_REQUEST,
            format!("flowhost did not log in: {error}\n"),
        ),
    };
    // Full where an answer came already, which decided.
    let _decided = told.try_send(outcome);
    plain(status, &text)
}
