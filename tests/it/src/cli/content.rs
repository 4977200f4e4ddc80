//! What a tool answers, on its way to whoever reads it next: checked, guarded and recorded as a whole,
//! and handed on as what was checked.

use serde_json::{Value, json};

use crate::cli::{guardrail, home, plan, tool};
use crate::support::Home;

/// A folder in which `ok_tools` may call every tool, and what a step gives it is called.
fn calling(guests: &[&str], defaults: &str, cases: &Value) -> Home {
    let home = Home::new();
    let granted: Vec<String> = guests.iter().map(|guest| format!("{guest}/*")).collect();
    let granted = json!(granted);
    let caller = format!("version = 1\nname = \"caller\"\n[tools]\ncall = {granted}\n");
    home.file("policies/caller.toml", caller);
    let mut plugins = tool("ok_tools", "caller");
    home.guest("ok_tools");
    for guest in guests {
        home.guest(guest);
        plugins.push_str(&tool(guest, "deny-all"));
    }
    plugins.push_str(
        "  words: { kind: guardrail, source: \"builtin:keyword-scan\", profile: deny-all }\n",
    );
    let steps = format!(
        "  only:\n    uses: ok_tools/run\n    with: {{ cases: {cases} }}\n    \
         guardrails: {{ before: [], after: [] }}\n\
         outputs: {{ only: \"${{{{ steps.only.output }}}}\" }}\n{defaults}"
    );
    home.file("plan.yaml", plan(&plugins, &steps));
    home
}

const NO_BANANA: &str = "defaults: { redact: [], guardrails: { after: [{ uses: words, \
    with: { banned: [banana] }, on_fail: halt }] } }\n";

fn outcomes(home: &Home) -> Vec<Value> {
    let ran = home.flowhost(&["run", "plan.yaml", "--json"]).expect(0);
    let outcomes = ran.json()["outputs"]["only"].clone();
    outcomes
        .as_array()
        .unwrap_or_else(|| panic!("{outcomes}"))
        .clone()
}

/// The payload of the last record of a kind.
fn payload(home: &Home, kind: &str, actor: &str) -> Value {
    let records = home.records();
    let wanted = |record: &&Value| record["kind"] == kind && record["actor"] == actor;
    let seq = records.iter().rfind(wanted).unwrap()["seq"].clone();
    let runs = home.path().join(".flowhost/default/runs");
    let run = std::fs::read_dir(runs).unwrap().next().unwrap().unwrap();
    let text = std::fs::read_to_string(run.path().join("payloads-00000000.jsonl")).unwrap();
    let lines = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let line = lines.into_iter().find(|line| line["seq"] == seq).unwrap();
    serde_json::from_str(line["payload"].as_str().unwrap()).unwrap()
}

#[test]
fn mcp_010_no_channel_of_a_tool_passes_the_guardrails_unseen() {
    let name = "ok_content/run";
    let cases = json!([
        { "op": "call", "name": name, "input": { "value": "banana" } },
        { "op": "call", "name": name, "input": { "texts": ["first", "a banana"] } },
        { "op": "call", "name": name, "input": { "error": "no banana here" } },
        { "op": "call", "name": name, "input": { "error": "no apple here" } },
        { "op": "call", "name": name, "input": { "value": 1, "texts": ["apple"], "image": 3 } },
    ]);
    let outcomes = outcomes(&calling(&["ok_content"], NO_BANANA, &cases));
    for (case, outcome) in cases.as_array().unwrap().iter().zip(&outcomes).take(3) {
        let error = outcome["error"]["message"].as_str();
        let error = error.unwrap_or_else(|| panic!("{case} passed: {outcome}"));
        assert!(error.contains("was denied `guardrail`"), "{case}: {error}");
        assert!(!outcome.to_string().contains("banana"), "{outcome}");
    }
    assert_eq!(outcomes[3]["error"]["message"], "no apple here");
    assert_eq!(outcomes[4]["ok"], json!({ "value": 1, "texts": ["apple"] }));
}

#[test]
fn a_guardrail_that_refuses_a_call_is_told_as_the_one_who_refused_with_what_it_found() {
    let cases = json!([{ "op": "call", "name": "ok_content/run", "input": { "value": "banana" } }]);
    let home = calling(&["ok_content"], NO_BANANA, &cases);
    let ran = home.flowhost(&["run", "plan.yaml"]).expect(0).all();
    let refused = "denied: default/words, a guardrail, refused ok_content/run (rule defaults.guardrails[words]): `";
    assert!(ran.contains(refused), "{ran}");
    let shown = home.flowhost(&["runs", "show", "latest", "--denials"]);
    let shown = shown.expect(0).stdout;
    let line = "guardrail `words`: deny on the output of `ok_content/run`, called by step `only`, ";
    assert!(shown.contains(line), "{shown}");
    assert!(shown.contains(": `banned-word`: "), "{shown}");
    assert!(!shown.contains("is missing"), "{shown}");
}

#[test]
fn a_step_that_a_guardrail_stopped_is_among_the_denials_of_its_run() {
    let home = Home::new();
    let plugins = "  md: { kind: tool, source: \"builtin:markdown\", profile: deny-all }\n  \
                   redact: { kind: guardrail, source: \"builtin:redact\", profile: deny-all }";
    let steps = "  one:\n    uses: md/headings\n    with: { text: \"# ann@example.org\" }\n    \
                 guardrails: { before: [{ uses: redact, with: { mode: deny }, on_fail: halt }] }";
    home.file("plan.yaml", plan(plugins, steps));
    let ran = home.flowhost(&["run", "plan.yaml"]);
    assert!(
        ran.stderr.contains("was stopped by a guardrail"),
        "{}",
        ran.all()
    );
    let shown = home.flowhost(&["runs", "show", "latest", "--denials"]);
    let shown = shown.expect(0).stdout;
    let line =
        "guardrail `redact`: deny on the input of step `one`, 1 finding: `email`: held a value";
    assert!(shown.contains(line), "{shown}");
}

#[test]
fn what_a_guardrail_leaves_of_the_parts_is_what_the_caller_gets() {
    let cases = json!([
        { "op": "call", "name": "ok_content/run", "input": { "texts": ["write to ann@example.org"] } },
        { "op": "call", "name": "ok_content/run", "input": { "error": "ann@example.org is unknown" } },
    ]);
    let redact = "defaults: { redact: [], guardrails: { after: [{ uses: clean }] } }\n";
    let home = calling(&["ok_content"], redact, &cases);
    let clean =
        "plugins:\n  clean: { kind: guardrail, source: \"builtin:redact\", profile: deny-all }\n";
    home.file(
        "plan.yaml",
        home.read("plan.yaml").replace("plugins:\n", clean),
    );
    let shown = json!(outcomes(&home)).to_string();
    assert!(!shown.contains("ann@"), "{shown}");
    assert_eq!(shown.matches("[redacted:email]").count(), 2, "{shown}");
}

#[test]
fn a_key_that_stands_twice_is_refused_before_anybody_reads_it() {
    let raw = |raw: &str| json!({ "op": "call", "name": "ok_echo/run", "raw": raw });
    let cases = json!([
        raw(r#"{"cmd":"drop","cmd":"list"}"#),
        raw(r#"{ "n": 1e2, "\u0063md": "list" }"#),
        { "op": "call", "name": "fault_not_json/run", "input": { "text": r#"{"a":1,"a":2}"# } },
    ]);
    let outcomes = outcomes(&calling(&["ok_echo", "fault_not_json"], "", &cases));
    assert_eq!(outcomes[0]["error"]["case"], "invalid", "{outcomes:#?}");
    assert_eq!(
        outcomes[1]["ok"]["value"],
        json!({ "cmd": "list", "n": 100.0 })
    );
    let error = outcomes[2]["error"]["message"].as_str().unwrap();
    assert!(error.contains("`a` stands twice"), "{error}");
}

#[test]
fn mcp_010_a_tool_keeps_its_output_schema_or_has_failed() {
    let cases = json!([
        { "op": "call", "name": "fault_output_schema/run", "input": "a text" },
        { "op": "call", "name": "fault_output_schema/run", "input": { "n": 1 } },
    ]);
    let outcomes = outcomes(&calling(&["fault_output_schema"], "", &cases));
    let error = outcomes[0]["error"]["message"].as_str().unwrap();
    assert!(error.contains("does not keep its output schema"), "{error}");
    assert_eq!(outcomes[1]["ok"]["value"], json!({ "n": 1 }));

    let steps = "  only: { uses: fault_output_schema/run, with: { n: 1 } }\n  \
                 broken: { needs: [only], uses: fault_output_schema/run, with: [1] }";
    let home = home(&["fault_output_schema"], steps);
    let report = home
        .flowhost(&["run", "plan.yaml", "--json"])
        .expect(8)
        .json();
    assert_eq!(report["steps"]["only"]["status"], "ok", "{report:#}");
    let said = report["error"].to_string();
    assert!(said.contains("does not keep its output schema"), "{said}");
}

#[test]
fn mcp_001_mcp_003_a_component_without_a_manifest_is_held_to_the_rules_of_one() {
    let home = home(
        &["fault_descriptor"],
        "  only: { uses: fault_descriptor/hidden, with: {} }",
    );
    let ran = home.flowhost(&["run", "plan.yaml"]);
    assert_eq!(ran.code, 1, "{}", ran.all());
    assert!(ran.stderr.contains("U+202E"), "{}", ran.all());
}

#[test]
fn the_record_of_a_result_holds_the_whole_content() {
    let cases = json!([{ "op": "call", "name": "ok_content/run",
        "input": { "value": { "n": 1 }, "texts": ["words"], "image": 3 } }]);
    let home = calling(&["ok_content"], "", &cases);
    outcomes(&home);
    assert_eq!(
        payload(&home, "tool.result", "default/ok_content"),
        json!({ "value": { "n": 1 }, "parts": [
            { "type": "text", "text": "words" },
            { "type": "image", "mime_type": "image/png", "data": "AAAA" },
        ] })
    );
}

#[test]
fn a_step_hands_on_the_parts_of_a_tool_that_has_no_value() {
    let steps = "  only: { uses: ok_content/run, with: { texts: [words] } }\n  \
                 both: { uses: ok_content/run, with: { value: 1, texts: [words] } }\n\
                 outputs: { only: \"${{ steps.only.output }}\", both: \"${{ steps.both.output }}\" }";
    let home = home(&["ok_content"], steps);
    let report = home
        .flowhost(&["run", "plan.yaml", "--json"])
        .expect(0)
        .json();
    let parts = json!([{ "type": "text", "text": "words" }]);
    assert_eq!(
        report["outputs"]["only"],
        json!({ "value": null, "parts": parts })
    );
    assert_eq!(report["outputs"]["both"], 1);
    let recorded = payload(&home, "tool.result", "default/ok_content");
    assert_eq!(recorded["parts"], parts);
}

#[test]
fn a_conflict_is_tried_once_and_ends_as_a_failure_of_the_plugin() {
    let steps = "  only: { uses: fault_error/run, with: { case: conflict, message: there }, \
                 retry: { max_attempts: 3 } }";
    let home = home(&["fault_error"], steps);
    let report = home
        .flowhost(&["run", "plan.yaml", "--json"])
        .expect(8)
        .json();
    assert!(
        report["error"].to_string().contains("conflict"),
        "{report:#}"
    );
    let calls = home
        .records()
        .iter()
        .filter(|it| it["kind"] == "tool.call")
        .count();
    assert_eq!(calls, 1);
}

#[test]
fn every_call_has_its_number_and_its_key() {
    let call = json!({ "op": "call", "name": "ok_context/run", "input": {} });
    let other = json!({ "op": "call", "name": "ok_context/run", "input": { "other": 1 } });
    let outcomes = outcomes(&calling(&["ok_context"], "", &json!([call, call, other])));
    let of = |key: &str| {
        let values = outcomes.iter().map(|it| it["ok"]["value"][key].to_string());
        let all: std::collections::BTreeSet<String> = values.collect();
        all.len()
    };
    assert_eq!(
        (of("call"), of("key"), of("step")),
        (3, 3, 1),
        "{outcomes:#?}"
    );
}

#[test]
fn dos_024_progress_without_end_leaves_few_records() {
    let home = Home::new();
    let ran = home.run_tool("limit_progress", "log = true\n", "{ reports: 5000 }");
    let ran = ran.expect(0).json();
    assert_eq!(ran["outputs"]["only"]["reported"], 5_000);
    let records = home.records();
    let of = |it: &&Value| it["interface"] == "flowhost:progress/progress@0.1.0";
    let told: Vec<&Value> = records.iter().filter(of).collect();
    assert!((10..=12).contains(&told.len()), "{told:#?}");
    assert_eq!(told.last().unwrap()["done"], "5000");
}

#[test]
fn a_manifest_beside_a_component_is_read_and_its_absence_is_said() {
    let home = home(&["ok_echo"], "  only: { uses: ok_echo/run, with: {} }");
    let said = home.flowhost(&["validate", "plan.yaml"]).expect(0);
    assert!(
        said.stdout.contains("no manifest was found"),
        "{}",
        said.all()
    );
    let said = home.flowhost(&["inspect", "ok_echo.wasm"]).expect(0);
    assert!(
        said.stdout.contains("no manifest was found"),
        "{}",
        said.all()
    );
    let manifest = "version = 1\nname = \"echo\"\nkind = \"tool\"\nrelease = \"0.1.0\"\n\
        description = \"Echoes.\"\n[[tools]]\nname = \"run\"\ndescription = \"Echoes.\"\n\
        effects = \"none\"\ninput = { type = \"object\", required = [\"n\"] }\n";
    home.file("plugin.toml", manifest);
    let refused = home.flowhost(&["validate", "plan.yaml"]).expect(1);
    assert!(refused.stderr.contains('n'), "{}", refused.all());
    let said = home.flowhost(&["inspect", "ok_echo.wasm"]).expect(0);
    assert!(
        said.stdout.contains("echo 0.1.0: Echoes."),
        "{}",
        said.all()
    );
}

#[test]
fn a_manifest_beside_that_differs_from_the_one_inside_is_refused() {
    let step =
        "  only: { uses: ok_echo/run, with: {}, guardrails: { after: [{ uses: schema-check }] } }";
    let home = home(&["ok_echo"], step);
    let component = std::fs::read(crate::support::built("plugins/schema-check.wasm")).unwrap();
    home.file("schema-check.wasm", component);
    home.file("schema-check.toml", "version = 1\n");
    let plugins = tool("ok_echo", "deny-all") + &guardrail("schema-check");
    home.file("plan.yaml", plan(&plugins, step));
    let ran = home.flowhost(&["validate", "plan.yaml"]).expect(1);
    assert!(ran.stderr.contains("carries inside"), "{}", ran.all());
}
