//! Paths that mean the same to every server, so that a prefix rule is a prefix.
//!
//! The attack: `/v1/../admin`, `/v1/%2e%2e/admin`, `/v1/..;/admin` and `/v1/..%2fadmin` all start
//! with `/v1/` and arrive at `/admin` on one server or another. Nothing is repaired here; what is
//! not plain is refused.

use super::authority::Refused;

/// Refuses a path in which any reader could find a dot segment or a hidden separator.
pub(crate) fn check(path: &str) -> Result<(), Refused> {
    if !path.is_empty() && !path.starts_with('/') {
        return Err(Refused("url.path"));
    }
    if path.split('/').all(plain_segment) {
        Ok(())
    } else {
        Err(Refused("url.path"))
    }
}

fn plain_segment(segment: &str) -> bool {
    escapes_are_plain(segment.as_bytes()) && !is_dots(segment)
}

/// Every `%` starts a valid escape, and none hides a dot, a separator, a control character or,
/// after a second decoding, another of these.
fn escapes_are_plain(segment: &[u8]) -> bool {
    let mut rest = segment;
    while let Some(at) = rest.iter().position(|b| *b == b'%') {
        let Some(byte) = rest.get(at + 1..).and_then(hex_pair) else {
            return false;
        };
        rest = rest.get(at + 3..).unwrap_or(&[]);
        let twice = byte == b'%' && hex_pair(rest).is_some_and(|next| next == b'%' || is_sly(next));
        if is_sly(byte) || twice {
            return false;
        }
    }
    true
}

fn is_sly(byte: u8) -> bool {
    matches!(byte, b'.' | b'/' | b'\\' | 0..=0x1f | 0x7f)
}

fn hex_pair(text: &[u8]) -> Option<u8> {
    let [high, low] = *text.first_chunk::<2>()?;
    Some(hex(high)? << 4 | hex(low)?)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

/// `.` and `..`, also with path parameters behind them (`..;x`, `..%3bx`).
fn is_dots(segment: &str) -> bool {
    let name = segment.split([';', '%']).next().unwrap_or("");
    matches!(name, "." | "..")
}
