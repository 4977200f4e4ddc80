//! Patterns for models, tools, topics and guest paths: what they match, and what two of them both
//! match.
//!
//! Every language here is closed under intersection (two patterns meet in one or in none), which is
//! what makes "effective rights only shrink" a property that tests can check. Nothing matches by
//! substring, and an empty pattern is not a pattern.

/// Whether `pattern` is `literal` or `literal*`, the star only at the end.
fn is_stem(pattern: &str) -> bool {
    let stem = pattern.strip_suffix('*').unwrap_or(pattern);
    !pattern.is_empty() && stem.chars().all(is_name_char)
}

/// What names of models, tools, plugins and namespaces are made of.
pub(crate) fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '+' | '@')
}

fn stem_matches(pattern: &str, text: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(stem) => text.starts_with(stem),
        None => pattern == text,
    }
}

fn stem_overlap(a: &str, b: &str) -> Option<String> {
    match (a.strip_suffix('*'), b.strip_suffix('*')) {
        (Some(x), Some(y)) if y.starts_with(x) => Some(b.to_owned()),
        (Some(x), Some(y)) if x.starts_with(y) => Some(a.to_owned()),
        (Some(x), None) if b.starts_with(x) => Some(b.to_owned()),
        (None, Some(y)) if a.starts_with(y) => Some(a.to_owned()),
        (None, None) if a == b => Some(a.to_owned()),
        _ => None,
    }
}

/// `provider/name`, each segment a literal or a stem with `*` at its end; segments match one to one.
pub(crate) mod model {
    use super::{is_stem, stem_matches, stem_overlap};

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
}

/// `plugin`, `plugin/*`, `plugin/tool` or `plugin/stem*`; the plugin is always written out.
pub(crate) mod tool {
    use super::{is_name_char, is_stem, stem_matches, stem_overlap};

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
}

/// Subjects in tokens between dots: `*` is one token, `>` at the end is one or more.
pub(crate) mod topic {
    /// Longest topic in bytes.
    pub(crate) const BYTES_MAX: usize = 256;

    fn is_token(token: &str) -> bool {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        !token.is_empty() && token.chars().all(plain)
    }

    /// A topic that a message can be sent to: no wildcard.
    pub(crate) fn is_topic(text: &str) -> bool {
        text.len() <= BYTES_MAX && text.split('.').all(is_token)
    }

    pub(crate) fn is_pattern(text: &str) -> bool {
        let body = text.strip_suffix(".>").unwrap_or(text);
        let whole = text == ">" || body.split('.').all(|token| token == "*" || is_token(token));
        text.len() <= BYTES_MAX && whole
    }

    pub(crate) fn matches(pattern: &str, topic: &str) -> bool {
        let mut wanted = topic.split('.');
        for token in pattern.split('.') {
            match (token, wanted.next()) {
                (">", Some(_)) => return true,
                (_, None) => return false,
                ("*", Some(_)) => {}
                (token, Some(text)) if token == text => {}
                _ => return false,
            }
        }
        wanted.next().is_none()
    }

    pub(crate) fn overlap(a: &str, b: &str) -> Option<String> {
        let (mut left, mut right) = (a.split('.'), b.split('.'));
        let mut met = Vec::new();
        loop {
            match (left.next(), right.next()) {
                (None, None) => return Some(met.join(".")),
                (Some(">"), Some(token)) => return Some(tail(met, token, right)),
                (Some(token), Some(">")) => return Some(tail(met, token, left)),
                (Some("*"), Some(token)) | (Some(token), Some("*")) => met.push(token),
                (Some(x), Some(y)) if x == y => met.push(x),
                _ => return None,
            }
        }
    }

    fn tail<'a>(mut met: Vec<&'a str>, token: &'a str, rest: std::str::Split<'a, char>) -> String {
        met.push(token);
        met.extend(rest);
        met.join(".")
    }
}

/// Guest paths: absolute, `/` between segments.
pub(crate) mod path {
    /// Segments of an absolute path; `None` if it is relative, climbs, or holds what no path of
    /// ours holds. Empty and `.` segments are skipped, as every kernel does.
    pub(crate) fn segments(path: &str) -> Option<impl Iterator<Item = &str> + Clone> {
        let inside = path.strip_prefix('/')?;
        let plain = path.len() <= 4096 && !path.contains(['\\', '\0']);
        let climbs = inside.split('/').any(|segment| segment == "..");
        (plain && !climbs).then(|| {
            inside
                .split('/')
                .filter(|segment| !matches!(*segment, "" | "."))
        })
    }

    /// How many segments `guest` has if `path` is it or lies below it.
    pub(crate) fn below(guest: &str, path: &str) -> Option<usize> {
        let mut wanted = segments(path)?;
        let mut depth = 0;
        for segment in segments(guest)? {
            if wanted.next() != Some(segment) {
                return None;
            }
            depth += 1;
        }
        Some(depth)
    }

    /// Whether `text` is how a grant writes a guest path: `/docs`, `/`, no trailing slash.
    pub(crate) fn is_canonical(text: &str) -> bool {
        let printable = !text.chars().any(|c| c.is_control());
        printable
            && segments(text).is_some_and(|segments| {
                let joined: String = segments.flat_map(|segment| ["/", segment]).collect();
                joined == text || (text == "/" && joined.is_empty())
            })
    }
}
