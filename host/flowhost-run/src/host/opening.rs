//! How a run begins on record: what is made for that before there is a ledger, so that a run that cannot begin leaves
//! nothing behind, and its first records.

use std::collections::BTreeMap;
use std::sync::Arc;

use flowhost_flow::{Exit, RunSetup};
use flowhost_ledger::Ledger;
use flowhost_ledger::records::RunStart;

use crate::base::failure::Failure;
use crate::earlier::fork::Point;
use crate::given::bundle;
use crate::given::options::RunOptions;
use crate::given::process::Process;
use crate::given::project::Project;
use crate::given::redaction::{redaction, seals};
use crate::host::execute::Prepared;
use crate::host::ledgers::{Kept, enter};
use crate::kept::journal::{Begun, Journal, clean};

/// See the module.
pub(crate) struct Opening {
    bundle: Arc<Vec<u8>>,
    /// The plan's labels on the run's inputs, as records may have them.
    labels: BTreeMap<String, String>,
}

impl Opening {
    pub(crate) fn of(project: &Project) -> Result<Self, Failure> {
        let bundle = bundle::document(project).map_err(|error| {
            Failure::new(Exit::Internal, "the plan cannot be kept").caused_by(&error)
        })?;
        let labels = project.plan.render_labels(&project.inputs);
        let mut labels = labels.map_err(Failure::in_plan)?;
        // Here, because the index of runs has them, too, and neither it nor the first record can be erased.
        if redaction(project).payloads {
            labels.values_mut().for_each(clean);
        }
        Ok(Self {
            bundle: Arc::new(bundle),
            labels,
        })
    }

    /// The plan's labels, as records may have them.
    pub(crate) const fn labels(&self) -> &BTreeMap<String, String> {
        &self.labels
    }

    /// The run's ledger, with what the run is made of beside it. `parent` is the run whose past it begins with: from the
    /// index that one learns of it.
    pub(crate) async fn ledger(
        &self,
        host: &Arc<Process>,
        project: &Project,
        setup: &RunSetup,
        options: &RunOptions,
        parent: Option<String>,
    ) -> Result<Ledger, Failure> {
        let entry = RunStart {
            plan: Some(project.plan.name.clone()),
            plan_hash: Some(setup.plan_hash.clone()),
            labels: Some(self.labels.clone()),
            spec: project.plan.evidence.as_ref().map(|it| it.spec_id.clone()),
            parent,
            ..RunStart::default()
        };
        let kept = Kept {
            bundle: self.bundle.clone(),
            components: bundle::components(project, &host.config.state),
            seals: seals(project),
        };
        enter(host, &setup.run_id, entry, kept, options).await
    }

    /// The first records; `fork` says where the run was forked.
    pub(crate) fn record(
        self,
        journal: &Journal,
        project: &Project,
        setup: &RunSetup,
        options: &RunOptions,
        prepared: &Prepared,
        fork: Option<&Point>,
    ) -> Result<(), Failure> {
        let begun = Begun {
            labels: self.labels,
            documents: &project.documents,
            options,
            fork,
            second_keys: options.turned().of(project),
        };
        journal.run_start(&project.plan, setup, begun)?;
        journal.view(bundle::BUNDLE, &self.bundle)?;
        journal.estimated(&prepared.estimate)?;
        match &prepared.locked {
            Some(locked) => locked.told(journal),
            None => Ok(()),
        }
    }
}
