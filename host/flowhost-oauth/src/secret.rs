//! A text that nobody is shown: wiped when it is dropped, and never part of a message.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

/// Bytes of a token or a client's secret: it goes into one header, and servers bound theirs.
const BYTES_MAX: usize = 16 << 10;

/// A token, or a client's secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// A text that can be sent in a header; none where it cannot.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let plain = text.bytes().all(|byte| byte.is_ascii_graphic());
        let fits = plain && !text.is_empty() && text.len() <= BYTES_MAX;
        fits.then(|| Self(Zeroizing::new(text.to_owned())))
    }

    /// The text, for whoever sends it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret")
    }
}

/// For the sealed file of a login, and nothing else.
impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        Self::new(&text).ok_or_else(|| serde::de::Error::custom("a secret is one visible word"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_never_shown_and_always_fits_into_a_header() {
        let secret = Secret::new("s3cr3t").unwrap();
        assert_eq!(format!("{secret:?}"), "Secret");
        for text in ["", "a b", "a\r\nx: y", "größe"] {
            assert_eq!(Secret::new(text), None, "{text:?}");
        }
        assert_eq!(Secret::new(&"x".repeat(BYTES_MAX + 1)), None);
    }
}
