//! `examples/spec-kit-900` through the built executable: the whole scenario offline, with what it leaves,
//! and with a conflict and an absence that were planted.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use flowhost_flow::OutputSchema;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::examples::example;
use crate::support::{Home, Ran, repository};

const STAGES: [&str; 6] = ["plan", "tasks", "implement", "validate", "audit", "unlock"];

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

fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
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
    assert_eq!(report["outputs"]["decision"], "unlock");
    // Every output is as long as is wanted of a stage.
    assert_eq!(report["warnings"], json!([]), "{:#}", report["warnings"]);
    let fixture = home.read("fixtures/tasks.md");
    let rows = report["outputs"]["task_table"].as_array().unwrap();
    assert_eq!(rows.len(), 9);
    for line in rows {
        let line = line.as_str().unwrap();
        assert!(fixture.contains(line), "{line}");
    }
    let graph = report["outputs"]["task_graph"].as_array().unwrap();
    let graph: Vec<_> = graph.iter().map(|line| line.as_str().unwrap()).collect();
    assert!(fixture.contains(&graph.join("\n")), "{graph:#?}");
    let files = evidence(&home);
    for stage in STAGES {
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
        let guardrail = &line["guardrail"];
        assert_eq!(guardrail["prefilter_status"], "pass");
        assert!(guardrail["latency_ms"].is_u64(), "{guardrail:#}");
        assert_eq!(
            guardrail["cost_usd"], 0.0,
            "words are looked for, and no model is asked"
        );
        for agent in ["gemini", "claude", "gpt_pro"] {
            let metrics = read(one(&files, &begin, &format!("Z_{agent}_metrics.json")));
            assert!(
                metrics["prompt_tokens"].as_u64().unwrap() > 0,
                "{metrics:#}"
            );
            assert!(metrics["completion_tokens"].as_u64().unwrap() > 0);
            assert_eq!(metrics["prompt_sha256"], line["promptSha256"]);
            let answer = read(one(&files, &begin, &format!("Z_{agent}.json")));
            assert_eq!(answer["stage"], stage);
            let prompt = one(&files, &begin, &format!("_prompt_{agent}.txt"));
            assert!(prompt.contains("[user]"), "{prompt}");
        }
        let version = line["promptVersion"].as_str().unwrap();
        assert!(
            version.starts_with(&format!("20261126-{stage}-")),
            "{version}"
        );
        let prompt = std::fs::read(home.path().join(format!("prompts/spec-{stage}.md"))).unwrap();
        assert_eq!(line["promptSha256"], sha256(&prompt));
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
    for stage in STAGES {
        assert_eq!(costs["per_stage"][stage], 0.0);
    }
    assert_eq!(costs["total_calls"], 24);
    let judged = home.flowhost(&["telemetry", "validate", "evidence", "--json"]);
    let judged = judged.expect(0).json();
    assert_eq!(judged["invalid"], 0, "{judged:#}");
    assert!(judged["valid"].as_u64().unwrap() > 60);
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
    let risk = |name: &str, kind: &str| {
        json!({ "risk": name, "kind": kind, "impact": "low",
        "probability": "low", "owner": "nobody", "mitigation": "none",
        "sign": "none", "if_it_happens": "nothing" })
    };
    script[0]["json"]["risks"] = json!([
        risk("weather", "technical"),
        risk("strikes", "process"),
        risk("moon phases", "operational"),
    ]);
    home.file("scripts/plan/claude.json", script.to_string());
    let report = run(&home).expect(2).json();
    assert_eq!(report["status"], "conflict", "{report:#}");
    let why = report["error"]["message"].to_string();
    for position in [
        "claude says",
        "moon phases; strikes; weather",
        "gemini says",
        "clock drift",
    ] {
        assert!(why.contains(position), "{position}: {why}");
    }
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
fn an_answer_that_looks_like_a_file_of_the_hosts_does_not_end_the_run() {
    let home = example("spec-kit-900");
    let mut schema = read(&home.read("schemas/plan.schema.json"));
    schema["additionalProperties"] = json!(true);
    home.file("schemas/plan.schema.json", schema.to_string());
    let mut script = read(&home.read("scripts/plan/gemini.json"));
    script[0]["json"]["schemaVersion"] = json!("2.0");
    home.file("scripts/plan/gemini.json", script.to_string());
    run(&home).expect(0);
    let files = evidence(&home);
    let answer = read(one(
        &files,
        "consensus/SPEC-KIT-900/spec-plan_2",
        "_gemini.json",
    ));
    assert_eq!(answer["schemaVersion"], "2.0");
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
    let shown = home.flowhost(&["runs", "show", "latest", "--step", "plan"]);
    let shown = shown.expect(0).stdout;
    let line = |who: &str| shown.lines().find(|line| line.trim().starts_with(who));
    let claude = line("claude ").unwrap();
    for part in [
        "mock/claude",
        "evidence/consensus/SPEC-KIT-900/spec-plan_2",
        "_claude.json",
    ] {
        assert!(claude.contains(part), "{part}: {claude}");
    }
    let gemini = line("gemini ").unwrap();
    assert!(!gemini.contains("evidence/"), "{gemini}");
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
    assert!(ran.all().contains("evidence.root"), "{}", ran.all());
}

#[test]
fn a_word_that_leads_the_reader_stops_the_run_before_anybody_is_asked() {
    let home = example("spec-kit-900");
    let prompt = home.read("prompts/spec-audit.md");
    home.file(
        "prompts/spec-audit.md",
        format!("{prompt}\nObviously it may be unlocked.\n"),
    );
    let report = run(&home).expect(4).json();
    let told = report["error"].to_string();
    assert!(told.contains("obviously"), "{told}");
    assert!(!home.path().join("evidence/consensus").exists());
    // In an answer it is a warning, and the record says who said it.
    home.file("prompts/spec-audit.md", prompt);
    for agent in ["gemini", "claude", "gpt_pro"] {
        let script = home.read(&format!("scripts/unlock/{agent}.json"));
        let script = script.replace("under 98 percent", "of course under 98 percent");
        home.file(&format!("scripts/unlock/{agent}.json"), script);
    }
    let script = home.read("scripts/unlock/gpt_pro.json");
    home.file(
        "scripts/unlock/gpt_pro.json",
        script.replace("less than 98 percent", "of course less than 98 percent"),
    );
    let report = run(&home).expect(0).json();
    let told = report["warnings"].to_string();
    assert!(told.contains("banned word `of course`"), "{told}");
}

#[test]
fn a_finding_in_no_condition_unlocks_nothing_and_one_out_of_its_place_is_told() {
    let home = example("spec-kit-900");
    let mut audit = read(&home.read("scripts/audit/gpt_pro.json"));
    let findings = &mut audit[0]["json"]["output"]["findings"];
    findings.as_array_mut().unwrap().reverse();
    home.file("scripts/audit/gpt_pro.json", audit.to_string());
    let mut unlock = read(&home.read("scripts/unlock/gpt_pro.json"));
    let conditions = &mut unlock[0]["json"]["output"]["conditions"];
    let mut conditions = conditions.as_array_mut().unwrap().iter_mut();
    let naming = conditions.find(|it| it["proof"]["source"] == "F1, F2");
    naming.unwrap()["proof"]["source"] = json!("F2, F10");
    home.file("scripts/unlock/gpt_pro.json", unlock.to_string());
    let report = run(&home).expect(4).json();
    let why = report["error"].to_string();
    assert!(why.contains("every-finding-is-in-a-condition"), "{why}");
    let told = report["warnings"].to_string();
    assert!(told.contains("the-worst-stands-first"), "{told}");
}

/// What a stage demands, each as the change of a good answer that breaks it.
const DEMANDS: &[(&str, &str, &str)] = &[
    ("plan", "/milestones/2", "DELETE"),
    ("plan", "/milestones/0/date", "\"2027-13-29\""),
    ("plan", "/milestones/0/owner", "DELETE"),
    ("plan", "/risks/0/kind", "\"technical\""),
    ("plan", "/risks/0/impact", "\"huge\""),
    ("plan", "/risks/0/probability", "DELETE"),
    ("plan", "/risks/0/owner", "\"\""),
    ("plan", "/success_metrics/latency", "\"quick\""),
    ("plan", "/success_metrics/telemetry_coverage", "DELETE"),
    ("plan", "/assumptions", "[]"),
    ("plan", "/non_goals", "DELETE"),
    ("plan", "/definitions/0/meaning", "DELETE"),
    ("plan", "/first_step", "DELETE"),
    ("plan", "/milestones/0/exit_criteria", "[]"),
    ("plan", "/risks/0/sign", "DELETE"),
    ("plan", "/product_numbers", "[\"few reports\"]"),
    ("plan", "/decisions/0/due", "DELETE"),
    ("plan", "/schedule", "[]"),
    ("tasks", "/tasks/6/team", "DELETE"),
    ("tasks", "/tasks/0/covers", "[]"),
    ("tasks", "/tasks/6/cross_team", "false"),
    ("tasks", "/tasks/0/owner_role", "DELETE"),
    ("tasks", "/tasks/0/deliverable", "DELETE"),
    ("tasks", "/tasks/0/definition_of_done", "DELETE"),
    ("tasks", "/tasks/0/depends_on", "[\"first\"]"),
    ("tasks", "/tasks/0/parallel", "\"no\""),
    ("tasks", "/tasks/0/security_review", "DELETE"),
    ("tasks", "/tasks", "[]"),
    ("tasks", "/tasks/6/agree_by", "DELETE"),
    ("tasks", "/tasks/0/due", "\"soon\""),
    ("tasks", "/tasks/0/if_late", "DELETE"),
    ("tasks", "/tasks/0/security_reason", "DELETE"),
    ("implement", "/changes/0/tests", "[]"),
    ("implement", "/changes/0/reviewed_by", "DELETE"),
    ("implement", "/data_changes/0/back", "DELETE"),
    ("implement", "/interfaces/0/errors", "[]"),
    ("implement", "/interfaces/0/errors/0/then", "DELETE"),
    ("implement", "/open_points/0/due", "\"later\""),
    ("implement", "/changes/0/review_asks", "DELETE"),
    ("implement", "/order", "DELETE"),
    ("validate", "/definitions", "[]"),
    ("validate", "/unit/0/passes_when", "DELETE"),
    ("validate", "/kpis/0/owner", "DELETE"),
    ("validate", "/kpis/0/counted", "DELETE"),
    ("validate", "/running_cost", "[]"),
    ("validate", "/not_shown", "DELETE"),
    ("validate", "/unit/0/task", "DELETE"),
    ("validate", "/load/0/test", "\"a lot\""),
    ("validate", "/unit", "[]"),
    ("validate", "/integration", "DELETE"),
    ("validate", "/load", "[\"a lot\"]"),
    ("validate", "/kpis/0/alert_threshold", "\"too slow\""),
    ("validate", "/rollback_trigger", "\"when it is bad\""),
    ("validate", "/running_cost_usd_month", "\"cheap\""),
    ("audit", "/controls/0/proof", "DELETE"),
    ("audit", "/controls/0/verdict", "\"fine\""),
    // A test that is planned proves nothing yet.
    ("audit", "/controls/0/verdict", "\"pass\""),
    ("audit", "/controls/0/proof/kind", "\"believed\""),
    ("audit", "/findings/0/before_percent", "DELETE"),
    ("audit", "/findings/0/due", "\"soon\""),
    ("audit", "/recommendation", "\"maybe\""),
    ("audit", "/controls/0/missing", "DELETE"),
    ("audit", "/findings/0/closed_by", "DELETE"),
    ("audit", "/not_looked_at", "[]"),
    ("unlock", "/rollout/0/share_percent", "110"),
    ("unlock", "/rollback/minutes", "DELETE"),
    ("unlock", "/sign_off/2", "DELETE"),
    ("unlock", "/conditions/0/met", "\"yes\""),
    ("unlock", "/conditions/0/proof/kind", "\"planned\""),
    ("unlock", "/conditions/1/met", "true"),
    ("unlock", "/conditions/1/before_percent", "DELETE"),
    ("unlock", "/sign_off/0/confirms", "DELETE"),
    ("unlock", "/sign_off/0/by", "DELETE"),
    ("unlock", "/rollout/0/begins", "\"soon\""),
    ("unlock", "/rollout/0/otherwise", "DELETE"),
    ("unlock", "/conditions/0/if_not_met", "DELETE"),
];

#[test]
fn what_a_stage_demands_its_schema_enforces() {
    let folder = repository().join("examples/spec-kit-900");
    let read_file = |name: String| read(&std::fs::read_to_string(folder.join(name)).unwrap());
    for stage in STAGES {
        let schema = read_file(format!("schemas/{stage}.schema.json"));
        let schema = OutputSchema::compile(schema).unwrap();
        for agent in ["gemini", "claude", "gpt_pro"] {
            for entry in read_file(format!("scripts/{stage}/{agent}.json"))
                .as_array()
                .unwrap()
            {
                let answer = &entry["json"];
                let answer = answer.get("output").unwrap_or(answer);
                assert_eq!(schema.violations(answer), None, "{stage}, {agent}");
            }
        }
        // The answer with just the risks and the touchpoints that are asked for.
        let mut good = read_file(format!("scripts/{stage}/claude.json"))[0]["json"].clone();
        if stage == "plan" {
            let risks = good["risks"].as_array().unwrap();
            let kinds = ["process", "operational", "technical"];
            let of = |kind: &&str| {
                risks
                    .iter()
                    .find(|it| it["kind"] == **kind)
                    .unwrap()
                    .clone()
            };
            good["risks"] = kinds.iter().map(of).collect();
        }
        assert_eq!(schema.violations(&good), None, "{stage}");
        for (of, pointer, change) in DEMANDS.iter().filter(|(of, _, _)| *of == stage) {
            let mut bad = good.clone();
            break_at(&mut bad, pointer, change);
            assert!(schema.violations(&bad).is_some(), "{of} {pointer} {change}");
        }
    }
}

/// Texts of four words and more, anywhere in an answer: shorter ones are names and dates, which are shared.
fn sentences(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) if text.split_whitespace().count() >= 4 => {
            found.insert(text.clone());
        }
        Value::Array(items) => items.iter().for_each(|it| sentences(it, found)),
        Value::Object(members) => members.values().for_each(|it| sentences(it, found)),
        _ => {}
    }
}

#[test]
fn no_agent_repeats_another_and_the_arbiter_names_all_three() {
    const AGENTS: [&str; 3] = ["gemini", "claude", "gpt_pro"];
    let folder = repository().join("examples/spec-kit-900/scripts");
    for stage in STAGES {
        let script = |agent: &str| {
            read(&std::fs::read_to_string(folder.join(format!("{stage}/{agent}.json"))).unwrap())
        };
        let said = AGENTS.map(|agent| {
            let script = script(agent);
            let mut entries = script.as_array().unwrap().iter();
            let own = entries.find(|it| it["json"].get("output").is_none());
            let mut found = BTreeSet::new();
            sentences(&own.unwrap()["json"], &mut found);
            found
        });
        for (one, other) in [(0, 1), (0, 2), (1, 2)] {
            let same = said[one].intersection(&said[other]).count();
            let shorter = said[one].len().min(said[other].len());
            // Requirements of the specification and names of the plan are what all of them quote.
            assert!(
                same * 5 <= shorter,
                "{stage}: {} and {} share {same} of {shorter}",
                AGENTS[one],
                AGENTS[other]
            );
        }
        let agreements = script("gpt_pro")[0]["json"]["agreements"].to_string();
        for agent in AGENTS {
            assert!(agreements.contains(agent), "{stage}: {agent}: {agreements}");
        }
    }
}

#[test]
fn risks_have_short_names_and_a_team_reviews_the_task_that_touches_it() {
    let folder = repository().join("examples/spec-kit-900/scripts");
    let answers = |stage: &str| -> Vec<Value> {
        let mut found = Vec::new();
        for agent in ["gemini", "claude", "gpt_pro"] {
            let path = folder.join(format!("{stage}/{agent}.json"));
            let script = read(&std::fs::read_to_string(path).unwrap());
            for entry in script.as_array().unwrap() {
                let answer = &entry["json"];
                found.push(answer.get("output").unwrap_or(answer).clone());
            }
        }
        found
    };
    for plan in answers("plan") {
        for risk in plan["risks"].as_array().unwrap() {
            let words = risk["risk"].as_str().unwrap().split_whitespace().count();
            assert!((2..=4).contains(&words), "{risk:#}");
        }
    }
    // The arbiter's, which are what the next stage is given.
    let tasks = answers("tasks").swap_remove(2);
    let mut touching = 0;
    for task in tasks["tasks"].as_array().unwrap() {
        let Some(team) = task["team"].as_str() else {
            continue;
        };
        touching += 1;
        for built in answers("implement") {
            let changes = built["changes"].as_array().unwrap();
            let change = changes.iter().find(|it| it["task"] == task["id"]).unwrap();
            let reviewer = change["reviewed_by"].as_str().unwrap();
            assert!(reviewer.contains(team), "{team}: {change:#}");
        }
    }
    assert!(touching >= 2, "{tasks:#}");
}

/// Replaces what stands at the pointer, or takes it out.
fn break_at(value: &mut Value, pointer: &str, change: &str) {
    if change != "DELETE" {
        *value.pointer_mut(pointer).unwrap() = read(change);
        return;
    }
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    match value.pointer_mut(parent).unwrap() {
        Value::Array(items) => drop(items.remove(last.parse().unwrap())),
        Value::Object(members) => drop(members.remove(last).unwrap()),
        other => panic!("{pointer}: {other}"),
    }
}

#[test]
fn work_that_is_simple_is_done_by_one_agent_alone_and_its_evidence_says_so() {
    let home = example("spec-kit-900");
    let run = ["run", "plan.yaml", "--json", "--input", "variant=adaptive"];
    let report = home.flowhost(&run).expect(0).json();
    assert_eq!(report["outputs"]["consensus_ok"], true, "{report:#}");
    let verdict = &report["steps"]["audit"]["consensus"];
    assert_eq!(verdict["participation"]["expected"], 1, "{verdict:#}");
    assert_eq!(
        verdict["notes"],
        json!(["selection: simple, 9 tasks: 1 of 3 agents"])
    );
    let files = evidence(&home);
    let costs = read(&files["costs/SPEC-KIT-900_cost_summary.json"]);
    assert_eq!(costs["total_calls"], 12);
    let begin = "consensus/SPEC-KIT-900/spec-audit_20";
    let line = read(one(&files, begin, "_telemetry.jsonl"));
    assert_eq!(line["consensus"]["agents"].as_array().unwrap().len(), 1);
    assert!(
        !files
            .keys()
            .any(|it| it.starts_with(begin) && it.contains("claude"))
    );
    home.flowhost(&["telemetry", "validate", "evidence"])
        .expect(0);
    super::again::forget(&home);
    super::again::replays(&home);
}
