//! Cases: one call can walk a whole table of attacks, and each refusal is told as the guest saw it.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use flowhost_sdk::{Answer, Error, answer, parse};

/// One case of a table, or the only one.
#[derive(Deserialize)]
#[serde(untagged)]
enum Cases<T> {
    Many { cases: Vec<T> },
    One(T),
}

/// A case, and whether its error is the call's own error instead of an outcome.
#[derive(Deserialize)]
pub struct Case<T> {
    /// End the call with the error.
    #[serde(default)]
    propagate: bool,
    #[serde(flatten)]
    what: T,
}

/// Runs `work` for the input's case or for each of its `cases`, and answers with the outcomes:
/// `{"ok": value}` or `{"error": …}` as [`error_of`] tells it. A case with `"propagate": true` ends
/// the call with its error.
///
/// # Errors
/// [`Error::Invalid`] when the input is no case; the case's own error when it propagates.
pub fn each<T: DeserializeOwned>(
    input: &str,
    mut work: impl FnMut(T) -> Result<Value, Error>,
) -> Result<Answer, Error> {
    match parse::<Cases<Case<T>>>(input)? {
        Cases::One(case) => answer(&outcome(case, &mut work)?),
        Cases::Many { cases } => {
            let outcomes: Result<Vec<Value>, Error> = cases
                .into_iter()
                .map(|case| outcome(case, &mut work))
                .collect();
            answer(&outcomes?)
        }
    }
}

fn outcome<T>(
    case: Case<T>,
    work: &mut impl FnMut(T) -> Result<Value, Error>,
) -> Result<Value, Error> {
    match work(case.what) {
        Err(error) if case.propagate => Err(error),
        result => Ok(told(result)),
    }
}

/// A result as JSON.
#[must_use]
pub fn told(result: Result<Value, Error>) -> Value {
    match result {
        Ok(value) => json!({ "ok": value }),
        Err(error) => json!({ "error": error_of(&error) }),
    }
}

/// An error as JSON: its case, and what it says.
#[must_use]
pub fn error_of(error: &Error) -> Value {
    match error {
        Error::Denied(denial) => json!({
            "case": "denied", "right": denial.right, "wanted": denial.wanted, "rule": denial.rule,
        }),
        Error::Limit(limit) => json!({
            "case": "limit", "name": limit.name, "used": limit.used, "allowed": limit.allowed,
        }),
        Error::Invalid(text) => json!({ "case": "invalid", "message": text }),
        Error::Transient(text) => json!({ "case": "transient", "message": text }),
        Error::Failed(text) => json!({ "case": "failed", "message": text }),
        Error::Conflict(text) => json!({ "case": "conflict", "message": text }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Number {
        n: i32,
    }

    fn odd(number: Number) -> Result<Value, Error> {
        if number.n % 2 == 0 {
            Err(Error::invalid("even"))
        } else {
            Ok(json!(number.n))
        }
    }

    #[test]
    fn a_refusal_is_an_outcome_of_its_case() {
        let answer = each(r#"{"cases":[{"n":1},{"n":2}]}"#, odd).expect("outcomes");
        assert_eq!(
            answer.value,
            r#"[{"ok":1},{"error":{"case":"invalid","message":"even"}}]"#
        );
    }

    #[test]
    fn a_case_that_propagates_ends_the_call() {
        assert!(matches!(
            each(r#"{"n":2,"propagate":true}"#, odd),
            Err(Error::Invalid(_))
        ));
    }
}
