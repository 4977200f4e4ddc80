//! A plan on the inputs of one run: what in its steps goes wrong on them, and what its steps are given by them.
//!
//! Speaks only of steps that surely run: whoever is skipped on these inputs, or whose failure the plan lives with, is
//! none of its business. Bounded as a whole, because it is asked of plans that nobody has looked at.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Map, Value};

use crate::effort::Limits;
use crate::expr::kinds::{Kinds, as_condition};
use crate::expr::{EvalError, Expr, Names, Sure, Template};
use crate::plan::{Body, OnFailure, Plan, Step, Then, Work};
use crate::problem::{Problem, Problems, child};

/// Units that all expressions of a plan may cost here: some tenths of a second. What is beyond is left to the run.
pub(super) const COST_MAX: u64 = 2_000_000;
/// Units of one expression.
pub(super) const COST_OF_ONE_MAX: u64 = 100_000;
/// Characters of a value that a message shows.
const SHOWN_CHARS_MAX: usize = 40;

/// A plan with the inputs of a run.
///
/// # Examples
/// ```
/// use flowhost_flow::Plan;
/// use flowhost_flow::plan::Settled;
/// use serde_json::json;
///
/// let text = "flowhost: v1\nkind: workflow\nname: hello\ninputs: { all: { type: list } }\n\
///             plugins: { say: { kind: tool, source: 'builtin:say', profile: tool-pure } }\n\
///             steps: { greet: { uses: say, with: { text: \"${{ inputs.all[3] }}\" } } }\n";
/// let plan = Plan::parse(text, "plan.yaml").unwrap();
/// let inputs = json!({ "all": ["one"] });
/// let problems = Settled::new(&plan, inputs.as_object().unwrap()).problems();
/// let what = "step `greet`: `inputs.all[3]` fails on these inputs: a list of 1 has no element 3";
/// assert_eq!(problems[0].message, what);
/// ```
#[derive(Debug)]
pub struct Settled<'p> {
    plan: &'p Plan,
    inputs: Value,
    /// What may still be spent.
    left: Cell<u64>,
    /// The steps that surely run.
    sure: BTreeSet<&'p str>,
    /// The steps at whose condition the run surely ends.
    undecided: Vec<Undecided<'p>>,
}

/// A step that is surely come to, and whose condition is neither true nor false.
#[derive(Debug)]
struct Undecided<'p> {
    step: &'p Step,
    message: String,
    cure: String,
}

impl<'p> Settled<'p> {
    /// Looks which steps run on these inputs. Where some input has no value yet, nothing is sure.
    #[must_use]
    pub fn new(plan: &'p Plan, inputs: &Map<String, Value>) -> Self {
        let mut settled = Self {
            plan,
            inputs: Value::Object(inputs.clone()),
            left: Cell::new(COST_MAX),
            sure: BTreeSet::new(),
            undecided: Vec::new(),
        };
        // Nor is anything where it is not known which inputs there are.
        let all_declared = !plan.faults.astray() && !plan.faults.touch_section("inputs");
        if all_declared && plan.inputs.keys().all(|name| inputs.contains_key(name)) {
            (settled.sure, settled.undecided) = settled.sure_steps();
        }
        settled
    }

    /// What goes wrong, in the order of the file.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Problems::new(&self.plan.file);
        for Undecided {
            step,
            message,
            cure,
        } in &self.undecided
        {
            problems.add(step.place("/when"), message, cure);
        }
        let steps = self.plan.steps().into_iter();
        for step in steps.filter(|step| self.sure.contains(step.id.as_str())) {
            for (pointer, expr) in step.with.expressions() {
                if let Some(Err(EvalError::Value(why))) = self.value(expr) {
                    let (id, source) = (&step.id, expr.shown());
                    let message = format!("step `{id}`: `{source}` fails on these inputs: {why}");
                    let at = step.place(&format!("/with{pointer}"));
                    problems.add_once(at, message, "give others by `--input`".to_owned());
                }
            }
            if let Work::Plan { reference } = &step.work {
                self.handed_down(step, reference, &mut problems);
            }
        }
        problems.into_sorted()
    }

    /// A step's `with` with the values that these inputs give; none for a step that may not run.
    #[must_use]
    pub fn with(&self, step: &Step) -> Option<Template> {
        // A handler or a compensation may have the name of a step.
        let own = self.plan.step(&step.id);
        let is_own = own.is_some_and(|own| std::ptr::eq(own, step));
        let is_sure = is_own && self.sure.contains(step.id.as_str());
        is_sure.then(|| step.with.settled(&|expr| self.value(expr)?.ok()))
    }

    /// What a sub-plan is given by these inputs, held against its own.
    fn handed_down(&self, step: &Step, reference: &str, problems: &mut Problems) {
        let Some(plan) = self.plan.sub_plan(reference) else {
            return; // that it could not be read has been told
        };
        for (name, input) in &plan.inputs {
            let Some(Sure::Of(expr)) = step.with.member(name) else {
                continue;
            };
            let Some(Ok(value)) = self.value(expr) else {
                continue;
            };
            if let Some((what, _)) = input.misfit(&Sure::Value(&value)) {
                let (id, source) = (&step.id, expr.shown());
                let shown: String = value.to_string().chars().take(SHOWN_CHARS_MAX).collect();
                let message = format!(
                    "step `{id}`: the input `{name}` of `{reference}` {what}: on these inputs `{source}` is `{shown}`"
                );
                let at = step.place(&child("/with", name));
                problems.add_once(at, message, "give another by `--input`".to_owned());
            }
        }
    }

    /// The value of an expression that inputs alone decide, as long as there is something left to spend.
    fn value(&self, expr: &Expr) -> Option<Result<Value, EvalError>> {
        let mut references = expr.references().iter();
        let cost = self.left.get().min(COST_OF_ONE_MAX);
        if cost == 0 || !references.all(|reference| reference.root == "inputs") {
            return None;
        }
        let limits = Limits {
            cost,
            stop: &|| false,
        };
        let names = [("inputs", &self.inputs)];
        let (spent, value) = expr.cost_within(&Names::new(&names), &limits);
        self.left.set(self.left.get().saturating_sub(spent));
        match value {
            Err(EvalError::Cost | EvalError::Large | EvalError::Stopped) => None,
            value => Some(value),
        }
    }

    /// The steps that run whatever the others give, in a plan that goes back or past none of them, and those at whose
    /// condition the run ends.
    fn sure_steps(&self) -> (BTreeSet<&'p str>, Vec<Undecided<'p>>) {
        let (mut sure, mut undecided) = (BTreeSet::new(), Vec::new());
        let Body::Workflow { steps } = &self.plan.body else {
            return (sure, undecided);
        };
        let jumps = |step: &Step| matches!(step.on_failure.then, Then::Goto(_));
        if steps.iter().any(|step| jumps(step)) {
            return (sure, undecided);
        }
        let mut waits: BTreeMap<&str, usize> = BTreeMap::new();
        let mut after: BTreeMap<&str, Vec<&'p Step>> = BTreeMap::new();
        let mut ready: VecDeque<&'p Step> = VecDeque::new();
        for step in steps {
            waits.insert(&step.id, step.needs.len());
            for need in &step.needs {
                after.entry(need).or_default().push(step);
            }
            if step.needs.is_empty() {
                ready.push_back(step);
            }
        }
        while let Some(step) = ready.pop_front() {
            if self.plan.is_faulty(&step.id) {
                continue; // what it does is not known
            }
            let OnFailure { run, then } = &step.on_failure;
            let ends = *then == Then::Halt && run.is_none() && !step.continue_on_error;
            let runs = match self.holds(step) {
                Ok(holds) => holds && ends && step.foreach.is_none(),
                Err((message, cure)) => {
                    let of_step = Undecided {
                        step,
                        message,
                        cure,
                    };
                    undecided.extend(ends.then_some(of_step));
                    false
                }
            };
            if !runs {
                continue; // and none that needs it is sure
            }
            sure.insert(step.id.as_str());
            for next in after.remove(step.id.as_str()).unwrap_or_default() {
                let Some(left) = waits.get_mut(next.id.as_str()) else {
                    debug_assert!(false, "every step has an entry");
                    continue;
                };
                *left = left.saturating_sub(1);
                if *left == 0 {
                    ready.push_back(next);
                }
            }
        }
        (sure, undecided)
    }

    /// Whether the step's condition surely holds.
    ///
    /// # Errors
    /// It is neither true nor false on these inputs: what is wrong, and what to do.
    fn holds(&self, step: &Step) -> Result<bool, (String, String)> {
        let Some(when) = &step.when else {
            return Ok(true);
        };
        let (id, source) = (&step.id, when.shown());
        match self.value(when) {
            Some(Ok(Value::Bool(holds))) => Ok(holds),
            Some(Ok(value)) => {
                let kinds = Kinds::of_value(&value);
                let told = kinds.told();
                let message = format!(
                    "step `{id}`: the condition `{source}` gives {told} on these inputs, not true or false"
                );
                Err((message, as_condition(kinds).to_owned()))
            }
            Some(Err(EvalError::Value(why))) => {
                let message = format!("step `{id}`: `{source}` fails on these inputs: {why}");
                Err((message, "give others by `--input`".to_owned()))
            }
            // It is not known.
            Some(Err(_)) | None => Ok(false),
        }
    }
}
