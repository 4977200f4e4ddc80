//! The recipe in `VERIFY-BY-HAND.md`: the very commands of that page, run.

use std::path::Path;
use std::process::{Command, Output};

use flowhost_ledger::records::{RecordKind as _, ViewWrite};
use flowhost_ledger::{Ledger, Recorder as _};
use sha2::{Digest as _, Sha256};

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
    // No text: it stands there in base64.
    ledger.append(fact(0).payload(vec![0xff; 700])).unwrap();
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

/// A run of seven records with two payloads, whose views lie beside it.
fn with_views(dir: &Path) {
    let ledger = Ledger::open(&options(dir)).unwrap();
    for number in 0..7 {
        ledger.append(fact(number)).unwrap();
    }
    for (path, text) in [("report.json", "{}\n"), ("report.html", "<p>\n")] {
        std::fs::write(dir.join(path), text).unwrap();
        let view = ViewWrite {
            path: path.to_owned(),
            sha256: hex::encode(Sha256::digest(text)),
            ..ViewWrite::default()
        };
        ledger.append(view.by("t/host")).unwrap();
    }
    ledger.close_blocking().unwrap();
}

/// What the recipe says of a copy of `good` of which one file was changed, or taken away where nothing is left of it.
fn said_of(good: &Path, name: &str, change: impl Fn(String) -> String) -> (bool, String) {
    let dir = tempfile::tempdir().unwrap();
    let bad = dir.path().join("bad");
    copy(good, &bad);
    let path = bad.join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let changed = change(text.clone());
    assert_ne!(text, changed, "{name}");
    if changed.is_empty() {
        std::fs::remove_file(&path).unwrap();
    } else {
        std::fs::write(&path, changed).unwrap();
    }
    let output = run(&bad, &key(1).vkey().to_string());
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert_eq!(output.status.success(), said.contains("records are signed"));
    (output.status.success(), said)
}

#[test]
fn the_recipe_misses_payloads_and_refuses_lines_that_only_some_readers_see() {
    if !tools_are_here() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let good = dir.path().join("good");
    write(&options(&good), 7);
    accepts(&good, &key(1).vkey().to_string());
    let payloads = "payloads-00000000.jsonl";
    let refused = |change: &dyn Fn(String) -> String, told: &str| {
        let (accepted, said) = said_of(&good, payloads, change);
        assert!(!accepted && said.contains(told), "{told}: {said}");
    };
    // A loop of `read` passes over a last line that has no end.
    let cut = |text: String| text.trim_end().replace("secret 5", "FORGED");
    refused(&cut, "is cut off");
    let without = |number: &str| {
        let number = number.to_owned();
        move |text: String| {
            let lines = text.split_inclusive('\n');
            lines
                .filter(|line| !line.contains(&number))
                .collect::<String>()
        }
    };
    refused(&without("secret 5"), "of record 5 is missing");
    refused(&without("secret 2"), "of record 2 is missing");
    refused(&|_| String::new(), "is missing");
    let twice =
        |text: String| text.replacen("{\"payload\"", "{\"payload\":\"FORGED\",\"payload\"", 1);
    refused(&twice, "a key twice");
    let elsewhere = |text: String| text + "{\"of\":\"../1\",\"salt\":\"00\",\"seq\":\"1\"}\n";
    refused(&elsewhere, "a line of no record");
}

#[test]
fn the_recipe_takes_the_word_of_a_signed_erasure_alone() {
    if !tools_are_here() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (good, erased) = (dir.path().join("good"), dir.path().join("erased"));
    write(&options(&good), 7);
    copy(&good, &erased);
    let ledger = Ledger::open(&options(&erased)).unwrap();
    assert_eq!(ledger.erase_blocking([5].into(), "asked for").unwrap(), 1);
    ledger.close_blocking().unwrap();
    accepts(&erased, &key(1).vkey().to_string());
    // The records with the erasure, and the checkpoint from before it: anybody could have added it.
    std::fs::copy(good.join("checkpoint"), erased.join("checkpoint")).unwrap();
    let output = run(&erased, &key(1).vkey().to_string());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("of record 5 is missing"), "{said}");
}

#[test]
fn the_recipe_compares_the_views_and_names_what_no_record_vouches_for() {
    if !tools_are_here() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    with_views(dir.path());
    accepts(dir.path(), &key(1).vkey().to_string());
    let forged = |text: String| text + "FORGED\n";
    for name in ["report.json", "report.html"] {
        let (accepted, said) = said_of(dir.path(), name, forged);
        assert!(!accepted, "{name}: {said}");
        assert!(said.contains("is not what the host wrote"), "{said}");
    }
    let (accepted, said) = said_of(dir.path(), "report.html", |_| String::new());
    assert!(accepted && said.contains("not here: report.html"), "{said}");
    let (accepted, said) = said_of(dir.path(), "bundle.json", forged);
    let told = "no record vouches for bundle.json";
    assert!(accepted && said.contains(told), "{said}");
}
