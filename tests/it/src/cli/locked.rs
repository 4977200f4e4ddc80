//! `flowhost.lock` through the program: what was looked at runs, and anything else is told first.

use crate::support::{Home, built};

const PLAN: &str = "flowhost: v1\nkind: workflow\nname: locked\nplugins:\n  \
    guard: { kind: guardrail, source: ./guard.wasm, profile: deny-all }\n  \
    markdown: { kind: tool, source: builtin:markdown, profile: deny-all }\nsteps:\n  \
    look:\n    uses: markdown/headings\n    with: { text: \"# A\" }\n    \
    guardrails: { after: [{ uses: guard }] }\n";

fn home() -> Home {
    let home = Home::new();
    home.warm();
    put(&home, "redact");
    home.file("plan.yaml", PLAN);
    home
}

/// Makes a shipped guardrail the plan's own component.
fn put(home: &Home, plugin: &str) {
    let bytes = std::fs::read(built(&format!("plugins/{plugin}.wasm"))).unwrap();
    home.file("guard.wasm", bytes);
}

#[test]
fn without_a_lock_nothing_is_locked_and_the_cure_is_named() {
    let home = home();
    let refused = home.flowhost(&["run", "plan.yaml", "--locked"]).expect(1);
    assert!(
        refused.stderr.contains("flowhost plugin lock plan.yaml"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_locked_plan_runs_until_one_of_its_plugins_is_another() {
    let home = home();
    home.flowhost(&["plugin", "lock", "plan.yaml"]).expect(0);
    home.flowhost(&["run", "plan.yaml", "--locked"]).expect(0);
    // The same component with one more section that says nothing: another build.
    let mut other = std::fs::read(home.path().join("guard.wasm")).unwrap();
    other.extend([0, 2, 1, b'x']);
    home.file("guard.wasm", other);
    let refused = home
        .flowhost(&["validate", "plan.yaml", "--locked"])
        .expect(1);
    assert!(
        refused.stderr.contains("plugin `guard` is sha256:"),
        "{}",
        refused.stderr
    );
    let again = home.flowhost(&["plugin", "lock", "plan.yaml"]).expect(1);
    assert!(
        again.stderr.contains("flowhost plugin update"),
        "{}",
        again.stderr
    );
    let before = home.read("flowhost.lock");
    let shown = home.flowhost(&["plugin", "update", "plan.yaml"]).expect(0);
    assert!(
        shown.stdout.contains("nothing was written"),
        "{}",
        shown.stdout
    );
    assert_eq!(home.read("flowhost.lock"), before);
    home.flowhost(&["plugin", "update", "plan.yaml", "--yes"])
        .expect(0);
    home.flowhost(&["validate", "plan.yaml", "--locked"])
        .expect(0);
}

#[test]
fn a_digest_that_was_edited_by_hand_is_refused() {
    let home = home();
    home.flowhost(&["plugin", "lock", "plan.yaml"]).expect(0);
    let text = home.read("flowhost.lock");
    let digest = text
        .lines()
        .find(|line| line.starts_with("digest"))
        .unwrap();
    let other = format!("digest = \"sha256:{}\"", "0".repeat(64));
    home.file("flowhost.lock", text.replacen(digest, &other, 1));
    let refused = home.flowhost(&["run", "plan.yaml", "--locked"]).expect(1);
    assert!(
        refused.stderr.contains("was sha256:0000"),
        "{}",
        refused.stderr
    );
    home.file("flowhost.lock", text.replacen("sha256:", "sha256:zz", 1));
    let refused = home.flowhost(&["plugin", "list", "plan.yaml"]).expect(1);
    assert!(
        refused.stderr.contains("is not a digest"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_list_says_what_each_plugin_is_and_needs_and_whether_it_is_locked() {
    let home = home();
    let listed = home.flowhost(&["plugin", "list", "plan.yaml"]).expect(0);
    for word in [
        "guard: guardrail",
        "markdown: tool",
        "needs nothing",
        "headings",
        "not locked",
    ] {
        assert!(listed.stdout.contains(word), "{word}: {}", listed.stdout);
    }
    home.flowhost(&["plugin", "lock", "plan.yaml"]).expect(0);
    let twice = home.read("flowhost.lock");
    home.flowhost(&["plugin", "lock", "plan.yaml"]).expect(0);
    assert_eq!(home.read("flowhost.lock"), twice);
    let listed = home
        .flowhost(&["plugin", "list", "plan.yaml", "--json"])
        .expect(0)
        .json();
    assert_eq!(listed["locked"], true);
}

#[test]
fn a_strangers_plugin_is_shown_first_and_added_with_a_profile_that_reaches_nothing() {
    let home = home();
    let fetch = std::fs::read(built("plugins/http-fetch.wasm")).unwrap();
    home.file("from-a-stranger/fetch.wasm", fetch);
    let add = ["plugin", "add", "from-a-stranger/fetch.wasm"];
    let shown = home.flowhost(&add).expect(0);
    for word in ["asks for http", "tool fetch", "nothing was written"] {
        assert!(shown.stdout.contains(word), "{word}: {}", shown.stdout);
    }
    assert_eq!(home.read("plan.yaml"), PLAN);
    home.flowhost(&[&add[..], &["--yes"]].concat()).expect(0);
    assert!(home.read("policies/http-fetch.toml").contains("# [[http]]"));
    let plan = home.read("plan.yaml");
    assert!(
        plan.contains("http-fetch: { kind: tool, source: ./plugins/http-fetch.wasm"),
        "{plan}"
    );
    let refused = home.flowhost(&["validate", "plan.yaml"]).expect(1);
    assert!(refused.stderr.contains("http"), "{}", refused.stderr);
    let twice = home.flowhost(&[&add[..], &["--yes"]].concat()).expect(1);
    assert!(twice.stderr.contains("already"), "{}", twice.stderr);
}
