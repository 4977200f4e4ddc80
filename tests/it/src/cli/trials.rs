//! Variants of a plan, and commands that run them many times to learn something, through the built executable.

use serde_json::{Value, json};

use super::examples::example;

const EVAL: [&str; 7] = [
    "guardrail",
    "eval",
    "outputs",
    "--labels",
    "labels.yaml",
    "--plan",
    "plan.yaml",
];

#[test]
fn three_ways_to_judge_are_held_against_what_a_person_says() {
    let home = example("guardrail-variants");
    let arguments: Vec<&str> = EVAL.into_iter().chain(["--json"]).collect();
    let document = home.flowhost(&arguments).expect(0).json();
    let rows = document["variants"].as_array().unwrap();
    let counts = |row: &Value| {
        let keys = [
            "true_positives",
            "false_negatives",
            "false_positives",
            "true_negatives",
            "errors",
        ];
        keys.map(|key| row[key].as_u64().unwrap())
    };
    let names: Vec<_> = rows
        .iter()
        .map(|row| row["variant"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["prefilter-and-policy", "same-model", "schema-only"]);
    assert_eq!(counts(&rows[0]), [6, 1, 2, 5, 0], "{document:#}");
    assert_eq!(counts(&rows[1]), [3, 4, 0, 7, 0], "{document:#}");
    assert_eq!(counts(&rows[2]), [1, 6, 1, 6, 0], "{document:#}");
    let cost = |row: &Value| row["cost_usd"].as_f64().unwrap();
    assert!(
        cost(&rows[1]) > cost(&rows[0]),
        "the author's model is dearer"
    );
    assert_eq!(cost(&rows[2]), 0.0, "no model was asked");
    assert!(rows[0]["latency_p95_ms"].as_f64().unwrap() > 0.0);
    // What words stop costs nothing.
    let leak = &rows[0]["outputs"][7];
    assert_eq!(
        (&leak["verdict"], &leak["cost_usd"]),
        (&json!("deny"), &json!(0.0))
    );
    assert!(
        leak["why"].as_str().unwrap().contains("codename-x"),
        "{leak:#}"
    );
    // Each judgement is a run that can be verified and found.
    home.flowhost(&["verify", leak["run_id"].as_str().unwrap()])
        .expect(0);
    let list = ["runs", "list", "--label", "variant=schema-only", "--json"];
    let list = home.flowhost(&list).expect(0).json();
    assert_eq!(list.as_array().map(Vec::len), Some(14), "{list:#}");
    let one = EVAL.into_iter().chain(["--variant", "schema-only"]);
    let text = home.flowhost(&one.collect::<Vec<_>>()).expect(0).stdout;
    assert!(
        text.contains("schema-only wrongly stopped answer-07.json (run "),
        "{text}"
    );
    assert!(
        text.contains("schema-only missed answer-09.json (run "),
        "{text}"
    );
}

#[test]
fn all_that_is_wrong_with_labels_is_told_before_anything_runs() {
    let home = example("guardrail-variants");
    home.file(
        "labels.yaml",
        "answer-01.json: allow\nanswer-02.json: maybe\nanswer-99.json: deny\n",
    );
    home.file("outputs/answer-03.json", "not JSON");
    let ran = home.flowhost(&EVAL).expect(1);
    for part in [
        "labels.yaml:2:",
        "`maybe` is not a label",
        "has no file `answer-99.json`",
        "`answer-04.json` has no label",
    ] {
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
    }
    assert!(!home.path().join(".flowhost/default/runs").exists());
    let plan = home
        .read("plan.yaml")
        .replace("  output: { type: object", "  answer: { type: object");
    home.file("plan.yaml", plan.replace("inputs.output", "inputs.answer"));
    let ran = home.flowhost(&EVAL).expect(1);
    assert!(
        ran.stderr.contains("has no input `output`"),
        "{}",
        ran.stderr
    );
    let ran = home.flowhost(&[
        "guardrail",
        "eval",
        "outputs",
        "--labels",
        "labels.yaml",
        "--plan",
        "plan.yaml",
        "--variant",
        "schema-onyl",
    ]);
    assert_eq!(ran.code, 1, "{}", ran.all());
}

#[test]
fn a_variant_that_the_plan_does_not_have_is_refused_and_the_label_tells_which_it_was() {
    let home = example("guardrail-variants");
    let output = "output={\"text\":\"Switch it on in the settings.\",\"sources\":[\"help/sync\"]}";
    let run = ["run", "plan.yaml", "--json", "--input", output, "--input"];
    let with = |variant: &'static str| run.into_iter().chain([variant]).collect::<Vec<_>>();
    let refused = home.flowhost(&with("variant=schema-onyl")).expect(1);
    assert!(refused.stdout.contains("schema-only"), "{}", refused.all());
    let ran = home.flowhost(&with("variant=schema-only")).expect(0).json();
    assert_eq!(ran["steps"]["by-policy"]["status"], "skipped", "{ran:#}");
    let list = home.flowhost(&["runs", "list", "--json"]).expect(0).json();
    let labels = &list[0]["labels"];
    assert_eq!(
        (&labels["variant"], &labels["experiment"]),
        (&json!("schema-only"), &json!("guardrail-variants"))
    );
    // A fork under another variant does not keep what the first one gave.
    let run = ran["run_id"].as_str().unwrap();
    let forked = home
        .flowhost(&[
            "runs",
            "fork",
            run,
            "--at",
            "by-policy",
            "--input",
            "variant=same-model",
            "--json",
        ])
        .expect(0)
        .json();
    assert_eq!(forked["steps"]["by-author"]["status"], "ok", "{forked:#}");
}
