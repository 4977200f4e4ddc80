//! What is asked of whom, as one hash: two calls of the same hash are the same question.

use std::collections::BTreeMap;

use flowhost_bus::canonical_text;
use flowhost_engine::Phase;
use flowhost_flow::Call;
use flowhost_words::PluginKind;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::given::project::{Member, Project};
use crate::plugins::guards::Guards;

/// See the module.
pub(super) type Key = [u8; 32];

/// The plugins of a project, as far as they decide what a call comes to.
pub(super) struct Keys {
    /// Each plugin with those that it may call, and the guardrails that such calls pass.
    plugins: BTreeMap<String, Value>,
}

impl Keys {
    pub(super) fn of(project: &Project) -> Self {
        let guards = Guards::of(&project.plan, &project.inputs);
        let plugins = project.members.iter().map(|(key, member)| {
            let calls = &member.effective.grants.tools.call;
            let mut calling = Value::Null;
            if !calls.is_empty() {
                let (prefix, _) = split(key);
                let callable = project.members.iter().filter(|(other, it)| {
                    let (around, name) = split(other);
                    let named = calls.iter().any(|call| names(call, name));
                    around == prefix && (named || it.decl.kind == PluginKind::Guardrail)
                });
                let callable: BTreeMap<_, _> = callable
                    .map(|(key, it)| (key.as_str(), identity(it)))
                    .collect();
                let pass = [Phase::Before, Phase::After].map(|phase| {
                    let ready = guards.at(prefix, phase).iter();
                    let ready =
                        ready.map(|it| json!([it.plugin, it.config.as_ref().ok(), it.halts]));
                    ready.collect::<Vec<_>>()
                });
                calling = json!({ "plugins": callable, "guards": pass });
            }
            let known = json!({ "plugin": key, "is": identity(member), "calls": calling });
            (key.clone(), known)
        });
        Self {
            plugins: plugins.collect(),
        }
    }

    /// The hash of a call; none of one whose plugin is not there.
    pub(super) fn of_call(&self, call: &Call) -> Option<Key> {
        let question = json!({
            "plugin": self.plugins.get(&call.plugin)?,
            "function": call.function,
            "part": call.part.word(),
            // What a check refused must not be handed over again in its stead.
            "attempt": call.attempt,
            "input": &*call.input,
            "with": call.config,
            "prompt": call.prompt.as_deref(),
            "prompt_version": call.prompt_version,
            "schema": call.schema.as_deref(),
            "stage": call.stage,
        });
        // What has no canonical text has no hash: it is asked again.
        let text = canonical_text(&question).ok()?;
        Some(Sha256::digest(text).into())
    }
}

fn identity(member: &Member) -> Value {
    json!([
        &*member.inspection.digest,
        member.effective.hash,
        &*member.config
    ])
}

/// Prefix and name of a plugin's key.
fn split(key: &str) -> (&str, &str) {
    match key.rfind("::") {
        Some(at) => key.split_at(at + 2),
        None => ("", key),
    }
}

/// Whether a grant like `files/*` may name a tool of this plugin.
fn names(grant: &str, plugin: &str) -> bool {
    let named = grant.split('/').next().unwrap_or_default();
    named.contains('*') || named == plugin
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_names_the_plugins_that_it_could_mean() {
        assert!(names("files/read", "files") && names("*", "files") && names("*/read", "files"));
        assert!(!names("files/*", "file"));
        assert_eq!(split("child.yaml::files"), ("child.yaml::", "files"));
        assert_eq!(split("files"), ("", "files"));
    }
}
