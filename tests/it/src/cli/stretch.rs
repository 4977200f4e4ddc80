//! A part of a plan: a stage alone, the stages from one on, and what an earlier run gave to them.

use serde_json::{Value, json};

use super::again::replays;
use super::examples::example;
use crate::support::{Home, Ran};

fn run(home: &Home, more: &[&str]) -> Ran {
    home.flowhost(&[&["run", "plan.yaml", "--json"], more].concat())
}

fn runs(home: &Home) -> usize {
    let list = home.flowhost(&["runs", "list", "--json"]).expect(0).json();
    list.as_array().unwrap().len()
}

/// The first record of the run that this is the report of.
fn start(home: &Home, report: &Value) -> Value {
    let run = report["run_id"].as_str().unwrap();
    let path = format!(".flowhost/default/runs/{run}/seg-00000000.jsonl");
    serde_json::from_str(home.read(&path).lines().next().unwrap()).unwrap()
}

/// Files of this stage's telemetry.
fn telemetry(home: &Home, stage: &str) -> Vec<String> {
    let folder = home.path().join("evidence/consensus/SPEC-KIT-900");
    let names = std::fs::read_dir(folder).unwrap();
    let names = names.map(|it| it.unwrap().file_name().into_string().unwrap());
    let begin = format!("spec-{stage}_20");
    names
        .filter(|it| it.starts_with(&begin) && it.ends_with("_telemetry.jsonl"))
        .collect()
}

#[test]
fn a_stage_without_a_run_that_leads_to_it_is_refused_and_nothing_is_recorded() {
    let home = example("spec-kit-900");
    let refused = run(&home, &["--from", "tasks"]).expect(1);
    let said = refused.all();
    assert!(
        said.contains("has no run of `spec-kit-900` for SPEC-KIT-900"),
        "{said}"
    );
    assert!(said.contains("run the plan whole once"), "{said}");
    let refused = run(&home, &["--only", "deploy"]).expect(1);
    assert!(
        refused
            .all()
            .contains("its stages: `audit`, `implement`, `plan`"),
        "{}",
        refused.all()
    );
    assert_eq!(runs(&home), 0);
    run(&home, &["--only", "plan"]).expect(0);
    let refused = run(&home, &["--from", "validate"]).expect(1);
    let said = refused.all();
    assert!(said.contains("`validate` never ran there"), "{said}");
    assert!(
        said.contains("begin at one of them, or run the plan whole"),
        "{said}"
    );
    assert_eq!(runs(&home), 1);
}

#[test]
fn stages_run_one_by_one_each_on_what_the_one_before_gave() {
    let home = example("spec-kit-900");
    let plan = run(&home, &["--only", "plan", "--note", "first try"])
        .expect(0)
        .json();
    assert_eq!(plan["steps"]["tasks"]["status"], "skipped", "{plan:#}");
    let outputs: Vec<&String> = plan["outputs"].as_object().unwrap().keys().collect();
    assert_eq!(
        outputs,
        ["cost_usd", "plan"],
        "others would read what was left out"
    );
    let record = start(&home, &plan);
    assert_eq!(
        (&record["only"], &record["note"], &record["spec"]),
        (&json!("plan"), &json!("first try"), &json!("SPEC-KIT-900"))
    );
    let shown = home.flowhost(&["runs", "show", "latest"]).expect(0).stdout;
    assert!(shown.contains("note: first try"), "{shown}");
    assert!(shown.contains("was to do `plan` only"), "{shown}");
    replays(&home);
    let [line]: [String; 1] = telemetry(&home, "plan").try_into().unwrap();
    let line = home.read(&format!("evidence/consensus/SPEC-KIT-900/{line}"));
    let line: Value = serde_json::from_str(&line).unwrap();
    assert!(line["notes"].to_string().contains("first try"), "{line:#}");

    let tasks = run(&home, &["--only", "tasks"]).expect(0).json();
    assert_eq!(start(&home, &tasks)["parent"], plan["run_id"]);
    assert_eq!(tasks["steps"]["validate"]["status"], "skipped");
    assert_eq!(
        telemetry(&home, "plan").len(),
        1,
        "the past leaves no files again"
    );
    assert_eq!(telemetry(&home, "tasks").len(), 1);

    let rest = run(&home, &["--from", "implement"]).expect(0).json();
    assert_eq!(start(&home, &rest)["parent"], tasks["run_id"]);
    assert_eq!(rest["outputs"]["consensus_ok"], true, "{rest:#}");
    assert_eq!(rest["outputs"]["plan"], plan["outputs"]["plan"]);
    for stage in ["implement", "validate", "audit", "unlock"] {
        assert_eq!(telemetry(&home, stage).len(), 1, "{stage}");
    }
    home.flowhost(&["verify", ".flowhost"]).expect(0);
    home.flowhost(&["telemetry", "validate", "evidence"])
        .expect(0);
    replays(&home);
}

#[test]
fn a_run_of_one_stage_does_not_hide_the_run_that_has_what_comes_before_another() {
    let home = example("spec-kit-900");
    let whole = run(&home, &[]).expect(0).json();
    let tasks = run(&home, &["--only", "tasks"]).expect(0).json();
    assert_eq!(start(&home, &tasks)["parent"], whole["run_id"]);
    // It has what comes before the next stage, and the older run what comes before a later one.
    let next = run(&home, &["--only", "implement"]).expect(0).json();
    assert_eq!(start(&home, &next)["parent"], tasks["run_id"]);
    let told = home.flowhost(&["run", "plan.yaml", "--only", "audit"]);
    let told = told.expect(0);
    let names = |report: &Value| report["run_id"].as_str().unwrap().to_owned();
    let note = format!(
        "note: what comes before `audit` is taken from run {}: the newest, {}, did not do all of it",
        names(&whole),
        names(&next)
    );
    assert!(told.stderr.contains(&note), "{}", told.all());
}

#[test]
fn another_specs_run_gives_nothing_and_another_input_is_told() {
    let home = example("spec-kit-900");
    run(&home, &["--only", "plan"]).expect(0);
    let mine = home.read("plan.yaml");
    home.file(
        "plan.yaml",
        mine.replace("  spec_id: SPEC-KIT-900\n", "  spec_id: OTHER\n"),
    );
    let refused = run(&home, &["--from", "tasks"]).expect(1);
    assert!(refused.all().contains("for OTHER"), "{}", refused.all());
    home.file("plan.yaml", mine);
    let told = home.flowhost(&[
        "run",
        "plan.yaml",
        "--from",
        "tasks",
        "--input",
        "routing=premium-tier",
    ]);
    let told = told.expect(0);
    assert!(
        told.stderr.contains("the input `routing` is another"),
        "{}",
        told.all()
    );
}

#[test]
fn what_a_step_gave_that_was_another_one_is_not_taken() {
    let home = example("spec-kit-900");
    run(&home, &["--only", "plan"]).expect(0);
    let mine = home.read("plan.yaml");
    let stricter = mine.replace(
        "size(output.milestones) == 3",
        "size(output.milestones) == 99",
    );
    assert_ne!(stricter, mine);
    home.file("plan.yaml", stricter);
    for option in ["--from", "--only"] {
        let refused = run(&home, &[option, "tasks"]).expect(1);
        let said = refused.all();
        assert!(said.contains("there the step `plan` was another"), "{said}");
        assert!(said.contains("`--only plan`"), "{said}");
    }
    home.file("plan.yaml", mine.as_str());
    let prompt = home.read("prompts/spec-plan.md");
    home.file("prompts/spec-plan.md", format!("{prompt}\nBe brief.\n"));
    let refused = run(&home, &["--only", "tasks"]).expect(1);
    assert!(refused.all().contains("step `plan`"), "{}", refused.all());
    home.file("prompts/spec-plan.md", prompt);
    assert_eq!(runs(&home), 1);
    // What bounds a step, and what comes later, may be another.
    let longer = mine.replace("timeout: 10m", "timeout: 11m");
    assert_ne!(longer, mine);
    home.file("plan.yaml", longer);
    let prompt = home.read("prompts/spec-tasks.md");
    home.file("prompts/spec-tasks.md", format!("{prompt}\nBe brief.\n"));
    run(&home, &["--only", "tasks"]).expect(0);
}
