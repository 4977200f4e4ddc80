//! Phone numbers: international (E.164: a country code that exists and as many digits as that country
//! has) or in a national form that people print, and not a date, a version, a sum or a bare number.
//!
//! Each start reads a bounded piece, so a text costs its length.

mod countries;
mod national;

use std::ops::Range;

use crate::text::{Text, is_digit};

/// Most digits of an international number, country code included. E.164 allows no more.
const DIGITS_MAX: usize = 15;

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
        return international(text, at + 1, false);
    }
    if let Some(code) = text.word(at, "(+") {
        return international(text, code, false);
    }
    // With two zeros as most of the world dials it; only in groups, for bare digits are an id.
    text.word(at, "00")
        .filter(|code| text.is(*code, |byte| matches!(byte, b'1'..=b'9')))
        .filter(|_| !national::is_beside_digits(text, at))
        .and_then(|code| international(text, code, true))
        .or_else(|| national::number(text, at))
        .or_else(|| called(text, at))
}

/// `tel:0301234567` (RFC 3966): the scheme says what bare digits are.
fn called(text: &Text, at: usize) -> Option<usize> {
    let scheme = at.checked_sub("tel:".len())?;
    text.word_of_any_case(scheme, "tel:")?;
    let end = text.run(at, |byte| is_digit(byte) || byte == b'-', DIGITS_MAX + 4);
    (end - at >= 7 && ends(text, end)).then_some(end)
}

/// Nothing follows that makes the digits part of another number: `12.345.678,90`, `12:30`.
fn ends(text: &Text, at: usize) -> bool {
    let continues = |byte: u8| matches!(byte, b',' | b':' | b'.' | b'/' | b'-' | b'%' | b'=');
    let is_part = text.is(at, continues) && text.is(at + 1, is_digit);
    text.ends(at) && !is_part && text.at(at) != Some(b'%')
}

/// What was read of a number so far.
#[derive(Default)]
struct Digits {
    all: Vec<u8>,
    groups: usize,
    /// Whether all groups behind the first have three digits.
    by_thousands: bool,
    trunk: bool,
}

/// `+49 30 901820`, `+1 (212) 555-0187`: groups with at most three separating marks between them. The
/// longest that is one wins, so that a number behind it does not hide it.
fn international(text: &Text, start: usize, grouped: bool) -> Option<usize> {
    let separates = |byte: u8| matches!(byte, b' ' | b'.' | b'-' | b'(' | b')' | b'/');
    let mut number = Digits {
        by_thousands: true,
        ..Digits::default()
    };
    let (mut at, mut found) = (start, None);
    loop {
        // Two more than there may be: a zero that is dialled at home only, and one to see that it goes on.
        let end = text.run(
            at,
            is_digit,
            DIGITS_MAX + 2 - number.all.len().min(DIGITS_MAX),
        );
        if end == at {
            return found;
        }
        number.groups += 1;
        if number.groups > 1 {
            number.by_thousands &= end - at == 3;
        }
        // `+49 (0)30`: the zero is dialled at home only.
        number.trunk |= end - at == 1
            && text.at(at) == Some(b'0')
            && text.before(at) == Some(b'(')
            && text.at(end) == Some(b')');
        number.all.extend((at..end).filter_map(|at| text.at(at)));
        if number.all.len() > DIGITS_MAX + 1 {
            return found;
        }
        let alone = !grouped || number.groups > 1;
        if alone && ends(text, end) && is_number(&number) {
            found = Some(end);
        }
        at = text.run(end, separates, 3);
        if at == end {
            return found;
        }
    }
}

fn is_number(number: &Digits) -> bool {
    let digits: &[u8] = &number.all;
    let Some(country) = countries::of(digits) else {
        return false;
    };
    let national = digits.get(country.code..).unwrap_or_default();
    // The zero may be a part of the code: `+4(0)` is no country with a zero behind it.
    let Some(length) = national.len().checked_sub(usize::from(number.trunk)) else {
        return false;
    };
    // `+100 000 000`: a round sum, however it is grouped.
    let round = digits
        .iter()
        .rev()
        .take_while(|digit| **digit == b'0')
        .count();
    let is_sum = round >= 7 || (number.by_thousands && number.groups >= 3 && round >= 3);
    let area = country.code != 1 || digits.first() != Some(&b'1');
    let area = area || national.first().is_some_and(|first| *first >= b'2');
    country.digits.contains(&length) && !is_sum && area
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
    fn dates_hunks_and_sums_with_a_plus_are_not_phone_numbers() {
        for text in [
            "+20261121",
            "+20261121093000",
            "@@ -1,5 +12345678,9 @@",
            "+12.345.678,90 EUR",
            "+100 000 000 users",
            "+250 000 000",
            "+1700000000",
            "+999 123 4567",
            "+4(0)",
            "+4 (0), and so on",
        ] {
            assert_eq!(found(text), Vec::<&str>::new(), "{text}");
        }
    }

    #[test]
    fn dates_lists_and_dumps_are_not_national_numbers() {
        for text in [
            "01 23 45 67 89 ab cd",
            "00 01 02 03 04 05 06",
            "ff 01 23 45 67 89",
            "01-02-2026 10:30",
            "0.12.34567.89",
            "012-345-678",
            "090 210 90 211",
            "90210 90211",
        ] {
            assert_eq!(found(text), Vec::<&str>::new(), "{text}");
        }
    }

    #[test]
    fn international_and_national_forms_are() {
        for phone in [
            "+49 30 901820",
            "+4930901820",
            "+49 (0)30 / 901820",
            "+1 (212) 555-0187",
            "(+44) 20 7946 0958",
            "0049 30 901820",
            "(212) 555-0187",
            "(212)555-0187",
            "212.555.0187",
            "1-800-555-0199",
            "1 (212) 555-0187",
            "030 901820",
            "0221/4710815",
            "0221 / 4710815",
            "020 7946 0958",
            "07700 900123",
            "01 42 68 53 00",
            "06.12.34.56.78",
            "03-1234-5678",
            "090-1234-5678",
            "(02) 9876 5432",
            "0412 345 678",
            "(11) 98765-4321",
            "138 1234 5678",
            "8 (495) 123-45-67",
            "044 668 18 00",
            "0212 123 45 67",
            "612 34 56 78",
        ] {
            assert_eq!(found(phone), [phone]);
        }
        assert_eq!(found("tel:0309018200"), ["0309018200"]);
    }

    #[test]
    fn a_number_behind_it_does_not_hide_one() {
        assert_eq!(found("+1 212 555 0187 20261121"), ["+1 212 555 0187"]);
    }
}
