//! Many runs: which are listed, which are removed or archived and stay verifiable, and runs of another process
//! that are followed and cancelled.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::interrupted::{ended, signal, sleeping, started};
use super::{home, plan, tool};
use crate::support::{Home, Ran};

/// A folder in which a plan has run so many times.
fn ran(times: usize) -> Home {
    let home = home(&["ok_echo"], "  only: { uses: ok_echo/run, with: {} }");
    home.warm();
    for _ in 0..times {
        home.flowhost(&["run", "plan.yaml"]).expect(0);
    }
    home
}

fn list(home: &Home, more: &[&str]) -> Vec<Value> {
    let listed = home.flowhost(&[&["runs", "list", "--json"], more].concat());
    listed.expect(0).json().as_array().unwrap().clone()
}

fn id(run: &Value) -> &str {
    run["run_id"].as_str().unwrap()
}

fn folder(home: &Home, run: &str) -> PathBuf {
    home.path().join(".flowhost/default/runs").join(run)
}

#[track_caller]
fn says(ran: &Ran, text: &str) {
    assert!(ran.all().contains(text), "{}", ran.all());
}

#[test]
fn a_removed_run_is_gone_and_on_record_and_one_that_somebody_took_is_told() {
    let home = ran(3);
    let runs = list(&home, &[]);
    let first = id(&runs[2]);
    let none = home.flowhost(&["runs", "rm", "01ARZ3NDEKTSV4RRFFQ69G5FAV", first]);
    says(&none.expect(1), "no run is recorded as");
    assert!(folder(&home, first).exists(), "all of them go, or none");
    let removed = home.flowhost(&["runs", "rm", first, "--json"]).expect(0);
    assert_eq!(removed.json()["removed"][0]["run_id"], first);
    assert!(!folder(&home, first).exists());
    assert_eq!(list(&home, &[]).len(), 2);
    let all = list(&home, &["--removed"]);
    assert_eq!(all.len(), 3);
    assert!(all[2]["removed"]["at"].is_string(), "{:#}", all[2]);
    let verified = home.flowhost(&["verify", ".flowhost"]).expect(0);
    says(&verified, "1 run was removed on purpose");
    for command in [&["runs", "show", first][..], &["runs", "resume", first]] {
        says(&home.flowhost(command).expect(1), "was removed");
    }
    let nothing = home.flowhost(&["verify", first]).expect(1);
    says(&nothing, "removed without an archive");
    says(
        &home.flowhost(&["runs", "rm", first]).expect(1),
        "was removed",
    );
    std::fs::remove_dir_all(folder(&home, id(&runs[1]))).unwrap();
    let taken = home.flowhost(&["verify", ".flowhost"]).expect(1);
    says(&taken, "its folder is missing");
}

#[test]
fn a_run_whose_folder_is_gone_is_told_as_that_by_every_command_and_goes_out_of_the_index_by_name() {
    let home = ran(2);
    let runs = list(&home, &[]);
    let (newest, older) = (id(&runs[0]), id(&runs[1]));
    std::fs::remove_dir_all(folder(&home, newest)).unwrap();
    let statuses: Vec<Value> = list(&home, &[])
        .iter()
        .map(|run| run["status"].clone())
        .collect();
    assert_eq!(statuses, ["gone", "ok"]);
    assert_eq!(list(&home, &["--status", "gone"]).len(), 1);
    // An older run is not what `latest` means.
    for wanted in [newest, "latest"] {
        for command in [
            &["verify"][..],
            &["runs", "show"],
            &["runs", "replay"],
            &["runs", "report"],
            &["runs", "resume"],
            &["runs", "cancel"],
            &["runs", "watch"],
            &["runs", "restore"],
            &["policy", "suggest"],
            &["plan", "graph"],
        ] {
            let told = home.flowhost(&[command, &[wanted]].concat()).expect(1);
            says(&told, &format!("the run {newest} is gone"));
            says(&told, &format!("`flowhost runs rm {newest}`"));
        }
    }
    says(
        &home
            .flowhost(&["run", "plan.yaml", "--reuse", "latest"])
            .expect(1),
        "is gone",
    );
    home.flowhost(&["runs", "show", older]).expect(0);
    let dry = home.flowhost(&["runs", "prune", "--keep", "0", "--dry-run"]);
    let dry = dry.expect(0);
    says(&dry, "is gone and stays in the index");
    says(&dry, "1 run would be removed");
    let removed = home.flowhost(&["runs", "rm", newest, "--json"]).expect(0);
    let removed = removed.json()["removed"][0].clone();
    assert_eq!(
        (id(&removed), &removed["gone"]),
        (newest, &Value::Bool(true))
    );
    assert_eq!(list(&home, &[]).len(), 1);
    let verified = home.flowhost(&["verify", ".flowhost"]).expect(0);
    says(&verified, "1 run was taken out of the index of runs");
    home.flowhost(&["runs", "show", "latest"]).expect(0);
}

#[test]
fn pruned_runs_are_verified_from_their_archives() {
    let home = ran(4);
    let runs = list(&home, &[]);
    let prune = |more: &[&str]| home.flowhost(&[&["runs", "prune"], more].concat());
    says(&prune(&[]).expect(64), "--keep");
    assert_eq!(
        prune(&["--older-than", "1h", "--json"]).expect(0).json()["removed"],
        Value::Array(Vec::new())
    );
    let dry = prune(&["--keep", "2", "--dry-run", "--json"])
        .expect(0)
        .json();
    assert_eq!(dry["runs"].as_array().unwrap().len(), 2);
    assert_eq!(list(&home, &[]).len(), 4);
    let done = prune(&["--keep", "2", "--json"]).expect(0).json();
    let removed = done["removed"].as_array().unwrap();
    assert_eq!(id(&removed[0]), id(&runs[3]));
    assert_eq!(list(&home, &[]), runs[..2]);
    home.flowhost(&["verify", ".flowhost"]).expect(0);
    let first = id(&runs[3]);
    let alone = home.flowhost(&["verify", first]).expect(0);
    says(&alone, "as the index of runs says");
    // It is shown from there, and comes back for what wants its folder.
    let steps = home.flowhost(&["runs", "show", first, "--json"]).expect(0);
    assert_eq!(steps.json()["steps"][0]["path"], "only");
    let page = home.flowhost(&["runs", "report", first]).expect(0);
    says(&page, first);
    let suggested = home.flowhost(&["policy", "suggest", first]).expect(0);
    says(&suggested, "nothing was refused in this run");
    home.flowhost(&["evidence", "export", first, "--out", "whole.tar"])
        .expect(0);
    home.flowhost(&["verify", "whole.tar"]).expect(0);
    home.flowhost(&["evidence", "prove", "0", "--run", first])
        .expect(0);
    for command in [
        &["runs", "replay", first][..],
        &["runs", "resume", first],
        &["runs", "fork", first, "--at", "only"],
        &[
            "evidence", "erase", "0", "--run", first, "--reason", "asked",
        ],
    ] {
        let refused = home.flowhost(command).expect(1);
        says(&refused, &format!("runs restore {first}"));
    }
    let back = home
        .flowhost(&["runs", "restore", first, "--json"])
        .expect(0);
    assert_eq!(back.json()["restored"][0]["run_id"], first);
    assert_eq!(list(&home, &[]).len(), 3);
    home.flowhost(&["runs", "replay", first]).expect(0);
    home.flowhost(&["verify", ".flowhost"]).expect(0);
    says(
        &home.flowhost(&["runs", "restore", first]).expect(1),
        "is there",
    );
    let again = prune(&["--keep", "2", "--json"]).expect(0).json();
    assert_eq!(again["removed"][0], removed[0], "the same archive");
    // The file alone is enough, wherever it is.
    let archive = PathBuf::from(removed[0]["archive"].as_str().unwrap());
    let elsewhere = home.path().join("kept.tar.zst");
    std::fs::rename(&archive, &elsewhere).unwrap();
    home.flowhost(&["verify", "kept.tar.zst"]).expect(0);
    says(
        &home.flowhost(&["verify", first]).expect(1),
        "its archive is not here",
    );
    let mut bytes = std::fs::read(&elsewhere).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&archive, &bytes).unwrap();
    says(
        &home.flowhost(&["verify", first]).expect(1),
        "its SHA-256 differs",
    );
    // An archive goes as a run does.
    home.flowhost(&["runs", "rm", first]).expect(0);
    assert!(!archive.exists());
    home.flowhost(&["verify", ".flowhost"]).expect(0);
    let doctor = home.flowhost(&["doctor", "--json"]).json();
    let checks = doctor["checks"].as_array().unwrap();
    let size = checks.iter().find(|it| it["name"] == "state size").unwrap();
    assert!(size["bytes"].as_u64().unwrap() > 10_000, "{size}");
    says_of(size, "archives");
}

#[track_caller]
fn says_of(check: &Value, text: &str) {
    assert!(check["found"].as_str().unwrap().contains(text), "{check}");
}

#[test]
fn runs_are_listed_by_status_plan_label_and_time() {
    let home = ran(1);
    home.guest("fault_panic");
    let other = plan(
        &tool("fault_panic", "deny-all"),
        "  only: { uses: fault_panic/run, with: {} }",
    );
    let other = other.replace("name: under-test", "name: other\nlabels: { team: docs }");
    home.file("other.yaml", other);
    home.flowhost(&["run", "other.yaml"]).expect(8);
    let names = |more: &[&str]| {
        let runs = list(&home, more);
        let names = runs
            .iter()
            .map(|run| run["plan"].as_str().unwrap().to_owned());
        names.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names(&[]), "other under-test");
    assert_eq!(names(&["--status", "failed"]), "other");
    assert_eq!(
        names(&["--status", "ok", "--status", "failed"]),
        "other under-test"
    );
    assert_eq!(names(&["--plan", "under-test"]), "under-test");
    assert_eq!(names(&["--label", "team=docs"]), "other");
    assert_eq!(names(&["--label", "team=ops"]), "");
    assert_eq!(names(&["--since", "1h"]), "other under-test");
    assert_eq!(names(&["--since", "2001-01-01"]), "other under-test");
    assert_eq!(names(&["--since", "2999-01-01T00:00:00Z"]), "");
    let wrong = home.flowhost(&["runs", "list", "--since", "yesterday"]);
    says(&wrong.expect(64), "`2026-11-20`");
    // A status that no run can have is a slip, and not a filter that finds none.
    let wrong = home.flowhost(&["runs", "list", "--status", "foo"]);
    says(
        &wrong.expect(64),
        "interrupted, cancelled, killed, unfinished",
    );
    let none = home
        .flowhost(&["runs", "list", "--plan", "never"])
        .expect(0);
    says(&none, "no run is of the plan `never`");
    let none = home.flowhost(&["runs", "list", "--label", "nosuch=1", "--status", "ok"]);
    says(
        &none.expect(0),
        "no run has the status `ok` and has the label nosuch=1",
    );
}

#[test]
fn a_run_of_another_process_is_followed_and_cancelled_and_not_removed() {
    let home = sleeping();
    let child = started(&home);
    says(
        &home.flowhost(&["runs", "rm", "latest"]).expect(1),
        "another process is at work on it",
    );
    let none = home.flowhost(&["runs", "prune", "--keep", "0", "--json"]);
    assert_eq!(none.expect(0).json()["removed"], Value::Array(Vec::new()));
    let mut watch = home.command(&["runs", "watch", "latest", "--json"]);
    let watch = watch.stdout(Stdio::piped()).stderr(Stdio::piped());
    let watch = watch.spawn().unwrap();
    let since = Instant::now();
    let cancel = [
        "runs",
        "cancel",
        "latest",
        "--grace",
        "0",
        "--by",
        "ann",
        "--note",
        "wrong input",
        "--json",
    ];
    let cancelled = home.flowhost(&cancel).expect(0).json();
    assert_eq!(cancelled["status"], "cancelled");
    assert!(
        since.elapsed() < Duration::from_secs(20),
        "the step sleeps for a minute"
    );
    assert_eq!(ended(child).code(), Some(130));
    let watched = watch.wait_with_output().unwrap();
    assert_eq!(watched.status.code(), Some(130));
    let text = String::from_utf8(watched.stdout).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let records = lines.iter().filter(|line| line["event"] == "record");
    let kinds: Vec<&str> = records
        .map(|it| it["record"]["kind"].as_str().unwrap())
        .collect();
    assert!(
        kinds.contains(&"run.start") && kinds.contains(&"run.end"),
        "{kinds:?}"
    );
    let last = lines.last().unwrap();
    assert_eq!(
        (&last["event"], &last["exit_code"]),
        (&"ended".into(), &130.into())
    );
    let shown = home.flowhost(&["runs", "show", "latest"]).expect(0);
    says(&shown, "cancelled by ann: wrong input");
    says(&home.flowhost(&cancel).expect(1), "it has ended: cancelled");
    home.flowhost(&["verify", ".flowhost"]).expect(0);
    // One that has ended is told at once, for people as for programs.
    let again = home.flowhost(&["runs", "watch", "latest"]).expect(130);
    says(&again, "ended: cancelled");
    assert!(
        home.path()
            .join(".flowhost/default/runs.asks")
            .read_dir()
            .unwrap()
            .next()
            .is_none()
    );
}

#[test]
fn a_call_at_work_comes_to_its_end_within_the_grace_and_nothing_begins_after_it() {
    let home = sleeping();
    let text = home.read("plan.yaml");
    let steps = "  only: { uses: limit_sleep/run, with: { milliseconds: 1500 } }\n  next: { needs: [only], uses: limit_sleep/run, with: {} }";
    home.file(
        "plan.yaml",
        text.replace("  only: { uses: limit_sleep/run, with: {} }", steps),
    );
    let child = started(&home);
    home.flowhost(&["runs", "cancel", "latest", "--grace", "30s"])
        .expect(0);
    assert_eq!(ended(child).code(), Some(130));
    let records = home.records();
    let mut results = records.iter().filter(|it| it["kind"] == "tool.result");
    assert_eq!(results.next().unwrap()["status"], "ok");
    let calls = records
        .iter()
        .filter(|it| it["kind"] == "tool.call")
        .count();
    assert_eq!(calls, 1);
}

#[test]
fn a_run_that_waits_for_a_person_is_cancelled_without_a_process_and_goes_with_force_only() {
    let home = home(
        &["ok_echo"],
        "  gate: { wait_for: approval, timeout: 4h }\n  only: { needs: [gate], uses: ok_echo/run, with: {} }",
    );
    home.warm();
    home.flowhost(&["run", "plan.yaml"]).expect(9);
    says(
        &home.flowhost(&["runs", "rm", "latest"]).expect(1),
        "--force",
    );
    let pruned = home.flowhost(&["runs", "prune", "--keep", "0"]).expect(0);
    says(&pruned, "1 run waits for a person and stays");
    for more in [&["--json"][..], &["--json", "--dry-run"]] {
        let told = home.flowhost(&[&["runs", "prune", "--keep", "0"], more].concat());
        assert_eq!(told.expect(0).json()["waiting"], 1, "{more:?}");
    }
    home.flowhost(&["runs", "cancel", "latest", "--by", "ann"])
        .expect(0);
    assert_eq!(list(&home, &[])[0]["status"], "cancelled");
    home.flowhost(&["verify", ".flowhost"]).expect(0);
    home.flowhost(&["run", "plan.yaml"]).expect(9);
    home.flowhost(&["runs", "rm", "latest", "--force"])
        .expect(0);
    home.flowhost(&["verify", ".flowhost"]).expect(0);
}

#[test]
fn whoever_follows_a_run_hears_that_it_was_killed() {
    let home = sleeping();
    let child = started(&home);
    let mut watch = home.command(&["runs", "watch", "latest"]);
    let watch = watch.stdout(Stdio::piped()).stderr(Stdio::piped());
    let watch = watch.spawn().unwrap();
    signal(&child, "KILL");
    ended(child);
    let watched = watch.wait_with_output().unwrap();
    let text = String::from_utf8(watched.stdout).unwrap();
    assert_eq!(watched.status.code(), Some(1), "{text}");
    assert!(text.contains("ended: killed"), "{text}");
    says(
        &home.flowhost(&["runs", "cancel", "latest"]).expect(1),
        "nobody is at work on it: it was killed",
    );
}
