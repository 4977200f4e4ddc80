//! What alerts are raised by, and how often without a reason.
//!
//! The labelled set is made here, by a generator that knows nothing of the thresholds: it draws ordinary runs with noise
//! and outliers that mean nothing, puts faults into some of them, and says into which.

use proptest::prelude::*;

use super::*;
use crate::analysis::read::Usage;

/// Where the labelled sets begin; the thresholds were chosen without looking at what they are.
const SEED: u64 = 0x5eed_2026_1126;
/// Runs of one set.
const RUNS: usize = 200;
/// Sets: one alone could be a lucky one.
const SETS: u64 = 10;
const STAGES: [&str; 3] = ["plan", "tasks", "validate"];
const SPECS: [&str; 4] = ["S-1", "S-2", "S-3", "S-4"];

/// 2026-10-01T00:00:00Z.
fn october() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_790_812_800).unwrap()
}

fn usage(agent: &str) -> Usage {
    Usage {
        agent: agent.to_owned(),
        arbiter: false,
        model: Some(format!("local/{agent}")),
        mocked: false,
        reasoning: None,
        ok: true,
        tokens: Some(1_000.0),
        cost_usd: None,
        latency_ms: Some(100.0),
    }
}

fn stage(run: usize, name: &str, spec: &str) -> Observation {
    let minutes = i64::try_from(run * 180).unwrap();
    Observation {
        spec: spec.to_owned(),
        stage: name.to_owned(),
        profile: Some("premium-tier".to_owned()),
        run: format!("run-{run:04}"),
        at: october() + Duration::minutes(minutes),
        status: "ok".to_owned(),
        agreement_ratio: Some(1.0),
        disagreed: false,
        tokens: Some(3_000.0),
        cost_usd: Some(0.1),
        latency_ms: Some(300.0),
        quality: Some(1.0),
        checks_failed: Some(0.0),
        escalated: false,
        agents: vec![usage("ann"), usage("bob")],
    }
}

/// SplitMix64 (Steele, Lea and Flood 2014): the same numbers on every machine.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to below 1.
    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn happens(&mut self, share: f64) -> bool {
        self.share() < share
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// About normal, with mean 0 and deviation 1: twelve uniform ones, less their mean.
    fn noise(&mut self) -> f64 {
        (0..12).map(|_| self.share()).sum::<f64>() - 6.0
    }
}

/// Runs, and which faults were put into which.
fn labelled(seed: u64) -> (Vec<Observation>, BTreeSet<(String, Rule)>) {
    let mut chance = Chance(seed);
    let (mut stages, mut labels) = (Vec::new(), BTreeSet::new());
    // Ten runs in a row in which hardly anybody agrees, and a spec that is escalated in three runs in a row.
    let quarrel = 100 + chance.below(60);
    let stuck = 40 + chance.below(40);
    for run in 0..RUNS {
        let spec = SPECS[chance.below(SPECS.len())];
        let costly = chance.happens(0.06).then(|| chance.below(STAGES.len()));
        let failing = chance.happens(0.04).then(|| chance.below(STAGES.len()));
        let quarrels = (quarrel..quarrel + 10).contains(&run);
        let is_stuck = (stuck..stuck + 3).contains(&run);
        for (at, name) in STAGES.iter().enumerate() {
            let mut it = stage(run, name, if is_stuck { SPECS[0] } else { spec });
            it.at += Duration::minutes(10 * at as i64);
            let usual = [0.4, 0.2, 0.1][at] * (0.15 * chance.noise()).exp();
            // A long answer now and then is nothing to look at.
            let long = if chance.happens(0.03) {
                1.0 + 0.35 * chance.share()
            } else {
                1.0
            };
            let fault = if costly == Some(at) {
                3.0 + 2.0 * chance.share()
            } else {
                1.0
            };
            it.cost_usd = Some(usual * long * fault);
            it.disagreed = chance.happens(if quarrels { 0.95 } else { 0.15 });
            it.escalated = is_stuck || chance.happens(0.02);
            let flaky = if chance.happens(0.08) { 1 } else { 0 };
            let broken = if failing == Some(at) {
                4 + chance.below(4)
            } else {
                0
            };
            it.checks_failed = Some((flaky + broken) as f64);
            let faults = [
                (costly == Some(at), Rule::StageCost),
                (failing == Some(at), Rule::FailedChecks),
                (quarrels, Rule::DisagreementRate),
                (is_stuck, Rule::Escalations),
            ];
            for (_, rule) in faults.iter().filter(|(there, _)| *there) {
                labels.insert((it.run.clone(), *rule));
            }
            stages.push(it);
        }
    }
    (stages, labels)
}

#[test]
fn fewer_than_five_of_a_hundred_ordinary_runs_raise_an_alert_and_hardly_a_fault_is_missed() {
    let (mut ordinary, mut false_alarms) = (0, 0);
    let (mut faults, mut found) = (0, 0);
    for set in 0..SETS {
        let (stages, labels) = labelled(SEED + set);
        let raised = alerts(&stages, &Rules::default(), Source::Model);
        let runs: BTreeSet<&str> = stages.iter().map(|it| it.run.as_str()).collect();
        let told: BTreeSet<(String, Rule)> =
            raised.iter().map(|it| (it.run.clone(), it.rule)).collect();
        for run in runs {
            if labels.iter().any(|(labelled, _)| labelled == run) {
                continue;
            }
            ordinary += 1;
            false_alarms += usize::from(told.iter().any(|(of, _)| of == run));
        }
        // A row of runs with one fault is one fault: it is told when it is first seen to be one.
        for rule in Rule::ALL {
            let of_rule: Vec<_> = labels.iter().filter(|(_, it)| it == rule).collect();
            let hit = of_rule.iter().filter(|it| told.contains(**it)).count();
            match rule {
                Rule::StageCost | Rule::FailedChecks => {
                    faults += of_rule.len();
                    found += hit;
                }
                Rule::DisagreementRate | Rule::Escalations => {
                    faults += 1;
                    found += usize::from(hit > 0);
                }
            }
        }
    }
    assert!(ordinary > 1_500 && faults > 150, "{ordinary} {faults}");
    let rate = false_alarms as f64 / ordinary as f64;
    assert!(rate < 0.05, "{false_alarms} of {ordinary} ordinary runs");
    assert!(
        found as f64 / faults as f64 > 0.9,
        "{found} of {faults} faults"
    );
}

#[test]
fn rules_that_are_too_sharp_or_too_blunt_fail_the_same_set() {
    let (stages, labels) = labelled(SEED);
    let mut sharp = Rules::default();
    sharp.stage_cost.factor = 1.0;
    let raised = alerts(&stages, &sharp, Source::Model);
    let wrong = raised
        .iter()
        .filter(|it| !labels.contains(&(it.run.clone(), it.rule)));
    assert!(wrong.count() > RUNS / 20, "{}", raised.len());
    let mut blunt = Rules::default();
    blunt.stage_cost.factor = 10.0;
    let raised = alerts(&stages, &blunt, Source::Model);
    assert!(raised.iter().all(|it| it.rule != Rule::StageCost));
}

#[test]
fn a_threshold_is_reached_without_an_alert_and_passed_with_one() {
    let rules = Rules::default();
    let failing = |failed: [f64; 2]| {
        let mut two = [stage(0, "plan", "S"), stage(0, "tasks", "S")];
        for (it, failed) in two.iter_mut().zip(failed) {
            it.checks_failed = Some(failed);
        }
        alerts(&two, &rules, Source::Model)
    };
    assert!(failing([2.0, 1.0]).is_empty());
    let raised = failing([2.0, 2.0]);
    assert_eq!(raised.len(), 1, "{raised:?}");
    assert_eq!(
        (raised[0].rule, raised[0].halts),
        (Rule::FailedChecks, true)
    );
    assert_eq!((raised[0].value, raised[0].over), (4.0, 3.0));
    assert_eq!(raised[0].stage, "tasks");

    let costing = |last: f64| {
        let mut all: Vec<_> = (0..6).map(|run| stage(run, "plan", "S")).collect();
        all[5].cost_usd = Some(last);
        alerts(&all, &rules, Source::Model).len()
    };
    assert_eq!((costing(0.15), costing(0.151)), (0, 1));
    let mut few: Vec<_> = (0..5).map(|run| stage(run, "plan", "S")).collect();
    few[4].cost_usd = Some(9.0);
    assert!(
        alerts(&few, &rules, Source::Model).is_empty(),
        "four earlier runs say nothing"
    );

    let escalated = |days: i64| {
        let mut all: Vec<_> = (0..4).map(|run| stage(run, "plan", "S")).collect();
        for (at, it) in all.iter_mut().enumerate() {
            it.escalated = true;
            it.at = october() + Duration::days(days * at as i64);
        }
        alerts(&all, &rules, Source::Model).len()
    };
    assert_eq!((escalated(1), escalated(3)), (1, 0));

    let quarrelling = |with: usize| {
        let mut all: Vec<_> = (0..10).map(|run| stage(run, "plan", "S")).collect();
        for it in all.iter_mut().take(with) {
            it.disagreed = true;
        }
        alerts(&all, &rules, Source::Model).len()
    };
    assert_eq!((quarrelling(5), quarrelling(6)), (0, 1));
}

#[test]
fn what_scripts_answered_is_judged_by_what_scripts_answered() {
    let mut all: Vec<_> = (0..6).map(|run| stage(run, "plan", "S")).collect();
    all[5].cost_usd = Some(5.0);
    for it in all.iter_mut().take(5) {
        it.agents[0].mocked = true;
    }
    let rules = Rules::default();
    assert!(alerts(&all, &rules, Source::Model).is_empty());
    assert!(alerts(&all, &rules, Source::Mock).is_empty());
}

#[test]
fn a_day_has_its_stages_and_its_alerts() {
    let mut all: Vec<_> = (0..6).map(|run| stage(run, "plan", "S")).collect();
    all[5].cost_usd = Some(5.0);
    all[4].cost_usd = None;
    all[3].status = "conflict".to_owned();
    let raised = alerts(&all, &Rules::default(), Source::Model);
    let days = days(&all, &raised, Source::Model);
    assert_eq!(days.len(), 1);
    let day = &days[0];
    assert_eq!((day.runs, day.stages, day.ok), (6, 6, 5));
    // Four that are known lie before it, and the least is five.
    assert!(day.alerts.is_empty(), "{day:?}");
    let cost = day.cost_usd.unwrap();
    assert!((cost - 5.4).abs() < 1e-9, "{cost}");
}

#[test]
fn values_that_could_raise_nothing_or_everything_are_named() {
    assert_eq!(Rules::default().unusable(), []);
    let mut rules = Rules {
        version: Version(2),
        ..Rules::default()
    };
    rules.stage_cost.factor = f64::NAN;
    rules.disagreement_rate.stages_min = 21;
    rules.escalations.days = 0;
    let keys: Vec<&str> = rules.unusable().iter().map(|it| it.key).collect();
    assert_eq!(keys, ["version", "factor", "stages_min", "days"]);
}

proptest! {
    /// The files of a folder come in any order, and later evidence changes nothing about what was raised before.
    #[test]
    fn the_order_of_files_and_what_comes_later_change_no_alert(seed in any::<u64>(), cut in 0..RUNS) {
        let (stages, _) = labelled(seed);
        let rules = Rules::default();
        let all = alerts(&stages, &rules, Source::Model);
        let mut turned = stages.clone();
        turned.reverse();
        prop_assert_eq!(&alerts(&turned, &rules, Source::Model), &all);
        let before: Vec<_> = stages.iter().take(3 * cut).cloned().collect();
        let raised = alerts(&before, &rules, Source::Model);
        prop_assert_eq!(raised.as_slice(), &all[..raised.len()]);
    }
}
