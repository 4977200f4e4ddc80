//! What codecs read out of JSON that somebody else wrote: texts, lists, counts.
//!
//! Wide on purpose where a value can only mean one thing (a count as `300.0`), and nothing where it could
//! mean two.

use serde_json::Value;

use crate::{answer::Reported, error::ErrorClass, fault::Fault};

/// A text of an answer, or nothing.
pub(super) fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

/// A text that says something: some servers write what is missing as a blank.
pub(super) fn word<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    text(value, key).map(str::trim).filter(|it| !it.is_empty())
}

/// The items of a list of an answer; none when it is no list.
pub(super) fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// A value that is there: not missing and not null.
pub(super) fn some<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    value.get(key).filter(|it| !it.is_null())
}

/// A count of an answer. Proxies write whole numbers as `300.0`; a fraction is rounded up.
pub(super) fn number(value: &Value, key: &str) -> Option<u64> {
    let value = value.get(key)?;
    value.as_u64().or_else(|| {
        let float = value.as_f64().filter(|it| *it >= 0.0)?.ceil();
        // Above 2⁵³ a float is no count any more.
        let is_count = (0.0..=9_007_199_254_740_992.0).contains(&float);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole, and within 0 to 2⁵³"
        )]
        is_count.then_some(float as u64)
    })
}

/// Usage as OpenAI's two wires name it, and as servers that speak one of them do.
pub(super) fn usage(value: &Value) -> Reported {
    let first = |keys: &[&str]| keys.iter().find_map(|key| number(value, key));
    let detail = |groups: &[&str], key: &str| {
        let mut groups = groups.iter().filter_map(|group| value.get(group));
        groups.find_map(|group| number(group, key))
    };
    let prompt_tokens = first(&["prompt_tokens", "input_tokens"]);
    let total = first(&["total_tokens"]);
    // Of servers that give a sum and what went in: the difference is what came out.
    let rest = prompt_tokens.and_then(|prompt| total?.checked_sub(prompt));
    Reported {
        prompt_tokens,
        cached_tokens: detail(
            &["prompt_tokens_details", "input_tokens_details"],
            "cached_tokens",
        )
        .or_else(|| first(&["prompt_cache_hit_tokens", "cached_tokens"])),
        // OpenAI's two wires do not count them.
        cache_write_tokens: None,
        completion_tokens: first(&["completion_tokens", "output_tokens"]).or(rest),
        reasoning_tokens: detail(
            &["completion_tokens_details", "output_tokens_details"],
            "reasoning_tokens",
        ),
    }
}

pub(super) fn odd(message: &str) -> Fault {
    Fault::new(
        ErrorClass::Provider,
        message,
        "is the address that of a compatible server?",
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_count_is_whole_and_not_below_zero() {
        let table = [
            (json!(300), Some(300)),
            (json!(300.0), Some(300)),
            (json!(299.5), Some(300)),
            (json!(-1), None),
            (json!(-0.5), None),
            (json!("3"), None),
            (json!(null), None),
            (json!(1e300), None),
            (json!(u64::MAX), Some(u64::MAX)),
        ];
        for (value, count) in table {
            assert_eq!(number(&json!({"n": value}), "n"), count, "{value}");
        }
    }

    #[test]
    fn usage_is_read_under_every_name_and_half_of_it_too() {
        let read = |value: Value| {
            let it = usage(&value);
            (it.prompt_tokens, it.completion_tokens, it.cached_tokens)
        };
        let table = [
            (
                json!({"prompt_tokens": 9, "completion_tokens": 2}),
                (Some(9), Some(2), None),
            ),
            (
                json!({"input_tokens": 9.0, "output_tokens": 2.0}),
                (Some(9), Some(2), None),
            ),
            (
                json!({"prompt_tokens": 9, "completion_tokens": null, "prompt_cache_hit_tokens": 4}),
                (Some(9), None, Some(4)),
            ),
            (
                json!({"prompt_tokens": 9, "total_tokens": 11}),
                (Some(9), Some(2), None),
            ),
            (json!(null), (None, None, None)),
        ];
        for (value, wanted) in table {
            assert_eq!(read(value.clone()), wanted, "{value}");
        }
    }
}
