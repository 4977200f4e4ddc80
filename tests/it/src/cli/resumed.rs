//! A run that goes on from its ledger alone, after a kill, a signal or a wait; and what is refused.

use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use flowhost_ledger::records::{RecordKind as _, RunStart};
use flowhost_ledger::{HostKey, LedgerOptions, Recorder as _, RunIndex};
use serde_json::{Value, json};

use super::evidence::run_dir;
use super::examples::example;
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

#[test]
fn a_keyed_step_is_made_again_with_its_key_and_what_was_done_is_not_done_again() {
    let server = Counting::new();
    let home = home(&server, THREE);
    server.silence("/b", true);
    let child = begun(&home);
    server.wait("/b", 1);
    kill(child);
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
    server.silence("/b", true);
    let child = begun(&home);
    server.wait("/b", 1);
    kill(child);
    server.silence("/b", false);
    let list = home.flowhost(&["runs", "list", "--json"]).expect(0).json();
    let killed = list[0]["run_id"].as_str().unwrap();
    let goes_on = format!("`flowhost runs resume {killed}` goes on with it");
    let run = ["run", "plan.yaml", "--allow-private-network"];
    let ran = home.flowhost(&run).expect(0);
    let offer = format!("the last run of this plan, {killed}, was killed; {goes_on}");
    assert!(ran.stderr.contains(&offer), "{}", ran.all());
    // Now another has ended, and what is offered is not taken for the newest.
    let ran = home.flowhost(&run).expect(0);
    assert!(!ran.stderr.contains(killed), "{}", ran.all());
    let ran = home.flowhost(&[&run[..], &["--resume"]].concat()).expect(1);
    let older = format!("an older one is on record as `killed`: {goes_on}");
    assert!(ran.stderr.contains(&older), "{}", ran.all());
}

#[test]
fn what_must_not_happen_twice_waits_for_a_word_and_goes_on_by_it() {
    for (word, answers, times) in [("done", "told", 1), ("retry", "b", 2)] {
        let server = Counting::new();
        let steps = THREE.replace("POST:/b }", "POST:/b, effects: once }");
        let steps = steps.replace("steps.c.output.ok.body", "string(steps.b.output.ok.body)");
        let home = home(&server, &steps);
        server.silence("/b", true);
        let child = begun(&home);
        server.wait("/b", 1);
        kill(child);
        server.silence("/b", false);
        let waits = resume(&home).expect(9);
        assert_eq!(waits.json()["status"], "waiting");
        let hint = waits.json()["error"]["hint"].as_str().unwrap().to_owned();
        assert!(hint.contains("runs settle"), "{hint}");
        assert_eq!(server.paths(), ["/a", "/b"]);
        // Nobody has said a word: it waits on, and nothing is done.
        resume(&home).expect(9);
        let list = home.flowhost(&["runs", "list", "--json"]).expect(0).json();
        assert_eq!(list[0]["status"], "waiting");
        let settle = |step: &str, more: &[&str]| {
            let all = ["runs", "settle", "latest", step, "--as", word];
            home.flowhost(&[&all[..], more].concat())
        };
        let other = settle("a", &[]).expect(1);
        assert!(other.all().contains("`a` does not"), "{}", other.all());
        let output: &[&str] = match word {
            "done" => &["--output", r#"{"ok":{"body":"told"}}"#, "--by", "ann"],
            _ => &["--by", "ann"],
        };
        settle("b", output).expect(0);
        let twice = settle("b", output).expect(1);
        assert!(
            twice.all().contains("no step of it waits"),
            "{}",
            twice.all()
        );
        let report = resume(&home).expect(0).json();
        assert_eq!(report["outputs"]["last"], answers);
        assert_eq!(server.counts()["/b"].0, times);
        home.flowhost(&["verify", ".flowhost"]).expect(0);
    }
}

#[test]
fn a_word_to_try_again_is_good_for_one_try() {
    let server = Counting::new();
    let once = THREE.replace("POST:/b }", "POST:/b, effects: once }");
    let home = home(&server, &once);
    server.silence("/b", true);
    let child = begun(&home);
    server.wait("/b", 1);
    kill(child);
    let settle = ["runs", "settle", "latest", "b", "--as", "retry"];
    home.flowhost(&settle).expect(0);
    let again = ["runs", "resume", "latest", "--allow-private-network"];
    let child = home.command(&again).spawn().unwrap();
    server.wait("/b", 2);
    kill(child);
    // Whether the second try had its effect, nobody has said.
    server.silence("/b", false);
    resume(&home).expect(9);
    assert_eq!(server.paths(), ["/a", "/b", "/b"]);
}

#[test]
fn a_step_that_is_settled_as_failed_fails_by_the_persons_word() {
    let server = Counting::new();
    let home = home(
        &server,
        &THREE.replace("POST:/b }", "POST:/b, effects: once }"),
    );
    server.silence("/b", true);
    let child = begun(&home);
    server.wait("/b", 1);
    kill(child);
    let all = [
        "runs",
        "settle",
        "latest",
        "b",
        "--as",
        "failed",
        "--note",
        "no money came",
    ];
    home.flowhost(&all).expect(0);
    let report = resume(&home).expect(8).json();
    assert_eq!(report["error"]["message"], "no money came");
    assert_eq!(server.paths(), ["/a", "/b"]);
    let records = home.records();
    let settled = records.iter().filter(|it| it["kind"] == "run.settle");
    assert_eq!(settled.count(), 1, "{records:#?}");
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
fn the_working_copy_may_be_gone_and_a_component_that_is_another_is_refused() {
    let server = Counting::new();
    let home = home(&server, THREE);
    server.silence("/b", true);
    let child = begun(&home);
    server.wait("/b", 1);
    kill(child);
    server.silence("/b", false);
    for name in [
        "plan.yaml",
        "ok_http.wasm",
        "ok_echo.wasm",
        "policies/loopback.toml",
    ] {
        std::fs::remove_file(home.path().join(name)).unwrap();
    }
    let components = home.path().join(".flowhost/components");
    let (mut kept, mut texts) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(components).unwrap() {
        let path = entry.unwrap().path();
        texts.push(std::fs::read(&path).unwrap());
        std::fs::write(&path, b"another").unwrap();
        kept.push(path);
    }
    let refused = resume(&home).expect(1).all();
    assert!(
        refused.contains("is not the component that the run had"),
        "{refused}"
    );
    assert!(refused.contains("--plugin "), "{refused}");
    // What is named in its place is looked at before anything is made of it.
    home.file("text.wasm", "no component");
    for (named, why) in [
        (
            "ok_http=text.wasm",
            "text.wasm` cannot stand in for `ok_http`",
        ),
        ("other=text.wasm", "its plan has no plugin `other`"),
    ] {
        let command = ["runs", "resume", "latest", "--plugin", named];
        let refused = home.flowhost(&command).expect(1).all();
        assert!(refused.contains(why), "{refused}");
    }
    for (path, text) in kept.iter().zip(&texts) {
        std::fs::write(path, text).unwrap();
    }
    let bundle = run_dir(&home).join("bundle.json");
    let text = std::fs::read_to_string(&bundle).unwrap();
    // Whatever is changed in it: a text, or the name of a plugin.
    for (from, to) in [("POST", "PUT"), ("\"ok_http\"", "\"ok_https\"")] {
        assert!(text.contains(from), "{text}");
        std::fs::write(&bundle, text.replace(from, to)).unwrap();
        let replayed = home.flowhost(&["runs", "replay", "latest"]);
        for refused in [resume(&home).expect(1), replayed.expect(1)] {
            let told = refused.all();
            assert!(told.contains("bundle.json` is not what the run"), "{told}");
        }
    }
    std::fs::write(&bundle, text).unwrap();
    assert_eq!(resume(&home).expect(0).json()["outputs"]["last"], "c");
}

#[test]
fn a_living_run_is_not_resumed_and_the_refusal_names_its_process() {
    let server = Counting::new();
    let home = home(&server, THREE);
    server.silence("/b", true);
    let child = begun(&home);
    server.wait("/b", 1);
    let refused = resume(&home).expect(1);
    let process = format!("process {} is at work on it", child.id());
    assert!(refused.all().contains(&process), "{}", refused.all());
    kill(child);
}

#[test]
fn a_run_that_has_just_begun_is_not_called_killed() {
    let home = super::home(&["ok_echo"], "  only: { uses: ok_echo/run, with: {} }");
    home.flowhost(&["run", "plan.yaml", "--json"]).expect(0);
    let dir = run_dir(&home);
    // As it is between its folder and its first record, which a busy disk can make long.
    std::fs::write(dir.join("seg-00000000.jsonl"), "").unwrap();
    let held = std::fs::File::open(&dir).unwrap();
    held.lock().unwrap();
    let refused = resume(&home).expect(1).all();
    let process = format!("process {} is at work on it", std::process::id());
    assert!(refused.contains(&process), "{refused}");
    drop(held);
    let refused = resume(&home).expect(1).all();
    assert!(
        refused.contains("killed before its first step"),
        "{refused}"
    );
}

#[test]
fn a_ledger_that_is_damaged_or_gone_or_of_the_first_wave_is_refused_with_what_is_wrong() {
    let server = Counting::new();
    let home = home(&server, THREE);
    server.silence("/b", true);
    let child = begun(&home);
    server.wait("/b", 1);
    kill(child);
    // Sealed, so that a cut is no torn tail any more.
    home.flowhost(&["runs", "list"]).expect(0);
    let dir = run_dir(&home);
    let segment = dir.join("seg-00000000.jsonl");
    let whole = std::fs::read(&segment).unwrap();
    std::fs::write(&segment, &whole[..whole.len() / 2]).unwrap();
    let refused = resume(&home).expect(1);
    assert!(refused.all().contains("records"), "{}", refused.all());
    std::fs::write(&segment, &whole).unwrap();
    let aside = home.path().join("aside");
    std::fs::rename(&dir, &aside).unwrap();
    let name = dir.file_name().unwrap().to_str().unwrap();
    let refused = home.flowhost(&["runs", "resume", name]).expect(1);
    assert!(refused.all().contains("is gone"), "{}", refused.all());
    std::fs::rename(&aside, &dir).unwrap();
    // As a host of the first wave left it: without the document of what it was made of.
    std::fs::remove_file(dir.join("bundle.json")).unwrap();
    let refused = resume(&home).expect(1);
    assert!(refused.all().contains("bundle.json"), "{}", refused.all());
    let none = home.flowhost(&["runs", "resume", "01AAAA"]).expect(1);
    assert!(
        none.all().contains("no run is recorded as"),
        "{}",
        none.all()
    );
}

#[test]
fn a_run_that_a_host_of_the_first_wave_recorded_is_refused_and_says_so() {
    let home = Home::new();
    let (state, run) = (home.path().join(".flowhost"), "01ARZ3NDEKTSV4RRFFQ69G5FAV");
    let key = state.join("host/signing.key");
    std::fs::create_dir_all(key.parent().unwrap()).unwrap();
    let key = Arc::new(HostKey::load_or_create(&key, None).unwrap());
    home.vouch();
    let index = RunIndex::new(&state, "default", key.clone());
    let dir = flowhost_ledger::run_dir(&state, "default", run);
    // Its first record does not say which version its records have.
    let start = RunStart {
        plan: Some("old".to_owned()),
        ..RunStart::default()
    };
    let options = LedgerOptions::new(&dir, "default", run, key);
    let ledger = index.begin(&options, start.clone()).unwrap();
    let first = start.by("default/host").payload(b"{}".to_vec());
    ledger.append(first).unwrap();
    let sealed = ledger.close_blocking().unwrap();
    drop(ledger);
    index.ended(run, "killed", &sealed).unwrap();
    for command in ["resume", "replay"] {
        let refused = home.flowhost(&["runs", command, run]).expect(1);
        assert!(
            refused.all().contains("a host of the first wave made it"),
            "{}",
            refused.all()
        );
    }
}

/// A folder whose run lost everything behind its record `keep`, as a loss of power leaves it that comes
/// before the first checkpoint.
pub(super) fn cut(home: &Home, whole: &[String], keep: usize) {
    let dir = run_dir(home);
    let text: String = whole[..keep]
        .iter()
        .map(|line| format!("{line}\n"))
        .collect();
    std::fs::write(dir.join("seg-00000000.jsonl"), text).unwrap();
    for name in ["checkpoint", "checkpoints.log"] {
        let _was_not_there = std::fs::remove_file(dir.join(name));
    }
}

/// Stops a run of the example at each of its records, and takes it up: it ends as the run did that nobody stopped.
#[track_caller]
fn stopped_at_any_record(name: &str) {
    let home = example(name);
    let report = home
        .flowhost(&["run", "plan.yaml", "--json"])
        .expect(0)
        .json();
    let dir = run_dir(&home);
    let text = std::fs::read_to_string(dir.join("seg-00000000.jsonl")).unwrap();
    let payloads = std::fs::read(dir.join("payloads-00000000.jsonl")).unwrap();
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let place_of = |wanted: &str| {
        let kind = |line: &String| serde_json::from_str::<Value>(line).unwrap()["kind"].clone();
        lines.iter().position(|line| kind(line) == wanted).unwrap()
    };
    let steps = |report: &Value| {
        let steps = report["steps"].as_object().unwrap().iter();
        let told = steps.map(|(path, step)| {
            let (status, attempts) = (step["status"].clone(), step["attempts"].clone());
            (path.clone(), status, attempts)
        });
        told.collect::<Vec<_>>()
    };
    for keep in place_of("view.write") + 1..=place_of("run.end") {
        cut(&home, &lines, keep);
        std::fs::write(dir.join("payloads-00000000.jsonl"), &payloads).unwrap();
        let resumed = home
            .flowhost(&["runs", "resume", "latest", "--json"])
            .expect(0)
            .json();
        let at = format!("{name} stopped at record {keep}");
        assert_eq!(resumed["outputs"], report["outputs"], "{at}");
        assert_eq!(steps(&resumed), steps(&report), "{at}");
        if keep % 5 == 0 {
            // Whatever the first process left half done, the record of both is the script of one replay.
            super::again::replays(&home);
        }
    }
    home.flowhost(&["verify", "latest"]).expect(0);
}

// One test for each example: together they are as long as the rest of this file.

#[test]
fn the_first_plan_that_is_stopped_at_any_record_ends_as_if_it_had_not_been() {
    stopped_at_any_record("first-plan");
}

#[test]
fn a_check_of_documents_that_is_stopped_at_any_record_ends_as_if_it_had_not_been() {
    stopped_at_any_record("docs-check");
}

#[test]
fn a_triage_by_a_model_that_is_stopped_at_any_record_ends_as_if_it_had_not_been() {
    stopped_at_any_record("support-triage");
}

#[test]
fn a_message_seen_from_two_sides_that_is_stopped_at_any_record_ends_as_if_it_had_not_been() {
    stopped_at_any_record("urgent-message");
}

/// Three agents are at work at once, each of them started and none of them done.
#[test]
fn a_step_of_several_agents_that_is_taken_up_costs_what_is_recorded_of_it() {
    let home = example("quality-gates");
    home.flowhost(&["run", "plan.yaml"]).expect(9);
    let text = std::fs::read_to_string(run_dir(&home).join("seg-00000000.jsonl")).unwrap();
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let is_answer = |line: &String| {
        let record: Value = serde_json::from_str(line).unwrap();
        record["kind"] == "tool.result" && record["tool"] == "on-plan"
    };
    let keep = lines.iter().position(is_answer).unwrap();
    assert!(lines[..keep].iter().any(|line| line.contains("on-start")));
    cut(&home, &lines, keep);
    home.flowhost(&["runs", "resume", "latest"]).expect(9);
    super::again::replays(&home);
    home.flowhost(&["verify", "latest"]).expect(0);
}

pub(super) const REVIEW: &str = "  a: { POST:/a }\n  review: { needs: [a], wait_for: approval, timeout: 4h }\n  b: { needs: \
                      [review], POST:/b }\noutputs: { by: \"${{ steps.review.output.by }}\" }";

#[test]
fn a_run_that_waits_for_a_person_needs_no_process_and_goes_on_by_their_word() {
    let server = Counting::new();
    let home = home(&server, REVIEW);
    let waits = home.flowhost(RUN).expect(9);
    assert_eq!(waits.json()["status"], "waiting");
    assert_eq!(server.paths(), ["/a"]);
    let list = home.flowhost(&["runs", "list", "--json"]).expect(0).json();
    assert_eq!(list[0]["status"], "waiting");
    // Nobody has said a word.
    resume(&home).expect(9);
    let say =
        |verb: &str, gate: &str| home.flowhost(&["runs", verb, "latest", gate, "--by", "ann"]);
    let other = say("approve", "a").expect(1);
    assert!(
        other.all().contains("the run waits at `review`"),
        "{}",
        other.all()
    );
    say("approve", "review").expect(0);
    let twice = say("reject", "review").expect(1);
    assert!(
        twice.all().contains("it was approved by ann before"),
        "{}",
        twice.all()
    );
    assert_eq!(server.paths(), ["/a"]);
    assert_eq!(resume(&home).expect(0).json()["outputs"]["by"], "ann");
    assert_eq!(server.paths(), ["/a", "/b"]);
    home.flowhost(&["verify", ".flowhost"]).expect(0);
}

#[test]
fn a_no_ends_the_run_and_a_gate_whose_time_is_up_does_what_the_plan_says() {
    let server = Counting::new();
    let home = home(&server, REVIEW);
    home.flowhost(RUN).expect(9);
    let said = ["runs", "reject", "latest", "review", "--by", "ann"];
    home.flowhost(&[&said[..], &["--note", "too dear"]].concat())
        .expect(0);
    let report = resume(&home).expect(4).json();
    assert_eq!(report["error"]["message"], "`ann` said no: too dear");
    assert_eq!(server.paths(), ["/a"]);

    let steps = REVIEW.replace("4h }", "1s, on_timeout: continue }");
    let steps = steps.replace("steps.review.output.by", "steps.review.status");
    home.file("plan.yaml", plan(&server, &steps));
    home.flowhost(RUN).expect(9);
    std::thread::sleep(Duration::from_millis(1_100));
    let late = home.flowhost(&said).expect(1);
    assert!(late.all().contains("its time was up at"), "{}", late.all());
    resume(&home).expect(0);
    assert_eq!(server.paths(), ["/a", "/a", "/b"]);
}

#[test]
fn what_was_done_is_taken_back_once_even_when_the_process_ends_in_the_middle() {
    let server = Counting::new();
    let steps = "  a: { POST:/a, compensate: { POST:/undo-a } }\n  b: { needs: [a], POST:/b, compensate: { \
                 POST:/undo-b } }\n  c: { needs: [b], POST:/c, checks: [ { id: well, that: \"false\" } ] }";
    let home = home(&server, steps);
    server.silence("/undo-b", true);
    let child = begun(&home);
    server.wait("/undo-b", 1);
    kill(child);
    server.silence("/undo-b", false);
    resume(&home).expect(4);
    assert_eq!(
        server.paths(),
        ["/a", "/b", "/c", "/undo-b", "/undo-b", "/undo-a"]
    );
    assert_eq!(server.counts()["/undo-b"].1, 1);
}

#[test]
fn a_word_that_nobody_waits_for_is_refused_and_says_what_is_waited_for() {
    let server = Counting::new();
    let home = home(&server, REVIEW);
    home.flowhost(RUN).expect(9);
    let signal = |gate: &str| {
        home.flowhost(&["runs", "signal", "latest", gate, "--payload", "{}"])
            .expect(1)
            .all()
    };
    assert!(signal("review").contains("waits for a person's word"));
    assert!(signal("nowhere").contains("the run waits at `review`, and not there"));
    let said = ["runs", "approve", "latest", "review", "--by", "ann"];
    home.flowhost(&said).expect(0);
    resume(&home).expect(0);
    let over = home.flowhost(&said).expect(1);
    assert!(
        over.all().contains("the run has ended: ok"),
        "{}",
        over.all()
    );
}

#[test]
fn the_ledger_of_another_run_is_not_resumed_under_this_ones_name() {
    let server = Counting::new();
    let home = home(&server, REVIEW);
    home.flowhost(RUN).expect(9);
    let first = run_dir(&home);
    home.file("plan.yaml", plan(&server, THREE));
    home.flowhost(RUN).expect(0);
    let mut all = std::fs::read_dir(first.parent().unwrap()).unwrap();
    let second = all.find_map(|entry| Some(entry.ok()?.path()).filter(|path| *path != first));
    let second = second.unwrap();
    std::fs::rename(&first, home.path().join("aside")).unwrap();
    std::fs::rename(&second, &first).unwrap();
    let name = first.file_name().unwrap().to_str().unwrap();
    let refused = home.flowhost(&["runs", "resume", name]).expect(1);
    assert!(
        refused.all().contains("is the ledger of"),
        "{}",
        refused.all()
    );
}

#[test]
fn a_disk_that_fills_while_a_run_goes_on_loses_nothing_and_the_run_goes_on_later() {
    let server = Counting::new();
    let home = home(&server, REVIEW);
    home.flowhost(RUN).expect(9);
    home.flowhost(&["runs", "approve", "latest", "review", "--by", "ann"])
        .expect(0);
    let exe = crate::support::executable();
    // No file grows beyond what the ledger has by now, which is how a full disk says no (in KiB).
    let ledger = run_dir(&home).join("seg-00000000.jsonl");
    let most = ledger.metadata().unwrap().len() >> 10;
    let script = format!(
        "ulimit -f {most}; exec '{}' runs resume latest --allow-private-network --json",
        exe.display()
    );
    let mut full = std::process::Command::new("bash");
    full.args(["-c", &script]).current_dir(home.path());
    full.env_clear().env("PATH", "/usr/bin:/bin");
    full.stdin(Stdio::null());
    let full = full.output().unwrap();
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
