//! Finds any of many words in one pass (Aho and Corasick, 1975), folding case for all of Unicode and
//! respecting word boundaries.

use aho_corasick::{AhoCorasick, MatchKind};
use flowhost_sdk::Error;

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
        let patterns: Vec<String> = words.iter().map(|word| folded(word, ignore_case)).collect();
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
        let text = folded(text, self.ignore_case);
        self.automaton
            .find_overlapping_iter(&text)
            .filter(|hit| !self.whole_words || stands_alone(&text, hit.start(), hit.end()))
            .filter_map(|hit| self.words.get(hit.pattern().as_usize()).map(String::as_str))
            .collect()
    }
}

/// Lower case, with the sharp s and the final sigma as what they are upper-cased to: the same for
/// every spelling of a word.
fn folded(text: &str, ignore_case: bool) -> String {
    if ignore_case {
        text.to_uppercase().to_lowercase().replace('ς', "σ")
    } else {
        text.to_owned()
    }
}

/// Whether no letter, digit or underscore touches the match. A word that itself starts or ends with
/// another character has no boundary to respect there.
fn stands_alone(text: &str, start: usize, end: usize) -> bool {
    let (before, hit, after) = (text.get(..start), text.get(start..end), text.get(end..));
    let touches = |outer: Option<char>, inner: Option<char>| {
        outer.is_some_and(is_word) && inner.is_some_and(is_word)
    };
    let first = hit.and_then(|hit| hit.chars().next());
    let last = hit.and_then(|hit| hit.chars().next_back());
    !touches(before.and_then(|text| text.chars().next_back()), first)
        && !touches(after.and_then(|text| text.chars().next()), last)
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
    fn parts_of_words_are_found_where_the_configuration_says_so() {
        assert_eq!(scanner(&["art"], false, true).words("start").len(), 1);
    }
}
