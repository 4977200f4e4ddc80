//! Identity: the plan's hash, the run's id, the steps' ids, the seeds.
//!
//! The hash covers what a plan means and nothing else: order of keys, comments, file name, positions
//! and descriptions are not in it; component digests, profile hashes, schemas and sub-plans are. The
//! canonical form is RFC 8785 (JCS). Each hash begins with its purpose, so that none can pass for
//! another.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::expr::Template;
use crate::plan::{Plan, Step, Work};
use crate::schema_check::OutputSchema;

mod canonical;

/// What a plugin was resolved to; part of the plan's hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ResolvedPlugin {
    /// SHA-256 of the component, lower-case hex.
    pub component_sha256: String,
    /// SHA-256 of the effective profile, lower-case hex.
    pub profile_sha256: String,
}

/// SHA-256 over the canonical form of the resolved plan, lower-case hex. `plugins` by key as in
/// [`Plan::all_plugins`].
///
/// # Errors
/// The plan holds a value that JSON cannot carry; parsed plans hold none.
pub fn plan_hash(
    plan: &Plan,
    plugins: &BTreeMap<String, ResolvedPlugin>,
) -> Result<String, serde_json::Error> {
    #[derive(Serialize)]
    struct Resolved<'a> {
        format: &'static str,
        plan: &'a Plan,
        plugins: &'a BTreeMap<String, ResolvedPlugin>,
    }
    let resolved = Resolved {
        format: "flowhost-plan/1",
        plan,
        plugins,
    };
    let canonical = canonical::to_vec(&resolved)?;
    Ok(hex::encode(digest(&[b"flowhost-plan/1", &canonical])))
}

/// Keys of a step that bound its work, or say what follows it beyond the run, and do not change what it gives.
const BESIDE_THE_WORK: [&str; 6] = [
    "timeout_ms",
    "retry",
    "budget",
    "remember",
    "effects",
    "compensate",
];

/// SHA-256 over what a step of the plan does, lower-case hex: its own keys without its bounds (times, retries,
/// budget), the texts and plans that it names, and who does it. Two steps with one hash would give the same, as far
/// as their plans say.
///
/// # Errors
/// As [`plan_hash`].
pub fn work_hash(plan: &Plan, step: &Step) -> Result<String, serde_json::Error> {
    #[derive(Serialize)]
    struct Does<'a> {
        step: serde_json::Value,
        prompt: Option<&'a str>,
        schema: Option<&'a OutputSchema>,
        plan: Option<&'a Plan>,
        /// Source and configuration, by name. Which build it was is the run's to say.
        plugins: BTreeMap<&'a str, (&'a str, &'a Template)>,
    }
    let mut said = serde_json::to_value(step)?;
    if let Some(said) = said.as_object_mut() {
        said.retain(|key, _| !BESIDE_THE_WORK.contains(&key.as_str()));
    }
    let (child, mut names) = match &step.work {
        Work::Call { plugin, .. } => (None, vec![plugin]),
        Work::Consensus(it) => (None, it.agents.iter().chain(&it.arbiter).collect()),
        Work::Plan { reference } => (plan.children.get(reference), Vec::new()),
        Work::Barrier(_) | Work::Gate(_) | Work::Emit { .. } => (None, Vec::new()),
    };
    let guards = step.before.iter().chain(&step.after);
    names.extend(guards.map(|guard| &guard.plugin));
    let plugins = names.into_iter().filter_map(|name| {
        let decl = plan.plugins.get(name)?;
        Some((decl.name.as_str(), (decl.source.as_str(), &decl.config)))
    });
    let does = Does {
        step: said,
        prompt: plan.prompt_of(step).map(AsRef::as_ref),
        schema: plan.schema_of(step),
        plan: child.map(AsRef::as_ref),
        plugins: plugins.collect(),
    };
    let canonical = canonical::to_vec(&does)?;
    Ok(hex::encode(digest(&[b"flowhost-work/1", &canonical])))
}

/// A run's id: a ULID from a time in milliseconds since the Unix epoch and 80 random bits.
///
/// Source of the format: <https://github.com/ulid/spec>.
#[must_use]
pub fn run_id(unix_ms: u64, random: [u8; 10]) -> String {
    let random = random
        .iter()
        .fold(0_u128, |sum, byte| (sum << 8) | u128::from(*byte));
    ulid::Ulid::from_parts(unix_ms, random).to_string()
}

/// When a run with this id began, in milliseconds since the Unix epoch; none where it is no id of a run as [`run_id`] writes them.
#[must_use]
pub fn run_began_ms(id: &str) -> Option<u64> {
    let parsed = ulid::Ulid::from_string(id).ok()?;
    (parsed.to_string() == id).then(|| parsed.timestamp_ms())
}

/// A step's id: 32 hex digits from plan hash and path. The same in every run of the same plan.
#[must_use]
pub fn step_id(plan_hash: &str, path: &str) -> String {
    let mut id = HEXLOWER.encode(&digest(&[
        b"flowhost-step/1",
        plan_hash.as_bytes(),
        path.as_bytes(),
    ]));
    // 128 bits: that two of the million steps of a run meet is as good as impossible.
    id.truncate(32);
    id
}

/// What a keyed effect is deduplicated by, 32 hex digits: the same for every attempt of the same part
/// of a step in one run.
#[must_use]
pub fn idempotency_key(run_id: &str, step_id: &str, part: &str) -> String {
    let parts = [
        b"flowhost-key/1" as &[u8],
        run_id.as_bytes(),
        step_id.as_bytes(),
        part.as_bytes(),
    ];
    let mut key = HEXLOWER.encode(&digest(&parts));
    key.truncate(32);
    key
}

/// A seed derived from the run's, for one purpose: names must tell the purposes apart.
#[must_use]
pub(crate) fn derive_seed(seed: u64, names: &[&str]) -> [u8; 32] {
    let seed = seed.to_be_bytes();
    let mut parts: Vec<&[u8]> = vec![b"flowhost-seed/1", &seed];
    parts.extend(names.iter().map(|name| name.as_bytes()));
    digest(&parts)
}

/// Each part is preceded by its length, so that no two lists of parts run together.
fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests;
