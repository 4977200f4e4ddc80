//! Consensus steps through the built executable: three shipped agents with scripted answers, and what a
//! conflict, an absence and a decision leave behind.

use serde_json::{Value, json};

use crate::support::{Home, Ran};

const PLAN: &str = r#"flowhost: v1
kind: workflow
name: three-answers
plugins:
  a: { kind: agent, source: "builtin:llm-agent", profile: agent-model, config: { role: researcher, model: mock/a } }
  b: { kind: agent, source: "builtin:llm-agent", profile: agent-model, config: { role: critic, model: mock/b } }
  c: { kind: agent, source: "builtin:llm-agent", profile: agent-model, config: { role: arbiter, model: mock/c } }
steps:
  ask:
    stage: plan
    with: { question: how many }
    retry: { max_attempts: 2, backoff: { initial: 1ms }, retry_on: [transient, failed, output] }
    consensus: { agents: [a, b, c], mode: MODE, arbiter: c, min_participation: 2, compare: [{ at: /n, by: equal }], LISTS }
    output: { schema: { type: object, required: [n], additionalProperties: false, properties: { n: { type: integer } } } }
    checks: [{ id: ok, that: "consensus.ok && size(consensus.conflicts) == 0" }]
outputs: { n: "${{ steps.ask.output.n }}", ratio: "${{ steps.ask.consensus.agreement_ratio }}" }
"#;

const SYNTHESIS: &str = "You are the arbiter. Do not do the task anew";
const DECISION: &str = "What is to be decided";

/// A folder with the plan and three models that say these numbers; the arbiter agrees, or decides for `a`.
fn home(mode: &str, lists: &str, says: [Value; 3]) -> Home {
    let home = Home::new();
    home.warm();
    let plan = PLAN.replace("MODE", mode).replace("LISTS", lists);
    home.file("plan.yaml", plan);
    home.file(
        "flowhost.toml",
        "[models.providers.mock]\nkind = \"mock\"\nscripts = \"scripts\"\n",
    );
    let [a, b, c] = says;
    home.file("scripts/plan/a.json", json!([a]).to_string());
    home.file("scripts/plan/b.json", json!([b]).to_string());
    let output = json!({ "n": 4 });
    let synthesis = json!({ "agreements": ["the unit"], "conflicts": [], "output": output });
    let decision =
        json!({ "conflict": "c1", "resolution": "four", "sided_with": "a", "reason": "counted" });
    let decided = json!({ "decisions": [decision], "sufficient": false, "output": output });
    let script = json!([
        { "when": { "mentions": SYNTHESIS }, "json": synthesis },
        { "when": { "mentions": DECISION }, "json": decided },
        c,
    ]);
    home.file("scripts/plan/c.json", script.to_string());
    home
}

fn says(n: u64) -> Value {
    json!({ "json": { "n": n } })
}

fn run(home: &Home, seed: &str) -> Ran {
    home.flowhost(&["run", "plan.yaml", "--json", "--seed", seed])
}

fn rulings(home: &Home) -> Vec<Value> {
    let records = home.records();
    records
        .into_iter()
        .filter(|record| record["kind"] == "consensus")
        .collect()
}

#[test]
fn a_conflict_ends_with_2_and_an_absence_with_3() {
    let conflict = home(
        "parallel",
        "on_conflict: [halt]",
        [says(4), says(5), says(4)],
    );
    let ran = run(&conflict, "1").expect(2);
    let report = ran.json();
    assert_eq!(report["status"], "conflict", "{report:#}");
    assert_eq!(report["error"]["class"], "contradiction");
    let positions = &report["steps"]["ask"]["consensus"]["conflicts"][0]["positions"];
    assert_eq!(positions, &json!({ "a": "4", "b": "5", "c": "4" }));
    let failing = json!({ "error": { "class": "refused", "message": "out of order" } });
    let absent = home(
        "parallel",
        "on_degraded: [retry, halt]",
        [says(4), failing, says(4)],
    );
    let ran = run(&absent, "1").expect(3);
    let report = ran.json();
    assert_eq!(report["status"], "degraded", "{report:#}");
    assert_eq!(
        report["steps"]["ask"]["consensus"]["missing_agents"],
        json!(["b"])
    );
    let rulings = rulings(&absent);
    assert_eq!(rulings.len(), 2, "one recovery");
    assert_eq!(rulings[1]["round"], "2");
    absent.flowhost(&["verify", "latest"]).expect(0);
}

#[test]
fn ten_seeds_give_the_same_verdict_and_its_hash_stands_in_the_record() {
    let home = home(
        "parallel",
        "on_conflict: [halt]",
        [says(4), says(4), says(4)],
    );
    let mut verdicts = std::collections::BTreeSet::new();
    for seed in 1..=10 {
        let report = run(&home, &seed.to_string()).expect(0).json();
        let outputs = json!({ "n": 4, "ratio": 1.0 });
        assert_eq!(report["outputs"], outputs, "{report:#}");
        verdicts.insert(report["steps"]["ask"]["consensus"].to_string());
    }
    let rulings = rulings(&home);
    let hash = rulings[0]["verdict"].as_str().unwrap();
    assert_eq!((rulings.len(), hash.len()), (1, 64));
    assert_eq!(verdicts.len(), 1, "{verdicts:?}");
}

#[test]
fn the_arbiter_decides_and_the_report_shows_it() {
    let lists = "on_conflict: [arbiter, halt], min_agreement: 0.5";
    let home = home("relay", lists, [says(4), says(5), says(4)]);
    let report = run(&home, "1").expect(0).json();
    let verdict = &report["steps"]["ask"]["consensus"];
    assert_eq!(verdict["conflicts"], json!([]), "{report:#}");
    assert_eq!(verdict["conflicts_resolved"][0]["sided_with"], "a");
    assert_eq!(verdict["agents"][1]["arbiter_override"], true);
    assert_eq!(
        verdict["agents"][2]["arbiter_override"], false,
        "it says the same as `a`"
    );
    assert_eq!(verdict["agreement_ratio"], 0.5);
    let page = home
        .flowhost(&["runs", "report", "latest"])
        .expect(0)
        .stdout;
    assert!(
        page.contains("Consensus by step and round"),
        "the page has the table"
    );
    let shown = home.flowhost(&["runs", "show", "latest"]).expect(0).stdout;
    assert!(shown.contains("consensus"), "{shown}");
}

#[test]
fn an_answer_that_is_text_or_half_a_document_does_not_count() {
    for answer in [
        json!({ "content": "I would say four." }),
        json!({ "content": "{\"n\": 4" }),
    ] {
        let home = home(
            "parallel",
            "on_degraded: [accept]",
            [says(4), answer, says(4)],
        );
        let ran = run(&home, "1").expect(4);
        let verdict = &ran.json()["steps"]["ask"]["consensus"];
        assert_eq!(
            verdict["status"], "degraded",
            "accepted, and the check still sees that it is not ok"
        );
        assert_eq!(verdict["agents"][1]["status"], "failed");
        assert_eq!(verdict["accepted_by"], "plan");
    }
}
