//! The conformance kit through the program: what we ship passes, and components that must fail do, each for
//! its reason.

use serde_json::{Value, json};

use crate::support::{Home, built};

/// The report on a component of the folder, and the exit code.
fn report(home: &Home, component: &str, more: &[&str]) -> (i32, Value) {
    let mut arguments = vec!["plugin", "test", component, "--json"];
    arguments.extend(more);
    let ran = home.flowhost(&arguments);
    (ran.code, ran.json())
}

/// The ids of the checks that failed.
fn failed(report: &Value) -> Vec<&str> {
    let checks = report["checks"].as_array().unwrap();
    let failed = checks.iter().filter(|check| check["verdict"] == "fail");
    failed.map(|check| check["id"].as_str().unwrap()).collect()
}

#[track_caller]
fn passes(plugin: &str, more: &[&str]) {
    let home = Home::new();
    let (code, report) = report(&home, &format!("builtin:{plugin}"), more);
    assert_eq!((code, failed(&report)), (0, Vec::new()), "{report:#}");
}

#[test]
fn shipped_tools_conform() {
    passes(
        "http-fetch",
        &["--call", r#"fetch={"url":"http://server.example/"}"#],
    );
    passes("http-send", &[]);
    passes("files", &["--call", r#"read={"path":"/docs/example.md"}"#]);
    passes("reminder-sync-stub", &[]);
}

#[test]
fn the_shipped_tool_for_markdown_conforms() {
    passes(
        "markdown",
        &["--call", r##"headings={"text":"# A\n\n## B\n"}"##],
    );
}

#[test]
fn shipped_guardrails_conform() {
    passes("keyword-scan", &["--config", r#"{"banned":["never"]}"#]);
    passes("redact", &[]);
    passes(
        "schema-check",
        &["--config", r#"{"schema":{"type":"object"}}"#],
    );
}

#[test]
fn the_shipped_agent_conforms() {
    passes(
        "llm-agent",
        &["--config", r#"{"role":"a tester","model":"mock/any"}"#],
    );
}

#[test]
fn the_shipped_adapter_conforms_where_its_server_is_not_there() {
    passes(
        "mcp-client",
        &["--config", r#"{"url":"https://mcp.example.com/mcp"}"#],
    );
}

/// A guest of ours, what is tried beside the rest, and the check at which it must fail.
const MUST_FAIL: [(&str, &[&str], &str); 14] = [
    ("fault_panic", &[], "contract.answers"),
    ("fault_out_of_bounds", &[], "contract.answers"),
    ("fault_output_schema", &[], "contract.answers"),
    (
        "fault_not_json",
        &["--call", r#"run={"text":"{ not json"}"#],
        "contract.answers",
    ),
    ("fault_descriptor", &[], "contract.descriptors"),
    ("fault_start", &[], "contract.descriptors"),
    ("deny_unknown_interface", &[], "contract.imports"),
    (
        "limit_output",
        &["--call", r#"run={"bytes":2000000}"#],
        "contract.answers",
    ),
    (
        "fault_guardrail",
        &["--config", r#"{"how":"panic"}"#],
        "contract.answers",
    ),
    (
        "fault_agent",
        &["--call", r#"input={"garbage":true}"#],
        "contract.answers",
    ),
    ("fault_trusts_server", &[], "faults.failing-world"),
    ("fault_trusts_server", &[], "faults.lying-world"),
    ("fault_not_utf8", &[], "faults.not-utf8"),
    ("fault_reload", &[], "faults.reloaded"),
];

#[test]
fn components_that_must_fail_do_each_for_its_reason() {
    for (guest, more, reason) in MUST_FAIL {
        let home = Home::new();
        home.guest(guest);
        let (code, report) = report(&home, &format!("{guest}.wasm"), more);
        assert_eq!(
            (code, report["passed"].clone()),
            (8, json!(false)),
            "{guest}: {report:#}"
        );
        assert!(failed(&report).contains(&reason), "{guest}: {report:#}");
    }
}

#[test]
fn what_is_wrong_in_one_world_alone_fails_there_and_nowhere_else() {
    for (guest, reasons) in [
        (
            "fault_trusts_server",
            &[
                "faults.failing-world",
                "faults.lying-world",
                "faults.not-utf8",
            ][..],
        ),
        ("fault_not_utf8", &["faults.not-utf8"]),
        ("fault_reload", &["faults.reloaded"]),
    ] {
        let home = Home::new();
        home.guest(guest);
        let (_, report) = report(&home, &format!("{guest}.wasm"), &[]);
        // These guests take any tool's name for theirs, which `contract.unknown-tool` says of each.
        let mut found = failed(&report);
        found.retain(|id| id.starts_with("faults."));
        assert_eq!(found, reasons, "{guest}: {report:#}");
    }
}

#[test]
fn a_server_of_the_trial_answers_what_the_author_calls() {
    let home = Home::new();
    let call = r#"fetch={"url":"http://server.example/","method":"GET"}"#;
    let (code, report) = report(&home, "builtin:http-fetch", &["--call", call]);
    assert_eq!(code, 0, "{report:#}");
    let checks = report["checks"].as_array().unwrap();
    let warned = checks.iter().filter(|it| it["verdict"] == "warn");
    assert_eq!(warned.count(), 0, "{report:#}");
    assert_eq!(report["peak"]["host_calls"], 1, "{report:#}");
}

#[test]
fn a_call_that_never_ends_fails_as_the_limit_that_it_reached() {
    let home = Home::new();
    home.guest("limit_loop");
    let (_, report) = report(&home, "limit_loop.wasm", &[]);
    let checks = report["checks"].as_array().unwrap();
    let answers = checks
        .iter()
        .find(|check| check["id"] == "contract.answers")
        .unwrap();
    assert!(
        answers["detail"].as_str().unwrap().contains("fuel"),
        "{answers}"
    );
}

#[test]
fn a_report_is_written_in_the_form_that_was_asked_for() {
    let home = Home::new();
    home.guest("fault_panic");
    for (form, begins) in [
        ("junit", "<?xml"),
        ("html", "<!doctype html>"),
        ("json", "{"),
    ] {
        let out = format!("report.{form}");
        let arguments = [
            "plugin",
            "test",
            "fault_panic.wasm",
            "--report",
            form,
            "--out",
            &out,
        ];
        let ran = home.flowhost(&arguments).expect(8);
        assert!(ran.stdout.contains("failed"), "{}", ran.stdout);
        let text = home.read(&out);
        assert!(
            text.starts_with(begins) && text.contains("contract.answers"),
            "{text}"
        );
    }
}

#[test]
fn what_a_host_would_not_load_is_told_before_anything_is_tried() {
    let home = Home::new();
    home.file("text.wasm", "no component");
    let ran = home.flowhost(&["plugin", "test", "text.wasm"]).expect(1);
    assert!(
        ran.stderr.contains("`text.wasm` is refused"),
        "{}",
        ran.stderr
    );
    std::fs::copy(built("plugins/redact.wasm"), home.path().join("r.wasm")).unwrap();
    home.flowhost(&["plugin", "test", "r.wasm", "--config", "[1]"])
        .expect(64);
}
