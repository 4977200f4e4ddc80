//! The work of a consensus step: who is asked when, what counts, and what follows from the verdict.
//!
//! Owns the order of questions, retries of one agent, recovery rounds and the plan's `on_…` lists; whether
//! answers agree is said by [`crate::consensus`], how questions are put by `asks`, how an arbiter is read by
//! `arbiter`. Only answers that were asked for in this attempt can count: seats are numbered by agent and
//! try, and nothing else is heard. Must never let a difference pass that nobody decided.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde_json::Value;

use crate::consensus::issues::{self as of_issues, Issue, schema as issues_schema};
use crate::consensus::{Conflict, Resolved, Status, Verdict};
use crate::exit::{Failure, FailureClass};
use crate::hash::derive_seed;
use crate::plan::{Consensus, Mode, React, Rule};
use crate::planner::Part;
use crate::planner::unit::work::{Ask, Heard, Move, Remark, Work};
use crate::retry::RetryPolicy;
use crate::schema_check::OutputSchema;

mod arbiter;
mod asks;
mod choice;
mod issues;
mod members;
#[cfg(test)]
mod tests;
mod verdicts;

use arbiter::Bench;
use choice::Choice;
use members::{Member, State};

/// Characters of a position that a failure tells: a line on a screen for each agent.
const TOLD_CHARS_MAX: usize = 80;

/// What a panel is convened with.
pub(super) struct Convened {
    pub(super) spec: Arc<Consensus>,
    /// Agents that are the same as one before them, by name: not asked, because they count once.
    pub(super) duplicates: Vec<String>,
    pub(super) input: Arc<Value>,
    pub(super) stage: Option<String>,
    pub(super) schema: Option<OutputSchema>,
    /// Characters of the step's prompt.
    pub(super) prompt_chars: usize,
    pub(super) retry: RetryPolicy,
    /// What waits between tries are drawn from: seed of the run, id of the step, attempt.
    pub(super) seed: u64,
    pub(super) step_id: String,
    pub(super) attempt: u32,
}

/// What came of the answers.
#[derive(Debug)]
struct Output {
    value: Value,
    /// The seat that it came from.
    seat: Option<u32>,
}

/// Several agents and, where the plan names one, their arbiter.
#[derive(Debug)]
pub(super) struct Panel {
    spec: Arc<Consensus>,
    members: Vec<Member>,
    /// How many the work is worth, where the plan lets that be chosen.
    chosen: Option<usize>,
    bench: Bench,
    input: Arc<Value>,
    stage: Option<String>,
    schema: Option<OutputSchema>,
    prompt_chars: usize,
    retry: RetryPolicy,
    seed: u64,
    step_id: String,
    attempt: u32,
    /// From 1; a recovery begins another.
    round: u32,
    /// What is left of the plan's lists.
    on_degraded: VecDeque<React>,
    on_conflict: VecDeque<React>,
    on_no_consensus: VecDeque<React>,
    /// What the host and the arbiter found in this round.
    agreements: Vec<String>,
    conflicts: Vec<Conflict>,
    resolved: Vec<Resolved>,
    /// What the members raised in this round, by [`Rule::Issues`].
    issues: Vec<Issue>,
    output: Option<Output>,
    /// Why the latest recovery was begun.
    recovering: Option<String>,
    /// A conflict was seen: whoever is asked from now on is told to think hard.
    disagreed: bool,
    escalation: Option<String>,
    /// Sorted, so that who answered first does not show.
    notes: BTreeSet<String>,
    remarks: Vec<Remark>,
}

impl Panel {
    pub(super) fn new(convened: Convened) -> Self {
        let Convened { spec, .. } = &convened;
        let choice = Choice::of(&convened);
        let mut places = 0..choice.agents.unwrap_or(usize::MAX);
        let members = spec.agents.iter().map(|agent| {
            let state = match convened.duplicates.contains(agent) {
                true => State::Duplicate,
                false if places.next().is_none() => State::Spare,
                false => State::Waiting,
            };
            Member::new(agent, state)
        });
        let queue = |list: &[React]| list.iter().copied().collect();
        Self {
            members: members.collect(),
            chosen: choice.agents,
            bench: Bench::default(),
            on_degraded: queue(&spec.on_degraded),
            on_conflict: queue(&spec.on_conflict),
            on_no_consensus: queue(&spec.on_no_consensus),
            input: convened.input,
            stage: convened.stage,
            schema: convened.schema,
            prompt_chars: convened.prompt_chars,
            retry: convened.retry,
            seed: convened.seed,
            step_id: convened.step_id,
            attempt: convened.attempt,
            round: 1,
            agreements: Vec::new(),
            conflicts: Vec::new(),
            resolved: Vec::new(),
            issues: Vec::new(),
            output: None,
            recovering: None,
            disagreed: false,
            escalation: None,
            notes: choice.note.into_iter().collect(),
            remarks: choice.warning.map(Remark::Warning).into_iter().collect(),
            spec: convened.spec,
        }
    }

    /// The seat of an agent's next call: the same whoever answers first, and never used twice.
    fn seat(&self, place: usize, asked_before: u32) -> u32 {
        let seats = u32::try_from(self.members.len() + 1).unwrap_or(u32::MAX);
        let place = u32::try_from(place).unwrap_or(u32::MAX);
        asked_before.saturating_mul(seats).saturating_add(place)
    }

    /// Asks whoever is next: all that wait, or in a relay the first of them.
    fn ask_waiting(&mut self) -> Vec<Ask> {
        let waiting = self.members.iter().enumerate();
        let waiting = waiting.filter(|(_, member)| member.state == State::Waiting);
        let places: Vec<usize> = waiting.map(|(place, _)| place).collect();
        let most = match self.spec.mode {
            Mode::Relay => 1,
            Mode::Parallel => places.len(),
        };
        let places = places.into_iter().take(most);
        places
            .filter_map(|place| self.ask_member(place, 0))
            .collect()
    }

    fn ask_member(&mut self, place: usize, after_ms: u64) -> Option<Ask> {
        let asked = self.members.get(place)?.asked;
        let seat = self.seat(place, asked);
        let input = self.member_input(place);
        self.note_large(&input, place);
        let member = self.members.get_mut(place)?;
        member.ask(seat);
        Some(Ask {
            after_ms,
            timeout_ms: self.spec.agent_timeout_ms,
            // What the step's own schema is about is the list that comes of it.
            schema: (self.spec.rule == Rule::Issues).then(|| Arc::new(issues_schema())),
            ..Ask::plain(Part::Seat(seat), &member.agent, None, Arc::new(input))
        })
    }

    fn member_heard(&mut self, place: usize, result: Result<Value, Failure>) -> Move {
        let checked = result.and_then(|output| self.usable(output));
        match checked {
            Ok(output) => {
                if let Some(member) = self.members.get_mut(place) {
                    member.answered(output);
                }
            }
            // The host failed and not the agent: asking others would not mend that.
            Err(failure) if failure.class == FailureClass::Internal => {
                return Move::End(Err(failure));
            }
            Err(failure) => {
                if let Some(wait) = self.another_try(place, &failure) {
                    return Move::Ask(self.ask_member(place, wait).into_iter().collect());
                }
                if let Some(member) = self.members.get_mut(place) {
                    member.failed(&failure);
                }
            }
        }
        if self.spec.early_stop && self.is_decided() {
            return self.conclude();
        }
        if self.members.iter().any(|it| it.state == State::Asked) {
            return Move::Ask(Vec::new());
        }
        match self.ask_waiting() {
            asks if asks.is_empty() => self.all_heard(),
            asks => Move::Ask(asks),
        }
    }

    /// Milliseconds until the agent is asked again, and the reason that it will be told.
    fn another_try(&mut self, place: usize, failure: &Failure) -> Option<u64> {
        let member = self.members.get_mut(place)?;
        let tries = member.tries.to_string();
        // Tries are counted from 1 in each round, so the round is named too: no two waits share a seed.
        let names = [
            self.step_id.as_str(),
            &self.attempt.to_string(),
            &member.agent,
            &self.round.to_string(),
            &tries,
        ];
        let seed = derive_seed(self.seed, &names);
        let wait = self.retry.next(member.tries, failure.class, seed)?;
        member.told = Some(reason(
            member.tries,
            self.retry.max_attempts,
            &failure.message,
        ));
        Some(wait)
    }

    /// The output, or why it does not count.
    fn usable(&self, output: Value) -> Result<Value, Failure> {
        let wrong = |message| Err(Failure::new(FailureClass::Output, message));
        if let (Some(own), Some(said)) = (&self.stage, output.get("stage").and_then(Value::as_str))
            && own != said
        {
            return wrong(format!("the answer is of the stage `{said}`, not `{own}`"));
        }
        if self.spec.rule == Rule::Issues {
            return match of_issues::fault(&output) {
                Some(why) => wrong(format!("the output is not what is asked for: {why}")),
                None => Ok(output),
            };
        }
        let violations = self.schema.as_ref().and_then(|it| it.violations(&output));
        match violations {
            Some(violations) => wrong(format!(
                "the output does not match its schema: {violations}"
            )),
            None => Ok(output),
        }
    }

    /// Nobody of the members is out any more.
    fn all_heard(&mut self) -> Move {
        self.compare();
        let present = self.present();
        let enough = present >= self.required();
        match self.spec.rule {
            // Nothing is to be put together or judged: the one answer is the output.
            Rule::Arbiter | Rule::BestOf if enough && self.is_alone() => {
                self.take_only_answer();
                self.conclude()
            }
            Rule::Arbiter | Rule::BestOf if enough => self.ask_bench(0),
            Rule::Issues if enough => self.sort_issues(),
            _ => self.conclude(),
        }
    }

    fn take_only_answer(&mut self) {
        let answered = self.members.iter().find_map(|member| {
            Some(Output {
                value: member.output.clone()?,
                seat: member.seat,
            })
        });
        debug_assert!(answered.is_some(), "enough have answered");
        self.output = answered;
    }

    /// A verdict, and what the plan does about it.
    fn conclude(&mut self) -> Move {
        if self.spec.rule.is_vote() && self.resolved.is_empty() {
            self.count_votes();
        }
        if self.spec.rule == Rule::Issues && self.present() >= self.spec.min_participation {
            self.close_issues();
        }
        // What was numbered before keeps its number: an arbiter has been told of it.
        let decided = self.resolved.len();
        let unnamed = self.conflicts.iter_mut().enumerate();
        for (place, conflict) in unnamed.filter(|(_, it)| it.id.is_empty()) {
            conflict.id = format!("c{}", decided + place + 1);
        }
        let mut verdict = self.verdict();
        self.disagreed |= verdict.status == Status::Conflict;
        let next = match verdict.status {
            Status::Ok => None,
            Status::Conflict => self.on_conflict(&mut verdict),
            Status::Degraded => Some(self.on_degraded.pop_front().unwrap_or(React::Halt)),
            Status::Missing => Some(self.on_no_consensus.pop_front().unwrap_or(React::Halt)),
        };
        // The plan asked the arbiter whether what there is will do, and it says so. What it says of that
        // while it decides a conflict is not asked for, and lets nothing pass.
        let next = match (next, verdict.status, self.bench.lets_pass()) {
            (Some(_), Status::Degraded, true) => {
                verdict.accepted_by = Some("arbiter".to_owned());
                Some(React::Accept)
            }
            (next, ..) => next,
        };
        match next {
            None => verdict.decision = "pass".to_owned(),
            Some(React::Accept) => {
                verdict.decision = "accept".to_owned();
                verdict.accepted_by.get_or_insert_with(|| "plan".to_owned());
                let message = format!("a degraded consensus was accepted: {}", verdict.reason);
                self.remarks.push(Remark::Warning(message));
            }
            Some(React::Retry) => verdict.decision = "retry".to_owned(),
            Some(React::Arbiter) => {
                verdict.decision = "arbiter".to_owned();
                let why = format!("the arbiter is to decide: {}", verdict.reason);
                self.escalation = Some(why.clone());
                verdict.escalation_triggered = true;
                verdict.escalation_reason = Some(why);
            }
            Some(React::Halt) => verdict.decision = "halt".to_owned(),
        }
        let (status, why) = (verdict.status, verdict.reason.clone());
        self.remarks.push(Remark::Verdict(Arc::new(verdict)));
        match next {
            None | Some(React::Accept) => match self.output.take() {
                Some(output) => Move::End(Ok(output.value)),
                None => {
                    debug_assert!(
                        false,
                        "what has no output is missing, and neither ok nor degraded"
                    );
                    Move::End(Err(failure_of(Status::Missing, &why)))
                }
            },
            Some(React::Retry) => self.recover(status, &why),
            Some(React::Arbiter) => self.ask_to_decide(status, &why),
            Some(React::Halt) => {
                let why = self.with_arbiter(status, self.with_positions(why));
                Move::End(Err(failure_of(status, &why)))
            }
        }
    }

    /// The reason with who said what about the first open conflict: with it a person can go on without the
    /// records. The verdict has all of them, whole.
    fn with_positions(&self, why: String) -> String {
        let Some(conflict) = self.conflicts.first() else {
            return why;
        };
        let positions = conflict.positions.iter();
        let said = positions.map(|(agent, position)| {
            let beginning: String = position.chars().take(TOLD_CHARS_MAX).collect();
            let rest = if beginning.len() < position.len() {
                "…"
            } else {
                ""
            };
            format!("{agent} says \"{beginning}{rest}\"")
        });
        format!("{why} ({})", said.collect::<Vec<_>>().join(", "))
    }

    /// The reason with what became of an arbiter who was asked and failed: without it a person would be told to let one
    /// decide, and would not look at the one that could not. Of an output that is missing the reason says it already.
    fn with_arbiter(&self, status: Status, why: String) -> String {
        match (&self.bench.error, status) {
            (Some(error), Status::Conflict | Status::Degraded) => {
                format!("{why}; the arbiter was asked, and its answer does not count: {error}")
            }
            _ => why,
        }
    }

    /// The next of `on_conflict`. Where too little is shared, another try would only repeat the
    /// difference, so a `retry` is passed over.
    fn on_conflict(&mut self, verdict: &mut Verdict) -> Option<React> {
        loop {
            let next = self.on_conflict.pop_front().unwrap_or(React::Halt);
            if next != React::Retry || !self.is_too_far_apart() {
                return Some(next);
            }
            let why = "agreement is too low for another try".to_owned();
            verdict.escalation_triggered = true;
            verdict.escalation_reason = Some(why.clone());
            self.escalation = Some(why);
        }
    }

    /// Another round: those that did not answer, or all of them where they differ.
    fn recover(&mut self, status: Status, why: &str) -> Move {
        let (round, rounds) = (self.round, self.round + self.retries_left(status) + 1);
        self.round += 1;
        self.recovering = Some(reason(round, rounds, why));
        let absent = self.members.iter().any(Member::is_absent);
        let arbiter_failed = self.bench.error.is_some();
        self.bench.begin_round();
        self.output = None;
        if status != Status::Conflict && !absent && arbiter_failed {
            return match self.spec.rule {
                // What it failed to settle was left to a person: put together anew, it is the arbiter's again.
                Rule::Issues => self.sort_issues(),
                _ => self.ask_bench(0),
            };
        }
        let all = status == Status::Conflict || !absent;
        for member in &mut self.members {
            if all || member.is_absent() {
                member.begin_round(self.recovering.clone());
            }
        }
        self.agreements.clear();
        self.conflicts.clear();
        self.resolved.clear();
        self.issues.clear();
        Move::Ask(self.ask_waiting())
    }

    fn retries_left(&self, status: Status) -> u32 {
        let list = match status {
            Status::Conflict => &self.on_conflict,
            Status::Degraded => &self.on_degraded,
            Status::Ok | Status::Missing => &self.on_no_consensus,
        };
        let left = list.iter().filter(|it| **it == React::Retry).count();
        u32::try_from(left).unwrap_or(0)
    }

    /// The answers that count, in the plan's order.
    fn answers(&self) -> Vec<(&str, &Value)> {
        let members = self.members.iter();
        members
            .filter_map(|member| Some((member.agent.as_str(), member.output.as_ref()?)))
            .collect()
    }
}

impl Work for Panel {
    fn begin(&mut self) -> Vec<Ask> {
        for member in self
            .members
            .iter()
            .filter(|it| it.state == State::Duplicate)
        {
            let agent = &member.agent;
            let message = format!(
                "the agent `{agent}` is the same as one before it and is not counted again"
            );
            self.remarks.push(Remark::Warning(message));
        }
        self.ask_waiting()
    }

    fn heard(&mut self, heard: Heard) -> Move {
        let Part::Seat(seat) = heard.part else {
            debug_assert!(false, "a panel asks seats only");
            return Move::Ask(Vec::new());
        };
        let bench = self.members.len();
        let place = seat as usize % (bench + 1);
        match place == bench {
            true => self.bench_heard(heard.result),
            false => self.member_heard(place, heard.result),
        }
    }

    fn remarks(&mut self) -> Vec<Remark> {
        std::mem::take(&mut self.remarks)
    }
}

/// What the next one who is asked hears of a failure.
fn reason(try_number: u32, tries: u32, why: &str) -> String {
    format!("previous attempt failed ({try_number} of {tries}): {why}")
}

fn failure_of(status: Status, why: &str) -> Failure {
    let (class, what) = match status {
        Status::Conflict => (
            FailureClass::Contradiction,
            "the agents contradict each other",
        ),
        Status::Degraded => (FailureClass::Consensus, "the consensus is degraded"),
        Status::Ok | Status::Missing => (FailureClass::Consensus, "the agents reach no consensus"),
    };
    Failure::new(class, format!("{what}: {why}")).with_hint(
        "`flowhost runs show RUN --step STEP` lists what each agent said; `on_conflict`, `on_degraded` and \
         `on_no_consensus` say what the plan does about it",
    )
}

/// What is kept of the answers by name.
fn positions(answers: &[(&str, &Value)]) -> BTreeMap<String, Value> {
    let answers = answers.iter();
    answers
        .map(|(agent, output)| ((*agent).to_owned(), (*output).clone()))
        .collect()
}
