//! What is sure before a run is told before it, by `validate`, `--dry-run` and `run` in the same words: what a sub-plan
//! does not take, expressions that cannot come right, units that are missing, and what a profile does not open.

use super::preflight::refused_alike;
use super::{plan, seen, tool};
use crate::support::Home;

/// A plan that others run.
const CHILD: &str = "flowhost: v1\nkind: workflow\nname: child\ninputs:\n  text: { type: string }\n  \
    n: { type: number, default: 3 }\n  mode: { type: string, enum: [fast, slow], default: fast }\n  \
    all: { type: list, default: [] }\nplugins: { md: { kind: tool, source: \"builtin:markdown\", profile: deny-all } }\n\
    steps: { h: { uses: md/headings, with: { text: \"${{ inputs.text }}\" } } }\noutputs: { o: \"${{ steps.h.output }}\" }\n";

const MD: &str = "  md: { kind: tool, source: \"builtin:markdown\", profile: deny-all }";

fn with_child(text: impl AsRef<[u8]>) -> Home {
    let home = Home::new();
    home.file("child.yaml", CHILD);
    home.file("plan.yaml", text);
    home
}

/// The problems of a plan, as all three commands tell them.
fn told(text: impl AsRef<[u8]>) -> String {
    refused_alike(&with_child(text))
}

#[test]
fn a_constant_that_a_sub_plan_does_not_take_is_told_before_the_run() {
    let steps = "  a: { uses: \"plan:child.yaml\", with: { text: 4, mode: fats } }\n  \
                 b: { uses: \"plan:child.yaml\", with: { text: x, n: \"5\", all: x } }";
    let home = with_child(plan(MD, steps));
    insta::assert_snapshot!(seen(&home, &["validate", "plan.yaml"]), @r#"
    $ flowhost validate plan.yaml
    ----- stderr
    error: `plan.yaml` has 4 problems

      × step `a`: the input `text` of `child.yaml` is a string, and a number is given
       ╭─[plan.yaml:7:47]
     6 │ steps:
     7 │   a: { uses: "plan:child.yaml", with: { text: 4, mode: fats } }
       ·                                               ─
     8 │   b: { uses: "plan:child.yaml", with: { text: x, n: "5", all: x } }
       ╰────
      help: write it in quotes: `"4"`

      × step `a`: the input `mode` of `child.yaml` must be one of "fast", "slow"
       ╭─[plan.yaml:7:56]
     6 │ steps:
     7 │   a: { uses: "plan:child.yaml", with: { text: 4, mode: fats } }
       ·                                                        ────
     8 │   b: { uses: "plan:child.yaml", with: { text: x, n: "5", all: x } }
       ╰────
      help: did you mean `fast`?

      × step `b`: the input `n` of `child.yaml` is a number, and text is given
       ╭─[plan.yaml:8:53]
     7 │   a: { uses: "plan:child.yaml", with: { text: 4, mode: fats } }
     8 │   b: { uses: "plan:child.yaml", with: { text: x, n: "5", all: x } }
       ·                                                     ───
       ╰────
      help: write it without quotes: `5`

      × step `b`: the input `all` of `child.yaml` is a list, and text is given
       ╭─[plan.yaml:8:63]
     7 │   a: { uses: "plan:child.yaml", with: { text: 4, mode: fats } }
     8 │   b: { uses: "plan:child.yaml", with: { text: x, n: "5", all: x } }
       ·                                                               ─
       ╰────
      help: write a list of one: `["x"]`
    ----- exit 1
    "#);
    refused_alike(&home);
}

#[test]
fn what_a_sub_plan_is_given_is_held_against_its_inputs_wherever_it_runs() {
    let step = "uses: \"plan:child.yaml\", with: { text: [1], txt: x, n: \"${{ inputs.name }}\" }";
    let input = "inputs: { name: { type: string, default: x } }\n";
    let foreach = format!("  each: {{ foreach: {{ items: [1, 2] }}, {step} }}\n{input}");
    let head = |kind: &str| format!("flowhost: v1\nkind: {kind}\nname: p\n{input}");
    let machine = format!(
        "{}initial_state: s\nfinal_states: [end]\nstates:\n  s: {{ {step}, on_success: end }}\n  end: {{}}\n",
        head("fsm")
    );
    let tree = format!(
        "{}root: {{ type: sequence, children: [{{ type: action, id: leaf, {step} }}] }}\n",
        head("behavior_tree")
    );
    for text in [plan(MD, &foreach), machine, tree] {
        let said = told(&text);
        assert!(said.contains("has no input `txt`"), "{said}");
        assert!(
            said.contains("the input `text` of `child.yaml` is a string, and a list is given"),
            "{said}"
        );
    }
    // Known once the others are mended: the plan that it runs is not read before.
    let step = "uses: \"plan:child.yaml\", with: { text: x, n: \"${{ inputs.name }}\" }";
    let said = told(plan(MD, &format!("  a: {{ {step} }}\n{input}")));
    let words = "the input `n` of `child.yaml` is a number, and `inputs.name` gives text";
    assert!(said.contains(words), "{said}");
}

#[test]
fn a_compensation_is_held_against_its_tool_as_a_step_is() {
    let steps = "  a: { uses: md/headings, with: { text: x }, compensate: { uses: md/undo, with: {} } }\n  \
                 b: { uses: md/headings, with: { text: x }, compensate: { uses: md/links, with: { txt: 1 } } }";
    let said = told(plan(MD, steps));
    for part in [
        "compensation of step `a`: `md` has no tool `undo`",
        "compensation of step `b`: `md/links` does not take this `with`",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn expressions_that_cannot_come_right_are_told_before_the_run() {
    let steps = "  a: { uses: md/headings, with: { text: x }, when: \"inputs.name\" }\n  \
                 b: { uses: md/headings, with: { text: x }, when: \"${{ inputs.n > '3' }}\" }\n  \
                 c: { uses: md/headings, with: { text: \"${{ inputs.n.size }}\" } }\n  \
                 d: { uses: md/headings, with: { text: \"${{ inputs.n }}\" } }\n\
                 inputs: { n: { type: number, default: 1 }, name: { type: string, default: x } }";
    let home = with_child(plan(MD, steps));
    insta::assert_snapshot!(seen(&home, &["validate", "plan.yaml"]), @r#"
    $ flowhost validate plan.yaml
    ----- stderr
    error: `plan.yaml` has 4 problems

      × the condition `inputs.name` gives text, not true or false
       ╭─[plan.yaml:7:52]
     6 │ steps:
     7 │   a: { uses: md/headings, with: { text: x }, when: "inputs.name" }
       ·                                                    ─────────────
     8 │   b: { uses: md/headings, with: { text: x }, when: "${{ inputs.n > '3' }}" }
       ╰────
      help: compare it, as in `… != ''`

      × `inputs.n > '3'`: `>` does not go with a number and text
       ╭─[plan.yaml:8:52]
     7 │   a: { uses: md/headings, with: { text: x }, when: "inputs.name" }
     8 │   b: { uses: md/headings, with: { text: x }, when: "${{ inputs.n > '3' }}" }
       ·                                                    ────
     9 │   c: { uses: md/headings, with: { text: "${{ inputs.n.size }}" } }
       ╰────
      help: `string(…)` makes text of a number, and `double(…)` a number of text

      × `inputs.n.size`: a number has no member `size`
        ╭─[plan.yaml:9:41]
      8 │   b: { uses: md/headings, with: { text: x }, when: "${{ inputs.n > '3' }}" }
      9 │   c: { uses: md/headings, with: { text: "${{ inputs.n.size }}" } }
        ·                                         ────
     10 │   d: { uses: md/headings, with: { text: "${{ inputs.n }}" } }
        ╰────

      × step `d`: `md/headings` does not take this `with`: at `/text`: `inputs.n` gives a number, and
      │ text is wanted
        ╭─[plan.yaml:10:41]
      9 │   c: { uses: md/headings, with: { text: "${{ inputs.n.size }}" } }
     10 │   d: { uses: md/headings, with: { text: "${{ inputs.n }}" } }
        ·                                         ────
     11 │ inputs: { n: { type: number, default: 1 }, name: { type: string, default: x } }
        ╰────
      help: it takes `text` (required)
    ----- exit 1
    "#);
    refused_alike(&home);
}

#[test]
fn a_condition_that_the_inputs_of_a_run_leave_without_an_answer_is_told() {
    let steps = |more: &str, default: &str| {
        format!(
            "  a: {{ uses: md/headings, with: {{ text: x }}, when: \"inputs.o.n\"{more} }}\n\
             inputs: {{ o: {{ type: object, default: {default} }} }}"
        )
    };
    for (default, words) in [
        (
            "{ n: 3 }",
            "step `a`: the condition `inputs.o.n` gives a number on these inputs, not true or false",
        ),
        (
            "{ m: 3 }",
            "step `a`: `inputs.o.n` fails on these inputs: an object has no member `n`",
        ),
    ] {
        let said = told(plan(MD, &steps("", default))).replace("\n  │ ", " ");
        assert!(said.contains(words), "{words}: {said}");
        assert!(said.contains("plan.yaml:7:52"), "{said}");
    }
    // Whose failure the plan lives with is left to the run.
    for (more, default) in [
        ("", "{ n: true }"),
        (", continue_on_error: true", "{ n: 3 }"),
    ] {
        with_child(plan(MD, &steps(more, default)))
            .flowhost(&["validate", "plan.yaml"])
            .expect(0);
    }
}

#[test]
fn what_a_tool_promises_says_which_expressions_cannot_come_right() {
    let plugins = "  files: { kind: tool, source: \"builtin:files\", profile: tool-readonly }";
    for (more, words) in [
        (
            "when: \"steps.list.output\"",
            "the condition `steps.list.output` gives an object, not true or false",
        ),
        (
            "when: \"steps.list.output.truncated == 'yes'\"",
            "`==` never holds between true or false and text",
        ),
        (
            "when: \"steps.list.output.paths.exists(it, it > 3)\"",
            "`>` does not go with text and a number",
        ),
        (
            "checks: [{ id: c, that: \"output.paths\" }]",
            "the condition `output.paths` gives a list, not true or false",
        ),
        (
            "foreach: { items: \"${{ steps.list.output.truncated }}\" }",
            "`items` of `foreach`: `steps.list.output.truncated` gives true or false, not a list",
        ),
        (
            "checks: [{ id: c, that: \"output.?paths\" }]",
            "the condition `output.?paths` gives an optional value, not true or false",
        ),
    ] {
        let steps = format!(
            "  list: {{ uses: files/list, with: {{ path: /docs }} }}\n  \
             next: {{ needs: [list], uses: files/list, with: {{ path: /docs }}, {more} }}"
        );
        let home = with_child(plan(plugins, &steps));
        home.file("docs/a.md", "# A\n");
        let said = refused_alike(&home);
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn a_unit_that_is_missing_or_written_as_elsewhere_has_its_cure() {
    let step = |more: &str| {
        format!("steps: {{ a: {{ uses: md/headings, with: {{ text: x }}, {more} }} }}\n")
    };
    let head = format!("flowhost: v1\nkind: workflow\nname: p\nplugins:\n{MD}\n");
    for (rest, words) in [
        (step("timeout: 5"), "did you mean `5s`?"),
        (step("timeout: 5000"), "did you mean `5000ms` or `5000s`?"),
        (step("timeout: 1.5 min"), "did you mean `90s`?"),
        (step("timeout: 2 hours"), "did you mean `2h`?"),
        (
            step("retry: { max_attempts: 2, backoff: { initial: 0.5, max: 10 } }"),
            "did you mean `500ms`?",
        ),
        (
            step("retry: { max_attempts: \"3\" }"),
            "write it without quotes: `3`",
        ),
        (step("continue_on_error: yes"), "write `true`"),
        (
            format!("timeout: 1h 30min\n{}", step("timeout: 1s")),
            "did you mean `90m`?",
        ),
        (
            format!("budget: {{ usd: \"$3\" }}\n{}", step("timeout: 1s")),
            "did you mean `3`?",
        ),
        (
            format!("budget: {{ usd: \"0,50 USD\" }}\n{}", step("timeout: 1s")),
            "did you mean `0.50`?",
        ),
        (
            format!("budget: {{ evidence: 1 GB }}\n{}", step("timeout: 1s")),
            "did you mean `1GiB`?",
        ),
        (
            format!("budget: {{ evidence: 65536 }}\n{}", step("timeout: 1s")),
            "did you mean `64KiB`?",
        ),
    ] {
        let said = told(format!("{head}{rest}"));
        assert!(said.contains(words), "{words}: {said}");
    }
    let home = with_child(format!("{head}{}", step("timeout: 5")));
    // As it is: in other snapshots a duration is not what it says.
    let said = home.flowhost(&["validate", "plan.yaml"]).expect(1).stderr;
    insta::assert_snapshot!(said, @r#"
    error: `plan.yaml` has 1 problem

      × timeout: expected a duration such as `100ms`, `30s`, `10m` or `2h`, found `5`
       ╭─[plan.yaml:6:62]
     5 │   md: { kind: tool, source: "builtin:markdown", profile: deny-all }
     6 │ steps: { a: { uses: md/headings, with: { text: x }, timeout: 5 } }
       ·                                                              ─
       ╰────
      help: did you mean `5s`?
    "#);
}

#[test]
fn so_it_is_in_a_profile() {
    let profile = |lines: &str| format!("version = 1\nname = \"own\"\n{lines}\n");
    for (lines, words) in [
        ("[limits]\ndeadline = 5", "did you mean `\"5s\"`?"),
        (
            "[limits]\ndeadline = \"5 minutes\"",
            "did you mean `\"5m\"`?",
        ),
        ("[limits]\nmemory = \"64MB\"", "did you mean `\"64MiB\"`?"),
        ("[limits]\nmemory = 67108864", "did you mean `\"64MiB\"`?"),
        (
            "[limits]\nfuel = \"1_000\"",
            "write it without quotes: `1_000`",
        ),
        (
            "[state]\nnamespaces = [\"a\"]\nbytes = 1048576",
            "did you mean `\"1MiB\"`?",
        ),
        (
            "[model]\nallow = [\"mock/*\"]\ntokens = \"100\"\nusd = 1.0",
            "write it without quotes: `100`",
        ),
        (
            "[model]\nallow = [\"mock/*\"]\ntokens = 100\nusd = \"$1.50\"",
            "write it without quotes: `1.50`",
        ),
    ] {
        let home = with_child(plan(
            &MD.replace("deny-all", "own"),
            "  a: { uses: md/headings, with: { text: x } }",
        ));
        home.file("policies/own.toml", profile(lines));
        let said = refused_alike(&home);
        assert!(said.contains(words), "{words}: {said}");
    }
}

/// A plan of two plugins under a profile that came with it and that says what only the operator gives.
fn lent() -> Home {
    let fetch = |name: &str| {
        format!("  {name}: {{ kind: tool, source: \"builtin:http-fetch\", profile: net }}\n")
    };
    let steps = "  a: { uses: f, with: { url: \"https://127.0.0.1:9/\" } }";
    let home = with_child(plan(&(fetch("f") + &fetch("g")), steps));
    home.file(
        "policies/net.toml",
        "version = 1\nname = \"net\"\n[[http]]\nurl = \"https://127.0.0.1:9/\"\nmethods = [\"GET\"]\n\
         private_network = true\ninject = { header = \"authorization\", value = \"Bearer ${secret:TOKEN}\" }\n",
    );
    home
}

#[test]
fn what_a_profile_loses_and_what_needs_a_second_key_is_said_once() {
    const LOST: &str = "note: plugins `f`, `g`: `inject` of the secret `TOKEN` (policies/net.toml:7) is not given: \
        a profile that came with the plan gives nothing of yours; if you have read the profiles and stand behind \
        them, name their folder with `--policies policies`, or as `policies` in your own configuration\n";
    const KEY: &str = "note: plugins `f`, `g`: `private_network` (policies/net.toml:6) opens private addresses only \
        together with `--allow-private-network`: without it, requests to them are refused\n";
    let home = lent();
    for arguments in [
        &["validate", "plan.yaml"][..],
        &["run", "plan.yaml", "--dry-run"],
        &["run", "plan.yaml"],
        &["run", "plan.yaml", "--json"],
    ] {
        let said = home.flowhost(arguments).all();
        for note in [LOST, KEY] {
            assert_eq!(said.matches(note).count(), 1, "{note}: {said}");
        }
        let opened = [arguments, &["--allow-private-network"]].concat();
        let said = home.flowhost(&opened).all();
        assert!(said.contains(LOST), "{said}");
        assert!(!said.contains("opens private addresses"), "{said}");
    }
    let adopted = home.flowhost(&["validate", "plan.yaml", "--policies", "policies"]);
    assert!(
        !adopted.all().contains("gives nothing of yours"),
        "{}",
        adopted.all()
    );
    let document = home
        .flowhost(&["validate", "plan.yaml", "--json"])
        .expect(0)
        .json();
    assert_eq!(
        document["notes"].as_array().unwrap().len(),
        2,
        "{document:#}"
    );
}

#[test]
fn a_tool_of_the_folder_needs_no_key_and_has_no_note() {
    let home = Home::new();
    home.guest("ok_echo");
    home.file(
        "plan.yaml",
        plan(
            &tool("ok_echo", "deny-all"),
            "  a: { uses: ok_echo/run, with: {} }",
        ),
    );
    let said = home
        .flowhost(&[
            "validate",
            "plan.yaml",
            "--allow-private-network",
            "--allow-process",
        ])
        .expect(0);
    assert!(!said.stdout.contains("allow-"), "{}", said.all());
}

#[test]
fn what_the_inputs_of_a_run_make_of_its_steps_is_told_before_the_run() {
    let inputs = "inputs: { n: { type: list, default: [1] }, mode: { type: string, default: other }, word: { type: \
                  string, default: no } }";
    let steps = format!(
        "  a: {{ uses: md/headings, with: {{ text: \"${{{{ inputs.n[0] }}}}\" }} }}\n  \
         b: {{ needs: [a], uses: md/headings, with: {{ text: \"${{{{ inputs.n[7] }}}}\" }} }}\n  \
         c: {{ uses: \"plan:child.yaml\", with: {{ text: x, mode: \"${{{{ inputs.mode }}}}\" }} }}\n{inputs}"
    );
    let home = with_child(plan(MD, &steps));
    insta::assert_snapshot!(seen(&home, &["validate", "plan.yaml"]), @r#"
    $ flowhost validate plan.yaml
    ----- stderr
    error: `plan.yaml` has 3 problems

      × step `a`: `md/headings` does not take this `with`: at `/text`: value is not of type "string"
       ╭─[plan.yaml:7:41]
     6 │ steps:
     7 │   a: { uses: md/headings, with: { text: "${{ inputs.n[0] }}" } }
       ·                                         ────
     8 │   b: { needs: [a], uses: md/headings, with: { text: "${{ inputs.n[7] }}" } }
       ╰────
      help: it takes `text` (required)

      × step `b`: `inputs.n[7]` fails on these inputs: a list of 1 has no element 7
       ╭─[plan.yaml:8:53]
     7 │   a: { uses: md/headings, with: { text: "${{ inputs.n[0] }}" } }
     8 │   b: { needs: [a], uses: md/headings, with: { text: "${{ inputs.n[7] }}" } }
       ·                                                     ────
     9 │   c: { uses: "plan:child.yaml", with: { text: x, mode: "${{ inputs.mode }}" } }
       ╰────
      help: give others by `--input`

      × step `c`: the input `mode` of `child.yaml` must be one of "fast", "slow": on these inputs
      │ `inputs.mode` is `"other"`
        ╭─[plan.yaml:9:56]
      8 │   b: { needs: [a], uses: md/headings, with: { text: "${{ inputs.n[7] }}" } }
      9 │   c: { uses: "plan:child.yaml", with: { text: x, mode: "${{ inputs.mode }}" } }
        ·                                                        ────
     10 │ inputs: { n: { type: list, default: [1] }, mode: { type: string, default: other }, word: { type: string, default: no } }
        ╰────
      help: give another by `--input`
    ----- exit 1
    "#);
    refused_alike(&home);
    // Who may not run, or whose failure the plan lives with, is left to the run.
    for more in [
        "when: \"inputs.word == 'yes'\"",
        "continue_on_error: true",
        "on_failure: { then: continue }",
        "foreach: { items: [] }",
        "needs: [first]",
    ] {
        let steps = format!(
            "  first: {{ uses: md/headings, with: {{ text: x }}, when: \"inputs.word == 'yes'\" }}\n  \
             b: {{ uses: md/headings, with: {{ text: \"${{{{ inputs.n[7] }}}}\" }}, {more} }}\n{inputs}"
        );
        let home = with_child(plan(MD, &steps));
        let said = home.flowhost(&["validate", "plan.yaml"]);
        assert_eq!(said.code, 0, "{more}: {}", said.all());
    }
}

#[test]
fn tools_of_a_server_that_nobody_accepted_are_told_without_asking_it() {
    let plugins = "  peer: { kind: mcp_adapter, source: \"builtin:mcp-client\", profile: mcp-local, config: { url: \
                   \"http://127.0.0.1:8765/mcp\" } }";
    let home = with_child(plan(plugins, "  a: { uses: peer/raed, with: {} }"));
    home.flowhost(&["validate", "plan.yaml"]).expect(0);
    home.flowhost(&["plugin", "lock", "plan.yaml"]).expect(0);
    let lock = home.read("flowhost.lock");
    // As `mcp inspect --pin` keeps what a person accepted.
    home.file(
        "flowhost.lock",
        format!(
            "{lock}\n[plugins.peer.tools]\nread = \"sha256:{}\"\n",
            "1".repeat(64)
        ),
    );
    let said = refused_alike(&home);
    assert!(said.contains("`peer` has no tool `raed`"), "{said}");
    assert!(said.contains("did you mean `peer/read`?"), "{said}");
}

#[test]
fn a_profile_that_does_not_pay_for_one_model_call_is_told_before_the_run() {
    let profile = |amounts: &str| {
        format!(
            "version = 1\nname = \"small\"\nlog = true\nconfig = true\nbudget = true\n[model]\nallow = \
             [\"mock/*\"]\n{amounts}\n[tools]\ncall = []\n[messages]\n"
        )
    };
    let agent = |more: &str| {
        format!(
            "  one: {{ kind: agent, source: \"builtin:llm-agent\", profile: small, config: {{ role: one, model: \
             mock/any{more} }} }}"
        )
    };
    let steps = "  a: { uses: one, with: { text: x } }";
    let home = with_child(plan(&agent(", max_tokens: 200"), steps));
    home.file("policies/small.toml", profile("tokens = 50\nusd = 1.0"));
    let said = refused_alike(&home).replace("\n  │ ", " ");
    for part in [
        "(an answer of up to 200 tokens, and a prompt), and the plugin may spend 50 tokens in a run",
        "plan.yaml:5:",
        "or more in [model] of policies/small.toml",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    // What an agent asks for that does not say is known, too.
    home.file("plan.yaml", plan(&agent(""), steps));
    let said = refused_alike(&home).replace("\n  │ ", " ");
    assert!(said.contains("an answer of up to 1024 tokens"), "{said}");
    home.file("policies/small.toml", profile("tokens = 2000\nusd = 1.0"));
    home.flowhost(&["validate", "plan.yaml"]).expect(0);
}
