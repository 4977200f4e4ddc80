//! How runs end: the exit code, the report and the record say the same.

use serde_json::Value;

use super::{home, plan, seen};
use crate::support::{Home, Ran};

fn run(home: &Home) -> Ran {
    home.flowhost(&["run", "plan.yaml", "--json"])
}

/// The report of a run that ended with this code and status.
#[track_caller]
fn ends(home: &Home, code: i32, status: &str) -> Value {
    let report = run(home).expect(code).json();
    assert_eq!(report["exit_code"], code, "{report:#}");
    assert_eq!(report["status"], status, "{report:#}");
    let records = home.records();
    assert_eq!(records[0]["kind"], "run.start");
    let end = records
        .iter()
        .rfind(|record| record["kind"] == "run.end")
        .unwrap();
    assert_eq!(end["status"], status);
    home.flowhost(&["verify", "latest"]).expect(0);
    report
}

#[test]
fn a_run_that_works_ends_with_0() {
    let home = home(
        &["ok_add"],
        "  only: { uses: ok_add/run, with: { a: 1, b: 2 } }\noutputs: { sum: \"${{ steps.only.output.sum }}\" }",
    );
    let report = ends(&home, 0, "ok");
    assert_eq!(report["outputs"]["sum"].as_f64(), Some(3.0));
    assert!(report["steps"]["only"]["used"]["fuel"].as_u64().unwrap() > 0);
}

#[test]
fn a_limit_that_a_plugin_passes_on_ends_with_7_and_its_cure() {
    let home = Home::new();
    let plugin = "  files: { kind: tool, source: \"builtin:files\", profile: reader }\n";
    let step = "  only: { uses: files/read, with: { path: /docs/big.txt } }";
    home.file("plan.yaml", plan(plugin, step));
    let files = "[[files]]\nguest = \"/docs\"\nhost = \"docs\"\naccess = \"read\"\n";
    let limits = "[limits]\noutput = \"64KiB\"\n";
    home.file(
        "policies/reader.toml",
        format!("version = 1\nname = \"reader\"\n{limits}{files}"),
    );
    home.file("docs/big.txt", "x".repeat(65 << 10));
    let report = ends(&home, 7, "limit").to_string();
    for words in [
        "`files.read`",
        "used 66560, allowed 65536",
        "raise `output`",
    ] {
        assert!(report.contains(words), "{words}: {report}");
    }
}

#[test]
fn a_denied_run_ends_with_6_a_record_and_lines_to_judge() {
    let home = Home::new();
    let profile = "[[http]]\nurl = \"https://api.example.com/\"\nmethods = [\"GET\"]\n";
    let input = "{ url: \"https://evil.test/\", propagate: true }";
    let report = home.run_tool("ok_http", profile, input).expect(6).json();
    assert_eq!(report["status"], "denied");
    assert_eq!(report["denials"].as_array().unwrap().len(), 1, "{report:#}");
    let records = home.records();
    let denied = records
        .iter()
        .find(|record| record["decision"] == "deny")
        .unwrap();
    assert_eq!(
        (&denied["kind"], &denied["rule"]),
        (&"net.decision".into(), &"http#none".into())
    );
    insta::assert_snapshot!(seen(&home, &["policy", "suggest", "latest"]), @r#"
    $ flowhost policy suggest latest
    ----- stdout
    --- policies/under-test.toml
    +++ policies/under-test.toml
    @@ -3,3 +3,7 @@
     [[http]]
     url = "https://api.example.com/"
     methods = ["GET"]
    +
    +[[http]]
    +url = "https://evil.test/"
    +methods = ["GET"]
    ----- stderr
    1 refusal; judge each line before you add it
    `patch -p0` applies what is printed, here
    ----- exit 0
    "#);
}

#[test]
fn what_is_refused_once_is_told_once_and_what_is_asked_again_is_counted() {
    let home = Home::new();
    let plugin = "  files: { kind: tool, source: \"builtin:files\", profile: reader }\n";
    let step = "  look: { uses: files/read, with: { path: /etc/passwd } }";
    home.file("plan.yaml", plan(plugin, step));
    home.file(
        "policies/reader.toml",
        "version = 1\nname = \"reader\"\n[[files]]\nguest = \"/docs\"\nhost = \"docs\"\naccess = \"read\"\n",
    );
    home.file("docs/a.md", "a");
    let report = ends(&home, 6, "denied");
    assert_eq!(report["denials"].as_array().unwrap().len(), 1, "{report:#}");
    let each = "  look:\n    foreach: { items: [1, 2, 3], fail_fast: false }\n    uses: files/read\n    \
                with: { path: /etc/passwd }\n    continue_on_error: true";
    home.file("plan.yaml", plan(plugin, each));
    let told = home.flowhost(&["run", "plan.yaml"]);
    let denials = told.stdout.lines().filter(|it| it.starts_with("denied:"));
    let denials: Vec<&str> = denials.collect();
    assert_eq!(
        denials,
        ["denied: default/files wanted read /etc/passwd (rule files#none), 3 times"],
        "{}",
        told.all()
    );
}

#[test]
fn dos_001_a_loop_ends_with_7_and_names_the_limit() {
    let home = home(
        &["limit_loop"],
        "  only: { uses: limit_loop/run, with: {} }",
    );
    let report = ends(&home, 7, "limit");
    assert_eq!(report["error"]["owner"], "limit", "{report:#}");
    let text = report["error"].to_string();
    assert!(
        text.contains("fuel") && text.contains("500000000"),
        "{text}"
    );
    insta::assert_snapshot!(seen(&home, &["run", "plan.yaml"]), @r#"
    $ flowhost run plan.yaml
    ----- stdout
       failed  only ([duration], fuel 500000000)
    plan 30bf525a1291: limit in [duration], run [ulid]
    report: [home]/.flowhost/default/runs/[ulid]/report.html
    evidence: [home]/.flowhost/default/runs/[ulid] ([n] records); check it with: flowhost verify [ulid]
    ----- stderr
    error: step `only` reached a limit
      Caused by: the limit `fuel` was reached: used 500000000, allowed 500000000

    hint: raise `fuel` in [limits] of the profile, if you trust the plugin
    ----- exit 7
    "#);
}

#[test]
fn a_guardrail_that_denies_ends_with_4_before_the_step_runs() {
    // Had the step run, the run would have ended with its limit.
    let steps = "  only:\n    uses: limit_loop/run\n    with: {}\n    guardrails: { before: [{ uses: ok_guardrail, with: { action: deny } }] }";
    let home = home(&["limit_loop", "ok_guardrail"], steps);
    let report = ends(&home, 4, "halted");
    assert_eq!(report["error"]["step"], "only", "{report:#}");
}

#[test]
fn a_guardrail_that_breaks_never_lets_a_step_through() {
    for how in ["error", "not-json", "empty", "panic"] {
        let steps = format!(
            "  only:\n    uses: ok_echo/run\n    with: {{ secret: 1 }}\n    guardrails: {{ after: [{{ uses: fault_guardrail, with: {{ how: {how} }} }}] }}\noutputs: {{ only: \"${{{{ steps.only.output }}}}\" }}"
        );
        let home = home(&["ok_echo", "fault_guardrail"], &steps);
        let ran = run(&home);
        assert!([4, 8].contains(&ran.code), "{how}: {}", ran.all());
        // What the step was given, and what its guardrail was, are two things.
        let report = ran.json();
        let message = report["error"]["message"].as_str().unwrap();
        assert!(
            message.contains("the guardrail `fault_guardrail`"),
            "{how}: {message}"
        );
        assert!(
            !ran.json()["outputs"].to_string().contains("secret"),
            "{how}: {}",
            ran.all()
        );
    }
}

#[test]
fn a_guardrail_that_rewrites_changes_what_the_step_gets() {
    let steps = "  only:\n    uses: ok_echo/run\n    with: { a: 1 }\n    guardrails: { before: [{ uses: ok_guardrail, with: { action: rewrite } }] }\noutputs: { only: \"${{ steps.only.output }}\" }";
    let report = ends(&home(&["ok_echo", "ok_guardrail"], steps), 0, "ok");
    assert_eq!(report["outputs"]["only"]["rewritten"], true, "{report:#}");
}

#[test]
fn a_check_that_is_false_ends_with_4() {
    let steps = "  only:\n    uses: ok_add/run\n    with: { a: 1, b: 2 }\n    checks: [{ id: is-four, that: \"output.sum == 4.0\" }]";
    let report = ends(&home(&["ok_add"], steps), 4, "halted");
    assert!(
        report["error"].to_string().contains("is-four"),
        "{report:#}"
    );
}

#[test]
fn a_budget_of_calls_that_is_used_up_ends_with_5() {
    let steps = "  a: { uses: ok_echo/run, with: {} }\n  b: { needs: [a], uses: ok_echo/run, with: {} }\nbudget: { calls: 1 }";
    let report = ends(&home(&["ok_echo"], steps), 5, "limit");
    assert!(report["error"].to_string().contains("calls"), "{report:#}");
    assert_eq!(report["steps"]["a"]["status"], "ok");
}

#[test]
fn a_plugin_that_panics_ends_with_8_and_its_step_is_named() {
    let report = ends(
        &home(
            &["fault_panic"],
            "  only: { uses: fault_panic/run, with: {} }",
        ),
        8,
        "failed",
    );
    assert_eq!(
        (&report["error"]["owner"], &report["error"]["step"]),
        (&"guest".into(), &"only".into())
    );
}

#[test]
fn a_denial_that_a_guest_makes_up_is_a_failure_of_the_guest() {
    let steps = "  only: { uses: fault_error/run, with: { case: denied, message: x } }";
    let report = ends(&home(&["fault_error"], steps), 8, "failed");
    assert_eq!(report["denials"], serde_json::json!([]));
}

#[test]
fn a_transient_failure_is_tried_again_and_an_invalid_one_is_not() {
    let retry = "retry: { max_attempts: 3, backoff: { initial: 1ms, factor: 1.0, max: 1ms, jitter: 0.0 }, retry_on: [transient] }";
    let flaky =
        format!("  only:\n    uses: fault_flaky/run\n    with: {{ good_from: 3 }}\n    {retry}");
    let report = ends(&home(&["fault_flaky"], &flaky), 0, "ok");
    assert_eq!(report["steps"]["only"]["attempts"], 3);
    let never =
        format!("  only:\n    uses: fault_flaky/run\n    with: {{ good_from: 9 }}\n    {retry}");
    assert_eq!(
        ends(&home(&["fault_flaky"], &never), 8, "failed")["steps"]["only"]["attempts"],
        3
    );
    let invalid =
        format!("  only:\n    uses: fault_error/run\n    with: {{ case: invalid }}\n    {retry}");
    assert_eq!(
        ends(&home(&["fault_error"], &invalid), 8, "failed")["steps"]["only"]["attempts"],
        1
    );
}

#[test]
fn a_step_that_sleeps_too_long_ends_with_7() {
    let steps = "  only: { uses: limit_sleep/run, with: {}, timeout: 200ms }";
    let home = home(&["limit_sleep"], steps);
    ends(&home, 7, "limit");
}

#[test]
fn dos_026_what_a_guest_writes_does_not_reach_the_terminal_as_it_is() {
    let home = Home::new();
    let ran = home
        .run_tool("fault_terminal_escapes", "log = true\n", "{ fail: true }")
        .expect(8);
    let plain = home.flowhost(&["run", "plan.yaml", "-vv"]);
    let hostile = |c: char| (c.is_control() && c != '\n') || "\u{202e}\u{200b}".contains(c);
    for text in [ran.stdout, ran.stderr, plain.stdout, plain.stderr] {
        assert!(!text.contains(hostile), "{text:?}");
        assert!(
            !text.lines().any(|line| line.starts_with("forged")),
            "{text}"
        );
    }
}

#[test]
fn led_015_a_guest_cannot_forge_a_record_with_line_breaks() {
    let home = Home::new();
    let forged = "x\\n{\\\"v\\\":\\\"fhe/1\\\",\\\"seq\\\":\\\"0\\\"}\\nx";
    let input = format!("{{ case: failed, message: \"{forged}\" }}");
    home.run_tool("fault_error", "", &input).expect(8);
    let records = home.records();
    let sequence: Vec<String> = records
        .iter()
        .map(|record| record["seq"].as_str().unwrap().to_owned())
        .collect();
    let expected: Vec<String> = (0..records.len()).map(|n| n.to_string()).collect();
    assert_eq!(sequence, expected);
    home.flowhost(&["verify", "latest"]).expect(0);
}
