//! One run of one plan, whatever its kind: the root, or a step that runs a sub-plan. Owns what
//! expressions of that plan can see; the body of the plan decides what happens.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::Amounts;
use crate::consensus::Verdict;
use crate::exit::{Failure, FailureClass, StepStatus};
use crate::expr::{EvalError, Expr, Names, Template};
use crate::handed::Room;
use crate::plan::{Body, Plan, Work};
use crate::planner::core::{Account, Core, ScopeId};
use crate::planner::unit::{Start, Stop, UnitId, Units, as_value};
use crate::planner::{Note, StepSummary};

/// What scopes of all kinds have.
#[derive(Debug)]
pub(super) struct Scope {
    pub(super) id: ScopeId,
    pub(super) plan: Arc<Plan>,
    /// In front of plugin names: empty, or `a.yaml::`.
    pub(super) key_prefix: String,
    /// In front of step paths: empty, or `package/`.
    pub(super) path_prefix: String,
    /// Which attempts of the steps above this belongs to; tells the seeds of two tries apart.
    pub(super) tries: String,
    pub(super) parent: Option<UnitId>,
    pub(super) inputs: Value,
    /// `steps`, `states` or `nodes` in expressions.
    pub(super) results: Value,
    /// `failure` in expressions of a state machine: why it took its last `on_error`.
    pub(super) last_failure: Value,
    /// Units at work, handlers included.
    pub(super) live: usize,
    pub(super) account: Account,
    pub(super) used: Amounts,
    /// Why it stops; the first reason stays.
    pub(super) failure: Option<Failure>,
}

impl Scope {
    pub(super) const fn is_stopping(&self) -> bool {
        self.failure.is_some()
    }

    pub(super) fn path(&self, id: &str) -> String {
        format!("{}{id}", self.path_prefix)
    }

    /// The value of a template, with `more` names in reach.
    pub(super) fn render(
        &self,
        core: &Core,
        template: &Template,
        more: &[(&str, &Value)],
    ) -> Result<Value, EvalError> {
        let run = match template.mentions("run") {
            true => core.run_value(),
            false => Value::Null,
        };
        self.with_names(&run, more, |names| template.render(names))
    }

    /// Whether a condition holds, with `more` names in reach.
    pub(super) fn holds(
        &self,
        core: &Core,
        condition: &Expr,
        more: &[(&str, &Value)],
    ) -> Result<bool, EvalError> {
        let run = match condition.mentions("run") {
            true => core.run_value(),
            false => Value::Null,
        };
        self.with_names(&run, more, |names| condition.holds(names))
    }

    fn with_names<T>(
        &self,
        run: &Value,
        more: &[(&str, &Value)],
        evaluate: impl FnOnce(&Names<'_>) -> Result<T, EvalError>,
    ) -> Result<T, EvalError> {
        let mut names = Vec::with_capacity(4 + more.len());
        names.extend([
            ("inputs", &self.inputs),
            (results_name(&self.plan.body), &self.results),
            ("run", run),
        ]);
        if matches!(self.plan.body, Body::Fsm(_)) {
            names.push(("failure", &self.last_failure));
        }
        names.extend_from_slice(more);
        evaluate(&Names::new(&names))
    }

    pub(super) fn render_outputs(&self, core: &Core) -> Result<Map<String, Value>, Failure> {
        let mut outputs = Map::new();
        let mut room = Room::new();
        let wanted = self.plan.outputs.iter().filter(|(_, template)| {
            let all = self.parent.is_some() || core.setup.only.is_none();
            // A run of one step has no outputs of the steps that it left out.
            all || !self.reads_skipped(template)
        });
        for (name, template) in wanted {
            let rendered = self.render(core, template, &[]);
            let fitting = rendered.and_then(|value| room.fit(value));
            let value = fitting.map_err(|error| {
                let message = format!("output `{name}`: {error}");
                Failure::new(FailureClass::Expression, message)
            })?;
            outputs.insert(name.clone(), value);
        }
        Ok(outputs)
    }

    /// Whether the template reads a step that was skipped.
    fn reads_skipped(&self, template: &Template) -> bool {
        let steps = results_name(&self.plan.body);
        let read = template.references().into_iter();
        let mut read = read.filter(|(_, reference)| reference.root == steps);
        read.any(|(_, reference)| {
            let step = reference.path.first().and_then(|id| self.results.get(id));
            let status = step.and_then(|step| step.get("status")?.as_str());
            status == Some(StepStatus::Skipped.word())
        })
    }

    /// Sets what expressions see of a step, state or node.
    pub(super) fn set_result(&mut self, id: &str, name: &str, status: StepStatus, output: Value) {
        let mut result = Map::new();
        result.insert(name.to_owned(), output);
        result.insert("status".to_owned(), Value::from(status.word()));
        if let Value::Object(results) = &mut self.results {
            results.insert(id.to_owned(), Value::Object(result));
        }
    }

    /// Adds what a step's consensus came to, to what expressions see of it; `null` when it never came to
    /// anything.
    pub(super) fn set_consensus(&mut self, id: &str, verdict: Option<&Verdict>) {
        if let Some(Value::Object(result)) = self.results.get_mut(id) {
            result.insert(
                "consensus".to_owned(),
                verdict.map_or(Value::Null, as_value),
            );
        }
    }

    /// A finished sub-plan's values are not needed any more.
    pub(super) fn free(&mut self) {
        self.results = Value::Null;
        self.inputs = Value::Null;
    }
}

/// What the results of the plan's parts are called in its expressions.
const fn results_name(body: &Body) -> &'static str {
    match body {
        Body::Workflow { .. } => "steps",
        Body::Fsm(_) => "states",
        Body::BehaviorTree(_) => "nodes",
    }
}

/// What expressions see of the plan's parts before anything ran.
pub(super) fn pending_results(plan: &Plan) -> Value {
    let pending = |id: &str, name: &str| {
        let result = json!({ name: null, "status": StepStatus::Pending.word() });
        (id.to_owned(), result)
    };
    let results: Map<String, Value> = match &plan.body {
        Body::Fsm(machine) => {
            let states = machine.states.iter();
            states.map(|state| pending(&state.id, "output")).collect()
        }
        _ => {
            let steps = plan.steps().into_iter();
            steps
                .map(|step| {
                    let (id, mut result) = pending(&step.id, step.output_name());
                    if let (Work::Consensus(_), Value::Object(result)) = (&step.work, &mut result) {
                        result.insert("consensus".to_owned(), Value::Null);
                    }
                    (id, result)
                })
                .collect()
        }
    };
    Value::Object(results)
}

/// What the body of a plan may reach while it decides.
pub(super) struct Ctx<'a> {
    pub(super) core: &'a mut Core,
    pub(super) units: &'a mut Units,
    pub(super) scope: &'a mut Scope,
}

impl Ctx<'_> {
    pub(super) fn start(&mut self, start: Start) -> UnitId {
        self.scope.live += 1;
        self.units.start(self.core, self.scope, start)
    }

    pub(super) fn stop(&mut self, unit: UnitId, stop: Stop) {
        self.units.stop(self.core, self.scope, unit, stop);
    }

    pub(super) fn stop_all(&mut self) {
        for unit in self.units.of_scope(self.scope.id) {
            self.stop(unit, Stop::Cancelled);
        }
    }
}

/// The path of a visit: the first has that of the part itself, so that a plan without loops reads as
/// it is written.
pub(super) fn visit_path(path: &str, visit: u32) -> String {
    match visit {
        0 | 1 => path.to_owned(),
        _ => format!("{path}#{visit}"),
    }
}

/// Says that a part of a plan never ran: because the run ended first, or because the way did not lead there.
pub(super) fn skipped(ctx: &mut Ctx<'_>, id: &str, stage: Option<String>) {
    let status = match ctx.scope.is_stopping() {
        true => StepStatus::Cancelled,
        false => StepStatus::Skipped,
    };
    never_ran(ctx, id, stage, status);
}

/// Says with which word a part of a plan never ran.
pub(super) fn never_ran(ctx: &mut Ctx<'_>, id: &str, stage: Option<String>, status: StepStatus) {
    let path = ctx.scope.path(id);
    ctx.core.note(Note::StepEnded(StepSummary {
        step_id: ctx.core.step_id(&path),
        path,
        stage,
        status,
        attempts: 0,
        duration_ms: 0,
        used: Amounts::default(),
        failure: None,
    }));
    ctx.scope
        .set_result(id, "output", StepStatus::Skipped, Value::Null);
}
