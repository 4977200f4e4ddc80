//! What the script of a replay takes for the same, and where it says that it is not.

use std::collections::BTreeMap;

use super::*;
use crate::standin::free::Free as _;

/// A record as the ledger would have written it.
fn entry(seq: u64, actor: &str, kind: &str, fields: &[(&str, &str)]) -> Entry {
    let number = seq.to_string();
    let prev = "0".repeat(64);
    let own = [
        ("actor", actor),
        ("kind", kind),
        ("prev", &prev),
        ("run", "r"),
        ("seq", &number),
        ("tenant", "t"),
        ("ts", "2026-11-21T04:00:00.000000Z"),
        ("v", "fhe/1"),
    ];
    let line: BTreeMap<&str, &str> = own.into_iter().chain(fields.iter().copied()).collect();
    let line = serde_json::to_vec(&line).unwrap();
    Entry {
        record: StoredRecord::parse(&line).unwrap(),
        payload: None,
        exact: None,
    }
}

fn fact(kind: Kind, call: &str, fields: &[(&str, &str)]) -> Fact {
    let fact = Fact::new(kind, "t/a").with("call", call);
    fields
        .iter()
        .fold(fact, |fact, (name, value)| fact.with(name, *value))
}

fn script(entries: Vec<Entry>) -> Script {
    Script::new(entries, Vec::new())
}

#[test]
fn a_fact_that_says_otherwise_is_found_at_its_record_and_nothing_is_taken_after_it() {
    let script = script(vec![
        entry(3, "t/a", "host.call", &[("call", "1"), ("rule", "a")]),
        entry(4, "t/a", "host.call", &[("call", "1"), ("rule", "b")]),
    ]);
    let first = fact(Kind::HostCall, "1", &[("rule", "a")]);
    assert_eq!(script.append(first).unwrap(), 3);
    let other = fact(Kind::HostCall, "1", &[("rule", "c")]);
    assert!(matches!(script.append(other), Err(LedgerError::Differs)));
    let right = fact(Kind::HostCall, "1", &[("rule", "b")]);
    assert!(matches!(script.append(right), Err(LedgerError::Differs)));
    let difference = script.difference().unwrap();
    assert_eq!(difference.record, Some(4));
    assert_eq!(difference.expected.unwrap()["rule"], "b");
    assert_eq!(difference.got.unwrap()["rule"], "c");
    assert_eq!(script.matched(), 1);
}

#[test]
fn calls_that_overlapped_are_each_compared_in_their_own_order() {
    let script = script(vec![
        entry(0, "t/a", "host.call", &[("call", "1")]),
        entry(1, "t/a", "host.call", &[("call", "2")]),
        entry(2, "t/a", "host.call", &[("call", "1"), ("rule", "z")]),
    ]);
    let said = [
        fact(Kind::HostCall, "2", &[]),
        fact(Kind::HostCall, "1", &[]),
        fact(Kind::HostCall, "1", &[("rule", "z")]),
    ];
    let numbers: Vec<u64> = said
        .into_iter()
        .map(|fact| script.append(fact).unwrap())
        .collect();
    assert_eq!(numbers, [1, 0, 2]);
    script.ended(Some("1"));
    assert_eq!(script.difference(), None);
}

#[test]
fn how_long_a_call_took_is_the_records_word_and_what_it_used_is_not() {
    let result = |duration: &str, fuel: &str| {
        let fields = [("duration_ms", duration), ("fuel", fuel), ("tool", "t")];
        fact(Kind::ToolResult, "1", &fields)
    };
    let recorded = || {
        let fields = [
            ("call", "1"),
            ("duration_ms", "900"),
            ("fuel", "7"),
            ("tool", "t"),
        ];
        script(vec![entry(5, "t/a", "tool.result", &fields)])
    };
    assert_eq!(recorded().append(result("2", "7")).unwrap(), 5);
    assert!(recorded().append(result("900", "8")).is_err());
}

#[test]
fn a_record_that_is_left_over_is_a_difference_and_so_is_one_too_many() {
    let left = script(vec![entry(8, "t/a", "host.call", &[("call", "1")])]);
    left.ended(Some("1"));
    assert_eq!(left.difference().unwrap().record, Some(8));
    let none = script(Vec::new());
    assert!(none.append(fact(Kind::HostCall, "1", &[])).is_err());
    assert_eq!(none.difference().unwrap().record, None);
}

#[test]
fn a_payload_that_was_erased_cannot_be_compared() {
    let commit = format!("hmac-sha256:{}", "0".repeat(64));
    let fields = [("bytes", "1"), ("call", "1"), ("commit", commit.as_str())];
    let script = script(vec![entry(2, "t/a", "host.call", &fields)]);
    let same = fact(Kind::HostCall, "1", &[]).payload(b"x".to_vec());
    assert!(script.append(same).is_err());
    let what = script.difference().unwrap().what;
    assert!(what.contains("erased"), "{what}");
}

#[test]
fn a_time_limit_is_taken_from_the_record_and_a_guests_own_end_is_not() {
    let ended = |owner: &str, text: &str| {
        let fields = [
            ("call", "1"),
            ("owner", owner),
            ("status", "failed"),
            ("tool", "t"),
        ];
        let mut entry = entry(0, "t/a", "tool.result", &fields);
        entry.payload = Some(text.as_bytes().to_vec());
        script(vec![entry])
            .cut("1")
            .map(|cut| cut.fault.to_string())
    };
    let late = "the limit `deadline` was reached: used 201, allowed 200";
    assert_eq!(ended("limit", late).as_deref(), Some(late));
    let begun_late = flowhost_engine::NO_TIME_LEFT;
    assert_eq!(ended("limit", begun_late).as_deref(), Some(begun_late));
    assert_eq!(
        ended("host", "host failure: no disk").as_deref(),
        Some("host failure: no disk")
    );
    assert_eq!(ended("guest", "the component trapped: x"), None);
    assert_eq!(
        ended("limit", "the limit `fuel` was reached: used 2, allowed 1"),
        None
    );
}
