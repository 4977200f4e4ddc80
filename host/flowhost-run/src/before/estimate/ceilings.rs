//! What an estimate is held against: the budget of the plan, those of its steps and of the plans that they run, and what
//! the profile of each plugin lets it spend.
//!
//! A budget that cannot suffice is refused before the first step. Whoever is refused reads below what nothing ends, and
//! what pays for every call that the plan allows: the estimate's own upper end. Where nobody knows that, the message
//! says so, and names what pays for the first calls. With the named number the plan is not refused again. A budget that
//! may suffice, and probably does not, is told of.

use flowhost_flow::budget::{BudgetSpec, Currency, DEFAULT_LIMIT, OnExceeded};
use flowhost_flow::problem::At;
use flowhost_flow::units::micro_usd_to_usd;
use flowhost_flow::{Exit, Plan};

use super::{Amount, First, Range};
use crate::base::failure::Failure;
use crate::base::finding::Finding;
use crate::given::project::Member;

/// Who may spend no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Whose {
    /// The run.
    Plan,
    /// A step, by its path.
    Step(String),
    /// A plan that a step runs, as the step names it.
    SubPlan(String),
    /// A plugin, over the whole run.
    Plugin {
        key: String,
        /// The file of its profile.
        file: String,
        /// Where that is shipped, how it becomes one's own: the file below is that one.
        shipped: Option<String>,
        /// What that allows, where the plan allows less.
        wide: Amount,
    },
}

/// What one step asks of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) path: String,
    pub(super) expected: Range,
    /// The most that the plan lets it cost, whatever earlier runs did; none where only the run will know.
    pub(super) most: Option<Amount>,
    pub(super) first: Option<First>,
}

/// A limit, and what is expected to be spent below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ceiling {
    whose: Whose,
    limit: Amount,
    /// The file that states it; empty for one that no file does.
    file: String,
    at: At,
    pub(super) shares: Vec<Share>,
}

/// More than anything costs.
const ENDLESS: Amount = Amount {
    tokens: u64::MAX,
    micro_usd: u64::MAX,
};

impl Ceiling {
    pub(super) fn of_plan(plan: &Plan) -> Self {
        let ample = Amount {
            tokens: DEFAULT_LIMIT.tokens,
            micro_usd: DEFAULT_LIMIT.micro_usd,
        };
        Self::new(Whose::Plan, stated(&plan.budget, ample)).written(&plan.file, plan.budget_at)
    }

    /// The budget of a step, or of a plan that a step runs.
    pub(super) fn of(whose: Whose, budget: &BudgetSpec) -> Self {
        Self::new(whose, stated(budget, ENDLESS))
    }

    pub(super) fn of_plugin(key: &str, member: &Member) -> Self {
        let own = member.own.as_ref();
        let whose = Whose::Plugin {
            key: key.to_owned(),
            file: own.map_or(&member.profile.file, |own| &own.file).clone(),
            shipped: own.map(|own| {
                let (name, command) = (&own.name, own.command(&member.profile.name));
                format!(
                    "make a profile of your own by `{command}`, write `profile: {name}` in the plan, and "
                )
            }),
            wide: Amount::granted(&member.profile.grants.model),
        };
        Self::new(whose, Amount::granted(&member.effective.grants.model))
    }

    fn new(whose: Whose, limit: Amount) -> Self {
        Self {
            whose,
            limit,
            file: String::new(),
            at: At::default(),
            shares: Vec::new(),
        }
    }

    /// The same, with where it stands.
    pub(super) fn written(mut self, file: &str, at: At) -> Self {
        file.clone_into(&mut self.file);
        self.at = at;
        self
    }

    /// Whether a plan states it, and no profile.
    pub(super) const fn is_budget(&self) -> bool {
        !matches!(self.whose, Whose::Plugin { .. })
    }

    fn firsts(&self) -> impl Iterator<Item = (&Share, First)> {
        let shares = self.shares.iter();
        shares.filter_map(|share| Some((share, share.first?)))
    }

    /// The least limit that can suffice: whichever step comes last, the others have been paid for, and its first call is
    /// held in full.
    fn least(&self) -> Amount {
        let least = |of: fn(Amount) -> u64| {
            let low = self.shares.iter().map(|it| of(it.expected.low));
            let low = low.fold(0, u64::saturating_add);
            let largest = self.firsts().map(|(_, first)| of(first.least)).max();
            let more = self
                .firsts()
                .map(|(share, first)| of(first.least).saturating_sub(of(share.expected.low)));
            // Where a step may not ask a model, it may be the last.
            let all_ask = self.firsts().count() == self.shares.len();
            let last = more.min().filter(|_| all_ask).unwrap_or(0);
            largest.unwrap_or(0).max(low.saturating_add(last))
        };
        each(least)
    }

    /// What is likely to be spent, and no less than first calls hold.
    fn probable(&self) -> Amount {
        let mut firsts = Amount::default();
        self.firsts().for_each(|(_, first)| firsts.add(first.least));
        firsts.most(self.likely())
    }

    /// A limit that pays for every call that the plan allows, as long as no answer has to be asked for again; none
    /// where only the run will know.
    fn suffices(&self) -> Option<Amount> {
        let mut most = Amount::default();
        for share in &self.shares {
            most.add(share.most?);
        }
        Some(most.most(self.opens()))
    }

    /// What to raise it to: to what suffices, and where nobody knows that, so that each step can begin.
    fn enough(&self) -> Amount {
        self.suffices().unwrap_or_else(|| self.opens())
    }

    /// A limit that lets each step make its first call, and no less than the likely amount.
    fn opens(&self) -> Amount {
        let mut firsts = Amount::default();
        self.firsts()
            .for_each(|(_, first)| firsts.add(first.enough));
        firsts.most(self.likely()).most(self.least())
    }

    fn likely(&self) -> Amount {
        let mut likely = Amount::default();
        self.shares
            .iter()
            .for_each(|it| likely.add(it.expected.likely));
        likely
    }

    /// In which of tokens and money `wanted` is more than the limit.
    fn short_of(&self, wanted: Amount) -> impl Iterator<Item = Money> {
        let limit = self.limit;
        Money::ALL
            .into_iter()
            .filter(move |it| it.of(wanted) > it.of(limit))
    }

    /// What falls short.
    fn name(&self) -> String {
        match &self.whose {
            Whose::Plan => "the budget of the plan".to_owned(),
            Whose::Step(path) => format!("the budget of step `{path}`"),
            Whose::SubPlan(file) => format!("the budget of `{file}`"),
            Whose::Plugin { key, .. } => format!("what plugin `{key}` may spend in a run"),
        }
    }

    /// Which key to raise, and how far.
    fn cure(&self, money: Money) -> String {
        let (key, enough) = (money.key(), money.of(self.enough()));
        let value = money.written(enough);
        let place = match &self.whose {
            Whose::Plan => "the plan".to_owned(),
            Whose::Step(path) => format!("step `{path}`"),
            Whose::SubPlan(file) => format!("`{file}`"),
            Whose::Plugin {
                file,
                shipped,
                wide,
                ..
            } => {
                let first = shipped.as_deref().unwrap_or_default();
                return match money.of(*wide) >= enough {
                    true => format!(
                        "narrow `{key}` of its `model` less in the plan, to {value} or more"
                    ),
                    false => {
                        format!("{first}write `{key} = {value}` or more in [model] of {file}")
                    }
                };
            }
        };
        format!("write `{key}: {value}` or more in `budget:` of {place}")
    }

    /// Why it cannot suffice, with the cure of each reason.
    fn faults(&self) -> impl Iterator<Item = (String, String)> {
        let enough = self.enough();
        let (least, suffices) = (self.least(), self.suffices().is_some());
        self.short_of(least).map(move |money| {
            let (least, enough) = (money.of(least), money.of(enough));
            let needs = match least == enough {
                true => "it needs",
                false => "it cannot end with less than",
            };
            let more = match (suffices, least == enough) {
                (_, true) => String::new(),
                (true, false) => format!(
                    "; {} pay for every call that the plan allows, unless an answer has to be asked for again",
                    money.told(enough)
                ),
                (false, false) => "; how much it is at most only the run will know".to_owned(),
            };
            let why = format!(
                "{needs} {}, and {} are allowed{more}: a model call holds what its prompt and `max_tokens` can come \
                 to, until it has ended",
                money.told(least),
                money.told(money.of(self.limit))
            );
            let pays = match suffices {
                true => "that pays for every call that the plan allows",
                false => "that pays for the first call of each step",
            };
            let cure = format!(
                "{}: {pays}; a smaller `max_tokens` in the agent's `config:` holds less",
                self.cure(money)
            );
            (why, cure)
        })
    }

    /// What is to be said of a limit that can suffice, and probably does not.
    fn doubts(&self) -> impl Iterator<Item = String> {
        let (least, probable) = (self.least(), self.probable());
        let known = match self.suffices() {
            Some(_) => ", which pays for every call that the plan allows",
            None => "; how much it is at most only the run will know",
        };
        let doubted = self
            .short_of(probable)
            .filter(move |money| money.of(least) <= money.of(self.limit));
        doubted.map(move |money| {
            format!(
                "{} probably does not suffice: {} are foreseen, and {} are allowed; a run that reaches that ends with \
                 exit code {}; {}{known}",
                self.name(),
                money.told(money.of(probable)),
                money.told(money.of(self.limit)),
                Exit::Budget.code(),
                self.cure(money)
            )
        })
    }
}

/// Why a run cannot be paid for; none where it can.
pub(super) fn exceeded(ceilings: &[Ceiling]) -> Option<Failure> {
    let mut failure: Option<Failure> = None;
    for ceiling in ceilings {
        let title = format!("{} cannot suffice", ceiling.name());
        for (why, cure) in ceiling.faults() {
            // One failure for all of them: the first is its title, the others say whose they are.
            let told = failure
                .take()
                .unwrap_or_else(|| Failure::new(Exit::Budget, title.clone()));
            let why = match told.message == title {
                true => why,
                false => format!("{title}: {why}"),
            };
            failure = Some(told.because(why).hint(cure));
        }
    }
    failure.map(|it| it.hint("`flowhost run PLAN --estimate` shows what each step probably costs"))
}

/// The same reasons, each where its limit is written.
pub(super) fn shortfalls<'a>(ceilings: impl Iterator<Item = &'a Ceiling>) -> Vec<Finding> {
    let mut found = Vec::new();
    for ceiling in ceilings {
        for (why, cure) in ceiling.faults() {
            let message = format!("{} cannot suffice: {why}", ceiling.name());
            let finding = Finding::new(&ceiling.file, message);
            found.push(finding.at(ceiling.at.line, ceiling.at.column).cure(cure));
        }
    }
    found
}

/// What is to be said of limits that probably do not suffice.
pub(super) fn doubts(ceilings: &[Ceiling]) -> Vec<String> {
    ceilings.iter().flat_map(Ceiling::doubts).collect()
}

/// What a budget states; where it states nothing, or only warns, `otherwise` and no end.
fn stated(budget: &BudgetSpec, otherwise: Amount) -> Amount {
    let [_, _, tokens, micro_usd] = budget.limits;
    match budget.on_exceeded {
        // Nothing ends for it, so that nothing is to be refused for it.
        OnExceeded::Warn => ENDLESS,
        OnExceeded::Halt => Amount {
            tokens: tokens.unwrap_or(otherwise.tokens),
            micro_usd: micro_usd.unwrap_or(otherwise.micro_usd),
        },
    }
}

fn each(of: impl Fn(fn(Amount) -> u64) -> u64) -> Amount {
    Amount {
        tokens: of(|it| it.tokens),
        micro_usd: of(|it| it.micro_usd),
    }
}

/// Tokens or dollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::before) enum Money {
    Tokens,
    Usd,
}

impl Money {
    pub(in crate::before) const ALL: [Self; 2] = [Self::Tokens, Self::Usd];

    pub(in crate::before) const fn of(self, amount: Amount) -> u64 {
        match self {
            Self::Tokens => amount.tokens,
            Self::Usd => amount.micro_usd,
        }
    }

    /// The key of a budget and of `[model]` that bounds it.
    pub(in crate::before) const fn key(self) -> &'static str {
        match self {
            Self::Tokens => Currency::Tokens.key(),
            Self::Usd => Currency::MicroUsd.key(),
        }
    }

    /// As the key's value.
    pub(in crate::before) fn written(self, amount: u64) -> String {
        match self {
            Self::Tokens => amount.to_string(),
            // To the millionth, which is the unit: what was rounded down would be refused again.
            Self::Usd => format!("{:.6}", micro_usd_to_usd(amount)),
        }
    }

    /// As a person reads it.
    pub(in crate::before) fn told(self, amount: u64) -> String {
        match self {
            Self::Tokens => format!("{amount} tokens"),
            Self::Usd => format!("${}", self.written(amount)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn amount(tokens: u64, micro_usd: u64) -> Amount {
        Amount { tokens, micro_usd }
    }

    fn costs(low: u64, likely: u64) -> Share {
        Share {
            path: "a".to_owned(),
            expected: Range {
                low: amount(low, 0),
                likely: amount(likely, 0),
                high: None,
            },
            most: None,
            first: None,
        }
    }

    fn asks(low: u64, least: u64, enough: u64) -> Share {
        Share {
            first: Some(First {
                least: amount(least, 0),
                enough: amount(enough, 0),
            }),
            ..costs(low, low)
        }
    }

    fn of_plan(tokens: u64, shares: impl Into<Vec<Share>>) -> Ceiling {
        Ceiling {
            shares: shares.into(),
            ..Ceiling::new(Whose::Plan, amount(tokens, 10))
        }
    }

    fn refused(ceiling: Ceiling) -> Option<Failure> {
        exceeded(&[ceiling])
    }

    #[test]
    fn refuses_a_budget_that_even_the_smallest_estimate_exceeds_and_says_by_what() {
        let failure = refused(of_plan(100, [costs(101, 101)])).unwrap();
        assert_eq!(failure.exit, Exit::Budget);
        assert_eq!(failure.message, "the budget of the plan cannot suffice");
        assert!(
            failure.causes[0].starts_with("it needs 101 tokens, and 100 tokens are allowed"),
            "{failure:?}"
        );
        assert_eq!(failure.causes.len(), 1);
        assert!(refused(of_plan(101, [costs(101, 101)])).is_none());
    }

    #[test]
    fn a_budget_that_only_warns_refuses_and_doubts_nothing() {
        let text = "flowhost: v1\nkind: workflow\nname: p\nbudget: { tokens: 1, on_exceeded: warn }\nplugins:\n  \
                    t: { kind: tool, source: ./t.wasm, profile: deny-all }\nsteps:\n  a: { uses: t, with: {} }\n";
        let plan = Plan::parse(text, "p.yaml").unwrap();
        let ceiling = Ceiling {
            shares: vec![costs(101, 101)],
            ..Ceiling::of_plan(&plan)
        };
        assert!(doubts(std::slice::from_ref(&ceiling)).is_empty());
        assert!(refused(ceiling).is_none());
    }

    #[test]
    fn a_budget_below_what_a_first_call_holds_is_refused_and_the_named_one_is_enough() {
        let shares = || [asks(10, 500, 700), asks(10, 400, 700)];
        // The second may come last: 10 for the first, and 400 held; but that holds 500 whenever it comes.
        assert_eq!(of_plan(0, shares()).least(), amount(500, 0));
        let failure = refused(of_plan(499, shares())).unwrap();
        assert!(failure.hints[0].contains("`tokens: 1400`"), "{failure:?}");
        assert!(refused(of_plan(500, shares())).is_none());
        // Without what it holds it may be last, at the least that it costs.
        let shares = [asks(10, 500, 700), costs(10, 10)];
        assert_eq!(of_plan(0, shares).least(), amount(500, 0));
    }

    #[test]
    fn who_may_spend_too_little_is_told_with_the_place_to_raise_it() {
        let plugin = |wide| Whose::Plugin {
            key: "x".to_owned(),
            file: "policies/x.toml".to_owned(),
            shipped: None,
            wide: amount(wide, 0),
        };
        for (whose, what, cure) in [
            (
                Whose::Step("a/b".to_owned()),
                "the budget of step `a/b` cannot suffice",
                "write `tokens: 7020` or more in `budget:` of step `a/b`",
            ),
            (
                Whose::SubPlan("child.yaml".to_owned()),
                "the budget of `child.yaml` cannot suffice",
                "write `tokens: 7020` or more in `budget:` of `child.yaml`",
            ),
            (
                plugin(3_000),
                "what plugin `x` may spend in a run cannot suffice",
                "write `tokens = 7020` or more in [model] of policies/x.toml",
            ),
            (
                plugin(8_000),
                "what plugin `x` may spend in a run cannot suffice",
                "narrow `tokens` of its `model` less in the plan, to 7020 or more",
            ),
        ] {
            let mut ceiling = Ceiling::new(whose, amount(3_000, 10));
            ceiling.shares = vec![costs(7_020, 7_020)];
            let failure = refused(ceiling).unwrap();
            assert_eq!(failure.message, what);
            assert!(failure.hints[0].starts_with(cure), "{failure:?}");
        }
    }

    #[test]
    fn all_that_fall_short_are_told_at_once() {
        let mut step = Ceiling::new(Whose::Step("a".to_owned()), amount(100, 10));
        step.shares = vec![costs(101, 101)];
        let failure = exceeded(&[of_plan(100, [costs(101, 101)]), step]).unwrap();
        assert_eq!(failure.message, "the budget of the plan cannot suffice");
        assert!(
            failure.causes[1].starts_with("the budget of step `a` cannot suffice: it needs 101")
        );
    }

    #[test]
    fn a_budget_that_probably_does_not_suffice_is_told_of_with_both_numbers() {
        let ceiling = of_plan(3_000, [costs(2_000, 7_020)]);
        let told = doubts(std::slice::from_ref(&ceiling));
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0].starts_with(
                "the budget of the plan probably does not suffice: 7020 tokens are foreseen, and 3000 tokens are \
                 allowed; a run that reaches that ends with exit code 5; write `tokens: 7020`"
            ),
            "{told:?}"
        );
        assert!(refused(ceiling).is_none());
        // What is refused is not doubted as well, and what suffices neither.
        assert!(doubts(&[of_plan(1_000, [costs(2_000, 7_020)])]).is_empty());
        assert!(doubts(&[of_plan(7_020, [costs(2_000, 7_020)])]).is_empty());
    }

    #[test]
    fn what_is_refused_and_what_surely_suffices_are_two_numbers() {
        let items = Share {
            most: Some(amount(61_300, 0)),
            ..costs(7_000, 30_000)
        };
        let failure = refused(of_plan(3_000, [items.clone()])).unwrap();
        let why = "it cannot end with less than 7000 tokens, and 3000 tokens are allowed; 61300 tokens pay for every \
                   call that the plan allows, unless";
        assert!(failure.causes[0].starts_with(why), "{failure:?}");
        let cure =
            "write `tokens: 61300` or more in `budget:` of the plan: that pays for every call";
        assert!(failure.hints[0].starts_with(cure), "{failure:?}");
        assert!(refused(of_plan(7_000, [items.clone()])).is_none());
        let told = doubts(&[of_plan(7_500, [items.clone()])]);
        let cure = "write `tokens: 61300` or more in `budget:` of the plan, which pays for every";
        assert!(told[0].contains(cure), "{told:?}");
        // One step more of which nobody knows the end.
        let failure = refused(of_plan(3_000, [items, costs(10, 20)])).unwrap();
        let why = "it cannot end with less than 7010 tokens, and 3000 tokens are allowed; how much it is at most only";
        assert!(failure.causes[0].starts_with(why), "{failure:?}");
    }

    fn shares() -> impl Strategy<Value = Vec<Share>> {
        let share = (
            0_u64..100,
            0_u64..100,
            0_u64..100,
            0_u64..100,
            0_u64..100,
            any::<bool>(),
        );
        let share = share.prop_map(|(low, likely, held, unknown, more, asks_first)| Share {
            most: (more > 50).then(|| amount(low + likely + held + unknown + more, 0)),
            first: asks_first.then_some(First {
                least: amount(low + held, 0),
                enough: amount(low + held + unknown, 0),
            }),
            ..costs(low, low + likely)
        });
        prop::collection::vec(share, 1..6)
    }

    proptest! {
        /// Whoever writes the number of the message into the plan hears no more of it.
        #[test]
        fn the_number_that_a_refusal_names_is_neither_refused_nor_doubted(shares in shares(), limit in 0_u64..500) {
            if let Some(failure) = refused(of_plan(limit, shares.clone())) {
                let (_, named) = failure.hints[0].split_once("`tokens: ").unwrap();
                let (named, _) = named.split_once('`').unwrap();
                let named: u64 = named.parse().unwrap();
                prop_assert!(named > limit);
                let raised = of_plan(named, shares);
                prop_assert!(doubts(std::slice::from_ref(&raised)).is_empty());
                prop_assert!(refused(raised).is_none());
            }
        }
    }
}
