//! E-mail addresses, by their at sign: at most sixty-four letters before it (RFC 5321 4.5.3.1.1), a
//! domain name after it whose last part is in the root zone or reserved.
//!
//! What stands before is bounded and what stands after ends at the next at sign, so a text costs its
//! length. Letters of European alphabets belong to an address (RFC 6531); those of scripts written
//! without spaces only where they touch the at sign, because elsewhere a neighbour is another word.

mod domain;

use std::ops::Range;

use crate::text::Text;

/// Most letters before the at sign. RFC 5321 allows no more; the bound also keeps a scan backwards from each at
/// sign from becoming quadratic.
const LOCAL_MAX: usize = 64;
/// Users that a version control system logs in as: `git@host:path` is a place and nobody's address.
const REPOSITORIES: &[&[u8]] = &[b"git", b"hg", b"svn", b"bzr"];

/// Where e-mail addresses stand.
pub(crate) fn find(text: &Text) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for at in 0..text.len() {
        // No place begins within the one before: `a@b.example@c.example` is one address and a rest.
        let floor = found.last().map_or(0, |place| place.end);
        if at < floor || text.at(at) != Some(b'@') {
            continue;
        }
        let Some(start) = local(text, at, floor) else {
            continue;
        };
        if let Some(end) = domain::end(text, at + 1)
            && !is_something_else(text, start, at, end)
        {
            found.push(start..end);
        }
    }
    found
}

/// A user of a URL, a repository's address, a product of two names in a program.
fn is_something_else(text: &Text, start: usize, at: usize, end: usize) -> bool {
    let repository = REPOSITORIES.contains(&text.head(&(start..at), LOCAL_MAX));
    // `a@b.to(device)` multiplies two matrices.
    let call = text.at(end) == Some(b'(');
    repository || call || is_user_of_url(text, start)
}

/// `ftp://ann@host.example`, `https://ann:password@host.example`.
fn is_user_of_url(text: &Text, start: usize) -> bool {
    let in_user =
        |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'/' | b'"' | b'\'' | b'<' | b'>');
    let user = match text.before(start) {
        Some(b'/') => start,
        Some(b':') => text.run_back(start, in_user, LOCAL_MAX),
        _ => return false,
    };
    user.checked_sub("://".len())
        .is_some_and(|scheme| text.word(scheme, "://").is_some())
}

/// The start of the part before the at sign.
fn local(text: &Text, at: usize, floor: usize) -> Option<usize> {
    if text.before(at) == Some(b'"') {
        return quoted(text, at - 1, floor);
    }
    let mut start = at;
    let mut word = None;
    // Whether a letter of any script may come: at the at sign, and behind another such or a mark.
    let mut any = true;
    for _ in 0..LOCAL_MAX {
        let Some((length, letter)) =
            letter_before(text, start, any).filter(|it| start >= floor + it.0)
        else {
            break;
        };
        start -= length;
        any = letter != Letter::Narrow;
        if letter != Letter::Mark {
            word = Some(start);
        }
    }
    // What only marks lead to starts at its first letter: the dash of a list is not part of it.
    word
}

/// `"ann b"@example.org` (RFC 5321 4.1.2): the quotes belong to it.
fn quoted(text: &Text, closing: usize, floor: usize) -> Option<usize> {
    let inside =
        |byte: u8| (byte == b' ' || byte.is_ascii_graphic() || byte >= 0x80) && byte != b'"';
    let first = text.run_back(closing, inside, LOCAL_MAX);
    let opening = first.checked_sub(1).filter(|it| *it >= floor)?;
    let letter = |at: usize| text.is(at, |byte| byte.is_ascii_alphanumeric() || byte >= 0x80);
    // A list of quoted words has marks at the edges: `"a","@b.example"` holds no address.
    let is_word = closing > first && letter(first) && letter(closing - 1);
    let is_apart = !text
        .before(opening)
        .is_some_and(|byte| byte.is_ascii_alphanumeric());
    (text.at(opening) == Some(b'"') && is_word && is_apart).then_some(opening)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Letter {
    /// Of ASCII or a European alphabet.
    Narrow,
    /// Of any other script.
    Other,
    /// Stands within an address and not at its edges.
    Mark,
}

/// Bytes and sort of the letter that ends there, if it may stand before an at sign.
fn letter_before(text: &Text, end: usize, any: bool) -> Option<(usize, Letter)> {
    let byte = text.before(end)?;
    match byte {
        b'.' | b'%' | b'+' | b'-' | b'\'' => return Some((1, Letter::Mark)),
        b'_' => return Some((1, Letter::Narrow)),
        _ if byte.is_ascii_alphanumeric() => return Some((1, Letter::Narrow)),
        0x80..0xc0 => {}
        _ => return None,
    }
    // The first byte of a character of UTF-8 stands at most three before its last.
    let length = (2..=4).find(|length| {
        end.checked_sub(*length)
            .is_some_and(|first| text.is(first, |byte| byte >= 0xc0))
    })?;
    let first = end - length;
    if text.is(first, is_european) {
        return Some((length, Letter::Narrow));
    }
    let other = any && is_letter(text.at(first)?, text.at(first + 1)?);
    other.then_some((length, Letter::Other))
}

/// The first of two bytes of U+00C0 to U+053F: Latin, Greek and Cyrillic.
fn is_european(byte: u8) -> bool {
    (0xc3..=0xd4).contains(&byte)
}

/// Whether the character of these first bytes is a letter of a script that is not European: by blocks,
/// without punctuation (U+2000), the marks of Chinese and Japanese (U+3000), forms (U+F000) and pictures.
fn is_letter(first: u8, second: u8) -> bool {
    match first {
        0xd5..=0xdf | 0xe0 | 0xe1 | 0xe4..=0xed => true,
        0xe3 => second != 0x80,
        _ => false,
    }
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
            "left-pad@1.3.0.tgz",
            "left-pad@1.3.0.zip",
            "tools@v0.1.0.info",
            "user@1000.service",
            "serial-getty@ttyS0.service",
            "wg-quick@wg0.target",
            "logo@2x.avif",
            "icon@2x.zip",
            "git@github.com:acme/widgets.git",
            "ssh://git@github.com/acme",
            "https://ann:secret@example.org/",
            "ftp://ann@example.org/",
            "attn = q@k.transpose(-2, -1)",
            "a@b.to(device)",
            "x = w@v.mT",
            "q@k.is_cuda",
            "[\"a\",\"@example.org\"]",
            "{\"a\":\"@example.org\"}",
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
    fn a_label_is_as_long_as_its_letters_and_not_as_their_bytes() {
        for label in ["\u{436}".repeat(50), "\u{e01}".repeat(22)] {
            let text = format!("ann@{label}.example");
            assert_eq!(found(&text), [text.as_str()]);
        }
        let long = format!("ann@{}.example", "a".repeat(64));
        assert!(found(&long).is_empty());
    }

    #[test]
    fn letters_of_europe_and_long_names_belong_to_it() {
        let long = format!("{}@example.org", "a".repeat(64));
        for text in [
            "j\u{f6}rg@b\u{fc}cher.example",
            "a.b+c%d@mail.example.co.uk",
            "a@xn--80ak6.xn--p1ai",
            "_a_@example.org",
            "o'brien@example.org",
            "\"ann.b\"@example.org",
            "\u{5c71}\u{7530}@example.jp",
            "\u{5c71}\u{7530}.taro@example.jp",
            "taro.\u{5c71}\u{7530}@example.jp",
            "ann@\u{4f8b}\u{5b50}.\u{4e2d}\u{56fd}",
            "ANN@EXAMPLE.ORG",
            "ann@host.internal",
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
