//! What `env` refuses, then what it gives: the host's side, with doubles where the world would be.

use std::sync::Arc;

use flowhost_engine::{Fault, Provider};
use flowhost_policy::{EnvValue, Grants};
use wasmtime_wasi::p2::bindings::cli::environment::Host as _;

use super::{Env, HostVariables};
use crate::shared::support::View;
use crate::testing::Call;

struct Host;

impl HostVariables for Host {
    fn get(&self, name: &str) -> Option<String> {
        match name {
            "HTTP_PROXY" => Some("http://proxy.example".into()),
            "NUL" => Some("a\0b".into()),
            _ => None,
        }
    }
}

fn env() -> Env {
    Env::new(Arc::new(Host))
}

fn grants(values: &[(&str, EnvValue)]) -> Grants {
    let env = values
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()));
    Grants {
        env: env.collect(),
        ..Grants::default()
    }
}

#[tokio::test]
async fn netx_014_shows_nothing_of_the_host_without_a_grant() {
    let call = Call::granted(Grants::default());
    let mut store = call.store(&env());
    let mut view = View(&mut store);
    assert!(view.get_environment().unwrap().is_empty());
    assert!(view.get_arguments().unwrap().is_empty());
    assert_eq!(view.initial_cwd().unwrap(), None);
}

#[tokio::test]
async fn shows_exactly_what_the_profile_names() {
    let from = |name: &str| EnvValue::From(name.into());
    let call = Call::granted(grants(&[
        ("LANG", EnvValue::Literal("C.UTF-8".into())),
        ("PROXY", from("HTTP_PROXY")),
        ("UNSET", from("NOT_THERE")),
    ]));
    let mut store = call.store(&env());
    let shown = View(&mut store).get_environment().unwrap();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let wanted = [
        pair("LANG", "C.UTF-8"),
        pair("PROXY", "http://proxy.example"),
    ];
    assert_eq!(shown, wanted);
}

#[tokio::test]
async fn cap_008_refuses_what_no_environment_can_hold() {
    let literal = |value: &str| EnvValue::Literal(value.into());
    for (name, value) in [
        ("A", literal("a\0b")),
        ("A=B", literal("c")),
        ("A\0", literal("c")),
        ("", literal("c")),
        ("A", EnvValue::From("NUL".into())),
    ] {
        let call = Call::granted(grants(&[(name, value)]));
        let opened = env().open(&call.scope, true);
        assert!(matches!(opened, Err(Fault::Host(_))), "{name:?}");
    }
}
