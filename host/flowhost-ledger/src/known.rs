//! Words that every line has again, found by their bytes: the names of fields and of kinds. Whoever reads a ledger
//! asks for some fifteen of them in each line.

/// Places of a table: several for each of some two hundred words, so that few are looked for in two of them.
const PLACES: usize = 2_048;

/// Words with what each stands for.
pub(crate) struct Known<T> {
    /// Each in the place that its bytes give, or in the next one that was free.
    places: Vec<Option<(&'static str, T)>>,
}

impl<T: Copy> Known<T> {
    /// Of words that stand there twice, the first counts.
    pub(crate) fn of(words: impl Iterator<Item = (&'static str, T)>) -> Self {
        let mut places = vec![None; PLACES];
        for (count, (word, what)) in words.enumerate() {
            debug_assert!(count < PLACES / 2, "a table this full is slow to search");
            let mut at = place_of(word);
            while let Some(Some((other, _))) = places.get(at)
                && *other != word
            {
                at = (at + 1) % PLACES;
            }
            if let Some(place) = places.get_mut(at) {
                place.get_or_insert((word, what));
            }
        }
        Self { places }
    }

    /// The word with these bytes, if there is one.
    pub(crate) fn get(&self, word: &str) -> Option<(&'static str, T)> {
        let mut at = place_of(word);
        // It ends at the first free place, and most places are free.
        while let Some((known, what)) = self.places.get(at).copied().flatten() {
            if known == word {
                return Some((known, what));
            }
            at = (at + 1) % PLACES;
        }
        None
    }
}

/// FNV-1a, whose few instructions for each byte are less than what comparing with each word costs.
fn place_of(word: &str) -> usize {
    let hash = word.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    hash as usize % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_each_word_and_no_other() {
        let words: Vec<&'static str> = (0..900)
            .map(|number: u32| &*Box::leak(format!("word {number}").into_boxed_str()))
            .collect();
        let known = Known::of(words.iter().copied().zip(0..));
        for (word, number) in words.iter().zip(0..) {
            assert_eq!(known.get(word), Some((*word, number)));
        }
        for other in ["", "word", "word 900", "é"] {
            assert_eq!(known.get(other), None);
        }
    }

    #[test]
    fn of_a_word_that_stands_there_twice_the_first_counts() {
        let known = Known::of([("a", 1), ("a", 2)].into_iter());
        assert_eq!(known.get("a"), Some(("a", 1)));
    }
}
