//! `flowhost doctor --plan` through the built executable: who is there, what follows where somebody is not, and what was
//! not asked.

use serde_json::{Value, json};

use super::examples::example;
use crate::support::{Home, Ran};

fn doctor(home: &Home, more: &[&str]) -> Ran {
    home.flowhost(&[&["doctor", "--plan", "plan.yaml", "--json"], more].concat())
}

fn out_of_order(home: &Home, script: &str) {
    let failing = json!([{ "error": { "class": "refused", "message": "out of order" } }]);
    home.file(script, failing.to_string());
}

/// The agent `gemini` asks a provider of the operator's, which only `agent-any-model` grants.
fn gemini_of_the_house(home: &Home) {
    let plan = home.read("plan.yaml");
    let mock = "profile: agent-model, config: { role: researcher, model: mock/gemini,";
    assert!(plan.contains(mock), "{plan}");
    let house = "profile: agent-any-model, config: { role: researcher, model: house/test-1,";
    home.file("plan.yaml", plan.replace(mock, house));
}

fn step<'d>(document: &'d Value, id: &str) -> &'d Value {
    let steps = document["steps"].as_array().unwrap();
    steps.iter().find(|it| it["step"] == id).unwrap()
}

#[test]
fn a_plan_whose_step_could_not_come_to_its_end_is_not_ready_and_says_what_would_follow() {
    let home = example("spec-kit-900");
    out_of_order(&home, "scripts/plan/gemini.json");
    let found = doctor(&home, &[]).expect(2).json();
    let plan = step(&found, "plan");
    assert_eq!(
        (&plan["ready"], &plan["offline"], &plan["level"]),
        (&json!(2), &json!(["gemini"]), &json!("error")),
        "{found:#}"
    );
    assert_eq!(step(&found, "tasks")["level"], "ok");
    let rows: Vec<(u64, &str, Value, u64)> = plan["matrix"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            let number = |name: &str| row[name].as_u64().unwrap();
            (
                number("present"),
                row["status"].as_str().unwrap(),
                row["then"].clone(),
                number("exit"),
            )
        })
        .collect();
    let halts = json!(["retry", "halt"]);
    assert_eq!(
        rows,
        [
            (3, "ok", json!([]), 0),
            (2, "degraded", halts.clone(), 3),
            (1, "missing", halts.clone(), 3),
            (0, "missing", halts, 3),
        ]
    );
    // What it says follows, follows.
    let ran = home
        .flowhost(&["run", "plan.yaml", "--json", "--only", "plan"])
        .expect(3);
    assert_eq!(ran.json()["status"], "degraded");
    home.file(
        "plan.yaml",
        home.read("plan.yaml")
            .replace("spec: { path: spec.md", "spec: { path: gone.md"),
    );
    doctor(&home, &[]).expect(2);
}

#[test]
fn an_agent_that_the_plan_can_do_without_is_a_warning_and_the_result_is_kept_with_the_evidence() {
    let home = example("quality-gates");
    let ready = doctor(&home, &[]).expect(0).json();
    assert_eq!(ready["status"], "ok", "{ready:#}");
    assert!(
        ready["probes"]
            .as_array()
            .unwrap()
            .iter()
            .all(|it| it["skipped"] == false),
        "scripts are always asked: {ready:#}"
    );
    out_of_order(&home, "scripts/clarify/claude.json");
    let found = doctor(&home, &[]).expect(1).json();
    let clarify = step(&found, "clarify");
    assert_eq!(
        (&clarify["ready"], &clarify["of"], &clarify["level"]),
        (&json!(2), &json!(3), &json!("warning"))
    );
    assert_eq!(
        step(&found, "plan")["level"],
        "ok",
        "another script of the same agent"
    );
    let kept = home.read("evidence/commands/GATES-1/tasks_guardrail.json");
    assert_eq!(serde_json::from_str::<Value>(&kept).unwrap(), found);
    let judged = home
        .flowhost(&["telemetry", "validate", "evidence", "--json"])
        .expect(0)
        .json();
    assert_eq!(
        (&judged["valid"], &judged["invalid"]),
        (&json!(1), &json!(0)),
        "{judged:#}"
    );
    let shown = home
        .flowhost(&["doctor", "--plan", "plan.yaml"])
        .expect(1)
        .stdout;
    assert!(shown.contains("> 2/3 degraded, accept: goes on"), "{shown}");
    out_of_order(&home, "scripts/plan/claude.json");
    let found = doctor(&home, &[]).expect(2).json();
    assert_eq!(
        step(&found, "plan")["level"],
        "error",
        "nobody else is asked: {found:#}"
    );
}

#[test]
fn a_model_that_costs_something_is_asked_on_request_only() {
    let home = example("quality-gates");
    home.file(
        "op/flowhost.toml",
        "[models]\nretry = { max_attempts = 1 }\n[models.providers.house]\nkind = \"openai\"\nurl = \
         \"http://127.0.0.1:9/v1\"\n[models.prices.\"house/*\"]\ninput = 1.0\noutput = 1.0\n",
    );
    gemini_of_the_house(&home);
    let ask = |more: &[&str]| {
        let arguments = [&["doctor", "--plan", "plan.yaml", "--json"], more].concat();
        let mut command = home.command(&arguments);
        let command = command.env("FLOWHOST_CONFIG", "op/flowhost.toml");
        home.ran(&command.output().unwrap(), &arguments)
    };
    let model = |found: &Value| -> Value {
        let probes = found["probes"].as_array().unwrap();
        probes
            .iter()
            .find(|it| it["kind"] == "model")
            .unwrap()
            .clone()
    };
    let silent = ask(&[]).expect(1).json();
    let probe = model(&silent);
    assert_eq!(
        (&probe["skipped"], &probe["level"]),
        (&json!(true), &json!("warning")),
        "{silent:#}"
    );
    assert!(
        probe["found"].as_str().unwrap().contains("--ask"),
        "{probe}"
    );
    // Who was not asked is nowhere counted as present.
    assert_eq!(silent["status"], "warning");
    let clarify = step(&silent, "clarify");
    assert_eq!(
        (&clarify["ready"], &clarify["at_most"], &clarify["level"]),
        (&json!(2), &json!(3), &json!("warning")),
        "{silent:#}"
    );
    assert_eq!(
        (&clarify["not_known"], &clarify["offline"]),
        (&json!(["gemini"]), &json!([]))
    );
    let kept = home.read("evidence/commands/GATES-1/tasks_guardrail.json");
    assert_eq!(serde_json::from_str::<Value>(&kept).unwrap(), silent);
    home.flowhost(&["telemetry", "validate", "evidence"])
        .expect(0);
    let arguments = ["doctor", "--plan", "plan.yaml"];
    let mut command = home.command(&arguments);
    let command = command.env("FLOWHOST_CONFIG", "op/flowhost.toml");
    let shown = home.ran(&command.output().unwrap(), &arguments).expect(1);
    for words in [
        "not known  agent gemini at clarify",
        "warning step clarify: 2 of 3 agents; not known: gemini",
        "  ? 3/3 ok, goes on",
        "  ? 2/3 degraded, accept: goes on",
        "    1/3 missing",
    ] {
        assert!(shown.stdout.contains(words), "{words}: {}", shown.all());
    }
    assert!(!shown.stdout.contains("> 3/3"), "{}", shown.all());
    let asked = ask(&["--ask"]).expect(1).json();
    let probe = model(&asked);
    assert_eq!(
        (&probe["skipped"], &probe["level"]),
        (&json!(false), &json!("warning")),
        "{asked:#}"
    );
    assert!(
        probe["found"].as_str().unwrap().starts_with("offline: "),
        "{probe}"
    );
    assert_eq!(step(&asked, "clarify")["offline"], json!(["gemini"]));
    // What a call would lack before anything is sent is known without a question.
    let config = home.read("op/flowhost.toml");
    let keyed = config.replace("kind = \"openai\"", "kind = \"openai\"\nkey = \"HOUSE\"");
    home.file("op/flowhost.toml", keyed);
    let found = ask(&[]).expect(1).json();
    let probe = model(&found);
    let told = probe["found"].as_str().unwrap();
    assert!(told.contains("FLOWHOST_SECRET_HOUSE"), "{probe}");
    assert_eq!(probe["level"], "warning");
}

#[test]
fn a_provider_that_does_not_take_the_key_is_not_called_offline_and_has_the_cure_of_run() {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let home = example("quality-gates");
    home.file(
        "op/flowhost.toml",
        format!(
            "[models]\nretry = {{ max_attempts = 1 }}\n[models.providers.house]\nkind = \"openai\"\nurl = \
             \"http://{address}/v1\"\nkey = \"HOUSE\"\n[models.prices.\"house/*\"]\ninput = 1.0\noutput = 1.0\n"
        ),
    );
    gemini_of_the_house(&home);
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        // A client that is answered before it has asked does not believe it.
        let mut question: Vec<u8> = Vec::new();
        let mut part = [0; 1_024];
        while !question.windows(4).any(|end| end == b"\r\n\r\n") {
            let read = stream.read(&mut part).unwrap();
            question.extend_from_slice(&part[..read]);
        }
        let answer =
            b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
        stream.write_all(answer).unwrap();
        // Closed with the question unread, the connection would take the answer with it.
        let _question = stream.read_to_end(&mut Vec::new());
    });
    let arguments = ["doctor", "--plan", "plan.yaml", "--json", "--ask"];
    let mut command = home.command(&arguments);
    command
        .env("FLOWHOST_CONFIG", "op/flowhost.toml")
        .env("FLOWHOST_SECRET_HOUSE", "sk-wrong");
    let ran = home.ran(&command.output().unwrap(), &arguments).expect(1);
    let found = ran.json();
    let probes = found["probes"].as_array().unwrap();
    let probe = probes.iter().find(|it| it["kind"] == "model").unwrap();
    let told = probe["found"].as_str().unwrap();
    assert!(told.starts_with("refused: "), "{probe}");
    assert!(
        told.contains("check the secret that `key` names"),
        "{probe}"
    );
}

#[test]
fn a_plan_whose_budget_does_not_hold_its_first_call_is_not_ready() {
    let home = example("quality-gates");
    let plan = home.read("plan.yaml");
    let kept: Vec<&str> = plan
        .lines()
        .filter(|line| !line.starts_with("budget:"))
        .collect();
    home.file("plan.yaml", kept.join("\n") + "\nbudget: { tokens: 10 }\n");
    let ran = doctor(&home, &[]).expect(2);
    assert!(ran.all().contains("token"), "{}", ran.all());
}

#[test]
fn a_program_that_is_not_on_this_machine_is_an_error_and_a_server_that_may_not_be_asked_says_why() {
    let home = Home::new();
    home.warm();
    home.file("server/server.pl", "");
    let profile = |program: &str| {
        format!(
            "version = 1\nname = \"peer\"\n[[process]]\ncommand = [\"{program}\", \"/server/server.pl\"]\n[[files]]\nguest = \
             \"/server\"\nhost = \"server\"\naccess = \"read\"\n"
        )
    };
    home.file("policies/peer.toml", profile("perl"));
    home.file(
        "plan.yaml",
        "flowhost: v1\nkind: workflow\nname: under-test\nplugins:\n  peer: { kind: mcp_adapter, source: \
         \"builtin:mcp-client\", profile: peer }\nsteps:\n  a: { uses: peer/shout, with: { text: hello } }\n",
    );
    let found = doctor(&home, &[]).expect(1).json();
    let probe = |found: &Value, kind: &str| -> Value {
        let probes = found["probes"].as_array().unwrap();
        probes.iter().find(|it| it["kind"] == kind).unwrap().clone()
    };
    assert_eq!(probe(&found, "command")["level"], "ok", "{found:#}");
    let server = probe(&found, "server");
    assert_eq!(server["level"], "warning");
    assert!(
        server["found"].as_str().unwrap().contains("process.option"),
        "the second key: {server}"
    );
    home.file("policies/peer.toml", profile("no-such-program"));
    let found = doctor(&home, &[]).expect(2).json();
    assert_eq!(probe(&found, "command")["level"], "error", "{found:#}");
    home.file("policies/peer.toml", profile("/server/bin/serve"));
    let found = doctor(&home, &[]).expect(1).json();
    let command = probe(&found, "command");
    assert_eq!(
        (&command["skipped"], &command["level"]),
        (&json!(true), &json!("warning")),
        "{found:#}"
    );
    home.file("server/bin/serve", "");
    let found = doctor(&home, &[]).expect(1).json();
    let command = probe(&found, "command");
    assert_eq!(
        (&command["skipped"], &command["level"]),
        (&json!(false), &json!("ok")),
        "{found:#}"
    );
}

#[test]
fn an_agent_whose_profile_grants_no_model_has_nobody_to_wait_for() {
    let home = Home::new();
    home.warm();
    home.guest("ok_agent");
    home.file(
        "plan.yaml",
        "flowhost: v1\nkind: workflow\nname: under-test\nplugins:\n  a: { kind: agent, source: ./ok_agent.wasm, profile: \
         deny-all }\nsteps:\n  ask: { uses: a, with: { text: x } }\n",
    );
    let found = doctor(&home, &[]).expect(0).json();
    let probe = &found["probes"][0];
    assert_eq!(
        (&probe["kind"], &probe["skipped"], &probe["level"]),
        (&json!("agent"), &json!(false), &json!("ok")),
        "{found:#}"
    );
    assert_eq!(step(&found, "ask")["ready"], 1, "{found:#}");
}
