//! `examples/quality-gates` through the built executable: what applies itself, what the arbiter settles, and what waits
//! for a person.

use serde_json::{Value, json};

use super::again::replays;
use super::examples::example;
use crate::support::{Home, Ran};

fn run(home: &Home) -> Ran {
    home.flowhost(&["run", "plan.yaml", "--json", "--seed", "7"])
}

fn resume(home: &Home) -> Ran {
    home.flowhost(&["runs", "resume", "latest", "--json"])
}

/// Who settles each issue of the stage.
fn rulings(report: &Value, step: &str) -> Value {
    let issues = report["steps"][step]["consensus"]["issues"]
        .as_array()
        .unwrap();
    let all = issues
        .iter()
        .map(|it| (it["id"].as_str().unwrap().to_owned(), it["ruling"].clone()));
    all.collect::<serde_json::Map<String, Value>>().into()
}

#[test]
fn a_gate_lets_pass_what_all_say_asks_the_arbiter_about_most_and_a_person_about_the_rest() {
    let home = example("quality-gates");
    let waits = run(&home).expect(9).json();
    assert_eq!(
        rulings(&waits, "clarify"),
        json!({ "order-of-changes": "all", "closed-accounts": "arbiter", "shared-devices": "person" }),
        "{waits:#}"
    );
    assert_eq!(
        rulings(&waits, "checklist"),
        json!({ "measure-of-delivery": "all" })
    );
    assert!(
        waits["steps"].get("plan").is_none(),
        "nothing is planned before: {waits:#}"
    );
    let shown = home.flowhost(&["runs", "show", "latest"]).expect(0).stdout;
    for words in [
        "waiting (exit 9)",
        "waits for approval at `questions`",
        "flowhost runs resume",
    ] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    assert!(!shown.contains("unfinished"), "its table too: {shown}");
    let page = home
        .flowhost(&["runs", "report", "latest"])
        .expect(0)
        .stdout;
    for words in [
        "<span class=\"pill calm\">waiting</span>",
        "The run waits, and goes on when somebody says so.",
        "waits for approval at `questions`",
        " questions --by NAME   (or reject)",
        "flowhost runs resume 0",
    ] {
        assert!(page.contains(words), "{words}");
    }
    for words in [">unfinished<", "it was killed"] {
        assert!(!page.contains(words), "{words}");
    }
    let gate = ["runs", "show", "latest", "--step", "questions"];
    let gate = home.flowhost(&gate).expect(0).stdout;
    for words in [
        "what `clarify` gave:",
        "  shared-devices: Is a device",
        "--by NAME (or reject)",
    ] {
        assert!(gate.contains(words), "{words}: {gate}");
    }
    let synthesis = home.read("evidence/consensus/GATES-1/spec-clarify_synthesis.json");
    let synthesis: Value = serde_json::from_str(&synthesis).unwrap();
    assert_eq!(synthesis["status"], "ok", "{synthesis:#}");
    assert_eq!(synthesis["output"]["open"][0]["id"], "shared-devices");
    assert_eq!(synthesis["output"]["applied"].as_array().unwrap().len(), 2);
    let approve = [
        "runs",
        "approve",
        "latest",
        "questions",
        "--by",
        "ann",
        "--note",
        "two sets",
    ];
    home.flowhost(&approve).expect(0);
    let shown = home.flowhost(&["runs", "show", "latest", "--json"]);
    let shown = shown.expect(0).json();
    let (run, next) = (&shown["run"], "flowhost runs resume");
    assert_eq!(run["status"], "waiting");
    assert_eq!(run["next"].as_array().map(Vec::len), Some(1), "{run:#}");
    assert!(
        run["next"][0].as_str().unwrap().starts_with(next),
        "{run:#}"
    );
    let done = resume(&home).expect(0).json();
    assert_eq!(
        done["steps"]["findings"]["status"], "skipped",
        "nothing was found: {done:#}"
    );
    assert_eq!(
        done["outputs"]["applied"],
        json!(["closed-accounts", "order-of-changes", "measure-of-delivery"])
    );
    assert_eq!(done["outputs"]["asked"], json!(["shared-devices"]));
    home.flowhost(&["telemetry", "validate", "evidence"])
        .expect(0);
    home.flowhost(&["verify", "latest"]).expect(0);
    replays(&home);
}

#[test]
fn a_gate_that_is_rejected_ends_the_run_with_4_and_an_arbiter_that_fails_settles_nothing() {
    let home = example("quality-gates");
    let script: Value = serde_json::from_str(&home.read("scripts/clarify/gpt_pro.json")).unwrap();
    let error = json!({ "class": "refused", "message": "out of order" });
    let fails = json!([{ "when": script[0]["when"], "error": error }, script[1]]);
    home.file("scripts/clarify/gpt_pro.json", fails.to_string());
    let waits = run(&home).expect(9).json();
    assert_eq!(
        rulings(&waits, "clarify")["closed-accounts"],
        "person",
        "{waits:#}"
    );
    let no = ["runs", "reject", "latest", "questions", "--by", "ann"];
    let said = home.flowhost(&no).expect(0);
    assert!(!said.stderr.contains("goes on"), "{}", said.all());
    for words in ["rejected `questions`", "runs resume", "exit code 4"] {
        assert!(said.stderr.contains(words), "{words}: {}", said.all());
    }
    // The word is on record; the run ends when it hears it.
    let shown = home.flowhost(&["runs", "show", "latest", "--json"]);
    assert_eq!(shown.expect(0).json()["run"]["status"], "waiting");
    let ended = resume(&home).expect(4).json();
    assert_eq!(ended["error"]["class"], "rejected", "{ended:#}");
}

#[test]
fn of_two_agents_that_answer_nothing_applies_itself() {
    let home = example("quality-gates");
    let failing = json!([{ "error": { "class": "refused", "message": "out of order" } }]);
    home.file("scripts/checklist/gemini.json", failing.to_string());
    let waits = run(&home).expect(9).json();
    let issue = &waits["steps"]["checklist"]["consensus"]["issues"][0];
    // Two of three: the arbiter's, who was written no answer for this.
    assert_eq!(
        (&issue["agreeing"], &issue["expected"]),
        (&json!(2), &json!(3)),
        "{waits:#}"
    );
    assert_eq!(issue["ruling"], "person");
    let warnings = waits["warnings"].to_string();
    assert!(
        warnings.contains("a degraded consensus was accepted"),
        "{warnings}"
    );
}

#[test]
fn commands_that_are_printed_name_the_state_that_the_run_was_given() {
    let home = example("quality-gates");
    let kept = |words: &[&str]| home.flowhost(&[&["--state", "kept"], words].concat());
    let waits = kept(&["run", "plan.yaml", "--seed", "7"]).expect(9);
    let shown = kept(&["runs", "show", "latest", "--json"]).expect(0).json();
    let run = shown["run_id"].as_str().unwrap();
    let approve = format!("flowhost --state kept runs approve {run} questions --by NAME");
    let resume = format!("flowhost --state kept runs resume {run}");
    let check = format!("check it with: flowhost --state kept verify {run}");
    // Hints are broken into lines.
    let words: Vec<&str> = waits.stderr.split_whitespace().collect();
    let told = words.join(" ");
    for command in [&approve, &resume] {
        assert!(
            told.contains(command.as_str()),
            "{command}: {}",
            waits.all()
        );
    }
    assert!(waits.stdout.contains(&check), "{}", waits.all());
    // And to whoever reads the document; the one that is kept names no folder.
    let again = kept(&["runs", "resume", "latest", "--json"])
        .expect(9)
        .json();
    let hint = again["error"]["hint"].as_str().unwrap();
    for command in [&approve, &resume] {
        assert!(hint.contains(command.as_str()), "{command}: {hint}");
    }
    let report = home.read(&format!("kept/default/runs/{run}/report.json"));
    assert!(!report.contains("--state"), "{report}");
    assert_eq!(shown["run"]["next"][1], json!(resume), "{shown:#}");
    let lost = kept(&["runs", "show", "01ZZZZ"]).expect(1);
    let lists = "`flowhost --state kept runs list` shows them";
    assert!(lost.stderr.contains(lists), "{}", lost.all());
}
