//! Components without a manifest are asked which tools they have before anything runs, by `validate`, `--dry-run` and
//! `run` alike: a step that names another tool is refused, and so is a component that does not say it.

use super::preflight::refused_alike;
use super::{home, plan, seen, tool};
use crate::support::Home;

/// A component without a manifest that exports plain functions.
const MATH: &str = r#"(component
    (core module $m
        (func (export "twice") (param i32) (result i32) (i32.mul (local.get 0) (i32.const 2))))
    (core instance $i (instantiate $m))
    (func $twice (param "n" s32) (result s32) (canon lift (core func $i "twice")))
    (export "twice" (func $twice)))"#;

#[test]
fn a_component_without_a_manifest_is_asked_for_its_tools_before_the_run() {
    let home = home(&["ok_echo"], "  only: { uses: ok_echo/rum, with: {} }");
    insta::assert_snapshot!(seen(&home, &["validate", "plan.yaml"]), @r"
    $ flowhost validate plan.yaml
    ----- stderr
    error: `plan.yaml` has 1 problem

      × step `only`: `ok_echo` has no tool `rum`
       ╭─[plan.yaml:8:17]
     7 │ steps:
     8 │   only: { uses: ok_echo/rum, with: {} }
       ·                 ───────────
       ╰────
      help: did you mean `ok_echo/run`? tools of `ok_echo`: run
    ----- exit 1
    ");
    refused_alike(&home);
    // Nor could it run, whoever is there.
    let doctor = home.flowhost(&["doctor", "--plan", "plan.yaml"]).expect(2);
    let told = "step `only`: `ok_echo` has no tool `rum`";
    assert!(doctor.stderr.contains(told), "{}", doctor.all());
    let steps = "  a: { uses: math/twice, with: { n: x } }\n  b: { uses: math, with: { m: 1 } }";
    let plugins = "  math: { kind: tool, source: ./math.wasm, profile: deny-all }";
    home.file("math.wasm", wat::parse_str(MATH).unwrap());
    home.file("plan.yaml", plan(plugins, steps));
    let said = refused_alike(&home);
    for part in [
        "step `a`: `math/twice` does not take this `with`",
        "step `b`: `math/twice` does not take this `with`",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let shown = home.flowhost(&["inspect", "math.wasm"]).expect(0).stdout;
    for part in [
        "tool twice (effects: none)",
        "n (integer, required)",
        "its tool is `twice`",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let document = home
        .flowhost(&["inspect", "math.wasm", "--json"])
        .expect(0)
        .json();
    assert_eq!(document["tools"][0]["name"], "twice", "{document:#}");
}

#[test]
fn one_that_could_reach_something_is_asked_with_nothing_in_reach() {
    for guest in ["deny_http", "ok_http"] {
        let home = Home::new();
        home.guest(guest);
        home.file(
            "policies/net.toml",
            "version = 1\nname = \"net\"\n[[http]]\nurl = \"https://api.example.com/\"\nmethods = [\"GET\"]\n",
        );
        let steps = |tool: &str| format!("  only: {{ uses: {guest}/{tool}, with: {{}} }}");
        home.file("plan.yaml", plan(&tool(guest, "net"), &steps("rum")));
        let said = refused_alike(&home);
        let words = format!("`{guest}` has no tool `rum`");
        assert!(said.contains(&words), "{said}");
        // What looks at the component says the same of it as what looks at the plan.
        home.file("plan.yaml", plan(&tool(guest, "net"), &steps("run")));
        let component = format!("{guest}.wasm");
        for arguments in [
            &["validate", "plan.yaml"][..],
            &["inspect", component.as_str()],
        ] {
            let said = home.flowhost(arguments).expect(0);
            let words = "its tool is `run`";
            assert!(said.stdout.contains(words), "{}", said.all());
        }
    }
}

#[test]
fn one_that_does_not_say_which_tools_it_has_is_refused_by_all_three() {
    for (guest, uses, words) in [
        ("fault_start", "run", "it does not say which tools it has"),
        ("limit_start", "run", "the limit `fuel` was reached"),
        ("fault_descriptor", "hidden", "U+202E"),
    ] {
        let steps = format!("  only: {{ uses: {guest}/{uses}, with: {{}} }}");
        let home = home(&[guest], &steps);
        let said = refused_alike(&home);
        assert!(said.contains(words), "{words}: {said}");
        let component = format!("{guest}.wasm");
        let seen = home.flowhost(&["inspect", component.as_str()]).expect(0);
        assert!(
            seen.stdout.contains("its tools are not known: "),
            "{}",
            seen.all()
        );
    }
}
