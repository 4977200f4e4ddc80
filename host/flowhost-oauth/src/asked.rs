//! How a server says that it wants to know who asks, and for what (RFC 6750, section 3; RFC 9728, section 5.1).

use flowhost_detect::is_hidden;
use flowhost_words::challenges;

/// Scopes that are read of one list. A server with more has not met people, who are shown each of them.
pub const SCOPES_MAX: usize = 64;
/// Bytes of one scope. Some are whole addresses.
const SCOPE_BYTES_MAX: usize = 256;
/// Characters of what a server says that a person is shown: a stranger's text in a message of ours.
const SAID_MAX: usize = 200;

/// What a server asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// Where it says of itself whose tokens it takes.
    pub metadata: Option<String>,
    /// What a token has to allow.
    pub scopes: Vec<String>,
    /// What is wrong with the token that it was shown: `invalid_token`, `insufficient_scope`.
    pub error: Option<String>,
}

impl Asked {
    /// The first challenge for a bearer's token among the values of `WWW-Authenticate`.
    ///
    /// # Examples
    ///
    /// ```
    /// use flowhost_oauth::Asked;
    ///
    /// let asked = Asked::of(["Bearer scope=\"notes:read\", error=insufficient_scope"]).unwrap();
    /// assert_eq!(asked.scopes, ["notes:read"]);
    /// assert!(asked.wants_more());
    /// ```
    pub fn of<'a>(values: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let all = values.into_iter().flat_map(challenges);
        // A server may offer other ways beside it, which are not ours to answer.
        let mut challenge = all.into_iter().find(|it| it.scheme == "bearer")?;
        let scope = challenge.parameters.remove("scope");
        Some(Self {
            metadata: challenge.parameters.remove("resource_metadata"),
            scopes: scope.as_deref().map(scopes).unwrap_or_default(),
            error: challenge.parameters.remove("error").map(|it| said(&it)),
        })
    }

    /// Whether the token is well, and allows too little.
    #[must_use]
    pub fn wants_more(&self) -> bool {
        self.error.as_deref() == Some("insufficient_scope")
    }
}

/// The scopes of a list with spaces between them, each once, in their order; what cannot be one is left out, because
/// nobody could ask for it.
#[must_use]
pub fn scopes(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for scope in text.split(' ').filter(|it| is_scope(it)) {
        if found.len() < SCOPES_MAX && !found.iter().any(|it| it == scope) {
            found.push(scope.to_owned());
        }
    }
    found
}

/// Whether a text is one scope (RFC 6749, section 3.3).
#[must_use]
pub fn is_scope(text: &str) -> bool {
    let plain = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    !text.is_empty() && text.len() <= SCOPE_BYTES_MAX && text.bytes().all(plain)
}

/// What a stranger says, as a person is shown it: on one line, and not much of it.
pub(crate) fn said(text: &str) -> String {
    // Left out and not written as `\u{…}`: the text is to be read, and nothing of it is compared.
    let shown = text.chars().filter(|c| !is_hidden(*c));
    shown.take(SAID_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_found_among_others() {
        let asked = Asked::of([
            "Basic realm=\"x\"",
            "Negotiate, Bearer error=\"invalid_token\", resource_metadata=\"https://a.example/m\"",
        ])
        .unwrap();
        assert_eq!(asked.metadata.as_deref(), Some("https://a.example/m"));
        assert_eq!(asked.error.as_deref(), Some("invalid_token"));
        assert!(!asked.wants_more());
        assert_eq!(Asked::of(["Basic realm=\"x\""]), None);
        assert_eq!(Asked::of([]), None);
        assert_eq!(Asked::of(["bearer"]), Some(Asked::default()));
    }

    #[test]
    fn scopes_are_words_and_each_stands_once() {
        assert_eq!(scopes("a  b a \u{7f} c\"d"), ["a", "b"]);
        assert_eq!(scopes(""), Vec::<String>::new());
        let many: Vec<String> = (0..100).map(|it| it.to_string()).collect();
        assert_eq!(scopes(&many.join(" ")).len(), SCOPES_MAX);
    }

    #[test]
    fn what_is_said_stays_on_its_line() {
        assert_eq!(said("a\u{202e}b\nc\u{1b}[31m"), "abc[31m");
        assert_eq!(said(&"x".repeat(1_000)).len(), SAID_MAX);
    }
}
