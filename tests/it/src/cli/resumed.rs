//! A run that goes on from its ledger alone, after a kill, a signal or a full disk.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::evidence::run_dir;
use super::interrupted::{ended, signal};
use crate::counting::Counting;
use crate::support::{Home, Ran};

/// A folder whose plan does these steps; each `POST:PATH` in them is a request to the server.
pub(super) fn home(server: &Counting, steps: &str) -> Home {
    let home = Home::new();
    home.warm();
    home.guest("ok_http");
    home.guest("ok_echo");
    let address = server.address;
    home.file(
        "policies/loopback.toml",
        format!(
            "version = 1\nname = \"loopback\"\n[[http]]\nurl = \"http://{address}/\"\nmethods = \
             [\"POST\"]\nprivate_network = true\n"
        ),
    );
    home.file("plan.yaml", plan(server, steps));
    home
}

pub(super) fn plan(server: &Counting, steps: &str) -> String {
    let mut text = super::plan(
        &(super::tool("ok_http", "loopback") + &super::tool("ok_echo", "deny-all")),
        steps,
    );
    while let Some(at) = text.find("POST:") {
        let end = text[at..].find([',', ' ', '\n']).unwrap() + at;
        let path = text[at + 5..end].to_owned();
        let with = format!(
            "uses: ok_http/run, with: {{ method: POST, url: \"http://{}{path}\" }}",
            server.address
        );
        text.replace_range(at..end, &with);
    }
    text
}

pub(super) const RUN: &[&str] = &["run", "plan.yaml", "--allow-private-network", "--json"];

pub(super) fn begun(home: &Home) -> Child {
    let mut command = home.command(RUN);
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

pub(super) fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// A run whose process dies while the server keeps the request to `path` waiting.
pub(super) fn killed_in(home: &Home, server: &Counting, path: &str) {
    server.silence(path, true);
    let child = begun(home);
    server.wait(path, 1);
    kill(child);
}

pub(super) fn resume(home: &Home) -> Ran {
    home.flowhost(&[
        "runs",
        "resume",
        "latest",
        "--allow-private-network",
        "--json",
    ])
}

pub(super) const THREE: &str = "  a: { POST:/a }\n  b: { needs: [a], POST:/b }\n  c: { needs: [b], POST:/c }\noutputs: { \
                     last: \"${{ steps.c.output.ok.body }}\" }";

pub(super) const REVIEW: &str = "  a: { POST:/a }\n  review: { needs: [a], wait_for: approval, timeout: 4h }\n  b: { needs: \
                      [review], POST:/b }\noutputs: { by: \"${{ steps.review.output.by }}\" }";

#[test]
fn a_keyed_step_is_made_again_with_its_key_and_what_was_done_is_not_done_again() {
    let server = Counting::new();
    let home = home(&server, THREE);
    killed_in(&home, &server, "/b");
    server.silence("/b", false);
    let report = resume(&home).expect(0).json();
    assert_eq!(report["outputs"]["last"], "c");
    assert_eq!(report["steps"].as_object().unwrap().len(), 3, "{report:#}");
    assert_eq!(server.paths(), ["/a", "/b", "/b", "/c"]);
    let hits = server.hits();
    assert_eq!(hits[1].key, hits[2].key);
    assert!(
        !hits[1].key.is_empty() && hits[0].key != hits[1].key,
        "{hits:?}"
    );
    home.flowhost(&["verify", "latest"]).expect(0);
    home.flowhost(&["verify", ".flowhost"]).expect(0);
    let list = home.flowhost(&["runs", "list", "--json"]).expect(0).json();
    assert_eq!(list[0]["status"], "ok");
    // Over is over.
    let again = resume(&home).expect(1);
    assert!(again.all().contains("it has ended: ok"), "{}", again.all());
}

#[test]
fn a_plan_whose_last_run_was_killed_says_so_whoever_found_that_first() {
    let server = Counting::new();
    let home = home(&server, THREE);
    killed_in(&home, &server, "/b");
    server.silence("/b", false);
    let list = home.flowhost(&["runs", "list", "--json"]).expect(0).json();
    let killed = list[0]["run_id"].as_str().unwrap();
    let goes_on =
        format!("`flowhost runs resume {killed} --allow-private-network` goes on with it");
    let run = ["run", "plan.yaml", "--allow-private-network"];
    let offer = format!("the last run of this plan, {killed}, was killed; {goes_on}");
    let ran = home.flowhost(&run).expect(0);
    assert!(ran.stderr.contains(&offer), "{}", ran.all());
    let once = format!("warning: {offer}");
    assert!(!ran.all().contains(&once), "{}", ran.all());
    // Now another has ended, and what is offered is not taken for the newest.
    let ran = home.flowhost(&run).expect(0);
    assert!(!ran.stderr.contains(killed), "{}", ran.all());
    let ran = home.flowhost(&[&run[..], &["--resume"]].concat()).expect(1);
    let older = format!("an older one is on record as `killed`: {goes_on}");
    assert!(ran.stderr.contains(&older), "{}", ran.all());
}

#[test]
fn a_program_hears_that_the_last_run_of_a_plan_was_killed() {
    let server = Counting::new();
    let home = home(&server, THREE);
    killed_in(&home, &server, "/b");
    server.silence("/b", false);
    let list = home.flowhost(&["runs", "list", "--json"]).expect(0).json();
    let killed = list[0]["run_id"].as_str().unwrap();
    let run = ["run", "plan.yaml", "--allow-private-network", "--json"];
    let told = home.flowhost(&run).expect(0).json();
    let warnings = told["warnings"].to_string();
    let offer = format!("the last run of this plan, {killed}, was killed; `flowhost runs resume");
    assert!(warnings.contains(&offer), "{told:#}");
    let told = home.flowhost(&run).expect(0).json();
    assert!(!told["warnings"].to_string().contains(killed), "{told:#}");
}

#[test]
fn a_run_resumes_inside_a_plan_within_it_its_items_and_its_attempts() {
    let server = Counting::new();
    let steps = "  each:\n    foreach: { items: \"${{ [1, 2, 3] }}\", as: n, max_parallel: 1 }\n    uses: \
                 plan:sub.yaml\n    with: { n: \"${{ n }}\" }\n  last: { needs: [each], POST:/last }\noutputs: { all: \
                 \"${{ steps.each.outputs }}\" }";
    let home = home(&server, steps);
    let sub = "  first: { POST:/first }\n  tries: { needs: [first], POST:/tries, checks: [ { id: well, that: \
               \"output.ok.status == 200\" } ], retry: { max_attempts: 5, backoff: { initial: 1ms }, retry_on: [check] } }\noutputs: { \
               said: \"${{ string(inputs.n) + steps.tries.output.ok.body }}\" }";
    let sub = plan(&server, sub).replace("plugins:", "inputs: { n: { type: number } }\nplugins:");
    home.file("sub.yaml", sub);
    server.fail("/tries", true);
    let child = begun(&home);
    // In the second attempt of the first item's second step.
    server.wait("/tries", 2);
    server.silence("/tries", true);
    server.fail("/tries", false);
    server.wait("/tries", 3);
    kill(child);
    server.silence("/tries", false);
    let before = server.counts()["/tries"].0;
    let report = resume(&home).expect(0).json();
    let all: Vec<Value> = (1..=3)
        .map(|n| json!({ "said": format!("{n}tries") }))
        .collect();
    assert_eq!(report["outputs"]["all"], json!(all), "{report:#}");
    let counts = server.counts();
    assert_eq!((counts["/first"].0, counts["/last"].0), (3, 1));
    assert_eq!(counts["/tries"].0, before + 3);
    assert_eq!(counts["/tries"].1, 3, "one key for each item: {counts:?}");
}

#[test]
fn a_signal_to_the_process_lets_what_is_at_work_end_and_the_run_go_on_later() {
    for (name, code) in [("TERM", 143), ("HUP", 129)] {
        let server = Counting::new();
        let home = home(&server, THREE);
        server.silence("/b", true);
        let child = begun(&home);
        server.wait("/b", 1);
        signal(&child, name);
        let since = Instant::now();
        assert_eq!(ended(child).code(), Some(code), "{name}");
        assert!(
            since.elapsed() > Duration::from_secs(4),
            "what is at work gets a grace"
        );
        let list = home.flowhost(&["runs", "list", "--json"]).expect(0).json();
        assert_eq!(list[0]["status"], "interrupted");
        home.flowhost(&["verify", ".flowhost"]).expect(0);
        server.silence("/b", false);
        let resumed = home.flowhost(&[
            "run",
            "plan.yaml",
            "--resume",
            "--allow-private-network",
            "--json",
        ]);
        assert_eq!(resumed.expect(0).json()["outputs"]["last"], "c");
        assert_eq!(server.paths(), ["/a", "/b", "/b", "/c"]);
        assert_eq!(server.counts()["/b"].1, 1);
        let more = home.flowhost(&["run", "plan.yaml", "--resume"]).expect(1);
        assert!(more.all().contains("nothing to resume"), "{}", more.all());
    }
}

#[test]
fn what_was_done_is_taken_back_once_even_when_the_process_ends_in_the_middle() {
    let server = Counting::new();
    let steps = "  a: { POST:/a, compensate: { POST:/undo-a } }\n  b: { needs: [a], POST:/b, compensate: { \
                 POST:/undo-b } }\n  c: { needs: [b], POST:/c, checks: [ { id: well, that: \"false\" } ] }";
    let home = home(&server, steps);
    killed_in(&home, &server, "/undo-b");
    server.silence("/undo-b", false);
    resume(&home).expect(4);
    assert_eq!(
        server.paths(),
        ["/a", "/b", "/c", "/undo-b", "/undo-b", "/undo-a"]
    );
    assert_eq!(server.counts()["/undo-b"].1, 1);
}

#[test]
fn a_disk_that_fills_while_a_run_goes_on_loses_nothing_and_the_run_goes_on_later() {
    let server = Counting::new();
    let home = home(&server, REVIEW);
    home.flowhost(RUN).expect(9);
    home.flowhost(&["runs", "approve", "latest", "review", "--by", "ann"])
        .expect(0);
    let full = without_room(&home, "runs resume latest --allow-private-network --json");
    assert_eq!(full.status.code(), Some(1), "{full:?}");
    let told = String::from_utf8_lossy(&full.stdout).into_owned();
    assert!(told.contains("check free space and the disk"), "{told}");
    let again = resume(&home).expect(0).json();
    assert_eq!(again["outputs"]["by"], "ann");
    let paths = server.paths();
    assert_eq!(paths.first().map(String::as_str), Some("/a"));
    assert_eq!(
        server.counts()["/b"].1,
        1,
        "whatever was sent twice had one key: {paths:?}"
    );
    home.flowhost(&["verify", ".flowhost"]).expect(0);
}

/// What a command comes to where no file grows beyond what the ledger has by now, which is how a full disk says no (in
/// KiB).
fn without_room(home: &Home, command: &str) -> std::process::Output {
    let exe = crate::support::executable();
    let ledger = run_dir(home).join("seg-00000000.jsonl");
    let most = ledger.metadata().unwrap().len() >> 10;
    let script = format!("ulimit -f {most}; exec '{}' {command}", exe.display());
    let mut full = std::process::Command::new("bash");
    full.args(["-c", &script]).current_dir(home.path());
    full.env_clear().env("PATH", "/usr/bin:/bin");
    full.stdin(Stdio::null());
    full.output().unwrap()
}

#[test]
fn a_word_that_a_full_disk_met_is_not_said_to_be_nowhere() {
    let server = Counting::new();
    let home = home(&server, REVIEW);
    home.flowhost(RUN).expect(9);
    let full = without_room(&home, "runs approve latest review --by ann");
    assert_eq!(full.status.code(), Some(1), "{full:?}");
    let told = String::from_utf8_lossy(&full.stderr).into_owned();
    for words in [
        "may stand on record",
        "check free space",
        "flowhost runs show 0",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
}
