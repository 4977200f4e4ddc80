//! The sample that an independent program made: accepted as it is, refused after any change.

use std::path::{Path, PathBuf};

use flowhost_ledger::{Code, Report, VKey, VerifyOptions, verify_dir, verify_in};

use crate::sim::SimDisk;

const SEGMENT: &str = "seg-00000000.jsonl";

fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/fhe1-sample")
}

fn vkey() -> VKey {
    VKey::parse(
        std::fs::read_to_string(sample().join("vkey"))
            .unwrap()
            .trim_end(),
    )
    .unwrap()
}

/// The sample in memory, where it can be changed ten thousand times.
struct Copy(SimDisk);

impl Copy {
    fn new() -> Self {
        Self(SimDisk::load(&sample()))
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(sample().join(name)).unwrap()
    }

    fn verify(&self) -> Report {
        let options = VerifyOptions {
            trusted: vec![vkey()],
            ..VerifyOptions::default()
        };
        verify_in(&self.0, Path::new("/"), &options)
    }

    fn refuses(&self, name: &str, bytes: &[u8]) -> bool {
        self.0.put(name, bytes);
        let refused = !self.verify().ok;
        self.0.put(name, &self.read(name));
        refused
    }
}

#[test]
fn accepts_the_sample_with_its_key() {
    let report = verify_dir(&sample(), &[vkey()]);
    assert!(report.ok, "{report}");
    let ledger = &report.ledgers[0];
    assert_eq!(
        (ledger.records, ledger.signed, ledger.payloads.checked),
        (3, 3, 1)
    );
    let root = "253db58052f2669c1eba7fc849f52fe00541d17813bf6a6e0862d41fbf3f2b32";
    assert_eq!(ledger.root.as_deref(), Some(root));
    assert!(Copy::new().verify().ok);
}

#[test]
fn led_001_every_single_bit_of_segment_checkpoint_and_payload_counts() {
    let copy = Copy::new();
    for name in [SEGMENT, "checkpoint", "payloads-00000000.jsonl"] {
        let good = copy.read(name);
        for at in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[at / 8] ^= 1 << (at % 8);
            assert!(copy.refuses(name, &bad), "{name}: bit {at} does not count");
        }
    }
}

#[test]
fn led_001_a_flipped_bit_is_named_by_its_record() {
    let copy = Copy::new();
    let mut bad = copy.read(SEGMENT);
    let second = bad.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    bad[second + 20] ^= 1;
    copy.0.put(SEGMENT, &bad);
    let report = copy.verify();
    let problem = report.all_problems().next().unwrap();
    // The change is in record 1; if it stays well-formed, `prev` of record 2 shows it.
    assert!(matches!(problem.seq, Some(1 | 2)), "{problem}");
    assert_eq!(problem.code, Code::Record);
}

#[test]
fn refuses_every_truncation() {
    let copy = Copy::new();
    for name in [SEGMENT, "checkpoint", "payloads-00000000.jsonl"] {
        let good = copy.read(name);
        for len in 0..good.len() {
            assert!(
                copy.refuses(name, &good[..len]),
                "{name} cut to {len} bytes is accepted"
            );
        }
    }
}

/// Gives each line the `prev` that fits the line before: what someone who rewrites history does.
fn chained_again(lines: &[String]) -> Vec<u8> {
    use sha2::{Digest as _, Sha256};
    let mut prev = "0".repeat(64);
    let mut out = String::new();
    for (seq, line) in lines.iter().enumerate() {
        let mut fields: std::collections::BTreeMap<String, String> =
            serde_json::from_str(line).unwrap();
        fields.insert("prev".into(), prev);
        fields.insert("seq".into(), seq.to_string());
        let line = serde_json::to_string(&fields).unwrap();
        prev = hex::encode(
            Sha256::new()
                .chain_update([0])
                .chain_update(&line)
                .finalize(),
        );
        out += &line;
        out.push('\n');
    }
    out.into_bytes()
}

#[test]
fn led_005_refuses_swaps_deletions_copies_and_insertions_with_prev_chained_again() {
    let copy = Copy::new();
    let good = copy.read(SEGMENT);
    let lines: Vec<String> = std::str::from_utf8(&good)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect();
    assert_eq!(chained_again(&lines), good, "the helper itself is right");
    for one in 0..3 {
        let mut deleted = lines.clone();
        deleted.remove(one);
        assert!(
            copy.refuses(SEGMENT, &chained_again(&deleted)),
            "without {one}"
        );
        for other in 0..3 {
            let mut inserted = lines.clone();
            inserted.insert(other, lines[one].clone());
            assert!(
                copy.refuses(SEGMENT, &chained_again(&inserted)),
                "{one} again at {other}"
            );
            if one != other {
                let mut swapped = lines.clone();
                swapped.swap(one, other);
                assert!(
                    copy.refuses(SEGMENT, &chained_again(&swapped)),
                    "{one} for {other}"
                );
                let mut replaced = lines.clone();
                replaced[one] = lines[other].clone();
                assert!(
                    copy.refuses(SEGMENT, &chained_again(&replaced)),
                    "{other} as {one}"
                );
            }
        }
    }
}

#[test]
fn led_007_refuses_the_sample_with_another_key_and_without_any() {
    let other = crate::key(9).vkey().renamed(vkey().name()).unwrap();
    for trusted in [vec![other], vec![crate::key(9).vkey()], vec![]] {
        let report = verify_dir(&sample(), &trusted);
        let problem = report.all_problems().next().unwrap();
        assert_eq!(problem.code, Code::UnknownKey, "{problem}");
    }
}

#[test]
fn led_012_refuses_lines_in_any_other_form() {
    let copy = Copy::new();
    let good = String::from_utf8(copy.read(SEGMENT)).unwrap();
    for bad in [
        good.replace('\n', "\r\n"),
        format!("\u{feff}{good}"),
        good.replacen('\n', " \n", 1),
        good.replacen('\n', "\n\n", 1),
        format!("{good}\n"),
        good.replacen("\"v\":\"fhe/1\"", "\"v\":\"fhe/1\",\"v\":\"fhe/1\"", 1),
        good.replacen("{\"actor\":\"tenant-a/agent-1\",", "{", 1),
    ] {
        assert!(copy.refuses(SEGMENT, bad.as_bytes()), "{bad}");
    }
}
