//! `flowhost run PLAN --dry-run`: what would run, with which inputs, prompts and rights. Nothing runs, and
//! nothing is written.

use flowhost::failure::Failure;
use flowhost::project::Project;
use flowhost_flow::plan::{Step, Work};
use flowhost_flow::{Exit, Plan};
use flowhost_run::{ShownPrompt, StepToAsk};
use serde_json::{Map, Value, json};

use crate::commands::{Context, rights};

/// Items of a step whose inputs and prompts are shown: they are made in the same way, and nobody reads a thousand.
const ITEMS_SHOWN: usize = 20;

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
    written: &'a Value,
    /// Whether guardrails see its input first, and may change it.
    is_guarded: bool,
    is_list: bool,
    /// The items of a `foreach` where the run's inputs alone decide them; none where other steps do.
    items: Option<Value>,
    /// What it does once; none for a step with known items, which is done for each of them.
    once: Option<Asked>,
    /// The first of its items.
    each: Vec<Asked>,
}

/// What a step, or one of its items, is given and asks.
struct Asked {
    path: String,
    /// Its input where the run's inputs alone decide it; none where it takes what other steps hand on.
    input: Option<Value>,
    prompts: Vec<ShownPrompt>,
}

/// Where the steps of a plan stand in the run.
struct Place<'a> {
    /// What their paths begin with; it says nothing of items.
    above: String,
    /// What the keys of the plan's plugins begin with.
    prefix: String,
    /// Whether the plan is run for each of some items.
    of_items: bool,
    /// The plan's inputs; none where only the run will know.
    inputs: Option<&'a Map<String, Value>>,
}

fn planned(project: &Project) -> Vec<Planned<'_>> {
    let mut all = Vec::new();
    let place = Place {
        above: String::new(),
        prefix: String::new(),
        of_items: false,
        inputs: Some(&project.inputs),
    };
    collect(project, &project.plan, &place, &mut all);
    all
}

fn collect<'a>(
    project: &'a Project,
    plan: &'a Plan,
    place: &Place<'_>,
    all: &mut Vec<Planned<'a>>,
) {
    for step in plan.steps() {
        all.push(of(project, plan, step, place));
        if let Work::Plan { reference } = &step.work
            && let Some(child) = plan.sub_plan(reference)
        {
            // A sub-plan's inputs are what its step hands to it.
            let known = place
                .inputs
                .and_then(|inputs| plan.known(&step.with, inputs));
            let below = Place {
                above: format!("{}{}/", place.above, step.id),
                prefix: format!("{}{reference}::", place.prefix),
                of_items: place.of_items || step.foreach.is_some(),
                inputs: known.as_ref().and_then(Value::as_object),
            };
            collect(project, child, &below, all);
        }
    }
}

fn of<'a>(project: &'a Project, plan: &'a Plan, step: &'a Step, place: &Place<'_>) -> Planned<'a> {
    let known = |template| place.inputs.and_then(|inputs| plan.known(template, inputs));
    let path = format!("{}{}", place.above, step.id);
    let asked = |path: String, input: Option<Value>, is_whole: bool| {
        let to_ask = StepToAsk {
            project,
            plan,
            prefix: &place.prefix,
            step,
            path: (is_whole && !place.of_items).then_some(path.as_str()),
            input: input.as_ref(),
        };
        let prompts = to_ask.shown();
        Asked {
            path,
            input,
            prompts,
        }
    };
    let items = step.foreach.as_ref().and_then(|each| known(&each.items));
    let list = items.as_ref().and_then(Value::as_array);
    let each = list.into_iter().flatten().enumerate().take(ITEMS_SHOWN);
    let each = each.map(|(index, item)| {
        let inputs = place.inputs;
        let input = inputs.and_then(|inputs| plan.known_of_item(step, inputs, (index, item)));
        asked(format!("{path}[{index}]"), input, true)
    });
    let each: Vec<Asked> = each.collect();
    let once = list
        .is_none()
        .then(|| asked(path.clone(), known(&step.with), step.foreach.is_none()));
    Planned {
        path,
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
        written: step.with.source(),
        is_guarded: !step.before.is_empty(),
        is_list: step.foreach.is_some(),
        items,
        once,
        each,
    }
}

impl Planned<'_> {
    fn document(&self) -> Value {
        let once = self.once.as_ref();
        let prompts = once.map(|it| &it.prompts);
        let prompt = prompts.and_then(|them| them.first()).map(|it| &it.text);
        json!({
            "path": self.path, "uses": self.uses, "input": once.map(|it| &it.input), "items": self.items,
            "prompt": prompt, "prompts": prompts.map(|them| documents(them)),
            "each": self.each.iter().map(Asked::document).collect::<Vec<_>>(),
        })
    }

    fn text(&self) -> String {
        let mut text = format!("step {}: {}\n", self.path, self.uses);
        match (&self.items, self.is_list) {
            (Some(Value::Array(items)), _) if items.len() > ITEMS_SHOWN => {
                let (count, shown) = (items.len(), ITEMS_SHOWN);
                text.push_str(&format!(
                    "  for each of {count} items, of which these are the first {shown}\n"
                ));
            }
            (Some(items), _) => text.push_str(&format!("  for each of: {items}\n")),
            (None, true) => text.push_str("  for each item of a list that the run will know\n"),
            (None, false) => {}
        }
        if let Some(once) = &self.once {
            text.push_str(&self.asked(once, ""));
        }
        for item in &self.each {
            text.push_str(&self.asked(item, &format!("{}: ", item.path)));
        }
        let all = self.items.as_ref().and_then(Value::as_array);
        let more = all.map_or(0, |items| items.len() - self.each.len());
        if more > 0 {
            text.push_str(&format!("  and {more} more items\n"));
        }
        text
    }

    /// `whose` is the item.
    fn asked(&self, asked: &Asked, whose: &str) -> String {
        let mut text = match &asked.input {
            Some(Value::Null) if whose.is_empty() => String::new(),
            Some(input) => format!("  {whose}input: {input}\n"),
            None => format!("  {whose}input, once the run knows it: {}\n", self.written),
        };
        let several = asked.prompts.len() > 1;
        for prompt in &asked.prompts {
            let why = prompt.as_written.as_ref();
            let guarded = "before its guardrails may change the input";
            let note = match why {
                Some(why) => Some(format!("as the plan has it: {why}")),
                None => self.is_guarded.then(|| guarded.to_owned()),
            };
            let who = several.then(|| prompt.agents.join(", "));
            let parts: Vec<String> = who.into_iter().chain(note).collect();
            if !parts.is_empty() {
                text.push_str(&format!("  prompt ({})\n", parts.join("; ")));
            }
            for line in prompt.text.lines() {
                text.push_str(&format!("  | {line}\n"));
            }
        }
        text
    }
}

impl Asked {
    fn document(&self) -> Value {
        json!({ "path": self.path, "input": self.input, "prompts": documents(&self.prompts) })
    }
}

fn documents(prompts: &[ShownPrompt]) -> Vec<Value> {
    let document = |it: &ShownPrompt| json!({ "agents": it.agents, "text": it.text, "as_written": it.as_written });
    prompts.iter().map(document).collect()
}
