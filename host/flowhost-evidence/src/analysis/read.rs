//! Evidence files as what was observed: one observation a line of stage telemetry 2.0, and the conflicts of each synthesis.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::stats::mean;
use crate::stage::{Form, Judged, judge};

/// The beginning of the names of models that answer from a script. A `mock` provider of another name says it in the
/// release of its model.
const MOCK: &str = "mock/";
/// Largest number of anything: a run that cost, used or took as much is a mistake, and sums stay numbers.
const NUMBER_MAX: f64 = 1e15;
/// What an arbiter's name ends with, in files that say no role.
const ARBITER: &str = "-arbiter";

/// One stage of one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// Which spec.
    pub spec: String,
    /// Which stage.
    pub stage: String,
    /// The plan's label `run_profile`.
    pub profile: Option<String>,
    /// Which run.
    pub run: String,
    /// When the stage ended.
    pub at: OffsetDateTime,
    /// `ok`, `degraded`, `conflict` or `missing`.
    pub status: String,
    /// Agreements / (agreements + conflicts).
    pub agreement_ratio: Option<f64>,
    /// Whether anything was disagreed about.
    pub disagreed: bool,
    /// Tokens of all calls; none where nobody was reached.
    pub tokens: Option<f64>,
    /// USD of all calls, those of guardrails among them; none where nobody was reached.
    pub cost_usd: Option<f64>,
    /// Milliseconds from the stage's start to its end.
    pub latency_ms: Option<f64>,
    /// 0 to 1: a person's score, else completeness, else the share of automated checks that passed.
    pub quality: Option<f64>,
    /// Automated checks that did not hold, those of repeated attempts too.
    pub checks_failed: Option<f64>,
    /// Whether it went on to an arbiter, another round or a person.
    pub escalated: bool,
    /// Each agent's part.
    pub agents: Vec<Usage>,
}

impl Observation {
    /// Whether a script answered, and no model.
    #[must_use]
    pub fn source(&self) -> Source {
        match self.agents.iter().any(|it| it.mocked) {
            true => Source::Mock,
            false => Source::Model,
        }
    }

    /// Whether several were asked and compared, or one alone; of nobody it is not known.
    #[must_use]
    pub fn method(&self) -> Option<Method> {
        match self.agents.iter().filter(|it| !it.arbiter).count() {
            0 => None,
            1 => Some(Method::Single),
            _ => Some(Method::Consensus),
        }
    }
}

/// How many were asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// One model, and its word holds.
    Single,
    /// Several, whose answers were compared.
    Consensus,
}

impl Method {
    /// As it is typed and printed.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Consensus => "consensus",
        }
    }
}

/// Who answered: numbers of the two are never put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Models.
    Model,
    /// Scripts of a `mock` provider, for at least one agent.
    Mock,
}

/// What an agent used.
#[derive(Debug, Clone, PartialEq)]
pub struct Usage {
    /// Its name in the plan; the arbiter's ends in `-arbiter`.
    pub agent: String,
    /// Whether it judged the others' answers.
    pub arbiter: bool,
    /// `provider/name`.
    pub model: Option<String>,
    /// Whether a script answered in the model's place.
    pub mocked: bool,
    /// How hard it was asked to think.
    pub reasoning: Option<String>,
    /// Whether its answer counted.
    pub ok: bool,
    /// Prompt and completion.
    pub tokens: Option<f64>,
    /// USD.
    pub cost_usd: Option<f64>,
    /// Milliseconds of its calls.
    pub latency_ms: Option<f64>,
}

/// A conflict that agents had, settled or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dispute {
    pub(super) spec: String,
    pub(super) stage: String,
    /// Empty in files of tools that do not say it.
    pub(super) run: String,
    pub(super) issue: String,
    /// `host`, `arbiter` or `vote`.
    pub(super) found_by: String,
    /// What each said, by agent.
    pub(super) positions: BTreeMap<String, String>,
    /// How, where it was settled.
    pub(super) settled: Option<Settled>,
}

/// How a conflict was settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settled {
    /// What holds.
    pub(super) resolution: String,
    /// Why, in the words of who decided.
    pub(super) reason: String,
    /// Whose position it is, where the file says so.
    pub(super) sided_with: Option<String>,
}

/// What a stage made, by section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Output {
    pub(super) spec: String,
    pub(super) stage: String,
    /// Empty in files of tools that do not say it.
    pub(super) run: String,
    /// Characters of each top-level member, as JSON.
    pub(super) sections: BTreeMap<String, usize>,
}

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// It was taken in.
    Taken,
    /// It is of a form that says nothing here.
    Other,
    /// It is not what its form says; the first fault.
    Faulty(String),
}

/// All that was read.
#[derive(Debug, Default)]
pub struct Evidence {
    pub(super) observations: Vec<Observation>,
    pub(super) disputes: Vec<Dispute>,
    pub(super) outputs: Vec<Output>,
    /// What readers gave each stage of each run, as shares: the mean of their `overall` is its quality.
    readings: BTreeMap<(String, String, String), Vec<f64>>,
    /// Where the observations of each stage of each run are: a review is of one among all that were read.
    places: BTreeMap<(String, String, String), Vec<usize>>,
    /// Who answered each stage of each run.
    sources: BTreeMap<(String, String, String), Source>,
    /// The latest synthesis lies there twice, under two names.
    seen: BTreeSet<(String, String, String)>,
}

impl Evidence {
    /// What was observed, in the order of the files.
    #[must_use]
    pub fn observations(&self) -> &[Observation] {
        &self.observations
    }

    /// Takes a file in.
    pub fn add(&mut self, name: &str, bytes: &[u8]) -> Reading {
        match judge(name, bytes) {
            Judged::Valid(Form::Telemetry2) => {
                let text = String::from_utf8_lossy(bytes);
                let lines = text.lines().filter(|it| !it.trim().is_empty());
                let lines: Option<Vec<Observation>> = lines
                    .map(|line| observation(&serde_json::from_str::<Value>(line).ok()?))
                    .collect();
                // It was held against its schema: what it lacks here is a time that is no time. All lines are read before
                // any is taken in, or half of a file that is called faulty would be counted.
                let Some(lines) = lines else {
                    return Reading::Faulty("`timestamp` is not a date and time".to_owned());
                };
                for mut seen in lines {
                    let key = (seen.spec.clone(), seen.stage.clone(), seen.run.clone());
                    let readings = self.readings.get(&key).and_then(|it| mean(it));
                    seen.quality = readings.or(seen.quality);
                    let places = self.places.entry(key.clone()).or_default();
                    places.push(self.observations.len());
                    self.sources.insert(key, seen.source());
                    self.observations.push(seen);
                }
                Reading::Taken
            }
            Judged::Valid(Form::Synthesis) => {
                let Ok(value) = serde_json::from_slice::<Value>(bytes) else {
                    return Reading::Faulty("not JSON".to_owned());
                };
                self.synthesis(&value);
                Reading::Taken
            }
            Judged::Valid(Form::Review) => match serde_json::from_slice::<Value>(bytes) {
                Ok(value) => {
                    self.review(&value);
                    Reading::Taken
                }
                Err(_) => Reading::Faulty("not JSON".to_owned()),
            },
            Judged::Valid(_) | Judged::Foreign => Reading::Other,
            Judged::Invalid(_, faults) => {
                Reading::Faulty(faults.into_iter().next().unwrap_or_default())
            }
        }
    }

    /// Who answered what a synthesis is about: a synthesis does not say it, its stage's telemetry does. One of a tool that
    /// names no run is told by all runs of the stage, where they agree.
    pub(super) fn source_of(&self, spec: &str, stage: &str, run: &str) -> Option<Source> {
        if !run.is_empty() {
            let key = (spec.to_owned(), stage.to_owned(), run.to_owned());
            return self.sources.get(&key).copied();
        }
        let same = self.sources.iter();
        let mut same = same.filter(|((of, at, _), _)| of == spec && at == stage);
        let (_, first) = same.next()?;
        same.all(|(_, other)| other == first).then_some(*first)
    }

    /// A person's score counts more than what a program can check. Files come in any order.
    fn review(&mut self, value: &Value) {
        let overall = value.pointer("/quality_metrics/overall");
        let Some(overall) = overall.and_then(Value::as_f64) else {
            debug_assert!(false, "the schema of a review asks for it");
            return;
        };
        let key = (spec(value), word(value, "/stage"), run(value));
        let places = self.places.get(&key).into_iter().flatten();
        let readings = self.readings.entry(key).or_default();
        readings.push(overall);
        let quality = mean(readings);
        for at in places {
            if let Some(seen) = self.observations.get_mut(*at) {
                seen.quality = quality;
            }
        }
    }

    fn synthesis(&mut self, value: &Value) {
        let (spec, stage, run) = (spec(value), word(value, "/stage"), run(value));
        let key = (spec.clone(), stage.clone(), word(value, "/timestamp"));
        if !self.seen.insert(key) {
            return;
        }
        if let Some(output) = value.pointer("/output").and_then(Value::as_object) {
            let sections = output
                .iter()
                .map(|(name, said)| (name.clone(), said.to_string().chars().count()));
            self.outputs.push(Output {
                spec: spec.clone(),
                stage: stage.clone(),
                run: run.clone(),
                sections: sections.collect(),
            });
        }
        for (list, settled) in [
            ("/consensus/conflicts", false),
            ("/consensus/conflicts_resolved", true),
        ] {
            let found = value.pointer(list).and_then(Value::as_array);
            for it in found.into_iter().flatten() {
                let positions = it.pointer("/positions").and_then(Value::as_object);
                let positions = positions.into_iter().flatten();
                self.disputes.push(Dispute {
                    spec: spec.clone(),
                    stage: stage.clone(),
                    run: run.clone(),
                    // Other tools write a conflict as its text alone.
                    issue: it
                        .as_str()
                        .map_or_else(|| word(it, "/issue"), str::to_owned),
                    found_by: word(it, "/found_by"),
                    positions: positions
                        .map(|(agent, said)| {
                            (agent.clone(), said.as_str().unwrap_or_default().to_owned())
                        })
                        .collect(),
                    settled: settled.then(|| Settled {
                        resolution: word(it, "/resolution"),
                        reason: word(it, "/arbiter_decision"),
                        sided_with: it
                            .pointer("/sided_with")
                            .and_then(Value::as_str)
                            .map(str::to_owned),
                    }),
                });
            }
        }
    }
}

fn observation(value: &Value) -> Option<Observation> {
    let at = OffsetDateTime::parse(&word(value, "/timestamp"), &Rfc3339).ok()?;
    let number = |pointer: &str| number(value, pointer);
    let agents = value.pointer("/consensus/agents").and_then(Value::as_array);
    let points = value
        .pointer("/consensus/disagreement_points")
        .and_then(Value::as_array);
    let checks = (
        number("/quality_metrics/automated_checks_passed"),
        number("/quality_metrics/automated_checks_failed"),
    );
    let passed = match checks {
        (Some(passed), Some(failed)) if passed + failed > 0.0 => Some(passed / (passed + failed)),
        _ => None,
    };
    let agents: Vec<Usage> = agents.into_iter().flatten().map(usage).collect();
    // Nobody was reached: what that cost is no sample of what the stage costs.
    let came = agents.is_empty() || agents.iter().any(|it| it.ok || it.tokens.is_some());
    Some(Observation {
        spec: spec(value),
        stage: word(value, "/stage"),
        profile: value
            .pointer("/runProfile")
            .and_then(Value::as_str)
            .map(str::to_owned),
        // A tool that names no run names its session. Without either, all its runs of a spec would be one.
        run: match run(value) {
            run if run.is_empty() => word(value, "/sessionId"),
            run => run,
        },
        at,
        status: word(value, "/consensus/status"),
        agreement_ratio: number("/consensus/agreement_ratio"),
        disagreed: value.pointer("/consensus/disagreement_detected") == Some(&Value::Bool(true))
            || points.is_some_and(|it| !it.is_empty()),
        tokens: number("/consensus/total_tokens").filter(|it| came || *it > 0.0),
        cost_usd: cost_of_stage(value).filter(|it| came || *it > 0.0),
        latency_ms: number("/consensus/wall_ms").or_else(|| number("/consensus/total_latency_ms")),
        quality: number("/quality_metrics/human_review_score")
            .or_else(|| number("/quality_metrics/completeness_score"))
            .or(passed),
        checks_failed: checks.1,
        escalated: value.pointer("/consensus/escalation_triggered") == Some(&Value::Bool(true)),
        agents,
    })
}

fn usage(value: &Value) -> Usage {
    let number = |pointer: &str| number(value, pointer);
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str);
    let mocked = |pointer: &str| text(pointer).is_some_and(|it| it.starts_with(MOCK));
    let agent = word(value, "/agent");
    let ok = word(value, "/status") == "ok";
    // A model that was not reached used nothing, which says nothing of what its answers use.
    let used = |pointer: &str| number(pointer).filter(|it| ok || *it > 0.0);
    Usage {
        arbiter: match text("/role") {
            Some(role) => role == "arbiter",
            None => agent.ends_with(ARBITER),
        },
        agent,
        model: text("/model_id").map(str::to_owned),
        mocked: mocked("/model_id") || mocked("/model_release"),
        reasoning: text("/reasoning_mode").map(str::to_owned),
        ok,
        tokens: used("/total_tokens"),
        cost_usd: used("/cost_usd"),
        latency_ms: used("/latency_ms"),
    }
}

/// What the agents of a stage cost, with what its guardrails asked models for. Files of which no guardrail's cost is
/// known have none of it in the summary of costs either.
pub(crate) fn cost_of_stage(line: &Value) -> Option<f64> {
    let agents = number(line, "/consensus/total_cost_usd")?;
    Some(agents + number(line, "/guardrail/cost_usd").unwrap_or_default())
}

/// A number of which there can be some; another is not known. Files are also strangers'.
fn number(value: &Value, pointer: &str) -> Option<f64> {
    let number = value.pointer(pointer).and_then(Value::as_f64);
    number.filter(|it| (0.0..=NUMBER_MAX).contains(it))
}

fn word(value: &Value, pointer: &str) -> String {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// As [`spec`].
fn run(value: &Value) -> String {
    match word(value, "/runId") {
        run if run.is_empty() => word(value, "/run_id"),
        run => run,
    }
}

/// Files of both spellings are about.
fn spec(value: &Value) -> String {
    match word(value, "/specId") {
        name if name.is_empty() => word(value, "/spec_id"),
        name => name,
    }
}
