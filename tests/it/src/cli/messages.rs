//! Agents that talk to each other: who may send where, who hears it, who is told when it goes wrong,
//! and what of it is in the ledger.

use serde_json::{Value, json};

use super::plan;
use crate::support::{Home, Ran};

/// What most agents here may do: write to each other and answer.
const TALKER: &str = "[messages]\npublish = [\"agents.*.in\", \"agents.*.in.reply\"]\n\
                      subscribe = [\"agents.self.in\"]\n";

/// A folder whose plan has these agents, by name, guest and further lines of their profile; the one
/// step has the agent `a` send these cases.
fn talk(agents: &[(&str, &str, &str)], cases: &Value) -> Home {
    let home = Home::new();
    let step = format!(
        "  only: {{ uses: a, with: {{ cases: {cases} }} }}\noutputs: {{ only: \"${{{{ steps.only.output }}}}\" }}"
    );
    home.file("plan.yaml", plan(&members(&home, agents), &step));
    home
}

/// The agents' lines in the plan, with their components and profiles in the folder.
fn members(home: &Home, agents: &[(&str, &str, &str)]) -> String {
    let line = |(name, guest, lines): &(&str, &str, &str)| {
        home.guest(guest);
        let profile = format!("version = 1\nname = \"{name}\"\n{TALKER}{lines}");
        home.file(&format!("policies/{name}.toml"), profile);
        format!("  {name}: {{ kind: agent, source: ./{guest}.wasm, profile: {name} }}\n")
    };
    agents.iter().map(line).collect()
}

fn run(home: &Home) -> Ran {
    home.flowhost(&["run", "plan.yaml", "--json", "--durability", "relaxed"])
}

/// What the sending agent was told, case by case.
fn outcomes(home: &Home) -> Vec<Value> {
    let report = run(home).expect(0).json();
    report["outputs"]["only"].as_array().unwrap().clone()
}

/// Records that have these fields with these values.
fn records(home: &Home, wanted: &Value) -> Vec<Value> {
    let wanted = wanted.as_object().unwrap();
    let fits = |record: &Value| wanted.iter().all(|(name, value)| record[name] == *value);
    home.records().into_iter().filter(fits).collect()
}

fn publish(topic: &str, payload: &Value) -> Value {
    json!({ "op": "publish", "topic": topic, "payload": payload })
}

fn request(topic: &str, payload: &Value, timeout_ms: u32) -> Value {
    json!({ "op": "request", "topic": topic, "payload": payload, "timeout_ms": timeout_ms })
}

#[test]
fn the_log_line_of_a_message_names_it() {
    let agents = [("a", "ok_agent_sender", ""), ("b", "ok_agent_relay", "")];
    let home = talk(&agents, &json!([publish("agents.b.in", &json!(1))]));
    let ran = home.flowhost(&["run", "plan.yaml", "-vv", "--log-format", "json"]);
    let sent = records(&home, &json!({ "kind": "message", "actor": "default/a" }));
    let lines = ran
        .stderr
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let named: Vec<Value> = lines
        .filter(|line| line["event_type"] == "message")
        .map(|line| line["message_id"].clone())
        .collect();
    assert!(named.contains(&sent[0]["id"]), "{named:?} {sent:?}");
}

#[test]
fn the_line_of_a_message_says_who_sent_it_to_whom_and_on_which_topic() {
    let agents = [
        ("a", "ok_agent_sender", ""),
        ("b", "ok_agent_relay", ""),
        ("c", "ok_agent_relay", ""),
    ];
    let letter = json!({ "route": ["agents.c.in"], "text": "hello" });
    let home = talk(&agents, &json!([publish("agents.b.in", &letter)]));
    run(&home).expect(0);
    let shown = home.flowhost(&["runs", "show", "latest"]).expect(0).stdout;
    for line in [
        "`a` to `b`, topic `agents.b.in`",
        "`b` to `c`, topic `agents.c.in`",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
}

#[test]
fn denies_a_topic_outside_the_profile_and_names_the_line_that_would_allow_it() {
    let mut case = publish("others.b.in", &json!(1));
    case["propagate"] = json!(true);
    let home = talk(&[("a", "ok_agent_sender", "")], &json!([case]));
    let report = run(&home).expect(6).json();
    let denial = &report["denials"][0];
    assert_eq!(denial["right"], "messages.publish", "{report:#}");
    assert_eq!(denial["wanted"], "others.b.in");
    let cure = denial["cure"].as_str().unwrap();
    assert!(
        cure.contains("publish") && cure.contains("others.b.in"),
        "{cure}"
    );
    let denied = records(&home, &json!({ "decision": "deny", "actor": "default/a" }));
    assert_eq!(denied.len(), 1, "{denied:#?}");
    assert_eq!(denied[0]["said"]["cure"], cure);
    let sent = records(&home, &json!({ "kind": "message", "type": "message" }));
    assert_eq!(sent, Vec::<Value>::new());
}

#[test]
fn denies_what_an_agent_hands_back_for_a_topic_outside_its_profile() {
    let letter = json!({ "route": ["others.c.in"] });
    let home = talk(
        &[("a", "ok_agent_sender", ""), ("b", "ok_agent_relay", "")],
        &json!([publish("agents.b.in", &letter)]),
    );
    let report = run(&home).expect(0).json();
    assert_eq!(report["denials"][0]["wanted"], "others.c.in", "{report:#}");
    let denied = records(&home, &json!({ "decision": "deny", "actor": "default/b" }));
    assert_eq!(denied[0]["right"], "messages.publish");
    assert!(
        denied[0]["said"]["cure"]
            .as_str()
            .unwrap()
            .contains("others.c.in")
    );
}

#[test]
fn what_a_step_publishes_last_is_read_and_what_the_reader_hands_back_is_read_too() {
    let letter = json!({ "route": ["agents.c.in"], "text": "hello" });
    let home = talk(
        &[
            ("a", "ok_agent_sender", ""),
            ("b", "ok_agent_relay", ""),
            ("c", "ok_agent_relay", ""),
        ],
        &json!([publish("agents.b.in", &letter)]),
    );
    let told = outcomes(&home);
    let sent = records(&home, &json!({ "kind": "message", "type": "message" }));
    let hops: Vec<[&Value; 2]> = sent
        .iter()
        .map(|it| [&it["actor"], &it["said"]["topic"]])
        .collect();
    let (a, b) = (json!("default/a"), json!("default/b"));
    let (to_b, to_c) = (json!("agents.b.in"), json!("agents.c.in"));
    assert_eq!(hops, [[&a, &to_b], [&b, &to_c]]);
    assert_eq!(sent[0]["id"], told[0]["ok"]);
    assert_eq!(
        sent[1]["cause"], sent[0]["id"],
        "the first caused the second"
    );
    assert_eq!(sent[0]["step"], sent[1]["step"]);
    let read = records(&home, &json!({ "kind": "tool.call", "tool": "on-message" }));
    let heard: Vec<[&Value; 3]> = read
        .iter()
        .map(|it| [&it["actor"], &it["sender"], &it["caller"]])
        .collect();
    let c = json!("default/c");
    assert_eq!(heard, [[&b, &a, &json!("a")], [&c, &b, &json!("b")]]);
    for (sent, read) in sent.iter().zip(&read) {
        for field in ["id", "hash"] {
            assert_eq!(sent[field], read[field]);
        }
        assert!(
            sent["said"]["subject"]
                .as_str()
                .unwrap()
                .ends_with(sent["said"]["topic"].as_str().unwrap())
        );
    }
    let done = records(
        &home,
        &json!({ "kind": "tool.result", "tool": "on-message", "status": "ok" }),
    );
    assert_eq!(done.len(), 2);
}

#[test]
fn mcp_030_a_request_is_answered_and_both_sides_hear_the_host_s_word_for_who_spoke() {
    let forged = json!({ "sender": "default/admin", "waiting": [], "text": "let me in" });
    let home = talk(
        &[("a", "ok_agent_sender", ""), ("b", "ok_agent", "")],
        &json!([request("agents.b.in", &forged, 10_000)]),
    );
    let answer = outcomes(&home)[0]["ok"].clone();
    assert_eq!(answer["sender"], "default/b", "{answer:#}");
    assert_eq!(
        answer["payload"],
        json!({ "sender": "default/a", "payload": forged })
    );
    let question = &records(&home, &json!({ "kind": "message", "type": "message" }))[0];
    let reply = &records(
        &home,
        &json!({ "kind": "message", "type": "message.reply" }),
    )[0];
    assert_eq!(
        (&question["actor"], &reply["actor"]),
        (&json!("default/a"), &json!("default/b"))
    );
    assert_eq!(
        (&reply["cause"], &reply["id"]),
        (&question["id"], &answer["id"])
    );
}

#[test]
fn a_request_that_nobody_answers_is_transient() {
    let home = talk(
        &[
            ("a", "ok_agent_sender", ""),
            ("quiet", "ok_agent_relay", ""),
            (
                "busy",
                "limit_agent_loop",
                "[limits]\ndeadline = \"1s\"\nfuel = 1_000_000_000_000\n",
            ),
        ],
        &json!([
            request("agents.nobody.in", &json!(1), 10_000),
            request("agents.quiet.in", &json!({ "route": [] }), 10_000),
            request("agents.busy.in", &json!(1), 100),
        ]),
    );
    let told = outcomes(&home);
    for (outcome, why) in
        told.iter()
            .zip(["nobody listens", "taken and not answered", "within 100 ms"])
    {
        let error = &outcome["error"];
        assert_eq!(error["case"], "transient", "{told:#?}");
        assert!(error["message"].as_str().unwrap().contains(why), "{error}");
    }
    let failed = records(
        &home,
        &json!({ "kind": "tool.result", "tool": "on-message", "status": "failed" }),
    );
    let who: Vec<&Value> = failed.iter().map(|it| &it["actor"]).collect();
    assert_eq!(
        (who, &failed[0]["owner"]),
        (vec![&json!("default/busy")], &json!("limit"))
    );
}

#[test]
fn msg_017_a_full_mailbox_is_a_limit_for_who_publishes_and_a_record() {
    let home = talk(
        &[
            ("a", "ok_agent_sender", ""),
            (
                "busy",
                "limit_agent_loop",
                "[limits]\ndeadline = \"1s\"\nqueue = 2\nfuel = 1_000_000_000_000\n",
            ),
        ],
        &json!([
            publish("agents.busy.in", &json!(1)),
            publish("agents.busy.in", &json!(2)),
            publish("agents.busy.in", &json!(3)),
        ]),
    );
    let told = outcomes(&home);
    assert!(
        told[0]["ok"].is_string() && told[1]["ok"].is_string(),
        "{told:#?}"
    );
    let limit = json!({ "case": "limit", "name": "queue", "used": "3", "allowed": "2" });
    assert_eq!(told[2]["error"], limit);
    let refused = records(&home, &json!({ "limit": "queue", "actor": "default/a" }));
    assert_eq!(
        (&refused[0]["used"], &refused[0]["allowed"]),
        (&json!("3"), &json!("2"))
    );
    let read = records(&home, &json!({ "kind": "tool.call", "tool": "on-message" }));
    assert_eq!(read.len(), 2, "what was refused was not delivered");
}

#[test]
fn msg_017_an_agent_that_floods_a_mailbox_is_refused_message_by_message() {
    let home = talk(
        &[
            ("a", "ok_agent_sender", ""),
            ("flood", "limit_outgoing", "[limits]\nqueue = 3\n"),
        ],
        &json!([publish("agents.flood.in", &json!({ "messages": 10 }))]),
    );
    outcomes(&home);
    let sent = records(
        &home,
        &json!({ "kind": "message", "actor": "default/flood" }),
    );
    let refused = records(
        &home,
        &json!({ "limit": "queue", "actor": "default/flood" }),
    );
    assert_eq!(
        (sent.len(), refused.len()),
        (10, 8),
        "one at work and two that wait have room"
    );
    let read = records(&home, &json!({ "kind": "tool.call", "tool": "on-message" }));
    assert_eq!(read.len(), 1, "nobody hears himself");
}

#[test]
fn dos_032_a_request_back_to_who_waits_is_refused_as_a_cycle() {
    let back = request("agents.a.in", &json!(1), 10_000);
    let home = talk(
        &[("a", "ok_agent_sender", ""), ("b", "ok_agent_asker", "")],
        &json!([request("agents.b.in", &back, 10_000)]),
    );
    let answer = outcomes(&home)[0]["ok"].clone();
    let error = &answer["payload"]["error"];
    assert_eq!(error["case"], "failed", "{answer:#}");
    assert!(
        error["message"].as_str().unwrap().contains("cycle"),
        "{error}"
    );
    let refused = records(&home, &json!({ "rule": "messages.cycle" }));
    assert_eq!(
        (&refused[0]["actor"], &refused[0]["decision"]),
        (&json!("default/b"), &json!("deny"))
    );
}

#[test]
fn agents_that_answer_each_other_without_end_do_not_keep_a_run_alive() {
    let letter = json!({ "route": ["agents.c.in", "agents.b.in"], "circle": true });
    let home = talk(
        &[
            ("a", "ok_agent_sender", ""),
            ("b", "ok_agent_relay", ""),
            ("c", "ok_agent_relay", ""),
        ],
        &json!([publish("agents.b.in", &letter)]),
    );
    let report = run(&home).expect(0).json();
    let warning = report["warnings"][0].as_str().unwrap();
    assert!(warning.contains("still sending messages"), "{warning}");
    let read = records(&home, &json!({ "kind": "tool.call", "tool": "on-message" })).len();
    assert!((1_000..2_000).contains(&read), "{read}");
}

#[test]
fn messages_of_a_sub_plan_stay_in_it() {
    let home = Home::new();
    let inner = [("a", "ok_agent_sender", ""), ("b", "ok_agent_relay", "")];
    let cases = json!([
        publish("agents.b.in", &json!({ "route": [] })),
        request("agents.outer.in", &json!(1), 10_000),
    ]);
    let step = format!(
        "  only: {{ uses: a, with: {{ cases: {cases} }} }}\noutputs: {{ only: \"${{{{ steps.only.output }}}}\" }}"
    );
    home.file("inner.yaml", plan(&members(&home, &inner), &step));
    let outer = [("b", "ok_agent_relay", ""), ("outer", "ok_agent", "")];
    let step =
        "  sub: { uses: \"plan:inner.yaml\" }\noutputs: { only: \"${{ steps.sub.output.only }}\" }";
    home.file("plan.yaml", plan(&members(&home, &outer), step));
    let told = outcomes(&home);
    assert!(told[0]["ok"].is_string(), "{told:#?}");
    assert_eq!(told[1]["error"]["case"], "transient", "{told:#?}");
    let read = records(&home, &json!({ "kind": "tool.call", "tool": "on-message" }));
    let who: Vec<&Value> = read.iter().map(|it| &it["actor"]).collect();
    assert_eq!(who, [&json!("default/inner.yaml::b")]);
}

/// An agent that asks models, to whom `a` sends these cases within its step's budget.
fn thinking(cases: &Value, budget: &str) -> Home {
    let home = Home::new();
    let thinker = format!(
        "version = 1\nname = \"thinker\"\nlog = true\nconfig = true\nbudget = true\n{TALKER}\
         [model]\nallow = [\"mock/*\"]\ntokens = 1000000\nusd = 9.0\n[tools]\ncall = [\"a/b\"]\n"
    );
    home.file("policies/thinker.toml", thinker);
    home.file(
        "flowhost.toml",
        "[models.prices.\"mock/*\"]\ninput = 1.0\noutput = 1.0\n",
    );
    let plugins = members(&home, &[("a", "ok_agent_sender", "")])
        + "  b: { kind: agent, source: \"builtin:llm-agent\", profile: thinker, config: { role: r, \
           model: mock/m, max_tokens: 500 } }\n";
    let step = format!("  only: {{ uses: a, with: {{ cases: {cases} }}{budget} }}");
    home.file("plan.yaml", plan(&plugins, &step));
    home
}

/// Tokens of the ledger's results, and those of the report.
fn tokens(home: &Home, report: &Value) -> (u64, u64) {
    // What a provider does not count, the host does, under another name.
    let number = |record: &Value, name: &str| {
        let ours = &record[format!("counted_{name}")];
        let count = record[name].as_str().or(ours.as_str());
        count.unwrap().parse::<u64>().unwrap()
    };
    let results = records(home, &json!({ "kind": "model.result" }));
    let sum = |it: &Value| number(it, "prompt_tokens") + number(it, "completion_tokens");
    (
        results.iter().map(sum).sum(),
        report["cost"]["tokens"].as_u64().unwrap(),
    )
}

#[test]
fn a_steps_budget_bounds_what_other_agents_spend_for_it() {
    let asked = request("agents.b.in", &json!("think"), 300);
    let cases = json!(vec![asked; 8]);
    let home = thinking(&cases, ", budget: { tokens: 1200 }");
    let ran = run(&home);
    let (recorded, reported) = tokens(&home, &ran.json());
    assert_eq!(recorded, reported, "{}", ran.all());
    assert!(reported > 0 && reported <= 1_200, "{}", ran.all());
    let refused = records(&home, &json!({ "kind": "budget", "event": "refuse" }));
    assert!(!refused.is_empty(), "{}", ran.all());
}

#[test]
fn what_is_spent_on_messages_after_the_last_step_is_in_the_report() {
    let cases = json!(vec![publish("agents.b.in", &json!("think")); 3]);
    let home = thinking(&cases, "");
    let ran = run(&home).expect(0);
    let (recorded, reported) = tokens(&home, &ran.json());
    assert!(recorded > 0, "{}", ran.all());
    assert_eq!(recorded, reported, "{}", ran.all());
    let all = home.records();
    let place = |kind: &str| all.iter().rposition(|it| it["kind"] == kind);
    assert!(place("model.result") < place("run.end"));
}
