//! Adoption: how many runs a week there are, how long they take and what becomes of them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use time::{Duration, OffsetDateTime};

use super::moments::{day, monday};
use super::read::{Observation, Source};
use super::stats;

/// Runs a week that are wanted where nobody says otherwise.
pub const TARGET: usize = 5;
/// Weeks that are looked back where nobody says otherwise.
pub const WEEKS: u16 = 4;

/// Some weeks.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Adoption {
    /// Whether scripts answered, and no models.
    pub mock: bool,
    /// Runs a week that are wanted.
    pub target: usize,
    /// The oldest first, the one that is not over last; weeks without a run too.
    pub weeks: Vec<Week>,
    /// Stages that ended after `now`: the clock of whoever wrote them differs from this machine's.
    pub from_the_future: usize,
}

/// A week, from Monday on, in UTC.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Week {
    /// Its Monday.
    pub monday: String,
    /// Whether it is over.
    pub is_over: bool,
    /// Runs whose last stage ended in it.
    pub runs: usize,
    /// Whether there are as many as are wanted; null while it is not over and they are not.
    pub met: Option<bool>,
    /// The 95th percentile of a run's stages together, in milliseconds.
    pub latency_p95_ms: Option<f64>,
    /// Runs by the worst of their stages: `ok`, `degraded`, `conflict`, `missing`.
    pub outcomes: BTreeMap<String, usize>,
}

/// A run, put together from its stages.
#[derive(Debug, Default)]
struct Run {
    ended: Option<OffsetDateTime>,
    latency_ms: Option<f64>,
    outcome: &'static str,
}

/// From the best to the worst.
const OUTCOMES: [&str; 4] = ["ok", "degraded", "conflict", "missing"];

/// The last `weeks` weeks before `now`, of what `source` answered.
#[must_use]
pub fn adoption(
    observations: &[Observation],
    source: Source,
    now: OffsetDateTime,
    weeks: u16,
    target: usize,
) -> Adoption {
    let mut runs: BTreeMap<(&str, &str), Run> = BTreeMap::new();
    let mut from_the_future = 0;
    for stage in observations.iter().filter(|it| it.source() == source) {
        if stage.at > now {
            from_the_future += 1;
            continue;
        }
        let run = runs
            .entry((stage.spec.as_str(), stage.run.as_str()))
            .or_default();
        run.ended = run.ended.max(Some(stage.at));
        if let Some(latency) = stage.latency_ms {
            *run.latency_ms.get_or_insert(0.0) += latency;
        }
        let rank = |word: &str| OUTCOMES.iter().position(|it| *it == word);
        // The schema of telemetry knows no other word.
        let worst = rank(&stage.status).max(rank(run.outcome));
        run.outcome = worst.and_then(|at| OUTCOMES.get(at)).copied().unwrap_or("");
    }
    let this = monday(now);
    let back = (0..weeks).rev();
    let weeks = back.filter_map(|back| {
        let from = this.checked_sub(Duration::weeks(i64::from(back)))?;
        Some(week(&runs, from, back > 0, target))
    });
    Adoption {
        mock: source == Source::Mock,
        target,
        weeks: weeks.collect(),
        from_the_future,
    }
}

fn week(
    runs: &BTreeMap<(&str, &str), Run>,
    from: OffsetDateTime,
    is_over: bool,
    target: usize,
) -> Week {
    let within = |at: OffsetDateTime| at >= from && at - from < Duration::WEEK;
    let runs: Vec<&Run> = runs
        .values()
        .filter(|run| run.ended.is_some_and(within))
        .collect();
    let latencies: Vec<f64> = runs.iter().filter_map(|run| run.latency_ms).collect();
    let words: BTreeSet<&str> = runs.iter().map(|run| run.outcome).collect();
    let outcomes = words.into_iter().map(|word| {
        let count = runs.iter().filter(|run| run.outcome == word).count();
        (word.to_owned(), count)
    });
    let enough = runs.len() >= target;
    Week {
        monday: day(from),
        is_over,
        runs: runs.len(),
        met: (is_over || enough).then_some(enough),
        latency_p95_ms: stats::p95(&latencies),
        outcomes: outcomes.collect(),
    }
}
