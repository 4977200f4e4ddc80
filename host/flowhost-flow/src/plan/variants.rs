//! Variants: named sets of values for a plan's inputs, so that one plan can be run in several ways that are
//! told apart afterwards.
//!
//! Which variant a run is, is an input like any other (`variant`), declared by the parser. So it stands in
//! the record of every run, and a run that goes on, is forked or replayed needs nothing besides. The plan's hash is
//! the same for all of them: what differs is what a run was given.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::expr::Template;
use crate::plan::parse::members;
use crate::plan::tree::Node;
use crate::plan::{InputDecl, InputType, Plan};
use crate::problem::{At, Problems};

/// The input that chooses, and the label that tells.
pub const VARIANT: &str = "variant";
/// The label that says which runs belong together.
pub const EXPERIMENT: &str = "experiment";
/// The choice of none: the plan with the inputs' own defaults.
pub const NO_VARIANT: &str = "none";

/// Values by the names of inputs, by the names of variants.
pub type Variants = BTreeMap<String, BTreeMap<String, Value>>;

/// Variants of one plan: a command that compares them runs each, several times.
const VARIANTS_MAX: usize = 32;

/// Reads `variants:` and declares the input and the labels that belong to it.
pub(super) fn read(
    root: &Node,
    plan_name: &str,
    inputs: &mut BTreeMap<String, InputDecl>,
    labels: &mut BTreeMap<String, Template>,
    problems: &mut Problems,
) -> Variants {
    let Some(node) = root.get("variants") else {
        return Variants::new();
    };
    let variants: Variants = members(root, "variants")
        .map(|(name, values)| {
            let of = values.members().iter();
            let of = of.map(|(key, value)| (key.text.clone(), value.json()));
            (name.to_owned(), of.collect())
        })
        .collect();
    if variants.is_empty() || variants.len() > VARIANTS_MAX {
        let message = format!(
            "variants: a plan has 1 to {VARIANTS_MAX} of them, this one has {}",
            variants.len()
        );
        problems.add(node.at, message, "leave the key out where nothing varies");
    }
    if let Some(own) = inputs.get(VARIANT) {
        let message = "`variants` declares the input `variant` itself: it chooses one of them";
        problems.add(own.at, message, "leave it out, or call it something else");
    }
    for (name, values) in members(root, "variants") {
        check(name, values, inputs, problems);
    }
    inputs.insert(VARIANT.to_owned(), choice(&variants, node.at));
    let label = |value: &str| Template::compile(Value::from(value)).unwrap_or_else(fixed);
    let of_input = format!("${{{{ inputs.{VARIANT} }}}}");
    labels
        .entry(VARIANT.to_owned())
        .or_insert_with(|| label(&of_input));
    labels
        .entry(EXPERIMENT.to_owned())
        .or_insert_with(|| Template::fixed(Value::from(plan_name)));
    variants
}

fn fixed(_: Vec<(String, String)>) -> Template {
    debug_assert!(false, "the expression is written in this file and compiles");
    Template::fixed(Value::Null)
}

/// The input that chooses among them.
fn choice(variants: &Variants, at: At) -> InputDecl {
    let names = variants.keys().map(String::as_str);
    InputDecl {
        name: VARIANT.to_owned(),
        ty: InputType::String,
        default: Some(Value::from(NO_VARIANT)),
        allowed: [NO_VARIANT]
            .into_iter()
            .chain(names)
            .map(Value::from)
            .collect(),
        path: None,
        sha256: None,
        description: "Which of the plan's variants this run is.".to_owned(),
        at,
    }
}

fn check(name: &str, values: &Node, inputs: &BTreeMap<String, InputDecl>, problems: &mut Problems) {
    if name == NO_VARIANT {
        let message = "variants: `none` is the plan without a variant";
        problems.add(values.at, message, "choose another name");
    }
    for (key, value) in values.members() {
        let Some(input) = inputs.get(&key.text).filter(|it| it.name != VARIANT) else {
            let known = || {
                let names = inputs.keys().map(String::as_str);
                names.filter(|name| *name != VARIANT).collect()
            };
            let cure = problems.suggest("input", &key.text, known);
            let message = format!("variant `{name}`: the plan has no input `{}`", key.text);
            problems.add(key.at, message, cure);
            continue;
        };
        if let Some(message) = input.problem_with(&value.json()) {
            problems.add(value.at, format!("variant `{name}`: {message}"), "");
        }
    }
}

impl Plan {
    /// The values that the chosen variant gives to inputs that nobody else gives.
    pub(super) fn varied(
        &self,
        given: &BTreeMap<String, Value>,
    ) -> Option<&BTreeMap<String, Value>> {
        self.variants.get(given.get(VARIANT)?.as_str()?)
    }

    /// Whether some variant gives this input a value.
    #[must_use]
    pub fn varies(&self, input: &str) -> bool {
        let mut all = self.variants.values();
        all.any(|values| values.contains_key(input))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PLAN: &str = "flowhost: v1\nkind: workflow\nname: p\ninputs:\n  \
        n: { type: number, default: 1, enum: [1, 2, 3] }\n  who: { type: string, default: a }\n  \
        text: { type: file, path: a.md }\n\
        variants:\n  two: { n: 2, text: b.md }\n  three: { n: 3, who: c }\n\
        plugins: { say: { kind: tool, source: 'builtin:say', profile: tool-pure } }\n\
        steps: { a: { uses: say } }\n";

    fn given(values: &[(&str, Value)]) -> BTreeMap<String, Value> {
        let values = values.iter().cloned();
        values
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    #[test]
    fn a_variant_gives_what_nobody_else_gives() {
        let plan = Plan::parse(PLAN, "p.yaml").unwrap();
        let read = ("text", json!("read"));
        let bound = |values: &[(&str, Value)]| plan.bind_inputs(&given(values)).unwrap();
        assert_eq!(bound(std::slice::from_ref(&read))["variant"], "none");
        assert_eq!(bound(std::slice::from_ref(&read))["n"], 1);
        let three = bound(&[read.clone(), ("variant", json!("three"))]);
        assert_eq!((&three["n"], &three["who"]), (&json!(3), &json!("c")));
        let own = bound(&[read, ("variant", json!("three")), ("n", json!(2))]);
        assert_eq!(own["n"], 2);
        let two = given(&[("variant", json!("two"))]);
        assert_eq!(plan.file_inputs(&two)[0].path, "b.md");
        assert_eq!(plan.file_inputs(&given(&[]))[0].path, "a.md");
        assert!(plan.varies("text") && !plan.varies("variant"));
    }

    #[test]
    fn the_label_says_which_variant_a_run_is() {
        let plan = Plan::parse(PLAN, "p.yaml").unwrap();
        let values = given(&[("text", json!("")), ("variant", json!("two"))]);
        let labels = plan.render_labels(&plan.bind_inputs(&values).unwrap());
        let labels = labels.unwrap();
        assert_eq!(
            (labels["variant"].as_str(), labels["experiment"].as_str()),
            ("two", "p")
        );
    }

    #[test]
    fn an_unknown_variant_is_refused_with_those_that_there_are() {
        let plan = Plan::parse(PLAN, "p.yaml").unwrap();
        let values = given(&[("text", json!("")), ("variant", json!("four"))]);
        let problems = plan.bind_inputs(&values).unwrap_err();
        assert!(
            problems[0].message.contains("\"three\", \"two\""),
            "{problems:?}"
        );
    }

    #[test]
    fn what_is_wrong_with_variants_is_told_at_once() {
        let wrong = PLAN
            .replace("two: { n: 2, text: b.md }", "none: { m: 2, text: 3 }")
            .replace("n: 3, who: c", "n: 4, variant: two")
            .replace("  who:", "  variant: { type: string }\n  who:");
        let problems = Plan::parse(&wrong, "p.yaml").unwrap_err();
        let told: Vec<&str> = problems.iter().map(|it| it.message.as_str()).collect();
        for part in [
            "declares the input `variant` itself",
            "`none` is the plan without a variant",
            "variant `none`: the plan has no input `m`",
            "variant `none`: input `text` is a file",
            "variant `three`: input `n` must be one of 1, 2, 3",
            "variant `three`: the plan has no input `variant`",
        ] {
            assert!(told.iter().any(|it| it.contains(part)), "{part}: {told:#?}");
        }
    }

    #[test]
    fn a_plan_without_variants_has_no_such_input() {
        let at = PLAN.find("variants:").unwrap();
        let end = PLAN.find("plugins:").unwrap();
        let plain = format!("{}{}", &PLAN[..at], &PLAN[end..]);
        let plan = Plan::parse(&plain, "p.yaml").unwrap();
        assert!(!plan.inputs.contains_key(VARIANT) && plan.labels.is_empty());
    }
}
