//! The model's last word: a JSON document that fits the task's schema, or text where none was asked for.

use flowhost_schema::Schema;
use flowhost_sdk::Error;
use flowhost_sdk::host::model::{Completion, Finish};
use serde_json::{Value, json};

use crate::text::line;

/// Largest answer, in bytes. A larger one is refused before it is read.
pub(crate) const ANSWER_BYTES_MAX: usize = 256 << 10;
/// Faults that a repair names at once.
const FAULTS_MAX: usize = 10;
/// Longest fault that a repair names, in characters.
const FAULT_CHARS_MAX: usize = 300;

/// What kind of answer the task wants.
pub(crate) enum Wanted {
    Text,
    Fits(Box<Schema>),
}

impl Wanted {
    /// From the task's schema; empty for free text.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the schema is not JSON, or needs another document.
    pub(crate) fn of(schema: &str) -> Result<Self, Error> {
        if schema.trim().is_empty() {
            return Ok(Self::Text);
        }
        let json: Value = serde_json::from_str(schema).map_err(|error| {
            Error::invalid(format_args!("the answer's schema is not JSON: {error}"))
        })?;
        // The host takes no plan whose schema is none, and holding it against its metaschema again would cost
        // each call fifty million units of fuel.
        let schema = Schema::compile_checked(&json).map_err(|error| {
            Error::invalid(format_args!("the answer's schema cannot be used: {error}"))
        })?;
        Ok(Self::Fits(Box::new(schema)))
    }

    pub(crate) fn is_schema(&self) -> bool {
        matches!(self, Self::Fits(_))
    }

    /// The output, or everything that is wrong with the answer.
    pub(crate) fn read(&self, completion: &Completion) -> Result<Value, Vec<String>> {
        let content = completion.content.trim();
        if content.len() > ANSWER_BYTES_MAX {
            let (used, allowed) = (content.len(), ANSWER_BYTES_MAX);
            return Err(vec![format!(
                "it has {used} bytes, and {allowed} are allowed"
            )]);
        }
        match self {
            Self::Text if content.is_empty() => Err(vec!["it is empty".to_owned()]),
            Self::Text => Ok(json!({ "text": content })),
            Self::Fits(schema) => document(schema, content).map_err(|mut faults| {
                if completion.finish == Finish::Length {
                    faults.insert(
                        0,
                        "it was cut off at the limit of tokens: be shorter".to_owned(),
                    );
                }
                faults
            }),
        }
    }
}

fn document(schema: &Schema, content: &str) -> Result<Value, Vec<String>> {
    let value = serde_json::from_str(unfenced(content))
        .map_err(|error| vec![format!("it is not one JSON document: {error}")])?;
    let faults: Vec<String> = schema
        .violations(&value)
        .into_iter()
        .map(|it| {
            format!(
                "{}: {}",
                if it.pointer.is_empty() {
                    "/"
                } else {
                    &it.pointer
                },
                it.message
            )
        })
        .collect();
    if faults.is_empty() {
        Ok(value)
    } else {
        Err(faults)
    }
}

/// Models like to put JSON into a fence, whatever they were told.
fn unfenced(content: &str) -> &str {
    let inner = content
        .strip_prefix("```")
        .and_then(|rest| rest.strip_suffix("```"));
    let inner = inner
        .and_then(|rest| rest.split_once('\n'))
        .map(|(_, body)| body.trim());
    inner.unwrap_or(content)
}

/// What the model is told about an answer that does not fit.
pub(crate) fn repair(faults: &[String], schema: bool) -> String {
    let mut text = String::from("That answer cannot be used:\n");
    for fault in faults.iter().take(FAULTS_MAX) {
        text.push_str(&format!("- {}\n", line(fault, FAULT_CHARS_MAX)));
    }
    if faults.len() > FAULTS_MAX {
        text.push_str(&format!("- and {} more\n", faults.len() - FAULTS_MAX));
    }
    text.push_str(if schema {
        "Answer again, in full, with one JSON document that fits the schema and nothing else."
    } else {
        "Answer again, in full."
    });
    text
}

/// The same for an error, which people read.
pub(crate) fn told(faults: &[String]) -> String {
    let shown: Vec<String> = faults
        .iter()
        .take(3)
        .map(|fault| line(fault, FAULT_CHARS_MAX))
        .collect();
    shown.join("; ")
}

#[cfg(test)]
mod tests {
    use flowhost_sdk::Usage;

    use super::*;

    fn read(schema: &str, content: &str, finish: Finish) -> Result<Value, Vec<String>> {
        let usage = Usage {
            prompt_tokens: 1,
            completion_tokens: 1,
            cost_micro_usd: 0.0,
        };
        let completion = Completion {
            content: content.to_owned(),
            tool_calls: Vec::new(),
            finish,
            usage,
            model: "mock/a".to_owned(),
        };
        Wanted::of(schema).expect("a schema").read(&completion)
    }

    const NUMBER: &str =
        r#"{"type":"object","required":["n"],"properties":{"n":{"type":"integer"}}}"#;

    #[test]
    fn refuses_a_schema_that_is_not_json_or_needs_another_document() {
        for schema in ["{", r#"{"$ref":"https://example.org/s.json"}"#] {
            assert!(
                matches!(Wanted::of(schema), Err(Error::Invalid(_))),
                "{schema}"
            );
        }
    }

    #[test]
    fn names_the_place_of_what_does_not_fit() {
        let faults = read(NUMBER, r#"{"n":"one"}"#, Finish::Stop).expect_err("a fault");
        assert!(
            faults.len() == 1 && faults[0].starts_with("/n: "),
            "{faults:?}"
        );
        let faults = read(NUMBER, "Here you are: 1", Finish::Stop).expect_err("a fault");
        assert!(faults[0].contains("not one JSON document"), "{faults:?}");
    }

    #[test]
    fn refuses_a_huge_answer_before_it_reads_it() {
        let huge = "x".repeat(ANSWER_BYTES_MAX + 1);
        for schema in ["", NUMBER] {
            let faults = read(schema, &huge, Finish::Stop).expect_err("a fault");
            assert!(faults[0].contains("262145 bytes"), "{faults:?}");
        }
    }

    #[test]
    fn says_that_an_answer_was_cut_off() {
        let faults = read(NUMBER, r#"{"n":"#, Finish::Length).expect_err("a fault");
        assert!(faults[0].contains("cut off"), "{faults:?}");
    }

    #[test]
    fn takes_json_with_and_without_a_fence_and_text_without_a_schema() {
        for content in [
            r#"{"n":1}"#,
            "```json\n{\"n\":1}\n```",
            "\n```\n{\"n\":1}\n```\n",
        ] {
            assert_eq!(
                read(NUMBER, content, Finish::Stop),
                Ok(json!({ "n": 1 })),
                "{content}"
            );
        }
        assert_eq!(
            read("", " well\n", Finish::Stop),
            Ok(json!({ "text": "well" }))
        );
        assert!(read("", " ", Finish::Stop).is_err());
    }

    #[test]
    fn a_repair_names_faults_up_to_a_bound() {
        let faults: Vec<String> = (0..40)
            .map(|number| format!("/{number}: {}", "x".repeat(900)))
            .collect();
        let text = repair(&faults, true);
        assert!(
            text.contains("/9:") && !text.contains("/10:") && text.contains("and 30 more"),
            "{text}"
        );
        assert!(text.len() < 4_096, "{}", text.len());
    }
}
