//! Labels: what tells the runs of a plan apart in lists, reports and metrics. They stand in the index of runs, which
//! nobody can erase, and share a line of the ledger with much else. So they are few and short, and one that is neither
//! is told as a fault of the plan before anything begins, and not as one of the ledger.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::expr::Names;
use crate::plan::Plan;
use crate::plan::tree::Node;
use crate::problem::{At, Problem, Problems};

/// Labels of one plan, those of its variants included.
const LABELS_MAX: usize = 64;
/// Characters of a label's value: more than a name, an address or a hash has.
const LABEL_CHARS_MAX: usize = 256;
/// Bytes of all labels of a run as JSON: a quarter of a ledger's line, which redaction may make longer.
const LABELS_BYTES_MAX: usize = 16 << 10;

/// What helps against a label that is too long.
const SHORTER: &str = "a label tells runs apart, and cannot be erased: name the thing, and leave its text to the inputs";

/// What can be said of the labels before the inputs have values.
pub(super) fn check(plan: &Plan, root: &Node, problems: &mut Problems) {
    let Some(node) = root.get("labels") else {
        return; // those that variants add are two, and bounded like names
    };
    let count = plan.labels.len();
    if count > LABELS_MAX {
        let message = format!("labels: a run has at most {LABELS_MAX}, and this plan has {count}");
        problems.add(
            node.at,
            message,
            "leave out those that no list is asked for",
        );
    }
    for (name, template) in &plan.labels {
        let Some(value) = template.constant() else {
            continue; // what it is, the inputs decide
        };
        let at = node.get(name).map_or(node.at, |value| value.at);
        if let Some(message) = too_long(name, &text_of(value.clone())) {
            problems.add(at, message, SHORTER);
        }
    }
}

/// The labels on these inputs.
pub(super) fn render(
    plan: &Plan,
    inputs: &Map<String, Value>,
) -> Result<BTreeMap<String, String>, Vec<Problem>> {
    let inputs = Value::Object(inputs.clone());
    let names = [("inputs", &inputs)];
    let mut problems = Problems::new(&plan.file);
    let mut labels = BTreeMap::new();
    for (name, template) in &plan.labels {
        match template.render(&Names::new(&names)) {
            Ok(value) => {
                let text = text_of(value);
                // That of a constant was told with the plan.
                let told = template.constant().is_some();
                if let Some(message) = too_long(name, &text).filter(|_| !told) {
                    problems.add(At::default(), message, SHORTER);
                }
                labels.insert(name.clone(), text);
            }
            Err(error) => {
                problems.add(At::default(), format!("label `{name}`: {error}"), "");
            }
        }
    }
    let bytes = json!(labels).to_string().len();
    if problems.is_empty() && bytes > LABELS_BYTES_MAX {
        let message = format!(
            "labels: all of a run have at most {LABELS_BYTES_MAX} bytes together, and these have {bytes}"
        );
        problems.add(At::default(), message, SHORTER);
    }
    match problems.is_empty() {
        true => Ok(labels),
        false => Err(problems.into_sorted()),
    }
}

fn text_of(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

fn too_long(name: &str, text: &str) -> Option<String> {
    let count = text.chars().count();
    (count > LABEL_CHARS_MAX).then(|| {
        format!(
            "label `{name}`: its value has {count} characters, and a label has at most {LABEL_CHARS_MAX}"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(labels: &str) -> Result<Plan, Vec<Problem>> {
        let text = format!(
            "flowhost: v1\nkind: workflow\nname: p\nlabels: {labels}\ninputs: {{ doc: {{ type: string }} }}\n\
             plugins: {{ t: {{ kind: tool, source: ./t.wasm, profile: p }} }}\nsteps: {{ a: {{ uses: t }} }}\n"
        );
        Plan::parse(&text, "p.yaml")
    }

    fn rendered(labels: &str, doc: &str) -> Result<BTreeMap<String, String>, Vec<Problem>> {
        let inputs = json!({ "doc": doc });
        parsed(labels)
            .unwrap()
            .render_labels(inputs.as_object().unwrap())
    }

    #[test]
    fn a_value_that_an_input_makes_too_long_is_refused_and_the_longest_that_fits_is_not() {
        let about = "{ about: '${{ inputs.doc }}' }";
        let longest = "ä".repeat(LABEL_CHARS_MAX);
        assert_eq!(rendered(about, &longest).unwrap()["about"], longest);
        let problems = rendered(about, &"x".repeat(70_000)).unwrap_err();
        let message = "label `about`: its value has 70000 characters, and a label has at most 256";
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].message, message);
    }

    #[test]
    fn what_the_plan_itself_makes_too_long_or_too_many_is_told_where_it_stands() {
        let long = format!(
            "{{ team: docs, about: {} }}",
            "x".repeat(LABEL_CHARS_MAX + 1)
        );
        let problems = parsed(&long).unwrap_err();
        let told: Vec<_> = problems.iter().map(|it| (it.line, it.column)).collect();
        assert_eq!(told, [(4, 30)], "{problems:?}");
        let list = |count: usize| {
            let all: Vec<String> = (0..count).map(|n| format!("k{n}: v")).collect();
            format!("{{ {} }}", all.join(", "))
        };
        assert!(parsed(&list(LABELS_MAX)).is_ok());
        let problems = parsed(&list(LABELS_MAX + 1)).unwrap_err();
        assert_eq!(
            problems[0].message,
            "labels: a run has at most 64, and this plan has 65"
        );
    }

    #[test]
    fn all_together_they_fit_a_line_of_the_ledger() {
        let all: Vec<String> = (0..LABELS_MAX)
            .map(|n| format!("k{n}: '${{{{ inputs.doc }}}}'"))
            .collect();
        let all = format!("{{ {} }}", all.join(", "));
        assert!(rendered(&all, &"x".repeat(200)).is_ok());
        let problems = rendered(&all, &"\u{1f600}".repeat(LABEL_CHARS_MAX)).unwrap_err();
        assert!(problems[0].message.contains("16384 bytes"), "{problems:?}");
    }
}
