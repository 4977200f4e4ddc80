//! Evidence files that somebody else wrote, as the numbers over many runs read them.

use std::collections::{BTreeMap, BTreeSet};

use flowhost_evidence::analysis::alerts::{Rules, alerts, days};
use flowhost_evidence::analysis::{
    Evidence, GroupBy, Metric, Reading, Source, adoption, disagreements, drift, overview, report,
};
use flowhost_evidence::html::dashboard::page;
use flowhost_evidence::packet::{Files, Proof, Spec};
use flowhost_evidence::trials::{Outputs, Records};
use flowhost_ledger::{pack, unpacked};

use crate::{Outcome, Target};

pub(crate) const EVIDENCE: Target = Target {
    name: "evidence",
    run: evidence,
    words: &[
        "\"schemaVersion\":\"2.0\"",
        "\"timestamp\":\"2026-11-26T08:00:00Z\"",
        "\"timestamp\":\"9999-12-31T23:59:59-23:59\"",
        "\"timestamp\":\"0000-01-01T00:00:00+23:59\"",
        "\"total_cost_usd\":1e308",
        "\"total_cost_usd\":-1",
        "\"total_cost_usd\":1e-320",
        "\"escalation_triggered\":true",
        "\"automated_checks_failed\":9",
        "\"model_id\":\"mock/x\"",
        "\"model_id\":\"<script>\"",
        "\"agents\":[]",
        "null",
        "\\u0000",
        "\n",
    ],
};

/// Accepted means: every question over the evidence has an answer, of numbers that are numbers; each stage is counted for one
/// source and one only; and nothing of it is markup in the page.
fn evidence(bytes: &[u8]) -> Outcome {
    let mut evidence = Evidence::default();
    // The same bytes as what a host may have called them.
    let line = evidence.add("spec-plan_x_telemetry.jsonl", bytes);
    let synthesis = evidence.add("spec-plan_x_synthesis.json", bytes);
    let all = evidence.observations();
    let mut counted = 0;
    for source in [Source::Model, Source::Mock] {
        for metric in Metric::ALL {
            for group in GroupBy::ALL {
                let table = report(all, *metric, *group, source, (None, None));
                for row in &table.rows {
                    let figures = [row.mean, row.median, row.p95];
                    assert!(figures.iter().flatten().all(|it| it.is_finite()), "{row:?}");
                    assert!(row.outliers.len() <= row.count, "{row:?}");
                }
            }
        }
        let raised = alerts(all, &Rules::default(), source);
        let told: usize = days(all, &raised, source)
            .iter()
            .flat_map(|day| day.alerts.values())
            .sum();
        assert_eq!(told, raised.len());
        let rate = disagreements(&evidence, source, 1).disagreement_rate;
        assert!(rate.is_none_or(|it| (0.0..=1.0).contains(&it)));
        let drifting = drift(&evidence, source).stages;
        let varied = drifting.iter().flat_map(|it| &it.sections);
        assert!(varied.into_iter().all(|it| it.variation.is_finite()));
        if let Some(now) = all.iter().map(|it| it.at).max() {
            let weeks = adoption(all, source, now, 4, 5);
            assert!(weeks.from_the_future == 0 && weeks.weeks.len() <= 4);
        }
        if let Some(numbers) = overview(all, source) {
            counted += numbers.stages;
            let page = page(&numbers, None);
            assert_eq!(page.matches("<script").count(), 1, "its own alone");
            assert!(!page.contains("<img") && !page.contains('\0'));
        }
    }
    assert_eq!(counted, all.len());
    read_blind(bytes);
    packed(bytes);
    archived(bytes);
    let taken = [line, synthesis].contains(&Reading::Taken);
    Outcome::of(&if taken { Ok(()) } else { Err(()) })
}

/// Bytes that are said to be an archive of older runs, and what such an archive of them gives back: never more than is
/// asked for.
fn archived(bytes: &[u8]) {
    const MOST: u64 = 1 << 20;
    let held = |files: &BTreeMap<String, Vec<u8>>| files.values().map(Vec::len).sum::<usize>();
    let mut left = MOST;
    if let Ok(files) = unpacked(bytes, &|_| true, &mut left) {
        assert!(held(&files) as u64 <= MOST - left);
    }
    let name = "consensus/S/spec-plan_x_telemetry.jsonl".to_owned();
    let mut archive = Vec::new();
    let made = pack(
        &BTreeSet::from([name.clone()]),
        |_| Ok(bytes.to_vec()),
        &mut archive,
    );
    assert!(made.is_ok(), "{made:?}");
    let mut left = MOST;
    if let Ok(files) = unpacked(&archive, &|_| true, &mut left) {
        assert_eq!(files.get(&name).map(Vec::as_slice), Some(bytes));
    }
}

/// What a reader gets has names that stay in its folder.
fn read_blind(bytes: &[u8]) {
    let (mut outputs, mut records) = (Outputs::default(), Records::default());
    for name in [
        "spec-plan_x_telemetry.jsonl",
        "spec-plan_x_synthesis.json",
        "spec-plan_x_r_review.json",
    ] {
        outputs.add(name, bytes);
        records.add(name, bytes);
    }
    for mock in [false, true] {
        let sheet = outputs.sheet(None, None, mock, "seed");
        assert!(
            sheet.files.keys().all(|it| !it.contains(['/', '\\'])),
            "{:?}",
            sheet.files.keys()
        );
        for experiment in records.experiments() {
            let report = records.report(experiment, mock, None);
            let runs: usize = report.variants.iter().map(|it| it.stages).sum();
            assert_eq!(runs, report.records.len(), "each record is of one variant");
        }
    }
}

/// Packets are made whatever there is, and unpack below one folder.
fn packed(bytes: &[u8]) {
    let files: Files = [
        "consensus/S/spec-plan_x_telemetry.jsonl",
        "consensus/S/spec-plan_x_synthesis.json",
        "consensus/S/spec-plan_x_verdict.json",
        "commands/S/T1_x_y_security.json",
        "costs/S_cost_summary.json",
    ]
    .into_iter()
    .map(|path| (path.to_owned(), bytes.to_vec()))
    .collect();
    let recorded = ["telemetry.jsonl", "verdict.json"].map(|end| {
        let path = format!("consensus/S/spec-plan_y_{end}");
        (path, "R".to_owned())
    });
    let recorded = BTreeMap::from(recorded);
    let witness = |_: &str, _: &serde_json::Value| Proof::Unverified;
    let wrote = |_: &str, _: &str, _: &str| Proof::Unverified;
    let spec = Spec::read("S", &files, &recorded, &witness, &wrote);
    for name in spec.kit().keys().chain(spec.audit().files.keys()) {
        assert!(
            !name.split('/').any(|part| matches!(part, "" | "." | "..")),
            "{name}"
        );
    }
}
