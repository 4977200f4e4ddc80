//! Votes: answers that are the same at one place are one side, and the heaviest side may win.
//!
//! An absent voter counts against whoever wins: more than half of all who were to vote is needed, not of
//! those who came. That is why a vote that is won early cannot be lost by who comes late.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Conflict;
use super::compare::shortened;

/// One who votes, and for what.
#[derive(Clone, Copy, Debug)]
pub struct Voter<'a> {
    /// Its name.
    pub agent: &'a str,
    /// Its weight.
    pub weight: u64,
    /// Its answer; none when it did not answer.
    pub answer: Option<&'a Value>,
}

/// How a vote stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Count {
    /// The agents of the side that won, in the plan's order; empty when none did.
    pub winners: Vec<String>,
    /// What each side says, with its agents; the heaviest first, then by what it says.
    pub sides: Vec<(String, Vec<String>)>,
    /// Weight of the heaviest side, of all that voted, in thousandths; none when nobody did.
    pub ratio_milli: Option<u32>,
}

/// Counts. `needed_milli` is the share of all weight that wins, and at it only when `at_least`.
#[must_use]
pub fn count(voters: &[Voter<'_>], pointer: &str, needed_milli: u64, at_least: bool) -> Count {
    let total: u64 = voters.iter().map(|voter| voter.weight).sum();
    let mut sides: BTreeMap<String, (u64, Vec<String>)> = BTreeMap::new();
    let mut voted = 0_u64;
    for voter in voters {
        let said = voter.answer.and_then(|answer| answer.pointer(pointer));
        // Its weight stays in the total: an absent agent counts against whoever wins.
        let Some(said) = said else { continue };
        voted = voted.saturating_add(voter.weight);
        let said = serde_json_canonicalizer::to_string(said).unwrap_or_else(|_| said.to_string());
        let side = sides.entry(said).or_default();
        side.0 = side.0.saturating_add(voter.weight);
        side.1.push(voter.agent.to_owned());
    }
    let mut sides: Vec<(String, (u64, Vec<String>))> = sides.into_iter().collect();
    // Stable: sides of the same weight keep the order of what they say.
    sides.sort_by_key(|(_, (weight, _))| std::cmp::Reverse(*weight));
    let heaviest = sides.first().map_or(0, |(_, (weight, _))| *weight);
    let share = heaviest.saturating_mul(1_000);
    let needed = needed_milli.saturating_mul(total);
    let won = heaviest > 0 && (share > needed || (at_least && share == needed));
    let ratio = share.checked_div(voted);
    Count {
        winners: match sides.first() {
            Some((_, (_, agents))) if won => agents.clone(),
            _ => Vec::new(),
        },
        sides: sides
            .into_iter()
            .map(|(said, (_, agents))| (said, agents))
            .collect(),
        ratio_milli: ratio.and_then(|ratio| u32::try_from(ratio).ok()),
    }
}

impl Count {
    /// The sides as positions of a conflict.
    #[must_use]
    pub fn conflict(&self, issue: String) -> Conflict {
        let sides = self.sides.iter();
        let positions = sides.flat_map(|(said, agents)| {
            let agents = agents.iter();
            agents.map(move |agent| (agent.clone(), shortened(said)))
        });
        Conflict {
            id: String::new(),
            issue,
            positions: positions.collect(),
            found_by: "vote".to_owned(),
        }
    }
}
