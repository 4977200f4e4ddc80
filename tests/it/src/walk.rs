//! Lists that stand in one place of the code, and what each entry must bring with it: guests, a page
//! of the manual, a profile that shows it. What the house rules (`cargo xtask tidy`) already walk
//! (limits, commands, a page for each WIT package) is not walked here again.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::hosted::capability_names;
use crate::hostile::cap::denied_capabilities;
use crate::support::repository;

/// Where a guest of its own shows the capability's limit; the others have nothing to fill but the
/// host-call budget that every capability shares.
const LIMITED: &[(&str, &str)] = &[
    ("budget", "limit_budget"),
    ("clock", "limit_clock"),
    ("config", "limit_config"),
    ("files", "limit_files"),
    ("http", "limit_http"),
    ("log", "limit_log"),
    ("messaging", "limit_messaging"),
    ("model", "limit_model"),
    ("progress", "limit_progress"),
    ("random", "limit_random"),
    ("runtime", "limit_handles"),
    ("secrets", "limit_secrets"),
    ("state", "limit_state"),
    ("tools", "limit_tools"),
];

/// What language runtimes drag in has no grant of its own, so there is nothing to deny or to write
/// into a profile: `env` shows an empty environment, `runtime` is always there and empty.
const SOFT: &[(&str, &str)] = &[
    ("env", "deny_environment"),
    ("runtime", "deny_wasi_sockets"),
];

fn read(path: &str) -> String {
    let path = repository().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn guests() -> BTreeSet<String> {
    std::fs::read_dir(repository().join("tests/guests/src/bin"))
        .unwrap()
        .map(|entry| {
            entry
                .unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_string_lossy()
                .into_owned()
        })
        .collect()
}

#[test]
fn every_capability_has_a_guest_that_is_denied_it() {
    let denied: BTreeSet<(&str, &str)> = denied_capabilities()
        .map(|(guest, capability)| (capability, guest))
        .collect();
    let guests = guests();
    for name in capability_names() {
        let found = denied
            .iter()
            .chain(SOFT)
            .find(|(capability, _)| *capability == name);
        let (_, guest) = found.unwrap_or_else(|| panic!("no deny_ guest for `{name}`"));
        assert!(
            guest.starts_with("deny_") && guests.contains(*guest),
            "{name}: {guest}"
        );
    }
}

#[test]
fn every_capability_that_can_be_exhausted_has_a_guest_that_does() {
    let guests = guests();
    // Variables have no limit of their own; those of a server's process are tried by programs (`mcp/process.rs`).
    let limited = |name: &&str| !matches!(*name, "env" | "mcp-transport");
    for name in capability_names().into_iter().filter(limited) {
        let found = LIMITED.iter().find(|(capability, _)| *capability == name);
        let (_, guest) = found.unwrap_or_else(|| panic!("no limit_ guest for `{name}`"));
        assert!(
            guest.starts_with("limit_") && guests.contains(*guest),
            "{name}: {guest}"
        );
    }
}

#[test]
fn every_capability_with_a_grant_has_a_page_with_a_profile_that_is_valid() {
    for name in capability_names()
        .into_iter()
        .filter(|name| *name != "runtime")
    {
        let page = read(&format!("docs/capabilities/{name}.md"));
        let between = |open: &str, close: &str| {
            page.split(open)
                .nth(1)
                .and_then(|rest| rest.split(close).next())
        };
        let example = between("```toml\n", "```").or_else(|| between("Profile: `", "`"));
        let example =
            example.unwrap_or_else(|| panic!("docs/capabilities/{name}.md shows no profile"));
        let profile = format!("version = 1\nname = \"shown\"\n{example}");
        flowhost_policy::Profile::parse(&profile, "shown.toml")
            .unwrap_or_else(|problems| panic!("docs/capabilities/{name}.md: {problems:#?}"));
    }
}

#[test]
fn the_manual_lists_the_record_kinds_as_the_ledger_knows_them() {
    let page = read("docs/ledger.md");
    let rows: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    let known: Vec<String> = flowhost_ledger::Kind::ALL
        .iter()
        .map(|(_, word, doc)| format!("| `{word}` | {doc} |"))
        .collect();
    assert_eq!(rows, known);
}

#[test]
fn the_manual_names_every_limit_with_its_default() {
    let page = read("docs/limits.md");
    for limit in &flowhost_policy::LIMITS {
        let row = page
            .lines()
            .find(|line| line.starts_with(&format!("| `{}` |", limit.key)));
        let row = row.unwrap_or_else(|| panic!("docs/limits.md does not name `{}`", limit.key));
        let shown = limit.show(limit.default()).replace('_', ",");
        let plain = row.replace(' ', "");
        assert!(
            plain.contains(&shown),
            "`{}` has the default {shown}: {row}",
            limit.key
        );
    }
}

#[test]
fn the_manual_names_every_key_of_a_plan_and_of_a_step() {
    let page = read("docs/plan.md");
    let schema = flowhost_flow::plan_schema();
    let sections = schema["$defs"].as_object().unwrap().keys();
    let nodes = sections
        .map(String::as_str)
        .filter(|name| name.ends_with("_node"));
    let sections = ["plan", "step", "fsm_plan", "state", "behavior_tree"];
    for section in sections.into_iter().chain(nodes) {
        let keys = schema["$defs"][section]["properties"].as_object();
        let keys = keys.unwrap_or_else(|| panic!("no `{section}` in the schema"));
        let least = if section.ends_with("_node") { 2 } else { 8 };
        assert!(keys.len() >= least, "{section}: {keys:?}");
        for key in keys.keys() {
            assert!(
                page.contains(&format!("`{key}`")),
                "docs/plan.md: `{key}` of a {section}"
            );
        }
        let undocumented = keys
            .values()
            .filter(|key| key["description"] == Value::Null)
            .count();
        assert_eq!(undocumented, 0, "{section}");
    }
}
