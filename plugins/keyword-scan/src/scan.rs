//! Finds any of many words in one pass (Aho and Corasick, 1975), in whatever form of Unicode they are
//! written, folding case and respecting word boundaries where a script has them.

use aho_corasick::{AhoCorasick, MatchKind};
use flowhost_sdk::Error;

use crate::form::{self, has_no_spaces, is_mark};

/// Most banned words, and bytes of all of them together.
const WORDS_MAX: usize = 10_000;
const BYTES_MAX: usize = 1 << 20;

/// The words, ready to be looked for.
pub(crate) struct Scanner {
    words: Vec<String>,
    automaton: AhoCorasick,
    whole_words: bool,
    ignore_case: bool,
}

impl Scanner {
    /// A scanner for these words.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an empty word, which is everywhere, and for too many.
    pub(crate) fn new(
        words: &[String],
        whole_words: bool,
        ignore_case: bool,
    ) -> Result<Self, Error> {
        if words.iter().any(|word| word.trim().is_empty()) {
            return Err(Error::invalid("`banned` holds an empty word"));
        }
        let bytes: usize = words.iter().map(String::len).sum();
        if words.len() > WORDS_MAX || bytes > BYTES_MAX {
            return Err(Error::invalid(format_args!(
                "`banned` holds {} words of {bytes} bytes, and {WORDS_MAX} of {BYTES_MAX} are allowed",
                words.len()
            )));
        }
        let patterns: Vec<String> = words
            .iter()
            .map(|word| form::folded(word, ignore_case))
            .collect();
        if patterns.iter().any(|pattern| pattern.trim().is_empty()) {
            return Err(Error::invalid(
                "`banned` holds a word of characters that show nothing",
            ));
        }
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .build(&patterns)
            .map_err(|error| Error::invalid(format_args!("`banned`: {error}")))?;
        Ok(Self {
            words: words.to_vec(),
            automaton,
            whole_words,
            ignore_case,
        })
    }

    /// The words that a text holds, as the configuration spells them, in the order of the text.
    pub(crate) fn words(&self, text: &str) -> Vec<&str> {
        let text = form::folded(text, self.ignore_case);
        self.automaton
            .find_overlapping_iter(&text)
            .filter(|hit| !self.whole_words || stands_alone(&text, hit.start(), hit.end()))
            .filter_map(|hit| self.words.get(hit.pattern().as_usize()).map(String::as_str))
            .collect()
    }
}

/// Whether no letter, digit or underscore touches the match. A word that itself starts or ends with
/// another character has no boundary to respect there, nor has one of a script that is written without
/// spaces: there a word stands between its neighbours, and particles follow it.
fn stands_alone(text: &str, start: usize, end: usize) -> bool {
    let (before, hit, after) = (text.get(..start), text.get(start..end), text.get(end..));
    let first = hit.and_then(|hit| hit.chars().next());
    let last = hit.and_then(|hit| hit.chars().next_back());
    let before = before.and_then(|text| text.chars().next_back());
    let after = after.and_then(|text| text.chars().next());
    // A mark behind the match changes its last letter, in any script.
    !after.is_some_and(is_mark) && !touches(before, first) && !touches(after, last)
}

fn touches(outer: Option<char>, inner: Option<char>) -> bool {
    let (Some(outer), Some(inner)) = (outer, inner) else {
        return false;
    };
    is_word(outer) && is_word(inner) && !has_no_spaces(outer) && !has_no_spaces(inner)
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scanner(words: &[&str], whole_words: bool, ignore_case: bool) -> Scanner {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        Scanner::new(&words, whole_words, ignore_case).expect("a scanner")
    }

    #[test]
    fn a_word_inside_another_is_left_alone() {
        let scanner = scanner(&["ass", "x"], true, true);
        assert!(scanner.words("a class, assess, x_y and max").is_empty());
    }

    #[test]
    fn a_word_is_found_beside_punctuation_and_at_the_ends() {
        let scanner = scanner(&["secret"], true, true);
        assert_eq!(scanner.words("secret,(SECRET) top-Secret").len(), 3);
    }

    #[test]
    fn case_folds_beyond_ascii() {
        let scanner = scanner(&["straße", "ΟΔΟΣ"], true, true);
        assert_eq!(scanner.words("STRASSE und οδος"), ["straße", "ΟΔΟΣ"]);
    }

    #[test]
    fn case_counts_where_the_configuration_says_so() {
        assert!(scanner(&["Go"], true, false).words("go and GO").is_empty());
    }

    #[test]
    fn words_that_overlap_are_all_found() {
        let scanner = scanner(&["code name", "name x"], true, true);
        assert_eq!(scanner.words("the code name x"), ["code name", "name x"]);
    }

    #[test]
    fn a_word_of_punctuation_has_no_boundary() {
        assert_eq!(scanner(&["c++"], true, true).words("in c++11"), ["c++"]);
    }

    #[test]
    fn a_word_with_another_accent_is_another_word() {
        let scanner = scanner(&["cafe"], true, true);
        assert!(scanner.words("caf\u{e9} cafe\u{301}").is_empty());
    }

    #[test]
    fn a_word_is_found_in_every_form_of_unicode() {
        let composed = scanner(&["caf\u{e9}", "\u{ac01}"], true, true);
        assert_eq!(
            composed.words("CAFE\u{301} \u{1100}\u{1161}\u{11a8}").len(),
            2
        );
        let decomposed = scanner(&["cafe\u{301}"], true, true);
        assert_eq!(decomposed.words("Caf\u{e9}").len(), 1);
        let plain = scanner(&["secret", "office"], true, true);
        assert_eq!(
            plain.words("\u{ff33}\u{ff25}\u{ff23}\u{ff32}\u{ff25}\u{ff34}, o\u{fb03}ce, se\u{200b}cr\u{ad}et"),
            ["secret", "office", "secret"]
        );
        for filler in [
            '\u{3164}',
            '\u{ffa0}',
            '\u{115f}',
            '\u{180e}',
            '\u{e0041}',
            '\u{e0100}',
        ] {
            let split = format!("se{filler}cret");
            assert_eq!(plain.words(&split), ["secret"], "{filler:?}");
        }
        let exact = scanner(&["Caf\u{e9}"], true, false);
        assert_eq!(exact.words("Cafe\u{301} cafe\u{301}").len(), 1);
    }

    #[test]
    fn a_word_between_letters_of_scripts_without_spaces_stands_alone() {
        for (word, text) in [
            (
                "\u{673a}\u{5bc6}",
                "\u{8fd9}\u{662f}\u{673a}\u{5bc6}\u{6587}\u{4ef6}",
            ),
            (
                "secret",
                "\u{4eca}\u{65e5}\u{306e}secret\u{3092}\u{898b}\u{308b}",
            ),
            (
                "\u{cf54}\u{b4dc}",
                "\u{cf54}\u{b4dc}\u{b97c} \u{bcf8}\u{b2e4}",
            ),
            (
                "\u{0e25}\u{0e31}\u{0e1a}",
                "\u{0e04}\u{0e27}\u{0e32}\u{0e21}\u{0e25}\u{0e31}\u{0e1a}\u{0e21}\u{0e32}\u{0e01}",
            ),
        ] {
            assert_eq!(scanner(&[word], true, true).words(text), [word], "{text}");
        }
    }

    #[test]
    fn a_mark_behind_a_thai_word_makes_it_another() {
        let scanner = scanner(&["\u{0e01}"], true, true);
        assert!(scanner.words("\u{0e01}\u{0e34}\u{0e19}").is_empty());
    }

    #[test]
    fn parts_of_words_are_found_where_the_configuration_says_so() {
        assert_eq!(scanner(&["art"], false, true).words("start").len(), 1);
    }
}
