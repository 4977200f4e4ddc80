//! What each evidence file must look like, and whether one does: before it is written, and whenever
//! somebody asks about files that are there already, of this host, of schema 1, or of another tool.

use std::sync::LazyLock;

use flowhost_flow::OutputSchema;
use serde_json::Value;

macro_rules! forms {
    ($($(#[doc = $doc:literal])+ $name:ident $word:literal $file:literal $schema:ident;)*) => {
        /// A kind of evidence file.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Form { $($(#[doc = $doc])+ $name,)* }

        $(static $schema: LazyLock<Result<OutputSchema, String>> = LazyLock::new(|| {
            compiled(include_str!(concat!("../../schemas/", $file, ".schema.json")))
        });)*

        impl Form {
            /// Every form.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// What it is called in messages.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            fn schema(self) -> &'static Result<OutputSchema, String> {
                match self { $(Self::$name => LazyLock::force(&$schema),)* }
            }
        }
    };
}

forms! {
    /// Stage telemetry of schema 1.
    Stage1 "stage telemetry 1" "stage-1" STAGE_1;
    /// Stage telemetry of schema 2.0.
    Telemetry2 "telemetry 2.0" "telemetry-2.0" TELEMETRY_2;
    /// Usage of an agent.
    Metrics "metrics" "metrics" METRICS;
    /// What came of the answers.
    Synthesis "synthesis" "synthesis" SYNTHESIS;
    /// A verdict.
    Verdict "verdict" "verdict" VERDICT;
    /// What a spec cost.
    CostSummary "cost summary" "cost-summary" COST_SUMMARY;
    /// The life of a stage.
    Lifecycle "lifecycle" "lifecycle" LIFECYCLE;
    /// Whether a plan could run.
    Readiness "readiness" "readiness" READINESS;
    /// What a reader said of an output.
    Review "review" "review" REVIEW;
    /// What a reviewer said of a task's security.
    Security "security review" "security" SECURITY;
}

/// What was found about a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judged {
    /// It is what its form says.
    Valid(Form),
    /// It is not, and where: `line 3: …` in a file of lines.
    Invalid(Form, Vec<String>),
    /// Nothing in its name or content says that it is one of these: an agent's output, a prompt.
    Foreign,
}

/// Faults of one file that are named; more say nothing new.
const FAULTS_MAX: usize = 20;

/// What a file is, by its content and, where that does not say, by its name.
#[must_use]
pub fn form_of(name: &str, value: &Value) -> Option<Form> {
    let has = |key: &str| value.get(key).is_some();
    let version = value.get("schemaVersion").map(Value::to_string);
    let version = version.as_deref().map(|it| it.trim_matches('"'));
    match version {
        Some("2.0" | "2") => return Some(Form::Telemetry2),
        Some("1" | "1.0") if has("per_stage") || has("total_cost_usd") => {
            return Some(Form::CostSummary);
        }
        Some("1" | "1.0") if has("probes") => return Some(Form::Readiness),
        Some("1" | "1.0") if has("command") => return Some(Form::Stage1),
        _ => {}
    }
    let named = ENDS.iter().find(|(end, _)| name.ends_with(end));
    let lifecycle = name.contains("_lifecycle_") && name.ends_with(".jsonl");
    named
        .map(|(_, form)| *form)
        .or(lifecycle.then_some(Form::Lifecycle))
}

/// What the names of files end with.
const ENDS: [(&str, Form); 8] = [
    ("_telemetry.jsonl", Form::Telemetry2),
    ("_metrics.json", Form::Metrics),
    ("_synthesis.json", Form::Synthesis),
    ("_verdict.json", Form::Verdict),
    ("_review.json", Form::Review),
    ("_security.json", Form::Security),
    ("_cost_summary.json", Form::CostSummary),
    ("tasks_guardrail.json", Form::Readiness),
];

/// Holds a file against the form that it has.
#[must_use]
pub fn judge(path: &str, bytes: &[u8]) -> Judged {
    let name = path.rsplit('/').next().unwrap_or(path);
    let of_name = form_of(name, &Value::Null);
    let Ok(text) = std::str::from_utf8(bytes) else {
        return match of_name {
            Some(form) => Judged::Invalid(form, vec!["it is not UTF-8".to_owned()]),
            None => Judged::Foreign,
        };
    };
    match name.ends_with(".jsonl") {
        true => judge_lines(name, of_name, text),
        false => judge_document(name, of_name, text),
    }
}

fn judge_document(name: &str, of_name: Option<Form>, text: &str) -> Judged {
    match serde_json::from_str::<Value>(text) {
        Ok(value) => match form_of(name, &value) {
            Some(form) => match faults(form, &value) {
                None => Judged::Valid(form),
                Some(what) => Judged::Invalid(form, vec![what]),
            },
            None => Judged::Foreign,
        },
        Err(error) => match of_name {
            Some(form) => Judged::Invalid(form, vec![format!("it is not JSON: {error}")]),
            None => Judged::Foreign,
        },
    }
}

fn judge_lines(name: &str, of_name: Option<Form>, text: &str) -> Judged {
    let mut form = of_name;
    let mut found = Vec::new();
    for (at, line) in text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
    {
        let number = at + 1;
        let value = match serde_json::from_str::<Value>(line) {
            Ok(value) => value,
            Err(error) => {
                found.push(format!("line {number}: it is not JSON: {error}"));
                continue;
            }
        };
        let Some(of_line) = form_of(name, &value) else {
            continue;
        };
        form = form.or(Some(of_line));
        if let Some(what) = faults(of_line, &value) {
            found.push(format!("line {number}: {what}"));
        }
    }
    found.truncate(FAULTS_MAX);
    match form {
        None => Judged::Foreign,
        Some(form) if found.is_empty() => Judged::Valid(form),
        Some(form) => Judged::Invalid(form, found),
    }
}

fn faults(form: Form, value: &Value) -> Option<String> {
    match form.schema() {
        Ok(schema) => schema.violations(value),
        // A test compiles every schema; one that does not compile must not let a file pass all the same.
        Err(error) => Some(format!("the schema of {} is broken: {error}", form.word())),
    }
}

/// What is wrong with a document that is about to be written to `path`, or with a line of one.
pub(super) fn fault(path: &str, value: &Value) -> Option<String> {
    let name = path.rsplit('/').next().unwrap_or(path);
    faults(form_of(name, value)?, value)
}

fn compiled(text: &str) -> Result<OutputSchema, String> {
    let value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    OutputSchema::compile(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_compiles() {
        for form in Form::ALL {
            assert!(
                form.schema().is_ok(),
                "{}: {:?}",
                form.word(),
                form.schema()
            );
        }
    }

    #[test]
    fn a_file_of_another_tool_is_judged_by_its_version() {
        let one = br#"{"schemaVersion":1,"command":"/spec-plan","specId":"S","sessionId":"x","timestamp":"t"}"#;
        assert_eq!(judge("a/whatever.json", one), Judged::Valid(Form::Stage1));
        let short = br#"{"schemaVersion":"2.0","command":"c"}"#;
        assert!(matches!(
            judge("x.json", short),
            Judged::Invalid(Form::Telemetry2, _)
        ));
        assert_eq!(judge("notes.json", br#"{"hello":1}"#), Judged::Foreign);
        assert_eq!(judge("prompt.txt", b"# Hello"), Judged::Foreign);
    }

    #[test]
    fn a_broken_line_is_named_by_its_number() {
        let text = b"{\"schemaVersion\":\"2.0\"\n";
        let Judged::Invalid(Form::Telemetry2, faults) = judge("a_telemetry.jsonl", text) else {
            panic!("half a line is not valid")
        };
        assert!(
            faults[0].starts_with("line 1: it is not JSON"),
            "{faults:?}"
        );
    }
}
