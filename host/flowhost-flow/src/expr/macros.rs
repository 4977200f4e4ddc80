//! Macros that the parser does not know: loops with two names, `cel.bind`, `sortBy`, optionals.
//!
//! All of them become loops and bindings of the ordinary kind, so that their cost is the ordinary one.

use cel::common::ast::{CallExpr, Expr as Cel, IdedExpr};

use crate::expr::functions::Function;
use crate::expr::lower::{Lowered, Lowering};
use crate::expr::node::{Binary, Loop, Node};

/// A name that nobody can write: CEL has no `@` in names.
const HIDDEN: &str = "@value";

impl Lowering {
    /// The macro that this call is, if it is one.
    pub(super) fn macro_call(&mut self, call: &CallExpr, depth: usize) -> Option<Lowered> {
        let target = call.target.as_deref()?;
        let name = call.func_name.as_str();
        let lowered = match (name, call.args.as_slice()) {
            ("bind", [x, value, body]) if is_name(target, "cel") => {
                self.bind(x, value, body, depth)
            }
            ("all" | "exists" | "exists_one" | "existsOne", [k, v, test]) => {
                self.quantifier(name, target, &[k, v], test, depth)
            }
            // With one name the others are the parser's own; it knows `exists_one` by its older spelling alone.
            ("existsOne", [v, test]) => self.quantifier(name, target, &[v], test, depth),
            ("transformList" | "transformMap" | "transformMapEntry", [k, v, to]) => {
                self.transform(name, target, [k, v], None, to, depth)
            }
            ("transformList" | "transformMap" | "transformMapEntry", [k, v, test, to]) => {
                self.transform(name, target, [k, v], Some(test), to, depth)
            }
            ("sortBy", [x, key]) => self.sort_by(target, x, key, depth),
            ("optMap" | "optFlatMap", [x, to]) => self.opt_map(name, target, x, to, depth),
            _ => return None,
        };
        Some(lowered)
    }

    fn bind(&mut self, x: &IdedExpr, value: &IdedExpr, body: &IdedExpr, depth: usize) -> Lowered {
        let name = name_of(x)?;
        let value = self.node(value, depth)?;
        let place = self.next_place();
        let body = self.with_locals(&[name], |this| this.node(body, depth))?;
        Ok(Node::Bind(place, Box::new((value, body))))
    }

    fn quantifier(
        &mut self,
        name: &str,
        over: &IdedExpr,
        names: &[&IdedExpr],
        test: &IdedExpr,
        depth: usize,
    ) -> Lowered {
        let over = self.node(over, depth)?;
        let accu = self.next_place();
        let mut locals = vec![HIDDEN];
        for local in names {
            locals.push(name_of(local)?);
        }
        let test = Box::new(self.with_locals(&locals, |this| this.node(test, depth))?);
        let so_far = || Box::new(Node::Local(accu));
        // As the parser expands its own: an error of one element counts only where no later one decides, so the loop
        // goes on past it. Where exactly one is wanted every element counts, and so does every error.
        let (start, go_on, step, result) = match name {
            "all" => (
                Node::Bool(true),
                Node::NotFalse(so_far()),
                Node::And(so_far(), test),
                Node::Local(accu),
            ),
            "exists" => (
                Node::Bool(false),
                Node::NotFalse(Box::new(Node::Not(so_far()))),
                Node::Or(so_far(), test),
                Node::Local(accu),
            ),
            _ => {
                let one = || Box::new(Node::Int(1));
                let more = Box::new(Node::Binary(Binary::Add, so_far(), one()));
                (
                    Node::Int(0),
                    Node::Bool(true),
                    Node::If(test, more, so_far()),
                    Node::Binary(Binary::Equal, so_far(), one()),
                )
            }
        };
        Ok(Node::Loop(Box::new(Loop {
            over,
            start,
            go_on,
            step,
            result,
            accu,
            two: names.len() == 2,
        })))
    }

    fn transform(
        &mut self,
        name: &str,
        over: &IdedExpr,
        names: [&IdedExpr; 2],
        test: Option<&IdedExpr>,
        to: &IdedExpr,
        depth: usize,
    ) -> Lowered {
        let over = self.node(over, depth)?;
        let accu = self.next_place();
        let locals = [HIDDEN, name_of(names[0])?, name_of(names[1])?];
        let (test, to) = self.with_locals(&locals, |this| {
            let test = test.map(|test| this.node(test, depth)).transpose()?;
            Ok((test, this.node(to, depth)?))
        })?;
        let (start, grow) = match name {
            "transformList" => (Node::List(Vec::new()), Node::Push(accu, Box::new(to))),
            "transformMap" => {
                let entry = Box::new((Node::Local(accu + 1), to));
                (Node::Map(Vec::new()), Node::Put(accu, entry))
            }
            _ => (Node::Map(Vec::new()), Node::PutAll(accu, Box::new(to))),
        };
        let step = match test {
            None => grow,
            Some(test) => {
                let same = Box::new(Node::Local(accu));
                Node::If(Box::new(test), Box::new(grow), same)
            }
        };
        Ok(Node::Loop(Box::new(Loop {
            over,
            start,
            go_on: Node::Bool(true),
            step,
            result: Node::Local(accu),
            accu,
            two: true,
        })))
    }

    /// `list.sortBy(x, key)`: the list, and its keys made by a loop over it.
    fn sort_by(&mut self, over: &IdedExpr, x: &IdedExpr, key: &IdedExpr, depth: usize) -> Lowered {
        let name = name_of(x)?;
        let over = self.node(over, depth)?;
        // Bound to a place of its own, because it is read twice: for the keys, and to be sorted by them.
        let place = self.next_place();
        let accu = place + 1;
        let key = self.with_locals(&[HIDDEN, HIDDEN, name], |this| this.node(key, depth))?;
        let keys = Node::Loop(Box::new(Loop {
            over: Node::Local(place),
            start: Node::List(Vec::new()),
            go_on: Node::Bool(true),
            step: Node::Push(accu, Box::new(key)),
            result: Node::Local(accu),
            accu,
            two: false,
        }));
        let sorted = Node::Call(Function::SortByKeys, vec![Node::Local(place), keys]);
        Ok(Node::Bind(place, Box::new((over, sorted))))
    }

    /// `optional.optMap(x, to)`: `to` of the value, where there is one.
    fn opt_map(
        &mut self,
        name: &str,
        of: &IdedExpr,
        x: &IdedExpr,
        to: &IdedExpr,
        depth: usize,
    ) -> Lowered {
        let local = name_of(x)?;
        let of = self.node(of, depth)?;
        let place = self.next_place();
        let to = self.with_locals(&[HIDDEN, local], |this| this.node(to, depth))?;
        let of_optional = |function| Node::Call(function, vec![Node::Local(place)]);
        let inner = Box::new((of_optional(Function::Value), to));
        let mapped = Node::Bind(place + 1, inner);
        let mapped = if name == "optMap" {
            Node::Call(Function::OptionalOf, vec![mapped])
        } else {
            mapped
        };
        let body = Node::If(
            Box::new(of_optional(Function::HasValue)),
            Box::new(mapped),
            Box::new(Node::Call(Function::OptionalNone, Vec::new())),
        );
        Ok(Node::Bind(place, Box::new((of, body))))
    }
}

fn is_name(tree: &IdedExpr, name: &str) -> bool {
    matches!(&tree.expr, Cel::Ident(known) if known == name)
}

fn name_of(tree: &IdedExpr) -> Result<&str, String> {
    match &tree.expr {
        Cel::Ident(name) if !name.starts_with('.') => Ok(name),
        _ => Err("a macro's first values are simple names".to_owned()),
    }
}
