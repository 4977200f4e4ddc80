//! Measures expressions against conformance cases from outside of this repository.
//!
//! `cargo xtask cel-cases PATH` builds and runs this on a JSON file with a list of cases, or a folder of such
//! files. A case has `file`, `section`, `name`, `expr`, `bindings` (typed values by name) and `want` (a typed
//! value, or `{"t": "error"}`); one with `skip` is not expressible in JSON. Prints what does not hold, and
//! counts by file; `--quiet` leaves out the former. Fails when too few hold. What our own words hold is in
//! `src/expr/tests/`.
#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program of its own, for people: it reads files and prints"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use flowhost_flow::expr::{EvalError, Expr, Names};
use serde_json::{Map, Number, Value};

type Failure = Box<dyn std::error::Error>;

/// What docs/expressions.md promises: the rest is what JSON cannot tell apart.
const HOLD_PERCENT_MIN: u64 = 98;

fn main() -> Result<(), Failure> {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let quiet = args.iter().any(|arg| arg == "--quiet");
    args.retain(|arg| arg != "--quiet");
    let path = args
        .first()
        .map(PathBuf::from)
        .ok_or("give the path of the cases")?;
    let mut counts: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for case in cases(&path)? {
        if case.get("skip").is_some() || case.get("want").is_none() {
            continue;
        }
        let file = told(&case, "file").to_owned();
        let (held, all) = counts.entry(file).or_default();
        *all += 1;
        match outcome(&case) {
            Ok(()) => *held += 1,
            Err(why) if !quiet => println!(
                "{} {}: {}\n    {why}",
                told(&case, "file"),
                told(&case, "section"),
                told(&case, "expr")
            ),
            Err(_) => {}
        }
    }
    let (mut held, mut all) = (0, 0);
    for (file, (part, whole)) in &counts {
        println!("{file:20} {part:5} of {whole}");
        held += part;
        all += whole;
    }
    println!("{:20} {held:5} of {all}", "together");
    // Also of no cases at all: a measure of nothing holds nothing.
    if all == 0 || held * 100 < all * HOLD_PERCENT_MIN {
        return Err(format!("fewer than {HOLD_PERCENT_MIN} in 100 cases hold").into());
    }
    Ok(())
}

fn told<'c>(case: &'c Value, field: &str) -> &'c str {
    case.get(field).and_then(Value::as_str).unwrap_or("?")
}

fn cases(path: &Path) -> Result<Vec<Value>, Failure> {
    if !path.is_dir() {
        return Ok(serde_json::from_slice(&std::fs::read(path)?)?);
    }
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            cases.extend(serde_json::from_slice::<Vec<Value>>(&std::fs::read(path)?)?);
        }
    }
    Ok(cases)
}

fn outcome(case: &Value) -> Result<(), String> {
    let source = case["expr"].as_str().unwrap_or_default();
    let bindings: Vec<(String, Value)> = case["bindings"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, typed)| (name.clone(), plain(typed)))
        .collect();
    let names: Vec<(&str, &Value)> = bindings
        .iter()
        .map(|(name, value)| (name.as_str(), value))
        .collect();
    let want = &case["want"];
    let got = Expr::compile(source)
        .map_err(EvalError::Value)
        .and_then(|expr| expr.eval(&Names::new(&names)));
    let fits = match &got {
        Err(_) => want["t"] == "error",
        Ok(value) => is(want, value),
    };
    if fits {
        return Ok(());
    }
    match got {
        Ok(value) => Err(format!("gives {value}, not {want}")),
        Err(error) => Err(format!("fails ({error}), not {want}")),
    }
}

/// A typed value as JSON.
fn plain(typed: &Value) -> Value {
    let value = &typed["v"];
    match typed["t"].as_str() {
        Some("int" | "uint") => {
            let text = value.as_str().unwrap_or_default();
            let number = text
                .parse::<i64>()
                .map(Number::from)
                .or_else(|_| text.parse::<u64>().map(Number::from));
            number.map_or(Value::Null, Value::Number)
        }
        Some("double") => {
            let text = value.as_str().unwrap_or_default();
            text.parse::<f64>().map_or(Value::Null, Value::from)
        }
        Some("list") => value.as_array().into_iter().flatten().map(plain).collect(),
        Some("map") => {
            let entries = value
                .as_array()
                .into_iter()
                .flatten()
                .map(|entry| (key(&entry[0]), plain(&entry[1])));
            Value::Object(entries.collect::<Map<_, _>>())
        }
        _ => value.clone(),
    }
}

fn key(key: &Value) -> String {
    match key {
        Value::String(text) => text.clone(),
        Value::Object(_) => key["v"]
            .as_str()
            .map_or_else(|| key["v"].to_string(), str::to_owned),
        other => other.to_string(),
    }
}

/// Whether a value is the one that is wanted: numbers by value, everything else by kind and content.
fn is(want: &Value, got: &Value) -> bool {
    let value = &want["v"];
    match want["t"].as_str() {
        Some("null") => got.is_null(),
        Some("bool" | "string") => value == got,
        Some("int" | "uint") => {
            let text = value.as_str().unwrap_or_default();
            got.as_number().is_some_and(|got| got.to_string() == text)
        }
        Some("double") => {
            let wanted = value.as_str().and_then(|text| text.parse::<f64>().ok());
            got.as_f64() == wanted
        }
        Some("list") => {
            let wanted = value.as_array().map_or(&[][..], Vec::as_slice);
            got.as_array().is_some_and(|got| {
                got.len() == wanted.len() && wanted.iter().zip(got).all(|(want, got)| is(want, got))
            })
        }
        Some("map") => {
            let wanted = value.as_array().map_or(&[][..], Vec::as_slice);
            got.as_object().is_some_and(|got| {
                got.len() == wanted.len()
                    && wanted.iter().all(|entry| {
                        got.get(&key(&entry[0]))
                            .is_some_and(|got| is(&entry[1], got))
                    })
            })
        }
        _ => false,
    }
}
