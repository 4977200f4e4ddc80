//! The report of many checks: what it does not cover first, then documents with findings, worst first,
//! then a line that says how many were sound. The same input gives the same bytes.
//!
//! What is not whole says so: a listing that was cut, files that were left out and links that nobody could
//! judge stand in the report, in its numbers and in its one line.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde::{Deserialize, Serialize};

use crate::check::Rule;
use crate::link::{Presence, Target, Unchecked, Verdict};
use crate::slug::{is_everywhere, key};
use crate::words::{cell, code, one_line, path, plain};

/// Most findings in `lines`, which is for a terminal; the report has all.
const LINES_MAX: usize = 200;

/// What to report.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Results {
    title: String,
    results: Vec<Document>,
    /// Paths of `targets` that are not there.
    missing: Option<BTreeSet<String>>,
    /// Paths of `targets` that could not be looked at.
    #[serde(default)]
    unclear: Vec<LeftOut>,
    /// How the documents were found.
    listing: Option<Listing>,
    /// What was checked, and what its reader calls it.
    folder: Option<String>,
    shown_as: Option<String>,
}

/// Checks whose links are to be looked up.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Checks {
    results: Vec<Document>,
}

/// What was found in one document, by `check` or by anyone else.
#[derive(Clone, Deserialize)]
struct Document {
    path: String,
    findings: Vec<Finding>,
    #[serde(default)]
    unchecked: Vec<Unchecked>,
    #[serde(default)]
    targets: Vec<Target>,
    #[serde(default)]
    anchors: BTreeSet<String>,
}

#[derive(Clone, PartialEq, Eq, Deserialize)]
struct Finding {
    rule: String,
    /// From 1.
    line: usize,
    message: String,
    /// The words that it is about.
    #[serde(default)]
    quote: String,
}

/// The part of a listing's answer that says whether it is whole.
#[derive(Default, Deserialize)]
struct Listing {
    #[serde(default)]
    truncated: bool,
    #[serde(default)]
    left_out: Vec<LeftOut>,
    #[serde(default)]
    excluded: Vec<String>,
}

/// A path, and why it was left out.
#[derive(Clone, Deserialize)]
struct LeftOut {
    path: String,
    why: String,
}

/// The report and its numbers.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    text: String,
    /// `path:line: rule: message` of each finding, for a terminal.
    lines: String,
    documents: usize,
    findings: usize,
    by_rule: BTreeMap<String, usize>,
    /// Links that nobody could judge.
    unchecked: usize,
    /// Nothing was left out but what was asked for.
    complete: bool,
}

impl Report {
    /// One line for a person.
    pub(crate) fn summary(&self) -> String {
        let cut = if self.complete {
            ""
        } else {
            ", and not all was seen"
        };
        format!(
            "{} findings in {} documents{cut}",
            self.findings, self.documents
        )
    }
}

/// The distinct paths that are to be looked up before a report can be written, sorted.
pub(crate) fn to_look_up(checks: &Checks) -> Vec<&str> {
    let known: BTreeSet<&str> = checks.results.iter().map(|it| it.path.as_str()).collect();
    let targets = checks.results.iter().flat_map(|document| &document.targets);
    let paths = targets
        .filter(|target| !target.settled)
        .flat_map(|target| &target.paths)
        .map(String::as_str);
    let wanted: BTreeSet<&str> = paths.filter(|path| !known.contains(path)).collect();
    wanted.into_iter().collect()
}

/// Writes the report.
pub(crate) fn write(results: &Results) -> Report {
    let documents = judged(results);
    let mut faulty: Vec<&Document> = documents
        .iter()
        .filter(|document| !document.findings.is_empty())
        .collect();
    faulty.sort_by(|one, other| {
        other
            .findings
            .len()
            .cmp(&one.findings.len())
            .then_with(|| one.path.cmp(&other.path))
    });
    let by_rule = count(&faulty);
    let findings = by_rule.values().sum();
    let unchecked = documents.iter().map(|document| document.unchecked.len());
    let names = Names::of(results);
    let gaps = gaps(results, &names);
    let mut text = format!("# {}\n\n", plain(&results.title));
    line(
        &mut text,
        format_args!("{findings} findings in {} documents.\n", documents.len()),
    );
    notice(&mut text, "This report is incomplete:", &gaps);
    notice(
        &mut text,
        "Left out, as was asked for:",
        &excluded(results, &names),
    );
    table(&mut text, &by_rule);
    for document in &faulty {
        section(&mut text, document, &names);
    }
    not_checked(&mut text, &documents, &names);
    let sound = documents.len() - faulty.len();
    line(
        &mut text,
        format_args!("{sound} of {} documents are sound.", documents.len()),
    );
    Report {
        text,
        lines: lines(&faulty, findings, &names),
        documents: documents.len(),
        findings,
        by_rule,
        unchecked: unchecked.sum(),
        complete: gaps.is_empty(),
    }
}

/// Paths as the reader of the report calls them.
struct Names<'r> {
    folder: &'r str,
    shown_as: &'r str,
}

impl<'r> Names<'r> {
    fn of(results: &'r Results) -> Self {
        let (folder, shown_as) = results
            .folder
            .as_deref()
            .zip(results.shown_as.as_deref())
            .unwrap_or_default();
        Self {
            folder: folder.trim_end_matches('/'),
            shown_as: shown_as.trim_end_matches('/'),
        }
    }

    fn shown(&self, path: &str) -> String {
        let below = path
            .strip_prefix(self.folder)
            .filter(|rest| !self.folder.is_empty() && (rest.is_empty() || rest.starts_with('/')));
        match below {
            // `.` adds nothing to a path.
            Some(rest) if self.shown_as == "." && !rest.is_empty() => {
                rest.trim_start_matches('/').to_owned()
            }
            Some(rest) => format!("{}{rest}", self.shown_as),
            None => path.to_owned(),
        }
    }
}

/// One entry for each path, with what could be said only now: whether links lead somewhere, also into other
/// documents.
fn judged(results: &Results) -> Vec<Document> {
    let mut documents = merged(&results.results);
    let anchors: BTreeMap<String, BTreeSet<String>> = documents
        .iter()
        .map(|document| (document.path.clone(), document.anchors.clone()))
        .collect();
    let unclear: BTreeMap<&str, &str> = results
        .unclear
        .iter()
        .map(|left| (left.path.as_str(), left.why.as_str()))
        .collect();
    let presence = |path: &str| match (&results.missing, unclear.get(path)) {
        _ if anchors.contains_key(path) => Presence::There,
        (_, Some(why)) => Presence::Unclear(why),
        (Some(missing), None) if missing.contains(path) => Presence::Missing,
        (Some(_), None) => Presence::There,
        (None, None) => Presence::Unclear("nobody said which paths are there"),
    };
    for document in &mut documents {
        for target in std::mem::take(&mut document.targets) {
            let verdict = match target.settled {
                true => Verdict::Sound,
                false => target.verdict(presence),
            };
            match verdict {
                Verdict::Sound => document.findings.extend(lost_anchor(&target, &anchors)),
                Verdict::Broken(message) => document.findings.push(Finding {
                    rule: Rule::BrokenLink.name().to_owned(),
                    line: target.line,
                    message,
                    quote: String::new(),
                }),
                Verdict::Unchecked(message) => document.unchecked.push(Unchecked {
                    line: target.line,
                    message,
                }),
            }
        }
        // The order of findings of one line is that of whoever found them.
        document.findings.sort_by_key(|finding| finding.line);
        document.unchecked.sort_by_key(|unchecked| unchecked.line);
    }
    documents
}

/// A document that was reached by two paths, or judged twice, is one.
fn merged(results: &[Document]) -> Vec<Document> {
    let mut documents: Vec<Document> = Vec::new();
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for document in results {
        let place = *places.entry(&document.path).or_insert(documents.len());
        let Some(known) = documents.get_mut(place) else {
            documents.push(document.clone());
            continue;
        };
        for finding in &document.findings {
            if !known.findings.contains(finding) {
                known.findings.push(finding.clone());
            }
        }
        known.anchors.extend(document.anchors.iter().cloned());
        let unchecked = document.unchecked.iter();
        let new: Vec<_> = unchecked
            .filter(|it| !known.unchecked.contains(it))
            .cloned()
            .collect();
        known.unchecked.extend(new);
        let targets = document.targets.iter();
        let new: Vec<_> = targets
            .filter(|it| !known.targets.contains(it))
            .cloned()
            .collect();
        known.targets.extend(new);
    }
    documents
}

/// A heading of another document that is not there. What is no document that was checked has no anchors
/// that are known, and nothing is said about it.
fn lost_anchor(target: &Target, anchors: &BTreeMap<String, BTreeSet<String>>) -> Option<Finding> {
    let key = key(target.anchor.as_deref()?);
    let found = target.paths.iter().find_map(|path| {
        let folder = path.trim_end_matches('/');
        // Of a folder its README is shown.
        let readme = || {
            ["README.md", "readme.md"]
                .iter()
                .find_map(|name| anchors.get(&format!("{folder}/{name}")))
        };
        anchors.get(path).or_else(readme)
    })?;
    (!is_everywhere(&key) && !found.contains(&key)).then(|| Finding {
        rule: Rule::BrokenAnchor.name().to_owned(),
        line: target.line,
        message: format!(
            "links to {}, and that document has no such heading",
            code(&target.target)
        ),
        quote: String::new(),
    })
}

/// Why the report does not cover everything.
fn gaps(results: &Results, names: &Names<'_>) -> Vec<String> {
    let Some(listing) = &results.listing else {
        return Vec::new();
    };
    let mut gaps = Vec::new();
    if listing.truncated {
        gaps.push("the listing was cut: there are more files than were listed".to_owned());
    }
    for left in &listing.left_out {
        let shown = path(&names.shown(&left.path));
        gaps.push(format!("{shown} was left out: {}", plain(&left.why)));
    }
    gaps
}

fn excluded(results: &Results, names: &Names<'_>) -> Vec<String> {
    let listing = results.listing.iter();
    let paths = listing.flat_map(|listing| &listing.excluded);
    paths.map(|it| path(&names.shown(it))).collect()
}

fn notice(text: &mut String, why: &str, gaps: &[String]) {
    if gaps.is_empty() {
        return;
    }
    line(text, format_args!("{why}\n"));
    for gap in gaps {
        line(text, format_args!("- {gap}"));
    }
    text.push('\n');
}

fn count(faulty: &[&Document]) -> BTreeMap<String, usize> {
    let mut by_rule = BTreeMap::new();
    for finding in faulty.iter().flat_map(|document| &document.findings) {
        *by_rule.entry(finding.rule.clone()).or_default() += 1;
    }
    by_rule
}

fn table(text: &mut String, by_rule: &BTreeMap<String, usize>) {
    if by_rule.is_empty() {
        return;
    }
    text.push_str("| rule | findings |\n| --- | ---: |\n");
    for (rule, count) in by_rule {
        line(text, format_args!("| {} | {count} |", cell(rule)));
    }
    text.push('\n');
}

fn section(text: &mut String, document: &Document, names: &Names<'_>) {
    line(
        text,
        format_args!("## {}\n", path(&names.shown(&document.path))),
    );
    for finding in &document.findings {
        let (rule, message) = (plain(&finding.rule), plain(&finding.message));
        line(
            text,
            format_args!("- line {}, {rule}: {message}", finding.line),
        );
        if !finding.quote.is_empty() {
            line(text, format_args!("  {}", code(&finding.quote)));
        }
    }
    text.push('\n');
}

fn not_checked(text: &mut String, documents: &[Document], names: &Names<'_>) {
    let mut open: Vec<&Document> = documents
        .iter()
        .filter(|document| !document.unchecked.is_empty())
        .collect();
    if open.is_empty() {
        return;
    }
    open.sort_by(|one, other| one.path.cmp(&other.path));
    text.push_str("## Not checked\n\n");
    for document in open {
        let shown = path(&names.shown(&document.path));
        for unchecked in &document.unchecked {
            let message = plain(&unchecked.message);
            line(
                text,
                format_args!("- {shown} line {}: {message}", unchecked.line),
            );
        }
    }
    text.push('\n');
}

/// Findings as compilers write them, in the order of the report.
fn lines(faulty: &[&Document], findings: usize, names: &Names<'_>) -> String {
    let each = faulty.iter().flat_map(|document| {
        let path = names.shown(&document.path);
        document.findings.iter().map(move |finding| {
            one_line(&format!(
                "{path}:{}: {}: {}",
                finding.line, finding.rule, finding.message
            ))
        })
    });
    let mut lines: Vec<String> = each.take(LINES_MAX).collect();
    if findings > LINES_MAX {
        lines.push(format!("and {} more in the report", findings - LINES_MAX));
    }
    lines.join("\n")
}

fn line(text: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = text.write_fmt(what);
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(json: &str) -> Results {
        serde_json::from_str(json).expect("results")
    }

    #[test]
    fn a_document_cannot_write_a_section_of_its_own() {
        let json = r#"{"title":"T","results":[{"path":"a\n## forged","findings":[
            {"rule":"broken-link","line":1,"message":"x\n## forged"}],"headings":0,"links":0}]}"#;
        assert_eq!(write(&results(json)).text.matches("\n## ").count(), 1);
    }

    #[test]
    fn a_finding_puts_no_link_picture_or_html_into_the_report() {
        let json = r#"{"title":"T","results":[{"path":"a.md","findings":[{"rule":"r","line":1,
            "message":"see ![x](https://e.example/?q) <img src=y>","quote":"`` [z](w) ``"}]}]}"#;
        let text = write(&results(json)).text;
        assert!(
            text.contains(r"\[x](https") && text.contains(r"\<img"),
            "{text}"
        );
        assert!(text.contains("``` `` [z](w) `` ```"), "{text}");
    }

    #[test]
    fn a_listing_that_was_cut_is_not_reported_as_whole() {
        let json = r#"{"title":"T","results":[],"listing":{"truncated":true,"files":[],
            "left_out":[{"path":"/docs/deep","why":"too deep"}]},"folder":"/docs","shown_as":"manual"}"#;
        let report = write(&results(json));
        assert!(!report.complete && report.summary().contains("not all was seen"));
        assert!(
            report.text.contains("This report is incomplete"),
            "{}",
            report.text
        );
        assert!(
            report.text.contains("manual/deep was left out: too deep"),
            "{}",
            report.text
        );
    }

    /// Two documents that link to each other, as `check` gives them.
    fn linked(more: &str) -> Results {
        let target = |line, written: &str, path: &str, anchor: &str| {
            format!(
                r#"{{"line":{line},"target":"{written}","paths":["{path}"],"anchor":{anchor},"settled":false}}"#
            )
        };
        let json = format!(
            r#"{{"title":"T","results":[
            {{"path":"/d/a.md","findings":[],"anchors":["a"],"targets":[{},{},{}]}},
            {{"path":"/d/b.md","findings":[],"anchors":["b"],"targets":[{}]}}]{more}}}"#,
            target(1, "b.md#B", "/d/b.md", "\"B\""),
            target(2, "b.md#gone", "/d/b.md", "\"gone\""),
            target(3, "c.md", "/d/c.md", "null"),
            target(4, "x.png", "/d/x.png", "null"),
        );
        results(&json)
    }

    #[test]
    fn links_that_nobody_looked_up_are_told_as_not_checked() {
        let report = write(&linked(""));
        assert_eq!((report.findings, report.unchecked), (1, 2));
        assert!(report.text.contains("## Not checked"), "{}", report.text);
    }

    #[test]
    fn links_are_judged_by_what_is_missing_and_by_the_other_documents() {
        let given = r#","missing":["/d/c.md"],"folder":"/d","shown_as":"docs/""#;
        let report = write(&linked(given));
        assert_eq!(
            report.lines,
            "docs/a.md:2: broken-anchor: links to `b.md#gone`, and that document has no such heading\n\
             docs/a.md:3: broken-link: links to `c.md`, which is not there"
        );
        assert_eq!(report.unchecked, 0);
    }

    #[test]
    fn a_path_that_could_not_be_looked_at_is_no_fault() {
        let given = r#","missing":[],"unclear":[{"path":"/d/c.md","why":"denied"}]"#;
        let report = write(&linked(given));
        assert_eq!((report.findings, report.unchecked), (1, 1));
    }

    #[test]
    fn what_is_to_be_looked_up_is_each_path_once_and_no_document_that_was_read() {
        let checks = Checks {
            results: linked("").results,
        };
        assert_eq!(to_look_up(&checks), ["/d/c.md", "/d/x.png"]);
    }

    #[test]
    fn a_document_that_was_reached_twice_is_one() {
        let one = r#"{"path":"a.md","findings":[{"rule":"r","line":1,"message":"m"}]}"#;
        let report = write(&results(&format!(
            r#"{{"title":"T","results":[{one},{one}]}}"#
        )));
        assert_eq!((report.documents, report.findings), (1, 1));
    }

    #[test]
    fn a_terminal_gets_a_bounded_number_of_lines_and_is_told() {
        let finding = |line| format!(r#"{{"rule":"r","line":{line},"message":"m"}}"#);
        let all: Vec<String> = (1..=LINES_MAX + 3).map(finding).collect();
        let json = format!(
            r#"{{"title":"T","results":[{{"path":"a.md","findings":[{}]}}]}}"#,
            all.join(",")
        );
        let report = write(&results(&json));
        assert!(report.lines.ends_with("and 3 more in the report"));
    }

    #[test]
    fn the_worst_document_comes_first_and_the_numbers_add_up() {
        let json = r#"{"title":"Docs","results":[
            {"path":"a.md","findings":[{"rule":"broken-link","line":3,"message":"m1"}],"headings":1,"links":1},
            {"path":"b.md","findings":[{"rule":"broken-link","line":1,"message":"m2"},
                {"rule":"leaked-key","line":9,"message":"m3"}],"headings":1,"links":1},
            {"path":"c.md","findings":[],"headings":1,"links":0}]}"#;
        let report = write(&results(json));
        let wanted = "# Docs\n\n3 findings in 3 documents.\n\n\
            | rule | findings |\n| --- | ---: |\n| broken-link | 2 |\n| leaked-key | 1 |\n\n\
            ## b.md\n\n- line 1, broken-link: m2\n- line 9, leaked-key: m3\n\n\
            ## a.md\n\n- line 3, broken-link: m1\n\n\
            1 of 3 documents are sound.\n";
        assert_eq!(report.text, wanted);
        assert_eq!(report.summary(), "3 findings in 3 documents");
    }

    #[test]
    fn no_findings_make_a_short_report() {
        let report = write(&results(r#"{"title":"T","results":[]}"#));
        assert_eq!(
            report.text,
            "# T\n\n0 findings in 0 documents.\n\n0 of 0 documents are sound.\n"
        );
    }
}
