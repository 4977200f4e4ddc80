//! What a message says to do, done word by word: then it is done.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::plan;
use super::preflight::{OWN, refused_alike};
use crate::support::{Home, repository};

/// What is wrong with the folder's plan.
fn problems(home: &Home) -> Vec<Value> {
    let told = home.flowhost(&["validate", "plan.yaml", "--json"]).json();
    let problems = told["problems"].as_array();
    problems.unwrap_or_else(|| panic!("{told:#}")).clone()
}

/// Runs a command that was told, as a shell would.
#[track_caller]
fn typed(home: &Home, command: &str) {
    let script = command.replacen("flowhost", "\"$FLOWHOST\"", 1);
    let mut shell = std::process::Command::new("/bin/sh");
    shell.args(["-c", &script]).current_dir(home.path());
    shell
        .env_clear()
        .env("FLOWHOST", crate::support::executable());
    shell.env("HOME", home.path().join("home-of-user"));
    let output = shell.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}\n{said}");
}

/// Writes the lines that a cure ends with where it says.
#[track_caller]
fn written(home: &Home, cure: &str) {
    const PLACES: [&str; 2] = ["below the line `name = …` of ", "at the end of "];
    let found = PLACES
        .iter()
        .find_map(|place| Some((*place, cure.split_once(*place)?.1)));
    let (place, rest) = found.unwrap_or_else(|| panic!("no place: {cure}"));
    let (file, lines) = rest.split_once(":\n").unwrap();
    let text = home.read(file);
    let at = match place == PLACES[0] {
        true => {
            let name = text.find("\nname = ").unwrap() + 1;
            name + text[name..].find('\n').unwrap() + 1
        }
        false => text.len(),
    };
    home.file(file, format!("{}{lines}\n{}", &text[..at], &text[at..]));
}

#[test]
fn the_cures_of_several_plugins_that_lack_rights_are_followed_one_after_the_other() {
    let home = Home::new();
    let agent = |name: &str| {
        format!(
            "  {name}: {{ kind: agent, source: \"builtin:llm-agent\", profile: deny-all, config: {{ role: r, \
             model: mock/any, max_tokens: 100 }} }}\n"
        )
    };
    let steps = "  a: { uses: Writer, with: { q: x } }\n  b: { uses: critic, with: { q: x } }";
    home.file(
        "plan.yaml",
        plan(&(agent("Writer") + &agent("critic")), steps),
    );
    // A file of the user's that has nothing to do with it.
    let mine = "version = 1\nname = \"writer\"\ndescription = \"mine\"\n";
    home.file("policies/writer.toml", mine);
    let problems = problems(&home);
    let plan = home.read("plan.yaml");
    let mut plan: Vec<String> = plan.lines().map(str::to_owned).collect();
    let mut commands = 0;
    for problem in &problems {
        let cure = problem["hint"].as_str().unwrap();
        for command in cure.lines().filter(|line| line.starts_with("flowhost ")) {
            typed(&home, command);
            commands += 1;
        }
        if let Some((_, rest)) = cure.split_once("then write `profile: ") {
            let own = rest.split('`').next().unwrap();
            let line = usize::try_from(problem["line"].as_u64().unwrap()).unwrap() - 1;
            plan[line] = plan[line].replace("profile: deny-all", &format!("profile: {own}"));
        }
        written(&home, cure);
    }
    assert!(problems.len() > 2, "each lacks several: {problems:#?}");
    assert_eq!(commands, 2, "one for each plugin: {problems:#?}");
    assert_eq!(home.read("policies/writer.toml"), mine);
    home.file("plan.yaml", plan.join("\n"));
    home.flowhost(&["validate", "plan.yaml"]).expect(0);
}

#[test]
fn a_file_whose_folder_has_a_space_is_made_by_the_command_as_it_is_told() {
    let home = Home::new();
    home.guest("deny_files");
    let source = home.path().join("deny_files.wasm");
    let steps = "  only: { uses: deny_files/run, with: {} }";
    home.file(
        "my plans/plan.yaml",
        plan(&super::tool("deny_files", "deny-all"), steps),
    );
    home.file("my plans/deny_files.wasm", std::fs::read(source).unwrap());
    let told = home
        .flowhost(&["validate", "my plans/plan.yaml", "--json"])
        .expect(1);
    let cure = told.json()["problems"][0]["hint"]
        .as_str()
        .unwrap()
        .to_owned();
    let command = cure.lines().find(|line| line.starts_with("flowhost "));
    typed(&home, command.unwrap());
    assert!(
        home.path()
            .join("my plans/policies/deny_files.toml")
            .is_file()
    );
}

#[test]
fn a_right_that_the_plan_takes_away_is_not_asked_of_the_profile() {
    let home = Home::new();
    home.guest("deny_log");
    home.file("policies/p.toml", "version = 1\nname = \"p\"\nlog = true\n");
    let plugin = "  deny_log: { kind: tool, source: ./deny_log.wasm, profile: p, narrow: { grants: { log: false } } }\n";
    let steps = "  only: { uses: deny_log/run, with: {} }";
    home.file("plan.yaml", plan(plugin, steps));
    let problems = problems(&home);
    let message = problems[0]["message"].as_str().unwrap();
    assert!(
        message.contains("profile `p` grants and the plan"),
        "{message}"
    );
    let cure = problems[0]["hint"].as_str().unwrap();
    assert!(cure.contains("take `log` out of `grants`"), "{cure}");
    home.file("plan.yaml", plan(plugin, steps).replace("log: false", ""));
    home.flowhost(&["validate", "plan.yaml"]).expect(0);
}

#[test]
fn a_shipped_profile_that_does_not_pay_for_a_call_is_not_the_one_to_write_in() {
    let home = Home::new();
    let agent = "  w: { kind: agent, source: \"builtin:llm-agent\", profile: agent-any-model, config: { role: r, model: \
                 mock/any, max_tokens: 200000, prompt: x } }\n";
    let text = plan(agent, "  a: { uses: w, with: { q: x } }");
    let text = text.replace("plugins:", "budget: { tokens: 1000000 }\nplugins:");
    home.file("plan.yaml", &text);
    let problems = problems(&home);
    assert_eq!(problems.len(), 1, "{problems:#?}");
    let message = problems[0]["message"].as_str().unwrap();
    assert!(message.contains("may spend 100000 tokens"), "{message}");
    let cure = problems[0]["hint"].as_str().unwrap();
    let command = cure.lines().find(|line| line.starts_with("flowhost "));
    typed(&home, command.unwrap());
    let line = cure.lines().find(|line| line.starts_with("tokens = "));
    let mine = home.read("policies/w.toml");
    assert!(mine.contains("tokens = 100_000"), "{mine}");
    let mine = mine.replace("tokens = 100_000", line.unwrap());
    home.file("policies/w.toml", mine);
    home.file("plan.yaml", text.replace("agent-any-model", "w"));
    home.flowhost(&["validate", "plan.yaml"]).expect(0);
}

#[test]
fn a_provider_that_is_not_configured_comes_with_its_lines() {
    for model in ["openai/gpt-9", "house/x"] {
        let home = Home::new();
        let agent = format!(
            "  w: {{ kind: agent, source: \"builtin:llm-agent\", profile: agent-any-model, config: {{ role: r, model: \
             {model}, prompt: x }} }}\n"
        );
        home.file(
            "plan.yaml",
            plan(&agent, "  a: { uses: w, with: { q: x } }"),
        );
        let problems = problems(&home);
        let cure = problems[0]["hint"].as_str().unwrap();
        let (_, lines) = cure.split_once(":\n").unwrap();
        home.file(OWN, lines);
        home.flowhost(&["validate", "plan.yaml"]).expect(0);
    }
}

/// All files below a folder that end so.
fn files_below(folder: &std::path::Path, ending: &str, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, ending, found);
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
}

/// The commands in backticks of the host's own sources, as far as they are written on one line.
fn named_commands() -> BTreeSet<String> {
    const BEGIN: &str = "`flowhost ";
    let mut files = Vec::new();
    files_below(&repository().join("host"), ".rs", &mut files);
    let mut named = BTreeSet::new();
    for file in files {
        let text = std::fs::read_to_string(file).unwrap();
        for line in text.lines() {
            for (at, _) in line.match_indices(BEGIN) {
                let rest = &line[at + BEGIN.len()..];
                named.extend(rest.find('`').map(|end| rest[..end].to_owned()));
            }
        }
    }
    named
}

#[test]
fn every_command_that_a_message_names_is_there_with_its_options() {
    let named = named_commands();
    assert!(named.len() > 50, "{named:#?}");
    let home = Home::new();
    let mut helps: BTreeMap<Vec<String>, String> = BTreeMap::new();
    let mut help_of = |path: &[&str]| {
        let key: Vec<String> = path.iter().map(ToString::to_string).collect();
        let asked = || {
            let arguments: Vec<&str> = path.iter().copied().chain(["--help"]).collect();
            home.flowhost(&arguments).expect(0).stdout
        };
        helps.entry(key).or_insert_with(asked).clone()
    };
    // A placeholder, or something that a message fills in, is no command.
    let plain = |c: char| c.is_ascii_lowercase() || c == '-';
    let word = |word: &str| word.split('|').next().unwrap().to_owned();
    for command in &named {
        let mut words = command.split_whitespace().map(word);
        let mut path: Vec<String> = Vec::new();
        let mut help = String::new();
        while let Some(next) = words
            .next()
            .filter(|it| it.chars().all(plain) && !it.starts_with('-'))
        {
            path.push(next);
            let parts: Vec<&str> = path.iter().map(String::as_str).collect();
            help = help_of(&parts);
            if !help.contains("\nCommands:\n") {
                break;
            }
        }
        let options = command.split_whitespace().filter(|it| it.starts_with("--"));
        for option in options.filter(|_| !path.is_empty()) {
            let option = option.split('=').next().unwrap();
            assert!(help.contains(option), "`flowhost {command}`:\n{help}");
        }
    }
}

#[test]
fn an_item_that_is_written_out_and_does_not_fit_is_refused_where_it_stands() {
    let home = Home::new();
    let plugin = "  markdown: { kind: tool, source: \"builtin:markdown\", profile: deny-all }\n";
    let steps = "  each:\n    foreach: { items: [\"# a\", 7], as: text }\n    uses: markdown/headings\n    \
                 with: { text: \"${{ text }}\" }";
    home.file("plan.yaml", plan(plugin, steps));
    let said = refused_alike(&home);
    assert!(said.contains("item 2 of `items` does not fit"), "{said}");
    let told = home.flowhost(&["validate", "plan.yaml", "--json"]).json();
    let problem = &told["problems"][0];
    let lines = home.read("plan.yaml");
    let line = usize::try_from(problem["line"].as_u64().unwrap()).unwrap();
    let column = usize::try_from(problem["column"].as_u64().unwrap()).unwrap();
    let at = &lines.lines().nth(line - 1).unwrap()[column - 1..];
    assert!(at.starts_with("7]"), "{problem:#}");
}

#[test]
fn an_item_that_the_run_finds_not_to_fit_is_told_with_its_places_in_the_plan() {
    let home = Home::new();
    home.warm();
    let plugin = "  markdown: { kind: tool, source: \"builtin:markdown\", profile: deny-all }\n";
    let steps = "  each:\n    foreach: { items: \"${{ inputs.all }}\", as: text }\n    uses: markdown/headings\n    \
                 with: { text: \"${{ text }}\" }";
    let text = plan(plugin, steps).replace("plugins:", "inputs: { all: { type: list } }\nplugins:");
    home.file("plan.yaml", text);
    let ran = home.flowhost(&["run", "plan.yaml", "--input", "all=[\"a\", 7]"]);
    assert_ne!(ran.code, 0, "{}", ran.all());
    // It never ran.
    assert!(
        !ran.all().contains("the component answered"),
        "{}",
        ran.all()
    );
    for told in [
        "what does not fit comes from item 2 of its `items` (plan.yaml:10:",
        "of which `with` (plan.yaml:12:5) makes the input",
    ] {
        assert!(ran.stderr.contains(told), "{}", ran.all());
    }
}
