//! What guardrails and checks said.

use std::collections::BTreeMap;

use flowhost_ledger::LentRecord;
use flowhost_ledger::records::lent::{Consensus, GuardVerdict};

use super::stored::{Held, Shelf, short, text};
use super::{GROUPS_MAX, Shown, Steps, Stored};

/// Guardrails and checks that are counted. A `foreach` may guard each of its items by a name of its own.
const KEPT_MAX: usize = 2_000;

/// The verdicts of a run.
#[derive(Debug, Clone, Default)]
pub struct Verdicts {
    /// Each guardrail or check with how often it said what.
    pub tallies: Shown<Tally>,
    /// Verdicts that are not a plain pass.
    pub notable: Shown<Verdict>,
    /// All of them.
    pub total: u64,
    /// What agents that were asked together came to, round by round.
    pub consensus: Shown<Ruling>,
}

/// What a round of a consensus step came to.
#[derive(Debug, Clone, Default)]
pub struct Ruling {
    /// The record.
    pub seq: u64,
    /// Path of the step.
    pub step: String,
    /// The attempt at the step and the round within it, from 1.
    pub place: (u64, u64),
    /// `ok`, `conflict`, `degraded` or `missing`.
    pub status: String,
    /// What the plan does about it.
    pub decision: String,
    /// Agents whose output counts, of how many.
    pub present: (u64, u64),
    /// Points that agree, open conflicts, conflicts that were decided.
    pub points: (u64, u64, u64),
    /// The verdict, as JSON.
    pub verdict: Stored,
}

/// How often a guardrail or check said what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Its name.
    pub guard: String,
    /// Whether it is one of a step's checks.
    pub is_check: bool,
    /// It let things through.
    pub pass: u64,
    /// It changed something.
    pub rewrite: u64,
    /// It refused.
    pub deny: u64,
}

/// One verdict.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    /// The record.
    pub seq: u64,
    /// Who spoke.
    pub guard: String,
    /// Path of the step.
    pub step: String,
    /// Where in the step: `before-0`, `after`, …
    pub part: String,
    /// The tool whose call it was about; empty for the step itself.
    pub tool: String,
    /// `rewrite`, `deny`, or `pass` with findings.
    pub verdict: String,
    /// Whether a refusal was only a warning.
    pub warned: bool,
    /// How many findings it has.
    pub findings: u64,
    /// What it found, as JSON.
    pub found: Stored,
}

#[derive(Default)]
pub(super) struct VerdictsOf {
    tallies: BTreeMap<(bool, String), Tally>,
    left_out: u64,
    notable: Shown<(Verdict, Held)>,
    total: u64,
    consensus: Shown<(Ruling, Held)>,
}

impl VerdictsOf {
    pub(super) fn record(&mut self, record: &LentRecord<'_>, said: &GuardVerdict<'_>) {
        // A warning is told with the budget's.
        let Some(verdict) = said.verdict.as_deref() else {
            return;
        };
        self.total = self.total.saturating_add(1);
        let is_check = said.check.is_some();
        let guard = text(said.check.as_ref().or(said.guard.as_ref()));
        let key = (is_check, guard.clone());
        if self.tallies.len() < KEPT_MAX || self.tallies.contains_key(&key) {
            let tally = self.tallies.entry(key).or_insert_with(|| Tally {
                guard: guard.clone(),
                is_check,
                ..Tally::default()
            });
            match verdict {
                "pass" => tally.pass += 1,
                "rewrite" => tally.rewrite += 1,
                _ => tally.deny += 1,
            }
        } else {
            // Whether its name is a new one nobody can say without keeping it: each counts as one, so that the page never says
            // that fewer are missing than there are.
            self.left_out += 1;
        }
        let findings = said.findings.unwrap_or(0);
        if verdict != "pass" || findings > 0 {
            let verdict = Verdict {
                seq: record.seq,
                guard,
                step: text(said.place.step.as_ref()),
                part: text(said.part.as_ref()),
                tool: text(said.tool.as_ref()),
                verdict: text(said.verdict.as_ref()),
                warned: said.warned == Some(true),
                findings,
                found: Stored::None,
            };
            self.notable.push((verdict, Held::of(record)), GROUPS_MAX);
        }
    }

    pub(super) fn ruling(&mut self, record: &LentRecord<'_>, said: &Consensus<'_>) {
        let ruling = Ruling {
            seq: record.seq,
            step: short(&said.at.path),
            place: (said.attempt, said.round),
            status: short(&said.status),
            decision: short(&said.decision),
            present: (said.present, said.expected),
            points: (said.agreements, said.conflicts, said.resolved),
            verdict: Stored::None,
        };
        self.consensus.push((ruling, Held::of(record)), GROUPS_MAX);
    }

    pub(super) fn finish(self, steps: &Steps, shelf: &mut Shelf<'_>) -> Verdicts {
        let tallies: Vec<Tally> = self.tallies.into_values().collect();
        let tallies = Shown::first(tallies, GROUPS_MAX);
        let notable = self.notable.items.into_iter().map(|(mut verdict, held)| {
            verdict.step = steps.path(&verdict.step);
            verdict.found = shelf.take(&held);
            verdict
        });
        Verdicts {
            tallies: Shown {
                total: tallies.total.saturating_add(self.left_out),
                ..tallies
            },
            notable: Shown {
                items: notable.collect(),
                total: self.notable.total,
            },
            total: self.total,
            consensus: Shown {
                total: self.consensus.total,
                items: self
                    .consensus
                    .items
                    .into_iter()
                    .map(|(mut ruling, held)| {
                        ruling.verdict = shelf.take(&held);
                        ruling
                    })
                    .collect(),
            },
        }
    }
}
