//! What `budget` refuses, then what it gives: the host's side, with doubles where the world would be.

use std::sync::Arc;

use flowhost_engine::{CallScope, Fault, Provider};
use flowhost_policy::{Grants, Limits};

use super::host::left;
use super::{Budget, BudgetView, Left};
use crate::testing::{Call, fault};

struct Fixed;

impl BudgetView for Fixed {
    fn left(&self, caller: &CallScope) -> Left {
        assert_eq!(caller.plugin.as_ref(), "p");
        Left {
            tokens: 12,
            micro_usd: u64::MAX,
        }
    }
}

fn budget() -> Budget {
    Budget::new(Arc::new(Fixed))
}

#[test]
fn is_not_granted_unless_the_profile_says_so() {
    let call = Call::granted(Grants::default());
    assert!(!budget().capability().granted(&call.scope.effective));
}

#[tokio::test]
async fn dos_027_each_reading_is_a_host_call() {
    let limits = Limits {
        host_calls: 1,
        ..Limits::default()
    };
    let mut store = Call::new(Grants::default(), limits).store(&budget());
    assert_eq!(left(&mut store, None).unwrap().host_calls, "0");
    assert!(matches!(fault(left(&mut store, None)), Fault::Limit { .. }));
}

#[tokio::test]
async fn tells_what_is_left_as_decimal_strings() {
    let call = Call::granted(Grants::default());
    let mut store = call.store(&budget());
    let left = left(&mut store, Some(77)).unwrap();
    assert_eq!(
        (left.fuel.as_str(), left.host_calls.as_str()),
        ("77", "99999")
    );
    assert_eq!(left.tokens, "12");
    assert_eq!(left.micro_usd, u64::MAX.to_string());
    assert!(left.deadline_ms > 0.0 && left.deadline_ms <= 20_000.0);
}
