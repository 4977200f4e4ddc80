//! A panel that looks for issues: what applies by itself, what the arbiter settles, and what waits for a person.
//!
//! Who settles what is said by [`crate::consensus::issues`]. An arbiter that fails settles nothing: what was put to
//! it waits for a person, too.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::arbiter::{read, wrong};
use super::asks::record;
use super::{Output, Panel};
use crate::consensus::Resolved;
use crate::consensus::issues::{self, Issue, Ruling};
use crate::exit::Failure;
use crate::planner::unit::work::{Move, Remark};

/// How a note begins that says what nobody settled.
const WAITS: &str = "waits for a person: ";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settled {
    decisions: Vec<Settlement>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settlement {
    issue: String,
    accept: bool,
    reason: String,
}

impl Panel {
    /// Puts together what the members raised, and asks the arbiter about what two of three agree on.
    pub(super) fn sort_issues(&mut self) -> Move {
        let answers = self.answers();
        let arbiter = self.spec.arbiter.is_some();
        self.issues = issues::collect(&answers, self.expected(), arbiter);
        match self.to_settle().is_empty() {
            true => self.conclude(),
            false => self.ask_bench(0),
        }
    }

    /// The issues that are the arbiter's.
    pub(super) fn to_settle(&self) -> Vec<&Issue> {
        let issues = self.issues.iter();
        issues.filter(|it| it.ruling == Ruling::Arbiter).collect()
    }

    /// What the arbiter's answer must look like.
    pub(super) fn settle_schema(&self, text: Value) -> Value {
        let ids: Vec<&str> = self.to_settle().iter().map(|it| it.id.as_str()).collect();
        let settlement = record(&[
            ("issue", json!({ "enum": ids })),
            // Yes or no, and no answer of its own: that would be a third opinion with the last word (ADR 0032).
            ("accept", json!({ "type": "boolean" })),
            ("reason", text),
        ]);
        let all = json!({ "type": "array", "minItems": ids.len(), "maxItems": ids.len(), "items": settlement });
        record(&[("decisions", all)])
    }

    /// Reads what the arbiter settled: each issue once.
    pub(super) fn settlements(&mut self, answer: Value) -> Result<(), Failure> {
        let Settled { decisions } = read(answer)?;
        let mut settled: BTreeMap<String, Settlement> = BTreeMap::new();
        for decision in decisions {
            let id = decision.issue.clone();
            if !self.to_settle().iter().any(|it| it.id == id) {
                return Err(wrong(format!(
                    "the issue `{id}` is not the arbiter's to settle"
                )));
            }
            if settled.insert(id.clone(), decision).is_some() {
                return Err(wrong(format!("it settles `{id}` twice")));
            }
        }
        if let Some(left) = self
            .to_settle()
            .iter()
            .find(|it| !settled.contains_key(&it.id))
        {
            return Err(wrong(format!("it does not settle `{}`", left.id)));
        }
        for issue in &mut self.issues {
            let Some(decision) = settled.remove(&issue.id) else {
                continue;
            };
            issue.reason = decision.reason;
            if !decision.accept {
                issue.ruling = Ruling::Person;
            }
        }
        Ok(())
    }

    /// Makes the output of what was settled; what nobody could settle waits for a person.
    pub(super) fn close_issues(&mut self) {
        if let Some(error) = &self.bench.error {
            for issue in &mut self.issues {
                if issue.ruling == Ruling::Arbiter {
                    issue.ruling = Ruling::Person;
                    issue.reason = format!("the arbiter did not answer: {error}");
                }
            }
        }
        self.agreements.clear();
        self.resolved.clear();
        // Other notes stay for the whole step; what waited in the round before may be settled in this one.
        self.notes.retain(|note| !note.starts_with(WAITS));
        if self.issues.is_empty() {
            self.agreements.push("nobody raises an issue".to_owned());
        }
        for issue in &self.issues {
            let answer = issue.answer.clone().unwrap_or_default();
            match issue.ruling {
                Ruling::All => self.agreements.push(format!("{}: {answer}", issue.id)),
                Ruling::Arbiter => self.resolved.push(resolved(issue, answer)),
                Ruling::Person => {
                    let (id, question) = (&issue.id, &issue.question);
                    let told = format!("{WAITS}`{id}`: {question} ({})", issue.reason);
                    self.remarks.push(Remark::Warning(told.clone()));
                    self.notes.insert(told);
                }
            }
        }
        self.output = Some(Output {
            value: issues::output(&self.issues),
            seat: None,
        });
    }

    /// Issues that apply by themselves, of all, in thousandths.
    pub(super) fn issues_ratio_milli(&self) -> Option<u32> {
        let differ = self.issues.iter().filter(|it| it.ruling != Ruling::All);
        crate::consensus::ratio_milli(self.agreements.len(), differ.count())
    }
}

fn resolved(issue: &Issue, answer: String) -> Resolved {
    let positions = issue.positions.iter();
    let sided = issue
        .positions
        .iter()
        .find(|(_, stance)| stance.answer == answer);
    Resolved {
        id: issue.id.clone(),
        issue: issue.question.clone(),
        positions: positions
            .map(|(agent, stance)| (agent.clone(), stance.answer.clone()))
            .collect(),
        found_by: "host".to_owned(),
        sided_with: sided.map(|(agent, _)| agent.clone()),
        resolution: answer,
        arbiter_decision: issue.reason.clone(),
    }
}
