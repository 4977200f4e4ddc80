//! Where a request wants to go, and the rules it is compared with.
//!
//! The attack is a text that two readers understand differently. So what is accepted must be read
//! as the same place again, from its canonical form and from its parts.

use flowhost_policy::{
    HttpRule,
    egress::{Target as Place, decide_http},
};

use super::{head_and_rest, text};
use crate::{Outcome, Target};

const WORDS: &[&str] = &[
    "https://",
    "http://",
    "file://",
    "@",
    "\\",
    "//",
    "/../",
    "/./",
    "%2e%2e",
    "%2f",
    "%00",
    "%25",
    "%",
    "[::1]",
    "[::ffff:1.2.3.4]",
    "127.0.0.1",
    "0x7f.1",
    "2130706433",
    "017700000001",
    "169.254.169.254",
    ":443",
    ":0",
    ":65536",
    ":80",
    "xn--",
    "xn--a",
    "\u{3002}",
    "\u{ff0e}",
    "\u{df}",
    "\u{200d}",
    "\u{ad}",
    "\u{ff10}",
    "localhost",
    ".",
    "..",
    "?",
    "#",
    "*.",
    "*",
    "a.example",
    "\t",
    "\n",
    " ",
    "[10.0.0.0/8]",
];

pub(crate) const URL: Target = Target {
    name: "url",
    run: url,
    words: WORDS,
};

pub(crate) const RULE: Target = Target {
    name: "rule",
    run: rule,
    words: WORDS,
};

fn url(bytes: &[u8]) -> Outcome {
    let text = text(bytes);
    let read = Place::parse(&text, "GET");
    match &read {
        Err(denied) => assert!(!denied.rule.is_empty(), "{denied:?}"),
        Ok(place) => is_one_place(place),
    }
    Outcome::of(&read)
}

fn is_one_place(place: &Place) {
    let url = place.url();
    assert_eq!(Place::parse(url, "GET").as_ref(), Ok(place));
    assert!(url.bytes().all(|byte| byte.is_ascii_graphic()), "{url:?}");
    assert!(place.path().starts_with('/'), "{url:?}");
    assert!(!place.host().is_empty() && place.port() > 0, "{url:?}");
    assert!(matches!(place.scheme(), "http" | "https"), "{url:?}");
    let bracketed = place.host().trim_matches(['[', ']']);
    assert_eq!(place.ip(), bracketed.parse().ok(), "{url:?}");
    let authority = format!("{}:{}", place.host(), place.port());
    let path = place.path_and_query();
    let parts = Place::from_parts(Some(place.scheme()), &authority, path, "GET");
    assert_eq!(parts.as_ref(), Ok(place));
}

/// The first line is a rule, the second a URL. Accepted means: an allowed place has the rule's
/// scheme and method, and a rule without a wildcard allows no other host than its own.
fn rule(bytes: &[u8]) -> Outcome {
    let (rule, rest) = head_and_rest(bytes);
    let (rule, rest) = (text(rule), text(rest));
    let read = HttpRule::new(&rule, &["GET"]);
    let (Ok(rules), Ok(place)) = (&read, Place::parse(&rest, "GET")) else {
        return Outcome::of(&read);
    };
    let rules = std::slice::from_ref(rules);
    if decide_http(rules, &place).is_ok() {
        let (scheme, after) = rule.split_once("://").unwrap_or_default();
        assert!(scheme.eq_ignore_ascii_case(place.scheme()), "{rule} {rest}");
        let host = after.split('/').next().unwrap_or_default();
        if let Ok(own) = Place::parse(&rule, "GET")
            && !host.contains(['*', '['])
        {
            assert_eq!(own.origin(), place.origin(), "{rule} {rest}");
            let base = own.path().trim_end_matches('/');
            assert!(place.path().starts_with(base), "{rule} {rest}");
        }
        let posted = Place::parse(&rest, "POST");
        let posted = posted.is_ok_and(|posted| decide_http(rules, &posted).is_ok());
        assert!(
            !posted,
            "a method that the rule does not name: {rule} {rest}"
        );
    }
    Outcome::Accepted
}
