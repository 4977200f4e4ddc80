//! Signatures of plugins, as an operator asks for them: what is not vouched for is not loaded.

use std::process::Command;

use crate::support::{Home, Ran, built};

const PLAN: &str = "flowhost: v1\nkind: workflow\nname: guarded\nplugins:\n  \
    markdown: { kind: tool, source: builtin:markdown, profile: deny-all }\n  \
    guard: { kind: guardrail, source: ./guard.wasm, profile: deny-all }\nsteps:\n  \
    look:\n    uses: markdown/headings\n    with: { text: \"# A\" }\n    \
    guardrails: { after: [{ uses: guard }] }\n";

/// A home whose operator's configuration is in `op/`, and a plan with one component of its own.
fn home() -> Home {
    let home = Home::new();
    home.warm();
    home.file("op/flowhost.toml", "");
    home.file(
        "guard.wasm",
        std::fs::read(built("plugins/redact.wasm")).unwrap(),
    );
    home.file("plan.yaml", PLAN);
    home
}

fn run(home: &Home, arguments: &[&str]) -> Ran {
    let mut command: Command = home.command(arguments);
    command.env("FLOWHOST_CONFIG", home.path().join("op/flowhost.toml"));
    home.ran(&command.output().unwrap(), arguments)
}

/// This host's public key, which is made where nothing was signed yet.
fn key(home: &Home) -> String {
    let is_made = home.path().join(".flowhost/host/signing.key").exists();
    let word = if is_made { "show" } else { "rotate" };
    let shown = run(home, &["keys", word]).expect(0).stdout;
    shown
        .lines()
        .find(|line| line.contains("+A"))
        .unwrap()
        .trim()
        .to_owned()
}

fn trusting(home: &Home, key: &str, more: &str) {
    home.file("op/trust.toml", format!("keys = [\"{key}\"]\n{more}"));
}

#[test]
fn where_signatures_are_asked_for_a_component_without_one_is_not_loaded() {
    let home = home();
    run(&home, &["plugin", "sign", "guard.wasm"]).expect(0);
    trusting(&home, &key(&home), "[plugins]\nsigned = true\n");
    std::fs::remove_file(home.path().join("guard.wasm.sig")).unwrap();
    let refused = run(&home, &["validate", "plan.yaml"]).expect(1);
    assert!(
        refused.stderr.contains("has no signature"),
        "{}",
        refused.stderr
    );
    assert!(refused.stderr.contains("plan.yaml"), "{}", refused.stderr);
    run(&home, &["run", "plan.yaml"]).expect(1);
}

#[test]
fn a_component_that_a_trusted_key_vouches_for_is_loaded_and_a_changed_one_is_not() {
    let home = home();
    run(&home, &["plugin", "sign", "guard.wasm"]).expect(0);
    trusting(&home, &key(&home), "[plugins]\nsigned = true\n");
    run(&home, &["run", "plan.yaml"]).expect(0);
    home.file(
        "guard.wasm",
        std::fs::read(built("plugins/keyword-scan.wasm")).unwrap(),
    );
    let refused = run(&home, &["run", "plan.yaml"]).expect(1);
    assert!(
        refused.stderr.contains("vouches for something else"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_revoked_key_is_refused_also_where_no_signature_is_asked_for() {
    let home = home();
    run(&home, &["plugin", "sign", "guard.wasm"]).expect(0);
    let key = key(&home);
    trusting(&home, &key, "");
    run(&home, &["run", "plan.yaml"]).expect(0);
    trusting(&home, &key, &format!("revoked = [\"{key}\"]\n"));
    let refused = run(&home, &["run", "plan.yaml"]).expect(1);
    assert!(refused.stderr.contains("revoked key"), "{}", refused.stderr);
}

#[test]
fn a_run_is_done_again_with_the_signature_that_it_kept_until_its_key_is_revoked() {
    let home = home();
    run(&home, &["plugin", "sign", "guard.wasm"]).expect(0);
    let key = key(&home);
    trusting(&home, &key, "[plugins]\nsigned = true\n");
    run(&home, &["run", "plan.yaml"]).expect(0);
    for file in ["guard.wasm", "guard.wasm.sig"] {
        std::fs::remove_file(home.path().join(file)).unwrap();
    }
    run(&home, &["runs", "replay", "latest"]).expect(0);
    trusting(&home, &key, &format!("revoked = [\"{key}\"]\n"));
    let refused = run(&home, &["runs", "replay", "latest"]);
    assert_ne!(refused.code, 0, "{}", refused.all());
    assert!(refused.stderr.contains("revoked key"), "{}", refused.stderr);
}

#[test]
fn a_trust_file_in_the_working_folder_has_no_say() {
    let home = home();
    let key = key(&home);
    home.file(
        "trust.toml",
        format!("keys = [\"{key}\"]\n[plugins]\nsigned = true\n"),
    );
    run(&home, &["run", "plan.yaml"]).expect(0);
    home.file("op/trust.toml", "key = []\n");
    let refused = run(&home, &["run", "plan.yaml"]).expect(1);
    assert!(refused.stderr.contains("trust.toml"), "{}", refused.stderr);
}

#[test]
fn the_operators_trust_file_is_told_from_the_keys_that_runs_are_signed_with() {
    let home = home();
    let key = key(&home);
    home.file(
        "both.toml",
        format!("keys = [\"{key}\"]\n[plugins]\nsigned = true\n"),
    );
    run(&home, &["run", "plan.yaml"]).expect(0);
    let refused = run(&home, &["verify", "latest", "--trust", "both.toml"]).expect(64);
    for words in [
        "the operator's `trust.toml`, which says whose plugins may run (it has `plugins`)",
        "the keys that runs are signed with",
    ] {
        assert!(refused.stderr.contains(words), "{words}: {}", refused.all());
    }
    home.file("op/trust.toml", "kees = []\n");
    let refused = run(&home, &["validate", "plan.yaml"]).expect(1);
    let said: Vec<&str> = refused.stderr.split_whitespace().collect();
    let said = said.join(" ").replace("│ ", "");
    for words in ["says whose plugins may run", "`verify --trust`"] {
        assert!(said.contains(words), "{words}: {}", refused.all());
    }
}

#[test]
fn a_guest_without_a_manifest_cannot_be_vouched_for() {
    let home = home();
    home.guest("ok_echo");
    let refused = run(&home, &["plugin", "sign", "ok_echo.wasm"]).expect(1);
    assert!(
        refused.stderr.contains("no manifest inside"),
        "{}",
        refused.stderr
    );
}

/// A component without a manifest, and beside it the one that `plugin sign` says it could have.
#[track_caller]
fn described(home: &Home) {
    home.guest("ok_echo");
    let sign = ["plugin", "sign", "ok_echo.wasm", "--json"];
    let refused = run(home, &sign).expect(1).json();
    let hint = refused["hints"][0].as_str().unwrap();
    let (place, manifest) = hint.split_once(":\n").unwrap();
    assert!(place.starts_with("write this to `ok_echo.toml`"), "{hint}");
    home.file("ok_echo.toml", manifest);
}

/// An author whose tools embed nothing: each message is followed to the letter, until an operator who asks for
/// signatures loads the component.
#[test]
fn a_component_with_its_manifest_beside_it_is_signed_checked_added_and_loaded() {
    let home = home();
    described(&home);
    let unsigned = run(&home, &["plugin", "verify", "ok_echo.wasm"]).expect(1);
    let told = "`flowhost plugin sign ok_echo.wasm` makes one";
    assert!(unsigned.stderr.contains(told), "{}", unsigned.all());
    run(&home, &["plugin", "sign", "ok_echo.wasm"]).expect(0);
    let key = key(&home);
    let checked = run(&home, &["plugin", "verify", "ok_echo.wasm", "--key", &key]).expect(0);
    assert!(
        checked.stdout.contains("ok_echo 0.1.0"),
        "{}",
        checked.all()
    );
    let seen = run(&home, &["plugin", "inspect", "ok_echo.wasm"]).expect(0);
    assert!(seen.stdout.contains("ok_echo 0.1.0"), "{}", seen.all());
    run(&home, &["plugin", "sign", "guard.wasm"]).expect(0);
    trusting(&home, &key, "[plugins]\nsigned = true\n");
    let add = ["plugin", "add", "ok_echo.wasm", "--name", "echo", "--yes"];
    run(&home, &add).expect(0);
    assert_eq!(home.read("plugins/echo.toml"), home.read("ok_echo.toml"));
    run(&home, &["validate", "plan.yaml"]).expect(0);
    // Without it, the signature is about nothing.
    std::fs::remove_file(home.path().join("plugins/echo.toml")).unwrap();
    run(&home, &["validate", "plan.yaml"]).expect(1);
}

#[test]
fn a_manifest_beside_a_component_is_put_inside_before_it_is_published() {
    let home = home();
    described(&home);
    let place = "oci://127.0.0.1:1/echo:1";
    let refused = run(&home, &["plugin", "publish", "ok_echo.wasm", place]).expect(1);
    let told = "`flowhost plugin build ok_echo.wasm` puts it inside";
    assert!(refused.stderr.contains(told), "{}", refused.all());
    let built = run(&home, &["plugin", "build", "ok_echo.wasm"]).expect(0);
    assert!(
        built.stdout.starts_with("dist/ok_echo.wasm\n"),
        "{}",
        built.all()
    );
    run(&home, &["plugin", "sign", "dist/ok_echo.wasm"]).expect(0);
    let again = run(&home, &["plugin", "build", "dist/ok_echo.wasm"]).expect(1);
    assert!(again.stderr.contains("inside already"), "{}", again.all());
}

#[test]
fn a_pack_that_holds_anything_else_is_refused_by_name() {
    let home = home();
    home.file("secret", "s");
    let tar = Command::new("tar")
        .args(["-cf", "bad.fhp", "--transform=s,^,../,", "secret"])
        .current_dir(home.path())
        .status()
        .unwrap();
    assert!(tar.success());
    let refused = run(&home, &["plugin", "unpack", "bad.fhp"]).expect(1);
    assert!(refused.stderr.contains("secret"), "{}", refused.stderr);
    home.file("text.fhp", "no archive");
    run(&home, &["plugin", "unpack", "text.fhp"]).expect(1);
}
