//! Budgets as calls spend from them, one by one and in random histories.

use proptest::prelude::*;

use super::*;

fn spec(calls: u64, tokens: u64) -> BudgetSpec {
    let limits = [Some(calls), None, Some(tokens), None];
    BudgetSpec {
        limits,
        ..BudgetSpec::unstated()
    }
}

fn lacks(refused: Result<Reservation, Refusal>) -> String {
    match refused {
        Err(Refusal::Exceeded(it)) => {
            let key = it.currency.key();
            format!("{} of {key}, {} spent of {}", it.asked, it.spent, it.limit)
        }
        other => format!("{other:?}"),
    }
}

fn amounts(calls: u64, tokens: u64) -> Amounts {
    Amounts {
        calls,
        tokens,
        ..Amounts::default()
    }
}

#[test]
fn refuses_what_is_used_up() {
    let mut budget = Budget::new(&spec(2, 10));
    let first = budget.reserve(budget.root(), &amounts(1, 10)).unwrap();
    assert_eq!(
        budget.reserve(budget.root(), &amounts(1, 1)),
        Err(Refusal::Wait)
    );
    budget.settle(first, &amounts(1, 10));
    let refused = budget.reserve(budget.root(), &amounts(1, 1));
    assert_eq!(lacks(refused), "1 of tokens, 10 spent of 10");
}

#[test]
fn says_every_amount_in_the_plans_unit_and_whose_key_to_raise() {
    let mut usd = spec(9, 10);
    usd.limits[3] = Some(1_500_000);
    let mut budget = Budget::new(&spec(9, 10));
    let step = budget.open(budget.root(), &usd);
    let call = |micro_usd| Amounts {
        micro_usd,
        ..amounts(1, 0)
    };
    let first = budget.reserve(step, &call(1_000_000)).unwrap();
    let settled = budget.settle(first, &call(1_500_000));
    assert_eq!(settled.exceeded, None);
    let Err(Refusal::Exceeded(lack)) = budget.reserve(step, &call(20)) else {
        panic!("it has nothing left");
    };
    assert_eq!(
        lack.refused(),
        "the budget of the step has not enough usd left: $0.000020 asked for, $1.500000 spent, $0.000000 held by \
         calls at work, $1.500000 allowed"
    );
    assert!(
        lack.cure()
            .starts_with("raise `usd` in `budget:` of the step")
    );
    let of_run = Lack {
        of_run: true,
        ..lack
    };
    assert_eq!(of_run.cure(), "raise `usd` in `budget:` of the plan");
    let told = of_run.overdrawn();
    assert!(
        told.contains("more usd than the budget of the plan had"),
        "{told}"
    );
}

#[test]
fn the_last_call_gets_what_is_left() {
    let mut budget = Budget::new(&spec(2, 10));
    let call = budget.reserve(budget.root(), &amounts(1, 500)).unwrap();
    assert_eq!(call.amounts().tokens, 10);
    let settled = budget.settle(call, &amounts(1, 12));
    let lack = settled
        .exceeded
        .map(|lack| (lack.currency, lack.spent, lack.of_run));
    assert_eq!(lack, Some((Currency::Tokens, 12, true)));
    assert_eq!(budget.left(budget.root()).tokens, 0);
    let refused = budget.reserve(budget.root(), &amounts(1, 0));
    assert_eq!(lacks(refused), "0 of tokens, 12 spent of 10");
}

#[test]
fn a_child_returns_what_it_did_not_spend() {
    let mut budget = Budget::new(&spec(100, 100));
    let child = budget.open(budget.root(), &spec(10, 1_000));
    assert_eq!(
        budget.left(budget.root()),
        Amounts {
            calls: 90,
            tokens: 0,
            ..DEFAULT_LIMIT
        }
    );
    let call = budget.reserve(child, &amounts(1, 60)).unwrap();
    budget.settle(call, &amounts(1, 40));
    budget.close(child);
    assert_eq!(
        budget.left(budget.root()),
        Amounts {
            calls: 99,
            tokens: 60,
            ..DEFAULT_LIMIT
        }
    );
    assert_eq!(*budget.used(), amounts(1, 40));
}

#[test]
fn warns_once_per_threshold() {
    let mut budget = Budget::new(&spec(10, 100));
    let mut warned = Vec::new();
    for _ in 0..10 {
        let call = budget.reserve(budget.root(), &amounts(1, 1)).unwrap();
        warned.extend(budget.settle(call, &amounts(1, 1)).crossed);
    }
    let shares: Vec<_> = warned.iter().map(|crossed| crossed.at_milli).collect();
    assert_eq!(shares, [800, 1_000]);
}

#[test]
fn a_budget_that_only_warns_goes_on() {
    let mut budget = Budget::new(&BudgetSpec {
        on_exceeded: OnExceeded::Warn,
        ..spec(1, 1)
    });
    for _ in 0..3 {
        let call = budget.reserve(budget.root(), &amounts(1, 5)).unwrap();
        assert_eq!(budget.settle(call, &amounts(1, 5)).exceeded, None);
    }
    assert_eq!(budget.used().tokens, 15);
}

/// One step of a random history: 0 reserves, 1 settles, 2 opens, 3 closes.
type Step = (u8, usize, u64, u64);

/// Sum of what is left, held and spent in every open purse of tokens.
fn conserved(budget: &Budget) -> bool {
    budget
        .accounts
        .iter()
        .flat_map(|account| account.purses.iter().flatten())
        .all(|purse| {
            purse.spent > purse.limit || purse.left() + purse.held + purse.spent == purse.limit
        })
}

proptest! {
    #[test]
    fn nothing_is_lost_or_made_up(
        steps in prop::collection::vec((0_u8..4, 0_usize..8, 0_u64..50, 0_u64..50), 1..80)
    ) {
        let steps: Vec<Step> = steps;
        let mut budget = Budget::new(&spec(1_000, 400));
        let mut open = vec![budget.root()];
        let mut reserved: Vec<Reservation> = Vec::new();
        let mut spent = 0;
        for (what, pick, a, b) in steps {
            match what {
                0 => {
                    let account = open[pick % open.len()];
                    reserved.extend(budget.reserve(account, &amounts(1, a)).ok());
                }
                1 if !reserved.is_empty() => {
                    let reservation = reserved.swap_remove(pick % reserved.len());
                    let used = b.min(reservation.amounts().tokens);
                    spent += used;
                    budget.settle(reservation, &amounts(1, used));
                }
                2 => open.push(budget.open(open[pick % open.len()], &spec(a, b))),
                3 if open.len() > 1 => {
                    let last = *open.last().unwrap();
                    if reserved.iter().all(|r| r.account != last) {
                        open.pop();
                        budget.close(last);
                    }
                }
                _ => {}
            }
            prop_assert!(conserved(&budget));
            prop_assert_eq!(budget.used().tokens, spent);
            prop_assert!(spent <= 400, "children never widen their parent");
        }
        for reservation in reserved {
            budget.settle(reservation, &Amounts::default());
        }
        while open.len() > 1 {
            budget.close(open.pop().unwrap());
        }
        prop_assert_eq!(budget.left(budget.root()).tokens, 400 - spent);
    }
}
