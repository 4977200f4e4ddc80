//! Credentials that their position gives away, whatever they look like: behind the name of a header,
//! as the password of a URL or a connection string, behind a name that is only ever given to a key.
//!
//! What is found is the value alone, so that the reader still sees what stood there.

use std::ops::Range;

use super::token::Webs;
use super::{Hit, alphanumeric, base64, is_opaque, placeholder, provider_key, url_safe};
use crate::text::Text;

/// Fewest letters of a bearer token without a provider's prefix.
const BEARER_LEAST: usize = 16;
/// Fewest letters behind the name of a header: `AWS4-HMAC-SHA256` is none.
const HEADER_LEAST: usize = 20;
/// What an `Authorization` header says before a token, in the spellings in use.
const BEARER: &[&str] = &["Bearer ", "bearer ", "BEARER "];
const BASIC: &[&str] = &["Basic ", "basic ", "BASIC "];
/// Headers whose value is a credential, in small letters.
const HEADERS: &[&str] = &[
    "authorization",
    "proxy-authorization",
    "x-api-key",
    "api-key",
    "x-auth-token",
    "x-access-token",
    "x-vault-token",
    "x-figma-token",
    "x-goog-api-key",
    "private-token",
    "job-token",
    "dd-api-key",
    "dd-application-key",
];

/// The `b64token` of RFC 6750.
fn bearer(byte: u8) -> bool {
    base64(byte) || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// What stands behind a header's name, under its provider's name if it has one.
pub(super) fn header(text: &Text, at: usize, first: u8, webs: &mut Webs) -> Option<Hit> {
    match first.to_ascii_lowercase() {
        b'b' => {
            if let Some(start) = BEARER.iter().find_map(|word| text.word(at, word)) {
                return opaque(text, start, "bearer-token", BEARER_LEAST, webs);
            }
            let start = BASIC.iter().find_map(|word| text.word(at, word))?;
            basic(text, start)
        }
        b'a' | b'd' | b'j' | b'p' | b'x' => {
            let names = HEADERS.iter();
            let mut ends = names.filter_map(|name| text.word_of_any_case(at, name));
            let value = ends.find_map(|end| behind(text, end))?;
            let word = text.run(value, |byte| byte.is_ascii_alphabetic(), 12);
            let scheme = text.word(word, " ").filter(|_| word > value);
            let known = |word: &&str| text.word(value, word).is_some();
            if BEARER.iter().chain(BASIC).any(known) {
                // Found again at its own word, under its own name.
                return None;
            }
            opaque(
                text,
                scheme.unwrap_or(value),
                "authorization",
                HEADER_LEAST,
                webs,
            )
        }
        _ => None,
    }
}

/// Where a value starts that a name is given: past quotes, blanks and one of `:`, `=`, `=>`.
fn behind(text: &Text, name: usize) -> Option<usize> {
    let fills = |byte: u8| matches!(byte, b' ' | b'\t' | b'"' | b'\'' | b':' | b'=' | b'>');
    let value = text.run(name, fills, 8);
    let gives = |at: usize| text.is(at, |byte| matches!(byte, b':' | b'='));
    (name..value).any(gives).then_some(value)
}

fn opaque(
    text: &Text,
    start: usize,
    label: &'static str,
    least: usize,
    webs: &mut Webs,
) -> Option<Hit> {
    let known = text
        .at(start)
        .and_then(|first| provider_key(text, start, first, webs));
    if known.is_some() {
        return known;
    }
    let head = text.run(start, bearer, least);
    if head - start < least || !is_opaque(text, start..head) {
        return None;
    }
    let end = text.rest(head, bearer);
    let is_point = text.before(end) == Some(b'.');
    Some((label, start..if is_point { end - 1 } else { end }))
}

/// A name and a password in base64 (RFC 7617): what decodes to text with a colon.
fn basic(text: &Text, start: usize) -> Option<Hit> {
    /// Bytes that are decoded; the colon is behind the name, which is short.
    const HEAD: usize = 256;
    let head = text.run(start, base64, HEAD);
    if head - start < 4 {
        return None;
    }
    let plain = decoded(text.head(&(start..head), HEAD));
    let is_pair = plain.contains(&b':') && plain.iter().all(|byte| !byte.is_ascii_control());
    is_pair.then(|| ("basic-auth", start..text.rest(head, base64)))
}

/// The bytes of a piece of base64; what is left over at its end is dropped.
fn decoded(coded: &[u8]) -> Vec<u8> {
    let sextet = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let (mut plain, mut bits, mut held) = (Vec::new(), 0_u32, 0_u32);
    for value in coded.iter().map_while(|byte| sextet(*byte)) {
        bits = bits << 6 & 0xffff | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            let [.., byte] = (bits >> held).to_be_bytes();
            plain.push(byte);
        }
    }
    plain
}

/// Names that are only ever given to a key, and what the key is made of.
struct Assigned {
    label: &'static str,
    /// In small letters; they stand in any case.
    names: &'static [&'static str],
    class: fn(u8) -> bool,
    least: usize,
}

fn signature(byte: u8) -> bool {
    base64(byte) || matches!(byte, b'%' | b'-' | b'_')
}

const ASSIGNED: &[Assigned] = &[
    Assigned {
        label: "azure-storage-key",
        names: &["accountkey", "sharedaccesskey", "sharedsecretkey"],
        class: base64,
        least: 40,
    },
    Assigned {
        label: "aws-secret-key",
        names: &[
            "aws_secret_access_key",
            "aws_secret_key",
            "secretaccesskey",
            "secret_access_key",
        ],
        class: base64,
        least: 40,
    },
    Assigned {
        label: "aws-session-token",
        names: &["aws_session_token", "x-amz-security-token"],
        class: signature,
        least: 60,
    },
    Assigned {
        label: "npm-token",
        names: &["authtoken"],
        class: url_safe,
        least: 20,
    },
];

/// What stands behind a name that is only given to keys, or the password of a connection string.
pub(super) fn assigned(text: &Text, at: usize, first: u8) -> Option<Hit> {
    match first.to_ascii_lowercase() {
        b'a' | b'x' => {}
        b's' if text.word_of_any_case(at, "sig=").is_some() => return signed_url(text, at),
        b's' => {}
        b'p' => return connection_password(text, at),
        _ => return None,
    }
    ASSIGNED.iter().find_map(|row| {
        let mut ends = row.names.iter();
        let name = ends.find_map(|name| text.word_of_any_case(at, name))?;
        let value = behind(text, name)?;
        let head = text.run(value, row.class, row.least);
        let is_key = head - value == row.least && is_opaque(text, value..head);
        is_key.then(|| (row.label, value..text.rest(head, row.class)))
    })
}

/// The signature of a URL that grants what it names (Azure's `sig=`).
fn signed_url(text: &Text, at: usize) -> Option<Hit> {
    // As a parameter alone: programs name signals and other signatures so.
    let in_query = text
        .before(at)
        .is_some_and(|byte| matches!(byte, b'?' | b'&' | b';'));
    let value = at + "sig=".len();
    let head = text.run(value, signature, 40);
    let is_one = in_query && head - value == 40 && is_opaque(text, value..head);
    is_one.then(|| ("signed-url", value..text.rest(head, signature)))
}

/// `Server=…;Password=…;` and `host=… password=… dbname=…`: the name alone could be any form's.
fn connection_password(text: &Text, at: usize) -> Option<Hit> {
    let names = ["password", "pwd"];
    let name = names
        .iter()
        .find_map(|name| text.word_of_any_case(at, name))?;
    let value = text.word(name, "=")?;
    let end = text.run(value, |byte| !ends_password(byte), PASSWORD_MAX);
    let is_value = end - value >= 4 && end - value < PASSWORD_MAX;
    if !is_value || placeholder::is_password(text.head(&(value..end), PASSWORD_MAX)) {
        return None;
    }
    let gap = text.run_back(at, |byte| byte == b' ', 2);
    let behind_pair = text.before(gap) == Some(b';') || (gap < at && is_pair_before(text, gap));
    let before_pair = is_pair_behind(text, end);
    (behind_pair || before_pair).then_some(("connection-password", value..end))
}

/// Longest password that is looked for. What is longer after `password=` is a token that the shapes know, or
/// text; the bound keeps a text of many such words linear.
const PASSWORD_MAX: usize = 128;

fn ends_password(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, b';' | b'"' | b'\'' | b'`' | b'<' | b'>' | b',')
}

/// Names that stand beside a password in a connection string.
const BESIDE: &[&str] = &[
    "host=",
    "user=",
    "dbname=",
    "port=",
    "sslmode=",
    "username=",
    "uid=",
];

fn is_pair_before(text: &Text, end: usize) -> bool {
    let start = text.run_back(end, |byte| !byte.is_ascii_whitespace() && byte != b'"', 64);
    BESIDE
        .iter()
        .any(|name| text.word_of_any_case(start, name).is_some())
}

fn is_pair_behind(text: &Text, end: usize) -> bool {
    if text.at(end) == Some(b';') {
        let word = text.run(end + 1, |byte| byte == b' ', 2);
        let name = text.run(word, |byte| alphanumeric(byte) || byte == b' ', 32);
        return name > word && text.at(name) == Some(b'=');
    }
    text.word(end, " ").is_some_and(|next| {
        BESIDE
            .iter()
            .any(|name| text.word_of_any_case(next, name).is_some())
    })
}

/// Longest part of a URL before its host that is read. Without a bound a text of many `://` would be read to its
/// end from each of them.
const USER_MAX: usize = 256;

/// The password in `scheme://user:password@host`, or a token in the user's place; and of a driver's
/// `user:password@tcp(host)`.
pub(super) fn url_password(text: &Text, colon: usize) -> Option<Hit> {
    let Some(user) = text.word(colon, "://") else {
        return driver_password(text, colon);
    };
    if !text.before(colon).is_some_and(alphanumeric) {
        return None;
    }
    // The slash ends the search, and each start has one: no byte is read for two of them.
    let end = text.run(user, in_user, USER_MAX);
    let at_sign = (user..end).rev().find(|at| text.at(*at) == Some(b'@'))?;
    let host = |byte: u8| alphanumeric(byte) || byte == b'[' || byte >= 0x80;
    // `https://registry.example/image@sha256:…` names an image by what is in it.
    let is_digest = text.word(at_sign + 1, "sha256:").is_some();
    if is_digest || !text.is(at_sign + 1, host) {
        return None;
    }
    let colon = (user..at_sign).find(|at| text.at(*at) == Some(b':'));
    let place = match colon {
        Some(colon) => colon + 1..at_sign,
        None => user..at_sign,
    };
    let is_token =
        |place: &Range<usize>| place.len() >= BEARER_LEAST && is_opaque(text, place.clone());
    if place.is_empty() || (colon.is_none() && !is_token(&place)) {
        return None;
    }
    let is_placeholder = placeholder::is_password(text.head(&place, USER_MAX));
    (!is_placeholder).then_some(("url-password", place))
}

fn in_user(byte: u8) -> bool {
    !byte.is_ascii_whitespace()
        && !byte.is_ascii_control()
        && !matches!(
            byte,
            b'/' | b'?' | b'"' | b'\'' | b'<' | b'>' | b'`' | b'(' | b'|'
        )
}

fn driver_password(text: &Text, colon: usize) -> Option<Hit> {
    let start = colon + 1;
    let end = text.run(
        start,
        |byte| in_user(byte) && byte != b':' && byte != b'@',
        64,
    );
    let is_driver = ["@tcp(", "@unix(", "@tcp6("]
        .iter()
        .any(|word| text.word(end, word).is_some());
    let is_one = is_driver && end > start && text.before(colon).is_some_and(url_safe);
    let is_placeholder = placeholder::is_password(text.head(&(start..end), 64));
    (is_one && !is_placeholder).then_some(("url-password", start..end))
}
