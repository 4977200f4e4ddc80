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
    error::ErrorClass,
    fault::Fault,
    http::{Body, Transport, TransportError},
    ports::{Clock, KeySource, Who},
    progress::Progress,
    prompt::EMBED_TEXTS_MAX,
    settings::ProviderSettings,
    sse, text,
    wire::{self, Decoder, Refusal, Wire, classify},
};

/// Bytes of an error's body that are read.
const ERROR_BYTES_MAX: usize = 64 << 10;
/// Bytes of an embedding's body for each text: 16,384 numbers of 20 digits.
const VECTOR_BYTES_MAX: usize = 512 << 10;
/// Bytes of any embedding's body.
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
}

type Key = Option<Zeroizing<String>>;

impl Remote {
    pub(crate) async fn run(
        &self,
        ask: &Ask<'_>,
        who: &Who<'_>,
        progress: &mut Progress,
    ) -> Result<Raw, Fault> {
        let (request, decoder) = self.wire.encode(*ask, &self.settings)?;
        let key = self.key()?;
        let request = self.request(&request, &key, who)?;
        let result = self.exchange(request, bytes_max(ask), decoder, progress);
        without_key(result.await, &key)
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
                "set the variable or file that [secrets] of flowhost.toml names for {name}; without such a \
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
        if self.wire == Wire::Anthropic {
            headers.insert("anthropic-version", fixed("2023-06-01"));
        }
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
            Wire::OpenAi => ("authorization", Zeroizing::new(format!("Bearer {}", **key))),
            Wire::Anthropic => ("x-api-key", key.clone()),
        };
        let mut value = HeaderValue::from_str(&text).map_err(|_| {
            let secret = self.settings.key.as_deref().unwrap_or_default();
            let message = format!("the secret {secret} holds characters that no header can");
            Fault::new(ErrorClass::Auth, message, "is there a line break in it?")
        })?;
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
        let sending = self.in_time(self.transport.send(request), ErrorClass::Transient);
        let response = sending.await?.map_err(|error| {
            if let TransportError::Connect(_) = error {
                progress.refused();
            }
            self.no_response(&error)
        })?;
        if response.status() != StatusCode::OK {
            progress.refused();
            return Err(self.refusal(response).await);
        }
        match content(response.headers()) {
            Content::Stream => {
                let broke = self
                    .stream(response.into_body(), bytes_max, decoder.as_mut(), progress)
                    .await?;
                // An answer that gave its reason to end is whole, whatever the connection did then.
                decoder
                    .finish(progress)
                    .map_err(|fault| broke.unwrap_or(fault))
            }
            Content::Json => {
                let body = self.whole(response.into_body(), bytes_max).await?;
                let body: Value = serde_json::from_slice(&body).map_err(|error| {
                    let message = format!("the provider's answer is not JSON: {error}");
                    Fault::new(ErrorClass::Provider, message, "")
                })?;
                // Some servers answer 200 and put the error in the body.
                if body.get("error").is_some_and(|error| !error.is_null()) {
                    progress.refused();
                    let body = body.to_string().into_bytes();
                    return Err(classify(&Refusal {
                        body,
                        ..Refusal::default()
                    }));
                }
                decoder.body(&body, progress)?;
                decoder.finish(progress)
            }
            Content::Other(what) => Err(Fault::new(
                ErrorClass::Provider,
                format!("the provider answered with {what}, not with JSON or an event stream"),
                "is the address that of a compatible server?",
            )),
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
        let mut body = response.into_body();
        let mut bytes = Vec::new();
        // The status says enough when the body does not come.
        while let Ok(Ok(Some(piece))) = self.in_time(next(&mut body), ErrorClass::Transient).await {
            let room = ERROR_BYTES_MAX - bytes.len();
            bytes.extend_from_slice(piece.get(..room.min(piece.len())).unwrap_or_default());
            if bytes.len() >= ERROR_BYTES_MAX {
                break;
            }
        }
        classify(&Refusal {
            status,
            retry_after,
            body: bytes,
        })
    }

    /// Reads events until the stream or its connection ends; returns how it broke, if it did.
    async fn stream(
        &self,
        mut body: Body,
        bytes_max: usize,
        decoder: &mut dyn Decoder,
        progress: &mut Progress,
    ) -> Result<Option<Fault>, Fault> {
        let mut parser = sse::Parser::default();
        let mut events = Vec::new();
        let mut total = 0_usize;
        while !decoder.ended() {
            let piece = match self.in_time(next(&mut body), ErrorClass::Cut).await {
                Ok(Ok(Some(piece))) => piece,
                Ok(Ok(None)) => return Ok(None),
                Ok(Err(error)) => return Ok(Some(broke_off(&error))),
                Err(silence) => return Ok(Some(silence)),
            };
            total += piece.len();
            if total > bytes_max {
                return Err(too_large(bytes_max));
            }
            parser.push(&piece, &mut events).map_err(|error| {
                let message = format!("the provider's event stream cannot be read: {error}");
                Fault::new(ErrorClass::Provider, message, "")
            })?;
            for event in events.drain(..) {
                if !decoder.ended() {
                    decoder.event(&event, progress)?;
                }
            }
        }
        let _ = timeout(DRAIN, next(&mut body)).await;
        Ok(None)
    }

    async fn whole(&self, mut body: Body, bytes_max: usize) -> Result<Vec<u8>, Fault> {
        let mut bytes = Vec::new();
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

enum Content {
    Stream,
    Json,
    Other(String),
}

fn content(headers: &HeaderMap) -> Content {
    let value = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(encoding) = value(header::CONTENT_ENCODING).filter(|it| *it != "identity") {
        return Content::Other(format!("the encoding {encoding}"));
    }
    let kind = value(header::CONTENT_TYPE).unwrap_or("no content type");
    let essence = kind.split(';').next().unwrap_or(kind).trim();
    match essence.to_ascii_lowercase().as_str() {
        "text/event-stream" => Content::Stream,
        kind if kind == "application/json" || kind.ends_with("+json") => Content::Json,
        other => Content::Other(other.to_owned()),
    }
}

/// `retry-after-ms` as OpenAI sends it, else `retry-after` in seconds or as an HTTP date (RFC 9110,
/// section 10.2.3).
fn retry_after(headers: &HeaderMap, now_ms: u64) -> Option<Duration> {
    let value = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let seconds = |text: &str, scale: f64| {
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
    let Some(key) = key.as_ref().filter(|key| key.len() >= 8) else {
        return result;
    };
    let clean = |text: &mut String| {
        if text.contains(key.as_str()) {
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
            Err(fault)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-21 10:00:00 UTC.
    const NOW_MS: u64 = 1_795_255_200_000;

    fn after(name: &'static str, value: &'static str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static(value));
        retry_after(&headers, NOW_MS)
    }

    #[test]
    fn reads_retry_after_in_seconds_milliseconds_and_dates() {
        assert_eq!(after("retry-after", "7"), Some(Duration::from_secs(7)));
        assert_eq!(
            after("retry-after", "0.5"),
            Some(Duration::from_millis(500))
        );
        assert_eq!(
            after("retry-after-ms", "250"),
            Some(Duration::from_millis(250))
        );
        let date = "Sat, 21 Nov 2026 10:00:09 GMT";
        assert_eq!(after("retry-after", date), Some(Duration::from_secs(9)));
        let past = "Sat, 21 Nov 2026 09:00:00 GMT";
        assert_eq!(after("retry-after", past), Some(Duration::ZERO));
    }

    #[test]
    fn a_retry_after_that_means_nothing_is_none() {
        for value in ["soon", "-5", "NaN", "inf", ""] {
            assert_eq!(after("retry-after", value), None, "{value}");
        }
        assert_eq!(after("retry-after", "99999999"), Some(RETRY_AFTER_MAX));
    }

    #[test]
    fn a_malformed_trace_context_is_not_sent() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert!(is_traceparent(good));
        for bad in [
            "",
            "00-x",
            &good.to_uppercase(),
            &good.replacen("00", "ff", 1),
            &good[1..],
        ] {
            assert!(!is_traceparent(bad), "{bad}");
        }
    }
}
