//! `examples/docs-audit` through the built executable: offline with its scripts, against a server on
//! loopback that speaks the chat completions of OpenAI, and with models that misbehave.

mod server;

use serde_json::{Value, json};

use self::server::Server;
use super::examples::example;
use crate::support::{Home, Ran};

const SCRIPT: &str = "scripts/audit/auditor.json";
const KEY: &str = "sk-loopback-0123456789abcdefABCDEF";

fn run(home: &Home, more: &[&str]) -> Ran {
    let arguments = [&["run", "plan.yaml", "--json"], more].concat();
    home.flowhost(&arguments)
}

/// The example with one document and a model that says these entries.
fn scripted(entries: &Value) -> Home {
    let home = example("docs-audit");
    home.file("one/a.md", "# A\n\nIt will change soon.\n");
    home.file(SCRIPT, entries.to_string());
    home
}

fn audit_one(entries: &Value) -> (Home, Ran) {
    let home = scripted(entries);
    let ran = run(&home, &["--input", "folder=one"]);
    (home, ran)
}

fn of_kind<'a>(records: &'a [Value], kind: &str) -> Vec<&'a Value> {
    records
        .iter()
        .filter(|record| record["kind"] == kind)
        .collect()
}

fn finding(line: u64, quote: &str) -> Value {
    let finding =
        json!({ "rule": "undated-claim", "line": line, "quote": quote, "message": "Date it." });
    json!([{ "json": { "path": "/docs/a.md", "findings": [finding] } }])
}

#[test]
fn a_quote_that_is_not_in_the_file_ends_the_run() {
    for answer in [
        finding(3, "It will change tomorrow."),
        finding(1, "It will change soon."),
        finding(99, "It will change soon."),
    ] {
        let (home, ran) = audit_one(&answer);
        let ran = ran.expect(4);
        let message = ran.json()["error"].to_string();
        assert!(
            message.contains("quote-is-in-the-file") || ran.all().contains("quote-is-in-the-file"),
            "{}",
            ran.all()
        );
        assert!(
            !home.path().join("out/report.md").exists(),
            "nothing is reported"
        );
    }
    audit_one(&finding(3, "It will change soon.")).1.expect(0);
}

#[test]
fn models_that_come_to_no_end_fail_within_their_bounds() {
    let tools: Vec<Value> = (0..30)
        .map(|turn| json!({ "tool_calls": [{ "name": "markdown/headings", "arguments": { "text": format!("# {turn}") } }] }))
        .collect();
    let same = json!([{ "tool_calls": [{ "name": "files/read", "arguments": { "path": "/docs/a.md" } }] }]);
    for (entries, calls, says) in [
        (Value::from(tools), 8, "instead of answering, after 8 turns"),
        (same, 4, "with the same arguments again and again"),
        (
            json!(["I cannot say."]),
            3,
            "cannot be used after 2 repairs",
        ),
    ] {
        let (home, ran) = audit_one(&entries);
        let ran = ran.expect(8);
        assert!(ran.all().contains(says), "{}", ran.all());
        let records = home.records();
        assert_eq!(of_kind(&records, "model.result").len(), calls, "{says}");
        let spent = ran.json()["cost"]["tokens"].as_u64().unwrap();
        assert!(spent > 0, "what was spent is accounted: {}", ran.all());
        home.flowhost(&["verify", "latest"]).expect(0);
    }
}

#[test]
fn what_a_model_asks_wrongly_is_told_to_it_and_the_audit_goes_on() {
    let entries = json!([
        { "tool_calls": [
            { "name": "writer/write", "arguments": { "path": "/out/report.md", "text": "sound" } },
            { "name": "files/raed", "arguments": {} },
            { "name": "files/read", "arguments": "{\"path\": " },
            { "name": "files/read", "arguments": { "path": "/docs/a.md", "encodings": "utf-8" } },
            { "name": "files/read", "arguments": { "path": "/docs/../plan.yaml" } },
        ] },
        { "json": { "path": "/docs/a.md", "findings": [] } },
    ]);
    let (home, ran) = audit_one(&entries);
    ran.expect(0);
    let records = home.records();
    let calls = of_kind(&records, "tool.call");
    let by_agent: Vec<&&Value> = calls
        .iter()
        .filter(|call| call["caller"] == "auditor")
        .collect();
    assert_eq!(
        by_agent.len(),
        1,
        "only what fits its schema reaches a tool's guest: {by_agent:#?}"
    );
    assert!(
        calls
            .iter()
            .all(|call| call["tool"] != "write" || call["caller"].is_null())
    );
    assert!(
        home.read("out/report.md")
            .contains("0 findings in 1 documents")
    );
}

#[test]
fn the_sample_gives_the_planted_problems_and_nothing_else_offline() {
    let home = example("docs-audit");
    let report = run(&home, &[]).expect(0).json();
    assert_eq!(
        (
            &report["outputs"]["documents"],
            &report["outputs"]["by_rule"]
        ),
        (
            &json!(4),
            &json!({ "missing-unit": 3, "personal-data": 1, "undated-claim": 2, "unexplained-danger": 1 })
        ),
        "{report:#}"
    );
    let written = home.read("out/report.md");
    for planted in [
        "line 9, unexplained-danger",
        "`A recent measurement`",
        "`Write to [redacted:email]`",
    ] {
        assert!(written.contains(planted), "{planted}: {written}");
    }
    assert!(!written.contains("mila.novak"), "{written}");
    let records = home.records();
    assert_eq!(of_kind(&records, "model.result").len(), 9);
    home.flowhost(&["verify", "latest"]).expect(0);
}

#[test]
fn one_input_takes_the_same_plan_to_an_openai_compatible_server() {
    let server = Server::start(KEY);
    let home = example("docs-audit");
    let toml = home.read("operator.toml");
    let toml = toml.replace(
        "https://api.openai.com/v1",
        &format!("http://{}/v1", server.address()),
    );
    home.file("operator.toml", toml);
    home.file(
        "own/a.md",
        "# A\n\nAsk jane.roe@example.com.\n\nIt currently needs root.\n",
    );
    home.file("own/b.md", "# B\n\nNothing is wrong here.\n");
    let arguments = [
        "run",
        "plan.yaml",
        "--json",
        "--input",
        "folder=own",
        "--input",
        "model=openai/test-1",
    ];
    let mut command = home.command(&arguments);
    command.env("FLOWHOST_CONFIG", "operator.toml");
    let output = command.env("OPENAI_API_KEY", KEY).output().unwrap();
    let report = home.ran(&output, &arguments).expect(0).json();
    assert_eq!(
        report["outputs"]["by_rule"],
        json!({ "undated-claim": 1 }),
        "{report:#}"
    );
    let written = home.read("out/report.md");
    assert!(
        written.contains("- line 5, undated-claim")
            && written.contains("`It currently needs root.`"),
        "{written}"
    );
    // Two documents, two calls each: 1,000 tokens in at $5 and 100 out at $15 for a million.
    let micro_usd = 4 * (1_000 * 5 + 100 * 15);
    let total = report["cost"]["total_usd"].as_f64().unwrap();
    assert!((total * 1e6 - f64::from(micro_usd)).abs() < 0.5, "{total}");
    let asked = server.asked();
    assert_eq!(asked.len(), 4);
    for body in &asked {
        let text = body.to_string();
        assert_eq!(
            (&body["model"], &body["stream"]),
            (&json!("test-1"), &json!(true))
        );
        assert!(!text.contains("jane.roe"), "no address leaves: {text}");
        assert_eq!(body["response_format"]["type"], "json_schema");
    }
    assert!(
        asked
            .iter()
            .any(|body| body.to_string().contains("[redacted:email]"))
    );
    for record in home.records() {
        assert!(!record.to_string().contains(KEY), "{record:#}");
    }
    home.flowhost(&["verify", "latest"]).expect(0);
}
