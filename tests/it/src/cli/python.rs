//! Plugins by the Python SDK, as a user runs them. Making machine code of CPython takes most of a minute here, so
//! one of the four kinds is run, and the three others are looked at.

use serde_json::json;

use super::script::{compiled, everything, home, message, mirror, profile, run, tool};

const TOOL: &str = "compat_py_tool";

#[test]
fn a_tool_in_python_is_denied_what_its_profile_does_not_grant_before_it_runs() {
    let Some(home) = home(&[TOOL]) else { return };
    profile(&home, "log = true\n");
    let step = "  only: { uses: it/count, with: { text: a } }\n";
    let ran = run(&home, &tool(TOOL), step).expect(6);
    for right in ["http", "files", "model", "state", "clock", "random"] {
        assert!(ran.all().contains(right), "{right}: {}", ran.all());
    }
}

#[test]
fn a_tool_in_python_reaches_the_host_and_its_errors_arrive_by_class_with_the_authors_line() {
    let address = mirror();
    let Some(home) = home(&[TOOL]) else { return };
    compiled(&home, TOOL);
    home.file("docs/a.txt", "ä€😀");
    profile(&home, &everything(address));
    let plugins = format!(
        "  it:\n    kind: tool\n    source: ./{TOOL}.wasm\n    profile: under-test\n    config: {{ greeting: hi }}\n"
    );
    let step = format!("  only: {{ uses: it/look, with: {{ url: \"http://{address}/x\" }} }}\n");
    let ran = run(&home, &plugins, &step).expect(0);
    let value = &ran.json()["outputs"]["only"];
    let wanted = json!({
        "fetched": { "status": 201, "body": { "said": "ä€😀" }, "kind": "application/json" },
        "roots": ["/docs"],
        "read": "ä€😀",
        "listed": [["a.txt", "file", 9]],
        "state": { "lost": true, "kept": "1", "swapped": true, "keys": ["count"],
            "denied": { "denied": "state.namespaces", "wanted": "other" } },
        "time": { "same": true, "year": true },
        "random": { "inside": true, "uuid": 4, "bytes": 3 },
        "config": ["hi", true, { "greeting": "hi" }],
        "budget": true,
        "tools": ["it/count"],
        "published": true,
    });
    for (key, wanted) in wanted.as_object().unwrap() {
        assert_eq!(&value[key], wanted, "{key}: {value:#}");
    }
    assert_eq!(value["outside"]["denied"], "files", "{value:#}");
    assert!(value["absent"]["invalid"].is_string(), "{value:#}");
    assert_eq!(value["secrets"][1]["denied"], "secrets.reveal", "{value:#}");
    assert_eq!(value["called"]["denied"], "tools.call", "{value:#}");
    assert_eq!(value["unheard"]["denied"], "messages.publish", "{value:#}");

    let count = "  only: { uses: it/count, with: { text: \"a bb ccc\", least: 2 } }\n";
    let report = run(&home, &tool(TOOL), count).expect(0).json();
    assert_eq!(report["outputs"]["only"]["words"], 2, "{report:#}");

    let cases = [
        ("invalid", "`invalid`: as asked"),
        ("transient", "`transient`: as asked"),
        ("conflict", "`conflict`: as asked"),
        // The module of its own that the mistake stands in, and its line there.
        (
            "line",
            "KeyError: 'inner' (src/broken.py:7 < src/plugin.py:",
        ),
        ("never", "there is no event loop"),
        ("timer", "a call of a plugin has no timers"),
        ("deep", "RecursionError"),
        ("shape", "the result does not fit Fits"),
    ];
    for (how, wanted) in cases {
        let step = format!("  only: {{ uses: it/fail, with: {{ how: {how} }} }}\n");
        let ran = run(&home, &tool(TOOL), &step);
        assert_ne!(ran.code, 0, "{how}: {}", ran.all());
        assert!(message(&ran).contains(wanted), "{how}: {}", message(&ran));
    }
}

#[test]
fn the_other_kinds_in_python_have_their_roles_and_ask_for_what_they_use() {
    let kinds = [
        ("compat_py_agent", "agent", vec!["model", "state"]),
        ("compat_py_guardrail", "guardrail", vec![]),
        ("compat_py_mcp_adapter", "mcp_adapter", vec![]),
    ];
    for (name, role, rights) in kinds {
        let Some(home) = home(&[name]) else { return };
        let ran = home.flowhost(&["inspect", &format!("{name}.wasm"), "--json"]);
        let seen = ran.expect(0).json();
        assert_eq!(seen["role"], role, "{seen:#}");
        let imports = seen["imports"].as_array().unwrap().iter();
        let needed: Vec<&str> = imports
            .filter(|it| it["needed"] == true)
            .filter_map(|it| it["right"].as_str())
            .collect();
        assert_eq!(needed, rights, "{seen:#}");
    }
}
