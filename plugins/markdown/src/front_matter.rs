//! The YAML block at the start of a text. The parser bounds nesting, aliases and size, so a bomb in a
//! document is an error and not a flood.

use std::fmt;

use flowhost_sdk::Error;
use serde::Serialize;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use serde_saphyr::Error as Yaml;
use serde_saphyr::options::NonFiniteFloatPolicy;

/// Largest block that is read, in bytes.
const BYTES_MAX: usize = 64 << 10;

/// What a text starts with.
#[derive(Debug, Serialize, PartialEq)]
pub(crate) struct FrontMatter {
    pub(crate) found: bool,
    /// The block's value; `null` without one.
    pub(crate) value: Value,
    /// The line where the text itself begins, from 1.
    pub(crate) text_line: usize,
}

/// Reads the block.
///
/// # Errors
/// [`Error::Invalid`] when there is one and it is not YAML, or too large.
pub(crate) fn read(text: &str) -> Result<FrontMatter, Error> {
    let Some((block, lines)) = block(without_mark(text), &YAML) else {
        return Ok(FrontMatter {
            found: false,
            value: Value::Null,
            text_line: 1,
        });
    };
    if block.len() > BYTES_MAX {
        return Err(Error::invalid(format_args!(
            "the front matter has {} bytes, and {BYTES_MAX} are allowed",
            block.len()
        )));
    }
    // YAML 1.2: `y`, `on` and `no` are words, as their writers mean them; and `!include x` is not the word `x`.
    let options = serde_saphyr::options! {
        strict_booleans: true, with_snippet: false, reject_unsupported_tags: true,
        // Refused by the visitor, in words that say what to do.
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
    };
    let Distinct(value) = serde_saphyr::from_str_with_options(block, options)
        .map_err(|error| Error::invalid(told(&error)))?;
    Ok(FrontMatter {
        found: true,
        value,
        text_line: lines + 1,
    })
}

/// A value none of whose mappings has two keys that are one in JSON: `1` and `"1"` are two in YAML.
struct Distinct(Value);

impl<'de> Deserialize<'de> for Distinct {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DistinctVisitor).map(Self)
    }
}

struct DistinctVisitor;

/// 2^53: from here on a double does not tell one whole number from the next.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
const TOO_BIG: &str = "this number is too large to keep its digits; quote it";

impl<'de> Visitor<'de> for DistinctVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        match value.unsigned_abs() < WHOLE_MAX as u64 {
            true => Ok(Value::from(value)),
            false => Err(E::custom(TOO_BIG)),
        }
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        match value < WHOLE_MAX as u64 {
            true => Ok(Value::from(value)),
            false => Err(E::custom(TOO_BIG)),
        }
    }

    fn visit_i128<E: de::Error>(self, _: i128) -> Result<Value, E> {
        Err(E::custom(TOO_BIG))
    }

    fn visit_u128<E: de::Error>(self, _: u128) -> Result<Value, E> {
        Err(E::custom(TOO_BIG))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        if !value.is_finite() {
            return Err(E::custom("this number has no place in JSON; quote it"));
        }
        // A whole number that no integer type holds comes as a double, its digits already lost.
        if value.abs() >= WHOLE_MAX {
            return Err(E::custom(TOO_BIG));
        }
        Ok(Value::from(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Distinct(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = members.next_key::<String>()? {
            let Distinct(value) = members.next_value()?;
            if object.contains_key(&key) {
                return Err(de::Error::custom(format!("the key `{key}` is given twice")));
            }
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

/// What is wrong, in one line and with the document's own line: the block begins on its second one.
fn told(error: &Yaml) -> String {
    let place = error.location().map_or_else(String::new, |location| {
        format!("line {}: ", location.line() + 1)
    });
    match error.without_snippet() {
        Yaml::DuplicateMappingKey { key: Some(key), .. } => {
            format!("the front matter has the key `{key}` twice ({place}remove one of them)")
        }
        Yaml::DuplicateMappingKey { .. } => {
            format!("the front matter has a key twice ({place}remove one of them)")
        }
        Yaml::Budget { .. } | Yaml::AliasError { .. } | Yaml::AliasReplayLimitExceeded { .. } => {
            "the front matter is too deeply nested, or its aliases grow too large".to_owned()
        }
        Yaml::MultipleDocuments { .. } => {
            "the front matter holds more than one YAML document".to_owned()
        }
        // It is YAML, and means what JSON cannot hold.
        Yaml::Message { msg, .. } => format!("the front matter cannot be read: {place}{msg}"),
        other => {
            let rendered = other.to_string();
            let words = rendered.lines().next().unwrap_or("it cannot be read");
            let words = words.strip_prefix("error: ").unwrap_or(words);
            // The library's position counts from the block's first line.
            let end = words.find(" at line ").unwrap_or(words.len());
            let words = words.get(..end).unwrap_or(words);
            format!("the front matter is not valid YAML: {place}{words}")
        }
    }
}

/// A text without its front matter.
pub(crate) struct Body<'t> {
    pub(crate) text: &'t str,
    /// The number of its first line in the document.
    pub(crate) line: usize,
    /// The front matter has a title.
    pub(crate) titled: bool,
}

/// What a Markdown parser may see of a document: no byte order mark, and no block at its start that is
/// written as front matter, whether or not it can be read.
pub(crate) fn body(document: &str) -> Body<'_> {
    let text = without_mark(document);
    for style in [&YAML, &TOML] {
        let Some((front, lines)) = block(text, style).filter(|(front, _)| style.is_in(front))
        else {
            continue;
        };
        return Body {
            text: after_lines(text, lines),
            line: lines + 1,
            titled: front.lines().any(|line| style.is_title(line)),
        };
    }
    Body {
        text,
        line: 1,
        titled: false,
    }
}

fn after_lines(text: &str, lines: usize) -> &str {
    let ends = text.match_indices('\n').map(|(end, _)| end + 1);
    let start = ends.take(lines).last().unwrap_or(0);
    // A last line without an end has nothing after it.
    let open = text.lines().count() <= lines;
    text.get(start..).filter(|_| !open).unwrap_or_default()
}

fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// How front matter is written.
struct Style {
    opens: &'static str,
    closes: &'static [&'static str],
    assigns: char,
}

const YAML: Style = Style {
    opens: "---",
    closes: &["---", "..."],
    assigns: ':',
};

const TOML: Style = Style {
    opens: "+++",
    closes: &["+++"],
    assigns: '=',
};

impl Style {
    /// Whether a block holds keys, or nothing: two rulers with a paragraph between them do not.
    fn is_in(&self, block: &str) -> bool {
        let is_key = |line: &str| {
            line.split_once(self.assigns)
                .is_some_and(|(key, _)| !key.trim().is_empty())
        };
        block.trim().is_empty() || block.lines().any(is_key)
    }

    fn is_title(&self, line: &str) -> bool {
        line.split_once(self.assigns).is_some_and(|(key, value)| {
            let value = value.trim().trim_matches(['"', '\'']);
            key.trim_end() == "title" && !value.is_empty()
        })
    }
}

/// The text between the first line and the line that closes it, and the lines up to there.
fn block<'t>(text: &'t str, style: &Style) -> Option<(&'t str, usize)> {
    // Blanks behind the marks are not seen by whoever writes them, nor minded by those who print such pages.
    let (blanks, body) = text.strip_prefix(style.opens)?.split_once('\n')?;
    if !blanks.trim().is_empty() {
        return None;
    }
    let mut length = 0;
    for (number, line) in body.split_inclusive('\n').enumerate() {
        if style.closes.contains(&line.trim_end()) {
            return body.get(..length).map(|block| (block, number + 2));
        }
        length += line.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_that_is_not_yaml_is_invalid() {
        assert!(matches!(read("---\na: [\n---\n"), Err(Error::Invalid(_))));
    }

    #[test]
    fn a_key_that_is_given_twice_is_named_with_its_line_in_the_document() {
        let Err(Error::Invalid(why)) = read("---\na: 1\nb: 2\na: 3\n---\n# T\n") else {
            panic!("it was read");
        };
        assert_eq!(
            why,
            "the front matter has the key `a` twice (line 4: remove one of them)"
        );
    }

    #[test]
    fn keys_that_are_one_in_json_are_given_twice() {
        let Err(Error::Invalid(why)) = read("---\n1: a\n\"1\": b\n---\n") else {
            panic!("it was read");
        };
        assert!(why.contains("the key `1` is given twice"), "{why}");
    }

    #[test]
    fn what_is_wrong_is_told_in_one_line_without_advice_on_a_library() {
        for text in [
            "---\na: [\n---\n",
            "---\na: 'x\n---\n",
            "---\na: b: c\n---\n",
        ] {
            let Err(Error::Invalid(why)) = read(text) else {
                panic!("{text:?} was read");
            };
            assert!(!why.contains('\n') && !why.contains("Options"), "{why}");
            assert!(why.contains("line 2") || why.contains("line 3"), "{why}");
        }
    }

    #[test]
    fn numbers_that_would_be_changed_and_tags_that_nobody_reads_are_refused() {
        for value in [
            "9007199254740993",
            "-9007199254740993",
            "18446744073709551615",
            "18446744073709551616",
            "99999999999999999999999999999999999999999",
            "1e300",
            ".inf",
            ".nan",
            "!include secrets.yaml",
        ] {
            let read_it = read(&format!("---\ntitle: A\nn: {value}\n---\n"));
            let Err(Error::Invalid(why)) = read_it else {
                panic!("{value} was read");
            };
            assert!(why.contains("line 3"), "{value}: {why}");
        }
        let kept = read("---\nn: [9007199254740991, '9007199254740993', 1.5, 2026-11-26]\n---\n");
        assert_eq!(
            kept.expect("a block").value,
            serde_json::json!({ "n": [9_007_199_254_740_991_i64, "9007199254740993", 1.5, "2026-11-26"] })
        );
    }

    #[test]
    fn a_paragraph_between_two_rulers_is_text() {
        for text in [
            "---\nwords\n---\n",
            "---\nopen: true\n",
            "# A\n---\na: b\n---\n",
        ] {
            assert_eq!(body(text).text, text);
        }
    }

    #[test]
    fn the_body_begins_after_the_block_with_its_own_line() {
        for (text, wanted) in [
            ("---\ntitle: A\n---\n# A\n", ("# A\n", 4, true)),
            ("\u{feff}---\r\ntitle: ''\r\n---\r\nx", ("x", 4, false)),
            ("+++\ntitle = \"A\"\n+++\n", ("", 4, true)),
            ("---\na: 1\n...", ("", 4, false)),
            ("---\n---\nx", ("x", 3, false)),
            ("--- \t\ntitle: A\n---  \nx", ("x", 4, true)),
        ] {
            let body = body(text);
            assert_eq!((body.text, body.line, body.titled), wanted, "{text:?}");
        }
    }

    #[test]
    fn a_block_of_aliases_that_grows_without_end_is_invalid() {
        let mut bomb = String::from("---\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let below = vec![format!("*a{}", level - 1); 10].join(", ");
            bomb.push_str(&format!("a{level}: &a{level} [{below}]\n"));
        }
        bomb.push_str("---\n");
        assert!(matches!(read(&bomb), Err(Error::Invalid(_))));
    }

    #[test]
    fn a_text_without_a_block_or_with_an_open_one_has_none() {
        for text in ["", "# x\n", "--- \nno\n", "---\nopen: true\n"] {
            assert!(!read(text).expect("no block").found, "{text:?}");
        }
    }

    #[test]
    fn a_block_is_read_with_its_types_and_the_text_begins_after_it() {
        let read = read("---\ntitle: A\ntags: [x, y]\nn: 3\n---\n# A\n").expect("a block");
        assert_eq!(
            read.value,
            serde_json::json!({ "title": "A", "tags": ["x", "y"], "n": 3 })
        );
        assert_eq!(read.text_line, 6);
    }
}
