//! Known secrets in whatever form they turn up: as they are, in base64 and base32 at every alignment, hexadecimal,
//! percent and JSON escapes, entities, lists of bytes, in another case, reversed, and split by whatever is not a
//! letter. Of a secret of several lines, such as a private key, each long line is a secret too.
//!
//! The attack: a server that a secret was rightly sent to echoes it, or a guest that may read it hands it
//! on, as a file's name or in halves that the next reader puts together. What is listed here is found;
//! another transformation can only be stopped by not giving the secret away.
//!
//! Two kinds of search, both linear in the text: every encoding as it stands, and the letters and digits
//! alone, in small letters, of the text and of its encodings, so that it does not matter what stands
//! between them. The second only for what has letters enough not to be met by chance.

mod automaton;
mod forms;

use std::ops::Range;

use zeroize::Zeroizing;

use self::automaton::Automaton;
use crate::view::View;

/// Fewest letters and digits of a form that is looked for across whatever stands between them. A shorter form,
/// taken apart like that, would be found in honest text.
const LETTERS_MIN: usize = 8;
/// Shortest encoded form that is looked for as it stands, in bytes: shorter ones would hit innocent text.
const ENCODED_MIN: usize = 6;

/// Shortest line of a secret of several lines that is looked for alone, in bytes: a line of a key has 64.
const LINE_MIN: usize = 16;

/// A secret, and those of its lines that are secret by themselves. In a key file that is JSON the lines of the
/// key stand in one line, with `\n` written out between them.
fn with_lines(value: &str) -> impl Iterator<Item = &str> {
    let lines = value.lines().flat_map(|line| line.split("\\n"));
    let secret = |line: &&str| {
        // `-----BEGIN PRIVATE KEY-----` tells nobody anything.
        line.len() >= LINE_MIN && line.len() < value.len() && !line.starts_with("-----")
    };
    std::iter::once(value).chain(lines.map(str::trim).filter(secret))
}

/// Secrets to look for. What is held of them is zeroised when dropped.
pub struct Secrets {
    exact: Automaton,
    letters: Automaton,
}

impl Secrets {
    /// For these values. Empty ones are skipped.
    ///
    /// # Examples
    ///
    /// ```
    /// use flowhost_detect::Secrets;
    ///
    /// let secrets = Secrets::new(["s3cret-token"]);
    /// assert_eq!(secrets.find(b"it is s3cret-token."), [6..18]);
    /// assert_eq!(secrets.find(b"it is s3cret', 'token."), [6..21]);
    /// assert_eq!(secrets.find(b"it is nekot-terc3s."), [6..18]);
    /// ```
    #[must_use]
    pub fn new<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let (mut exact, mut letters) = (Vec::new(), Vec::new());
        let values = values.into_iter().filter(|value| !value.is_empty());
        for value in values.flat_map(with_lines) {
            let raw = Zeroizing::new(value.as_bytes().to_vec());
            let encoded = forms::encodings(value);
            for form in std::iter::once(&raw).chain(&encoded) {
                let reversed = Zeroizing::new(form.iter().rev().copied().collect());
                for form in [form, &reversed] {
                    let squeezed = squeezed(form).0;
                    if squeezed.len() >= LETTERS_MIN {
                        letters.push(squeezed);
                    }
                }
            }
            // The value itself is looked for at any length: whoever set it as a secret has said so.
            let long = encoded.into_iter().filter(|form| form.len() >= ENCODED_MIN);
            exact.extend(long);
            exact.push(raw);
        }
        Self {
            exact: Automaton::new(&exact),
            letters: Automaton::new(&letters),
        }
    }

    /// Where they stand, in order and apart: as bytes of the text, each place from the first letter of the
    /// secret to its last.
    #[must_use]
    pub fn find(&self, text: &[u8]) -> Vec<Range<usize>> {
        let mut found = self.exact.find(text);
        found.extend(self.spread(text));
        // Only text has escapes to read; what is not UTF-8 is searched as it is.
        if let Ok(text) = std::str::from_utf8(text)
            && let Some(mut view) = View::of(text)
        {
            // Taken out, so that it is wiped: a secret may stand in it whole that the text holds in pieces.
            let seen = Zeroizing::new(std::mem::take(&mut view.text));
            let mut places = self.exact.find(seen.as_bytes());
            places.extend(self.spread(seen.as_bytes()));
            found.extend(places.iter().map(|place| view.in_text(place)));
        }
        together(found)
    }

    /// Whether a text holds none of them.
    #[must_use]
    pub fn is_clean(&self, text: &[u8]) -> bool {
        self.find(text).is_empty()
    }

    /// Where they stand across whatever is not a letter.
    fn spread(&self, text: &[u8]) -> Vec<Range<usize>> {
        if self.letters.is_empty() {
            return Vec::new();
        }
        let (letters, places) = squeezed(text);
        let in_text = |place: Range<usize>| {
            let start = places.of(place.start);
            let last = places.of(place.end.saturating_sub(1));
            start..last + 1
        };
        self.letters
            .find(&letters)
            .into_iter()
            .map(in_text)
            .collect()
    }
}

/// Where the letters of a squeezed text stood: a row for each run of them.
struct Places {
    /// The place in the squeezed text, the place in the text.
    runs: Vec<(usize, usize)>,
}

impl Places {
    fn of(&self, place: usize) -> usize {
        let after = self.runs.partition_point(|(here, _)| *here <= place);
        after
            .checked_sub(1)
            .and_then(|run| self.runs.get(run))
            .map_or(place, |(here, there)| there + (place - here))
    }
}

/// The letters and digits of a text in small letters; bytes of other scripts are letters.
fn squeezed(text: &[u8]) -> (Zeroizing<Vec<u8>>, Places) {
    let mut letters = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut runs = Vec::new();
    let mut next = None;
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        let hidden = shows_nothing(text.get(at..).unwrap_or_default());
        if hidden > 0 {
            at += hidden;
            continue;
        }
        if byte.is_ascii_alphanumeric() || *byte >= 0x80 {
            if next != Some(at) {
                runs.push((letters.len(), at));
            }
            letters.push(byte.to_ascii_lowercase());
            next = Some(at + 1);
        }
        at += 1;
    }
    (letters, Places { runs })
}

/// Bytes of a character that shows nothing, or of a space that is not ASCII's: U+00A0, U+00AD, U+2000 to
/// U+200F, U+2028 to U+202F, U+2060 to U+2064, U+3000, U+FEFF.
fn shows_nothing(text: &[u8]) -> usize {
    match text {
        [0xc2, 0xa0 | 0xad, ..] => 2,
        [0xe2, 0x80, 0x80..=0x8f | 0xa8..=0xaf, ..]
        | [0xe2, 0x81, 0xa0..=0xa4, ..]
        | [0xe3, 0x80, 0x80, ..]
        | [0xef, 0xbb, 0xbf, ..] => 3,
        _ => 0,
    }
}

/// The places in order, those that overlap as one.
fn together(mut found: Vec<Range<usize>>) -> Vec<Range<usize>> {
    found.sort_by_key(|place| (place.start, place.end));
    let mut apart: Vec<Range<usize>> = Vec::with_capacity(found.len());
    for place in found {
        match apart.last_mut() {
            Some(last) if place.start < last.end => last.end = last.end.max(place.end),
            _ => apart.push(place),
        }
    }
    apart
}
