//! Bytes of a file as text. Nothing is lost silently: what is not UTF-8 is either read as something else,
//! and said to be so, or marked with U+FFFD and counted.

use serde::Deserialize;

/// What a file is read as.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub(crate) enum Encoding {
    /// UTF-8; a byte that is not is U+FFFD.
    #[default]
    #[serde(rename = "utf-8")]
    Utf8,
    /// UTF-8 where it is valid, else Latin-1.
    #[serde(rename = "auto")]
    Auto,
}

/// A file's text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Decoded {
    pub(crate) text: String,
    /// `utf-8`, `utf-16` or `latin-1`.
    pub(crate) encoding: &'static str,
    /// How often U+FFFD stands for bytes that could not be read.
    pub(crate) replaced: usize,
}

/// Reads bytes. A byte order mark decides, and is no part of the text.
pub(crate) fn decode(bytes: Vec<u8>, wanted: Encoding) -> Decoded {
    if let Some(decoded) = utf_16(&bytes) {
        return decoded;
    }
    let start = if bytes.starts_with(b"\xef\xbb\xbf") {
        3
    } else {
        0
    };
    let valid = |text: &str, replaced| Decoded {
        text: text.get(start..).unwrap_or_default().to_owned(),
        encoding: "utf-8",
        replaced,
    };
    match (std::str::from_utf8(&bytes), wanted) {
        (Ok(text), _) => valid(text, 0),
        (Err(_), Encoding::Auto) => Decoded {
            // Each byte of Latin-1 is the letter of that number.
            text: bytes.iter().copied().map(char::from).collect(),
            encoding: "latin-1",
            replaced: 0,
        },
        (Err(_), Encoding::Utf8) => {
            let invalid = bytes
                .utf8_chunks()
                .filter(|chunk| !chunk.invalid().is_empty())
                .count();
            valid(&String::from_utf8_lossy(&bytes), invalid)
        }
    }
}

fn utf_16(bytes: &[u8]) -> Option<Decoded> {
    let (unit, body): (fn([u8; 2]) -> u16, _) = match bytes {
        [0xff, 0xfe, body @ ..] => (u16::from_le_bytes, body),
        [0xfe, 0xff, body @ ..] => (u16::from_be_bytes, body),
        _ => return None,
    };
    let (pairs, rest) = body.as_chunks::<2>();
    let mut replaced = rest.len();
    let letters = char::decode_utf16(pairs.iter().map(|pair| unit(*pair)));
    let mut text: String = letters
        .map(|letter| {
            letter.unwrap_or_else(|_| {
                replaced += 1;
                char::REPLACEMENT_CHARACTER
            })
        })
        .collect();
    // Half a unit at the end.
    text.extend(rest.iter().map(|_| char::REPLACEMENT_CHARACTER));
    Some(Decoded {
        text,
        encoding: "utf-16",
        replaced,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], wanted: Encoding) -> (String, &'static str, usize) {
        let Decoded {
            text,
            encoding,
            replaced,
        } = decode(bytes.to_vec(), wanted);
        (text, encoding, replaced)
    }

    #[test]
    fn bytes_that_are_not_utf8_are_marked_and_counted() {
        let read = read(b"Gr\xfc\xdfe, M\xfcnchen", Encoding::Utf8);
        assert_eq!(
            read,
            ("Gr\u{fffd}\u{fffd}e, M\u{fffd}nchen".to_owned(), "utf-8", 3)
        );
    }

    #[test]
    fn where_it_may_be_anything_they_are_latin_1() {
        let latin = read(b"Gr\xfc\xdfe", Encoding::Auto);
        assert_eq!(latin, ("Grüße".to_owned(), "latin-1", 0));
        let utf = read("Grüße".as_bytes(), Encoding::Auto);
        assert_eq!(utf, ("Grüße".to_owned(), "utf-8", 0));
    }

    #[test]
    fn a_byte_order_mark_decides_and_is_no_text() {
        assert_eq!(
            read(b"\xef\xbb\xbfa", Encoding::Utf8),
            ("a".to_owned(), "utf-8", 0)
        );
        assert_eq!(
            read(b"\xff\xfea\0", Encoding::Utf8),
            ("a".to_owned(), "utf-16", 0)
        );
        assert_eq!(
            read(b"\xfe\xff\0a", Encoding::Auto),
            ("a".to_owned(), "utf-16", 0)
        );
        let broken = read(b"\xff\xfe\0\xd8a", Encoding::Utf8);
        assert_eq!(broken, ("\u{fffd}\u{fffd}".to_owned(), "utf-16", 2));
    }
}
