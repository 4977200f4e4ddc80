//! Plans that no run should start with.

use super::{home, plan, seen, tool};
use crate::support::Home;

fn yaml(text: impl AsRef<[u8]>) -> Home {
    let home = Home::new();
    home.guest("ok_echo");
    home.file("plan.yaml", text);
    home
}

fn validated(home: &Home) -> String {
    seen(home, &["validate", "plan.yaml"])
}

#[test]
fn every_unknown_key_is_told_at_once_with_its_place_and_a_suggestion() {
    let steps = "  only: { uses: ok_echo/run, wiht: {}, need: [] }";
    let text = plan(&tool("ok_echo", "deny-all"), steps)
        .replace("kind: workflow", "kind: workflow\noutput: {}");
    insta::assert_snapshot!(validated(&yaml(text)), @r#"
    $ flowhost validate plan.yaml
    ----- stderr
    error: `plan.yaml` has 3 problems

      × unknown key `output` in plan
       ╭─[plan.yaml:3:1]
     2 │ kind: workflow
     3 │ output: {}
       · ──────
     4 │ name: under-test
       ╰────
      help: did you mean `outputs`?

      × unknown key `wiht` in step
       ╭─[plan.yaml:9:30]
     8 │ steps:
     9 │   only: { uses: ok_echo/run, wiht: {}, need: [] }
       ·                              ────
       ╰────
      help: did you mean `with`?

      × unknown key `need` in step
       ╭─[plan.yaml:9:40]
     8 │ steps:
     9 │   only: { uses: ok_echo/run, wiht: {}, need: [] }
       ·                                        ────
       ╰────
      help: did you mean `needs`?
    ----- exit 1
    "#);
}

#[test]
fn a_cycle_of_needs() {
    let steps = "  a: { needs: [b], uses: ok_echo/run, with: {} }\n  b: { needs: [a], uses: ok_echo/run, with: {} }";
    insta::assert_snapshot!(validated(&yaml(plan(&tool("ok_echo", "deny-all"), steps))), @r#"
    $ flowhost validate plan.yaml
    ----- stderr
    error: `plan.yaml` has 1 problem

      × the steps wait for each other: `a` needs `b` needs `a`
       ╭─[plan.yaml:8:15]
     7 │ steps:
     8 │   a: { needs: [b], uses: ok_echo/run, with: {} }
       ·               ──
     9 │   b: { needs: [a], uses: ok_echo/run, with: {} }
       ╰────
      help: remove one of these needs
    ----- exit 1
    "#);
}

#[test]
fn a_step_that_reads_what_it_does_not_need() {
    let steps = "  a: { uses: ok_echo/run, with: {} }\n  b: { uses: ok_echo/run, with: { x: \"${{ steps.a.output }}\" } }";
    insta::assert_snapshot!(validated(&yaml(plan(&tool("ok_echo", "deny-all"), steps))), @r#"
    $ flowhost validate plan.yaml
    ----- stderr
    error: `plan.yaml` has 1 problem

      × step `b` uses `steps.a` without needing it
       ╭─[plan.yaml:9:38]
     8 │   a: { uses: ok_echo/run, with: {} }
     9 │   b: { uses: ok_echo/run, with: { x: "${{ steps.a.output }}" } }
       ·                                      ────
       ╰────
      help: add `a` to its `needs`, or it may run first
    ----- exit 1
    "#);
}

#[test]
fn an_expression_that_does_not_parse() {
    let steps = "  a: { uses: ok_echo/run, with: { x: \"${{ 1 + }}\" } }";
    insta::assert_snapshot!(validated(&yaml(plan(&tool("ok_echo", "deny-all"), steps))), @r#"
    $ flowhost validate plan.yaml
    ----- stderr
    error: `plan.yaml` has 1 problem

      × `1 +`: Syntax error: the expression ends, and a value is missing
       ╭─[plan.yaml:8:38]
     7 │ steps:
     8 │   a: { uses: ok_echo/run, with: { x: "${{ 1 + }}" } }
       ·                                      ────
       ╰────
    ----- exit 1
    "#);
}

#[test]
fn yaml_that_is_none() {
    insta::assert_snapshot!(validated(&yaml("flowhost: v1\n  kind: [workflow\n")), @r#"
    $ flowhost validate plan.yaml
    ----- stderr
    error: `plan.yaml` has 1 problem

      × this line is indented below `flowhost: v1`, which has its value already
       ╭─[plan.yaml:2:7]
     1 │ flowhost: v1
     2 │   kind: [workflow
       ·       ─
       ╰────
      help: begin it in the column of line 1
    ----- exit 1
    "#);
}

#[test]
fn an_empty_plan() {
    insta::assert_snapshot!(validated(&yaml("")), @r#"
    $ flowhost validate plan.yaml
    ----- stderr
    error: `plan.yaml` has 1 problem

      × plan.yaml:1:1: the plan: expected a map with keys such as `flowhost`, `kind`, `name`, found
      │ nothing
      help: `flowhost new NAME` makes a plan that runs, to begin with
    ----- exit 1
    "#);
}

#[test]
fn a_plan_that_is_not_there() {
    insta::assert_snapshot!(validated(&Home::new()), @r#"
    $ flowhost validate plan.yaml
    ----- stderr
    error: `plan.yaml` has 1 problem

      × plan.yaml: the plan does not exist
      help: check the path
    ----- exit 1
    "#);
}

#[test]
fn an_alias_bomb_is_refused_quickly() {
    let mut text =
        "flowhost: v1\nkind: workflow\nname: bomb\na0: &a0 [x, x, x, x, x, x, x, x, x]\n"
            .to_owned();
    for n in 1..12 {
        let before = vec![format!("*a{}", n - 1); 9].join(", ");
        text.push_str(&format!("a{n}: &a{n} [{before}]\n"));
    }
    let ran = yaml(text).flowhost(&["validate", "plan.yaml"]).expect(1);
    assert!(
        ran.stderr.len() < 10_000 && ran.stderr.contains("plan.yaml"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_huge_plan_is_refused_with_its_limit() {
    let text = format!(
        "flowhost: v1\nkind: workflow\nname: huge\ndescription: \"{}\"\n",
        "x".repeat(8 << 20)
    );
    let ran = yaml(text).flowhost(&["validate", "plan.yaml"]).expect(1);
    assert!(
        ran.stderr.contains("MiB") || ran.stderr.contains("bytes"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.len() < 2_000, "{}", ran.stderr.len());
}

#[test]
fn a_deeply_nested_plan_is_refused() {
    let deep = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    let text = plan(
        &tool("ok_echo", "deny-all"),
        &format!("  a: {{ uses: ok_echo/run, with: {deep} }}"),
    );
    let ran = yaml(text).flowhost(&["validate", "plan.yaml"]).expect(1);
    let words = ["nest", "deep", "recursion"];
    assert!(
        words.iter().any(|word| ran.stderr.contains(word)),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr.len() < 1_000,
        "the line itself is not shown: {}",
        ran.stderr.len()
    );
}

#[test]
fn terminal_escapes_in_a_plan_do_not_reach_the_terminal() {
    let text = "flowhost: v1\nkind: workflow\nname: x\n\"\\e]52;c;aGk=\\a\\u202e\": 1\nsteps: {}\n";
    let ran = yaml(text).flowhost(&["validate", "plan.yaml"]).expect(1);
    let hostile = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    assert!(!ran.stderr.contains(hostile), "{:?}", ran.stderr);
}

#[test]
fn an_input_that_nobody_gave_or_of_another_type() {
    let text = plan(
        &tool("ok_echo", "deny-all"),
        "  only: { uses: ok_echo/run, with: { n: \"${{ inputs.n }}\" } }",
    )
    .replace("plugins:", "inputs:\n  n: { type: number }\nplugins:");
    let home = yaml(text);
    insta::assert_snapshot!(seen(&home, &["run", "plan.yaml"]), @r#"
    $ flowhost run plan.yaml
    ----- stderr
    error: `plan.yaml` has 1 problem

      × input `n` is required and not given
       ╭─[plan.yaml:5:6]
     4 │ inputs:
     5 │   n: { type: number }
       ·      ─
     6 │ plugins:
       ╰────
      help: --input n=…
    ----- exit 1
    "#);
    insta::assert_snapshot!(seen(&home, &["run", "plan.yaml", "--input", "n=many"]), @r#"
    $ flowhost run plan.yaml --input n=many
    ----- stderr
    error: `plan.yaml` has 1 problem

      × input `n` is a number, and `many` is not
      help: --input n=3
    ----- exit 1
    "#);
    insta::assert_snapshot!(seen(&home, &["run", "plan.yaml", "--input", "m=1"]), @r#"
    $ flowhost run plan.yaml --input m=1
    ----- stderr
    error: `plan.yaml` has 2 problems

      × plan.yaml: the plan has no input `m`
      help: known inputs: `n`

      × input `n` is required and not given
       ╭─[plan.yaml:5:6]
     4 │ inputs:
     5 │   n: { type: number }
       ·      ─
     6 │ plugins:
       ╰────
      help: --input n=…
    ----- exit 1
    "#);
    home.flowhost(&["run", "plan.yaml", "--input", "n=1"])
        .expect(0);
}

#[test]
fn a_valid_plan_says_so() {
    let home = home(&["ok_echo"], "  only: { uses: ok_echo/run, with: {} }");
    insta::assert_snapshot!(validated(&home), @r#"
    $ flowhost validate plan.yaml
    ----- stdout
    plan.yaml: `under-test` is valid (1 step, 1 plugin)
    plan 94a29c58dd0c2419d550a28674f6622e990123c2f8e00cf7fc734316b87dbc94
    note: plugin `ok_echo`: no manifest was found: not in `ok_echo.wasm`, nor `ok_echo.toml` or `plugin.toml` beside it; it asks for what it imports, and its tool is `run`
    ----- exit 0
    "#);
}

/// A plan whose only plugin is narrowed to this, line 7 first.
fn narrowed(to: &str) -> crate::support::Home {
    let home = super::home(&["ok_echo"], "  only: { uses: ok_echo/run, with: {} }");
    let narrow = format!("profile: tool-pure,\n      narrow: {{\n{to} }} }}");
    let plan = home
        .read("plan.yaml")
        .replace("profile: deny-all }", &narrow);
    home.file("plan.yaml", plan);
    home
}

#[test]
fn a_limit_that_is_narrowed_too_far_is_named_with_its_cure() {
    let ran = narrowed("limits: { fuel: 1000 }")
        .flowhost(&["run", "plan.yaml"])
        .expect(1);
    for part in [
        "limit `fuel` was reached",
        "raise `limits.fuel`",
        "narrow it less",
    ] {
        assert!(ran.stderr.contains(part), "{part}: {}", ran.all());
    }
}

#[test]
fn a_narrowing_that_raises_or_cannot_be_read_is_told_at_its_key() {
    let raises = "        limits: {\n          output: 1KiB,\n          memory: 4GiB },\n        grants: { state: {\n          \
                  namespaces: [\n            reminders,\n            other ] } }";
    let ran = narrowed(raises)
        .flowhost(&["validate", "plan.yaml", "--json"])
        .expect(1);
    let lines = |document: &serde_json::Value| -> Vec<(u64, String)> {
        let problems = document["problems"].as_array().unwrap().iter();
        let told = |it: &serde_json::Value| {
            (
                it["line"].as_u64().unwrap(),
                it["message"].as_str().unwrap().to_owned(),
            )
        };
        problems.map(told).collect()
    };
    let found = lines(&ran.json());
    let at = |line: u64, part: &str| {
        found
            .iter()
            .any(|(at, text)| *at == line && text.contains(part))
    };
    assert!(at(9, "limits.memory"), "{found:?}");
    assert!(at(13, "`other`"), "{found:?}");
    let below = "        grants: { files: [\n          { guest: /a,\n            host: \"${inputs.x}/sub\" } ] }";
    let ran = narrowed(below)
        .flowhost(&["validate", "plan.yaml", "--json"])
        .expect(1);
    let found = lines(&ran.json());
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, 9, "{found:?}");
    assert!(found[0].1.contains("is the whole of it"), "{found:?}");
}

/// What is told of a plan with these lines after its plugins.
fn told(rest: &str) -> String {
    let head = "flowhost: v1\nkind: workflow\nname: p\nplugins:\n  md: { kind: tool, source: \"builtin:markdown\", profile: deny-all }\n  \
                r: { kind: guardrail, source: \"builtin:redact\", profile: deny-all }\n";
    yaml(format!("{head}{rest}"))
        .flowhost(&["validate", "plan.yaml"])
        .expect(1)
        .stderr
}

#[test]
fn one_fault_is_one_problem() {
    for (rest, words) in [
        // What belongs to a step, indented no further than its name.
        (
            "steps:\n  a:\n    uses: md/headings\n  with: { text: x }\n",
            "indent it under `a`",
        ),
        (
            "steps:\n  a:\n  uses: md/headings\n  with: { text: x }\n",
            "indent it under `a`",
        ),
        (
            "steps:\n  a:\n    uses: md/headings\n    with:\n    text: x\n",
            "if it belongs to `with`, indent it further",
        ),
        // What follows from another problem.
        (
            "steps:\n  a: { use: md/headings, with: { text: x } }\n",
            "did you mean `uses`?",
        ),
        (
            "steps: {}\noutputs: { o: \"${{ steps.a.output }}\" }\n",
            "a plan needs a step",
        ),
        (
            "initial_state: a\nfinal_states: [a]\nstates: { a: { uses: md/headings, with: { text: x } } }\n",
            "write `kind: fsm`",
        ),
    ] {
        let said = told(rest);
        assert!(said.contains("has 1 problem\n"), "{rest}: {said}");
        assert!(said.contains(words), "{words}: {said}");
    }
    let machine = "flowhost: v1\nkind: fsm\nname: p\nplugins:\n  md: { kind: tool, source: \"builtin:markdown\", profile: deny-all }\n\
                   initial_state: a\nfinal_states: a\nstates: { a: { uses: md/headings, with: { text: x } } }\n";
    let said = yaml(machine).flowhost(&["validate", "plan.yaml"]).expect(1);
    assert!(said.stderr.contains("has 1 problem\n"), "{}", said.all());
    assert!(said.stderr.contains("write `[a]`"), "{}", said.all());
}

#[test]
fn what_other_tools_call_it_is_told_with_our_word() {
    let step =
        |more: &str| format!("steps:\n  a: {{ uses: md/headings, with: {{ text: x }}, {more} }}\n");
    for (rest, words) in [
        (step("if: true"), "write `when`"),
        (step("depends_on: [b]"), "write `needs`"),
        (step("run: ls"), "a step runs a plugin, and no command line"),
        (step("retry: 3"), "write `{ max_attempts: 3 }`"),
        (step("on_failure: continue"), "write `{ then: continue }`"),
        (step("foreach: [1]"), "foreach: expected a map"),
        (step("foreach: { in: [1] }"), "write `items`"),
        (step("guardrails: { before: [r] }"), "write `{ uses: r }`"),
        (
            step("guardrails: { before: [{ uses: md }] }"),
            "guardrails of this plan: `r`",
        ),
        (
            step("when: \"${{ env.HOME == 'x' }}\""),
            "the environment is never in reach",
        ),
        (
            step("when: \"${{ length('x') > 0 }}\""),
            "did you mean `size`?",
        ),
        (
            step("when: \"${{ size('x' }}\""),
            "the expression ends, and `)` is missing",
        ),
        (step("when: \"${{ 1 = 1 }}\""), "write `==`"),
        (
            step("output: { schema: { type: objct } }"),
            "did you mean `object`?",
        ),
        (
            step("timeout: 30s") + "inputs: { n: { type: number, default: \"5\" } }\n",
            "write it without quotes: `5`",
        ),
        (step("timeout: 30s") + "tools: {}\n", "write `plugins`"),
    ] {
        let said = told(&rest);
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn a_label_that_is_too_long_is_told_by_validate_and_run_before_anything_begins() {
    let steps = "  only: { uses: ok_echo/run, with: {} }";
    let text = plan(&tool("ok_echo", "deny-all"), steps).replace(
        "plugins:",
        "labels: { about: \"${{ inputs.doc }}\" }\ninputs: { doc: { type: file, path: big.txt } }\nplugins:",
    );
    let home = yaml(text);
    home.file("big.txt", "x".repeat(70_000));
    for command in ["validate", "run"] {
        let told = home.flowhost(&[command, "plan.yaml"]).expect(1).stderr;
        let why = "label `about`: its value has 70000 characters, and a label has at most 256";
        assert!(told.contains(why), "{told}");
        assert!(!told.contains("disk"), "{told}");
    }
    let list = home.flowhost(&["runs", "list", "--json"]).expect(0).json();
    assert_eq!(list.as_array().map(Vec::len), Some(0), "{list:#}");
    home.file("big.txt", "short");
    home.flowhost(&["validate", "plan.yaml"]).expect(0);
}

#[test]
fn a_document_of_the_evidence_that_is_no_map_is_one_problem_and_no_missing_file() {
    let home = Home::new();
    home.warm();
    let plugins = "  markdown: { kind: tool, source: \"builtin:markdown\", profile: deny-all }\n";
    let steps = "  a: { uses: markdown/headings, stage: one, with: { text: \"# A\" } }\n\
                 evidence: { spec_id: sp-1, spec: spec.md }";
    home.file("spec.md", "# A\n");
    home.file("plan.yaml", plan(plugins, steps));
    let told = home.flowhost(&["validate", "plan.yaml", "--json"]);
    let told = told.expect(1).json();
    let problems = told["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 1, "{told:#}");
    let message = problems[0]["message"].as_str().unwrap();
    assert!(message.starts_with("spec: expected a map"), "{told:#}");
}
