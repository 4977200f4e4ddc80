//! CAP: what no profile grants is not linked. Each `deny_` guest imports one interface; without the
//! grant it is refused before any of it runs, by name, with the profile line that would grant it.

use flowhost_engine::{InspectError, LoadError, ShapeLimits};
use flowhost_ledger::Kind;
use serde_json::json;

use crate::hosted::{SECRET, Setup, field, limit};
use crate::support::guest;

/// Guest, interface, capability, and the start of the line that would grant it.
const DENIED: &[(&str, &str, &str, &str)] = &[
    (
        "deny_budget",
        "flowhost:budget/budget@0.1.0",
        "budget",
        "budget = true",
    ),
    (
        "deny_clock",
        "flowhost:clock/clock@0.1.0",
        "clock",
        "[clock]",
    ),
    (
        "deny_config",
        "flowhost:config/config@0.1.0",
        "config",
        "config = true",
    ),
    (
        "deny_files",
        "flowhost:files/files@0.1.0",
        "files",
        "[[files]]",
    ),
    ("deny_http", "flowhost:http/http@0.1.0", "http", "[[http]]"),
    ("deny_log", "flowhost:log/log@0.1.0", "log", "log = true"),
    (
        "deny_messaging",
        "flowhost:messaging/messaging@0.1.0",
        "messaging",
        "[messages]",
    ),
    (
        "deny_mcp_transport",
        "flowhost:mcp-transport/mcp-transport@0.1.0",
        "mcp-transport",
        "[[process]]",
    ),
    (
        "deny_model",
        "flowhost:model/model@0.1.0",
        "model",
        "[model]",
    ),
    (
        "deny_progress",
        "flowhost:progress/progress@0.1.0",
        "progress",
        "log = true",
    ),
    (
        "deny_random",
        "flowhost:random/random@0.1.0",
        "random",
        "[random]",
    ),
    (
        "deny_secrets",
        "flowhost:secrets/secrets@0.1.0",
        "secrets",
        "[secrets]",
    ),
    (
        "deny_state",
        "flowhost:state/state@0.1.0",
        "state",
        "[state]",
    ),
    (
        "deny_tools",
        "flowhost:tools/tools@0.1.0",
        "tools",
        "[tools]",
    ),
];

/// The guests that a test of the list must not forget.
pub(crate) fn denied_capabilities() -> impl Iterator<Item = (&'static str, &'static str)> {
    DENIED
        .iter()
        .map(|(guest, _, capability, _)| (*guest, *capability))
}

#[test]
fn cap_001_an_interface_that_is_not_granted_is_not_linked() {
    for (name, interface, capability, line) in DENIED {
        let host = Setup::new("").host(name);
        let [missing] = host.missing.as_slice() else {
            panic!("{name}: {:?}", host.missing)
        };
        assert_eq!(missing.interface, *interface, "{name}");
        assert_eq!(missing.capability, Some(*capability), "{name}");
        let cure = missing.cure.as_deref().unwrap_or_default();
        assert!(cure.starts_with(line), "{name}: {cure}");
        let Err(LoadError::Missing(refused)) = &host.plugin else {
            panic!("{name} was prepared")
        };
        assert_eq!(refused, &host.missing, "{name}");
        assert!(host.facts().is_empty(), "{name}: nothing ran");
    }
}

#[test]
fn cap_001_an_interface_that_no_build_serves_names_no_cure_that_would_not_help() {
    {
        let (name, interface) = ("deny_unknown_interface", "acme:backdoor/shell@1.0.0");
        let host = Setup::new("log = true\nconfig = true\n").host(name);
        let missing: Vec<&str> = host
            .missing
            .iter()
            .map(|missing| missing.interface.as_str())
            .collect();
        assert_eq!(missing, [interface], "{name}");
        assert_eq!(host.missing[0].capability, None, "{name}");
        assert!(matches!(host.plugin, Err(LoadError::Missing(_))), "{name}");
    }
}

#[test]
fn cap_001_netx_020_021_sockets_are_never_linked() {
    let everything =
        "log = true\n[[http]]\nurl = \"https://api.example.com/\"\nmethods = [\"GET\"]\n";
    let host = Setup::new(everything).host("deny_wasi_sockets");
    assert!(!host.missing.is_empty());
    for missing in &host.missing {
        assert!(
            missing.interface.starts_with("wasi:sockets/"),
            "{missing:?}"
        );
        assert_eq!(missing.capability, None, "no profile line opens a socket");
    }
    assert!(matches!(host.plugin, Err(LoadError::Missing(_))));
    assert_eq!(host.connector.dialled(), []);
}

#[test]
fn cap_002_a_newer_version_of_our_own_interface_is_refused_by_name() {
    let bytes = std::fs::read(guest("deny_newer_version")).unwrap();
    flowhost_engine::inspect(&bytes, &ShapeLimits::default()).unwrap();
    let host = Setup::new("log = true\n").host_of(bytes);
    let Err(LoadError::Inspect(error)) = &host.plugin else {
        panic!("{:?}", host.plugin.as_ref().map(|_| ()))
    };
    assert!(!matches!(error, InspectError::Truncated { .. }));
    let text = error.to_string();
    assert!(
        text.contains("flowhost:log/log@0.2.0") && text.contains("0.1.0"),
        "{text}"
    );
}

#[test]
fn cap_001_with_its_grant_each_guest_is_linked() {
    let grants = "log = true\nconfig = true\nbudget = true\n[clock]\nwall = \"virtual\"\n[random]\n\
                  source = \"seeded\"\n[state]\nnamespaces = [\"notes\"]\n[tools]\ncall = [\"a/b\"]\n\
                  [messages]\npublish = [\"x\"]\n[model]\nallow = [\"mock/*\"]\ntokens = 9\nusd = 0.1\n\
                  [secrets]\nnames = [\"TOKEN\"]\n[[http]]\n\
                  url = \"https://api.example.com/\"\nmethods = [\"GET\"]\n";
    // A folder, and a process with its second key, are not granted by a line alone: they have tests of their own.
    let by_a_line = |row: &&(&str, &str, &str, &str)| !matches!(row.2, "files" | "mcp-transport");
    for (name, _, capability, _) in DENIED.iter().filter(by_a_line) {
        let host = Setup::new(grants).host(name);
        assert!(host.missing.is_empty(), "{capability}: {:?}", host.missing);
        let report = host.call(&json!({}));
        assert!(
            matches!(
                report.result,
                Ok(_) | Err(flowhost_engine::Fault::Denied(_))
            ),
            "{name}: {report:?}"
        );
    }
    let folder = tempfile::tempdir().unwrap();
    let files = "[[files]]\nguest = \"/w\"\nhost = \".\"\naccess = \"read\"\n";
    let host = Setup::new(files).below(folder.path()).host("deny_files");
    assert_eq!(host.answer(&json!({})), json!(["/w"]));
}

#[test]
fn the_environment_shows_nothing_without_a_grant_and_then_only_what_is_named() {
    let empty = json!({ "env": [], "arguments": [], "cwd": null });
    assert_eq!(
        Setup::new("").host("deny_environment").answer(&json!({})),
        empty
    );
    let named = "[env]\nLANG = \"C.UTF-8\"\nTAKEN = { from = \"FROM_HOST\" }\n";
    let seen = Setup::new(named)
        .host("deny_environment")
        .answer(&json!({}));
    assert_eq!(
        seen["env"],
        json!([["LANG", "C.UTF-8"], ["TAKEN", "taken"]])
    );
}

#[test]
fn cap_010_a_secret_that_is_not_granted_is_not_revealed() {
    let named = "[secrets]\nnames = [\"TOKEN\"]\n";
    let host = Setup::new(named).host("ok_secrets");
    let names = [
        "TOKEN",
        "OTHER",
        "*",
        "../TOKEN",
        "token",
        "",
        "default/TOKEN",
    ];
    let cases: Vec<_> = names
        .iter()
        .map(|name| json!({ "op": "reveal", "name": name }))
        .collect();
    for (name, outcome) in names.iter().zip(host.cases(&cases)) {
        assert!(outcome.get("error").is_some(), "{name}: {outcome}");
        assert!(!outcome.to_string().contains(SECRET.1), "{name}");
    }
    let records = host.facts();
    assert!(
        records
            .iter()
            .all(|record| field(record, "decision") != "allow"),
        "{records:?}"
    );
}

#[test]
fn cap_010_a_revealed_secret_is_a_record_that_does_not_hold_it() {
    let host =
        Setup::new("[secrets]\nnames = [\"TOKEN\"]\nreveal = [\"TOKEN\"]\n").host("ok_secrets");
    let outcome = host.answer(&json!({ "op": "reveal", "name": "TOKEN" }));
    assert_eq!(outcome, json!({ "ok": SECRET.1 }));
    let records = host.of_kind(Kind::SecretUse);
    assert_eq!(records.len(), 1);
    assert!(!format!("{:?}", host.facts()).contains(SECRET.1));
}

#[test]
fn cap_011_and_012_a_secret_in_a_log_line_is_redacted() {
    let rights = "log = true\n[secrets]\nnames = [\"TOKEN\"]\n";
    let mut setup = Setup::new(rights);
    setup.manifest = Some(
        "version = 1\nname = \"guest\"\nkind = \"tool\"\nrelease = \"0.1.0\"\n\
         description = \"Logs.\"\n[needs]\nlog = true\nsecrets = \"granted\"\n",
    );
    let host = setup.host("ok_log");
    let (_, value) = SECRET;
    for message in [
        value.to_owned(),
        format!("x{value}y"),
        "s3cr%2Ft-value".to_owned(),
    ] {
        host.answer(&json!({ "message": message, "fields": { "k": value } }));
    }
    let lines = format!("{:?}", host.lines());
    assert!(lines.contains("[redacted]"), "{lines}");
    assert!(
        !lines.contains(value) && !lines.contains("s3cr%2Ft-value"),
        "{lines}"
    );
    assert!(!format!("{:?}", host.facts()).contains(value));
}

#[test]
fn cap_006_state_tools_and_topics_outside_the_lists_are_denied_with_a_record() {
    let state = Setup::new("[state]\nnamespaces = [\"notes\"]\n").host("ok_state");
    let outcome = state.answer(&json!({ "op": "get", "namespace": "other", "key": "k" }));
    assert_eq!(outcome["error"]["case"], "denied", "{outcome}");
    let tools = Setup::new("[tools]\ncall = [\"a/b\"]\n").host("ok_tools");
    let outcome = tools.answer(&json!({ "op": "call", "name": "a/c", "input": {} }));
    assert_eq!(outcome["error"]["case"], "denied", "{outcome}");
    let messages = Setup::new("[messages]\npublish = [\"heard.a\"]\n").host("ok_messaging");
    let outcome = messages.answer(&json!({ "op": "publish", "topic": "heard.b" }));
    assert_eq!(outcome["error"]["case"], "denied", "{outcome}");
    for host in [state, tools, messages] {
        let facts = host.facts();
        assert!(
            facts.iter().any(|fact| field(fact, "decision") == "deny"),
            "{facts:?}"
        );
    }
}

#[test]
fn what_is_granted_works_and_is_recorded() {
    let state = Setup::new("[state]\nnamespaces = [\"notes\"]\n").host("ok_state");
    let outcomes = state.cases(&[
        json!({ "op": "set", "namespace": "notes", "key": "k", "value": "v" }),
        json!({ "op": "get", "namespace": "notes", "key": "k" }),
    ]);
    assert_eq!(outcomes[1]["ok"]["value"], "v");
    let tools = Setup::new("[tools]\ncall = [\"a/b\"]\n").host("ok_tools");
    let outcome = tools.answer(&json!({ "op": "call", "name": "a/b", "input": { "n": 1 } }));
    assert_eq!(outcome["ok"]["value"]["name"], "a/b", "{outcome}");
    let messages = Setup::new("[messages]\npublish = [\"heard.a\"]\n").host("ok_messaging");
    let outcome = messages.answer(&json!({ "op": "publish", "topic": "heard.a", "payload": 1 }));
    assert!(outcome["ok"].is_string(), "{outcome}");
}

#[test]
fn the_small_capabilities_answer_what_the_host_says() {
    let budget = Setup::new("budget = true\n")
        .host("ok_budget")
        .answer(&json!({}));
    assert_eq!(
        (budget["tokens"].as_str(), budget["micro_usd"].as_str()),
        (Some("1000"), Some("2000"))
    );
    let mut setup = Setup::new("config = true\n");
    setup.config = "{\"words\":[1,2]}".to_owned();
    assert_eq!(
        setup.host("ok_config").answer(&json!({ "key": "words" }))["value"],
        json!([1, 2])
    );
    let context = Setup::new("").host("ok_context").answer(&json!({}));
    assert_eq!(
        (context["step"].as_str(), context["attempt"].as_i64()),
        (Some("only"), Some(1))
    );
    assert_eq!(
        Setup::new("")
            .host("ok_add")
            .answer(&json!({ "a": 1, "b": 2 })),
        json!({ "sum": 3.0 })
    );
}

#[test]
fn seeded_randomness_and_the_virtual_clock_repeat() {
    let draw = || {
        let host = Setup::new("[random]\nsource = \"seeded\"\n").host("ok_random");
        host.answer(&json!({ "length": 16 }))["ok"].clone()
    };
    assert_eq!(draw(), draw());
    let read = || {
        let host = Setup::new("[clock]\nwall = \"virtual\"\n").host("ok_clock");
        host.answer(&json!({ "reads": 3 }))["now_ms"].clone()
    };
    assert_eq!(read(), read());
    let bare = Setup::new("").host("ok_wasi_clock_random").call(&json!({}));
    let again = Setup::new("").host("ok_wasi_clock_random").call(&json!({}));
    match (bare.result, again.result) {
        (Ok(first), Ok(second)) => assert_eq!(first.value, second.value, "nothing real to see"),
        (first, second) => assert!(first.is_err() && second.is_err(), "{first:?} {second:?}"),
    }
}

#[test]
fn a_host_call_budget_holds_for_the_quiet_capabilities_too() {
    let rights = "budget = true\n[limits]\nhost_calls = 100\n";
    let report = Setup::new(rights)
        .host("limit_budget")
        .call(&json!({ "times": 1_000 }));
    assert_eq!(limit(&report), ("host_calls", 101, 100));
}
