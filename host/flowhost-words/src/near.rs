//! Which known word was probably meant, for every "did you mean".

/// Bytes of the longest word that is compared. The distance is quadratic in the length, a plan can
/// hold a key of a megabyte, and what is longer than any name of ours is no slip of the finger.
const WORD_BYTES_MAX: usize = 64;

/// Known words that [`nearest`] looks at: who has more would not wait for what was meant.
pub const WORDS_MAX: usize = 2_000;

/// The known word nearest to `wrong`, if it is near enough to be a slip of the finger: one letter
/// in three may be wrong, and one always, but never all of them: every name of one letter would be
/// near every other. Of two that are as near, the first in the alphabet.
///
/// # Examples
///
/// ```
/// use flowhost_words::nearest;
///
/// assert_eq!(nearest("memroy", ["memory", "fuel"]), Some("memory"));
/// assert_eq!(nearest("colour", ["memory", "fuel"]), None);
/// ```
#[must_use]
pub fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if wrong.len() > WORD_BYTES_MAX {
        return None;
    }
    let letters = wrong.chars().count();
    let slips = (letters / 3).max(1).min(letters.saturating_sub(1));
    let (distance, word) = known
        .into_iter()
        .take(WORDS_MAX)
        // A word that is longer or shorter by more letters is no slip either, nor is one that has others; both are
        // cheaper to see than how far it is away.
        .filter(|word| {
            word.len() <= WORD_BYTES_MAX
                && word.chars().count().abs_diff(letters) <= slips
                && others(wrong, word) <= slips
        })
        .map(|word| (strsim::damerau_levenshtein(wrong, word), word))
        .min()?;
    (distance <= slips).then_some(word)
}

/// Letters of one word that the other lacks, of whichever lacks more: every slip brings at most one such letter, so two
/// words are at least so far apart. Letters are told apart by their last byte, which can only make it less.
fn others(one: &str, other: &str) -> usize {
    let mut counts = [0_i32; 256];
    let mut count = |word: &str, by: i32| {
        for letter in word.chars() {
            let [.., byte] = u32::from(letter).to_be_bytes();
            if let Some(count) = counts.get_mut(usize::from(byte)) {
                *count += by;
            }
        }
    };
    count(one, 1);
    count(other, -1);
    let (mut more, mut less) = (0, 0);
    for count in counts {
        match count {
            1.. => more += count.unsigned_abs(),
            _ => less += count.unsigned_abs(),
        }
    }
    more.max(less) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_word_that_is_too_long_is_not_compared() {
        let long = "a".repeat(WORD_BYTES_MAX);
        assert_eq!(nearest(&long, [long.as_str()]), Some(long.as_str()));
        let longer = "a".repeat(WORD_BYTES_MAX + 1);
        assert_eq!(nearest(&longer, [long.as_str()]), None);
        assert_eq!(nearest(&long, [longer.as_str()]), None);
    }

    #[test]
    fn a_name_of_one_letter_is_not_near_another() {
        assert_eq!(nearest("d", ["a", "b"]), None);
        assert_eq!(nearest("d", ["dd"]), None);
        assert_eq!(nearest("ab", ["ac"]), Some("ac"));
    }

    #[test]
    fn nothing_known_is_near_nothing() {
        assert_eq!(nearest("memory", []), None);
    }

    proptest! {
        #[test]
        fn two_neighbours_that_changed_places_are_found(word in "[a-z]{4,20}", at in 0_usize..3) {
            let mut letters: Vec<char> = word.chars().collect();
            letters.swap(at, at + 1);
            let wrong: String = letters.into_iter().collect();
            prop_assert_eq!(nearest(&wrong, [word.as_str(), "0000000"]), Some(word.as_str()));
        }

        #[test]
        fn letters_that_a_word_lacks_are_never_more_than_its_distance(one in "[a-cäö中]{0,8}", other in "[a-cäö中]{0,8}") {
            prop_assert!(others(&one, &other) <= strsim::damerau_levenshtein(&one, &other));
        }

        #[test]
        fn a_word_that_shares_no_letter_is_never_meant(wrong in "[a-m]{1,20}", known in "[n-z]{2,20}") {
            prop_assert_eq!(nearest(&wrong, [known.as_str()]), None);
        }
    }
}
