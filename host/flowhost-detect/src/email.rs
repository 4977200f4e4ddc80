//! E-mail addresses, by their at sign: at most sixty-four letters before it (RFC 5321 4.5.3.1.1), a
//! domain name after it.
//!
//! What stands before is bounded and what stands after ends at the next at sign, so a text costs its
//! length. Letters of European alphabets belong to an address (RFC 6531); those of scripts written
//! without spaces do not, because there a neighbour is another word.

use std::ops::Range;

use crate::text::Text;

/// Most letters before the at sign, and bytes after it (RFC 1035 2.3.4).
const LOCAL_MAX: usize = 64;
const DOMAIN_MAX: usize = 253;
/// Letters of a top level domain.
const TOP_LEVEL: std::ops::RangeInclusive<usize> = 2..=24;
/// What follows the last dot in `logo@2x.png`. None is a top level domain.
const FILES: &[&str] = &[
    "png", "jpg", "jpeg", "gif", "webp", "svg", "css", "js", "json", "html",
];

/// Where e-mail addresses stand.
pub(crate) fn find(text: &Text) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for at in 0..text.len() {
        let floor = found.last().map_or(0, |place| place.end);
        if at < floor || text.at(at) != Some(b'@') {
            continue;
        }
        if let (Some(start), Some(end)) = (local(text, at, floor), domain(text, at + 1)) {
            found.push(start..end);
        }
    }
    found
}

/// The start of the part before the at sign.
fn local(text: &Text, at: usize, floor: usize) -> Option<usize> {
    let mut start = at;
    let mut word = None;
    for _ in 0..LOCAL_MAX {
        let Some(length) = letter_before(text, start).filter(|length| start >= floor + length)
        else {
            break;
        };
        start -= length;
        let mark = text.is(start, |byte| matches!(byte, b'.' | b'%' | b'+' | b'-'));
        if !mark {
            word = Some(start);
        }
    }
    // What only marks lead to starts at its first letter: the dash of a list is not part of it.
    word
}

/// Bytes of the letter that ends there, if it may stand before an at sign.
fn letter_before(text: &Text, end: usize) -> Option<usize> {
    let byte = text.before(end)?;
    if is_local(byte) {
        return Some(1);
    }
    let second = (0x80..0xc0).contains(&byte) && text.before(end - 1).is_some_and(is_european);
    second.then_some(2)
}

fn is_local(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'%' | b'+' | b'-')
}

/// The first of two bytes of U+00C0 to U+053F: Latin, Greek and Cyrillic.
fn is_european(byte: u8) -> bool {
    (0xc3..=0xd4).contains(&byte)
}

/// The end of the longest domain name that starts there.
fn domain(text: &Text, start: usize) -> Option<usize> {
    let (mut at, mut found) = (start, None);
    let mut first = true;
    while at < start + DOMAIN_MAX {
        let end = label(text, at)?;
        if !first && let Some(end) = top_level(text, at, end) {
            found = Some(end);
        }
        first = false;
        let more = text.at(end) == Some(b'.') && text.before(end) != Some(b'-');
        if !more || text.at(at) == Some(b'-') || label(text, end + 1).is_none() {
            return found;
        }
        at = end + 1;
    }
    found
}

/// The end of a label: letters, digits and hyphens.
fn label(text: &Text, start: usize) -> Option<usize> {
    let mut end = start;
    while end - start < LOCAL_MAX {
        match text.at(end) {
            Some(byte) if byte.is_ascii_alphanumeric() || byte == b'-' => end += 1,
            Some(byte) if is_european(byte) => end += 2,
            _ => break,
        }
    }
    (end > start).then_some(end)
}

/// The end of the top level domain that a label starts with, and with an internationalised one all of
/// it.
fn top_level(text: &Text, start: usize, end: usize) -> Option<usize> {
    if text.word(start, "xn--").is_some() {
        return Some(end);
    }
    let letters = text.run(start, |byte| byte.is_ascii_alphabetic(), *TOP_LEVEL.end());
    if letters == start && text.is(start, is_european) {
        return Some(end);
    }
    let is_file = FILES
        .iter()
        .any(|file| text.word(start, file) == Some(letters));
    (TOP_LEVEL.contains(&(letters - start)) && !is_file).then_some(letters)
}

#[cfg(test)]
mod tests {
    use super::find;
    use crate::text::Text;

    fn found(text: &str) -> Vec<&str> {
        let places = find(&Text::new(text));
        places.into_iter().map(|place| &text[place]).collect()
    }

    #[test]
    fn what_only_looks_like_one_is_left_alone() {
        for text in [
            "user@localhost",
            "@mention",
            "a@b",
            "@example.org",
            "a@.org",
            "a@-.1",
            "logo@2x.png",
            "left@1.2.3",
        ] {
            assert!(found(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn marks_and_neighbours_do_not_belong_to_it() {
        assert_eq!(found("-ann@example.org."), ["ann@example.org"]);
        assert_eq!(
            found("<ann@example.org>,bob@example.org;"),
            ["ann@example.org", "bob@example.org"]
        );
        assert_eq!(
            found("\u{8bf7}ann@example.org\u{8c22}"),
            ["ann@example.org"]
        );
    }

    #[test]
    fn letters_of_europe_and_long_names_belong_to_it() {
        let long = format!("{}@example.org", "a".repeat(64));
        for text in [
            "j\u{f6}rg@b\u{fc}cher.example",
            "a.b+c%d@mail.example.co.uk",
            "a@xn--80ak6.xn--p1ai",
            "_a_@example.org",
            &*long,
        ] {
            assert_eq!(found(text), [text]);
        }
    }

    #[test]
    fn a_chain_of_at_signs_is_cut_where_the_first_ends() {
        assert_eq!(found("a@b.co@c.de"), ["a@b.co"]);
    }
}
