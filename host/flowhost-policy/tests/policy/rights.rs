//! The list of rights is walked by everything that says something about rights: what is shown here
//! for each entry holds for the next one too, and a right whose folder forgets a step fails.

use flowhost_policy::{
    Asks, Effective, Manifest, Narrowing, Outcome, Position, Profile, RIGHTS, Right, TraceEntry,
    cases::{Cases, run},
    effective,
    suggest::{Refusal, amend},
};

const HEAD: &str = "version = 1\nname = \"x\"\n";

fn profile(right: &Right) -> Profile {
    Profile::parse(&format!("{HEAD}{}\n", right.lines), "p.toml").expect(right.key)
}

fn empty() -> Profile {
    Profile::parse(HEAD, "p.toml").unwrap()
}

/// A manifest that asks for as much of the right as there is, and for nothing else. An MCP adapter may
/// ask for every right.
fn asking(right: &Right) -> Manifest {
    let all = if is_flag(right) {
        "true"
    } else {
        "\"granted\""
    };
    let text = format!(
        "{HEAD}kind = \"mcp-adapter\"\nrelease = \"1\"\n[needs]\n{} = {all}\n",
        right.key
    );
    Manifest::parse(&text, "plugin.toml").expect(right.key)
}

fn is_flag(right: &Right) -> bool {
    right.lines == format!("{} = true", right.key)
}

fn met(manifest: &Manifest, profile: &Profile) -> (Effective, Vec<TraceEntry>) {
    effective(manifest, profile, &Narrowing::none("x"), None)
}

#[test]
fn a_key_that_no_right_has_is_refused_in_its_table() {
    for right in RIGHTS.iter().filter(|right| !right.keys.is_empty()) {
        let broken = format!("{HEAD}{}\nzzz = 1\n", right.lines);
        let problems = Profile::parse(&broken, "p.toml").unwrap_err();
        assert!(
            problems
                .iter()
                .any(|problem| problem.message.contains("unknown key `zzz`")),
            "{}: {problems:?}",
            right.key
        );
    }
}

#[test]
fn the_canonical_form_and_its_hash_hold_every_right() {
    for right in &RIGHTS {
        let (with, without) = (profile(right), empty());
        assert_ne!(with.canonical(), without.canonical(), "{}", right.key);
        assert_ne!(with.hash(), without.hash(), "{}", right.key);
        let mine = |line: &&str| {
            let key = line.split([' ', '.', '[']).next().unwrap_or_default();
            key == right.key
        };
        let text = with.canonical();
        let changed = text
            .lines()
            .filter(|line| !without.canonical().contains(line));
        assert!(
            changed.clone().count() > 0 && changed.clone().all(|line| mine(&line)),
            "{}: another right's lines changed",
            right.key
        );
    }
}

#[test]
fn what_a_manifest_does_not_ask_for_is_taken_and_explained() {
    for right in &RIGHTS {
        let silent = Manifest::from_imports("x", []);
        let (rights, trace) = met(&silent, &profile(right));
        assert!(!right.is_in(&rights), "{}", right.key);
        let taken = |entry: &&TraceEntry| matches!(entry.outcome, Outcome::Removed { .. });
        let taken: Vec<&TraceEntry> = trace.iter().filter(taken).collect();
        assert!(!taken.is_empty(), "{}: nothing says so", right.key);
        for entry in taken {
            assert_eq!(Right::of_path(&entry.right), Some(right), "{entry:?}");
            assert!(entry.source.starts_with("p.toml:"), "{entry:?}");
        }
    }
}

#[test]
fn what_a_manifest_asks_for_and_a_profile_has_not_is_missing_with_its_cure() {
    for right in &RIGHTS {
        let manifest = asking(right);
        assert!(right.is_asked_by(&manifest), "{}", right.key);
        let (rights, trace) = met(&manifest, &empty());
        assert!(!right.is_in(&rights), "{}", right.key);
        let cures: Vec<&str> = trace
            .iter()
            .filter_map(|entry| match &entry.outcome {
                Outcome::Missing { cure } => Some(cure.as_str()),
                _ => None,
            })
            .collect();
        // Variables are asked for by their names, so `granted` asks for none in particular.
        assert!(cures.contains(&right.lines), "{}: {cures:?}", right.key);
    }
}

#[test]
fn an_empty_list_is_a_word_of_the_profile_and_not_missing() {
    let manifest = Right::of_path("tools.call").map(asking).unwrap();
    let text = "version = 1\nname = \"p\"\n[tools]\ncall = []\n";
    let (_, trace) = met(&manifest, &Profile::parse(text, "p.toml").unwrap());
    let told: Vec<String> = trace.iter().map(ToString::to_string).collect();
    let tools = "tools.call = [] (p.toml:4): kept";
    assert!(told.iter().any(|it| it == tools), "{told:#?}");
    assert!(
        !told.iter().any(|it| it.contains("not in the profile")),
        "{told:#?}"
    );
}

#[test]
fn what_both_have_is_kept() {
    for right in &RIGHTS {
        let (rights, trace) = met(&asking(right), &profile(right));
        assert!(right.is_in(&rights), "{}", right.key);
        assert!(right.is_linked(&rights), "{}", right.key);
        let mine = trace
            .iter()
            .filter(|entry| Right::of_path(&entry.right) == Some(right));
        assert!(
            mine.clone().count() > 0 && mine.clone().all(|entry| entry.outcome == Outcome::Kept),
            "{}: {trace:?}",
            right.key
        );
    }
}

#[test]
fn a_caller_passes_on_no_right_that_it_has_not() {
    for right in &RIGHTS {
        let (manifest, profile) = (asking(right), profile(right));
        let poor = Effective::default();
        let none = Narrowing::none("x");
        let (rights, _) = effective(&manifest, &profile, &none, Some(&poor));
        assert!(!right.is_in(&rights), "{}", right.key);
        let (rich, _) = met(&manifest, &profile);
        let (rights, _) = effective(&manifest, &profile, &none, Some(&rich));
        assert!(right.is_in(&rights), "{}", right.key);
    }
}

#[test]
fn a_plan_cannot_raise_what_the_profile_has_not() {
    for right in RIGHTS.iter().filter(|right| !is_flag(right)) {
        // The right's own lines, as a plan would write them; a variable it can only name.
        let written: toml_edit::DocumentMut = right.lines.parse().unwrap();
        let mut grants = serde_json::Map::new();
        grants.insert(right.key.to_owned(), json_of(&written[right.key]));
        if right.key == "env" {
            grants.insert("env".to_owned(), serde_json::json!(["LANG"]));
        }
        let json = serde_json::json!({ "grants": grants });
        let narrowing = match Narrowing::from_json("x", &json, "plan.yaml", Position::START) {
            Ok(narrowing) => narrowing,
            // What is started only a profile says: a plan takes it away or leaves it.
            Err(problems) => {
                assert_eq!(right.key, "process", "{problems:?}");
                continue;
            }
        };
        assert!(narrowing.check(&profile(right)).is_empty(), "{}", right.key);
        let raised = narrowing.check(&empty());
        assert!(!raised.is_empty(), "{}: nobody noticed", right.key);
        for problem in raised {
            assert!(problem.message.contains(right.key), "{problem}");
            assert!(problem.message.contains("a plan only lowers"), "{problem}");
        }
    }
}

fn json_of(item: &toml_edit::Item) -> serde_json::Value {
    let text = format!("it = {}", item.clone().into_value().unwrap());
    let table: toml_edit::DocumentMut = text.parse().unwrap();
    value_of(table["it"].as_value().unwrap())
}

fn value_of(value: &toml_edit::Value) -> serde_json::Value {
    use toml_edit::Value;
    match value {
        Value::String(text) => text.value().as_str().into(),
        Value::Integer(number) => (*number.value()).into(),
        Value::Float(number) => (*number.value()).into(),
        Value::Boolean(flag) => (*flag.value()).into(),
        Value::Datetime(date) => date.to_string().into(),
        Value::Array(list) => list.iter().map(value_of).collect(),
        Value::InlineTable(table) => table
            .iter()
            .map(|(key, value)| (key.to_owned(), value_of(value)))
            .collect(),
    }
}

#[test]
fn every_question_of_a_table_is_denied_and_its_refusal_can_be_cured() {
    let asked: Vec<_> = RIGHTS
        .iter()
        .flat_map(|right| {
            right
                .questions
                .iter()
                .map(move |question| (right, question))
        })
        .collect();
    for (right, question) in &asked {
        let table = format!(
            "version = 1\n[[case]]\nname = \"n\"\nexpect = \"deny\"\n{} = \"{}\"\n",
            question.key, question.example
        );
        let cases = Cases::parse(&table, "c.toml").expect(question.key);
        let denied = match run(&cases, &Effective::default()).remove(0).got {
            Err(denied) => denied,
            Ok(rule) => panic!("{}: {rule} allows it without a grant", question.key),
        };
        assert_eq!(Right::of_path(denied.right), Some(*right), "{denied:?}");
        let cure = denied.cure.as_deref().expect(question.key);
        let refusal = Refusal {
            right: denied.right,
            wanted: &denied.wanted,
            rule: &denied.rule,
            cure,
        };
        let amended = amend(HEAD, "x", &[refusal]).expect(question.key);
        assert!(amended.never.is_empty(), "{}: {amended:?}", question.key);
        let profile = Profile::parse(&amended.text, "p.toml").expect(question.key);
        let cured = Effective {
            grants: profile.grants,
            ..Effective::default()
        };
        let got = &run(&cases, &cured)[0].got;
        assert!(got.is_ok(), "{}: {got:?}\n{}", question.key, amended.text);
        // A profile that grants it was not what refused it.
        let held = amend(&amended.text, "x", &[refusal]).expect(question.key);
        assert_eq!(held.held.len(), 1, "{}: {held:?}", question.key);
    }
    // A right that is refused in a call, and not by leaving its interface out, has a question.
    let without: Vec<&str> = RIGHTS
        .iter()
        .filter(|right| right.questions.is_empty())
        .map(|right| right.key)
        .collect();
    assert_eq!(
        without,
        [
            "log", "config", "budget", "env", "clock", "random", "process"
        ]
    );
}

#[test]
fn addresses_stand_only_beside_what_is_resolved() {
    for question in RIGHTS.iter().flat_map(|right| right.questions) {
        let table = format!(
            "version = 1\n[[case]]\nname = \"n\"\nexpect = \"deny\"\n{} = \"{}\"\naddresses = [\"10.0.0.1\"]\n",
            question.key, question.example
        );
        let read = Cases::parse(&table, "c.toml");
        assert_eq!(read.is_ok(), question.takes_addresses, "{}", question.key);
    }
}

#[test]
fn asking_for_nothing_and_for_everything_are_the_two_ends() {
    let (nothing, everything) = (Asks::nothing(), Asks::everything());
    for right in &RIGHTS {
        let manifest = |needs: &Asks| {
            let mut manifest = Manifest::from_imports("x", []);
            manifest.needs = needs.clone();
            manifest
        };
        assert!(!right.is_asked_by(&manifest(&nothing)), "{}", right.key);
        assert!(right.is_asked_by(&manifest(&everything)), "{}", right.key);
    }
}

#[test]
fn an_import_asks_for_its_right_and_no_other() {
    for right in &RIGHTS {
        let import = format!("flowhost:{0}/{0}@0.1.0", right.capability);
        let manifest = Manifest::from_imports("x", [import.as_str()]);
        let asked: Vec<&str> = RIGHTS
            .iter()
            .filter(|right| right.is_asked_by(&manifest))
            .map(|right| right.key)
            .collect();
        assert_eq!(asked, [right.key]);
        assert_eq!(manifest.imports(), [right.capability]);
    }
}
