//! Lines, notes, keys and proofs of the ledger.
//!
//! A verifier believes only bytes, so each of these has exactly one spelling, and no spelling of it
//! verifies but the one that was signed. The record, the note and the key are the published vector.

use flowhost_ledger::{HostKey, Note, StoredRecord, VKey, canonical, parse_trust, verify_proof};
use serde_json::Value;

use super::text;
use crate::{Outcome, Target};

pub(crate) const SEGMENT: &[u8] = include_bytes!("../../../vectors/fhe1-sample/seg-00000000.jsonl");
pub(crate) const NOTE_BYTES: &[u8] = include_bytes!("../../../vectors/fhe1-sample/checkpoint");
pub(crate) const VKEY_TEXT: &str = include_str!("../../../vectors/fhe1-sample/vkey");

const KEY_WORDS: &[&str] = &[
    "flowhost.example",
    "/evidence/",
    "PRIVATE+KEY+",
    "+",
    "/",
    "=",
    "AQ",
    "AAAA",
    "ccfdfaf1",
    "CCFDFAF1",
    " ",
    "\n",
    "\u{2014} ",
    "\n\n",
    "index 0\n",
    "index 00\n",
    "extra ",
    "18446744073709551615",
    "c2sp.org/tlog-proof@v1\n",
    "keys = [",
    "\"",
];

pub(crate) const LINE: Target = Target {
    name: "line",
    run: line,
    words: &[
        "\"actor\":\"a\"",
        "\"commit\":\"hmac-sha256:",
        "\"kind\":\"run.start\"",
        "\"seq\":\"0\"",
        "\"v\":\"fhe/1\"",
        "\\u0000",
        "\\u000a",
        "\\n",
        "\\/",
        "\\ud83d\\ude00",
        "\\ud800",
        "\u{e000}",
        "\u{10000}",
        "[\"a\"]",
        "{\"a\":\"b\"}",
        "{}",
        "[]",
        ",",
        "null",
        "0",
        "\u{7f}",
        "\u{feff}",
    ],
};

pub(crate) const NOTE: Target = Target {
    name: "note",
    run: note,
    words: KEY_WORDS,
};

pub(crate) const VKEY: Target = Target {
    name: "vkey",
    run: vkey,
    words: KEY_WORDS,
};

pub(crate) const HOST_KEY: Target = Target {
    name: "host-key",
    run: host_key,
    words: KEY_WORDS,
};

pub(crate) const TRUST: Target = Target {
    name: "trust",
    run: trust,
    words: KEY_WORDS,
};

pub(crate) const PROOF: Target = Target {
    name: "proof",
    run: proof,
    words: KEY_WORDS,
};

/// The key of the published vector, believed for that ledger.
pub(crate) fn trusted() -> Vec<VKey> {
    let key = VKey::parse(VKEY_TEXT.trim());
    assert!(key.is_ok(), "the vector's key does not parse: {key:?}");
    key.into_iter().collect()
}

/// Accepted means: it is its own canonical form, for us and for another implementation of RFC 8785.
fn line(bytes: &[u8]) -> Outcome {
    if let Ok(entries) = canonical::parse_line(bytes) {
        let fields = entries
            .iter()
            .map(|(key, value)| (&**key, value.to_value()));
        assert_eq!(canonical::object(fields), bytes);
        let theirs = serde_json::from_slice::<Value>(bytes).ok();
        let theirs = theirs.and_then(|value| serde_json_canonicalizer::to_vec(&value).ok());
        assert_eq!(theirs.as_deref(), Some(bytes));
    }
    let read = StoredRecord::parse(bytes);
    if let Ok(record) = &read {
        assert_eq!(record.line, bytes);
        assert_eq!(StoredRecord::parse(&record.line).as_ref(), Ok(record));
        assert!(canonical::parse_line(bytes).is_ok());
    }
    Outcome::of(&read)
}

/// Accepted means: what it says can be written and read again. Signed means: by the vector's key
/// only its own text is.
fn note(bytes: &[u8]) -> Outcome {
    let read = Note::parse(bytes);
    if let Ok(note) = &read {
        let said = note.unverified();
        let block = text(bytes);
        let block = block.rsplit_once("\n\n").map_or("", |(_, block)| block);
        let again = Note::parse(format!("{}\n{block}", said.text()).as_bytes());
        assert_eq!(again.as_ref().map(Note::unverified), Ok(said));
        if let Ok((believed, keys)) = note.verify(&trusted()) {
            let original = Note::parse(NOTE_BYTES);
            assert_eq!(original.as_ref().map(Note::unverified), Ok(believed));
            assert_eq!(keys.len(), 1);
        }
    }
    Outcome::of(&read)
}

fn vkey(bytes: &[u8]) -> Outcome {
    let text = text(bytes);
    let read = VKey::parse(&text);
    if let Ok(key) = &read {
        assert_eq!(key.to_string(), text, "a key has two spellings");
        assert_eq!(key.for_origin(key.name()).as_ref(), Some(key));
        let below = key.for_origin(&format!("{}/evidence/a/b", key.name()));
        assert!(below.is_none_or(|below| below.same_public_key(key)));
        assert_eq!(
            key.for_origin(&format!("{}x/evidence/a/b", key.name())),
            None
        );
    }
    Outcome::of(&read)
}

fn host_key(bytes: &[u8]) -> Outcome {
    let read = HostKey::parse(&text(bytes));
    if let Ok(key) = &read {
        let again = HostKey::parse(&key.secret_text()).map(|again| again.vkey());
        assert_eq!(again.ok(), Some(key.vkey()));
        assert_eq!(VKey::parse(&key.vkey().to_string()), Ok(key.vkey()));
    }
    Outcome::of(&read)
}

fn trust(bytes: &[u8]) -> Outcome {
    let read = parse_trust(&text(bytes));
    if let Ok(keys) = &read {
        assert!(!keys.is_empty(), "nothing is believed");
        let quoted: Vec<_> = keys
            .iter()
            .map(|key| Value::from(key.to_string()))
            .collect();
        let again = parse_trust(&format!("keys = {}", Value::from(quoted)));
        assert_eq!(again.ok().as_ref(), Some(keys));
    }
    Outcome::of(&read)
}

/// The input is the proof. It may prove the record of the vector that it names, and no other line.
fn proof(bytes: &[u8]) -> Outcome {
    let text = text(bytes);
    let mut proven = Err(());
    for key in trusted() {
        for (at, record) in SEGMENT.split(|byte| *byte == b'\n').enumerate() {
            if let Ok(found) = verify_proof(&text, record, &key) {
                assert_eq!(found.seq, at as u64, "another record's proof");
                assert_eq!(proven, Err(()), "one proof for two records");
                let mut changed = record.to_vec();
                changed.extend_from_slice(b"\n\n");
                assert!(verify_proof(&text, &changed, &key).is_err());
                changed.truncate(record.len().saturating_sub(1));
                assert!(verify_proof(&text, &changed, &key).is_err());
                proven = Ok(());
            }
        }
    }
    Outcome::of(&proven)
}
