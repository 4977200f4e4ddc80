//! Evidence that somebody changed where nobody looks: in the archives of older runs, and on its way to a reader.
//!
//! Most runs of a plan with `keep_runs` are in archives, so that what is said of them must be held against their ledgers as
//! much as what still lies there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::examples::example;
use crate::support::Home;

/// More than any archive of these tests unpacks to.
const UNPACKED_MAX: u64 = 1 << 30;

/// A folder in which a plan has run once, with a baseline of it if one is wanted, and its files put away.
fn put_away(baseline: bool) -> Home {
    let home = example("spec-kit-900");
    home.flowhost(&["run", "plan.yaml", "--seed", "7"])
        .expect(0);
    if baseline {
        home.flowhost(&["evidence", "baseline", "SPEC-KIT-900", "--name", "before"])
            .expect(0);
    }
    let prune = ["evidence", "prune", "SPEC-KIT-900", "--keep", "0", "--yes"];
    home.flowhost(&prune).expect(0);
    home
}

/// The archive of the run, and not a baseline.
fn archive(home: &Home) -> PathBuf {
    let entries = std::fs::read_dir(home.path().join("evidence/archive")).unwrap();
    let mut paths = entries.map(|entry| entry.unwrap().path());
    let is_it = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.ends_with(".tar.zst") && !name.contains("baseline")
    };
    paths.find(is_it).unwrap()
}

/// The archive with these bytes, and beside it what says that it has them.
fn written(archive: &Path, bytes: &[u8]) {
    let sha256: String = Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let name = archive.file_name().unwrap().to_str().unwrap();
    let beside = archive.with_file_name(format!("{name}.sha256"));
    std::fs::write(archive, bytes).unwrap();
    std::fs::write(beside, format!("{sha256}  {name}\n")).unwrap();
}

/// Changes the first file of the archive whose path has `part` in it and ends so, and packs all as the host does. Gives the
/// path.
fn forged(archive: &Path, part: &str, end: &str, change: impl Fn(&mut Value)) -> String {
    let whole = std::fs::read(archive).unwrap();
    let mut left = UNPACKED_MAX;
    let mut files: BTreeMap<String, Vec<u8>> =
        flowhost_ledger::unpacked(&whole, &|_: &str| true, &mut left).unwrap();
    let is_it = |name: &&String| name.contains(part) && name.ends_with(end);
    let name = files.keys().find(is_it).unwrap().clone();
    let mut value: Value = serde_json::from_slice(&files[&name]).unwrap();
    change(&mut value);
    files.insert(name.clone(), format!("{value}\n").into_bytes());
    let names: BTreeSet<String> = files.keys().cloned().collect();
    let mut bytes = Vec::new();
    flowhost_ledger::pack(&names, |name| Ok(files[name].clone()), &mut bytes).unwrap();
    written(archive, &bytes);
    name
}

#[test]
fn evidence_that_was_changed_in_an_archive_fails_the_verification_of_its_run() {
    let home = put_away(false);
    let sound = home.flowhost(&["verify", "latest"]).expect(0).stdout;
    let same = "evidence files in archives as the run wrote them";
    assert!(sound.contains(same), "{sound}");
    assert!(!sound.contains("neither there"), "{sound}");
    let archive = archive(&home);
    let whole = std::fs::read(&archive).unwrap();
    let name = archive.file_name().unwrap().to_str().unwrap().to_owned();

    // With its hash renewed, no reader of archives sees it.
    let file = forged(&archive, "/spec-unlock_2", "_telemetry.jsonl", |line| {
        line["consensus"]["total_tokens"] = json!(5);
    });
    home.flowhost(&["telemetry", "report", "--mock"]).expect(0);
    let changed = home.flowhost(&["verify", "latest"]).expect(1).all();
    for part in [name.as_str(), file.as_str(), "it was changed"] {
        assert!(changed.contains(part), "{part}: {changed}");
    }

    // A copy in the archive of another run counts as well: a reader of all of them may meet that one first.
    let other = archive.with_file_name("SPEC-KIT-900_29991231T000000Z.tar.zst");
    std::fs::copy(&archive, &other).unwrap();
    written(&other, &std::fs::read(&other).unwrap());
    written(&archive, &whole);
    let changed = home.flowhost(&["verify", "latest"]).expect(1).all();
    assert!(changed.contains("29991231T000000Z"), "{changed}");
    // And one of others that cannot be read is no fault of this run's.
    written(&other, b"no archive");
    let noted = home.flowhost(&["verify", "latest"]).expect(0).stdout;
    assert!(noted.contains("an archive was left out"), "{noted}");
    assert!(noted.contains(same), "{noted}");
    std::fs::remove_file(&other).unwrap();

    // Half of it, with a hash that fits; and another one than the hash says.
    written(&archive, &whole[..whole.len() / 2]);
    let broken = home.flowhost(&["verify", "latest"]).expect(1).all();
    for part in [name.as_str(), "cannot be read, and no other place has"] {
        assert!(broken.contains(part), "{part}: {broken}");
    }
    std::fs::write(&archive, &whole).unwrap();
    let broken = home.flowhost(&["verify", "latest"]).expect(1).all();
    assert!(broken.contains("it is another one than"), "{broken}");

    // Whoever took it away may have it elsewhere.
    std::fs::remove_file(&archive).unwrap();
    let away = home.flowhost(&["verify", "latest"]).expect(0).stdout;
    assert!(away.contains("neither there nor in an archive"), "{away}");
}

#[test]
fn a_broken_archive_is_a_note_where_a_baseline_has_the_same_files() {
    let home = put_away(true);
    let archive = archive(&home);
    written(&archive, b"no archive");
    let noted = home.flowhost(&["verify", "latest"]).expect(0).stdout;
    let name = archive.file_name().unwrap().to_str().unwrap();
    for part in [
        "an archive was left out",
        name,
        "evidence files in archives as the run wrote them",
    ] {
        assert!(noted.contains(part), "{part}: {noted}");
    }
}

#[test]
fn an_output_that_its_run_did_not_write_is_not_handed_out() {
    let home = example("spec-kit-900");
    home.flowhost(&["run", "plan.yaml", "--seed", "7"])
        .expect(0);
    let sheet = |out: &str, more: &[&str]| {
        let key = format!("{out}.json");
        let head = ["experiment", "sheet", "--mock", "--stage", "plan"];
        let places = ["--out", out, "--key", &key];
        home.flowhost(&[&head[..], &places, more].concat())
    };
    let refuses = |out: &str, name: &str| {
        let refused = sheet(out, &[]).expect(1).stderr;
        // However its lines are broken.
        let words: Vec<&str> = refused.split_whitespace().collect();
        let refused = words.join(" ");
        for part in [name, "of this content on record", "`flowhost verify "] {
            assert!(refused.contains(part), "{part}: {refused}");
        }
        assert!(!home.path().join(out).exists(), "nothing is handed out");
        assert!(!home.path().join(format!("{out}.json")).exists());
    };
    let folder = home.path().join("evidence/consensus/SPEC-KIT-900");
    let mut names = std::fs::read_dir(folder)
        .unwrap()
        .map(|it| it.unwrap().file_name().into_string().unwrap());
    let is_it =
        |name: &String| name.starts_with("spec-plan_2") && name.ends_with("_synthesis.json");
    let name = names.find(is_it).unwrap();
    let path = format!("evidence/consensus/SPEC-KIT-900/{name}");
    let honest = home.read(&path);
    let mut value: Value = serde_json::from_str(&honest).unwrap();
    value["output"]["summary"] = json!("what nobody said");
    home.file(&path, value.to_string());
    refuses("forged", &name);
    // Without the run nobody can tell, and that is said.
    let untold = sheet("untold", &["--state", "elsewhere"]).expect(0).stderr;
    assert!(untold.contains("unverified: 1 output"), "{untold}");
    home.file(&path, honest);
    let told = sheet("honest", &[]).expect(0).all();
    assert!(!told.contains("unverified"), "{told}");

    let prune = ["evidence", "prune", "SPEC-KIT-900", "--keep", "0", "--yes"];
    home.flowhost(&prune).expect(0);
    sheet("put-away", &[]).expect(0);
    let archive = archive(&home);
    forged(&archive, "/spec-plan_2", &name, |value| {
        value["output"]["summary"] = json!("what nobody said");
    });
    refuses("put-away-forged", &name);
    let report = [
        "telemetry",
        "dashboard",
        "--mock",
        "--out",
        "dashboard.html",
    ];
    home.flowhost(&report).expect(0);
    let page = home.read("dashboard.html");
    assert!(page.contains("Files are read as they lie there"));
}
