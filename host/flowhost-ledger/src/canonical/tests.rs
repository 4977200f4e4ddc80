//! Tests of the canonical form: what is refused, and that printing and parsing agree.

use proptest::prelude::*;

use super::*;

fn what(line: &[u8]) -> &'static str {
    parse_line(line).expect_err("must be refused").what
}

#[test]
fn led_012_refuses_every_other_spelling_of_the_same_object() {
    for bad in [
        "",
        "{",
        "[]",
        "\"a\"",
        "{\"a\":\"b\"}\r",
        "\u{feff}{\"a\":\"b\"}",
        "{\"a\":\"b\"} ",
        " {\"a\":\"b\"}",
        "{ \"a\":\"b\"}",
        "{\"a\" :\"b\"}",
        "{\"a\": \"b\"}",
        "{\"a\":\"b\",}",
        "{\"a\":\"b\",\"a\":\"c\"}",
        "{\"b\":\"\",\"a\":\"\"}",
        "{\"a\":1}",
        "{\"a\":true}",
        "{\"a\":null}",
        "{\"a\":[[]]}",
        "{\"a\":{\"b\":{}}}",
        "{\"a\":{\"b\":\"\",\"b\":\"\"}}",
        "{\"a\":[\"b\",]}",
        "{\"a\":\"\t\"}",
        "{\"a\":\"\u{0}\"}",
        "{\"a\":\"\\/\"}",
        "{\"a\":\"\\u0041\"}",
        "{\"a\":\"\\u000a\"}",
        "{\"a\":\"\\u001F\"}",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":\"\\u2028\"}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\",
        "{\"a\":\"",
    ] {
        assert!(parse_line(bad.as_bytes()).is_err(), "{bad:?} was accepted");
    }
}

#[test]
fn names_what_is_wrong_and_where() {
    assert_eq!(what(b"{\"a\":\"\",\"a\":\"\"}"), "a duplicate key");
    assert_eq!(what(b"{\"b\":\"\",\"a\":\"\"}"), "keys out of order");
    let fault = parse_line(b"{\"a\":1}").expect_err("a number");
    assert_eq!(fault.offset, 5);
    let fault = parse_line(b"{\"a\":\"\xff\"}").expect_err("not UTF-8");
    assert_eq!((fault.offset, fault.what), (6, "not UTF-8"));
}

#[test]
fn sorts_keys_by_utf16_code_units_as_rfc_8785_says() {
    // U+1F600 starts with the surrogate D83D, which sorts before U+FB33; by bytes it is after.
    assert_eq!(compare_keys("\u{1f600}", "\u{fb33}"), Ordering::Less);
    let map: BTreeMap<String, String> = [
        ("\u{fb33}".into(), "1".into()),
        ("\u{1f600}".into(), "2".into()),
    ]
    .into();
    let line = object([("m", Value::Map(map))]);
    assert_eq!(
        String::from_utf8(line).unwrap(),
        "{\"m\":{\"\u{1f600}\":\"2\",\"\u{fb33}\":\"1\"}}"
    );
}

#[test]
fn escapes_as_rfc_8785_says() {
    let line = object([(
        "a",
        "\u{8}\t\n\u{c}\r\"\\/\u{0}\u{1f}\u{7f}\u{2028}é".into(),
    )]);
    let expected = "{\"a\":\"\\b\\t\\n\\f\\r\\\"\\\\/\\u0000\\u001f\u{7f}\u{2028}é\"}";
    assert_eq!(String::from_utf8(line).unwrap(), expected);
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<String>().prop_map(Value::Text),
        proptest::collection::vec(any::<String>(), 0..4).prop_map(Value::List),
        proptest::collection::btree_map(any::<String>(), any::<String>(), 0..4)
            .prop_map(Value::Map),
    ]
}

proptest! {
    #[test]
    fn what_is_printed_parses_to_the_same(
        entries in proptest::collection::btree_map(any::<String>(), any_value(), 0..6)
    ) {
        let line = object(entries.iter().map(|(key, value)| (key.as_str(), value.clone())));
        let parsed = parse_line(&line).unwrap();
        let back: BTreeMap<String, Value> =
            parsed.iter().map(|(key, value)| (key.to_string(), value.to_value())).collect();
        prop_assert_eq!(back, entries.clone());
        let len: usize = entries
            .iter()
            .map(|(key, value)| escaped_len(key) + 4 + value_len(value))
            .sum::<usize>() + 2 - usize::from(!entries.is_empty());
        prop_assert_eq!(line.len(), len);
        // The reference reads the same, and one more byte anywhere at the end is refused.
        prop_assert!(serde_json::from_slice::<serde_json::Value>(&line).is_ok());
        let mut longer = line;
        longer.push(b' ');
        prop_assert!(parse_line(&longer).is_err());
    }

    #[test]
    fn whatever_is_accepted_is_what_the_printer_prints(line in "[{}\\[\\]\",:ab\\\\un0-2 ]{0,24}") {
        if let Ok(entries) = parse_line(line.as_bytes()) {
            let owned: Vec<(String, Value)> = entries
                .iter()
                .map(|(key, value)| (key.to_string(), value.to_value()))
                .collect();
            let again = object(owned.iter().map(|(key, value)| (key.as_str(), value.clone())));
            prop_assert_eq!(again, line.into_bytes());
        }
    }

    #[test]
    fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = parse_line(&bytes);
    }
}
