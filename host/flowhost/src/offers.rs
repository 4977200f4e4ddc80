//! Which tools a component without a manifest has, before a run: it says so itself, asked in a sandbox of its own that
//! reaches nothing.
//!
//! The component may be a stranger's. It is compiled in a child process, with the limits of every compilation, and is
//! told of doubles where the world would be. One that may reach beyond its call in a run is not asked here: what it
//! says may depend on what it finds there.

use std::collections::BTreeMap;
use std::sync::Arc;

use flowhost_engine::Inspection;
use flowhost_policy::ToolDescriptor;
use flowhost_run::offers::{self, Offers};
use flowhost_words::PluginKind;

use crate::ambient::Ambient;
use crate::failure::Failure;
use crate::host::{compiled_here, compiler};
use crate::plugin::describe;
use crate::project::{Member, Project};
use crate::state::State;

/// Functions of a component that is compiled for a look alone: some seconds of work. A larger one is asked in the run.
const FUNCTIONS_MAX: u64 = 10_000;

/// What was asked.
#[derive(Debug, Default)]
pub struct Asked {
    /// The tools that components say they have, by plugin.
    pub tools: Offers,
    /// Why others were not asked, or did not answer.
    unknown: BTreeMap<String, String>,
}

impl Asked {
    /// What is known of the tools of a plugin without a manifest, as the end of a sentence; none where it has none to
    /// be known.
    #[must_use]
    pub fn told(&self, plugin: &str) -> Option<String> {
        match (self.tools.get(plugin), self.unknown.get(plugin)) {
            (Some(tools), _) => Some(listed(tools)),
            (None, Some(why)) => Some(format!("its tools are known once it runs: {why}")),
            (None, None) => None,
        }
    }
}

/// `its tools are `a`, `b``.
#[must_use]
pub fn listed(tools: &[ToolDescriptor]) -> String {
    let names: Vec<&str> = tools.iter().map(|tool| tool.name.as_str()).collect();
    match names.as_slice() {
        [] => "it offers no tool".to_owned(),
        [one] => format!("its tool is `{one}`"),
        many => format!("its tools are `{}`", many.join("`, `")),
    }
}

/// Asks the components of a project that have no manifest.
#[must_use]
pub fn of_project(ambient: &Ambient, state: &State, project: &Project) -> Asked {
    let mut asked = Asked::default();
    for (key, member) in &project.members {
        if member.decl.kind != PluginKind::Tool || !member.manifest.tools.is_empty() {
            continue;
        }
        match of_member(ambient, state, member) {
            Ok(tools) => drop(asked.tools.insert(key.clone(), tools)),
            Err(why) => drop(asked.unknown.insert(key.clone(), why)),
        }
    }
    asked
}

fn of_member(
    ambient: &Ambient,
    state: &State,
    member: &Member,
) -> Result<Vec<ToolDescriptor>, String> {
    let Some(asked) = offers::asked_beforehand(member) else {
        return Err("it may reach beyond its call".to_owned());
    };
    small_enough(&member.inspection)?;
    let tools = compiler(ambient).and_then(|compiler| {
        let cache = compiled_here(ambient, state);
        describe::as_in_a_plan(&asked, compiler, cache)
    });
    tools.map_err(|failure| in_a_line(&failure))
}

/// Asks a component that a person looks at.
///
/// # Errors
/// Why it cannot say, in a line.
pub fn of_component(
    ambient: &Ambient,
    state: &State,
    bytes: &Arc<[u8]>,
    inspection: &Inspection,
) -> Result<Vec<ToolDescriptor>, String> {
    small_enough(inspection)?;
    let tools = compiler(ambient).and_then(|compiler| {
        let cache = compiled_here(ambient, state);
        describe::by_itself(bytes, inspection, compiler, cache)
    });
    tools.map_err(|failure| in_a_line(&failure))
}

fn small_enough(inspection: &Inspection) -> Result<(), String> {
    match inspection.functions {
        0..=FUNCTIONS_MAX => Ok(()),
        count => Err(format!(
            "it has {count} functions, and is not compiled for a look alone"
        )),
    }
}

fn in_a_line(failure: &Failure) -> String {
    let causes = failure.causes.iter();
    let all: Vec<&str> = std::iter::once(failure.message.as_str())
        .chain(causes.map(String::as_str))
        .collect();
    crate::output::one_line(&all.join(": "))
}
