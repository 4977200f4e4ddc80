//! `examples/spec-kit-900` through the built executable: the whole scenario offline, with what it leaves,
//! and with a conflict and an absence that were planted.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::examples::example;
use crate::support::{Home, Ran};

fn run(home: &Home) -> Ran {
    home.flowhost(&["run", "plan.yaml", "--json", "--seed", "7"])
}

/// All files of the evidence, by their paths below it.
fn evidence(home: &Home) -> BTreeMap<String, String> {
    let root = home.path().join("evidence");
    let mut files = BTreeMap::new();
    collect(&root, &root, &mut files);
    files
}

fn collect(root: &Path, folder: &Path, files: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            let name = path.strip_prefix(root).unwrap().display().to_string();
            files.insert(name, std::fs::read_to_string(&path).unwrap());
        }
    }
}

/// The only file whose path begins and ends so.
fn one<'a>(files: &'a BTreeMap<String, String>, begin: &str, end: &str) -> &'a str {
    let found: Vec<_> = files
        .iter()
        .filter(|(name, _)| name.starts_with(begin) && name.ends_with(end))
        .collect();
    assert_eq!(found.len(), 1, "{begin}…{end}: {:?}", files.keys());
    found[0].1
}

fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn the_scenario_is_replayed_without_its_files_and_without_a_model() {
    let home = example("spec-kit-900");
    run(&home).expect(0);
    super::again::forget(&home);
    let replayed = super::again::replays(&home);
    assert!(replayed["calls"].as_u64().unwrap() > 9, "{replayed:#}");
}

#[test]
fn the_scenario_agrees_and_leaves_valid_evidence_of_every_stage() {
    let home = example("spec-kit-900");
    let report = run(&home).expect(0).json();
    assert_eq!(report["outputs"]["consensus_ok"], true, "{report:#}");
    assert_eq!(report["outputs"]["conflicts"], json!([]));
    assert_eq!(report["warnings"], json!([]));
    let files = evidence(&home);
    for stage in ["plan", "tasks", "validate"] {
        let begin = format!("consensus/SPEC-KIT-900/spec-{stage}_20");
        let line = read(one(&files, &begin, "_telemetry.jsonl"));
        assert_eq!(line["schemaVersion"], "2.0");
        assert_eq!(line["consensus"]["status"], "ok");
        assert!(
            line["consensus"]["total_tokens"].as_u64().unwrap() > 0,
            "{line:#}"
        );
        assert_eq!(line["consensus"]["total_cost_usd"], 0.0);
        assert_eq!(line["consensus"]["agents"].as_array().unwrap().len(), 4);
        assert_eq!(line["runProfile"], "cheap-tier");
        for agent in ["gemini", "claude", "gpt_pro"] {
            let metrics = read(one(&files, &begin, &format!("Z_{agent}_metrics.json")));
            assert!(
                metrics["prompt_tokens"].as_u64().unwrap() > 0,
                "{metrics:#}"
            );
            assert!(metrics["completion_tokens"].as_u64().unwrap() > 0);
            let answer = read(one(&files, &begin, &format!("Z_{agent}.json")));
            assert_eq!(answer["stage"], stage);
            let prompt = one(&files, &begin, &format!("_prompt_{agent}.txt"));
            assert!(prompt.contains("[user]"), "{prompt}");
        }
        let verdict = read(one(&files, &begin, "_verdict.json"));
        assert_eq!(
            (&verdict["consensus_ok"], &verdict["conflicts"]),
            (&json!(true), &json!([]))
        );
        assert_eq!(verdict["artifacts"].as_array().unwrap().len(), 4);
        let synthesis =
            read(&files[&format!("consensus/SPEC-KIT-900/spec-{stage}_synthesis.json")]);
        assert_eq!(synthesis["output"]["stage"], stage);
        let life = one(
            &files,
            &format!("commands/SPEC-KIT-900/spec-{stage}_lifecycle_"),
            ".jsonl",
        );
        let events: Vec<Value> = life
            .lines()
            .map(|line| read(line)["event"].clone())
            .collect();
        assert_eq!(
            events,
            ["queued", "dispatched", "checking_consensus", "completed"]
        );
    }
    let costs = read(&files["costs/SPEC-KIT-900_cost_summary.json"]);
    assert_eq!(
        (&costs["per_stage"]["plan"], &costs["per_stage"]["audit"]),
        (&json!(0.0), &Value::Null)
    );
    assert_eq!(costs["total_calls"], 12);
    let judged = home.flowhost(&["telemetry", "validate", "evidence", "--json"]);
    let judged = judged.expect(0).json();
    assert_eq!(judged["invalid"], 0, "{judged:#}");
    assert!(judged["valid"].as_u64().unwrap() > 30);
    home.flowhost(&["verify", "latest"]).expect(0);
    let named = home
        .records()
        .iter()
        .filter(|it| it["root"] == "evidence")
        .count();
    assert!(
        named >= files.len() - 1,
        "every file but the lock is named by a record"
    );
}

#[test]
fn a_planted_conflict_ends_with_2_and_leaves_its_synthesis() {
    let home = example("spec-kit-900");
    let script = home.read("scripts/plan/claude.json");
    let mut script = read(&script);
    let risk = |name: &str| {
        json!({ "risk": name, "kind": "process", "impact": "low",
        "probability": "low", "owner": "nobody", "mitigation": "none" })
    };
    script[0]["json"]["risks"] = json!([risk("weather"), risk("strikes"), risk("moon phases")]);
    home.file("scripts/plan/claude.json", script.to_string());
    let report = run(&home).expect(2).json();
    assert_eq!(report["status"], "conflict", "{report:#}");
    let told = report["warnings"].to_string();
    for file in ["Z_synthesis.json", "Z_telemetry.jsonl"] {
        assert!(told.contains(file), "{file}: {told}");
    }
    let files = evidence(&home);
    let synthesis = read(&files["consensus/SPEC-KIT-900/spec-plan_synthesis.json"]);
    assert_eq!(synthesis["status"], "conflict");
    let conflict = &synthesis["consensus"]["conflicts"][0];
    assert!(
        conflict["positions"]["claude"]
            .as_str()
            .unwrap()
            .contains("moon phases"),
        "{conflict:#}"
    );
    assert!(
        !files.keys().any(|name| name.contains("spec-tasks")),
        "the next stage never began"
    );
    home.flowhost(&["telemetry", "validate", "evidence"])
        .expect(0);
}

#[test]
fn a_planted_absence_ends_with_3_and_is_accepted_where_the_plan_says_so() {
    let home = example("spec-kit-900");
    let failing = json!([{ "error": { "class": "refused", "message": "out of order" } }]);
    let before = home.read("scripts/plan/gemini.json");
    home.file("scripts/plan/gemini.json", failing.to_string());
    let report = run(&home).expect(3).json();
    assert_eq!(
        report["steps"]["plan"]["consensus"]["missing_agents"],
        json!(["gemini"]),
        "{report:#}"
    );
    let files = evidence(&home);
    let metrics = read(one(&files, "consensus/", "_gemini_metrics.json"));
    assert_eq!(metrics["status"], "error");
    assert_eq!(
        metrics["completion_tokens"],
        Value::Null,
        "unknown is null and not 0"
    );
    home.flowhost(&["telemetry", "validate", "evidence"])
        .expect(0);
    home.file("scripts/plan/gemini.json", before);
    home.file("scripts/validate/gemini.json", failing.to_string());
    let report = run(&home).expect(0).json();
    assert_eq!(report["outputs"]["consensus_ok"], false);
    let warnings = report["warnings"].to_string();
    assert!(
        warnings.contains("a degraded consensus was accepted"),
        "{warnings}"
    );
}

#[test]
fn two_runs_do_not_write_the_evidence_of_one_spec_and_too_much_of_it_starts_nothing() {
    let home = example("spec-kit-900");
    home.file(
        "evidence/.locks/SPEC-KIT-900.lock",
        "01KBGHJKMNPQRSTVWXYZ012345",
    );
    let lock = std::fs::File::open(home.path().join("evidence/.locks/SPEC-KIT-900.lock")).unwrap();
    lock.lock().unwrap();
    let ran = run(&home).expect(1);
    assert!(
        ran.all().contains("01KBGHJKMNPQRSTVWXYZ012345"),
        "{}",
        ran.all()
    );
    drop(lock);
    home.file(
        "evidence/consensus/SPEC-KIT-900/old.txt",
        vec![b'x'; 26_000_000],
    );
    let ran = run(&home).expect(7);
    assert!(ran.all().contains("more than its 25 MB"), "{}", ran.all());
    std::fs::remove_dir_all(home.path().join("evidence/consensus/SPEC-KIT-900")).unwrap();
    home.file("evidence/consensus/SPEC-KIT-900", "not a folder");
    let ran = run(&home).expect(1);
    assert!(ran.all().contains("cannot be written"), "{}", ran.all());
}
