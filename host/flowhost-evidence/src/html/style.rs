//! The page's style as it goes out: without what only its authors read.
//!
//! Every page carries all of it, and pages are kept beside small ledgers. A program that knows CSS would save
//! a few bytes more and is a parser to keep; this one relies on how `style.css` is written, which a test holds.

use std::sync::LazyLock;

/// The style of a page.
pub(super) static SHEET: LazyLock<String> = LazyLock::new(|| squeezed(SOURCE));

const SOURCE: &str = include_str!("style.css");

/// What is written wide for people, and what it means to a browser. Spaces around `+`, `-` and `>` stay: in a
/// sum they are part of the grammar. The order counts: `; }` has no space any more when its semicolon goes.
const NARROW: [(&str, &str); 7] = [
    (" {", "{"),
    ("{ ", "{"),
    (" }", "}"),
    (";}", "}"),
    ("; ", ";"),
    (": ", ":"),
    (", ", ","),
];

fn squeezed(css: &str) -> String {
    let lines = css.lines().map(str::trim);
    let joined: String = lines.filter(|line| !line.starts_with("/*")).collect();
    NARROW
        .iter()
        .fold(joined, |css, (wide, narrow)| css.replace(wide, narrow))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without anything that a space could be.
    fn bare(css: &str) -> String {
        css.chars().filter(|char| !char.is_whitespace()).collect()
    }

    #[test]
    fn every_rule_goes_out_and_no_comment() {
        let rules: Vec<&str> = SOURCE
            .lines()
            .filter(|line| !line.trim_start().starts_with("/*"))
            .collect();
        assert_eq!(bare(&SHEET), bare(&rules.concat()).replace(";}", "}"));
        assert!(!SHEET.contains("/*"));
        assert!(SHEET.len() * 10 < SOURCE.len() * 9, "{}", SHEET.len());
    }

    #[test]
    fn the_source_is_written_as_the_squeezing_needs_it() {
        for line in SOURCE
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
        {
            // Lines are joined without a space between them.
            assert!(line.ends_with(['{', '}', ';', ',', '/']), "{line}");
            let comment = line.contains("/*");
            assert!(
                !comment || (line.starts_with("/*") && line.ends_with("*/")),
                "{line}"
            );
            // Within quotation marks a space counts.
            for quoted in line.split('"').skip(1).step_by(2) {
                assert!(!quoted.contains([',', ';', ':', '{', '}']), "{quoted}");
            }
        }
        assert!(SHEET.contains("calc(25% - 1px)"));
        assert!(SHEET.contains(".timeline li + li:hover{"));
    }
}
