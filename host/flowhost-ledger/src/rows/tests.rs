//! A line that is plain is one that the parser accepts, and says the same of it.

use std::io::Cursor;

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

fn line(seq: u64, kind: Kind, text: &str, commit: Option<&str>) -> Vec<u8> {
    let fact = Fact::new(kind, "t/agent")
        .with("text", text)
        .with("list", vec![text.to_owned(), "b".to_owned()])
        .with(
            "map",
            std::collections::BTreeMap::from([("k".to_owned(), text.to_owned())]),
        );
    let head = Head {
        owner: &owner(),
        seq,
        ts_us: 1_795_000_000_000_000,
        prev: &NO_PREVIOUS,
        commit,
        sealed: None,
    };
    let mut out = Vec::new();
    push_line(&mut out, &head, &fact);
    out
}

/// What the parser says of a line, in the words of the fast look.
fn parsed(line: &[u8]) -> Option<(u64, Hash, Option<String>)> {
    let view = View::parse(line).ok()?;
    let mut prev = Hash::default();
    hex::decode_to_slice(view.prev, &mut prev).ok()?;
    let own = view.tenant == "t" && view.run == "r";
    own.then(|| (view.seq, prev, view.commit.map(str::to_owned)))
}

fn plain(line: &[u8]) -> Option<(u64, Hash, Option<String>)> {
    let plain = Plain::of(line, &owner(), &mut Joins::default())?;
    assert_eq!(plain.leaf, leaf_hash(line));
    let commit = plain.commit.map(|(start, end)| {
        let bytes = line.get(start..end).unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    });
    Some((plain.seq, plain.prev, commit))
}

#[test]
fn no_line_of_another_run_and_no_record_that_says_more_than_its_hash_is_plain() {
    let own = line(7, Kind::HostCall, "x", None);
    let text = String::from_utf8(own).unwrap();
    for (from, to) in [
        ("\"run\":\"r\"", "\"run\":\"s\""),
        ("\"tenant\":\"t\"", "\"tenant\":\"u\""),
        ("\"v\":\"fhe/1\"", "\"v\":\"fhe/2\""),
        ("\"v\":\"fhe/1\"", "\"v\":\"fhe/1\",\"v\":\"fhe/1\""),
        ("\"seq\":\"7\"", "\"seq\":\"07\""),
        ("\"actor\":\"t/agent\",", ""),
        ("\"text\":\"x\"", "\"text\":1"),
        ("\"text\":\"x\"", "\"text\":\"\\u0041\""),
        ("{\"actor\"", "{ \"actor\""),
        ("\"list\":[", "\"zist\":["),
    ] {
        let altered = text.replacen(from, to, 1);
        assert_ne!(altered, text, "{from}");
        assert_eq!(plain(altered.as_bytes()), None, "{to}");
    }
    for kind in [
        Kind::RunEnd,
        Kind::RunResume,
        Kind::Erasure,
        Kind::KeyRotate,
        Kind::ViewWrite,
    ] {
        assert_eq!(plain(&line(0, kind, "x", None)), None);
    }
}

#[test]
fn lines_come_as_they_were_stored_whatever_the_chunks() {
    let mut stored = Vec::new();
    let mut lines = Vec::new();
    for seq in 0..9000 {
        let line = line(seq, Kind::HostCall, &"x".repeat(seq as usize % 300), None);
        stored.extend_from_slice(&line);
        stored.push(b'\n');
        lines.push(line);
    }
    for (cut, complete) in [(0, true), (1, false)] {
        let bytes = stored[..stored.len() - cut].to_vec();
        let len = bytes.len() as u64;
        for size in [len, 1] {
            let file = Box::new(Cursor::new(bytes.clone()));
            let effort = Effort::of_this_machine();
            let mut rows = Rows::new(file, size, &owner(), effort);
            let (mut at, mut offset) = (0, 0);
            while let Some(row) = rows.next().unwrap() {
                assert_eq!(row.bytes, lines[at]);
                assert_eq!((row.number, row.offset), (at as u64 + 1, offset));
                let last = at + 1 == lines.len();
                assert_eq!(row.complete, complete || !last);
                assert_eq!(row.plain.is_some(), row.complete);
                offset += row.bytes.len() as u64 + 1;
                at += 1;
            }
            assert_eq!(at, lines.len());
        }
    }
}

#[test]
fn a_hash_is_sixty_four_small_digits() {
    let hash = [0x0f; 32];
    let text = hex::encode(hash);
    assert_eq!(small_hex(&text), Some(hash));
    assert_eq!(small_hex(&text.to_uppercase()), None);
    assert_eq!(small_hex(&text[1..]), None);
    for byte in (0..128_u8).filter(|byte| !b"0123456789abcdef".contains(byte)) {
        let other = text.replacen('f', &char::from(byte).to_string(), 1);
        assert_eq!(small_hex(&other), None, "{other:?}");
    }
}

#[test]
fn nothing_is_known_of_a_line_that_is_not_plain_and_no_room_is_kept_for_it() {
    let mut looked = Looked {
        bytes: vec![b'\n'; 1_000],
        ..Looked::default()
    };
    looked.look(&owner(), Effort::of_this_machine());
    assert_eq!((looked.ends.len(), looked.plain.capacity()), (1_000, 0));
}

#[test]
fn a_line_longer_than_any_ends_the_lines() {
    let bytes = vec![b'x'; 12 * LINE_BYTES_MAX];
    let effort = Effort::of_this_machine();
    let mut rows = Rows::new(Box::new(Cursor::new(bytes)), 1, &owner(), effort);
    let row = rows.next().unwrap().unwrap();
    assert_eq!(row.length_fault(), Some("too long"));
    assert!(rows.next().unwrap().is_none());
}

/// Number, place, bytes and whether it ended: of a line that is too long only the first two, since nothing of it is used.
type Came = (u64, u64, Option<(Vec<u8>, bool)>);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn lines_in_chunks_are_those_that_are_read_one_by_one(
        lens in proptest::collection::vec(
            prop_oneof![30 => 0..400_usize, 1 => LINE_BYTES_MAX - 1..LINE_BYTES_MAX + 3, 1 => Just(3 * LINE_BYTES_MAX)],
            0..60,
        ),
        ends in any::<bool>(),
        chunk_bytes in prop_oneof![1..3_000_usize, Just(256 * 1024)],
    ) {
        let mut stored = Vec::new();
        for len in &lens {
            stored.resize(stored.len() + len, b'x');
            stored.push(b'\n');
        }
        if !ends {
            stored.pop();
        }
        let mut lines = crate::lines::Lines::new(Box::new(Cursor::new(stored.clone())), LINE_BYTES_MAX);
        let mut expected: Vec<Came> = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            let fits = line.bytes.len() <= LINE_BYTES_MAX;
            let bytes = fits.then(|| (line.bytes.to_vec(), line.complete));
            expected.push((line.number, line.offset, bytes));
            if !fits {
                break;
            }
        }
        // Whether a line that is too long ends at all.
        let too_long = lens.iter().position(|len| *len > LINE_BYTES_MAX);
        let too_long_ends = too_long.map(|at| ends || at + 1 < lens.len());
        for threads in [1, 2, 5] {
            let effort = Effort { threads, chunk_bytes, looks: true };
            let len = stored.len() as u64;
            let mut rows = Rows::new(Box::new(Cursor::new(stored.clone())), len, &owner(), effort);
            let mut found: Vec<Came> = Vec::new();
            while let Some(row) = rows.next().unwrap() {
                let fits = row.length_fault() != Some("too long");
                found.push((row.number, row.offset, fits.then(|| (row.bytes.to_vec(), row.complete))));
                if !fits {
                    prop_assert_eq!(Some(row.complete), too_long_ends);
                    break;
                }
            }
            prop_assert_eq!(&found, &expected, "{} threads", threads);
        }
    }
}

proptest! {
    #[test]
    fn whoever_is_plain_is_what_the_parser_reads(
        seq in any::<u64>(),
        text in "[ -~]{0,12}|\\PC{0,8}|[\\x00-\\x1f\"\\\\]{0,6}",
        committed in any::<bool>(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let commit = format!("hmac-sha256:{}", "ab".repeat(32));
        let mut line = line(seq, Kind::HostCall, &text, committed.then_some(commit.as_str()));
        prop_assert_eq!(plain(&line), parsed(&line));
        prop_assert!(plain(&line).is_some());
        // One byte altered: what is still plain is still what the parser reads.
        let at = at.index(line.len());
        line[at] = byte;
        if let Some(found) = plain(&line) {
            prop_assert_eq!(Some(found), parsed(&line));
        }
    }
}
