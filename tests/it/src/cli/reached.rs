//! What an agent is configured to reach of its plan is told before anything runs, by `validate`, `--dry-run` and `run`
//! in the same words: tools that are not there, tools and topics that its profile does not grant.

use serde_json::Value;

use super::plan;
use super::preflight::refused_alike;
use crate::support::Home;

/// An agent of these further settings, under the profile of its name.
fn agent(name: &str, profile: &str, config: &str) -> String {
    format!(
        "  {name}: {{ kind: agent, source: \"builtin:llm-agent\", profile: {profile}, config: {{ role: r, model: mock/any, \
         {config} }} }}\n"
    )
}

const MD: &str = "  md: { kind: tool, source: \"builtin:markdown\", profile: deny-all }\n";
const ASK: &str = "  ask: { uses: a, with: { text: x } }";

/// A profile that lets an agent ask the mock model, and whatever these lines grant.
fn profile(home: &Home, name: &str, lines: &str) {
    home.file(
        &format!("policies/{name}.toml"),
        format!(
            "version = 1\nname = \"{name}\"\nlog = true\nconfig = true\nbudget = true\n[limits]\nfuel = \
             2_000_000_000\ndeadline = \"2m\"\n[model]\nallow = [\"mock/*\"]\ntokens = 100_000\nusd = 0.50\n{lines}"
        ),
    );
}

/// The problems of the folder's plan: what is wrong, and what to do.
fn problems(home: &Home) -> Vec<(String, String)> {
    let document = home
        .flowhost(&["validate", "plan.yaml", "--json"])
        .expect(1)
        .json();
    let text = |it: &Value, key: &str| it[key].as_str().unwrap().to_owned();
    let all = document["problems"].as_array().unwrap().iter();
    all.map(|it| (text(it, "message"), text(it, "hint")))
        .collect()
}

/// Writes what a cure says at the end of the profile that it names.
fn follow(home: &Home, file: &str, cure: &str) {
    let begin = format!("this would grant it, at the end of {file}:\n");
    let lines = cure
        .strip_prefix(&begin)
        .unwrap_or_else(|| panic!("{begin}: {cure}"));
    let there = home.read(file);
    home.file(file, format!("{there}{lines}\n"));
}

#[test]
fn of_hundreds_of_names_that_nothing_has_two_hundred_are_told() {
    let home = Home::new();
    profile(&home, "own", "");
    let names = |after: &str| {
        let names: Vec<String> = (0..250).map(|it| format!("n{it}{after}")).collect();
        names.join(", ")
    };
    for (key, after) in [("tools", "/x"), ("peers", "")] {
        let config = format!("{key}: [{}]", names(after));
        home.file("plan.yaml", plan(&(agent("a", "own", &config) + MD), ASK));
        let found = problems(&home);
        let said = format!("config: `{key}` names `n");
        let told = found.iter().filter(|it| it.0.contains(&said)).count();
        assert_eq!(told, 200, "{key}");
        let rest = found.iter().filter(|it| it.0.ends_with("is not listed"));
        assert_eq!(rest.count(), 1, "{key}");
    }
}

#[test]
fn a_tool_that_is_not_there_is_refused_by_all_three_with_the_one_that_was_meant() {
    for (tools, message, cure) in [
        (
            "mdd/headings",
            "the plan has no plugin `mdd` with tools",
            "did you mean `md/headings`?",
        ),
        (
            "mdd/no-such-tool",
            "the plan has no plugin `mdd` with tools",
            "did you mean the plugin `md`? tools of `md`: ",
        ),
        (
            "entirely/other",
            "the plan has no plugin `entirely` with tools",
            "plugins with tools: md",
        ),
        (
            "md/headigns",
            "`md` has no tool `headigns`",
            "did you mean `md/headings`? tools of `md`: ",
        ),
        ("a/x", "the plan has no plugin `a` with tools", "md"),
    ] {
        let home = Home::new();
        profile(&home, "own", "[tools]\ncall = [\"md/*\"]\n");
        let config = format!("tools: [md/links, {tools}]");
        home.file("plan.yaml", plan(&(agent("a", "own", &config) + MD), ASK));
        refused_alike(&home);
        let found = problems(&home);
        assert_eq!(found.len(), 1, "{found:?}");
        let said = format!("plugin `a`: config: `tools` names `{tools}`, and {message}");
        assert_eq!(found[0].0, said);
        assert!(found[0].1.contains(cure), "{found:?}");
    }
    let home = Home::new();
    profile(&home, "own", "[tools]\ncall = [\"md/*\"]\n");
    home.file(
        "plan.yaml",
        plan(
            &(agent("a", "own", "tools: [md/links, \"md/*\"]") + MD),
            ASK,
        ),
    );
    home.flowhost(&["validate", "plan.yaml"]).expect(0);
}

#[test]
fn tools_of_a_component_without_a_manifest_are_held_against_what_it_says() {
    let home = Home::new();
    home.warm();
    home.guest("ok_echo");
    profile(&home, "own", "[tools]\ncall = [\"ok_echo/*\"]\n");
    let plugins = agent("a", "own", "tools: [ok_echo/rum]") + &super::tool("ok_echo", "deny-all");
    home.file("plan.yaml", plan(&plugins, ASK));
    let said = refused_alike(&home);
    for part in ["`ok_echo` has no tool `rum`", "did you mean `ok_echo/run`?"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn tools_that_a_profile_does_not_grant_come_with_the_lines_that_would() {
    let home = Home::new();
    profile(&home, "own", "");
    let tools = "tools: [md/headings, \"md/*\"]";
    home.file("plan.yaml", plan(&(agent("a", "own", tools) + MD), ASK));
    refused_alike(&home);
    home.flowhost(&["run", "plan.yaml"]).expect(6);
    let found = problems(&home);
    assert_eq!(found.len(), 1, "{found:?}");
    let (message, cure) = &found[0];
    assert_eq!(
        message,
        "plugin `a`: config: its model is to be offered `md/headings`, `md/*`, which profile `own` does not grant"
    );
    assert!(
        cure.ends_with("\n[tools]\ncall = [\"md/headings\", \"md/*\"]"),
        "{cure}"
    );
    follow(&home, "policies/own.toml", cure);
    home.flowhost(&["validate", "plan.yaml"]).expect(0);

    // What stands there stays, and a second table would not be read.
    profile(&home, "own", "[tools]\ncall = [\"files/read\"]\n");
    let (_, cure) = &problems(&home)[0];
    assert_eq!(
        cure,
        "this would grant it, under [tools] of policies/own.toml, in the place of `call` there:\ncall = [\"files/read\", \"md/headings\", \"md/*\"]"
    );

    let tools = agent("a", "agent-model", "tools: [md/headings]");
    home.file("plan.yaml", plan(&(tools + MD), ASK));
    let said = refused_alike(&home);
    assert!(said.contains("`agent-model` is shipped"), "{said}");
    let (_, cure) = &problems(&home)[0];
    let end = "and this under [tools] of policies/a.toml, in the place of `call` there:\n\
               call = [\"files/*\", \"markdown/*\", \"md/headings\"]";
    assert!(cure.ends_with(end), "{cure}");
}

#[test]
fn a_tool_that_the_plan_itself_takes_away_is_told_as_that() {
    let home = Home::new();
    profile(&home, "own", "[tools]\ncall = [\"md/*\"]\n");
    let narrowed = agent("a", "own", "tools: [md/headings]").replace(
        "profile: own,",
        "profile: own, narrow: { grants: { tools: { call: [md/links] } } },",
    );
    home.file("plan.yaml", plan(&(narrowed + MD), ASK));
    refused_alike(&home);
    let (message, cure) = &problems(&home)[0];
    assert!(message.contains("takes away"), "{message}");
    assert!(cure.contains("flowhost policy explain plan.yaml"), "{cure}");
}

#[test]
fn agents_that_may_not_talk_are_told_of_on_both_sides_with_the_lines_that_let_them() {
    let home = Home::new();
    profile(&home, "writes", "");
    profile(&home, "reads", "");
    let plugins = agent("a", "writes", "peers: [critic]") + &agent("critic", "reads", "");
    home.file("plan.yaml", plan(&plugins, ASK));
    refused_alike(&home);
    home.flowhost(&["run", "plan.yaml"]).expect(6);
    let found = problems(&home);
    let messages: Vec<&str> = found.iter().map(|(message, _)| message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "plugin `a`: by `peers` it talks with `critic`, and profile `writes` does not let it send to \
             `agents.critic.in`",
            "plugin `critic`: by `peers` it talks with `a`, and profile `reads` does not let it send to \
             `agents.a.in` or hear `agents.critic.in`",
        ]
    );
    let lines = "[messages]\npublish = [\"agents.a.in\"]\nsubscribe = [\"agents.self.in\"]";
    assert!(found[1].1.ends_with(lines), "{found:?}");
    follow(&home, "policies/writes.toml", &found[0].1);
    follow(&home, "policies/reads.toml", &found[1].1);
    home.flowhost(&["validate", "plan.yaml"]).expect(0);
}

/// What is told of a plan whose agents `a` and `b` share a profile: the one cure, and that the others are in it.
#[track_caller]
fn shared(home: &Home) -> String {
    refused_alike(home);
    let found = problems(home);
    let (first, others) = found.split_first().unwrap();
    assert!(!others.is_empty(), "{found:?}");
    for (message, cure) in others {
        assert_eq!(
            cure, "the lines that are told of plugin `a` grant this, too",
            "{message}"
        );
    }
    let begin = "`own` is the profile of `a`, `b`: this would grant what all of them lack, ";
    let cure = first.1.strip_prefix(begin);
    cure.unwrap_or_else(|| panic!("{found:?}")).to_owned()
}

#[test]
fn what_several_agents_lack_of_one_profile_is_told_together_and_once() {
    let home = Home::new();
    let file = "policies/own.toml";
    profile(&home, "own", "");
    let plugins = agent("a", "own", "peers: [b], tools: [md/headings]")
        + &agent("b", "own", "tools: [md/links]")
        + MD;
    home.file("plan.yaml", plan(&plugins, ASK));
    let cure = shared(&home);
    let lines = cure.strip_prefix(&format!("at the end of {file}:\n"));
    let lines = lines.unwrap_or_else(|| panic!("{cure}"));
    home.file(file, format!("{}{lines}\n", home.read(file)));
    home.flowhost(&["validate", "plan.yaml"]).expect(0);

    // What stands there is taken out once, with all that is to stand there.
    profile(
        &home,
        "own",
        "[tools]\ncall = []\n[messages]\npublish = [\"agents.*.in\"]\nsubscribe = [\"agents.self.in\"]\n",
    );
    assert_eq!(
        shared(&home),
        "under [tools] of policies/own.toml, in the place of `call` there:\ncall = [\"md/headings\", \"md/links\"]"
    );

    // Words stand above the tables.
    home.file(file, "version = 1\nname = \"own\"\n");
    let plugins = agent("a", "own", "max_tokens: 100") + &agent("b", "own", "max_tokens: 100");
    home.file("plan.yaml", plan(&plugins, ASK));
    let cure = shared(&home);
    let words = cure.strip_prefix("below the line `name = …` of policies/own.toml:\n");
    let (words, tables) = words
        .and_then(|it| it.split_once("\nand at the end of policies/own.toml:\n"))
        .unwrap_or_else(|| panic!("{cure}"));
    home.file(
        file,
        format!("version = 1\nname = \"own\"\n{words}\n{tables}\n"),
    );
    home.flowhost(&["validate", "plan.yaml"]).expect(0);
}

#[test]
fn an_agent_that_is_to_write_programs_is_told_what_runs_them() {
    let home = Home::new();
    profile(&home, "own", "[tools]\ncall = [\"md/*\"]\n");
    let config = "tool_mode: code, tools: [md/links]";
    home.file("plan.yaml", plan(&(agent("a", "own", config) + MD), ASK));
    refused_alike(&home);
    let found = problems(&home);
    assert_eq!(found.len(), 2, "{found:?}");
    for part in [
        "`tool_mode: code` needs `code/run`, and the plan has no plugin `code` with tools",
        "`tools` chooses what is called directly",
    ] {
        let told = found.iter().any(|(message, _)| message.contains(part));
        assert!(told, "{part}: {found:?}");
    }
}
