//! Over HTTP: one endpoint for both eras, and everybody who is turned away.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::client::{Asked, Reply, Server, plan};
use super::stdio::{ended, recorded, sleeping};
use super::{SERVE, call, home, initialize, modern, request};
use crate::support::Home;

const TOKEN: &str = "0123456789abcdef";

/// A server on a loopback port.
struct Served {
    child: Child,
    port: u16,
    home: Home,
}

impl Served {
    fn start() -> Self {
        Self::of(home(), &SERVE)
    }

    fn of(home: Home, serve: &[&str]) -> Self {
        let mut command = home.command(serve);
        command
            .args(["--listen", "127.0.0.1:0"])
            .env("FLOWHOST_MCP_TOKEN", TOKEN);
        command.stderr(Stdio::piped()).stdout(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stderr.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let url = line
            .trim()
            .strip_prefix("mcp: http://127.0.0.1:")
            .unwrap_or_else(|| panic!("{line:?}"));
        let port = url.strip_suffix("/mcp").unwrap().parse().unwrap();
        Self { child, port, home }
    }

    /// Sends bytes as they are and gives what comes until the connection closes.
    fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        // A server that has seen enough closes before all of it is written.
        let _closed = stream.write_all(bytes);
        let mut answer = Vec::new();
        let _reset = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// A POST with these headers beside the usual ones; status, headers and body.
    fn post(&self, headers: &[(&str, &str)], body: &str) -> (u16, String, String) {
        self.ask("POST", headers, body)
    }

    fn ask(&self, method: &str, headers: &[(&str, &str)], body: &str) -> (u16, String, String) {
        let mut head = format!(
            "{method} /mcp HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n",
            body.len()
        );
        let host = format!("127.0.0.1:{}", self.port);
        let bearer = format!("Bearer {TOKEN}");
        let usual = [
            ("Host", host.as_str()),
            ("Authorization", &bearer),
            ("Content-Type", "application/json"),
            ("Accept", "application/json, text/event-stream"),
        ];
        for (name, value) in usual {
            if !headers
                .iter()
                .any(|(given, _)| given.eq_ignore_ascii_case(name))
            {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let answer = self.raw(format!("{head}\r\n{body}").as_bytes());
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|it| it.parse().ok())
            .unwrap_or(0);
        (status, head.to_ascii_lowercase(), body.to_owned())
    }

    /// A session of the legacy era.
    fn session(&self) -> String {
        let (status, head, body) = self.post(&[], &initialize(1).to_string());
        assert_eq!(status, 200, "{body}");
        let id = head
            .lines()
            .find_map(|line| line.strip_prefix("mcp-session-id: "));
        id.unwrap().to_owned()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// The headers that a modern request repeats itself in.
fn mirrored<'a>(method: &'a str, name: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("MCP-Protocol-Version", "2026-07-28"),
        ("Mcp-Method", method),
        ("Mcp-Name", name),
    ]
}

/// The one message of an answer: a call that takes longer is answered as a stream of one event.
fn json_of(body: &str) -> Value {
    let event = body.lines().find_map(|line| line.strip_prefix("data: "));
    let message = event.unwrap_or(body);
    serde_json::from_str(message).unwrap_or_else(|error| panic!("{error}: {body}"))
}

#[test]
fn turns_away_whoever_is_no_program_of_this_machines_user() {
    let served = Served::start();
    let ping = initialize(1).to_string();
    // MCP-014, MCP-015: names that only resolve to this machine, and pages of other origins.
    for host in ["evil.test", "127.0.0.1.nip.io", "localhost:1", "0.0.0.0"] {
        assert_eq!(served.post(&[("Host", host)], &ping).0, 403, "{host}");
    }
    assert_eq!(served.post(&[("Host", "")], &ping).0, 400);
    let two = format!(
        "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nHost: evil.test\r\nConnection: close\r\n\r\n",
        served.port
    );
    assert!(served.raw(two.as_bytes()).starts_with("HTTP/1.1 400"));
    assert_eq!(served.post(&[("Origin", "http://evil.test")], &ping).0, 403);
    // MCP-017: a token of somebody else.
    let (status, head, _) = served.post(&[("Authorization", "Bearer 0123456789abcdeX")], &ping);
    assert_eq!(status, 401);
    assert!(head.contains("www-authenticate: bearer"), "{head}");
    assert_eq!(served.post(&[("Authorization", "")], &ping).0, 401);
    assert_eq!(
        served.post(&[("Origin", "http://localhost:6274")], &ping).0,
        200
    );
}

#[test]
fn turns_away_what_is_no_message_or_too_much_of_one() {
    let served = Served::start();
    assert_eq!(served.post(&[], "not json").0, 400);
    assert_eq!(
        served
            .post(&[], r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#)
            .0,
        400
    );
    assert_eq!(
        served
            .post(&[], r#"{"jsonrpc":"2.0","id":1,"result":{}}"#)
            .0,
        400
    );
    assert_eq!(served.post(&[("Content-Type", "text/plain")], "{}").0, 415);
    assert_eq!(served.post(&[("Accept", "application/json")], "{}").0, 406);
    assert_eq!(served.ask("GET", &[], "").0, 405);
    let (status, _, body) = served.post(&[], &"x".repeat((4 << 20) + 1));
    assert_eq!((status, body.trim()), (413, "a message has at most 4 MiB"));
    // A header without end, and more headers than anybody sends.
    let endless = format!("POST /mcp HTTP/1.1\r\nX: {}", "x".repeat(64 << 10));
    assert!(served.raw(endless.as_bytes()).starts_with("HTTP/1.1 431"));
    let many = format!("POST /mcp HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(1_000));
    assert!(served.raw(many.as_bytes()).starts_with("HTTP/1.1 431"));
    assert_eq!(served.post(&[], &initialize(1).to_string()).0, 200);
}

#[test]
fn a_request_of_the_modern_era_is_answered_without_a_session() {
    let served = Served::start();
    let body = modern(
        1,
        "tools/call",
        json!({ "name": "echo", "arguments": { "text": "a" } }),
    )
    .to_string();
    let (status, head, answer) = served.post(&mirrored("tools/call", "echo"), &body);
    assert_eq!(status, 200, "{answer}");
    assert!(!head.contains("mcp-session-id"), "{head}");
    assert_eq!(json_of(&answer)["result"]["structuredContent"]["text"], "a");
    let unknown = modern(2, "tools/none", json!({})).to_string();
    assert_eq!(served.post(&mirrored("tools/none", ""), &unknown).0, 404);
}

#[test]
fn refuses_a_request_whose_headers_tell_another_story() {
    // MCP-019
    let served = Served::start();
    let body = modern(
        1,
        "tools/call",
        json!({ "name": "echo", "arguments": { "text": "a" } }),
    )
    .to_string();
    for headers in [
        mirrored("tools/list", "echo"),
        mirrored("tools/call", "other"),
        mirrored("tools/call", ""),
        vec![("Mcp-Method", "tools/call"), ("Mcp-Name", "echo")],
        vec![
            ("MCP-Protocol-Version", "2025-11-25"),
            ("Mcp-Method", "tools/call"),
            ("Mcp-Name", "echo"),
        ],
    ] {
        let (status, _, answer) = served.post(&headers, &body);
        assert_eq!(status, 400, "{headers:?}");
        assert_eq!(json_of(&answer)["error"]["code"], -32_020, "{headers:?}");
    }
    let bare = request(1, "tools/list", json!({})).to_string();
    let (status, _, answer) = served.post(&mirrored("tools/list", ""), &bare);
    assert_eq!(
        (status, json_of(&answer)["error"]["code"].as_i64()),
        (400, Some(-32_602))
    );
    let session = served.session();
    for (revision, code) in [("1999-01-01", -32_600), ("9999-01-01", -32_022)] {
        let unknown = [
            ("Mcp-Session-Id", session.as_str()),
            ("MCP-Protocol-Version", revision),
        ];
        let (status, _, answer) = served.post(&unknown, &bare);
        let error = json_of(&answer)["error"].clone();
        assert_eq!((status, &error["code"]), (400, &json!(code)), "{answer}");
        assert_eq!(error["data"]["supported"][0], "2026-07-28", "{answer}");
        let message = error["message"].as_str().unwrap();
        let spoken =
            format!("the revision `{revision}` is not spoken here; these are: 2026-07-28, ");
        assert!(message.starts_with(&spoken), "{message}");
    }
}

#[test]
fn a_session_of_the_legacy_era_is_needed_and_ends() {
    // MCP-018
    let served = Served::start();
    let list = request(2, "tools/list", json!({})).to_string();
    assert_eq!(served.post(&[], &list).0, 400);
    assert_eq!(served.post(&[("Mcp-Session-Id", "guessed")], &list).0, 404);
    let session = served.session();
    let mine = [
        ("Mcp-Session-Id", session.as_str()),
        ("MCP-Protocol-Version", "2025-11-25"),
    ];
    let note = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    assert_eq!(served.post(&mine, note).0, 202);
    let (status, _, answer) = served.post(&mine, &list);
    assert_eq!(status, 200);
    assert_eq!(json_of(&answer)["result"].get("ttlMs"), None);
    assert_eq!(served.ask("DELETE", &mine, "").0, 204);
    assert_eq!(served.post(&mine, &list).0, 404);
    assert_eq!(served.ask("DELETE", &mine, "").0, 404);
}

#[test]
fn what_is_told_meanwhile_comes_as_a_stream_that_ends_with_the_answer() {
    let served = Served::start();
    let session = served.session();
    let mut asked = call(2, "test_tool_with_progress", json!({}));
    asked["params"]["_meta"] = json!({ "progressToken": 7 });
    let (status, head, body) = served.post(&[("Mcp-Session-Id", &session)], &asked.to_string());
    assert_eq!(status, 200);
    assert!(head.contains("content-type: text/event-stream"), "{head}");
    let frames: Vec<Value> = body
        .lines()
        .filter_map(|line| Some(json_of(line.strip_prefix("data: ")?)))
        .collect();
    let told: Vec<f64> = frames
        .iter()
        .filter_map(|frame| frame["params"]["progress"].as_f64())
        .collect();
    assert_eq!(told, [0.0, 50.0, 100.0]);
    assert_eq!(frames.last().unwrap()["id"], 2);
}

#[test]
fn a_server_that_is_told_to_end_answers_its_calls_and_says_by_which_signal() {
    for (signal, code) in [("TERM", 143), ("HUP", 129), ("INT", 130)] {
        let serve = ["mcp", "serve", "--plugin", "limit_sleep.wasm"];
        let mut served = Served::of(sleeping(), &serve);
        let session = served.session();
        let asked = call(2, "run", json!({})).to_string();
        let (status, _, body) = std::thread::scope(|threads| {
            let answer = threads.spawn(|| served.post(&[("Mcp-Session-Id", &session)], &asked));
            recorded(&served.home, "run[0]");
            let id = served.child.id().to_string();
            let told = Command::new("kill").args(["-s", signal, &id]).status();
            assert!(told.unwrap().success());
            answer.join().unwrap()
        });
        assert_eq!(status, 200, "{signal}: {body}");
        let answer = json_of(&body);
        assert_eq!(answer["result"]["isError"], true, "{signal}: {answer}");
        assert_eq!(served.child.wait().unwrap().code(), Some(code), "{signal}");
        assert_eq!(ended(&served.home), ["ok", "cancelled"], "{signal}");
    }
}

#[test]
fn our_own_client_and_server_understand_each_other_in_both_eras() {
    // A profile injects no secret into a request in clear text, so the token is shown by a relay.
    let served = Arc::new(Served::start());
    for era in ["auto", "modern", "legacy"] {
        // A relay's threads live as long as the test's process: held by them the server would never be ended.
        let to = Arc::downgrade(&served);
        let relay = Server::start(move |asked, _| relayed(&to.upgrade().unwrap(), asked));
        let steps = "  a: { uses: peer/echo, with: { text: hello } }\n  \
            b: { uses: peer/test_multiple_content_types, with: {} }";
        let home = plan(relay.address, steps);
        let text = home
            .read("plan.yaml")
            .replace("/mcp\" }", &format!("/mcp\", era: {era} }}"));
        home.file(
            "plan.yaml",
            text.replace("said:", "parts: \"${{ steps.b.output.parts }}\", said:"),
        );
        let ran = home.flowhost(&["run", "plan.yaml", "--allow-private-network", "--json"]);
        let outputs = ran.expect(0).json()["outputs"].clone();
        assert_eq!(outputs["said"], json!({ "text": "hello" }), "{era}");
        let parts = outputs["parts"].as_array().unwrap();
        let kinds: Vec<&str> = parts
            .iter()
            .filter_map(|part| part["type"].as_str())
            .collect();
        assert_eq!(kinds, ["text", "image", "resource"], "{era}");
    }
}

/// What the server answers to a request that somebody else made.
fn relayed(to: &Served, asked: &Asked) -> Reply {
    let mcp = asked
        .headers
        .lines()
        .filter(|line| line.starts_with("mcp-"));
    let headers: Vec<(&str, &str)> = mcp
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name, value.trim()))
        .collect();
    let body = match &asked.body {
        Value::Null => String::new(),
        body => body.to_string(),
    };
    let (status, head, body) = to.ask(&asked.method, &headers, &body);
    let kept = head
        .lines()
        .filter(|line| line.starts_with("content-type:") || line.starts_with("mcp-session-id:"));
    let kept: String = kept.map(|line| format!("{line}\r\n")).collect();
    Reply(status, kept.into(), body)
}
