//! Alerts: what of the evidence a person should look at, and what to do about it.
//!
//! Stages are taken in the order in which they ended, and each is judged by what was there before it and by nothing
//! later, so that a playback over old evidence raises what would have been raised then. The same evidence always raises
//! the same alerts, with the same ids. Must never judge what scripts answered by what models answered.

mod rules;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use flowhost_words::filled;
use serde::Serialize;
use time::{Duration, OffsetDateTime};

use super::moments::{day, moment};
use super::read::{Method, Observation, Source};
use super::stats;

pub use rules::{DisagreementRate, Escalations, FailedChecks, Rules, StageCost, Unusable, Version};

/// What an alert is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// A stage cost far more than it used to.
    StageCost,
    /// Agents disagree in most stages.
    DisagreementRate,
    /// Too many checks of a run did not hold.
    FailedChecks,
    /// A spec is escalated again and again.
    Escalations,
}

impl Rule {
    /// Every rule.
    pub const ALL: &[Self] = &[
        Self::StageCost,
        Self::DisagreementRate,
        Self::FailedChecks,
        Self::Escalations,
    ];

    /// Its table in the file of rules.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::StageCost => "stage_cost",
            Self::DisagreementRate => "disagreement_rate",
            Self::FailedChecks => "failed_checks",
            Self::Escalations => "escalations",
        }
    }

    /// What to do about it; the runbook has more.
    #[must_use]
    pub const fn guidance(self) -> &'static str {
        match self {
            Self::StageCost => {
                "look which agent used more: `flowhost telemetry report --metric tokens --group-by model`; a longer prompt, \
                 retries or another model are the usual reasons"
            }
            Self::DisagreementRate => {
                "look what they disagree about: `flowhost telemetry disagreements`; a prompt that leaves a decision open is \
                 the usual reason, else one model that does not fit the work"
            }
            Self::FailedChecks => {
                "start no other run of the plan before its checks hold: `flowhost runs show RUN` names those that failed"
            }
            Self::Escalations => {
                "a person should read the spec's last syntheses before it runs again: the spec itself may contradict itself"
            }
        }
    }
}

/// Something to look at.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Alert {
    /// The same for the same finding, however often it is looked for.
    pub id: String,
    /// What it is about.
    pub rule: Rule,
    /// When the stage ended that raised it.
    #[serde(serialize_with = "as_moment")]
    pub at: OffsetDateTime,
    /// Its spec.
    pub spec: String,
    /// Its stage.
    pub stage: String,
    /// Its run.
    pub run: String,
    /// Whether scripts answered, and no models.
    pub mock: bool,
    /// What was found.
    pub value: f64,
    /// What it is more than.
    pub over: f64,
    /// Whether nothing should run on before somebody has looked.
    pub halts: bool,
    /// In words.
    pub says: String,
    /// What to do.
    pub guidance: String,
}

fn as_moment<S: serde::Serializer>(at: &OffsetDateTime, into: S) -> Result<S::Ok, S::Error> {
    into.serialize_str(&moment(*at))
}

/// Raises what `source`'s stages give reason for, in the order in which they ended.
#[must_use]
pub fn alerts(observations: &[Observation], rules: &Rules, source: Source) -> Vec<Alert> {
    let mut stages: Vec<&Observation> = observations
        .iter()
        .filter(|it| it.source() == source)
        .collect();
    // Names decide between equal times, so that the order of files does not.
    stages.sort_by(|a, b| (a.at, &a.run, &a.stage).cmp(&(b.at, &b.run, &b.stage)));
    let mut watch = Watch::new(rules);
    for stage in stages {
        watch.see(stage);
    }
    watch.raised
}

/// What was seen so far, as far as a rule asks for it.
struct Watch<'r, 'o> {
    rules: &'r Rules,
    /// Of each stage under each routing profile, in order of size.
    costs: BTreeMap<(&'o str, Option<&'o str>), Vec<f64>>,
    /// Whether the last consensus stages had something to disagree about.
    disagreed: VecDeque<bool>,
    /// Whether their share was too high when it was looked at last: an alert is raised when that begins.
    too_many_disagree: bool,
    failed_checks: BTreeMap<&'o str, f64>,
    runs_told: BTreeSet<&'o str>,
    escalations: BTreeMap<&'o str, VecDeque<OffsetDateTime>>,
    specs_told: BTreeSet<&'o str>,
    raised: Vec<Alert>,
}

impl<'r, 'o> Watch<'r, 'o> {
    const fn new(rules: &'r Rules) -> Self {
        Self {
            rules,
            costs: BTreeMap::new(),
            disagreed: VecDeque::new(),
            too_many_disagree: false,
            failed_checks: BTreeMap::new(),
            runs_told: BTreeSet::new(),
            escalations: BTreeMap::new(),
            specs_told: BTreeSet::new(),
            raised: Vec::new(),
        }
    }

    fn see(&mut self, stage: &'o Observation) {
        self.cost(stage);
        self.disagreement(stage);
        self.checks(stage);
        self.escalation(stage);
    }

    fn cost(&mut self, stage: &'o Observation) {
        // What it cost is not known, and nothing can be said of it.
        let Some(cost) = stage.cost_usd else { return };
        let key = (stage.stage.as_str(), stage.profile.as_deref());
        let before = self.costs.entry(key).or_default();
        let usual = stats::p95_of_sorted(before);
        let earlier = before.len();
        // Kept in order of size, so that the percentile is looked up and not sorted for at each stage.
        let place = before.partition_point(|it| it.total_cmp(&cost).is_lt());
        before.insert(place, cost);
        let StageCost {
            factor,
            history_min,
        } = self.rules.stage_cost;
        // What used to be free has no percentile to be a multiple of.
        let Some(usual) = usual.filter(|it| *it > 0.0 && earlier >= history_min) else {
            return;
        };
        let over = factor * usual;
        if cost > over {
            let says = format!(
                "{} of {} cost {cost:.6} USD, more than {factor} × {usual:.6}, which 95 of 100 of its {earlier} earlier runs \
                 did not exceed",
                stage.stage, stage.spec
            );
            self.raise(Rule::StageCost, stage, (cost, over), says);
        }
    }

    fn disagreement(&mut self, stage: &Observation) {
        if stage.method() == Some(Method::Single) {
            return;
        }
        let DisagreementRate {
            over,
            window,
            stages_min,
        } = self.rules.disagreement_rate;
        self.disagreed.push_back(stage.disagreed);
        while self.disagreed.len() > window {
            self.disagreed.pop_front();
        }
        let (looked_at, with) = (
            self.disagreed.len(),
            self.disagreed.iter().filter(|it| **it).count(),
        );
        let rate = stats::share(with, looked_at).filter(|_| looked_at >= stages_min);
        // Of so few stages the share says nothing yet.
        let Some(rate) = rate else { return };
        let too_many = rate > over;
        if too_many && !std::mem::replace(&mut self.too_many_disagree, too_many) {
            let says =
                format!("agents disagreed in {with} of the last {looked_at} consensus stages");
            self.raise(Rule::DisagreementRate, stage, (rate, over), says);
        }
        self.too_many_disagree = too_many;
    }

    fn checks(&mut self, stage: &'o Observation) {
        let over = stats::count(self.rules.failed_checks.over);
        let failed = self.failed_checks.entry(&stage.run).or_default();
        *failed += stage.checks_failed.unwrap_or(0.0);
        let failed = *failed;
        if failed > over && self.runs_told.insert(&stage.run) {
            let says = format!("{failed} checks of one run did not hold");
            self.raise(Rule::FailedChecks, stage, (failed, over), says);
        }
    }

    fn escalation(&mut self, stage: &'o Observation) {
        if !stage.escalated {
            return;
        }
        let Escalations { over, days } = self.rules.escalations;
        let lately = self.escalations.entry(&stage.spec).or_default();
        lately.push_back(stage.at);
        let since = stage.at.checked_sub(Duration::days(i64::from(days)));
        while lately
            .front()
            .is_some_and(|at| since.is_some_and(|since| *at < since))
        {
            lately.pop_front();
        }
        let count = lately.len();
        if count <= over {
            self.specs_told.remove(stage.spec.as_str());
        } else if self.specs_told.insert(&stage.spec) {
            let says = format!(
                "{count} stages of {} were escalated within {days} days",
                stage.spec
            );
            let (value, over) = (stats::count(count), stats::count(over));
            self.raise(Rule::Escalations, stage, (value, over), says);
        }
    }

    fn raise(&mut self, rule: Rule, stage: &Observation, (value, over): (f64, f64), says: String) {
        let (spec, name, run) = (&stage.spec, &stage.stage, &stage.run);
        self.raised.push(Alert {
            id: format!("{}/{spec}/{name}/{run}/{}", rule.word(), moment(stage.at)),
            rule,
            at: stage.at,
            spec: spec.clone(),
            stage: name.clone(),
            run: run.clone(),
            mock: stage.source() == Source::Mock,
            value,
            over,
            halts: rule == Rule::FailedChecks,
            says,
            guidance: filled(rule.guidance(), "RUN", run),
        });
    }
}

/// A day of evidence with its alerts.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Day {
    /// In UTC.
    pub day: String,
    /// Runs that ended a stage on it.
    pub runs: usize,
    /// Stages that ended.
    pub stages: usize,
    /// Those that are `ok`.
    pub ok: usize,
    /// Consensus stages with something to disagree about.
    pub disagreed: usize,
    /// Stages that were escalated.
    pub escalated: usize,
    /// USD of the stages whose cost is known; null where none is.
    pub cost_usd: Option<f64>,
    /// Alerts by rule.
    pub alerts: BTreeMap<&'static str, usize>,
}

/// Puts stages and alerts together by day, in order.
#[must_use]
pub fn days(observations: &[Observation], raised: &[Alert], source: Source) -> Vec<Day> {
    let mut days: BTreeMap<String, (Day, BTreeSet<&str>)> = BTreeMap::new();
    for stage in observations.iter().filter(|it| it.source() == source) {
        let (entry, runs) = days.entry(day(stage.at)).or_default();
        runs.insert(&stage.run);
        entry.stages += 1;
        entry.ok += usize::from(stage.status == "ok");
        entry.disagreed += usize::from(stage.disagreed);
        entry.escalated += usize::from(stage.escalated);
        if let Some(cost) = stage.cost_usd {
            *entry.cost_usd.get_or_insert(0.0) += cost;
        }
    }
    for alert in raised {
        let (entry, _) = days.entry(day(alert.at)).or_default();
        *entry.alerts.entry(alert.rule.word()).or_default() += 1;
    }
    days.into_iter()
        .map(|(day, (entry, runs))| Day {
            day,
            runs: runs.len(),
            ..entry
        })
        .collect()
}

#[cfg(test)]
mod tests;
