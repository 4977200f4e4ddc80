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
    // Too short for the schema, and fine with the model that wrote it.
    let output = "output={\"text\":\"Yes.\",\"sources\":[\"help/sync\"]}";
    let run = ["run", "plan.yaml", "--json", "--input", output, "--input"];
    let with = |variant: &'static str| run.into_iter().chain([variant]).collect::<Vec<_>>();
    let refused = home.flowhost(&with("variant=schema-onyl")).expect(1);
    assert!(refused.stdout.contains("schema-only"), "{}", refused.all());
    let ran = home.flowhost(&with("variant=same-model")).expect(0).json();
    assert_eq!(ran["steps"]["by-policy"]["status"], "skipped", "{ran:#}");
    let list = home.flowhost(&["runs", "list", "--json"]).expect(0).json();
    let labels = &list[0]["labels"];
    assert_eq!(
        (&labels["variant"], &labels["experiment"]),
        (&json!("same-model"), &json!("guardrail-variants"))
    );
    // A fork under another variant does not keep what the first one gave.
    let run = ran["run_id"].as_str().unwrap();
    let fork = |variant: &str| {
        let variant = format!("variant={variant}");
        home.flowhost(&[
            "runs", "fork", run, "--at", "hand-out", "--input", &variant, "--json",
        ])
    };
    fork("same-model").expect(0);
    let forked = fork("schema-only").expect(4);
    assert!(
        forked.stdout.contains("the guardrail `form` denies"),
        "{}",
        forked.all()
    );
}

#[test]
fn variants_are_run_in_turns_read_blind_and_held_beside_each_other() {
    let home = example("spec-kit-900");
    let ran = home
        .flowhost(&["experiment", "run", "plan.yaml", "--json"])
        .expect(0)
        .json();
    let turns = ran["runs"].as_array().unwrap();
    let names: Vec<_> = turns
        .iter()
        .map(|it| it["variant"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["adaptive", "always-full"], "{ran:#}");
    let sheet = [
        "experiment",
        "sheet",
        "--out",
        "reader",
        "--key",
        "key.json",
        "--seed",
        "s",
        "--stage",
        "unlock",
    ];
    let refused = home.flowhost(&sheet).expect(1);
    assert!(
        refused.stderr.contains("`--mock` hands out"),
        "{}",
        refused.stderr
    );
    let with_mock: Vec<&str> = sheet.into_iter().chain(["--mock"]).collect();
    home.flowhost(&with_mock).expect(0);
    let again = home.flowhost(&with_mock).expect(1);
    assert!(
        again.stderr.contains("is there already"),
        "{}",
        again.stderr
    );
    let inside = home.flowhost(&[
        "experiment",
        "sheet",
        "--out",
        "x",
        "--key",
        "x/key.json",
        "--mock",
    ]);
    assert!(
        inside
            .expect(1)
            .stderr
            .contains("the folder that the reader gets")
    );
    // A link to the folder is another name of it.
    std::fs::create_dir(home.path().join("real")).unwrap();
    std::os::unix::fs::symlink("real", home.path().join("alias")).unwrap();
    let linked = [
        "experiment",
        "sheet",
        "--out",
        "real",
        "--key",
        "alias/key.json",
        "--mock",
    ];
    let linked = home.flowhost(&linked).expect(1);
    let why = "the folder that the reader gets";
    assert!(linked.stderr.contains(why), "{}", linked.stderr);
    for name in ["unlock-1.json", "unlock-2.json", "scores.yaml"] {
        let text = home.read(&format!("reader/{name}"));
        for secret in ["adaptive", "gemini", turns[0]["run_id"].as_str().unwrap()] {
            assert!(!text.contains(secret), "{name}: {secret}");
        }
    }
    let review = [
        "experiment",
        "review",
        "reader/scores.yaml",
        "--key",
        "key.json",
        "--by",
        "jane",
        "--json",
    ];
    let empty = home.flowhost(&review).expect(1);
    assert!(
        empty.stdout.contains("has no scores yet"),
        "{}",
        empty.all()
    );
    let scores = home.read("reader/scores.yaml");
    let filled = scores
        .replace("completeness: ,", "completeness: 4,")
        .replace("correctness: ,", "correctness: 5,")
        .replace("clarity: ,", "clarity: 4,")
        .replace("actionability: ,", "actionability: 3,")
        .replace("overall: ,", "overall: 4,")
        .replace("assessment: \"\"", "assessment: \"the steps have numbers\"");
    home.file(
        "reader/scores.yaml",
        filled.replace("overall: 4,", "overall: 7,"),
    );
    let wrong = home.flowhost(&review).expect(1);
    assert!(
        wrong.stdout.contains("scores go from 1 to 5"),
        "{}",
        wrong.all()
    );
    home.file("reader/scores.yaml", &filled);
    let output = home.read("reader/unlock-1.json");
    home.file("reader/unlock-1.json", output.replace("unlock", "hold"));
    let changed = home.flowhost(&review).expect(1);
    assert!(
        changed.stdout.contains("has changed since the sheet"),
        "{}",
        changed.all()
    );
    home.file("reader/unlock-1.json", output);
    // A key lies with a person: what it says of an output counts as far as the evidence says the same.
    let honest = home.read("key.json");
    let mut forged: Value = serde_json::from_str(&honest).unwrap();
    let keyed = &mut forged["outputs"]["unlock-1"];
    keyed["variant"] = json!("another");
    keyed["models_used"] = json!(["house/large"]);
    home.file("key.json", forged.to_string());
    let refused = home.flowhost(&review).expect(1);
    let same = "do not say the same in `variant`, `models_used`";
    assert!(refused.stdout.contains(same), "{}", refused.all());
    forged["outputs"]["unlock-1"]["run_id"] = json!("01KB000000000000000000000N");
    home.file("key.json", forged.to_string());
    let refused = home.flowhost(&review).expect(1);
    let none = "from the run `01KB000000000000000000000N`";
    assert!(refused.stdout.contains(none), "{}", refused.all());
    forged["outputs"]["unlock-1"]["spec_id"] = json!("../consensus/S/pwn");
    home.file("key.json", forged.to_string());
    let refused = home.flowhost(&review).expect(1);
    let out = "the key leads out of the evidence folder";
    assert!(refused.stdout.contains(out), "{}", refused.all());
    // Telemetry and key say the same, and the run's ledger something else.
    let mut forged: Value = serde_json::from_str(&honest).unwrap();
    let keyed = &mut forged["outputs"]["unlock-1"];
    let stem = keyed["synthesis_path"].as_str().unwrap();
    let stem = stem.strip_suffix("synthesis.json").unwrap();
    let telemetry = format!("evidence/{stem}telemetry.jsonl");
    let written = home.read(&telemetry);
    let mut line: Value = serde_json::from_str(&written).unwrap();
    line["override_type"] = json!("synthesized_new");
    keyed["override_type"] = json!("synthesized_new");
    home.file("key.json", forged.to_string());
    home.file(&telemetry, format!("{line}\n"));
    let refused = home.flowhost(&review).expect(1);
    let ledger = "of this content on record";
    assert!(refused.stdout.contains(ledger), "{}", refused.all());
    home.file(&telemetry, written);
    home.file("key.json", honest);
    let taken = home.flowhost(&review).expect(0).json();
    assert_eq!(taken["files"].as_array().unwrap().len(), 2, "{taken:#}");
    let run = taken["run_id"].as_str().unwrap();
    home.flowhost(&["verify", run]).expect(0);
    let judged = home.flowhost(&["telemetry", "validate", "evidence", "--json"]);
    assert_eq!(judged.expect(0).json()["invalid"], 0);
    let file: Value =
        serde_json::from_str(&home.read(taken["files"][0].as_str().unwrap())).unwrap();
    assert_eq!(
        (&file["recorded_by"]["run_id"], &file["scores"]["overall"]),
        (&json!(run), &json!(4))
    );
    let twice = home.flowhost(&review).expect(1);
    let told = twice.stdout.matches("has read this output already").count();
    assert_eq!(told, 1, "told once for both outputs: {}", twice.all());
    assert!(
        twice.stdout.contains("has read this output already"),
        "{}",
        twice.all()
    );

    let report = home
        .flowhost(&[
            "experiment",
            "report",
            "--mock",
            "--baseline",
            "always-full",
            "--json",
        ])
        .expect(0)
        .json();
    let table = home.flowhost(&["experiment", "report", "--mock"]);
    let table = table.expect(0).stdout;
    assert!(
        table.contains("files are read as they lie there"),
        "{table}"
    );
    let rows = report["variants"].as_array().unwrap();
    assert_eq!(
        (&rows[0]["variant"], &rows[0]["overall"]),
        (&json!("adaptive"), &json!(0.75))
    );
    assert!(
        rows[0]["saved_tokens"].as_f64().unwrap() > 0.0,
        "{report:#}"
    );
    assert_eq!(rows[1]["saved_tokens"], 0.0);
    let tokens = &rows[0]["against"]["changes"]["tokens"];
    assert!(tokens["share"].as_f64().unwrap() < 0.0, "{report:#}");
    assert_eq!(
        tokens["chance"],
        Value::Null,
        "one run of each tells nothing"
    );
    let record = report["records"].as_array().unwrap();
    let record = record
        .iter()
        .find(|it| it["stage"] == "unlock" && it["variant"] == "adaptive");
    let record = record.unwrap();
    assert_eq!(
        (&record["method"], &record["agents_of"]),
        (&json!("single"), &json!(3))
    );
    assert_eq!(record["reviewer_assessment"], "the steps have numbers");
    let quality = [
        "telemetry",
        "report",
        "--mock",
        "--metric",
        "quality",
        "--json",
    ];
    let quality = home.flowhost(&quality).expect(0).json();
    let rows = quality["rows"].as_array().unwrap();
    let unlock = rows.iter().find(|it| it["group"] == "unlock").unwrap();
    assert_eq!(
        unlock["mean"], 0.75,
        "a person's score is the quality: {quality:#}"
    );
}

#[test]
fn runs_that_were_put_away_are_compared_handed_out_and_read_like_those_that_are_there() {
    let home = example("spec-kit-900");
    let plan = home.read("plan.yaml");
    let keeps = plan.replace("keep_runs: 3", "keep_runs: 1");
    assert_ne!(plan, keeps);
    home.file("plan.yaml", keeps);
    let ran = ["experiment", "run", "plan.yaml", "--times", "2", "--json"];
    home.flowhost(&ran).expect(0);
    let archived = || {
        let files = std::fs::read_dir(home.path().join("evidence/archive"));
        files.map_or(0, Iterator::count)
    };
    assert_eq!(archived(), 4, "two archives, each with its hash");
    let report = || {
        let report = ["experiment", "report", "--mock", "--json"];
        let report = home.flowhost(&report).expect(0).json();
        let rows = report["variants"].as_array().unwrap();
        let row = |row: &Value| (row["runs"].clone(), row["reviews"].clone());
        rows.iter().map(row).collect::<Vec<_>>()
    };
    assert_eq!(report(), vec![(json!(2), json!(0)); 2]);
    let sheet = [
        "experiment",
        "sheet",
        "--out",
        "reader",
        "--key",
        "key.json",
        "--stage",
        "unlock",
        "--mock",
    ];
    home.flowhost(&sheet).expect(0);
    let scores = home.read("reader/scores.yaml");
    assert_eq!(scores.matches("overall: ,").count(), 4, "{scores}");
    let filled = scores.replace(": ,", ": 4,");
    home.file("reader/scores.yaml", filled);
    // Whoever reads takes days, and runs go on meanwhile.
    let prune = ["evidence", "prune", "SPEC-KIT-900", "--keep", "0", "--yes"];
    home.flowhost(&prune).expect(0);
    let review = [
        "experiment",
        "review",
        "reader/scores.yaml",
        "--key",
        "key.json",
        "--by",
        "jane",
        "--json",
    ];
    // An archive that is not what its hash says is named, and so is what is missing because of it.
    let archive = std::fs::read_dir(home.path().join("evidence/archive")).unwrap();
    let archive = archive
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|it| it == "zst"))
        .unwrap();
    let whole = std::fs::read(&archive).unwrap();
    std::fs::write(&archive, "no archive").unwrap();
    let refused = home.flowhost(&review).expect(1);
    for part in [
        "an archive was left out",
        "neither there nor in an archive that could be read",
    ] {
        assert_eq!(refused.all().matches(part).count(), 1, "{}", refused.all());
    }
    std::fs::write(&archive, whole).unwrap();
    let taken = home.flowhost(&review).expect(0).json();
    assert_eq!(taken["files"].as_array().unwrap().len(), 4, "{taken:#}");
    assert_eq!(report(), vec![(json!(2), json!(2)); 2]);
}
