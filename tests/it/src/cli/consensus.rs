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
fn the_last_lines_of_a_run_say_how_its_consensus_stands() {
    let last = |ran: &Ran| -> String {
        let lines: Vec<&str> = ran.stdout.lines().collect();
        lines[lines.len() - 5..].join("\n")
    };
    let agree = home(
        "parallel",
        "on_conflict: [halt]",
        [says(4), says(4), says(4)],
    );
    let ran = agree.flowhost(&["run", "plan.yaml"]).expect(0);
    let line = "consensus_ok: 1 of 1 step, 0 conflicts\n";
    assert!(last(&ran).contains(line), "{}", ran.all());
    let differ = home(
        "parallel",
        "on_conflict: [halt]",
        [says(4), says(5), says(4)],
    );
    let ran = differ.flowhost(&["run", "plan.yaml"]).expect(2);
    let line = "consensus_ok: 0 of 1 step, 1 conflict; not ok: ask (conflict)\n";
    assert!(last(&ran).contains(line), "{}", ran.all());
}

#[test]
fn a_step_of_several_agents_is_shown_with_who_answered_what_before_its_records() {
    let failing = json!({ "error": { "class": "refused", "message": "out of order" } });
    let home = home(
        "parallel",
        "on_degraded: [retry, halt]",
        [says(4), failing, says(4)],
    );
    run(&home, "1").expect(3);
    let shown = home.flowhost(&["runs", "show", "latest", "--step", "ask"]);
    let shown = shown.expect(0).stdout;
    let (table, rest) = shown.split_once("\n\n").unwrap();
    let rows: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        rows[0],
        [
            "agent", "try", "model", "status", "tokens", "answer", "file"
        ],
        "{shown}"
    );
    let row = |agent: &str, asked: &str| {
        let mut rows = rows.iter();
        let row = rows.find(|row| row[0] == agent && row[1] == asked);
        row.cloned().unwrap()
    };
    for (agent, model) in [("a", "mock/a"), ("c", "mock/c")] {
        let row = row(agent, "1");
        assert_eq!(row[2..4], [model, "ok"], "{shown}");
        assert!(row[4].parse::<u64>().unwrap() > 0, "{shown}");
        let whole = ["runs", "show", "latest", "--payload", row[5], "--json"];
        let whole = home.flowhost(&whole).expect(0).json();
        assert_eq!(whole["payload"], json!({ "n": 4 }), "{whole:#}");
    }
    // It was asked twice, and what it used nobody counted.
    for asked in ["1", "2"] {
        let row = row("b", asked);
        assert_eq!(row[2..4], ["mock/b", "failed"], "{shown}");
        assert!(row[4].parse::<u64>().is_ok(), "no tokens: {shown}");
    }
    // Of what the arbiter put together twice, the second counts.
    let first = row("c-arbiter", "1");
    assert_eq!(first[3..7], ["ok,", "does", "not", "count"], "{shown}");
    assert_eq!(row("c-arbiter", "2")[3], "ok", "{shown}");
    assert!(rest.contains("the first one whole: flowhost runs show "));
    assert!(rest.contains("output of record"), "the records: {shown}");
    // Who asks for some records gets those alone.
    let some = [
        "runs",
        "show",
        "latest",
        "--step",
        "ask",
        "--kind",
        "consensus",
    ];
    let some = home.flowhost(&some);
    assert!(!some.expect(0).stdout.contains("mock/a"));
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

const TWICE: &str = r#"flowhost: v1
kind: workflow
name: asked-twice
plugins:
  a: { kind: agent, source: "builtin:llm-agent", profile: agent-model, config: { role: researcher, model: mock/a } }
  b: { kind: agent, source: "builtin:llm-agent", profile: agent-model, config: { role: critic, model: mock/b } }
budget: { tokens: TOKENS }
steps:
  ask:
    stage: plan
    with: { question: how many }
    consensus: { agents: [a, b], mode: MODE, rule: unanimous, on_conflict: [retry, halt], on_no_consensus: [halt], on_degraded: [halt] }
    output: { schema: { type: object, required: [n], additionalProperties: false, properties: { n: { type: integer } } } }
"#;

/// What one answer of each agent costs, in tokens: prompt and answer.
const COSTS: [(&str, u64, u64); 2] = [("a", 31, 7), ("b", 33, 9)];
/// Both agents in two rounds.
const SPENT: u64 = 2 * (31 + 7 + 33 + 9);

/// A folder in which the two never agree, so that a second round asks the same two again in one step.
fn asked_twice() -> Home {
    let home = Home::new();
    home.warm();
    home.file(
        "flowhost.toml",
        "[models.providers.mock]\nkind = \"mock\"\nscripts = \"scripts\"\n",
    );
    for (n, (agent, prompt, answer)) in COSTS.into_iter().enumerate() {
        let usage = json!({ "prompt_tokens": prompt, "completion_tokens": answer });
        let script = json!([{ "json": { "n": n }, "usage": usage }]);
        home.file(&format!("scripts/plan/{agent}.json"), script.to_string());
    }
    home
}

fn run_twice(home: &Home, mode: &str, tokens: u64) -> Value {
    let plan = TWICE
        .replace("MODE", mode)
        .replace("TOKENS", &tokens.to_string());
    home.file("plan.yaml", plan);
    // The records are those of the only run, and no estimate is made from the runs before.
    let before = home.path().join(".flowhost/default");
    if before.exists() {
        std::fs::remove_dir_all(before).unwrap();
    }
    run(home, "1").json()
}

/// Tokens by call, from the records of the run.
fn spent_by_call(home: &Home) -> std::collections::BTreeMap<String, u64> {
    let mut spent = std::collections::BTreeMap::new();
    for record in home.records() {
        if record["kind"] == "model.result" && record["status"] == "ok" {
            let number = |key: &str| record[key].as_str().unwrap().parse::<u64>().unwrap();
            let tokens = number("prompt_tokens") + number("completion_tokens");
            let call = record["call"].as_str().unwrap().to_owned();
            *spent.entry(call).or_default() += tokens;
        }
    }
    spent
}

/// How much more the call that wants the most would have needed; 0 when none was refused.
fn short_of(report: &Value) -> u64 {
    let text = report.to_string();
    // "asks for 7 tokens (…), 1 tokens are spent and 2 tokens held by calls at work, 9 tokens are allowed"
    let refused = text.split("it asks for ").skip(1).map(|rest| {
        let rest = rest.split_once(" tokens are allowed").unwrap().0;
        let numbers = rest.split([' ', '(', ')']).filter_map(|it| it.parse().ok());
        let numbers: Vec<u64> = numbers.collect();
        let [asked, spent, held, allowed] = numbers[..] else {
            panic!("four amounts: {rest}");
        };
        asked + spent + held - allowed
    });
    refused.max().unwrap_or(0)
}

#[test]
fn the_same_two_agents_twice_in_one_step_are_four_calls_with_their_own_costs() {
    for mode in ["parallel", "relay"] {
        let home = asked_twice();
        let report = run_twice(&home, mode, 1_000_000);
        assert_eq!(report["exit_code"], 2, "{report:#}");
        let step = &report["steps"]["ask"];
        assert_eq!(step["consensus"]["round"], 2, "{report:#}");
        assert_eq!(step["used"]["calls"], 4, "{report:#}");
        assert_eq!(step["used"]["tokens"], SPENT, "{report:#}");
        assert_eq!(report["cost"]["tokens"], SPENT, "{report:#}");
        let mut costs: Vec<u64> = spent_by_call(&home).into_values().collect();
        costs.sort_unstable();
        assert_eq!(costs, [38, 38, 42, 42], "each call is billed once");
    }
}

/// One after the other, so that what a call may take is what the others left. The budget is raised by
/// what a refused call was short of, until none is: that one is exact.
#[test]
fn the_same_two_agents_twice_in_one_step_fit_an_exact_budget_and_no_smaller_one() {
    let home = asked_twice();
    // Room for one call as it is estimated: with less the run is refused before it begins.
    let mut tokens = 1_300;
    let exact = loop {
        let report = run_twice(&home, "relay", tokens);
        assert!(tokens < 10_000, "it grows and grows: {report:#}");
        match short_of(&report) {
            0 => break report,
            more => tokens += more,
        }
    };
    assert_eq!(exact["steps"]["ask"]["used"]["tokens"], SPENT, "{exact:#}");
    assert_eq!(spent_by_call(&home).len(), 4);
    let short = run_twice(&home, "relay", tokens - 1);
    assert_eq!(short_of(&short), 1, "{short:#}");
    let verdict = &short["steps"]["ask"]["consensus"];
    assert_eq!(verdict["round"], 2, "{short:#}");
    assert_eq!(verdict["missing_agents"], json!(["b"]), "{short:#}");
    // The last of the four calls is the one that did not fit, and it costs nothing.
    let last = COSTS[1].1 + COSTS[1].2;
    assert_eq!(short["steps"]["ask"]["used"]["tokens"], SPENT - last);
    assert_eq!(spent_by_call(&home).len(), 3);
}
