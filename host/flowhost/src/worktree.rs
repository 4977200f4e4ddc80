//! Whether the files that a plan is made of are as they were committed.
//!
//! A folder may be a stranger's, and `git status` runs what its configuration names (a file system monitor,
//! filters). So only objects are read here: what the last commit holds of each file, and what the bytes that
//! the plan was loaded from hash to without filters. The files themselves are not read again: a folder that changes
//! meanwhile could show one text to the loader and another one here. No hook, filter or remote helper of the folder's is ever run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use flowhost_flow::Exit;
use flowhost_run::WorkTree;

use crate::ambient::{Ambient, Ran, Shown};
use crate::failure::Failure;
use crate::project::Project;
use crate::sources::SHIPPED;

/// Names handed to one call of git: far below what a command line can hold, whatever they are called.
const NAMES_AT_ONCE: usize = 200;

/// Nothing is fetched for an object that a partial clone lacks, nothing is asked of a person, a name with a
/// `*` in it is that name, and a commit is what its hash says: no object of the folder's stands in for it
/// (`git replace`).
const QUIETLY: [(&str, &str); 6] = [
    ("GIT_NO_REPLACE_OBJECTS", "1"),
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
            // An exception that nothing asks for would be recorded as one, and read as if somebody had looked away.
            true => Err(
                Failure::new(Exit::Internal, "`--allow-dirty` has nothing to allow")
                    .because("the plan does not say `evidence: { require_clean: true }`"),
            ),
        };
    }
    let files = files(project);
    let (commit, changed, why) = match compared(ambient, &project.dir, &files) {
        Ok((commit, changed)) => (Some(commit), changed, None),
        // What is in no commit at all is not as committed.
        Err(why) => (None, files.into_keys().collect(), Some(why)),
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

/// What was loaded, by its name below the plan's folder. Profiles that come with the host and manifests inside
/// components have names as well, and are no files: they are told by their texts, since what stands in the folder
/// may be another now.
fn files(project: &Project) -> BTreeMap<String, Arc<str>> {
    let shipped = |path: &Path, text: &str| {
        let name = path.strip_prefix(project.cwd.join("policies")).ok();
        let name = name.and_then(|it| it.to_str()?.strip_suffix(".toml"));
        name.is_some_and(|name| SHIPPED.contains(&(name, text)))
    };
    let inside = |path: &Path, text: &str| {
        project.members.values().any(|member| {
            let manifest = member.inspection.manifest.as_deref();
            project.cwd.join(&member.path).with_extension("toml") == path
                && manifest.is_some_and(|it| String::from_utf8_lossy(it) == text)
        })
    };
    project
        .texts
        .files()
        .filter_map(|file| {
            let text = project.texts.get(file)?;
            let path = project.cwd.join(file);
            let below = path.strip_prefix(project.cwd.join(&project.dir)).ok()?;
            let is_file = !shipped(&path, text) && !inside(&path, text);
            is_file.then(|| (below.display().to_string(), text.clone()))
        })
        .collect()
}

/// The last commit, and which of the files are not as in it; else why nobody can say.
fn compared(
    ambient: &Ambient,
    dir: &Path,
    files: &BTreeMap<String, Arc<str>>,
) -> Result<(String, BTreeSet<String>), String> {
    let git = ambient
        .program("git")
        .ok_or("git is not on the PATH of this process")?;
    // In the plan's folder, so that names are relative to it, as `ls-tree` takes them.
    let ask = |arguments: &[&str], input: &str| {
        let input = input.as_bytes();
        let ran = ambient.run_on(input, &git, arguments, dir, &QUIETLY, Shown::Nothing);
        answer(ran.map_err(|error| error.to_string())?)
    };
    // Once, and all files are held against that one: a commit that is made meanwhile does not mix two.
    let commit = ask(&["rev-parse", "--verify", "--end-of-options", "HEAD"], "")?;
    let commit = commit.trim().to_owned();
    let files: Vec<(&str, &str)> = files.iter().map(|(name, it)| (&**name, &**it)).collect();
    let mut changed = BTreeSet::new();
    for files in files.chunks(NAMES_AT_ONCE) {
        let names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
        // `-z`: without it git quotes names that are not ASCII.
        let ls_tree = [&["ls-tree", "-z", commit.as_str(), "--"][..], &names].concat();
        let in_commit = ask(&ls_tree, "")?;
        // Submodules and folders come with hashes too; theirs are never the hash of a text.
        let in_commit = blobs(&in_commit);
        for (name, text) in files {
            // One process for each: git takes many files at once, but only one text on its standard input.
            let loaded = ask(&["hash-object", "--no-filters", "--stdin"], text)?;
            if in_commit.get(name) != Some(&loaded.trim()) {
                changed.insert((*name).to_owned());
            }
        }
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
            // Its first line: what follows is advice about git's own options.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(committed: &str) -> (tempfile::TempDir, Ambient) {
        let dir = tempfile::tempdir().unwrap();
        let env = [
            ("PATH", "/usr/local/bin:/usr/bin:/bin"),
            ("HOME", "/nowhere"),
            ("GIT_AUTHOR_NAME", "ann"),
            ("GIT_AUTHOR_EMAIL", "ann@example.com"),
            ("GIT_COMMITTER_NAME", "ann"),
            ("GIT_COMMITTER_EMAIL", "ann@example.com"),
        ];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let ambient = Ambient::with(env.into(), dir.path().to_owned(), None);
        ambient
            .write(Path::new("plan.yaml"), committed.as_bytes())
            .unwrap();
        git(&ambient, &["init", "--quiet"]);
        git(&ambient, &["add", "plan.yaml"]);
        git(&ambient, &["commit", "--quiet", "-m", "one"]);
        (dir, ambient)
    }

    fn git(ambient: &Ambient, arguments: &[&str]) {
        let git = ambient.program("git").unwrap();
        let folder = ambient.cwd().to_owned();
        let ran = ambient.run(&git, arguments, &folder, &[], Shown::Nothing);
        let ran = ran.unwrap();
        assert!(ran.ok, "{}", String::from_utf8_lossy(&ran.stderr));
    }

    fn changed(ambient: &Ambient, loaded: &str) -> BTreeSet<String> {
        let files = BTreeMap::from([("plan.yaml".to_owned(), loaded.into())]);
        compared(ambient, ambient.cwd(), &files).unwrap().1
    }

    #[test]
    fn what_was_loaded_counts_and_not_what_stands_there_now() {
        let (_dir, ambient) = repository("one\n");
        assert_eq!(changed(&ambient, "one\n").len(), 0);
        assert_eq!(changed(&ambient, "two\n").len(), 1);
        assert_eq!(changed(&ambient, "").len(), 1);
        ambient.write(Path::new("plan.yaml"), b"two\n").unwrap();
        assert_eq!(changed(&ambient, "one\n").len(), 0);
        let (_dir, empty) = repository("");
        assert_eq!(changed(&empty, "").len(), 0);
    }

    #[test]
    fn no_other_commit_stands_in_for_the_last_one() {
        let (_dir, ambient) = repository("one\n");
        ambient.write(Path::new("plan.yaml"), b"two\n").unwrap();
        git(&ambient, &["commit", "--quiet", "-a", "-m", "two"]);
        git(&ambient, &["reset", "--quiet", "--soft", "HEAD~1"]);
        git(&ambient, &["replace", "HEAD", "ORIG_HEAD"]);
        assert_eq!(changed(&ambient, "two\n").len(), 1);
        assert_eq!(changed(&ambient, "one\n").len(), 0);
    }
}
