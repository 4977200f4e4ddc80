//! Guardrails, schemas, checks and budgets.

use super::*;

const GUARDED: &str = "steps:\n  a:\n    uses: t\n    with: {text: hello}\n    retry: {max_attempts: 2}\n    \
    guardrails:\n      before: [{uses: g, with: {n: 1}, on_fail: FAIL}, {uses: g}]\n      \
    after: [{uses: g, on_fail: FAIL}]\noutputs: {a: '${{ steps.a.output }}'}\n";

fn guarded(on_fail: &str) -> Run {
    Run::of(&GUARDED.replace("FAIL", on_fail))
}

fn pass() -> Verdict {
    Verdict::Pass {
        findings: Vec::new(),
    }
}

fn deny() -> Verdict {
    Verdict::Deny {
        reason: "a key".to_owned(),
        findings: vec![json!("x")],
    }
}

fn rewrite(subject: Value) -> Verdict {
    Verdict::Rewrite {
        subject,
        findings: Vec::new(),
    }
}

#[test]
fn a_denial_before_the_work_halts_without_doing_it() {
    let mut run = guarded("halt");
    let call = run.call("a");
    assert_eq!((call.part, call.plugin.as_str()), (Part::Before(0), "g"));
    assert_eq!(
        (&*call.input, &call.config),
        (&json!({"text": "hello"}), &json!({"n": 1}))
    );
    run.verdict("a", deny());
    let end = run.end.as_ref().unwrap();
    assert_eq!(end.exit, Exit::Guardrail);
    assert_eq!(run.summary("a").attempts, 1, "a denial is not tried again");
}

#[test]
fn a_denial_is_not_outvoted_by_continue_on_error() {
    let body = GUARDED
        .replace("FAIL", "halt")
        .replace("uses: t\n", "uses: t\n    continue_on_error: true\n");
    let mut run = Run::of(&body);
    run.verdict("a", deny());
    assert_eq!(run.end.as_ref().unwrap().exit, Exit::Guardrail);
}

#[test]
fn a_denial_that_only_warns_goes_on() {
    let mut run = guarded("warn");
    run.verdict("a", deny());
    run.verdict("a", pass());
    run.ok("a", json!("out"));
    run.verdict("a", deny());
    assert_eq!(run.end.as_ref().unwrap().exit, Exit::Ok);
    assert_eq!(run.warnings(), ["guardrail", "guardrail"]);
}

#[test]
fn a_rewrite_is_what_the_next_one_and_the_work_see() {
    let mut run = guarded("halt");
    run.verdict("a", rewrite(json!({"text": "h***o"})));
    assert_eq!(*run.call("a").input, json!({"text": "h***o"}));
    run.verdict("a", pass());
    assert_eq!(run.call("a").part, Part::Work);
    assert_eq!(*run.call("a").input, json!({"text": "h***o"}));
    run.ok("a", json!("secret"));
    assert_eq!(*run.call("a").input, json!("secret"));
    run.verdict("a", rewrite(json!("***")));
    assert_eq!(run.end.as_ref().unwrap().outputs["a"], "***");
}

#[test]
fn every_attempt_begins_with_the_input_as_it_was() {
    let mut run = guarded("halt");
    run.verdict("a", rewrite(json!("changed")));
    run.verdict("a", pass());
    run.fail("a", FailureClass::Transient);
    run.tick();
    assert_eq!(
        (run.call("a").part, run.call("a").attempt),
        (Part::Before(0), 2)
    );
    assert_eq!(*run.call("a").input, json!({"text": "hello"}));
}

#[test]
fn a_guardrail_that_fails_fails_the_step() {
    let mut run = guarded("warn");
    run.fail("a", FailureClass::Failed);
    assert_eq!(run.end.as_ref().unwrap().exit, Exit::Plugin);
}

#[test]
fn an_answer_of_the_wrong_kind_is_the_hosts_fault() {
    let mut run = guarded("halt");
    run.ok("a", json!(1));
    assert_eq!(run.end.as_ref().unwrap().exit, Exit::Internal);
}

#[test]
fn an_output_against_its_schema_fails_the_step() {
    let body = "steps: {a: {uses: t, output: {schema: {type: object, required: [n]}}}}\n";
    let mut run = Run::of(body);
    run.ok("a", json!({}));
    let end = run.end.as_ref().unwrap();
    assert_eq!(end.exit, Exit::Plugin);
    assert_eq!(end.failure.as_ref().unwrap().class, FailureClass::Output);
    let mut run = Run::of(body);
    run.ok("a", json!({"n": 1}));
    assert_eq!(run.end.as_ref().unwrap().exit, Exit::Ok);
}

#[test]
fn a_schema_file_is_used_once_it_is_attached() {
    let mut plan = plan("steps: {a: {uses: t, output: {schema: s.json}}}\n");
    plan.attach_schema("s.json", &json!({"type": "string"}))
        .unwrap();
    let mut run = Run::new(plan);
    run.ok("a", json!(1));
    assert_eq!(run.end.as_ref().unwrap().exit, Exit::Plugin);
}

#[test]
fn a_false_check_halts_or_warns() {
    let body = "steps:\n  a: {uses: t, continue_on_error: true, checks: [\
        {id: soft, that: 'output.n > 1', on_fail: warn}, {id: hard, that: 'output.n > 0'}]}\n";
    let mut run = Run::of(body);
    run.ok("a", json!({"n": 1}));
    assert_eq!(run.end.as_ref().unwrap().exit, Exit::Ok);
    assert_eq!(run.warnings(), ["check"]);

    let mut run = Run::of(body);
    run.ok("a", json!({"n": 0}));
    assert_eq!(run.end.as_ref().unwrap().exit, Exit::Guardrail);

    let mut run = Run::of(body);
    run.ok("a", json!({}));
    assert_eq!(
        run.end.as_ref().unwrap().exit,
        Exit::Guardrail,
        "what cannot be checked fails"
    );
}

#[test]
fn more_failed_checks_than_a_pipeline_may_have_halt_it_though_each_only_warns() {
    let steps = "steps:\n  a: {uses: t, checks: [\
        {id: one, that: 'output.n > 1', on_fail: warn}, {id: two, that: 'output.n > 2', on_fail: warn}]}\n  \
        b: {uses: t, needs: [a], checks: [{id: three, that: 'output.n > 3', on_fail: warn}, \
        {id: four, that: 'output.n > 4', on_fail: warn}]}\n  c: {uses: t, needs: [b]}\n";
    let ended = |evidence: &str, n: u64| {
        let mut run = Run::of(&format!("{evidence}{steps}"));
        for step in ["a", "b"] {
            run.ok(step, json!({ "n": n }));
        }
        if run.end.is_none() {
            run.ok("c", json!({}));
        }
        let end = run.end.clone().unwrap();
        (end.exit, end.failure.map(|it| it.message), run.status("c"))
    };
    let halted = Some("4 checks of the run did not hold, and its plan allows 3".to_owned());
    let evidence = "evidence: {spec_id: S}\n";
    assert_eq!(
        ended(evidence, 0),
        (Exit::Guardrail, halted, StepStatus::Cancelled)
    );
    assert_eq!(ended(evidence, 2), (Exit::Ok, None, StepStatus::Ok));
    assert_eq!(ended("", 0), (Exit::Ok, None, StepStatus::Ok));
    let more = "evidence: {spec_id: S, max_failed_checks: 4}\n";
    assert_eq!(ended(more, 0), (Exit::Ok, None, StepStatus::Ok));
    let none = "evidence: {spec_id: S, max_failed_checks: 0}\n";
    assert_eq!(ended(none, 4).0, Exit::Guardrail);
}

fn estimates(fuel: u64) -> BTreeMap<String, Amounts> {
    BTreeMap::from([(
        "t".to_owned(),
        Amounts {
            fuel,
            ..Amounts::default()
        },
    )])
}

#[test]
fn calls_beyond_the_budget_halt_the_run() {
    let mut run = Run::of(
        "budget: {calls: 2}\nsteps:\n  a: {uses: t}\n  b: {uses: t, needs: [a]}\n  \
         c: {uses: t, needs: [b], continue_on_error: true}\n",
    );
    run.ok("a", json!(1));
    run.ok("b", json!(1));
    assert_eq!(run.end.as_ref().unwrap().exit, Exit::Budget);
    assert_eq!(run.warnings(), ["budget", "budget"], "at 80 % and at 100 %");
}

#[test]
fn a_call_waits_for_what_another_may_return() {
    let plan = plan("budget: {fuel: 100}\nsteps:\n  a: {uses: t}\n  b: {uses: t}\n");
    let mut run = Run::with(plan, estimates(80), json!({}));
    assert_eq!(run.paths(), ["a"]);
    assert_eq!(run.call("a").allowance.fuel, 80);
    run.answer_with(
        0,
        CallResult::Output(json!(1)),
        Amounts {
            calls: 1,
            fuel: 70,
            ..Amounts::default()
        },
    );
    assert_eq!(run.paths(), ["b"]);
    assert_eq!(run.call("b").allowance.fuel, 30, "what is left");
    run.answer_with(
        0,
        CallResult::Output(json!(1)),
        Amounts {
            calls: 1,
            fuel: 31,
            ..Amounts::default()
        },
    );
    assert_eq!(
        run.end.as_ref().unwrap().exit,
        Exit::Budget,
        "spent more than there was"
    );
}

#[test]
fn a_steps_own_budget_binds_only_that_step() {
    let mut run = Run::of(
        "steps:\n  a: {uses: t, budget: {calls: 1}, retry: {max_attempts: 3}}\n  b: {uses: t}\n",
    );
    run.fail("a", FailureClass::Transient);
    run.ok("b", json!(1));
    run.tick();
    let end = run.end.as_ref().unwrap();
    assert_eq!(end.exit, Exit::Budget);
    assert_eq!(end.failure.as_ref().unwrap().step, "a");
}

#[test]
fn a_sub_plans_budget_is_taken_out_of_the_runs_and_returned() {
    let mut parent = plan(
        "budget: {calls: 3}\nsteps:\n  a: {uses: 'plan:c.yaml'}\n  b: {uses: t, needs: [a]}\n  \
         c: {uses: t, needs: [b]}\n",
    );
    let child = plan("budget: {calls: 3}\nsteps: {x: {uses: t}}\n");
    parent.attach_plan("c.yaml", child).unwrap();
    let mut run = Run::new(parent);
    assert_eq!(run.exit(), Exit::Ok);
    assert_eq!(run.summary("c").attempts, 1);
}
