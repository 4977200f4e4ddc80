//! What a plan reads of outputs, held against what the plan says they are and what plugins and sub-plans say they give: a
//! misspelt member is else told by the step that reads it, after everything before it was done and paid.
//!
//! Says only what is sure. A schema that leaves room for other members is taken at its word, unless the one that is asked
//! for is a slip of the finger away from one that a tool promises.

use std::collections::{BTreeMap, BTreeSet};

use flowhost_flow::Plan;
use flowhost_flow::plan::{Read, Step, Work};
use flowhost_words::nearest;
use serde_json::Value;

use crate::base::finding::Finding;
use crate::given::project::Project;

/// Every member that is read and that nobody gives.
pub(crate) fn findings(project: &Project) -> Vec<Finding> {
    let mut found = Vec::new();
    of_plan(project, &project.plan, "", &mut found);
    found
}

/// Findings of one plan; nobody reads more of a kind, and each is looked for among all that there is.
const FINDINGS_MAX: usize = 200;

fn of_plan(project: &Project, plan: &Plan, prefix: &str, found: &mut Vec<Finding>) {
    let steps = plan.steps().into_iter();
    let steps: BTreeMap<&str, &Step> = steps.map(|step| (step.id.as_str(), step)).collect();
    let mut told = BTreeSet::new();
    for read in plan.reads() {
        let Some(step) = steps.get(read.step.as_str()) else {
            continue; // that there is none has been told
        };
        let Some((who, missing)) = missing(project, plan, prefix, step, read) else {
            continue; // it is there, or may be
        };
        if told.len() == FINDINGS_MAX {
            let message = "more is read of outputs that nobody gives, and is not listed";
            found.push(Finding::new(&plan.file, message));
            break;
        }
        let Missing { name, known, near } = missing;
        let message = format!("step `{}`: {who} no `{name}`", read.step);
        let cure = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => String::new(),
            None => format!("it gives `{}`", known.join("`, `")),
        };
        if told.insert((read.at, message.clone())) {
            let finding = Finding::new(&plan.file, message).at(read.at.line, read.at.column);
            found.push(finding.cure(cure));
        }
    }
    for wanted in plan.sub_plans() {
        if let Some(child) = plan.sub_plan(&wanted.reference) {
            let prefix = format!("{prefix}{}::", wanted.reference);
            of_plan(project, child, &prefix, found);
        }
    }
}

/// Who does not give it, in words that end before what, and what is missing.
fn missing<'p>(
    project: &'p Project,
    plan: &'p Plan,
    prefix: &str,
    step: &'p Step,
    read: &Read,
) -> Option<(String, Missing<'p>)> {
    // It is held against the output as guardrails left it. Whoever wrote it may know more than they wrote.
    let stated = plan.stated_output(step);
    if let Some(lacks) = stated.and_then(|schema| lacks(schema, &read.path, Slips::Pass)) {
        return Some((
            "the schema of its `output` leaves room for".to_owned(),
            lacks,
        ));
    }
    // A guardrail may hand on another value than the plugin's.
    if !step.after.is_empty() {
        return None;
    }
    match &step.work {
        Work::Plan { reference } => {
            let name = read.path.first()?;
            let known: Vec<&str> = plan
                .sub_plan(reference)?
                .outputs
                .keys()
                .map(String::as_str)
                .collect();
            if known.contains(&name.as_str()) {
                return None;
            }
            let who = format!("the plan `{reference}` gives");
            Some((who, Missing::of(name, known)))
        }
        Work::Call { .. } => {
            let (plugin, tool) = project.tool_of(prefix, step)?;
            let lacks = lacks(tool.output.as_ref()?, &read.path, Slips::Count)?;
            Some((format!("`{plugin}/{}` gives", tool.name), lacks))
        }
        _ => None,
    }
}

/// A member that is not there.
struct Missing<'s> {
    name: String,
    known: Vec<&'s str>,
    near: Option<&'s str>,
}

impl<'s> Missing<'s> {
    fn of(name: &str, known: Vec<&'s str>) -> Self {
        Self {
            name: name.to_owned(),
            near: nearest(name, known.iter().copied()),
            known,
        }
    }
}

/// Whether a member is missing that is a slip of the finger away from one that a schema names, where it says nothing of
/// others.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Slips {
    Count,
    Pass,
}

/// The first of the members, each of the one before, that a value of this schema does not have. None where the schema
/// says too little, or too much, to be sure.
fn lacks<'s>(schema: &'s Value, path: &[String], slips: Slips) -> Option<Missing<'s>> {
    let mut schema = schema;
    for name in path {
        let members = schema.as_object()?;
        if members.keys().any(|key| UNSURE.contains(&key.as_str())) {
            return None;
        }
        if schema.get("type").is_some_and(|kind| kind != "object") {
            return None;
        }
        let properties = schema.get("properties")?.as_object()?;
        if let Some(below) = properties.get(name) {
            schema = below;
            continue;
        }
        let others = schema.get("additionalProperties");
        let missing = Missing::of(name, properties.keys().map(String::as_str).collect());
        let is_missing = match others {
            Some(Value::Bool(false)) => true,
            Some(_) => false,
            None => slips == Slips::Count && missing.near.is_some(),
        };
        return is_missing.then_some(missing);
    }
    None
}

/// Keywords by which a schema says of members what is not said in one place.
const UNSURE: [&str; 12] = [
    "$ref",
    "$dynamicRef",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "patternProperties",
    "dependentSchemas",
    "unevaluatedProperties",
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lack(schema: &Value, path: &[&str]) -> Option<(String, Option<String>)> {
        let path: Vec<String> = path.iter().map(ToString::to_string).collect();
        lacks(schema, &path, Slips::Count).map(|it| (it.name, it.near.map(str::to_owned)))
    }

    #[test]
    fn of_a_schema_that_is_open_on_purpose_nothing_is_missing() {
        let schema = |others: Value| json!({ "properties": { "files": {} }, "additionalProperties": others });
        for open in [json!(true), json!({}), json!({ "type": "string" })] {
            assert_eq!(lack(&schema(open), &["fils"]), None);
        }
        assert!(lack(&schema(json!(false)), &["fils"]).is_some());
        let unsaid = json!({ "properties": { "files": {} } });
        let path = ["fils".to_owned()];
        assert!(lacks(&unsaid, &path, Slips::Pass).is_none());
        assert!(lacks(&schema(json!(false)), &path, Slips::Pass).is_some());
    }

    #[test]
    fn a_member_is_missing_where_the_schema_is_closed_or_names_a_near_one() {
        let open = json!({ "type": "object", "properties": {
            "files": { "type": "array" },
            "first": { "type": "object", "additionalProperties": false, "properties": { "path": {} } },
        } });
        assert_eq!(lack(&open, &["files"]), None);
        assert_eq!(lack(&open, &["first", "path"]), None);
        assert_eq!(
            lack(&open, &["fils"]),
            Some(("fils".to_owned(), Some("files".to_owned())))
        );
        assert_eq!(lack(&open, &["entirely-other"]), None, "it may be there");
        assert_eq!(
            lack(&open, &["first", "size"]),
            Some(("size".to_owned(), None))
        );
        assert_eq!(lack(&open, &["files", "length"]), None, "not an object");
    }

    #[test]
    fn a_schema_that_says_it_in_several_places_is_left_to_the_run() {
        let properties = json!({ "files": {} });
        for more in ["anyOf", "$ref", "patternProperties", "if"] {
            let schema =
                json!({ "properties": properties, more: {}, "additionalProperties": false });
            assert_eq!(lack(&schema, &["fils"]), None, "{more}");
        }
        assert_eq!(lack(&json!(true), &["fils"]), None);
        assert_eq!(
            lack(
                &json!({ "type": ["object", "null"], "properties": properties }),
                &["fils"]
            ),
            None
        );
    }
}
