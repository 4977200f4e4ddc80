//! Envelopes from the outside: hashing, sealing, reading.
#![expect(clippy::unwrap_used, reason = "what several tests do")]

use std::collections::HashSet;
use std::sync::Arc;

use flowhost_bus::{Body, DEPTH_MAX, Envelope, EnvelopeError, Head, INTEGER_MAX, Ulid};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

fn sealed(payload: Value) -> Result<Envelope, EnvelopeError> {
    head().seal(payload)
}

/// An envelope's content beside the hash that belongs to it, as a broker hands it over.
fn on_the_wire(content: &Value) -> Vec<u8> {
    let canonical = serde_json_canonicalizer::to_vec(content).unwrap();
    let hash = format!("sha256:{}", hex::encode(Sha256::digest(canonical)));
    serde_json::to_vec(&json!({ "hash": hash, "envelope": content })).unwrap()
}

fn content(envelope: &Envelope) -> Value {
    let wire: Value = serde_json::from_slice(&envelope.to_vec().unwrap()).unwrap();
    wire.get("envelope").unwrap().clone()
}

fn head() -> Head {
    Head {
        id: Ulid::from_parts(1_700_000_000_000, 1),
        tenant: "default".into(),
        run: "R".into(),
        step: "s".into(),
        actor: "default/host".into(),
        correlation: "c".into(),
        causation: String::new(),
        traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into(),
        kind: "message".into(),
    }
}

/// JSON with one canonical form.
fn payload() -> impl Strategy<Value = Value> {
    let integer = -(INTEGER_MAX as i64)..=INTEGER_MAX as i64;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        integer.prop_map(Value::from),
        any::<f64>().prop_filter_map("finite, no integer", |number| {
            (number.is_finite() && number.fract() != 0.0).then(|| Value::from(number))
        }),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(".{0,6}", inner, 0..6)
                .prop_map(|fields| Value::from(Map::from_iter(fields))),
        ]
    })
}

/// JSON that needs no sorting and no doubles, as most payloads are.
fn plain() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i32>().prop_map(Value::from),
        (1..=INTEGER_MAX).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map("[ -~]{0,6}", inner, 0..6)
                .prop_map(|fields| Value::from(Map::from_iter(fields))),
        ]
    })
}

/// The same JSON text with the fields of every object turned round and spaces in between.
fn permuted(value: &Value, out: &mut String) {
    match value {
        Value::Object(fields) => {
            out.push_str("{ ");
            for (n, (key, value)) in fields.iter().rev().enumerate() {
                out.push_str(if n > 0 { " , " } else { "" });
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push_str(" : ");
                permuted(value, out);
            }
            out.push_str(" }");
        }
        Value::Array(items) => {
            out.push('[');
            for (n, item) in items.iter().enumerate() {
                out.push_str(if n > 0 { ",\n" } else { "" });
                permuted(item, out);
            }
            out.push(']');
        }
        other => out.push_str(&other.to_string()),
    }
}

/// Something that travels as it is within a process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Parcel {
    number: u32,
    content: Value,
}

impl Body for Parcel {
    fn json(&self) -> Result<Value, serde_json::Error> {
        serde_json::to_value(self)
    }

    fn values(&self) -> Vec<(&Value, usize)> {
        vec![(&self.content, 1)]
    }

    fn bytes(&self) -> usize {
        32
    }
}

fn parcel(content: Value) -> Arc<Parcel> {
    Arc::new(Parcel { number: 7, content })
}

fn head_of_a_parcel() -> Head {
    Head {
        id: Ulid::from_parts(1_700_000_000_000, 2),
        traceparent: String::new(),
        kind: "parcel".into(),
        ..head()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn permuted_fields_hash_equal(payload in payload()) {
        let sealed = sealed(payload).unwrap();
        let wire: Value = serde_json::from_slice(&sealed.to_vec().unwrap()).unwrap();
        let mut turned = String::new();
        permuted(&wire, &mut turned);
        let read = Envelope::from_slice(turned.as_bytes()).unwrap();
        prop_assert_eq!(read.hash(), sealed.hash());
    }

    #[test]
    fn the_hash_is_over_the_form_that_rfc_8785_gives(payload in prop_oneof![payload(), plain()]) {
        let sealed = sealed(payload).unwrap();
        let canonical = serde_json_canonicalizer::to_vec(&content(&sealed)).unwrap();
        let hash: [u8; 32] = Sha256::digest(&canonical).into();
        prop_assert_eq!(sealed.hash(), &hash);
        prop_assert_eq!(sealed.canonical_bytes(), canonical.len());
    }

    #[test]
    fn what_is_carried_as_it_is_leaves_the_process_as_its_json_would(content in payload()) {
        let body = parcel(content);
        let carried = head_of_a_parcel().carry(body.clone()).unwrap();
        let sealed = head_of_a_parcel().seal(body.json().unwrap()).unwrap();
        prop_assert_eq!(carried.to_vec().unwrap(), sealed.to_vec().unwrap());
        prop_assert_eq!(&carried, &sealed);
        let here = carried.body::<Parcel>().unwrap();
        prop_assert!(Arc::ptr_eq(&here, &body), "nothing was made anew");
        let there = Envelope::from_slice(&carried.to_vec().unwrap()).unwrap();
        let read = there.body::<Parcel>().unwrap();
        let canonical: Parcel = carried.read().unwrap();
        prop_assert_eq!(read.number, canonical.number);
    }

    #[test]
    fn an_envelope_within_another_is_read_as_it_was_sent(payload in payload()) {
        let said = sealed(payload).unwrap();
        let here = sealed(said.to_json().unwrap()).unwrap();
        let there = Envelope::from_slice(&here.to_vec().unwrap()).unwrap();
        for holds in [here, there] {
            let read = Envelope::from_json(holds.payload().unwrap()).unwrap();
            prop_assert_eq!(&read, &said);
        }
    }

    #[test]
    fn a_changed_payload_changes_the_hash(one in payload(), two in payload()) {
        prop_assume!(one != two);
        let (one, two) = (sealed(one).unwrap(), sealed(two).unwrap());
        prop_assert_ne!(one.hash(), two.hash());
    }

    #[test]
    fn any_bytes_are_refused_or_read(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        prop_assert!(Envelope::from_slice(&bytes).is_err());
    }

    #[test]
    fn a_flipped_bit_is_refused_or_changes_nothing(payload in payload(), at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let sealed = sealed(payload).unwrap();
        let mut bytes = sealed.to_vec().unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(read) = Envelope::from_slice(&bytes) {
            prop_assert_eq!(read, sealed);
        }
    }
}

#[test]
fn a_hundred_thousand_random_envelopes_do_not_collide() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut seen = HashSet::new();
    for _ in 0..100_000 {
        let payload = json!({ "n": next() >> 12, "t": format!("{:x}", next()) });
        let head = Head {
            id: Ulid::from_parts(next() >> 16, u128::from(next())),
            step: (next() % 7).to_string(),
            ..head()
        };
        assert!(seen.insert(*head.seal(payload).unwrap().hash()));
    }
}

#[test]
fn every_field_is_part_of_the_hash() {
    let base = sealed(json!(1)).unwrap();
    let content = content(&base);
    let fields = content.as_object().unwrap();
    assert_eq!(fields.len(), 10);
    for key in fields.keys() {
        let mut changed = content.clone();
        changed[key] = match key.as_str() {
            "id" => json!(Ulid::from_parts(1, 1).to_string()),
            _ => json!("other"),
        };
        let changed = Envelope::from_slice(&on_the_wire(&changed)).unwrap();
        assert_ne!(changed.hash(), base.hash(), "{key}");
    }
}

#[test]
fn refuses_integers_that_share_their_canonical_form_with_a_neighbour() {
    let over = INTEGER_MAX + 1;
    for payload in [
        json!(over),
        json!([{ "n": over }]),
        json!(-(over as i64)),
        json!(u64::MAX),
        json!(i64::MIN),
    ] {
        let refused = sealed(payload);
        assert!(matches!(refused, Err(EnvelopeError::Number(_))));
    }
    assert!(sealed(json!([INTEGER_MAX, -(INTEGER_MAX as i64)])).is_ok());
}

#[test]
fn what_is_carried_as_it_is_holds_what_an_envelope_may_carry() {
    let beyond = head_of_a_parcel().carry(parcel(json!([INTEGER_MAX + 1])));
    assert!(matches!(beyond, Err(EnvelopeError::Number(_))));
    let nest = |levels| (0..levels).fold(json!(1), |inner, _| json!([inner]));
    // The parcel itself is a level.
    assert!(
        head_of_a_parcel()
            .carry(parcel(nest(DEPTH_MAX - 1)))
            .is_ok()
    );
    let deep = head_of_a_parcel().carry(parcel(nest(DEPTH_MAX)));
    assert!(matches!(deep, Err(EnvelopeError::Depth { .. })));
    let large = head_of_a_parcel()
        .carry(parcel(json!("x".repeat(5_000))))
        .unwrap();
    assert!(
        large.canonical_bytes() > 5_000,
        "its content counts against a queue"
    );
}

#[test]
fn another_body_is_read_from_its_json() {
    let carried = head_of_a_parcel().carry(parcel(json!({ "a": 1 }))).unwrap();
    let other: Value = carried.read().unwrap();
    assert_eq!(other, json!({ "number": 7, "content": { "a": 1 } }));
    let wrong = carried.read::<Vec<u8>>();
    assert!(matches!(wrong, Err(EnvelopeError::Payload(_))), "{wrong:?}");
}

#[test]
fn refuses_a_payload_that_nests_too_deeply() {
    let nest = |levels| (0..levels).fold(json!(1), |inner, _| json!([inner]));
    let deepest = sealed(nest(flowhost_bus::DEPTH_MAX)).unwrap();
    let wire = deepest.to_vec().unwrap();
    assert_eq!(Envelope::from_slice(&wire), Ok(deepest), "it can be read");
    let deep = sealed(nest(flowhost_bus::DEPTH_MAX + 1));
    assert!(matches!(deep, Err(EnvelopeError::Depth { .. })));
}

#[test]
fn refuses_unknown_fields_and_a_hash_of_other_content() {
    type Way = fn(&Value) -> Result<Envelope, EnvelopeError>;
    let sealed = sealed(json!({ "a": 1 })).unwrap();
    let wire: Value = serde_json::from_slice(&sealed.to_vec().unwrap()).unwrap();
    let mut more = wire.clone();
    more["envelope"]["admin"] = json!(true);
    let mut other = wire.clone();
    other["envelope"]["tenant"] = json!("other");
    let ways: [Way; 2] = [
        |value| Envelope::from_slice(value.to_string().as_bytes()),
        Envelope::from_json,
    ];
    for read in ways {
        assert!(matches!(read(&more), Err(EnvelopeError::Malformed(_))));
        assert!(matches!(read(&other), Err(EnvelopeError::Hash { .. })));
        assert_eq!(read(&wire).as_ref(), Ok(&sealed));
    }
}

#[test]
fn the_hash_is_sha256_of_the_canonical_form() {
    let sealed = sealed(json!({ "b": 1.0, "a": "ü" })).unwrap();
    let text = String::from_utf8(sealed.to_vec().unwrap()).unwrap();
    let (inner, hash) = text
        .strip_prefix("{\"envelope\":")
        .and_then(|rest| rest.split_once(",\"hash\":\"sha256:"))
        .unwrap();
    use sha2::{Digest, Sha256};
    assert_eq!(
        hex::encode(Sha256::digest(inner)),
        hash.trim_end_matches("\"}")
    );
    assert!(
        inner.contains("\"payload\":{\"a\":\"ü\",\"b\":1}"),
        "{inner}"
    );
    assert_eq!(inner.len(), sealed.canonical_bytes());
}
