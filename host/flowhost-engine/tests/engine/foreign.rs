//! Components that know nothing of us: their functions as tools, under the limits of any other.

use std::sync::Arc;

use flowhost_engine::{Engine, Fault, LoadError, Plugin};

use crate::support::{effective, engine, limit, limits, scope};

/// Plain functions on numbers, one that goes on for ever, and one that fails as its type says.
const NUMBERS: &str = r#"(component
  (core module $m
    (func (export "div") (param i32 i32) (result i32) (i32.div_u (local.get 0) (local.get 1)))
    (func (export "spin") (loop $on (br $on)))
    (func (export "even") (param i32) (result i32) (i32.and (local.get 0) (i32.const 1))))
  (core instance $i (instantiate $m))
  (func $div (param "a" u32) (param "b" u32) (result u32) (canon lift (core func $i "div")))
  (func $even (param "x" u32) (result (result)) (canon lift (core func $i "even")))
  (instance $api (export "div" (func $div)) (export "even" (func $even)))
  (export "math:numbers/api@1.0.0" (instance $api))
  (func (export "spin") (canon lift (core func $i "spin"))))"#;

async fn loaded(engine: &Engine, text: &str) -> Result<Plugin, LoadError> {
    let bytes: Arc<[u8]> = wat::parse_str(text).unwrap().into();
    let loaded = engine.load(bytes).await.unwrap();
    engine.prepare(&loaded, effective(limits()))
}

async fn called(plugin: &Plugin, name: &str, input: &str) -> Result<String, Fault> {
    let report = plugin.call_tool(scope(plugin.effective()), name, input);
    report.await.result.map(|content| content.value)
}

#[tokio::test]
async fn a_call_of_a_strangers_function_is_confined_and_its_traps_are_its_own() {
    let engine = engine();
    let plugin = loaded(&engine, NUMBERS).await.unwrap();
    let by_zero = called(&plugin, "api.div", r#"{"a":1,"b":0}"#).await;
    assert!(matches!(by_zero, Err(Fault::Trap { .. })), "{by_zero:?}");
    let report = plugin
        .call_tool(scope(plugin.effective()), "spin", "{}")
        .await;
    assert_eq!(limit(&report).0, "fuel");
    for (name, input) in [
        ("api.div", r#"{"a":1}"#),
        ("api.div", r#"{"a":1,"b":-1}"#),
        ("api.div", r#"{"a":1,"b":1,"c":1}"#),
        ("api.div", "[1,2]"),
        ("div", "{}"),
    ] {
        let refused = called(&plugin, name, input).await;
        assert!(
            matches!(
                refused,
                Err(Fault::Guest {
                    class: "invalid",
                    ..
                })
            ),
            "{name} {input}: {refused:?}"
        );
    }
}

#[tokio::test]
async fn its_functions_are_tools_with_schemas_of_their_types() {
    let engine = engine();
    let plugin = loaded(&engine, NUMBERS).await.unwrap();
    let described = plugin.describe_tools(scope(plugin.effective())).await;
    let described = described.result.unwrap();
    let names: Vec<&str> = described.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["api.div", "api.even", "spin"]);
    assert_eq!(
        described[0].input_schema,
        r#"{"additionalProperties":false,"properties":{"a":{"maximum":4294967295,"minimum":0,"type":"integer"},"b":{"maximum":4294967295,"minimum":0,"type":"integer"}},"required":["a","b"],"type":"object"}"#
    );
    assert_eq!(
        called(&plugin, "api.div", r#"{"a":7,"b":2}"#)
            .await
            .unwrap(),
        "3"
    );
    assert_eq!(
        called(&plugin, "api.even", r#"{"x":4}"#).await.unwrap(),
        "null"
    );
    let odd = called(&plugin, "api.even", r#"{"x":3}"#).await;
    assert!(
        matches!(
            odd,
            Err(Fault::Guest {
                class: "failed",
                ..
            })
        ),
        "{odd:?}"
    );
}
