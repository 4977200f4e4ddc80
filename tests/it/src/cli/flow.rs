//! What a workflow does with its steps, end to end.

use serde_json::{Value, json};

use super::{home, seen};
use crate::support::Home;

fn report(home: &Home, code: i32) -> Value {
    home.flowhost(&["run", "plan.yaml", "--json"])
        .expect(code)
        .json()
}

#[test]
fn foreach_keeps_the_order_of_the_items() {
    let steps = "  each:\n    foreach: { items: [5, 3, 9, 1, 7], as: n, max_parallel: 4 }\n    uses: ok_echo/run\n    with: { n: \"${{ n }}\" }\noutputs: { all: \"${{ steps.each.outputs }}\" }";
    let report = report(&home(&["ok_echo"], steps), 0);
    let all: Vec<i64> = report["outputs"]["all"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["n"].as_i64().unwrap())
        .collect();
    assert_eq!(all, [5, 3, 9, 1, 7]);
}

#[test]
fn a_step_whose_when_is_false_is_skipped_and_recorded_so() {
    let steps = "  a: { when: \"1 > 2\", uses: ok_echo/run, with: {} }\n  b: { uses: ok_echo/run, with: {} }";
    let home = home(&["ok_echo"], steps);
    let report = report(&home, 0);
    assert_eq!(
        (
            &report["steps"]["a"]["status"],
            &report["steps"]["b"]["status"]
        ),
        (&json!("skipped"), &json!("ok"))
    );
    assert!(
        home.records()
            .iter()
            .any(|it| it["kind"] == "step.end" && it["status"] == "skipped")
    );
}

#[test]
fn a_barrier_goes_on_with_enough_and_halts_with_too_few() {
    let steps = |need: &str| {
        format!(
            "  good: {{ uses: ok_echo/run, with: {{}} }}\n  bad: {{ uses: fault_panic/run, with: {{}}, continue_on_error: true }}\n  gathered: {{ needs: [good, bad], barrier: {{ require: {need} }} }}\n  after: {{ needs: [gathered], uses: ok_echo/run, with: {{}} }}"
        )
    };
    let enough = report(&home(&["ok_echo", "fault_panic"], &steps("1")), 0);
    assert_eq!(enough["steps"]["after"]["status"], "ok", "{enough:#}");
    let few =
        home(&["ok_echo", "fault_panic"], &steps("all")).flowhost(&["run", "plan.yaml", "--json"]);
    assert_eq!(few.code, 3, "{}", few.all());
}

#[test]
fn a_plan_runs_another_plan() {
    let home = home(
        &["ok_add"],
        "  sub: { uses: \"plan:inner.yaml\", with: { n: 4 } }\noutputs: { sum: \"${{ steps.sub.output.sum }}\" }",
    );
    home.file(
        "inner.yaml",
        "flowhost: v1\nkind: workflow\nname: inner\ninputs:\n  n: { type: number }\nplugins:\n  add: { kind: tool, source: ./ok_add.wasm, profile: deny-all }\nsteps:\n  only: { uses: add/run, with: { a: \"${{ inputs.n }}\", b: 1 } }\noutputs: { sum: \"${{ steps.only.output.sum }}\" }\n",
    );
    assert_eq!(report(&home, 0)["outputs"]["sum"].as_f64(), Some(5.0));
}

#[test]
fn a_handler_sees_the_failure_and_the_run_halts_or_goes_on() {
    let steps = |then: &str| {
        format!(
            "  bad: {{ uses: fault_panic/run, with: {{}}, on_failure: {{ run: tell, then: {then} }} }}\n  after: {{ needs: [bad], uses: ok_echo/run, with: {{}} }}\nhandlers: {{ tell: {{ uses: ok_echo/run, with: {{ why: \"${{{{ failure }}}}\" }} }} }}"
        )
    };
    let halted = home(&["ok_echo", "fault_panic"], &steps("halt"));
    let ended = report(&halted, 8);
    assert_ne!(ended["steps"]["after"]["status"], "ok", "{ended:#}");
    let calls = |home: &Home| {
        home.records()
            .iter()
            .filter(|record| record["kind"] == "step.start")
            .count()
    };
    assert_eq!(calls(&halted), 2, "the step and its handler");
    let continued = home(&["ok_echo", "fault_panic"], &steps("continue"));
    let ended = report(&continued, 0);
    assert_eq!(ended["steps"]["after"]["status"], "ok", "{ended:#}");
}

#[test]
fn a_step_that_may_fail_does_not_end_the_run() {
    let steps = "  bad: { uses: fault_panic/run, with: {}, continue_on_error: true }\n  after: { needs: [bad], uses: ok_echo/run, with: {} }";
    let report = report(&home(&["ok_echo", "fault_panic"], steps), 0);
    assert_eq!(
        (
            &report["steps"]["bad"]["status"],
            &report["steps"]["after"]["status"]
        ),
        (&json!("failed"), &json!("ok"))
    );
}

#[test]
fn a_dry_run_shows_inputs_and_rights_and_runs_nothing() {
    let steps = "  only: { uses: limit_loop/run, with: { n: \"${{ 1 + 2 }}\" } }";
    let home = home(&["limit_loop"], steps);
    let ran = home.flowhost(&["run", "plan.yaml", "--dry-run"]).expect(0);
    assert!(
        ran.stdout.contains('3') && ran.stdout.contains("deny-all"),
        "{}",
        ran.all()
    );
    let runs = std::fs::read_dir(home.path().join(".flowhost/default/runs"));
    assert_eq!(runs.map_or(0, Iterator::count), 0);
}

#[test]
fn json_is_one_document_with_the_documented_keys() {
    let home = home(&["ok_echo"], "  only: { uses: ok_echo/run, with: {} }");
    let ran = home.flowhost(&["run", "plan.yaml", "--json"]).expect(0);
    let report = ran.json();
    for key in [
        "run_id",
        "plan_hash",
        "status",
        "exit_code",
        "outputs",
        "steps",
        "cost",
        "denials",
        "warnings",
        "evidence",
    ] {
        assert!(report.get(key).is_some(), "{key}: {report:#}");
    }
    for key in ["run_dir", "checkpoint", "records", "report"] {
        assert!(report["evidence"].get(key).is_some(), "evidence.{key}");
    }
    for key in ["status", "attempts", "duration_ms", "used"] {
        assert!(
            report["steps"]["only"].get(key).is_some(),
            "steps.only.{key}"
        );
    }
    assert!(report["cost"].get("total_usd").is_some() && report["cost"].get("tokens").is_some());
    assert!(report.get("error").is_none() || report["error"].is_null());
    assert_eq!(ran.stderr, "");
}

#[test]
fn the_same_seed_gives_the_same_randomness() {
    let home = Home::new();
    let profile = "[random]\nsource = \"seeded\"\n";
    home.run_tool("ok_random", profile, "{ length: 8 }")
        .expect(0);
    let draw = |seed: &str| {
        let ran = home
            .flowhost(&["run", "plan.yaml", "--json", "--seed", seed])
            .expect(0);
        ran.json()["outputs"]["only"].clone()
    };
    assert_eq!(draw("7"), draw("7"));
    assert_ne!(draw("7"), draw("8"));
}

#[test]
fn the_order_of_keys_and_comments_do_not_change_the_plan_hash() {
    let hash = |steps: &str| report(&home(&["ok_echo"], steps), 0)["plan_hash"].clone();
    let one = hash("  a: { uses: ok_echo/run, with: { x: 1, y: 2 } }");
    assert_eq!(
        one,
        hash("  # a comment\n  a: { with: { y: 2, x: 1 }, uses: ok_echo/run }")
    );
    assert_ne!(
        one,
        hash("  a: { uses: ok_echo/run, with: { x: 1, y: 3 } }")
    );
}

#[test]
fn cap_014_a_plan_narrows_a_profile_and_cannot_widen_it() {
    let home = Home::new();
    home.file("docs/a.md", "alpha");
    let profile = "[[files]]\nguest = \"/docs\"\nhost = \"docs\"\naccess = \"read\"\n";
    let case = "{ cases: [{ op: read, path: /docs/a.md }, { op: read, path: /docs/a.md }] }";
    home.run_tool("ok_files", profile, case).expect(0);
    let plan = home.read("plan.yaml").replace(
        "profile: under-test }",
        "profile: under-test, narrow: { limits: { host_calls: 1 } } }",
    );
    home.file("plan.yaml", plan);
    home.flowhost(&["run", "plan.yaml"]).expect(7);
    let wider = home
        .read("plan.yaml")
        .replace("host_calls: 1 ", "host_calls: 90000000 ");
    home.file("plan.yaml", wider);
    let ran = home.flowhost(&["validate", "plan.yaml"]);
    assert_eq!(ran.code, 1, "{}", ran.all());
}

#[test]
fn an_output_is_shown_to_people_too() {
    let home = home(
        &["ok_add"],
        "  only: { uses: ok_add/run, with: { a: 1, b: 2 } }\noutputs: { sum: \"${{ steps.only.output.sum }}\" }",
    );
    let shown = seen(&home, &["run", "plan.yaml"]);
    assert!(
        shown.contains("sum: 3") && shown.contains("flowhost verify"),
        "{shown}"
    );
}

/// Each output is small enough, and all of them are more than a record takes: the run must end all the same.
#[test]
fn what_a_plan_hands_on_at_once_is_bounded_and_the_run_ends_on_record() {
    // Within the limit of outputs that `deny-all` has.
    let large = "x".repeat(200_000);
    let many = |count: usize| {
        let each = |at: usize| format!("o{at}: \"${{{{ steps.a.output }}}}\"");
        (0..count).map(each).collect::<Vec<_>>().join(", ")
    };
    let first = format!("  a: {{ uses: ok_echo/run, with: {{ t: {large} }} }}\n");
    let cases = [
        (format!("{first}outputs: {{ {} }}", many(90)), "output `o"),
        (
            format!(
                "{first}  b: {{ needs: [a], uses: ok_echo/run, with: {{ {} }} }}",
                many(90)
            ),
            "with: what it hands on",
        ),
    ];
    for (steps, said) in cases {
        let home = home(&["ok_echo"], &steps);
        let report = report(&home, 1);
        let message = report["error"]["message"].as_str().unwrap();
        assert!(message.contains(said), "{message}");
        assert!(message.contains("more than 15 MiB"), "{message}");
        let ends = home.records();
        assert!(ends.iter().any(|it| it["kind"] == "run.end"), "{said}");
        home.flowhost(&["verify", ".flowhost"]).expect(0);
    }
}
