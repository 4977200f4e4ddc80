//! Log lines for a person: level, message, and the few names that say where: step, agent, tool.
//!
//! Every id is in the JSON form, for programs; here ids would bury what is said. Must never let foreign
//! text reach the terminal as it is.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use flowhost_evidence::telemetry::lines::TARGET;
use owo_colors::{OwoColorize as _, Style};
use serde_json::{Map, Value};

use crate::output::one_line;

/// Steps whose paths are known at once; more run only in plans that nobody watches line by line.
const STEPS_MAX: usize = 4_096;
/// What a person does not read: ids, and what the message says already.
const LEFT_OUT: [&str; 13] = [
    "trace_id",
    "span_id",
    "message_id",
    "plan_id",
    "run_id",
    "tenant_id",
    "step_id",
    "event_type",
    "level",
    "severity",
    "target",
    "message",
    "path",
];
/// Names that come first, as they are written.
const FIRST: [(&str, &str); 4] = [
    ("step", "step"),
    ("plugin", "plugin"),
    ("agent_id", "agent"),
    ("tool_id", "tool"),
];

/// The form, with the paths of the steps that were named so far.
pub struct TextForm {
    color: bool,
    paths: Mutex<BTreeMap<String, String>>,
}

impl TextForm {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(color: bool) -> Self {
        Self {
            color,
            paths: Mutex::default(),
        }
    }

    /// One line.
    #[must_use]
    pub fn line(&self, mut fields: Map<String, Value>) -> String {
        self.name_step(&mut fields);
        let text = |name: &str| fields.get(name).map(shown).unwrap_or_default();
        let (level, target) = (text("level"), text("target"));
        let mut line = self.painted(&level);
        if target != TARGET && target != "plugin" {
            line.push_str(&format!(" {target}:"));
        }
        line.push_str(&format!(" {}", text("message")));
        for (name, word) in FIRST {
            let value = text(name);
            if !value.is_empty() {
                line.push_str(&format!(" {word}={value}"));
            }
        }
        let first = |name: &str| FIRST.iter().any(|(known, _)| *known == name);
        for (name, value) in &fields {
            if !LEFT_OUT.contains(&name.as_str()) && !first(name) {
                line.push_str(&format!(" {name}={}", shown(value)));
            }
        }
        line
    }

    /// Puts the step's path where its id stands, if any line has told it.
    fn name_step(&self, fields: &mut Map<String, Value>) {
        let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
        // The line is about no step.
        let Some(id) = text("step_id").or_else(|| text("step")) else {
            return;
        };
        // What the map holds is whole after each line of this function, whoever panicked.
        let mut paths = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = text("path")
            && (paths.len() < STEPS_MAX || paths.contains_key(&id))
        {
            paths.insert(id.clone(), path);
        }
        let path = paths.get(&id).cloned();
        // The line that named it was dropped, or is of a level that is not shown: eight digits tell steps of one run
        // apart.
        let name = path.unwrap_or_else(|| id.chars().take(8).collect());
        fields.insert("step".to_owned(), name.into());
        // Its last line; kept, the paths of a long `foreach` would fill the map.
        if fields.get("event_type").and_then(Value::as_str) == Some("step.end") {
            paths.remove(&id);
        }
    }

    fn painted(&self, level: &str) -> String {
        let style = match level {
            _ if !self.color => Style::new(),
            "ERROR" => Style::new().red(),
            "WARN" => Style::new().yellow(),
            "INFO" => Style::new().green(),
            _ => Style::new().dimmed(),
        };
        format!("{level:>5}").style(style).to_string()
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => one_line(text),
        other => one_line(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(form: &TextForm, fields: Value) -> String {
        let Value::Object(fields) = fields else {
            panic!("fields are an object");
        };
        form.line(fields)
    }

    #[test]
    fn what_a_plugin_says_stays_one_line() {
        let said = json!({ "level": "WARN", "target": "plugin", "message": "a\nERROR b\u{1b}[2J", "plugin": "p" });
        let line = line(&TextForm::new(false), said);
        assert_eq!(line, " WARN a ERROR b\\u{1b}[2J plugin=p");
    }

    #[test]
    fn a_step_is_called_by_its_path_and_ids_are_left_out() {
        let form = TextForm::new(false);
        let start = json!({ "level": "INFO", "target": TARGET, "message": "step.start", "event_type": "step.start",
            "step_id": "0123456789abcdef", "path": "audit[guide.md]", "run_id": "r", "trace_id": "t" });
        assert_eq!(line(&form, start), " INFO step.start step=audit[guide.md]");
        let call = json!({ "level": "INFO", "target": TARGET, "message": "tool.call",
            "step_id": "0123456789abcdef", "tool_id": "files/read", "record": 7 });
        let seen = line(&form, call);
        assert_eq!(
            seen,
            " INFO tool.call step=audit[guide.md] tool=files/read record=7"
        );
        let other = json!({ "level": "INFO", "target": TARGET, "message": "tool.call", "step_id": "fedcba9876543210" });
        assert_eq!(line(&form, other), " INFO tool.call step=fedcba98");
    }
}
