//! Finds lines that hold a text. Plain text and no patterns, so that no query can cost more than one
//! pass over the file.

use flowhost_sdk::Error;
use serde::Serialize;

/// Longest part of a line that a hit shows, in bytes.
const SHOWN_BYTES_MAX: usize = 512;
/// What stands where a line was cut.
const CUT: char = '…';

/// One line that holds the text.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub(crate) struct Hit {
    pub(crate) path: String,
    /// From 1.
    pub(crate) line: usize,
    /// Of the first place in the line, in characters, from 1.
    pub(crate) column: usize,
    /// The line, or of a long one the part around the hit, with `…` where it was cut.
    pub(crate) text: String,
    pub(crate) cut: bool,
}

/// What is looked for.
pub(crate) struct Query {
    text: String,
    ignore_case: bool,
}

impl Query {
    /// A query; an empty text is refused, because it would find everything.
    pub(crate) fn new(text: &str, ignore_case: bool) -> Result<Self, Error> {
        if text.is_empty() {
            return Err(Error::invalid("`text` is empty"));
        }
        let text = if ignore_case {
            text.chars().flat_map(char::to_lowercase).collect()
        } else {
            text.to_owned()
        };
        Ok(Self { text, ignore_case })
    }

    /// The lines of a file that hold the text.
    pub(crate) fn hits<'a>(
        &'a self,
        path: &'a str,
        contents: &'a str,
    ) -> impl Iterator<Item = Hit> + 'a {
        let lines = contents.lines().enumerate();
        lines.filter_map(move |(number, line)| {
            let at = self.first(line)?;
            let (text, cut) = around(line, at, self.text.len());
            Some(Hit {
                path: path.to_owned(),
                line: number + 1,
                column: line.get(..at).unwrap_or_default().chars().count() + 1,
                text,
                cut,
            })
        })
    }

    /// The first byte of the first hit.
    fn first(&self, line: &str) -> Option<usize> {
        if !self.ignore_case {
            return line.find(&self.text);
        }
        // A letter may have another length in lower case, so places are carried along.
        let mut lower = String::with_capacity(line.len());
        let mut places = Vec::with_capacity(line.len());
        for (at, letter) in line.char_indices() {
            lower.extend(letter.to_lowercase());
            places.resize(lower.len(), at);
        }
        let found = lower.find(&self.text)?;
        places.get(found).copied()
    }
}

/// The part of a line that holds the hit, and whether that is less than the line.
fn around(line: &str, at: usize, length: usize) -> (String, bool) {
    let shown = line.trim();
    if shown.len() <= SHOWN_BYTES_MAX {
        return (shown.to_owned(), false);
    }
    // The hit stands in the middle, unless the line begins or ends close to it.
    let room = SHOWN_BYTES_MAX.saturating_sub(length) / 2;
    let last = line.len().saturating_sub(SHOWN_BYTES_MAX);
    let start = line.ceil_char_boundary(at.saturating_sub(room).min(last));
    let end = line.floor_char_boundary(start.saturating_add(SHOWN_BYTES_MAX));
    let mut text = String::new();
    text.extend((start > 0).then_some(CUT));
    text.push_str(line.get(start..end).unwrap_or_default());
    text.extend((end < line.len()).then_some(CUT));
    (text, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(query: &Query, text: &str) -> Hit {
        query.hits("/a", text).next().expect("a hit")
    }

    #[test]
    fn refuses_a_query_that_would_find_everything() {
        assert!(matches!(Query::new("", false), Err(Error::Invalid(_))));
    }

    #[test]
    fn tells_the_place_of_each_hit() {
        let query = Query::new("Straße", true).expect("a query");
        let hits: Vec<Hit> = query
            .hits("/a", "eins\n  eine STRASSE\neine STRAßE\n")
            .collect();
        assert_eq!(
            hits,
            [Hit {
                path: "/a".into(),
                line: 3,
                column: 6,
                text: "eine STRAßE".into(),
                cut: false,
            }]
        );
    }

    #[test]
    fn a_long_line_is_cut_around_the_hit_and_says_so() {
        let query = Query::new("needle", false).expect("a query");
        for (before, after) in [
            (0, 5_000),
            (3, 5_000),
            (2_000, 2_000),
            (5_000, 3),
            (5_000, 0),
        ] {
            let line = format!("{}needle{}", "ü".repeat(before), "y".repeat(after));
            let hit = first(&query, &line);
            assert!(
                hit.text.contains("needle") && hit.cut,
                "{before}: {}",
                hit.text
            );
            assert!(hit.text.len() <= SHOWN_BYTES_MAX + 2 * CUT.len_utf8());
            assert_eq!(hit.column, before + 1);
            assert_eq!(hit.text.starts_with(CUT), before > 100);
            assert_eq!(hit.text.ends_with(CUT), after > 100);
        }
    }

    #[test]
    fn a_letter_that_grows_in_lower_case_moves_no_place() {
        let query = Query::new("x", true).expect("a query");
        assert_eq!(first(&query, "İİİX").column, 4);
    }

    #[test]
    fn a_long_query_shows_its_beginning() {
        let text = "a".repeat(2_000);
        let query = Query::new(&text, false).expect("a query");
        assert!(first(&query, &format!("b{text}")).cut);
    }
}
