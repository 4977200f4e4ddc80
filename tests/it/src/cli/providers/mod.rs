//! Models as an operator reaches them, through the built executable: a server of the house behind its own
//! authority, a proxy, and the wires beside chat completions, each spoken to by an agent with a tool. What goes
//! over the wire is written from the providers' references, with invented values.

mod server;

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use self::server::{Asked, Proxy, Server, streamed};
use super::plan;
use crate::authority::Authority;
use crate::support::{Home, Ran};

const KEY: &str = "hk-loopback-0123456789abcdefABCDEF";
const DOOR: &str = "clerk:door-0123456789";

/// A folder with an agent that asks the model `house/test-1`, may read headings and answers how many there
/// are; `provider` are the lines of the provider in the operator's configuration.
fn asking(provider: &str) -> Home {
    let home = Home::new();
    home.warm();
    let plugins = "  asker: { kind: agent, source: \"builtin:llm-agent\", profile: asker, config: { role: clerk, \
                   model: house/test-1, max_tokens: 4096, tools: [markdown/headings] } }\n  \
                   markdown: { kind: tool, source: \"builtin:markdown\", profile: deny-all }\n";
    let steps = "  ask:\n    uses: asker\n    with: { question: How many headings has it, text: \"# One\" }\n    \
                 output: { schema: { type: object, required: [count], additionalProperties: false, \
                 properties: { count: { type: integer } } } }\noutputs: { said: \"${{ steps.ask.output }}\" }";
    home.file("plan.yaml", plan(plugins, steps));
    home.file(
        "policies/asker.toml",
        "version = 1\nname = \"asker\"\nlog = true\nconfig = true\nbudget = true\n[limits]\nmemory = \"64MiB\"\nfuel = \
         5_000_000_000\ndeadline = \"2m\"\nhost_calls = 1_000\n[model]\nallow = [\"house/*\"]\ntokens = \
         100_000\nusd = 0.50\n[tools]\ncall = [\"markdown/headings\"]\n",
    );
    home.file(
        "op/flowhost.toml",
        format!(
            "[models]\nretry = {{ max_attempts = 1 }}\n[models.providers.house]\nkey = \
             \"HOUSE_KEY\"\n{provider}\n[models.prices.\"house/*\"]\ninput = 4.0\ncached_input = 0.5\noutput = \
             10.0\nreasoning = 12.0\n"
        ),
    );
    home
}

/// Runs the folder's plan as the operator who has the keys.
fn run(home: &Home, more: &[(&str, &str)]) -> Ran {
    let arguments = ["run", "plan.yaml", "--json"];
    let mut command = home.command(&arguments);
    command
        .env("FLOWHOST_CONFIG", "op/flowhost.toml")
        .env("FLOWHOST_SECRET_HOUSE_KEY", KEY)
        .env("FLOWHOST_SECRET_DOOR", DOOR)
        .envs(more.iter().copied());
    home.ran(&command.output().unwrap(), &arguments)
}

/// What a run that ended well leaves: the answer, no key in any record, evidence that verifies.
#[track_caller]
fn answered(home: &Home, ran: Ran) -> Value {
    let report = ran.expect(0).json();
    assert_eq!(
        report["outputs"]["said"],
        json!({ "count": 1 }),
        "{report:#}"
    );
    for record in home.records() {
        let text = record.to_string();
        assert!(!text.contains(KEY) && !text.contains(DOOR), "{record:#}");
    }
    home.flowhost(&["verify", "latest"]).expect(0);
    report
}

/// What a run cost, in micro-dollars.
fn cost(report: &Value) -> u64 {
    let usd = report["cost"]["total_usd"].as_f64().unwrap();
    format!("{:.0}", usd * 1e6).parse().unwrap()
}

fn data(values: &[Value]) -> Vec<String> {
    let mut events: Vec<String> = values.iter().map(|it| format!("data: {it}\n\n")).collect();
    events.push("data: [DONE]\n\n".to_owned());
    events
}

/// A chunk of a chat completion.
fn chunk(delta: &Value, finish: Option<&str>) -> Value {
    json!({ "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "test-1-2026-11",
        "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }] })
}

/// An answer by chat completions, without a tool.
fn chat() -> String {
    let usage = json!({ "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "choices": [],
        "usage": { "prompt_tokens": 500, "completion_tokens": 20, "total_tokens": 520 } });
    streamed(&data(&[
        chunk(&json!({ "role": "assistant", "content": "{\"cou" }), None),
        chunk(&json!({ "content": "nt\": 1}" }), None),
        chunk(&json!({}), Some("stop")),
        usage,
    ]))
}

fn at(server: &Server, scheme: &str) -> String {
    format!(
        "kind = \"openai\"\nurl = \"{scheme}://{}/v1\"",
        server.address()
    )
}

#[test]
fn a_server_that_nobody_vouches_for_sees_no_request() {
    let (house, other) = (Authority::new(), Authority::new());
    let server = Server::start(vec![chat()], Some(house.server()));
    for ca in [None, Some(other.pem())] {
        let named = ca.as_ref().map_or("", |_| "ca = \"house-ca.pem\"");
        let home = asking(&format!("{}\n{named}", at(&server, "https")));
        if let Some(pem) = ca {
            home.file("op/house-ca.pem", pem);
        }
        let ran = run(&home, &[]);
        assert_ne!(ran.code, 0, "{}", ran.all());
        assert!(ran.all().contains("certificate"), "{}", ran.all());
        home.flowhost(&["verify", "latest"]).expect(0);
    }
    assert!(server.asked().is_empty(), "{:?}", server.asked());
}

#[test]
fn a_server_of_the_house_is_believed_by_its_own_authority_or_by_the_systems() {
    let (house, other) = (Authority::new(), Authority::new());
    let server = Server::start(vec![chat()], Some(house.server()));
    // Beside the operator's file, not beside the plan; one of several authorities is enough.
    let home = asking(&format!("{}\nca = \"house-ca.pem\"", at(&server, "https")));
    home.file("op/house-ca.pem", other.pem() + &house.pem());
    let report = answered(&home, run(&home, &[]));
    assert_eq!(cost(&report), 500 * 4 + 20 * 10);

    let home = asking(&format!("{}\nsystem_roots = true", at(&server, "https")));
    let system = home.file("system.pem", house.pem()).display().to_string();
    answered(&home, run(&home, &[("SSL_CERT_FILE", &system)]));

    let asked = server.asked();
    assert_eq!(asked.len(), 2);
    let line = "post /v1/chat/completions http/1.1";
    for request in &asked {
        assert!(request.head.to_lowercase().starts_with(line), "{request:?}");
        assert!(
            request
                .head
                .contains(&format!("authorization: Bearer {KEY}"))
        );
        assert_eq!(request.body["model"], "test-1");
    }
}

#[test]
fn authorities_that_cannot_be_read_are_told_before_the_run() {
    let server = Server::start(vec![chat()], None);
    let home = asking(&format!("{}\nca = \"gone.pem\"", at(&server, "https")));
    let ran = run(&home, &[]);
    assert_ne!(ran.code, 0, "{}", ran.all());
    for part in ["models.providers.house.ca", "gone.pem"] {
        assert!(ran.all().contains(part), "{part}: {}", ran.all());
    }
    assert!(server.asked().is_empty());
}

#[test]
fn an_authority_that_everybody_may_write_vouches_for_nobody() {
    let house = Authority::new();
    let server = Server::start(vec![chat()], Some(house.server()));
    let home = asking(&format!("{}\nca = \"house-ca.pem\"", at(&server, "https")));
    let pem = home.file("op/house-ca.pem", house.pem());
    std::fs::set_permissions(pem, std::fs::Permissions::from_mode(0o666)).unwrap();
    let ran = run(&home, &[]);
    assert_ne!(ran.code, 0, "{}", ran.all());
    for part in ["models.providers.house.ca", "chmod o-w"] {
        assert!(ran.all().contains(part), "{part}: {}", ran.all());
    }
    assert!(server.asked().is_empty());
}

#[test]
fn a_proxy_sees_where_a_connection_goes_and_nothing_of_what_is_said() {
    let house = Authority::new();
    let server = Server::start(vec![chat()], Some(house.server()));
    let proxy = Proxy::start("200 OK");
    let home = asking(&format!(
        "{}\nca = \"house-ca.pem\"\nproxy = \"http://{}\"\nproxy_key = \"DOOR\"",
        at(&server, "https"),
        proxy.address()
    ));
    home.file("op/house-ca.pem", house.pem());
    answered(&home, run(&home, &[]));
    let heads = proxy.heads();
    assert_eq!(heads.len(), 1, "{heads:?}");
    let line = format!("CONNECT {} HTTP/1.1\n", server.address());
    assert!(heads[0].starts_with(&line), "{heads:?}");
    // `clerk:door-0123456789`, as RFC 7617 writes it.
    let login = "proxy-authorization: Basic Y2xlcms6ZG9vci0wMTIzNDU2Nzg5";
    assert!(heads[0].contains(login), "{heads:?}");
    let seen = heads.concat() + &String::from_utf8_lossy(&proxy.carried());
    assert!(!seen.contains(KEY) && !seen.contains("How many headings"));
    let asked = server.asked();
    assert_eq!(asked.len(), 1);
    assert!(!asked[0].head.contains("proxy-authorization"), "{asked:?}");
}

#[test]
fn a_proxy_that_refuses_is_named_and_the_server_sees_nothing() {
    let server = Server::start(vec![chat()], None);
    let proxy = Proxy::start("407 Proxy Authentication Required");
    let home = asking(&format!(
        "{}\nproxy = \"http://{}\"",
        at(&server, "http"),
        proxy.address()
    ));
    let ran = run(&home, &[]);
    assert_ne!(ran.code, 0, "{}", ran.all());
    assert!(ran.all().contains("through the proxy"), "{}", ran.all());
    assert!(server.asked().is_empty());
    let seen = proxy.heads().concat();
    assert!(!seen.contains(KEY), "{seen}");
}

#[test]
fn gemini_is_spoken_to_at_its_openai_compatible_endpoint_and_hears_its_signatures_again() {
    let signature = json!({ "google": { "thought_signature": "c2lnbmF0dXJl" } });
    let usage = |prompt: u64, completion: u64| json!({ "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion });
    let counted = |mut chunk: Value, usage: Value| {
        chunk["usage"] = usage;
        chunk
    };
    // Calls come whole, with the index 0 each, and end with `stop`.
    let call = json!({ "role": "assistant", "tool_calls": [{ "index": 0, "id": "function-call-1", "type": "function",
        "extra_content": signature,
        "function": { "name": "markdown_headings", "arguments": "{\"text\":\"# One\"}" } }] });
    let first = streamed(&data(&[counted(
        chunk(&call, Some("stop")),
        usage(600, 30),
    )]));
    let answer = json!({ "role": "assistant", "content": "{\"count\": 1}" });
    let second = streamed(&data(&[counted(
        chunk(&answer, Some("stop")),
        usage(700, 10),
    )]));
    let server = Server::start(vec![first, second], None);
    let home = asking(&format!(
        "kind = \"gemini\"\nurl = \"http://{}/v1beta/openai\"",
        server.address()
    ));
    let report = answered(&home, run(&home, &[]));
    assert_eq!(cost(&report), (600 + 700) * 4 + (30 + 10) * 10);
    let asked = server.asked();
    assert_eq!(asked.len(), 2);
    for request in &asked {
        assert!(
            request
                .head
                .starts_with("POST /v1beta/openai/chat/completions HTTP/1.1"),
            "{request:?}"
        );
        assert!(
            request
                .head
                .contains(&format!("authorization: Bearer {KEY}"))
        );
    }
    let turns = asked[1].body["messages"].as_array().unwrap();
    let called = turns.iter().find(|it| it["tool_calls"].is_array()).unwrap();
    assert_eq!(called["tool_calls"][0]["extra_content"], signature);
    let told = turns.iter().find(|it| it["role"] == "tool").unwrap();
    assert!(told["content"].as_str().unwrap().contains("One"), "{told}");
}

#[test]
fn responses_are_spoken_beside_chat_completions() {
    let usage = json!({ "input_tokens": 400, "input_tokens_details": { "cached_tokens": 100 },
        "output_tokens": 60, "output_tokens_details": { "reasoning_tokens": 40 }, "total_tokens": 460 });
    let named = |events: &[Value]| -> String {
        let event = |it: &Value| format!("event: {}\ndata: {it}\n\n", it["type"].as_str().unwrap());
        streamed(&events.iter().map(event).collect::<Vec<_>>())
    };
    let whole = |items: Value| {
        json!({ "type": "response.completed", "response": { "id": "resp_1", "object": "response", "status": "completed",
            "model": "test-1-2026-11", "output": items, "usage": usage } })
    };
    let call = |arguments: &str| {
        json!({ "type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "markdown_headings",
            "arguments": arguments })
    };
    let arguments = "{\"text\":\"# One\"}";
    let first = named(&[
        json!({ "type": "response.created", "response": { "id": "resp_1", "status": "in_progress", "output": [] } }),
        json!({ "type": "response.output_item.added", "output_index": 0, "item": { "type": "reasoning", "id": "rs_1" } }),
        json!({ "type": "response.output_item.added", "output_index": 1, "item": call("") }),
        json!({ "type": "response.function_call_arguments.delta", "output_index": 1, "delta": "{\"text\":" }),
        json!({ "type": "response.function_call_arguments.delta", "output_index": 1, "delta": "\"# One\"}" }),
        json!({ "type": "response.output_item.done", "output_index": 1, "item": call(arguments) }),
        whole(json!([{ "type": "reasoning", "id": "rs_1" }, call(arguments)])),
    ]);
    let message = json!({ "type": "message", "id": "msg_1", "role": "assistant",
        "content": [{ "type": "output_text", "text": "{\"count\": 1}" }] });
    let second = named(&[
        json!({ "type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "{\"count\"" }),
        json!({ "type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": ": 1}" }),
        json!({ "type": "response.output_item.done", "output_index": 0, "item": message }),
        whole(json!([message])),
    ]);
    let server = Server::start(vec![first, second], None);
    let home = asking(&format!("{}\napi = \"responses\"", at(&server, "http")));
    let report = answered(&home, run(&home, &[]));
    // Cached tokens are a part of what went in, and reasoning of what came out.
    assert_eq!(cost(&report), 2 * (300 * 4 + 50 + 20 * 10 + 40 * 12));
    let asked = server.asked();
    assert_eq!(asked.len(), 2);
    for request in &asked {
        assert!(
            request.head.starts_with("POST /v1/responses HTTP/1.1"),
            "{request:?}"
        );
        assert_eq!(request.body["store"], false);
        assert_eq!(request.body["text"]["format"]["type"], "json_schema");
        assert!(request.body["messages"].is_null());
    }
    let items = asked[1].body["input"].as_array().unwrap();
    let of = |kind: &str| items.iter().find(|it| it["type"] == kind).unwrap();
    assert_eq!(of("function_call")["call_id"], "call_1");
    let output = of("function_call_output");
    assert_eq!(output["call_id"], "call_1");
    assert!(
        output["output"].as_str().unwrap().contains("One"),
        "{output}"
    );
}

/// Events of an Anthropic message: what it cost so far, then blocks, each whole in its pieces.
fn messages(usage: &Value, blocks: &[(Value, Value)], reason: &str, output: u64) -> String {
    let mut events = vec![
        json!({ "type": "message_start", "message": { "id": "msg_1", "type": "message", "role": "assistant",
        "model": "test-1-2026-11", "content": [], "stop_reason": null, "usage": usage } }),
    ];
    for (index, (block, pieces)) in blocks.iter().enumerate() {
        events
            .push(json!({ "type": "content_block_start", "index": index, "content_block": block }));
        for delta in pieces.as_array().unwrap() {
            events.push(json!({ "type": "content_block_delta", "index": index, "delta": delta }));
        }
        events.push(json!({ "type": "content_block_stop", "index": index }));
    }
    events.push(
        json!({ "type": "message_delta", "delta": { "stop_reason": reason, "stop_sequence": null },
        "usage": { "output_tokens": output } }),
    );
    events.push(json!({ "type": "message_stop" }));
    let event = |it: &Value| format!("event: {}\ndata: {it}\n\n", it["type"].as_str().unwrap());
    streamed(&events.iter().map(event).collect::<Vec<_>>())
}

#[test]
fn anthropics_thoughts_go_back_with_their_calls_and_its_cache_is_marked_and_paid() {
    let tool =
        |id: &str, name: &str| json!({ "type": "tool_use", "id": id, "name": name, "input": {} });
    let input = |json: &str| json!({ "type": "input_json_delta", "partial_json": json });
    let thinking = json!({ "type": "thinking", "thinking": "", "signature": "" });
    let first = messages(
        &json!({ "input_tokens": 200, "cache_creation_input_tokens": 1_000, "cache_read_input_tokens": 0,
            "output_tokens": 1 }),
        &[
            (
                thinking,
                json!([{ "type": "thinking_delta", "thinking": "Best to look." },
                    { "type": "signature_delta", "signature": "c2lnbmF0dXJl" }]),
            ),
            (
                tool("toolu_1", "markdown_headings"),
                json!([input("{\"text\":"), input("\"# One\"}")]),
            ),
        ],
        "tool_use",
        50,
    );
    let second = messages(
        &json!({ "input_tokens": 50, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 1_000,
            "output_tokens": 1 }),
        &[(
            tool("toolu_2", "flowhost_answer"),
            json!([input("{\"count\": 1}")]),
        )],
        "tool_use",
        20,
    );
    let server = Server::start(vec![first, second], None);
    let home = asking(&format!(
        "kind = \"anthropic\"\nurl = \"http://{}/v1\"\nthinking = 2048\ncache = \"5m\"",
        server.address()
    ));
    let report = answered(&home, run(&home, &[]));
    // What is written into the cache for five minutes costs a quarter more than what goes in.
    let written = 200 * 4 + 1_000 * 5 + 50 * 10;
    let read = 50 * 4 + 1_000 / 2 + 20 * 10;
    assert_eq!(cost(&report), written + read);
    let asked = server.asked();
    assert_eq!(asked.len(), 2);
    let mark = json!({ "type": "ephemeral" });
    for Asked { head, body } in &asked {
        assert!(head.starts_with("POST /v1/messages HTTP/1.1"), "{head}");
        assert!(head.contains(&format!("x-api-key: {KEY}")), "{head}");
        assert!(head.contains("anthropic-version: 2023-06-01"), "{head}");
        let thinks = json!({ "type": "enabled", "budget_tokens": 2_048 });
        assert_eq!(body["thinking"], thinks, "{body:#}");
        // A model that thinks takes neither a temperature nor a demand for a tool.
        assert!(body["temperature"].is_null() && body["tool_choice"].is_null());
        let tools = body["tools"].as_array().unwrap();
        assert_eq!(tools.last().unwrap()["cache_control"], mark, "{body:#}");
        assert_eq!(body["system"][0]["cache_control"], mark, "{body:#}");
    }
    let turns = asked[1].body["messages"].as_array().unwrap();
    let called = turns.iter().find(|it| it["role"] == "assistant").unwrap();
    let block =
        json!({ "type": "thinking", "thinking": "Best to look.", "signature": "c2lnbmF0dXJl" });
    assert_eq!(called["content"][0], block, "{called:#}");
    assert_eq!(called["content"][1]["type"], "tool_use", "{called:#}");
}
