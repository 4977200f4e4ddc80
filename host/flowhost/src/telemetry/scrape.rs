//! `GET /metrics` on a loopback address, as long as the run lasts: whoever is on this machine may read what plugins and
//! models are called and how often, and nobody else.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::ACCEPT;
use hyper::{Request, StatusCode};
use tokio::net::TcpListener;

use super::prometheus::{Format, Prometheus};
use crate::loopback::{self, Page, plain, typed};

/// Serves until it is dropped.
pub(super) async fn serve(listener: TcpListener, metrics: Arc<Prometheus>) {
    let page = Page {
        path: "/metrics",
        answer: Arc::new(move |request: &Request<Incoming>| {
            let accept = request.headers().get_all(ACCEPT).iter();
            let accept: Vec<&str> = accept.filter_map(|it| it.to_str().ok()).collect();
            let format = Format::accepted(&accept.join(","));
            match metrics.text(format) {
                Ok(text) => typed(StatusCode::OK, format.content_type(), text),
                // Text is written to a string, which does not fail; the library's type says that it may.
                Err(_) => plain(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "the metrics cannot be written\n",
                ),
            }
        }),
    };
    loopback::serve(listener, page).await;
}
