//! Plugins from elsewhere through the program, with a registry that we did not write: published, added,
//! locked, run without a network; and what is refused before anything is asked.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;

use crate::referrers;
use crate::registry::{LOGIN, Registry};
use crate::support::{Home, Ran, built, repository};

/// A home whose operator lists one registry, with two shipped plugins as files to publish.
fn home(host: &str, more: &str) -> Home {
    let home = Home::new();
    home.warm();
    let list = format!("[[sources]]\nfrom = \"oci://{host}/team\"\n{more}");
    home.file("op/flowhost.toml", list);
    for name in ["markdown", "keyword-scan"] {
        home.file(
            &format!("{name}.wasm"),
            std::fs::read(built(&format!("plugins/{name}.wasm"))).unwrap(),
        );
    }
    home
}

fn run(home: &Home, arguments: &[&str]) -> Ran {
    let mut command: Command = home.command(arguments);
    command.env("FLOWHOST_CONFIG", home.path().join("op/flowhost.toml"));
    command.env("FLOWHOST_SECRET_REGISTRY", LOGIN);
    home.ran(&command.output().unwrap(), arguments)
}

/// A plan with one plugin from elsewhere, at line 5.
fn plan(source: &str, more: &str) -> String {
    format!(
        "flowhost: v1\nkind: workflow\nname: remote\nplugins:\n  \
         markdown: {{ kind: tool, source: \"{source}\", profile: deny-all{more} }}\nsteps:\n  \
         look: {{ uses: markdown/headings, with: {{ text: \"# A\" }} }}\n"
    )
}

#[test]
fn a_place_that_is_not_listed_or_not_pinned_is_refused_with_its_line() {
    let home = home("127.0.0.1:1", "");
    let pin = format!(", sha256: \"{}\"", "1".repeat(64));
    home.file("plan.yaml", plan("oci://127.0.0.1:2/team/markdown:1", &pin));
    let refused = run(&home, &["validate", "plan.yaml"]).expect(1).stderr;
    assert!(refused.contains("plan.yaml:5:"), "{refused}");
    assert!(refused.contains("do not list it"), "{refused}");
    assert!(
        refused.contains("from = \"oci://127.0.0.1:2/team/markdown\""),
        "{refused}"
    );
    home.file("plan.yaml", plan("oci://127.0.0.1:1/team/markdown:1", ""));
    let refused = run(&home, &["run", "plan.yaml"]).expect(1).stderr;
    assert!(refused.contains("which component is meant"), "{refused}");
    // Listed and pinned, and nobody is there.
    home.file("plan.yaml", plan("oci://127.0.0.1:1/team/markdown:1", &pin));
    let refused = run(&home, &["run", "plan.yaml"]).expect(1).stderr;
    assert!(refused.contains("no connection"), "{refused}");
    assert!(!home.path().join(".flowhost/fetched").exists());
}

#[test]
fn a_folders_own_configuration_lists_nothing() {
    let home = Home::new();
    home.file(
        "flowhost.toml",
        "[[sources]]\nfrom = \"oci://127.0.0.1:1\"\n",
    );
    let refused = home
        .flowhost(&["plugin", "pull", "oci://127.0.0.1:1/a:1"])
        .expect(1);
    assert!(
        refused
            .stderr
            .contains("`sources` is the operator's to say"),
        "{}",
        refused.stderr
    );
}

#[test]
fn what_was_published_is_added_and_runs_without_its_registry_afterwards() {
    let Some(registry) = Registry::open() else {
        return;
    };
    let home = home(&registry.host(), "");
    run(&home, &["plugin", "sign", "markdown.wasm"]).expect(0);
    let place = format!("oci://{}/team/markdown:1.0.0", registry.host());
    let published = run(
        &home,
        &["plugin", "publish", "markdown.wasm", &place, "--json"],
    );
    let published = published.expect(0).json();
    assert_eq!(published["signed"], true);
    let again = run(
        &home,
        &["plugin", "publish", "markdown.wasm", &place, "--json"],
    );
    let again = again.expect(0).json();
    assert_eq!(again["already"], true);
    assert_eq!(again["place"], published["place"]);
    // Its signature comes with it.
    run(&home, &["plugin", "pull", &place, "--dir", "got"]).expect(0);
    let bytes = |name: &str| std::fs::read(home.path().join(name)).unwrap();
    assert_eq!(bytes("got/markdown.wasm"), bytes("markdown.wasm"));
    assert_eq!(bytes("got/markdown.wasm.sig"), bytes("markdown.wasm.sig"));
    // A tag is not moved by accident.
    let taken = run(&home, &["plugin", "publish", "keyword-scan.wasm", &place]).expect(1);
    assert!(
        taken.stderr.contains("is there already"),
        "{}",
        taken.stderr
    );
    home.file(
        "plan.yaml",
        "flowhost: v1\nkind: workflow\nname: p\nplugins:\n  \
         other: { kind: guardrail, source: builtin:redact, profile: deny-all }\nsteps:\n  \
         look: { uses: markdown/headings, with: { text: \"# A\" } }\n",
    );
    run(&home, &["plugin", "add", &place, "--yes"]).expect(0);
    let text = home.read("plan.yaml");
    assert!(
        text.contains("@sha256:") && text.contains("sha256: \""),
        "{text}"
    );
    assert!(!home.path().join("plugins").exists());
    // The tag moves; the plan names the artifact, so that another machine still finds it.
    run(
        &home,
        &[
            "plugin",
            "publish",
            "keyword-scan.wasm",
            &place,
            "--replace",
        ],
    )
    .expect(0);
    std::fs::remove_dir_all(home.path().join(".flowhost/fetched")).unwrap();
    run(&home, &["run", "plan.yaml"]).expect(0);
    drop(registry);
    run(&home, &["run", "plan.yaml"]).expect(0);
    std::fs::remove_dir_all(home.path().join(".flowhost/fetched")).unwrap();
    let offline = run(&home, &["run", "plan.yaml"]).expect(1).stderr;
    assert!(offline.contains("no connection"), "{offline}");
}

/// A project as the build for Python leaves it, with the component of a shipped plugin in place of its own.
fn built_project(home: &Home) {
    for (name, text) in [
        ("pyproject.toml", "[project]\nname = \"markdown\"\n"),
        ("README.md", "# Markdown\n"),
        (
            "dist/.made/markdown.packages.json",
            r#"[{ "name": "typing_extensions", "version": "4.15.0" }]"#,
        ),
    ] {
        home.file(&format!("it/{name}"), text);
    }
    let manifest = std::fs::read(repository().join("plugins/markdown/plugin.toml"));
    home.file("it/plugin.toml", manifest.unwrap());
    let component = std::fs::read(home.path().join("markdown.wasm"));
    home.file("it/dist/markdown.wasm", component.unwrap());
}

/// What the registry answers to somebody who wants a list of artifacts.
fn asked(host: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(host).unwrap();
    let request = format!(
        "GET {path} HTTP/1.0\r\nHost: {host}\r\nAccept: application/vnd.oci.image.index.v1+json\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn readme_and_ingredients_are_published_and_pulled_with_their_component() {
    let Some(registry) = Registry::open() else {
        return;
    };
    let home = home(&registry.host(), "");
    built_project(&home);
    run(&home, &["plugin", "pack", "it"]).expect(0);
    let place = format!("oci://{}/team/markdown:1.0.0", registry.host());
    let publish = [
        "plugin",
        "publish",
        "it/dist/markdown.fhp",
        &place,
        "--json",
    ];
    let published = run(&home, &publish).expect(0).json();
    assert_eq!(published["already"], false);
    let again = run(&home, &publish).expect(0).json();
    assert_eq!(again["already"], true);
    assert_eq!(again["manifest"], published["manifest"]);
    run(&home, &["plugin", "pull", &place, "--dir", "got"]).expect(0);
    assert_eq!(home.read("got/markdown.README.md"), "# Markdown\n");
    let ingredients = home.read("got/markdown.sbom.json");
    assert!(
        ingredients.contains("pkg:pypi/typing-extensions@4.15.0"),
        "{ingredients}"
    );
    // Where others look for what is about an artifact, in a registry that keeps no list by itself.
    let tag = published["manifest"].as_str().unwrap().replace(':', "-");
    let listed = asked(
        &registry.host(),
        &format!("/v2/team/markdown/manifests/{tag}"),
    );
    for kind in ["text/markdown", "application/vnd.cyclonedx+json"] {
        let entry = format!("\"artifactType\":\"{kind}\"");
        assert_eq!(listed.matches(&entry).count(), 1, "{listed}");
    }
    // Without a pack the component goes alone.
    let alone = format!("oci://{}/team/alone:1.0.0", registry.host());
    run(&home, &["plugin", "publish", "markdown.wasm", &alone]).expect(0);
    run(&home, &["plugin", "pull", &alone, "--dir", "alone"]).expect(0);
    assert!(!home.path().join("alone/markdown.README.md").exists());
}

#[test]
fn a_registry_that_lists_artifacts_by_itself_gets_no_tag_for_the_list_and_a_strangers_paper_is_not_taken()
 {
    let registry = referrers::Registry::start();
    let home = home(&registry.host(), "");
    built_project(&home);
    run(&home, &["plugin", "pack", "it"]).expect(0);
    let place = format!("oci://{}/team/markdown:1.0.0", registry.host());
    let publish = [
        "plugin",
        "publish",
        "it/dist/markdown.fhp",
        &place,
        "--json",
    ];
    let published = run(&home, &publish).expect(0).json();
    assert_eq!(run(&home, &publish).expect(0).json()["already"], true);
    // The one tag is the one that was asked for.
    assert_eq!(registry.tags(), ["1.0.0"]);
    let manifest = published["manifest"].as_str().unwrap();
    for kind in ["text/markdown", "application/vnd.cyclonedx+json"] {
        let listed = registry.about(manifest, Some(kind));
        assert_eq!(listed.len(), 1, "{kind}: {listed:?}");
    }
    assert_eq!(registry.about(manifest, None).len(), 2);
    // Whoever may push there can put another README beside it, and nobody who pulls gets that one.
    registry.attach(manifest, "text/markdown", "# Run me as root\n");
    assert_eq!(
        registry.about(manifest, Some("text/markdown")).len(),
        2,
        "the registry lists the stranger's paper"
    );
    run(&home, &["plugin", "pull", &place, "--dir", "got"]).expect(0);
    assert_eq!(home.read("got/markdown.README.md"), "# Markdown\n");
    assert!(home.read("got/markdown.sbom.json").contains("CycloneDX"));
}

#[test]
fn a_lock_pins_what_a_plan_does_not_and_a_moved_tag_is_told() {
    let Some(registry) = Registry::open() else {
        return;
    };
    let home = home(&registry.host(), "");
    let place = format!("oci://{}/team/tool:stable", registry.host());
    run(&home, &["plugin", "publish", "markdown.wasm", &place]).expect(0);
    home.file("plan.yaml", plan(&place, ""));
    run(&home, &["plugin", "lock", "plan.yaml"]).expect(0);
    run(&home, &["run", "plan.yaml", "--locked"]).expect(0);
    // The same component with one more section that says nothing: another build.
    let mut other = std::fs::read(home.path().join("markdown.wasm")).unwrap();
    other.extend([0, 2, 1, b'x']);
    home.file("markdown.wasm", other);
    run(
        &home,
        &["plugin", "publish", "markdown.wasm", &place, "--replace"],
    )
    .expect(0);
    run(&home, &["run", "plan.yaml", "--locked"]).expect(0);
    let shown = run(&home, &["plugin", "update", "plan.yaml"])
        .expect(0)
        .stdout;
    assert!(shown.contains("is sha256:"), "{shown}");
    // On another machine the locked one is not to be had any more, and nothing else is taken for it.
    std::fs::remove_dir_all(home.path().join(".flowhost/fetched")).unwrap();
    let refused = run(&home, &["run", "plan.yaml"]).expect(1).stderr;
    assert!(refused.contains("is another component"), "{refused}");
    run(&home, &["plugin", "update", "plan.yaml", "--yes"]).expect(0);
    run(&home, &["run", "plan.yaml", "--locked"]).expect(0);
}

#[test]
fn a_closed_registry_is_shown_the_operators_login_and_says_who_it_does_not_know() {
    let Some(registry) = Registry::closed() else {
        return;
    };
    let place = format!("oci://{}/team/markdown:1", registry.host());
    let arguments = ["plugin", "publish", "markdown.wasm", &place];
    let stranger = run(&home(&registry.host(), ""), &arguments).expect(1);
    assert!(
        stranger.stderr.contains("wants to know who asks"),
        "{}",
        stranger.stderr
    );
    let home = home(&registry.host(), "login = \"REGISTRY\"\n");
    run(&home, &arguments).expect(0);
    run(&home, &["plugin", "pull", &place, "--dir", "got"]).expect(0);
}
