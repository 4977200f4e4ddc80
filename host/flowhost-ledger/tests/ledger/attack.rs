//! What somebody with the folder in hand may try against a closed ledger.

use std::path::Path;

use flowhost_ledger::records::{RecordKind as _, ViewWrite};
use flowhost_ledger::{
    Bundle, Code, Fact, Ledger, Note, RealDisk, Recorder as _, Report, Trust, VerifyOptions,
    verify_dir, verify_in, verify_path,
};

use sha2::{Digest as _, Sha256};

use crate::sim::SimDisk;
use crate::{copy, fact, key, options, write};

fn first(report: &Report) -> (Code, String) {
    let problem = report.all_problems().next().expect("a problem");
    (problem.code, problem.to_string())
}

fn segmented(dir: &Path, count: u64) {
    let mut options = options(dir);
    options.segment_bytes_max = 800;
    write(&options, count);
}

#[test]
fn led_001_every_single_bit_of_our_own_files_counts() {
    let dir = tempfile::tempdir().unwrap();
    write(&options(dir.path()), 4);
    let disk = SimDisk::load(dir.path());
    let options = VerifyOptions {
        trusted: vec![key(1).vkey()],
        ..VerifyOptions::default()
    };
    for name in ["seg-00000000.jsonl", "checkpoint", "checkpoints.log"] {
        let good = std::fs::read(dir.path().join(name)).unwrap();
        for at in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[at / 8] ^= 1 << (at % 8);
            disk.put(name, &bad);
            let report = verify_in(&disk, Path::new("/"), &options);
            assert!(!report.ok, "{name}: bit {at}");
        }
        disk.put(name, &good);
    }
}

#[test]
fn led_004_a_ledger_cut_back_to_an_older_checkpoint_is_caught_by_a_witness_and_by_the_index() {
    let dir = tempfile::tempdir().unwrap();
    let cut = tempfile::tempdir().unwrap();
    let witness = cut.path().join("witness");
    let run = dir.path().join("run");
    let mut options = options(&run);
    options.witness = Some(witness.clone());
    write(&options, 5);
    let old = cut.path().join("old");
    copy(&run, &old);
    write(&options, 5);
    // Without anyone outside who remembers, the older state is a valid ledger: documented.
    assert!(verify_dir(&old, &[key(1).vkey()]).ok);
    let notes = std::fs::read_to_string(&witness).unwrap();
    let last = notes
        .split_inclusive("=\n")
        .filter(|part| part.contains('\u{2014}'))
        .last();
    let last = last
        .map(|_| notes.rfind("host.example/evidence/t/r\n").unwrap())
        .unwrap();
    let note = Note::parse(&notes.as_bytes()[last..]).unwrap();
    assert_eq!(note.unverified().size, 10);
    let options = VerifyOptions {
        trusted: vec![key(1).vkey()],
        witnessed: vec![note],
        ..VerifyOptions::default()
    };
    assert!(verify_path(&run, &options).ok);
    assert_eq!(first(&verify_path(&old, &options)).0, Code::Truncated);
}

#[test]
fn led_006_refuses_a_tail_of_another_run() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, theirs) = (dir.path().join("a"), dir.path().join("b"));
    write(&options(&ours), 4);
    let mut other = options(&theirs);
    other.run = "other".into();
    write(&other, 6);
    let read = |path: &Path| std::fs::read_to_string(path.join("seg-00000000.jsonl")).unwrap();
    let tail: String = read(&theirs)
        .lines()
        .skip(4)
        .map(|line| format!("{line}\n"))
        .collect();
    std::fs::write(ours.join("seg-00000000.jsonl"), read(&ours) + &tail).unwrap();
    let (code, text) = first(&verify_dir(&ours, &[key(1).vkey()]));
    assert_eq!(code, Code::Record);
    assert!(
        text.contains("record 4: it is of another run than the ledger"),
        "{text}"
    );
    let error = Ledger::open(&options(&ours)).unwrap_err().to_string();
    assert!(error.contains("record 4"), "{error}");
    // The whole of another run in our place.
    for name in [
        "seg-00000000.jsonl",
        "checkpoint",
        "checkpoints.log",
        "payloads-00000000.jsonl",
    ] {
        std::fs::copy(theirs.join(name), ours.join(name)).unwrap();
    }
    assert!(!verify_dir(&ours, &[key(1).vkey()]).ok);
}

#[test]
fn led_007_refuses_a_ledger_that_was_rewritten_with_another_key() {
    let dir = tempfile::tempdir().unwrap();
    let mut forged = options(dir.path());
    forged.key = key(2);
    write(&forged, 3);
    let (code, _) = first(&verify_dir(dir.path(), &[key(1).vkey()]));
    assert_eq!(code, Code::UnknownKey);
    // Without a key it passes, and says that nobody vouched for it.
    let report = verify_dir(dir.path(), &[]);
    assert!(report.ok);
    assert_eq!(report.ledgers[0].trust, Some(Trust::SelfAsserted));
    assert!(report.to_string().contains("UNTRUSTED"), "{report}");
}

#[test]
fn led_023_refuses_missing_renamed_and_additional_segments() {
    let dir = tempfile::tempdir().unwrap();
    let good = dir.path().join("good");
    segmented(&good, 12);
    let name = |index: u32| format!("seg-{index:08}.jsonl");
    assert!(good.join(name(3)).exists());
    assert!(
        verify_dir(&good, &[key(1).vkey()]).ok,
        "{}",
        verify_dir(&good, &[])
    );
    let changes: [(&str, &dyn Fn(&Path)); 5] = [
        ("first missing", &|dir| {
            std::fs::remove_file(dir.join(name(0))).unwrap()
        }),
        ("middle missing", &|dir| {
            std::fs::remove_file(dir.join(name(1))).unwrap()
        }),
        ("renamed", &|dir| {
            std::fs::rename(dir.join(name(1)), dir.join(name(9))).unwrap()
        }),
        ("swapped", &|dir| {
            std::fs::rename(dir.join(name(1)), dir.join("x")).unwrap();
            std::fs::rename(dir.join(name(2)), dir.join(name(1))).unwrap();
            std::fs::rename(dir.join("x"), dir.join(name(2))).unwrap();
        }),
        ("emptied", &|dir| {
            std::fs::write(dir.join(name(1)), "").unwrap()
        }),
    ];
    for (what, change) in changes {
        let bad = dir.path().join(what);
        copy(&good, &bad);
        change(&bad);
        assert!(!verify_dir(&bad, &[key(1).vkey()]).ok, "{what}");
        assert!(Ledger::open(&options(&bad)).is_err(), "{what}");
    }
}

#[test]
fn led_025_an_erased_payload_leaves_neither_bytes_nor_salt_and_every_proof_valid() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(&options(dir.path())).unwrap();
    for number in 0..9 {
        ledger.append(fact(number)).unwrap();
    }
    ledger.checkpoint_blocking().unwrap();
    let path = dir.path().join("payloads-00000000.jsonl");
    let before = std::fs::read_to_string(&path).unwrap();
    let line = before
        .lines()
        .find(|line| line.contains("\"seq\":\"5\""))
        .unwrap()
        .to_owned();
    assert_eq!(ledger.erase_blocking([5].into(), "asked for").unwrap(), 1);
    assert_eq!(ledger.erase_blocking([5].into(), "asked again").unwrap(), 0);
    assert!(ledger.erase_blocking([99].into(), "not there").is_err());
    ledger.append(fact(2)).unwrap();
    ledger.close_blocking().unwrap();
    let salt = line
        .split("\"salt\":\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .to_owned();
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        assert!(!text.contains(&salt) && !text.contains("secret 5"));
    }
    let report = verify_dir(dir.path(), &[key(1).vkey()]);
    assert!(report.ok, "{report}");
    assert_eq!(
        (
            report.ledgers[0].payloads.checked,
            report.ledgers[0].payloads.erased
        ),
        (3, 1)
    );
    // Putting the payload back, or taking another one away, is noticed.
    let now = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, &before).unwrap();
    assert_eq!(
        first(&verify_dir(dir.path(), &[key(1).vkey()])).0,
        Code::Payload
    );
    let without: String = now
        .lines()
        .filter(|line| !line.contains("secret 8"))
        .map(|line| format!("{line}\n"))
        .collect();
    std::fs::write(&path, without).unwrap();
    let (code, text) = first(&verify_dir(dir.path(), &[key(1).vkey()]));
    assert_eq!(code, Code::Payload);
    assert!(text.contains("record 8"), "{text}");
}

#[test]
fn led_027_a_ledger_goes_on_over_segments_and_keys_and_a_forged_handover_fails() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(dir.path());
    options.segment_bytes_max = 800;
    let ledger = Ledger::open(&options).unwrap();
    for number in 0..6 {
        ledger.append(fact(number)).unwrap();
    }
    assert!(
        ledger
            .rotate_key(std::sync::Arc::new(
                flowhost_ledger::HostKey::from_seed("elsewhere", [2; 32]).unwrap()
            ))
            .is_err()
    );
    ledger.rotate_key(key(2)).unwrap();
    for number in 0..6 {
        ledger.append(fact(number)).unwrap();
    }
    ledger.close_blocking().unwrap();
    drop(ledger);
    for trusted in [key(1).vkey(), key(2).vkey()] {
        let report = verify_dir(dir.path(), &[trusted]);
        assert!(report.ok, "{report}");
        assert_eq!(
            report.ledgers[0].key,
            Some(key(2).vkey_for("host.example/evidence/t/r"))
        );
    }
    assert!(verify_dir(dir.path(), &[]).ok);
    assert!(!verify_dir(dir.path(), &[key(3).vkey()]).ok);
    // The old key no longer opens it; the new one does.
    assert!(Ledger::open(&options).is_err());
    options.key = key(2);
    drop(Ledger::open(&options).unwrap());
    // Without the old key's signature under the handover, the new key is nobody.
    let path = dir.path().join("checkpoints.log");
    let log = std::fs::read_to_string(&path).unwrap();
    let id = key(1).vkey_for("host.example/evidence/t/r");
    assert_eq!(
        log.matches('\u{2014}').count(),
        3 + log.matches("\n\n").count() - 3 + 1
    );
    let forged: String = log
        .split_inclusive('\n')
        .filter(|line| {
            use base64::Engine as _;
            let signature = line.rsplit(' ').next().unwrap_or_default().trim_end();
            let bytes = base64::engine::general_purpose::STANDARD.decode(signature);
            !(line.starts_with('\u{2014}') && bytes.unwrap()[..4] == id.id())
        })
        .collect();
    std::fs::write(&path, forged).unwrap();
    assert!(!verify_dir(dir.path(), &[key(1).vkey()]).ok);
}

#[test]
fn a_bundle_is_verified_like_its_folder() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    segmented(&run, 12);
    let path = dir.path().join("run.tar");
    let mut bytes = Vec::new();
    Bundle::write(
        &RealDisk,
        &run,
        false,
        &[("views/report.json", b"{}")],
        &mut bytes,
    )
    .unwrap();
    std::fs::write(&path, &bytes).unwrap();
    let report = verify_dir(&path, &[key(1).vkey()]);
    assert!(report.ok, "{report}");
    assert_eq!(report.ledgers[0].records, 12);
    let at = bytes
        .windows(9)
        .position(|bytes| bytes == b"\"t/agent\"")
        .unwrap();
    bytes[at + 3] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    assert!(!verify_dir(&path, &[key(1).vkey()]).ok);
    for junk in [&b""[..], b"junk", &bytes[..700], &[0; 4096]] {
        std::fs::write(&path, junk).unwrap();
        assert!(!verify_dir(&path, &[]).ok);
    }
}

#[test]
fn links_pipes_and_devices_in_the_folder_are_refused_without_waiting() {
    let dir = tempfile::tempdir().unwrap();
    write(&options(dir.path()), 3);
    for name in [
        "seg-00000000.jsonl",
        "checkpoint",
        "ledger.json",
        "payloads-00000000.jsonl",
    ] {
        let path = dir.path().join(name);
        let kept = dir.path().join("kept");
        std::fs::rename(&path, &kept).unwrap();
        std::os::unix::fs::symlink(&kept, &path).unwrap();
        assert!(!verify_dir(dir.path(), &[]).ok, "{name} as a link");
        std::fs::remove_file(&path).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        assert!(!verify_dir(dir.path(), &[]).ok, "{name} as a pipe");
        std::fs::remove_file(&path).unwrap();
        std::fs::rename(&kept, &path).unwrap();
    }
    assert!(verify_dir(dir.path(), &[]).ok);
}

#[test]
fn an_endless_line_costs_no_memory_and_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    write(&options(dir.path()), 3);
    let segment = dir.path().join("seg-00000000.jsonl");
    // Sparse: 8 GiB of zeros that take no room.
    std::fs::OpenOptions::new()
        .write(true)
        .open(segment)
        .unwrap()
        .set_len(8 << 30)
        .unwrap();
    let (code, text) = first(&verify_dir(dir.path(), &[key(1).vkey()]));
    assert_eq!(code, Code::Record);
    assert!(text.contains("too long"), "{text}");
}

/// The record of a view with these bytes.
fn view(name: &str, bytes: &[u8]) -> Fact {
    let view = ViewWrite {
        path: name.to_owned(),
        sha256: hex::encode(Sha256::digest(bytes)),
        size: Some(bytes.len() as u64),
        ..ViewWrite::default()
    };
    view.by("t/host")
}

#[test]
fn an_altered_view_of_a_run_that_has_not_ended_is_a_fault_and_one_that_no_record_names_is_told() {
    let (dir, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let folder = dir.path();
    let views: [(&str, &[u8]); 3] = [
        ("bundle.json", b"{}"),
        ("report.html", b"<p>"),
        ("report.json", b"[]"),
    ];
    let ledger = Ledger::open(&options(folder)).unwrap();
    for (name, bytes) in views {
        std::fs::write(folder.join(name), bytes).unwrap();
        ledger.append(view(name, bytes)).unwrap();
    }
    ledger.close_blocking().unwrap();
    let verify = || verify_dir(folder, &[key(1).vkey()]);
    let whole = verify();
    assert!(whole.ok && !whole.ledgers[0].ended, "{whole}");
    assert!(whole.to_string().contains("views        3 of 3 match"));
    for (name, bytes) in views {
        std::fs::write(folder.join(name), b"other").unwrap();
        let bundle = out.path().join("run.fhb");
        let mut file = std::fs::File::create(&bundle).unwrap();
        Bundle::write(&RealDisk, folder, false, &[], &mut file).unwrap();
        for report in [verify(), verify_path(&bundle, &trusting())] {
            let (code, text) = first(&report);
            assert_eq!(code, Code::View, "{name}: {report}");
            assert!(text.contains(name), "{text}");
            assert!(report.to_string().contains("views        2 of 3 match"));
        }
        std::fs::remove_file(folder.join(name)).unwrap();
        let gone = verify();
        let told = gone.to_string();
        assert_eq!(gone.ok, name != "bundle.json", "{name}: {gone}");
        assert_eq!(told.contains("1 view not beside the ledger"), gone.ok);
        assert_eq!(told.contains("nothing else says what"), !gone.ok);
        std::fs::write(folder.join(name), bytes).unwrap();
    }
    std::fs::write(folder.join("notes.txt"), b"mine").unwrap();
    let told = verify();
    assert!(told.ok, "{told}");
    assert_eq!(told.ledgers[0].views.unnamed, 1);
    assert!(
        told.to_string().contains("no record names `notes.txt`"),
        "{told}"
    );
}

fn trusting() -> VerifyOptions {
    VerifyOptions {
        trusted: vec![key(1).vkey()],
        ..VerifyOptions::default()
    }
}

#[test]
fn the_report_shows_what_was_checked() {
    let dir = tempfile::tempdir().unwrap();
    write(&options(dir.path()), 4);
    let path = dir.path().display().to_string();
    let report = verify_dir(dir.path(), &[key(1).vkey()]);
    let text = report.to_string().replace(&path, "DIR");
    let root = report.ledgers[0].root.clone().unwrap();
    let salted = text.replace(&root, "ROOT");
    insta::with_settings!({ filters => vec![(r"\d+ bytes", "N bytes")] }, {
        insta::assert_snapshot!(salted, @r#"
        ok  DIR
          origin       host.example/evidence/t/r
          records      4 in 1 segment, N bytes: canonical, chained, in sequence
          checkpoints  2 fit; 4 records signed, 0 not
          root         ROOT
          key          trusted: host.example/evidence/t/r+f53acd28+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c
          payloads     1 match their records, 0 erased, 0 lost in a crash
          note         the record run.end is missing: the run was killed, or is still at work
        verified: 1 ledger, 4 records
        "#);
    });
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["ok"], true);
    assert_eq!(json["ledgers"][0]["trust"], "given");
}

/// What `docs/ledger.md` lists under "Not covered by a signature", and nothing beside it.
#[test]
fn what_no_signature_covers_can_be_changed_and_what_is_next_to_it_cannot() {
    type Change = fn(&Path);
    fn edit(path: &Path, from: &str, to: &str) {
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.contains(from));
        std::fs::write(path, text.replace(from, to)).unwrap();
    }
    fn remove(dir: &Path, name: &str) {
        std::fs::remove_file(dir.join(name)).unwrap();
    }
    let changes: [(&str, bool, Change); 7] = [
        ("created", true, |dir| {
            edit(
                &dir.join("ledger.json"),
                "\"created\":\"2",
                "\"created\":\"1",
            );
        }),
        ("origin", false, |dir| {
            edit(&dir.join("ledger.json"), "/t/r\"", "/t/x\"");
        }),
        ("no checkpoint", true, |dir| remove(dir, "checkpoint")),
        ("no log", true, |dir| remove(dir, "checkpoints.log")),
        ("neither", false, |dir| {
            remove(dir, "checkpoint");
            remove(dir, "checkpoints.log");
        }),
        ("an extra file", true, |dir| {
            std::fs::write(dir.join("report.json"), "{}").unwrap();
        }),
        ("an extra file of payloads", false, |dir| {
            std::fs::write(dir.join("payloads-00000001.jsonl"), "").unwrap();
        }),
    ];
    for (what, passes, change) in changes {
        let dir = tempfile::tempdir().unwrap();
        write(&options(dir.path()), 4);
        change(dir.path());
        let report = verify_dir(dir.path(), &[key(1).vkey()]);
        assert_eq!(report.ok, passes, "{what}: {report}");
    }
}
