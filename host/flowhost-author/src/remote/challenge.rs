//! How a registry says that it wants to know who asks, and the token that an authority gives.

use flowhost_words::challenges;
use serde_json::Value;

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
        let mut known = challenges(header).into_iter();
        let mut first = known.find(|it| matches!(it.scheme.as_str(), "basic" | "bearer"))?;
        if first.scheme == "basic" {
            return Some(Self::Basic);
        }
        let realm = first.parameters.remove("realm");
        Some(Self::Bearer {
            realm: realm.filter(|it| !it.is_empty())?,
            service: first.parameters.remove("service"),
            scope: first.parameters.remove("scope"),
        })
    }
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
