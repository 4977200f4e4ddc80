//! What is said of a budget that does not do: who has too little, every amount, and the key to raise.

use super::Currency;

/// A budget that does not do: all that a person has to know to raise the right key far enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lack {
    /// Of what.
    pub currency: Currency,
    /// What is asked for.
    pub asked: u64,
    /// What is spent.
    pub spent: u64,
    /// What calls at work hold.
    pub held: u64,
    /// What is allowed.
    pub limit: u64,
    /// Whether it is the budget of the run, and not that of a step or of the plan that it runs.
    pub of_run: bool,
}

impl Lack {
    /// What is refused, and why.
    #[must_use]
    pub fn refused(&self) -> String {
        format!(
            "{} has not enough {} left: {} asked for, {}",
            self.budget(),
            self.currency.key(),
            self.currency.told(self.asked),
            self.stands()
        )
    }

    /// What a call did that nobody had foreseen.
    #[must_use]
    pub(crate) fn overdrawn(&self) -> String {
        format!(
            "the call used more {} than {} had: {}",
            self.currency.key(),
            self.budget(),
            self.stands()
        )
    }

    /// Where the budget stands.
    fn stands(&self) -> String {
        let told = |amount| self.currency.told(amount);
        format!(
            "{} spent, {} held by calls at work, {} allowed",
            told(self.spent),
            told(self.held),
            told(self.limit)
        )
    }

    /// Which key to raise.
    #[must_use]
    pub fn cure(&self) -> String {
        let place = match self.of_run {
            true => "the plan",
            false => {
                "the step or of the plan that it runs, and of the plan around it where that has less"
            }
        };
        format!("raise `{}` in `budget:` of {place}", self.currency.key())
    }

    const fn budget(&self) -> &'static str {
        match self.of_run {
            true => "the budget of the plan",
            false => "the budget of the step",
        }
    }
}
