//! What is borrowed of a line is what a copy of it would be, and what is wrong with a line is told in the same words.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::fact::Fact;
use crate::merkle::NO_PREVIOUS;
use crate::record::{Head, View, push_line};

fn owner() -> Owner {
    Owner {
        tenant: "t".to_owned(),
        run: "r".to_owned(),
    }
}

/// A line with its LF.
fn line(seq: u64, fact: &Fact, commit: Option<&str>) -> Vec<u8> {
    let head = Head {
        owner: &owner(),
        seq,
        ts_us: 1_795_000_000_000_000,
        prev: &NO_PREVIOUS,
        commit,
        sealed: None,
    };
    let mut out = Vec::new();
    push_line(&mut out, &head, fact);
    out.push(b'\n');
    out
}

/// What a reader of one line after the other finds: whole records, and what ends them.
fn one_by_one(bytes: &[u8]) -> (Vec<StoredRecord>, Option<End>) {
    let mut records = Vec::new();
    for stored in bytes.split_inclusive(|byte| *byte == b'\n') {
        let line = stored.strip_suffix(b"\n");
        let (line, complete) = (line.unwrap_or(stored), line.is_some());
        let end = match (complete, line.len() > LINE_BYTES_MAX) {
            (true, true) => End::Fault(LineFault::Length("too long")),
            (false, true) => End::Torn("too long"),
            (false, false) => End::Torn("cut off: it has no line end"),
            (true, false) => match View::parse(line) {
                Ok(view) => {
                    records.push(StoredRecord::of(&view, line, leaf_hash(line)));
                    continue;
                }
                Err(fault) => End::Fault(fault),
            },
        };
        return (records, Some(end));
    }
    (records, None)
}

fn compare(bytes: &[u8]) {
    let lines = Lines::read(bytes.to_vec(), &owner());
    let (records, end) = one_by_one(bytes);
    assert_eq!(lines.end, end);
    assert_eq!(lines.claims.len(), records.len());
    let lent: Vec<StoredRecord> = lines.batch.records().map(|it| it.to_stored()).collect();
    assert_eq!(lent, records);
    for (lent, stored) in lines.batch.records().zip(&records) {
        assert_eq!(format!("{:?}", lent.read()), format!("{:?}", stored.read()));
        for name in stored.fields.keys().chain(["none"]) {
            assert_eq!(lent.text(name).as_deref(), stored.text(name), "{name}");
            assert_eq!(lent.number(name), stored.number(name), "{name}");
        }
        // A record that is kept is lent as it was read.
        let again = stored.lent();
        assert_eq!(again.to_stored(), *stored);
        assert_eq!(again.kind, lent.kind);
    }
}

#[test]
fn nothing_is_kept_of_what_stands_behind_a_line_that_is_no_record() {
    let lines = Lines::read(vec![b'\n'; 1_000], &owner());
    assert!(lines.batch.is_empty() && lines.claims.is_empty());
    assert!(matches!(lines.end, Some(End::Fault(_))));
}

#[test]
fn a_line_that_is_no_text_ends_the_records_where_it_stands() {
    let good = line(0, &Fact::new(Kind::Message, "t/a"), None);
    for (odd, torn) in [
        (&b"{\"a\":\"\xff\"}\n"[..], false),
        (&b"\xff"[..], true),
        (&b"\xe2\n\x82"[..], false),
    ] {
        let bytes = [good.as_slice(), odd, &good].concat();
        compare(&bytes);
        let bytes = [good.as_slice(), odd].concat();
        compare(&bytes);
        let end = Lines::read(bytes, &owner()).end;
        assert_eq!(matches!(end, Some(End::Torn(_))), torn);
    }
    compare(&[vec![b'x'; LINE_BYTES_MAX + 1], b"\xff".to_vec()].concat());
    compare(&[vec![b'x'; LINE_BYTES_MAX], b"\xff\n".to_vec()].concat());
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<String>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        proptest::sample::select(vec!["true", "deny", "guest"]).prop_map(Value::from),
        proptest::collection::vec(any::<String>(), 0..3).prop_map(Value::from),
        proptest::collection::btree_map(any::<String>(), any::<String>(), 0..3)
            .prop_map(|map: BTreeMap<String, String>| Value::from(map)),
    ]
}

/// Names that kinds have, and any others: a line of a stranger may hold any.
fn name() -> impl Strategy<Value = String> {
    let known = [
        "tool",
        "status",
        "step",
        "call",
        "path",
        "fuel",
        "event",
        "time_ms",
        "component",
    ];
    prop_oneof![
        3 => proptest::sample::select(known.to_vec()).prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

proptest! {
    #[test]
    fn a_record_that_borrows_is_the_one_that_was_copied(
        facts in proptest::collection::vec(
            (
                0..Kind::ALL.len(),
                any::<String>(),
                proptest::collection::btree_map(name(), value(), 0..6),
                any::<bool>(),
            ),
            1..5,
        ),
        cut in any::<proptest::sample::Index>(),
        flip in any::<(proptest::sample::Index, u8)>(),
    ) {
        let mut bytes = Vec::new();
        let commit = format!("hmac-sha256:{}", "0".repeat(64));
        for (seq, (kind, actor, fields, has_payload)) in (0..).zip(facts) {
            let (kind, ..) = Kind::ALL[kind];
            let mut fact = Fact::new(kind, actor);
            for (name, value) in fields {
                if !crate::RESERVED.contains(&name.as_str()) {
                    fact = fact.with(&name, value);
                }
            }
            bytes.extend(line(seq, &fact, has_payload.then_some(commit.as_str())));
        }
        compare(&bytes);
        compare(&bytes[..cut.index(bytes.len())]);
        let (at, byte) = flip;
        let at = at.index(bytes.len());
        bytes[at] = byte;
        compare(&bytes);
    }
}
