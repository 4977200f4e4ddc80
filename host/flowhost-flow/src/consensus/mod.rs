//! Whether several answers to one question agree, and what follows: values in, a verdict out.
//!
//! Owns the comparison of answers ([`compare`]), votes ([`vote`]), and the one place where facts become a
//! status ([`judge`]). Must never ask anybody or wait for anything: who is asked when is the panel's
//! (`planner::unit::panel`). Nothing here depends on who answered first: answers stand in the order of the
//! plan.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

pub mod compare;
pub mod issues;
pub mod select;
#[cfg(test)]
mod tests;
pub mod vote;

pub use compare::{By, Point, compare};
pub use issues::Issue;

/// Below this share of agreement another try would only repeat the difference: a recovery round is passed
/// over and the run escalates. In thousandths.
pub const RECOVERABLE_MILLI: u32 = 670;

/// How a consensus stands. In the order of what is said first when several are true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Everybody answered, nothing is open, and they agree as much as the plan wants.
    Ok,
    /// A difference is open.
    Conflict,
    /// There is an output, and less took part or agrees than the plan wants.
    Degraded,
    /// Too few answered, or nobody made an output of it.
    Missing,
}

impl Status {
    /// The word in records and expressions.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Conflict => "conflict",
            Self::Degraded => "degraded",
            Self::Missing => "missing",
        }
    }
}

/// A point on which answers differ.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conflict {
    /// Names it within its verdict: `c1`.
    pub id: String,
    /// What they differ about.
    pub issue: String,
    /// What each says, by agent.
    pub positions: BTreeMap<String, String>,
    /// `host`, `arbiter` or `vote`.
    pub found_by: String,
}

/// A conflict that somebody decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resolved {
    /// The conflict's id.
    pub id: String,
    /// What they differed about.
    pub issue: String,
    /// What each said, by agent.
    pub positions: BTreeMap<String, String>,
    /// `host`, `arbiter` or `vote`: who found it.
    pub found_by: String,
    /// What holds now.
    pub resolution: String,
    /// Why, in the words of who decided.
    pub arbiter_decision: String,
    /// The agent whose position it is; none for one that is new.
    pub sided_with: Option<String>,
}

/// How one agent took part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Participant {
    /// Its name in the plan.
    pub agent: String,
    /// `ok`, `failed`, `late`, `not_needed` (decided without it) or `duplicate` (counted once already).
    pub status: String,
    /// The seat of the call that counts; none where none does.
    pub seat: Option<u32>,
    /// How often it was asked in this attempt of the step.
    pub attempts: u32,
    /// Why its last answer does not count.
    pub error: Option<String>,
    /// The effort that it was told.
    pub effort: String,
    /// SHA-256 of its output in canonical JSON, hexadecimal.
    pub output_sha256: Option<String>,
    /// Whether the arbiter decided against a position of it.
    pub arbiter_override: bool,
    /// The arbiter's reason for that.
    pub override_reason: Option<String>,
}

/// How many took part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Participation {
    /// Agents whose output counts.
    pub present: u32,
    /// Agents that were to answer.
    pub expected: u32,
    /// Fewer than this are no consensus.
    pub required: u32,
}

/// What a consensus step came to: `steps.<id>.consensus` and `consensus` in expressions, the payload of
/// its record, and what evidence views are made of. Holds no time, so that the same answers give the same
/// verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Whether the status is ok.
    pub ok: bool,
    /// How it stands.
    pub status: Status,
    /// Why it is not ok; empty when it is.
    pub reason: String,
    /// Who let a degraded consensus pass: `plan` or `arbiter`.
    pub accepted_by: Option<String>,
    /// What the plan does about it: `pass`, `accept`, `retry`, `arbiter` or `halt`.
    pub decision: String,
    /// The plan's rule.
    pub rule: String,
    /// `relay` or `parallel`.
    pub mode: String,
    /// From 1; one more for each recovery.
    pub round: u32,
    /// Points on which they agree.
    pub agreements: Vec<String>,
    /// Open conflicts.
    pub conflicts: Vec<Conflict>,
    /// Conflicts that were decided.
    pub conflicts_resolved: Vec<Resolved>,
    /// Agreements of all points (for a vote: of all weight that voted); none without any.
    pub agreement_ratio: Option<f64>,
    /// Every agent of the plan, in its order.
    pub agents: Vec<Participant>,
    /// Those whose output does not count although it was wanted.
    pub missing_agents: Vec<String>,
    /// How many took part.
    pub participation: Participation,
    /// Who put the output together, or judged.
    pub arbiter: Option<Participant>,
    /// The seat whose answer the output is, or, where that is the arbiter's, holds it; none without one.
    pub output_seat: Option<u32>,
    /// SHA-256 of the output in canonical JSON, hexadecimal.
    pub output_sha256: Option<String>,
    /// Whether there is an output that has all that its schema requires.
    pub required_fields_ok: bool,
    /// Whether the difference is too large for another try, or went to the arbiter.
    pub escalation_triggered: bool,
    /// Why.
    pub escalation_reason: Option<String>,
    /// What else is worth knowing: `large_input_context`, an arbiter that contradicts itself.
    pub notes: Vec<String>,
    /// What the agents raised, where the rule is `issues`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub issues: Vec<Issue>,
}

impl Verdict {
    /// What expressions find in it.
    pub(crate) const MEMBERS: [&'static str; 23] = [
        "ok",
        "status",
        "reason",
        "accepted_by",
        "decision",
        "rule",
        "mode",
        "round",
        "agreements",
        "conflicts",
        "conflicts_resolved",
        "agreement_ratio",
        "agents",
        "missing_agents",
        "participation",
        "arbiter",
        "output_seat",
        "output_sha256",
        "required_fields_ok",
        "escalation_triggered",
        "escalation_reason",
        "notes",
        "issues",
    ];

    /// SHA-256 of the verdict in canonical JSON, hexadecimal: the same for the same answers.
    #[must_use]
    pub fn sha256(&self) -> String {
        serde_json::to_value(self).map_or_else(|_| String::new(), |value| sha256_of(&value))
    }
}

/// SHA-256 of a value in canonical JSON (RFC 8785), hexadecimal.
#[must_use]
pub(crate) fn sha256_of(value: &Value) -> String {
    let canonical = serde_json_canonicalizer::to_vec(value).unwrap_or_default();
    hex::encode(Sha256::digest(canonical))
}

/// What [`judge`] judges by.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// Agents whose output counts.
    pub present: u32,
    /// Agents that were to answer.
    pub expected: u32,
    /// Fewer than this are no consensus.
    pub required: u32,
    /// Whether one agent was chosen to answer alone: there is nobody to agree with.
    pub alone: bool,
    /// Whether an absent agent degrades: with a vote it only counts against what wins.
    pub wants_all: bool,
    /// Whether there is an output.
    pub has_output: bool,
    /// Open conflicts.
    pub open: usize,
    /// Agreement in thousandths; none without any point.
    pub ratio_milli: Option<u32>,
    /// The least that the plan wants.
    pub min_milli: u32,
}

/// The status that follows. An open conflict outranks everything, so that none can pass as less.
#[must_use]
pub const fn judge(facts: &Facts) -> Status {
    if facts.open > 0 {
        return Status::Conflict;
    }
    if facts.present < facts.required || !facts.has_output {
        return Status::Missing;
    }
    let agreed = match facts.ratio_milli {
        Some(ratio) => ratio >= facts.min_milli,
        // Nothing was compared and nothing listed: nobody can say that they agree.
        None => facts.alone,
    };
    let all = !facts.wants_all || facts.present == facts.expected;
    match agreed && all {
        true => Status::Ok,
        false => Status::Degraded,
    }
}

/// Agreements of all points in thousandths, rounded down so that nothing counts as more than it is.
/// A conflict that was decided is still a point on which they differed.
#[must_use]
pub(crate) fn ratio_milli(agreements: usize, differences: usize) -> Option<u32> {
    let all = agreements + differences;
    let milli = (agreements * 1_000).checked_div(all)?;
    u32::try_from(milli).ok()
}
