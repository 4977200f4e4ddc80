//! Text that a person can read: shortened, and with everything written out that would not be seen.
//!
//! What is seen is `flowhost_detect`'s to say; this file only writes.

pub use flowhost_detect::is_hidden;

/// The first character that is neither printable nor a plain space, if there is one.
pub(crate) fn first_hidden(text: &str) -> Option<char> {
    text.chars().find(|c| is_hidden(*c))
}

/// `U+200B`, the way a person can look it up.
pub(crate) fn code_point(c: char) -> String {
    format!("U+{:04X}", u32::from(c))
}

/// `text` cut to `max` characters, with everything hidden written as `\u{…}`.
///
/// # Examples
///
/// ```
/// assert_eq!(flowhost_policy::shown("a\u{1b}[2Jb", 64), "a\\u{1b}[2Jb");
/// assert_eq!(flowhost_policy::shown("abcdef", 3), "abc…");
/// ```
#[must_use]
pub fn shown(text: &str, max: usize) -> String {
    let mut out = String::new();
    for c in text.chars().take(max) {
        if is_hidden(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    if text.chars().nth(max).is_some() {
        out.push('…');
    }
    out
}

/// `text` as a TOML basic string, quotes included.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if is_hidden(c) => {
                out.push_str(&format!("\\U{:08X}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
