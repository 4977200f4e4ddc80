//! What the page says, and that nothing a run wrote becomes markup.

use flowhost_ledger::records::{
    ComponentLoad, Gate, ModelIntent, ModelResult, PolicyLoad, Reload, RunPause, RunStart, Shape,
    StepPart, TryPart,
};
use flowhost_ledger::{Fact, Kind, Value};
use flowhost_words::shell_word;
use proptest::prelude::*;

use super::page;
use super::style::SHEET;
use crate::story::tests::{Tape, audit, by, host, many_steps, of};

/// The page in lines that a reviewer can read, without its style.
fn reviewable(page: &str) -> String {
    let page = page.replace(SHEET.as_str(), "[style]");
    let start = page.find("sha256-").unwrap();
    let hash = page.get(start..start + 7 + 44).unwrap().to_owned();
    page.replace(&hash, "sha256-[hash]").replace("><", ">\n<")
}

fn started(plan: &str) -> Fact {
    host(RunStart {
        plan_name: Some(plan.to_owned()),
        ..RunStart::default()
    })
}

#[test]
fn tells_a_run_with_models_denials_and_a_failure() {
    insta::assert_snapshot!(reviewable(&page(&audit().story())));
}

#[test]
fn tells_a_run_that_never_came_far() {
    let mut tape = Tape::new();
    tape.add(started("first-plan"));
    insta::assert_snapshot!(reviewable(&page(&tape.story())));
}

#[test]
fn a_call_without_an_outcome_is_not_free() {
    let mut tape = Tape::new();
    tape.add(started("killed"));
    let of_try = |request| TryPart {
        request: Some(request),
        r#try: Some(1),
        asked: Some("openai/a".to_owned()),
        model: Some("openai/a".to_owned()),
        operation: Some("complete".to_owned()),
        ..TryPart::default()
    };
    let intent = |number| ModelIntent {
        call_of: of("s"),
        of_try: of_try(number),
        reserved_tokens: Some(1_200),
        reserved_micro_usd: Some(30_000),
        ..ModelIntent::default()
    };
    let first = tape.add(by("ann", intent(1)));
    let result = ModelResult {
        call_of: of("s"),
        of_try: of_try(1),
        intent: Some(first),
        status: "ok".to_owned(),
        prompt_tokens: Some(90),
        completion_tokens: Some(10),
        micro_usd: Some(5_000),
        ..ModelResult::default()
    };
    tape.add(by("ann", result));
    tape.add(by("ann", intent(2)));
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
fn shows_both_builds_of_a_plugin_that_was_swapped() {
    let mut tape = Tape::new();
    tape.add(started("p"));
    tape.add(host(Reload {
        plugin: "greet".to_owned(),
        revision: 2,
        component_before: format!("sha256:{}", "ab".repeat(32)),
        component: format!("sha256:{}", "cd".repeat(32)),
        ..Reload::default()
    }));
    let page = page(&tape.story());
    let (_, table) = page
        .split_once("swapped while the run went on</caption>")
        .unwrap();
    for part in ["greet", "abab", "cdcd", "the same"] {
        assert!(table.contains(part), "no {part} in {table}");
    }
}

#[test]
fn says_the_labels_and_of_each_plugin_its_file_its_revision_and_the_file_of_its_profile() {
    let mut tape = Tape::new();
    let labels = [("team", "docs"), ("about", "<b>")];
    let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
    tape.add(host(RunStart {
        labels: Some(labels.into()),
        ..RunStart::default()
    }));
    tape.add(host(ComponentLoad {
        plugin: "markdown".to_owned(),
        component: "sha256:0123456789abcdef".to_owned(),
        revision: Some(1),
        file: Some("builtin:markdown".to_owned()),
        role: "tool".to_owned(),
        ..ComponentLoad::default()
    }));
    tape.add(host(PolicyLoad {
        plugin: "markdown".to_owned(),
        component: "sha256:0123456789abcdef".to_owned(),
        name: "reads-docs".to_owned(),
        file: Some("policies/reads-docs.toml".to_owned()),
        profile: "sha256:fedcba9876543210".to_owned(),
        ..PolicyLoad::default()
    }));
    let page = page(&tape.story());
    for told in [
        "<dt>Labels</dt>",
        "<code>team=docs</code>",
        "<code>about=&lt;b&gt;</code>",
        "builtin:markdown",
        "revision 1",
        "policies/reads-docs.toml",
        "sha256:fedcba9876543210",
    ] {
        assert!(page.contains(told), "{told}");
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
fn a_step_adds_less_to_the_page_than_to_the_ledger() {
    let of = |steps: u64| page(&many_steps(steps).story()).len();
    // Five records of a plain step, at some four hundred bytes each, and two payloads.
    let added = (of(60) - of(0)) / 60;
    assert!(added < 1_800, "{added} bytes for each of the first steps");
    let added = (of(180) - of(60)) / 120;
    assert!(
        added < 600,
        "{added} bytes for each step without a bar of its own"
    );
    assert!(of(2_000) < of(200) + 250, "and nothing beyond two hundred");
}

#[test]
fn commands_on_the_page_can_be_typed_as_they_stand() {
    let path = "all[0]/review";
    let mut tape = many_steps(300);
    tape.add(host(Gate {
        at: StepPart {
            step: "g".to_owned(),
            path: path.to_owned(),
        },
        event: "opened".to_owned(),
        wants: "approval".to_owned(),
        ..Gate::default()
    }));
    tape.add(host(RunPause {
        status: "waiting".to_owned(),
        exit_code: Some(9),
        steps: Some(vec![path.to_owned()]),
    }));
    let story = tape.story();
    let (page, run) = (page(&story), &story.head.run);
    let gate = shell_word(path);
    assert_ne!(gate, path, "a shell would read it otherwise");
    for command in [
        format!("flowhost runs approve {run} {gate} --by NAME"),
        format!("<code>flowhost runs show {run}</code> prints all records."),
    ] {
        assert!(page.contains(&command), "{command}");
    }
}

#[test]
fn is_the_same_page_for_the_same_ledger() {
    assert_eq!(page(&audit().story()), page(&audit().story()));
}

const TAGS: &str = " !DOCTYPE html head meta title style body a header div p h1 span dl dt dd code ul li \
    strong time nav main section h2 h3 h4 pre i ol svg rect table caption thead tbody tr th td details \
    summary footer g defs marker path text fieldset legend label input ";
const ATTRIBUTES: &str = " lang charset http-equiv content name class href id aria-label aria-labelledby \
    aria-hidden role datetime title tabindex scope open width height viewBox x y rx d stroke-width \
    preserveAspectRatio focusable type checked marker-end refX refY markerWidth markerHeight markerUnits orient html ";

/// Walks the page as a browser's tokenizer does, and says what is not ours.
fn foreign_markup(page: &str) -> Option<String> {
    let page = page.replace(SHEET.as_str(), "");
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

/// Every field of a kind, filled with what a run could write, as far as its form allows.
fn filled(kind: Kind, texts: &[String], number: u64) -> Fact {
    let mut texts = texts.iter().cycle().cloned();
    let mut text = || texts.next().unwrap_or_default();
    let mut fact = Fact::new(kind, text());
    for (at, field) in kind.fields().iter().enumerate() {
        let number = number.wrapping_mul(at as u64 + 1);
        // Now and then a field is missing that may be.
        if !field.required && number.is_multiple_of(5) {
            continue;
        }
        let value = match field.shape {
            Shape::Text => Value::from(text()),
            Shape::Number => Value::from(number),
            Shape::Flag => Value::from(number.is_multiple_of(2).to_string()),
            Shape::Word(words) => Value::from(words[number as usize % words.len()]),
            Shape::List => Value::from(vec![text(), text()]),
            Shape::Numbers => Value::from(vec![number.to_string()]),
            Shape::Map => Value::Map([(text(), text())].into()),
        };
        fact.fields.insert(field.name.to_owned(), value);
    }
    fact
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_text_in_any_field_or_payload_becomes_markup(
        facts in prop::collection::vec(
            (
                prop::sample::select(Kind::ALL),
                prop::collection::vec(hostile(), 1..12),
                any::<u64>(),
                prop::option::of(hostile()),
                any::<bool>(),
            ),
            1..30,
        ),
    ) {
        let mut tape = Tape::new();
        for ((kind, ..), texts, number, payload, as_turn) in facts {
            let mut fact = filled(kind, &texts, number);
            prop_assert!(fact.read().is_ok(), "{:?}", fact.read());
            if let Some(text) = payload {
                let turn = serde_json::json!({
                    "turns": [{ "speaker": text, "content": text, "tool_calls": [{ "name": text }] }],
                    "inputs": { &text: text }, "outputs": { "x": text }, "content": text,
                    "failure": { "message": text, "hint": text, "step": text },
                    "wanted": text, "cure": text,
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
