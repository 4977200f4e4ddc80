//! What a plan's model calls will cost: told before a run, and held against what they did cost.
//!
//! A step that ran before is expected to cost what it did on average in the newest runs of the same
//! plan; one that did not, what its prompt weighs and half of the longest answer. Both are views: of
//! the ledgers of earlier runs, and of the plan. An estimate decides nothing; budgets do.

use std::collections::BTreeMap;

use flowhost_flow::Plan;
use flowhost_flow::plan::{Step, Work};
use flowhost_flow::units::micro_usd_to_usd;
use flowhost_ledger::{Kind, read_run};
use flowhost_models::{Gateway, ModelName, Prompt, Speaker, Turn};
use serde::Serialize;
use serde_json::Value;

use crate::project::Project;
use crate::state::State;

/// Earlier runs that are looked at: the newest say most, and each is read from start to end.
const RUNS_MAX: usize = 10;
/// Tokens of an answer when the configuration does not say.
const ANSWER_TOKENS: u32 = 1_024;

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
}

/// What a number rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// Earlier runs of the same plan.
    History,
    /// The size of the prompt, for one call and one item.
    Prompt,
    /// Nothing: the model is not known before the run.
    Unknown,
}

/// One step that may ask a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepEstimate {
    /// The model, where the plugin's configuration names one.
    pub model: Option<String>,
    /// What it will cost; none where nobody can know.
    pub expected: Option<Amount>,
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
    /// The sum of what is known.
    #[must_use]
    pub fn total(&self) -> Amount {
        let mut total = Amount::default();
        for step in self.steps.values() {
            total.add(step.expected.unwrap_or_default());
        }
        total
    }

    /// The document of `run --estimate --json` and of `validate --json`.
    #[must_use]
    pub fn document(&self) -> EstimateDocument {
        let total = self.total();
        let step = |it: &StepEstimate| StepDocument {
            model: it.model.clone(),
            tokens: it.expected.map(|it| it.tokens),
            usd: it.expected.map(|it| micro_usd_to_usd(it.micro_usd)),
            basis: it.basis,
            runs: it.runs,
        };
        EstimateDocument {
            tokens: total.tokens,
            usd: micro_usd_to_usd(total.micro_usd),
            steps: self
                .steps
                .iter()
                .map(|(path, it)| (path.clone(), step(it)))
                .collect(),
        }
    }
}

/// See [`Estimate::document`].
#[derive(Debug, Clone, Serialize)]
pub struct EstimateDocument {
    tokens: u64,
    usd: f64,
    steps: BTreeMap<String, StepDocument>,
}

#[derive(Debug, Clone, Serialize)]
struct StepDocument {
    model: Option<String>,
    tokens: Option<u64>,
    usd: Option<f64>,
    basis: Basis,
    runs: u64,
}

/// How far what was spent is from what was expected: 1 is right, 2 is twice as much. By money where
/// some was expected, else by tokens; none where nothing was.
#[must_use]
pub fn variance(expected: Amount, spent: Amount) -> Option<f64> {
    let ratio = |spent: u64, expected: u64| {
        #[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
        let ratio = spent as f64 / expected as f64;
        (expected > 0).then_some(ratio)
    };
    ratio(spent.micro_usd, expected.micro_usd).or_else(|| ratio(spent.tokens, expected.tokens))
}

/// Estimates every step that may ask a model; empty, and nothing is read, where none may.
#[must_use]
pub fn estimate(project: &Project, gateway: &Gateway, state: &State, past: &dyn Past) -> Estimate {
    let mut wanted = Vec::new();
    collect(&project.plan, "", "", project, &mut wanted);
    if wanted.is_empty() {
        return Estimate::default();
    }
    let history = History::read(state, past, &project.plan.name);
    let step = |(path, weight): (String, Option<Weight>)| {
        let model = weight.as_ref().map(|it| it.model.to_string());
        let (expected, basis, runs) = match history.mean(&path, model.as_deref()) {
            Some((mean, runs)) => (Some(mean), Basis::History, runs),
            None => match weight.and_then(|it| it.weigh(gateway)) {
                Some(amount) => (Some(amount), Basis::Prompt, 0),
                None => (None, Basis::Unknown, 0),
            },
        };
        let estimate = StepEstimate {
            model,
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

/// A step's prompt as far as it is known before the run.
struct Weight {
    model: ModelName,
    text: String,
    max_tokens: u32,
}

impl Weight {
    fn weigh(self, gateway: &Gateway) -> Option<Amount> {
        let prompt = Prompt {
            model: self.model,
            turns: vec![Turn {
                speaker: Speaker::User,
                content: self.text,
                tool_calls: Vec::new(),
                answers: String::new(),
            }],
            tools: Vec::new(),
            answer_schema: None,
            temperature: None,
            // Half of the longest answer: few are cut, few are a word.
            max_tokens: self.max_tokens.div_ceil(2),
            seed: None,
            stop: Vec::new(),
        };
        let estimate = gateway.estimate(&prompt).ok()?;
        Some(Amount {
            tokens: estimate.tokens(),
            micro_usd: estimate.micro_usd,
        })
    }
}

fn collect(
    plan: &Plan,
    path: &str,
    prefix: &str,
    project: &Project,
    wanted: &mut Vec<(String, Option<Weight>)>,
) {
    for step in plan.steps() {
        let path = format!("{path}{}", step.id);
        match &step.work {
            Work::Call { plugin, .. } => {
                let member = project.members.get(&format!("{prefix}{plugin}"));
                let asks = member.filter(|it| !it.effective.grants.model.allow.is_empty());
                if let Some(member) = asks {
                    wanted.push((path, weight(plan, step, &member.config)));
                }
            }
            Work::Plan { reference } => {
                if let Some(child) = plan.sub_plan(reference) {
                    let prefix = format!("{prefix}{reference}::");
                    collect(child, &format!("{path}/"), &prefix, project, wanted);
                }
            }
            Work::Barrier(_) => {}
        }
    }
}

/// By the names that agents use: `model`, `max_tokens`, `system`, `prompt` of their configuration.
fn weight(plan: &Plan, step: &Step, config: &str) -> Option<Weight> {
    let config: Value = serde_json::from_str(config).unwrap_or_default();
    let said = |name: &str| config.get(name).and_then(Value::as_str).unwrap_or_default();
    let model = said("model").parse().ok()?;
    let prompt = plan
        .prompt_of(step)
        .map_or_else(|| said("prompt"), |text| &**text);
    let text = format!("{}\n{prompt}\n{}", said("system"), step.with.source());
    let max_tokens = config.get("max_tokens").and_then(Value::as_u64);
    Some(Weight {
        model,
        text,
        max_tokens: max_tokens
            .and_then(|it| u32::try_from(it).ok())
            .unwrap_or(ANSWER_TOKENS),
    })
}

/// What steps cost in the newest runs of a plan.
#[derive(Debug, Default)]
struct History {
    /// By path and model: another model costs something else.
    steps: BTreeMap<(String, String), (Amount, u64)>,
}

impl History {
    /// What cannot be read says nothing: an estimate must not keep a run from starting.
    fn read(state: &State, past: &dyn Past, plan: &str) -> Self {
        let mut history = Self::default();
        for run in past.runs(plan, RUNS_MAX) {
            history.add(of_run(state, &run));
        }
        history
    }

    fn add(&mut self, run: BTreeMap<(String, String), Amount>) {
        for (step, amount) in run {
            let (sum, count) = self.steps.entry(step).or_default();
            sum.add(amount);
            *count += 1;
        }
    }

    fn mean(&self, path: &str, model: Option<&str>) -> Option<(Amount, u64)> {
        let step = (path.to_owned(), model?.to_owned());
        let (sum, count) = self.steps.get(&step)?;
        Some((sum.mean(*count), *count))
    }
}

/// Each step of a run, by path and by the model that it asked first, with what it and its items spent;
/// steps that did not end well say nothing of those that do.
fn of_run(state: &State, run: &str) -> BTreeMap<(String, String), Amount> {
    let mut own = BTreeMap::new();
    let mut items = BTreeMap::<(String, String), Amount>::new();
    let mut models = BTreeMap::<String, String>::new();
    let Ok(records) = read_run(&state.run_dir(run)) else {
        return own;
    };
    for record in records.map_while(Result::ok) {
        let text = |name: &str| record.text(name).unwrap_or_default().to_owned();
        if record.kind() == Some(Kind::ModelIntent) && record.text("decision") == Some("allow") {
            models.entry(text("step")).or_insert_with(|| text("asked"));
        }
        let good = record.kind() == Some(Kind::StepEnd) && record.text("status") == Some("ok");
        let Some(path) = record.text("path").filter(|_| good) else {
            continue;
        };
        let number = |name: &str| record.number(name).unwrap_or(0);
        let amount = Amount {
            tokens: number("tokens"),
            micro_usd: number("micro_usd"),
        };
        // A step with items repeats their sum and asks no model itself: the items count.
        let Some(model) = models.get(&text("step")).cloned() else {
            continue;
        };
        match path.split_once('[') {
            Some(_) => {
                let step = (without_items(path), model);
                items.entry(step).or_default().add(amount);
            }
            None => drop(own.insert((path.to_owned(), model), amount)),
        }
    }
    own.extend(items);
    own
}

/// `audit[3]/read` is `audit/read`.
fn without_items(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut inside = false;
    for c in path.chars() {
        match c {
            '[' => inside = true,
            ']' => inside = false,
            c if !inside => out.push(c),
            _ => {}
        }
    }
    out
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
        assert_eq!(variance(amount(10, 4), amount(5, 8)), Some(2.0));
    }

    #[test]
    fn a_mean_rounds_up_and_items_are_one_step() {
        let mut history = History::default();
        let step = || ("a".to_owned(), "p/m".to_owned());
        history.add(BTreeMap::from([(step(), amount(3, 1))]));
        history.add(BTreeMap::from([(step(), amount(4, 0))]));
        assert_eq!(history.mean("a", Some("p/m")), Some((amount(4, 1), 2)));
        assert_eq!(history.mean("a", Some("p/other")), None);
        assert_eq!(history.mean("b", Some("p/m")), None);
        assert_eq!(without_items("audit[3]/read[10]"), "audit/read");
    }
}
