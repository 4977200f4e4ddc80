//! Takes secret values out of what a guest, a person or a log is about to see.
//!
//! The attack: a server that the secret was rightly sent to echoes it, as it is or encoded, and the
//! guest reads what it must never hold. This file knows the listed encodings (raw, hexadecimal,
//! base64 at every alignment, percent, JSON) and nothing else: a server that answers with another
//! transformation of the secret can only be stopped by not sending it there.

use base64::{
    Engine, alphabet,
    engine::{GeneralPurpose, general_purpose::NO_PAD},
};
use zeroize::Zeroizing;

/// What stands in a secret's place.
pub const REDACTED: &[u8] = b"[redacted]";

/// Shortest encoded form that is looked for, in bytes: shorter ones would hit innocent text.
const ENCODED_MIN: usize = 6;

/// The values to look for, in every listed encoding. Zeroised when dropped.
pub struct Redactor {
    /// Longest first, so that an encoding is replaced whole.
    patterns: Vec<Zeroizing<Vec<u8>>>,
    starts: [bool; 256],
}

/// Bytes without the secrets, and how many there were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redacted {
    /// What may be shown.
    pub bytes: Vec<u8>,
    /// Places that were replaced; 0 when `bytes` is the input.
    pub hits: usize,
}

impl Redactor {
    /// A redactor for `values`. Empty values are skipped.
    ///
    /// # Examples
    ///
    /// ```
    /// use flowhost_caps::secrets::Redactor;
    /// let redactor = Redactor::new(["s3cret-token"]);
    /// let clean = redactor.redact(b"your token: s3cret-token");
    /// assert_eq!(clean.bytes, b"your token: [redacted]");
    /// assert_eq!(clean.hits, 1);
    /// ```
    #[must_use]
    pub fn new<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let mut patterns: Vec<Zeroizing<Vec<u8>>> = values
            .into_iter()
            .filter(|value| !value.is_empty())
            .flat_map(forms)
            .collect();
        patterns.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        patterns.dedup();
        let mut starts = [false; 256];
        for first in patterns.iter().filter_map(|pattern| pattern.first()) {
            if let Some(start) = starts.get_mut(usize::from(*first)) {
                *start = true;
            }
        }
        Self { patterns, starts }
    }

    /// Replaces every occurrence.
    #[must_use]
    pub fn redact(&self, mut rest: &[u8]) -> Redacted {
        let mut bytes = Vec::with_capacity(rest.len());
        let mut hits = 0;
        while let Some((first, tail)) = rest.split_first() {
            match self.length_at(*first, rest) {
                Some(length) => {
                    bytes.extend_from_slice(REDACTED);
                    hits += 1;
                    rest = rest.get(length..).unwrap_or_default();
                }
                None => {
                    bytes.push(*first);
                    rest = tail;
                }
            }
        }
        Redacted { bytes, hits }
    }

    fn length_at(&self, first: u8, rest: &[u8]) -> Option<usize> {
        if !self
            .starts
            .get(usize::from(first))
            .copied()
            .unwrap_or(false)
        {
            return None;
        }
        self.patterns
            .iter()
            .find(|pattern| rest.starts_with(pattern))
            .map(|pattern| pattern.len())
    }
}

fn forms(value: &str) -> Vec<Zeroizing<Vec<u8>>> {
    let raw = value.as_bytes();
    let mut encoded = Vec::new();
    encoded.push(hex(raw, false));
    encoded.push(hex(raw, true));
    for alphabet in [&alphabet::STANDARD, &alphabet::URL_SAFE] {
        encoded.extend((0..3).map(|shift| base64_inside(raw, shift, alphabet)));
    }
    for upper in [false, true] {
        encoded.push(percent(raw, upper, |byte| byte.is_ascii_alphanumeric()));
        encoded.push(percent(raw, upper, |b| {
            b.is_ascii_alphanumeric() || b"-._~".contains(&b)
        }));
        encoded.push(percent(raw, upper, |_| false));
        encoded.push(json_numeric(value, upper));
    }
    encoded.push(plus_for_space(raw));
    encoded.push(json(value, false));
    encoded.push(json(value, true));
    let long = encoded.into_iter().filter(|form| form.len() >= ENCODED_MIN);
    std::iter::once(raw.to_vec())
        .chain(long)
        .map(Zeroizing::new)
        .collect()
}

fn digits(byte: u8, upper: bool) -> [u8; 2] {
    let table: &[u8; 16] = if upper {
        b"0123456789ABCDEF"
    } else {
        b"0123456789abcdef"
    };
    let digit = |nibble: u8| table.get(usize::from(nibble)).copied().unwrap_or(b'0');
    [digit(byte >> 4), digit(byte & 15)]
}

fn hex(raw: &[u8], upper: bool) -> Vec<u8> {
    raw.iter().flat_map(|byte| digits(*byte, upper)).collect()
}

/// The base64 characters that depend on `raw` alone when it starts `shift` bytes after a group.
fn base64_inside(raw: &[u8], shift: usize, alphabet: &alphabet::Alphabet) -> Vec<u8> {
    let mut padded = Zeroizing::new(vec![0; shift]);
    padded.extend_from_slice(raw);
    let whole = GeneralPurpose::new(alphabet, NO_PAD).encode(padded.as_slice());
    let first = (shift * 8).div_ceil(6);
    let last = padded.len() * 8 / 6;
    whole
        .as_bytes()
        .get(first..last)
        .unwrap_or_default()
        .to_vec()
}

fn percent(raw: &[u8], upper: bool, plain: impl Fn(u8) -> bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len() * 3);
    for byte in raw {
        if plain(*byte) {
            out.push(*byte);
        } else {
            out.push(b'%');
            out.extend(digits(*byte, upper));
        }
    }
    out
}

/// `application/x-www-form-urlencoded`.
fn plus_for_space(raw: &[u8]) -> Vec<u8> {
    let escaped = percent(raw, true, |b| {
        b.is_ascii_alphanumeric() || b" -._*".contains(&b)
    });
    escaped
        .into_iter()
        .map(|byte| if byte == b' ' { b'+' } else { byte })
        .collect()
}

/// The inside of a JSON string, with or without the escape that `/` may have.
fn json(value: &str, solidus: bool) -> Vec<u8> {
    let text = serde_json::Value::from(value).to_string();
    let inside = text
        .get(1..text.len().saturating_sub(1))
        .unwrap_or_default();
    if solidus {
        inside.replace('/', "\\/").into_bytes()
    } else {
        inside.as_bytes().to_vec()
    }
}

/// A JSON string with everything but letters and digits as `\u00XX`.
fn json_numeric(value: &str, upper: bool) -> Vec<u8> {
    let mut out = Vec::new();
    for unit in value.encode_utf16() {
        match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii_alphanumeric() => out.push(byte),
            _ => {
                let [high, low] = unit.to_be_bytes();
                out.extend(b"\\u");
                out.extend(digits(high, upper));
                out.extend(digits(low, upper));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

    use super::*;

    const SECRET: &str = "s3cr/t+\"tok en\"-ü";

    fn shows(text: &str) -> String {
        String::from_utf8(Redactor::new([SECRET]).redact(text.as_bytes()).bytes).unwrap()
    }

    #[test]
    fn cap_012_redacts_every_listed_encoding() {
        let raw = SECRET.as_bytes();
        let hexed: String = raw.iter().map(|b| format!("{b:02x}")).collect();
        let percented: String = raw.iter().map(|b| format!("%{b:02X}")).collect();
        for form in [
            SECRET.to_owned(),
            hexed.to_uppercase(),
            hexed,
            percented,
            serde_json::to_string(SECRET).unwrap(),
            "s3cr%2Ft%2B%22tok%20en%22-%C3%BC".to_owned(),
            "s3cr%2ft%2b%22tok%20en%22-%c3%bc".to_owned(),
            "s3cr%2Ft%2B%22tok+en%22-%C3%BC".to_owned(),
            "s3cr\\/t+\\\"tok en\\\"-ü".to_owned(),
            "s3cr\\u002ft\\u002b\\u0022tok\\u0020en\\u0022\\u002d\\u00fc".to_owned(),
        ] {
            let shown = shows(&format!("a {form} b"));
            assert!(shown.contains("[redacted]"), "{form} gave {shown}");
            assert!(
                !shown.contains("s3cr") && !shown.contains("7333"),
                "{form} gave {shown}"
            );
        }
    }

    #[test]
    fn cap_012_redacts_base64_wherever_the_secret_starts_in_it() {
        for before in ["", "u", "us", "user:", "a-long-user-name:"] {
            let text = format!("{before}{SECRET}:after");
            for coded in [STANDARD.encode(&text), URL_SAFE_NO_PAD.encode(&text)] {
                assert!(shows(&coded).contains("[redacted]"), "{before}: {coded}");
            }
        }
    }

    #[test]
    fn leaves_innocent_text_as_it_is() {
        let clean = Redactor::new([SECRET, ""]).redact(b"nothing to see: s3cr");
        assert_eq!(
            (clean.bytes.as_slice(), clean.hits),
            (b"nothing to see: s3cr".as_slice(), 0)
        );
    }

    #[test]
    fn counts_every_place() {
        let twice = Redactor::new(["token-one", "token-two"]).redact(b"token-one,token-two,token");
        assert_eq!(twice.bytes, b"[redacted],[redacted],token");
        assert_eq!(twice.hits, 2);
    }
}
