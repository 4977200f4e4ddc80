//! Tests of payload lines.

use super::*;

#[test]
fn refuses_lines_that_are_no_payload() {
    let salt = "00".repeat(32);
    for bad in [
        "{}".to_owned(),
        format!(r#"{{"payload":"a","salt":"{salt}"}}"#),
        format!(r#"{{"more":"","payload":"a","salt":"{salt}","seq":"1"}}"#),
        format!(r#"{{"payload":"a","salt":"{}","seq":"1"}}"#, "0".repeat(62)),
        format!(
            r#"{{"payload":"a","salt":"{}","seq":"1"}}"#,
            "AA".repeat(32)
        ),
        format!(r#"{{"payload":"a","salt":"{salt}","seq":"01"}}"#),
        format!(r#"{{"payload":["a"],"salt":"{salt}","seq":"1"}}"#),
        format!(r#"{{"encoding":"hex","payload":"61","salt":"{salt}","seq":"1"}}"#),
        format!(r#"{{"encoding":"base64","payload":"YQ","salt":"{salt}","seq":"1"}}"#),
        format!(r#"{{"of":"1","salt":"{salt}","seq":"1"}}"#),
        format!(r#"{{"of":"01","salt":"{salt}","seq":"2"}}"#),
        format!(r#"{{"of":["0"],"salt":"{salt}","seq":"1"}}"#),
        format!(r#"{{"encoding":"base64","of":"0","salt":"{salt}","seq":"1"}}"#),
        format!(r#"{{"of":"0","salt":"{salt}","sealed":"A","seq":"1"}}"#),
    ] {
        assert!(Payload::parse(bad.as_bytes()).is_err(), "{bad}");
        assert!(glance(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn a_glance_sees_what_the_parser_sees_whatever_byte_is_another() {
    let (mut whole, mut sealed, mut same) = (Vec::new(), Vec::new(), Vec::new());
    push_line(&mut whole, 12, &[5; 32], b"a \"quoted\" line\n", None);
    push_line(&mut sealed, 12, &[5; 32], b"shown", Some("AAAA"));
    push_same(&mut same, 12, &[5; 32], 11);
    let mut plain = 0;
    for line in [whole, sealed, same] {
        let line = line.strip_suffix(b"\n").unwrap();
        assert!(plain_glance(line).is_some());
        for at in 0..line.len() {
            for byte in *b"\"\\{}[]:,019aAosz\x00\n\xff" {
                let mut changed = line.to_vec();
                changed[at] = byte;
                let parsed = Payload::parse(&changed).map(|it| match it.content {
                    Content::Whole(_) => (it.seq, None),
                    Content::Of(of) => (it.seq, Some(of)),
                });
                plain += usize::from(plain_glance(&changed).is_some());
                assert_eq!(glance(&changed), parsed, "{changed:?}");
            }
        }
    }
    assert!(plain > 0, "some changed lines are payload lines as well");
}

#[test]
fn bytes_that_are_no_utf8_survive() {
    for payload in [&b""[..], b"text", b"\xff\x00\xfe", "é\u{0}\n".as_bytes()] {
        let mut line = Vec::new();
        push_line(&mut line, 7, &[5; 32], payload, None);
        let parsed = Payload::parse(line.strip_suffix(b"\n").unwrap()).unwrap();
        assert_eq!((parsed.seq, parsed.whole()), (7, Some(payload)));
        assert!(parsed.matches(&commitment(&[5; 32], payload)));
        assert!(!parsed.matches(&commitment(&[6; 32], payload)));
    }
}

#[test]
fn what_is_sealed_stands_between_salt_and_number_and_nowhere_else() {
    let mut line = Vec::new();
    push_line(&mut line, 7, &[5; 32], b"shown", Some("AAAA"));
    let line = line.strip_suffix(b"\n").unwrap();
    let parsed = Payload::parse(line).unwrap();
    assert_eq!(parsed.sealed.as_deref(), Some("AAAA"));
    assert_eq!(parsed.whole(), Some(&b"shown"[..]));
    let salt = "05".repeat(32);
    for bad in [
        format!(r#"{{"payload":"a","salt":"{salt}","sealed":["A"],"seq":"1"}}"#),
        format!(r#"{{"payload":"a","salt":"{salt}","sealed":"A"}}"#),
        r#"{"payload":"a","sealed":"A","seq":"1"}"#.to_owned(),
    ] {
        assert!(Payload::parse(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the test looks at its own folder"
)]
fn an_erasure_that_is_refused_leaves_the_file_as_it_was_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let mut lines = Vec::new();
    push_line(&mut lines, 1, &[5; 32], b"said once", None);
    push_same(&mut lines, 2, &[6; 32], 1);
    // No host writes this: a line that names one which only names another.
    push_same(&mut lines, 3, &[7; 32], 2);
    let path = dir.path().join("payloads-00000000.jsonl");
    std::fs::write(&path, &lines).unwrap();
    let refused = erase(&crate::disk::RealDisk, dir.path(), &BTreeSet::from([2]));
    assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::InvalidData);
    assert_eq!(std::fs::read(&path).unwrap(), lines);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the test looks at its own folder"
)]
fn what_an_erasure_was_writing_is_overwritten_before_it_goes() {
    let dir = tempfile::tempdir().unwrap();
    let fresh = dir.path().join("payloads-00000000.tmp");
    let still = dir.path().join("still");
    std::fs::write(&fresh, b"said once").unwrap();
    std::fs::hard_link(&fresh, &still).unwrap();
    clean_up(&crate::disk::RealDisk, dir.path()).unwrap();
    assert!(!fresh.exists());
    assert_eq!(std::fs::read(&still).unwrap(), [0; 9]);
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the test writes as a ledger's writer does"
)]
fn payloads_of_a_growing_ledger_are_found_as_they_come() {
    let dir = tempfile::tempdir().unwrap();
    let line = |seq: u64| {
        let mut line = Vec::new();
        push_line(
            &mut line,
            seq,
            &[5; 32],
            format!("said {seq}").as_bytes(),
            None,
        );
        line
    };
    let file = |number: u32| dir.path().join(format!("payloads-{number:08}.jsonl"));
    let mut payloads = Payloads::growing(&crate::disk::RealDisk, dir.path());
    let said = |payloads: &Payloads<'_>, seq: u64| {
        let bytes = format!("said {seq}").into_bytes();
        let got = payloads.get(seq, &commitment(&[5; 32], &bytes)).unwrap();
        got.is_some_and(|got| got == bytes)
    };
    payloads.more().unwrap();
    assert!(!said(&payloads, 1), "there is no file yet");
    // The second line is half written when somebody looks.
    let mut text = line(1);
    let second = line(4);
    let (begin, end) = second.split_at(second.len() / 2);
    text.extend_from_slice(begin);
    std::fs::write(file(0), &text).unwrap();
    payloads.more().unwrap();
    assert!(said(&payloads, 1) && !said(&payloads, 4));
    text.extend_from_slice(end);
    std::fs::write(file(0), &text).unwrap();
    payloads.more().unwrap();
    assert!(said(&payloads, 1) && said(&payloads, 4));
    // The writer goes on to the next file, and both have grown since somebody looked.
    text.extend(line(5));
    std::fs::write(file(0), &text).unwrap();
    std::fs::write(file(1), line(9)).unwrap();
    payloads.more().unwrap();
    payloads.more().unwrap();
    assert!([1, 4, 5, 9].iter().all(|seq| said(&payloads, *seq)));
    let mut broken = line(9);
    broken.extend_from_slice(b"{}\n");
    std::fs::write(file(1), broken).unwrap();
    let told = payloads.more().unwrap_err().to_string();
    assert!(told.contains("payloads-00000001.jsonl line 2"), "{told}");
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the test writes as a ledger's writer does"
)]
fn whoever_wants_one_payload_does_not_look_at_what_stands_behind_it() {
    let dir = tempfile::tempdir().unwrap();
    let disk = &crate::disk::RealDisk;
    let mut text = Vec::new();
    for seq in [1, 4, 6] {
        push_line(&mut text, seq, &[5; 32], b"said", None);
    }
    text.extend_from_slice(b"{}\n");
    std::fs::write(dir.path().join("payloads-00000000.jsonl"), &text).unwrap();
    let commit = commitment(&[5; 32], b"said");
    // The second has one, the third is beyond the one that is wanted, and the last line is none.
    for (last, found) in [(4, [true, true, false]), (5, [true, true, true])] {
        let payloads = Payloads::open_to(disk, dir.path(), last).unwrap();
        let there = [1, 4, 6].map(|seq| payloads.get(seq, &commit).unwrap().is_some());
        assert_eq!(there, found, "up to {last}");
    }
    assert!(Payloads::open_to(disk, dir.path(), 7).is_err());
    assert!(Payloads::open(disk, dir.path()).is_err());
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the test writes as nobody's writer does"
)]
fn lines_in_no_order_are_found_though_one_behind_them_could_not_be_read_at_first() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("payloads-00000000.jsonl");
    let mut text = Vec::new();
    for seq in [5, 3] {
        push_line(&mut text, seq, &[5; 32], b"said", None);
    }
    let mut broken = text.clone();
    broken.extend_from_slice(b"{}\n");
    std::fs::write(&path, broken).unwrap();
    let mut payloads = Payloads::growing(&crate::disk::RealDisk, dir.path());
    assert!(payloads.more().is_err());
    push_line(&mut text, 7, &[5; 32], b"said", None);
    std::fs::write(&path, text).unwrap();
    payloads.more().unwrap();
    let commit = commitment(&[5; 32], b"said");
    let there = [3, 5, 7].map(|seq| payloads.get(seq, &commit).unwrap().is_some());
    assert_eq!(there, [true; 3]);
}
