//! Replays of runs that had several processes: killed, settled, at a gate, and of messages that steps emit.

use serde_json::{Value, json};

use super::again::{forget, replays};
use super::evidence::run_dir;
use super::resumed::{REVIEW, RUN, THREE, begun, home, kill, killed_in, resume};
use super::stopped::cut;
use super::{plan, tool};
use crate::counting::Counting;
use crate::support::Home;

#[test]
fn a_run_that_was_killed_and_resumed_is_replayed_as_one_and_the_server_hears_nothing() {
    let server = Counting::new();
    let home = home(&server, THREE);
    killed_in(&home, &server, "/b");
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

/// Agents that hand letters on: `a` sends what its step says, `b` and `c` pass on what they read.
fn talkers(steps: &str) -> Home {
    let home = Home::new();
    home.warm();
    home.guest("ok_echo");
    let mut members = tool("ok_echo", "deny-all");
    for (name, guest) in [
        ("a", "ok_agent_sender"),
        ("b", "ok_agent_relay"),
        ("c", "ok_agent_relay"),
    ] {
        home.guest(guest);
        let talker = "[messages]\npublish = [\"agents.*.in\"]\nsubscribe = [\"agents.self.in\"]\n";
        let profile = format!("version = 1\nname = \"{name}\"\n{talker}");
        home.file(&format!("policies/{name}.toml"), profile);
        members +=
            &format!("  {name}: {{ kind: agent, source: ./{guest}.wasm, profile: {name} }}\n");
    }
    home.file("plan.yaml", plan(&members, steps));
    home
}

/// A step whose agent sends `b` a letter that goes on to `c`.
const LETTER: &str = "  only: { uses: a, with: { cases: [ { op: publish, topic: agents.b.in, payload: { route: \
                      [agents.c.in], text: hello } } ] } }";

/// How often an agent has read a message to its end.
fn reads(records: &[Value], agent: &str) -> usize {
    let actor = format!("default/{agent}");
    let read = records.iter().filter(|it| {
        it["tool"] == "on-message" && it["kind"] == "tool.result" && it["actor"] == actor
    });
    read.count()
}

#[test]
fn what_agents_hand_on_after_their_step_has_ended_is_read_wherever_the_run_was_stopped() {
    let home = talkers(LETTER);
    home.flowhost(&["run", "plan.yaml", "--json"]).expect(0);
    let dir = run_dir(&home);
    let text = std::fs::read_to_string(dir.join("seg-00000000.jsonl")).unwrap();
    let payloads = std::fs::read(dir.join("payloads-00000000.jsonl")).unwrap();
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let at = |kind: &str, actor: &str, tool: &Value| {
        let of = |line: &String| {
            let record: Value = serde_json::from_str(line).unwrap();
            record["kind"] == kind && record["actor"] == actor && record["tool"] == *tool
        };
        lines.iter().position(of).unwrap()
    };
    let handed_on = at("message", "default/b", &Value::Null);
    let read = at("tool.call", "default/c", &json!("on-message"));
    for keep in handed_on + 1..=read {
        cut(&home, &lines, keep);
        std::fs::write(dir.join("payloads-00000000.jsonl"), &payloads).unwrap();
        home.flowhost(&["runs", "resume", "latest", "--json"])
            .expect(0);
        assert_eq!(reads(&home.records(), "c"), 1, "stopped at record {keep}");
        replays(&home);
    }
}

#[test]
fn a_fork_reads_the_messages_that_nobody_had_read_before_its_step() {
    let emits =
        "  only: { emit: { subject: agents.b.in, payload: { route: [agents.c.in], text: hi } } }";
    for first in [LETTER, emits] {
        let last = "  last: { needs: [only], uses: ok_echo/run, with: { a: 1 } }";
        let home = talkers(&format!("{first}\n{last}"));
        let parent = home.flowhost(&["run", "plan.yaml", "--json"]).expect(0);
        let forked = home.flowhost(&["runs", "fork", "latest", "--at", "last", "--json"]);
        let (parent, forked) = (parent.json(), forked.expect(0).json());
        let records = |run: &Value| {
            let runs = home.path().join(".flowhost/default/runs");
            home.records_of(&runs.join(run["run_id"].as_str().unwrap()))
        };
        let (before, after) = (records(&parent), records(&forked));
        let past = after[0]["parent_records"].as_str().unwrap();
        let before = &before[..past.parse::<usize>().unwrap()];
        let read = |agent: &str| reads(before, agent) + reads(&after, agent);
        assert_eq!(read("c"), 1, "after {past} records: {after:#?}");
        // It reads again what it had read, and not yet handed on, when the step began.
        assert!(read("b") > 0, "after {past} records: {after:#?}");
        let replayed = home.flowhost(&["runs", "replay", "latest", "--json"]);
        assert_eq!(replayed.expect(0).json()["same"], true);
        home.flowhost(&["verify", ".flowhost"]).expect(0);
    }
}
