//! `provider/name`, each segment a literal or a stem with `*` at its end; segments match one to one.

use crate::pattern::{is_stem, stem_matches, stem_overlap};

pub(crate) fn is_pattern(text: &str) -> bool {
    text.contains('/') && text.split('/').all(is_stem)
}

pub(crate) fn matches(pattern: &str, model: &str) -> bool {
    let mut wanted = model.split('/');
    pattern.split('/').all(|segment| {
        wanted
            .next()
            .is_some_and(|text| !text.is_empty() && stem_matches(segment, text))
    }) && wanted.next().is_none()
}

pub(crate) fn overlap(a: &str, b: &str) -> Option<String> {
    if a.split('/').count() != b.split('/').count() {
        return None;
    }
    let pairs = a.split('/').zip(b.split('/'));
    let met: Option<Vec<String>> = pairs.map(|(a, b)| stem_overlap(a, b)).collect();
    met.map(|segments| segments.join("/"))
}
