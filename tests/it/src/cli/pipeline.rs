//! What a plan says of its evidence through the built executable: the documents that it is about, the work tree that
//! it comes from, and the checks in the report. A stage of one tool does: no model is asked.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Home, Ran};

const PLAN: &str = r#"flowhost: v1
kind: workflow
name: one-stage
plugins:
  tool: { kind: tool, source: ./ok_echo.wasm, profile: deny-all }
evidence: { spec_id: SPEC-1, EVIDENCE }
steps:
  plan:
    stage: plan
    uses: tool/run
    with: { n: 4 }
    output: { schema: schema.json }
    checks:
      - { id: holds, that: "true" }
      - { id: does-not, that: "false", on_fail: warn }
"#;

/// A folder with a plan of one stage, and a schema beside it.
pub(crate) fn home(evidence: &str) -> Home {
    let home = Home::new();
    home.warm();
    home.guest("ok_echo");
    home.file("schema.json", "{}");
    home.file("plan.yaml", PLAN.replace("EVIDENCE", evidence));
    home
}

pub(crate) fn run(home: &Home, more: &[&str]) -> Ran {
    home.flowhost(&[&["run", "plan.yaml", "--json"], more].concat())
}

#[test]
fn a_document_that_is_not_there_or_is_outside_is_refused_where_it_is_named() {
    let home = home("spec: { path: spec.md }, prd: { path: ../prd.md, versio: 2 }");
    let said = run(&home, &[]).expect(1).json();
    let problems = said["problems"].to_string();
    assert!(problems.contains("unknown key `versio`"), "{said:#}");
    home.file(
        "plan.yaml",
        PLAN.replace(
            "EVIDENCE",
            "spec: { path: spec.md }, prd: { path: ../../etc/passwd }",
        ),
    );
    let said = run(&home, &[]).expect(1).json();
    let problems = said["problems"].as_array().unwrap();
    let messages: Vec<&str> = problems
        .iter()
        .map(|it| it["message"].as_str().unwrap())
        .collect();
    assert!(
        messages
            .iter()
            .any(|it| it.contains("cannot read the document")),
        "{messages:?}"
    );
    assert!(
        messages
            .iter()
            .any(|it| it.contains("cannot use the document")),
        "{messages:?}"
    );
    assert!(problems.iter().all(|it| it["line"] == 6), "{said:#}");
}

#[test]
fn the_first_record_names_the_documents_and_the_report_every_check() {
    let home = home("spec: { path: docs/spec.md, version: v7 }, governance: { path: rules.md }");
    home.file("docs/spec.md", "abc");
    home.file("rules.md", "be kind\n");
    let report = run(&home, &[]).expect(0).json();
    let start = home.records().remove(0);
    assert_eq!(
        start["documents"],
        json!({ "spec": "docs/spec.md", "governance": "rules.md" })
    );
    assert_eq!(start["documents_version"], json!({ "spec": "v7" }));
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(start["documents_sha256"]["spec"], abc, "{start:#}");
    assert_eq!(
        report["checks"],
        json!([
            { "step": "plan", "id": "does-not", "holds": false },
            { "step": "plan", "id": "holds", "holds": true },
        ])
    );
    // They travel with the run.
    std::fs::remove_file(home.path().join("rules.md")).unwrap();
    home.flowhost(&["runs", "fork", "latest", "--at", "plan"])
        .expect(0);
}

fn git(home: &Home, arguments: &[&str]) {
    let mut command = Command::new("/usr/bin/git");
    command.args(["-c", "user.name=ann", "-c", "user.email=ann@example.com"]);
    command.args(arguments).current_dir(home.path()).env_clear();
    let done = command.env("HOME", home.path()).output().unwrap();
    assert!(
        done.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
}

fn start_of(home: &Home, report: &Value) -> Value {
    let run = report["run_id"].as_str().unwrap();
    let folder = home.path().join(".flowhost/default/runs").join(run);
    home.records_of(&folder).remove(0)
}

#[test]
fn a_plan_that_requires_a_clean_work_tree_names_what_is_not_as_committed() {
    let home = home("require_clean: true");
    let outside = run(&home, &[]).expect(1);
    assert!(
        outside.all().contains("not a git repository"),
        "{}",
        outside.all()
    );
    let report = run(&home, &["--allow-dirty"]).expect(0).json();
    let start = start_of(&home, &report);
    assert_eq!(
        start["dirty"],
        json!(["plan.yaml", "schema.json"]),
        "{start:#}"
    );
    git(&home, &["init", "--quiet"]);
    git(&home, &["add", "plan.yaml"]);
    git(&home, &["commit", "--quiet", "-m", "one"]);
    // What a stranger's folder would like to be run, when somebody looks at it.
    let planted =
        "[core]\n fsmonitor = \"touch ran; false\"\n[filter \"x\"]\n clean = \"touch ran; cat\"\n";
    let config = home.read(".git/config");
    home.file(".git/config", format!("{config}{planted}"));
    home.file(".gitattributes", "* filter=x\n");
    let untracked = run(&home, &[]).expect(1);
    assert!(
        untracked
            .all()
            .contains("not as in the last commit: `schema.json`"),
        "{}",
        untracked.all()
    );
    home.file(".git/config", config.as_str());
    std::fs::remove_file(home.path().join(".gitattributes")).unwrap();
    assert!(
        !home.path().join("ran").exists(),
        "nothing of the folder's was run"
    );
    git(&home, &["add", "schema.json"]);
    git(&home, &["commit", "--quiet", "-m", "two"]);
    let clean = run(&home, &[]).expect(0).json();
    let start = start_of(&home, &clean);
    assert_eq!(start["git_commit"].as_str().unwrap().len(), 40, "{start:#}");
    assert_eq!(start["dirty"], Value::Null);
    home.file("schema.json", "{ }");
    let changed = run(&home, &[]).expect(1);
    assert!(changed.all().contains("`schema.json`"), "{}", changed.all());
    assert!(changed.all().contains("--allow-dirty"), "{}", changed.all());
    let report = run(&home, &["--allow-dirty"]).expect(0).json();
    assert_eq!(start_of(&home, &report)["dirty"], json!(["schema.json"]));
    // What another run was made of lies in no work tree.
    home.flowhost(&["runs", "fork", "latest", "--at", "plan"])
        .expect(0);
}

#[test]
fn a_commit_that_another_one_stands_in_for_is_not_the_last_one() {
    let home = home("require_clean: true");
    git(&home, &["init", "--quiet"]);
    git(&home, &["add", "plan.yaml", "schema.json"]);
    git(&home, &["commit", "--quiet", "-m", "one"]);
    home.file("schema.json", "{ }");
    git(&home, &["commit", "--quiet", "-a", "-m", "two"]);
    git(&home, &["reset", "--quiet", "--soft", "HEAD~1"]);
    git(&home, &["replace", "HEAD", "ORIG_HEAD"]);
    let refused = run(&home, &[]).expect(1);
    assert!(
        refused
            .all()
            .contains("not as in the last commit: `schema.json`"),
        "{}",
        refused.all()
    );
}

#[test]
fn there_is_nothing_to_allow_where_nothing_is_required() {
    let home = home("root: evidence");
    let refused = run(&home, &["--allow-dirty"]).expect(1);
    assert!(
        refused.all().contains("require_clean: true"),
        "{}",
        refused.all()
    );
}

#[test]
fn what_agents_said_of_a_stage_is_found_by_its_tags_when_the_run_is_gone() {
    let home = super::examples::example("spec-kit-900");
    let script: Value = serde_json::from_str(&home.read("scripts/plan/claude.json")).unwrap();
    let mut told = script.clone();
    told[0]["json"]["risks"][0]["owner"] = json!("jane.doe@example.com");
    home.file("scripts/plan/claude.json", told.to_string());
    let report = run(&home, &["--only", "plan"]).expect(0).json();
    let list = |tags: &[&str]| {
        let tags = tags.iter().flat_map(|tag| ["--tag", tag]);
        let all: Vec<&str> = ["memory", "list", "--json"]
            .into_iter()
            .chain(tags)
            .collect();
        home.flowhost(&all).expect(0).json()
    };
    let found = list(&["spec:SPEC-KIT-900", "stage:plan"]);
    let mut agents: Vec<&str> = found
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["agent"].as_str().unwrap())
        .collect();
    agents.sort_unstable();
    assert_eq!(agents, ["claude", "gemini", "gpt_pro"], "{found:#}");
    let [claude]: [Value; 1] = serde_json::from_value(list(&["agent:claude"])).unwrap();
    assert_eq!(
        (&claude["importance"], &claude["domain"]),
        (&json!(8), &json!("spec-tracker"))
    );
    let text = claude["text"].as_str().unwrap();
    assert!(
        text.contains("milestones") && !text.contains("jane.doe"),
        "{text}"
    );
    assert_eq!(list(&["stage:plan", "agent:nobody"]), json!([]));
    let records = home.records();
    let kept: Vec<&Value> = records
        .iter()
        .filter(|record| record["kind"] == "memory.write")
        .collect();
    assert_eq!(kept.len(), 3);
    let entry = claude["id"].as_str().unwrap();
    let file = home.read(&format!(".flowhost/default/memory/{entry}.json"));
    let said = kept
        .iter()
        .find(|record| record["agent"] == "claude")
        .unwrap();
    assert_eq!(said["sha256"], sha256_of(file.as_bytes()), "{said:#}");
    let run = report["run_id"].as_str().unwrap();
    home.flowhost(&["runs", "rm", run]).expect(0);
    assert_eq!(list(&[]).as_array().unwrap().len(), 3);
    let shown = home
        .flowhost(&["memory", "list", "--tag", "stage:plan"])
        .expect(0)
        .stdout;
    assert!(shown.contains("gpt_pro"), "{shown}");
    // What is no entry hides none.
    home.file(".flowhost/default/memory/large.json", "x".repeat(300 << 10));
    std::fs::create_dir(home.path().join(".flowhost/default/memory/folder.json")).unwrap();
    let told = home.flowhost(&["memory", "list", "--json"]).expect(0);
    assert_eq!(told.json().as_array().unwrap().len(), 3);
    for name in ["large.json", "folder.json"] {
        let left_out = format!("{name}` was left out");
        assert!(told.stderr.contains(&left_out), "{}", told.stderr);
    }
}

/// Of bytes, hexadecimal.
pub(super) fn sha256_of(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    let digest = sha2::Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn what_is_remembered_is_a_stage_of_the_outermost_plan_with_tags_that_are_tags() {
    let home = home("root: evidence");
    let plan = home.read("plan.yaml");
    let without = plan.replace("    stage: plan\n", "    remember: { tags: [\"a b\"] }\n");
    home.file("plan.yaml", without);
    let refused = run(&home, &[]).expect(1);
    let said = refused.all();
    assert!(said.contains("`a b` is not a tag"), "{said}");
    assert!(
        said.contains("a stage whose evidence the plan leaves"),
        "{said}"
    );
    home.file(
        "sub.yaml",
        plan.replace("stage: plan\n", "stage: plan\n    remember: {}\n"),
    );
    let outer =
        "flowhost: v1\nkind: workflow\nname: outer\nsteps:\n  all: { uses: \"plan:sub.yaml\" }\n";
    home.file("plan.yaml", outer);
    let refused = run(&home, &[]).expect(1);
    assert!(
        refused.all().contains("only stages of the outermost plan"),
        "{}",
        refused.all()
    );
}

/// Three runs of a spec, and one of another in the same folder.
fn three_runs(home: &Home) -> Vec<String> {
    let plan = home.read("plan.yaml");
    home.file("plan.yaml", plan.replace("SPEC-1", "SPEC-2"));
    run(home, &[]).expect(0);
    home.file("plan.yaml", plan);
    let mut runs = Vec::new();
    for _ in 0..3 {
        let report = run(home, &[]).expect(0).json();
        runs.push(report["run_id"].as_str().unwrap().to_owned());
        // Files are named by the second in which their stage began.
        std::thread::sleep(std::time::Duration::from_millis(1_050));
    }
    runs
}

/// Files below the evidence folder, with their bytes.
fn evidence(home: &Home, below: &str) -> std::collections::BTreeMap<String, Vec<u8>> {
    let root = home.path().join("evidence").join(below);
    let names = std::fs::read_dir(&root).into_iter().flatten();
    let files = names.map(|it| it.unwrap().path()).filter(|it| it.is_file());
    files
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read(path).unwrap())
        })
        .collect()
}

#[test]
fn older_runs_of_a_spec_go_into_archives_after_a_look_and_no_other_spec_is_touched() {
    let home = home("root: evidence");
    let runs = three_runs(&home);
    let listed = home
        .flowhost(&["evidence", "ls", "SPEC-1", "--json"])
        .expect(0)
        .json();
    let ids: Vec<&str> = listed["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["run_id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, runs, "{listed:#}");
    assert_eq!(listed["runs"][0]["stages"], json!({ "plan": "completed" }));
    let stats = home
        .flowhost(&["evidence", "stats", "--json"])
        .expect(0)
        .json();
    assert_eq!(stats["specs"][1]["runs"], 1, "{stats:#}");
    let outside = home.flowhost(&["evidence", "ls", "../SPEC-1"]).expect(1);
    assert!(
        outside.all().contains("it has that of `SPEC-1`, `SPEC-2`"),
        "{}",
        outside.all()
    );
    let unknown = home.flowhost(&["evidence", "ls", "SPEC-9"]).expect(1);
    assert!(
        unknown.all().contains("`SPEC-1`, `SPEC-2`"),
        "{}",
        unknown.all()
    );

    let before = evidence(&home, "commands/SPEC-1");
    let others = evidence(&home, "commands/SPEC-2");
    let look = home
        .flowhost(&["evidence", "prune", "SPEC-1", "--keep", "1"])
        .expect(0);
    assert!(
        look.all()
            .contains("of 2 runs would be archived and removed"),
        "{}",
        look.all()
    );
    assert_eq!(evidence(&home, "commands/SPEC-1"), before);
    let archived = [
        "evidence", "archive", "SPEC-1", "--keep", "1", "--yes", "--json",
    ];
    let archived = home.flowhost(&archived).expect(0).json();
    assert_eq!(evidence(&home, "commands/SPEC-1"), before, "they stay");
    let first = evidence(&home, "archive");
    assert_eq!(first.len(), 4, "two archives, each with its hash");
    for put in archived["archived"].as_array().unwrap() {
        let name = put["path"]
            .as_str()
            .unwrap()
            .strip_prefix("archive/")
            .unwrap();
        let beside = String::from_utf8(first[&format!("{name}.sha256")].clone()).unwrap();
        assert_eq!(
            beside,
            format!("{}  {name}\n", put["sha256"].as_str().unwrap())
        );
        let files = flowhost_ledger::packed(&first[name]).unwrap();
        assert_eq!(files.len() as u64, put["files"].as_u64().unwrap());
        assert!(
            files.keys().all(|it| it.starts_with("commands/SPEC-1/")),
            "{files:?}"
        );
    }
    // As a kill would leave it: some files are gone, and the archive has them all.
    let v1 = before.keys().find(|name| name.contains(&runs[0])).unwrap();
    std::fs::remove_file(home.path().join("evidence/commands/SPEC-1").join(v1)).unwrap();
    let prune = ["evidence", "prune", "SPEC-1", "--keep", "1", "--yes"];
    home.flowhost(&prune).expect(0);
    assert_eq!(evidence(&home, "archive"), first, "the same bytes");
    let left = home
        .flowhost(&["evidence", "ls", "SPEC-1", "--json"])
        .expect(0)
        .json();
    assert_eq!(left["runs"].as_array().unwrap().len(), 1, "{left:#}");
    assert_eq!(left["archives"].as_array().unwrap().len(), 2);
    assert_eq!(evidence(&home, "commands/SPEC-2"), others);
}

#[test]
fn a_plan_that_keeps_so_many_runs_has_older_ones_archived_before_it_begins_and_on_record() {
    let home = home("root: evidence");
    let runs = three_runs(&home);
    let plan = home.read("plan.yaml");
    home.file("plan.yaml", plan.replace("root: evidence", "keep_runs: 2"));
    let lock = home.path().join("evidence/.locks/SPEC-1.lock");
    let lock = std::fs::File::open(lock).unwrap();
    lock.lock().unwrap();
    let refused = home.flowhost(&["evidence", "prune", "SPEC-1", "--keep", "1", "--yes"]);
    assert!(refused.expect(1).all().contains("holds its lock"));
    drop(lock);
    let report = run(&home, &[]).expect(0).json();
    let listed = home
        .flowhost(&["evidence", "ls", "SPEC-1", "--json"])
        .expect(0)
        .json();
    let ids: Vec<&str> = listed["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["run_id"].as_str().unwrap())
        .collect();
    let newest = report["run_id"].as_str().unwrap();
    assert_eq!(ids, [&runs[1], &runs[2], newest], "{listed:#}");
    let folder = home.path().join(".flowhost/default/runs").join(newest);
    let records = home.records_of(&folder);
    let told = records.iter().find(|record| {
        record["path"]
            .as_str()
            .is_some_and(|path| path.starts_with("archive/SPEC-1_"))
    });
    let archive = listed["archives"][0]["path"].as_str().unwrap();
    assert_eq!(told.unwrap()["path"], archive);
    home.flowhost(&["verify", "latest"]).expect(0);
}

#[test]
fn a_stage_over_the_limit_of_a_spec_does_not_start_in_the_middle_of_a_run_either() {
    let home = home("warn_mb: 1, max_mb: 1");
    let more = "  tasks: { stage: tasks, needs: [plan], uses: tool/run, with: { n: 1 } }\n";
    home.file("plan.yaml", home.read("plan.yaml") + more);
    // What the first stage leaves is more than what is left.
    home.file("evidence/consensus/SPEC-1/old.txt", vec![b'x'; 999_900]);
    let report = run(&home, &[]).expect(7).json();
    assert_eq!(report["steps"]["plan"]["status"], "ok", "{report:#}");
    let why = report["error"]["message"].as_str().unwrap();
    assert!(why.contains("more than its 1 MB"), "{why}");
    assert!(
        report["error"]["hint"]
            .as_str()
            .unwrap()
            .contains("evidence prune"),
        "{report:#}"
    );
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("over 1 MB no stage starts"), "{warnings}");
}

#[test]
fn no_link_in_an_evidence_folder_leads_a_command_or_a_run_elsewhere() {
    use std::os::unix::fs::symlink;

    let home = home("root: evidence");
    run(&home, &[]).expect(0);
    let at = |path: &str| home.path().join(path);
    home.file("victim", "as it was");
    let refused = |arguments: &[&str], name: &str| {
        let said = home.flowhost(arguments).expect(1).all();
        let wanted = format!("`{name}` is a symbolic link");
        assert!(said.contains(&wanted), "{arguments:?}: {said}");
        assert_eq!(home.read("victim"), "as it was");
    };
    let prune = ["evidence", "prune", "SPEC-1", "--keep", "0", "--yes"];

    // A lock that is a link would be emptied.
    let lock = at("evidence/.locks/SPEC-1.lock");
    std::fs::remove_file(&lock).unwrap();
    symlink("../../victim", &lock).unwrap();
    refused(&prune, "SPEC-1.lock");
    refused(&["run", "plan.yaml"], "SPEC-1.lock");
    std::fs::remove_file(&lock).unwrap();

    // What the spec cost would be any file.
    let costs = at("evidence/costs/SPEC-1_cost_summary.json");
    let kept = std::fs::read(&costs).unwrap();
    std::fs::remove_file(&costs).unwrap();
    symlink("../../victim", &costs).unwrap();
    let name = "SPEC-1_cost_summary.json";
    for packet in ["kit", "audit"] {
        refused(&["evidence", packet, "SPEC-1", "--out", "packet.zip"], name);
    }
    let baseline = ["evidence", "baseline", "SPEC-1", "--name", "before"];
    refused(&baseline, name);
    std::fs::remove_file(&costs).unwrap();
    std::fs::write(&costs, kept).unwrap();

    // Another spec's files would be taken for those of this one.
    let before = evidence(&home, "commands/SPEC-1");
    std::fs::create_dir_all(at("evidence/commands/EVIL")).unwrap();
    std::fs::create_dir_all(at("evidence/consensus")).unwrap();
    symlink("../commands/SPEC-1", at("evidence/consensus/EVIL")).unwrap();
    let evil = ["evidence", "prune", "EVIL", "--keep", "0", "--yes"];
    refused(&evil, "EVIL");
    assert_eq!(evidence(&home, "commands/SPEC-1"), before);

    // A run would write outside.
    for folder in ["evidence/costs", "evidence"] {
        std::fs::rename(at(folder), at("outside")).unwrap();
        let files = || std::fs::read_dir(at("outside")).unwrap().count();
        let there = files();
        symlink(at("outside"), at(folder)).unwrap();
        let name = folder.rsplit('/').next().unwrap();
        refused(&["run", "plan.yaml"], name);
        assert_eq!(files(), there);
        std::fs::remove_file(at(folder)).unwrap();
        std::fs::rename(at("outside"), at(folder)).unwrap();
    }
}
