//! What the build is made of: features that must stay off, whoever else wants them.

use std::process::Command;

/// wasmtime's features that nothing in the workspace may turn on (OPS-008).
const FORBIDDEN: [&str; 14] = [
    "component-model-async",
    "gc",
    "gc-drc",
    "gc-null",
    "gc-copying",
    "threads",
    "stack-switching",
    "winch",
    "wat",
    "debug",
    "cache",
    "profiling",
    "compile-time-builtins",
    "default",
];

#[test]
fn ops_008_the_resolved_features_of_wasmtime_hold_none_that_is_forbidden() {
    for package in ["wasmtime", "wasmtime-wasi", "wasmtime-wasi-http"] {
        let tree = features(package);
        for feature in FORBIDDEN
            .iter()
            .chain(&["p0", "p1", "p3", "default-send-request"])
        {
            let line = format!("{package} feature \"{feature}\"");
            assert!(
                !tree.contains(&line),
                "{line} is on; see docs/adr/0002\n{tree}"
            );
        }
    }
    assert!(features("wasmtime").contains("wasmtime feature \"pooling-allocator\""));
}

/// Who turns on which feature of `package`, over normal dependencies of the whole workspace; empty
/// for a package that is not part of it.
fn features(package: &str) -> String {
    let cargo = std::env!("CARGO");
    #[expect(
        clippy::disallowed_methods,
        reason = "the test asks Cargo what it resolved"
    )]
    let output = Command::new(cargo)
        .args([
            "tree",
            "--offline",
            "--workspace",
            "--edges",
            "features,normal",
        ])
        .args(["--prefix", "none", "--invert", package])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}
