//! Phone numbers: international (E.164: at most fifteen digits) or in a common national form, and not
//! a date, a version or a bare number.
//!
//! Each start reads a bounded piece, so a text costs its length.

use std::ops::Range;

use crate::text::{Text, is_digit};

/// Digits of an international number, country code included.
const INTERNATIONAL: std::ops::RangeInclusive<usize> = 8..=15;
/// Digits of a national number with its leading zero.
const NATIONAL: std::ops::RangeInclusive<usize> = 9..=11;

/// Where phone numbers stand.
pub(crate) fn find(text: &Text) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let end = if starts(text, at) {
            phone(text, at)
        } else {
            None
        };
        if let Some(end) = end {
            found.push(at..end);
        }
        at = end.unwrap_or(at + 1);
    }
    found
}

fn starts(text: &Text, at: usize) -> bool {
    let opens = |byte: u8| is_digit(byte) || byte == b'+' || byte == b'(';
    let touches =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'.' | b'_' | b'-');
    text.is(at, opens) && !text.before(at).is_some_and(touches)
}

fn phone(text: &Text, at: usize) -> Option<usize> {
    if text.at(at) == Some(b'+') {
        return international(text, at + 1);
    }
    let open = text.at(at) == Some(b'(');
    let first = if open { at + 1 } else { at };
    three_three_four(text, first, open).or_else(|| with_leading_zero(text, first, open))
}

/// `+49 30 901820`, `+1 (212) 555-0187`: groups with at most three separating marks between them. The
/// longest that is one wins, so that a number behind it does not hide it.
fn international(text: &Text, start: usize) -> Option<usize> {
    let separates = |byte: u8| matches!(byte, b' ' | b'.' | b'-' | b'(' | b')' | b'/');
    let (mut at, mut digits, mut found) = (start, 0, None);
    loop {
        let end = text.run(at, is_digit, *INTERNATIONAL.end() + 1 - digits);
        if end == at {
            return found;
        }
        digits += end - at;
        if INTERNATIONAL.contains(&digits) && text.ends(end) {
            found = Some(end);
        }
        if digits > *INTERNATIONAL.end() {
            return found;
        }
        at = text.run(end, separates, 3);
        if at == end {
            return found;
        }
    }
}

/// `(212) 555-0187`, `212-555-0187`.
fn three_three_four(text: &Text, start: usize, open: bool) -> Option<usize> {
    let separates = |byte: u8| matches!(byte, b' ' | b'.' | b'-');
    let area = exactly(text, start, 3)?;
    let closed = closing(text, area, open);
    let middle = if text.is(closed, separates) {
        closed + 1
    } else if open && closed > area {
        closed
    } else {
        return None;
    };
    let last = exactly(text, middle, 3)?;
    let end = text
        .is(last, separates)
        .then(|| exactly(text, last + 1, 4))??;
    text.ends(end).then_some(end)
}

/// `030 901820`, `(0221) 4710`: an area code with its zero and one block.
fn with_leading_zero(text: &Text, start: usize, open: bool) -> Option<usize> {
    let area = text.run(start, is_digit, 5);
    if text.at(start) != Some(b'0') || area - start < 3 {
        return None;
    }
    let closed = closing(text, area, open);
    let separated = text.is(closed, |byte| matches!(byte, b' ' | b'/' | b'-'));
    let end = text.run(closed + 1, is_digit, 8);
    let (area, block) = (area - start, end - (closed + 1));
    let is_one = separated && block >= 5 && NATIONAL.contains(&(area + block)) && text.ends(end);
    is_one.then_some(end)
}

/// The end of exactly so many digits.
fn exactly(text: &Text, start: usize, digits: usize) -> Option<usize> {
    let end = text.run(start, is_digit, digits);
    (end - start == digits).then_some(end)
}

/// Past the parenthesis that was opened.
fn closing(text: &Text, at: usize, open: bool) -> usize {
    let closes = open && text.at(at) == Some(b')');
    if closes { at + 1 } else { at }
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
    fn a_bare_run_of_digits_is_not_a_phone_number() {
        assert!(found("1234567890").is_empty());
    }

    #[test]
    fn more_digits_than_e164_allows_are_not_a_phone_number() {
        assert!(found("+1234567890123456").is_empty());
    }

    #[test]
    fn dates_times_offsets_and_addresses_are_not_phone_numbers() {
        let text = "2026-11-21T09:30:00+01:00, 01/02/2026, 192.168.100.200, 1.2.3+20261121";
        assert!(found(text).is_empty());
    }

    #[test]
    fn international_and_national_forms_are() {
        for phone in [
            "+49 30 901820",
            "+4930901820",
            "+49 (0)30 / 901820",
            "+1 (212) 555-0187",
            "(212) 555-0187",
            "(212)555-0187",
            "212.555.0187",
            "030 901820",
            "0221/4710815",
        ] {
            assert_eq!(found(phone), [phone]);
        }
    }

    #[test]
    fn a_number_behind_it_does_not_hide_one() {
        assert_eq!(found("+1 212 555 0187 20261121"), ["+1 212 555 0187"]);
    }
}
