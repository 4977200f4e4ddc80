//! A budget that does not do ends a run as a budget, with every amount and the key that raises it.

use serde_json::{Value, json};

use crate::support::{Home, Ran};

/// An agent with one tool, whose model asks for it twice before it answers, under these budgets.
fn asking(of_plan: &str, of_step: &str, of_profile: &str) -> Home {
    let home = Home::new();
    home.warm();
    home.file(
        "flowhost.toml",
        "[models.providers.mock]\nkind = \"mock\"\nscripts = \"scripts\"\n[models.prices.\"mock/*\"]\ninput = 1.0\n\
         output = 1.0\n",
    );
    let look = |text: &str| json!({ "tool_calls": [{ "name": "md/headings", "arguments": { "text": text } }] });
    let said = json!([look("# a"), look("# b"), "high"]);
    home.file("scripts/asker.json", said.to_string());
    home.file("prompts/ask.md", "Say whether the tide is high.\n");
    home.file(
        "policies/asker.toml",
        format!(
            "version = 1\nname = \"asker\"\nlog = true\nconfig = true\nbudget = true\n[model]\nallow = [\"mock/*\"]\n\
             {of_profile}\n[tools]\ncall = [\"md/*\"]\n"
        ),
    );
    home.file(
        "plan.yaml",
        format!(
            "flowhost: v1\nkind: workflow\nname: asks\n{of_plan}plugins:\n  md: {{ kind: tool, source: \
             builtin:markdown, profile: deny-all }}\n  asker:\n    kind: agent\n    source: builtin:llm-agent\n    \
             profile: asker\n    config: {{ role: watcher, model: mock/asker, max_tokens: 500, tools: [md/headings] \
             }}\nsteps:\n  ask: {{ uses: asker, prompt: prompts/ask.md, with: {{ place: Hull }}{of_step} }}\n"
        ),
    );
    home
}

const PLENTY: &str = "tokens = 100_000\nusd = 1.0";

/// Runs it, and gives what it said and the refusal on record.
#[track_caller]
fn refused(home: &Home) -> (Ran, Value) {
    let ran = home.flowhost(&["run", "plan.yaml"]).expect(5);
    let records = home.records();
    let end = records.iter().rfind(|it| it["kind"] == "run.end").unwrap();
    assert_eq!(
        (&end["status"], &end["owner"], &end["exit_code"]),
        (&json!("limit"), &json!("limit"), &json!("5")),
        "{}",
        ran.all()
    );
    let refusal = records.iter().rfind(|it| it["event"] == "refuse").unwrap();
    let number = |name: &str| refusal[name].as_str().unwrap().parse::<u64>().unwrap();
    assert!(number("used") > number("allowed"), "{refusal:#}");
    assert_eq!(
        number("used") - number("spent") - number("held"),
        match refusal["name"].as_str() {
            Some("usd") => number("micro_usd"),
            _ => number("tokens"),
        },
        "{refusal:#}"
    );
    home.flowhost(&["verify", "latest"]).expect(0);
    home.flowhost(&["runs", "replay", "latest"]).expect(0);
    (ran, refusal.clone())
}

#[test]
fn a_tool_that_the_rest_of_the_budget_cannot_pay_ends_with_5_and_every_amount() {
    // With 900 the first call is paid and no second one; with 1600 the second, and no third.
    for (tokens, calls) in [(900, 1), (1_600, 2)] {
        let home = asking(&format!("budget: {{ tokens: {tokens} }}\n"), "", PLENTY);
        let (ran, refusal) = refused(&home);
        assert_eq!(refusal["whose"], "plan", "{refusal:#}");
        let records = home.records();
        let asked = records.iter().filter(|it| it["kind"] == "model.result");
        assert_eq!(asked.count(), calls, "{}", ran.all());
        let amount = |name: &str| refusal[name].as_str().unwrap().to_owned();
        for words in [
            format!(
                "the budget of the plan does not pay for this model call: it asks for {} tokens (its prompt, and an \
                 answer of `max_tokens`), {} tokens are spent and 0 tokens held by calls at work, {tokens} tokens are \
                 allowed",
                amount("tokens"),
                amount("spent"),
            ),
            format!(
                "hint: raise `tokens` in `budget:` of the plan to {} at least",
                amount("used")
            ),
        ] {
            assert!(ran.stderr.contains(&words), "{words}\n{}", ran.all());
        }
    }
}

#[test]
fn the_cure_names_the_key_whose_limit_it_was() {
    let cases = [
        (
            asking("budget: { usd: 0.0009 }\n", "", PLENTY),
            "plan",
            "raise `usd` in `budget:` of the plan to 0.00",
        ),
        (
            asking("", ", budget: { tokens: 900 }", PLENTY),
            "step",
            "raise `tokens` in `budget:` of the step",
        ),
        (
            asking("", "", "tokens = 900\nusd = 1.0"),
            "plugin",
            "raise `tokens` in [model] of the profile to",
        ),
    ];
    for (home, whose, cure) in cases {
        let (ran, refusal) = refused(&home);
        assert_eq!(refusal["whose"], whose, "{refusal:#}");
        assert!(ran.stderr.contains(cure), "{cure}\n{}", ran.all());
    }
}

#[test]
fn calls_that_are_used_up_are_told_with_their_amounts_too() {
    let steps = "  a: { uses: ok_echo/run, with: {} }\n  b: { needs: [a], uses: ok_echo/run, with: {} }\nbudget: { calls: 1 }";
    let home = super::home(&["ok_echo"], steps);
    let ran = home.flowhost(&["run", "plan.yaml"]).expect(5);
    for words in [
        "the budget of the plan has not enough calls left: 1 asked for, 1 spent, 0 held by calls at work, 1 allowed",
        "hint: raise `calls` in `budget:` of the plan",
    ] {
        assert!(ran.stderr.contains(words), "{words}\n{}", ran.all());
    }
}
