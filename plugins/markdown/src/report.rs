//! The report of many checks: documents with findings first, worst first, then a line that says how
//! many were sound. The same input gives the same bytes.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::{Deserialize, Serialize};

/// What to report.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Results {
    title: String,
    results: Vec<Document>,
}

/// What was found in one document, by `check` or by anyone else.
#[derive(Deserialize)]
struct Document {
    path: String,
    findings: Vec<Finding>,
}

#[derive(Deserialize)]
struct Finding {
    rule: String,
    /// From 1.
    line: usize,
    message: String,
    /// The words that it is about.
    #[serde(default)]
    quote: String,
}

/// The report and its numbers.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    text: String,
    documents: usize,
    findings: usize,
    by_rule: BTreeMap<String, usize>,
}

impl Report {
    /// One line for a person.
    pub(crate) fn summary(&self) -> String {
        format!("{} findings in {} documents", self.findings, self.documents)
    }
}

/// Writes the report.
pub(crate) fn write(results: &Results) -> Report {
    let mut faulty: Vec<&Document> = results
        .results
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
    let documents = results.results.len();
    let mut text = format!("# {}\n\n", plain(&results.title));
    line(
        &mut text,
        format_args!("{findings} findings in {documents} documents.\n"),
    );
    table(&mut text, &by_rule);
    for document in &faulty {
        section(&mut text, document);
    }
    let sound = documents - faulty.len();
    line(
        &mut text,
        format_args!("{sound} of {documents} documents are sound."),
    );
    Report {
        text,
        documents,
        findings,
        by_rule,
    }
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
        line(text, format_args!("| {} | {count} |", plain(rule)));
    }
    text.push('\n');
}

fn section(text: &mut String, document: &Document) {
    line(text, format_args!("## {}\n", plain(&document.path)));
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

fn line(text: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = text.write_fmt(what);
    text.push('\n');
}

/// One line without control characters, links, pictures and HTML: a document, or who judged it, cannot
/// write into the report, nor make its reader's program fetch anything.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '[' | '<' | '|' => plain.extend(['\\', letter]),
            _ if letter.is_control() => plain.push(' '),
            _ => plain.push(letter),
        }
    }
    plain
}

/// A code span, whose fence is longer than any run of backticks within.
fn code(text: &str) -> String {
    let line: String = text
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect();
    let longest = line.split(|letter| letter != '`').map(str::len).max();
    let fence = "`".repeat(longest.unwrap_or(0) + 1);
    format!("{fence} {line} {fence}")
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
