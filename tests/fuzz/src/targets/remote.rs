//! Where a plugin is said to be, and what a registry answers.

use flowhost_author::remote::{Artifact, Challenge, Listed, Place, WASM_TYPE, token};

use super::{head_and_rest, text};
use crate::{Outcome, Target};

pub(crate) const PLACE: Target = Target {
    name: "place",
    run: place,
    words: &[
        "https://",
        "oci://",
        "a.example",
        "127.0.0.1:5000",
        "[::1]",
        "/../",
        "%2f",
        "%2e",
        "//",
        "@sha256:",
        "@",
        ":",
        "#",
        "?",
        "\n",
        "1111111111111111111111111111111111111111111111111111111111111111",
    ],
};

pub(crate) const ARTIFACT: Target = Target {
    name: "artifact",
    run: artifact,
    words: &[
        "\"schemaVersion\":2",
        "\"layers\":[",
        "\"mediaType\":\"application/wasm\"",
        "\"digest\":\"sha256:",
        "\"size\":",
        "\"manifests\":[]",
        "\"annotations\":{",
        "-1",
        "[[[[",
    ],
};

pub(crate) const CHALLENGE: Target = Target {
    name: "challenge",
    run: challenge,
    words: &[
        "Bearer ", "Basic ", "realm=", "\"", "\\\"", ",", "service=", "scope=", "=", " ",
    ],
};

/// First line: a line of the list. The rest: a place. What is accepted is written as it was read, and what a
/// line covers stays below it.
fn place(bytes: &[u8]) -> Outcome {
    let (line, rest) = head_and_rest(bytes);
    let rest = text(rest);
    let place = Place::parse(&rest);
    if let Ok(place) = &place {
        let written = place.to_string();
        assert_eq!(Place::parse(&written).as_ref(), Ok(place), "{written}");
        if let Place::Registry(reference) = place {
            assert!(rest.starts_with(&format!("oci://{}/", reference.registry)));
            assert!(!reference.wanted().is_empty());
        }
        if let Ok(listed) = Listed::parse(&text(line))
            && listed.covers(place)
        {
            let alike = matches!(
                (&listed, place),
                (Listed::Web(_), Place::Web(_)) | (Listed::Registry { .. }, Place::Registry(_))
            );
            assert!(alike, "{listed:?} covers {place}");
            match (&listed, place) {
                (Listed::Web(base), Place::Web(url)) => {
                    assert!(url.as_str().starts_with(base.as_str()), "{base} {url}");
                }
                (Listed::Registry { registry, below }, Place::Registry(reference)) => {
                    assert_eq!(registry, &reference.registry);
                    assert!(reference.repository.starts_with(below.as_str()));
                }
                _ => {}
            }
        }
    }
    Outcome::of(&place)
}

/// Accepted means: one component, named by a digest that can be checked.
fn artifact(bytes: &[u8]) -> Outcome {
    let read = Artifact::read(bytes);
    if let Ok(artifact) = &read {
        assert_eq!(artifact.layer.media_type, WASM_TYPE);
        let digits = artifact.layer.digest.strip_prefix("sha256:");
        assert!(digits.is_some_and(|it| it.len() == 64), "{artifact:?}");
        for (_, digest) in &artifact.papers {
            let digits = digest.strip_prefix("sha256:");
            assert!(digits.is_some_and(|it| it.len() == 64), "{artifact:?}");
        }
    }
    Outcome::of(&read)
}

/// What is sent on can stand in a header, and an authority has an address.
fn challenge(bytes: &[u8]) -> Outcome {
    if let Some(token) = token(bytes) {
        assert!(token.bytes().all(|byte| byte.is_ascii_graphic()));
    }
    let read = Challenge::parse(&text(bytes));
    if let Some(Challenge::Bearer { realm, .. }) = &read {
        assert!(!realm.is_empty());
    }
    Outcome::of(&read.ok_or(()))
}
