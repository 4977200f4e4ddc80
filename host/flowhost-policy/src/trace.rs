//! Where each right came from and what became of it: the answer of `policy explain`.

use std::fmt;

/// The document that takes a right away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layer {
    /// What the plugin asks for.
    Manifest,
    /// What the component imports, where no manifest says what it asks for.
    Component,
    /// What the operator grants.
    Profile,
    /// What the plan narrows.
    Plan,
    /// What the caller passes on.
    Caller,
    /// What only the operator gives, and a profile that came with the plan does not.
    Operator,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Manifest => "manifest",
            Self::Component => "component",
            Self::Profile => "profile",
            Self::Plan => "plan",
            Self::Caller => "caller",
            Self::Operator => "operator",
        })
    }
}

/// What became of one right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is effective as it stands.
    Kept,
    /// Less of it is effective.
    Narrowed {
        /// The last document that made it smaller.
        by: Layer,
        /// Where that document stands.
        at: String,
        /// What is left.
        to: String,
    },
    /// Nothing of it is effective.
    Removed {
        /// The document that does not have it.
        by: Layer,
        /// Where that document stands.
        at: String,
    },
    /// The manifest asks for it and the profile does not have it.
    Missing {
        /// The profile lines that would grant it.
        cure: String,
    },
}

/// One right and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceEntry {
    /// The right as a profile key: `limits.memory`, `http[0]`, `tools.call[1]`.
    pub right: String,
    /// Its value there.
    pub value: String,
    /// Where it stands: `policies/x.toml:12`.
    pub source: String,
    /// What became of it.
    pub outcome: Outcome,
}

/// Profile lines as one, with the place where they belong: a key below a table would be that table's.
fn in_one_line(cure: &str) -> String {
    let (head, rest) = cure.split_once('\n').unwrap_or((cure, ""));
    let rest = rest.replace('\n', "; ");
    match head {
        head if head.starts_with("[[") => format!("add {head} with: {rest}"),
        head if head.starts_with('[') => format!("set under {head}: {rest}"),
        key => format!("set above its first table: {key}"),
    }
}

/// `http[0]  GET https://…  policies/x.toml:12  removed by the manifest (plugin.toml)`
impl fmt::Display for TraceEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {} ({}): ", self.right, self.value, self.source)?;
        match &self.outcome {
            Outcome::Kept => f.write_str("kept"),
            Outcome::Narrowed { by, at, to } => write!(f, "narrowed to {to} by the {by} ({at})"),
            Outcome::Removed { by, at } => write!(f, "removed by the {by} ({at})"),
            Outcome::Missing { cure } => {
                write!(f, "asked for, not in the profile; {}", in_one_line(cure))
            }
        }
    }
}
