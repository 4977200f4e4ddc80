//! What a content refuses to become, then what becomes of it.

use serde_json::json;

use super::*;

fn text(text: &str) -> Part {
    Part {
        body: Body::Text(text.to_owned()),
        hints: None,
    }
}

fn content(value: &str, parts: Vec<Part>) -> Content {
    Content {
        value: value.to_owned(),
        parts,
    }
}

fn every_part() -> Vec<Part> {
    let hints = Hints {
        audience: vec![Reader::User, Reader::Assistant],
        priority: Some(0.5),
        last_modified: "2026-01-01T00:00:00Z".to_owned(),
    };
    let media = || Media {
        mime_type: "image/png".to_owned(),
        data: vec![0, 255, 7],
    };
    let found = |data| ResourceContents {
        uri: "file:///a".to_owned(),
        mime_type: "text/plain".to_owned(),
        data,
    };
    let link = ResourceInfo {
        uri: "https://example.com/a".to_owned(),
        name: "a".to_owned(),
        title: "A".to_owned(),
        description: String::new(),
        mime_type: String::new(),
        size: "12".to_owned(),
        hints: Some(hints.clone()),
    };
    let bodies = [
        Body::Text("words".to_owned()),
        Body::Image(media()),
        Body::Audio(media()),
        Body::ResourceLink(link),
        Body::EmbeddedResource(found(ResourceData::Text("t".to_owned()))),
        Body::EmbeddedResource(found(ResourceData::Blob(vec![1, 2]))),
    ];
    let with = |hints: &Option<Hints>, body: &Body| Part {
        body: body.clone(),
        hints: hints.clone(),
    };
    let plain = bodies.iter().map(|body| with(&None, body));
    let hinted = bodies.iter().map(|body| with(&Some(hints.clone()), body));
    plain.chain(hinted).collect()
}

#[test]
fn refuses_what_a_guardrail_made_of_it_that_is_not_a_content() {
    for document in [
        json!("a bare value"),
        json!({ "value": 1 }),
        json!({ "parts": [] }),
        json!({ "value": 1, "parts": [], "text": "beside" }),
        json!({ "value": 1, "parts": [{ "type": "video" }] }),
        json!({ "value": 1, "parts": [{ "type": "text", "text": "a", "more": 1 }] }),
        json!({ "value": 1, "parts": [{ "type": "image", "mime_type": "a", "data": "[redacted]" }] }),
        json!({ "value": 1, "parts": [{ "type": "resource", "uri": "a", "text": "a", "blob": "" }] }),
        json!({ "value": 1, "parts": [{ "type": "resource", "uri": "a" }] }),
        json!({ "value": 1, "parts": [{ "type": "text", "text": "a", "hints": { "priority": 2 } }] }),
    ] {
        assert!(content_of(document.clone()).is_err(), "{document}");
    }
}

#[test]
fn refuses_a_value_that_says_two_things_and_parts_without_end() {
    let twice = canonical(content(r#"{"a":1,"a":2}"#, Vec::new()));
    assert!(twice.unwrap_err().contains("twice"));
    let many = canonical(content("null", vec![text(""); PARTS_MAX + 1]));
    assert!(many.unwrap_err().contains("parts"));
}

#[test]
fn an_error_keeps_its_class_whatever_a_guardrail_says() {
    let told = content_error_value("failed", "no");
    assert_eq!(
        content_error_of("failed", told.clone()).as_deref(),
        Ok("no")
    );
    assert!(content_error_of("transient", told).is_err());
    assert!(content_error_of("failed", json!({ "error": "no" })).is_err());
}

#[test]
fn counts_every_part_and_empty_ones_too() {
    assert_eq!(size(&content("null", Vec::new())), 4);
    assert_eq!(
        size(&content("null", vec![text("ab"), text("")])),
        4 + 2 + 2 * PART_BYTES
    );
    let whole = size(&content("null", every_part()));
    let carried: u64 = every_part().iter().map(part_size).sum();
    assert_eq!(whole, carried + 4);
}

#[test]
fn the_document_holds_the_whole_and_gives_it_back() {
    let before = content(r#"{"n":[1,2.5]}"#, every_part());
    let document = content_value(&before).unwrap();
    let after = content_of(document.clone()).unwrap();
    assert_eq!(content_value(&after).unwrap(), document);
    assert_eq!(format!("{before:?}"), format!("{after:?}"));
}

#[test]
fn a_step_hands_on_the_value_or_where_there_is_none_the_whole() {
    let with = |value, parts| handed_on(&content(value, parts)).unwrap();
    assert_eq!(with("1", vec![text("one")]), json!(1));
    assert_eq!(with("null", Vec::new()), json!(null));
    assert_eq!(
        with("null", vec![text("one")]),
        json!({ "value": null, "parts": [{ "type": "text", "text": "one" }] })
    );
}

#[test]
fn hints_count_as_what_a_guest_hands_back() {
    let hinted = |audience: usize, changed: usize| Hints {
        audience: vec![Reader::User; audience],
        priority: None,
        last_modified: "x".repeat(changed),
    };
    let of = |hints: Option<Hints>| {
        size(&content(
            "1",
            vec![Part {
                hints,
                ..text("words")
            }],
        ))
    };
    let plain = of(None);
    assert!(of(Some(hinted(0, 1_000))) >= plain + 1_000);
    assert!(of(Some(hinted(1_000, 0))) >= plain + 1_000);
    let link = Body::ResourceLink(ResourceInfo {
        uri: "https://example.com/a".to_owned(),
        name: "a".to_owned(),
        title: String::new(),
        description: String::new(),
        mime_type: String::new(),
        size: String::new(),
        hints: Some(hinted(0, 1_000)),
    });
    let part = Part {
        body: link,
        hints: None,
    };
    assert!(size(&content("1", vec![part])) > 1_000);
}
