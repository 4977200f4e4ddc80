//! The tools of components behind two others: `search`, and `execute`, which runs a program that calls them
//! (docs/code-mode.md). A client reads two descriptions in place of all, and the program's profile, which the operator
//! names, says what it may call.

use flowhost_flow::Exit;
use serde_json::{Map, Value, json};

use super::Filling;
use super::tools::{from_here, plan};
use crate::failure::Failure;
use crate::finding::Finding;

/// What runs programs, and what it is called in the plan.
const SOURCE: &str = "builtin:code";
const CODE: &str = "code";
/// Its tools, by the names that clients know them by.
const TOOLS: [(&str, &str); 2] = [("search", "search"), ("execute", "run")];

impl Filling<'_> {
    /// Offers both, over all components that are wanted.
    pub(super) fn programs(&mut self, profile: &str) -> Result<(), Failure> {
        let mut plugins = Map::new();
        let line = |source: &str, profile: &str| json!({ "kind": "tool", "source": source, "profile": profile });
        plugins.insert(CODE.to_owned(), line(SOURCE, profile));
        for (name, source) in &self.wanted.plugins {
            let manifest = self.manifest(source)?;
            let key = name.clone().unwrap_or(manifest.name);
            let source = from_here(source, self.ambient.cwd());
            let plugin = line(&source, &self.wanted.profile);
            if plugins.insert(key.clone(), plugin).is_some() {
                let message = format!("two plugins would be called `{key}`");
                let cure = "give one a name of its own: `--plugin NAME=FILE`";
                self.findings.push(Finding::new("", message).cure(cure));
            }
        }
        let code = self.manifest(SOURCE)?;
        let plugins = Value::Object(plugins);
        for (name, tool) in TOOLS {
            let Some(descriptor) = code.tool(tool) else {
                let message = format!("`{SOURCE}` has no tool `{tool}`");
                return Err(Failure::new(Exit::Internal, message).hint(
                    "it is of another version than this program: build or install both together",
                ));
            };
            let text = plan(&plugins, &format!("{CODE}/{tool}"));
            // What is wrong with one of their plans is wrong with the other, and is told once.
            if !self.offer(name.to_owned(), descriptor, text) {
                break;
            }
        }
        Ok(())
    }
}
