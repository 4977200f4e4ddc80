//! The sandbox for tests, with components of ours in the executable of this build: what an author's test
//! asserts of a plugin is what the host really does.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "all of this file is a test, its helpers too"
)]

use std::path::{Path, PathBuf};

use flowhost_sdk::testing::{Failed, Sandbox};
use serde_json::json;

/// The build's folder, from this test's own place in it: `target/debug/deps`, or deeper where the SDK's
/// tests have a target folder of their own.
fn target() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let root = root.canonicalize().unwrap();
    let exe = std::env::current_exe().unwrap();
    let mut folders = exe.ancestors();
    let found = folders.find(|it| it.parent() == Some(&root));
    found.map_or_else(|| root.join("target"), Path::to_owned)
}

fn sandbox(guest: &str) -> Sandbox {
    let executable = target().join("debug/flowhost");
    let component = target().join(format!("guests/{guest}.wasm"));
    for needed in [&executable, &component] {
        let cure = "cargo build -p flowhost, cargo xtask build-guests";
        assert!(
            needed.is_file(),
            "{} is not built: {cure}",
            needed.display()
        );
    }
    Sandbox::of(component).unwrap().executable(executable)
}

fn ended(failed: Failed) -> (String, String) {
    match failed {
        Failed::Ended(ended) => (ended.class, ended.owner),
        other => panic!("{other}"),
    }
}

#[test]
fn a_right_that_is_not_granted_is_refused_before_the_run_with_the_line_that_grants_it() {
    let failed = sandbox("ok_files").call("run", &json!({ "op": "roots" }));
    let Err(Failed::Refused {
        exit_code,
        problems,
        ..
    }) = failed
    else {
        panic!("{failed:?}")
    };
    assert_eq!(exit_code, 6);
    assert!(problems.join("\n").contains("[[files]]"), "{problems:?}");
}

#[test]
fn a_path_outside_the_grant_is_denied_and_one_inside_is_read() {
    let sandbox = sandbox("ok_files")
        .file("docs/a.md", "# A\n")
        .unwrap()
        .grant("[[files]]\nguest = \"/docs\"\nhost = \"docs\"\naccess = \"read\"");
    let read = |path: &str| sandbox.call("run", &json!({ "op": "read", "path": path }));
    // The guest lives with the refusal, and hands it on.
    let ran = read("/etc/passwd").unwrap();
    assert_eq!(ran.output["error"]["case"], "denied");
    let [denied] = ran.denials.as_slice() else {
        panic!("{ran:?}")
    };
    assert_eq!(
        (denied.right.as_str(), denied.wanted.as_str()),
        ("files", "read /etc/passwd")
    );
    let ran = read("/docs/a.md").unwrap();
    assert_eq!(ran.output, json!({ "ok": "# A\n" }));
}

#[test]
fn what_a_plugin_writes_can_be_looked_at() {
    let sandbox = sandbox("ok_files")
        .file("out/old.txt", "")
        .unwrap()
        .grant("[[files]]\nguest = \"/out\"\nhost = \"out\"\naccess = \"write\"\nquota = \"1MiB\"\nentries = 10");
    let write = json!({ "op": "write", "path": "/out/new.txt", "contents": "new" });
    let ran = sandbox.call("run", &write).unwrap();
    assert!(ran.used.host_calls > 0 && ran.used.fuel > 0, "{ran:?}");
    assert_eq!(sandbox.contents("out/new.txt").unwrap(), b"new");
}

#[test]
fn an_error_of_the_plugin_keeps_its_class_and_its_owner() {
    let sandbox = sandbox("fault_error");
    for class in ["invalid", "failed", "conflict"] {
        let failed = sandbox.call("run", &json!({ "case": class, "message": "so" }));
        let failed = failed.unwrap_err();
        assert_eq!(failed.class(), class);
        assert!(failed.to_string().contains("so"), "{failed}");
    }
}

#[test]
fn a_trap_is_a_failure_and_not_an_answer() {
    let failed = sandbox("fault_panic").call("run", &json!({})).unwrap_err();
    assert_eq!(ended(failed).1, "guest");
}

#[test]
fn input_arrives_as_it_was_given() {
    let given = json!({ "text": "${{ run.id }} $${{", "list": [1, null, true], "deep": { "a": "ä\n\t\\" } });
    let ran = sandbox("ok_echo").call("run", &given).unwrap();
    assert_eq!(ran.output, given);
}

#[test]
fn one_sandbox_takes_calls_from_several_threads() {
    let sandbox = sandbox("ok_echo");
    let echo = |number: u64| sandbox.call("run", &json!({ "number": number }));
    std::thread::scope(|scope| {
        let calls = [1, 2, 3].map(|number| (number, scope.spawn(move || echo(number))));
        for (number, call) in calls {
            let output = call.join().unwrap().unwrap().output;
            assert_eq!(output, json!({ "number": number }));
        }
    });
}

#[test]
fn an_agent_gets_a_task() {
    let ran = sandbox("ok_agent").task(&json!({ "question": 1 })).unwrap();
    assert_eq!(ran.output["input"], json!({ "question": 1 }));
}

/// What one call cannot show: a guardrail needs a step to look at.
#[test]
fn a_plan_of_the_authors_own_shows_a_guardrail() {
    let echo = std::fs::read(target().join("guests/ok_echo.wasm")).unwrap();
    let sandbox = sandbox("ok_guardrail").file("echo.wasm", echo).unwrap();
    let failed = sandbox.plan(&guarded("deny")).unwrap_err();
    assert_eq!(failed.class(), "guardrail");
    let ran = sandbox.plan(&guarded("rewrite")).unwrap();
    assert_eq!(ran.output, json!({ "seen": { "rewritten": true } }));
}

fn guarded(action: &str) -> String {
    const PLAN: &str = r#"
flowhost: v1
kind: workflow
name: guarded
plugins:
  guard: { kind: guardrail, source: ./component.wasm, profile: sandbox }
  echo: { kind: tool, source: ./echo.wasm, profile: deny-all }
steps:
  look:
    uses: echo/run
    with: { plain: true }
    guardrails: { after: [{ uses: guard, with: { action: ACTION } }] }
outputs: { seen: "${{ steps.look.output }}" }
"#;
    PLAN.replace("ACTION", action)
}
