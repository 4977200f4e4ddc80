//! Redacts a JSON value: texts, keys, and numbers that are payment cards.

use flowhost_detect::{Detector, Found};
use flowhost_sdk::{Finding, Severity};
use serde_json::{Map, Value};

/// Most findings of one verdict; everything is removed all the same.
const FINDINGS_MAX: usize = 200;

/// The value without what was found, and what that was.
pub(crate) fn redact(detector: &Detector, value: Value) -> (Value, Vec<Finding>) {
    let mut work = Work {
        detector,
        findings: Vec::new(),
    };
    let clean = work.value(value, "");
    (clean, work.findings)
}

struct Work<'a> {
    detector: &'a Detector,
    findings: Vec<Finding>,
}

impl Work<'_> {
    fn value(&mut self, value: Value, pointer: &str) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(text, pointer)),
            Value::Number(number) => {
                let text = number.to_string();
                let clean = self.text(text.clone(), pointer);
                if clean == text {
                    Value::Number(number)
                } else {
                    Value::String(clean)
                }
            }
            Value::Array(items) => items
                .into_iter()
                .enumerate()
                .map(|(place, item)| self.value(item, &format!("{pointer}/{place}")))
                .collect(),
            Value::Object(entries) => self.object(entries, pointer),
            plain => plain,
        }
    }

    fn object(&mut self, entries: Map<String, Value>, pointer: &str) -> Value {
        let mut clean = Map::new();
        for (key, item) in entries {
            let key = self.text(key, pointer);
            let below = format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
            let item = self.value(item, &below);
            clean.insert(free_name(&clean, key), item);
        }
        Value::Object(clean)
    }

    fn text(&mut self, text: String, pointer: &str) -> String {
        let (clean, found) = self.detector.redact(&text);
        for found in &found {
            if self.findings.len() < FINDINGS_MAX {
                self.findings.push(finding(found, pointer));
            }
        }
        if found.is_empty() { text } else { clean }
    }
}

/// Two keys may become the same; the later one gets a number, so that no entry is lost.
fn free_name(taken: &Map<String, Value>, name: String) -> String {
    if !taken.contains_key(&name) {
        return name;
    }
    (2..)
        .map(|number| format!("{name}#{number}"))
        .find(|it| !taken.contains_key(it))
        .unwrap_or(name)
}

fn finding(found: &Found, pointer: &str) -> Finding {
    Finding {
        severity: Severity::Warning,
        code: found.kind.as_str().to_owned(),
        message: format!("held a value of the kind `{}`", found.label),
        pointer: pointer.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use flowhost_detect::Kind;

    use super::*;

    #[test]
    fn two_keys_that_become_the_same_keep_both_entries() {
        let detector = Detector::new(&Kind::ALL);
        let value = serde_json::json!({ "a@example.org": 1, "b@example.org": 2 });
        let (clean, findings) = redact(&detector, value);
        assert_eq!(
            clean,
            serde_json::json!({ "[redacted:email]": 1, "[redacted:email]#2": 2 })
        );
        assert_eq!(findings.len(), 2);
    }
}
