//! Subjects in tokens between dots: `*` is one token, `>` at the end is one or more.

/// Longest topic in bytes. With tenant and run before it, it must fit into a subject of the bus.
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
