//! Tests of records: what cannot become one, and that guests cannot shape one.

use proptest::prelude::*;

use super::*;
use crate::merkle::NO_PREVIOUS;

#[test]
fn a_reserved_name_is_found_where_it_stands() {
    for (at, name) in RESERVED.iter().enumerate() {
        assert_eq!(reserved(name), Some(at), "{name}");
    }
    assert_eq!(reserved("actors"), None);
}

fn owner() -> Owner {
    Owner {
        tenant: "t".into(),
        run: "r".into(),
    }
}

fn line(fact: &Fact, seq: u64) -> Vec<u8> {
    let commit = fact
        .payload
        .as_deref()
        .map(|payload| commitment(&[1; 32], payload));
    let head = Head {
        owner: &owner(),
        seq,
        ts_us: 1_795_000_000_123_456,
        prev: &NO_PREVIOUS,
        commit: commit.as_deref(),
        sealed: None,
    };
    let mut out = Vec::new();
    push_line(&mut out, &head, fact);
    out
}

#[test]
fn refuses_the_ledgers_own_fields() {
    for name in RESERVED {
        let fact = Fact::new(Kind::Message, "t/a").with(name, "x");
        assert!(refusal(&fact, &owner()).unwrap().contains(name));
    }
    for name in ["", "a b", "a\n", "ä", &"x".repeat(65)] {
        let fact = Fact::new(Kind::Message, "t/a").with(name, "x");
        assert!(refusal(&fact, &owner()).is_some(), "{name:?}");
    }
    assert!(refusal(&Fact::new(Kind::Message, ""), &owner()).is_some());
}

#[test]
fn led_014_a_line_over_64_kib_is_refused_and_its_text_fits_the_payload() {
    let text = "x".repeat(1 << 20);
    let fact = Fact::new(Kind::ToolResult, "t/a").with("text", text.as_str());
    assert!(
        refusal(&fact, &owner())
            .unwrap()
            .contains("use the payload")
    );
    let fact = Fact::new(Kind::ToolResult, "t/a").payload(text.into_bytes());
    assert_eq!(refusal(&fact, &owner()), None);
    assert!(line(&fact, 0).len() < 1024);
    let huge = Fact::new(Kind::ToolResult, "t/a").payload(vec![0; PAYLOAD_BYTES_MAX + 1]);
    assert!(refusal(&huge, &owner()).is_some());
}

#[test]
fn the_longest_accepted_fact_fits_the_line() {
    // Each U+0000 takes six bytes: what counts is the line, not the string.
    for unit in ["x", "\u{0}", "\"", "é"] {
        let mut len = 1;
        let fact = |len: usize| Fact::new(Kind::Message, "t/a").with("text", unit.repeat(len));
        while refusal(&fact(len * 2), &owner()).is_none() {
            len *= 2;
        }
        for step in (0..20).rev().map(|bit| 1_usize << bit) {
            if refusal(&fact(len + step), &owner()).is_none() {
                len += step;
            }
        }
        let longest = line(&fact(len), u64::MAX).len();
        assert!(longest <= LINE_BYTES_MAX, "{longest}");
        assert!(
            longest > LINE_BYTES_MAX - 64,
            "{longest}: the bound is too careful"
        );
    }
}

#[test]
fn led_014_control_characters_and_separators_are_stored_escaped() {
    let text = "\u{0}\u{2028}\u{7f}\u{202e}";
    let fact = Fact::new(Kind::Message, "t/a").with("text", text);
    let line = line(&fact, 0);
    assert!(!line.contains(&0) && !line.contains(&b'\n'));
    assert_eq!(StoredRecord::parse(&line).unwrap().text("text"), Some(text));
}

#[test]
fn led_015_a_newline_in_a_guests_text_cannot_start_a_record() {
    let forged = "x\"}\n{\"actor\":\"t/host\",\"kind\":\"run.end\",\"v\":\"fhe/1\"}";
    let fact = Fact::new(Kind::Message, forged)
        .with("text", forged)
        .with("list", vec![forged.to_owned()])
        .with(
            "map",
            Value::Map([(forged.to_owned(), forged.to_owned())].into()),
        );
    let line = line(&fact, 0);
    assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 0);
    let record = StoredRecord::parse(&line).unwrap();
    assert_eq!(
        (record.kind(), record.actor.as_str()),
        (Some(Kind::Message), forged)
    );
}

#[test]
fn led_012_refuses_records_with_a_wrong_field() {
    let good = String::from_utf8(line(&Fact::new(Kind::Message, "t/a"), 0)).unwrap();
    assert!(StoredRecord::parse(good.as_bytes()).is_ok());
    for (from, to) in [
        ("\"fhe/1\"", "\"fhe/2\""),
        ("\"seq\":\"0\"", "\"seq\":\"00\""),
        ("\"seq\":\"0\"", "\"seq\":\"+1\""),
        ("\"seq\":\"0\"", "\"seq\":\"-1\""),
        ("\"seq\":\"0\"", "\"seq\":\"18446744073709551616\""),
        ("\"seq\":\"0\"", "\"seq\":[\"0\"]"),
        ("000000\",\"run\"", "00000A\",\"run\""),
        ("000000\",\"run\"", "00000\",\"run\""),
        (".123456Z", ".123Z"),
        (".123456Z", ".123456z"),
        ("\"kind\":\"message\"", "\"kind\":\"\""),
        (
            "\"kind\":\"message\"",
            "\"commit\":\"sha256:00\",\"kind\":\"message\"",
        ),
        ("\"tenant\":\"t\",", ""),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{from}");
        assert!(StoredRecord::parse(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn prints_timestamps_as_rfc_3339() {
    for (us, text) in [
        (0, "1970-01-01T00:00:00.000000Z"),
        (951_782_399_999_999, "2000-02-28T23:59:59.999999Z"),
        (951_782_400_000_000, "2000-02-29T00:00:00.000000Z"),
        (1_709_251_199_000_001, "2024-02-29T23:59:59.000001Z"),
        (1_795_233_600_000_000, "2026-11-21T04:00:00.000000Z"),
        (4_107_542_400_000_000, "2100-03-01T00:00:00.000000Z"),
        (253_402_300_799_999_999, "9999-12-31T23:59:59.999999Z"),
    ] {
        assert_eq!(timestamp(us), text);
        assert!(ts_is_valid(text));
    }
}

#[test]
fn reserved_names_are_sorted_as_the_line_needs_them() {
    assert!(RESERVED.is_sorted());
}

#[test]
fn every_kind_can_be_read_back() {
    for (kind, text, _) in Kind::ALL {
        assert_eq!(Kind::parse(text), Some(*kind));
    }
    assert_eq!(Kind::parse("no.such"), None);
}

proptest! {
    #[test]
    fn any_fact_that_is_accepted_reads_back(
        actor in "[^\\x00]{1,12}",
        fields in proptest::collection::btree_map("[a-zA-Z0-9_.-]{1,9}", any::<String>(), 0..6),
        payload in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..40)),
        seq in any::<u64>(),
    ) {
        let mut fact = Fact::new(Kind::HostCall, actor);
        fact.payload = payload;
        for (name, value) in fields {
            fact = fact.with(&name, value);
        }
        if refusal(&fact, &owner()).is_none() {
            let record = StoredRecord::parse(&line(&fact, seq)).unwrap();
            let mut fields = record.fields.clone();
            if fact.payload.is_some() && !fact.fields.contains_key("bytes") {
                fields.remove("bytes");
            }
            prop_assert_eq!(&fields, &fact.fields);
            prop_assert_eq!(record.actor, fact.actor);
            prop_assert_eq!(record.seq, seq);
            prop_assert_eq!(record.commit.is_some(), fact.payload.is_some());
        }
    }

    #[test]
    fn parsing_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = StoredRecord::parse(&bytes);
        let _ = crate::payloads::Payload::parse(&bytes);
        let _ = crate::checkpoint::Note::parse(&bytes);
        let _ = crate::layout::Meta::parse(&bytes);
    }
}
