//! Where a plan wants keys and personal data taken out of what is stored and of what models are asked.

use flowhost_flow::Plan;
use flowhost_flow::plan::Redact;

use crate::given::project::Project;

/// Where keys and personal data are taken out: where the plan or one of its sub-plans says so, and by
/// default everywhere as soon as a plugin may ask a model.
#[must_use]
pub fn redaction(project: &Project) -> Redact {
    if let Some(said) = said(&project.plan) {
        return said;
    }
    let grants = project.members.values().map(|it| &it.effective.grants);
    let asks = grants.into_iter().any(|it| !it.model.allow.is_empty());
    Redact {
        model: asks,
        payloads: asks,
    }
}

/// Whether what is taken out of payloads is kept sealed beside them: unless the plan or one of its
/// sub-plans says `sealed: none`.
#[must_use]
pub(crate) fn seals(project: &Project) -> bool {
    redaction(project).payloads && !unsealed(&project.plan)
}

/// One that says so counts for all: a run has one key, and who erases it erases what any of its plans sealed.
fn unsealed(plan: &Plan) -> bool {
    let below = plan.sub_plans();
    let mut below = below
        .iter()
        .filter_map(|wanted| plan.sub_plan(&wanted.reference));
    plan.unsealed || below.any(|plan| unsealed(plan))
}

/// What the plans of the tree say together; none when none says anything.
fn said(plan: &Plan) -> Option<Redact> {
    let below = plan.sub_plans();
    let below = below
        .iter()
        .filter_map(|wanted| said(plan.sub_plan(&wanted.reference)?));
    plan.redact.into_iter().chain(below).reduce(|a, b| Redact {
        model: a.model || b.model,
        payloads: a.payloads || b.payloads,
    })
}
