//! Grants turned into handles, once, when a run starts.
//!
//! This is the only place of the capability that takes a path of this machine, and it is the
//! operator's. Everything a guest does later goes through the handles that are opened here.

use std::{
    collections::{BTreeMap, HashSet},
    ffi::OsString,
    io,
    os::fd::{AsFd as _, AsRawFd as _},
    os::unix::ffi::OsStringExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use cap_std::{
    ambient_authority,
    fs::{Dir, MetadataExt},
};
use flowhost_policy::{Access, FOLDER_ENTRIES_MAX, FileGrant};

use super::{
    forbidden::{DirId, Forbidden, Hidden},
    path::DEPTH_MAX,
    root::{Folder, Mount, Root},
    usage::{Quota, Usage},
};

/// Why a `[[files]]` table cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("files[{index}]: cannot grant `{host}` as `{guest}`: {message}")]
pub struct GrantProblem {
    /// Index of the table in the effective profile.
    pub index: usize,
    /// Guest path.
    pub guest: String,
    /// Host folder as the profile writes it.
    pub host: String,
    /// What is wrong with it.
    pub message: String,
    /// What to do instead.
    pub cure: String,
    /// Whether nothing stands at the folder's path.
    pub is_absent: bool,
}

/// One grant, opened.
#[derive(Debug, Clone)]
pub(super) struct OpenGrant {
    pub(super) guest: String,
    host: String,
    access: Access,
    pub(super) folder: Folder,
}

impl OpenGrant {
    /// The kernel's own name of the handle: what was opened, and not what stands at its path by now.
    fn place(&self) -> Result<PathBuf, String> {
        if self.folder.root.hidden.is_some() {
            return Err(format!(
                "`{}` holds the host's own state, which no native process is shown: grant a folder beside it",
                self.host
            ));
        }
        // By a name all the same, because the sandbox is another process and opens the folder
        // again: it follows no link, and this name holds none.
        let handle = format!("/proc/self/fd/{}", self.folder.dir.as_fd().as_raw_fd());
        let place = rustix::fs::readlink(handle.as_str(), Vec::new());
        let place =
            place.map_err(|error| format!("`{}` cannot be found again: {error}", self.host))?;
        Ok(PathBuf::from(OsString::from_vec(place.into_bytes())))
    }
}

/// The opened grants of one plugin.
#[derive(Debug, Clone, Default)]
pub struct OpenGrants {
    grants: Vec<OpenGrant>,
}

impl OpenGrants {
    /// The handle of `grant`, which may have been narrowed to reading since it was opened.
    pub(super) fn find(&self, grant: &FileGrant) -> Option<Folder> {
        let same = |open: &&OpenGrant| open.guest == grant.guest && open.host == grant.host;
        let open = self.grants.iter().find(same)?;
        let mut folder = open.folder.clone();
        // A narrowed grant counts nothing, and without an account nothing is written, whoever
        // forgets to ask.
        if grant.access < open.access {
            folder.root = Arc::new(Root {
                mount: folder.root.mount,
                usage: None,
                hidden: folder.root.hidden.clone(),
                guest: folder.root.guest.clone(),
            });
        }
        Some(folder)
    }
}

/// The opened grants of every plugin of a run. Two plugins share a folder only when both profiles
/// name it.
#[derive(Debug, Clone, Default)]
pub struct FileServices {
    plugins: BTreeMap<String, OpenGrants>,
}

impl FileServices {
    /// Adds a plugin's grants; a plugin that was never added has none.
    pub fn insert(&mut self, plugin: &str, grants: OpenGrants) {
        self.plugins.insert(plugin.to_owned(), grants);
    }

    /// Where the folders of a plugin are on this machine, by guest path, for those who show them to a native
    /// process; for each that must not be shown, why.
    pub fn places(&self, plugin: &str) -> impl Iterator<Item = (&str, Result<PathBuf, String>)> {
        self.plugins
            .get(plugin)
            .into_iter()
            .flat_map(|opened| &opened.grants)
            .map(|open| (open.guest.as_str(), open.place()))
    }

    pub(super) fn of(&self, plugin: &str) -> Option<&OpenGrants> {
        self.plugins.get(plugin)
    }
}

/// Opens every grant; a write grant's folder is made where it is not there. A path is relative to
/// `plan_dir`.
///
/// # Errors
/// Every grant that cannot be had, all at once.
pub fn open_grants(
    plan_dir: &Path,
    grants: &[FileGrant],
    forbidden: &Forbidden,
) -> Result<OpenGrants, Vec<GrantProblem>> {
    let mut opened = OpenGrants::default();
    let mut problems = Vec::new();
    for (index, grant) in grants.iter().enumerate() {
        match open_one(plan_dir, grant, forbidden) {
            Ok(open) => opened.grants.push(open),
            Err((message, cure)) => problems.push(problem(index, grant, message, cure)),
        }
    }
    if problems.is_empty() {
        Ok(opened)
    } else {
        Err(problems)
    }
}

/// Every grant that [`open_grants`] would refuse, without making anything; what stands in a folder is
/// not counted.
#[must_use]
pub fn refused_grants(
    plan_dir: &Path,
    grants: &[FileGrant],
    forbidden: &Forbidden,
) -> Vec<GrantProblem> {
    let refused = |(index, grant): (usize, &FileGrant)| {
        let (message, cure) = look_at(plan_dir, grant, forbidden).err()?;
        Some(problem(index, grant, message, cure))
    };
    grants.iter().enumerate().filter_map(refused).collect()
}

fn problem(index: usize, grant: &FileGrant, message: String, cure: &str) -> GrantProblem {
    GrantProblem {
        index,
        guest: grant.guest.clone(),
        host: grant.host.clone(),
        message,
        cure: cure.to_owned(),
        is_absent: cure == ABSENT,
    }
}

/// A write grant's folder may come later.
fn look_at(plan: &Path, grant: &FileGrant, forbidden: &Forbidden) -> Result<(), Refusal> {
    match open_there(plan, grant) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && grant.access == Access::Write => {
            Ok(())
        }
        opened => allowed(&opened.map_err(not_opened(grant))?, forbidden),
    }
}

fn allowed(dir: &Dir, forbidden: &Forbidden) -> Result<(), Refusal> {
    match forbidden.refuses(dir).map_err(refusal)? {
        Some(why) => Err((format!("it is {why}"), CURE)),
        None => Ok(()),
    }
}

fn open_there(plan: &Path, grant: &FileGrant) -> io::Result<Dir> {
    let host = Path::new(&grant.host);
    if host.is_absolute() {
        return Dir::open_ambient_dir(host, ambient_authority());
    }
    Dir::open_ambient_dir(plan, ambient_authority())?.open_dir(host)
}

fn refusal(error: io::Error) -> Refusal {
    (error.to_string(), "make the folder, or name another")
}

/// Why a grant's folder cannot be opened; to leave the plan's folder is a denied permission.
fn not_opened(grant: &FileGrant) -> impl Fn(io::Error) -> Refusal {
    let relative = !Path::new(&grant.host).is_absolute();
    move |error| match error.kind() {
        io::ErrorKind::PermissionDenied if relative => (error.to_string(), LINK_CURE),
        io::ErrorKind::NotFound => (error.to_string(), ABSENT),
        _ => refusal(error),
    }
}

type Refusal = (String, &'static str);

const CURE: &str = "name a folder of its own, below the plan";
/// Of a folder that is not there, and of nothing else.
const ABSENT: &str = "make the folder";
const LINK_CURE: &str = "a link out of the plan's folder is not followed: name the folder by its absolute path, or take a \
     `dir` input";

fn open_one(plan: &Path, grant: &FileGrant, forbidden: &Forbidden) -> Result<OpenGrant, Refusal> {
    // Opened first and judged by the handle: between a look at a path and its opening it could be
    // another folder.
    let dir = open_host(plan, grant)?;
    allowed(&dir, forbidden)?;
    let metadata = dir.dir_metadata().map_err(refusal)?;
    let mount = Mount::of(&dir, &metadata);
    let hidden = forbidden.hidden_below(&dir).map_err(refusal)?;
    let usage = match grant.access {
        Access::Read => None,
        Access::Write => Some(Arc::new(measure(&dir, mount, grant, hidden.as_ref())?)),
    };
    let root = Root {
        mount,
        usage,
        hidden,
        guest: grant.guest.trim_end_matches('/').to_owned(),
    };
    let folder = Folder {
        root: Arc::new(root),
        dir: Arc::new(dir),
        depth: 0,
    };
    let (guest, host) = (grant.guest.clone(), grant.host.clone());
    Ok(OpenGrant {
        guest,
        host,
        access: grant.access,
        folder,
    })
}

/// A relative folder stays below the plan, links included: whoever wrote the plan may also have put
/// a link named `docs` beside it. An absolute one is the operator's word.
fn open_host(plan: &Path, grant: &FileGrant) -> Result<Dir, Refusal> {
    match open_there(plan, grant) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && grant.access == Access::Write => {
            make(plan, Path::new(&grant.host)).map_err(not_opened(grant))?;
            open_there(plan, grant).map_err(not_opened(grant))
        }
        opened => opened.map_err(not_opened(grant)),
    }
}

fn make(plan: &Path, host: &Path) -> io::Result<()> {
    if host.is_absolute() {
        return Dir::create_ambient_dir_all(host, ambient_authority());
    }
    Dir::open_ambient_dir(plan, ambient_authority())?.create_dir_all(host)
}

/// Counts what stands below a folder, so that the quota is of all of it. What a guest does not see it does
/// not fill.
fn measure(
    dir: &Dir,
    mount: Mount,
    grant: &FileGrant,
    hidden: Option<&Hidden>,
) -> Result<Usage, Refusal> {
    let mut tally = Tally::default();
    let failed = |error: io::Error| {
        (
            error.to_string(),
            "make the folder readable, or name another",
        )
    };
    let mut waiting = vec![(dir.try_clone().map_err(failed)?, 0)];
    while let Some((dir, depth)) = waiting.pop() {
        if Mount::of(&dir, &dir.dir_metadata().map_err(failed)?) != mount {
            return Err(("another file system is mounted below it".to_owned(), CURE));
        }
        for entry in dir.entries().map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let metadata = entry.metadata().map_err(failed)?;
            if hidden.is_some_and(|hidden| hidden.is(DirId::from(&metadata))) {
                continue;
            }
            tally.count(&metadata);
            // Looked at with each entry: after the loop a folder of any size would have been
            // walked.
            if tally.entries > FOLDER_ENTRIES_MAX {
                return Err((
                    format!("more than {FOLDER_ENTRIES_MAX} entries stand below it"),
                    CURE,
                ));
            }
            // A link to a folder is no folder here: it is an entry, and what it leads to is counted
            // where it stands.
            if !entry.file_type().map_err(failed)?.is_dir() {
                continue;
            }
            // Nothing could be reached below it, and its bytes would count against the quota all
            // the same.
            if depth == DEPTH_MAX {
                return Err((format!("it is more than {DEPTH_MAX} folders deep"), CURE));
            }
            waiting.push((entry.open_dir().map_err(failed)?, depth + 1));
        }
    }
    let quota = Quota {
        bytes: grant.quota_bytes,
        entries: grant.quota_entries,
    };
    Ok(Usage::new(quota, tally.bytes, tally.entries))
}

#[derive(Default)]
struct Tally {
    bytes: u64,
    entries: u64,
    linked: HashSet<u64>,
}

impl Tally {
    fn count(&mut self, metadata: &cap_std::fs::Metadata) {
        self.entries += 1;
        // A file of several names takes its bytes once, as `Account::removed` gives them back once.
        let first = metadata.nlink() <= 1 || self.linked.insert(metadata.ino());
        if metadata.is_file() && first {
            self.bytes = self.bytes.saturating_add(metadata.len());
        }
    }
}
