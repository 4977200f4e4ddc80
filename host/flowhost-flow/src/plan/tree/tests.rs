//! What the tree refuses and keeps.

use super::*;

fn tree(text: &str) -> Result<Node, String> {
    let mut problems = Problems::new("t.yaml");
    let node = read(text, &mut problems);
    match problems.into_sorted().first() {
        Some(problem) => Err(problem.to_string()),
        None => Ok(node.unwrap()),
    }
}

#[test]
fn tells_every_number_and_key_that_cannot_be_read_and_keeps_the_rest() {
    let text = "a: 1\nb: { c: 9007199254740993, c: 2 }\nd: 017\ne: .inf\na: 5\nf: \"x\"\n";
    let mut problems = Problems::new("t.yaml");
    let node = read(text, &mut problems).unwrap();
    let told = problems.into_sorted().into_iter();
    let told: Vec<(u32, u32)> = told.map(|it| (it.line, it.column)).collect();
    assert_eq!(told, [(2, 9), (2, 27), (3, 4), (4, 4), (5, 1)]);
    let kept = serde_json::json!({ "a": 1, "b": { "c": null }, "d": 17.0, "e": null, "f": "x" });
    assert_eq!(node.json(), kept);
}

#[test]
fn refuses_an_alias_bomb() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..10 {
        let list = vec![format!("*a{}", level - 1); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{list}]\n"));
    }
    let error = tree(&text).unwrap_err();
    assert!(error.contains("too large or too deeply nested"), "{error}");
}

#[test]
fn refuses_a_megabyte_of_nesting() {
    for text in [
        "[".repeat(1 << 20),
        "{a: ".repeat(1 << 18),
        "- ".repeat(1 << 19),
    ] {
        let error = tree(&text).unwrap_err();
        assert!(error.starts_with("t.yaml:"), "{error}");
    }
}

#[test]
fn the_deepest_nesting_allowed_fits_in_half_of_a_thread_stack() {
    let depth = limits::DEPTH_MAX - 1;
    let text = format!("{}x{}", "[".repeat(depth), "]".repeat(depth));
    let small = std::thread::Builder::new().stack_size(1 << 20);
    small
        .spawn(move || assert!(tree(&text).is_ok()))
        .unwrap()
        .join()
        .unwrap();
}

#[test]
fn refuses_a_file_over_its_size() {
    let error = tree(&"#".repeat(limits::PLAN_BYTES_MAX + 1)).unwrap_err();
    assert!(error.contains("at most 1048576"), "{error}");
}

#[test]
fn refuses_a_number_that_guests_would_change() {
    let error = tree("a:\n  b: 9007199254740993\n").unwrap_err();
    assert!(
        error.contains("t.yaml:2:6") && error.contains("2^53"),
        "{error}"
    );
}

#[test]
fn refuses_numbers_that_would_become_doubles_without_a_word() {
    for number in [
        "18446744073709551616",
        "-18446744073709551617",
        "99999999999999999999999999",
        "340282366920938463463374607431768211456",
        "9007199254740993.0",
        "1e17",
        "-1e300",
        "0xFFFFFFFFFFFFFFFF",
        "0xFFFFFFFFFFFFFFFFFF",
        "&a 0x1FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF",
        "0o7777777777777777777777777",
    ] {
        let error = tree(&format!("a: {number}\n")).unwrap_err();
        assert!(error.contains("2^53"), "{number}: {error}");
        assert!(tree(&format!("a: '{number}'\n")).is_ok(), "{number}");
        assert!(tree(&format!("a: !!str {number}\n")).is_ok(), "{number}");
    }
    for number in [".inf", "-.INF", ".nan", "1e999"] {
        let error = tree(&format!("a: {number}\n")).unwrap_err();
        assert!(error.contains("no place in JSON"), "{number}: {error}");
    }
    let kept = tree("a: [0xFF, 0o17, \"0xFFFFFFFFFFFFFFFFFF\", 0xFG, 0x]\n");
    let wanted = serde_json::json!({"a": [255, 15, "0xFFFFFFFFFFFFFFFFFF", "0xFG", "0x"]});
    assert_eq!(kept.unwrap().json(), wanted);
    assert!(tree("a: [9007199254740991, 1.5e3, -0.25, 1e15]\n").is_ok());
}

#[test]
fn refuses_numbers_that_readers_of_yaml_read_differently() {
    for number in ["017", "-007", "00", "1_000", "0b11", "&a 010", "08.5"] {
        let error = tree(&format!("a: [{number}]\n")).unwrap_err();
        assert!(error.contains("disagree"), "{number}: {error}");
        assert!(tree(&format!("a: '{number}'\n")).is_ok(), "{number}");
        assert!(tree(&format!("a: !!str {number}\n")).is_ok(), "{number}");
    }
    let kept = tree("a: [0, -0.5, 0.25, 10, 1e05, 0x0F, x_1, 12:30, \"017\"]\n").unwrap();
    assert_eq!(kept.json()["a"][8], "017");
}

#[test]
fn refuses_a_second_document_and_says_so() {
    for text in ["a: 1\n---\nb: 2\n", "---\na: 1\n...\n---\nb: 2\n"] {
        let error = tree(text).unwrap_err();
        assert!(error.contains("more than one YAML document"), "{error}");
    }
    assert!(tree("---\na: 1\n...\n").is_ok());
}

#[test]
fn refuses_tags_that_nobody_reads() {
    for value in [
        "!include /etc/passwd",
        "!!python/object:x y",
        "!env HOME",
        "!x [1]",
        "!x {a: 1}",
    ] {
        let error = tree(&format!("a: {value}\n")).unwrap_err();
        assert!(error.contains("tag"), "{value}: {error}");
    }
    assert_eq!(
        tree("a: !!str 1\n").unwrap().json(),
        serde_json::json!({"a": "1"})
    );
}

#[test]
fn keys_that_are_one_in_json_are_given_twice_however_yaml_reads_them() {
    for map in ["{ 1: a, \"1\": b }", "{ true: a, \"true\": b }"] {
        let error = tree(&format!("a: {map}\n")).unwrap_err();
        assert!(error.contains("given twice"), "{map}: {error}");
    }
}

#[test]
fn names_the_second_of_two_equal_keys() {
    let error = tree("a: 1\nb: 2\na: 3\n").unwrap_err();
    assert!(
        error.starts_with("t.yaml:3:1: the key `a` is given twice"),
        "{error}"
    );
}

#[test]
fn every_value_knows_its_place() {
    let node = tree("a: 1\nb:\n  - x\n  - {c: ~}\n").unwrap();
    let raw = node.raw();
    assert_eq!(
        raw.value,
        serde_json::json!({"a": 1, "b": ["x", {"c": null}]})
    );
    assert_eq!(raw.places["/b/1/c"], At { line: 4, column: 6 });
    assert_eq!(raw.places["/b/0"], At { line: 3, column: 5 });
}

#[test]
fn words_of_yaml_1_1_are_text() {
    let node = tree("on: yes\n").unwrap();
    assert_eq!(node.json(), serde_json::json!({"on": "yes"}));
}
