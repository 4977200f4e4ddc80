//! The other roles: agents, guardrails, MCP adapters and tool descriptions that break or overdo.

use flowhost_engine::{AgentOutcome, AgentTask, Fault, GuardAction, Message, Phase};
use flowhost_ledger::Kind;
use serde_json::{Value, json};

use crate::hosted::{Host, Setup, limit, trap};

fn task(input: &Value) -> AgentTask {
    AgentTask {
        id: "only".to_owned(),
        prompt: "do it".to_owned(),
        prompt_version: String::new(),
        input: input.to_string(),
        schema: String::new(),
    }
}

fn message(payload: &Value) -> Message {
    Message {
        id: "01JD0000000000000000000001".to_owned(),
        topic: "agents.guest.in".to_owned(),
        sender: "default/other".to_owned(),
        correlation: String::new(),
        payload: payload.to_string(),
    }
}

fn check(host: &Host, config: &Value) -> Result<flowhost_engine::GuardVerdict, Fault> {
    let plugin = host.plugin();
    let scope = host.scope();
    host.wait(plugin.check(scope, Phase::Before, "only", "{}", &config.to_string()))
        .result
}

#[test]
fn an_agent_that_fails_or_answers_garbage_is_its_own_fault() {
    let host = Setup::new("").host("fault_agent");
    let plugin = host.plugin();
    for (input, class) in [
        (json!({ "fail": true }), "failed"),
        (json!({ "garbage": true }), "failed"),
    ] {
        let report = host.wait(plugin.agent_on_plan(host.scope(), &task(&input)));
        assert!(
            matches!(&report.result, Err(Fault::Guest { class: found, .. }) if *found == class),
            "{input}: {report:?}"
        );
    }
    let outcome = AgentOutcome {
        status: "ok".to_owned(),
        reason: String::new(),
    };
    let end = host.wait(plugin.agent_on_finish(host.scope(), &outcome));
    assert!(
        matches!(
            end.result,
            Err(Fault::Guest {
                class: "failed",
                ..
            })
        ),
        "{end:?}"
    );
    host.is_healthy();
}

#[test]
fn an_agent_that_answers_one_message_with_very_many_ends_at_the_output_limit() {
    let host = Setup::new("[limits]\noutput = \"64KiB\"\n").host("limit_outgoing");
    let plugin = host.plugin();
    let few = host.wait(plugin.agent_on_message(host.scope(), &message(&json!({ "messages": 3 }))));
    assert_eq!(few.result.unwrap().len(), 3);
    let many = message(&json!({ "messages": 100_000 }));
    let report = host.wait(plugin.agent_on_message(host.scope(), &many));
    assert_eq!((limit(&report).0, limit(&report).2), ("output", 64 << 10));
    host.is_healthy();
}

#[test]
fn an_honest_agent_gets_its_task_and_answers_messages() {
    let host = Setup::new("").host("ok_agent");
    let plugin = host.plugin();
    let refused = host.wait(plugin.agent_on_start(host.scope(), "{\"refuse\":1}"));
    assert!(matches!(
        refused.result,
        Err(Fault::Guest {
            class: "invalid",
            ..
        })
    ));
    host.wait(plugin.agent_on_start(host.scope(), "{}"))
        .result
        .unwrap();
    let output = host
        .wait(plugin.agent_on_plan(host.scope(), &task(&json!([1]))))
        .result
        .unwrap();
    let content: Value = serde_json::from_str(&output.content).unwrap();
    assert_eq!(content["input"], json!([1]));
    let sent = host
        .wait(plugin.agent_on_message(host.scope(), &message(&json!(1))))
        .result
        .unwrap();
    assert_eq!(sent[0].topic, "agents.guest.in.reply");
}

#[test]
fn a_guardrail_that_breaks_never_counts_as_a_pass() {
    let host = Setup::new("").host("fault_guardrail");
    for how in ["error", "not-json", "empty"] {
        let result = check(&host, &json!({ "how": how }));
        assert!(
            matches!(result, Err(Fault::Guest { .. })),
            "{how}: {result:?}"
        );
    }
    let plugin = host.plugin();
    let config = "{\"how\":\"panic\"}";
    let report = host.wait(plugin.check(host.scope(), Phase::After, "only", "{}", config));
    assert!(!trap(&report).is_empty());
    host.is_healthy();
}

#[test]
fn a_guardrail_with_a_million_findings_ends_at_the_output_limit() {
    let host = Setup::new("[limits]\noutput = \"64KiB\"\n").host("limit_findings");
    let few = check(&host, &json!({ "findings": 3 })).unwrap();
    assert_eq!(few.findings.len(), 3);
    let many = check(&host, &json!({ "findings": 500_000 }));
    let ended = matches!(many, Err(Fault::Limit { .. } | Fault::Guest { .. }));
    assert!(ended, "{:?}", many.map(|verdict| verdict.findings.len()));
    host.is_healthy();
}

#[test]
fn an_honest_guardrail_passes_rewrites_and_denies() {
    let host = Setup::new("").host("ok_guardrail");
    for (action, expected) in [
        ("pass", GuardAction::Pass),
        ("rewrite", GuardAction::Rewrite),
        ("deny", GuardAction::Deny),
    ] {
        let verdict = check(&host, &json!({ "action": action })).unwrap();
        assert_eq!(verdict.action, expected, "{action}");
    }
}

#[test]
fn an_mcp_adapter_without_the_right_to_its_servers_process_is_refused_with_the_line_that_grants_it()
{
    for name in ["ok_mcp_adapter", "limit_mcp_transport"] {
        let host = Setup::new("log = true\n").host(name);
        assert_eq!(host.missing.len(), 1, "{name}: {:?}", host.missing);
        let missing = &host.missing[0];
        assert_eq!(
            missing.interface,
            "flowhost:mcp-transport/mcp-transport@0.1.0"
        );
        let cure = missing.cure.as_deref().unwrap_or_default();
        assert!(cure.starts_with("[[process]]"), "{name}: {cure}");
        assert!(host.plugin.is_err(), "{name}");
    }
}

/// A profile's lines for `mock`.
const MOCK: &str = "[model]\nallow = [\"mock/*\"]\ntokens = 1000\nusd = 0.10\n";

#[test]
fn a_model_is_asked_under_its_grant_and_its_budget_and_in_the_ledger() {
    let host = Setup::new(MOCK).host("ok_model");
    let answer = host.cases(&[
        json!({ "op": "complete", "model": "mock/m", "prompt": "write to ann@example.org" }),
        json!({ "op": "complete", "model": "openai/m", "prompt": "x" }),
        json!({ "op": "complete", "model": "mock/m", "prompt": "x", "max_tokens": 5_000 }),
        json!({ "op": "embed", "model": "mock/e", "texts": ["a", "b"] }),
        json!({ "op": "complete", "model": "mock/m", "prompt": "x", "schema": "{" }),
    ]);
    assert!(
        answer[0]["ok"]["completion_tokens"].as_u64() > Some(0),
        "{answer:?}"
    );
    assert_eq!(answer[1]["error"]["rule"], "model.allow#none");
    assert_eq!(answer[2]["error"]["name"], "tokens");
    assert_eq!(answer[3]["ok"]["vectors"].as_array().unwrap().len(), 2);
    assert_eq!(answer[4]["error"]["case"], "invalid");
    use Kind::{Budget, HostAnswer, ModelIntent, ModelResult};
    // What the guest was answered is on record as well, for a replay; here it is who asked whom.
    let kinds: Vec<_> = (host.facts().iter().map(|fact| fact.kind))
        .filter(|kind| *kind != HostAnswer)
        .collect();
    let asked = [
        ModelIntent,
        ModelResult,
        ModelIntent,
        Budget,
        ModelIntent,
        ModelResult,
    ];
    assert_eq!(kinds, asked);
    let kept = host.facts().remove(0).payload.unwrap();
    assert!(!String::from_utf8(kept).unwrap().contains("ann@example.org"));
}

#[test]
fn a_model_asked_again_and_again_ends_at_the_calls_limit_of_host_calls() {
    let lines = format!("{MOCK}[limits]\nhost_calls = 5\n");
    let host = Setup::new(&lines).host("limit_model");
    let input = json!({ "model": "mock/m", "prompt": "x", "calls": 100 });
    let report = host.call(&input);
    assert_eq!(limit(&report), ("host_calls", 6, 5));
    host.is_healthy();
}

#[test]
fn a_component_describes_tools_as_it_likes_and_nothing_is_believed() {
    let host = Setup::new("").host("fault_descriptor");
    let plugin = host.plugin();
    let report = host.wait(plugin.describe_tools(host.scope()));
    match report.result {
        Ok(all) => assert_eq!(all.len(), 5, "the manifest is what counts"),
        Err(fault) => assert!(
            matches!(fault, Fault::Guest { .. } | Fault::Limit { .. }),
            "{fault}"
        ),
    }
    host.is_healthy();
}
