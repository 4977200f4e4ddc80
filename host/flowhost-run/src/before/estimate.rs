//! What a plan's model calls will cost: told before a run, and held against what they did cost.
//!
//! A step that ran before is expected to cost what it did in the newest runs of the same plan; one that did
//! not, what its prompt, its items and its turns allow. Both are views: of the ledgers of earlier runs, and
//! of the plan. Each is a range, because nobody knows more; budgets decide, and an estimate only says
//! beforehand that one cannot suffice.

mod ceilings;
mod history;
mod opening;
mod weight;

use std::collections::BTreeMap;

use flowhost_flow::Plan;
use flowhost_flow::plan::{Body, Step, Then, Work};
use flowhost_flow::units::micro_usd_to_usd;
use flowhost_models::Gateway;
use flowhost_policy::ModelGrant;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::base::failure::Failure;
use crate::base::finding::Finding;
use crate::base::state::State;
use crate::given::project::{Project, file_of};
pub use crate::given::world::Past;
pub(super) use ceilings::Money;
use ceilings::{Ceiling, Share, Whose};
use history::History;
use opening::Asks;
pub(super) use weight::ANSWER_TOKENS;
use weight::Weight;

/// The agent whose words are known before a run, and whose configuration says how long its answers may be; another may
/// ask for shorter ones than its own says.
pub(super) const LLM_AGENT: &str = "builtin:llm-agent";
/// Earlier runs from which on the least and the most of them are told as what a step lies between. Of two, either may have
/// been an accident.
const RUNS_TELLING: u64 = 3;

/// Tokens and money.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    /// Prompt and completion.
    pub tokens: u64,
    /// Millionths of a US dollar.
    pub micro_usd: u64,
}

impl Amount {
    /// What a grant lets a plugin spend in a run.
    pub(super) const fn granted(grant: &ModelGrant) -> Self {
        Self {
            tokens: grant.tokens,
            micro_usd: grant.micro_usd,
        }
    }

    fn add(&mut self, other: Self) {
        self.tokens = self.tokens.saturating_add(other.tokens);
        self.micro_usd = self.micro_usd.saturating_add(other.micro_usd);
    }

    fn mean(self, count: u64) -> Self {
        let count = count.max(1);
        Self {
            tokens: self.tokens.div_ceil(count),
            micro_usd: self.micro_usd.div_ceil(count),
        }
    }

    fn times(self, count: u64) -> Self {
        Self {
            tokens: self.tokens.saturating_mul(count),
            micro_usd: self.micro_usd.saturating_mul(count),
        }
    }

    fn least(self, other: Self) -> Self {
        Self {
            tokens: self.tokens.min(other.tokens),
            micro_usd: self.micro_usd.min(other.micro_usd),
        }
    }

    fn most(self, other: Self) -> Self {
        Self {
            tokens: self.tokens.max(other.tokens),
            micro_usd: self.micro_usd.max(other.micro_usd),
        }
    }
}

/// What something may cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Range {
    /// No less, if all that is certain to run does.
    pub low: Amount,
    /// What it will probably be.
    pub likely: Amount,
    /// No more; none where only the run will know.
    pub high: Option<Amount>,
}

impl Range {
    /// A step that had spent this when it failed costs no less if it does not.
    fn no_less_than(self, spent: Amount) -> Self {
        Self {
            likely: self.likely.most(spent),
            high: self.high.map(|high| high.most(spent)),
            ..self
        }
    }

    fn add(&mut self, other: Self) {
        self.low.add(other.low);
        self.likely.add(other.likely);
        self.high = self.high.zip(other.high).map(|(mut sum, high)| {
            sum.add(high);
            sum
        });
    }
}

/// What a number rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// Earlier runs of the same plan.
    History,
    /// The size of the prompt, and the items and turns that the plan allows.
    Prompt,
    /// Nothing: the model is not known before the run.
    Unknown,
}

/// What a step needs to make its first model call: a call holds what its prompt and `max_tokens` can come to, so that
/// a budget may be too small although the answer would be short.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct First {
    /// No call of the step begins with less.
    pub least: Amount,
    /// With room for what only the agent knows: its own words, and the tools that it offers.
    pub enough: Amount,
}

/// One step that may ask a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepEstimate {
    /// The models that are asked in it, each once, where the plugins' configurations name them.
    pub models: Vec<String>,
    /// What its first call needs; none where it may not make one, or the run can do without it.
    pub first: Option<First>,
    /// What it will cost; none where nobody can know.
    pub expected: Option<Range>,
    /// What that rests on.
    pub basis: Basis,
    /// Earlier runs that it rests on.
    pub runs: u64,
}

/// A whole plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Estimate {
    /// By the step's path, without items.
    pub steps: BTreeMap<String, StepEstimate>,
    /// What the steps may spend, the plan's budget first.
    ceilings: Vec<Ceiling>,
}

impl Estimate {
    /// Leaves out what a run of one step does not do.
    pub(crate) fn of_only(&mut self, plan: &Plan, only: Option<&str>) {
        if let Some(only) = only {
            let wanted = plan.with_needs(only);
            // A sub-plan's steps are those of the step that runs it.
            let is_done = |path: &str| path.split('/').next().is_some_and(|id| wanted.contains(id));
            self.steps.retain(|path, _| is_done(path));
            for ceiling in &mut self.ceilings {
                ceiling.shares.retain(|share| is_done(&share.path));
            }
        }
    }

    /// The sum of what is known. It has an upper end only where every step has one.
    #[must_use]
    pub fn total(&self) -> Range {
        let mut total = Range {
            high: Some(Amount::default()),
            ..Range::default()
        };
        for step in self.steps.values() {
            // A step that nobody knows anything of costs something between nothing and anything.
            total.add(step.expected.unwrap_or_default());
        }
        total
    }

    /// What the steps will probably cost of which somebody knows it; none where nobody knows it of any, which is not
    /// nothing.
    #[must_use]
    pub fn likely(&self) -> Option<Amount> {
        let is_known = self.steps.values().any(|it| it.expected.is_some());
        is_known.then(|| self.total().likely)
    }

    /// Names the estimate in the records of what is spent: the hash of its document, and empty where no
    /// model may be asked.
    #[must_use]
    pub fn id(&self) -> String {
        if self.steps.is_empty() {
            return String::new();
        }
        let document = serde_json::to_vec(&self.document());
        debug_assert!(
            document.is_ok(),
            "names and numbers, of which none is infinite"
        );
        let document = document.unwrap_or_default();
        format!("sha256:{}", hex::encode(Sha256::digest(document)))
    }

    /// The steps of which nobody knows what they cost.
    pub fn unknown(&self) -> impl Iterator<Item = &str> {
        let unknown = self.steps.iter().filter(|(_, it)| it.expected.is_none());
        unknown.map(|(path, _)| path.as_str())
    }

    /// Why the run cannot be paid for, if a budget, or what a plugin may spend, is below what it cannot do without.
    #[must_use]
    pub fn exceeds(&self) -> Option<Failure> {
        ceilings::exceeded(&self.ceilings)
    }

    /// The reasons of that, each at the place of its limit.
    #[must_use]
    pub fn shortfalls(&self) -> Vec<Finding> {
        ceilings::shortfalls(self.ceilings.iter())
    }

    /// The same of budgets alone: what a plugin may spend is told where its rights are looked at.
    #[must_use]
    pub fn short_budgets(&self) -> Vec<Finding> {
        ceilings::shortfalls(self.ceilings.iter().filter(|it| it.is_budget()))
    }

    /// What is to be said of budgets that can suffice, and probably do not.
    #[must_use]
    pub fn doubts(&self) -> Vec<String> {
        ceilings::doubts(&self.ceilings)
    }

    /// The document of `run --estimate --json` and of `validate --json`.
    #[must_use]
    pub fn document(&self) -> EstimateDocument {
        let total = self.total();
        let step = |it: &StepEstimate| StepDocument {
            model: it.model(),
            tokens: it.expected.map(|it| it.likely.tokens),
            usd: it.expected.map(|it| micro_usd_to_usd(it.likely.micro_usd)),
            low: it.expected.map(|it| it.low.into()),
            high: it.expected.and_then(|it| it.high).map(AmountDocument::from),
            basis: it.basis,
            runs: it.runs,
        };
        let is_known = self.unknown().next().is_none();
        EstimateDocument {
            tokens: is_known.then_some(total.likely.tokens),
            usd: is_known.then(|| micro_usd_to_usd(total.likely.micro_usd)),
            low: total.low.into(),
            high: total.high.map(AmountDocument::from),
            steps: self
                .steps
                .iter()
                .map(|(path, it)| (path.clone(), step(it)))
                .collect(),
        }
    }
}

impl StepEstimate {
    /// The models, as a person reads them: `a/x, b/y`.
    #[must_use]
    pub fn model(&self) -> Option<String> {
        (!self.models.is_empty()).then(|| self.models.join(", "))
    }
}

/// See [`Estimate::document`]: the likely amounts, and what they lie between. A `high` of null says that
/// only the run will know; `tokens` and `usd` of null, that nobody knows what one of the steps costs.
#[derive(Debug, Clone, Serialize)]
pub struct EstimateDocument {
    tokens: Option<u64>,
    usd: Option<f64>,
    low: AmountDocument,
    high: Option<AmountDocument>,
    steps: BTreeMap<String, StepDocument>,
}

#[derive(Debug, Clone, Serialize)]
struct StepDocument {
    model: Option<String>,
    tokens: Option<u64>,
    usd: Option<f64>,
    low: Option<AmountDocument>,
    high: Option<AmountDocument>,
    basis: Basis,
    runs: u64,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct AmountDocument {
    tokens: u64,
    usd: f64,
}

impl From<Amount> for AmountDocument {
    fn from(amount: Amount) -> Self {
        Self {
            tokens: amount.tokens,
            usd: micro_usd_to_usd(amount.micro_usd),
        }
    }
}

/// How far what was spent is from what was likely, as a share of that: 0 is right, 1 is twice as much or
/// nothing at all. By money where some was expected, else by tokens; none where nothing was.
#[must_use]
pub fn variance(likely: Amount, spent: Amount) -> Option<f64> {
    let share = |spent: u64, likely: u64| {
        #[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
        let share = spent.abs_diff(likely) as f64 / likely as f64;
        (likely > 0).then_some(share)
    };
    share(spent.micro_usd, likely.micro_usd).or_else(|| share(spent.tokens, likely.tokens))
}

/// Estimates every step that may ask a model; empty, and nothing is read, where none may.
#[must_use]
pub fn estimate(project: &Project, gateway: &Gateway, state: &State, past: &dyn Past) -> Estimate {
    let Found { asked, ceilings } = Found::of(project);
    if asked.is_empty() {
        return Estimate::default();
    }
    let steps: Vec<(&str, String)> = asked
        .iter()
        .filter_map(|it| Some((it.path.as_str(), it.asked_first()?)))
        .collect();
    let history = History::read(state, past, &project.plan.name, &steps);
    let mut plugins = BTreeMap::<String, Ceiling>::new();
    let mut estimate = Estimate {
        steps: BTreeMap::new(),
        ceilings,
    };
    for asked in asked {
        let step = asked.estimate(gateway, &history);
        for at in &asked.under {
            if let Some(ceiling) = estimate.ceilings.get_mut(*at) {
                ceiling.shares.push(Share {
                    path: asked.path.clone(),
                    expected: step.expected.unwrap_or_default(),
                    most: asked.weigh(gateway).and_then(|it| it.high),
                    first: step.first,
                });
            }
        }
        for (key, share) in asked.of_plugins(gateway) {
            let Some(member) = project.members.get(&key) else {
                debug_assert!(
                    false,
                    "a step is weighed by its plugins, and they are the project's"
                );
                continue;
            };
            let ceiling = plugins.entry(key);
            let ceiling = ceiling.or_insert_with_key(|key| {
                let at = member.decl.place("/model");
                Ceiling::of_plugin(key, member).written(file_of(project, key), at)
            });
            ceiling.shares.push(share);
        }
        estimate.steps.insert(asked.path, step);
    }
    estimate.ceilings.extend(plugins.into_values());
    estimate
}

/// What one model call of each plugin holds that steps ask: the least, whichever step it is, and enough for each of them.
/// Without those whose model cannot be asked.
pub(super) fn one_call_each(project: &Project, gateway: &Gateway) -> BTreeMap<String, First> {
    let mut calls = BTreeMap::<String, First>::new();
    for (key, weight) in Found::of(project)
        .asked
        .into_iter()
        .flat_map(|it| it.weights)
    {
        let Some(call) = weight.and_then(|it| it.one_first(gateway)) else {
            continue;
        };
        let sum = calls.entry(key).or_insert(call);
        sum.least = sum.least.least(call.least);
        sum.enough = sum.enough.most(call.enough);
    }
    calls
}

/// A step that may ask models.
struct Asked {
    path: String,
    /// What each plugin that it asks is asked, by the plugin's key; none where its model is not known.
    weights: Vec<(String, Option<Weight>)>,
    /// Whether it is one plugin that must answer.
    alone: bool,
    /// Whether the step runs whenever the run does.
    certain: bool,
    /// Whether the plan comes to it once at most, its items and attempts aside.
    once: bool,
    /// How many items it has; none where it has none, only the run will know, or what runs it has items.
    items: Option<u64>,
    /// The budgets that it spends from.
    under: Vec<usize>,
}

impl Asked {
    fn weights(&self) -> impl Iterator<Item = &Weight> {
        self.weights
            .iter()
            .filter_map(|(_, weight)| weight.as_ref())
    }

    fn is_known(&self) -> bool {
        self.weights.iter().all(|(_, weight)| weight.is_some())
    }

    /// The model that it asks first, by which earlier runs are told apart.
    fn asked_first(&self) -> Option<String> {
        self.weights().next().map(|it| it.model.to_string())
    }

    fn estimate(&self, gateway: &Gateway, history: &History) -> StepEstimate {
        let mut models: Vec<String> = Vec::new();
        for model in self.weights().map(|it| it.model.to_string()) {
            if !models.contains(&model) {
                models.push(model);
            }
        }
        let weighed = self.weigh(gateway);
        let asked_first = models.first().map(String::as_str);
        let past = history.range(&self.path, asked_first, self.items);
        let (expected, basis, runs) = match (past, weighed) {
            (Some((range, runs)), weighed) => {
                let range = self.bounded(range, runs, weighed);
                (Some(range), Basis::History, runs)
            }
            (None, Some(range)) => {
                let spent = history.broken_off(&self.path, asked_first);
                (Some(range.no_less_than(spent)), Basis::Prompt, 0)
            }
            (None, None) => (None, Basis::Unknown, 0),
        };
        StepEstimate {
            first: self.first(gateway),
            models,
            expected,
            basis,
            runs,
        }
    }

    /// What earlier runs did cost; a step that need not run may cost nothing, and one that the plan bounds now can do
    /// with what it allows. A few runs say what is likely, and not yet what it lies between: that the plan says.
    fn bounded(&self, range: Range, runs: u64, weighed: Option<Range>) -> Range {
        let most = weighed.and_then(|it| it.high).unwrap_or(range.low);
        let low = match self.certain {
            true => range.low.least(most),
            false => Amount::default(),
        };
        match weighed.filter(|_| runs < RUNS_TELLING) {
            Some(plan) => Range {
                low: low.least(plan.low),
                high: range.high.zip(plan.high).map(|(did, may)| did.most(may)),
                ..range
            },
            None => Range { low, ..range },
        }
    }

    /// What the step needs to begin: one of those who are asked, because a panel may do without the others; and all of
    /// them where it is to be enough. None where one of them is not known, or may cost less than the others.
    fn first(&self, gateway: &Gateway) -> Option<First> {
        if !self.is_known() {
            return None;
        }
        let firsts = self.weights().filter_map(|it| it.first(gateway));
        firsts.reduce(|mut sum, next| {
            sum.least = sum.least.least(next.least);
            sum.enough.add(next.enough);
            sum
        })
    }

    /// What all that are asked in the step cost together; none where one of them is not known. Of several nobody
    /// knows the upper end: a plan may ask them in one round more.
    fn weigh(&self, gateway: &Gateway) -> Option<Range> {
        let mut sum: Option<Range> = None;
        for (_, weight) in &self.weights {
            let range = weight.as_ref()?.weigh_all(gateway)?;
            match &mut sum {
                Some(sum) => sum.add(range),
                None => sum = Some(range),
            }
        }
        sum.map(|range| Range {
            high: range.high.filter(|_| self.once && self.weights.len() == 1),
            ..range
        })
    }

    /// What the step asks of what each plugin may spend. By the plan alone: what a step did cost may be another
    /// plugin's, which this one called. A panel may do without a member.
    fn of_plugins(&self, gateway: &Gateway) -> impl Iterator<Item = (String, Share)> {
        self.weights.iter().filter_map(|(key, weight)| {
            let weight = weight.as_ref()?;
            let range = weight.weigh(gateway)?;
            let share = Share {
                path: self.path.clone(),
                expected: match self.alone {
                    true => range,
                    false => Range {
                        low: Amount::default(),
                        ..range
                    },
                },
                most: range.high.filter(|_| self.once && self.alone),
                first: weight.first(gateway).filter(|_| self.alone),
            };
            Some((key.clone(), share))
        })
    }
}

/// Where steps are looked at.
#[derive(Clone)]
struct Place {
    path: String,
    /// What the keys of the plan's plugins begin with.
    prefix: String,
    /// Whether the plan itself is certain to run.
    certain: bool,
    /// Whether it is run for each of some items.
    of_items: bool,
    /// Whether it is run once at most.
    once: bool,
    /// The budgets that are spent from there.
    under: Vec<usize>,
}

/// What was found in a plan and in those that it runs.
struct Found {
    asked: Vec<Asked>,
    ceilings: Vec<Ceiling>,
}

impl Found {
    fn of(project: &Project) -> Self {
        let mut found = Self {
            asked: Vec::new(),
            ceilings: vec![Ceiling::of_plan(&project.plan)],
        };
        let place = Place {
            path: String::new(),
            prefix: String::new(),
            certain: true,
            of_items: false,
            once: true,
            under: vec![0],
        };
        found.look(&project.plan, &place, project);
        found
    }

    fn look(&mut self, plan: &Plan, place: &Place, project: &Project) {
        // States and actions come again as often as the run takes them.
        let once = place.once && matches!(plan.body, Body::Workflow { .. });
        for step in plan.steps() {
            let path = format!("{}{}", place.path, step.id);
            let mut under = place.under.clone();
            if let Some(budget) = &step.budget {
                under.push(self.ceilings.len());
                let whose = Whose::Step(path.clone());
                let ceiling = Ceiling::of(whose, budget);
                self.ceilings
                    .push(ceiling.written(&plan.file, step.place("/budget")));
            }
            let certain =
                place.certain && step.when.is_none() && matches!(plan.body, Body::Workflow { .. });
            if let Work::Plan { reference } = &step.work {
                let Some(child) = plan.sub_plan(reference) else {
                    continue; // that it could not be read has been told
                };
                under.push(self.ceilings.len());
                let whose = Whose::SubPlan(reference.clone());
                let ceiling = Ceiling::of(whose, &child.budget);
                self.ceilings
                    .push(ceiling.written(&child.file, child.budget_at));
                let below = Place {
                    path: format!("{path}/"),
                    prefix: format!("{}{reference}::", place.prefix),
                    certain: certain
                        // The list may be empty; and a plan that may fail need not have come to its steps.
                        && step.foreach.is_none()
                        && !step.continue_on_error
                        && step.on_failure.then == Then::Halt,
                    of_items: place.of_items || step.foreach.is_some(),
                    once: once && step.foreach.is_none() && step.retry.max_attempts <= 1,
                    under,
                };
                self.look(child, &below, project);
                continue;
            }
            let weights = weights(plan, step, (place, path.as_str()), project);
            if !weights.is_empty() {
                let counted = step.foreach.is_some() && !place.of_items;
                let mut known = weights.iter().filter_map(|(_, weight)| weight.as_ref());
                self.asked.push(Asked {
                    items: known.next().and_then(|it| it.items).filter(|_| counted),
                    alone: matches!(step.work, Work::Call { .. }),
                    path,
                    weights,
                    certain,
                    once,
                    under,
                });
            }
        }
    }
}

/// What the step asks each plugin that may ask models.
fn weights(
    plan: &Plan,
    step: &Step,
    (place, path): (&Place, &str),
    project: &Project,
) -> Vec<(String, Option<Weight>)> {
    // A sub-plan has inputs of its own, which are not known before its step begins.
    let none = serde_json::Map::new();
    let inputs = match place.prefix.is_empty() {
        true => &project.inputs,
        false => &none,
    };
    let weight = |name: &String, certain: bool| {
        let key = format!("{}{name}", place.prefix);
        let member = project.members.get(&key)?;
        if member.effective.grants.model.allow.is_empty() {
            return None;
        }
        let asks = Asks {
            project,
            plan,
            prefix: &place.prefix,
            step,
            path,
            name,
            member,
            inputs,
        };
        Some((key, Weight::of(asks, certain)))
    };
    match &step.work {
        Work::Call { plugin, .. } => weight(plugin, place.certain).into_iter().collect(),
        Work::Consensus(consensus) => {
            // Whoever may not be needed, or not be asked twice, is not certain to cost anything; the
            // arbiter is asked only when enough have answered.
            let all = place.certain
                && !consensus.early_stop
                && !consensus.distinct
                && consensus.select.is_none();
            let agents = consensus.agents.iter();
            let agents = agents.filter_map(|name| weight(name, all));
            let arbiter = consensus.arbiter.iter();
            let arbiter = arbiter.filter_map(|name| weight(name, false));
            agents.chain(arbiter).collect()
        }
        Work::Plan { .. } | Work::Barrier(_) | Work::Gate(_) | Work::Emit { .. } => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
