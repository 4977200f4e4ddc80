//! The guardrail `schema-check`: a value either fits its JSON Schema or is stopped with the places
//! that do not.
//!
//! `with: { schema: … }` is a schema as an object or as a text of JSON. References stay inside the
//! schema: there is nothing here that could fetch another one.

mod schema;

use flowhost_sdk::{Context, Error, Guardrail, Subject, Verdict, parse};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    schema: Value,
}

fn judge(value: &str, config: &str) -> Result<Verdict, Error> {
    let config: Config = parse(config)?;
    let schema = match config.schema {
        Value::String(text) => parse(&text)?,
        schema => schema,
    };
    let value: Value = parse(value)?;
    let findings = schema::findings(&schema, &value)?;
    Ok(if findings.is_empty() {
        Verdict::pass()
    } else {
        Verdict::deny(findings)
    })
}

struct SchemaCheck;

impl Guardrail for SchemaCheck {
    fn check(_: &Context, subject: &Subject, config: &str) -> Result<Verdict, Error> {
        judge(&subject.value, config)
    }
}

flowhost_sdk::export_guardrail!(SchemaCheck);

#[cfg(test)]
mod tests {
    use flowhost_sdk::Action;

    use super::*;

    const CONFIG: &str =
        r#"{"schema":{"type":"object","required":["a"],"properties":{"a":{"type":"integer"}}}}"#;

    #[test]
    fn stops_a_value_and_points_at_what_does_not_fit() {
        let verdict = judge(r#"{"a":"one"}"#, CONFIG).expect("a verdict");
        assert_eq!(verdict.action, Action::Deny);
        let places: Vec<&str> = verdict
            .findings
            .iter()
            .map(|it| it.pointer.as_str())
            .collect();
        assert_eq!(places, ["/a"]);
    }

    #[test]
    fn refuses_a_schema_that_refers_to_another_document() {
        let config = r#"{"schema":{"$ref":"https://example.org/schema.json"}}"#;
        assert!(matches!(judge("1", config), Err(Error::Invalid(_))));
    }

    #[test]
    fn refuses_a_configuration_without_a_schema_and_one_that_is_none() {
        for config in [
            "{}",
            r#"{"schema":{"type":"nonsense"}}"#,
            r#"{"schema":"{"}"#,
        ] {
            assert!(
                matches!(judge("1", config), Err(Error::Invalid(_))),
                "{config}"
            );
        }
    }

    #[test]
    fn passes_what_fits_also_through_a_reference_inside() {
        let config = r##"{"schema":{"$ref":"#/$defs/n","$defs":{"n":{"type":"number"}}}}"##;
        assert_eq!(judge("1", config).expect("a verdict").action, Action::Pass);
        assert_eq!(
            judge(r#"{"a":1}"#, CONFIG).expect("a verdict").action,
            Action::Pass
        );
    }

    #[test]
    fn a_schema_may_be_a_text_of_json() {
        let config = r#"{"schema":"{\"type\":\"number\"}"}"#;
        assert_eq!(
            judge("\"x\"", config).expect("a verdict").action,
            Action::Deny
        );
    }

    #[test]
    fn a_thousand_faults_are_shown_up_to_a_bound() {
        let config = r#"{"schema":{"items":{"type":"string"}}}"#;
        let value = serde_json::to_string(&vec![1; 1_000]).expect("JSON");
        let verdict = judge(&value, config).expect("a verdict");
        assert_eq!(verdict.findings.len(), flowhost_schema::VIOLATIONS_MAX);
    }
}
