//! What is written is what is read, older records included, and the book says the same.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::fact::Value;

fn fields(pairs: &[(&str, &str)]) -> Fields {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| ((*name).to_owned(), Value::from(*value)))
        .collect()
}

#[test]
fn refuses_a_record_without_a_field_that_every_one_of_its_kind_has() {
    let error = Record::of(Kind::ViewWrite, &fields(&[("path", "report.json")])).unwrap_err();
    assert_eq!(error.to_string(), "the field `sha256` is missing");
}

#[test]
fn refuses_a_field_of_another_form_even_where_it_may_be_missing() {
    let path = ("path", "report.json");
    for (name, value) in [
        ("size", "-1"),
        ("size", "007"),
        ("size", "1e3"),
        ("size", ""),
    ] {
        let all = fields(&[path, ("sha256", "00"), (name, value)]);
        let error = Record::of(Kind::ViewWrite, &all).unwrap_err();
        assert_eq!(
            (error.name, error.what),
            (name, "has to be a decimal number")
        );
    }
    let mut all = fields(&[path]);
    all.insert("sha256".to_owned(), Value::List(Vec::new()));
    assert!(Record::of(Kind::ViewWrite, &all).is_err());
}

#[test]
fn refuses_a_word_that_nobody_knows() {
    let all = fields(&[("status", "failed"), ("owner", "nobody")]);
    let error = Record::of(Kind::RunEnd, &all).unwrap_err();
    assert_eq!(error.what, "is not one of the words that it can be");
}

#[test]
fn reads_a_record_of_the_first_wave() {
    let all = fields(&[
        ("step", "s1"),
        ("attempt", "1"),
        ("component", "sha256:00"),
        ("profile", "sha256:11"),
        ("interface", "flowhost:http/client@0.1.0"),
        ("decision", "deny"),
        ("right", "http"),
        ("rule", "http#none"),
        ("wanted", "GET https://a.example/"),
    ]);
    let record = Record::of(Kind::NetDecision, &all).unwrap();
    assert!(record.is_denial());
    assert_eq!(record.step(), "s1");
    let decided = record.decided().unwrap();
    assert_eq!(decided.wanted.as_deref(), Some("GET https://a.example/"));
    assert_eq!(record.part::<CallPart>().unwrap().call, None);
}

#[test]
fn the_number_of_a_model_call_is_found_where_older_hosts_wrote_it() {
    let old = fields(&[
        ("step", "s"),
        ("component", "c"),
        ("profile", "p"),
        ("call", "7"),
        ("try", "1"),
    ]);
    let Record::ModelIntent(old) = Record::of(Kind::ModelIntent, &old).unwrap() else {
        panic!("the kind is the one that was asked for");
    };
    assert_eq!(old.of_try.number(&old.call_of), Some(7));
    let new = ModelIntent {
        call_of: CallPart {
            call: Some("3".to_owned()),
            ..CallPart::default()
        },
        of_try: TryPart {
            request: Some(9),
            ..TryPart::default()
        },
        ..ModelIntent::default()
    };
    assert_eq!(new.of_try.number(&new.call_of), Some(9));
}

#[test]
fn names_that_are_keywords_are_words_on_the_wire() {
    let secret = SecretUse {
        r#use: Some("inject".to_owned()),
        ..SecretUse::default()
    };
    assert_eq!(
        secret.into_fields().get("use"),
        Some(&Value::from("inject"))
    );
}

#[test]
fn what_says_nothing_is_not_written() {
    let fields = RunEnd {
        status: "ok".to_owned(),
        ..RunEnd::default()
    }
    .into_fields();
    assert_eq!(fields.keys().collect::<Vec<_>>(), ["status"]);
}

#[test]
fn no_kind_names_a_field_twice_or_one_of_the_ledgers_own() {
    for (kind, name, _) in Kind::ALL {
        let fields = kind.fields();
        for (at, field) in fields.iter().enumerate() {
            let again = fields
                .iter()
                .skip(at + 1)
                .any(|other| other.name == field.name);
            assert!(!again, "{name}: {}", field.name);
            assert!(
                !crate::RESERVED.contains(&field.name),
                "{name}: {}",
                field.name
            );
            assert!(
                field.doc.ends_with('.'),
                "{name}: {} says nothing",
                field.name
            );
        }
    }
}

#[test]
fn the_book_has_every_kind_and_every_field() {
    let page = include_str!("../../../../docs/ledger.md");
    let cure = "run `cargo run -p flowhost-ledger --example records` and paste what it prints";
    assert!(
        page.contains(&book::kinds_table()),
        "docs/ledger.md: {cure}"
    );
    let page = include_str!("../../../../docs/records.md");
    assert!(
        page.ends_with(&book::fields_page()),
        "docs/records.md: {cure}, with `fields`"
    );
    let schema = include_str!("../../../../docs/records.schema.json");
    let schema: serde_json::Value = serde_json::from_str(schema).unwrap();
    assert_eq!(
        schema,
        book::schema(),
        "docs/records.schema.json: {cure}, with `schema`"
    );
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        ".{0,12}".prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        proptest::sample::select(vec![
            "true", "false", "allow", "deny", "guest", "plan", "007"
        ])
        .prop_map(Value::from),
        proptest::collection::vec("[0-9]{1,3}", 0..3).prop_map(Value::from),
        proptest::collection::btree_map("[a-z]{1,3}", ".{0,3}", 0..3)
            .prop_map(|map: BTreeMap<String, String>| Value::from(map)),
    ]
}

proptest! {
    /// Whatever lies in a ledger: what can be read is written again as it was, but for fields that
    /// the kind does not have.
    #[test]
    fn what_can_be_read_is_written_again_as_it_was(
        kind in 0..Kind::ALL.len(),
        values in proptest::collection::vec(value(), 48),
        there in proptest::collection::vec(any::<bool>(), 48),
    ) {
        let (kind, ..) = Kind::ALL[kind];
        let described = kind.fields();
        let mut fields = Fields::new();
        for ((field, value), there) in described.iter().zip(values).zip(there) {
            if there || field.required {
                fields.insert(field.name.to_owned(), value);
            }
        }
        // Whoever borrows it reads the same, also of what is wrong with it.
        let lent = lent::Record::of(kind, (&fields).into());
        let owned = Record::of(kind, &fields);
        prop_assert_eq!(format!("{lent:?}"), format!("{owned:?}"));
        if let (Ok(lent), Ok(owned)) = (&lent, &owned) {
            prop_assert_eq!(lent.kind(), owned.kind());
            prop_assert_eq!(lent.step(), owned.step());
            prop_assert_eq!(lent.is_denial(), owned.is_denial());
            prop_assert_eq!(lent.at().is_some(), owned.part::<StepPart>().is_some());
        }
        if let Ok(record) = owned {
            prop_assert_eq!(record.kind(), kind);
            prop_assert_eq!(record.into_fields(), fields);
        }
    }
}
