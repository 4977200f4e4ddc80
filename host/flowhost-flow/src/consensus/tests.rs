//! Comparison, votes and the status that follows.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::vote::{Voter, count};
use super::*;

fn point(at: &str, by: By) -> Point {
    Point {
        at: at.to_owned(),
        by,
    }
}

fn found(by: By, values: &[Value]) -> Result<String, String> {
    let answers: Vec<Value> = values.iter().map(|it| json!({ "x": it })).collect();
    let names = ["a", "b", "c", "d"];
    let answers: Vec<(&str, &Value)> = names.iter().copied().zip(&answers).collect();
    let outcome = compare(&point("/x", by), &answers).unwrap();
    outcome.map_err(|conflict| conflict.issue)
}

#[test]
fn fewer_than_two_answers_are_no_point() {
    let one = json!({ "x": 1 });
    assert!(compare(&point("/x", By::Equal), &[("a", &one)]).is_none());
}

#[test]
fn what_is_missing_in_one_answer_is_a_conflict_and_shown_as_such() {
    let (a, b) = (json!({ "x": 1 }), json!({}));
    let conflict = compare(&point("/x", By::Equal), &[("a", &a), ("b", &b)]);
    let conflict = conflict.unwrap().unwrap_err();
    assert_eq!(conflict.positions["b"], "nothing");
    assert!(conflict.issue.contains("/x"), "{}", conflict.issue);
}

#[test]
fn equal_knows_numbers_and_not_the_order_of_members() {
    assert!(found(By::Equal, &[json!(1), json!(1.0)]).is_ok());
    let (one, other) = (json!({ "a": 1, "b": 2 }), json!({ "b": 2, "a": 1 }));
    assert!(found(By::Equal, &[one, other]).is_ok());
    assert!(found(By::Equal, &[json!([1, 2]), json!([2, 1])]).is_err());
}

#[test]
fn size_counts_elements_and_refuses_what_has_none() {
    assert!(found(By::Size, &[json!([1, 2]), json!(["a", "b"])]).is_ok());
    assert!(found(By::Size, &[json!([1]), json!([1, 2])]).is_err());
    assert!(found(By::Size, &[json!(1), json!(1)]).is_err());
}

#[test]
fn a_tolerance_holds_at_its_edge_and_not_beyond() {
    let by = || By::Number { tolerance: 0.5 };
    assert!(found(by(), &[json!(1.0), json!(1.5), json!(1.25)]).is_ok());
    assert!(found(by(), &[json!(1.0), json!(1.51)]).is_err());
    assert!(found(by(), &[json!("1"), json!(1)]).is_err());
}

#[test]
fn a_set_knows_neither_order_nor_number() {
    assert!(found(By::Set, &[json!(["a", "b", "a"]), json!(["b", "A "])]).is_ok());
    assert!(found(By::Set, &[json!(["a"]), json!(["a", "b"])]).is_err());
}

#[test]
fn an_overlap_is_counted_by_key_for_every_pair() {
    let list = |names: &[&str]| {
        let entries = names.iter().map(|name| json!({ "risk": name }));
        Value::from(entries.collect::<Vec<_>>())
    };
    let by = |min_milli| By::Overlap {
        key: Some("risk".to_owned()),
        min_milli,
    };
    let values = [list(&["Lag", "cost", "people"]), list(&["lag", "Cost"])];
    assert!(found(by(1_000), &values).is_ok());
    let far = [list(&["a", "b"]), list(&["a", "b"]), list(&["a", "c"])];
    assert!(found(by(500), &far).is_ok());
    assert!(found(by(501), &far).is_err());
    assert!(found(by(500), &[list(&["a"]), json!([{ "name": "a" }])]).is_err());
    assert!(found(by(500), &[list(&[]), list(&["a"])]).is_err());
    assert!(found(by(500), &[list(&[]), list(&[])]).is_ok());
}

#[test]
fn texts_are_compared_by_their_words() {
    let by = || By::Text { min_milli: 800 };
    let one = json!("Roll back when the error rate is above two percent.");
    let reordered = json!("When the error rate is above two percent, roll back!");
    assert!(found(by(), &[one.clone(), reordered]).is_ok());
    assert!(found(by(), &[one, json!("Never roll back by hand.")]).is_err());
}

fn voters<'a>(answers: &'a [Option<Value>], weights: &[u64]) -> Vec<Voter<'a>> {
    let names = ["a", "b", "c", "d"];
    let all = names.iter().zip(answers).zip(weights);
    all.map(|((agent, answer), weight)| Voter {
        agent,
        weight: *weight,
        answer: answer.as_ref(),
    })
    .collect()
}

#[test]
fn an_absent_voter_counts_against_who_wins() {
    let (yes, no) = (Some(json!("yes")), Some(json!("no")));
    let won = |answers: &[Option<Value>]| count(&voters(answers, &[1; 4]), "", 500, false).winners;
    assert_eq!(won(&[yes.clone(), yes.clone(), no.clone()]), ["a", "b"]);
    assert!(won(&[yes.clone(), None, None]).is_empty());
    assert!(
        won(&[yes.clone(), yes.clone(), None, no]).is_empty(),
        "half is not more than half"
    );
    assert!(won(&[None, None]).is_empty());
}

#[test]
fn weight_decides_and_unanimity_needs_all() {
    let answers = [Some(json!(1)), Some(json!(2)), Some(json!(2))];
    let weighted = count(&voters(&answers, &[5, 2, 2]), "", 500, false);
    assert_eq!(weighted.winners, ["a"]);
    assert!(
        count(&voters(&answers, &[1; 3]), "", 1_000, true)
            .winners
            .is_empty()
    );
    let same = [
        Some(json!({ "d": 1 })),
        Some(json!({ "d": 1.0, "why": "x" })),
    ];
    assert_eq!(
        count(&voters(&same, &[1; 2]), "/d", 1_000, true)
            .winners
            .len(),
        2
    );
}

#[test]
fn nothing_compared_and_nothing_listed_is_not_ok() {
    assert_eq!(ratio_milli(0, 0), None);
    let facts = Facts {
        present: 3,
        expected: 3,
        required: 2,
        alone: false,
        wants_all: true,
        has_output: true,
        open: 0,
        ratio_milli: None,
        min_milli: 0,
    };
    assert_eq!(judge(&facts), Status::Degraded);
    let alone = Facts {
        alone: true,
        ..facts
    };
    assert_eq!(judge(&alone), Status::Ok, "there is nobody to agree with");
    let some = Facts {
        ratio_milli: Some(1_000),
        ..facts
    };
    assert_eq!(judge(&some), Status::Ok);
}

proptest! {
    #[test]
    fn the_status_is_ok_only_where_nothing_is_wrong(
        present in 0_u32..5,
        expected in 0_u32..5,
        required in 1_u32..5,
        has_output: bool,
        open in 0_usize..3,
        ratio_milli in proptest::option::of(0_u32..=1_000),
        min_milli in 0_u32..=1_000,
        wants_all: bool,
    ) {
        let alone = false;
        let facts = Facts { present, expected, required, alone, wants_all, has_output, open, ratio_milli, min_milli };
        let status = judge(&facts);
        prop_assert_eq!(status == Status::Conflict, open > 0);
        if status == Status::Ok {
            prop_assert!(open == 0 && has_output && present >= required);
            prop_assert!(ratio_milli.is_some_and(|ratio| ratio >= min_milli));
            prop_assert!(!wants_all || present == expected);
        }
    }

    #[test]
    fn comparing_does_not_depend_on_the_order_of_agents(
        values in proptest::collection::vec(proptest::collection::vec(0_u8..4, 0..4), 2..4),
        by in prop_oneof![
            Just(By::Equal), Just(By::Size), Just(By::Set),
            (0_u32..=1_000).prop_map(|min_milli| By::Overlap { key: None, min_milli }),
        ],
    ) {
        let values: Vec<Value> = values.into_iter().map(|it| json!(it)).collect();
        let reversed: Vec<Value> = values.iter().rev().cloned().collect();
        prop_assert_eq!(found(by.clone(), &values).is_ok(), found(by, &reversed).is_ok());
    }
}
