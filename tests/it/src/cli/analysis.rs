//! Numbers over the evidence of several runs, through the built executable.

use super::examples::example;

#[test]
fn two_runs_of_a_pipeline_are_put_together_and_held_beside_each_other() {
    let home = example("spec-kit-900");
    for routing in ["cheap-tier", "premium-tier"] {
        let input = format!("routing={routing}");
        home.flowhost(&["run", "plan.yaml", "--input", &input])
            .expect(0);
    }
    // What scripts answered is not taken for what models answered.
    let refused = home.flowhost(&["telemetry", "report"]).expect(1);
    assert!(
        refused
            .stderr
            .contains("`mock` provider answered all 12 stages"),
        "{}",
        refused.stderr
    );
    let report = home
        .flowhost(&[
            "telemetry",
            "report",
            "--mock",
            "--metric",
            "tokens",
            "--json",
        ])
        .expect(0)
        .json();
    assert_eq!(report["mock"], true);
    let rows = report["rows"].as_array().unwrap();
    let stages: Vec<_> = rows
        .iter()
        .map(|row| {
            (
                row["group"].as_str().unwrap(),
                row["count"].as_u64().unwrap(),
            )
        })
        .collect();
    let all = ["audit", "implement", "plan", "tasks", "unlock", "validate"];
    assert_eq!(stages, all.map(|stage| (stage, 2)));
    assert!(rows[0]["mean"].as_f64().unwrap() > 1_000.0, "{report:#}");
    let csv = home
        .flowhost(&[
            "telemetry",
            "report",
            "--mock",
            "--metric",
            "tokens",
            "--group-by",
            "profile",
            "--csv",
        ])
        .expect(0)
        .stdout;
    let mut lines = csv.lines();
    assert_eq!(
        lines.next(),
        Some("profile,metric,unit,count,mean,median,p95,total,outliers")
    );
    assert!(
        lines
            .next()
            .unwrap()
            .starts_with("cheap-tier,tokens,tokens,6,"),
        "{csv}"
    );
    let later = [
        "telemetry",
        "report",
        "--mock",
        "--since",
        "2999-01-01",
        "--json",
    ];
    assert_eq!(
        home.flowhost(&later).expect(0).json()["rows"],
        serde_json::json!([])
    );

    let both = home
        .flowhost(&[
            "telemetry",
            "compare",
            "cheap-tier",
            "premium-tier",
            "--mock",
        ])
        .expect(0)
        .stdout;
    assert!(
        both.contains("too few runs to tell any difference from chance"),
        "{both}"
    );
    let unknown = home
        .flowhost(&["telemetry", "compare", "cheap-tier", "gold", "--mock"])
        .expect(1);
    assert!(
        unknown.stderr.contains("cheap-tier, premium-tier"),
        "{}",
        unknown.stderr
    );

    let yaml = home
        .flowhost(&["telemetry", "disagreements", "--mock"])
        .expect(0)
        .stdout;
    assert!(
        yaml.starts_with(
            "total_consensus_runs: 12\nruns_with_disagreements: 0\ndisagreement_rate: 0"
        ),
        "{yaml}"
    );
}

#[test]
fn a_folder_without_telemetry_and_a_time_that_is_none_are_said() {
    let home = crate::support::Home::new();
    home.file("evidence/notes.txt", "nothing");
    home.file(
        "evidence/spec-plan_x_telemetry.jsonl",
        "{\"schemaVersion\": \"2.0\"}\n",
    );
    let none = home.flowhost(&["telemetry", "report"]).expect(1);
    assert!(none.stderr.contains("was left out"), "{}", none.stderr);
    assert!(
        none.stderr
            .contains("nothing below `evidence` is telemetry"),
        "{}",
        none.stderr
    );
    let time = home
        .flowhost(&["telemetry", "report", "--since", "monday"])
        .expect(1);
    assert!(
        time.stderr.contains("`monday` is not a day or a time"),
        "{}",
        time.stderr
    );
}
