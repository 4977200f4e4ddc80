//! Tables of allow and deny cases for a profile: the file of `policy test`.
//!
//! A profile is read by people and believed by machines; a table says what its author meant. Cases
//! are decided by the very functions that decide in a run, and nothing is resolved or opened.
//!
//! ```toml
//! version = 1
//! profile = "networked-tool"
//!
//! [[case]]
//! name = "reads repositories"
//! expect = "allow"
//! http = "GET https://api.github.com/repos/a/b"
//!
//! [[case]]
//! name = "no address inside"
//! expect = "deny"
//! http = "GET https://api.github.com/repos/a/b"
//! addresses = ["10.0.0.1"]
//! rule = "egress.private"
//! ```

use std::net::IpAddr;

use crate::{
    decision::Denied,
    grant::Effective,
    problem::Problem,
    profile,
    read::{Fields, Reader, node::Node},
    rights::{Grants, Question, RIGHTS},
};

/// One case of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// What it shows, for people.
    pub name: String,
    /// Whether it must be allowed.
    pub allow: bool,
    /// The rule that must decide, if the table names it.
    pub rule: Option<String>,
    /// Line in the file, from 1.
    pub line: u32,
    question: &'static Question,
    text: String,
    addresses: Vec<IpAddr>,
}

/// A table of cases, checked.
///
/// # Examples
///
/// ```
/// use flowhost_policy::{Effective, cases::{Cases, run}};
///
/// let text = r#"
/// version = 1
/// [[case]]
/// name = "nothing goes out"
/// expect = "deny"
/// http = "GET https://example.com/"
/// rule = "http#none"
/// "#;
/// let cases = Cases::parse(text, "deny-all.cases.toml").unwrap();
/// let results = run(&cases, &Effective::default());
/// assert!(results.iter().all(|result| result.passed));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cases {
    /// The profile that the table is about, if it says so.
    pub profile: Option<String>,
    /// The cases in their order.
    pub cases: Vec<Case>,
}

/// What a case came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseResult {
    /// The case's name.
    pub name: String,
    /// Its line in the file.
    pub line: u32,
    /// Whether it came out as the table says.
    pub passed: bool,
    /// The rule that allowed it, or the denial.
    pub got: Result<String, Denied>,
}

/// Every question of every right.
fn questions() -> impl Iterator<Item = &'static Question> {
    RIGHTS.iter().flat_map(|right| right.questions)
}

impl Cases {
    /// Reads a table.
    ///
    /// # Errors
    ///
    /// Every problem of the document, in its order.
    pub fn parse(text: &str, file: &str) -> Result<Self, Vec<Problem>> {
        let mut reader = Reader::new(file);
        let cases = reader.toml(text).and_then(|node| {
            let fields = reader.fields(&node, "", &["version", "profile", "case"])?;
            profile::check_version(&mut reader, &fields);
            let profile = reader.text(&fields, "profile");
            reader.required(&fields, "case", "[]");
            let cases = reader.tables(&fields, "case", case);
            Some(Self { profile, cases })
        });
        reader.finish()?;
        Ok(cases.unwrap_or_default())
    }
}

fn case(reader: &mut Reader, node: &Node, path: &str) -> Option<Case> {
    let mut known = vec!["name", "expect", "rule", "addresses"];
    known.extend(questions().map(|question| question.key));
    let fields = reader.fields(node, path, &known)?;
    reader.required(&fields, "name", "\"what it shows\"");
    let name = reader.text(&fields, "name");
    reader.required(&fields, "expect", "\"deny\"");
    let allow = reader.word(&fields, "expect", &[("allow", true), ("deny", false)]);
    let asked = question(reader, &fields);
    let addresses = addresses(
        reader,
        &fields,
        asked.as_ref().map(|(question, _)| *question),
    );
    let rule = reader.text(&fields, "rule");
    let (question, text) = asked?;
    Some(Case {
        name: name?,
        allow: allow?,
        rule,
        line: node.at.line,
        question,
        text,
        addresses,
    })
}

fn question(reader: &mut Reader, fields: &Fields<'_>) -> Option<(&'static Question, String)> {
    let asked: Vec<&Question> = questions()
        .filter(|question| fields.get(question.key).is_some())
        .collect();
    let [question] = asked.as_slice() else {
        let keys: Vec<&str> = questions().map(|question| question.key).collect();
        let message = format!("a case has exactly one of: {}", keys.join(", "));
        reader.problem(fields.at, message, None);
        return None;
    };
    let text = reader.text(fields, question.key)?;
    if let Some((fault, cure)) = (question.fault)(&text) {
        let message = format!("`{}` {fault}", fields.path_of(question.key));
        reader.problem(fields.at, message, Some(cure.to_owned()));
        return None;
    }
    Some((question, text))
}

/// What a name resolves to in a case; a question that nothing is resolved for has no use for it.
fn addresses(reader: &mut Reader, fields: &Fields<'_>, question: Option<&Question>) -> Vec<IpAddr> {
    let without = question.filter(|question| !question.takes_addresses);
    if let (Some(node), Some(question)) = (fields.get("addresses"), without) {
        let (path, key) = (fields.path_of("addresses"), question.key);
        let message = format!("`{path}` has no meaning for `{key}`: nothing is resolved for it");
        reader.problem(node.at, message, Some("remove it".to_owned()));
    }
    let texts = reader.texts(fields, "addresses", |text| match text.parse::<IpAddr>() {
        Ok(address) => Ok(address.to_string()),
        Err(_) => Err("not an IP address".to_owned()),
    });
    // All of them do: what is none was reported and left out above.
    texts.iter().filter_map(|text| text.parse().ok()).collect()
}

/// Decides every case under `effective`, in order.
#[must_use]
pub fn run(cases: &Cases, effective: &Effective) -> Vec<CaseResult> {
    cases
        .cases
        .iter()
        .map(|case| judge(case, &effective.grants))
        .collect()
}

fn judge(case: &Case, grants: &Grants) -> CaseResult {
    let got = (case.question.decide)(grants, &case.text, &case.addresses);
    let rule = match &got {
        Ok(rule) => rule,
        Err(denied) => &denied.rule,
    };
    let passed =
        got.is_ok() == case.allow && case.rule.as_ref().is_none_or(|wanted| wanted == rule);
    CaseResult {
        name: case.name.clone(),
        line: case.line,
        passed,
        got,
    }
}
