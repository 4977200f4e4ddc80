//! The search for what should not leave, over text that a stranger wrote.

use std::sync::LazyLock;

use flowhost_detect::{Detector, Kind, Lines};

use super::text;
use crate::{Outcome, Target};

/// Made once: its patterns cost more than most texts.
static DETECTOR: LazyLock<Detector> = LazyLock::new(Detector::all);

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

/// Places lie in the text, in order and apart; what was found is not in what is left.
fn detect(bytes: &[u8]) -> Outcome {
    let text = text(bytes);
    let (clean, found) = DETECTOR.redact(&text);
    let lines = Lines::of(&text);
    let mut end = 0;
    let mut expected = String::new();
    for place in &found {
        assert!(end <= place.range.start && place.range.start < place.range.end);
        let before = text.get(end..place.range.start);
        assert!(before.is_some(), "a place is within a character: {place:?}");
        expected.push_str(before.unwrap_or_default());
        expected.push_str(&format!("[redacted:{}]", place.label));
        end = place.range.end;
        assert!(lines.line(place.range.start) <= lines.line(end));
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
