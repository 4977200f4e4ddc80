//! A silent way out hides a bug from its author and from every test.
//!
//! `let Some(it) = … else { return; }` says that nothing is to be done where the value is not there. That
//! may be ordinary (most steps cannot be taken back), and then the reason stands above it; or it cannot
//! be, and then a `debug_assert!` stands in it. The rule looks at text: of a statement it finds the
//! beginning by its indentation, which rustfmt keeps.

use std::path::Path;

use anyhow::Result;

use super::{Faults, code, files_below, is_code, read, shown};

/// Checks every file of the host; tests may be silent, because they are not believed.
pub(super) fn check(root: &Path) -> Result<Faults> {
    let mut faults = Faults::new();
    for path in files_below(&root.join("host"), &[".rs"])? {
        let name = shown(root, &path);
        if !is_code(&name) {
            continue;
        }
        let silent = silent_lines(&read(&path)?);
        faults.extend(silent.into_iter().map(|line| {
            format!(
                "{name}: line {line}: returns in silence: say above it why nothing is to be done, or \
                 `debug_assert!` that it cannot be"
            )
        }));
    }
    Ok(faults)
}

/// The lines, from 1, of every `let … else` that only returns and has no reason.
fn silent_lines(text: &str) -> Vec<usize> {
    let code = code(text);
    let silent = |at: &usize| returns_only(&code, *at) && !has_reason(&code, *at);
    (0..code.len()).filter(silent).map(|at| at + 1).collect()
}

/// Whether the line opens the `else` of a `let`, and `return` is all that stands in it.
fn returns_only(code: &[&str], at: usize) -> bool {
    let line = code.get(at).map_or("", |line| line.trim());
    if line.starts_with("//") || line.starts_with("} else") {
        return false;
    }
    line.ends_with("else { return };")
        || line.ends_with("else {")
            && code
                .get(at + 1)
                .is_some_and(|next| next.trim() == "return;")
}

/// Whether a comment stands above the statement whose `else` is at this line.
fn has_reason(code: &[&str], at: usize) -> bool {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let depth = code.get(at).map_or(0, |line| indent(line));
    let above = code.get(..=at).unwrap_or_default();
    let start = above
        .iter()
        .rposition(|line| line.trim_start().starts_with("let ") && indent(line) == depth);
    let before = start.and_then(|start| code.get(start.checked_sub(1)?));
    before.is_some_and(|line| line.trim_start().starts_with("//"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_return_without_a_reason() {
        let short = "fn f() {\n    let Some(a) = b else { return };\n}\n";
        assert_eq!(silent_lines(short), [2]);
        let long = "fn f() {\n    let Some(A {\n        a,\n    }) = b\n    else {\n        return;\n    };\n}\n";
        assert_eq!(silent_lines(long), [5]);
    }

    #[test]
    fn a_comment_above_the_statement_is_a_reason() {
        let short = "fn f() {\n    // Why.\n    let Some(a) = b else { return };\n}\n";
        assert_eq!(silent_lines(short), [0; 0]);
        let long = "fn f() {\n    // Why.\n    let Some(A {\n        a,\n    }) = b\n    else {\n        return;\n    };\n}\n";
        assert_eq!(silent_lines(long), [0; 0]);
    }

    #[test]
    fn an_assertion_inside_is_one_too_and_what_gives_a_value_is_not_silent() {
        let asserted = "    let Some(a) = b else {\n        debug_assert!(false, \"never\");\n        return;\n    };\n";
        assert_eq!(silent_lines(asserted), [0; 0]);
        let told = "    let Some(a) = b else {\n        return Err(Lost);\n    };\n";
        assert_eq!(silent_lines(told), [0; 0]);
    }

    #[test]
    fn an_if_that_has_another_way_is_not_looked_at() {
        let other = "    if a {\n        b();\n    } else {\n        return;\n    }\n";
        assert_eq!(silent_lines(other), [0; 0]);
    }
}
