//! A text as who reads it sees it: without the escapes of JSON, Markdown and URLs.
//!
//! Text often arrives inside another format, where `\n` touches the key behind it and an at sign is
//! `\u0040` or `%40`. The view is searched beside the text itself; its places are those of the text,
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
        if !text.contains(['\\', '%']) {
            return None;
        }
        let mut view = Self {
            text: String::with_capacity(text.len()),
            shifts: Vec::new(),
        };
        let mut rest = text;
        while let Some(plain) = rest.find(['\\', '%']) {
            let (before, escape) = rest.split_at(plain);
            view.text.push_str(before);
            let (letter, length) = read(escape);
            view.text.push(letter);
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
        let last = after.checked_sub(1).and_then(|last| self.shifts.get(last));
        last.map_or(place, |(here, there)| there + (place - here))
    }
}

/// What an escape stands for and its bytes. What is none stands for itself.
fn read(escape: &str) -> (char, usize) {
    if let Some(digits) = escape.strip_prefix('%') {
        let letter = hex(digits, 2).and_then(|code| u8::try_from(code).ok());
        return match letter.filter(u8::is_ascii) {
            Some(letter) => (char::from(letter), 3),
            None => ('%', 1),
        };
    }
    let after = escape.trim_start_matches('\\');
    let slashes = escape.len() - after.len();
    match after.chars().next() {
        Some('n' | 'r' | 't' | 'b' | 'f') => ('\n', slashes + 1),
        Some('u') => match hex(after.get(1..).unwrap_or_default(), 4) {
            Some(code) => (char::from_u32(code).unwrap_or(' '), slashes + 5),
            None => ('\\', slashes),
        },
        Some(mark) if mark.is_ascii_punctuation() && mark != '%' => (mark, slashes + 1),
        _ => ('\\', slashes),
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
    fn a_place_takes_its_escapes_along() {
        let text = "x\\nann\\u0040b.c%20y";
        let view = View::of(text).expect("a view");
        let place = view.text.find("ann@b.c").expect("it");
        assert_eq!(&text[view.in_text(&(place..place + 7))], "ann\\u0040b.c");
    }
}
