//! Phone numbers: enough digits to be one (E.164: at most 15), and not a date or a version.

/// Whether `text` has as many digits as a phone number, and is written like one.
pub(crate) fn is_phone(text: &str) -> bool {
    let digits = text.chars().filter(char::is_ascii_digit).count();
    let international = text.starts_with('+');
    let written = text.contains(['(', ' ', '-', '.']);
    if international {
        (8..=15).contains(&digits)
    } else {
        written && (9..=11).contains(&digits)
    }
}

#[cfg(test)]
mod tests {
    use super::is_phone;

    #[test]
    fn a_bare_run_of_digits_is_not_a_phone_number() {
        assert!(!is_phone("1234567890"));
    }

    #[test]
    fn more_digits_than_e164_allows_are_not_a_phone_number() {
        assert!(!is_phone("+1234567890123456"));
    }

    #[test]
    fn international_and_national_forms_are() {
        assert!(is_phone("+49 30 901820"));
        assert!(is_phone("(212) 555-0187"));
    }
}
