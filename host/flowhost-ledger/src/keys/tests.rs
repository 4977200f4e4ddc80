//! Tests of the signing key and its file.

#![expect(
    clippy::disallowed_methods,
    reason = "tests look at the key file itself"
)]

use std::os::unix::fs::PermissionsExt as _;

use super::*;

#[test]
fn refuses_a_key_file_that_others_may_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("host.key");
    let made = HostKey::load_or_create(&path, Some("h")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    let error = HostKey::load_or_create(&path, None)
        .unwrap_err()
        .to_string();
    assert!(error.contains("chmod 600"), "{error}");
    assert!(
        !error.contains(&*made.secret_text()),
        "the message holds the key"
    );
}

#[test]
fn never_replaces_a_key_that_it_cannot_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("host.key");
    std::fs::write(&path, "PRIVATE+KEY+h+00000000+AQ==").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert!(HostKey::load_or_create(&path, None).is_err());
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        "PRIVATE+KEY+h+00000000+AQ=="
    );
}

#[test]
fn makes_a_key_once_for_its_owner_only() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys/host.key");
    let first = HostKey::load_or_create(&path, None).unwrap();
    assert!(first.host().starts_with("host-"), "{}", first.host());
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let second = HostKey::load_or_create(&path, Some("other")).unwrap();
    assert_eq!(first.vkey(), second.vkey());
    let left: Vec<_> = std::fs::read_dir(path.parent().unwrap()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn replaces_a_key_when_it_is_told_to() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("host.key");
    let old = HostKey::load_or_create(&path, Some("h")).unwrap();
    let new = HostKey::generate("h").unwrap();
    HostKey::replace(&path, &new).unwrap();
    let loaded = HostKey::load(&path).unwrap();
    assert_eq!(loaded.vkey(), new.vkey());
    assert_ne!(loaded.vkey(), old.vkey());
}

#[test]
fn a_key_that_cannot_be_put_in_its_place_leaves_no_copy_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("host.key");
    std::fs::create_dir(&path).unwrap();
    let new = HostKey::generate("h").unwrap();
    assert!(HostKey::replace(&path, &new).is_err());
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn threads_that_need_a_key_at_once_agree_on_one() {
    const THREADS: usize = 8;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("host.key");
    let together = std::sync::Barrier::new(THREADS);
    let keys: Vec<String> = std::thread::scope(|scope| {
        let make = || {
            together.wait();
            HostKey::load_or_create(&path, None).map(|key| key.vkey().to_string())
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(make)).collect();
        let made = threads.into_iter().map(|thread| thread.join().unwrap());
        made.collect::<Result<_, _>>().unwrap()
    });
    assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn debug_shows_the_public_half_only() {
    let key = HostKey::from_seed("h", [7; 32]).unwrap();
    let shown = format!("{key:?}");
    let secret = key.secret_text();
    let base64 = secret.rsplit('+').next().unwrap();
    assert!(
        !shown.contains(base64) && !shown.contains(&hex::encode([7; 32])),
        "{shown}"
    );
    assert!(shown.contains(&key.vkey().to_string()));
}

#[test]
fn refuses_malformed_key_texts_without_quoting_them() {
    let key = HostKey::from_seed("h", [7; 32]).unwrap();
    let text = key.secret_text();
    assert_eq!(HostKey::parse(&text).unwrap().vkey(), key.vkey());
    assert_eq!(
        HostKey::parse(&format!("{}\n", *text)).unwrap().vkey(),
        key.vkey()
    );
    for bad in [
        "",
        "PRIVATE+KEY+h",
        &text.replace("PRIVATE", "PUBLIC"),
        &text[..text.len() - 4],
    ] {
        let error = HostKey::parse(bad).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("BwcH"), "{error:?}");
    }
}
