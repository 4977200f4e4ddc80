//! Payment cards: length and check digit (ISO/IEC 7812-1 annex B, the Luhn algorithm), in one piece or
//! in groups.
//!
//! Each start reads at most nineteen digits and what separates them, so a text costs its length.

use std::ops::Range;

use crate::text::{Text, is_digit};

/// Most digits of a card number. ISO/IEC 7812 allows no more.
const DIGITS_MAX: usize = 19;
/// How schemes print their numbers. Only these are looked for behind other digits.
const LAYOUTS: &[&[usize]] = &[&[4, 4, 4, 4], &[4, 4, 4, 4, 3], &[4, 6, 5], &[4, 6, 4]];

/// Where card numbers stand.
pub(crate) fn find(text: &Text) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let end = if starts(text, at) {
            card(text, at)
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

/// A digit that neither a word, a fraction nor a hyphenated name leads to.
fn starts(text: &Text, at: usize) -> bool {
    // A point: `0.4111…` is a fraction. A hyphen: ids are written in groups with it.
    let touches = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-';
    text.is(at, is_digit) && !text.before(at).is_some_and(touches)
}

/// The end of the longest card number that starts there.
fn card(text: &Text, start: usize) -> Option<usize> {
    let follows_digits =
        text.before(start) == Some(b' ') && text.before(start - 1).is_some_and(is_digit);
    let (mut digits, mut groups) = (Vec::with_capacity(DIGITS_MAX), vec![0_usize]);
    let mut found = None;
    let mut at = start;
    while let Some(byte) = text.at(at).filter(|byte| is_digit(*byte)) {
        digits.push(u32::from(byte - b'0'));
        if let Some(group) = groups.last_mut() {
            *group += 1;
        }
        at += 1;
        let printed = !follows_digits || groups.len() == 1 || LAYOUTS.contains(&&*groups);
        if printed && text.ends(at) && is_card(&digits) {
            found = Some(at);
        }
        if digits.len() == DIGITS_MAX {
            break;
        }
        if matches!(text.at(at), Some(b' ' | b'-')) {
            groups.push(0);
            at += 1;
        }
    }
    found
}

/// Whether digits have the length of a card number, a card scheme's first digit and a right check
/// digit.
fn is_card(digits: &[u32]) -> bool {
    // The first digits that card schemes use: every tenth number has a right check digit, so with
    // the others it would be orders and ids that are found.
    let scheme = matches!(digits.first(), Some(2..=6));
    let all_same = digits
        .windows(2)
        .all(|pair| matches!(pair, [a, b] if a == b));
    (13..=DIGITS_MAX).contains(&digits.len()) && scheme && !all_same && check_digit_is_right(digits)
}

fn check_digit_is_right(digits: &[u32]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| match (place % 2, digit * 2) {
            (0, _) => *digit,
            (_, double) if double > 9 => double - 9,
            (_, double) => double,
        })
        .sum();
    sum.is_multiple_of(10)
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
    fn refuses_a_wrong_check_digit() {
        assert!(found("4111 1111 1111 1112").is_empty());
    }

    #[test]
    fn refuses_a_number_of_another_industry() {
        assert!(found("0000000000000000 9000000000000001").is_empty());
    }

    #[test]
    fn refuses_what_is_part_of_a_longer_number_or_name() {
        for text in [
            "x4111111111111111",
            "4111111111111111x",
            "0.4111111111111111",
        ] {
            assert!(found(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn accepts_numbers_that_the_schemes_publish_for_tests() {
        for card in [
            "4111-1111-1111-1111",
            "5555555555554444",
            "3782 822463 10005",
        ] {
            assert_eq!(found(card), [card]);
        }
    }

    #[test]
    fn finds_a_card_behind_and_before_other_numbers() {
        let text = "room 1234 4111 1111 1111 1111 123";
        assert_eq!(found(text), ["4111 1111 1111 1111"]);
    }
}
