//! The event that a stream of chat completions consists of: a piece of text and nothing else.
//!
//! There is one for every token of an answer, so it is read without building a tree of it. Whatever is not
//! exactly that (another field, a count, a call, a reason to end) is read by the codec in full; what this
//! reads, the codec would have read to the same text.

use std::borrow::Cow;

use serde::{Deserialize, de::IgnoredAny};

#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Chunk<'a> {
    #[serde(rename = "id")]
    _id: Option<IgnoredAny>,
    #[serde(rename = "object")]
    _object: Option<IgnoredAny>,
    #[serde(rename = "created")]
    _created: Option<IgnoredAny>,
    #[serde(rename = "system_fingerprint")]
    _fingerprint: Option<IgnoredAny>,
    #[serde(rename = "service_tier")]
    _tier: Option<IgnoredAny>,
    #[serde(borrow)]
    model: Option<Text<'a>>,
    #[serde(borrow)]
    choices: (Choice<'a>,),
    /// Null beside a piece of text.
    usage: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Choice<'a> {
    #[serde(rename = "index")]
    _index: Option<IgnoredAny>,
    #[serde(rename = "logprobs")]
    _logprobs: Option<IgnoredAny>,
    #[serde(borrow)]
    delta: Delta<'a>,
    finish_reason: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Delta<'a> {
    #[serde(rename = "role")]
    _role: Option<IgnoredAny>,
    #[serde(borrow)]
    content: Text<'a>,
    refusal: Option<IgnoredAny>,
}

/// A piece of text, and who says it.
#[derive(Debug, PartialEq)]
pub(super) struct Piece<'a> {
    pub(super) model: Option<Cow<'a, str>>,
    pub(super) content: Cow<'a, str>,
}

/// Reads an event that is a piece of text; none for any other.
pub(super) fn piece(data: &str) -> Option<Piece<'_>> {
    let chunk: Chunk<'_> = serde_json::from_str(data).ok()?;
    let (choice,) = chunk.choices;
    let ends = choice.finish_reason.is_some() || choice.delta.refusal.is_some();
    if ends || chunk.usage.is_some() {
        return None;
    }
    Some(Piece {
        model: chunk.model.map(|it| it.0),
        content: choice.delta.content.0,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn chunk(content: &str) -> Value {
        json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "usage": null, "choices": [{"index": 0, "logprobs": null, "finish_reason": null,
                "delta": {"role": "assistant", "content": content}}]})
    }

    #[test]
    fn anything_beside_the_text_is_left_to_the_codec() {
        let changes: [fn(&mut Value); 9] = [
            |it| it["error"] = json!({"code": 400}),
            |it| it["usage"] = json!({"prompt_tokens": 1}),
            |it| it["x_groq"] = json!({}),
            |it| it["choices"] = json!([]),
            |it| it["choices"][0]["finish_reason"] = json!("stop"),
            |it| it["choices"][0]["finish_reason"] = json!(""),
            |it| it["choices"][0]["delta"]["tool_calls"] = json!([]),
            |it| it["choices"][0]["delta"]["refusal"] = json!("No."),
            |it| it["choices"][0]["delta"]["content"] = json!([{"text": "x"}]),
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut changed = chunk("x");
            change(&mut changed);
            assert_eq!(piece(&changed.to_string()), None, "change {number}");
        }
        assert_eq!(piece("[DONE]"), None);
    }

    proptest! {
        #[test]
        fn a_piece_of_text_is_read_as_it_is(content in any::<String>()) {
            let data = chunk(&content).to_string();
            let read = piece(&data);
            prop_assert_eq!(read.as_ref().map(|it| it.content.as_ref()), Some(content.as_str()));
            prop_assert_eq!(read.and_then(|it| it.model), Some(Cow::Borrowed("m")));
        }
    }
}
