//! Tests of inclusion proofs over a real ledger.

use std::sync::Arc;

use super::*;
use crate::{Fact, HostKey, Kind, Ledger, LedgerOptions, Recorder as _};

fn ledger(records: u64) -> (tempfile::TempDir, Arc<HostKey>, Vec<Vec<u8>>) {
    let dir = tempfile::tempdir().unwrap();
    let key = Arc::new(HostKey::from_seed("h", [1; 32]).unwrap());
    let ledger = Ledger::open(&LedgerOptions::new(dir.path(), "t", "r", key.clone())).unwrap();
    for number in 0..records {
        ledger
            .append(Fact::new(Kind::Message, "t/a").with("n", number))
            .unwrap();
    }
    ledger.close_blocking().unwrap();
    let lines = crate::read_run(dir.path())
        .unwrap()
        .map(|record| record.unwrap().line)
        .collect();
    (dir, key, lines)
}

#[test]
fn led_026_a_proof_is_of_one_line_at_one_index_under_one_root() {
    let (dir, key, lines) = ledger(11);
    for seq in 0..11_u64 {
        let line = &lines[usize::try_from(seq).unwrap()];
        let proof = prove(dir.path(), seq).unwrap();
        let proven = verify_proof(&proof, line, &key.vkey()).unwrap();
        assert_eq!((proven.seq, proven.checkpoint.size), (seq, 11));
        let other = (seq + 1) % 11;
        let other_line = &lines[usize::try_from(other).unwrap()];
        assert!(verify_proof(&proof, other_line, &key.vkey()).is_err());
        let moved = proof.replacen(&format!("index {seq}\n"), &format!("index {other}\n"), 1);
        assert!(matches!(
            verify_proof(&moved, line, &key.vkey()),
            Err(ProofError::Wrong(_))
        ));
    }
    let stranger = HostKey::from_seed("h", [2; 32]).unwrap();
    let proof = prove(dir.path(), 3).unwrap();
    assert!(matches!(
        verify_proof(&proof, &lines[3], &stranger.vkey()),
        Err(ProofError::Note(NoteError::UnknownKey))
    ));
}

#[test]
fn every_single_bit_of_a_proof_counts() {
    let (dir, key, lines) = ledger(5);
    let proof = prove(dir.path(), 2).unwrap();
    for at in 0..proof.len() * 8 {
        let mut bad = proof.clone().into_bytes();
        bad[at / 8] ^= 1 << (at % 8);
        if let Ok(text) = String::from_utf8(bad) {
            assert!(
                verify_proof_of(&text, &[key.vkey()]).is_err(),
                "bit {at}: {text}"
            );
            // Beside a record of one's own, the one that it carries is no matter.
            let carried = text.lines().nth(1) != proof.lines().nth(1);
            let refused = verify_proof(&text, &lines[2], &key.vkey()).is_err();
            assert!(carried || refused, "bit {at}: {text}");
        }
    }
}

#[test]
fn refuses_a_record_that_no_checkpoint_covers() {
    let (dir, ..) = ledger(2);
    assert!(matches!(
        prove(dir.path(), 2),
        Err(ProofError::Unsigned { seq: 2, size: 2 })
    ));
}

#[test]
fn skips_extra_data_as_the_format_says() {
    let (dir, key, lines) = ledger(2);
    let proof = prove(dir.path(), 1).unwrap();
    let carried = format!("{}\n", proof.lines().nth(1).unwrap());
    let with = proof.replacen(&carried, "extra YWJj\n", 1);
    assert!(verify_proof(&with, &lines[1], &key.vkey()).is_ok());
    let without = proof.replacen(&carried, "", 1);
    assert!(verify_proof(&without, &lines[1], &key.vkey()).is_ok());
    let told = verify_proof_of(&without, &[key.vkey()]);
    assert!(matches!(told, Err(ProofError::NoRecord)));
    let bad = proof.replacen(&carried, "extra ?\n", 1);
    assert!(verify_proof(&bad, &lines[1], &key.vkey()).is_err());
}

#[test]
fn a_proof_carries_its_record_and_is_believed_by_one_of_the_keys() {
    let (dir, key, lines) = ledger(3);
    let proof = prove(dir.path(), 1).unwrap();
    let stranger = HostKey::from_seed("h", [2; 32]).unwrap();
    let refused = verify_proof_of(&proof, &[stranger.vkey()]);
    assert!(matches!(
        refused,
        Err(ProofError::Note(NoteError::UnknownKey))
    ));
    let found = verify_proof_of(&proof, &[stranger.vkey(), key.vkey()]).unwrap();
    assert_eq!((found.proven.seq, found.line), (1, lines[1].clone()));
    assert_eq!(found.key, key.vkey());
}
