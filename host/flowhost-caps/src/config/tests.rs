//! What `config` refuses, then what it gives: the host's side, with doubles where the world would be.

use flowhost_engine::{Fault, Provider};
use flowhost_policy::{Grants, Limits};

use super::Config;
use super::host::wit::Host as _;
use crate::testing::{Call, fault};

fn call(config: &str, limits: Limits) -> Call {
    let grants = Grants {
        config: true,
        ..Grants::default()
    };
    let mut call = Call::new(grants, limits);
    call.scope.config = config.into();
    call
}

#[test]
fn is_not_granted_unless_the_profile_says_so() {
    let call = Call::granted(Grants::default());
    assert!(!Config.capability().granted(&call.scope.effective));
}

#[tokio::test]
async fn dos_027_each_reading_is_a_host_call() {
    let limits = Limits {
        host_calls: 1,
        ..Limits::default()
    };
    let mut store = call("{}", limits).store(&Config);
    let mut store = &mut store;
    store.all().unwrap();
    assert!(matches!(fault(store.all()), Fault::Limit { .. }));
    assert!(matches!(fault(store.get("a".into())), Fault::Limit { .. }));
}

#[tokio::test]
async fn gives_the_own_document_and_its_top_level_keys() {
    let mut store = call(r#"{"a":{"b":1},"n":null}"#, Limits::default()).store(&Config);
    let mut store = &mut store;
    assert_eq!(
        store.get("a".into()).unwrap().as_deref(),
        Some(r#"{"b":1}"#)
    );
    assert_eq!(store.get("n".into()).unwrap().as_deref(), Some("null"));
    assert_eq!(store.get("b".into()).unwrap(), None);
    assert_eq!(store.all().unwrap(), r#"{"a":{"b":1},"n":null}"#);
}

#[tokio::test]
async fn is_an_empty_object_where_the_plan_says_nothing() {
    let mut store = call("", Limits::default()).store(&Config);
    let mut store = &mut store;
    assert_eq!(store.all().unwrap(), "{}");
    assert_eq!(store.get("a".into()).unwrap(), None);
}
