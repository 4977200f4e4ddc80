//! The one question before a run, as every command asks it that runs a plan, looks at one or offers one: what would a
//! run refuse? What is asked is the run's own ([`flowhost_run::preflight`]); here is what it needs of this process,
//! and how a command fails of the answer, so that the words are the same everywhere.

use std::path::Path;

use flowhost_run::estimate::{Estimate, estimate};
use flowhost_run::{Offers, Preflight, agents};

use crate::ambient::Ambient;
use crate::config::Config;
use crate::failure::Failure;
use crate::finding::Finding;
use crate::host::Index;
use crate::models;
use crate::offers;
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
        // Only where a model may be asked: a plan without one must run under a configuration whose [models] is wrong.
        let gateway = agents::asks_models(project)
            .then(|| models::gateway(self.ambient, self.config, project));
        let (gateway, unusable) = match gateway.transpose() {
            Ok(gateway) => (gateway, None),
            Err(failure) => (None, Some(failure)),
        };
        let mut found =
            flowhost_run::preflight(project, gateway.as_ref(), offers, home, self.state)?;
        match unusable {
            None => Ok(found),
            // Alone it is told as the failure that it is, with its own words and exit code; beside others it is one
            // of them.
            Some(failure) if found.is_empty() => Err(failure),
            Some(failure) => {
                found.others.extend(findings_of(failure));
                Ok(found)
            }
        }
    }

    /// What the project's model calls will cost.
    ///
    /// # Errors
    /// When no model can be asked with this configuration.
    pub fn estimate(&self, project: &Project) -> Result<Estimate, Failure> {
        let gateway = models::gateway(self.ambient, self.config, project)?;
        let past = Index(self.state.clone());
        Ok(estimate(project, &gateway, self.state, &past))
    }

    /// A budget that cannot suffice, for who is told of other things first: what decides it has to be known.
    fn too_small(&self, project: &Project) -> Vec<Finding> {
        let estimate = project.is_whole().then(|| self.estimate(project));
        // Why there is no estimate (a configuration that is wrong) is found and told by `found` above.
        let estimate = estimate.and_then(Result::ok);
        estimate
            .map(|estimate| estimate.short_budgets())
            .unwrap_or_default()
    }

    /// Refuses what a run would refuse, of the plan as a person named it.
    ///
    /// # Errors
    /// Everything at once; exit code 6 where rights are all that is missing.
    pub fn refused(&self, plan: &Path, project: &Project, offers: &Offers) -> Result<(), Failure> {
        let mut found = self.found(project, offers)?;
        if found.is_empty() {
            return Ok(());
        }
        // Only beside others: alone it is told with the estimate, which whoever asks this makes next
        // ([`Estimate::exceeds`]).
        found.others.extend(self.too_small(project));
        Err(refusal_of(plan, found, Vec::new()))
    }

    /// Why a plan that was read is refused, if it is. A run asks components without a manifest itself; where there will
    /// be none, what it would have heard is told with the rest.
    #[must_use]
    pub fn refusal(&self, plan: &Path, loaded: &Loaded) -> Option<Failure> {
        match &loaded.project {
            Some(project) if loaded.findings.is_empty() => self.refused_run(plan, project).err(),
            project => Some(self.unsound(plan, project.as_ref(), loaded.findings.clone())),
        }
    }

    /// As [`Asking::refused`], for who is about to run the plan.
    ///
    /// # Errors
    /// As [`Asking::refused`].
    pub fn refused_run(&self, plan: &Path, project: &Project) -> Result<(), Failure> {
        let Err(failure) = self.refused(plan, project, &Offers::default()) else {
            return Ok(()); // the run asks its components itself
        };
        // There will be none, and what it would have heard belongs to the same round.
        let whole = self.refused(plan, project, &self.offered(project));
        Err(whole.err().unwrap_or(failure))
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
        let Some(project) = project else {
            return refusal_of(plan, Preflight::default(), findings);
        };
        // Where that cannot be asked, why comes beside what is wrong with the plan.
        let found = self.found(project, &self.offered(project));
        let mut found = found.unwrap_or_else(|failure| Preflight {
            others: findings_of(failure),
            ..Preflight::default()
        });
        found.others.extend(self.too_small(project));
        refusal_of(plan, found, findings)
    }

    /// What the components of a project say that have no manifest.
    fn offered(&self, project: &Project) -> Offers {
        offers::of_project(self.ambient, self.state, project).offers
    }
}

/// A failure as one thing among several that are told at once.
#[must_use]
pub fn findings_of(failure: Failure) -> Vec<Finding> {
    if !failure.findings.is_empty() {
        return failure.findings;
    }
    let why = std::iter::once(failure.message).chain(failure.causes);
    // One line: a finding has no causes of its own, and its place among the others is its only layout.
    let message: Vec<String> = why.collect();
    let finding = Finding::new("", message.join(": "));
    vec![finding.cure(failure.hints.join("\n"))]
}

/// How a command refuses the plan, as a person named it.
fn refusal_of(plan: &Path, found: Preflight, before: Vec<Finding>) -> Failure {
    let plan = plan.display().to_string();
    let failure = found.failure(&format!("`{plan}`"), before);
    failure.named("PLAN", &plan)
}
