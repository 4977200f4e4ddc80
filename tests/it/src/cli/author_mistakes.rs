//! What goes wrong for authors, and for whoever takes what they made: each is told with its place and what to do,
//! before anything is built or run. Nothing here needs a compiler.

use std::os::unix::fs::PermissionsExt as _;

use crate::support::{Home, Ran, guest};

/// A project with this manifest, in the language that the file marks.
fn project(mark: &str, manifest: &str) -> Home {
    let home = Home::new();
    home.file(&format!("it/{mark}"), "");
    let head = "version = 1\nname = \"it\"\nkind = \"tool\"\nrelease = \"0.1.0\"\n";
    home.file("it/plugin.toml", format!("{head}{manifest}"));
    home
}

/// Builds with nothing but these programs, each of which says one line.
fn build(home: &Home, programs: &[(&str, &str)]) -> Ran {
    for (name, says) in programs {
        let path = home.file(
            &format!("programs/{name}"),
            format!("#!/bin/sh\necho '{says}'\n"),
        );
        let runs = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(path, runs).unwrap();
    }
    let arguments = ["plugin", "build", "it"];
    let mut command = home.command(&arguments);
    command.env("PATH", home.path().join("programs"));
    let ran = home.ran(&command.output().unwrap(), &arguments).expect(1);
    assert!(!home.path().join("it/dist").exists());
    ran
}

#[test]
fn a_right_that_is_asked_for_twice_is_refused_at_its_second_line() {
    let home = project("Cargo.toml", "\n[needs]\nlog = true\nlog = true\n");
    let said = build(&home, &[]).stderr;
    assert!(said.contains("it/plugin.toml:8:1"), "{said}");
    assert!(said.contains("the key `log` is given twice"), "{said}");
}

#[test]
fn a_description_that_is_too_long_or_holds_what_nobody_sees_is_refused_with_all_its_places() {
    let long = "x".repeat(4_097);
    let home = project(
        "Cargo.toml",
        &format!(
            "[[tools]]\nname = \"long\"\ndescription = \"{long}\"\ninput = {{}}\n\
             [[tools]]\nname = \"hidden\"\ndescription = \"count\u{200b}s\"\ninput = {{}}\n"
        ),
    );
    let said = build(&home, &[]).stderr;
    assert!(
        said.contains("`tools[0].description` is longer than 4096 bytes"),
        "{said}"
    );
    assert!(said.contains("it/plugin.toml:11:15"), "{said}");
    assert!(said.contains("U+200B"), "{said}");
}

#[test]
fn a_language_that_is_not_installed_is_told_with_what_installs_it() {
    for (mark, missing, cure) in [
        (
            "package.json",
            "`node` is not installed",
            "`nodejs` and `npm`",
        ),
        (
            "pyproject.toml",
            "`python3` is not installed",
            "`python3` and `python3-venv`",
        ),
        (
            "Cargo.toml",
            "`cargo` is not installed",
            "https://rustup.rs",
        ),
    ] {
        let said = build(&project(mark, ""), &[]).stderr;
        assert!(said.contains(missing) && said.contains(cure), "{said}");
    }
}

#[test]
fn a_rust_without_the_target_is_told_with_the_command_that_adds_it() {
    let home = project("Cargo.toml", "");
    let says_where_nothing_is = [("cargo", ""), ("rustc", "/nowhere/lib")];
    let said = build(&home, &says_where_nothing_is).stderr;
    assert!(
        said.contains("run `rustup target add wasm32-unknown-unknown`"),
        "{said}"
    );
}

#[test]
fn packages_that_are_not_installed_are_told_with_the_command_that_installs_them() {
    let home = project("package.json", "");
    let said = build(&home, &[("node", "")]).stderr;
    assert!(said.contains("run `npm install`"), "{said}");
    let home = project("pyproject.toml", "");
    // It says that it has no such package.
    home.file("programs/python3", "#!/bin/sh\nexit 1\n");
    let path = home.path().join("programs/python3");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let said = build(&home, &[]).stderr;
    assert!(said.contains("python3 -m venv .venv"), "{said}");
}

/// A guest with a manifest of this release inside.
fn released(release: &str) -> Vec<u8> {
    const SECTION: &str = "flowhost:manifest";
    let mut section = vec![u8::try_from(SECTION.len()).unwrap()];
    section.extend(SECTION.as_bytes());
    section.extend(
        format!("version = 1\nname = \"echo\"\nkind = \"tool\"\nrelease = \"{release}\"\n")
            .into_bytes(),
    );
    let mut component = std::fs::read(guest("ok_echo")).unwrap();
    // A custom section; its length has one byte below 128.
    component.extend([0, u8::try_from(section.len()).unwrap()]);
    assert!(section.len() < 128, "{}", section.len());
    component.extend(section);
    component
}

#[test]
fn an_older_release_is_marked_before_it_is_locked_however_well_it_is_signed() {
    let home = Home::new();
    home.file(
        "plan.yaml",
        super::plan(
            "  echo: { kind: tool, source: ./echo.wasm, profile: deny-all }\n",
            "  a: { uses: echo/run, with: {} }\n",
        ),
    );
    home.file("echo.wasm", released("1.10.0"));
    home.flowhost(&["plugin", "sign", "echo.wasm"]).expect(0);
    home.flowhost(&["plugin", "lock", "plan.yaml"]).expect(0);
    let locked = home.read("flowhost.lock");
    home.file("echo.wasm", released("1.9.0"));
    home.flowhost(&["plugin", "sign", "echo.wasm"]).expect(0);
    let update = ["plugin", "update", "plan.yaml"];
    let shown = home.flowhost(&update).expect(0).stdout;
    assert!(
        shown.contains("! echo is an older release: 1.9.0, and was 1.10.0"),
        "{shown}"
    );
    assert_eq!(home.read("flowhost.lock"), locked);
    let refused = home.flowhost(&["run", "plan.yaml", "--locked"]).expect(1);
    assert!(
        refused.stderr.contains("is an older release"),
        "{}",
        refused.stderr
    );
}
