//! Works on state: `op` is get, set, swap, delete or list, with `namespace`, `key`, `value`,
//! `expected` and `prefix`; takes a table of `cases`.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::host::state;
use flowhost_test_guests::{Answer, Context, Error, Value, each, json};

#[derive(serde::Deserialize)]
struct Input {
    op: String,
    namespace: String,
    #[serde(default)]
    key: String,
    #[serde(default)]
    value: String,
    #[serde(default)]
    expected: String,
    #[serde(default)]
    prefix: String,
}

fn work(input: Input) -> Result<Value, Error> {
    let Input {
        op,
        namespace,
        key,
        value,
        expected,
        prefix,
    } = input;
    Ok(match op.as_str() {
        "get" => state::get(&namespace, &key)?.map_or(Value::Null, |entry| {
            json!({ "value": String::from_utf8_lossy(&entry.value), "revision": entry.revision })
        }),
        "set" => json!(state::set(&namespace, &key, value.as_bytes())?),
        "swap" => {
            json!(state::compare_and_swap(&namespace, &key, &expected, value.as_bytes())?)
        }
        "delete" => json!(state::delete(&namespace, &key)?),
        "list" => json!(state::list(&namespace, &prefix)?),
        other => return Err(Error::invalid(format_args!("no operation `{other}`"))),
    })
}

fn run(_: &Context, input: &str) -> Result<Answer, Error> {
    each(input, work)
}

flowhost_test_guests::guest!(run);
