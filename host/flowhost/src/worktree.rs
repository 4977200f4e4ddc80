//! Whether the files that a plan is made of are as they were committed.
//!
//! A folder may be a stranger's, and `git status` runs what its configuration names (a file system monitor,
//! filters). So only objects are read here: what the last commit holds of each file, and what its bytes hash
//! to without filters. No hook, filter or remote helper of the folder's is ever run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use flowhost_flow::Exit;
use flowhost_run::WorkTree;

use crate::ambient::{Ambient, Ran, Shown};
use crate::failure::Failure;
use crate::project::Project;

/// Names handed to one call of git: far below what a command line can hold, whatever they are called.
const NAMES_AT_ONCE: usize = 200;

/// Nothing is fetched for an object that a partial clone lacks, nothing is asked of a person, and a name with a
/// `*` in it is that name.
const QUIETLY: [(&str, &str); 5] = [
    ("GIT_NO_LAZY_FETCH", "1"),
    ("GIT_ALLOW_PROTOCOL", ""),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_OPTIONAL_LOCKS", "0"),
    ("GIT_LITERAL_PATHSPECS", "1"),
];

/// Looks at the files below the plan's folder that the project was read from, where the plan requires that they
/// are as committed; `allowed` when the person takes them as they are.
///
/// # Errors
/// When a file is not as committed, and that is not allowed; when it is allowed and nothing asks for it.
pub fn look(ambient: &Ambient, project: &Project, allowed: bool) -> Result<WorkTree, Failure> {
    let evidence = project.plan.evidence.as_ref();
    if !evidence.is_some_and(|it| it.require_clean) {
        return match allowed {
            false => Ok(WorkTree::Unknown),
            true => Err(Failure::new(
                Exit::Internal,
                "there is nothing that `--allow-dirty` could allow",
            )
            .because("the plan does not say `evidence: { require_clean: true }`")),
        };
    }
    let files = files(ambient, project);
    let (commit, changed, why) = match compared(ambient, &project.dir, &files) {
        Ok((commit, changed)) => (Some(commit), changed, None),
        // What is in no commit at all is not as committed.
        Err(why) => (None, files, Some(why)),
    };
    match commit {
        Some(commit) if changed.is_empty() => Ok(WorkTree::Clean { commit }),
        commit if allowed => Ok(WorkTree::Dirty {
            commit,
            files: changed.into_iter().collect(),
        }),
        _ => Err(refused(&changed, why)),
    }
}

fn refused(changed: &BTreeSet<String>, why: Option<String>) -> Failure {
    let what = "the plan requires a clean work tree (`evidence.require_clean`)";
    let failure = Failure::new(Exit::Internal, what);
    let failure = match why {
        Some(why) => failure.because(format!("nothing says what was committed: {why}")),
        None => {
            let names: Vec<String> = changed.iter().map(|it| format!("`{it}`")).collect();
            failure.because(format!("not as in the last commit: {}", names.join(", ")))
        }
    };
    failure.hint("commit them, or run it with `--allow-dirty`, which is recorded")
}

/// By their names below the plan's folder. Profiles that come with the host and manifests inside components have
/// names as well, and are no files.
fn files(ambient: &Ambient, project: &Project) -> BTreeSet<String> {
    let read = project.texts.files().filter_map(|file| {
        let path = project.cwd.join(file);
        let below = path.strip_prefix(&project.dir).ok()?;
        let is_file = ambient.is_file(&path);
        is_file.then(|| below.display().to_string())
    });
    read.collect()
}

/// The last commit, and which of the files are not as in it; else why nobody can say.
fn compared(
    ambient: &Ambient,
    dir: &Path,
    files: &BTreeSet<String>,
) -> Result<(String, BTreeSet<String>), String> {
    let git = ambient
        .program("git")
        .ok_or("git is not on the PATH of this process")?;
    let ask = |arguments: &[&str]| {
        let ran = ambient.run(&git, arguments, dir, &QUIETLY, Shown::Nothing);
        answer(ran.map_err(|error| error.to_string())?)
    };
    let commit = ask(&["rev-parse", "--verify", "--end-of-options", "HEAD"])?;
    let commit = commit.trim().to_owned();
    let names: Vec<&str> = files.iter().map(String::as_str).collect();
    let mut changed = BTreeSet::new();
    for names in names.chunks(NAMES_AT_ONCE) {
        let in_commit = ask(&[&["ls-tree", "-z", commit.as_str(), "--"][..], names].concat())?;
        let in_commit = blobs(&in_commit);
        let here = ask(&[&["hash-object", "--no-filters", "--"][..], names].concat())?;
        let same = |(name, hash): &(&&str, &str)| in_commit.get(**name) == Some(hash);
        let others = names.iter().zip(here.lines()).filter(|pair| !same(pair));
        changed.extend(others.map(|(name, _)| (*name).to_owned()));
    }
    Ok((commit, changed))
}

fn answer(ran: Ran) -> Result<String, String> {
    match ran.ok {
        true => String::from_utf8(ran.stdout).map_err(|error| error.to_string()),
        false => {
            let said = String::from_utf8_lossy(&ran.stderr);
            let first = said
                .lines()
                .next()
                .unwrap_or("git failed and did not say why");
            Err(first.trim_start_matches("fatal: ").to_owned())
        }
    }
}

/// The hash of each file by its name: `100644 blob HASH\tNAME`, each ended by a NUL.
fn blobs(listed: &str) -> BTreeMap<&str, &str> {
    let entries = listed.split('\0').filter_map(|entry| {
        let (about, name) = entry.split_once('\t')?;
        Some((name, about.rsplit(' ').next()?))
    });
    entries.collect()
}
