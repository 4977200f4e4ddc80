//! Payment cards: length and check digit (ISO/IEC 7812-1 annex B, the Luhn algorithm).

/// Whether the digits of `text` have the length of a card number, a card scheme's first digits and a
/// right check digit.
pub(crate) fn is_card(text: &str) -> bool {
    let digits: Vec<u32> = text
        .chars()
        .filter_map(|letter| letter.to_digit(10))
        .collect();
    let scheme = matches!(digits.first(), Some(2..=6));
    let all_same = digits
        .windows(2)
        .all(|pair| matches!(pair, [a, b] if a == b));
    (13..=19).contains(&digits.len()) && scheme && !all_same && check_digit_is_right(&digits)
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
    use super::is_card;

    #[test]
    fn refuses_a_wrong_check_digit() {
        assert!(!is_card("4111 1111 1111 1112"));
    }

    #[test]
    fn refuses_a_number_of_another_industry() {
        assert!(!is_card("0000000000000000"));
        assert!(!is_card("9000000000000001"));
    }

    #[test]
    fn accepts_numbers_that_the_schemes_publish_for_tests() {
        for card in ["4111-1111-1111-1111", "5555555555554444", "378282246310005"] {
            assert!(is_card(card), "{card}");
        }
    }
}
