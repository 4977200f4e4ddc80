//! What a tool answered, on its way to whoever called it: the whole of it in the record, the whole of it
//! before the guardrails, and what they leave of it to the caller.

use flowhost_engine::{
    Fault, JsonLimits, ToolContent, content_error_of, content_error_value, content_of,
    content_value, handed_on_of, neutralise, parse_json,
};
use serde_json::Value;

/// Longest message of an error that a guardrail rewrote, in characters: as long as a guest's own.
const MESSAGE_CHARS: usize = 1_024;

/// A tool's content for a step: what its record keeps, and what the step hands on, or all of it where that is wanted.
pub(crate) struct Whole {
    text: String,
    pub(crate) output: Value,
}

impl Whole {
    pub(crate) fn of(content: &ToolContent, wanted: bool) -> Result<Self, Fault> {
        let whole = content_value(content).map_err(Fault::Host)?;
        Ok(Self {
            text: whole.to_string(),
            output: match wanted {
                true => whole,
                false => handed_on_of(whole),
            },
        })
    }

    /// For the record of the result.
    pub(crate) fn told(&self) -> (&String, &[String]) {
        (&self.text, &[])
    }
}

/// The whole content as one document.
pub(crate) fn content_text(content: &ToolContent) -> Result<String, Fault> {
    let whole = content_value(content).map_err(Fault::Host)?;
    Ok(whole.to_string())
}

/// Puts what a tool answered before `guard`, which gives back the document it leaves. A tool's own words
/// of an error are as much its answer as a value is; what the host says of its end is not.
pub(crate) async fn judged<G: Future<Output = Result<String, Fault>>>(
    answer: Result<ToolContent, Fault>,
    guard: impl FnOnce(String) -> G,
) -> Result<ToolContent, Fault> {
    match answer {
        Ok(content) => {
            let before = content_text(&content)?;
            let after = guard(before.clone()).await?;
            if after == before {
                return Ok(content);
            }
            content_of(document(&after)?).map_err(unusable)
        }
        Err(Fault::Guest { class, message }) => {
            let before = content_error_value(class, &message).to_string();
            let after = guard(before).await?;
            let message = content_error_of(class, document(&after)?).map_err(unusable)?;
            Err(Fault::Guest {
                class,
                message: neutralise(&message, MESSAGE_CHARS),
            })
        }
        Err(other) => Err(other),
    }
}

fn document(text: &str) -> Result<Value, Fault> {
    parse_json(text, &JsonLimits::default()).map_err(|error| unusable(error.to_string()))
}

fn unusable(why: String) -> Fault {
    Fault::Guest {
        class: "failed",
        message: format!("a guardrail made something else of a tool's answer: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(value: &str) -> Result<ToolContent, Fault> {
        Ok(ToolContent {
            value: value.to_owned(),
            parts: Vec::new(),
        })
    }

    fn failed(message: &str) -> Result<ToolContent, Fault> {
        Err(Fault::Guest {
            class: "failed",
            message: message.to_owned(),
        })
    }

    async fn rewritten(answer: Result<ToolContent, Fault>, to: &str) -> Result<String, String> {
        let judged = judged(answer, async |_| Ok(to.to_owned())).await;
        let shown = judged.map(|content| content.value);
        shown.map_err(|fault| fault.to_string())
    }

    #[tokio::test]
    async fn refuses_what_a_guardrail_made_of_an_answer_that_is_none() {
        for to in [
            "1",
            "{",
            r#"{"value":1}"#,
            r#"{"value":1,"parts":[],"value":2}"#,
        ] {
            assert!(rewritten(content("1"), to).await.is_err(), "{to}");
            assert!(rewritten(failed("no"), to).await.is_err(), "{to}");
        }
    }

    #[tokio::test]
    async fn a_denial_of_an_error_is_told_instead_of_the_error() {
        let denied = judged(failed("secret words"), async |subject: String| {
            assert_eq!(
                subject,
                r#"{"error":{"class":"failed","message":"secret words"}}"#
            );
            Err(Fault::Cancelled)
        });
        assert!(matches!(denied.await, Err(Fault::Cancelled)));
    }

    #[tokio::test]
    async fn what_a_guardrail_leaves_is_what_travels() {
        let value = rewritten(content("1"), r#"{"parts":[],"value":2}"#).await;
        assert_eq!(value.as_deref(), Ok("2"));
        let message = r#"{"error":{"class":"failed","message":"[redacted]"}}"#;
        let error = rewritten(failed("secret"), message).await.unwrap_err();
        assert!(error.contains("[redacted]"), "{error}");
    }

    #[tokio::test]
    async fn what_the_host_says_of_a_tools_end_needs_no_guardrail() {
        let trap = Err(Fault::Trap {
            message: "unreachable".to_owned(),
        });
        let judged = judged(trap, async |_| Err(Fault::Cancelled)).await;
        assert!(matches!(judged, Err(Fault::Trap { .. })));
    }
}
