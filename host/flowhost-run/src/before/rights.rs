//! The preflight: every missing right of every plugin, before anything runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flowhost_engine::{Capability, unanswered};
use flowhost_policy::{Ask, Layer, Outcome, Profile, Right, TraceEntry};

use crate::base::finding::{Finding, Lack, Made};
use crate::before::preflight::Preflight;
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
    /// Who takes it away, if the profile has it.
    taken: Option<Taken>,
    /// The lines that would grant it; empty when this build serves no such interface.
    lines: String,
}

/// A right that the profile grants and that does not arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Taken {
    /// Its key, as profiles and manifests write it.
    right: &'static str,
    by: Layer,
    /// Where that stands.
    at: String,
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
        taken,
        lines,
    } = missing;
    let member = project.members.get(plugin);
    let part = match taken.as_ref().map(|taken| taken.by) {
        Some(Layer::Plan) => "/narrow",
        _ => "/profile",
    };
    let place = member.map(|member| member.decl.place(part));
    let place = place.unwrap_or_default();
    let why = match taken {
        None => format!("which profile `{profile}` does not grant"),
        Some(Taken {
            by: Layer::Operator,
            ..
        }) => {
            format!("which profile `{profile}` may not give: it came with the plan")
        }
        Some(Taken { by, at, .. }) => {
            format!("which profile `{profile}` grants and the {by} ({at}) takes away")
        }
    };
    let message = format!("plugin `{plugin}` imports `{interface}`, {why}");
    let finding = Finding::new(file_of(project, plugin), message).at(place.line, place.column);
    match (taken, member) {
        (Some(taken), _) => finding.cure(left(taken)),
        (None, _) if lines.is_empty() => {
            finding.cure("no profile can: this build serves no such interface")
        }
        (None, Some(member)) => lacks(finding, plugin, member, lines.clone()),
        (None, None) => finding.cure(format!(
            "this would grant it, in the profile `{profile}`:\n{lines}"
        )),
    }
}

/// What lets a plugin keep what its profile grants.
fn left(taken: &Taken) -> String {
    let key = taken.right;
    match taken.by {
        Layer::Plan => format!("take `{key}` out of `grants` in the plugin's `narrow`"),
        Layer::Operator => {
            "if you have read the profile and stand behind it, name its folder with `--policies`"
                .to_owned()
        }
        _ => format!("let the plugin's manifest ask for `{key}` under [needs]"),
    }
}

/// The finding with what to do about lines that the profile of the plugin `key` lacks.
pub(crate) fn lacks(finding: Finding, key: &str, member: &Member, lines: String) -> Finding {
    let plugin = key.to_owned();
    let mut finding = cured(finding, member, &lines, "");
    finding.lack = Some(Box::new(Lack { plugin, lines }));
    finding
}

/// The finding with where lines go that a plugin's profile lacks, and what else there is to say. A shipped profile is
/// part of the build and means the same everywhere, so that the cure is one's own.
pub(crate) fn cured(mut finding: Finding, member: &Member, lines: &str, more: &str) -> Finding {
    let profile = &member.profile;
    let Some(own) = &member.own else {
        let placed = profile.placed(&profile.file, lines);
        return finding.cure(format!("this would grant it, {placed}{more}"));
    };
    let (shipped, placed) = (&profile.name, profile.placed(&own.file, lines));
    finding.made = Some(Box::new(Made {
        file: own.file.clone(),
        again: format!(
            "`{shipped}` is shipped and stays as it is. When {} is made, as is said above, write this {placed}{more}",
            own.file
        ),
    }));
    finding.cure(format!(
        "`{shipped}` is shipped and stays as it is. Make a profile of your own:\n{}\n\
         then write `profile: {}` in the plan, and this {placed}{more}",
        own.command(shipped),
        own.name
    ))
}

/// Tells once what is to be done once: how a plugin's profile becomes one's own, since a second time the command is
/// refused, because the file is there and has lines in it; and what several plugins lack of one profile.
pub(crate) fn told_once(project: &Project, found: &mut Preflight) {
    found
        .rights
        .sort_by_cached_key(|it| (it.file.clone(), it.line, it.column));
    let all = found.others.iter_mut().chain(&mut found.rights);
    let mut all: Vec<&mut Finding> = all.collect();
    // In the order in which they are told, so that it is the first that says it.
    all.sort_by_cached_key(|it| (it.file.clone(), it.line, it.column));
    let mut files = BTreeSet::new();
    for finding in &mut all {
        if let Some(made) = finding.made.take()
            && !files.insert(made.file)
        {
            finding.hint = made.again;
        }
    }
    as_one(project, &mut all);
}

/// What several plugins lack of one profile, at the first of them: each of their cures would be written as if it were
/// alone, and the second would be refused, or take away what the first has granted.
fn as_one(project: &Project, all: &mut [&mut Finding]) {
    let shared = |lack: &Lack| {
        let member = project.members.get(&lack.plugin)?;
        // A shipped profile becomes another file for each plugin.
        member.own.is_none().then_some(&member.profile)
    };
    let mut by_file: BTreeMap<&str, (&Profile, Vec<Lack>)> = BTreeMap::new();
    for lack in all.iter().filter_map(|it| it.lack.as_deref()) {
        if let Some(profile) = shared(lack) {
            let (_, lacks) = by_file
                .entry(&profile.file)
                .or_insert_with(|| (profile, Vec::new()));
            lacks.push(lack.clone());
        }
    }
    for (file, (profile, lacks)) in by_file {
        let mut names: Vec<String> = Vec::new();
        for lack in &lacks {
            let name = format!("`{}`", lack.plugin);
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let Some(first) = names.first().filter(|_| names.len() > 1) else {
            continue;
        };
        let lines = lacks.iter().map(|lack| lack.lines.as_str());
        let mut cure = Some(format!(
            "`{}` is the profile of {}: this would grant what all of them lack, {}",
            profile.name,
            names.join(", "),
            profile.placed_together(file, lines)
        ));
        let theirs = all.iter_mut().filter(|it| {
            let profile = it.lack.as_deref().and_then(shared);
            profile.is_some_and(|profile| profile.file == file)
        });
        for finding in theirs {
            let told = || format!("the lines that are told of plugin {first} grant this, too");
            finding.hint = cure.take().unwrap_or_else(told);
        }
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
        taken: taken(member, missing.right),
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
            taken: None,
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

/// Who takes a right away that the profile grants, and where.
fn taken(member: &Member, right: &'static str) -> Option<Taken> {
    let of_it =
        |entry: &&TraceEntry| Right::of_path(&entry.right).is_some_and(|it| it.key == right);
    let gone = |entry: &TraceEntry| match &entry.outcome {
        Outcome::Removed { by, at } => Some(Taken {
            right,
            by: *by,
            at: at.clone(),
        }),
        _ => None,
    };
    member.trace.iter().filter(of_it).find_map(gone)
}
