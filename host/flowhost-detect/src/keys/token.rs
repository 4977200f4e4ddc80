//! Keys that are followed to their end before it is known whether they are any: web tokens and blocks
//! of private keys. Each says what keeps its search linear.

use super::url_safe;
use crate::text::Text;

/// What is known about web tokens that are none: all that start in the same run would be read to the
/// same end, and a text of nothing but starts must not cost their number squared.
#[derive(Default)]
pub(super) struct Webs {
    none_before: usize,
}

impl Webs {
    /// The end of a JSON web token (RFC 7519, signed or encrypted) that starts there.
    pub(super) fn end(&mut self, text: &Text, at: usize) -> Option<usize> {
        if at < self.none_before {
            return None;
        }
        text.word(at, "eyJ")?;
        let header = text.rest(at, url_safe);
        let end = claims_and_signature(text, header)
            .or_else(|| encrypted(text, header))
            .filter(|_| header - at >= "eyJ".len() + 8);
        if end.is_none() {
            self.none_before = header;
        }
        end
    }
}

fn claims_and_signature(text: &Text, header: usize) -> Option<usize> {
    let claims = text.word(header, ".eyJ")?;
    let dot = text.rest(claims, url_safe);
    let signature = text.word(dot, ".")?;
    let end = text.rest(signature, url_safe);
    (dot - claims >= 8 && end - signature >= 16).then_some(end)
}

/// The four parts behind the header of an encrypted token (RFC 7516): the key, which may be empty, the
/// vector, the text, the tag.
fn encrypted(text: &Text, header: usize) -> Option<usize> {
    let mut end = header;
    for least in [0, 12, 1, 16] {
        let part = text.word(end, ".")?;
        end = text.rest(part, url_safe);
        (end - part >= least).then_some(())?;
    }
    Some(end)
}

/// The end of a private key that starts there (RFC 7468, and what OpenPGP makes of it): the whole
/// block, or of one that was cut off its lines of base64. The search for the block's end stops at
/// the next two dashes, where the next block can start at the earliest.
pub(super) fn private_key(text: &Text, at: usize) -> Option<usize> {
    let body = begins(text, at)?;
    let dashes = (body..text.len())
        .find(|at| text.at(*at) == Some(b'-') && text.at(at + 1) == Some(b'-'))
        .unwrap_or(text.len());
    Some(ends(text, dashes).unwrap_or_else(|| base64_words(text, body)))
}

/// Past `-----BEGIN … PRIVATE KEY-----`.
fn begins(text: &Text, at: usize) -> Option<usize> {
    let mut word = text.word(at, "-----BEGIN ")?;
    for _ in 0..3 {
        if let Some(end) = text.word(word, "PRIVATE KEY") {
            let end = text.word(end, " BLOCK").unwrap_or(end);
            return text.word(end, "-----");
        }
        let end = text.run(word, |byte| byte.is_ascii_uppercase(), 12);
        word = text.word(end, " ").filter(|_| end > word)?;
    }
    None
}

/// Past `-----END …-----`.
fn ends(text: &Text, at: usize) -> Option<usize> {
    let name = text.word(at, "-----END ")?;
    let end = text.run(name, |byte| byte.is_ascii_uppercase() || byte == b' ', 40);
    text.word(end, "-----").filter(|_| end > name)
}

/// Past the words of base64 that follow, each long enough to be none of prose.
fn base64_words(text: &Text, from: usize) -> usize {
    let base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    let mut end = from;
    loop {
        let word = text.run(end, |byte| byte.is_ascii_whitespace(), 8);
        let head = text.run(word, base64, 16);
        if head - word < 16 {
            return end;
        }
        end = text.rest(head, base64);
    }
}
