//! FS: real components against real folders, through `flowhost:files` and `wasi:filesystem`.
//!
//! Around every granted folder lies what must not be reached: a secret beside it, and links that
//! lead there. What a guest reads back must never hold the secret.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use flowhost_ledger::Kind;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::hosted::{Host, Setup, field, limit};

const OUTSIDE: &str = "what nobody granted";

const GRANTS: &str = "[[files]]\nguest = \"/docs\"\nhost = \"docs\"\naccess = \"read\"\n[[files]]\n\
                      guest = \"/out\"\nhost = \"out\"\naccess = \"write\"\nquota = \"10KiB\"\n\
                      entries = 20\n";

/// A folder with `docs`, `out`, a secret beside them, and links that lead to it.
fn tree() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let at = |path: &str| dir.path().join(path);
    std::fs::create_dir_all(at("docs/sub")).unwrap();
    std::fs::create_dir(at("out")).unwrap();
    std::fs::write(at("docs/a.md"), "alpha").unwrap();
    std::fs::write(at("docs/sub/b.md"), "beta").unwrap();
    std::fs::write(at("secret"), OUTSIDE).unwrap();
    symlink("../secret", at("docs/climbs")).unwrap();
    symlink(at("secret"), at("docs/absolute")).unwrap();
    symlink("..", at("docs/parent")).unwrap();
    symlink("loop-b", at("docs/loop-a")).unwrap();
    symlink("loop-a", at("docs/loop-b")).unwrap();
    symlink("a.md", at("docs/inside")).unwrap();
    symlink("/proc/self/environ", at("docs/environ")).unwrap();
    dir
}

fn host(guest: &str, folder: &Path) -> Host {
    Setup::new(GRANTS).below(folder).host(guest)
}

/// Whether an outcome of either guest is a refusal.
fn refused(outcome: &Value) -> bool {
    outcome.get("error").is_some() || outcome["ok"].get("code").is_some()
}

/// Everything below the folder with its contents, links as such.
fn snapshot(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let entry = entry.unwrap();
            let kind = entry.file_type().unwrap();
            let contents = match (kind.is_dir(), kind.is_symlink()) {
                (true, _) => {
                    folders.push(entry.path());
                    "folder".to_owned()
                }
                (_, true) => format!("-> {}", std::fs::read_link(entry.path()).unwrap().display()),
                _ => std::fs::read_to_string(entry.path()).unwrap(),
            };
            found.push((entry.path().display().to_string(), contents));
        }
    }
    found.sort();
    found
}

const ESCAPES: &[&str] = &[
    "../secret",
    "a/../../secret",
    "sub/../../secret",
    "a/b/../../../secret",
    "/etc/passwd",
    "//etc/passwd",
    "/proc/self/mem",
    "/proc/self/environ",
    "/dev/fd/3",
    "C:\\secret",
    "\\\\?\\C:\\secret",
    "\\\\server\\share",
    "..\\secret",
    "climbs",
    "absolute",
    "parent/secret",
    "environ",
    "loop-a",
    "secret\u{0}",
    "",
];

#[test]
fn fs_001_002_005_006_027_nothing_leads_out_through_our_interface() {
    let tree = tree();
    let host = host("ok_files", tree.path());
    let paths: Vec<String> = ESCAPES
        .iter()
        .flat_map(|path| {
            [
                (*path).to_owned(),
                format!("/docs/{path}"),
                format!("/out/{path}"),
            ]
        })
        .collect();
    let before = snapshot(tree.path());
    for op in ["read", "write", "append", "remove", "mkdir"] {
        let cases: Vec<Value> = paths
            .iter()
            .map(|path| json!({ "op": op, "path": path, "contents": "x" }))
            .filter(|case| op == "read" || case["path"] != "/out/secret")
            .collect();
        for (case, outcome) in cases.iter().zip(host.cases(&cases)) {
            assert!(!outcome.to_string().contains(OUTSIDE), "{case}: {outcome}");
            let path = case["path"].as_str().unwrap();
            assert!(
                refused(&outcome) || path.starts_with("/out/"),
                "{case}: {outcome}"
            );
        }
    }
    let outside = tree.path().join("secret");
    assert_eq!(std::fs::read_to_string(outside).unwrap(), OUTSIDE);
    let docs = |all: Vec<(String, String)>| -> Vec<_> {
        all.into_iter()
            .filter(|(path, _)| path.contains("/docs/"))
            .collect()
    };
    assert_eq!(docs(snapshot(tree.path())), docs(before));
    let denied = host.of_kind(Kind::FsOp);
    assert!(
        denied.iter().any(|fact| field(fact, "decision") == "deny"),
        "denials are records"
    );
}

#[test]
fn fs_001_002_005_006_027_nothing_leads_out_through_wasi() {
    let tree = tree();
    let host = host("ok_wasi_files", tree.path());
    let before = snapshot(tree.path());
    for op in [
        "read", "list", "stat", "readlink", "truncate", "write", "unlink", "rmdir",
    ] {
        let cases: Vec<Value> = ESCAPES
            .iter()
            .filter(|path| !path.is_empty())
            .map(|path| json!({ "op": op, "path": path, "follow": true, "contents": "x" }))
            .collect();
        for (case, outcome) in cases.iter().zip(host.cases(&cases)) {
            assert!(!outcome.to_string().contains(OUTSIDE), "{case}: {outcome}");
            let is_look_at_a_link = op == "readlink";
            assert!(refused(&outcome) || is_look_at_a_link, "{case}: {outcome}");
        }
    }
    assert_eq!(snapshot(tree.path()), before);
}

#[test]
fn fs_007_a_trailing_slash_on_a_file_is_no_file() {
    let tree = tree();
    let ours = host("ok_files", tree.path());
    let outcome = ours.answer(&json!({ "op": "read", "path": "/docs/a.md/" }));
    assert!(refused(&outcome), "{outcome}");
    let wasi = host("ok_wasi_files", tree.path());
    for path in ["a.md/", "climbs/", "absolute/", "inside/"] {
        for op in ["read", "stat", "unlink"] {
            let outcome = wasi.answer(&json!({ "op": op, "path": path, "follow": true }));
            assert!(refused(&outcome), "{op} {path}: {outcome}");
        }
    }
}

#[test]
fn fs_014_015_every_verb_that_changes_a_read_only_folder_is_refused() {
    let tree = tree();
    let before = snapshot(tree.path());
    let wasi = host("ok_wasi_files", tree.path());
    let verbs = [
        "write",
        "append",
        "truncate",
        "truncate-only",
        "create",
        "exclusive",
        "mkdir",
        "rmdir",
        "unlink",
        "symlink",
        "link",
        "rename",
        "set-times",
        "set-size",
    ];
    for path in ["a.md", "new", "sub"] {
        let cases: Vec<Value> = verbs
            .iter()
            .map(|op| json!({ "op": op, "path": path, "to": "other", "contents": "x" }))
            .collect();
        for (case, outcome) in cases.iter().zip(wasi.cases(&cases)) {
            assert!(refused(&outcome), "{case}: {outcome}");
        }
    }
    let ours = host("ok_files", tree.path());
    for op in ["write", "append", "mkdir", "remove"] {
        let outcome = ours.answer(&json!({ "op": op, "path": "/docs/a.md", "contents": "x" }));
        assert_eq!(outcome["error"]["case"], "denied", "{op}: {outcome}");
    }
    assert_eq!(snapshot(tree.path()), before);
}

#[test]
fn fs_005_and_013_links_and_moves_do_not_carry_a_file_across_grants() {
    let tree = tree();
    let wasi = host("ok_wasi_files", tree.path());
    let roots = wasi.answer(&json!({ "op": "roots" }));
    let at = |name: &str| {
        roots["ok"]
            .as_array()
            .unwrap()
            .iter()
            .position(|root| root == name)
            .unwrap()
    };
    let (docs, out) = (at("/docs"), at("/out"));
    let cases = [
        json!({ "op": "rename", "root": docs, "path": "a.md", "to_root": out, "to": "taken" }),
        json!({ "op": "link", "root": docs, "path": "a.md", "to_root": out, "to": "taken" }),
        json!({ "op": "symlink", "root": out, "path": "taken", "to": "/etc/passwd" }),
        json!({ "op": "symlink", "root": out, "path": "taken", "to": "../secret" }),
    ];
    for (case, outcome) in cases.iter().zip(wasi.cases(&cases)) {
        assert!(refused(&outcome), "{case}: {outcome}");
    }
    assert_eq!(
        std::fs::read_dir(tree.path().join("out")).unwrap().count(),
        0
    );
    assert!(tree.path().join("docs/a.md").is_file());
}

#[test]
fn fs_019_writing_ends_at_the_quota_and_the_rest_of_the_disk_is_left_alone() {
    let tree = tree();
    let host = host("limit_files", tree.path());
    let outcome = host.answer(&json!({ "folder": "/out", "bytes": 1_024, "files": 1_000 }));
    assert_eq!(outcome["stopped"]["case"], "limit", "{outcome}");
    let written = outcome["written"].as_u64().unwrap();
    let on_disk: u64 = std::fs::read_dir(tree.path().join("out"))
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    assert!(
        on_disk <= 10 * 1_024 && on_disk == written * 1_024,
        "{on_disk} {outcome}"
    );
}

#[test]
fn fs_020_entries_and_nesting_end_at_their_quota() {
    let tree = tree();
    let host = host("limit_files", tree.path());
    let empty = host.answer(&json!({ "folder": "/out", "bytes": 0, "files": 100_000 }));
    assert_eq!(empty["stopped"]["case"], "limit", "{empty}");
    assert_eq!(empty["written"], 20);
    let fresh = self::tree();
    let nested = self::host("limit_files", fresh.path());
    let outcome =
        nested.answer(&json!({ "folder": "/out", "bytes": 0, "files": 10_000, "nested": true }));
    assert!(outcome["written"].as_u64().unwrap() <= 20, "{outcome}");
    assert_eq!(outcome["stopped"]["case"], "limit", "{outcome}");
}

#[test]
fn fs_022_open_files_and_listings_that_nobody_reads_end_at_a_cap() {
    let tree = tree();
    for entries in [false, true] {
        let host = host("limit_wasi_files", tree.path());
        let path = if entries { "sub" } else { "a.md" };
        let report = host.call(&json!({ "path": path, "times": 100_000, "entries": entries }));
        match &report.result {
            Ok(content) => {
                let outcome: Value = serde_json::from_str(&content.value).unwrap();
                assert!(outcome["open"].as_u64().unwrap() <= 1_024, "{outcome}");
                assert!(outcome.get("code").is_some(), "{outcome}");
            }
            Err(_) => assert_eq!(limit(&report).0, "handles"),
        }
        host.is_healthy();
    }
}

#[test]
fn fs_024_and_025_pipes_and_sockets_are_refused_without_waiting() {
    let tree = tree();
    let pipe = tree.path().join("docs/pipe");
    let made = std::process::Command::new("mkfifo")
        .arg(&pipe)
        .status()
        .unwrap();
    assert!(made.success());
    let _socket = std::os::unix::net::UnixListener::bind(tree.path().join("docs/socket")).unwrap();
    let ours = host("ok_files", tree.path());
    let cases: Vec<Value> = (0..600)
        .map(|n| json!({ "op": "read", "path": if n % 2 == 0 { "/docs/pipe" } else { "/docs/socket" } }))
        .collect();
    assert!(ours.cases(&cases).iter().all(refused));
    let wasi = host("ok_wasi_files", tree.path());
    for path in ["pipe", "socket"] {
        let outcome = wasi.answer(&json!({ "op": "read", "path": path }));
        assert!(refused(&outcome), "{path}: {outcome}");
    }
}

/// Windows is not claimed; here these are names like any other, and none of them is a device, a
/// stream of another file, or that other file.
#[test]
fn fs_029_names_that_windows_reserves_are_plain_names() {
    let tree = tree();
    let host = host("ok_files", tree.path());
    let names = [
        "CON",
        "NUL.txt",
        "COM\u{b9}",
        "a.txt:stream",
        "a.txt.",
        "a.txt ",
        "a.txt",
    ];
    for name in names {
        let path = format!("/out/{name}");
        host.cases(&[json!({ "op": "write", "path": path, "contents": name })]);
    }
    let mut left: Vec<String> = std::fs::read_dir(tree.path().join("out"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    for name in &left {
        let contents = std::fs::read_to_string(tree.path().join("out").join(name)).unwrap();
        assert_eq!(&contents, name, "one name took another's place");
        assert!(names.contains(&name.as_str()), "{name}");
    }
    assert!(left.contains(&"a.txt".to_owned()), "{left:?}");
    let outside = std::fs::read_to_string(tree.path().join("secret")).unwrap();
    assert_eq!(outside, OUTSIDE);
}

#[test]
fn fs_038_what_a_guest_writes_cannot_be_executed() {
    let tree = tree();
    let host = host("ok_files", tree.path());
    host.answer(&json!({ "op": "write", "path": "/out/run.sh", "contents": "#!/bin/sh\nid" }));
    let mode = tree
        .path()
        .join("out/run.sh")
        .metadata()
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o111, 0, "{mode:o}");
}

#[test]
fn without_a_grant_wasi_shows_no_folder() {
    let host = Setup::new("").host("ok_wasi_files");
    assert_eq!(host.answer(&json!({ "op": "roots" })), json!({ "ok": [] }));
}

#[test]
fn what_is_granted_is_read_and_written_and_each_operation_is_a_record() {
    let tree = tree();
    let host = host("ok_files", tree.path());
    let outcomes = host.cases(&[
        json!({ "op": "read", "path": "/docs/a.md" }),
        json!({ "op": "read", "path": "/docs/inside" }),
        json!({ "op": "write", "path": "/out/new.md", "contents": "gamma" }),
        json!({ "op": "read", "path": "/out/new.md" }),
    ]);
    let read: Vec<&Value> = outcomes.iter().map(|outcome| &outcome["ok"]).collect();
    assert_eq!(
        (read[0], read[1], read[3]),
        (&json!("alpha"), &json!("alpha"), &json!("gamma"))
    );
    let records = host.of_kind(Kind::FsOp);
    assert_eq!(records.len(), 4);
    assert!(
        records
            .iter()
            .all(|fact| field(fact, "rule").starts_with("files["))
    );
}
