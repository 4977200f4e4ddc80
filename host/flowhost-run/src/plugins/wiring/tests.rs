//! What a project comes to before its plugins are there: hashes, estimates, its budget, its secrets.

use std::path::PathBuf;

use flowhost_engine::{Inspected, ShapeLimits};
use flowhost_flow::Plan;
use flowhost_policy::{Effective, Manifest, Profile};
use zeroize::Zeroizing;

use super::*;

const PLAN: &str = "flowhost: v1\nkind: workflow\nname: two\nplugins:\n  \
                    a: { kind: tool, source: 'builtin:a', profile: p }\n  \
                    b: { kind: agent, source: 'builtin:b', profile: p }\n\
                    BUDGETsteps: { one: { uses: a }, two: { uses: b } }\n";

/// A component of its own for each name.
fn component(name: &str) -> Inspected {
    let text = format!(
        "(component (core module $m (func (export \"f\"))) (core instance $i (instantiate $m)) \
         (func (export \"{name}\") (canon lift (core func $i \"f\"))))"
    );
    let bytes = wat::parse_str(text).unwrap();
    Inspected::new(bytes.into(), &ShapeLimits::default()).unwrap()
}

fn project(budget: &str) -> Project {
    let text = PLAN.replace("BUDGET", budget);
    let plan = Plan::parse(&text, "plan.yaml").unwrap();
    let member = |(key, decl): (&String, &flowhost_flow::PluginDecl)| {
        let profile = Profile::parse("version = 1\nname = \"p\"\n", "p.toml").unwrap();
        let member = Member {
            decl: decl.clone(),
            config: "{}".into(),
            path: PathBuf::new(),
            signature: None,
            inspection: component(key),
            manifest: Manifest::from_imports(key, []),
            profile,
            own: None,
            effective: Effective {
                hash: format!("sha256:rights-{key}"),
                ..Effective::default()
            },
            trace: Vec::new(),
        };
        (key.clone(), member)
    };
    let members = plan.plugins.iter().map(member).collect();
    Project {
        plan: Arc::new(plan),
        file: "plan.yaml".to_owned(),
        dir: PathBuf::new(),
        cwd: PathBuf::new(),
        inputs: serde_json::Map::new(),
        folders: BTreeMap::new(),
        members,
        texts: crate::given::bundle::Texts::default(),
        notes: Vec::new(),
        withheld: std::collections::BTreeSet::new(),
        unjudged: std::collections::BTreeSet::new(),
        pins: BTreeMap::new(),
        accepted: BTreeMap::new(),
        documents: BTreeMap::new(),
    }
}

#[test]
fn another_component_or_other_rights_are_another_plan() {
    let hash = |change: fn(&mut Member)| {
        let mut project = project("");
        change(project.members.get_mut("b").unwrap());
        plan_hash(&project).unwrap()
    };
    let same = hash(|_| {});
    assert_eq!(hash(|_| {}), same, "the same plan has one hash");
    assert_ne!(hash(|it| it.inspection = component("other")), same);
    assert_ne!(hash(|it| it.effective.hash = "sha256:other".into()), same);
    assert_eq!(
        hash(|it| it.path = "elsewhere".into()),
        same,
        "the file is a place"
    );
}

#[test]
fn each_plugin_is_known_by_its_component() {
    let found = components(&project(""));
    let wanted = ["a", "b"].map(|key| (key.to_owned(), component(key).digest.to_string()));
    assert_eq!(found, BTreeMap::from(wanted));
}

#[test]
fn a_call_is_reserved_with_its_fuel_and_without_tokens() {
    let mut project = project("");
    project.members.get_mut("a").unwrap().effective.limits.fuel = 77;
    let estimates = estimates(&project);
    let wanted = Amounts {
        calls: 1,
        fuel: 77,
        tokens: 0,
        micro_usd: 0,
    };
    assert_eq!(estimates["a"], wanted);
    assert_eq!(estimates.len(), 2);
}

#[test]
fn a_budget_that_the_plan_leaves_open_is_bounded_all_the_same() {
    let open = ceiling(&project("").plan);
    assert!(open.halts, "a plan that says nothing halts");
    assert_eq!(open.limit.tokens, DEFAULT_LIMIT.get(Currency::Tokens));
    assert_eq!(open.limit.micro_usd, DEFAULT_LIMIT.get(Currency::MicroUsd));
    let stated = ceiling(&project("budget: { tokens: 5, on_exceeded: warn }\n").plan);
    assert!(!stated.halts);
    assert_eq!(stated.limit.tokens, 5);
    assert_eq!(
        stated.limit.micro_usd,
        DEFAULT_LIMIT.get(Currency::MicroUsd)
    );
}

#[test]
fn neighbouring_seeds_have_nothing_in_common() {
    assert_eq!(seed_of(1), seed_of(1));
    let (one, two) = (seed_of(1), seed_of(2));
    let same = one.iter().zip(two).filter(|(a, b)| **a == *b).count();
    assert!(same < 8, "{same} of 32 bytes are the same");
}

#[test]
fn a_finding_about_a_plugin_stands_where_the_plan_names_it() {
    let project = project("");
    let found = at_member(&project, "b", "it fails\n\nhint: mend it");
    assert_eq!((found.file.as_str(), found.line), ("plan.yaml", 6));
    assert_eq!(found.message, "plugin `b`: it fails");
    assert_eq!(found.hint, "mend it");
    assert_eq!(at_member(&project, "gone", "x").line, 0, "no place is none");
}

/// Two secrets of the operator's.
struct Store;

impl SecretStore for Store {
    fn get(&self, name: &str) -> Option<Zeroizing<String>> {
        let known = matches!(name, "TOKEN" | "OTHER");
        known.then(|| Zeroizing::new(format!("the value of {name}, long enough")))
    }
}

#[test]
fn a_secret_that_a_profile_names_and_does_not_give_is_taken_out_and_no_other() {
    let mut project = project("");
    project.withheld = ["TOKEN".to_owned(), "GONE".to_owned()].into();
    let revealed = Revealed::default();
    know_withheld(&project, &Store, &revealed);
    let mut said = serde_json::json!({
        "a": "the value of TOKEN, long enough", "b": "the value of OTHER, long enough",
    });
    revealed.clean_json(&mut said);
    assert!(!said["a"].as_str().unwrap().contains("the value"), "{said}");
    assert_eq!(said["b"], "the value of OTHER, long enough");
}
