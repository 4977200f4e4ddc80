//! The search for what should not leave, over text that a stranger wrote.

use std::sync::LazyLock;

use flowhost_detect::{Detector, Kind, line_of};

use super::text;
use crate::{Outcome, Target};

/// Made once: its patterns cost more than most texts.
static DETECTOR: LazyLock<Detector> = LazyLock::new(|| Detector::new(&Kind::ALL));

pub(crate) const DETECT: Target = Target {
    name: "detect",
    run: detect,
    words: &[
        "@",
        "a@b.example",
        "4111 1111 1111 1111",
        "4111111111111111",
        "+49 30 1234567",
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_",
        "sk-",
        "xoxb-",
        "-----BEGIN PRIVATE KEY-----",
        "0000",
        "----",
        "\u{e9}",
        "\u{1f600}",
        "\n",
    ],
};

/// Most bytes of a text here: more costs time and shows nothing new.
const TEXT_BYTES_MAX: usize = 1_024;

/// Places lie in the text, in order and apart; what was found is not in what is left.
fn detect(bytes: &[u8]) -> Outcome {
    let text = text(bytes.get(..TEXT_BYTES_MAX).unwrap_or(bytes));
    let (clean, found) = DETECTOR.redact(&text);
    let mut end = 0;
    let mut expected = String::new();
    for place in &found {
        assert!(end <= place.range.start && place.range.start < place.range.end);
        let before = text.get(end..place.range.start);
        assert!(before.is_some(), "a place is within a character: {place:?}");
        expected.push_str(before.unwrap_or_default());
        expected.push_str(&format!("[redacted:{}]", place.label));
        end = place.range.end;
        assert!(line_of(&text, place.range.start) <= line_of(&text, end));
    }
    let rest = text.get(end..);
    assert!(rest.is_some(), "a place ends within a character");
    expected.push_str(rest.unwrap_or_default());
    assert_eq!(clean, expected);
    for kind in Kind::ALL {
        assert_eq!(Kind::parse(kind.as_str()), Some(kind));
    }
    Outcome::of(&if found.is_empty() { Err(()) } else { Ok(()) })
}
