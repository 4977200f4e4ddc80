//! What `tools` refuses, then what it gives: the host's side, with doubles where the world would be.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use flowhost_engine::bindings::types::{self, Annotations, Effects};
use flowhost_engine::{CallScope, Descriptor, Fault, Provider, ToolContent};
use flowhost_policy::{Denied, Grants};

use super::host::wit::Host as _;
use super::{CHAIN_MAX, ToolRouter, Tools};
use crate::testing::{Call, fault};

/// Knows every plugin as `plan::<name>` where its caller is known so, remembers calls, and ends them as the tool's name says.
#[derive(Default)]
struct Router(Mutex<Vec<String>>);

impl Router {
    fn calls(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

#[async_trait]
impl ToolRouter for Router {
    fn list(&self, _caller: &CallScope) -> Vec<Descriptor> {
        ["x/secret", "files/read", "files/list"]
            .map(descriptor)
            .to_vec()
    }

    fn key(&self, caller: &CallScope, plugin: &str) -> String {
        let nested = caller.plugin.starts_with("plan::");
        format!("{}{plugin}", if nested { "plan::" } else { "" })
    }

    async fn call(
        &self,
        caller: &CallScope,
        name: &str,
        input: &str,
    ) -> Result<ToolContent, Fault> {
        let call = format!("{} {name} {input}", caller.plugin);
        self.0.lock().unwrap().push(call);
        match name {
            "files/limit" => Err(Fault::Limit {
                name: "fuel",
                used: 2,
                allowed: 1,
            }),
            "files/invalid" => Err(Fault::Guest {
                class: "invalid",
                message: "no".into(),
            }),
            "files/denied" => Err(Fault::Denied(Denied {
                right: "http",
                wanted: "GET https://inner.example/".into(),
                rule: "http#none".into(),
                cure: None,
            })),
            "files/trap" => Err(Fault::Trap {
                message: "inner".into(),
            }),
            "files/host" => Err(Fault::Host("broken".into())),
            "files/conflict" => Err(Fault::Guest {
                class: "conflict",
                message: "there already".into(),
            }),
            _ => Ok(ToolContent {
                value: "1".into(),
                parts: Vec::new(),
            }),
        }
    }
}

fn descriptor(name: &str) -> Descriptor {
    Descriptor {
        name: name.to_owned(),
        title: String::new(),
        description: String::new(),
        input_schema: "{}".to_owned(),
        output_schema: String::new(),
        effects: Effects::None,
        annotations: Annotations {
            read_only: None,
            destructive: None,
            idempotent: None,
            open_world: None,
        },
    }
}

fn call() -> Call {
    let mut grants = Grants::default();
    grants.tools.call = vec!["files/*".into(), "a/t".into(), "p/t".into()];
    Call::granted(grants)
}

fn tools() -> (Tools, Arc<Router>) {
    let router = Arc::new(Router::default());
    (Tools::new(router.clone()), router)
}

#[test]
fn is_not_granted_unless_the_profile_says_so() {
    let call = Call::granted(Grants::default());
    assert!(!tools().0.capability().granted(&call.scope.effective));
}

#[tokio::test]
async fn denies_a_tool_outside_the_grant_and_records_it_before_the_router_sees_it() {
    let (tools, router) = tools();
    let call = call();
    let mut store = call.store(&tools);
    for name in ["x/secret", "x", "*", ""] {
        let denied = (&mut &mut store)
            .call(name.into(), "{}".into())
            .await
            .unwrap();
        assert!(matches!(denied, Err(types::Error::Denied(_))), "{name}");
        assert_eq!(call.last("decision"), "deny");
        assert_eq!(call.last("right"), "tools.call");
    }
    assert!(router.calls().is_empty());
}

#[tokio::test]
async fn refuses_what_is_not_plugin_and_tool_even_where_all_tools_are_granted() {
    let (tools, router) = tools();
    let mut store = call().store(&tools);
    let refused = (&mut &mut store).call("files".into(), "{}".into()).await;
    assert!(matches!(refused.unwrap(), Err(types::Error::Invalid(_))));
    // Longer names match no pattern of the grant.
    for name in ["files/../x/secret", "files/read/more"] {
        let refused = (&mut &mut store).call(name.into(), "{}".into()).await;
        let refused = refused.unwrap();
        assert!(matches!(refused, Err(types::Error::Denied(_))), "{name}");
    }
    assert!(router.calls().is_empty());
}

#[tokio::test]
async fn lists_only_what_may_be_called() {
    let (tools, _) = tools();
    let mut store = call().store(&tools);
    let listed = (&mut &mut store).list().await.unwrap();
    let names: Vec<_> = listed.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(names, ["files/list", "files/read"]);
}

#[tokio::test]
async fn dos_032_refuses_to_call_a_plugin_that_waits_for_this_call() {
    let (tools, router) = tools();
    let mut call = call();
    call.scope.callers = Arc::new(["a".into()]);
    let mut store = call.store(&tools);
    for name in ["a/t", "p/t"] {
        let refused = (&mut &mut store)
            .call(name.into(), "{}".into())
            .await
            .unwrap();
        let Err(types::Error::Failed(message)) = refused else {
            panic!("{refused:?}");
        };
        assert!(message.contains("cycle"), "{message}");
        assert_eq!(call.last("rule"), "tools.cycle");
    }
    assert!(router.calls().is_empty());
}

#[tokio::test]
async fn dos_032_sees_a_cycle_whatever_name_the_router_knows_a_plugin_by() {
    let (tools, router) = tools();
    let mut call = call();
    call.scope.plugin = "plan::p".into();
    call.scope.callers = Arc::new(["plan::a".into()]);
    let mut store = call.store(&tools);
    for name in ["a/t", "p/t"] {
        let refused = (&mut &mut store).call(name.into(), "{}".into()).await;
        assert!(
            matches!(refused.unwrap(), Err(types::Error::Failed(_))),
            "{name}"
        );
    }
    assert!(router.calls().is_empty());
}

#[tokio::test]
async fn dos_032_refuses_a_chain_that_is_too_long() {
    let (tools, router) = tools();
    let mut call = call();
    call.scope.callers = (0..CHAIN_MAX).map(|n| format!("c{n}").into()).collect();
    let mut store = call.store(&tools);
    let refused = (&mut &mut store)
        .call("files/read".into(), "{}".into())
        .await;
    let Err(types::Error::Limit(limit)) = refused.unwrap() else {
        panic!("no limit");
    };
    assert_eq!(
        (limit.name.as_str(), limit.allowed.as_str()),
        ("chain", "8")
    );
    assert!(router.calls().is_empty());
}

#[tokio::test]
async fn dos_045_refuses_input_that_is_not_json_or_too_deep() {
    let (tools, router) = tools();
    let mut store = call().store(&tools);
    for input in ["", "{", &"[".repeat(100_000)] {
        let refused = (&mut &mut store)
            .call("files/read".into(), input.into())
            .await;
        assert!(matches!(refused.unwrap(), Err(types::Error::Invalid(_))));
    }
    assert!(router.calls().is_empty());
}

#[tokio::test]
async fn refuses_input_that_two_readers_read_in_two_ways() {
    let (tools, router) = tools();
    let mut store = call().store(&tools);
    let input = r#"{"cmd":"drop","cmd":"list"}"#;
    let refused = (&mut &mut store)
        .call("files/read".into(), input.into())
        .await;
    let Err(types::Error::Invalid(why)) = refused.unwrap() else {
        panic!("it was taken");
    };
    assert!(why.contains("`cmd` stands twice"), "{why}");
    assert!(router.calls().is_empty());
}

#[tokio::test]
async fn hands_on_the_canonical_text_of_what_was_checked() {
    let (tools, router) = tools();
    let mut store = call().store(&tools);
    let input = "{ \"n\": 1e2,\n \"\\u0063md\": \"list\" }";
    let called = (&mut &mut store)
        .call("files/read".into(), input.into())
        .await;
    assert!(called.unwrap().is_ok());
    assert_eq!(router.calls(), [r#"p files/read {"cmd":"list","n":100.0}"#]);
}

#[tokio::test]
async fn cap_014_a_callee_s_refusal_is_not_handed_to_its_caller_as_its_own() {
    let (tools, _) = tools();
    let mut store = call().store(&tools);
    let mut ask = async |name: &str| (&mut &mut store).call(name.to_owned(), "{}".into()).await;
    let denied = ask("files/denied").await.unwrap().unwrap_err();
    let types::Error::Failed(message) = denied else {
        panic!("{denied:?}");
    };
    assert!(!message.contains("inner.example"), "{message}");
    let limit = ask("files/limit").await.unwrap();
    assert!(matches!(limit, Err(types::Error::Limit(_))));
    let invalid = ask("files/invalid").await.unwrap();
    assert!(matches!(invalid, Err(types::Error::Invalid(_))));
    let conflict = ask("files/conflict").await.unwrap();
    assert!(matches!(conflict, Err(types::Error::Conflict(_))));
    let trap = ask("files/trap").await.unwrap();
    assert!(matches!(trap, Err(types::Error::Failed(_))));
    assert!(matches!(fault(ask("files/host").await), Fault::Host(_)));
}

#[tokio::test]
async fn calls_with_the_caller_s_own_scope_and_records_the_rule_first() {
    let (tools, router) = tools();
    let call = call();
    let mut store = call.store(&tools);
    let answer = (&mut &mut store)
        .call("files/read".into(), "{}".into())
        .await;
    assert_eq!(answer.unwrap().unwrap().value, "1");
    assert_eq!(router.calls(), ["p files/read {}"]);
    assert_eq!(call.last("decision"), "allow");
    assert_eq!(call.last("rule"), "tools.call[0]");
}
