//! Answers that follow from the seed alone.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

use crate::{name::ModelName, ports::Who, prompt::Prompt, tokens};

use super::schema;

/// Words of the mock's text: short, and plainly not a model's.
const WORDS: [&str; 16] = [
    "amber", "basalt", "cedar", "delta", "ember", "fjord", "grove", "harbor", "island", "juniper",
    "kelp", "lagoon", "meadow", "north", "orchard", "pine",
];
/// Words of one text. A sentence: long enough that two seeds hardly say the same.
const TEXT_WORDS: usize = 12;
/// Numbers of one vector. Enough that texts of different words lie apart, and short enough to read.
const DIMENSIONS: usize = 64;

/// Text, or JSON that satisfies the answer's schema.
pub(super) fn answer(model: &ModelName, prompt: &Prompt, who: &Who<'_>) -> String {
    let mut random = random(model, prompt, who);
    match &prompt.answer_schema {
        Some(schema) => schema::instance(schema, &mut random).to_string(),
        None => text(&mut random),
    }
}

fn random(model: &ModelName, prompt: &Prompt, who: &Who<'_>) -> ChaCha8Rng {
    let mut hash = Sha256::new();
    // The caller's call number and step are not in it: the same question gets the same answer
    // wherever it is asked.
    hash.update(prompt.seed.unwrap_or(who.seed).to_be_bytes());
    for part in [&model.name, who.stage, who.agent] {
        field(&mut hash, part);
    }
    for turn in &prompt.turns {
        field(&mut hash, turn.speaker.as_str());
        field(&mut hash, &turn.content);
    }
    ChaCha8Rng::from_seed(hash.finalize().into())
}

/// Length first, so that no two lists of texts hash alike.
fn field(hash: &mut Sha256, text: &str) {
    hash.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
    hash.update(text);
}

/// `mock: amber north …`.
pub(super) fn text(random: &mut ChaCha8Rng) -> String {
    let mut out = String::from("mock:");
    for _ in 0..TEXT_WORDS {
        out.push(' ');
        out.push_str(word(random));
    }
    out
}

/// One of the mock's words.
pub(super) fn word(random: &mut ChaCha8Rng) -> &'static str {
    // Sixteen words divide 2³², so none is said more often than another.
    let at = usize::try_from(random.next_u32()).unwrap_or(0) % WORDS.len();
    WORDS.get(at).copied().unwrap_or("amber")
}

/// Bytes of the longest beginning of `text` that is within `max` tokens.
pub(super) fn fitting(text: &str, max: u64) -> usize {
    let ends: Vec<usize> = text
        .char_indices()
        .map(|(at, c)| at + c.len_utf8())
        .collect();
    let fits = |end: usize| tokens::count(text.get(..end).unwrap_or_default()) <= max;
    // Counts grow with the text but for a blank that joins the next word, so the point found by
    // halving is off by one character at most.
    let mut count = ends.partition_point(|end| fits(*end));
    while count > 0 && !ends.get(count - 1).is_some_and(|end| fits(*end)) {
        count -= 1;
    }
    count
        .checked_sub(1)
        .and_then(|at| ends.get(at))
        .copied()
        .unwrap_or(0)
}

/// A bag of hashed words of length one: texts that share words are near each other.
pub(super) fn vector(text: &str) -> Vec<f64> {
    let mut vector = vec![0.0_f64; DIMENSIONS];
    for word in text.split(|c: char| !c.is_alphanumeric()) {
        let hash = Sha256::digest(word.to_lowercase());
        let (Some(place), Some(sign)) = (hash.first(), hash.get(1)) else {
            continue;
        };
        if let Some(number) = vector.get_mut(usize::from(*place) % DIMENSIONS) {
            *number += if sign % 2 == 0 { 1.0 } else { -1.0 };
        }
    }
    let length = vector
        .iter()
        .map(|number| number * number)
        .sum::<f64>()
        .sqrt();
    if length == 0.0 {
        // Words may cancel each other out; a vector without direction would be near nothing.
        if let Some(first) = vector.first_mut() {
            *first = 1.0;
        }
        return vector;
    }
    vector.iter().map(|number| number / length).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_fitting_beginning_is_within_its_tokens(text in "[a-zA-Z0-9 .ü\n]{0,80}", max in 0_u64..40) {
            let end = fitting(&text, max);
            prop_assert!(tokens::count(&text[..end]) <= max);
            if tokens::count(&text) + 2 <= max {
                prop_assert_eq!(end, text.len());
            }
        }

        #[test]
        fn vectors_have_length_one(text in any::<String>()) {
            let length: f64 = vector(&text).iter().map(|number| number * number).sum();
            prop_assert!((length - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn texts_that_share_words_are_nearer() {
        let near =
            |a: &str, b: &str| -> f64 { vector(a).iter().zip(vector(b)).map(|(x, y)| x * y).sum() };
        let question = "how to rotate the host key";
        assert!(near(question, "rotate the key of a host") > near(question, "a full disk"));
    }
}
