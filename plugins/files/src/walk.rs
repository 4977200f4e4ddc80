//! Walks folders, breadth first, with bounds on depth and entries, so that a deep or wide tree costs
//! no more than what was asked for. It sees folders through a trait and so never touches one itself.
//!
//! A listing that is not whole is an error, unless who asked for it said that a part is welcome: then it
//! says what is missing.

use std::collections::VecDeque;

use flowhost_sdk::Error;
use serde::Serialize;

/// Deepest folder below the start that is opened: as deep as the host lets anyone go.
pub(crate) const DEPTH_MAX: usize = 128;
/// Most files in one listing: some 20 MiB of paths, which fit the memory of the default profile.
pub(crate) const FILES_MAX: usize = 50_000;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Folder,
    /// It is there, and cannot be opened.
    Other,
}

/// One file or folder.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) path: String,
    pub(crate) kind: Kind,
    pub(crate) bytes: u64,
    /// Where a link leads.
    pub(crate) target: Option<String>,
}

/// Where entries come from.
pub(crate) trait Folder {
    /// The entries of one folder.
    fn list(&self, path: &str) -> Result<Vec<Entry>, Error>;
}

/// What is listed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wish {
    pub(crate) recursive: bool,
    /// How names end; empty for all.
    pub(crate) suffix: String,
    /// What follows the last dot, in any case; none for all.
    pub(crate) extensions: Vec<String>,
    /// Names of folders that are not opened.
    pub(crate) exclude: Vec<String>,
    /// Do not open folders through links.
    pub(crate) stay: bool,
    pub(crate) max: usize,
    /// A listing that is not whole is welcome.
    pub(crate) partial: bool,
}

/// A file as it is shown.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub(crate) struct File {
    path: String,
    bytes: u64,
}

/// Something that is there and not listed.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub(crate) struct LeftOut {
    pub(crate) path: String,
    pub(crate) why: String,
}

/// A link to a folder that was not opened; what lies there has a path of its own.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub(crate) struct Link {
    path: String,
    target: String,
}

/// The files below a folder, sorted by path.
#[derive(Debug, Default, Serialize, PartialEq, Eq)]
pub(crate) struct Listing {
    pub(crate) files: Vec<File>,
    pub(crate) paths: Vec<String>,
    /// Files are missing because of a bound or a folder that could not be opened.
    pub(crate) truncated: bool,
    pub(crate) left_out: Vec<LeftOut>,
    /// Links to folders that were not opened.
    pub(crate) links: Vec<Link>,
    /// Folders that were left out as was asked for.
    pub(crate) excluded: Vec<String>,
}

/// Lists the files below `path`.
///
/// # Errors
/// What the start says when it cannot be listed; and, unless a part is welcome, the first bound or folder
/// that would make the listing one.
pub(crate) fn list(from: &impl Folder, path: &str, wish: &Wish) -> Result<Listing, Error> {
    let mut walk = Walk {
        wish,
        listing: Listing::default(),
        waiting: VecDeque::new(),
    };
    let start = Waiting {
        path: path.to_owned(),
        depth: 0,
        linked: false,
    };
    walk.open(&start, from.list(path)?)?;
    while let Some(folder) = walk.waiting.pop_front() {
        if walk.listing.files.len() > wish.max {
            break;
        }
        match from.list(&folder.path) {
            Ok(entries) => walk.open(&folder, entries)?,
            Err(error) if wish.partial => walk.cut(&folder.path, words(&error)),
            Err(error) => return Err(error),
        }
    }
    walk.end(path)
}

struct Walk<'w> {
    wish: &'w Wish,
    listing: Listing,
    waiting: VecDeque<Waiting>,
}

struct Waiting {
    path: String,
    depth: usize,
    /// It was reached through a link.
    linked: bool,
}

impl Walk<'_> {
    fn open(&mut self, folder: &Waiting, entries: Vec<Entry>) -> Result<(), Error> {
        for entry in entries {
            match entry.kind {
                Kind::Folder => self.folder(folder, entry)?,
                Kind::File if self.is_wanted(&entry.path) => self.listing.files.push(File {
                    path: entry.path,
                    bytes: entry.bytes,
                }),
                Kind::File => {}
                Kind::Other => self.listing.left_out.push(LeftOut {
                    path: entry.path,
                    why: "it is a link that leads out of the folder or nowhere, a device, a pipe, a socket, \
                          or has a name that is not UTF-8"
                        .to_owned(),
                }),
            }
        }
        Ok(())
    }

    fn folder(&mut self, around: &Waiting, entry: Entry) -> Result<(), Error> {
        let name = entry.path.rsplit('/').next().unwrap_or_default();
        if !self.wish.recursive {
            return Ok(());
        }
        if self.wish.exclude.iter().any(|excluded| excluded == name) {
            self.listing.excluded.push(entry.path);
            return Ok(());
        }
        let linked = around.linked || entry.target.is_some();
        if let Some(target) = entry.target {
            // A link to a folder around it would never end, and links behind links multiply.
            let is_around = is_below(&entry.path, &target);
            if self.wish.stay || around.linked || is_around {
                let path = entry.path;
                self.listing.links.push(Link { path, target });
                return Ok(());
            }
        }
        if around.depth >= DEPTH_MAX {
            let why = format!("it is more than {DEPTH_MAX} folders deep");
            if !self.wish.partial {
                return Err(Error::invalid(format_args!("`{}`: {why}", entry.path)));
            }
            self.cut(&entry.path, why);
            return Ok(());
        }
        self.waiting.push_back(Waiting {
            path: entry.path,
            depth: around.depth + 1,
            linked,
        });
        Ok(())
    }

    fn is_wanted(&self, path: &str) -> bool {
        let extensions = &self.wish.extensions;
        let name = path.rsplit('/').next().unwrap_or_default();
        let extension = name.rsplit_once('.').map(|(_, extension)| extension);
        let fits = |wanted: &String| {
            extension.is_some_and(|it| it.eq_ignore_ascii_case(wanted.trim_start_matches('.')))
        };
        path.ends_with(&self.wish.suffix) && (extensions.is_empty() || extensions.iter().any(fits))
    }

    fn cut(&mut self, path: &str, why: String) {
        self.listing.truncated = true;
        let path = path.to_owned();
        self.listing.left_out.push(LeftOut { path, why });
    }

    fn end(mut self, path: &str) -> Result<Listing, Error> {
        let max = self.wish.max;
        if self.listing.files.len() > max {
            if !self.wish.partial {
                return Err(Error::invalid(format_args!(
                    "more than {max} files below `{path}`: name a smaller folder, `suffix`, `extensions` \
                     or `exclude`, or `max` to take a part"
                )));
            }
            self.listing.truncated = true;
        }
        let files = &mut self.listing.files;
        files.sort_by(|one, other| one.path.cmp(&other.path));
        files.truncate(max);
        self.listing.paths = files.iter().map(|file| file.path.clone()).collect();
        self.listing
            .left_out
            .sort_by(|one, other| one.path.cmp(&other.path));
        Ok(self.listing)
    }
}

/// What an error says to a person.
pub(crate) fn words(error: &Error) -> String {
    match error {
        Error::Invalid(why) | Error::Failed(why) | Error::Transient(why) | Error::Conflict(why) => {
            why.clone()
        }
        Error::Denied(denied) => format!("denied by {}", denied.rule),
        Error::Limit(limit) => format!("the limit `{}` was reached", limit.name),
    }
}

/// Whether `path` lies below `folder`.
fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder.trim_end_matches('/'))
        .is_some_and(|rest| rest.starts_with('/'))
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
mod tests;
