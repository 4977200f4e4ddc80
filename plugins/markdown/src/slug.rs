//! The anchor of a heading, as GitHub makes it, and the form in which two anchors are compared.

use percent_encoding::percent_decode_str;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

/// What the client that follows a link puts before every anchor, so that a link may hold it, too.
const PREFIX: &str = "user-content-";

/// The anchor of a heading's text: lower case; word characters and `-` stay, spaces become `-`, and all
/// else is dropped, at its ends, too: `🚀 Usage` is `-usage`.
pub(crate) fn slug(text: &str) -> String {
    lower(text)
        .filter_map(|letter| match letter {
            ' ' => Some('-'),
            _ if letter == '-' || is_word(letter) => Some(letter),
            _ => None,
        })
        .collect()
}

/// Ruby's `\p{Word}`, which GitHub's rule is written in: alphabetic, marks, decimal digits and connectors.
/// Rust's `is_alphanumeric` differs: it takes `²` and leaves the vowel signs of Hindi and U+FE0F.
fn is_word(letter: char) -> bool {
    let is_connector_or_digit = || {
        matches!(
            letter.general_category(),
            GeneralCategory::DecimalNumber | GeneralCategory::ConnectorPunctuation
        )
    };
    letter.is_alphabetic()
        || letter.general_category_group() == GeneralCategoryGroup::Mark
        || is_connector_or_digit()
}

/// Letter by letter, as Ruby does it: `Σ` is `σ` at a word's end, too.
fn lower(text: &str) -> impl Iterator<Item = char> {
    text.chars().flat_map(char::to_lowercase)
}

/// The form of an anchor or of a link's fragment that is compared: percent-decoded, without regard to
/// case, because a browser on GitHub finds `#Usage` as well as `#usage`.
pub(crate) fn key(fragment: &str) -> String {
    let decoded = percent_decode_str(fragment).decode_utf8();
    let text = decoded.as_deref().unwrap_or(fragment);
    let text = text.strip_prefix(PREFIX).unwrap_or(text);
    // A link is often written by a program whose lower case knows the final form of sigma.
    lower(text)
        .map(|letter| if letter == 'ς' { 'σ' } else { letter })
        .collect()
}

/// Whether a fragment leads somewhere in every document: to its top, to the source's lines, or to words.
pub(crate) fn is_everywhere(key: &str) -> bool {
    key.is_empty() || key == "top" || key.starts_with(":~:") || is_lines(key)
}

/// `l10`, `l10-l20`, `l10c3-l20c9`.
fn is_lines(key: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_place = |text: &str| match text.strip_prefix('l').unwrap_or(text).split_once('c') {
        Some((line, column)) => digits(line) && digits(column),
        None => digits(text.strip_prefix('l').unwrap_or(text)),
    };
    key.starts_with('l') && key.split('-').all(is_place) && key.split('-').count() <= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn punctuation_symbols_and_other_numbers_are_dropped() {
        for (text, wanted) in [
            ("Sub-section: part 1/2 (new!)", "sub-section-part-12-new"),
            ("x² and ½", "x-and-"),
            ("a\u{200d}b \u{a0}c", "ab-c"),
            ("C++ & `Rust`", "c--rust"),
            ("tab\there\nline", "tabhereline"),
        ] {
            assert_eq!(slug(text), wanted, "{text}");
        }
    }

    #[test]
    fn marks_digits_and_connectors_of_every_script_stay() {
        for (text, wanted) in [
            ("मार्ग दर्शन", "मार्ग-दर्शन"),
            ("Cafe\u{301}", "cafe\u{301}"),
            ("⚠\u{fe0f} Danger", "\u{fe0f}-danger"),
            ("snake_case ‿ tie", "snake_case-‿-tie"),
            ("٣ شيء", "٣-شيء"),
            ("ΟΔΟΣ", "οδοσ"),
        ] {
            assert_eq!(slug(text), wanted, "{text}");
        }
    }

    #[test]
    fn fragments_are_compared_decoded_and_without_regard_to_case() {
        assert_eq!(key("%C3%9Cber-Uns"), "über-uns");
        assert_eq!(key("100%"), "100%");
        assert_eq!(key("user-content-a"), "a");
        assert_eq!(key("οδος"), key("ΟΔΟΣ"));
    }

    #[test]
    fn a_word_that_begins_with_l_is_not_a_line() {
        for (fragment, wanted) in [
            ("l10", true),
            ("l10-l20", true),
            ("l1c2-l3c4", true),
            ("top", true),
            ("lib", false),
            ("l", false),
            ("l1-l2-l3", false),
            ("topics", false),
        ] {
            assert_eq!(is_everywhere(fragment), wanted, "{fragment}");
        }
    }
}
