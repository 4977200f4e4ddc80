//! The guardrails of calls between plugins: a plan's `defaults.guardrails`, rendered once.
//!
//! A plan's plugins are guarded by that plan's guardrails. One whose `with` cannot be rendered here
//! refuses every call: what a guardrail does not see must not pass.

use std::collections::BTreeMap;

use flowhost_engine::Phase;
use flowhost_flow::Plan;
use flowhost_flow::expr::Names;
use flowhost_flow::plan::{Guard, OnFail};
use serde_json::{Map, Value};

/// Every plan's guardrails by the prefix of its plugins' keys.
#[derive(Debug, Default)]
pub(crate) struct Guards(BTreeMap<String, Pair>);

#[derive(Debug, Default)]
struct Pair {
    before: Vec<Ready>,
    after: Vec<Ready>,
}

/// A guardrail with its configuration.
#[derive(Debug)]
pub(crate) struct Ready {
    /// Name under `plugins:`.
    pub(crate) plugin: String,
    /// `with` as JSON, or why it has no value.
    pub(crate) config: Result<String, String>,
    /// Whether a denial ends the call.
    pub(crate) halts: bool,
}

impl Guards {
    /// Of a plan and all below it. Inputs of sub-plans are not known here, because each step that
    /// runs one gives its own.
    pub(crate) fn of(plan: &Plan, inputs: &Map<String, Value>) -> Self {
        let mut guards = Self::default();
        guards.add(plan, "", Some(&Value::Object(inputs.clone())));
        guards
    }

    fn add(&mut self, plan: &Plan, prefix: &str, inputs: Option<&Value>) {
        let ready = |list: &[Guard]| list.iter().map(|guard| render(guard, inputs)).collect();
        let pair = Pair {
            before: ready(&plan.guardrails.before),
            after: ready(&plan.guardrails.after),
        };
        self.0.insert(prefix.to_owned(), pair);
        for wanted in plan.sub_plans() {
            if let Some(child) = plan.sub_plan(&wanted.reference) {
                self.add(child, &format!("{prefix}{}::", wanted.reference), None);
            }
        }
    }

    /// The guardrails of the plugins with this prefix, in order.
    pub(crate) fn at(&self, prefix: &str, phase: Phase) -> &[Ready] {
        match (self.0.get(prefix), phase) {
            (Some(pair), Phase::Before) => &pair.before,
            (Some(pair), Phase::After) => &pair.after,
            (None, _) => &[],
        }
    }
}

fn render(guard: &Guard, inputs: Option<&Value>) -> Ready {
    let names: Vec<(&str, &Value)> = inputs.iter().map(|value| ("inputs", *value)).collect();
    let config = match guard.with.render(&Names::new(&names)) {
        Ok(Value::Null) => Ok("{}".to_owned()),
        Ok(value) => Ok(value.to_string()),
        Err(error) => Err(error.to_string()),
    };
    Ready {
        plugin: guard.plugin.clone(),
        config,
        halts: guard.on_fail == OnFail::Halt,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(with: &str) -> Plan {
        let text = format!(
            "flowhost: v1\nkind: workflow\nname: p\ninputs: {{ word: {{ type: string, default: x }} }}\n\
             plugins:\n  t: {{ kind: tool, source: ./t.wasm, profile: deny-all }}\n  \
             g: {{ kind: guardrail, source: ./g.wasm, profile: deny-all }}\n\
             defaults: {{ guardrails: {{ before: [{{ uses: g, with: {with}, on_fail: halt }}] }} }}\n\
             steps:\n  a: {{ uses: t, with: {{}} }}\n"
        );
        Plan::parse(&text, "p.yaml").unwrap()
    }

    #[test]
    fn keeps_a_guardrail_that_cannot_be_rendered_as_one_that_refuses() {
        let mut guards = Guards::default();
        guards.add(&plan("{ n: \"${{ inputs.word }}\" }"), "", None);
        let ready = guards.at("", Phase::Before);
        assert!(ready[0].config.is_err());
    }

    #[test]
    fn renders_inputs_once_and_knows_what_halts() {
        let inputs = Map::from_iter([("word".to_owned(), Value::from("secret"))]);
        let guards = Guards::of(&plan("{ banned: [\"${{ inputs.word }}\"] }"), &inputs);
        let ready = guards.at("", Phase::Before);
        assert_eq!(ready[0].config.as_deref(), Ok("{\"banned\":[\"secret\"]}"));
        assert!(ready[0].halts && guards.at("", Phase::After).is_empty());
        assert!(guards.at("other::", Phase::Before).is_empty());
    }
}
