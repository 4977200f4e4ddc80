//! The answer among what a model says around it.
//!
//! Some models think aloud before they answer (`<think>…</think>`), put JSON into a fence or say a sentence
//! before and after it. What they think is left out; where a schema was asked for, the one JSON value that
//! can be its answer is taken. Where there are two, none is taken: to choose would be to guess.

use serde_json::Value;

/// Brackets at which a value is looked for: beyond, a text is no answer with a sentence around it, and
/// each costs a look through the rest.
const PLACES_MAX: usize = 64;
/// Blocks in fences that are looked at. Each is tried as JSON, and a text may consist of fences.
const FENCES_MAX: usize = 64;
/// Marks around what is thought aloud, as models in use write them, in capitals or not.
const TAGS: [(&str, &str); 7] = [
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<reasoning>", "</reasoning>"),
    ("<thought>", "</thought>"),
    ("<seed:think>", "</seed:think>"),
    ("[think]", "[/think]"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
];

/// The answer in `content`; `None` when all of it is the answer.
pub(super) fn taken<'a>(content: &'a str, schema: Option<&Value>) -> Option<&'a str> {
    // Nothing is taken from an answer whose thoughts have no end: it was cut off, and what stands
    // in them is no answer.
    let answer = without_thinking(content, schema.is_some())?;
    let Some(schema) = schema else {
        return (answer.len() < content.len()).then_some(answer);
    };
    let whole = answer.trim();
    // Whether it fits the schema is for the caller to say: a whole document that does not is a
    // wrong answer, not a hidden one.
    if serde_json::from_str::<Value>(whole).is_ok() {
        return (whole.len() < content.trim().len()).then_some(whole);
    }
    let fenced = fenced(whole);
    // Fences first: what a model marks as its answer counts more than what stands in a sentence.
    only(&fenced, schema).or_else(|| only(&values(whole), schema))
}

/// What follows the thoughts; none where they have no end. Templates of some servers open the block in the prompt, so that only its
/// end is in the answer; that is believed only where prose could not be the answer.
fn without_thinking(content: &str, only_json: bool) -> Option<&str> {
    let start = content.trim_start();
    for (open, close) in TAGS {
        let answer = match after(start, open).filter(|(at, _)| *at == 0) {
            Some((_, block)) => Some(after(block, close)?.1),
            None if only_json && !start.starts_with(['{', '[']) => {
                after(start, close).map(|(_, answer)| answer)
            }
            None => None,
        };
        if let Some(answer) = answer {
            return Some(answer.trim_start());
        }
    }
    Some(content)
}

/// Where an ASCII mark first stands, in capitals or not, and what follows it.
fn after<'a>(text: &'a str, mark: &str) -> Option<(usize, &'a str)> {
    let mut places = text.as_bytes().windows(mark.len());
    let at = places.position(|it| it.eq_ignore_ascii_case(mark.as_bytes()))?;
    Some((at, text.get(at + mark.len()..)?))
}

/// JSON values that stand in fences of their own.
fn fenced(text: &str) -> Vec<(&str, Value)> {
    // Every second part is inside of a fence; an open one at the end counts, since a model may
    // forget to close it.
    let blocks = text.split("```").skip(1).step_by(2).take(FENCES_MAX);
    let inner = |block| {
        let block: &str = block;
        let named = block.find(['{', '[', '\n']).unwrap_or(0);
        let block = block.get(named..).unwrap_or(block).trim();
        Some((block, serde_json::from_str(block).ok()?))
    };
    blocks.filter_map(inner).collect()
}

/// Lists and objects that stand in the text, the outermost of each.
fn values(text: &str) -> Vec<(&str, Value)> {
    let mut found = Vec::new();
    let mut from = 0;
    for _ in 0..PLACES_MAX {
        let rest = text.get(from..).unwrap_or_default();
        let Some(at) = rest.find(['{', '[']) else {
            break;
        };
        let rest = rest.get(at..).unwrap_or_default();
        let mut read = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        match read.next() {
            Some(Ok(value)) => {
                let length = read.byte_offset();
                found.push((rest.get(..length).unwrap_or(rest), value));
                from += at + length;
            }
            // Not past the broken value: the answer may stand inside of what only looked like one.
            Some(Err(_)) | None => from += at + 1,
        }
    }
    found
}

/// The one that can be an answer to the schema; by its kind alone where none has all that is required.
fn only<'a>(found: &[(&'a str, Value)], schema: &Value) -> Option<&'a str> {
    let one = |fits: &dyn Fn(&Value) -> bool| {
        let mut fitting = found.iter().filter(|(_, value)| fits(value));
        let first = fitting.next();
        // A model that says its answer twice has still given one.
        let same = first.is_some_and(|(_, first)| fitting.all(|(_, other)| other == first));
        (first.map(|(text, _)| *text), same)
    };
    match one(&|value| is_of(schema, value) && has_required(schema, value)) {
        (Some(text), true) => Some(text),
        (Some(_), false) => None,
        (None, _) => match one(&|value| is_of(schema, value)) {
            (text, true) => text,
            (_, false) => None,
        },
    }
}

fn is_of(schema: &Value, value: &Value) -> bool {
    match schema.get("type").and_then(Value::as_str) {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some(_) => false,
        None => true,
    }
}

fn has_required(schema: &Value, value: &Value) -> bool {
    let required = schema.get("required").and_then(Value::as_array);
    required.is_none_or(|names| {
        let mut names = names.iter().filter_map(Value::as_str);
        names.all(|name| value.get(name).is_some())
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn asked(content: &str) -> Option<&str> {
        let schema = json!({"type": "object", "required": ["n"]});
        taken(content, Some(&schema))
    }

    #[test]
    fn two_answers_are_none() {
        for content in [
            "{\"n\": 1} or {\"n\": 2}",
            "```json\n{\"n\": 1}\n```\nor\n```json\n{\"n\": 2}\n```",
            "[1, 2]",
            "no JSON {here}",
            "{\"n\": ",
            "<think>{\"n\": 1}",
            "",
        ] {
            assert_eq!(asked(content), None, "{content}");
        }
    }

    #[test]
    fn an_answer_that_is_all_there_is_stays() {
        for content in ["{\"n\": 2}", " {\"n\": \"```\"}\n", "2", "{\"m\": 1}"] {
            assert_eq!(asked(content), None, "{content}");
        }
    }

    #[test]
    fn the_one_answer_is_taken_out_of_what_is_said_around_it() {
        let answer = "{\"n\": 2}";
        for content in [
            "```json\n{\"n\": 2}\n```",
            "```{\"n\": 2}```",
            "Here is the JSON:\n\n```json\n{\"n\": 2}\n```\n",
            "{\"n\": 2}\n\nLet me know if you need more!",
            "As [1] says, it is {\"n\": 2}.",
            "It is {roughly} {\"n\": 2}",
            "<think>\nhm {\"n\": 1}\n</think>\n{\"n\": 2}",
            "hm {\"n\": 1}\n</think>\n\n{\"n\": 2}",
            "<thinking>hm</thinking>```\n{\"n\": 2}\n```",
            "<THINK>hm {\"n\": 1}</THINK>{\"n\": 2}",
            "[THINK]hm {\"n\": 1}[/THINK]{\"n\": 2}",
            "<|begin_of_thought|>{\"n\": 1}<|end_of_thought|>\n{\"n\": 2}",
            "{\"n\": 2} I repeat: {\"n\":2}",
            "The draft {\"m\": 1} became {\"n\": 2}",
        ] {
            assert_eq!(asked(content), Some(answer), "{content}");
        }
    }

    #[test]
    fn without_a_schema_only_thoughts_are_left_out() {
        assert_eq!(taken("<think>hm</think>\nWell.", None), Some("Well."));
        for content in [
            "Well. <think>hm</think>",
            "<think>hm",
            "```\n{}\n```",
            "hm</think>x",
        ] {
            assert_eq!(taken(content, None), None, "{content}");
        }
    }

    proptest! {
        #[test]
        fn prose_around_an_answer_changes_nothing(
            before in "[a-zA-Z ,.:\n`]{0,40}", after in "[a-zA-Z ,.!\n]{0,40}", n in any::<i64>(),
        ) {
            let answer = json!({"n": n}).to_string();
            let content = format!("{before} {answer} {after}");
            let whole = (before.trim().is_empty() && after.trim().is_empty()).then_some(());
            let wanted = match whole { Some(()) => None, None => Some(answer.as_str()) };
            prop_assert_eq!(asked(&content), wanted);
        }

        #[test]
        fn no_text_breaks_it(content in any::<String>()) {
            let _ = asked(&content);
            let _ = taken(&content, None);
        }
    }
}
