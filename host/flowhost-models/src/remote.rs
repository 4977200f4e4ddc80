//! One exchange with a provider elsewhere: the request with its key, the answer within bounds.
//!
//! Owns the key for the length of a request; must never let it into an error, a log or an answer,
//! also not when the server sends it back.

use std::{future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::{
    backend::{Ask, Raw},
    compat::{self, Features},
    error::ErrorClass,
    fault::Fault,
    http::{Body, Transport, TransportError},
    memory::Memory,
    ports::{Clock, KeySource, Who},
    progress::Progress,
    prompt::EMBED_TEXTS_MAX,
    settings::ProviderSettings,
    sse, text,
    wire::{self, Decoder, Ended, Refusal, Shape, Wire, classify},
};

/// Bytes of an error's body that are read. An error page of a gateway fits, and only its reason is told.
const ERROR_BYTES_MAX: usize = 64 << 10;
/// Bytes of an embedding's body for each text: 16,384 numbers of 20 digits.
const VECTOR_BYTES_MAX: usize = 512 << 10;
/// Bytes of any embedding's body. It is parsed as a whole, which takes several times its size of the host's
/// memory.
const VECTORS_BYTES_MAX: usize = 256 << 20;
/// How long a stream that has said its last word may take to end, so that its connection is kept.
const DRAIN: Duration = Duration::from_millis(10);
/// `retry-after` at most: what is longer is not waited for anyway.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// A provider elsewhere.
pub(crate) struct Remote {
    pub(crate) wire: Wire,
    pub(crate) settings: ProviderSettings,
    pub(crate) keys: Arc<dyn KeySource>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) memory: Memory,
}

type Key = Option<Zeroizing<String>>;

impl Remote {
    pub(crate) async fn run(
        &self,
        ask: &Ask<'_>,
        who: &Who<'_>,
        left_out: Features,
        progress: &mut Progress,
    ) -> Result<Raw, Fault> {
        let kept = |call: &str| self.memory.recall(who, ask.model(), call);
        let shape = Shape {
            settings: &self.settings,
            left_out,
            kept: &kept,
        };
        // Before the key is read: what cannot be asked needs no secret.
        let (request, decoder) = self.wire.encode(*ask, &shape)?;
        let sent = request.sent;
        let key = self.key()?;
        let request = self.request(&request, &key, who)?;
        let result = self.exchange(request, bytes_max(ask), decoder, progress);
        // At the one place that everything passes on its way back, whatever it is.
        let result = without_key(result.await, &key);
        match result {
            Ok(mut raw) => {
                if let Ask::Complete { prompt, .. } = ask {
                    wire::without_wrapping(&mut raw, prompt);
                }
                self.memory.keep(who, ask.model(), raw.take_kept());
                Ok(raw)
            }
            Err(mut fault) => {
                if let Some(said) = &fault.said {
                    progress.refused_unless_heard();
                    // Only a request that is at fault as a whole can be at fault by a part.
                    if matches!(
                        fault.error.class,
                        ErrorClass::Invalid | ErrorClass::Provider
                    ) {
                        fault.dropped = compat::refused(said, sent);
                    }
                }
                Err(fault)
            }
        }
    }

    fn key(&self) -> Result<Key, Fault> {
        let Some(name) = &self.settings.key else {
            return Ok(None);
        };
        let key = self.keys.key(name).filter(|key| !key.is_empty());
        key.map(Some).ok_or_else(|| {
            let message = format!(
                "the secret {name} of provider `{}` has no value",
                self.settings.name
            );
            let hint = format!(
                "set the variable or file that [secrets] of your flowhost.toml names for {name}; without such a \
                 line, FLOWHOST_SECRET_{name}"
            );
            Fault::new(ErrorClass::Auth, message, hint)
        })
    }

    fn request(
        &self,
        request: &wire::Request,
        key: &Key,
        who: &Who<'_>,
    ) -> Result<Request<Bytes>, Fault> {
        let unsendable = |what: &str| {
            let message = format!("provider `{}`: {what}", self.settings.name);
            Fault::new(ErrorClass::Invalid, message, "")
        };
        let base = self.settings.url.as_ref().map_or("", |url| url.as_str());
        let body = serde_json::to_vec(&request.body)
            .map_err(|_| unsendable("the request cannot be written as JSON"))?;
        let mut built = Request::post(format!("{}/{}", base.trim_end_matches('/'), request.path))
            .body(Bytes::from(body))
            .map_err(|_| unsendable("the address cannot be asked for"))?;
        let headers = built.headers_mut();
        let fixed = HeaderValue::from_static;
        headers.insert(header::CONTENT_TYPE, fixed("application/json"));
        headers.insert(header::ACCEPT, fixed("text/event-stream, application/json"));
        headers.insert(
            header::USER_AGENT,
            fixed(concat!("flowhost/", env!("CARGO_PKG_VERSION"))),
        );
        // The version that the codec was written to; the API refuses a request without one.
        if self.wire == Wire::Anthropic {
            headers.insert("anthropic-version", fixed("2023-06-01"));
        }
        // Only what is of the standard's form leaves the host in this header.
        if is_traceparent(who.traceparent)
            && let Ok(value) = HeaderValue::from_str(who.traceparent)
        {
            headers.insert("traceparent", value);
        }
        if let Some(key) = key {
            let (name, value) = self.authorization(key)?;
            headers.insert(name, value);
        }
        Ok(built)
    }

    fn authorization(&self, key: &Zeroizing<String>) -> Result<(&'static str, HeaderValue), Fault> {
        let (name, text) = match self.wire {
            Wire::Chat | Wire::Responses => {
                ("authorization", Zeroizing::new(format!("Bearer {}", **key)))
            }
            Wire::Anthropic => ("x-api-key", key.clone()),
        };
        let mut value = HeaderValue::from_str(&text).map_err(|_| {
            let secret = self.settings.key.as_deref().unwrap_or_default();
            let message = format!("the secret {secret} holds characters that no header can");
            Fault::new(ErrorClass::Auth, message, "is there a line break in it?")
        })?;
        // Kept out of the debug output of the crates that it passes.
        value.set_sensitive(true);
        Ok((name, value))
    }

    async fn exchange(
        &self,
        request: Request<Bytes>,
        bytes_max: usize,
        mut decoder: Box<dyn Decoder>,
        progress: &mut Progress,
    ) -> Result<Raw, Fault> {
        progress.sent();
        // A server that fell silent may have read the request and count it: `sent` stands unless it
        // is known otherwise.
        let response = self
            .in_time(self.transport.send(request), ErrorClass::Transient)
            .await?
            .map_err(|error| {
                if let TransportError::Connect(_) = error {
                    progress.refused();
                }
                self.no_response(&error)
            })?;
        // No wire has another status for an answer; a redirect is not followed, since the key would
        // go along.
        if response.status() != StatusCode::OK {
            progress.refused();
            return Err(self.refusal(response).await);
        }
        // None was asked for, and there is no decompressor here: its output would need a bound of
        // its own.
        if let Some(encoding) = encoding(response.headers()) {
            return Err(foreign(&format!("the encoding {encoding}")));
        }
        let named = named_stream(response.headers());
        let mut body = response.into_body();
        let (head, kind) = self.head(&mut body, named).await?;
        match kind {
            Kind::Stream => {
                let broke = self
                    .stream(body, head, bytes_max, decoder.as_mut(), progress)
                    .await?;
                let ended = Ended {
                    said: false,
                    broke: broke.is_some(),
                };
                // An answer that gave its reason to end is whole, whatever the connection did then.
                decoder
                    .finish(ended, progress)
                    .map_err(|fault| broke.unwrap_or(fault))
            }
            Kind::Json => {
                let bytes = self.whole(body, head, bytes_max).await?;
                answer_in_body(&bytes, decoder, progress)
            }
            Kind::Other => {
                let bytes = self.words(body, head).await;
                Err(refused_in_words(&bytes))
            }
        }
    }

    /// The first bytes of a body, and what they are: the type that the server names is often another's,
    /// so it decides only where the bytes do not.
    async fn head(&self, body: &mut Body, named: bool) -> Result<(Vec<u8>, Kind), Fault> {
        let mut head = Vec::new();
        loop {
            if let Some(kind) = kind(&head, named) {
                return Ok((head, kind));
            }
            let piece = self.in_time(next(body), ErrorClass::Cut).await?;
            match piece.map_err(|error| broke_off(&error))? {
                // Blanks without end are silence.
                Some(piece) if head.len() < BLANKS_MAX => head.extend_from_slice(&piece),
                _ => return Ok((head, if named { Kind::Stream } else { Kind::Other })),
            }
        }
    }

    fn no_response(&self, error: &TransportError) -> Fault {
        let name = &self.settings.name;
        match error {
            TransportError::Connect(why) => {
                let message = format!("provider `{name}` cannot be reached: {why}");
                let hint = format!("check url in [models.providers.{name}], and that it runs");
                Fault::new(ErrorClass::Unreachable, message, hint)
            }
            TransportError::Broke(why) => {
                let message = format!("provider `{name}` closed before it answered: {why}");
                Fault::new(ErrorClass::Transient, message, "")
            }
            TransportError::Malformed(why) => {
                let message = format!("provider `{name}` answered what is not HTTP: {why}");
                Fault::new(
                    ErrorClass::Provider,
                    message,
                    "is something else at that address?",
                )
            }
        }
    }

    /// Waits no longer than the provider may be silent.
    async fn in_time<T>(
        &self,
        work: impl Future<Output = T>,
        late: ErrorClass,
    ) -> Result<T, Fault> {
        timeout(self.settings.idle_timeout, work)
            .await
            .map_err(|_| {
                let name = &self.settings.name;
                let silence = self.settings.idle_timeout.as_secs_f64();
                let message = format!("provider `{name}` was silent for {silence} s");
                let hint = format!("raise idle_timeout in [models.providers.{name}]");
                Fault::new(late, message, hint)
            })
    }

    async fn refusal(&self, response: Response<Body>) -> Fault {
        let status = response.status().as_u16();
        let retry_after = retry_after(response.headers(), self.clock.now_ms());
        let body = self.words(response.into_body(), Vec::new()).await;
        classify(&Refusal {
            status,
            retry_after,
            body,
        })
    }

    /// A body that is only asked for its reason. Cut and not refused where it is long or breaks off: the
    /// reason stands at the start, and without one the status says enough.
    async fn words(&self, mut body: Body, mut bytes: Vec<u8>) -> Vec<u8> {
        while bytes.len() < ERROR_BYTES_MAX
            && let Ok(Ok(Some(piece))) = self.in_time(next(&mut body), ErrorClass::Transient).await
        {
            let room = ERROR_BYTES_MAX - bytes.len();
            bytes.extend_from_slice(piece.get(..room.min(piece.len())).unwrap_or_default());
        }
        bytes
    }

    /// Reads events until the stream or its connection ends; returns how it broke, if it did.
    async fn stream(
        &self,
        mut body: Body,
        head: Vec<u8>,
        bytes_max: usize,
        decoder: &mut dyn Decoder,
        progress: &mut Progress,
    ) -> Result<Option<Fault>, Fault> {
        let mut events = Events::new(bytes_max);
        events.take(&head, decoder, progress)?;
        while !decoder.ended() {
            let piece = match self.in_time(next(&mut body), ErrorClass::Cut).await {
                Ok(Ok(Some(piece))) => piece,
                Ok(Ok(None)) => {
                    events.end(decoder, progress)?;
                    return Ok(None);
                }
                Ok(Err(error)) => return Ok(Some(broke_off(&error))),
                Err(silence) => return Ok(Some(silence)),
            };
            events.take(&piece, decoder, progress)?;
        }
        // Nothing follows the last word; a body that is read to its end gives its connection back,
        // and one that is not read so costs the next call a handshake and no more.
        let _ = timeout(DRAIN, next(&mut body)).await;
        Ok(None)
    }

    async fn whole(
        &self,
        mut body: Body,
        mut bytes: Vec<u8>,
        bytes_max: usize,
    ) -> Result<Vec<u8>, Fault> {
        while let Some(piece) = self
            .in_time(next(&mut body), ErrorClass::Cut)
            .await?
            .map_err(|error| broke_off(&error))?
        {
            if bytes.len() + piece.len() > bytes_max {
                return Err(too_large(bytes_max));
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }
}

/// The events of one stream on their way to its decoder.
struct Events {
    parser: sse::Parser,
    ready: Vec<sse::Event>,
    total: usize,
    bytes_max: usize,
}

impl Events {
    fn new(bytes_max: usize) -> Self {
        Self {
            parser: sse::Parser::default(),
            ready: Vec::new(),
            total: 0,
            bytes_max,
        }
    }

    fn take(
        &mut self,
        piece: &[u8],
        decoder: &mut dyn Decoder,
        progress: &mut Progress,
    ) -> Result<(), Fault> {
        self.total += piece.len();
        if self.total > self.bytes_max {
            return Err(too_large(self.bytes_max));
        }
        self.parser
            .push(piece, &mut self.ready)
            .map_err(unreadable)?;
        self.hand_on(decoder, progress)
    }

    /// The stream has ended in order: also an event without the blank line after it counts, if it is
    /// whole.
    fn end(&mut self, decoder: &mut dyn Decoder, progress: &mut Progress) -> Result<(), Fault> {
        let last = self.parser.end().map_err(unreadable)?;
        let last = last.into_iter().flat_map(wire::apart);
        self.ready
            .extend(last.filter(|it| wire::is_whole(&it.data)));
        self.hand_on(decoder, progress)
    }

    fn hand_on(&mut self, decoder: &mut dyn Decoder, progress: &mut Progress) -> Result<(), Fault> {
        for event in self.ready.drain(..) {
            // Nearly all are one line: those are handed on as they are.
            let several = event.data.contains('\n');
            let events = several.then(|| wire::apart(event.clone()));
            for event in events.as_deref().unwrap_or(std::slice::from_ref(&event)) {
                if !decoder.ended() {
                    decoder.event(event, progress)?;
                }
            }
        }
        Ok(())
    }
}

fn unreadable(error: sse::SseError) -> Fault {
    let message = format!("the provider's event stream cannot be read: {error}");
    Fault::new(ErrorClass::Provider, message, "")
}

/// An answer that is one JSON document, or one on each line.
fn answer_in_body(
    bytes: &[u8],
    mut decoder: Box<dyn Decoder>,
    progress: &mut Progress,
) -> Result<Raw, Fault> {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_start_matches('\u{feff}').trim();
    match serde_json::from_str::<Value>(text) {
        Ok(body) => {
            // Some servers answer 200 and put the error in the body.
            if body.get("error").is_some_and(|error| !error.is_null()) {
                return Err(classify(&Refusal {
                    body: text.as_bytes().to_vec(),
                    ..Refusal::default()
                }));
            }
            decoder.body(&body, progress)?;
        }
        Err(error) => {
            let lines = sse::Event {
                name: String::new(),
                data: text.to_owned(),
            };
            let lines = wire::apart(lines);
            if lines.len() < 2 {
                let message = format!("the provider's answer is not JSON: {error}");
                return Err(Fault::new(ErrorClass::Provider, message, ""));
            }
            for line in &lines {
                decoder.event(line, progress)?;
            }
        }
    }
    decoder.finish(Ended::default(), progress)
}

/// A 200 that is neither JSON nor a stream: what it says in plain text is the reason; a page is something
/// else altogether, and stays so however often it is asked for.
fn refused_in_words(bytes: &[u8]) -> Fault {
    let text = String::from_utf8_lossy(bytes);
    if text.trim().is_empty() {
        let message = "the provider answered with nothing";
        return Fault::new(ErrorClass::Provider, message, "");
    }
    if text.trim_start().starts_with('<') {
        return foreign("a page");
    }
    classify(&Refusal {
        body: bytes.to_vec(),
        ..Refusal::default()
    })
}

fn foreign(what: &str) -> Fault {
    Fault::new(
        ErrorClass::Provider,
        format!("the provider answered with {what}, not with JSON or an event stream"),
        "is the address that of a compatible server?",
    )
    .hopeless()
}

fn broke_off(error: &TransportError) -> Fault {
    let message = format!("the answer broke off: {error}");
    Fault::new(ErrorClass::Cut, message, "")
}

fn too_large(bytes_max: usize) -> Fault {
    let message = format!("the answer was cut: it passed {bytes_max} bytes on the wire");
    Fault::new(ErrorClass::Cut, message, "").hopeless()
}

/// Bytes of a response that can be an answer.
fn bytes_max(ask: &Ask<'_>) -> usize {
    match ask {
        Ask::Complete { prompt, .. } => wire::wire_bytes_max(prompt.max_tokens),
        // One more, for the object around the vectors.
        Ask::Embed { texts, .. } => (texts.len().min(EMBED_TEXTS_MAX) + 1)
            .saturating_mul(VECTOR_BYTES_MAX)
            .min(VECTORS_BYTES_MAX),
    }
}

/// The next data of a body; trailers are passed over.
async fn next(body: &mut Body) -> Result<Option<Bytes>, TransportError> {
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Stream,
    Json,
    Other,
}

/// Blanks before an answer: keep-alives of a proxy are a few bytes each.
const BLANKS_MAX: usize = 64 << 10;

/// What a body is by its first bytes; none when more are needed.
fn kind(head: &[u8], named_stream: bool) -> Option<Kind> {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let head = head.trim_ascii_start();
    const FIELDS: [&[u8]; 5] = [b":", b"data", b"event", b"id", b"retry"];
    if matches!(head.first()?, b'{' | b'[') {
        return Some(Kind::Json);
    }
    if FIELDS.iter().any(|field| head.starts_with(field)) {
        return Some(Kind::Stream);
    }
    // A field's name that is cut by the end of a packet; nothing at all counts as such a one.
    if FIELDS.iter().any(|field| field.starts_with(head)) {
        return None;
    }
    Some(if named_stream {
        Kind::Stream
    } else {
        Kind::Other
    })
}

fn encoding(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::CONTENT_ENCODING)?.to_str().ok()?;
    Some(value).filter(|it| *it != "identity")
}

fn named_stream(headers: &HeaderMap) -> bool {
    let value = headers
        .get(header::CONTENT_TYPE)
        .and_then(|it| it.to_str().ok())
        .unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("text/event-stream")
}

/// `retry-after-ms` as OpenAI sends it, else `retry-after` in seconds or as an HTTP date (RFC 9110,
/// section 10.2.3).
fn retry_after(headers: &HeaderMap, now_ms: u64) -> Option<Duration> {
    let value = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let seconds = |text: &str, scale: f64| {
        // RFC 9110 has whole seconds; some servers send fractions, and a float reads both.
        let seconds = text.trim().parse::<f64>().ok()? / scale;
        let seconds = Some(seconds).filter(|seconds| seconds.is_finite())?;
        // More than any time there is means: not soon.
        let most = RETRY_AFTER_MAX.as_secs_f64();
        Duration::try_from_secs_f64(seconds.min(most)).ok()
    };
    let after = value("retry-after-ms").and_then(|text| seconds(text, 1_000.0));
    let after = after.or_else(|| {
        let text = value("retry-after")?;
        seconds(text, 1.0).or_else(|| until(text, now_ms))
    });
    after.map(|after| after.min(RETRY_AFTER_MAX))
}

/// How long until an HTTP date; a date that has passed is now.
fn until(text: &str, now_ms: u64) -> Option<Duration> {
    let date = httpdate::parse_http_date(text.trim()).ok()?;
    let since = date
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    Some(since.saturating_sub(Duration::from_millis(now_ms)))
}

/// W3C trace context, version 00.
fn is_traceparent(text: &str) -> bool {
    let lower = |part: &str| part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let parts: Vec<&str> = text.split('-').collect();
    let widths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    widths == [2, 32, 16, 2] && parts.iter().all(|part| lower(part)) && text.starts_with("00-")
}

/// Takes the key out of whatever came back.
fn without_key(result: Result<Raw, Fault>, key: &Key) -> Result<Raw, Fault> {
    // A shorter key stands in any text by chance. A header holds ASCII, so its bytes are its characters.
    let long = |key: &&Zeroizing<String>| key.len() >= text::KEY_PIECE_CHARS_MIN;
    let Some(key) = key.as_ref().filter(long) else {
        return result;
    };
    let clean = |text: &mut String| {
        if text.contains(key.as_str()) {
            // The whole key only: an answer is the model's text, and a piece of eight letters may
            // be its own.
            *text = text.replace(key.as_str(), "[key]");
        }
    };
    match result {
        Ok(mut raw) => {
            raw.texts(clean);
            Ok(raw)
        }
        Err(mut fault) => {
            fault.error.message = text::without_key(&fault.error.message, key);
            fault.error.hint = text::without_key(&fault.error.hint, key);
            fault.said = fault.said.map(|said| text::without_key(&said, key));
            Err(fault)
        }
    }
}

#[cfg(test)]
mod tests;
