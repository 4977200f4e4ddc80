//! Sums of what is known, and what stays unknown.

use super::*;

fn amount(tokens: u64, micro_usd: u64) -> Amount {
    Amount { tokens, micro_usd }
}

#[test]
fn nothing_expected_has_no_variance_and_money_counts_before_tokens() {
    assert_eq!(variance(amount(0, 0), amount(10, 10)), None);
    assert_eq!(variance(amount(10, 0), amount(5, 9)), Some(0.5));
    assert_eq!(variance(amount(10, 0), amount(10, 9)), Some(0.0));
    assert_eq!(variance(amount(10, 4), amount(5, 8)), Some(1.0));
}

fn of(low: Amount, high: Option<Amount>) -> Estimate {
    let step = StepEstimate {
        models: Vec::new(),
        first: None,
        expected: Some(Range {
            low,
            likely: low,
            high,
        }),
        basis: Basis::Prompt,
        runs: 0,
    };
    Estimate {
        steps: BTreeMap::from([("a".to_owned(), step)]),
        ..Estimate::default()
    }
}

#[test]
fn what_was_spent_before_a_failure_raises_what_is_likely_and_never_the_least() {
    let range = Range {
        low: amount(1, 1),
        likely: amount(5, 5),
        high: Some(amount(9, 9)),
    };
    assert_eq!(range.no_less_than(amount(0, 0)), range);
    let raised = range.no_less_than(amount(7, 12));
    assert_eq!(raised.low, range.low);
    assert_eq!(
        (raised.likely, raised.high),
        (amount(7, 12), Some(amount(9, 12)))
    );
}

#[test]
fn a_step_that_nobody_knows_leaves_the_sum_unknown() {
    let mut estimate = of(amount(1, 1), None);
    estimate.steps.get_mut("a").unwrap().expected = None;
    let document = serde_json::to_value(estimate.document()).unwrap();
    assert!(document["tokens"].is_null() && document["usd"].is_null());
    assert_eq!(estimate.unknown().collect::<Vec<_>>(), ["a"]);
    assert_eq!(estimate.likely(), None, "and not 0");
    let known = of(amount(1, 1), None).steps.remove("a").unwrap();
    estimate.steps.insert("b".to_owned(), known);
    assert_eq!(estimate.likely(), Some(estimate.total().likely));
}

#[test]
fn a_sum_has_an_upper_end_only_where_all_of_it_has() {
    let mut estimate = of(amount(1, 1), Some(amount(2, 2)));
    assert_eq!(estimate.total().high, Some(amount(2, 2)));
    let more = of(amount(1, 1), None).steps.remove("a").unwrap();
    estimate.steps.insert("b".to_owned(), more);
    assert_eq!(
        (estimate.total().low, estimate.total().high),
        (amount(2, 2), None)
    );
}
