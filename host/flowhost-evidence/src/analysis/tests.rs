//! What may be said of many runs: the figures of textbooks, what must never be put together, and what is left open.

use proptest::prelude::*;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::stats::{chance, holm, least_chance, median, outliers, p95, spread};
use super::*;

fn line(run: u32, stage: &str, profile: &str, cost: f64, model: &str) -> String {
    let agent = json!({
        "agent": "ann", "role": "agent", "rule": "arbiter", "model_id": model, "model_release": "m", "reasoning_mode": null,
        "output_path": null, "latency_ms": 5, "prompt_tokens": 10, "completion_tokens": 5, "reasoning_tokens": 0, "total_tokens": 15,
        "cache_hit": false, "cost_usd": cost, "status": "ok", "error": null, "attempts": 1, "arbiter_override": false, "override_reason": null,
    });
    let other = json!({ "agent": "zoe", "role": "agent", "status": "ok" });
    json!({
        "schemaVersion": "2.0", "command": format!("spec-{stage}"), "specId": "S-1", "stage": stage, "sessionId": format!("r{run}"),
        "runId": format!("r{run}"), "timestamp": format!("2026-11-{:02}T08:00:00Z", run % 28 + 1), "promptVersion": null,
        "promptSha256": null, "runProfile": profile, "artifacts": [], "notes": [],
        "consensus": {
            "status": "ok", "synthesis_status": "ok", "agreements": ["a"], "conflicts": [], "agents": [agent, other], "agreement_ratio": 0.75,
            "disagreement_detected": true, "disagreement_points": ["which queue"], "escalation_triggered": false, "escalation_reason": null,
            "total_tokens": 15, "total_latency_ms": 5, "wall_ms": 7, "total_cost_usd": cost,
        },
        "quality_metrics": { "completeness_score": null, "human_review_score": null, "automated_checks_passed": 3, "automated_checks_failed": 1 },
        "guardrail": { "prefilter_model": null, "prefilter_status": null, "policy_model": null, "policy_status": null, "latency_ms": null, "cost_usd": null },
        "output_tokens": 5, "latency_ms": 7, "agent_participation": 1.0, "evidenceFootprintBytes": 10, "retryAttempt": 0,
        "consensusStatus": "ok", "consensusSummary": { "agreements": 1, "conflicts": 0 },
    })
    .to_string()
}

fn evidence(lines: &[String]) -> Evidence {
    let mut evidence = Evidence::default();
    let read = evidence.add("spec-plan_x_telemetry.jsonl", lines.join("\n").as_bytes());
    assert_eq!(read, Reading::Taken);
    evidence
}

#[test]
fn numbers_of_mocks_are_never_among_those_of_models() {
    let all = evidence(&[
        line(1, "plan", "a", 0.5, "local/x"),
        line(2, "plan", "a", 9.0, "mock/x"),
    ]);
    let of = |source| {
        report(
            all.observations(),
            Metric::Cost,
            GroupBy::Stage,
            source,
            (None, None),
        )
    };
    let (models, mocks) = (of(Source::Model), of(Source::Mock));
    assert_eq!((models.rows[0].count, models.rows[0].total), (1, Some(0.5)));
    assert_eq!((mocks.rows[0].count, mocks.mock), (1, true));
}

#[test]
fn a_stage_whose_models_were_not_reached_is_no_free_one_and_an_arbiter_is_no_answer() {
    let mut down: serde_json::Value =
        serde_json::from_str(&line(1, "plan", "a", 0.0, "local/x")).unwrap();
    let agents = &mut down["consensus"]["agents"];
    for at in [0_usize, 1] {
        agents[at]["status"] = json!("error");
        agents[at]["total_tokens"] = json!(0);
        agents[at]["latency_ms"] = json!(0);
    }
    down["consensus"]["total_tokens"] = json!(0);
    let mut judged: serde_json::Value =
        serde_json::from_str(&line(2, "plan", "a", 0.5, "local/x")).unwrap();
    let mut arbiter = judged["consensus"]["agents"][0].clone();
    arbiter["role"] = json!("arbiter");
    let agents = judged["consensus"]["agents"].as_array_mut().unwrap();
    agents.push(arbiter);
    let all = evidence(&[down.to_string(), judged.to_string()]);
    let of = |metric, by| {
        let table = report(all.observations(), metric, by, Source::Model, (None, None));
        let rows = table.rows.into_iter();
        let rows: Vec<_> = rows.map(|row| (row.group, row.count)).collect();
        (rows, table.unknown)
    };
    let row = |group: &str, count: usize| (group.to_owned(), count);
    for metric in [Metric::Cost, Metric::Tokens] {
        assert_eq!(of(metric, GroupBy::Stage), (vec![row("plan", 1)], 1));
        assert_eq!(
            of(metric, GroupBy::Model),
            (vec![row("local/x", 1), row("local/x (arbiter)", 1)], 1)
        );
    }
}

#[test]
fn groups_times_and_metrics_are_those_that_were_asked_for() {
    let lines: Vec<String> = (1..=4)
        .map(|run| line(run, "plan", "a", f64::from(run), "local/x"))
        .collect();
    let all = evidence(&lines);
    let of = |metric, by, times| report(all.observations(), metric, by, Source::Model, times);
    let days = of(Metric::Tokens, GroupBy::Day, (None, None));
    assert_eq!(days.rows.len(), 4);
    assert_eq!(days.rows[0].group, "2026-11-02");
    let since = Some(OffsetDateTime::parse("2026-11-04T00:00:00Z", &Rfc3339).unwrap());
    assert_eq!(
        of(Metric::Cost, GroupBy::Model, (since, None)).rows[0].count,
        2
    );
    let quality = of(Metric::Quality, GroupBy::Profile, (None, None));
    assert_eq!(
        (quality.rows[0].mean, quality.rows[0].total),
        (Some(0.75), None)
    );
    assert_eq!(
        of(Metric::Disagreements, GroupBy::Spec, (None, None)).rows[0].median,
        Some(0.25)
    );
}

#[test]
fn few_runs_are_said_to_be_few_and_many_tell_a_difference() {
    let side = |profile: &str, first: u32, runs: u32, cost: f64| -> Vec<String> {
        (0..runs)
            .map(|at| {
                line(
                    first + at,
                    "plan",
                    profile,
                    cost + f64::from(at) / 100.0,
                    "local/x",
                )
            })
            .collect()
    };
    let row_of = |runs: u32, only: &Only| {
        let lines = [side("a", 0, runs, 1.0), side("b", 40, runs, 2.0)].concat();
        let [a, b] = ["a", "b"].map(|it| Side::Profile(it.to_owned()));
        let all = evidence(&lines);
        let rows = compare(all.observations(), &a, &b, Source::Model, only).rows;
        rows.into_iter()
            .find(|it| it.metric == Metric::Cost)
            .unwrap()
    };
    let row = |runs: u32| row_of(runs, &Only::default());
    assert!(row(3).says.contains("too few runs"), "{}", row(3).says);
    // Five questions at once need five runs of each, and one needs four.
    for runs in [3, 4] {
        let said = row(runs).says;
        assert!(
            said.ends_with("5 of each are the least, as 5 rows are compared at once"),
            "{said}"
        );
    }
    assert!(row(5).says.starts_with("higher"), "{:?}", row(5));
    let cost = Only {
        metric: Some(Metric::Cost),
        ..Only::default()
    };
    assert!(row_of(3, &cost).says.ends_with("4 of each are the least"));
    assert!(row_of(4, &cost).says.starts_with("higher"));
    let elsewhere = Only {
        stage: Some("tasks".to_owned()),
        ..Only::default()
    };
    let [a, b] = ["a", "b"].map(|it| Side::Profile(it.to_owned()));
    let lines = [side("a", 0, 1, 1.0), side("b", 40, 1, 2.0)].concat();
    let none = compare(
        evidence(&lines).observations(),
        &a,
        &b,
        Source::Model,
        &elsewhere,
    );
    assert_eq!(none.rows, []);
    assert!(row(8).says.starts_with("higher"), "{:?}", row(8));
    let change = row(8).change.unwrap();
    assert!((0.9..1.1).contains(&change), "{change}");
}

#[test]
fn a_conflict_is_counted_once_though_the_latest_synthesis_lies_there_twice() {
    let mut all = evidence(&[line(1, "plan", "a", 0.5, "local/x")]);
    let synthesis = json!({
        "specId": "S-1", "spec_id": "S-1", "run_id": "r1", "stage": "plan", "timestamp": "2026-11-02T08:00:00Z", "prompt_version": null,
        "agents": [], "missing_agents": [],
        "consensus": { "agreements": [], "conflicts": [], "conflicts_resolved": [{
            "id": "c1", "issue": "Which queue to use", "positions": { "ann": "A table.", "bob": "a table", "cid": "A broker" },
            "found_by": "arbiter", "resolution": "A broker.", "arbiter_decision": "It was there already.",
        }] },
        "status": "ok", "notes": [], "output": null,
    })
    .to_string();
    for name in [
        "spec-plan_20261102T080000Z_synthesis.json",
        "spec-plan_synthesis.json",
    ] {
        assert_eq!(all.add(name, synthesis.as_bytes()), Reading::Taken);
    }
    let found = disagreements(&all, Source::Model, 1);
    assert_eq!(found.disagreement_rate, Some(1.0));
    assert_eq!(
        found.arbiter_decisions,
        [("sided_with_cid".to_owned(), 1)].into()
    );
    assert_eq!(
        found.by_model_pair,
        [("bob|cid".to_owned(), 1), ("cid|local/x".to_owned(), 1)].into()
    );
    assert_eq!(
        found.disagreement_types,
        [("technical".to_owned(), 1)].into()
    );
    assert_eq!(found.severities, [("logical".to_owned(), 1)].into());
    assert!(
        disagreements(&all, Source::Model, 2)
            .by_model_pair
            .is_empty()
    );
}

#[test]
fn the_arbiter_sides_with_the_agent_whose_whole_name_its_reason_has() {
    let decided = |reason: &str, positions: serde_json::Value| {
        let mut all = evidence(&[line(1, "plan", "a", 0.5, "local/x")]);
        let mut text: serde_json::Value = serde_json::from_str(&synthesis(1, &[])).unwrap();
        text["consensus"]["conflicts_resolved"] = json!([{
            "id": "c1", "issue": "Which queue", "positions": positions, "found_by": "arbiter",
            "resolution": "Something of both.", "arbiter_decision": reason,
        }]);
        let read = all.add("spec-plan_x_synthesis.json", text.to_string().as_bytes());
        assert_eq!(read, Reading::Taken);
        let found = disagreements(&all, Source::Model, 1);
        let only = |counts: std::collections::BTreeMap<String, usize>| {
            counts.into_keys().collect::<Vec<_>>().join(" ")
        };
        (only(found.arbiter_decisions), only(found.severities))
    };
    let both = || json!({ "gpt": "A table", "gpt-mini": "A broker" });
    let decision = |reason: &str| decided(reason, both()).0;
    assert_eq!(decision("gpt-mini saw the load."), "sided_with_gpt-mini");
    assert_eq!(decision("As gpt's table is there."), "sided_with_gpt");
    assert_eq!(
        decision("gpt and gpt-mini are both right."),
        "synthesized_new"
    );
    assert_eq!(decision("The load decides."), "synthesized_new");
    let letter = json!({ "a": "A table", "b": "A broker" });
    assert_eq!(decided("The load decides.", letter).0, "synthesized_new");
    // Nobody knows what stood against it.
    let alone = decided("The load decides.", json!({ "gpt": "A table" }));
    assert_eq!(alone.1, "logical");
}

#[test]
fn a_file_that_is_not_what_it_says_is_named_with_its_fault() {
    let mut all = Evidence::default();
    let read = all.add(
        "spec-plan_x_telemetry.jsonl",
        b"{\"schemaVersion\": \"2.0\"}",
    );
    assert!(matches!(read, Reading::Faulty(_)), "{read:?}");
    assert_eq!(all.add("notes.txt", b"hello"), Reading::Other);
    let good = line(1, "plan", "a", 0.5, "local/x");
    let bad = good.replace("2026-11-02T08:00:00Z", "soon");
    let both = format!("{good}\n{bad}");
    let read = all.add("spec-plan_x_telemetry.jsonl", both.as_bytes());
    assert!(matches!(read, Reading::Faulty(_)), "{read:?}");
    assert!(all.observations().is_empty(), "half of it would be counted");
}

#[test]
fn figures_are_those_of_the_textbooks() {
    assert_eq!(median(&[3.0, 1.0, 2.0, 4.0]), Some(2.5));
    assert_eq!(
        p95(&(1..=100).map(f64::from).collect::<Vec<_>>()),
        Some(95.0)
    );
    assert_eq!(outliers(&[1.0, 1.1, 0.9, 1.0, 9.0]), [4]);
    assert!(outliers(&[1.0, 1.0, 9.0]).is_empty());
    assert_eq!(spread(&[8.0, 10.0, 12.0]), Some(0.2));
    assert_eq!((spread(&[5.0]), spread(&[0.0, 0.0])), (None, None));
    // Three against three, wholly apart: 2 of 20 ways.
    assert_eq!(least_chance(3, 3), Some(0.1));
    assert_eq!(least_chance(4, 4).map(|it| (it * 70.0).round()), Some(2.0));
    assert_eq!(chance(&[1.0, 2.0], &[]), None);
    assert_eq!(chance(&[1.0, 1.0], &[1.0, 1.0]), Some(1.0));
    // The two that are alike share a rank, so that four of the six ways are as far apart as these.
    let tied = chance(&[1.0, 2.0], &[2.0, 3.0]);
    assert_eq!(tied.map(|it| (it * 6.0).round()), Some(4.0));
    let mut chances = [Some(0.01), None, Some(0.04), Some(0.03)];
    holm(&mut chances);
    let rounded = chances.map(|it| it.map(|it| (it * 100.0_f64).round()));
    assert_eq!(rounded, [Some(3.0), None, Some(6.0), Some(6.0)]);
}

#[test]
fn the_exact_and_the_approximate_test_say_nearly_the_same() {
    // Fifty values are counted exactly, fifty-two by the curve.
    let spread = |n: u32, shift: f64| -> Vec<f64> {
        (0..n).map(|it| f64::from(it * 7 % 31) + shift).collect()
    };
    let exact = chance(&spread(25, 0.0), &spread(25, 6.0)).unwrap();
    let curve = chance(&spread(26, 0.0), &spread(26, 6.0)).unwrap();
    assert!((exact - curve).abs() < 0.03, "{exact} {curve}");
}

/// The synthesis of a run's plan, with sections of these lengths.
fn synthesis(run: u32, sections: &[(&str, usize)]) -> String {
    let output: serde_json::Map<String, serde_json::Value> = sections
        .iter()
        .map(|(name, length)| ((*name).to_owned(), json!("x".repeat(*length))))
        .collect();
    json!({
        "specId": "S-1", "spec_id": "S-1", "runId": format!("r{run}"), "stage": "plan",
        "timestamp": format!("2026-11-{:02}T08:00:00Z", run % 28 + 1), "prompt_version": null, "agents": [],
        "missing_agents": [], "consensus": { "agreements": [], "conflicts": [], "conflicts_resolved": [] }, "status": "ok",
        "notes": [], "output": output,
    })
    .to_string()
}

#[test]
fn a_section_that_swings_drifts_and_two_runs_say_nothing() {
    let lines: Vec<String> = (1..=3)
        .map(|run| line(run, "plan", "a", 0.5, "local/x"))
        .collect();
    let mut all = evidence(&lines);
    for (run, risks) in [(1, 98), (2, 300)] {
        let text = synthesis(run, &[("goals", 98), ("risks", risks)]);
        assert_eq!(
            all.add("spec-plan_x_synthesis.json", text.as_bytes()),
            Reading::Taken
        );
    }
    assert_eq!(drift(&all, Source::Model).stages[0].says, "too few runs");
    let third = synthesis(3, &[("goals", 98)]);
    all.add("spec-plan_x_synthesis.json", third.as_bytes());
    let found = drift(&all, Source::Model);
    assert_eq!((found.stages.len(), found.stages[0].says), (1, "drifts"));
    let [goals, risks] = found.stages[0].sections.as_slice() else {
        panic!("{found:?}")
    };
    // 98 characters in their quotes.
    assert_eq!(
        (goals.mean, goals.variation, goals.drifts),
        (100.0, 0.0, false)
    );
    assert_eq!((risks.present, risks.drifts), (2, true));
    assert!(drift(&all, Source::Mock).stages.is_empty());
}

#[test]
fn a_synthesis_is_counted_with_whom_its_own_run_was_answered_by() {
    let mut all = evidence(&[
        line(1, "plan", "a", 0.5, "local/x"),
        line(2, "plan", "a", 0.5, "mock/x"),
    ]);
    let mut disputed: serde_json::Value = serde_json::from_str(&synthesis(2, &[])).unwrap();
    disputed["consensus"]["conflicts"] =
        json!([{ "issue": "Which queue", "positions": {}, "found_by": "arbiter" }]);
    all.add(
        "spec-plan_x_synthesis.json",
        disputed.to_string().as_bytes(),
    );
    assert!(
        disagreements(&all, Source::Model, 1)
            .disagreement_types
            .is_empty()
    );
    assert_eq!(
        disagreements(&all, Source::Mock, 1)
            .disagreement_types
            .len(),
        1
    );
}

#[test]
fn a_mock_of_another_name_is_known_by_its_release() {
    let mut text: serde_json::Value =
        serde_json::from_str(&line(1, "plan", "a", 0.5, "actor/x")).unwrap();
    assert_eq!(
        evidence(&[text.to_string()]).observations()[0].source(),
        Source::Model
    );
    text["consensus"]["agents"][0]["model_release"] = json!("mock/x");
    assert_eq!(
        evidence(&[text.to_string()]).observations()[0].source(),
        Source::Mock
    );
}

#[test]
fn one_model_alone_is_held_beside_several() {
    let lines: Vec<String> = (0..16)
        .map(|run| {
            let base = if run < 8 { 1.0 } else { 2.0 };
            let cost = base + f64::from(run) / 100.0;
            let mut it: serde_json::Value =
                serde_json::from_str(&line(run, "plan", "a", cost, "local/x")).unwrap();
            if run < 8 {
                it["consensus"]["agents"].as_array_mut().unwrap().pop();
            }
            it.to_string()
        })
        .collect();
    let all = evidence(&lines);
    let [a, b] = [Method::Single, Method::Consensus].map(Side::Method);
    let both = compare(all.observations(), &a, &b, Source::Model, &Only::default());
    assert_eq!((both.a.as_str(), both.b.as_str()), ("single", "consensus"));
    let cost = both
        .rows
        .iter()
        .find(|it| it.metric == Metric::Cost)
        .unwrap();
    assert_eq!((cost.a_count, cost.b_count), (8, 8));
    assert!(cost.says.starts_with("higher"), "{}", cost.says);
    assert_eq!(
        disagreements(&all, Source::Model, 1).total_consensus_runs,
        8
    );
}

#[test]
fn weeks_without_a_run_are_weeks_too_and_a_run_is_its_worst_stage() {
    let mut lines = vec![
        line(1, "plan", "a", 0.5, "local/x"),
        line(1, "tasks", "a", 0.5, "local/x"),
        line(9, "plan", "a", 0.5, "local/x"),
        line(27, "plan", "a", 0.5, "local/x"),
    ];
    lines[1] = lines[1].replace(
        "\"status\":\"ok\",\"synthesis_status\"",
        "\"status\":\"conflict\",\"synthesis_status\"",
    );
    let all = evidence(&lines);
    let now = OffsetDateTime::parse("2026-11-12T12:00:00Z", &Rfc3339).unwrap();
    let found = adoption(all.observations(), Source::Model, now, 3, 1);
    let weeks: Vec<_> = found
        .weeks
        .iter()
        .map(|it| (it.monday.as_str(), it.runs, it.met))
        .collect();
    assert_eq!(
        weeks,
        [
            ("2026-10-26", 0, Some(false)),
            ("2026-11-02", 1, Some(true)),
            ("2026-11-09", 1, Some(true)),
        ]
    );
    assert_eq!(found.from_the_future, 1);
    assert_eq!(found.weeks[1].outcomes, [("conflict".to_owned(), 1)].into());
    assert_eq!(found.weeks[1].latency_p95_ms, Some(14.0));
    // The week is not over: too few so far is not missed yet.
    let more = adoption(all.observations(), Source::Model, now, 1, 2);
    assert_eq!(more.weeks[0].met, None);
}

proptest! {
    /// Figures of any numbers lie among them, and no order of them changes a figure.
    #[test]
    fn figures_lie_among_their_numbers_in_any_order(mut values in proptest::collection::vec(-1e6..1e6_f64, 1..80)) {
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let of = |values: &[f64]| (median(values).unwrap(), p95(values).unwrap());
        let (middle, high) = of(&values);
        prop_assert!(least <= middle && middle <= high && high <= most);
        let not_above = values.iter().filter(|it| **it <= high).count();
        prop_assert!(not_above * 100 >= values.len() * 95);
        let apart = outliers(&values).len();
        prop_assert!(apart * 2 <= values.len());
        values.reverse();
        prop_assert_eq!(of(&values), (middle, high));
    }

    /// A correction for many questions makes nothing rarer, and keeps their order.
    #[test]
    fn holm_makes_nothing_rarer(mut chances in proptest::collection::vec(proptest::option::of(0.0..1.0_f64), 0..20)) {
        let before = chances.clone();
        holm(&mut chances);
        for (before, after) in before.iter().zip(&chances) {
            prop_assert_eq!(before.is_some(), after.is_some());
            prop_assert!(after >= before);
        }
    }

    /// Numbers all times as large vary as much.
    #[test]
    fn spread_does_not_depend_on_the_unit(values in proptest::collection::vec(1.0..1e6_f64, 2..30), factor in 0.001..1e3_f64) {
        let scaled: Vec<f64> = values.iter().map(|it| it * factor).collect();
        let (one, other) = (spread(&values).unwrap(), spread(&scaled).unwrap());
        prop_assert!(one >= 0.0 && (one - other).abs() < 1e-6 * (1.0 + one), "{one} {other}");
    }
}

proptest! {
    // The exact test counts all ways to part fifty values, which an unoptimised build does some ten times a second.
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Chance is a probability, the same from both sides, and set beside itself nothing is rare.
    #[test]
    fn chance_is_a_probability_and_does_not_ask_who_comes_first(
        a in proptest::collection::vec(0..50_u8, 1..40),
        b in proptest::collection::vec(0..50_u8, 1..40),
    ) {
        let [a, b] = [a, b].map(|it| it.into_iter().map(f64::from).collect::<Vec<_>>());
        let there = chance(&a, &b).unwrap();
        let back = chance(&b, &a).unwrap();
        prop_assert!((0.0..=1.0).contains(&there));
        prop_assert!((there - back).abs() < 1e-9, "{there} {back}");
        prop_assert!(chance(&a, &a).unwrap() > 0.9);
    }
}
