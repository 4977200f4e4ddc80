//! Text that comes from a guest, made safe for whoever reads it: terminal escapes, bidirectional
//! marks and invisible characters are written out, and it is cut to a bound.

/// Longest guest text kept in a fault, in characters: a few lines for a person, and no way to fill a log.
pub(crate) const MESSAGE_CHARS: usize = 1_024;

/// `text` with everything that a person cannot see written as `\u{…}`, cut to `max` characters.
///
/// # Examples
/// ```
/// assert_eq!(flowhost_engine::neutralise("a\u{1b}[2Jb", 64), "a\\u{1b}[2Jb");
/// ```
#[must_use]
pub fn neutralise(text: &str, max: usize) -> String {
    flowhost_policy::shown(text, max)
}

#[cfg(test)]
mod tests {
    use super::neutralise;

    #[test]
    fn writes_out_terminal_escapes_bidi_and_invisible_characters() {
        let hostile = "\u{1b}]52;c;x\u{7}\u{202e}evil\u{200b}\u{e0041}\r\n";
        let shown = neutralise(hostile, 100);
        assert!(shown.chars().all(|c| c.is_ascii_graphic()), "{shown}");
    }

    #[test]
    fn keeps_what_people_write() {
        assert_eq!(
            neutralise("Grüße, \"世界\" it's C:\\x", 100),
            "Grüße, \"世界\" it's C:\\x"
        );
    }

    #[test]
    fn cuts_to_the_bound() {
        assert_eq!(neutralise("abcdef", 3), "abc…");
        assert_eq!(neutralise("abc", 3), "abc");
    }
}
