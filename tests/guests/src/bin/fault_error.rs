//! Answers with the error that it is asked for: `case` is denied, limit, invalid, transient, failed or
//! conflict, with `message`. A guest may claim a denial; the host must not take its word for one.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::{Answer, Context, Denial, Error, Limit, parse};

#[derive(serde::Deserialize)]
struct Input {
    case: String,
    #[serde(default)]
    message: String,
}

fn run(_: &Context, input: &str) -> Result<Answer, Error> {
    let Input { case, message } = parse(input)?;
    Err(match case.as_str() {
        "denied" => Error::Denied(Denial {
            right: "files".to_owned(),
            wanted: message,
            rule: "made up".to_owned(),
        }),
        "limit" => Error::Limit(Limit {
            name: "fuel".to_owned(),
            used: "1".to_owned(),
            allowed: message,
        }),
        "transient" => Error::Transient(message),
        "failed" => Error::Failed(message),
        "conflict" => Error::Conflict(message),
        _ => Error::Invalid(message),
    })
}

flowhost_test_guests::guest!(run);
