//! Whether each step names a tool that its plugin has: asked when a project is loaded, and once more
//! when components without a manifest have said what they offer.

use std::collections::BTreeMap;

use flowhost_flow::Plan;
use flowhost_flow::plan::{Step, Work};
use flowhost_words::{PluginKind, shell_word};
use serde_json::Value;

use crate::base::finding::Finding;
use crate::before::guesses::{Guesses, listed};

/// The tools of each plugin whose list is known, by key.
pub type ToolNames = BTreeMap<String, Vec<String>>;

/// Every `uses: plugin/function` names a tool that the plugin has; `uses: plugin` needs a plugin with
/// one tool. Plugins without a known list are left out.
pub fn check_functions(plan: &Plan, tools: &ToolNames, findings: &mut Vec<Finding>) {
    in_plan(plan, "", tools, &Guesses::new(), findings);
}

fn in_plan(
    plan: &Plan,
    prefix: &str,
    tools: &ToolNames,
    guesses: &Guesses,
    findings: &mut Vec<Finding>,
) {
    check_steps(plan, findings, &|step| {
        let mut fault = function_problem(step, prefix, tools, guesses)?;
        if let Some(cure) = of_its_server(plan, step, prefix, tools) {
            fault.cure = cure;
        }
        Some(fault)
    });
    for wanted in plan.sub_plans() {
        if let Some(child) = plan.sub_plan(&wanted.reference) {
            let prefix = format!("{prefix}{}::", wanted.reference);
            in_plan(child, &prefix, tools, guesses, findings);
        }
    }
}

/// One thing that is wrong with a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StepFault {
    /// The part of the step that it is wrong with, as a JSON pointer.
    pub(crate) part: String,
    /// What is wrong, without the step's name.
    pub(crate) message: String,
    /// What to do.
    pub(crate) cure: String,
}

/// Asks about every step of the plan, about handlers, and about what takes effects back.
pub(crate) fn check_steps(
    plan: &Plan,
    findings: &mut Vec<Finding>,
    problem: &dyn Fn(&Step) -> Option<StepFault>,
) {
    for (step, of) in plan.everything() {
        if let Some(fault) = problem(step) {
            let at = step.place(&fault.part);
            let who = match of {
                Some(of) => format!("compensation of step `{}`", of.id),
                None => format!("step `{}`", step.id),
            };
            let message = format!("{who}: {}", fault.message);
            let finding = Finding::new(&plan.file, message).at(at.line, at.column);
            findings.push(finding.cure(fault.cure));
        }
    }
}

fn function_problem(
    step: &Step,
    prefix: &str,
    tools: &ToolNames,
    guesses: &Guesses,
) -> Option<StepFault> {
    let (message, cure) = wrong_function(step, prefix, tools, guesses)?;
    Some(StepFault {
        part: "/uses".to_owned(),
        message,
        cure,
    })
}

fn wrong_function(
    step: &Step,
    prefix: &str,
    tools: &ToolNames,
    guesses: &Guesses,
) -> Option<(String, String)> {
    let Work::Call { plugin, function } = &step.work else {
        return None;
    };
    let names = tools.get(&format!("{prefix}{plugin}"))?;
    match (function, names.as_slice()) {
        (Some(function), _) if names.contains(function) => None,
        (Some(function), _) => {
            let message = format!("`{plugin}` has no tool `{function}`");
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            Some((message, of_its_tools(plugin, function, &names, guesses)))
        }
        (None, [_]) => None,
        (None, []) => Some((
            format!("`{plugin}` has no tool"),
            of_its_tools(plugin, "", &[], guesses),
        )),
        (None, _) => {
            let message = format!("`{plugin}` has several tools");
            let listed = names.join(", ");
            let cure = format!("write `uses: {plugin}/NAME`; tools of `{plugin}`: {listed}");
            Some((message, cure))
        }
    }
}

/// What to do where it is a server that has no tool at all: it is no component that one could look into.
fn of_its_server(plan: &Plan, step: &Step, prefix: &str, tools: &ToolNames) -> Option<String> {
    let Work::Call { plugin, .. } = &step.work else {
        return None;
    };
    let of_server = plan.plugins.get(plugin)?.kind == PluginKind::McpAdapter;
    let none = tools.get(&format!("{prefix}{plugin}"))?.is_empty();
    // A sub-plan is asked through the plan that it belongs to, whose file is not known here.
    let file = match prefix {
        "" => shell_word(&plan.file),
        _ => "PLAN".to_owned(),
    };
    (of_server && none).then(|| {
        format!(
            "`flowhost mcp inspect {file} {prefix}{plugin}` shows what its server offers: it lists no tools, or none that may be \
             offered (its adapter's log says why, where the profile says `log = true`)"
        )
    })
}

/// What to do where a plugin has not the tool that is asked for: the one that was meant, and those that it has.
pub(crate) fn of_its_tools(
    plugin: &str,
    wanted: &str,
    names: &[&str],
    guesses: &Guesses,
) -> String {
    if names.is_empty() {
        let cure = "take a component that exports a tool; `flowhost inspect COMPONENT` shows what one offers";
        return cure.to_owned();
    }
    let listed = format!("tools of `{plugin}`: {}", listed(names));
    match guesses.nearest(wanted, names) {
        Some(near) => format!("did you mean `{plugin}/{near}`? {listed}"),
        None => listed,
    }
}

/// The names of what a schema of an object needs.
pub(crate) fn needed(schema: &Value) -> Vec<&str> {
    let names = schema.get("required").and_then(Value::as_array);
    let names = names.into_iter().flatten();
    names.filter_map(Value::as_str).collect()
}

/// The names of what a schema of an object takes, those that it needs marked.
pub(crate) fn takes(schema: &Value) -> String {
    let required = needed(schema);
    let properties = schema.get("properties").and_then(Value::as_object);
    let names =
        properties
            .into_iter()
            .flatten()
            .map(|(name, _)| match required.contains(&name.as_str()) {
                true => format!("`{name}` (required)"),
                false => format!("`{name}`"),
            });
    let names: Vec<String> = names.collect();
    if names.is_empty() {
        return String::new();
    }
    format!("it takes {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(uses: &str, tools: &[&str]) -> Vec<Finding> {
        let text = format!(
            "flowhost: v1\nkind: workflow\nname: p\nplugins:\n  t: {{ kind: tool, source: ./t.wasm, \
             profile: deny-all }}\nsteps:\n  a: {{ uses: {uses}, with: {{}} }}\n"
        );
        let plan = Plan::parse(&text, "p.yaml").unwrap();
        let names = tools.iter().map(ToString::to_string).collect();
        let mut findings = Vec::new();
        check_functions(
            &plan,
            &ToolNames::from([("t".to_owned(), names)]),
            &mut findings,
        );
        findings
    }

    #[test]
    fn refuses_a_plugin_with_several_tools_when_none_is_named() {
        let found = problems("t", &["read", "write"]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].line, 7);
        assert!(found[0].hint.contains("read, write"), "{}", found[0].hint);
    }

    #[test]
    fn refuses_an_unknown_tool_and_names_the_one_that_was_meant() {
        let found = problems("t/raed", &["read", "write"]);
        assert!(
            found[0].hint.starts_with("did you mean `t/read`?"),
            "{}",
            found[0].hint
        );
    }

    #[test]
    fn a_server_without_tools_is_asked_and_not_looked_into() {
        let text = "flowhost: v1\nkind: workflow\nname: p\nplugins:\n  s: { kind: mcp_adapter, source: \"builtin:mcp-client\", \
                    profile: s }\nsteps:\n  a: { uses: s/echo, with: {} }\n";
        let plan = Plan::parse(text, "p.yaml").unwrap();
        let mut found = Vec::new();
        let none = ToolNames::from([("s".to_owned(), Vec::new())]);
        check_functions(&plan, &none, &mut found);
        let hint = &found[0].hint;
        assert!(hint.contains("`flowhost mcp inspect p.yaml s`"), "{hint}");
        assert!(
            problems("t/read", &[])[0]
                .hint
                .contains("flowhost inspect COMPONENT")
        );
    }

    #[test]
    fn takes_the_only_tool_and_a_named_one() {
        assert!(problems("t", &["read"]).is_empty());
        assert!(problems("t/write", &["read", "write"]).is_empty());
    }
}
