//! What the guardrail looks for, for whoever reads it next.

use flowhost_sdk as flowhost;

use flowhost::{Error, Finding, Severity, Subject, Verdict};
use serde::Deserialize;

/// The guardrail's configuration: `with:` in the plan.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// Most bytes that a value may have as JSON.
    longest: usize,
}

struct {{type}};

#[flowhost::guardrail]
impl {{type}} {
    fn check(subject: &Subject, config: Config) -> Result<Verdict, Error> {
        let length = subject.value.len();
        if length <= config.longest {
            return Ok(Verdict::pass());
        }
        Ok(Verdict::deny(vec![Finding {
            severity: Severity::Error,
            code: "too-long".to_owned(),
            message: format!("has {length} bytes, and {} are the most", config.longest),
            pointer: String::new(),
        }]))
    }
}

#[cfg(test)]
mod tests {
    use flowhost::{Action, Phase};

    use super::*;

    fn judged(value: &str, longest: usize) -> Action {
        let subject = Subject {
            phase: Phase::After,
            step: "only".to_owned(),
            value: value.to_owned(),
        };
        let verdict = {{type}}::check(&subject, Config { longest }).unwrap();
        verdict.action
    }

    #[test]
    fn stops_one_byte_too_many_and_passes_the_last_that_fits() {
        assert_eq!(judged("\"abc\"", 4), Action::Deny);
        assert_eq!(judged("\"abc\"", 5), Action::Pass);
    }
}
