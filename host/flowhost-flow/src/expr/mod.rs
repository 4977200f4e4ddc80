//! `${{ … }}`: CEL expressions with a bounded cost, and JSON with expressions in it.
//!
//! Owns what an expression may be, see and cost. The grammar and the macros are those of the `cel`
//! crate; its syntax tree is evaluated here, because the crate's own interpreter has no cost bound,
//! copies what it reads and walks maps in random order. Must never reach anything but the names it is
//! given: no environment, no clock, no functions with effects.
//!
//! Deviations from CEL, both meant for JSON data: numbers mix (`1 + 0.5` is `1.5`), and there are no
//! bytes, timestamps, durations, types or messages.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::Value;

mod eval;
mod functions;
mod lower;
mod refs;
mod template;
mod value;

pub(crate) use refs::{Reference, References};
pub use template::Template;

/// Bytes of one expression: a screenful; more belongs into a tool.
pub const EXPR_BYTES_MAX: usize = 2_048;
/// Brackets within brackets: what the parser's recursion bears many times over.
pub const EXPR_DEPTH_MAX: usize = 24;
/// Nodes of the syntax tree after macros are expanded.
pub const EXPR_NODES_MAX: usize = 1_000;
/// Cost of one evaluation: about one per node visited, item read and 32 bytes copied. Reaching it is
/// an error of the step; a million is some tens of milliseconds.
pub const COST_MAX: u64 = 1_000_000;

/// A compiled expression.
///
/// # Examples
/// ```
/// use flowhost_flow::expr::{Expr, Names};
/// use serde_json::json;
///
/// let inputs = json!({ "files": ["a.md", "b.txt"] });
/// let expr = Expr::compile("inputs.files.filter(f, f.endsWith('.md'))").unwrap();
/// let names = [("inputs", &inputs)];
/// assert_eq!(expr.eval(&Names::new(&names)).unwrap(), json!(["a.md"]));
/// ```
#[derive(Clone)]
pub struct Expr {
    source: String,
    node: lower::Node,
    refs: References,
}

/// The names in reach of an expression.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    names: &'a [(&'a str, &'a Value)],
}

impl<'a> Names<'a> {
    /// These names and no others. The last of two equal ones wins.
    #[must_use]
    pub const fn new(names: &'a [(&'a str, &'a Value)]) -> Self {
        Self { names }
    }

    fn get(&self, name: &str) -> Option<&'a Value> {
        self.names
            .iter()
            .rev()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| *value)
    }
}

/// Why an expression has no value on this data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// The values do not fit the expression.
    #[error("{0}")]
    Value(String),
    /// The evaluation would cost more than [`COST_MAX`].
    #[error("the expression costs more than {COST_MAX} steps on this data")]
    Cost,
}

impl EvalError {
    fn value(message: impl Into<String>) -> Self {
        Self::Value(message.into())
    }
}

impl Expr {
    /// Compiles `source`, with or without `${{ }}` around it.
    ///
    /// # Errors
    /// What is wrong with it, in one line.
    pub fn compile(source: &str) -> Result<Self, String> {
        let trimmed = source.trim();
        let inner = match trimmed.strip_prefix("${{") {
            Some(rest) => rest
                .strip_suffix("}}")
                .ok_or("`${{` without its `}}`")?
                .trim(),
            None => trimmed,
        };
        let node = lower::compile(inner)?;
        let refs = refs::collect(&node);
        Ok(Self {
            source: inner.to_owned(),
            node,
            refs,
        })
    }

    /// The expression as written, without `${{ }}`.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Its value.
    ///
    /// # Errors
    /// The data does not fit, or the cost is over its bound.
    pub fn eval(&self, names: &Names<'_>) -> Result<Value, EvalError> {
        eval::evaluate(&self.node, names)
    }

    /// Its value as a condition.
    ///
    /// # Errors
    /// As [`Expr::eval`], and when the value is not `true` or `false`.
    pub fn holds(&self, names: &Names<'_>) -> Result<bool, EvalError> {
        match self.eval(names)? {
            Value::Bool(value) => Ok(value),
            other => {
                let kind = value::kind_of(&other);
                Err(EvalError::value(format!(
                    "the condition gives {kind}, not true or false"
                )))
            }
        }
    }

    /// Whether the name `root` is used.
    pub(crate) fn mentions(&self, root: &str) -> bool {
        self.refs.iter().any(|reference| reference.root == root)
    }

    pub(crate) fn references(&self) -> &References {
        &self.refs
    }
}

impl fmt::Debug for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expr({})", self.source)
    }
}

impl Serialize for Expr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.source)
    }
}

#[cfg(test)]
mod tests;
