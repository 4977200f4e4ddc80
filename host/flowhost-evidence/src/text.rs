//! Foreign text as a person may be shown it: nothing in it moves a cursor, turns a line or hides.
//!
//! Pure: it writes nowhere. Terminal, page and JSON documents use the same rule for what is harmless,
//! which is the policy's own table of hidden characters.

use std::borrow::Cow;
use std::fmt::Write as _;

pub use crate::html::words::bytes;

/// Foreign text as one may show it: control characters (but line feed and tab), bidirectional marks
/// and invisible characters are written as escapes, so that no guest moves the cursor or turns the
/// line around.
#[must_use]
pub fn neutral(text: &str) -> String {
    shown(text, |shown, c| {
        let _infallible = write!(shown, "\\u{{{:x}}}", u32::from(c));
    })
}

/// As [`neutral`], and line feeds and tabs become spaces.
#[must_use]
pub fn one_line(text: &str) -> String {
    neutral(&text.replace(['\n', '\t'], " "))
}

/// An actor, which is `<tenant>/<plugin>`, without its tenant.
pub(crate) fn plugin_of(actor: &str) -> &str {
    actor.split_once('/').map_or(actor, |(_, plugin)| plugin)
}

/// A JSON text with everything but harmless characters as `\uXXXX`. Outside of strings JSON has none
/// of them, so only strings are touched, and no value changes.
#[must_use]
pub fn escaped(json: &str) -> Cow<'_, str> {
    if plain_len(json.as_bytes()) == json.len() {
        return Cow::Borrowed(json);
    }
    Cow::Owned(shown(json, |text, c| {
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _infallible = write!(text, "\\u{unit:04x}");
        }
    }))
}

/// The text with what is not harmless as `escape` writes it. Most of every text is plain ASCII and is taken over
/// in one piece: a page and a document pass here whole.
fn shown(text: &str, escape: impl Fn(&mut String, char)) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    loop {
        let plain = plain_len(rest.as_bytes());
        // A plain byte is a character of its own, so that this is where one begins.
        let (taken, behind) = rest.split_at_checked(plain).unwrap_or((rest, ""));
        shown.push_str(taken);
        let mut others = behind.chars();
        let Some(c) = others.next() else {
            return shown;
        };
        match is_harmless(c) {
            true => shown.push(c),
            false => escape(&mut shown, c),
        }
        rest = others.as_str();
    }
}

/// How many bytes are plain, from the first on. A piece at a time: a document of megabytes passes here, and a piece is
/// looked at without a decision for each of its bytes.
fn plain_len(bytes: &[u8]) -> usize {
    const PIECE: usize = 64;
    let pieces = bytes.chunks_exact(PIECE);
    let are_plain = |piece: &&[u8]| {
        let odd = piece.iter().filter(|byte| !is_plain(**byte));
        odd.count() == 0
    };
    let len = pieces.take_while(are_plain).count() * PIECE;
    let rest = bytes.get(len..).unwrap_or_default();
    let odd = rest.iter().position(|byte| !is_plain(*byte));
    len + odd.unwrap_or(rest.len())
}

/// Printable ASCII, line feed and tab: harmless without a look into a table.
const fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~' | b'\n' | b'\t')
}

/// The two selectors between the text and the picture form of one sign hide nothing, and honest text
/// is full of them.
fn is_harmless(c: char) -> bool {
    matches!(c, '\n' | '\t' | '\u{fe0e}' | '\u{fe0f}') || !flowhost_policy::is_hidden(c)
}

/// `1 step`, `2 steps`: for nouns that take an s.
#[must_use]
pub fn counted(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neutralises_escapes_bidi_and_invisible_characters() {
        assert_eq!(
            neutral("a\x1b[2Jb\u{202e}c\u{200b}"),
            "a\\u{1b}[2Jb\\u{202e}c\\u{200b}"
        );
        assert_eq!(neutral("\u{9b}31m"), "\\u{9b}31m");
    }

    #[test]
    fn as_many_bytes_are_plain_as_come_before_the_first_that_is_not() {
        for at in [0, 1, 63, 64, 65, 127, 128, 200] {
            let text = format!("{}\u{7f}{}", "a".repeat(at), "b".repeat(300));
            assert_eq!(plain_len(text.as_bytes()), at);
            assert_eq!(plain_len(&text.as_bytes()[..at]), at);
        }
    }

    #[test]
    fn what_is_plain_is_harmless() {
        for byte in (0..=u8::MAX).filter(|byte| is_plain(*byte)) {
            assert!(is_harmless(char::from(byte)), "{byte}");
        }
        let mixed = "ä plain \u{7f} and\tplain\n\u{202e}";
        assert_eq!(neutral(mixed), "ä plain \\u{7f} and\tplain\n\\u{202e}");
        assert_eq!(neutral(""), "");
    }

    #[test]
    fn a_document_has_no_character_that_a_terminal_obeys_and_the_same_value() {
        let hostile = "\u{9b}31m\u{7f}\u{202e}a\u{200b}\u{e0041}\u{feff}ä\"\\\n";
        let value = serde_json::json!({ hostile: [hostile, 1] });
        let json = serde_json::to_string_pretty(&value).unwrap();
        let text = escaped(&json);
        assert!(text.chars().all(is_harmless), "{text:?}");
        assert!(
            text.contains("\\udb40\\udc41") && text.contains('ä'),
            "{text}"
        );
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&text).unwrap(),
            value
        );
    }

    #[test]
    fn leaves_ordinary_text_alone() {
        assert_eq!(neutral("größe: 3 µs\n"), "größe: 3 µs\n");
        assert_eq!(one_line("a\nb"), "a b");
    }
}
