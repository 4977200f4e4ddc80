//! The one question before a run, as every command asks it that runs a plan, looks at one or offers one: what would a
//! run refuse? What is asked is the run's own ([`flowhost_run::preflight`]); here is what it needs of this process,
//! and how a command fails of the answer, so that the words are the same everywhere.

use std::path::Path;

use flowhost_run::{Offers, Preflight, agents};

use crate::ambient::Ambient;
use crate::config::Config;
use crate::failure::Failure;
use crate::finding::Finding;
use crate::models;
use crate::project::{Loaded, Project};
use crate::state::State;

/// Who asks.
#[derive(Clone, Copy)]
pub struct Asking<'a> {
    /// The world.
    pub ambient: &'a Ambient,
    /// The configuration.
    pub config: &'a Config,
    /// Where evidence would go.
    pub state: &'a State,
}

impl Asking<'_> {
    /// What a run of the project would refuse. `offers` is what is known of components without a manifest.
    ///
    /// # Errors
    /// When that cannot be asked, as with a configuration that is not sound.
    pub fn found(&self, project: &Project, offers: &Offers) -> Result<Preflight, Failure> {
        let home = self.ambient.var("HOME").map(Path::new);
        let gateway = agents::asks_models(project)
            .then(|| models::gateway(self.ambient, self.config, project))
            .transpose()?;
        flowhost_run::preflight(project, gateway.as_ref(), offers, home, self.state)
    }

    /// Refuses what a run would refuse, of the plan as a person named it.
    ///
    /// # Errors
    /// Everything at once; exit code 6 where rights are all that is missing.
    pub fn refused(&self, plan: &Path, project: &Project, offers: &Offers) -> Result<(), Failure> {
        let found = self.found(project, offers)?;
        match found.is_empty() {
            true => Ok(()),
            false => Err(found.failure(&shown(plan), Vec::new())),
        }
    }

    /// Why a plan that was read is refused, if it is.
    #[must_use]
    pub fn refusal(&self, plan: &Path, loaded: &Loaded, offers: &Offers) -> Option<Failure> {
        match &loaded.project {
            Some(project) if loaded.findings.is_empty() => {
                self.refused(plan, project, offers).err()
            }
            project => Some(self.unsound(plan, project.as_ref(), loaded.findings.clone())),
        }
    }

    /// Why a plan is refused of which this was found when it was read: that, and what else a run would meet, before
    /// it meets it one by one.
    #[must_use]
    pub fn unsound(
        &self,
        plan: &Path,
        project: Option<&Project>,
        findings: Vec<Finding>,
    ) -> Failure {
        let found = project.map(|project| self.found(project, &Offers::default()));
        // Where that cannot be asked, its findings come beside those of the plan.
        let found = found.map(|asked| {
            asked.unwrap_or_else(|failure| Preflight {
                others: failure.findings,
                ..Preflight::default()
            })
        });
        found.unwrap_or_default().failure(&shown(plan), findings)
    }
}

fn shown(plan: &Path) -> String {
    format!("`{}`", plan.display())
}
