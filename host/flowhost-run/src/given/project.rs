//! A plan with everything it refers to, resolved: what a run is started with.
//!
//! Finding and reading it is the binary's; whoever holds one can run it without the files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use flowhost_engine::Inspected;
use flowhost_flow::{Plan, PluginDecl};
use flowhost_policy::{Effective, Manifest, Profile, ToolDescriptor, TraceEntry};
use flowhost_words::{PRIVATE_NETWORK_OPTION, PROCESS_OPTION, shell_word};
use serde_json::{Map, Value};

use crate::base::finding::Finding;
use crate::given::bundle::Texts;

/// A plan that is sound as far as one can see without running it.
#[derive(Debug, Clone)]
pub struct Project {
    /// The plan with sub-plans and schemas attached.
    pub plan: Arc<Plan>,
    /// Its file as the person named it.
    pub file: String,
    /// Its folder.
    pub dir: PathBuf,
    /// Where names of files were relative to, as [`Project::file`] and [`Project::texts`] have them.
    pub cwd: PathBuf,
    /// All inputs, typed.
    pub inputs: Map<String, Value>,
    /// Folders that `dir` inputs name.
    pub folders: BTreeMap<String, PathBuf>,
    /// Every plugin by its key ([`Plan::all_plugins`]).
    pub members: BTreeMap<String, Member>,
    /// What all of it was read from.
    pub texts: Texts,
    /// What is worth knowing before it runs, and stops nothing: one line each.
    pub notes: Vec<String>,
    /// Secrets that a profile names and does not give: what the run leaves is rid of them too.
    pub withheld: BTreeSet<String>,
    /// Plugins whose profile could not be read, which is told: of their rights nothing is known.
    pub unjudged: BTreeSet<String>,
    /// The tools of MCP servers as a person has accepted them: the hash of each, by plugin and tool. A server
    /// that shows others is not used.
    pub pins: BTreeMap<String, BTreeMap<String, String>>,
    /// The same with all that was shown, as far as the lock keeps it: what a refusal shows beside what is. Nothing is
    /// decided by it.
    pub accepted: BTreeMap<String, BTreeMap<String, ToolDescriptor>>,
    /// What the evidence of its stages is about, by what each document is for.
    pub documents: BTreeMap<String, Documented>,
}

/// A document that evidence is about, as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Documented {
    /// As the plan names it.
    pub path: String,
    /// Its version, as the plan says.
    pub version: Option<String>,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
}

/// One plugin of a plan.
#[derive(Debug, Clone)]
pub struct Member {
    /// What the plan says.
    pub decl: PluginDecl,
    /// The plan's `config` with inputs filled in, one JSON document.
    pub config: Arc<str>,
    /// The component's file.
    pub path: PathBuf,
    /// The text of the signature that came with it, if one did; whether it counts is the operator's to say.
    pub signature: Option<Arc<str>>,
    /// What the component is, with its bytes.
    pub inspection: Inspected,
    /// What it asks for.
    pub manifest: Manifest,
    /// What may be had.
    pub profile: Profile,
    /// Where one of the user's own would go, if that profile comes with this build: it stays as it is, whatever is
    /// missing.
    pub own: Option<OwnProfile>,
    /// What it gets. Granted folders that an input names are filled in.
    pub effective: Effective,
    /// Where each right came from.
    pub trace: Vec<TraceEntry>,
}

impl Project {
    /// Whether nothing of it is missing: all that its plan says can be relied on, and of every plugin is known what it
    /// may have.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let declared = self.plan.all_plugins().len();
        self.plan.faults().is_empty() && self.members.len() == declared && self.unjudged.is_empty()
    }

    /// The command that shows the tools of a plugin's server, with the options without which it could not be asked.
    #[must_use]
    pub fn inspect_command(&self, key: &str) -> String {
        let file = shell_word(&self.file);
        let mut command = format!("flowhost mcp inspect {file} {key}");
        let Some(member) = self.members.get(key) else {
            debug_assert!(false, "`{key}` is a plugin of the project");
            return command;
        };
        let grants = &member.effective.grants;
        let needs = [
            (PROCESS_OPTION, !grants.process.is_empty()),
            (
                PRIVATE_NETWORK_OPTION,
                grants.http.iter().any(|rule| rule.private_network),
            ),
        ];
        for (option, _) in needs.into_iter().filter(|(_, needed)| *needed) {
            command.push(' ');
            command.push_str(option);
        }
        command
    }

    /// Whether a plan declares this plugin, and what is wrong with it has been told: nothing is known of what it offers.
    pub(crate) fn is_unresolved(&self, key: &str) -> bool {
        let declared = || self.plan.all_plugins().iter().any(|(name, _)| name == key);
        !self.members.contains_key(key) && declared()
    }
}

/// A profile of the user's own that is not there yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnProfile {
    /// Its name, which no profile that would be found has, and no other plugin's own one.
    pub name: String,
    /// Its file as a person would write it.
    pub file: String,
}

impl OwnProfile {
    /// The command that makes it, with what the shipped profile says.
    #[must_use]
    pub fn command(&self, shipped: &str) -> String {
        let (name, file) = (&self.name, shell_word(&self.file));
        format!("flowhost policy show {shipped} --name {name} --out {file}")
    }
}

/// What is wrong with a plugin, at the line of the plan that names it; at the plan's file where no line does.
pub(crate) fn at_member(project: &Project, key: &str, message: &str) -> Finding {
    at_part(project, key, "", message)
}

/// What is wrong with a part of a plugin, such as `/config/model`, where it stands.
pub(crate) fn at_part(project: &Project, key: &str, part: &str, message: &str) -> Finding {
    let member = project.members.get(key);
    let at = member
        .map(|member| member.decl.place(part))
        .unwrap_or_default();
    Finding::new(file_of(project, key), format!("plugin `{key}`: {message}"))
        .at(at.line, at.column)
        .split_hint()
}

/// The file that declares a plugin: a sub-plan's own.
pub(crate) fn file_of<'p>(project: &'p Project, key: &str) -> &'p str {
    if !key.contains("::") {
        return &project.file;
    }
    let (mut plan, mut rest) = (&project.plan, key);
    while let Some((reference, name)) = rest.split_once("::") {
        match plan.sub_plan(reference) {
            Some(child) => (plan, rest) = (child, name),
            None => break,
        }
    }
    &plan.file
}
