//! Redacts a JSON value and says what was in it, up to a bound.

use flowhost_detect::{Detector, Found};
use flowhost_sdk::{Finding, Severity};
use serde_json::Value;

/// Most findings of one verdict; everything is removed all the same.
const FINDINGS_MAX: usize = 200;

/// The value without what was found, and what that was.
pub(crate) fn redact(detector: &Detector, mut value: Value) -> (Value, Vec<Finding>) {
    let mut findings = Vec::new();
    detector.redact_json_with(&mut value, &mut |pointer, found| {
        if findings.len() < FINDINGS_MAX {
            findings.push(finding(found, pointer));
        }
    });
    (value, findings)
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
    use super::*;

    #[test]
    fn a_flood_is_removed_whole_and_reported_up_to_a_bound() {
        let value = Value::String("ann@example.org ".repeat(1_000));
        let (clean, findings) = redact(&Detector::all(), value);
        assert_eq!(clean, "[redacted:email] ".repeat(1_000));
        assert_eq!(findings.len(), FINDINGS_MAX);
    }
}
