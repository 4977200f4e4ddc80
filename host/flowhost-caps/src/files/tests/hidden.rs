//! A grant of a folder that the state folder lies in: it is given, and the state folder is not in it.

use super::{wasi::*, *};

/// A project: documents, and the state folder below it.
fn project() -> (Tree, Forbidden) {
    let tree = Tree::new();
    tree.dir.create_dir_all("docs/.state/keys").unwrap();
    tree.dir.write("docs/.state/keys/k", "outside").unwrap();
    tree.dir.write("docs/.state/k", "outside").unwrap();
    let forbidden = Forbidden::new(None, &tree.path().join("docs/.state")).unwrap();
    (tree, forbidden)
}

fn call(tree: &Tree, forbidden: &Forbidden, access: Access) -> Call {
    tree.call_beside(vec![grant("/docs", "docs", access)], forbidden)
}

#[tokio::test]
async fn fs_026_the_state_folder_is_neither_listed_nor_reached() {
    let (tree, forbidden) = project();
    for access in [Access::Read, Access::Write] {
        let mut call = call(&tree, &forbidden, access);
        assert_eq!(call.list("/docs").await.unwrap(), ["a.md", "sub"]);
        assert_eq!(call.read("/docs/sub/b.md").await.unwrap(), b"beta");
        for path in ["/docs/.state", "/docs/.state/", "/docs/./.state/keys"] {
            invalid(call.list(path).await);
            invalid(call.stat(path).await);
        }
        for path in ["/docs/.state/k", "/docs/.state/keys/k", "/docs//.state//k"] {
            let why = invalid(call.read(path).await);
            // But for the path that the guest itself gave, it is told what it is told of any missing file.
            let gone = invalid(call.read("/docs/gone").await);
            assert_eq!(why, gone.replace("/docs/gone", path), "{path}");
            invalid(call.stat(path).await);
        }
    }
}

#[tokio::test]
async fn fs_026_no_link_leads_to_the_state_folder() {
    let (tree, forbidden) = project();
    tree.dir.symlink(".state", "docs/plain").unwrap();
    tree.dir.symlink("../.state/keys", "docs/sub/up").unwrap();
    tree.dir.symlink(".state/k", "docs/file").unwrap();
    tree.dir.symlink("sub/up/k", "docs/twice").unwrap();
    tree.dir.symlink("sub/..", "docs/around").unwrap();
    for access in [Access::Read, Access::Write] {
        let mut call = call(&tree, &forbidden, access);
        for path in [
            "/docs/plain/k",
            "/docs/sub/up/k",
            "/docs/file",
            "/docs/twice",
            "/docs/around/.state/k",
        ] {
            invalid(call.read(path).await);
            invalid(call.stat(path).await);
        }
        invalid(call.list("/docs/plain").await);
        assert_eq!(call.read("/docs/around/a.md").await.unwrap(), b"alpha");
        let around = call.list("/docs/around").await.unwrap();
        assert!(!around.contains(&".state".to_owned()), "{around:?}");
    }
}

#[tokio::test]
async fn fs_026_the_other_interface_does_not_reach_it_either() {
    let (tree, forbidden) = project();
    tree.dir.symlink(".state", "docs/plain").unwrap();
    let mut call = call(&tree, &forbidden, Access::Write);
    let docs = call.preopen("/docs");
    for path in [".state", "plain", ".state/keys", "plain/keys"] {
        call.open(&docs, path, OpenFlags::DIRECTORY, READ)
            .await
            .expect_err(path);
    }
    for path in [".state/k", "plain/k"] {
        call.open(&docs, path, OpenFlags::empty(), READ)
            .await
            .expect_err(path);
        call.open(&docs, path, OpenFlags::CREATE, WRITE)
            .await
            .expect_err(path);
    }
    let mut names = call.names(&docs).await;
    names.sort();
    assert_eq!(names, ["a.md", "plain", "sub"]);
}

#[tokio::test]
async fn fs_026_the_state_folder_is_not_written_moved_or_removed() {
    let (tree, _) = project();
    tree.dir.create_dir_all("docs/deep/er").unwrap();
    tree.dir
        .rename("docs/.state", &tree.dir, "docs/deep/er/.state")
        .unwrap();
    let state = tree.path().join("docs/deep/er/.state");
    let forbidden = Forbidden::new(None, &state).unwrap();
    let mut call = call(&tree, &forbidden, Access::Write);
    let docs = call.preopen("/docs");
    for path in ["deep", "deep/er", "deep/er/.state", "deep/er/.state/k"] {
        call.rename(&docs, path, "moved").await.expect_err(path);
        invalid(call.remove(&format!("/docs/{path}")).await);
    }
    invalid(call.write("/docs/deep/er/.state/new", b"x").await);
    invalid(call.make("/docs/deep/er/.state/new").await);
    call.rename(&docs, "a.md", "deep/er/.state/a.md")
        .await
        .unwrap_err();
    call.rename(&docs, "sub", "deep/er/.state")
        .await
        .unwrap_err();
    assert_eq!(tree.dir.read("docs/deep/er/.state/k").unwrap(), b"outside");
    call.rename(&docs, "sub", "deep/er/sub").await.unwrap();
}

#[tokio::test]
async fn fs_026_a_guest_that_swaps_a_link_while_another_reads_never_gets_in() {
    let (tree, forbidden) = project();
    tree.dir.create_dir("docs/inner").unwrap();
    tree.dir.write("docs/inner/k", "inside").unwrap();
    tree.dir.symlink("inner", "docs/swap").unwrap();
    tree.dir.symlink(".state", "docs/other").unwrap();
    let folder = {
        let grants = [grant("/docs", "docs", Access::Write)];
        let opened = open_grants(tree.path(), &grants, &forbidden).unwrap();
        opened.find(&grants[0]).unwrap()
    };
    let (one, other) = (
        tree.path().join("docs/swap"),
        tree.path().join("docs/other"),
    );
    let read = || super::race::read(&folder, "swap/k");
    let (inside, outside) = super::race::escapes(read, || super::race::exchange(&one, &other));
    assert_eq!(outside, 0);
    assert!(inside > 0, "the race never read the file");
}

#[tokio::test]
async fn what_is_not_shown_does_not_fill_the_quota() {
    let (tree, forbidden) = project();
    tree.dir
        .write("docs/.state/big", vec![b'x'; 20_000])
        .unwrap();
    let mut call = call(&tree, &forbidden, Access::Write);
    call.write("/docs/f", &[b'x'; 9_000]).await.unwrap();
}

#[tokio::test]
async fn a_narrowed_grant_shows_it_no_more_than_the_whole() {
    let (tree, forbidden) = project();
    let opened = open_grants(
        tree.path(),
        &[grant("/docs", "docs", Access::Write)],
        &forbidden,
    );
    let mut services = FileServices::default();
    services.insert("p", opened.unwrap());
    let mut call = Call::new(
        Files::new(services),
        vec![grant("/docs", "docs", Access::Read)],
    );
    invalid(call.read("/docs/.state/k").await);
    assert_eq!(call.list("/docs").await.unwrap(), ["a.md", "sub"]);
}
