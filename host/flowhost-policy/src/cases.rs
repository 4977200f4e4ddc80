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
    decide::{
        Direction, decide_file, decide_model, decide_reveal, decide_secret, decide_state,
        decide_tool, decide_topic,
    },
    decision::{Allowed, Denied},
    egress::{Target, check_addresses, decide_http},
    grant::{Access, Effective, Grants},
    problem::Problem,
    profile,
    read::{Fields, Reader, grants, node::Node},
};

/// What is asked in a case.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Question {
    Http {
        method: String,
        url: String,
        addresses: Vec<IpAddr>,
    },
    File(String, Access),
    Tool(String),
    Topic(String, Direction),
    State(String),
    Secret(String),
    Reveal(String),
    Model(String),
}

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
    question: Question,
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

const QUESTIONS: [&str; 10] = [
    "http",
    "read",
    "write",
    "tool",
    "publish",
    "subscribe",
    "state",
    "secret",
    "reveal",
    "model",
];

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
            let cases = grants::tables(&mut reader, &fields, "case", case);
            Some(Self { profile, cases })
        });
        reader.finish()?;
        Ok(cases.unwrap_or_default())
    }
}

fn case(reader: &mut Reader, node: &Node, path: &str) -> Option<Case> {
    let mut known = vec!["name", "expect", "rule", "addresses"];
    known.extend(QUESTIONS);
    let fields = reader.fields(node, path, &known)?;
    reader.required(&fields, "name", "\"what it shows\"");
    let name = reader.text(&fields, "name");
    reader.required(&fields, "expect", "\"deny\"");
    let allow = reader.word(&fields, "expect", &[("allow", true), ("deny", false)]);
    let question = question(reader, &fields);
    Some(Case {
        name: name?,
        allow: allow?,
        rule: reader.text(&fields, "rule"),
        line: node.at.line,
        question: question?,
    })
}

fn question(reader: &mut Reader, fields: &Fields<'_>) -> Option<Question> {
    let asked: Vec<&str> = QUESTIONS
        .into_iter()
        .filter(|key| fields.get(key).is_some())
        .collect();
    let [key] = asked.as_slice() else {
        let message = format!("a case has exactly one of: {}", QUESTIONS.join(", "));
        reader.problem(fields.at, message, None);
        return None;
    };
    let text = reader.text(fields, key)?;
    Some(match *key {
        "http" => return http(reader, fields, &text),
        "read" => Question::File(text, Access::Read),
        "write" => Question::File(text, Access::Write),
        "tool" => Question::Tool(text),
        "publish" => Question::Topic(text, Direction::Publish),
        "subscribe" => Question::Topic(text, Direction::Subscribe),
        "state" => Question::State(text),
        "secret" => Question::Secret(text),
        "reveal" => Question::Reveal(text),
        _ => Question::Model(text),
    })
}

fn http(reader: &mut Reader, fields: &Fields<'_>, text: &str) -> Option<Question> {
    let addresses = reader.texts(fields, "addresses", |text| match text.parse::<IpAddr>() {
        Ok(address) => Ok(address.to_string()),
        Err(_) => Err("not an IP address".to_owned()),
    });
    let addresses = addresses
        .iter()
        .filter_map(|text| text.parse().ok())
        .collect();
    let Some((method, url)) = text.split_once(' ') else {
        let message = format!("`{}` is not `METHOD URL`", fields.path_of("http"));
        reader.problem(fields.at, message, Some("write `GET https://…`".to_owned()));
        return None;
    };
    Some(Question::Http {
        method: method.to_owned(),
        url: url.to_owned(),
        addresses,
    })
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
    let got = decide(&case.question, grants);
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

fn decide(question: &Question, grants: &Grants) -> Result<String, Denied> {
    fn named<T>(right: &str, allowed: &Allowed<'_, T>) -> String {
        format!("{right}[{}]", allowed.index)
    }
    let text = |right: &str, verdict: Result<Allowed<'_, String>, Denied>| {
        verdict.map(|allowed| named(right, &allowed))
    };
    match question {
        Question::Http {
            method,
            url,
            addresses,
        } => {
            let target = Target::parse(url, method)?;
            let allowed = decide_http(&grants.http, &target)?;
            if !addresses.is_empty() {
                check_addresses(allowed.grant, addresses, &[], false)?;
            }
            Ok(named("http", &allowed))
        }
        Question::File(path, access) => {
            decide_file(&grants.files, path, *access).map(|allowed| named("files", &allowed))
        }
        Question::Tool(name) => text("tools.call", decide_tool(&grants.tools, name)),
        Question::Topic(topic, direction) => {
            let right = match direction {
                Direction::Publish => "messages.publish",
                Direction::Subscribe => "messages.subscribe",
            };
            text(right, decide_topic(&grants.messages, *direction, topic))
        }
        Question::State(name) => text("state.namespaces", decide_state(&grants.state, name)),
        Question::Secret(name) => text("secrets.names", decide_secret(&grants.secrets, name)),
        Question::Reveal(name) => text("secrets.reveal", decide_reveal(&grants.secrets, name)),
        Question::Model(name) => text("model.allow", decide_model(&grants.model, name)),
    }
}
