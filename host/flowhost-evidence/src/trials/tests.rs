//! Sheets, scores and records from files that are made by hand.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::stage::{Form, Judged as Held, judge};

fn telemetry(run: &str, variant: &str, asked: usize) -> (String, Vec<u8>) {
    let agent = |at: usize| {
        json!({ "agent": format!("a{at}"), "role": "agent", "status": "ok", "model_id": "house/large",
                "total_tokens": 100, "cost_usd": 0.5, "latency_ms": 10 })
    };
    let agents: Vec<Value> = (0..asked).map(agent).collect();
    let line = json!({
        "schemaVersion": "2.0", "command": "spec-plan", "specId": "S", "stage": "plan", "sessionId": run,
        "runId": run, "timestamp": "2026-11-26T07:39:10Z", "experiment": "e", "variant": variant,
        "models_used": ["house/large"], "agents_of": 3, "arbiter_override": true,
        "override_type": "sided_with_a1", "consensusStatus": "ok",
        "consensus": { "status": "ok", "agreements": [], "conflicts": [], "agents": agents,
                       "agreement_ratio": 1.0, "total_tokens": 100 * asked, "total_cost_usd": 0.5, "wall_ms": 7 },
    });
    let path = format!("consensus/S/spec-plan_{run}_telemetry.jsonl");
    (path, format!("{line}\n").into_bytes())
}

fn synthesis(run: &str, output: &Value) -> (String, Vec<u8>) {
    let document = json!({
        "specId": "S", "spec_id": "S", "runId": run, "stage": "plan", "timestamp": "2026-11-26T07:39:10Z",
        "prompt_version": null, "agents": [], "missing_agents": [], "status": "ok", "notes": [],
        "consensus": { "agreements": [], "conflicts": [], "conflicts_resolved": [] }, "output": output,
    });
    let path = format!("consensus/S/spec-plan_{run}_synthesis.json");
    (path, document.to_string().into_bytes())
}

fn outputs(runs: &[(&str, &str)]) -> Outputs {
    let mut outputs = Outputs::default();
    for (run, variant) in runs {
        for (path, bytes) in [
            telemetry(run, variant, 2),
            synthesis(run, &json!({ "text": format!("said in {}", run.len()) })),
        ] {
            assert!(matches!(judge(&path, &bytes), Held::Valid(_)), "{path}");
            outputs.add(&path, &bytes);
        }
    }
    outputs
}

const RUNS: [(&str, &str); 4] = [("r1", "x"), ("r2", "y"), ("r33", "x"), ("r444", "y")];

proptest! {
    // Each case reads and checks sixteen files; more seeds of them find nothing else.
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_sheet_says_nothing_of_whose_an_output_is(seed in "[a-z0-9]{1,12}") {
        let sheet = outputs(&RUNS).sheet(Some("e"), None, false, &seed);
        prop_assert_eq!(sheet.key.outputs.len(), 4);
        for (name, bytes) in &sheet.files {
            let text = String::from_utf8_lossy(bytes);
            for secret in ["r1", "r33", "r444", "house", "sided_with"] {
                prop_assert!(!text.contains(secret) && !name.contains(secret), "{}: {}", name, text);
            }
        }
        // The same seed gives the same sheet, whatever came first.
        let mut turned = RUNS;
        turned.reverse();
        prop_assert_eq!(&outputs(&turned).sheet(Some("e"), None, false, &seed), &sheet);
    }
}

#[test]
fn seeds_shuffle_and_what_is_not_meant_is_not_handed_out() {
    let all = outputs(&RUNS);
    let orders: std::collections::BTreeSet<Vec<String>> = (0..40)
        .map(|seed| {
            let sheet = all.sheet(None, None, false, &seed.to_string());
            sheet
                .key
                .outputs
                .values()
                .map(|it| it.run_id.clone())
                .collect()
        })
        .collect();
    assert!(orders.len() > 8, "{orders:?}");
    assert!(all.sheet(Some("other"), None, false, "s").files.is_empty());
    assert!(all.sheet(None, Some("tasks"), false, "s").files.is_empty());
    assert!(
        all.sheet(None, None, true, "s").files.is_empty(),
        "no script answered"
    );
}

fn full(score: u8) -> Given {
    Given {
        completeness: Some(score),
        correctness: Some(score),
        clarity: Some(score),
        actionability: Some(score),
        overall: Some(score),
        assessment: "says when it is done".to_owned(),
    }
}

#[test]
fn scores_become_reviews_and_stand_beside_the_other_numbers() {
    let sheet = outputs(&RUNS).sheet(Some("e"), None, false, "s");
    let labels: Vec<String> = sheet.key.outputs.keys().cloned().collect();
    let scores = Scores {
        outputs: [
            (labels[0].clone(), full(5)),
            (labels[1].clone(), full(2)),
            (labels[2].clone(), Given::default()),
        ]
        .into(),
    };
    let found = reviews(&sheet.key, &scores, "jane", "2026-11-26T09:00:00Z").unwrap();
    assert_eq!(found.len(), 2, "an output without any score is left out");
    let mut records = Records::default();
    let mut evidence = crate::analysis::Evidence::default();
    // Reviews first: the order of files means nothing.
    for review in &found {
        let file = review.file("REVIEW");
        assert_eq!(judge(&review.path, &file), Held::Valid(Form::Review));
        assert!(
            review.path.ends_with("_jane_review.json"),
            "{}",
            review.path
        );
        records.add(&review.path, &file);
        evidence.add(&review.path, &file);
    }
    for (run, variant) in RUNS {
        let (path, bytes) = telemetry(run, variant, 2);
        records.add(&path, &bytes);
        evidence.add(&path, &bytes);
    }
    let first = &sheet.key.outputs[&labels[0]];
    let report = records.report("e", false, None);
    let record = report.records.iter().find(|it| it.run_id == first.run_id);
    let record = record.unwrap();
    assert_eq!(record.quality_metrics["overall"], Some(1.0));
    assert_eq!(
        record.reviewer_assessment.as_deref(),
        Some("says when it is done")
    );
    let mut seen = evidence.observations().iter();
    let seen = seen.find(|it| it.run == first.run_id).unwrap();
    assert_eq!(seen.quality, Some(1.0), "a person's score is the quality");
}

#[test]
fn all_that_is_wrong_with_scores_is_told_at_once() {
    let sheet = outputs(&RUNS).sheet(Some("e"), None, false, "s");
    let mut bad = full(3);
    bad.clarity = None;
    bad.overall = Some(9);
    let scores = Scores {
        outputs: [("plan-1".to_owned(), bad), ("plan-99".to_owned(), full(3))].into(),
    };
    let faults = reviews(&sheet.key, &scores, "../jane", "t").unwrap_err();
    let told: Vec<String> = faults
        .iter()
        .map(|(at, what)| format!("{at}: {what}"))
        .collect();
    for part in [
        "`../jane` does not do",
        "plan-1: without a score: `clarity`",
        "plan-1: `overall` is 9",
        "plan-99: the key has no such output",
    ] {
        assert!(told.iter().any(|it| it.contains(part)), "{part}: {told:?}");
    }
}

#[test]
fn a_key_or_a_stage_of_a_stranger_leads_nowhere_else() {
    let mut sheet = outputs(&RUNS).sheet(Some("e"), None, false, "s");
    let scores = Scores {
        outputs: [("plan-1".to_owned(), full(3))].into(),
    };
    for path in [
        "../x_synthesis.json",
        "/etc/x_synthesis.json",
        "consensus/S/x.json",
        "a/./b_synthesis.json",
    ] {
        let keyed = sheet.key.outputs.get_mut("plan-1").unwrap();
        keyed.synthesis_path = path.to_owned();
        let faults = reviews(&sheet.key, &scores, "jane", "t").unwrap_err();
        assert!(faults[0].1.contains("leads out"), "{path}: {faults:?}");
    }
    let mut strange = Outputs::default();
    for (path, bytes) in [telemetry("r", "x", 2), synthesis("r", &json!({}))] {
        let text = String::from_utf8(bytes).unwrap();
        let text = text.replace("\"stage\":\"plan\"", "\"stage\":\"../../plan\"");
        strange.add(&path, text.as_bytes());
    }
    let sheet = strange.sheet(None, None, false, "s");
    let names: Vec<&String> = sheet.files.keys().collect();
    assert_eq!(names, [".._.._plan-1.json", "scores.yaml"]);
}

#[test]
fn variants_are_held_beside_each_other_by_runs_and_savings_are_estimated() {
    let mut records = Records::default();
    for at in 0..4 {
        for (variant, asked) in [("adaptive", 1), ("always-full", 3)] {
            let (path, bytes) = telemetry(&format!("{variant}-{at}"), variant, asked);
            records.add(&path, &bytes);
        }
    }
    assert_eq!(records.experiments(), ["e"]);
    let report = records.report("e", false, Some("always-full"));
    let [adaptive, full] = report.variants.as_slice() else {
        panic!("{report:#?}")
    };
    assert_eq!(
        (adaptive.runs, adaptive.tokens, full.tokens),
        (4, Some(100.0), Some(300.0))
    );
    // Four stages, each without two agents at 0.5 and 100 tokens.
    assert_eq!(
        (adaptive.saved_usd, adaptive.saved_tokens),
        (Some(4.0), Some(800.0))
    );
    assert_eq!(full.saved_usd, Some(0.0));
    let against = adaptive.against.as_ref().unwrap();
    let change = &against.changes["tokens"];
    assert!((change.share.unwrap() + 2.0 / 3.0).abs() < 1e-9);
    assert!(change.chance.unwrap() < 0.05);
    assert_eq!(
        against.changes["overall"].chance, None,
        "nobody has read anything"
    );
    assert_eq!((adaptive.overridden, full.against.is_none()), (4, true));
    assert_eq!(report.records[0].method, "single");
}

#[test]
fn what_a_guardrail_asked_a_model_for_is_a_cost_of_its_variant() {
    let cost = |guardrail: Value| {
        let (path, bytes) = telemetry("r1", "x", 1);
        let mut line: Value = serde_json::from_slice(&bytes).unwrap();
        line["guardrail"] = json!({ "cost_usd": guardrail });
        let mut records = Records::default();
        records.add(&path, line.to_string().as_bytes());
        let report = records.report("e", false, None);
        (
            report.records[0].total_cost_usd,
            report.variants[0].cost_usd,
        )
    };
    assert_eq!(cost(json!(0.25)), (Some(0.75), Some(0.75)));
    // Where nobody spoke it is null, and the agents' cost is all.
    assert_eq!(cost(Value::Null), (Some(0.5), Some(0.5)));
}
