//! Which run the files of a spec are of, by their names and by what they say.

use super::*;

const RUN: &str = "01KBGHJKMNPQRSTVWXYZ012345";
const OTHER: &str = "01KBGHJKMNPQRSTVWXYZ012346";

#[test]
fn a_lifecycle_is_another_ones_by_its_run_and_by_its_step() {
    let folder = tempfile::tempdir().unwrap();
    let dir = Dir::open_ambient_dir(folder.path(), cap_std::ambient_authority()).unwrap();
    let spec = Spec::within(dir, "S");
    let path = "commands/S/spec-plan_lifecycle_20261126T073910Z.jsonl";
    assert!(!spec.is_of_another(path, RUN, "plan").unwrap(), "none");
    let other = |line: Value, run: &str, step: &str| {
        spec.write(path, format!("{line}\n").as_bytes()).unwrap();
        spec.is_of_another(path, run, step).unwrap()
    };
    let line = serde_json::json!({ "runId": RUN, "event": "completed", "step": "plan" });
    assert!(!other(line.clone(), RUN, "plan"), "it is made again");
    assert!(other(line.clone(), RUN, "plan#2"));
    assert!(other(line, OTHER, "plan"));
    let old = serde_json::json!({ "runId": RUN, "event": "completed" });
    assert!(!other(old.clone(), RUN, "plan"));
    assert!(other(old, OTHER, "plan"));
}

#[test]
fn stage_telemetry_is_another_ones_by_its_step_within_its_run() {
    let folder = tempfile::tempdir().unwrap();
    let dir = Dir::open_ambient_dir(folder.path(), cap_std::ambient_authority()).unwrap();
    let spec = Spec::within(dir, "S");
    let path = format!("commands/S/spec-plan_{RUN}.json");
    let other = |document: &str, run: &str, step: &str| {
        spec.write(&path, document.as_bytes()).unwrap();
        spec.is_of_another(&path, run, step).unwrap()
    };
    let document = r#"{ "schemaVersion": 1, "step": "plan" }"#;
    assert!(!other(document, RUN, "plan"), "it is made again");
    assert!(other(document, RUN, "replan"));
    assert!(!other(document, OTHER, "replan"), "its name is another");
    assert!(!other(r#"{ "schemaVersion": 1 }"#, RUN, "replan"));
}

#[test]
fn a_name_says_stage_time_and_run_and_others_say_nothing() {
    let said = |name: &str| {
        let name = Name::of(&format!("consensus/S/{name}"))?;
        Some((name.stage, name.time, name.run, name.is_lifecycle))
    };
    let time = Some("20261126T073910Z".to_owned());
    assert_eq!(
        said("spec-plan_20261126T073910Z_claude_metrics.json"),
        Some(("plan".to_owned(), time.clone(), None, false))
    );
    assert_eq!(
        said("spec-pre_plan_lifecycle_20261126T073910Z.jsonl"),
        Some(("pre_plan".to_owned(), time, None, true))
    );
    let second = Some("20261126T073910Z-2".to_owned());
    assert_eq!(
        said("spec-plan_lifecycle_20261126T073910Z-2.jsonl"),
        Some(("plan".to_owned(), second, None, true))
    );
    assert_eq!(
        said(&format!("spec-plan_{RUN}.json")),
        Some(("plan".to_owned(), None, Some(RUN.to_owned()), false))
    );
    assert_eq!(
        said(&format!("spec-plan_{RUN}_2.json")),
        Some(("plan".to_owned(), None, Some(RUN.to_owned()), false))
    );
    for other in [
        "spec-plan_synthesis.json",
        "notes.md",
        "spec-plan_2026.json",
        "spec-plan_20261126T073910Z-.json",
        "spec-plan_20261126T073910Z-x.json",
        "spec-",
        "spec-_",
        "",
        "spec-plän_ü.json",
    ] {
        assert_eq!(said(other), None, "{other}");
    }
}
