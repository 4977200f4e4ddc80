//! How many tokens a text is at most, without any model's vocabulary.
//!
//! Tokens are reserved before a call and counted by us when a provider gives no usage that can be,
//! so the count must not be below the truth. It goes by what byte-level BPE and SentencePiece
//! vocabularies share:
//!
//! * a byte is never more than one token, so a character outside ASCII counts its UTF-8 bytes;
//! * digits, signs and line breaks count one each; runs of blanks count one for each blank, but
//!   the single blank before a word belongs to the word;
//! * two letters of a word share a token, which holds for words of every vocabulary we know; runs of
//!   more than 16 letters (base64, hex, minified code) are no words and count one a letter.
//!
//! English prose comes out at about twice its true count, code and CJK text nearer to it. What a
//! call used in excess of its reservation is settled by the provider's own count afterwards.

use serde_json::Value;

use crate::prompt::{Prompt, ToolCall, Turn};

/// Letters of the longest run that counts as a word.
const WORD_LETTERS_MAX: u64 = 16;
/// Tokens of a turn beside its text: role, separators.
const TURN_TOKENS: u64 = 8;
/// Tokens of a tool, a call or a schema beside its texts: wrapping JSON or its like.
const ITEM_TOKENS: u64 = 24;
/// Tokens of a request beside its turns. Providers add a few of their own to each; estimates are to be above what
/// is billed.
const REQUEST_TOKENS: u64 = 16;

/// Tokens of `text` at most.
#[must_use]
pub fn count(text: &str) -> u64 {
    let mut tokens = 0_u64;
    let mut letters = 0_u64;
    let mut blanks = 0_u64;
    for c in text.chars() {
        if c.is_ascii_alphabetic() {
            // The last blank before a word is a part of the word.
            tokens += blanks.saturating_sub(1);
            blanks = 0;
            letters += 1;
            continue;
        }
        tokens += word(letters);
        letters = 0;
        if c == ' ' {
            blanks += 1;
            continue;
        }
        // Four bytes are the most that a character has.
        tokens += blanks + u64::try_from(c.len_utf8()).unwrap_or(4);
        blanks = 0;
    }
    tokens + word(letters) + blanks
}

fn word(letters: u64) -> u64 {
    if letters <= WORD_LETTERS_MAX {
        letters.div_ceil(2)
    } else {
        letters
    }
}

/// Tokens of a whole prompt at most, without what a provider adds of its own.
#[must_use]
pub fn count_prompt(prompt: &Prompt) -> u64 {
    let turns = prompt.turns.iter().map(turn);
    let tools = prompt.tools.iter().map(|tool| {
        ITEM_TOKENS + count(&tool.name) + count(&tool.description) + json(&tool.input_schema)
    });
    let schema = prompt
        .answer_schema
        .as_ref()
        .map_or(0, |schema| ITEM_TOKENS + json(schema));
    REQUEST_TOKENS + turns.sum::<u64>() + tools.sum::<u64>() + schema
}

/// Tokens of an answer at most.
#[must_use]
pub(crate) fn count_answer(content: &str, tool_calls: &[ToolCall]) -> u64 {
    count(content) + tool_calls.iter().map(call).sum::<u64>()
}

/// Tokens of texts to embed at most.
#[must_use]
pub(crate) fn count_texts(texts: &[String]) -> u64 {
    texts.iter().map(|text| TURN_TOKENS + count(text)).sum()
}

fn turn(turn: &Turn) -> u64 {
    let calls = turn.tool_calls.iter().map(call);
    TURN_TOKENS + count(&turn.content) + count(&turn.answers) + calls.sum::<u64>()
}

fn call(call: &ToolCall) -> u64 {
    ITEM_TOKENS + count(&call.id) + count(&call.name) + count(&call.arguments)
}

fn json(value: &Value) -> u64 {
    count(&value.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn counts_by_what_vocabularies_share() {
        let table = [
            ("", 0),
            ("hello", 3),
            ("hello world", 6),
            ("  x", 2),
            ("12:30", 5),
            ("\n\n", 2),
            ("ü", 2),
            ("語", 3),
            ("🦀", 4),
            ("abcdefghijklmnopqrst", 20),
        ];
        for (text, tokens) in table {
            assert_eq!(count(text), tokens, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn is_between_a_token_for_16_bytes_and_one_for_each(text in any::<String>()) {
            let bytes = text.len() as u64;
            prop_assert!(count(&text) <= bytes);
            prop_assert!(count(&text) >= bytes.div_ceil(16));
        }

        #[test]
        fn a_part_is_never_more_than_the_whole(text in "[a-z 0-9\n]{0,60}", cut in 0_usize..60) {
            let cut = cut.min(text.len());
            prop_assert!(count(&text[..cut]) <= count(&text) + 1);
        }
    }
}
