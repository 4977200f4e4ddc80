//! Projects from templates of others: what comes out builds and runs, the same everywhere, and a template that is not
//! what it says, or reaches for more than its folder, leaves nothing behind.

use std::path::Path;
use std::process::Command;

use super::authors::{author, cargo};
use crate::cli::examples::copy;
use crate::support::{Home, Ran, repository, stable};

const SERVICE: &str = "service=http://127.0.0.1:9/";

/// A folder with the template of the book in it, as `template`.
fn home() -> Home {
    let home = Home::new();
    let shipped = repository().join("docs/book/templates/asks-a-service");
    copy(&shipped, &home.path().join("template"));
    home
}

fn run(home: &Home, arguments: &[&str]) -> Ran {
    home.ran(&author(home, arguments).output().unwrap(), arguments)
}

/// What a person sees.
fn seen(home: &Home, arguments: &[&str]) -> String {
    let all = stable(&run(home, arguments).all(), home);
    assert!(
        !home.path().join("asks").exists(),
        "something was written: {all}"
    );
    all
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", folder)
        .envs([
            ("GIT_AUTHOR_NAME", "author"),
            ("GIT_AUTHOR_EMAIL", "author@example.org"),
            ("GIT_COMMITTER_NAME", "author"),
            ("GIT_COMMITTER_EMAIL", "author@example.org"),
        ])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn everything_that_is_wrong_with_what_was_given_is_told_at_once_and_nothing_is_written() {
    let home = home();
    let arguments = [
        "plugin",
        "new",
        "asks",
        "--template",
        "template",
        "--set",
        "effects=sometimes",
        "--set",
        "servise=x",
    ];
    insta::assert_snapshot!(seen(&home, &arguments), @r#"
    $ flowhost plugin new asks --template template --set effects=sometimes --set servise=x
    ----- stderr
    error: what was given for the template has 3 problems

      × --set: the parameter `effects` is `sometimes`
      help: one of none, idempotent, keyed, once

      × --set: the template has no parameter `servise`
      help: did you mean `service`?

      × --set: the parameter `service` is missing: Where the service is: an address that ends with
      │ `/`.
      help: write `--set service=…`

    hint: the template's parameters, each given by `--set NAME=VALUE`:
        effects: What asking does to the service. (none, idempotent, keyed, once) [default: none]
        purpose: What the tool is for, as a model reads it. [default: Asks the service for what it has of a name.]
        service: Where the service is: an address that ends with `/`.
    ----- exit 1
    "#);
}

#[test]
fn a_template_that_is_not_what_it_says_is_told_with_its_lines() {
    let home = home();
    home.file("template/README.md", "# {{name}}\nby {{auhtor}}\n");
    home.file(
        "template/plugin.toml",
        "version = 1\nname = \"other\"\nkind = \"agent\"\nrelease = \"0.1.0\"\ndescription = \"x\"\n",
    );
    home.file("template/sdk/flowhost-sdk/src/lib.rs", "//! Not the SDK.\n");
    std::fs::remove_file(home.path().join("template/Cargo.toml")).unwrap();
    let arguments = [
        "plugin",
        "new",
        "asks",
        "--template",
        "template",
        "--set",
        SERVICE,
    ];
    insta::assert_snapshot!(seen(&home, &arguments), @r#"
    $ flowhost plugin new asks --template template --set service=http://127.0.0.1:9/
    ----- stderr
    error: the template has 5 problems

      × `{{auhtor}}` is not a parameter of this template
       ╭─[template/README.md:2:4]
     1 │ # {{name}}
     2 │ by {{auhtor}}
       ·    ────────
       ╰────
      help: write `[parameters.auhtor]` into template.toml

      × template/template.toml: it brings `sdk/flowhost-sdk/src/lib.rs`: `sdk/` is the SDK's, which
      │ this installation puts there

      × template/template.toml: it is for `rust` and makes no `Cargo.toml`, by which such a project is
      │ known

      × template/template.toml: the `plugin.toml` that it makes is called `other`: `name = "{{name}}"`
      │ is wanted

      × template/template.toml: the `plugin.toml` that it makes is not of the kind `tool`
    ----- exit 1
    "#);
}

#[test]
fn a_description_that_is_wrong_and_a_host_that_it_is_not_for_are_told() {
    let home = home();
    home.file(
        "template/template.toml",
        "version = 1\nhosts = \">=7\"\nkind = \"tol\"\nlang = \"rust\"\n[parameters.service]\nescription = \"x\"\n",
    );
    let arguments = [
        "plugin",
        "new",
        "asks",
        "--template",
        "template",
        "--set",
        SERVICE,
    ];
    let told = seen(&home, &arguments);
    assert!(told.contains("unknown key `escription`"), "{told}");
    home.file(
        "template/template.toml",
        "version = 1\ndescription = \"x\"\nhosts = \">=7\"\nkind = \"tol\"\nlang = \"rust\"\n",
    );
    let told = seen(&home, &arguments);
    for wanted in [
        "template.toml:3:1",
        "it is for hosts `>=7`",
        "did you mean `tool`?",
    ] {
        assert!(told.contains(wanted), "{wanted}: {told}");
    }
}

#[test]
fn a_template_reaches_no_file_outside_of_it_and_puts_none_outside_of_the_project() {
    let home = home();
    home.file("mine", "nobody else's");
    let arguments = [
        "plugin",
        "new",
        "asks",
        "--template",
        "template",
        "--set",
        SERVICE,
    ];
    let link = home.path().join("template/notes.txt");
    std::os::unix::fs::symlink(home.path().join("mine"), &link).unwrap();
    assert!(seen(&home, &arguments).contains("it is a link"));
    std::fs::remove_file(link).unwrap();
    home.file("template/{{purpose}}.txt", "x");
    let out = [&arguments[..], &["--set", "purpose=../../out"]].concat();
    let told = seen(&home, &out);
    assert!(told.contains("not a path within the project"), "{told}");
    assert!(!home.path().join("out.txt").exists());
    for source in ["nowhere", "https://example.org/x", "git+ext::sh -c id"] {
        let arguments = ["plugin", "new", "asks", "--template", source];
        assert!(seen(&home, &arguments).contains("exit 1"), "{source}");
    }
    // The template says what it is.
    let arguments = [&arguments[..], &["--kind", "agent"]].concat();
    assert!(seen(&home, &arguments).contains("exit 64"));
}

#[test]
fn a_template_that_is_too_much_for_the_memory_is_refused_as_it_stands_and_as_it_is_filled_in() {
    let home = home();
    let arguments = ["plugin", "new", "asks", "--template", "template"];
    let long = format!("purpose={}", "x".repeat(1_024));
    let filled = [&arguments[..], &["--set", SERVICE, "--set", &long]].concat();
    // Each word becomes a hundred times as long.
    home.file("template/notes.md", "{{purpose}}".repeat(90_000));
    let told = seen(&home, &filled);
    assert!(told.contains("makes too much with"), "{told}");
    std::fs::remove_file(home.path().join("template/notes.md")).unwrap();
    // Beside what is there already; without a block on the disk.
    std::fs::create_dir(home.path().join("template/data")).unwrap();
    for number in 0..64 {
        let path = home.path().join(format!("template/data/{number}"));
        let file = std::fs::File::create(path).unwrap();
        file.set_len(1 << 20).unwrap();
    }
    let told = seen(&home, &filled);
    assert!(told.contains("may have 64 MiB together"), "{told}");
}

#[test]
fn a_project_from_a_template_builds_and_runs_and_is_the_same_from_its_repository() {
    let home = home();
    let arguments = [
        "plugin",
        "new",
        "asks",
        "--template",
        "template",
        "--set",
        SERVICE,
    ];
    let made = run(&home, &[&arguments[..], &["--json"]].concat())
        .expect(0)
        .json();
    assert_eq!(made["kind"], "tool", "{made:#}");
    let files = made["files"].as_array().unwrap();
    assert!(
        files.contains(&"policies/asks-profile.toml".into()),
        "{made:#}"
    );
    cargo(&home, "asks", &["test", "--quiet", "--lib"]);
    let built = run(&home, &["plugin", "build", "asks", "--json"])
        .expect(0)
        .json();
    assert_eq!(built["needs"], serde_json::json!(["http"]), "{built:#}");
    // Nobody answers at that address: the profile that was made lets the tool ask all the same.
    let ran = run(
        &home,
        &["run", "asks/plan.yaml", "--allow-private-network", "--json"],
    );
    assert_ne!(ran.code, 0, "{}", ran.all());

    let template = home.path().join("template");
    git(&template, &["init", "--quiet"]);
    git(&template, &["add", "--all"]);
    git(&template, &["commit", "--quiet", "--message", "one"]);
    let commit = git(&template, &["rev-parse", "HEAD"]);
    git(&template, &["tag", "v1"]);
    home.file("template/later.txt", "of another commit");
    git(&template, &["add", "--all"]);
    git(&template, &["commit", "--quiet", "--message", "two"]);
    for wanted in ["v1", commit.as_str()] {
        let source = format!("git+file://{}#{wanted}", template.display());
        let again = [
            "plugin",
            "new",
            "asks",
            "--template",
            &source,
            "--set",
            SERVICE,
            "--dir",
            "again",
            "--json",
        ];
        let from_git = run(&home, &again).expect(0).json();
        assert!(
            from_git["template"]
                .as_str()
                .unwrap()
                .ends_with(&format!("#{commit}")),
            "{from_git:#}"
        );
        assert_eq!(from_git["files"], made["files"]);
        for file in files {
            let file = file.as_str().unwrap();
            let bytes = |folder: &str| std::fs::read(home.path().join(folder).join(file)).unwrap();
            assert_eq!(bytes("asks"), bytes("again"), "{file}");
        }
        std::fs::remove_dir_all(home.path().join("again")).unwrap();
    }
    let gone = format!("git+file://{}#v2", template.display());
    let told = run(&home, &["plugin", "new", "third", "--template", &gone]).expect(1);
    assert!(told.stderr.contains("Git does not get"), "{}", told.stderr);
}
