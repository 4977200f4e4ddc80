//! Components and profiles that no run should start with: each gets an error with its place and its
//! cure, and exit code 1.

use super::{home, plan, seen, tool};
use crate::support::{Home, guest};

/// A folder whose only plugin is these bytes.
fn component(bytes: impl AsRef<[u8]>) -> Home {
    let home = Home::new();
    home.file("it.wasm", bytes);
    home.file(
        "plan.yaml",
        plan(
            &tool("it", "deny-all"),
            "  only: { uses: it/run, with: {} }",
        ),
    );
    home
}

fn validated(home: &Home) -> String {
    seen(home, &["validate", "plan.yaml"])
}

#[test]
fn a_component_that_is_text() {
    insta::assert_snapshot!(validated(&component("(component)\n")), @r#"
    $ flowhost validate plan.yaml
    ----- stderr
    error: `plan.yaml` has 1 problem

      × plugin `it`: `it.wasm`: not a component: it is text
       ╭─[plan.yaml:5:29]
     4 │ plugins:
     5 │   it: { kind: tool, source: ./it.wasm, profile: deny-all }
       ·                             ─────────
     6 │ 
       ╰────
      help: compile it to a binary component first
    ----- exit 1
    "#);
}

#[test]
fn a_component_that_is_a_core_module() {
    let module = b"\0asm\x01\0\0\0";
    insta::assert_snapshot!(validated(&component(module)), @r#"
    $ flowhost validate plan.yaml
    ----- stderr
    error: `plan.yaml` has 1 problem

      × plugin `it`: `it.wasm`: not a component: it is a core module
       ╭─[plan.yaml:5:29]
     4 │ plugins:
     5 │   it: { kind: tool, source: ./it.wasm, profile: deny-all }
       ·                             ─────────
     6 │ 
       ╰────
      help: wrap it with `wasm-tools component new`
    ----- exit 1
    "#);
}

#[test]
fn a_component_that_ends_in_the_middle() {
    let whole = std::fs::read(guest("ok_echo")).unwrap();
    insta::assert_snapshot!(validated(&component(&whole[..1_000])), @r#"
    $ flowhost validate plan.yaml
    ----- stderr
    error: `plan.yaml` has 1 problem

      × plugin `it`: `it.wasm`: the file ends at byte 1000, in the middle of a section
       ╭─[plan.yaml:5:29]
     4 │ plugins:
     5 │   it: { kind: tool, source: ./it.wasm, profile: deny-all }
       ·                             ─────────
     6 │ 
       ╰────
      help: fetch it again
    ----- exit 1
    "#);
}

#[test]
fn a_component_that_somebody_precompiled() {
    let mut native = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0];
    native.resize(4_096, 0);
    insta::assert_snapshot!(validated(&component(native)), @r#"
    $ flowhost validate plan.yaml
    ----- stderr
    error: `plan.yaml` has 1 problem

      × plugin `it`: `it.wasm`: a precompiled artifact is native code and is never loaded from outside
       ╭─[plan.yaml:5:29]
     4 │ plugins:
     5 │   it: { kind: tool, source: ./it.wasm, profile: deny-all }
       ·                             ─────────
     6 │ 
       ╰────
      help: give the component it was compiled from; the host compiles and caches it
    ----- exit 1
    "#);
}

#[test]
fn a_component_that_is_empty() {
    insta::assert_snapshot!(validated(&component("")), @r#"
    $ flowhost validate plan.yaml
    ----- stderr
    error: `plan.yaml` has 1 problem

      × plugin `it`: `it.wasm`: not a component: it is empty
       ╭─[plan.yaml:5:29]
     4 │ plugins:
     5 │   it: { kind: tool, source: ./it.wasm, profile: deny-all }
       ·                             ─────────
     6 │ 
       ╰────
      help: give the path of a .wasm component
    ----- exit 1
    "#);
}

#[test]
fn a_component_of_an_unknown_world() {
    let empty = b"\0asm\x0d\0\x01\0";
    insta::assert_snapshot!(validated(&component(empty)), @r#"
    $ flowhost validate plan.yaml
    ----- stderr
    error: `plan.yaml` has 1 problem

      × plugin `it`: `it.wasm`: the component takes no role: it exports nothing
       ╭─[plan.yaml:5:29]
     4 │ plugins:
     5 │   it: { kind: tool, source: ./it.wasm, profile: deny-all }
       ·                             ─────────
     6 │ 
       ╰────
      help: export one of flowhost:roles/agent, tool, guardrail or mcp-adapter, version 0.1.0, or
            plain functions, which become tools
    ----- exit 1
    "#);
}

#[test]
fn cap_002_a_component_that_wants_a_newer_interface() {
    let home = home(
        &["deny_newer_version"],
        "  only: { uses: deny_newer_version/run, with: {} }",
    );
    insta::assert_snapshot!(validated(&home), @r#"
    $ flowhost validate plan.yaml
    ----- stderr
    error: `plan.yaml` has 1 problem

      × plugin `deny_newer_version`: `deny_newer_version.wasm`: it wants `flowhost:log/log@0.2.0`, and
      │ this host serves `flowhost:log/log@0.1.0`
       ╭─[plan.yaml:5:45]
     4 │ plugins:
     5 │   deny_newer_version: { kind: tool, source: ./deny_newer_version.wasm, profile: deny-all }
       ·                                             ─────────────────────────
     6 │ 
       ╰────
      help: build the plugin against flowhost:log/log@0.1.0, or take a flowhost that serves
            flowhost:log/log@0.2.0
    ----- exit 1
    "#);
    // The same with the right granted, and when it is run: no profile line is a cure.
    for profile in ["deny-all", "tool-pure"] {
        home.file(
            "plan.yaml",
            plan(
                &tool("deny_newer_version", profile),
                "  only: { uses: deny_newer_version/run, with: {} }",
            ),
        );
        for command in ["validate", "run"] {
            let ran = home.flowhost(&[command, "plan.yaml", "--json"]).expect(1);
            let problems = ran.json()["problems"].clone();
            let told = problems.to_string();
            assert!(told.contains("wants `flowhost:log/log@0.2.0`"), "{told}");
            assert!(told.contains("serves `flowhost:log/log@0.1.0`"), "{told}");
            assert!(told.contains("take a flowhost"), "{told}");
            assert!(!told.contains("log = true"), "{told}");
        }
    }
}

#[test]
fn a_component_that_is_not_there() {
    let home = Home::new();
    home.file(
        "plan.yaml",
        plan(
            &tool("gone", "deny-all"),
            "  only: { uses: gone/run, with: {} }",
        ),
    );
    insta::assert_snapshot!(validated(&home), @r#"
    $ flowhost validate plan.yaml
    ----- stderr
    error: `plan.yaml` has 1 problem

      × plugin `gone`: the component `gone.wasm` was not found
       ╭─[plan.yaml:5:31]
     4 │ plugins:
     5 │   gone: { kind: tool, source: ./gone.wasm, profile: deny-all }
       ·                               ───────────
     6 │ 
       ╰────
      help: check the path: it is relative to the plan
    ----- exit 1
    "#);
}

#[test]
fn cap_001_a_plugin_that_wants_more_than_its_profile_names_plugin_interface_and_line() {
    let home = home(
        &["deny_files"],
        "  only: { uses: deny_files/run, with: {} }",
    );
    insta::assert_snapshot!(validated(&home), @r#"
    $ flowhost validate plan.yaml
    ----- stderr
    error: `plan.yaml` has 1 problem

      × plugin `deny_files` imports `flowhost:files/files@0.1.0`, which profile `deny-all` does not
      │ grant
       ╭─[plan.yaml:5:65]
     4 │ plugins:
     5 │   deny_files: { kind: tool, source: ./deny_files.wasm, profile: deny-all }
       ·                                                                 ────────
     6 │ 
       ╰────
      help: `deny-all` is shipped and stays as it is. Make a profile of your own:
            flowhost policy show deny-all --name deny_files --out policies/deny_files.toml
            then write `profile: deny_files` in the plan, and this at the end of
            policies/deny_files.toml:
            [[files]]
            guest = "/docs"
            host = "docs"
            access = "read"
    ----- exit 1
    "#);
}

#[test]
fn cap_001_the_run_of_such_a_plan_is_refused_and_leaves_no_run_behind() {
    let home = home(
        &["deny_files"],
        "  only: { uses: deny_files/run, with: {} }",
    );
    let ran = home.flowhost(&["run", "plan.yaml", "--json"]).expect(6);
    assert_eq!(ran.json()["exit_code"], 6);
    assert!(
        ran.stdout.contains("flowhost:files/files@0.1.0"),
        "{}",
        ran.stdout
    );
    let runs = std::fs::read_dir(home.path().join(".flowhost/default/runs"));
    assert_eq!(runs.map_or(0, Iterator::count), 0);
}

#[test]
fn cap_001_every_missing_right_of_every_plugin_is_told_at_once() {
    let guests = ["deny_files", "deny_http", "deny_state"];
    let steps = "  only: { uses: deny_files/run, with: {} }";
    let ran = home(&guests, steps)
        .flowhost(&["validate", "plan.yaml"])
        .expect(1);
    for interface in [
        "flowhost:files/files",
        "flowhost:http/http",
        "flowhost:state/state",
    ] {
        assert!(
            ran.stderr.contains(interface),
            "{interface}: {}",
            ran.stderr
        );
    }
}

#[test]
fn fs_026_a_profile_that_asks_for_the_root_of_the_machine() {
    let home = Home::new();
    home.guest("deny_files");
    home.file(
        "policies/all.toml",
        "version = 1\nname = \"all\"\n\n[[files]]\nguest = \"/w\"\nhost = \"/\"\naccess = \"read\"\n",
    );
    let steps = "  only: { uses: deny_files/run, with: {} }";
    home.file("plan.yaml", plan(&tool("deny_files", "all"), steps));
    insta::assert_snapshot!(validated(&home), @r#"
    $ flowhost validate plan.yaml
    ----- stderr
    error: `plan.yaml` has 1 problem

      × `files[0].host` is `/`: the root of the machine is never granted
       ╭─[policies/all.toml:6:8]
     5 │ guest = "/w"
     6 │ host = "/"
       ·        ───
     7 │ access = "read"
       ╰────
      help: name a folder relative to the plan, such as `docs`
    ----- exit 1
    "#);
}

#[test]
fn fs_026_a_profile_that_asks_for_the_state_directory_or_a_link_to_the_root() {
    for host in [".flowhost", ".flowhost/default", "link"] {
        let home = Home::new();
        home.guest("deny_files");
        std::fs::create_dir_all(home.path().join(".flowhost")).unwrap();
        std::os::unix::fs::symlink("/", home.path().join("link")).unwrap();
        home.file(
            "policies/all.toml",
            format!(
                "version = 1\nname = \"all\"\n\n[[files]]\nguest = \"/w\"\nhost = \"{host}\"\n\
                 access = \"read\"\n"
            ),
        );
        let steps = "  only: { uses: deny_files/run, with: {} }";
        home.file("plan.yaml", plan(&tool("deny_files", "all"), steps));
        let ran = home.flowhost(&["run", "plan.yaml"]);
        assert!([1, 6].contains(&ran.code), "{host}: {}", ran.all());
        assert!(
            ran.stderr.contains("all.toml") || ran.stderr.contains("/w"),
            "{}",
            ran.all()
        );
    }
}

#[test]
fn cap_004_a_profile_with_a_typing_error() {
    let home = Home::new();
    home.guest("ok_echo");
    home.file(
        "policies/typo.toml",
        "version = 1\nname = \"typo\"\n\n[limits]\nmemmory = \"64MiB\"\nfuel = 0\n\n[netwrok]\n",
    );
    let steps = "  only: { uses: ok_echo/run, with: {} }";
    home.file("plan.yaml", plan(&tool("ok_echo", "typo"), steps));
    insta::assert_snapshot!(validated(&home), @r#"
    $ flowhost validate plan.yaml
    ----- stderr
    error: `plan.yaml` has 3 problems

      × unknown key `memmory` in `limits`
       ╭─[policies/typo.toml:5:1]
     4 │ [limits]
     5 │ memmory = "64MiB"
       · ───────
     6 │ fuel = 0
       ╰────
      help: did you mean `memory`?

      × `limits.fuel` is 0, outside 1 to 1_000_000_000_000_000
       ╭─[policies/typo.toml:6:8]
     5 │ memmory = "64MiB"
     6 │ fuel = 0
       ·        ─
     7 │ 
       ╰────
      help: no limit can be zero or switched off

      × unknown key `netwrok`
       ╭─[policies/typo.toml:8:2]
     7 │ 
     8 │ [netwrok]
       ·  ───────
       ╰────
      help: known keys: version, name, description, limits, log, config, budget, http, files, env,
            model, tools, messages, state, clock, random, secrets, process
    ----- exit 1
    "#);
}

#[test]
fn a_profile_that_nobody_wrote() {
    let home = Home::new();
    home.guest("ok_echo");
    let steps = "  only: { uses: ok_echo/run, with: {} }";
    home.file("plan.yaml", plan(&tool("ok_echo", "deny-al"), steps));
    insta::assert_snapshot!(validated(&home), @r#"
    $ flowhost validate plan.yaml
    ----- stderr
    error: `plan.yaml` has 1 problem

      × plugin `ok_echo`: the profile `deny-al` was not found in `[home]/policies`
       ╭─[plan.yaml:5:59]
     4 │ plugins:
     5 │   ok_echo: { kind: tool, source: ./ok_echo.wasm, profile: deny-al }
       ·                                                           ───────
     6 │ 
       ╰────
      help: did you mean `deny-all`?
            shipped profiles: deny-all, guardrail-pure, tool-pure, tool-readonly, tool-workspace,
            networked-tool, agent-model, agent-any-model, mcp-local
            a profile of your own is a file `deny-al.toml` in a folder named above
    ----- exit 1
    "#);
}

#[test]
fn what_is_no_number_no_folder_and_no_evidence_is_told_without_the_words_of_a_library() {
    let home = Home::new();
    home.guest("ok_echo");
    let steps = "  only: { uses: ok_echo/run, with: {} }";
    home.file("plan.yaml", plan(&tool("ok_echo", "deny-all"), steps));
    for (arguments, code, words) in [
        (
            &["run", "plan.yaml", "--seed", "abc"][..],
            64,
            "expected a whole number",
        ),
        (
            &["runs", "prune", "--keep", "x"],
            64,
            "expected a whole number",
        ),
        (&["runs", "prune"], 64, "--keep <N>|--older-than <TIME>"),
        (&["show", "latest"], 64, "`flowhost runs show`"),
        (&["run", "."], 1, "this is a folder, and a plan is a file"),
        (&["run", "."], 1, "plan.yaml`"),
        (
            &["--state", "plan.yaml", "run", "plan.yaml"],
            64,
            "`--state DIR`",
        ),
        (
            &["verify", "plan.yaml"],
            1,
            "`flowhost evidence export` writes",
        ),
        (&["telemetry", "dashboard"], 1, "`--evidence`"),
        (
            &["plugin", "list", "plan.yaml"],
            0,
            "ok_echo: tool, ./ok_echo.wasm",
        ),
    ] {
        let ran = home.flowhost(arguments).expect(code);
        assert!(ran.all().contains(words), "{words}: {}", ran.all());
    }
}
