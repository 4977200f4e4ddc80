//! The seam: what is linked, what is missing, and what a host function may do to a call.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use flowhost_engine::{
    CallScope, Capability, Engine, Fault, HostState, LoadError, MissingRight, Plugin, Provider,
};
use flowhost_ledger::records::HostCall;
use flowhost_policy::{Denied, Effective, Limits};
use wasmtime::component::Linker;

use crate::support::{Guest, call, calling, config, effective, limit, limits, scope, trap};

const PROBE: &str = "test:probe/probe@0.1.0";
const RUNTIME: &str = "wasi:probe/runtime@0.2.6";

/// A capability under `log = true` whose functions do what hosts do at their worst.
pub(crate) struct Probe;

struct ProbeState;

impl Capability for Probe {
    fn name(&self) -> &'static str {
        "probe"
    }

    fn interfaces(&self) -> &'static [&'static str] {
        &[PROBE]
    }

    fn runtime_interfaces(&self) -> &'static [&'static str] {
        &[RUNTIME]
    }

    fn granted(&self, effective: &Effective) -> bool {
        effective.grants.log
    }

    fn cure(&self) -> &'static str {
        "log = true"
    }

    fn link(&self, linker: &mut Linker<HostState>, granted: bool) -> wasmtime::Result<()> {
        linker
            .instance(RUNTIME)?
            .func_wrap("tick", |_, (): ()| Ok(()))?;
        if !granted {
            return Ok(());
        }
        let mut probe = linker.instance(PROBE)?;
        probe.func_wrap("ping", |mut store, (): ()| {
            let parts = store.data_mut().parts::<ProbeState>();
            parts.scope.charge_host_call().map_err(wasmtime::Error::new)
        })?;
        probe.func_wrap("doom", |mut store, (): ()| {
            let parts = store.data_mut().parts::<ProbeState>();
            parts.scope.doom(Fault::Host("no value".to_owned()));
            Ok(())
        })?;
        probe.func_wrap("panic", |_, (): ()| -> wasmtime::Result<()> {
            panic!("host\u{1b}[2J")
        })?;
        probe.func_wrap("deny", |mut store, (): ()| {
            let parts = store.data_mut().parts::<ProbeState>();
            parts
                .scope
                .record_deny::<HostCall>(PROBE, &denial())
                .map_err(wasmtime::Error::new)?;
            Ok(())
        })?;
        probe.func_wrap_async("block", |_, (): ()| {
            Box::new(async {
                tokio::time::sleep(Duration::from_secs(3_600)).await;
                Ok(())
            })
        })
    }
}

impl Provider for Probe {
    fn capability(&self) -> &dyn Capability {
        self
    }

    fn open(&self, _scope: &CallScope, _granted: bool) -> Result<Box<dyn Any + Send>, Fault> {
        Ok(Box::new(ProbeState))
    }
}

fn denial() -> Denied {
    Denied {
        right: "probe",
        wanted: "deny".to_owned(),
        rule: "r".to_owned(),
        cure: Some("log = true".to_owned()),
    }
}

/// A guest that imports all of `interface` and calls `function`, then goes on with `rest`.
fn importing(interface: &str, functions: &[&str], function: &str, rest: &str) -> Guest {
    let join =
        |make: &dyn Fn(&str) -> String| functions.iter().map(|f| make(f)).collect::<String>();
    let exports = join(&|f| format!("(export \"{f}\" (func))"));
    let lowered = join(&|f| format!("(core func ${f} (canon lower (func $host \"{f}\")))"));
    let with = join(&|f| format!("(export \"{f}\" (func ${f}))"));
    let fields = join(&|f| format!("(import \"host\" \"{f}\" (func ${f}))"));
    Guest {
        imports: format!("(import \"{interface}\" (instance $host {exports})) {lowered}"),
        with: format!("(with \"host\" (instance {with}))"),
        fields,
        ..calling(&format!("{} {rest}", function))
    }
}

fn probing(function: &str, rest: &str) -> Guest {
    let functions = ["ping", "doom", "panic", "deny", "block"];
    importing(PROBE, &functions, function, rest)
}

fn granting(limits: Limits) -> Arc<Effective> {
    let mut effective = (*effective(limits)).clone();
    effective.grants.log = true;
    Arc::new(effective)
}

fn engine() -> Engine {
    Engine::new(config(vec![Arc::new(Probe)])).unwrap()
}

async fn granted(guest: &Guest, limits: Limits) -> Plugin {
    let engine = engine();
    let loaded = engine.load(guest.bytes()).await.unwrap();
    engine.prepare(&loaded, granting(limits)).unwrap()
}

#[tokio::test]
async fn cap_001_an_interface_that_is_not_granted_is_named_with_its_cure() {
    let engine = engine();
    let bytes = probing("", "(i32.const 16)").bytes();
    let missing = engine.preflight(&engine.inspect(&bytes).unwrap(), &effective(limits()));
    let right = MissingRight {
        interface: PROBE.to_owned(),
        capability: Some("probe"),
        cure: Some("log = true".to_owned()),
    };
    assert_eq!(missing, std::slice::from_ref(&right));
    let loaded = engine.load(bytes).await.unwrap();
    let Err(LoadError::Missing(missing)) = engine.prepare(&loaded, effective(limits())) else {
        panic!("it was linked without the grant");
    };
    assert_eq!(missing, [right]);
    assert!(engine.prepare(&loaded, granting(limits())).is_ok());
}

#[tokio::test]
async fn cap_001_an_interface_that_nothing_serves_is_named() {
    let engine = engine();
    let guest = importing("evil:host/shell@1.0.0", &["run"], "", "(i32.const 16)");
    let missing = engine.preflight(
        &engine.inspect(&guest.bytes()).unwrap(),
        &granting(limits()),
    );
    assert_eq!(missing.len(), 1);
    assert_eq!(missing[0].interface, "evil:host/shell@1.0.0");
    assert_eq!(missing[0].capability, None);
}

#[tokio::test]
async fn cap_002_a_newer_patch_is_linked_only_when_every_function_exists() {
    let engine = engine();
    let newer = "wasi:probe/runtime@0.2.99";
    let fits = importing(newer, &["tick"], "(call $tick)", "(i32.const 16)");
    let loaded = engine.load(fits.bytes()).await.unwrap();
    let plugin = engine.prepare(&loaded, effective(limits())).unwrap();
    assert!(call(&plugin).await.result.is_ok());
    let wants_more = importing(newer, &["tick", "tock"], "", "(i32.const 16)");
    let loaded = engine.load(wants_more.bytes()).await.unwrap();
    let Err(LoadError::Link(message)) = engine.prepare(&loaded, effective(limits())) else {
        panic!("a function that does not exist was linked");
    };
    assert!(message.contains("tock"), "{message}");
    let other_track = importing("wasi:probe/runtime@0.3.0", &["tick"], "", "(i32.const 16)");
    let inspection = engine.inspect(&other_track.bytes()).unwrap();
    assert_eq!(engine.preflight(&inspection, &granting(limits())).len(), 1);
}

#[tokio::test]
async fn a_component_of_an_earlier_contract_is_told_as_such_and_not_as_one_that_trapped() {
    let now = Guest::default().text();
    let earlier = now.replace(
        r#"(field "seed" string) (field "key" string)"#,
        r#"(field "seed" string)"#,
    );
    assert_ne!(now, earlier);
    let engine = engine();
    let loaded = engine
        .load(wat::parse_str(earlier).unwrap().into())
        .await
        .unwrap();
    let plugin = engine.prepare(&loaded, effective(limits())).unwrap();
    let Err(fault) = call(&plugin).await.result else {
        panic!("a context without a key was handed over");
    };
    assert!(matches!(fault, Fault::Unfit { .. }), "{fault:?}");
    let told = fault.to_string();
    assert!(told.contains("an earlier contract"), "{told}");
    assert!(told.contains("9 fields, found 8"), "{told}");
}

#[tokio::test]
async fn cap_018_a_right_that_was_taken_away_is_denied_at_the_next_call() {
    let plugin = granted(&probing("(call $ping)", "(i32.const 16)"), limits()).await;
    assert!(call(&plugin).await.result.is_ok());
    let report = plugin
        .call_tool(scope(&effective(limits())), "t", "{}")
        .await;
    let Err(Fault::Denied(denied)) = report.result else {
        panic!("{report:?}")
    };
    assert_eq!(
        (denied.right, denied.rule.as_str()),
        ("probe", "probe#none")
    );
}

#[tokio::test]
async fn a_call_cannot_widen_the_limits_it_was_prepared_under() {
    let plugin = granted(&calling("(loop $l (br $l)) unreachable"), limits()).await;
    let wide = granting(Limits {
        fuel: u64::MAX / 2,
        ..limits()
    });
    assert_eq!(
        limit(&plugin.call_tool(scope(&wide), "t", "{}").await).2,
        limits().fuel
    );
    let narrow = granting(Limits {
        fuel: 1_000,
        ..limits()
    });
    assert_eq!(
        limit(&plugin.call_tool(scope(&narrow), "t", "{}").await),
        ("fuel", 1_000, 1_000)
    );
}

#[tokio::test]
async fn dos_027_host_calls_end_at_their_budget() {
    let guest = probing("(loop $l (call $ping) (br $l))", "unreachable");
    let plugin = granted(
        &guest,
        Limits {
            host_calls: 1_000,
            ..limits()
        },
    )
    .await;
    let report = call(&plugin).await;
    assert_eq!(limit(&report), ("host_calls", 1_001, 1_000));
    assert_eq!(report.used.host_calls, 1_001);
}

#[tokio::test]
async fn dos_029_a_guest_that_sleeps_in_the_host_ends_at_its_deadline() {
    let guest = probing("(call $block)", "unreachable");
    let plugin = granted(
        &guest,
        Limits {
            deadline_ms: 50,
            ..limits()
        },
    )
    .await;
    let (name, used, allowed) = limit(&call(&plugin).await);
    assert_eq!((name, allowed), ("deadline", 50));
    assert!(used >= 50);
}

#[tokio::test]
async fn a_fault_that_a_host_function_could_not_raise_ends_the_call_whatever_the_guest_does() {
    for (function, rest) in [
        ("(call $doom)", "(i32.const 16)"),
        ("(call $doom)", "unreachable"),
        ("(call $doom) (call $ping)", "(i32.const 16)"),
    ] {
        let plugin = granted(&probing(function, rest), limits()).await;
        let report = call(&plugin).await;
        let Err(Fault::Host(message)) = report.result else {
            panic!("{report:?}")
        };
        assert_eq!(message, "no value");
    }
}

#[tokio::test]
async fn what_a_grant_lets_a_guest_hand_over_is_not_bounded_by_its_output_limit() {
    // wasmtime has one allowance for what is handed over and what is handed back, so that a result shows it:
    // it comes over whole, and only then it is more than a result may be.
    let bytes: u32 = 100 << 10;
    let guest = calling(&format!(
        "(i32.store offset=20 (i32.const 0) (i32.const 16384))
         (i32.store offset=24 (i32.const 0) (i32.const {bytes}))
         (memory.fill (i32.const 16384) (i32.const 57) (i32.const {bytes}))
         (i32.const 16)"
    ));
    let engine = engine();
    let loaded = engine.load(guest.bytes()).await.unwrap();
    let mut effective = (*granting(limits())).clone();
    effective.grants.state.bytes = 1 << 20;
    let plugin = engine.prepare(&loaded, Arc::new(effective)).unwrap();
    let allowed = limits().output_bytes;
    assert_eq!(
        limit(&call(&plugin).await),
        ("output", bytes.into(), allowed)
    );
}

#[tokio::test]
async fn a_panic_of_the_host_ends_the_call_and_not_the_process() {
    let plugin = granted(&probing("(call $panic)", "unreachable"), limits()).await;
    for _ in 0..3 {
        let report = call(&plugin).await;
        let Err(Fault::Host(message)) = report.result else {
            panic!("{report:?}")
        };
        assert_eq!(message, "panic: host\\u{1b}[2J");
    }
}

/// Stores `error(denied { right: "probe", wanted: "deny", rule: RULE })` at 16.
fn answering_denied(rule: u8) -> String {
    format!(
        "(i32.store8 (i32.const 16) (i32.const 1)) (i32.store8 (i32.const 20) (i32.const 0))
         (i32.store (i32.const 24) (i32.const 1100)) (i32.store (i32.const 28) (i32.const 5))
         (i32.store (i32.const 32) (i32.const 1105)) (i32.store (i32.const 36) (i32.const 4))
         (i32.store (i32.const 40) (i32.const 1109)) (i32.store (i32.const 44) (i32.const 1))
         (i32.store8 (i32.const 1109) (i32.const {rule}))
         (i32.const 16)"
    )
}

fn denying(function: &str, rule: u8) -> Guest {
    let mut guest = probing(function, &answering_denied(rule));
    guest
        .fields
        .push_str("(data (i32.const 1100) \"probedeny\")");
    guest
}

#[tokio::test]
async fn a_guest_may_pass_on_a_denial_that_the_host_made() {
    let plugin = granted(&denying("(call $deny)", b'r'), limits()).await;
    let report = call(&plugin).await;
    let Err(Fault::Denied(denied)) = report.result else {
        panic!("{report:?}")
    };
    assert_eq!(denied, denial());
}

#[tokio::test]
async fn a_guest_that_makes_up_a_denial_only_failed() {
    for (function, rule) in [("", b'r'), ("(call $deny)", b'x')] {
        let plugin = granted(&denying(function, rule), limits()).await;
        let report = call(&plugin).await;
        let Err(Fault::Guest { class, message }) = report.result else {
            panic!("{report:?}")
        };
        assert_eq!(class, "failed");
        assert!(message.contains("the host did not make"), "{message}");
    }
}

#[tokio::test]
async fn a_component_of_another_role_is_not_called() {
    let plugin = granted(&Guest::default(), limits()).await;
    let report = plugin.agent_on_start(scope(plugin.effective()), "{}").await;
    assert!(matches!(report.result, Err(Fault::Host(_))), "{report:?}");
}

#[tokio::test]
async fn an_unreachable_guest_traps_with_its_function_names() {
    let mut guest = calling("(call $boom) (i32.const 16)");
    guest.fields = "(func $boom unreachable)".to_owned();
    let plugin = granted(&guest, limits()).await;
    assert!(trap(&call(&plugin).await).contains("boom"));
}
