//! Components of every toolchain load under `deny-all`, answer a call and can reach nothing: C,
//! JavaScript in both engines, Python, and Rust built from the first released WIT.

use serde_json::json;

use crate::hosted::Setup;
use crate::support::{foreign, repository};

/// Components in other languages; `cargo xtask build-guests --all` makes them.
const FOREIGN: &[&str] = &[
    "compat_c",
    "compat_js_quickjs",
    "compat_js_spidermonkey",
    "compat_python",
];

fn deny_all() -> String {
    let text = std::fs::read_to_string(repository().join("policies/deny-all.toml")).unwrap();
    let limits = text
        .split("[limits]")
        .nth(1)
        .unwrap()
        .replace("memory = \"32MiB\"", "memory = \"64MiB\"");
    format!("[limits]{limits}").replace("fuel = 500_000_000", "fuel = 2_000_000_000")
}

#[test]
fn components_of_every_language_answer_under_deny_all_and_reach_nothing() {
    for name in FOREIGN {
        let Some(path) = foreign(name) else { continue };
        let host = Setup::new(&deny_all()).host_of(std::fs::read(path).unwrap());
        assert!(host.missing.is_empty(), "{name}: {:?}", host.missing);
        let report = host.call(&json!({ "text": "hello" }));
        let content = report
            .result
            .unwrap_or_else(|fault| panic!("{name}: {fault}"));
        assert!(!content.value.is_empty(), "{name}");
        assert_eq!(host.connector.dialled(), [], "{name}");
        assert!(host.resolver.asked().is_empty(), "{name}");
        assert!(
            host.facts().is_empty(),
            "{name}: nothing was even asked for: {:?}",
            host.facts()
        );
    }
}

#[test]
fn a_component_of_the_first_released_wit_asks_for_everything_and_is_told_what_is_missing() {
    let host = Setup::new("").host("compat_wit_0_1_0");
    assert!(host.missing.len() >= 11, "{:?}", host.missing);
    assert!(
        host.missing
            .iter()
            .all(|missing| missing.interface.ends_with("@0.1.0"))
    );
    assert!(host.plugin.is_err());
}
