//! What agents disagreed about: how often, at which stage, which models, with whom the arbiter sided, and of what kind it was.
//!
//! The kinds are told by words and shapes and not by a model, so that the same files always give the same numbers.

use std::collections::BTreeMap;

use serde::Serialize;

use super::parted::parted;
use super::read::{Dispute, Evidence, Method, Source};
use super::stats::share;

/// Words of an issue about what is in and what is out.
const SCOPE_WORDS: [&str; 8] = [
    "scope",
    "non-goal",
    "non_goal",
    "include",
    "exclude",
    "left out",
    "out of",
    "milestone",
];

/// Over all consensus stages that were read.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Disagreements {
    /// Stages of runs.
    pub total_consensus_runs: usize,
    /// Those with something to disagree about.
    pub runs_with_disagreements: usize,
    /// Their share; null of nothing.
    pub disagreement_rate: Option<f64>,
    /// By stage.
    pub by_stage: BTreeMap<String, Stage>,
    /// `model|model` in alphabetical order: conflicts in which the two contradict each other, by the measure of the point
    /// that the host compared, or else because they said different things.
    pub by_model_pair: BTreeMap<String, usize>,
    /// `sided_with_<agent>`, `synthesized_new`, `unresolved`.
    pub arbiter_decisions: BTreeMap<String, usize>,
    /// `structural`, `scope`, `technical`.
    pub disagreement_types: BTreeMap<String, usize>,
    /// `cosmetic`, `structural`, `logical`.
    pub severities: BTreeMap<String, usize>,
}

/// A stage.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Stage {
    /// How often it ran.
    pub runs: usize,
    /// How often there was something to disagree about.
    pub with_disagreements: usize,
}

/// Counts, of what `source` answered; models, decisions and kinds that occur less than `min_count` times are left out.
#[must_use]
pub fn disagreements(evidence: &Evidence, source: Source, min_count: usize) -> Disagreements {
    let seen: Vec<_> = evidence
        .observations
        .iter()
        // Whoever is asked alone agrees with himself.
        .filter(|it| it.source() == source && it.method() != Some(Method::Single))
        .collect();
    let with = seen.iter().filter(|it| it.disagreed).count();
    let mut by_stage: BTreeMap<String, Stage> = BTreeMap::new();
    let mut models: BTreeMap<(&str, &str), BTreeMap<&str, &str>> = BTreeMap::new();
    for it in &seen {
        let stage = by_stage.entry(it.stage.clone()).or_default();
        stage.runs += 1;
        stage.with_disagreements += usize::from(it.disagreed);
        let of_stage = models.entry((&it.spec, &it.stage)).or_default();
        for agent in &it.agents {
            of_stage.insert(&agent.agent, agent.model.as_deref().unwrap_or(&agent.agent));
        }
    }
    let mut pairs = BTreeMap::new();
    let mut decisions = BTreeMap::new();
    let mut types = BTreeMap::new();
    let mut severities = BTreeMap::new();
    for dispute in &evidence.disputes {
        if evidence.source_of(&dispute.spec, &dispute.stage, &dispute.run) != Some(source) {
            continue;
        }
        // Of a stage that one model alone was asked about: it is not counted above either.
        let Some(models) = models.get(&(dispute.spec.as_str(), dispute.stage.as_str())) else {
            continue;
        };
        for pair in pairs_of(dispute, models) {
            *pairs.entry(pair).or_default() += 1;
        }
        *decisions.entry(decision(dispute)).or_default() += 1;
        *types.entry(kind(dispute).to_owned()).or_default() += 1;
        *severities.entry(severity(dispute).to_owned()).or_default() += 1;
    }
    for counts in [&mut pairs, &mut decisions, &mut types, &mut severities] {
        counts.retain(|_, count| *count >= min_count);
    }
    Disagreements {
        total_consensus_runs: seen.len(),
        runs_with_disagreements: with,
        disagreement_rate: share(with, seen.len()),
        by_stage,
        by_model_pair: pairs,
        arbiter_decisions: decisions,
        disagreement_types: types,
        severities,
    }
}

fn pairs_of(dispute: &Dispute, models: &BTreeMap<&str, &str>) -> Vec<String> {
    let model = |agent: &str| models.get(agent).copied().unwrap_or(agent).to_owned();
    let pairs = parted(dispute).into_iter();
    pairs
        .map(|(agent, other)| {
            let mut pair = [model(agent), model(other)];
            pair.sort();
            pair.join("|")
        })
        .collect()
}

/// With whom it was settled: whose position holds, else the one agent that the reason names.
fn decision(dispute: &Dispute) -> String {
    let Some(settled) = &dispute.settled else {
        return "unresolved".to_owned();
    };
    if let Some(agent) = &settled.sided_with {
        return format!("sided_with_{agent}");
    }
    let holds: Vec<&String> = dispute
        .positions
        .iter()
        .filter(|(_, position)| plain(position) == plain(&settled.resolution))
        .map(|(agent, _)| agent)
        .collect();
    let named = dispute
        .positions
        .keys()
        .filter(|agent| names(&settled.reason, agent));
    let named: Vec<&String> = named.collect();
    match (holds.as_slice(), named.as_slice()) {
        ([agent], _) | ([], [agent]) => format!("sided_with_{agent}"),
        _ => "synthesized_new".to_owned(),
    }
}

/// Whether a text names an agent: by its whole name, because `gpt` is a part of `gpt-mini`, and `a` of most words.
fn names(text: &str, agent: &str) -> bool {
    let is_part =
        |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || matches!(c, '-' | '_'));
    text.match_indices(agent).any(|(at, found)| {
        let before = text.get(..at).and_then(|it| it.chars().next_back());
        let after = text.get(at + found.len()..);
        let after = after.and_then(|it| it.chars().next());
        !is_part(before) && !is_part(after)
    })
}

/// A place of the output that the host compared is its structure; what is in or out is scope; all else is about the matter.
fn kind(dispute: &Dispute) -> &'static str {
    let issue = dispute.issue.to_lowercase();
    if dispute.found_by == "host" && issue.starts_with('/') {
        "structural"
    } else if SCOPE_WORDS.iter().any(|word| issue.contains(word)) {
        "scope"
    } else {
        "technical"
    }
}

/// The same words in another dress are cosmetic, another number or set of entries is structural, all else contradicts.
fn severity(dispute: &Dispute) -> &'static str {
    let mut positions = dispute.positions.values().map(|it| plain(it));
    let first = positions.next();
    // One position alone is the same as all others there are, and nobody knows what stood against it.
    if dispute.positions.len() > 1 && positions.all(|it| Some(it) == first) {
        "cosmetic"
    } else if kind(dispute) == "structural" {
        "structural"
    } else {
        "logical"
    }
}

/// Letters and digits in lower case, single spaces between words.
pub(super) fn plain(text: &str) -> String {
    let words = text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|it| !it.is_empty());
    words.map(str::to_lowercase).collect::<Vec<_>>().join(" ")
}
