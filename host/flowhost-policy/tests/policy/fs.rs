//! FS: what the text of a path can tell. Links, races and devices are the opener's tests.

use flowhost_policy::{Access, FileGrant, Profile, decide_file};

fn grant(guest: &str, access: Access) -> FileGrant {
    let guest = guest.to_owned();
    FileGrant {
        host: "docs".to_owned(),
        guest,
        access,
        quota_bytes: 0,
        quota_entries: 0,
    }
}

fn read(grants: &[FileGrant], path: &str) -> Result<usize, String> {
    decide_file(grants, path, Access::Read)
        .map(|allowed| allowed.index)
        .map_err(|denied| denied.rule)
}

#[test]
fn fs_001_denies_paths_that_climb() {
    let grants = [grant("/docs", Access::Read)];
    for path in [
        "/docs/../x",
        "/docs/a/../../x",
        "/docs/a/b/../../../x",
        "/docs/a/..",
        "/..",
        "../docs",
        "docs/a",
        "x",
    ] {
        assert_eq!(read(&grants, path), Err("files.path".to_owned()), "{path}");
    }
}

#[test]
fn fs_002_denies_absolute_and_foreign_paths() {
    let grants = [grant("/docs", Access::Read)];
    for path in [
        "/etc/passwd",
        "//etc/passwd",
        "/",
        "/docsx",
        "/doc",
        "/proc/self/mem",
    ] {
        assert_eq!(read(&grants, path), Err("files#none".to_owned()), "{path}");
    }
    for path in [
        "C:\\x",
        "\\\\?\\C:\\",
        "\\\\server\\share",
        "/docs\\..\\x",
        "",
        "/docs/\0",
        "C:/x",
    ] {
        assert_eq!(
            read(&grants, path),
            Err("files.path".to_owned()),
            "{path:?}"
        );
    }
}

#[test]
fn fs_002_denies_a_path_longer_than_any_kernel_takes() {
    let grants = [grant("/docs", Access::Read)];
    let path = format!("/docs/{}", "a/".repeat(4096));
    assert_eq!(read(&grants, &path), Err("files.path".to_owned()));
}

#[test]
fn fs_014_denies_writing_below_a_read_grant() {
    let denied =
        decide_file(&[grant("/docs", Access::Read)], "/docs/a", Access::Write).unwrap_err();
    assert_eq!(denied.rule, "files[0].access");
    assert_eq!(denied.wanted, "write /docs/a");
    assert_eq!(
        denied.cure.as_deref(),
        Some("access = \"write\"\nquota = \"10MiB\"\nentries = 1_000")
    );
}

#[test]
fn fs_026_refuses_host_folders_by_their_text() {
    for host in [
        "/",
        "//",
        "/.",
        "/proc",
        "/proc/1",
        "/sys/fs",
        "/dev",
        "/dev/fd/3",
        "/etc",
        "/root/x",
        "/run",
        "..",
        "a/..",
        "../a",
        "a/../../b",
        "~",
        "~/a",
        "$HOME",
        "a/$X",
        "",
        "a\\b",
        "a\0b",
        "a\u{202e}b",
    ] {
        let text = toml(host);
        assert!(Profile::parse(&text, "x.toml").is_err(), "{host:?}");
    }
    for (host, normal) in [
        ("docs", "docs"),
        ("./docs/", "docs"),
        (".", "."),
        ("a//b", "a/b"),
        ("/srv/docs/", "/srv/docs"),
    ] {
        let profile = Profile::parse(&toml(host), "x.toml").expect(host);
        assert_eq!(profile.grants.files[0].host, normal);
    }
}

fn toml(host: &str) -> String {
    let escaped: String = host
        .chars()
        .map(|c| format!("\\U{:08X}", u32::from(c)))
        .collect();
    format!(
        "version = 1\nname = \"x\"\n[[files]]\nguest = \"/a\"\nhost = \"{escaped}\"\naccess = \"read\"\n"
    )
}

#[test]
fn allows_reading_at_and_below_a_grant() {
    let grants = [grant("/docs", Access::Read)];
    for path in [
        "/docs",
        "/docs/",
        "/docs/a.md",
        "/docs/a/b/c",
        "/docs/./a",
        "/docs//a",
        "/docs/...",
        "/docs/..a",
    ] {
        assert_eq!(read(&grants, path), Ok(0), "{path}");
    }
}

#[test]
fn the_longest_guest_path_decides() {
    let grants = [
        grant("/", Access::Read),
        grant("/out", Access::Write),
        grant("/out/fixed", Access::Read),
    ];
    let write = |path: &str| decide_file(&grants, path, Access::Write).map(|allowed| allowed.index);
    assert_eq!(write("/out/a"), Ok(1));
    assert_eq!(write("/out/fixed/a").unwrap_err().rule, "files[2].access");
    assert_eq!(write("/a").unwrap_err().rule, "files[0].access");
    assert_eq!(read(&grants, "/a"), Ok(0));
}

#[test]
fn denies_with_the_table_that_would_allow() {
    let denied = decide_file(&[], "/docs/a.md", Access::Read).unwrap_err();
    let cure = denied.cure.unwrap();
    assert_eq!(
        cure,
        "[[files]]\nguest = \"/docs\"\nhost = \"docs\"\naccess = \"read\""
    );
    let profile =
        Profile::parse(&format!("version = 1\nname = \"x\"\n{cure}\n"), "x.toml").unwrap();
    assert!(decide_file(&profile.grants.files, "/docs/a.md", Access::Read).is_ok());
}
