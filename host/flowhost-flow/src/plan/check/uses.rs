//! The plugins that steps and guardrails name: whether the plan declares them, and whether they are of a kind that can do what they are named for.

use flowhost_words::PluginKind;

use crate::plan::foresight::Wants;
use crate::plan::keys::is_name;
use crate::plan::tree::Node;
use crate::plan::{Guard, Step, Work};
use crate::problem::At;

use super::Check;
use super::reach::Reach;

impl Check<'_> {
    pub(super) fn work(&mut self, step: &Step, node: &Node) {
        // Other work names no plugin in `uses`, and is checked where it stands.
        let Work::Call { plugin, function } = &step.work else {
            return;
        };
        // A step without work was read as a call of nothing, and the reader has told it.
        let Some(place) = node.get("uses").map(|node| node.at) else {
            return;
        };
        if plugin.is_empty() || !is_name(plugin) {
            return;
        }
        if !self.plan.plugins.contains_key(plugin) {
            return self.unknown_plugin(plugin, place);
        }
        // A kind that is not known is told where the plugin is declared.
        let Some(kind) = self.kinds.get(plugin.as_str()).copied() else {
            return;
        };
        if kind == PluginKind::Guardrail {
            let message = format!(
                "`{plugin}` is a guardrail; it looks at steps and cannot do the work of one"
            );
            self.problems
                .add(place, message, "use it under `guardrails:`");
        }
        if let Some(prompt) = node.get("prompt").filter(|_| kind != PluginKind::Agent) {
            let message = format!("`{plugin}` is not an agent; only agents read a prompt");
            self.problems.add(prompt.at, message, "remove `prompt`");
        }
        if function.is_some() && kind == PluginKind::Agent {
            let message = format!("`{plugin}` is an agent; only tools have functions");
            self.problems
                .add(place, message, format!("`uses: {plugin}`"));
        }
    }

    pub(super) fn unknown_plugin(&mut self, name: &str, place: At) {
        if self.astray && self.plan.plugins.is_empty() {
            return; // they may stand under another key, which has been told
        }
        let known = || self.plan.plugins.keys().map(String::as_str).collect();
        let cure = self.problems.suggest("plugin", name, known);
        self.problems
            .add(place, format!("`plugins:` does not name `{name}`"), cure);
    }

    pub(super) fn guards(&mut self, step: &Step, node: &Node, reach: &Reach<'_>) {
        if let Some(guardrails) = node.get("guardrails") {
            self.guard_places(guardrails);
        }
        for (guards, key) in [(&step.before, "before"), (&step.after, "after")] {
            let nodes = node
                .get("guardrails")
                .and_then(|guardrails| guardrails.get(key));
            let nodes = nodes.map(Node::elements).unwrap_or_default();
            for (index, guard) in guards.iter().enumerate() {
                let with = nodes.get(index).and_then(|node| node.get("with"));
                self.guard_references(guard, with, reach);
            }
        }
    }

    /// Default guardrails have no node in the step: what they refer to is reported at their own place.
    pub(super) fn guard_references(
        &mut self,
        guard: &Guard,
        with: Option<&Node>,
        reach: &Reach<'_>,
    ) {
        for (pointer, reference) in guard.with.references() {
            let at = with.map_or(guard.at, |node| node.place(&pointer));
            self.reference(reference, at, reach);
        }
        let place = |pointer: &str| with.map_or(guard.at, |node| node.place(pointer));
        self.keep(&guard.with, &place, reach, Wants::Value);
    }

    /// The plugins that a `guardrails:` names.
    pub(super) fn guard_places(&mut self, guardrails: &Node) {
        let lists = ["before", "after"]
            .into_iter()
            .filter_map(|key| guardrails.get(key));
        for uses in lists
            .flat_map(Node::elements)
            .filter_map(|node| node.get("uses"))
        {
            let Some(name) = uses.text().filter(|name| is_name(name)) else {
                continue;
            };
            if !self.plan.plugins.contains_key(name) {
                self.unknown_plugin(name, uses.at);
                continue;
            }
            let kind = self.kinds.get(name);
            if kind.is_some_and(|kind| *kind != PluginKind::Guardrail) {
                let message = format!("`{name}` is not a guardrail");
                let all = self.kinds.iter();
                let guardrails: Vec<&str> = all
                    .filter(|(_, kind)| **kind == PluginKind::Guardrail)
                    .map(|(name, _)| *name)
                    .collect();
                let cure = match guardrails.as_slice() {
                    [] => "declare one under `plugins:` with `kind: guardrail`".to_owned(),
                    some => format!("guardrails of this plan: `{}`", some.join("`, `")),
                };
                self.problems.add(uses.at, message, cure);
            }
        }
    }
}
