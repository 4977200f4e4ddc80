//! The arbiter: asked to put an output together, to decide conflicts, or to judge; and how it is read.
//!
//! An arbiter is an agent like the others and believed as little: its answer is checked, what it says of
//! agents or conflicts that there are not is a failed try, and where it contradicts itself the conflict
//! stands.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::{Output, Panel, reason};
use crate::consensus::{Conflict, Resolved, Status};
use crate::exit::{Failure, FailureClass};
use crate::hash::derive_seed;
use crate::plan::Rule;
use crate::planner::Part;
use crate::planner::unit::work::{Ask, Move};

/// What the arbiter is asked to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Task {
    /// Put one output together, and say where the answers agree and where they do not.
    #[default]
    Synthesize,
    /// Decide open conflicts, or whether what there is will do.
    Decide,
    /// Say which answer is best.
    Judge,
    /// Settle issues that most of the members answer alike.
    Settle,
}

impl Task {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Synthesize => "synthesize",
            Self::Decide => "decide",
            Self::Judge => "judge",
            Self::Settle => "settle",
        }
    }
}

/// The arbiter's place.
#[derive(Debug, Default)]
pub(super) struct Bench {
    pub(super) task: Task,
    pub(super) asked: u32,
    tries: u32,
    pub(super) seat: Option<u32>,
    pub(super) error: Option<String>,
    pub(super) late: bool,
    pub(super) told: Option<String>,
    pub(super) effort: &'static str,
    /// What it is to decide about, and how the consensus stood then.
    pub(super) question: Option<(Status, String)>,
    /// Whether it says that what there is will do.
    sufficient: bool,
    pub(super) answer_sha256: Option<String>,
    /// Agents whose position it decided against, with the reason.
    pub(super) overridden: BTreeMap<String, String>,
}

impl Bench {
    pub(super) fn begin_round(&mut self) {
        self.tries = 0;
        self.error = None;
        self.late = false;
        self.told = None;
        self.question = None;
        self.sufficient = false;
        self.answer_sha256 = None;
        self.overridden.clear();
    }

    /// Whether the plan asked it if a degraded consensus will do, and it says so.
    pub(super) fn lets_pass(&self) -> bool {
        let asked = matches!(self.question, Some((Status::Degraded, _)));
        asked && self.sufficient && self.error.is_none()
    }

    /// Whether its failure leaves the step without an output: one that was to decide leaves what there
    /// was, and what it was to settle waits for a person.
    pub(super) fn leaves_nothing(&self) -> bool {
        self.error.is_some() && !matches!(self.task, Task::Decide | Task::Settle)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Synthesis {
    agreements: Vec<String>,
    conflicts: Vec<Difference>,
    output: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Difference {
    issue: String,
    positions: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Decisions {
    decisions: Vec<Decision>,
    sufficient: bool,
    output: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Decision {
    conflict: String,
    resolution: String,
    sided_with: Option<String>,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scores {
    scores: Vec<Score>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Score {
    agent: String,
    score: f64,
    reason: String,
}

impl Panel {
    /// Asks for the output.
    pub(super) fn ask_bench(&mut self, after_ms: u64) -> Move {
        if after_ms == 0 && self.bench.told.is_none() {
            self.bench.task = match self.spec.rule {
                Rule::BestOf => Task::Judge,
                Rule::Issues => Task::Settle,
                _ => Task::Synthesize,
            };
        }
        self.put_to_bench(after_ms)
    }

    /// Asks for a decision.
    pub(super) fn ask_to_decide(&mut self, status: Status, question: &str) -> Move {
        self.bench.begin_round();
        self.bench.task = Task::Decide;
        self.bench.question = Some((status, question.to_owned()));
        self.put_to_bench(0)
    }

    fn put_to_bench(&mut self, after_ms: u64) -> Move {
        let place = self.members.len();
        let Some(arbiter) = self.spec.arbiter.clone() else {
            debug_assert!(
                false,
                "the checks of a plan let no rule pass that needs an arbiter"
            );
            let message = "this consensus has no arbiter";
            return Move::End(Err(Failure::new(FailureClass::Internal, message)));
        };
        let seat = self.seat(place, self.bench.asked);
        let input = self.bench_input();
        self.note_large(&input, place);
        self.bench.asked += 1;
        self.bench.tries += 1;
        self.bench.seat = Some(seat);
        let schema = Arc::new(self.bench_schema());
        Move::Ask(vec![Ask {
            after_ms,
            timeout_ms: self.spec.agent_timeout_ms,
            schema: Some(schema),
            ..Ask::plain(Part::Seat(seat), &arbiter, None, Arc::new(input))
        }])
    }

    pub(super) fn bench_heard(&mut self, result: Result<Value, Failure>) -> Move {
        let answer_sha256 = result.as_ref().ok().map(crate::consensus::sha256_of);
        let read = result.and_then(|answer| match self.bench.task {
            Task::Synthesize => self.synthesis(answer),
            Task::Decide => self.decisions(answer),
            Task::Judge => self.scores(answer),
            Task::Settle => self.settlements(answer),
        });
        match read {
            Ok(()) => {
                self.bench.error = None;
                self.bench.answer_sha256 = answer_sha256;
                self.conclude()
            }
            Err(failure) if failure.class == FailureClass::Internal => Move::End(Err(failure)),
            Err(failure) => match self.another_bench(&failure) {
                Some(wait) => self.put_to_bench(wait),
                None => {
                    self.bench.late = failure.class == FailureClass::Timeout;
                    let error = format!("{}: {}", failure.class.word(), failure.message);
                    self.bench.error = Some(error);
                    self.conclude()
                }
            },
        }
    }

    fn another_bench(&mut self, failure: &Failure) -> Option<u64> {
        // Its questions are counted over all rounds, so the round need not be named.
        let names = [
            self.step_id.as_str(),
            &self.attempt.to_string(),
            "arbiter",
            &self.bench.asked.to_string(),
        ];
        let seed = derive_seed(self.seed, &names);
        let wait = self.retry.next(self.bench.tries, failure.class, seed)?;
        let told = reason(self.bench.tries, self.retry.max_attempts, &failure.message);
        self.bench.told = Some(told);
        Some(wait)
    }

    fn synthesis(&mut self, answer: Value) -> Result<(), Failure> {
        let read: Synthesis = read(answer)?;
        let output = self.usable(read.output)?;
        // All is looked at before any of it is kept: an answer that is refused must leave nothing for the next.
        let known: BTreeSet<&str> = self.spec.agents.iter().map(String::as_str).collect();
        for difference in &read.conflicts {
            let stranger = difference
                .positions
                .keys()
                .find(|it| !known.contains(it.as_str()));
            if let Some(stranger) = stranger {
                return Err(wrong(format!(
                    "a position is given to `{stranger}`, which is not an agent of this step"
                )));
            }
            if difference.issue.trim().is_empty() {
                return Err(wrong("a conflict has no issue".to_owned()));
            }
        }
        for agreement in read.agreements {
            let plain = agreement.trim().to_lowercase();
            let both = |it: &Difference| it.issue.trim().to_lowercase() == plain;
            if read.conflicts.iter().any(both) {
                // It says both, so it is not agreed.
                let note = format!("the arbiter lists as agreed and as a conflict: {agreement}");
                self.notes.insert(note);
            } else if !plain.is_empty() {
                self.agreements.push(agreement);
            }
        }
        let conflicts = read.conflicts.into_iter().map(|it| Conflict {
            id: String::new(),
            issue: it.issue,
            positions: it.positions,
            found_by: "arbiter".to_owned(),
        });
        self.conflicts.extend(conflicts);
        self.output = Some(Output {
            value: output,
            seat: self.bench.seat,
        });
        Ok(())
    }

    fn decisions(&mut self, answer: Value) -> Result<(), Failure> {
        let read: Decisions = read(answer)?;
        let output = self.usable(read.output)?;
        // All is looked at before any of it is kept: an answer that is refused must leave nothing for the next.
        let mut decided: BTreeMap<&str, &Decision> = BTreeMap::new();
        for decision in &read.decisions {
            let id = decision.conflict.as_str();
            if !self.conflicts.iter().any(|it| it.id == id) {
                return Err(wrong(format!("`{id}` is not an open conflict")));
            }
            let sided = decision.sided_with.as_ref();
            if let Some(stranger) = sided.filter(|it| !self.spec.agents.contains(it)) {
                let message =
                    format!("it sides with `{stranger}`, which is not an agent of this step");
                return Err(wrong(message));
            }
            if decision.resolution.trim().is_empty() {
                return Err(wrong(format!("the decision about `{id}` resolves nothing")));
            }
            if decided.insert(id, decision).is_some() {
                return Err(wrong(format!("it decides `{id}` twice")));
            }
        }
        let mut open = Vec::new();
        for conflict in std::mem::take(&mut self.conflicts) {
            let Some(decision) = decided.get(conflict.id.as_str()) else {
                open.push(conflict);
                continue;
            };
            // Who says the same as the agent that was followed was not decided against.
            let followed = decision
                .sided_with
                .as_ref()
                .and_then(|agent| conflict.positions.get(agent));
            for (agent, position) in &conflict.positions {
                if followed != Some(position) {
                    let reason = decision.reason.clone();
                    self.bench.overridden.insert(agent.clone(), reason);
                }
            }
            self.resolved.push(Resolved {
                id: conflict.id,
                issue: conflict.issue,
                positions: conflict.positions,
                found_by: conflict.found_by,
                resolution: decision.resolution.clone(),
                arbiter_decision: decision.reason.clone(),
                sided_with: decision.sided_with.clone(),
            });
        }
        self.conflicts = open;
        self.bench.sufficient = read.sufficient;
        self.output = Some(Output {
            value: output,
            seat: self.bench.seat,
        });
        Ok(())
    }

    fn scores(&mut self, answer: Value) -> Result<(), Failure> {
        let read: Scores = read(answer)?;
        let answers = self.answers();
        let mut best: Option<(&str, &Value, &Score)> = None;
        for (agent, output) in &answers {
            let mut scores = read.scores.iter().filter(|it| it.agent == *agent);
            let (Some(score), None) = (scores.next(), scores.next()) else {
                return Err(wrong(format!("`{agent}` has not exactly one score")));
            };
            if !(0.0..=1.0).contains(&score.score) {
                return Err(wrong(format!("the score of `{agent}` is not from 0 to 1")));
            }
            // The first of equals: the plan's order decides, not who answered first.
            if best.is_none_or(|(_, _, before)| score.score > before.score) {
                best = Some((agent, output, score));
            }
        }
        let known = |it: &&Score| !answers.iter().any(|(agent, _)| *agent == it.agent);
        if let Some(stranger) = read.scores.iter().find(known) {
            let message = format!("`{}` has a score and gave no answer", stranger.agent);
            return Err(wrong(message));
        }
        let Some((agent, output, score)) = best else {
            return Err(wrong("it scores nobody".to_owned()));
        };
        let judged = format!(
            "`{agent}` is the best of {}: {:.2}, {}",
            answers.len(),
            score.score,
            score.reason
        );
        let seats = self.members.iter().find(|it| it.agent == *agent);
        let output = Output {
            value: output.clone(),
            seat: seats.and_then(|it| it.seat),
        };
        self.agreements.push(judged);
        self.output = Some(output);
        Ok(())
    }
}

pub(super) fn read<T: serde::de::DeserializeOwned>(answer: Value) -> Result<T, Failure> {
    serde_json::from_value(answer)
        .map_err(|error| wrong(format!("the arbiter's answer is not of its form: {error}")))
}

pub(super) fn wrong(message: String) -> Failure {
    Failure::new(FailureClass::Output, message)
}
