//! How deeply a TOML text nests, looked at before anything recurses into it.
//!
//! The attack: a manifest comes from a stranger, and the parser's own bound on recursion can be undone
//! by broken text, because it counts a `]` that it skips while recovering. A few kilobytes of
//! `a = { b = 1 [x]` then overflow the stack, which ends the whole host. Tokens are the parser's own,
//! so that both agree on what is inside a string. Never less than the parser's depth is counted: a
//! closing bracket that does not fit closes nothing.

use toml_parser::{Source, lexer::TokenKind};

/// Deepest nesting of lists and inline tables. The parser's own bound is 80.
pub(crate) const DEPTH_MAX: usize = 64;

/// Where `text` nests deeper than any document of ours (64 lists and inline tables), in bytes. To be
/// asked before a TOML parser gets to see text that may be hostile.
///
/// # Examples
///
/// ```
/// assert_eq!(flowhost_policy::toml_too_deep_at("a = [[[1]]]"), None);
/// assert_eq!(flowhost_policy::toml_too_deep_at(&"[".repeat(65)), Some(64));
/// ```
#[must_use]
pub fn too_deep_at(text: &str) -> Option<usize> {
    let mut open = Vec::with_capacity(DEPTH_MAX);
    for token in Source::new(text).lex() {
        match token.kind() {
            TokenKind::LeftSquareBracket => open.push(TokenKind::RightSquareBracket),
            TokenKind::LeftCurlyBracket => open.push(TokenKind::RightCurlyBracket),
            closing if open.last() == Some(&closing) => drop(open.pop()),
            _ => {}
        }
        if open.len() > DEPTH_MAX {
            return Some(token.span().start());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_depth_that_broken_text_hides_from_the_parser() {
        let hidden = "a = { b = 1 [x]\n".repeat(10_000);
        assert!(too_deep_at(&hidden).is_some());
        assert!(too_deep_at(&"a = {b = 1 [] ".repeat(65)).is_some());
        assert!(too_deep_at(&"[".repeat(65)).is_some());
    }

    #[test]
    fn counts_neither_siblings_nor_strings_nor_comments() {
        let plain = "[[a]]\nb = [{ c = [1] }, '[[[[{{{{'] # [[[[\n".repeat(1_000);
        assert_eq!(too_deep_at(&plain), None);
        let deep = format!("a = {}{}", "[".repeat(64), "]".repeat(64));
        assert_eq!(too_deep_at(&deep), None);
    }
}
