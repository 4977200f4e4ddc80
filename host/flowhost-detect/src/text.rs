//! A text as the searches read it: byte by byte, through one function, so that their work can be
//! counted.
//!
//! No search may read the text in any other way: the tests below count what each reads of texts made
//! to cost much, and demand that twice the text is at most about twice the work. All that is looked
//! for is ASCII, so a place found here never lies within a character.

#[cfg(test)]
use std::cell::Cell;
use std::ops::Range;

/// A text to search.
pub(crate) struct Text<'a> {
    bytes: &'a [u8],
    #[cfg(test)]
    reads: Cell<usize>,
}

impl<'a> Text<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self {
            bytes: text.as_bytes(),
            #[cfg(test)]
            reads: Cell::new(0),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The byte there; none past the end.
    pub(crate) fn at(&self, place: usize) -> Option<u8> {
        #[cfg(test)]
        self.reads.set(self.reads.get() + 1);
        self.bytes.get(place).copied()
    }

    /// The byte before a place.
    pub(crate) fn before(&self, place: usize) -> Option<u8> {
        place.checked_sub(1).and_then(|place| self.at(place))
    }

    /// Whether the byte there is of a class.
    pub(crate) fn is(&self, place: usize, class: fn(u8) -> bool) -> bool {
        self.at(place).is_some_and(class)
    }

    /// The end of a word that must stand there.
    pub(crate) fn word(&self, place: usize, word: &str) -> Option<usize> {
        let bytes = word.bytes().enumerate();
        bytes
            .into_iter()
            .all(|(offset, byte)| self.at(place + offset) == Some(byte))
            .then_some(place + word.len())
    }

    /// As [`Text::word`], of small letters that may stand there as capitals.
    pub(crate) fn word_of_any_case(&self, place: usize, word: &str) -> Option<usize> {
        let same = |(offset, byte): (usize, u8)| {
            self.is_byte(place + offset, |it| it.to_ascii_lowercase() == byte)
        };
        word.bytes()
            .enumerate()
            .all(same)
            .then_some(place + word.len())
    }

    fn is_byte(&self, place: usize, same: impl Fn(u8) -> bool) -> bool {
        self.at(place).is_some_and(same)
    }

    /// The bytes of a place, at most so many; reading them counts like reading each.
    pub(crate) fn head(&self, place: &Range<usize>, most: usize) -> &[u8] {
        let end = place.end.min(place.start.saturating_add(most));
        #[cfg(test)]
        self.reads
            .set(self.reads.get() + end.saturating_sub(place.start));
        self.bytes.get(place.start..end).unwrap_or_default()
    }

    /// The end of the run of a class that starts there, of at most so many bytes.
    pub(crate) fn run(&self, place: usize, class: fn(u8) -> bool, most: usize) -> usize {
        let end = place.saturating_add(most);
        (place..end).find(|at| !self.is(*at, class)).unwrap_or(end)
    }

    /// As [`Text::run`], without a bound. Only for what is a match already: its bytes are not read
    /// again, so that all such runs of a text together cost its length.
    pub(crate) fn rest(&self, place: usize, class: fn(u8) -> bool) -> usize {
        self.run(place, class, self.len().saturating_sub(place))
    }

    /// The start of the run of a class that ends there, of at most so many bytes.
    pub(crate) fn run_back(&self, place: usize, class: fn(u8) -> bool, most: usize) -> usize {
        let floor = place.saturating_sub(most);
        (floor..place)
            .rev()
            .find(|at| !self.is(*at, class))
            .map_or(floor, |at| at + 1)
    }

    /// Whether no letter, digit or underscore follows.
    pub(crate) fn ends(&self, place: usize) -> bool {
        !self.is(place, is_word)
    }
}

/// Letters, digits and underscore of ASCII.
pub(crate) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The digits of ASCII.
pub(crate) fn is_digit(byte: u8) -> bool {
    byte.is_ascii_digit()
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::Text;
    use crate::{Kind, search};

    /// Pieces that each search starts on, stops on or gives up on late.
    const PIECES: &[&str] = &[
        "a",
        "0",
        "@",
        ".",
        "-",
        "_",
        "+",
        "(",
        " ",
        "\\",
        "%",
        "\u{e9}",
        "a@b.",
        "a.b@",
        "@a",
        "a@a.aa ",
        "sk-",
        "sk-a-",
        "ghp_",
        "xoxb-",
        "eyJ",
        "eyJ-",
        "eyJaaaaaaaa.",
        "eyJaaaaaaaa.eyJaaaaaaaa.",
        "eyJaaaaaaaaaaaaaaaa..aaaaaaaaaaaaaaaa.",
        "eyJ-eyJaaaaaaaa.eyJ",
        "Bearer ",
        "AKIA",
        "SG.",
        "1234567:AA",
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkq ",
        "-----BEGIN ",
        "-----END ",
        "-- ",
        "4111 ",
        "4-",
        "4111111111111112 ",
        "+1 ",
        "(212) ",
        "+1234",
        "030 ",
        "://",
        "://a:",
        "://a:b@",
        "Basic YTpi",
        "Authorization: ",
        "x-api-key: ",
        ";Password=",
        " password=",
        "AccountKey=",
        "&#64;",
        "'@",
        "\"@",
        "\"a\"@",
        "0123456789abcdef",
        "01 23 ",
        "\\u0040",
        "\\\\n",
        "%40",
    ];

    fn reads(kind: Kind, text: &str) -> usize {
        let text = Text::new(text);
        let _found: Vec<(&str, Range<usize>)> = search(kind, &text);
        text.reads.get()
    }

    #[test]
    fn twice_the_text_is_twice_the_work_whatever_it_is_made_of() {
        for (place, first) in PIECES.iter().enumerate() {
            // Repeated, two pieces are the same text in either order.
            for second in PIECES.iter().skip(place) {
                let piece = format!("{first}{second}");
                let text = |bytes: usize| piece.repeat(bytes / piece.len());
                for kind in Kind::ALL {
                    let (once, twice) = (reads(kind, &text(512)), reads(kind, &text(1_024)));
                    assert!(
                        twice <= once * 21 / 10 + 1_000,
                        "{kind:?} {piece:?}: {once}, {twice}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_byte_is_read_a_bounded_number_of_times() {
        for piece in PIECES {
            let text = piece.repeat(16_384 / piece.len());
            for kind in Kind::ALL {
                let work = reads(kind, &text);
                assert!(work <= text.len() * READS_MAX, "{kind:?} {piece:?}: {work}");
            }
        }
    }

    /// Reads of one byte by one search, at most: the longest head of a key times those that start alike.
    const READS_MAX: usize = 128;
}
