//! Plugins by the TypeScript SDK, as a user runs them: one of each kind, and the tool on both engines. What
//! an author relies on is seen from outside: values, classes of errors, the line that a mistake stands in.

use serde_json::json;

use super::script::{ROOM, compiled, everything, home, message, mirror, profile, run, tool};
use crate::support::{Home, Ran};

/// The tool, on the engine that is the default and on the other.
const TOOL: &str = "compat_ts_tool";
const ON_SPIDERMONKEY: &str = "compat_ts_tool_spidermonkey";

#[test]
fn a_tool_in_typescript_is_denied_what_its_profile_does_not_grant_before_it_runs() {
    let Some(home) = home(&["compat_ts_tool"]) else {
        return;
    };
    profile(&home, "log = true\n");
    let step = "  only: { uses: it/count, with: { text: a } }\n";
    let ran = run(&home, &tool("compat_ts_tool"), step).expect(6);
    for right in ["http", "files", "model", "state", "clock", "random"] {
        assert!(ran.all().contains(right), "{right}: {}", ran.all());
    }
}

#[test]
fn a_tool_in_typescript_reaches_every_host_function_by_its_name_and_by_the_global() {
    if let Some(home) = home(&[TOOL]) {
        looks(&home, TOOL);
    }
}

/// Has the tool ask the host for one thing of each kind.
fn looks(home: &Home, name: &str) {
    let address = mirror();
    home.file("docs/a.txt", "ä€😀");
    profile(home, &everything(address));
    let plugins = format!(
        "  it:\n    kind: tool\n    source: ./{name}.wasm\n    profile: under-test\n    config: {{ greeting: hi }}\n"
    );
    let step = format!("  only: {{ uses: it/look, with: {{ url: \"http://{address}/x\" }} }}\n");
    let ran = run(home, &plugins, &step).expect(0);
    let value = &ran.json()["outputs"]["only"];
    let wanted = json!({
        "fetched": { "status": 201, "body": { "said": "ä€😀" }, "kind": "application/json" },
        "sent": 201,
        "roots": ["/docs"],
        "read": "ä€😀",
        "listed": [["a.txt", "file", 9]],
        "state": { "before": true, "lost": true, "kept": "1", "swapped": true, "keys": ["count"],
            "denied": { "denied": "state.namespaces", "wanted": "other" } },
        "time": { "date": true, "past": "1970-01-01T00:00:00.000Z", "elapsed": true, "is": true },
        "random": { "inside": true, "uuid": true, "filled": 4, "bytes": 3 },
        "config": ["hi", true, { "greeting": "hi" }],
        "budget": true,
        "tools": ["it/count"],
        "published": true,
        "texts": "ä€😀",
        "url": "https://example.com/x?q=1",
        "clone": { "a": [1] },
    });
    for (key, wanted) in wanted.as_object().unwrap() {
        assert_eq!(&value[key], wanted, "{name}: {key}: {value:#}");
    }
    assert_eq!(value["outside"]["denied"], "files", "{value:#}");
    assert!(value["absent"]["invalid"].is_string(), "{value:#}");
    assert_eq!(value["secrets"][0], json!(["TOKEN"]), "{value:#}");
    assert_eq!(value["secrets"][1]["denied"], "secrets.reveal", "{value:#}");
    assert_eq!(value["called"]["denied"], "tools.call", "{value:#}");
    assert_eq!(value["unheard"]["denied"], "messages.publish", "{value:#}");
    assert!(!value["model"].as_str().unwrap().is_empty(), "{value:#}");
    let line = "by the global {\"too\":true}";
    assert!(ran.stderr.contains(line), "{name}: {}", ran.stderr);
}

#[test]
fn a_tool_in_typescript_gives_a_value_and_parts_and_its_input_is_checked_before_it_runs() {
    let Some(home) = home(&[TOOL]) else { return };
    profile(&home, &everything("127.0.0.1:9".parse().unwrap()));
    let count = |with: &str| {
        let step = format!("  only: {{ uses: it/count, with: {with} }}\n");
        run(&home, &tool(TOOL), &step)
    };
    let report = count("{ text: \"a bb ccc\", least: 2 }").expect(0).json();
    assert_eq!(report["outputs"]["only"]["words"], 2, "{report:#}");
    let wrong = count("{ text: 1 }");
    assert_ne!(wrong.code, 0, "{}", wrong.all());
    assert!(wrong.all().contains("text"), "{}", wrong.all());
}

/// What a run of the tool says that fails in this way.
fn said(home: &Home, name: &str, how: &str) -> String {
    profile(home, &everything("127.0.0.1:9".parse().unwrap()));
    let step = format!("  only: {{ uses: it/fail, with: {{ how: {how} }} }}\n");
    let ran = run(home, &tool(name), &step);
    assert_ne!(ran.code, 0, "{how}: {}", ran.all());
    message(&ran)
}

#[test]
fn errors_in_typescript_arrive_by_class_and_a_mistake_names_the_line_of_its_author() {
    let cases = [
        ("invalid", "`invalid`: as asked"),
        ("transient", "`transient`: as asked"),
        ("conflict", "`conflict`: as asked"),
        // The file of its own that the mistake stands in, and its line there.
        ("line", "(src/broken.ts:9 < src/index.ts:"),
        ("text", "\"a text\" was thrown"),
        ("never", "a promise that nobody resolves"),
        ("lost", "rejected and nobody looked: nobody waits"),
        ("timer", "a call of a plugin has no timers"),
        ("shape", "the result does not fit: fits:"),
        // It ends the call, and not the host.
        ("deep", "call stack exhausted"),
    ];
    let Some(home) = home(&[TOOL]) else { return };
    for (how, wanted) in cases {
        let said = said(&home, TOOL, how);
        assert!(said.contains(wanted), "{how}: {said}");
    }
}

#[test]
fn the_same_tool_on_spidermonkey_reaches_the_same_and_names_the_same_lines() {
    let Some(home) = home(&[ON_SPIDERMONKEY]) else {
        return;
    };
    compiled(&home, ON_SPIDERMONKEY);
    looks(&home, ON_SPIDERMONKEY);
    for (how, wanted) in [
        ("line", "(src/broken.ts:9 < src/index.ts:"),
        ("lost", "rejected and nobody looked: nobody waits"),
        ("never", "a promise that nobody resolves"),
        ("deep", "too much recursion"),
    ] {
        let said = said(&home, ON_SPIDERMONKEY, how);
        assert!(said.contains(wanted), "{how}: {said}");
    }
}

#[test]
fn an_agent_in_typescript_starts_works_with_a_model_and_is_told_of_a_wrong_configuration() {
    let name = "compat_ts_agent";
    let Some(home) = home(&[name]) else { return };
    profile(
        &home,
        "[model]\nallow = [\"mock/*\"]\ntokens = 10_000\nusd = 0.10\n\
         [state]\nnamespaces = [\"agent\"]\nbytes = \"64KiB\"\n[messages]\npublish = [\"answers\"]\n",
    );
    let agent = |config: &str| {
        format!(
            "  it:\n    kind: agent\n    source: ./{name}.wasm\n    profile: under-test\n    config: {config}\n"
        )
    };
    let step = "  only: { uses: it, with: { question: why } }\n";
    let report = run(&home, &agent("{ model: mock/echo }"), step)
        .expect(0)
        .json();
    let answer = &report["outputs"]["only"];
    assert_eq!(answer["started"], "default/it", "{report:#}");
    assert!(!answer["answer"].as_str().unwrap().is_empty(), "{report:#}");
    let wrong = run(&home, &agent("{ modell: x }"), step);
    assert_ne!(wrong.code, 0, "{}", wrong.all());
    assert!(
        wrong
            .all()
            .contains("the configuration does not fit: model"),
        "{}",
        wrong.all()
    );
}

#[test]
fn a_guardrail_in_typescript_stops_rewrites_and_passes() {
    let names = ["compat_ts_guardrail", "compat_ts_tool"];
    let Some(home) = home(&names) else { return };
    profile(&home, &everything("127.0.0.1:9".parse().unwrap()));
    home.file(
        "policies/guard.toml",
        format!("version = 1\nname = \"guard\"\n{ROOM}"),
    );
    let guarded = |with: &str| {
        let plugins = format!(
            "{}  guard: {{ kind: guardrail, source: ./compat_ts_guardrail.wasm, profile: guard }}\n",
            tool("compat_ts_tool")
        );
        let step = format!(
            "  only:\n    uses: it/count\n    with: {{ text: \"one secret word\" }}\n    guardrails:\n      \
             before: [{{ uses: guard, with: {with}, on_fail: halt }}]\n"
        );
        run(&home, &plugins, &step)
    };
    let stopped = guarded("{ stop: secret }").expect(4);
    let said = message(&stopped);
    assert!(said.contains("it says \"secret\""), "{said}");
    let words = |ran: Ran| ran.expect(0).json()["outputs"]["only"]["words"].clone();
    assert_eq!(words(guarded("{ stop: none, hide: \" secret word\" }")), 1);
    assert_eq!(words(guarded("{ stop: none }")), 3);
}

#[test]
fn an_mcp_adapter_in_typescript_has_its_role_and_asks_for_nothing() {
    let name = "compat_ts_mcp_adapter";
    let Some(home) = home(&[name]) else { return };
    let ran = home.flowhost(&["inspect", &format!("{name}.wasm"), "--json"]);
    let seen = ran.expect(0).json();
    assert_eq!(seen["role"], "mcp_adapter", "{seen:#}");
    let imports = seen["imports"].as_array().unwrap();
    assert!(imports.iter().all(|it| it["needed"] == false), "{seen:#}");
}
