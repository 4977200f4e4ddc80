//! The small tree that is evaluated, free of everything that plan expressions do not have.

use cel::common::ast::operators as op;

use crate::expr::functions::Function;
use crate::expr::pattern::Pattern;

/// An expression ready to evaluate.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
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
    /// `of.?name`.
    FieldIfAny {
        of: Box<Node>,
        name: String,
    },
    /// `has(of.name)`.
    Has {
        of: Box<Node>,
        name: String,
    },
    Index(Box<Node>, Box<Node>),
    /// `of[?index]`.
    IndexIfAny(Box<Node>, Box<Node>),
    Not(Box<Node>),
    Negate(Box<Node>),
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    If(Box<Node>, Box<Node>, Box<Node>),
    Binary(Binary, Box<Node>, Box<Node>),
    /// True unless the inner one is exactly false; errors count as true (CEL's loop condition).
    NotFalse(Box<Node>),
    Call(Function, Vec<Node>),
    /// `matches` with a pattern that is written out.
    Matches(Box<Node>, Pattern),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
    /// An element of a list or the value of a map that is left out when it is an optional without
    /// value: `[?x]`. Stands nowhere else.
    IfAny(Box<Node>),
    /// Appends to the list in a local, in place.
    Push(usize, Box<Node>),
    /// Adds a member to the map in a local, in place.
    Put(usize, Box<(Node, Node)>),
    /// Adds all members of a map to the map in a local.
    PutAll(usize, Box<Node>),
    Loop(Box<Loop>),
    /// A value that the body sees as the local at this place.
    Bind(usize, Box<(Node, Node)>),
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
    /// Whether the loop has two names: place and element, or key and member, right after each other.
    pub(super) two: bool,
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

    pub(super) fn of(name: &str) -> Option<Self> {
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
