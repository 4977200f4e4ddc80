//! A run whose files were altered, cut or taken after they were recorded, and that has not ended: what each command says
//! of it.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::evidence::run_dir;
use super::home;
use super::interrupted::{ended, signal, sleeping, started};
use super::resumed::RUN;
use crate::counting::Counting;
use crate::support::{Home, Ran};

/// A folder with a run that waits for a person.
fn waiting() -> Home {
    let home = home(
        &["ok_echo"],
        "  gate: { wait_for: approval, timeout: 4h }\n  only: { needs: [gate], uses: ok_echo/run, with: {} }",
    );
    home.warm();
    home.flowhost(&["run", "plan.yaml"]).expect(9);
    home
}

#[track_caller]
fn says(ran: &Ran, text: &str) {
    assert!(ran.all().contains(text), "{}", ran.all());
}

/// Writes one byte more into a file; gives what was in it.
fn altered(path: &Path) -> Vec<u8> {
    let whole = std::fs::read(path).unwrap();
    std::fs::write(path, [&whole[..], b" "].concat()).unwrap();
    whole
}

#[test]
fn a_view_of_a_run_that_waits_is_compared_in_its_folder_and_in_its_export() {
    let home = waiting();
    let dir = run_dir(&home);
    let sound = home.flowhost(&["verify", "latest"]).expect(0);
    says(&sound, "views        3 of 3 match their records");
    assert!(!sound.all().contains("no record names"), "{}", sound.all());
    for name in ["bundle.json", "report.html", "report.json"] {
        let whole = altered(&dir.join(name));
        home.flowhost(&["evidence", "export", "latest", "--out", "run.fhb"])
            .expect(0);
        for target in ["latest", "run.fhb"] {
            let told = home.flowhost(&["verify", target]).expect(1);
            says(&told, name);
            says(&told, "it is not the view that was written");
            says(&told, "views        2 of 3 match their records");
        }
        std::fs::remove_file(home.path().join("run.fhb")).unwrap();
        std::fs::write(dir.join(name), whole).unwrap();
    }
    let bundle = std::fs::read(dir.join("bundle.json")).unwrap();
    std::fs::remove_file(dir.join("bundle.json")).unwrap();
    home.flowhost(&["evidence", "export", "latest", "--out", "run.fhb"])
        .expect(0);
    for target in ["latest", "run.fhb"] {
        let told = home.flowhost(&["verify", target]).expect(1);
        says(&told, "bundle.json");
        says(&told, "it is missing, and the run has not ended");
        for wrong in ["can be resumed", "nothing rests on views"] {
            assert!(!told.all().contains(wrong), "{}", told.all());
        }
    }
    std::fs::write(dir.join("bundle.json"), bundle).unwrap();
    std::fs::write(dir.join("more.html"), "<p>").unwrap();
    let told = home.flowhost(&["verify", "latest"]).expect(0);
    says(&told, "no record names `more.html`");
}

#[test]
fn a_run_without_its_ledger_json_is_not_said_to_be_one_that_can_be_resumed() {
    let home = waiting();
    let meta = run_dir(&home).join("ledger.json");
    let sound = home.flowhost(&["verify", "latest"]).expect(0);
    says(&sound, "can be resumed");
    let document = home.flowhost(&["verify", "latest", "--json"]).expect(0);
    assert!(!document.stdout.contains("no_meta"), "{}", document.all());
    let text = std::fs::read(&meta).unwrap();
    std::fs::remove_file(&meta).unwrap();
    // All that was signed is there.
    let told = home.flowhost(&["verify", "latest"]).expect(0);
    says(&told, "ledger.json is missing");
    assert!(!told.all().contains("can be resumed"), "{}", told.all());
    let document = home.flowhost(&["verify", "latest", "--json"]).expect(0);
    assert!(document.stdout.contains("no_meta"), "{}", document.all());
    let refused = home.flowhost(&["runs", "resume", "latest"]).expect(1);
    says(&refused, "ledger.json is missing");
    // And what verification says of a cure is one.
    std::fs::write(&meta, text).unwrap();
    says(
        &home.flowhost(&["verify", "latest"]).expect(0),
        "can be resumed",
    );
}

#[test]
fn a_run_that_was_killed_is_called_that_everywhere_and_its_views_are_compared() {
    let home = sleeping();
    let child = started(&home);
    signal(&child, "KILL");
    ended(child);
    home.flowhost(&["verify", "latest"]).expect(0);
    let listed = home.flowhost(&["runs", "list", "--json"]).expect(0).json();
    assert_eq!(listed[0]["status"], "killed");
    let shown = home.flowhost(&["runs", "show", "latest"]).expect(0);
    let head = shown.stdout.lines().next().unwrap();
    assert!(head.ends_with(": killed"), "{head}");
    let shown = home.flowhost(&["runs", "show", "latest", "--json"]);
    assert_eq!(shown.expect(0).json()["run"]["status"], "killed");
    altered(&run_dir(&home).join("bundle.json"));
    let told = home.flowhost(&["verify", "latest"]).expect(1);
    says(&told, "it is not the view that was written");
}

#[test]
fn a_ledger_that_was_cut_is_shown_with_a_warning_and_not_replayed() {
    let home = waiting();
    let segment = run_dir(&home).join("seg-00000000.jsonl");
    let whole = std::fs::read(&segment).unwrap();
    std::fs::write(&segment, &whole[..whole.len() - 20]).unwrap();
    let shown = home.flowhost(&["runs", "show", "latest"]).expect(0);
    assert!(
        shown.stderr.contains("warning: its ledger was cut: "),
        "{}",
        shown.all()
    );
    let shown = home.flowhost(&["runs", "show", "latest", "--json"]);
    let warning = shown.expect(0).json()["warning"].to_string();
    assert!(warning.contains("its ledger was cut"), "{warning}");
    let listed = home.flowhost(&["runs", "list"]).expect(0);
    assert!(listed.stdout.contains("waiting, cut"), "{}", listed.all());
    assert!(
        listed.stderr.contains("its ledger was cut: "),
        "{}",
        listed.all()
    );
    let listed = home.flowhost(&["runs", "list", "--json"]).expect(0).json();
    let warning = listed[0]["warning"].as_str().unwrap();
    assert!(warning.contains("its ledger was cut"), "{warning}");
    let refused = home.flowhost(&["runs", "replay", "latest"]).expect(1);
    says(&refused, "cannot be replayed");
    says(&refused, "its ledger was cut");
    std::fs::write(&segment, &whole).unwrap();
    let shown = home.flowhost(&["runs", "show", "latest"]).expect(0);
    assert!(!shown.stderr.contains("warning"), "{}", shown.all());
    let listed = home.flowhost(&["runs", "list"]).expect(0);
    assert!(!listed.all().contains("cut"), "{}", listed.all());
    home.flowhost(&["runs", "replay", "latest"]).expect(0);
}

#[test]
fn an_index_of_runs_that_cannot_be_read_names_the_folder_that_is_to_be_verified() {
    let home = waiting();
    let index = home
        .path()
        .join(".flowhost/default/runs.index/seg-00000000.jsonl");
    let whole = std::fs::read_to_string(&index).unwrap();
    std::fs::write(&index, whole.replacen("\"kind\"", "\"kynd\"", 1)).unwrap();
    let refused = home.flowhost(&["runs", "list"]).expect(1);
    says(&refused, "`flowhost verify ");
    says(&refused, ".flowhost` names the exact place");
    assert!(!refused.all().contains("verify RUN"), "{}", refused.all());
}

#[test]
fn of_a_ledger_that_was_cut_no_run_begins() {
    let server = Counting::new();
    let steps = "  a: { POST:/a, compensate: { POST:/undo-a } }\n  b: { needs: [a], POST:/b, checks: [ { id: well, that: \
                 \"output.ok.status == 200\" } ] }";
    let home = super::resumed::home(&server, steps);
    server.fail("/b", true);
    home.flowhost(RUN).expect(4);
    assert_eq!(server.paths(), ["/a", "/b", "/undo-a"]);
    // Cut before what was done is taken back: what is left looks as if it were still done.
    let begun = |record: &Value| record["kind"] == "step.start" && record["path"] == "b";
    let last = home.records().iter().position(begun).unwrap();
    let segment = run_dir(&home).join("seg-00000000.jsonl");
    let whole = std::fs::read_to_string(&segment).unwrap();
    let left: String = whole.split_inclusive('\n').take(last + 1).collect();
    std::fs::write(&segment, left).unwrap();
    server.fail("/b", false);
    let key = "--allow-private-network";
    for line in [
        &["runs", "fork", "latest", "--at", "b", key][..],
        &["run", "plan.yaml", "--reuse", "latest", key],
    ] {
        let refused = home.flowhost(line).expect(1);
        says(&refused, "its ledger was cut");
        says(&refused, "`flowhost verify");
        assert_eq!(server.paths().len(), 3, "{}", refused.all());
    }
    // Who only shows what is left of it, or keeps that, is told.
    for line in [
        &["runs", "report", "latest"][..],
        &["plan", "graph", "latest"],
        &["policy", "suggest", "latest"],
        &["evidence", "export", "latest", "--out", "cut.fhb"],
    ] {
        let told = home.flowhost(line).expect(0);
        let warned = told.stderr.contains("warning: its ledger was cut");
        assert!(warned, "{}", told.all());
    }
    std::fs::write(&segment, whole).unwrap();
    home.flowhost(&["runs", "fork", "latest", "--at", "b", key])
        .expect(0);
}

#[test]
fn another_plan_in_the_folder_of_a_run_is_not_shown_as_that_runs() {
    let home = waiting();
    let bundle = run_dir(&home).join("bundle.json");
    let whole = std::fs::read_to_string(&bundle).unwrap();
    // A plan as sound as the run's own.
    let other = whole.replace("timeout: 4h", "timeout: 5h");
    assert_ne!(other, whole);
    std::fs::write(&bundle, other).unwrap();
    let refused = home.flowhost(&["plan", "graph", "latest"]).expect(1);
    says(&refused, "bundle.json` is not what the run was made of");
    says(&refused, "bring the file back from a backup");
    let at_gate = ["runs", "show", "latest", "--step", "gate"];
    let shown = home.flowhost(&at_gate).expect(0);
    says(&shown, "what `gate` needs is not told here: ");
    says(&shown, "it was changed");
    std::fs::write(&bundle, whole).unwrap();
    home.flowhost(&["plan", "graph", "latest"]).expect(0);
    let shown = home.flowhost(&at_gate).expect(0).all();
    assert!(!shown.contains("is not told here"), "{shown}");
}

#[test]
fn what_keeps_a_run_from_being_cancelled_is_told_in_those_words_and_with_a_cure() {
    let home = waiting();
    let bundle = run_dir(&home).join("bundle.json");
    let whole = altered(&bundle);
    let cancel = || {
        let refused = home.flowhost(&["runs", "cancel", "latest"]).expect(1);
        says(&refused, "cannot be cancelled");
        says(&refused, "bring the file back from a backup");
        let all = refused.all();
        assert!(!all.contains("cannot be resumed"), "{all}");
    };
    cancel();
    std::fs::remove_file(&bundle).unwrap();
    cancel();
    for verb in ["resume", "replay"] {
        let refused = home.flowhost(&["runs", verb, "latest"]).expect(1);
        says(&refused, &format!("cannot be {verb}"));
        says(&refused, "bring the file back from a backup");
    }
    std::fs::write(&bundle, whole).unwrap();
    home.flowhost(&["runs", "cancel", "latest"]).expect(0);
}

#[test]
fn a_run_that_waits_and_lost_a_component_is_ended_with_one_that_is_named() {
    let home = waiting();
    let components = home.path().join(".flowhost/components");
    let mut all = std::fs::read_dir(components).unwrap();
    let is_component = |path: &PathBuf| path.extension().is_some_and(|it| it == "wasm");
    let component = all.find_map(|entry| Some(entry.ok()?.path()).filter(is_component));
    altered(&component.unwrap());
    let run = run_dir(&home);
    let run = run.file_name().unwrap().to_str().unwrap();
    let refused = home.flowhost(&["runs", "cancel", "latest"]).expect(1);
    says(&refused, "cannot be cancelled");
    says(
        &refused,
        &format!("`flowhost runs cancel {run} --plugin NAME=PATH`"),
    );
    let named = ["--plugin", "ok_echo=ok_echo.wasm"];
    home.flowhost(&[&["runs", "cancel", "latest"][..], &named].concat())
        .expect(0);
    let listed = home.flowhost(&["runs", "list", "--json"]).expect(0).json();
    assert_eq!(listed[0]["status"], "cancelled", "{listed:#}");
}

#[test]
fn a_component_is_taken_in_the_place_of_one_that_was_lost_with_its_folder() {
    let home = waiting();
    std::fs::remove_dir_all(home.path().join(".flowhost/components")).unwrap();
    let refused = home.flowhost(&["runs", "cancel", "latest"]).expect(1);
    says(&refused, "is not kept any more");
    let named = ["--plugin", "ok_echo=ok_echo.wasm"];
    home.flowhost(&[&["runs", "cancel", "latest"][..], &named].concat())
        .expect(0);
}
