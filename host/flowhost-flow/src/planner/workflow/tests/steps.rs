//! Order, conditions, fan-out, barriers, sub-plans, retries, time and stopping.

use super::*;

#[test]
fn a_step_waits_for_all_it_needs_and_sees_their_outputs() {
    let mut run = Run::of(
        "steps:\n  a: {uses: t}\n  b: {uses: t/fn}\n  \
         c: {uses: t, needs: [a, b], with: {x: '${{ steps.a.output.n }}', s: '${{ steps.b.status }}'}}\n\
         outputs: {c: '${{ steps.c.output }}', id: '${{ run.id }}'}\n",
    );
    assert_eq!(run.paths(), ["a", "b"]);
    assert_eq!(run.call("b").function.as_deref(), Some("fn"));
    run.ok("a", json!({"n": 3}));
    assert_eq!(run.paths(), ["b"]);
    run.ok("b", json!(null));
    assert_eq!(*run.call("c").input, json!({"x": 3, "s": "ok"}));
    run.ok("c", json!("done"));
    let end = run.end.as_ref().unwrap();
    assert_eq!((end.exit, &end.outputs["c"]), (Exit::Ok, &json!("done")));
    assert_eq!(end.outputs["id"], "01J");
    assert_eq!(end.used.calls, 3);
    assert!(run.timers.is_empty(), "no timer stays set");
}

#[test]
fn a_false_condition_skips_the_step_and_not_those_after_it() {
    let mut run = Run::of(
        "steps:\n  a: {uses: t, when: 'false'}\n  \
         b: {uses: t, needs: [a], with: '${{ steps.a.status }}'}\n",
    );
    assert_eq!(run.status("a"), StepStatus::Skipped);
    assert_eq!(*run.call("b").input, json!("skipped"));
    assert_eq!(run.exit(), Exit::Ok);
}

const FOUR: &str = "steps:\n  a: {uses: t}\n  b: {uses: t, needs: [a]}\n  c: {uses: t}\n  \
    all: {needs: [b, c], barrier: {require: all, timeout: 1m, on_timeout: halt}}\n  \
    d: {uses: t, needs: [all]}\n\
    outputs: {b: '${{ steps.b.output }}', d: '${{ steps.d.output }}', id: '${{ run.id }}'}\n";

#[test]
fn a_run_of_one_step_does_what_it_needs_and_nothing_else() {
    let mut run = Run::only("b", FOUR);
    assert_eq!(run.paths(), ["a"]);
    assert_eq!(run.exit(), Exit::Ok);
    for skipped in ["c", "all", "d"] {
        assert_eq!(run.status(skipped), StepStatus::Skipped, "{skipped}");
    }
    let end = run.end.as_ref().unwrap();
    let outputs: Vec<&String> = end.outputs.keys().collect();
    assert_eq!(outputs, ["b", "id"], "what was left out has no output");
    assert!(
        run.timers.is_empty(),
        "no barrier waits for what never comes"
    );
}

#[test]
fn a_run_of_the_last_step_does_all_that_leads_to_it() {
    let mut run = Run::only("d", FOUR);
    assert_eq!(run.exit(), Exit::Ok);
    for done in ["a", "b", "c", "all", "d"] {
        assert_eq!(run.status(done), StepStatus::Ok, "{done}");
    }
}

#[test]
fn a_condition_that_cannot_be_evaluated_ends_the_run() {
    let mut run =
        Run::of("steps:\n  a: {uses: t, when: 'inputs.size()'}\n  b: {uses: t, needs: [a]}\n");
    assert_eq!(run.exit(), Exit::Internal);
    assert_eq!(run.status("b"), StepStatus::Cancelled);
}

#[test]
fn items_run_in_parallel_up_to_their_bound_and_join_in_order() {
    let mut run = Run::of(
        "steps:\n  a:\n    foreach: {items: [x, y, z], as: letter, max_parallel: 2}\n    uses: t\n    \
         with: {l: '${{ letter }}', i: '${{ index }}'}\n\
         outputs: {all: '${{ steps.a.outputs }}'}\n",
    );
    assert_eq!(run.paths(), ["a[0]", "a[1]"]);
    assert_eq!(*run.call("a[1]").input, json!({"l": "y", "i": 1}));
    run.ok("a[1]", json!(1));
    assert_eq!(run.paths(), ["a[0]", "a[2]"]);
    run.ok("a[2]", json!(2));
    run.ok("a[0]", json!(0));
    assert_eq!(run.end.as_ref().unwrap().outputs["all"], json!([0, 1, 2]));
    assert_eq!(run.most_parallel, 2);
}

#[test]
fn an_empty_list_is_done_at_once() {
    let mut run = Run::of(
        "steps:\n  a: {uses: t, foreach: {items: []}}\n\
         outputs: {all: '${{ steps.a.outputs }}'}\n",
    );
    assert_eq!(run.finish().outputs["all"], json!([]));
}

#[test]
fn what_is_no_list_fails_the_step() {
    let mut run = Run::of("steps:\n  a: {uses: t, foreach: {items: '${{ 3 }}'}}\n");
    assert_eq!(run.exit(), Exit::Internal);
}

#[test]
fn the_first_failed_item_stops_the_others() {
    let mut run = Run::of("steps:\n  a: {uses: t, foreach: {items: [1, 2, 3], max_parallel: 2}}\n");
    run.fail("a[0]", FailureClass::Failed);
    assert_eq!(run.cancelled.len(), 1);
    assert_eq!(run.exit(), Exit::Plugin);
    assert_eq!(run.status("a[1]"), StepStatus::Cancelled);
    assert_eq!(run.summaries().filter(|s| s.path == "a[2]").count(), 0);
}

#[test]
fn without_fail_fast_every_item_runs_and_failed_ones_are_null() {
    let mut run = Run::of(
        "steps:\n  a: {uses: t, foreach: {items: [1, 2, 3], max_parallel: 1, fail_fast: false}, \
         continue_on_error: true}\n  b: {uses: t, needs: [a], with: '${{ steps.a.outputs }}'}\n",
    );
    run.ok("a[0]", json!("x"));
    run.fail("a[1]", FailureClass::Failed);
    run.ok("a[2]", json!("z"));
    assert_eq!(*run.call("b").input, json!(["x", null, "z"]));
    assert_eq!(run.exit(), Exit::Ok);
    assert_eq!(run.status("a"), StepStatus::Failed);
    assert_eq!(run.warnings(), ["continued"]);
}

const GATHER: &str = "steps:\n  a: {uses: t, foreach: {items: [1, 2, 3, 4], fail_fast: false}, \
    continue_on_error: true}\n  b: {uses: t, continue_on_error: true}\n  \
    gate: {needs: [a, b], barrier: {require: REQUIRE, timeout: 1m, on_timeout: LATE}}\n  \
    c: {uses: t, needs: [gate], with: '${{ steps.gate.output }}'}\n";

fn gather(require: &str, late: &str) -> Run {
    Run::of(&GATHER.replace("REQUIRE", require).replace("LATE", late))
}

#[test]
fn a_barrier_of_all_fails_with_one_failure() {
    let mut run = gather("all", "halt");
    run.ok("b", json!(1));
    run.fail("a[2]", FailureClass::Failed);
    assert_eq!(run.exit(), Exit::Degraded);
    assert_eq!(run.status("gate"), StepStatus::Failed);
}

#[test]
fn a_barrier_counts_items_and_goes_on_when_it_has_enough() {
    let mut run = gather("'80%'", "halt");
    for path in ["a[0]", "a[1]", "b"] {
        run.ok(path, json!(1));
    }
    assert_eq!(run.paths(), ["a[2]", "a[3]"]);
    run.fail("a[2]", FailureClass::Failed);
    run.ok("a[3]", json!(1));
    assert_eq!(
        *run.call("c").input,
        json!({"required": 4, "ok": 4, "failed": 1, "total": 5})
    );
    assert_eq!(run.exit(), Exit::Ok);
}

#[test]
fn a_barrier_of_any_does_not_wait_for_the_rest() {
    let mut run = gather("any", "halt");
    run.ok("b", json!(1));
    assert!(run.paths().contains(&"c"));
    assert_eq!(run.exit(), Exit::Ok);
}

#[test]
fn a_barrier_of_a_number_fails_when_it_cannot_be_reached() {
    let mut run = gather("4", "halt");
    run.fail("b", FailureClass::Failed);
    run.fail("a[0]", FailureClass::Failed);
    assert_eq!(run.exit(), Exit::Degraded);
}

#[test]
fn a_barrier_whose_time_is_up_halts_or_goes_on() {
    let mut run = gather("all", "halt");
    run.tick();
    assert_eq!(run.exit(), Exit::Limit);

    let mut run = gather("all", "continue");
    run.ok("b", json!(1));
    run.tick();
    assert_eq!(run.call("c").input["ok"], 1);
    assert_eq!(run.warnings(), ["barrier"]);
    assert_eq!(run.exit(), Exit::Ok);
}

fn with_child(parent: &str, child: &str) -> Plan {
    let mut parent = plan(parent);
    parent.attach_plan("c.yaml", plan(child)).unwrap();
    parent
}

#[test]
fn a_sub_plan_runs_as_a_step_with_inputs_and_outputs_of_its_own() {
    let plan = with_child(
        "steps:\n  a: {uses: 'plan:c.yaml', foreach: {items: [1, 2]}, with: {n: '${{ item }}'}}\n\
         outputs: {all: '${{ steps.a.outputs }}'}\n",
        "inputs: {n: {type: number}}\nsteps:\n  x: {uses: t, with: '${{ inputs.n }}'}\n\
         outputs: {twice: '${{ steps.x.output * 2 }}'}\n",
    );
    let mut run = Run::new(plan);
    assert_eq!(run.paths(), ["a[0]/x", "a[1]/x"]);
    assert_eq!(run.call("a[0]/x").plugin, "c.yaml::t");
    run.ok("a[1]/x", json!(20));
    run.ok("a[0]/x", json!(10));
    let end = run.end.as_ref().unwrap();
    assert_eq!(end.outputs["all"], json!([{"twice": 20}, {"twice": 40}]));
    assert_eq!(run.summary("a").used.calls, 2);
}

#[test]
fn a_failed_sub_plan_fails_its_step_and_is_tried_again_as_a_whole() {
    let plan = with_child(
        "steps:\n  a: {uses: 'plan:c.yaml', retry: {max_attempts: 2}}\n",
        "steps:\n  x: {uses: t}\n  y: {uses: t, needs: [x]}\n",
    );
    let mut run = Run::new(plan);
    run.ok("a/x", json!(1));
    run.fail("a/y", FailureClass::Transient);
    assert!(run.calls.is_empty());
    run.tick();
    assert_eq!(run.paths(), ["a/x"]);
    run.fail("a/x", FailureClass::Denied);
    assert_eq!(run.end.as_ref().unwrap().exit, Exit::Denied);
    assert_eq!(
        run.end.as_ref().unwrap().failure.as_ref().unwrap().step,
        "a/x"
    );
}

#[test]
fn a_sub_plan_that_gets_a_wrong_input_fails() {
    let plan = with_child(
        "steps:\n  a: {uses: 'plan:c.yaml', with: {n: '${{ \"x\" }}'}}\n",
        "inputs: {n: {type: number}}\nsteps: {x: {uses: t}}\n",
    );
    assert_eq!(Run::new(plan).exit(), Exit::Plugin);
}

#[test]
fn a_transient_failure_is_tried_again_after_a_wait_from_the_seed() {
    let body = "steps:\n  a: {uses: t, retry: {max_attempts: 3}}\n";
    let mut run = Run::of(body);
    let seeds: Vec<_> = (0..3)
        .map(|attempt| {
            let call = run.call("a").clone();
            assert_eq!(call.attempt, attempt + 1);
            run.fail("a", FailureClass::Transient);
            if attempt < 2 {
                let before = run.now;
                run.tick();
                let wait = run.now - before;
                assert!((50..=200).contains(&wait), "{wait}");
            }
            (call.seed, call.idempotency_key)
        })
        .collect();
    assert_ne!(seeds[0].0, seeds[1].0, "each attempt has a seed of its own");
    assert_eq!(seeds[0].1, seeds[2].1, "and the same key");
    assert_eq!(run.end.as_ref().unwrap().exit, Exit::Plugin);
    assert_eq!(run.summary("a").attempts, 3);
    let mut again = Run::of(body);
    while again.end.is_none() {
        if again.calls.is_empty() {
            again.tick()
        } else {
            again.fail("a", FailureClass::Transient)
        }
    }
    assert_eq!(run.log, again.log, "same events, same actions");
}

#[test]
fn what_was_denied_is_not_tried_again() {
    let mut run = Run::of("steps:\n  a: {uses: t, retry: {max_attempts: 3}}\n");
    run.fail("a", FailureClass::Denied);
    assert_eq!(run.end.as_ref().unwrap().exit, Exit::Denied);
}

#[test]
fn an_attempt_past_its_timeout_is_cancelled_and_tried_again() {
    let mut run = Run::of("steps:\n  a: {uses: t, timeout: 10s, retry: {max_attempts: 2}}\n");
    assert_eq!(run.call("a").deadline, Time(11_000));
    run.tick();
    assert_eq!(run.now, 11_000);
    assert_eq!(run.cancelled.len(), 1);
    run.ok("a", json!("too late"));
    run.tick();
    assert_eq!(run.call("a").attempt, 2);
    run.tick();
    run.fail("a", FailureClass::Cancelled);
    let end = run.end.as_ref().unwrap();
    assert_eq!(
        (end.exit, end.failure.as_ref().unwrap().class),
        (Exit::Limit, FailureClass::Timeout)
    );
}

#[test]
fn a_cancelled_call_that_does_not_answer_is_given_up() {
    let mut run = Run::of("steps:\n  a: {uses: t, timeout: 10s}\n");
    run.tick();
    run.tick();
    assert_eq!(run.now, 16_000);
    assert_eq!(run.end.as_ref().unwrap().exit, Exit::Limit);
    let late = run.calls.remove(0);
    let output = CallResult::Output(json!(1));
    run.feed(Event::CallFinished {
        call: late.id,
        result: output,
        used: Amounts::default(),
    });
}

#[test]
fn a_run_past_its_timeout_stops_everything() {
    let mut run = Run::of("timeout: 1s\nsteps:\n  a: {uses: t}\n  b: {uses: t, needs: [a]}\n");
    run.tick();
    assert_eq!(run.exit(), Exit::Limit);
    assert_eq!(run.status("a"), StepStatus::Cancelled);
    assert_eq!(run.status("b"), StepStatus::Cancelled);
}

#[test]
fn an_interrupted_run_waits_for_its_calls_and_a_second_time_does_not() {
    let body = "steps:\n  a: {uses: t}\n  b: {uses: t, needs: [a]}\n";
    let cancel = || Event::Cancelled {
        reason: "ctrl-c".to_owned(),
    };
    let mut run = Run::of(body);
    run.feed(cancel());
    assert!(run.end.is_none());
    assert_eq!(run.exit(), Exit::Interrupted);

    let mut run = Run::of(body);
    run.feed(cancel());
    run.feed(cancel());
    assert_eq!(run.end.as_ref().unwrap().exit, Exit::Interrupted);
}

#[test]
fn a_host_that_fails_ends_the_run() {
    let mut run = Run::of("steps: {a: {uses: t}}\n");
    let failure = Failure::new(FailureClass::Internal, "the ledger is poisoned");
    run.feed(Event::HostFailed { failure });
    assert_eq!(run.exit(), Exit::Internal);
}

#[test]
fn a_failed_step_runs_its_handler_and_then_halts() {
    let mut run = Run::of(
        "handlers: {h: {uses: t, with: {class: '${{ failure.class }}', at: '${{ failure.step }}'}}}\n\
         steps:\n  a: {uses: t, on_failure: {run: h}}\n  b: {uses: t, needs: [a]}\n",
    );
    run.fail("a", FailureClass::Failed);
    assert_eq!(run.paths(), ["a!h"]);
    assert_eq!(
        *run.call("a!h").input,
        json!({"class": "failed", "at": "a"})
    );
    assert_eq!(run.call("a!h").part, Part::Handler);
    run.ok("a!h", json!(null));
    assert_eq!(run.end.as_ref().unwrap().exit, Exit::Plugin);
}

#[test]
fn a_failed_step_goes_on_when_the_plan_says_so() {
    for policy in ["on_failure: {then: continue}", "continue_on_error: true"] {
        let mut run = Run::of(&format!(
            "steps:\n  a: {{uses: t, {policy}}}\n  \
             b: {{uses: t, needs: [a], with: '${{{{ steps.a }}}}'}}\n"
        ));
        run.fail("a", FailureClass::Failed);
        assert_eq!(
            *run.call("b").input,
            json!({"output": null, "status": "failed"})
        );
        assert_eq!(run.exit(), Exit::Ok);
    }
}

#[test]
fn goto_skips_what_lies_between() {
    let mut run = Run::of(
        "steps:\n  a: {uses: t, on_failure: {then: 'goto:d'}}\n  b: {uses: t, needs: [a]}\n  \
         c: {uses: t, needs: [b]}\n  d: {uses: t, needs: [c]}\n  e: {uses: t, needs: [d]}\n  \
         z: {uses: t, needs: [b]}\n",
    );
    run.fail("a", FailureClass::Failed);
    assert_eq!(run.paths(), ["d"]);
    for path in ["b", "c", "z"] {
        assert_eq!(run.status(path), StepStatus::Skipped);
    }
    assert_eq!(run.exit(), Exit::Ok);
    assert_eq!(run.status("e"), StepStatus::Ok);
}

#[test]
fn one_failure_stops_the_others_and_decides_the_exit() {
    let mut run = Run::of("steps:\n  a: {uses: t}\n  b: {uses: t}\n  c: {uses: t, needs: [b]}\n");
    run.fail("a", FailureClass::Denied);
    assert_eq!(run.cancelled.len(), 1);
    run.fail("b", FailureClass::Failed);
    assert_eq!(run.end.as_ref().unwrap().exit, Exit::Denied);
    assert_eq!(run.status("c"), StepStatus::Cancelled);
}

#[test]
fn outputs_that_cannot_be_rendered_end_the_run_as_invalid() {
    let mut run =
        Run::of("steps: {a: {uses: t}}\noutputs: {x: '${{ steps.a.output.missing.deep }}'}\n");
    run.ok("a", json!(1));
    assert_eq!(run.end.as_ref().unwrap().exit, Exit::Internal);
}

#[test]
fn an_agents_work_carries_prompt_version_and_schema_and_its_guardrails_do_not() {
    let mut plan = plan(
        "  m: {kind: agent, source: ./m.wasm, profile: p}\n\
         steps:\n  a:\n    uses: m\n    prompt: p.md\n    prompt_version: v7\n    \
         output: {schema: {type: object}}\n    guardrails: {before: [{uses: g}]}\n",
    );
    let mut bare = plan.clone();
    bare.prompts.clear();
    let setup = RunSetup {
        run_id: "01J".to_owned(),
        plan_hash: "h".to_owned(),
        seed: 1,
        inputs: Map::new(),
        estimates: BTreeMap::new(),
        components: BTreeMap::new(),
        only: None,
        on_request: false,
    };
    assert!(planner_for(Arc::new(bare), setup).is_err());
    plan.attach_prompt("p.md", "What is it?");
    let mut run = Run::new(plan);
    assert_eq!(
        (&run.call("a").prompt, &run.call("a").schema),
        (&None, &None)
    );
    run.verdict(
        "a",
        Verdict::Pass {
            findings: Vec::new(),
        },
    );
    let call = run.call("a");
    assert_eq!(call.prompt.as_deref(), Some("What is it?"));
    assert_eq!(call.prompt_version.as_deref(), Some("v7"));
    assert_eq!(call.schema.as_deref(), Some(&json!({"type": "object"})));
}

#[test]
fn what_expressions_see_of_a_run_and_a_failure_is_known_before_it() {
    let mut run = Run::of("steps:\n  a: {uses: t}\noutputs: {run: '${{ run }}'}\n");
    run.ok("a", json!(null));
    let of_run = run.end.as_ref().unwrap().outputs["run"].clone();
    let mut run = Run::of(
        "handlers: {h: {uses: t, with: '${{ failure }}'}}\nsteps:\n  a: {uses: t, on_failure: {run: h}}\n",
    );
    run.fail("a", FailureClass::Failed);
    let failure = (*run.call("a!h").input).clone();
    let members = |of: &str, value: &Value| -> Vec<String> {
        let names = value.as_object().unwrap().keys();
        names.map(|name| format!("{of}.{name}")).collect()
    };
    let all = [
        members("run", &of_run),
        members("run.cost", &of_run["cost"]),
        members("failure", &failure),
    ]
    .concat();
    let told = |wrong: &str| {
        let with: Vec<String> = all
            .iter()
            .map(|it| format!("{}: '${{{{ {it}{wrong} }}}}'", it.replace('.', "_")))
            .collect();
        let with = with.join(", ");
        let plan = plan(&format!(
            "handlers: {{h: {{uses: t, with: {{{with}}}}}}}\nsteps:\n  a: {{uses: t, on_failure: {{run: h}}}}\n"
        ));
        let problems = Foresight::new(&plan, &Promised::new()).problems();
        problems.into_iter().map(|it| it.cure).collect::<Vec<_>>()
    };
    assert!(told("").is_empty(), "{:?}", told(""));
    let cures = told("s");
    assert_eq!(cures.len(), all.len());
    for cure in cures {
        assert!(cure.starts_with("did you mean `"), "{cure}");
    }
}
