//! What a plan refers to and the caller must bring: other plans and schema files.
//!
//! This crate opens no files; it lists the references with their places and takes the content. Checks
//! that need the content (inputs of a sub-plan, nesting of plans) happen here.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use crate::expr::Sure;
use crate::plan::{
    InputDecl, InputType, Plan, PluginDecl, SchemaSource, Step, VARIANT, Work, limits,
};
use crate::problem::{At, Problem, Problems, child as below};
use crate::schema_check::OutputSchema;

/// A reference to something outside the plan file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRef {
    /// As written in the plan, relative to the plan's folder.
    pub reference: String,
    /// Where it is written: the step that does.
    pub at: At,
}

/// A `uses: plan:…`.
pub type SubPlanRef = FileRef;
/// An `output: { schema: path }`.
pub type SchemaRef = FileRef;
/// A `prompt: path`.
pub type PromptRef = FileRef;

impl Plan {
    /// The plans this plan runs, once each, in the order of the file.
    #[must_use]
    pub fn sub_plans(&self) -> Vec<SubPlanRef> {
        self.references("/uses", |step| match &step.work {
            Work::Plan { reference } => Some(reference),
            _ => None,
        })
    }

    /// The schema files this plan names, once each, in the order of the file.
    #[must_use]
    pub fn schema_files(&self) -> Vec<SchemaRef> {
        self.references("/output/schema", |step| match &step.output_schema {
            Some(SchemaSource::File(path)) => Some(path),
            _ => None,
        })
    }

    /// The prompt files this plan names, once each, in the order of the file.
    #[must_use]
    pub fn prompt_files(&self) -> Vec<PromptRef> {
        self.references("/prompt", |step| {
            step.prompt.as_ref().map(|prompt| &prompt.file)
        })
    }

    /// Attaches the text of the prompt that `path` names.
    pub fn attach_prompt(&mut self, path: &str, text: &str) {
        self.prompts.insert(path.to_owned(), text.into());
    }

    /// The prompts that were attached, by file.
    pub fn prompts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.prompts
            .iter()
            .map(|(file, text)| (file.as_str(), &**text))
    }

    fn references<'a>(
        &'a self,
        part: &str,
        pick: impl Fn(&'a Step) -> Option<&'a String>,
    ) -> Vec<FileRef> {
        let handlers = self.handlers.values().map(AsRef::as_ref);
        let steps = self.steps().into_iter().chain(handlers);
        let mut found: Vec<(At, &String)> = steps
            .filter_map(|step| pick(step).map(|name| (step.place(part), name)))
            .collect();
        found.sort_unstable();
        let mut seen = BTreeSet::new();
        found.retain(|(_, name)| seen.insert(name.as_str()));
        let all = found.into_iter();
        all.map(|(at, reference)| FileRef {
            reference: reference.clone(),
            at,
        })
        .collect()
    }

    /// Attaches the plan that `reference` names (with its own sub-plans already attached), whatever is wrong with how
    /// it is called, so that the rest of it can be looked at; one that nests too deeply it leaves out.
    ///
    /// # Errors
    /// Inputs that the steps do not give or give in vain; nesting that is too deep.
    pub fn attach_plan(&mut self, reference: &str, child: Plan) -> Result<(), Vec<Problem>> {
        let mut problems = Problems::new(&self.file);
        if child.depth() >= limits::SUB_PLAN_DEPTH_MAX {
            let message = format!(
                "plans within plans nest deeper than {} at `{reference}`",
                limits::SUB_PLAN_DEPTH_MAX
            );
            problems.add(At::default(), message, "a plan that runs itself never ends");
            return Err(problems.into_sorted());
        }
        for step in child.steps() {
            if step.remember.is_some() {
                let message = format!(
                    "`{reference}` has `remember` in its step `{}`, and only stages of the outermost plan are \
                     remembered",
                    step.id
                );
                problems.add(At::default(), message, "put it on a step of that plan");
            }
        }
        for step in self.steps() {
            if matches!(&step.work, Work::Plan { reference: used } if used == reference) {
                check_inputs(step, reference, &child, &mut problems);
            }
        }
        self.children.insert(reference.to_owned(), Arc::new(child));
        let mut problems = problems.into_sorted();
        problems.retain(|problem| !self.faults.covers(problem.place()));
        if problems.is_empty() {
            return Ok(());
        }
        self.faults.add_misfit();
        Err(problems)
    }

    fn depth(&self) -> usize {
        1 + self
            .children
            .values()
            .map(|child| child.depth())
            .max()
            .unwrap_or(0)
    }

    /// Attaches the schema that `path` names.
    ///
    /// # Errors
    /// What is wrong with the schema: not one, too large, refers to another document.
    pub fn attach_schema(&mut self, path: &str, schema: &Value) -> Result<(), Vec<Problem>> {
        match OutputSchema::compile(schema.clone()) {
            Ok(schema) => {
                self.schemas.insert(path.to_owned(), schema);
                Ok(())
            }
            Err(message) => {
                let mut problems = Problems::new(path);
                problems.add(At::default(), message, "");
                Err(problems.into_sorted())
            }
        }
    }

    /// Every plugin of this plan and its sub-plans with its key: the name, and for a sub-plan's plugin
    /// `<reference>::<name>` (`a.yaml::b.yaml::name` when nested).
    #[must_use]
    pub fn all_plugins(&self) -> Vec<(String, &PluginDecl)> {
        let own = self
            .plugins
            .iter()
            .map(|(name, plugin)| (name.clone(), plugin));
        let mut all: Vec<_> = own.collect();
        for (reference, child) in &self.children {
            let of_child = child.all_plugins().into_iter();
            all.extend(of_child.map(|(key, plugin)| (format!("{reference}::{key}"), plugin)));
        }
        all
    }

    /// The attached sub-plan.
    #[must_use]
    pub fn sub_plan(&self, reference: &str) -> Option<&Arc<Plan>> {
        self.children.get(reference)
    }

    pub(crate) fn check_attached(&self) -> Result<(), Vec<Problem>> {
        let mut problems = Problems::new(&self.file);
        if !self.faults.is_empty() {
            let message = "something is wrong with the plan, and only a sound one runs";
            problems.add(At::default(), message, "");
        }
        for missing in self
            .sub_plans()
            .iter()
            .filter(|r| self.sub_plan(&r.reference).is_none())
        {
            let message = format!("the plan `{}` was not attached", missing.reference);
            problems.add(missing.at, message, "");
        }
        let schemas = self.schema_files();
        for missing in schemas
            .iter()
            .filter(|r| !self.schemas.contains_key(&r.reference))
        {
            let message = format!("the schema `{}` was not attached", missing.reference);
            problems.add(missing.at, message, "");
        }
        let prompts = self.prompt_files();
        for missing in prompts
            .iter()
            .filter(|r| !self.prompts.contains_key(&r.reference))
        {
            let message = format!("the prompt `{}` was not attached", missing.reference);
            problems.add(missing.at, message, "");
        }
        if !problems.is_empty() {
            return Err(problems.into_sorted());
        }
        self.children
            .values()
            .try_for_each(|child| child.check_attached())
    }
}

/// The step's `with` against the inputs of the plan it runs, as far as it is known before the run.
fn check_inputs(step: &Step, reference: &str, child: &Plan, problems: &mut Problems) {
    let given = step.with.source().as_object();
    let id = &step.id;
    let all_known = !child.faults.astray() && !child.faults.touch_section("inputs");
    for name in given.into_iter().flatten().map(|(name, _)| name) {
        if all_known && !child.inputs.contains_key(name) {
            let known = || child.inputs.keys().map(String::as_str).collect();
            let cure = problems.suggest("input", name, known);
            let message = format!("step `{id}`: the sub-plan has no input `{name}`");
            problems.add(step.place(&below("/with", name)), message, cure);
        }
    }
    let inputs = child.inputs.values();
    for input in inputs.filter(|input| !child.faults.touch("inputs", &input.name)) {
        let Some(given) = step.with.member(&input.name) else {
            if !has_default(input) && !varied(step, child, &input.name) {
                let name = &input.name;
                let message = format!("step `{id}`: the sub-plan's input `{name}` is not given");
                let cure = format!("add `{name}:` to its `with`");
                problems.add(step.place("/with"), message, cure);
            }
            continue;
        };
        if let Some((what, cure)) = input.misfit(&given) {
            let name = &input.name;
            let message = format!("step `{id}`: the input `{name}` of `{reference}` {what}");
            problems.add(step.place(&below("/with", name)), message, cure);
        }
    }
}

fn has_default(input: &InputDecl) -> bool {
    let needs_reading = input.ty == InputType::File;
    input.default.is_some() || (input.path.is_some() && !needs_reading)
}

/// Whether the variant that the step chooses gives the input its value, or may.
fn varied(step: &Step, child: &Plan, input: &str) -> bool {
    match step.with.member(VARIANT) {
        Some(Sure::Value(Value::String(name))) => {
            let values = child.variants.get(name);
            values.is_some_and(|values| values.contains_key(input))
        }
        Some(_) => child.varies(input),
        None => false,
    }
}
