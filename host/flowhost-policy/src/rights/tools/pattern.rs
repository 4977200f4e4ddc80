//! `plugin`, `plugin/*`, `plugin/tool` or `plugin/stem*`; the plugin is always written out.

use crate::pattern::{is_name_char, is_stem, stem_matches, stem_overlap};

fn parts(pattern: &str) -> (&str, &str) {
    pattern.split_once('/').unwrap_or((pattern, "*"))
}

pub(crate) fn is_pattern(text: &str) -> bool {
    let (plugin, tool) = parts(text);
    !plugin.is_empty() && plugin.chars().all(is_name_char) && is_stem(tool)
}

/// One segment: `files/*` is every tool of `files`, and `files/../x/y` is none of them.
fn is_tool(name: &str) -> bool {
    !name.is_empty() && name.chars().all(is_name_char)
}

pub(crate) fn matches(pattern: &str, tool: &str) -> bool {
    let (plugin, stem) = parts(pattern);
    match tool.split_once('/') {
        Some((p, name)) => p == plugin && is_tool(name) && stem_matches(stem, name),
        None => tool == plugin && stem == "*",
    }
}

pub(crate) fn overlap(a: &str, b: &str) -> Option<String> {
    let ((p, a_stem), (q, b_stem)) = (parts(a), parts(b));
    let stem = stem_overlap(a_stem, b_stem).filter(|_| p == q)?;
    Some(format!("{p}/{stem}"))
}
