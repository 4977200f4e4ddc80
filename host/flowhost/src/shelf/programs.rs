//! The tools of components behind two others: `search`, and `execute`, which runs a program that calls them
//! (docs/code-mode.md). A client reads two descriptions in place of all, and the program's profile, which the operator
//! names, says what it may call.

use flowhost_flow::Exit;

use super::Filling;
use super::tools::{Tools, from_here, line};
use crate::failure::Failure;
use crate::finding::Finding;

/// What runs programs, and what it is called in the plan.
const SOURCE: &str = "builtin:code";
pub(super) const CODE: &str = "code";
/// Its tools, by the names that clients know them by.
const TOOLS: [(&str, &str); 2] = [("search", "search"), ("execute", "run")];

impl Filling<'_> {
    /// Offers both, over all components that are wanted.
    pub(super) fn programs(&mut self, profile: &str) -> Result<(), Failure> {
        let mut tools = Tools::default();
        // First, so that a component of that name is the one that is told to take another.
        tools.named(CODE, line(SOURCE, profile));
        for (name, source) in &self.wanted.plugins {
            let manifest = self.manifest(source)?;
            // Exactly that name, or none: unlike in [`Tools::plugin`], where nobody but the plan reads it.
            let key = name.clone().unwrap_or(manifest.name);
            let source = from_here(source, self.ambient.cwd());
            // The program's profile and its text name it so.
            if !tools.named(&key, line(&source, &self.wanted.profile)) {
                let message = format!("two plugins would be called `{key}`");
                let cure = "give one a name of its own: `--plugin NAME=FILE`";
                self.findings.push(Finding::new("", message).cure(cure));
            }
        }
        let code = self.manifest(SOURCE)?;
        for (name, tool) in TOOLS {
            let Some(descriptor) = code.tool(tool) else {
                let message = format!("`{SOURCE}` has no tool `{tool}`");
                return Err(Failure::new(Exit::Internal, message).hint(
                    "it is of another version than this program: build or install both together",
                ));
            };
            tools.offer(name.to_owned(), descriptor, &format!("{CODE}/{tool}"));
        }
        self.serve(tools);
        Ok(())
    }
}
