//! What the parts of a plan say about each other: plugins, needs, handlers, references.
//!
//! Everything that can be known before the run is an error here, with its place. Must not look at
//! anything outside of the file.

use std::collections::{BTreeMap, BTreeSet};

use crate::expr::{Expr, Reference, Template};
use crate::plan::keys::{PLUGIN_KINDS, is_name};
use crate::plan::tree::Node;
use crate::plan::{Guard, Plan, PluginKind, Require, Step, Then, Work, limits};
use crate::problem::{At, Problems, suggest};

pub(super) fn check(plan: &Plan, root: &Node, problems: &mut Problems) {
    if plan.steps.len() > limits::STEPS_MAX {
        let message = format!(
            "{} steps; a plan has at most {}",
            plan.steps.len(),
            limits::STEPS_MAX
        );
        return problems.add(At::default(), message, "use `foreach` or sub-plans");
    }
    if let Some(steps) = root.get("steps")
        && plan.steps.is_empty()
    {
        problems.add(steps.at, "a plan needs a step", "");
    }
    let mut check = Check {
        plan,
        problems,
        before: Before::of(plan),
    };
    for step in &plan.steps {
        if let Some(node) = root.get("steps").and_then(|steps| steps.get(&step.id)) {
            check.step(step, node);
        }
    }
    for handler in plan.handlers.values() {
        if let Some(node) = root.get("handlers").and_then(|all| all.get(&handler.id)) {
            check.handler(handler, node);
        }
    }
    check.cycles(root);
    for (key, templates) in [("labels", &plan.labels), ("outputs", &plan.outputs)] {
        for (name, template) in templates {
            if let Some(node) = root.get(key).and_then(|all| all.get(name)) {
                let reach = if key == "labels" {
                    Reach::Inputs
                } else {
                    Reach::AllSteps
                };
                check.template(template, node, &reach);
            }
        }
    }
    for plugin in plan.plugins.values() {
        let node = root
            .get("plugins")
            .and_then(|all| all.get(&plugin.name)?.get("config"));
        if let Some(node) = node {
            check.template(&plugin.config, node, &Reach::Inputs);
        }
    }
    if let Some(defaults) = root.get("defaults").and_then(|node| node.get("guardrails")) {
        check.guard_places(defaults);
    }
}

/// Which names an expression may use.
enum Reach<'a> {
    /// `inputs`.
    Inputs,
    /// `inputs`, `run` and all steps: what is rendered at the end.
    AllSteps,
    /// `inputs`, `run` and what this step needs.
    Step {
        step: &'a Step,
        item: bool,
        output: bool,
    },
    /// As `AllSteps`, and `failure`.
    Handler,
}

struct Check<'p> {
    plan: &'p Plan,
    problems: &'p mut Problems,
    before: Before<'p>,
}

/// Which steps come before which: one bit per pair, so that the largest plan takes three megabytes
/// and not the square of its names.
struct Before<'p> {
    places: BTreeMap<&'p str, usize>,
    /// By place: a bit for each step that it needs, directly or not; `None` for steps on or behind a
    /// cycle, which is reported elsewhere.
    sets: Vec<Option<Vec<u64>>>,
}

impl<'p> Before<'p> {
    fn of(plan: &'p Plan) -> Self {
        let places: BTreeMap<&str, usize> = plan
            .steps
            .iter()
            .enumerate()
            .map(|(place, step)| (step.id.as_str(), place))
            .collect();
        let words = plan.steps.len().div_ceil(64);
        let mut sets: Vec<Option<Vec<u64>>> = vec![None; plan.steps.len()];
        for id in in_order(plan).0 {
            let mut set = vec![0_u64; words];
            for need in plan
                .step(id)
                .map(|step| step.needs.as_slice())
                .unwrap_or_default()
            {
                let Some(place) = places.get(need.as_str()) else {
                    continue;
                };
                if let Some(word) = set.get_mut(place / 64) {
                    *word |= 1 << (place % 64);
                }
                for (word, above) in set
                    .iter_mut()
                    .zip(sets.get(*place).into_iter().flatten().flatten())
                {
                    *word |= above;
                }
            }
            if let Some(place) = places.get(id).and_then(|place| sets.get_mut(*place)) {
                *place = Some(set);
            }
        }
        Self { places, sets }
    }

    /// Whether `first` comes before `then`; `None` when a cycle leaves that open.
    fn comes(&self, first: &str, then: &str) -> Option<bool> {
        let first = self.places.get(first)?;
        let set = self.sets.get(*self.places.get(then)?)?.as_ref()?;
        Some(
            set.get(first / 64)
                .is_some_and(|word| word & (1 << (first % 64)) != 0),
        )
    }
}

/// The steps in an order in which each comes after its needs, and those that have no such order.
fn in_order(plan: &Plan) -> (Vec<&str>, BTreeSet<&str>) {
    let mut waiting: BTreeMap<&str, usize> = BTreeMap::new();
    let mut dependents: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for step in &plan.steps {
        let needs = step.needs.iter().filter(|need| plan.step(need).is_some());
        waiting.insert(&step.id, needs.clone().count());
        for need in needs {
            dependents.entry(need).or_default().push(&step.id);
        }
    }
    let mut ready: Vec<&str> = waiting
        .iter()
        .filter(|(_, count)| **count == 0)
        .map(|(id, _)| *id)
        .collect();
    let mut order = Vec::new();
    while let Some(id) = ready.pop() {
        order.push(id);
        waiting.remove(id);
        for dependent in dependents.get(id).into_iter().flatten() {
            if let Some(count) = waiting.get_mut(dependent) {
                *count -= 1;
                if *count == 0 {
                    ready.push(dependent);
                }
            }
        }
    }
    (order, waiting.into_keys().collect())
}

impl<'p> Check<'p> {
    fn step(&mut self, step: &'p Step, node: &Node) {
        self.needs(step, node);
        self.work(step, node);
        self.on_failure(step, node);
        let item = step.foreach.is_some();
        let reach = Reach::Step {
            step,
            item: false,
            output: false,
        };
        if let (Some(when), Some(node)) = (&step.when, node.get("when")) {
            self.expr(when, node.at, &reach);
        }
        if let (Some(foreach), Some(node)) = (&step.foreach, node.get("foreach")) {
            if let Some(items) = node.get("items") {
                self.template(&foreach.items, items, &reach);
                if !foreach.items.may_be_list() && !items.json().is_null() {
                    let cure = "write a list, or one expression that gives a list";
                    self.problems
                        .add(items.at, "`items` of `foreach` is no list", cure);
                }
            }
            self.item_name(&foreach.name, node);
        }
        let reach = Reach::Step {
            step,
            item,
            output: false,
        };
        if let Some(with) = node.get("with") {
            self.template(&step.with, with, &reach);
        }
        self.guards(step, node, &reach);
        let reach = Reach::Step {
            step,
            item,
            output: true,
        };
        for check in &step.checks {
            let nodes = node.get("checks").map(Node::elements).unwrap_or_default();
            let place = nodes
                .iter()
                .find(|node| node.get("id").and_then(Node::text) == Some(&check.id))
                .and_then(|node| node.get("that"));
            self.expr(&check.that, place.map_or(node.at, |node| node.at), &reach);
        }
    }

    fn handler(&mut self, handler: &'p Step, node: &Node) {
        self.work(handler, node);
        if let Work::Plan { .. } = handler.work {
            self.problems
                .add(node.at, "a handler calls a plugin, not a plan", "");
        }
        if let Some(with) = node.get("with") {
            self.template(&handler.with, with, &Reach::Handler);
        }
        self.guards(handler, node, &Reach::Handler);
    }

    fn needs(&mut self, step: &Step, node: &Node) {
        let mut seen = BTreeSet::new();
        for need in node.get("needs").map(Node::elements).unwrap_or_default() {
            let Some(name) = need.text() else { continue };
            let id = &step.id;
            if name == id {
                let message = format!("step `{id}` needs itself");
                self.problems
                    .add(need.at, message, "remove it from `needs`");
            } else if self.plan.step(name).is_none() && is_name(name) {
                let message = format!("step `{id}` needs `{name}`, which is no step");
                self.problems.add(need.at, message, self.suggest_step(name));
            } else if !seen.insert(name) {
                let message = format!("step `{id}` needs `{name}` twice");
                self.problems.add(need.at, message, "remove one of them");
            }
        }
        if let Work::Barrier(barrier) = &step.work {
            let place = node.get("barrier").map_or(node.at, |node| node.at);
            if step.needs.is_empty() {
                let message = format!("the barrier `{}` waits for nothing", step.id);
                self.problems
                    .add(place, message, "list in `needs` what it waits for");
            }
            let plain = step.needs.iter().filter_map(|need| self.plan.step(need));
            let count = step.needs.len();
            if let Require::Count(wanted) = barrier.require
                && plain.clone().all(|need| need.foreach.is_none())
                && wanted as usize > count
            {
                let message = format!("the barrier requires {wanted} of {count}");
                self.problems.add(place, message, "");
            }
        }
    }

    fn suggest_step(&self, name: &str) -> String {
        suggest(
            "step",
            name,
            self.plan.steps.iter().map(|step| step.id.as_str()),
        )
    }

    fn work(&mut self, step: &Step, node: &Node) {
        let Work::Call { plugin, function } = &step.work else {
            return;
        };
        let Some(place) = node.get("uses").map(|node| node.at) else {
            return;
        };
        if plugin.is_empty() || !is_name(plugin) {
            return;
        }
        let Some(decl) = self.plan.plugins.get(plugin) else {
            return self.unknown_plugin(plugin, place);
        };
        if decl.kind == PluginKind::Guardrail {
            let message =
                format!("`{plugin}` is a guardrail; it looks at steps and is none itself");
            self.problems
                .add(place, message, "use it under `guardrails:`");
        }
        if let Some(prompt) = node
            .get("prompt")
            .filter(|_| decl.kind != PluginKind::Agent)
        {
            let message = format!("`{plugin}` is no agent; only agents read a prompt");
            self.problems.add(prompt.at, message, "remove `prompt`");
        }
        if function.is_some() && decl.kind == PluginKind::Agent {
            let message = format!("`{plugin}` is an agent; only tools have functions");
            self.problems
                .add(place, message, format!("`uses: {plugin}`"));
        }
    }

    fn unknown_plugin(&mut self, name: &str, place: At) {
        let cure = suggest("plugin", name, self.plan.plugins.keys().map(String::as_str));
        self.problems.add(
            place,
            format!("there is no plugin `{name}` in `plugins:`"),
            cure,
        );
    }

    fn on_failure(&mut self, step: &Step, node: &Node) {
        let Some(node) = node.get("on_failure") else {
            return;
        };
        let place = |key: &str| node.get(key).map_or(node.at, |node| node.at);
        if let Some(handler) = &step.on_failure.run
            && !self.plan.handlers.contains_key(handler)
        {
            let cure = suggest(
                "handler",
                handler,
                self.plan.handlers.keys().map(String::as_str),
            );
            let message = format!("there is no handler `{handler}` in `handlers:`");
            self.problems.add(place("run"), message, cure);
        }
        let Then::Goto(target) = &step.on_failure.then else {
            return;
        };
        let (id, at) = (step.id.as_str(), place("then"));
        let comes_before = |a: &str, b: &str| self.before.comes(a, b) == Some(true);
        if self.plan.step(target).is_none() {
            let message = format!("`goto:{target}` names no step");
            self.problems.add(at, message, self.suggest_step(target));
        } else if target == id || comes_before(target, id) {
            let message = format!("`goto:{target}` goes back from `{id}`: that is a loop");
            self.problems.add(at, message, "use `retry:` to try again");
        } else if !comes_before(id, target) {
            let message =
                format!("`goto:{target}`: the step does not come after `{id}` and runs anyway");
            self.problems
                .add(at, message, format!("let `{target}` need `{id}`"));
        }
    }

    fn item_name(&mut self, name: &str, node: &Node) {
        const TAKEN: [&str; 6] = ["inputs", "steps", "run", "failure", "output", "input"];
        if TAKEN.contains(&name) || name.contains('-') {
            let at = node.get("as").map_or(node.at, |node| node.at);
            let message = format!("as: `{name}` cannot name an item in expressions");
            self.problems
                .add(at, message, "take a word without `-` that is not taken");
        }
    }

    fn guards(&mut self, step: &Step, node: &Node, reach: &Reach<'_>) {
        if let Some(guardrails) = node.get("guardrails") {
            self.guard_places(guardrails);
        }
        for (guards, key) in [(&step.before, "before"), (&step.after, "after")] {
            let nodes = node
                .get("guardrails")
                .and_then(|guardrails| guardrails.get(key));
            let nodes = nodes.map(Node::elements).unwrap_or_default();
            for (index, guard) in guards.iter().enumerate() {
                let with = nodes.get(index).and_then(|node| node.get("with"));
                self.guard_references(guard, with, reach);
            }
        }
    }

    /// Default guardrails have no node in the step: what they refer to is reported at their own place.
    fn guard_references(&mut self, guard: &Guard, with: Option<&Node>, reach: &Reach<'_>) {
        for (pointer, reference) in guard.with.references() {
            let at = with.map_or(guard.at, |node| node.place(&pointer));
            self.reference(reference, at, reach);
        }
    }

    /// The plugins that a `guardrails:` names.
    fn guard_places(&mut self, guardrails: &Node) {
        let lists = ["before", "after"]
            .into_iter()
            .filter_map(|key| guardrails.get(key));
        for uses in lists
            .flat_map(Node::elements)
            .filter_map(|node| node.get("uses"))
        {
            let Some(name) = uses.text().filter(|name| is_name(name)) else {
                continue;
            };
            match self.plan.plugins.get(name) {
                None => self.unknown_plugin(name, uses.at),
                Some(decl) if decl.kind != PluginKind::Guardrail => {
                    let message = format!("`{name}` is not a guardrail");
                    let cure = format!("kinds are `{}`", PLUGIN_KINDS.join("`, `"));
                    self.problems.add(uses.at, message, cure);
                }
                Some(_) => {}
            }
        }
    }

    fn template(&mut self, template: &Template, node: &Node, reach: &Reach<'_>) {
        for (pointer, reference) in template.references() {
            self.reference(reference, node.place(&pointer), reach);
        }
    }

    fn expr(&mut self, expr: &Expr, at: At, reach: &Reach<'_>) {
        for reference in expr.references() {
            self.reference(reference, at, reach);
        }
    }

    fn reference(&mut self, reference: &Reference, at: At, reach: &Reach<'_>) {
        let name = reference.root.as_str();
        let in_reach = match (name, reach) {
            ("inputs", _) => return self.input_reference(reference, at),
            ("steps", Reach::AllSteps | Reach::Handler | Reach::Step { .. }) => {
                return self.step_reference(reference, at, reach);
            }
            ("run", Reach::AllSteps | Reach::Handler | Reach::Step { .. })
            | ("failure", Reach::Handler)
            | ("output", Reach::Step { output: true, .. })
            | ("item" | "index", Reach::Step { item: true, .. }) => true,
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
            let cure = self.cure_for_name(name, reach);
            self.problems
                .add(at, format!("the name `{name}` is not in reach here"), cure);
        }
    }

    fn cure_for_name(&self, name: &str, reach: &Reach<'_>) -> String {
        let names: &[&str] = match reach {
            Reach::Inputs => &["inputs"],
            Reach::AllSteps => &["inputs", "steps", "run"],
            Reach::Handler => &["inputs", "steps", "run", "failure"],
            Reach::Step {
                item: true,
                output: true,
                ..
            } => &["inputs", "steps", "run", "item", "index", "output"],
            Reach::Step { item: true, .. } => &["inputs", "steps", "run", "item", "index"],
            Reach::Step { output: true, .. } => &["inputs", "steps", "run", "output"],
            Reach::Step { .. } => &["inputs", "steps", "run"],
        };
        // `steps.stub-load.output` is a subtraction to CEL; that is where such a name comes from.
        let suffix = format!("-{name}");
        match self
            .plan
            .steps
            .iter()
            .find(|step| step.id.ends_with(&suffix))
        {
            Some(step) => format!(
                "write `steps[\"{}\"]`: `-` is minus in an expression",
                step.id
            ),
            None => suggest("name", name, names.iter().copied()),
        }
    }

    fn input_reference(&mut self, reference: &Reference, at: At) {
        if let Some(name) = reference.path.first()
            && !self.plan.inputs.contains_key(name)
        {
            let cure = suggest("input", name, self.plan.inputs.keys().map(String::as_str));
            self.problems
                .add(at, format!("there is no input `{name}`"), cure);
        }
    }

    fn step_reference(&mut self, reference: &Reference, at: At, reach: &Reach<'_>) {
        let Some(id) = reference.path.first() else {
            let message = "`steps` is used without naming a step";
            return self
                .problems
                .add(at, message, "write `steps.<id>`, so that it can be checked");
        };
        let Some(target) = self.plan.step(id) else {
            let prefix = format!("{id}-");
            let dashed = self
                .plan
                .steps
                .iter()
                .find(|step| step.id.starts_with(&prefix));
            let cure = match dashed {
                Some(step) => {
                    format!(
                        "write `steps[\"{}\"]`: `-` is minus in an expression",
                        step.id
                    )
                }
                None => self.suggest_step(id),
            };
            return self
                .problems
                .add(at, format!("there is no step `{id}`"), cure);
        };
        if let Reach::Step { step, .. } = reach
            && self.before.comes(id, &step.id) == Some(false)
        {
            let message = format!("step `{}` uses `steps.{id}` without needing it", step.id);
            let cure = format!("add `{id}` to its `needs`, or it may run first");
            self.problems.add(at, message, cure);
        }
        let field = reference.path.get(1).map_or("", String::as_str);
        let result = if target.foreach.is_some() {
            "outputs"
        } else {
            "output"
        };
        if !["", "status", result].contains(&field) {
            let message = format!("`steps.{id}` has no `{field}`");
            let cure = format!("it has `{result}` and `status`");
            self.problems.add(at, message, cure);
        }
    }

    /// Reports cycles of needs, each with its steps in order. A step is in one report at most.
    fn cycles(&mut self, root: &Node) {
        let (_, mut left) = in_order(self.plan);
        while let Some(cycle) = self.find_cycle(&mut left) {
            let Some(first) = cycle.first().filter(|_| cycle.len() > 1) else {
                continue;
            };
            let place = root
                .get("steps")
                .and_then(|steps| steps.get(first)?.get("needs"));
            let path = cycle.join("` needs `");
            let message = format!("the steps wait for each other: `{path}` needs `{first}`");
            let at = place.map(|node| node.at).unwrap_or_default();
            self.problems.add(at, message, "remove one of these needs");
        }
    }

    /// Walks along needs until a step comes again. Steps on the cycle, and those that led nowhere, are
    /// taken out of `left`, so that all walks together are linear.
    fn find_cycle(&self, left: &mut BTreeSet<&'p str>) -> Option<Vec<&'p str>> {
        let mut path: Vec<&'p str> = Vec::new();
        let mut on_path: BTreeMap<&'p str, usize> = BTreeMap::new();
        loop {
            let current = path.last().copied().or_else(|| left.first().copied())?;
            if path.is_empty() {
                on_path.insert(current, 0);
                path.push(current);
            }
            let needs = self.plan.step(current).map(|step| step.needs.as_slice());
            let next = needs
                .unwrap_or_default()
                .iter()
                .find(|need| left.contains(need.as_str()));
            match next {
                None => {
                    left.remove(current);
                    path.pop();
                }
                Some(next) => match on_path.get(next.as_str()) {
                    Some(from) => {
                        let mut cycle = path.split_off(*from);
                        cycle.iter().for_each(|id| {
                            left.remove(id);
                        });
                        let smallest = cycle.iter().enumerate().min_by_key(|(_, id)| **id);
                        let turn = smallest.map_or(0, |(index, _)| index);
                        cycle.rotate_left(turn);
                        return Some(cycle);
                    }
                    None => {
                        on_path.insert(next, path.len());
                        path.push(next);
                    }
                },
            }
        }
    }
}
