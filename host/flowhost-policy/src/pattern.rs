//! What the patterns of models, tools and names have in common; each right's own stands in its folder.
//!
//! Every language of patterns is closed under intersection (two patterns meet in one or in none), which is
//! what makes "effective rights only shrink" a property that tests can check. Nothing matches by
//! substring, and an empty pattern is not a pattern.

/// Longest path of names in bytes; a guest chooses it, and every call would be matched against it.
const NAMES_BYTES_MAX: usize = 256;

/// Whether `pattern` is `literal` or `literal*`, the star only at the end.
pub(crate) fn is_stem(pattern: &str) -> bool {
    let stem = pattern.strip_suffix('*').unwrap_or(pattern);
    !pattern.is_empty() && stem.chars().all(is_name_char)
}

/// What names of models, tools, plugins and namespaces are made of.
pub(crate) fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '+' | '@')
}

pub(crate) fn stem_matches(pattern: &str, text: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(stem) => text.starts_with(stem),
        None => pattern == text,
    }
}

pub(crate) fn stem_overlap(a: &str, b: &str) -> Option<String> {
    match (a.strip_suffix('*'), b.strip_suffix('*')) {
        (Some(x), Some(y)) if y.starts_with(x) => Some(b.to_owned()),
        (Some(x), Some(y)) if x.starts_with(y) => Some(a.to_owned()),
        (Some(x), None) if b.starts_with(x) => Some(b.to_owned()),
        (None, Some(y)) if a.starts_with(y) => Some(a.to_owned()),
        (None, None) if a == b => Some(a.to_owned()),
        _ => None,
    }
}

/// Names between slashes: a tool or a model as it is asked for.
pub(crate) fn is_path_of_names(text: &str) -> bool {
    let segment = |part: &str| !part.is_empty() && part.chars().all(is_name_char);
    text.len() <= NAMES_BYTES_MAX && text.split('/').all(segment)
}

/// A name of one segment: a state namespace or a plugin.
pub(crate) fn is_plain_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    // Not dots alone: such a name becomes a part of a path somewhere.
    (1..=64).contains(&text.len()) && text.chars().all(plain) && !text.chars().all(|c| c == '.')
}
