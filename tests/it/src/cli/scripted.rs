//! An author with Node or Python in an empty folder: `plugin new`, the project's own tests, `plugin build`, a
//! run. The packages stand where the SDKs' own tests have them, so that no network is needed; what is missing is
//! told with the command that installs it.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::{Home, Ran, foreign, repository};

const KINDS: [&str; 4] = ["tool", "agent", "guardrail", "mcp-adapter"];

/// The SDKs as a release carries them; none where they are not packed, as in a quick test.
fn sdks() -> Option<PathBuf> {
    // What is packed is packed after these guests were built.
    foreign("compat_ts_tool")?;
    foreign("compat_py_tool")?;
    let packed = repository().join("target/sdk");
    (packed.join("ts").is_dir() && packed.join("python").is_dir()).then_some(packed)
}

/// The command with Node and Python in reach.
fn run(home: &Home, sdks: &Path, arguments: &[&str]) -> Ran {
    let mut command = home.command(arguments);
    command
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("PYTHONPATH", repository().join("sdk-py/src"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("FLOWHOST_SDK", sdks);
    home.ran(&command.output().unwrap(), arguments)
}

/// Runs a project's own tool to its end, and fails with what it said.
fn tool(folder: &Path, program: &Path, arguments: &[&str]) {
    let ran = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env("PYTHONPATH", repository().join("sdk-py/src"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(
        ran.status.success(),
        "{} {arguments:?}\n{}{}",
        program.display(),
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr)
    );
}

/// What `npm install` would do: the packages of the SDK's own folder, and the SDK.
fn install_typescript(project: &Path) {
    let sdk = repository().join("sdk-ts");
    let (from, to) = (sdk.join("node_modules"), project.join("node_modules"));
    std::fs::create_dir_all(to.join("@flowhost")).unwrap();
    for entry in std::fs::read_dir(&from).unwrap() {
        let name = entry.unwrap().file_name();
        symlink(from.join(&name), to.join(&name)).unwrap();
    }
    symlink(&sdk, to.join("@flowhost/sdk")).unwrap();
}

#[test]
fn a_new_project_in_a_script_language_is_the_same_each_time_and_says_what_is_not_installed() {
    let Some(sdks) = sdks() else { return };
    for (lang, next, cure) in [
        (
            "ts",
            "npm install && flowhost plugin build",
            "run `npm install`",
        ),
        (
            "python",
            ".venv && .venv/bin/pip install",
            "python3 -m venv .venv",
        ),
    ] {
        let (home, elsewhere) = (Home::new(), Home::new());
        let new = ["plugin", "new", "first", "--lang", lang];
        let made = run(&home, &sdks, &new).expect(0);
        assert!(made.stdout.contains(next), "{}", made.stdout);
        assert_eq!(run(&elsewhere, &sdks, &new).expect(0).stdout, made.stdout);
        for path in made
            .stdout
            .lines()
            .filter(|line| line.contains("first/") && !line.contains(' '))
        {
            assert_eq!(home.read(path), elsewhere.read(path), "{path}");
        }
        // Without the environment's own Python, which may have the SDK.
        let mut build = home.command(&["plugin", "build", "first"]);
        let ran = home.ran(&build.output().unwrap(), &["plugin", "build", "first"]);
        assert_eq!(ran.code, 1, "{}", ran.all());
        assert!(ran.stderr.contains(cure), "{}", ran.stderr);
        assert!(!home.path().join("first/dist/first.wasm").exists());
    }
}

#[test]
fn a_new_plugin_in_typescript_is_checked_tested_built_and_run_as_its_project_says() {
    let Some(sdks) = sdks() else { return };
    let home = Home::new();
    home.warm();
    for kind in KINDS {
        run(
            &home,
            &sdks,
            &["plugin", "new", kind, "--kind", kind, "--lang", "ts"],
        )
        .expect(0);
        let project = home.path().join(kind);
        install_typescript(&project);
        let bin = project.join("node_modules/.bin");
        tool(&project, &bin.join("tsc"), &["--noEmit"]);
        tool(&project, &bin.join("vitest"), &["run"]);
    }
    let built = run(&home, &sdks, &["plugin", "build", "tool", "--json"])
        .expect(0)
        .json();
    assert_eq!(built["tools"], serde_json::json!(["count"]));
    assert_eq!(built["needs"], serde_json::json!([]));
    assert!(home.path().join("tool/dist/tool.js.map").is_file());
    let ran = run(&home, &sdks, &["run", "tool/plan.yaml", "--json"])
        .expect(0)
        .json();
    assert_eq!(ran["outputs"]["words"], 3);
    // The same sources once more: the same component.
    let again = run(&home, &sdks, &["plugin", "build", "tool", "--json"])
        .expect(0)
        .json();
    assert_eq!(again["digest"], built["digest"]);
    // A mistake leaves the last good component, and says where it is.
    home.file("tool/src/index.ts", "export default {\n");
    let broken = run(&home, &sdks, &["plugin", "build", "tool"]).expect(1);
    assert!(
        broken.stderr.contains("src/index.ts:2:"),
        "{}",
        broken.stderr
    );
    run(&home, &sdks, &["run", "tool/plan.yaml", "--json"]).expect(0);
}

#[test]
fn a_new_plugin_in_python_is_tested_and_built_as_its_project_says() {
    let Some(sdks) = sdks() else { return };
    let home = Home::new();
    home.warm();
    let environment = repository().join("target/tools/python");
    for kind in KINDS {
        run(
            &home,
            &sdks,
            &["plugin", "new", kind, "--kind", kind, "--lang", "python"],
        )
        .expect(0);
        let project = home.path().join(kind);
        let python = environment.join("bin/python");
        tool(
            &project,
            &python,
            &["-m", "unittest", "discover", "-s", "tests"],
        );
    }
    // A guardrail: a tool would be run for its descriptors, and CPython's machine code takes its time.
    symlink(&environment, home.path().join("guardrail/.venv")).unwrap();
    let built = run(&home, &sdks, &["plugin", "build", "guardrail", "--json"])
        .expect(0)
        .json();
    assert_eq!(built["needs"], serde_json::json!([]));
    let path = built["path"].as_str().unwrap();
    let seen = run(&home, &sdks, &["plugin", "inspect", path, "--json"])
        .expect(0)
        .json();
    assert_eq!(seen["role"], "guardrail");
    assert_eq!(seen["manifest"]["name"], "guardrail");
    run(&home, &sdks, &["plugin", "pack", "guardrail"]).expect(0);
    let unpack = [
        "plugin",
        "unpack",
        "guardrail/dist/guardrail.fhp",
        "--dir",
        "got",
    ];
    run(&home, &sdks, &unpack).expect(0);
    let ingredients = home.read("got/guardrail.sbom.json");
    for name in ["componentize-py", "flowhost", "mashumaro"] {
        let purl = format!("pkg:pypi/{name}@");
        assert!(ingredients.contains(&purl), "{ingredients}");
    }
    home.file("guardrail/src/plugin.py", "plugin = (\n");
    let broken = run(&home, &sdks, &["plugin", "build", "guardrail"]).expect(1);
    assert!(
        broken.stderr.contains("src/plugin.py:1:"),
        "{}",
        broken.stderr
    );
    assert!(home.path().join("guardrail/dist/guardrail.wasm").is_file());
}
