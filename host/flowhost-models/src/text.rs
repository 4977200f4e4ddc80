//! Foreign text made harmless, and keys taken out of it.
//!
//! A provider's error body is written by someone else and ends in logs and terminals; some repeat
//! the key that they were sent.

use flowhost_detect::is_hidden;

/// Shortest piece of a key that is taken out: shorter ones are in any text by chance.
pub(crate) const KEY_PIECE_CHARS_MIN: usize = 8;

/// `text` cut to `max` characters, with what a reader cannot see written as `\u{…}`.
pub(crate) fn harmless(text: &str, max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(max));
    let mut rest = max;
    for c in text.chars() {
        let width = if is_hidden(c) {
            c.escape_unicode().count()
        } else {
            1
        };
        if width > rest {
            out.push('…');
            break;
        }
        rest -= width;
        if is_hidden(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

/// `text` without the key: every piece of it of 8 characters or more becomes `[key]`.
pub(crate) fn without_key(text: &str, key: &str) -> String {
    let pieces = pieces(key);
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        // Each character is held against every piece of the key: errors are bounded before they
        // come here, and keys are some hundred characters.
        let found = pieces.iter().any(|piece| rest.starts_with(piece));
        if found {
            out.push_str("[key]");
            rest = rest.get(shared_run(rest, key)..).unwrap_or_default();
        } else {
            out.push(first);
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
        }
    }
    out
}

/// The shortest pieces of a key that are looked for.
fn pieces(key: &str) -> Vec<&str> {
    let starts = key.char_indices().map(|(at, _)| at);
    starts
        .filter_map(|at| {
            let rest = key.get(at..)?;
            let (last, c) = rest.char_indices().nth(KEY_PIECE_CHARS_MIN - 1)?;
            rest.get(..last + c.len_utf8())
        })
        .collect()
}

/// Bytes at the start of `text` that are a piece of the key, the longest there is.
// Whole, so that no rest of the key stays behind the piece that was found.
fn shared_run(text: &str, key: &str) -> usize {
    let run = |at: usize| {
        let tail = key.get(at..).unwrap_or_default();
        tail.chars()
            .zip(text.chars())
            .take_while(|(a, b)| a == b)
            .map(|(a, _)| a.len_utf8())
            .sum()
    };
    key.char_indices().map(|(at, _)| run(at)).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_key_and_its_pieces_out() {
        let key = "sk-secret-0123456789";
        let text = format!("bad key {key}! and secret-01234 too, but not sk-secr");
        assert_eq!(
            without_key(&text, key),
            "bad key [key]! and [key] too, but not sk-secr"
        );
    }

    #[test]
    fn leaves_a_text_alone_when_the_key_is_short_or_absent() {
        assert_eq!(without_key("abc ü", "abc"), "abc ü");
        assert_eq!(
            without_key("nothing here", "sk-secret-0123456789"),
            "nothing here"
        );
    }

    #[test]
    fn cuts_between_characters() {
        assert_eq!(harmless("üü", 1), "ü…");
        assert_eq!(harmless("\u{7}", 3), "…");
        assert_eq!(harmless("", 3), "");
    }
}
