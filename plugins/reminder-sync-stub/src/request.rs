//! What the tool takes, and what of it no service would take. The schema of the manifest is wide, so
//! that a wrong field is refused here, with its name and the number of its class.

use flowhost_sdk::Error;
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Longest text of a field, in characters.
const TEXT_MAX: usize = 1_024;

/// Names of the first release, and what they are called now.
const RENAMED: &[(&str, &str)] = &[
    ("title", "reminder_payload.title"),
    ("due", "reminder_payload.trigger_at"),
    ("reminder_payload.due", "reminder_payload.trigger_at"),
];

/// A reminder that can be accepted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) device_id: String,
    pub(crate) scenario_id: String,
    pub(crate) high_priority: bool,
}

/// Class 400: the payload is wrong, and which field it is.
fn wrong(message: impl std::fmt::Display) -> Error {
    Error::invalid(format_args!("400 invalid payload: {message}"))
}

/// Reads a request.
///
/// # Errors
/// [`Error::Invalid`], which begins with `400` and names the field.
pub(crate) fn read(input: &Value) -> Result<Request, Error> {
    let fields = object(input, "the input")?;
    known(
        fields,
        "",
        &["device_id", "reminder_payload", "scenario_id"],
    )?;
    let device_id = text(fields, "", "device_id")?;
    let scenario_id = text(fields, "", "scenario_id")?;
    let payload = fields
        .get("reminder_payload")
        .ok_or_else(|| wrong("`reminder_payload` is missing"))?;
    let payload = object(payload, "`reminder_payload`")?;
    known(
        payload,
        "reminder_payload.",
        &["title", "trigger_at", "priority"],
    )?;
    text(payload, "reminder_payload.", "title")?;
    let trigger = text(payload, "reminder_payload.", "trigger_at")?;
    if let Err(error) = OffsetDateTime::parse(&trigger, &Rfc3339) {
        return Err(wrong(format_args!(
            "`reminder_payload.trigger_at` must be an RFC 3339 time such as 2026-03-01T09:00:00Z: {error}"
        )));
    }
    Ok(Request {
        device_id,
        scenario_id,
        high_priority: is_high(payload)?,
    })
}

fn is_high(payload: &Map<String, Value>) -> Result<bool, Error> {
    match text(payload, "reminder_payload.", "priority")?.as_str() {
        "normal" => Ok(false),
        "high" => Ok(true),
        _ => Err(wrong(
            "`reminder_payload.priority` must be `normal` or `high`",
        )),
    }
}

fn object<'a>(value: &'a Value, name: &str) -> Result<&'a Map<String, Value>, Error> {
    value
        .as_object()
        .ok_or_else(|| wrong(format_args!("{name} must be an object")))
}

/// Refuses a field that is not one of these, an old name with the new one.
fn known(fields: &Map<String, Value>, path: &str, names: &[&str]) -> Result<(), Error> {
    let Some(name) = fields.keys().find(|name| !names.contains(&name.as_str())) else {
        return Ok(());
    };
    let full = format!("{path}{name}");
    let renamed = RENAMED.iter().find(|(old, _)| *old == full);
    Err(match renamed {
        Some((_, new)) => wrong(format_args!("`{full}` is now called `{new}`")),
        None => wrong(format_args!(
            "`{full}` is not a field; the fields are {}",
            names.join(", ")
        )),
    })
}

fn text(fields: &Map<String, Value>, path: &str, name: &str) -> Result<String, Error> {
    let value = fields
        .get(name)
        .ok_or_else(|| wrong(format_args!("`{path}{name}` is missing")))?;
    let text = value
        .as_str()
        .ok_or_else(|| wrong(format_args!("`{path}{name}` must be a text")))?;
    if text.trim().is_empty() {
        return Err(wrong(format_args!("`{path}{name}` is empty")));
    }
    if text.chars().count() > TEXT_MAX {
        return Err(wrong(format_args!(
            "`{path}{name}` has more than {TEXT_MAX} characters"
        )));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request() -> Value {
        json!({
            "device_id": "dev-1", "scenario_id": "S-1",
            "reminder_payload": {
                "title": "water the plants", "trigger_at": "2026-03-01T09:00:00Z", "priority": "high",
            },
        })
    }

    fn refused(input: &Value) -> String {
        match read(input) {
            Err(Error::Invalid(message)) => message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_time_that_is_not_rfc_3339_is_refused_by_its_field() {
        for time in [
            "tomorrow",
            "2026-13-01T00:00:00Z",
            "2026-03-01",
            "2026-03-01T25:00:00Z",
        ] {
            let mut input = request();
            input["reminder_payload"]["trigger_at"] = json!(time);
            let message = refused(&input);
            assert!(message.starts_with("400 invalid payload: "), "{message}");
            assert!(
                message.contains("`reminder_payload.trigger_at`"),
                "{message}"
            );
        }
    }

    #[test]
    fn old_names_are_refused_with_the_new_ones() {
        let old = json!({ "device_id": "d", "scenario_id": "s", "title": "t", "due": "x" });
        assert!(refused(&old).contains("is now called `reminder_payload."));
        let mut due = request();
        due["reminder_payload"]["due"] = json!("2026-03-01T09:00:00Z");
        assert_eq!(
            refused(&due),
            "400 invalid payload: `reminder_payload.due` is now called `reminder_payload.trigger_at`"
        );
    }

    #[test]
    fn what_is_missing_empty_or_of_another_type_is_refused_by_its_name() {
        for (pointer, value, name) in [
            ("/device_id", json!(""), "`device_id`"),
            ("/scenario_id", json!(7), "`scenario_id`"),
            ("/reminder_payload", json!("x"), "`reminder_payload`"),
            (
                "/reminder_payload/title",
                json!("  "),
                "`reminder_payload.title`",
            ),
            (
                "/reminder_payload/priority",
                json!("urgent"),
                "`reminder_payload.priority`",
            ),
            (
                "/reminder_payload/title",
                json!("x".repeat(1_025)),
                "`reminder_payload.title`",
            ),
        ] {
            let mut input = request();
            *input.pointer_mut(pointer).expect("a field") = value;
            let message = refused(&input);
            assert!(message.contains(name), "{message}");
        }
        let mut missing = request();
        missing["reminder_payload"] = json!({ "title": "t", "trigger_at": "2026-03-01T09:00:00Z" });
        assert!(refused(&missing).contains("`reminder_payload.priority` is missing"));
        missing["color"] = json!("red");
        assert!(refused(&missing).contains("`color` is not a field"));
    }

    #[test]
    fn times_with_an_offset_and_with_fractions_are_taken() {
        for time in ["2026-03-01T09:00:00Z", "2026-03-01T09:00:00.5+02:00"] {
            let mut input = request();
            input["reminder_payload"]["trigger_at"] = json!(time);
            assert!(read(&input).expect("a request").high_priority);
        }
    }
}
