//! The prompts of agents before a run: what a template asks for is held against every step that renders it, and told in the
//! same words by `validate`, `--dry-run` and `run`.

use super::plan;
use super::preflight::{agent, refused_alike};
use crate::support::Home;

#[test]
fn a_prompt_that_asks_for_what_no_step_gives_is_refused_by_all_three() {
    let home = Home::new();
    let steps = "  ask: { uses: a, with: { text: x } }\n  other: { uses: a, with: { more: x } }";
    let prompt = |text: &str| {
        let config = format!("model: mock/a, prompt: \"{text}\"");
        home.file(
            "plan.yaml",
            plan(&agent("a", "agent-any-model", &config), steps),
        );
    };
    prompt("Sum up {{ input.txt }}");
    let said = refused_alike(&home);
    for part in ["it asks for `input.txt`", "did you mean `input.text`?"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    // One of the steps gives it, and the other would fail of it.
    prompt("Sum up {{ input.text }}{{ input.more }}");
    let said = refused_alike(&home).replace("\n  │ ", " ");
    for part in [
        "has 2 problems",
        "step `ask`: `prompt` of the `config:` of `a`, line 1: it asks for `input.more`, which this step does not give; \
         `other` does",
        "step `other`: `prompt` of the `config:` of `a`, line 1: it asks for `input.text`, which this step does not \
         give; `ask` does",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    // Who asks whether it is there goes on without it, and a branch may be there for another step.
    for text in [
        "{% if input.text is defined %}{{ input.text }}{% else %}{{ input.more }}{% endif %}",
        "{% if step == 'ask' %}{{ input.text }}{% endif %}",
    ] {
        prompt(text);
        home.flowhost(&["validate", "plan.yaml"]).expect(0);
    }
}

#[test]
fn a_filter_or_test_that_the_engine_does_not_know_is_refused_by_all_three() {
    let home = Home::new();
    let steps = "  ask: { uses: a, prompt: ask.md, with: { text: x } }\n  alone: { uses: b, with: { text: x } }";
    let config = "model: mock/a, prompt: \"{{ input.text | dat }}\"";
    let agents =
        agent("a", "agent-any-model", "model: mock/a") + &agent("b", "agent-any-model", config);
    home.file("plan.yaml", plan(&agents, steps));
    home.file(
        "ask.md",
        "Read\n{% if input.text is defind %}it{% endif %}\n",
    );
    let said = refused_alike(&home).replace("\n  │ ", " ");
    for part in [
        "has 2 problems",
        "step `ask`: the prompt `ask.md`, line 2: it asks for the test `defind`, which is not there",
        "did you mean `defined`? of tests a prompt knows `defined`,",
        "`prompt` of its `config:`, line 1: it asks for the filter `dat`, which is not there",
        "did you mean `data`? of filters a prompt knows `data`, `e`,",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    home.file("ask.md", "Read {{ input.text | data }}\n");
    home.file(
        "plan.yaml",
        home.read("plan.yaml").replace("| dat ", "| data "),
    );
    home.flowhost(&["validate", "plan.yaml"]).expect(0);
}

#[test]
fn a_prompt_that_steps_share_is_held_against_each_of_them() {
    let home = Home::new();
    let steps = "  one: { uses: a, prompt: ask.md, with: { z: text, l: [{ b: 1 }, \"${{ inputs.t }}\"] } }\n  \
                 two: { uses: a, prompt: ask.md, with: { z: { y: 1 }, l: [{ a: 1 }], more: \"${{ inputs.t }}\" } }\n\
                 inputs: { t: { type: string, default: x } }";
    home.file(
        "plan.yaml",
        plan(&agent("a", "agent-any-model", "model: mock/a"), steps),
    );
    home.file(
        "ask.md",
        "One\n{{ input.z.y }}\n{{ input.l[0].a }}\n{{ input.more }}\n{{ input.more.most }}\n",
    );
    let said = refused_alike(&home).replace("\n  │ ", " ");
    for part in [
        "has 4 problems",
        "step `one`: the prompt `ask.md`, line 2: it asks for `input.z.y`, and `input.z` is text",
        "step `one`: the prompt `ask.md`, line 3: it asks for `input.l[0].a`, which this step does not give; `two` does",
        "did you mean `input.l[0].b`?",
        "step `one`: the prompt `ask.md`, line 4: it asks for `input.more`, which this step does not give; `two` does",
        "step `two`: the prompt `ask.md`, line 5: it asks for `input.more.most`, and `input.more` is text",
        "plan.yaml:8:",
        "plan.yaml:9:",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn a_prompt_that_asks_whether_a_name_is_there_runs_for_steps_with_and_without_it() {
    let home = Home::new();
    home.warm();
    let steps = "  one: { uses: a, prompt: ask.md, with: { text: x } }\n  \
                 two: { uses: a, prompt: ask.md, with: { more: { y: x } } }\n\
                 outputs: { said: \"${{ steps.one.output.text + steps.two.output.text }}\" }";
    home.file(
        "plan.yaml",
        plan(&agent("a", "agent-any-model", "model: mock/a"), steps),
    );
    home.file(
        "ask.md",
        "{% if input.text is defined %}{{ input.text }}{% else %}{{ input.more.y }}{% endif %}\n\
         {{ input.more.y if step == 'two' else 'none' }}\n",
    );
    home.file("scripts/a.md", "done");
    let ran = home.flowhost(&["run", "plan.yaml", "--json"]).expect(0);
    assert_eq!(ran.json()["outputs"]["said"], "donedone", "{}", ran.all());
}

#[test]
fn a_name_that_only_the_run_can_miss_is_named_with_its_template_and_step() {
    let home = Home::new();
    home.warm();
    let steps = "  ask: { uses: a, prompt: ask.md, with: \"${{ inputs.all }}\" }\n\
                 inputs: { all: { type: object, default: { text: x } } }";
    home.file(
        "plan.yaml",
        plan(&agent("a", "agent-any-model", "model: mock/a"), steps),
    );
    home.file("ask.md", "Sum up\n{{ input.more | data }}\n");
    home.flowhost(&["validate", "plan.yaml"]).expect(0);
    let ran = home.flowhost(&["run", "plan.yaml"]);
    assert_ne!(ran.code, 0, "{}", ran.all());
    for part in [
        "step `ask`: the prompt, line 2: `input.more` is undefined; the step gives `input.text`",
        "the step's prompt is `ask.md`",
    ] {
        let said = ran.stderr.replace("\n  │ ", " ");
        assert!(said.contains(part), "{part}: {}", ran.all());
    }
}

#[test]
fn the_prompt_of_a_consensus_is_looked_at_for_each_of_its_agents() {
    let any = |name: &str| agent(name, "agent-any-model", "model: mock/any");
    let steps = "  a: { prompt: ask.md, with: { text: x }, consensus: { agents: [one, two], arbiter: one } }";
    let home = Home::new();
    home.file("plan.yaml", plan(&(any("one") + &any("two")), steps));
    home.file("ask.md", "You are {{ role }}.\nSum up {{ inputs.text }}.\n");
    let said = refused_alike(&home);
    let words = "step `a`: the prompt `ask.md`, line 2: it asks for `inputs`, which is not there";
    assert_eq!(said.matches("it asks for `inputs`").count(), 1, "{said}");
    assert!(said.replace("\n  │ ", " ").contains(words), "{said}");
}
