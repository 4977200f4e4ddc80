//! Keys and tokens: by what their providers publish (a prefix, an alphabet, a length, or a shape of
//! several such pieces), or by the position that gives them away (a header, a URL's user part, a
//! connection string).
//!
//! A row of a table is decided on a bounded head; only what is a match by then is followed to its
//! end, and the search goes on behind it. So a text costs its length, whatever it is made of. A key is
//! never guessed from entropy alone. What documentation shows in a key's place is left alone.

mod placeholder;
mod position;
mod providers;
mod shapes;
mod token;

use std::ops::Range;

use crate::text::Text;
use token::Webs;

/// A key that was found: whose it is, and where.
type Hit = (&'static str, Range<usize>);

/// Where keys stand, and whose they are.
pub(crate) fn find(text: &Text) -> Vec<Hit> {
    let mut webs = Webs::default();
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let Some((label, place)) = key_at(text, at, &mut webs) else {
            at += 1;
            continue;
        };
        // Also behind a placeholder the search goes on at its end: it was read to there.
        at = place.end;
        if !placeholder::stands_at(text, label, &place) {
            found.push((label, place));
        }
    }
    found
}

fn key_at(text: &Text, at: usize, webs: &mut Webs) -> Option<Hit> {
    let first = text.at(at)?;
    match first {
        // Before the look at the letter in front: a block may stand right behind a word.
        b'-' => return token::private_key(text, at).map(|end| ("private-key", at..end)),
        b':' => return position::url_password(text, at),
        _ => {}
    }
    if !alphanumeric(first) || text.before(at).is_some_and(alphanumeric) {
        return None;
    }
    // A header's name may itself be longer than a key that starts like it, so it goes first.
    position::header(text, at, first, webs)
        .or_else(|| position::assigned(text, at, first))
        .or_else(|| provider_key(text, at, first, webs))
}

/// A row's name, the fewest letters of a key of it, and whether a byte may stand in one.
#[cfg(test)]
type Bounds = (&'static str, usize, Box<dyn Fn(u8) -> bool>);

/// Fewest letters of a key of a known provider, its prefix among them. The tests hold every row against it.
/// Whatever is shorter is told to be none by one look, before any of the shapes is tried.
const PROVIDER_LEAST: usize = 15;

/// What may stand in a key of a known provider, and much else: what ends a word of prose or a string of JSON may
/// not. The tests hold every row against it, too.
fn in_provider_key(byte: u8) -> bool {
    byte > b' ' && !matches!(byte, b'"' | b'\'' | b',' | b';' | b'<' | b'>' | b'(' | b')')
}

/// A key of a known provider, the longest that starts there.
fn provider_key(text: &Text, at: usize, first: u8, webs: &mut Webs) -> Option<Hit> {
    // Almost every word of a text is too short to be one, whatever it starts with.
    if text.run(at, in_provider_key, PROVIDER_LEAST) - at < PROVIDER_LEAST {
        return None;
    }
    let by_prefix = providers::keys_at(text, at, first);
    let web = webs.end(text, at).map(|end| ("json-web-token", at..end));
    let by_shape = shapes::keys_at(text, at, first);
    by_prefix.chain(web).chain(by_shape).reduce(
        |best, next| {
            if next.1.end > best.1.end { next } else { best }
        },
    )
}

fn alphanumeric(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

/// The alphabet of base64url (RFC 4648 section 5).
fn url_safe(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

fn base32(byte: u8) -> bool {
    byte.is_ascii_uppercase() || (b'2'..=b'7').contains(&byte)
}

/// The alphabet of base64 with its padding (RFC 4648 section 4).
fn base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}

fn hex(byte: u8) -> bool {
    byte.is_ascii_hexdigit()
}

fn small_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

fn capital(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}

fn hyphenated(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

fn dotted(byte: u8) -> bool {
    url_safe(byte) || byte == b'.'
}

fn has_digit(text: &Text, mut head: Range<usize>) -> bool {
    head.any(|at| text.is(at, |byte| byte.is_ascii_digit()))
}

/// Whether it cannot be a word of prose: a digit, or a capital letter within.
fn is_opaque(text: &Text, head: Range<usize>) -> bool {
    let capital = |at: usize| text.is(at, |byte| byte.is_ascii_uppercase());
    has_digit(text, head.clone())
        || (head.clone().skip(1).any(capital) && !head.clone().all(capital))
}

/// Not the words of a name with hyphens: six letters in a row, of which some are small and some are
/// not.
fn is_mixed(text: &Text, head: Range<usize>) -> bool {
    let (mut length, mut small, mut other) = (0, false, false);
    for at in head {
        if !text.is(at, alphanumeric) {
            (length, small, other) = (0, false, false);
            continue;
        }
        let is_small = text.is(at, |byte| byte.is_ascii_lowercase());
        length += 1;
        small |= is_small;
        other |= !is_small;
        if length >= 6 && small && other {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_looked_for_by_its_provider_is_as_long_and_made_of_what_the_first_look_asks() {
        let bounds = providers::bounds().chain(shapes::bounds());
        for (label, least, takes) in bounds {
            assert!(
                least >= PROVIDER_LEAST,
                "`{label}` may have {least} letters"
            );
            for byte in (0..=u8::MAX).filter(|byte| takes(*byte)) {
                assert!(
                    in_provider_key(byte),
                    "`{label}` may hold {:?}",
                    char::from(byte)
                );
            }
        }
    }
}
