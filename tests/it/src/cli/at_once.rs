//! One round tells all that is wrong: what does not depend on a part that is wrong is looked at all the same, and what
//! only follows from it is not told.

use super::plan;
use super::preflight::{OWN, agent, refused_alike};
use crate::support::Home;

/// A plan with faults of every kind: of its form, of names, of types, of rights, of a model, of a template.
const FAULTS: &str = "flowhost: v1
kind: workflow
name: faults
inputs:
  many: { type: nuber }
  few: { type: number }
  word: { type: string }
plugins:
  md: { kind: tool, source: \"builtin:markdown\", profile: deny-al }
  files: { kind: tool, source: \"builtin:files\", profile: deny-all, verison: 1 }
  writer: { kind: agent, source: \"builtin:llm-agent\", profile: agent-any-model, config: { role: writer, model: mok/a } }
  redact: { kind: guardrail, source: \"builtin:redact\", profile: deny-all }
steps:
  read:
    uses: files/raed
    timeout: 5
    with: { path: /a.md }
  look:
    needs: [raed]
    uses: md/headings
    with: { txt: 1 }
    when: \"inputs.few < 'x'\"
  ask:
    needs: [look]
    uses: writer
    prompt: ask.md
    wiht: { text: x }
    guardrails: { before: [{ uses: redact, with: { kind: key } }] }
outputs:
  known: \"${{ size(inputs.many) > inputs.many }}\"
  first: \"${{ steps.read.output.txt }}\"
";

fn faulty() -> Home {
    let home = Home::new();
    home.file("plan.yaml", FAULTS);
    home.file("ask.md", "{{ nobody }} {{ input.text }}");
    home
}

#[test]
fn faults_of_every_kind_are_told_in_one_round_by_all_three() {
    let said = refused_alike(&faulty());
    for words in [
        // The form.
        "did you mean `number`?",
        "unknown key `verison` in plugin",
        "timeout: expected a duration",
        "unknown key `wiht` in step",
        // Names.
        "needs `raed`, which is not a step",
        "the profile `deny-al` was not found",
        "did you mean `files/read`?",
        // Types.
        "`md/headings` does not take this `with`",
        "`<` does not go with a number and text",
        "guardrail `redact` does not take this `with`",
        // Rights, models, templates, inputs.
        "plugin `files` imports `flowhost:files/",
        "has no provider `mok`",
        "it asks for `nobody`",
        "input `few` is required and not given",
        "input `word` is required and not given",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn what_follows_from_a_fault_is_not_told() {
    let said = refused_alike(&faulty());
    for words in [
        // Nobody knows what type the input has, which step was needed, or what the step is given.
        "size(inputs.many)",
        "input `many`",
        "input.text",
        // What a plugin may do whose profile is not there.
        "plugin `md` imports",
        // Not what a step reads of one that is wrong.
        "gives no `txt`",
    ] {
        assert!(!said.contains(words), "{words}: {said}");
    }
}

#[test]
fn the_name_that_a_foreach_gives_its_items_is_among_those_that_are_known() {
    let home = Home::new();
    let plugins = "  md: { kind: tool, source: \"builtin:markdown\", profile: deny-all }";
    let steps = "  each: { foreach: { items: [a], as: n }, uses: md/headings, with: { text: \"${{ zzz }}\" } }";
    home.file("plan.yaml", plan(plugins, steps));
    let said = refused_alike(&home);
    assert!(said.contains("`n`, `item`, `index`"), "{said}");
}

#[test]
fn what_is_whole_or_yes_or_missing_is_told_as_it_is_to_be_written() {
    let home = Home::new();
    let plugins =
        "  writer: { kind: agent, source: \"builtin:llm-agent\", profile: agent-any-model }";
    let more = "budget: { fuel: 1e6, tokens: 5.0 }\ninputs: { b: { type: bool, default: yes } }";
    let steps = "  a: { uses: writer, with: { q: 1 } }";
    home.file("plan.yaml", plan(plugins, &format!("{steps}\n{more}")));
    let said = refused_alike(&home);
    for words in [
        "write plain digits: `1000000`",
        "write plain digits: `5`",
        "help: write `true`",
        "plugin `writer`: `config` is missing: `role`, `model`",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn a_number_and_a_key_that_cannot_be_read_leave_the_rest_to_be_looked_at() {
    let home = Home::new();
    let plugins = "  md: { kind: tool, source: \"builtin:markdown\", profile: deny-all }\n";
    let steps = "  a:\n    uses: md/headings\n    with: { text: x }\n    timeout: 1s\n    timeout: 2s\n  \
                 b: { uses: md/headigns, with: { text: 9007199254740993 } }";
    home.file("plan.yaml", plan(plugins, steps));
    let said = refused_alike(&home);
    assert!(said.contains("has 3 problems\n"), "{said}");
    for words in [
        "`timeout` is given twice",
        "2^53",
        "did you mean `md/headings`?",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn faults_of_a_sub_plan_and_of_how_it_is_called_come_together() {
    let home = Home::new();
    let plugins = "  md: { kind: tool, source: \"builtin:markdown\", profile: deny-al }\n";
    let steps = "  inner: { uses: md/headings, with: { txt: 1 }, timeout: 5 }\ninputs:\n  word: { type: string }\n  \
                 many: { type: nuber }";
    home.file("below.yaml", plan(plugins, steps));
    home.file(
        "plan.yaml",
        plan(
            "  r: { kind: guardrail, source: \"builtin:redact\", profile: deny-all }",
            "  sub: { uses: \"plan:below.yaml\", with: { word: 1, wrod: x } }",
        ),
    );
    let said = refused_alike(&home);
    for words in [
        "has 6 problems\n",
        "timeout: expected a duration",
        "did you mean `number`?",
        "the input `word` of `below.yaml` is a string",
        "the sub-plan has no input `wrod`",
        "the profile `deny-al` was not found",
        "`md/headings` does not take this `with`",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(
        !said.contains("input `many`"),
        "its type is not known: {said}"
    );
}

#[test]
fn a_section_under_a_key_that_is_not_known_is_missing_nowhere() {
    let home = Home::new();
    let plugins = "  md: { kind: tool, source: \"builtin:markdown\", profile: deny-all }\n";
    let steps = "  a: { uses: md/headings, with: { text: \"${{ inputs.word }}\" } }";
    let text = plan(plugins, steps) + "inputs: { word: { type: string, default: x } }\n";
    for (right, wrong) in [("plugins:", "plugin:"), ("inputs:", "inptus:")] {
        home.file("plan.yaml", text.replace(right, wrong));
        let said = refused_alike(&home);
        assert!(said.contains("has 1 problem\n"), "{wrong}: {said}");
    }
    home.file("plan.yaml", text);
    home.flowhost(&["validate", "plan.yaml"]).expect(0);
}

#[test]
fn an_agent_that_is_not_there_is_missed_by_none_of_the_others() {
    let home = Home::new();
    let agent = |name: &str, source: &str, more: &str| {
        format!(
            "  {name}: {{ kind: agent, source: \"builtin:{source}\", profile: agent-any-model, config: {{ role: r, model: \
             mock/a{more} }} }}\n"
        )
    };
    let plugins =
        agent("writer", "llm-agent", ", peers: [critic]") + &agent("critic", "llm-agnt", "");
    let steps = "  ask: { uses: writer, with: { text: x } }";
    home.file("plan.yaml", plan(&plugins, steps));
    let said = refused_alike(&home);
    assert!(said.contains("has 1 problem\n"), "{said}");
    assert!(said.contains("`builtin:llm-agnt` was not found"), "{said}");
}

#[test]
fn a_budget_that_cannot_suffice_a_model_and_a_tool_are_told_together() {
    let home = Home::new();
    home.guest("ok_echo");
    let plugins = "  writer: { kind: agent, source: \"builtin:llm-agent\", profile: agent-any-model, config: { role: r, model: \
                   mock/a, modell: x } }\n  ok_echo: { kind: tool, source: ./ok_echo.wasm, profile: deny-all }\n";
    let steps =
        "  ask: { uses: writer, with: { text: x } }\n  echo: { uses: ok_echo/rnu, with: {} }";
    let text = plan(plugins, steps) + "budget: { tokens: 10 }\n";
    home.file("plan.yaml", &text);
    let said = refused_alike(&home);
    for words in [
        "modell",
        "did you mean `ok_echo/run`?",
        "the budget of the plan cannot suffice",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    // Of a plan that is not whole, what it costs is not known.
    home.file(
        "plan.yaml",
        text.replace("agent-any-model", "agent-any-modell"),
    );
    let said = refused_alike(&home);
    assert!(!said.contains("cannot suffice"), "{said}");
    assert!(said.contains("did you mean `ok_echo/run`?"), "{said}");
}

#[test]
fn a_provider_that_cannot_be_used_hides_no_missing_right() {
    let home = Home::new();
    home.guest("deny_files");
    home.file(
        OWN,
        "[models.providers.house]\nkind = \"openai\"\nunpriced = true\nurl = \"http://127.0.0.1:9/v1/chat/completions\"\n",
    );
    let plugins = "  writer: { kind: agent, source: \"builtin:llm-agent\", profile: agent-any-model, config: { role: r, model: \
                   house/a } }\n  deny_files: { kind: tool, source: ./deny_files.wasm, profile: deny-all }\n";
    let steps =
        "  ask: { uses: writer, with: { text: x } }\n  read: { uses: deny_files/run, with: {} }";
    home.file("plan.yaml", plan(plugins, steps));
    let said = refused_alike(&home);
    for words in [
        "has 2 problems\n",
        "models.providers.house.url:",
        "plugin `deny_files` imports `flowhost:files/",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn an_input_that_is_of_another_type_hides_no_other() {
    let home = Home::new();
    let steps = "  look: { uses: md/headings, with: { text: \"${{ inputs.word }}\" } }";
    let plugins = "  md: { kind: tool, source: \"builtin:markdown\", profile: deny-all }";
    let inputs = "inputs: { few: { type: number }, many: { type: number, enum: [1, 2] }, word: { type: string }, pick: { \
                  type: string, enum: [a, b] } }\n";
    home.file("plan.yaml", plan(plugins, steps) + inputs);
    let typed = ["few=no", "many=no", "pick=c", "wodr=x"];
    let arguments = typed.iter().flat_map(|it| ["--input", it]);
    let arguments: Vec<&str> = ["run", "plan.yaml"].into_iter().chain(arguments).collect();
    let ran = home.flowhost(&arguments);
    assert_eq!(ran.code, 1, "{}", ran.all());
    for words in [
        "has 5 problems\n",
        "input `few` is a number, and `no` is not",
        "input `many` is a number, and `no` is not",
        "input `pick` must be one of \"a\", \"b\"",
        "the plan has no input `wodr`",
        "did you mean `word`?",
        "input `word` is required and not given",
    ] {
        assert!(ran.stderr.contains(words), "{words}: {}", ran.stderr);
    }
    // Hints are broken into lines, each behind a bar.
    let plain: Vec<&str> = ran
        .stderr
        .split_whitespace()
        .filter(|it| *it != "│")
        .collect();
    let own = "the words stand in `enum` of `inputs.pick` (`plan.yaml`, line ";
    assert!(plain.join(" ").contains(own), "{}", ran.stderr);
}

#[test]
fn a_guardrail_that_nobody_declared_hides_no_other() {
    let home = Home::new();
    let plugins = "  md: { kind: tool, source: \"builtin:markdown\", profile: deny-all }\n  redact: { kind: guardrail, \
                   source: \"builtin:redact\", profile: deny-all }";
    let steps = "  look:\n    uses: md/headings\n    with: { text: x }\n    guardrails: { before: [{ uses: redct }, { \
                 uses: redact, with: { mod: deny } }], after: [{ uses: redact, with: { mdoe: deny } }] }";
    home.file("plan.yaml", plan(plugins, steps));
    let said = refused_alike(&home).replace("\n  │ ", " ");
    for words in [
        "has 3 problems\n",
        "`redct`",
        "`mod` is not taken",
        "`mdoe` is not taken",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn a_wrong_step_in_a_with_hides_no_name_of_its_prompt_and_a_wrong_key_may() {
    let home = Home::new();
    let config = "model: mock/a, prompt: \"{{ input.qestion }}\"";
    let writer = agent("writer", "agent-any-model", config);
    let told = |with: &str| {
        let steps = format!("  ask: {{ uses: writer, {with} }}");
        home.file("plan.yaml", plan(&writer, &steps));
        refused_alike(&home).replace("\n  │ ", " ")
    };
    let said = told("with: { question: \"${{ steps.anwser.output.text }}\" }");
    for words in [
        "has 2 problems\n",
        "anwser",
        "it asks for `input.qestion`",
        "did you mean `input.question`?",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let said = told("wiht: { qestion: x }");
    assert!(said.contains("unknown key `wiht`"), "{said}");
    assert!(!said.contains("it asks for"), "{said}");
}

#[test]
fn a_step_with_a_wrong_with_hides_nothing_that_is_read_of_it_and_one_with_a_wrong_key_does() {
    let home = Home::new();
    let plugins = "  md: { kind: tool, source: \"builtin:markdown\", profile: deny-all }";
    let told = |with: &str| {
        let steps = format!(
            "  a:\n    uses: md/headings\n    {with}\n  b:\n    needs: [a]\n    uses: md/headings\n    with: {{ text: \
             \"${{{{ string(steps.a.output.heading) }}}}\" }}"
        );
        home.file("plan.yaml", plan(plugins, &steps));
        refused_alike(&home).replace("\n  │ ", " ")
    };
    let lacks = "`md/headings` gives no `heading`";
    for with in [
        "with: { text: \"${{ inptus.x }}\" }",
        "with: { text: x }\n    timeout: soon",
    ] {
        let said = told(with);
        assert!(said.contains("has 2 problems\n"), "{with}: {said}");
        assert!(said.contains(lacks), "{with}: {said}");
    }
    // It may have been meant for `output`, which says what the step gives.
    let said = told("with: { text: x }\n    outptu: { schema: { type: object } }");
    assert!(!said.contains(lacks), "{said}");
}
