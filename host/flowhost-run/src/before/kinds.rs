//! What the plan's expressions certainly get wrong, and what steps are given that their tools do not take: asked with
//! what the plan declares and with what the manifests of its tools promise, so that a run does not find it at that
//! step, after everything before it.

use flowhost_flow::Plan;
use flowhost_flow::expr::Template;
use flowhost_flow::plan::{Foresight, Promised, Settled, Step, Work};
use flowhost_words::PluginKind;

use crate::base::finding::Finding;
use crate::before::functions::{StepFault, check_steps, takes};
use crate::before::preflight::{foremost, list};
use crate::given::project::Project;

/// Everything that is wrong, in the plan and in those that it runs.
pub(crate) fn findings(project: &Project) -> Vec<Finding> {
    let mut found = Vec::new();
    in_plan(project, &project.plan, "", &mut found);
    found
}

fn in_plan(project: &Project, plan: &Plan, prefix: &str, found: &mut Vec<Finding>) {
    let promised = promised(project, plan, prefix);
    let foresight = Foresight::new(plan, &promised);
    let sure: Vec<Finding> = foresight
        .problems()
        .into_iter()
        .map(Finding::from)
        .collect();
    // What a sub-plan is given differs from step to step.
    let settled = prefix
        .is_empty()
        .then(|| Settled::new(plan, &project.inputs));
    let on_inputs = settled.iter().flat_map(Settled::problems);
    // What is wrong on all inputs is not told of these once more.
    // By its place: the same expression is wrong in other words when its inputs are known.
    let told = |it: &Finding| {
        sure.iter()
            .any(|sure| (sure.line, sure.column) == (it.line, it.column))
    };
    let on_inputs = on_inputs.map(Finding::from).filter(|it| !told(it));
    found.extend(on_inputs);
    found.extend(sure.iter().cloned());
    check_steps(plan, found, &|step| {
        let on_all_inputs = input_problem(project, prefix, (step, &step.with), &foresight);
        let on_these = || {
            let with = settled.as_ref()?.with(step)?;
            input_problem(project, prefix, (step, &with), &foresight)
        };
        let of_items = || item_problem(project, prefix, step, &foresight);
        on_all_inputs.or_else(on_these).or_else(of_items)
    });
    for wanted in plan.sub_plans() {
        if let Some(child) = plan.sub_plan(&wanted.reference) {
            let prefix = format!("{prefix}{}::", wanted.reference);
            in_plan(project, child, &prefix, found);
        }
    }
}

/// What the tools of the steps promise to give: an answer that is not so is refused.
pub(crate) fn promised<'p>(project: &'p Project, plan: &'p Plan, prefix: &str) -> Promised<'p> {
    let steps = plan.steps().into_iter();
    let promises = steps.filter_map(|step| {
        let (_, tool) = project.tool_of(prefix, step)?;
        Some((step.id.as_str(), tool.output.as_ref()?))
    });
    promises.collect()
}

/// A step's `with` against its tool's schema, as far as it is known before the run.
fn input_problem<'p>(
    project: &'p Project,
    prefix: &str,
    (step, with): (&Step, &Template),
    foresight: &Foresight<'p>,
) -> Option<StepFault> {
    let (plugin, tool) = project.tool_of(prefix, step)?;
    for (what, schema) in [
        ("input", Some(&tool.input)),
        ("output", tool.output.as_ref()),
    ] {
        if let Some(why) = schema.and_then(|it| foresight.unusable(it)) {
            let message = format!(
                "the {what} of `{plugin}/{}` cannot be held against its manifest: {why}",
                tool.name
            );
            let cure = "mend `[[tools]]` of the plugin's manifest; `flowhost inspect COMPONENT` shows all such places";
            return Some(StepFault {
                part: "/uses".to_owned(),
                message,
                cure: cure.to_owned(),
            });
        }
    }
    let misfits = foresight.misfits(with, &tool.input);
    let part = format!("/with{}", foremost(&misfits)?);
    let message = format!(
        "`{plugin}/{}` does not take this `with`: {}",
        tool.name,
        list(&misfits)
    );
    Some(StepFault {
        part,
        message,
        cure: takes(&tool.input),
    })
}

/// An item that a `foreach` has written out, and of which the step makes what its tool does not take.
fn item_problem<'p>(
    project: &'p Project,
    prefix: &str,
    step: &Step,
    foresight: &Foresight<'p>,
) -> Option<StepFault> {
    let (plugin, tool) = project.tool_of(prefix, step)?;
    let (index, misfits) = foresight.misfit_of_items(step, &tool.input)?;
    let message = format!(
        "item {} of `items` does not fit: what `with` makes of it, `{plugin}/{}` does not take: {}",
        index + 1,
        tool.name,
        list(&misfits)
    );
    Some(StepFault {
        part: format!("/foreach/items/{index}"),
        message,
        cure: takes(&tool.input),
    })
}

impl Project {
    /// The tool that a step of a plan calls, with its plugin's name there, where its manifest describes it; `prefix` is
    /// what the keys of the plan's plugins begin with.
    pub(crate) fn tool_of<'p, 's>(
        &'p self,
        prefix: &str,
        step: &'s Step,
    ) -> Option<(&'s str, &'p flowhost_policy::ToolDescriptor)> {
        let Work::Call { plugin, function } = &step.work else {
            return None;
        };
        let member = self.members.get(&format!("{prefix}{plugin}"))?;
        if member.decl.kind != PluginKind::Tool {
            return None;
        }
        let mut tools = member.manifest.tools.iter();
        let tool = match function {
            Some(name) => tools.find(|tool| tool.name == *name)?,
            None => tools.next().filter(|_| member.manifest.tools.len() == 1)?,
        };
        Some((plugin, tool))
    }
}
