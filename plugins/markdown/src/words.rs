//! Words of a document in a report: they may be shown, and may do nothing.
//!
//! A document, or who judged it, cannot begin a section of the report, put a link, a picture or HTML into
//! it, nor hide the rest of a line.

/// One line of Markdown that shows `text`. Code spans stay what they are: within them nothing is escaped,
/// because a backslash would be shown.
pub(crate) fn plain(text: &str) -> String {
    let line = one_line(text);
    let mut plain = String::with_capacity(line.len());
    let mut rest = line.as_str();
    while let Some(first) = rest.chars().next() {
        let run = rest.len() - rest.trim_start_matches('`').len();
        let span = (run > 0).then(|| code_span(rest, run)).flatten();
        let taken = match span {
            Some(length) => {
                plain.push_str(rest.get(..length).unwrap_or_default());
                length
            }
            None if run > 0 => {
                // No run of the same length closes it, so these are ordinary letters.
                plain.push_str(rest.get(..run).unwrap_or_default());
                run
            }
            None => {
                if matches!(first, '[' | '<' | '|' | '\\') {
                    plain.push('\\');
                }
                plain.push(first);
                first.len_utf8()
            }
        };
        rest = rest.get(taken..).unwrap_or_default();
    }
    plain
}

/// As [`plain`], for a cell of a table: there `|` ends a cell even in a code span.
pub(crate) fn cell(text: &str) -> String {
    plain(&text.replace('`', "'"))
}

/// The bytes of the code span that begins with `run` backticks, both fences included (CommonMark, 6.1).
fn code_span(text: &str, run: usize) -> Option<usize> {
    let mut at = run;
    while let Some(found) = text.get(at..)?.find('`') {
        let start = at + found;
        let tail = text.get(start..)?;
        let length = tail.len() - tail.trim_start_matches('`').len();
        if length == run {
            return Some(start + length);
        }
        at = start + length;
    }
    None
}

/// A code span that shows `text`: its fence is longer than any run of backticks within.
pub(crate) fn code(text: &str) -> String {
    let line = one_line(text);
    let longest = line.split(|letter| letter != '`').map(str::len).max();
    let fence = "`".repeat(longest.unwrap_or(0) + 1);
    // A space at each end is not shown, and keeps backticks there away from the fence.
    let space = if line.starts_with('`') || line.ends_with('`') {
        " "
    } else {
        ""
    };
    format!("{fence}{space}{line}{space}{fence}")
}

/// A path as it is: in a code span where something in it would be Markdown.
pub(crate) fn path(path: &str) -> String {
    let shown = plain(path);
    if shown == path && !path.contains(['`', '*', '_']) {
        shown
    } else {
        code(path)
    }
}

/// Control characters, line ends among them, as spaces.
pub(crate) fn one_line(text: &str) -> String {
    text.chars()
        .map(|letter| match letter {
            '\u{2028}' | '\u{2029}' => ' ',
            _ if letter.is_control() => ' ',
            _ => letter,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_markdown_is_escaped() {
        assert_eq!(plain("![x](y) <b> a|b\n# c"), r"!\[x](y) \<b> a\|b # c");
    }

    #[test]
    fn a_code_span_is_kept_and_one_that_does_not_close_is_none() {
        assert_eq!(plain("see `a[b]|c` [x]"), r"see `a[b]|c` \[x]");
        assert_eq!(plain("``a` [x](y)"), r"``a` \[x](y)");
    }

    #[test]
    fn a_backslash_before_a_fence_does_not_open_what_the_span_hid() {
        assert_eq!(plain(r"\` [x](y) `"), r"\\` [x](y) `");
    }

    #[test]
    fn a_code_span_shows_backticks() {
        assert_eq!(code("a"), "`a`");
        assert_eq!(code("`` [z](w) ``"), "``` `` [z](w) `` ```");
    }

    #[test]
    fn paths_are_shown_as_they_are() {
        assert_eq!(path("docs/a.md"), "docs/a.md");
        assert_eq!(path("app/[slug]/a|b.md"), "`app/[slug]/a|b.md`");
    }
}
