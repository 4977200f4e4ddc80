//! Which tools a component without a manifest has, before a run: it says so itself, asked in a sandbox of its own that
//! reaches nothing.
//!
//! The component may be a stranger's. It is compiled in a child process, with the limits of every compilation, and is
//! told of doubles where the world would be. What a plugin's answer means for the plan the run decides
//! ([`flowhost_run::offers`]), which asks in the same way.

use std::collections::BTreeMap;
use std::sync::Arc;

use flowhost_engine::Inspection;
use flowhost_policy::ToolDescriptor;
use flowhost_run::Offers;
use flowhost_run::offers::Question;

use crate::ambient::Ambient;
use crate::failure::Failure;
use crate::host::{compiled_here, compiler};
use crate::output::one_line;
use crate::plugin::describe::{self, Asker};
use crate::project::Project;
use crate::state::State;

/// What was asked.
#[derive(Debug, Default)]
pub struct Asked {
    /// What the components of a plan say of their tools.
    pub offers: Offers,
    /// Why only the run will know it of others, by plugin.
    later: BTreeMap<String, String>,
}

impl Asked {
    /// What is known of the tools of a plugin without a manifest, as the end of a sentence; none where it has none to
    /// be known.
    #[must_use]
    pub fn told(&self, plugin: &str) -> Option<String> {
        match (self.offers.tools.get(plugin), self.later.get(plugin)) {
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
    let members = project.members.iter();
    let mut questions: Vec<(&String, Question)> = members
        .filter_map(|(key, member)| Some((key, Question::of(member)?)))
        .collect();
    if questions.is_empty() {
        return asked;
    }
    // Those of one component come one after the other.
    questions.sort_by_cached_key(|(_, question)| question.member().inspection.digest.clone());
    let asker = compiler(ambient).map(|it| Asker::new(it, compiled_here(ambient, state)));
    let mut asker = match asker {
        Ok(asker) => asker,
        Err(failure) => {
            let why = in_a_line(&failure);
            let keys = questions.into_iter().map(|(key, _)| key.clone());
            asked.later = keys.map(|key| (key, why.clone())).collect();
            return asked;
        }
    };
    for (key, question) in &questions {
        let later = match asker.ask(question) {
            Ok(answer) => asked.offers.add(key, answer),
            Err(failure) => Some(in_a_line(&failure)),
        };
        let later = later.map(|why| ((*key).clone(), one_line(&why)));
        asked.later.extend(later);
    }
    asked
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
    let tools = compiler(ambient).and_then(|compiler| {
        let cache = compiled_here(ambient, state);
        describe::by_itself(bytes, inspection, compiler, cache)
    });
    tools.map_err(|failure| in_a_line(&failure))
}

fn in_a_line(failure: &Failure) -> String {
    let causes = failure.causes.iter();
    let all: Vec<&str> = std::iter::once(failure.message.as_str())
        .chain(causes.map(String::as_str))
        .collect();
    one_line(&all.join(": "))
}
