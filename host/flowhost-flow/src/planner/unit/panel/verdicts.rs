//! From how the members stand to a verdict.

use super::{Output, Panel, State};
use crate::consensus::vote::{self, Count, Voter};
use crate::consensus::{
    Facts, Participant, Participation, RECOVERABLE_MILLI, Resolved, Status, Verdict, compare,
    judge, ratio_milli, sha256_of,
};
use crate::effort;
use crate::plan::Rule;

impl Panel {
    /// Agents whose output counts.
    pub(super) fn present(&self) -> u32 {
        count(self.answers().len())
    }

    pub(super) fn expected(&self) -> u32 {
        count(self.members.iter().filter(|it| it.is_expected()).count())
    }

    /// Fewer than this are no consensus: never more than were chosen to answer.
    pub(super) fn required(&self) -> u32 {
        match self.chosen {
            Some(chosen) => self.spec.min_participation.min(count(chosen)),
            None => self.spec.min_participation,
        }
    }

    /// Whether one agent was chosen to answer alone.
    pub(super) fn is_alone(&self) -> bool {
        self.chosen == Some(1)
    }

    /// Those that were to answer and did not.
    pub(super) fn missing(&self) -> Vec<&str> {
        let absent = self.members.iter().filter(|it| it.is_absent());
        absent.map(|member| member.agent.as_str()).collect()
    }

    /// Compares what the host can compare without a model.
    pub(super) fn compare(&mut self) {
        let answers = self.answers();
        let found: Vec<_> = self
            .spec
            .compare
            .iter()
            .take_while(|_| effort::goes_on(effort::LONG))
            .filter_map(|point| compare(point, &answers))
            .collect();
        for outcome in found {
            match outcome {
                Ok(agreement) => self.agreements.push(agreement),
                Err(conflict) => self.conflicts.push(conflict),
            }
        }
    }

    fn vote(&self) -> Count {
        let weight = |agent: &str| match self.spec.rule {
            Rule::Weighted => self.spec.weights.get(agent).copied().map_or(0, u64::from),
            _ => 1,
        };
        let voters = self.members.iter().filter(|it| it.is_expected());
        let voters: Vec<Voter<'_>> = voters
            .map(|member| Voter {
                agent: &member.agent,
                weight: weight(&member.agent),
                answer: member.output.as_ref(),
            })
            .collect();
        let unanimous = self.spec.rule == Rule::Unanimous;
        // More than half of all weight: no two sides can have that.
        let needed = if unanimous { 1_000 } else { 500 };
        vote::count(&voters, &self.spec.vote, needed, unanimous)
    }

    /// Counts the votes: one side wins, or what they differ about is a conflict.
    pub(super) fn count_votes(&mut self) {
        let count = self.vote();
        self.agreements.clear();
        self.conflicts.clear();
        let about = match self.spec.vote.as_str() {
            "" => "the whole answer",
            pointer => pointer,
        };
        let rule = self.spec.rule.word();
        let Some(winner) = count.winners.first() else {
            if count.sides.len() > 1 {
                let issue = format!("no side wins the vote about {about} by the rule `{rule}`");
                self.conflicts.push(count.conflict(issue));
            }
            return;
        };
        let member = self.members.iter().find(|it| it.agent == *winner);
        self.output = member.and_then(|member| {
            Some(Output {
                value: member.output.clone()?,
                seat: member.seat,
            })
        });
        let (won, expected) = (count.winners.len(), self.expected());
        self.agreements
            .push(format!("{won} of {expected} agree on {about}"));
        if count.sides.len() > 1 {
            let conflict = count.conflict(format!("the vote about {about}"));
            self.resolved.push(Resolved {
                id: "v1".to_owned(),
                issue: conflict.issue,
                positions: conflict.positions,
                found_by: conflict.found_by,
                resolution: count.sides.first().map_or_else(String::new, |(said, _)| {
                    crate::consensus::compare::shortened(said)
                }),
                arbiter_decision: format!("decided by the rule `{rule}`"),
                sided_with: Some(winner.clone()),
            });
        }
    }

    /// Whether no answer that is still out can change the status: a vote that is won whoever comes, or a
    /// relay that cannot reach enough any more. Not decided where two more could still contradict each
    /// other, because a conflict outranks what is missing.
    pub(super) fn is_decided(&self) -> bool {
        let out = self
            .members
            .iter()
            .filter(|it| matches!(it.state, State::Waiting | State::Asked));
        let (out, present) = (count(out.count()), self.present());
        if out == 0 {
            return false;
        }
        let most = present + out;
        if self.spec.rule.is_vote() && self.spec.vote.is_empty() {
            let enough = present >= self.required();
            // A share that a plan asks for can still fall with who comes late.
            let stays = self.spec.min_agreement_milli == 0;
            return enough && stays && !self.vote().winners.is_empty();
        }
        let asked = self.members.iter().any(|it| it.state == State::Asked);
        !asked && most < self.required() && most < 2
    }

    fn ratio_milli(&self) -> Option<u32> {
        if self.spec.rule == Rule::Issues {
            return self.issues_ratio_milli();
        }
        match self.spec.rule.is_vote() {
            true => self.vote().ratio_milli,
            false => {
                let differences = self.conflicts.len() + self.resolved.len();
                ratio_milli(self.agreements.len(), differences)
            }
        }
    }

    pub(super) fn is_too_far_apart(&self) -> bool {
        !self.spec.rule.is_vote() && self.ratio_milli().is_some_and(|it| it < RECOVERABLE_MILLI)
    }

    pub(super) fn verdict(&self) -> Verdict {
        let ratio = self.ratio_milli();
        let facts = Facts {
            present: self.present(),
            expected: self.expected(),
            required: self.required(),
            alone: self.is_alone(),
            wants_all: !self.spec.rule.is_vote(),
            has_output: self.output.is_some() && !self.bench.leaves_nothing(),
            open: self.conflicts.len(),
            ratio_milli: ratio,
            min_milli: self.spec.min_agreement_milli,
        };
        let status = judge(&facts);
        let missing: Vec<String> = self.missing().into_iter().map(str::to_owned).collect();
        Verdict {
            ok: status == Status::Ok,
            status,
            reason: self.reason(status, &facts, &missing),
            accepted_by: None,
            decision: String::new(),
            rule: self.spec.rule.word().to_owned(),
            mode: self.spec.mode.word().to_owned(),
            round: self.round,
            agreements: self.agreements.clone(),
            conflicts: self.conflicts.clone(),
            conflicts_resolved: self.resolved.clone(),
            agreement_ratio: ratio.map(|it| f64::from(it) / 1_000.0),
            agents: self.participants(),
            missing_agents: missing,
            participation: Participation {
                present: facts.present,
                expected: facts.expected,
                required: facts.required,
            },
            arbiter: self.arbiter(),
            output_seat: self.output.as_ref().and_then(|it| it.seat),
            output_sha256: self.output.as_ref().map(|it| sha256_of(&it.value)),
            required_fields_ok: facts.has_output,
            escalation_triggered: self.escalation.is_some(),
            escalation_reason: self.escalation.clone(),
            notes: self.notes.iter().cloned().collect(),
            issues: self.issues.clone(),
        }
    }

    fn reason(&self, status: Status, facts: &Facts, missing: &[String]) -> String {
        let absent = match missing {
            [] => String::new(),
            missing => {
                let errors = self.members.iter().filter(|it| it.is_absent());
                let errors = errors
                    .filter_map(|it| Some(format!("`{}` ({})", it.agent, it.error.as_ref()?)));
                let shown: Vec<String> = errors.collect();
                format!(
                    "{} of {} agents did not answer: {}",
                    missing.len(),
                    facts.expected,
                    shown.join("; ")
                )
            }
        };
        match status {
            Status::Ok => String::new(),
            Status::Conflict => {
                let issues: Vec<&str> = self.conflicts.iter().map(|it| it.issue.as_str()).collect();
                // A line for people; the verdict lists all of them.
                let shown = issues
                    .iter()
                    .take(3)
                    .copied()
                    .collect::<Vec<_>>()
                    .join("; ");
                format!("{} open: {shown}", issues.len())
            }
            Status::Missing if facts.present < facts.required => format!(
                "{} of {} answers count and {} are needed{}{absent}",
                facts.present,
                facts.expected,
                facts.required,
                if absent.is_empty() { "" } else { "; " },
            ),
            Status::Missing => match (&self.bench.error, self.spec.rule.is_vote()) {
                (Some(error), _) => format!("the arbiter did not answer: {error}"),
                (None, true) => format!(
                    "no side has enough of the votes{}{absent}",
                    if absent.is_empty() { "" } else { "; " },
                ),
                (None, false) => "nobody put an output together".to_owned(),
            },
            Status::Degraded if !absent.is_empty() && facts.wants_all => absent,
            Status::Degraded => match facts.ratio_milli {
                Some(ratio) => format!(
                    "agreement is {}.{:03} and {}.{:03} is wanted",
                    ratio / 1_000,
                    ratio % 1_000,
                    facts.min_milli / 1_000,
                    facts.min_milli % 1_000
                ),
                None => "no point was compared and none was listed, so nobody can say that they \
                         agree"
                    .to_owned(),
            },
        }
    }

    fn participants(&self) -> Vec<Participant> {
        let members = self.members.iter();
        members
            .map(|member| Participant {
                agent: member.agent.clone(),
                status: match member.state {
                    State::Answered => "ok",
                    State::Failed if member.late => "late",
                    State::Failed => "failed",
                    State::Duplicate => "duplicate",
                    State::Waiting | State::Asked | State::Spare => "not_needed",
                }
                .to_owned(),
                seat: member.output.as_ref().and(member.seat),
                attempts: member.asked,
                error: match member.state {
                    State::Failed => member.error.clone(),
                    _ => None,
                },
                effort: member.effort.to_owned(),
                output_sha256: member.output.as_ref().map(sha256_of),
                arbiter_override: self.bench.overridden.contains_key(&member.agent),
                override_reason: self.bench.overridden.get(&member.agent).cloned(),
            })
            .collect()
    }

    fn arbiter(&self) -> Option<Participant> {
        let agent = self
            .spec
            .arbiter
            .as_ref()
            .filter(|_| self.bench.asked > 0)?;
        let failed = self.bench.error.is_some();
        Some(Participant {
            agent: agent.clone(),
            status: match (failed, self.bench.late) {
                (false, _) => "ok",
                (true, true) => "late",
                (true, false) => "failed",
            }
            .to_owned(),
            seat: self.bench.seat.filter(|_| !failed),
            attempts: self.bench.asked,
            error: self.bench.error.clone(),
            effort: self.bench.effort.to_owned(),
            output_sha256: self.bench.answer_sha256.clone(),
            arbiter_override: false,
            override_reason: None,
        })
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
