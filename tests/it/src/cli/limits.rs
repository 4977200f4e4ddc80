//! What a run may cost the host beside what budgets count, walked up to the limit and one over.

use serde_json::Value;

use super::home;
use crate::support::{Home, Ran};

/// One call that draws `times` KiB of recorded randomness.
fn draw(home: &Home, times: u32, evidence: &str) -> Ran {
    let profile = format!("[random]\nsource = \"os\"\n[limits]\nevidence = \"{evidence}\"\n");
    home.run_tool(
        "limit_random",
        &profile,
        &format!("{{ length: 1024, times: {times} }}"),
    )
}

fn evidence_of(ran: &Ran) -> u64 {
    let used = ran.json()["steps"]["only"]["used"]["evidence_bytes"].clone();
    used.as_u64().unwrap()
}

#[test]
fn a_call_leaves_evidence_up_to_its_limit_and_dies_one_byte_over() {
    let few = evidence_of(&draw(&Home::new(), 20, "1MiB"));
    let used = evidence_of(&draw(&Home::new(), 30, "1MiB"));
    // 1,368 characters of base64 and the rest of a record, each time.
    assert!(
        (10 * 1_368..10 * 3_000).contains(&(used - few)),
        "{few} {used}"
    );

    let full = draw(&Home::new(), 30, &format!("{used}B")).expect(0);
    assert_eq!(evidence_of(&full), used);
    let home = Home::new();
    let over = draw(&home, 30, &format!("{}B", used - 1)).expect(7);
    let error = over.json()["steps"]["only"]["error"].to_string();
    let told = format!(
        "the limit `evidence` was reached: used {used}, allowed {}",
        used - 1
    );
    assert!(error.contains(&told), "{error}");
    let kinds: Vec<Value> = home.records().iter().map(|it| it["kind"].clone()).collect();
    for own in ["tool.result", "step.end", "run.end"] {
        assert!(
            kinds.iter().any(|kind| kind == own),
            "the run's own records fit: {own}"
        );
    }
}

#[test]
fn a_plan_narrows_the_evidence_of_a_plugin() {
    let home = Home::new();
    draw(&home, 100, "1MiB").expect(0);
    let narrow = "profile: under-test, narrow: { limits: { evidence: 32KiB } } }";
    let plan = home
        .read("plan.yaml")
        .replace("profile: under-test }", narrow);
    home.file("plan.yaml", plan);
    let ran = home.flowhost(&["run", "plan.yaml"]).expect(7);
    assert!(ran.all().contains("`evidence`"), "{}", ran.all());
}

#[test]
fn a_component_that_traps_on_every_call_is_not_called_for_ever() {
    let items: Vec<String> = (0..104).map(|n| n.to_string()).collect();
    let steps = format!(
        "  each:\n    foreach: {{ items: [{}], as: n, max_parallel: 1, fail_fast: false }}\n    \
         uses: fault_panic/run\n    with: {{ n: \"${{{{ n }}}}\" }}\n    retry: {{ max_attempts: 1 }}",
        items.join(", ")
    );
    let home = home(&["fault_panic"], &steps);
    let report = home.flowhost(&["run", "plan.yaml", "--json"]).json();
    let items = report["steps"].as_object().unwrap();
    let with = |words: &str| {
        let says = |step: &&Value| step["error"].as_str().is_some_and(|it| it.contains(words));
        items.values().filter(says).count()
    };
    assert!(with("trapped") >= 100, "{report:#}");
    assert!(
        with("the limit `traps` was reached: used 101, allowed 100") >= 4,
        "{report:#}"
    );
}

/// Plans within plans of which nothing ever calls a plugin: a hundred million steps of the planner's own work, in
/// one turn of it.
fn nested(timeout: &str) -> Home {
    let home = Home::new();
    home.warm();
    let each = |name: &str, head: &str, next: &str| {
        format!(
            "flowhost: v1\nkind: workflow\nname: {name}\n{head}steps:\n  all:\n    foreach: {{ items: \"${{{{ \
             range(10000) }}}}\", fail_fast: false }}\n    uses: plan:{next}.yaml\n"
        )
    };
    home.file(
        "plan.yaml",
        each("outer", &format!("timeout: {timeout}\n"), "middle"),
    );
    home.file("middle.yaml", each("middle", "", "inner"));
    home.file(
        "inner.yaml",
        "flowhost: v1\nkind: workflow\nname: inner\nplugins:\n  md: { kind: tool, source: builtin:markdown, profile: \
         deny-all }\nsteps:\n  one: { when: \"${{ false }}\", uses: md/headings, with: { text: x } }\n",
    );
    home
}

#[test]
fn a_plan_that_calls_nothing_hears_its_timeout() {
    // Were it not heard, the run would go on for hours.
    let home = nested("2s");
    let ran = home
        .flowhost(&["run", "plan.yaml", "--json"])
        .expect(7)
        .json();
    assert_eq!(ran["status"], "limit", "{ran:#}");
    let error = ran["error"].to_string();
    assert!(error.contains("longer than its"), "{error}");
    home.flowhost(&["verify", "latest"]).expect(0);
}
