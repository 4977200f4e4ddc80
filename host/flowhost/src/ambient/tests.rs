//! What is read, written and refused where a person named a path.

use super::*;

fn here() -> (tempfile::TempDir, Ambient) {
    let dir = tempfile::tempdir().unwrap();
    let ambient = Ambient::with(BTreeMap::new(), dir.path().to_owned(), None);
    (dir, ambient)
}

#[test]
fn refuses_a_file_one_byte_over_its_bound() {
    let (_dir, ambient) = here();
    ambient.write(Path::new("a"), b"12345").unwrap();
    assert!(ambient.read(Path::new("a"), 4).is_err());
    assert_eq!(ambient.read(Path::new("a"), 5).unwrap(), b"12345");
}

#[test]
fn refuses_a_directory_where_a_file_is_wanted() {
    let (_dir, ambient) = here();
    ambient.create_dir(Path::new("a/b")).unwrap();
    assert!(!ambient.read(Path::new("a"), 4).unwrap_err().is_missing());
    assert!(ambient.read(Path::new("none"), 4).unwrap_err().is_missing());
}

#[test]
fn a_link_or_a_dot_cannot_leave_the_folder() {
    let (dir, ambient) = here();
    ambient.create_dir(Path::new("plans/in")).unwrap();
    ambient.write(Path::new("secret"), b"s").unwrap();
    std::os::unix::fs::symlink(dir.path(), dir.path().join("plans/out")).unwrap();
    let plans = Path::new("plans");
    for path in ["../secret", "out/secret", "/etc/passwd", "in/../../secret"] {
        assert!(ambient.below(plans, Path::new(path)).is_err(), "{path}");
    }
    assert!(ambient.below(plans, Path::new("in")).is_ok());
    for path in ["none", "in/none", "none/none"] {
        let error = ambient.below(plans, Path::new(path)).unwrap_err();
        assert!(error.is_missing(), "{path}");
    }
}

#[test]
fn a_file_that_is_a_link_out_of_its_folder_is_not_used() {
    use std::os::unix::fs::symlink;
    let (dir, ambient) = here();
    ambient.create_dir(Path::new("plans/in")).unwrap();
    ambient.write(Path::new("secret"), b"s").unwrap();
    ambient.write(Path::new("plans/in/own"), b"o").unwrap();
    symlink("../secret", dir.path().join("plans/out")).unwrap();
    symlink("in/own", dir.path().join("plans/inward")).unwrap();
    let left = ambient.stays(Path::new("plans/out")).unwrap_err();
    assert!(left.source.to_string().contains("leaves its folder"));
    for path in ["plans/inward", "plans/in/own", "plans/none"] {
        assert!(ambient.stays(Path::new(path)).is_ok(), "{path}");
    }
}

#[test]
fn what_gives_rights_is_not_read_where_everybody_may_write_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let (dir, ambient) = here();
    ambient.write(Path::new("rights"), b"r").unwrap();
    let mode = |mode| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(dir.path().join("rights"), mode).unwrap();
        ambient.read_rights(Path::new("rights"), 9)
    };
    assert!(mode(0o666).is_err());
    assert_eq!(mode(0o664).unwrap(), "r");
}

#[test]
fn creates_a_secret_once_and_for_the_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let (dir, ambient) = here();
    ambient.create_secret(Path::new("key"), b"k").unwrap();
    assert!(ambient.create_secret(Path::new("key"), b"x").is_err());
    let mode = std::fs::metadata(dir.path().join("key"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(ambient.read_secret(Path::new("key"), 9).unwrap(), b"k");
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(dir.path().join("key"), open).unwrap();
    assert!(ambient.read_secret(Path::new("key"), 9).is_err());
}

#[test]
fn a_secret_that_many_create_at_once_is_never_seen_half_written() {
    let (_dir, ambient) = here();
    let (path, whole) = (Path::new("key"), [7_u8; 32]);
    let seen = |_| loop {
        match ambient.read_secret(path, 32) {
            Ok(bytes) => return bytes,
            // Whoever loses reads what the winner wrote.
            Err(_) => drop(ambient.create_secret(path, &whole)),
        }
    };
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..8).map(|n| scope.spawn(move || seen(n))).collect();
        for one in all {
            assert_eq!(one.join().unwrap(), whole);
        }
    });
}

#[test]
fn reads_an_empty_variable_as_unset() {
    let env = BTreeMap::from([("A".to_owned(), String::new())]);
    assert_eq!(Ambient::with(env, PathBuf::from("/"), None).var("A"), None);
}
