//! The component of this project in the real host: what is asserted here is what a user will meet.

use flowhost_sdk::testing::{Failed, Sandbox};
use serde_json::json;

#[test]
fn counts_and_needs_no_right_for_it() -> Result<(), Failed> {
    let sandbox = Sandbox::build(env!("CARGO_MANIFEST_DIR"))?;
    let ran = sandbox.call("count", &json!({ "text": "one two three" }))?;
    assert_eq!(ran.output["words"], 3);
    assert!(ran.used.fuel < 1_000_000, "{ran:?}");
    Ok(())
}

#[test]
fn a_text_without_words_is_invalid() -> Result<(), Failed> {
    let sandbox = Sandbox::build(env!("CARGO_MANIFEST_DIR"))?;
    let failed = sandbox.call("count", &json!({ "text": " " })).unwrap_err();
    assert_eq!(failed.class(), "invalid");
    Ok(())
}
