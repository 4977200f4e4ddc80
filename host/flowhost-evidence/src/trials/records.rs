//! Records of an experiment, one for each stage of each run, and its variants beside each other.
//!
//! What is compared are runs and not stages: stages of one run depend on each other, and a long stage would drown the others.

use std::collections::BTreeMap;

use flowhost_flow::plan::NO_VARIANT;
use serde::Serialize;
use serde_json::Value;

use super::{CRITERIA, MOCK, Place, place, texts};
use crate::analysis::{chance, cost_of_stage, mean, median};
use crate::stage::{Form, Judged, judge};

/// Runs of each variant below which no difference can be told from chance: of three of each, 2 of 20 ways lie as far apart
/// as can be, which is above 0.05.
const RUNS_MIN: usize = 4;

/// A stage of a run, in the fields in which such experiments are kept.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Record {
    /// The plan's label.
    pub experiment: Option<String>,
    /// Which variant the run was.
    pub variant: String,
    /// The spec.
    pub spec_id: String,
    /// The stage.
    pub stage: String,
    /// The run.
    pub run_id: String,
    /// When the stage ended.
    pub timestamp: String,
    /// `single` or `consensus`.
    pub method: &'static str,
    /// The models that took part.
    pub models_used: Vec<String>,
    /// Agents that were asked, without the arbiter.
    pub agents_asked: usize,
    /// Agents that the plan has for it.
    pub agents_of: usize,
    /// How the consensus stood.
    pub status: String,
    /// Agreements of all points.
    pub agreement_ratio: Option<f64>,
    /// Whether the arbiter decided against somebody.
    pub arbiter_override: Option<bool>,
    /// How it decided.
    pub override_type: Option<String>,
    /// Prompt and completion.
    pub total_tokens: Option<f64>,
    /// US dollars of its agents, and of what its guardrails asked models for.
    pub total_cost_usd: Option<f64>,
    /// Milliseconds from its start to its end.
    pub latency_ms: Option<f64>,
    /// Means of what readers gave, from 0 to 1; null without any.
    pub quality_metrics: BTreeMap<&'static str, Option<f64>>,
    /// What readers said in words, a line each.
    pub reviewer_assessment: Option<String>,
    /// Readers.
    pub reviews: usize,
    /// Tokens that agents who were not asked would have used, if they were as those that were; the arbiter's are not counted.
    pub saved_tokens: Option<f64>,
    /// The same in US dollars.
    pub saved_usd: Option<f64>,
}

/// A variant over all its runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VariantRow {
    /// Its name.
    pub variant: String,
    /// Runs.
    pub runs: usize,
    /// Stages of them.
    pub stages: usize,
    /// Median of a run's tokens.
    pub tokens: Option<f64>,
    /// Median of a run's US dollars.
    pub cost_usd: Option<f64>,
    /// Median of the sum of a run's stages, in milliseconds.
    pub latency_ms: Option<f64>,
    /// Mean of the stages that have one.
    pub agreement_ratio: Option<f64>,
    /// Stages at which the arbiter decided against somebody.
    pub overridden: usize,
    /// Mean of the readers' `overall`, from 0 to 1.
    pub overall: Option<f64>,
    /// Readings.
    pub reviews: usize,
    /// US dollars that were saved against asking all agents always, estimated.
    pub saved_usd: Option<f64>,
    /// The same in tokens.
    pub saved_tokens: Option<f64>,
    /// Against the baseline; null for itself.
    pub against: Option<Against>,
}

/// A variant beside another.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Against {
    /// The other one.
    pub baseline: String,
    /// By what: `tokens`, `cost_usd`, `latency_ms`, `overall`.
    pub changes: BTreeMap<&'static str, Change>,
}

/// A difference.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// Of the medians, as a share of the baseline's; null where that is not known, or 0 and the other is not.
    pub share: Option<f64>,
    /// How often chance alone would part them so far (Mann-Whitney U, two-sided); null with fewer than four runs of either.
    pub chance: Option<f64>,
}

/// An experiment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Whether scripts answered, and no model.
    pub mock: bool,
    /// Its variants, in the order of their names.
    pub variants: Vec<VariantRow>,
    /// What they are made of.
    pub records: Vec<Record>,
}

/// All that was read.
#[derive(Debug, Default)]
pub struct Records {
    records: BTreeMap<Place, Record>,
    reviews: BTreeMap<Place, Vec<Value>>,
}

impl Records {
    /// Takes a file in; what is no telemetry and no review says nothing here.
    pub fn add(&mut self, path: &str, bytes: &[u8]) {
        match judge(path, bytes) {
            Judged::Valid(Form::Telemetry2) => {
                let text = String::from_utf8_lossy(bytes);
                for value in text.lines().filter_map(|it| serde_json::from_str(it).ok()) {
                    self.records.insert(place(&value), record(&value));
                }
            }
            Judged::Valid(Form::Review) => {
                if let Ok(value) = serde_json::from_slice::<Value>(bytes) {
                    self.reviews.entry(place(&value)).or_default().push(value);
                }
            }
            _ => {}
        }
    }

    /// Experiments of which there are records.
    #[must_use]
    pub fn experiments(&self) -> Vec<&str> {
        let all = self.records.values();
        let mut names: Vec<&str> = all.filter_map(|it| it.experiment.as_deref()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// One experiment, of scripts or of models. Without a baseline that has runs nothing is held against another.
    #[must_use]
    pub fn report(&self, experiment: &str, mock: bool, baseline: Option<&str>) -> Report {
        let scripted = |it: &Record| it.models_used.iter().any(|it| it.starts_with(MOCK));
        let records: Vec<Record> = self
            .records
            .iter()
            .filter(|(_, it)| it.experiment.as_deref() == Some(experiment) && scripted(it) == mock)
            .map(|(place, record)| self.reviewed(place, record.clone()))
            .collect();
        let mut by_variant: BTreeMap<&str, Vec<&Record>> = BTreeMap::new();
        for record in &records {
            by_variant.entry(&record.variant).or_default().push(record);
        }
        let base = baseline.and_then(|name| Some((name, runs(by_variant.get(name)?))));
        let rows = by_variant.iter().map(|(variant, records)| {
            let own = runs(records);
            let against = base.as_ref().filter(|(name, _)| name != variant);
            let against = against.map(|(name, base)| beside(name, base, &own));
            row(variant, records, &own, against)
        });
        let variants = rows.collect();
        Report {
            mock,
            variants,
            records,
        }
    }

    fn reviewed(&self, place: &Place, mut record: Record) -> Record {
        let reviews = self
            .reviews
            .get(place)
            .map(Vec::as_slice)
            .unwrap_or_default();
        record.reviews = reviews.len();
        for criterion in CRITERIA {
            let given = reviews.iter();
            let given: Vec<f64> = given
                .filter_map(|it| it.get("quality_metrics")?.get(criterion)?.as_f64())
                .collect();
            record.quality_metrics.insert(criterion, mean(&given));
        }
        let said: Vec<&str> = reviews
            .iter()
            .filter_map(|it| it.get("reviewer_assessment")?.as_str())
            .collect();
        record.reviewer_assessment = (!said.is_empty()).then(|| said.join("\n"));
        record
    }
}

/// What one run came to.
#[derive(Debug, Default)]
struct RunTotal {
    tokens: Option<f64>,
    cost_usd: Option<f64>,
    latency_ms: Option<f64>,
    overall: Option<f64>,
}

/// How a number of a run is read.
type Reading = fn(&RunTotal) -> Option<f64>;

impl RunTotal {
    /// What is compared, with how it is read.
    const METRICS: [(&'static str, Reading); 4] = [
        ("tokens", |it| it.tokens),
        ("cost_usd", |it| it.cost_usd),
        ("latency_ms", |it| it.latency_ms),
        ("overall", |it| it.overall),
    ];
}

fn runs(records: &[&Record]) -> Vec<RunTotal> {
    let mut by_run: BTreeMap<&str, Vec<&Record>> = BTreeMap::new();
    for record in records {
        by_run.entry(&record.run_id).or_default().push(record);
    }
    let total = |records: &Vec<&Record>| {
        let overall: Vec<f64> = records.iter().filter_map(|it| overall(it)).collect();
        RunTotal {
            tokens: sum(records, |it| it.total_tokens),
            cost_usd: sum(records, |it| it.total_cost_usd),
            latency_ms: sum(records, |it| it.latency_ms),
            overall: mean(&overall),
        }
    };
    by_run.values().map(total).collect()
}

fn overall(record: &Record) -> Option<f64> {
    record.quality_metrics.get("overall").copied().flatten()
}

/// The sum; not known where a part is not.
fn sum(records: &[&Record], of: impl Fn(&Record) -> Option<f64>) -> Option<f64> {
    records.iter().map(|it| of(it)).sum()
}

fn row(
    variant: &str,
    records: &[&Record],
    runs: &[RunTotal],
    against: Option<Against>,
) -> VariantRow {
    let middle = |of: Reading| {
        let values: Vec<f64> = runs.iter().filter_map(of).collect();
        median(&values)
    };
    let means = |of: &dyn Fn(&Record) -> Option<f64>| {
        let values: Vec<f64> = records.iter().filter_map(|it| of(it)).collect();
        mean(&values)
    };
    let overridden = records
        .iter()
        .filter(|it| it.arbiter_override == Some(true));
    VariantRow {
        variant: variant.to_owned(),
        runs: runs.len(),
        stages: records.len(),
        tokens: middle(|it| it.tokens),
        cost_usd: middle(|it| it.cost_usd),
        latency_ms: middle(|it| it.latency_ms),
        agreement_ratio: means(&|it| it.agreement_ratio),
        overridden: overridden.count(),
        overall: means(&overall),
        reviews: records.iter().map(|it| it.reviews).sum(),
        saved_usd: sum(records, |it| it.saved_usd),
        saved_tokens: sum(records, |it| it.saved_tokens),
        against,
    }
}

fn beside(name: &str, base: &[RunTotal], own: &[RunTotal]) -> Against {
    let changes = RunTotal::METRICS.into_iter().map(|(metric, of)| {
        let values = |runs: &[RunTotal]| runs.iter().filter_map(of).collect::<Vec<f64>>();
        let (base, own) = (values(base), values(own));
        let enough = base.len().min(own.len()) >= RUNS_MIN;
        let medians = median(&base).zip(median(&own));
        // Of nothing there is no share, but nothing is as much as nothing.
        let share = medians.and_then(|(base, own)| match base > 0.0 {
            true => Some(own / base - 1.0),
            false => (own <= base).then_some(0.0),
        });
        let change = Change {
            share,
            chance: chance(&base, &own).filter(|_| enough),
        };
        (metric, change)
    });
    Against {
        baseline: name.to_owned(),
        changes: changes.collect(),
    }
}

fn record(value: &Value) -> Record {
    let text = |name: &str| Some(value.get(name)?.as_str()?.to_owned());
    let number = |pointer: &str| value.pointer(pointer).and_then(Value::as_f64);
    let agents = value.pointer("/consensus/agents").and_then(Value::as_array);
    let members: Vec<&Value> = agents
        .into_iter()
        .flatten()
        .filter(|it| it.get("role").and_then(Value::as_str) != Some("arbiter"))
        .collect();
    let asked = members.len();
    let of = value.get("agents_of").and_then(Value::as_u64);
    let of = of.and_then(|it| usize::try_from(it).ok()).unwrap_or(asked);
    let spared = u32::try_from(of.saturating_sub(asked)).unwrap_or(u32::MAX);
    let saved = |name: &str| {
        if spared == 0 {
            return Some(0.0);
        }
        let used: Option<Vec<f64>> = members.iter().map(|it| it.get(name)?.as_f64()).collect();
        Some(mean(&used?)? * f64::from(spared))
    };
    let (spec_id, stage, run_id) = place(value);
    Record {
        experiment: text("experiment"),
        variant: text("variant").unwrap_or_else(|| NO_VARIANT.to_owned()),
        spec_id,
        stage,
        run_id,
        timestamp: text("timestamp").unwrap_or_default(),
        method: if asked > 1 { "consensus" } else { "single" },
        models_used: texts(value.get("models_used")),
        agents_asked: asked,
        agents_of: of,
        status: text("consensusStatus").unwrap_or_default(),
        agreement_ratio: number("/consensus/agreement_ratio"),
        arbiter_override: value.get("arbiter_override").and_then(Value::as_bool),
        override_type: text("override_type"),
        total_tokens: number("/consensus/total_tokens"),
        total_cost_usd: cost_of_stage(value),
        latency_ms: number("/consensus/wall_ms"),
        quality_metrics: BTreeMap::new(),
        reviewer_assessment: None,
        reviews: 0,
        saved_tokens: saved("total_tokens"),
        saved_usd: saved("cost_usd"),
    }
}
