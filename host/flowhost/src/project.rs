//! A plan with everything it refers to: sub-plans, schemas, inputs, components, manifests, profiles,
//! and the rights that follow.
//!
//! Everything that is wrong is collected before anything is said. Nothing runs here, nothing is
//! compiled, and no folder is created.

mod inputs;
mod load;
mod members;
mod pins;
mod secrets;
mod told;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use flowhost_words::PluginKind;
use serde_json::{Map, Value};

pub use flowhost_run::{Member, OwnProfile, Project};
pub use told::{SecondKeys, without_key};

use crate::ambient::Ambient;
use crate::config::Config;
use crate::finding::Finding;
use crate::identities;
use crate::plugin::lock;
use crate::preflight::findings_of;
use crate::report::problems::Texts;
use crate::roots;
use crate::sources::{KeptRun, Sources};

/// What a person asked for.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The plan file.
    pub plan: PathBuf,
    /// `--input`, as typed.
    pub inputs: Vec<(String, String)>,
    /// `--policies`.
    pub policies: Option<PathBuf>,
    /// The plan's text, where no file holds it; `plan` then says where it would stand.
    pub text: Option<Arc<str>>,
    /// Whether remote plugins that the plan does not pin are those that are there now, and not the locked
    /// ones: to look at them, and to lock them.
    pub newest: bool,
    /// What a client gives beside that: a folder stays below the plan's, and a file is its text.
    pub given: Given,
}

/// Inputs that somebody other than the operator gives.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Given {
    /// Nobody does.
    #[default]
    Nothing,
    /// They come later, each time that the plan is called: one that is missing is no problem yet.
    Later,
    /// These values.
    Values(Map<String, Value>),
    /// All of them, as a run recorded them; nothing is read or looked for.
    Recorded(Map<String, Value>),
    /// As a run recorded them, for a run that begins with its past: what the operator gives counts instead.
    Forked(Map<String, Value>),
}

/// What there is of a project, and everything that is wrong with it.
#[derive(Debug)]
pub struct Loaded {
    /// What could be resolved: sound exactly if nothing was found. None when there is no plan to speak of.
    pub project: Option<Project>,
    /// Everything that is wrong with the plan, and with inputs, components, manifests and profiles.
    pub findings: Vec<Finding>,
}

/// Loads a plan and resolves it, as far as it goes: what is wrong in one place does not hide what is
/// wrong in another.
#[must_use]
pub fn load(ambient: &Ambient, config: &Config, request: &Request, texts: &mut Texts) -> Loaded {
    let sources = Sources::new(ambient, config, request.policies.as_deref());
    let sources = sources.looking_anew(request.newest);
    let mut loaded = load_from(ambient, &sources, request, texts);
    loaded.findings.extend(no_folder(ambient, request));
    if let Some(project) = &mut loaded.project {
        let (members, findings) = (&project.members, &mut loaded.findings);
        let mut notes = secrets::look(ambient, config, members, findings);
        // After the members, whose rights say which secrets, identities and roots anybody asks for: a source that is
        // wrong and that nobody needs is no problem of this plan.
        notes.extend(identities::look(ambient, config, members, findings));
        roots::look(ambient, config, members, findings);
        project.notes.extend(notes);
    }
    loaded
}

/// The secrets that a project's plugins are given from a variable of the environment, and that variable.
pub(crate) fn variables_of(config: &Config, project: &Project) -> BTreeMap<String, String> {
    secrets::variables(config, &project.members)
}

/// A folder of profiles that is not there grants nothing, and where all profiles are shipped nobody would hear of it.
fn no_folder(ambient: &Ambient, request: &Request) -> Option<Finding> {
    let folder = request.policies.as_deref()?;
    if ambient.is_dir(folder) {
        return None;
    }
    let message = format!("`--policies {}`: this folder is missing", folder.display());
    let cure = "name a folder of profiles; without the option they are looked for in `policies/` beside the plan";
    Some(Finding::new("", message).cure(cure))
}

/// Loads what a run was made of, as it was.
#[must_use]
pub fn load_kept(
    ambient: &Ambient,
    config: &Config,
    kept: &KeptRun,
    inputs: &Map<String, Value>,
    texts: &mut Texts,
) -> Loaded {
    load_again(
        ambient,
        config,
        kept,
        Given::Recorded(inputs.clone()),
        &[],
        texts,
    )
}

/// As [`load_kept`], with inputs that the operator gives besides.
pub fn load_again(
    ambient: &Ambient,
    config: &Config,
    kept: &KeptRun,
    given: Given,
    typed: &[(String, String)],
    texts: &mut Texts,
) -> Loaded {
    // Without the looks of [`load`]: a replay asks for no secret and sends nothing, and a run that goes on fails of a
    // source when it starts.
    let sources = Sources::of_run(ambient, config, kept);
    let request = Request {
        plan: PathBuf::from(&kept.bundle.plan),
        inputs: typed.to_vec(),
        given,
        ..Request::default()
    };
    load_from(ambient, &sources, &request, texts)
}

fn load_from(
    ambient: &Ambient,
    sources: &Sources<'_>,
    request: &Request,
    texts: &mut Texts,
) -> Loaded {
    let load::Read {
        plan,
        dir,
        mut findings,
        documents,
    } = load::plan(ambient, sources, request, texts);
    let Some(plan) = plan else {
        let project = None;
        return Loaded { project, findings };
    };
    let mut more = Vec::new();
    let mut bound = inputs::bind(ambient, &plan, &dir, request, &mut more);
    // Recorded inputs name folders as they were typed; where that was, the run has kept.
    let kept = sources.kept().map(|kept| kept.bundle.folders.clone());
    let typed = |name: &String| request.inputs.iter().any(|(typed, _)| typed == name);
    let kept = kept.unwrap_or_default().into_iter();
    bound.folders.extend(kept.filter(|(name, _)| !typed(name)));
    let mut withheld = members::Withheld::default();
    let members = members::resolve(
        sources,
        &plan,
        &dir,
        &bound,
        texts,
        &mut more,
        &mut withheld,
    );
    // What only follows from what is wrong with the plan's text is told once that is mended.
    more.retain(|finding| !plan.follows(&finding.file, finding.place()));
    findings.append(&mut more);
    let file = sources.shown(&request.plan);
    let (inputs, folders) = (bound.values, bound.folders);
    let mut project = Project {
        plan: Arc::new(plan),
        file,
        dir,
        cwd: ambient.cwd().to_owned(),
        inputs,
        folders,
        members,
        texts: texts.clone(),
        notes: withheld.told.notes(),
        withheld: withheld.secrets,
        unjudged: withheld.unjudged,
        pins: BTreeMap::new(),
        accepted: BTreeMap::new(),
        documents,
    };
    // A run that goes on is held to what it saw itself.
    if sources.kept().is_none() {
        match lock::pins(ambient, &project) {
            Ok(pins) => (project.pins, project.accepted) = (pins.hashes, pins.accepted),
            Err(failure) => findings.extend(findings_of(failure)),
        }
    }
    if !sources.takes_adapters() {
        // Told of each plugin, and here, though it is the configuration's word: the line to take out is the plan's.
        findings.extend(adapters(&project));
    }
    Loaded {
        project: Some(project),
        findings,
    }
}

/// Each plugin that speaks to an MCP server, where the operator wants none.
fn adapters(project: &Project) -> impl Iterator<Item = Finding> {
    let members = project.members.values();
    let all = members.filter(|member| member.decl.kind == PluginKind::McpAdapter);
    all.map(|member| {
        let message =
            "MCP adapters are switched off by `enabled = false` in [mcp_adapter] of flowhost.toml";
        let at = member.decl.at;
        Finding::new(&project.file, message)
            .at(at.line, at.column)
            .cure("ask whoever wrote that file, or take the plugin out of the plan")
    })
}
