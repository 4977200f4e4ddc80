//! The calls of a session are steps of one run: what is on record of each, what ends the run, and what a client, an
//! operator and a kill find of it.

use serde_json::{Value, json};

use super::stdio::Peer;
use super::{SERVE, call, home, initialize, request};
use crate::support::Home;

/// What an answer says of its run.
fn told(answer: &Value) -> &Value {
    &answer["result"]["_meta"]["dev.flowhost/run"]
}

fn run_of(answer: &Value) -> String {
    told(answer)["id"].as_str().unwrap().to_owned()
}

/// The runs of a folder with their status.
fn runs(home: &Home) -> Vec<Value> {
    let listed = home.flowhost(&["runs", "list", "--json"]).expect(0).json();
    listed.as_array().unwrap().clone()
}

/// The steps of a run as `runs show` has them, by path.
fn steps(home: &Home, run: &str) -> Vec<[String; 2]> {
    let shown = home.flowhost(&["runs", "show", run, "--json"]).expect(0);
    let steps = shown.json()["steps"].as_array().unwrap().clone();
    let of = |step: &Value| {
        [&step["path"], &step["status"]].map(|it| it.as_str().unwrap_or_default().to_owned())
    };
    steps.iter().map(of).collect()
}

fn said(path: &str, status: &str) -> [String; 2] {
    [path.to_owned(), status.to_owned()]
}

#[test]
fn the_calls_of_a_session_are_steps_of_one_run_that_is_signed_when_it_ends() {
    let home = home();
    let mut peer = Peer::start(&home, &SERVE);
    peer.ask(&initialize(1));
    let answers = [
        peer.ask(&call(2, "echo", json!({ "text": "a" }))),
        peer.ask(&call(3, "echo", json!({ "text": 7 }))),
        peer.ask(&call(4, "test_multiple_content_types", json!({}))),
        peer.ask(&call(5, "test_error_handling", json!({}))),
        peer.ask(&call(6, "echo", json!({ "text": "b" }))),
    ];
    let run = run_of(&answers[0]);
    let of = |answer: &Value| [&told(answer)["step"], &told(answer)["status"]].map(Value::clone);
    assert_eq!(
        answers.each_ref().map(of),
        [
            ["echo[0]", "ok"],
            ["echo[1]", "failed"],
            ["test_multiple_content_types[2]", "ok"],
            ["test_error_handling[3]", "failed"],
            ["echo[4]", "ok"],
        ]
        .map(|it| it.map(Value::from))
    );
    assert!(answers.iter().all(|answer| run_of(answer) == run));
    // It goes on, and what there is of it can be looked at.
    let open = steps(&home, &run);
    assert!(open.contains(&said("echo[4]", "ok")), "{open:?}");
    assert_eq!(peer.end().0, 0);
    let listed = runs(&home);
    assert_eq!((listed.len(), &listed[0]["status"]), (1, &json!("ok")));
    let ended = steps(&home, &run);
    assert!(ended.contains(&said("echo[1]", "failed")), "{ended:?}");
    assert!(ended.contains(&said("echo", "ok")), "{ended:?}");
    home.flowhost(&["verify", &run]).expect(0);
    home.flowhost(&["runs", "replay", &run]).expect(0);
    home.flowhost(&["runs", "report", &run, "--out", "page.html"])
        .expect(0);
    home.flowhost(&["evidence", "export", &run, "--out", "all.tar"])
        .expect(0);
    home.flowhost(&["verify", "all.tar"]).expect(0);
    let forked = home.flowhost(&["runs", "fork", &run, "--at", "echo"]);
    assert!(forked.code != 0, "{}", forked.all());
}

#[test]
fn one_call_is_cancelled_and_the_others_of_its_run_are_answered() {
    let home = home();
    home.guest("limit_sleep");
    let manifest = "version = 1\nname = \"sleep\"\nkind = \"tool\"\nrelease = \"0.1.0\"\ndescription = \"d\"\n\
        [[tools]]\nname = \"run\"\ndescription = \"Sleeps.\"\neffects = \"none\"\ninput = { type = \"object\" }\n";
    home.file("limit_sleep.toml", manifest);
    let serve: Vec<&str> = SERVE
        .into_iter()
        .chain(["--plugin", "limit_sleep.wasm"])
        .collect();
    let mut peer = Peer::start(&home, &serve);
    peer.ask(&initialize(1));
    peer.send(&call(2, "run", json!({})).to_string());
    let before = peer.ask(&call(3, "echo", json!({ "text": "a" })));
    let report = told(&before)["report"].clone();
    // What is open and has calls at work says so, and is not ended under them.
    let early = peer.ask(&request(4, "resources/read", json!({ "uri": report })));
    let why = early["error"]["message"].as_str().unwrap();
    assert!(
        why.contains("is open") && why.contains("1 of its calls"),
        "{why}"
    );
    peer.send(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}"#);
    let after = peer.ask(&call(5, "echo", json!({ "text": "b" })));
    assert_eq!(after["result"]["structuredContent"]["text"], "b", "{after}");
    let run = run_of(&before);
    assert_eq!(run_of(&after), run);
    assert_eq!(peer.end().0, 0);
    let ended = steps(&home, &run);
    assert!(ended.contains(&said("run[0]", "cancelled")), "{ended:?}");
    assert!(ended.contains(&said("echo[2]", "ok")), "{ended:?}");
    home.flowhost(&["runs", "replay", &run]).expect(0);
}

#[test]
fn who_reads_the_evidence_of_an_open_run_ends_it_and_the_next_call_begins_another() {
    let home = home();
    let mut peer = Peer::start(&home, &SERVE);
    peer.ask(&initialize(1));
    let first = peer.ask(&call(2, "echo", json!({ "text": "a" })));
    let report = told(&first)["report"].clone();
    let read = peer.ask(&request(3, "resources/read", json!({ "uri": report })));
    let text = read["result"]["contents"][0]["text"].as_str().unwrap();
    let report: Value = serde_json::from_str(text).unwrap();
    assert_eq!(report["status"], "ok", "{report}");
    let second = peer.ask(&call(4, "echo", json!({ "text": "b" })));
    assert_ne!(run_of(&first), run_of(&second));
    home.flowhost(&["verify", &run_of(&first)]).expect(0);
    assert_eq!(peer.end().0, 0);
    assert_eq!(runs(&home).len(), 2);
}

#[test]
fn what_was_answered_is_in_the_ledger_of_a_server_that_was_killed() {
    for durability in ["relaxed", "durable"] {
        let home = home();
        let serve: Vec<&str> = SERVE
            .into_iter()
            .chain(["--durability", durability])
            .collect();
        let mut peer = Peer::start(&home, &serve);
        peer.ask(&initialize(1));
        let mut run = String::new();
        for number in 0..20_u32 {
            let answer = peer.ask(&call(
                2 + number,
                "echo",
                json!({ "text": number.to_string() }),
            ));
            run = run_of(&answer);
        }
        peer.kill();
        let folder = home.path().join(".flowhost/default/runs").join(&run);
        let given = home
            .records_of(&folder)
            .into_iter()
            .filter(|record| record["kind"] == "tool.result" && record["status"] == "ok");
        let given: Vec<Value> = given
            .map(|record| record["said"]["value"]["text"].clone())
            .collect();
        let expected: Vec<Value> = (0..20).map(|it: u32| json!(it.to_string())).collect();
        assert_eq!(given, expected, "{durability}");
        // It is signed as any run that was killed is; taken up, it comes to its end: nobody asks it for more.
        assert_ne!(runs(&home)[0]["status"], "ok");
        home.flowhost(&["runs", "resume", &run]).expect(0);
        assert_eq!(runs(&home)[0]["status"], "ok");
        home.flowhost(&["verify", &run]).expect(0);
        home.flowhost(&["runs", "replay", &run]).expect(0);
    }
}

#[test]
fn a_run_goes_on_with_what_was_offered_and_the_next_is_refused_what_changed() {
    // MCP-002
    let home = home();
    let mut peer = Peer::start(&home, &SERVE);
    peer.ask(&initialize(1));
    let first = peer.ask(&call(2, "echo", json!({ "text": "a" })));
    let manifest = home.read("tools.toml");
    home.file(
        "tools.toml",
        manifest.replace("Hands back what it was given.", "Hands back all."),
    );
    let same = peer.ask(&call(3, "echo", json!({ "text": "b" })));
    assert_eq!(run_of(&same), run_of(&first));
    let report = told(&first)["report"].clone();
    peer.ask(&request(4, "resources/read", json!({ "uri": report })));
    let refused = peer.ask(&call(5, "echo", json!({ "text": "c" })));
    let text = refused["result"]["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("has changed since it was offered"), "{text}");
    home.file("tools.toml", manifest);
    let taken = peer.ask(&call(6, "echo", json!({ "text": "d" })));
    assert_eq!(taken["result"]["isError"], false, "{taken}");
    assert_eq!(peer.end().0, 0);
}

#[test]
fn a_run_ends_before_its_evidence_is_more_than_a_client_can_be_given() {
    let home = home();
    let mut peer = Peer::start(&home, &SERVE);
    peer.ask(&initialize(1));
    // Each is in the ledger as an input and in a result, and as no other: some thirty are as much as a run takes.
    let answers: Vec<Value> = (0..50)
        .map(|number| {
            let text = format!("{number} {}", "x".repeat(200_000));
            peer.ask(&call(100 + number, "echo", json!({ "text": text })))
        })
        .collect();
    assert!(answers.iter().all(|it| it["result"]["isError"] == false));
    let (first, last) = (run_of(&answers[0]), run_of(&answers[49]));
    assert_ne!(first, last);
    let of_first = answers.iter().filter(|it| run_of(it) == first).count();
    assert!((10..45).contains(&of_first), "{of_first} calls");
    // It is being signed, beside the calls of the next run.
    let uri = format!("flowhost://runs/{first}/evidence.tar");
    let read = (0..200).find_map(|number| {
        let read = peer.ask(&request(
            200 + number,
            "resources/read",
            json!({ "uri": uri }),
        ));
        let goes_on = read["error"]["message"]
            .as_str()
            .is_some_and(|why| why.contains("goes on"));
        std::thread::sleep(std::time::Duration::from_millis(20));
        (!goes_on).then_some(read)
    });
    let read = read.unwrap();
    // An archive of texts is none: a model would be shown three megabytes of them.
    let document = &read["result"]["contents"][0];
    assert!(document["blob"].is_string(), "{}", read["error"]);
    assert_eq!(document.get("text"), None);
    assert_eq!(document["mimeType"], "application/x-tar");
    assert_eq!(peer.end().0, 0);
    home.flowhost(&["verify", &first]).expect(0);
    home.flowhost(&["verify", &last]).expect(0);
}

#[test]
fn calls_at_once_are_answered_each_with_its_own() {
    let home = home();
    let mut peer = Peer::start(&home, &SERVE);
    peer.ask(&initialize(1));
    for number in 0..60_u32 {
        let text = json!({ "text": number.to_string() });
        peer.send(&call(100 + number, "echo", text).to_string());
    }
    let mut steps = std::collections::BTreeSet::new();
    for _ in 0..60 {
        let answer = peer.next();
        let number = answer["id"].as_u64().unwrap() - 100;
        let text = &answer["result"]["structuredContent"]["text"];
        assert_eq!(text, &json!(number.to_string()), "{answer}");
        steps.insert(told(&answer)["step"].as_str().unwrap().to_owned());
    }
    assert_eq!(steps.len(), 60);
    assert_eq!(peer.end().0, 0);
    assert_eq!(runs(&home).len(), 1);
}
