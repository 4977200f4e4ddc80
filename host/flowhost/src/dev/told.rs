//! What `flowhost dev` tells, whoever shows it: a screen, plain lines, or one JSON object a line.
//!
//! Facts only. How they look is each face's business, and no face decides anything.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use flowhost_flow::StepStatus;
use flowhost_flow::planner::{Note, StepSummary};
use flowhost_run::{Finished, Swapped, status_word};
use serde::Serialize;

use crate::failure::Failure;
use crate::output::{counted, one_line};

/// The status of a run that could not begin.
const REFUSED: &str = "refused";
/// Characters of an output in a line: the page of the run has it whole.
const OUTPUT_CHARS_MAX: usize = 200;

/// Why a run begins. What it may take from the run before follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// It is the first.
    Start,
    /// Something has changed.
    Change,
    /// A person asks for it, though nothing has.
    Again,
    /// A person has let a plugin have more rights.
    Rights,
    /// A plugin has gone back to an earlier build.
    Back,
    /// One step was chosen.
    Only,
}

impl Why {
    const fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Change => "change",
            Self::Again => "again",
            Self::Rights => "rights",
            Self::Back => "back",
            Self::Only => "only",
        }
    }
}

/// One thing that happened. In JSON its name is `event`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Told {
    /// The plan is sound, and its files are watched.
    Watching {
        /// The plan as the person named it.
        plan: String,
        /// Plugins by key, with the digest of each component.
        plugins: BTreeMap<String, String>,
        /// Folders of sources from which a plugin is built.
        sources: Vec<String>,
    },
    /// A run begins.
    RunStarted {
        /// Its ULID.
        run: String,
        /// Paths of the plan's own steps, in the plan's order.
        steps: Vec<String>,
        /// Why.
        why: Why,
    },
    /// An attempt of a step begins.
    StepStarted {
        /// Path of the step or item.
        path: String,
        /// 1 for the first attempt.
        attempt: u32,
    },
    /// A step or an item of a `foreach` has ended.
    StepEnded {
        /// Path of the step or item.
        path: String,
        /// How.
        status: &'static str,
        /// From its first start to its end.
        duration_ms: u64,
        /// Why it failed; empty when it did not.
        failure: String,
        /// What its model calls cost, in millionths of a dollar.
        micro_usd: u64,
    },
    /// The run is over.
    RunEnded {
        /// Its ULID.
        run: String,
        /// The report's status word.
        status: String,
        /// What `flowhost run` would have ended with.
        exit_code: u8,
        /// From its start to its end.
        duration_ms: u64,
        /// What ended it; empty when it is ok.
        failure: String,
        /// The report page.
        report: String,
        /// What the plan gives.
        outputs: serde_json::Map<String, serde_json::Value>,
    },
    /// A plugin is being built from its sources.
    Building {
        /// Its folder.
        folder: String,
    },
    /// It was built.
    Built {
        /// Its folder.
        folder: String,
        /// How long that took.
        took_ms: u64,
    },
    /// It was not built. The last good component stays.
    BuildFailed {
        /// Its folder.
        folder: String,
        /// What the compiler said, or why there was none.
        message: String,
    },
    /// A plugin of the living run has another build.
    Swapped {
        /// Its key.
        plugin: String,
        /// What calls take from now on.
        revision: u64,
        /// The new component.
        component: String,
        /// From the request until the next call takes it.
        took_ms: u64,
    },
    /// A change is not taken. The last good state stays.
    Refused {
        /// What is wrong, as `flowhost validate` says it.
        message: String,
    },
    /// A change would give a plugin more rights than it has, and waits for a yes.
    Wider {
        /// Its key.
        plugin: String,
        /// What it would have and has not, a line each.
        rights: Vec<String>,
    },
    /// Anything else that a person should read.
    Said {
        /// One line.
        message: String,
    },
    /// A line of the log.
    Log {
        /// As it would stand on standard error.
        line: String,
    },
}

impl Told {
    /// What a fact of the planner means here; most of them mean nothing to a person who watches.
    #[must_use]
    pub fn of_note(note: &Note) -> Option<Self> {
        match note {
            Note::StepStarted { path, attempt, .. } => Some(Self::StepStarted {
                path: path.clone(),
                attempt: *attempt,
            }),
            Note::StepEnded(summary) => Some(Self::ended(summary)),
            Note::Retrying { path, failure, .. } => Some(Self::Said {
                message: format!("{path}: tried again after: {}", failure.message),
            }),
            Note::Warning { path, message, .. } => Some(Self::Said {
                message: match path.as_str() {
                    "" => format!("warning: {message}"),
                    path => format!("warning: {path}: {message}"),
                },
            }),
            _ => None,
        }
    }

    fn ended(summary: &StepSummary) -> Self {
        let why = match summary.status {
            // A skipped step has a reason, which is no failure.
            StepStatus::Ok | StepStatus::Skipped => None,
            _ => summary.failure.as_ref(),
        };
        Self::StepEnded {
            path: summary.path.clone(),
            status: summary.status.word(),
            duration_ms: summary.duration_ms,
            failure: why.map(|it| it.message.clone()).unwrap_or_default(),
            micro_usd: summary.used.micro_usd,
        }
    }

    /// The end of a run that had begun.
    #[must_use]
    pub fn finished(finished: &Finished) -> Self {
        let failure = finished.outcome.end.failure.as_ref();
        Self::RunEnded {
            run: finished.run.clone(),
            status: status_word(&finished.outcome).to_owned(),
            exit_code: finished.outcome.end.exit.code(),
            duration_ms: finished.outcome.duration_ms,
            failure: failure.map(|it| it.message.clone()).unwrap_or_default(),
            report: finished
                .evidence
                .report_html
                .as_ref()
                .map_or_else(String::new, |page| page.display().to_string()),
            outputs: finished.outcome.end.outputs.clone(),
        }
    }

    /// The end of a run that could not begin: it has no record and no report.
    #[must_use]
    pub fn not_begun(run: &str, failure: &Failure) -> Self {
        Self::RunEnded {
            run: run.to_owned(),
            status: REFUSED.to_owned(),
            exit_code: failure.exit.code(),
            duration_ms: 0,
            failure: failure.message.clone(),
            report: String::new(),
            outputs: serde_json::Map::new(),
        }
    }

    /// A swap that was made.
    #[must_use]
    pub fn swapped(plugin: &str, component: &str, swapped: &Swapped) -> Self {
        Self::Swapped {
            plugin: plugin.to_owned(),
            revision: swapped.revision,
            component: component.to_owned(),
            took_ms: swapped.took_ms,
        }
    }

    /// What a plain line says of it; several lines only where somebody else's text has them.
    #[must_use]
    pub fn line(&self) -> String {
        match self {
            Self::Watching {
                plan,
                plugins,
                sources,
            } => {
                let mut text = format!("watching {plan} and {}", counted(plugins.len(), "plugin"));
                if !sources.is_empty() {
                    let _infallible = write!(text, "; built from {}", sources.join(", "));
                }
                one_line(&text)
            }
            Self::RunStarted { run, why, .. } => format!("run {run} started ({})", why.word()),
            Self::StepStarted { path, attempt } => match attempt {
                1 => one_line(&format!("  {path} …")),
                more => one_line(&format!("  {path} … (attempt {more})")),
            },
            Self::StepEnded {
                path,
                status,
                duration_ms,
                failure,
                ..
            } => {
                let mut text = format!("  {path} {status} in {duration_ms} ms");
                if !failure.is_empty() {
                    let _infallible = write!(text, ": {failure}");
                }
                one_line(&text)
            }
            Self::RunEnded {
                run,
                status,
                duration_ms,
                failure,
                report,
                outputs,
                ..
            } => {
                let mut text = format!("run {run} {status} in {duration_ms} ms");
                // Why a run could not begin is told whole, as a refusal.
                if !failure.is_empty() && status != REFUSED {
                    let _infallible = write!(text, ": {failure}");
                }
                if !report.is_empty() {
                    let _infallible = write!(text, "; report {report}");
                }
                let mut text = one_line(&text);
                for (name, value) in outputs {
                    let _infallible = write!(text, "\n  {}", output(name, value));
                }
                text
            }
            Self::Building { folder } => one_line(&format!("building {folder}")),
            Self::Built { folder, took_ms } => one_line(&format!("built {folder} in {took_ms} ms")),
            Self::BuildFailed { folder, message } => {
                format!(
                    "{}\n{}",
                    one_line(&format!("{folder} was not built; the last build stays:")),
                    crate::output::neutral(message.trim_end())
                )
            }
            Self::Swapped {
                plugin,
                revision,
                component,
                took_ms,
            } => one_line(&format!(
                "{plugin} is live as revision {revision} ({}) after {took_ms} ms",
                short(component)
            )),
            Self::Refused { message } => format!(
                "the change is not taken; what was good before stays:\n{}",
                crate::output::neutral(message.trim_end())
            ),
            Self::Wider { plugin, rights } => {
                let mut text = one_line(&format!("{plugin} would get more rights:"));
                for right in rights {
                    let _infallible = write!(text, "\n  + {}", one_line(right));
                }
                text
            }
            Self::Said { message } => one_line(message),
            Self::Log { line } => one_line(line),
        }
    }
}

/// An output of the plan in a line, cut where it is longer than a person reads along.
fn output(name: &str, value: &serde_json::Value) -> String {
    let shown = match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let line = one_line(&format!("{name}: {shown}"));
    match line.char_indices().nth(OUTPUT_CHARS_MAX) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

/// The first twelve digits of a digest, as people compare them.
#[must_use]
pub(super) fn short(digest: &str) -> &str {
    let hex = digest.strip_prefix("sha256:").unwrap_or(digest);
    // Forty-eight bits: no two builds of a session are taken for each other.
    hex.get(..12).unwrap_or(hex)
}
