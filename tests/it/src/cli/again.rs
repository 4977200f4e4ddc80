//! Runs that are done again from their records: guests run, nothing outside is touched, and what differs is
//! found at its record.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use super::evidence::run_dir;
use super::examples::example;
use super::{plan, tool};
use crate::support::{Home, guest};

/// Everything of the project goes, and so does what its models are configured with.
pub(super) fn forget(home: &Home) {
    for entry in std::fs::read_dir(home.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.ends_with(".flowhost") {
            continue;
        }
        match path.is_dir() {
            true => std::fs::remove_dir_all(&path).unwrap(),
            false => std::fs::remove_file(&path).unwrap(),
        }
    }
}

#[track_caller]
pub(crate) fn replays(home: &Home) -> Value {
    let replayed = home
        .flowhost(&["runs", "replay", "latest", "--json"])
        .expect(0)
        .json();
    assert_eq!(replayed["same"], true, "{replayed:#}");
    replayed
}

#[track_caller]
fn differs(home: &Home, arguments: &[&str]) -> Value {
    let all = [&["runs", "replay", "latest", "--json"], arguments].concat();
    let replayed = home.flowhost(&all).expect(1).json();
    assert_eq!(replayed["same"], false, "{replayed:#}");
    replayed
}

#[test]
fn every_example_is_replayed_without_its_files_and_without_a_model() {
    for name in [
        "first-plan",
        "docs-check",
        "support-triage",
        "urgent-message",
    ] {
        let home = example(name);
        home.flowhost(&["run", "plan.yaml", "--json"]).expect(0);
        forget(&home);
        let replayed = replays(&home);
        assert!(replayed["calls"].as_u64().unwrap() > 0, "{name}");
        let steps = home
            .flowhost(&["runs", "replay", "latest", "--steps", "--json"])
            .expect(0)
            .json();
        assert_eq!((&steps["same"], &steps["calls"]), (&json!(true), &json!(0)));
    }
}

/// A one-step plan of a tool guest under a profile, run.
fn ran(guest: &str, profile: &str, input: &Value) -> Home {
    let home = Home::new();
    home.warm();
    home.file("docs/a.md", "one\n");
    home.file("docs/b/c.md", "two\n");
    std::fs::create_dir_all(home.path().join("out")).unwrap();
    home.run_tool(guest, profile, &input.to_string()).expect(0);
    forget(&home);
    home
}

#[test]
fn what_a_guest_learns_from_clocks_randomness_state_budget_and_environment_is_the_records() {
    let cases = json!({ "cases": [
        { "op": "set", "namespace": "n", "key": "k", "value": "v" },
        { "op": "get", "namespace": "n", "key": "k" },
        { "op": "swap", "namespace": "n", "key": "k", "expected": "99", "value": "w" },
        { "op": "list", "namespace": "n", "prefix": "" },
        { "op": "delete", "namespace": "n", "key": "k" },
        { "op": "get", "namespace": "n", "key": "k" },
        { "op": "get", "namespace": "other", "key": "k" },
    ] });
    for (guest, profile, input) in [
        (
            "ok_clock",
            "[clock]\nwall = \"real\"\n",
            json!({ "reads": 3 }),
        ),
        (
            "ok_random",
            "[random]\nsource = \"os\"\n",
            json!({ "length": 16 }),
        ),
        (
            "ok_wasi_clock_random",
            "[clock]\nwall = \"real\"\n[random]\nsource = \"os\"\n",
            json!({}),
        ),
        ("ok_state", "[state]\nnamespaces = [\"n\"]\n", cases),
        ("ok_budget", "budget = true\n", json!({})),
        ("ok_context", "", json!({})),
    ] {
        let home = ran(guest, profile, &input);
        // What stands in the state folder now is not what the guest was told then.
        let state = home.path().join(".flowhost/default/state");
        if state.is_dir() {
            std::fs::remove_dir_all(state).unwrap();
        }
        replays(&home);
    }
}

const FOLDERS: &str = "[[files]]\nguest = \"/docs\"\nhost = \"docs\"\naccess = \"read\"\n\
    [[files]]\nguest = \"/out\"\nhost = \"out\"\naccess = \"write\"\nquota = \"1MiB\"\nentries = 100\n";

#[test]
fn files_are_read_from_the_record_and_written_nowhere() {
    let ours = json!({ "cases": [
        { "op": "roots" },
        { "op": "read", "path": "/docs/a.md" },
        { "op": "read-range", "path": "/docs/a.md", "offset": "1", "length": 2 },
        { "op": "read", "path": "/docs/none.md" },
        { "op": "list", "path": "/docs" },
        { "op": "stat", "path": "/docs/b" },
        { "op": "write", "path": "/out/x", "contents": "x" },
        { "op": "append", "path": "/out/x", "contents": "y" },
        { "op": "mkdir", "path": "/out/d/e" },
        { "op": "remove", "path": "/out/x" },
        { "op": "read", "path": "/etc/passwd" },
        { "op": "write", "path": "/docs/a.md", "contents": "no" },
    ] });
    let theirs = json!({ "cases": [
        { "op": "roots" },
        { "op": "read", "path": "a.md" },
        { "op": "read", "path": "none.md" },
        { "op": "list", "path": "b" },
        { "op": "stat", "path": "b/c.md" },
        { "op": "advise", "path": "a.md" },
        { "op": "create", "root": 1, "path": "x", "contents": "x" },
        { "op": "append", "root": 1, "path": "x", "contents": "y" },
        { "op": "set-size", "root": 1, "path": "x" },
        { "op": "rename", "root": 1, "path": "x", "to_root": 1, "to": "z" },
        { "op": "unlink", "root": 1, "path": "z" },
        { "op": "read", "path": "../../etc/passwd" },
        { "op": "mkdir", "root": 1, "path": "d" },
        { "op": "rmdir", "root": 1, "path": "d" },
    ] });
    for (guest, input) in [("ok_files", ours), ("ok_wasi_files", theirs)] {
        let home = ran(guest, FOLDERS, &input);
        replays(&home);
        assert!(!home.path().join("out").exists() && !home.path().join("docs").exists());
    }
}

/// A server that counts the requests it answers.
fn counting() -> (SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(AtomicU64::new(0));
    let count = seen.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let number = count.fetch_add(1, Ordering::SeqCst);
            let mut request = [0; 4_096];
            let _read = stream.read(&mut request).unwrap();
            let body = format!("answer {number}");
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    (address, seen)
}

#[test]
fn a_server_hears_nothing_of_a_replay() {
    for guest in ["ok_http", "ok_wasi_http"] {
        let (address, seen) = counting();
        let home = Home::new();
        home.warm();
        home.guest(guest);
        home.file(
            "policies/loopback.toml",
            format!(
                "version = 1\nname = \"loopback\"\n[[http]]\nurl = \"http://{address}/\"\nmethods = \
                 [\"GET\"]\nprivate_network = true\n"
            ),
        );
        // The two guests say their request in the words of their interfaces.
        let whole = format!("url: \"http://{address}/x\"");
        let parts = format!("scheme: http, authority: \"{address}\", path: /x");
        let asked = if guest == "ok_http" { whole } else { parts };
        let step = format!("  only: {{ uses: {guest}/run, with: {{ {asked} }} }}");
        home.file("plan.yaml", plan(&tool(guest, "loopback"), &step));
        home.flowhost(&["run", "plan.yaml", "--allow-private-network", "--json"])
            .expect(0);
        assert_eq!(seen.load(Ordering::SeqCst), 1, "{guest}");
        forget(&home);
        replays(&home);
        assert_eq!(seen.load(Ordering::SeqCst), 1, "{guest}");
    }
}

#[test]
fn agents_that_talk_to_each_other_are_replayed() {
    let talker = "[messages]\npublish = [\"agents.*.in\", \"agents.*.in.reply\"]\n\
                  subscribe = [\"agents.self.in\"]\n";
    let home = Home::new();
    home.warm();
    let mut members = String::new();
    for (name, guest) in [
        ("a", "ok_agent_sender"),
        ("b", "ok_agent_relay"),
        ("c", "ok_agent_relay"),
    ] {
        home.guest(guest);
        let profile = format!("version = 1\nname = \"{name}\"\n{talker}");
        home.file(&format!("policies/{name}.toml"), profile);
        members +=
            &format!("  {name}: {{ kind: agent, source: ./{guest}.wasm, profile: {name} }}\n");
    }
    let cases = json!([
        { "op": "publish", "topic": "agents.b.in", "payload": { "route": ["agents.c.in"], "text": "hello" } },
        { "op": "request", "topic": "agents.c.in", "payload": { "route": [], "text": "hi" }, "timeout_ms": 2_000 },
        { "op": "publish", "topic": "others.b.in", "payload": 1 },
    ]);
    let step = format!("  only: {{ uses: a, with: {{ cases: {cases} }} }}");
    home.file("plan.yaml", plan(&members, &step));
    home.flowhost(&["run", "plan.yaml", "--json"]).expect(0);
    forget(&home);
    let replayed = replays(&home);
    assert!(replayed["calls"].as_u64().unwrap() > 3, "{replayed:#}");
}

/// A copy of the file of payloads with `from` in the place of `to`, of the same length.
fn altered(home: &Home, from: &str, to: &str) -> PathBuf {
    let path = run_dir(home).join("payloads-00000000.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    std::fs::write(&path, text.replace(from, to)).unwrap();
    path
}

#[test]
fn a_payload_that_was_changed_is_found_at_its_record() {
    let home = ran(
        "ok_files",
        FOLDERS,
        &json!({ "cases": [{ "op": "read", "path": "/docs/a.md" }] }),
    );
    altered(&home, "one\\\\n", "two\\\\n");
    let failed = home.flowhost(&["runs", "replay", "latest"]).expect(1);
    let told = "is not what its record committed to";
    assert!(failed.stderr.contains(told), "{}", failed.all());
}

#[test]
fn another_component_is_found_where_it_first_does_something_else() {
    let home = ran(
        "ok_clock",
        "[clock]\nwall = \"real\"\n",
        &json!({ "reads": 1 }),
    );
    // One that asks the host for nothing: rights are those of the run.
    let other = guest("ok_echo").display().to_string();
    let replayed = differs(&home, &["--plugin", &format!("guest={other}")]);
    let record = replayed["record"].clone();
    let difference = &replayed["difference"];
    assert!(difference["record"].is_u64(), "{replayed:#} {record}");
    assert!(
        !replayed["diff"].as_str().unwrap().is_empty(),
        "{replayed:#}"
    );
    // One that wants more is told what it can have.
    let wants = guest("ok_random").display().to_string();
    let wants = format!("guest={wants}");
    let refused = home.flowhost(&["runs", "replay", "latest", "--plugin", &wants]);
    let refused = refused.expect(1).all();
    assert!(
        refused.contains("has the rights of that one only"),
        "{refused}"
    );
    // The very same component stands in for itself.
    let same = guest("ok_clock").display().to_string();
    home.flowhost(&[
        "runs",
        "replay",
        "latest",
        "--plugin",
        &format!("guest={same}"),
    ])
    .expect(0);
}

/// The guest that stands in reads the clock once more than the one did whose run it was.
#[test]
fn a_clock_that_was_not_read_then_is_found_at_its_record() {
    let home = ran("deny_clock", "[clock]\nwall = \"real\"\n", &json!({}));
    let records = home.records();
    let result = records.iter().find(|it| it["kind"] == "tool.result");
    let seq = result.unwrap()["seq"].as_str().unwrap().to_owned();
    let other = format!("guest={}", guest("ok_clock").display());
    let replayed = differs(&home, &["--plugin", &other]);
    let difference = &replayed["difference"];
    assert_eq!(difference["record"].to_string(), seq, "{replayed:#}");
    assert_eq!(difference["expected"]["kind"], "tool.result");
    let clock = "flowhost:clock/clock@0.1.0";
    assert_eq!(
        difference["got"],
        json!({ "asked": "time", "call": "1", "interface": clock })
    );
    let all = ["runs", "replay", "latest", "--plugin", &other];
    let told = home.flowhost(&all).expect(1);
    let what =
        format!("it differs at record {seq}\n  call 1 asks for what the record has no answer to\n");
    assert!(told.stdout.contains(&what), "{}", told.all());
    let line = format!("\n+  \"interface\": \"{clock}\"\n");
    assert!(told.stdout.contains(&line), "{}", told.all());
}

/// A variable that tells the time: its value stands in no record, and the replay takes it from the host again.
#[test]
fn a_clock_that_the_host_lets_through_unrecorded_is_found_where_it_is_read() {
    let home = Home::new();
    home.warm();
    home.guest("deny_environment");
    home.file(
        "policies/told.toml",
        "version = 1\nname = \"told\"\n[env]\nNOW = { from = \"NOW\" }\n",
    );
    let step = "  only: { uses: deny_environment/run, with: {} }";
    home.file("plan.yaml", plan(&tool("deny_environment", "told"), step));
    let at = |now: &str, arguments: &[&str]| {
        let output = home.command(arguments).env("NOW", now).output().unwrap();
        home.ran(&output, arguments)
    };
    let run = ["run", "plan.yaml", "--policies", "policies", "--json"];
    at("12:00:01", &run).expect(0);
    let replay = ["runs", "replay", "latest", "--json"];
    assert_eq!(at("12:00:01", &replay).expect(0).json()["same"], true);
    let told = at("12:00:02", &replay).expect(1);
    assert!(!told.stdout.contains("12:00:0"), "{}", told.all());
    let replayed = told.json();
    let records = home.records();
    let read = records.iter().find(|it| it["kind"] == "host.answer");
    let (difference, seq) = (&replayed["difference"], read.unwrap()["seq"].as_str());
    assert_eq!(difference["record"].to_string(), seq.unwrap());
    let answer = |side: &str| difference[side]["payload"]["answer"]["NOW"].clone();
    assert!(answer("expected").is_string(), "{replayed:#}");
    assert_ne!(answer("expected"), answer("got"), "{replayed:#}");
}

#[test]
fn another_plan_is_found_at_the_first_step_that_it_does_otherwise() {
    let home = example("first-plan");
    home.flowhost(&["run", "plan.yaml", "--json"]).expect(0);
    let text = home.read("plan.yaml");
    home.file("same.yaml", &text);
    home.flowhost(&[
        "runs",
        "replay",
        "latest",
        "--steps",
        "--against",
        "same.yaml",
    ])
    .expect(0);
    let other = text.replace("  headings:\n    uses", "  titles:\n    uses");
    let other = other.replace("steps.headings.", "steps.titles.");
    assert_ne!(other, text);
    home.file("other.yaml", other);
    differs(&home, &["--steps", "--against", "other.yaml"]);
}

#[test]
fn a_run_whose_payload_was_erased_says_which() {
    let home = ran(
        "ok_files",
        FOLDERS,
        &json!({ "cases": [{ "op": "read", "path": "/docs/a.md" }] }),
    );
    let records = home.records();
    let read = records.iter().find(|it| it["kind"] == "fs.op").unwrap();
    let seq = read["seq"].as_str().unwrap().to_owned();
    home.flowhost(&[
        "evidence", "erase", &seq, "--run", "latest", "--reason", "asked",
    ])
    .expect(0);
    let replayed = differs(&home, &[]);
    let difference = &replayed["difference"];
    assert_eq!(difference["record"].to_string(), seq, "{replayed:#}");
    assert!(
        difference["what"].as_str().unwrap().contains("erased"),
        "{replayed:#}"
    );
}

#[test]
fn a_call_that_its_deadline_ended_is_taken_as_it_ended() {
    let home = Home::new();
    home.warm();
    home.run_tool(
        "limit_loop",
        "[limits]\ndeadline = \"200ms\"\nfuel = 1_000_000_000_000\n",
        "{}",
    )
    .expect(7);
    forget(&home);
    replays(&home);
}

/// A plan that stores nothing personal in the clear, and a tool that says again what it is told.
fn redacting(more: &str) -> Home {
    let home = Home::new();
    home.warm();
    home.guest("ok_echo");
    let step = "  only: { uses: ok_echo/run, with: { to: \"${{ inputs.to }}\" } }";
    let text = plan(&tool("ok_echo", "tool-pure"), step);
    let head = format!(
        "labels: {{ about: \"${{{{ inputs.to }}}}\" }}\ninputs: {{ to: {{ type: string }} }}\n\
         defaults: {{ redact: [payloads]{more} }}\n"
    );
    home.file(
        "plan.yaml",
        text.replace("plugins:", &format!("{head}plugins:")),
    );
    let to = "to=jane.doe@example.com";
    home.flowhost(&["run", "plan.yaml", "--input", to, "--json"])
        .expect(0);
    home
}

fn payloads(home: &Home) -> String {
    std::fs::read_to_string(run_dir(home).join("payloads-00000000.jsonl")).unwrap()
}

#[test]
fn what_is_redacted_lies_nowhere_in_the_clear_and_is_replayed_exactly() {
    let home = redacting("");
    let stored = payloads(&home);
    assert!(stored.contains("[redacted:email]") && stored.contains("\"sealed\":\""));
    // The index of runs has the labels, and nobody can erase them there.
    let index = home.path().join(".flowhost/default/runs.index");
    for folder in [run_dir(&home), index] {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            let found = bytes.windows(8).any(|it| it == b"jane.doe");
            assert!(!found, "{}", path.display());
        }
    }
    let list = home.flowhost(&["runs", "list", "--json"]).expect(0).json();
    assert_eq!(list[0]["labels"]["about"], "[redacted:email]");
    forget(&home);
    replays(&home);
    home.flowhost(&["verify", "latest"]).expect(0);
}

#[test]
fn a_run_whose_sealed_key_was_erased_or_that_sealed_nothing_says_so() {
    let home = redacting("");
    let erase = [
        "evidence", "erase", "--sealed", "--run", "latest", "--reason", "asked",
    ];
    home.flowhost(&erase).expect(0);
    assert!(!run_dir(&home).join("sealed.key").exists());
    let failed = home.flowhost(&["runs", "replay", "latest"]).expect(1);
    assert!(failed.stderr.contains("was erased"), "{}", failed.all());
    home.flowhost(&["verify", "latest"]).expect(0);
    home.flowhost(&erase).expect(1);

    let home = redacting(", sealed: none");
    assert!(!payloads(&home).contains("\"sealed\""));
    let failed = home.flowhost(&["runs", "replay", "latest"]).expect(1);
    assert!(failed.stderr.contains("sealed: none"), "{}", failed.all());
}

#[test]
fn an_export_leaves_out_what_is_sealed_unless_it_is_asked_for() {
    let home = redacting("");
    let export = |more: &[&str]| {
        let all = [
            &["evidence", "export", "latest", "--out", "bundle.tar"],
            more,
        ]
        .concat();
        home.flowhost(&all).expect(0);
        let bytes = std::fs::read(home.path().join("bundle.tar")).unwrap();
        let holds = |text: &str| bytes.windows(text.len()).any(|it| it == text.as_bytes());
        let key = home.flowhost(&["keys", "show"]).expect(0).stdout;
        home.flowhost(&["verify", "bundle.tar", "--key", key.trim()])
            .expect(0);
        // In a record the commitment stands there, in a payload's line what was encrypted.
        let sealed = String::from_utf8_lossy(&bytes);
        let sealed = sealed.matches("\"sealed\":\"").count();
        let committed = String::from_utf8_lossy(&bytes);
        let committed = committed.matches("\"sealed\":\"hmac-sha256:").count();
        (holds("sealed.key"), sealed - committed)
    };
    assert_eq!(export(&[]), (false, 0));
    let (key, sealed) = export(&["--sealed"]);
    assert!(key && sealed > 0);
}
