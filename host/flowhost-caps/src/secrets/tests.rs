//! What `secrets` refuses, then what it gives: the host's side, with doubles where the world would be.

use std::sync::{Arc, Mutex};

use flowhost_engine::{Provider, bindings::types};
use flowhost_policy::Grants;
use zeroize::Zeroizing;

use super::host::wit::Host as _;
use super::{SecretStore, Secrets};
use crate::testing::Call;

/// Has every secret, and remembers who was asked for and what was given away.
#[derive(Default)]
struct Asked(Mutex<Vec<String>>, Mutex<Vec<String>>);

impl SecretStore for Asked {
    fn get(&self, name: &str) -> Option<Zeroizing<String>> {
        self.0.lock().unwrap().push(name.to_owned());
        (name != "ABSENT").then(|| Zeroizing::new(format!("value-of-{name}")))
    }

    fn revealed(&self, name: &str, value: &str) {
        self.1.lock().unwrap().push(format!("{name}={value}"));
    }
}

fn grants(names: &[&str], reveal: &[&str]) -> Grants {
    let list = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    let mut grants = Grants::default();
    grants.secrets.names = list(names);
    grants.secrets.reveal = list(reveal);
    grants
}

#[test]
fn is_not_granted_unless_the_profile_says_so() {
    let call = Call::granted(Grants::default());
    let secrets = Secrets::new(Arc::new(Asked::default()));
    assert!(!secrets.capability().granted(&call.scope.effective));
}

#[tokio::test]
async fn cap_010_denies_what_may_be_injected_but_not_revealed_and_odd_names_unseen() {
    let call = Call::granted(grants(&["TOKEN"], &["OTHER"]));
    let asked = Arc::new(Asked::default());
    let mut store = call.store(&Secrets::new(asked.clone()));
    let mut store = &mut store;
    let wanted = [
        "TOKEN",
        "UNKNOWN",
        "*",
        "",
        "../OTHER",
        "other",
        "tenant2/OTHER",
        "OTHER\0",
    ];
    for (n, name) in wanted.iter().enumerate() {
        let denied = store.reveal((*name).to_owned()).unwrap();
        assert!(matches!(denied, Err(types::Error::Denied(_))), "{name}");
        assert_eq!(call.facts().len(), n + 1);
        assert_eq!(call.last("decision"), "deny");
        assert_eq!(call.last("right"), "secrets.reveal");
    }
    assert!(
        asked.0.lock().unwrap().is_empty(),
        "the store was never asked"
    );
}

#[tokio::test]
async fn records_a_use_and_never_the_value() {
    let call = Call::granted(grants(&[], &["TOKEN", "ABSENT"]));
    let asked = Arc::new(Asked::default());
    let mut store = call.store(&Secrets::new(asked.clone()));
    let mut store = &mut store;
    let value = store.reveal("TOKEN".into()).unwrap().unwrap();
    assert_eq!(value, "value-of-TOKEN");
    assert_eq!(call.last("decision"), "allow");
    assert_eq!(call.last("rule"), "secrets.reveal[0]");
    assert_eq!(call.last("wanted"), "TOKEN");
    let absent = store.reveal("ABSENT".into()).unwrap();
    assert!(matches!(absent, Err(types::Error::Failed(_))));
    assert_eq!(*asked.1.lock().unwrap(), ["TOKEN=value-of-TOKEN"]);
    assert!(!format!("{:?}", call.facts()).contains("value-of"));
    assert!(
        call.facts()
            .iter()
            .all(|fact| fact.kind.as_str() == "secret.use")
    );
}

#[tokio::test]
async fn names_are_the_granted_ones_sorted() {
    let call = Call::granted(grants(&["B", "A", "B"], &["C"]));
    let mut store = call.store(&Secrets::new(Arc::new(Asked::default())));
    assert_eq!((&mut &mut store).names().unwrap(), ["A", "B"]);
}
