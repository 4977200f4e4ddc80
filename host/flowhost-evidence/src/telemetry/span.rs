//! A span as telemetry builds it, before any exporter's types: ids, times, attributes, status.
//!
//! Ids are those of [`flowhost_ledger::trace`]; attributes are numbers and names, never content.

use std::time::SystemTime;

use flowhost_ledger::trace;

/// Events that one span keeps; the default of the OpenTelemetry specification.
pub const EVENTS_MAX: usize = 128;
/// Characters of an attribute that are shown; ids, names and hashes are shorter, and collectors cut or
/// refuse what is much longer.
pub const TEXT_CHARS_MAX: usize = 256;

/// An attribute's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attribute {
    /// Text.
    Text(String),
    /// A whole number.
    Number(u64),
    /// A truth.
    Flag(bool),
    /// Texts.
    Texts(Vec<String>),
}

impl From<&str> for Attribute {
    fn from(text: &str) -> Self {
        Self::Text(cut(text).to_owned())
    }
}

impl From<&Option<String>> for Attribute {
    fn from(text: &Option<String>) -> Self {
        Self::from(text.as_deref().unwrap_or(""))
    }
}

/// At most [`TEXT_CHARS_MAX`] of it.
#[must_use]
pub fn cut(text: &str) -> &str {
    let end = text.char_indices().nth(TEXT_CHARS_MAX);
    end.and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}

impl From<u64> for Attribute {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for Attribute {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

/// A name and a value.
pub type Named = (&'static str, Attribute);

/// How a span ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Status {
    /// Nothing to say: skipped, or informed only.
    #[default]
    Unset,
    /// Well.
    Ok,
    /// Badly: a class or a status word, never a message.
    Error(String),
}

/// Something at one moment of a span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpanEvent {
    /// What happened.
    pub name: &'static str,
    /// When.
    pub at: SystemTime,
    /// About it.
    pub attributes: Vec<Named>,
}

/// Where a run stands in its caller's trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// 32 hexadecimal digits.
    pub trace_id: String,
    /// 16 hexadecimal digits.
    pub span_id: String,
    /// Whether the caller samples.
    pub sampled: bool,
}

/// A span, complete once it has an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// 16 hexadecimal digits.
    pub id: String,
    /// 16 hexadecimal digits; empty for the run's own span.
    pub parent: String,
    /// What is shown.
    pub name: String,
    /// Whether it waited for another service.
    pub client: bool,
    /// Its beginning.
    pub start: SystemTime,
    /// Its end.
    pub end: SystemTime,
    /// Facts about it.
    pub attributes: Vec<Named>,
    /// What happened in it.
    pub events: Vec<SpanEvent>,
    /// Events that were too many.
    pub events_dropped: u32,
    /// The caller's span.
    pub links: Vec<Link>,
    /// How it ended.
    pub status: Status,
}

impl Span {
    /// A span that begins.
    #[must_use]
    pub fn begin(id: String, parent: String, name: String, start: SystemTime) -> Self {
        Self {
            id,
            parent,
            name,
            client: false,
            start,
            end: start,
            attributes: Vec::new(),
            events: Vec::new(),
            events_dropped: 0,
            links: Vec::new(),
            status: Status::Unset,
        }
    }

    /// Adds an attribute, unless it says nothing.
    pub fn set(&mut self, name: &'static str, value: impl Into<Attribute>) {
        let value = value.into();
        if value != Attribute::Text(String::new()) {
            self.attributes.push((name, value));
        }
    }

    /// Adds a number, if there is one.
    pub(crate) fn set_number(&mut self, name: &'static str, value: Option<u64>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    /// Adds an event, as long as there is room.
    pub fn event(&mut self, event: SpanEvent) {
        if self.events.len() < EVENTS_MAX {
            self.events.push(event);
        } else {
            self.events_dropped = self.events_dropped.saturating_add(1);
        }
    }

    /// Ends it; a span never ends before it begins.
    pub fn finish(&mut self, at: SystemTime, status: Status) {
        self.end = at.max(self.start);
        self.status = status;
    }
}

/// The caller of this process, from a `traceparent` in the form of W3C Trace Context; none when it
/// is malformed, all zeros, or of the forbidden version `ff`.
#[must_use]
pub fn caller(traceparent: &str) -> Option<Link> {
    let mut parts = traceparent.trim().split('-');
    let (version, trace_id) = (hex(parts.next()?, 2)?, hex(parts.next()?, 32)?);
    let (span_id, flags) = (hex(parts.next()?, 16)?, hex(parts.next()?, 2)?);
    let zero = |id: &str| id.bytes().all(|byte| byte == b'0');
    // A later version may have more parts; its first four are those of this one.
    let longer = parts.next().is_some();
    if version == "ff" || (version == "00" && longer) || zero(trace_id) || zero(span_id) {
        return None;
    }
    Some(Link {
        trace_id: trace_id.to_owned(),
        span_id: span_id.to_owned(),
        sampled: u8::from_str_radix(flags, 16).is_ok_and(|flags| flags & 1 == 1),
    })
}

fn hex(text: &str, digits: usize) -> Option<&str> {
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    (text.len() == digits && text.bytes().all(is_hex)).then_some(text)
}

/// The run's own span.
#[must_use]
pub(crate) fn run_span(run: &str) -> String {
    trace::span_id(run, &["run"])
}

/// The span of one attempt at a step.
#[must_use]
pub(crate) fn attempt_span(run: &str, step: &str, attempt: &str) -> String {
    trace::span_id(run, &["attempt", step, attempt])
}

/// The span of whatever one record began: a tool call, a guardrail.
#[must_use]
pub(crate) fn record_span(run: &str, seq: u64) -> String {
    trace::span_id(run, &["record", &seq.to_string()])
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn refuses_a_caller_that_is_none() {
        let zero = "00-00000000000000000000000000000000-00f067aa0ba902b7-01";
        let upper = GOOD.to_uppercase();
        let version = GOOD.replacen("00", "ff", 1);
        let longer = format!("{GOOD}-more");
        for bad in ["", "00", zero, &upper, &version, &longer, &GOOD[..54]] {
            assert_eq!(caller(bad), None, "{bad}");
        }
    }

    #[test]
    fn reads_a_caller_of_this_version_and_of_a_later_one() {
        let link = caller(GOOD).unwrap();
        assert_eq!(link.trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(
            (link.span_id.as_str(), link.sampled),
            ("00f067aa0ba902b7", true)
        );
        let later = format!("{}-more", GOOD.replacen("00", "01", 1));
        assert!(caller(&later).is_some());
    }

    #[test]
    fn an_attribute_is_cut_and_never_within_a_character() {
        let Attribute::Text(text) = Attribute::from("ä".repeat(1_000).as_str()) else {
            panic!("it is text");
        };
        assert_eq!(text.chars().count(), TEXT_CHARS_MAX);
    }

    #[test]
    fn events_beyond_the_last_that_fits_are_counted() {
        let at = SystemTime::UNIX_EPOCH;
        let mut span = Span::begin("a".into(), "b".into(), "c".into(), at);
        for _ in 0..EVENTS_MAX + 2 {
            span.event(SpanEvent {
                name: "x",
                at,
                attributes: Vec::new(),
            });
        }
        assert_eq!((span.events.len(), span.events_dropped), (EVENTS_MAX, 2));
    }
}
