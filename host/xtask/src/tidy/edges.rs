//! Which crate may depend on which, and who may know the runtime: the shape of ARCHITECTURE.md, as a
//! table. Tests and benches of a crate may use more than the crate itself.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde_json::Value;

use super::Faults;
use crate::folders::Folders;
use crate::process;

/// What each crate of the host may depend on, of our own crates.
const EDGES: &[(&str, &[&str])] = &[
    // The words of plans, manifests and components: below all that read them, and knowing none.
    ("flowhost-words", &[]),
    // What a person can see is the same for profiles, for errors of providers and for plugins.
    ("flowhost-policy", &["flowhost-detect", "flowhost-words"]),
    ("flowhost-ledger", &[]),
    ("flowhost-flow", &["flowhost-words"]),
    ("flowhost-bus", &[]),
    ("flowhost-detect", &[]),
    ("flowhost-models", &["flowhost-detect", "flowhost-words"]),
    ("flowhost-mcp", &[]),
    ("flowhost-oauth", &["flowhost-detect", "flowhost-words"]),
    ("flowhost-jail", &[]),
    ("flowhost-author", &["flowhost-policy", "flowhost-words"]),
    (
        "flowhost-engine",
        &["flowhost-policy", "flowhost-ledger", "flowhost-words"],
    ),
    (
        "flowhost-caps",
        &[
            "flowhost-engine",
            "flowhost-policy",
            "flowhost-ledger",
            "flowhost-flow",
            "flowhost-bus",
            "flowhost-detect",
            "flowhost-models",
            "flowhost-mcp",
            "flowhost-jail",
        ],
    ),
    // Views: a run can be shown without anything that could run it, or link to a terminal.
    (
        "flowhost-evidence",
        &[
            "flowhost-policy",
            "flowhost-ledger",
            "flowhost-flow",
            "flowhost-words",
        ],
    ),
    (
        "flowhost-run",
        &[
            "flowhost-caps",
            "flowhost-engine",
            "flowhost-policy",
            "flowhost-ledger",
            "flowhost-flow",
            "flowhost-bus",
            "flowhost-detect",
            "flowhost-models",
            "flowhost-words",
        ],
    ),
    // Whoever serves runs, and knows no file and no command line.
    (
        "flowhost-serve",
        &[
            "flowhost-run",
            "flowhost-caps",
            "flowhost-flow",
            "flowhost-mcp",
        ],
    ),
    (
        "flowhost",
        &[
            "compiled-once",
            "flowhost-author",
            "flowhost-jail",
            "flowhost-run",
            "flowhost-serve",
            "flowhost-caps",
            "flowhost-engine",
            "flowhost-evidence",
            "flowhost-policy",
            "flowhost-ledger",
            "flowhost-flow",
            "flowhost-bus",
            "flowhost-models",
            "flowhost-oauth",
            "flowhost-words",
        ],
    ),
    (
        "xtask",
        &["compiled-once", "flowhost-author", "flowhost-policy"],
    ),
    ("flowhost-sdk", &["flowhost-sdk-macros"]),
    ("flowhost-sdk-macros", &[]),
    ("flowhost-sdk-build", &[]),
    ("flowhost-schema", &[]),
    ("flowhost-test-guests", &["flowhost-sdk"]),
];

/// What a plugin may depend on, of our own crates. Of the host's only pure ones that must say the same inside the sandbox
/// and outside: what `flowhost-detect` finds (docs/adr/0006), frames of MCP, and what an agent is told first.
const PLUGIN_EDGES: &[&str] = &[
    "flowhost-sdk",
    "flowhost-sdk-build",
    "flowhost-detect",
    "flowhost-mcp",
    "flowhost-schema",
    "flowhost-words",
];

/// Crates from outside that only some of ours may use, and why.
const FIREWALLS: &[(&str, &[&str], &str)] = &[
    (
        "wasmtime",
        &["flowhost-engine", "flowhost-caps"],
        "the runtime lives behind the engine",
    ),
    (
        "wasmtime-wasi",
        &["flowhost-engine", "flowhost-caps"],
        "the runtime lives behind the engine",
    ),
    (
        "clap",
        &["flowhost", "xtask"],
        "only programs read command lines",
    ),
    (
        "maud",
        &["flowhost-evidence"],
        "pages are views, and views are one crate",
    ),
    (
        "anyhow",
        &["flowhost", "xtask"],
        "libraries have typed errors",
    ),
    (
        "oauth2",
        &["flowhost-oauth"],
        "one crate knows the forms of OAuth, and decides what is believed of an answer",
    ),
    (
        "strsim",
        &["flowhost-words", "flowhost-sdk-macros"],
        "which word was meant is asked in one place (a macro of the SDK cannot know the host)",
    ),
    (
        "tokio",
        &[
            "flowhost-bus",
            "flowhost-caps",
            "flowhost-engine",
            "flowhost-jail",
            "flowhost-ledger",
            "flowhost-models",
            "flowhost-run",
            "flowhost-serve",
            "flowhost",
        ],
        "pure crates know no clock and no runtime",
    ),
];

/// Packages that test others from outside, and so may use anything; and the one that has no code, only features of dependencies.
fn is_free(name: &str) -> bool {
    matches!(
        name,
        "compiled-once" | "flowhost-it" | "flowhost-benches" | "it" | "benches"
    ) || name.ends_with("-fuzz")
}

/// Checks every package of the workspace.
pub(super) fn check(folders: &Folders) -> Result<Faults> {
    let arguments = [
        "metadata",
        "--no-deps",
        "--offline",
        "--format-version",
        "1",
    ];
    let text = process::output(&mut process::cargo(&folders.root, &arguments))?;
    let metadata: Value = serde_json::from_str(&text).context("`cargo metadata` is not JSON")?;
    Ok(faults(&packages(&metadata)))
}

/// Dependencies by package, without those of tests.
fn packages(metadata: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let list = |value: &Value, key: &str| {
        value
            .get(key)
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
    };
    let name = |value: &Value| {
        value
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    list(metadata, "packages")
        .iter()
        .map(|package| {
            let kept = list(package, "dependencies")
                .iter()
                .filter(|it| it.get("kind").and_then(Value::as_str) != Some("dev"))
                .map(name)
                .collect();
            (name(package), kept)
        })
        .collect()
}

fn faults(packages: &BTreeMap<String, BTreeSet<String>>) -> Faults {
    let mut faults = Faults::new();
    for (package, dependencies) in packages.iter().filter(|(name, _)| !is_free(name)) {
        let Some(allowed) = allowed(package) else {
            faults.push(format!(
                "{package}: is in no row of tidy's table of edges: give it one"
            ));
            continue;
        };
        for dependency in dependencies {
            if packages.contains_key(dependency) && !allowed.contains(&dependency.as_str()) {
                faults.push(format!(
                    "{package}: depends on {dependency}, and dependencies point one way"
                ));
            }
            faults.extend(crosses_a_firewall(package, dependency));
        }
    }
    faults
}

fn allowed(package: &str) -> Option<&'static [&'static str]> {
    if package.starts_with("flowhost-plugin-") {
        return Some(PLUGIN_EDGES);
    }
    EDGES
        .iter()
        .find(|(name, _)| *name == package)
        .map(|(_, allowed)| *allowed)
}

fn crosses_a_firewall(package: &str, dependency: &str) -> Option<String> {
    let (_, allowed, why) = FIREWALLS.iter().find(|(name, _, _)| *name == dependency)?;
    let crosses = !allowed.contains(&package);
    crosses.then(|| format!("{package}: depends on {dependency}, but {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(package: &str, dependency: &str) -> Faults {
        // Only our own crates are packages of the workspace; the runtime is a dependency alone.
        let ours = [package, dependency]
            .into_iter()
            .filter(|name| name.starts_with("flowhost"));
        let mut packages: BTreeMap<String, BTreeSet<String>> = ours
            .map(|name| (name.to_owned(), BTreeSet::new()))
            .collect();
        packages.insert(package.to_owned(), [dependency.to_owned()].into());
        faults(&packages)
            .into_iter()
            .filter(|fault| fault.starts_with(package))
            .collect()
    }

    #[test]
    fn refuses_an_edge_that_points_back() {
        assert_eq!(found("flowhost-policy", "flowhost-engine").len(), 1);
        assert_eq!(found("flowhost-plugin-files", "flowhost-policy").len(), 1);
        assert_eq!(found("flowhost-evidence", "flowhost-engine").len(), 1);
    }

    #[test]
    fn refuses_the_runtime_in_a_pure_crate() {
        assert_eq!(found("flowhost-flow", "wasmtime").len(), 1);
        assert_eq!(found("flowhost-evidence", "tokio").len(), 1);
    }

    #[test]
    fn refuses_a_crate_without_a_row() {
        assert_eq!(found("flowhost-new", "serde").len(), 1);
    }

    #[test]
    fn accepts_the_edges_of_the_table() {
        assert_eq!(found("flowhost-caps", "flowhost-engine"), Faults::new());
    }
}
