//! How a person wants a plan to be run: what no plan may say by itself, because it is about this run, this machine or
//! these files.

use std::path::PathBuf;
use std::sync::Arc;

use flowhost_flow::Exit;
use flowhost_flow::plan::Body;
use flowhost_ledger::Durability;

use crate::base::failure::Failure;
use crate::earlier::reuse::Earlier;
use crate::given::keys::Turned;
use crate::given::project::Project;

/// How to run.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// The run's seed; a random one is taken and recorded without it.
    pub seed: Option<u64>,
    /// When records must be on disk.
    pub durability: Durability,
    /// The second key to private addresses.
    pub allow_private_network: bool,
    /// The second key to native processes.
    pub allow_process: bool,
    /// Where checkpoints are sent as well.
    pub witness: Option<PathBuf>,
    /// What the run takes from an earlier one; without a seed of its own, that one's seed, too.
    pub reuse: Option<Arc<Earlier>>,
    /// The only step of the plan that is wanted, with what it needs ([`flowhost_flow::RunSetup::only`]).
    pub only: Option<String>,
    /// Whether the run is open to requests ([`Run::request`](crate::Run::request)): no step begins by itself. Neither
    /// `only` nor `reuse` go with it, nor the past of another run.
    pub on_request: bool,
    /// What the person wants to be read beside the run. It stands in the chained record, from which
    /// nothing can be erased.
    pub note: Option<String>,
    /// How the files stand that the plan was read from.
    pub work_tree: WorkTree,
    /// The command that begins it, without second keys: who lacks one is told the whole. None where it is no command of
    /// its own.
    pub command: Option<String>,
}

impl RunOptions {
    /// The second keys that it turns.
    pub(crate) const fn turned(&self) -> Turned {
        Turned {
            private_network: self.allow_private_network,
            process: self.allow_process,
        }
    }

    /// That the plan can be run in this way; `forked` is a run that begins with another one's past.
    pub(crate) fn suit(&self, project: &Project, forked: bool) -> Result<(), Failure> {
        let workflow = matches!(project.plan.body, Body::Workflow { .. });
        if !self.on_request {
            return self.work_tree.suffices(project);
        }
        if !workflow {
            let what = "only the steps of a workflow can be asked for";
            return Err(Failure::new(Exit::Internal, what));
        }
        if forked || self.only.is_some() || self.reuse.is_some() {
            let what = "a run that is open to requests takes nothing of another run, and no step of it begins by itself";
            return Err(Failure::new(Exit::Internal, what)
                .because("`only`, `reuse` and a fork say what it begins with"));
        }
        self.work_tree.suffices(project)
    }
}

/// How the files stand that a plan was read from, beside what was committed of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum WorkTree {
    /// Nobody has looked: a plan that requires a clean one does not run.
    #[default]
    Unknown,
    /// The plan comes from no work tree: it is what another run was made of.
    Apart,
    /// As they were committed.
    Clean {
        /// The commit.
        commit: String,
    },
    /// Some are not, and the person allows it.
    Dirty {
        /// The last commit, where there is one.
        commit: Option<String>,
        /// The files that are not as in it, by their names below the plan's folder.
        files: Vec<String>,
    },
}

impl WorkTree {
    fn suffices(&self, project: &Project) -> Result<(), Failure> {
        let evidence = project.plan.evidence.as_ref();
        match self {
            Self::Unknown if evidence.is_some_and(|it| it.require_clean) => {
                let what = "the plan requires a clean work tree (`evidence.require_clean`)";
                Err(Failure::new(Exit::Internal, what)
                    .because("this command does not look at the work tree")
                    .hint("run the plan with `flowhost run PLAN`")
                    .named("PLAN", &project.file))
            }
            _ => Ok(()),
        }
    }

    /// The commit, and the files that are not as in it, for the record.
    pub(crate) fn told(&self) -> (Option<String>, Option<Vec<String>>) {
        match self {
            Self::Unknown | Self::Apart => (None, None),
            Self::Clean { commit } => (Some(commit.clone()), None),
            Self::Dirty { commit, files } => (commit.clone(), Some(files.clone())),
        }
    }
}
