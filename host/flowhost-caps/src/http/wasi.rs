//! `wasi:http/outgoing-handler` 0.2 over the same sender: resources and streams are wasmtime's own,
//! and the one step that leaves the process is ours.
//!
//! wasmtime's default sender is not compiled in. A request that cannot be read as one plain target
//! is refused here and recorded like any other.

use std::{future::Future, sync::Arc};

use flowhost_engine::{CallScope, Fault, HostState};
use flowhost_ledger::records::NetDecision;
use flowhost_policy::egress::Target;
use http::{HeaderName, Request, header};
use http_body_util::BodyExt;
use wasmtime::component::Linker;
use wasmtime_wasi_http::{
    Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttp, WasiHttpCtx, WasiHttpCtxView,
    WasiHttpHooks,
    p2::bindings::{LinkOptions, http as wit},
};

use super::{
    HttpState,
    body::AnyBody,
    error::SendError,
    headers,
    recorded::{Came, Head, Recorded, unsent},
    sender::{Outgoing, Sender, changes},
};

pub(super) const INTERFACE: &str = "wasi:http/outgoing-handler@0.2.12";
pub(super) const TYPES: &str = "wasi:http/types@0.2.12";

pub(super) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    let options = LinkOptions::default();
    wit::outgoing_handler::add_to_linker::<_, WasiHttp>(linker, view)?;
    wit::types::add_to_linker::<_, WasiHttp>(linker, &(&options).into(), view)
}

fn view(state: &mut HostState) -> WasiHttpCtxView<'_> {
    let parts = state.parts::<HttpState>();
    let WasiState { ctx, hooks } = &mut parts.state.wasi;
    // wasmtime takes no error here, so that a spent budget stops what leaves and nothing else;
    // every other interface that the guest needs to go on ends the call.
    hooks.spent = parts.scope.charge_host_call().is_err();
    WasiHttpCtxView {
        hooks,
        table: parts.table,
        ctx,
    }
}

/// What wasmtime's functions work on.
pub(super) struct WasiState {
    ctx: WasiHttpCtx,
    hooks: Hooks,
}

impl WasiState {
    pub(super) fn new(sender: Arc<Sender>, scope: CallScope) -> Self {
        let mut ctx = WasiHttpCtx::new();
        // wasmtime counts a fixed part for each field beside its text; our own check counts the
        // text.
        ctx.set_field_size_limit(headers::FIELD_BYTES_MAX * 2);
        Self {
            ctx,
            hooks: Hooks {
                sender,
                scope,
                spent: false,
            },
        }
    }
}

#[cfg(test)]
impl WasiState {
    pub(super) fn hooks(&mut self) -> &mut Hooks {
        &mut self.hooks
    }
}

#[cfg(test)]
impl Hooks {
    pub(super) fn spend(&mut self) {
        self.spent = true;
    }
}

/// Our answers to wasmtime's questions.
pub(super) struct Hooks {
    sender: Arc<Sender>,
    scope: CallScope,
    /// The host-call budget is used up; nothing more leaves.
    spent: bool,
}

type Sent = Result<(http::Response<WasiBody>, Worker), Error>;
type Worker = Box<dyn Future<Output = Result<(), Error>> + Send>;

impl WasiHttpHooks for Hooks {
    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        // `content-length` is checked by wasmtime against the body and then framed by the sender.
        Arc::new(|name: &HeaderName| headers::is_hosts_own(name) && *name != header::CONTENT_LENGTH)
    }

    // The sender sets it from the target that was decided.
    fn set_host_header(&mut self) -> bool {
        false
    }

    // None: a request without a scheme is denied (NET-031), because whichever were taken could be
    // the wrong one.
    fn default_scheme(&mut self) -> Option<http::uri::Scheme> {
        None
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _done: Worker,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        let (sender, scope, spent) = (Arc::clone(&self.sender), self.scope.clone(), self.spent);
        Box::new(async move {
            if spent {
                return Err(Error::HttpRequestDenied);
            }
            let response = recorded(&sender, &scope, request, options.unwrap_or_default())
                .await
                .map_err(|error| as_guest_reads(&scope, error))?
                .map(|body| {
                    body.map_err(move |error| as_guest_reads(&scope, error))
                        .boxed_unsync()
                });
            // Nothing is left to drive: the sender's own task reads the connection and ends with
            // the body.
            let worker: Worker = Box::new(std::future::ready(Ok(())));
            Ok((response, worker))
        })
    }
}

/// The nearest code. A fault is the host's and not the guest's to go on from: a secret without a value must
/// reach the operator with its cure.
fn as_guest_reads(scope: &CallScope, error: SendError) -> Error {
    if let SendError::Fault(fault) = &error {
        scope.doom(fault.clone());
    }
    error.into_wasi()
}

/// Sends and records what came back; in a replay the record says it, and what the guest sends is read
/// to its end, as a server would.
async fn recorded(
    sender: &Sender,
    scope: &CallScope,
    request: Request<WasiBody>,
    options: RequestOptions,
) -> Result<http::Response<AnyBody>, SendError> {
    let asked = format!("{} {}", request.method(), request.uri());
    let changes = changes(request.method().as_str());
    let mut body = None;
    let mut request = Some(request);
    if scope.is_replayed()
        && let Some(request) = request.take()
    {
        // How it ends says nothing: the record has the answer to whatever was sent.
        drop(request.into_body().collect().await);
    }
    let ask = async {
        let Some(request) = request else {
            return Err(Fault::Host("a request was sent in a replay".to_owned()));
        };
        match send(sender, scope, request, options).await {
            Ok(response) => {
                let head = Came::of(&response);
                body = Some(response.into_body());
                Ok(Ok(head))
            }
            Err(error) => unsent(error).map(Err),
        }
    };
    let head: Head = scope.outside(INTERFACE, "handle", &asked, ask).await?;
    let head = head.map_err(SendError::from).inspect_err(|error| {
        if changes && error.is_unanswered() {
            scope.asks();
        }
    })?;
    let length = head.length();
    head.with(Recorded::new(scope, body, length).boxed_unsync())
}

async fn send(
    sender: &Sender,
    scope: &CallScope,
    request: Request<WasiBody>,
    options: RequestOptions,
) -> Result<http::Response<AnyBody>, SendError> {
    let (mut parts, body) = request.into_parts();
    let target = match read_target(&parts) {
        Ok(target) => target,
        Err(denied) => {
            scope.record_deny::<NetDecision>(INTERFACE, &denied)?;
            return Err(SendError::Denied(denied));
        }
    };
    let length = declared_length(&parts.headers)?;
    // The sender frames the body by the length that it is told; this one would stand beside it.
    parts.headers.remove(header::CONTENT_LENGTH);
    let body = body
        .map_err(|error| SendError::Protocol(error.to_string()))
        .boxed_unsync();
    let mut outgoing = Outgoing::new(target, parts.headers, body, scope.deadline);
    outgoing.length = length.or(outgoing.length);
    outgoing.connect = options.connect_timeout.unwrap_or(outgoing.connect);
    if let Some(first_byte) = options.first_byte_timeout {
        outgoing.first_byte = outgoing.first_byte.min(first_byte);
    }
    sender.send(scope, INTERFACE, outgoing).await
}

/// The parts as the guest wrote them; our own parsers judge, not `http::Uri`.
fn read_target(parts: &http::request::Parts) -> Result<Target, flowhost_policy::Denied> {
    let uri = &parts.uri;
    let authority = uri.authority().map_or("", http::uri::Authority::as_str);
    let path = uri
        .path_and_query()
        .map_or("", http::uri::PathAndQuery::as_str);
    Target::from_parts(uri.scheme_str(), authority, path, parts.method.as_str())
}

fn declared_length(headers: &http::HeaderMap) -> Result<Option<u64>, SendError> {
    let Some(value) = headers.get(header::CONTENT_LENGTH) else {
        return Ok(None);
    };
    let digits = value
        .to_str()
        .ok()
        // `parse` takes `+5` too, which a server may read otherwise.
        .filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
    let length = digits.and_then(|text| text.parse().ok());
    length
        .map(Some)
        .ok_or_else(|| SendError::Invalid("`content-length` is not a number".to_owned()))
}
