//! Checks one document: links that lead nowhere, anchors that are not there, no heading at the top,
//! and keys that should not have been written down.

use std::collections::BTreeSet;

use flowhost_detect::{Detector, Kind, Lines};
use serde::{Deserialize, Serialize};

use crate::outline::{self, LinkKind, Outline};
use crate::path;

/// What can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Rule {
    /// A key of a known provider, or a private key.
    LeakedKey,
    /// A relative link to a path that does not exist.
    BrokenLink,
    /// A link to a heading of the same document that is not there.
    BrokenAnchor,
    /// The document has no heading of the first level, or skips a level.
    MissingHeading,
}

impl Rule {
    const ALL: [Self; 4] = [
        Self::LeakedKey,
        Self::BrokenLink,
        Self::BrokenAnchor,
        Self::MissingHeading,
    ];
}

/// A document, and what may be linked to.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Document {
    path: String,
    text: String,
    existing: BTreeSet<String>,
    /// Without it all of them.
    rules: Option<Vec<Rule>>,
}

/// One thing found.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) rule: Rule,
    /// From 1.
    pub(crate) line: usize,
    pub(crate) message: String,
}

/// What was found in one document.
#[derive(Debug, Serialize)]
pub(crate) struct Checked {
    pub(crate) path: String,
    /// In the order of the text.
    pub(crate) findings: Vec<Finding>,
    pub(crate) headings: usize,
    pub(crate) links: usize,
}

/// Checks a document.
pub(crate) fn check(document: &Document) -> Checked {
    let outline = outline::read(&document.text);
    let rules = document.rules.as_deref().unwrap_or(&Rule::ALL);
    let mut findings: Vec<Finding> = rules
        .iter()
        .flat_map(|rule| apply(*rule, document, &outline))
        .collect();
    findings.sort_by_key(|finding| (finding.line, finding.rule));
    Checked {
        path: document.path.clone(),
        findings,
        headings: outline.headings.len(),
        links: outline.links.len(),
    }
}

fn apply(rule: Rule, document: &Document, outline: &Outline) -> Vec<Finding> {
    match rule {
        Rule::LeakedKey => leaked_keys(&document.text),
        Rule::BrokenLink => broken_links(document, outline),
        Rule::BrokenAnchor => broken_anchors(outline),
        Rule::MissingHeading => missing_headings(outline),
    }
}

fn leaked_keys(text: &str) -> Vec<Finding> {
    let found = Detector::new(&[Kind::Key]).find(text);
    let lines = Lines::of(text);
    let finding = |found: flowhost_detect::Found| Finding {
        rule: Rule::LeakedKey,
        line: lines.line(found.range.start),
        message: format!(
            "holds a value of the kind `{}`: revoke it and remove it",
            found.label
        ),
    };
    found.into_iter().map(finding).collect()
}

fn broken_links(document: &Document, outline: &Outline) -> Vec<Finding> {
    let broken = |target: &str| {
        let file = target.split('#').next().unwrap_or_default();
        match path::resolve(&document.path, file) {
            Some(path) => !exists(&document.existing, &path),
            None => true,
        }
    };
    outline
        .links
        .iter()
        .filter(|link| link.kind == LinkKind::Path && broken(&link.target))
        .map(|link| Finding {
            rule: Rule::BrokenLink,
            line: link.line,
            message: format!("links to `{}`, which is not there", link.target),
        })
        .collect()
}

/// A path is there when it is a file, or a folder of one.
fn exists(existing: &BTreeSet<String>, path: &str) -> bool {
    let folder = format!("{}/", path.trim_end_matches('/'));
    existing.contains(path)
        || existing
            .range(folder.clone()..)
            .next()
            .is_some_and(|next| next.starts_with(&folder))
}

fn broken_anchors(outline: &Outline) -> Vec<Finding> {
    outline
        .links
        .iter()
        .filter(|link| link.kind == LinkKind::Anchor)
        .filter_map(|link| Some((link.line, link.target.strip_prefix('#')?)))
        .filter(|(_, anchor)| !anchor.is_empty() && !outline.anchors.contains(*anchor))
        .map(|(line, anchor)| Finding {
            rule: Rule::BrokenAnchor,
            line,
            message: format!("links to the heading `#{anchor}`, which is not in this document"),
        })
        .collect()
}

fn missing_headings(outline: &Outline) -> Vec<Finding> {
    let mut findings = Vec::new();
    if outline
        .headings
        .first()
        .is_none_or(|heading| heading.level != 1)
    {
        findings.push(Finding {
            rule: Rule::MissingHeading,
            line: 1,
            message: "does not begin with a heading of the first level".to_owned(),
        });
    }
    for pair in outline.headings.windows(2) {
        if let [before, after] = pair
            && after.level > before.level + 1
        {
            findings.push(Finding {
                rule: Rule::MissingHeading,
                line: after.line,
                message: format!("`{}` skips a level of headings", after.text),
            });
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(text: &str) -> Vec<(Rule, usize)> {
        let existing = ["/docs/b.md", "/docs/img/x.png", "/README.md"].map(str::to_owned);
        let document = Document {
            path: "/docs/a.md".to_owned(),
            text: text.to_owned(),
            existing: existing.into(),
            rules: None,
        };
        check(&document)
            .findings
            .iter()
            .map(|it| (it.rule, it.line))
            .collect()
    }

    #[test]
    fn finds_links_that_lead_nowhere_and_out_of_the_root() {
        let text = "# A\n[x](gone.md)\n![y](img/gone.png)\n[z](../../etc/passwd)\n";
        let wanted = [
            (Rule::BrokenLink, 2),
            (Rule::BrokenLink, 3),
            (Rule::BrokenLink, 4),
        ];
        assert_eq!(findings(text), wanted);
    }

    #[test]
    fn finds_anchors_that_are_not_there() {
        assert_eq!(
            findings("# A\n[x](#a)\n[y](#b)\n"),
            [(Rule::BrokenAnchor, 3)]
        );
    }

    #[test]
    fn finds_a_document_without_a_first_heading_and_a_level_that_is_skipped() {
        assert_eq!(findings("text\n"), [(Rule::MissingHeading, 1)]);
        assert_eq!(findings("# A\n\n### C\n"), [(Rule::MissingHeading, 3)]);
    }

    #[test]
    fn finds_a_leaked_key_without_repeating_it() {
        let key = format!("AKIA{}", "ABCDEFGHIJKLMNOP");
        assert_eq!(
            findings(&format!("# A\n\nuse {key}\n")),
            [(Rule::LeakedKey, 3)]
        );
    }

    #[test]
    fn finds_nothing_in_a_sound_document() {
        let text =
            "# A\n[b](b.md#x) ![](img/x.png) [img](img) [top](/README.md) [w](https://x.y)\n";
        assert_eq!(findings(text), []);
    }
}
