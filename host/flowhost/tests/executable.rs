//! The executable as Cargo builds it for its own package: there, named, and of the version that the
//! library has. What it does is tested in `tests/it`.
//!
//! An integration test of this package makes Cargo build the executable together with all other tests
//! of the workspace, from the same artefacts; `tests/it` finds it beside itself.

use std::process::Command;

#[expect(clippy::disallowed_methods, reason = "the program under test")]
fn flowhost(argument: &str) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_flowhost"))
        .arg(argument)
        .env_clear()
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.success(), text)
}

#[test]
fn says_the_version_of_its_package() {
    let expected = format!("flowhost {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(flowhost("--version"), (true, expected));
}

#[test]
fn hides_the_command_that_only_the_host_itself_calls() {
    let (good, help) = flowhost("--help");
    assert!(good && help.contains("validate"), "{help}");
    assert!(!help.contains("__compile"), "{help}");
}
