//! `flowhost runs show`: a run that has ended, as a person looks at it, whole and in parts; and the lines that it
//! left on the terminal.

use super::home;
use crate::support::Home;

#[test]
fn a_run_is_shown_step_by_step_in_the_order_of_the_plan() {
    let retry = "retry: { max_attempts: 2, backoff: { initial: 1ms, factor: 1.0, max: 1ms, jitter: 0.0 }, retry_on: [transient] }";
    let steps = format!(
        "  second: {{ uses: ok_add/run, with: {{ a: 1, b: 2 }} }}\n  first:\n    needs: [second]\n    uses: fault_flaky/run\n    with: {{ good_from: 2 }}\n    {retry}\n  \
         never: {{ needs: [first], when: \"1 > 2\", uses: ok_add/run, with: {{ a: 1, b: 2 }} }}"
    );
    let home = home(&["ok_add", "fault_flaky"], &steps);
    let ran = home.flowhost(&["run", "plan.yaml"]).expect(0);
    let place = |step: &str| ran.stdout.find(&format!("  {step} (")).unwrap();
    assert!(
        place("second") < place("first") && place("first") < place("never"),
        "{}",
        ran.stdout
    );
    let shown = home.flowhost(&["runs", "show", "latest"]).expect(0).stdout;
    let lines: Vec<&str> = shown.lines().map(str::trim).collect();
    assert!(
        lines[0].starts_with("run ") && lines[0].contains("of `under-test`"),
        "{shown}"
    );
    assert!(lines[0].contains(": ok (exit 0) after "), "{shown}");
    let words = |at: usize| lines[at + 2].split_whitespace().collect::<Vec<_>>();
    assert_eq!(
        words(0),
        ["step", "outcome", "attempts", "ms", "fuel", "tokens", "usd"]
    );
    assert_eq!(words(1)[..3], ["second", "ok", "1"]);
    assert_eq!(words(2)[..3], ["first", "ok", "2"]);
    assert_eq!(words(3)[..3], ["never", "skipped", "0"]);
    assert!(words(1)[4].parse::<u64>().unwrap() > 0, "{shown}");
    let document = home.flowhost(&["runs", "show", "latest", "--json"]).json();
    assert_eq!(document["steps"][1]["attempts"], 2, "{document:#}");
}

#[test]
fn labels_and_what_each_plugin_was_are_told_as_text_and_in_the_report() {
    let home = home(
        &["ok_add"],
        "  only: { uses: ok_add/run, with: { a: 1, b: 2 } }",
    );
    let text = home.read("plan.yaml");
    let labelled = text.replacen("plugins:", "labels: { team: docs }\nplugins:", 1);
    home.file("plan.yaml", labelled);
    let report = home.flowhost(&["run", "plan.yaml", "--json"]).expect(0);
    let report = report.json();
    assert_eq!(report["labels"]["team"], "docs", "{report:#}");
    let shown = home.flowhost(&["runs", "show", "latest"]).expect(0).stdout;
    for told in [
        "  labels: team=docs\n",
        "plugin=ok_add  file=./ok_add.wasm  revision=1  component=sha256:",
        "plugin=ok_add  name=deny-all  file=",
        "  profile=sha256:",
    ] {
        assert!(shown.contains(told), "{told}: {shown}");
    }
    let document = home.flowhost(&["runs", "show", "latest", "--json"]).json();
    assert_eq!(document["run"]["labels"]["team"], "docs", "{document:#}");
    let run = document["run_id"].as_str().unwrap();
    let page = home.read(&format!(".flowhost/default/runs/{run}/report.html"));
    assert!(page.contains("<code>team=docs</code>") && page.contains("revision 1"));
}

#[test]
fn steps_that_did_not_run_stand_where_the_plan_has_them() {
    let steps = "  zed: { uses: ok_add/run, with: { a: 1, b: 2 } }\n  \
                 never: { when: \"1 > 2\", uses: ok_add/run, with: { a: 1, b: 2 } }\n  \
                 bad: { needs: [zed], uses: fault_error/run, with: { case: failed, message: broken } }\n  \
                 mid: { needs: [bad], uses: ok_add/run, with: { a: 1, b: 2 } }\n  \
                 alpha: { needs: [mid], uses: ok_add/run, with: { a: 1, b: 2 } }";
    let home = home(&["ok_add", "fault_error"], steps);
    let ran = home.flowhost(&["run", "plan.yaml"]);
    assert_ne!(ran.code, 0, "{}", ran.all());
    let shown = home.flowhost(&["runs", "show", "latest", "--json"]);
    let shown = shown.expect(0).json();
    let steps = shown["steps"].as_array().unwrap().iter();
    let order: Vec<&str> = steps.map(|step| step["path"].as_str().unwrap()).collect();
    assert_eq!(order, ["zed", "never", "bad", "mid", "alpha"], "{shown:#}");
}

#[test]
fn log_lines_for_people_name_the_step_and_no_id() {
    let home = home(
        &["ok_add"],
        "  only: { uses: ok_add/run, with: { a: 1, b: 2 } }",
    );
    let ran = home.flowhost(&["run", "plan.yaml", "-v"]).expect(0);
    let call = " INFO tool.call step=only tool=ok_add/run record=";
    assert!(ran.stderr.contains(call), "{}", ran.all());
    for id in ["trace_id", "span_id", "step_id", "run_id", "plan_id"] {
        assert!(!ran.stderr.contains(id), "{id}: {}", ran.all());
    }
    let ran = home.flowhost(&["run", "plan.yaml", "-v", "--log-format", "json"]);
    for id in ["trace_id", "span_id", "step_id", "run_id", "plan_id"] {
        assert!(ran.stderr.contains(id), "{id}: {}", ran.all());
    }
}

#[test]
fn a_failed_run_says_why_and_its_parts_can_be_looked_at_alone() {
    let steps = "  good: { uses: ok_echo/run, with: { word: banana } }\n  bad: { needs: [good], uses: fault_error/run, \
                 with: { case: failed, message: \"the pump is off\" } }";
    let home = home(&["ok_echo", "fault_error"], steps);
    let ran = home.flowhost(&["run", "plan.yaml"]);
    assert_ne!(ran.code, 0, "{}", ran.all());
    let show = |more: &[&str]| {
        let arguments = [&["runs", "show", "latest"], more].concat();
        home.flowhost(&arguments)
    };
    let shown = show(&[]).expect(0);
    let head = shown.stdout.lines().nth(1).unwrap();
    assert!(head.contains("step `bad`: "), "{}", shown.all());
    let good = show(&["--step", "good"]).expect(0);
    assert!(
        good.stdout.contains("input of record") && good.stdout.contains("output of record"),
        "{}",
        good.all()
    );
    assert!(
        good.stdout.contains("banana") && !good.stdout.contains("fault_error"),
        "{}",
        good.all()
    );
    let calls = show(&["--kind", "tool.call", "--json"]).expect(0).json();
    let calls = calls["records"].as_array().unwrap();
    assert_eq!(calls.len(), 2);
    let seq = calls[0]["seq"].to_string();
    let payload = show(&["--payload", &seq, "--json"]).expect(0).json();
    assert_eq!(payload["payload"]["word"], "banana", "{payload}");
    let text = show(&["--payload", &seq]).expect(0);
    assert!(
        text.stdout.contains("\"word\": \"banana\""),
        "{}",
        text.all()
    );
    assert!(
        show(&["--denials"])
            .expect(0)
            .stdout
            .contains("no such record")
    );
    let unknown = show(&["--step", "god"]).expect(1);
    assert!(
        unknown.stderr.contains("its steps: good, bad"),
        "{}",
        unknown.all()
    );
    let unknown = show(&["--kind", "tool.cal"]).expect(64);
    assert!(unknown.stderr.contains("tool.call"), "{}", unknown.all());
    home.flowhost(&[
        "evidence", "erase", &seq, "--run", "latest", "--reason", "asked",
    ])
    .expect(0);
    let erased = show(&["--payload", &seq]).expect(1);
    assert!(
        erased.stderr.contains("it was erased (record "),
        "{}",
        erased.all()
    );
}

#[test]
fn what_a_plugin_logged_can_be_read_after_the_run() {
    let home = Home::new();
    let profile = "log = true\n";
    let ran = home.run_tool("limit_log", profile, "{ total: 30, line: 10 }");
    let logs = home
        .flowhost(&["runs", "show", "latest", "--logs"])
        .expect(0);
    assert!(!logs.stdout.is_empty(), "{}\n{}", ran.all(), logs.all());
    let document = home
        .flowhost(&["runs", "show", "latest", "--logs", "--json"])
        .expect(0)
        .json();
    assert!(
        !document["logs"][0]["lines"].as_array().unwrap().is_empty(),
        "{document}"
    );
}

#[test]
fn a_foreach_took_as_many_attempts_as_the_item_that_took_most() {
    let retry = "retry: { max_attempts: 3, backoff: { initial: 1ms, factor: 1.0, max: 1ms, jitter: 0.0 }, retry_on: [transient] }";
    let steps = format!(
        "  all:\n    foreach: {{ items: [1, 2] }}\n    uses: fault_flaky/run\n    \
         with: {{ good_from: \"${{{{ item }}}}\" }}\n    {retry}"
    );
    let home = home(&["fault_flaky"], &steps);
    let ran = home.flowhost(&["run", "plan.yaml"]).expect(0);
    assert!(ran.stdout.contains(", 2 attempts, "), "{}", ran.all());
    let shown = home.flowhost(&["runs", "show", "latest"]).expect(0).stdout;
    let mut lines = shown
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let all = lines.find(|words| words.first() == Some(&"all"));
    assert_eq!(
        all.unwrap_or_default().get(..3),
        Some(&["all", "ok", "2"][..]),
        "{shown}"
    );
}

#[test]
fn a_foreach_is_one_line_with_its_failures() {
    let steps = "  all:\n    foreach: { items: [1, 2, 3, 99, 100], fail_fast: false }\n    uses: fault_flaky/run\n    \
                 with: { good_from: \"${{ item > 50 ? 9 : 1 }}\" }\n    continue_on_error: true";
    let home = home(&["fault_flaky"], steps);
    let ran = home.flowhost(&["run", "plan.yaml"]);
    assert!(ran.stdout.contains(", 5 items: 2 failed"), "{}", ran.all());
    let items = ran
        .stdout
        .lines()
        .filter(|line| line.trim_start().starts_with("failed  all["));
    assert_eq!(items.count(), 2, "{}", ran.all());
    assert!(ran.stdout.contains("failed  all[3]: "), "{}", ran.all());
}

#[test]
fn a_foreach_is_shown_alone() {
    let steps = "  before: { uses: fault_flaky/run, with: { good_from: 1 } }\n  all:\n    needs: [before]\n    foreach: { items: \
                 [9, 1, 1, 1, 1, 1], max_parallel: 2 }\n    uses: fault_flaky/run\n    with: { good_from: \"${{ item }}\" }\n    \
                 continue_on_error: true";
    let home = home(&["fault_flaky"], steps);
    home.flowhost(&["run", "plan.yaml"]);
    let arguments = ["runs", "show", "latest", "--step", "all", "--json"];
    let shown = home.flowhost(&arguments).expect(0).json();
    let records = shown["records"].as_array().unwrap();
    let of = |kind: &str| records.iter().filter(|it| it["kind"] == kind).count();
    assert!(of("tool.result") > 0 && of("step.end") > 1, "{shown:#}");
    let all = home.records();
    for record in records {
        let seq = record["seq"].to_string();
        let whole = all.iter().find(|it| it["seq"] == seq.as_str()).unwrap();
        let path = whole["path"].as_str().unwrap_or("all");
        assert!(path.starts_with("all"), "{whole:#}");
        let of_a_step = ["step", "call", "path"]
            .iter()
            .any(|field| whole[field].is_string());
        assert!(of_a_step, "{whole:#}");
    }
    let results = all.iter().filter(|it| it["kind"] == "tool.result").count();
    assert_eq!(
        of("tool.result"),
        results - 1,
        "not that of the step before"
    );
}

#[test]
fn a_whole_run_shows_a_foreach_in_one_line_with_its_failures() {
    let steps = "  all:\n    foreach: { items: [1, 99, 99, 99, 99, 99, 99, 99], fail_fast: false }\n    uses: fault_flaky/run\n    \
                 with: { good_from: \"${{ item > 50 ? 9 : 1 }}\" }\n    continue_on_error: true\n  \
                 last: { needs: [all], uses: fault_flaky/run, with: { good_from: 1 } }";
    let home = home(&["fault_flaky"], steps);
    home.flowhost(&["run", "plan.yaml"]);
    let shown = home.flowhost(&["runs", "show", "latest"]).expect(0).stdout;
    let about = |part: &str| shown.lines().filter(|line| line.contains(part)).count();
    assert_eq!(about("8 items: 7 failed"), 1, "{shown}");
    assert_eq!(
        about("` failed (transient): "),
        5 + 1,
        "items and the step: {shown}"
    );
    assert_eq!(
        about("… and 2 more items of `all`: --step all"),
        1,
        "{shown}"
    );
    assert_eq!(
        about(" records of the items of `all`: --step all"),
        1,
        "{shown}"
    );
    assert_eq!(about("path=all["), 0, "{shown}");
    assert!(
        about("path=last") > 0,
        "the records of other steps are there: {shown}"
    );
    let item = ["runs", "show", "latest", "--step", "all[3]"];
    let item = home.flowhost(&item).expect(0).stdout;
    assert!(
        item.contains("path=all[3]") && item.contains("input of record"),
        "{item}"
    );
    let document = home.flowhost(&["runs", "show", "latest", "--json"]);
    let document = document.expect(0).json();
    assert_eq!(
        document["steps"].as_array().unwrap().len(),
        8 + 2,
        "{document:#}"
    );
    let records = document["records"].as_array().unwrap().len();
    assert_eq!(
        records,
        home.records().len(),
        "a program is given all of them"
    );
}

#[test]
fn a_run_that_ended_well_says_why_steps_of_it_failed() {
    let steps = "  bad: { uses: fault_error/run, with: { case: failed, message: \"the pump is off\" }, \
                 continue_on_error: true }\n  good: { needs: [bad], uses: ok_echo/run, with: { word: banana } }";
    let home = home(&["fault_error", "ok_echo"], steps);
    home.flowhost(&["run", "plan.yaml"]).expect(0);
    let shown = home.flowhost(&["runs", "show", "latest"]).expect(0).stdout;
    assert!(
        shown.lines().next().unwrap().contains(": ok (exit 0)"),
        "{shown}"
    );
    let why = shown
        .lines()
        .find(|line| line.starts_with("`bad` failed ("))
        .unwrap();
    assert!(why.contains("the pump is off"), "{shown}");
    let document = home.flowhost(&["runs", "show", "latest", "--json"]).json();
    let why = document["steps"][0]["failure"].as_str().unwrap();
    assert!(why.contains("the pump is off"), "{document:#}");
    assert!(document["steps"][0]["class"].is_string(), "{document:#}");
    assert!(document["steps"][1]["failure"].is_null(), "{document:#}");
}

#[test]
fn the_step_that_ended_the_run_is_told_once() {
    let steps =
        "  bad: { uses: fault_error/run, with: { case: failed, message: \"the pump is off\" } }";
    let home = home(&["fault_error"], steps);
    home.flowhost(&["run", "plan.yaml"]);
    let shown = home.flowhost(&["runs", "show", "latest"]).expect(0).stdout;
    assert_eq!(shown.matches("the pump is off").count(), 1, "{shown}");
}

#[test]
fn verdicts_of_guardrails_and_checks_say_whose_they_are_and_about_what() {
    let steps = "  only:\n    uses: ok_echo/run\n    with: { a: 1 }\n    \
                 guardrails: { before: [{ uses: ok_guardrail, with: { action: rewrite } }] }\n    \
                 checks: [{ id: small, that: \"size(output) > 9\", on_fail: warn }]";
    let home = home(&["ok_echo", "ok_guardrail"], steps);
    home.flowhost(&["run", "plan.yaml"]);
    let shown = home.flowhost(&["runs", "show", "latest"]).expect(0).stdout;
    for line in [
        "guardrail `ok_guardrail`: rewrite on the input of step `only`",
        "check `small` of step `only` does not hold",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    let verdicts = shown.lines().filter(|line| line.contains("guard.verdict"));
    for line in verdicts {
        assert!(!line.trim_end().ends_with("guard.verdict"), "{shown}");
    }
}
