//! The executable as Cargo builds it for its own package: there, named, and of the version that the
//! library has. What it does is tested in `tests/it`.
//!
//! An integration test of this package makes Cargo build the executable together with all other tests
//! of the workspace, from the same artefacts; `tests/it` finds it beside itself.

use std::process::{Command, Output};

#[expect(clippy::disallowed_methods, reason = "the program under test")]
fn flowhost(argument: &str) -> std::io::Result<Output> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flowhost"));
    command.arg(argument).env_clear().output()
}

#[test]
fn says_the_version_of_its_package() {
    let output = flowhost("--version").unwrap();
    assert!(output.status.success());
    let expected = format!("flowhost {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(output.stdout, expected.as_bytes());
}

#[test]
fn hides_the_command_that_only_the_host_itself_calls() {
    let output = flowhost("--help").unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(help.contains("validate"), "{help}");
    assert!(!help.contains("__compile"), "{help}");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the program under test")]
fn a_working_folder_that_is_gone_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let script = "mkdir gone && cd gone && rmdir ../gone && exec \"$0\" \"$@\"";
    for (json, words) in [(false, "error: cannot find `.`"), (true, "\"ok\": false")] {
        let mut command = Command::new("sh");
        command.args(["-c", script, env!("CARGO_BIN_EXE_flowhost"), "keys", "show"]);
        command
            .args(json.then_some("--json"))
            .current_dir(folder.path());
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let told = [output.stdout, output.stderr].concat();
        let told = String::from_utf8(told).unwrap();
        assert!(told.contains(words), "{told}");
    }
}
