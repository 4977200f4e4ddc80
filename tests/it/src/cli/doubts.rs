//! A call that is stopped while it is at work: whoever ends the run is told that nobody knows whether it had its effect.

use std::io::Read as _;

use serde_json::{Value, json};

use super::interrupted::{ended, signal, sleeping, started};
use super::resumed::{RUN, THREE, begun, home, killed_in, resume};
use crate::counting::Counting;
use crate::support::Home;

const DOUBT: &str = "b: nobody knows whether it had its effect: it was stopped while it was at work; look whether it \
                     happened, and take it back by hand if it must not stay";

/// A manifest of the tool that sends requests, by which a request with the same key has its effect once.
const SENDS: &str = "version = 1\nname = \"ok_http\"\nkind = \"tool\"\nrelease = \"0.1.0\"\ndescription = \"Sends a \
                     request.\"\n[needs]\nhttp = \"granted\"\n[[tools]]\nname = \"run\"\ndescription = \"Sends a \
                     request.\"\neffects = \"keyed\"\ninput = {}\n";

/// Of which steps the record of the only run says that a call of theirs is in doubt.
fn recorded(home: &Home) -> Vec<String> {
    let records = home.records().into_iter();
    let warned = records.filter(|it| it["kind"] == "guard.verdict" && it["warning"] == "call");
    warned
        .map(|it| it["path"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_run_that_is_interrupted_says_of_which_call_nobody_knows_whether_it_had_its_effect() {
    for effects in ["once", "keyed"] {
        let server = Counting::new();
        let steps = THREE.replace("POST:/b }", &format!("POST:/b, effects: {effects} }}"));
        let steps = steps.replace("POST:/a }", "POST:/a, compensate: { POST:/undo-a } }");
        let home = home(&server, &steps);
        // Without a manifest it says of itself that it changes nothing.
        home.file("ok_http.toml", SENDS);
        server.silence("/b", true);
        let mut child = begun(&home);
        server.wait("/b", 1);
        let mut told = child.stdout.take().unwrap();
        signal(&child, "INT");
        assert_eq!(ended(child).code(), Some(130));
        let mut text = String::new();
        told.read_to_string(&mut text).unwrap();
        let report: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(report["warnings"], json!([DOUBT]), "{report:#}");
        assert_eq!(recorded(&home), ["b"], "{effects}");
        let shown = home.flowhost(&["runs", "show", "latest"]).expect(0).stdout;
        let warned = format!("  warning: {DOUBT}");
        assert!(shown.lines().any(|line| line == warned), "{shown}");
        let shown = home.flowhost(&["runs", "show", "latest", "--json"]);
        let shown = shown.expect(0).json();
        assert_eq!(shown["run"]["warnings"], json!([DOUBT]), "{shown:#}");
        // What was done for certain is taken back; of the other the person is told.
        assert_eq!(server.paths(), ["/a", "/b", "/undo-a"]);
        let page = report["evidence"]["report_html"].as_str().unwrap();
        let page = std::fs::read_to_string(home.path().join(page)).unwrap();
        assert!(page.contains("nobody knows whether the call of `b` had its effect"));
        let settle = ["runs", "settle", "latest", "b", "--as", "done"];
        home.flowhost(&settle).expect(1);
        super::again::replays(&home);
        home.flowhost(&["verify", ".flowhost"]).expect(0);
    }
}

#[test]
fn who_cancels_a_run_of_another_process_is_told_of_the_call_in_doubt() {
    let server = Counting::new();
    let home = home(
        &server,
        &THREE.replace("POST:/b }", "POST:/b, effects: once }"),
    );
    server.silence("/b", true);
    let child = begun(&home);
    server.wait("/b", 1);
    let cancel = ["runs", "cancel", "latest", "--grace", "0", "--json"];
    let cancelled = home.flowhost(&cancel).expect(0).json();
    assert_eq!(cancelled["warnings"], json!([DOUBT]), "{cancelled:#}");
    assert_eq!(ended(child).code(), Some(130));
}

#[test]
fn a_run_that_waits_for_a_word_about_a_call_is_cancelled_and_says_that_nobody_knows() {
    let server = Counting::new();
    let home = home(
        &server,
        &THREE.replace("POST:/b }", "POST:/b, effects: once }"),
    );
    killed_in(&home, &server, "/b");
    server.silence("/b", false);
    resume(&home).expect(9);
    let cancel = ["runs", "cancel", "latest", "--allow-private-network"];
    let cancelled = home.flowhost(&cancel).expect(0);
    assert!(
        cancelled.all().contains(&format!("warning: {DOUBT}")),
        "{}",
        cancelled.all()
    );
    let list = home.flowhost(&["runs", "list", "--json"]).expect(0).json();
    assert_eq!(list[0]["status"], "cancelled");
    assert_eq!(server.paths(), ["/a", "/b"], "it is not made again");
    home.flowhost(&["verify", ".flowhost"]).expect(0);
}

#[test]
fn a_call_that_can_change_nothing_is_stopped_without_a_warning() {
    let home = sleeping();
    let child = started(&home);
    let cancel = ["runs", "cancel", "latest", "--grace", "0", "--json"];
    let cancelled = home.flowhost(&cancel).expect(0).json();
    assert_eq!(cancelled["warnings"], json!([]), "{cancelled:#}");
    assert_eq!(ended(child).code(), Some(130));
    // And one that had come to its end has nothing in doubt either.
    let server = Counting::new();
    let other = super::resumed::home(&server, THREE);
    let report = other.flowhost(RUN).expect(0).json();
    assert_eq!(report["warnings"], json!([]), "{report:#}");
}

/// A run whose second step says `more` and gets no answer within two seconds, by the step's own time or by that of its
/// profile.
fn too_late(server: &Counting, more: &str, by_profile: bool) -> Home {
    let time = match by_profile {
        true => "",
        false => ", timeout: 2s",
    };
    let steps = THREE.replace("POST:/b }", &format!("POST:/b{time}, {more} }}"));
    let steps = steps.replace("POST:/a }", "POST:/a, compensate: { POST:/undo-a } }");
    let home = home(server, &steps);
    home.file("ok_http.toml", SENDS);
    if by_profile {
        let profile = home.read("policies/loopback.toml") + "[limits]\ndeadline = \"2s\"\n";
        home.file("policies/loopback.toml", profile);
    }
    server.silence("/b", true);
    home
}

#[test]
fn what_must_not_happen_twice_is_not_tried_again_when_its_time_was_up() {
    for by_profile in [false, true] {
        let server = Counting::new();
        let more = "effects: once, retry: { max_attempts: 2, retry_on: [timeout, transient] }";
        let home = too_late(&server, more, by_profile);
        let report = home.flowhost(RUN).expect(7).json();
        assert_eq!(report["warnings"], json!([DOUBT]), "{report:#}");
        assert_eq!(recorded(&home), ["b"]);
        let hint = report["error"]["hint"].as_str().unwrap();
        assert!(hint.contains("look whether it happened"), "{hint}");
        assert!(hint.contains("is not tried again"), "{hint}");
        assert_eq!(server.paths(), ["/a", "/b", "/undo-a"], "{by_profile}");
        super::again::replays(&home);
        home.flowhost(&["verify", ".flowhost"]).expect(0);
    }
}

#[test]
fn what_is_keyed_is_tried_again_with_its_key_when_its_time_was_up_and_in_doubt_after_the_last() {
    let server = Counting::new();
    let more = "retry: { max_attempts: 2, retry_on: [timeout] }";
    let home = too_late(&server, more, false);
    let report = home.flowhost(RUN).expect(7).json();
    assert_eq!(report["warnings"], json!([DOUBT]), "{report:#}");
    assert_eq!(server.paths(), ["/a", "/b", "/b", "/undo-a"]);
    let hits = server.hits();
    assert_eq!(hits[1].key, hits[2].key);
    assert!(!hits[1].key.is_empty(), "{hits:?}");
    super::again::replays(&home);
}

const UNANSWERED: &str = "b: nobody knows whether it had its effect: what it had asked gave no answer that could be \
                          taken; look whether it happened, and take it back by hand if it must not stay";

#[test]
fn what_must_not_happen_twice_is_not_tried_again_when_its_request_got_no_answer() {
    let server = Counting::new();
    server.cut("/b");
    let home = sending(server.address);
    let report = home.flowhost(RUN).expect(8).json();
    assert_eq!(report["warnings"], json!([UNANSWERED]), "{report:#}");
    let hint = report["error"]["hint"].as_str().unwrap();
    assert!(hint.contains("is not tried again"), "{hint}");
    assert_eq!(server.paths(), ["/b"]);
    let records = home.records();
    let result = records.iter().find(|it| it["kind"] == "tool.result");
    assert_eq!(result.unwrap()["in_doubt"], "true");
    super::again::replays(&home);
    home.flowhost(&["verify", ".flowhost"]).expect(0);
    // Where nobody was there who could have heard it, it is tried again.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let free = closed.local_addr().unwrap();
    drop(closed);
    let home = sending(free);
    let report = home.flowhost(RUN).expect(8).json();
    assert_eq!(report["warnings"], json!([]), "{report:#}");
    assert_eq!(report["steps"]["b"]["attempts"], 3, "{report:#}");
    super::again::replays(&home);
}

/// One step, which must not be done twice and asks whoever is at this address.
fn sending(to: std::net::SocketAddr) -> Home {
    let home = Home::new();
    home.warm();
    home.file(
        "policies/loopback.toml",
        format!(
            "version = 1\nname = \"loopback\"\n[[http]]\nurl = \"http://{to}/\"\nmethods = [\"POST\"]\nprivate_network = true\n"
        ),
    );
    let plugins = "  send: { kind: tool, source: \"builtin:http-send\", profile: loopback }\n";
    let steps = format!(
        "  b: {{ uses: send/send, with: {{ url: \"http://{to}/b\", method: POST, body: {{}} }}, effects: once, retry: {{ \
         max_attempts: 3, backoff: {{ initial: 10ms }} }} }}"
    );
    home.file("plan.yaml", super::plan(plugins, &steps));
    home
}
