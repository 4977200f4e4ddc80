//! From the `cel` crate's syntax tree to a small one of our own, with everything refused that could
//! not be evaluated: unknown functions, wrong argument counts, types that JSON does not have.
//!
//! Must not evaluate. The bounds on length, nesting and size are here, before any work is done.

use cel::common::ast::operators as op;
use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr as Cel, IdedExpr, LiteralValue,
};
use cel::parser::PrattParser;
use flowhost_words::nearest;

use crate::expr::functions::Function;
use crate::expr::node::{Binary, Loop, Node};
use crate::expr::pattern::Pattern;
use crate::expr::{EXPR_BYTES_MAX, EXPR_DEPTH_MAX, EXPR_NODES_MAX, literals};

/// The function that does what one of this name does elsewhere.
fn elsewhere(word: &str) -> Option<&'static str> {
    Some(match word {
        "length" | "len" | "count" => "size",
        "lower" | "toLower" | "toLowerCase" | "lowercase" => "lowerAscii",
        "upper" | "toUpper" | "toUpperCase" | "uppercase" => "upperAscii",
        "includes" => "contains",
        "unique" | "uniq" => "distinct",
        "str" | "toString" | "String" => "string",
        "any" | "some" => "exists",
        "every" => "all",
        "match" | "regex" => "matches",
        "max" => "math.greatest",
        "min" => "math.least",
        _ => return None,
    })
}

/// What looks like a function and is not one; named here for who mistypes it.
pub(super) const MACROS: &[&str] = &[
    "has",
    "all",
    "exists",
    "exists_one",
    "existsOne",
    "map",
    "filter",
    "transformList",
    "transformMap",
    "transformMapEntry",
    "sortBy",
    "cel.bind",
    "optMap",
    "optFlatMap",
];

/// Recursion of the parser: four levels for each of [`EXPR_DEPTH_MAX`] brackets (the bracket, the call, the member
/// and the operator around it), as many as lowering goes down.
const RECURSION_MAX: u16 = 96;

/// The parser's words, but for its name of the end, and with what an operator of another language is here.
fn plain(message: &str) -> String {
    let Some((head, rest)) = message.split_once("mismatched input ") else {
        return message.to_owned();
    };
    let Some((found, wanted)) = rest.split_once(" expecting ") else {
        return message.to_owned();
    };
    let (found, wanted) = (found.trim_matches('\''), wanted.trim_matches('\''));
    match (found, wanted) {
        ("<EOF>", "expression") => format!("{head}the expression ends, and a value is missing"),
        ("<EOF>", wanted) => format!("{head}the expression ends, and `{wanted}` is missing"),
        ("=", _) => format!("{head}`=` is not an operator: to compare two values, write `==`"),
        ("and" | "AND" | "&", _) => format!("{head}`{found}` is not an operator: write `&&`"),
        ("or" | "OR" | "|", _) => format!("{head}`{found}` is not an operator: write `||`"),
        (found, "<EOF>") => format!("{head}the expression has ended, and `{found}` follows"),
        (found, wanted) => format!("{head}`{found}` stands where {wanted} is expected"),
    }
}

pub(super) fn compile(source: &str) -> Result<Node, String> {
    bounds(source)?;
    let parser = PrattParser::new()
        .max_recursion_depth(RECURSION_MAX)
        .enable_optional_syntax(true)
        .enable_ident_escape_syntax(true)
        .max_expression_node_count(EXPR_NODES_MAX)
        // The first error alone is told: what the parser finds behind it mostly follows from it.
        .error_recovery_limit(4);
    let tree = parser.parse(source).map_err(|errors| {
        let first = errors.errors.first();
        let message = first.map_or("it is not CEL", |error| error.msg.as_str());
        format!(
            "`{}`: {}",
            shorten(source),
            plain(message.lines().next().unwrap_or_default())
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
pub(super) fn shorten(source: &str) -> String {
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
    // A `? :` nests without a bracket. All of them count, also those beside each other: to tell them apart would take
    // a parser, and this stands before it.
    let (mut depth, mut questions) = (0_usize, 0_usize);
    for (_, byte) in literals::outside(source, literals::Comments::Skip) {
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

/// The way from one tree to the other.
pub(super) struct Lowering {
    locals: Vec<String>,
    nodes: usize,
}

pub(super) type Lowered = Result<Node, String>;

impl Lowering {
    pub(super) fn node(&mut self, tree: &IdedExpr, depth: usize) -> Lowered {
        // Counted anew after the parser: macros that it does not know are expanded here, and may repeat a part.
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
                let mut nodes = Vec::with_capacity(list.elements.len());
                for (index, element) in list.elements.iter().enumerate() {
                    let node = self.node(element, depth)?;
                    nodes.push(if_any(list.optional_indices.contains(&index), node));
                }
                Ok(Node::List(nodes))
            }
            Cel::Map(map) => {
                let mut entries = Vec::with_capacity(map.entries.len());
                for entry in &map.entries {
                    let EntryExpr::MapEntry(entry) = &entry.expr else {
                        return Err("messages are not part of plan expressions".to_owned());
                    };
                    let key = self.node(&entry.key, depth)?;
                    let value = self.node(&entry.value, depth)?;
                    entries.push((key, if_any(entry.optional, value)));
                }
                Ok(Node::Map(entries))
            }
            Cel::Comprehension(inner) => self.comprehension(inner, depth),
            Cel::Struct(_) | Cel::Unspecified => {
                Err("messages are not part of plan expressions".to_owned())
            }
        }
    }

    /// The place that the next local has.
    pub(super) fn next_place(&self) -> usize {
        self.locals.len()
    }

    /// Lowers `inside` with more names in reach.
    pub(super) fn with_locals<T>(
        &mut self,
        names: &[&str],
        inside: impl FnOnce(&mut Self) -> Result<T, String>,
    ) -> Result<T, String> {
        let before = self.locals.len();
        self.locals
            .extend(names.iter().map(|&name| name.to_owned()));
        let result = inside(self);
        self.locals.truncate(before);
        result
    }

    fn name(&self, name: &str) -> Node {
        // From the last: of two of one name the inner one is in reach. A leading dot asks past all of them.
        match self.locals.iter().rposition(|local| local == name) {
            Some(place) => Node::Local(place),
            None => Node::Name(name.trim_start_matches('.').to_owned()),
        }
    }

    pub(super) fn boxed(&mut self, tree: &IdedExpr, depth: usize) -> Result<Box<Node>, String> {
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
            ([a, b], None) if name == op::LOGICAL_AND => self.logical(a, b, false, depth),
            ([a, b], None) if name == op::LOGICAL_OR => self.logical(a, b, true, depth),
            ([a, b], None) if name == op::INDEX => {
                Ok(Node::Index(self.boxed(a, depth)?, self.boxed(b, depth)?))
            }
            ([a, b], None) if name == op::OPT_INDEX => Ok(Node::IndexIfAny(
                self.boxed(a, depth)?,
                self.boxed(b, depth)?,
            )),
            ([a, b], None) if name == op::OPT_SELECT => {
                let Node::Text(name) = self.node(b, depth)? else {
                    return Err("`.?` goes with a name".to_owned());
                };
                let of = self.boxed(a, depth)?;
                Ok(Node::FieldIfAny { of, name })
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

    /// `x || true` is true and `x && false` false, whatever `x` is: as in CEL, also where it calls a
    /// function that does not exist.
    fn logical(&mut self, a: &IdedExpr, b: &IdedExpr, decides: bool, depth: usize) -> Lowered {
        let (a, b) = (self.node(a, depth), self.node(b, depth));
        let decided = [&a, &b]
            .into_iter()
            .any(|side| matches!(side, Ok(Node::Bool(value)) if *value == decides));
        if decided && (a.is_err() || b.is_err()) {
            return Ok(Node::Bool(decides));
        }
        let (a, b) = (Box::new(a?), Box::new(b?));
        Ok(if decides {
            Node::Or(a, b)
        } else {
            Node::And(a, b)
        })
    }

    fn binary(&mut self, name: &str, a: &IdedExpr, b: &IdedExpr, depth: usize) -> Lowered {
        // What the parser makes of `map` and `filter`. As an addition it would copy all that there is so far in every
        // turn. Only the parser writes a name with `@`.
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
        if let Some(lowered) = self.macro_call(call, depth) {
            return lowered;
        }
        let (name, target) = self.qualified(call);
        let Some(function) = Function::named(&name) else {
            let known = Function::ALL.iter().map(|function| function.name());
            let known = known.filter(|known| !known.starts_with('@'));
            let near = nearest(&name, known.chain(MACROS.iter().copied()));
            let cure = match near.or(elsewhere(&call.func_name)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => {
                    "the page on expressions (docs/expressions.md) lists all of them".to_owned()
                }
            };
            return Err(format!("`{name}` is not a known function; {cure}"));
        };
        let mut args = Vec::with_capacity(call.args.len() + 1);
        for arg in target.into_iter().chain(&call.args) {
            args.push(self.node(arg, depth)?);
        }
        if !function.takes(args.len()) {
            return Err(format!("`{name}` does not take {} values", args.len()));
        }
        // A pattern that is written out is compiled once, and what is wrong with it is an error of the plan.
        if function == Function::Matches
            && let [_, Node::Text(pattern)] = args.as_slice()
        {
            let pattern = Pattern::compile(pattern)
                .map_err(|message| format!("the pattern cannot be used: {message}"))?;
            let text = Box::new(args.swap_remove(0));
            return Ok(Node::Matches(text, pattern));
        }
        Ok(Node::Call(function, args))
    }

    /// The name of the function and its receiver. `math.abs` is one name, unless `math` is a local.
    fn qualified<'t>(&self, call: &'t CallExpr) -> (String, Option<&'t IdedExpr>) {
        let target = call.target.as_deref();
        if let Some(Cel::Ident(space)) = target.map(|target| &target.expr)
            && !self.locals.contains(space)
        {
            let name = format!("{space}.{}", call.func_name);
            if Function::named(&name).is_some() {
                return (name, None);
            }
        }
        (call.func_name.clone(), target)
    }

    fn comprehension(&mut self, inner: &ComprehensionExpr, depth: usize) -> Lowered {
        // Before the names are in reach: a loop over `x` may call its element `x`.
        let over = self.node(&inner.iter_range, depth)?;
        let start = self.node(&inner.accu_init, depth)?;
        let accu = self.next_place();
        let names = [inner.accu_var.as_str(), inner.iter_var.as_str()];
        let (go_on, step, result) = self.with_locals(&names, |this| {
            Ok((
                this.node(&inner.loop_cond, depth)?,
                this.node(&inner.loop_step, depth)?,
                this.node(&inner.result, depth)?,
            ))
        })?;
        Ok(Node::Loop(Box::new(Loop {
            over,
            start,
            go_on,
            step,
            result,
            accu,
            two: false,
        })))
    }
}

fn if_any(optional: bool, node: Node) -> Node {
    if optional {
        Node::IfAny(Box::new(node))
    } else {
        node
    }
}

fn literal(value: &LiteralValue) -> Lowered {
    Ok(match value {
        LiteralValue::Null => Node::Null,
        LiteralValue::Boolean(value) => Node::Bool(*value.inner()),
        LiteralValue::Int(value) => Node::Int(*value.inner()),
        LiteralValue::Double(value) => Node::Double(*value.inner()),
        LiteralValue::String(value) => Node::Text(value.inner().to_owned()),
        LiteralValue::UInt(value) => Node::Uint(*value.inner()),
        LiteralValue::Bytes(_) => return Err("JSON has no bytes".to_owned()),
    })
}
