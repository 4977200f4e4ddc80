//! What WIT types are in JSON: what is refused of an input, what cannot be told, and that a value comes back
//! as it went.

use serde_json::{Value, json};
use wasmtime::component::Component;
use wasmtime::component::types::{ComponentItem, Type};

use super::{schema, value};

/// A component with one function for each type, which is never called.
const TYPES: &str = r#"(component
  (type $color' (enum "red" "green")) (export $color "color" (type $color'))
  (type $sides' (flags "left" "right")) (export $sides "sides" (type $sides'))
  (type $item' (record (field "name" string) (field "note" (option string)))) (export $item "item" (type $item'))
  (type $shape' (variant (case "none") (case "round" f64))) (export $shape "shape" (type $shape'))
  (core module $m (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) unreachable)
    (func (export "i") (param i32)) (func (export "l") (param i64)) (func (export "ii") (param i32 i32))
    (func (export "iii") (param i32 i32 i32)) (func (export "iiiii") (param i32 i32 i32 i32 i32))
    (func (export "if") (param i32 f64)) (func (export "iif") (param i32 i32 f64)) (func (export "d") (param f64)))
  (core instance $i (instantiate $m))
  (alias core export $i "memory" (core memory $memory))
  (alias core export $i "realloc" (core func $realloc))
  (func (export "small") (param "x" s8) (canon lift (core func $i "i")))
  (func (export "large") (param "x" u64) (canon lift (core func $i "l")))
  (func (export "real") (param "x" f64) (canon lift (core func $i "d")))
  (func (export "letter") (param "x" char) (canon lift (core func $i "i")))
  (func (export "bytes") (param "x" (list u8))
    (canon lift (core func $i "ii") (memory $memory) (realloc $realloc)))
  (func (export "words") (param "x" (list string))
    (canon lift (core func $i "ii") (memory $memory) (realloc $realloc)))
  (func (export "pair") (param "x" (tuple string f64))
    (canon lift (core func $i "iif") (memory $memory) (realloc $realloc)))
  (func (export "maybe") (param "x" (option u32)) (canon lift (core func $i "ii")))
  (func (export "twice") (param "x" (option (option u32))) (canon lift (core func $i "iii")))
  (func (export "color-of") (param "x" $color) (canon lift (core func $i "i")))
  (func (export "sides-of") (param "x" $sides) (canon lift (core func $i "i")))
  (func (export "item-of") (param "x" $item)
    (canon lift (core func $i "iiiii") (memory $memory) (realloc $realloc)))
  (func (export "shape-of") (param "x" $shape) (canon lift (core func $i "if"))))"#;

fn with(name: &str, test: impl FnOnce(&Type)) {
    let engine = wasmtime::Engine::new(&crate::knobs::compiling()).unwrap();
    let component = Component::new(&engine, wat::parse_str(TYPES).unwrap()).unwrap();
    let found = component.get_export(None, name).unwrap().0;
    let ComponentItem::ComponentFunc(function) = found else {
        panic!("`{name}` is no function");
    };
    let (_, ty) = function.params().next().unwrap();
    test(&ty);
}

fn refused(name: &str, input: &Value) {
    with(name, |ty| {
        let read = value::from_json(ty, Some(input), "x");
        assert!(read.is_err(), "{name} takes {input}: {read:?}");
    });
}

fn comes_back(name: &str, input: &Value) {
    with(name, |ty| {
        let read = value::from_json(ty, Some(input), "x").unwrap();
        assert_eq!(value::to_json(ty, &read).as_ref(), Ok(input), "{name}");
        let schema = schema::answer(Some(ty)).unwrap();
        assert!(schema.is_object(), "{schema}");
    });
}

#[test]
fn what_is_not_of_the_type_is_refused_with_its_place() {
    refused("small", &json!(128));
    refused("small", &json!(1.5));
    refused("small", &json!("1"));
    refused("large", &json!(-1));
    refused("letter", &json!("ab"));
    refused("bytes", &json!("%%%"));
    refused("pair", &json!(["a"]));
    refused("color-of", &json!("blue"));
    refused("sides-of", &json!(["up"]));
    refused("item-of", &json!({ "note": "b" }));
    refused("item-of", &json!({ "name": "a", "more": 1 }));
    refused("shape-of", &json!({ "none": 1 }));
    refused("shape-of", &json!({ "square": 1 }));
    with("item-of", |ty| {
        let said = value::from_json(ty, Some(&json!({ "name": 1 })), "x").unwrap_err();
        assert!(said.contains("`name`"), "{said}");
    });
}

#[test]
fn a_value_comes_back_as_it_went() {
    comes_back("small", &json!(-128));
    comes_back("large", &json!(9_007_199_254_740_991_u64));
    comes_back("real", &json!(1.5));
    comes_back("letter", &json!("ä"));
    comes_back("bytes", &json!("AAEC"));
    comes_back("bytes", &json!(""));
    comes_back("words", &json!(["a", "b"]));
    comes_back("words", &json!([]));
    comes_back("pair", &json!(["a", 2.5]));
    comes_back("maybe", &json!(null));
    comes_back("maybe", &json!(7));
    comes_back("color-of", &json!("green"));
    comes_back("sides-of", &json!(["left"]));
    comes_back("item-of", &json!({ "name": "a", "note": null }));
    comes_back("shape-of", &json!("none"));
    comes_back("shape-of", &json!({ "round": 2.5 }));
}

#[test]
fn what_json_cannot_carry_exactly_is_told_and_not_rounded() {
    with("large", |ty| {
        let large = wasmtime::component::Val::U64(1 << 60);
        let said = value::to_json(ty, &large).unwrap_err();
        assert!(said.contains("1152921504606846976"), "{said}");
    });
    with("real", |ty| {
        let none = wasmtime::component::Val::Float64(f64::NAN);
        assert!(value::to_json(ty, &none).is_err());
    });
    with("twice", |ty| {
        let said = schema::answer(Some(ty)).unwrap_err();
        assert!(said.contains("two nothings"), "{said}");
    });
}

#[test]
fn schemas_say_what_a_value_must_be() {
    with("item-of", |ty| {
        assert_eq!(
            schema::answer(Some(ty)).unwrap(),
            json!({
                "type": "object", "additionalProperties": false, "required": ["name"],
                "properties": {
                    "name": { "type": "string" },
                    "note": { "anyOf": [{ "type": "string" }, { "type": "null" }] },
                },
            })
        );
    });
    with("shape-of", |ty| {
        let said = schema::answer(Some(ty)).unwrap();
        assert_eq!(said["oneOf"][0], json!({ "const": "none" }));
        assert_eq!(said["oneOf"][1]["required"], json!(["round"]));
    });
}
