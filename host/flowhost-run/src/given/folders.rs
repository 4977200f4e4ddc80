//! The folders that a run's plugins may see: opened when it starts, so that what is granted is what was
//! there when somebody looked.

use std::path::Path;

use flowhost_caps::files::{FileServices, Forbidden, GrantProblem, open_grants, refused_grants};
use flowhost_flow::Exit;
use flowhost_policy::host_input;
use flowhost_words::shell_word;

use crate::base::failure::Failure;
use crate::base::finding::Finding;
use crate::base::state::State;
use crate::given::project::{Member, Project, at_part};
use crate::given::world::HostConfig;

/// Opens every granted folder, and reports all that cannot be had.
pub(crate) fn files(project: &Project, config: &HostConfig) -> Result<FileServices, Failure> {
    let mut services = FileServices::default();
    // Nothing is granted: then nothing has to be kept out of it, and no state root is made for that.
    if project
        .members
        .values()
        .all(|member| member.effective.grants.files.is_empty())
    {
        return Ok(services);
    }
    let root = config.state.root();
    // It is forbidden by what it is and not by its name, so that it has to be there.
    let there = config.world.folder(root);
    there.map_err(|error| {
        let message = format!("`{}` cannot be created", root.display());
        Failure::new(Exit::Internal, message).because(error.to_string())
    })?;
    let forbidden = Forbidden::new(config.home.as_deref(), root).map_err(|error| unseen(&error))?;
    let mut findings = Vec::new();
    for (key, member) in &project.members {
        match open_grants(&project.dir, &member.effective.grants.files, &forbidden) {
            Ok(grants) => services.insert(key, grants),
            Err(problems) => {
                findings.extend(problems.iter().map(|it| refused(project, key, member, it)));
            }
        }
    }
    if findings.is_empty() {
        Ok(services)
    } else {
        Err(Failure::findings("the plan", findings))
    }
}

fn refused(project: &Project, key: &str, member: &Member, problem: &GrantProblem) -> Finding {
    let path = format!("files[{}].host", problem.index);
    let message = format!("{} ({})", problem, member.profile.source(&path));
    let cure = match problem.is_absent {
        // Where it is looked for, as whoever typed the plan's name would name it.
        true => {
            let plan = Path::new(&project.file);
            absent(&plan.parent().unwrap_or(plan).join(&problem.host))
        }
        false => problem.cure.clone(),
    };
    at_part(project, key, "/profile", &message).cure(cure)
}

/// How a folder comes to be that is not there.
fn absent(place: &Path) -> String {
    let shown = |place: &Path| shell_word(&place.display().to_string());
    // An empty one would only move the error into the program that looks for its parts there.
    if place.file_name().is_some_and(|name| name == "node_modules") {
        let dir = place.parent().filter(|it| !it.as_os_str().is_empty());
        let dir = shown(dir.unwrap_or(Path::new(".")));
        return format!(
            "let npm make it: `npm ci --ignore-scripts --prefix {dir}`; or name another"
        );
    }
    format!(
        "make the folder: `mkdir -p {}`; or name another",
        shown(place)
    )
}

/// Every granted folder that a run could not have; nothing is made.
pub(crate) fn missing_folders(
    project: &Project,
    home: Option<&Path>,
    state: &State,
) -> Result<Vec<Finding>, Failure> {
    let forbidden =
        Forbidden::before_the_first_run(home, state.root()).map_err(|error| unseen(&error))?;
    let of_member = |(key, member): (&String, &Member)| {
        let grants = &member.effective.grants.files;
        let problems = refused_grants(&project.dir, grants, &forbidden);
        // A folder that an input names, and that was not found, is told where the input is.
        let own = problems.iter().filter(|it| host_input(&it.host).is_none());
        let findings = own.map(|it| refused(project, key, member, it));
        findings.collect::<Vec<_>>()
    };
    Ok(project.members.iter().flat_map(of_member).collect())
}

fn unseen(error: &std::io::Error) -> Failure {
    Failure::new(Exit::Internal, "the forbidden folders cannot be looked at")
        .because(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_npm_makes_is_not_made_empty() {
        let npm = absent(Path::new("examples/a b/node_modules"));
        let command = "`npm ci --ignore-scripts --prefix 'examples/a b'`";
        assert!(npm.contains(command), "{npm}");
        let here = absent(Path::new("node_modules"));
        assert!(here.contains("--prefix .`"), "{here}");
        let other = absent(Path::new("docs"));
        assert!(other.contains("`mkdir -p docs`"), "{other}");
    }
}
