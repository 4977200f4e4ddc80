//! Where the text literals of an expression are, known before it is parsed.
//!
//! Brackets are counted, and the end of `${{ }}` is found, outside of literals. Must read literals as
//! the parser does: what is taken for a literal here and is none there could hide brackets.

/// Whether `// …` is a comment. In a template the text after `}}` would be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comments {
    Skip,
    Keep,
}

/// The bytes outside of text literals, with their places. A literal that is not closed ends with its
/// line, or with the text if it may span lines.
pub(super) fn outside(source: &str, comments: Comments) -> impl Iterator<Item = (usize, u8)> + '_ {
    let bytes = source.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let byte = *bytes.get(at)?;
            match byte {
                b'\'' | b'"' => at = end_of_literal(bytes, at),
                b'/' if comments == Comments::Skip && bytes.get(at + 1) == Some(&b'/') => {
                    let rest = bytes.get(at..).unwrap_or_default();
                    at += rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len());
                }
                _ => {
                    at += 1;
                    return Some((at - 1, byte));
                }
            }
        }
    })
}

/// Right after the literal whose first quote is at `start`.
fn end_of_literal(bytes: &[u8], start: usize) -> usize {
    let Some(&quote) = bytes.get(start) else {
        return start;
    };
    let raw = is_raw(bytes, start);
    let triple = [quote; 3];
    let long = bytes.get(start..start + 3) == Some(&triple);
    let mut at = start + if long { 3 } else { 1 };
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\\' if !raw && bytes.get(at + 1) != Some(&b'\n') => at += 2,
            b'\n' | b'\r' if !long => return at,
            _ if byte != quote => at += 1,
            _ if !long => return at + 1,
            _ if bytes.get(at..at + 3) == Some(&triple) => return at + 3,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// Whether `r`, `rb` or `br` stands right before the quote, and is not the end of a name.
fn is_raw(bytes: &[u8], quote: usize) -> bool {
    let before = bytes.get(..quote).unwrap_or_default();
    let name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let start = before
        .iter()
        .rposition(|byte| !name(byte))
        .map_or(0, |at| at + 1);
    let prefix = before.get(start..).unwrap_or_default().to_ascii_lowercase();
    matches!(prefix.as_slice(), b"r" | b"rb" | b"br")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(source: &str) -> String {
        let bytes: Vec<u8> = outside(source, Comments::Skip)
            .map(|(_, byte)| byte)
            .collect();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn leaves_literals_and_comments_out() {
        for (source, expected) in [
            ("a('(') + (b)", "a() + (b)"),
            (r"'\'(' + [", " + ["),
            (r"r'\' + [", "r + ["),
            (r"bar'\'(' + [", "bar + ["),
            ("'''a'(\n''' + [", " + ["),
            ("\"\"\"a\"\"(\"\"\"[", "["),
            ("r\"\"\"\\\"\"\"[", "r["),
            ("'' + [", " + ["),
            ("1 // don't (\n + [", "1 \n + ["),
            ("'open (\n[", "\n["),
        ] {
            assert_eq!(left(source), expected, "{source}");
        }
    }

    #[test]
    fn a_template_has_no_comments() {
        let kept = outside("1 //' }}", Comments::Keep).filter(|(_, byte)| *byte == b'/');
        assert_eq!(kept.count(), 2);
    }
}
