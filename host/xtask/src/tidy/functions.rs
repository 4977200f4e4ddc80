//! A function reads as a page.
//!
//! One that does not has more than one thought in it, or arms that want functions of their own. The rule looks at
//! text: of a function it finds the end by its indentation, which rustfmt keeps.

use std::path::Path;

use anyhow::Result;

use super::{Faults, code, files_below, is_code, read, shown};

/// Longest function, in lines: two screens. Ninety-nine in a hundred of ours have fewer than seventy.
const LINES_MAX: usize = 100;

/// The folders that are looked at. A test may tell a long story.
const ROOTS: &[&str] = &["host", "sdk-rust", "plugins"];

/// What may stand before `fn`.
const BEFORE: &[&str] = &["const ", "async ", "unsafe ", "extern \"C\" "];

/// Checks every file that is no test.
pub(super) fn check(root: &Path) -> Result<Faults> {
    let mut faults = Faults::new();
    for folder in ROOTS {
        for path in files_below(&root.join(folder), &[".rs"])? {
            let name = shown(root, &path);
            if !is_code(&name) {
                continue;
            }
            let long = long_functions(&read(&path)?);
            faults.extend(long.into_iter().map(|(line, lines)| {
                format!(
                    "{name}: line {line}: a function of {lines} lines, and {LINES_MAX} are the most: divide it by \
                     what it does"
                )
            }));
        }
    }
    Ok(faults)
}

/// Of each function that is too long, the line on which it begins, from 1, and how many it has.
fn long_functions(text: &str) -> Vec<(usize, usize)> {
    let code = code(text);
    let begins = code
        .iter()
        .enumerate()
        .filter(|(_, line)| is_function(line));
    begins
        .map(|(at, _)| (at + 1, length(code.get(at..).unwrap_or_default())))
        .filter(|(_, lines)| *lines > LINES_MAX)
        .collect()
}

fn is_function(line: &str) -> bool {
    let mut rest = line.trim_start();
    if let Some(public) = rest.strip_prefix("pub") {
        // `pub(crate) fn`, `pub fn`: a space stands behind what narrows it.
        rest = public.split_once(' ').map_or("", |(_, rest)| rest);
    }
    while let Some(shorter) = BEFORE.iter().find_map(|word| rest.strip_prefix(word)) {
        rest = shorter;
    }
    rest.starts_with("fn ")
}

/// The lines of the function that begins these; one that a trait only declares has the one.
fn length(lines: &[&str]) -> usize {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let depth = lines.first().map_or(0, |line| indent(line));
    let at_depth = lines
        .iter()
        .position(|line| indent(line) == depth && (line.ends_with('}') || line.ends_with(';')));
    at_depth.map_or(1, |end| end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(lines: usize) -> String {
        let body = "        work();\n".repeat(lines - 2);
        format!("impl It {{\n    pub(crate) async fn long() {{\n{body}    }}\n}}\n")
    }

    #[test]
    fn finds_a_function_of_one_line_too_many() {
        let found = long_functions(&function(LINES_MAX + 1));
        assert_eq!(found, [(2, LINES_MAX + 1)]);
        assert!(long_functions(&function(LINES_MAX)).is_empty());
    }

    #[test]
    fn what_a_trait_declares_ends_where_it_is_declared() {
        let many = "    /// About it.\n".repeat(LINES_MAX);
        let text = format!(
            "trait It {{\n    fn a(\n        &self,\n    ) -> u8;\n{many}    fn b(&self);\n}}\n"
        );
        assert!(long_functions(&text).is_empty());
    }

    #[test]
    fn tests_may_be_longer() {
        let text = format!(
            "#[cfg(test)]\nmod tests {{\n{}}}\n",
            function(LINES_MAX + 1)
        );
        assert!(long_functions(&text).is_empty());
    }
}
