//! `[[process]]`: what an operator may name, and what nobody else may.

use flowhost_policy::{Effective, Manifest, Narrowing, Position, Profile, effective};
use serde_json::json;

fn profile(lines: &str) -> Result<Profile, String> {
    let text = format!("version = 1\nname = \"p\"\n{lines}");
    Profile::parse(&text, "p.toml").map_err(|problems| {
        let told: Vec<String> = problems
            .iter()
            .map(|problem| format!("{}: {}", problem.line, problem.message))
            .collect();
        told.join("\n")
    })
}

const SERVER: &str = "[[process]]\ncommand = [\"node\", \"/server/index.js\"]\n";

fn rights(asks: &str, plan: serde_json::Value, caller: Option<&Effective>) -> Effective {
    let manifest = format!(
        "version = 1\nname = \"a\"\nkind = \"mcp-adapter\"\nrelease = \"0.1.0\"\n[needs]\n{asks}\n"
    );
    let manifest = Manifest::parse(&manifest, "plugin.toml").unwrap();
    let narrowing = Narrowing::from_json("a", &plan, "plan.yaml", Position::START).unwrap();
    effective(&manifest, &profile(SERVER).unwrap(), &narrowing, caller).0
}

#[test]
fn refuses_what_is_no_command_and_says_where() {
    for (lines, says) in [
        ("[[process]]\n", "`command` is missing"),
        ("[[process]]\ncommand = []\n", "names no program"),
        (
            "[[process]]\ncommand = [\"\"]\n",
            "the first word is the program",
        ),
        (
            "[[process]]\ncommand = [\"node server.js\"]\n",
            "no shell splits it",
        ),
        (
            "[[process]]\ncommand = [\"./server\"]\n",
            "absolute path as the process sees it",
        ),
        (
            "[[process]]\ncommand = [\"/server/../bin/sh\"]\n",
            "absolute path as the process sees it",
        ),
        (
            "[[process]]\ncommand = [\"node\", \"${inputs.x}\"]\n",
            "nothing is filled in",
        ),
        (
            "[[process]]\ncommand = [\"no\\u200bde\"]\n",
            "cannot be seen",
        ),
        (
            "[[process]]\ncommand = [\"a\"]\nsha256 = \"ABC\"\n",
            "not a SHA-256",
        ),
        (
            "[[process]]\ncommand = [\"a\"]\nfolder = \"docs\"\n",
            "not an absolute path",
        ),
        (
            "[[process]]\ncommand = [\"a\"]\nmemory = \"0B\"\n",
            "outside",
        ),
        (
            "[[process]]\ncommand = [\"a\"]\nwall = \"2d\"\n",
            "`process[0].wall`",
        ),
        (
            "[[process]]\ncommand = [\"a\"]\nshell = true\n",
            "unknown key `shell`",
        ),
        (
            "[[process]]\ncommand = [\"a\"]\n[[process]]\ncommand = [\"b\"]\n",
            "several `process` tables",
        ),
    ] {
        let told = profile(lines).expect_err(lines);
        assert!(told.contains(says), "{lines}{told}");
    }
}

#[test]
fn a_manifest_and_a_plan_may_ask_for_it_and_never_say_what_it_is() {
    assert_eq!(
        rights("process = \"granted\"", json!({}), None)
            .grants
            .process
            .len(),
        1
    );
    assert!(rights("", json!({}), None).grants.process.is_empty());
    let taken = json!({ "grants": { "process": [] } });
    assert!(
        rights("process = \"granted\"", taken, None)
            .grants
            .process
            .is_empty()
    );
    let own = json!({ "grants": { "process": [{ "command": ["sh"] }] } });
    let refused = Narrowing::from_json("a", &own, "plan.yaml", Position::START).unwrap_err();
    assert!(
        refused[0]
            .message
            .contains("only a profile says what is started")
    );
}

#[test]
fn a_caller_passes_on_the_same_program_or_none() {
    let same = rights("process = \"granted\"", json!({}), None);
    assert_eq!(
        rights("process = \"granted\"", json!({}), Some(&same))
            .grants
            .process
            .len(),
        1
    );
    let mut other = same;
    other.grants.process[0].command[1] = "/server/other.js".to_owned();
    assert!(
        rights("process = \"granted\"", json!({}), Some(&other))
            .grants
            .process
            .is_empty()
    );
}

#[test]
fn the_order_of_words_is_part_of_the_hash_and_a_profile_without_a_process_keeps_its_own() {
    let hash = |lines: &str| profile(lines).unwrap().hash();
    let one = hash("[[process]]\ncommand = [\"a\", \"x\", \"y\"]\n");
    assert_ne!(one, hash("[[process]]\ncommand = [\"a\", \"y\", \"x\"]\n"));
    assert_ne!(
        one,
        hash("[[process]]\ncommand = [\"a\", \"x\", \"y\"]\nmemory = \"1MiB\"\n")
    );
}

#[test]
fn no_other_kind_of_plugin_asks_for_a_process() {
    for kind in ["agent", "guardrail"] {
        let text = format!(
            "version = 1\nname = \"a\"\nkind = \"{kind}\"\nrelease = \"0.1.0\"\n[needs]\nprocess = \"granted\"\n"
        );
        let refused = Manifest::parse(&text, "plugin.toml").unwrap_err();
        assert!(
            refused.iter().any(|it| it.message.contains("mcp-adapter")),
            "{refused:?}"
        );
    }
}
