//! Granted folders in memory. A path is in a folder when it begins with the folder's name; what a real
//! disk adds (links, devices, other names for the same file) is the host's to refuse.

use std::collections::{BTreeMap, BTreeSet};

use super::denied;
use crate::Error;
use crate::files::{Entry, Kind};

#[derive(Default)]
pub(super) struct Files {
    /// Whether each granted folder may be written.
    grants: BTreeMap<String, bool>,
    files: BTreeMap<String, Vec<u8>>,
    folders: BTreeSet<String>,
}

impl Files {
    pub(super) fn put(&mut self, path: &str, contents: &[u8]) {
        let inner = path.trim_start_matches('/');
        let root = format!("/{}", inner.split('/').next().unwrap_or_default());
        self.grants.entry(root).or_insert(false);
        self.files.insert(path.to_owned(), contents.to_vec());
    }

    pub(super) fn grant(&mut self, root: &str, write: bool) {
        self.grants.insert(root.to_owned(), write);
    }

    pub(super) fn contents(&self, path: &str) -> Option<Vec<u8>> {
        self.files.get(path).cloned()
    }

    pub(super) fn roots(&self) -> Vec<String> {
        self.grants.keys().cloned().collect()
    }

    fn check(&self, path: &str, write: bool) -> Result<(), Error> {
        let climbs = path.split('/').any(|part| part == "..");
        let granted = self
            .grants
            .iter()
            .any(|(root, writable)| is_below(path, root) && (*writable || !write));
        match (granted && !climbs, write) {
            (true, _) => Ok(()),
            (false, false) => Err(denied("files", path, "Fakes::file")),
            (false, true) => Err(denied("files", path, "Fakes::writable")),
        }
    }

    pub(super) fn read(&self, path: &str) -> Result<Vec<u8>, Error> {
        self.check(path, false)?;
        let found = self.files.get(path).cloned();
        found.ok_or_else(|| Error::invalid(format_args!("there is no file `{path}`")))
    }

    pub(super) fn stat(&self, path: &str) -> Result<Entry, Error> {
        self.check(path, false)?;
        let name = path.rsplit('/').next().unwrap_or_default();
        match self.files.get(path) {
            Some(contents) => Ok(entry(name, Kind::File, contents.len())),
            None if self.is_folder(path) => Ok(entry(name, Kind::Directory, 0)),
            None => Err(Error::invalid(format_args!("there is no `{path}`"))),
        }
    }

    pub(super) fn list(&self, path: &str) -> Result<Vec<Entry>, Error> {
        self.check(path, false)?;
        if !self.is_folder(path) {
            return Err(Error::invalid(format_args!("there is no folder `{path}`")));
        }
        let mut found = BTreeMap::new();
        let files = self.files.iter().map(|(name, it)| (name, Some(it.len())));
        let folders = self.folders.iter().map(|name| (name, None));
        for (name, size) in files.chain(folders) {
            let Some(rest) = inside(name, path) else {
                continue;
            };
            let (first, deeper) = rest
                .split_once('/')
                .map_or((rest, false), |(it, _)| (it, true));
            let made = match size {
                Some(size) if !deeper => entry(first, Kind::File, size),
                _ => entry(first, Kind::Directory, 0),
            };
            found.insert(first.to_owned(), made);
        }
        Ok(found.into_values().collect())
    }

    fn is_folder(&self, path: &str) -> bool {
        let known = self.grants.contains_key(path) || self.folders.contains(path);
        known || self.files.keys().any(|name| inside(name, path).is_some())
    }

    pub(super) fn write(&mut self, path: &str, new: &[u8], append: bool) -> Result<(), Error> {
        self.check(path, true)?;
        let contents = self.files.entry(path.to_owned()).or_default();
        if !append {
            contents.clear();
        }
        contents.extend_from_slice(new);
        Ok(())
    }

    pub(super) fn make_directory(&mut self, path: &str) -> Result<(), Error> {
        self.check(path, true)?;
        self.folders.insert(path.to_owned());
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &str) -> Result<(), Error> {
        self.check(path, true)?;
        if self.files.remove(path).is_some() {
            return Ok(());
        }
        let empty = !self.files.keys().any(|name| inside(name, path).is_some());
        if empty && self.folders.remove(path) {
            return Ok(());
        }
        Err(Error::invalid(format_args!(
            "`{path}` is not there, or not empty"
        )))
    }
}

fn is_below(path: &str, root: &str) -> bool {
    path == root || inside(path, root).is_some()
}

fn inside<'a>(path: &'a str, folder: &str) -> Option<&'a str> {
    path.strip_prefix(folder)?.strip_prefix('/')
}

fn entry(name: &str, kind: Kind, size: usize) -> Entry {
    Entry {
        name: name.to_owned(),
        kind,
        size: size.to_string(),
        target: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(files: &Files, path: &str) -> Vec<String> {
        let listed = files.list(path).unwrap();
        listed.into_iter().map(|it| it.name).collect()
    }

    #[test]
    fn denies_what_no_grant_holds_and_what_climbs_out() {
        let mut files = Files::default();
        files.put("/docs/a", b"a");
        for path in ["/other", "/docsx", "/docs/../etc"] {
            assert!(matches!(files.read(path), Err(Error::Denied(_))), "{path}");
        }
        assert!(matches!(
            files.write("/docs/a", b"", false),
            Err(Error::Denied(_))
        ));
        assert!(matches!(files.read("/docs/b"), Err(Error::Invalid(_))));
    }

    #[test]
    fn lists_each_name_once_and_removes_what_is_empty() {
        let mut files = Files::default();
        files.grant("/out", true);
        files.write("/out/b/1", b"x", false).unwrap();
        files.write("/out/b/2", b"x", false).unwrap();
        files.write("/out/a", b"x", true).unwrap();
        files.write("/out/a", b"y", true).unwrap();
        assert_eq!(names(&files, "/out"), ["a", "b"]);
        assert_eq!(files.read("/out/a").unwrap(), b"xy");
        files.make_directory("/out/c").unwrap();
        assert!(files.remove("/out/b").is_err());
        files.remove("/out/c").unwrap();
        assert_eq!(names(&files, "/out"), ["a", "b"]);
    }
}
