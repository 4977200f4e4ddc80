//! A plan with everything it refers to: sub-plans, schemas, inputs, components, manifests, profiles,
//! and the rights that follow.
//!
//! Everything that is wrong is collected before anything is said. Nothing runs here, nothing is
//! compiled, and no folder is created.

mod inputs;
mod load;
mod members;

pub(crate) use members::{ToolNames, check_functions};

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use flowhost_engine::Inspection;
use flowhost_flow::{Plan, PluginDecl};
use flowhost_policy::{Effective, Manifest, Profile, TraceEntry};
use serde_json::{Map, Value};

use crate::ambient::Ambient;
use crate::config::Config;
use crate::finding::Finding;
use crate::report::problems::Texts;
use crate::sources::Sources;

/// What a person asked for.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The plan file.
    pub plan: PathBuf,
    /// `--input`, as typed.
    pub inputs: Vec<(String, String)>,
    /// `--policies`.
    pub policies: Option<PathBuf>,
}

/// A plan that is sound as far as one can see without running it.
#[derive(Debug, Clone)]
pub struct Project {
    /// The plan with sub-plans and schemas attached.
    pub plan: Arc<Plan>,
    /// Its file as the person named it.
    pub file: String,
    /// Its folder.
    pub dir: PathBuf,
    /// All inputs, typed.
    pub inputs: Map<String, Value>,
    /// Folders that `dir` inputs name.
    pub folders: BTreeMap<String, PathBuf>,
    /// Every plugin by its key ([`Plan::all_plugins`]).
    pub members: BTreeMap<String, Member>,
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
    /// The component.
    pub bytes: Arc<[u8]>,
    /// What it is.
    pub inspection: Inspection,
    /// What it asks for.
    pub manifest: Manifest,
    /// What may be had.
    pub profile: Profile,
    /// What it gets. Granted folders that an input names are filled in.
    pub effective: Effective,
    /// Where each right came from.
    pub trace: Vec<TraceEntry>,
}

/// What there is of a project, and everything that is wrong with it.
#[derive(Debug)]
pub struct Loaded {
    /// What could be resolved: sound exactly if nothing was found. None when the plan itself is not
    /// sound.
    pub project: Option<Project>,
    /// Everything that is wrong with the plan, and with inputs, components, manifests and profiles.
    pub findings: Vec<Finding>,
}

/// Loads a plan and resolves it, as far as it goes: what is wrong in one place does not hide what is
/// wrong in another.
#[must_use]
pub fn load(ambient: &Ambient, config: &Config, request: &Request, texts: &mut Texts) -> Loaded {
    let sources = Sources::new(ambient, config, request.policies.as_deref());
    let load::Read {
        plan,
        dir,
        sound,
        mut findings,
    } = load::plan(ambient, &sources, &request.plan, texts);
    let Some(plan) = plan else {
        let project = None;
        return Loaded { project, findings };
    };
    if !sound {
        members::look(&sources, &plan, &dir, texts, &mut findings);
        let project = None;
        return Loaded { project, findings };
    }
    let bound = inputs::bind(ambient, &plan, &dir, &request.inputs, &mut findings);
    let members = members::resolve(&sources, &plan, &dir, &bound, texts, &mut findings);
    let file = sources.shown(&request.plan);
    let (inputs, folders) = (bound.values, bound.folders);
    let project = Project {
        plan: Arc::new(plan),
        file,
        dir,
        inputs,
        folders,
        members,
    };
    Loaded {
        project: Some(project),
        findings,
    }
}
