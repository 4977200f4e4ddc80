//! What `flowhost mcp serve` offers: plans, and the tools of components, all of which are steps of one plan. A run
//! resolves its plan anew (a call's, with the arguments; the tools', when a session begins a run), holds it against what was
//! offered, and starts it as any other run.
//!
//! What was offered is what is called: a plan, profile or component that changed since is refused until the
//! operator starts the server again, so that nobody exchanges a tool under a client that has approved it. A run of
//! tools that is open goes on with what it began with, which is what was offered.

mod plans;
mod programs;
mod tools;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowhost_author::remote::Place;
use flowhost_evidence::runs::{INTERRUPTED, WAITING};
use flowhost_evidence::{html, story};
use flowhost_flow::Exit;
use flowhost_ledger::{Bundle, RealDisk};
use flowhost_run::{Host, Run, RunOptions};
use flowhost_serve::{DOCUMENT_BYTES_MAX, Document, Handed, Offer, PromptText, Shelf};
use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::ambient::Ambient;
use crate::config::Config;
use crate::failure::Failure;
use crate::finding::Finding;
use crate::host::Coming;
use crate::offers;
use crate::preflight::{Asking, findings_of};
use crate::project::{self, Given, Project, Request};
use crate::report::problems::{Texts, unreadable_of};
use crate::state::State;

/// What the operator wants to offer.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Plan files.
    pub plans: Vec<PathBuf>,
    /// Components, with a name that their tools' names begin with, or none.
    pub plugins: Vec<(Option<String>, String)>,
    /// The profile of those components.
    pub profile: String,
    /// The profile of programs that call their tools, when clients are to be offered those in place of each tool.
    pub code_mode: Option<String>,
    /// Inputs that are the operator's: no client sees or gives them.
    pub inputs: Vec<(String, String)>,
    /// `--policies`.
    pub policies: Option<PathBuf>,
}

/// How a call becomes a project.
#[derive(Debug, Clone)]
pub(crate) struct Maker {
    /// The plan with the operator's inputs.
    request: Request,
    /// Of everything that it was made of when it was offered.
    pin: [u8; 32],
}

/// The shelf of this process.
pub struct Shelves {
    ambient: Ambient,
    config: Config,
    state: State,
    host: Host,
    options: RunOptions,
    offers: Vec<Offer>,
    /// Of plans, in the order of the offers; none of a tool.
    makers: Vec<Option<Maker>>,
    /// Of the run of tools.
    tools: Option<Maker>,
    prompts: Vec<PromptText>,
}

/// What opens a shelf: the same that runs a plan.
pub struct Opening<'a> {
    /// The world.
    pub ambient: &'a Ambient,
    /// The configuration.
    pub config: &'a Config,
    /// Where evidence goes.
    pub state: &'a State,
    /// What runs plans, when it is built: it is waited for when all is read that is to be served.
    pub host: Coming,
    /// How.
    pub options: RunOptions,
}

/// Reads everything that is wanted, and refuses the whole if a run of any part would be refused.
///
/// # Errors
/// All problems of plans, components, manifests and profiles at once; two offers of one name.
pub fn open(opening: Opening<'_>, wanted: &Wanted, texts: &mut Texts) -> Result<Shelves, Failure> {
    let Opening {
        ambient,
        config,
        state,
        host,
        options,
    } = opening;
    let asking = Asking {
        ambient,
        config,
        state,
    };
    let filling = Filling::of(asking, wanted, texts)?;
    let (offers, makers): (Vec<Offer>, Vec<Option<Maker>>) = filling.offers.into_iter().unzip();
    if offers.is_empty() {
        return Err(nothing());
    }
    Ok(Shelves {
        ambient: ambient.clone(),
        config: config.clone(),
        state: state.clone(),
        // Waited for last: it is built on a thread of its own while everything was read.
        host: host.here()?,
        options,
        offers,
        makers,
        tools: filling.tools,
        prompts: filling.prompts,
    })
}

/// The refusal to serve nothing, in the words of whoever serves and of whoever writes down how it is served.
#[must_use]
pub fn nothing() -> Failure {
    Failure::new(Exit::Usage, "nothing is to be served")
        .hint("name a plan with `--plan FILE` or a component with `--plugin FILE`")
}

/// What whoever writes down how it is served has to know of what is wanted.
#[derive(Debug)]
pub struct Held {
    /// Which of the operator's inputs are paths to the plans.
    pub paths: BTreeSet<String>,
    /// The secrets that are read from a variable of the environment, and that variable.
    pub secrets: BTreeMap<String, String>,
}

/// Holds the plans and components that are wanted against everything for which they would be refused when they are served.
/// A component at an address is not fetched for it: the server that starts looks at it.
///
/// # Errors
/// All problems of plans and components at once; an input that is a path to one plan and no path to another.
pub fn held(asking: Asking<'_>, wanted: &Wanted, texts: &mut Texts) -> Result<Held, Failure> {
    let here = wanted.plugins.iter().filter(|(_, it)| !Place::is_meant(it));
    let here: Vec<(Option<String>, String)> = here.cloned().collect();
    let (plugins, code_mode) = match &wanted.code_mode {
        // What the programs' profile names may be a tool of one that is not here.
        Some(_) if here.len() < wanted.plugins.len() => (Vec::new(), None),
        code_mode => (here, code_mode.clone()),
    };
    let is_here = Wanted {
        plugins,
        code_mode,
        ..wanted.clone()
    };
    let mut filling = Filling::of(asking, &is_here, texts)?;
    for (name, _) in &wanted.inputs {
        if filling.paths.contains(name) && filling.plain.contains(name) {
            let message =
                format!("the input `{name}` is a path to one plan and no path to another");
            let cure = "install the plans under two names: `--name NAME`";
            filling.findings.push(Finding::new("", message).cure(cure));
        }
    }
    match filling.findings.is_empty() {
        true => Ok(Held {
            paths: filling.paths,
            secrets: filling.secrets,
        }),
        false => Err(Failure::findings("what is to be served", filling.findings)),
    }
}

/// A shelf that is being filled.
struct Filling<'a> {
    ambient: &'a Ambient,
    config: &'a Config,
    state: &'a State,
    wanted: &'a Wanted,
    texts: &'a mut Texts,
    offers: Vec<(Offer, Option<Maker>)>,
    tools: Option<Maker>,
    prompts: Vec<PromptText>,
    findings: Vec<Finding>,
    /// Which of the operator's inputs some plan takes.
    used: Vec<bool>,
    /// Those of them that are paths to a plan, and those that are none.
    paths: BTreeSet<String>,
    plain: BTreeSet<String>,
    /// Secrets that something of it is given, and the variables that have their values.
    secrets: BTreeMap<String, String>,
}

impl<'a> Filling<'a> {
    /// A shelf with everything that is wanted.
    fn of(asking: Asking<'a>, wanted: &'a Wanted, texts: &'a mut Texts) -> Result<Self, Failure> {
        let Asking {
            ambient,
            config,
            state,
        } = asking;
        let mut filling = Self {
            ambient,
            config,
            state,
            wanted,
            texts,
            offers: Vec::new(),
            tools: None,
            prompts: Vec::new(),
            findings: Vec::new(),
            // By place and not by name: each is the operator's for all plans that have one of its name.
            used: wanted.inputs.iter().map(|_| false).collect(),
            paths: BTreeSet::new(),
            plain: BTreeSet::new(),
            secrets: BTreeMap::new(),
        };
        filling.plans();
        match &wanted.code_mode {
            Some(profile) => filling.programs(profile)?,
            None => filling.tools()?,
        }
        // After everything is offered, and before the findings are looked at, so that all slips are told at once.
        filling.names();
        filling.inputs();
        match filling.findings.is_empty() {
            true => Ok(filling),
            false => Err(Failure::findings("what is to be served", filling.findings)),
        }
    }
}

impl Filling<'_> {
    /// A project without the clients' inputs, as a run would take it; what is wrong with it is remembered.
    fn load(&mut self, request: &Request) -> Option<Project> {
        let project = self.read(request)?;
        let asking = Asking {
            ambient: self.ambient,
            config: self.config,
            state: self.state,
        };
        let asked = offers::of_project(self.ambient, self.state, &project);
        let found = match asking.found(&project, &asked.offers) {
            Ok(found) => found.findings(),
            Err(failure) => findings_of(failure),
        };
        if found.is_empty() {
            self.secrets
                .extend(project::variables_of(self.config, &project));
            return Some(project);
        }
        // What is wrong with the configuration is so for each plan, and told once.
        for finding in found {
            if !self.findings.contains(&finding) {
                self.findings.push(finding);
            }
        }
        None
    }

    /// The same as it was read.
    fn read(&mut self, request: &Request) -> Option<Project> {
        // What it is made of is its own texts and no others: a call is compared with that.
        let mut texts = Texts::default();
        let loaded = project::load(self.ambient, self.config, request, &mut texts);
        for (file, text) in texts.iter() {
            self.texts.add(file, text);
        }
        let sound = loaded.findings.is_empty();
        self.findings.extend(loaded.findings);
        loaded.project.filter(|_| sound)
    }

    /// Two of one name would hide each other (MCP-003).
    fn names(&mut self) {
        let programs = self.wanted.code_mode.is_some();
        let mut seen: BTreeMap<String, Option<&Path>> = BTreeMap::new();
        for (offer, maker) in &self.offers {
            let plan = maker.as_ref().map(|maker| maker.request.plan.as_path());
            // Clients show names, and some fold them: `Read` and `read` would be one to whoever approves.
            let Some(before) = seen.insert(offer.name.to_ascii_lowercase(), plan) else {
                continue;
            };
            let message = format!("two tools would be called `{}`", offer.name);
            let cure = cure_of_twins(before, plan, programs);
            self.findings.push(Finding::new("", message).cure(cure));
        }
    }

    /// An input that no plan takes was a slip.
    fn inputs(&mut self) {
        for ((name, _), used) in self.wanted.inputs.iter().zip(&self.used) {
            if !used {
                let message = format!("none of the plans has an input `{name}`");
                self.findings.push(Finding::new("", message));
            }
        }
    }
}

/// What to do about two offers of one name, of which each is that of a plan file or of a component. With code mode there is
/// no name in front of a component's tools.
fn cure_of_twins(one: Option<&Path>, other: Option<&Path>, programs: bool) -> String {
    match (one, other) {
        (Some(one), Some(other)) if one == other => {
            format!("give `--plan {}` once", one.display())
        }
        (Some(one), Some(other)) => format!(
            "change `name:` in `{}` or in `{}`, or serve one of them",
            one.display(),
            other.display()
        ),
        (Some(plan), None) | (None, Some(plan)) if programs => {
            format!("change `name:` in `{}`", plan.display())
        }
        _ => "give a component's tools a name in front: `--plugin NAME=FILE`".to_owned(),
    }
}

/// Of everything that a project was read from.
fn pin(project: &Project) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut add = |text: &str| {
        // With its length, so that no text can take over the beginning of the next.
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    };
    for (file, text) in project.texts.iter() {
        add(file);
        add(text);
    }
    for (key, member) in &project.members {
        add(key);
        // What a component is; what it may do is in the texts, of which the profile is one.
        add(&member.inspection.digest);
    }
    hash.finalize().into()
}

impl Shelves {
    /// What runs their plans.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    fn maker(&self, offer: &Offer) -> Option<&Maker> {
        let at = self.offers.iter().position(|it| it.name == offer.name)?;
        self.makers.get(at)?.as_ref()
    }

    fn run_dir(&self, run: &str) -> PathBuf {
        self.state.run_dir(run)
    }

    /// What is asked for, if it is still what was offered.
    fn project(&self, maker: &Maker, request: &Request, what: &str) -> Result<Project, Failure> {
        let mut texts = Texts::default();
        let loaded = project::load(&self.ambient, &self.config, request, &mut texts);
        if !loaded.findings.is_empty() {
            return Err(Failure::findings(what, loaded.findings));
        }
        let Some(project) = loaded.project else {
            debug_assert!(false, "what has no problem is a project");
            return Err(Failure::new(
                Exit::Internal,
                format!("{what} is not a project"),
            ));
        };
        if pin(&project) != maker.pin {
            return Err(Failure::new(Exit::Denied, format!("{what} is refused"))
                .because("its plan, a profile or a component has changed since it was offered")
                .hint("look at the change, and start `flowhost mcp serve` again to offer what is there now"));
        }
        Ok(project)
    }
}

impl Shelf for Shelves {
    fn offers(&self) -> &[Offer] {
        &self.offers
    }

    fn prompts(&self) -> &[PromptText] {
        &self.prompts
    }

    fn start(&self, offer: &Offer, arguments: Map<String, Value>) -> Result<Run, Failure> {
        let Some(maker) = self.maker(offer) else {
            let message = format!("this server does not offer the tool `{}`", offer.name);
            return Err(Failure::new(Exit::Internal, message));
        };
        let request = Request {
            given: Given::Values(arguments),
            ..maker.request.clone()
        };
        let what = format!("the call of `{}`", offer.name);
        let project = self.project(maker, &request, &what)?;
        self.host.start(project, self.options.clone())
    }

    fn open(&self) -> Result<Run, Failure> {
        let Some(maker) = &self.tools else {
            return Err(Failure::new(Exit::Internal, "no tools are served"));
        };
        let project = self.project(maker, &maker.request, "the run of the tools")?;
        let options = RunOptions {
            on_request: true,
            ..self.options.clone()
        };
        self.host.start(project, options)
    }

    fn document(&self, run: &str, document: Document) -> Result<Handed, Failure> {
        // A run that goes on has no signature over its end: what is handed out now could not be verified later.
        if self.host.run(run).is_some() {
            let message = format!("the run {run} goes on");
            return Err(Failure::new(Exit::Waiting, message)
                .because("it is signed, and its report written, once it has ended")
                .hint(format!(
                    "read it again then; `flowhost runs show {run}` shows what is on record so far"
                )));
        }
        let dir = self.run_dir(run);
        let report = self
            .ambient
            .read(&dir.join(Document::Report.file()), DOCUMENT_BYTES_MAX);
        // Of the report that was read first: of one that is written meanwhile the other documents may be older.
        let is_final = report.as_ref().is_ok_and(|report| is_over(report));
        let bytes = match document {
            Document::Report => report?,
            // No run of a server leaves one (`host::serving_host`).
            Document::Page => {
                let page = html::page(&story::read(&dir).map_err(unreadable_of(run))?);
                if page.len() as u64 > DOCUMENT_BYTES_MAX {
                    let message = format!("the page of run {run} has {} bytes", page.len());
                    return Err(Failure::new(Exit::Internal, message)
                        .because(format!("a client is given {DOCUMENT_BYTES_MAX} at most"))
                        .hint(format!(
                            "`flowhost runs report {run} --out FILE` writes it to a file"
                        )));
                }
                page.into_bytes()
            }
            Document::Evidence => {
                let mut out = Bounded(Vec::new());
                Bundle::write(&RealDisk, &dir, false, &[], &mut out).map_err(|error| {
                    Failure::new(
                        Exit::Internal,
                        format!("the evidence of run {run} cannot be handed out"),
                    )
                    .because(error.to_string())
                    .hint(format!("`flowhost evidence export {run} --out FILE` writes it to a file, however large it is"))
                })?;
                out.0
            }
        };
        Ok(Handed { bytes, is_final })
    }
}

/// Whether the run of this report is over for good, and no other process can go on with it.
fn is_over(report: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Stands {
        status: String,
    }
    // What does not say how it stands is no report that will stay.
    let stands: Option<Stands> = serde_json::from_slice(report).ok();
    stands.is_some_and(|it| ![WAITING, INTERRUPTED].contains(&it.status.as_str()))
}

/// Takes as much as a document may have.
struct Bounded(Vec<u8>);

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if (self.0.len() + bytes.len()) as u64 > DOCUMENT_BYTES_MAX {
            let message = format!("it has more than {} MiB", DOCUMENT_BYTES_MAX >> 20);
            return Err(std::io::Error::new(
                std::io::ErrorKind::FileTooLarge,
                message,
            ));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A plan's text that no file holds, with the place where it would stand.
fn request(
    wanted: &Wanted,
    plan: PathBuf,
    text: Option<Arc<str>>,
    inputs: Vec<(String, String)>,
) -> Request {
    Request {
        plan,
        inputs,
        policies: wanted.policies.clone(),
        text,
        newest: false,
        // Also where clients give nothing: what lacks a value is then told by the call that lacks it.
        given: Given::Later,
    }
}
