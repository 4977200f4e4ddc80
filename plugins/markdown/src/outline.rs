//! Headings and links of a text, with their lines, and the anchors that its headings make.

use std::collections::{BTreeMap, BTreeSet};

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use serde::Serialize;

/// A heading.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub(crate) struct Heading {
    /// 1 to 6.
    pub(crate) level: u8,
    pub(crate) text: String,
    /// What `#…` must be to reach it.
    pub(crate) anchor: String,
    /// From 1.
    pub(crate) line: usize,
}

/// Where a link goes.
#[derive(Debug, Clone, Copy, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LinkKind {
    /// A path, relative or from the root.
    Path,
    /// A place in the same text.
    Anchor,
    /// Another site, an address, anything with a scheme.
    Absolute,
}

/// A link or an image.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) target: String,
    pub(crate) kind: LinkKind,
    pub(crate) image: bool,
    /// From 1.
    pub(crate) line: usize,
}

/// What a text is made of.
#[derive(Debug, Default)]
pub(crate) struct Outline {
    pub(crate) headings: Vec<Heading>,
    pub(crate) links: Vec<Link>,
    /// Anchors of headings and of `id`s and `name`s in inline HTML.
    pub(crate) anchors: BTreeSet<String>,
}

/// Reads a text.
pub(crate) fn read(text: &str) -> Outline {
    let options = Options::ENABLE_YAML_STYLE_METADATA_BLOCKS
        | Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_HEADING_ATTRIBUTES;
    let mut reader = Reader {
        lines: Lines::of(text),
        ..Reader::default()
    };
    for (event, range) in Parser::new_ext(text, options).into_offset_iter() {
        reader.event(event, range.start);
    }
    reader.outline
}

#[derive(Default)]
struct Reader {
    lines: Lines,
    outline: Outline,
    /// The heading that is open: its level, line, own id and text so far.
    open: Option<(u8, usize, Option<String>, String)>,
    /// How often each anchor was made: the second `intro` is `intro-1`.
    used: BTreeMap<String, usize>,
}

impl Reader {
    fn event(&mut self, event: Event<'_>, at: usize) {
        match event {
            Event::Start(Tag::Heading { level, id, .. }) => {
                let id = id.map(|id| id.into_string());
                self.open = Some((level as u8, self.lines.of_byte(at), id, String::new()));
            }
            Event::End(TagEnd::Heading(_)) => self.close(),
            Event::Start(Tag::Link { dest_url, .. }) => self.link(&dest_url, false, at),
            Event::Start(Tag::Image { dest_url, .. }) => self.link(&dest_url, true, at),
            Event::Text(text) | Event::Code(text) => self.text(&text),
            Event::SoftBreak | Event::HardBreak => self.text(" "),
            Event::Html(html) | Event::InlineHtml(html) => self.html(&html),
            _ => {}
        }
    }

    fn text(&mut self, text: &str) {
        if let Some((_, _, _, all)) = &mut self.open {
            all.push_str(text);
        }
    }

    fn close(&mut self) {
        let Some((level, line, id, text)) = self.open.take() else {
            return;
        };
        let anchor = id.unwrap_or_else(|| self.fresh(slug(&text)));
        self.outline.anchors.insert(anchor.clone());
        self.outline.headings.push(Heading {
            level,
            text: text.trim().to_owned(),
            anchor,
            line,
        });
    }

    fn fresh(&mut self, slug: String) -> String {
        let times = self.used.entry(slug.clone()).or_default();
        let anchor = if *times == 0 {
            slug
        } else {
            format!("{slug}-{times}")
        };
        *times += 1;
        anchor
    }

    fn link(&mut self, target: &str, image: bool, at: usize) {
        let line = self.lines.of_byte(at);
        self.outline.links.push(Link {
            target: target.to_owned(),
            kind: kind(target),
            image,
            line,
        });
    }

    fn html(&mut self, html: &str) {
        for mark in [" id=\"", " name=\""] {
            let ids = html
                .split(mark)
                .skip(1)
                .filter_map(|rest| rest.split('"').next());
            self.outline.anchors.extend(ids.map(str::to_owned));
        }
    }
}

fn kind(target: &str) -> LinkKind {
    let scheme = target
        .split_once(':')
        .map(|(scheme, _)| scheme)
        .is_some_and(is_scheme);
    if target.starts_with('#') {
        LinkKind::Anchor
    } else if scheme || target.starts_with("//") {
        LinkKind::Absolute
    } else {
        LinkKind::Path
    }
}

/// RFC 3986, section 3.1.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && text
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || "+-.".contains(letter))
}

/// The anchor that repository hosts make of a heading: lower case, letters, digits, `-` and `_` kept,
/// spaces to hyphens, the rest dropped.
fn slug(text: &str) -> String {
    text.trim()
        .to_lowercase()
        .chars()
        .filter_map(|letter| match letter {
            ' ' => Some('-'),
            _ if letter.is_alphanumeric() || letter == '-' || letter == '_' => Some(letter),
            _ => None,
        })
        .collect()
}

/// Starts of lines, to find the line of a byte.
#[derive(Default)]
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self(breaks.map(|(place, _)| place).collect())
    }

    fn of_byte(&self, byte: usize) -> usize {
        1 + self.0.partition_point(|line_break| *line_break < byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_code_is_neither_heading_nor_link() {
        let outline = read("```\n# no\n[no](no.md)\n```\n`[no](no.md)`\n");
        assert!(outline.headings.is_empty() && outline.links.is_empty());
    }

    #[test]
    fn headings_have_level_text_anchor_and_line() {
        let outline = read("# One *two*\n\ntext\n\nAnd `three`\n---\n");
        let seen: Vec<_> = outline
            .headings
            .iter()
            .map(|it| (it.level, it.text.as_str(), it.anchor.as_str(), it.line))
            .collect();
        assert_eq!(
            seen,
            [
                (1, "One two", "one-two", 1),
                (2, "And three", "and-three", 5)
            ]
        );
    }

    #[test]
    fn the_second_heading_of_a_name_gets_a_number() {
        let anchors = read("# A\n# A\n# A\n")
            .headings
            .into_iter()
            .map(|it| it.anchor);
        assert_eq!(anchors.collect::<Vec<_>>(), ["a", "a-1", "a-2"]);
    }

    #[test]
    fn links_are_told_apart_by_where_they_go() {
        let outline = read("[a](x.md) ![b](/i.png)\n[c](#d) <https://e.example> [f](mailto:g@h.i)");
        let kinds: Vec<LinkKind> = outline.links.iter().map(|link| link.kind).collect();
        use LinkKind::{Absolute, Anchor, Path};
        assert_eq!(kinds, [Path, Path, Anchor, Absolute, Absolute]);
        assert_eq!(outline.links.iter().map(|link| link.line).max(), Some(2));
    }

    #[test]
    fn reference_links_have_the_target_of_their_definition() {
        let outline = read("[text][ref]\n\n[ref]: there.md\n");
        assert_eq!(
            outline.links.first().map(|link| link.target.as_str()),
            Some("there.md")
        );
    }

    #[test]
    fn ids_in_html_are_anchors() {
        assert!(read("<a id=\"here\"></a>\n").anchors.contains("here"));
    }

    #[test]
    fn front_matter_is_no_heading() {
        assert!(read("---\ntitle: x\n---\n").headings.is_empty());
    }
}
