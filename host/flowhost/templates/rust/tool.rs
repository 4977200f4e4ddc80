//! What the plugin does, for whoever reads it next.

use flowhost_sdk as flowhost;

use flowhost::Error;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Text {
    /// What is to be counted.
    text: String,
}

#[derive(Serialize, JsonSchema)]
struct Counted {
    /// Words, as spaces separate them.
    words: usize,
    /// Characters, spaces included.
    characters: usize,
}

/// Counts the words and characters of a text.
#[flowhost::tool(effects = "none", read_only, open_world = false)]
fn count(input: Text) -> Result<Counted, Error> {
    if input.text.trim().is_empty() {
        return Err(Error::invalid("the text is empty"));
    }
    Ok(Counted {
        words: input.text.split_whitespace().count(),
        characters: input.text.chars().count(),
    })
}

flowhost::export_tools!(count);

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(text: &str) -> Result<Counted, Error> {
        count(Text {
            text: text.to_owned(),
        })
    }

    #[test]
    fn refuses_a_text_without_words() {
        assert!(matches!(counted(" \n"), Err(Error::Invalid(_))));
    }

    #[test]
    fn counts_words_and_characters() {
        let counted = counted("zwei Wörter").unwrap();
        assert_eq!((counted.words, counted.characters), (2, 11));
    }
}
