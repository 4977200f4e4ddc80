//! Bytes that a run meets again: stored once, and gone from every record when somebody asks for that.

use super::evidence::run_dir;
use super::home;

/// A text that is long enough to be stored once, with a name in it.
fn letter() -> String {
    "Dear Jane Roe, ".repeat(200)
}

#[test]
fn what_two_steps_are_given_stands_in_the_run_once_and_is_erased_from_both() {
    let letter = letter();
    let step =
        |needs: &str| format!("{{ uses: ok_echo/run, {needs}with: {{ text: \"{letter}\" }} }}");
    let steps = format!("  a: {}\n  b: {}", step(""), step("needs: [a], "));
    let home = home(&["ok_echo"], &steps);
    home.flowhost(&["run", "plan.yaml", "--json"]).expect(0);
    home.flowhost(&["verify", "latest"]).expect(0);
    let stored = || {
        let path = run_dir(&home).join("payloads-00000000.jsonl");
        std::fs::read_to_string(path).unwrap()
    };
    // What a step is given, and what it hands back around it: each once for both steps.
    assert_eq!(stored().matches(&letter).count(), 2);
    home.flowhost(&["runs", "replay", "latest"]).expect(0);
    let records = home.records();
    let calls: Vec<&str> = records
        .iter()
        .filter(|it| it["kind"] == "tool.call")
        .map(|it| it["seq"].as_str().unwrap())
        .collect();
    let [first, second] = calls[..] else {
        panic!("{calls:?}");
    };
    let shown = home.flowhost(&["runs", "show", "latest", "--payload", second]);
    assert!(shown.expect(0).stdout.contains("Jane Roe"));
    let erase = [
        "evidence", "erase", first, "--run", "latest", "--reason", "asked",
    ];
    let ran = home.flowhost(&erase).expect(0);
    let told = format!(
        "erased the payload of record {first}, and of record {second}, which had the same bytes"
    );
    assert!(ran.all().contains(&told), "{}", ran.all());
    assert_eq!(stored().matches(&letter).count(), 1);
    home.flowhost(&["verify", "latest"]).expect(0);
    let erasure = home.records();
    let erasure = erasure.iter().find(|it| it["kind"] == "erasure").unwrap();
    assert_eq!(erasure["seqs"], serde_json::json!([first, second]));
}
