//! A call that is stopped while it is at work: its client and whoever runs the server are told that nobody knows whether it
//! had its effect.

use std::process::Stdio;

use serde_json::{Value, json};

use super::stdio::Peer;
use super::{call, initialize};
use crate::cli::{plan, tool};
use crate::counting::Counting;
use crate::support::Home;

const DOUBT: &str = "nobody knows whether it had its effect";

/// A manifest of the tool that sends requests, which says that it changes something.
const SENDS: &str = "version = 1\nname = \"ok_http\"\nkind = \"tool\"\nrelease = \"0.1.0\"\ndescription = \"Sends a \
                     request.\"\n[needs]\nhttp = \"granted\"\n[[tools]]\nname = \"run\"\ndescription = \"Sends a \
                     request.\"\neffects = \"keyed\"\ninput = { type = \"object\" }\n";

/// A folder with a plan whose only step sends a request that is not answered.
fn charging(server: &Counting) -> Home {
    let home = Home::new();
    home.warm();
    home.guest("ok_http");
    home.file("ok_http.toml", SENDS);
    let address = server.address;
    home.file(
        "policies/loopback.toml",
        format!(
            "version = 1\nname = \"loopback\"\n[[http]]\nurl = \"http://{address}/\"\nmethods = \
             [\"POST\"]\nprivate_network = true\n"
        ),
    );
    let step = format!(
        "  charge: {{ uses: ok_http/run, with: {{ method: POST, url: \"http://{address}/charge\" }} }}"
    );
    home.file("plan.yaml", plan(&tool("ok_http", "loopback"), &step));
    server.silence("/charge", true);
    home
}

/// What the client is answered when the server is interrupted with a call at work, and what the server says meanwhile.
fn interrupted(server: &Counting, offer: &[&str], name: &str, arguments: Value) -> (Value, String) {
    let home = charging(server);
    let serve = ["mcp", "serve", "--allow-private-network"];
    let serve = [&serve[..], offer].concat();
    let mut peer = Peer::saying(&home, &serve, Stdio::piped());
    peer.ask(&initialize(1));
    peer.send(&call(2, name, arguments).to_string());
    server.wait("/charge", 1);
    peer.signal("INT");
    let answer = peer.next();
    let (code, said) = peer.end();
    assert_eq!(code, 130, "{said}");
    home.flowhost(&["verify", "latest"]).expect(0);
    (answer, said)
}

#[test]
fn who_called_is_told_of_a_call_in_doubt_and_so_is_who_runs_the_server() {
    let server = Counting::new();
    let of_plan: (&[&str], _, _) = (&["--plan", "plan.yaml"], "under-test", json!({}));
    let url = format!("http://{}/charge", server.address);
    let of_tool: (&[&str], _, _) = (
        &["--plugin", "ok_http.wasm", "--profile", "loopback"],
        "run",
        json!({ "method": "POST", "url": url }),
    );
    for (offer, name, arguments) in [of_plan, of_tool] {
        server.forget();
        let (answer, said) = interrupted(&server, offer, name, arguments);
        let result = &answer["result"];
        assert_eq!(result["isError"], true, "{answer:#}");
        let warned = |text: &Value| {
            let text = text["text"].as_str().unwrap_or_default();
            text.starts_with("warning: ") && text.contains(DOUBT)
        };
        let content = result["content"].as_array().unwrap();
        assert!(content.iter().any(warned), "{name}: {answer:#}");
        let told = result["_meta"]["dev.flowhost/run"]["warnings"].to_string();
        assert!(told.contains(DOUBT), "{name}: {answer:#}");
        assert!(said.contains(DOUBT), "{name}: {said}");
    }
}
