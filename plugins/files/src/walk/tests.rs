//! Trees that never were on a disk.

use std::collections::BTreeMap;

use super::*;

/// `wide` files and one folder in each folder, without end.
struct Endless {
    wide: usize,
}

fn entry(path: String, kind: Kind) -> Entry {
    Entry {
        path,
        kind,
        bytes: 1,
        target: None,
    }
}

impl Folder for Endless {
    fn list(&self, path: &str) -> Result<Vec<Entry>, Error> {
        let file = |number| entry(join(path, &format!("{number}.md")), Kind::File);
        let folder = entry(join(path, "deeper"), Kind::Folder);
        Ok((0..self.wide).map(file).chain([folder]).collect())
    }
}

/// Folders by path; one that is not there cannot be listed.
#[derive(Default)]
struct Tree(BTreeMap<String, Vec<Entry>>);

impl Tree {
    fn with(mut self, folder: &str, name: &str, kind: Kind, target: Option<&str>) -> Self {
        let mut new = entry(join(folder, name), kind);
        new.target = target.map(str::to_owned);
        self.0.entry(folder.to_owned()).or_default().push(new);
        self
    }
}

impl Folder for Tree {
    fn list(&self, path: &str) -> Result<Vec<Entry>, Error> {
        let found = self.0.get(path).cloned();
        found.ok_or_else(|| Error::invalid("permission denied"))
    }
}

fn all(max: usize) -> Wish {
    Wish {
        recursive: true,
        max,
        ..Wish::default()
    }
}

fn part(max: usize) -> Wish {
    Wish {
        partial: true,
        ..all(max)
    }
}

#[test]
fn a_tree_over_a_bound_is_refused_where_no_part_was_asked_for() {
    for (wide, max) in [(1, 10_000), (50, 70)] {
        let refused = list(&Endless { wide }, "/d", &all(max));
        assert!(matches!(refused, Err(Error::Invalid(_))), "{wide}");
    }
}

#[test]
fn an_endless_tree_ends_at_the_depth_and_says_so() {
    let listing = list(&Endless { wide: 1 }, "/d", &part(10_000)).expect("a listing");
    assert_eq!(
        (listing.paths.len(), listing.truncated),
        (DEPTH_MAX + 1, true)
    );
    assert!(
        listing
            .left_out
            .iter()
            .any(|left| left.why.contains("deep"))
    );
}

#[test]
fn a_wide_tree_ends_at_max_and_says_so() {
    let listing = list(&Endless { wide: 50 }, "/d", &part(70)).expect("a listing");
    assert_eq!((listing.paths.len(), listing.truncated), (70, true));
}

#[test]
fn a_folder_that_cannot_be_opened_is_told_or_ends_the_listing() {
    let tree = Tree::default().with("/d", "a.md", Kind::File, None).with(
        "/d",
        "closed",
        Kind::Folder,
        None,
    );
    assert!(list(&tree, "/d", &all(10)).is_err());
    assert!(list(&tree, "/gone", &part(10)).is_err());
    let listing = list(&tree, "/d", &part(10)).expect("a listing");
    assert_eq!(
        (listing.paths, listing.truncated),
        (vec!["/d/a.md".to_owned()], true)
    );
    let left: Vec<&str> = listing
        .left_out
        .iter()
        .map(|left| left.path.as_str())
        .collect();
    assert_eq!(left, ["/d/closed"]);
}

#[test]
fn what_cannot_be_opened_is_named() {
    let tree = Tree::default().with("/d", "pipe", Kind::Other, None);
    let listing = list(&tree, "/d", &all(10)).expect("a listing");
    assert_eq!(
        listing.left_out.first().map(|left| left.path.as_str()),
        Some("/d/pipe")
    );
}

#[test]
fn links_are_opened_once_and_never_around_themselves() {
    let tree = Tree::default()
        .with("/d", "real", Kind::Folder, None)
        .with("/d", "link", Kind::Folder, Some("/d/real"))
        .with("/d/real", "a.md", Kind::File, None)
        .with("/d/real", "up", Kind::Folder, Some("/d"))
        .with("/d/real", "side", Kind::Folder, Some("/d/other"))
        .with("/d/link", "a.md", Kind::File, None)
        .with("/d/link", "side", Kind::Folder, Some("/d/other"))
        .with("/d/real/side", "b.md", Kind::File, None);
    let listing = list(&tree, "/d", &all(10)).expect("a listing");
    assert_eq!(
        listing.paths,
        ["/d/link/a.md", "/d/real/a.md", "/d/real/side/b.md"]
    );
    let unopened: Vec<&str> = listing
        .links
        .iter()
        .map(|link| link.path.as_str())
        .collect();
    assert_eq!(unopened, ["/d/real/up", "/d/link/side"]);
    let stay = Wish {
        stay: true,
        ..all(10)
    };
    let listing = list(&tree, "/d", &stay).expect("a listing");
    assert_eq!((listing.paths.len(), listing.links.len()), (1, 3));
}

#[test]
fn an_excluded_folder_is_not_opened_and_is_told() {
    let wish = Wish {
        exclude: vec!["deeper".to_owned()],
        ..all(10)
    };
    let listing = list(&Endless { wide: 1 }, "/d", &wish).expect("a listing");
    assert_eq!(listing.excluded, ["/d/deeper"]);
    assert!(!listing.truncated);
}

#[test]
fn without_recursion_folders_are_left_alone_and_nothing_counts_as_left_out() {
    let wish = Wish {
        max: 10,
        ..Wish::default()
    };
    let listing = list(&Endless { wide: 2 }, "/d/", &wish).expect("a listing");
    assert_eq!(listing.paths, ["/d/0.md", "/d/1.md"]);
    assert!(!listing.truncated && listing.left_out.is_empty());
}

#[test]
fn only_names_with_the_suffix_or_an_extension_in_any_case_are_listed() {
    let tree = Tree::default()
        .with("/d", "a.MD", Kind::File, None)
        .with("/d", "b.Markdown", Kind::File, None)
        .with("/d", "c.mdx", Kind::File, None)
        .with("/d", "md", Kind::File, None);
    let wish = Wish {
        extensions: vec!["md".to_owned(), ".markdown".to_owned()],
        max: 10,
        ..Wish::default()
    };
    let listing = list(&tree, "/d", &wish).expect("a listing");
    assert_eq!(listing.paths, ["/d/a.MD", "/d/b.Markdown"]);
    let wish = Wish {
        suffix: "2.md".to_owned(),
        max: 10,
        ..Wish::default()
    };
    let listing = list(&Endless { wide: 3 }, "/d", &wish).expect("a listing");
    assert_eq!(listing.paths, ["/d/2.md"]);
}

#[test]
fn the_root_has_no_parent() {
    assert_eq!(
        (parent("/a"), parent("/out/a/b.md")),
        (None, Some("/out/a"))
    );
}
