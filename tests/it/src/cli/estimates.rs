//! What a run will cost, said before it and held against its budget.

use serde_json::json;

use crate::support::Home;

/// One agent that is asked once, with this budget.
fn asking(budget: &str, foreach: &str) -> Home {
    let home = Home::new();
    home.warm();
    home.file(
        "flowhost.toml",
        "[models.providers.mock]\nkind = \"mock\"\nscripts = \"scripts\"\n",
    );
    home.file(
        "scripts/asker.json",
        r#"[{"json": {"tide": "high"}}, {"json": {"tide": "high"}}, {"json": {"tide": "high"}}]"#,
    );
    home.file("prompts/ask.md", "Say whether the tide is high.\n");
    home.file(
        "policies/asker.toml",
        "version = 1\nname = \"asker\"\nlog = true\nconfig = true\nbudget = true\n[model]\nallow = [\"mock/*\"]\n\
         tokens = 100_000\nusd = 1.0\n",
    );
    let config = "{ role: watcher, model: mock/asker, max_tokens: 100 }";
    home.file(
        "plan.yaml",
        format!(
            "flowhost: v1\nkind: workflow\nname: asks\ninputs: {{ places: {{ type: list, default: [Brest, Hull, \
             Ostend] }} }}\nbudget: {budget}\nplugins:\n  asker: {{ kind: agent, source: builtin:llm-agent, profile: \
             asker, config: {config} }}\nsteps:\n  ask:\n    uses: asker\n    prompt: prompts/ask.md\n{foreach}    \
             with: {{ place: \"${{{{ inputs.places[0] }}}}\" }}\n"
        ),
    );
    home
}

const EACH: &str = "    foreach: { items: \"${{ inputs.places }}\", as: place }\n";

#[test]
fn a_budget_that_cannot_suffice_is_refused_before_the_first_step() {
    let home = asking("{ tokens: 10 }", "");
    let ran = home.flowhost(&["run", "plan.yaml"]).expect(5);
    assert!(
        ran.stderr.contains("the budget of the plan cannot suffice"),
        "{}",
        ran.all()
    );
    assert!(
        ran.stderr.contains("and 10 tokens are allowed"),
        "{}",
        ran.all()
    );
    assert!(!home.path().join(".flowhost/default/runs").exists());
    for (code, arguments) in [
        (1, &["validate", "plan.yaml"][..]),
        (5, &["run", "plan.yaml", "--dry-run"][..]),
    ] {
        let refused = home.flowhost(arguments).expect(code);
        assert_eq!(refused.stderr, ran.stderr);
    }
    let document = home
        .flowhost(&["validate", "plan.yaml", "--json"])
        .expect(1)
        .json();
    let problem = &document["problems"][0];
    assert_eq!(problem["file"], "plan.yaml", "{document:#}");
    assert_eq!(problem["line"], 5, "{document:#}");
    let message = problem["message"].as_str().unwrap();
    let what = "the budget of the plan cannot suffice: it needs ";
    assert!(message.starts_with(what), "{document:#}");
    let estimate = home.flowhost(&["run", "plan.yaml", "--estimate"]).expect(0);
    assert!(
        estimate.stdout.contains("`flowhost run` refuses it"),
        "{}",
        estimate.all()
    );
}

/// A person copies the number of the message into the plan, and that is the last that they hear of it.
#[test]
fn the_budget_that_the_refusal_names_is_enough_for_the_run() {
    for foreach in ["", EACH] {
        let home = asking("{ tokens: 10 }", foreach);
        let refused = home.flowhost(&["run", "plan.yaml"]).expect(5);
        let (_, named) = refused.stderr.split_once("write `tokens: ").unwrap();
        let (tokens, _) = named.split_once('`').unwrap();
        let plan = std::fs::read_to_string(home.path().join("plan.yaml")).unwrap();
        home.file(
            "plan.yaml",
            plan.replace("tokens: 10 }", &format!("tokens: {tokens} }}")),
        );
        home.flowhost(&["validate", "plan.yaml"]).expect(0);
        home.flowhost(&["run", "plan.yaml"]).expect(0);
    }
}

/// How often an agent asks its peers only the run will know; that it asks, and what they answer, is likely.
#[test]
fn an_agent_with_peers_is_expected_to_ask_them_and_has_no_upper_end() {
    let home = asking("{ tokens: 100000 }", "");
    let estimate = |home: &Home| {
        home.flowhost(&["run", "plan.yaml", "--estimate", "--json"])
            .expect(0)
            .json()
    };
    let alone = estimate(&home);
    let profile = std::fs::read_to_string(home.path().join("policies/asker.toml")).unwrap();
    home.file(
        "policies/asker.toml",
        format!(
            "{profile}[messages]\npublish = [\"agents.*.in\"]\nsubscribe = [\"agents.self.in\"]\n"
        ),
    );
    let plan = std::fs::read_to_string(home.path().join("plan.yaml")).unwrap();
    let helper = "plugins:\n  helper: { kind: agent, source: builtin:llm-agent, profile: asker, config: { role: helper, \
                  model: mock/asker, max_tokens: 100 } }\n";
    let plan = plan.replace("plugins:\n", helper);
    let plan = plan.replace("role: watcher, ", "role: watcher, peers: [helper], ");
    home.file("plan.yaml", plan);
    let talking = estimate(&home);
    let likely = |it: &serde_json::Value| it["tokens"].as_u64().unwrap();
    // Two turns of its own, and an answer of the other.
    assert!(likely(&talking) > 2 * likely(&alone), "{talking:#}");
    assert!(alone["high"].is_object(), "{alone:#}");
    assert!(talking["high"].is_null(), "{talking:#}");
    with_budget(&home, likely(&talking) - 1);
    let told = home
        .flowhost(&["run", "plan.yaml", "--estimate"])
        .expect(0)
        .stdout;
    assert!(
        told.contains("; how much it is at most only the run will know"),
        "{told}"
    );
}

/// What is refused and what surely suffices are two numbers, and both are those of `--estimate`.
#[test]
fn a_refusal_of_many_items_names_the_least_and_what_pays_for_all() {
    let home = asking("{ tokens: 100000 }", EACH);
    let estimate = home
        .flowhost(&["run", "plan.yaml", "--estimate", "--json"])
        .expect(0)
        .json();
    let end = |name: &str| estimate[name]["tokens"].as_u64().unwrap();
    let (low, high) = (end("low"), end("high"));
    with_budget(&home, 10);
    let refused = home.flowhost(&["validate", "plan.yaml"]).expect(1);
    let why = format!(
        "it cannot end with less than {low} tokens, and 10 tokens are allowed; {high} tokens pay for every call that \
         the plan allows"
    );
    assert!(refused.stderr.contains(&why), "{}", refused.all());
    let cure = format!("write `tokens: {high}` or more");
    assert!(refused.stderr.contains(&cure), "{}", refused.all());
    with_budget(&home, low - 1);
    home.flowhost(&["validate", "plan.yaml"]).expect(1);
    with_budget(&home, low);
    let doubted = home.flowhost(&["validate", "plan.yaml"]).expect(0);
    assert!(doubted.stdout.contains(&cure), "{}", doubted.all());
    with_budget(&home, high);
    let ran = home.flowhost(&["run", "plan.yaml"]).expect(0);
    let most = format!("; at most $0.000000, {high} tokens by the plan)");
    assert!(ran.all().contains(&most), "{}", ran.all());
    // With a run to go by, what was likely says more; one run says nothing of the ends.
    let ran = home.flowhost(&["run", "plan.yaml"]).expect(0);
    assert!(!ran.all().contains("by the plan)"), "{}", ran.all());
    let again = home
        .flowhost(&["run", "plan.yaml", "--estimate", "--json"])
        .expect(0)
        .json();
    assert_eq!(again["steps"]["ask"]["basis"], json!("history"));
    assert!(again["low"]["tokens"].as_u64().unwrap() <= low, "{again:#}");
    assert_eq!(again["high"]["tokens"], json!(high), "{again:#}");
}

/// The plan with another budget.
fn with_budget(home: &Home, tokens: u64) {
    let plan = std::fs::read_to_string(home.path().join("plan.yaml")).unwrap();
    let (before, rest) = plan.split_once("budget: { tokens: ").unwrap();
    let (_, after) = rest.split_once(" }").unwrap();
    home.file(
        "plan.yaml",
        format!("{before}budget: {{ tokens: {tokens} }}{after}"),
    );
}

/// A plan whose agent has a tool, which its model does not ask for.
fn with_a_tool() -> Home {
    let home = asking("{ tokens: 10 }", "");
    let read = |name: &str| std::fs::read_to_string(home.path().join(name)).unwrap();
    let profile = read("policies/asker.toml");
    home.file(
        "policies/asker.toml",
        format!("{profile}[tools]\ncall = [\"md/*\"]\n"),
    );
    let md = "plugins:\n  md: { kind: tool, source: \"builtin:markdown\", profile: deny-all }\n";
    let plan = read("plan.yaml").replace("plugins:\n", md);
    home.file("plan.yaml", plan);
    home
}

/// The number is that of the model call, and not of a part of it: with one token less nothing begins, with it the run
/// ends well.
#[test]
fn the_least_that_works_is_what_is_named() {
    let schema = "    output: { schema: { type: object, required: [tide], properties: { tide: { type: string } } } }\n";
    let filled_in = asking("{ tokens: 10 }", "");
    filled_in.file(
        "prompts/ask.md",
        "You are {{ role }}. Is the tide high in {{ input.place }}?\n",
    );
    for (what, home) in [
        ("plain", asking("{ tokens: 10 }", "")),
        ("schema", asking("{ tokens: 10 }", schema)),
        ("filled in", filled_in),
    ] {
        let refused = home.flowhost(&["run", "plan.yaml"]).expect(5).stderr;
        let (_, named) = refused.split_once("it needs ").unwrap();
        let (least, _) = named.split_once(" tokens, and 10").unwrap();
        let hint = format!("write `tokens: {least}` or more");
        assert!(refused.contains(&hint), "{what}: {refused}");
        let least: u64 = least.parse().unwrap();
        with_budget(&home, least - 1);
        let less = home.flowhost(&["run", "plan.yaml"]).expect(5);
        assert!(
            less.stderr.contains("cannot suffice"),
            "{what}: {}",
            less.all()
        );
        assert!(
            !home.path().join(".flowhost/default/runs").exists(),
            "{what}"
        );
        with_budget(&home, least);
        home.flowhost(&["validate", "plan.yaml"]).expect(0);
        let ran = home.flowhost(&["run", "plan.yaml"]);
        assert_eq!(ran.code, 0, "{what}: {}", ran.all());
    }
}

#[test]
fn so_it_is_with_what_a_profile_lets_its_plugin_spend() {
    for home in [asking("{ tokens: 10 }", ""), with_a_tool()] {
        with_budget(&home, 100_000);
        let path = home.path().join("policies/asker.toml");
        let profile = std::fs::read_to_string(path).unwrap();
        let may_spend = |tokens: u64| {
            let text = profile.replace("tokens = 100_000", &format!("tokens = {tokens}"));
            home.file("policies/asker.toml", text);
        };
        may_spend(10);
        let refused = home.flowhost(&["run", "plan.yaml"]).expect(1).stderr;
        let refused = refused.replace("\n  │ ", " ");
        let (_, named) = refused.split_once("one model call needs ").unwrap();
        let least: u64 = named.split(' ').next().unwrap().parse().unwrap();
        may_spend(least - 1);
        home.flowhost(&["validate", "plan.yaml"]).expect(1);
        may_spend(least);
        home.flowhost(&["validate", "plan.yaml"]).expect(0);
        home.flowhost(&["run", "plan.yaml"]).expect(0);
    }
}

#[test]
fn a_budget_of_a_step_and_a_profile_that_do_not_pay_for_all_its_items_are_refused_too() {
    let home = asking("{ tokens: 100000 }", "    budget: { tokens: 100 }\n");
    let ran = home.flowhost(&["run", "plan.yaml"]).expect(5);
    let what = "the budget of step `ask` cannot suffice";
    assert!(ran.stderr.contains(what), "{}", ran.all());
    assert!(!home.path().join(".flowhost/default/runs").exists());
    let refused = home.flowhost(&["validate", "plan.yaml"]).expect(1);
    assert_eq!(refused.stderr, ran.stderr);

    let places: Vec<String> = (0..400).map(|place| format!("place-{place}")).collect();
    let home = asking("{ tokens: 1000000 }", EACH);
    let profile = std::fs::read_to_string(home.path().join("policies/asker.toml")).unwrap();
    let profile = profile.replace("tokens = 100_000", "tokens = 3000");
    home.file("policies/asker.toml", profile);
    let input = format!("places={}", json!(places));
    let ran = home
        .flowhost(&["run", "plan.yaml", "--input", &input])
        .expect(5);
    for part in [
        "what plugin `asker` may spend in a run cannot suffice",
        "and 3000 tokens are allowed",
        "or more in [model] of policies/asker.toml",
    ] {
        assert!(ran.stderr.contains(part), "{part}: {}", ran.all());
    }
    assert!(!home.path().join(".flowhost/default/runs").exists());
}

#[test]
fn a_budget_that_probably_does_not_suffice_is_told_of_and_not_refused() {
    let home = asking("{ tokens: 100000 }", EACH);
    let estimate = home
        .flowhost(&["run", "plan.yaml", "--estimate", "--json"])
        .expect(0);
    let likely = estimate.json()["tokens"].as_u64().unwrap();
    with_budget(&home, likely - 1);
    let note = format!(
        "note: the budget of the plan probably does not suffice: {likely} tokens are foreseen, and {} tokens are \
         allowed",
        likely - 1
    );
    for arguments in [
        &["validate", "plan.yaml"][..],
        &["run", "plan.yaml", "--dry-run"],
        &["run", "plan.yaml", "--estimate"],
    ] {
        let told = home.flowhost(arguments).expect(0);
        assert!(told.stdout.contains(&note), "{arguments:?}: {}", told.all());
    }
    with_budget(&home, 100_000);
    let told = home.flowhost(&["validate", "plan.yaml"]).expect(0);
    assert!(!told.stdout.contains("probably"), "{}", told.all());
}

/// Its second item costs so much that the third is not paid for: what the two did cost is not what all of them do.
#[test]
fn a_run_that_its_budget_stopped_does_not_make_the_next_one_look_cheap() {
    let home = asking(
        "{ tokens: 100000 }",
        "    foreach: { items: \"${{ inputs.places }}\", as: place, max_parallel: 1 }\n",
    );
    let plan = std::fs::read_to_string(home.path().join("plan.yaml")).unwrap();
    home.file("plan.yaml", plan.replace("inputs.places[0]", "place"));
    let estimate = |home: &Home| {
        home.flowhost(&["run", "plan.yaml", "--estimate", "--json"])
            .expect(0)
            .json()
    };
    let before = estimate(&home);
    let likely = before["tokens"].as_u64().unwrap();
    let answer = |place: &str, prompt: u64| {
        let usage = json!({ "prompt_tokens": prompt, "cached_tokens": 0, "completion_tokens": 10,
            "reasoning_tokens": 0 });
        json!({ "when": { "mentions": place }, "json": { "tide": "high" }, "usage": usage })
    };
    let script = json!([
        answer("Brest", 10),
        answer("Hull", likely - 100),
        answer("Ostend", 10)
    ]);
    home.file("scripts/asker.json", script.to_string());
    with_budget(&home, likely);
    home.flowhost(&["run", "plan.yaml"]).expect(5);
    let after = estimate(&home);
    assert_eq!(after["steps"]["ask"]["basis"], json!("prompt"), "{after:#}");
    assert_eq!(after["tokens"], before["tokens"], "{after:#}");
}

#[test]
fn an_estimate_is_a_range_that_counts_items_and_narrows_to_what_runs_did_cost() {
    let estimate = |home: &Home| {
        home.flowhost(&["run", "plan.yaml", "--estimate", "--json"])
            .expect(0)
            .json()
    };
    let one = estimate(&asking("{ tokens: 100000 }", ""));
    let home = asking("{ tokens: 100000 }", EACH);
    let three = estimate(&home);
    let tokens = |it: &serde_json::Value, end: &str| it[end]["tokens"].as_u64().unwrap();
    assert_eq!(tokens(&three, "low"), 3 * tokens(&one, "low"));
    assert_eq!(tokens(&three, "high"), 3 * tokens(&one, "high"));
    let likely = three["tokens"].as_u64().unwrap();
    assert!(
        tokens(&three, "low") < likely && likely < tokens(&three, "high"),
        "{three:#}"
    );
    let report = home
        .flowhost(&["run", "plan.yaml", "--json"])
        .expect(0)
        .json();
    let spent = report["cost"]["tokens"].as_u64().unwrap();
    let again = estimate(&home);
    assert_eq!(again["steps"]["ask"]["basis"], json!("history"));
    assert_eq!(again["tokens"].as_u64().unwrap(), spent, "{again:#}");
    let report = home
        .flowhost(&["run", "plan.yaml", "--json"])
        .expect(0)
        .json();
    assert!(
        report["cost"]["variance_ratio"].as_f64().unwrap() <= 0.2,
        "{report:#}"
    );
}

#[test]
fn a_list_of_another_length_costs_what_its_items_did() {
    let home = asking("{ tokens: 100000 }", EACH);
    let report = home
        .flowhost(&["run", "plan.yaml", "--json"])
        .expect(0)
        .json();
    let each = report["cost"]["tokens"].as_u64().unwrap() / 3;
    for places in [1, 3, 7] {
        let list = json!(vec!["Brest"; places]);
        let input = format!("places={list}");
        let arguments = [
            "run",
            "plan.yaml",
            "--estimate",
            "--json",
            "--input",
            &input,
        ];
        let estimate = home.flowhost(&arguments).expect(0).json();
        assert_eq!(estimate["steps"]["ask"]["basis"], json!("history"));
        let tokens = estimate["tokens"].as_u64().unwrap();
        assert_eq!(tokens, each * places as u64, "{estimate:#}");
    }
}

/// Numbers that look drawn and are the same in every run of the test.
struct Drawn(u64);

impl Drawn {
    fn between(&mut self, least: u64, most: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        least + (self.0 >> 33) % (most - least + 1)
    }
}

/// Five plans of two to six places, each run three times over places of which every one costs another
/// number of tokens: from the second run on half of the estimates are within a fifth of what was spent.
#[test]
fn the_median_of_generated_plans_is_estimated_within_a_fifth_from_the_second_run_on() {
    let mut drawn = Drawn(7);
    let mut ratios = Vec::new();
    for plan in 0..5 {
        let home = asking("{ tokens: 100000 }", EACH);
        let places: Vec<String> = (0..12)
            .map(|place| format!("place-{plan}-{place}"))
            .collect();
        let mut entry = |place: &String| {
            let usage = json!({ "prompt_tokens": drawn.between(200, 400), "cached_tokens": 0,
                "completion_tokens": drawn.between(20, 90), "reasoning_tokens": 0 });
            json!({ "when": { "mentions": format!("\"{place}\"") }, "json": { "tide": "high" }, "usage": usage })
        };
        let script: Vec<_> = places.iter().map(&mut entry).collect();
        home.file("scripts/asker.json", json!(script).to_string());
        let yaml = std::fs::read_to_string(home.path().join("plan.yaml")).unwrap();
        home.file("plan.yaml", yaml.replace("inputs.places[0]", "place"));
        let count = usize::try_from(drawn.between(2, 6)).unwrap();
        for run in 0..3 {
            let first = usize::try_from(drawn.between(0, 11)).unwrap();
            let asked: Vec<&String> = places.iter().cycle().skip(first).take(count).collect();
            let input = format!("places={}", json!(asked));
            let arguments = ["run", "plan.yaml", "--json", "--input", &input];
            let report = home.flowhost(&arguments).expect(0).json();
            if run > 0 {
                ratios.push(report["cost"]["variance_ratio"].as_f64().unwrap());
            }
        }
    }
    ratios.sort_by(f64::total_cmp);
    assert!(ratios[ratios.len() / 2] <= 0.2, "{ratios:?}");
    // Of no use if every run costs the same: some estimate is off.
    assert!(ratios.iter().any(|ratio| *ratio > 0.01), "{ratios:?}");
}

#[test]
fn what_is_spent_names_the_estimate_that_its_run_was_started_with() {
    let home = asking("{ tokens: 100000 }", "");
    home.flowhost(&["run", "plan.yaml"]).expect(0);
    let records = home.records();
    let of = |kind: &str| {
        records
            .iter()
            .filter(|it| it["kind"] == kind)
            .collect::<Vec<_>>()
    };
    let budget = of("budget");
    let estimate = budget.iter().find(|it| it["event"] == "estimate").unwrap();
    let id = &estimate["estimate"];
    assert!(id.as_str().unwrap().starts_with("sha256:"), "{estimate}");
    for record in of("model.intent").into_iter().chain(of("model.result")) {
        assert_eq!(record["estimate"], *id, "{record:#}");
    }
    let variance = budget.iter().find(|it| it["event"] == "variance").unwrap();
    assert_eq!(variance["estimate"], *id);
}

#[test]
fn a_dry_run_shows_the_inputs_that_are_known_and_what_an_agent_is_asked() {
    let home = asking("{ tokens: 100000 }", "");
    let ran = home
        .flowhost(&["run", "plan.yaml", "--dry-run", "--json"])
        .expect(0);
    let step = &ran.json()["steps"][0];
    assert_eq!(step["input"], json!({ "place": "Brest" }));
    assert_eq!(step["prompt"], "Say whether the tide is high.");
    assert_eq!(step["prompts"][0]["as_written"], json!(null));
    let text = home
        .flowhost(&["run", "plan.yaml", "--dry-run"])
        .expect(0)
        .stdout;
    assert!(text.contains("input: {\"place\":\"Brest\"}"), "{text}");
    assert!(text.contains("  | Say whether the tide is high."), "{text}");
}

#[test]
fn a_dry_run_fills_in_prompts_as_the_agent_does_and_shows_the_items_of_a_known_list() {
    let home = asking("{ tokens: 100000 }", "");
    let prompt = "You are {{ agent }}, a {{ role }}, in {{ step }}.\n{% if input.tide is defined %}No.{% endif %}Is the \
                  tide high in {{ input.place }}? {{ input.list }} {{ input.place | data }}\n";
    home.file("prompts/ask.md", prompt);
    let written = std::fs::read_to_string(home.path().join("plan.yaml")).unwrap();
    let with = "with: { place: \"${{ inputs.places[0] }}\" }";
    assert!(written.contains(with), "{written}");
    let one = written.replace(
        with,
        "with: { place: \"${{ inputs.places[0] }}\", list: [1, two] }",
    );
    home.file("plan.yaml", &one);
    let dry = || {
        let ran = home.flowhost(&["run", "plan.yaml", "--dry-run", "--json"]);
        ran.expect(0).json()["steps"][0].clone()
    };
    let step = dry();
    let text = step["prompt"].as_str().unwrap().to_owned();
    assert_eq!(
        text,
        "You are asker, a watcher, in ask.\nIs the tide high in Brest? [1,\"two\"] ```json\n\"Brest\"\n```"
    );
    // The agent asks the same: the script answers nothing else.
    let script = json!([{ "when": { "mentions": text }, "json": { "tide": "high" } }]);
    home.file("scripts/asker.json", script.to_string());
    home.flowhost(&["run", "plan.yaml"]).expect(0);

    let each = "foreach: { items: \"${{ inputs.places }}\", as: place }\n    with: { place: \"${{ place }}\", \
                list: \"${{ [index] }}\" }";
    home.file("plan.yaml", written.replace(with, each));
    let step = dry();
    assert_eq!(step["each"][1]["path"], "ask[1]");
    assert_eq!(
        step["each"][1]["input"],
        json!({ "place": "Hull", "list": [1] })
    );
    let text = home
        .flowhost(&["run", "plan.yaml", "--dry-run"])
        .expect(0)
        .stdout;
    for part in [
        "  for each of: [\"Brest\",\"Hull\",\"Ostend\"]\n",
        "  ask[2]: input: {",
        "  | You are asker, a watcher, in ask[2].\n  | Is the tide high in Ostend? [2] ```json\n",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let many: Vec<String> = (0..23).map(|at| format!("p{at}")).collect();
    let many = format!("places={}", json!(many));
    let ran = home.flowhost(&["run", "plan.yaml", "--dry-run", "--input", &many]);
    let text = ran.expect(0).stdout;
    for part in [
        "  for each of 23 items, of which these are the first 20\n",
        "  ask[19]: input: ",
        "  and 3 more items\n",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("ask[20]"), "{text}");
}

#[test]
fn a_dry_run_says_why_a_prompt_is_shown_as_the_plan_has_it() {
    let home = asking("{ tokens: 100000 }", "");
    home.file("prompts/ask.md", "Is it {{ input.place ~ '?' }}\n");
    let ran = home.flowhost(&["run", "plan.yaml", "--dry-run"]).expect(0);
    for part in [
        "  prompt (as the plan has it: it is filled in by the agent alone, in its sandbox: it has parts that can grow)\n",
        "  | Is it {{ input.place ~ '?' }}\n",
    ] {
        assert!(ran.stdout.contains(part), "{part}: {}", ran.stdout);
    }
}
