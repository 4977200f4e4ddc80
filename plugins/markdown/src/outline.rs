//! Headings and links of a text, with their lines, and the anchors that its headings make.
//!
//! Lines count in the text as it was given: front matter and a byte order mark are not part of what is
//! parsed, and still have their lines.

use std::collections::{BTreeMap, BTreeSet};

use pulldown_cmark::{BrokenLink, Event, LinkType, Options, Parser, Tag, TagEnd};
use serde::Serialize;

use crate::{
    front_matter,
    html::{self, Piece},
    slug::{key, slug},
};

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
    /// Its target stands in a definition, which is checked where it stands.
    #[serde(skip)]
    pub(crate) by_reference: bool,
}

/// `[text][label]` without `[label]: …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Undefined {
    pub(crate) label: String,
    /// From 1.
    pub(crate) line: usize,
}

/// What a text is made of.
#[derive(Debug, Default)]
pub(crate) struct Outline {
    pub(crate) headings: Vec<Heading>,
    pub(crate) links: Vec<Link>,
    /// `[label]: target`, used or not.
    pub(crate) definitions: Vec<Link>,
    pub(crate) undefined: Vec<Undefined>,
    /// Anchors of headings, of `id`s and `name`s in HTML and of footnotes, in the form of [`key`].
    pub(crate) anchors: BTreeSet<String>,
    /// The front matter has a title, which sites print as the first heading.
    pub(crate) titled: bool,
}

/// Reads a text.
pub(crate) fn read(text: &str) -> Outline {
    let body = front_matter::body(text);
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS;
    let lines = Lines::of(body.text, body.line);
    let mut undefined = Vec::new();
    let note = |broken: BrokenLink<'_>| {
        if is_meant(&broken, body.text) {
            let (label, line) = (
                broken.reference.to_string(),
                lines.of_byte(broken.span.start),
            );
            undefined.push(Undefined { label, line });
        }
        None
    };
    let events =
        Parser::new_with_broken_link_callback(body.text, options, Some(note)).into_offset_iter();
    let mut reader = Reader {
        lines: &lines,
        outline: Outline {
            titled: body.titled,
            ..Outline::default()
        },
        open: None,
        block: None,
        images: 0,
        used: BTreeMap::new(),
    };
    for (_, definition) in events.reference_definitions().iter() {
        let link = reader.link(&definition.dest, false, definition.span.start);
        reader.outline.definitions.push(link);
    }
    for (event, range) in events {
        reader.event(event, range.start);
    }
    let mut outline = reader.outline;
    outline.definitions.sort_by_key(|link| link.line);
    // The parser may ask twice about one place.
    undefined.sort_by(|one, other| (one.line, &one.label).cmp(&(other.line, &other.label)));
    undefined.dedup();
    outline.undefined = undefined;
    outline
}

/// Whether two pairs of brackets were meant as a link. A shortcut never tells, and neither do `x[1][2]` and
/// other things that are written close to a word or have a number for a label.
fn is_meant(broken: &BrokenLink<'_>, text: &str) -> bool {
    let is_pair = matches!(
        broken.link_type,
        LinkType::Reference
            | LinkType::Collapsed
            | LinkType::ReferenceUnknown
            | LinkType::CollapsedUnknown
    );
    let before = text.get(..broken.span.start).unwrap_or_default();
    let before = before.strip_suffix('!').unwrap_or(before);
    let follows_a_word =
        before.ends_with(|letter: char| letter.is_alphanumeric() || ")]}>_\"'`\\".contains(letter));
    let label = broken.reference.trim();
    let is_name = label.chars().any(char::is_alphabetic) && label.chars().count() > 1;
    is_pair && !follows_a_word && is_name && !label.starts_with('^')
}

/// A heading that has begun and not ended.
struct Open {
    level: u8,
    line: usize,
    /// What a reader sees, pictures by their words.
    shown: String,
    /// What the anchor is made of: pictures have no part in it.
    named: String,
}

struct Reader<'t> {
    lines: &'t Lines,
    outline: Outline,
    open: Option<Open>,
    /// The HTML block that is being read, and its first byte.
    block: Option<(String, usize)>,
    /// Images around the text that comes next.
    images: usize,
    /// How often each anchor was made: the second `intro` is `intro-1`.
    used: BTreeMap<String, usize>,
}

impl Reader<'_> {
    fn event(&mut self, event: Event<'_>, at: usize) {
        match event {
            Event::Start(Tag::Heading { level, .. }) => self.begin(level as u8, at),
            Event::End(TagEnd::Heading(_)) => self.end(),
            Event::Start(Tag::Link {
                dest_url,
                link_type,
                ..
            }) => self.used_link(&dest_url, link_type, false, at),
            Event::Start(Tag::Image {
                dest_url,
                link_type,
                ..
            }) => {
                self.images += 1;
                self.used_link(&dest_url, link_type, true, at);
            }
            Event::End(TagEnd::Image) => self.images = self.images.saturating_sub(1),
            Event::Text(text) | Event::Code(text) => self.text(&text),
            // A line's end is no word character, and no space either.
            Event::SoftBreak | Event::HardBreak => self.text("\n"),
            Event::Start(Tag::HtmlBlock) => self.block = Some((String::new(), at)),
            Event::End(TagEnd::HtmlBlock) => {
                if let Some((block, at)) = self.block.take() {
                    self.html(&block, at);
                }
            }
            Event::Html(html) => match &mut self.block {
                Some((block, _)) => block.push_str(&html),
                None => self.html(&html, at),
            },
            Event::InlineHtml(html) => self.html(&html, at),
            Event::Start(Tag::FootnoteDefinition(name)) => self.anchor(&format!("fn-{name}")),
            Event::FootnoteReference(name) => self.anchor(&format!("fnref-{name}")),
            _ => {}
        }
    }

    fn begin(&mut self, level: u8, at: usize) {
        self.open = Some(Open {
            level,
            line: self.lines.of_byte(at),
            shown: String::new(),
            named: String::new(),
        });
    }

    fn text(&mut self, text: &str) {
        if let Some(open) = &mut self.open {
            open.shown.push_str(text);
            if self.images == 0 {
                open.named.push_str(text);
            }
        } else if let Some(("", id)) = text.starts_with("{:").then(|| attributes(text)).flatten() {
            // A list of attributes on a line of its own belongs to the block before it (kramdown).
            self.anchor(id);
        }
    }

    fn end(&mut self) {
        let Some(open) = self.open.take() else {
            // An end tag of a heading that never began, in HTML: browsers leave it out, too.
            return;
        };
        let (shown, id) = own_id(&open.shown);
        let made = self.fresh(slug(&open.named));
        let heading = Heading {
            level: open.level,
            text: shown.split_whitespace().collect::<Vec<_>>().join(" "),
            anchor: id.map_or(made, str::to_owned),
            line: open.line,
        };
        self.anchor(&heading.anchor);
        if id.is_some() {
            // GitHub knows no `{#id}`: the braces are words of the heading there.
            self.anchor(&slug(shown));
        }
        self.outline.headings.push(heading);
    }

    fn anchor(&mut self, anchor: &str) {
        self.outline.anchors.insert(key(anchor));
    }

    /// Counts the uses of a name as GitHub does; a number that another heading has taken is passed over
    /// by some and not by others, so both anchors count.
    fn fresh(&mut self, slug: String) -> String {
        let Some(times) = self.used.get(&slug).copied() else {
            self.used.insert(slug.clone(), 0);
            self.anchor(&slug);
            return slug;
        };
        let mut number = times + 1;
        self.anchor(&format!("{slug}-{number}"));
        while self.used.contains_key(&format!("{slug}-{number}")) {
            number += 1;
        }
        let anchor = format!("{slug}-{number}");
        self.used.insert(slug, number);
        self.used.insert(anchor.clone(), 0);
        self.anchor(&anchor);
        anchor
    }

    fn link(&self, target: &str, image: bool, at: usize) -> Link {
        Link {
            target: target.to_owned(),
            kind: kind(target),
            image,
            line: self.lines.of_byte(at),
            by_reference: false,
        }
    }

    fn used_link(&mut self, target: &str, how: LinkType, image: bool, at: usize) {
        let mut link = self.link(target, image, at);
        link.by_reference = matches!(
            how,
            LinkType::Reference | LinkType::Collapsed | LinkType::Shortcut
        );
        if how == LinkType::Email {
            link.kind = LinkKind::Absolute;
        }
        self.outline.links.push(link);
    }

    fn html(&mut self, html: &str, start: usize) {
        html::read(html, |piece, at| self.piece(piece, start + at));
    }

    fn piece(&mut self, piece: Piece, at: usize) {
        match piece {
            Piece::Open {
                level,
                anchors,
                targets,
            } => {
                for anchor in anchors {
                    self.anchor(&anchor);
                }
                for target in targets {
                    let link = self.link(&target.url, target.image, at);
                    self.outline.links.push(link);
                }
                if let Some(level) = level {
                    self.begin(level, at);
                }
            }
            Piece::Close(_) => self.end(),
            Piece::Text(text) => self.text(&text),
        }
    }
}

/// `Title {#id}` to its words and `id`.
fn own_id(text: &str) -> (&str, Option<&str>) {
    attributes(text).map_or((text, None), |(words, id)| (words, Some(id)))
}

/// What stands before a list of attributes at a text's end, and the id in it: `{#id}`, `{#id .class}`,
/// `{: #id}`.
fn attributes(text: &str) -> Option<(&str, &str)> {
    let (words, list) = text.trim_end().strip_suffix('}')?.rsplit_once('{')?;
    let list = list.strip_prefix(':').unwrap_or(list);
    // `{x #1}` is words: a list is made of ids, classes and values.
    let is_one = |part: &str| part.starts_with(['#', '.']) || part.contains('=');
    let id = list
        .split_whitespace()
        .find_map(|part| part.strip_prefix('#'));
    let is_list = !list.contains('}') && list.split_whitespace().all(is_one);
    id.filter(|id| is_list && !id.is_empty())
        .map(|id| (words, id))
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

/// Starts of lines, to find the line of a byte.
struct Lines {
    breaks: Vec<usize>,
    first: usize,
}

impl Lines {
    /// Of a text whose first line has the number `first`.
    fn of(text: &str, first: usize) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self {
            breaks: breaks.map(|(place, _)| place).collect(),
            first,
        }
    }

    fn of_byte(&self, byte: usize) -> usize {
        self.first + self.breaks.partition_point(|line_break| *line_break < byte)
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

    #[test]
    fn lines_count_front_matter_and_a_byte_order_mark_is_no_text() {
        let outline = read("\u{feff}---\ntitle: x\n---\n\n# A\n");
        let heading = outline.headings.first().expect("a heading");
        assert_eq!(
            (heading.line, heading.anchor.as_str(), outline.titled),
            (5, "a", true)
        );
        assert_eq!(read("\u{feff}# A\n").headings.len(), 1);
    }

    fn anchors(text: &str) -> Vec<String> {
        read(text).anchors.into_iter().collect()
    }

    #[test]
    fn pictures_have_no_part_in_an_anchor_and_code_and_links_do() {
        assert_eq!(anchors("## ![seen by the blind](x.png) Mark\n"), ["-mark"]);
        assert_eq!(anchors("## <img src=x.png> Mark\n"), ["-mark"]);
        assert_eq!(anchors("## The `--all` [flag](f.md)\n"), ["the---all-flag"]);
    }

    #[test]
    fn a_number_that_a_heading_took_is_passed_over() {
        let outline = read("# a\n# a-1\n# a\n");
        let anchors: Vec<_> = outline
            .headings
            .iter()
            .map(|it| it.anchor.as_str())
            .collect();
        assert_eq!(anchors, ["a", "a-1", "a-2"]);
    }

    #[test]
    fn headings_in_html_are_headings_also_around_markdown() {
        let outline =
            read("<h1 align=center>The <b>tool</b> &amp; I</h1>\n\n<h2>\n\nA *part*\n\n</h2>\n");
        let seen: Vec<_> = outline
            .headings
            .iter()
            .map(|it| (it.level, it.text.as_str(), it.anchor.as_str(), it.line))
            .collect();
        assert_eq!(seen.first(), Some(&(1, "The tool & I", "the-tool--i", 1)));
        assert_eq!(
            seen.get(1).map(|it| (it.0, it.1, it.3)),
            Some((2, "A part", 3))
        );
    }

    #[test]
    fn an_id_in_braces_is_an_anchor_and_so_is_what_github_makes_of_it() {
        let outline = read("## Set up {#install}\n");
        assert_eq!(
            outline.headings.first().map(|it| it.text.as_str()),
            Some("Set up")
        );
        assert_eq!(outline.anchors.len(), 3);
        assert!(outline.anchors.contains("install") && outline.anchors.contains("set-up-install"));
    }

    #[test]
    fn lists_of_attributes_give_anchors_as_kramdown_and_pandoc_read_them() {
        for (text, id) in [
            ("## Set up {#install .wide}\n", "install"),
            ("## Set up {: #install}\n", "install"),
            ("## Set up\n{: #install .wide}\n", "install"),
            ("A paragraph.\n{:#here}\n", "here"),
        ] {
            assert!(read(text).anchors.contains(id), "{text}");
        }
        for text in [
            "## Braces {a #b}\n",
            "## Braces {#}\n",
            "Braces {: #b} within\n",
        ] {
            assert!(!read(text).anchors.contains("b"), "{text}");
        }
    }

    #[test]
    fn definitions_are_read_whether_they_are_used_or_not() {
        let outline = read("[a][used]\n\n[used]: a.md\n[unused]: b.md 'title'\n");
        let seen: Vec<_> = outline
            .definitions
            .iter()
            .map(|it| (it.target.as_str(), it.line))
            .collect();
        assert_eq!(seen, [("a.md", 3), ("b.md", 4)]);
        assert!(outline.links.iter().all(|link| link.by_reference));
    }

    #[test]
    fn a_label_without_a_definition_is_told_and_brackets_in_prose_are_not() {
        let outline = read(
            "[the guide][gone]\n[other][]\n\n[plain] x[one][two] [a][1] arr[i][j] `[q][r]` [^note] \\[no][way]\n",
        );
        let labels: Vec<_> = outline
            .undefined
            .iter()
            .map(|it| (it.label.as_str(), it.line))
            .collect();
        assert_eq!(labels, [("gone", 1), ("other", 2)]);
    }

    #[test]
    fn an_address_of_a_person_is_no_path() {
        let outline = read("<jo@example.org>\n");
        assert_eq!(
            outline.links.first().map(|it| it.kind),
            Some(LinkKind::Absolute)
        );
    }

    #[test]
    fn a_link_within_a_block_of_html_has_its_own_line() {
        let outline = read("text\n\n<p>\n<a\nhref='x.md'>x</a>\n<!-- <a href=no.md> -->\n</p>\n");
        let seen: Vec<_> = outline
            .links
            .iter()
            .map(|it| (it.target.as_str(), it.line))
            .collect();
        assert_eq!(seen, [("x.md", 4)]);
    }
}
