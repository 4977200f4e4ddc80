//! One refusal after the other, written into a profile's text where it belongs.
//!
//! The text is edited as a document, not as lines, so that tables and lists may be written in any of
//! TOML's ways and keep theirs. It must never touch a line that no refusal needs.

use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, TableLike, Value};

use super::Refusal;
use crate::{
    egress::{AddressClass, Target, blocked, is_local_name, rule},
    grant::Access,
    pattern::path,
};

/// The second key to a private address.
const PRIVATE_OPTION: &str = "--allow-private-network";
/// What a writable folder gets first.
const QUOTA: (&str, &str) = ("\"10MiB\"", "1_000");

/// What became of a refusal.
pub(super) enum Outcome {
    /// The text allows it now, or did after an earlier refusal.
    Written,
    /// The text allows it, and the command line must as well.
    Needs(&'static str),
    /// No line of a profile allows it.
    Never,
}

/// The access that a verb of a refusal needs.
pub(super) fn access_of(verb: &str) -> Access {
    if verb == "write" {
        Access::Write
    } else {
        Access::Read
    }
}

/// A profile's text while it is being amended.
#[derive(Default)]
pub(super) struct Amendment {
    document: DocumentMut,
}

impl Amendment {
    pub(super) fn of(text: &str) -> Option<Self> {
        let document = text.parse().ok()?;
        Some(Self { document })
    }

    pub(super) fn text(&self) -> String {
        self.document.to_string()
    }

    pub(super) fn add(&mut self, refusal: &Refusal<'_>) -> Outcome {
        let done = match (refusal.right, refusal.wanted.split_once(' ')) {
            ("http", Some((rule, at))) if at.starts_with("at ") => {
                return self.open_private(rule, refusal.cure);
            }
            _ if !curable(refusal.rule) => None,
            ("http", Some((method, url))) => return self.add_http(method, url),
            ("files", Some((verb, guest))) => self.add_file(access_of(verb), guest),
            (right, _) => match right.split_once('.') {
                Some((table, key)) => self.add_to_list(table, key, refusal.wanted),
                None => None,
            },
        };
        done.map_or(Outcome::Never, |()| Outcome::Written)
    }

    /// A table for this place and method; one for exactly this place takes the method more.
    fn add_http(&mut self, method: &str, url: &str) -> Outcome {
        let Ok(target) = Target::parse(url, method) else {
            return Outcome::Never;
        };
        let Some(mut rules) = Tables::of(&mut self.document, "http") else {
            return Outcome::Never;
        };
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
        let written = match same.and_then(|index| rules.get_mut(index)) {
            Some(table) => push(table, "methods", method),
            None => {
                let mut table = Table::new();
                table.insert("url", text(url));
                table.insert("methods", Item::Value(list(&[method])));
                if private {
                    table.insert("private_network", toml_edit::value(true));
                }
                rules.push(table)
            }
        };
        match (written, private) {
            (None, _) => Outcome::Never,
            (Some(()), true) => Outcome::Needs(PRIVATE_OPTION),
            (Some(()), false) => Outcome::Written,
        }
    }

    /// The first key of a rule that led to a private address, where a rule can have one.
    fn open_private(&mut self, wanted: &str, cure: &str) -> Outcome {
        if cure == PRIVATE_OPTION {
            return Outcome::Needs(PRIVATE_OPTION);
        }
        let opens = cure.starts_with("private_network");
        let rules = opens.then(|| Tables::of(&mut self.document, "http"));
        let Some(mut rules) = rules.flatten() else {
            return Outcome::Never;
        };
        let meant = |table: &dyn TableLike| {
            let theirs = text_of(table, "url").and_then(|url| rule::canonical(url).ok());
            theirs.is_some_and(|url| rule::overlap(&url, wanted).as_deref() == Some(wanted))
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
        found.map_or(Outcome::Never, |()| Outcome::Needs(PRIVATE_OPTION))
    }

    /// Raises the table that holds the path, or adds one for the highest folder that holds no other's.
    fn add_file(&mut self, access: Access, guest: &str) -> Option<()> {
        let wanted: Vec<&str> = path::segments(guest)?.collect();
        let mut tables = Tables::of(&mut self.document, "files")?;
        let (mut holding, mut below) = (None, 1);
        for (index, table) in tables.iter().enumerate() {
            let Some(theirs) = text_of(table, "guest") else {
                continue;
            };
            if let Some(depth) = path::below(theirs, guest) {
                holding = holding.max(Some((depth, index)));
            }
            let mut segments = path::segments(theirs)?;
            let shared = wanted.iter().take_while(|it| segments.next() == Some(it));
            below = below.max(shared.count() + 1);
        }
        if let Some((_, index)) = holding {
            return raise(tables.get_mut(index)?, access);
        }
        let folder = wanted.get(..below)?.join("/");
        let mut table = Table::new();
        table.insert("guest", text(&format!("/{folder}")));
        table.insert("host", text(&folder));
        table.insert("access", text("read"));
        raise(&mut table, access)?;
        tables.push(table)
    }

    fn add_to_list(&mut self, table: &str, key: &str, wanted: &str) -> Option<()> {
        let fresh = !self.document.contains_key(table);
        let item = self.document.entry(table);
        let found = item.or_insert_with(|| Item::Table(Table::new()));
        let found = found.as_table_like_mut()?;
        push(found, key, wanted)?;
        if (table, key) == ("secrets", "reveal") {
            push(found, "names", wanted)?;
        }
        if fresh && table == "model" {
            found.insert("tokens", literal("20_000")?);
            found.insert("usd", literal("0.50")?);
        }
        Some(())
    }
}

/// Whether a line of a profile can change what this rule said.
fn curable(rule: &str) -> bool {
    rule == "egress.local-name"
        || rule.ends_with("#none")
        || rule.ends_with(".methods")
        || rule.ends_with(".access")
}

/// Whether the target's own text says that it is on this machine or network.
fn means_private(target: &Target) -> bool {
    let class = target.ip().and_then(blocked).map(|line| line.class);
    let private = matches!(
        class,
        Some(
            AddressClass::Private
                | AddressClass::SharedAddress
                | AddressClass::LinkLocal
                | AddressClass::Loopback
        )
    );
    private || (target.ip().is_none() && is_local_name(target.host()))
}

fn is_private(table: &dyn TableLike) -> bool {
    let key = table.get("private_network").and_then(Item::as_bool);
    key == Some(true)
}

fn raise(table: &mut dyn TableLike, access: Access) -> Option<()> {
    if access == Access::Read {
        return Some(());
    }
    set(table, "access", Value::from("write"));
    for (key, value) in [("quota", QUOTA.0), ("entries", QUOTA.1)] {
        if !table.contains_key(key) {
            table.insert(key, literal(value)?);
        }
    }
    Some(())
}

/// Replaces a value and keeps what stands around it: spaces and a comment.
fn set(table: &mut dyn TableLike, key: &str, mut value: Value) {
    match table.get_mut(key) {
        Some(Item::Value(old)) => {
            *value.decor_mut() = old.decor().clone();
            *old = value;
        }
        _ => _ = table.insert(key, Item::Value(value)),
    }
}

/// One text more in a list, written as its last one is.
fn push(table: &mut dyn TableLike, key: &str, wanted: &str) -> Option<()> {
    let list = table.entry(key).or_insert(Item::Value(list(&[])));
    let list = list.as_array_mut()?;
    if list.iter().any(|item| item.as_str() == Some(wanted)) {
        return Some(());
    }
    let lines = list.iter().last().and_then(|item| item.decor().prefix());
    let prefix = lines.and_then(|prefix| prefix.as_str().map(str::to_owned));
    match prefix.filter(|prefix| prefix.contains('\n')) {
        // Without the comment that may stand before the last one.
        Some(prefix) => {
            let indent = prefix.rsplit('\n').next().unwrap_or_default();
            let value = Value::from(wanted).decorated(format!("\n{indent}"), "");
            list.push_formatted(value);
        }
        None => list.push(wanted),
    }
    Some(())
}

fn text_of<'a>(table: &'a dyn TableLike, key: &str) -> Option<&'a str> {
    table.get(key)?.as_str()
}

fn text(text: &str) -> Item {
    toml_edit::value(text)
}

fn list(items: &[&str]) -> Value {
    Value::Array(items.iter().copied().collect::<Array>())
}

fn literal(text: &str) -> Option<Item> {
    text.parse::<Value>().ok().map(Item::Value)
}

/// `[[key]]` tables, or the same as a list of inline tables.
enum Tables<'a> {
    Blocks(&'a mut ArrayOfTables),
    Inline(&'a mut Array),
}

impl<'a> Tables<'a> {
    fn of(document: &'a mut DocumentMut, key: &str) -> Option<Self> {
        let fresh = || Item::ArrayOfTables(ArrayOfTables::new());
        match document.entry(key).or_insert_with(fresh) {
            Item::ArrayOfTables(tables) => Some(Self::Blocks(tables)),
            Item::Value(Value::Array(tables)) => Some(Self::Inline(tables)),
            _ => None,
        }
    }

    fn iter(&self) -> Box<dyn Iterator<Item = &dyn TableLike> + '_> {
        match self {
            Self::Blocks(tables) => Box::new(tables.iter().map(|it| it as &dyn TableLike)),
            Self::Inline(tables) => Box::new(tables.iter().filter_map(|value| {
                let table = value.as_inline_table()?;
                Some(table as &dyn TableLike)
            })),
        }
    }

    fn get_mut(&mut self, index: usize) -> Option<&mut dyn TableLike> {
        match self {
            Self::Blocks(tables) => Some(tables.get_mut(index)?),
            Self::Inline(tables) => Some(tables.get_mut(index)?.as_inline_table_mut()?),
        }
    }

    fn push(&mut self, table: Table) -> Option<()> {
        match self {
            Self::Blocks(tables) => tables.push(table),
            Self::Inline(tables) => tables.push(table.into_inline_table()),
        }
        Some(())
    }
}
