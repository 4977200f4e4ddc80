//! The YAML block at the start of a text. The parser bounds nesting, aliases and size, so a bomb in a
//! document is an error and not a flood.

use flowhost_sdk::Error;
use serde::Serialize;
use serde_json::Value;

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
    let Some((block, lines)) = block(text) else {
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
    // YAML 1.2: `y`, `on` and `no` are words, as their writers mean them.
    let options = serde_saphyr::options! { strict_booleans: true };
    let value = serde_saphyr::from_str_with_options(block, options)
        .map_err(|error| Error::invalid(format_args!("the front matter is not YAML: {error}")))?;
    Ok(FrontMatter {
        found: true,
        value,
        text_line: lines + 1,
    })
}

/// The text between the first line `---` and the next `---` or `...`, and the lines up to there.
fn block(text: &str) -> Option<(&str, usize)> {
    let body = text
        .strip_prefix("---\n")
        .or_else(|| text.strip_prefix("---\r\n"))?;
    let mut length = 0;
    for (number, line) in body.split_inclusive('\n').enumerate() {
        if matches!(line.trim_end(), "---" | "...") {
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
