//! What the model's host says is handed on as it came: retry and exit code follow from its kind.

use flowhost_sdk::host::model::Finish;
use flowhost_sdk::{Denial, Error, Limit};
use serde_json::json;

use super::{Script, asks, configured, context, failed, says, task};
use crate::{config, work};

#[test]
fn a_denied_model_stays_denied_a_limit_a_limit_and_what_may_pass_transient() {
    let denial = Denial {
        right: "model".into(),
        wanted: "openai/gpt".into(),
        rule: "model.allow#none".into(),
    };
    let limit = Limit {
        name: "tokens".into(),
        used: "9".into(),
        allowed: "8".into(),
    };
    let ends = |error: Error| Script::of([Err(error)]).work(json!({}), "");
    assert!(
        matches!(ends(Error::Denied(denial)), Err(Error::Denied(it)) if it.wanted == "openai/gpt")
    );
    assert!(matches!(ends(Error::Limit(limit)), Err(Error::Limit(it)) if it.name == "tokens"));
    assert!(matches!(ends(Error::transient("429")), Err(Error::Transient(it)) if it == "429"));
    assert!(matches!(
        ends(Error::invalid("key")),
        Err(Error::Invalid(_))
    ));
    assert!(matches!(ends(Error::failed("500")), Err(Error::Failed(_))));
}

#[test]
fn a_limit_in_the_middle_of_the_loop_is_handed_on_too() {
    let limit = Limit {
        name: "usd".into(),
        used: "9".into(),
        allowed: "8".into(),
    };
    let script = Script::of([Ok(asks(&[("files/read", "{}")])), Err(Error::Limit(limit))]);
    assert!(matches!(script.work(json!({}), ""), Err(Error::Limit(it)) if it.name == "usd"));
}

#[test]
fn a_content_filter_is_a_failure_that_says_so() {
    let mut stopped = says("");
    stopped.finish = Finish::ContentFilter;
    assert!(failed(Script::new([stopped]).work(json!({}), "")).contains("content filter"));
}

#[test]
fn a_wrong_schema_prompt_or_input_is_invalid_before_the_model_is_asked() {
    let script = Script::new([says("x")]);
    assert!(matches!(
        script.work(json!({}), "{"),
        Err(Error::Invalid(_))
    ));
    let mut nothing = task(&json!({}), "");
    nothing.prompt.clear();
    let nothing = work::work(&script, &configured(json!({})), &context(), &nothing);
    assert!(matches!(nothing, Err(Error::Invalid(text)) if text.contains("nothing to do")));
    let mut wrong = task(&json!({}), "");
    wrong.input = "{".to_owned();
    assert!(matches!(
        work::work(&script, &configured(json!({})), &context(), &wrong),
        Err(Error::Invalid(_))
    ));
    assert!(script.asked.borrow().is_empty());
}

#[test]
fn the_start_refuses_a_prompt_that_is_no_template_and_a_tool_that_there_is_not() {
    let script = Script::new([says("x")]);
    let start = |more: &str| {
        config::check(
            &script,
            &format!(r#"{{"role":"a","model":"mock/a"{more}}}"#),
        )
    };
    for more in [
        r#","prompt":"{{ inptu }}""#,
        r#","tools":["files/raed"]"#,
        r#","modle":"x""#,
    ] {
        assert!(matches!(start(more), Err(Error::Invalid(_))), "{more}");
    }
    assert!(start(r#","prompt":"{{ input }}","tools":["files/*"]"#).is_ok());
}
