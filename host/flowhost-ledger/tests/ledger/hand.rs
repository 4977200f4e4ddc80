//! The recipe in `VERIFY-BY-HAND.md`: the very commands of that page, run.

use std::path::Path;
use std::process::{Command, Output};

use flowhost_ledger::{Ledger, Recorder as _};

use crate::{copy, fact, key, options, write};

/// All command blocks of the page, in order.
fn recipe() -> String {
    let page = include_str!("../../VERIFY-BY-HAND.md");
    let mut script = String::new();
    let mut inside = false;
    for line in page.lines() {
        match line {
            "```bash" => inside = true,
            "```" => inside = false,
            _ if inside => script += &format!("{line}\n"),
            _ => {}
        }
    }
    assert!(
        script.contains("openssl pkeyutl"),
        "the page lost its commands"
    );
    script
}

fn tools_are_here() -> bool {
    let missing: Vec<_> = ["bash", "sha256sum", "jq", "openssl"]
        .into_iter()
        .filter(|tool| Command::new(tool).arg("--version").output().is_err())
        .collect();
    if !missing.is_empty() {
        eprintln!("SKIPPED, NOTHING WAS TESTED: the recipe needs {missing:?}");
    }
    missing.is_empty()
}

fn run(dir: &Path, vkey: &str) -> Output {
    Command::new("bash")
        .arg("-c")
        .arg(recipe())
        .current_dir(dir)
        .env("KEY", vkey)
        .output()
        .unwrap()
}

fn accepts(dir: &Path, vkey: &str) {
    let output = run(dir, vkey);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(text.contains("verified: "), "{text}");
}

#[test]
fn the_recipe_accepts_the_sample_and_our_own_ledgers() {
    if !tools_are_here() {
        return;
    }
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/fhe1-sample");
    accepts(
        &sample,
        std::fs::read_to_string(sample.join("vkey"))
            .unwrap()
            .trim_end(),
    );
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(dir.path());
    options.segment_bytes_max = 1500;
    write(&options, 7);
    let key = key(1);
    accepts(dir.path(), &key.vkey().to_string());
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(&crate::options(dir.path())).unwrap();
    for letter in ["é\n", "\u{0}", "é\n"] {
        let again = letter.repeat(1_000).into_bytes();
        ledger.append(fact(0).payload(again)).unwrap();
    }
    ledger.close_blocking().unwrap();
    let lines = std::fs::read_to_string(dir.path().join("payloads-00000000.jsonl")).unwrap();
    assert!(lines.contains("{\"of\":\"0\""), "stored once");
    accepts(dir.path(), &key.vkey().to_string());
}

#[test]
fn the_recipe_refuses_a_change_in_each_file_and_another_key() {
    if !tools_are_here() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let good = dir.path().join("good");
    write(&options(&good), 3);
    let vkey = key(1).vkey().to_string();
    accepts(&good, &vkey);
    assert!(!run(&good, &key(2).vkey().to_string()).status.success());
    for (number, (name, from, to)) in [
        ("seg-00000000.jsonl", "\"used\":\"0\"", "\"used\":\"9\""),
        ("seg-00000000.jsonl", "\"used\":\"2\"", "\"used\":\"9\""),
        ("seg-00000000.jsonl", "{\"actor\"", "{ \"actor\""),
        ("checkpoint", "\n3\n", "\n4\n"),
        ("checkpoint", "/t/r\n3", "/t/s\n3"),
        ("payloads-00000000.jsonl", "secret 2", "secret 3"),
    ]
    .into_iter()
    .enumerate()
    {
        let bad = dir.path().join(number.to_string());
        copy(&good, &bad);
        let path = bad.join(name);
        let text = std::fs::read_to_string(&path).unwrap();
        let changed = text.replacen(from, to, 1);
        assert_ne!(text, changed, "{name}: {from}");
        std::fs::write(&path, changed).unwrap();
        assert!(
            !run(&bad, &vkey).status.success(),
            "{name}: {to} was accepted"
        );
    }
}
