//! Bytes and entries, up to the limit and one over.

use super::*;

#[tokio::test]
async fn fs_019_a_write_over_the_quota_changes_nothing() {
    let tree = Tree::new();
    let mut call = tree.usual();
    call.write("/out/f", &[b'x'; 10_000]).await.unwrap();
    assert_eq!(limited(call.append("/out/f", b"y").await), "files.quota");
    assert_eq!(limited(call.write("/out/g", b"y").await), "files.quota");
    assert_eq!(
        limited(call.write("/out/f", &[b'z'; 10_001]).await),
        "files.quota"
    );
    assert_eq!(tree.dir.read("out/f").unwrap(), vec![b'x'; 10_000]);
    call.write("/out/f", b"short").await.unwrap();
    call.append("/out/g", &[b'y'; 9_995]).await.unwrap();
    assert_eq!(limited(call.append("/out/g", b"y").await), "files.quota");
}

#[tokio::test]
async fn fs_020_one_entry_too_many_is_refused() {
    let tree = Tree::new();
    let mut call = tree.usual();
    for index in 0..50 {
        call.write(&format!("/out/{index}"), b"").await.unwrap();
    }
    assert_eq!(limited(call.write("/out/over", b"").await), "files.entries");
    assert_eq!(limited(call.make("/out/over").await), "files.entries");
    call.remove("/out/7").await.unwrap();
    call.make("/out/fits").await.unwrap();
    assert_eq!(limited(call.make("/out/over").await), "files.entries");
}

#[tokio::test]
async fn what_stood_there_before_the_run_counts() {
    let tree = Tree::new();
    tree.dir.write("out/old", vec![b'x'; 9_000]).unwrap();
    tree.dir.create_dir("out/old-folder").unwrap();
    let mut call = tree.usual();
    assert_eq!(
        limited(call.write("/out/f", &[b'x'; 1_001]).await),
        "files.quota"
    );
    call.write("/out/f", &[b'x'; 1_000]).await.unwrap();
}

#[tokio::test]
async fn removing_gives_back() {
    let tree = Tree::new();
    let mut call = tree.usual();
    for _ in 0..5 {
        call.write("/out/f", &[b'x'; 10_000]).await.unwrap();
        call.remove("/out/f").await.unwrap();
    }
    let usage = usage(&mut call);
    assert_eq!(usage, (0, 0));
}

fn usage(call: &mut Call) -> (u64, u64) {
    let granted =
        std::sync::Arc::clone(&call.state.parts::<crate::files::FilesState>().state.granted);
    granted[1]
        .folder
        .as_ref()
        .unwrap()
        .root
        .usage
        .as_ref()
        .unwrap()
        .lock()
        .used()
}

#[tokio::test]
async fn the_account_agrees_with_the_folder_after_many_changes() {
    let tree = Tree::new();
    let mut call = tree.usual();
    for round in 0..200_usize {
        let path = format!("/out/{}", round * 7 % 11);
        let size = round * 131 % 1_500;
        let _ = match round % 4 {
            0 => call.write(&path, &vec![b'a'; size]).await,
            1 => call.append(&path, &vec![b'b'; size]).await,
            2 => call.remove(&path).await,
            _ => call.write(&path, b"").await,
        };
    }
    let mut bytes = 0;
    let mut entries = 0;
    for entry in tree.dir.read_dir("out").unwrap() {
        bytes += entry.unwrap().metadata().unwrap().len();
        entries += 1;
    }
    assert_eq!(usage(&mut call), (bytes, entries));
    assert!(entries > 0);
}

/// Many entries, so that only the depth is in the way.
fn roomy(tree: &Tree) -> Call {
    let mut deep = grant("/out", "out", Access::Write);
    deep.quota_entries = 20_000;
    tree.call(vec![deep])
}

fn chain(name: &str, depth: usize) -> String {
    vec![name; depth].join("/")
}

#[tokio::test]
async fn fs_020_a_rename_takes_nothing_deeper_than_it_may_be_made() {
    let tree = Tree::new();
    let mut call = roomy(&tree);
    call.make(&format!("/out/{}", chain("a", 64)))
        .await
        .unwrap();
    call.make(&format!("/out/{}", chain("b", 65)))
        .await
        .unwrap();
    let out = call.preopen("/out");
    let to = format!("{}/a", chain("b", 64));
    let fits = call.rename(&out, "a", &to).await;
    assert!(fits.is_ok(), "64 names below the 64th");
    call.rename(&out, &to, "a").await.unwrap();
    let over = call
        .rename(&out, "a", &format!("{}/a", chain("b", 65)))
        .await;
    assert!(over.is_err());
    // A file counts as a folder does.
    call.write(&format!("/out/{}/f", chain("a", 64)), b"")
        .await
        .unwrap();
    assert!(call.rename(&out, "a", &to).await.is_err());
    // The next run opens the folder again.
    roomy(&tree);
}

#[tokio::test]
async fn fs_020_a_link_is_no_way_around_the_depth() {
    let tree = Tree::new();
    let mut call = roomy(&tree);
    let bottom = chain("a", 128);
    call.make(&format!("/out/{bottom}")).await.unwrap();
    call.make("/out/c/d").await.unwrap();
    let out = call.preopen("/out");
    call.symlink(&out, &bottom, "short").await.unwrap();
    invalid(call.make("/out/short/x").await);
    invalid(call.write("/out/short/f", b"").await);
    assert!(call.rename(&out, "c", "short/c").await.is_err());
    assert!(call.symlink(&out, "x", "short/l").await.is_err());
    // Nor is a folder that was opened through one.
    let held = call.open_folder(&out, "short").await;
    assert!(call.rename_into(&out, "c", &held, "c").await.is_err());
    roomy(&tree);
}

#[tokio::test]
async fn two_calls_of_a_plugin_share_one_account() {
    let tree = Tree::new();
    let grants = vec![grant("/out", "out", Access::Write)];
    let opened = open_grants(tree.path(), &grants, &Forbidden::default()).unwrap();
    let mut services = FileServices::default();
    services.insert("p", opened);
    let mut first = Call::new(Files::new(services.clone()), grants.clone());
    let mut second = Call::new(Files::new(services), grants);
    first.write("/out/a", &[b'x'; 6_000]).await.unwrap();
    assert_eq!(
        limited(second.write("/out/b", &[b'x'; 4_001]).await),
        "files.quota"
    );
    second.write("/out/b", &[b'x'; 4_000]).await.unwrap();
}
