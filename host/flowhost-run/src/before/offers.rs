//! Tools of components without a manifest: what they say themselves, asked before a run where nothing can come of it,
//! so that a step that names a tool which is not there is refused before the first record.
//!
//! A component that may have anything which reaches beyond its call is asked in the run alone, on record. What one
//! says beforehand counts for this look at the plan and for nothing else.

use std::borrow::Cow;
use std::collections::BTreeMap;

use flowhost_policy::{Grants, ToolDescriptor};
use flowhost_words::PluginKind;

use crate::base::finding::Finding;
use crate::before::functions::{ToolNames, check_functions};
use crate::before::{kinds, reads};
use crate::given::project::{Member, Project};

/// The tools that components without a manifest say they have, by plugin.
pub type Offers = BTreeMap<String, Vec<ToolDescriptor>>;

/// Fuel for the question beforehand: what a component needs that makes a few descriptors, ten times over. One that
/// needs more is asked in the run.
const FUEL_MAX: u64 = 100_000_000;
/// Milliseconds for it, as a bound on waiting in the host; fuel bounds its own work.
const DEADLINE_MS_MAX: u64 = 2_000;

/// The plugin as it is asked beforehand: with less fuel and time than a call has. None for one that has a manifest,
/// and for one that may reach beyond its call.
#[must_use]
pub fn asked_beforehand(member: &Member) -> Option<Member> {
    let silent = member.decl.kind == PluginKind::Tool && member.manifest.tools.is_empty();
    if !silent || !reaches_nothing(&member.effective.grants) {
        return None;
    }
    let mut member = member.clone();
    let limits = &mut member.effective.limits;
    limits.fuel = limits.fuel.min(FUEL_MAX);
    limits.deadline_ms = limits.deadline_ms.min(DEADLINE_MS_MAX);
    Some(member)
}

/// Whether these rights only tell a guest something of the run that it works in, or let it speak to the person.
fn reaches_nothing(grants: &Grants) -> bool {
    let inside = Grants {
        log: grants.log,
        config: grants.config,
        budget: grants.budget,
        clock: grants.clock,
        random: grants.random,
        named: grants.named.clone(),
        ..Grants::default()
    };
    *grants == inside
}

/// The project with these tools in the place of manifests, to be looked at.
pub(crate) fn filled<'p>(project: &'p Project, offers: &Offers) -> Cow<'p, Project> {
    if offers.is_empty() {
        return Cow::Borrowed(project);
    }
    let mut project = project.clone();
    for (key, tools) in offers {
        if let Some(member) = project.members.get_mut(key) {
            member.manifest.tools.clone_from(tools);
        }
    }
    Cow::Owned(project)
}

/// What steps ask of these tools, and of those of servers that a person has accepted, that they do not have, do not take
/// and do not give.
pub(crate) fn findings(project: &Project, offers: &Offers) -> Vec<Finding> {
    // A server that shows other tools than a person has accepted is not used.
    let accepted = project.pins.iter();
    let accepted = accepted.map(|(key, tools)| (key.clone(), tools.keys().cloned().collect()));
    let mut names: ToolNames = accepted.collect();
    for (key, tools) in offers {
        let of_plugin = tools.iter().map(|tool| tool.name.clone());
        names.insert(key.clone(), of_plugin.collect());
    }
    let mut found = Vec::new();
    check_functions(&project.plan, &names, &mut found);
    let filled = filled(project, offers);
    found.extend(kinds::findings(&filled));
    found.extend(reads::findings(&filled));
    found
}
