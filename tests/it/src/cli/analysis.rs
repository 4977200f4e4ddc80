//! Numbers over the evidence of several runs, through the built executable.

use serde_json::{Value, json};

use super::examples::example;
use crate::collector::{Collector, Manner};
use crate::support::Home;

/// A line of telemetry as a host writes it: a stage that two agents and an arbiter took part in.
pub(super) fn stage(run: u32, name: &str, change: impl FnOnce(&mut Value)) -> Value {
    let agent = |agent: &str, role: &str, model: &str| {
        json!({
            "agent": agent, "role": role, "model_id": model, "reasoning_mode": "medium", "latency_ms": 900 + run,
            "total_tokens": 1_000 + run, "cost_usd": 0.01, "status": "ok",
        })
    };
    let agents = [
        agent("ann", "agent", "local/x"),
        agent("bob", "agent", "local/y"),
        agent("ann-arbiter", "arbiter", "local/x"),
    ];
    let mut line = json!({
        "schemaVersion": "2.0", "command": format!("spec-{name}"), "specId": "S-1", "stage": name,
        "sessionId": format!("run-{run:02}"), "runId": format!("run-{run:02}"),
        "timestamp": format!("2026-11-{:02}T08:00:00Z", run % 20 + 1), "runProfile": "premium-tier",
        "artifacts": [], "notes": [],
        "consensus": {
            "status": "ok", "agreements": ["a"], "conflicts": [], "agents": agents, "agreement_ratio": 1.0,
            "disagreement_detected": false, "disagreement_points": [], "escalation_triggered": false,
            "total_tokens": 3_000, "total_latency_ms": 2_700, "wall_ms": 1_500, "total_cost_usd": 0.03,
        },
        "quality_metrics": { "automated_checks_passed": 4, "automated_checks_failed": 0 },
    });
    change(&mut line);
    line
}

/// A folder whose evidence is these lines.
pub(super) fn evidence(lines: &[Value]) -> Home {
    let home = Home::new();
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    home.file("evidence/consensus/S-1/spec-plan_x_telemetry.jsonl", text);
    home
}

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
    let too_few = "too few runs to tell any difference from chance";
    assert_eq!(both.matches(too_few).count(), 1, "said once: {both}");
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
    archived_runs_are_counted_once_and_a_broken_archive_is_named(&home);
}

/// The two runs of this folder, of which one goes into an archive.
fn archived_runs_are_counted_once_and_a_broken_archive_is_named(home: &Home) {
    let counted = || {
        let report = home.flowhost(&["telemetry", "report", "--mock", "--json"]);
        let report = report.expect(0);
        let rows = report.json()["rows"].as_array().unwrap().clone();
        let counts: Vec<u64> = rows
            .iter()
            .map(|it| it["count"].as_u64().unwrap())
            .collect();
        (counts, report.stderr)
    };
    // In an archive, and there as well.
    home.flowhost(&[
        "evidence",
        "archive",
        "SPEC-KIT-900",
        "--keep",
        "0",
        "--yes",
    ])
    .expect(0);
    assert_eq!(counted(), (vec![2; 6], String::new()));
    home.flowhost(&["evidence", "prune", "SPEC-KIT-900", "--keep", "1", "--yes"])
        .expect(0);
    assert_eq!(counted(), (vec![2; 6], String::new()));
    let archives = || {
        let archives = std::fs::read_dir(home.path().join("evidence/archive")).unwrap();
        archives.map(|entry| entry.unwrap().path())
    };
    let ends = |path: &std::path::Path, end: &str| path.extension().is_some_and(|it| it == end);
    for path in archives().filter(|path| ends(path, "zst")) {
        std::fs::write(&path, "no archive").unwrap();
    }
    let (counts, told) = counted();
    assert_eq!(counts, vec![1; 6]);
    assert_eq!(told.matches("an archive was left out").count(), 2, "{told}");
    assert!(told.contains("it is another one than"), "{told}");
    let hashes: Vec<_> = archives().filter(|path| ends(path, "sha256")).collect();
    for hash in hashes {
        let elsewhere = home.path().join(hash.file_name().unwrap());
        std::fs::rename(&hash, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &hash).unwrap();
    }
    let (counts, told) = counted();
    assert_eq!(counts, vec![1; 6]);
    assert_eq!(told.matches("is a symbolic link").count(), 2, "{told}");
}

#[test]
fn a_folder_without_telemetry_is_said() {
    let home = Home::new();
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
}

#[test]
fn a_wrong_word_of_a_command_over_evidence_is_a_wrong_command_line_and_is_told_before_a_file_is_read()
 {
    // Without evidence: what is told of it would come first if it were looked for.
    let home = Home::new();
    let compare = ["telemetry", "compare"];
    let security = ["evidence", "security", "S-1", "--says", "open"];
    for (command, words, told) in [
        (
            &["telemetry", "report"][..],
            &["--since", "monday"][..],
            "expected a day or a time",
        ),
        (
            &["telemetry", "alerts"],
            &["--until", "2026-13-01"],
            "expected a day or a time",
        ),
        (
            &["telemetry", "drift"],
            &["--csv", "--json"],
            "two forms of one answer",
        ),
        (&compare, &["a", "b", "--by", "tier"], "profile, method"),
        (
            &compare,
            &["one", "consensus", "--by", "method"],
            "`single` with `consensus`",
        ),
        (
            &compare,
            &["single", "two", "--by", "method"],
            "`single` with `consensus`",
        ),
        (
            &["evidence", "baseline", "S-1"],
            &["--name", "../x"],
            "1 to 64 letters",
        ),
        (
            &security,
            &["--task", "T1", "--by", "j/d"],
            "1 to 32 letters",
        ),
        (
            &security,
            &["--task", "../T1", "--by", "jane"],
            "1 to 32 letters",
        ),
    ] {
        let ran = home.flowhost(&[command, words].concat()).expect(64);
        assert!(ran.all().contains(told), "{told}: {}", ran.all());
    }
}

/// Twelve runs, the last of which costs ten times as much and fails five checks.
fn alarming() -> Home {
    let mut lines: Vec<Value> = (0..12).map(|run| stage(run, "plan", |_| {})).collect();
    lines.push(stage(12, "plan", |it| {
        it["consensus"]["total_cost_usd"] = json!(0.3);
        it["quality_metrics"]["automated_checks_failed"] = json!(5);
    }));
    evidence(&lines)
}

#[test]
fn an_alert_is_told_once_with_what_to_do_and_a_playback_remembers_nothing() {
    let home = alarming();
    let played = home
        .flowhost(&["telemetry", "alerts", "--playback", "--json"])
        .expect(0)
        .json();
    let rules: Vec<_> = played["alerts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["rule"].as_str().unwrap())
        .collect();
    assert_eq!(rules, ["stage_cost", "failed_checks"]);
    assert_eq!(played["history"], Value::Null);
    assert!(!home.path().join(".flowhost/default/alerts.jsonl").exists());
    let before = [
        "telemetry",
        "alerts",
        "--playback",
        "--until",
        "2026-11-13",
        "--daily",
    ];
    let before = home.flowhost(&before).expect(0).stdout;
    assert!(
        before.ends_with("0 alerts; rules: the built-in ones\n"),
        "{before}"
    );

    // What fails too many checks stops a script.
    let told = home.flowhost(&["telemetry", "alerts"]).expect(4).stdout;
    insta::assert_snapshot!(told, @r"
    2026-11-13T08:00:00Z stage_cost: plan of S-1 cost 0.300000 USD, more than 1.5 × 0.030000, which 95 of 100 of its 12 earlier runs did not exceed (run run-12)
      look which agent used more: `flowhost telemetry report --metric tokens --group-by model`; a longer prompt, retries or another model are the usual reasons

    2026-11-13T08:00:00Z failed_checks, HALT: 5 checks of one run did not hold (run run-12)
      start no other run of the plan before its checks hold: `flowhost runs show run-12` names those that failed

    2 new alerts; rules: the built-in ones
    ");
    let again = home.flowhost(&["telemetry", "alerts"]).expect(0).stdout;
    assert_eq!(
        again,
        "0 new alerts; told before: 2; rules: the built-in ones\n"
    );
    let history = home.read(".flowhost/default/alerts.jsonl");
    assert_eq!(history.lines().count(), 2, "{history}");
    assert!(
        history.contains("\"guidance\":\"start no other run"),
        "{history}"
    );

    home.file(
        "policies/alerts.toml",
        "[stage_cost]\nfactor = 20.0\n[failed_checks]\nover = 9\n",
    );
    let quiet = home
        .flowhost(&["telemetry", "alerts", "--playback", "--csv"])
        .expect(0)
        .stdout;
    assert_eq!(
        quiet,
        "at,rule,spec,stage,run,value,over,halts,says,guidance\r\n"
    );
    home.file(
        "policies/alerts.toml",
        "[stage_cost]\nfactor = 0.1\nfactors = 1\n",
    );
    let wrong = home.flowhost(&["telemetry", "alerts"]).expect(1).stderr;
    assert!(wrong.contains("alerts.toml:2:1"), "{wrong}");
    assert!(wrong.contains("did you mean `factor`?"), "{wrong}");
}

#[test]
fn two_calls_at_the_same_time_tell_an_alert_once() {
    let home = alarming();
    let told: Vec<String> = std::thread::scope(|scope| {
        let calls = [0, 1].map(|_| scope.spawn(|| home.flowhost(&["telemetry", "alerts"]).stdout));
        calls.map(|call| call.join().unwrap()).into()
    });
    let first = told.iter().filter(|it| it.contains("2 new alerts"));
    assert_eq!(first.count(), 1, "{told:#?}");
    let history = home.read(".flowhost/default/alerts.jsonl");
    assert_eq!(history.lines().count(), 2, "{history}");
}

#[test]
fn new_alerts_are_posted_and_raised_again_when_nobody_takes_them() {
    let home = alarming();
    let alerts = |endpoint: &str| home.flowhost(&["telemetry", "alerts", "--webhook", endpoint]);
    let refusing = Collector::start(Manner::Refuses(500));
    let failed = alerts(&format!("{}/a-secret-path", refusing.endpoint())).expect(1);
    assert!(
        failed.stderr.contains("it answers 500"),
        "{}",
        failed.stderr
    );
    assert!(
        !failed.stderr.contains("a-secret-path"),
        "{}",
        failed.stderr
    );

    let taking = Collector::start(Manner::Takes);
    let to = format!("{}/hook?key=1", taking.endpoint());
    alerts(&to).expect(4);
    let sent = taking.requests();
    assert_eq!((sent.len(), sent[0].path.as_str()), (1, "/hook?key=1"));
    let body: Value = serde_json::from_slice(&taking.bytes()).unwrap();
    assert_eq!(body["alerts"].as_array().unwrap().len(), 2);
    assert_eq!(body["alerts"][1]["halts"], true);
    alerts(&to).expect(0);
    assert_eq!(taking.requests().len(), 1, "nothing new is nothing to send");
    alerts("http://alerts.example/").expect(64);
}

#[test]
fn a_pipeline_whose_checks_fail_more_than_its_plan_allows_is_halted_with_4() {
    let home = Home::new();
    home.warm();
    let check =
        |id: &str| format!("{{ id: {id}, that: 'size(output.headings) > 9', on_fail: warn }}");
    let plan = |more: &str| {
        format!(
            "flowhost: v1\nkind: workflow\nname: checked\nevidence: {{ spec_id: S-1{more} }}\n\
             plugins:\n  markdown: {{ kind: tool, source: builtin:markdown, profile: deny-all }}\n\
             steps:\n  a: {{ uses: markdown/headings, with: {{ text: '# A' }}, checks: [{}, {}] }}\n  \
             b: {{ uses: markdown/headings, needs: [a], with: {{ text: '# B' }}, checks: [{}, {}] }}\n  \
             c: {{ uses: markdown/headings, needs: [b], with: {{ text: '# C' }} }}\n",
            check("one"),
            check("two"),
            check("three"),
            check("four")
        )
    };
    home.file("plan.yaml", plan(""));
    let ran = home
        .flowhost(&["run", "plan.yaml", "--json"])
        .expect(4)
        .json();
    assert_eq!(ran["status"], "halted", "{ran:#}");
    let message = ran["error"]["message"].as_str().unwrap();
    assert_eq!(
        message,
        "4 checks of the run did not hold, and its plan allows 3"
    );
    assert_eq!(ran["steps"]["c"]["status"], "cancelled");
    home.flowhost(&["verify", "latest"]).expect(0);
    home.flowhost(&["runs", "replay", "latest"]).expect(0);
    home.file("plan.yaml", plan(", max_failed_checks: 4"));
    home.flowhost(&["run", "plan.yaml"]).expect(0);
}

#[test]
fn one_model_alone_leaves_telemetry_and_is_held_beside_several() {
    let home = Home::new();
    home.warm();
    home.file(
        "plan.yaml",
        "flowhost: v1\nkind: workflow\nname: alone\nevidence: { spec_id: S-1 }\n\
         plugins:\n  a: { kind: agent, source: 'builtin:llm-agent', profile: agent-model, config: { role: researcher, model: mock/a } }\n\
         steps:\n  ask: { stage: plan, uses: a, with: { question: how many } }\n",
    );
    home.flowhost(&["run", "plan.yaml"]).expect(0);
    home.flowhost(&["telemetry", "validate", "evidence"])
        .expect(0);
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
    assert_eq!(report["rows"][0]["count"], 1, "{report:#}");
    let none = [
        "telemetry",
        "compare",
        "single",
        "consensus",
        "--by",
        "method",
        "--mock",
    ];
    let none = home.flowhost(&none).expect(1);
    assert!(
        none.stderr.contains("no stage was asked of several models"),
        "{}",
        none.stderr
    );

    let lines: Vec<Value> = (0..8)
        .map(|run| {
            stage(run, "plan", |it| {
                if run % 2 == 0 {
                    let agents = it["consensus"]["agents"].as_array_mut().unwrap();
                    agents.truncate(1);
                    it["consensus"]["total_cost_usd"] = json!(0.01);
                }
            })
        })
        .collect();
    let home = evidence(&lines);
    let both = [
        "telemetry",
        "compare",
        "single",
        "consensus",
        "--by",
        "method",
        "--json",
    ];
    let both = home.flowhost(&both).expect(0).json();
    let rows = both["rows"].as_array().unwrap();
    let cost = rows.iter().find(|it| it["metric"] == "cost").unwrap();
    assert_eq!((&cost["a_count"], &cost["b_count"]), (&json!(4), &json!(4)));
    let change = cost["change"].as_f64().unwrap();
    assert!((change - 2.0).abs() < 1e-9, "{change}");
    let odd = home
        .flowhost(&["telemetry", "compare", "single", "both", "--by", "method"])
        .expect(64);
    assert!(
        odd.stderr.contains("compare `single` with `consensus`"),
        "{}",
        odd.stderr
    );
}

#[test]
fn drift_and_adoption_say_what_varies_and_how_much_there_is() {
    let lines: Vec<Value> = (0..3).map(|run| stage(run, "plan", |_| {})).collect();
    let home = evidence(&lines);
    let none = home.flowhost(&["telemetry", "drift"]).expect(1);
    assert!(
        none.stderr.contains("no synthesis below `evidence`"),
        "{}",
        none.stderr
    );
    for (run, risks) in [(0, "x"), (1, "xx"), (2, "xxxxxxxxxxxxxxxxxxxxxx")] {
        let synthesis = json!({
            "specId": "S-1", "runId": format!("run-{run:02}"), "stage": "plan",
            "timestamp": format!("2026-11-0{}T08:00:00Z", run + 1), "agents": [], "missing_agents": [],
            "consensus": { "agreements": [], "conflicts": [], "conflicts_resolved": [] }, "status": "ok",
            "output": { "goals": "the same each time", "risks": risks },
        });
        home.file(
            &format!("evidence/consensus/S-1/spec-plan_{run}_synthesis.json"),
            synthesis.to_string(),
        );
    }
    let drift = home.flowhost(&["telemetry", "drift"]).expect(0).stdout;
    insta::assert_snapshot!(drift, @r"
    how far sections vary in length (standard deviation by mean); below 10 % is wanted

    S-1 plan (premium-tier): drifts, 3 runs
     section  in      mean length  varies
     goals    3 of 3  20           0.0 %
     risks    3 of 3  10           114.6 %  drifts
    ");
    let weeks = home
        .flowhost(&[
            "telemetry",
            "adoption",
            "--weeks",
            "520",
            "--target",
            "3",
            "--json",
        ])
        .expect(0)
        .json();
    let weeks = weeks["weeks"].as_array().unwrap();
    assert_eq!(weeks.len(), 520);
    let runs: Vec<_> = weeks.iter().filter(|it| it["runs"] != 0).collect();
    let at = |monday: &str| *runs.iter().find(|it| it["monday"] == monday).unwrap();
    // 2026-11-01 is a Sunday.
    assert_eq!(at("2026-10-26")["met"], false);
    assert_eq!(
        (&at("2026-11-02")["runs"], &at("2026-11-02")["met"]),
        (&json!(2), &json!(false))
    );
    assert_eq!(at("2026-11-02")["outcomes"], json!({ "ok": 2 }));
    let csv = home
        .flowhost(&["telemetry", "adoption", "--weeks", "1", "--csv"])
        .expect(0)
        .stdout;
    assert_eq!(csv.lines().count(), 2, "{csv}");
}

#[test]
fn half_a_line_files_of_schema_1_and_strangers_are_passed_over_and_a_clock_ahead_is_told() {
    let home = evidence(&[
        stage(1, "plan", |_| {}),
        stage(2, "plan", |it| {
            it["timestamp"] = json!("2999-01-01T00:00:00Z")
        }),
    ]);
    let half = &stage(3, "plan", |_| {}).to_string()[..200];
    home.file("evidence/consensus/S-1/spec-tasks_x_telemetry.jsonl", half);
    let one = json!({ "schemaVersion": 1, "command": "/spec-plan", "specId": "S", "sessionId": "x", "timestamp": "t" });
    home.file("evidence/commands/S-1/spec-plan_x.json", one.to_string());
    home.file("evidence/strange.bin", [0xff, 0xfe, 0x00]);
    for command in ["report", "disagreements", "adoption", "alerts"] {
        let ran = home.flowhost(&["telemetry", command]).expect(0);
        assert!(
            ran.stderr
                .contains("spec-tasks_x_telemetry.jsonl` was left out"),
            "{}",
            ran.all()
        );
        assert!(
            ran.stderr.contains("1 stage ended in the future"),
            "{}",
            ran.all()
        );
    }
    let mocked = home.flowhost(&["telemetry", "alerts", "--mock"]).expect(1);
    assert!(
        mocked.stderr.contains("leave out `--mock`"),
        "{}",
        mocked.stderr
    );
    let missing = home
        .flowhost(&["telemetry", "adoption", "--evidence", "nowhere"])
        .expect(1);
    assert!(missing.stderr.contains("nowhere"), "{}", missing.stderr);
}
