//! From the `cel` crate's syntax tree to a small one of our own, with everything refused that could
//! not be evaluated: unknown functions, wrong argument counts, types that JSON does not have.
//!
//! Must not evaluate. The bounds on length, nesting and size are here, before any work is done.

use cel::common::ast::operators as op;
use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr as Cel, IdedExpr, LiteralValue,
};
use cel::parser::PrattParser;

use crate::expr::functions::Function;
use crate::expr::{EXPR_BYTES_MAX, EXPR_DEPTH_MAX, EXPR_NODES_MAX};
use crate::problem::suggest;

/// An expression ready to evaluate.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(String),
    /// A name from outside.
    Name(String),
    /// A name that a macro introduced, by its place on the stack of locals.
    Local(usize),
    Field {
        of: Box<Node>,
        name: String,
    },
    /// `has(of.name)`.
    Has {
        of: Box<Node>,
        name: String,
    },
    Index(Box<Node>, Box<Node>),
    Not(Box<Node>),
    Negate(Box<Node>),
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    If(Box<Node>, Box<Node>, Box<Node>),
    Binary(Binary, Box<Node>, Box<Node>),
    /// True unless the inner one is exactly false; errors count as true (CEL's loop condition).
    NotFalse(Box<Node>),
    Call(Function, Vec<Node>),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
    /// Appends to the list in a local, in place.
    Push(usize, Box<Node>),
    Loop(Box<Loop>),
}

/// A comprehension. `over` and `start` do not see the two locals; the others do.
#[derive(Clone, Debug)]
pub(super) struct Loop {
    pub(super) over: Node,
    pub(super) start: Node,
    pub(super) go_on: Node,
    pub(super) step: Node,
    pub(super) result: Node,
    /// Place of the accumulator; the item is right after it.
    pub(super) accu: usize,
}

/// Operators with two operands that are always both evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binary {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
}

impl Binary {
    /// As it is written.
    pub(super) const fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::In => "in",
        }
    }

    fn of(name: &str) -> Option<Self> {
        Some(match name {
            op::ADD => Self::Add,
            op::SUBSTRACT => Self::Subtract,
            op::MULTIPLY => Self::Multiply,
            op::DIVIDE => Self::Divide,
            op::MODULO => Self::Remainder,
            op::EQUALS => Self::Equal,
            op::NOT_EQUALS => Self::NotEqual,
            op::LESS => Self::Less,
            op::LESS_EQUALS => Self::LessOrEqual,
            op::GREATER => Self::Greater,
            op::GREATER_EQUALS => Self::GreaterOrEqual,
            op::IN => Self::In,
            _ => return None,
        })
    }
}

/// Recursion of the parser: several levels for each bracket.
const RECURSION_MAX: u16 = 96;

pub(super) fn compile(source: &str) -> Result<Node, String> {
    bounds(source)?;
    let parser = PrattParser::new()
        .max_recursion_depth(RECURSION_MAX)
        .max_expression_node_count(EXPR_NODES_MAX)
        .error_recovery_limit(4);
    let tree = parser.parse(source).map_err(|errors| {
        let first = errors.errors.first();
        let message = first.map_or("it is not CEL", |error| error.msg.as_str());
        format!(
            "`{}`: {}",
            shorten(source),
            message.lines().next().unwrap_or_default()
        )
    })?;
    let mut lowering = Lowering {
        locals: Vec::new(),
        nodes: 0,
    };
    lowering
        .node(&tree, 0)
        .map_err(|message| format!("`{}`: {message}", shorten(source)))
}

/// At most 60 characters of an expression, for messages.
fn shorten(source: &str) -> String {
    let mut short: String = source.chars().take(60).collect();
    if short.len() < source.len() {
        short.push('…');
    }
    short
}

/// What must hold before the text is given to a recursive parser.
fn bounds(source: &str) -> Result<(), String> {
    if source.is_empty() {
        return Err("the expression is empty".to_owned());
    }
    if source.len() > EXPR_BYTES_MAX {
        let size = source.len();
        return Err(format!(
            "the expression has {size} bytes; {EXPR_BYTES_MAX} are allowed"
        ));
    }
    // Brackets inside of string literals count too: that only makes the bound a little stricter.
    let (mut depth, mut questions) = (0_usize, 0_usize);
    for byte in source.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b'?' => questions += 1,
            _ => {}
        }
        if depth > EXPR_DEPTH_MAX || questions > EXPR_DEPTH_MAX {
            return Err(format!("the expression nests deeper than {EXPR_DEPTH_MAX}"));
        }
    }
    Ok(())
}

struct Lowering {
    locals: Vec<String>,
    nodes: usize,
}

type Lowered = Result<Node, String>;

impl Lowering {
    fn node(&mut self, tree: &IdedExpr, depth: usize) -> Lowered {
        self.nodes += 1;
        if self.nodes > EXPR_NODES_MAX || depth > 4 * EXPR_DEPTH_MAX {
            return Err(format!(
                "it has more than {EXPR_NODES_MAX} parts or nests too deeply"
            ));
        }
        let depth = depth + 1;
        match &tree.expr {
            Cel::Literal(value) => literal(value),
            Cel::Ident(name) => Ok(self.name(name)),
            Cel::Select(select) => {
                let of = Box::new(self.node(&select.operand, depth)?);
                let name = select.field.clone();
                Ok(if select.test {
                    Node::Has { of, name }
                } else {
                    Node::Field { of, name }
                })
            }
            Cel::Call(call) => self.call(call, depth),
            Cel::List(list) => {
                let nodes = list
                    .elements
                    .iter()
                    .map(|element| self.node(element, depth));
                Ok(Node::List(nodes.collect::<Result<_, _>>()?))
            }
            Cel::Map(map) => {
                let mut entries = Vec::with_capacity(map.entries.len());
                for entry in &map.entries {
                    let EntryExpr::MapEntry(entry) = &entry.expr else {
                        return Err("messages are not part of plan expressions".to_owned());
                    };
                    let key = self.node(&entry.key, depth)?;
                    entries.push((key, self.node(&entry.value, depth)?));
                }
                Ok(Node::Map(entries))
            }
            Cel::Comprehension(inner) => self.comprehension(inner, depth),
            Cel::Struct(_) | Cel::Unspecified => {
                Err("messages are not part of plan expressions".to_owned())
            }
        }
    }

    fn name(&self, name: &str) -> Node {
        match self.locals.iter().rposition(|local| local == name) {
            Some(place) => Node::Local(place),
            None => Node::Name(name.trim_start_matches('.').to_owned()),
        }
    }

    fn boxed(&mut self, tree: &IdedExpr, depth: usize) -> Result<Box<Node>, String> {
        Ok(Box::new(self.node(tree, depth)?))
    }

    fn call(&mut self, call: &CallExpr, depth: usize) -> Lowered {
        let name = call.func_name.as_str();
        match (call.args.as_slice(), &call.target) {
            ([a, b, c], None) if name == op::CONDITIONAL => Ok(Node::If(
                self.boxed(a, depth)?,
                self.boxed(b, depth)?,
                self.boxed(c, depth)?,
            )),
            ([a, b], None) if name == op::LOGICAL_AND => {
                Ok(Node::And(self.boxed(a, depth)?, self.boxed(b, depth)?))
            }
            ([a, b], None) if name == op::LOGICAL_OR => {
                Ok(Node::Or(self.boxed(a, depth)?, self.boxed(b, depth)?))
            }
            ([a, b], None) if name == op::INDEX => {
                Ok(Node::Index(self.boxed(a, depth)?, self.boxed(b, depth)?))
            }
            ([a], None) if name == op::LOGICAL_NOT => Ok(Node::Not(self.boxed(a, depth)?)),
            ([a], None) if name == op::NEGATE => Ok(Node::Negate(self.boxed(a, depth)?)),
            ([a], None) if name == op::NOT_STRICTLY_FALSE => {
                Ok(Node::NotFalse(self.boxed(a, depth)?))
            }
            ([a, b], None) if Binary::of(name).is_some() => self.binary(name, a, b, depth),
            _ => self.function(call, depth),
        }
    }

    fn binary(&mut self, name: &str, a: &IdedExpr, b: &IdedExpr, depth: usize) -> Lowered {
        if let (op::ADD, Cel::Ident(accu), Cel::List(list)) = (name, &a.expr, &b.expr)
            && accu.starts_with('@')
            && let [item] = list.elements.as_slice()
            && let Node::Local(place) = self.name(accu)
        {
            return Ok(Node::Push(place, self.boxed(item, depth)?));
        }
        let (a, b) = (self.boxed(a, depth)?, self.boxed(b, depth)?);
        let binary = Binary::of(name).ok_or_else(|| format!("`{name}` is not an operator"))?;
        Ok(Node::Binary(binary, a, b))
    }

    fn function(&mut self, call: &CallExpr, depth: usize) -> Lowered {
        let name = call.func_name.as_str();
        let Some(function) = Function::named(name) else {
            let cure = suggest("function", name, Function::ALL.iter().map(|f| f.name()));
            return Err(format!("there is no function `{name}`; {cure}"));
        };
        let mut args = Vec::with_capacity(call.args.len() + 1);
        if let Some(target) = &call.target {
            args.push(self.node(target, depth)?);
        }
        for arg in &call.args {
            args.push(self.node(arg, depth)?);
        }
        if !function.takes(args.len()) {
            return Err(format!("`{name}` does not take {} values", args.len()));
        }
        Ok(Node::Call(function, args))
    }

    fn comprehension(&mut self, inner: &ComprehensionExpr, depth: usize) -> Lowered {
        let over = self.node(&inner.iter_range, depth)?;
        let start = self.node(&inner.accu_init, depth)?;
        let accu = self.locals.len();
        self.locals.push(inner.accu_var.clone());
        self.locals.push(inner.iter_var.clone());
        let go_on = self.node(&inner.loop_cond, depth);
        let step = self.node(&inner.loop_step, depth);
        let result = self.node(&inner.result, depth);
        self.locals.truncate(accu);
        let (go_on, step, result) = (go_on?, step?, result?);
        Ok(Node::Loop(Box::new(Loop {
            over,
            start,
            go_on,
            step,
            result,
            accu,
        })))
    }
}

fn literal(value: &LiteralValue) -> Lowered {
    Ok(match value {
        LiteralValue::Null => Node::Null,
        LiteralValue::Boolean(value) => Node::Bool(*value.inner()),
        LiteralValue::Int(value) => Node::Int(*value.inner()),
        LiteralValue::Double(value) => Node::Double(*value.inner()),
        LiteralValue::String(value) => Node::Text(value.inner().to_owned()),
        LiteralValue::UInt(_) => return Err("write whole numbers without `u`".to_owned()),
        LiteralValue::Bytes(_) => return Err("JSON has no bytes".to_owned()),
    })
}
