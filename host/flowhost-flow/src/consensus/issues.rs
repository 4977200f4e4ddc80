//! Quality gates: what several agents object to, and who settles each objection.
//!
//! Everybody lists issues with an answer of their own. What all of them answer alike applies itself, what two of
//! three do goes to the arbiter, and the rest waits for a person. An agent may say that an issue is not for a
//! machine, and then it is not, however many agree. An agent that did not answer, or did not see the issue, agrees
//! with nobody. Values in, values out: the order in which agents answered changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Most issues of one answer: a list that is longer is not a list of what matters.
const ISSUES_MAX: usize = 50;
/// Longest text in characters.
const TEXT_MAX: usize = 2_000;

/// How sure an agent is of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// A guess.
    Low,
    /// Likely.
    Medium,
    /// Sure.
    High,
}

/// What an issue would do to the work if nobody settled it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Magnitude {
    /// Little.
    Minor,
    /// A part of it would be done again.
    Important,
    /// The work would be for nothing.
    Critical,
}

/// Who can settle it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolvability {
    /// The answer can be applied as it is.
    Auto,
    /// The answer is a proposal.
    Suggest,
    /// A person has to.
    Human,
}

/// What one agent says of an issue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stance {
    /// How it is to be settled.
    pub answer: String,
    /// How sure it is.
    pub confidence: Confidence,
    /// What it is about.
    pub magnitude: Magnitude,
    /// Who can settle it.
    pub resolvability: Resolvability,
}

/// Who settles an issue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ruling {
    /// Nobody has to: all say the same.
    All,
    /// The arbiter.
    Arbiter,
    /// A person.
    Person,
}

/// An issue that somebody raised.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Issue {
    /// Names it: agents that mean the same give it the same name.
    pub id: String,
    /// What is asked, in the words of the first who raised it.
    pub question: String,
    /// What each says who raised it.
    pub positions: BTreeMap<String, Stance>,
    /// How many give the answer that most give.
    pub agreeing: u32,
    /// How many were to answer.
    pub expected: u32,
    /// The answer that most give, in the words of the first of them; none where no answer has more than another.
    pub answer: Option<String>,
    /// Who settles it.
    pub ruling: Ruling,
    /// Why that one.
    pub reason: String,
}

#[derive(Deserialize)]
struct Listed {
    issues: Vec<Raised>,
}

#[derive(Clone, Debug, Deserialize)]
struct Raised {
    id: String,
    question: String,
    #[serde(flatten)]
    stance: Stance,
}

/// What an agent's answer must look like.
#[must_use]
pub fn schema() -> Value {
    let text = json!({ "type": "string", "minLength": 1, "maxLength": TEXT_MAX });
    let one_of = |words: &[&str]| json!({ "enum": words });
    json!({
        "type": "object",
        "required": ["issues"],
        "properties": { "issues": {
            "type": "array",
            "maxItems": ISSUES_MAX,
            "items": {
                "type": "object",
                "required": ["id", "question", "answer", "confidence", "magnitude", "resolvability"],
                "properties": {
                    "id": { "type": "string", "pattern": "^[a-z0-9][a-z0-9-]{0,63}$" },
                    "question": text,
                    "answer": text,
                    "confidence": one_of(&["low", "medium", "high"]),
                    "magnitude": one_of(&["minor", "important", "critical"]),
                    "resolvability": one_of(&["auto", "suggest", "human"]),
                },
            },
        } },
    })
}

fn read(answer: &Value) -> Result<Vec<Raised>, String> {
    let Listed { issues } = Listed::deserialize(answer)
        .map_err(|error| format!("it cannot be read as a list of issues: {error}"))?;
    if issues.len() > ISSUES_MAX {
        return Err(format!(
            "{} issues; {ISSUES_MAX} are the most",
            issues.len()
        ));
    }
    let mut seen = BTreeSet::new();
    for issue in &issues {
        let texts = [&issue.id, &issue.question, &issue.stance.answer];
        if texts.iter().any(|text| text.trim().is_empty()) {
            return Err("an issue has an empty id, question or answer".to_owned());
        }
        if texts.iter().any(|text| text.chars().count() > TEXT_MAX) {
            return Err(format!("a text has more than {TEXT_MAX} characters"));
        }
        if !seen.insert(&issue.id) {
            return Err(format!("the issue `{}` is listed twice", issue.id));
        }
    }
    Ok(issues)
}

/// Why an answer is no list of issues, if it is none.
#[must_use]
pub fn fault(answer: &Value) -> Option<String> {
    read(answer).err()
}

/// Puts together what the agents raised: `answers` are those that count, in the plan's order, of `expected`.
#[must_use]
pub fn collect(answers: &[(&str, &Value)], expected: u32, has_arbiter: bool) -> Vec<Issue> {
    let mut raised: BTreeMap<String, Vec<(String, Raised)>> = BTreeMap::new();
    for (agent, answer) in answers {
        // What is no list was refused when it came.
        for issue in read(answer).unwrap_or_default() {
            let by = raised.entry(issue.id.clone()).or_default();
            by.push(((*agent).to_owned(), issue));
        }
    }
    raised
        .into_values()
        .filter_map(|by| issue(&by, expected, has_arbiter))
        .collect()
}

fn issue(by: &[(String, Raised)], expected: u32, has_arbiter: bool) -> Option<Issue> {
    let (_, first) = by.first()?;
    let mut sides: Vec<(String, u32, &Raised)> = Vec::new();
    for (_, raised) in by {
        let said = plain(&raised.stance.answer);
        match sides.iter_mut().find(|(side, ..)| *side == said) {
            Some((_, count, _)) => *count += 1,
            None => sides.push((said, 1, raised)),
        }
    }
    let agreeing = sides.iter().map(|(_, count, _)| *count).max()?;
    let mut most = sides.iter().filter(|(_, count, _)| *count == agreeing);
    let answer = match (most.next(), most.next()) {
        (Some((_, _, raised)), None) => Some(raised.stance.answer.clone()),
        _ => None,
    };
    let stances: Vec<&Stance> = by.iter().map(|(_, raised)| &raised.stance).collect();
    let (ruling, reason) = rule(&stances, agreeing, expected, answer.is_some());
    let (ruling, reason) = match (ruling, has_arbiter) {
        (Ruling::Arbiter, false) => (Ruling::Person, format!("{reason}; the step has no arbiter")),
        _ => (ruling, reason),
    };
    Some(Issue {
        id: first.id.clone(),
        question: first.question.clone(),
        positions: by
            .iter()
            .map(|(agent, raised)| (agent.clone(), raised.stance.clone()))
            .collect(),
        agreeing,
        expected,
        answer,
        ruling,
        reason,
    })
}

/// Who settles it, and why.
fn rule(stances: &[&Stance], agreeing: u32, expected: u32, one_side: bool) -> (Ruling, String) {
    let share = format!("{agreeing} of {expected} give the same answer");
    let any = |is: fn(&Stance) -> bool| stances.iter().any(|stance| is(stance));
    // Asked first: what one agent keeps for a person never applies itself, however many agree.
    if any(|it| it.resolvability == Resolvability::Human) {
        return (
            Ruling::Person,
            "an agent says that a person has to".to_owned(),
        );
    }
    // Of all that were to answer: one that is absent has not agreed.
    if agreeing >= expected && one_side {
        let unsure = any(|it| it.confidence == Confidence::Low);
        let heavy =
            any(|it| it.magnitude == Magnitude::Critical && it.confidence != Confidence::High);
        return match (unsure, heavy) {
            (true, _) => (
                Ruling::Arbiter,
                format!("{share}, and one of them is not sure"),
            ),
            (_, true) => (
                Ruling::Arbiter,
                format!("{share}, it is critical, and not all of them are sure"),
            ),
            _ => (Ruling::All, share),
        };
    }
    // Two of three, and as much of any other number.
    if one_side && agreeing.saturating_mul(3) >= expected.saturating_mul(2) {
        return (Ruling::Arbiter, share);
    }
    (Ruling::Person, share)
}

/// The same words, however they are spaced and written.
fn plain(answer: &str) -> String {
    let words: Vec<&str> = answer.split_whitespace().collect();
    words.join(" ").to_lowercase()
}

/// What a step hands on: what applies, and what waits for a person.
#[must_use]
pub fn output(issues: &[Issue]) -> Value {
    let (open, settled): (Vec<&Issue>, Vec<&Issue>) =
        issues.iter().partition(|it| it.ruling == Ruling::Person);
    let applied = settled.into_iter().map(|it| {
        json!({ "id": it.id, "question": it.question, "answer": it.answer, "by": it.ruling, "reason": it.reason })
    });
    json!({
        "applied": applied.collect::<Vec<Value>>(),
        "open": open,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn raised(answer: &str, confidence: &str, magnitude: &str, resolvability: &str) -> Value {
        json!({ "issues": [{
            "id": "offline", "question": "what while offline?", "answer": answer,
            "confidence": confidence, "magnitude": magnitude, "resolvability": resolvability,
        }] })
    }

    fn ruled(answers: &[Value]) -> (Ruling, String) {
        let names = ["a", "b", "c"];
        let answers: Vec<(&str, &Value)> = names.into_iter().zip(answers).collect();
        let issues = collect(&answers, 3, true);
        assert_eq!(issues.len(), 1, "{issues:?}");
        (issues[0].ruling, issues[0].reason.clone())
    }

    #[test]
    fn three_of_three_apply_two_of_three_go_to_the_arbiter_and_the_rest_to_a_person() {
        let says = |answer: &str| raised(answer, "high", "important", "auto");
        let (queue, drop) = (says("Queue it"), says("drop it"));
        assert_eq!(
            ruled(&[queue.clone(), says("queue  it"), queue.clone()]).0,
            Ruling::All
        );
        let two = ruled(&[queue.clone(), drop.clone(), queue.clone()]);
        assert_eq!(
            two,
            (Ruling::Arbiter, "2 of 3 give the same answer".to_owned())
        );
        assert_eq!(
            ruled(&[queue.clone(), drop.clone(), says("ask")]).0,
            Ruling::Person
        );
        assert_eq!(
            ruled(&[queue.clone(), queue.clone()]).0,
            Ruling::Arbiter,
            "one is absent"
        );
        assert_eq!(ruled(&[queue]).0, Ruling::Person);
    }

    #[test]
    fn what_is_for_a_person_or_uncertain_does_not_apply_itself() {
        let human = raised("x", "high", "minor", "human");
        let auto = raised("x", "high", "minor", "auto");
        assert_eq!(
            ruled(&[auto.clone(), human, auto.clone()]).0,
            Ruling::Person
        );
        let unsure = raised("x", "low", "minor", "auto");
        assert_eq!(
            ruled(&[auto.clone(), unsure, auto.clone()]).0,
            Ruling::Arbiter
        );
        let heavy = raised("x", "medium", "critical", "auto");
        assert_eq!(ruled(&[auto.clone(), heavy, auto]).0, Ruling::Arbiter);
    }

    #[test]
    fn what_is_no_list_of_issues_says_why() {
        let twice = json!({ "issues": [
            raised("x", "high", "minor", "auto")["issues"][0], raised("y", "high", "minor", "auto")["issues"][0],
        ] });
        assert_eq!(
            fault(&twice).unwrap(),
            "the issue `offline` is listed twice"
        );
        assert!(fault(&raised(" ", "high", "minor", "auto")).is_some());
        assert!(fault(&raised("x", "certain", "minor", "auto")).is_some());
        assert_eq!(fault(&json!({ "issues": [] })), None);
    }

    proptest! {
        /// Who answered first does not matter, an absent agent never makes a majority, and what an agent
        /// keeps for a person never applies itself.
        #[test]
        fn the_ruling_follows_from_what_was_said_and_from_nothing_else(
            said in prop::collection::vec((0_u8..3, 0_usize..3, 0_usize..3, 0_usize..3, any::<bool>()), 1..5),
            turn in 0_usize..5,
        ) {
            let expected = u32::try_from(said.len()).unwrap();
            let names = ["a", "b", "c", "d"];
            let words = |at: usize, all: [&'static str; 3]| all[at];
            let answers: Vec<Option<Value>> = said
                .iter()
                .map(|(answer, confidence, magnitude, resolvability, present)| {
                    present.then(|| raised(
                        &format!("answer {answer}"),
                        words(*confidence, ["low", "medium", "high"]),
                        words(*magnitude, ["minor", "important", "critical"]),
                        words(*resolvability, ["auto", "suggest", "human"]),
                    ))
                })
                .collect();
            let mut present: Vec<(&str, &Value)> = names
                .into_iter()
                .zip(&answers)
                .filter_map(|(name, answer)| Some((name, answer.as_ref()?)))
                .collect();
            let issues = collect(&present, expected, true);
            let count = present.len();
            if count > 0 {
                present.rotate_left(turn % count);
            }
            let turned = collect(&present, expected, true);
            let rulings = |issues: &[Issue]| -> Vec<(Ruling, u32)> {
                issues.iter().map(|it| (it.ruling, it.agreeing)).collect()
            };
            prop_assert_eq!(rulings(&issues), rulings(&turned));
            for issue in &issues {
                let human = issue.positions.values().any(|it| it.resolvability == Resolvability::Human);
                prop_assert!(!human || issue.ruling == Ruling::Person);
                prop_assert!(issue.ruling != Ruling::All || issue.agreeing == expected);
                prop_assert!(issue.ruling != Ruling::Arbiter || issue.agreeing * 3 >= expected * 2);
                prop_assert!(issue.agreeing as usize <= count);
            }
            let handed_on = output(&issues);
            let open = handed_on["open"].as_array().unwrap().len();
            let applied = handed_on["applied"].as_array().unwrap().len();
            prop_assert_eq!(open + applied, issues.len());
        }
    }
}
