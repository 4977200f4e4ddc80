//! `env`: which variables a plugin finds in its environment.
//!
//! A value stands in the profile, or is a variable of the host that the operator names. Without the
//! right the environment is empty.

use std::collections::BTreeMap;

use super::part::Part;
use crate::{
    ask::Ask,
    canonical::Lines,
    narrow::Raised,
    read::{
        Author, Fields, Reader,
        node::{Entry, Node, Value},
    },
    rights::Asks,
    stranger::{Own, Taken},
    text::{quoted, shown},
    walk::{Kind, List, Walk},
};

/// A value for the guest's environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnvValue {
    /// The value itself.
    Literal(String),
    /// The name of a host variable, read when the run starts.
    From(String),
}

/// A variable of the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvAsk {
    /// Its name.
    pub name: String,
    /// Only with this value; `None` leaves it to the operator.
    pub value: Option<EnvValue>,
}

/// The right `env`.
pub(crate) struct Env;

type Variable = (String, EnvValue);

impl Kind<Variable, EnvAsk> for Env {
    fn right(&self) -> &'static str {
        "env"
    }

    /// By name and, where the other side knows it, by value.
    fn meet(&self, granted: &Variable, asked: &EnvAsk) -> Option<Variable> {
        let (name, value) = granted;
        let same = *name == asked.name && asked.value.as_ref().is_none_or(|it| it == value);
        same.then(|| granted.clone())
    }

    fn path(&self, _index: usize, (name, _): &Variable) -> String {
        format!("env.{name}")
    }

    fn show(&self, (name, value): &Variable) -> String {
        match value {
            EnvValue::Literal(value) => format!("{name}={value}"),
            EnvValue::From(from) => format!("{name} from {from}"),
        }
    }

    fn show_ask(&self, asked: &EnvAsk) -> String {
        asked.name.clone()
    }

    fn cure(&self, _granted: &[Variable], asked: &EnvAsk) -> String {
        format!(
            "[env]\n{} = {{ from = {} }}",
            asked.name,
            quoted(&asked.name)
        )
    }
}

impl Part for Env {
    type Granted = BTreeMap<String, EnvValue>;
    type Asked = Ask<Vec<EnvAsk>>;

    const CAPABILITY: &'static str = "env";
    const LINES: &'static str = "[env]\nLANG = \"C.UTF-8\"";
    const SOFT: &'static [&'static str] = &["wasi:cli/environment"];

    fn read(reader: &mut Reader, fields: &Fields<'_>) -> BTreeMap<String, EnvValue> {
        let node = fields.get("env");
        let table = node.and_then(|node| reader.open(node, &fields.path_of("env")));
        let entries = table
            .iter()
            .flat_map(|table| table.all().iter().map(move |entry| (table, entry)));
        let mut out = BTreeMap::new();
        for (table, entry) in entries {
            let value = variable(reader, table, entry);
            out.extend(value.map(|value| (entry.key.clone(), value)));
        }
        out
    }

    /// A list of names: values are the operator's.
    fn ask(reader: &mut Reader, fields: &Fields<'_>, author: Author) -> Ask<Vec<EnvAsk>> {
        reader.asked(fields, "env", author, names)
    }

    fn passed_on(granted: &BTreeMap<String, EnvValue>) -> Ask<Vec<EnvAsk>> {
        let variables = granted.iter().map(|(name, value)| EnvAsk {
            name: name.clone(),
            value: Some(value.clone()),
        });
        Ask::Only(variables.collect())
    }

    fn holds(granted: &BTreeMap<String, EnvValue>) -> bool {
        !granted.is_empty()
    }

    fn narrow(
        walk: &mut Walk<'_>,
        granted: &BTreeMap<String, EnvValue>,
        pick: fn(&Asks) -> &Ask<Vec<EnvAsk>>,
    ) -> BTreeMap<String, EnvValue> {
        let granted: Vec<Variable> = granted.clone().into_iter().collect();
        walk.items(&granted, |asks| List::whole(pick(asks)), &Self)
            .into_iter()
            .collect()
    }

    fn raises(
        raised: &mut Raised<'_>,
        asked: &Ask<Vec<EnvAsk>>,
        granted: &BTreeMap<String, EnvValue>,
    ) {
        if let Ask::Only(variables) = asked {
            let covered = |ask: &EnvAsk| granted.contains_key(&ask.name);
            raised.items("env", variables, covered, |ask| ask.name.clone());
        }
    }

    fn write(lines: &mut Lines, granted: &BTreeMap<String, EnvValue>) {
        for (name, value) in granted {
            match value {
                EnvValue::Literal(value) => lines.text(&format!("env.{name}"), value),
                EnvValue::From(from) => lines.text(&format!("env.{name}.from"), from),
            }
        }
    }

    /// The values that the profile itself has are no secret of the operator's; those of the host are.
    fn lend(granted: &mut BTreeMap<String, EnvValue>, taken: &mut Taken<'_>) {
        granted.retain(|name, value| match value {
            EnvValue::Literal(_) => true,
            EnvValue::From(_) => {
                taken.push(Own::Variable, format!("env.{name}"), name);
                false
            }
        });
    }
}

fn names(reader: &mut Reader, node: &Node, path: &str) -> Option<Vec<EnvAsk>> {
    let mut out = Vec::new();
    for (index, item) in reader.list(node, path).iter().enumerate() {
        let path = format!("{path}[{index}]");
        reader.place(&path, item.at);
        let Some(name) = reader.text_of(item, &path) else {
            continue;
        };
        match name_fault(&name) {
            Some(fault) => reader.problem(item.at, format!("`{path}`: {fault}"), None),
            None => out.push(EnvAsk { name, value: None }),
        }
    }
    Some(out)
}

fn variable(reader: &mut Reader, table: &Fields<'_>, entry: &Entry) -> Option<EnvValue> {
    let path = table.path_of(&shown(&entry.key, 64));
    if let Some(fault) = name_fault(&entry.key) {
        reader.problem(entry.at, format!("`{path}`: {fault}"), None);
        return None;
    }
    if let Value::Table(_) = entry.node.value {
        let inner = reader.fields(&entry.node, &path, &["from"])?;
        let node = reader.required(&inner, "from", "\"NAME\"")?;
        let from = reader.text(&inner, "from")?;
        if let Some(fault) = name_fault(&from) {
            reader.problem(node.at, format!("`{path}.from`: {fault}"), None);
            return None;
        }
        return Some(EnvValue::From(from));
    }
    let value = reader.text_of(&entry.node, &path)?;
    if value.contains('\0') {
        reader.problem(entry.node.at, format!("`{path}` holds a NUL"), None);
        return None;
    }
    Some(EnvValue::Literal(value))
}

fn name_fault(name: &str) -> Option<&'static str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let good = (1..=128).contains(&name.len())
        && name.chars().all(plain)
        && !name.starts_with(|c: char| c.is_ascii_digit());
    (!good).then_some("a variable's name is letters, digits and `_`")
}
