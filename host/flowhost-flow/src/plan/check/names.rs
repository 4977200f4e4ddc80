//! The names that an expression uses: whether each is in reach where it stands, and what was meant by one that is not.
//!
//! Owns what is kept of expressions for later looks: what they read of outputs, and themselves.

use std::collections::BTreeSet;

use flowhost_words::nearest;

use crate::expr::{Expr, Reference, Template};
use crate::plan::foresight::{Stated, Wants};
use crate::plan::habits;
use crate::plan::keys::is_name;
use crate::plan::reads::Read;
use crate::plan::tree::Node;
use crate::plan::{Body, Step, Work};
use crate::problem::{At, suggest};

use super::Check;
use super::reach::Reach;

impl<'p> Check<'p> {
    pub(super) fn template(&mut self, template: &Template, node: &Node, reach: &Reach<'_>) {
        self.template_for(template, node, reach, Wants::Value);
    }

    /// A template whose value must be such a one.
    pub(super) fn template_for(
        &mut self,
        template: &Template,
        node: &Node,
        reach: &Reach<'_>,
        wants: Wants,
    ) {
        if template.constant().is_some() {
            return; // it says nothing that could be looked at
        }
        let places = node.value_places();
        let place = |pointer: &str| places.get(pointer).copied().unwrap_or(node.at);
        let all = template.references();
        for (pointer, reference) in &all {
            self.reference(reference, place(pointer), reach);
        }
        let unsure = all.iter().filter(|(_, reference)| !reference.is_sure);
        let unsure: BTreeSet<&String> = unsure.map(|(pointer, _)| pointer).collect();
        for (pointer, reference) in all.iter().filter(|(pointer, _)| !unsure.contains(pointer)) {
            self.read(reference, place(pointer), reach);
        }
        self.keep(template, &place, reach, wants);
    }

    /// Keeps the expressions of a template, with their places.
    pub(super) fn keep(
        &mut self,
        template: &Template,
        place: &dyn Fn(&str) -> At,
        reach: &Reach<'_>,
        wants: Wants,
    ) {
        for (pointer, expr) in template.expressions() {
            let wants = match pointer.as_str() {
                "" => wants,
                _ => Wants::Value,
            };
            let at = place(&pointer);
            let stated = Stated::of(expr, at, wants, reach.own(), reach.each());
            self.stated.push(stated);
        }
    }

    /// A condition.
    pub(super) fn expr(&mut self, expr: &Expr, at: At, reach: &Reach<'_>) {
        for reference in expr.references() {
            self.reference(reference, at, reach);
        }
        // One that asks whether something is there may go on without it.
        for reference in expr.references().iter().filter(|_| expr.is_sure()) {
            self.read(reference, at, reach);
        }
        let stated = Stated::of(expr, at, Wants::Condition, reach.own(), reach.each());
        self.stated.push(stated);
    }

    pub(super) fn read(&mut self, reference: &Reference, at: At, reach: &Reach<'_>) {
        let read = Read::of(reference, self.results_name(), reach.own(), at);
        self.reads.extend(read);
    }

    pub(super) fn reference(&mut self, reference: &Reference, at: At, reach: &Reach<'_>) {
        let name = reference.root.as_str();
        let in_reach = match (name, reach) {
            ("inputs", _) => return self.input_reference(reference, at),
            (root, reach) if root == self.results_name() && !matches!(reach, Reach::Inputs) => {
                return self.result_reference(reference, at, reach);
            }
            (
                "run",
                Reach::All
                | Reach::Handler
                | Reach::Compensation
                | Reach::Step { .. }
                | Reach::Work { .. }
                | Reach::Gate,
            )
            | ("failure" | "output", Reach::Compensation)
            | ("failure" | "output" | "approval", Reach::Gate)
            | ("failure", Reach::Handler | Reach::Work { failure: true, .. })
            | ("output", Reach::Step { output: true, .. } | Reach::Work { output: true, .. })
            | ("item" | "index", Reach::Step { item: true, .. }) => true,
            (
                "consensus",
                Reach::Step {
                    output: true, step, ..
                },
            ) if matches!(step.work, Work::Consensus(_)) => true,
            (
                _,
                Reach::Step {
                    item: true, step, ..
                },
            ) => step
                .foreach
                .as_ref()
                .is_some_and(|foreach| foreach.name == name),
            _ => false,
        };
        if !in_reach {
            let cure = self.problems.cure(|| self.cure_for_name(name, reach));
            self.problems
                .add(at, format!("the name `{name}` is not in reach here"), cure);
        }
    }

    pub(super) fn cure_for_name(&self, name: &str, reach: &Reach<'_>) -> String {
        let results = self.results_name();
        let mut names = vec!["inputs", results, "run"];
        match reach {
            Reach::Inputs => names.truncate(1),
            Reach::All => {}
            Reach::Handler => names.push("failure"),
            Reach::Compensation => names.extend(["failure", "output"]),
            Reach::Gate => names.extend(["failure", "output", "approval"]),
            Reach::Work {
                failure, output, ..
            } => {
                names.extend(failure.then_some("failure"));
                names.extend(output.then_some("output"));
            }
            Reach::Step { step, item, output } => {
                let named = step.foreach.as_ref().filter(|_| *item);
                let named = named.map(|foreach| foreach.name.as_str());
                names.extend(named.filter(|name| *name != "item"));
                names.extend(item.then_some(["item", "index"]).into_iter().flatten());
                names.extend(output.then_some("output"));
            }
        }
        // `steps.stub-load.output` is a subtraction to CEL; that is where such a name comes from.
        let suffix = format!("-{name}");
        match self.ids.iter().find(|id| id.ends_with(&suffix)) {
            Some(id) => {
                format!("write `{results}[\"{id}\"]`: `-` is minus in an expression")
            }
            None => match nearest(name, names.iter().copied()).or(habits::name(name)) {
                Some(near) if names.contains(&near) => format!("did you mean `{near}`?"),
                Some(cure) => cure.to_owned(),
                None => suggest("name", name, names.iter().copied()),
            },
        }
    }

    /// What the plan's parts are called in expressions.
    pub(super) const fn results_name(&self) -> &'static str {
        match self.plan.body {
            Body::Workflow { .. } => "steps",
            Body::Fsm(_) => "states",
            Body::BehaviorTree(_) => "nodes",
        }
    }

    /// What one of the plan's parts is called.
    pub(super) const fn part_name(&self) -> &'static str {
        match self.plan.body {
            Body::Workflow { .. } => "step",
            Body::Fsm(_) => "state",
            Body::BehaviorTree(_) => "action",
        }
    }

    /// The parts that expressions may name.
    pub(super) fn in_file_order(&self) -> Vec<&'p str> {
        match &self.plan.body {
            Body::Fsm(machine) => machine
                .states
                .iter()
                .map(|state| state.id.as_str())
                .collect(),
            _ => {
                let steps = self.plan.steps().into_iter();
                steps
                    .map(|step| step.id.as_str())
                    .filter(|id| is_name(id))
                    .collect()
            }
        }
    }

    pub(super) fn input_reference(&mut self, reference: &Reference, at: At) {
        if let Some(name) = reference.path.first()
            && !self.plan.inputs.contains_key(name)
            && !(self.astray && self.plan.inputs.is_empty())
        {
            let known = || self.plan.inputs.keys().map(String::as_str).collect();
            let cure = self.problems.suggest("input", name, known);
            self.problems
                .add(at, format!("the plan has no input `{name}`"), cure);
        }
    }

    pub(super) fn result_reference(&mut self, reference: &Reference, at: At, reach: &Reach<'_>) {
        let (results, part) = (self.results_name(), self.part_name());
        let Some(id) = reference.path.first() else {
            let message = format!("`{results}` is used without naming a {part}");
            let cure = format!("write `{results}.<id>`, so that it can be checked");
            return self.problems.add(at, message, cure);
        };
        if self.ids.is_empty() {
            return; // what the plan lacks has been told
        }
        if !self.ids.contains(id.as_str()) {
            let cure = self.problems.cure(|| {
                let prefix = format!("{id}-");
                match self.ids.iter().find(|known| known.starts_with(&prefix)) {
                    Some(id) => {
                        format!("write `{results}[\"{id}\"]`: `-` is minus in an expression")
                    }
                    None => self.problems.suggest(part, id, || self.in_file_order()),
                }
            });
            return self
                .problems
                .add(at, format!("the plan has no {part} `{id}`"), cure);
        }
        if let Reach::Step { step, .. } = reach
            && self.before.comes(id, &step.id) == Some(false)
            && !self.unsure_needs.contains(step.id.as_str())
        {
            let message = format!("step `{}` uses `steps.{id}` without needing it", step.id);
            let cure = format!("add `{id}` to its `needs`, or it may run first");
            self.problems.add(at, message, cure);
        }
        let field = reference.path.get(1).map_or("", String::as_str);
        // Parts of other plans have no items and no agents beside each other: what they give is always `output`.
        let named = match self.plan.body {
            Body::Workflow { .. } => self.plan.step(id),
            Body::Fsm(_) | Body::BehaviorTree(_) => None,
        };
        let result = named.map_or("output", Step::output_name);
        let verdict = named.is_some_and(|step| matches!(step.work, Work::Consensus(_)));
        let mut known = vec![result, "status"];
        known.extend(verdict.then_some("consensus"));
        if !field.is_empty() && !known.contains(&field) {
            let message = format!("`{results}.{id}` has no `{field}`");
            let meant = match nearest(field, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`? "),
                None => String::new(),
            };
            let has = match verdict {
                true => format!("it has `{result}`, `status` and `consensus`"),
                false => format!("it has `{result}` and `status`"),
            };
            self.problems.add(at, message, meant + &has);
        }
    }
}
