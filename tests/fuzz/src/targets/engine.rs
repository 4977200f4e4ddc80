//! Components and JSON from strangers, before the runtime sees either.

use flowhost_engine::{JsonError, JsonLimits, ShapeLimits, check_json, inspect as inspect_bytes};

use super::text;
use crate::{Outcome, Target};

pub(crate) const INSPECT: Target = Target {
    name: "inspect",
    run: inspect,
    words: &[
        "\0asm\x0d\0\x01\0",
        "\0asm\x01\0\0\0",
        "flowhost:roles/tool@0.1.0",
        "flowhost:roles/agent@0.1.0",
        "flowhost:log/log@0.1.0",
        "flowhost:manifest",
        "@0.2.0",
        "@18446744073709551616.0.0",
        "wasi:cli/run@0.2.6",
        "\u{7f}",
        "\u{1b}[2J",
        "\0\0\0\0",
    ],
};

pub(crate) const JSON: Target = Target {
    name: "json",
    run: json,
    words: &[
        "[[[[[[[[",
        "{\"a\":",
        "\\u0000",
        "\\ud800",
        "\\ud83d\\ude00",
        "1e400",
        "-0",
        "1E+1",
        "true",
        "null",
        "\\\"",
        "\u{7f}",
        "00",
    ],
};

/// Accepted or not, what is said about it can be shown on a terminal; accepted twice is the same.
fn inspect(bytes: &[u8]) -> Outcome {
    let read = inspect_bytes(bytes, &ShapeLimits::default());
    match &read {
        Err(error) => {
            let said = error.to_string();
            let odd = said.chars().find(|c| c.is_control() && *c != '\n');
            assert_eq!(odd, None, "{said:?}");
        }
        Ok(inspection) => {
            let again = inspect_bytes(bytes, &ShapeLimits::default());
            assert_eq!(again.as_ref(), Ok(inspection));
            assert_eq!(inspection.size, bytes.len() as u64);
            assert!(inspection.digest.starts_with("sha256:"));
        }
    }
    Outcome::of(&read)
}

/// Accepted means: `serde_json` builds the value. Refused for its syntax means: it does not.
fn json(bytes: &[u8]) -> Outcome {
    let text = text(bytes);
    let read = check_json(&text, &JsonLimits::default());
    let theirs = serde_json::from_str::<serde_json::Value>(&text);
    match &read {
        Ok(()) => assert!(theirs.is_ok(), "{theirs:?}"),
        Err(JsonError::Syntax(_)) => assert!(theirs.is_err(), "{read:?}"),
        Err(_) => {}
    }
    Outcome::of(&read)
}
