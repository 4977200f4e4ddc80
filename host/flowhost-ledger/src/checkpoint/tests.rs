//! Tests of notes and verifier keys: what strict reading refuses.

use super::*;
use crate::keys::HostKey;

const ORIGIN: &str = "host.example/evidence/t/r";

fn key(seed: u8) -> HostKey {
    HostKey::from_seed("host.example", [seed; 32]).unwrap()
}

fn checkpoint() -> Checkpoint {
    Checkpoint {
        origin: ORIGIN.into(),
        size: 3,
        root: [9; 32],
    }
}

fn note() -> String {
    HostKey::sign(&checkpoint(), &[&key(1)]).unwrap()
}

fn verify(text: &str, keys: &[VKey]) -> Result<Checkpoint, NoteError> {
    Note::parse(text.as_bytes())?
        .verify(keys)
        .map(|(checkpoint, _)| checkpoint.clone())
}

#[test]
fn led_007_refuses_a_note_by_a_key_that_was_not_given() {
    let text = HostKey::sign(&checkpoint(), &[&key(2)]).unwrap();
    assert_eq!(
        verify(&text, &[key(1).vkey_for(ORIGIN)]),
        Err(NoteError::UnknownKey)
    );
    assert_eq!(verify(&text, &[]), Err(NoteError::UnknownKey));
    assert_eq!(verify(&text, &[key(2).vkey_for(ORIGIN)]), Ok(checkpoint()));
}

#[test]
fn led_009_refuses_small_order_keys() {
    // The encodings of the points of order 1, 2, 4 and 8 (and their second spellings where the
    // curve has them), from RFC 8032's curve.
    for point in [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    ] {
        let mut bytes = vec![ED25519];
        bytes.extend(hex::decode(point).unwrap());
        let hash = Sha256::new()
            .chain_update(b"n\n")
            .chain_update(&bytes)
            .finalize();
        let text = format!("n+{}+{}", hex::encode(&hash[..4]), BASE64.encode(&bytes));
        assert_eq!(VKey::parse(&text), Err(NoteError::WeakKey), "{point}");
    }
}

#[test]
fn led_009_refuses_a_signature_with_a_scalar_that_is_not_reduced() {
    let text = note();
    let (head, line) = text.rsplit_once("\u{2014} ").unwrap();
    let (name, base64) = line.trim_end().split_once(' ').unwrap();
    let mut bytes = BASE64.decode(base64).unwrap();
    // S + L is the same scalar modulo the order L; lax verifiers accept it as a second signature.
    let order = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";
    let mut carry = 0_u16;
    for (byte, add) in bytes[36..].iter_mut().zip(hex::decode(order).unwrap()) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    let forged = format!("{head}\u{2014} {name} {}\n", BASE64.encode(bytes));
    let keys = [key(1).vkey_for(ORIGIN)];
    assert!(verify(&text, &keys).is_ok());
    assert!(matches!(
        verify(&forged, &keys),
        Err(NoteError::BadSignature(_))
    ));
}

#[test]
fn led_010_refuses_a_note_with_17_signatures_and_takes_one_with_16() {
    let keys: Vec<HostKey> = (1..=17).map(key).collect();
    let all: Vec<&HostKey> = keys.iter().collect();
    let believed = [key(16).vkey_for(ORIGIN)];
    let sixteen = HostKey::sign(&checkpoint(), &all[..16]).unwrap();
    assert_eq!(verify(&sixteen, &believed), Ok(checkpoint()));
    let seventeen = HostKey::sign(&checkpoint(), &all).unwrap();
    assert!(matches!(
        verify(&seventeen, &believed),
        Err(NoteError::Malformed(_))
    ));
}

#[test]
fn led_010_ignores_other_keys_of_the_same_name_but_no_wrong_signature_of_a_known_one() {
    let both = HostKey::sign(&checkpoint(), &[&key(2), &key(1)]).unwrap();
    assert!(verify(&both, &[key(1).vkey_for(ORIGIN)]).is_ok());
    // The known key's id with another key's signature.
    let signed = Note::parse(both.as_bytes()).unwrap();
    let mut forged = signed.clone();
    forged.signatures[0].id = key(3).vkey_for(ORIGIN).id();
    let keys = [key(1).vkey_for(ORIGIN), key(3).vkey_for(ORIGIN)];
    assert!(matches!(
        forged.verify(&keys),
        Err(NoteError::BadSignature(_))
    ));
    assert!(signed.verify(&keys).is_ok());
}

#[test]
fn led_011_refuses_sizes_and_roots_in_any_other_spelling() {
    let good = note();
    let keys = [key(1).vkey_for(ORIGIN)];
    for size in [
        "03",
        "+3",
        "-3",
        " 3",
        "3 ",
        "0x3",
        "",
        "3.0",
        "18446744073709551616",
        "٣",
    ] {
        let bad = good.replacen("\n3\n", &format!("\n{size}\n"), 1);
        assert!(
            matches!(verify(&bad, &keys), Err(NoteError::Malformed(_))),
            "{size:?}"
        );
    }
    let root = BASE64.encode([9; 32]);
    for bytes in [0, 31, 33] {
        let bad = good.replacen(&root, &BASE64.encode(vec![9_u8; bytes]), 1);
        assert!(
            matches!(verify(&bad, &keys), Err(NoteError::Malformed(_))),
            "{bytes} bytes"
        );
    }
    for spelling in [
        root.trim_end_matches('=').to_owned(),
        root.replace('/', "_") + "=",
        {
            // The last digit before the padding carries two bits that must be zero.
            let mut spelled = root.clone().into_bytes();
            let at = spelled.len() - 2;
            spelled[at] += 1;
            String::from_utf8(spelled).unwrap()
        },
    ] {
        let bad = good.replacen(&root, &spelling, 1);
        assert!(verify(&bad, &keys).is_err(), "{spelling}");
    }
}

#[test]
fn led_001_every_single_bit_of_a_note_counts() {
    let good = note();
    let keys = [key(1).vkey_for(ORIGIN)];
    assert!(verify(&good, &keys).is_ok());
    for at in 0..good.len() * 8 {
        let mut bad = good.clone().into_bytes();
        bad[at / 8] ^= 1 << (at % 8);
        let result = Note::parse(&bad).and_then(|note| note.verify(&keys).map(|_| ()));
        assert!(result.is_err(), "bit {at} does not count");
    }
}

#[test]
fn a_key_of_a_host_is_believed_for_its_ledgers_and_no_others() {
    let host = key(1).vkey();
    assert_eq!(host.for_origin(ORIGIN), Some(key(1).vkey_for(ORIGIN)));
    for other in [
        "host.example.evil/evidence/t/r",
        "host.example/t/r",
        "x/evidence/t/r",
    ] {
        assert_eq!(host.for_origin(other), None, "{other}");
    }
    assert_eq!(
        key(1)
            .vkey_for(ORIGIN)
            .for_origin("host.example/evidence/t/other"),
        None
    );
}

#[test]
fn refuses_verifier_keys_in_any_other_spelling() {
    let good = key(1).vkey().to_string();
    assert!(VKey::parse(&good).is_ok());
    for at in 0..good.len() * 8 {
        let mut bad = good.clone().into_bytes();
        bad[at / 8] ^= 1 << (at % 8);
        if let Ok(text) = std::str::from_utf8(&bad) {
            assert!(VKey::parse(text).is_err(), "{text}");
        }
    }
}
