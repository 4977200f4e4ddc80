//! The numbers of the dashboard: what the evidence cost, how long it took, how far agents agreed, and which of the sets of
//! models that were asked gives the same quality for the least money.
//!
//! Sets and not single models are held beside each other there: the quality of a stage is that of all who took part in it,
//! and models that always work together cannot be told apart by it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::moments::{day, moment};
use super::read::{Method, Observation, Source, Usage};
use super::stats;

/// Days over which the trend of cost is a mean.
const TREND_DAYS: usize = 7;
/// A difference in quality that chance would make more often than this is none that can be told.
const TOLD_BELOW: f64 = 0.05;
/// Stages of each set that are the least to compare: four of each is the first number that the test can tell, as 2 of
/// their 70 ways lie so far apart, and of three of each it would be 2 of 20.
const STAGES_MIN: usize = 4;

/// All of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Overview {
    /// Whether scripts answered, and no models.
    pub mock: bool,
    /// When the first stage ended.
    pub from: String,
    /// When the last did.
    pub to: String,
    /// Runs.
    pub runs: usize,
    /// Stages.
    pub stages: usize,
    /// USD of the stages whose cost is known; null where none is.
    pub cost_usd: Option<f64>,
    /// Stages whose cost is not known.
    pub cost_unknown: usize,
    /// Tokens of the stages that say them; null where none does.
    pub tokens: Option<f64>,
    /// Median of a stage, in milliseconds.
    pub latency_median_ms: Option<f64>,
    /// Share of stages that are `ok`.
    pub ok_share: Option<f64>,
    /// By day, in order.
    pub days: Vec<CostDay>,
    /// By stage.
    pub by_stage: Vec<StageHealth>,
    /// By model and reasoning mode.
    pub by_model: Vec<ModelUse>,
    /// Sets of models that were asked together.
    pub sets: Vec<ModelSet>,
    /// What follows from them.
    pub recommendation: Recommendation,
}

/// What a day cost.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CostDay {
    /// In UTC.
    pub day: String,
    /// USD.
    pub cost_usd: f64,
    /// Mean of this and the days before it that have a cost, seven at most.
    pub trend_usd: f64,
}

/// A stage: what it cost for what quality, and how far agents agreed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageHealth {
    /// Its name.
    pub stage: String,
    /// How often it ran.
    pub runs: usize,
    /// How often with each status.
    pub statuses: BTreeMap<String, usize>,
    /// USD, median.
    pub cost_median_usd: Option<f64>,
    /// 0 to 1, median.
    pub quality_median: Option<f64>,
    /// USD for one of a hundred points of quality, over the stages that say both.
    pub cost_per_quality_point_usd: Option<f64>,
    /// Agreement ratio, median.
    pub agreement_median: Option<f64>,
    /// Share of its consensus runs with a disagreement.
    pub disagreement_rate: Option<f64>,
    /// How often it was escalated.
    pub escalated: usize,
}

/// What a model used in a reasoning mode, as one of the agents or as their arbiter.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelUse {
    /// `provider/name`.
    pub model: String,
    /// Whether it judged the others' answers: what it is given then is longer, and is not held beside an answer.
    pub arbiter: bool,
    /// `minimal`, `medium`, `high`; null where nobody asked for one.
    pub reasoning_mode: Option<String>,
    /// Answers that it was asked for: one for each agent of a stage, retries included.
    pub answers: usize,
    /// Median of an answer, in milliseconds.
    pub latency_median_ms: Option<f64>,
    /// 95th percentile.
    pub latency_p95_ms: Option<f64>,
    /// Median of an answer.
    pub tokens_median: Option<f64>,
    /// USD, median of an answer.
    pub cost_median_usd: Option<f64>,
    /// Share of answers that counted.
    pub ok_share: Option<f64>,
}

/// Models that were asked together, an arbiter's included.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelSet {
    /// In alphabetical order.
    pub models: Vec<String>,
    /// One alone, or several.
    pub method: &'static str,
    /// Stages with cost and quality, of those that every set was asked about.
    pub stages: usize,
    /// USD of a stage, median.
    pub cost_median_usd: Option<f64>,
    /// 0 to 1, median.
    pub quality_median: Option<f64>,
}

/// What to take.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Recommendation {
    /// The set, by its place in the list; null where nothing can be said.
    pub set: Option<usize>,
    /// Why, or why not.
    pub says: String,
}

/// Puts the stages that `source` answered together; nothing where there are none.
#[must_use]
pub fn overview(observations: &[Observation], source: Source) -> Option<Overview> {
    let seen: Vec<&Observation> = observations
        .iter()
        .filter(|it| it.source() == source)
        .collect();
    let first = seen.iter().map(|it| it.at).min()?;
    let last = seen.iter().map(|it| it.at).max()?;
    let runs: BTreeSet<(&str, &str)> = seen
        .iter()
        .map(|it| (it.spec.as_str(), it.run.as_str()))
        .collect();
    let of = |number: fn(&Observation) -> Option<f64>| -> Vec<f64> {
        seen.iter().filter_map(|it| number(it)).collect()
    };
    let costs = of(|it| it.cost_usd);
    let ok = seen.iter().filter(|it| it.status == "ok").count();
    let (sets, recommendation) = sets(&seen);
    Some(Overview {
        mock: source == Source::Mock,
        from: moment(first),
        to: moment(last),
        runs: runs.len(),
        stages: seen.len(),
        cost_usd: sum(&costs),
        cost_unknown: seen.len() - costs.len(),
        tokens: sum(&of(|it| it.tokens)),
        latency_median_ms: stats::median(&of(|it| it.latency_ms)),
        ok_share: stats::share(ok, seen.len()),
        days: days(&seen),
        by_stage: by_stage(&seen),
        by_model: by_model(&seen),
        sets,
        recommendation,
    })
}

/// The sum; nothing of nothing.
fn sum(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum())
}

fn days(seen: &[&Observation]) -> Vec<CostDay> {
    let mut days: BTreeMap<String, f64> = BTreeMap::new();
    for it in seen {
        if let Some(cost) = it.cost_usd {
            *days.entry(day(it.at)).or_default() += cost;
        }
    }
    let costs: Vec<f64> = days.values().copied().collect();
    let places = days.into_iter().enumerate();
    places
        .map(|(at, (day, cost_usd))| {
            let lately = costs
                .iter()
                .take(at + 1)
                .skip((at + 1).saturating_sub(TREND_DAYS));
            let lately: Vec<f64> = lately.copied().collect();
            CostDay {
                day,
                cost_usd,
                trend_usd: stats::mean(&lately).unwrap_or(cost_usd),
            }
        })
        .collect()
}

fn by_stage(seen: &[&Observation]) -> Vec<StageHealth> {
    let mut stages: BTreeMap<&str, Vec<&Observation>> = BTreeMap::new();
    for it in seen {
        stages.entry(&it.stage).or_default().push(it);
    }
    stages
        .into_iter()
        .map(|(name, all)| health(name, &all))
        .collect()
}

fn health(name: &str, all: &[&Observation]) -> StageHealth {
    let of = |number: fn(&Observation) -> Option<f64>| -> Vec<f64> {
        all.iter().filter_map(|it| number(it)).collect()
    };
    let mut statuses = BTreeMap::new();
    for it in all {
        *statuses.entry(it.status.clone()).or_default() += 1;
    }
    let both = all
        .iter()
        .filter_map(|it| Some((it.cost_usd?, it.quality?)));
    let (cost, points) = both.fold((0.0, 0.0), |(cost, points), (more, quality)| {
        (cost + more, points + 100.0 * quality)
    });
    let asked: Vec<_> = all
        .iter()
        .filter(|it| it.method() != Some(Method::Single))
        .collect();
    let disagreed = asked.iter().filter(|it| it.disagreed).count();
    StageHealth {
        stage: name.to_owned(),
        runs: all.len(),
        statuses,
        cost_median_usd: stats::median(&of(|it| it.cost_usd)),
        quality_median: stats::median(&of(|it| it.quality)),
        cost_per_quality_point_usd: (points > 0.0).then(|| cost / points),
        agreement_median: stats::median(&of(|it| it.agreement_ratio)),
        disagreement_rate: stats::share(disagreed, asked.len()),
        escalated: all.iter().filter(|it| it.escalated).count(),
    }
}

fn by_model(seen: &[&Observation]) -> Vec<ModelUse> {
    let mut models: BTreeMap<(&str, bool, Option<&str>), Vec<&Usage>> = BTreeMap::new();
    for usage in seen.iter().flat_map(|it| &it.agents) {
        if let Some(model) = &usage.model {
            let key = (model.as_str(), usage.arbiter, usage.reasoning.as_deref());
            models.entry(key).or_default().push(usage);
        }
    }
    let uses = models
        .into_iter()
        .map(|((model, arbiter, reasoning), asked)| {
            let of = |number: fn(&Usage) -> Option<f64>| -> Vec<f64> {
                asked.iter().filter_map(|it| number(it)).collect()
            };
            let latencies = of(|it| it.latency_ms);
            let ok = asked.iter().filter(|it| it.ok).count();
            ModelUse {
                model: model.to_owned(),
                arbiter,
                reasoning_mode: reasoning.map(str::to_owned),
                answers: asked.len(),
                latency_median_ms: stats::median(&latencies),
                latency_p95_ms: stats::p95(&latencies),
                tokens_median: stats::median(&of(|it| it.tokens)),
                cost_median_usd: stats::median(&of(|it| it.cost_usd)),
                ok_share: stats::share(ok, asked.len()),
            }
        });
    uses.collect()
}

/// Cost and quality of each stage that a set was asked about.
type Asked<'o> = BTreeMap<Vec<&'o str>, Vec<(&'o Observation, f64, f64)>>;

fn sets(seen: &[&Observation]) -> (Vec<ModelSet>, Recommendation) {
    let mut asked: Asked<'_> = BTreeMap::new();
    for it in seen {
        let models: BTreeSet<&str> = it
            .agents
            .iter()
            .filter_map(|it| it.model.as_deref())
            .collect();
        let models: Vec<&str> = models.into_iter().collect();
        if let (false, Some(cost), Some(quality)) = (models.is_empty(), it.cost_usd, it.quality) {
            asked.entry(models).or_default().push((*it, cost, quality));
        }
    }
    // A set that was asked about cheap stages alone is not cheap.
    let names = asked.values().map(|stages| -> BTreeSet<&str> {
        stages.iter().map(|(it, ..)| it.stage.as_str()).collect()
    });
    let common: BTreeSet<&str> = names
        .reduce(|common, other| common.intersection(&other).copied().collect())
        .unwrap_or_default();
    for stages in asked.values_mut() {
        stages.retain(|(it, ..)| common.contains(it.stage.as_str()));
    }
    let numbers: Vec<Numbers> = asked
        .values()
        .map(|stages| Numbers {
            costs: stages.iter().map(|(_, cost, _)| *cost).collect(),
            qualities: stages.iter().map(|(.., quality)| *quality).collect(),
        })
        .collect();
    let recommendation = match (asked.len(), common.is_empty()) {
        (0, _) => nothing("no stage says both its cost and its quality"),
        (1, _) => nothing("only one set of models was asked, so nothing can be compared with it"),
        (_, true) => nothing("no stage was asked of every set of models"),
        _ => recommend(&numbers),
    };
    let sets = asked
        .iter()
        .zip(&numbers)
        .map(|((models, stages), numbers)| {
            let method = stages.first().and_then(|(it, ..)| it.method());
            ModelSet {
                models: models.iter().map(|it| (*it).to_owned()).collect(),
                method: method.map_or("", Method::word),
                stages: stages.len(),
                cost_median_usd: stats::median(&numbers.costs),
                quality_median: stats::median(&numbers.qualities),
            }
        });
    (sets.collect(), recommendation)
}

struct Numbers {
    costs: Vec<f64>,
    qualities: Vec<f64>,
}

fn nothing(why: &str) -> Recommendation {
    Recommendation {
        set: None,
        says: format!("Nothing can be recommended: {why}."),
    }
}

/// Whether a set costs less than each of these others by more than chance explains.
fn costs_less(cheapest: usize, others: &[usize], sets: &[Numbers]) -> bool {
    let Some(costs) = sets.get(cheapest).map(|it| &it.costs) else {
        debug_assert!(false, "it is one of the sets");
        return false;
    };
    let others = others.iter().filter(|at| **at != cheapest);
    let others = others.filter_map(|at| sets.get(*at));
    let mut chances: Vec<Option<f64>> = others.map(|it| stats::chance(costs, &it.costs)).collect();
    stats::holm(&mut chances);
    chances
        .iter()
        .all(|it| it.is_some_and(|chance| chance < TOLD_BELOW))
}

/// Of the sets whose quality chance alone could have parted from the best's, the one that costs least, where that is
/// more than chance as well.
fn recommend(sets: &[Numbers]) -> Recommendation {
    if sets.iter().any(|it| it.costs.len() < STAGES_MIN) {
        return nothing(&format!(
            "a set was asked about fewer than {STAGES_MIN} stages that every set was asked about"
        ));
    }
    let quality = |at: usize| sets.get(at).and_then(|it| stats::median(&it.qualities));
    let cost = |at: usize| sets.get(at).and_then(|it| stats::median(&it.costs));
    let ordered = |a: Option<f64>, b: Option<f64>| {
        let (a, b) = (a.unwrap_or(f64::NAN), b.unwrap_or(f64::NAN));
        a.total_cmp(&b)
    };
    let best = (0..sets.len()).max_by(|a, b| ordered(quality(*a), quality(*b)));
    let Some(best_qualities) = best.and_then(|at| sets.get(at)).map(|it| &it.qualities) else {
        return nothing("no set of models was asked");
    };
    let mut chances: Vec<Option<f64>> = sets
        .iter()
        .enumerate()
        .map(|(at, it)| {
            let other = Some(at) != best;
            stats::chance(&it.qualities, best_qualities).filter(|_| other)
        })
        .collect();
    // Where the numbers could not tell any difference, that none is shown says nothing, and the cheapest set would win
    // however bad it is. The more sets are held against the best at once, the more stages of each it takes.
    let asked = chances.iter().flatten().count();
    let can_tell = |it: &Numbers| {
        let least = stats::least_chance(it.qualities.len(), best_qualities.len());
        least.is_some_and(|least| least * stats::count(asked) < TOLD_BELOW)
    };
    let mut others = sets.iter().enumerate().filter(|(at, _)| Some(*at) != best);
    if !others.all(|(_, it)| can_tell(it)) {
        return nothing(&format!(
            "with {} sets beside each other, one of them has too few stages to tell a difference in quality from chance",
            sets.len()
        ));
    }
    stats::holm(&mut chances);
    let as_good = chances
        .iter()
        .enumerate()
        .filter(|(at, chance)| Some(*at) == best || chance.is_some_and(|it| it >= TOLD_BELOW));
    let as_good: Vec<usize> = as_good.map(|(at, _)| at).collect();
    let cheapest = as_good
        .iter()
        .copied()
        .min_by(|a, b| ordered(cost(*a), cost(*b)));
    let numbers: Vec<String> = as_good.iter().map(|at| (at + 1).to_string()).collect();
    // A median that is lower by less than chance explains is no reason to change anything.
    if let Some(at) = cheapest
        && !costs_less(at, &as_good, sets)
    {
        return nothing(&format!(
            "between the sets {} no difference in quality is shown, and none in what the cheapest of them costs",
            numbers.join(", ")
        ));
    }
    let says = match (cheapest, as_good.as_slice()) {
        (Some(at), [_]) => format!(
            "Set {}: its quality is higher than every other's by more than chance explains.",
            at + 1
        ),
        (Some(at), _) => format!(
            "Set {}: no difference in quality is shown between the sets {}, and it costs least of them.",
            at + 1,
            numbers.join(", ")
        ),
        (None, _) => return nothing("no set of models was asked"),
    };
    Recommendation {
        set: cheapest,
        says,
    }
}
