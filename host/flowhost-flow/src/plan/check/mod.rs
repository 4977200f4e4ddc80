//! What the parts of a plan say about each other: plugins, needs, handlers, references.
//!
//! Everything that can be known before the run is an error here, with its place. Must not look at
//! anything outside of the file.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flowhost_words::{PluginKind, nearest};

use crate::expr::{Expr, Reference, Template};
use crate::plan::faults::{is_astray, unsure_needs};
use crate::plan::foresight::{Stated, Wants};
use crate::plan::habits;
use crate::plan::keys::is_name;
use crate::plan::reads::Read;
use crate::plan::tree::Node;
use crate::plan::{Body, Guard, Plan, Require, Step, Then, Work, limits};
use crate::problem::{At, Problems, suggest};

mod behavior;
mod consensus;
mod machine;
mod order;
mod reach;

use order::Before;
use reach::Reach;

/// What a handler or a compensation may do.
const CALL_CURE: &str = "for example `uses: plugin` or `uses: plugin/function`";

/// Checks, and gives what the plan's expressions read of outputs, and the expressions themselves.
pub(super) fn check(plan: &Plan, root: &Node, problems: &mut Problems) -> (Vec<Read>, Vec<Stated>) {
    let count = plan.steps().len();
    // Before all else, of which some takes a bit for each pair of steps.
    if count > limits::STEPS_MAX {
        let message = format!("{count} steps; a plan has at most {}", limits::STEPS_MAX);
        problems.add(At::default(), message, "use `foreach` or sub-plans");
        return (Vec::new(), Vec::new());
    }
    let mut check = Check {
        plan,
        problems,
        reads: Vec::new(),
        stated: Vec::new(),
        before: Before::of(plan),
        kinds: kinds(plan, root),
        ids: BTreeSet::new(),
        astray: is_astray(root),
        unsure_needs: unsure_needs(plan, root),
    };
    check.ids = check.in_file_order().into_iter().collect();
    match &plan.body {
        Body::Workflow { steps } => check.workflow(steps, root),
        Body::Fsm(machine) => check.machine(machine, root),
        Body::BehaviorTree(tree) => check.tree(tree, root),
    }
    check.shared(root);
    check.reads.sort();
    (check.reads, check.stated)
}

struct Check<'p> {
    plan: &'p Plan,
    problems: &'p mut Problems,
    reads: Vec<Read>,
    stated: Vec<Stated>,
    before: Before<'p>,
    /// What each plugin is said to be, but for those whose word is not known: that has been told, and what
    /// would follow from a guess misleads.
    kinds: BTreeMap<&'p str, PluginKind>,
    /// What the plan's parts are called: each expression asks for some.
    ids: BTreeSet<&'p str>,
    /// Whether the plan has a key that is not known: what seems to be missing may stand there.
    astray: bool,
    /// The steps whose needs may stand under a key that is not known.
    unsure_needs: BTreeSet<&'p str>,
}

fn kinds<'p>(plan: &'p Plan, root: &Node) -> BTreeMap<&'p str, PluginKind> {
    let plugins = root.get("plugins").map(Node::by_name).unwrap_or_default();
    let said = |name: &'p String| {
        let word = plugins.get(name.as_str())?.get("kind")?.text()?;
        Some((name.as_str(), PluginKind::named(word)?))
    };
    plan.plugins.keys().filter_map(said).collect()
}

/// Names that are taken: the host acts as `host` in every record, and `self` in a topic is whoever has the
/// profile. A plugin of such a name could pass for another.
const RESERVED: [&str; 2] = ["host", "self"];

impl<'p> Check<'p> {
    fn workflow(&mut self, steps: &'p [Arc<Step>], root: &Node) {
        if let Some(node) = root.get("steps")
            && steps.is_empty()
        {
            self.problems.add(
                node.at,
                "a plan needs a step",
                "for example `steps: { first: { uses: plugin } }`",
            );
        }
        let nodes = root.get("steps").map(Node::by_name).unwrap_or_default();
        for step in steps {
            if let Some(node) = nodes.get(step.id.as_str()) {
                self.step(step, node);
                if let Work::Consensus(spec) = &step.work {
                    let defaults = root.get("defaults").and_then(|it| it.get("consensus"));
                    self.consensus(step, spec, node, defaults);
                }
            }
        }
        let nodes = root.get("handlers").map(Node::by_name).unwrap_or_default();
        for handler in self.plan.handlers.values() {
            if let Some(node) = nodes.get(handler.id.as_str()) {
                self.handler(handler, node);
            }
        }
        self.cycles(root);
    }

    /// What plans of all kinds have.
    fn shared(&mut self, root: &Node) {
        let plan = self.plan;
        for (key, templates, reach) in [
            ("labels", &plan.labels, Reach::Inputs),
            ("outputs", &plan.outputs, Reach::All),
        ] {
            let nodes = root.get(key).map(Node::by_name).unwrap_or_default();
            for (name, template) in templates {
                if let Some(node) = nodes.get(name.as_str()) {
                    self.template(template, node, &reach);
                }
            }
        }
        let nodes = root.get("plugins").map(Node::by_name).unwrap_or_default();
        for plugin in plan.plugins.values() {
            if RESERVED.contains(&plugin.name.to_ascii_lowercase().as_str()) {
                let message = format!(
                    "a plugin cannot be called `{}`: records and messages mean somebody else by it",
                    plugin.name
                );
                self.problems.add(plugin.at, message, "choose another name");
            }
            let node = nodes.get(plugin.name.as_str());
            if let Some(node) = node.and_then(|node| node.get("config")) {
                self.template(&plugin.config, node, &Reach::Inputs);
            }
        }
        if let Some(defaults) = root.get("defaults").and_then(|node| node.get("guardrails")) {
            self.guard_places(defaults);
        }
    }

    /// The work of a state or an action.
    fn work_node(&mut self, step: &'p Step, node: &Node, failure: bool) {
        self.work(step, node);
        let reach = Reach::Work {
            failure,
            output: false,
            step: Some(step),
        };
        if let Some(with) = node.get("with") {
            self.template(&step.with, with, &reach);
        }
        self.guards(step, node, &reach);
        if let Some(payload) = node.get("emit").and_then(|emit| emit.get("payload")) {
            self.emitted(step, payload, &reach);
        }
        let reach = Reach::Work {
            failure,
            output: true,
            step: Some(step),
        };
        self.checks(step, node, &reach);
    }

    fn checks(&mut self, step: &Step, node: &Node, reach: &Reach<'_>) {
        // By id, because one whose expression is wrong was left out; once for all, because to look through the list
        // for each takes the square of their number. From the last, so that of two with one id the first counts.
        let nodes = node.get("checks").map(Node::elements).unwrap_or_default();
        let places = nodes.iter().rev();
        let places = places.filter_map(|it| Some((it.get("id")?.text()?, it.get("that")?.at)));
        let places: BTreeMap<&str, At> = places.collect();
        for check in &step.checks {
            let at = places.get(check.id.as_str()).copied();
            self.expr(&check.that, at.unwrap_or(node.at), reach);
        }
    }

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
                self.template_for(&foreach.items, items, &reach, Wants::Items);
                if !foreach.items.may_be_list() && !items.json().is_null() {
                    let cure = "write a list, or one expression that gives a list";
                    self.problems
                        .add(items.at, "`items` of `foreach` is not a list", cure);
                }
                let count = items.elements().len();
                if count > limits::ITEMS_MAX {
                    let most = limits::ITEMS_MAX;
                    let message = format!("foreach: {count} items; {most} are allowed");
                    self.problems
                        .add(items.at, message, "split the list over several steps");
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
        self.checks(step, node, &reach);
        if let Some(payload) = node.get("emit").and_then(|emit| emit.get("payload")) {
            self.emitted(step, payload, &reach);
        }
        self.compensation(step, node);
    }

    fn emitted(&mut self, step: &Step, node: &Node, reach: &Reach<'_>) {
        if let Work::Emit { payload, .. } = &step.work {
            self.template(payload, node, reach);
        }
    }

    fn compensation(&mut self, step: &'p Step, node: &Node) {
        // Most steps cannot be taken back.
        let (Some(compensate), Some(node)) = (&step.compensate, node.get("compensate")) else {
            return;
        };
        self.work(compensate, node);
        if let Work::Plan { .. } = compensate.work {
            self.problems.add(
                node.at,
                "a compensation calls a plugin, not a plan",
                CALL_CURE,
            );
        }
        if let Some(with) = node.get("with") {
            self.template(&compensate.with, with, &Reach::Compensation);
        }
    }

    fn handler(&mut self, handler: &'p Step, node: &Node) {
        self.work(handler, node);
        if let Work::Plan { .. } = handler.work {
            self.problems
                .add(node.at, "a handler calls a plugin, not a plan", CALL_CURE);
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
                let message = format!("step `{id}` needs `{name}`, which is not a step");
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
                let cure = "require fewer, or list more steps in `needs`";
                self.problems.add(place, message, cure);
            }
        }
    }

    fn suggest_step(&self, name: &str) -> String {
        // In the order of the file, as its author knows them.
        self.problems.suggest("step", name, || self.in_file_order())
    }

    fn work(&mut self, step: &Step, node: &Node) {
        // Other work names no plugin in `uses`, and is checked where it stands.
        let Work::Call { plugin, function } = &step.work else {
            return;
        };
        // A step without work was read as a call of nothing, and the reader has told it.
        let Some(place) = node.get("uses").map(|node| node.at) else {
            return;
        };
        if plugin.is_empty() || !is_name(plugin) {
            return;
        }
        if !self.plan.plugins.contains_key(plugin) {
            return self.unknown_plugin(plugin, place);
        }
        // A kind that is not known is told where the plugin is declared.
        let Some(kind) = self.kinds.get(plugin.as_str()).copied() else {
            return;
        };
        if kind == PluginKind::Guardrail {
            let message = format!(
                "`{plugin}` is a guardrail; it looks at steps and cannot do the work of one"
            );
            self.problems
                .add(place, message, "use it under `guardrails:`");
        }
        if let Some(prompt) = node.get("prompt").filter(|_| kind != PluginKind::Agent) {
            let message = format!("`{plugin}` is not an agent; only agents read a prompt");
            self.problems.add(prompt.at, message, "remove `prompt`");
        }
        if function.is_some() && kind == PluginKind::Agent {
            let message = format!("`{plugin}` is an agent; only tools have functions");
            self.problems
                .add(place, message, format!("`uses: {plugin}`"));
        }
    }

    fn unknown_plugin(&mut self, name: &str, place: At) {
        if self.astray && self.plan.plugins.is_empty() {
            return; // they may stand under another key, which has been told
        }
        let known = || self.plan.plugins.keys().map(String::as_str).collect();
        let cure = self.problems.suggest("plugin", name, known);
        self.problems
            .add(place, format!("`plugins:` does not name `{name}`"), cure);
    }

    fn on_failure(&mut self, step: &Step, node: &Node) {
        // What a failure does by default needs no check.
        let Some(node) = node.get("on_failure") else {
            return;
        };
        let place = |key: &str| node.get(key).map_or(node.at, |node| node.at);
        if let Some(handler) = &step.on_failure.run
            && !self.plan.handlers.contains_key(handler)
        {
            let known = || self.plan.handlers.keys().map(String::as_str).collect();
            let cure = self.problems.suggest("handler", handler, known);
            let message = format!("`handlers:` does not name `{handler}`");
            self.problems.add(place("run"), message, cure);
        }
        // Only a `goto` names something that may not be there.
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
        let place = |pointer: &str| with.map_or(guard.at, |node| node.place(pointer));
        self.keep(&guard.with, &place, reach, Wants::Value);
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
            if !self.plan.plugins.contains_key(name) {
                self.unknown_plugin(name, uses.at);
                continue;
            }
            let kind = self.kinds.get(name);
            if kind.is_some_and(|kind| *kind != PluginKind::Guardrail) {
                let message = format!("`{name}` is not a guardrail");
                let all = self.kinds.iter();
                let guardrails: Vec<&str> = all
                    .filter(|(_, kind)| **kind == PluginKind::Guardrail)
                    .map(|(name, _)| *name)
                    .collect();
                let cure = match guardrails.as_slice() {
                    [] => "declare one under `plugins:` with `kind: guardrail`".to_owned(),
                    some => format!("guardrails of this plan: `{}`", some.join("`, `")),
                };
                self.problems.add(uses.at, message, cure);
            }
        }
    }

    fn template(&mut self, template: &Template, node: &Node, reach: &Reach<'_>) {
        self.template_for(template, node, reach, Wants::Value);
    }

    /// A template whose value must be such a one.
    fn template_for(&mut self, template: &Template, node: &Node, reach: &Reach<'_>, wants: Wants) {
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
    fn keep(
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
    fn expr(&mut self, expr: &Expr, at: At, reach: &Reach<'_>) {
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

    fn read(&mut self, reference: &Reference, at: At, reach: &Reach<'_>) {
        let read = Read::of(reference, self.results_name(), reach.own(), at);
        self.reads.extend(read);
    }

    fn reference(&mut self, reference: &Reference, at: At, reach: &Reach<'_>) {
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

    fn cure_for_name(&self, name: &str, reach: &Reach<'_>) -> String {
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
    const fn results_name(&self) -> &'static str {
        match self.plan.body {
            Body::Workflow { .. } => "steps",
            Body::Fsm(_) => "states",
            Body::BehaviorTree(_) => "nodes",
        }
    }

    /// What one of the plan's parts is called.
    const fn part_name(&self) -> &'static str {
        match self.plan.body {
            Body::Workflow { .. } => "step",
            Body::Fsm(_) => "state",
            Body::BehaviorTree(_) => "action",
        }
    }

    /// The parts that expressions may name.
    fn in_file_order(&self) -> Vec<&'p str> {
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

    fn input_reference(&mut self, reference: &Reference, at: At) {
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

    fn result_reference(&mut self, reference: &Reference, at: At, reach: &Reach<'_>) {
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
