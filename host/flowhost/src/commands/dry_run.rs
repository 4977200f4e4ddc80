//! `flowhost run PLAN --dry-run`: what would run, with which inputs, prompts and rights. Nothing runs, and
//! nothing is written.

use flowhost::failure::Failure;
use flowhost::project::Project;
use flowhost_flow::plan::{Step, Work};
use flowhost_flow::{Exit, Plan};
use serde_json::{Map, Value, json};

use crate::commands::{Context, rights};

pub(crate) fn perform(project: &Project, context: &Context) -> Result<Exit, Failure> {
    let hash = flowhost_run::plan_hash(project)?;
    // As `run` refuses it: whoever looks first must not be told that all is well.
    let doubts = super::estimate::within_budget(project, context)?.doubts();
    if context.output.json {
        let notes: Vec<&String> = project.notes.iter().chain(&doubts).collect();
        let plugins: serde_json::Map<_, _> = project
            .members
            .iter()
            .map(|(key, it)| (key.clone(), rights::document(it)))
            .collect();
        context.output.document(&json!({
            "dry_run": true, "plan": project.plan.name, "plan_hash": hash,
            "inputs": project.inputs, "plugins": plugins, "notes": notes,
            "steps": planned(project).iter().map(Planned::document).collect::<Vec<_>>(),
        }));
        return Ok(Exit::Ok);
    }
    // A map of JSON values always has a form.
    let inputs = serde_json::to_string_pretty(&project.inputs).unwrap_or_default();
    let mut text = format!("plan {} ({hash})\ninputs: {inputs}\n", project.plan.name);
    for (key, member) in &project.members {
        text.push_str(&rights::text(key, member));
    }
    for step in planned(project) {
        text.push_str(&step.text());
    }
    for doubt in doubts {
        text.push_str(&format!("note: {doubt}\n"));
    }
    text.push_str("nothing was run\n");
    context.output.result(&flowhost::output::neutral(&text));
    Ok(Exit::Ok)
}

/// A step as far as it is known before anything has run.
struct Planned<'a> {
    path: String,
    uses: String,
    /// Its input where the run's inputs alone decide it; none where it takes what other steps hand on.
    input: Option<Value>,
    written: &'a Value,
    /// The items of a `foreach`, under the same condition.
    items: Option<Value>,
    is_list: bool,
    /// What an agent is asked, as the file says it; the agent fills in the step's input.
    prompt: Option<&'a str>,
}

fn planned(project: &Project) -> Vec<Planned<'_>> {
    let mut all = Vec::new();
    collect(&project.plan, "", Some(&project.inputs), &mut all);
    all
}

fn collect<'a>(
    plan: &'a Plan,
    above: &str,
    inputs: Option<&Map<String, Value>>,
    all: &mut Vec<Planned<'a>>,
) {
    for step in plan.steps() {
        let path = format!("{above}{}", step.id);
        all.push(of(plan, step, &path, inputs));
        if let Work::Plan { reference } = &step.work
            && let Some(child) = plan.sub_plan(reference)
        {
            // A sub-plan's inputs are what its step hands to it.
            let known = inputs.and_then(|inputs| plan.known(&step.with, inputs));
            let known = known.as_ref().and_then(Value::as_object);
            collect(child, &format!("{path}/"), known, all);
        }
    }
}

fn of<'a>(
    plan: &'a Plan,
    step: &'a Step,
    path: &str,
    inputs: Option<&Map<String, Value>>,
) -> Planned<'a> {
    let known = |template| inputs.and_then(|inputs| plan.known(template, inputs));
    Planned {
        path: path.to_owned(),
        uses: match &step.work {
            Work::Call { plugin, function } => match function {
                Some(function) => format!("{plugin}/{function}"),
                None => plugin.clone(),
            },
            Work::Plan { reference } => reference.clone(),
            Work::Barrier(_) => "barrier".to_owned(),
            Work::Gate(gate) => format!("waits for {}", gate.wants.word()),
            Work::Emit { subject, .. } => format!("emit {subject}"),
            Work::Consensus(spec) => format!("consensus of {}", spec.agents.join(", ")),
        },
        input: known(&step.with),
        written: step.with.source(),
        items: step.foreach.as_ref().and_then(|each| known(&each.items)),
        is_list: step.foreach.is_some(),
        prompt: plan.prompt_of(step).map(|text| &**text),
    }
}

impl Planned<'_> {
    fn document(&self) -> Value {
        json!({
            "path": self.path, "uses": self.uses, "input": self.input, "items": self.items,
            "prompt": self.prompt,
        })
    }

    fn text(&self) -> String {
        let mut text = format!("step {}: {}\n", self.path, self.uses);
        match &self.input {
            Some(Value::Null) => {}
            Some(input) => text.push_str(&format!("  input: {input}\n")),
            None => text.push_str(&format!(
                "  input, once the run knows it: {}\n",
                self.written
            )),
        }
        match (&self.items, self.is_list) {
            (Some(items), _) => text.push_str(&format!("  for each of: {items}\n")),
            (None, true) => text.push_str("  for each item of a list that the run will know\n"),
            (None, false) => {}
        }
        for line in self.prompt.into_iter().flat_map(str::lines) {
            text.push_str(&format!("  | {line}\n"));
        }
        text
    }
}
