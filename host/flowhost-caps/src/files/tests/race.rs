//! Somebody swaps what a guest is opening.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::*;
use crate::files::{
    path::Below,
    root::{Folder, Opened, Wish},
};

/// Opens per race; a longer one finds nothing more on a kernel with `openat2`.
const ITERATIONS: usize = 20_000;

pub(super) fn exchange(one: &PathBuf, other: &PathBuf) {
    let _ = renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE);
}

fn folder(tree: &Tree, host: &str) -> Folder {
    let grants = [grant("/x", host, Access::Write)];
    let opened = open_grants(tree.path(), &grants, &Forbidden::default()).unwrap();
    opened.find(&grants[0]).unwrap()
}

/// Runs `guest` against `swap` and counts what was read from outside.
pub(super) fn escapes(
    mut guest: impl FnMut() -> Option<Vec<u8>>,
    swap: impl Fn() + Send + Sync,
) -> (usize, usize) {
    let done = AtomicBool::new(false);
    let (mut inside, mut outside) = (0, 0);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                swap();
            }
        });
        for _ in 0..ITERATIONS {
            match guest() {
                Some(bytes) if bytes == b"outside" => outside += 1,
                Some(_) => inside += 1,
                None => {}
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    (inside, outside)
}

pub(super) fn read(folder: &Folder, path: &str) -> Option<Vec<u8>> {
    let wish = Wish {
        read: true,
        follow: true,
        ..Wish::default()
    };
    match folder.open(&Below::new(path, 0).unwrap(), wish).ok()? {
        Opened::File(file) => file.read_all(100).ok(),
        Opened::Folder(_) => None,
    }
}

#[test]
fn fs_010_swapping_a_directory_and_a_link_never_leads_out() {
    let tree = Tree::new();
    tree.dir.create_dir("elsewhere").unwrap();
    tree.dir.write("elsewhere/f", "outside").unwrap();
    tree.dir.create_dir("docs/d").unwrap();
    tree.dir.write("docs/d/f", "inside").unwrap();
    tree.dir
        .symlink_contents(tree.path().join("elsewhere"), "docs/swap")
        .unwrap();
    let folder = folder(&tree, "docs");
    let (one, other) = (tree.path().join("docs/d"), tree.path().join("docs/swap"));
    let (inside, outside) = escapes(|| read(&folder, "d/f"), || exchange(&one, &other));
    assert_eq!(outside, 0);
    assert!(inside > 0, "the race never read the file");
}

#[test]
fn fs_011_moving_a_directory_between_two_grants_never_leads_out() {
    let tree = Tree::new();
    tree.dir.create_dir_all("docs/d/e").unwrap();
    tree.dir.write("docs/d/e/f", "inside").unwrap();
    tree.dir.write("f", "outside").unwrap();
    tree.dir.symlink("../../f", "docs/d/e/up").unwrap();
    let folder = folder(&tree, "docs");
    let (here, there) = (tree.path().join("docs/d/e"), tree.path().join("out/e"));
    tree.dir.create_dir("out/e").unwrap();
    tree.dir.symlink("../../f", "out/e/up").unwrap();
    let (_, outside) = escapes(|| read(&folder, "d/e/up"), || exchange(&here, &there));
    assert_eq!(outside, 0);
}
