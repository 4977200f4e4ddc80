//! What a plan's model calls will cost: told before a run, and held against what they did cost.
//!
//! A step that ran before is expected to cost what it did in the newest runs of the same plan; one that did
//! not, what its prompt, its items and its turns allow. Both are views: of the ledgers of earlier runs, and
//! of the plan. Each is a range, because nobody knows more; budgets decide, and an estimate only says
//! beforehand that one cannot suffice.

mod history;
mod weight;

use std::collections::BTreeMap;

use flowhost_flow::budget::{Currency, OnExceeded};
use flowhost_flow::plan::{Then, Work};
use flowhost_flow::units::micro_usd_to_usd;
use flowhost_flow::{Exit, Plan};
use flowhost_models::Gateway;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::base::failure::Failure;
use crate::base::state::State;
use crate::given::project::Project;
use history::History;
pub(super) use weight::ANSWER_TOKENS;
use weight::Weight;

/// Which runs there were.
pub trait Past: Send + Sync {
    /// The newest runs of the plan of this name that have ended, newest first, at most `most`; none
    /// where that cannot be read, because an estimate must not keep a run from starting.
    fn runs(&self, plan: &str, most: usize) -> Vec<String>;
}

/// Tokens and money.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    /// Prompt and completion.
    pub tokens: u64,
    /// Millionths of a US dollar.
    pub micro_usd: u64,
}

impl Amount {
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
}

impl Estimate {
    /// Leaves out what a run of one step does not do.
    pub(crate) fn of_only(&mut self, plan: &Plan, only: Option<&str>) {
        if let Some(only) = only {
            let wanted = plan.with_needs(only);
            // A sub-plan's steps are those of the step that runs it.
            self.steps
                .retain(|path, _| path.split('/').next().is_some_and(|id| wanted.contains(id)));
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

    /// Names the estimate in the records of what is spent: the hash of its document, and empty where no
    /// model may be asked.
    #[must_use]
    pub fn id(&self) -> String {
        if self.steps.is_empty() {
            return String::new();
        }
        let document = serde_json::to_vec(&self.document()).unwrap_or_default();
        format!("sha256:{}", hex::encode(Sha256::digest(document)))
    }

    /// The steps of which nobody knows what they cost.
    pub fn unknown(&self) -> impl Iterator<Item = &str> {
        let unknown = self.steps.iter().filter(|(_, it)| it.expected.is_none());
        unknown.map(|(path, _)| path.as_str())
    }

    /// The least budget that can suffice: whichever step comes last, the others have been paid for, and its first
    /// call is held in full.
    fn least(&self) -> Amount {
        let low = self.total().low;
        let firsts = || {
            self.steps
                .values()
                .filter_map(|it| Some((it, it.first?.least)))
        };
        let least = |of: fn(Amount) -> u64| {
            let own = |it: &StepEstimate| of(it.expected.unwrap_or_default().low);
            let largest = firsts().map(|(_, first)| of(first)).max().unwrap_or(0);
            let more = firsts().map(|(it, first)| of(first).saturating_sub(own(it)));
            // Where a step may not ask a model, it may be the last.
            let all_ask = firsts().count() == self.steps.len();
            let last = more.min().filter(|_| all_ask).unwrap_or(0);
            largest.max(of(low).saturating_add(last))
        };
        Amount {
            tokens: least(|it| it.tokens),
            micro_usd: least(|it| it.micro_usd),
        }
    }

    /// A budget that lets each step make its first call, and no less than the likely amount.
    fn enough(&self) -> Amount {
        let mut firsts = Amount::default();
        for first in self.steps.values().filter_map(|it| it.first) {
            firsts.add(first.enough);
        }
        firsts.most(self.total().likely)
    }

    /// Why the plan's budget cannot suffice, if it is below what the run cannot do without.
    #[must_use]
    pub fn exceeds(&self, plan: &Plan) -> Option<Failure> {
        let budget = &plan.budget;
        if budget.on_exceeded != OnExceeded::Halt {
            return None;
        }
        let (least, enough) = (self.least(), self.enough());
        let wanted = [
            (Currency::Tokens, least.tokens, enough.tokens),
            (Currency::MicroUsd, least.micro_usd, enough.micro_usd),
        ];
        let [_, _, tokens, micro_usd] = budget.limits;
        let mut failure = Failure::new(Exit::Budget, "the budget of the plan cannot suffice");
        for ((currency, least, enough), limit) in wanted.into_iter().zip([tokens, micro_usd]) {
            let limit = limit.unwrap_or_else(|| flowhost_flow::budget::DEFAULT_LIMIT.get(currency));
            if least <= limit {
                continue;
            }
            let amount = |amount: u64| match currency {
                Currency::MicroUsd => format!("${:.6}", micro_usd_to_usd(amount)),
                _ => format!("{amount} tokens"),
            };
            let key = match currency {
                Currency::MicroUsd => format!("usd: {:.6}", micro_usd_to_usd(enough)),
                _ => format!("tokens: {enough}"),
            };
            failure = failure
                .because(format!(
                    "it needs {} at least, and {} are allowed: a model call holds what its prompt and `max_tokens` \
                     can come to, until it has ended",
                    amount(least),
                    amount(limit)
                ))
                .hint(format!(
                    "write `{key}` or more in `budget:` of the plan: that pays for the first call of each step; a \
                     smaller `max_tokens` in the agent's `config:` holds less"
                ));
        }
        (!failure.causes.is_empty()).then(|| {
            failure.hint("`flowhost run PLAN --estimate` shows what each step probably costs")
        })
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
    let mut wanted = Vec::new();
    collect(&project.plan, Place::default(), project, &mut wanted);
    if wanted.is_empty() {
        return Estimate::default();
    }
    let history = History::read(state, past, &project.plan.name);
    let step = |(path, weights): (String, Vec<Option<Weight>>)| {
        let mut models: Vec<String> = Vec::new();
        for model in weights.iter().flatten().map(|it| it.model.to_string()) {
            if !models.contains(&model) {
                models.push(model);
            }
        }
        let first = first(&weights, gateway);
        let weighed = weigh(weights, gateway);
        // Earlier runs are told apart by the model that a step asked first.
        let asked_first = models.first().map(String::as_str);
        let (expected, basis, runs) = match history.range(&path, asked_first) {
            Some((range, runs)) => (Some(range), Basis::History, runs),
            None if weighed.is_some() => (weighed, Basis::Prompt, 0),
            None => (None, Basis::Unknown, 0),
        };
        let estimate = StepEstimate {
            models,
            first,
            expected,
            basis,
            runs,
        };
        (path, estimate)
    };
    Estimate {
        steps: wanted.into_iter().map(step).collect(),
    }
}

/// What a step needs to begin: one of those who are asked, because a panel may do without the others; and all of them
/// where it is to be enough. None where one of them is not known, or may cost less than the others.
fn first(weights: &[Option<Weight>], gateway: &Gateway) -> Option<First> {
    if weights.iter().any(Option::is_none) {
        return None;
    }
    let firsts = weights.iter().flatten().filter_map(|it| it.first(gateway));
    firsts.reduce(|mut sum, next| {
        sum.least = sum.least.least(next.least);
        sum.enough.add(next.enough);
        sum
    })
}

/// What all that are asked in a step cost together; none where one of them is not known. Of several nobody
/// knows the upper end: a plan may ask them in one round more.
fn weigh(weights: Vec<Option<Weight>>, gateway: &Gateway) -> Option<Range> {
    let several = weights.len() > 1;
    let mut sum: Option<Range> = None;
    for weight in weights {
        let range = weight?.weigh(gateway)?;
        match &mut sum {
            Some(sum) => sum.add(range),
            None => sum = Some(range),
        }
    }
    sum.map(|range| Range {
        high: range.high.filter(|_| !several),
        ..range
    })
}

/// Where steps are looked at.
#[derive(Clone)]
struct Place {
    path: String,
    /// What the keys of the plan's plugins begin with.
    prefix: String,
    /// Whether the plan itself is certain to run.
    certain: bool,
}

impl Default for Place {
    fn default() -> Self {
        Self {
            path: String::new(),
            prefix: String::new(),
            certain: true,
        }
    }
}

fn collect(
    plan: &Plan,
    place: Place,
    project: &Project,
    wanted: &mut Vec<(String, Vec<Option<Weight>>)>,
) {
    let Place {
        path,
        prefix,
        certain,
    } = place;
    // A sub-plan has inputs of its own, which are not known before its step begins.
    let none = serde_json::Map::new();
    let inputs = if prefix.is_empty() {
        &project.inputs
    } else {
        &none
    };
    for step in plan.steps() {
        let path = format!("{path}{}", step.id);
        match &step.work {
            Work::Call { plugin, .. } => {
                let member = project.members.get(&format!("{prefix}{plugin}"));
                let asks = member.filter(|it| !it.effective.grants.model.allow.is_empty());
                if let Some(member) = asks {
                    let weight = Weight::of(plan, step, member, inputs, certain);
                    wanted.push((path, vec![weight]));
                }
            }
            Work::Consensus(consensus) => {
                let asks = |name: &String| {
                    let member = project.members.get(&format!("{prefix}{name}"));
                    member.filter(|it| !it.effective.grants.model.allow.is_empty())
                };
                // Whoever may not be needed, or not be asked twice, is not certain to cost anything; the
                // arbiter is asked only when enough have answered.
                let all = certain
                    && !consensus.early_stop
                    && !consensus.distinct
                    && consensus.select.is_none();
                let agents = consensus.agents.iter().filter_map(asks);
                let agents = agents.map(|it| Weight::of(plan, step, it, inputs, all));
                let arbiter = consensus.arbiter.iter().filter_map(asks);
                let arbiter = arbiter.map(|it| Weight::of(plan, step, it, inputs, false));
                let weights: Vec<Option<Weight>> = agents.chain(arbiter).collect();
                if !weights.is_empty() {
                    wanted.push((path, weights));
                }
            }
            Work::Plan { reference } => {
                if let Some(child) = plan.sub_plan(reference) {
                    let child_place = Place {
                        path: format!("{path}/"),
                        prefix: format!("{prefix}{reference}::"),
                        certain: certain
                            && step.when.is_none()
                            && step.foreach.is_none()
                            && !step.continue_on_error
                            && step.on_failure.then == Then::Halt,
                    };
                    collect(child, child_place, project, wanted);
                }
            }
            Work::Barrier(_) | Work::Gate(_) | Work::Emit { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(tokens: u64, micro_usd: u64) -> Amount {
        Amount { tokens, micro_usd }
    }

    #[test]
    fn nothing_expected_has_no_variance_and_money_counts_before_tokens() {
        assert_eq!(variance(amount(0, 0), amount(10, 10)), None);
        assert_eq!(variance(amount(10, 0), amount(5, 9)), Some(0.5));
        assert_eq!(variance(amount(10, 0), amount(10, 9)), Some(0.0));
        assert_eq!(variance(amount(10, 4), amount(5, 8)), Some(1.0));
    }

    fn of(low: Amount, high: Option<Amount>) -> Estimate {
        let step = StepEstimate {
            models: Vec::new(),
            first: None,
            expected: Some(Range {
                low,
                likely: low,
                high,
            }),
            basis: Basis::Prompt,
            runs: 0,
        };
        Estimate {
            steps: BTreeMap::from([("a".to_owned(), step)]),
        }
    }

    fn plan(budget: &str) -> Plan {
        let text = format!(
            "flowhost: v1\nkind: workflow\nname: p\nbudget: {budget}\nplugins:\n  t: {{ kind: tool, source: \
             ./t.wasm, profile: deny-all }}\nsteps:\n  a: {{ uses: t, with: {{}} }}\n"
        );
        Plan::parse(&text, "p.yaml").unwrap()
    }

    #[test]
    fn refuses_a_budget_that_even_the_smallest_estimate_exceeds_and_says_by_what() {
        let estimate = of(amount(101, 0), None);
        let failure = estimate.exceeds(&plan("{ tokens: 100 }")).unwrap();
        assert_eq!(failure.exit, Exit::Budget);
        assert!(
            failure.causes[0]
                .starts_with("it needs 101 tokens at least, and 100 tokens are allowed"),
            "{failure:?}"
        );
        assert_eq!(failure.causes.len(), 1);
        assert!(estimate.exceeds(&plan("{ tokens: 101 }")).is_none());
        let warns = plan("{ tokens: 1, on_exceeded: warn }");
        assert!(estimate.exceeds(&warns).is_none());
    }

    #[test]
    fn a_budget_below_what_a_first_call_holds_is_refused_and_the_named_one_is_enough() {
        let mut estimate = of(amount(10, 0), None);
        let first = First {
            least: amount(500, 0),
            enough: amount(700, 0),
        };
        estimate.steps.get_mut("a").unwrap().first = Some(first);
        let mut second = estimate.steps["a"].clone();
        second.first = Some(First {
            least: amount(400, 0),
            ..first
        });
        estimate.steps.insert("b".to_owned(), second);
        // `b` may come last: 10 for `a`, and 400 held; but `a` holds 500 whenever it comes.
        assert_eq!(estimate.least(), amount(500, 0));
        let failure = estimate.exceeds(&plan("{ tokens: 499 }")).unwrap();
        assert!(failure.hints[0].contains("`tokens: 1400`"), "{failure:?}");
        assert!(estimate.exceeds(&plan("{ tokens: 500 }")).is_none());
        // Without what `b` holds it may be last, at the least that it costs.
        estimate.steps.get_mut("b").unwrap().first = None;
        assert_eq!(estimate.least(), amount(500, 0));
    }

    #[test]
    fn a_step_that_nobody_knows_leaves_the_sum_unknown() {
        let mut estimate = of(amount(1, 1), None);
        estimate.steps.get_mut("a").unwrap().expected = None;
        let document = serde_json::to_value(estimate.document()).unwrap();
        assert!(document["tokens"].is_null() && document["usd"].is_null());
        assert_eq!(estimate.unknown().collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn a_sum_has_an_upper_end_only_where_all_of_it_has() {
        let mut estimate = of(amount(1, 1), Some(amount(2, 2)));
        assert_eq!(estimate.total().high, Some(amount(2, 2)));
        let more = of(amount(1, 1), None).steps.remove("a").unwrap();
        estimate.steps.insert("b".to_owned(), more);
        assert_eq!(
            (estimate.total().low, estimate.total().high),
            (amount(2, 2), None)
        );
    }
}
