//! Walks folders, breadth first, with bounds on depth and entries, so that a deep or wide tree costs
//! no more than what was asked for. It sees folders through a trait and so never touches one itself.

use std::collections::VecDeque;

use flowhost_sdk::Error;
use serde::Serialize;

/// Deepest folder below the start that is opened.
pub(crate) const DEPTH_MAX: usize = 32;
/// Most files in one listing.
pub(crate) const ENTRIES_MAX: usize = 10_000;

/// One file or folder.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) path: String,
    pub(crate) is_folder: bool,
    pub(crate) bytes: u64,
}

/// Where entries come from.
pub(crate) trait Folder {
    /// The entries of one folder.
    fn list(&self, path: &str) -> Result<Vec<Entry>, Error>;
}

/// A file as it is shown.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub(crate) struct File {
    path: String,
    bytes: u64,
}

/// The files below a folder, sorted by path.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub(crate) struct Listing {
    pub(crate) files: Vec<File>,
    pub(crate) paths: Vec<String>,
    /// Something was left out because of a bound.
    pub(crate) truncated: bool,
}

/// Lists the files below `path` whose names end with `suffix`.
pub(crate) fn list(
    from: &impl Folder,
    path: &str,
    depth_max: usize,
    suffix: &str,
    max: usize,
) -> Result<Listing, Error> {
    let mut files = Vec::new();
    let mut truncated = false;
    let mut waiting = VecDeque::from([(path.to_owned(), 0)]);
    while let Some((folder, depth)) = waiting.pop_front() {
        for entry in from.list(&folder)? {
            if !entry.is_folder {
                if entry.path.ends_with(suffix) {
                    files.push(File {
                        path: entry.path,
                        bytes: entry.bytes,
                    });
                }
            } else if depth < depth_max {
                waiting.push_back((entry.path, depth + 1));
            } else {
                truncated |= depth_max > 0;
            }
        }
        if files.len() > max {
            truncated = true;
            break;
        }
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    files.truncate(max);
    let paths = files.iter().map(|file| file.path.clone()).collect();
    Ok(Listing {
        files,
        paths,
        truncated,
    })
}

/// `/docs` and `a.md` to `/docs/a.md`.
pub(crate) fn join(folder: &str, name: &str) -> String {
    format!("{}/{name}", folder.trim_end_matches('/'))
}

/// The folder of a path, unless it is the root.
pub(crate) fn parent(path: &str) -> Option<&str> {
    path.rsplit_once('/')
        .map(|(folder, _)| folder)
        .filter(|folder| !folder.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `wide` files and one folder in each folder, without end.
    struct Endless {
        wide: usize,
    }

    impl Folder for Endless {
        fn list(&self, path: &str) -> Result<Vec<Entry>, Error> {
            let file = |number| Entry {
                path: join(path, &format!("{number}.md")),
                is_folder: false,
                bytes: 1,
            };
            let folder = Entry {
                path: join(path, "deeper"),
                is_folder: true,
                bytes: 0,
            };
            Ok((0..self.wide).map(file).chain([folder]).collect())
        }
    }

    #[test]
    fn an_endless_tree_ends_at_the_depth_and_says_so() {
        let listing = list(&Endless { wide: 1 }, "/d", DEPTH_MAX, "", 10_000).expect("a listing");
        assert_eq!(
            (listing.paths.len(), listing.truncated),
            (DEPTH_MAX + 1, true)
        );
    }

    #[test]
    fn a_wide_tree_ends_at_max_and_says_so() {
        let listing = list(&Endless { wide: 50 }, "/d", DEPTH_MAX, "", 70).expect("a listing");
        assert_eq!((listing.paths.len(), listing.truncated), (70, true));
    }

    #[test]
    fn without_recursion_folders_are_left_alone_and_nothing_counts_as_left_out() {
        let listing = list(&Endless { wide: 2 }, "/d/", 0, "", 10).expect("a listing");
        assert_eq!(listing.paths, ["/d/0.md", "/d/1.md"]);
        assert!(!listing.truncated);
    }

    #[test]
    fn only_names_with_the_suffix_are_listed() {
        let listing = list(&Endless { wide: 3 }, "/d", 0, "2.md", 10).expect("a listing");
        assert_eq!(listing.paths, ["/d/2.md"]);
    }

    #[test]
    fn the_root_has_no_parent() {
        assert_eq!(
            (parent("/a"), parent("/out/a/b.md")),
            (None, Some("/out/a"))
        );
    }
}
