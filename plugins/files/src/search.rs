//! Finds lines that hold a text. Plain text and no patterns, so that no query can cost more than one
//! pass over the file.

use flowhost_sdk::Error;
use serde::Serialize;

/// Longest line that a hit shows, in bytes.
const LINE_BYTES_MAX: usize = 512;

/// One line that holds the text.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub(crate) struct Hit {
    pub(crate) path: String,
    /// From 1.
    pub(crate) line: usize,
    pub(crate) text: String,
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
            text.to_lowercase()
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
        contents
            .lines()
            .enumerate()
            .filter(|(_, line)| self.is_in(line))
            .map(|(number, line)| Hit {
                path: path.to_owned(),
                line: number + 1,
                text: shortened(line),
            })
    }

    fn is_in(&self, line: &str) -> bool {
        if self.ignore_case {
            line.to_lowercase().contains(&self.text)
        } else {
            line.contains(&self.text)
        }
    }
}

fn shortened(line: &str) -> String {
    let line = line.trim();
    let end = line.floor_char_boundary(LINE_BYTES_MAX);
    line.get(..end).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_a_query_that_would_find_everything() {
        assert!(matches!(Query::new("", false), Err(Error::Invalid(_))));
    }

    #[test]
    fn tells_the_line_of_each_hit() {
        let query = Query::new("Straße", true).expect("a query");
        let hits: Vec<Hit> = query
            .hits("/a", "eins\n  eine STRASSE\neine STRAßE\n")
            .collect();
        assert_eq!(
            hits,
            [Hit {
                path: "/a".into(),
                line: 3,
                text: "eine STRAßE".into()
            }]
        );
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let query = Query::new("ü", false).expect("a query");
        let line = "ü".repeat(1_000);
        let hit = query.hits("/a", &line).next().expect("a hit");
        assert_eq!(hit.text.len(), LINE_BYTES_MAX);
    }
}
