//! What the host says at the end of a run, or before it would begin one, read from its JSON.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde_json::Value;

/// A run that ended well.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Ran {
    /// What the call handed back; of a plan, its outputs.
    pub output: Value,
    /// What its calls used.
    pub used: Used,
    /// What was asked for and not granted. A plugin may live with that.
    pub denials: Vec<Denied>,
}

/// What calls used of their limits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Used {
    /// Instructions, in the engine's unit.
    pub fuel: u64,
    /// The most memory that one call had.
    pub memory_bytes: u64,
    /// Host functions that were called.
    pub host_calls: u64,
    /// Bytes that were handed back.
    pub output_bytes: u64,
    /// Tokens of models.
    pub tokens: u64,
}

/// Something that was asked for and not granted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Denied {
    /// The right that was missing.
    pub right: String,
    /// What was asked for.
    pub wanted: String,
    /// The rule that said no.
    pub rule: String,
    /// Lines of a profile that would allow it; empty when none would.
    pub cure: String,
}

/// Why there is no output.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failed {
    /// Nothing was tried: no component, no executable, no folder.
    Untried(String),
    /// The host would not begin: a right that is missing, an input that the tool does not take.
    Refused {
        /// The exit code of `flowhost run`: 6 for a missing right.
        exit_code: i32,
        /// What is wrong.
        message: String,
        /// Each of the problems with its cure.
        problems: Vec<String>,
    },
    /// The call failed.
    Ended(Box<Ended>),
}

/// How a run that failed has ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Ended {
    /// The exit code of `flowhost run`.
    #[serde(skip)]
    pub exit_code: i32,
    /// The class of the failure, as a plan's `failure.class`: `invalid`, `limit`, `denied`, ….
    pub class: String,
    /// Who has to change something: `guest`, `policy`, `limit`, `host` or `plan`.
    pub owner: String,
    /// What is wrong.
    pub message: String,
    /// What helps; empty where nothing is known.
    pub hint: String,
    /// What was asked for and not granted.
    #[serde(skip)]
    pub denials: Vec<Denied>,
}

impl Failed {
    pub(super) fn untried(what: &str, error: &dyn std::error::Error) -> Self {
        Self::Untried(format!("{what}: {error}"))
    }

    /// The class of a call's failure, as a plan's `failure.class`; empty where none was made.
    #[must_use]
    pub fn class(&self) -> &str {
        match self {
            Self::Ended(ended) => &ended.class,
            _ => "",
        }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Untried(message) => f.write_str(message),
            Self::Refused {
                message, problems, ..
            } => {
                f.write_str(message)?;
                problems.iter().try_for_each(|it| write!(f, "\n  {it}"))
            }
            Self::Ended(ended) => write!(f, "{ended}"),
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.class, self.message)?;
        if !self.hint.is_empty() {
            write!(f, "\n  {}", self.hint)?;
        }
        self.denials.iter().try_for_each(|it| {
            write!(f, "\n  denied: {}", it.wanted)?;
            match it.cure.is_empty() {
                true => Ok(()),
                false => write!(f, "; allowed by: {}", it.cure),
            }
        })
    }
}

impl std::error::Error for Failed {}

/// The report of a run: the part of it that a test looks at.
#[derive(Deserialize)]
struct Report {
    exit_code: i32,
    outputs: Value,
    steps: BTreeMap<String, Step>,
    denials: Vec<Denied>,
    error: Option<Ended>,
}

#[derive(Deserialize)]
struct Step {
    #[serde(default)]
    used: Used,
}

/// What is printed when no run has begun.
#[derive(Deserialize)]
struct Refusal {
    exit_code: i32,
    message: String,
    causes: Vec<String>,
    hints: Vec<String>,
    problems: Vec<Problem>,
}

#[derive(Deserialize)]
struct Problem {
    message: String,
    hint: Option<String>,
}

/// Reads what `flowhost run --json` has printed.
pub(super) fn read(stdout: &[u8], stderr: &[u8]) -> Result<Ran, Failed> {
    if let Ok(report) = serde_json::from_slice::<Report>(stdout) {
        return ended(report);
    }
    let refusal = serde_json::from_slice::<Refusal>(stdout).map_err(|error| {
        let said = String::from_utf8_lossy(stderr);
        Failed::Untried(format!(
            "the host did not answer with a report ({error}): {}",
            said.trim()
        ))
    })?;
    let problem = |it: Problem| match it.hint {
        Some(hint) if !hint.is_empty() => format!("{}; {hint}", it.message),
        _ => it.message,
    };
    let mut problems: Vec<String> = refusal.problems.into_iter().map(problem).collect();
    problems.extend(refusal.causes);
    problems.extend(refusal.hints);
    Err(Failed::Refused {
        exit_code: refusal.exit_code,
        message: refusal.message,
        problems,
    })
}

fn ended(report: Report) -> Result<Ran, Failed> {
    if report.exit_code == 0 {
        return Ok(Ran {
            output: report.outputs,
            used: total(report.steps.values()),
            denials: report.denials,
        });
    }
    // A run that waits for somebody ends with 9 and says no error.
    Err(Failed::Ended(Box::new(Ended {
        exit_code: report.exit_code,
        denials: report.denials,
        ..report.error.unwrap_or_default()
    })))
}

fn total<'a>(steps: impl Iterator<Item = &'a Step>) -> Used {
    steps.fold(Used::default(), |all, step| Used {
        fuel: all.fuel.saturating_add(step.used.fuel),
        memory_bytes: all.memory_bytes.max(step.used.memory_bytes),
        host_calls: all.host_calls.saturating_add(step.used.host_calls),
        output_bytes: all.output_bytes.saturating_add(step.used.output_bytes),
        tokens: all.tokens.saturating_add(step.used.tokens),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_report_is_told_with_what_the_host_said_instead() {
        let failed = read(b"", b"error: unknown option\n").unwrap_err();
        assert!(
            failed.to_string().ends_with("error: unknown option"),
            "{failed}"
        );
    }

    #[test]
    fn a_refusal_keeps_every_problem_with_its_cure() {
        let printed = r#"{ "ok": false, "exit_code": 6, "message": "the plan has 1 problem", "causes": [],
            "hints": ["look"], "problems": [{ "file": "p", "line": 1, "column": 1, "message": "a", "hint": "b" }] }"#;
        let wanted = Failed::Refused {
            exit_code: 6,
            message: "the plan has 1 problem".to_owned(),
            problems: vec!["a; b".to_owned(), "look".to_owned()],
        };
        assert_eq!(read(printed.as_bytes(), b""), Err(wanted));
    }
}
