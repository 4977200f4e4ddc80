//! Where the domain name of an address ends: at a name of the root zone, or one that is reserved.
//!
//! The list of the root zone is what tells an address from the many other things with an at sign: units
//! of systemd, pictures for two densities, packages with their version, products of matrices.

use super::is_european;
use crate::text::{Text, is_word};

/// Letters of a label: it has 63 bytes as it is asked for (RFC 1035 2.3.4), and in Punycode no fewer than letters.
const LABEL_MAX: usize = 63;
/// Bytes of a name in text form (RFC 1035 2.3.4, without what its lengths take); what is longer cannot be asked for.
const DOMAIN_MAX: usize = 253;
/// Letters of a top level domain; the longest has eighteen.
const TOP_LEVEL: std::ops::RangeInclusive<usize> = 2..=24;
/// Not in the root zone, and yet the end of addresses: reserved (RFC 2606, RFC 6762, RFC 9476) or in use
/// within companies.
const RESERVED: &[&str] = &[
    "example",
    "test",
    "invalid",
    "localhost",
    "local",
    "internal",
    "intranet",
    "private",
    "corp",
    "home",
    "lan",
    "alt",
    "onion",
    "localdomain",
];
/// In the root zone, and never the end of an address that a person writes.
const NOT_IN_USE: &[&str] = &["target", "arpa"];
/// Of the names in other scripts those that are written without spaces: there is no end to look for.
const WIDE: &[&str] = &[
    "中国",
    "中國",
    "公司",
    "网络",
    "網路",
    "在线",
    "中文网",
    "香港",
    "台湾",
    "台灣",
    "新加坡",
    "澳門",
    "한국",
    "닷컴",
    "コム",
    "みんな",
    "ไทย",
];

/// The end of the longest domain name that starts there.
pub(super) fn end(text: &Text, start: usize) -> Option<usize> {
    if is_version(text, start) {
        return None;
    }
    let (mut at, mut found) = (start, None);
    let mut first = true;
    while at < start + DOMAIN_MAX {
        let end = label(text, at)?;
        if !first && let Some(end) = top_level(text, at, end) {
            found = Some(end);
        }
        first = false;
        // A hyphen may stand at neither edge of a label: an address before `-.` or behind `.-` has
        // ended there.
        let more = text.at(end) == Some(b'.') && text.before(end) != Some(b'-');
        if !more || text.at(at) == Some(b'-') || label(text, end + 1).is_none() {
            return found;
        }
        at = end + 1;
    }
    found
}

/// `1.3.0`, `v0.1`, `2x`: a package's version, or a picture's density.
fn is_version(text: &Text, start: usize) -> bool {
    let digit = |byte: u8| byte.is_ascii_digit();
    let number = text.word(start, "v").unwrap_or(start);
    let major = text.run(number, digit, 8);
    if major == number {
        return false;
    }
    let minor = text
        .word(major, ".")
        .map(|minor| (minor, text.run(minor, digit, 8)));
    let two_numbers = minor.is_some_and(|(minor, end)| end > minor);
    let density = text.is(major, |byte| byte == b'x') && text.at(major + 1) == Some(b'.');
    two_numbers || density
}

/// The end of a label: letters, digits and hyphens.
fn label(text: &Text, start: usize) -> Option<usize> {
    let mut end = start;
    for _ in 0..LABEL_MAX {
        let Some(byte) = text.at(end) else { break };
        end += match byte {
            b'-' => 1,
            _ if byte.is_ascii_alphanumeric() => 1,
            _ if is_european(byte) => 2,
            // Only letters: the marks of these scripts end a label.
            0xd5..=0xdf => 2,
            0xe0..=0xed
                if text
                    .at(end + 1)
                    .is_some_and(|second| super::is_letter(byte, second)) =>
            {
                3
            }
            _ => break,
        };
    }
    (end > start).then_some(end)
}

/// The end of the top level domain that a label starts with, and with an internationalised one all of
/// it.
fn top_level(text: &Text, start: usize, end: usize) -> Option<usize> {
    if text.word(start, "xn--").is_some() {
        return Some(end);
    }
    let wide = WIDE.iter().find_map(|name| text.word(start, name));
    if wide.is_some() {
        return wide;
    }
    let letters = text.run(start, |byte| byte.is_ascii_alphabetic(), *TOP_LEVEL.end());
    if letters == start && text.is(start, is_european) {
        return Some(end);
    }
    let is_whole = !text.is(letters, is_word) && TOP_LEVEL.contains(&(letters - start));
    (is_whole && is_known(text.head(&(start..letters), *TOP_LEVEL.end()))).then_some(letters)
}

/// Whether such a name exists, in one case: `q@k.mT` is a program.
fn is_known(name: &[u8]) -> bool {
    let all_capitals = name.iter().all(u8::is_ascii_uppercase);
    let one_case = all_capitals || name.iter().skip(1).all(u8::is_ascii_lowercase);
    let Ok(name) = String::from_utf8(name.to_ascii_lowercase()) else {
        return false;
    };
    one_case && !NOT_IN_USE.contains(&&*name) && (RESERVED.contains(&&*name) || tld::exist(&name))
}
