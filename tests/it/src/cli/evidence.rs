//! LED: the ledger of a real run, made by the built executable and attacked on disk.

use std::path::PathBuf;

use serde_json::Value;

use super::home;
use crate::support::{Home, Ran};

/// A folder with one finished run.
fn finished() -> Home {
    let home = home(
        &["ok_add"],
        "  only: { uses: ok_add/run, with: { a: 1, b: 2 } }",
    );
    home.flowhost(&["run", "plan.yaml"]).expect(0);
    home
}

/// The folder of the only run.
pub(super) fn run_dir(home: &Home) -> PathBuf {
    let runs = home.path().join(".flowhost/default/runs");
    let mut all = std::fs::read_dir(runs)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    all.find(|path| path.join("ledger.json").is_file()).unwrap()
}

fn segment(home: &Home) -> PathBuf {
    run_dir(home).join("seg-00000000.jsonl")
}

/// The host's own key, which a verifier is given.
fn key(home: &Home) -> String {
    let shown = home.flowhost(&["keys", "show", "--json"]).expect(0).stdout;
    let document: Value = serde_json::from_str(&shown).unwrap_or(Value::Null);
    let find = |value: &Value| {
        value
            .as_str()
            .filter(|text| text.contains('+'))
            .map(str::to_owned)
    };
    match &document {
        Value::Object(fields) => fields.values().find_map(find).unwrap(),
        other => find(other).unwrap_or_else(|| shown.trim().to_owned()),
    }
}

fn verify(home: &Home) -> Ran {
    home.flowhost(&["verify", "latest"])
}

/// Verification fails after the lines of the segment were changed.
#[track_caller]
fn rejects(what: &str, change: impl FnOnce(&mut Vec<String>)) {
    let home = finished();
    let text = std::fs::read_to_string(segment(&home)).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    change(&mut lines);
    std::fs::write(segment(&home), format!("{}\n", lines.join("\n"))).unwrap();
    let ran = verify(&home);
    assert_eq!(ran.code, 1, "{what}: {}", ran.all());
}

#[test]
fn led_001_one_flipped_bit_anywhere_fails_and_names_the_place() {
    let home = finished();
    verify(&home).expect(0);
    let honest = std::fs::read(segment(&home)).unwrap();
    let step = honest.len() / 24;
    for (turn, at) in (0..honest.len()).step_by(step).enumerate() {
        let mut bytes = honest.clone();
        bytes[at] ^= 1 << (turn % 8);
        std::fs::write(segment(&home), &bytes).unwrap();
        let ran = verify(&home);
        assert_eq!(ran.code, 1, "bit {} of byte {at}: {}", turn % 8, ran.all());
        assert!(
            ran.all().contains("seq") || ran.all().contains("record") || ran.all().contains("line"),
            "{}",
            ran.all()
        );
    }
    std::fs::write(segment(&home), &honest).unwrap();
    verify(&home).expect(0);
}

#[test]
fn led_001_one_flipped_bit_in_a_checkpoint_or_a_payload_fails() {
    for name in [
        "checkpoint",
        "checkpoints.log",
        "payloads-00000000.jsonl",
        "ledger.json",
    ] {
        let home = finished();
        let path = run_dir(&home).join(name);
        let mut bytes = std::fs::read(&path).unwrap();
        let at = bytes.len() * 2 / 3;
        bytes[at] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let ran = verify(&home);
        assert_eq!(ran.code, 1, "{name}: {}", ran.all());
    }
}

#[test]
fn led_004_a_ledger_cut_after_its_checkpoint_fails() {
    rejects("the last record", |lines| {
        lines.pop();
    });
    rejects("all but one", |lines| lines.truncate(1));
}

#[test]
fn led_005_swapped_deleted_doubled_and_inserted_records_fail() {
    rejects("swapped", |lines| lines.swap(2, 3));
    rejects("deleted", |lines| {
        lines.remove(3);
    });
    rejects("doubled", |lines| lines.insert(3, lines[3].clone()));
    rejects("inserted", |lines| {
        lines.insert(3, "{\"v\":\"fhe/1\"}".to_owned())
    });
}

#[test]
fn led_012_lines_that_are_not_canonical_fail() {
    rejects("a space", |lines| {
        lines[2] = lines[2].replacen(':', ": ", 1)
    });
    rejects("a blank line", |lines| lines.insert(2, String::new()));
    rejects("a carriage return", |lines| lines[2].push('\r'));
}

#[test]
fn led_006_and_007_another_hosts_run_fails_under_the_known_key() {
    let (home, other) = (finished(), finished());
    let known = key(&home);
    home.flowhost(&["verify", "latest", "--key", &known])
        .expect(0);
    let foreign = run_dir(&other);
    let foreign = foreign.to_str().unwrap();
    home.flowhost(&["verify", foreign]).expect(1);
    home.flowhost(&["verify", foreign, "--any-key"]).expect(0);
    let ran = home.flowhost(&["verify", foreign, "--key", &known]);
    assert_eq!(ran.code, 1, "{}", ran.all());
    std::fs::copy(segment(&other), segment(&home)).unwrap();
    verify(&home).expect(1);
}

#[test]
fn led_023_a_missing_segment_fails() {
    let home = finished();
    std::fs::remove_file(segment(&home)).unwrap();
    verify(&home).expect(1);
}

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
fn a_run_that_lost_its_end_is_not_verified_in_its_own_state_folder() {
    let home = finished();
    let dir = run_dir(&home);
    // An older state of the whole folder, properly signed: what its owner can always put back.
    let log = std::fs::read_to_string(dir.join("checkpoints.log")).unwrap();
    let first = log.split_inclusive("\n\n").next().unwrap().to_owned();
    let rest = log.strip_prefix(&first).unwrap();
    let signature = rest.split_inclusive('\n').next().unwrap();
    let note = first.clone() + signature;
    let size: usize = note.lines().nth(1).unwrap().parse().unwrap();
    let text = std::fs::read_to_string(segment(&home)).unwrap();
    assert!(
        text.lines().count() > size,
        "the first note is the last one"
    );
    let kept: String = text.split_inclusive('\n').take(size).collect();
    std::fs::write(segment(&home), kept).unwrap();
    std::fs::write(dir.join("checkpoint"), &note).unwrap();
    std::fs::write(dir.join("checkpoints.log"), &note).unwrap();
    let payloads = dir.join("payloads-00000000.jsonl");
    if let Ok(text) = std::fs::read_to_string(&payloads) {
        let seq = |line: &str| -> usize {
            let at = line.rfind("\"seq\":\"").unwrap() + 7;
            line[at..]
                .trim_end_matches(['"', '}', '\n'])
                .parse()
                .unwrap()
        };
        let kept: String = text
            .split_inclusive('\n')
            .filter(|line| seq(line) < size)
            .collect();
        std::fs::write(&payloads, kept).unwrap();
    }
    for target in ["latest", dir.to_str().unwrap()] {
        let ran = home.flowhost(&["verify", target]).expect(1);
        let words = format!("the index of runs has {} records", text.lines().count());
        assert!(ran.stdout.contains(&words), "{}", ran.stdout);
    }
}

#[test]
fn led_027_runs_before_and_after_a_key_rotation_verify() {
    let home = finished();
    let before = key(&home);
    home.flowhost(&["keys", "rotate"]).expect(0);
    let after = key(&home);
    assert_ne!(before, after);
    verify(&home).expect(0);
    home.flowhost(&["run", "plan.yaml"]).expect(0);
    home.flowhost(&["verify", "latest", "--key", &after])
        .expect(0);
}

#[test]
fn a_run_that_vanished_shows_in_the_index() {
    let home = finished();
    let tenant = home.path().join(".flowhost/default");
    let tenant = tenant.to_str().unwrap();
    home.flowhost(&["verify", tenant]).expect(0);
    std::fs::remove_dir_all(run_dir(&home)).unwrap();
    home.flowhost(&["verify", tenant]).expect(1);
}

#[test]
fn a_plain_step_costs_five_records_and_two_kib() {
    let step = |id: &str| format!("  {id}: {{ uses: ok_add/run, with: {{ a: 1, b: 2 }} }}");
    let records = |steps: &[&str]| {
        let steps: Vec<String> = steps.iter().map(|id| step(id)).collect();
        let home = home(&["ok_add"], &steps.join("\n"));
        home.flowhost(&["run", "plan.yaml"]).expect(0);
        let bytes = std::fs::metadata(segment(&home)).unwrap().len();
        let kinds = home.records().into_iter();
        let kinds = kinds.map(|it| it["kind"].as_str().unwrap().to_owned());
        (kinds.collect::<Vec<_>>(), bytes)
    };
    let (one, few) = records(&["only"]);
    let (five, many) = records(&["only", "other", "third", "fourth", "fifth"]);
    assert_eq!(five.len() - one.len(), 4 * 5, "{five:?}");
    assert!(many - few <= 4 * 2_048, "{} bytes a step", (many - few) / 4);
    let own = one.iter().skip_while(|kind| *kind != "step.start");
    let own: Vec<&str> = own.map(String::as_str).take(5).collect();
    let wanted = [
        "step.start",
        "tool.call",
        "tool.result",
        "planner.event",
        "step.end",
    ];
    assert_eq!(own, wanted);
}

#[test]
fn runs_are_listed_and_shown() {
    let home = finished();
    let listed = home.flowhost(&["runs", "list"]).expect(0);
    assert!(listed.stdout.contains(" ok "), "{}", listed.stdout);
    let shown = home.flowhost(&["runs", "show", "latest"]).expect(0);
    for kind in [
        "run.start",
        "component.load",
        "policy.load",
        "step.end",
        "run.end",
    ] {
        assert!(shown.stdout.contains(kind), "{kind}: {}", shown.stdout);
    }
    home.flowhost(&["runs", "list", "--json"]).expect(0).json();
    home.flowhost(&["runs", "show", "01JD0000000000000000000000"])
        .expect(1);
}

#[test]
fn the_witness_gets_every_checkpoint() {
    let home = finished();
    home.flowhost(&["run", "plan.yaml", "--witness", "witness.log"])
        .expect(0);
    assert!(home.read("witness.log").contains("/evidence/default/"));
    home.flowhost(&["verify", "latest", "--witness", "witness.log"])
        .expect(0);
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

#[test]
fn an_altered_report_fails_and_a_missing_one_is_a_note() {
    let home = finished();
    let report = run_dir(&home).join("report.json");
    let honest = std::fs::read_to_string(&report).unwrap();
    let ran = verify(&home).expect(0);
    assert!(
        ran.stdout.contains("views        3 match"),
        "{}",
        ran.stdout
    );
    std::fs::write(&report, honest.replacen("\"ok\"", "\"no\"", 1)).unwrap();
    let ran = verify(&home).expect(1);
    assert!(ran.stdout.contains("report.json"), "{}", ran.stdout);
    assert!(ran.stdout.contains("not the view"), "{}", ran.stdout);
    std::fs::write(&report, format!("{honest} ")).unwrap();
    verify(&home).expect(1);
    std::fs::remove_file(&report).unwrap();
    let ran = verify(&home).expect(0);
    assert!(
        ran.stdout.contains("not beside the ledger"),
        "{}",
        ran.stdout
    );
}

#[test]
fn an_exported_run_is_verified_elsewhere_and_no_bit_of_it_may_change() {
    let home = finished();
    let known = key(&home);
    let ran = home
        .flowhost(&["evidence", "export", "latest", "--out", "run.tar"])
        .expect(0);
    assert!(ran.stdout.contains(&known), "{}", ran.stdout);
    // Another machine: another folder, another state, nothing but the file and the key.
    let elsewhere = Home::new();
    let bytes = std::fs::read(home.path().join("run.tar")).unwrap();
    elsewhere.file("run.tar", &bytes);
    let arguments = ["verify", "run.tar", "--key", &known];
    let ran = elsewhere.flowhost(&arguments).expect(0);
    assert!(ran.stdout.contains("trusted:"), "{}", ran.stdout);
    assert!(
        ran.stdout.contains("views        3 match"),
        "{}",
        ran.stdout
    );
    let foreign = key(&finished());
    elsewhere
        .flowhost(&["verify", "run.tar", "--key", &foreign])
        .expect(1);
    // A record, and a number of report.json.
    for text in ["\"kind\":\"run.end\"", "\"exit_code\":0"] {
        let mut forged = bytes.clone();
        let found = bytes
            .windows(text.len())
            .position(|at| at == text.as_bytes());
        forged[found.unwrap() + 2] ^= 1;
        elsewhere.file("run.tar", &forged);
        elsewhere.flowhost(&arguments).expect(1);
    }
    home.flowhost(&["evidence", "export", "latest", "--out", "none/run.tar"])
        .expect(1);
}

/// What `verify` says about the first fault after the lines of the segment were changed.
#[track_caller]
fn first_fault(change: impl FnOnce(&mut Vec<String>)) -> String {
    let home = finished();
    let text = std::fs::read_to_string(segment(&home)).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    change(&mut lines);
    std::fs::write(segment(&home), format!("{}\n", lines.join("\n"))).unwrap();
    let ran = verify(&home).expect(1);
    assert!(!ran.stdout.contains("run.end"), "{}", ran.stdout);
    let fault = ran
        .stdout
        .lines()
        .find_map(|line| line.trim().strip_prefix("first fault  "));
    let fault = fault.unwrap_or_else(|| panic!("{}", ran.stdout));
    fault.rsplit('/').next().unwrap().to_owned()
}

/// Without the bytes, which change with the lengths of names.
#[track_caller]
fn is_at(fault: &str, line: u64, what: &str) {
    let begin = format!("seg-00000000.jsonl, line {line}, byte ");
    assert!(fault.starts_with(&begin), "{fault}");
    let record = format!(", record {}: {what}", line - 1);
    assert!(fault.contains(&record), "{fault}");
}

#[test]
fn the_first_fault_is_the_record_that_was_altered_and_not_the_next_one() {
    for at in [0, 5, 10] {
        let fault =
            first_fault(|lines| lines[at] = lines[at].replacen("\"ts\":\"2", "\"ts\":\"1", 1));
        is_at(&fault, at as u64 + 1, "it was altered");
    }
    // The link itself: the records before it are what they were.
    let fault = first_fault(|lines| {
        let at = lines[6].find("\"prev\":\"").unwrap() + 8;
        let old = lines[6].as_bytes()[at];
        let new = if old == b'0' { "1" } else { "0" };
        lines[6].replace_range(at..=at, new);
    });
    is_at(&fault, 7, "prev is not the hash");
    let fault = first_fault(|lines| _ = lines.remove(4));
    is_at(&fault, 5, "expected seq 4, found 5");
    let fault = first_fault(|lines| lines.insert(5, lines[4].clone()));
    is_at(&fault, 6, "expected seq 5, found 4");
}

#[test]
fn records_that_were_made_to_fit_again_are_told_by_the_checkpoint() {
    let mut records = 0;
    let fault = first_fault(|lines| {
        records = lines.len();
        let last = lines.last_mut().unwrap();
        *last = last.replacen("\"ts\":\"2", "\"ts\":\"1", 1);
    });
    let altered = format!("record {} was altered", records - 1);
    assert!(fault.contains(&altered), "{fault}");
    let fault = first_fault(|lines| lines.truncate(3));
    let missing = format!("{records} records, 3 are there");
    assert!(fault.contains(&missing), "{fault}");
}

#[test]
fn a_missing_segment_is_named_and_not_what_is_left_beside_it() {
    let home = finished();
    std::fs::remove_file(segment(&home)).unwrap();
    let ran = verify(&home).expect(1);
    let words = "/seg-00000000.jsonl: it is missing, and payloads-00000000.jsonl is there";
    assert!(ran.stdout.contains(words), "{}", ran.stdout);
    assert!(!ran.stdout.contains("run.end"), "{}", ran.stdout);
}

#[test]
fn a_folder_of_this_host_is_trusted_as_its_run_is() {
    let home = finished();
    let folder = run_dir(&home);
    let folder = folder.to_str().unwrap();
    let tenant = home.path().join(".flowhost/default");
    for target in [folder, tenant.to_str().unwrap(), "latest"] {
        let ran = home.flowhost(&["verify", target]).expect(0);
        assert!(!ran.stdout.contains("UNTRUSTED"), "{}", ran.stdout);
        assert!(ran.stdout.contains("trusted:"), "{}", ran.stdout);
    }
    // Where no host is at work, a state folder that was made here vouches for what lies in it; a copy of it does not.
    let nowhere = Home::new();
    let state = home.path().join(".flowhost");
    for target in [state.to_str().unwrap(), folder] {
        nowhere.flowhost(&["verify", target]).expect(0);
    }
    let came = nowhere.path().join("came");
    let copied = std::process::Command::new("cp")
        .args(["-a", state.to_str().unwrap(), came.to_str().unwrap()])
        .status();
    assert!(copied.unwrap().success());
    let ran = nowhere.flowhost(&["verify", "came"]).expect(1);
    assert!(
        ran.stdout.contains("nobody vouches for the key"),
        "{}",
        ran.stdout
    );
    // Copied elsewhere on this host; then on a host that never saw the key.
    let copy = home.path().join("copy");
    std::fs::create_dir(&copy).unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, copy.join(path.file_name().unwrap())).unwrap();
    }
    let ran = home.flowhost(&["verify", "copy"]).expect(0);
    assert!(ran.stdout.contains("trusted:"), "{}", ran.stdout);
    let elsewhere = finished();
    let copy = copy.to_str().unwrap();
    let ran = elsewhere.flowhost(&["verify", copy]).expect(1);
    assert!(ran.stdout.contains("UNTRUSTED"), "{}", ran.stdout);
    assert!(
        ran.stdout.contains("nobody vouches for the key"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout.contains("flowhost keys show --state DIR"),
        "{}",
        ran.stdout
    );
    let ran = elsewhere.flowhost(&["verify", copy, "--any-key"]).expect(0);
    assert!(ran.stdout.contains("UNTRUSTED"), "{}", ran.stdout);
    elsewhere
        .flowhost(&["verify", copy, "--key", &key(&home)])
        .expect(0);
}

#[test]
fn what_a_bundle_lacks_elsewhere_is_told_with_its_name_and_a_cure_that_works() {
    let (home, elsewhere) = (finished(), finished());
    let bundle = elsewhere.path().join("run.fhb").display().to_string();
    home.flowhost(&["evidence", "export", "latest", "--out", &bundle])
        .expect(0);
    let ran = elsewhere.flowhost(&["verify", &bundle]).expect(1);
    let first = ran.stdout.lines().next().unwrap();
    assert_eq!(first, "UNTRUSTED  the ledger of the bundle");
    let told = format!("FAILED  {bundle}: nobody vouches for the key");
    assert!(ran.stdout.contains(&told), "{}", ran.stdout);
    // The command that the message names, with the state folder of the run.
    let state = home.path().join(".flowhost").display().to_string();
    let shown = elsewhere
        .flowhost(&["keys", "show", "--state", &state])
        .expect(0);
    elsewhere
        .flowhost(&["verify", &bundle, "--key", shown.stdout.trim()])
        .expect(0);
}

#[test]
fn led_007_another_hosts_ledger_in_a_folder_of_this_host_fails_by_its_folder_too() {
    let (home, other) = (finished(), finished());
    let folder = run_dir(&home);
    for entry in std::fs::read_dir(run_dir(&other)).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
    }
    home.flowhost(&["verify", folder.to_str().unwrap()])
        .expect(1);
}
