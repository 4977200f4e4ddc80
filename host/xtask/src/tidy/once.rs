//! What the house tool and the host both depend on has the same features in both, so that a fresh machine compiles it once.
//! `host/compiled-once` says what that is for, and is where a feature goes that this finds missing.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::Faults;
use crate::folders::Folders;
use crate::process;

/// Of each dependency (its name and version), the sets of features with which it is built.
type Features = BTreeMap<String, BTreeSet<String>>;

pub(super) fn check(folders: &Folders) -> Result<Faults> {
    Ok(faults(
        &features(folders, "xtask")?,
        &features(folders, "flowhost")?,
    ))
}

fn features(folders: &Folders, package: &str) -> Result<Features> {
    let arguments = [
        "tree",
        // And not offline: it reads every dependency's manifest, and on a fresh machine the host's come with this.
        "--locked",
        "--package",
        package,
        "--edges",
        "normal,build",
        "--prefix",
        "none",
        "--format",
        "{p}|{f}",
        "--no-dedupe",
    ];
    Ok(read(&process::output(&mut process::cargo(
        &folders.root,
        &arguments,
    ))?))
}

fn read(tree: &str) -> Features {
    let mut found = Features::new();
    for line in tree.lines() {
        let Some((package, features)) = line.split_once('|') else {
            continue;
        };
        // `serde v1.0.0 (proc-macro)`, or the folder of one of our own.
        let mut words = package.split(' ');
        if let (Some(name), Some(version)) = (words.next(), words.next()) {
            found
                .entry(format!("{name} {version}"))
                .or_default()
                .insert(features.to_owned());
        }
    }
    found
}

fn faults(tool: &Features, host: &Features) -> Faults {
    let mut faults = Faults::new();
    for (package, own) in tool {
        // It differs by the feature that is for the host alone, and has no code.
        if package.starts_with("compiled-once ") {
            continue;
        }
        let Some(hosts) = host.get(package) else {
            continue;
        };
        // One may be a macro's, with features of its own in either: what counts is that the work of the other is shared.
        if own.is_disjoint(hosts) {
            let missing: BTreeSet<&str> = hosts.iter().flat_map(|it| it.split(',')).collect();
            let there: BTreeSet<&str> = own.iter().flat_map(|it| it.split(',')).collect();
            let named = |it: BTreeSet<&str>| it.into_iter().collect::<Vec<_>>().join(", ");
            faults.push(format!(
                "host/compiled-once/Cargo.toml: {package} is compiled twice by a first build, since the host has it with the \
                 features {}; give those to it there, or take out {}",
                named(missing.difference(&there).copied().collect()),
                named(there.difference(&missing).copied().collect()),
            ));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_with_features_of_its_own_in_each_is_told_and_one_that_shares_a_set_is_not() {
        let host = read(
            "url v2.5.8|default,serde\nrand v0.8.8|std\nrand v0.8.8|small_rng\nonly v1.0.0|a\n",
        );
        let same = "rand v0.8.8|small_rng\nsyn v2.0.0 (proc-macro)|full\n";
        assert_eq!(faults(&read(same), &host), Faults::new());
        let told = faults(&read(&format!("{same}url v2.5.8|default\n")), &host);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0].contains("url v2.5.8") && told[0].contains("features serde"),
            "{told:?}"
        );
    }
}
