//! One question before a run: `validate`, `run --dry-run` and `run` refuse the same plans, with the same
//! words, and name everything at once.

use super::{home, plan, tool};
use crate::support::{Home, Ran};

/// The three commands on the folder's plan.
pub(super) fn asked(home: &Home) -> [Ran; 3] {
    [
        home.flowhost(&["validate", "plan.yaml"]),
        home.flowhost(&["run", "plan.yaml", "--dry-run"]),
        home.flowhost(&["run", "plan.yaml"]),
    ]
}

pub(super) fn refused_alike(home: &Home) -> String {
    let [valid, dry, run] = asked(home);
    assert_eq!(valid.code, 1, "{}", valid.all());
    assert_ne!(run.code, 0, "{}", run.all());
    assert_eq!(dry.code, run.code, "{}\n{}", dry.all(), run.all());
    let problems = |ran: &Ran| {
        let text = ran.stderr.clone();
        let end = text
            .find("hint: `flowhost policy explain")
            .unwrap_or(text.len());
        text[..end].trim().to_owned()
    };
    assert_eq!(problems(&valid), problems(&run));
    assert_eq!(problems(&dry), problems(&run));
    assert!(
        !home.path().join(".flowhost/default/runs").exists(),
        "no run was begun"
    );
    run.stderr
}

#[test]
fn an_import_that_nothing_serves_is_refused_by_all_three() {
    for guest in ["deny_unknown_interface", "deny_wasi_sockets"] {
        let home = home(
            &[guest],
            &format!("  only: {{ uses: {guest}/run, with: {{}} }}"),
        );
        let said = refused_alike(&home);
        assert!(
            said.contains("this build serves no such interface"),
            "{said}"
        );
    }
}

#[test]
fn a_first_agent_hears_of_all_its_mistakes_at_once() {
    let home = Home::new();
    let plugins = "  agent: { kind: agent, source: \"builtin:llm-agent\", profile: agent-any-model, config: { \
                   role: writer, modell: mock/a, max_turns: 100, prompt: \"Sum up {{ inputs.text }}\" } }\n  \
                   markdown: { kind: tool, source: \"builtin:markdown\", profile: deny-all }\n  \
                   redact: { kind: guardrail, source: \"builtin:redact\", profile: deny-all }\n";
    let steps = "  ask: { uses: agent, prompt: ask.md, with: { text: x }, guardrails: { before: [{ uses: redact, \
                 with: { kind: key } }] } }\n  \
                 check: { needs: [ask], uses: markdown/check, with: { path: \"${{ steps.ask.output.text }}\", \
                 existing: all } }";
    home.file("plan.yaml", plan(plugins, steps));
    home.file("ask.md", "You are {{ role }}.\nSum up {{ input.txt }}.\n");
    let said = refused_alike(&home);
    for part in [
        "`model`",
        "modell",
        "/max_turns",
        "`prompt` of its `config:`, line 1: it asks for `inputs`",
        "did you mean `input`?",
        "the prompt `ask.md`, line 2: it asks for `input.txt`",
        "did you mean `input.text`?",
        "guardrail `redact` does not take this `with`",
        "`text` is required",
        "existing`: value is not of type",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn of_an_input_that_is_refused_nothing_is_told_that_follows_from_it() {
    let home = Home::new();
    let agent = |more: &str| {
        format!(
            "  agent: {{ kind: agent, source: \"builtin:llm-agent\", profile: agent-any-model, config: {{ role: \
             \"${{{{ inputs.role }}}}\", model: mock/a{more} }} }}\n"
        )
    };
    let steps = "  ask: { uses: agent, with: { n: \"${{ inputs.n }}\" } }\ninputs:\n  role: { type: string }\n  \
                 n: { type: number }";
    home.file("plan.yaml", plan(&agent(""), steps));
    let validated = |more: &[&str]| {
        let arguments = [&["validate", "plan.yaml"], more].concat();
        home.flowhost(&arguments).expect(1).stderr
    };
    let refused = ["--input", "role=writer", "--input", "n=many"];
    let said = validated(&refused);
    assert!(said.contains("has 1 problem\n"), "{said}");
    assert!(said.contains("`n` is a number"), "{said}");
    let said = validated(&[]);
    assert!(said.contains("has 2 problems\n"), "{said}");
    assert!(!said.contains("required property"), "{said}");
    // What is written out is judged whatever the inputs are.
    home.file("plan.yaml", plan(&agent(", max_turns: 100"), steps));
    let said = validated(&refused);
    assert!(said.contains("has 2 problems\n"), "{said}");
    assert!(said.contains("/max_turns"), "{said}");
}

#[test]
fn an_agent_whose_profile_grants_no_tool_works_without_them() {
    let home = Home::new();
    home.warm();
    let plugins = "  agent: { kind: agent, source: \"builtin:llm-agent\", profile: agent-any-model, config: { role: \
                   writer, model: mock/writer } }\n";
    let steps = "  ask: { uses: agent, with: { text: x } }\noutputs: { said: \"${{ steps.ask.output.text }}\" }";
    home.file("plan.yaml", plan(plugins, steps));
    home.file("scripts/agent.md", "done");
    let ran = home.flowhost(&["run", "plan.yaml", "--json"]).expect(0);
    assert_eq!(ran.json()["outputs"]["said"], "done", "{}", ran.all());
}

#[test]
fn a_mistake_in_a_script_is_told_as_the_folders_and_not_as_the_agents() {
    let home = Home::new();
    home.warm();
    let plugins = "  agent: { kind: agent, source: \"builtin:llm-agent\", profile: agent-any-model, config: { role: \
                   writer, model: mock/writer } }\n";
    home.file(
        "plan.yaml",
        plan(plugins, "  ask: { uses: agent, with: { text: x } }"),
    );
    home.file("scripts/agent.json", r#"[{ "text": "done" }]"#);
    let ran = home.flowhost(&["run", "plan.yaml", "--json"]).expect(8);
    let report = ran.json();
    assert_eq!(report["error"]["owner"], "plan", "{report:#}");
    let said = home.flowhost(&["run", "plan.yaml"]).expect(8).stderr;
    let said = said.replace("\n  │ ", " ");
    for part in [
        "the mock's script scripts/agent.json cannot be used: unknown field `text`",
        "mend scripts/agent.json; docs/models.md says how a script is written",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("`with`"), "{said}");
}

#[test]
fn two_shipped_agents_talk_to_each_other() {
    let home = Home::new();
    home.warm();
    let agent = |name: &str, more: &str| {
        format!(
            "  {name}: {{ kind: agent, source: \"builtin:llm-agent\", profile: agent-any-model, config: {{ role: \
             {name}, model: mock/any{more} }} }}\n"
        )
    };
    let plugins = agent("writer", ", peers: [critic]") + &agent("critic", "");
    let steps = "  draft: { uses: writer, with: { text: x } }\noutputs: { said: \"${{ steps.draft.output.text }}\" }";
    home.file("plan.yaml", plan(&plugins, steps));
    home.file(
        "scripts/writer.json",
        "[{ \"tool_calls\": [{ \"name\": \"agents/ask\", \"arguments\": { \"to\": \"critic\", \"text\": \"Too \
         long?\" } }] }, { \"content\": \"shortened\" }]",
    );
    home.file("scripts/critic.md", "Yes, by half.");
    let ran = home.flowhost(&["run", "plan.yaml", "--json"]).expect(0);
    assert_eq!(ran.json()["outputs"]["said"], "shortened", "{}", ran.all());
    let records = home.records();
    let heard = records.iter().any(|record| {
        record["kind"] == "model.intent" && record.to_string().contains("Yes, by half.")
    });
    assert!(heard, "the writer's model was told what the critic said");
    let page = home
        .flowhost(&["runs", "report", "latest"])
        .expect(0)
        .stdout;
    for (from, to) in [("writer", "critic"), ("critic", "writer")] {
        let row = format!(
            "<th scope=\"row\"><code>{from}</code></th><td><code>{to}</code></td><td>message</td>"
        );
        assert!(page.contains(&row), "{from} spoke to {to}");
    }
    let expected = page.split("Model calls were expected to take ").nth(1);
    let expected = expected.and_then(|it| it.split("</p>").next());
    assert!(
        expected.is_some_and(|it| it.contains("; they took ")),
        "{expected:?}"
    );
}

#[test]
fn a_right_that_is_named_and_empty_is_linked_and_answers_no() {
    let home = Home::new();
    for (guest, lines) in [
        ("deny_tools", "[tools]\ncall = []\n"),
        ("deny_http", "http = []\n"),
        ("deny_files", "files = []\n"),
        ("deny_state", "[state]\nnamespaces = []\n"),
        ("deny_secrets", "[secrets]\nnames = []\n"),
        ("deny_messaging", "[messages]\n"),
    ] {
        home.guest(guest);
        let name = guest.replace('_', "-");
        home.file(
            &format!("policies/{name}.toml"),
            format!("version = 1\nname = \"{name}\"\n{lines}"),
        );
        let steps = format!("  only: {{ uses: {guest}/run, with: {{}} }}");
        home.file("plan.yaml", plan(&tool(guest, &name), &steps));
        home.flowhost(&["validate", "plan.yaml"]).expect(0);
        home.file(
            &format!("policies/{name}.toml"),
            format!("version = 1\nname = \"{name}\"\n"),
        );
        let refused = home.flowhost(&["run", "plan.yaml"]).expect(6);
        assert!(
            refused.stderr.contains("imports `flowhost:"),
            "{}",
            refused.all()
        );
    }
}

/// Where a person's own configuration stands.
pub(super) const OWN: &str = "home-of-user/.config/flowhost/flowhost.toml";

pub(super) fn agent(name: &str, profile: &str, config: &str) -> String {
    format!(
        "  {name}: {{ kind: agent, source: \"builtin:llm-agent\", profile: {profile}, config: {{ role: r, {config} }} \
         }}\n"
    )
}

#[test]
fn a_model_that_could_not_be_asked_is_refused_by_all_three() {
    let steps = "  ask: { uses: a, with: { text: x } }\ninputs:\n  model: { type: string, default: mok/any }";
    let input = "model: \"${{ inputs.model }}\"";
    for (profile, config, parts) in [
        (
            "agent-any-model",
            "model: mok/any",
            &[
                "the configuration has no provider `mok`",
                "did you mean `mock/any`?",
                "[models.providers.mok]",
            ][..],
        ),
        (
            "agent-any-model",
            input,
            &["the configuration has no provider `mok`"],
        ),
        (
            "agent-any-model",
            "model: mine/a",
            &[
                "the price of mine/a is not known",
                "[models.prices.\"mine/a\"]",
            ],
        ),
        (
            "agent-model",
            "model: mine/a",
            &[
                "configured to ask the model `mine/a`, which profile `agent-model`",
                "`agent-model` is shipped and stays as it is",
                "\"mine/a\"]",
            ],
        ),
    ] {
        let home = Home::new();
        home.file(
            OWN,
            "[models.providers.mine]\nkind = \"openai\"\nurl = \"http://127.0.0.1:9/v1\"\n",
        );
        home.file("plan.yaml", plan(&agent("a", profile, config), steps));
        let said = refused_alike(&home);
        for part in parts {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
}

#[test]
fn a_model_that_only_the_profile_withholds_is_a_missing_right() {
    let home = Home::new();
    home.file(
        OWN,
        "[models.providers.mine]\nkind = \"openai\"\nurl = \"http://127.0.0.1:9/v1\"\nunpriced = true\n",
    );
    let steps = "  ask: { uses: a, with: { text: x } }";
    home.file(
        "plan.yaml",
        plan(&agent("a", "agent-model", "model: mine/a"), steps),
    );
    refused_alike(&home);
    home.flowhost(&["run", "plan.yaml"]).expect(6);
}

#[test]
fn a_peer_that_is_no_agent_of_the_plan_is_refused_by_all_three() {
    let steps = "  ask: { uses: writer, with: { text: x } }";
    for (peer, part) in [
        ("critik", "did you mean `critic`?"),
        ("nobody", "other agents of the plan: critic"),
        ("writer", "`peers` names `writer`"),
    ] {
        let home = Home::new();
        let config = format!("model: mock/any, peers: [{peer}]");
        let plugins = agent("writer", "agent-any-model", &config)
            + &agent("critic", "agent-any-model", "model: mock/any");
        home.file("plan.yaml", plan(&plugins, steps));
        let said = refused_alike(&home);
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn a_folder_of_profiles_that_is_not_there_is_refused_by_all_three() {
    let home = home(&["ok_echo"], "  only: { uses: ok_echo/run, with: {} }");
    for arguments in [
        &["validate", "plan.yaml", "--policies", "nix"][..],
        &["run", "plan.yaml", "--dry-run", "--policies", "nix"],
        &["run", "plan.yaml", "--policies", "nix"],
    ] {
        let said = home.flowhost(arguments).expect(1).stderr;
        assert!(
            said.contains("`--policies nix`: this folder is missing"),
            "{said}"
        );
    }
}

#[test]
fn a_fault_in_the_plans_structure_does_not_hide_a_misspelt_tool() {
    let home = Home::new();
    let plugins = "  markdown: { kind: tool, source: \"builtin:markdown\", profile: deny-all }\n";
    let steps = "  a: { uses: markdown/headigns, with: { text: x }, wiht: {} }";
    home.file("plan.yaml", plan(plugins, steps));
    let said = refused_alike(&home);
    for part in ["unknown key `wiht`", "did you mean `markdown/headings`?"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn a_configuration_that_nobody_reads_is_refused_by_all_three() {
    let home = Home::new();
    let plugins = "  markdown: { kind: tool, source: \"builtin:markdown\", profile: deny-all, config: { deep: true } }\n  \
                   redact: { kind: guardrail, source: \"builtin:redact\", profile: deny-all, config: { mode: deny } }\n";
    let steps = "  only: { uses: markdown/headings, with: { text: x }, guardrails: { before: [{ uses: redact }] } }";
    home.file("plan.yaml", plan(plugins, steps));
    let said = refused_alike(&home);
    for part in [
        "has 2 problems",
        "plugin `markdown`: config: this plugin reads none",
        "plugin `redact`: config: this plugin reads none",
        "a guardrail takes it where it is used",
        "with: {\"mode\":\"deny\"}",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    // What is told to write denies.
    let plugins = plugins.replace(", config: { deep: true }", "");
    let plugins = plugins.replace(", config: { mode: deny }", "");
    let steps = "  only: { uses: markdown/headings, with: { text: \"joe@posteo.de\" }, \
                 guardrails: { before: [{ uses: redact, with: {\"mode\":\"deny\"} }] } }";
    home.file("plan.yaml", plan(&plugins, steps));
    home.flowhost(&["run", "plan.yaml"]).expect(4);
}

#[test]
fn a_manifest_that_is_not_of_its_component_is_refused_by_all_three() {
    let steps = "  only: { uses: ok_add/run, with: { a: 1, b: 2 } }";
    let home = home(&["ok_add"], steps);
    let manifest = |kind: &str, rest: &str| {
        home.file(
            "ok_add.toml",
            format!(
                "version = 1\nname = \"ok-add\"\nkind = \"{kind}\"\nrelease = \"0.1.0\"\ndescription = \"Adds.\"\n{rest}"
            ),
        );
    };
    manifest("agent", "");
    let said = refused_alike(&home);
    for part in [
        "ok_add.toml:3:",
        "`kind` is \"agent\", and the component is a plugin of kind \"tool\"",
        "write `kind = \"tool\"`",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let seen = home.flowhost(&["inspect", "ok_add.wasm"]).expect(1);
    assert!(
        seen.stderr.contains("`kind` is \"agent\""),
        "{}",
        seen.all()
    );

    manifest(
        "tool",
        "[[tools]]\nname = \"run\"\ndescription = \"Adds.\"\neffects = \"none\"\ninput = { type = \"objct\" }\n",
    );
    let said = refused_alike(&home);
    assert!(said.contains("the input of `ok_add/run`"), "{said}");
    let seen = home.flowhost(&["inspect", "ok_add.wasm"]).expect(1);
    assert!(seen.stderr.contains("ok_add.toml:10:"), "{}", seen.all());
}

#[test]
fn a_secret_in_the_place_of_its_source_is_not_repeated() {
    let home = home(&["ok_echo"], "  only: { uses: ok_echo/run, with: {} }");
    let key = "sk-abcdefghijklmnopqrst";
    home.file(
        OWN,
        format!("[secrets]\nHOUSE = \"{key}\"\n[models.provider.a]\nkind = \"openai\"\n"),
    );
    let said = home.flowhost(&["validate", "plan.yaml"]).expect(1);
    assert!(!said.all().contains(key), "{}", said.all());
    for part in [
        "has 2 problems",
        "flowhost.toml:2:9: this is a text in quotes",
        "where its value is, and not the value: `{ env = \"NAME\" }`",
        "unknown key `provider`",
    ] {
        assert!(said.stderr.contains(part), "{part}: {}", said.all());
    }
}

#[test]
fn what_is_wrong_with_a_part_is_told_where_the_part_stands() {
    let home = Home::new();
    home.file(
        "plan.yaml",
        "flowhost: v1\nkind: workflow\nname: parts\nplugins:\n  md:\n    kind: guardrail\n    \
         source: builtin:markdown\n    profile: deny-all\n  gone:\n    kind: tool\n    source: builtin:markdwn\n    \
         profile: deny-al\n  writer:\n    kind: agent\n    source: builtin:llm-agent\n    profile: agent-any-model\n    \
         config:\n      role: writer\n      model: any\nsteps:\n  sub:\n    uses: plan:undr.yaml\n  \
         ask:\n    uses: writer\n    prompt: ask.md\n",
    );
    home.file("ask.md", "{{ nobody }}");
    let said = home.flowhost(&["validate", "plan.yaml"]).expect(1).stderr;
    let places = [
        ("`kind` is not what the component is", "plan.yaml:6:11"),
        ("`builtin:markdwn` was not found", "plan.yaml:11:13"),
        ("the profile `deny-al` was not found", "plan.yaml:12:14"),
        ("`undr.yaml`: the plan does not exist", "plan.yaml:22:11"),
    ];
    let mut last = 0;
    for (what, place) in places {
        let at = said.find(what).unwrap_or_else(|| panic!("{what}: {said}"));
        assert!(at > last, "in the order of the file: {said}");
        assert!(
            said[at..].find(place).is_some_and(|it| it < 300),
            "{place}: {said}"
        );
        last = at;
    }

    // What is asked once the plan is whole.
    let text = std::fs::read_to_string(home.path().join("plan.yaml")).unwrap();
    let text = text
        .replace("kind: guardrail", "kind: tool")
        .replace("markdwn", "markdown");
    let text = text
        .replace("deny-al\n", "deny-all\n")
        .replace("  sub:\n    uses: plan:undr.yaml\n", "");
    home.file("plan.yaml", text);
    let said = refused_alike(&home);
    for part in [
        "`any` names no provider; a model is written",
        "plan.yaml:19:14",
        "the prompt `ask.md`, line 1: it asks for `nobody`",
        "plan.yaml:23:13",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn a_models_key_without_a_value_is_named_before_the_run_unless_a_stand_in_needs_none() {
    let home = Home::new();
    let provider = |rest: &str| {
        home.file(
            OWN,
            format!(
                "[models.providers.house]\nkind = \"openai\"\nurl = \"http://127.0.0.1:9/v1\"\nkey = \"HOUSE_KEY\"\n\
                 unpriced = true\n{rest}"
            ),
        );
    };
    let steps = "  ask: { uses: a, with: { text: x } }";
    let plugin = agent("a", "agent-any-model", "model: house/a");
    home.file("plan.yaml", plan(&plugin, steps));
    let why = "plugin `a`: the secret HOUSE_KEY of provider `house` has no value";
    provider("");
    let [valid, dry, run] = asked(&home);
    for ran in [valid.expect(0), dry.expect(0), run] {
        assert!(ran.all().contains(why), "{}", ran.all());
        assert!(
            ran.all().contains("FLOWHOST_SECRET_HOUSE_KEY"),
            "{}",
            ran.all()
        );
    }
    let found = home.flowhost(&["doctor", "--plan", "plan.yaml"]).expect(2);
    assert!(found.stdout.contains("0 of 1 agents"), "{}", found.all());

    provider("[models.failover]\n\"house/a\" = [\"mock/b\"]\n");
    for ran in asked(&home) {
        let ran = ran.expect(0);
        assert!(!ran.all().contains(why), "{}", ran.all());
    }
    let found = home.flowhost(&["doctor", "--plan", "plan.yaml"]).expect(1);
    for part in ["1 of 1 agents", "mock/b, which stands in for it"] {
        assert!(found.stdout.contains(part), "{part}: {}", found.all());
    }
}

#[test]
fn what_is_wrong_with_a_provider_is_told_at_its_line() {
    let home = Home::new();
    home.file(
        OWN,
        "[models.providers.house]\nkind = \"openai\"\nunpriced = true\nurl = \"http://127.0.0.1:9/v1/chat/completions\"\nkey = \"sk-abcdefghijklmnopq\"\n",
    );
    let steps = "  ask: { uses: a, with: { text: x } }";
    let plugin = agent("a", "agent-any-model", "model: house/a");
    home.file("plan.yaml", plan(&plugin, steps));
    let said = home.flowhost(&["validate", "plan.yaml"]).expect(1);
    for part in [
        "has 2 problems",
        "flowhost.toml:4:1:",
        "models.providers.house.url:",
        "url = \"http://127.0.0.1:9/v1\"",
        "flowhost.toml:5:1:",
        "models.providers.house.key:",
        "FLOWHOST_SECRET_NAME_OF_A_SECRET",
    ] {
        assert!(said.stderr.contains(part), "{part}: {}", said.all());
    }
    assert!(!said.all().contains("abcdefghijklmnopq"), "{}", said.all());
}
