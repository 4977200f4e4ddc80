//! The examples do their work, and find exactly what was planted.

use std::path::Path;

use crate::support::{Home, repository};

/// Copies a folder, without what a run in it has left there.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, name) = {
            let entry = entry.unwrap();
            (entry.path(), entry.file_name())
        };
        let target = to.join(&name);
        if path.is_file() {
            std::fs::copy(&path, &target).unwrap();
        } else if name != "out" && name != ".flowhost" {
            copy(&path, &target);
        }
    }
}

/// A folder that is a copy of an example.
pub(super) fn example(name: &str) -> Home {
    let home = Home::new();
    home.warm();
    copy(&repository().join("examples").join(name), home.path());
    home
}

#[test]
fn the_first_plan_lists_headings_and_stops_at_a_key() {
    let home = example("first-plan");
    let report = home
        .flowhost(&["run", "plan.yaml", "--json"])
        .expect(0)
        .json();
    assert!(
        !report["outputs"]["headings"].as_array().unwrap().is_empty(),
        "{report:#}"
    );
    home.flowhost(&["verify", "latest"]).expect(0);
    home.file("hello.md", "# Write to jane.doe@example.com\n");
    let report = home.flowhost(&["run", "plan.yaml", "--json"]);
    assert!(
        !report.stdout.contains("jane.doe@example.com"),
        "{}",
        report.all()
    );
}

#[test]
fn support_triage_walks_by_what_it_reads() {
    let home = example("support-triage");
    let run = |arguments: &[&str]| {
        let all = [&["run", "plan.yaml", "--json"], arguments].concat();
        home.flowhost(&all).expect(0).json()
    };
    home.file("empty.md", "No front matter.\n");
    let asked = run(&["--input", "request=empty.md"]);
    assert_eq!(asked["steps"]["search"]["status"], "skipped", "{asked:#}");
    assert_eq!(asked["steps"]["ask_back"]["status"], "ok", "{asked:#}");
    home.file(
        "fire.md",
        "---\ntopic: fire\nurgency: high\n---\n# It burns\n",
    );
    let urgent = run(&["--input", "request=fire.md"]);
    assert_eq!(urgent["steps"]["hand_over"]["status"], "ok", "{urgent:#}");
    let answered = run(&[]);
    assert_eq!(answered["outputs"]["answered"], true, "{answered:#}");
    assert_eq!(
        answered["steps"]["hand_over"]["status"], "skipped",
        "{answered:#}"
    );
    home.flowhost(&["verify", "latest"]).expect(0);
}

#[test]
fn urgent_message_replies_falls_back_or_refuses() {
    let home = example("urgent-message");
    home.file("calm.md", "---\nsubject: x\nurgency: low\n---\n# X\n");
    let calm = ["run", "plan.yaml", "--json", "--input", "message=calm.md"];
    home.flowhost(&calm).expect(4);
    home.file(
        "broken.md",
        "---\nsubject: x\nurgency: high\n---\n# X\n\n[gone](gone.md)\n",
    );
    let broken = ["run", "plan.yaml", "--json", "--input", "message=broken.md"];
    let broken = home.flowhost(&broken).expect(0).json();
    assert_eq!(broken["outputs"]["replied"], false, "{broken:#}");
    assert_eq!(broken["steps"]["fallback"]["status"], "ok", "{broken:#}");
    let replied = home
        .flowhost(&["run", "plan.yaml", "--json"])
        .expect(0)
        .json();
    assert_eq!(replied["outputs"]["replied"], true, "{replied:#}");
    home.flowhost(&["verify", "latest"]).expect(0);
}

#[test]
fn docs_check_finds_the_planted_faults_and_nothing_else() {
    let home = example("docs-check");
    home.file(
        "made/good.md",
        "# Good\n\nSee [the other](sub/other.md) and [a heading](sub/other.md#part).\n",
    );
    home.file(
        "made/sub/other.md",
        "# Other\n\n## Part\n\n[back](../good.md) [outside](https://example.com/)\n",
    );
    let clean = home
        .flowhost(&["run", "plan.yaml", "--input", "folder=made", "--json"])
        .expect(0)
        .json();
    assert_eq!(clean["outputs"]["findings"], 0, "{clean:#}");
    home.file("made/broken.md", "# Broken\n\n[gone](missing.md)\n");
    home.file("made/anchor.md", "# Anchor\n\n[gone](#nowhere)\n");
    home.file("made/bare.md", "No heading at all.\n");
    let report = home
        .flowhost(&["run", "plan.yaml", "--input", "folder=made", "--json"])
        .expect(0)
        .json();
    assert_eq!(
        (
            &report["outputs"]["documents"],
            &report["outputs"]["findings"]
        ),
        (&5.into(), &3.into()),
        "{report:#}"
    );
    let written = home.read("out/report.md");
    for planted in ["missing.md", "nowhere", "bare.md"] {
        assert!(written.contains(planted), "{planted}: {written}");
    }
    home.flowhost(&["verify", "latest"]).expect(0);
}

#[test]
fn docs_check_does_not_write_a_leaked_key() {
    let home = example("docs-check");
    let key = format!("AKIA{}", "IOSFODNN7EXAMPLQ");
    home.file("made/leak.md", format!("# Leak\n\nkey: {key}\n"));
    let ran = home.flowhost(&["run", "plan.yaml", "--input", "folder=made", "--json"]);
    let written = std::fs::read_to_string(home.path().join("out/report.md")).unwrap_or_default();
    assert!(!written.contains(&key), "{written}");
    assert!(
        ran.code == 4 || written.contains("leak.md"),
        "{}\n{written}",
        ran.all()
    );
}

#[test]
fn docs_check_reads_the_manual_of_this_repository() {
    let home = example("docs-check");
    copy(&repository().join("docs"), &home.path().join("manual"));
    let report = home
        .flowhost(&["run", "plan.yaml", "--input", "folder=manual", "--json"])
        .expect(0)
        .json();
    assert!(
        report["outputs"]["documents"].as_u64().unwrap() > 15,
        "{report:#}"
    );
}
