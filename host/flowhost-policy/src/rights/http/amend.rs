//! A refused request, written into a profile's text.

use flowhost_words::PRIVATE_NETWORK_OPTION;
use toml_edit::{Item, Table, TableLike};

use super::egress::{Target, means_private, rule};
use crate::suggest::{Amendment, Outcome, Refusal, list, push, text, text_of};

/// Writes what the refusal lacked.
pub(super) fn request(amendment: &mut Amendment, refusal: &Refusal<'_>) -> Outcome {
    match refusal.wanted.split_once(' ') {
        Some((rule, at)) if at.starts_with("at ") => open_private(amendment, rule, refusal.cure),
        Some((method, url)) if curable(refusal.rule) => {
            add(amendment, method, url).unwrap_or(Outcome::Never)
        }
        _ => Outcome::Never,
    }
}

/// Whether a line of a profile can change what this rule said.
fn curable(rule: &str) -> bool {
    rule == "egress.local-name" || rule.ends_with("#none") || rule.ends_with(".methods")
}

/// A table for this place and method; one for exactly this place takes the method more.
fn add(amendment: &mut Amendment, method: &str, url: &str) -> Option<Outcome> {
    let target = Target::parse(url, method).ok()?;
    let mut rules = amendment.tables("http")?;
    let canonical = |text: &str| rule::canonical(text).ok();
    let (mut same, mut private) = (None, means_private(&target));
    for (index, table) in rules.iter().enumerate() {
        let Some(theirs) = text_of(table, "url").and_then(canonical) else {
            continue;
        };
        if rule::covers(&theirs, &target) && is_private(table) {
            private = true;
        }
        if canonical(url).as_ref() == Some(&theirs) {
            same = same.or(Some(index));
        }
    }
    match same.and_then(|index| rules.get_mut(index)) {
        Some(table) => push(table, "methods", method)?,
        None => {
            let mut table = Table::new();
            table.insert("url", text(url));
            table.insert("methods", Item::Value(list(&[method])));
            if private {
                table.insert("private_network", toml_edit::value(true));
            }
            rules.push(table)?;
        }
    }
    Some(match private {
        // The second key: one word of the profile is not enough to open this network.
        true => Outcome::Needs(PRIVATE_NETWORK_OPTION),
        false => Outcome::Written,
    })
}

/// The first key of a rule that led to a private address, where a rule can have one.
fn open_private(amendment: &mut Amendment, wanted: &str, cure: &str) -> Outcome {
    if cure == PRIVATE_NETWORK_OPTION {
        // The profile has its key already; nothing is to be written.
        return Outcome::Needs(PRIVATE_NETWORK_OPTION);
    }
    let opens = cure.starts_with("private_network");
    let rules = opens.then(|| amendment.tables("http"));
    let Some(mut rules) = rules.flatten() else {
        return Outcome::Never;
    };
    let meant = |table: &dyn TableLike| {
        text_of(table, "url")
            .and_then(|url| rule::canonical(url).ok())
            .is_some_and(|url| rule::overlap(&url, wanted).as_deref() == Some(wanted))
    };
    let index = rules.iter().position(meant);
    let found = match index.and_then(|index| rules.get_mut(index)) {
        Some(table) => {
            table.insert("private_network", toml_edit::value(true));
            Some(())
        }
        // The rule is not in this text: a table of its own, which only reads.
        None => {
            let mut table = Table::new();
            table.insert("url", text(wanted));
            table.insert("methods", Item::Value(list(&["GET"])));
            table.insert("private_network", toml_edit::value(true));
            rules.push(table)
        }
    };
    found.map_or(Outcome::Never, |()| Outcome::Needs(PRIVATE_NETWORK_OPTION))
}

fn is_private(table: &dyn TableLike) -> bool {
    let key = table.get("private_network").and_then(Item::as_bool);
    key == Some(true)
}
