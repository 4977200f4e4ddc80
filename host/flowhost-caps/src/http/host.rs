//! `flowhost:http`: the request is a value, and so is the response.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use flowhost_engine::{Bytes as Kept, CallScope, HostState, bindings::types};
use flowhost_ledger::records::NetDecision;
use flowhost_policy::egress::Target;
use http::Response;
use http_body_util::{BodyExt, Full};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use wasmtime::component::Linker;

use super::{
    HasHttp, HttpState,
    body::{AnyBody, collect, no_later},
    error::SendError,
    headers,
    sender::{Outgoing, Sender, changes},
};

use crate::shared::bindings;
use crate::shared::support::{Refusal, bytes, heard, settle, told};

bindings!("import flowhost:http/http@0.1.0;", "../../wit/http/0.1.0", async | trappable, types);

pub(super) use bindings::flowhost::http::http as wit;

pub(super) const INTERFACE: &str = "flowhost:http/http@0.1.0";

pub(super) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    wit::add_to_linker::<_, HasHttp>(linker, |state| state)
}

impl wit::Host for &mut HostState {
    async fn send(
        &mut self,
        request: wit::Request,
    ) -> wasmtime::Result<Result<wit::Response, types::Error>> {
        let scope = self.scope().clone();
        scope.charge_host_call().map_err(wasmtime::Error::new)?;
        let sender = Arc::clone(&self.parts::<HttpState>().state.sender);
        settle(recorded(&sender, &scope, request).await)
    }
}

/// Sends and records what came back.
pub(super) async fn recorded(
    sender: &Sender,
    scope: &CallScope,
    request: wit::Request,
) -> Result<wit::Response, Refusal> {
    let asked = asked(&request);
    let changes = changes(&request.method);
    let ask = told(async {
        let sent = send(sender, scope, request).await;
        let response = sent.map_err(|error| match changes && error.is_unanswered() {
            true => Refusal::Unanswered(error.to_string()),
            false => error.into_refusal(),
        })?;
        let headers = response.headers.into_iter();
        Ok(Came {
            status: response.status,
            headers: headers.map(|it| (it.name, it.value)).collect(),
            body: response.body.into(),
        })
    });
    let came = heard(scope, scope.outside(INTERFACE, "send", &asked, ask).await);
    // It has answered, and more than could be taken: what became of it nobody has read.
    if changes
        && let Err(Refusal::Guest(types::Error::Limit(limit))) = &came
        && limit.name == "http.response"
    {
        scope.asks();
    }
    let came = came?;
    let headers = came.headers.into_iter();
    Ok(wit::Response {
        status: came.status,
        headers: headers
            .map(|(name, value)| wit::Header { name, value })
            .collect(),
        body: bytes(came.body)?,
    })
}

/// A response, as its record has it.
#[derive(Serialize, Deserialize)]
struct Came {
    status: i32,
    headers: Vec<(String, String)>,
    body: Kept,
}

/// What is asked, with the hash of what a record should not repeat.
fn asked(request: &wit::Request) -> String {
    let mut hash = Sha256::new();
    for header in &request.headers {
        for part in [&header.name, &header.value] {
            // With its length: name and value would else be one text, and two requests could have
            // one hash.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
    }
    hash.update(&request.body);
    let hash = hash.finalize();
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{} {} sha256:{hash}", request.method, request.url)
}

/// One request of `flowhost:http`, whole.
pub(super) async fn send(
    sender: &Sender,
    scope: &CallScope,
    request: wit::Request,
) -> Result<wit::Response, SendError> {
    let target = match Target::parse(&request.url, &request.method) {
        Ok(target) => target,
        Err(denied) => {
            scope.record_deny::<NetDecision>(INTERFACE, &denied)?;
            return Err(SendError::Denied(denied));
        }
    };
    let pairs = request
        .headers
        .iter()
        .map(|header| (header.name.as_str(), header.value.as_str()));
    let headers = headers::from_pairs(pairs)?;
    let deadline = deadline(scope, request.timeout_ms)?;
    let body: AnyBody = Full::new(Bytes::from(request.body))
        .map_err(SendError::from)
        .boxed_unsync();
    let response = sender.send(
        scope,
        INTERFACE,
        Outgoing::new(target, headers, body, deadline),
    );
    read(response.await?).await
}

/// 0 is the call's own deadline; nothing is later than that.
fn deadline(scope: &CallScope, timeout_ms: f64) -> Result<Instant, SendError> {
    if timeout_ms == 0.0 {
        return Ok(scope.deadline);
    }
    let invalid = |_| SendError::Invalid("`timeout-ms` is a number of 0 or more".to_owned());
    let timeout = Duration::try_from_secs_f64(timeout_ms / 1000.0).map_err(invalid)?;
    Ok(no_later(scope.deadline, timeout))
}

async fn read(response: Response<AnyBody>) -> Result<wit::Response, SendError> {
    let (parts, body) = response.into_parts();
    let headers = parts.headers.iter().map(|(name, value)| wit::Header {
        name: name.as_str().to_owned(),
        // The interface has text here. A value of other bytes is read with marks in it rather than
        // not at all.
        value: String::from_utf8_lossy(value.as_bytes()).into_owned(),
    });
    let headers = headers.collect();
    let body = collect(body).await?;
    Ok(wit::Response {
        status: i32::from(parts.status.as_u16()),
        headers,
        body,
    })
}
