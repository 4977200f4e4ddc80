//! The words of a refusal, wherever a server puts them.
//!
//! Known places: `error` as a text or an object, `message` as a text or an object, `detail` as a text or a
//! list of faults with their places, `innererror`, a list around it all, the text of another server
//! inside (`metadata.raw`), a page, plain text. Bounded: a refusal is read to a few levels and a few
//! items, since all that a reader needs is why.

use serde_json::Value;

/// Levels of objects and lists that are looked into. No provider nests the reason of an error deeper; a body that
/// does is not an error's.
const DEPTH_MAX: usize = 6;
/// Items of a list that are told: the first fault says most.
const ITEMS_MAX: usize = 8;
/// Characters of what is kept: ten times what a message shows.
const CHARS_MAX: usize = 6_000;

/// Keys whose values are for people to read, the most telling first.
const TOLD: [&str; 12] = [
    "message",
    "msg",
    "error",
    "detail",
    "details",
    "innererror",
    "inner_error",
    "errors",
    "error_description",
    "description",
    "metadata",
    "raw",
];
/// Keys whose values are for programs to read.
const KINDS: [&str; 6] = ["type", "code", "status", "error_type", "param", "reason"];

/// The words of an error's body.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Words {
    /// For people.
    pub(super) message: String,
    /// For programs: types, codes, names of fields.
    pub(super) kinds: String,
    /// A status that stands in the body.
    pub(super) status: Option<u16>,
}

impl Words {
    /// Reads a body.
    pub(super) fn of(body: &[u8]) -> Self {
        match serde_json::from_slice::<Value>(body) {
            Ok(value) => Self::of_json(&value),
            Err(_) => Self::of_text(&String::from_utf8_lossy(body)),
        }
    }

    pub(super) fn of_json(value: &Value) -> Self {
        if let Value::String(text) = value {
            return Self::of_text(text);
        }
        let mut words = Self::default();
        let mut said = Vec::new();
        words.gather(value, 0, &mut said);
        words.message = cut(&said.join(": "));
        if words.status.is_none() {
            words.status = status_in(&words.message);
        }
        words
    }

    fn of_text(text: &str) -> Self {
        let text = text.trim();
        let message = cut(&title(text).unwrap_or_else(|| text.to_owned()));
        Self {
            status: status_in(&message),
            message,
            kinds: String::new(),
        }
    }

    fn gather(&mut self, value: &Value, depth: usize, said: &mut Vec<String>) {
        if depth > DEPTH_MAX {
            return;
        }
        match value {
            Value::String(text) => self.text(text, depth, said),
            Value::Array(items) => {
                let mut faults = Vec::new();
                for item in items.iter().take(ITEMS_MAX) {
                    let mut one = Vec::new();
                    self.gather(item, depth + 1, &mut one);
                    faults.push(one.join(": "));
                }
                faults.retain(|it| !it.is_empty());
                add(said, faults.join("; "));
            }
            Value::Object(_) => self.object(value, depth, said),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// A text that is itself JSON is another server's refusal, handed through.
    fn text(&mut self, text: &str, depth: usize, said: &mut Vec<String>) {
        let inner = text.trim_start().starts_with(['{', '[']);
        match inner.then(|| serde_json::from_str::<Value>(text)) {
            Some(Ok(value)) => self.gather(&value, depth + 1, said),
            _ => add(said, text.trim().to_owned()),
        }
    }

    fn object(&mut self, value: &Value, depth: usize, said: &mut Vec<String>) {
        for key in KINDS {
            match value.get(key) {
                Some(Value::String(kind)) => {
                    // Each alone: all of them together are no longer than the body.
                    self.kinds.push_str(&cut(kind));
                    self.kinds.push(' ');
                    self.number(kind.trim().parse().ok());
                }
                Some(Value::Number(number)) => self.number(number.as_u64()),
                _ => {}
            }
        }
        self.number(value.get("status_code").and_then(Value::as_u64));
        let place = place(value);
        let before = said.len();
        for key in TOLD {
            if let Some(inner) = value.get(key) {
                self.gather(inner, depth + 1, said);
            }
        }
        if let (Some(place), Some(first)) = (place, said.get_mut(before)) {
            *first = format!("{place}: {first}");
        }
    }

    fn number(&mut self, number: Option<u64>) {
        let status = number.and_then(|it| u16::try_from(it).ok());
        if let (None, Some(status @ 400..=599)) = (self.status, status) {
            self.status = Some(status);
        }
    }

    /// Everything, to look for names of fields in.
    pub(super) fn all(&self) -> String {
        format!("{} {}", self.message, self.kinds)
    }
}

/// Where the fault is (`loc` of a checked body), as a path.
fn place(value: &Value) -> Option<String> {
    let parts = value.get("loc")?.as_array()?;
    let part = |it: &Value| it.as_str().map_or_else(|| it.to_string(), str::to_owned);
    let parts: Vec<String> = parts.iter().take(ITEMS_MAX).map(part).collect();
    Some(parts.join("."))
}

fn add(said: &mut Vec<String>, text: String) {
    // Routers repeat the upstream's reason in a field of their own.
    let known = said.iter().any(|it| it.contains(&text));
    if !text.is_empty() && !known {
        said.push(text);
    }
}

fn cut(text: &str) -> String {
    text.chars().take(CHARS_MAX).collect()
}

/// Of a page only its title is worth showing.
fn title(text: &str) -> Option<String> {
    // ASCII alone, so that a place in it is the same place in `text`.
    let lower = text
        .get(..text.floor_char_boundary(CHARS_MAX))?
        .to_ascii_lowercase();
    if !lower.starts_with("<!doctype") && !lower.starts_with("<html") {
        return None;
    }
    let from = lower.find("<title>")? + "<title>".len();
    let to = from + lower.get(from..)?.find("</title>")?;
    Some(text.get(from..to)?.trim().to_owned())
}

/// A status that a plain text names: at its start, or after a word that announces one.
fn status_in(text: &str) -> Option<u16> {
    let lower = text.to_lowercase();
    let words: Vec<&str> = lower
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|it| !it.is_empty())
        // A status further on is a part of what somebody said, not of how it ended.
        .take(40)
        .collect();
    let announces = |word: &str| matches!(word, "error" | "status" | "code" | "http" | "upstream");
    words.iter().enumerate().find_map(|(at, word)| {
        let before = at.checked_sub(1).and_then(|at| words.get(at));
        let status = word.parse::<u16>().ok().filter(|_| word.len() == 3)?;
        let told = before.is_none_or(|before| announces(before));
        (told && (400..=599).contains(&status)).then_some(status)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(body: &str) -> String {
        Words::of(body.as_bytes()).message
    }

    #[test]
    fn the_reason_is_found_wherever_it_stands() {
        for body in [
            r#"{"error":{"message":"why"}}"#,
            r#"{"error":"why"}"#,
            r#"{"message":"why"}"#,
            r#"{"detail":"why"}"#,
            r#"[{"error":{"code":400,"message":"why","status":"INVALID_ARGUMENT"}}]"#,
            r#"{"error":{"code":"Invalid input","innererror":{"msg":"why"},"message":null}}"#,
            r#"{"object":"error","message":{"detail":[{"msg":"why"}]}}"#,
            r#"{"error":{"message":"","metadata":{"raw":"{\"error\":{\"message\":\"why\"}}"}}}"#,
            r#"{"errors":[{"message":"why"}]}"#,
            r#"{"error":{"type":"x","error_description":"why"}}"#,
            "why\n",
            "<!DOCTYPE html><html><head><title>why</title></head></html>",
            "\"why\"",
        ] {
            assert_eq!(message(body), "why", "{body}");
        }
    }

    #[test]
    fn a_page_is_its_title_wherever_its_characters_are_cut() {
        for blanks in 0..3 {
            let rest = "語".repeat(CHARS_MAX);
            let page = format!("<html>{}<title>why</title>{rest}", " ".repeat(blanks));
            assert_eq!(message(&page), "why", "{blanks}");
        }
    }

    #[test]
    fn faults_of_a_list_keep_their_places() {
        let body = r#"{"detail":[{"type":"extra_forbidden","loc":["body","seed"],"msg":"Extra"},
            {"loc":["body","messages",0],"msg":"Bad"}]}"#;
        assert_eq!(message(body), "body.seed: Extra; body.messages.0: Bad");
        assert!(Words::of(body.as_bytes()).kinds.contains("extra_forbidden"));
    }

    #[test]
    fn a_text_that_is_said_twice_is_told_once() {
        let body = r#"{"message":"why","error":{"message":"why","detail":"more"}}"#;
        assert_eq!(message(body), "why: more");
    }

    #[test]
    fn a_status_is_found_as_a_number_a_text_and_in_words() {
        let table = [
            (r#"{"error":{"code":402}}"#, Some(402)),
            (r#"{"error":{"code":"402"}}"#, Some(402)),
            (r#"{"status":429,"title":"x"}"#, Some(429)),
            (
                r#"{"error":{"code":"invalid","status_code":400}}"#,
                Some(400),
            ),
            (r#"{"error":"HTTP 402 Payment Required"}"#, Some(402)),
            ("402 Payment Required", Some(402)),
            ("upstream error: status code: 401", Some(401)),
            ("you sent 450 words", None),
            (r#"{"error":{"code":7}}"#, None),
        ];
        for (body, status) in table {
            assert_eq!(Words::of(body.as_bytes()).status, status, "{body}");
        }
    }

    proptest! {
        #[test]
        fn no_body_breaks_it(body in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(Words::of(&body).message.chars().count() <= CHARS_MAX);
        }

        #[test]
        fn deep_bodies_are_read_to_a_bound(depth in 0_usize..60) {
            let body = format!("{}\"why\"{}", "{\"error\":".repeat(depth), "}".repeat(depth));
            let told = message(&body);
            prop_assert_eq!(told.as_str(), if depth <= DEPTH_MAX { "why" } else { "" });
        }
    }
}
