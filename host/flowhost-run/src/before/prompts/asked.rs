//! What a template asks of its input that is not there, found by reading it with what is known of the input.
//!
//! Must tell nothing that could come right: a branch that is never come to asks for nothing, whoever asks by `is defined`
//! goes on without it, and what stands in a branch that may be left out is told as such. Follows the template engine's
//! strict mode: what is not there may be asked after and handed around, and fails where it is used.
//!
//! The engine promises nothing of its tree, which any release may change. Only this file and what is below it know the tree:
//! an update that changes it fails to compile here, or fails the tests, which render each template with the same engine.

use std::collections::BTreeMap;
use std::rc::Rc;

use flowhost_flow::expr::Given;
use flowhost_words::WORDS_MAX;
use minijinja::Value as Constant;
use minijinja::machinery::ast::{BinOp, BinOpKind, Call, CallArg, Expr, Stmt, UnaryOpKind};
use minijinja::machinery::{Token, parse, tokenize};
use minijinja::syntax::SyntaxConfig;
use serde_json::Value;

mod known;

use known::{Known, Part};

/// The name by which a template knows a step's `with:`.
pub(super) const INPUT: &str = "input";

/// Parts of one tag: each can be a level of the tree that is read here, and no person writes so many. A template with more is
/// left to the run.
const TAG_PARTS_MAX: usize = 1_000;
/// Branches of all `elif`, for the same reason: each is a level below the one before it.
const BRANCHES_MAX: usize = 100;

/// Parts of one input that are asked for in vain: nobody reads more.
pub(super) const ASKED_MAX: usize = 200;

/// Bytes of a path that is followed: it is copied wherever it is named, and stands before each member that is told. A part
/// with a longer one is left to the run.
const PATH_BYTES_MAX: usize = 400;

/// Bytes of members' names that are as much to look at as one part of a template.
const NAMES_BYTES: usize = 64;

/// Filters that take what is not there.
const FORGIVING: [&str; 4] = ["d", "default", "e", "escape"];

/// A part of the input that a template asks for and that is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// As the template names it: `input.list[0].name`.
    pub(super) path: String,
    /// The line of the template, from 1.
    pub(super) line: usize,
    /// Whether it is come to whatever the input is; else it stands in a branch that may be left out.
    pub(super) is_sure: bool,
    /// Why it is not there.
    pub(super) why: Why,
}

/// Why a part is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The object around it has these members, and maybe more than are looked at.
    Lacks(Rc<[String]>),
    /// What is around it is no object, or no list, but this.
    Is(String, &'static str),
    /// The list or text around it has so many elements.
    Short(String, usize),
}

/// A template that was read.
pub(super) struct Template<'a> {
    tree: Option<Stmt<'a>>,
}

impl<'a> Template<'a> {
    /// Reads it; one that is not sound or is too intricate asks for nothing.
    pub(super) fn read(text: &'a str) -> Self {
        let tree = is_plain(text).then(|| parse(text, "prompt", SyntaxConfig::default()).ok());
        Self {
            tree: tree.flatten(),
        }
    }

    /// What it asks for in vain, in the order of its lines. `parts_left` are the parts that may still be looked at, of all
    /// templates together.
    pub(super) fn asked(&self, input: &Given<'_>, parts_left: &mut usize) -> Vec<Asked> {
        let Some(tree) = &self.tree else {
            return Vec::new(); // whatever it asks for is told by whoever renders it
        };
        let mut reader = Reader {
            input: Known::of(input),
            frames: vec![BTreeMap::new()],
            names: Vec::new(),
            is_sure: true,
            parts_left,
            asked: BTreeMap::new(),
            members: BTreeMap::new(),
        };
        reader.stmt(tree);
        let mut asked: Vec<Asked> = reader.asked.into_values().collect();
        asked.sort_by_key(|it| it.line);
        asked
    }
}

/// Whether no tag and no chain of branches is so long that to go down in it could end the host.
pub(super) fn is_plain(text: &str) -> bool {
    let (mut parts, mut branches) = (0, 0);
    for token in tokenize(text, false, SyntaxConfig::default()) {
        match token {
            Ok((Token::VariableStart | Token::BlockStart, _)) => parts = 0,
            Ok((Token::Ident("elif"), _)) => branches += 1,
            Ok(_) => parts += 1,
            // Nobody reads on behind it.
            Err(_) => break,
        }
        if parts > TAG_PARTS_MAX || branches > BRANCHES_MAX {
            return false;
        }
    }
    true
}

/// What an expression of the template gives.
#[derive(Clone)]
enum Met<'g> {
    Unknown,
    Constant(Constant),
    Truth(bool),
    /// A part of the input, with its path.
    Part(String, Known<'g>),
    /// One that is not there.
    Absent(Asked),
}

impl Met<'_> {
    fn truth(&self) -> Option<bool> {
        match self {
            Self::Constant(value) => Some(value.is_true()),
            Self::Truth(value) => Some(*value),
            Self::Part(_, known) => known.truth(),
            Self::Unknown | Self::Absent(_) => None,
        }
    }

    fn text(&self) -> Option<&str> {
        match self {
            Self::Constant(value) => value.as_str(),
            Self::Part(_, Known::Value(Value::String(text))) => Some(text),
            _ => None,
        }
    }

    /// Whether it is there, where that is known.
    const fn is_defined(&self) -> Option<bool> {
        match self {
            Self::Unknown => None,
            Self::Absent(asked) if !asked.is_sure => None,
            Self::Absent(_) => Some(false),
            Self::Constant(_) | Self::Truth(_) | Self::Part(..) => Some(true),
        }
    }
}

struct Reader<'g, 'a, 'l> {
    input: Known<'g>,
    /// Names that the template itself sets, the innermost last.
    frames: Vec<BTreeMap<&'a str, Met<'g>>>,
    /// All that were set, in order: what a branch sets that may be left out is not known behind it.
    names: Vec<&'a str>,
    is_sure: bool,
    parts_left: &'l mut usize,
    asked: BTreeMap<String, Asked>,
    /// The members of objects that lack one, by path: many may be asked of the same.
    members: BTreeMap<String, Rc<[String]>>,
}

impl<'g, 'a> Reader<'g, 'a, '_> {
    fn all(&mut self, stmts: &[Stmt<'a>]) {
        for stmt in stmts {
            self.stmt(stmt);
        }
    }

    fn stmt(&mut self, stmt: &Stmt<'a>) {
        match stmt {
            Stmt::Template(it) => self.all(&it.children),
            Stmt::EmitRaw(_) => {}
            Stmt::EmitExpr(it) => {
                self.used(&it.expr);
            }
            Stmt::ForLoop(it) => {
                self.used(&it.iter);
                self.frames.push(BTreeMap::new());
                self.bind(&it.target, &Met::Unknown);
                self.set("loop", Met::Unknown);
                self.unsure(|reader| {
                    if let Some(filter) = &it.filter_expr {
                        reader.used(filter);
                    }
                    reader.all(&it.body);
                });
                self.frames.pop();
                self.branch(&it.else_body);
            }
            Stmt::IfCond(it) => match self.used(&it.expr).truth() {
                Some(true) => self.all(&it.true_body),
                Some(false) => self.all(&it.false_body),
                None => {
                    self.branch(&it.true_body);
                    self.branch(&it.false_body);
                }
            },
            Stmt::WithBlock(it) => {
                self.frames.push(BTreeMap::new());
                for (target, expr) in &it.assignments {
                    let met = self.expr(expr);
                    self.bind(target, &met);
                }
                self.all(&it.body);
                self.frames.pop();
            }
            Stmt::Set(it) => {
                let met = self.expr(&it.expr);
                self.bind(&it.target, &met);
            }
            Stmt::SetBlock(it) => {
                self.all(&it.body);
                if let Some(filter) = &it.filter {
                    self.expr(filter);
                }
                self.bind(&it.target, &Met::Unknown);
            }
            Stmt::AutoEscape(it) => {
                self.expr(&it.enabled);
                self.all(&it.body);
            }
            Stmt::FilterBlock(it) => {
                self.all(&it.body);
                self.expr(&it.filter);
            }
            Stmt::Do(it) => self.call(&it.call),
        }
    }

    /// Reads what may be left out.
    fn unsure<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        let is_sure = std::mem::replace(&mut self.is_sure, false);
        let had = read(self);
        self.is_sure = is_sure;
        had
    }

    /// Reads a branch that may be left out; what it sets is not known behind it.
    fn branch(&mut self, stmts: &[Stmt<'a>]) {
        let before = self.names.len();
        self.unsure(|reader| reader.all(stmts));
        for name in self.names.split_off(before) {
            self.set(name, Met::Unknown);
        }
    }

    fn set(&mut self, name: &'a str, met: Met<'g>) {
        self.names.push(name);
        if let Some(frame) = self.frames.last_mut() {
            frame.insert(name, met);
        }
    }

    fn bind(&mut self, target: &Expr<'a>, met: &Met<'g>) {
        match target {
            Expr::Var(it) => self.set(it.id, met.clone()),
            Expr::List(it) => it.items.iter().for_each(|it| self.bind(it, &Met::Unknown)),
            Expr::Tuple(it) => it.items.iter().for_each(|it| self.bind(it, &Met::Unknown)),
            // A member of a namespace, of which nothing is known.
            _ => {}
        }
    }

    /// What an expression gives, where it is put to a use that fails for what is not there.
    fn used(&mut self, expr: &Expr<'a>) -> Met<'g> {
        match self.expr(expr) {
            Met::Absent(asked) => {
                self.tell(asked);
                Met::Unknown
            }
            met => met,
        }
    }

    fn tell(&mut self, mut asked: Asked) {
        if self.asked.len() == ASKED_MAX && !self.asked.contains_key(&asked.path) {
            return; // nobody reads more
        }
        asked.is_sure &= self.is_sure;
        let told = self.asked.entry(asked.path.clone());
        told.or_insert_with(|| asked.clone()).is_sure |= asked.is_sure;
    }

    fn expr(&mut self, expr: &Expr<'a>) -> Met<'g> {
        let Some(left) = self.parts_left.checked_sub(1) else {
            return Met::Unknown; // the rest is left to the run
        };
        *self.parts_left = left;
        match expr {
            Expr::Var(it) => self.name(it.id),
            Expr::Const(it) => Met::Constant(it.value.clone()),
            Expr::UnaryOp(it) => {
                let truth = self.used(&it.expr).truth();
                match (&it.op, truth) {
                    (UnaryOpKind::Not, Some(truth)) => Met::Truth(!truth),
                    (UnaryOpKind::Not, None) => Met::Unknown,
                    (UnaryOpKind::Neg, _) => {
                        let negative = expr.as_const();
                        negative.map_or(Met::Unknown, Met::Constant)
                    }
                }
            }
            Expr::BinOp(it) => self.binary(it),
            Expr::IfExpr(it) => match self.used(&it.test_expr).truth() {
                Some(true) => self.expr(&it.true_expr),
                Some(false) => self.maybe(it.false_expr.as_ref()),
                None => self.unsure(|reader| {
                    let yes = reader.expr(&it.true_expr);
                    let no = reader.maybe(it.false_expr.as_ref());
                    match (yes, no) {
                        (Met::Absent(asked), _) | (_, Met::Absent(asked)) => Met::Absent(Asked {
                            is_sure: false,
                            ..asked
                        }),
                        _ => Met::Unknown,
                    }
                }),
            },
            Expr::Test(it) => {
                let defined = self.expr(&it.expr).is_defined();
                self.arguments(&it.args);
                match (it.name, defined) {
                    ("defined", Some(defined)) => Met::Truth(defined),
                    ("undefined", Some(defined)) => Met::Truth(!defined),
                    _ => Met::Unknown,
                }
            }
            Expr::GetAttr(it) => {
                let of = self.expr(&it.expr);
                self.member(of, it.name, it.span().start_line)
            }
            Expr::GetItem(it) => {
                let of = self.expr(&it.expr);
                let key = self.expr(&it.subscript_expr);
                self.item(of, &key, it.span().start_line)
            }
            _ => {
                self.parts(expr);
                Met::Unknown
            }
        }
    }

    /// Expressions of which nothing is known but that their parts are come to.
    fn parts(&mut self, expr: &Expr<'a>) {
        match expr {
            Expr::Slice(it) => {
                self.used(&it.expr);
                self.each([&it.start, &it.stop, &it.step].into_iter().flatten());
            }
            Expr::Compare(it) => {
                self.used(&it.expr);
                for (place, op) in it.ops.iter().enumerate() {
                    // A chain ends at the first that does not hold.
                    match place {
                        0 => self.used(&op.expr),
                        _ => self.unsure(|reader| reader.used(&op.expr)),
                    };
                }
            }
            Expr::Filter(it) => {
                if let Some(expr) = &it.expr {
                    match FORGIVING.contains(&it.name) {
                        true => self.expr(expr),
                        false => self.used(expr),
                    };
                }
                self.arguments(&it.args);
            }
            Expr::Call(it) => self.call(it),
            Expr::List(it) => self.each(it.items.iter()),
            Expr::Tuple(it) => self.each(it.items.iter()),
            Expr::Map(it) => self.each(it.keys.iter().chain(&it.values)),
            Expr::Var(_)
            | Expr::Const(_)
            | Expr::UnaryOp(_)
            | Expr::BinOp(_)
            | Expr::IfExpr(_)
            | Expr::Test(_)
            | Expr::GetAttr(_)
            | Expr::GetItem(_) => {
                debug_assert!(
                    false,
                    "these are looked at where something is known of them"
                );
            }
        }
    }

    /// Reads what may be handed around although it is not there.
    fn each<'e>(&mut self, parts: impl Iterator<Item = &'e Expr<'a>>)
    where
        'a: 'e,
    {
        for part in parts {
            self.expr(part);
        }
    }

    fn maybe(&mut self, expr: Option<&Expr<'a>>) -> Met<'g> {
        expr.map_or(Met::Unknown, |expr| self.expr(expr))
    }

    fn binary(&mut self, it: &BinOp<'a>) -> Met<'g> {
        let left = self.used(&it.left);
        match (it.op, left.truth()) {
            // What decides is the value, and the other side is not come to.
            (BinOpKind::ScAnd, Some(false)) | (BinOpKind::ScOr, Some(true)) => left,
            (BinOpKind::ScAnd, Some(true)) | (BinOpKind::ScOr, Some(false)) => self.expr(&it.right),
            (BinOpKind::ScAnd | BinOpKind::ScOr, None) => {
                self.unsure(|reader| reader.used(&it.right));
                Met::Unknown
            }
            (op, _) => {
                let right = self.used(&it.right);
                let same = left.text().zip(right.text()).map(|(a, b)| a == b);
                match (op, same) {
                    (BinOpKind::Eq, Some(same)) => Met::Truth(same),
                    (BinOpKind::Ne, Some(same)) => Met::Truth(!same),
                    _ => Met::Unknown,
                }
            }
        }
    }

    fn call(&mut self, it: &Call<'a>) {
        match &it.expr {
            // A function; which there are is not the input's to say.
            Expr::Var(_) => {}
            Expr::GetAttr(method) => {
                self.used(&method.expr);
            }
            other => {
                self.used(other);
            }
        }
        self.arguments(&it.args);
    }

    fn arguments(&mut self, args: &[CallArg<'a>]) {
        for arg in args {
            match arg {
                CallArg::Pos(expr)
                | CallArg::Kwarg(_, expr)
                | CallArg::PosSplat(expr)
                | CallArg::KwargSplat(expr) => {
                    self.expr(expr);
                }
            }
        }
    }

    fn name(&self, name: &str) -> Met<'g> {
        let set = self.frames.iter().rev().find_map(|frame| frame.get(name));
        match (set, self.input) {
            (Some(met), _) => met.clone(),
            (None, Known::Anything) => Met::Unknown,
            (None, input) if name == INPUT => Met::Part(INPUT.to_owned(), input),
            (None, _) => Met::Unknown,
        }
    }

    fn member(&mut self, of: Met<'g>, name: &str, line: u16) -> Met<'g> {
        match of {
            Met::Part(path, known) => {
                let part = match known.member(&path, name) {
                    Part::NoMember => Part::Lacks(Why::Lacks(self.members(&path, known))),
                    part => part,
                };
                self.part(format!("{path}.{name}"), part, line)
            }
            other => self.of(other),
        }
    }

    fn members(&mut self, path: &str, known: Known<'g>) -> Rc<[String]> {
        if let Some(names) = self.members.get(path) {
            return Rc::clone(names);
        }
        let names = known.names().into_iter().take(WORDS_MAX);
        let names: Rc<[String]> = names.map(|name| format!("{path}.{name}")).collect();
        let parts = names.iter().map(|name| 1 + name.len() / NAMES_BYTES);
        *self.parts_left = self.parts_left.saturating_sub(parts.sum());
        self.members.insert(path.to_owned(), Rc::clone(&names));
        names
    }

    fn item(&mut self, of: Met<'g>, key: &Met<'g>, line: u16) -> Met<'g> {
        let (Met::Part(path, known), Met::Constant(key)) = (&of, key) else {
            return self.of(of);
        };
        if let Some(name) = key.as_str() {
            return self.member(of, name, line);
        }
        match key.as_i64() {
            Some(index) => {
                let part = known.element(path, index);
                self.part(format!("{path}[{index}]"), part, line)
            }
            None => Met::Unknown,
        }
    }

    fn part(&mut self, path: String, part: Part<'g>, line: u16) -> Met<'g> {
        if path.len() > PATH_BYTES_MAX {
            return Met::Unknown;
        }
        match part {
            Part::Known(Known::Anything) => Met::Unknown,
            Part::Known(known) => Met::Part(path, known),
            Part::NoMember => {
                debug_assert!(
                    false,
                    "elements have places, and members are looked at where they are named"
                );
                Met::Unknown
            }
            Part::Lacks(why) => Met::Absent(Asked {
                path,
                line: usize::from(line),
                is_sure: true,
                why,
            }),
        }
    }

    /// A part of what is no part of the input: what is not there has none.
    fn of(&mut self, of: Met<'g>) -> Met<'g> {
        if let Met::Absent(asked) = of {
            self.tell(asked);
        }
        Met::Unknown
    }
}

#[cfg(test)]
mod tests;
