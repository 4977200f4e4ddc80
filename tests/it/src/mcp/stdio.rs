//! Over the standard streams: what an editor starts.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{SERVE, call, home, initialize, modern, request};
use crate::support::Home;

/// A server that was started, and its client's ends of the streams.
pub(super) struct Peer {
    child: Child,
    into: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Peer {
    pub(super) fn start(home: &Home, arguments: &[&str]) -> Self {
        Self::saying(home, arguments, Stdio::piped())
    }

    /// The same, with its standard error elsewhere: nobody reads it before the end.
    pub(super) fn saying(home: &Home, arguments: &[&str], words: Stdio) -> Self {
        let mut command = home.command(arguments);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(words);
        let mut child = command.spawn().unwrap();
        let into = child.stdin.take();
        let from = BufReader::new(child.stdout.take().unwrap());
        Self { child, into, from }
    }

    pub(super) fn send(&mut self, text: &str) {
        let into = self.into.as_mut().unwrap();
        into.write_all(text.as_bytes()).unwrap();
        into.write_all(b"\n").unwrap();
        into.flush().unwrap();
    }

    /// The next frame.
    pub(super) fn next(&mut self) -> Value {
        let mut line = String::new();
        self.from.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    /// The process's id.
    pub(super) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Asks, and gives what comes next.
    pub(super) fn ask(&mut self, frame: &Value) -> Value {
        self.send(&frame.to_string());
        self.next()
    }

    /// Sends the server a signal.
    pub(super) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let asked = Command::new("kill").args(["-s", name, &id]).status();
        assert!(asked.unwrap().success());
    }

    /// Waits for the server to end by itself, its client still there, and gives its exit code.
    pub(super) fn ended(mut self) -> i32 {
        self.child.wait().unwrap().code().unwrap_or(-1)
    }

    /// Ends it without a word.
    pub(super) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Closes the stream and waits for the end; gives the exit code and what was said on standard error.
    pub(super) fn end(mut self) -> (i32, String) {
        drop(self.into.take());
        let output = self.child.wait_with_output().unwrap();
        (
            output.status.code().unwrap_or(-1),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    }
}

#[test]
fn refuses_every_frame_that_is_none_and_answers_the_next_one() {
    // MCP-020
    let home = home();
    let mut peer = Peer::start(&home, &SERVE);
    for (frame, code) in [
        ("not json", -32_700),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, -32_600),
        (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, -32_600),
        (
            r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#,
            -32_600,
        ),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#, -32_600),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"server/discover"}"#,
            -32_602,
        ),
    ] {
        peer.send(frame);
        assert_eq!(peer.next()["error"]["code"], code, "{frame}");
    }
    let deep = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{}"#,
        r#"{"a":"#.repeat(1_000_000)
    );
    peer.send(&deep);
    assert_eq!(
        peer.next()["error"]["code"],
        -32_600,
        "it has more bytes than a frame may have"
    );
    let pong = peer.ask(&request(9, "ping", json!({})));
    assert_eq!(pong, json!({ "jsonrpc": "2.0", "id": 9, "result": {} }));
    // An answer to nothing is dropped; half a frame at the end is none.
    peer.send(r#"{"jsonrpc":"2.0","id":3,"result":{}}"#);
    let (code, stderr) = peer.end();
    assert_eq!((code, stderr.as_str()), (0, ""));
}

#[test]
fn refuses_a_revision_that_is_not_spoken_and_one_that_is_half_said() {
    // MCP-019
    let home = home();
    let mut peer = Peer::start(&home, &SERVE);
    let mut unknown = modern(1, "tools/list", json!({}));
    unknown["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("1900-01-01");
    let refused = peer.ask(&unknown);
    assert_eq!(refused["error"]["code"], -32_022);
    assert_eq!(refused["error"]["data"]["supported"][0], "2026-07-28");
    let mut half = modern(2, "tools/list", json!({}));
    half["params"]["_meta"]
        .as_object_mut()
        .unwrap()
        .remove("io.modelcontextprotocol/clientCapabilities");
    assert_eq!(peer.ask(&half)["error"]["code"], -32_602);
    assert_eq!(peer.end().0, 0);
}

#[test]
fn refuses_arguments_that_a_tool_does_not_take_before_its_guest_runs() {
    // MCP-009
    let home = home();
    let mut peer = Peer::start(&home, &SERVE);
    peer.ask(&initialize(1));
    for (arguments, says) in [
        (json!({}), "text"),
        (json!({ "text": 7 }), "string"),
        (json!({ "text": "a", "more": 1 }), "more"),
    ] {
        let refused = peer.ask(&call(2, "echo", arguments));
        assert_eq!(refused["result"]["isError"], true, "{refused}");
        let text = refused["result"]["content"][0]["text"].as_str().unwrap();
        assert!(
            text.contains(says) && text.contains("flowhost runs show"),
            "{text}"
        );
    }
    let unknown = peer.ask(&call(3, "shell", json!({})));
    assert_eq!(unknown["error"]["code"], -32_602);
    assert_eq!(peer.end().0, 0);
}

#[test]
fn answers_both_eras_in_one_stream_each_in_its_own_form() {
    let home = home();
    let mut peer = Peer::start(&home, &SERVE);
    let discovered = peer.ask(&modern(1, "server/discover", json!({})));
    let result = &discovered["result"];
    assert_eq!(result["resultType"], "complete");
    assert_eq!(result["supportedVersions"][0], "2026-07-28");
    assert_eq!(
        result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"],
        "flowhost"
    );
    let agreed = peer.ask(&initialize(2));
    assert_eq!(agreed["result"]["protocolVersion"], "2025-11-25");
    assert_eq!(agreed["result"].get("resultType"), None);
    peer.send(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);

    let arguments = json!({ "text": "grüße" });
    let legacy = peer.ask(&call(3, "echo", arguments.clone()));
    assert_eq!(legacy["result"]["structuredContent"], arguments);
    assert_eq!(legacy["result"]["isError"], false);
    let now = peer.ask(&modern(
        4,
        "tools/call",
        json!({ "name": "echo", "arguments": arguments }),
    ));
    assert_eq!(now["result"]["structuredContent"], arguments);
    assert_eq!(now["result"]["resultType"], "complete");
    assert_eq!(peer.end().0, 0);
}

#[test]
fn every_kind_of_content_reaches_the_client() {
    let home = home();
    let mut peer = Peer::start(&home, &SERVE);
    peer.ask(&initialize(1));
    let answer = peer.ask(&call(2, "test_multiple_content_types", json!({})));
    let content = answer["result"]["content"].as_array().unwrap();
    let kinds: Vec<&str> = content
        .iter()
        .filter_map(|block| block["type"].as_str())
        .collect();
    assert_eq!(kinds, ["text", "image", "resource"]);
    assert_eq!(content[1]["mimeType"], "image/png");
    assert_eq!(
        content[2]["resource"]["uri"],
        "test://mixed-content-resource"
    );
    let failed = peer.ask(&call(3, "test_error_handling", json!({})));
    assert_eq!(failed["result"]["isError"], true);
    let text = failed["result"]["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("intentionally returns an error"), "{text}");
    assert_eq!(peer.end().0, 0);
}

#[test]
fn progress_is_told_under_the_clients_token_and_only_grows() {
    let home = home();
    let mut peer = Peer::start(&home, &SERVE);
    peer.ask(&initialize(1));
    let mut asked = call(2, "test_tool_with_progress", json!({}));
    asked["params"]["_meta"] = json!({ "progressToken": "t" });
    peer.send(&asked.to_string());
    let mut told = Vec::new();
    let answer = loop {
        let frame = peer.next();
        if frame.get("id").is_some() {
            break frame;
        }
        assert_eq!(frame["method"], "notifications/progress");
        assert_eq!(frame["params"]["progressToken"], "t");
        told.push(frame["params"]["progress"].as_f64().unwrap());
    };
    assert_eq!(told, [0.0, 50.0, 100.0]);
    assert_eq!(answer["result"]["content"][0]["text"], "done");
    assert_eq!(peer.end().0, 0);
}

#[test]
fn a_call_leaves_evidence_that_can_be_read_and_verified() {
    let home = home();
    let mut peer = Peer::start(&home, &SERVE);
    peer.ask(&initialize(1));
    let answer = peer.ask(&call(2, "echo", json!({ "text": "a" })));
    let run = &answer["result"]["_meta"]["dev.flowhost/run"];
    let id = run["id"].as_str().unwrap().to_owned();
    let listed = peer.ask(&request(3, "resources/list", json!({})));
    let uri = listed["result"]["resources"][0]["uri"].as_str().unwrap();
    assert_eq!(uri, format!("flowhost://runs/{id}/report.json"));
    let read = peer.ask(&request(
        4,
        "resources/read",
        json!({ "uri": run["report"] }),
    ));
    let report: Value =
        serde_json::from_str(read["result"]["contents"][0]["text"].as_str().unwrap()).unwrap();
    assert_eq!(report["run_id"], id.as_str());
    // The page is made when somebody reads it; the run of a call leaves none.
    assert_eq!(report["evidence"]["report_html"], Value::Null);
    let left = home.path().join(".flowhost/default/runs").join(&id);
    assert!(left.join("report.json").is_file() && !left.join("report.html").exists());
    let page = format!("flowhost://runs/{id}/report.html");
    let page = peer.ask(&request(7, "resources/read", json!({ "uri": page })));
    let page = page["result"]["contents"][0]["text"].as_str().unwrap();
    assert!(
        page.starts_with("<!DOCTYPE html>") && page.contains(&id),
        "{page}"
    );
    // MCP-018: what was not made here is not there, whatever stands in the state folder.
    for uri in [
        "flowhost://runs/01AAAAAAAAAAAAAAAAAAAAAAAA/report.json",
        "file:///etc/passwd",
    ] {
        let missing = peer.ask(&request(5, "resources/read", json!({ "uri": uri })));
        assert_eq!(missing["error"]["code"], -32_002, "{missing}");
    }
    let template = "flowhost://runs/{run}/report.json";
    let completed = peer.ask(&request(
        6,
        "completion/complete",
        json!({
            "ref": { "type": "ref/resource", "uri": template },
            "argument": { "name": "run", "value": &id[..4] },
        }),
    ));
    assert_eq!(completed["result"]["completion"]["values"], json!([id]));
    assert_eq!(peer.end().0, 0);
    home.flowhost(&["verify", &id]).expect(0);
}

#[test]
fn a_client_that_never_reads_what_is_logged_is_answered() {
    let home = home();
    let (_unread, mut words) = std::io::pipe().unwrap();
    // As much as such a pipe holds: the next line finds no room.
    words.write_all(&[b'x'; 64 << 10]).unwrap();
    let serve: Vec<&str> = ["-vv"].into_iter().chain(SERVE).collect();
    let mut peer = Peer::saying(&home, &serve, words.into());
    // A server that waited for a reader would do so for ever, and this test with it.
    let (id, (done, over)) = (peer.process().to_string(), std::sync::mpsc::channel::<()>());
    let ends = std::thread::spawn(move || {
        if over.recv_timeout(Duration::from_secs(60)) == Err(RecvTimeoutError::Timeout) {
            let _gone = Command::new("kill").args(["-s", "KILL", &id]).status();
        }
    });
    peer.ask(&initialize(1));
    for id in 2..20 {
        // Dropped with a line in the log.
        peer.send(r#"{"jsonrpc":"2.0","id":3,"result":{}}"#);
        let answer = peer.ask(&call(id, "echo", json!({ "text": "a" })));
        assert_eq!(answer["result"]["isError"], false, "{answer}");
    }
    assert_eq!(peer.end().0, 0);
    drop(done);
    ends.join().unwrap();
}

/// A folder with a tool that sleeps, as `limit_sleep.wasm` with its manifest.
pub(super) fn sleeping() -> Home {
    let home = Home::new();
    home.guest("limit_sleep");
    let manifest = "version = 1\nname = \"sleep\"\nkind = \"tool\"\nrelease = \"0.1.0\"\ndescription = \"d\"\n\
        [[tools]]\nname = \"run\"\ndescription = \"Sleeps.\"\neffects = \"none\"\ninput = { type = \"object\" }\n";
    home.file("limit_sleep.toml", manifest);
    home
}

/// Waits until a record of a run has this text: what is on record is answered for, however the run ends.
pub(super) fn recorded(home: &Home, text: &str) {
    let runs = home.path().join(".flowhost/default/runs");
    let has = || {
        let runs = std::fs::read_dir(&runs).into_iter().flatten().flatten();
        let mut segments = runs.map(|run| run.path().join("seg-00000000.jsonl"));
        segments.any(|it| std::fs::read_to_string(it).is_ok_and(|all| all.contains(text)))
    };
    let limit = Instant::now() + Duration::from_secs(60);
    while !has() {
        assert!(Instant::now() < limit, "`{text}` never began");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A server with a tool that sleeps, asked to.
fn asleep() -> (Home, Peer) {
    let home = sleeping();
    let mut peer = Peer::start(&home, &["mcp", "serve", "--plugin", "limit_sleep.wasm"]);
    peer.ask(&initialize(1));
    peer.send(&call(2, "run", json!({})).to_string());
    recorded(&home, "run[0]");
    (home, peer)
}

/// How the only run of a folder ended, and the call in it: the session was over, whatever became of the call.
pub(super) fn ended(home: &Home) -> [String; 2] {
    let listed = home.flowhost(&["runs", "list", "--json"]).expect(0).json();
    let (run, status) = (listed[0]["run_id"].as_str().unwrap(), &listed[0]["status"]);
    let shown = home.flowhost(&["runs", "show", run, "--json"]).expect(0);
    let steps = shown.json()["steps"].as_array().unwrap().clone();
    let call = steps.iter().find(|step| step["path"] == "run[0]").unwrap();
    [status, &call["status"]].map(|it| it.as_str().unwrap_or_default().to_owned())
}

#[test]
fn a_call_that_is_cancelled_is_not_answered_and_ends_as_cancelled() {
    let (home, mut peer) = asleep();
    // A second call with the id of the first is refused while that one is at work.
    let twice = peer.ask(&call(2, "run", json!({})));
    assert_eq!(twice["error"]["code"], -32_600, "{twice}");
    peer.send(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}"#);
    let pong = peer.ask(&request(3, "ping", json!({})));
    assert_eq!(pong["id"], 3);
    assert_eq!(peer.end().0, 0);
    assert_eq!(ended(&home), ["ok", "cancelled"]);
}

#[test]
fn a_client_that_goes_away_ends_its_calls_with_their_evidence() {
    let (home, peer) = asleep();
    assert_eq!(peer.end().0, 0);
    assert_eq!(ended(&home), ["ok", "cancelled"]);
}

#[test]
fn a_server_that_is_told_to_end_answers_its_calls_and_says_by_which_signal() {
    for (signal, code) in [("TERM", 143), ("HUP", 129), ("INT", 130)] {
        let (home, mut peer) = asleep();
        peer.signal(signal);
        // Its client is still there, and waits.
        let answer = peer.next();
        assert_eq!(
            (&answer["id"], &answer["result"]["isError"]),
            (&json!(2), &json!(true)),
            "{signal}: {answer}"
        );
        assert_eq!(peer.ended(), code, "{signal}");
        assert_eq!(ended(&home), ["ok", "cancelled"], "{signal}");
    }
}

#[test]
fn a_server_at_rest_that_is_told_to_end_says_by_which_signal() {
    for (signal, code) in [("TERM", 143), ("HUP", 129), ("INT", 130)] {
        let home = home();
        let mut peer = Peer::start(&home, &SERVE);
        peer.ask(&initialize(1));
        peer.signal(signal);
        assert_eq!(peer.ended(), code, "{signal}");
    }
}

/// A folder with a plan that waits for somebody's word before its only call.
fn asking() -> Home {
    let home = Home::new();
    home.warm();
    home.guest("ok_echo");
    home.file(
        "plan.yaml",
        "flowhost: v1\nkind: workflow\nname: asks\nplugins:\n  ok_echo: { kind: tool, source: ./ok_echo.wasm, profile: \
         deny-all }\nsteps:\n  gate: { wait_for: approval, timeout: 4h }\n  only: { needs: [gate], uses: ok_echo/run, \
         with: {} }\n",
    );
    home
}

#[test]
fn a_plan_that_waits_is_told_as_one_that_has_not_ended_and_who_can_go_on_with_it() {
    let home = asking();
    let mut peer = Peer::start(&home, &["mcp", "serve", "--plan", "plan.yaml"]);
    peer.ask(&initialize(1));
    let answer = peer.ask(&call(2, "asks", json!({})));
    let result = &answer["result"];
    assert_eq!(result["isError"], true, "{answer}");
    assert_eq!(result["_meta"]["dev.flowhost/run"]["status"], "waiting");
    let text = result["content"][0]["text"].as_str().unwrap();
    for said in [
        "waits for",
        "has not ended: it stands as `waiting`",
        "hint: for whoever runs the server: `flowhost runs approve",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    for wrong in ["ended as", "cancelled"] {
        assert!(!text.contains(wrong), "{wrong}: {text}");
    }
    assert_eq!(peer.end().0, 0);
}

#[test]
fn documents_of_a_run_that_can_go_on_are_kept_for_no_time() {
    let home = asking();
    let mut peer = Peer::start(&home, &["mcp", "serve", "--plan", "plan.yaml"]);
    let asked = modern(1, "tools/call", json!({ "name": "asks", "arguments": {} }));
    let answer = peer.ask(&asked);
    let run = answer["result"]["_meta"]["dev.flowhost/run"]["id"].as_str();
    let run = run.unwrap_or_else(|| panic!("{answer}"));
    let mut kept = |file: &str| {
        let uri = format!("flowhost://runs/{run}/{file}");
        let read = peer.ask(&modern(2, "resources/read", json!({ "uri": uri })));
        assert!(read["result"]["contents"][0].is_object(), "{read}");
        read["result"]["ttlMs"].clone()
    };
    let files = ["report.json", "report.html", "evidence.tar"];
    for file in files {
        assert_eq!(kept(file), 0, "{file}");
    }
    home.flowhost(&["runs", "approve", run, "gate", "--by", "ann"])
        .expect(0);
    home.flowhost(&["runs", "resume", run]).expect(0);
    for file in files {
        assert_eq!(kept(file), 86_400_000, "{file}");
    }
    assert_eq!(peer.end().0, 0);
}

#[test]
fn the_run_of_a_plan_is_let_go_by_a_server_that_is_told_to_end_and_cancelled_by_an_interrupt() {
    for (signal, code, status) in [("TERM", 143, "interrupted"), ("INT", 130, "cancelled")] {
        let home = sleeping();
        // Longer than what is at work may take when it is let go.
        home.file(
            "policies/slow.toml",
            "version = 1\nname = \"slow\"\n[limits]\ndeadline = \"60s\"\n",
        );
        home.file(
            "plan.yaml",
            "flowhost: v1\nkind: workflow\nname: sleeps\nplugins:\n  sleep: { kind: tool, source: ./limit_sleep.wasm, \
             profile: slow }\nsteps:\n  only: { uses: sleep/run, with: {} }\n",
        );
        let mut peer = Peer::start(&home, &["mcp", "serve", "--plan", "plan.yaml"]);
        peer.ask(&initialize(1));
        peer.send(&call(2, "sleeps", json!({})).to_string());
        recorded(&home, "step.start");
        peer.signal(signal);
        let answer = peer.next();
        assert_eq!(answer["result"]["isError"], true, "{signal}: {answer}");
        assert_eq!(peer.ended(), code, "{signal}");
        let listed = home.flowhost(&["runs", "list", "--json"]).expect(0).json();
        assert_eq!(listed[0]["status"], status, "{signal}");
        home.flowhost(&["verify", "latest"]).expect(0);
    }
}
