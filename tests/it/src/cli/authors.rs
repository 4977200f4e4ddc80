//! An author with the program and Rust, in an empty folder: a new project is made, tested, built, looked at
//! and run, and what goes wrong on the way says what to do.

use std::path::Path;
use std::process::Command;

use crate::support::{Home, Ran, confines, executable, repository};

/// Where projects of these tests are compiled: one folder for all, so that the SDK is compiled once.
fn target() -> std::path::PathBuf {
    repository().join("target/it-authors")
}

/// The command with an author's tools in reach, and no network for them.
pub(crate) fn author(home: &Home, arguments: &[&str]) -> Command {
    let mut command = home.command(arguments);
    for name in [
        "PATH",
        "HOME",
        "CARGO_HOME",
        "RUSTUP_HOME",
        "RUSTUP_TOOLCHAIN",
    ] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
        .env("CARGO_NET_OFFLINE", "true")
        .env("CARGO_TARGET_DIR", target())
        .env("FLOWHOST_SDK", repository().join("target/sdk"));
    command
}

fn run(home: &Home, arguments: &[&str]) -> Ran {
    home.ran(&author(home, arguments).output().unwrap(), arguments)
}

/// Makes and builds a project of a kind, and gives the build's report.
fn built(home: &Home, kind: &str, name: &str) -> serde_json::Value {
    run(home, &["plugin", "new", name, "--kind", kind]).expect(0);
    run(home, &["plugin", "build", name, "--json"])
        .expect(0)
        .json()
}

#[test]
fn a_new_tool_is_built_inspected_and_run_as_its_project_says() {
    let home = Home::new();
    let report = built(&home, "tool", "word-count");
    assert_eq!(report["needs"], serde_json::json!([]));
    assert_eq!(report["tools"], serde_json::json!(["count"]));
    let path = report["path"].as_str().unwrap();
    let seen = run(&home, &["plugin", "inspect", path, "--json"])
        .expect(0)
        .json();
    assert_eq!(seen["digest"], report["digest"]);
    assert_eq!(seen["manifest"]["name"], "word-count");
    let ran = run(&home, &["run", "word-count/plan.yaml", "--json"])
        .expect(0)
        .json();
    assert_eq!(ran["outputs"]["words"], 3);
    // Another place, the same sources: the same component.
    let elsewhere = Home::new();
    assert_eq!(
        built(&elsewhere, "tool", "word-count")["digest"],
        report["digest"]
    );
}

#[test]
fn a_tool_is_signed_packed_and_handed_to_a_stranger_who_sees_who_vouches_for_it() {
    let home = Home::new();
    built(&home, "tool", "handed-on");
    run(&home, &["plugin", "sign", "handed-on/dist/handed-on.wasm"]).expect(0);
    let packed = run(&home, &["plugin", "pack", "handed-on", "--json"])
        .expect(0)
        .json();
    assert_eq!(packed["signed"], true);
    let again = run(
        &home,
        &["plugin", "pack", "handed-on", "--out", "again.fhp"],
    )
    .expect(0);
    assert!(again.stdout.contains("again.fhp"), "{}", again.stdout);
    let bytes = |name: &str| std::fs::read(home.path().join(name)).unwrap();
    assert_eq!(bytes("handed-on/dist/handed-on.fhp"), bytes("again.fhp"));
    let key = run(&home, &["keys", "show"]).expect(0).stdout;
    let key = key.lines().find(|line| line.contains("+A")).unwrap().trim();

    let stranger = Home::new();
    stranger.file("it.fhp", bytes("again.fhp"));
    let unknown = run(&stranger, &["plugin", "verify", "it.fhp"]).expect(1);
    assert!(
        unknown.stderr.contains("no key is trusted"),
        "{}",
        unknown.stderr
    );
    run(&stranger, &["plugin", "verify", "it.fhp", "--key", key]).expect(0);
    run(&stranger, &["plugin", "unpack", "it.fhp"]).expect(0);
    let names: Vec<String> = below(stranger.path()).into_keys().collect();
    assert_eq!(
        names,
        [
            "handed-on/README.md",
            "handed-on/handed-on.sbom.json",
            "handed-on/handed-on.wasm",
            "handed-on/handed-on.wasm.sig",
            "it.fhp"
        ]
    );
    assert!(
        stranger
            .read("handed-on/handed-on.sbom.json")
            .contains("pkg:cargo/serde_json@")
    );
    run(
        &stranger,
        &["plugin", "verify", "handed-on/handed-on.wasm", "--key", key],
    )
    .expect(0);
    run(&stranger, &["plugin", "test", "handed-on/handed-on.wasm"]).expect(0);
    let twice = run(&stranger, &["plugin", "unpack", "it.fhp"]).expect(1);
    assert!(
        twice.stderr.contains("is there already"),
        "{}",
        twice.stderr
    );
}

#[test]
fn a_new_agent_asks_a_model_as_its_project_says() {
    let home = Home::new();
    let report = built(&home, "agent", "oracle");
    assert_eq!(report["needs"], serde_json::json!(["log", "model"]));
    let ran = run(&home, &["run", "oracle/plan.yaml", "--json"])
        .expect(0)
        .json();
    assert!(ran["outputs"]["answer"].is_string(), "{ran}");
}

#[test]
fn a_new_guardrail_judges_as_its_project_says() {
    let home = Home::new();
    let report = built(&home, "guardrail", "short-enough");
    assert_eq!(report["needs"], serde_json::json!([]));
    run(&home, &["run", "short-enough/plan.yaml"]).expect(0);
    // The kit needs to be told what it is configured with, as its project says.
    let config = r#"{"longest": 10000}"#;
    let told = format!("`flowhost plugin test dist/short-enough.wasm --config '{config}'`");
    assert!(home.read("short-enough/AGENTS.md").contains(&told));
    let component = "short-enough/dist/short-enough.wasm";
    let tried = run(&home, &["plugin", "test", component, "--config", config]).expect(0);
    assert!(
        tried.stdout.contains(" 0 warned, 0 failed"),
        "{}",
        tried.stdout
    );
    let plan = home.read("short-enough/plan.yaml").replace("10000", "3");
    home.file("short-enough/plan.yaml", plan);
    run(&home, &["run", "short-enough/plan.yaml"]).expect(4);
}

#[test]
fn a_new_adapter_starts_the_server_of_its_project_and_calls_its_tool() {
    let home = Home::new();
    let report = built(&home, "mcp-adapter", "speaks-mcp");
    assert_eq!(report["role"], "mcp_adapter");
    assert_eq!(report["needs"], serde_json::json!(["files", "process"]));
    for file in ["AGENTS.md", "README.md"] {
        let text = home.read(&format!("speaks-mcp/{file}"));
        let says = text.contains("`flowhost run plan.yaml --allow-process`");
        assert!(says && !text.contains("{{"), "{file}: {text}");
    }
    if !confines() {
        return;
    }
    let arguments = ["run", "speaks-mcp/plan.yaml", "--allow-process", "--json"];
    let ran = run(&home, &arguments).expect(0).json();
    assert_eq!(ran["outputs"]["said"], "ONE TWO THREE", "{ran:#}");
}

#[test]
fn the_tests_of_every_new_project_pass_on_the_build_machine() {
    let home = Home::new();
    let place = |name: &str| home.path().join(name);
    for kind in ["tool", "agent", "guardrail", "mcp-adapter"] {
        run(&home, &["plugin", "new", "project", "--kind", kind]).expect(0);
        // Each brings the SDK. It is the same, and as old and in the same place it is compiled once for all four, which
        // is most of the time.
        if place("sdk").exists() {
            assert_eq!(below(&place("project/sdk")), below(&place("sdk")));
            std::fs::remove_dir_all(place("project/sdk")).unwrap();
            std::fs::rename(place("sdk"), place("project/sdk")).unwrap();
        }
        cargo(&home, "project", &["test", "--quiet", "--lib"]);
        std::fs::rename(place("project/sdk"), place("sdk")).unwrap();
        std::fs::rename(place("project"), place(kind)).unwrap();
    }
}

#[test]
fn a_test_of_the_built_component_in_the_real_host_passes_as_the_book_has_it() {
    let home = Home::new();
    run(&home, &["plugin", "new", "in-a-sandbox"]).expect(0);
    let test = repository().join("docs/book/testing/sandbox.rs");
    home.file(
        "in-a-sandbox/tests/sandbox.rs",
        std::fs::read(test).unwrap(),
    );
    let arguments = ["test", "--quiet", "--test", "sandbox"];
    cargo(&home, "in-a-sandbox", &arguments);
}

/// Runs Cargo on a project, its tests with this build's executable; all is well, and the compiler has nothing to
/// say.
#[track_caller]
pub(crate) fn cargo(home: &Home, project: &str, arguments: &[&str]) {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let command = author(home, &[]);
    let mut tests = Command::new(cargo);
    tests
        .args(arguments)
        .current_dir(home.path().join(project))
        .env_clear()
        .envs(
            command
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .env("FLOWHOST", executable());
    let output = tests.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{project}: {said}{printed}");
    assert!(!said.contains("warning"), "{project}: {said}");
}

#[test]
fn a_right_that_the_code_uses_and_the_manifest_does_not_name_is_told_with_its_line() {
    let home = Home::new();
    run(&home, &["plugin", "new", "curious"]).expect(0);
    let code = home.read("curious/src/lib.rs").replace(
        "    Ok(Counted {",
        "    flowhost::log::info(\"counting\");\n    Ok(Counted {",
    );
    home.file("curious/src/lib.rs", code);
    let refused = run(&home, &["plugin", "build", "curious"]).expect(1);
    assert!(
        refused
            .stderr
            .contains("hint: write under [needs]: log = true"),
        "{}",
        refused.stderr
    );
    assert!(!home.path().join("curious/dist").exists());
    let manifest = home.read("curious/plugin.toml");
    home.file(
        "curious/plugin.toml",
        format!("{manifest}\n[needs]\nlog = true\nhttp = \"granted\"\n"),
    );
    let refused = run(&home, &["plugin", "build", "curious"]).expect(1);
    assert!(
        refused.stderr.contains("remove from [needs]: http"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_project_that_does_not_compile_shows_what_the_compiler_says_and_keeps_the_last_component() {
    let home = Home::new();
    run(&home, &["plugin", "new", "broken"]).expect(0);
    home.file("broken/dist/broken.wasm", "the last good one");
    home.file("broken/src/lib.rs", "//! Broken.\nfn count( {}\n");
    let refused = run(&home, &["plugin", "build", "broken", "--json"]).expect(1);
    assert!(
        refused.stderr.contains("src/lib.rs:2"),
        "{}",
        refused.stderr
    );
    let failure = refused.json();
    assert!(
        failure["message"]
            .as_str()
            .unwrap()
            .contains("does not build"),
        "{failure}"
    );
    assert_eq!(home.read("broken/dist/broken.wasm"), "the last good one");
}

#[test]
fn nothing_is_written_over_what_is_there_and_a_bad_name_is_refused() {
    let home = Home::new();
    home.file("taken/notes.txt", "mine");
    let refused = run(&home, &["plugin", "new", "taken"]).expect(1);
    assert!(refused.stderr.contains("not empty"), "{}", refused.stderr);
    assert_eq!(
        std::fs::read_dir(home.path().join("taken"))
            .unwrap()
            .count(),
        1
    );
    run(&home, &["plugin", "new", "../up"]).expect(64);
    let dry = run(&home, &["plugin", "new", "dry", "--dry-run", "--json"])
        .expect(0)
        .json();
    assert_eq!(dry["written"], false);
    assert!(!home.path().join("dry").exists());
}

#[test]
fn two_new_projects_of_one_name_are_the_same_byte_for_byte() {
    let (one, other) = (Home::new(), Home::new());
    for home in [&one, &other] {
        run(home, &["plugin", "new", "same", "--kind", "agent"]).expect(0);
    }
    let files = below(one.path());
    assert!(files.len() > 40, "{files:?}");
    assert_eq!(files, below(other.path()));
}

/// Every file below a folder with its bytes.
fn below(folder: &Path) -> std::collections::BTreeMap<String, Vec<u8>> {
    let mut found = std::collections::BTreeMap::new();
    let mut waiting = vec![folder.to_path_buf()];
    while let Some(next) = waiting.pop() {
        for entry in std::fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().display().to_string();
                found.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    found
}

#[test]
fn without_rust_the_cure_is_named() {
    let home = Home::new();
    run(&home, &["plugin", "new", "lonely"]).expect(0);
    let arguments = ["plugin", "build", "lonely"];
    let mut command = author(&home, &arguments);
    command.env("PATH", home.path().join("no-tools"));
    let refused = home.ran(&command.output().unwrap(), &arguments).expect(1);
    insta::assert_snapshot!(refused.stderr, @"
    error: `cargo` is not installed, or not in PATH

    hint: install Rust: https://rustup.rs, or your distribution's `cargo` package
    ");
}

#[test]
fn a_folder_that_is_no_project_says_how_to_make_one() {
    let home = Home::new();
    let refused = run(&home, &["plugin", "build"]).expect(1);
    insta::assert_snapshot!(refused.stderr, @"
    error: this is not a plugin project: `plugin.toml` is missing

    hint: make one with `flowhost plugin new NAME`, or name its folder
    ");
}
