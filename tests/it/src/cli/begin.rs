//! `flowhost new`: every plan to begin with runs as it is, in an empty folder and offline.

use crate::support::Home;

#[test]
fn every_new_plan_runs_as_it_is_and_its_evidence_verifies() {
    for kind in ["workflow", "agent", "tool"] {
        let home = Home::new();
        home.warm();
        home.flowhost(&["new", "mine", "--kind", kind]).expect(0);
        home.flowhost(&["validate", "mine/plan.yaml"]).expect(0);
        let ran = home
            .flowhost(&["run", "mine/plan.yaml", "--json"])
            .expect(0)
            .json();
        assert!(
            ran["outputs"].as_object().is_some_and(|it| !it.is_empty()),
            "{kind}: {ran}"
        );
        home.flowhost(&["verify", "latest"]).expect(0);
    }
}

#[test]
fn nothing_is_written_over_what_is_there() {
    let home = Home::new();
    home.file("mine/notes.txt", "mine");
    let refused = home.flowhost(&["new", "mine"]).expect(1);
    assert!(refused.stderr.contains("not empty"), "{}", refused.stderr);
    assert_eq!(
        std::fs::read_dir(home.path().join("mine")).unwrap().count(),
        1
    );
    home.flowhost(&["new", "Mine"]).expect(64);
}

#[test]
fn a_dry_run_names_the_files_and_two_plans_of_one_name_are_the_same() {
    let home = Home::new();
    let dry = home
        .flowhost(&["new", "mine", "--dry-run", "--json"])
        .expect(0)
        .json();
    assert!(!home.path().join("mine").exists());
    let made = home
        .flowhost(&["new", "mine", "--dir", "one", "--json"])
        .expect(0)
        .json();
    assert_eq!(dry["files"], made["files"]);
    home.flowhost(&["new", "mine", "--dir", "other"]).expect(0);
    for file in made["files"].as_array().unwrap() {
        let file = file.as_str().unwrap();
        assert_eq!(
            home.read(&format!("one/{file}")),
            home.read(&format!("other/{file}"))
        );
    }
}
