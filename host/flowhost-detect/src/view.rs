//! A text as who reads it sees it: without the escapes of JSON, Markdown, HTML and URLs, without
//! characters that show nothing, and with full-width forms as what they are a form of.
//!
//! Text often arrives inside another format, where `\n` touches the key behind it and an at sign is
//! `\u0040`, `%40` or `&#64;`. The view is searched beside the text itself; its places are those of the text,
//! so that an escape is replaced as a whole. One pass; a run of backslashes (text that was escaped
//! twice) is one escape.

use std::ops::Range;

/// A text without its escapes.
pub(crate) struct View {
    pub(crate) text: String,
    /// Behind each escape: the place here, the place in the text.
    shifts: Vec<(usize, usize)>,
}

impl View {
    /// The view of a text; none where it is the text itself.
    pub(crate) fn of(text: &str) -> Option<Self> {
        if !text.contains(is_escape) {
            return None;
        }
        let mut view = Self {
            text: String::with_capacity(text.len()),
            shifts: Vec::new(),
        };
        let mut rest = text;
        while let Some(plain) = rest.find(is_escape) {
            let (before, escape) = rest.split_at(plain);
            view.text.push_str(before);
            // One letter at most for each escape, so the view is never longer than the text and its
            // memory is had at once.
            let (letter, length) = read(escape);
            view.text.extend(letter);
            rest = escape.get(length..).unwrap_or_default();
            view.shifts.push((view.text.len(), text.len() - rest.len()));
        }
        view.text.push_str(rest);
        Some(view)
    }

    /// The place in the text of a place here.
    pub(crate) fn in_text(&self, place: &Range<usize>) -> Range<usize> {
        self.shift(place.start)..self.shift(place.end)
    }

    fn shift(&self, place: usize) -> usize {
        let after = self.shifts.partition_point(|(here, _)| *here <= place);
        after
            .checked_sub(1)
            .and_then(|last| self.shifts.get(last))
            .map_or(place, |(here, there)| there + (place - here))
    }
}

/// What an escape starts with, or a character that is seen as another or not at all.
fn is_escape(letter: char) -> bool {
    matches!(letter, '\\' | '%' | '&') || shows_nothing(letter) || is_full_width(letter)
}

/// Characters that are put between the letters of a word and leave it looking the same.
fn shows_nothing(letter: char) -> bool {
    matches!(
        letter,
        '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}'
    )
}

/// The full-width forms of ASCII.
fn is_full_width(letter: char) -> bool {
    matches!(letter, '\u{ff01}'..='\u{ff5e}')
}

/// What an escape stands for and its bytes. What is none stands for itself.
fn read(escape: &str) -> (Option<char>, usize) {
    let mut letters = escape.chars();
    let first = letters.next().unwrap_or_default();
    match first {
        '%' => percent(letters.as_str()),
        '&' => entity(letters.as_str()),
        '\\' => backslash(escape),
        _ if shows_nothing(first) => (None, first.len_utf8()),
        _ => {
            // Full-width forms stand in the order of ASCII, from the exclamation mark on.
            let offset = u32::from(first).wrapping_sub(0xff01) + u32::from('!');
            (char::from_u32(offset), first.len_utf8())
        }
    }
}

fn percent(digits: &str) -> (Option<char>, usize) {
    let letter = hex(digits, 2).and_then(|code| u8::try_from(code).ok());
    match letter.filter(u8::is_ascii) {
        Some(letter) => (Some(char::from(letter)), 3),
        None => (Some('%'), 1),
    }
}

/// Entities that stand within addresses, numbers and keys when HTML is written by a program.
const ENTITIES: &[(&str, char)] = &[
    ("amp;", '&'),
    ("commat;", '@'),
    ("period;", '.'),
    ("lowbar;", '_'),
    ("plus;", '+'),
    ("hyphen;", '-'),
    ("colon;", ':'),
    ("sol;", '/'),
    ("equals;", '='),
    ("nbsp;", ' '),
    ("quot;", '"'),
    ("apos;", '\''),
    ("lt;", '<'),
    ("gt;", '>'),
];

fn entity(name: &str) -> (Option<char>, usize) {
    let named = ENTITIES.iter().find(|(known, _)| name.starts_with(known));
    if let Some((known, letter)) = named {
        return (Some(*letter), 1 + known.len());
    }
    match numeric(name) {
        Some((letter, length)) => (Some(letter), 1 + length),
        None => (Some('&'), 1),
    }
}

/// `#64;` and `#x40;`, of at most seven digits.
fn numeric(name: &str) -> Option<(char, usize)> {
    let number = name.strip_prefix('#')?;
    let (digits, radix) = match number.strip_prefix(['x', 'X']) {
        Some(digits) => (digits, 16),
        None => (number, 10),
    };
    let length = digits
        .bytes()
        .take(7)
        .take_while(|byte| char::from(*byte).is_digit(radix))
        .count();
    digits.get(length..)?.strip_prefix(';')?;
    let code = u32::from_str_radix(digits.get(..length)?, radix).ok()?;
    Some((
        char::from_u32(code)?,
        name.len() - digits.len() + length + 1,
    ))
}

/// An escape of JSON or Markdown; a run of backslashes is one.
fn backslash(escape: &str) -> (Option<char>, usize) {
    let after = escape.trim_start_matches('\\');
    let slashes = escape.len() - after.len();
    match after.chars().next() {
        Some('n' | 'r' | 't' | 'b' | 'f') => (Some('\n'), slashes + 1),
        Some('u') => match hex(after.get(1..).unwrap_or_default(), 4) {
            // Half of a pair is nothing that is looked for; a blank ends what stands before it.
            Some(code) => (Some(char::from_u32(code).unwrap_or(' ')), slashes + 5),
            None => (Some('\\'), slashes),
        },
        // `\x41` of C, Python and JavaScript; the code of another character is left to who reads it.
        Some('x') => match hex(after.get(1..).unwrap_or_default(), 2).filter(|code| *code < 0x80) {
            Some(code) => (char::from_u32(code), slashes + 3),
            None => (Some('\\'), slashes),
        },
        Some(mark) if mark.is_ascii_punctuation() && !matches!(mark, '%' | '&') => {
            (Some(mark), slashes + 1)
        }
        _ => (Some('\\'), slashes),
    }
}

/// The number that so many hexadecimal digits are.
fn hex(text: &str, digits: usize) -> Option<u32> {
    let digits = text.get(..digits)?;
    let all = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    all.then(|| u32::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::View;

    #[test]
    fn a_text_without_escapes_has_no_view() {
        assert!(View::of("plain \u{e9}").is_none());
    }

    #[test]
    fn what_is_no_escape_stands_for_itself() {
        for text in [
            "100%",
            "50%zz",
            "%e9",
            "C:\\windows",
            "\\u12",
            "\\\u{e9}",
            "\\",
        ] {
            assert_eq!(View::of(text).expect("a view").text, text);
        }
    }

    #[test]
    fn escapes_of_json_markdown_and_urls_are_read_once_or_twice_escaped() {
        let text = "a\\nb\\\\nc\\u0040d\\\\u0040e%40f\\_g\\/h\\u00e9";
        assert_eq!(
            View::of(text).expect("a view").text,
            "a\nb\nc@d@e@f_g/h\u{e9}"
        );
    }

    #[test]
    fn entities_and_full_width_forms_are_read_and_what_shows_nothing_is_not() {
        let text = "a&#64;b&#x2E;c&commat;d&amp;e\u{ff20}f\u{200b}g&h; &#; &#xx;";
        assert_eq!(
            View::of(text).expect("a view").text,
            "a@b.c@d&e@fg&h; &#; &#xx;"
        );
    }

    #[test]
    fn a_place_takes_its_escapes_along() {
        let text = "x\\nann\\u0040b.c%20y";
        let view = View::of(text).expect("a view");
        let place = view.text.find("ann@b.c").expect("it");
        assert_eq!(&text[view.in_text(&(place..place + 7))], "ann\\u0040b.c");
    }
}
