//! Two sides beside each other, stage by stage, and whether their difference is more than chance: two routing profiles, or
//! one model alone and several with an arbiter.

use std::collections::BTreeSet;

use serde::Serialize;

use super::read::{Method, Observation, Source};
use super::report::Metric;
use super::stats;

/// A difference that chance would make more often than this is none that can be told.
const TOLD_BELOW: f64 = 0.05;
/// The largest number of runs on either side for which "how many are needed" is looked for.
const ENOUGH_MAX: usize = 50;
/// How a row begins that tells nothing: a page says it once for all of them.
const TOO_FEW: &str = "too few runs";

/// One of the two that are held beside each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Side {
    /// Stages under this routing profile: the plan's label `run_profile`.
    Profile(String),
    /// Stages that one model, or several, were asked about.
    Method(Method),
}

impl Side {
    /// As it is typed and printed.
    #[must_use]
    pub fn word(&self) -> &str {
        match self {
            Self::Profile(name) => name,
            Self::Method(method) => method.word(),
        }
    }

    /// Whether the stage is on this side.
    #[must_use]
    pub fn has(&self, seen: &Observation) -> bool {
        match self {
            Self::Profile(name) => seen.profile.as_deref() == Some(name),
            Self::Method(method) => seen.method() == Some(*method),
        }
    }
}

/// Two sides.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The first.
    pub a: String,
    /// The second.
    pub b: String,
    /// Whether scripts answered, and no models.
    pub mock: bool,
    /// Each stage and metric that both have, or one.
    pub rows: Vec<Contrast>,
}

/// A stage and metric of both.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Contrast {
    /// Which stage.
    pub stage: String,
    /// What was looked at.
    pub metric: Metric,
    /// How many runs of the first say it.
    pub a_count: usize,
    /// How many of the second.
    pub b_count: usize,
    /// The first's median.
    pub a_median: Option<f64>,
    /// The second's.
    pub b_median: Option<f64>,
    /// (b − a) / a of the medians.
    pub change: Option<f64>,
    /// How often chance alone would part them so (Mann-Whitney, two-sided, corrected by Holm for the number of rows).
    pub chance: Option<f64>,
    /// What can be said.
    pub says: String,
}

/// What is compared: every stage and metric where none is named. One question takes fewer runs to be answered than
/// thirty at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Only {
    /// One stage.
    pub stage: Option<String>,
    /// One metric.
    pub metric: Option<Metric>,
}

/// Compares side `b` with side `a`, of what `source` answered.
#[must_use]
pub fn compare(
    observations: &[Observation],
    a: &Side,
    b: &Side,
    source: Source,
    only: &Only,
) -> Comparison {
    let of = |side: &Side| -> Vec<&Observation> {
        let there = observations.iter().filter(|it| it.source() == source);
        there.filter(|it| side.has(it)).collect()
    };
    let (first, second) = (of(a), of(b));
    let stages: BTreeSet<&str> = first
        .iter()
        .chain(&second)
        .map(|it| it.stage.as_str())
        .filter(|stage| only.stage.as_deref().is_none_or(|it| it == *stage))
        .collect();
    let metrics = Metric::ALL.iter().copied();
    let metrics = metrics.filter(|metric| only.metric.is_none_or(|it| it == *metric));
    let metrics: Vec<Metric> = metrics.collect();
    let mut samples = Vec::new();
    for stage in stages {
        for &metric in &metrics {
            let numbers = |side: &[&Observation]| -> Vec<f64> {
                let there = side.iter().filter(|it| it.stage == stage);
                there.filter_map(|it| metric.of(it)).collect()
            };
            let (left, right) = (numbers(&first), numbers(&second));
            if !(left.is_empty() && right.is_empty()) {
                samples.push((stage.to_owned(), metric, left, right));
            }
        }
    }
    let mut chances: Vec<Option<f64>> = samples
        .iter()
        .map(|(_, _, left, right)| stats::chance(left, right))
        .collect();
    let asked = chances.iter().flatten().count();
    stats::holm(&mut chances);
    let rows = samples.into_iter().zip(chances);
    Comparison {
        a: a.word().to_owned(),
        b: b.word().to_owned(),
        mock: source == Source::Mock,
        rows: rows
            .map(|((stage, metric, left, right), chance)| {
                contrast(stage, metric, (&left, &right), (chance, asked))
            })
            .collect(),
    }
}

impl Contrast {
    /// Whether there are too few runs on either side to tell anything.
    #[must_use]
    pub fn is_too_few(&self) -> bool {
        self.says.starts_with(TOO_FEW)
    }
}

fn contrast(
    stage: String,
    metric: Metric,
    (left, right): (&[f64], &[f64]),
    (chance, asked): (Option<f64>, usize),
) -> Contrast {
    let (a_median, b_median) = (stats::median(left), stats::median(right));
    let change = match (a_median, b_median) {
        (Some(a), Some(b)) if a != 0.0 => Some((b - a) / a),
        _ => None,
    };
    let counts = (left.len(), right.len());
    let says = says(counts, (a_median, b_median), chance, asked);
    Contrast {
        stage,
        metric,
        a_count: left.len(),
        b_count: right.len(),
        a_median,
        b_median,
        change,
        chance,
        says,
    }
}

/// `asked` is how many rows are compared at once: the more, the rarer a difference has to be, and the more runs it takes.
fn says(
    (a, b): (usize, usize),
    medians: (Option<f64>, Option<f64>),
    chance: Option<f64>,
    asked: usize,
) -> String {
    let Some(chance) = chance else {
        return "only one of them says it".to_owned();
    };
    let possible = |a: usize, b: usize| {
        let least = stats::least_chance(a, b);
        least.is_some_and(|it| it * stats::count(asked) < TOLD_BELOW)
    };
    // A row of many runs can be told beside rows of few, and by Holm's steps one whose runs would be too few for the
    // whole correction: what was told is said, however few they are.
    if chance >= TOLD_BELOW && !possible(a, b) {
        let enough = (1..=ENOUGH_MAX)
            .find(|n| possible(*n, *n))
            .unwrap_or(ENOUGH_MAX);
        let at_once = match asked {
            1 => String::new(),
            asked => format!(", as {asked} rows are compared at once"),
        };
        return format!(
            "{TOO_FEW} to tell any difference from chance: {enough} of each are the least{at_once}"
        );
    }
    let higher = match medians {
        (Some(a), Some(b)) if b > a => "higher",
        (Some(a), Some(b)) if b < a => "lower",
        _ => "spread otherwise",
    };
    match chance < TOLD_BELOW {
        true if chance < 0.001 => {
            format!("{higher}; chance alone would do it less than once in a thousand times")
        }
        true => format!("{higher}; chance alone would do it {chance:.3} of the time"),
        false => format!("no difference shown; chance alone would do it {chance:.2} of the time"),
    }
}
