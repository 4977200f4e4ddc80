//! Plans to begin with: each runs as it is, offline, and has what a person changes first in sight. The same
//! name and kind give the same files.

use std::path::Path;

use crate::ambient::Ambient;
use crate::failure::Failure;
use crate::fresh;

/// What to begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Starter {
    /// A tool and a guardrail over a text.
    Workflow,
    /// An agent with a model.
    Agent,
    /// A tool with a granted folder.
    Tool,
}

impl Starter {
    /// Every starter.
    pub const ALL: [Self; 3] = [Self::Workflow, Self::Agent, Self::Tool];

    /// The word on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Workflow => "workflow",
            Self::Agent => "agent",
            Self::Tool => "tool",
        }
    }

    /// Paths and texts, in which `{{name}}` is the plan's name.
    fn templates(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Workflow => &[
                (
                    "plan.yaml",
                    include_str!("../templates/plans/workflow.yaml.in"),
                ),
                (
                    "hello.md",
                    "# Hello\n\nA text with [a link](https://example.org/).\n",
                ),
            ],
            Self::Agent => &[
                (
                    "plan.yaml",
                    include_str!("../templates/plans/agent.yaml.in"),
                ),
                (
                    "policies/assistant.toml",
                    include_str!("../templates/plans/assistant.toml.in"),
                ),
            ],
            Self::Tool => &[
                ("plan.yaml", include_str!("../templates/plans/tool.yaml.in")),
                (
                    "policies/reads-docs.toml",
                    include_str!("../templates/plans/reads-docs.toml.in"),
                ),
                ("docs/hello.md", "# Hello\n\nA text to be read.\n"),
            ],
        }
    }
}

/// The files of a new plan, in the order of their paths.
///
/// # Errors
/// When the name cannot be used.
pub fn files(starter: Starter, name: &str) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    fresh::check_name(name)?;
    let agents = ("AGENTS.md", include_str!("../templates/plans/AGENTS.md.in"));
    // Evidence quotes what was read and answered, and belongs into no repository by accident.
    let ignored = (".gitignore", ".flowhost/\n");
    let templates = starter.templates().iter().copied().chain([agents, ignored]);
    let filled =
        |(path, text): (&str, &str)| (path.to_owned(), text.replace("{{name}}", name).into_bytes());
    let mut files: Vec<(String, Vec<u8>)> = templates.map(filled).collect();
    // Beside the plan, and not at an address: an editor then completes offline, and by what this version knows.
    let schema = format!("{:#}\n", flowhost_flow::plan_schema());
    files.push(("flowhost.schema.json".to_owned(), schema.into_bytes()));
    // In one order on every machine, as they are told.
    files.sort();
    Ok(files)
}

/// Writes a new plan into a folder.
///
/// # Errors
/// As [`files`], and when the folder is not empty or cannot be written.
pub fn make(
    ambient: &Ambient,
    starter: Starter,
    name: &str,
    folder: &Path,
) -> Result<Vec<String>, Failure> {
    let files = files(starter, name)?;
    fresh::write(ambient, folder, &files)?;
    Ok(files.into_iter().map(|(path, _)| path).collect())
}
