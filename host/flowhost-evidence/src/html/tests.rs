//! What the page says, and that nothing a run wrote becomes markup.

use flowhost_ledger::{Fact, Kind};
use proptest::prelude::*;

use super::{STYLE, page};
use crate::story::tests::{Tape, audit};

/// The page in lines that a reviewer can read, without its style.
fn reviewable(page: &str) -> String {
    let page = page.replace(STYLE, "[style]");
    let start = page.find("sha256-").unwrap();
    let hash = page.get(start..start + 7 + 44).unwrap().to_owned();
    page.replace(&hash, "sha256-[hash]").replace("><", ">\n<")
}

#[test]
fn tells_a_run_with_models_denials_and_a_failure() {
    insta::assert_snapshot!(reviewable(&page(&audit().story())));
}

#[test]
fn tells_a_run_that_never_came_far() {
    let mut tape = Tape::new();
    tape.add(Fact::new(Kind::RunStart, "default/host").with("plan_name", "first-plan"));
    insta::assert_snapshot!(reviewable(&page(&tape.story())));
}

#[test]
fn a_call_without_an_outcome_is_not_free() {
    let mut tape = Tape::new();
    tape.add(Fact::new(Kind::RunStart, "default/host").with("plan_name", "killed"));
    let call = |kind, call: u64| {
        Fact::new(kind, "default/ann")
            .with("step", "s")
            .with("call", call)
            .with("try", 1)
            .with("asked", "openai/a")
            .with("model", "openai/a")
            .with("operation", "complete")
    };
    let intent = |number| {
        call(Kind::ModelIntent, number)
            .with("reserved_tokens", 1_200)
            .with("reserved_micro_usd", 30_000)
    };
    let first = tape.add(intent(1));
    tape.add(
        call(Kind::ModelResult, 1)
            .with("intent", first)
            .with("status", "ok")
            .with("prompt_tokens", 90)
            .with("completion_tokens", 10)
            .with("micro_usd", 5_000),
    );
    tape.add(intent(2));
    let story = tape.story();
    let all = story.models.all;
    assert_eq!((all.tries, all.unknown, all.micro_usd), (2, 1, 5_000));
    assert_eq!((all.held_tokens, all.held_micro_usd), (1_200, 30_000));
    let page = page(&story);
    for words in [
        "What they cost is not known; held for them were 1,200 tokens and $0.03",
        "unknown ($0.03 held)",
        "$0.005 to $0.035",
        "and up to $0.03 held for tries without an outcome",
    ] {
        assert!(page.contains(words), "{words}\n{}", reviewable(&page));
    }
}

#[test]
fn says_what_was_erased() {
    let mut tape = audit();
    let page_before = page(&tape.story());
    assert!(page_before.contains("[redacted:email] if in doubt"));
    // Both tries of the first call and the second call carry the prompt.
    for seq in 0..60 {
        tape.erase(seq);
    }
    let page = page(&tape.story());
    assert!(!page.contains("in doubt") && !page.contains("gone.md"));
    assert!(page.contains("Erased. A record in the ledger says so"));
}

#[test]
fn allows_its_own_style_and_nothing_else() {
    let page = page(&audit().story());
    let policy = "default-src 'none'; style-src 'sha256-";
    // maud writes the apostrophe as it is: the attribute is in double quotes.
    assert!(page.contains(policy), "{}", page.get(..400).unwrap());
    for never in [
        "<script",
        "style=",
        " src=",
        "http://",
        "https://",
        "@import",
        "javascript:",
    ] {
        assert!(!page.contains(never), "{never}");
    }
}

#[test]
fn is_the_same_page_for_the_same_ledger() {
    assert_eq!(page(&audit().story()), page(&audit().story()));
}

const TAGS: &str = " !DOCTYPE html head meta title style body a header div p h1 span dl dt dd code ul li \
    strong time nav main section h2 h3 h4 pre i ol svg rect table caption thead tbody tr th td details \
    summary footer g defs marker path text ";
const ATTRIBUTES: &str = " lang charset http-equiv content name class href id aria-label aria-labelledby \
    aria-hidden role datetime title tabindex scope open width height viewBox x y rx d stroke-width \
    preserveAspectRatio focusable marker-end refX refY markerWidth markerHeight markerUnits orient html ";

/// Walks the page as a browser's tokenizer does, and says what is not ours.
fn foreign_markup(page: &str) -> Option<String> {
    let page = page.replace(STYLE, "");
    let mut rest = page.as_str();
    while let Some(at) = rest.find('<') {
        let tag = &rest[at + 1..];
        let name_end = tag.find([' ', '>']).unwrap_or(tag.len());
        let name = tag[..name_end].trim_start_matches('/');
        if !TAGS.contains(&format!(" {name} ")) {
            return Some(format!("tag {name:?}"));
        }
        rest = &tag[name_end..];
        loop {
            rest = rest.trim_start();
            if let Some(after) = rest.strip_prefix('>') {
                rest = after;
                break;
            }
            let end = rest.find(['=', ' ', '>'])?;
            let attribute = &rest[..end];
            if !ATTRIBUTES.contains(&format!(" {attribute} ")) {
                return Some(format!("attribute {attribute:?}"));
            }
            rest = &rest[end..];
            if let Some(value) = rest.strip_prefix("=\"") {
                let end = value.find('"')?;
                let value_is_ours = attribute != "href" || value.starts_with('#');
                if !value_is_ours {
                    return Some(format!("link {:?}", &value[..end]));
                }
                rest = &value[end + 1..];
            }
        }
    }
    None
}

/// Text that tries to get out.
fn hostile() -> impl Strategy<Value = String> {
    let parts = prop_oneof![
        Just("<script>alert(1)</script>".to_owned()),
        Just("\"><img src=x onerror=alert(1)>".to_owned()),
        Just("' onload='x".to_owned()),
        Just("</pre></style></title><iframe>".to_owned()),
        Just("<!--".to_owned()),
        Just("&lt;b&gt;&#60;".to_owned()),
        Just("\u{202e}\u{200b}\u{1b}[2J\u{0}".to_owned()),
        Just("javascript:alert(1)".to_owned()),
        Just("deny".to_owned()),
        Just("12".to_owned()),
        any::<String>(),
    ];
    prop::collection::vec(parts, 1..4).prop_map(|parts| parts.concat())
}

/// Field names that any part of the page reads.
const FIELDS: [&str; 44] = [
    "plan",
    "plan_name",
    "seed",
    "durability",
    "flowhost",
    "plugin",
    "component",
    "role",
    "name",
    "profile",
    "path",
    "step",
    "stage",
    "status",
    "class",
    "attempt",
    "tool",
    "caller",
    "owner",
    "decision",
    "right",
    "rule",
    "wanted",
    "cure",
    "interface",
    "secret",
    "address",
    "guard",
    "check",
    "part",
    "verdict",
    "warned",
    "event",
    "used",
    "allowed",
    "asked",
    "model",
    "answered_by",
    "finish",
    "call",
    "try",
    "sender",
    "sha256",
    "exit_code",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_text_in_any_field_or_payload_becomes_markup(
        facts in prop::collection::vec(
            (
                prop::sample::select(Kind::ALL),
                hostile(),
                prop::collection::vec((prop::sample::select(&FIELDS[..]), hostile()), 0..12),
                prop::option::of(hostile()),
                any::<bool>(),
            ),
            1..30,
        ),
    ) {
        let mut tape = Tape::new();
        for ((kind, ..), actor, fields, payload, as_turn) in facts {
            let mut fact = Fact::new(kind, actor.as_str());
            for (name, value) in fields {
                fact = fact.with(name, value);
            }
            fact = fact.with("imports", vec![actor.clone()]).with("files", vec![actor]);
            if let Some(text) = payload {
                let turn = serde_json::json!({
                    "turns": [{ "speaker": text, "content": text, "tool_calls": [{ "name": text }] }],
                    "inputs": { &text: text }, "outputs": { "x": text }, "content": text,
                    "failure": { "message": text, "hint": text, "step": text },
                });
                fact = fact.payload(if as_turn { turn.to_string() } else { text }.into_bytes());
            }
            tape.add(fact);
        }
        let page = page(&tape.story());
        prop_assert_eq!(foreign_markup(&page), None);
        let bad = |c: char| (c.is_control() && c != '\n' && c != '\t') || "\u{202e}\u{200b}\u{2066}".contains(c);
        prop_assert!(!page.contains(bad));
    }
}

#[test]
fn the_walk_finds_markup_that_is_not_ours() {
    assert_eq!(foreign_markup("<p>x</p>"), None);
    for bad in [
        "<p><script>x",
        "<p onclick=\"x\">",
        "<a href=\"javascript:x\">",
        "<p><!-- -->",
    ] {
        assert!(foreign_markup(bad).is_some(), "{bad}");
    }
}
