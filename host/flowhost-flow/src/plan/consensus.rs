//! `consensus:` as a value: who answers, how the answers are compared, and what follows.
//!
//! A step's keys win over those of `defaults.consensus`, key by key. What does not go together is
//! reported by `check/consensus.rs`.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::consensus::{By, Point, Status};
use crate::exit::Exit;
use crate::plan::defaults::{duration, thousandths};
use crate::plan::parse::members;
use crate::plan::tree::{Data, Node};
use crate::plan::walk::number;

/// Least share of agreement when a plan does not say, in thousandths: one of ten things may be said
/// otherwise before agents are taken to disagree.
const AGREEMENT_MILLI: u32 = 900;
/// Least share of shared entries of a comparison by overlap: more of it is shared than is not.
const OVERLAP_MILLI: u32 = 500;
/// Least share of shared words of a comparison by text: rewording passes, another claim does not.
const TEXT_MILLI: u32 = 800;

/// Asks several agents and makes one output of their answers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Consensus {
    /// Who answers, in this order.
    pub agents: Vec<String>,
    /// Whether each sees the earlier answers.
    pub mode: Mode,
    /// What makes one output of them.
    pub rule: Rule,
    /// Who puts the output together, decides conflicts, or judges.
    pub arbiter: Option<String>,
    /// Weight of each agent in thousandths, for [`Rule::Weighted`].
    pub weights: BTreeMap<String, u32>,
    /// JSON Pointer to what a vote is about; empty for the whole answer.
    pub vote: String,
    /// Fewer answers than this are no consensus.
    pub min_participation: u32,
    /// Least share of agreement, in thousandths.
    pub min_agreement_milli: u32,
    /// Points that the host compares itself.
    pub compare: Vec<Point>,
    /// Tried left to right when less took part or agrees than wanted.
    pub on_degraded: Vec<React>,
    /// Tried left to right when a difference is open.
    pub on_conflict: Vec<React>,
    /// Tried left to right when there is no output.
    pub on_no_consensus: Vec<React>,
    /// Whether agents with the same component and configuration are counted once.
    pub distinct: bool,
    /// Whether nobody is asked any more once the outcome is decided.
    pub early_stop: bool,
    /// JSON Pointer into the step's `with`, to the signals by which fewer agents may be asked; without it all are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub select: Option<String>,
    /// Milliseconds that one answer may take; without it the step's time is the only bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_timeout_ms: Option<u64>,
}

/// How agents are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// One after the other; each sees the earlier answers.
    Relay,
    /// All at once; none sees another.
    Parallel,
}

impl Mode {
    /// The word in the plan.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Relay => "relay",
            Self::Parallel => "parallel",
        }
    }
}

/// What makes one output of the answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// The arbiter puts it together.
    Arbiter,
    /// What more than half of all agents say.
    Majority,
    /// What more than half of all weight says.
    Weighted,
    /// What all say.
    Unanimous,
    /// The answer that the arbiter judges best.
    BestOf,
    /// A list of what they object to, with what settles each.
    Issues,
}

impl Rule {
    /// The word in the plan.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Arbiter => "arbiter",
            Self::Majority => "majority",
            Self::Weighted => "weighted",
            Self::Unanimous => "unanimous",
            Self::BestOf => "best_of",
            Self::Issues => "issues",
        }
    }

    /// Whether the agents vote.
    #[must_use]
    pub(crate) const fn is_vote(self) -> bool {
        matches!(self, Self::Majority | Self::Weighted | Self::Unanimous)
    }
}

/// What the plan does about a verdict that is not ok.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum React {
    /// Goes on with a recorded warning.
    Accept,
    /// Asks again: those that did not answer, or all where they differ.
    Retry,
    /// Asks the arbiter to decide.
    Arbiter,
    /// Ends the step.
    Halt,
}

impl React {
    /// The word in the plan.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Retry => "retry",
            Self::Arbiter => "arbiter",
            Self::Halt => "halt",
        }
    }
}

/// What follows where so many agents answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Follows {
    /// Agents that answer.
    pub present: u32,
    /// Agents that are asked.
    pub of: u32,
    /// The best status that the step can come to.
    pub status: &'static str,
    /// What the plan tries then, left to right.
    pub then: Vec<&'static str>,
    /// The exit code where that does not change how many there are: 0 where the step goes on.
    pub exit: u8,
}

impl Consensus {
    /// What follows from each number of agents that answer, all of them first.
    #[must_use]
    pub fn matrix(&self) -> Vec<Follows> {
        let of = u32::try_from(self.agents.len()).unwrap_or(u32::MAX);
        let row = |present: u32| {
            let (status, list): (Status, &[React]) = match present {
                all if all == of => (Status::Ok, &[]),
                few if few < self.min_participation => (Status::Missing, &self.on_no_consensus),
                // In a vote an absent agent counts against whoever wins, and is no reason to be degraded.
                _ if self.rule.is_vote() => (Status::Ok, &[]),
                _ => (Status::Degraded, &self.on_degraded),
            };
            let ends = list
                .iter()
                .find(|it| matches!(it, React::Accept | React::Halt));
            // An arbiter may let pass what is degraded; whether it does is not known before.
            let goes_on = status == Status::Ok || ends == Some(&React::Accept);
            let mut then: Vec<&'static str> = list.iter().map(|it| it.word()).collect();
            if status != Status::Ok && ends.is_none() {
                then.push(React::Halt.word());
            }
            Follows {
                present,
                of,
                status: status.word(),
                then,
                exit: match goes_on {
                    true => Exit::Ok.code(),
                    false => Exit::Degraded.code(),
                },
            }
        };
        (0..=of).rev().map(row).collect()
    }

    /// What the step says, and `defaults` where it does not.
    pub(super) fn read(own: &Node, defaults: Option<&Node>) -> Self {
        let get = |key: &str| {
            own.get(key)
                .or_else(|| defaults.and_then(|node| node.get(key)))
        };
        let names = |key: &str| -> Vec<String> {
            let nodes = get(key).map(Node::elements).unwrap_or_default();
            let names = nodes.iter().filter_map(Node::text);
            names.map(str::to_owned).collect()
        };
        let word = |key: &str| get(key).and_then(Node::text);
        let is = |key: &str| matches!(get(key).map(|node| &node.data), Some(Data::Bool(true)));
        let agents = names("agents");
        let rule = match word("rule") {
            Some("majority") => Rule::Majority,
            Some("weighted") => Rule::Weighted,
            Some("unanimous") => Rule::Unanimous,
            Some("best_of") => Rule::BestOf,
            Some("issues") => Rule::Issues,
            _ => Rule::Arbiter,
        };
        let weights_of = match own.get("weights") {
            Some(_) => Some(own),
            None => defaults,
        };
        let weights = weights_of.into_iter().flat_map(|of| members(of, "weights"));
        let more_than_half = u32::try_from(agents.len() / 2 + 1).unwrap_or(1);
        let participation = get("min_participation").and_then(|node| node.json().as_u64());
        let agreement = get("min_agreement").and_then(number).map(thousandths);
        Self {
            mode: match word("mode") {
                Some("relay") => Mode::Relay,
                _ => Mode::Parallel,
            },
            arbiter: word("arbiter").map(str::to_owned),
            weights: weights
                .filter_map(|(name, node)| Some((name.to_owned(), thousandths(number(node)?))))
                .collect(),
            vote: word("vote").unwrap_or_default().to_owned(),
            min_participation: participation
                .and_then(|count| u32::try_from(count).ok())
                .unwrap_or(more_than_half),
            min_agreement_milli: agreement.unwrap_or(match rule {
                Rule::Arbiter | Rule::BestOf => AGREEMENT_MILLI,
                // Where issues differ, somebody settles them; that is what the rule is for.
                Rule::Majority | Rule::Weighted | Rule::Unanimous | Rule::Issues => 0,
            }),
            compare: get("compare")
                .map(Node::elements)
                .unwrap_or_default()
                .iter()
                .map(point)
                .collect(),
            on_degraded: reacts(get("on_degraded")),
            on_conflict: reacts(get("on_conflict")),
            on_no_consensus: reacts(get("on_no_consensus")),
            distinct: is("distinct"),
            early_stop: is("early_stop"),
            select: word("select").map(str::to_owned),
            agent_timeout_ms: duration(Some(own), "agent_timeout")
                .or_else(|| duration(defaults, "agent_timeout")),
            agents,
            rule,
        }
    }
}

fn point(node: &Node) -> Point {
    let text = |key: &str| node.get(key).and_then(Node::text);
    let min = |default| {
        node.get("min")
            .and_then(number)
            .map_or(default, thousandths)
    };
    Point {
        at: text("at").unwrap_or_default().to_owned(),
        by: match text("by") {
            Some("size") => By::Size,
            Some("overlap") => By::Overlap {
                key: text("key").map(str::to_owned),
                min_milli: min(OVERLAP_MILLI),
            },
            Some("number") => By::Number {
                tolerance: node.get("tolerance").and_then(number).unwrap_or(0.0),
            },
            Some("set") => By::Set,
            Some("text") => By::Text {
                min_milli: min(TEXT_MILLI),
            },
            _ => By::Equal,
        },
    }
}

fn reacts(node: Option<&Node>) -> Vec<React> {
    let words = node.map(Node::elements).unwrap_or_default().iter();
    let reacts = words.filter_map(|word| match word.text()? {
        "accept" => Some(React::Accept),
        "retry" => Some(React::Retry),
        "arbiter" => Some(React::Arbiter),
        "halt" => Some(React::Halt),
        _ => None,
    });
    reacts.collect()
}
