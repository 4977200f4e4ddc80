//! What of a plan's expressions is certainly wrong, and what their values cannot fit, before anything runs: held
//! against what the plan declares, and against what tools promise to give.
//!
//! Must tell nothing that could come right in a run. What a step gives may be null, because it may have been skipped.

use std::cell::Cell;
use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::consensus::Verdict;
use crate::effort::Limits;
use crate::expr::kinds::{Kinds, Known, as_condition};
use crate::expr::{Expr, Given, Names, Reference, Sure, Template};
use crate::plan::settled::{COST_MAX, COST_OF_ONE_MAX};
use crate::plan::{Body, Foreach, InputType, Plan, Step, Wants as Awaits, Work};
use crate::problem::{At, Problem, Problems, child};
use crate::schema_check::{Compiled, Misfit};

/// Items of one written list that are looked at: to hold a hundred of them against a tool's schema takes some
/// milliseconds. A longer list is judged item by item in the run.
pub(super) const ITEMS_FORESEEN_MAX: usize = 100;

/// An expression of a plan, where it stands, and what it must give there.
#[derive(Clone, Debug)]
pub(crate) struct Stated {
    pub(super) at: At,
    pub(super) expr: Expr,
    pub(super) wants: Wants,
    /// The step whose output it sees as `output`.
    pub(super) own: Option<String>,
    /// The step whose item it sees.
    pub(super) each: Option<String>,
}

impl Stated {
    pub(super) fn of(
        expr: &Expr,
        at: At,
        wants: Wants,
        own: Option<&Step>,
        each: Option<&Step>,
    ) -> Self {
        Self {
            at,
            expr: expr.clone(),
            wants,
            own: own.map(|step| step.id.clone()),
            each: each.map(|step| step.id.clone()),
        }
    }
}

/// What an expression must give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wants {
    /// Any value.
    Value,
    /// True or false.
    Condition,
    /// A list.
    Items,
}

/// JSON Schemas of what steps hand on, by step: what somebody promises who is held to it.
pub type Promised<'s> = BTreeMap<&'s str, &'s Value>;

/// A plan with what is known of its values before it runs.
///
/// # Examples
/// ```
/// use flowhost_flow::Plan;
/// use flowhost_flow::plan::{Foresight, Promised};
///
/// let text = "flowhost: v1\nkind: workflow\nname: hello\ninputs: { n: { type: number } }\n\
///             plugins: { say: { kind: tool, source: 'builtin:say', profile: tool-pure } }\n\
///             steps: { greet: { uses: say, when: \"inputs.n < '3'\" } }\n";
/// let plan = Plan::parse(text, "plan.yaml").unwrap();
/// let problems = Foresight::new(&plan, &Promised::new()).problems();
/// assert_eq!(problems[0].message, "`inputs.n < '3'`: `<` does not go with a number and text");
/// ```
#[derive(Debug)]
pub struct Foresight<'p> {
    plan: &'p Plan,
    inputs: Known<'p>,
    results: Known<'p>,
    run: Known<'p>,
    failure: Known<'p>,
    verdict: Known<'p>,
    /// Of each step that runs once or per item: what one of its runs gives.
    outputs: BTreeMap<&'p str, Known<'p>>,
    schemas: Compiled<'p>,
    /// What expressions that items alone decide may still cost.
    left: Cell<u64>,
}

impl<'p> Foresight<'p> {
    /// Looks at what the plan declares and at what is promised.
    #[must_use]
    pub fn new(plan: &'p Plan, promised: &Promised<'p>) -> Self {
        let inputs = plan.inputs.iter().map(|(name, input)| {
            let known = match plan.faults.touch("inputs", name) {
                true => Known::ANYTHING,
                false => Known::of(input.ty.kinds()),
            };
            (name.clone(), known)
        });
        let mut outputs = BTreeMap::new();
        let mut results = BTreeMap::new();
        for step in plan.steps() {
            if plan.gives_unsure(step) {
                results.insert(step.id.clone(), Known::ANYTHING);
                outputs.insert(step.id.as_str(), Known::ANYTHING);
                continue;
            }
            let given = given(plan, step, promised);
            let of_all = match step.foreach {
                Some(_) => Known::list(given.clone().or_null()),
                None => given.clone(),
            };
            let mut members = BTreeMap::from([
                (step.output_name().to_owned(), of_all.or_null()),
                ("status".to_owned(), Known::of(Kinds::TEXT)),
            ]);
            if let Work::Consensus(_) = step.work {
                members.insert("consensus".to_owned(), verdict());
            }
            results.insert(step.id.clone(), Known::object(members));
            outputs.insert(step.id.as_str(), given);
        }
        Self {
            plan,
            inputs: Known::object(inputs.collect()),
            results: Known::object(results),
            run: run(),
            failure: failure(),
            verdict: verdict(),
            outputs,
            schemas: Compiled::default(),
            left: Cell::new(COST_MAX),
        }
    }

    /// What is certainly wrong, in the order of the file.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Problems::new(&self.plan.file);
        for stated in &self.plan.stated {
            if problems.is_full() {
                break;
            }
            self.judge(stated, &mut problems);
        }
        for (step, _) in self.plan.everything() {
            if let Work::Plan { reference } = &step.work {
                self.handed_down(step, reference, &mut problems);
            }
        }
        problems.into_sorted()
    }

    /// Why nothing can be held against `schema`, if so.
    #[must_use]
    pub fn unusable(&self, schema: &'p Value) -> Option<String> {
        self.schemas.of(schema).err()
    }

    /// What of a step's `with` cannot fit `schema`, whatever is handed on to the step.
    #[must_use]
    pub fn misfits(&self, with: &Template, schema: &'p Value) -> Vec<Misfit> {
        with.misfits_of(schema, &self.schemas, &|expr| self.kinds(expr, None))
    }

    /// What is known of the value that a step's `with` gives.
    #[must_use]
    pub fn given<'t>(&self, with: &'t Template) -> Given<'t> {
        with.given(&|expr| self.kinds(expr, None))
    }

    /// The first item that a step's `foreach` has written out and of which its `with` cannot fit `schema`, counted
    /// from 0, with what does not fit. Of a long list the first hundred are looked at.
    #[must_use]
    pub fn misfit_of_items(&self, step: &Step, schema: &'p Value) -> Option<(usize, Vec<Misfit>)> {
        let foreach = step.foreach.as_ref()?;
        let items = foreach.items.settled(&|expr| self.value(expr, &[]));
        let items = items.constant()?.as_array()?.iter();
        items
            .enumerate()
            .take(ITEMS_FORESEEN_MAX)
            .find_map(|(index, item)| {
                let number = Value::from(index);
                let names = [
                    ("item", item),
                    ("index", &number),
                    (foreach.name.as_str(), item),
                ];
                let with = step.with.settled(&|expr| self.value(expr, &names));
                let misfits = self.misfits(&with, schema);
                (!misfits.is_empty()).then_some((index, misfits))
            })
    }

    /// The value of an expression that these names alone decide, as long as there is something left to spend.
    fn value(&self, expr: &Expr, names: &[(&str, &Value)]) -> Option<Value> {
        let known = |root: &str| names.iter().any(|(name, _)| *name == root);
        let mut references = expr.references().iter();
        let cost = self.left.get().min(COST_OF_ONE_MAX);
        if cost == 0 || !references.all(|reference| known(&reference.root)) {
            return None;
        }
        let limits = Limits {
            cost,
            stop: &|| false,
        };
        let (spent, value) = expr.cost_within(&Names::new(names), &limits);
        self.left.set(self.left.get().saturating_sub(spent));
        value.ok()
    }

    fn judge(&self, stated: &Stated, problems: &mut Problems) {
        let own = stated.own.as_deref();
        let each = stated.each.as_deref().and_then(|id| self.plan.step(id));
        // What `consensus` is where agents come to something and items are called so as well is left to the run.
        let each = each.filter(|step| !self.is_consensus(&step.id));
        let item = each.and_then(|step| step.foreach.as_ref());
        let item = item.and_then(|foreach| Some((foreach.name.as_str(), item_of(foreach)?)));
        let (known, wrong) = stated.expr.foreseen(&|name| match &item {
            Some((other, known)) if name == "item" || name == *other => known.clone(),
            _ => self.name(name, own),
        });
        if let Some(wrong) = wrong {
            problems.add_once(stated.at, wrong.what, wrong.cure);
            return;
        }
        let kinds = known.kinds;
        let source = stated.expr.shown();
        let (what, cure) = match stated.wants {
            Wants::Condition if !kinds.meets(Kinds::BOOL) => {
                let told = kinds.told();
                let what = format!("the condition `{source}` gives {told}, not true or false");
                (what, as_condition(kinds))
            }
            Wants::Items if !kinds.meets(Kinds::LIST) => {
                let what = format!(
                    "`items` of `foreach`: `{source}` gives {}, not a list",
                    kinds.told()
                );
                (what, "")
            }
            Wants::Value | Wants::Items if !kinds.meets(Kinds::JSON) => {
                let what = format!(
                    "`{source}` gives {}, which no value of a plan is",
                    kinds.told()
                );
                (what, "say what holds without it: `….orValue(…)`")
            }
            _ => return,
        };
        problems.add_once(stated.at, what, cure.to_owned());
    }

    /// What a step hands to the plan that it runs, where an expression gives it.
    fn handed_down(&self, step: &Step, reference: &str, problems: &mut Problems) {
        let Some(child_plan) = self.plan.sub_plan(reference) else {
            return; // that it could not be read has been told
        };
        for (name, input) in &child_plan.inputs {
            let Some(Sure::Of(expr)) = step.with.member(name) else {
                continue;
            };
            let kinds = self.kinds(expr, None);
            if kinds.meets(input.ty.kinds()) {
                continue;
            }
            let message = format!(
                "step `{}`: the input `{name}` of `{reference}` is {}, and `{}` gives {}",
                step.id,
                input.ty.one(),
                expr.shown(),
                kinds.told()
            );
            let at = step.place(&child("/with", name));
            problems.add_once(at, message, String::new());
        }
    }

    fn kinds(&self, expr: &Expr, own: Option<&str>) -> Kinds {
        expr.known(&|name| self.name(name, own)).kinds
    }

    /// Whether `consensus` is what agents come to in this step; elsewhere an item may be called so.
    fn is_consensus(&self, id: &str) -> bool {
        let step = self.plan.step(id);
        step.is_some_and(|step| matches!(step.work, Work::Consensus(_)))
    }

    fn name(&self, name: &str, own: Option<&str>) -> Known<'p> {
        let results = match self.plan.body {
            Body::Workflow { .. } => "steps",
            Body::Fsm(_) => "states",
            Body::BehaviorTree(_) => "nodes",
        };
        let known = match (name, own) {
            ("inputs", _) => Some(&self.inputs),
            ("run", _) => Some(&self.run),
            ("failure", _) => Some(&self.failure),
            ("output", Some(own)) => self.outputs.get(own),
            ("consensus", Some(own)) if self.is_consensus(own) => Some(&self.verdict),
            (name, _) if name == results => Some(&self.results),
            _ => None,
        };
        known.cloned().unwrap_or(Known::ANYTHING)
    }
}

/// What expressions see of what a consensus came to; null where it came to nothing.
fn verdict() -> Known<'static> {
    let members = Verdict::MEMBERS.map(|name| (name.to_owned(), Known::ANYTHING));
    Known::record(members.into()).or_null()
}

/// What expressions see of the run, as its planner hands it to them.
fn run() -> Known<'static> {
    let text = |name: &str| (name.to_owned(), Known::of(Kinds::TEXT));
    let used = ["total_usd", "tokens", "calls", "fuel"];
    let used = used.map(|name| (name.to_owned(), Known::of(Kinds::NUMBER)));
    let cost = ("cost".to_owned(), Known::record(used.into()));
    Known::record([text("id"), text("plan_hash"), cost].into())
}

/// What they see of a failure; null where nothing has failed yet, which a state machine may ask.
fn failure() -> Known<'static> {
    let members = ["class", "owner", "message", "hint", "step"];
    let members = members.map(|name| (name.to_owned(), Known::of(Kinds::TEXT)));
    Known::record(members.into()).or_null()
}

/// What one run of the step gives, as far as somebody is held to it.
fn given<'p>(plan: &'p Plan, step: &'p Step, promised: &Promised<'p>) -> Known<'p> {
    // It is held against the output as guardrails left it.
    if let Some(schema) = plan.schema_of(step) {
        return Known::schema(schema.written());
    }
    // A guardrail may hand on another value than the plugin's.
    if !step.after.is_empty() {
        return Known::ANYTHING;
    }
    match &step.work {
        Work::Plan { .. } => Known::of(Kinds::OBJECT),
        Work::Call { .. } => match promised.get(step.id.as_str()) {
            Some(schema) => Known::schema(schema),
            None => Known::ANYTHING,
        },
        Work::Gate(gate) => spoken(gate.wants),
        Work::Barrier(_) | Work::Emit { .. } | Work::Consensus(_) => Known::ANYTHING,
    }
}

/// What is known of the item of a `foreach` whose items are written out: a member that one of them has may be there.
fn item_of(foreach: &Foreach) -> Option<Known<'static>> {
    let items = foreach.items.constant()?.as_array()?;
    if items.len() > ITEMS_FORESEEN_MAX {
        return None;
    }
    let all: Option<Vec<&Map<String, Value>>> = items.iter().map(Value::as_object).collect();
    let members = match all {
        Some(all) if !all.is_empty() => all.into_iter().flat_map(Map::keys),
        _ => return None,
    };
    let members = members.map(|name| (name.clone(), Known::ANYTHING));
    Some(Known::record(members.collect()))
}

/// What a gate hands on, whoever spoke to it, and also where its time was up.
fn spoken(wants: Awaits) -> Known<'static> {
    let of = |name: &str, kinds: Kinds| (name.to_owned(), Known::of(kinds));
    let timed_out = of("timed_out", Kinds::BOOL);
    let members = match wants {
        Awaits::Approval => vec![
            of("approved", Kinds::BOOL),
            of("by", Kinds::TEXT),
            of("note", Kinds::TEXT),
            timed_out,
        ],
        Awaits::Signal => vec![("payload".to_owned(), Known::ANYTHING), timed_out],
    };
    Known::record(members.into_iter().collect())
}

impl InputType {
    const fn kinds(self) -> Kinds {
        match self {
            Self::String | Self::File | Self::Dir => Kinds::TEXT,
            Self::Number => Kinds::NUMBER,
            Self::Bool => Kinds::BOOL,
            Self::List => Kinds::LIST,
            Self::Object => Kinds::OBJECT,
        }
    }
}

impl Plan {
    /// What a template will be, where nothing but the run's inputs decides it.
    #[must_use]
    pub fn known(&self, template: &Template, inputs: &Map<String, Value>) -> Option<Value> {
        known_by(template, inputs, &[])
    }

    /// The input of a step for one of its items, counted from 0, where nothing but that item and the run's inputs
    /// decides it.
    #[must_use]
    pub fn known_of_item(
        &self,
        step: &Step,
        inputs: &Map<String, Value>,
        (index, item): (usize, &Value),
    ) -> Option<Value> {
        let foreach = step.foreach.as_ref()?;
        let index = Value::from(index);
        let mut names = vec![("item", item), ("index", &index)];
        if foreach.name != "item" {
            names.push((foreach.name.as_str(), item));
        }
        known_by(&step.with, inputs, &names)
    }

    /// Whether a template asks for inputs while not every input has a value, as where one was refused or comes
    /// later: what it will be is not known then.
    #[must_use]
    pub fn awaits_inputs(&self, template: &Template, inputs: &Map<String, Value>) -> bool {
        let all = self.inputs.keys().all(|name| inputs.contains_key(name));
        let asks = |(_, reference): &(String, &Reference)| reference.root == "inputs";
        !all && template.references().iter().any(asks)
    }
}

/// What a template will be, where nothing but these inputs and names decides it.
fn known_by(
    template: &Template,
    inputs: &Map<String, Value>,
    more: &[(&str, &Value)],
) -> Option<Value> {
    let is_known = |root: &str| root == "inputs" || more.iter().any(|(name, _)| *name == root);
    let references = template.references();
    let all_known = references
        .iter()
        .all(|(_, reference)| is_known(&reference.root));
    let inputs = Value::Object(inputs.clone());
    let mut names = vec![("inputs", &inputs)];
    names.extend_from_slice(more);
    // An expression that fails on these values is told of when its step runs.
    all_known.then(|| template.render(&Names::new(&names)).ok())?
}
