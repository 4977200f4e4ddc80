//! The one way out: decide, record, resolve, check, record, connect, send.
//!
//! Both interfaces end here, so a rule cannot hold for one and not for the other. The order is the
//! defence: nothing is looked up before the rule's decision is on record, nothing is dialled before
//! every answer was checked, and the checked address is the one that is dialled.

use std::{
    error::Error as _,
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use flowhost_engine::{CallScope, Fault};
use flowhost_ledger::records::{Asked, NetDecision};
use flowhost_policy::{
    Allowed, Denied, HttpRule,
    egress::{Target, check_addresses, decide_http},
};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{
    task::JoinSet,
    time::{Instant, timeout_at},
};
use zeroize::Zeroizing;

use super::{
    HttpServices,
    body::{AnyBody, Capped, Caps, collect, no_later},
    connect::Stream,
    error::{SendError, is_broken},
    headers,
    inject::{Injected, inject, wanted},
    tls::{Tls, turned_away},
    traffic::{Runs, Slot, Traffic},
};

/// The header that carries the key of a keyed effect, as the IETF's draft and most services name it.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Longest time to a connection, TLS included: a few tries of TCP, and no longer, for a host that answers none.
const CONNECT: Duration = Duration::from_secs(10);

/// Longest time from the sent request to the response's first byte. A server that accepts and says nothing would
/// else hold one of the run's connections until the call's deadline, which may be an hour away.
const FIRST_BYTE: Duration = Duration::from_secs(30);

/// A request that has been read but not decided.
pub(super) struct Outgoing {
    /// Where to, checked by two parsers.
    pub(super) target: Target,
    /// What the guest set.
    pub(super) headers: HeaderMap,
    /// What the guest sends.
    pub(super) body: AnyBody,
    /// The body's exact length where it is known.
    pub(super) length: Option<u64>,
    /// When all of it must be over.
    pub(super) deadline: Instant,
    /// Longest time to a connection; never above [`CONNECT`].
    pub(super) connect: Duration,
    /// Longest time to the first byte: [`FIRST_BYTE`], unless the host itself has a reason for another.
    pub(super) first_byte: Duration,
    /// Whether it takes no place among the requests in flight, because its answer stays open.
    pub(super) lasting: bool,
}

impl Outgoing {
    /// A request with the host's own timeouts.
    pub(super) fn new(
        target: Target,
        headers: HeaderMap,
        body: AnyBody,
        deadline: Instant,
    ) -> Self {
        let length = body.size_hint_exact();
        Self {
            target,
            headers,
            body,
            length,
            deadline,
            connect: CONNECT,
            first_byte: FIRST_BYTE,
            lasting: false,
        }
    }
}

trait ExactLength {
    fn size_hint_exact(&self) -> Option<u64>;
}

impl<B: http_body::Body> ExactLength for B {
    fn size_hint_exact(&self) -> Option<u64> {
        self.size_hint().exact()
    }
}

/// Sends requests for every plugin; holds no connection and no cookie.
pub(super) struct Sender {
    services: HttpServices,
    runs: Runs,
}

impl Sender {
    pub(super) fn new(services: HttpServices) -> Self {
        Self {
            services,
            runs: Runs::default(),
        }
    }

    /// Sends one request. The response's body is still to be read, under caps and deadline.
    pub(super) async fn send(
        &self,
        scope: &CallScope,
        interface: &'static str,
        request: Outgoing,
    ) -> Result<Response<AnyBody>, SendError> {
        let exchange = self.begin(scope, interface, &request);
        let whole = async {
            let (injected, response) = exchange.run(request).await?;
            // Who speaks HTTP reads the answer itself; the next request has another token, where there is one.
            if let Err(error) = self
                .refused(LoginRefusal::of(injected.as_ref(), &response))
                .await
            {
                tracing::warn!(target: "flowhost::http", %error, "a login was refused");
            }
            exchange.deliver(injected, response).await
        };
        let answer = timeout_at(exchange.deadline, whole).await;
        answer.unwrap_or_else(|_| Err(exchange.late()))
    }

    /// The same, but that the body may hold echoes of what was put into the request: whoever reads it as
    /// it comes has to take them out.
    pub(super) async fn open(
        &self,
        scope: &CallScope,
        interface: &'static str,
        request: Outgoing,
    ) -> Result<(Option<Injected>, Response<AnyBody>), SendError> {
        let exchange = self.begin(scope, interface, &request);
        let answer = timeout_at(exchange.deadline, exchange.run(request)).await;
        answer.unwrap_or_else(|_| Err(exchange.late()))
    }

    /// Lets a login hear that its token was not taken. Gives whether there is another one to be tried.
    pub(super) async fn refused(&self, said: Option<LoginRefusal>) -> Result<bool, SendError> {
        let Some(said) = said else {
            return Ok(false);
        };
        let logins = &self.services.logins;
        let another = logins.refused(&said.name, &said.token, said.status, &said.challenges);
        Ok(another.await?)
    }

    fn begin<'a>(
        &'a self,
        scope: &'a CallScope,
        interface: &'static str,
        request: &Outgoing,
    ) -> Exchange<'a> {
        Exchange {
            sender: self,
            scope,
            interface,
            deadline: request.deadline.min(scope.deadline),
            is_sent: AtomicBool::new(false),
        }
    }
}

/// What a login has to hear of an answer.
pub(super) struct LoginRefusal {
    name: String,
    token: Zeroizing<String>,
    status: u16,
    challenges: Vec<String>,
}

impl LoginRefusal {
    /// None where the server took the token, or none was sent.
    pub(super) fn of(injected: Option<&Injected>, response: &Response<AnyBody>) -> Option<Self> {
        let status = response.status();
        let says_no = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        let (name, token) = injected.filter(|_| says_no)?.login()?;
        let challenges = response.headers().get_all(header::WWW_AUTHENTICATE);
        let challenges = challenges.iter().filter_map(|value| value.to_str().ok());
        Some(Self {
            name: name.to_owned(),
            token: Zeroizing::new(token.to_owned()),
            status: status.as_u16(),
            challenges: challenges.map(str::to_owned).collect(),
        })
    }
}

/// One request under way.
struct Exchange<'a> {
    sender: &'a Sender,
    scope: &'a CallScope,
    interface: &'static str,
    deadline: Instant,
    /// Whether the server may have anything of the request.
    is_sent: AtomicBool,
}

impl Exchange<'_> {
    /// The time is up: what was not sent yet has done nothing, and nobody has to wonder whether it has.
    fn late(&self) -> SendError {
        SendError::Timeout(match self.is_sent.load(Ordering::Relaxed) {
            true => "deadline",
            false => "connect",
        })
    }

    /// The answer, its head without echoes of what was put into the request, its body as it comes.
    async fn run(
        &self,
        mut request: Outgoing,
    ) -> Result<(Option<Injected>, Response<AnyBody>), SendError> {
        let allowed = self.decide(&request.target, &request.headers).await?;
        let rule = allowed.grant;
        // Behind the decision: what no rule allows is denied and on record, however wrong the rest
        // of it is.
        headers::check_request(&request.headers)?;
        self.put_key(&mut request)?;
        check_length(rule, &request)?;
        let services = &self.sender.services;
        // Before a connection is opened: a token may have to be renewed, and a server does not wait for that.
        let wanted = wanted(services.logins.as_ref(), rule, &request.target).await?;
        let traffic = self.sender.runs.traffic(&self.scope.run.run);
        let slot = match request.lasting {
            true => None,
            false => Some(traffic.slot(&self.scope.plugin).await?),
        };
        // Counted too: data leaves in a path as well as in a body.
        let path = request.target.path_and_query().len() as u64;
        traffic.count(path + headers::bytes(&request.headers))?;
        let connect_by = no_later(self.deadline, request.connect.min(CONNECT));
        let stream = timeout_at(connect_by, self.open(allowed, &request.target, &traffic))
            .await
            .unwrap_or(Err(SendError::Timeout("connect")))?;
        // When the connection stands: what is never sent has no record of a secret's use.
        let injected = inject(
            services.secrets.as_ref(),
            self.scope,
            self.interface,
            rule,
            wanted,
            &mut request.headers,
        )?;
        let mut response = self.exchange(rule, request, stream, slot, &traffic).await?;
        if let Some(injected) = &injected {
            self.clean_head(injected, response.headers_mut())?;
        }
        Ok((injected, response))
    }

    /// The key by which the receiver of a keyed effect drops what it has seen. A call may make several
    /// requests, and a receiver would take two with one key for one: each has its number behind it, the
    /// same in every repetition of the call. A plugin that brings a key of its own knows better.
    fn put_key(&self, request: &mut Outgoing) -> Result<(), SendError> {
        let changes = changes(request.target.method());
        if !self.scope.keyed || !changes || request.headers.contains_key(IDEMPOTENCY_KEY) {
            return Ok(());
        }
        let key = format!("{}-{}", self.scope.key, self.scope.meter.next_keyed());
        let key = HeaderValue::from_str(&key).map_err(|error| {
            Fault::Host(format!(
                "the call's key cannot be sent in a header: {error}"
            ))
        })?;
        request.headers.insert(IDEMPOTENCY_KEY, key);
        Ok(())
    }

    /// The rule that allows it; either way the decision is on record before anything happens.
    async fn decide(
        &self,
        target: &Target,
        headers: &HeaderMap,
    ) -> Result<Allowed<'_, HttpRule>, SendError> {
        let verdict = decide_http(&self.scope.effective.grants.http, target);
        let verdict = match verdict {
            // A protocol that nobody here can read would pass every cap and redactor behind the
            // answer to it.
            Ok(_) if asks_upgrade(headers) => Err(no_upgrade(target)),
            verdict => verdict,
        };
        match verdict {
            Err(denied) => Err(self.denied(denied)?),
            Ok(allowed) => {
                self.allowed(&allowed, target, None).await?;
                Ok(allowed)
            }
        }
    }

    fn denied(&self, denied: Denied) -> Result<SendError, SendError> {
        self.scope
            .record_deny::<NetDecision>(self.interface, &denied)?;
        Ok(SendError::Denied(denied))
    }

    async fn allowed(
        &self,
        allowed: &Allowed<'_, HttpRule>,
        target: &Target,
        address: Option<IpAddr>,
    ) -> Result<(), SendError> {
        let stage = if address.is_some() { "address" } else { "rule" };
        let decision = NetDecision {
            stage: Some(stage.to_owned()),
            address: address.map(|address| address.to_string()),
            identity: address.and(allowed.grant.identity.clone()),
            ..NetDecision::default()
        };
        let rule = format!("http[{}]", allowed.index);
        let asked = Asked::for_what(target.to_string());
        let fact = self.scope.allowed(decision, self.interface, &rule, &asked);
        self.scope.record_durable(fact).await?;
        Ok(())
    }

    /// Resolves once, checks every answer, dials the checked one, and shakes hands.
    async fn open(
        &self,
        allowed: Allowed<'_, HttpRule>,
        target: &Target,
        traffic: &Traffic,
    ) -> Result<Box<dyn Stream>, SendError> {
        let services = &self.sender.services;
        // First: an identity without files is told before a name is looked up for nothing.
        let tls = self.tls(allowed.grant, target)?;
        let addresses = match target.ip() {
            Some(address) => vec![address],
            None => {
                traffic.count_lookup()?;
                services.resolver.resolve(target.host()).await?
            }
        };
        let own = &services.own_addresses;
        let checked = check_addresses(
            allowed.grant,
            &addresses,
            own,
            services.allow_private_network,
        );
        let address = match checked {
            Ok(address) => address,
            Err(denied) => return Err(self.denied(denied)?),
        };
        self.allowed(&allowed, target, Some(address)).await?;
        let stream = services
            .connector
            .connect(SocketAddr::new(address, target.port()))
            .await;
        // The kind and what the guest asked for: it reads this, and the system's text may name addresses of this
        // network.
        let unconnected = |error: std::io::Error| {
            let (kind, host, port) = (error.kind(), target.host(), target.port());
            SendError::Connect(format!("{kind} by {host}:{port}"))
        };
        let stream = stream.map_err(unconnected)?;
        if target.scheme() == "https" {
            return tls.handshake(target.host(), target.ip(), stream).await;
        }
        Ok(stream)
    }

    /// How the server is spoken with: as the identity that the rule names, else as nobody; vouched for by whom the operator
    /// names for its host, else by the web's authorities.
    fn tls(&self, rule: &HttpRule, target: &Target) -> Result<Tls, SendError> {
        let services = &self.sender.services;
        let address = target.ip().map(|address| address.to_string());
        let host = address.as_deref().unwrap_or_else(|| target.host());
        let tls = services.roots.get(host).unwrap_or(&services.tls);
        let Some(name) = &rule.identity else {
            return Ok(tls.clone());
        };
        let identity = services.identities.get(name).ok_or_else(|| {
            SendError::Fault(Fault::Host(format!(
                "no certificate for the identity `{name}`: name its files under [identities.{name}] of your \
                 flowhost.toml"
            )))
        })?;
        Ok(tls.as_identity(identity))
    }

    async fn exchange(
        &self,
        rule: &HttpRule,
        request: Outgoing,
        stream: Box<dyn Stream>,
        slot: Option<Slot>,
        traffic: &Arc<Traffic>,
    ) -> Result<Response<AnyBody>, SendError> {
        let bodiless = request.target.method() == "HEAD";
        let first_byte = no_later(self.deadline, request.first_byte);
        let up = self.caps("http.request", rule.request_bytes, traffic);
        let (request, stopped) = assemble(request, up)?;
        let (mut sending, connection) = http1::Builder::new()
            .max_headers(headers::FIELDS_MAX)
            // Twice, because the buffer holds the status line and separators as well; `check_size`
            // counts exactly, afterwards.
            .max_buf_size(headers::FIELD_BYTES_MAX * 2)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(protocol)?;
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            // Held by the connection, which ends with its body: until then the request is in
            // flight.
            let _slot = slot;
            if let Err(error) = connection.await {
                // Whoever waits for the response or reads its body is told the same by hyper.
                tracing::debug!(%error, "connection ended");
            }
        });
        self.is_sent.store(true, Ordering::Relaxed);
        let response = match timeout_at(first_byte, sending.send_request(request)).await {
            Err(_) => return Err(SendError::Timeout("first byte")),
            Ok(Err(error)) => {
                // hyper says only that the body failed; why is our own word, left where it stopped.
                return Err(stopped.get().cloned().unwrap_or_else(|| protocol(error)));
            }
            Ok(Ok(response)) => response,
        };
        let (mut parts, body) = response.into_parts();
        check_response(rule, parts.status, &parts.headers, bodiless)?;
        traffic.count(headers::bytes(&parts.headers))?;
        // After the check of the size, which counts what the server sent.
        headers::strip_hop_by_hop(&mut parts.headers);
        let down = self.caps("http.response", rule.response_bytes, traffic);
        let body = Capped::new(body.map_err(protocol), down, None).holding(driver);
        Ok(Response::from_parts(parts, body.boxed_unsync()))
    }

    fn caps(&self, name: &'static str, bytes: u64, traffic: &Arc<Traffic>) -> Caps {
        Caps {
            name,
            bytes,
            deadline: self.deadline,
            traffic: Arc::clone(traffic),
        }
    }

    /// Takes echoes of a secret that went out from the head, and refuses a body that could hide some.
    fn clean_head(&self, injected: &Injected, headers: &mut HeaderMap) -> Result<(), SendError> {
        // All of them: a server that names its coding in a second field has compressed it as well.
        let mut codings = headers.get_all(header::CONTENT_ENCODING).iter();
        if codings.any(|coding| coding != "identity") {
            return Err(SendError::Protocol(
                "the server compressed an answer that must be searched for a secret".to_owned(),
            ));
        }
        let hits = injected.clean_headers(headers)?;
        injected.record(self.scope, self.interface, "headers", hits)
    }

    /// Hands the response over; when a secret went out, whole and without echoes of it.
    async fn deliver(
        &self,
        injected: Option<Injected>,
        response: Response<AnyBody>,
    ) -> Result<Response<AnyBody>, SendError> {
        let Some(injected) = injected else {
            return Ok(response);
        };
        let (mut parts, body) = response.into_parts();
        let (clean, hits) = injected.clean_body(&collect(body).await?);
        injected.record(self.scope, self.interface, "body", hits)?;
        // It named the length with the echoes.
        if hits > 0 {
            parts.headers.remove(header::CONTENT_LENGTH);
        }
        let body = Full::new(Bytes::from(clean)).map_err(|never| match never {});
        Ok(Response::from_parts(parts, body.boxed_unsync()))
    }
}

/// Whether a request of this method may change something at its receiver.
pub(super) fn changes(method: &str) -> bool {
    !matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE")
}

fn asks_upgrade(headers: &HeaderMap) -> bool {
    let listed = headers.get_all(header::CONNECTION).iter().any(|value| {
        String::from_utf8_lossy(value.as_bytes())
            .to_ascii_lowercase()
            // Anywhere in it: no other option's name holds the word, and a list that is read
            // wrongly must not let one through.
            .contains("upgrade")
    });
    listed || headers.contains_key(header::UPGRADE)
}

fn no_upgrade(target: &Target) -> Denied {
    Denied {
        right: "http",
        wanted: format!("upgrade {target}"),
        rule: "http.upgrade".to_owned(),
        cure: None,
    }
}

fn check_length(rule: &HttpRule, request: &Outgoing) -> Result<(), SendError> {
    match request.length {
        Some(used) if used > rule.request_bytes => Err(SendError::Limit {
            name: "http.request",
            used,
            allowed: rule.request_bytes,
        }),
        _ => Ok(()),
    }
}

/// What a request says that names no agent of its own.
const USER_AGENT: &str = concat!("flowhost/", env!("CARGO_PKG_VERSION"));

/// Origin form, our `Host`, and a body that counts.
fn assemble(
    request: Outgoing,
    caps: Caps,
) -> Result<(Request<Capped<AnyBody>>, super::body::Stopped), SendError> {
    let invalid = |error: http::Error| SendError::Invalid(error.to_string());
    let target = &request.target;
    let uri: Uri = target
        .path_and_query()
        .parse()
        .map_err(|_| SendError::Invalid("the path is not a request target".to_owned()))?;
    // Servers compare `Host` as text, and many know their name without the usual port alone.
    let usual = matches!(
        (target.scheme(), target.port()),
        ("https", 443) | ("http", 80)
    );
    let host = if usual {
        target.host().to_owned()
    } else {
        format!("{}:{}", target.host(), target.port())
    };
    let body = Capped::new(request.body, caps, request.length);
    let stopped = body.stopped();
    let mut sent = Request::builder()
        .method(target.method())
        .uri(uri)
        .body(body)
        .map_err(invalid)?;
    *sent.headers_mut() = request.headers;
    let host = host
        .parse()
        .map_err(|_| SendError::Invalid("the host cannot be sent in a header".to_owned()))?;
    sent.headers_mut().insert(header::HOST, host);
    // Some servers refuse a request without one (RFC 9110, 10.1.5: it should be sent).
    let agent = HeaderValue::from_static(USER_AGENT);
    sent.headers_mut()
        .entry(header::USER_AGENT)
        .or_insert(agent);
    Ok((sent, stopped))
}

/// `bodiless`: an answer to HEAD, whose length is that of a body which does not come.
fn check_response(
    rule: &HttpRule,
    status: StatusCode,
    headers: &HeaderMap,
    bodiless: bool,
) -> Result<(), SendError> {
    if status.is_informational() {
        return Err(SendError::Protocol(format!(
            "status {status} ends no request"
        )));
    }
    headers::check_size(headers)?;
    headers::check_framing(headers)?;
    let length = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok());
    match length.and_then(|value| value.parse::<u64>().ok()) {
        // Told before a byte of it is read; one that lies about its length is stopped by the cap on
        // the body.
        Some(used) if used > rule.response_bytes && !bodiless => Err(SendError::Limit {
            name: "http.response",
            used,
            allowed: rule.response_bytes,
        }),
        _ => Ok(()),
    }
}

/// hyper's word for it, or our own reason where a body of ours stopped it.
fn protocol(error: hyper::Error) -> SendError {
    if error.is_timeout() {
        return SendError::Timeout("read");
    }
    if error.is_parse_too_large() {
        let allowed = headers::FIELDS_MAX as u64;
        return SendError::Limit {
            name: "http.headers",
            used: allowed + 1,
            allowed,
        };
    }
    if let Some(why) = of_the_stream(&error).and_then(turned_away) {
        return SendError::Tls(why);
    }
    if ended_early(&error) {
        return SendError::Broken(told(&error));
    }
    SendError::Protocol(error.to_string())
}

/// Whether the connection ended. hyper does not say so of a body that ends early but through its source.
fn ended_early(error: &hyper::Error) -> bool {
    of_the_stream(error).is_some_and(|it| is_broken(it.kind()))
        || error.is_incomplete_message()
        || error.is_closed()
        || error.is_canceled()
}

/// What the connection itself said, TLS included. hyper puts it below an error of its own, and below a second one where
/// it came before the request was written.
fn of_the_stream(error: &hyper::Error) -> Option<&io::Error> {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        source = error.source();
    }
    None
}

/// hyper's words with those of their source.
fn told(error: &hyper::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

impl From<std::convert::Infallible> for SendError {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

impl From<flowhost_ledger::LedgerError> for SendError {
    fn from(error: flowhost_ledger::LedgerError) -> Self {
        Self::Fault(Fault::from(error))
    }
}
