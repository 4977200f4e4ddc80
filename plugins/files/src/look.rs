//! Which of many paths are there. A path that a link leads out of the folder is not called missing: what
//! lies behind it is not known here.

use std::collections::BTreeMap;

use flowhost_sdk::Error;
use serde::Serialize;

use crate::walk::{self, Entry, Folder, Kind, LeftOut};

/// What was found.
#[derive(Debug, Default, Serialize, PartialEq, Eq)]
pub(crate) struct Looked {
    pub(crate) there: usize,
    /// Sorted as they came.
    pub(crate) missing: Vec<String>,
    pub(crate) unclear: Vec<LeftOut>,
}

/// Asks for one path.
pub(crate) trait Ask {
    /// Whether something is there; `invalid` when not, or when it cannot be reached.
    fn is_there(&self, path: &str) -> Result<(), Error>;
}

/// Looks for each path.
pub(crate) fn look(host: &(impl Ask + Folder), paths: Vec<String>) -> Looked {
    let mut looked = Looked::default();
    let mut folders = BTreeMap::new();
    for path in paths {
        match host.is_there(&path) {
            Ok(()) => looked.there += 1,
            Err(Error::Invalid(why)) if leads_out(host, &path, &mut folders) => {
                looked.unclear.push(LeftOut { path, why });
            }
            Err(Error::Invalid(_)) => looked.missing.push(path),
            Err(error) => {
                let why = walk::words(&error);
                looked.unclear.push(LeftOut { path, why });
            }
        }
    }
    looked
}

/// Whether something on the way to `path` is there and cannot be opened.
fn leads_out(
    host: &impl Folder,
    path: &str,
    folders: &mut BTreeMap<String, Option<Vec<Entry>>>,
) -> bool {
    let mut at = path.trim_end_matches('/');
    while let Some(folder) = walk::parent(at) {
        let entries = folders
            .entry(folder.to_owned())
            .or_insert_with(|| host.list(folder).ok());
        if let Some(entries) = entries {
            return entries
                .iter()
                .any(|entry| entry.path == at && entry.kind == Kind::Other);
        }
        at = folder;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `/d` with a file and a link that leads out; every other folder is closed.
    struct Host;

    impl Ask for Host {
        fn is_there(&self, path: &str) -> Result<(), Error> {
            match path {
                "/d/a.md" => Ok(()),
                path if path.starts_with("/e") => Err(Error::failed("the disk is gone")),
                _ => Err(Error::invalid("entity not found")),
            }
        }
    }

    impl Folder for Host {
        fn list(&self, path: &str) -> Result<Vec<Entry>, Error> {
            let entry = |name: &str, kind| Entry {
                path: walk::join(path, name),
                kind,
                bytes: 0,
                target: None,
            };
            match path {
                "/d" => Ok(vec![entry("a.md", Kind::File), entry("out", Kind::Other)]),
                _ => Err(Error::invalid("entity not found")),
            }
        }
    }

    #[test]
    fn what_lies_behind_a_link_out_is_unclear_and_the_rest_is_missing() {
        let paths = [
            "/d/gone.md",
            "/d/out",
            "/d/out/x/y.md",
            "/d/no/x.md",
            "/d/a.md",
            "/e/z",
        ];
        let looked = look(&Host, paths.map(str::to_owned).into());
        assert_eq!(looked.missing, ["/d/gone.md", "/d/no/x.md"]);
        let unclear: Vec<&str> = looked
            .unclear
            .iter()
            .map(|left| left.path.as_str())
            .collect();
        assert_eq!(unclear, ["/d/out", "/d/out/x/y.md", "/e/z"]);
        assert_eq!(looked.there, 1);
    }
}
