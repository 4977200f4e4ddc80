//! From a provider's refusal to a class.
//!
//! Sources: the error pages of OpenAI and Anthropic, and what vLLM, TGI and Ollama send. The status
//! decides; the body's own words decide where one status stands for several things (an empty account
//! and a full minute are both 429 at OpenAI; an empty account is 400 at Anthropic).

use std::time::Duration;

use serde_json::Value;

use crate::{error::ErrorClass, fault::Fault};

use super::text;

/// What a provider refused with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refusal {
    /// 0 when it came in the middle of a stream.
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) body: Vec<u8>,
}

/// The words of an error's body.
#[derive(Debug, Default)]
struct Words {
    message: String,
    kinds: String,
}

/// The fault of a refusal.
pub(crate) fn classify(refusal: &Refusal) -> Fault {
    let words = match serde_json::from_slice::<Value>(&refusal.body) {
        Ok(body) => words(&body),
        Err(_) => Words {
            message: String::from_utf8_lossy(&refusal.body).into_owned(),
            kinds: String::new(),
        },
    };
    let class = class(refusal.status, &words);
    let said = match (refusal.status, words.message.trim()) {
        (0, "") => "the provider ended its answer with an error".to_owned(),
        (0, message) => format!("the provider ended its answer: {message}"),
        (status, "") => format!("the provider answered {status}"),
        (status, message) => format!("the provider answered {status}: {message}"),
    };
    let mut fault = Fault::new(class, said, hint(class, refusal.status));
    fault.retry_after = refusal.retry_after;
    fault.hopeless = (300..400).contains(&refusal.status);
    fault
}

/// An error's words, wherever the server puts them.
fn words(body: &Value) -> Words {
    let error = body.get("error").unwrap_or(body);
    let message = error
        .as_str()
        .or_else(|| text(error, "message"))
        .or_else(|| text(body, "message"))
        .or_else(|| text(body, "detail"));
    let kinds = [
        text(error, "type"),
        text(error, "code"),
        text(body, "error_type"),
    ];
    Words {
        message: message.unwrap_or_default().to_owned(),
        kinds: kinds.map(Option::unwrap_or_default).join(" "),
    }
}

fn class(status: u16, words: &Words) -> ErrorClass {
    let kind = |word: &str| words.kinds.contains(word);
    let empty_account = kind("insufficient_quota")
        || kind("billing")
        || words.message.contains("credit balance is too low");
    if empty_account && !(500..600).contains(&status) {
        return ErrorClass::Quota;
    }
    match status {
        0 => class_in_stream(words),
        401 | 403 => ErrorClass::Auth,
        402 => ErrorClass::Quota,
        429 => ErrorClass::RateLimited,
        408 | 409 | 424 | 425 | 500 | 502..=504 | 507..=599 => ErrorClass::Transient,
        400..=499 => ErrorClass::Invalid,
        _ => ErrorClass::Provider,
    }
}

fn class_in_stream(words: &Words) -> ErrorClass {
    let any = |list: &[&str]| list.iter().any(|word| words.kinds.contains(word));
    if any(&["rate_limit"]) {
        ErrorClass::RateLimited
    } else if any(&["authentication", "permission", "invalid_api_key"]) {
        ErrorClass::Auth
    } else if any(&[
        "invalid_request",
        "validation",
        "BadRequest",
        "not_found",
        "context_length",
    ]) {
        ErrorClass::Invalid
    } else if any(&[
        "overloaded",
        "api_error",
        "server_error",
        "timeout",
        "InternalServer",
    ]) {
        ErrorClass::Transient
    } else {
        ErrorClass::Provider
    }
}

fn hint(class: ErrorClass, status: u16) -> &'static str {
    match (class, status) {
        (ErrorClass::Auth, _) => "check the secret that `key` names, and what it may do",
        (ErrorClass::Quota, _) => "the account has no credit left: top it up, or use another",
        (ErrorClass::RateLimited, _) => "lower requests_per_minute, or ask for a higher limit",
        (ErrorClass::Invalid, 404) => "check the model's name and the provider's url",
        (ErrorClass::Invalid, _) => "the request is at fault, not the provider",
        (ErrorClass::Provider, 300..400) => {
            "redirects are not followed, since the key would go along: write the final address as url"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, body: &str) -> Fault {
        classify(&Refusal {
            status,
            retry_after: None,
            body: body.as_bytes().to_vec(),
        })
    }

    #[test]
    fn real_error_bodies_have_their_classes() {
        use ErrorClass::*;
        let table = [
            (
                401,
                r#"{"error":{"message":"Incorrect API key provided","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}"#,
                Auth,
            ),
            (
                401,
                r#"{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}"#,
                Auth,
            ),
            (
                403,
                r#"{"type":"error","error":{"type":"permission_error","message":"not for this key"}}"#,
                Auth,
            ),
            (402, "", Quota),
            (
                429,
                r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","code":"insufficient_quota"}}"#,
                Quota,
            ),
            (
                400,
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the API"}}"#,
                Quota,
            ),
            (
                429,
                r#"{"error":{"message":"Rate limit reached","type":"requests","code":"rate_limit_exceeded"}}"#,
                RateLimited,
            ),
            (
                429,
                r#"{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}"#,
                RateLimited,
            ),
            (
                400,
                r#"{"error":{"message":"maximum context length","type":"invalid_request_error","code":"context_length_exceeded"}}"#,
                Invalid,
            ),
            (
                404,
                r#"{"error":{"message":"model \"x\" not found, try pulling it first","type":"api_error"}}"#,
                Invalid,
            ),
            (
                422,
                r#"{"error":"Input validation error: inputs tokens","error_type":"validation"}"#,
                Invalid,
            ),
            (413, r#"{"detail":"too large"}"#, Invalid),
            (
                500,
                r#"{"object":"error","message":"boom","type":"InternalServerError","code":500}"#,
                Transient,
            ),
            (503, "<html>upstream</html>", Transient),
            (
                529,
                r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
                Transient,
            ),
            (
                424,
                r#"{"error":"Request failed during generation","error_type":"generation"}"#,
                Transient,
            ),
            (302, "", Provider),
            (204, "", Provider),
            (501, "", Provider),
            (
                0,
                r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
                Transient,
            ),
            (
                0,
                r#"{"error":{"message":"The server had an error","type":"server_error"}}"#,
                Transient,
            ),
            (
                0,
                r#"{"error":{"message":"?","type":"new_kind"}}"#,
                Provider,
            ),
            (
                0,
                r#"{"error":{"message":"no credit","type":"insufficient_quota"}}"#,
                Quota,
            ),
        ];
        for (status, body, class) in table {
            assert_eq!(of(status, body).error.class, class, "{status} {body}");
        }
    }

    #[test]
    fn the_message_is_the_servers_own_wherever_it_stands() {
        for body in [
            r#"{"error":{"message":"why"}}"#,
            r#"{"error":"why"}"#,
            r#"{"message":"why"}"#,
            r#"{"detail":"why"}"#,
            "why",
        ] {
            assert_eq!(
                of(400, body).error.message,
                "the provider answered 400: why"
            );
        }
        assert_eq!(of(400, "").error.message, "the provider answered 400");
    }

    #[test]
    fn a_redirect_is_not_tried_again() {
        assert!(of(307, "").hopeless);
        assert!(!of(500, "").hopeless);
    }
}
