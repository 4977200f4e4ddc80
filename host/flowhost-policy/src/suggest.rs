//! From what a run was refused to the profile lines that it lacked.
//!
//! A suggestion is for a person to judge and never applied by itself: an attack asks for what it
//! needs too. So each table is as narrow as what was asked, wildcards are never made, and what no
//! profile can allow (a blocked address, a text that is no URL) is listed apart with its reason.

use std::collections::{BTreeMap, BTreeSet};

use crate::{decide, grant::Access, pattern::path, text::quoted};

/// A refusal as a ledger has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal<'a> {
    /// The right: `http`, `files`, `tools.call`, …
    pub right: &'a str,
    /// What was asked for: `GET https://api.example.com/x`.
    pub wanted: &'a str,
    /// The rule that said no.
    pub rule: &'a str,
}

/// What a profile would need, and what no profile gives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Suggestion {
    /// TOML to add to the profile; empty when nothing can be suggested.
    pub lines: String,
    /// Refusals that stay refused, each with its rule.
    pub never: Vec<String>,
}

/// Collects refusals into the fewest tables that would allow exactly them.
///
/// # Examples
///
/// ```
/// use flowhost_policy::suggest::{Refusal, suggest};
///
/// let refused = [
///     Refusal { right: "http", wanted: "GET https://a.example/x", rule: "http#none" },
///     Refusal { right: "http", wanted: "POST https://a.example/x", rule: "http#none" },
/// ];
/// assert_eq!(
///     suggest(&refused).lines,
///     "[[http]]\nurl = \"https://a.example/x\"\nmethods = [\"GET\", \"POST\"]\n"
/// );
/// ```
#[must_use]
pub fn suggest(refused: &[Refusal<'_>]) -> Suggestion {
    let mut wanted = Wanted::default();
    let mut never = BTreeSet::new();
    for refusal in refused {
        if !wanted.add(refusal) {
            never.insert(format!(
                "{} {} ({})",
                refusal.right, refusal.wanted, refusal.rule
            ));
        }
    }
    Suggestion {
        lines: wanted.lines(),
        never: never.into_iter().collect(),
    }
}

#[derive(Default)]
struct Wanted<'a> {
    http: BTreeMap<&'a str, BTreeSet<&'a str>>,
    files: BTreeMap<String, Access>,
    lists: BTreeMap<&'a str, BTreeMap<&'a str, BTreeSet<&'a str>>>,
}

impl<'a> Wanted<'a> {
    /// Takes what a profile line can allow; `false` for the rest.
    fn add(&mut self, refusal: &Refusal<'a>) -> bool {
        let curable = refusal.rule == "egress.local-name"
            || refusal.rule.ends_with("#none")
            || refusal.rule.ends_with(".methods")
            || refusal.rule.ends_with(".access");
        if !curable {
            return false;
        }
        match (refusal.right, refusal.wanted.split_once(' ')) {
            ("http", Some((method, url))) => {
                self.http.entry(url).or_default().insert(method);
                true
            }
            ("files", Some((verb, guest))) => self.add_file(verb, guest),
            (right, _) => match right.split_once('.') {
                Some((table, key)) => {
                    let keys = self.lists.entry(table).or_default();
                    keys.entry(key).or_default().insert(refusal.wanted);
                    true
                }
                None => false,
            },
        }
    }

    fn add_file(&mut self, verb: &str, guest: &str) -> bool {
        let access = if verb == "write" {
            Access::Write
        } else {
            Access::Read
        };
        let Some(first) = path::segments(guest).and_then(|mut segments| segments.next()) else {
            return false;
        };
        let had = self.files.entry(format!("/{first}")).or_insert(access);
        *had = access.max(*had);
        true
    }

    fn lines(&self) -> String {
        let mut tables: Vec<String> = Vec::new();
        for (url, methods) in &self.http {
            tables.push(format!(
                "[[http]]\nurl = {}\nmethods = {}",
                quoted(url),
                quoted_list(methods)
            ));
        }
        for (guest, access) in &self.files {
            tables.push(decide::file_lines(guest, *access));
        }
        for (table, keys) in &self.lists {
            let keys: Vec<String> = keys
                .iter()
                .map(|(key, items)| format!("{key} = {}", quoted_list(items)))
                .collect();
            tables.push(format!("[{table}]\n{}", keys.join("\n")));
        }
        if tables.is_empty() {
            String::new()
        } else {
            format!("{}\n", tables.join("\n\n"))
        }
    }
}

fn quoted_list(items: &BTreeSet<&str>) -> String {
    let items: Vec<String> = items.iter().map(|item| quoted(item)).collect();
    format!("[{}]", items.join(", "))
}
