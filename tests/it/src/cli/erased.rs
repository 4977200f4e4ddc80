//! LED: what is erased is gone, and every record keeps its proof.

use std::path::Path;

use flowhost_ledger::{Disk as _, RealDisk};
use serde_json::Value;

use super::evidence::{finished, key, run_dir, verify};
use crate::support::{Home, Ran};

#[test]
fn led_025_an_erased_payload_is_gone_and_every_proof_stays() {
    let home = Home::new();
    home.run_tool("ok_echo", "", "{ card: \"4111-1111-1111-1111\" }")
        .expect(0);
    let payloads = run_dir(&home).join("payloads-00000000.jsonl");
    let kept = std::fs::read_to_string(&payloads).unwrap();
    assert!(kept.contains("4111"), "the test looks in the wrong place");
    let records = home.records();
    let committed: Vec<String> = records
        .iter()
        .filter(|record| record.get("commit").is_some())
        .map(|record| record["seq"].as_str().unwrap().to_owned())
        .collect();
    for seq in &committed {
        let arguments = [
            "evidence", "erase", seq, "--run", "latest", "--reason", "asked to",
        ];
        home.flowhost(&arguments).expect(0);
    }
    let left = std::fs::read_to_string(&payloads).unwrap();
    assert!(!left.contains("4111"), "{left}");
    for line in kept.lines() {
        let salt = serde_json::from_str::<Value>(line).unwrap()["salt"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(
            !left.contains(&salt),
            "the salt is what makes guessing cheap"
        );
    }
    let ran = verify(&home).expect(0);
    assert!(ran.stdout.contains("erased"), "{}", ran.stdout);
    assert!(
        home.records()
            .iter()
            .any(|record| record["kind"] == "erasure")
    );
}

/// The number of the first record that holds a payload, or holds none.
fn record_with(home: &Home, payload: bool) -> String {
    let records = home.records();
    let found = records
        .iter()
        .find(|record| record.get("commit").is_some() == payload);
    found.unwrap()["seq"].as_str().unwrap().to_owned()
}

fn erase(home: &Home, seq: &str) -> Ran {
    let arguments = [
        "evidence", "erase", seq, "--run", "latest", "--reason", "asked to",
    ];
    home.flowhost(&arguments)
}

#[test]
fn erasing_what_is_not_there_is_an_error_and_records_nothing() {
    let home = finished();
    let before = home.records().len();
    let bare = record_with(&home, false);
    for (seq, words) in [
        (bare.as_str(), "has no payload"),
        ("9999", "no record 9999"),
    ] {
        let ran = erase(&home, seq).expect(1);
        assert!(ran.stderr.contains(words), "{}", ran.all());
        assert!(ran.stderr.contains("hint:"), "{}", ran.all());
    }
    assert_eq!(home.records().len(), before);
    verify(&home).expect(0);
}

#[test]
fn erasing_twice_says_so_and_records_it_once() {
    let home = finished();
    let seq = record_with(&home, true);
    erase(&home, &seq).expect(0);
    let before = home.records().len();
    let ran = erase(&home, &seq).expect(0);
    assert!(ran.stderr.contains("gone already"), "{}", ran.all());
    assert_eq!(home.records().len(), before);
    verify(&home).expect(0);
}

/// The runs whose erasure has begun and is not done.
fn marked(home: &Home) -> Vec<String> {
    let marks = std::fs::read_dir(home.path().join(".flowhost/default/erasing"));
    let marks = marks.into_iter().flatten();
    marks
        .map(|mark| mark.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// That no command has anything to finish, and none makes a run where there is none.
#[track_caller]
fn nothing_is_finished(home: &Home, dir: &Path) {
    let listed = home.flowhost(&["runs", "list"]);
    assert!(!listed.all().contains("was cut off"), "{}", listed.all());
    assert!(!dir.exists(), "an empty ledger was made");
}

#[test]
fn an_erasure_that_a_damaged_ledger_refuses_leaves_nothing_to_finish() {
    let home = finished();
    let (dir, seq) = (run_dir(&home), record_with(&home, true));
    let segment = dir.join("seg-00000000.jsonl");
    let text = std::fs::read_to_string(&segment).unwrap();
    let (sound, last) = text.trim_end().rsplit_once('\n').unwrap();
    let damaged = last.replacen("\"tenant\":\"default\"", "\"tenant\":\"default2\"", 1);
    assert_ne!(last, damaged);
    std::fs::write(&segment, format!("{sound}\n{damaged}\n")).unwrap();
    let refused = erase(&home, &seq).expect(1);
    let told = refused.all();
    assert!(told.contains("was not erased"), "{told}");
    assert_eq!(marked(&home), Vec::<String>::new(), "{told}");
    std::fs::rename(&dir, home.path().join("away")).unwrap();
    nothing_is_finished(&home, &dir);
}

#[test]
fn an_erasure_of_a_run_at_work_leaves_nothing_to_finish() {
    let home = finished();
    let (dir, seq) = (run_dir(&home), record_with(&home, true));
    let held = RealDisk.lock(&dir).unwrap();
    let refused = erase(&home, &seq).expect(1);
    assert!(
        refused.all().contains("was not erased"),
        "{}",
        refused.all()
    );
    assert_eq!(marked(&home), Vec::<String>::new());
    drop(held);
    let listed = home.flowhost(&["runs", "list"]).expect(0);
    assert!(!listed.all().contains("was cut off"), "{}", listed.all());
    erase(&home, &seq).expect(0);
    verify(&home).expect(0);
}

#[test]
fn an_erasure_that_was_cut_off_in_a_run_that_was_moved_away_waits_for_it() {
    let home = finished();
    let dir = run_dir(&home);
    let run = dir.file_name().unwrap().to_str().unwrap();
    home.file(&format!(".flowhost/default/erasing/{run}"), "");
    std::fs::rename(&dir, home.path().join("away")).unwrap();
    nothing_is_finished(&home, &dir);
    assert_eq!(marked(&home), [run]);
    std::fs::rename(home.path().join("away"), &dir).unwrap();
    let listed = home.flowhost(&["runs", "list"]).expect(0);
    assert!(listed.all().contains("was cut off"), "{}", listed.all());
    assert_eq!(marked(&home), Vec::<String>::new());
    verify(&home).expect(0);
}

#[test]
fn led_026_every_record_has_a_proof_and_a_record_that_is_not_there_has_none() {
    let home = finished();
    for seq in 0..home.records().len() {
        let ran = home
            .flowhost(&["evidence", "prove", &seq.to_string()])
            .expect(0);
        assert!(
            ran.stdout.starts_with("c2sp.org/tlog-proof@v1\n"),
            "{}",
            ran.stdout
        );
        std::fs::write(home.path().join("proof.txt"), &ran.stdout).unwrap();
        let ran = home.flowhost(&["verify", "proof.txt"]).expect(0);
        let words = format!("verified: record {seq} of ");
        assert!(ran.stdout.starts_with(&words), "{}", ran.stdout);
    }
    let ran = home.flowhost(&["evidence", "prove", "9999"]);
    assert_eq!(ran.code, 1, "{}", ran.all());
}

#[test]
fn led_026_a_proof_is_refused_on_a_host_that_has_not_the_key_and_when_it_was_altered() {
    let (home, elsewhere) = (finished(), finished());
    let ran = home
        .flowhost(&["evidence", "prove", "1", "--json"])
        .expect(0);
    let proof = elsewhere.path().join("proof.json");
    std::fs::write(&proof, &ran.stdout).unwrap();
    let ran = elsewhere.flowhost(&["verify", "proof.json"]).expect(1);
    assert!(ran.all().contains("--key KEY"), "{}", ran.all());
    let told = "`--any-key` has nothing to check it with";
    assert!(ran.all().contains(told), "{}", ran.all());
    elsewhere
        .flowhost(&["verify", "proof.json", "--key", &key(&home)])
        .expect(0);
    let text = std::fs::read_to_string(&proof).unwrap();
    std::fs::write(&proof, text.replacen("index 1", "index 2", 1)).unwrap();
    let ran = elsewhere
        .flowhost(&["verify", "proof.json", "--key", &key(&home)])
        .expect(1);
    assert!(
        !ran.all().contains("hint"),
        "the key is right: {}",
        ran.all()
    );
}

/// What `verify` says of this text as a proof.
fn proves(home: &Home, text: &str) -> Ran {
    std::fs::write(home.path().join("proof.txt"), text).unwrap();
    home.flowhost(&["verify", "proof.txt"])
}

#[test]
fn led_026_a_proof_holds_after_its_payload_is_erased_and_none_holds_of_two_ledgers() {
    let home = finished();
    let prove = |seq: &str, run: &str| {
        home.flowhost(&["evidence", "prove", seq, "--run", run])
            .expect(0)
            .stdout
    };
    let records = home.records();
    let with_payload = records.iter().find(|it| it.get("commit").is_some());
    let seq = with_payload.unwrap()["seq"].as_str().unwrap().to_owned();
    let before = prove(&seq, "latest");
    let arguments = [
        "evidence", "erase", &seq, "--run", "latest", "--reason", "asked",
    ];
    home.flowhost(&arguments).expect(0);
    let after = prove(&seq, "latest");
    assert_ne!(before, after, "the erasure is a record, and signed");
    for proof in [&before, &after] {
        let told = proves(&home, proof).expect(0).stdout;
        assert!(
            told.starts_with(&format!("verified: record {seq} of ")),
            "{told}"
        );
    }

    // Another run of the same host: every part of its proof is good, and none is in the other's place.
    let first = records[0]["run"].as_str().unwrap().to_owned();
    home.flowhost(&["run", "plan.yaml"]).expect(0);
    let other = prove(&seq, "latest");
    assert_ne!(prove(&seq, &first), other);
    proves(&home, &other).expect(0);
    let (head, note) = after.split_once("\n\n").unwrap();
    let (other_head, other_note) = other.split_once("\n\n").unwrap();
    let line = |head: &str, at: usize| head.lines().nth(at).unwrap().to_owned();
    let swapped = other_head.replacen(&line(other_head, 1), &line(head, 1), 1);
    for spliced in [
        format!("{head}\n\n{other_note}"),
        format!("{other_head}\n\n{note}"),
        format!("{swapped}\n\n{other_note}"),
    ] {
        let ran = proves(&home, &spliced).expect(1);
        let told = format!("the line is not record {seq} of the signed ledger");
        assert!(ran.stderr.contains(&told), "{}", ran.all());
    }

    // What a mail program does to a text is told as that.
    for changed in [
        other.replace('\n', "\r\n"),
        format!("\u{feff}{other}"),
        other[..other.len() / 2].to_owned(),
    ] {
        let ran = proves(&home, &changed).expect(1);
        assert!(
            ran.stderr.contains("the proof proves nothing"),
            "{}",
            ran.all()
        );
        assert!(ran.stderr.contains("evidence prove SEQ"), "{}", ran.all());
    }
}

#[test]
fn a_key_of_the_environment_signs_verifies_and_erases_and_no_other_is_made() {
    let home = Home::new();
    let secret = flowhost_ledger::HostKey::generate("ci.example").unwrap();
    let flowhost = |arguments: &[&str]| {
        let mut command = home.command(arguments);
        command.env("FLOWHOST_SIGNING_KEY", &**secret.secret_text());
        home.ran(&command.output().unwrap(), arguments)
    };
    let public = secret.vkey().to_string();
    let shown = flowhost(&["keys", "show", "--json"]).expect(0).json();
    assert_eq!(
        (&shown["key"], &shown["file"]),
        (&public.into(), &Value::Null)
    );
    flowhost(&["keys", "rotate"]).expect(64);
    home.guest("ok_echo");
    let steps = "  only: { uses: ok_echo/run, with: { card: \"4111\" } }";
    let plan = super::plan(&super::tool("ok_echo", "deny-all"), steps);
    home.file("plan.yaml", plan);
    flowhost(&["run", "plan.yaml"]).expect(0);
    flowhost(&["verify", "latest"]).expect(0);
    let seq = record_with(&home, true);
    let erase = [
        "evidence", "erase", &seq, "--run", "latest", "--reason", "x",
    ];
    flowhost(&erase).expect(0);
    flowhost(&["verify", "latest"]).expect(0);
    assert!(!home.path().join(".flowhost/host/signing.key").exists());
    // Without the key nobody vouches for what it signed.
    home.flowhost(&["verify", "latest"]).expect(1);
}
