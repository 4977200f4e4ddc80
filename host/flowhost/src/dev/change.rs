//! What a change of files means for a run: nothing, other builds of some plugins, or another run.
//!
//! Pure: it compares two projects that are sound.

use std::collections::BTreeSet;
use std::sync::Arc;

use flowhost_policy::Manifest;
use flowhost_run::{Member, Project, plan_hash, widens};

use crate::failure::Failure;

/// The difference between two states of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// Calls would not notice.
    Nothing,
    /// These plugins have other builds, manifests or profiles, and nothing else is different: a living run
    /// can take them one by one.
    Plugins(Vec<String>),
    /// Steps, prompts, schemas, inputs or the set of plugins: another run.
    Plan,
}

impl Change {
    /// From `before` to `after`.
    ///
    /// # Errors
    /// When a plan cannot be hashed, which a sound one always can.
    pub(super) fn between(before: &Project, after: &Project) -> Result<Self, Failure> {
        let keys = |project: &Project| project.members.keys().cloned().collect::<BTreeSet<_>>();
        let same_values = before.inputs == after.inputs && before.folders == after.folders;
        if !same_values || keys(before) != keys(after) {
            return Ok(Self::Plan);
        }
        // The plan's hash covers all that steps do, and the plugins as well: with the same plugins on both
        // sides it compares the rest.
        let mut rest = after.clone();
        rest.members.clone_from(&before.members);
        if plan_hash(before)? != plan_hash(&rest)? {
            return Ok(Self::Plan);
        }
        let changed = after.members.iter().filter(|(key, after)| {
            before
                .members
                .get(*key)
                .is_none_or(|before| Build::of(before) != Build::of(after))
        });
        let changed: Vec<String> = changed.map(|(key, _)| key.clone()).collect();
        Ok(match changed.is_empty() {
            true => Self::Nothing,
            false => Self::Plugins(changed),
        })
    }
}

/// All of a plugin that its calls could notice.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Build {
    component: String,
    rights: String,
    config: Arc<str>,
    /// A tool's words and effects stand here, which no digest covers where it is a file beside the component.
    manifest: Manifest,
}

impl Build {
    pub(super) fn of(member: &Member) -> Self {
        Self {
            component: member.inspection.digest.to_string(),
            rights: member.effective.hash.clone(),
            config: member.config.clone(),
            manifest: member.manifest.clone(),
        }
    }
}

/// What `after` may do that `before` may not, a line each; empty when it may do no more.
#[must_use]
pub(super) fn wider(key: &str, before: &Member, after: &Member) -> Vec<String> {
    let freed = before.manifest.acts_for_caller && !after.manifest.acts_for_caller;
    if !freed && !widens(&before.effective, key, after) {
        return Vec::new();
    }
    // The trace and not the grants: a person is told in the words that `policy explain` has.
    let lines = |member: &Member| -> BTreeSet<String> {
        member.trace.iter().map(ToString::to_string).collect()
    };
    let known = lines(before);
    let mut new: Vec<String> = lines(after)
        .into_iter()
        .filter(|line| !known.contains(line))
        .collect();
    if freed {
        new.push("tools that its profile names and its caller may not call".to_owned());
    }
    if new.is_empty() {
        // A limit or a folder that an input names has no line of its own.
        new.push(format!("rights {}", after.effective.hash));
    }
    new
}
