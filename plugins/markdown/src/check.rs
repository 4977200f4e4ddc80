//! Checks one document: links that lead nowhere, anchors that are not there, no heading at the top,
//! and keys that should not have been written down.

use std::collections::BTreeSet;

use flowhost_detect::{Detector, Kind, Lines};
use serde::{Deserialize, Serialize};

use crate::link::{self, Base, Presence, Target, Unchecked, Verdict};
use crate::outline::{self, Link, LinkKind, Outline};
use crate::slug;
use crate::words::code;

/// What can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Rule {
    /// The file could not be read.
    Unreadable,
    /// The file is not UTF-8.
    NotUtf8,
    /// A key of a known provider, or a private key.
    LeakedKey,
    /// A relative link to a path that does not exist.
    BrokenLink,
    /// A link to a heading that is not there.
    BrokenAnchor,
    /// `[text][label]` without a definition of the label.
    BrokenReference,
    /// The document has no heading of the first level, or skips a level.
    MissingHeading,
}

impl Rule {
    const ALL: [Self; 7] = [
        Self::Unreadable,
        Self::NotUtf8,
        Self::LeakedKey,
        Self::BrokenLink,
        Self::BrokenAnchor,
        Self::BrokenReference,
        Self::MissingHeading,
    ];

    /// As it is written in JSON.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::NotUtf8 => "not-utf8",
            Self::LeakedKey => "leaked-key",
            Self::BrokenLink => "broken-link",
            Self::BrokenAnchor => "broken-anchor",
            Self::BrokenReference => "broken-reference",
            Self::MissingHeading => "missing-heading",
        }
    }
}

/// A document, and what may be linked to.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Document {
    path: String,
    text: String,
    /// All paths that are there; without it the answer's `targets` are to be looked up.
    existing: Option<BTreeSet<String>>,
    /// Without it all of them.
    rules: Option<Vec<Rule>>,
    /// What is checked as a whole; without it the first folder of an absolute path.
    folder: Option<String>,
    /// What a leading `/` means; empty is the same as left out.
    root: Option<String>,
    /// What the file was read as; without it a text that holds U+FFFD is taken for one that is not UTF-8.
    encoding: Option<String>,
    /// Why the file could not be read.
    problem: Option<String>,
}

/// One thing found.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) rule: Rule,
    /// From 1.
    pub(crate) line: usize,
    pub(crate) message: String,
}

/// What was found in one document, and what others must say before the rest is known.
#[derive(Debug, Serialize)]
pub(crate) struct Checked {
    pub(crate) path: String,
    /// In the order of the text.
    pub(crate) findings: Vec<Finding>,
    pub(crate) unchecked: Vec<Unchecked>,
    pub(crate) headings: usize,
    pub(crate) links: usize,
    /// Links whose path or anchor is to be looked up.
    pub(crate) targets: Vec<Target>,
    /// What links of other documents may point at.
    pub(crate) anchors: Vec<String>,
}

/// Checks a document.
pub(crate) fn check(document: &Document) -> Checked {
    let outline = outline::read(&document.text);
    let rules = document.rules.as_deref().unwrap_or(&Rule::ALL);
    let mut checked = Checked {
        path: document.path.clone(),
        findings: Vec::new(),
        unchecked: Vec::new(),
        headings: outline.headings.len(),
        links: outline.links.len(),
        targets: Vec::new(),
        anchors: Vec::new(),
    };
    if let Some(problem) = document.problem.as_deref().filter(|it| !it.is_empty()) {
        checked.findings.push(Finding {
            rule: Rule::Unreadable,
            line: 1,
            message: format!("cannot be read: {problem}"),
        });
        return checked;
    }
    for rule in rules {
        match rule {
            // There was no problem.
            Rule::Unreadable => {}
            Rule::NotUtf8 => checked.findings.extend(not_utf8(document)),
            Rule::LeakedKey => checked.findings.extend(leaked_keys(&document.text)),
            Rule::BrokenLink | Rule::BrokenAnchor => {}
            Rule::BrokenReference => checked.findings.extend(broken_references(&outline)),
            Rule::MissingHeading => checked.findings.extend(missing_headings(&outline)),
        }
    }
    if rules.contains(&Rule::BrokenAnchor) {
        checked.findings.extend(broken_anchors(&outline));
    }
    judge_links(document, &outline, rules, &mut checked);
    checked
        .findings
        .sort_by_key(|finding| (finding.line, finding.rule));
    checked.anchors = outline.anchors.into_iter().collect();
    checked
}

/// The links that are checked where they stand: each definition once, however often it is used.
fn own_links(outline: &Outline) -> impl Iterator<Item = &Link> {
    outline
        .links
        .iter()
        .filter(|link| !link.by_reference)
        .chain(&outline.definitions)
}

fn judge_links(document: &Document, outline: &Outline, rules: &[Rule], checked: &mut Checked) {
    let whole = document
        .folder
        .as_deref()
        .unwrap_or_else(|| mount(&document.path));
    let base = Base {
        path: &document.path,
        folder: whole,
        root: document.root.as_deref().filter(|root| !root.is_empty()),
    };
    let paths_matter = rules.contains(&Rule::BrokenLink);
    let anchors_matter = rules.contains(&Rule::BrokenAnchor);
    for found in own_links(outline).filter_map(|link| link::target(link, &base)) {
        let mut target = match found {
            Ok(target) => target,
            Err(unchecked) => {
                if paths_matter {
                    checked.unchecked.push(unchecked);
                }
                continue;
            }
        };
        if !anchors_matter {
            target.anchor = None;
        }
        target.settled = !paths_matter;
        if let Some(existing) = document.existing.as_ref().filter(|_| paths_matter) {
            target.settled = true;
            let presence = |path: &str| match link::is_in(existing, path) {
                true => Presence::There,
                false => Presence::Missing,
            };
            match target.verdict(presence) {
                Verdict::Sound => {}
                Verdict::Broken(message) => {
                    let (rule, line) = (Rule::BrokenLink, target.line);
                    checked.findings.push(Finding {
                        rule,
                        line,
                        message,
                    });
                    continue;
                }
                Verdict::Unchecked(message) => {
                    let line = target.line;
                    checked.unchecked.push(Unchecked { line, message });
                    continue;
                }
            }
        }
        if !target.settled || target.anchor.is_some() {
            checked.targets.push(target);
        }
    }
}

/// `/docs/a/b.md` to `/docs`: where a grant shows a folder, as a rule. A relative path has none.
fn mount(path: &str) -> &str {
    match path.strip_prefix('/').and_then(|rest| rest.find('/')) {
        Some(end) => path.get(..=end).unwrap_or_default(),
        None => "",
    }
}

fn not_utf8(document: &Document) -> Option<Finding> {
    let place = document.text.find('\u{fffd}');
    let line = |at: usize| Lines::of(&document.text).line(at);
    let (line, message) = match (document.encoding.as_deref(), place) {
        (None, Some(at)) => (
            line(at),
            "is not UTF-8: what the bytes here mean was not checked".to_owned(),
        ),
        (None | Some("utf-8"), _) => return None,
        (Some(encoding), _) => (1, format!("is not UTF-8; it was read as {encoding}")),
    };
    Some(Finding {
        rule: Rule::NotUtf8,
        line,
        message,
    })
}

fn broken_references(outline: &Outline) -> impl Iterator<Item = Finding> {
    outline.undefined.iter().map(|undefined| Finding {
        rule: Rule::BrokenReference,
        line: undefined.line,
        message: format!(
            "uses the label {}, which is not defined",
            code(&undefined.label)
        ),
    })
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

fn broken_anchors(outline: &Outline) -> impl Iterator<Item = Finding> {
    own_links(outline)
        .filter(|link| link.kind == LinkKind::Anchor)
        .filter(|link| {
            let key = slug::key(link.target.trim_start_matches('#'));
            let is_readable = !key.contains('\u{fffd}');
            is_readable && !slug::is_everywhere(&key) && !outline.anchors.contains(&key)
        })
        .map(|link| Finding {
            rule: Rule::BrokenAnchor,
            line: link.line,
            message: format!(
                "links to the heading {}, which is not in this document",
                code(&link.target)
            ),
        })
}

fn missing_headings(outline: &Outline) -> Vec<Finding> {
    let mut findings = Vec::new();
    let begins = outline.headings.first().map(|heading| heading.level);
    // A title of the front matter is printed as the first heading.
    if begins != Some(1) && !outline.titled {
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
            existing: Some(existing.into()),
            ..Document::default()
        };
        check(&document)
            .findings
            .iter()
            .map(|it| (it.rule, it.line))
            .collect()
    }

    #[test]
    fn finds_links_that_lead_nowhere_however_they_are_written() {
        let text = "# A\n[x](gone.md)\n![y](img/gone.png)\n<img src=img/no.png>\n\n[r]: gone2.md\n[a][r] [b][r]\n";
        let wanted = [2, 3, 4, 6].map(|line| (Rule::BrokenLink, line));
        assert_eq!(findings(text), wanted);
    }

    #[test]
    fn does_not_judge_what_lies_outside_or_has_no_root() {
        let document = Document {
            path: "/docs/a.md".to_owned(),
            text: "# A\n[z](../../etc/passwd) [w](/img/x.png)\n".to_owned(),
            existing: Some(BTreeSet::new()),
            ..Document::default()
        };
        let checked = check(&document);
        assert!(checked.findings.is_empty());
        let lines: Vec<usize> = checked.unchecked.iter().map(|it| it.line).collect();
        assert_eq!(lines, [2, 2]);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_one_finding() {
        let document = Document {
            path: "a.md".to_owned(),
            problem: Some("it is too large".to_owned()),
            ..Document::default()
        };
        let rules: Vec<Rule> = check(&document).findings.iter().map(|it| it.rule).collect();
        assert_eq!(rules, [Rule::Unreadable]);
    }

    #[test]
    fn a_file_that_is_not_utf8_is_a_finding_and_its_links_are_checked() {
        let text = "# Gr\u{fffd}n\n[x](gone.md) [y](gr\u{fffd}n.md) [z](#gr\u{fffd}n)\n";
        assert_eq!(findings(text), [(Rule::NotUtf8, 1), (Rule::BrokenLink, 2)]);
        let document = Document {
            path: "/docs/a.md".to_owned(),
            text: "# The letter \u{fffd}\n".to_owned(),
            encoding: Some("utf-8".to_owned()),
            ..Document::default()
        };
        assert!(check(&document).findings.is_empty());
    }

    #[test]
    fn without_a_list_of_paths_the_links_are_to_be_looked_up() {
        let document = Document {
            path: "/docs/a.md".to_owned(),
            text: "# A\n[x](b.md#c) [y](gone.md) [z](https://e.example)\n".to_owned(),
            ..Document::default()
        };
        let checked = check(&document);
        assert!(checked.findings.is_empty());
        let paths: Vec<&str> = checked
            .targets
            .iter()
            .flat_map(|it| &it.paths)
            .map(String::as_str)
            .collect();
        assert_eq!(paths, ["/docs/b.md", "/docs/gone.md"]);
        assert_eq!(checked.anchors, ["a"]);
    }

    #[test]
    fn names_of_rules_are_those_of_json() {
        for rule in Rule::ALL {
            assert_eq!(serde_json::json!(rule), rule.name());
        }
    }

    #[test]
    fn a_title_in_front_matter_is_the_first_heading() {
        assert_eq!(findings("---\ntitle: A\n---\n\n## B\n"), []);
        assert_eq!(
            findings("---\ndate: 1\n---\n\n## B\n"),
            [(Rule::MissingHeading, 1)]
        );
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
