//! JSON at the boundary: a wrong input becomes `invalid` with the place that was wrong.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Answer, Error, Part};

/// Reads a JSON document into a type.
///
/// # Errors
/// [`Error::Invalid`] with the line and column of what does not fit.
pub fn parse<T: DeserializeOwned>(json: &str) -> Result<T, Error> {
    parse_named("input", json)
}

/// As [`parse`], for a document that is not the input: its name stands in the error.
pub(crate) fn parse_named<T: DeserializeOwned>(name: &str, json: &str) -> Result<T, Error> {
    serde_json::from_str(json).map_err(|error| Error::invalid(format_args!("{name}: {error}")))
}

/// A tool's result: a value alone.
///
/// # Errors
/// [`Error::Failed`] when the value has no JSON form (a map with keys that are not strings).
pub fn answer<T: Serialize>(value: &T) -> Result<Answer, Error> {
    answer_with_text(value, String::new())
}

/// A tool's result with text for a person or a model.
///
/// # Errors
/// As [`answer`].
pub fn answer_with_text<T: Serialize>(value: &T, text: String) -> Result<Answer, Error> {
    let value = serde_json::to_string(value)
        .map_err(|error| Error::failed(format_args!("the result has no JSON form: {error}")))?;
    let parts = if text.is_empty() {
        Vec::new()
    } else {
        vec![Part::text(text)]
    };
    Ok(Answer { value, parts })
}

/// An input without keys; anything else is refused.
#[derive(Debug, Clone, Copy, serde::Deserialize)]
#[cfg_attr(feature = "derive", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Empty {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_is_not_json_as_invalid_with_its_place() {
        let error = parse::<Empty>("{").err();
        assert!(
            matches!(&error, Some(Error::Invalid(text)) if text.contains("line 1")),
            "{error:?}"
        );
    }

    #[test]
    fn refuses_a_key_that_an_empty_input_does_not_have() {
        assert!(matches!(
            parse::<Empty>(r#"{"a":1}"#),
            Err(Error::Invalid(_))
        ));
    }

    #[test]
    fn an_answer_is_the_value_as_json() {
        let answer = answer(&[1, 2]).expect("numbers have a JSON form");
        assert_eq!(answer.value, "[1,2]");
        assert!(answer.parts.is_empty());
    }
}
