//! Streamable HTTP as servers really stream: what comes while an answer is worked on, what a server says by itself,
//! streams that break off and are gone on with, answers that are large, and servers that go away for a while.

use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::site::{
    Asked, Site, event, events, legacy, modern, note, reply, result, shouted, tools, write,
};
use crate::support::{Home, Ran};

/// What a server of an era answers but calls; whether it did.
type Era = fn(&Asked, &mut TcpStream) -> bool;

/// A folder with a plan that calls the server's tool.
pub(super) fn plan(address: SocketAddr, more: &str, steps: &str) -> Home {
    let home = Home::new();
    home.warm();
    home.file(
        "policies/peer.toml",
        format!(
            "version = 1\nname = \"peer\"\nlog = true\n[limits]\ndeadline = \"20s\"\n{more}\n[[http]]\nurl = \"http://{address}/mcp\"\n\
             methods = [\"POST\", \"GET\", \"DELETE\"]\nresponse = \"32MiB\"\nprivate_network = true\n"
        ),
    );
    home.file(
        "plan.yaml",
        format!(
            "flowhost: v1\nkind: workflow\nname: under-test\nplugins:\n  peer: {{ kind: mcp_adapter, source: \"builtin:mcp-client\", \
             profile: peer, config: {{ url: \"http://{address}/mcp\" }} }}\nsteps:\n{steps}\n"
        ),
    );
    home
}

pub(super) const STEP: &str = "  a: { uses: peer/shout, with: { text: hello } }";

pub(super) fn run(home: &Home) -> Ran {
    home.flowhost(&["run", "plan.yaml", "--allow-private-network", "--json"])
}

/// What the call of a tool was answered.
fn said(home: &Home) -> String {
    let records = home.records();
    let found = records
        .iter()
        .find(|it| it["kind"] == "tool.result" && it["status"] == "ok");
    let found = found.unwrap_or_else(|| panic!("no tool was answered: {records:#?}"));
    found["said"]["parts"][0]["text"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn told(home: &Home) -> Vec<Value> {
    let of = |it: &Value| it["interface"] == "flowhost:progress/progress@0.1.0";
    let records = home.records().into_iter().filter(of);
    records.map(|it| json!([it["done"], it["total"]])).collect()
}

#[test]
fn progress_at_an_address_is_told_while_the_call_lasts_in_either_era() {
    for others in [modern as Era, legacy] {
        let site = Site::start(move |asked, stream| {
            if others(asked, stream) {
                return;
            }
            if asked.what() != "tools/call" {
                return reply(stream, 405, "", "");
            }
            let token = &asked.body["params"]["_meta"]["progressToken"];
            events(stream);
            for (token, done) in [(token, 1), (&json!("another"), 7)] {
                let how_far = json!({ "progressToken": token, "progress": done, "total": 2 });
                event(stream, "", &note("notifications/progress", how_far));
            }
            event(stream, "", &shouted(asked));
        });
        let home = plan(site.address, "", STEP);
        run(&home).expect(0);
        assert_eq!(said(&home), "HELLO");
        assert_eq!(told(&home), [json!(["1", "2"])]);
    }
}

#[test]
fn the_session_of_a_server_is_one_for_the_run_and_never_the_adapters() {
    let site = Site::start(|asked, stream| {
        if !legacy(asked, stream) {
            match asked.what() {
                "tools/call" => {
                    let frame = shouted(asked);
                    reply(
                        stream,
                        200,
                        "content-type: application/json\r\n",
                        &frame.to_string(),
                    );
                }
                _ => reply(stream, 405, "", ""),
            }
        }
    });
    let steps = format!(
        "{STEP}\n  b: {{ uses: peer/shout, with: {{ text: b }} }}\n  c: {{ needs: [a, b], uses: peer/shout, with: {{ text: c }} }}"
    );
    let home = plan(site.address, "", &steps);
    run(&home).expect(0);
    assert_eq!(site.count(|it| it.what() == "initialize"), 1);
    assert_eq!(site.count(|it| it.what() == "tools/call"), 3);
    assert_eq!(site.count(|it| it.method == "DELETE"), 1);
    // Requests of a session have ids of their own, whichever call they are of.
    let mut ids: Vec<String> = site
        .asked()
        .iter()
        .map(|it| it.body["id"].to_string())
        .collect();
    ids.retain(|id| id != "null");
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count);
    // What is on record are words of the adapter's, which never saw it.
    let seen = home
        .records()
        .iter()
        .any(|it| it.to_string().contains("s-1"));
    assert!(!seen, "the session's id is in a record");
}

/// Answers the first call, says by itself that the tools have changed, and shows others from then on.
fn announces(others: Era) -> impl Fn(&Asked, &mut TcpStream) + Send + Sync {
    let called = AtomicUsize::new(0);
    move |asked: &Asked, stream: &mut TcpStream| {
        let before = called.load(Ordering::SeqCst);
        if asked.what() == "tools/list" && before > 0 {
            return result(asked, stream, "", &tools("Says it louder, to all."));
        }
        let listens = asked.method == "GET" || asked.what() == "subscriptions/listen";
        if listens && asked.header("mcp-session-id") == (asked.method == "GET").then_some("s-1") {
            events(stream);
            while called.load(Ordering::SeqCst) == 0 {
                if !write(stream, ":\n\n") {
                    return;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            event(
                stream,
                "",
                &note("notifications/tools/list_changed", json!({})),
            );
            // It stays open, as such streams do, until nobody hears it.
            while write(stream, ":\n\n") {
                std::thread::sleep(Duration::from_millis(50));
            }
            return;
        }
        if !others(asked, stream) {
            called.fetch_add(1, Ordering::SeqCst);
            // The other stream has its turn before the answer.
            std::thread::sleep(Duration::from_millis(500));
            events(stream);
            event(stream, "", &shouted(asked));
        }
    }
}

#[test]
fn a_server_at_an_address_that_says_that_its_tools_have_changed_is_looked_at_before_the_next_call()
{
    // MCP-002: its list holds for a minute, so that without its word nobody would look. The call that is at work then
    // hears nothing of it: it is said on the stream that the host keeps.
    let steps = format!("{STEP}\n  b: {{ needs: [a], uses: peer/shout, with: {{ text: again }} }}");
    for others in [modern as Era, legacy] {
        let site = Site::start(announces(others));
        let ran = run(&plan(site.address, "", &steps)).expect(6);
        assert!(
            ran.all().contains("`shout` changed: sha256:"),
            "{}",
            ran.all()
        );
        assert_eq!(site.count(|it| it.what() == "tools/call"), 1);
    }
}

#[test]
fn a_stream_that_breaks_off_is_gone_on_with_after_its_last_event() {
    let site = Site::start(|asked, stream| {
        if asked.method == "GET" {
            match asked.header("last-event-id") {
                // What the server says by itself.
                None => reply(stream, 405, "", ""),
                Some("e-1") => {
                    events(stream);
                    let id = json!({ "progressToken": "none", "progress": 1 });
                    event(stream, "e-2", &note("notifications/progress", id));
                }
                Some("e-2") => {
                    events(stream);
                    let answer = json!({ "content": [{ "type": "text", "text": "AT LAST" }] });
                    let call = "CALL".to_owned();
                    let frame = json!({ "jsonrpc": "2.0", "id": call, "result": answer });
                    // The id of the question, which this server has kept.
                    let kept = KEPT.lock().unwrap().clone();
                    write(
                        stream,
                        &format!("data: {}\n\n", frame.to_string().replace("\"CALL\"", &kept)),
                    );
                }
                Some(other) => panic!("{other}"),
            }
            return;
        }
        if !legacy(asked, stream) {
            *KEPT.lock().unwrap() = asked.body["id"].to_string();
            events(stream);
            write(stream, "id: e-1\nretry: 10\ndata:\n\ndata: {\"half\":");
        }
    });
    static KEPT: Mutex<String> = Mutex::new(String::new());
    let home = plan(site.address, "", STEP);
    run(&home).expect(0);
    assert_eq!(said(&home), "AT LAST");
    let resumed = site.count(|it| it.header("last-event-id").is_some());
    assert_eq!(resumed, 2);
    assert_eq!(
        site.count(|it| it.what() == "tools/call"),
        1,
        "it is asked once"
    );
}

#[test]
fn a_large_answer_comes_in_pieces_each_of_which_is_counted() {
    let site = Site::start(|asked, stream| {
        if !modern(asked, stream) {
            match asked.what() {
                "tools/call" => {
                    let text = "größe".repeat(200_000);
                    let answer = json!({ "resultType": "complete", "content": [{ "type": "text", "text": text }] });
                    result(asked, stream, "", &answer);
                }
                _ => reply(stream, 404, "", ""),
            }
        }
    });
    let more =
        "memory = \"256MiB\"\noutput = \"8MiB\"\nfuel = 20_000_000_000\nevidence = \"256MiB\"";
    let home = plan(site.address, more, STEP);
    run(&home).expect(0);
    assert_eq!(said(&home), "größe".repeat(200_000));
    let pieces: Vec<String> = (home.records().iter())
        .filter(|it| {
            it["kind"] == "host.answer"
                && it["interface"] == "flowhost:mcp-transport/mcp-transport@0.1.0"
        })
        .filter_map(|it| {
            it["said"]["answer"]["came"]["piece"]
                .as_str()
                .map(str::to_owned)
        })
        .collect();
    assert!(pieces.len() >= 4, "{} pieces", pieces.len());
    assert!(pieces.iter().all(|piece| piece.len() <= 256 << 10));
}

#[test]
fn a_call_that_nobody_waits_for_is_called_off_as_its_era_says() {
    let eras: [(Era, usize); 2] = [(modern, 0), (legacy, 1)];
    for (others, told) in eras {
        let closed = Arc::new(AtomicUsize::new(0));
        let seen = closed.clone();
        let site = Site::start(move |asked, stream| {
            if others(asked, stream) {
                return;
            }
            if asked.what() != "tools/call" {
                return reply(stream, 405, "", "");
            }
            events(stream);
            // Written to for as long as anybody reads.
            while write(stream, ":\n\n") {
                std::thread::sleep(Duration::from_millis(20));
            }
            seen.fetch_add(1, Ordering::SeqCst);
        });
        let home = plan(site.address, "", STEP);
        let profile = home.read("policies/peer.toml").replace("\"20s\"", "\"3s\"");
        home.file("policies/peer.toml", profile);
        let ran = run(&home);
        assert!(
            ran.all().contains("did not answer in time"),
            "{}",
            ran.all()
        );
        let called_off = site.asked();
        let called_off = called_off
            .iter()
            .filter(|it| it.what() == "notifications/cancelled");
        let ids: Vec<&Value> = called_off
            .map(|it| &it.body["params"]["requestId"])
            .collect();
        assert_eq!(ids.len(), told, "{ids:?}");
        for _ in 0..100 {
            if closed.load(Ordering::SeqCst) == 1 {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(closed.load(Ordering::SeqCst), 1, "its stream is closed");
    }
}

#[test]
fn a_server_that_was_away_for_a_moment_is_asked_again() {
    let tried = AtomicUsize::new(0);
    let site = Site::start(move |asked, stream| {
        if modern(asked, stream) {
            return;
        }
        if asked.what() == "tools/call" && tried.fetch_add(1, Ordering::SeqCst) > 1 {
            events(stream);
            event(stream, "", &shouted(asked));
            return;
        }
        reply(stream, 503, "", "");
    });
    let step = "  a: { uses: peer/shout, with: { text: hello }, effects: idempotent, retry: { max_attempts: 3, backoff: { initial: 10ms } } }";
    let home = plan(site.address, "", step);
    run(&home).expect(0);
    assert_eq!(said(&home), "HELLO");
    assert_eq!(site.count(|it| it.what() == "tools/call"), 3);
}

#[test]
fn a_profile_that_does_not_grant_the_stream_of_a_servers_own_words_has_none_and_works() {
    let site = Site::start(|asked, stream| {
        if !legacy(asked, stream) {
            assert_eq!(asked.what(), "tools/call");
            events(stream);
            event(stream, "", &shouted(asked));
        }
    });
    let home = plan(site.address, "", STEP);
    let profile = home.read("policies/peer.toml").replace("\"GET\", ", "");
    home.file("policies/peer.toml", profile);
    run(&home).expect(0);
    assert_eq!(site.count(|it| it.method == "GET"), 0);
    let denied = home.records().iter().any(|it| it["decision"] == "deny");
    assert!(!denied, "what the profile does not grant is not asked for");
}
