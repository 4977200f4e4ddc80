//! A command line that was not understood, as a failure for programs: what the parser prints for people, taken apart.
//!
//! Owns no text of its own: what is missing and what would be possible stand below the parser's first line, and a program
//! that reads only that line could not ask again in the right way. Must never guess at what was meant.

use std::ffi::OsString;

/// What the parser said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// What is wrong, with the names that belong to it.
    pub(crate) message: String,
    /// What the parser proposes, and how the command is used.
    pub(crate) hints: Vec<String>,
}

/// Whether one of the words asks for JSON; what else is among them may be no text at all.
pub(crate) fn wants_json(mut words: impl Iterator<Item = OsString>) -> bool {
    words.any(|word| word == "--json")
}

/// How the parser begins the line with the command's form.
const USAGE: &str = "Usage: ";

impl Told {
    /// Takes apart what the parser prints: paragraphs, of which the first says what is wrong, then proposals, the command's
    /// form, and where help is.
    pub(crate) fn of(text: &str) -> Self {
        let mut paragraphs = text.trim().split("\n\n");
        let first = paragraphs.next().unwrap_or_default();
        let first = first.trim_start_matches("error: ");
        let mut lines = first.lines().map(str::trim).filter(|it| !it.is_empty());
        let mut message = lines.next().unwrap_or_default().to_owned();
        let more: Vec<&str> = lines.collect();
        if !more.is_empty() {
            // Names in a column, one a line.
            message.push_str(&format!(" {}", more.join(", ")));
        }
        let mut hints = Vec::new();
        for line in paragraphs.flat_map(str::lines).map(str::trim) {
            if let Some(tip) = line.strip_prefix("tip: ") {
                hints.push(tip.to_owned());
            } else if let Some(form) = line.strip_prefix(USAGE) {
                hints.push(format!("usage: {form}"));
            }
        }
        Self { message, hints }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_what_is_missing_are_kept() {
        let told = Told::of(
            "error: the following required arguments were not provided:\n  --as <VERDICT>\n  <STEP>\n\n\
             Usage: flowhost runs settle --as <VERDICT> <RUN> <STEP>\n\nFor more information, try '--help'.\n",
        );
        let message = "the following required arguments were not provided: --as <VERDICT>, <STEP>";
        assert_eq!(told.message, message);
        let usage = "usage: flowhost runs settle --as <VERDICT> <RUN> <STEP>";
        assert_eq!(told.hints, [usage]);
    }

    #[test]
    fn what_would_be_possible_and_what_is_proposed_are_kept() {
        let told = Told::of(
            "error: invalid value 'pdf' for '--format <FORMAT>'\n  [possible values: text, svg]\n\n  tip: a similar \
             value exists: 'svg'\n\nFor more information, try '--help'.\n",
        );
        let message = "invalid value 'pdf' for '--format <FORMAT>' [possible values: text, svg]";
        assert_eq!(told.message, message);
        assert_eq!(told.hints, ["a similar value exists: 'svg'"]);
    }

    #[test]
    #[cfg(unix)]
    fn a_word_that_is_no_text_ends_nobody() {
        use std::os::unix::ffi::OsStringExt as _;
        let words = || [OsString::from_vec(vec![0xff]), OsString::from("--json")].into_iter();
        assert!(wants_json(words()));
        assert!(!wants_json(words().take(1)));
    }

    #[test]
    fn one_line_is_a_message_and_none_is_no_panic() {
        assert_eq!(Told::of("error: no\n").message, "no");
        assert_eq!(Told::of("").message, "");
    }
}
