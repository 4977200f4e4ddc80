//! What the YAML reader says, in the words of a person who writes a plan: the reader speaks of tokens, and names
//! the place where it gave up, which is often one line after the fault.
//!
//! Must not judge: whether the file is YAML is the reader's to say. What is not known here is told as it came.

use crate::problem::At;

/// A bound of reading was met.
pub(super) const TOO_MUCH: &str = "the file is too large or too deeply nested";
/// What helps then.
pub(super) const LESS: &str =
    "a plan has at most 24 levels, and 100000 values after aliases are expanded";

/// A fault of the file's form.
#[derive(Debug, PartialEq)]
pub(super) struct Told {
    pub(super) at: At,
    pub(super) message: String,
    pub(super) cure: String,
}

/// The reader's `message` about the place `at` of `text`; none where its own words have to do.
pub(super) fn told(message: &str, text: &str, at: At) -> Option<Told> {
    if message.contains("mapping values are not allowed") {
        return Some(colon(text, at));
    }
    let (message, cure) = if message.contains("tabs disallowed") {
        (
            "a tab indents this line".to_owned(),
            "indent it with spaces: YAML takes no tabs there",
        )
    } else if message.contains("unclosed quote") {
        (
            "a quote that begins here does not end".to_owned(),
            "end the text with the quote that it begins with",
        )
    } else if message.contains("multiline quoted scalar") {
        (
            "a quote that begins before this line does not end".to_owned(),
            "end the text with the quote that it begins with",
        )
    } else if message.contains("invalid trailing content") {
        (
            "text follows the quote that ends the value".to_owned(),
            "put the whole value between one pair of quotes",
        )
    } else if message.contains("did not find expected ',' or '}'") {
        (
            "a `{` that was opened before does not end".to_owned(),
            "end it with `}`, and put a `,` between its entries",
        )
    } else if message.contains("did not find expected ',' or ']'") {
        (
            "a `[` that was opened before does not end".to_owned(),
            "end it with `]`, and put a `,` between its entries",
        )
    } else if message.contains("did not find expected key")
        || message.contains("did not find expected '-'")
    {
        (
            "the indentation of this line fits no line above it".to_owned(),
            "begin it in the column of the keys that it belongs to; entries of a list begin with `- `",
        )
    } else if message.contains("recursion limit exceeded") {
        (TOO_MUCH.to_owned(), LESS)
    } else if message.contains("recursive references") {
        (
            "an alias (`*name`) stands inside of what it names".to_owned(),
            "write out what is meant: a plan is a tree",
        )
    } else if message.contains("null into string") || message.contains("expected string scalar") {
        (
            "a key is a text".to_owned(),
            "write the key as one word, or put it in quotes",
        )
    } else if message.contains("tagged scalar") {
        (
            "the tag before this value is not one that plans have".to_owned(),
            "write the value without it, in quotes if it is to be text",
        )
    } else if let Some((_, rest)) = message.split_once("unexpected character: `") {
        // One that cannot be seen comes as an escape; the reader quotes it `so'.
        let character = rest.split_once('\'').map_or(rest, |(shown, _)| shown);
        (
            format!("a value cannot begin with `{character}`"),
            "put the value in quotes",
        )
    } else {
        return None;
    };
    Some(Told {
        at,
        message,
        cure: cure.to_owned(),
    })
}

/// A colon where no key can be: a second one in a value, one below a value, or one after a line that lacks its
/// own.
fn colon(text: &str, at: At) -> Told {
    let whole = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    let (number, column) = (whole(at.line), whole(at.column));
    let line = text.lines().nth(number.saturating_sub(1));
    let before: String = line
        .unwrap_or_default()
        .chars()
        .take(column.saturating_sub(1))
        .collect();
    if let Some((key, value)) = before.split_once(": ") {
        let (key, value) = (key.trim_start(), value.trim());
        return Told {
            at,
            message: format!("the value of `{key}` holds a second colon, after `{value}`"),
            cure: format!("put the value in quotes: `{key}: \"…\"`"),
        };
    }
    let above = text.lines().enumerate().take(number.saturating_sub(1));
    let is_said = |line: &str| !line.trim().is_empty() && !line.trim().starts_with('#');
    let Some((above, said)) = above.filter(|(_, line)| is_said(line)).last() else {
        return Told {
            at,
            message: "a colon stands where no key can be".to_owned(),
            cure: String::new(),
        };
    };
    let said = said.trim();
    if said.contains(": ") {
        return Told {
            at,
            message: format!("this line is indented below `{said}`, which has its value already"),
            cure: format!("begin it in the column of line {}", above + 1),
        };
    }
    Told {
        at: At {
            line: u32::try_from(above + 1).unwrap_or(at.line),
            column: 1,
        },
        message: format!("`{said}` has no colon after its key"),
        cure: "write `key: value`, with a colon and a space".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::Plan;

    fn told(text: &str) -> String {
        let problems = Plan::parse(text, "p.yaml").unwrap_err();
        let told = problems.iter().map(ToString::to_string);
        told.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_fault_of_the_form_is_told_in_plain_words_at_the_line_of_the_fault() {
        let cases = [
            ("name: x: y\n", "second colon, after `x`"),
            (
                "a:\n  uses m\n  with: {}\n",
                "p.yaml:2:1: `uses m` has no colon",
            ),
            ("a: b\n  c: d\n", "indented below `a: b`"),
            ("a:\n    b: c\n   d: e\n", "fits no line above it"),
            ("a: { b: c\nd: e\n", "a `{` that was opened before"),
            ("a:\n\tb: c\n", "a tab indents this line"),
            ("a: \"b\n", "a quote that begins before this line"),
            ("a:\n  b: \"c }\n", "a quote that begins"),
            ("a: @b\n", "a value cannot begin with `@`"),
            ("a: \u{1b}[2J\n", "a value cannot begin with `\\"),
            ("a: `b`\n", "a value cannot begin with ```"),
            ("a: \"b\" c\n", "follows the quote"),
            ("a: {~: b}\n", "a key is a text"),
            ("a: {[1]: b}\n", "a key is a text"),
            ("a: &x [*x]\n", "inside of what it names"),
            ("a: !!timestamp 2001-01-01\n", "not one that plans have"),
        ];
        for (text, words) in cases {
            let told = told(text);
            assert!(told.contains(words), "{text:?}: {told}");
        }
    }

    #[test]
    fn a_key_of_a_step_in_the_place_of_a_step_is_to_be_indented() {
        let text = "flowhost: v1\nkind: workflow\nname: x\nplugins:\n  m: {kind: tool, source: ./m.wasm, profile: p}\n\
                    steps:\n  a:\n    uses: m/run\n  with: {text: x}\n";
        let told = told(text);
        assert!(told.contains("indent it under `a`"), "{told}");
        assert!(!told.contains("`text`"), "told once: {told}");
    }
}
