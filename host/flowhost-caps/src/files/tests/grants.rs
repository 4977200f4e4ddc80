//! What a profile may not name, and what two plugins do not share.

use super::*;

fn problem(tree: &Tree, host: &str, forbidden: &Forbidden) -> String {
    let problems = open_grants(tree.path(), &[grant("/x", host, Access::Read)], forbidden);
    let problem = problems.unwrap_err().pop().unwrap();
    problem.to_string()
}

#[test]
fn fs_026_refuses_the_root_and_the_systems_own_trees() {
    let tree = Tree::new();
    tree.dir.create_dir("state").unwrap();
    let forbidden = Forbidden::new(None, &tree.path().join("state")).unwrap();
    for host in [
        "/",
        "/proc",
        "/sys",
        "/dev",
        "/proc/self",
        "/proc/self/fd",
        "/dev/../dev",
    ] {
        let why = problem(&tree, host, &forbidden);
        assert!(why.starts_with("files[0]: cannot grant"), "{why}");
    }
}

#[test]
fn fs_026_refuses_home_its_parents_and_the_state_directory() {
    let tree = Tree::new();
    tree.dir.create_dir_all("users/me/work").unwrap();
    tree.dir.create_dir_all("var/state/default/runs").unwrap();
    let forbidden = Forbidden::new(
        Some(&tree.path().join("users/me")),
        &tree.path().join("var/state"),
    )
    .unwrap();
    for (host, why) in [
        ("users/me", "the home directory"),
        ("users", "a parent of the home directory"),
        (".", "a parent of the home directory"),
        ("var/state", "the state directory"),
        ("var/state/default/runs", "the state directory"),
        ("docs/../var/./state", "the state directory"),
    ] {
        let found = problem(&tree, host, &forbidden);
        assert!(found.contains(why), "{host}: {found}");
    }
    let fine = [grant("/x", "users/me/work", Access::Read)];
    open_grants(tree.path(), &fine, &forbidden).unwrap();
}

#[test]
fn fs_026_refuses_links_to_them_by_what_they_are() {
    let tree = Tree::new();
    tree.dir.create_dir_all("var/state").unwrap();
    tree.dir
        .symlink_contents(tree.path().join("var/state"), "docs/innocent")
        .unwrap();
    tree.dir.symlink_contents("/proc", "docs/numbers").unwrap();
    let forbidden = Forbidden::new(None, &tree.path().join("var/state")).unwrap();
    let at = |link: &str| tree.path().join(link).display().to_string();
    assert!(problem(&tree, &at("docs/innocent"), &forbidden).contains("the state directory"));
    assert!(problem(&tree, &at("docs/numbers"), &forbidden).contains("`/proc`"));
}

#[test]
fn fs_026_follows_no_link_out_of_the_plans_folder() {
    let tree = Tree::new();
    let elsewhere = TempDir::new().unwrap();
    tree.dir
        .symlink_contents(elsewhere.path(), "docs/keys")
        .unwrap();
    tree.dir.symlink("sub", "docs/inside").unwrap();
    for access in [Access::Read, Access::Write] {
        for host in ["docs/keys", "docs/keys/made"] {
            let grants = [grant("/x", host, access)];
            let problems = open_grants(tree.path(), &grants, &Forbidden::default()).unwrap_err();
            assert!(
                problems[0].cure.contains("is not followed"),
                "{}",
                problems[0]
            );
        }
        let fine = [grant("/x", "docs/inside", access)];
        open_grants(tree.path(), &fine, &Forbidden::default()).unwrap();
    }
    assert!(!elsewhere.path().join("made").exists());
}

#[test]
fn reports_every_grant_that_cannot_be_had() {
    let tree = Tree::new();
    tree.dir.create_dir("state").unwrap();
    let forbidden = Forbidden::new(None, &tree.path().join("state")).unwrap();
    let grants = [
        grant("/a", "missing", Access::Read),
        grant("/b", "docs", Access::Read),
        grant("/c", "docs/a.md", Access::Read),
        grant("/d", "/", Access::Write),
    ];
    let problems = open_grants(tree.path(), &grants, &forbidden).unwrap_err();
    let places: Vec<usize> = problems.iter().map(|problem| problem.index).collect();
    assert_eq!(places, [0, 2, 3]);
}

#[test]
fn makes_the_folder_of_a_write_grant() {
    let tree = Tree::new();
    let grants = [grant("/r", "results/today", Access::Write)];
    open_grants(tree.path(), &grants, &Forbidden::default()).unwrap();
    assert!(tree.dir.is_dir("results/today"));
}

#[tokio::test]
async fn fs_034_plugins_without_a_common_grant_see_separate_folders() {
    let tree = Tree::new();
    let (mine, yours) = (
        vec![grant("/w", "mine", Access::Write)],
        vec![grant("/w", "yours", Access::Write)],
    );
    let open =
        |grants: &[FileGrant]| open_grants(tree.path(), grants, &Forbidden::default()).unwrap();
    let mut services = FileServices::default();
    services.insert("p", open(&mine));
    services.insert("q", open(&yours));
    let mut first = Call::new(Files::new(services.clone()), mine.clone());
    first.write("/w/f", b"mine").await.unwrap();
    assert!(tree.dir.exists("mine/f") && !tree.dir.exists("yours/f"));
    // `p` under a profile that names the other's folder still has only its own handles.
    let recorder = Arc::new(MemoryRecorder::default());
    let stolen = scope(yours, &recorder);
    assert!(Files::new(services).open(&stolen, true).is_err());
}

#[tokio::test]
async fn a_narrowed_call_reads_what_it_may_no_longer_write() {
    let tree = Tree::new();
    let opened = open_grants(
        tree.path(),
        &[grant("/out", "out", Access::Write)],
        &Forbidden::default(),
    );
    let mut services = FileServices::default();
    services.insert("p", opened.unwrap());
    let mut call = Call::new(
        Files::new(services),
        vec![grant("/out", "out", Access::Read)],
    );
    assert_eq!(denied(call.write("/out/f", b"x").await), "files[0].access");
    assert!(call.list("/out").await.unwrap().is_empty());
}

#[test]
fn without_a_grant_the_state_is_empty() {
    let files = Files::new(FileServices::default());
    let scope = scope(Vec::new(), &Arc::default());
    assert!(!files.capability().granted(&scope.effective));
    assert!(files.open(&scope, false).is_ok());
}

#[test]
fn fs_026_a_state_directory_that_is_not_there_is_an_error() {
    let tree = Tree::new();
    assert!(Forbidden::new(None, &tree.path().join("missing")).is_err());
    assert!(Forbidden::new(Some(&tree.path().join("missing")), tree.path()).is_ok());
}

#[tokio::test]
async fn fs_030_a_mount_inside_the_tree_is_refused() {
    let tree = Tree::new();
    // `/proc` is a mount below `/` on every Linux; only this test may open `/`, with an empty table.
    let mut call = tree.call(vec![grant("/all", "/", Access::Read)]);
    for path in ["/all/proc/version", "/all/proc/self/environ"] {
        let why = invalid(call.read(path).await);
        assert!(why.contains("mounted"), "{path}: {why}");
    }
    let why = invalid(call.list("/all/proc").await);
    assert!(why.contains("mounted"), "{why}");
}
