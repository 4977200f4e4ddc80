//! Evidence that is gone or that nobody here can check: what packets say where files themselves say nothing.

use serde_json::json;

use super::super::{Proof, Recorded, Spec};
use super::{evidence, page, read_with};

/// Telemetry, verdict and synthesis of a newer run of `plan` than there is a file of.
fn newer_plan() -> Recorded {
    let of_end = |end: &str| format!("consensus/S/spec-plan_20261126T11Z_{end}");
    let ends = ["telemetry.jsonl", "verdict.json", "synthesis.json"];
    ends.map(|end| (of_end(end), "RUN-20261126T11".to_owned()))
        .into()
}

#[test]
fn files_that_are_on_record_and_gone_do_not_let_the_run_before_stand_for_theirs() {
    let files = evidence(&json!([]));
    let recorded = newer_plan();
    let spec = read_with(&files, &recorded);
    let plan = &spec.stages[0];
    assert_eq!(
        (
            plan.stage.as_str(),
            plan.status.as_str(),
            plan.run_id.as_str()
        ),
        ("plan", "invalid", "RUN-20261126T11")
    );
    assert_eq!((plan.output.is_none(), plan.unverified), (true, false));
    let told: Vec<&String> = spec.invalid.keys().collect();
    assert_eq!(told, recorded.keys().collect::<Vec<_>>());
    let sign = page(&spec.audit().files, "sign-off.md");
    assert!(sign.contains("stages that are not ok: plan"), "{sign}");
    let kit = spec.kit();
    assert!(!kit.contains_key("outputs/plan.json"));
    let retry = page(&kit, "retry.md");
    assert!(
        retry.contains("it is neither there nor in an archive"),
        "{retry}"
    );

    // One file of the run that is told of.
    let output = "consensus/S/spec-tasks_20261126T10Z_synthesis.json";
    let mut less = files.clone();
    less.remove(output);
    let recorded = Recorded::from([(output.to_owned(), "RUN-20261126T10".to_owned())]);
    let spec = read_with(&less, &recorded);
    assert_eq!(spec.stages[1].status, "invalid");
    assert!(spec.invalid.contains_key(output), "{:?}", spec.invalid);

    // What is gone of a run before it hides nothing, and a stage of which nothing is left is one.
    let older = "consensus/S/spec-plan_20261126T06Z_telemetry.jsonl".to_owned();
    let other = "consensus/S/spec-unlock_20261126T06Z_telemetry.jsonl".to_owned();
    let recorded = [&older, &other].map(|it| (it.clone(), "RUN-20261126T06".to_owned()));
    let spec = read_with(&files, &Recorded::from(recorded));
    assert_eq!(spec.invalid.keys().collect::<Vec<_>>(), [&other]);
    let told: Vec<_> = spec.stages.iter().map(|it| it.stage.as_str()).collect();
    assert_eq!(told, ["plan", "tasks", "unlock"]);
}

#[test]
fn telemetry_that_cannot_be_read_is_of_the_run_that_has_it_on_record() {
    let telemetry = "consensus/S/spec-plan_20261126T09Z_telemetry.jsonl";
    let mut files = evidence(&json!([]));
    files.insert(telemetry.to_owned(), b"{".to_vec());
    let run = "RUN-20261126T09";
    let recorded = Recorded::from([(telemetry.to_owned(), run.to_owned())]);
    let wrote = |of: &str, _: &str, _: &str| match of == run || of.ends_with("T10") {
        true => Proof::Recorded,
        false => Proof::Unverified,
    };
    let spec = Spec::read("S", &files, &recorded, &|_, _| Proof::Recorded, &wrote);
    let plan = &spec.stages[0];
    assert_eq!(
        (plan.status.as_str(), plan.run_id.as_str()),
        ("invalid", run)
    );
    assert_eq!(spec.unverified(), Vec::<&str>::new());
}

#[test]
fn what_nobody_here_can_say_is_nowhere_ticked_and_its_output_says_so_by_its_name() {
    let mut files = evidence(&json!([]));
    let path = "consensus/S/spec-plan_20261126T09Z_telemetry.jsonl";
    let ok = page(&files, path).replace("conflict\"", "ok\"");
    files.insert(path.to_owned(), ok.into_bytes());
    let wrote = |_: &str, path: &str, _: &str| match path.contains("spec-plan_") {
        true => Proof::Unverified,
        false => Proof::Recorded,
    };
    let recorded = Recorded::new();
    let spec = Spec::read("S", &files, &recorded, &|_, _| Proof::Recorded, &wrote);
    assert_eq!(spec.unverified(), ["plan"]);
    let kit = spec.kit();
    let checklist = page(&kit, "checklist.md");
    for part in [
        "- [ ] every file of the evidence counts: nobody here can say so of plan",
        "- [ ] plan: no conflict is open",
        "- [ ] plan: nobody's answer is missing",
        "- [ ] plan: every check held",
        "- [x] tasks: every check held",
    ] {
        assert!(checklist.contains(part), "{part}: {checklist}");
    }
    assert!(!checklist.contains("- [x] plan"), "{checklist}");
    assert!(kit.contains_key("outputs/unverified/plan.json"));
    assert!(!kit.contains_key("outputs/plan.json"));
    assert!(kit.contains_key("outputs/tasks.json"));
    let retry = page(&kit, "retry.md");
    assert!(retry.contains("nobody here can say"), "{retry}");
    assert!(!retry.contains("nothing has to be tried"), "{retry}");
}
