//! A metric over what was observed, by group.

use std::collections::BTreeMap;

use serde::Serialize;
use time::OffsetDateTime;

use super::moments::day;
use super::read::{Observation, Source};
use super::stats;

macro_rules! words {
    ($(#[doc = $about:literal])+ $name:ident { $($(#[doc = $doc:literal])+ $variant:ident $word:literal,)* }) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
        #[serde(rename_all = "lowercase")]
        pub enum $name { $($(#[doc = $doc])+ $variant,)* }

        impl $name {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// As it is typed and printed.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// The one of this word.
            #[must_use]
            pub fn of_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|it| it.word() == word)
            }

            /// What it is, in a line.
            #[must_use]
            pub fn about(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim(),)* }
            }
        }
    };
}

words! {
    /// What is looked at.
    Metric {
        /// USD of a stage.
        Cost "cost",
        /// Tokens of a stage.
        Tokens "tokens",
        /// Milliseconds of a stage.
        Latency "latency",
        /// 0 to 1: a person's score, else completeness, else the share of checks that passed.
        Quality "quality",
        /// 1 − agreement ratio: 0 is agreement in all points.
        Disagreements "disagreements",
    }
}

words! {
    /// What observations are put together by.
    GroupBy {
        /// plan, tasks, …
        Stage "stage",
        /// Each agent's model, an arbiter's apart; what it used, and not what its stage did.
        Model "model",
        /// The spec's id.
        Spec "spec",
        /// The plan's label `run_profile`.
        Profile "profile",
        /// The day in UTC.
        Day "day",
    }
}

impl Metric {
    /// What its numbers are in.
    #[must_use]
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Cost => "USD",
            Self::Tokens => "tokens",
            Self::Latency => "ms",
            Self::Quality | Self::Disagreements => "0 to 1",
        }
    }

    /// Of a whole stage.
    #[must_use]
    pub fn of(self, seen: &Observation) -> Option<f64> {
        match self {
            Self::Cost => seen.cost_usd,
            Self::Tokens => seen.tokens,
            Self::Latency => seen.latency_ms,
            Self::Quality => seen.quality,
            Self::Disagreements => seen.agreement_ratio.map(|ratio| 1.0 - ratio),
        }
    }
}

/// A table: one row a group, in the order of their names.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// What was looked at.
    pub metric: Metric,
    /// What its numbers are in.
    pub unit: &'static str,
    /// What they were put together by.
    pub group_by: GroupBy,
    /// Whether scripts answered, and no models.
    pub mock: bool,
    /// Observations that do not say this number.
    pub unknown: usize,
    /// The groups.
    pub rows: Vec<Row>,
}

/// A group.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Its name.
    pub group: String,
    /// How many numbers it has.
    pub count: usize,
    /// All together: of cost and tokens, where a sum means something.
    pub total: Option<f64>,
    /// The mean.
    pub mean: Option<f64>,
    /// The median.
    pub median: Option<f64>,
    /// The number that 95 of 100 are not above.
    pub p95: Option<f64>,
    /// Runs whose number stands apart from the others.
    pub outliers: Vec<String>,
}

/// Puts a metric together by group, of what `source` answered between two times.
#[must_use]
pub fn report(
    observations: &[Observation],
    metric: Metric,
    group_by: GroupBy,
    source: Source,
    (since, until): (Option<OffsetDateTime>, Option<OffsetDateTime>),
) -> Report {
    let within = |seen: &&Observation| {
        since.is_none_or(|it| seen.at >= it)
            && until.is_none_or(|it| seen.at < it)
            && seen.source() == source
    };
    let mut groups: BTreeMap<String, Vec<(f64, &str)>> = BTreeMap::new();
    let mut unknown = 0;
    for seen in observations.iter().filter(within) {
        for (group, value) in numbers(seen, metric, group_by) {
            match value {
                Some(value) => groups.entry(group).or_default().push((value, &seen.run)),
                None => unknown += 1,
            }
        }
    }
    let summed = matches!(metric, Metric::Cost | Metric::Tokens);
    let rows = groups.into_iter().map(|(group, numbers)| {
        let values: Vec<f64> = numbers.iter().map(|(value, _)| *value).collect();
        let apart = stats::outliers(&values).into_iter();
        let run = |at: usize| numbers.get(at).map(|(_, run)| (*run).to_owned());
        Row {
            group,
            count: values.len(),
            total: summed.then(|| values.iter().sum()),
            mean: stats::mean(&values),
            median: stats::median(&values),
            p95: stats::p95(&values),
            outliers: apart.filter_map(run).collect(),
        }
    });
    Report {
        metric,
        unit: metric.unit(),
        group_by,
        mock: source == Source::Mock,
        unknown,
        rows: rows.collect(),
    }
}

/// The numbers of an observation with the group that each belongs to.
fn numbers(seen: &Observation, metric: Metric, group_by: GroupBy) -> Vec<(String, Option<f64>)> {
    let group = match group_by {
        GroupBy::Stage => seen.stage.clone(),
        GroupBy::Spec => seen.spec.clone(),
        GroupBy::Profile => seen.profile.clone().unwrap_or_else(|| "(none)".to_owned()),
        GroupBy::Day => day(seen.at),
        GroupBy::Model => {
            let named = seen.agents.iter().filter_map(|agent| {
                let value = match metric {
                    Metric::Cost => agent.cost_usd,
                    Metric::Tokens => agent.tokens,
                    Metric::Latency => agent.latency_ms,
                    // What came of a stage belongs to all that took part in it.
                    Metric::Quality | Metric::Disagreements => metric.of(seen),
                };
                let model = agent.model.clone()?;
                // What an arbiter is given is all that the others said: as dear again as an answer, and none.
                let group = match agent.arbiter {
                    true => format!("{model} (arbiter)"),
                    false => model,
                };
                Some((group, value))
            });
            return named.collect();
        }
    };
    vec![(group, metric.of(seen))]
}
