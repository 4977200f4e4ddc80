//! What HTML within a document adds to it: anchors, links, pictures and headings.
//!
//! The tokenizer follows the WHATWG, so that quotes, spaces around `=`, entities, comments and scripts
//! mean here what they mean to a browser.

use html5gum::{DefaultEmitter, HtmlString, Span, StartTag, Token, Tokenizer};

/// A piece of HTML that says something about the document.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// An element begins: its heading level if it is one, its anchors, and what it points at.
    Open {
        level: Option<u8>,
        anchors: Vec<String>,
        targets: Vec<Target>,
    },
    /// A heading of that level ends.
    Close(u8),
    /// Text between elements.
    Text(String),
}

/// What an element points at.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) url: String,
    pub(crate) image: bool,
}

/// Reads `html` and gives each piece with its first byte.
pub(crate) fn read(html: &str, mut each: impl FnMut(Piece, usize)) {
    let mut emitter = DefaultEmitter::<usize>::new_with_span();
    // What looks like a tag within a script is text.
    emitter.naively_switch_states(true);
    for token in Tokenizer::new_with_emitter(html, emitter) {
        let Ok(token) = token;
        match token {
            Token::StartTag(tag) => {
                let at = tag.span.start;
                each(open(tag), at);
            }
            Token::EndTag(tag) => {
                if let Some(level) = level(&tag.name) {
                    each(Piece::Close(level), tag.span.start);
                }
            }
            Token::String(text) => {
                let Span { start, .. } = text.span;
                each(Piece::Text(words(&text.value)), start);
            }
            Token::Comment(_) | Token::Doctype(_) | Token::Error(_) => {}
        }
    }
}

fn open(tag: StartTag<usize>) -> Piece {
    let mut anchors = Vec::new();
    let mut targets = Vec::new();
    let name = words(&tag.name);
    for (attribute, value) in &tag.attributes {
        let value = words(&value.value);
        let url = value.trim();
        match (name.as_str(), words(attribute).as_str()) {
            (_, "id" | "name") if !value.is_empty() => anchors.push(value),
            ("a" | "area", "href") => targets.extend(target(url, false)),
            ("img" | "source" | "video" | "audio" | "track", "src") => {
                targets.extend(target(url, true));
            }
            ("video", "poster") => targets.extend(target(url, true)),
            ("img" | "source", "srcset") => targets.extend(candidates(url)),
            _ => {}
        }
    }
    Piece::Open {
        level: level(&tag.name),
        anchors,
        targets,
    }
}

fn target(url: &str, image: bool) -> Option<Target> {
    let url = url.to_owned();
    (!url.is_empty()).then_some(Target { url, image })
}

/// The addresses of a `srcset`: `a.png 1x, b.png 2x`.
fn candidates(set: &str) -> impl Iterator<Item = Target> {
    let urls = set
        .split(", ")
        .filter_map(|candidate| candidate.split_whitespace().next());
    urls.filter_map(|url| target(url.trim_end_matches(','), true))
}

fn level(name: &HtmlString) -> Option<u8> {
    match name.as_slice() {
        [b'h' | b'H', digit @ b'1'..=b'6'] => Some(digit - b'0'),
        _ => None,
    }
}

fn words(text: &HtmlString) -> String {
    String::from_utf8_lossy(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(html: &str) -> Vec<String> {
        let mut found = Vec::new();
        read(html, |piece, _| {
            if let Piece::Open { targets, .. } = piece {
                found.extend(targets.into_iter().map(|target| target.url));
            }
        });
        found
    }

    #[test]
    fn comments_and_scripts_point_at_nothing() {
        let html = "<!-- <img src=a> --><script>'<img src=b>'</script><style><img src=c></style>";
        assert!(targets(html).is_empty());
    }

    #[test]
    fn every_way_of_writing_an_attribute_is_read() {
        let html = "<IMG SRC='a.png'><a\n href = b.md >x</a><img src=\"c&amp;d.png\"/>\
            <img srcset=\"e.png 1x, f.png 2x\"><a name=n><a href=\"\">";
        assert_eq!(
            targets(html),
            ["a.png", "b.md", "c&d.png", "e.png", "f.png"]
        );
    }

    #[test]
    fn pieces_say_where_they_begin() {
        let mut places = Vec::new();
        read("ab<h2 id=x>cd</h2>", |piece, at| places.push((piece, at)));
        let text = |text: &str| Piece::Text(text.to_owned());
        let open = Piece::Open {
            level: Some(2),
            anchors: vec!["x".to_owned()],
            targets: Vec::new(),
        };
        assert_eq!(
            places,
            [
                (text("ab"), 0),
                (open, 2),
                (text("cd"), 11),
                (Piece::Close(2), 13)
            ]
        );
    }
}
