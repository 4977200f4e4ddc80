//! The plan as a value: what it says after parsing, with defaults filled in.
//!
//! Owns the model that checks, hash and planners read. Must never hold a key that nothing enforces:
//! what is in here is obeyed somewhere. Positions are kept for messages and are no part of the hash.

use std::collections::BTreeMap;
use std::sync::Arc;

use flowhost_words::PluginKind;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::budget::BudgetSpec;
use crate::expr::{Expr, Template};
use crate::problem::{At, Places, Problem, Problems};
use crate::retry::RetryPolicy;
use crate::schema_check::OutputSchema;

mod attach;
mod behavior;
mod check;
mod consensus;
mod defaults;
mod evidence;
mod faults;
mod foresight;
mod habits;
mod inputs;
mod keys;
mod labels;
mod machine;
mod order;
mod parse;
mod reads;
mod reference;
mod schema;
mod settled;
mod steps;
#[cfg(test)]
pub(crate) mod tests;
mod tree;
mod variants;
mod walk;
mod yaml_words;

pub use attach::{FileRef, PromptRef, SchemaRef, SubPlanRef};
pub use behavior::{Decorator, NodeKind, Tree, TreeNode};
pub use consensus::{Consensus, Follows, Mode, React, Rule};
pub use evidence::{Document, Evidence, ROLES as DOCUMENT_ROLES, Remember};
pub use faults::Faults;
pub use foresight::{Foresight, Promised};
pub use inputs::FileInput;
pub use machine::{Fsm, State, Transition};
pub use reads::Read;
pub use reference::plan_reference;
pub use schema::plan_schema;
pub use settled::Settled;
pub use tree::Raw;
pub use variants::{EXPERIMENT, NO_VARIANT, VARIANT, Variants};

/// Size, nesting and count limits of a plan file. Over one of them the file is refused, with the
/// place where it happened.
pub mod limits {
    /// Bytes of a plan file: a thousand generous steps fit in a tenth of it.
    pub const PLAN_BYTES_MAX: usize = 1 << 20;
    /// Bytes of records and payloads of all plugins of a run: 16 files of 256 MiB, more than a run of 10,000
    /// calls with 400 KB each, and less than a disk.
    pub const EVIDENCE_BYTES_MAX: u64 = 4 << 30;
    /// Nesting of lists and maps: twice what a plan needs, and half of what a thread's stack bears in
    /// a debug build (the YAML deserializer recurses).
    pub const DEPTH_MAX: usize = 24;
    /// Nodes after aliases are expanded: what an alias bomb would multiply.
    pub const NODES_MAX: usize = 100_000;
    /// Steps of one plan file: as many as a `foreach` has items. Who comes before whom takes a bit for
    /// each pair, 12 MiB at this number, while the file is checked.
    pub const STEPS_MAX: usize = 10_000;
    /// Nesting of plans in plans: deeper is a loop that nobody saw.
    pub const SUB_PLAN_DEPTH_MAX: usize = 8;
    /// Items of one `foreach`: each has a state of its own in the planner and records in the ledger. A
    /// longer list fails the step.
    pub const ITEMS_MAX: usize = 10_000;
    /// Steps, items and visits of one run with all its sub-plans: some GB of records, and ten times as many as
    /// it makes calls where its budget says nothing. One more halts the run.
    pub const RUN_STEPS_MAX: u64 = 1_000_000;
    /// Attempts of one step: whoever needs more waits for somebody, and a gate says so.
    pub const ATTEMPTS_MAX: u32 = 100;
    /// Transitions of one run of a state machine, and what `max_transitions` may say. Each may be a call and is a
    /// record: a machine that circles comes to its end with a ledger that can still be read.
    pub const TRANSITIONS_MAX: u32 = 10_000;
    /// Attempts of a `retry` node and times of a `repeat` node. Nested they multiply; [`TICKS_MAX`]
    /// bounds the product.
    pub const REPEATS_MAX: u32 = 1_000;
    /// Ticks of one run of a behaviour tree; the next one fails the run with class `limit`. Every end
    /// of an action is a tick, and every turn of a `repeat` or `retry` node that needs no action.
    pub const TICKS_MAX: u32 = 20_000;
    /// Agents of one consensus: each pair of answers is compared, and each answer is held until the end.
    pub const AGENTS_MAX: usize = 16;
    /// Items of one `foreach` at work at once: as many instances as a plugin may have at most.
    pub const PARALLEL_MAX: u32 = 1_024;
}

/// A plan, parsed and checked.
///
/// # Examples
/// ```
/// use flowhost_flow::Plan;
///
/// let text = "flowhost: v1\nkind: workflow\nname: hello\n\
///             plugins: { say: { kind: tool, source: 'builtin:say', profile: tool-pure } }\n\
///             steps: { greet: { uses: say, with: { text: hello } } }\n";
/// let plan = Plan::parse(text, "plan.yaml").unwrap();
/// assert_eq!(plan.steps()[0].id, "greet");
/// ```
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// The file's name as the caller gave it; no part of the hash.
    #[serde(skip)]
    pub file: String,
    /// What it does, by kind.
    #[serde(flatten)]
    pub body: Body,
    /// Name of the plan.
    pub name: String,
    /// For people; no part of the hash.
    #[serde(skip)]
    pub description: String,
    /// Where that is written; nowhere, where it is not.
    #[serde(skip)]
    pub description_at: At,
    /// Labels, rendered when the run starts ([`Plan::render_labels`]).
    pub labels: BTreeMap<String, Template>,
    /// Declared inputs.
    pub inputs: BTreeMap<String, InputDecl>,
    /// Named sets of values for inputs; the input `variant` chooses one.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub variants: Variants,
    /// Declared plugins, without those of sub-plans ([`Plan::all_plugins`] has them all).
    pub plugins: BTreeMap<String, PluginDecl>,
    /// Budget of the run.
    pub budget: BudgetSpec,
    /// Where that is written; nowhere, where it is not.
    #[serde(skip)]
    pub budget_at: At,
    /// Bytes of records and payloads that all plugins of the run may leave, where the plan says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence_bytes: Option<u64>,
    /// Time the whole run may take, in milliseconds.
    pub timeout_ms: u64,
    /// Handlers that `on_failure` names; only workflows have any.
    #[serde(serialize_with = "shared")]
    pub handlers: BTreeMap<String, Arc<Step>>,
    /// Guardrails that apply where nothing else is said: to steps without their own (copied into
    /// them), and to calls that plugins make to each other.
    #[serde(skip_serializing_if = "Guardrails::is_empty")]
    pub guardrails: Guardrails,
    /// What the run returns.
    pub outputs: BTreeMap<String, Template>,
    /// What its expressions read of outputs.
    #[serde(skip)]
    pub(crate) reads: Vec<Read>,
    /// Its expressions, with their places.
    #[serde(skip)]
    pub(crate) stated: Vec<foresight::Stated>,
    /// Where something is wrong with it.
    #[serde(skip)]
    pub(crate) faults: Faults,
    /// Attached sub-plans, by reference.
    #[serde(serialize_with = "shared")]
    pub(crate) children: BTreeMap<String, Arc<Plan>>,
    /// Attached schema files, by path.
    pub(crate) schemas: BTreeMap<String, OutputSchema>,
    /// Attached prompts, by path.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", serialize_with = "texts")]
    pub(crate) prompts: BTreeMap<String, Arc<str>>,
    /// The files that stages leave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// `defaults.redact`; where nothing is said, the run decides by what its plugins may do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redact: Option<Redact>,
    /// `defaults.sealed: none`: what is taken out of payloads is not kept, not even encrypted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unsealed: bool,
}

/// Where keys and personal data are taken out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Redact {
    /// In what a model is asked, and in what it answers.
    pub model: bool,
    /// In payloads of the ledger, in log lines and in reports.
    pub payloads: bool,
}

/// About how many tokens an output is to have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TokenRange {
    /// Least.
    pub min: u64,
    /// Most.
    pub max: u64,
    /// What follows outside of it.
    pub on_fail: OnFail,
}

/// A step's prompt.
#[derive(Clone, Debug, Serialize)]
pub struct Prompt {
    /// The file, relative to the plan; attached with [`Plan::attach_prompt`].
    pub file: String,
    /// Its version, for the evidence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// `defaults.guardrails`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Guardrails {
    /// In this order, before a call.
    pub before: Vec<Guard>,
    /// In this order, after a call.
    pub after: Vec<Guard>,
}

impl Guardrails {
    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.before.is_empty() && self.after.is_empty()
    }
}

/// What a plan does: one of the three kinds.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Body {
    /// `kind: workflow`: steps that need each other.
    Workflow {
        /// Sorted by id: the order of keys in the file means nothing.
        #[serde(serialize_with = "shared_list")]
        steps: Vec<Arc<Step>>,
    },
    /// `kind: fsm`: one state after the other.
    Fsm(Fsm),
    /// `kind: behavior_tree`: nodes that are ticked from the root.
    BehaviorTree(Tree),
}

/// A declared input.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InputDecl {
    /// Name in `inputs.<name>`.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub ty: InputType,
    /// Value when none is given; an input without one is required (a file with a `path` is not).
    pub default: Option<Value>,
    /// The only values allowed, if any are listed.
    #[serde(rename = "enum")]
    pub allowed: Vec<Value>,
    /// `file` and `dir`: where it is when none is given, relative to the plan.
    pub path: Option<String>,
    /// `file`: the SHA-256 that the content must have, lower-case hex.
    pub sha256: Option<String>,
    /// For people; no part of the hash.
    #[serde(skip)]
    pub description: String,
    /// Place in the file.
    #[serde(skip)]
    pub at: At,
}

/// Type of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum InputType {
    /// Text.
    String,
    /// A JSON number.
    Number,
    /// `true` or `false`.
    Bool,
    /// A JSON array.
    List,
    /// A JSON object.
    Object,
    /// The text of a file: the value is its content.
    File,
    /// A directory: the value is its path.
    Dir,
}

/// A declared plugin.
#[derive(Clone, Debug, Serialize)]
pub struct PluginDecl {
    /// Name in `uses:`.
    pub name: String,
    /// What it is.
    pub kind: PluginKind,
    /// `builtin:NAME`, `process:NAME`, `./path.wasm`, `https://…` or `oci://…`.
    pub source: String,
    /// Name or path of the exec profile.
    pub profile: String,
    /// Handed to the plugin, rendered when the run starts; `null` when left out.
    pub config: Template,
    /// The releases that may be in its place, as a range of versions; any where nothing is said.
    pub release: Option<String>,
    /// SHA-256 the component must have, lower-case hex. A remote source needs it, or a lock file that has it.
    pub sha256: Option<String>,
    /// What the plan takes away from the profile, for the policy crate to read.
    pub narrow: Option<Raw>,
    /// Place in the file.
    #[serde(skip)]
    pub at: At,
    /// Places of its parts.
    #[serde(skip)]
    pub places: Places,
}

/// One step (or handler), with defaults filled in.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// Its key under `steps:` (or `handlers:`).
    pub id: String,
    /// Place in the file.
    #[serde(skip)]
    pub at: At,
    /// Places of its parts.
    #[serde(skip)]
    pub places: Places,
    /// Steps that must end first, sorted.
    pub needs: Vec<String>,
    /// Run only if true.
    pub when: Option<Expr>,
    /// Run once per item.
    pub foreach: Option<Foreach>,
    /// What it does.
    pub work: Work,
    /// Input of the work.
    pub with: Template,
    /// Milliseconds one attempt may take, guardrails included.
    pub timeout_ms: u64,
    /// What happens after a failed attempt.
    pub retry: RetryPolicy,
    /// Guardrails that see the input.
    pub before: Vec<Guard>,
    /// Guardrails that see the output.
    pub after: Vec<Guard>,
    /// JSON Schema the output must match.
    pub output_schema: Option<SchemaSource>,
    /// About how many tokens the output is to have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<TokenRange>,
    /// Conditions on the output.
    pub checks: Vec<Check>,
    /// What to do when it has failed for good.
    pub on_failure: OnFailure,
    /// Whether the run goes on when it fails.
    pub continue_on_error: bool,
    /// Names the stage, for evidence.
    pub stage: Option<String>,
    /// What is kept of the stage beyond the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remember: Option<Remember>,
    /// What an agent is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<Prompt>,
    /// A budget of its own, out of the run's.
    pub budget: Option<BudgetSpec>,
    /// What a crash may repeat.
    pub effects: Effects,
    /// What takes its effect back when the run fails after it.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "taken_back")]
    pub compensate: Option<Arc<Step>>,
}

#[expect(clippy::ref_option, reason = "serde hands in a reference to the field")]
fn taken_back<S: Serializer>(step: &Option<Arc<Step>>, serializer: S) -> Result<S::Ok, S::Error> {
    step.as_deref().serialize(serializer)
}

impl Step {
    /// What its result is called in expressions.
    pub(crate) const fn output_name(&self) -> &'static str {
        match self.foreach {
            Some(_) => "outputs",
            None => "output",
        }
    }
}

/// What a step does.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Calls a plugin.
    Call {
        /// Name under `plugins:`.
        plugin: String,
        /// The function, for `uses: plugin/function`.
        function: Option<String>,
    },
    /// Runs another plan.
    Plan {
        /// What follows `plan:`.
        reference: String,
    },
    /// Waits for enough of what it needs.
    Barrier(Barrier),
    /// Waits for a person or another program; no process waits meanwhile.
    Gate(Gate),
    /// Sends a message.
    Emit {
        /// The topic.
        subject: String,
        /// What it says.
        payload: Template,
    },
    /// Asks several agents and makes one output of their answers.
    Consensus(#[serde(serialize_with = "shared_one")] Arc<Consensus>),
}

/// Waits for what comes from outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gate {
    /// What opens it.
    pub wants: Wants,
    /// Milliseconds from when it was reached, on the wall's clock: it also counts while no process runs.
    pub timeout_ms: u64,
    /// What happens when the time is up. A state goes on and takes its own `on_timeout`.
    pub on_timeout: OnTimeout,
    /// Whether a person's no is a failure; a state goes on and decides by `approval`.
    pub rejection_fails: bool,
}

/// What a gate waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wants {
    /// A person's yes or no.
    Approval,
    /// A payload.
    Signal,
}

impl Wants {
    /// The word in plans and records.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Approval => "approval",
            Self::Signal => "signal",
        }
    }
}

/// Runs a step once per item.
#[derive(Clone, Debug, Serialize)]
pub struct Foreach {
    /// A list.
    pub items: Template,
    /// Name of the item in expressions, besides `item`.
    #[serde(rename = "as")]
    pub name: String,
    /// Items at work at once.
    pub max_parallel: u32,
    /// Whether the first failed item stops the others.
    pub fail_fast: bool,
}

/// Waits for enough of what a step needs.
#[derive(Clone, Debug, Serialize)]
pub struct Barrier {
    /// How much is enough.
    pub require: Require,
    /// Milliseconds from the start of the step's first need.
    pub timeout_ms: u64,
    /// What happens when the time is up.
    pub on_timeout: OnTimeout,
}

/// How much of what a barrier needs must be ok. A `foreach` counts by its items.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Require {
    /// All.
    All,
    /// One.
    Any,
    /// This many.
    Count(u32),
    /// This share, 1 to 100, rounded up.
    Percent(u8),
}

/// What a barrier or a gate does when its time is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnTimeout {
    /// It fails with class `timeout`.
    Halt,
    /// It goes on with what there is, and a warning.
    Continue,
}

/// A guardrail on a step.
#[derive(Clone, Debug, Serialize)]
pub struct Guard {
    /// Name under `plugins:`.
    pub plugin: String,
    /// Its configuration.
    pub with: Template,
    /// What a `deny` does.
    pub on_fail: OnFail,
    /// Place in the file.
    #[serde(skip)]
    pub at: At,
}

/// A condition on a step's output.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// Names it in reports.
    pub id: String,
    /// Must be true; sees `output` besides the other names.
    pub that: Expr,
    /// What happens when it is not.
    pub on_fail: OnFail,
}

/// What a guardrail's `deny` or a false check does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFail {
    /// The step fails and the run halts.
    Halt,
    /// A recorded warning.
    Warn,
}

/// What to do when a step has failed for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OnFailure {
    /// Handler to run first.
    pub run: Option<String>,
    /// What then.
    pub then: Then,
}

/// What follows a failed step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// The run ends.
    Halt,
    /// The run goes on; the step's output is `null`.
    Continue,
    /// The run goes on at this later step; what lies between is skipped.
    Goto(String),
}

/// What a crash may repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effects {
    /// Doing it twice is the same as doing it once.
    Idempotent,
    /// The receiver drops what carries a key it has seen.
    Keyed,
    /// Must not happen twice.
    Once,
}

/// Where an output schema comes from.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SchemaSource {
    /// Written in the plan.
    Inline(OutputSchema),
    /// A file, attached with [`Plan::attach_schema`].
    File(String),
}

impl Plan {
    /// Reads and checks a plan.
    ///
    /// # Errors
    /// Everything that is wrong with it, in the order of the file.
    pub fn parse(text: &str, file: &str) -> Result<Plan, Vec<Problem>> {
        match Self::survey(text, file) {
            (Some(plan), problems) if problems.is_empty() => Ok(plan),
            (_, problems) => Err(problems),
        }
    }

    /// Reads a plan as far as it can be read, with everything that is wrong with it. A plan with
    /// problems is only good for finding more of them.
    #[must_use]
    pub fn survey(text: &str, file: &str) -> (Option<Plan>, Vec<Problem>) {
        let mut problems = Problems::new(file);
        let plan = parse::parse(text, file, &mut problems);
        (plan, problems.into_sorted())
    }

    /// Everything of the plan that does work: the steps of a workflow sorted by id, the states of a
    /// state machine that use something, the actions of a behaviour tree. Handlers are not among them.
    #[must_use]
    pub fn steps(&self) -> Vec<&Step> {
        match &self.body {
            Body::Workflow { steps } => steps.iter().map(AsRef::as_ref).collect(),
            Body::Fsm(machine) => {
                let states = machine.states.iter();
                states.filter_map(|state| state.work.as_deref()).collect()
            }
            Body::BehaviorTree(tree) => tree.root.actions(),
        }
    }

    /// Everything that may be done: steps as [`Plan::steps`] has them, handlers, and what takes the effect of one of
    /// those back, with that one.
    #[must_use]
    pub fn everything(&self) -> Vec<(&Step, Option<&Step>)> {
        let handlers = self.handlers.values().map(AsRef::as_ref);
        let all = self.steps().into_iter().chain(handlers);
        all.flat_map(|step| {
            let back = step.compensate.as_deref();
            let back = back.map(|compensation| (compensation, Some(step)));
            std::iter::once((step, None)).chain(back)
        })
        .collect()
    }

    /// The word of its kind in the file.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self.body {
            Body::Workflow { .. } => "workflow",
            Body::Fsm(_) => "fsm",
            Body::BehaviorTree(_) => "behavior_tree",
        }
    }

    /// The step, state or action with this id.
    #[must_use]
    pub fn step(&self, id: &str) -> Option<&Step> {
        match &self.body {
            Body::Workflow { steps } => {
                let index = steps
                    .binary_search_by(|step| step.id.as_str().cmp(id))
                    .ok()?;
                steps.get(index).map(AsRef::as_ref)
            }
            Body::Fsm(machine) => machine.state(id)?.work.as_deref(),
            Body::BehaviorTree(_) => self.steps().into_iter().find(|step| step.id == id),
        }
    }

    /// The compiled schema of a step's output, if it has one (and it was attached).
    #[must_use]
    pub fn schema_of<'a>(&'a self, step: &'a Step) -> Option<&'a OutputSchema> {
        match step.output_schema.as_ref()? {
            SchemaSource::Inline(schema) => Some(schema),
            SchemaSource::File(path) => self.schemas.get(path),
        }
    }

    /// The text of a step's prompt, if it has one (and it was attached).
    #[must_use]
    pub fn prompt_of(&self, step: &Step) -> Option<&Arc<str>> {
        self.prompts.get(&step.prompt.as_ref()?.file)
    }

    /// Renders the labels.
    ///
    /// # Errors
    /// A label whose expression fails on these inputs, or whose value is too long.
    pub fn render_labels(
        &self,
        inputs: &Map<String, Value>,
    ) -> Result<BTreeMap<String, String>, Vec<Problem>> {
        labels::render(self, inputs)
    }
}

fn texts<S: Serializer>(
    prompts: &BTreeMap<String, Arc<str>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(prompts.iter().map(|(path, text)| (path, &**text)))
}

fn shared<S: Serializer, T: Serialize>(
    named: &BTreeMap<String, Arc<T>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(named.iter().map(|(name, value)| (name, value.as_ref())))
}

pub(crate) fn shared_one<S: Serializer, T: Serialize>(
    one: &Arc<T>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    one.serialize(serializer)
}

fn shared_list<S: Serializer, T: Serialize>(
    list: &[Arc<T>],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(list.iter().map(AsRef::as_ref))
}
