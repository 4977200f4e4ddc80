//! From a provider's refusal to a class.
//!
//! Sources: the error pages of OpenAI and Anthropic, and what vLLM, TGI, Ollama and routers send. The
//! status of the response decides, or, where the response is 200 and the refusal stands in its body or in
//! its stream, the status that the body names; the body's own words decide where one status stands for
//! several things (an empty account and a full minute are both 429 at OpenAI; an empty account is 400
//! at Anthropic) and where there is none.

use std::time::Duration;

use serde_json::Value;

use crate::{error::ErrorClass, fault::Fault};

use super::words::Words;

/// What a provider refused with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refusal {
    /// 0 when it came under a 200 or in the middle of a stream.
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) body: Vec<u8>,
}

/// The fault of a refusal.
pub(crate) fn classify(refusal: &Refusal) -> Fault {
    let words = Words::of(&refusal.body);
    let mut fault = fault(refusal.status, &words);
    fault.retry_after = refusal.retry_after;
    fault
}

/// The fault of an error that stands in an answer: under a 200, or in its stream.
pub(super) fn in_answer(error: &Value) -> Fault {
    fault(0, &Words::of_json(error))
}

/// The same, where the error is plain text.
pub(super) fn in_answer_text(text: &str) -> Fault {
    fault(0, &Words::of(text.as_bytes()))
}

fn fault(status: u16, words: &Words) -> Fault {
    let class = class(status, words);
    let said = match (status, words.status, words.message.trim()) {
        (0, None, "") => "the provider ended its answer with an error".to_owned(),
        (0, Some(status), "") => format!("the provider ended its answer with the error {status}"),
        (0, _, message) => format!("the provider ended its answer: {message}"),
        (status, _, "") => format!("the provider answered {status}"),
        (status, _, message) => format!("the provider answered {status}: {message}"),
    };
    let mut fault = Fault::new(class, said, hint(class, status));
    fault.hopeless = (300..400).contains(&status);
    fault.said = Some(words.all());
    fault
}

fn class(status: u16, words: &Words) -> ErrorClass {
    let kind = |word: &str| words.kinds.contains(word);
    let empty_account = kind("insufficient_quota")
        || kind("billing")
        || words.message.contains("credit balance is too low");
    // A server that breaks down may quote anything in its page.
    if empty_account && !(500..600).contains(&status) {
        return ErrorClass::Quota;
    }
    match (status, words.status) {
        (0, named) => class_in_answer(named, words),
        (status, _) => class_of(status),
    }
}

fn class_of(status: u16) -> ErrorClass {
    match status {
        401 | 403 => ErrorClass::Auth,
        402 => ErrorClass::Quota,
        429 => ErrorClass::RateLimited,
        // What a server or a proxy says when it was busy, late or in each other's way; 529 is
        // Anthropic's word for overloaded. 501, 505 and 506 are about the protocol: something else
        // is at that address.
        408 | 409 | 424 | 425 | 500 | 502..=504 | 507..=599 => ErrorClass::Transient,
        400..=499 => ErrorClass::Invalid,
        _ => ErrorClass::Provider,
    }
}

/// Words for programs come before a number (an SDK that wraps another's error makes every number 500),
/// a number before words for people.
fn class_in_answer(named: Option<u16>, words: &Words) -> ErrorClass {
    by_words(&words.kinds, &KINDS)
        .or_else(|| named.map(class_of))
        .or_else(|| by_words(&words.message.to_lowercase(), &MESSAGES))
        .unwrap_or(ErrorClass::Provider)
}

fn by_words(text: &str, table: &[(ErrorClass, &[&str])]) -> Option<ErrorClass> {
    let any = |words: &[&str]| words.iter().any(|word| text.contains(word));
    table
        .iter()
        .find(|(_, words)| any(words))
        .map(|(class, _)| *class)
}

/// The narrower kinds first: a wrong key is an `invalid_request_error` as well at OpenAI.
const KINDS: [(ErrorClass, &[&str]); 4] = [
    (
        ErrorClass::RateLimited,
        &["rate_limit", "RESOURCE_EXHAUSTED", "throttl"],
    ),
    (
        ErrorClass::Auth,
        &[
            "authentication",
            "permission",
            "invalid_api_key",
            "unauthorized",
            "UNAUTHENTICATED",
            "PERMISSION_DENIED",
        ],
    ),
    (
        ErrorClass::Invalid,
        &[
            "invalid_request",
            "validation",
            "BadRequest",
            "bad_request",
            "not_found",
            "context_length",
            "extra_forbidden",
            "INVALID_ARGUMENT",
        ],
    ),
    (
        ErrorClass::Transient,
        &[
            "overloaded",
            "api_error",
            "server_error",
            "timeout",
            "InternalServer",
            "UNAVAILABLE",
        ],
    ),
];

const MESSAGES: [(ErrorClass, &[&str]); 5] = [
    (
        ErrorClass::Quota,
        &[
            "insufficient credit",
            "insufficient balance",
            "insufficient quota",
            "payment required",
            "out of credit",
            "exceeded your current quota",
        ],
    ),
    (
        ErrorClass::RateLimited,
        &["rate limit", "too many requests"],
    ),
    (
        ErrorClass::Auth,
        &[
            "incorrect api key",
            "invalid api key",
            "api key not valid",
            "unauthorized",
            "forbidden",
            "authentication",
        ],
    ),
    (
        ErrorClass::Invalid,
        &[
            "bad request",
            "invalid request",
            "context length",
            "too long",
            "not found",
            "not supported",
            "unsupported",
        ],
    ),
    (
        ErrorClass::Transient,
        &[
            "overloaded",
            "unavailable",
            "timed out",
            "timeout",
            "try again",
            "internal server error",
            "bad gateway",
        ],
    ),
];

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
            (
                0,
                r#"{"error":{"message":"Insufficient credits","code":402}}"#,
                Quota,
            ),
            (
                0,
                r#"{"error":{"message":"too long","code":"400"}}"#,
                Invalid,
            ),
            (0, r#"{"error":{"message":"no","code":401}}"#, Auth),
            (0, r#"{"error":{"message":"boom","code":502}}"#, Transient),
            (
                0,
                r#"{"error":{"message":"Incorrect API key provided","type":"invalid_request_error","code":"invalid_api_key"}}"#,
                Auth,
            ),
            (
                0,
                r#"{"detail":[{"type":"extra_forbidden","loc":["body","seed"],"msg":"Extra inputs"}]}"#,
                Invalid,
            ),
            (
                0,
                r#"[{"error":{"code":400,"status":"INVALID_ARGUMENT","message":"?"}}]"#,
                Invalid,
            ),
            (0, "402 Payment Required", Quota),
            (0, "Error: 401 Unauthorized", Auth),
            (0, "Insufficient credits", Quota),
            (0, "upstream timed out", Transient),
            (0, "prompt is too long", Invalid),
            (0, "hm", Provider),
            // The response's own status is nearer to the truth than what a wrapped error says.
            (
                503,
                r#"{"error":{"message":"upstream said no","code":400}}"#,
                Transient,
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
