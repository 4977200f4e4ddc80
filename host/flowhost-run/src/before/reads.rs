//! What a plan reads of outputs, held against what plugins and sub-plans say they give: a misspelt member is else told
//! by the step that reads it, after everything before it was done and paid.
//!
//! Says only what is sure. A schema that leaves room for other members is taken at its word, unless the one that is asked
//! for is a slip of the finger away from one that it names.

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

fn of_plan(project: &Project, plan: &Plan, prefix: &str, found: &mut Vec<Finding>) {
    for read in plan.reads() {
        let Some(step) = plan.step(&read.step) else {
            continue;
        };
        let Some((who, missing)) = missing(project, plan, prefix, step, read) else {
            continue;
        };
        let Missing { name, known, near } = missing;
        let message = format!("step `{}`: {who} gives no `{name}`", read.step);
        let cure = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => String::new(),
            None => format!("it gives `{}`", known.join("`, `")),
        };
        let finding = Finding::new(&plan.file, message).at(read.at.line, read.at.column);
        let finding = finding.cure(cure);
        if !found.contains(&finding) {
            found.push(finding);
        }
    }
    for wanted in plan.sub_plans() {
        if let Some(child) = plan.sub_plan(&wanted.reference) {
            let prefix = format!("{prefix}{}::", wanted.reference);
            of_plan(project, child, &prefix, found);
        }
    }
}

/// Who does not give it, and what is missing.
fn missing<'p>(
    project: &'p Project,
    plan: &'p Plan,
    prefix: &str,
    step: &'p Step,
    read: &Read,
) -> Option<(String, Missing<'p>)> {
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
            Some((format!("the plan `{reference}`"), Missing::of(name, known)))
        }
        Work::Call { .. } => {
            let (plugin, tool) = project.tool_of(prefix, step)?;
            let lacks = lacks(tool.output.as_ref()?, &read.path)?;
            Some((format!("`{plugin}/{}`", tool.name), lacks))
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

/// The first of the members, each of the one before, that a value of this schema does not have. None where the schema
/// says too little, or too much, to be sure.
fn lacks<'s>(schema: &'s Value, path: &[String]) -> Option<Missing<'s>> {
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
        let closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
        let missing = Missing::of(name, properties.keys().map(String::as_str).collect());
        return (closed || missing.near.is_some()).then_some(missing);
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
        lacks(schema, &path).map(|it| (it.name, it.near.map(str::to_owned)))
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
