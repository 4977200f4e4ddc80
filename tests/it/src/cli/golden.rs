//! Golden runs: what each example did once, kept in the repository and done again by every build.
//!
//! `tests/golden/EXAMPLE` holds a run as its folder had it, without the pages for people. A replay has to say every
//! record again, byte for byte. Where a component is another build than the one that the run had, what may differ is its
//! digest and what it used; what it does may not, and which components those are is printed. `cargo xtask golden --accept` makes the
//! runs anew. Which examples have none, and why, stands in `tests/golden/README.md`.

use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::examples::copy;
use crate::counting::Counting;
use crate::support::{Home, repository, script_plugin};

/// Set by `cargo xtask golden --accept`.
const ACCEPT: &str = "FLOWHOST_GOLDEN_ACCEPT";

/// Where golden runs are made, with copies of their plugins: a run keeps where it was, and that must not be somebody's
/// home.
const MADE_IN: &str = "/tmp/flowhost-golden";

/// The services of `examples/order-saga`, at the ports that its profile names: they are asked when its run is made,
/// and a replay asks nobody, so that it needs neither them nor the ports.
const SERVICES: &[u16] = &[47_811, 47_812, 47_813];

/// Pages for people, which a replay neither reads nor makes.
const VIEWS: &[&str] = &["report.html", "report.json"];

fn kept(name: &str) -> PathBuf {
    repository().join("tests/golden").join(name)
}

/// How the run of an example is made, beyond what its plan says.
#[derive(Default)]
struct Making {
    /// The exit code that the run has at first.
    code: i32,
    /// What it is given: `name=value`.
    inputs: Vec<String>,
    /// What is said of it after that, each a command that does well.
    then: &'static [&'static [&'static str]],
}

/// The golden run of an example, in a state folder of its own, done again.
#[track_caller]
fn golden(name: &str) {
    made(name, &Making::default());
}

/// The same of an example whose run is not made by its plan alone, or does not end well.
#[track_caller]
fn made(name: &str, making: &Making) {
    let kept = kept(name);
    if std::env::var_os(ACCEPT).is_some() {
        accept(name, &kept, making);
    }
    assert!(
        kept.join("run").is_file(),
        "{name} has no golden run in {}: `cargo xtask golden --accept` makes it",
        kept.display()
    );
    let home = Home::new();
    home.warm();
    let bundle = std::fs::read_to_string(kept.join("bundle.json")).unwrap();
    let bundle: Value = serde_json::from_str(&bundle).unwrap();
    let run = std::fs::read_to_string(kept.join("run")).unwrap();
    let run = run.trim();
    copy(&kept, &home.path().join(".flowhost/default/runs").join(run));
    seal(&home.path().join(".flowhost"));
    let components = home.path().join(".flowhost/components");
    std::fs::create_dir_all(&components).unwrap();
    let mut arguments = ["runs", "replay", run, "--json"]
        .map(str::to_owned)
        .to_vec();
    for (plugin, of) in bundle["plugins"].as_object().unwrap() {
        let file = built(&bundle, plugin);
        let bytes = std::fs::read(&file).unwrap();
        let digest = Sha256::digest(&bytes);
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let had = of["component"]
            .as_str()
            .unwrap()
            .trim_start_matches("sha256:");
        if digest == had {
            std::fs::write(components.join(format!("{digest}.wasm")), bytes).unwrap();
            continue;
        }
        eprintln!("{name}: `{plugin}` is another build: {digest}, and was {had}");
        arguments.extend([
            "--plugin".to_owned(),
            format!("{plugin}={}", file.display()),
        ]);
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let replayed = home.flowhost(&arguments);
    assert_eq!(replayed.code, 0, "{name}: {}", replayed.all());
    let replayed = replayed.json();
    assert_eq!(replayed["same"], true, "{name}: {replayed:#}");
    assert!(
        replayed["calls"].as_u64().unwrap() > 0,
        "{name}: {replayed:#}"
    );
}

/// Gives the state folder the published key that golden runs are sealed with.
fn seal(state: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let key = state.join("host/seal.key");
    std::fs::create_dir_all(key.parent().unwrap()).unwrap();
    std::fs::copy(repository().join("tests/golden/seal.key"), &key).unwrap();
    // As the host demands of any key.
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// The component that is built of a plugin's source now.
fn built(bundle: &Value, plugin: &str) -> PathBuf {
    let files = bundle["files"].as_array().unwrap();
    let plan = files
        .iter()
        .find(|file| file["name"] == bundle["plan"])
        .unwrap();
    let text = plan["text"].as_str().unwrap();
    // An input may have the name of a plugin, and stands before it.
    let text = &text[text.find("\nplugins:").unwrap()..];
    let at = text.find(&format!("\n  {plugin}:"));
    let at = at.unwrap_or_else(|| panic!("the plan does not name `{plugin}`"));
    let source = text[at..].split("builtin:").nth(1).unwrap();
    let end = source
        .find([',', ' ', '"', '\'', '}', '\n'])
        .unwrap_or(source.len());
    repository()
        .join("target/plugins")
        .join(format!("{}.wasm", &source[..end]))
}

/// Runs the example and keeps what it left.
fn accept(name: &str, kept: &Path, making: &Making) {
    let there = Path::new(MADE_IN).join(name);
    let _was_not_there = std::fs::remove_dir_all(&there);
    copy(&repository().join("examples").join(name), &there);
    let state = there.join(".flowhost");
    seal(&state);
    // A run keeps where its manifests lay, too.
    let plugins = Path::new(MADE_IN).join("plugins");
    copy(&repository().join("target/plugins"), &plugins);
    // The state folder is named, since its key came with it.
    let at = ["--json", "--state", ".flowhost"];
    let flowhost = |arguments: &[&str], code: i32| {
        let ran = Home::new()
            .command(&[arguments, &at[..]].concat())
            .current_dir(&there)
            .env("FLOWHOST_PLUGINS", &plugins)
            .output()
            .unwrap();
        assert_eq!(ran.status.code(), Some(code), "{arguments:?}: {ran:?}");
    };
    let mut run = vec!["run", "plan.yaml", "--seed", "7", "--allow-private-network"];
    for input in &making.inputs {
        run.extend(["--input", input.as_str()]);
    }
    flowhost(&run, making.code);
    for then in making.then {
        flowhost(then, 0);
    }
    let runs: Vec<_> = std::fs::read_dir(state.join("default/runs"))
        .unwrap()
        .collect();
    assert_eq!(runs.len(), 1, "{runs:?}");
    let run = runs.into_iter().next().unwrap().unwrap();
    let _was_not_there = std::fs::remove_dir_all(kept);
    std::fs::create_dir_all(kept).unwrap();
    for file in std::fs::read_dir(run.path()).unwrap() {
        let (path, file) = {
            let file = file.unwrap();
            (file.path(), file.file_name())
        };
        if path.is_file() && !VIEWS.iter().any(|view| file == *view) {
            std::fs::copy(path, kept.join(file)).unwrap();
        }
    }
    let id = run.file_name().into_string().unwrap();
    std::fs::write(kept.join("run"), format!("{id}\n")).unwrap();
}

#[test]
fn examples_that_compute_do_what_they_did() {
    golden("first-plan");
    golden("docs-check");
    golden("support-triage");
    golden("urgent-message");
}

#[test]
fn examples_that_ask_models_do_what_they_did_and_ask_nobody() {
    golden("docs-audit");
    golden("spec-kit-900");
}

#[test]
fn an_example_that_waits_for_a_person_goes_on_as_it_did() {
    let making = Making {
        code: 9,
        then: &[
            &[
                "runs",
                "approve",
                "latest",
                "questions",
                "--by",
                "reader",
                "--note",
                "Each device is one, whoever uses it.",
            ],
            &["runs", "resume", "latest"],
        ],
        ..Making::default()
    };
    made("quality-gates", &making);
}

#[test]
fn an_answer_is_judged_as_it_was() {
    let answer = repository().join("examples/guardrail-variants/outputs/answer-01.json");
    let answer = std::fs::read_to_string(answer).unwrap();
    let making = Making {
        inputs: vec![format!("output={}", answer.trim())],
        ..Making::default()
    };
    made("guardrail-variants", &making);
}

#[test]
fn a_program_that_a_model_wrote_does_what_it_did() {
    if script_plugin("code") {
        golden("code-agent");
    }
}

/// A new example is done again by every build, or says why it is not.
#[test]
fn every_example_has_a_golden_run_or_the_readme_says_why_not() {
    // They are being made, each by its own test.
    if std::env::var_os(ACCEPT).is_some() {
        return;
    }
    let readme = std::fs::read_to_string(kept("README.md")).unwrap();
    for entry in std::fs::read_dir(repository().join("examples")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let reason = format!("| `{name}` |");
        let golden = kept(&name).join("run").is_file();
        assert!(
            golden != readme.contains(&reason),
            "`{name}` has a golden run: {golden}; `cargo xtask golden --accept` makes one, and where it cannot, a line of \
             tests/golden/README.md says why"
        );
    }
}

#[test]
fn an_order_is_taken_back_as_it_was_and_no_service_is_asked() {
    let services: Vec<Counting> = match std::env::var_os(ACCEPT) {
        Some(_) => SERVICES.iter().map(|port| Counting::at(*port)).collect(),
        None => Vec::new(),
    };
    if let Some(shipping) = services.last() {
        shipping.fail("/shipments/A-1001", true);
    }
    let making = Making {
        code: 8,
        ..Making::default()
    };
    made("order-saga", &making);
}
