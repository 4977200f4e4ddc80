//! Components that know nothing of us, through the program: what they may not have, and what their functions
//! answer.

use crate::support::Home;

/// A function in an interface, on numbers.
const MATH: &str = r#"(component
  (core module $m
    (func (export "div") (param i32 i32) (result i32) (i32.div_u (local.get 0) (local.get 1))))
  (core instance $i (instantiate $m))
  (func $div (param "a" u32) (param "b" u32) (result u32) (canon lift (core func $i "div")))
  (instance $api (export "div" (func $div)))
  (export "math:numbers/api@1.0.0" (instance $api)))"#;

/// A function beside an import that reaches outside.
const CURIOUS: &str = r#"(component
  (import "wasi:sockets/network@0.2.0" (instance (export "network" (type (sub resource)))))
  (core module $m (func (export "f")))
  (core instance $i (instantiate $m))
  (func (export "f") (canon lift (core func $i "f"))))"#;

fn home(component: &str, step: &str) -> Home {
    let home = Home::new();
    home.file("it.wasm", wat::parse_str(component).unwrap());
    home.file(
        "plan.yaml",
        format!(
            "flowhost: v1\nkind: workflow\nname: p\nplugins:\n  it: {{ kind: tool, source: ./it.wasm, profile: deny-all }}\n\
             steps:\n  only: {step}\noutputs: {{ found: \"${{{{ steps.only.output }}}}\" }}\n"
        ),
    );
    home
}

#[test]
fn what_a_stranger_imports_and_nobody_grants_is_refused_by_name_before_the_run() {
    let home = home(CURIOUS, "{ uses: it/f }");
    let refused = home.flowhost(&["run", "plan.yaml"]);
    assert_ne!(refused.code, 0, "{}", refused.all());
    assert!(
        refused.stderr.contains("wasi:sockets/network@0.2.0"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_strangers_function_refuses_what_its_types_do_not_allow_and_answers_by_them() {
    let refused = home(MATH, "{ uses: it/api.div, with: { a: 7 } }");
    let refused = refused.flowhost(&["run", "plan.yaml"]);
    assert_ne!(refused.code, 0, "{}", refused.all());
    assert!(
        refused
            .stderr
            .contains("`it/api.div` does not take this `with`"),
        "{}",
        refused.all()
    );
    let home = home(MATH, "{ uses: it/api.div, with: { a: 7, b: 2 } }");
    let shown = home.flowhost(&["inspect", "it.wasm"]).expect(0).stdout;
    assert!(
        shown.contains("its plain functions become tools"),
        "{shown}"
    );
    let report = home
        .flowhost(&["run", "plan.yaml", "--json"])
        .expect(0)
        .json();
    assert_eq!(report["outputs"]["found"], 3);
    home.flowhost(&["runs", "replay", "latest"]).expect(0);
}
