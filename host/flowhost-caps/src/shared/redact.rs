//! Takes secret values out of what a guest, a person or a log is about to see.
//!
//! The attack: a server that the secret was rightly sent to echoes it, as it is or encoded, and the
//! guest reads what it must never hold; or a guest that may hold it writes it where it stays. Which forms
//! are known is `flowhost_detect::Secrets`; this file only replaces what that finds.

use flowhost_detect::Secrets;

/// What stands in a secret's place.
pub const REDACTED: &[u8] = b"[redacted]";

/// The values to look for, in every form that is known. Zeroised when dropped.
pub struct Redactor {
    secrets: Secrets,
}

/// Bytes without the secrets, and how many there were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redacted {
    /// What may be shown.
    pub bytes: Vec<u8>,
    /// Places that were replaced; 0 when `bytes` is the input.
    pub hits: usize,
}

impl Redactor {
    /// A redactor for `values`. Empty values are skipped.
    ///
    /// # Examples
    ///
    /// ```
    /// use flowhost_caps::secrets::Redactor;
    /// let redactor = Redactor::new(["s3cret-token"]);
    /// let clean = redactor.redact(b"your token: s3cret-token");
    /// assert_eq!(clean.bytes, b"your token: [redacted]");
    /// assert_eq!(clean.hits, 1);
    /// ```
    #[must_use]
    pub fn new<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            secrets: Secrets::new(values),
        }
    }

    /// Replaces every occurrence.
    #[must_use]
    pub fn redact(&self, text: &[u8]) -> Redacted {
        let found = self.secrets.find(text);
        let mut bytes = Vec::with_capacity(text.len());
        let mut from = 0;
        // Places come in order and never overlap, so that one pass is enough.
        for place in &found {
            bytes.extend_from_slice(text.get(from..place.start).unwrap_or_default());
            bytes.extend_from_slice(REDACTED);
            from = place.end;
        }
        bytes.extend_from_slice(text.get(from..).unwrap_or_default());
        Redacted {
            bytes,
            hits: found.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

    use base64::Engine as _;

    use super::*;

    const SECRET: &str = "s3cr/t+\"tok en\"-ü";

    fn shows(text: &str) -> String {
        String::from_utf8(Redactor::new([SECRET]).redact(text.as_bytes()).bytes).unwrap()
    }

    #[test]
    fn cap_012_redacts_every_listed_encoding() {
        let raw = SECRET.as_bytes();
        let hexed: String = raw.iter().map(|b| format!("{b:02x}")).collect();
        let percented: String = raw.iter().map(|b| format!("%{b:02X}")).collect();
        for form in [
            SECRET.to_owned(),
            hexed.to_uppercase(),
            hexed,
            percented,
            serde_json::to_string(SECRET).unwrap(),
            "s3cr%2Ft%2B%22tok%20en%22-%C3%BC".to_owned(),
            "s3cr%2ft%2b%22tok%20en%22-%c3%bc".to_owned(),
            "s3cr%2Ft%2B%22tok+en%22-%C3%BC".to_owned(),
            "s3cr\\/t+\\\"tok en\\\"-ü".to_owned(),
            "s3cr\\u002ft\\u002b\\u0022tok\\u0020en\\u0022\\u002d\\u00fc".to_owned(),
        ] {
            let shown = shows(&format!("a {form} b"));
            assert!(shown.contains("[redacted]"), "{form} gave {shown}");
            assert!(
                !shown.contains("s3cr") && !shown.contains("7333"),
                "{form} gave {shown}"
            );
        }
    }

    #[test]
    fn cap_012_redacts_base64_wherever_the_secret_starts_in_it() {
        for before in ["", "u", "us", "user:", "a-long-user-name:"] {
            let text = format!("{before}{SECRET}:after");
            for coded in [
                STANDARD.encode(text.as_bytes()),
                URL_SAFE_NO_PAD.encode(text.as_bytes()),
            ] {
                assert!(shows(&coded).contains("[redacted]"), "{before}: {coded}");
            }
        }
    }

    #[test]
    fn cap_012_redacts_what_is_reversed_split_or_written_in_another_case() {
        let redactor = Redactor::new(["s3cr3t-canary-value"]);
        for form in [
            "eulav-yranac-t3rc3s",
            "S3CR3T-CANARY-VALUE",
            "s3cr3t-ca\", \"nary-value",
            "s3cr3t-ca\nnary-value",
            "s 3 c r 3 t c a n a r y v a l u e",
            "s3cr3t\\u002dcanary%2Dvalue",
            "czNjcjN0LWNh\r\nbmFyeS12YWx1ZQ==",
            "73:33:63:72:33:74:2d:63:61:6e:61:72:79:2d:76:61:6c:75:65",
        ] {
            let clean = redactor.redact(format!("a {form} b").as_bytes());
            assert!(clean.hits > 0, "{form}");
        }
    }

    #[test]
    fn leaves_innocent_text_as_it_is() {
        let clean = Redactor::new([SECRET, ""]).redact(b"nothing to see: s3cr");
        assert_eq!(
            (clean.bytes.as_slice(), clean.hits),
            (b"nothing to see: s3cr".as_slice(), 0)
        );
    }

    #[test]
    fn counts_every_place() {
        let twice = Redactor::new(["token-one", "token-two"]).redact(b"token-one,token-two,token");
        assert_eq!(twice.bytes, b"[redacted],[redacted],token");
        assert_eq!(twice.hits, 2);
    }
}
