//! The preflight: every missing right of every plugin, before anything runs.

use std::sync::Arc;

use flowhost_engine::{Capability, unanswered};
use flowhost_flow::PluginDecl;
use flowhost_policy::Ask;

use crate::base::finding::Finding;
use crate::given::project::{Member, Project, file_of};

/// A right that a plugin needs and does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Missing {
    /// The plugin's key.
    plugin: String,
    /// What it imports.
    interface: String,
    /// The profile that does not grant it.
    profile: String,
    /// The profile's file and line.
    at: String,
    /// The lines that would grant it; empty when this build serves no such interface.
    lines: String,
}

/// Rights that are missing, as findings.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rights(pub(crate) Vec<Missing>);

impl Rights {
    /// One finding each, at the plugin's place in the plan.
    pub(crate) fn findings(&self, project: &Project) -> Vec<Finding> {
        self.0
            .iter()
            .map(|missing| finding(project, missing))
            .collect()
    }
}

fn finding(project: &Project, missing: &Missing) -> Finding {
    let Missing {
        plugin,
        interface,
        profile,
        at,
        lines,
    } = missing;
    let member = project.members.get(plugin);
    let place = member.map(|member| member.decl.place("/profile"));
    let place = place.unwrap_or_default();
    let message = format!(
        "plugin `{plugin}` imports `{interface}`, which profile `{profile}` does not grant"
    );
    let cure = if lines.is_empty() {
        "no profile can: this build serves no such interface".to_owned()
    } else {
        match member.filter(|member| member.shipped) {
            Some(member) => own_profile(&member.decl, lines),
            None => format!("this would grant it, in {at}:\n{lines}"),
        }
    };
    Finding::new(file_of(project, plugin), message)
        .at(place.line, place.column)
        .cure(cure)
}

/// A shipped profile is part of the build and means the same everywhere: the cure is one's own.
fn own_profile(decl: &PluginDecl, lines: &str) -> String {
    let PluginDecl { name, profile, .. } = decl;
    let place = match lines.starts_with('[') {
        true => "to",
        false => "above the first `[table]` of",
    };
    format!(
        "{} add this {place} policies/{name}.toml:\n{lines}",
        copied(name, profile)
    )
}

/// How a shipped profile becomes one's own, up to what is to be written into it.
fn copied(name: &str, profile: &str) -> String {
    format!(
        "`{profile}` is shipped and stays as it is. Make a profile of your own in `policies/` beside the plan:\n\
         mkdir -p policies\n\
         flowhost policy show {profile} --name {name} > policies/{name}.toml\n\
         then write `profile: {name}` in the plan, and"
    )
}

/// How lines of a table come into the profile of a plugin, which a second table of the name would not reach.
pub(crate) fn granted_by(member: &Member, table: &str, lines: &str) -> String {
    let Member { decl, profile, .. } = member;
    let has_it = profile.grants.named.contains(table);
    match (member.shipped, has_it) {
        (true, true) => format!(
            "{} in [{table}] of policies/{name}.toml:\n{lines}",
            copied(&decl.name, &profile.name),
            name = decl.name
        ),
        (true, false) => own_profile(decl, &format!("[{table}]\n{lines}")),
        (false, true) => format!(
            "this would grant it, in [{table}] of {}:\n{lines}",
            profile.file
        ),
        (false, false) => format!(
            "this would grant it, in {}:\n[{table}]\n{lines}",
            profile.file
        ),
    }
}

/// Every right that an import needs and that is not there, and every import that this build does not
/// serve; without an engine.
pub(crate) fn missing_rights(project: &Project) -> Rights {
    let capabilities = flowhost_caps::all();
    let members = project.members.iter();
    let judged = members.filter(|(key, _)| !project.unjudged.contains(*key));
    let missing = judged.flat_map(|(key, member)| missing_of(key, member, &capabilities));
    Rights(missing.collect())
}

fn missing_of(key: &str, member: &Member, capabilities: &[Arc<dyn Capability>]) -> Vec<Missing> {
    // No profile helps a component that was built against other interfaces, and it is told so.
    if member.inspection.unserved().into_iter().next().is_some() {
        return Vec::new();
    }
    let imports = member
        .inspection
        .imports
        .iter()
        .filter(|import| !import.types_only());
    let imports = imports.map(|import| import.name.full.as_str());
    let missing = flowhost_policy::missing_rights(imports, &member.effective);
    let told = missing.into_iter().map(|missing| Missing {
        plugin: key.to_owned(),
        interface: missing.import,
        profile: member.profile.name.clone(),
        at: place_of(member, missing.right),
        lines: lines_for(member, missing.right, missing.lines),
    });
    let mut told: Vec<Missing> = told.collect();
    // The list of capabilities is this build's own: an engine with a double one would not have started.
    let unanswered = unanswered(capabilities, &member.inspection, &member.effective);
    for missing in unanswered.unwrap_or_default() {
        if told.iter().any(|it| it.interface == missing.interface) {
            continue;
        }
        told.push(Missing {
            plugin: key.to_owned(),
            interface: missing.interface,
            profile: member.profile.name.clone(),
            at: member.profile.file.clone(),
            lines: missing.cure.unwrap_or_default(),
        });
    }
    told
}

/// The lines that would grant a right, with what the plugin's manifest names.
fn lines_for(member: &Member, right: &str, usual: &str) -> String {
    match &member.manifest.needs.state {
        Ask::Only(state) if right == "state" => {
            let names: Vec<_> = state
                .namespaces
                .iter()
                .map(|it| format!("{it:?}"))
                .collect();
            format!("[state]\nnamespaces = [{}]", names.join(", "))
        }
        _ => usual.to_owned(),
    }
}

/// `policies/x.toml:12` for a right that the profile mentions, else the file.
fn place_of(member: &Member, right: &str) -> String {
    match member.profile.position(right) {
        Some(at) => format!("{}:{}", member.profile.file, at.line),
        None => member.profile.file.clone(),
    }
}
