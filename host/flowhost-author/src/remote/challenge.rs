//! How a registry says that it wants to know who asks: `WWW-Authenticate` (RFC 9110, 11.6.1), and the token
//! that an authority gives.

use std::collections::BTreeMap;

use serde_json::Value;

/// Bytes of the header: what is longer is no challenge of a registry.
const CHALLENGE_BYTES_MAX: usize = 4096;
/// Bytes of a token: headers are bounded, and this goes into one.
const TOKEN_BYTES_MAX: usize = 16 << 10;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    /// Name and password with each request.
    Basic,
    /// A token from an authority.
    Bearer {
        /// The authority's address.
        realm: String,
        /// Whom the token is for.
        service: Option<String>,
        /// What it is to allow.
        scope: Option<String>,
    },
}

impl Challenge {
    /// Reads the first challenge that we can answer.
    #[must_use]
    pub fn parse(header: &str) -> Option<Self> {
        if header.len() > CHALLENGE_BYTES_MAX {
            return None;
        }
        let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let mut parameters = parameters(rest)?;
        let realm = parameters.remove("realm").filter(|it| !it.is_empty())?;
        Some(Self::Bearer {
            realm,
            service: parameters.remove("service"),
            scope: parameters.remove("scope"),
        })
    }
}

/// `name="value"` pairs with commas between them; none where they cannot be read, or one comes twice.
fn parameters(mut text: &str) -> Option<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    loop {
        text = text.trim_start_matches([' ', '\t', ',']);
        if text.is_empty() {
            return Some(found);
        }
        let (name, rest) = text.split_once('=')?;
        let name = name.trim().to_ascii_lowercase();
        let (value, rest) = match rest.trim_start().strip_prefix('"') {
            Some(quoted) => unquoted(quoted)?,
            None => {
                let rest = rest.trim_start();
                let end = rest.find(',').unwrap_or(rest.len());
                let (value, rest) = rest.split_at(end);
                (value.trim().to_owned(), rest)
            }
        };
        if found.insert(name, value).is_some() {
            return None;
        }
        text = rest;
    }
}

/// A quoted string up to its closing quote, and what follows.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

/// The token in an authority's answer, if it can be sent in a header.
#[must_use]
pub fn token(answer: &[u8]) -> Option<String> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    let token = answer
        .get("token")
        .or_else(|| answer.get("access_token"))?
        .as_str()?;
    let plain = token.bytes().all(|byte| byte.is_ascii_graphic());
    (plain && !token.is_empty() && token.len() <= TOKEN_BYTES_MAX).then(|| token.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_cannot_be_read_whole() {
        for header in [
            "",
            "Digest realm=\"x\"",
            "Bearer",
            "Bearer realm=\"\"",
            "Bearer service=\"x\"",
            "Bearer realm=\"x",
            "Bearer realm=\"x\",realm=\"y\"",
            "Bearer realm",
        ] {
            assert_eq!(Challenge::parse(header), None, "{header}");
        }
        let long = format!("Bearer realm=\"{}\"", "x".repeat(5000));
        assert_eq!(Challenge::parse(&long), None);
    }

    #[test]
    fn reads_quotes_escapes_and_bare_words() {
        let header = "bearer realm=\"https://a.example/t\", service=reg , SCOPE=\"repository:a\\\"b:pull,push\"";
        assert_eq!(
            Challenge::parse(header),
            Some(Challenge::Bearer {
                realm: "https://a.example/t".to_owned(),
                service: Some("reg".to_owned()),
                scope: Some("repository:a\"b:pull,push".to_owned()),
            })
        );
        assert_eq!(
            Challenge::parse("Basic realm=\"x\""),
            Some(Challenge::Basic)
        );
    }

    #[test]
    fn a_token_is_one_word() {
        assert_eq!(token(br#"{"token":"abc"}"#).as_deref(), Some("abc"));
        assert_eq!(token(br#"{"access_token":"abc"}"#).as_deref(), Some("abc"));
        for odd in [
            &br#"{"token":"a b"}"#[..],
            br#"{"token":"a\r\nX: y"}"#,
            br#"{"token":""}"#,
            br#"{"token":1}"#,
            br#"[]"#,
            b"x",
        ] {
            assert_eq!(token(odd), None);
        }
    }
}
