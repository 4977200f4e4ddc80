//! What the parts of a plan say about each other.
//!
//! Owns the walk over a plan, and what steps say of steps: needs, handlers, ways out of a failure. Which names an
//! expression may use stands in `names`, which plugins a step may name in `uses`, what state machines, trees and
//! consensus steps have of their own in a module each. Everything that can be known before the run is an error
//! here, with its place. Must not look at anything outside of the file.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flowhost_words::PluginKind;

use crate::plan::faults::{is_astray, unsure_needs};
use crate::plan::foresight::{Stated, Wants};
use crate::plan::keys::is_name;
use crate::plan::reads::Read;
use crate::plan::tree::Node;
use crate::plan::{Body, Plan, Require, Step, Then, Work, labels, limits};
use crate::problem::{At, Problems};

mod behavior;
mod consensus;
mod machine;
mod names;
mod order;
mod reach;
mod uses;

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
        labels::check(plan, root, self.problems);
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
        let places: BTreeMap<&str, At> = nodes
            .iter()
            .rev()
            .filter_map(|it| Some((it.get("id")?.text()?, it.get("that")?.at)))
            .collect();
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
        // An item of one of these names would hide what is in reach beside it, its own number included. `input` is
        // what a prompt calls the step's `with`: in an expression it would read as something else.
        const TAKEN: [&str; 7] = [
            "inputs", "steps", "run", "failure", "output", "input", "index",
        ];
        if TAKEN.contains(&name) || name.contains('-') {
            let at = node.get("as").map_or(node.at, |node| node.at);
            let message = format!("as: `{name}` cannot name an item in expressions");
            self.problems
                .add(at, message, "take a word without `-` that is not taken");
        }
    }
}
