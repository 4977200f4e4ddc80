//! `flowhost:files`.

use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::*;

#[tokio::test]
async fn fs_001_denies_paths_that_climb() {
    let tree = Tree::new();
    let mut call = tree.usual();
    for path in [
        "/docs/../secret",
        "/docs/a/../../secret",
        "/docs/a/b/../../../secret",
        "/../secret",
    ] {
        assert_eq!(denied(call.read(path).await), "files.path", "{path}");
        assert_eq!(call.last().0, "deny");
    }
}

#[tokio::test]
async fn fs_002_denies_paths_of_this_machine_and_of_others() {
    let tree = Tree::new();
    let mut call = tree.usual();
    for path in [
        "/etc/passwd",
        "//etc/passwd",
        "C:\\x",
        "\\\\?\\C:\\",
        "\\\\server\\share",
        "",
        "a.md",
    ] {
        denied(call.read(path).await);
    }
    for path in ["/docs/C:\\x", "/docs/..\\secret", "/docs/a\0b"] {
        assert_eq!(denied(call.read(path).await), "files.path", "{path}");
    }
}

#[tokio::test]
async fn denies_every_path_without_a_grant() {
    let tree = Tree::new();
    let mut call = tree.call(Vec::new());
    assert_eq!(denied(call.read("/docs/a.md").await), "files#none");
    assert!((&mut call.state).roots().await.unwrap().is_empty());
}

#[tokio::test]
async fn fs_015_a_read_grant_refuses_every_verb_that_changes() {
    let tree = Tree::new();
    let mut call = tree.usual();
    assert_eq!(
        denied(call.write("/docs/a.md", b"x").await),
        "files[0].access"
    );
    assert_eq!(
        denied(call.write("/docs/new", b"x").await),
        "files[0].access"
    );
    assert_eq!(
        denied(call.append("/docs/a.md", b"x").await),
        "files[0].access"
    );
    assert_eq!(denied(call.make("/docs/new").await), "files[0].access");
    assert_eq!(denied(call.remove("/docs/a.md").await), "files[0].access");
    assert_eq!(denied(call.remove("/docs/sub").await), "files[0].access");
    assert_eq!(
        call.last(),
        (
            "deny".into(),
            "files[0].access".into(),
            "write /docs/sub".into()
        )
    );
    assert_eq!(tree.dir.read("docs/a.md").unwrap(), b"alpha");
    assert_eq!(call.list("/docs").await.unwrap(), ["a.md", "sub"]);
}

#[tokio::test]
async fn fs_006_a_loop_of_links_ends_in_an_error() {
    let tree = Tree::new();
    tree.dir.symlink("b", "docs/a").unwrap();
    tree.dir.symlink("a", "docs/b").unwrap();
    for link in 0..60 {
        tree.dir
            .symlink(format!("l{}", link + 1), format!("docs/l{link}"))
            .unwrap();
    }
    tree.dir.write("docs/l60", "end").unwrap();
    let mut call = tree.usual();
    invalid(call.read("/docs/a").await);
    invalid(call.read("/docs/l0").await);
}

#[tokio::test]
async fn fs_005_a_link_that_leads_out_is_not_followed() {
    let tree = Tree::new();
    tree.dir.symlink("../secret", "docs/up").unwrap();
    tree.dir.symlink("..", "docs/parent").unwrap();
    let absolute = tree.path().join("secret");
    tree.dir
        .symlink_contents(absolute, "docs/absolute")
        .unwrap();
    let mut call = tree.usual();
    for path in ["/docs/up", "/docs/parent/secret", "/docs/absolute"] {
        let why = invalid(call.read(path).await);
        assert!(why.contains("leaves its folder"), "{path}: {why}");
    }
    for entry in call.entries("/docs").await {
        let leads_out = ["absolute", "parent", "up"].contains(&entry.name.as_str());
        assert_eq!(entry.kind == wit::Kind::Other, leads_out, "{}", entry.name);
    }
}

#[tokio::test]
async fn a_listing_names_all_that_is_there_also_what_cannot_be_opened() {
    use std::os::unix::ffi::OsStrExt;
    let tree = Tree::new();
    tree.dir.symlink("gone", "docs/nowhere").unwrap();
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9.md");
    let name = std::path::Path::new("docs").join(name);
    tree.dir.write(name, "x").unwrap();
    let mut call = tree.usual();
    let entries = call.entries("/docs").await;
    let seen: Vec<(&str, bool)> = entries
        .iter()
        .map(|entry| (entry.name.as_str(), entry.kind == wit::Kind::Other))
        .collect();
    let wanted = [
        ("a.md", false),
        ("caf\u{fffd}.md", true),
        ("nowhere", true),
        ("sub", false),
    ];
    assert_eq!(seen, wanted);
}

#[tokio::test]
async fn a_link_that_leads_up_within_the_grant_is_listed_with_where_it_leads() {
    let tree = Tree::new();
    tree.dir.symlink("../a.md", "docs/sub/up").unwrap();
    tree.dir.symlink("..", "docs/sub/loop").unwrap();
    tree.dir.symlink("b.md", "docs/sub/same").unwrap();
    tree.dir.symlink("sub", "docs/way").unwrap();
    let mut call = tree.usual();
    let shown = |entries: Vec<wit::Entry>| -> Vec<(String, bool, String)> {
        let shown = |entry: wit::Entry| {
            let is_file = entry.kind == wit::Kind::File;
            (entry.name, is_file, entry.target.unwrap_or_default())
        };
        entries.into_iter().map(shown).collect()
    };
    let row = |name: &str, is_file, target: &str| (name.to_owned(), is_file, target.to_owned());
    let wanted = [
        row("b.md", true, ""),
        row("loop", false, "/docs"),
        row("same", true, "/docs/sub/b.md"),
        row("up", true, "/docs/a.md"),
    ];
    assert_eq!(shown(call.entries("/docs/sub").await), wanted);
    assert_eq!(shown(call.entries("/docs/way").await), wanted);
    let target = call.stat("/docs/way/b.md").await.unwrap().target;
    assert_eq!(target.as_deref(), Some("/docs/sub/b.md"));
    assert_eq!(call.stat("/docs/sub/b.md").await.unwrap().target, None);
}

#[tokio::test]
async fn a_link_inside_the_tree_is_followed() {
    let tree = Tree::new();
    tree.dir.symlink("../a.md", "docs/sub/link").unwrap();
    let mut call = tree.usual();
    assert_eq!(call.read("/docs/sub/link").await.unwrap(), b"alpha");
}

#[tokio::test]
async fn fs_027_nothing_leads_to_proc_or_dev() {
    let tree = Tree::new();
    for (target, name) in [
        ("/proc/self/mem", "m"),
        ("/proc/self/environ", "e"),
        ("/dev/fd", "f"),
    ] {
        tree.dir
            .symlink_contents(target, format!("docs/{name}"))
            .unwrap();
    }
    let mut call = tree.usual();
    for path in ["/docs/m", "/docs/e", "/docs/f/3", "/docs/f"] {
        invalid(call.read(path).await);
    }
    for path in ["/proc/self/mem", "/proc/self/environ", "/dev/fd/3"] {
        assert_eq!(denied(call.read(path).await), "files#none");
    }
}

#[tokio::test]
async fn fs_007_a_trailing_slash_means_a_directory() {
    let tree = Tree::new();
    tree.dir.symlink("sub", "docs/link").unwrap();
    tree.dir.write("out/f", "x").unwrap();
    let mut call = tree.usual();
    invalid(call.read("/docs/a.md/").await);
    invalid(call.read("/docs/sub/").await);
    invalid(call.stat("/docs/a.md/").await);
    invalid(call.list("/docs/a.md/").await);
    invalid(call.write("/out/new/", b"x").await);
    invalid(call.write("/out/f/", b"x").await);
    invalid(call.remove("/out/f/").await);
    assert_eq!(call.list("/docs/link/").await.unwrap(), ["b.md"]);
    assert_eq!(
        call.stat("/docs/sub/").await.unwrap().kind,
        wit::Kind::Directory
    );
    assert_eq!(tree.dir.read("out/f").unwrap(), b"x");
}

#[tokio::test]
async fn fs_024_six_hundred_opens_of_a_pipe_block_nothing() {
    let tree = Tree::new();
    let pipe = tree.path().join("out/pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let started = tokio::time::Instant::now();
    let mut call = tree.usual();
    for _ in 0..300 {
        assert!(invalid(call.read("/out/pipe").await).contains("regular"));
        assert!(invalid(call.write("/out/pipe", b"x").await).contains("regular"));
    }
    assert!(
        started.elapsed() < Duration::from_secs(15),
        "an open waited for the other end"
    );
}

#[tokio::test]
async fn fs_025_sockets_and_devices_are_refused_and_named_as_what_cannot_be_opened() {
    let tree = Tree::new();
    let _socket = std::os::unix::net::UnixListener::bind(tree.path().join("docs/socket")).unwrap();
    let device = tree.path().join("docs/null");
    // Making a device needs a right that a test may lack; the socket is refused by the same line.
    let made = mknodat(CWD, &device, FileType::CharacterDevice, Mode::RUSR, 0x103).is_ok();
    let mut call = tree.usual();
    assert!(invalid(call.read("/docs/socket").await).contains("regular"));
    invalid(call.stat("/docs/socket").await);
    if made {
        assert!(invalid(call.read("/docs/null").await).contains("regular"));
    }
    for entry in call.entries("/docs").await {
        let is_special = ["null", "socket"].contains(&entry.name.as_str());
        assert_eq!(entry.kind == wit::Kind::Other, is_special, "{}", entry.name);
    }
}

#[tokio::test]
async fn fs_022_a_listing_ends_at_ten_thousand_entries() {
    let tree = Tree::new();
    tree.dir.create_dir("docs/many").unwrap();
    for index in 0..10_000 {
        tree.dir.write(format!("docs/many/{index:05}"), "").unwrap();
    }
    let mut call = tree.usual();
    assert_eq!(call.list("/docs/many").await.unwrap().len(), 10_000);
    tree.dir.write("docs/many/last", "").unwrap();
    assert_eq!(limited(call.list("/docs/many").await), "files.list");
}

#[tokio::test]
async fn a_file_over_the_output_limit_is_not_read() {
    let tree = Tree::new();
    tree.dir.write("docs/fits", vec![b'x'; 1 << 20]).unwrap();
    tree.dir
        .write("docs/over", vec![b'x'; (1 << 20) + 1])
        .unwrap();
    let mut call = tree.usual();
    assert_eq!(call.read("/docs/fits").await.unwrap().len(), 1 << 20);
    assert_eq!(limited(call.read("/docs/over").await), "files.read");
}

#[tokio::test]
async fn the_longest_guest_path_decides_and_its_own_folder_answers() {
    let tree = Tree::new();
    tree.dir.create_dir("docs/inner").unwrap();
    let grants = vec![
        grant("/docs", "docs", Access::Read),
        grant("/docs/inner", "out", Access::Write),
    ];
    let mut call = tree.call(grants);
    call.write("/docs/inner/f", b"x").await.unwrap();
    assert!(tree.dir.exists("out/f") && !tree.dir.exists("docs/inner/f"));
    assert_eq!(call.last().1, "files[1]");
}

#[tokio::test]
async fn each_operation_is_one_record_with_its_rule() {
    let tree = Tree::new();
    let mut call = tree.usual();
    call.write("/out/f", b"one").await.unwrap();
    assert_eq!(
        call.last(),
        ("allow".into(), "files[1]".into(), "write /out/f".into())
    );
    call.read("/docs/a.md").await.unwrap();
    assert_eq!(
        call.last(),
        ("allow".into(), "files[0]".into(), "read /docs/a.md".into())
    );
    assert_eq!(call.records(), 2);
}

#[tokio::test]
async fn writes_appends_makes_and_removes_below_a_write_grant() {
    let tree = Tree::new();
    let mut call = tree.usual();
    call.make("/out/a/b").await.unwrap();
    call.make("/out/a/b/").await.unwrap();
    call.write("/out/a/b/f", b"longer text").await.unwrap();
    call.write("/out/a/b/f", b"short").await.unwrap();
    call.append("/out/a/b/f", b" end").await.unwrap();
    assert_eq!(call.read("/out/a/b/f").await.unwrap(), b"short end");
    assert_eq!(call.stat("/out/a/b/f").await.unwrap().size, "9");
    invalid(call.remove("/out/a").await);
    invalid(call.remove("/out").await);
    for path in ["/out/a/b/f", "/out/a/b", "/out/a"] {
        call.remove(path).await.unwrap();
    }
    assert!(call.list("/out").await.unwrap().is_empty());
}

#[tokio::test]
async fn fs_038_what_is_written_is_never_executable() {
    use cap_std::fs::MetadataExt;
    let tree = Tree::new();
    let mut call = tree.usual();
    call.write("/out/run.so", b"\x7fELF").await.unwrap();
    assert_eq!(tree.dir.metadata("out/run.so").unwrap().mode() & 0o111, 0);
}

#[tokio::test]
async fn fs_020_nesting_ends_at_a_depth() {
    let tree = Tree::new();
    let mut deep = grant("/out", "out", Access::Write);
    deep.quota_entries = 20_000;
    let mut call = tree.call(vec![deep]);
    let path = |depth: usize| format!("/out{}", "/d".repeat(depth));
    call.make(&path(128)).await.unwrap();
    invalid(call.make(&path(129)).await);
}
