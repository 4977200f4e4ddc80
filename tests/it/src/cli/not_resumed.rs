//! A run that does not go on: somebody is at work on it, or it is not what it was.

use std::sync::Arc;

use flowhost_ledger::records::{RecordKind as _, RunStart};
use flowhost_ledger::{HostKey, LedgerOptions, Recorder as _, RunIndex};

use super::evidence::run_dir;
use super::resumed::{REVIEW, RUN, THREE, begun, home, kill, killed_in, plan, resume};
use crate::counting::Counting;
use crate::support::Home;

#[test]
fn the_working_copy_may_be_gone_and_a_component_that_is_another_is_refused() {
    let server = Counting::new();
    let home = home(&server, THREE);
    killed_in(&home, &server, "/b");
    server.silence("/b", false);
    for name in [
        "plan.yaml",
        "ok_http.wasm",
        "ok_echo.wasm",
        "policies/loopback.toml",
    ] {
        std::fs::remove_file(home.path().join(name)).unwrap();
    }
    let components = home.path().join(".flowhost/components");
    let (mut kept, mut texts) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(components).unwrap() {
        let path = entry.unwrap().path();
        texts.push(std::fs::read(&path).unwrap());
        std::fs::write(&path, b"another").unwrap();
        kept.push(path);
    }
    let refused = resume(&home).expect(1).all();
    assert!(
        refused.contains("is not the component that the run had"),
        "{refused}"
    );
    assert!(refused.contains("--plugin "), "{refused}");
    // What is named in its place is looked at before anything is made of it.
    home.file("text.wasm", "no component");
    for (named, why) in [
        (
            "ok_http=text.wasm",
            "text.wasm` cannot stand in for `ok_http`",
        ),
        ("other=text.wasm", "its plan has no plugin `other`"),
    ] {
        let command = ["runs", "resume", "latest", "--plugin", named];
        let refused = home.flowhost(&command).expect(1).all();
        assert!(refused.contains(why), "{refused}");
    }
    for (path, text) in kept.iter().zip(&texts) {
        std::fs::write(path, text).unwrap();
    }
    let bundle = run_dir(&home).join("bundle.json");
    let text = std::fs::read_to_string(&bundle).unwrap();
    // Whatever is changed in it: a text, or the name of a plugin.
    for (from, to) in [("POST", "PUT"), ("\"ok_http\"", "\"ok_https\"")] {
        assert!(text.contains(from), "{text}");
        std::fs::write(&bundle, text.replace(from, to)).unwrap();
        let replayed = home.flowhost(&["runs", "replay", "latest"]);
        for refused in [resume(&home).expect(1), replayed.expect(1)] {
            let told = refused.all();
            assert!(told.contains("bundle.json` is not what the run"), "{told}");
        }
    }
    std::fs::write(&bundle, text).unwrap();
    assert_eq!(resume(&home).expect(0).json()["outputs"]["last"], "c");
}

#[test]
fn a_living_run_is_not_resumed_and_the_refusal_names_its_process() {
    let server = Counting::new();
    let home = home(&server, THREE);
    server.silence("/b", true);
    let child = begun(&home);
    server.wait("/b", 1);
    let refused = resume(&home).expect(1);
    let process = format!("process {} is at work on it", child.id());
    assert!(refused.all().contains(&process), "{}", refused.all());
    let dir = run_dir(&home);
    let follow = format!(
        "`flowhost runs watch {}` follows it",
        dir.file_name().unwrap().to_str().unwrap()
    );
    assert!(refused.all().contains(&follow), "{}", refused.all());
    kill(child);
}

#[test]
fn a_run_that_has_just_begun_is_not_called_killed() {
    let home = super::home(&["ok_echo"], "  only: { uses: ok_echo/run, with: {} }");
    home.flowhost(&["run", "plan.yaml", "--json"]).expect(0);
    let dir = run_dir(&home);
    // As it is between its folder and its first record, which a busy disk can make long.
    std::fs::write(dir.join("seg-00000000.jsonl"), "").unwrap();
    let held = std::fs::File::open(&dir).unwrap();
    held.lock().unwrap();
    let refused = resume(&home).expect(1).all();
    let process = format!("process {} is at work on it", std::process::id());
    assert!(refused.contains(&process), "{refused}");
    drop(held);
    let refused = resume(&home).expect(1).all();
    assert!(
        refused.contains("killed before its first step"),
        "{refused}"
    );
}

#[test]
fn a_ledger_that_is_damaged_or_gone_or_of_the_first_wave_is_refused_with_what_is_wrong() {
    let server = Counting::new();
    let home = home(&server, THREE);
    killed_in(&home, &server, "/b");
    // Sealed, so that a cut is no torn tail any more.
    home.flowhost(&["runs", "list"]).expect(0);
    let dir = run_dir(&home);
    let segment = dir.join("seg-00000000.jsonl");
    let whole = std::fs::read(&segment).unwrap();
    std::fs::write(&segment, &whole[..whole.len() / 2]).unwrap();
    let refused = resume(&home).expect(1);
    assert!(refused.all().contains("records"), "{}", refused.all());
    std::fs::write(&segment, &whole).unwrap();
    let aside = home.path().join("aside");
    std::fs::rename(&dir, &aside).unwrap();
    let name = dir.file_name().unwrap().to_str().unwrap();
    let refused = home.flowhost(&["runs", "resume", name]).expect(1);
    assert!(refused.all().contains("is gone"), "{}", refused.all());
    std::fs::rename(&aside, &dir).unwrap();
    // As a host of the first wave left it: without the document of what it was made of.
    std::fs::remove_file(dir.join("bundle.json")).unwrap();
    let refused = resume(&home).expect(1);
    assert!(refused.all().contains("bundle.json"), "{}", refused.all());
    let none = home.flowhost(&["runs", "resume", "01AAAA"]).expect(1);
    assert!(
        none.all().contains("no run is recorded as"),
        "{}",
        none.all()
    );
}

#[test]
fn a_run_that_a_host_of_the_first_wave_recorded_is_refused_and_says_so() {
    let home = Home::new();
    let (state, run) = (home.path().join(".flowhost"), "01ARZ3NDEKTSV4RRFFQ69G5FAV");
    let key = state.join("host/signing.key");
    std::fs::create_dir_all(key.parent().unwrap()).unwrap();
    let key = Arc::new(HostKey::load_or_create(&key, None).unwrap());
    home.vouch();
    let index = RunIndex::new(&state, "default", key.clone());
    let dir = flowhost_ledger::run_dir(&state, "default", run);
    // Its first record does not say which version its records have.
    let start = RunStart {
        plan: Some("old".to_owned()),
        ..RunStart::default()
    };
    let options = LedgerOptions::new(&dir, "default", run, key);
    let ledger = index.begin(&options, start.clone()).unwrap();
    let first = start.by("default/host").payload(b"{}".to_vec());
    ledger.append(first).unwrap();
    let sealed = ledger.close_blocking().unwrap();
    drop(ledger);
    index.ended(run, "killed", &sealed).unwrap();
    for command in ["resume", "replay"] {
        let refused = home.flowhost(&["runs", command, run]).expect(1);
        assert!(
            refused.all().contains("a host of the first wave made it"),
            "{}",
            refused.all()
        );
    }
}

#[test]
fn the_ledger_of_another_run_is_not_resumed_under_this_ones_name() {
    let server = Counting::new();
    let home = home(&server, REVIEW);
    home.flowhost(RUN).expect(9);
    let first = run_dir(&home);
    home.file("plan.yaml", plan(&server, THREE));
    home.flowhost(RUN).expect(0);
    let mut all = std::fs::read_dir(first.parent().unwrap()).unwrap();
    let second = all.find_map(|entry| Some(entry.ok()?.path()).filter(|path| *path != first));
    let second = second.unwrap();
    std::fs::rename(&first, home.path().join("aside")).unwrap();
    std::fs::rename(&second, &first).unwrap();
    let name = first.file_name().unwrap().to_str().unwrap();
    let other = second.file_name().unwrap().to_str().unwrap();
    let not_of = format!("/evidence/default/{other}, not of ");
    let key = "--allow-private-network";
    // Nor is it begun from, nor passed off as the other one's.
    for line in [
        &["runs", "resume", name][..],
        &["runs", "approve", name, "review", "--by", "ann"],
        &["runs", "replay", name],
        &["runs", "fork", name, "--at", "c", key],
        &["run", "plan.yaml", "--reuse", name, key],
        &["runs", "show", name],
        &["runs", "report", name],
        &["runs", "watch", name],
        &["plan", "graph", name],
        &["policy", "suggest", name],
        &["evidence", "export", name, "--out", "other.fhb"],
        &["evidence", "prove", "0", "--run", name],
    ] {
        let refused = home.flowhost(line).expect(1);
        let told = refused.all();
        assert!(told.contains("is the ledger of"), "{line:?}: {told}");
        assert!(told.contains(&not_of), "{line:?}: {told}");
        assert!(told.contains(name), "{line:?}: {told}");
    }
    assert_eq!(server.paths(), ["/a", "/a", "/b", "/c"]);
}

#[test]
fn hints_name_the_run_and_the_plan_and_leave_no_word_to_be_filled_in() {
    let home = super::home(&["ok_echo"], "  only: { uses: ok_echo/run, with: {} }");
    let ran = home.flowhost(&["run", "plan.yaml", "--json"]).expect(0);
    let run = ran.json()["run_id"].as_str().unwrap().to_owned();
    let ended = home.flowhost(&["runs", "resume", "latest"]).expect(1);
    let cure = format!(
        "`flowhost runs show {run}` says how; start its plan again with `flowhost run plan.yaml`"
    );
    assert!(ended.stderr.contains(&cure), "{}", ended.all());
    let erased = [
        "evidence", "erase", "999", "--run", "latest", "--reason", "r",
    ];
    let none = home.flowhost(&erased).expect(1);
    let cure = format!("`flowhost runs show {run}` lists the records");
    assert!(none.stderr.contains(&cure), "{}", none.all());
    let segment = run_dir(&home).join("seg-00000000.jsonl");
    let text = std::fs::read_to_string(&segment).unwrap();
    std::fs::write(&segment, text.replacen("ok_echo", "ok_ecko", 1)).unwrap();
    let damaged = home.flowhost(&["runs", "show", "latest"]).expect(1);
    let cure = format!("`flowhost verify {run}` names the exact place");
    assert!(damaged.stderr.contains(&cure), "{}", damaged.all());
}
