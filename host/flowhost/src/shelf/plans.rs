//! A plan as a tool: its inputs are the arguments.

use std::path::Path;

use flowhost_flow::Plan;
use flowhost_flow::plan::{InputDecl, InputType};
use flowhost_policy::{
    Effects, ToolAnnotations, ToolDescriptor, description_fault, descriptor_faults,
};
use flowhost_serve::{Hints, Kind, Offer, PromptText, plan_schema};
use serde_json::{Map, Value, json};

use super::{Filling, Maker, pin, request};
use crate::finding::Finding;
use crate::project::Project;

impl Filling<'_> {
    pub(super) fn plans(&mut self) {
        for path in &self.wanted.plans {
            let path = path.clone();
            self.plan(&path);
        }
    }

    fn plan(&mut self, path: &Path) {
        // The plan's text is read once more below; which of the operator's inputs are its own is in it.
        let bare = request(self.wanted, path.to_owned(), None, Vec::new());
        // `read` has told why.
        let Some(project) = self.read(&bare) else {
            return;
        };
        let mut inputs = Vec::new();
        for (at, (name, value)) in self.wanted.inputs.iter().enumerate() {
            if let Some(decl) = project.plan.inputs.get(name) {
                match decl.ty.is_path() {
                    true => self.paths.insert(name.clone()),
                    false => self.plain.insert(name.clone()),
                };
                inputs.push((name.clone(), value.clone()));
                if let Some(used) = self.used.get_mut(at) {
                    *used = true;
                }
            }
        }
        let fixed: Vec<String> = inputs.iter().map(|(name, _)| name.clone()).collect();
        let request = request(self.wanted, path.to_owned(), None, inputs);
        // `load` has told why.
        let Some(project) = self.load(&request) else {
            return;
        };
        let plan = &project.plan;
        let input = schema(plan, &fixed);
        let unfit = unfit(&project, &input, &fixed);
        if !unfit.is_empty() {
            self.findings.extend(unfit);
            return;
        }
        let offer = Offer {
            name: plan.name.clone(),
            title: String::new(),
            description: description(plan),
            input,
            output: Some(plan_schema()),
            hints: Hints::default(),
            kind: Kind::Plan,
            step: String::new(),
        };
        for (file, text) in plan.prompts() {
            let name = Path::new(file)
                // Without its ending, which says how the prompt is stored and nothing of what it is.
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy();
            self.prompts.push(PromptText {
                name: format!("{}/{name}", plan.name),
                description: format!("The prompt `{file}` of the plan `{}`", plan.name),
                text: text.to_owned(),
            });
        }
        let maker = Maker {
            request,
            pin: pin(&project),
        };
        self.offers.push((offer, Some(maker)));
    }
}

fn description(plan: &Plan) -> String {
    match plan.description.as_str() {
        "" => format!("Runs the plan `{}`", plan.name),
        said => said.to_owned(),
    }
}

/// What of a plan no client should be shown: what models read is held to the rules of components' descriptors, by which
/// our own client would refuse this server.
fn unfit(project: &Project, input: &Value, fixed: &[String]) -> Vec<Finding> {
    let (plan, file) = (&project.plan, project.file.as_str());
    let open = plan
        .inputs
        .values()
        .filter(|input| !fixed.contains(&input.name));
    let of_inputs = open.map(|input| {
        let whose = format!("`description` of `inputs.{}`", input.name);
        (whose, &input.description, input.at)
    });
    let own = (
        "`description`".to_owned(),
        &plan.description,
        plan.description_at,
    );
    let unseen = std::iter::once(own)
        .chain(of_inputs)
        .filter_map(|(whose, text, at)| {
            let (what, cure) = description_fault(text)?;
            let message = format!("{whose} {what}, and models are to read it");
            Some(
                Finding::new(file, message)
                    .at(at.line, at.column)
                    .cure(cure),
            )
        });
    let mut findings: Vec<Finding> = unseen.collect();
    if findings.is_empty() {
        // Words of `enum` and defaults, and the size of all of it together.
        let tool = ToolDescriptor {
            name: plan.name.clone(),
            title: String::new(),
            description: description(plan),
            input: input.clone(),
            output: None,
            effects: Effects::default(),
            annotations: ToolAnnotations::default(),
        };
        let cure = "clients refuse such a tool: change the plan's inputs";
        let faults = descriptor_faults(&[tool]).into_iter();
        findings.extend(faults.map(|fault| Finding::new(file, fault).cure(cure)));
    }
    findings
}

/// The arguments of a plan: its inputs without those that the operator gave.
fn schema(plan: &Plan, fixed: &[String]) -> Value {
    let open = plan
        .inputs
        .values()
        .filter(|input| !fixed.contains(&input.name));
    let mut properties = Map::new();
    let mut required = Vec::new();
    for input in open {
        properties.insert(input.name.clone(), property(input));
        // What has a default, or a file that the plan names, goes without.
        if input.default.is_none() && input.path.is_none() {
            required.push(Value::from(input.name.as_str()));
        }
    }
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        // A model that invents an argument is told by its client, before anything is started.
        "additionalProperties": false,
    })
}

fn property(input: &InputDecl) -> Value {
    let (kind, what) = match input.ty {
        InputType::String => ("string", ""),
        InputType::Number => ("number", ""),
        InputType::Bool => ("boolean", ""),
        InputType::List => ("array", ""),
        InputType::Object => ("object", ""),
        InputType::File => ("string", "The text of the file itself, not its path"),
        InputType::Dir => (
            "string",
            "A folder, by its path below the plan's own folder",
        ),
    };
    let said = [input.description.as_str(), what];
    let said: Vec<&str> = said.into_iter().filter(|text| !text.is_empty()).collect();
    let mut property = Map::from_iter([("type".to_owned(), Value::from(kind))]);
    if !said.is_empty() {
        property.insert("description".to_owned(), Value::from(said.join(". ")));
    }
    if let Some(default) = &input.default {
        property.insert("default".to_owned(), default.clone());
    }
    if !input.allowed.is_empty() {
        property.insert("enum".to_owned(), Value::from(input.allowed.clone()));
    }
    Value::Object(property)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operators_inputs_are_no_arguments() {
        let text = "flowhost: v1\nkind: workflow\nname: p\ninputs:\n  folder: { type: dir }\n  text: { type: string }\n  \
            strict: { type: bool, default: false, description: Ends with an error }\n\
            plugins: { say: { kind: tool, source: 'builtin:say', profile: tool-pure } }\n\
            steps: { a: { uses: say, with: { x: \"${{ inputs.text }}\" } } }\n";
        let plan = Plan::parse(text, "p.yaml").unwrap();
        let schema = schema(&plan, &["folder".to_owned()]);
        assert_eq!(
            schema,
            json!({
                "type": "object",
                "properties": {
                    "strict": { "type": "boolean", "default": false, "description": "Ends with an error" },
                    "text": { "type": "string" },
                },
                "required": ["text"],
                "additionalProperties": false,
            })
        );
    }
}
