//! The provider inside the host.

use flowhost_models::{Completion, ErrorClass, Finish, Prompt, Speaker, Turn, Who};
use serde_json::{Value, json};

use crate::harness::{Host, Log, failure, prompt, soon, who};

const CONFIG: &str = "providers.mock = { kind = \"mock\", scripts = \"s\" }";

fn scripted(script: &str) -> Host {
    Host {
        scripts: [("s/stage/agent.json".to_owned(), script.to_owned())].into(),
        ..Host::default()
    }
}

async fn said(host: Host, prompt: &Prompt, who: &Who<'_>) -> Completion {
    let gateway = host.gateway(CONFIG);
    gateway
        .complete(prompt, who, &|_| true, soon(), &Log::default())
        .await
        .unwrap()
}

#[tokio::test]
async fn a_script_that_cannot_be_used_is_nobodys_fault_who_asks_and_is_named() {
    let gateway = scripted("[{\"text\": 1}]").gateway(CONFIG);
    let (error, log) = failure(&gateway, &prompt("mock/m")).await;
    assert_eq!(error.class, ErrorClass::Script);
    assert!(error.message.contains("s/stage/agent.json"), "{error}");
    assert!(
        error.hint.starts_with("mend s/stage/agent.json;"),
        "{}",
        error.hint
    );
    assert_eq!(log.classes(), ["script"]);
}

#[tokio::test]
async fn text_follows_from_the_seed_and_the_prompt() {
    let ask = prompt("mock/m");
    let first = said(Host::default(), &ask, &who()).await;
    assert_eq!(
        first.content,
        said(Host::default(), &ask, &who()).await.content
    );
    assert!(first.content.starts_with("mock: "));
    assert_eq!((first.finish, first.spent.micro_usd), (Finish::Stop, 0));
    assert!(first.spent.usage.prompt_tokens > 0 && first.spent.usage.completion_tokens > 0);
    let mut seeded = ask.clone();
    seeded.seed = Some(8);
    assert_ne!(
        first.content,
        said(Host::default(), &seeded, &who()).await.content
    );
    let other = Who {
        agent: "other",
        ..who()
    };
    assert_ne!(
        first.content,
        said(Host::default(), &ask, &other).await.content
    );
}

#[tokio::test]
async fn a_mock_of_another_name_says_that_it_is_one() {
    let gateway = Host::default().gateway("providers.actor = { kind = \"mock\" }");
    for (model, answered_by) in [("actor/m", "mock/m"), ("mock/m", "m")] {
        let answer = gateway
            .complete(&prompt(model), &who(), &|_| true, soon(), &Log::default())
            .await
            .unwrap();
        assert_eq!(answer.answered_by, answered_by, "{model}");
    }
}

#[tokio::test]
async fn a_mock_that_stands_in_answers_as_itself() {
    let config = "retry = { max_attempts = 1 }\n[providers.mock]\nkind = \"mock\"\nscripts = \"s\"\n\
                  [providers.actor]\nkind = \"mock\"\n[failover]\n\"mock/m\" = [\"actor/n\"]";
    let gateway = scripted("[{\"error\": {\"class\": \"transient\"}}]").gateway(config);
    let mut answers = Vec::new();
    for model in ["mock/m", "actor/n"] {
        let answer = gateway
            .complete(&prompt(model), &who(), &|_| true, soon(), &Log::default())
            .await;
        answers.push(answer.unwrap());
    }
    assert_eq!(answers[0].answered_by, "mock/n");
    assert_eq!(answers[0].content, answers[1].content);
}

#[tokio::test]
async fn a_schema_is_answered_with_json_of_it() {
    let mut ask = prompt("mock/m");
    ask.answer_schema = Some(json!({"type": "object", "required": ["n"],
        "properties": {"n": {"type": "integer", "minimum": 3}, "ok": {"type": "boolean"}}}));
    let completion = said(Host::default(), &ask, &who()).await;
    let value: Value = serde_json::from_str(&completion.content).unwrap();
    assert_eq!(value, json!({"n": 3, "ok": true}));
}

#[tokio::test]
async fn a_scripted_agent_calls_a_tool_and_then_answers() {
    let script = r#"[
        {"tool_calls": [{"name": "files/read", "arguments": {"path": "a.md"}}]},
        {"json": {"verdict": "pass"}, "usage": {"prompt_tokens": 9, "completion_tokens": 4}}]"#;
    let ask = prompt("mock/m");
    let first = said(scripted(script), &ask, &who()).await;
    assert_eq!(first.finish, Finish::ToolCalls);
    let call = &first.tool_calls[0];
    assert_eq!(
        (call.id.as_str(), call.arguments.as_str()),
        ("call-0-0", "{\"path\":\"a.md\"}")
    );

    let mut second = ask.clone();
    let mut assistant = Turn::new(Speaker::Assistant, first.content);
    assistant.tool_calls = first.tool_calls;
    let mut tool = Turn::new(Speaker::Tool, "# A");
    tool.answers = "call-0-0".to_owned();
    second.turns.extend([assistant, tool]);
    let second = said(scripted(script), &second, &who()).await;
    assert_eq!(second.content, "{\"verdict\":\"pass\"}");
    assert_eq!(second.spent.usage.tokens(), 13);
}

#[tokio::test]
async fn a_scripted_error_has_its_class_and_costs_nothing() {
    for class in ErrorClass::ALL {
        let script = format!("[{{\"error\": {{\"class\": \"{}\"}}}}]", class.as_str());
        let config = format!("retry = {{ max_attempts = 2, initial = \"1ms\" }}\n{CONFIG}");
        let gateway = scripted(&script).gateway(&config);
        let (error, _) = failure(&gateway, &prompt("mock/m")).await;
        assert_eq!((error.class, error.spent.usage.tokens()), (class, 0));
    }
}

#[tokio::test]
async fn an_answer_ends_at_a_stop_and_at_its_limit() {
    let mut ask = prompt("mock/m");
    ask.stop = vec!["END".to_owned()];
    let script = "[\"before END after\"]";
    assert_eq!(
        said(scripted(script), &ask, &who()).await.content,
        "before "
    );
    ask.stop.clear();
    ask.max_tokens = 4;
    let completion = said(scripted(script), &ask, &who()).await;
    assert_eq!(completion.finish, Finish::Length);
    assert!(completion.spent.usage.completion_tokens <= 4);
    assert!("before END after".starts_with(&completion.content));
}
