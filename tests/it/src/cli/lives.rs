//! Replays of runs that had several processes: killed, settled, at a gate, and of messages that steps emit.

use serde_json::json;

use super::again::{forget, replays};
use super::resumed::{REVIEW, RUN, THREE, begun, home, kill, resume};
use super::{plan, tool};
use crate::counting::Counting;
use crate::support::Home;

#[test]
fn a_run_that_was_killed_and_resumed_is_replayed_as_one_and_the_server_hears_nothing() {
    let server = Counting::new();
    let home = home(&server, THREE);
    server.silence("/b", true);
    let child = begun(&home);
    server.wait("/b", 1);
    kill(child);
    // Of what was at work nothing was answered, and of what the planner said last something may be missing.
    let replayed = replays(&home);
    assert_eq!(replayed["calls"], 1, "{replayed:#}");
    server.silence("/b", false);
    resume(&home).expect(0);
    forget(&home);
    let heard = server.paths();
    let replayed = replays(&home);
    assert_eq!(replayed["calls"], 3, "{replayed:#}");
    assert_eq!(replayed["taken"], json!({}), "{replayed:#}");
    assert_eq!(server.paths(), heard);
    let steps = ["runs", "replay", "latest", "--steps", "--json"];
    assert_eq!(home.flowhost(&steps).expect(0).json()["same"], true);
}

#[test]
fn what_a_person_said_of_a_call_is_taken_and_the_rest_is_replayed() {
    for (word, calls) in [("done", 2), ("retry", 3)] {
        let server = Counting::new();
        let steps = THREE.replace("POST:/b }", "POST:/b, effects: once }");
        let home = home(&server, &steps);
        server.silence("/b", true);
        let child = begun(&home);
        server.wait("/b", 1);
        kill(child);
        server.silence("/b", false);
        resume(&home).expect(9);
        let said = ["runs", "settle", "latest", "b", "--as", word];
        home.flowhost(&said).expect(0);
        resume(&home).expect(0);
        let replayed = replays(&home);
        assert_eq!(replayed["calls"], calls, "{replayed:#}");
        let taken = replayed["taken"].to_string();
        assert_eq!(taken.contains("a person said"), word == "done", "{taken}");
    }
}

#[test]
fn a_run_at_a_gate_is_replayed_up_to_it_and_after_the_word_to_its_end() {
    let server = Counting::new();
    let home = home(&server, REVIEW);
    home.flowhost(RUN).expect(9);
    let replayed = replays(&home);
    assert_eq!(replayed["calls"], 1, "{replayed:#}");
    resume(&home).expect(9);
    let said = ["runs", "approve", "latest", "review", "--by", "ann"];
    home.flowhost(&[&said[..], &["--note", "go"]].concat())
        .expect(0);
    resume(&home).expect(0);
    forget(&home);
    let replayed = replays(&home);
    assert_eq!(replayed["calls"], 2, "{replayed:#}");
    assert_eq!(server.paths(), ["/a", "/b"]);
}

#[test]
fn a_message_that_a_step_emits_is_read_again_by_the_agent_that_read_it() {
    let home = Home::new();
    home.warm();
    home.guest("ok_agent_relay");
    home.guest("ok_echo");
    let talker = "[messages]\npublish = [\"agents.*.in\"]\nsubscribe = [\"agents.self.in\"]\n";
    let profile = format!("version = 1\nname = \"b\"\n{talker}");
    home.file("policies/b.toml", profile);
    let members = "  b: { kind: agent, source: ./ok_agent_relay.wasm, profile: b }\n".to_owned()
        + &tool("ok_echo", "deny-all");
    let steps = "  tell: { emit: { subject: agents.b.in, payload: { route: [], text: hi } } }\n  \
                 last: { needs: [tell], uses: ok_echo/run, with: { a: 1 } }";
    home.file("plan.yaml", plan(&members, steps));
    home.flowhost(&["run", "plan.yaml", "--json"]).expect(0);
    let records = home.records();
    assert!(records.iter().any(|it| it["kind"] == "message"));
    let read = records
        .iter()
        .filter(|it| it["tool"] == "on-message")
        .count();
    assert!(read > 0, "the agent has read it");
    forget(&home);
    let replayed = replays(&home);
    assert!(replayed["calls"].as_u64().unwrap() >= 2, "{replayed:#}");
}
