//! `${{ … }}`: CEL expressions with a bounded cost, and JSON with expressions in it.
//!
//! Owns what an expression may be, see and cost. The grammar and the macros are those of the `cel`
//! crate; its syntax tree is evaluated here, because the crate's own interpreter has no cost bound,
//! copies what it reads and walks maps in random order. Must never reach anything but the names it is
//! given: no environment, no clock, no functions with effects.
//!
//! What of CEL there is and what differs is said in `docs/expressions.md`: numbers mix, and there are no
//! bytes, timestamps, durations, types or messages, because JSON has none.
//!
//! The cost of an evaluation bounds its time and its memory. A caller that has a deadline gives it with
//! [`Limits`], or runs all of its work below [`crate::effort::stoppable`].

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::effort::Meter;
use crate::handed::HANDED_BYTES_MAX;

mod compare;
mod eval;
mod fault;
mod fit;
mod functions;
mod given;
mod json;
pub(crate) mod kinds;
mod literals;
mod lower;
mod macros;
mod meter;
mod node;
mod number;
mod pattern;
mod refs;
mod template;
mod value;

pub use crate::effort::Limits;
pub use given::Given;
pub(crate) use pattern::states_of as pattern_states;
pub(crate) use refs::{Reference, References};
pub(crate) use template::Sure;
pub use template::Template;
pub(crate) use value::kind_of;

/// Bytes of one expression: a screenful; more belongs into a tool.
pub const EXPR_BYTES_MAX: usize = 2_048;
/// Brackets within brackets: what the parser's recursion bears many times over.
pub const EXPR_DEPTH_MAX: usize = 24;
/// Nodes of the syntax tree after macros are expanded: macros within macros multiply.
pub const EXPR_NODES_MAX: usize = 1_000;
/// Cost of one evaluation, or of all expressions of one template: about one per node visited, item
/// read, 32 bytes copied and 8 bytes searched. Reaching it is an error of the step. A million is some
/// tens of milliseconds (a quarter of a second without optimisation) and at most 48 MiB.
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
    node: node::Node,
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
    /// The evaluation would cost more than it may: [`COST_MAX`] unless the caller allows less.
    #[error(
        "the expression costs too much on this data (at most {COST_MAX} steps); give it less data, or \
         let a tool do the work"
    )]
    Cost,
    /// The value is more than a step, a message or the outputs of a run may hold.
    #[error(
        "what it hands on has more than {} MiB as JSON; hand on less: a step can write what is large into a \
         granted folder or into `state`, and hand on its name (docs/limits.md)",
        HANDED_BYTES_MAX >> 20
    )]
    Large,
    /// The caller's deadline has passed.
    #[error("the expression was stopped before it had a value")]
    Stopped,
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

    /// As much of it as a message shows.
    pub(crate) fn shown(&self) -> String {
        lower::shorten(&self.source)
    }

    /// Its value.
    ///
    /// # Errors
    /// The data does not fit, or the cost is over its bound.
    pub fn eval(&self, names: &Names<'_>) -> Result<Value, EvalError> {
        self.eval_metered(names, &mut Meter::of_thread(COST_MAX))
    }

    /// Its value, within limits of the caller's. The same limits and the same data give the same
    /// result, except where `stop` says yes.
    ///
    /// # Errors
    /// As [`Expr::eval`], and [`EvalError::Stopped`].
    pub fn eval_within(&self, names: &Names<'_>, limits: &Limits<'_>) -> Result<Value, EvalError> {
        self.eval_metered(names, &mut Meter::new(limits))
    }

    /// What an evaluation costs, and its value.
    ///
    /// # Errors
    /// As [`Expr::eval_within`].
    pub fn cost_within(
        &self,
        names: &Names<'_>,
        limits: &Limits<'_>,
    ) -> (u64, Result<Value, EvalError>) {
        let mut meter = Meter::new(limits);
        let value = self.eval_metered(names, &mut meter);
        (limits.cost - meter.left(), value)
    }

    fn eval_metered(&self, names: &Names<'_>, meter: &mut Meter<'_>) -> Result<Value, EvalError> {
        eval::evaluate(&self.node, names, meter)
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

    /// What is known of its value without evaluating it, and what is certainly wrong with it, in one line.
    pub(crate) fn foreseen<'s>(
        &self,
        names: kinds::Names<'_, 's>,
    ) -> (kinds::Known<'s>, Option<kinds::Wrong>) {
        let (known, wrong) = kinds::look(&self.node, names);
        let named = wrong.map(|wrong| kinds::Wrong {
            what: format!("`{}`: {}", self.shown(), wrong.what),
            ..wrong
        });
        (known, named)
    }

    /// The same without what is wrong: no word of it is looked for.
    pub(crate) fn known<'s>(&self, names: kinds::Names<'_, 's>) -> kinds::Known<'s> {
        kinds::known(&self.node, names)
    }

    /// Whether the name `root` is used.
    pub(crate) fn mentions(&self, root: &str) -> bool {
        self.refs.iter().any(|reference| reference.root == root)
    }

    pub(crate) fn references(&self) -> &References {
        &self.refs
    }

    /// Whether it asks nowhere if something is there.
    pub(crate) fn is_sure(&self) -> bool {
        self.refs.iter().all(|reference| reference.is_sure)
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
