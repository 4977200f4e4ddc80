//! Says of a text that it is canonical already. Almost every document between the parts of a run was printed by
//! this host or by a library that prints as it does, and for those nothing has to be built to print the same again.
//!
//! It knows less than the reader of [`super`]: what it does not recognise goes there, whatever it is. So it may
//! only ever be too strict, never too lax; a property test holds the two against each other.

use super::JsonLimits;

/// Digits of a whole number that every reader has exactly, so that it is printed as it was written.
const DIGITS_MAX: usize = 18;

/// Whether `text` is one document within `limits` that would be printed as it stands.
pub(super) fn is_canonical(text: &str, limits: &JsonLimits) -> bool {
    if text.len() > limits.bytes {
        return false;
    }
    let mut reader = Reader {
        rest: text.as_bytes(),
        values: 0,
        limits,
    };
    reader.value(0).is_some() && reader.rest.is_empty()
}

/// `None` stands for "not recognised" throughout.
struct Reader<'t> {
    rest: &'t [u8],
    /// Counted as [`super::shape`] counts: openings, commas and colons.
    values: usize,
    limits: &'t JsonLimits,
}

impl<'t> Reader<'t> {
    /// A value inside so many others. The depth that is allowed bounds the recursion.
    fn value(&mut self, depth: usize) -> Option<()> {
        match self.byte()? {
            b'"' => self.string(),
            b'{' => self.object(self.deeper(depth)?),
            b'[' => self.array(self.deeper(depth)?),
            b't' => self.word(b"rue"),
            b'f' => self.word(b"alse"),
            b'n' => self.word(b"ull"),
            // What follows a zero is for whoever reads on: a digit or a point is nothing that they expect.
            b'0' => Some(()),
            b'-' => matches!(self.byte()?, b'1'..=b'9').then(|| self.digits())?,
            b'1'..=b'9' => self.digits(),
            _ => None,
        }
    }

    fn object(&mut self, depth: usize) -> Option<()> {
        self.count()?;
        if self.skip(b'}') {
            return Some(());
        }
        let mut before: Option<&[u8]> = None;
        loop {
            (self.byte()? == b'"').then_some(())?;
            let key = self.key()?;
            // In order, and so none of them twice.
            if before.is_some_and(|before| before >= key) {
                return None;
            }
            before = Some(key);
            (self.byte()? == b':').then_some(())?;
            self.count()?;
            self.value(depth)?;
            match self.byte()? {
                b',' => self.count()?,
                b'}' => return Some(()),
                _ => return None,
            }
        }
    }

    fn array(&mut self, depth: usize) -> Option<()> {
        self.count()?;
        if self.skip(b']') {
            return Some(());
        }
        loop {
            self.value(depth)?;
            match self.byte()? {
                b',' => self.count()?,
                b']' => return Some(()),
                _ => return None,
            }
        }
    }

    /// The rest of a string, with those escapes that stand for what has no other notation.
    fn string(&mut self) -> Option<()> {
        loop {
            let special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1f);
            let at = self.rest.iter().position(special)?;
            let (_, rest) = self.rest.split_at_checked(at)?;
            self.rest = rest;
            match self.byte()? {
                b'"' => return Some(()),
                b'\\' => {
                    let escape = self.byte()?;
                    matches!(escape, b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't')
                        .then_some(())?;
                }
                _ => return None,
            }
        }
    }

    /// The rest of a key, which has no escapes: as its bytes stand, keys are ordered.
    fn key(&mut self) -> Option<&'t [u8]> {
        let special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1f);
        let end = self.rest.iter().position(special)?;
        let (key, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        (self.byte()? == b'"').then_some(key)
    }

    /// The rest of a number behind its first digit.
    fn digits(&mut self) -> Option<()> {
        let others = self
            .rest
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let (_, rest) = self.rest.split_at_checked(others)?;
        self.rest = rest;
        // With its sign it is at most so long, whatever number the limit has.
        let fits = others < DIGITS_MAX && others + 2 <= self.limits.number;
        fits.then_some(())
    }

    fn word(&mut self, rest: &[u8]) -> Option<()> {
        self.rest = self.rest.strip_prefix(rest)?;
        Some(())
    }

    const fn deeper(&self, depth: usize) -> Option<usize> {
        if depth < self.limits.depth {
            Some(depth + 1)
        } else {
            None
        }
    }

    fn count(&mut self) -> Option<()> {
        self.values += 1;
        (self.values <= self.limits.values).then_some(())
    }

    fn skip(&mut self, wanted: u8) -> bool {
        match self.rest.split_first() {
            Some((byte, rest)) if *byte == wanted => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*byte)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::json::parse_json;

    fn is_plain(text: &str) -> bool {
        is_canonical(text, &JsonLimits::default())
    }

    #[test]
    fn recognises_what_a_host_prints() {
        for value in [
            json!(null),
            json!(-17),
            json!([true, false, 0, [], {}]),
            json!({"a": {"b": "x\n\"é\\"}, "ab": [999_999_999_999_999_999_u64]}),
            json!("\u{7f}\u{2028}"),
        ] {
            assert!(is_plain(&value.to_string()), "{value}");
        }
    }

    #[test]
    fn leaves_to_the_reader_what_could_be_printed_in_another_way() {
        for text in [
            "",
            " 1",
            "1 ",
            "[1, 2]",
            "[1,]",
            "01",
            "-0",
            "1.0",
            "1e2",
            "9223372036854775808",
            r#"{"b":1,"a":2}"#,
            r#"{"a":1,"a":2}"#,
            r#"{"\n":1}"#,
            r#""\u000b""#,
            r#""\/""#,
            "\"\n\"",
            "\"open",
            "nul",
            "{\"a\"}",
            "1 2",
        ] {
            assert!(!is_plain(text), "{text}");
        }
    }

    #[test]
    fn counts_as_the_reader_counts() {
        let wide = JsonLimits::default();
        for bound in 0..12 {
            for (text, limits) in [
                (
                    "[[1]]",
                    JsonLimits {
                        depth: bound,
                        ..wide
                    },
                ),
                (
                    r#"{"a":[1,2]}"#,
                    JsonLimits {
                        values: bound,
                        ..wide
                    },
                ),
                (
                    "[-12345]",
                    JsonLimits {
                        number: bound,
                        ..wide
                    },
                ),
                (
                    r#""1234""#,
                    JsonLimits {
                        bytes: bound,
                        ..wide
                    },
                ),
            ] {
                let is_within = parse_json(text, &limits).is_ok();
                assert_eq!(is_canonical(text, &limits), is_within, "{text} {limits:?}");
            }
        }
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((any::<String>(), inner), 0..6)
                    .prop_map(|entries| Value::Object(entries.into_iter().collect::<Map<_, _>>())),
            ]
        })
    }

    /// A document as it is printed, or with a few of its characters changed: most of those are no JSON, and the
    /// others are JSON in some other notation.
    fn texts() -> impl Strategy<Value = String> {
        let characters = "[ \\[\\]{}\",:0-9a-fntru.eE+\\\\-]";
        let changes = prop::collection::vec((any::<prop::sample::Index>(), characters), 0..4);
        (values(), changes).prop_map(|(value, changes)| {
            let mut text: Vec<char> = value.to_string().chars().collect();
            for (index, with) in changes {
                let at = index.index(text.len());
                text.splice(at..=at, with.chars());
            }
            text.into_iter().collect()
        })
    }

    proptest! {
        #[test]
        fn what_is_recognised_is_what_the_reader_prints(text in texts()) {
            if is_plain(&text) {
                let read = parse_json(&text, &JsonLimits::default());
                prop_assert_eq!(read.map(|value| value.to_string()), Ok(text));
            }
        }
    }
}
