//! Runs that begin with another one's past, and runs that take results from an earlier one.

use serde_json::{Value, json};

use super::again::replays;
use super::evidence::run_dir;
use super::resumed::{REVIEW, RUN, THREE, home, killed_in, plan, resume};
use crate::counting::Counting;
use crate::support::{Home, Ran};

fn fork(home: &Home, more: &[&str]) -> Ran {
    let all = [
        "runs",
        "fork",
        "latest",
        "--allow-private-network",
        "--json",
    ];
    home.flowhost(&[&all[..], more].concat())
}

#[test]
fn a_step_that_never_ran_is_no_place_to_fork_at_and_nothing_is_recorded() {
    let server = Counting::new();
    let home = home(&server, THREE);
    home.flowhost(RUN).expect(0);
    let refused = fork(&home, &["--at", "d"]).expect(1);
    assert!(refused.all().contains("`d` never ran"), "{}", refused.all());
    assert!(refused.all().contains("`a`, `b`, `c`"), "{}", refused.all());
    let list = home.flowhost(&["runs", "list", "--json"]).expect(0).json();
    assert_eq!(list.as_array().unwrap().len(), 1, "{list}");
    assert_eq!(server.paths(), ["/a", "/b", "/c"]);
}

#[test]
fn a_component_of_another_kind_stands_in_for_nothing_and_nothing_begins() {
    let named = ["--plugin", "ok_http=ok_guardrail.wasm"];
    let refuses = |ran: Ran| {
        let told = ran.expect(1).all();
        assert!(
            told.contains("ok_guardrail.wasm` cannot stand in for `ok_http`"),
            "{told}"
        );
        let why = "it is a guardrail, and `ok_http` is a tool";
        assert!(told.contains(why), "{told}");
    };
    let server = Counting::new();
    let home = home(&server, THREE);
    home.guest("ok_guardrail");
    home.flowhost(RUN).expect(0);
    refuses(fork(&home, &[&["--at", "c"][..], &named].concat()));
    refuses(home.flowhost(&[&["runs", "replay", "latest"][..], &named].concat()));
    let list = home.flowhost(&["runs", "list", "--json"]).expect(0).json();
    assert_eq!(list.as_array().unwrap().len(), 1, "{list}");
    assert_eq!(server.paths(), ["/a", "/b", "/c"]);
    let server = Counting::new();
    let home = super::resumed::home(&server, THREE);
    home.guest("ok_guardrail");
    killed_in(&home, &server, "/b");
    server.silence("/b", false);
    let wanted = ["runs", "resume", "latest", "--allow-private-network"];
    refuses(home.flowhost(&[&wanted[..], &named].concat()));
    // Nothing of it stays: the run goes on as it was.
    assert_eq!(resume(&home).expect(0).json()["outputs"]["last"], "c");
}

#[test]
fn a_fork_does_nothing_again_before_its_step_and_everything_from_there() {
    let server = Counting::new();
    let home = home(&server, THREE);
    let parent = home.flowhost(RUN).expect(0).json();
    let forked = fork(&home, &["--at", "c"]).expect(0).json();
    assert_eq!(server.paths(), ["/a", "/b", "/c", "/c"]);
    assert_eq!(forked["outputs"], parent["outputs"]);
    assert_eq!(forked["seed"], parent["seed"]);
    assert_ne!(forked["run_id"], parent["run_id"]);
    let hits = server.hits();
    assert_ne!(hits[2].key, hits[3].key, "another run, another effect");
    // Of two runs the first in the folder may be either.
    let name = forked["run_id"].as_str().unwrap();
    let segment = format!(".flowhost/default/runs/{name}/seg-00000000.jsonl");
    let lines = home.read(&segment);
    let start: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&start["parent"], &start["fork_at"]),
        (&parent["run_id"], &json!("c"))
    );
    let shown = home.flowhost(&["runs", "show", "latest"]).expect(0).stdout;
    assert!(shown.contains("begins with the past of run"), "{shown}");
    let verified = home.flowhost(&["verify", "latest"]).expect(0);
    assert!(
        verified
            .all()
            .contains("records of other runs are as this run says"),
        "{}",
        verified.all()
    );
    home.flowhost(&["verify", ".flowhost"]).expect(0);
    let replayed = replays(&home);
    assert_eq!(
        (
            &replayed["calls"],
            replayed["taken"].as_object().unwrap().len()
        ),
        (&json!(1), 2)
    );
}

#[test]
fn a_fork_goes_on_with_another_plan_another_input_and_says_what_it_cannot_reach() {
    let server = Counting::new();
    let home = home(&server, THREE);
    home.flowhost(RUN).expect(0);
    let other = THREE.replace(
        "c: { needs: [b], POST:/c }",
        "c: { needs: [b], POST:/other }",
    );
    home.file("other.yaml", plan(&server, &other));
    let forked = fork(&home, &["--at", "c", "--plan", "other.yaml"])
        .expect(0)
        .json();
    assert_eq!(forked["outputs"]["last"], "other");
    assert_eq!(server.paths(), ["/a", "/b", "/c", "/other"]);
    let more = THREE.replace(
        "c: { needs: [b], POST:/c }",
        "x: { POST:/x }\n  c: { needs: [b, x], POST:/c }",
    );
    home.file("more.yaml", plan(&server, &more));
    let refused = fork(&home, &["--at", "c", "--plan", "more.yaml"]).expect(1);
    assert!(
        refused.all().contains("wants `x` first"),
        "{}",
        refused.all()
    );
    assert_eq!(server.paths().len(), 4);
    let fewer = THREE
        .replace("  c: {", "  end: {")
        .replace("steps.c.", "steps.end.");
    home.file("fewer.yaml", plan(&server, &fewer));
    let refused = fork(&home, &["--at", "c", "--plan", "fewer.yaml"]).expect(1);
    let told = refused.all();
    assert!(told.contains("has no step `c`"), "{told}");
    assert!(!told.contains("wants"), "{told}");
}

#[test]
fn a_fork_whose_parent_was_altered_is_not_verified_and_one_whose_parent_is_gone_says_so() {
    let server = Counting::new();
    let home = home(&server, THREE);
    home.flowhost(RUN).expect(0);
    let parent = run_dir(&home);
    fork(&home, &["--at", "b"]).expect(0);
    let aside = home.path().join("aside");
    std::fs::rename(&parent, &aside).unwrap();
    let gone = home.flowhost(&["verify", "latest"]).expect(0);
    assert!(gone.all().contains("is gone"), "{}", gone.all());
    // What it needs of its past, it has.
    replays(&home);
    // Another run under the parent's name.
    let forked = run_dir(&home);
    std::fs::create_dir(&parent).unwrap();
    for entry in std::fs::read_dir(&forked).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            std::fs::copy(&path, parent.join(path.file_name().unwrap())).unwrap();
        }
    }
    let altered = home
        .flowhost(&["verify", forked.file_name().unwrap().to_str().unwrap()])
        .expect(1);
    assert!(
        altered.all().contains("which this run refers to")
            || altered.all().contains("that this run refers to"),
        "{}",
        altered.all()
    );
}

#[test]
fn a_fork_behind_a_gate_keeps_the_word_and_one_at_the_gate_waits_anew() {
    let server = Counting::new();
    let home = home(&server, REVIEW);
    home.flowhost(RUN).expect(9);
    let say = |home: &Home| {
        home.flowhost(&["runs", "approve", "latest", "review", "--by", "ann"])
            .expect(0)
    };
    say(&home);
    resume(&home).expect(0);
    let behind = fork(&home, &["--at", "b"]).expect(0).json();
    assert_eq!(behind["outputs"]["by"], "ann");
    assert_eq!(server.paths(), ["/a", "/b", "/b"]);
    replays(&home);
    let at = fork(&home, &["--at", "review"]).expect(9).json();
    assert_eq!(at["status"], "waiting", "{at:#}");
    say(&home);
    assert_eq!(resume(&home).expect(0).json()["outputs"]["by"], "ann");
    assert_eq!(server.paths(), ["/a", "/b", "/b", "/b"]);
    replays(&home);
    home.flowhost(&["verify", ".flowhost"]).expect(0);
}

#[test]
fn a_fork_does_anew_what_the_other_run_took_back_and_says_so() {
    let server = Counting::new();
    let steps = "  x: { POST:/x }\n  a: { needs: [x], POST:/a, compensate: { POST:/undo-a } }\n  b: { needs: [a], POST:/b, \
                 compensate: { POST:/undo-b } }\n  c: { needs: [b], POST:/c, checks: [ { id: well, that: \
                 \"output.ok.status == 200\" } ] }\noutputs: { last: \"${{ steps.c.output.ok.body }}\" }";
    let home = home(&server, steps);
    server.fail("/c", true);
    let parent = home.flowhost(RUN).expect(4).json();
    assert_eq!(
        server.paths(),
        ["/x", "/a", "/b", "/c", "/undo-b", "/undo-a"]
    );
    server.fail("/c", false);
    let forked = fork(&home, &["--at", "c"]).expect(0).json();
    assert_eq!(forked["outputs"]["last"], "c");
    // What nothing takes back is as it was.
    assert_eq!(server.paths()[6..], ["/a", "/b", "/c"]);
    let hits = server.hits();
    assert!(hits[6].key != hits[1].key && hits[7].key != hits[2].key);
    let run = parent["run_id"].as_str().unwrap();
    let warning = format!(
        "run {run} took back later what had been done before `c`, so it is done anew: `a`, `b`"
    );
    assert_eq!(forked["warnings"], json!([warning]), "{forked:#}");
    let name = forked["run_id"].as_str().unwrap();
    let lines = home.read(&format!(".flowhost/default/runs/{name}/seg-00000000.jsonl"));
    let start: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&start["fork_at"], &start["fork_anew"]),
        (&json!("c"), &json!(["a", "b"]))
    );
    let shown = home.flowhost(&["runs", "show", "latest"]).expect(0).stdout;
    assert!(shown.contains("(done anew, because"), "{shown}");
    home.flowhost(&["verify", ".flowhost"]).expect(0);
    replays(&home);
    // The new run took nothing back: forked in turn, only the step is done.
    fork(&home, &["--at", "c"]).expect(0);
    assert_eq!(server.paths()[9..], ["/c"]);
}

#[test]
fn what_needs_a_step_that_was_taken_back_is_named_and_no_effect_happens_twice_without_a_word() {
    let steps = format!(
        "  a: {{ POST:/a, compensate: {{ POST:/undo-a }} }}\n  pay: {{ needs: [a], EFFECTS POST:/pay }}\n  \
         d: {{ needs: [pay], POST:/d, {WELL} }}"
    );
    let server = Counting::new();
    let home = home(&server, &steps.replace("EFFECTS ", "effects: once, "));
    server.fail("/d", true);
    home.flowhost(RUN).expect(4);
    assert_eq!(server.paths(), ["/a", "/pay", "/d", "/undo-a"]);
    server.fail("/d", false);
    let refused = fork(&home, &["--at", "d"]).expect(1).all();
    assert!(refused.contains("`effects: once`"), "{refused}");
    assert!(refused.contains("needs was: `pay`"), "{refused}");
    assert!(refused.contains(" --at pay`"), "{refused}");
    let list = home.flowhost(&["runs", "list", "--json"]).expect(0).json();
    assert_eq!(list.as_array().unwrap().len(), 1, "{list}");
    assert_eq!(server.paths().len(), 4);
    // On purpose it is done.
    let forked = fork(&home, &["--at", "pay"]).expect(0).json();
    assert!(
        forked["warnings"][0]
            .as_str()
            .unwrap()
            .ends_with("anew: `a`")
    );
    assert_eq!(server.paths()[4..], ["/a", "/pay", "/d"]);
    // One that may be done again is, and is named.
    let server = Counting::new();
    let home = super::resumed::home(&server, &steps.replace("EFFECTS ", ""));
    server.fail("/d", true);
    home.flowhost(RUN).expect(4);
    server.fail("/d", false);
    let forked = fork(&home, &["--at", "d"]).expect(0).json();
    let warning = forked["warnings"][0].as_str().unwrap();
    let told = "it is done anew: `a`; and so is what needs it: `pay`";
    assert!(warning.ends_with(told), "{forked:#}");
    let name = forked["run_id"].as_str().unwrap();
    let lines = home.read(&format!(".flowhost/default/runs/{name}/seg-00000000.jsonl"));
    let start: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!(start["fork_anew"], json!(["a", "pay"]));
    let shown = home.flowhost(&["runs", "show", "latest"]).expect(0).stdout;
    assert!(shown.contains("`a`, `pay`)"), "{shown}");
    assert_eq!(server.paths()[4..], ["/a", "/pay", "/d"]);
    replays(&home);
}

#[test]
fn a_fork_that_does_anew_goes_on_after_a_kill_also_before_it_came_to_its_step() {
    let server = Counting::new();
    let steps = "  x: { POST:/x }\n  a: { needs: [x], POST:/a, compensate: { POST:/undo-a } }\n  b: { needs: [a], POST:/b, \
                 checks: [ { id: well, that: \"output.ok.status == 200\" } ] }\noutputs: { last: \"${{ \
                 steps.b.output.ok.body }}\" }";
    let home = home(&server, steps);
    server.fail("/b", true);
    home.flowhost(RUN).expect(4);
    server.fail("/b", false);
    server.silence("/a", true);
    let command = [
        "runs",
        "fork",
        "latest",
        "--allow-private-network",
        "--at",
        "b",
    ];
    let mut child = home.command(&command).spawn().unwrap();
    server.wait("/a", 2);
    child.kill().unwrap();
    child.wait().unwrap();
    server.silence("/a", false);
    let report = resume(&home).expect(0).json();
    assert_eq!(report["outputs"]["last"], "b");
    assert_eq!(
        server.paths(),
        ["/x", "/a", "/b", "/undo-a", "/a", "/a", "/b"]
    );
    home.flowhost(&["verify", ".flowhost"]).expect(0);
}

#[test]
fn what_takes_a_step_back_is_no_place_to_fork_at_and_nothing_begins() {
    let server = Counting::new();
    let steps = format!(
        "  a: {{ POST:/a, compensate: {{ POST:/undo-a }} }}\n  b: {{ needs: [a], POST:/b, {WELL} }}"
    );
    let home = home(&server, &steps);
    server.fail("/b", true);
    home.flowhost(RUN).expect(4);
    let refused = fork(&home, &["--at", "a!compensate"]).expect(1);
    let told = refused.all();
    assert!(told.contains("cannot be begun at"), "{told}");
    assert!(told.contains("fork it at `a`"), "{told}");
    assert_eq!(server.paths(), ["/a", "/b", "/undo-a"]);
}

/// A check that fails where the server does.
const WELL: &str = "checks: [ { id: well, that: \"output.ok.status == 200\" } ]";

#[test]
fn what_a_fork_took_back_is_not_done_in_the_run_that_it_came_from_either() {
    let server = Counting::new();
    let steps = format!(
        "  a: {{ POST:/a, compensate: {{ POST:/undo-a }} }}\n  b: {{ needs: [a], POST:/b, {WELL} }}"
    );
    let home = home(&server, &steps);
    let begun = |home: &Home| home.flowhost(&["runs", "list", "--json"]).expect(0).json();
    let parent = home.flowhost(RUN).expect(0).json()["run_id"].clone();
    let parent = parent.as_str().unwrap();
    server.fail("/b", true);
    let failed = fork(&home, &["--at", "b"]).expect(4).json()["run_id"].clone();
    let failed = failed.as_str().unwrap();
    assert_eq!(server.paths(), ["/a", "/b", "/b", "/undo-a"]);
    server.fail("/b", false);
    let key = "--allow-private-network";
    let refused = home.flowhost(&["runs", "fork", parent, "--at", "b", key]);
    let told = refused.expect(1).all();
    assert!(told.contains(&format!("run {failed}")), "{told}");
    assert!(told.contains("took back `a`"), "{told}");
    let command = format!("`flowhost runs fork {failed} --at b` does it anew");
    assert!(told.contains(&command), "{told}");
    assert_eq!(begun(&home).as_array().unwrap().len(), 2);
    assert_eq!(server.paths().len(), 4);
    // At the step itself nothing of it is past.
    home.flowhost(&["runs", "fork", parent, "--at", "a", key])
        .expect(0);
    assert_eq!(server.paths()[4..], ["/a", "/b"]);
    home.flowhost(&["runs", "fork", failed, "--at", "b", key])
        .expect(0);
    assert_eq!(server.paths()[6..], ["/a", "/b"]);
    home.flowhost(&["verify", ".flowhost"]).expect(0);
}

#[test]
fn a_run_that_waits_does_not_go_on_behind_what_its_fork_took_back_and_can_be_cancelled() {
    let server = Counting::new();
    let steps = REVIEW.replace("POST:/a }", "POST:/a, compensate: { POST:/undo-a } }");
    let steps = steps.replace("POST:/b }", &format!("POST:/b, {WELL} }}"));
    let home = home(&server, &steps);
    let id = |ran: Ran| ran.json()["run_id"].as_str().unwrap().to_owned();
    let parent = id(home.flowhost(RUN).expect(9));
    let forked = id(fork(&home, &["--at", "review"]).expect(9));
    let key = "--allow-private-network";
    let approve = |run: &str| {
        home.flowhost(&["runs", "approve", run, "review", "--by", "ann"])
            .expect(0);
    };
    approve(&forked);
    server.fail("/b", true);
    home.flowhost(&["runs", "resume", &forked, key]).expect(4);
    assert_eq!(server.paths(), ["/a", "/b", "/undo-a"]);
    server.fail("/b", false);
    approve(&parent);
    let told = home.flowhost(&["runs", "resume", &parent, key]);
    let told = told.expect(1).all();
    assert!(told.contains("took back `a`"), "{told}");
    let command = format!("`flowhost runs fork {forked} --at review`");
    assert!(told.contains(&command), "{told}");
    assert_eq!(server.paths().len(), 3);
    home.flowhost(&["runs", "cancel", &parent, key]).expect(0);
    home.flowhost(&["verify", ".flowhost"]).expect(0);
}

#[test]
fn what_a_run_took_back_is_not_reused() {
    let home = super::home(
        &["ok_echo"],
        "  a: { uses: ok_echo/run, with: { n: 1 }, effects: idempotent, compensate: { uses: ok_echo/run, with: { n: 0 } } \
         }\n  b: { uses: ok_echo/run, with: { n: 2 }, effects: idempotent }\n  c: { needs: [a, b], uses: ok_echo/run, with: {}, \
         checks: [ { id: never, that: \"size(inputs.word) == 2\" } ] }",
    );
    let inputs = "inputs: { word: { type: string, default: hello } }\nplugins:";
    let text = home.read("plan.yaml").replacen("plugins:", inputs, 1);
    home.file("plan.yaml", text);
    home.flowhost(&["run", "plan.yaml"]).expect(4);
    let (_, steps) = reuses(&home, &["--input", "word=ok"]);
    assert_eq!(steps, ["b"]);
}

/// A folder with a plan whose steps compute, read a file, and ask a model by two agents.
fn incremental() -> Home {
    let home = Home::new();
    home.warm();
    home.guest("ok_echo");
    home.guest("ok_files");
    home.file("docs/a.md", "one\n");
    let reads = "[[files]]\nguest = \"/docs\"\nhost = \"docs\"\naccess = \"read\"\n";
    home.file(
        "policies/reads.toml",
        format!("version = 1\nname = \"reads\"\n{reads}"),
    );
    home.file(
        "flowhost.toml",
        "[models.providers.mock]\nkind = \"mock\"\nscripts = \"scripts\"\n",
    );
    home.file(
        "scripts/default.json",
        json!([{ "json": { "n": 4 } }]).to_string(),
    );
    home.file("plan.yaml", INCREMENTAL);
    home
}

#[test]
fn what_the_past_of_a_fork_cost_is_told_apart_from_what_the_fork_spent() {
    let home = incremental();
    let parent = home
        .flowhost(&["run", "plan.yaml", "--json"])
        .expect(0)
        .json();
    assert_eq!(parent["cost"]["before"], Value::Null, "it is nobody's fork");
    let tokens = parent["cost"]["tokens"].as_u64().unwrap();
    assert!(tokens > 0, "{parent:#}");
    // The models are asked before `last`, which asks none.
    let forked = fork(&home, &["--at", "last"]).expect(0).json();
    assert_eq!(forked["cost"]["tokens"], tokens, "{:#}", forked["cost"]);
    assert_eq!(forked["cost"]["before"]["tokens"], tokens);
    assert!(forked["cost"]["before"]["calls"].as_u64().unwrap() > 0);
    let shown = home.flowhost(&["runs", "show", "latest"]).expect(0).stdout;
    let told = format!("and {tokens} tokens of its cost were spent there");
    assert!(shown.contains(&told), "{shown}");
    let page = forked["evidence"]["report_html"].as_str().unwrap();
    let page = std::fs::read_to_string(home.path().join(page)).unwrap();
    assert!(page.contains("of it before the fork, by another run"));
}

const INCREMENTAL: &str = r#"flowhost: v1
kind: workflow
name: incremental
inputs: { word: { type: string, default: hello } }
plugins:
  ok_echo: { kind: tool, source: ./ok_echo.wasm, profile: deny-all }
  ok_files: { kind: tool, source: ./ok_files.wasm, profile: reads }
  agent: { kind: agent, source: "builtin:llm-agent", profile: agent-model, config: { role: counter, model: mock/a } }
defaults: { }
steps:
  say: { uses: ok_echo/run, with: { word: "${{ inputs.word }}" }, effects: idempotent }
  look: { uses: ok_files/run, with: { cases: [ { op: read, path: /docs/a.md } ] }, effects: idempotent }
  ask: { uses: agent, needs: [look], with: { seen: "${{ steps.look.output }}" }, effects: idempotent }
  last: { uses: ok_echo/run, needs: [ask], with: { asked: "${{ steps.ask.output }}" }, effects: once }
outputs: { asked: "${{ steps.ask.output }}" }
"#;

fn reuses(home: &Home, more: &[&str]) -> (Value, Vec<String>) {
    let all = ["run", "plan.yaml", "--json", "--reuse", "latest"];
    let report = home.flowhost(&[&all[..], more].concat()).expect(0).json();
    let from = report["reused"]["from"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let steps = from
        .iter()
        .map(|it| it["step"].as_str().unwrap().to_owned());
    let mut steps: Vec<String> = steps.collect();
    steps.sort();
    (report, steps)
}

#[test]
fn a_second_run_does_only_what_changed_and_says_what_it_saved() {
    let home = incremental();
    // Without an earlier run everything is done.
    let (first, none) = reuses(&home, &[]);
    assert_eq!((none.len(), first.get("reused")), (0, None), "{first:#}");
    let (second, steps) = reuses(&home, &[]);
    // What must not be lost is done again.
    assert_eq!(steps, ["ask", "look", "say"], "{second:#}");
    assert_eq!(second["outputs"], first["outputs"]);
    assert!(
        second["reused"]["saved_tokens"].as_u64().unwrap() > 0,
        "{second:#}"
    );
    assert_eq!(second["cost"]["tokens"], 0, "{second:#}");
    home.flowhost(&["verify", "latest"]).expect(0);
    replays(&home);
    // From a run that took them itself: they are those of the one that did the work.
    let (third, steps) = reuses(&home, &[]);
    assert_eq!(steps, ["ask", "look", "say"]);
    assert_eq!(
        third["reused"]["from"][0]["run"], first["run_id"],
        "{third:#}"
    );
    // Another input, and what was read is another: what follows from either is done.
    let (_, steps) = reuses(&home, &["--input", "word=other"]);
    assert_eq!(steps, ["ask", "look"]);
    home.file("docs/a.md", "two\n");
    let (_, steps) = reuses(&home, &["--input", "word=other"]);
    assert_eq!(steps, ["say"]);
    // Another seed is another question.
    let (_, steps) = reuses(&home, &["--input", "word=other", "--seed", "1"]);
    assert!(steps.is_empty(), "{steps:?}");
    let shown = home
        .flowhost(&[
            "run",
            "plan.yaml",
            "--reuse",
            "latest",
            "--input",
            "word=other",
        ])
        .expect(0);
    assert!(
        shown.stdout.contains("reused: 3 calls of run"),
        "{}",
        shown.all()
    );
}

#[test]
fn another_component_or_another_right_is_done_again_and_nothing_else() {
    let home = incremental();
    reuses(&home, &[]);
    // The same component with one more section that says nothing: another build.
    let file = home.path().join("ok_echo.wasm");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes.extend([0, 5, 4, b'n', b'e', b'x', b't']);
    std::fs::write(&file, bytes).unwrap();
    let (_, steps) = reuses(&home, &[]);
    assert_eq!(steps, ["ask", "look"]);
    let profile = home.read("policies/reads.toml") + "[limits]\nfuel = 400_000_000\n";
    home.file("policies/reads.toml", profile);
    let (_, steps) = reuses(&home, &[]);
    assert_eq!(
        steps,
        ["ask", "say"],
        "the answer was the same, and so is what follows from it"
    );
}

#[test]
fn what_changed_something_outside_or_asked_the_network_is_done_again() {
    let server = Counting::new();
    let steps = THREE.replace("POST:/a }", "POST:/a, effects: idempotent }");
    let home = home(&server, &steps);
    home.flowhost(RUN).expect(0);
    let again = [
        "run",
        "plan.yaml",
        "--allow-private-network",
        "--json",
        "--reuse",
        "latest",
    ];
    let report = home.flowhost(&again).expect(0).json();
    assert_eq!(report.get("reused"), None, "{report:#}");
    assert_eq!(server.paths().len(), 6);
    let told: Vec<&str> = again.into_iter().filter(|it| *it != "--json").collect();
    let told = home.flowhost(&told).expect(0);
    assert!(
        told.stderr.contains("note: no call of run"),
        "{}",
        told.all()
    );
    let gone = home
        .flowhost(&["run", "plan.yaml", "--reuse", "01AAAA"])
        .expect(1);
    assert!(
        gone.all().contains("no run is recorded as"),
        "{}",
        gone.all()
    );
}

#[test]
fn an_audit_after_one_changed_document_asks_the_model_about_that_one_alone() {
    let home = super::examples::example("docs-audit");
    let first = home
        .flowhost(&["run", "plan.yaml", "--json"])
        .expect(0)
        .json();
    let changed = home.read("sample/faq.md") + "\n";
    home.file("sample/faq.md", changed);
    let (second, taken) = reuses(&home, &[]);
    // Of a document that has not changed both are taken: what the agent said, and the guardrail's word on it.
    let audits = second["steps"].as_object().unwrap().keys();
    let audits = audits.filter(|path| path.starts_with("audit["));
    let asked = audits.filter(|path| taken.iter().filter(|it| it == path).count() < 2);
    assert_eq!(asked.count(), 1, "{taken:?}");
    assert_eq!(second["outputs"], first["outputs"]);
    let tokens = |report: &Value| report["cost"]["tokens"].as_u64().unwrap();
    let saved = second["reused"]["saved_tokens"].as_u64().unwrap();
    assert!(saved > 0 && tokens(&second) < tokens(&first), "{second:#}");
    replays(&home);
}
