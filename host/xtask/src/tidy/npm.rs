//! What comes from the npm registry comes as a lock names it: the same in a year as today. And a lock names packages and
//! hashes alone: with addresses in it, every machine would ask the registry of whoever wrote it.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Faults, files_below, read, shown};

/// Where packages of npm are used. What `plugin new` brings is locked by whoever takes it.
const PLACES: [&str; 4] = ["examples", "plugins", "sdk-ts", "tests"];
/// The keys that name packages.
const NAMED: [&str; 2] = ["dependencies", "devDependencies"];

pub(super) fn check(root: &Path) -> Result<Faults> {
    let mut faults = Faults::new();
    for place in PLACES {
        for path in files_below(&root.join(place), &["package.json"])? {
            let name = shown(root, &path);
            let lock = path.with_file_name("package-lock.json");
            let lock = match lock.is_file() {
                true => Some(read(&lock)?),
                false => None,
            };
            let fault = fault(&read(&path)?, lock.as_deref())
                .with_context(|| format!("{name}, or its lock, is no JSON"))?;
            faults.extend(fault.map(|why| format!("{name}: {why}")));
        }
    }
    Ok(faults)
}

/// What is wrong with the lock of a package, if something is.
fn fault(package: &str, lock: Option<&str>) -> Result<Option<&'static str>> {
    let package: Value = serde_json::from_str(package)?;
    if NAMED.iter().all(|key| package.get(key).is_none()) {
        return Ok(None);
    }
    let Some(lock) = lock else {
        return Ok(Some(
            "no package-lock.json stands beside it, and what it names is another thing each time: \
             `npm install --package-lock-only --omit-lockfile-registry-resolved` makes one",
        ));
    };
    let lock: Value = serde_json::from_str(lock)?;
    let packages = lock.get("packages").and_then(Value::as_object);
    // The package itself stands there under no name.
    let own = packages.and_then(|all| all.get(""));
    if NAMED
        .iter()
        .any(|key| own.and_then(|own| own.get(key)) != package.get(key))
    {
        return Ok(Some(
            "its lock was made for other packages: `npm install --package-lock-only` makes it anew",
        ));
    }
    let has_address = |it: &Value| {
        let resolved = it.get("resolved").and_then(Value::as_str);
        resolved.is_some_and(|it| it.starts_with("http"))
    };
    let addresses = packages.is_some_and(|all| all.values().any(has_address));
    Ok(addresses.then_some(
        "its lock names a registry, which not every machine uses: make it with \
         `--omit-lockfile-registry-resolved`",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKAGE: &str = r#"{ "name": "p", "dependencies": { "a": "1.0.0" } }"#;

    fn told(lock: Option<&str>) -> &'static str {
        fault(PACKAGE, lock).unwrap().unwrap_or("nothing")
    }

    #[test]
    fn a_package_without_a_lock_or_with_anothers_or_a_registry_in_it_is_told() {
        assert!(told(None).contains("no package-lock.json"));
        let other = r#"{ "packages": { "": { "dependencies": { "a": "2.0.0" } } } }"#;
        assert!(told(Some(other)).contains("other packages"));
        let addressed = r#"{ "packages": { "": { "dependencies": { "a": "1.0.0" } },
            "node_modules/a": { "version": "1.0.0", "resolved": "https://registry.example/a.tgz" } } }"#;
        assert!(told(Some(addressed)).contains("names a registry"));
        let good = r#"{ "packages": { "": { "dependencies": { "a": "1.0.0" } },
            "node_modules/a": { "version": "1.0.0" }, "b": { "resolved": "../b" } } }"#;
        assert_eq!(told(Some(good)), "nothing");
        assert_eq!(fault("{}", None).unwrap(), None);
    }
}
